package authres

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxHeader is how many octets of other people's header the parser reads. Postfix passes on no field longer than 100 kB.
const maxHeader = 128 << 10

// ErrSyntax means that a field cannot be read with certainty, and therefore claims nothing.
var ErrSyntax = errors.New("authres: cannot parse")

// Parse reads the value of an Authentication-Results field, or of an ARC-Authentication-Results field behind its
// instance tag. It reads what is common in the wild although RFC 8601 Section 2.2 has no place for it, and notes that in
// Defects:
//
//   - no authserv-id (Exchange Online); ID is "" then
//   - a semicolon too many, or no result and no "none"
//   - values with characters that only a quoted-string may hold, such as base64, <> and addresses; empty values
//   - tags that are no ptype.property, such as action=none; they are dropped
//
// Methods, results, ptypes and properties are returned in lower case; unknown ones too, they claim nothing to who does
// not know them. A result's own comment is returned, all others are dropped.
//
// Everything else is an error, and the Header returned with it must not be used: what a reader has to guess, an attacker
// can choose. That includes unbalanced quotes and comments, control characters, words that belong to nothing, another
// version than 1, and results beside "none". Parse takes linear time.
func Parse(value string) (Header, error) {
	var h Header
	if len(value) > maxHeader {
		return h, fmt.Errorf("%w: %d octets are too many", ErrSyntax, len(value))
	}
	s, err := unfold(value)
	if err != nil {
		return h, err
	}
	if !utf8.ValidString(s) {
		return h, fmt.Errorf("%w: not UTF-8", ErrSyntax)
	}
	p := parser{s: s}
	if err := p.header(&h); err != nil {
		return Header{}, err
	}
	return h, nil
}

// Value returns the value of the first property of that type and name, "" if there is none.
func (c Clause) Value(ptype, name string) string {
	for _, p := range c.Properties {
		if p.Type == ptype && p.Name == name {
			return p.Value
		}
	}
	return ""
}

// unfold removes folding (RFC 5322 Section 2.2.3), written with CRLF or with LF as the milter protocol has it. Any other
// control character is an error: somebody may want two readers to see two different fields.
func unfold(s string) (string, error) {
	s = strings.TrimRight(s, "\r\n")
	if strings.IndexFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) < 0 {
		return s, nil
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\r' && i+1 < len(s) && s[i+1] == '\n' {
			i++
			c = '\n'
		}
		switch {
		case c == '\n' && i+1 < len(s) && (s[i+1] == ' ' || s[i+1] == '\t'):
			continue
		case c < ' ' && c != '\t', c == 0x7f:
			return "", fmt.Errorf("%w: control character %#02x at octet %d", ErrSyntax, c, i)
		}
		b = append(b, c)
	}
	return string(b), nil
}

// A parser reads an unfolded value from left to right. Only where the authserv-id is missing pos moves back, once.
type parser struct {
	s   string
	pos int
}

// header reads authres-payload (RFC 8601 Section 2.2).
func (p *parser) header(h *Header) error {
	if err := p.authservID(h); err != nil {
		return err
	}
	none := false
	for {
		if _, err := p.cfws(); err != nil {
			return err
		}
		switch {
		case p.eof():
			if !none && len(h.Clauses) == 0 {
				h.defect("no result")
			}
			return nil
		case p.peek() == ';':
			h.defect("empty clause")
			p.pos++
			continue
		case none:
			return p.fail("a result beside \"none\"")
		}
		var err error
		if none, err = p.resinfo(h); err != nil {
			return err
		}
		if err := p.semicolon(h); err != nil {
			return err
		}
	}
}

// authservID reads what stands before the first result: the authserv-id, a version number, and the semicolon.
func (p *parser) authservID(h *Header) error {
	if _, err := p.cfws(); err != nil {
		return err
	}
	start := p.pos
	id, quoted, err := p.word(" \t;(=")
	if err != nil {
		return err
	}
	if _, err := p.cfws(); err != nil {
		return err
	}
	if !quoted && (p.peek() == '=' || p.peek() == '/') { // "spf=pass ...": a result at once
		p.pos = start
		h.defect("no authserv-id")
		return nil
	}
	h.ID = id
	if id == "" {
		h.defect("no authserv-id")
	}
	version := p.take(isDigit)
	if version != "" && version != "1" {
		return p.fail("version " + version)
	}
	if _, err := p.cfws(); err != nil {
		return err
	}
	if !p.eof() && p.peek() != ';' {
		return p.fail("no semicolon behind the authserv-id")
	}
	p.pos = min(p.pos+1, len(p.s))
	return nil
}

// resinfo reads one result, or "none" which stands for the absence of any.
func (p *parser) resinfo(h *Header) (none bool, err error) {
	c := Clause{Method: strings.ToLower(p.take(isLabelByte))}
	if c.Method == "" {
		return false, p.fail("no method")
	}
	if _, err := p.cfws(); err != nil {
		return false, err
	}
	if c.Method == "none" && (p.eof() || p.peek() == ';') {
		if len(h.Clauses) > 0 {
			return false, p.fail("\"none\" beside a result")
		}
		return true, nil
	}
	if err := p.methodResult(&c); err != nil {
		return false, err
	}
	for !p.eof() && p.peek() != ';' {
		if err := p.spec(h, &c); err != nil {
			return false, err
		}
	}
	h.Clauses = append(h.Clauses, c)
	return false, nil
}

// semicolon reads the semicolon that ends a clause, unless it is the last one.
func (p *parser) semicolon(h *Header) error {
	if p.eof() {
		return nil
	}
	p.pos++ // the clause ended here
	_, err := p.cfws()
	if err == nil && p.eof() {
		h.defect("trailing semicolon")
	}
	return err
}

// methodResult reads the rest of methodspec: the method's version, the result, and the comment that explains it.
func (p *parser) methodResult(c *Clause) error {
	if p.peek() == '/' {
		p.pos++
		if _, err := p.cfws(); err != nil {
			return err
		}
		if v := p.take(isDigit); v != "1" {
			return p.fail("version " + v + " of method " + c.Method)
		}
		if _, err := p.cfws(); err != nil {
			return err
		}
	}
	if err := p.equals(); err != nil {
		return err
	}
	c.Result = Result(strings.ToLower(p.take(isLabelByte)))
	if c.Result == "" {
		return p.fail("no result")
	}
	comment, err := p.cfws()
	c.Comment = comment
	return err
}

// spec reads one reasonspec or propspec.
func (p *parser) spec(h *Header, c *Clause) error {
	ptype := strings.ToLower(p.take(isLabelByte))
	if ptype == "" {
		return p.fail("neither property nor semicolon")
	}
	if _, err := p.cfws(); err != nil {
		return err
	}
	name := ""
	if p.peek() == '.' {
		p.pos++
		if _, err := p.cfws(); err != nil {
			return err
		}
		if name = strings.ToLower(p.take(isLabelByte)); name == "" {
			return p.fail("no property name")
		}
		if _, err := p.cfws(); err != nil {
			return err
		}
	}
	value, err := p.value(h)
	if err != nil {
		return err
	}
	switch {
	case name != "":
		c.Properties = append(c.Properties, Property{ptype, name, value})
	case ptype == "reason" && c.Reason == "":
		c.Reason = value
	default:
		h.defect("tag without ptype")
	}
	return nil
}

// value reads "=" and a value, and what stands between it and the next word.
func (p *parser) value(h *Header) (string, error) {
	equals := p.pos
	if err := p.equals(); err != nil {
		return "", err
	}
	apart := p.pos > equals+1
	v, quoted, err := p.word(" \t;(")
	if err != nil {
		return "", err
	}
	if !quoted {
		// "smtp.mailfrom= smtp.helo=x": the value is empty, or it is the next property
		if apart && strings.IndexByte(v, '=') >= 0 {
			return "", p.fail("a blank where a value is expected")
		}
		if !isToken(v) && value(v) != v {
			h.defect("value that should be quoted")
		}
	}
	_, err = p.cfws()
	return v, err
}

// equals reads "=" and the white space and comments behind it.
func (p *parser) equals() error {
	if p.peek() != '=' {
		return p.fail("no \"=\"")
	}
	p.pos++
	_, err := p.cfws()
	return err
}

// word reads a quoted-string, or everything up to one of the octets in end. A quoted-string that an address continues
// ("john doe"@example.com) is returned as written.
func (p *parser) word(end string) (s string, quoted bool, err error) {
	start := p.pos
	if p.peek() == '"' {
		if s, err = p.quotedString(); err != nil {
			return "", false, err
		}
		if p.peek() != '@' {
			return s, true, nil
		}
	}
	for !p.eof() && strings.IndexByte(end, p.peek()) < 0 {
		if c := p.peek(); c == '"' || c == '\\' || c == ')' {
			return "", false, p.fail("stray " + string(c))
		}
		p.pos++
	}
	return p.s[start:p.pos], false, nil
}

// quotedString reads a quoted-string (RFC 5322 Section 3.2.4) and returns what it stands for.
func (p *parser) quotedString() (string, error) {
	var b strings.Builder
	for i := p.pos + 1; i < len(p.s); i++ {
		switch c := p.s[i]; c {
		case '"':
			p.pos = i + 1
			return b.String(), nil
		case '\\':
			if i++; i == len(p.s) {
				return "", p.fail("unfinished quoted-string")
			}
			b.WriteByte(p.s[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", p.fail("unfinished quoted-string")
}

// cfws skips white space and comments (RFC 5322 Section 3.2.2) and returns the text of the first comment.
func (p *parser) cfws() (comment string, err error) {
	for !p.eof() {
		switch p.peek() {
		case ' ', '\t':
			p.pos++
		case '(':
			s, err := p.comment()
			if err != nil {
				return "", err
			}
			if comment == "" {
				comment = s
			}
		default:
			return comment, nil
		}
	}
	return comment, nil
}

// comment reads a comment with all that is nested in it, and returns its text.
func (p *parser) comment() (string, error) {
	var b strings.Builder
	depth := 0
	for i := p.pos; i < len(p.s); i++ {
		c := p.s[i]
		switch c {
		case '(':
			if depth++; depth == 1 {
				continue
			}
		case ')':
			if depth--; depth == 0 {
				p.pos = i + 1
				return strings.Trim(b.String(), " \t"), nil
			}
		case '\\':
			if i++; i == len(p.s) {
				return "", p.fail("unfinished comment")
			}
			c = p.s[i]
		}
		b.WriteByte(c)
	}
	return "", p.fail("unfinished comment")
}

// take reads the octets that ok accepts.
func (p *parser) take(ok func(byte) bool) string {
	start := p.pos
	for !p.eof() && ok(p.s[p.pos]) {
		p.pos++
	}
	return p.s[start:p.pos]
}

// eof tells whether everything was read.
func (p *parser) eof() bool { return p.pos >= len(p.s) }

// peek returns the next octet, 0 at the end. unfold let no NUL through.
func (p *parser) peek() byte {
	if p.eof() {
		return 0
	}
	return p.s[p.pos]
}

// fail returns an error that tells where.
func (p *parser) fail(what string) error {
	return fmt.Errorf("%w: %s at octet %d", ErrSyntax, what, p.pos)
}

// defect notes a departure from RFC 8601 once.
func (h *Header) defect(what string) {
	for _, d := range h.Defects {
		if d == what {
			return
		}
	}
	h.Defects = append(h.Defects, what)
}

// isToken tells whether s is a token of RFC 2045 Section 5.1.
func isToken(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || strings.IndexByte(`()<>@,;:\"/[]?=`, s[i]) >= 0 {
			return false
		}
	}
	return s != ""
}

// isDigit tells whether c is an ASCII digit.
func isDigit(c byte) bool { return c >= '0' && c <= '9' }
