package spf

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"
)

// macroEvaluation is the one of RFC 7208 Section 7.4.
func macroEvaluation(ip string) *evaluation {
	return &evaluation{
		opt: Options{}.withDefaults(), ip: netip.MustParseAddr(ip), helo: "mail.example.org",
		local: "strong-bad", domain: "email.example.com", askedPTR: true, reverse: []string{"mx.example.org"},
		validated: map[string]bool{"mx.example.org": true},
	}
}

// TestExpand has the examples of RFC 7208 Section 7.4, and what Section 7.3 says beyond them.
func TestExpand(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"%{s}", "strong-bad@email.example.com"},
		{"%{o}", "email.example.com"},
		{"%{d}", "email.example.com"},
		{"%{d4}", "email.example.com"},
		{"%{d3}", "email.example.com"},
		{"%{d2}", "example.com"},
		{"%{d1}", "com"},
		{"%{dr}", "com.example.email"},
		{"%{d2r}", "example.email"},
		{"%{l}", "strong-bad"},
		{"%{l-}", "strong.bad"},
		{"%{lr}", "strong-bad"},
		{"%{lr-}", "bad.strong"},
		{"%{l1r-}", "strong"},
		{"%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"},
		{"%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"},
		{"%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"},
		{"%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"},
		{"%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"},
		{"%{p}", "mx.example.org"},
		{"%{h}", "mail.example.org"},
		{"%{D2}", "example.com"},
		{"%{S}", "strong-bad%40email.example.com"},
		{"%{d99999999999999999999}", "email.example.com"},
		{"%{d127R}", "com.example.email"},
		{"%{s@}", ""},
		{"%{s-.}", "strong.bad@email.example.com"},
		{"%{s2-+,/_=}", "strong.bad@email.example.com"},
		{"a%%b%_c%-d.example", "a%b c%20d.example"},
	} {
		m, err := parseMacroString(c.in, inDomainSpec)
		if c.want == "" {
			if err == nil {
				t.Errorf("%q is accepted", c.in)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", c.in, err)
			continue
		}
		got, err := macroEvaluation("192.0.2.3").expand(t.Context(), m, "email.example.com", 1000)
		if err != nil || got != c.want {
			t.Errorf("%q expands to %q, %v; want %q", c.in, got, err, c.want)
		}
	}
	m, _ := parseMacroString("%{ir}.%{v}._spf.%{d2}", inDomainSpec)
	const want = "1.0.B.C.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.D.0.1.0.0.2.ip6._spf.example.com"
	if got, err := macroEvaluation("2001:db8::cb01").expand(t.Context(), m, "email.example.com", 1000); got != want || err != nil {
		t.Errorf("IPv6 expands to %q, %v", got, err)
	}
}

// TestTransformEmptyParts: "no special treatment is given to leading, trailing, or consecutive delimiters" (Section 7.3).
func TestTransformEmptyParts(t *testing.T) {
	for _, c := range []struct {
		seg      segment
		in, want string
	}{
		{segment{reverse: true}, ".a..b", "b..a."},
		{segment{keep: 2}, "a.b.", "b."},
		{segment{delimiters: "-+"}, "-a+-b-", ".a..b."},
		{segment{keep: 1, delimiters: "-"}, "", ""},
		{segment{escape: true}, "a~b_c.d-e f%/\xff", "a~b_c.d-e%20f%25%2F%FF"},
	} {
		if got := c.seg.transform(c.in); got != c.want {
			t.Errorf("%+v of %q is %q, want %q", c.seg, c.in, got, c.want)
		}
	}
}

// RFC 7208 Section 7.3: the validated name of the client.
func TestValidatedName(t *testing.T) {
	ip := netip.MustParseAddr("192.0.2.1")
	names := []string{"other.example", "bad.example.com", "a.example.com", "example.com"}
	for _, c := range []struct {
		valid []string
		want  string
	}{
		{names, "example.com"},
		{names[:3], "bad.example.com"},
		{names[2:3], "a.example.com"},
		{names[:1], "other.example"},
		{nil, "unknown"},
	} {
		z := newZone()
		for _, name := range names {
			z.add("1.2.0.192.in-addr.arpa", rr{"PTR", name})
		}
		for _, name := range c.valid {
			z.add(name, rr{"A", ip.String()})
		}
		e := evaluation{resolver: z, opt: Options{}.withDefaults(), ip: ip}
		for range 2 {
			if got, err := e.validatedName(t.Context(), "example.com"); got != c.want || err != nil {
				t.Errorf("valid %q: %q, %v; want %q", c.valid, got, err, c.want)
			}
		}
		if e.lookups != 1 || e.queries > 5 {
			t.Errorf("%d lookups, %d queries", e.lookups, e.queries)
		}
	}
}

func TestFitName(t *testing.T) {
	label := strings.Repeat("x", 49) + "."
	for in, want := range map[string]string{
		"": "", "a.example.": "a.example", "a.example..": "a.example.",
		strings.Repeat(label, 5) + "abc":          strings.Repeat(label, 5) + "abc", // 253
		"1." + strings.Repeat(label, 5) + "abc":   strings.Repeat(label, 5) + "abc",
		"1.2." + strings.Repeat(label, 5) + "abc": strings.Repeat(label, 5) + "abc",
		strings.Repeat(label, 5) + "abcd":         strings.Repeat(label, 4) + "abcd",
		strings.Repeat("x", 254):                  "",
	} {
		if got := fitName(in); got != want {
			t.Errorf("fitName(%q) = %q, want %q", in, got, want)
		}
	}
}

// A local-part with a Kelvin sign does not become a name with a k.
func TestLowerName(t *testing.T) {
	for in, want := range map[string]string{"": "", "a.b": "a.b", "A.bZ[": "a.bz[", "\u212a.Example": "\u212a.example", "\xffA": "\xffa"} {
		if got := lowerName(in); got != want {
			t.Errorf("lowerName(%q) = %q, want %q", in, got, want)
		}
	}
	for name, want := range map[string]bool{"example.com": true, "a.example.com": true, "xexample.com": false, "com": false} {
		if got := isWithin(name, "example.com"); got != want {
			t.Errorf("isWithin(%q) = %v", name, got)
		}
	}
}

func TestIsQueryable(t *testing.T) {
	for name, want := range map[string]bool{
		"a.example": true, "_spf.example": true, "a b.example": true, `a\b.example`: true, "foo:bar/baz.example.com": true,
		"": false, "example": false, ".example": false, "a..example": false, "a.example.": false, "ü.example": false, "a\x00.example": false,
		strings.Repeat("x", 63) + ".example": true, strings.Repeat("x", 64) + ".example": false, "a." + strings.Repeat("x", 64): false,
		strings.Repeat("x.", 126) + "x": true, strings.Repeat("x.", 126) + "xx": false,
	} {
		if got := isQueryable(name); got != want {
			t.Errorf("isQueryable(%q) = %v", name, got)
		}
	}
}

// TestLongExpansion: only the end of a very long expansion matters, and no more than that is kept.
func TestLongExpansion(t *testing.T) {
	e := macroEvaluation("192.0.2.3")
	e.local = strings.Repeat("x.", 500)
	m, err := parseMacroString(strings.Repeat("%{l}", 4000)+"b.example", inDomainSpec)
	if err != nil {
		t.Fatal(err)
	}
	text, err := e.expand(t.Context(), m, "example.com", 4096)
	if len(text) != 4096 || !errors.Is(err, errLongExpansion) {
		t.Errorf("%d octets, %v", len(text), err)
	}
	name, err := e.target(t.Context(), m, "example.com")
	if err != nil || !strings.HasSuffix(name, ".x.x.b.example") || len(name) > maxName || len(name) < maxName-1 {
		t.Errorf("target %q (%d octets), %v", name, len(name), err)
	}
}

// FuzzExpand expands any valid macro-string over any identity: it ends, stays within its limits, and agrees with a
// plain reading of Section 7.3.
func FuzzExpand(f *testing.F) {
	f.Add("%{l2r-}.user.%{d2}", "philip-gladstone-test", "mail.example.org", uint8(0))
	f.Add("%{IR}.%{v}%%%_%-%{S}", `"a@b c"`, "[192.0.2.1]", uint8(1))
	f.Add("%{c}%{r}%{t} %{p}%{h9999r=}", "ü..", "", uint8(2))
	f.Fuzz(func(t *testing.T, s, local, helo string, kind uint8) {
		place := macroPlace(kind % 3)
		m, err := parseMacroString(s, place)
		if err != nil || len(local) > maxIdentity || len(helo) > maxIdentity {
			return
		}
		e := macroEvaluation("2001:db8::cb01")
		e.local, e.helo = local, helo
		const limit = 1 << 20
		text, err := e.expand(t.Context(), m, "b.example", limit)
		if err != nil && !errors.Is(err, errLongExpansion) || len(text) > limit {
			t.Fatalf("%q: %d octets, %v", s, len(text), err)
		}
		want := ""
		for _, seg := range m {
			part := seg.literal
			if seg.letter != 0 {
				value, _ := e.value(t.Context(), seg.letter, "b.example")
				part = plainTransform(seg, value)
			}
			want += part
		}
		if err == nil && text != want {
			t.Errorf("%q expands to %q, want %q", s, text, want)
		}
		short, _ := e.expand(t.Context(), m, "b.example", 100)
		if !strings.HasSuffix(want, short) || len(short) != min(len(want), 100) {
			t.Errorf("%q expands to %q, not to the end of %q", s, short, want)
		}
		if name, err := e.target(t.Context(), m, "b.example"); err != nil || len(name) > maxName {
			t.Errorf("%q: target %q, %v", s, name, err)
		}
	})
}

// plainTransform is transform one octet at a time.
func plainTransform(s segment, value string) string {
	if s.keep > 0 || s.reverse || s.delimiters != "" {
		parts := []string{""}
		for i := range len(value) {
			if strings.Contains(s.delimiters, value[i:i+1]) || s.delimiters == "" && value[i] == '.' {
				parts = append(parts, "")
			} else {
				parts[len(parts)-1] += value[i : i+1]
			}
		}
		var turned []string
		for _, p := range parts {
			turned = append([]string{p}, turned...)
		}
		if s.reverse {
			parts = turned
		}
		for s.keep > 0 && len(parts) > s.keep {
			parts = parts[1:]
		}
		value = strings.Join(parts, ".")
	}
	if s.escape {
		value = escapeURL(value)
		if !utf8.ValidString(value) {
			return "not escaped"
		}
	}
	return value
}
