package spf

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"assay/verify/authres"
	"assay/verify/dns"
)

// maxSteps bounds Verification.Steps. A record can hold thousands of terms that cost no lookup.
const maxSteps = 500

// Verify evaluates check_host() for one identity (RFC 7208 Section 4). It asks r one question at a time.
func Verify(ctx context.Context, r dns.Resolver, in Input, opt Options) Verification {
	e := evaluation{resolver: r, opt: opt.withDefaults(), ip: in.IP.Unmap().WithZone("")}
	v := Verification{Identity: in.Identity}
	if v.Identity != Helo {
		v.Identity = MailFrom
	}
	if reason := e.identify(&v, in); reason != "" {
		e.step("%s", reason)
		v.Result, v.Reason, v.Steps = authres.None, reason, e.steps
		return v
	}
	if !in.IP.IsValid() {
		v.Result, v.Reason = authres.TempError, "the client's address is not known"
		return v
	}
	ctx, cancel := context.WithTimeout(ctx, e.opt.Timeout)
	defer cancel()
	o := e.checkHost(ctx, v.Domain)
	if o.result == authres.Fail {
		v.Explanation = e.explain(ctx, o)
	}
	e.step("result is %s", o.result)
	v.Result, v.Reason, v.Mechanism, v.RecordAt, v.Record = o.result, o.reason, o.mechanism, o.recordAt, e.first
	v.Lookups, v.Voids, v.Queries, v.Steps = e.lookups, e.voids, e.queries, e.steps
	return v
}

// An evaluation is the state of one check: its input, and what has been counted and learnt so far.
type evaluation struct {
	resolver dns.Resolver
	opt      Options
	ip       netip.Addr
	helo     string
	local    string // local-part of the sender
	domain   string // domain of the sender

	first   string // the record of the domain that is checked
	lookups int
	voids   int
	queries int
	steps   []string

	reverse    []string // PTR names of ip, once asked
	reverseErr error    // why there are none
	askedPTR   bool
	validated  map[string]bool // by PTR name, whether it has ip among its addresses
	explaining bool            // the result is known: lookups of the explanation do not count
}

// identify sets Domain and Sender of v. It returns why there is nothing to check, or "".
func (e *evaluation) identify(v *Verification, in Input) string {
	e.helo = in.Helo[:min(len(in.Helo), maxIdentity)]
	if name, err := dns.Canonical(e.helo); err == nil && name != lowerName(e.helo) {
		e.helo = name // RFC 8616 Section 4: U-labels are converted before they get into macros
	}
	what, domain := "HELO name", in.Helo
	e.local, v.Sender = postmaster, postmaster+"@"+in.Helo
	if v.Identity == MailFrom && in.MailFrom != "" {
		what, v.Sender = "domain of MAIL FROM", in.MailFrom
		e.local, domain = splitSender(in.MailFrom)
	}
	if len(e.local) > maxIdentity {
		return "the local-part of MAIL FROM is too long"
	}
	if domain == "" {
		return "the " + what + " is empty"
	}
	name, ok := canonicalDomain(domain)
	if !ok {
		return fmt.Sprintf("the %s %q is not a fully qualified domain name", what, domain[:min(len(domain), maxName)])
	}
	e.domain, v.Domain, v.Sender = name, name, e.local+"@"+name
	return ""
}

// An outcome is what check_host() returned for one domain.
type outcome struct {
	result    authres.Result
	reason    string
	mechanism string      // the directive that matched
	recordAt  string      // domain of the record that holds it
	exp       macroString // explanation that applies to the result
	expDomain string      // <domain> at the end of the evaluation, for the macros of the explanation
}

// A stop ends the whole evaluation: it is the temperror or permerror of the topmost check_host().
type stop struct {
	result authres.Result
	reason string
	cause  error
}

func (s *stop) Error() string { return s.reason }

// Unwrap returns the error of the resolver, if there was one.
func (s *stop) Unwrap() error { return s.cause }

func permError(format string, args ...any) *stop {
	return &stop{result: authres.PermError, reason: fmt.Sprintf(format, args...)}
}

// stopped returns the outcome of an evaluation that err, which is a stop, ended.
func stopped(err error) outcome {
	var s *stop
	if errors.As(err, &s) {
		return outcome{result: s.result, reason: s.reason}
	}
	return outcome{result: authres.TempError, reason: err.Error()}
}

// checkHost is check_host() for domain (RFC 7208 Sections 4.3 to 4.7).
func (e *evaluation) checkHost(ctx context.Context, domain string) outcome {
	if !isQueryable(domain) {
		return outcome{result: authres.None, reason: fmt.Sprintf("%q is not a domain name", domain)}
	}
	text, found, err := e.policy(ctx, domain)
	if err != nil {
		return stopped(err)
	}
	if !found {
		return outcome{result: authres.None, reason: domain + " publishes no SPF record"}
	}
	if e.first == "" {
		e.first = text
	}
	if len(text) > e.opt.MaxRecord {
		return stopped(permError("the SPF record of %s is longer than %d octets", domain, e.opt.MaxRecord))
	}
	rec, err := parseRecord(text)
	if err != nil {
		return stopped(permError("the SPF record of %s is invalid: %v", domain, err))
	}
	for _, d := range rec.directives {
		o, matched, err := e.evaluate(ctx, d, domain)
		if err != nil {
			return stopped(err)
		}
		if matched {
			o.exp, o.expDomain = rec.exp, domain
			return o
		}
	}
	if rec.redirect != nil {
		return e.redirect(ctx, rec.redirect, domain)
	}
	return outcome{result: authres.Neutral, reason: "no directive of " + domain + " matches"} // Section 4.7
}

// policy returns the SPF record of domain (RFC 7208 Sections 4.4 and 4.5).
func (e *evaluation) policy(ctx context.Context, domain string) (text string, found bool, err error) {
	texts, err := e.txt(ctx, domain)
	if err != nil {
		return "", false, err
	}
	n := 0
	for _, t := range texts {
		if isRecord(t) {
			text = t
			n++
		}
	}
	if n > 1 {
		return "", false, permError("%s publishes %d SPF records", domain, n)
	}
	if n == 1 {
		e.step("%s publishes %q", domain, text)
	}
	return text, n == 1, nil
}

// redirect evaluates the policy of another domain in place of this one (RFC 7208 Section 6.1).
func (e *evaluation) redirect(ctx context.Context, spec macroString, domain string) outcome {
	if err := e.countLookup(); err != nil {
		return stopped(err)
	}
	target, err := e.target(ctx, spec, domain)
	if err != nil {
		return stopped(err)
	}
	e.step("%s redirects to %s", domain, quoteName(target))
	o := e.checkHost(ctx, target)
	if o.result == authres.None {
		return stopped(permError("redirect of %s: %s", domain, o.reason))
	}
	return o
}

// evaluate tells whether d, of the record of domain, matches the client, and which outcome follows.
func (e *evaluation) evaluate(ctx context.Context, d directive, domain string) (outcome, bool, error) {
	o := outcome{result: d.result, mechanism: d.text, recordAt: domain}
	if d.mechanism.queriesDNS() {
		if err := e.countLookup(); err != nil {
			return o, false, err
		}
	}
	var matched bool
	var inner outcome
	var err error
	if d.mechanism == mechInclude {
		inner, err = e.include(ctx, d, domain)
		matched = inner.result == authres.Pass
	} else {
		matched, err = e.match(ctx, d, domain)
	}
	if err != nil {
		return o, false, err
	}
	e.stepTerm(d, domain, matched)
	if !matched {
		return o, false, nil
	}
	if d.result != authres.Pass {
		o.reason = fmt.Sprintf("%q of %s matches", d.text, domain)
	} else if d.mechanism == mechInclude {
		o.mechanism, o.recordAt = inner.mechanism, inner.recordAt
	}
	return o, true, nil
}

// include evaluates the policy of another domain. It matches if that passes; none is an error (RFC 7208 Section 5.2).
func (e *evaluation) include(ctx context.Context, d directive, domain string) (outcome, error) {
	target, err := e.target(ctx, d.target, domain)
	if err != nil {
		return outcome{}, err
	}
	o := e.checkHost(ctx, target)
	switch o.result {
	case authres.TempError, authres.PermError:
		return o, &stop{result: o.result, reason: o.reason}
	case authres.None:
		return o, permError("%q of %s: %s", d.text, domain, o.reason)
	}
	return o, nil
}

// match tells whether the mechanism of d, which is not include, matches the client.
func (e *evaluation) match(ctx context.Context, d directive, domain string) (bool, error) {
	switch d.mechanism {
	case mechAll:
		return true, nil
	case mechIP4, mechIP6:
		// RFC 7208 Section 5: an IPv4-mapped client is an IPv4 client. It matches no ip6, not even ip6:::ffff:0:0/96.
		return d.network.Contains(e.ip), nil
	}
	name, err := e.target(ctx, d.target, domain)
	if err != nil {
		return false, err
	}
	if !isQueryable(name) {
		e.step("%q is not a domain name that can be asked for", name)
		return false, nil
	}
	switch d.mechanism {
	case mechA:
		return e.matchA(ctx, d, name)
	case mechMX:
		return e.matchMX(ctx, d, name)
	case mechPTR:
		return e.matchPTR(ctx, name)
	default:
		return e.matchExists(ctx, name)
	}
}

// matchA implements RFC 7208 Section 5.3.
func (e *evaluation) matchA(ctx context.Context, d directive, name string) (bool, error) {
	addrs, err := e.addresses(ctx, e.network(), name)
	if err != nil {
		return false, err
	}
	if len(addrs) == 0 {
		return false, e.countVoid()
	}
	return e.among(addrs, d), nil
}

// matchMX implements RFC 7208 Section 5.4. A domain without MX records has no implicit one.
func (e *evaluation) matchMX(ctx context.Context, d directive, name string) (bool, error) {
	hosts, err := e.exchangers(ctx, name)
	if err != nil {
		return false, err
	}
	// RFC 7208 Section 4.6.4. The limit holds for the set of records, for their order is not ours to rely on.
	if len(hosts) > maxNames {
		return false, permError("%q names %d mail exchangers of %s, of which at most %d are allowed", d.text, len(hosts),
			name, maxNames)
	}
	void := len(hosts) == 0
	for _, mx := range hosts {
		host := strings.TrimSuffix(mx.Host, ".")
		if !isQueryable(host) {
			continue // also the null MX (RFC 7505)
		}
		addrs, err := e.addresses(ctx, e.network(), host)
		if err != nil {
			return false, err
		}
		if e.among(addrs, d) {
			return true, nil
		}
		void = void || len(addrs) == 0
	}
	if void {
		return false, e.countVoid()
	}
	return false, nil
}

// matchExists implements RFC 7208 Section 5.7: the type is A, even for a client that has an IPv6 address.
func (e *evaluation) matchExists(ctx context.Context, name string) (bool, error) {
	addrs, err := e.addresses(ctx, "ip4", name)
	if err != nil {
		return false, err
	}
	if len(addrs) == 0 {
		return false, e.countVoid()
	}
	return true, nil
}

// matchPTR implements RFC 7208 Section 5.5. Names that could not match are not validated.
func (e *evaluation) matchPTR(ctx context.Context, target string) (bool, error) {
	names, err := e.pointers(ctx)
	if errors.Is(err, dns.ErrNotFound) {
		return false, e.countVoid()
	}
	if err != nil {
		return false, e.fatal(ctx, err)
	}
	for _, name := range names {
		if !isWithin(name, target) {
			continue
		}
		if ok, err := e.validate(ctx, name); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// among reports whether the client has one of addrs, compared by the prefix lengths of d.
func (e *evaluation) among(addrs []netip.Addr, d directive) bool {
	bits := d.bits6
	if e.ip.Is4() {
		bits = d.bits4
	}
	for _, a := range addrs {
		if p, err := a.Prefix(bits); err == nil && p.Contains(e.ip) {
			return true
		}
	}
	return false
}

// network returns the address family of the client as LookupIP takes it.
func (e *evaluation) network() string {
	if e.ip.Is4() {
		return "ip4"
	}
	return "ip6"
}

// countLookup counts a term that causes DNS lookups (RFC 7208 Section 4.6.4).
func (e *evaluation) countLookup() error {
	if e.lookups >= e.opt.MaxLookups {
		return permError("the policy needs more than %d terms with DNS lookups", e.opt.MaxLookups)
	}
	e.lookups++
	return nil
}

// countVoid counts a term whose lookups returned NXDOMAIN or no record (RFC 7208 Section 4.6.4). The RFC limits "the
// number of terms": an "mx" of many hosts without an AAAA record is one term, not many, for a client with IPv6.
func (e *evaluation) countVoid() error {
	e.voids++
	if e.voids > max(e.opt.MaxVoids, 0) {
		return permError("more than %d terms of the policy name what does not exist", max(e.opt.MaxVoids, 0))
	}
	return nil
}

// stepTerm notes how the evaluation of a directive ended.
func (e *evaluation) stepTerm(d directive, domain string, matched bool) {
	switch {
	case !e.opt.Explain: // a record can hold thousands of directives: spend nothing on them
	case matched:
		e.step("%q of %s matches: %s", d.text, domain, d.result)
	default:
		e.step("%q of %s does not match", d.text, domain)
	}
}

// stepAnswer notes a question and what became of it.
func (e *evaluation) stepAnswer(qtype, name string, records int, err error) {
	switch {
	case !e.opt.Explain:
	case err != nil:
		e.step("%s %s: %v", quoteName(name), qtype, err)
	case records == 0:
		e.step("%s %s: no such record", quoteName(name), qtype)
	default:
		e.step("%s %s: %d records", quoteName(name), qtype, records)
	}
}

// step notes a step of the evaluation in words.
func (e *evaluation) step(format string, args ...any) {
	switch {
	case !e.opt.Explain || len(e.steps) > maxSteps:
	case len(e.steps) == maxSteps:
		e.steps = append(e.steps, "further steps are not shown")
	default:
		e.steps = append(e.steps, fmt.Sprintf(format, args...))
	}
}
