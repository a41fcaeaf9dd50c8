package spf

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"assay/verify/authres"
)

// version is the version section of a record (RFC 7208 Section 4.5), compared without regard to case.
const version = "v=spf1"

// A record is a policy whose whole syntax is valid (RFC 7208 Section 4.6).
type record struct {
	directives []directive
	redirect   macroString // nil when absent
	exp        macroString // nil when absent
}

// A directive is a mechanism and the result it gives when it matches (RFC 7208 Section 4.6.1).
type directive struct {
	text      string // as written
	result    authres.Result
	mechanism mechanism
	target    macroString  // domain-spec, nil when absent
	network   netip.Prefix // ip4 and ip6
	bits4     int          // a and mx: ip4-cidr-length
	bits6     int          // a and mx: ip6-cidr-length
}

// A mechanism is one of the eight of RFC 7208 Section 5.
type mechanism string

const (
	mechAll     mechanism = "all"
	mechInclude mechanism = "include"
	mechA       mechanism = "a"
	mechMX      mechanism = "mx"
	mechPTR     mechanism = "ptr"
	mechIP4     mechanism = "ip4"
	mechIP6     mechanism = "ip6"
	mechExists  mechanism = "exists"
)

// queriesDNS reports whether evaluating the mechanism causes DNS queries (RFC 7208 Section 4.6.4).
func (m mechanism) queriesDNS() bool {
	return m != mechAll && m != mechIP4 && m != mechIP6
}

// isRecord reports whether the TXT record s is an SPF record: it begins with "v=spf1" and a space, or is that alone.
func isRecord(s string) bool {
	return len(s) >= len(version) && strings.EqualFold(s[:len(version)], version) &&
		(len(s) == len(version) || s[len(version)] == ' ')
}

// parseRecord parses the SPF record s, for which isRecord holds. A mistake anywhere makes the whole record invalid
// (RFC 7208 Section 4.6).
func parseRecord(s string) (*record, error) {
	r := record{directives: make([]directive, 0, min(strings.Count(s, " "), 64))}
	for term := range strings.SplitSeq(s[len(version):], " ") {
		if term == "" {
			continue
		}
		if err := r.addTerm(term); err != nil {
			return nil, fmt.Errorf("term %q: %w", term, err)
		}
	}
	return &r, nil
}

// addTerm parses term, which is a modifier if a name and "=" stand at its beginning.
func (r *record) addTerm(term string) error {
	if name, value, ok := cutModifier(term); ok {
		return r.addModifier(name, value)
	}
	d, err := parseDirective(term)
	if err != nil {
		return err
	}
	r.directives = append(r.directives, d)
	return nil
}

// cutModifier splits a modifier at the "=" behind its name: ALPHA *( ALPHA / DIGIT / "-" / "_" / "." ).
func cutModifier(term string) (name, value string, ok bool) {
	if !isAlpha(term[0]) {
		return "", "", false
	}
	for i := range len(term) {
		switch c := term[i]; {
		case c == '=':
			return term[:i], term[i+1:], true
		case !isAlpha(c) && !isDigit(c) && c != '-' && c != '_' && c != '.':
			return "", "", false
		}
	}
	return "", "", false
}

// addModifier parses the value of a modifier (RFC 7208 Section 6). The names exp and redirect are never taken for
// unknown modifiers, although a literal reading of the grammar would allow it.
func (r *record) addModifier(name, value string) error {
	var known *macroString
	switch {
	case strings.EqualFold(name, "redirect"):
		known = &r.redirect
	case strings.EqualFold(name, "exp"):
		known = &r.exp
	default:
		_, err := parseMacroString(value, inModifier)
		return err
	}
	if *known != nil {
		return errors.New("modifier appears twice") // RFC 7208 Section 6
	}
	m, err := parseDomainSpec(value)
	*known = m
	return err
}

// parseDirective parses [ qualifier ] mechanism.
func parseDirective(term string) (directive, error) {
	d := directive{text: term, result: authres.Pass, bits4: 32, bits6: 128}
	switch term[0] {
	case '+':
		term = term[1:]
	case '-':
		d.result, term = authres.Fail, term[1:]
	case '~':
		d.result, term = authres.SoftFail, term[1:]
	case '?':
		d.result, term = authres.Neutral, term[1:]
	}
	n := strings.IndexAny(term, ":/")
	if n < 0 {
		n = len(term)
	}
	d.mechanism = mechanism(lowerName(term[:n]))
	return d, d.parseArgument(term[n:])
}

// parseArgument parses what follows the mechanism's name: "", or something that begins with ":" or "/".
func (d *directive) parseArgument(arg string) error {
	switch d.mechanism {
	case mechAll:
		if arg != "" {
			return errors.New("all takes no argument")
		}
		return nil
	case mechA, mechMX:
		return d.parseDualCIDR(arg)
	case mechPTR:
		if arg == "" {
			return nil
		}
		return d.parseTarget(arg)
	case mechInclude, mechExists:
		return d.parseTarget(arg)
	case mechIP4:
		return d.parseNetwork(arg, 32)
	case mechIP6:
		return d.parseNetwork(arg, 128)
	}
	return errors.New("mechanism is unknown")
}

// parseTarget parses ":" domain-spec.
func (d *directive) parseTarget(arg string) (err error) {
	spec, ok := strings.CutPrefix(arg, ":")
	if !ok {
		return errors.New("mechanism needs a domain")
	}
	d.target, err = parseDomainSpec(spec)
	return err
}

// parseDualCIDR parses [ ":" domain-spec ] [ dual-cidr-length ] (RFC 7208 Sections 5.3 and 5.4). A domain-spec may
// itself contain slashes, so the lengths are looked for from the end.
func (d *directive) parseDualCIDR(arg string) error {
	if rest, bits, ok := cutBits(arg, "//", 128); ok {
		arg, d.bits6 = rest, bits
	}
	if rest, bits, ok := cutBits(arg, "/", 32); ok {
		arg, d.bits4 = rest, bits
	}
	if arg == "" {
		return nil
	}
	if arg[0] == '/' {
		return errors.New("prefix length is invalid")
	}
	return d.parseTarget(arg)
}

// cutBits removes a prefix length of at most limit and the slashes before it from the end of s.
func cutBits(s, slashes string, limit int) (rest string, bits int, ok bool) {
	i := strings.LastIndexByte(s, '/') + 1
	if i == 0 || !strings.HasSuffix(s[:i], slashes) {
		return s, 0, false
	}
	if bits, ok = parseBits(s[i:], limit); !ok {
		return s, 0, false
	}
	return s[:i-len(slashes)], bits, true
}

// parseBits parses a prefix length: a number of at most limit, without leading zeros.
func parseBits(s string, limit int) (int, bool) {
	if s == "" || len(s) > 3 || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	for i := range len(s) {
		if !isDigit(s[i]) {
			return 0, false
		}
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n <= limit
}

// parseNetwork parses ":" address [ "/" length ] for ip4 and ip6 (RFC 7208 Section 5.6). Parts of an address must not
// be left out, and numbers must not have leading zeros.
func (d *directive) parseNetwork(arg string, bits int) error {
	text, ok := strings.CutPrefix(arg, ":")
	if !ok {
		return errors.New("mechanism needs an address")
	}
	size := bits
	if address, length, ok := strings.Cut(text, "/"); ok {
		if bits, ok = parseBits(length, size); !ok {
			return errors.New("prefix length is invalid")
		}
		text = address
	}
	ip, err := netip.ParseAddr(text)
	if err != nil || ip.BitLen() != size || ip.Zone() != "" {
		return errors.New("address is invalid")
	}
	d.network = netip.PrefixFrom(ip, bits)
	return nil
}
