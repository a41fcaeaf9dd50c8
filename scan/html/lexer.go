package html

import "bytes"

// A tokenKind is what the lexer found.
type tokenKind uint8

const (
	tokenEnd        tokenKind = iota // of the document
	tokenText                        // characters; loose when it is a "<" that begins no tag
	tokenRaw                         // the content of an element with raw text
	tokenStart                       // start tag
	tokenClose                       // end tag
	tokenComment                     // <!-- ... -->
	tokenBogus                       // <!...>, <?...>, </...> that HTML reads as a comment
	tokenDoctype                     // <!doctype ...>
	tokenUnfinished                  // a construct that the document ends in
)

// An attr is one attribute as written.
type attr struct {
	name  []byte // in lower case
	value []byte // as written between the quotation marks, character references included
	ref   bool   // value has an ampersand
	odd   bool   // value has "<", ">" or an octet above 127
	again bool   // it is there twice with the same value
}

// maxAttrs is how many attributes of one tag are looked at; further ones make the tag loose and are dropped.
const maxAttrs = 250

// A lexer reads tokens as HTML Standard Section 13.2.5 does, without character references. It allocates nothing per token
// and looks at every octet a bounded number of times.
type lexer struct {
	src []byte
	pos int // behind the current token

	start       int // first octet of the current token
	name        []byte
	attrs       []attr
	present     uint64 // a bit for each name in attrs, so that most need not be compared
	selfClosing bool
	loose       bool // the token is not of the strict form that every reader understands in the same way

	raw   []byte // element whose raw text comes next, nil otherwise
	lower []byte // names of the current tag that had to be put in lower case
}

// octet classes.
const (
	isBlank    = 1 << iota
	isNameChar // of the strict form of tag names and, with - _ ., of attribute names
	isAttrChar
	isQuotedOdd // in a quoted value: < > and above 127
	isBareOdd   // not in an unquoted value of strict form
	isUpper
	endsName // ends an attribute name
)

// classes is written by nobody after it was built here.
var classes = buildClasses()

func buildClasses() (table [256]uint8) {
	for i := range 256 {
		c := byte(i)
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		digit := c >= '0' && c <= '9'
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f':
			table[i] |= isBlank | isBareOdd | endsName
		case c == '=' || c == '>' || c == '/':
			table[i] |= endsName
		}
		if letter || digit || c == ':' {
			table[i] |= isNameChar | isAttrChar
		}
		if c == '-' || c == '_' || c == '.' {
			table[i] |= isAttrChar
		}
		if c >= 'A' && c <= 'Z' {
			table[i] |= isUpper
		}
		if c == '<' || c == '>' || c >= 0x80 {
			table[i] |= isQuotedOdd
		}
		if c == '"' || c == '\'' || c == '=' || c == '<' || c == '>' || c == '`' || c < ' ' {
			table[i] |= isBareOdd
		}
	}
	return table
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// at returns an octet ahead, 0 behind the end. NUL itself never is in src.
func (l *lexer) at(i int) byte {
	if i < len(l.src) {
		return l.src[i]
	}
	return 0
}

// token returns the octets of the current token.
func (l *lexer) token() []byte { return l.src[l.start:l.pos] }

// next reads a token.
func (l *lexer) next() tokenKind {
	l.start, l.loose = l.pos, false
	if l.raw != nil {
		if l.readRaw() {
			return tokenRaw
		}
	}
	if l.pos >= len(l.src) {
		return tokenEnd
	}
	if l.src[l.pos] != '<' {
		if i := bytes.IndexByte(l.src[l.pos:], '<'); i >= 0 {
			l.pos += i
		} else {
			l.pos = len(l.src)
		}
		return tokenText
	}
	switch c := l.at(l.pos + 1); {
	case isLetter(c):
		return l.readTag(tokenStart, l.pos+1)
	case c == '/' && isLetter(l.at(l.pos+2)):
		return l.readTag(tokenClose, l.pos+2)
	case c == '/' && l.pos+2 < len(l.src), c == '?':
		return l.readBogus()
	case c == '!':
		return l.readMarkup()
	}
	l.pos++
	l.loose = true
	return tokenText
}

// readRaw reads up to the end tag of the element with raw text; false if there is nothing before it.
func (l *lexer) readRaw() bool {
	name := l.raw
	l.raw = nil
	for i := l.pos; ; {
		j := bytes.Index(l.src[i:], []byte("</"))
		if j < 0 {
			l.pos = len(l.src)
			break
		}
		i += j
		end := i + 2 + len(name)
		if end < len(l.src) && bytes.EqualFold(l.src[i+2:end], name) && (classes[l.src[end]]&isBlank != 0 || l.src[end] == '/' || l.src[end] == '>') {
			l.pos = i
			break
		}
		i += 2
	}
	return l.pos > l.start
}

// readBogus reads what HTML takes as a comment up to the next ">".
func (l *lexer) readBogus() tokenKind {
	i := bytes.IndexByte(l.src[l.pos:], '>')
	if i < 0 {
		l.pos = len(l.src)
		return tokenUnfinished
	}
	l.pos += i + 1
	return tokenBogus
}

// readMarkup reads what begins with "<!".
func (l *lexer) readMarkup() tokenKind {
	rest := l.src[l.pos:]
	switch {
	case bytes.HasPrefix(rest, []byte("<!--")):
		return l.readComment()
	case len(rest) >= 9 && bytes.EqualFold(rest[2:9], []byte("doctype")):
		if l.readBogus() == tokenUnfinished {
			return tokenUnfinished
		}
		return tokenDoctype
	}
	return l.readBogus()
}

// readComment reads a comment. It ends at "-->" or "--!>", or at once as "<!-->" or "<!--->".
func (l *lexer) readComment() tokenKind {
	body := l.src[l.pos+4:]
	for _, short := range []string{">", "->"} {
		if bytes.HasPrefix(body, []byte(short)) {
			l.pos += 4 + len(short)
			l.loose = true
			return tokenComment
		}
	}
	for i := 0; ; {
		j := bytes.Index(body[i:], []byte("--"))
		if j < 0 {
			l.pos = len(l.src)
			return tokenUnfinished
		}
		i += j + 2
		for i < len(body) && body[i] == '-' {
			i++
		}
		switch {
		case i < len(body) && body[i] == '>':
			l.pos += 4 + i + 1
			return tokenComment
		case i+1 < len(body) && body[i] == '!' && body[i+1] == '>':
			l.pos += 4 + i + 2
			l.loose = true
			return tokenComment
		}
	}
}

// lowered returns b in lower case, which is b itself if it has no capital letters.
func (l *lexer) lowered(b []byte, upper bool) []byte {
	if !upper {
		return b
	}
	from := len(l.lower)
	for _, c := range b {
		if classes[c]&isUpper != 0 {
			c |= 0x20
		}
		l.lower = append(l.lower, c)
	}
	return l.lower[from:len(l.lower):len(l.lower)]
}

// readTag reads a tag whose name begins at i.
func (l *lexer) readTag(k tokenKind, i int) tokenKind {
	l.attrs, l.lower, l.present, l.selfClosing = l.attrs[:0], l.lower[:0], 0, false
	src, from := l.src, i
	var all, any uint8 = 0xff, 0
	for i < len(src) && src[i] != '>' && src[i] != '/' && classes[src[i]]&isBlank == 0 {
		all &= classes[src[i]]
		any |= classes[src[i]]
		i++
	}
	l.name = l.lowered(src[from:i], any&isUpper != 0)
	if all&isNameChar == 0 {
		l.loose = true
	}
	for {
		blank := i
		for i < len(src) && classes[src[i]]&isBlank != 0 {
			i++
		}
		switch {
		case i >= len(src):
			l.pos = len(src)
			return tokenUnfinished
		case src[i] == '>':
			l.pos = i + 1
			return k
		case src[i] == '/':
			i++
			if l.at(i) == '>' {
				l.selfClosing = true
			} else {
				l.loose = true
			}
		default:
			if i == blank {
				l.loose = true
			}
			if i = l.readAttr(i); i < 0 {
				l.pos = len(src)
				return tokenUnfinished
			}
		}
	}
}

// readAttr reads an attribute that begins at i and returns the offset behind it, or -1 if the document ends in it.
func (l *lexer) readAttr(i int) int {
	src, from := l.src, i
	any, all := classes[src[i]], classes[src[i]]
	if !isLetter(src[i]) && src[i] != '_' {
		l.loose = true
	}
	for i++; i < len(src) && classes[src[i]]&endsName == 0; i++ {
		any |= classes[src[i]]
		all &= classes[src[i]]
	}
	if all&isAttrChar == 0 {
		l.loose = true
	}
	a := attr{name: l.lowered(src[from:i], any&isUpper != 0)}
	end := i
	for i < len(src) && classes[src[i]]&isBlank != 0 {
		i++
	}
	if l.at(i) != '=' {
		l.add(a)
		return end
	}
	for i++; i < len(src) && classes[src[i]]&isBlank != 0; {
		i++
	}
	if i >= len(src) {
		return -1
	}
	if src[i] == '"' || src[i] == '\'' {
		return l.readQuoted(a, i)
	}
	return l.readBare(a, i)
}

// readQuoted reads the value of a in quotation marks.
func (l *lexer) readQuoted(a attr, i int) int {
	n := bytes.IndexByte(l.src[i+1:], l.src[i])
	if n < 0 {
		return -1
	}
	a.value = l.src[i+1 : i+1+n]
	var any uint8
	for _, c := range a.value {
		any |= classes[c]
		if c == '&' {
			a.ref = true
		} else if c == '<' || c == '>' {
			l.loose = true
		}
	}
	a.odd = any&isQuotedOdd != 0
	l.add(a)
	return i + n + 2
}

// readBare reads the value of a without quotation marks. A slash belongs to it; whether "/>" at its end closes an element
// makes no difference to what the element is.
func (l *lexer) readBare(a attr, i int) int {
	src, from := l.src, i
	for ; i < len(src) && src[i] != '>' && classes[src[i]]&isBlank == 0; i++ {
		c := src[i]
		if classes[c]&isBareOdd != 0 && (c != '=' || i == from) {
			l.loose = true
		}
		a.ref = a.ref || c == '&'
		a.odd = a.odd || classes[c]&isQuotedOdd != 0
	}
	if i == from {
		l.loose = true
	}
	a.value = src[from:i]
	l.add(a)
	return i
}

// add appends an attribute unless there is one of that name: the first counts. When both say the same it does not matter
// which counts, and the tag may stay as it is.
func (l *lexer) add(a attr) {
	if len(l.attrs) >= maxAttrs {
		l.loose = true
		return
	}
	bit := uint64(1) << ((uint(a.name[0])*7 + uint(a.name[len(a.name)-1])*3 + uint(len(a.name))) & 63)
	if l.present&bit == 0 {
		l.present |= bit
		l.attrs = append(l.attrs, a)
		return
	}
	for i := range l.attrs {
		if len(l.attrs[i].name) == len(a.name) && bytes.Equal(l.attrs[i].name, a.name) {
			if bytes.Equal(l.attrs[i].value, a.value) {
				a.again = true
				break
			}
			l.loose = true
			return
		}
	}
	l.attrs = append(l.attrs, a)
}

// attribute returns the value of an attribute of the current tag as written, nil if there is none.
func attribute(attrs []attr, name string) (attr, bool) {
	for _, a := range attrs {
		if string(a.name) == name {
			return a, true
		}
	}
	return attr{}, false
}
