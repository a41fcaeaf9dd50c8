package dmarc

import (
	"context"
	"fmt"

	"assay/verify/authres"
)

// A discovery is the part of an evaluation that RFC 9989 and RFC 7489 do differently.
type discovery interface {
	applicable(ctx context.Context, author string) (*finding, error)
	organizational(ctx context.Context, domain string) (string, error)
	exists(ctx context.Context, domain string) (bool, error)
}

// by evaluates one author domain (RFC 9989 Section 5.3).
func (e *evaluator) by(ctx context.Context, name Discovery, d discovery, author string) Evaluation {
	ev := Evaluation{Domain: author, Discovery: string(name)}
	f, err := d.applicable(ctx, author)
	if err != nil {
		return ev.temperror(err)
	}
	// For facts about the author; whether the result needs it is for align to say.
	ev.OrgDomain, _ = d.organizational(ctx, author)
	if f == nil {
		ev.Result = authres.None
		ev.Reason = "no policy record applies to " + author
		e.note("%s", ev.Reason)
		return ev
	}
	record, apply := f.record.Effective()
	if !apply {
		ev.Result = authres.None
		ev.Reason = fmt.Sprintf("the record at %s has no valid policy and no valid address for reports: %q", f.domain, f.txt)
		e.note("%s", ev.Reason)
		return ev
	}
	ev.PolicyDomain, ev.Record, ev.ReportURIs = f.domain, f.txt, record.RUA
	ev.Testing, ev.StrictSPF, ev.StrictDKIM = record.Testing, record.StrictSPF, record.StrictDKIM
	missing := e.align(ctx, d, &ev)
	policyErr := e.choosePolicy(ctx, d, &ev, record)
	switch {
	case ev.SPFAligned || ev.DKIMAligned:
		// RFC 9989 Section 5.3.5: one aligned identifier is enough, so nothing else was needed.
		ev.Result = authres.Pass
	case missing != nil:
		return ev.temperror(missing)
	case policyErr != nil:
		return ev.temperror(policyErr)
	default:
		ev.Result = authres.Fail
		ev.Reason = e.unaligned(author)
	}
	e.localPolicy(&ev)
	e.note("%s: %s, published policy %s of %s, to be applied %s", author, ev.Result, ev.Published, ev.PolicyDomain, ev.Policy)
	return ev
}

// temperror returns the evaluation without result. RFC 9989 Section 5.3.6: the message can then neither pass nor fail,
// and the policy cannot be applied.
func (ev Evaluation) temperror(err error) Evaluation {
	ev.Result = authres.TempError
	ev.Reason = err.Error()
	ev.Policy = ""
	return ev
}

// choosePolicy finds out which of p, sp and np applies (RFC 9989 Section 4.10.1), and lowers it under t=y.
func (e *evaluator) choosePolicy(ctx context.Context, d discovery, ev *Evaluation, r Record) error {
	ev.Published = r.P
	var err error
	if ev.Domain != ev.PolicyDomain {
		if r.SP != "" {
			ev.Published = r.SP
		}
		if r.NP != "" && r.NP != ev.Published { // else it does not matter whether the domain exists
			var exists bool
			if exists, err = d.exists(ctx, ev.Domain); err == nil && !exists {
				ev.Published = r.NP
			}
		}
	}
	ev.Policy = ev.Published
	if ev.Testing {
		ev.Policy = ev.Published.lower()
	}
	return err
}

// lower returns the policy one level below p (RFC 9989 Section 4.7, t).
func (p Policy) lower() Policy {
	if p == PolicyReject {
		return PolicyQuarantine
	}
	return PolicyNone
}

// localPolicy applies what the receiver has configured to a failing message, and says why Policy is not what was
// published.
func (e *evaluator) localPolicy(ev *Evaluation) {
	if ev.Result != authres.Fail {
		return
	}
	if ev.Policy != ev.Published {
		ev.Override = OverridePolicyTestMode
	}
	if o := e.opt.override(ev.Domain); o != nil && o.Policy.strictness() > 0 && o.Policy != ev.Policy {
		ev.Policy, ev.Override, ev.Overrider = o.Policy, o.Reason, o.Domain
		if o.Reason == "" {
			ev.Override = OverrideLocalPolicy
		}
		e.note("local policy for %s: %s", o.Domain, o.Policy)
	}
	if e.in.Forwarder != "" && ev.Policy != PolicyNone {
		ev.Policy, ev.Override, ev.Overrider = PolicyNone, OverrideTrustedForwarder, e.in.Forwarder
		e.note("forwarded by %q, which is trusted", e.in.Forwarder)
	}
}
