package spf

import (
	"context"
	"errors"
	"strconv"

	"assay/verify/dns"
)

// maxExpansion bounds the expansion of a domain-spec. Only its last 253 octets matter (RFC 7208 Section 7.3), and a
// record has room for thousands of macros.
const maxExpansion = 4096

// target returns the target-name of a term in the record of domain: its domain-spec, expanded and shortened to fit, or
// domain if it has none (RFC 7208 Section 4.8). It is in lower case, because names are compared without regard to it.
func (e *evaluation) target(ctx context.Context, spec macroString, domain string) (string, error) {
	if spec == nil {
		return domain, nil
	}
	if len(spec) == 1 && spec[0].letter == 0 {
		return lowerName(fitName(spec[0].literal)), nil
	}
	name, err := e.expand(ctx, spec, domain, maxExpansion)
	if err != nil && !errors.Is(err, errLongExpansion) {
		return "", err
	}
	return lowerName(fitName(name)), nil
}

// errLongExpansion means that the expansion is longer than it may be. What is returned beside it is its end.
var errLongExpansion = errors.New("expansion is too long")

// expand expands the macros of m in the record of domain, and keeps the last limit octets of the text.
func (e *evaluation) expand(ctx context.Context, m macroString, domain string, limit int) (string, error) {
	var long error
	b := make([]byte, 0, 128)
	for _, s := range m {
		if s.letter == 0 {
			b = append(b, s.literal...)
		} else {
			value, err := e.value(ctx, s.letter, domain)
			if err != nil {
				return "", err
			}
			b = append(b, s.transform(value)...)
		}
		if len(b) > 2*limit {
			b = append(b[:0], b[len(b)-limit:]...)
			long = errLongExpansion
		}
	}
	if len(b) > limit {
		b, long = b[len(b)-limit:], errLongExpansion
	}
	return string(b), long
}

// value returns what a macro letter stands for (RFC 7208 Section 7.2).
func (e *evaluation) value(ctx context.Context, letter byte, domain string) (string, error) {
	switch letter {
	case 's':
		return e.local + "@" + e.domain, nil
	case 'l':
		return e.local, nil
	case 'o':
		return e.domain, nil
	case 'd':
		return domain, nil
	case 'i':
		return macroIP(e.ip), nil
	case 'p':
		return e.validatedName(ctx, domain)
	case 'v':
		if e.ip.Is4() {
			return "in-addr", nil
		}
		return "ip6", nil
	case 'h':
		return e.helo, nil
	case 'c':
		return e.ip.String(), nil
	case 'r':
		return e.opt.Receiver, nil
	default: // 't'
		return strconv.FormatInt(e.opt.At.Unix(), 10), nil
	}
}

// validatedName returns the validated domain name of the client: domain itself, else a subdomain of it, else any; and
// "unknown" if there is none or on a DNS error (RFC 7208 Section 7.3). Its PTR query is "included in the overall limit"
// of lookups (Section 4.6.4), unless it serves the explanation.
func (e *evaluation) validatedName(ctx context.Context, domain string) (string, error) {
	const unknown = "unknown"
	if !e.askedPTR && !e.explaining {
		if err := e.countLookup(); err != nil {
			return "", err
		}
	}
	names, err := e.pointers(ctx)
	if err != nil {
		if errors.Is(err, dns.ErrNotFound) {
			return unknown, nil
		}
		return unknown, e.fatal(ctx, err)
	}
	for _, suits := range []func(name string) bool{
		func(name string) bool { return name == domain },
		func(name string) bool { return isWithin(name, domain) },
		func(string) bool { return true },
	} {
		for _, name := range names {
			if !suits(name) {
				continue
			}
			if ok, err := e.validate(ctx, name); ok || err != nil {
				return name, err
			}
		}
	}
	return unknown, nil
}

// explain returns the explanation of a fail, or "" if there is none to be had: whatever goes wrong leaves the result
// without one (RFC 7208 Section 6.2).
func (e *evaluation) explain(ctx context.Context, o outcome) string {
	if o.exp == nil || e.opt.NoExplanation {
		return ""
	}
	e.explaining = true
	text, err := e.explanation(ctx, o)
	if err != nil {
		e.step("no explanation: %v", err)
		return ""
	}
	return text
}

// explanation fetches, checks and expands the text that exp= names.
func (e *evaluation) explanation(ctx context.Context, o outcome) (string, error) {
	name, err := e.target(ctx, o.exp, o.expDomain)
	if err != nil {
		return "", err
	}
	if !isQueryable(name) {
		return "", errors.New("exp= does not name a domain")
	}
	texts, err := e.txt(ctx, name)
	if err != nil {
		return "", err
	}
	if len(texts) != 1 {
		return "", errors.New("exp= does not name exactly one TXT record")
	}
	m, err := parseMacroString(texts[0], inExplanation)
	if err != nil {
		return "", err
	}
	text, err := e.expand(ctx, m, o.expDomain, e.opt.MaxExplanation)
	if err != nil {
		return "", err
	}
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' { // "limited to US-ASCII"; a local-part or HELO name can bring in anything
			return "", errors.New("the explanation is not printable US-ASCII")
		}
	}
	return text, nil
}
