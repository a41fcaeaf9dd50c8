package report

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// clean makes a text of unknown origin fit for a report: UTF-8 of printable characters, which all are characters of XML 1.0
// (Section 2.2), in one line of at most max octets. What cannot be printed is U+FFFD.
func clean(s string, max int) string {
	var b strings.Builder
	blank := false
	for _, r := range s { // an invalid octet is U+FFFD
		if unicode.IsSpace(r) {
			blank = b.Len() > 0
			continue
		}
		if !unicode.IsPrint(r) {
			r = utf8.RuneError
		}
		need := utf8.RuneLen(r)
		if blank {
			need++
		}
		if b.Len()+need > max {
			break
		}
		if blank {
			b.WriteByte(' ')
			blank = false
		}
		b.WriteRune(r)
	}
	return b.String()
}

// lasting returns the part of DKIM's reason for a result that is the same for all messages of its kind: without times and
// lengths, and nothing if it quotes the message, which can say anything, such as the address of a person in i=.
func lasting(reason string) string {
	if strings.ContainsAny(reason, `@"`) {
		return ""
	}
	for _, variable := range []string{", on ", " on ", ": l=", "l="} {
		reason, _, _ = strings.Cut(reason, variable)
	}
	return reason
}

// impersonal returns SPF's text if it cannot name a person, "" otherwise. Addresses do, and so do domain names that the macros
// of a record build from the local part of sender, whole or in parts, in any order (RFC 7208 Section 7.3).
func impersonal(text, sender string) string {
	if strings.Contains(text, "@") {
		return ""
	}
	said := map[string]bool{}
	for _, word := range words(text) {
		said[word] = true
	}
	for _, word := range words(sender[:max(strings.LastIndexByte(sender, '@'), 0)]) {
		if said[word] {
			return ""
		}
	}
	return text
}

// words returns the runs of letters and digits in s, in lower case.
func words(s string) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}
