package authres

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name    string
		in      string
		want    []Clause
		id      string
		defects []string
	}{
		{"none", "mx.example.com; none", nil, "mx.example.com", nil},
		{"none with comment", "mx.example.com; none (trusted client)", nil, "mx.example.com", nil},
		{"RFC 8601 Appendix B.6", "example.com;\r\n dkim=pass reason=\"good signature\"\r\n" +
			"   header.i=@mail-router.example.net;\r\n dkim=fail reason=\"bad signature\"\r\n   header.i=@newyork.example.com\r\n",
			[]Clause{{Method: "dkim", Result: Pass, Reason: "good signature", Properties: []Property{{"header", "i", "@mail-router.example.net"}}},
				{Method: "dkim", Result: Fail, Reason: "bad signature", Properties: []Property{{"header", "i", "@newyork.example.com"}}}},
			"example.com", nil},
		{"RFC 8601 Appendix B.7, comments everywhere", "foo.example.net (foobar) 1 (baz);\n dkim (Because I like it) / 1 (One yay) = " +
			"(wait for it) fail\n  policy (A dot can go here) . (like that) expired\n  (this surprised me) = (as I wasn't expecting it) 1362471462",
			[]Clause{{Method: "dkim", Result: Fail, Properties: []Property{{"policy", "expired", "1362471462"}}}}, "foo.example.net", nil},
		{"Exchange Online without authserv-id", "spf=pass (sender IP is 192.0.2.1)\n smtp.mailfrom=example.com; " +
			"dkim=pass (signature was verified)\n header.d=example.com;dmarc=pass action=none header.from=example.com;compauth=pass reason=100",
			[]Clause{
				{Method: "spf", Result: Pass, Comment: "sender IP is 192.0.2.1", Properties: []Property{{"smtp", "mailfrom", "example.com"}}},
				{Method: "dkim", Result: Pass, Comment: "signature was verified", Properties: []Property{{"header", "d", "example.com"}}},
				{Method: "dmarc", Result: Pass, Properties: []Property{{"header", "from", "example.com"}}},
				{Method: "compauth", Result: Pass, Reason: "100"}},
			"", []string{"no authserv-id", "tag without ptype"}},
		{"Exchange Online in ARC", "mx.microsoft.com 1; spf=pass (sender ip is 192.0.2.1) smtp.rcpttodomain=example.org " +
			"smtp.mailfrom=example.com; dmarc=pass (p=reject sp=reject pct=100) action=none header.from=example.com; " +
			"arc=pass (0 oda=1 ltdi=1 spf=[1,1,smtp.mailfrom=example.com])",
			[]Clause{
				{Method: "spf", Result: Pass, Comment: "sender ip is 192.0.2.1", Properties: []Property{
					{"smtp", "rcpttodomain", "example.org"}, {"smtp", "mailfrom", "example.com"}}},
				{Method: "dmarc", Result: Pass, Comment: "p=reject sp=reject pct=100", Properties: []Property{{"header", "from", "example.com"}}},
				{Method: "arc", Result: Pass, Comment: "0 oda=1 ltdi=1 spf=[1,1,smtp.mailfrom=example.com]"}},
			"mx.microsoft.com", []string{"tag without ptype"}},
		{"no blank anywhere", "mx.example.com;spf=pass(ok)smtp.mailfrom=a@b.example;dkim=none(no;t)header.d=x(y)header.s=z",
			[]Clause{
				{Method: "spf", Result: Pass, Comment: "ok", Properties: []Property{{"smtp", "mailfrom", "a@b.example"}}},
				{Method: "dkim", Result: None, Comment: "no;t", Properties: []Property{{"header", "d", "x"}, {"header", "s", "z"}}}},
			"mx.example.com", nil},
		{"nested comment", "mx.example.com; spf=pass (a (b; \\) c=d) \"e) smtp.helo=x.example",
			[]Clause{{Method: "spf", Result: Pass, Comment: `a (b; ) c=d) "e`, Properties: []Property{{"smtp", "helo", "x.example"}}}},
			"mx.example.com", nil},
		{"quoted everything", `"mx.example.com"; dkim=fail reason="a; dmarc=pass \"(b)\" \\" header.b="ab/c+=" smtp.mailfrom="a b"@example.com`,
			[]Clause{{Method: "dkim", Result: Fail, Reason: `a; dmarc=pass "(b)" \`, Properties: []Property{
				{"header", "b", "ab/c+="}, {"smtp", "mailfrom", `"a b"@example.com`}}}},
			"mx.example.com", []string{"value that should be quoted"}},
		{"values that should be quoted", "mx.example.com; x-a=pass smtp.helo=[192.0.2.1] header.b=ab/c+= smtp.mailfrom=<> " +
			"policy.iprev=2001:db8::1 header.oldest-pass=0 smtp.remote-ip=[IPv6:2001:db8::1] header.from=bücher.example",
			[]Clause{{Method: "x-a", Result: Pass, Properties: []Property{{"smtp", "helo", "[192.0.2.1]"}, {"header", "b", "ab/c+="},
				{"smtp", "mailfrom", "<>"}, {"policy", "iprev", "2001:db8::1"}, {"header", "oldest-pass", "0"},
				{"smtp", "remote-ip", "[IPv6:2001:db8::1]"}, {"header", "from", "bücher.example"}}}},
			"mx.example.com", []string{"value that should be quoted"}},
		{"tokens and addresses need no quotes", "mx.example.com; x-a=pass header.b=ab+c!#$ smtp.mailfrom=SRS0=a=b@example.com header.i=@example.com",
			[]Clause{{Method: "x-a", Result: Pass, Properties: []Property{{"header", "b", "ab+c!#$"},
				{"smtp", "mailfrom", "SRS0=a=b@example.com"}, {"header", "i", "@example.com"}}}},
			"mx.example.com", nil},
		{"empty value", "mx.example.com; spf=none smtp.mailfrom=; dkim=none header.d= ;",
			[]Clause{{Method: "spf", Result: None, Properties: []Property{{"smtp", "mailfrom", ""}}},
				{Method: "dkim", Result: None, Properties: []Property{{"header", "d", ""}}}},
			"mx.example.com", []string{"value that should be quoted", "trailing semicolon"}},
		{"semicolons too many", "mx.example.com;; spf=pass;; ", []Clause{{Method: "spf", Result: Pass}}, "mx.example.com",
			[]string{"empty clause"}},
		{"none and a semicolon", "mx.example.com; none;", nil, "mx.example.com", []string{"trailing semicolon"}},
		{"id alone", "mx.example.com", nil, "mx.example.com", []string{"no result"}},
		{"nothing", "", nil, "", []string{"no authserv-id", "no result"}},
		{"case", "MX.example.com; SPF=Pass SMTP.MailFrom=A@Example.com; dkim=HardFail",
			[]Clause{{Method: "spf", Result: Pass, Properties: []Property{{"smtp", "mailfrom", "A@Example.com"}}},
				{Method: "dkim", Result: "hardfail"}}, "MX.example.com", nil},
		{"results that nobody registered", "mx.example.com; dkim=perm_fail; x=bestguesspass",
			[]Clause{{Method: "dkim", Result: "perm_fail"}, {Method: "x", Result: "bestguesspass"}}, "mx.example.com", nil},
		{"comment behind a reason", "mx.example.com; dkim=fail reason=\"x\" (2048-bit key) header.d=a.example",
			[]Clause{{Method: "dkim", Result: Fail, Reason: "x", Properties: []Property{{"header", "d", "a.example"}}}}, "mx.example.com", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			want := Header{ID: tt.id, Clauses: tt.want, Defects: tt.defects}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"line break that is no folding":       "mx.example.com; spf=pass\r\nX: y",
		"bare CR":                             "mx.example.com; spf=pass\r smtp.helo=x",
		"NUL":                                 "mx.example.com;\x00 spf=pass",
		"DEL":                                 "mx.example.com; spf=pass (\x7f)",
		"octets that are no UTF-8":            "mx.example.com; spf=pass (\xff)",
		"unfinished comment":                  "mx.example.com; spf=pass (a (b)",
		"unfinished comment before the id":    "(; mx.example.com; spf=pass",
		"stray parenthesis":                   "mx.example.com; spf=pass a) b.c=d",
		"unfinished quoted-string":            `mx.example.com; spf=pass reason="a`,
		"quoted-pair at the end":              `mx.example.com; spf=pass reason="a\`,
		"quote inside a value":                `mx.example.com; spf=pass smtp.mailfrom=a"b;c"`,
		"backslash inside a value":            `mx.example.com; spf=pass smtp.mailfrom=a\;b`,
		"version 2":                           "mx.example.com 2; spf=pass",
		"method version 2":                    "mx.example.com; spf/2=pass",
		"no semicolon behind the id":          "mx.example.com spf=pass",
		"words that belong to nothing":        "mx.example.com; spf=pass reason=sender is fine",
		"authserv-id repeated":                "mx.example.com; dkim=none header.d=none;mx.example.com; dmarc=none",
		"no result":                           "mx.example.com; spf=",
		"no method":                           "mx.example.com; =pass",
		"no property":                         "mx.example.com; spf=pass smtp.=x",
		"a blank where a value is expected":   "mx.example.com; spf=none smtp.mailfrom= smtp.helo=x.example",
		"a comment where a value is expected": "mx.example.com; spf=none smtp.mailfrom=() smtp.helo=x.example",
		"a result beside none":                "mx.example.com; none; spf=pass",
		"none beside a result":                "mx.example.com; spf=pass; none",
		"too long":                            "mx.example.com; spf=pass (" + strings.Repeat("a", maxHeader) + ")",
	} {
		t.Run(name, func(t *testing.T) {
			h, err := Parse(in)
			if !errors.Is(err, ErrSyntax) || h.ID != "" || h.Clauses != nil {
				t.Errorf("got %+v, %v", h, err)
			}
		})
	}
}

func TestSameID(t *testing.T) {
	tests := []struct {
		a, b string
		want bool
	}{
		{"mx.example.com", "MX.Example.COM.", true},
		{"mx.bücher.example", "mx.XN--BCHER-KVA.example", true},
		{"mx.BÜCHER.example.", "mx.bücher.example", true},
		{"ｍｘ．example.com", "mx.example.com", true}, // fullwidth letters and full stop
		{" mx.example.com\t", "mx.example.com", true},
		{"mx_1.example.com", "MX_1.example.com", true},
		{"mx.example.com", "mx.example.org", false},
		{"mx.example.com", "mx.example.com 1", false},
		{"mx.example.com", "xmx.example.com", false},
		{"mx.example.com", "", false},
		{"\xff", "\xff", true},
	}
	for _, tt := range tests {
		if got := SameID(tt.a, tt.b); got != tt.want {
			t.Errorf("SameID(%q, %q) = %v", tt.a, tt.b, got)
		}
		if got := SameID(tt.b, tt.a); got != tt.want {
			t.Errorf("SameID(%q, %q) = %v", tt.b, tt.a, got)
		}
	}
}

func TestIdentify(t *testing.T) {
	tests := []struct {
		in, id string
		ok     bool
	}{
		{"mx.example.com; none", "mx.example.com", true},
		{" MX.Example.com;\n\tspf=pass", "mx.example.com", true},
		{"mx.example.com; spf=pass (unfinished", "mx.example.com", true},
		{"mx_1.example.com; none", "mx_1.example.com", true},
		// Forms that clients are known to overlook the id in.
		{"mx.example.com 1; dmarc=pass", "mx.example.com", false},
		{"mx.example.com ; dmarc=pass", "mx.example.com", false},
		{"mx.example.com (x); dmarc=pass", "mx.example.com", false},
		{"(x) mx.example.com; dmarc=pass", "mx.example.com", false},
		{`"mx.example.com"; dmarc=pass`, "mx.example.com", false},
		{`"mx.\example.com"; dmarc=pass`, "mx.example.com", false},
		{"mx.example.com.; dmarc=pass", "mx.example.com.", false},
		{"mx.bücher.example; dmarc=pass", "mx.bücher.example", false},
		{"mailhost; dmarc=pass", "mailhost", false},
		{"mx.example.com", "mx.example.com", false},
		{"dmarc=pass", "", false},
		{"", "", false},
		{"(; mx.example.com; dmarc=pass", "", false},
		{"mx.example.com; spf=pass\r\nX: y", "", false},
		{"mx.example.com;\x00", "", false},
		{"mx.example.com spf=pass; x=y", "", false},
	}
	for _, tt := range tests {
		if id, ok := Identify(tt.in); id != tt.id || ok != tt.ok {
			t.Errorf("Identify(%q) = %q, %v, want %q, %v", tt.in, id, ok, tt.id, tt.ok)
		}
	}
}

// TestParseLinear guards against quadratic behaviour: the worst inputs of the greatest length take milliseconds.
func TestParseLinear(t *testing.T) {
	for _, unit := range []string{"(", "()", "a.b=c ", "x=y;", ";", "\"", "\\", "(\\", "\r\n ", "a", "=", "x=y z=1;"} {
		s := strings.Repeat(unit, maxHeader/len(unit)-8)
		start := time.Now()
		for _, prefix := range []string{"", "a.b;", "a.b;x=y ", "a.b;x=y (", `a.b;x=y reason="`} {
			_, _ = Parse(prefix + s)
			_, _ = Identify(prefix + s)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%q: %v", unit, d)
		}
	}
}

// FuzzParse checks that no input makes the parser panic, and that what it read can be written and read again.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"mx.example.com; none", "spf=pass (a;b) smtp.mailfrom=<>;dkim=fail reason=\"x\\\"\" header.b=ab/c=",
		"\"mx.example.com\" 1 (c); dkim (a) / 1 = pass policy (a) . b = \"c d\"@example.com", "a.b;; x=y\r\n\tz=1;"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := Parse(s)
		id, ok := Identify(s)
		if err == nil && ok && !SameID(id, h.ID) {
			t.Fatalf("%q: Identify says %q, Parse says %q", s, id, h.ID)
		}
		if err != nil {
			return
		}
		h.ID = "mx.example.com"
		text, err := h.Format()
		if err != nil {
			return // somebody else's method or result
		}
		again, err := Parse(text)
		if err != nil {
			t.Fatalf("%q was written as %q: %v", s, text, err)
		}
		var evaluated []Clause
		for _, c := range h.Clauses {
			if c.Result != "" {
				evaluated = append(evaluated, c)
			}
		}
		checkClauses(t, again.Clauses, evaluated)
	})
}

func BenchmarkParse(b *testing.B) {
	const s = "mx.example.com;\n\tspf=pass smtp.mailfrom=bounce@news.example.net;\n\tdkim=pass (2048-bit rsa key) " +
		"header.d=example.net header.i=@example.net\n\t header.s=s1 header.a=rsa-sha256 header.b=\"AbCd/+12\";\n\t" +
		"dmarc=pass header.from=example.net policy.dmarc=reject"
	b.ReportAllocs()
	b.SetBytes(int64(len(s)))
	for b.Loop() {
		if _, err := Parse(s); err != nil {
			b.Fatal(err)
		}
	}
}
