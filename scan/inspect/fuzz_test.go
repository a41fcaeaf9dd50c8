package inspect

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"assay/scan"
	"assay/scan/attach"
	"assay/scan/container"
)

// zipped makes a ZIP file of names and contents.
func zipped(pairs ...string) string {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i+1 < len(pairs); i += 2 {
		w, _ := z.Create(pairs[i])
		_, _ = w.Write([]byte(pairs[i+1]))
	}
	_ = z.Close()
	return b.String()
}

// tarred makes a tar file of names and contents.
func tarred(pairs ...string) string {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i+1 < len(pairs); i += 2 {
		_ = w.WriteHeader(&tar.Header{Name: pairs[i], Size: int64(len(pairs[i+1])), Mode: 0o644})
		_, _ = w.Write([]byte(pairs[i+1]))
	}
	_ = w.Close()
	return b.String()
}

// gzipped compresses.
func gzipped(content string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(content))
	_ = w.Close()
	return b.String()
}

// generated are files of many formats, inside of each other and behind each other.
func generated() map[string]string {
	const (
		page  = `<html><body onload="x()"><form action="https://a.example/"></form></body></html>`
		csv   = "name,value\n=cmd|' /C calc'!A0,1\n"
		pdf   = "%PDF-1.4\n1 0 obj<</Type/Catalog/OpenAction<</S/JavaScript/JS(x)>>>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
		rtf   = `{\rtf1{\*\template http://a.example/x}{\object\objdata 0105}}`
		mime  = "From: a@a.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>x\r\n--b--\r\n"
		types = `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/></Types>`
		rels  = `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="a" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>`
		doc   = `<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:instrText>DDEAUTO c:\\x</w:instrText></w:document>`
		ole   = "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
	)
	docx := zipped("[Content_Types].xml", types, "_rels/.rels", rels, "word/document.xml", doc)
	odt := zipped("mimetype", "application/vnd.oasis.opendocument.text", "META-INF/manifest.xml", "<m:manifest xmlns:m=\"x\"/>", "content.xml", "<a/>")
	small := zipped("a.txt", "hello", "b.csv", csv)
	all := map[string]string{
		"a.html": page, "a.csv": csv, "a.pdf": pdf, "a.rtf": rtf, "a.eml": mime, "a.docx": docx, "a.odt": odt, "a.zip": small,
		"a.tar": tarred("a.txt", "hello", "a.zip", small), "a.gz": gzipped(csv), "a.tgz": gzipped(tarred("a.docx", docx)),
		"b.zip": zipped("a.pdf", pdf, "b.zip", small, "c.eml", mime), "c.pdf": pdf + small, "d.gz": gzipped("x") + small,
		"e.tar": tarred("a.zip", small) + small, "f.txt": base64.StdEncoding.EncodeToString([]byte(small)), "g.png": "\x89PNG\r\n\x1a\n" + small,
		"h.doc": ole + strings.Repeat("\xff", 504) + small, "i.exe": "MZ" + strings.Repeat("\x00", 126) + "7z\xbc\xaf\x27\x1c\x00\x04" + small,
		"j.rar": "Rar!\x1a\x07\x01\x00" + small, "k.asc": "-----BEGIN PGP MESSAGE-----\n\nhQEMAw==\n-----END PGP MESSAGE-----\n", "l.p7m": "\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03\xa0\x80",
		"m.svg": `<svg xmlns="http://www.w3.org/2000/svg"><script>x</script></svg>`, "n.ics": "BEGIN:VCALENDAR\r\nATTACH:file://h/a.exe\r\nEND:VCALENDAR\r\n",
		"o.vcf": "BEGIN:VCARD\nURL:\\\\h\\s\nEND:VCARD\n", "p.slk": "ID;P\nC;X1;Y1;ECALL()\nE\n", "q.txt": "begin 644 a.zip\n#0V%T\n`\nend\n",
		"r.iso": strings.Repeat("\x00", 32768) + "\x01CD001\x01" + strings.Repeat("\x00", 2041), "s.mht": "MIME-Version: 1.0\nContent-Type: multipart/related; boundary=b\n\n--b\n\n<script>\n--b--\n",
		"t.xml": `<?xml version="1.0"?><?mso-application progid="Word.Document"?><w:wordDocument/>`, "u.age": "age-encryption.org/v1\n-> X25519 a\n--- b\n",
	}
	for name, content := range all {
		all[name+".zip"] = zipped(name, content)
	}
	return all
}

// fuzzLimits keep one run short.
var fuzzLimits = container.Limits{Members: 200, Octets: 8 << 20, Member: 2 << 20, Free: 1 << 20, Guesses: 10, Time: 2 * time.Second}

// FuzzInspect opens anything with every Reader. Whatever the file is, the result is well-formed, and costs little.
func FuzzInspect(f *testing.F) {
	for name, content := range generated() {
		f.Add(name, []byte(content))
	}
	_ = filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(path, "testdata") || strings.Contains(path, "fuzz") {
			return err
		}
		if b, err := os.ReadFile(path); err == nil && len(b) < 16<<10 {
			f.Add(filepath.Base(path), b)
		}
		return nil
	})
	engine := New(Options{Clock: processorTime})
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		if len(content) > 64<<10 || len(name) > 1000 {
			return
		}
		o := attach.Identify(name, "", content[:min(len(content), attach.Window)])
		o.Path, o.Size = "2", int64(len(content))
		job := Job{Object: o, Content: content, Passwords: []string{"secret"}, Limits: fuzzLimits}
		begun, memory := processorTime(), allocated()
		r, err := engine.Inspect(context.Background(), job, func(string, []byte) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		if took := processorTime() - begun; took > 4*time.Second {
			t.Errorf("it took %v", took)
		}
		if made := allocated() - memory; made > 1<<30 {
			t.Errorf("%d octets allocated", made)
		}
		wellFormed(t, r)
	})
}

// wellFormed checks what holds for every result.
func wellFormed(t *testing.T, r Result) {
	t.Helper()
	classes := []string{"", scan.ClassArchive, scan.ClassDocument, scan.ClassPDF, scan.ClassOpenPGP, scan.ClassSMIME, scan.ClassDisk, scan.ClassOther}
	if len(r.Objects) == 0 || len(r.Objects) > fuzzLimits.Members+2 {
		t.Fatalf("%d objects", len(r.Objects))
	}
	for i, o := range r.Objects {
		switch {
		case o.State != scan.Inspected && o.State != scan.Encrypted && o.State != scan.Uninspectable:
			t.Errorf("%s: state %q", o.Path, o.State)
		case !slices.Contains(classes, o.Class), o.State == scan.Encrypted && o.Class == "":
			t.Errorf("%s: class %q, %s", o.Path, o.Class, o.State)
		case o.State != scan.Inspected && o.Method == "":
			t.Errorf("%s: %s without a reason", o.Path, o.State)
		case o.State == scan.Inspected && (slices.Contains(o.Traits, scan.Bomb) || slices.Contains(o.Traits, scan.SplitVolume)):
			t.Errorf("%s: inspected, with traits %q", o.Path, o.Traits)
		case i > 0 && !strings.HasPrefix(o.Path, "2/"), o.Depth > 9, len(o.Path) > 10*(2*maxPath+1), len(o.Method) > 1000:
			t.Errorf("path %q, depth %d, method %q", o.Path, o.Depth, o.Method)
		case !slices.IsSorted(o.Traits):
			t.Errorf("%s: traits %q", o.Path, o.Traits)
		}
	}
}

// What two files have in common is not enough when they are read in different ways: a table is one by its name.
func TestSameContentUnderAnotherName(t *testing.T) {
	const formula = "a,b\n=cmd|' /C calc'!A0,1\n"
	content := zipped("a.txt", formula, "a.csv", formula)
	o := attach.Identify("a.zip", "", []byte(content))
	o.Path = "2"
	_, r, _ := inspected(t, Options{}, Job{Object: o, Content: []byte(content)})
	if len(r.Objects) != 3 || !slices.Contains(r.Objects[2].Traits, scan.DDE) {
		t.Errorf("%+v", r.Objects)
	}
}
