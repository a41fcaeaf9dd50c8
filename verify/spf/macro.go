package spf

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A macroString is a parsed macro-string (RFC 7208 Section 7.1).
type macroString []segment

// A segment of a macro-string is literal text or, if letter is not 0, a macro to expand.
type segment struct {
	literal    string
	expand     bool   // written as a macro-expand, be it a macro or one of "%%", "%_" and "%-"
	letter     byte   // lower case
	escape     bool   // written in upper case: the value is URL-escaped
	keep       int    // number of right-hand parts to use, 0 for all
	reverse    bool   // reverse the parts
	delimiters string // "" for "."
}

// The places in which a macro-string stands. They differ in which octets and letters they allow.
type macroPlace int

const (
	inDomainSpec  macroPlace = iota // target-name: no c, r, t macros, must end in a top-level label or a macro
	inModifier                      // value of an unknown modifier
	inExplanation                   // text of an explanation: spaces are literal (explain-string)
)

// Macro letters (RFC 7208 Section 7.2).
const (
	domainLetters  = "slodipvh"
	explainLetters = "crt" // "allowed only in exp text"
	delimiterChars = ".-+,/_="
)

// maxParts bounds the number a DIGIT transformer may have in effect: a domain name has at most 127 labels, and Section
// 7.3 asks for no more. A larger number means "all parts" as well.
const maxParts = 1 << 15

var (
	errPercent   = errors.New(`"%" is not followed by "{", "%", "_" or "-"`)
	errNoBrace   = errors.New(`macro has no closing "}"`)
	errZeroParts = errors.New("macro keeps zero parts")
	errTopLabel  = errors.New(`domain does not end in "." and a top-level label, or in a macro`)
	errEmpty     = errors.New("domain is empty")
)

// parseDomainSpec parses a domain-spec: a macro-string that ends in a macro, or in "." and a toplabel.
func parseDomainSpec(s string) (macroString, error) {
	if s == "" {
		return nil, errEmpty
	}
	m, err := parseMacroString(s, inDomainSpec)
	if err != nil {
		return nil, err
	}
	if last := m[len(m)-1]; !last.expand && !endsInTopLabel(last.literal) {
		return nil, errTopLabel
	}
	return m, nil
}

// endsInTopLabel reports whether s ends in "." toplabel [ "." ]. A toplabel has a letter or an inner hyphen.
func endsInTopLabel(s string) bool {
	s = strings.TrimSuffix(s, ".")
	dot := strings.LastIndexByte(s, '.')
	return dot >= 0 && isTopLabel(s[dot+1:])
}

// isTopLabel reports whether s is a toplabel: letters, digits and inner hyphens, and not digits alone.
func isTopLabel(s string) bool {
	if s == "" || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	digits := true
	for i := range len(s) {
		if !isAlpha(s[i]) && !isDigit(s[i]) && s[i] != '-' {
			return false
		}
		digits = digits && isDigit(s[i])
	}
	return !digits
}

// parseMacroString parses a macro-string or, inExplanation, an explain-string.
func parseMacroString(s string, place macroPlace) (macroString, error) {
	var m macroString
	for s != "" {
		n := 0
		for n < len(s) && s[n] != '%' {
			if !isMacroLiteral(s[n]) && (s[n] != ' ' || place != inExplanation) {
				return nil, fmt.Errorf("octet %#02x is not allowed", s[n])
			}
			n++
		}
		if n > 0 {
			m = append(m, segment{literal: s[:n]})
			s = s[n:]
			continue
		}
		seg, rest, err := parseMacroExpand(s, place)
		if err != nil {
			return nil, err
		}
		m, s = append(m, seg), rest
	}
	return m, nil
}

// isMacroLiteral reports whether c is a macro-literal: visible US-ASCII other than the percent sign.
func isMacroLiteral(c byte) bool { return c > ' ' && c <= '~' && c != '%' }

// parseMacroExpand parses the macro-expand at the beginning of s, which is a percent sign, and returns what follows it.
func parseMacroExpand(s string, place macroPlace) (segment, string, error) {
	if len(s) < 2 {
		return segment{}, "", errPercent
	}
	switch s[1] {
	case '%':
		return segment{literal: "%", expand: true}, s[2:], nil
	case '_':
		return segment{literal: " ", expand: true}, s[2:], nil
	case '-':
		return segment{literal: "%20", expand: true}, s[2:], nil
	case '{':
		end := strings.IndexByte(s, '}')
		if end < 0 {
			return segment{}, "", errNoBrace
		}
		seg, err := parseMacro(s[2:end], place)
		return seg, s[end+1:], err
	}
	return segment{}, "", errPercent
}

// parseMacro parses what stands in the braces of a macro: a letter, transformers and delimiters.
func parseMacro(s string, place macroPlace) (segment, error) {
	if s == "" {
		return segment{}, errors.New("macro is empty")
	}
	seg := segment{expand: true, letter: lower(s[0]), escape: s[0] != lower(s[0])}
	switch {
	case strings.IndexByte(domainLetters, seg.letter) >= 0:
	case strings.IndexByte(explainLetters, seg.letter) < 0:
		return segment{}, fmt.Errorf("macro letter %q is unknown", s[:1])
	case place == inDomainSpec:
		return segment{}, fmt.Errorf("macro letter %q is allowed in explanations only", s[:1])
	}
	i := 1
	for ; i < len(s) && isDigit(s[i]); i++ {
		seg.keep = min(seg.keep*10+int(s[i]-'0'), maxParts)
	}
	if i > 1 && seg.keep == 0 {
		return segment{}, errZeroParts // RFC 7208 Section 7.3: "the value MUST be nonzero"
	}
	if i < len(s) && lower(s[i]) == 'r' {
		seg.reverse = true
		i++
	}
	seg.delimiters = s[i:]
	if n := strings.IndexFunc(seg.delimiters, isNoDelimiter); n >= 0 {
		return segment{}, fmt.Errorf("macro delimiter %q is unknown", seg.delimiters[n:n+1])
	}
	return seg, nil
}

func isNoDelimiter(r rune) bool { return !strings.ContainsRune(delimiterChars, r) }

// transform applies the transformers, delimiters and escaping of the macro to value (RFC 7208 Section 7.3).
func (s segment) transform(value string) string {
	if s.keep > 0 || s.reverse || s.delimiters != "" {
		parts := split(value, s.delimiters)
		if s.reverse {
			slices.Reverse(parts)
		}
		if s.keep > 0 && s.keep < len(parts) {
			parts = parts[len(parts)-s.keep:]
		}
		value = strings.Join(parts, ".")
	}
	if s.escape {
		value = escapeURL(value)
	}
	return value
}

// split splits value at every delimiter. Adjacent delimiters make empty parts (RFC 7208 Section 7.3).
func split(value, delimiters string) []string {
	if delimiters == "" || delimiters == "." {
		return strings.Split(value, ".")
	}
	parts := make([]string, 0, 8)
	for {
		i := strings.IndexAny(value, delimiters)
		if i < 0 {
			return append(parts, value)
		}
		parts = append(parts, value[:i])
		value = value[i+1:]
	}
}

// escapeURL percent-encodes every octet that is not in the unreserved set of RFC 3986.
func escapeURL(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; isAlpha(c) || isDigit(c) || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isAlpha(c byte) bool { return 'a' <= lower(c) && lower(c) <= 'z' }

// lower returns the lower-case form of an US-ASCII letter and every other octet unchanged.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}
