package iprev_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"assay/verify/authres"
	"assay/verify/dns"
	"assay/verify/dns/zone"
	"assay/verify/iprev"
)

const world = `
$ORIGIN 2.0.192.in-addr.arpa.
1   PTR  One.Example.
2   PTR  two.example.
3   PTR  nothing.example.
4   PTR  nowhere.example.
5   PTR  six.example.
6   TIMEOUT
7   PTR  broken.example.
7   PTR  one.example.
8   PTR  broken.example.
8   PTR  eight.example.
9   TXT  "no PTR, but a name"
10  PTR  bad\.name.example.
11  CNAME 11.rfc2317.example.
12  PTR  a.example.
12  PTR  A.Example.
12  PTR  twelve.example.
13  PTR  alias.example.
8.b.d.0.1.0.0.2.ip6.arpa. TXT "above"
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR six.example.
2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR mapped.example.
$ORIGIN example.
one      A     192.0.2.99
one      A     192.0.2.1
two      A     192.0.2.3
nothing  TXT   "no address"
six      AAAA  2001:db8::1
mapped   A     192.0.2.1
broken   SERVFAIL
eight    A     192.0.2.8
11.rfc2317 PTR eleven
eleven   A     192.0.2.11
twelve   A     192.0.2.12
alias    CNAME thirteen
thirteen A     192.0.2.13
`

func parse(tb testing.TB, text string) *zone.Zone {
	tb.Helper()
	z, err := zone.Parse(strings.NewReader(text), "iprev.zone")
	if err != nil {
		tb.Fatal(err)
	}
	return z
}

// RFC 8601 Section 2.7.3.
func TestVerify(t *testing.T) {
	z := parse(t, world)
	for _, tc := range []struct {
		ip     string
		result authres.Result
		name   string
		names  string
		reason string
	}{
		{"192.0.2.1", authres.Pass, "one.example", "one.example", ""},
		{"::ffff:192.0.2.1", authres.Pass, "one.example", "one.example", ""},
		{"192.0.2.2", authres.Fail, "", "two.example", "two.example does not point back to the address"},
		{"192.0.2.3", authres.Fail, "", "nothing.example", "nothing.example does not point back to the address"},
		{"192.0.2.4", authres.Fail, "", "nowhere.example", "nowhere.example does not point back to the address"},
		{"192.0.2.5", authres.Fail, "", "six.example", "six.example does not point back to the address"},
		{"192.0.2.6", authres.TempError, "", "", "the PTR records could not be looked up: no answer: no answer in time"},
		{"192.0.2.7", authres.TempError, "", "broken.example one.example", "a name could not be looked up: dns: A of broken.example: no answer: SERVFAIL"},
		{"192.0.2.8", authres.Pass, "eight.example", "broken.example eight.example", ""},
		{"192.0.2.9", authres.PermError, "", "", "no usable PTR record is published for the address"},
		{"192.0.2.10", authres.PermError, "", "", "no usable PTR record is published for the address"},
		{"192.0.2.11", authres.Pass, "eleven.example", "eleven.example", ""},
		{"192.0.2.12", authres.Pass, "twelve.example", "a.example twelve.example", ""},
		{"192.0.2.13", authres.Pass, "alias.example", "alias.example", ""},
		{"192.0.2.14", authres.PermError, "", "", "no usable PTR record is published for the address"},
		{"2001:db8::1", authres.Pass, "six.example", "six.example", ""},
		{"2001:db8::1%eth0", authres.Pass, "six.example", "six.example", ""},
		{"2001:db8::2", authres.Fail, "", "mapped.example", "mapped.example does not point back to the address"},
		{"2001:db8::3", authres.PermError, "", "", "no usable PTR record is published for the address"},
		{"::1", authres.PermError, "", "", "no usable PTR record is published for the address"},
	} {
		ip := netip.MustParseAddr(tc.ip)
		v := iprev.Verify(context.Background(), z, ip, iprev.Options{})
		if v.Result != tc.result || v.Name != tc.name || v.Reason != tc.reason || strings.Join(v.Names, " ") != tc.names {
			t.Errorf("%s: got %+v", tc.ip, v)
		}
		if v.IP != ip.Unmap().WithZone("") || v.Steps != nil {
			t.Errorf("%s: got %+v", tc.ip, v)
		}
	}
}

func TestNoAddress(t *testing.T) {
	v := iprev.Verify(context.Background(), parse(t, ""), netip.Addr{}, iprev.Options{})
	if v.Result != authres.PermError || v.Reason != "the address of the client is not known" {
		t.Errorf("got %+v", v)
	}
}

func TestExplain(t *testing.T) {
	z := parse(t, world)
	v := iprev.Verify(context.Background(), z, netip.MustParseAddr("192.0.2.7"), iprev.Options{Explain: true})
	want := []string{
		"looking up the PTR records of 192.0.2.7",
		"broken.example: dns: A of broken.example: no answer: SERVFAIL",
		"one.example has 2 addresses, 192.0.2.7 is not among them",
		"temperror: a name could not be looked up: dns: A of broken.example: no answer: SERVFAIL",
	}
	if got := strings.Join(v.Steps, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s", got)
	}
}

// A counting resolver knows how many questions there were.
type counting struct {
	dns.Resolver
	n int
}

func (c *counting) LookupIP(ctx context.Context, network, name string) (dns.Answer[netip.Addr], error) {
	c.n++
	return c.Resolver.LookupIP(ctx, network, name)
}

// The holder of the address publishes a thousand names, of which the last is right.
func TestTooManyNames(t *testing.T) {
	var text strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&text, "1.2.0.192.in-addr.arpa. PTR n%03d.example.\n", i)
	}
	text.WriteString("n010.example. A 192.0.2.1\n")
	c := &counting{Resolver: parse(t, text.String())}
	ip := netip.MustParseAddr("192.0.2.1")
	v := iprev.Verify(context.Background(), c, ip, iprev.Options{})
	if v.Result != authres.Fail || len(v.Names) != 10 || c.n != 10 || v.Reason != "none of 10 names points back to the address" {
		t.Errorf("got %+v after %d questions", v, c.n)
	}
	if v := iprev.Verify(context.Background(), c, ip, iprev.Options{Names: 11}); v.Result != authres.Pass {
		t.Errorf("with 11 names: got %+v", v)
	}
}

func TestContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	z := parse(t, world)
	v := iprev.Verify(ctx, cancels{z, cancel}, netip.MustParseAddr("192.0.2.7"), iprev.Options{})
	if v.Result != authres.TempError || len(v.Names) != 1 {
		t.Errorf("during the check: got %+v", v)
	}
	v = iprev.Verify(ctx, z, netip.MustParseAddr("192.0.2.1"), iprev.Options{})
	if v.Result != authres.TempError || v.Reason != "the PTR records could not be looked up: context canceled" {
		t.Errorf("before the check: got %+v", v)
	}
}

// A cancels resolver ends the context when it is asked for addresses.
type cancels struct {
	dns.Resolver
	cancel func()
}

func (c cancels) LookupIP(ctx context.Context, network, name string) (dns.Answer[netip.Addr], error) {
	c.cancel()
	return dns.Answer[netip.Addr]{}, ctx.Err()
}

func TestBudget(t *testing.T) {
	m := dns.NewMemo(parse(t, world), dns.Budget{Queries: 1})
	v := iprev.Verify(context.Background(), m, netip.MustParseAddr("192.0.2.1"), iprev.Options{})
	if v.Result != authres.TempError || !strings.Contains(v.Reason, "budget") {
		t.Errorf("got %+v", v)
	}
}

// A raw resolver hands out names as they are.
type raw struct {
	dns.Resolver
	names []string
}

func (r raw) LookupPTR(context.Context, netip.Addr) (dns.Answer[string], error) {
	return dns.Answer[string]{Records: r.names}, nil
}

func FuzzVerify(f *testing.F) {
	f.Add("one.example\ntwo.example", []byte{192, 0, 2, 1})
	f.Add("a\x00b\nONE.Example.", []byte{192, 0, 2, 1})
	f.Add("bücher.example", []byte{0x20, 1, 0xd, 0xb8, 15: 1})
	z := parse(f, world)
	f.Fuzz(func(t *testing.T, names string, addr []byte) {
		ip, _ := netip.AddrFromSlice(addr)
		v := iprev.Verify(context.Background(), raw{z, strings.Split(names, "\n")}, ip, iprev.Options{Explain: true})
		switch v.Result {
		case authres.Pass:
			a, err4 := z.LookupIP(context.Background(), "ip4", v.Name)
			b, err6 := z.LookupIP(context.Background(), "ip6", v.Name)
			if (err4 != nil && err6 != nil) || !strings.Contains(fmt.Sprint(a.Records, b.Records), v.IP.String()) {
				t.Errorf("got %+v", v)
			}
		case authres.Fail, authres.TempError, authres.PermError:
			if v.Reason == "" || v.Name != "" {
				t.Errorf("got %+v", v)
			}
		default:
			t.Errorf("got %+v", v)
		}
		if len(v.Names) > 10 {
			t.Errorf("%d names", len(v.Names))
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	c := dns.NewCache(parse(b, world), dns.CacheOptions{})
	defer c.Close()
	ip := netip.MustParseAddr("192.0.2.1")
	b.ReportAllocs()
	for b.Loop() {
		if v := iprev.Verify(b.Context(), c, ip, iprev.Options{}); v.Result != authres.Pass {
			b.Fatal(errors.New(v.Reason))
		}
	}
}
