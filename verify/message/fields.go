package message

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// A lineKind is what a line is inside a header section.
type lineKind int

const (
	lineOther lineKind = iota // neither of the following: the header section ends before it
	lineField                 // "Name: value"
	lineFold                  // continuation of the field above
	lineEmpty                 // ends the header section
)

// classify says what a line is inside a header section, and for a field how long its name is. It decides as Postfix
// and Sendmail do: a name is printable ASCII, blanks may follow it, and any other line ends the header section.
func classify(line []byte) (kind lineKind, nameLen int) {
	if len(line) == 0 || line[0] == '\n' || line[0] == '\r' && (len(line) == 1 || line[1] == '\n') {
		return lineEmpty, 0
	}
	if line[0] == ' ' || line[0] == '\t' {
		return lineFold, 0
	}
	for nameLen < len(line) && isFtext(line[nameLen]) {
		nameLen++
	}
	i := nameLen
	for i < len(line) && isBlank(line[i]) {
		i++
	}
	if nameLen == 0 || i == len(line) || line[i] != ':' {
		return lineOther, 0
	}
	return lineField, nameLen
}

// isFtext reports whether c may be in the name of a field (RFC 5322 Section 2.2).
func isFtext(c byte) bool { return c > ' ' && c < 0x7f && c != ':' }

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// parseFields cuts a header section, complete with or without its empty line, into fields, at most limit of them. The
// fields are slices of section. What ends the section early is the caller's business: it was classified before.
func parseFields(section []byte, limit int) (h Header, complete bool) {
	var names nameCounter
	h = make(Header, 0, min(bytes.Count(section, []byte{'\n'})+1, 16))
	for pos := 0; pos < len(section); {
		line := nextLine(section[pos:])
		kind, nameLen := classify(line)
		switch kind {
		case lineField:
			if len(h) == limit {
				return h, false
			}
			name := string(line[:nameLen])
			h = append(h, Field{Name: name, Raw: section[pos : pos+len(line) : pos+len(line)], Nth: names.next(name)})
		case lineFold:
			if len(h) == 0 {
				return h, true
			}
			f := &h[len(h)-1]
			end := len(f.Raw) + len(line)
			f.Raw = section[pos-len(f.Raw):][:end:end]
		default:
			return h, true
		}
		pos += len(line)
	}
	return h, true
}

// nextLine returns the first line of b with what ends it.
func nextLine(b []byte) []byte {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return b[:i+1]
	}
	return b
}

// trimEOL returns line without what ends it.
func trimEOL(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\n' {
		line = line[:n-1]
		if n > 1 && line[n-2] == '\r' {
			line = line[:n-2]
		}
	}
	return line
}

// checkFields records the defects of a header section that concern all fields alike.
func (d *defects) checkFields(h Header, section string) {
	for i := range h {
		d.checkField(&h[i], section)
	}
}

func (d *defects) checkField(f *Field, section string) {
	colon := len(f.Name)
	if colon < len(f.Raw) && isBlank(f.Raw[colon]) {
		d.add(HeaderNameBlank, section, quote(f.Name))
	}
	if !isName(f.Name) {
		d.add(HeaderNameInvalid, section, quote(f.Name))
	}
	if bytes.IndexByte(f.Raw, 0) >= 0 {
		d.add(HeaderNUL, section, quote(f.Name))
	}
	if !utf8.Valid(f.Raw) {
		d.add(Header8Bit, section, quote(f.Name))
	}
	d.checkLines(f, section)
}

func isName(name string) bool {
	for i := range len(name) {
		if !isFtext(name[i]) {
			return false
		}
	}
	return name != ""
}

// checkLines looks at the lines of one field.
func (d *defects) checkLines(f *Field, section string) {
	for rest, first := f.Raw, true; len(rest) > 0; first = false {
		line := nextLine(rest)
		rest = rest[len(line):]
		text := trimEOL(line)
		switch {
		case len(line)-len(text) == 1:
			d.add(LineBareLF, section, quote(f.Name))
		case len(text) > maxLine:
			d.add(LineLong, section, quote(f.Name))
		}
		if bytes.IndexByte(text, '\r') >= 0 {
			d.add(HeaderBareCR, section, quote(f.Name))
		}
		if first {
			continue
		}
		folded := bytes.TrimLeft(text, " \t")
		switch {
		case len(text) == 0 || !isBlank(text[0]):
			d.add(HeaderFoldInvalid, section, quote(f.Name))
		case len(folded) == 0:
			d.add(HeaderFoldBlank, section, quote(f.Name))
		case looksLikeMIMEField(folded, true):
			d.addText(HeaderFoldMIME, section, folded)
		}
	}
}

// maxLine is the length of a line without CRLF (RFC 5322 Section 2.1.1).
const maxLine = 998

// looksLikeMIMEField reports whether line reads as one of the fields that say what a part is. With plausible it must
// also have a value that fits: a list of names in a folded DKIM-Signature has "content-type:mime-version" in it.
func looksLikeMIMEField(line []byte, plausible bool) bool {
	const prefix = "content-"
	if len(line) < len(prefix) || line[0]|0x20 != 'c' || !bytes.EqualFold(line[:len(prefix)], []byte(prefix)) {
		return false
	}
	name, value, found := bytes.Cut(line[len(prefix):min(len(line), maxLine)], []byte(":"))
	if !found {
		return false
	}
	value = bytes.TrimLeft(value, " \t")
	token := value[:tokenLen(value)]
	name = bytes.TrimRight(name, " \t")
	switch {
	case bytes.EqualFold(name, []byte("type")):
		return !plausible || len(token) > 0 && len(value) > len(token) && value[len(token)] == '/'
	case bytes.EqualFold(name, []byte("transfer-encoding")):
		return !plausible || knownEncoding(strings.ToLower(string(token)))
	case bytes.EqualFold(name, []byte("disposition")):
		return !plausible || bytes.EqualFold(token, []byte("attachment")) || bytes.EqualFold(token, []byte("inline"))
	}
	return false
}

// isSingle reports whether a field may occur only once (RFC 5322 Section 3.6).
func isSingle(name string) bool {
	switch len(name) {
	case 2, 3, 4, 6, 7, 8, 10, 11:
	default:
		return false
	}
	for _, s := range [...]string{"Date", "From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Message-ID", "In-Reply-To",
		"References", "Subject"} {
		if sameName(s, name) {
			return true
		}
	}
	return false
}

// checkSingles records fields of the top-level header that must be single and are not.
func (d *defects) checkSingles(h Header) {
	for i := range h {
		if h[i].Nth == 2 && isSingle(h[i].Name) {
			d.add(HeaderDuplicate, "", quote(h[i].Name))
		}
	}
}
