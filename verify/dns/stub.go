package dns

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	mdns "github.com/miekg/dns"
)

// maxChain is the longest chain of CNAME records that is followed. Recursive resolvers stop at about the same length.
const maxChain = 10

// A Transport puts one question to the DNS. It is called concurrently. Name is fully qualified, in lower case, and
// escaped as in a master file. The response belongs to that question; an error other than the context's means that
// there is none and says why.
type Transport interface {
	Exchange(ctx context.Context, name string, qtype uint16) (*mdns.Msg, error)
}

// A Stub is a Resolver that reads the responses of a Transport: it follows CNAME records, also those whose target the
// response does not hold, and takes nothing from a response that was not asked for. Safe for concurrent use.
type Stub struct {
	transport Transport
	trustAD   bool
}

// NewStub returns a Resolver that asks t. With trustAD the AD bit of a response is believed (RFC 6840 Section 5.8).
func NewStub(t Transport, trustAD bool) *Stub { return &Stub{t, trustAD} }

// LookupTXT implements Resolver.
func (s *Stub) LookupTXT(ctx context.Context, name string) (Answer[string], error) {
	return lookup(ctx, s, name, mdns.TypeTXT, readTXT)
}

// LookupIP implements Resolver.
func (s *Stub) LookupIP(ctx context.Context, network, name string) (Answer[netip.Addr], error) {
	qtype, err := addressType(network, name)
	if err != nil {
		return Answer[netip.Addr]{}, err
	}
	return lookup(ctx, s, name, qtype, readAddress)
}

// LookupMX implements Resolver.
func (s *Stub) LookupMX(ctx context.Context, name string) (Answer[MX], error) {
	a, err := lookup(ctx, s, name, mdns.TypeMX, readMX)
	slices.SortStableFunc(a.Records, func(x, y MX) int { return int(x.Preference) - int(y.Preference) })
	return a, err
}

// LookupPTR implements Resolver.
func (s *Stub) LookupPTR(ctx context.Context, addr netip.Addr) (Answer[string], error) {
	return lookup(ctx, s, Reverse(addr), mdns.TypePTR, readPTR)
}

// addressType returns the record type that holds the addresses of a network.
func addressType(network, name string) (uint16, error) {
	switch network {
	case "ip4":
		return mdns.TypeA, nil
	case "ip6":
		return mdns.TypeAAAA, nil
	}
	return 0, &Failure{Name: printable(name), Type: "A", Cause: fmt.Sprintf("unknown network %q", network), Class: ErrTemporary}
}

// printable returns a name for an error text.
func printable(name string) string {
	if s, err := present(name); err == nil {
		return strings.TrimSuffix(s, ".")
	}
	return quoteShort(name)
}

// lookup asks for the records of one type and reads each with read, which reports false for a record that is of no use.
func lookup[T any](ctx context.Context, s *Stub, name string, qtype uint16, read func(mdns.RR) (T, bool)) (Answer[T], error) {
	fail := &Failure{Type: mdns.TypeToString[qtype]}
	qname, err := present(name)
	if err != nil {
		// Such a name cannot exist, and a server could not be asked: RFC 1035 Section 2.3.4.
		fail.Name, fail.Class, fail.Cause = quoteShort(name), ErrNXDomain, "the name "+err.Error()
		return Answer[T]{}, fail
	}
	fail.Name = strings.TrimSuffix(qname, ".")
	if err := ctx.Err(); err != nil {
		return Answer[T]{}, err
	}
	set, err := s.resolve(ctx, qname, qtype, fail)
	if err != nil {
		return Answer[T]{}, err
	}
	a := Answer[T]{TTL: set.ttl, Secure: set.secure, Records: make([]T, 0, len(set.records))}
	for _, rr := range set.records {
		if v, ok := read(rr); ok {
			a.Records = append(a.Records, v)
		}
	}
	a.Records = slices.Clip(a.Records) // who appends to an answer must not write into that of others
	if len(a.Records) == 0 {
		fail.Class, fail.Cause, fail.TTL = ErrNotFound, "none of the records is usable", set.ttl
		return Answer[T]{}, fail
	}
	return a, nil
}

// A rrset is the records that answer a question.
type rrset struct {
	records []mdns.RR
	ttl     time.Duration
	secure  bool
}

// resolve asks for name and, while a response ends with a CNAME record whose target it does not hold, for the target.
// It fills and returns fail when there is no answer.
func (s *Stub) resolve(ctx context.Context, name string, qtype uint16, fail *Failure) (rrset, error) {
	c := chain{qtype: qtype, end: name, ttl: maxTTL, secure: true}
	for {
		m, err := s.transport.Exchange(ctx, c.end, qtype)
		if err != nil {
			if isContext(err) {
				return rrset{}, err
			}
			fail.Class, fail.Cause = ErrTemporary, err.Error()
			if u, ok := err.(*unanswered); ok {
				fail.Detail = u.detail
			}
			return rrset{}, fail
		}
		c.secure = c.secure && s.trustAD && m.AuthenticatedData
		before := c.links
		records := c.follow(m)
		switch {
		case len(records) > 0:
			return rrset{records: records, ttl: c.ttl, secure: c.secure}, nil
		case m.Rcode != mdns.RcodeSuccess && m.Rcode != mdns.RcodeNameError:
			fail.Class, fail.Cause = ErrTemporary, rcodeText(m.Rcode)
			return rrset{}, fail
		case c.links > maxChain:
			fail.Class, fail.Cause = ErrTemporary, "the CNAME chain has no end"
			return rrset{}, fail
		case m.Rcode == mdns.RcodeNameError:
			fail.Class, fail.TTL = ErrNXDomain, c.negativeTTL(m)
			return rrset{}, fail
		case c.links == before || soaOf(m, c.end) != nil:
			fail.Class, fail.TTL = ErrNotFound, c.negativeTTL(m)
			return rrset{}, fail
		}
	}
}

// A chain is a walk along CNAME records.
type chain struct {
	qtype  uint16
	end    string // the name the chain has led to
	links  int    // CNAME records followed
	ttl    time.Duration
	secure bool
}

// follow walks as far as the response leads and returns the records at the end. Records of names off the chain are not
// looked at, nor are the other sections. RFC 1034 Section 3.6.2. It stops one link beyond maxChain.
func (c *chain) follow(m *mdns.Msg) []mdns.RR {
	if m.Rcode != mdns.RcodeSuccess && m.Rcode != mdns.RcodeNameError {
		return nil
	}
	for c.links <= maxChain {
		var records []mdns.RR
		var next *mdns.CNAME
		for _, rr := range m.Answer {
			h := rr.Header()
			if h.Class != mdns.ClassINET || !sameName(h.Name, c.end) {
				continue
			}
			if h.Rrtype == c.qtype {
				records = append(records, rr)
			} else if alias, ok := rr.(*mdns.CNAME); ok && next == nil {
				next = alias
			}
		}
		if m.Rcode == mdns.RcodeSuccess && len(records) > 0 {
			c.shorten(records...)
			return records
		}
		if next == nil {
			return nil
		}
		c.shorten(next)
		c.end = lower(next.Target)
		c.links++
	}
	return nil
}

// shorten lowers the TTL of the chain to that of its new records.
func (c *chain) shorten(records ...mdns.RR) {
	for _, rr := range records {
		c.ttl = min(c.ttl, seconds(rr.Header().Ttl))
	}
}

// negativeTTL returns how long the absence of the end of the chain holds: RFC 2308 Section 5. Without an SOA record it
// must not be remembered.
func (c *chain) negativeTTL(m *mdns.Msg) time.Duration {
	soa := soaOf(m, c.end)
	if soa == nil {
		return 0
	}
	return min(c.ttl, seconds(soa.Hdr.Ttl), seconds(soa.Minttl))
}

// soaOf returns the SOA record in the authority section of the zone that name is in.
func soaOf(m *mdns.Msg, name string) *mdns.SOA {
	for _, rr := range m.Ns {
		if soa, ok := rr.(*mdns.SOA); ok && mdns.IsSubDomain(soa.Hdr.Name, name) {
			return soa
		}
	}
	return nil
}

// maxTTL is the largest TTL: RFC 2181 Section 8.
const maxTTL = (1<<31 - 1) * time.Second

// seconds reads a TTL. RFC 2181 Section 8: one with the most significant bit set is zero.
func seconds(ttl uint32) time.Duration {
	if ttl > 1<<31-1 {
		return 0
	}
	return time.Duration(ttl) * time.Second
}

// rcodeText returns a response code as people know it.
func rcodeText(rcode int) string {
	if s, ok := mdns.RcodeToString[rcode]; ok {
		return s
	}
	return fmt.Sprintf("response code %d", rcode)
}

// readTXT joins the character-strings of a record without a separator (RFC 7208 Section 3.3, RFC 6376 Section 3.6.2.2).
func readTXT(rr mdns.RR) (string, bool) {
	txt, ok := rr.(*mdns.TXT)
	if !ok {
		return "", false
	}
	return unescape(strings.Join(txt.Txt, "")), true
}

// unescape undoes the master-file escapes that the DNS library leaves in character-strings: \DDD is an octet and \X
// is X.
func unescape(s string) string {
	i := strings.IndexByte(s, '\\')
	if i < 0 {
		return s
	}
	b := append(make([]byte, 0, len(s)), s[:i]...)
	for ; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b = append(b, s[i])
			continue
		}
		if i+3 < len(s) && isDigit(s[i+1]) && isDigit(s[i+2]) && isDigit(s[i+3]) {
			b = append(b, (s[i+1]-'0')*100+(s[i+2]-'0')*10+(s[i+3]-'0'))
			i += 3
			continue
		}
		i++
		b = append(b, s[i])
	}
	return string(b)
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

// readAddress keeps the family of the record: an AAAA record that holds an IPv4-mapped address is no IPv4 address.
func readAddress(rr mdns.RR) (netip.Addr, bool) {
	switch r := rr.(type) {
	case *mdns.A:
		return netip.AddrFromSlice(r.A.To4())
	case *mdns.AAAA:
		return netip.AddrFromSlice(r.AAAA.To16())
	}
	return netip.Addr{}, false
}

// readMX leaves out exchangers with octets in a label that a name written as text cannot have, such as dots and blanks.
// Others need not be host names: RFC 7208 Section 7.1 lets a policy name any visible character, and what its "mx" finds
// is then asked for as it is. The root is the null MX: RFC 7505.
func readMX(rr mdns.RR) (MX, bool) {
	mx, ok := rr.(*mdns.MX)
	if !ok {
		return MX{}, false
	}
	if mx.Mx == "." {
		return MX{Preference: mx.Preference}, true
	}
	h := fold(mx.Mx)
	return MX{Host: h, Preference: mx.Preference}, isVisible(h)
}

// isVisible reports whether a name, written the way the DNS library does, has visible characters only, none of them
// escaped.
func isVisible(name string) bool {
	for i := 0; i < len(name); i++ {
		if name[i] <= ' ' || name[i] > '~' || name[i] == '\\' {
			return false
		}
	}
	return true
}

// readPTR leaves out names that are no host names.
func readPTR(rr mdns.RR) (string, bool) {
	ptr, ok := rr.(*mdns.PTR)
	if !ok {
		return "", false
	}
	return host(ptr.Ptr)
}
