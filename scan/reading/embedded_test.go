package reading

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"testing"

	"assay/scan"
)

// separated is base64 with something between the digits that only some decoders pass over.
func separated(content, junk string) string {
	return strings.Join(strings.Split(base64.StdEncoding.EncodeToString([]byte(content)), ""), junk)
}

// A file behind MIME fields in the middle of a text is found, whatever is mixed into its encoding.
func TestEmbedded(t *testing.T) {
	const file = "A file of which some programs say that it is in the message."
	const mail = "From: a@x.test\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
	const fields = "Content-Type: application/octet-stream; name=\"a.bin\"\r\nContent-Disposition: attachment; filename=\"a.bin\"\r\n"
	const coded = "Content-Transfer-Encoding: base64\r\n"
	body := strings.TrimPrefix(uuencode("a.bin", []byte(file)), "begin 644 a.bin\r\n")
	_, unmarked, _ := strings.Cut(binHex("a.bin", []byte(file), nil), "\n")
	tests := []struct{ name, raw string }{
		{"blanks", mail + "\r\n" + fields + coded + "\r\n" + separated(file, " ") + "\r\n"},
		{"folded", mail + "\r\n" + fields + coded + "\r\n" + strings.Replace(separated(file, " "), " ", "\r\n ", 20) + "\r\n"},
		{"octets", mail + "\r\n" + fields + coded + "\r\n" + separated(file, "\xcd") + "\r\n"},
		{"two headers", mail + fields + "\r\n" + fields + coded + fields + "Subject: t\r\n\r\n" + separated(file, "\xcd") + "\r\n"},
		{"no empty line in front", mail + fields + coded + "\r\n" + separated(file, "*") + "\r\n"},
		{"no empty line behind", mail + "\r\n" + fields + coded + "Date: Sun, 22 Nov 2026 08:00:00 +0000\r\n" + separated(file, " ") + "\r\n"},
		{"text behind", mail + "\r\n" + fields + coded + "\r\n" + separated(file, " ") + "\r\n\r\nThe end.\r\n"},
		{"in quoted-printable", strings.Replace(mail, "\r\n\r\n", "\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", 1) + "\r\nContent=2DType: a/b\r\n" + coded + "\r\n" +
			strings.ReplaceAll(separated(file, "*"), "=", "=3D") + "\r\n"},
		{"uuencode", mail + "\r\n" + fields + "Content-Transfer-Encoding: x-uuencode\r\n\r\n" + body},
		{"uuencode behind junk", mail + "\r\n" + fields + "Content-Transfer-Encoding: uuencode\r\n\r\na line\r\n" + body},
		{"quoted-printable", mail + "\r\n" + fields + "Content-Transfer-Encoding: quoted-printable\r\n\r\n" + strings.ReplaceAll(file, "s", "=73") + "\r\n"},
		{"quoted-printable without escapes", mail + "\r\n" + fields + "Content-Transfer-Encoding: quoted-printable\r\n\r\n" + strings.ReplaceAll(file, "s", "s=\r\n") + "\r\n"},
		{"delimiters of no boundary", mail + "--b\r\n\r\nhi\r\n--b\r\n" + fields + coded + "\r\n" + separated(file, "-") + "\r\n--b--\r\n"},
		{"as it is", mail + "\r\n" + fields + "\r\n" + file},
		{"empty header", "\r\nTo: b@y.test\r\n--\r\nMIME-Version: 1.0\r\n Content-Type: text/plain; name=a.txt\r\n" + coded + "\r\n" + separated(file, "\xcd") + "\r\nFrom: a@x.test\r\n"},
		{"header ends early", "From: a@x.test\r\n\r\nSubject: t\r\nContent-Type: text/plain; name=a.txt\r\n" + coded + "To: b@y.test\r\n" + separated(file, " ")},
		{"junk behind begin", mail + strings.Replace(uuencode("a.bin", []byte(file)), "a.bin\r\n", "a.bin\r\nTo: b@y.test\r\n\r\n", 1)},
		{"begin and CRCRLF", mail + strings.ReplaceAll(uuencode("a.bin", []byte(file)), "\r\n", "\r\r\n")},
		{"begin and CR", strings.ReplaceAll(mail+"\r\n"+uuencode("a.bin", []byte(file)), "\r\n", "\r")},
		{"BinHex without its mark", mail + unmarked},
		{"BinHex without its mark and with a wrong checksum", mail + unmarked[:strings.LastIndexByte(unmarked, ':')-3] + "rrr:\r\n"},
		{"indented BinHex", mail + "\t " + strings.Replace(binHex("a.bin", []byte(file), nil), ":", " :", 1)},
	}
	for _, test := range tests {
		found := false
		for r := range Readings(read(t, []byte(test.raw)), Limits{}) {
			found = found || bytes.HasPrefix(r.Content, []byte(file))
		}
		if !found {
			t.Errorf("%s: not found in\n%s", test.name, summary(t, test.raw, Limits{}))
		}
	}
}

// quotes are mails with a text that quotes other mails.
func quotes() map[string]string {
	const mail = "From: a@x.test\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nHello,\r\n\r\n"
	const header = "Received: from a.test by b.test; Sun, 22 Nov 2026 08:00:00 +0000\r\nFrom: c@z.test\r\nMIME-Version: 1.0\r\n"
	const named = "Content-Disposition: attachment; filename=\"invoice.exe\"\r\n"
	prose := strings.Repeat("This is what was written there, in 2 or 3 lines; a price of 10=E2=82=AC is named as well.\r\n", 5)
	all := map[string]string{
		"header only": mail + header + "Content-Type: multipart/mixed; boundary=b\r\n",
		"cut off":     mail + header + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nhi\r\n--b\r\n" + named,
		"reply":       mail + "> Content-Type: application/pdf\r\n> " + named + "> Content-Transfer-Encoding: base64\r\n>\r\n> JVBERi0xLjQK\r\n",
		"delivery report": onePart + "Content-Type: text/plain\r\n\r\nNot delivered.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; a.test\r\n\r\n" +
			"--b\r\nContent-Type: text/rfc822-headers\r\n\r\n" + header + "Content-Type: application/pdf; name=a.pdf\r\n" + named + "Content-Transfer-Encoding: base64\r\n\r\n--b--\r\n",
		"text in base64": mail + header + "Content-Type: text/plain; name=a.txt\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b64("Good morning") + "\r\n",
	}
	for _, encoding := range []string{"7bit", "base64", "quoted-printable", "x-uuencode", "binary"} {
		for _, mediaType := range []string{"text/html; charset=utf-8", "application/pdf; name=a.pdf", "application/octet-stream"} {
			fields := "Content-Type: " + mediaType + "\r\n" + named + "Content-Transfer-Encoding: " + encoding + "\r\n"
			all[encoding+" "+mediaType] = mail + header + fields + "\r\n" + prose
			all["digest "+encoding+" "+mediaType] = mail + strings.Repeat("------\r\n\r\n"+header+fields+"\r\n"+prose, 30)
			all["<b> "+encoding+" "+mediaType] = mail + fields + "\r\n<html><body><p>a =3D b</p><script>alert(1)</script></body></html>\r\n"
		}
	}
	return all
}

// Nothing is reported of a mail that quotes headers: virus scanners see what stands there, and that is all.
func TestQuotedHeaders(t *testing.T) {
	for name, raw := range quotes() {
		s := &Scanner{}
		if report := s.Scan(context.Background(), read(t, []byte(raw))); len(report.Findings)+len(report.Objects) > 0 {
			t.Errorf("%s: %+v", name, report)
		}
	}
}

// A file of a known type is reported under the name that stands in front of it.
func TestEmbeddedFileIsReported(t *testing.T) {
	pdf := "%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"
	raw := "From: a@x.test\r\n\r\nhello\r\n\r\nContent-Type: a/b; name=\"a.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\n" + separated(pdf, " ") + "\r\n"
	observed := 0
	s := &Scanner{Observe: func(Reading, string) { observed++ }}
	report := s.Scan(context.Background(), read(t, []byte(raw)))
	if got := fmt.Sprint(kinds(report.Findings)); got != "[mime.hidden]" || len(report.Objects) != 1 {
		t.Fatalf("%s %+v", got, report.Objects)
	}
	if o := report.Objects[0]; o.Name != "a.pdf" || o.Type != "application/pdf" || o.State != scan.Uninspectable {
		t.Errorf("%+v", o)
	}
	if observed != 2 { // the file and the text it is encoded in
		t.Errorf("%d readings observed", observed)
	}
}

func kinds(findings []scan.Finding) (all []scan.Kind) {
	for _, f := range findings {
		all = append(all, f.Kind)
	}
	return all
}

// A text full of headers costs no more than its length.
func TestManyQuotedHeaders(t *testing.T) {
	for _, unit := range []string{
		"Content-Type: a/b\r\n\r\nx\r\n",
		"Content-Transfer-Encoding: base64\r\n\r\nQUJDREVGR0g=\r\n",
		"Content-Transfer-Encoding: quoted-printable\r\n\r\n=41=42\r\n",
		"Content-Transfer-Encoding: x-uuencode\r\n\r\nHELLO\r\n",
		"begin 644 a\r\n", ":\"@%ZBQPZ!%**6N&#58j\"!!!!!!\"%!!!!!$U+@$92)9!P3%&\r\n", "c\r\n", "C:\r\n\r\n",
	} {
		few, many := allocated(t, unit, 1<<18), allocated(t, unit, 1<<20)
		if many > 6*few+1<<20 {
			t.Errorf("%q: %d octets decoded of 256 KiB, %d of 1 MiB", unit, few, many)
		}
	}
}

// allocated returns how many octets the readings of a text have that repeats a unit.
func allocated(t *testing.T, unit string, size int) int {
	t.Helper()
	octets := 0
	raw := "From: a@x.test\r\n\r\n" + strings.Repeat(unit, size/len(unit))
	for r := range Readings(read(t, []byte(raw)), Limits{}) {
		octets += len(r.Content)
	}
	return octets
}

// FuzzEmbedded: any text behind fields is read without panic and within the limits.
func FuzzEmbedded(f *testing.F) {
	for _, raw := range quotes() {
		f.Add([]byte(raw[strings.Index(raw, "\r\n\r\n"):]))
	}
	f.Add([]byte("Content-Transfer-Encoding: uuencode\n\nx\n#86)C\n`\nend"))
	f.Fuzz(func(t *testing.T, body []byte) {
		l := Limits{Octets: 1 << 20, Readings: 50}
		n, octets := 0, 0
		for r := range Readings(read(t, append([]byte("From: a@x.test\r\n\r\n"), body...)), l) {
			if r.How != OutOfReach {
				n, octets = n+1, octets+len(r.Content)
			}
			r.Doubtful()
		}
		if n > l.Readings || int64(octets) > l.Octets {
			t.Fatalf("%d readings, %d octets", n, octets)
		}
	})
}

// BenchmarkQuotedHeaders is a text of 24 MB full of headers.
func BenchmarkQuotedHeaders(b *testing.B) {
	for _, unit := range []string{"Content-Type: a/b\r\n\r\nx\r\n", "Content-Transfer-Encoding: base64\r\n\r\nQUJDREVGR0g=\r\n",
		"Content-Transfer-Encoding: quoted-printable\r\n\r\n=41=42\r\n", "Content-Transfer-Encoding: x-uuencode\r\n\r\nHELLO\r\n", "begin 644 a\r\n", "begin 644 a\r\nx\r\n", ":\"@%ZBQPZ!%**6N&#58j\"!!!!!!\"%!!!!!$U+@$92)9!P3%&\r\n", "Content-\r\n", "a word in a line of seventy characters or so, as there are in many mails\r\n"} {
		b.Run(strings.TrimSpace(unit[:min(len(unit), 40)]), func(b *testing.B) {
			var raw bytes.Buffer
			raw.WriteString("From: a@x.test\r\n\r\n")
			for i := 0; raw.Len() < 24<<20; i++ {
				io.WriteString(&raw, unit)
			}
			m := read(b, raw.Bytes())
			b.SetBytes(int64(raw.Len()))
			for b.Loop() {
				for range Readings(m, Limits{}) {
				}
			}
		})
	}
}
