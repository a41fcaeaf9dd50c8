package iprev

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"assay/verify/authres"
	"assay/verify/dns"
)

// maxNames is the limit that RFC 7208 Section 4.6.4 sets to the names of the same procedure. RFC 8601 Section 3 refers to
// RFC 7208 Section 5.5 for it.
const maxNames = 10

// Verify checks ip. It asks at most Options.Names+1 questions, one after the other, and stops at the first name that
// points back. Names differing in case only are one name.
func Verify(ctx context.Context, r dns.Resolver, ip netip.Addr, opt Options) Verification {
	if opt.Names <= 0 {
		opt.Names = maxNames
	}
	c := check{resolver: r, opt: opt, v: Verification{IP: ip.Unmap().WithZone("")}}
	if !ip.IsValid() {
		return c.end(authres.PermError, "the address of the client is not known")
	}
	return c.run(ctx)
}

// A check is one evaluation under way.
type check struct {
	resolver dns.Resolver
	opt      Options
	v        Verification
}

// run is the procedure of RFC 8601 Section 3: first the "reverse" lookup, then the "forward" ones.
func (c *check) run(ctx context.Context) Verification {
	c.step("looking up the PTR records of %s", c.v.IP)
	ptr, err := c.resolver.LookupPTR(ctx, c.v.IP)
	switch {
	case errors.Is(err, dns.ErrNotFound):
		// RFC 8601 Section 2.7.3, permerror: "no PTR data are published for the connecting IP address", be it RCODE 3 or
		// an answer without records.
		return c.end(authres.PermError, "no usable PTR record is published for the address")
	case err != nil:
		return c.end(authres.TempError, "the PTR records could not be looked up: "+dns.Why(err))
	}
	names := c.choose(ptr.Records)
	if len(names) == 0 {
		return c.end(authres.PermError, "no usable PTR record is published for the address")
	}
	var temporary error
	for _, name := range names {
		c.v.Names = append(c.v.Names, name)
		ok, err := c.pointsBack(ctx, name)
		if ok {
			c.v.Name = name
			return c.end(authres.Pass, "")
		}
		if ctx.Err() != nil {
			temporary = ctx.Err()
			break
		}
		if err != nil && temporary == nil {
			temporary = err
		}
	}
	if temporary != nil {
		// The name whose addresses are not known may be the one: RFC 8601 Section 2.7.3, temperror.
		return c.end(authres.TempError, "a name could not be looked up: "+temporary.Error())
	}
	if len(names) == 1 {
		return c.end(authres.Fail, fmt.Sprintf("%s does not point back to the address", names[0]))
	}
	return c.end(authres.Fail, fmt.Sprintf("none of %d names points back to the address", len(names)))
}

// choose returns the different names, no more than the limit. There may be thousands.
func (c *check) choose(records []string) []string {
	var names []string
	for _, record := range records {
		name, err := dns.Canonical(record)
		if err != nil {
			c.step("passing over the PTR name %.256q: %v", record, err)
			continue
		}
		if slices.Contains(names, name) {
			continue
		}
		if len(names) == c.opt.Names {
			c.step("there are more than %d names; the rest is not looked at", c.opt.Names)
			break
		}
		names = append(names, name)
	}
	return names
}

// pointsBack reports whether one of the name's addresses of the family in question is the client's. The error is
// temporary: a name without addresses has none that could match (RFC 8601 Section 2.7.3, fail).
func (c *check) pointsBack(ctx context.Context, name string) (bool, error) {
	network := "ip6"
	if c.v.IP.Is4() {
		network = "ip4"
	}
	a, err := c.resolver.LookupIP(ctx, network, name)
	switch {
	case err != nil:
		c.step("%s: %v", name, err)
		if errors.Is(err, dns.ErrNotFound) {
			return false, nil
		}
		return false, err
	case slices.Contains(a.Records, c.v.IP):
		c.step("%s has the address %s", name, c.v.IP)
		return true, nil
	}
	c.step("%s has %d addresses, %s is not among them", name, len(a.Records), c.v.IP)
	return false, nil
}

// end returns the outcome.
func (c *check) end(result authres.Result, reason string) Verification {
	c.v.Result, c.v.Reason = result, reason
	if reason != "" {
		c.step("%s: %s", result, reason)
	} else {
		c.step("%s", result)
	}
	return c.v
}

// step records a step for Explain.
func (c *check) step(format string, args ...any) {
	if c.opt.Explain {
		c.v.Steps = append(c.v.Steps, fmt.Sprintf(format, args...))
	}
}
