package rules

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// fold returns a text in lower case and without accents.
func fold(s string) string {
	ascii := true
	for i := range len(s) {
		ascii = ascii && s[i] < 0x80
	}
	if ascii {
		return strings.ToLower(s)
	}
	var b strings.Builder
	for _, r := range norm.NFKD.String(s) {
		if !unicode.Is(unicode.Mn, r) {
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return norm.NFC.String(b.String())
}

// confusable reports whether two different texts look alike to a reader.
func confusable(a, b string) bool { return a != b && fold(a) == fold(b) }

// likeness finds domains that look like one of some.
type likeness []string

// match reports whether a domain looks like one of them: it differs in one letter.
func (l likeness) match(domain string) bool {
	for _, d := range l {
		if len(d) > 5 && d != domain && distance(d, domain) == 1 {
			return true
		}
	}
	return false
}
