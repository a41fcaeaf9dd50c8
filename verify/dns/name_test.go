package dns

import (
	"net/netip"
	"strings"
	"testing"
)

func TestCanonical(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, tc := range []struct{ in, want string }{ // want "" is an error
		{"example.com", "example.com"},
		{"Example.COM.", "example.com"},
		{"_dmarc.Example.com", "_dmarc.example.com"},
		{"sel._domainkey.example.com", "sel._domainkey.example.com"},
		{"bücher.example", "xn--bcher-kva.example"},
		{"BÜCHER.Example.", "xn--bcher-kva.example"},
		{"bu\u0308cher.example", "xn--bcher-kva.example"}, // decomposed
		{"straße.example", "xn--strae-oqa.example"},       // not transitional
		{"xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"XN--BCHER-KVA.example", "xn--bcher-kva.example"},
		{"xn--a.example", "xn--a.example"}, // a fake A-label
		{"例え。テスト", "xn--r8jz45g.xn--zckzah"},
		{"r3---sn-4g5.example", "r3---sn-4g5.example"},
		{"-leading.example", "-leading.example"},
		{"192.0.2.1", "192.0.2.1"},
		{"com", "com"},
		{long + ".example", long + ".example"},
		{strings.Repeat(long+".", 3) + strings.Repeat("b", 61), strings.Repeat(long+".", 3) + strings.Repeat("b", 61)},
		{strings.Repeat(long+".", 3) + strings.Repeat("b", 62), ""},
		{long + "a.example", ""},
		{"", ""},
		{".", ""},
		{".example", ""},
		{"a..example", ""},
		{"example..", ""},
		{"a b.example", ""},
		{"a\x00b.example", ""},
		{"a\nb.example", ""},
		{"a\\.b.example", ""},
		{"user@example", ""},
		{"[192.0.2.1]", ""},
		{"%{i}.example", ""},
		{"℀.example", ""}, // maps to "a/c"
		{"b\xfccher.example", ""},
		{"\u202eexample.com", ""},
		{"א1a.example", ""}, // RFC 5893
		{strings.Repeat("ü", 600), ""},
		{strings.Repeat("ü", 63) + ".example", ""},
	} {
		got, err := Canonical(tc.in)
		if got != tc.want || (err == nil) != (tc.want != "") {
			t.Errorf("%q: got %q, %v; want %q", tc.in, got, err, tc.want)
		}
	}
}

func TestCanonicalErrorText(t *testing.T) {
	for in, want := range map[string]string{
		"a b.example":               `dns: name "a b.example" has " " in a label`,
		strings.Repeat("a.", 200):   `dns: name "` + strings.Repeat("a.", 126) + `a"... has 399 octets`,
		"bad\xff.example":           `dns: name "bad\xff.example" is not UTF-8`,
		strings.Repeat("\xff", 2e3): `dns: name of 2000 octets is too long`,
	} {
		if _, err := Canonical(in); err == nil || err.Error() != want {
			t.Errorf("%.40q: got %v, want %s", in, err, want)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{"Example.com.", "bücher.example", "xn--bcher-kva", "例え。テスト", "a\x00.b", "_x.Y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := Canonical(in)
		if err != nil {
			return
		}
		if again, err := Canonical(got); err != nil || again != got {
			t.Errorf("%q becomes %q, and that %q, %v", in, got, again, err)
		}
		if len(got) > maxName || strings.ToLower(got) != got || !isASCII(got) {
			t.Errorf("%q becomes %q", in, got)
		}
	})
}

func TestReverse(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1":        "1.2.0.192.in-addr.arpa",
		"::ffff:192.0.2.1": "1.2.0.192.in-addr.arpa",
		"2001:db8::567:89ab": "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0." +
			"0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
		"fe80::1%eth0": "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.e.f.ip6.arpa",
	} {
		if got := Reverse(netip.MustParseAddr(in)); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
	if got := Reverse(netip.Addr{}); got != "" {
		t.Errorf("the zero Addr: got %q", got)
	}
}

// The escapes are those of the DNS library, so that names can be compared with the names of a response.
func TestPresent(t *testing.T) {
	for in, want := range map[string]string{
		"Example.COM":                    "example.com.",
		"a+b=c.example":                  "a+b=c.example.",
		"sp ace.example":                 `sp\ ace.example.`,
		`back\slash.example`:             `back\\slash.example.`,
		"nul\x00.\xc3\xbc.example.":      `nul\000.\195\188.example.`,
		`"q".example`:                    `\"q\".example.`,
		"a@b.example":                    `a\@b.example.`,
		"":                               "",
		".":                              "",
		"..":                             "",
		"a..b":                           "",
		strings.Repeat("x", 64):          "",
		strings.Repeat("x ", 32):         "",
		strings.Repeat("a.", 126) + "a":  strings.Repeat("a.", 127),
		strings.Repeat("a.", 126) + "aa": "",
	} {
		got, err := present(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestFoldAllocatesNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { _ = fold("selector._domainkey.example.com.") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
