package rules

import (
	"strings"
	"testing"

	"assay/rules/facts"
	"assay/verify"
	"assay/verify/arc"
	"assay/verify/authres"
	"assay/verify/dkim"
	"assay/verify/dmarc"
	"assay/verify/message"
	"assay/verify/smime"
	"assay/verify/spf"
)

// failing is a message whose DMARC check failed under policy p.
func failing(p dmarc.Policy) verify.Results {
	return verify.Results{DMARC: dmarc.Evaluation{
		Result: authres.Fail, Domain: "bank.example", PolicyDomain: "bank.example", Published: p, Policy: p}}
}

// with returns results that are changed.
func with(r verify.Results, change func(*verify.Results)) verify.Results {
	change(&r)
	return r
}

func TestTrust(t *testing.T) {
	passing := verify.Results{DMARC: dmarc.Evaluation{Result: authres.Pass, Domain: "bank.example", Policy: dmarc.PolicyReject}}
	noRecord := verify.Results{DMARC: dmarc.Evaluation{Result: authres.None, Domain: "a.example"}}
	sealed := with(failing(dmarc.PolicyReject), func(r *verify.Results) {
		r.ARC = arc.Verification{Result: authres.Pass, Trusted: true, DMARC: authres.Pass, DMARCFrom: "bank.example"}
	})
	signed := func(r *verify.Results) {
		r.SMIME = smime.Verification{Result: authres.Pass, State: smime.Verified, Signed: true}
	}
	tests := []struct {
		name string
		r    verify.Results
		want Trust
	}{
		{"pass", passing, Authenticated},
		{"pass and signed", with(passing, signed), Verified},
		{"fail under reject", failing(dmarc.PolicyReject), Forged},
		{"fail under reject but signed", with(failing(dmarc.PolicyReject), signed), Forged},
		{"fail under quarantine", failing(dmarc.PolicyQuarantine), Forged},
		{"fail under none", failing(dmarc.PolicyNone), Unverified},
		{"t=y lowers reject", with(failing(dmarc.PolicyReject), func(r *verify.Results) { r.DMARC.Policy = dmarc.PolicyQuarantine }), Forged},
		{"trusted sealer vouches", sealed, Authenticated},
		{"trusted sealer vouches for signed mail", with(sealed, signed), Verified},
		{"sealer vouches for another domain", with(sealed, func(r *verify.Results) { r.ARC.DMARCFrom = "other.example" }), Forged},
		{"sealer vouches, but there are two From fields", with(sealed, func(r *verify.Results) { r.Author.Problem = message.AuthorSeveralFields }), Forged},
		{"sealer is not trusted", with(sealed, func(r *verify.Results) { r.ARC.Trusted = false }), Forged},
		{"authenticated client", with(failing(dmarc.PolicyReject), func(r *verify.Results) { r.Skipped = verify.SkipAuthenticated }), Authenticated},
		{"trusted network", with(passing, func(r *verify.Results) { r.Skipped = verify.SkipNetwork }), Unverified},
		{"no record", noRecord, Unverified},
		{"no record, signed by the author domain", with(noRecord, func(r *verify.Results) {
			r.DKIM = []dkim.Verification{{Result: authres.Pass, Domain: "a.example"}}
		}), Authenticated},
		{"no record, signed by the author domain and S/MIME", with(with(noRecord, signed), func(r *verify.Results) {
			r.DKIM = []dkim.Verification{{Result: authres.Pass, Domain: "a.example"}}
		}), Authenticated},
		{"no record, signed by another domain", with(noRecord, func(r *verify.Results) {
			r.DKIM = []dkim.Verification{{Result: authres.Pass, Domain: "b.example"}}
		}), Unverified},
		{"no record, SPF passes", with(noRecord, func(r *verify.Results) {
			r.SPF = []spf.Verification{{Result: authres.Pass, Identity: spf.MailFrom, Domain: "a.example"}}
		}), Authenticated},
		{"no record, HELO passes", with(noRecord, func(r *verify.Results) {
			r.SPF = []spf.Verification{{Result: authres.Pass, Identity: spf.Helo, Domain: "a.example"}}
		}), Unverified},
		{"no From", verify.Results{Author: message.Author{Problem: message.AuthorMissing}, DMARC: dmarc.Evaluation{Result: authres.PermError}}, Suspicious},
		{"two From fields never pass", with(passing, func(r *verify.Results) { r.Author.Problem = message.AuthorSeveralFields }), Suspicious},
		{"nothing evaluated", verify.Results{}, Unverified},
	}
	s := ruleSet(t, "rules: []\n")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := message.Read(strings.NewReader("Subject: x\r\n\r\nx\r\n"), message.Envelope{MailFrom: "x@x.example", ReceivedAt: testNow()}, message.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			d := s.Decide(t.Context(), facts.Input{Message: m, Results: tt.r})
			if d.Trust != tt.want || d.Disposition != Deliver {
				t.Errorf("%v, want %v; %v", d.Trust, tt.want, d.Disposition)
			}
		})
	}
}

func TestSeriousRulesMakeSuspicious(t *testing.T) {
	set := func(severity, mode string) *Set {
		rule := strings.Replace(oneRule("r", "size > 0", "    then: {}\n"), "severity: low", "severity: "+severity, 1)
		return ruleSet(t, "rules:\n"+strings.Replace(rule, "enforce", mode, 1))
	}
	forged := func(f *facts.Tree) { f.Auth.DMARC.Result = "fail" }
	for _, tt := range []struct {
		severity, mode string
		change         func(*facts.Tree)
		want           Trust
	}{
		{"medium", "enforce", nil, Authenticated}, {"high", "enforce", nil, Suspicious}, {"critical", "enforce", nil, Suspicious},
		{"high", "monitor", nil, Authenticated}, {"high", "off", nil, Authenticated}, {"high", "enforce", forged, Forged},
	} {
		if d := set(tt.severity, tt.mode).DecideFrom(t.Context(), state(tt.change)); d.Trust != tt.want {
			t.Errorf("%s %s: %v, want %v", tt.severity, tt.mode, d.Trust, tt.want)
		}
	}
}
