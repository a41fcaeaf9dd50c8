package spf

import (
	"errors"
	"net/netip"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"assay/verify/authres"
)

func TestIsRecord(t *testing.T) {
	for s, want := range map[string]bool{
		"v=spf1": true, "V=SpF1": true, "v=spf1 ": true, "v=spf1 -all": true,
		"": false, "v=spf": false, "v=spf10": false, "v=spf1-all": false, " v=spf1": false, "v=spf1\t-all": false, "v=spf2 -all": false,
	} {
		if got := isRecord(s); got != want {
			t.Errorf("isRecord(%q) = %v", s, got)
		}
	}
}

// TestParseDirectives parses one term of each form (RFC 7208 Sections 4.6.1 and 5).
func TestParseDirectives(t *testing.T) {
	bExample := macroString{{literal: "b.example"}}
	for _, want := range []directive{
		{text: "all", mechanism: mechAll},
		{text: "+ALL", mechanism: mechAll},
		{text: "-all", mechanism: mechAll, result: authres.Fail},
		{text: "~all", mechanism: mechAll, result: authres.SoftFail},
		{text: "?all", mechanism: mechAll, result: authres.Neutral},
		{text: "include:b.example", mechanism: mechInclude, target: bExample},
		{text: "a", mechanism: mechA},
		{text: "A/24", mechanism: mechA, bits4: 24},
		{text: "a//64", mechanism: mechA, bits6: 64},
		{text: "a/1//128", mechanism: mechA, bits4: 1},
		{text: "a:b.example/24//64", mechanism: mechA, target: bExample, bits4: 24, bits6: 64},
		{text: "a:c/d.example", mechanism: mechA, target: macroString{{literal: "c/d.example"}}},
		{text: "a:1/2/3.example/4", mechanism: mechA, target: macroString{{literal: "1/2/3.example"}}, bits4: 4},
		{text: "mx:b.example", mechanism: mechMX, target: bExample},
		{text: "ptr", mechanism: mechPTR},
		{text: "ptr:b.example", mechanism: mechPTR, target: bExample},
		{text: "exists:b.example", mechanism: mechExists, target: bExample},
		{text: "ip4:192.0.2.1", mechanism: mechIP4, network: netip.MustParsePrefix("192.0.2.1/32")},
		{text: "ip4:192.0.2.1/0", mechanism: mechIP4, network: netip.MustParsePrefix("192.0.2.1/0")},
		{text: "IP6:2001:DB8::/32", mechanism: mechIP6, network: netip.MustParsePrefix("2001:db8::/32")},
		{text: "ip6:::ffff:192.0.2.1", mechanism: mechIP6, network: netip.PrefixFrom(netip.MustParseAddr("::ffff:192.0.2.1"), 128)},
	} {
		if want.result == "" {
			want.result = authres.Pass
		}
		if want.bits4 == 0 {
			want.bits4 = 32
		}
		if want.bits6 == 0 {
			want.bits6 = 128
		}
		got, err := parseDirective(want.text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("parse(%q) = %+v, %v\nwant %+v", want.text, got, err, want)
		}
	}
}

// TestParseErrors has one term for each rule that a term can break.
func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ term, want string }{
		{"moo", "mechanism is unknown"},
		{"+", "mechanism is unknown"},
		{"--all", "mechanism is unknown"},
		{"redirect:b.example", "mechanism is unknown"},
		{"-exp=b.example", "mechanism is unknown"},
		{"1up=foo", "mechanism is unknown"},
		{"=all", "mechanism is unknown"},
		{"moo/x=y", "mechanism is unknown"},
		{"a\tmx", "mechanism is unknown"},
		{"all:", "all takes no argument"},
		{"all/8", "all takes no argument"},
		{"all.", "mechanism is unknown"},
		{"include", "mechanism needs a domain"},
		{"include/8", "mechanism needs a domain"},
		{"include:", "domain is empty"},
		{"include:b.example/24", "does not end in"},
		{"a:", "domain is empty"},
		{"a:/24", "domain is empty"},
		{"a/", "prefix length is invalid"},
		{"a/33", "prefix length is invalid"},
		{"a/032", "prefix length is invalid"},
		{"a/-1", "prefix length is invalid"},
		{"a//129", "prefix length is invalid"},
		{"a//064", "prefix length is invalid"},
		{"a/24/64", "prefix length is invalid"},
		{"a///64", "prefix length is invalid"},
		{"mx//64/24", "prefix length is invalid"},
		{"mx:b.example/33", "does not end in"},
		{"ptr/24", "mechanism needs a domain"},
		{"ptr:", "domain is empty"},
		{"exists", "mechanism needs a domain"},
		{"ip4", "mechanism needs an address"},
		{"ip4:", "address is invalid"},
		{"ip4:192.0.2", "address is invalid"},
		{"ip4:192.0.2.01", "address is invalid"},
		{"ip4:192.0.2.1:25", "address is invalid"},
		{"ip4:2001:db8::1", "address is invalid"},
		{"ip4:192.0.2.1/33", "prefix length is invalid"},
		{"ip4:192.0.2.1/032", "prefix length is invalid"},
		{"ip4:192.0.2.1/", "prefix length is invalid"},
		{"ip4:192.0.2.1//32", "prefix length is invalid"},
		{"ip6", "mechanism needs an address"},
		{"ip6:192.0.2.1", "address is invalid"},
		{"ip6:fe80::1%eth0", "address is invalid"},
		{"ip6:::1/129", "prefix length is invalid"},
		{"exp=", "domain is empty"},
		{"redirect=", "domain is empty"},
		{"redirect=b.example/24", "does not end in"},
		{"exp=%{c}.example", `macro letter "c" is allowed in explanations only`},
		{"moo=%abc", `"%" is not followed by`},
		{"moo=a\x80", "octet 0x80 is not allowed"},
		{"a:b\x00.example", "octet 0x00 is not allowed"},
		{"a:example", "does not end in"},
		{"a:example.", "does not end in"},
		{"a:example.123", "does not end in"},
		{"a:example.-com", "does not end in"},
		{"a:example.com-", "does not end in"},
		{"a:example.c_m", "does not end in"},
		{"a:example.com..", "does not end in"},
		{"a:example.com:25", "does not end in"},
		{"a:%{d}.", "does not end in"},
		{"a:%{d}com", "does not end in"},
		{"a:b%", `"%" is not followed by`},
		{"a:b%(d)", `"%" is not followed by`},
		{"a:%{d", `no closing "}"`},
		{"a:%{}", "macro is empty"},
		{"a:%{x}", `macro letter "x" is unknown`},
		{"a:%{d0}", "zero parts"},
		{"a:%{d00r}", "zero parts"},
		{"a:%{dr2}", `macro delimiter "2" is unknown`},
		{"a:%{d!}", `macro delimiter "!" is unknown`},
		{"a:%{d%}}", `macro delimiter "%" is unknown`},
	} {
		_, err := parseRecord("v=spf1 +all " + c.term + " -all")
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "term "+strconv.Quote(c.term)) {
			t.Errorf("%q: %v, want %q in it", c.term, err, c.want)
		}
	}
}

func TestParseModifiers(t *testing.T) {
	r, err := parseRecord("v=spf1  a  EXP=%{d}  moo.cow-far_out=man:dog/cat=%%%_%-%{t} default=  Redirect=b.example.  ")
	if err != nil || len(r.directives) != 1 || r.exp[0].letter != 'd' || r.redirect[0].literal != "b.example." {
		t.Errorf("got %+v, %v", r, err)
	}
	for _, twice := range []string{"exp=b.example -all EXP=b.example", "redirect=b.example redirect=c.example"} {
		if _, err := parseRecord("v=spf1 " + twice); err == nil || !strings.Contains(err.Error(), "appears twice") {
			t.Errorf("%s: %v", twice, err)
		}
	}
}

// grammar is RFC 7208 Section 12 as a regular expression, written down independently of the parser. It lacks what the
// prose adds: numbers in range, addresses, and that known modifiers are not unknown ones.
func grammar() *regexp.Regexp {
	const (
		expand   = `(?:%\{[slodiphcrtv][0-9]*r?[-.+,/_=]*\}|%%|%_|%-)`
		restrict = `(?:%\{[slodiphv][0-9]*r?[-.+,/_=]*\}|%%|%_|%-)` // without c, r and t
		literal  = `[!-$&-~]`
		alphanum = `[a-z0-9]`
		toplabel = `(?:` + alphanum + `*[a-z]` + alphanum + `*|` + alphanum + `+-[-a-z0-9]*` + alphanum + `)`
		domain   = `(?:(?:` + restrict + `|` + literal + `)*(?:\.` + toplabel + `\.?|` + restrict + `))`
		cidr4    = `/(?:0|[1-9][0-9]?)`
		cidr6    = `/(?:0|[1-9][0-9]{0,2})`
		dual     = `(?:` + cidr4 + `)?(?:/` + cidr6 + `)?`
		network  = `:[0-9a-f:.]+`
		mech     = `(?:all|include:` + domain + `|(?:a|mx)(?::` + domain + `)?` + dual + `|ptr(?::` + domain + `)?|ip4` + network +
			`(?:` + cidr4 + `)?|ip6` + network + `(?:` + cidr6 + `)?|exists:` + domain + `)`
		known   = `(?:redirect|exp)=` + domain
		unknown = `[a-z][-a-z0-9_.]*=(?:` + expand + `|` + literal + `)*`
		term    = `(?:[-+?~]?` + mech + `|` + known + `|` + unknown + `)`
	)
	return regexp.MustCompile(`^(?i:v=spf1(?: +` + term + `)* *)$`)
}

// FuzzParseRecord compares the parser with the grammar. Whatever it accepts the grammar accepts; what it refuses beyond
// the grammar is one of the rules that only the prose has.
func FuzzParseRecord(f *testing.F) {
	for _, s := range []string{
		"v=spf1 a mx:b.example/24//64 ptr include:%{d2r-}.example. ip4:192.0.2.0/24 ip6:2001:db8::/32 exists:%{ir}.%{v}._spf.%{d2} -all",
		"v=spf1 redirect=%{l}%%%_%-.b.example exp=why.%{o} moo.x=%{t}/=:", "v=spf1 a:foo:bar/baz.example.com -all.", "v=spf1 a/24/64", "v=spf1 a:x.1-2/0",
	} {
		f.Add(s)
	}
	re := grammar()
	f.Fuzz(func(t *testing.T, s string) {
		if !isRecord(s) {
			return
		}
		r, err := parseRecord(s)
		if valid := re.MatchString(s); valid != (err == nil) && !(valid && onlyProse(s, err)) {
			t.Errorf("%q: parser says %v, grammar says %v", s, err, valid)
		}
		if err == nil && len(r.directives) > len(s)/2 {
			t.Errorf("%q: %d directives", s, len(r.directives))
		}
	})
}

// onlyProse reports whether the grammar does not know why a record was refused.
func onlyProse(record string, err error) bool {
	text := err.Error()
	known := regexp.MustCompile(`^term "(?i:exp|redirect)=`).MatchString(text)
	for _, rule := range []string{"address is invalid", "prefix length is invalid", "appears twice"} {
		if strings.HasSuffix(text, rule) {
			return true
		}
	}
	// A number that is too large may be read as a part of the domain, whose end is then no top-level label.
	large := regexp.MustCompile(`/(3[3-9]|[4-9][0-9]|12[9]|1[3-9][0-9]|[2-9][0-9]{2})`).MatchString(record)
	return known || errors.Is(err, errZeroParts) || large && errors.Is(err, errTopLabel)
}

func BenchmarkParseRecord(b *testing.B) {
	const s = "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 a mx include:_spf.example.net exists:%{ir}._spf.%{d2} ~all"
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseRecord(s); err != nil {
			b.Fatal(err)
		}
	}
}

// A prefix length of 0 is a length, not the absence of one.
func TestParseZeroBits(t *testing.T) {
	for term, want := range map[string][2]int{"a/0": {0, 128}, "mx//0": {32, 0}, "a/0//0": {0, 0}} {
		if d, err := parseDirective(term); err != nil || d.bits4 != want[0] || d.bits6 != want[1] {
			t.Errorf("%q: %d, %d, %v", term, d.bits4, d.bits6, err)
		}
	}
}
