package rules

import (
	"fmt"

	"assay/scan"
	"assay/verify"
	"assay/verify/authres"
	"assay/verify/dmarc"
)

// A Policy is the fixed set of rules that decides until rule files are loaded. The zero value delivers every message.
type Policy struct {
	// EnforceDMARC refuses messages that fail DMARC when the owner of the domain in From asks for rejection and no
	// trusted ARC sealer vouches for the message. Without it such messages are delivered and marked.
	EnforceDMARC bool
}

// Decide applies the policy. It depends on nothing but its arguments.
func (p Policy) Decide(r verify.Results, _ scan.Report) Decision {
	d := Decision{Disposition: Deliver, Trust: trust(r)}
	if r.Skipped != "" {
		return d
	}
	if p.dmarcReject(r) {
		m := Match{
			ID: "dmarc-reject", Title: "DMARC failed and the domain owner asks for rejection",
			Enforced: p.EnforceDMARC, Asked: Reject,
		}
		d.Rules = append(d.Rules, m)
		if p.EnforceDMARC {
			d.Disposition = Reject
			// RFC 9989 asks that the text says that DMARC is the cause.
			d.Reply = SMTPReply{550, "5.7.1", fmt.Sprintf("DMARC policy of %s rejects this message", r.DMARC.PolicyDomain)}
			d.Reason = "DMARC failed, the domain owner asks for rejection"
		}
	}
	return d
}

// dmarcReject reports whether DMARC asks for the message to be refused.
func (p Policy) dmarcReject(r verify.Results) bool {
	return r.DMARC.Result == authres.Fail && r.DMARC.Policy == dmarc.PolicyReject && !vouched(r)
}

// vouched reports whether a trusted ARC sealer saw the message pass DMARC before it was forwarded. It vouches for one
// author: anyone can put another From above the one that is sealed.
func vouched(r verify.Results) bool {
	return r.Author.Problem == "" && r.ARC.Result == authres.Pass && r.ARC.Trusted && r.ARC.DMARC == authres.Pass &&
		r.ARC.DMARCFrom == r.DMARC.Domain && r.DMARC.Domain != ""
}

// trust condenses the results to the one word that mail clients show.
func trust(r verify.Results) Trust {
	switch {
	case r.Skipped == verify.SkipAuthenticated:
		return Authenticated
	case r.Skipped != "":
		return Unverified
	case r.DMARC.Result == authres.Pass && r.Author.Problem == "", vouched(r):
		return Authenticated
	case r.DMARC.Result == authres.Fail && r.DMARC.Policy != dmarc.PolicyNone:
		return Forged
	case r.Author.Problem != "":
		return Suspicious
	case r.DMARC.Result == authres.None && confirmed(r):
		return Authenticated
	default:
		return Unverified
	}
}

// confirmed reports whether SPF or DKIM authenticated exactly the domain in From although its owner publishes no DMARC
// policy.
func confirmed(r verify.Results) bool {
	if r.DMARC.Domain == "" {
		return false
	}
	for _, s := range r.DKIM {
		if s.Result == authres.Pass && s.Domain == r.DMARC.Domain {
			return true
		}
	}
	for _, s := range r.SPF {
		if s.Result == authres.Pass && s.Identity == "mailfrom" && s.Domain == r.DMARC.Domain {
			return true
		}
	}
	return false
}
