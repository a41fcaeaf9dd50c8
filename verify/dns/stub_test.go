package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
)

// A script answers questions with what is written for them, and counts them.
type script struct {
	replies map[string]*mdns.Msg // by name and type: "a.example. TXT"
	asked   []string
}

func (s *script) Exchange(_ context.Context, name string, qtype uint16) (*mdns.Msg, error) {
	q := name + " " + mdns.TypeToString[qtype]
	s.asked = append(s.asked, q)
	m, ok := s.replies[q]
	if !ok {
		return nil, errors.New("not in the script")
	}
	return m, nil
}

// reply makes a response out of records; those behind an empty string are the authority section.
func reply(t testing.TB, rcode int, records ...string) *mdns.Msg {
	t.Helper()
	m := &mdns.Msg{MsgHdr: mdns.MsgHdr{Response: true, Rcode: rcode, AuthenticatedData: true}}
	section := &m.Answer
	for _, text := range records {
		if text == "" {
			section = &m.Ns
			continue
		}
		rr, err := mdns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		*section = append(*section, rr)
	}
	// Through the wire, as names and strings come from a server.
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	out := new(mdns.Msg)
	if err := out.Unpack(packet); err != nil {
		t.Fatal(err)
	}
	return out
}

const soa = "example. 900 SOA ns.example. root.example. 1 2 3 4 60"

func TestStub(t *testing.T) {
	long := make([]string, 0, 12)
	for i := range 12 {
		long = append(long, fmt.Sprintf("l%d.example. CNAME l%d.example.", i, i+1))
	}
	s := &script{replies: map[string]*mdns.Msg{
		"plain.example. TXT":   reply(t, 0, `plain.example. 60 TXT "a" "b"`, `plain.example. 30 TXT "c"`),
		"case.example. TXT":    reply(t, 0, `CASE.Example. TXT "x"`),
		"other.example. TXT":   reply(t, 0, `evil.example. TXT "x"`),
		"class.example. TXT":   reply(t, 0, `class.example. CH TXT "x"`),
		"mixed.example. TXT":   reply(t, 0, `evil.example. TXT "evil"`, `mixed.example. TXT "good"`, `mixed.example. A 192.0.2.1`),
		"alias.example. TXT":   reply(t, 0, `target.test. 10 TXT "x"`, `alias.example. 300 CNAME Target.Test.`),
		"split.example. TXT":   reply(t, 0, `split.example. 20 CNAME plain.example.`),
		"cut.example. TXT":     reply(t, 0, `cut.example. 300 CNAME gone.example.`),
		"gone.example. TXT":    reply(t, 3, "", soa),
		"nodata.example. TXT":  reply(t, 0, "", soa),
		"nosoa.example. TXT":   reply(t, 0),
		"foreign.example. TXT": reply(t, 3, "", "test. 900 SOA ns.test. root.test. 1 2 3 4 60"),
		"ends.example. TXT":    reply(t, 0, `ends.example. 5 CNAME end.example.`, "", soa),
		"nx.example. TXT":      reply(t, 3, `nx.example. 5 CNAME nx2.example.`, "", soa),
		"nxdata.example. TXT":  reply(t, 3, `nxdata.example. TXT "x"`),
		"loop.example. TXT":    reply(t, 0, `loop.example. CNAME loop2.example.`, `loop2.example. CNAME loop.example.`),
		"self.example. TXT":    reply(t, 0, `self.example. CNAME self.example.`),
		"hop.example. TXT":     reply(t, 0, `hop.example. CNAME hop2.example.`),
		"hop2.example. TXT":    reply(t, 0, `hop2.example. CNAME hop.example.`),
		"l0.example. TXT":      reply(t, 0, append(long, `l12.example. TXT "x"`)...),
		"l3.example. TXT":      reply(t, 0, append(long, `l12.example. TXT "x"`)...),
		"fail.example. TXT":    reply(t, 2),
		"bits.example. TXT":    reply(t, 0, `bits.example. TXT "caf\195\169\000\"\\ \\123"`),
		"empty.example. TXT":   reply(t, 0, `empty.example. TXT ""`),
		"ttl.example. TXT":     reply(t, 0, `ttl.example. 4294967295 TXT "x"`),
		`odd\ n.example. TXT`:  reply(t, 0, `odd\032n.example. CNAME \000\.x.example.`, `\000\.x.example. TXT "odd"`),
	}}
	for _, tc := range []struct {
		name  string
		want  string // records joined by |, or
		err   error
		cause string
		ttl   time.Duration
		asks  int
	}{
		{"plain.example", "ab|c", nil, "", 30 * time.Second, 1},
		{"case.example", "x", nil, "", time.Hour, 1},
		{"other.example", "", ErrNotFound, "", 0, 1},
		{"class.example", "", ErrNotFound, "", 0, 1},
		{"mixed.example", "good", nil, "", time.Hour, 1},
		{"alias.example", "x", nil, "", 10 * time.Second, 1},
		{"split.example", "ab|c", nil, "", 20 * time.Second, 2},
		{"cut.example", "", ErrNXDomain, "", time.Minute, 2},
		{"gone.example", "", ErrNXDomain, "", time.Minute, 1},
		{"nodata.example", "", ErrNotFound, "", time.Minute, 1},
		{"nosoa.example", "", ErrNotFound, "", 0, 1},
		{"foreign.example", "", ErrNXDomain, "", 0, 1},
		{"ends.example", "", ErrNotFound, "", 5 * time.Second, 1},
		{"nx.example", "", ErrNXDomain, "", 5 * time.Second, 1},
		{"nxdata.example", "", ErrNXDomain, "", 0, 1},
		{"loop.example", "", ErrTemporary, "the CNAME chain has no end", 0, 1},
		{"self.example", "", ErrTemporary, "the CNAME chain has no end", 0, 1},
		{"hop.example", "", ErrTemporary, "the CNAME chain has no end", 0, 11},
		{"l0.example", "", ErrTemporary, "the CNAME chain has no end", 0, 1},
		{"l3.example", "x", nil, "", time.Hour, 1},
		{"fail.example", "", ErrTemporary, "SERVFAIL", 0, 1},
		{"silent.example", "", ErrTemporary, "not in the script", 0, 1},
		{"bits.example", "caf\xc3\xa9\x00\"\\ \\123", nil, "", time.Hour, 1},
		{"empty.example", "", nil, "", time.Hour, 1},
		{"ttl.example", "x", nil, "", 0, 1},
		{"odd n.example", "odd", nil, "", time.Hour, 1},
		{"a..example", "", ErrNXDomain, "the name has an empty label", 0, 0},
	} {
		s.asked = nil
		a, err := NewStub(s, true).LookupTXT(context.Background(), tc.name)
		if got := strings.Join(a.Records, "|"); got != tc.want || !errors.Is(err, tc.err) || (tc.err == nil && a.TTL != tc.ttl) {
			t.Errorf("%s: got %q, TTL %v, %v", tc.name, got, a.TTL, err)
		}
		if len(s.asked) != tc.asks {
			t.Errorf("%s: asked %q", tc.name, s.asked)
		}
		if tc.err == nil {
			continue
		}
		if errors.Is(err, ErrNXDomain) != (tc.err == ErrNXDomain) {
			t.Errorf("%s: got %v", tc.name, err)
		}
		var f *Failure
		if !errors.As(err, &f) || f.TTL != tc.ttl || f.Cause != tc.cause {
			t.Errorf("%s: got %#v", tc.name, f)
		}
	}
}

func TestStubOtherTypes(t *testing.T) {
	s := &script{replies: map[string]*mdns.Msg{
		"mx.example. MX": reply(t, 0, "mx.example. MX 20 B.example.", "mx.example. MX 10 a.example.",
			"mx.example. MX 5 bad\\.dot.example.", "mx.example. MX 20 aa.example.", "mx.example. MX 0 ."),
		"oddmx.example. MX":            reply(t, 0, "oddmx.example. MX 5 Foo:bar/baz.example."),
		"badmx.example. MX":            reply(t, 0, "badmx.example. MX 5 nul\\000.example."),
		"four.example. A":              reply(t, 0, "four.example. A 192.0.2.1", "four.example. AAAA 2001:db8::1"),
		"six.example. AAAA":            reply(t, 0, "six.example. AAAA ::ffff:192.0.2.1"),
		"1.2.0.192.in-addr.arpa. PTR":  reply(t, 0, "1.2.0.192.in-addr.arpa. CNAME 1.0/25.2.0.192.in-addr.arpa.", "1.0/25.2.0.192.in-addr.arpa. PTR Host.Example.", "1.0/25.2.0.192.in-addr.arpa. PTR caf\\195\\169.example.", "1.0/25.2.0.192.in-addr.arpa. PTR ."),
		"2.2.0.192.in-addr.arpa. PTR":  reply(t, 0, "2.2.0.192.in-addr.arpa. PTR a\\.b.example."),
		"nothing.example. AAAA":        reply(t, 0, "nothing.example. A 192.0.2.1"),
		"rdataless.example. A":         {Answer: []mdns.RR{&mdns.A{Hdr: mdns.RR_Header{Name: "rdataless.example.", Rrtype: mdns.TypeA, Class: 1}}}},
		"liar.example. A":              {Answer: []mdns.RR{&mdns.TXT{Hdr: mdns.RR_Header{Name: "liar.example.", Rrtype: mdns.TypeA, Class: 1}}}},
		"unrelated.example. A":         reply(t, 0, "unrelated.example. RRSIG A 8 2 60 20300101000000 20200101000000 1 example. AAAA"),
		"3.2.0.192.in-addr.arpa. PTR":  reply(t, 3),
		"refused.example. MX":          reply(t, 5),
		"strange.example. MX":          reply(t, 12),
		"nothing-but-bad.example. TXT": reply(t, 2),
	}}
	r, ctx := NewStub(s, false), context.Background()
	check := func(what string, got any, err error, want string, class error) {
		t.Helper()
		if fmt.Sprint(got) != want || !errors.Is(err, class) {
			t.Errorf("%s: got %v, %v; want %s, %v", what, got, err, want, class)
		}
	}
	mx, err := r.LookupMX(ctx, "mx.example")
	check("mx", mx.Records, err, "[0 . 10 a.example. 20 b.example. 20 aa.example.]", nil)
	if len(mx.Records) != cap(mx.Records) {
		t.Errorf("room for %d records behind %d", cap(mx.Records), len(mx.Records))
	}
	mx, err = r.LookupMX(ctx, "oddmx.example")
	check("oddmx", mx.Records, err, "[5 foo:bar/baz.example.]", nil)
	mx, err = r.LookupMX(ctx, "badmx.example")
	check("badmx", mx.Records, err, "[]", ErrNotFound)
	_, err = r.LookupMX(ctx, "refused.example")
	check("refused", err, err, "dns: MX of refused.example: no answer: REFUSED", ErrTemporary)
	_, err = r.LookupMX(ctx, "strange.example")
	check("strange", err, err, "dns: MX of strange.example: no answer: response code 12", ErrTemporary)
	ip, err := r.LookupIP(ctx, "ip4", "four.example")
	check("four", ip.Records, err, "[192.0.2.1]", nil)
	ip, err = r.LookupIP(ctx, "ip6", "six.example")
	check("six", ip.Records, err, "[::ffff:192.0.2.1]", nil)
	for _, name := range []string{"rdataless.example", "liar.example", "unrelated.example"} {
		ip, err = r.LookupIP(ctx, "ip4", name)
		check(name, ip.Records, err, "[]", ErrNotFound)
	}
	ip, err = r.LookupIP(ctx, "ip6", "nothing.example")
	check("nothing", ip.Records, err, "[]", ErrNotFound)
	ptr, err := r.LookupPTR(ctx, netip.MustParseAddr("192.0.2.1"))
	check("ptr", ptr.Records, err, "[host.example]", nil)
	ptr, err = r.LookupPTR(ctx, netip.MustParseAddr("192.0.2.2"))
	check("bad ptr", ptr.Records, err, "[]", ErrNotFound)
	_, err = r.LookupPTR(ctx, netip.MustParseAddr("192.0.2.3"))
	check("no ptr", err, err, "dns: PTR of 3.2.0.192.in-addr.arpa: no such domain", ErrNXDomain)
	_, err = r.LookupPTR(ctx, netip.Addr{})
	check("no address", err, err, `dns: PTR of "": no such domain: the name is empty`, ErrNXDomain)
}

func TestSecureOnlyWhenTrusted(t *testing.T) {
	s := &script{replies: map[string]*mdns.Msg{
		"a.example. TXT": reply(t, 0, "a.example. CNAME b.example."),
		"b.example. TXT": reply(t, 0, `b.example. TXT "x"`),
	}}
	for _, tc := range []struct {
		trust, target, want bool
	}{{true, true, true}, {false, true, false}, {true, false, false}} {
		s.replies["b.example. TXT"].AuthenticatedData = tc.target
		a, err := NewStub(s, tc.trust).LookupTXT(context.Background(), "a.example")
		if err != nil || a.Secure != tc.want {
			t.Errorf("%+v: got %v, %v", tc, a, err)
		}
	}
}

func TestErrorClasses(t *testing.T) {
	for _, tc := range []struct {
		err                            error
		notFound, nxdomain, temp, over bool
	}{
		{&Failure{Class: ErrNotFound}, true, false, false, false},
		{&Failure{Class: ErrNXDomain}, true, true, false, false},
		{&Failure{Class: ErrTemporary}, false, false, true, false},
		{&Failure{Class: ErrBudget}, false, false, true, true},
	} {
		got := [4]bool{errors.Is(tc.err, ErrNotFound), errors.Is(tc.err, ErrNXDomain), errors.Is(tc.err, ErrTemporary), errors.Is(tc.err, ErrBudget)}
		if got != [4]bool{tc.notFound, tc.nxdomain, tc.temp, tc.over} {
			t.Errorf("%v: %v", tc.err, got)
		}
	}
}

// A response with thousands of records costs no more than reading it a few times.
func TestManyRecordsAreNotQuadratic(t *testing.T) {
	m := &mdns.Msg{}
	for i := range 4000 {
		rr, err := mdns.NewRR(fmt.Sprintf("n%d.example. CNAME n%d.example.", 3999-i, 4000-i))
		if err != nil {
			t.Fatal(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	c := chain{qtype: mdns.TypeTXT, end: "n0.example.", ttl: maxTTL}
	if got := c.follow(m); got != nil || c.links != maxChain+1 {
		t.Errorf("followed %d links to %v", c.links, got)
	}
}

func FuzzReadReply(f *testing.F) {
	q := newQuestion("a.example.", mdns.TypeTXT, false)
	q.Id = 7
	for _, m := range []*mdns.Msg{
		reply(f, 0, `a.example. CNAME b.example.`, `b.example. TXT "x" "y"`),
		reply(f, 3, "", soa),
		reply(f, 0, "a.example. MX 10 x\\.y.example."),
	} {
		m.Id, m.Question = 7, q.Question
		packet, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packet)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		m, err := readReply(packet, q)
		if err != nil {
			if m != nil {
				t.Error("both a response and an error")
			}
			return
		}
		if judge(m) != nil {
			return
		}
		for _, qtype := range []uint16{mdns.TypeTXT, mdns.TypeMX, mdns.TypePTR, mdns.TypeA, mdns.TypeAAAA} {
			s := NewStub(fixed{m}, true)
			var err error
			switch qtype {
			case mdns.TypeTXT:
				_, err = s.LookupTXT(t.Context(), "a.example")
			case mdns.TypeMX:
				_, err = s.LookupMX(t.Context(), "a.example")
			case mdns.TypePTR:
				var a Answer[string]
				a, err = lookup(t.Context(), s, "a.example", qtype, readPTR)
				for _, name := range a.Records {
					if checkHost(name) != nil {
						t.Errorf("PTR %q", name)
					}
				}
			default:
				_, err = lookup(t.Context(), s, "a.example", qtype, readAddress)
			}
			if err != nil && errors.Is(err, ErrTemporary) == errors.Is(err, ErrNotFound) {
				t.Errorf("%v is not of exactly one class", err)
			}
		}
	})
}

// A fixed transport gives the same response to everything.
type fixed struct{ m *mdns.Msg }

func (f fixed) Exchange(context.Context, string, uint16) (*mdns.Msg, error) { return f.m, nil }
