package dmarc

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"assay/verify/authres"
	"assay/verify/dns"
	"assay/verify/message"
)

// Evaluate evaluates DMARC for one message. The results are:
//
//   - pass: a policy record applies to the author domain, and an authenticated identifier is aligned with it.
//   - fail: a policy record applies, and no identifier is aligned. Policy is what is to be done about it: Published, one
//     level milder under t=y, replaced by a local Override, and "none" for mail from a trusted forwarder, in this order.
//   - none: no policy record applies, so nothing can be said. Only for messages with exactly one author.
//   - temperror: an answer of the DNS was missing that could have changed the result (RFC 9989 Section 5.3.6), be it
//     one for SPF, DKIM or DMARC. No policy applies then; Published, if it is known, says what was at stake. A query
//     without answer that is not needed, because an identifier is aligned anyway (Section 5.3.5) or cannot become so,
//     changes nothing.
//   - permerror: there is no author domain to evaluate, or no single one. RFC 9989 Section 5.3.1 leaves such messages to
//     the receiver, and Section 11.5 warns of them: they never pass and are never "none". Each domain that From
//     names is evaluated, at most MaxAuthors of them, and if one fails the result is fail, with the strictest policy of
//     those that fail; else temperror if one is. Reason begins with what is wrong with From.
//     One field that names several mailboxes of one domain is that domain's mail, which can pass or fail.
//
// An Input without SPF and DKIM asks the questions about the author domain that a later evaluation will ask, and so warms
// a cache.
func Evaluate(ctx context.Context, r dns.Resolver, in Input, opt Options) Evaluation {
	e := &evaluator{in: in, opt: opt.withDefaults()}
	e.walker = newDiscoverer(r, e.note)
	domains, invalid := authorDomains(in.Author)
	ev := e.author(ctx, domains, invalid)
	ev.Steps = e.steps
	return ev
}

// An evaluator evaluates one message.
type evaluator struct {
	in     Input
	opt    Options
	walker *discoverer
	steps  []string
}

// note records a step in words.
func (e *evaluator) note(format string, args ...any) {
	if e.opt.Explain {
		e.steps = append(e.steps, fmt.Sprintf(format, args...))
	}
}

// authorDomains returns the different domains of all mailboxes as A-labels, and whatever else stands in their place, such
// as address literals.
func authorDomains(a message.Author) (domains, invalid []string) {
	for _, m := range a.Mailboxes {
		// RFC 9989 Section 5.3.1: U-labels are converted to A-labels.
		domain, err := dns.Canonical(m.Domain)
		switch {
		case err != nil:
			invalid = append(invalid, m.Domain)
		case !slices.Contains(domains, domain):
			domains = append(domains, domain)
		}
		if len(domains)+len(invalid) >= maxMailboxes {
			break
		}
	}
	return domains, invalid
}

// maxMailboxes bounds how many different author domains are kept apart.
const maxMailboxes = 100

// author evaluates whatever From names.
func (e *evaluator) author(ctx context.Context, domains, invalid []string) Evaluation {
	problem := e.in.Author.Problem
	if problem == "" && len(e.in.Author.Mailboxes) > 1 {
		problem = message.AuthorSeveral
	}
	switch {
	case len(domains) == 0:
		return Evaluation{Result: authres.PermError, Discovery: e.discovery(), Reason: noDomain(problem, invalid)}
	case problem == "":
		return e.domain(ctx, domains[0])
	}
	e.note("From: %s", describe(problem))
	if problem == message.AuthorSeveral && len(domains) == 1 && len(invalid) == 0 {
		if ev := e.domain(ctx, domains[0]); ev.Result != authres.None {
			return ev
		}
	}
	return e.several(ctx, problem, domains)
}

// discovery returns the discovery that decides.
func (e *evaluator) discovery() string {
	if e.opt.Discovery == PSL {
		return string(PSL)
	}
	return string(TreeWalk)
}

// several evaluates each domain of a From that names no single author, and keeps the strictest failure.
func (e *evaluator) several(ctx context.Context, problem message.AuthorProblem, domains []string) Evaluation {
	reason := describe(problem)
	if len(domains) > e.opt.MaxAuthors {
		reason += fmt.Sprintf("; %d of %d domains evaluated", e.opt.MaxAuthors, len(domains))
		domains = domains[:e.opt.MaxAuthors]
	}
	var worst Evaluation
	for _, domain := range domains {
		if ev := e.domain(ctx, domain); worst.Result == "" || severity(ev) > severity(worst) {
			worst = ev
		}
	}
	switch worst.Result {
	case authres.Fail, authres.TempError:
		worst.Reason = reason + "; " + worst.Reason
		return worst
	}
	return Evaluation{
		Result: authres.PermError, Domain: worst.Domain, OrgDomain: worst.OrgDomain, Discovery: worst.Discovery,
		Reason: reason + "; none of these domains fails: " + strings.Join(domains, ", "),
	}
}

// severity orders the evaluations of several author domains.
func severity(ev Evaluation) int {
	switch ev.Result {
	case authres.Fail:
		return 10 + ev.Policy.strictness()
	case authres.TempError:
		return 5
	}
	return 0
}

// strictness orders policies.
func (p Policy) strictness() int {
	return slices.Index([]Policy{"", PolicyNone, PolicyQuarantine, PolicyReject}, p)
}

// describe says in words what is wrong with From.
func describe(p message.AuthorProblem) string {
	switch p {
	case message.AuthorMissing:
		return "there is no From field, or an empty one"
	case message.AuthorSeveralFields:
		return "there are several From fields"
	case message.AuthorMalformed:
		return "From is malformed"
	case message.AuthorSeveral:
		return "From names several authors"
	case message.AuthorGroup:
		return "From is a group"
	}
	return "From: " + string(p)
}

// noDomain says why there is nothing to evaluate.
func noDomain(p message.AuthorProblem, invalid []string) string {
	switch {
	case p == "" && len(invalid) > 0:
		return fmt.Sprintf("the author's address has no domain name but %q", invalid[0])
	case p == "":
		return "there is no author"
	}
	return describe(p) + "; no author domain"
}

// domain evaluates one author domain by the discovery that is configured.
func (e *evaluator) domain(ctx context.Context, domain string) Evaluation {
	if e.opt.Discovery == PSL {
		return e.by(ctx, PSL, listed{e.walker}, domain)
	}
	ev := e.by(ctx, TreeWalk, e.walker, domain)
	if e.opt.Discovery == Both {
		e.note("once more by public suffix list:")
		ev.Difference = difference(ev, e.by(ctx, PSL, listed{e.walker}, domain))
		if ev.Difference != "" {
			e.note("%s", ev.Difference)
			ev.Reason = strings.TrimPrefix(ev.Reason+"; "+ev.Difference, "; ")
		}
	}
	return ev
}

// difference says what the public suffix list changes about an evaluation.
func difference(walk, psl Evaluation) string {
	var out []string
	compare := func(what, a, b string) {
		if a != b {
			out = append(out, fmt.Sprintf("%s %q instead of %q", what, b, a))
		}
	}
	compare("result", string(walk.Result), string(psl.Result))
	compare("policy", string(walk.Policy), string(psl.Policy))
	compare("policy domain", walk.PolicyDomain, psl.PolicyDomain)
	compare("organizational domain", walk.OrgDomain, psl.OrgDomain)
	if len(out) == 0 {
		return ""
	}
	return "by public suffix list: " + strings.Join(out, ", ")
}
