package iprev

import (
	"context"
	"net/netip"

	"assay/verify/authres"
	"assay/verify/dns"
)

// Options configure Verify. The zero value is useful.
type Options struct {
	Names   int  // most PTR names looked at; default 10
	Explain bool // fill Verification.Steps
}

// Verify checks ip.
func Verify(ctx context.Context, r dns.Resolver, ip netip.Addr, opt Options) Verification {
	return Verification{Result: authres.PermError, Reason: "not evaluated", IP: ip}
}
