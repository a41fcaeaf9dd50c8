package message

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// describeTree writes down everything that is indexed.
func describeTree(m *Message) string {
	return describeParts(m.Root) + fmt.Sprint(m.Defects)
}

func describeParts(p *Part) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%q %s %v %s %q %q %d-%d-%d pre%v epi%v closed=%t\n", p.Section, p.MediaType, p.Params, p.Encoding,
		p.Disposition, p.Filename, p.Offset, p.BodyOffset, p.End, p.Preamble, p.Epilogue, p.Closed)
	for _, f := range p.Header {
		fmt.Fprintf(&s, "  %s #%d %q\n", f.Name, f.Nth, f.Raw)
	}
	for _, c := range p.Children {
		s.WriteString(describeParts(c))
	}
	return s.String()
}

// build puts a message together as a milter does, with the body in chunks.
func build(t testing.TB, l Limits, header [][2]string, chunks ...string) *Message {
	t.Helper()
	b := NewBuilder(l)
	for _, f := range header {
		b.AddField(f[0], []byte(f[1]))
	}
	for _, c := range chunks {
		if n, err := b.Write([]byte(c)); n != len(c) || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
	m, err := b.Message(Envelope{QueueID: "4XYZ"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func octetsOf(t testing.TB, m *Message) string {
	t.Helper()
	var out bytes.Buffer
	n, err := m.WriteTo(&out)
	if err != nil || n != int64(out.Len()) || n != m.Size() {
		t.Fatalf("WriteTo = %d, %v; %d octets, size %d", n, err, out.Len(), m.Size())
	}
	return out.String()
}

func codes(m *Message) string {
	var all []string
	for _, d := range m.Defects {
		all = append(all, strings.TrimSuffix(d.Section+" ", " ")+":"+d.Code)
	}
	return strings.Join(all, " ")
}

func TestBuilderKeepsWhatTheMTAHandsOver(t *testing.T) {
	m := build(t, Limits{}, [][2]string{
		{"Received", " from a\n\tby b"},
		{"Subject", "no blank"},
		{"subject ", "  two"},
		{"X-Empty", ""},
		{"X-CRLF", " a\r\n b"},
	}, "Hello\r\n", "", "world\r\n")
	want := "Received: from a\r\n\tby b\r\nSubject:no blank\r\nsubject :  two\r\nX-Empty:\r\nX-CRLF: a\r\n b\r\n\r\nHello\r\nworld\r\n"
	if got := octetsOf(t, m); got != want {
		t.Errorf("octets %q\n  want %q", got, want)
	}
	if m.Envelope.QueueID != "4XYZ" {
		t.Error("envelope is lost")
	}
	if f := m.Header[2]; f.Name != "subject" || f.Nth != 2 || string(f.Value()) != "  two" || f.Text() != "two" {
		t.Errorf("field %+v, value %q", f, f.Value())
	}
	if f := m.Header[0]; string(f.Value()) != " from a\r\n\tby b" || f.Text() != "from a\tby b" {
		t.Errorf("field %+v, value %q, text %q", f, f.Value(), f.Text())
	}
	if f := m.Header[3]; len(f.Value()) != 0 || f.Text() != "" {
		t.Errorf("field %+v", f)
	}
	if n := m.Header.Count("SUBJECT"); n != 2 {
		t.Errorf("%d subjects", n)
	}
	if got := m.Header.Text("x-crlf"); got != "a b" {
		t.Errorf("text %q", got)
	}
	if got := m.Header.Text("absent"); got != "" {
		t.Errorf("text %q", got)
	}
}

func TestHeaderStaysValidWhileFieldsAreAdded(t *testing.T) {
	b := NewBuilder(Limits{})
	b.AddField("A", []byte(" 1"))
	early := b.Header()
	for i := range 1000 {
		b.AddField("B", fmt.Appendf(nil, " %d", i))
	}
	if len(early) != 1 || string(early[0].Raw) != "A: 1\r\n" {
		t.Errorf("early header is now %v", early)
	}
	late := b.Header()
	if len(late) != 1001 || late[1000].Nth != 1000 || string(late[1000].Raw) != "B: 999\r\n" {
		t.Errorf("late header has %d fields, the last is %q", len(late), late[len(late)-1].Raw)
	}
	b.Discard()
}

func TestOccurrenceNumbersOfManyNames(t *testing.T) {
	b := NewBuilder(Limits{Fields: 1000})
	for i := range 300 {
		b.AddField(fmt.Sprintf("X-%d", i%100), nil)
	}
	for i, f := range b.Header() {
		if want := i/100 + 1; f.Nth != want {
			t.Fatalf("field %d, %s, has number %d, want %d", i, f.Name, f.Nth, want)
		}
	}
	var names nameCounter
	names.next("Subject")
	for i := range 2 * fewNames {
		names.next(fmt.Sprint(i))
	}
	if n := names.next("SUBJECT"); n != 2 {
		t.Errorf("number %d, want 2", n)
	}
}

func TestBodyIsTheSameForEveryDivisionIntoChunks(t *testing.T) {
	raw, err := os.ReadFile("testdata/nested.eml")
	if err != nil {
		t.Fatal(err)
	}
	head, text, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	h, _ := parseFields(append(head, "\r\n"...), 100)
	random := rand.New(rand.NewPCG(1, 2))
	var want string
	for round := range 200 {
		b := NewBuilder(Limits{Memory: []int{1, 100, 1 << 20}[round%3], TempDir: t.TempDir()})
		for _, f := range h {
			b.AddField(f.Name, f.Value())
		}
		for rest := text; len(rest) > 0; {
			n := len(rest)
			if round > 0 {
				n = 1 + random.IntN(min(n, 1+round))
			}
			if _, err := b.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		m, err := b.Message(Envelope{})
		if err != nil {
			t.Fatal(err)
		}
		if got := octetsOf(t, m); got != string(raw) {
			t.Fatalf("round %d: other octets", round)
		}
		got := describeTree(m)
		if want == "" {
			want = got
		}
		if got != want {
			t.Fatalf("round %d: other tree\n%s\nwant\n%s", round, got, want)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpenReadsAcrossHeaderAndBody(t *testing.T) {
	for _, memory := range []int{1, 1 << 20} {
		m := build(t, Limits{Memory: memory, TempDir: t.TempDir()}, [][2]string{{"A", " b"}}, "0123456789")
		all := "A: b\r\n\r\n0123456789"
		for start := -2; start <= len(all)+2; start++ {
			for end := -2; end <= len(all)+2; end++ {
				lo, hi := min(max(start, 0), len(all)), min(max(end, 0), len(all))
				want := ""
				if lo < hi {
					want = all[lo:hi]
				}
				got, err := io.ReadAll(m.Open(Range{int64(start), int64(end)}))
				if err != nil || string(got) != want {
					t.Fatalf("Open(%d, %d) = %q, %v; want %q", start, end, got, err, want)
				}
			}
		}
		got, err := io.ReadAll(m.Body())
		if err != nil || string(got) != "0123456789" {
			t.Errorf("Body = %q, %v", got, err)
		}
	}
}

func TestReadDecidesAsPostfix(t *testing.T) {
	tests := []struct{ name, raw, want, names, defects string }{
		{"plain", "A: b\r\n\r\nbody\r\n", "A: b\r\n\r\nbody\r\n", "A", ""},
		{"unix file", "A: b\n c\n\nbody\nend", "A: b\r\n c\r\n\r\nbody\r\nend", "A", ""},
		{"mixed line ends", "A: b\r\nC: d\n\nbody\r\n", "A: b\r\nC: d\r\n\r\nbody\r\n", "A C", ":line.bare-lf"},
		{"blank before colon", "A : b\r\n\r\n", "A : b\r\n\r\n", "A", ":header.blank-before-colon"},
		{"no colon", "A: b\r\nno field\r\nC: d\r\n\r\nbody", "A: b\r\nno field\r\nC: d\r\n\r\nbody", "A", ":header.no-colon"},
		{"blank in name", "A: b\r\nC D: e\r\n\r\n", "A: b\r\nC D: e\r\n\r\n", "A", ":header.no-colon"},
		{"8 bit in name", "A: b\r\nC\xe4: e\r\n\r\n", "A: b\r\nC\xe4: e\r\n\r\n", "A", ":header.no-colon"},
		{"empty name", "A: b\r\n: e\r\n\r\n", "A: b\r\n: e\r\n\r\n", "A", ":header.no-colon"},
		{"NUL in name", "A: b\r\nC\x00: e\r\n\r\n", "A: b\r\nC\x00: e\r\n\r\n", "A", ":header.no-colon :line.nul"},
		{"NUL in value", "A: b\x00c\r\n\r\n", "A: b\x00c\r\n\r\n", "A", ":header.nul"},
		{"CR in value", "A: b\rC: d\r\n\r\n", "A: b\rC: d\r\n\r\n", "A", ":header.bare-cr"},
		{"CR CR LF", "A: b\r\r\n\r\n", "A: b\r\r\n\r\n", "A", ":header.bare-cr"},
		{"CR in body", "A: b\r\n\r\na\rb\r\n", "A: b\r\n\r\na\rb\r\n", "A", ":line.bare-cr"},
		{"leading blank", " A: b\r\nC: d\r\n\r\nbody", " A: b\r\nC: d\r\n\r\nbody", "", ":header.leading-blank"},
		{"mbox", "From a Sat\nA: b\n\nbody\n", "X-Mailbox-Line: From a Sat\r\nA: b\r\n\r\nbody\r\n", "X-Mailbox-Line A", ":header.mbox-from"},
		{"quoted mbox", ">From a\r\nA: b\r\n\r\n", "X-Mailbox-Line: >From a\r\nA: b\r\n\r\n", "X-Mailbox-Line A", ":header.mbox-from"},
		{"From later", "A: b\r\nFrom x\r\n\r\n", "A: b\r\nFrom x\r\n\r\n", "A", ":header.no-colon"},
		{"header only", "A: b\r\nC: d", "A: b\r\nC: d\r\n", "A C", ":header.unended"},
		{"body only", "\r\nbody", "\r\nbody", "", ""},
		{"nothing", "", "", "", ""},
		{"blank continuation", "A: b\r\n \r\nC: d\r\n\r\n", "A: b\r\n \r\nC: d\r\n\r\n", "A C", ":header.fold.blank"},
		{"hidden field", "A: b\r\n Content-Type: text/html\r\n\r\n", "A: b\r\n Content-Type: text/html\r\n\r\n", "A", ":header.fold.mime"},
		{"list of names", "DKIM-Signature: h=a:b\r\n\tcontent-type:mime-version;\r\n\r\n", "DKIM-Signature: h=a:b\r\n\tcontent-type:mime-version;\r\n\r\n", "DKIM-Signature", ""},
		{"twice", "From: a\r\nfrom: b\r\n\r\n", "From: a\r\nfrom: b\r\n\r\n", "From from", ":header.duplicate"},
		{"8 bit", "A: \xe4\r\n\r\n", "A: \xe4\r\n\r\n", "A", ":header.8bit"},
		{"UTF-8", "A: ä\r\n\r\n", "A: ä\r\n\r\n", "A", ""},
	}
	for _, test := range tests {
		m := readBytes(t, []byte(test.raw), Limits{})
		var names []string
		for _, f := range m.Header {
			names = append(names, f.Name)
		}
		if got := octetsOf(t, m); got != test.want {
			t.Errorf("%s: octets %q, want %q", test.name, got, test.want)
		}
		if got := strings.Join(names, " "); got != test.names {
			t.Errorf("%s: fields %q, want %q", test.name, got, test.names)
		}
		if got := codes(m); got != test.defects {
			t.Errorf("%s: defects %q, want %q", test.name, got, test.defects)
		}
	}
}

func TestFieldsThatNoFileCanHold(t *testing.T) {
	m := build(t, Limits{}, [][2]string{{"Bad Name", " a"}, {"A", " b\nC: d"}, {"", " x"}}, "")
	if got, want := codes(m), ":header.name-invalid :header.fold.invalid"; got != want {
		t.Errorf("defects %q, want %q", got, want)
	}
}

func TestLimitsAreVisible(t *testing.T) {
	header := [][2]string{{"A", " 1"}, {"B", " 2"}, {"C", " 3"}}
	tests := []struct {
		name   string
		limits Limits
		want   error
		code   string
		octets string
	}{
		{"none", Limits{}, nil, "", "A: 1\r\nB: 2\r\nC: 3\r\n\r\n0123456789"},
		{"just", Limits{Fields: 3, HeaderOctets: 18, BodyOctets: 10}, nil, "", "A: 1\r\nB: 2\r\nC: 3\r\n\r\n0123456789"},
		{"fields", Limits{Fields: 2}, ErrTooManyFields, ":limit.fields", "A: 1\r\nB: 2\r\n\r\n0123456789"},
		{"header", Limits{HeaderOctets: 17}, ErrHeaderTooLarge, ":limit.header", "A: 1\r\nB: 2\r\n\r\n0123456789"},
		{"body", Limits{BodyOctets: 7}, ErrBodyTooLarge, ":limit.body", "A: 1\r\nB: 2\r\nC: 3\r\n\r\n0123456"},
	}
	for _, test := range tests {
		m := build(t, test.limits, header, "01234", "56789", "")
		if !errors.Is(m.Exceeded(), test.want) {
			t.Errorf("%s: exceeded %v", test.name, m.Exceeded())
		}
		if got := codes(m); got != test.code {
			t.Errorf("%s: defects %q", test.name, got)
		}
		if got := octetsOf(t, m); got != test.octets {
			t.Errorf("%s: octets %q", test.name, got)
		}
		file := "A: 1\nB: 2\nC: 3\n\n0123456789"
		read := readBytes(t, []byte(file), test.limits)
		if got := octetsOf(t, read); got != test.octets {
			t.Errorf("%s: Read gives octets %q", test.name, got)
		}
	}
	b := NewBuilder(Limits{Fields: 1, HeaderOctets: 8, BodyOctets: 1})
	b.AddField("A", []byte(" 1"))
	b.AddField("B", []byte(" 2"))
	b.Write([]byte("xx"))
	for _, want := range []error{ErrTooManyFields, ErrBodyTooLarge} {
		if !errors.Is(b.Exceeded(), want) {
			t.Errorf("%v is not in %v", want, b.Exceeded())
		}
	}
}

// endless is a file without end.
type endless string

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e[i%len(e)]
	}
	return len(p), nil
}

func TestReadOfAnEndlessFileEnds(t *testing.T) {
	l := Limits{Fields: 10, HeaderOctets: 100, BodyOctets: 1 << 16}
	for _, text := range []string{"A: b\n", "a", ":\n", " \n", "A: b\n c\n"} {
		m, err := Read(endless(text), Envelope{}, l)
		if err != nil {
			t.Fatal(err)
		}
		if m.Exceeded() == nil {
			t.Errorf("%q without end: no limit", text)
		}
		m.Close()
	}
	m, err := Read(io.MultiReader(strings.NewReader("A: "), endless("x")), Envelope{}, l)
	if err != nil || !errors.Is(m.Exceeded(), ErrHeaderTooLarge) {
		t.Errorf("endless field: %v", err)
	}
	m.Close()
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }

func TestReadReportsErrorsOfItsReader(t *testing.T) {
	for _, start := range []string{"", "A: b\n", "A: b\n\nbody"} {
		_, err := Read(io.MultiReader(strings.NewReader(start), failing{}), Envelope{}, Limits{})
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after %q: %v", start, err)
		}
	}
}

// openFiles counts the descriptors of the process that lead below dir.
func openFiles(t *testing.T, dir string) (n int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("SKIPPED: no /proc: %v", err)
	}
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(target, dir) {
			n++
		}
	}
	return n
}

func TestSpoolHasNoNameAndEndsWithTheMessage(t *testing.T) {
	dir := t.TempDir()
	l := Limits{Memory: 1000, TempDir: dir}
	body := strings.Repeat("0123456789", 1000)
	b := NewBuilder(l)
	b.Write([]byte(body[:1000]))
	if n := openFiles(t, dir); n != 0 {
		t.Fatalf("%d files for what fits into memory", n)
	}
	b.Write([]byte(body[1000:]))
	if n := openFiles(t, dir); n != 1 {
		t.Fatalf("%d files, want 1", n)
	}
	info, err := b.body.file.Stat()
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) != 0 {
		t.Errorf("the file has a name: %q", names)
	}
	m, err := b.Message(Envelope{})
	if err != nil {
		t.Fatal(err)
	}
	b.Discard() // takes nothing from the message
	got, err := io.ReadAll(m.Body())
	if err != nil || string(got) != body {
		t.Errorf("body of %d octets, %v", len(got), err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if err := m.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if _, err := m.Body().Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("reading after Close: %v", err)
	}
	if n := openFiles(t, dir); n != 0 {
		t.Errorf("%d files left behind", n)
	}
	b = NewBuilder(l)
	b.Write([]byte(body))
	b.Discard()
	b.Discard()
	if n := openFiles(t, dir); n != 0 {
		t.Errorf("%d files left behind by Discard", n)
	}
}

func TestSpoolErrorsSurface(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "absent")
	b := NewBuilder(Limits{Memory: 10, TempDir: dir})
	if _, err := b.Write([]byte("0123456789x")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	if _, err := b.Write(nil); err == nil {
		t.Error("the error is forgotten")
	}
	if m, err := b.Message(Envelope{}); m != nil || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Message = %v, %v", m, err)
	}
	_, err := Read(strings.NewReader("\n0123456789x"), Envelope{}, Limits{Memory: 1, TempDir: dir})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Read: %v", err)
	}
}

func TestFullDiskSurfaces(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("SKIPPED: no /dev/full: %v", err)
	}
	b := NewBuilder(Limits{Memory: 1})
	b.body.file = full
	_, err = b.Write([]byte("too much"))
	if err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("Write: %v", err)
	}
	if _, err := b.Message(Envelope{}); err == nil {
		t.Error("a message came out")
	}
	if _, err := full.Stat(); !errors.Is(err, os.ErrClosed) {
		t.Error("the file is still open")
	}
}

func TestTruncatedSpoolSurfaces(t *testing.T) {
	b := NewBuilder(Limits{Memory: 1, TempDir: t.TempDir()})
	b.AddField("Subject", []byte(" x"))
	b.Write(bytes.Repeat([]byte("0123456789\r\n"), 100000))
	if err := b.body.file.Truncate(100000); err != nil {
		t.Fatal(err)
	}
	if m, err := b.Message(Envelope{}); err == nil {
		m.Close()
		t.Error("no error")
	}
}
