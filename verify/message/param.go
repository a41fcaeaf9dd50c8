package message

import (
	"bytes"
	"strings"
)

// A structured value is that of Content-Type, Content-Disposition or Content-Transfer-Encoding (RFC 2045, RFC 2183):
// one or two tokens and parameters. It is read tolerantly: nothing that can be read is dropped because something else
// cannot.
type structured struct {
	value   string // in lower case, "" if it is not there; of a media type with the "/"
	params  []parameter
	comment bool // has a comment
	garbled bool // something stands between the value and the first parameter
	invalid bool // a parameter is against the syntax
	tooMany bool // there are more parameters than the limit
}

// A parameter is one "name=value" as it stands in the field.
type parameter struct {
	name     string // in lower case, without what RFC 2231 appends
	value    string // quoting removed, octets as they are
	index    int    // position of a continuation (RFC 2231 Section 3), -1 if it is none
	extended bool   // has charset and language (RFC 2231 Section 4)
	blank    bool   // has blanks around its "=", or behind a value without quotes
}

// parseStructured reads the value of a field. With slash the value is a media type. The text has no folds any more.
func parseStructured(text string, slash bool, limit int) structured {
	p := paramParser{text: text}
	p.out.value = p.head(slash)
	p.blanks()
	if p.pos < len(p.text) && p.text[p.pos] != ';' {
		p.out.garbled = true
		if p.out.value == "" {
			p.pos += skipTo(p.text[p.pos:], ';')
		}
	}
	for p.separator() {
		if len(p.out.params) == limit {
			p.out.tooMany = true
			break
		}
		p.parameter()
	}
	return p.out
}

type paramParser struct {
	text string
	pos  int
	out  structured
}

// head reads what stands before the first parameter.
func (p *paramParser) head(slash bool) string {
	p.blanks()
	start := p.pos
	first := p.token()
	if !slash || first == "" {
		return first
	}
	p.blanks()
	if p.pos == len(p.text) || p.text[p.pos] != '/' {
		return ""
	}
	p.pos++
	p.blanks()
	second := p.token()
	if second == "" {
		return ""
	}
	if whole := p.text[start:p.pos]; len(whole) == len(first)+len("/")+len(second) {
		return strings.ToLower(whole)
	}
	return first + "/" + second
}

// token reads a token of RFC 2045 Section 5.1, in lower case.
func (p *paramParser) token() string {
	n := tokenLen(p.text[p.pos:])
	p.pos += n
	return strings.ToLower(p.text[p.pos-n : p.pos])
}

// blanks skips blanks and comments. Depth is counted, not recursed into; an open comment takes the rest.
func (p *paramParser) blanks() {
	depth := 0
	for ; p.pos < len(p.text); p.pos++ {
		switch c := p.text[p.pos]; {
		case c == '(':
			p.out.comment = true
			depth++
		case depth > 0 && c == ')':
			depth--
		case depth > 0 && c == '\\':
			p.pos++
		case depth > 0 || isBlank(c) || c == '\r' || c == '\n':
		default:
			return
		}
	}
	p.pos = min(p.pos, len(p.text))
}

// separator skips what is between two parameters and reports whether one follows.
func (p *paramParser) separator() bool {
	for p.blanks(); p.pos < len(p.text); p.blanks() {
		switch p.text[p.pos] {
		case ',':
			p.out.invalid = true
		case ';':
		default:
			return true
		}
		p.pos++
	}
	return false
}

// parameter reads one parameter up to the semicolon behind it.
func (p *paramParser) parameter() {
	start := p.pos
	for p.pos < len(p.text) && !endsName(p.text[p.pos]) {
		p.pos++
	}
	name := p.text[start:p.pos]
	equals := p.pos
	p.blanks()
	if name == "" || p.pos == len(p.text) || p.text[p.pos] != '=' {
		p.out.invalid = true
		p.pos += skipTo(p.text[p.pos:], ';')
		return
	}
	blank := p.pos > equals
	p.pos++
	equals = p.pos
	p.blanks()
	par := splitName(name)
	par.blank = blank || p.pos > equals
	if tokenLen(name) != len(name) {
		p.out.invalid = true
	}
	if p.pos < len(p.text) && p.text[p.pos] == '"' {
		par.value = p.quoted()
	} else {
		par.value = p.unquotedValue()
		par.blank = par.blank || p.pos > start && isBlank(p.text[p.pos-1])
	}
	p.out.params = append(p.out.params, par)
}

// endsName reports whether c ends the name of a parameter, well-formed or not.
func endsName(c byte) bool {
	switch c {
	case '=', ';', '"', '(', ' ', '\t', '\r', '\n':
		return true
	}
	return false
}

// quoted reads a quoted string, and skips what stands between it and the next semicolon. A backslash counts only
// before what needs one: file names of Windows have others.
func (p *paramParser) quoted() string {
	p.pos++
	start := p.pos
	escaped := false
	for p.pos < len(p.text) && p.text[p.pos] != '"' {
		if p.text[p.pos] == '\\' && p.pos+1 < len(p.text) && (p.text[p.pos+1] == '"' || p.text[p.pos+1] == '\\') {
			escaped = true
			p.pos++
		}
		p.pos++
	}
	value := p.text[start:p.pos]
	if escaped {
		value = unescape(value)
	}
	if p.pos == len(p.text) {
		p.out.invalid = true
		return value
	}
	p.pos++
	p.blanks()
	if n := skipTo(p.text[p.pos:], ';'); n > 0 {
		p.out.invalid = true
		p.pos += n
	}
	return value
}

func unescape(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\') {
			i++
		}
		b = append(b, s[i])
	}
	return string(b)
}

// unquotedValue reads a token, or what stands there in place of one: all up to the semicolon or a comment behind a
// blank.
func (p *paramParser) unquotedValue() string {
	start := p.pos
	n := skipTo(p.text[start:], ';')
	for i := 1; i < n; i++ {
		if p.text[start+i] == '(' && isBlank(p.text[start+i-1]) {
			n = i
			break
		}
	}
	p.pos += n
	value := strings.TrimRight(p.text[start:p.pos], " \t\r\n")
	if value == "" || tokenLen(value) != len(value) {
		p.out.invalid = true
	}
	return value
}

// splitName separates what RFC 2231 appends to the name of a parameter: "*", "*0", "*0*".
func splitName(name string) parameter {
	name = strings.ToLower(name)
	base, rest, found := strings.Cut(name, "*")
	if !found {
		return parameter{name: name, index: -1}
	}
	if rest == "" {
		return parameter{name: base, index: -1, extended: true}
	}
	digits, extended := strings.CutSuffix(rest, "*")
	index := 0
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' || index > 9999 {
			return parameter{name: name, index: -1}
		}
		index = index*10 + int(digits[i]-'0')
	}
	if digits == "" {
		return parameter{name: name, index: -1}
	}
	return parameter{name: base, index: index, extended: extended}
}

// skipTo returns how many octets stand before the first c, all if there is none.
func skipTo(s string, c byte) int {
	if i := strings.IndexByte(s, c); i >= 0 {
		return i
	}
	return len(s)
}

// tokenLen returns how many octets of a token (RFC 2045 Section 5.1) s begins with.
func tokenLen[T string | []byte](s T) int {
	for i := range len(s) {
		if !isTokenChar(s[i]) {
			return i
		}
	}
	return len(s)
}

func isTokenChar(c byte) bool {
	switch c {
	case '(', ')', '<', '>', '@', ',', ';', ':', '\\', '"', '/', '[', ']', '?', '=':
		return false
	}
	return c > ' ' && c < 0x7f
}

// unfold removes the line breaks of a folded value; the blanks behind them stay (RFC 5322 Section 2.2.3).
func unfold(value []byte) string {
	if bytes.IndexByte(value, '\n') < 0 {
		return string(value)
	}
	b := make([]byte, 0, len(value))
	for i, c := range value {
		if c == '\n' || c == '\r' && i+1 < len(value) && value[i+1] == '\n' {
			continue
		}
		b = append(b, c)
	}
	return string(b)
}

// foldsInside reports whether a structured value is folded elsewhere than beside a semicolon, where readers disagree.
func foldsInside(value []byte) bool {
	if bytes.IndexByte(value, '\n') < 0 {
		return false
	}
	var last byte // last octet that is no blank
	folded := false
	for _, c := range value {
		switch {
		case c == '\n':
			folded = true
		case c == '\r' || isBlank(c):
		case folded && last != 0 && last != ';' && c != ';':
			return true
		default:
			last, folded = c, false
		}
	}
	return false
}
