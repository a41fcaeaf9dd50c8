package reading

import (
	"bytes"
	"strings"

	"assay/verify/message"
)

// tolerant reads a message as no standard has it: whatever line reads as a MIME field begins a part, wherever it stands;
// whatever line reads as a delimiter ends one, whatever boundary was announced; lines end in LF, CRLF or CR. Every part so
// found is read as it is, as base64 and as quoted-printable where it has anything of them. So it does not matter which of
// two fields a program chooses, which boundary it uses or how it splits header and body.
func (r *reader) tolerant(m *message.Message, outside *string, depth int) {
	raw, whole, err := r.readAll(m.Open(message.Range{Start: 0, End: m.Size()}))
	if err != nil {
		r.outOfReach("", "file")
		return
	}
	if !whole {
		r.outOfReach("", "part")
	}
	s := splitter{text: raw}
	for s.next() && !r.stopped {
		body := raw[s.start:s.end]
		section := ""
		if outside != nil {
			section = *outside
		} else {
			section = partAt(m.Root, int64(s.start)).Section
		}
		give := func(how How, content []byte) {
			r.give(Reading{Section: section, How: how, Name: s.name, Content: content, Depth: depth, HTML: s.html}, depth)
		}
		if s.base64 || looksLikeBase64(body) {
			give(Encoding, decodeBase64(body))
			for _, content := range restarts(body) {
				give(Base64, content)
			}
		}
		if looksLikeQP(body) {
			give(Encoding, decode(body, "quoted-printable"))
		}
		if s.uuencode {
			give(Encoding, uuLines(body))
		}
		give(Structure, body)
	}
}

// partAt returns the innermost part in which an octet lies.
func partAt(p *message.Part, offset int64) *message.Part {
	for _, c := range p.Children {
		if c.Offset <= offset && offset < c.End {
			return partAt(c, offset)
		}
	}
	return p
}

// A splitter cuts text into the bodies of what could be its parts.
type splitter struct {
	text            []byte
	pos             int // of the line that is read next
	behindDelimiter bool
	quotation       bool // lines with a mark of quotation in front are none of a header

	start, end int    // the body that was found last
	name       string // file name in the fields in front of it, or in those before
	base64     bool   // base64 is named there
	quoted     bool   // quoted-printable is named there
	uuencode   bool   // uuencode is named there
	html       bool   // HTML is named there
}

// next finds the next body and reports whether there is one.
func (s *splitter) next() bool {
	for s.pos < len(s.text) {
		line, n := s.line(s.pos)
		if s.isDelimiter(line, n) {
			s.name, s.base64, s.quoted, s.uuencode, s.html = "", false, false, false, false
			s.pos += n
			s.behindDelimiter = true
			continue
		}
		_, named := fieldName(line)
		if s.isField(line) || named && (s.pos == 0 || s.behindDelimiter) {
			s.fields()
		}
		for s.atField() { // a body, an epilogue or a preamble that begins with fields
			s.fields()
		}
		s.behindDelimiter = false
		s.start = s.pos
		s.body()
		if len(bytes.TrimSpace(s.text[s.start:s.end])) > 0 {
			return true
		}
	}
	return false
}

// atField reports whether a MIME field comes next.
func (s *splitter) atField() bool {
	if s.pos >= len(s.text) {
		return false
	}
	line, n := s.line(s.pos)
	return s.isField(line) && !s.isDelimiter(line, n)
}

// line returns the line at pos without its end, and how many octets it takes with it.
func (s *splitter) line(pos int) (line []byte, n int) {
	text := s.text[pos:]
	n = bytes.IndexAny(text[:min(len(text), maxLine)], "\r\n")
	if n < 0 {
		n = min(len(text), maxLine)
		return text[:n], n
	}
	line = text[:n]
	if n++; text[n-1] == '\r' && n < len(text) && text[n] == '\n' {
		n++
	}
	return line, n
}

// maxLine is where a line is cut: what is longer than any line of a header is none.
const maxLine = 64 << 10

// fields takes the lines of a header, up to an empty line or one that can be no field.
func (s *splitter) fields() {
	for s.pos < len(s.text) {
		line, n := s.line(s.pos)
		_, named := fieldName(line)
		switch {
		case len(line) == 0:
			s.pos += n
			return
		case !named && !s.isField(line) && line[0] != ' ' && line[0] != '\t':
			return
		case s.isDelimiter(line, n):
			return
		}
		s.field(line)
		s.pos += n
	}
}

// field takes what a line of a header says of the body.
func (s *splitter) field(line []byte) {
	lower := make([]byte, len(line)) // by octet: the positions are those in line, whatever charset it is in
	for i, c := range line {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		lower[i] = c
	}
	s.base64 = s.base64 || bytes.Contains(lower, []byte("64"))
	if s.isField(line) {
		s.quoted = s.quoted || bytes.Contains(lower, []byte("quoted"))
		s.uuencode = s.uuencode || bytes.Contains(lower, []byte("uue"))
	}
	s.html = s.html || s.isField(line) && bytes.Contains(withoutControls(lower), []byte("html"))
	if i := bytes.Index(lower, []byte("name=")); i >= 0 {
		name := string(line[i+len("name="):])
		if rest, quoted := strings.CutPrefix(name, "\""); quoted {
			name, _, _ = strings.Cut(rest, "\"")
		} else {
			name, _, _ = strings.Cut(name, ";")
		}
		if name = strings.TrimSpace(strings.Map(printable, name)); name != "" {
			s.name = name
		}
	}
}

// withoutControls returns text without what a reader may drop inside of a token.
func withoutControls(text []byte) []byte {
	return bytes.Map(func(c rune) rune {
		if c <= ' ' || c == 0x7f {
			return -1
		}
		return c
	}, text)
}

func printable(c rune) rune {
	if c < ' ' || c == 0x7f {
		return -1
	}
	return c
}

// body takes the lines up to the next delimiter or MIME field.
func (s *splitter) body() {
	for s.end = s.pos; s.pos < len(s.text); s.end = s.pos {
		line, n := s.line(s.pos)
		switch {
		case s.isDelimiter(line, n): // the line end in front of it belongs to it
			s.end = s.start + len(trimLineEnd(s.text[s.start:s.end]))
			return
		case s.end > s.start && s.isField(line):
			return
		}
		s.pos += n
	}
}

// trimLineEnd returns text without the line end behind it.
func trimLineEnd(text []byte) []byte {
	if rest, found := bytes.CutSuffix(text, []byte("\r\n")); found {
		return rest
	}
	if rest, found := bytes.CutSuffix(text, []byte("\n")); found {
		return rest
	}
	return bytes.TrimSuffix(text, []byte("\r"))
}

// isDelimiter reports whether the line at pos, which takes n octets, can be a delimiter: it begins with two hyphens,
// whatever blanks or other white space stand before, and a header, an empty line, another delimiter or nothing follows.
// The line of a signature, "-- ", has text behind it.
func (s *splitter) isDelimiter(line []byte, n int) bool {
	line = bytes.TrimLeft(line, "\x00 \t\v\f,")
	if !bytes.HasPrefix(line, []byte("--")) {
		return false
	}
	next, _ := s.line(s.pos + n)
	if len(next) == 0 || s.isField(next) || bytes.HasPrefix(bytes.TrimLeft(next, "\x00 \t"), []byte("--")) {
		return true
	}
	_, named := fieldName(next)
	return named
}

// isField reports whether a line reads as a MIME field.
func (s *splitter) isField(line []byte) bool {
	return isSloppyMIMEField(line) && !(s.quotation && isQuoted(line))
}

// isQuoted reports whether a line has the mark in front that replies put before what they quote.
func isQuoted(line []byte) bool {
	line = bytes.TrimLeft(line, " \t")
	return len(line) > 0 && (line[0] == '>' || line[0] == '|')
}

// isSloppyMIMEField reports whether a line names one of the fields that say what a part is to a reader that drops what it
// does not know: blanks, NUL, comments.
func isSloppyMIMEField(line []byte) bool {
	const longest = 60
	if i := bytes.IndexFunc(line[:min(len(line), longest)], isLetter); i < 0 || line[i]|0x20 != 'c' {
		return false
	}
	head, _, _ := bytes.Cut(line[:min(len(line), longest)], []byte(":"))
	name := make([]byte, 0, longest)
	for _, c := range head {
		if isLetter(rune(c)) {
			name = append(name, c|0x20)
		}
	}
	switch string(name) {
	case "contenttype", "contenttransferencoding", "contentdisposition":
		return true
	}
	return false
}

func isLetter(c rune) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
