package html

import (
	"bytes"
	"unicode/utf8"
)

// A cssKind is a token of CSS Syntax Level 3. Punctuation is its own octet.
type cssKind uint8

const (
	cssEnd       cssKind = iota
	cssBlank             // white space
	cssComment           // /* ... */
	cssIdent             // a name
	cssFunction          // a name and "("
	cssAt                // @ and a name
	cssHash              // # and a name
	cssString            // a string, also one that the text ends in
	cssBadString         // a string that a line end cuts off
	cssURL               // url(...) without quotation marks
	cssBadURL            // the same with what must not be there
	cssNumber            // a number with its unit
	cssOther             // any other character, "<!--" and "-->"
)

// A cssToken is a token with its decoded value.
type cssToken struct {
	kind       cssKind
	start, end int
	value      []byte // name, or content of a string or address, escapes undone
}

// A cssLexer reads CSS as CSS Syntax Level 3 Section 4 does. NUL never is in src.
type cssLexer struct {
	src []byte
	pos int
	buf []byte // values with escapes
}

func cssNameStart(c byte) bool { return isLetter(c) || c == '_' || c >= 0x80 }
func cssName(c byte) bool      { return cssNameStart(c) || c >= '0' && c <= '9' || c == '-' }
func cssHex(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'
}
func cssNewline(c byte) bool { return c == '\n' || c == '\r' || c == '\f' }

func (l *cssLexer) at(i int) byte {
	if l.pos+i < len(l.src) {
		return l.src[l.pos+i]
	}
	return 0
}

// escape says whether a valid escape begins i octets ahead.
func (l *cssLexer) escape(i int) bool {
	return l.at(i) == '\\' && l.pos+i+1 < len(l.src) && !cssNewline(l.at(i+1))
}

// ident says whether a name begins here.
func (l *cssLexer) ident() bool {
	c := l.at(0)
	if c == '-' {
		return cssNameStart(l.at(1)) || l.at(1) == '-' || l.escape(1)
	}
	return cssNameStart(c) || l.escape(0)
}

// next reads a token.
func (l *cssLexer) next() cssToken {
	t := cssToken{start: l.pos}
	if l.pos >= len(l.src) {
		t.end = l.pos
		return t
	}
	c := l.src[l.pos]
	switch {
	case cssNameStart(c):
		l.nameToken(&t)
	case classes[c]&isBlank != 0:
		for l.pos < len(l.src) && classes[l.src[l.pos]]&isBlank != 0 {
			l.pos++
		}
		t.kind = cssBlank
	case c == '/' && l.at(1) == '*':
		t.kind = cssComment
		if i := bytes.Index(l.src[l.pos+2:], []byte("*/")); i >= 0 {
			l.pos += i + 4
		} else {
			l.pos = len(l.src)
		}
	case c == '"' || c == '\'':
		t.kind, t.value = l.quoted(c)
	case c == '@' || c == '#':
		l.marked(&t, c)
	case c >= '0' && c <= '9' || (c == '.' || c == '+' || c == '-') && l.number():
		l.numberToken(&t)
	case c == '-' && bytes.HasPrefix(l.src[l.pos:], []byte("-->")):
		l.pos += 3
		t.kind = cssOther
	case l.ident():
		l.nameToken(&t)
	default:
		l.punctuation(&t, c)
	}
	t.end = l.pos
	return t
}

func (l *cssLexer) punctuation(t *cssToken, c byte) {
	l.pos++
	switch c {
	case '(', ')', '[', ']', '{', '}', ';', ':', ',':
		t.kind = cssKind(c)
	default:
		t.kind = cssOther
	}
}

// marked reads what begins with "@" or "#".
func (l *cssLexer) marked(t *cssToken, c byte) {
	l.pos++
	t.kind = cssOther
	switch {
	case c == '@' && l.ident():
		t.kind, t.value = cssAt, l.name()
	case c == '#' && (cssName(l.at(0)) || l.escape(0)):
		t.kind, t.value = cssHash, l.name()
	}
}

// number says whether a number begins with the sign or dot here.
func (l *cssLexer) number() bool {
	digit := func(c byte) bool { return c >= '0' && c <= '9' }
	return digit(l.at(1)) || l.at(0) != '.' && l.at(1) == '.' && digit(l.at(2))
}

func (l *cssLexer) numberToken(t *cssToken) {
	t.kind = cssNumber
	for l.pos++; l.at(0) >= '0' && l.at(0) <= '9' || l.at(0) == '.'; {
		l.pos++
	}
	if l.at(0) == '%' {
		l.pos++
	} else if l.ident() {
		l.name()
	}
}

// nameToken reads a name, a function or an address without quotation marks.
func (l *cssLexer) nameToken(t *cssToken) {
	t.kind, t.value = cssIdent, l.name()
	if l.at(0) != '(' {
		return
	}
	l.pos++
	t.kind = cssFunction
	if len(t.value) != 3 || !bytes.EqualFold(t.value, []byte("url")) {
		return
	}
	i := l.pos
	for i < len(l.src) && classes[l.src[i]]&isBlank != 0 {
		i++
	}
	if i < len(l.src) && (l.src[i] == '"' || l.src[i] == '\'') {
		return
	}
	l.pos = i
	t.kind, t.value = l.address()
}

// name reads a name and undoes its escapes.
func (l *cssLexer) name() []byte {
	from := l.pos
	for l.pos < len(l.src) && cssName(l.src[l.pos]) {
		l.pos++
	}
	if !l.escape(0) {
		return l.src[from:l.pos]
	}
	mark := len(l.buf)
	l.buf = append(l.buf, l.src[from:l.pos]...)
	for l.pos < len(l.src) {
		switch {
		case cssName(l.src[l.pos]):
			l.buf = append(l.buf, l.src[l.pos])
			l.pos++
		case l.escape(0):
			l.unescape()
		default:
			return l.buf[mark:]
		}
	}
	return l.buf[mark:]
}

// unescape reads an escape, the backslash included (Section 4.3.7).
func (l *cssLexer) unescape() {
	l.pos++
	if l.pos >= len(l.src) {
		return
	}
	if !cssHex(l.src[l.pos]) {
		_, n := utf8.DecodeRune(l.src[l.pos:])
		l.buf = append(l.buf, l.src[l.pos:l.pos+n]...)
		l.pos += n
		return
	}
	r := rune(0)
	for n := 0; n < 6 && cssHex(l.at(0)); n++ {
		c := l.src[l.pos]
		if c >= 'A' {
			c = c&0x0f + 9
		}
		r = r<<4 | rune(c&0x0f)
		l.pos++
	}
	if l.at(0) == '\r' && l.at(1) == '\n' {
		l.pos++
	}
	if l.pos < len(l.src) && classes[l.src[l.pos]]&isBlank != 0 {
		l.pos++
	}
	if r == 0 {
		r = utf8.RuneError
	}
	l.buf = utf8.AppendRune(l.buf, r)
}

// quoted reads a string.
func (l *cssLexer) quoted(quote byte) (cssKind, []byte) {
	l.pos++
	from := l.pos
	for l.pos < len(l.src) && l.src[l.pos] != quote && l.src[l.pos] != '\\' && !cssNewline(l.src[l.pos]) {
		l.pos++
	}
	if l.pos < len(l.src) && l.src[l.pos] == quote {
		l.pos++
		return cssString, l.src[from : l.pos-1]
	}
	mark := len(l.buf)
	l.buf = append(l.buf, l.src[from:l.pos]...)
	for l.pos < len(l.src) {
		switch c := l.src[l.pos]; {
		case c == quote:
			l.pos++
			return cssString, l.buf[mark:]
		case cssNewline(c):
			return cssBadString, l.buf[mark:]
		case c == '\\' && cssNewline(l.at(1)):
			l.pos += 2
		case c == '\\':
			l.unescape()
		default:
			l.buf = append(l.buf, c)
			l.pos++
		}
	}
	return cssString, l.buf[mark:]
}

// address reads an address without quotation marks, behind "url(" and blanks.
func (l *cssLexer) address() (cssKind, []byte) {
	mark := len(l.buf)
	for l.pos < len(l.src) {
		switch c := l.src[l.pos]; {
		case c == ')':
			l.pos++
			return cssURL, l.buf[mark:]
		case classes[c]&isBlank != 0:
			for l.pos < len(l.src) && classes[l.src[l.pos]]&isBlank != 0 {
				l.pos++
			}
			if l.pos < len(l.src) && l.src[l.pos] != ')' {
				l.badAddress()
				return cssBadURL, l.buf[mark:]
			}
		case c == '"' || c == '\'' || c == '(' || c < ' ' || c == 0x7f || c == '\\' && !l.escape(0):
			l.badAddress()
			return cssBadURL, l.buf[mark:]
		case c == '\\':
			l.unescape()
		default:
			l.buf = append(l.buf, c)
			l.pos++
		}
	}
	return cssURL, l.buf[mark:]
}

// badAddress reads what is left of an address that is none (Section 4.3.14).
func (l *cssLexer) badAddress() {
	for l.pos < len(l.src) {
		c := l.src[l.pos]
		escaped := l.escape(0)
		l.pos++
		if c == ')' {
			return
		}
		if escaped {
			l.pos++
		}
	}
}
