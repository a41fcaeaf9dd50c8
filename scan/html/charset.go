package html

import (
	"bytes"
	"encoding/base64"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
)

// transparent says whether in a charset every octet below 128 is the ASCII character, whatever stands before it. Only then
// markup can be found in the octets as they are. In ISO-2022-JP, for one, an escape sequence swallows a quotation mark.
func transparent(name string) bool {
	switch name {
	case "", "utf-8", "utf8", "us-ascii", "ascii", "ansi_x3.4-1968", "latin1", "latin-1", "windows-874", "koi8-r", "koi8-u", "macintosh", "ibm866", "cp866",
		"tis-620", "viscii", "unicode-1-1-utf-8", "iso8859-1", "iso8859-2", "iso8859-15":
		return true
	}
	if rest, ok := strings.CutPrefix(name, "iso-8859-"); ok {
		rest = strings.TrimSuffix(strings.TrimSuffix(rest, "-i"), "-e")
		return len(rest) == 1 && rest[0] >= '1' && rest[0] <= '9' || len(rest) == 2 && rest[0] == '1' && rest[1] >= '0' && rest[1] <= '6'
	}
	rest, ok := strings.CutPrefix(name, "windows-125")
	if !ok {
		rest, ok = strings.CutPrefix(name, "cp125")
	}
	return ok && len(rest) == 1 && rest[0] >= '0' && rest[0] <= '8'
}

// A reading is a document in octets in which markup can be found.
type reading struct {
	src     []byte
	utf8    bool // src is, or is declared as, UTF-8
	convert bool // src is not the input: it has to be written as UTF-8, with that declared
	odd     bool // the charset is one in which markup can hide, or is unknown
	charset string
}

// read decides which charset a document is in, and decodes it if need be.
func read(src []byte, declared string) reading {
	name := strings.ToLower(strings.Trim(strings.TrimSpace(declared), `"'`))
	switch {
	case bytes.HasPrefix(src, []byte("\xef\xbb\xbf")):
		if name == "" || transparent(name) {
			return reading{src: src, utf8: true, charset: "utf-8"}
		}
		return reading{src: src[3:], utf8: true, convert: true, odd: true, charset: "utf-8"}
	case bytes.HasPrefix(src, []byte("\xff\xfe\x00\x00")), bytes.HasPrefix(src, []byte("\x00\x00\xfe\xff")):
		name = "utf-32"
	case bytes.HasPrefix(src, []byte("\xff\xfe")):
		name = "utf-16le"
	case bytes.HasPrefix(src, []byte("\xfe\xff")):
		name = "utf-16be"
	case name == "":
		name = metaCharset(src)
		if strings.HasPrefix(name, "utf-16") {
			name = "utf-8" // the Encoding Standard: markup that could be read is not UTF-16
		}
	}
	if name == "" && hasSwallowedEscape(src) {
		return reading{src: decodeCharset(src, name), utf8: true, convert: true, odd: true, charset: "utf-8"}
	}
	if isUTF16(name) && isBigEndian(src) {
		name = "utf-16 in big endian"
	}
	if transparent(name) {
		return reading{src: src, utf8: name == "utf-8" || name == "utf8", charset: name}
	}
	return reading{src: decodeCharset(src, name), utf8: true, convert: true, odd: true, charset: "utf-8"}
}

// hasSwallowedEscape says whether a backslash stands behind an octet above 127. Browsers guess the charset of a document
// that declares none, and in Shift_JIS, GBK and Big5 such a backslash is the second half of a character: a string of CSS
// then ends elsewhere. Nothing else that has a meaning in HTML or CSS can be a second half.
func hasSwallowedEscape(src []byte) bool {
	for i := 0; ; i++ {
		n := bytes.IndexByte(src[i:], '\\')
		if n < 0 {
			return false
		}
		if i += n; i > 0 && src[i-1] >= 0x80 {
			return true
		}
	}
}

// withoutNewMark puts a line end in front of a document that begins with a byte order mark since something was taken out in
// front of it: it would be read in another charset.
func withoutNewMark(out, src []byte) []byte {
	for _, mark := range []string{"\xef\xbb\xbf", "\xfe\xff", "\xff\xfe"} {
		if bytes.HasPrefix(out, []byte(mark)) && !bytes.HasPrefix(src, []byte(mark)) {
			return append([]byte("\n"), out...)
		}
	}
	return out
}

// metaCharset returns the charset that a <meta> in the first octets declares, in lower case, "" if none does. It looks
// further than the 1,024 octets of the HTML Standard, for some readers do.
func metaCharset(src []byte) string {
	l := lexer{src: src[:min(len(src), 8192)]}
	for range 500 {
		switch l.next() {
		case tokenEnd, tokenUnfinished:
			return ""
		case tokenStart:
			if string(l.name) == "meta" {
				if name := declaredBy(l.attrs); name != "" {
					return name
				}
			}
			if isRawText(l.name) {
				l.raw = bytes.Clone(l.name)
			}
		}
	}
	return ""
}

// declaredBy returns the charset that the attributes of a <meta> declare.
func declaredBy(attrs []attr) string {
	if a, ok := attribute(attrs, "charset"); ok {
		return strings.ToLower(strings.TrimSpace(string(decode(a.value))))
	}
	if _, ok := attribute(attrs, "http-equiv"); !ok {
		return ""
	}
	a, _ := attribute(attrs, "content")
	v := strings.ToLower(string(decode(a.value)))
	_, v, ok := strings.Cut(v, "charset")
	if !ok {
		return ""
	}
	v, ok = strings.CutPrefix(strings.TrimLeft(v, " \t\r\n\f"), "=")
	if !ok {
		return ""
	}
	v = strings.TrimLeft(v, " \t\r\n\f\"'")
	if i := strings.IndexAny(v, " \t\r\n\f\"';,"); i >= 0 {
		v = v[:i]
	}
	return v
}

// decodeCharset turns octets into UTF-8. What it does not know is UTF-8 if it can be, else windows-1252; for the result is
// declared as UTF-8, nobody can read it in another way than the filter.
func decodeCharset(src []byte, name string) []byte {
	switch name {
	case "utf-7", "unicode-1-1-utf-7", "csutf7", "x-unicode-2-0-utf-7", "utf-7-imap":
		return decodeUTF7(src)
	}
	e := encodingOf(name)
	if e == nil {
		if utf8.Valid(src) {
			return src
		}
		e = charmap.Windows1252
	}
	out, err := e.NewDecoder().Bytes(src)
	if err != nil {
		out = bytes.ToValidUTF8(src, []byte("\ufffd"))
	}
	return bytes.TrimPrefix(out, []byte("\ufeff"))
}

// isUTF16 says whether a charset is UTF-16 of either order.
func isUTF16(name string) bool {
	switch name {
	case "utf-16", "ucs-2", "iso-10646-ucs-2", "unicode", "csunicode":
		return true
	}
	return false
}

// isBigEndian says whether UTF-16 without a byte order mark has its markup in big endian: readers follow the Encoding
// Standard, which says little endian, or RFC 2781 Section 4.3, which says big endian.
func isBigEndian(src []byte) bool {
	if bytes.HasPrefix(src, []byte("\xff\xfe")) {
		return false
	}
	first, second := 0, 0
	for i := 0; i+1 < min(len(src), 4096); i += 2 {
		if src[i] == 0 {
			first++
		}
		if src[i+1] == 0 {
			second++
		}
	}
	return first > second
}

// otherReadings returns the charsets in which a document could be read beside the one that counts: that of <meta> when the
// MIME part declares another, and none at all when markup can hide in the one that is declared.
func otherReadings(src []byte, declared string) []string {
	var others []string
	declared = strings.ToLower(strings.Trim(strings.TrimSpace(declared), `"'`))
	if declared != "" {
		if meta := metaCharset(src); meta != declared && !transparent(meta) && !strings.HasPrefix(meta, "utf-16") {
			others = append(others, meta)
		}
	}
	if hides(declared) || declared == "" && hides(metaCharset(src)) {
		others = append(others, "windows-1252")
	}
	return others
}

// hides says whether markup that a reader of ASCII sees can be part of characters in a charset.
func hides(name string) bool {
	return name == "utf-7" || strings.HasPrefix(name, "iso-2022-") || strings.HasPrefix(name, "hz") || name == "csiso2022jp"
}

// encodingOf returns the decoder of a charset, nil if there is none.
func encodingOf(name string) encoding.Encoding {
	switch name {
	case "utf-16", "ucs-2", "iso-10646-ucs-2", "unicode", "csunicode":
		return unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)
	case "utf-16 in big endian":
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM)
	case "utf-16le":
		return unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
	case "utf-16be":
		return unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	case "utf-32", "utf-32be", "ucs-4":
		return utf32.UTF32(utf32.BigEndian, utf32.UseBOM)
	case "utf-32le":
		return utf32.UTF32(utf32.LittleEndian, utf32.UseBOM)
	case "hz-gb-2312", "hz":
		return simplifiedchinese.HZGB2312
	}
	if e, err := ianaindex.MIME.Encoding(name); err == nil && e != nil {
		return e
	}
	if e, canonical := charset.Lookup(name); e != nil && canonical != "replacement" && canonical != "x-user-defined" {
		return e
	}
	return nil
}

// decodeUTF7 reads RFC 2152. Markup is looked for in the result, and in what no conforming sender writes as well: the
// octets that are not part of a shift stay as they are.
func decodeUTF7(src []byte) []byte {
	out := make([]byte, 0, len(src))
	for i := 0; i < len(src); i++ {
		if src[i] != '+' {
			out = appendOctet(out, src[i])
			continue
		}
		from := i + 1
		for i+1 < len(src) && isBase64(src[i+1]) {
			i++
		}
		if i+1 == from {
			out = append(out, '+')
		} else {
			out = appendShifted(out, src[from:i+1])
		}
		if i+1 < len(src) && src[i+1] == '-' {
			i++
		}
	}
	return out
}

func isBase64(c byte) bool {
	return isLetter(c) || c >= '0' && c <= '9' || c == '+' || c == '/'
}

// appendOctet appends an octet as the character of that number.
func appendOctet(out []byte, c byte) []byte { return utf8.AppendRune(out, rune(c)) }

// appendShifted appends the characters of one shift.
func appendShifted(out, shift []byte) []byte {
	raw := make([]byte, base64.RawStdEncoding.DecodedLen(len(shift)))
	n, _ := base64.RawStdEncoding.Decode(raw, shift) // left-over bits are no error that matters
	raw = raw[:n]
	units := make([]uint16, 0, len(raw)/2)
	for i := 0; i+1 < len(raw); i += 2 {
		units = append(units, uint16(raw[i])<<8|uint16(raw[i+1]))
	}
	for _, r := range utf16.Decode(units) {
		out = utf8.AppendRune(out, r)
	}
	return out
}

// controls are octets that no text in a transparent charset has, and that some readers drop or take as the beginning of
// another charset: NUL, and the shifts of ISO 2022.
const controls = "\x00\x0e\x0f\x1b"

// withoutControls returns src without controls, which is src itself if there are none.
func withoutControls(src []byte) ([]byte, bool) {
	found := false
	for i := range len(controls) {
		found = found || bytes.IndexByte(src, controls[i]) >= 0
	}
	if !found {
		return src, false
	}
	out := make([]byte, 0, len(src))
	for _, c := range src {
		if strings.IndexByte(controls, c) < 0 {
			out = append(out, c)
		}
	}
	return out, true
}

// asUTF8 returns a document in UTF-8.
func (r reading) asUTF8(src []byte) []byte {
	if !r.utf8 {
		src = decodeCharset(src, r.charset)
	}
	if utf8.Valid(src) {
		return src
	}
	return bytes.ToValidUTF8(src, []byte("\ufffd"))
}
