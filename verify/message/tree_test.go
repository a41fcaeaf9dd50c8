package message

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// signedShapes are the first parts of a multipart/signed that re-serialising parsers get wrong. The signature covers
// exactly these octets (RFC 1847 Section 2.1).
var signedShapes = []struct{ name, part string }{
	{"normal", "Content-Type: text/plain\r\n\r\nHello\r\n"},
	{"no final line end", "Content-Type: text/plain\r\n\r\nHello"},
	{"folded", "Content-Type: text/plain;\r\n\tcharset=utf-8;\r\n  format=flowed\r\n\r\nHello\r\n"},
	{"odd blanks and case", "content-TYPE:text/plain  \r\nX:\r\nY:   a \r\n\r\nHello \t \r\n"},
	{"quoted-printable", "Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe =\r\nx=20\r\n"},
	{"base64", "Content-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n\r\nSGVsbG8=\r\n"},
	{"8bit", "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xfc\xdfe\r\n"},
	{"nested", "Content-Type: multipart/mixed; boundary=in\r\n\r\npre\r\n--in\r\n\r\na\r\n--in--\r\nepi\r\n"},
	{"nested and unclosed", "Content-Type: multipart/mixed; boundary=in\r\n\r\n--in\r\n\r\na\r\n"},
	{"rfc822", "Content-Type: message/rfc822\r\n\r\nFrom: a@b\r\n\r\ntext\r\n"},
	{"rfc822 with a multipart", "Content-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary=in\r\n\r\n--in\r\n\r\na\r\n--in--\r\n"},
	{"lines of dashes", "\r\n--\r\n-- \r\n----\r\n--bo\r\n---outer\r\n-\r\n"},
	{"empty lines around", "\r\n\r\n\r\nHello\r\n\r\n\r\n"},
	{"no header", "\r\nHello\r\n"},
	{"long line", "\r\n" + strings.Repeat("0123456789", 20000) + "\r\n"},
	{"blank line of blanks", "Content-Type: text/plain\r\n \r\n\r\nHello\r\n"},
	{"header only, no blank line", "Content-Type: text/plain"},
	{"header only", "Content-Type: text/plain\r\n"},
	{"empty", ""},
	{"malformed header line", "Content-Type: text/plain\r\nno field\r\n\r\nHello\r\n"},
	{"empty key", ": x\r\nContent-Type: text/plain\r\n\r\nHello\r\n"},
	{"leading space line", " x\r\nContent-Type: text/plain\r\n\r\nHello\r\n"},
	{"bare LF header", "Content-Type: text/plain\nX: y\n\nHello\nworld\r\n"},
	{"inner boundary begins with the outer", "Content-Type: multipart/mixed; boundary=outer-2\r\n\r\n--outer-2\r\n\r\na\r\n--outer-2--\r\n"},
}

func TestSignedOctets(t *testing.T) {
	if len(signedShapes) != 24 {
		t.Fatalf("%d shapes", len(signedShapes))
	}
	dir := t.TempDir()
	for _, shape := range signedShapes {
		body := "preamble\r\n--outer\r\n" + shape.part + "\r\n--outer\r\n" +
			"Content-Type: application/pkcs7-signature\r\n\r\nMIAG\r\n--outer--\r\nepilogue\r\n"
		for _, memory := range []int{1, 1 << 20} {
			m := build(t, Limits{Memory: memory, TempDir: dir}, [][2]string{{"MIME-Version", " 1.0"},
				{"Content-Type", " multipart/signed; boundary=outer; protocol=\"application/pkcs7-signature\""}}, body)
			checkTree(t, shape.name, m)
			if len(m.Root.Children) != 2 || !m.Root.Closed {
				t.Errorf("%s: %d parts, closed %t", shape.name, len(m.Root.Children), m.Root.Closed)
				continue
			}
			first := m.Root.Children[0]
			if got := octetsIn(t, m, Range{first.Offset, first.End}); got != shape.part {
				t.Errorf("%s: signed octets %q, want %q", shape.name, got, shape.part)
			}
			second := m.Root.Children[1]
			if got := octetsIn(t, m, Range{second.BodyOffset, second.End}); got != "MIAG" {
				t.Errorf("%s: signature %q", shape.name, got)
			}
			if pre, epi := octetsIn(t, m, m.Root.Preamble), octetsIn(t, m, m.Root.Epilogue); pre != "preamble" || epi != "epilogue\r\n" {
				t.Errorf("%s: preamble %q, epilogue %q", shape.name, pre, epi)
			}
		}
	}
}

func octetsIn(t testing.TB, m *Message, r Range) string {
	t.Helper()
	got, err := io.ReadAll(m.Open(r))
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

// shape writes a tree as section=type[children].
func shape(p *Part) string {
	s := p.Section + "=" + p.MediaType
	if len(p.Children) == 0 {
		return s
	}
	var children []string
	for _, c := range p.Children {
		children = append(children, shape(c))
	}
	return s + "[" + strings.Join(children, " ") + "]"
}

func TestTree(t *testing.T) {
	tests := []struct{ name, contentType, body, want, defects string }{
		{"no MIME", "", "text", "1=text/plain", ""},
		{"leaf", "text/html", "x", "1=text/html", ""},
		{"two parts", "multipart/mixed; boundary=b", "--b\r\n\r\na\r\n--b\r\nContent-Type: text/html\r\n\r\nc\r\n--b--\r\n", "=multipart/mixed[1=text/plain 2=text/html]", ""},
		{"quoted boundary", "multipart/mixed; boundary=\"=_(b)'?\"", "--=_(b)'?\r\n\r\na\r\n--=_(b)'?--", "=multipart/mixed[1=text/plain]", ""},
		{"nested", "multipart/mixed; boundary=b", "--b\r\n\r\n\r\n--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n\r\n--c\r\n\r\n--c--\r\n--b\r\n\r\n\r\n--b--",
			"=multipart/mixed[1=text/plain 2=multipart/alternative[2.1=text/plain 2.2=text/plain] 3=text/plain]", ""},
		{"message in multipart", "multipart/mixed; boundary=b", "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\ntext\r\n--b--",
			"=multipart/mixed[1=message/rfc822[1.1=text/plain]]", ""},
		{"message with multipart", "multipart/mixed; boundary=b", "--b\r\n\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\n\r\n--c\r\nContent-Type: multipart/related; boundary=d\r\n\r\n--d\r\n\r\n\r\n--d--\r\n--c--\r\n--b--",
			"=multipart/mixed[1=text/plain 2=message/rfc822[2.TEXT=multipart/mixed[2.1=text/plain 2.2=multipart/related[2.2.1=text/plain]]]]", ""},
		{"message at the top", "message/rfc822", "Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\n\r\n--c--",
			"1=message/rfc822[1.TEXT=multipart/mixed[1.1=text/plain]]", ""},
		{"message in message", "message/rfc822", "Content-Type: message/global\r\n\r\nSubject: x\r\n\r\ntext", "1=message/rfc822[1.1=message/global[1.1.1=text/plain]]", ""},
		{"digest", "multipart/digest; boundary=b", "--b\r\n\r\nSubject: x\r\n\r\ntext\r\n--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--",
			"=multipart/digest[1=message/rfc822[1.1=text/plain] 2=text/plain]", ""},
		{"outer delimiter ends the inner multipart", "multipart/mixed; boundary=b", "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\n\r\n--b\r\n\r\n\r\n--b--",
			"=multipart/mixed[1=multipart/mixed[1.1=text/plain] 2=text/plain]", "1:mime.boundary.unclosed"},
		{"unclosed", "multipart/mixed; boundary=b", "--b\r\n\r\na\r\n", "=multipart/mixed[1=text/plain]", ":mime.boundary.unclosed"},
		{"never found", "multipart/mixed; boundary=b", "text\r\n", "=multipart/mixed", ":mime.boundary.absent"},
		{"no boundary", "multipart/mixed", "--b\r\n", "=multipart/mixed", ":mime.boundary.missing"},
		{"empty boundary", "multipart/mixed; boundary=\"\"", "--\r\n\r\n----", "=multipart/mixed", ":mime.boundary.missing"},
		{"no parts", "multipart/mixed; boundary=b", "--b--\r\n", "=multipart/mixed", ":mime.multipart.empty"},
		{"reused", "multipart/mixed; boundary=b", "--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\na\r\n--b--\r\n",
			"=multipart/mixed[1=multipart/mixed 2=text/plain]", "1:mime.boundary.reused 1:mime.boundary.absent"},
		{"prefix", "multipart/mixed; boundary=b-2", "--b-2\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\na\r\n--b--\r\n--b-2--\r\n",
			"=multipart/mixed[1=multipart/mixed[1.1=text/plain]]", "1:mime.boundary.prefix"},
		{"blank in boundary", "multipart/mixed; boundary=\"b b\"", "--b b\r\n\r\n\r\n--b b--", "=multipart/mixed[1=text/plain]", ":mime.boundary.invalid"},
		{"blank behind boundary", "multipart/mixed; boundary=\"b \"", "--b\r\n\r\n\r\n--b--", "=multipart/mixed[1=text/plain]", ":mime.boundary.invalid"},
		{"boundary too long", "multipart/mixed; boundary=" + strings.Repeat("b", 71), "--" + strings.Repeat("b", 71) + "--", "=multipart/mixed", ":mime.boundary.invalid :mime.multipart.empty"},
		{"blanks behind delimiters", "multipart/mixed; boundary=b", "--b \t\r\n\r\na\r\n--b-- \r\n", "=multipart/mixed[1=text/plain]", ":mime.boundary.blanks"},
		{"garbage behind delimiters", "multipart/mixed; boundary=b", "--b\r\n\r\na\r\n--bx\r\n--b--x\r\n--b -\r\n--b--", "=multipart/mixed[1=text/plain]", ":mime.boundary.garbage"},
		{"indented", "multipart/mixed; boundary=b", " --b\r\n--b\r\n\r\na\r\n--b--", "=multipart/mixed[1=text/plain]", ":mime.boundary.indented"},
		{"delimiter at once again", "multipart/mixed; boundary=b", "--b\r\n--b\r\n--b--", "=multipart/mixed[1=text/plain 2=text/plain]", "1:header.unended 2:header.unended"},
		{"delimiter in epilogue", "multipart/mixed; boundary=b", "--b\r\n\r\n--b--\r\n--b\r\n\r\nx", "=multipart/mixed[1=text/plain]", ":mime.epilogue.boundary"},
		{"field in preamble", "multipart/mixed; boundary=b", "Content-Type: text/html\r\n\r\n--b\r\n\r\n--b--", "=multipart/mixed[1=text/plain]", ":mime.preamble.field"},
		{"field in epilogue", "multipart/mixed; boundary=b", "--b\r\n\r\n--b--\r\ncontent-disposition : x", "=multipart/mixed[1=text/plain]", ":mime.epilogue.field"},
		{"field in body", "multipart/mixed; boundary=b", "--b\r\n\r\n\r\nContent-Transfer-Encoding: base64\r\n\r\n--b--", "=multipart/mixed[1=text/plain]", "1:mime.body.field"},
		{"indented field in body", "multipart/mixed; boundary=b", "--b\r\n\r\n Content-Type: text/html\r\n\r\n--b--", "=multipart/mixed[1=text/plain]", "1:mime.body.field"},
		{"name that passes for a MIME field", "multipart/mixed; boundary=b", "--b\r\nContent-Transfe(r-Encoding: base64\r\nContent_Type: x\r\nX(y: z\r\n\r\n--b--", "=multipart/mixed[1=text/plain]", "1:mime.field.name"},
		{"no empty line in front of a delimiter", "multipart/mixed; boundary=b", "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n--c\r\n\r\na\r\n--c--\r\n--b--",
			"=multipart/mixed[1=multipart/mixed[1.1=text/plain]]", "1:header.no-colon"},
		{"header only", "multipart/mixed; boundary=b", "--b\r\nContent-Type: text/html\r\n--b--", "=multipart/mixed[1=text/html]", "1:header.unended"},
		{"part is no field", "multipart/mixed; boundary=b", "--b\r\ntext\r\n--b--", "=multipart/mixed[1=text/plain]", "1:header.no-colon"},
		{"part begins with a blank", "multipart/mixed; boundary=b", "--b\r\n text\r\n--b--", "=multipart/mixed[1=text/plain]", "1:header.leading-blank"},
		{"encoded multipart", "multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64", "--b\r\n\r\n--b--", "=multipart/mixed[1=text/plain]", ":mime.encoding.multipart"},
		{"encoded message", "message/rfc822\r\nContent-Transfer-Encoding: quoted-printable", "Subject: x\r\n\r\n", "1=message/rfc822", "1:mime.encoding.message"},
		{"boundary on a leaf", "text/plain; boundary=b", "--b", "1=text/plain", "1:mime.boundary.leaf"},
		{"partial", "message/partial; id=x", "", "1=message/partial", "1:mime.message.partial"},
		{"external", "message/external-body", "Content-Type: text/html\r\n\r\n", "1=message/external-body", "1:mime.message.external"},
		{"no type", "text", "", "1=text/plain", "1:mime.type.invalid"},
		{"LF in the body", "multipart/mixed; boundary=b", "--b\n\na\n--b--\n", "=multipart/mixed[1=text/plain]", ":line.bare-lf"},
		{"NUL, CR, long line", "text/plain", "a\x00\rb\r\n" + strings.Repeat("x", 999) + "\r\n", "1=text/plain", ":line.nul :line.bare-cr :line.long"},
		{"line of 998 octets", "text/plain", strings.Repeat("x", 998) + "\r\n", "1=text/plain", ""},
		{"uuencode", "text/plain", "begin 644 a.exe\r\n#0V%T\r\n`\r\nend\r\n", "1=text/plain", "1:mime.inline.uuencode"},
		{"yEnc", "text/plain", "=ybegin line=128 size=1 name=x\r\n", "1=text/plain", "1:mime.inline.yenc"},
		{"BinHex", "text/plain", "(This file must be converted with BinHex 4.0)\r\n", "1=text/plain", "1:mime.inline.binhex"},
		{"begin of a sentence", "text/plain", "begin 2026 with care\r\nbegin with 644 x\r\nbegin 644\r\n", "1=text/plain", "1:mime.inline.uuencode"},
	}
	dir := t.TempDir()
	for _, test := range tests {
		for _, memory := range []int{1, 1 << 20} {
			header := [][2]string{{"MIME-Version", " 1.0"}}
			if test.contentType != "" {
				value, encoding, encoded := strings.Cut(test.contentType, "\r\nContent-Transfer-Encoding:")
				header = append(header, [2]string{"Content-Type", " " + value})
				if encoded {
					header = append(header, [2]string{"Content-Transfer-Encoding", encoding})
				}
			}
			m := build(t, Limits{Memory: memory, TempDir: dir}, header, test.body)
			checkTree(t, test.name, m)
			if got := shape(m.Root); got != test.want {
				t.Errorf("%s: tree %s, want %s", test.name, got, test.want)
			}
			if got := codes(m); got != test.defects {
				t.Errorf("%s: defects %q, want %q", test.name, got, test.defects)
			}
		}
	}
}

func TestNestedMail(t *testing.T) {
	raw, err := os.ReadFile("testdata/nested.eml")
	if err != nil {
		t.Fatal(err)
	}
	m := readBytes(t, raw, Limits{})
	const want = "=multipart/mixed[1=multipart/alternative[1.1=text/plain 1.2=text/html] " +
		"2=message/rfc822[2.TEXT=multipart/mixed[2.1=text/plain 2.2=application/pdf]] 3=message/rfc822[3.1=text/plain]]"
	if got := shape(m.Root); got != want {
		t.Errorf("tree %s\n want %s", got, want)
	}
	if got, want := codes(m), "1:mime.boundary.prefix 2.2:mime.name.differs"; got != want {
		t.Errorf("defects %q, want %q", got, want)
	}
	content := map[string]string{
		"1.1": "Grüße from here", "1.2": "<p>Hello</p>\r\n", "2.1": "first", "2.2": "%PDF-1.4\n", "3.1": "text",
	}
	for p := range m.Root.Leaves() {
		got, err := io.ReadAll(m.Content(p))
		if err != nil || string(got) != content[p.Section] {
			t.Errorf("%s: content %q, %v; want %q", p.Section, got, err, content[p.Section])
		}
		delete(content, p.Section)
	}
	if len(content) > 0 {
		t.Errorf("not seen: %v", content)
	}
	pdf := m.Root.Children[1].Children[0].Children[1]
	if pdf.Filename != "中.pdf" || pdf.Disposition != "attachment" || pdf.Params["name"] != "a.pdf" || pdf.Encoding != "base64" {
		t.Errorf("attachment %+v", pdf)
	}
	if got := octetsIn(t, m, m.Root.Preamble); got != "This is the preamble." {
		t.Errorf("preamble %q", got)
	}
	if got := octetsIn(t, m, m.Root.Epilogue); got != "This is the epilogue.\r\n" {
		t.Errorf("epilogue %q", got)
	}
	if f := pdf.Header[0]; f.Name != "Content-Type" || string(f.Raw) != "Content-Type: application/pdf; name=\"a.pdf\"\r\n" || f.Nth != 1 {
		t.Errorf("field %+v", f)
	}
	for p := range m.Root.Leaves() {
		if p.Section != "1.1" {
			t.Errorf("Leaves goes on after the end")
		}
		break
	}
}

func TestLimitsOfTheTree(t *testing.T) {
	deep := deepMail(100)
	tests := []struct {
		name, raw string
		limits    Limits
		parts     int
		defects   string
	}{
		{"depth", deep, Limits{}, 21, strings.TrimPrefix(strings.Repeat(".1", 20), ".") + ":limit.depth"},
		{"depth of 5", deep, Limits{Depth: 5}, 6, "1.1.1.1.1:limit.depth"},
		{"depth is capped", deepMail(200), Limits{Depth: 1000}, 101, strings.TrimPrefix(strings.Repeat(".1", 100), ".") + ":limit.depth"},
		{"messages", strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 50), Limits{}, 21, strings.TrimPrefix(strings.Repeat(".1", 21), ".") + ":limit.depth"},
		{"parts", manyParts(2000), Limits{}, 1000, ":limit.parts"},
		{"parts of 3", manyParts(3), Limits{Parts: 3}, 3, ":limit.parts"},
		{"parts just", manyParts(2), Limits{Parts: 3}, 3, ""},
		{"part headers", manyParts(20), Limits{HeaderOctets: 100}, 21, "6:limit.header"},
		{"part fields", manyParts(20), Limits{Fields: 1}, 21, "11:limit.fields"},
		{"parameters", "Content-Type: text/plain; a=1; b=2; c=3\r\n\r\n", Limits{Parameters: 2}, 1, "1:limit.parameters"},
	}
	for _, test := range tests {
		m := readBytes(t, []byte(test.raw), test.limits)
		checkTree(t, test.name, m)
		parts := 0
		var count func(p *Part)
		count = func(p *Part) {
			parts++
			for _, c := range p.Children {
				count(c)
			}
		}
		count(m.Root)
		if parts != test.parts {
			t.Errorf("%s: %d parts, want %d", test.name, parts, test.parts)
		}
		got := ""
		for _, d := range m.Defects {
			if strings.HasPrefix(d.Code, "limit.") {
				got = d.Section + ":" + d.Code
				break
			}
		}
		if got != test.defects {
			t.Errorf("%s: defects %s, want %q", test.name, got, test.defects)
		}
	}
}

// deepMail returns a mail with so many multiparts inside each other.
func deepMail(levels int) string {
	var s strings.Builder
	for i := range levels {
		fmt.Fprintf(&s, "Content-Type: multipart/mixed; boundary=b%05d\r\n\r\n--b%05d\r\n", i, i)
	}
	s.WriteString("\r\ntext\r\n")
	for i := levels - 1; i >= 0; i-- {
		fmt.Fprintf(&s, "--b%05d--\r\n", i)
	}
	return s.String()
}

// manyParts returns a mail with so many parts beside each other.
func manyParts(n int) string {
	return "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\nContent-ID: <1>\r\n\r\nx\r\n", n) + "--b--\r\n"
}

// Messages made to cost time or memory. The bounds are loose enough for a busy machine and far below what any
// quadratic step would take.
func TestHostileShapesAreLinear(t *testing.T) {
	const size = 2 << 20
	fill := func(head, seed string) string {
		return head + strings.Repeat(seed, (size-len(head))/len(seed))
	}
	multi := "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
	tests := map[string]string{
		"5,000 levels":          deepMail(5000),
		"levels without end":    fill("", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"),
		"messages without end":  fill("", "Content-Type: message/rfc822\r\n\r\n"),
		"delimiters":            fill(multi, "--b\r\n"),
		"delimiters of dashes":  fill("Content-Type: multipart/mixed; boundary=\"-\"\r\n\r\n", "---\r\n"),
		"almost delimiters":     fill(multi, "--bx\r\n"),
		"indented":              fill(multi, " --b\r\n"),
		"one long line":         fill(multi, "--b"),
		"empty lines":           fill(multi, "\r\n"),
		"LF":                    fill(multi, "\n"),
		"CR":                    fill(multi, "\r"),
		"NUL":                   fill(multi, "\x00"),
		"preamble of fields":    fill(multi, "Content-Type: text/plain\r\n"),
		"epilogue of fields":    fill(multi+"--b\r\n\r\n--b--\r\n", "content-type: text/plain\r\n--b\r\n"),
		"part headers":          fill(multi+"--b\r\n", "Content-Type: text/plain\r\n"),
		"part header in folds":  fill(multi+"--b\r\nContent-Type: text/plain;\r\n", " \r\n"),
		"part header in params": fill(multi+"--b\r\nContent-Type: text/plain;\r\n", " a*0=b;"),
		"base64 junk":           fill("Content-Transfer-Encoding: base64\r\n\r\n", "*= *=\t"),
		"base64 blanks":         fill("Content-Transfer-Encoding: base64\r\n\r\n", "A "),
		"QP escapes":            fill("Content-Transfer-Encoding: quoted-printable\r\n\r\n", "=   ="),
		"QP blanks":             fill("Content-Transfer-Encoding: quoted-printable\r\n\r\n=", " "),
		"header of folds":       fill("Content-Type: text/plain;\r\n", " \r\n"),
		"header of one name":    fill("", "Content-Type: x\r\n"),
		"header of names":       fill("", "a:\r\n"),
		"duplicate types":       "Content-Type: " + strings.Repeat("x", 500000) + "\r\n" + strings.Repeat("Content-Type: x\r\n", 1900),
		"comments":              fill("Content-Type: ", "("),
		"quotes":                fill("Content-Type: a/b; c=", "\"\\"),
		"encoded words":         fill("Content-Type: a/b; name=\"", "=?a?b?"),
		"semicolons":            fill("Content-Type: a/b", ";"),
	}
	for name, raw := range tests {
		start := cpuTime(t)
		m := readBytes(t, []byte(raw), Limits{HeaderOctets: size})
		checkTree(t, name, m)
		for p := range m.Root.Leaves() {
			if _, err := io.Copy(io.Discard, m.Content(p)); err != nil {
				t.Fatal(err)
			}
		}
		if d := cpuTime(t) - start; d > 5*time.Second {
			t.Errorf("%s: %v", name, d)
		} else if testing.Verbose() {
			t.Logf("%-22s %v", name, d)
		}
		if len(m.Defects) > maxDefects+1 {
			t.Errorf("%s: %d defects", name, len(m.Defects))
		}
	}
}

// cpuTime returns what the process has used. Other programs on the machine do not count.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// The index of a long body needs little memory.
func TestMemoryIsBounded(t *testing.T) {
	_, body := ordinaryMail()
	b := NewBuilder(Limits{TempDir: t.TempDir()})
	b.AddField("Content-Type", []byte(" multipart/mixed; boundary=\"----=_Part_0_1\""))
	body = bytes.TrimSuffix(body, []byte("------=_Part_0_1--\r\n"))
	for b.body.size < 100<<20 {
		if _, err := b.Write(body); err != nil {
			t.Fatal(err)
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	m, err := b.Message(Envelope{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 {
		t.Errorf("%d octets allocated for the index of %d", n, m.Size())
	}
	if len(m.Root.Children) < 100 {
		t.Errorf("%d parts", len(m.Root.Children))
	}
}

func TestLineScannerWindows(t *testing.T) {
	// Delimiters and line ends at every position around the end of a window.
	const windowSize = 1000
	for shift := range 40 {
		text := strings.Repeat("x", windowSize-20+shift) + "\r\n--b\r\nContent-Type: text/html\r\n\r\ny\r\n--b--\r\n"
		m := build(t, Limits{Memory: 1, TempDir: t.TempDir(), window: windowSize}, [][2]string{{"Content-Type", " multipart/mixed; boundary=b"}}, text)
		if len(m.Root.Children) != 1 || !m.Root.Closed {
			t.Fatalf("shift %d: %s", shift, shape(m.Root))
		}
		p := m.Root.Children[0]
		if p.MediaType != "text/html" || octetsIn(t, m, Range{p.BodyOffset, p.End}) != "y" ||
			octetsIn(t, m, m.Root.Preamble) != strings.Repeat("x", windowSize-20+shift) || strings.Contains(codes(m), "bare") {
			t.Errorf("shift %d: %s", shift, describeTree(m))
		}
	}
}
