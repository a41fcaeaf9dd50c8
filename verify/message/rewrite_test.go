package message

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// find returns the part with this section that comes first, nil if there is none.
func find(p *Part, section string) *Part {
	if p.Section == section {
		return p
	}
	for _, c := range p.Children {
		if found := find(c, section); found != nil {
			return found
		}
	}
	return nil
}

// rewritten returns the whole message after edits, having checked that Body, Size and WriteTo say the same.
func rewritten(t testing.TB, m *Message, edits ...Edit) (string, *Rewritten) {
	t.Helper()
	r, err := m.Rewrite(edits)
	if err != nil {
		t.Fatal(err)
	}
	var whole bytes.Buffer
	n, err := r.WriteTo(&whole)
	if err != nil || n != int64(whole.Len()) {
		t.Fatalf("WriteTo: %d octets of %d, %v", n, whole.Len(), err)
	}
	for range 2 {
		body, err := io.ReadAll(r.Body())
		if err != nil || int64(len(body)) != r.Size() || !bytes.HasSuffix(whole.Bytes(), body) {
			t.Fatalf("a body of %d octets has the size %d, %v", len(body), r.Size(), err)
		}
	}
	return whole.String(), r
}

const mixedHeader = "From: a@example.com\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"

func TestRewritePart(t *testing.T) {
	tests := []struct{ name, before, after, part, want string }{
		{"7bit stays", "pre\r\n--b\r\n", "\r\n--b\r\n\r\nother\r\n--b--\r\nepi",
			"Content-Type: text/html\r\nX-Odd :  a\r\n\t b\r\n\r\nold",
			"Content-Type: text/html; charset=utf-8\r\nX-Odd :  a\r\n\t b\r\n\r\nnew\r\n"},
		{"8bit that was none", "--b\r\n", "\r\n--b--\r\n",
			"Content-Type: text/html; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\nold",
			"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nnew\r\n"},
		{"quoted-printable", "--b\r\n", "\r\n--b--\r\n",
			"content-transfer-encoding: Quoted-Printable\r\nContent-Type: text/html\r\n\r\n=41",
			"content-transfer-encoding: Quoted-Printable\r\nContent-Type: text/html; charset=utf-8\r\n\r\nnew\r\n"},
		{"base64 of text", "--b\r\n", "\r\n--b--\r\n",
			"Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\nContent-ID: <1>\r\n\r\nYQ==",
			"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-ID: <1>\r\n\r\nnew\r\n"},
		{"parameters stay", "--b\r\n", "\r\n--b--\r\n",
			"Content-Type: TEXT/HTML; name*=utf-8''%E4%B8%AD.html; Charset=x;\r\n format=\"a \\\"b\\\"\"\r\n\r\nold",
			"Content-Type: text/html; charset=utf-8;\r\n\tformat=\"a \\\"b\\\"\";\r\n\tname*0*=utf-8''%E4%B8%AD.html\r\n\r\nnew\r\n"},
		{"fields that readers choose from become one", "--b\r\n", "\r\n--b--\r\n",
			"Content-Type: text/html\r\nContent-Transfer-Encoding: 7bit\r\nContent-Type: text/plain\r\nContent-transfer-encoding: base64\r\n\r\nold",
			"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\nnew\r\n"},
		{"no header", "--b\r\n", "\r\n--b--\r\n", "\r\nold", "Content-Type: text/html; charset=utf-8\r\n\r\nnew\r\n"},
		{"only a header", "--b\r\n", "\r\n--b--\r\n", "Content-ID: <1>", "Content-ID: <1>\r\nContent-Type: text/html; charset=utf-8\r\n\r\nnew\r\n"},
		{"a line that is no field", "--b\r\n", "\r\n--b--\r\n", "Content-ID: <1>\r\nno field\r\nold",
			"Content-ID: <1>\r\nContent-Type: text/html; charset=utf-8\r\n\r\nnew\r\n"},
		{"nothing between two delimiters", "--b\r\n", "--b--\r\n", "", "Content-Type: text/html; charset=utf-8\r\n\r\nnew\r\n"},
		{"unclosed", "--b\r\n", "", "\r\nold", "Content-Type: text/html; charset=utf-8\r\n\r\nnew\r\n"},
		{"LF", "--b\n", "\n--b--\n", "Content-Type: text/html\nX: y\n\nold", "Content-Type: text/html; charset=utf-8\r\nX: y\n\r\nnew\r\n"},
		{"unknown encoding", "--b\r\n", "\r\n--b--\r\n", "Content-Transfer-Encoding: x\r\n\r\nold",
			"Content-Transfer-Encoding: quoted-printable\r\nContent-Type: text/html; charset=utf-8\r\n\r\nnew\r\n"},
	}
	dir := t.TempDir()
	for _, test := range tests {
		for _, memory := range []int{1, 1 << 20} {
			m := build(t, Limits{Memory: memory, TempDir: dir}, [][2]string{{"From", " a@example.com"}, {"MIME-Version", " 1.0"},
				{"Content-Type", " multipart/mixed; boundary=b"}}, test.before+test.part+test.after)
			got, r := rewritten(t, m, Edit{Part: m.Root.Children[0], MediaType: "text/html", Content: []byte("new\n")})
			if want := mixedHeader + test.before + test.want + test.after; got != want {
				t.Errorf("%s:\n got %q\nwant %q", test.name, got, want)
			}
			if len(r.Changes) > 0 {
				t.Errorf("%s: header changes %v", test.name, r.Changes)
			}
		}
	}
}

func TestRewriteChoosesTheEncoding(t *testing.T) {
	const text = "text/plain"
	long := strings.Repeat("x", 999)
	tests := []struct{ name, mediaType, fields, old, content, encoding string }{
		{"ASCII", text, "", "a", "b", "7bit"},
		{"ASCII in binary", text, "Content-Transfer-Encoding: binary\r\n", "a", "b", "binary"},
		{"line of 998", text, "", "a", long[1:], "7bit"},
		{"line of 999", text, "", "a", long, "quoted-printable"},
		{"umlaut in 7bit", text, "", "a", "Grüße aus München", "quoted-printable"},
		{"umlaut in undeclared 8bit", text, "", "\xfc", "Grüße aus München", "quoted-printable"},
		{"umlaut in 8bit that has none", text, "Content-Transfer-Encoding: 8bit\r\n", "a", "Grüße aus München", "quoted-printable"},
		{"umlaut in 8bit", text, "Content-Transfer-Encoding: 8bit\r\n", "\xfc", "Grüße aus München", "8bit"},
		{"Chinese", text, "", "a", "中文邮件", "base64"},
		{"Chinese in 8bit", text, "Content-Transfer-Encoding: 8bit\r\n", "\xfc", "中文邮件", "8bit"},
		{"NUL", text, "", "a", strings.Repeat("a", 20) + "\x00", "quoted-printable"},
		{"CR", text, "", "a", "a\rb", "base64"},
		{"CR at the end", text, "", "a", "a\r", "base64"},
		{"delimiter", text, "", "a", "a\n--b\nc", "base64"},
		{"delimiter inside of a line", text, "", "a", "a--b", "base64"},
		{"delimiter of the multipart around", text, "", "a", "--outer", "base64"},
		{"delimiter in quoted-printable", text, "", "a", strings.Repeat("x", 75) + "--bä", "base64"},
		{"empty", text, "Content-Transfer-Encoding: base64\r\n", "YQ==", "", "quoted-printable"},
		{"binary", "application/pdf", "Content-Transfer-Encoding: base64\r\n", "YQ==", "%PDF\n\x80\x00\r", "base64"},
		{"ASCII that is no text", "application/json", "", "a", "{}", "7bit"},
		{"ASCII that is no text in base64", "application/json", "Content-Transfer-Encoding: base64\r\n", "YQ==", "{}", "base64"},
		{"LF that is no text", "application/json", "", "a", "{\n}", "base64"},
	}
	for _, test := range tests {
		body := "--outer\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + test.fields + "\r\n" + test.old + "\r\n--b--\r\n--outer--\r\n"
		m := build(t, Limits{}, [][2]string{{"Content-Type", " multipart/mixed; boundary=outer"}}, body)
		got, _ := rewritten(t, m, Edit{Part: find(m.Root, "1.1"), MediaType: test.mediaType, Content: []byte(test.content)})
		again := readBytes(t, []byte(got), Limits{})
		p := find(again.Root, "1.1")
		if p == nil || shape(again.Root) != "=multipart/mixed[1=multipart/mixed[1.1="+test.mediaType+"]]" {
			t.Errorf("%s: %s\n%q", test.name, shape(again.Root), got)
			continue
		}
		if p.Encoding != test.encoding {
			t.Errorf("%s: %s, want %s", test.name, p.Encoding, test.encoding)
		}
		want := test.content
		if test.mediaType == text {
			want = strings.ReplaceAll(want, "\n", "\r\n")
		}
		if content, err := io.ReadAll(again.Content(p)); err != nil || string(content) != want {
			t.Errorf("%s: content %q, %v; want %q", test.name, content, err, want)
		}
		for line := range strings.Lines(got) {
			if len(line) > maxLine+len("\r\n") {
				t.Errorf("%s: a line of %d octets", test.name, len(line))
			}
		}
	}
}

func TestRewriteReplacesAPart(t *testing.T) {
	const rest = "\r\n--b\r\nContent-Type: text/plain; name=kept\r\nContent-ID: <2>\r\n\r\nkept\r\n--b--\r\n"
	parts := []string{
		"Content-Type: application/pdf; name=\"a.pdf\"\r\nContent-Disposition: attachment;\r\n filename=\"a.pdf\"\r\nX-Kept: x\r\n" +
			"Content-ID: <1>\r\nContent-Description: y\r\nContent-Location: z\r\nContent-MD5: w\r\nContent-Transfer-Encoding: base64\r\n\r\nYQ==",
		"Content-Type: multipart/alternative; boundary=c\r\nX-Kept: x\r\n\r\n--c\r\n\r\na\r\n--c\r\n\r\nb\r\n--c--\r\n",
		"Content-Type: message/rfc822\r\nX-Kept: x\r\nContent-Disposition: attachment\r\n\r\nSubject: a\r\n\r\nb",
	}
	for _, part := range parts {
		m := build(t, Limits{}, [][2]string{{"From", " a@example.com"}, {"MIME-Version", " 1.0"},
			{"Content-Type", " multipart/mixed; boundary=b"}}, "--b\r\n"+part+rest)
		got, _ := rewritten(t, m, Edit{Part: m.Root.Children[0], MediaType: "text/plain", Replace: true, Content: []byte("Gone.\n")})
		want := mixedHeader + "--b\r\nContent-Type: text/plain; charset=utf-8\r\nX-Kept: x\r\n"
		if strings.Contains(part, "base64") {
			want += "Content-Transfer-Encoding: quoted-printable\r\n"
		}
		if want += "\r\nGone.\r\n" + rest; got != want {
			t.Errorf("got %q\nwant %q", got, want)
		}
	}
}

func TestRewriteRoot(t *testing.T) {
	tests := []struct{ name, header, body, want, changes string }{
		{"no MIME", "Subject: s\r\n", "old\r\n", "Subject: s\r\nContent-Type: text/html; charset=utf-8\r\nMIME-Version: 1.0\r\n\r\nnew\r\n",
			"Content-Type 0 text/html; charset=utf-8|MIME-Version 0 1.0"},
		{"MIME", "MIME-Version: 1.0\r\nContent-Type: text/html;\r\n charset=x\r\nSubject: s\r\n", "old\r\n",
			"MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\nSubject: s\r\n\r\nnew\r\n", "Content-Type 1 text/html; charset=utf-8"},
		{"encoded", "MIME-Version: 1.0\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n", "YQ==\r\n",
			"MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nnew\r\n",
			"Content-Type 1 text/html; charset=utf-8|Content-Transfer-Encoding 1 quoted-printable"},
		{"several", "Content-Type: text/html\r\nMIME-Version: 1.0\r\ncontent-type: text/plain\r\nContent-Type: a/b\r\n", "old\r\n",
			"Content-Type: text/html; charset=utf-8\r\nMIME-Version: 1.0\r\n\r\nnew\r\n", "Content-Type 3 |Content-Type 2 |Content-Type 1 text/html; charset=utf-8"},
		{"multipart", "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n", "--b\r\n\r\nold\r\n--b--\r\n",
			"MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\nnew\r\n", "Content-Type 1 text/html; charset=utf-8"},
		{"file without an empty line", "A: b", "", "A: b\r\nContent-Type: text/html; charset=utf-8\r\nMIME-Version: 1.0\r\n\r\nnew\r\n",
			"Content-Type 0 text/html; charset=utf-8|MIME-Version 0 1.0"},
		{"empty", "MIME-Version: 1.0\r\n", "", "MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\nnew\r\n",
			"Content-Type 0 text/html; charset=utf-8"},
	}
	for _, test := range tests {
		m := readBytes(t, []byte(test.header+"\r\n"+test.body), Limits{})
		got, r := rewritten(t, m, Edit{Part: m.Root, MediaType: "text/html", Content: []byte("new")})
		var changes []string
		for _, c := range r.Changes {
			changes = append(changes, fmt.Sprintf("%s %d %s", c.Name, c.Nth, c.Value))
		}
		if s := strings.Join(changes, "|"); got != test.want || s != test.changes {
			t.Errorf("%s:\n got %q, %s\nwant %q, %s", test.name, got, s, test.want, test.changes)
		}
	}
}

func TestRewriteRootReplacesFields(t *testing.T) {
	m := readBytes(t, []byte("MIME-Version: 1.0\r\nContent-Type: a/b\r\nContent-Disposition: attachment\r\nContent-Disposition: inline\r\n\r\nold\r\n"), Limits{})
	got, r := rewritten(t, m, Edit{Part: m.Root, MediaType: "text/plain", Replace: true, Content: []byte("new")})
	if want := "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nnew\r\n"; got != want {
		t.Errorf("got %q", got)
	}
	if n := len(r.Changes); n != 3 || r.Changes[n-1] != (FieldChange{Name: "Content-Disposition", Nth: 1}) {
		t.Errorf("changes %v", r.Changes)
	}
}

// A message inside of a message gets a MIME-Version of its own, and the one around it stays as it is.
func TestRewriteNestedMessage(t *testing.T) {
	const before = "Content-Type: message/rfc822\r\n\r\nSubject: s\r\n"
	m := readBytes(t, []byte(before+"\r\nGr\xfc\xdfe\r\n"), Limits{})
	got, _ := rewritten(t, m, Edit{Part: find(m.Root, "1.1"), MediaType: "text/plain", Content: []byte("Grüße aus München")})
	const want = before + "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\nMIME-Version: 1.0\r\n\r\n" +
		"Gr=C3=BC=C3=9Fe aus M=C3=BCnchen\r\n"
	if got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestRewriteKeepsTheType(t *testing.T) {
	const header = "MIME-Version: 1.0\r\nContent-Type: TEXT/calendar;\r\n  method=REQUEST; charset=UTF-8\r\n\r\n"
	m := readBytes(t, []byte(header+"old\r\n"), Limits{})
	if got, r := rewritten(t, m, Edit{Part: m.Root, Content: []byte("new\r\n")}); got != header+"new\r\n" || len(r.Changes) > 0 {
		t.Errorf("got %q, %v", got, r.Changes)
	}
}

func TestRewriteSeveralParts(t *testing.T) {
	raw := mixedHeader + "--b\r\n\r\none\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: s\r\n\r\ntwo\r\n--b\r\n\r\nthree\r\n--b--\r\n"
	m := readBytes(t, []byte(raw), Limits{})
	edit := func(section, content string, replace bool) Edit {
		e := Edit{Part: find(m.Root, section), Content: []byte(content), Replace: replace}
		if replace {
			e.MediaType = "text/plain"
		}
		return e
	}
	got, _ := rewritten(t, m, edit("3", "3", false), edit("1", "1", false))
	if want := strings.NewReplacer("one", "1", "three", "3").Replace(raw); got != want {
		t.Errorf("two parts: %q", got)
	}
	got, _ = rewritten(t, m, edit("2.1", "inside", false), edit("2", "whole", true), edit("1", "as text", false), edit("1", "gone", true))
	want := mixedHeader + "--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\ngone\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nwhole\r\n--b\r\n\r\nthree\r\n--b--\r\n"
	if got != want {
		t.Errorf("an edit inside of another: %q\nwant %q", got, want)
	}
	if got, r := rewritten(t, m); got != raw || r.Size() != int64(len(raw)-len(mixedHeader)) {
		t.Errorf("no edit: %q", got)
	}
}

func TestRewriteRefuses(t *testing.T) {
	m := readBytes(t, []byte(mixedHeader+"--b\r\n\r\none\r\n--b\r\nContent-Type: multipart/mixed; boundary=c\r\nContent-Transfer-Encoding: base64\r\n\r\n"+
		"--c\r\n\r\ntwo\r\n--c--\r\n--b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nYQ==\r\n--b--\r\n"), Limits{})
	other := readBytes(t, []byte("\r\n"), Limits{})
	cut := readBytes(t, []byte(mixedHeader+"--b\r\n\r\n"+strings.Repeat("x", 100)), Limits{BodyOctets: 20})
	fields := readBytes(t, []byte("A: b\r\n\r\n"), Limits{})
	fields.Root.Header = nil // of the root no field is needed to write it again
	header := readBytes(t, []byte(manyParts(20)), Limits{HeaderOctets: 100})
	one := find(m.Root, "1")
	tests := []struct {
		name string
		m    *Message
		want error
		edit []Edit
	}{
		{"nil", m, ErrForeignPart, []Edit{{}}},
		{"other message", m, ErrForeignPart, []Edit{{Part: other.Root}}},
		{"in an encoded multipart", m, ErrEncodedParent, []Edit{{Part: find(m.Root, "2.1")}}},
		{"encoded message stays one", m, ErrMediaType, []Edit{{Part: find(m.Root, "3")}}},
		{"multipart stays one", m, ErrMediaType, []Edit{{Part: m.Root}}},
		{"becomes a multipart", m, ErrMediaType, []Edit{{Part: one, MediaType: "Multipart/mixed"}}},
		{"becomes a message", m, ErrMediaType, []Edit{{Part: one, MediaType: "message/rfc822"}}},
		{"no type", m, ErrMediaType, []Edit{{Part: one, MediaType: "text"}}},
		{"type with a parameter", m, ErrMediaType, []Edit{{Part: one, MediaType: "text/plain; a=b"}}},
		{"type with a line end", m, ErrMediaType, []Edit{{Part: one, MediaType: "text/plain\r\nX: y"}}},
		{"twice", m, ErrConflict, []Edit{{Part: one}, {Part: one}}},
		{"body cut", cut, ErrIncomplete, []Edit{{Part: cut.Root.Children[0]}}},
		{"part header cut", header, ErrIncomplete, []Edit{{Part: header.Root.Children[19]}}},
	}
	for _, test := range tests {
		r, err := test.m.Rewrite(test.edit)
		var e *EditError
		if !errors.Is(err, test.want) || !errors.As(err, &e) || r != nil {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
	_, err := m.Rewrite([]Edit{{Part: one}, {}, {Part: one}, {Part: find(m.Root, "2.1"), MediaType: "x"}})
	const want = "message: editing part \"\": the part does not belong to the message\n" +
		"message: editing part \"1\": two edits of the same part\n" +
		"message: editing part \"2.1\": the part lies in an encoded multipart or message"
	if err == nil || err.Error() != want {
		t.Errorf("errors:\n%v\nwant\n%s", err, want)
	}
	if err := m.Editable(find(m.Root, "2.1")); !errors.Is(err, ErrEncodedParent) {
		t.Errorf("Editable: %v", err)
	}
	for _, section := range []string{"", "1", "2", "3"} {
		if err := m.Editable(find(m.Root, section)); err != nil {
			t.Errorf("Editable %q: %v", section, err)
		}
	}
	if _, err := fields.Rewrite([]Edit{{Part: fields.Root, MediaType: "text/plain"}}); err != nil {
		t.Errorf("root: %v", err)
	}
}

// The octets that are not edited are read again and again from where they are, and not copied.
func TestRewriteStreams(t *testing.T) {
	const size = 20 << 20
	b := NewBuilder(Limits{TempDir: t.TempDir()})
	b.AddField("Content-Type", []byte(" multipart/mixed; boundary=b"))
	io.WriteString(b, "--b\r\n\r\nsmall\r\n--b\r\n\r\n")
	line := []byte(strings.Repeat("x", 998) + "\r\n")
	for n := 0; n < size; n += len(line) {
		if _, err := b.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	io.WriteString(b, "--b--\r\n")
	m, err := b.Message(Envelope{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	allocated := testing.AllocsPerRun(1, func() {
		r, err := m.Rewrite([]Edit{{Part: m.Root.Children[0], Content: []byte("new")}})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, r.Body()); err != nil || n != r.Size() || n < size {
			t.Fatalf("%d octets of %d, %v", n, r.Size(), err)
		}
	})
	if allocated > 100 {
		t.Errorf("%v allocations", allocated)
	}
}
