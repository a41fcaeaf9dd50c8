package dmarc

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/net/publicsuffix"

	"assay/verify/dns"
)

// RFC 9989 Section 4.10: a walk makes at most eight queries, and so goes on with seven labels behind its first one.
const walkLabels = 7

// maxName is the length of a domain name as text (RFC 1035 Section 2.3.4).
const maxName = 253

// A finding is a policy record and the domain it was found for.
type finding struct {
	domain string
	txt    string
	record Record
}

// A lookup is the remembered outcome of one query.
type lookup struct {
	found  *finding // nil when there is no record, or several
	exists bool     // the domain is known to exist
	err    error    // no answer
}

// A walk is the remembered outcome of one tree walk: records from the longest to the shortest name.
type walk struct {
	found []finding
	err   error
}

// A discoverer finds records and organizational domains. It remembers all answers, so that no query is made twice.
type discoverer struct {
	resolver dns.Resolver
	lookups  map[string]lookup
	walks    map[string]walk
	names    map[string]bool // whether a domain exists, where that was asked
	note     func(format string, args ...any)
}

// newDiscoverer returns a discoverer that reports each step to note.
func newDiscoverer(r dns.Resolver, note func(string, ...any)) *discoverer {
	return &discoverer{r, map[string]lookup{}, map[string]walk{}, map[string]bool{}, note}
}

// at looks for the record of exactly one domain.
func (d *discoverer) at(ctx context.Context, domain string) lookup {
	if l, ok := d.lookups[domain]; ok {
		return l
	}
	l := d.query(ctx, domain)
	d.lookups[domain] = l
	return l
}

// query asks the DNS for the record of a domain.
func (d *discoverer) query(ctx context.Context, domain string) (l lookup) {
	name := "_dmarc." + domain
	if len(name) > maxName {
		d.note("%s is too long to exist", name)
		return l
	}
	answer, err := d.resolver.LookupTXT(ctx, name)
	switch {
	case errors.Is(err, dns.ErrNXDomain):
		d.note("TXT %s: no such name", name)
		return l
	case errors.Is(err, dns.ErrNotFound):
		d.note("TXT %s: no such record", name)
		l.exists = true // a name below it does
		return l
	case err != nil:
		d.note("TXT %s: %s", name, dns.Why(err))
		l.err = &unanswered{name, err}
		return l
	}
	l.exists = true
	count := 0
	for _, txt := range answer.Records {
		if r, err := ParseRecord(txt); err == nil {
			count++
			l.found = &finding{domain, txt, r}
		}
	}
	// RFC 9989 Section 4.10: other records are discarded, and so are policy records if there are several.
	switch {
	case count == 0:
		d.note("TXT %s: no policy record among %d", name, len(answer.Records))
	case count > 1:
		d.note("TXT %s: %d policy records, all discarded", name, count)
		l.found = nil
	default:
		d.note("TXT %s: %q", name, l.found.txt)
		for _, tag := range l.found.record.Ignored {
			d.note("ignored: %q", tag)
		}
	}
	return l
}

// walk makes a DNS tree walk (RFC 9989 Section 4.10) from a domain upwards. It stops at the first query without answer.
func (d *discoverer) walk(ctx context.Context, start string) ([]finding, error) {
	if w, ok := d.walks[start]; ok {
		return w.found, w.err
	}
	var w walk
	for domain := start; domain != ""; domain = above(start, domain) {
		l := d.at(ctx, domain)
		if l.err != nil {
			w = walk{err: l.err}
			break
		}
		if l.found != nil {
			w.found = append(w.found, *l.found)
			if l.found.record.PSD != PSDUnknown {
				break
			}
		}
	}
	d.walks[start] = w
	return w.found, w.err
}

// above returns the domain that a walk looks at behind domain: the parent, but behind a start of eight and more labels
// the one with seven; "" at the end.
func above(start, domain string) string {
	if domain == start {
		if excess := strings.Count(domain, ".") + 1 - walkLabels; excess > 1 {
			for range excess - 1 {
				_, domain, _ = strings.Cut(domain, ".")
			}
		}
	}
	_, domain, _ = strings.Cut(domain, ".")
	return domain
}

// organizational returns the organizational domain of a domain by a tree walk (RFC 9989 Section 4.10.2).
func (d *discoverer) organizational(ctx context.Context, domain string) (string, error) {
	found, err := d.walk(ctx, domain)
	if err != nil {
		return "", err
	}
	for _, f := range found { // from the longest to the shortest
		switch {
		case f.record.PSD == PSDNo:
			return f.domain, nil
		case f.record.PSD == PSDYes && f.domain != domain:
			return oneBelow(domain, f.domain), nil
		}
	}
	if len(found) > 0 {
		return found[len(found)-1].domain, nil
	}
	return domain, nil
}

// oneBelow returns the end of domain that has one label more than suffix.
func oneBelow(domain, suffix string) string {
	labels := domain[:len(domain)-len(suffix)-1]
	return domain[strings.LastIndexByte(labels, '.')+1:]
}

// applicable returns the record that applies to an author domain by RFC 9989 Section 4.10.1: its own, that of its
// organizational domain, or that of its public suffix domain, in this order; nil if there is none.
func (d *discoverer) applicable(ctx context.Context, author string) (*finding, error) {
	if l := d.at(ctx, author); l.err != nil || l.found != nil {
		return l.found, l.err
	}
	found, err := d.walk(ctx, author)
	if err != nil {
		return nil, err
	}
	org, err := d.organizational(ctx, author)
	if err != nil {
		return nil, err
	}
	for i := range found {
		if found[i].domain == org {
			return &found[i], nil
		}
	}
	for i := range found {
		if found[i].record.PSD == PSDYes {
			return &found[i], nil
		}
	}
	return nil, nil
}

// exists tells whether a domain exists: RFC 9989 Section 3.2 (Non-existent Domains) means names for which the DNS
// answers NXDOMAIN (RFC 8020), whatever the type. That _dmarc below it does not exist says nothing, that it does everything.
func (d *discoverer) exists(ctx context.Context, domain string) (bool, error) {
	if d.at(ctx, domain).exists {
		return true, nil
	}
	if exists, ok := d.names[domain]; ok {
		return exists, nil
	}
	_, err := d.resolver.LookupIP(ctx, "ip4", domain)
	switch {
	case errors.Is(err, dns.ErrNXDomain):
		d.note("A %s: no such name", domain)
		d.names[domain] = false
		return false, nil
	case err == nil || errors.Is(err, dns.ErrNotFound):
		d.note("A %s: the name exists", domain)
		d.names[domain] = true
		return true, nil
	}
	d.note("A %s: %v", domain, err)
	return false, fmt.Errorf("no answer for A %s: %w", domain, err)
}

// A listed discoverer finds organizational domains by the public suffix list, as RFC 7489 Section 3.2 does.
type listed struct{ *discoverer }

// organizational returns the registrable domain; a public suffix is its own.
func (l listed) organizational(_ context.Context, domain string) (string, error) {
	if org, ok := registrable(domain); ok {
		return org, nil
	}
	return domain, nil
}

// registrable returns the public suffix of a canonical domain and one label more, false if there is no label more.
func registrable(domain string) (string, bool) {
	org, err := publicsuffix.EffectiveTLDPlusOne(domain)
	return org, err == nil
}

// applicable returns the record of the author domain, or else that of its organizational domain (RFC 7489 Section 6.6.3).
func (l listed) applicable(ctx context.Context, author string) (*finding, error) {
	if at := l.at(ctx, author); at.err != nil || at.found != nil {
		return at.found, at.err
	}
	org, _ := l.organizational(ctx, author)
	at := l.at(ctx, org)
	return at.found, at.err
}

// An unanswered is a question for a record that has no answer now.
type unanswered struct {
	name string
	err  error
}

// Error implements the error interface.
func (u *unanswered) Error() string { return "TXT " + u.name + ": " + dns.Why(u.err) }

// Unwrap returns the resolver's error.
func (u *unanswered) Unwrap() error { return u.err }
