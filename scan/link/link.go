// Package link finds the addresses in plain text that mail programs turn into links. It takes what is written as an
// address (a scheme, or a host that begins with "www."), not every name with a dot in it, and resolves nothing.
//
// RFC 3986 Appendix C has the delimiters; what programs do beyond it about punctuation is custom.
package link

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxURL bounds one address in octets. Of a longer one the beginning is kept, which has the host.
const maxURL = 8 << 10

// A Link is one address in a text.
type Link struct {
	URL   string // with a scheme: "http://" is put in front of a bare "www."
	Text  string // as it is written
	Start int    // where it begins, in octets
}

// Find returns the links of text in the order in which they are written, at most max of them. It looks at each octet a
// bounded number of times.
func Find(text string, max int) []Link {
	var found []Link
	end := 0 // of the run of characters that was measured last; what begins inside of it ends there too
	for i := 0; i < len(text) && len(found) < max; {
		p := prefixAt(text, i)
		if p == nil {
			i++
			continue
		}
		if i >= end {
			end = i + extent(text[i:])
		}
		rest := i + len(p.text)
		if rest >= end || !p.valid(text[rest:min(end, rest+maxStart)]) {
			i = rest
			continue
		}
		written := trim(text[i:min(end, i+maxURL)])
		if len(written) > len(p.text) && p.valid(written[len(p.text):]) {
			found = append(found, Link{URL: p.add + written, Text: written, Start: i})
		}
		i = end
	}
	return found
}

// maxStart bounds how much of an address is looked at to see whether it is one, in octets.
const maxStart = 400

// A prefix is what an address begins with.
type prefix struct {
	text  string // in lower case
	add   string // put in front of it
	valid func(rest string) bool
}

// prefixes are the beginnings of addresses. The table is never written.
var prefixes = [...]prefix{
	{"http://", "", isAuthority},
	{"https://", "", isAuthority},
	{"ftp://", "", isAuthority},
	{"mailto:", "", isMailbox},
	{"www.", "http://", isHost},
}

// prefixAt returns the prefix that stands at an octet and does not go on with what is before it, nil if there is none.
func prefixAt(text string, at int) *prefix {
	switch text[at] | 0x20 {
	case 'h', 'f', 'm', 'w':
	default:
		return nil
	}
	if at > 0 && isAlnum(text[at-1]) {
		return nil
	}
	for i := range prefixes {
		p := &prefixes[i]
		if len(text)-at > len(p.text) && strings.EqualFold(text[at:at+len(p.text)], p.text) {
			return p
		}
	}
	return nil
}

// extent returns how many octets there are up to what cannot be a part of an address: blanks, controls, quotation marks
// and angle brackets.
func extent(s string) int {
	for i, r := range s {
		if ends(r) {
			return i
		}
	}
	return len(s)
}

// ends reports whether r cannot stand in an address, not even one with characters of all scripts (RFC 3987).
func ends(r rune) bool {
	if r < utf8.RuneSelf {
		return r <= ' ' || r == 0x7f || r == '<' || r == '>' || r == '"' || r == '`' || r == '|'
	}
	switch r {
	case '«', '»', '“', '”', '„', '‹', '›', '、', '，', '「', '」', '『', '』', '【', '】', '《', '》', utf8.RuneError:
		return true
	}
	return unicode.IsSpace(r) || unicode.IsControl(r)
}

// trim removes what stands behind an address as the punctuation of the sentence, and closing brackets that are not opened
// in it. Brackets are counted once, so time is linear.
func trim(s string) string {
	round := strings.Count(s, "(") - strings.Count(s, ")")
	square := strings.Count(s, "[") - strings.Count(s, "]")
	for s != "" {
		switch s[len(s)-1] {
		case '.', ',', ';', ':', '!', '?', '\'', '*', '_', '~', '{', '}', '\\', '(', '[':
		case ')':
			if round >= 0 {
				return s
			}
			round++
		case ']':
			if square >= 0 {
				return s
			}
			square++
		default:
			r, size := utf8.DecodeLastRuneInString(s)
			if r < utf8.RuneSelf || !unicode.IsPunct(r) {
				return s
			}
			s = s[:len(s)-size]
			continue
		}
		s = s[:len(s)-1]
	}
	return s
}

// isAuthority reports whether s can go on behind "//": a host of letters and digits, maybe behind a user, or an address in
// brackets (RFC 3986 Section 3.2).
func isAuthority(s string) bool {
	return s != "" && (isAlnum(s[0]) || s[0] >= utf8.RuneSelf || s[0] == '[' || s[0] == '%' || s[0] == '_' || s[0] == '-')
}

// isHost reports whether s goes on behind "www." as a host does: a label and a dot.
func isHost(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.':
			return i > 0 && i+1 < len(s) && (isAlnum(s[i+1]) || s[i+1] >= utf8.RuneSelf)
		case !isAlnum(c) && c < utf8.RuneSelf && c != '-' && c != '_':
			return false
		}
	}
	return false
}

// isMailbox reports whether s begins with an address (RFC 6068).
func isMailbox(s string) bool {
	at := strings.IndexByte(s, '@')
	return at > 0 && at+1 < len(s) && (isAlnum(s[at+1]) || s[at+1] >= utf8.RuneSelf || s[at+1] == '[')
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
