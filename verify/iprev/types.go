// Package iprev checks whether the name a client's address points to points back to the address.
//
// RFC 8601 Section 3.
package iprev

import (
	"net/netip"

	"assay/verify/authres"
)

// A Verification is the outcome of the check for one address.
type Verification struct {
	Result authres.Result // pass, fail, temperror, permerror
	Reason string         // why, in words; never empty unless Result is pass
	IP     netip.Addr
	Name   string   // the confirmed name, "" unless Result is pass
	Names  []string // every PTR name that was looked at
	Steps  []string // each step in words, when Options.Explain asks for it
}
