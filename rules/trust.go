package rules

import (
	"strings"

	"assay/rules/facts"
)

// The outcomes and policies that trust depends on, as facts spell them.
const (
	pass         = "pass"
	fail         = "fail"
	none         = "none"
	verifiedWord = "verified"
)

// safeTrust condenses facts and decision to the one word that mail clients show. Facts that cannot be computed confirm
// nothing.
func (ev *evaluation) safeTrust(d Decision) (t Trust) {
	defer func() {
		if recover() != nil {
			t = Unverified
		}
	}()
	t = ev.trust()
	if t != Forged && serious(d) {
		return Suspicious
	}
	return t
}

// serious reports whether a rule of severity high or critical has fired and is enforced.
func serious(d Decision) bool {
	for _, m := range d.Rules {
		if m.Enforced && (m.Severity == High || m.Severity == Critical) {
			return true
		}
	}
	return false
}

// trust condenses the facts.
func (ev *evaluation) trust() Trust {
	auth, problem := fact[facts.Auth](ev, "auth"), fact[string](ev, "from_problem")
	skipped := fact[string](ev, "skipped")
	switch {
	case skipped == "authenticated":
		return Authenticated
	case skipped != "":
		return Unverified
	case problem == "" && (auth.DMARC.Result == pass || vouchedFor(auth)):
		if auth.SMIME.State == verifiedWord {
			return Verified
		}
		return Authenticated
	case auth.DMARC.Result == fail && auth.DMARC.Policy != none:
		return Forged
	case problem != "":
		return Suspicious
	case auth.DMARC.Result == none && confirms(auth):
		return Authenticated
	default:
		return Unverified
	}
}

// vouchedFor reports whether a trusted ARC sealer saw the message pass DMARC before it was forwarded. It vouches for one
// author: anyone can put another From above the one that is sealed.
func vouchedFor(auth facts.Auth) bool {
	return auth.ARC.Result == pass && auth.ARC.TrustedSealer && auth.ARC.OriginalDMARC == pass && auth.DMARC.Domain != "" &&
		strings.EqualFold(auth.ARC.OriginalFrom, auth.DMARC.Domain)
}

// confirms reports whether SPF or DKIM authenticated exactly the domain in From although its owner publishes no DMARC
// policy.
func confirms(auth facts.Auth) bool {
	if auth.DMARC.Domain == "" {
		return false
	}
	for _, s := range auth.DKIM.Signatures {
		if s.Result == pass && s.Domain == auth.DMARC.Domain {
			return true
		}
	}
	return auth.SPF.Result == pass && auth.SPF.Domain == auth.DMARC.Domain
}
