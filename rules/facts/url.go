package facts

import (
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"

	"assay/scan"
	"assay/scan/link"
)

// urls are the links of the report, and those in plain text, unless the report has such already.
func (f *Facts) urls() []URL {
	out := []URL{}
	fromText := false
	for i := range f.in.Report.Links {
		if len(out) == MaxURLs {
			return out
		}
		l := &f.in.Report.Links[i]
		fromText = fromText || l.Source == scan.FromText
		out = append(out, urlOf(l))
	}
	if fromText {
		return out
	}
	for _, p := range f.passages() {
		for _, l := range link.Find(p.text, MaxURLs-len(out)) {
			out = append(out, urlOf(&scan.Link{Section: p.section, URL: l.URL, Text: l.Text, Source: scan.FromText}))
		}
	}
	return out
}

// urlOf takes a link apart.
func urlOf(l *scan.Link) URL {
	u := URL{Href: bounded(l.URL), Text: bounded(l.Text), Source: orText(l.Source), Section: bounded(l.Section)}
	u.Scheme, u.Host = schemeAndHost(u.Href)
	u.OrgDomain = orgDomain(u.Host)
	u.TextHost = shownHost(u.Text)
	u.Mismatch = u.TextHost != "" && u.Host != "" && differ(u)
	return u
}

func orText(s scan.Source) string {
	if s == "" {
		s = scan.FromText
	}
	return string(s)
}

// differ reports whether the host that is shown belongs to others than the one that is linked to. Hosts without an
// organizational domain, such as addresses, are compared as they are.
func differ(u URL) bool {
	shown := orgDomain(u.TextHost)
	if shown == "" && u.OrgDomain == "" {
		return u.TextHost != u.Host
	}
	return shown != u.OrgDomain
}

// schemeAndHost takes scheme and host out of an address the way browsers do (WHATWG URL Standard), not by the letter of
// RFC 3986: blanks at the ends do not count, "\" is "/", and behind http: any number of slashes may stand, or none.
func schemeAndHost(href string) (scheme, host string) {
	href = strings.TrimSpace(href)
	scheme, rest := splitScheme(href)
	switch scheme {
	case "mailto":
		return scheme, mailtoHost(rest)
	case "http", "https", "ftp", "ws", "wss":
		rest = strings.TrimLeft(rest, `/\`)
	default:
		if !strings.HasPrefix(rest, "//") && !strings.HasPrefix(rest, `\\`) && !strings.HasPrefix(rest, `/\`) && !strings.HasPrefix(rest, `\/`) {
			return scheme, ""
		}
		rest = rest[2:]
	}
	if i := strings.IndexAny(rest, `/\?#`); i >= 0 {
		rest = rest[:i]
	}
	return scheme, hostOf(rest[strings.LastIndexByte(rest, '@')+1:])
}

// splitScheme splits off the scheme (RFC 3986 Section 3.1), "" if there is none.
func splitScheme(href string) (scheme, rest string) {
	for i := range len(href) {
		switch c := href[i] | 0x20; {
		case href[i] == ':' && i > 0:
			return strings.ToLower(href[:i]), href[i+1:]
		case c >= 'a' && c <= 'z':
		case i > 0 && (href[i] >= '0' && href[i] <= '9' || href[i] == '+' || href[i] == '-' || href[i] == '.'):
		default:
			return "", href
		}
	}
	return "", href
}

// mailtoHost is the domain of the first address of a mailto: URI (RFC 6068).
func mailtoHost(rest string) string {
	if i := strings.IndexAny(rest, "?,"); i >= 0 {
		rest = rest[:i]
	}
	at := strings.LastIndexByte(rest, '@')
	if at < 0 {
		return ""
	}
	return hostOf(rest[at+1:])
}

// hostOf normalises a host with an optional port: percent encoding is undone, names are put into A-labels, numbers that
// browsers read as an IPv4 address are written as one.
func hostOf(s string) string {
	if strings.HasPrefix(s, "[") {
		if end := strings.IndexByte(s, ']'); end > 0 {
			if addr, err := netip.ParseAddr(s[1:end]); err == nil {
				return addr.WithZone("").String()
			}
		}
		return ""
	}
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		s = s[:i]
	}
	host := canonical(unescaped(s))
	if addr, ok := numericHost(host); ok {
		return addr
	}
	return bounded(host)
}

// unescaped undoes percent encoding. What is none stays.
func unescaped(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				out = append(out, byte(n))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

// numericHost reads the forms of an IPv4 address that browsers take (WHATWG URL Standard, IPv4 parser): one to four
// numbers, decimal, octal or hexadecimal, of which the last fills the octets that are left.
func numericHost(host string) (string, bool) {
	if host == "" || host[0] < '0' || host[0] > '9' {
		return "", false
	}
	fields := strings.Split(host, ".")
	if len(fields) > 4 {
		return "", false
	}
	var addr uint64
	for i, field := range fields {
		n, ok := hostNumber(field)
		last := i == len(fields)-1
		if !ok || !last && n > 255 || last && n >= 1<<(8*(5-len(fields))) {
			return "", false
		}
		if last {
			addr |= n
		} else {
			addr |= n << (8 * (3 - i))
		}
	}
	return netip.AddrFrom4([4]byte{byte(addr >> 24), byte(addr >> 16), byte(addr >> 8), byte(addr)}).String(), true
}

// hostNumber reads one number of an IPv4 address.
func hostNumber(s string) (uint64, bool) {
	base := 10
	switch {
	case strings.HasPrefix(s, "0x"):
		s, base = s[2:], 16
		if s == "" {
			return 0, true
		}
	case len(s) > 1 && s[0] == '0':
		s, base = s[1:], 8
	}
	n, err := strconv.ParseUint(s, base, 64)
	return n, err == nil
}

// shownHost is the host that a reader takes the text of a link for: that of an address in it, or of a text that is
// nothing but a host name with a public suffix, maybe with a path. It is "" for any other text.
func shownHost(text string) string {
	if found := link.Find(text, 1); len(found) == 1 {
		_, host := schemeAndHost(found[0].URL)
		return host
	}
	text = strings.Trim(strings.TrimSpace(text), ".,;:!?()[]<>\"'")
	if text == "" || strings.ContainsAny(text, " \t\n") {
		return ""
	}
	if i := strings.IndexAny(text, "/?#"); i >= 0 {
		text = text[:i]
	}
	host := hostOf(text[strings.LastIndexByte(text, '@')+1:])
	if !isPublicName(host) {
		return ""
	}
	return host
}

// isPublicName reports whether a name ends in a public suffix of the DNS and has a label before it. Suffixes that are
// better known as those of files are left out: "invoice.zip" is no host to a reader.
func isPublicName(host string) bool {
	for i := range len(host) {
		c := host[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_') {
			return false
		}
	}
	suffix, icann := publicsuffix.PublicSuffix(host)
	if !icann || suffix == host {
		return false
	}
	switch suffix {
	case "zip", "mov", "md", "sh", "py", "ps", "rs":
		return false
	}
	return true
}
