package attach_test

import (
	"assay/verify/vectors"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"assay/scan"
	"assay/scan/attach"
	"assay/verify/message"
)

// parse reads a message. Lines end in LF.
func parse(t testing.TB, text string) *message.Message {
	t.Helper()
	m, err := message.Read(strings.NewReader(text), message.Envelope{}, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// mixed is a message with a text and other parts.
func mixed(parts ...string) string {
	text := "From: a@example.com\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nHello\n"
	for _, part := range parts {
		text += "--b\n" + part + "\n"
	}
	return text + "--b--\n"
}

// objects scans a message.
func objects(t testing.TB, text string) []scan.Object {
	t.Helper()
	return attach.New(attach.Options{}).Scan(context.Background(), parse(t, text)).Objects
}

func TestNames(t *testing.T) {
	for _, test := range []struct {
		name, header, want string // want: name|names|extension|traits
	}{
		{"plain", `Content-Disposition: attachment; filename="a.txt"`, `a.txt|a.txt|txt|`},
		{"token", `Content-Disposition: attachment; filename=a.txt`, `a.txt|a.txt|txt|`},
		{"only in the type", "Content-Type: text/plain; name=a.txt", `a.txt|a.txt|txt|`},
		{"encoded word", `Content-Disposition: attachment; filename="=?utf-8?q?R=C3=A9sum=C3=A9.pdf?="`, `Résumé.pdf|Résumé.pdf|pdf|`},
		{"encoded word for a program", "Content-Type: text/plain; name=\"=?utf-8?b?YS5leGU=?=\"", `a.exe|a.exe|exe|executable`},
		{"RFC 2231", `Content-Disposition: attachment; filename*=UTF-8''R%C3%A9sum%C3%A9.pdf`, `Résumé.pdf|Résumé.pdf|pdf|`},
		{"continued", "Content-Disposition: attachment; filename*0=\"a.\"; filename*1=exe", `a.exe|a.exe|exe|executable`},
		{"with a fallback", `Content-Disposition: attachment; filename="Resume.pdf"; filename*=UTF-8''R%C3%A9sum%C3%A9.pdf`, `Résumé.pdf|Résumé.pdf,Resume.pdf|pdf|`},
		{"shortcut of macOS", `Content-Disposition: attachment; filename="a.inetloc"`, `a.inetloc|a.inetloc|inetloc|executable`},
		{"add-in of Office", `Content-Disposition: attachment; filename="a.VSTO"`, `a.VSTO|a.VSTO|vsto|executable`},
		{"fallback of another extension", `Content-Disposition: attachment; filename="a.exe"; filename*=UTF-8''a.pdf`, `a.pdf|a.pdf,a.exe|pdf|executable,names-differ`},
		{"twice", `Content-Disposition: attachment; filename=a.txt; filename=a.exe`, `a.txt|a.txt,a.exe|txt|executable,names-differ`},
		{"name and filename", "Content-Disposition: attachment; filename=a.txt\nContent-Type: text/plain; name=b.txt", `a.txt|a.txt,b.txt|txt|names-differ`},
		{"blank in a token", "Content-Disposition: attachment; filename=my report.txt", `my report.txt|my report.txt,my|txt|names-differ`},
		{"double", `Content-Disposition: attachment; filename="invoice.pdf.exe"`, `invoice.pdf.exe|invoice.pdf.exe|exe|double-extension,executable`},
		{"double with blanks", `Content-Disposition: attachment; filename="invoice.pdf               .exe"`, `invoice.pdf .exe|invoice.pdf .exe|exe|double-extension,executable,hidden-extension`},
		{"double for a browser", `Content-Disposition: attachment; filename="scan.pdf.html"`, `scan.pdf.html|scan.pdf.html|html|double-extension,html-document`},
		{"archive of one file", `Content-Disposition: attachment; filename="a.tar.gz"`, `a.tar.gz|a.tar.gz|gz|archive`},
		{"version, not double", `Content-Disposition: attachment; filename="report.v2.1.pdf"`, `report.v2.1.pdf|report.v2.1.pdf|pdf|`},
		{"right to left", "Content-Disposition: attachment; filename*=utf-8''a%E2%80%AEfdp.exe", `afdp.exe|afdp.exe|exe|executable,right-to-left`},
		{"isolate", "Content-Disposition: attachment; filename*=utf-8''a%E2%81%A7fdp.exe", `afdp.exe|afdp.exe|exe|executable,right-to-left`},
		{"mark in Hebrew", "Content-Disposition: attachment; filename*=utf-8''%D7%90%E2%80%8F.pdf", "א.pdf|א.pdf|pdf|"},
		{"NUL", "Content-Disposition: attachment; filename*=utf-8''a.exe%00.pdf", `a.exe.pdf|a.exe.pdf,a.exe|pdf|executable,hidden-extension,names-differ`},
		{"trailing dot", `Content-Disposition: attachment; filename="a.exe."`, `a.exe|a.exe|exe|executable,hidden-extension`},
		{"trailing blanks", `Content-Disposition: attachment; filename="a.exe   "`, `a.exe|a.exe|exe|executable,hidden-extension`},
		{"a slip", `Content-Disposition: attachment; filename="a.pdf "`, `a.pdf|a.pdf|pdf|`},
		{"underscores", `Content-Disposition: attachment; filename="invoice.pdf________________.js"`, `invoice.pdf________________.js|invoice.pdf________________.js|js|double-extension,executable,hidden-extension`},
		{"full-width dot", "Content-Disposition: attachment; filename*=utf-8''a%EF%BC%8Eexe", `a.exe|a.exe|exe|executable`},
		{"zero width", "Content-Disposition: attachment; filename*=utf-8''a.e%E2%80%8Bxe", `a.exe|a.exe|exe|executable`},
		{"path", `Content-Disposition: attachment; filename="..\\..\\x/a.exe"`, `a.exe|a.exe|exe|executable`},
		{"control", "Content-Disposition: attachment; filename*=utf-8''a%0D%0A.exe", `a .exe|a .exe|exe|executable`},
		{"upper case", `Content-Disposition: attachment; filename="A.EXE"`, `A.EXE|A.EXE|exe|executable`},
		{"disk image", `Content-Disposition: attachment; filename="a.iso"`, `a.iso|a.iso|iso|disk-image`},
		{"no extension", `Content-Disposition: attachment; filename="README"`, `README|README||`},
		{"hidden file", `Content-Disposition: attachment; filename=".htaccess"`, `.htaccess|.htaccess|htaccess|`},
		{"no name", `Content-Disposition: attachment`, `|||`},
	} {
		all := objects(t, mixed(test.header+"\n\n\x01\x02"))
		if len(all) != 1 {
			t.Errorf("%s: %d files", test.name, len(all))
			continue
		}
		o := all[0]
		var traits []string
		for _, trait := range o.Traits {
			traits = append(traits, string(trait))
		}
		got := strings.Join([]string{o.Name, strings.Join(o.Names, ","), o.Extension, strings.Join(traits, ",")}, "|")
		if got != test.want {
			t.Errorf("%s:\n got %q\nwant %q", test.name, got, test.want)
		}
	}
}

func TestSniff(t *testing.T) {
	pad := strings.Repeat("\x00", 300)
	iso := strings.Repeat("\x00", 32769) + "CD001"
	pe := "MZ" + strings.Repeat("\x00", 58) + "\x40\x00\x00\x00PE\x00\x00"
	for _, test := range []struct{ name, head, want string }{
		{"empty", "", attach.Unknown},
		{"random", "\x01\x02\x03\x04\x00", attach.Unknown},
		{"text", "Dear Sir,\r\n", "text/plain"},
		{"latin text", "Gr\xfc\xdfe", "text/plain"},
		{"japanese text", "\x1b$B!!\x1b(B", "text/plain"},
		{"utf-16 text", "\xff\xfeH\x00i\x00", "text/plain"},
		{"utf-16 html", "\xff\xfe<\x00h\x00t\x00m\x00l\x00>\x00", "text/html"},
		{"program", pe, "application/vnd.microsoft.portable-executable"},
		{"text that begins with MZ", "MZ is a place", "text/plain"},
		{"ELF", "\x7fELF\x02\x01", "application/x-elf"},
		{"Mach-O", "\xcf\xfa\xed\xfe\x07\x00\x00\x01", "application/x-mach-binary"},
		{"fat Mach-O", "\xca\xfe\xba\xbe\x00\x00\x00\x02", "application/x-mach-binary"},
		{"Java class", "\xca\xfe\xba\xbe\x00\x00\x00\x34", "application/java-vm"},
		{"script", "#!/bin/sh\n", "text/x-script"},
		{"not a script", "#!x", "text/plain"},
		{"PDF", "%PDF-1.7\n", "application/pdf"},
		{"PDF behind something", "x\n%PDF-1.7\n", "application/pdf"},
		{"text about PDF", "It begins with %PDF-1.7", "text/plain"},
		{"RTF", "{\\rtf1", "application/rtf"},
		{"RTF that Word takes", " {\\rt", "application/rtf"},
		{"HTML", "  <!-- x --><!DOCTYPE html><p>", "text/html"},
		{"HTML with a mark", "\xef\xbb\xbf<HTML>", "text/html"},
		{"HTML without a head", "<script>x", "text/html"},
		{"no HTML", "<abc@example.com> wrote", "text/plain"},
		{"no HTML either", "<--", "text/plain"},
		{"XHTML", "<?xml version='1.0'?><html xmlns='x'>", "application/xhtml+xml"},
		{"SVG", "<?xml version='1.0'?><!DOCTYPE svg><svg>", "image/svg+xml"},
		{"bare SVG", "<svg xmlns='x'>", "image/svg+xml"},
		{"XML", "<?xml version='1.0'?><invoice>", "application/xml"},
		{"MHTML", "From: x\nMIME-Version: 1.0\nContent-Type: multipart/related; boundary=x\n", "application/x-mimearchive"},
		{"message", "Received: x\nFrom: a\nTo: b\n", "message/rfc822"},
		{"text with a colon", "From: the desk of\nme", "text/plain"},
		{"RAR 4", "Rar!\x1a\x07\x00", "application/vnd.rar"},
		{"RAR 5", "Rar!\x1a\x07\x01\x00", "application/vnd.rar"},
		{"7z", "7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"},
		{"gzip", "\x1f\x8b\x08", "application/gzip"},
		{"bzip2", "BZh9", "application/x-bzip2"},
		{"xz", "\xfd7zXZ\x00", "application/x-xz"},
		{"cabinet", "MSCF\x00", "application/vnd.ms-cab-compressed"},
		{"tar", strings.Repeat("a", 257) + "ustar", "application/x-tar"},
		{"ISO", iso, "application/x-iso9660-image"},
		{"shortcut", "L\x00\x00\x00\x01\x14\x02\x00", "application/x-ms-shortcut"},
		{"URL", "[InternetShortcut]\r\nURL=x", "application/internet-shortcut"},
		{"help", "ITSF\x03\x00\x00\x00", "application/vnd.ms-htmlhelp"},
		{"JPEG", "\xff\xd8\xff\xe0", "image/jpeg"},
		{"PNG", "\x89PNG\r\n\x1a\n", "image/png"},
		{"GIF", "GIF89a", "image/gif"},
		{"WebP", "RIFF\x00\x00\x00\x00WEBP", "image/webp"},
		{"BMP", "BM\x46\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00" + pad, "image/bmp"},
		{"text that begins with BM", "BMW and others, and so on and on", "text/plain"},
		{"TIFF", "II*\x00\x08", "image/tiff"},
		{"BigTIFF", "II+\x00\x08\x00", "image/tiff"},
		{"MP3 with a checksum", "\xff\xfa\x90\x00", "audio/mpeg"},
		{"AAC of MPEG-2", "\xff\xf9\x50\x80", "audio/aac"},
		{"fonts in one file", "ttcf\x00\x01\x00\x00", "font/collection"},
		{"MP4", "\x00\x00\x00\x18ftypmp42", "video/mp4"},
		{"HEIC", "\x00\x00\x00\x18ftypheic", "image/heic"},
		{"MP3", "ID3\x03", "audio/mpeg"},
		{"OneNote", "\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d\xae\xb1\x53\x78\xd0\x29\x96\xd3", "application/onenote"},
		{"TNEF", "\x78\x9f\x3e\x22", "application/vnd.ms-tnef"},
		{"calendar", "BEGIN:VCALENDAR\r\n", "text/calendar"},
		{"card", "BEGIN:VCARD\r\n", "text/vcard"},
		{"CMS", "\x30\x82\x01\x00\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02", "application/pkcs7-mime"},
		{"CMS of indefinite length", "\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03", "application/pkcs7-mime"},
		{"certificate", "\x30\x82\x01\x00\x30\x82\x00\xf0\xa0\x03\x02\x01\x02", "application/pkix-cert"},
		{"OpenPGP", "-----BEGIN PGP MESSAGE-----\n", "application/pgp-encrypted"},
		{"OpenPGP key", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n", "application/pgp-keys"},
		{"empty ZIP", "PK\x05\x06" + pad, "application/zip"},
		{"broken ZIP", "PK\x03\x04", "application/zip"},
		{"broken compound file", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"},
	} {
		if got := attach.Sniff([]byte(test.head)); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func TestMismatch(t *testing.T) {
	const pe = "MZ\x00\x01"
	for _, test := range []struct {
		name, declared, head string
		want                 bool
	}{
		{"a.pdf", "application/pdf", "%PDF-1.7", false},
		{"a.pdf", "application/octet-stream", "%PDF-1.7", false},
		{"a.pdf", "", pe, true},
		{"a", "application/pdf", pe, true},
		{"a.jpg", "image/jpeg", "\x89PNG\r\n\x1a\n", false}, // another image format is a slip
		{"a.jpg", "image/jpeg", "<svg>", true},
		{"a.txt", "text/plain", "PK\x05\x06", true},
		{"a.txt", "text/plain", "<html>", false},
		{"a.doc", "application/msword", "{\\rtf1", false},
		{"a.doc", "application/msword", "<html>", true},
		{"a.zip", "application/zip", "Rar!\x1a\x07\x00", true},
		{"a.exe", "", pe, false},
		{"a.png", "", "\x00\x01", false}, // unknown contradicts nothing
		{"a.csv", "application/vnd.ms-excel", "a;b", false},
		{"a.xyz", "application/x-xyz", pe, false},
		{"smime.p7s", "application/pkcs7-signature", "\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02", false},
		{"a.pdf", "application/pdf", "", false},
	} {
		o := attach.Identify(test.name, test.declared, []byte(test.head))
		if got := slices.Contains(o.Traits, scan.TypeMismatch); got != test.want {
			t.Errorf("%s as %s with %.10q (%s): %v", test.name, test.declared, test.head, o.Type, got)
		}
	}
}

func TestScan(t *testing.T) {
	program := base64.StdEncoding.EncodeToString([]byte("MZ\x00\x01"))
	for _, test := range []struct {
		name, mail string
		want       []string // section, type, state, method, inline
	}{
		{"text only", "From: a\n\nHello\n", nil},
		{"text and HTML", mixed("Content-Type: text/html\n\n<p>x"), nil},
		{"named text", mixed("Content-Disposition: inline; filename=a.txt\n\nx"), []string{"2 text/plain inspected  false"}},
		{"attached text", mixed("Content-Disposition: attachment\n\nx"), []string{"2 text/plain inspected  false"}},
		{"image in the text", mixed("Content-Type: image/gif\nContent-ID: <x>\n\nGIF89a"), []string{"2 image/gif inspected  true"}},
		{"attached image", mixed("Content-Type: image/gif\nContent-Disposition: attachment\n\nGIF89a"), []string{"2 image/gif inspected  false"}},
		{"program as text", mixed("Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n" + program), []string{"2 application/x-dosexec inspected  false"}},
		{"archive", mixed("Content-Type: application/zip\n\nPK\x05\x06"), []string{"2 application/zip uninspectable not opened false"}},
		{"unknown", mixed("Content-Type: application/x\n\n\x01\x02"), []string{"2 application/octet-stream uninspectable unknown format false"}},
		{"empty", mixed("Content-Type: application/pdf\n\n"), []string{"2 application/octet-stream inspected  false"}},
		{"unknown encoding", mixed("Content-Type: text/plain; name=a\nContent-Transfer-Encoding: x-uuencode\n\nx"), []string{`2 text/plain uninspectable unknown transfer encoding "x-uuencode" false`}},
		{"attached message", mixed("Content-Type: message/rfc822\n\nFrom: a\nTo: b\nSubject: c\nContent-Disposition: attachment; filename=a.txt\n\nx"), []string{"2 message/rfc822 inspected  false", "2.1 text/plain inspected  false"}},
		{"calendar", mixed("Content-Type: text/calendar\n\nBEGIN:VCALENDAR\n"), []string{"2 text/calendar inspected  true"}},
		{"headers of a bounce", mixed("Content-Type: text/rfc822-headers\n\nReceived: x\nTo: b\n"), []string{"2 message/rfc822 inspected  true"}},
		{"no boundary", "From: a\nMIME-Version: 1.0\nContent-Type: multipart/mixed\n\nx\n", []string{" text/plain uninspectable a multipart without parts false"}},
	} {
		var got []string
		for _, o := range objects(t, test.mail) {
			got = append(got, fmt.Sprintf("%s %s %s %s %v", o.Section, o.Type, o.State, o.Method, o.Inline))
			if o.Path != o.Section || o.Depth != 0 {
				t.Errorf("%s: %+v", test.name, o)
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s:\n got %q\nwant %q", test.name, got, test.want)
		}
	}
}

func TestHashAndFindings(t *testing.T) {
	content := []byte("MZ\x00" + strings.Repeat("x", 200_000))
	text := mixed("Content-Disposition: attachment; filename=\"a.pdf.exe\"\nContent-Transfer-Encoding: base64\n\n" + base64.StdEncoding.EncodeToString(content))
	report := attach.New(attach.Options{}).Scan(context.Background(), parse(t, text))
	sum := sha256.Sum256(content)
	if o := report.Objects[0]; o.SHA256 != hex.EncodeToString(sum[:]) || o.Size != int64(len(content)) {
		t.Errorf("%+v", o)
	}
	var kinds []string
	for _, f := range report.Findings {
		kinds = append(kinds, string(f.Kind))
		if f.Section != "2" || f.Count != 1 || f.Detail != "a.pdf.exe" {
			t.Errorf("%+v", f)
		}
	}
	want := []string{"attachment.executable", "attachment.deceptive-name"}
	if !slices.Equal(kinds, want) {
		t.Errorf("findings %q, want %q", kinds, want)
	}
}

func TestLimit(t *testing.T) {
	part := "Content-Disposition: attachment\n\nx"
	report := attach.New(attach.Options{Objects: 2}).Scan(context.Background(), parse(t, mixed(part, part, part, part)))
	if len(report.Objects) != 2 || len(report.Findings) != 1 || report.Findings[0].Kind != attach.Limit {
		t.Errorf("%d files, findings %v", len(report.Objects), report.Findings)
	}
}

// A scan that is cancelled calls nothing inspected.
func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	report := attach.New(attach.Options{}).Scan(ctx, parse(t, mixed("Content-Disposition: attachment; filename=a.exe\n\nx")))
	if o := report.Objects[0]; o.State != scan.Uninspectable || o.SHA256 != "" || !slices.Contains(o.Traits, scan.Executable) {
		t.Errorf("%+v", o)
	}
}

// An inspector opens archives, or panics.
type inspector struct{ panics bool }

func (i inspector) Inspect(_ context.Context, f attach.File) scan.Report {
	f.Object.State, f.Object.Traits = scan.Inspected, append(f.Object.Traits, "opened")
	if i.panics {
		panic("no")
	}
	content, _ := io.ReadAll(f.Open())
	return scan.Report{Objects: []scan.Object{{Path: f.Object.Path + "/x", Depth: 1, Size: int64(len(content))}}}
}

func TestInspectors(t *testing.T) {
	m := parse(t, mixed("Content-Type: application/zip; name=a.zip\n\nPK\x05\x06"))
	report := attach.New(attach.Options{Inspectors: []attach.Inspector{inspector{}}}).Scan(context.Background(), m)
	if len(report.Objects) != 2 || report.Objects[0].State != scan.Inspected || report.Objects[1].Path != "2/x" || report.Objects[1].Size != 4 {
		t.Errorf("%+v", report.Objects)
	}
	report = attach.New(attach.Options{Inspectors: []attach.Inspector{inspector{panics: true}}}).Scan(context.Background(), m)
	o := report.Objects[0]
	fault := slices.ContainsFunc(report.Findings, func(f scan.Finding) bool { return f.Kind == attach.Fault })
	if o.State != scan.Uninspectable || slices.Contains(o.Traits, "opened") || !fault {
		t.Errorf("%+v, %v", o, report.Findings)
	}
}

// The names of the MIME samples are found, tricks and all.
func TestNameSamples(t *testing.T) {
	root := vectors.Path(t, "scan/mime")
	for file, want := range map[string]string{
		"own-name-nul.eml": "", "own-name-rlo.eml": string(scan.RightToLeft), "own-name-trailing-dot-space.eml": string(scan.HiddenExtension),
		"own-name-encoded-word.eml": "", "own-rfc2231-name.eml": "", "own-enc-zip.eml": string(scan.Archive),
	} {
		data, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		all := objects(t, string(data))
		t.Logf("%s: %+v", file, all)
		if len(all) == 0 || all[0].Name == "" {
			t.Errorf("%s: no name in %+v", file, all)
			continue
		}
		if want != "" && !slices.Contains(all[0].Traits, scan.Trait(want)) {
			t.Errorf("%s: no %s in %+v", file, want, all[0])
		}
	}
}

func FuzzScan(f *testing.F) {
	f.Add([]byte(mixed("Content-Disposition: attachment; filename*0*=utf-8''a%00; filename*1=.exe; filename=\"a\\\"b\"\n\nPK\x03\x04")))
	f.Add([]byte(mixed("Content-Type: message/rfc822\n\n" + mixed("Content-Type: image/svg+xml; name==?utf-8?q?=E2=80=AE?=\n\n<svg"))))
	f.Add([]byte("Content-Type: application/x; name*=''%; filename=\n\n\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"))
	s := attach.New(attach.Options{})
	f.Fuzz(func(t *testing.T, mail []byte) {
		for _, o := range s.Scan(context.Background(), parse(t, string(mail))).Objects {
			for _, n := range o.Names {
				if n == "" || !utf8.ValidString(n) || len(n) > 1100 || strings.ContainsAny(n, "\x00\r\n/\\\u202e") {
					t.Errorf("name %q", n)
				}
			}
			if !slices.IsSorted(o.Traits) || o.State == "" || o.Type == "" {
				t.Errorf("%+v", o)
			}
		}
	})
}

func FuzzSniff(f *testing.F) {
	for _, seed := range []string{"PK\x03\x04", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "<!--", "MZ", "\x30\x84", "\xff\xfe<", "RIFF", "<?xml", "\xca\xfe\xba\xbe"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		if attach.Sniff(head) == "" {
			t.Errorf("%q has no type", head)
		}
	})
}

func BenchmarkScan(b *testing.B) {
	content := bytes.Repeat([]byte("PK\x03\x04 some content of an archive "), 18_700_000/35)
	var body bytes.Buffer
	encoded := base64.StdEncoding.EncodeToString(content)
	for i := 0; i < len(encoded); i += 76 {
		body.WriteString(encoded[i:min(i+76, len(encoded))] + "\r\n")
	}
	m := parse(b, mixed("Content-Type: application/zip; name=a.zip\nContent-Transfer-Encoding: base64\n\n"+body.String()))
	s := attach.New(attach.Options{})
	b.SetBytes(m.Size())
	b.ReportAllocs()
	for b.Loop() {
		s.Scan(context.Background(), m)
	}
}
