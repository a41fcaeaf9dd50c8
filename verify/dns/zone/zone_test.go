package zone

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"assay/verify/dns"
)

func parse(tb testing.TB, text string) *Zone {
	tb.Helper()
	z, err := Parse(strings.NewReader(text), "test.zone")
	if err != nil {
		tb.Fatal(err)
	}
	return z
}

const world = `
$ORIGIN example.
@          TXT    "v=spf1 mx -all"
           MX     20 b
           MX     10 a.example.
a    60    A      192.0.2.1
a          AAAA   2001:db8::1
null       MX     0 .
long       TXT    "one " "two"   ; a comment; with another
           TXT    ( "three"
                    "TIMEOUT" )
raw        TXT    "caf\195\169 \"quoted\" \\ back\;slash"
alias      CNAME  long
dangling   CNAME  nowhere.test.
loop       CNAME  loop2
loop2      CNAME  loop
broken     SERVFAIL
slow       TXT    TIMEOUT           ; only this type
           A      192.0.2.2
Refuse     300 IN MX refused
some       TXT    "text"
           TIMEOUT
tocname    CNAME  timeout
timeout    A      192.0.2.3
quoted     TXT    "SERVFAIL"
behind     5m IN  servfail mx ; the type stands behind
behind     TXT    "x"
a.b.ent    A      192.0.2.4
*.wild     TXT    "wild"
no.wild    A      192.0.2.5
*.bad      TIMEOUT
odd\.name  TXT    "dot"
sp\ ace    TXT    "blank"
$ORIGIN 2.0.192.in-addr.arpa.
1          PTR    a.example.
           PTR    B.Example.
2          PTR    TIMEOUT
3          PTR    timeout.example.
`

func TestLookupTXT(t *testing.T) {
	z := parse(t, world)
	for _, tc := range []struct {
		name string
		want string // records joined by |, or
		err  error
	}{
		{"example", "v=spf1 mx -all", nil},
		{"EXAMPLE.", "v=spf1 mx -all", nil},
		{"long.example", "one two|threeTIMEOUT", nil},
		{"raw.example", "caf\xc3\xa9 \"quoted\" \\ back;slash", nil},
		{"alias.example", "one two|threeTIMEOUT", nil},
		{"dangling.example", "", dns.ErrNXDomain},
		{"loop.example", "", dns.ErrTemporary},
		{"broken.example", "", dns.ErrTemporary},
		{"slow.example", "", dns.ErrTemporary},
		{"some.example", "text", nil},
		{"quoted.example", "SERVFAIL", nil},
		{"behind.example", "x", nil},
		{"ent.example", "", dns.ErrNotFound},
		{"b.ent.example", "", dns.ErrNotFound},
		{"c.ent.example", "", dns.ErrNXDomain},
		{"x.wild.example", "wild", nil},
		{"y.x.wild.example", "wild", nil},
		{"no.wild.example", "", dns.ErrNotFound},
		{"below.no.wild.example", "", dns.ErrNXDomain},
		{"wild.example", "", dns.ErrNotFound},
		{"x.bad.example", "", dns.ErrTemporary},
		{"odd.name.example", "", dns.ErrNXDomain},
		{"sp ace.example", "blank", nil},
		{"test", "", dns.ErrNXDomain},
		{"a..example", "", dns.ErrNXDomain},
		{strings.Repeat("a", 64) + ".example", "", dns.ErrNXDomain},
		{"", "", dns.ErrNXDomain},
	} {
		a, err := z.LookupTXT(context.Background(), tc.name)
		if got := strings.Join(a.Records, "|"); got != tc.want || !errors.Is(err, tc.err) {
			t.Errorf("%q: got %q, %v; want %q, %v", tc.name, got, err, tc.want, tc.err)
		}
		if tc.err == dns.ErrNotFound && errors.Is(err, dns.ErrNXDomain) {
			t.Errorf("%q: NXDOMAIN for a name that exists", tc.name)
		}
		if errors.Is(err, dns.ErrTemporary) && errors.Is(err, dns.ErrNotFound) {
			t.Errorf("%q: %v is of both classes", tc.name, err)
		}
	}
}

func TestOtherTypes(t *testing.T) {
	z, ctx := parse(t, world), context.Background()
	mx, err := z.LookupMX(ctx, "example")
	if err != nil || len(mx.Records) != 2 || mx.Records[0] != (dns.MX{Host: "a.example", Preference: 10}) {
		t.Errorf("MX: %v, %v", mx, err)
	}
	if mx.TTL != DefaultTTL*time.Second {
		t.Errorf("MX: TTL %v", mx.TTL)
	}
	null, err := z.LookupMX(ctx, "null.example")
	if err != nil || len(null.Records) != 1 || null.Records[0].Host != "" {
		t.Errorf("null MX: %v, %v", null, err)
	}
	ip4, err := z.LookupIP(ctx, "ip4", "a.example")
	if err != nil || len(ip4.Records) != 1 || ip4.Records[0] != netip.MustParseAddr("192.0.2.1") || ip4.TTL != time.Minute {
		t.Errorf("A: %v, %v", ip4, err)
	}
	ip6, err := z.LookupIP(ctx, "ip6", "a.example")
	if err != nil || len(ip6.Records) != 1 || ip6.Records[0] != netip.MustParseAddr("2001:db8::1") {
		t.Errorf("AAAA: %v, %v", ip6, err)
	}
	if a, err := z.LookupIP(ctx, "ip4", "tocname.example"); err != nil || a.Records[0] != netip.MustParseAddr("192.0.2.3") {
		t.Errorf("a CNAME to timeout: %v, %v", a, err)
	}
	if _, err := z.LookupIP(ctx, "ip", "a.example"); !errors.Is(err, dns.ErrTemporary) {
		t.Errorf("unknown network: %v", err)
	}
	if a, err := z.LookupIP(ctx, "ip4", "slow.example"); err != nil || len(a.Records) != 1 {
		t.Errorf("a type beside the one that fails: %v, %v", a, err)
	}
	for _, name := range []string{"some.example", "refuse.example", "behind.example"} {
		if _, err := z.LookupMX(ctx, name); !errors.Is(err, dns.ErrTemporary) {
			t.Errorf("MX of %s: %v", name, err)
		}
	}
	ptr, err := z.LookupPTR(ctx, netip.MustParseAddr("::ffff:192.0.2.1"))
	if err != nil || strings.Join(ptr.Records, " ") != "a.example b.example" {
		t.Errorf("PTR: %v, %v", ptr, err)
	}
	if _, err := z.LookupPTR(ctx, netip.MustParseAddr("192.0.2.2")); !errors.Is(err, dns.ErrTemporary) {
		t.Errorf("PTR TIMEOUT: %v", err)
	}
	if p, err := z.LookupPTR(ctx, netip.MustParseAddr("192.0.2.3")); err != nil || p.Records[0] != "timeout.example" {
		t.Errorf("PTR to timeout: %v, %v", p, err)
	}
}

func TestContextEndsFirst(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := parse(t, world).LookupTXT(ctx, "slow.example"); err != context.Canceled {
		t.Errorf("got %v, want the context's error itself", err)
	}
}

func TestNegativeTTL(t *testing.T) {
	z := parse(t, "example. 900 SOA ns.example. root.example. 1 2 3 4 60\na.example. A 192.0.2.1\na.test. A 192.0.2.1\n")
	for name, want := range map[string]time.Duration{"none.example": time.Minute, "none.test": NegativeTTL * time.Second} {
		_, err := z.LookupTXT(context.Background(), name)
		var f *dns.Failure
		if !errors.As(err, &f) || f.TTL != want || f.Name != name || f.Type != "TXT" {
			t.Errorf("%s: %#v, want TTL %v", name, f, want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"a.example. TXT \"x\"\nb.example. BOGUS x\n", `test.zone:2:17: not a TTL: "BOGUS"`},
		{"a.example. A 192.0.2\n", `test.zone:1:20: bad A A: "192.0.2"`},
		{"a.example. TIMEOUT\nb.example. MX x\n", `test.zone:2:15: bad MX Pref: "x"`},
		{"  TXT \"no owner before\"\n", `test.zone: bad owner name ""`},
		{"$INCLUDE /etc/passwd\n", `test.zone:1:20: $INCLUDE directive not allowed: "/etc/passwd"`},
		{"a.example. CH TXT \"x\"\n", `test.zone: a.example. is of class CH, not IN`},
		{"a.example. TYPE65281 \\# 1 00\n", `test.zone: a.example.: type 65281 is for this package's own use`},
		{"a.example. TXT \"x\n", `test.zone:1: a quoted string or parenthesis that begins here has no end`},
		{"a.example. A 192.0.2.1\nb.example. TXT (\n\"x\"\n", `test.zone:2: a quoted string or parenthesis`},
	} {
		_, err := Parse(strings.NewReader(tc.text), "test.zone")
		if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("%q:\n got %v\nwant %s", tc.text, err, tc.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(world, "alias.example")
	f.Add(" A ", "0") // a record without an owner
	f.Add("$GENERATE 1-10 h$ A 192.0.2.$\n@ SERVFAIL\n", "h1")
	f.Add("$ORIGIN \\000.\n* TXT (\n TIMEOUT )\n", "x.\x00")
	f.Fuzz(func(t *testing.T, text, name string) {
		if len(text) > 1<<16 {
			return
		}
		z, err := Parse(strings.NewReader(text), "fuzz")
		if err != nil {
			return
		}
		_, err = z.LookupTXT(context.Background(), name)
		if err != nil && errors.Is(err, dns.ErrTemporary) == errors.Is(err, dns.ErrNotFound) {
			t.Errorf("%v is not of exactly one class", err)
		}
	})
}
