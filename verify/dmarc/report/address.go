package report

import (
	"net/url"
	"slices"
	"strings"

	"assay/verify/dns"
)

// The lengths of an address (RFC 5321 Sections 4.5.3.1.1 and 4.5.3.1.3, the latter without its angle brackets).
const (
	maxLocal   = 64
	maxAddress = 254
)

// Addresses returns the different addresses of the mailto URIs among uris, in their order, with the domain in A-labels and
// lower case. Each URI names exactly one (RFC 9989 Section 4.7 separates URIs by commas), and what follows a question mark
// is ignored, because the fields of a report are ours. An address is a dot-atom at a domain name in US-ASCII: quoted local
// parts, address literals, white space and control characters are not taken, neither is a local part that begins with a
// hyphen, which programs take for an option. Other schemes and whatever is malformed are ignored (RFC 9990 Section 2.5).
func Addresses(uris []string) []string {
	var out []string
	for _, uri := range uris {
		scheme, rest, _ := strings.Cut(uri, ":")
		if !strings.EqualFold(scheme, "mailto") {
			continue
		}
		to, _, _ := strings.Cut(rest, "?")
		to, _, _ = strings.Cut(to, "#")
		if len(to) > 3*maxAddress {
			continue
		}
		// RFC 6068 Section 2: percent-encoding, and a plus sign is itself.
		decoded, err := url.PathUnescape(to)
		if err != nil {
			continue
		}
		if address, ok := parseAddress(decoded); ok && !slices.Contains(out, address) {
			out = append(out, address)
		}
	}
	return out
}

// parseAddress returns an address with its domain in canonical form, and whether it is one that mail is sent to.
func parseAddress(s string) (string, bool) {
	local, domain, found := strings.Cut(s, "@")
	if !found || len(local) > maxLocal || !isDotAtom(local) || local[0] == '-' {
		return "", false
	}
	name, err := dns.Canonical(domain)
	top := name[strings.LastIndexByte(name, '.')+1:]
	switch {
	case err != nil, strings.HasSuffix(domain, "."), strings.Contains(name, "_"):
		return "", false
	case len(top) == len(name), strings.Trim(top, "0123456789") == "": // a single label, or an IPv4 address
		return "", false
	}
	address := local + "@" + name
	return address, len(address) <= maxAddress
}

// isDotAtom tells whether s is a dot-atom-text (RFC 5322 Section 3.2.3).
func isDotAtom(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" {
			return false
		}
		for i := range len(atom) {
			if !isAlnum(atom[i]) && strings.IndexByte("!#$%&'*+-/=?^_`{|}~", atom[i]) < 0 {
				return false
			}
		}
	}
	return true
}

func isAlnum(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' }
