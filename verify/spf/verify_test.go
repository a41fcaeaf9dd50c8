package spf

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"assay/verify/authres"
	"assay/verify/dns"
)

// A check is one evaluation and what it must come to. Empty expectations are not compared, except Explanation.
type check struct {
	name     string
	zone     []string // lines of newZone
	in       Input    // IP defaults to 192.0.2.1, Helo to mail.example.org, MailFrom to user@example.com
	null     bool     // the null reverse-path
	opt      Options
	want     authres.Result
	sender   string
	at       string // "mechanism" of "domain": `-all of example.com`
	reason   string // a part of it
	explain  string
	lookups  int
	voids    int
	asked    []string
	unlisted bool // asked is compared even when empty
}

func (c check) run(t *testing.T) {
	t.Helper()
	if !c.in.IP.IsValid() {
		c.in.IP = netip.MustParseAddr("192.0.2.1")
	}
	if c.in.Helo == "" {
		c.in.Helo = "mail.example.org"
	}
	if c.in.MailFrom == "" && !c.null {
		c.in.MailFrom = "user@example.com"
	}
	c.opt.Explain = true
	z := newZone(c.zone...)
	v := Verify(t.Context(), z, c.in, c.opt)
	steps := strings.Join(v.Steps, "\n")
	if v.Result != c.want {
		t.Errorf("result %q, want %q; reason %q\n%s", v.Result, c.want, v.Reason, steps)
	}
	if c.sender != "" && v.Sender != c.sender {
		t.Errorf("sender %q, want %q", v.Sender, c.sender)
	}
	if at := v.Mechanism + " of " + v.RecordAt; c.at != "" && at != c.at {
		t.Errorf("matched %q, want %q", at, c.at)
	}
	if !strings.Contains(v.Reason, c.reason) {
		t.Errorf("reason %q, want %q in it", v.Reason, c.reason)
	}
	if v.Explanation != c.explain {
		t.Errorf("explanation %q, want %q\n%s", v.Explanation, c.explain, steps)
	}
	if c.lookups != 0 && v.Lookups != c.lookups {
		t.Errorf("%d lookups, want %d\n%s", v.Lookups, c.lookups, steps)
	}
	if c.voids != 0 && v.Voids != c.voids {
		t.Errorf("%d voids, want %d\n%s", v.Voids, c.voids, steps)
	}
	if (c.unlisted || c.asked != nil) && !reflect.DeepEqual(z.asked, c.asked) {
		t.Errorf("asked %q, want %q", z.asked, c.asked)
	}
	if v.Queries != len(z.asked) {
		t.Errorf("%d queries are reported, %d were made", v.Queries, len(z.asked))
	}
}

func runChecks(t *testing.T, checks []check) {
	t.Helper()
	for _, c := range checks {
		t.Run(c.name, c.run)
	}
}

var v6 = netip.MustParseAddr("2001:db8::1")

// RFC 7208 Sections 2.3, 2.4 and 4.3.
func TestIdentities(t *testing.T) {
	record := []string{"example.com TXT v=spf1 -all", "mail.example.org TXT v=spf1 +all", "xn--mnchen-3ya.example TXT v=spf1 -all"}
	long := strings.Repeat("x", 2000)
	runChecks(t, []check{
		{name: "MAIL FROM", zone: record, want: authres.Fail, sender: "user@example.com", at: "-all of example.com"},
		{name: "HELO", zone: record, in: Input{Identity: Helo}, want: authres.Pass, sender: "postmaster@mail.example.org",
			at: "+all of mail.example.org"},
		{name: "null reverse-path", zone: record, null: true, want: authres.Pass, sender: "postmaster@mail.example.org"},
		{name: "no local-part", zone: record, in: Input{MailFrom: "@example.com"}, want: authres.Fail, sender: "postmaster@example.com"},
		{name: "quoted local-part", zone: record, in: Input{MailFrom: `"a@b"@example.com`}, want: authres.Fail,
			sender: `"a@b"@example.com`, asked: []string{"TXT example.com"}},
		{name: "upper case and final dot", zone: record, in: Input{MailFrom: "User@EXAMPLE.Com."}, want: authres.Fail, sender: "User@example.com"},
		{name: "U-labels", zone: record, in: Input{MailFrom: "user@MÜNCHEN.example"}, want: authres.Fail,
			sender: "user@xn--mnchen-3ya.example"},
		{name: "no domain", in: Input{MailFrom: "user"}, want: authres.None, sender: "user", reason: "empty", unlisted: true},
		{name: "address literal", in: Input{MailFrom: "user@[192.0.2.1]"}, want: authres.None, unlisted: true},
		{name: "HELO is an address literal", in: Input{Helo: "[192.0.2.1]"}, null: true, want: authres.None, unlisted: true},
		{name: "HELO is an IPv6 literal", in: Input{Helo: "[IPv6:2001:db8::1]", Identity: Helo}, want: authres.None, unlisted: true},
		{name: "HELO is an address", in: Input{Helo: "192.0.2.1", Identity: Helo}, want: authres.None, unlisted: true},
		{name: "HELO is one label", in: Input{Helo: "localhost", Identity: Helo}, want: authres.None, unlisted: true},
		{name: "HELO is one label with a dot", in: Input{Helo: "localhost.", Identity: Helo}, want: authres.None, unlisted: true},
		{name: "HELO holds a space", in: Input{Helo: "mail example.org", Identity: Helo}, want: authres.None, unlisted: true},
		{name: "HELO is too long", in: Input{Helo: long + ".example.org", Identity: Helo}, want: authres.None, unlisted: true},
		{name: "local-part is too long", in: Input{MailFrom: long + "@example.com"}, want: authres.None, unlisted: true},
		{name: "label is too long", in: Input{MailFrom: "user@" + strings.Repeat("x", 64) + ".com"}, want: authres.None, unlisted: true},
		{name: "name is too long", in: Input{MailFrom: "user@" + strings.Repeat("x.", 126) + "com"}, want: authres.None, unlisted: true},
		{name: "empty label", in: Input{MailFrom: "user@example..com"}, want: authres.None, unlisted: true},
	})
}

// TestEmptyHelo is not in the table above, which has a default for HELO.
func TestEmptyHelo(t *testing.T) {
	z := newZone()
	v := Verify(t.Context(), z, Input{IP: v6}, Options{})
	if v.Result != authres.None || len(z.asked) != 0 || v.Identity != MailFrom {
		t.Errorf("got %+v and questions %q", v, z.asked)
	}
}

// The client's address may be unknown, IPv4-mapped or zoned.
func TestClientAddress(t *testing.T) {
	z := newZone("example.com TXT v=spf1 ip6:::ffff:192.0.2.1 ip6:::/0 -ip4:192.0.2.1 ?all")
	for ip, want := range map[string]authres.Result{
		"192.0.2.1": authres.Fail, "::ffff:192.0.2.1": authres.Fail, "fe80::1%eth0": authres.Pass, "192.0.2.2": authres.Neutral,
	} {
		v := Verify(t.Context(), z, Input{IP: netip.MustParseAddr(ip), MailFrom: "user@example.com"}, Options{})
		if v.Result != want {
			t.Errorf("%s: %s, want %s", ip, v.Result, want)
		}
	}
	v := Verify(t.Context(), z, Input{MailFrom: "user@example.com"}, Options{})
	if v.Result != authres.TempError || v.Reason == "" {
		t.Errorf("without an address: %+v", v)
	}
}

// RFC 7208 Sections 4.4 and 4.5.
func TestRecordSelection(t *testing.T) {
	runChecks(t, []check{
		{name: "no such domain", want: authres.None, reason: "no SPF record"},
		{name: "no TXT", zone: []string{"example.com A 192.0.2.1"}, want: authres.None},
		{name: "other TXT only", zone: []string{"example.com TXT v=spf10 -all", "example.com TXT v=spf1-all",
			"example.com TXT  v=spf1 -all", "example.com TXT v=spf1\t-all", "example.com TXT spf2.0/pra -all"}, want: authres.None},
		{name: "among others", zone: []string{"example.com TXT \xff", "example.com TXT V=SPF1 -ALL"}, want: authres.Fail, at: "-ALL of example.com"},
		{name: "two", zone: []string{"example.com TXT v=spf1 -all", "example.com TXT v=spf1"}, want: authres.PermError,
			reason: "publishes 2 SPF records"},
		{name: "empty", zone: []string{"example.com TXT v=spf1"}, want: authres.Neutral, reason: "no directive of example.com matches"},
		{name: "timeout", zone: []string{"example.com TIMEOUT"}, want: authres.TempError, reason: "timeout"},
		{name: "long", zone: []string{"example.com TXT v=spf1 " + strings.Repeat("ip4:198.51.100.1 ", 800) + "-all"}, want: authres.Fail},
		{name: "too long", zone: []string{"example.com TXT v=spf1 " + strings.Repeat("ip4:198.51.100.1 ", 1000) + "-all"},
			want: authres.PermError, reason: "longer than 16384 octets"},
	})
}

// RFC 7208 Sections 5.2 and 6.1.
func TestIncludeAndRedirect(t *testing.T) {
	z := func(main string, more ...string) []string {
		return append([]string{"example.com TXT v=spf1 " + main}, more...)
	}
	const pass, fail, soft = "b.example TXT v=spf1 ip4:192.0.2.0/24", "b.example TXT v=spf1 -all exp=why.example", "b.example TXT v=spf1 ~all"
	runChecks(t, []check{
		{name: "include passes", zone: z("include:b.example -all", pass), want: authres.Pass, at: "ip4:192.0.2.0/24 of b.example", lookups: 1},
		{name: "fail by include", zone: z("-include:b.example ?all", pass), want: authres.Fail, at: "-include:b.example of example.com"},
		{name: "include fails", zone: z("include:b.example ~all", fail), want: authres.SoftFail, at: "~all of example.com"},
		{name: "include is softfail", zone: z("include:b.example", soft), want: authres.Neutral},
		{name: "include of none", zone: z("include:b.example -all"), want: authres.PermError, reason: `"include:b.example" of example.com: b.example publishes no SPF record`},
		{name: "include of a bad name", zone: z("include:b..example -all"), want: authres.PermError, reason: "is not a domain name"},
		{name: "include times out", zone: z("include:b.example -all", "b.example TIMEOUT"), want: authres.TempError},
		{name: "include is invalid", zone: z("include:b.example -all", "b.example TXT v=spf1 nonsense"), want: authres.PermError,
			reason: `the SPF record of b.example is invalid: term "nonsense": mechanism is unknown`},
		{name: "include in include", zone: z("include:a.example -all", "a.example TXT v=spf1 include:b.example", pass), want: authres.Pass,
			at: "ip4:192.0.2.0/24 of b.example", lookups: 2},
		{name: "redirect", zone: z("redirect=B.Example.", pass), want: authres.Pass, at: "ip4:192.0.2.0/24 of b.example", lookups: 1,
			asked: []string{"TXT example.com", "TXT b.example"}},
		{name: "redirect comes last", zone: z("redirect=b.example ip4:192.0.2.1", fail), want: authres.Pass, at: "ip4:192.0.2.1 of example.com"},
		{name: "redirect is ignored beside all", zone: z("redirect=b.example ?all", fail), want: authres.Neutral, asked: []string{"TXT example.com"}},
		{name: "redirect to none", zone: z("redirect=b.example"), want: authres.PermError, reason: "redirect of example.com"},
		{name: "redirect to a bad name", zone: z("redirect=%{h}"), in: Input{Helo: "localhost"}, want: authres.PermError, reason: `"localhost" is not a domain name`},
		{name: "redirect in an included record", zone: z("include:a.example", "a.example TXT v=spf1 redirect=b.example", pass), want: authres.Pass,
			at: "ip4:192.0.2.0/24 of b.example"},
		{name: "redirect changes the domain", zone: z("redirect=b.example", "b.example TXT v=spf1 a", "b.example A 192.0.2.1"), want: authres.Pass},
		{name: "explanation of the redirect target", zone: z("redirect=b.example exp=no.example", fail, "why.example TXT see %{d} for %{o}"),
			want: authres.Fail, explain: "see b.example for example.com"},
		{name: "no explanation of an include", zone: z("include:b.example -all", fail, "why.example TXT no"), want: authres.Fail},
	})
}

// RFC 7208 Sections 5.3 to 5.7.
func TestMechanisms(t *testing.T) {
	z := func(main string, more ...string) []string {
		return append([]string{"example.com TXT v=spf1 " + main}, more...)
	}
	mx := []string{"example.com MX 10 m1.example", "example.com MX 20 m2.example", "m2.example A 192.0.2.1", "m2.example AAAA 2001:db8::1"}
	runChecks(t, []check{
		{name: "a", zone: z("a", "example.com A 192.0.2.1"), want: authres.Pass, asked: []string{"TXT example.com", "A example.com"}},
		{name: "a for IPv6 asks AAAA only", zone: z("a", "example.com AAAA 2001:db8::1"), in: Input{IP: v6}, want: authres.Pass,
			asked: []string{"TXT example.com", "AAAA example.com"}},
		{name: "a with prefix", zone: z("a:b.example/24//96", "b.example A 192.0.2.200"), want: authres.Pass, at: "a:b.example/24//96 of example.com"},
		{name: "a with IPv6 prefix", zone: z("a:b.example/24//96", "b.example AAAA 2001:db8::ffff:0"), in: Input{IP: v6}, want: authres.Pass},
		{name: "a just outside", zone: z("a/31", "example.com A 192.0.2.2"), want: authres.Neutral},
		{name: "a times out", zone: z("a -all", "example.com A TIMEOUT"), want: authres.TempError, reason: "example.com A: timeout"},
		{name: "a of a name that cannot be", zone: z("a:b..example -all"), want: authres.Fail, asked: []string{"TXT example.com"}},
		{name: "mx", zone: z("mx -all", mx...), want: authres.Pass, lookups: 1},
		{name: "mx for IPv6", zone: z("mx -all", mx...), in: Input{IP: v6}, want: authres.Pass},
		{name: "mx stops at the match", zone: z("mx -all", "example.com MX 1 m.example", "example.com MX 2 n.example", "m.example A 192.0.2.1", "n.example TIMEOUT"),
			want: authres.Pass},
		{name: "mx host times out", zone: z("mx -all", "example.com MX 1 m.example", "m.example TIMEOUT"), want: authres.TempError},
		{name: "mx is implicit", zone: z("mx -all", "example.com A 192.0.2.1"), want: authres.Fail, voids: 1},
		{name: "null mx", zone: z("mx -all", "example.com MX 0 ."), want: authres.Fail, asked: []string{"TXT example.com", "MX example.com"}},
		{name: "exists asks A for IPv6", zone: z("exists:%{i}.b.example -all"), in: Input{IP: v6}, want: authres.Fail, voids: 1,
			asked: []string{"TXT example.com", "A 2.0.0.1.0.d.b.8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.b.example"}},
		{name: "exists", zone: z("exists:%{ir}.%{v}.%{l}.b.example", "1.2.0.192.in-addr.user.b.example A 127.0.0.2"), want: authres.Pass},
		{name: "ip4", zone: z("ip4:192.0.2.0/24"), want: authres.Pass, asked: []string{"TXT example.com"}},
		{name: "ip6", zone: z("ip6:2001:DB8::/32"), in: Input{IP: v6}, want: authres.Pass},
		{name: "ip4 for IPv6", zone: z("ip4:0.0.0.0/0"), in: Input{IP: v6}, want: authres.Neutral},
	})
}

// RFC 7208 Section 5.5: the owner of the address must not be able to make an error out of it.
func TestPTR(t *testing.T) {
	z := func(more ...string) []string { return append([]string{"example.com TXT v=spf1 ptr -all"}, more...) }
	const rev = "1.2.0.192.in-addr.arpa "
	var many []string
	for i := range 11 {
		many = append(many, fmt.Sprintf("%sPTR m%d.example.com.", rev, i))
	}
	many = append(many, "m10.example.com A 192.0.2.1")
	runChecks(t, []check{
		{name: "subdomain", zone: z(rev+"PTR Mail.Example.COM.", "mail.example.com A 192.0.2.1"), want: authres.Pass, lookups: 1},
		{name: "same", zone: z(rev+"PTR example.com", "example.com A 192.0.2.1"), want: authres.Pass},
		{name: "not at a label", zone: z(rev+"PTR badexample.com", "badexample.com A 192.0.2.1"), want: authres.Fail,
			asked: []string{"TXT example.com", "PTR 1.2.0.192.in-addr.arpa"}},
		{name: "not validated", zone: z(rev+"PTR a.example.com", "a.example.com A 192.0.2.2"), want: authres.Fail},
		{name: "no name", zone: z(), want: authres.Fail, voids: 1},
		{name: "reverse lookup fails", zone: z(rev + "TIMEOUT"), want: authres.Fail},
		{name: "one name fails", zone: z(rev+"PTR a.example.com", "a.example.com TIMEOUT", rev+"PTR b.example.com", "b.example.com A 192.0.2.1"), want: authres.Pass},
		{name: "names of nothing are not void", zone: z(rev+"PTR a.example.com", rev+"PTR b.example.com", rev+"PTR c.example.com"), want: authres.Fail},
		{name: "only ten names", zone: z(many...), want: authres.Fail},
		{name: "IPv6", zone: z("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR a.example.com", "a.example.com AAAA 2001:db8::1"),
			in: Input{IP: v6}, want: authres.Pass},
		{name: "target", zone: []string{"example.com TXT v=spf1 ptr:b.example -all", rev + "PTR a.b.example", "a.b.example A 192.0.2.1"}, want: authres.Pass},
	})
}

// RFC 7208 Section 4.6.4.
func TestLimits(t *testing.T) {
	z := func(main string, more ...string) []string {
		return append([]string{"example.com TXT v=spf1 " + main}, more...)
	}
	var mx10, mx11, mxVoid []string
	for i := range 11 {
		mx11 = append(mx11, fmt.Sprintf("example.com MX %d m%d.example", i, i), fmt.Sprintf("m%d.example A 192.0.2.%d", i, 11-i))
		mxVoid = append(mxVoid, fmt.Sprintf("v%d.example MX 0 h.v%d.example", i, i), fmt.Sprintf("v%d.example MX 1 i.v%d.example", i, i))
		if i == 9 {
			mx10 = append([]string{"m9.example A 192.0.2.1"}, mx11...)
		}
	}
	a := func(n int) string { return strings.Repeat("a ", n) }
	const addr = "example.com A 198.51.100.1"
	runChecks(t, []check{
		{name: "ten lookups", zone: z(a(10)+"-all", addr), want: authres.Fail, lookups: 10},
		{name: "eleven lookups", zone: z(a(11)+"-all", addr), want: authres.PermError, lookups: 10, reason: "more than 10 terms"},
		{name: "the eleventh is a redirect", zone: z(a(10)+"redirect=b.example", addr, "b.example TXT v=spf1 -all"), want: authres.PermError},
		{name: "ip4, ip6, all and exp are free", zone: z(strings.Repeat("ip4:198.51.100.1 ip6:2001:db8::2 ", 20)+a(10)+"-all exp=why.example", addr, "why.example TXT because"),
			want: authres.Fail, explain: "because"},
		{name: "all lookups of includes count", zone: z("include:b.example include:b.example -all", "b.example TXT v=spf1 "+strings.ReplaceAll(a(4), "a", "a:example.com"), addr),
			want: authres.Fail, lookups: 10},
		{name: "include loop", zone: z("include:example.com -all"), want: authres.PermError, lookups: 10},
		{name: "redirect loop", zone: z("redirect=example.com"), want: authres.PermError, lookups: 10},
		{name: "a match before the limit", zone: z(a(10)+"ip4:192.0.2.1 a -all", addr), want: authres.Pass},
		{name: "p counts once", zone: z(strings.Repeat("exists:%{p}.%{p}.b.example ", 5)+"-all", "unknown.unknown.b.example TIMEOUT"), want: authres.TempError, lookups: 2},
		{name: "p is the eleventh", zone: z(a(9)+"exists:%{p}.b.example -all", addr), want: authres.PermError, reason: "more than 10 terms"},
		{name: "p of an include is the eleventh", zone: z(a(9)+"include:%{p}.b.example -all", addr), want: authres.PermError, reason: "more than 10 terms"},
		{name: "p of a redirect is the eleventh", zone: z(a(9)+"redirect=%{p}.b.example", addr), want: authres.PermError, reason: "more than 10 terms"},
		{name: "two voids", zone: z("a:x.example a:y.example -all"), want: authres.Fail, voids: 2},
		{name: "three voids", zone: z("a:x.example mx:y.example exists:z.example -all"), want: authres.PermError, reason: "more than 2 terms"},
		{name: "empty answers are void", zone: z("a mx exists:b.example -all", "b.example TXT x"), want: authres.PermError},
		{name: "voids of includes count", zone: z("include:b.example a:y.example a:z.example -all", "b.example TXT v=spf1 a:x.example"), want: authres.PermError},
		{name: "an mx is void once", zone: z("mx:v1.example mx:v2.example -all", mxVoid...), want: authres.Fail, voids: 2},
		{name: "three mx are void", zone: z("mx:v1.example mx:v2.example mx:v3.example -all", mxVoid...), want: authres.PermError},
		{name: "exp is not void", zone: z("a:x.example a:y.example -all exp=z.example"), want: authres.Fail, voids: 2},
		{name: "voids allowed", zone: z("a:w.example a:x.example a:y.example -all"), opt: Options{MaxVoids: 3}, want: authres.Fail, voids: 3},
		{name: "no void allowed", zone: z("a:x.example -all"), opt: Options{MaxVoids: -1}, want: authres.PermError},
		{name: "ten mx", zone: z("mx -all", mx10...), want: authres.Pass},
		{name: "eleven mx", zone: z("mx -all", mx11...), want: authres.PermError, reason: "at most 10"},
		{name: "queries", zone: z(strings.Repeat("mx ", 9)+"-all", mx10...), in: Input{IP: netip.MustParseAddr("203.0.113.1")}, want: authres.TempError,
			reason: "more than 40 DNS queries"},
		{name: "queries before ptr", zone: z("ptr -all"), opt: Options{MaxQueries: 1}, want: authres.TempError, reason: "more than 1 DNS queries"},
		{name: "queries within ptr", zone: z("ptr -all", "1.2.0.192.in-addr.arpa PTR a.example.com"), opt: Options{MaxQueries: 2}, want: authres.TempError},
		{name: "queries before p", zone: z("exists:%{p}.b.example -all"), opt: Options{MaxQueries: 1}, want: authres.TempError},
	})
}

// RFC 7208 Section 6.2.
func TestExplanation(t *testing.T) {
	z := func(text string) []string {
		return []string{"example.com TXT v=spf1 -all exp=why.%{d}", "why.example.com TXT " + text}
	}
	at := time.Unix(1700000000, 0)
	runChecks(t, []check{
		{name: "every letter", zone: z("%{s} %{l} %{o} %{d} %{i} %{p} %{v} %{h} %{c} %{r} %{t}"), want: authres.Fail, opt: Options{At: at, Receiver: "mx.example.org"},
			explain: "user@example.com user example.com example.com 192.0.2.1 unknown in-addr mail.example.org 192.0.2.1 mx.example.org 1700000000"},
		{name: "IPv6", zone: z("%{c} %{v}"), in: Input{IP: v6}, want: authres.Fail, explain: "2001:db8::1 ip6"},
		{name: "no receiver", zone: z("%{r}"), want: authres.Fail, explain: "unknown"},
		{name: "escapes and spaces", zone: z(" 100%%  off%_%- "), want: authres.Fail, explain: " 100%  off %20 "},
		{name: "null reverse-path", zone: []string{"mail.example.org TXT v=spf1 -all exp=mail.example.com", "mail.example.com TXT %{s} %{h}"}, null: true,
			want: authres.Fail, explain: "postmaster@mail.example.org mail.example.org"},
		{name: "syntax error", zone: z("50% off"), want: authres.Fail},
		{name: "control character", zone: z("a\r\nb"), want: authres.Fail},
		{name: "8 bit", zone: z("f\xfcr"), want: authres.Fail},
		{name: "8 bit from the sender", zone: z("%{l}"), in: Input{MailFrom: "ü@example.com"}, want: authres.Fail},
		{name: "8 bit from the sender, escaped", zone: z("%{L}"), in: Input{MailFrom: "ü@example.com"}, want: authres.Fail, explain: "%C3%BC"},
		{name: "control character from HELO", zone: z("%{h}"), in: Input{Helo: "a\r\nb"}, want: authres.Fail},
		{name: "longest", zone: z(strings.Repeat("x", 1024)), want: authres.Fail, explain: strings.Repeat("x", 1024)},
		{name: "too long", zone: z(strings.Repeat("x", 1025)), want: authres.Fail},
		{name: "too long after expansion", zone: z(strings.Repeat("%{s}", 200)), want: authres.Fail},
		{name: "two records", zone: append(z("one"), "why.example.com TXT two"), want: authres.Fail},
		{name: "no record", zone: z("one")[:1], want: authres.Fail},
		{name: "timeout", zone: []string{"example.com TXT v=spf1 -all exp=why.example.com", "why.example.com TIMEOUT"}, want: authres.Fail},
		{name: "name that cannot be", zone: []string{"example.com TXT v=spf1 -all exp=%{h}"}, in: Input{Helo: "x"}, want: authres.Fail, asked: []string{"TXT example.com"}},
		{name: "not for softfail", zone: []string{"example.com TXT v=spf1 ~all exp=why.example.com"}, want: authres.SoftFail, asked: []string{"TXT example.com"}},
		{name: "not wanted", zone: z("one"), opt: Options{NoExplanation: true}, want: authres.Fail, asked: []string{"TXT example.com"}},
		{name: "p after ten lookups", zone: []string{"example.com TXT v=spf1 " + strings.Repeat("a ", 10) + "-all exp=%{p}.example", "example.com A 198.51.100.1",
			"unknown.example TXT it"}, want: authres.Fail, explain: "it", lookups: 10},
		{name: "budget is used up by p", zone: []string{"example.com TXT v=spf1 -all exp=%{p}.example"}, opt: Options{MaxQueries: 1}, want: authres.Fail},
		{name: "p does not count", zone: []string{"example.com TXT v=spf1 -all exp=%{p}.example", "unknown.example TXT %{p}"}, want: authres.Fail,
			explain: "unknown", asked: []string{"TXT example.com", "PTR 1.2.0.192.in-addr.arpa", "TXT unknown.example"}},
		{name: "budget is used up", zone: z("one"), opt: Options{MaxQueries: 1}, want: authres.Fail, asked: []string{"TXT example.com"}},
	})
}

// A failure of the DNS is never blamed on the domain, however the resolver words it.
func TestTemporaryErrors(t *testing.T) {
	for name, err := range map[string]error{
		"temporary": dns.ErrTemporary, "wrapped": fmt.Errorf("SERVFAIL: %w", dns.ErrTemporary), "budget": dns.ErrBudget,
		"deadline": context.DeadlineExceeded, "canceled": fmt.Errorf("x: %w", context.Canceled), "unclassified": errors.New("x"),
	} {
		t.Run(name, func(t *testing.T) {
			v := Verify(t.Context(), refuser{err}, Input{IP: v6, MailFrom: "user@example.com"}, Options{})
			if v.Result != authres.TempError || v.Reason == "" {
				t.Errorf("got %s: %s", v.Result, v.Reason)
			}
		})
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	z := newZone("example.com TXT v=spf1 +all")
	v := Verify(ctx, z, Input{IP: v6, MailFrom: "user@example.com"}, Options{})
	if v.Result != authres.TempError || v.Reason != "the evaluation was cancelled" || len(z.asked) != 0 {
		t.Errorf("got %+v after questions %q", v, z.asked)
	}
}

// slow answers after a delay, or when the context ends.
type slow struct {
	*zone
	delay time.Duration
}

func (s slow) wait(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(s.delay):
	}
}

func (s slow) LookupTXT(ctx context.Context, name string) (dns.Answer[string], error) {
	s.wait(ctx)
	return s.zone.LookupTXT(ctx, name)
}

func (s slow) LookupPTR(ctx context.Context, ip netip.Addr) (dns.Answer[string], error) {
	s.wait(ctx)
	return s.zone.LookupPTR(ctx, ip)
}

// RFC 7208 Section 4.6.4: when time is over the result is temperror, also in a ptr mechanism, whose other errors do not
// count, and never later than the limit.
func TestTimeout(t *testing.T) {
	for _, c := range []struct {
		record string
		delay  time.Duration
		want   authres.Result
	}{
		{"v=spf1 -all", 19 * time.Second, authres.Fail},
		{"v=spf1 -all", 21 * time.Second, authres.TempError},
		{"v=spf1 ptr -all", 11 * time.Second, authres.TempError},
		{"v=spf1 exists:%{p}.example -all", 11 * time.Second, authres.TempError},
		{"v=spf1 -all exp=example.com", 11 * time.Second, authres.Fail},
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			z := slow{newZone("example.com TXT "+c.record, "1.2.0.192.in-addr.arpa PTR a.example.com", "a.example.com TIMEOUT"), c.delay}
			v := Verify(t.Context(), z, Input{IP: netip.MustParseAddr("192.0.2.1"), MailFrom: "user@example.com"}, Options{})
			if v.Result != c.want || v.Explanation != "" {
				t.Errorf("%s, answered in %v: %s (%s), want %s", c.record, c.delay, v.Result, v.Reason, c.want)
			}
			if d := time.Since(start); d > 20*time.Second {
				t.Errorf("%s took %v", c.record, d)
			}
		})
	}
}

// TestSteps shows what a reader of the steps gets to see.
func TestSteps(t *testing.T) {
	z := newZone("example.com TXT v=spf1 a:b.example include:c.example ~all", "b.example A 198.51.100.1", "c.example TXT v=spf1 exists:%{l}.d.example")
	v := Verify(t.Context(), z, Input{IP: netip.MustParseAddr("192.0.2.1"), MailFrom: "\"x y\"@example.com"}, Options{Explain: true})
	want := []string{
		`example.com TXT: 1 records`,
		`example.com publishes "v=spf1 a:b.example include:c.example ~all"`,
		`b.example A: 1 records`,
		`"a:b.example" of example.com does not match`,
		`c.example TXT: 1 records`,
		`c.example publishes "v=spf1 exists:%{l}.d.example"`,
		`"\"x y\".d.example" A: no such record`,
		`"exists:%{l}.d.example" of c.example does not match`,
		`"include:c.example" of example.com does not match`,
		`"~all" of example.com matches: softfail`,
		`result is softfail`,
	}
	if !reflect.DeepEqual(v.Steps, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(v.Steps, "\n"), strings.Join(want, "\n"))
	}
	if v := Verify(t.Context(), z, Input{IP: v6, MailFrom: "x@example.com"}, Options{}); v.Steps != nil {
		t.Errorf("steps without being asked: %q", v.Steps)
	}
	big := newZone("example.com TXT v=spf1 " + strings.Repeat("ip4:1.2.3.4 ", 1000))
	if v := Verify(t.Context(), big, Input{IP: v6, MailFrom: "x@example.com"}, Options{Explain: true}); len(v.Steps) != maxSteps+1 {
		t.Errorf("%d steps", len(v.Steps))
	}
}

// warm answers from answers that were made before.
type warm struct {
	dns.Resolver
	texts map[string]dns.Answer[string]
	addrs map[string]dns.Answer[netip.Addr]
	mxs   map[string]dns.Answer[dns.MX]
}

func (w warm) LookupTXT(_ context.Context, name string) (dns.Answer[string], error) {
	return w.texts[name], nil
}

func (w warm) LookupIP(_ context.Context, _, name string) (dns.Answer[netip.Addr], error) {
	return w.addrs[name], nil
}

func (w warm) LookupMX(_ context.Context, name string) (dns.Answer[dns.MX], error) {
	return w.mxs[name], nil
}

// BenchmarkVerify evaluates what a domain with its own servers and two senders of bulk mail publishes. The client is in
// the last network of the last include.
func BenchmarkVerify(b *testing.B) {
	text := func(s ...string) dns.Answer[string] { return dns.Answer[string]{Records: s} }
	networks := strings.Repeat("ip4:198.51.100.0/24 ip6:2001:db8:4000::/36 ", 8)
	w := warm{
		texts: map[string]dns.Answer[string]{
			"example.com":             text("site-verification=0123456789abcdef", "v=spf1 a mx include:_spf.example.net include:_spf.example.org ~all"),
			"_spf.example.net":        text("v=spf1 include:_netblocks.example.net include:_netblocks2.example.net ~all"),
			"_netblocks.example.net":  text("v=spf1 " + networks + "~all"),
			"_netblocks2.example.net": text("v=spf1 " + networks + "~all"),
			"_spf.example.org":        text("v=spf1 " + networks + "ip4:192.0.2.0/24 -all"),
		},
		addrs: map[string]dns.Answer[netip.Addr]{
			"example.com":      {Records: []netip.Addr{netip.MustParseAddr("203.0.113.1")}},
			"mail.example.com": {Records: []netip.Addr{netip.MustParseAddr("203.0.113.2")}},
		},
		mxs: map[string]dns.Answer[dns.MX]{"example.com": {Records: []dns.MX{{Host: "mail.example.com"}}}},
	}
	in := Input{IP: netip.MustParseAddr("192.0.2.1"), Helo: "mail.example.org", MailFrom: "user@example.com"}
	b.ReportAllocs()
	for b.Loop() {
		if v := Verify(b.Context(), w, in, Options{}); v.Result != authres.Pass {
			b.Fatal(v.Result, v.Reason)
		}
	}
}
