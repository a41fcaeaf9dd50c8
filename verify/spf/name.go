package spf

import (
	"net/netip"
	"strings"

	"assay/verify/dns"
)

// Lengths of RFC 1035 Section 2.3.4, in presentation form without the final dot.
const (
	maxName  = 253
	maxLabel = 63
)

// maxIdentity bounds what is taken from the SMTP session into macros. RFC 5321 Section 4.5.3.1 allows 64 octets for a
// local-part and 255 for a domain.
const maxIdentity = 1024

// postmaster stands in for a missing local-part (RFC 7208 Section 4.3).
const postmaster = "postmaster"

// splitSender returns local-part and domain of a reverse-path. The local-part may be a quoted string that contains "@";
// a domain cannot, so the last one separates them.
func splitSender(path string) (local, domain string) {
	i := strings.LastIndexByte(path, '@')
	if i < 0 {
		return path, ""
	}
	if i == 0 {
		return postmaster, path[1:]
	}
	return path[:i], path[i+1:]
}

// canonicalDomain returns the domain of an identity in lower case, as A-labels (RFC 7208 Section 4.3, RFC 8616 Section
// 4) and without the final dot. ok is false if check_host() has to return none without asking the DNS: the domain is
// empty, an address, a single label, or malformed.
func canonicalDomain(domain string) (name string, ok bool) {
	if domain == "" || len(domain) > maxIdentity || domain[0] == '[' {
		return "", false
	}
	name, err := dns.Canonical(domain)
	if err != nil {
		return "", false
	}
	return name, isQueryable(name) && isTopLabel(name[strings.LastIndexByte(name, '.')+1:])
}

// isQueryable reports whether name can be asked for: two or more labels of 1 to 63 octets and not more than 253 in
// total. RFC 7208 Section 4.8 leaves undefined what happens to a target-name that macro expansion made invalid; like a
// name that does not exist, it does not match. A target-name may hold any visible character and spaces, but one with
// octets beyond US-ASCII, which macros can bring in from the SMTP session, never matches (RFC 8616 Section 4).
func isQueryable(name string) bool {
	if len(name) > maxName || strings.IndexByte(name, '.') < 0 {
		return false
	}
	label := 0
	for i := range len(name) {
		switch c := name[i]; {
		case c == '.':
			if label == 0 {
				return false
			}
			label = 0
			continue
		case c < ' ' || c > '~':
			return false
		}
		if label++; label > maxLabel {
			return false
		}
	}
	return label > 0
}

// fitName removes a final dot, and labels from the left until name has no more than 253 octets (RFC 7208 Section 7.3).
func fitName(name string) string {
	name = strings.TrimSuffix(name, ".")
	for len(name) > maxName {
		dot := strings.IndexByte(name, '.')
		if dot < 0 {
			return ""
		}
		name = name[dot+1:]
	}
	return name
}

// isWithin reports whether name is domain or a subdomain of it. Both are in lower case.
func isWithin(name, domain string) bool {
	rest, ok := strings.CutSuffix(name, domain)
	return ok && (rest == "" || rest[len(rest)-1] == '.')
}

// lowerName returns name with its US-ASCII letters in lower case. Names hold octets, not text (RFC 4343): a Unicode
// mapping would turn the Kelvin sign of a local-part into a k.
func lowerName(name string) string {
	i := 0
	for i < len(name) && name[i] == lower(name[i]) {
		i++
	}
	if i == len(name) {
		return name
	}
	b := []byte(name)
	for ; i < len(b); i++ {
		b[i] = lower(b[i])
	}
	return string(b)
}

// macroIP returns ip as the macro "i" shows it: dotted decimal, or for IPv6 the 32 nibbles separated by dots.
func macroIP(ip netip.Addr) string {
	if ip.Is4() {
		return ip.String()
	}
	const digits = "0123456789ABCDEF"
	b := make([]byte, 0, 63)
	for i, octet := range ip.As16() {
		if i > 0 {
			b = append(b, '.')
		}
		b = append(b, digits[octet>>4], '.', digits[octet&15])
	}
	return string(b)
}
