// Package iprev checks whether the name a client's address points to points back to the address: the PTR records of
// the address are looked up, and then the addresses of each name they hold. It refuses to look at more than a few names,
// since whoever holds the address decides how many there are.
//
// RFC 8601 Section 3; the results are those of Section 2.7.3.
package iprev

import (
	"net/netip"

	"assay/verify/authres"
)

// A Verification is the outcome of the check for one address.
type Verification struct {
	Result authres.Result // pass, fail, temperror, permerror
	Reason string         // why, in words; never empty unless Result is pass
	IP     netip.Addr     // as it was looked up: an IPv4-mapped IPv6 address is its IPv4 address
	Name   string         // the confirmed name, "" unless Result is pass
	Names  []string       // every PTR name that was looked at
	Steps  []string       // each step in words, when Options.Explain asks for it
}

// Options configure Verify. The zero value is useful.
type Options struct {
	Names   int  // most PTR names whose addresses are looked up; default 10
	Explain bool // fill Verification.Steps
}
