package message

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime/quotedprintable"
	"slices"
	"strconv"
	"strings"
)

// An encoded is the content of an edited part, ready to be put in its place.
type encoded struct {
	fields []fieldEdit
	body   []byte
}

// A fieldEdit says what becomes of the fields with one name: the first gets the value, or one is added; the others go.
type fieldEdit struct {
	name  string
	value string // folded with LF; "" removes all of them
}

// encode makes the content of e what it will be on the wire, and says how the header of its part changes with it.
func (m *Message) encode(e *Edit) (encoded, error) {
	p := e.Part
	mediaType := p.MediaType
	var c encoded
	if e.MediaType != "" {
		mediaType = strings.ToLower(e.MediaType)
		c.set("Content-Type", contentType(e, mediaType))
	}
	encoding, body, err := m.transferEncode(e, strings.HasPrefix(mediaType, "text/"))
	if err != nil {
		return c, err
	}
	if !declares(p, encoding) {
		c.set("Content-Transfer-Encoding", encoding)
	}
	if len(c.fields) > 0 && (p.Parent == nil || p.Parent.isMessage()) && p.Header.Count("MIME-Version") == 0 {
		c.set("MIME-Version", "1.0")
	}
	if e.Replace {
		for _, name := range [...]string{"Content-Disposition", "Content-ID", "Content-Description", "Content-Location", "Content-MD5"} {
			c.set(name, "")
		}
	}
	c.body, err = m.endLine(p, body)
	return c, err
}

// retype returns the change of the header of a multipart whose type changes.
func retype(e *Edit) encoded {
	var c encoded
	boundary := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(e.Part.Params["boundary"])
	c.set("Content-Type", strings.ToLower(e.MediaType)+";\n boundary=\""+boundary+"\"")
	return c
}

func (c *encoded) set(name, value string) { c.fields = append(c.fields, fieldEdit{name, value}) }

// declares reports whether the header of p says, to every reader alike, that its content has this encoding.
func declares(p *Part, encoding string) bool {
	n := p.Header.Count("Content-Transfer-Encoding")
	return p.Encoding == encoding && (n == 1 || n == 0 && encoding == encoding7Bit)
}

// endLine completes the last line of a body where nothing behind the part does: at the end of the message, and in an
// empty part whose delimiters are on consecutive lines.
func (m *Message) endLine(p *Part, body []byte) ([]byte, error) {
	if bytes.HasSuffix(body, []byte("\n")) {
		return body, nil
	}
	next := make([]byte, 2)
	n, err := m.Open(Range{p.End, p.End + 2}).Read(next)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if n > 0 && next[0] == '\n' || n == 2 && string(next) == "\r\n" || n == 0 && len(body) == 0 {
		return body, nil
	}
	return append(body, '\r', '\n'), nil
}

// part returns header and body of p after the edit. Fields that are not edited stay octet for octet.
func (c *encoded) part(p *Part) []byte {
	out := make([]byte, 0, len(c.body)+256)
	done := make([]bool, len(c.fields))
	for _, f := range p.Header {
		i := slices.IndexFunc(c.fields, func(e fieldEdit) bool { return sameName(e.name, f.Name) })
		switch {
		case i < 0:
			out = append(out, f.Raw...)
			if !bytes.HasSuffix(f.Raw, []byte("\n")) { // a part that is nothing but a header
				out = append(out, '\r', '\n')
			}
		case !done[i] && c.fields[i].value != "":
			out = appendField(out, c.fields[i].name, c.fields[i].value)
		}
		if i >= 0 {
			done[i] = true
		}
	}
	for i, e := range c.fields {
		if !done[i] && e.value != "" {
			out = appendField(out, e.name, e.value)
		}
	}
	out = append(out, '\r', '\n')
	return append(out, c.body...)
}

// changes returns how the top-level header changes when p is the root.
func (c *encoded) changes(p *Part) []FieldChange {
	var out []FieldChange
	for _, e := range c.fields {
		n := p.Header.Count(e.name)
		first := 1
		if e.value != "" {
			first = 2
		}
		for nth := n; nth >= first; nth-- {
			out = append(out, FieldChange{Name: e.name, Nth: nth})
		}
		if e.value != "" {
			out = append(out, FieldChange{Name: e.name, Nth: min(n, 1), Value: e.value})
		}
	}
	return out
}

// transferEncode chooses the transfer encoding of a content, as Rewrite documents it, and applies it.
func (m *Message) transferEncode(e *Edit, text bool) (encoding string, body []byte, err error) {
	content := e.Content
	if text {
		content = new(lineEnds).convert(make([]byte, 0, len(content)+len(content)/32), content)
	}
	shape := examine(content)
	if shape.fits && isIdentity(e.Part.Encoding) && !delimits(e.Part, content) {
		eightBit := false
		if shape.high > 0 && e.Part.Encoding != encoding7Bit {
			if eightBit, err = m.hasHighOctets(Range{e.Part.BodyOffset, e.Part.End}); err != nil {
				return "", nil, err
			}
		}
		if shape.high == 0 || eightBit {
			return e.Part.Encoding, content, nil
		}
	}
	if text && !shape.bareCR && 3*shape.unsafe <= len(content) {
		if body, err = quotedPrintable(content); err != nil {
			return "", nil, err
		}
		if !delimits(e.Part, body) {
			return encodingQP, body, nil
		}
	}
	return encodingBase64, base64Lines(content), nil
}

func isIdentity(encoding string) bool {
	return encoding == encoding7Bit || encoding == encoding8Bit || encoding == encodingBinary
}

// A contentShape says what an encoding has to take care of.
type contentShape struct {
	fits   bool // lines as RFC 5322 has them, each ending in CRLF, and no NUL
	bareCR bool
	high   int // octets above 127
	unsafe int // octets that quoted-printable has to encode
}

func examine(content []byte) contentShape {
	s := contentShape{fits: true}
	line := 0
	for i, c := range content {
		line++
		switch {
		case c == '\n':
			if i == 0 || content[i-1] != '\r' {
				s.fits = false
			}
			line = 0
		case c == '\r':
			if i+1 == len(content) || content[i+1] != '\n' {
				s.bareCR, s.fits = true, false
			}
			line--
		case c >= 0x80:
			s.high++
			s.unsafe++
		case c == 0:
			s.fits = false
			s.unsafe++
		case c == '=' || c < ' ' && c != '\t' || c == 0x7f:
			s.unsafe++
		}
		if line > maxLine {
			s.fits = false
		}
	}
	return s
}

// hasHighOctets reports whether the message has octets above 127 in r.
func (m *Message) hasHighOctets(r Range) (bool, error) {
	src := m.Open(r)
	buf := make([]byte, 16<<10)
	for {
		n, err := src.Read(buf)
		if hasHigh(buf[:n]) {
			return true, nil
		}
		if err == io.EOF {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// delimits reports whether a body has, anywhere, the delimiter of a multipart around p: readers do not agree on what may
// stand before one.
func delimits(p *Part, body []byte) bool {
	for p = p.Parent; p != nil; p = p.Parent {
		boundary := strings.Trim(p.Params["boundary"], " \t")
		if p.isMultipart() && boundary != "" && bytes.Contains(body, []byte("--"+boundary)) {
			return true
		}
	}
	return false
}

// quotedPrintable encodes text whose lines end in CRLF.
func quotedPrintable(text []byte) ([]byte, error) {
	var out bytes.Buffer
	w := quotedprintable.NewWriter(&out)
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// base64Lines encodes content in lines of 76 digits (RFC 2045 Section 6.8). The last line has no end.
func base64Lines(content []byte) []byte {
	const octets, digits = 57, 76
	out := make([]byte, 0, (len(content)/octets+1)*(digits+2))
	for chunk := range slices.Chunk(content, octets) {
		if len(out) > 0 {
			out = append(out, '\r', '\n')
		}
		out = base64.StdEncoding.AppendEncode(out, chunk)
	}
	return out
}

// contentType returns the value of the Content-Type field of an edited part, a parameter on every line.
func contentType(e *Edit, mediaType string) string {
	var b strings.Builder
	b.WriteString(mediaType)
	if strings.HasPrefix(mediaType, "text/") {
		b.WriteString("; charset=utf-8")
	}
	if e.Replace {
		return b.String()
	}
	var names []string
	for name := range e.Part.Params {
		if name == "name" || mediaType == e.Part.MediaType && name != "charset" && name != "boundary" && tokenLen(name) == len(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		appendParameter(&b, name, e.Part.Params[name])
	}
	return b.String()
}

// appendParameter writes a parameter as RFC 2045 has it, and one that is long or not ASCII as RFC 2231 has it.
func appendParameter(b *strings.Builder, name, value string) {
	const long, tooLong = 200, 4096
	if name == "" || len(name) > long || len(value) > tooLong {
		return
	}
	plain := len(value) <= long
	for i := range len(value) {
		plain = plain && value[i] >= ' ' && value[i] < 0x7f
	}
	switch {
	case plain && value != "" && tokenLen(value) == len(value):
		b.WriteString(";\n\t" + name + "=" + value)
	case plain && !strings.Contains(value, "=?"):
		b.WriteString(";\n\t" + name + "=\"" + strings.NewReplacer("\\", "\\\\", "\"", "\\\"").Replace(value) + "\"")
	default:
		appendExtended(b, name, value)
	}
}

// appendExtended writes a parameter in pieces (RFC 2231 Section 4.1).
func appendExtended(b *strings.Builder, name, value string) {
	const pieceOctets, hex = 60, "0123456789ABCDEF"
	prefix := "utf-8''"
	for i := 0; value != ""; i++ {
		b.WriteString(";\n\t" + name + "*" + strconv.Itoa(i) + "*=" + prefix)
		prefix = ""
		n := min(len(value), pieceOctets)
		for _, c := range []byte(value[:n]) {
			if isAlphanumeric(c) || c == '.' || c == '-' || c == '_' {
				b.WriteByte(c)
			} else {
				b.WriteString(string([]byte{'%', hex[c>>4], hex[c&15]}))
			}
		}
		value = value[n:]
	}
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}
