package dmarc

import (
	"errors"
	"strings"
)

// ErrNotRecord means that a TXT record is not a DMARC policy record.
var ErrNotRecord = errors.New("dmarc: not a policy record")

// A PSD is the value of the psd tag (RFC 9989 Section 4.7). The zero value is the default, "u".
type PSD string

// What a record can say about being published at a public suffix domain.
const (
	PSDUnknown PSD = ""  // the tree walk decides
	PSDYes     PSD = "y" // it is a public suffix domain
	PSDNo      PSD = "n" // it is the organizational domain of itself and of everything below
)

// A Record is a DMARC policy record (RFC 9989 Section 4.7). The zero value is what a record without any tag says.
type Record struct {
	P, SP, NP  Policy // "" where the tag is absent or invalid
	StrictDKIM bool   // adkim=s
	StrictSPF  bool   // aspf=s
	PSD        PSD
	Testing    bool     // t=y
	RUA        []string // URIs for aggregate reports, valid ones, without a size limit
	RUF        []string // URIs for failure reports, likewise
	FO         string   // options for failure reports, "0" when absent, invalid, or without RUF
	Invalid    bool     // no valid p tag, or an invalid sp or np tag: see Effective
	Ignored    []string // tags that were ignored because of a syntax error, as published
}

// ParseRecord reads a TXT record, whose character-strings are joined. Whatever does not begin with v=DMARC1, in this case
// and as the first tag, is ErrNotRecord. Behind that nothing is an error (RFC 9989 Section 4.8): unknown and historic tags
// are ignored, tags with a syntax error have their default, and of a tag that occurs twice the first one counts.
// Values are compared without regard to case, as the literals of the grammar are (RFC 5234 Section 2.3).
func ParseRecord(txt string) (Record, error) {
	first, rest, _ := strings.Cut(txt, ";")
	name, value, found := strings.Cut(first, "=")
	if !found || !strings.EqualFold(trimRight(name), "v") || trim(value) != "DMARC1" {
		return Record{}, ErrNotRecord
	}
	r := Record{FO: "0"}
	seen := map[string]bool{"v": true}
	for rest != "" {
		var tag string
		tag, rest, _ = strings.Cut(rest, ";")
		name, value, found := strings.Cut(tag, "=")
		name, value = strings.ToLower(trim(name)), trim(value)
		switch {
		case trim(tag) == "":
			continue
		case !found || seen[name] || !r.set(name, value):
			r.Ignored = append(r.Ignored, trim(tag))
		}
		if found && known(name) {
			seen[name] = true
		}
	}
	if r.P == "" {
		r.Invalid = true
	}
	if len(r.RUF) == 0 {
		r.FO = "0" // RFC 9989 Section 4.7: without ruf the content of fo is ignored
	}
	return r, nil
}

// known tells whether a tag is registered and not historic.
func known(name string) bool {
	switch name {
	case "adkim", "aspf", "fo", "np", "p", "psd", "rua", "ruf", "sp", "t", "v":
		return true
	}
	return false
}

// set takes over one tag and tells whether its syntax is right. Unknown tags are.
func (r *Record) set(name, value string) bool {
	lower := strings.ToLower(value)
	switch name {
	case "p":
		return r.setPolicy(&r.P, lower)
	case "sp":
		return r.setPolicy(&r.SP, lower)
	case "np":
		return r.setPolicy(&r.NP, lower)
	case "adkim":
		r.StrictDKIM = lower == "s"
		return lower == "s" || lower == "r"
	case "aspf":
		r.StrictSPF = lower == "s"
		return lower == "s" || lower == "r"
	case "t":
		r.Testing = lower == "y"
		return lower == "y" || lower == "n"
	case "psd":
		if lower == "y" || lower == "n" {
			r.PSD = PSD(lower)
		}
		return lower == "y" || lower == "n" || lower == "u"
	case "fo":
		if !validFO(lower) {
			return false
		}
		r.FO = lower
	case "rua":
		r.RUA = parseURIs(value)
		return len(r.RUA) > 0
	case "ruf":
		r.RUF = parseURIs(value)
		return len(r.RUF) > 0
	}
	return true
}

// setPolicy takes over a policy. An invalid one spoils the record.
func (r *Record) setPolicy(p *Policy, value string) bool {
	switch Policy(value) {
	case PolicyNone, PolicyQuarantine, PolicyReject:
		*p = Policy(value)
		return true
	}
	r.Invalid = true
	return false
}

// Effective returns the record as it is to be applied, and false if DMARC is not to be applied at all. RFC 9989 Section
// 4.10.1: a record without a valid p tag, or with an invalid sp or np tag, counts as p=none if it asks for aggregate
// reports at a valid URI, and not at all otherwise.
func (r Record) Effective() (Record, bool) {
	if r.Invalid {
		r.P, r.SP, r.NP = PolicyNone, "", ""
		return r, len(r.RUA) > 0
	}
	return r, true
}

// validFO tells whether s is a list of options for failure reports, each at most once, with "0" and "1" excluding each
// other.
func validFO(s string) bool {
	var seen [256]bool
	for option := range strings.SplitSeq(s, ":") {
		option = trim(option)
		if len(option) != 1 || strings.IndexByte("01ds", option[0]) < 0 || seen[option[0]] {
			return false
		}
		seen[option[0]] = true
	}
	return !seen['0'] || !seen['1']
}

// parseURIs returns the syntactically valid URIs of a comma-separated list. RFC 9989 Section 4.8: the obsolete size limit
// behind "!" is ignored.
func parseURIs(list string) []string {
	var out []string
	for uri := range strings.SplitSeq(list, ",") {
		uri = trim(uri)
		if bare, size, found := strings.Cut(uri, "!"); found {
			if !validSize(size) {
				continue
			}
			uri = bare
		}
		if validURI(uri) {
			out = append(out, uri)
		}
	}
	return out
}

// validSize tells whether s is digits and perhaps a unit.
func validSize(s string) bool {
	digits := strings.TrimRight(s, "0123456789kKmMgGtT")
	if digits != "" || s == "" {
		return false
	}
	number := strings.TrimLeft(s, "0123456789")
	return len(number) <= 1 && len(number) < len(s)
}

// validURI tells whether s has the syntax of a URI (RFC 3986 Section 3) with something to send to: for mailto (RFC 6068)
// that is an address, otherwise whatever follows the colon.
func validURI(s string) bool {
	scheme, rest, found := strings.Cut(s, ":")
	if !found || rest == "" || !isAlpha(s[0]) {
		return false
	}
	for i := range len(scheme) {
		if c := scheme[i]; !isAlpha(c) && !isDigit(c) && c != '+' && c != '-' && c != '.' {
			return false
		}
	}
	for i := 0; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == '%':
			if i+2 >= len(rest) || !isHex(rest[i+1]) || !isHex(rest[i+2]) {
				return false
			}
		case !isAlpha(c) && !isDigit(c) && strings.IndexByte("-._~:/?#[]@!$&'()*+,;=", c) < 0:
			return false
		}
	}
	if strings.EqualFold(scheme, "mailto") {
		addr, _, _ := strings.Cut(rest, "?")
		local, domain, found := strings.Cut(addr, "@")
		return found && local != "" && domain != "" && strings.IndexByte(domain, '@') < 0
	}
	return true
}

func isAlpha(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isHex(c byte) bool { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }

// trim removes the white space of the grammar (WSP, RFC 5234 Appendix B.1).
func trim(s string) string { return strings.Trim(s, " \t") }

func trimRight(s string) string { return strings.TrimRight(s, " \t") }
