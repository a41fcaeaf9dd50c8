package files

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"assay/scan"
	"assay/scan/container"
	"assay/scan/inspect"
	"assay/scan/virus"
	"assay/verify/message"
)

// marker is what the virus scanner of these tests calls malware.
const marker = "THIS-IS-THE-MALWARE-OF-OUR-TESTS"

// A scanner is a virus scanner that knows only the marker, in plain: whatever is packed has to be unpacked for it.
type scanner struct {
	mu    sync.Mutex
	asked []string
	err   error
	kind  virus.Kind
}

func (s *scanner) Scan(_ context.Context, name string, open virus.Open) (virus.Verdict, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, name)
	if s.err != nil {
		return virus.Verdict{}, s.err
	}
	r, err := open()
	if err != nil {
		return virus.Verdict{}, err
	}
	content, err := io.ReadAll(r)
	switch {
	case err != nil:
		return virus.Verdict{}, err
	case bytes.Contains(content, []byte(marker)):
		return virus.Verdict{Kind: virus.Infected, Name: "Test.Marker"}, nil
	case s.kind != "":
		return virus.Verdict{Kind: s.kind, Name: "Heuristics.Test"}, nil
	}
	return virus.Verdict{Kind: virus.Clean}, nil
}

// read makes a message of text with LF line ends.
func read(t testing.TB, text string) *message.Message {
	t.Helper()
	m, err := message.Read(strings.NewReader(strings.ReplaceAll(text, "\n", "\r\n")), message.Envelope{}, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// attached makes a message with a text and a file.
func attached(name, text string, content []byte) string {
	return "From: a@example.com\nSubject: test\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\n" +
		text + "\n--b\nContent-Type: application/octet-stream; name=\"" + name + "\"\nContent-Disposition: attachment; filename=\"" + name +
		"\"\nContent-Transfer-Encoding: base64\n\n" + wrap(base64.StdEncoding.EncodeToString(content)) + "\n--b--\n"
}

// wrap breaks a line after 76 characters.
func wrap(s string) string {
	var b strings.Builder
	for len(s) > 76 {
		b.WriteString(s[:76] + "\n")
		s = s[76:]
	}
	return b.String() + s
}

// zipped makes a ZIP file of names and contents.
func zipped(t testing.TB, pairs ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(pairs); i += 2 {
		f, err := w.Create(pairs[i])
		if err == nil {
			_, err = f.Write([]byte(pairs[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// gzipped compresses a content.
func gzipped(content []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(content)
	_ = w.Close()
	return b.Bytes()
}

// inProcess is the engine of the product, in this process.
func inProcess() inspect.Engine { return inspect.New(inspect.Options{}) }

// objects are the objects of a report in words.
func objects(r scan.Report) []string {
	var out []string
	for _, o := range r.Objects {
		out = append(out, strings.TrimRight(fmt.Sprintf("%s %s %s %s", o.Path, o.State, o.Class, o.Method), " "))
	}
	return out
}

func TestScan(t *testing.T) {
	z := zipped(t, "b.txt", "hello", "c.zip", string(zipped(t, "d.txt", "inside")))
	r := New(Options{Engine: inProcess()}).Scan(context.Background(), read(t, attached("a.zip", "see there", z)))
	want := []string{"2 inspected", "2/b.txt inspected", "2/c.zip inspected", "2/c.zip/d.txt inspected"}
	if got := objects(r); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if r.Virus.State != scan.VirusOff {
		t.Errorf("no scanner was asked, and the state is %q", r.Virus.State)
	}
}

// Malware is found however it is packed, and everything around it is called bad.
func TestMalware(t *testing.T) {
	plain := "hello " + marker + " there\n"
	for _, tt := range []struct {
		name, text string
		bad        []string
	}{
		{"attached", attached("a.txt", "x", []byte(plain)), []string{"2"}},
		{"in a ZIP file", attached("a.zip", "x", zipped(t, "b.txt", plain, "c.txt", "clean")), []string{"2", "2/b.txt"}},
		{"in a ZIP file in a ZIP file", attached("a.zip", "x", zipped(t, "b.zip", string(zipped(t, "c.txt", plain)))), []string{"2", "2/b.zip", "2/b.zip/c.txt"}},
		{"compressed", attached("a.txt.gz", "x", gzipped([]byte(plain))), []string{"2", "2/a.txt"}},
		{"a text in base64", "From: a@example.com\nMIME-Version: 1.0\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\n" +
			wrap(base64.StdEncoding.EncodeToString([]byte(plain))) + "\n", nil},
		{"a text in quoted-printable", "From: a@example.com\nMIME-Version: 1.0\nContent-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n" +
			"=54" + marker[1:] + "\n", nil},
		{"uuencoded", "From: a@example.com\nSubject: x\n\nbegin 644 a.txt\n" + uuencode(plain) + "`\nend\n", []string{"1/a.txt"}},
		{"in a mail in a ZIP file", attached("a.zip", "x", zipped(t, "b.eml", strings.ReplaceAll(attached("c.txt", "y", []byte(plain)), "\n", "\r\n"))),
			[]string{"2", "2/b.eml", "2/b.eml/c.txt"}},
		{"in plain text", "From: a@example.com\nSubject: x\n\n" + plain, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &scanner{}
			r := New(Options{Engine: inProcess(), Virus: s}).Scan(context.Background(), read(t, tt.text))
			var bad []string
			for _, o := range r.Objects {
				if o.State == scan.Bad {
					bad = append(bad, o.Path)
				}
			}
			if r.Virus.State != scan.VirusFound || !slices.Equal(r.Virus.Names, []string{"Test.Marker"}) || !slices.Equal(bad, tt.bad) {
				t.Errorf("got %+v, bad %q of %q; asked %q", r.Virus, bad, objects(r), s.asked)
			}
		})
	}
}

// uuencode encodes in lines of 45 octets.
func uuencode(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		n := min(45, len(text))
		line := text[:n]
		text = text[n:]
		b.WriteByte(byte(' ' + n))
		for len(line)%3 != 0 {
			line += "\x00"
		}
		for i := 0; i < len(line); i += 3 {
			v := int(line[i])<<16 | int(line[i+1])<<8 | int(line[i+2])
			for shift := 18; shift >= 0; shift -= 6 {
				c := byte(' ' + v>>shift&63)
				if c == ' ' {
					c = '`'
				}
				b.WriteByte(c)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Without an answer nothing is called clean, and what a scanner notes of its own is no malware.
func TestAnswers(t *testing.T) {
	text := attached("a.txt", "x", []byte("hello"))
	s := &scanner{err: errors.New("connection refused")}
	r := New(Options{Engine: inProcess(), Virus: s}).Scan(context.Background(), read(t, text))
	if r.Virus.State != scan.VirusError || r.Virus.Error != "connection refused" || !hasKind(r, VirusError) {
		t.Errorf("got %+v", r.Virus)
	}
	for kind, want := range map[virus.Kind]scan.State{virus.Encrypted: scan.Inspected, virus.Uninspectable: scan.Uninspectable, virus.Macros: scan.Inspected} {
		r = New(Options{Engine: inProcess(), Virus: &scanner{kind: kind}}).Scan(context.Background(), read(t, text))
		if r.Virus.State != scan.VirusClean || r.Objects[0].State != want || !hasKind(r, VirusNoted) {
			t.Errorf("%s: got %+v, %q", kind, r.Virus, objects(r))
		}
		if macros := slices.Contains(r.Objects[0].Traits, scan.Macros); macros != (kind == virus.Macros) {
			t.Errorf("%s: macros %v", kind, macros)
		}
	}
	r = New(Options{Engine: inProcess(), Virus: &scanner{}}).Scan(context.Background(), read(t, text))
	if r.Virus.State != scan.VirusClean || len(r.Findings) > 0 {
		t.Errorf("got %+v, %v", r.Virus, r.Findings)
	}
}

func hasKind(r scan.Report, kind scan.Kind) bool {
	return slices.ContainsFunc(r.Findings, func(f scan.Finding) bool { return f.Kind == kind })
}

// The same content is sent to the scanners once, wherever it is found.
func TestAskedOnce(t *testing.T) {
	s := &scanner{}
	z := zipped(t, "a.txt", "same", "b.txt", "same", "c.zip", string(zipped(t, "d.txt", "same")))
	New(Options{Engine: inProcess(), Virus: s}).Scan(context.Background(), read(t, attached("a.zip", "x", z)))
	if len(s.asked) != 4 { // the message, a.zip, a.txt, c.zip
		t.Errorf("asked %q", s.asked)
	}
}

// What does not fit into the limits of a message is uninspectable, also when it would be fine alone.
func TestBudget(t *testing.T) {
	z := zipped(t, "a.txt", "1", "b.txt", "2", "c.txt", "3")
	text := strings.TrimSuffix(attached("a.zip", "x", z), "--b--\n")
	text += "--b\nContent-Type: application/zip; name=b.zip\nContent-Transfer-Encoding: base64\n\n" + wrap(base64.StdEncoding.EncodeToString(zipped(t, "d.txt", "4"))) + "\n--b--\n"
	r := New(Options{Engine: inProcess(), Limits: container.Limits{Members: 3}}).Scan(context.Background(), read(t, text))
	got := objects(r)
	if len(got) != 5 || got[0] != "2 inspected" || got[4] != "3 uninspectable  the limits for this message are used up" {
		t.Errorf("got %q", got)
	}
	r = New(Options{Engine: inProcess(), Limits: container.Limits{Member: 100}}).Scan(context.Background(), read(t, text))
	if r.Objects[0].State != scan.Uninspectable || r.Objects[0].Method != "larger than 100 octets" {
		t.Errorf("got %q", objects(r))
	}
}

// An engine that fails makes a file uninspectable, not the message unscanned.
type failing struct{ err error }

func (f failing) Inspect(context.Context, inspect.Job, inspect.Sink) (inspect.Result, error) {
	return inspect.Result{}, f.err
}

func TestEngineFails(t *testing.T) {
	text := attached("a.txt", "x", []byte("hello "+marker))
	r := New(Options{Engine: failing{errors.New("crashed")}, Virus: &scanner{}}).Scan(context.Background(), read(t, text))
	if got := objects(r); !slices.Equal(got, []string{"2 uninspectable  could not be opened: crashed"}) || !hasKind(r, Fault) || r.Virus.State != scan.VirusFound {
		t.Errorf("got %q, %v, %v", got, r.Findings, r.Virus)
	}
}

// A text that is encrypted between its lines is as unreadable as a file.
func TestInline(t *testing.T) {
	block := "-----BEGIN PGP MESSAGE-----\n\nhQEMA0000000000000AQf+\n=abcd\n-----END PGP MESSAGE-----\n"
	for text, want := range map[string]int{"hello\n\n" + block: 1, "> " + strings.ReplaceAll(block, "\n", "\n> "): 0, "hello": 0} {
		r := New(Options{Engine: inProcess()}).Scan(context.Background(), read(t, "From: a@example.com\nSubject: x\n\n"+text))
		if len(r.Objects) != want || want == 1 && (r.Objects[0].State != scan.Encrypted || r.Objects[0].Class != scan.ClassOpenPGP || len(r.Objects[0].SHA256) != 64) {
			t.Errorf("%q: got %q", text, objects(r))
		}
	}
}

// A single file is looked into like an attachment.
func TestFile(t *testing.T) {
	z := zipped(t, "b.txt", marker)
	if r := New(Options{Engine: inProcess()}).File(context.Background(), "a\n.zip\x1b", z); r.Objects[0].Path != "a.zip" || r.Objects[1].Path != "a.zip/b.txt" {
		t.Errorf("control characters in a path: %q", objects(r))
	}
	r := New(Options{Engine: inProcess(), Virus: &scanner{}}).File(context.Background(), "a.zip", z)
	if got := objects(r); !slices.Equal(got, []string{"a.zip bad  Test.Marker", "a.zip/b.txt bad  Test.Marker"}) || r.Virus.State != scan.VirusFound {
		t.Errorf("got %q, %v", got, r.Virus)
	}
}
