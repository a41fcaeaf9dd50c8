package dkim

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// A Tag is one name=value pair of a tag list.
type Tag struct{ Name, Value string }

// Tags is a tag list (RFC 6376 Section 3.2) in the order it was written. No name occurs twice.
type Tags []Tag

// maxTags bounds the tags of one list. Signatures have about fifteen.
const maxTags = 100

// Get returns the value of the tag with that name, which is case-sensitive, and whether there is one.
func (t Tags) Get(name string) (string, bool) {
	for i := range t {
		if t[i].Name == name {
			return t[i].Value, true
		}
	}
	return "", false
}

// ParseTags parses a tag list by the letter of RFC 6376 Section 3.2, with two additions: values may hold UTF-8 (RFC 8616
// Section 4), and white space may follow the last semicolon, as it does in many key records. A duplicate name makes the
// whole list invalid. Values keep the folding white space within them.
func ParseTags(s string) (Tags, error) {
	tags := make(Tags, 0, 16)
	for rest := s; ; {
		spec, tail, more := strings.Cut(rest, ";")
		if !more && len(tags) > 0 && trim(spec) == "" {
			return tags, nil
		}
		tag, err := parseTag(spec)
		if err != nil {
			return nil, err
		}
		if _, dup := tags.Get(tag.Name); dup {
			return nil, fmt.Errorf("duplicate tag %q", tag.Name)
		}
		if len(tags) == maxTags {
			return nil, fmt.Errorf("more than %d tags", maxTags)
		}
		tags = append(tags, tag)
		if !more {
			return tags, nil
		}
		rest = tail
	}
}

// parseTag parses one tag-spec: [FWS] tag-name [FWS] "=" [FWS] tag-value [FWS].
func parseTag(spec string) (Tag, error) {
	name, value, ok := strings.Cut(spec, "=")
	if !ok {
		if trim(spec) == "" {
			return Tag{}, errors.New("empty tag")
		}
		return Tag{}, fmt.Errorf("tag %q without =", brief(trim(spec)))
	}
	t := Tag{trim(name), trim(value)}
	if !isTagName(t.Name) {
		return Tag{}, fmt.Errorf("malformed tag name %q", brief(t.Name))
	}
	if !isTagValue(t.Value) {
		return Tag{}, fmt.Errorf("malformed value of tag %q", brief(t.Name))
	}
	return t, nil
}

// isTagName reports whether s is ALPHA *ALNUMPUNC.
func isTagName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		alpha := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !alpha && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != ""
}

// isTagValue reports whether s, which neither begins nor ends with white space, consists of printable characters,
// folding white space, and UTF-8.
func isTagValue(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case ' ' <= c && c < 0x7f || c == '\t':
		case c >= 0x80:
			return utf8.ValidString(s[i:]) && isTagValue(strings.Map(ascii, s[i:]))
		case c == '\r' && i+2 < len(s) && s[i+1] == '\n' && (s[i+2] == ' ' || s[i+2] == '\t'):
			i += 2
		default:
			return false
		}
	}
	return true
}

// ascii maps what is not ASCII to a letter.
func ascii(r rune) rune {
	if r >= utf8.RuneSelf {
		return 'u'
	}
	return r
}

// isWhite reports whether c can be a part of folding white space.
func isWhite(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// trim removes folding white space around s.
func trim(s string) string {
	for len(s) > 0 && isWhite(s[0]) {
		s = s[1:]
	}
	for len(s) > 0 && isWhite(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// compact removes folding white space from s.
func compact(s string) string {
	i := 0
	for i < len(s) && !isWhite(s[i]) {
		i++
	}
	if i == len(s) {
		return s
	}
	out := make([]byte, i, len(s))
	copy(out, s)
	for ; i < len(s); i++ {
		if !isWhite(s[i]) {
			out = append(out, s[i])
		}
	}
	return string(out)
}

// brief cuts s to a length that can be shown.
func brief(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}

// list splits a colon-separated list and removes the folding white space around its items.
func list(s string) []string {
	items := strings.Split(s, ":")
	for i := range items {
		items[i] = trim(items[i])
	}
	return items
}

// has reports whether the colon-separated list holds the item. The items are literals of an ABNF, which are
// case-insensitive (RFC 5234 Section 2.3).
func has(s, item string) bool {
	for rest, more := s, true; more; {
		var v string
		v, rest, more = strings.Cut(rest, ":")
		if strings.EqualFold(trim(v), item) {
			return true
		}
	}
	return false
}

// DecodeBase64 decodes base64 with folding white space anywhere in it. Padding may be missing: in the base64string of RFC 6376
// Section 2.10 it is optional.
func DecodeBase64(s string) ([]byte, error) {
	s = compact(s)
	for i := 0; i < 2; i++ {
		s = strings.TrimSuffix(s, "=")
	}
	if s == "" {
		return nil, errors.New("empty")
	}
	return base64.RawStdEncoding.DecodeString(s)
}

// number reads 1*DIGIT. Values of more than 12 digits are all the same to RFC 6376 Section 3.5, which lets verifiers
// take them for infinite; number returns limit for what is above it.
func number(s string, limit int64) (int64, bool) {
	if s == "" {
		return 0, false
	}
	var n int64
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		if n = 10*n + int64(s[i]-'0'); n > limit {
			n = limit
		}
	}
	return n, true
}

// unquote decodes dkim-quoted-printable (RFC 6376 Section 2.11) and removes the folding white space in it.
func unquote(s string) (string, error) {
	s = compact(s)
	if !strings.Contains(s, "=") {
		return s, nil
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '=' {
			out = append(out, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", errors.New("incomplete quoted-printable")
		}
		hi, lo := hexDigit(s[i+1]), hexDigit(s[i+2])
		if hi < 0 || lo < 0 {
			return "", errors.New("malformed quoted-printable")
		}
		out = append(out, byte(hi<<4|lo))
		i += 2
	}
	return string(out), nil
}

// hexDigit returns the value of a hexadecimal digit, -1 for anything else.
func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
