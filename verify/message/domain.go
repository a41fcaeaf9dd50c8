package message

import (
	"strings"

	"golang.org/x/net/idna"
)

// Lengths of names (RFC 1035 Section 2.3.4), without the final dot.
const (
	maxDomain = 253
	maxLabel  = 63
)

// canonicalDomain returns a domain in lower case and as A-labels (RFC 5890), and whether it can be one. Underscores
// and hyphens are taken anywhere, as the DNS takes them.
func canonicalDomain(name string) (string, bool) {
	if len(name) > 4*maxDomain {
		return "", false
	}
	for i := range len(name) {
		if name[i] >= 0x80 {
			profile := idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false),
				idna.CheckHyphens(false), idna.BidiRule())
			ascii, err := profile.ToASCII(name)
			if err != nil {
				return "", false
			}
			name = ascii
			break
		}
	}
	name = strings.ToLower(name)
	return name, isDomain(name)
}

// asciiDomain returns a name that is no domain in the form of one, "" if there is none.
func asciiDomain(name string) string {
	ascii, err := idna.Punycode.ToASCII(strings.ToLower(name))
	if err != nil {
		return ""
	}
	return ascii
}

// isDomain checks the lengths and characters of a name in lower case.
func isDomain(name string) bool {
	if len(name) > maxDomain {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > maxLabel {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}
