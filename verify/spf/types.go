// Package spf evaluates the Sender Policy Framework: may this client send for the domain it names? It decides nothing
// beyond that. A check that cannot be finished is temperror or permerror, never none.
//
// RFC 7208.
package spf

import (
	"net/netip"

	"assay/verify/authres"
)

// An Identity is the name that was checked (RFC 7208 Section 2.2).
type Identity string

// The two identities of RFC 7208.
const (
	MailFrom Identity = "mailfrom" // reverse-path; for the null reverse-path postmaster@HELO (Section 2.4)
	Helo     Identity = "helo"     // Section 2.3
)

// An Input is what one evaluation of check_host() is about (RFC 7208 Section 4.1).
type Input struct {
	IP       netip.Addr
	Helo     string
	MailFrom string // reverse-path without angle brackets, "" for the null reverse-path
	Identity Identity
}

// A Verification is the outcome of one check. It is a value: what it means is for the rules to say.
type Verification struct {
	Result      authres.Result
	Identity    Identity
	Domain      string   // the domain whose policy was evaluated, A-labels, lower case
	Sender      string   // local-part@domain that was checked
	Mechanism   string   // the directive that matched, as written in the record; "" if none did
	RecordAt    string   // domain of the record that holds the matching directive (include, redirect)
	Record      string   // the policy record found at Domain, "" if none
	Explanation string   // exp= text for fail, macro-expanded (Section 6.2); "" if none. The domain owner's words
	Reason      string   // why, in words; never empty for temperror and permerror
	Lookups     int      // terms that cause DNS lookups, of at most 10 (Section 4.6.4)
	Voids       int      // void lookups, of at most 2 (Section 4.6.4)
	Steps       []string // every step in words, if Options.Explain
}
