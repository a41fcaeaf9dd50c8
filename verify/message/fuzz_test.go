package message

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-message/mail"
)

// seeds are the mails of testdata.
func seeds(f *testing.F) {
	files, err := filepath.Glob("testdata/*.eml")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
}

// Whatever the octets: no panic, a tree that fits, octets that come out as documented, and the same index from memory,
// from a file, and for any division into chunks.
func FuzzRead(f *testing.F) {
	seeds(f)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := readBytes(t, raw, Limits{Memory: 1 << 20})
		checkTree(t, "fuzz", m)
		var out bytes.Buffer
		if _, err := m.WriteTo(&out); err != nil {
			t.Fatal(err)
		}
		if want := asRead(raw); !bytes.Equal(out.Bytes(), want) {
			t.Fatalf("octets changed: got %q, want %q", out.Bytes(), want)
		}
		for p := range m.Root.Leaves() {
			if _, err := io.Copy(io.Discard, m.Content(p)); err != nil {
				t.Fatal(err)
			}
		}
		spooled := readBytes(t, raw, Limits{Memory: 1, TempDir: dir, window: windowFor(out.Bytes())})
		if got, want := describeTree(spooled), describeTree(m); got != want {
			t.Fatalf("from a file:\n%s\nfrom memory:\n%s", got, want)
		}
		again := readBytes(t, out.Bytes(), Limits{})
		if got, want := describeParts(again.Root), describeParts(m.Root); got != want {
			t.Fatalf("read again:\n%s\nat first:\n%s", got, want)
		}
	})
}

// windowFor returns a window into which the longest line of text fits, so that lines are not cut.
func windowFor(text []byte) int {
	longest := 0
	for line := range bytes.Lines(text) {
		longest = max(longest, len(line))
	}
	return longest + 1
}

// The same for what a milter hands over: a body keeps its line ends, whatever they are.
func FuzzBuilder(f *testing.F) {
	seeds(f)
	f.Add([]byte("--b\n\nx\n--b\r\n\r\n--b\r--b--"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		header := [][2]string{{"MIME-Version", " 1.0"}, {"Content-Type", " multipart/mixed; boundary=b"}}
		m := build(t, Limits{}, header, string(text))
		checkTree(t, "fuzz", m)
		if got, err := io.ReadAll(m.Body()); err != nil || !bytes.Equal(got, text) {
			t.Fatalf("body %q, %v; want %q", got, err, text)
		}
		half := len(text) / 2
		l := Limits{Memory: 1, TempDir: dir, window: windowFor(text)}
		spooled := build(t, l, header, string(text[:half]), string(text[half:]))
		if got, want := describeTree(spooled), describeTree(m); got != want {
			t.Fatalf("from a file:\n%s\nfrom memory:\n%s", got, want)
		}
	})
}

// A From field that is accepted has the one mailbox that another parser, where it accepts the field, finds.
func FuzzAuthor(f *testing.F) {
	for _, seed := range []string{" a@b", " \"x <a@b>\"@c", " A (b) <c@d>", " g: a@b, c@d;", " =?utf-8?q?a?= <a@b>",
		" <@a,@b:c@d>", " a@[1.2.3.4]", " ä@ö.example", " a . b @ c . d", " victim@x <eve@y>", " a@x <a@x>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		a := author(value)
		switch {
		case a.Problem == "" && (a.Fields != 1 || len(a.Mailboxes) != 1):
			t.Fatalf("From:%q is valid with %+v", value, a)
		case a.Problem == AuthorSeveral && len(a.Mailboxes) < 2:
			t.Fatalf("From:%q has several authors: %+v", value, a)
		case a.Problem == AuthorMissing && strings.Contains(withoutComments(value), "@"):
			t.Fatalf("From:%q has no author", value)
		}
		for _, m := range a.Mailboxes {
			if m.Local == "" && a.Problem != "" || m.Domain == "" {
				t.Fatalf("From:%q gives an empty address: %+v", value, a)
			}
		}
		if a.Problem != "" {
			return
		}
		other, err := mail.ParseAddressList(unfold([]byte(value)))
		if err != nil || len(other) != 1 {
			return // it does not know all obsolete forms
		}
		_, domain, _ := cutLast(other[0].Address, "@")
		if canonical, ok := canonicalDomain(domain); ok && canonical != a.Mailboxes[0].Domain {
			t.Fatalf("From:%q has the domain %q here and %q there", value, a.Mailboxes[0].Domain, canonical)
		}
	})
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// withoutComments returns "" for text that is all comments and blanks.
func withoutComments(text string) string {
	p := addressParser{text: unfold([]byte(text))}
	p.blanks()
	return p.text[p.pos:]
}

// Parameters are read without panic, and a value that is written by the rules is read back.
func FuzzParameters(f *testing.F) {
	for _, seed := range []string{"text/plain; charset=utf-8", "a/b; c=\"d\\\"e\"; f*0*=utf-8'en'%41; f*1=b", "a/b (c); d (e) = f",
		"text/html charset=x", "a/b; =; ;; c", "a/b; boundary=\"=?utf-8?q?x?=\"", "a/b; n*=''x; n=\"", "a / b ; c = d"} {
		f.Add(seed, "value")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		var d defects
		s := parseStructured(unfold([]byte(text)), true, 10)
		if len(s.params) > 10 {
			t.Fatalf("%d parameters", len(s.params))
		}
		d.resolve(s.params, "")
		if strings.ContainsAny(value, "\r\n") || strings.Contains(value, "=?") {
			return
		}
		quoted := strings.NewReplacer("\\", "\\\\", "\"", "\\\"").Replace(value)
		s = parseStructured("a/b; c=\""+quoted+"\"; d=e", true, 10)
		got := d.resolve(s.params, "")
		if got["c"] != value || got["d"] != "e" || s.value != "a/b" {
			t.Fatalf("%q is read as %q", value, got)
		}
	})
}

// Decoding of text ends, and gives UTF-8.
func FuzzText(f *testing.F) {
	for _, seed := range []string{" =?utf-8?q?a_=41?= =?utf-8?b?w6Q=?=", " =?x?q?", " a\r\n b", "=?iso-2022-jp?b?GyRCRnxLXBsoQg==?=", " \xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		b := NewBuilder(Limits{})
		b.AddField("Subject", value)
		text := b.Header().Text("subject")
		if strings.ToValidUTF8(text, "") != text {
			t.Fatalf("%q gives %q", value, text)
		}
	})
}

// Whatever is edited in whatever message: the result is read as the same tree, the edited part has the new content, and
// every other leaf the one that it had.
func FuzzRewrite(f *testing.F) {
	files, err := filepath.Glob("testdata/*.eml")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for i, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, uint8(i), uint8(i), []byte("<p>Grüße</p>\n--b\n"))
	}
	f.Add([]byte("Content-Type: multipart/mixed; boundary=b\n\n--b\n--b--"), uint8(0), uint8(1), []byte(""))
	f.Fuzz(func(t *testing.T, raw []byte, which, how uint8, content []byte) {
		m := readBytes(t, raw, Limits{})
		var leaves []*Part
		for p := range m.Root.Leaves() {
			leaves = append(leaves, p)
		}
		p := leaves[int(which)%len(leaves)]
		e := Edit{Part: p, Content: content, Replace: how&1 == 1}
		if e.Replace || how&2 == 2 {
			e.MediaType = [...]string{"text/plain", "text/html", "application/pdf"}[how>>2%3]
		}
		r, err := m.Rewrite([]Edit{e})
		if err != nil {
			if e.MediaType != "" && m.Editable(p) == nil {
				t.Fatal(err)
			}
			return
		}
		var out bytes.Buffer
		if _, err := r.WriteTo(&out); err != nil {
			t.Fatal(err)
		}
		again := readBytes(t, out.Bytes(), Limits{})
		checkTree(t, "fuzz", again)
		compareLeaves(t, m, again, p, content)
	})
}

// compareLeaves compares the leaves of a message before and after one of them was edited.
func compareLeaves(t *testing.T, before, after *Message, edited *Part, content []byte) {
	t.Helper()
	var leaves []*Part
	for p := range after.Root.Leaves() {
		leaves = append(leaves, p)
	}
	for p := range before.Root.Leaves() {
		// A multipart that could not be opened has the section of one, and gets that of a leaf.
		if len(leaves) == 0 || leaves[0].Section != p.Section && !(p == edited && p.isMultipart()) {
			t.Fatalf("part %q: tree\n%s\nbefore\n%s", p.Section, describeTree(after), describeTree(before))
		}
		got, err := io.ReadAll(after.Content(leaves[0]))
		if err != nil {
			t.Fatal(err)
		}
		if p == edited {
			if strings.HasPrefix(leaves[0].MediaType, "text/") {
				content = new(lineEnds).convert(nil, content)
			}
			if !bytes.Equal(got, content) && !bytes.Equal(got, append(bytes.Clone(content), '\r', '\n')) {
				t.Fatalf("part %q: content %q, want %q", p.Section, got, content)
			}
		} else if want, err := io.ReadAll(before.Content(p)); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("part %q: content %q, want %q, %v", p.Section, got, want, err)
		}
		leaves = leaves[1:]
	}
	if len(leaves) > 0 {
		t.Fatalf("new parts:\n%s\nbefore\n%s", describeTree(after), describeTree(before))
	}
}
