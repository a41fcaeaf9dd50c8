package pdf

import (
	"bytes"
	"errors"
	"strconv"
)

// deepest is how far arrays and dictionaries may be nested.
const deepest = 100

// Errors of the parser. Whatever else is wrong is read as viewers would: as far as it goes.
var (
	errDeep = errors.New("objects are nested too deeply")
	errMany = errors.New("too many objects")
	errWork = errors.New("objects overlap too often")
	errOpen = errors.New("a string has no end")
)

// A meter bounds what parsing one file costs.
type meter struct {
	octets int          // that may still be read, over and over
	values int          // that may still be kept
	check  func() error // the budget's
	names  names
	// Elements of the arrays and dictionaries that are being read, those of the innermost at the end.
	elements []any
	entries  []entry
	// Memory for those that were read.
	arrays slab[any]
	dicts  slab[entry]
}

// spend takes octets that were or will be read off the meter.
func (m *meter) spend(octets int) error {
	if m.octets -= octets; m.octets < 0 {
		return errWork
	}
	return m.check()
}

// A parser reads objects from octets: ISO 32000-1 Section 7.2 and 7.3.
type parser struct {
	data   []byte
	pos    int
	meter  *meter
	endHex int // where the last hexadecimal string ended: whether another ends is asked once
}

// object reads one object; a keyword is returned as such, the end of the octets as keyword("").
func (p *parser) object(depth int) (any, error) {
	p.space()
	if p.pos >= len(p.data) {
		return keyword(""), nil
	}
	if p.meter.values--; p.meter.values < 0 {
		return nil, errMany
	}
	if p.meter.values&1023 == 0 {
		if err := p.meter.check(); err != nil {
			return nil, err
		}
	}
	switch c := p.data[p.pos]; c {
	case '/':
		return p.name(), nil
	case '(':
		return p.literal()
	case '<':
		if p.pos+1 < len(p.data) && p.data[p.pos+1] == '<' {
			p.pos += 2
			return p.dict(depth + 1)
		}
		return p.hex()
	case '[':
		p.pos++
		return p.array(depth + 1)
	case '>', ']', '{', '}', ')':
		return p.delimiter(c), nil
	}
	return p.word(), nil
}

// delimiter reads a delimiter where no object starts. A constant takes no memory as a value of type any.
func (p *parser) delimiter(c byte) any {
	if c == '>' && p.pos+1 < len(p.data) && p.data[p.pos+1] == '>' {
		p.pos += 2
		return keyword(">>")
	}
	p.pos++
	switch c {
	case ']':
		return keyword("]")
	case '>':
		return keyword(">")
	case '{':
		return keyword("{")
	case '}':
		return keyword("}")
	}
	return keyword(")")
}

// space skips white space and comments: ISO 32000-1 Section 7.2.2 and 7.2.3.
func (p *parser) space() {
	for p.pos < len(p.data) {
		switch c := p.data[p.pos]; {
		case isSpace(c):
			p.pos++
		case c == '%':
			for p.pos < len(p.data) && p.data[p.pos] != '\n' && p.data[p.pos] != '\r' {
				p.pos++
			}
		default:
			return
		}
	}
}

// White space and delimiters as sets of bits, the characters below 64 and those from there on: ISO 32000-1 Table 1 and 2.
const (
	spaces  uint64 = 1<<' ' | 1<<'\n' | 1<<'\r' | 1<<'\t' | 1<<0 | 1<<'\f'
	special uint64 = spaces | 1<<'(' | 1<<')' | 1<<'<' | 1<<'>' | 1<<'/' | 1<<'%'
	figures uint64 = spaces | 0x3ff<<'0' | 1<<'+' | 1<<'-' | 1<<'.'
	from64  uint64 = 1<<('['-64) | 1<<(']'-64) | 1<<('{'-64) | 1<<('}'-64)
)

// isSpace reports whether a character is white space: ISO 32000-1 Table 1.
func isSpace(c byte) bool { return c <= ' ' && spaces>>(c&63)&1 != 0 }

// isRegular reports whether a character may be part of a word or name: ISO 32000-1 Section 7.2.2.
func isRegular(c byte) bool {
	switch c >> 6 {
	case 0:
		return special>>(c&63)&1 == 0
	case 1:
		return from64>>(c&63)&1 == 0
	}
	return true
}

// run returns the regular characters at the position and moves behind them.
func (p *parser) run() []byte {
	start := p.pos
	for p.pos < len(p.data) && isRegular(p.data[p.pos]) {
		p.pos++
	}
	return p.data[start:p.pos]
}

// name reads a name: ISO 32000-1 Section 7.3.5.
func (p *parser) name() any {
	p.pos++
	return p.meter.names.of(p.run())
}

// unescape decodes #xx in a name. What is no escape stays as it is.
func unescape(raw []byte) []byte {
	if bytes.IndexByte(raw, '#') < 0 {
		return raw
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] == '#' && i+2 < len(raw) && digit(raw[i+1]) >= 0 && digit(raw[i+2]) >= 0 {
			out = append(out, byte(digit(raw[i+1])<<4|digit(raw[i+2])))
			i += 2
			continue
		}
		out = append(out, raw[i])
	}
	return out
}

// digit returns the value of a hexadecimal digit, -1 if it is none.
func digit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// hex reads a hexadecimal string: ISO 32000-1 Section 7.3.4.3. Whatever is no digit is skipped.
func (p *parser) hex() (any, error) {
	p.pos++
	if p.endHex < p.pos {
		end := bytes.IndexByte(p.data[p.pos:], '>')
		if p.endHex = p.pos + end; end < 0 {
			p.endHex = len(p.data)
		}
	}
	raw := p.data[p.pos:p.endHex]
	if p.endHex == len(p.data) { // it has no end; what is behind it is read as if it were none
		p.run()
		return nil, p.meter.spend(len(raw))
	}
	p.pos = p.endHex + 1
	return text(unhex(raw)), nil
}

// unhex decodes hexadecimal digits; an odd one at the end counts as if 0 followed.
func unhex(raw []byte) []byte {
	out := make([]byte, 0, len(raw)/2+1)
	high := -1
	for _, c := range raw {
		switch d := digit(c); {
		case d < 0:
		case high < 0:
			high = d
		default:
			out = append(out, byte(high<<4|d))
			high = -1
		}
	}
	if high >= 0 {
		out = append(out, byte(high<<4))
	}
	return out
}

// literal reads a literal string: ISO 32000-1 Section 7.3.4.2.
func (p *parser) literal() (any, error) {
	start, open, plain := p.pos+1, 0, true
	for i := p.pos; i < len(p.data); i++ {
		switch p.data[i] {
		case '\\':
			plain = false
			i++
		case '\r':
			plain = false
		case '(':
			open++
		case ')':
			if open--; open > 0 {
				continue
			}
			p.pos = i + 1
			if plain {
				return text(p.data[start:i]), nil
			}
			return text(unquote(p.data[start:i])), nil
		}
	}
	if err := p.meter.spend(len(p.data) - p.pos); err != nil {
		return nil, err
	}
	return nil, errOpen
}

// unquote decodes the escapes of a literal string, and its line ends, which count as line feeds.
func unquote(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '\\' && i+1 < len(raw):
			out, i = escape(out, raw, i+1)
		case c == '\r':
			out = append(out, '\n')
			if i+1 < len(raw) && raw[i+1] == '\n' {
				i++
			}
		default:
			out = append(out, c)
		}
	}
	return out
}

// escape appends what the escape at an offset stands for, and returns the offset of its last octet.
func escape(out, raw []byte, i int) ([]byte, int) {
	c := raw[i]
	if k := bytes.IndexByte([]byte("nrtbf"), c); k >= 0 {
		return append(out, "\n\r\t\b\f"[k]), i
	}
	switch {
	case c == '\n':
		return out, i
	case c == '\r':
		if i+1 < len(raw) && raw[i+1] == '\n' {
			i++
		}
		return out, i
	case c < '0' || c > '7':
		return append(out, c), i
	}
	value, end := 0, min(i+3, len(raw))
	for ; i < end && raw[i] >= '0' && raw[i] <= '7'; i++ {
		value = value*8 + int(raw[i]-'0')
	}
	return append(out, byte(value)), i - 1
}

// word reads a number, a reference, true, false, null, or a keyword.
func (p *parser) word() any {
	if n, ok := p.digits(); ok {
		return p.number(n)
	}
	raw := p.run()
	switch string(raw) {
	case "true":
		return true
	case "false":
		return false
	case "null":
		return nil
	}
	if c := raw[0]; c != '+' && c != '-' && c != '.' && (c < '0' || c > '9') {
		return keyword(raw)
	}
	n, ok := integer(raw)
	if !ok {
		if numeric(raw) {
			return real{}
		}
		if _, err := strconv.ParseFloat(string(raw[:min(len(raw), 40)]), 64); err != nil {
			return keyword(raw)
		}
		return real{}
	}
	return p.number(n)
}

// digits reads what most words are: a few digits and nothing else. It stays where it is in front of anything else.
func (p *parser) digits() (n int64, ok bool) {
	i := p.pos
	for i < len(p.data) && i < p.pos+16 && p.data[i] >= '0' && p.data[i] <= '9' {
		n = n*10 + int64(p.data[i]-'0')
		i++
	}
	if i == p.pos || i < len(p.data) && isRegular(p.data[i]) {
		return 0, false
	}
	p.pos = i
	return n, true
}

// number returns an integer that was read, or the reference that it begins.
func (p *parser) number(n int64) any {
	if gen, end, ok := p.reference(); ok && n >= 0 {
		p.pos = end
		return ref{int(n), gen}
	}
	return n
}

// numeric reports whether a word has nothing but digits, signs and dots; viewers make some number of that.
func numeric(raw []byte) bool {
	for _, c := range raw {
		if c != '+' && c != '-' && c != '.' && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// integer reads an integer of at most 18 digits.
func integer(raw []byte) (int64, bool) {
	sign := int64(1)
	if len(raw) > 1 && (raw[0] == '-' || raw[0] == '+') {
		if raw[0] == '-' {
			sign = -1
		}
		raw = raw[1:]
	}
	var n int64
	for _, c := range raw {
		if c < '0' || c > '9' || n > 1e17 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return sign * n, len(raw) > 0
}

// reference looks behind an integer for the rest of a reference, "0 R": ISO 32000-1 Section 7.3.10.
func (p *parser) reference() (gen, end int, ok bool) {
	if p.pos == len(p.data) || !isSpace(p.data[p.pos]) && p.data[p.pos] != '%' {
		return 0, 0, false
	}
	q := parser{data: p.data, pos: p.pos}
	q.space()
	start := q.pos
	for q.pos < len(q.data) && q.pos < start+6 && q.data[q.pos] >= '0' && q.data[q.pos] <= '9' {
		gen = gen*10 + int(q.data[q.pos]-'0')
		q.pos++
	}
	digits := q.pos
	q.space()
	if digits == start || q.pos == digits || q.pos >= len(q.data) || q.data[q.pos] != 'R' {
		return 0, 0, false
	}
	q.pos++
	return gen, q.pos, q.pos == len(q.data) || !isRegular(q.data[q.pos])
}

// ends reports whether a keyword is the end of an object, which no array or dictionary goes beyond.
func ends(k keyword) bool {
	switch k {
	case "", "endobj", "obj", "stream", "endstream", "xref", "trailer":
		return true
	}
	return false
}

// array reads the rest of an array: ISO 32000-1 Section 7.3.6.
func (p *parser) array(depth int) (any, error) {
	if depth > deepest {
		return nil, errDeep
	}
	base := len(p.meter.elements)
	for {
		before := p.pos
		v, err := p.object(depth)
		word, junk := v.(keyword)
		if end := junk && (word == ">>" || ends(word)); err != nil || end || junk && word == "]" {
			if end && err == nil {
				p.pos = before
			}
			done := array(p.meter.arrays.keep(p.meter.elements[base:]))
			p.meter.elements = p.meter.elements[:base]
			return done, err
		}
		if !junk {
			p.meter.elements = append(p.meter.elements, v)
		}
	}
}

// dict reads the rest of a dictionary: ISO 32000-1 Section 7.3.7.
func (p *parser) dict(depth int) (any, error) {
	if depth > deepest {
		return nil, errDeep
	}
	base := len(p.meter.entries)
	more, err := true, error(nil)
	for more && err == nil {
		more, err = p.entry(depth)
	}
	done := dict(p.meter.dicts.keep(p.meter.entries[base:]))
	p.meter.entries = p.meter.entries[:base]
	return done, err
}

// entry reads a key and its value, or the end of a dictionary. What is no name where a key should be is skipped.
func (p *parser) entry(depth int) (more bool, err error) {
	before := p.pos
	v, err := p.object(depth)
	if err != nil {
		return false, err
	}
	if word, junk := v.(keyword); junk {
		end := ends(word)
		if end {
			p.pos = before
		}
		return !end && word != ">>", nil
	}
	key, ok := v.(name)
	if !ok {
		return true, nil
	}
	if key != "W" && p.figures() {
		p.meter.entries = append(p.meter.entries, entry{key, array(nil)})
		return true, nil
	}
	before = p.pos
	v, err = p.object(depth)
	if word, junk := v.(keyword); junk {
		if word == ">>" || ends(word) {
			p.pos = before
		}
		v = nil
	}
	p.meter.entries = append(p.meter.entries, entry{key, v})
	return true, err
}

// figures passes over an array of nothing but numbers, such as a rectangle, a colour or widths, and reports whether there was one.
// Such numbers are of use to this package only in W of a cross-reference stream.
func (p *parser) figures() bool {
	p.space()
	if p.pos == len(p.data) || p.data[p.pos] != '[' {
		return false
	}
	for i, c := range p.data[p.pos+1:] {
		if c == ']' {
			p.pos += i + 2
			return true
		}
		if c > '9' || figures>>(c&63)&1 == 0 {
			return false
		}
	}
	return false
}
