package dkim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"assay/verify/authres"
	"assay/verify/dns"
)

// A Problem is why a signature has no better result.
type Problem struct {
	Result authres.Result
	Reason string
}

// Error implements the error interface.
func (p *Problem) Error() string { return p.Reason }

// problem makes a Problem.
func problem(r authres.Result, format string, args ...any) *Problem {
	return &Problem{r, fmt.Sprintf(format, args...)}
}

// permerror makes a Problem that no repetition will solve.
func permerror(format string, args ...any) *Problem {
	return problem(authres.PermError, format, args...)
}

// A KeyLookup is a question for the keys of one selector.
type KeyLookup struct {
	name   string
	ctx    context.Context
	done   chan struct{}
	keys   []*Key
	secure bool
	err    *Problem
	inline func() // set for a lookup that is made when it is waited for
}

// keyring asks for the keys of one message, each name once.
type keyring struct {
	ctx      context.Context
	resolver dns.Resolver
	opt      Options
	lookups  map[string]*KeyLookup
}

// fetch starts the lookup of <selector>._domainkey.<domain>, or returns the one under way.
func (r *keyring) fetch(selector, domain string) *KeyLookup {
	name, err := dns.Canonical(selector + "._domainkey." + domain)
	if l := r.lookups[name]; l != nil {
		return l
	}
	l := &KeyLookup{name: name, ctx: r.ctx, done: make(chan struct{})}
	if r.lookups == nil {
		r.lookups = make(map[string]*KeyLookup)
	}
	if err != nil {
		l.err = permerror("key name is not a domain name: %v", err)
		close(l.done)
		return l
	}
	r.lookups[name] = l
	if r.opt.inline && len(r.lookups) == 1 {
		l.inline = func() { l.run(r.resolver, r.opt) }
		return l
	}
	go l.run(r.resolver, r.opt)
	return l
}

// run asks for the records and parses them. It ends when the resolver returns, which the context sees to.
func (l *KeyLookup) run(r dns.Resolver, opt Options) {
	defer close(l.done)
	defer func() {
		// Nobody else can recover a panic of this goroutine, and one message must not end the process.
		if p := recover(); p != nil {
			l.keys, l.err = nil, problem(authres.TempError, "lookup of key %s failed: panic: %v", l.name, p)
		}
	}()
	answer, err := r.LookupTXT(l.ctx, l.name)
	switch {
	case err == nil:
		l.secure = answer.Secure
		l.keys, l.err = parseKeys(answer.Records, l.name, opt)
	case errors.Is(err, dns.ErrNotFound):
		l.err = permerror("no key at %s", l.name)
	default:
		// Whatever is not a definite answer may be different next time.
		l.err = problem(authres.TempError, "lookup of key %s failed: %s", l.name, dns.Why(err))
	}
}

// parseKeys parses the records at one key name. RFC 6376 Section 3.6.2.2 leaves undefined what several of them mean;
// Section 6.1.2 step 4 allows to try one after the other, which is done here because zones with wildcards hold foreign
// records at key names. Their order is not that of the DNS, so that the outcome is always the same.
func parseKeys(records []string, name string, opt Options) ([]*Key, *Problem) {
	records = slices.Sorted(slices.Values(records))
	var keys []*Key
	var first error
	for i, record := range records {
		if i == 16*opt.MaxKeyRecords || len(keys) == opt.MaxKeyRecords {
			break
		}
		if len(record) > opt.MaxKeyRecord {
			first = fmt.Errorf("record of %d octets, more than %d", len(record), opt.MaxKeyRecord)
			continue
		}
		k, err := opt.Keys.parse(record)
		if err != nil {
			if first == nil || strings.Contains(record, "p=") {
				first = err
			}
			continue
		}
		keys = append(keys, k)
	}
	switch {
	case len(keys) > 0:
		return keys, nil
	case len(records) == 0:
		return nil, permerror("no key at %s", name)
	}
	return nil, permerror("no usable key at %s: %v", name, first)
}

// Wait returns the keys, at least one, or why there is none. It returns when the context ends.
func (l *KeyLookup) Wait() ([]*Key, *Problem) {
	if run := l.inline; run != nil {
		l.inline = nil
		run()
	}
	select {
	case <-l.done:
		return l.keys, l.err
	default:
	}
	select {
	case <-l.done:
		return l.keys, l.err
	case <-l.ctx.Done():
		return nil, problem(authres.TempError, "lookup of key %s was not finished: %v", l.name, context.Cause(l.ctx))
	}
}
