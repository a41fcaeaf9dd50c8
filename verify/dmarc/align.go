package dmarc

import (
	"context"
	"fmt"
	"strings"

	"assay/verify/authres"
	"assay/verify/dns"
	"assay/verify/spf"
)

// An identifier is a domain that SPF or DKIM has authenticated, or might have if the DNS had answered.
type identifier struct {
	domain string
	dkim   bool
	result authres.Result // pass or temperror
}

// String names the identifier for people.
func (id identifier) String() string {
	if id.dkim {
		return "DKIM d=" + id.domain
	}
	return "SPF MAIL FROM " + id.domain
}

// identifiers returns the different authenticated identifiers (RFC 9989 Sections 4.4.1 and 4.4.2): the domain of the
// MAIL FROM identity, which for the null reverse-path is that of HELO, and d= of each signature.
func (e *evaluator) identifiers() []identifier {
	var out []identifier
	seen := map[identifier]bool{}
	add := func(domain string, dkim bool, result authres.Result) {
		domain, err := dns.Canonical(domain)
		id := identifier{domain, dkim, result}
		if err == nil && !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	for _, result := range []authres.Result{authres.Pass, authres.TempError} { // passing ones first, they decide
		for _, v := range e.in.SPF {
			if v.Identity == spf.MailFrom && v.Result == result {
				add(v.Domain, false, v.Result)
			}
		}
		for _, v := range e.in.DKIM {
			if v.Result == result {
				add(v.Domain, true, v.Result)
			}
		}
	}
	return out
}

// align finds out which identifiers are aligned with the author domain. The error says which answer is missing that could
// have made one so: that of SPF or DKIM themselves, or one of a tree walk.
func (e *evaluator) align(ctx context.Context, d discovery, ev *Evaluation) (missing error) {
	for _, v := range e.in.DKIM {
		if v.Result == authres.TempError && v.Domain == "" { // signatures that were not seen could be anyone's
			missing = fmt.Errorf("DKIM: %s", v.Reason)
		}
	}
	walked := map[string]bool{}
	for _, id := range e.identifiers() {
		if ev.aligned(id.dkim) {
			continue
		}
		aligned, err := e.isAligned(ctx, d, ev, id, walked)
		switch {
		case err != nil:
			missing = err
		case aligned && id.result == authres.TempError:
			missing = fmt.Errorf("%s would be aligned, but could not be checked", id)
		case aligned && id.dkim:
			ev.DKIMAligned, ev.DKIMDomain = true, id.domain
		case aligned:
			ev.SPFAligned = true
		}
	}
	return missing
}

// aligned tells whether the mechanism has an aligned identifier already.
func (ev *Evaluation) aligned(dkim bool) bool {
	if dkim {
		return ev.DKIMAligned
	}
	return ev.SPFAligned
}

// isAligned compares one identifier with the author domain (RFC 9989 Section 4.10.2). It keeps count of the domains for
// which the DNS is asked.
func (e *evaluator) isAligned(
	ctx context.Context, d discovery, ev *Evaluation, id identifier, walked map[string]bool,
) (bool, error) {
	strict := ev.StrictSPF
	if id.dkim {
		strict = ev.StrictDKIM
	}
	switch {
	case id.domain == ev.Domain: // whatever the organizational domain is, they have the same
		e.note("%s is the author domain", id)
		return true, nil
	case strict:
		e.note("%s is not the author domain, as strict alignment asks for", id)
		return false, nil
	}
	// No organization is above a top-level domain, so this needs no answer from the DNS.
	if top := ev.Domain[strings.LastIndexByte(ev.Domain, '.')+1:]; !within(id.domain, top) {
		e.note("%s is outside %s", id, top)
		return false, nil
	}
	org, err := d.organizational(ctx, ev.Domain)
	if err != nil {
		return false, err
	}
	// A domain's organizational domain is the domain itself or one above it. Outside the author's organization there is
	// nothing to ask, and nobody can make us ask.
	if !within(id.domain, org) {
		e.note("%s is outside %s", id, org)
		return false, nil
	}
	if walked[id.domain] = true; len(walked) > e.opt.MaxIdentifiers {
		return false, fmt.Errorf("more than %d domains below %s to compare", e.opt.MaxIdentifiers, org)
	}
	other, err := d.organizational(ctx, id.domain)
	if err != nil {
		return false, err
	}
	e.note("%s: organizational domain %s, that of the author is %s", id, other, org)
	return other == org, nil
}

// unaligned says in words why a message fails.
func (e *evaluator) unaligned(author string) string {
	var passed []string
	for _, id := range e.identifiers() {
		if id.result == authres.Pass {
			passed = append(passed, id.String())
		}
	}
	if len(passed) == 0 {
		return "neither SPF nor DKIM authenticates a domain"
	}
	return fmt.Sprintf("not aligned with %s: %s", author, strings.Join(passed[:min(len(passed), 5)], ", "))
}
