package spf

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"assay/verify/dns"
)

// A zone answers questions from a table. Names are in lower case without the final dot. It counts what it is asked.
type zone struct {
	records map[string][]rr
	mu      sync.Mutex
	asked   []string // "TYPE name"
}

// An rr is one record, or the way in which a question fails.
type rr struct {
	kind  string // "TXT", "A", "AAAA", "MX", "PTR", "CNAME"; or "TIMEOUT" for every kind that has no record before it
	value string // "preference host" for MX; "TIMEOUT" makes this kind time out
}

// newZone reads lines "name TYPE value" and "name TIMEOUT".
func newZone(lines ...string) *zone {
	z := &zone{records: map[string][]rr{}}
	for _, line := range lines {
		fields := append(strings.SplitN(line, " ", 3), "", "")
		z.add(fields[0], rr{fields[1], fields[2]})
	}
	return z
}

func (z *zone) add(name string, r rr) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	z.records[name] = append(z.records[name], r)
}

// find returns the values of the records of one kind, following aliases.
func (z *zone) find(ctx context.Context, kind, name string) ([]string, error) {
	z.mu.Lock()
	z.asked = append(z.asked, kind+" "+name)
	z.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for range 8 {
		values, alias, err := z.at(kind, strings.ToLower(strings.TrimSuffix(name, ".")))
		if err != nil || alias == "" {
			return values, err
		}
		name = alias
	}
	return nil, fmt.Errorf("alias loop: %w", dns.ErrTemporary)
}

func (z *zone) at(kind, name string) (values []string, alias string, err error) {
	timeout := fmt.Errorf("timeout: %w", dns.ErrTemporary)
	records, known := z.records[name]
	if !known {
		return nil, "", dns.ErrNXDomain
	}
	for _, r := range records {
		switch {
		case r.kind == "TIMEOUT" && values == nil, r.kind == kind && r.value == "TIMEOUT":
			return nil, "", timeout
		case r.kind == kind:
			values = append(values, r.value)
		case r.kind == "CNAME":
			alias = r.value
		}
	}
	if values != nil {
		return values, "", nil
	}
	if alias != "" {
		return nil, alias, nil
	}
	return nil, "", dns.ErrNotFound
}

func lookupAs[T any](values []string, err error, convert func(string) (T, error)) (dns.Answer[T], error) {
	a := dns.Answer[T]{TTL: time.Hour}
	for _, v := range values {
		t, bad := convert(v)
		if bad != nil {
			return dns.Answer[T]{}, fmt.Errorf("zone: %q: %w", v, dns.ErrTemporary)
		}
		a.Records = append(a.Records, t)
	}
	return a, err
}

func (z *zone) LookupTXT(ctx context.Context, name string) (dns.Answer[string], error) {
	values, err := z.find(ctx, "TXT", name)
	return lookupAs(values, err, func(s string) (string, error) { return s, nil })
}

func (z *zone) LookupIP(ctx context.Context, network, name string) (dns.Answer[netip.Addr], error) {
	kind := map[string]string{"ip4": "A", "ip6": "AAAA"}[network]
	values, err := z.find(ctx, kind, name)
	return lookupAs(values, err, netip.ParseAddr)
}

func (z *zone) LookupMX(ctx context.Context, name string) (dns.Answer[dns.MX], error) {
	values, err := z.find(ctx, "MX", name)
	return lookupAs(values, err, func(s string) (mx dns.MX, err error) {
		_, err = fmt.Sscanf(s+" .", "%d %s", &mx.Preference, &mx.Host)
		mx.Host = strings.TrimSuffix(mx.Host, ".")
		return mx, err
	})
}

func (z *zone) LookupPTR(ctx context.Context, addr netip.Addr) (dns.Answer[string], error) {
	values, err := z.find(ctx, "PTR", dns.Reverse(addr))
	return lookupAs(values, err, func(s string) (string, error) { return strings.TrimSuffix(s, "."), nil })
}

// refuser fails every question with err.
type refuser struct{ err error }

func (r refuser) LookupTXT(context.Context, string) (a dns.Answer[string], err error) {
	return a, r.err
}

func (r refuser) LookupIP(context.Context, string, string) (a dns.Answer[netip.Addr], err error) {
	return a, r.err
}

func (r refuser) LookupMX(context.Context, string) (a dns.Answer[dns.MX], err error) {
	return a, r.err
}

func (r refuser) LookupPTR(context.Context, netip.Addr) (a dns.Answer[string], err error) {
	return a, r.err
}
