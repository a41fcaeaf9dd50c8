// Package dns answers the questions email authentication asks of the DNS. It is a stub resolver with a cache that
// honours TTLs, and decorators that bound and remember the questions of one message. It refuses search domains,
// /etc/hosts and every name that is not a syntactically valid fully qualified one.
//
// RFC 1035, RFC 2308 (negative caching), RFC 6891 (EDNS), RFC 8767 (serving stale data).
package dns

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// A Resolver answers the questions email authentication asks. It is called concurrently. Every error wraps exactly one
// of ErrNotFound (NXDOMAIN or empty, both void lookups for SPF) and ErrTemporary, or is the context's error.
// Names are fully qualified, with or without the final dot, as A-labels.
type Resolver interface {
	// LookupTXT returns the TXT records of name, the character-strings of each joined without a separator.
	LookupTXT(ctx context.Context, name string) (Answer[string], error)
	// LookupIP returns the addresses of name; network is "ip4" (A) or "ip6" (AAAA).
	LookupIP(ctx context.Context, network, name string) (Answer[netip.Addr], error)
	// LookupMX returns the mail exchangers of name, lowest preference first.
	LookupMX(ctx context.Context, name string) (Answer[MX], error)
	// LookupPTR returns the names of addr, without the final dot.
	LookupPTR(ctx context.Context, addr netip.Addr) (Answer[string], error)
}

// An Answer is a non-empty set of records. The records are shared between callers and must not be changed.
type Answer[T any] struct {
	Records []T
	TTL     time.Duration // what is left of the shortest TTL along the CNAME chain
	Secure  bool          // the resolver vouches for DNSSEC validation (AD bit) and is trusted to
	Stale   bool          // an expired cache entry, served because no server answered (RFC 8767)
	Cached  bool          // answered from the cache, without a query
}

// An MX is one mail exchanger record.
type MX struct {
	Host       string // without the final dot; "" is the null MX (RFC 7505)
	Preference uint16
}

// The two classes of failure, and the causes a caller distinguishes.
var (
	// ErrNotFound means that the name holds no record of the type that was asked for. It is a definite answer.
	ErrNotFound = errors.New("dns: no such record")
	// ErrNXDomain means that the name does not exist at all (RFC 8020). It wraps ErrNotFound.
	ErrNXDomain = &class{"dns: no such domain", ErrNotFound}
	// ErrTemporary means that there is no answer now: timeout, SERVFAIL, refused, or a malformed answer.
	ErrTemporary = errors.New("dns: no answer")
	// ErrBudget means that the message has used up its share of questions. It wraps ErrTemporary.
	ErrBudget = &class{"dns: query budget of the message exceeded", ErrTemporary}
)

// A class is a sentinel error that belongs to a wider one.
type class struct {
	text string
	wide error
}

// Error implements the error interface.
func (c *class) Error() string { return c.text }

// Unwrap returns the wider class.
func (c *class) Unwrap() error { return c.wide }
