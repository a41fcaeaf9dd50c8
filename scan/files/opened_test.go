package files

import (
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"assay/scan"
	"assay/scan/html"
	"assay/scan/inspect"
	"assay/verify/message"
)

// enveloped makes a message that is encrypted with openssl(1) as a whole, for a recipient whose key nobody has.
func enveloped(t *testing.T, entity string) string {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("NOT RUN: no openssl(1), install the package openssl")
	}
	dir := t.TempDir()
	run := func(args ...string) {
		cmd := exec.Command("openssl", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("openssl %q: %v\n%s", args, err, out)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "text"), []byte(entity), 0o600); err != nil {
		t.Fatal(err)
	}
	run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key", "-out", "crt", "-subj", "/CN=bob")
	run("cms", "-encrypt", "-binary", "-aes-256-cbc", "-in", "text", "-outform", "DER", "-out", "object", "crt")
	der, err := os.ReadFile(filepath.Join(dir, "object"))
	if err != nil {
		t.Fatal(err)
	}
	return "From: a@example.com\nSubject: test\nMIME-Version: 1.0\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\n" +
		"Content-Transfer-Encoding: base64\n\n" + wrap(base64.StdEncoding.EncodeToString(der)) + "\n"
}

// withoutHeader is the entity of a message: its content without what a mail server adds.
func withoutHeader(mail string) string {
	return strings.ReplaceAll(mail[strings.Index(mail, "Content-Type"):], "\n", "\r\n")
}

// TestOpened scans what a key of the gateway has opened like a message, and reports everything as being inside of it.
func TestOpened(t *testing.T) {
	clean := withoutHeader(attached("a.zip", "hello", zipped(t, "b.txt", "text of b")))
	infected := withoutHeader(attached("a.zip", "hello", zipped(t, "b.txt", marker)))
	page := "Content-Type: text/html\r\n\r\n<p onclick=\"x()\"><a href=\"http://evil.example/\">x</a></p>\r\n"
	inText := "Content-Type: text/plain\r\n\r\n" + marker + "\r\n"
	again := "Content-Type: application/pkcs7-mime; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		strings.SplitN(strings.ReplaceAll(enveloped(t, clean), "\n", "\r\n"), "\r\n\r\n", 2)[1]
	for _, test := range []struct {
		name, entity string
		closed       bool
		state        scan.State
		paths        []string // of what is inside
		finding      scan.Kind
		link         string
		virus        scan.VirusState
	}{
		{"an archive", clean, false, scan.Inspected, []string{"1/2", "1/2/b.txt"}, "attachment.archive", "", scan.VirusClean},
		{"malware in an archive", infected, false, scan.Bad, []string{"1/2", "1/2/b.txt"}, VirusFound, "", scan.VirusFound},
		{"malware in the text", inText, false, scan.Bad, nil, VirusFound, "", scan.VirusFound},
		{"a page", page, false, scan.Inspected, nil, "html.handler", "http://evil.example/", scan.VirusClean},
		{"encrypted again", again, false, scan.Inspected, []string{"1/1"}, Encrypted, "", scan.VirusClean},
		{"no key", infected, true, scan.Encrypted, nil, Encrypted, "", scan.VirusClean},
	} {
		t.Run(test.name, func(t *testing.T) {
			av := &scanner{}
			opened := 0
			s := New(Options{Engine: inspect.New(inspect.Options{}), Virus: av, Inside: []scan.Scanner{&html.Scanner{}},
				Open: func(m *message.Message) ([]byte, bool) {
					opened++
					return []byte(test.entity), !test.closed
				}})
			r := s.Scan(t.Context(), read(t, enveloped(t, test.entity)))
			if opened != 1 {
				t.Errorf("opened %d times", opened)
			}
			o := r.Objects[0]
			if o.Path != "1" || o.State != test.state || o.Class != scan.ClassSMIME || slices.Contains(o.Traits, scan.OpenedKey) == test.closed || o.Method == "" {
				t.Errorf("%+v", o)
			}
			var paths []string
			for _, o := range r.Objects[1:] {
				paths = append(paths, o.Path)
				if o.Section != "1" || o.Depth < 1 {
					t.Errorf("%s: section %q, depth %d", o.Path, o.Section, o.Depth)
				}
			}
			if !slices.Equal(paths, test.paths) {
				t.Errorf("inside are %q", paths)
			}
			if !slices.ContainsFunc(r.Findings, func(f scan.Finding) bool { return f.Kind == test.finding && f.Section == "1" }) {
				t.Errorf("no %s in %+v", test.finding, r.Findings)
			}
			if test.state == scan.Inspected && test.finding != Encrypted && slices.ContainsFunc(r.Findings, func(f scan.Finding) bool { return f.Kind == Encrypted }) {
				t.Errorf("called encrypted: %+v", r.Findings)
			}
			if test.link != "" && (len(r.Links) != 1 || r.Links[0].URL != test.link || r.Links[0].Section != "1") {
				t.Errorf("links %+v", r.Links)
			}
			for _, remedy := range r.Remedies {
				if !remedy.Signed || remedy.Section != "1" {
					t.Errorf("a remedy that could be made: %+v", remedy)
				}
			}
			if r.Virus.State != test.virus {
				t.Errorf("virus %+v", r.Virus)
			}
		})
	}
}

// TestOpenedOnlyAsAWhole does not ask for keys about a part of a message.
func TestOpenedOnlyAsAWhole(t *testing.T) {
	sealed := enveloped(t, "Content-Type: text/plain\r\n\r\nhello\r\n")
	s := New(Options{Engine: inspect.New(inspect.Options{}), Open: func(*message.Message) ([]byte, bool) {
		t.Error("asked for")
		return nil, false
	}})
	r := s.Scan(t.Context(), read(t, "From: a@example.com\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\n<img src=\"http://x/\n"+
		"--b\n"+sealed[strings.Index(sealed, "Content-Type"):]+"\n--b--\n"))
	if len(r.Objects) != 1 || r.Objects[0].State != scan.Encrypted {
		t.Errorf("%+v", r.Objects)
	}
}
