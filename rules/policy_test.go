package rules

import (
	"testing"

	"assay/scan"
	"assay/verify"
	"assay/verify/arc"
	"assay/verify/authres"
	"assay/verify/dkim"
	"assay/verify/dmarc"
	"assay/verify/message"
	"assay/verify/spf"
)

func TestZeroDecisionDefers(t *testing.T) {
	if d := (Decision{}).Disposition; d != Defer || d.String() != "defer" {
		t.Errorf("zero disposition = %v", d)
	}
	if got := Disposition(99).String(); got != "defer" {
		t.Errorf("unknown disposition = %q", got)
	}
}

func TestStrictness(t *testing.T) {
	order := []Disposition{Deliver, Junk, Defer, Quarantine, Reject}
	for i := 1; i < len(order); i++ {
		if Stricter(order[i-1], order[i]) != order[i] || Stricter(order[i], order[i-1]) != order[i] {
			t.Errorf("%v is not stricter than %v", order[i], order[i-1])
		}
	}
}

// failed is a message whose DMARC check failed under policy p.
func failed(p dmarc.Policy) verify.Results {
	return verify.Results{DMARC: dmarc.Evaluation{
		Result: authres.Fail, Domain: "bank.example", PolicyDomain: "bank.example", Published: p, Policy: p}}
}

func TestPolicy(t *testing.T) {
	sealed := failed(dmarc.PolicyReject)
	sealed.ARC = arc.Verification{Result: authres.Pass, Trusted: true, DMARC: authres.Pass, DMARCFrom: "bank.example"}
	otherFrom := sealed
	otherFrom.ARC.DMARCFrom = "other.example"
	sealedTwoFrom := sealed
	sealedTwoFrom.Author.Problem = message.AuthorSeveralFields
	untrusted := sealed
	untrusted.ARC.Trusted = false
	skipped := failed(dmarc.PolicyReject)
	skipped.Skipped = verify.SkipAuthenticated
	lowered := failed(dmarc.PolicyReject)
	lowered.DMARC.Policy = dmarc.PolicyQuarantine
	passing := verify.Results{DMARC: dmarc.Evaluation{Result: authres.Pass, Domain: "bank.example", Policy: dmarc.PolicyReject}}
	noRecord := verify.Results{DMARC: dmarc.Evaluation{Result: authres.None, Domain: "a.example"}}
	signed := noRecord
	signed.DKIM = []dkim.Verification{{Result: authres.Pass, Domain: "a.example"}}
	foreign := noRecord
	foreign.DKIM = []dkim.Verification{{Result: authres.Pass, Domain: "b.example"}}
	helo := noRecord
	helo.SPF = []spf.Verification{{Result: authres.Pass, Identity: spf.Helo, Domain: "a.example"}}
	noFrom := verify.Results{Author: message.Author{Problem: message.AuthorMissing}, DMARC: dmarc.Evaluation{Result: authres.PermError}}
	twoFrom := passing
	twoFrom.Author.Problem = message.AuthorSeveralFields

	tests := []struct {
		name  string
		r     verify.Results
		plain Disposition
		force Disposition
		trust Trust
	}{
		{"pass", passing, Deliver, Deliver, Authenticated},
		{"fail under reject", failed(dmarc.PolicyReject), Deliver, Reject, Forged},
		{"fail under quarantine", failed(dmarc.PolicyQuarantine), Deliver, Deliver, Forged},
		{"fail under none", failed(dmarc.PolicyNone), Deliver, Deliver, Unverified},
		{"t=y lowers reject", lowered, Deliver, Deliver, Forged},
		{"trusted sealer vouches", sealed, Deliver, Deliver, Authenticated},
		{"sealer vouches for another domain", otherFrom, Deliver, Reject, Forged},
		{"sealer vouches, but there are two From fields", sealedTwoFrom, Deliver, Reject, Forged},
		{"sealer is not trusted", untrusted, Deliver, Reject, Forged},
		{"authenticated client", skipped, Deliver, Deliver, Authenticated},
		{"no record", noRecord, Deliver, Deliver, Unverified},
		{"no record, signed by the author domain", signed, Deliver, Deliver, Authenticated},
		{"no record, signed by another domain", foreign, Deliver, Deliver, Unverified},
		{"no record, HELO passes", helo, Deliver, Deliver, Unverified},
		{"no From", noFrom, Deliver, Deliver, Suspicious},
		{"two From fields never pass", twoFrom, Deliver, Deliver, Suspicious},
		{"nothing evaluated", verify.Results{}, Deliver, Deliver, Unverified},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plain, force := Policy{}.Decide(tt.r, scan.Report{}), Policy{EnforceDMARC: true}.Decide(tt.r, scan.Report{})
			if plain.Disposition != tt.plain || force.Disposition != tt.force || plain.Trust != tt.trust {
				t.Errorf("plain %v, enforced %v, trust %v", plain.Disposition, force.Disposition, plain.Trust)
			}
			if (force.Disposition == Reject) != (force.Reply.Code == 550) {
				t.Errorf("reply %+v", force.Reply)
			}
		})
	}
}
