package authres

import (
	"strings"

	"golang.org/x/net/idna"
)

// SameID tells whether two authserv-ids are the same: domain names are compared without regard to case, to a final dot,
// and to whether they are written with U-labels or A-labels (RFC 8601 Section 2.5 wants the comparison to follow RFC 5890
// Section 2.3.2.4).
func SameID(a, b string) bool { return foldID(a) == foldID(b) }

// foldID is the form in which authserv-ids are compared. Unlike CanonicalID it takes anything.
func foldID(id string) string {
	id = strings.Trim(id, " \t\r\n")
	if !isASCII(id) {
		if s, err := idna.New(idna.MapForLookup(), idna.StrictDomainName(false)).ToASCII(id); err == nil {
			id = s
		}
	}
	return strings.ToLower(strings.TrimSuffix(id, "."))
}

// CanonicalID returns id in lower case, with A-labels and without the final dot, and whether it is a dotted host name.
// A name without a dot is refused, although RFC 8601 allows it: clients exist that take a field for their own server's
// when its authserv-id has none.
func CanonicalID(id string) (string, bool) {
	s := foldID(id)
	if len(s) > 253 || !isDotted(s, isLabelByte) || strings.IndexByte(s, '.') < 0 {
		return "", false
	}
	last := s[strings.LastIndexByte(s, '.')+1:]
	if strings.Trim(last, "0123456789") == "" { // an IPv4 address or a version number
		return "", false
	}
	for label := range strings.SplitSeq(s, ".") {
		if len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return "", false
		}
	}
	return s, true
}

// Identify returns the authserv-id of a field's value, for the decision whether the field is removed. ok says that no
// reader can see a different one: the value begins with a dotted ASCII host name directly followed by ";", and holds no
// control character. A caller that removes forged fields removes every field that is not ok.
//
// RFC 8601 allows more, such as comments, a quoted id and a version number, but clients that look for
// "name;" trust a field in which they do not find it. For such fields the id is returned as far as it can be read, with
// ok false, for the caller that trusts the host the field came from.
func Identify(value string) (id string, ok bool) {
	s, err := unfold(value)
	if err != nil {
		return "", false
	}
	s = strings.TrimLeft(s, " \t")
	if name, _, found := strings.Cut(s, ";"); found {
		if id, valid := CanonicalID(name); valid && strings.EqualFold(id, name) { // as it stands there
			return id, true
		}
	}
	p := parser{s: s}
	h := Header{}
	if err := p.authservID(&h); err != nil {
		return "", false
	}
	return h.ID, false
}

// isASCII tells whether s holds ASCII only.
func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
