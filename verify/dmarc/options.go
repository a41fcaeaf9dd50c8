package dmarc

import (
	"strings"

	"assay/verify/dkim"
	"assay/verify/dns"
	"assay/verify/message"
	"assay/verify/spf"
)

// An Input is what one evaluation is about.
type Input struct {
	Author message.Author
	SPF    []spf.Verification  // the MAIL FROM identity is used, others are passed over
	DKIM   []dkim.Verification // all signatures that were checked

	// Forwarder names the intermediary that handed the message over, if the caller trusts it to have checked the
	// author, be it for its address, its confirmed name, or its ARC seal. Then a failing message is asked nothing of.
	Forwarder string
}

// Options say how messages are evaluated. The zero value is RFC 9989 without local policy.
type Options struct {
	Discovery      Discovery  // how organizational domains are found; "" is TreeWalk
	Overrides      []Override // local policy for the mail of some domains
	MaxAuthors     int        // author domains that are evaluated when From names several; 0 is 3
	MaxIdentifiers int        // authenticated domains within the author's organization that a walk is made for; 0 is 20
	Explain        bool       // fill Steps
}

// A Discovery is a way to find the organizational domain of a domain, and the policy record that applies to it.
type Discovery string

// The ways of discovery.
const (
	TreeWalk Discovery = "treewalk" // DNS tree walk (RFC 9989 Section 4.10)
	PSL      Discovery = "psl"      // public suffix list (RFC 7489 Section 3.2), as compiled into the program
	Both     Discovery = "both"     // TreeWalk decides; where PSL would have decided otherwise Difference says so
)

// An Override is local policy for failing mail of one author domain and its subdomains. Of several that apply the one
// with the longest domain does. It can be stricter or milder than what the domain's owner asks for. It does not apply to
// domains without a policy record.
type Override struct {
	Domain string // U-labels or A-labels
	Policy Policy // what is to be done instead
	Reason string // one of the Override constants, "" is OverrideLocalPolicy
}

// The reasons for which another policy than the published one is applied, with the names of RFC 9990's PolicyOverride.
const (
	OverrideLocalPolicy      = "local_policy"
	OverrideMailingList      = "mailing_list"
	OverrideOther            = "other"
	OverridePolicyTestMode   = "policy_test_mode" // t=y
	OverrideTrustedForwarder = "trusted_forwarder"
)

// withDefaults replaces zero values.
func (o Options) withDefaults() Options {
	if o.Discovery == "" {
		o.Discovery = TreeWalk
	}
	if o.MaxAuthors <= 0 {
		o.MaxAuthors = 3
	}
	if o.MaxIdentifiers <= 0 {
		o.MaxIdentifiers = 20
	}
	return o
}

// override returns the local policy for an author domain, nil if there is none.
func (o Options) override(domain string) *Override {
	var best *Override
	length := 0
	for i := range o.Overrides {
		name, err := dns.Canonical(o.Overrides[i].Domain)
		if err == nil && len(name) > length && within(domain, name) {
			best, length = &o.Overrides[i], len(name)
		}
	}
	return best
}

// within tells whether name is domain or below it. Both are canonical.
func within(name, domain string) bool {
	return name == domain || strings.HasSuffix(name, domain) && name[len(name)-len(domain)-1] == '.'
}
