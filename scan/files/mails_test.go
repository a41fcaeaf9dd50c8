package files

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"assay/scan"
	"assay/scan/inspect"
)

// lines cuts a text into lines that are too short to be taken for base64 by their look.
func lines(s string) string {
	var b strings.Builder
	for len(s) > 20 {
		b.WriteString(s[:20] + "\r\n")
		s = s[20:]
	}
	return b.String() + s + "\r\n"
}

// entity is a MIME entity with the marker, which only those find who decode it.
func entity() string {
	return "Content-Type: application/octet-stream; name=x.com\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		lines(base64.StdEncoding.EncodeToString([]byte("hello "+marker+" there")))
}

// A mail that is a file is decoded however its header begins.
func TestMalwareInAttachedMails(t *testing.T) {
	mail := "From: a@example.com\r\nSubject: x\r\nMIME-Version: 1.0\r\n" + entity()
	var fields strings.Builder
	for n := range 80 {
		fmt.Fprintf(&fields, "X-Field-%d: y\r\n", n)
	}
	separator := "From a@example.com Mon Jan  1 00:00:00 2024\r\n"
	for name, content := range map[string]string{
		"entity.bin":        entity(), // as signatures enclose it
		"fields.eml":        fields.String() + mail,
		"fields.bin":        fields.String() + mail,
		"long.eml":          "X-Long: " + strings.Repeat(strings.Repeat("y", 70)+"\r\n ", 1500) + "y\r\n" + mail,
		"blank.eml":         "\r\n\r\n" + mail,
		"mark.eml":          "\xef\xbb\xbf" + mail,
		"separator.eml":     separator + mail,
		"mailbox":           separator + "From: a@example.com\r\nSubject: one\r\n\r\nhi\r\n\r\n" + separator + mail,
		"carriage.eml":      strings.ReplaceAll(mail, "\r\n", "\r"),
		"one-field.eml":     strings.SplitAfterN(entity(), "\r\n", 2)[1],
		"attached-mail.eml": "From: a@example.com\r\nSubject: o\r\nMIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\r\n" + fields.String() + mail,
	} {
		t.Run(name, func(t *testing.T) {
			s := &scanner{}
			r := New(Options{Engine: inProcess(), Virus: s}).Scan(context.Background(), read(t, attached(name, "x", []byte(content))))
			if r.Virus.State != scan.VirusFound || r.Objects[0].State != scan.Bad {
				t.Errorf("got %+v of %q; asked %q", r.Virus, objects(r), s.asked)
			}
		})
	}
	headless := "From: a@example.com\nMIME-Version: 1.0\nContent-Type: message/rfc822\n\n\n" + strings.ReplaceAll(mail, "\r\n", "\n")
	if r := New(Options{Engine: inProcess(), Virus: &scanner{}}).Scan(context.Background(), read(t, headless)); r.Virus.State != scan.VirusFound {
		t.Errorf("an attached message behind an empty line: %+v", r)
	}
}

// Calendar entries, address cards and addresses of pages carry files too.
func TestMalwareInAddresses(t *testing.T) {
	plain := "hello " + marker + " there"
	b64 := base64.StdEncoding.EncodeToString([]byte(plain))
	folded := strings.ReplaceAll(strings.TrimSuffix(lines(b64), "\r\n"), "\r\n", "\r\n ")
	var escaped strings.Builder
	for _, c := range []byte(plain) {
		fmt.Fprintf(&escaped, "%%%02x", c)
	}
	for name, content := range map[string]string{
		"a.ics": "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nATTACH;ENCODING=BASE64;VALUE=BINARY;FILENAME=x.com:" + folded + "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
		"a.vcf": "BEGIN:VCARD\r\nVERSION:3.0\r\nPHOTO;ENCODING=b:" + folded + "\r\nEND:VCARD\r\n",
		"b.vcf": "BEGIN:VCARD\r\nVERSION:4.0\r\nPHOTO:data:application/octet-stream;base64," + b64 + "\r\nEND:VCARD\r\n",
		"a.htm": "<html><body><a download=x.com href=\"data:application/octet-stream;base64," + b64 + "\">x</a></body></html>",
		"b.htm": "<html><body><a href='DATA:application/octet-stream," + escaped.String() + "'>x</a></body></html>",
		"c.htm": "<html><body><a href=\"data&colon;;base64&comma;" + b64 + "\">x</a></body></html>",
		"a.svg": "<svg xmlns=\"http://www.w3.org/2000/svg\"><a href=\"data:;base64," + b64 + "\"/></svg>",
	} {
		t.Run(name, func(t *testing.T) {
			r := New(Options{Engine: inProcess(), Virus: &scanner{}}).Scan(context.Background(), read(t, attached(name, "x", []byte(content))))
			if r.Virus.State != scan.VirusFound || r.Objects[0].State != scan.Bad {
				t.Errorf("got %+v of %q", r.Virus, objects(r))
			}
		})
	}
	body := "From: a@example.com\nMIME-Version: 1.0\nContent-Type: text/html\n\n<a href=\"data:;base64," + b64 + "\">x</a>\n"
	if r := New(Options{Engine: inProcess(), Virus: &scanner{}}).Scan(context.Background(), read(t, body)); r.Virus.State != scan.VirusFound {
		t.Errorf("in a body: %+v", r)
	}
}

// A page with pictures and fonts in its addresses is no heap of unreadable files.
func TestPageWithPictures(t *testing.T) {
	picture := base64.StdEncoding.EncodeToString(append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), bytes.Repeat([]byte{7}, 300)...))
	font := base64.StdEncoding.EncodeToString(append([]byte("wOF2"), bytes.Repeat([]byte{0x9d, 3, 0xfe}, 300)...))
	page := "<html><style>@font-face{src:url(data:font/woff2;base64," + font + ")}</style>" + strings.Repeat("<img src=\"data:image/png;base64,"+picture+"\">", 600) + "</html>"
	r := New(Options{Engine: inProcess()}).Scan(context.Background(), read(t, attached("a.html", "x", []byte(page))))
	if got := objects(r); len(got) != 1 || got[0] != "2 inspected" {
		t.Errorf("got %q", got)
	}
}

// The same content under another name is another file: a table is looked at as one although it was seen as a text before.
func TestSameContentUnderAnotherName(t *testing.T) {
	table := "=cmd|'/c calc'!A1,2\r\n"
	r := New(Options{Engine: inspect.New(inspect.Options{})}).Scan(context.Background(), read(t, attached("a.zip", "x", zipped(t, "a.txt", table, "b.csv", table))))
	for _, o := range r.Objects {
		if o.Name == "b.csv" && strings.Contains(fmt.Sprint(o.Traits), string(scan.DDE)) {
			return
		}
	}
	t.Errorf("the table does nothing: %+v", r.Objects)
}

// A mail with a uuencoded file is read once: no other reading makes a second, broken file of it.
func TestUuencodedOnce(t *testing.T) {
	body := strings.Repeat("=3D=20", 30) + "\n" // lines that look like quoted-printable when they are encoded
	raw := "From: a@example.com\nSubject: x\nMIME-Version: 1.0\nContent-Type: text/plain\n\nhi\nbegin 644 a.txt\n" + uuencode(body+marker) + "`\nend\n=41 =42\nbye\n"
	r := New(Options{Engine: inProcess(), Virus: &scanner{}}).Scan(context.Background(), read(t, raw))
	if r.Virus.State != scan.VirusFound || len(r.Objects) != 1 || r.Objects[0].Name != "a.txt" {
		t.Errorf("got %+v of %q", r.Virus, objects(r))
	}
}
