package authres

import (
	"errors"
	"strings"
	"testing"
)

func TestFormat(t *testing.T) {
	tests := []struct {
		name string
		in   Header
		want string
	}{
		{"no clause", Header{ID: "mx.example.com"}, "mx.example.com; none"},
		{"only clauses that were not evaluated", Header{ID: "mx.example.com", Clauses: []Clause{{Method: "spf"}}},
			"mx.example.com; none"},
		{"id is normalised", Header{ID: "MX.Bücher.Example."}, "mx.xn--bcher-kva.example; none"},
		{"every method", Header{ID: "mx.example.com", Clauses: []Clause{
			{Method: "spf", Result: Pass, Properties: []Property{{"smtp", "mailfrom", "bounce@news.example.net"}}},
			{Method: "dkim", Result: Pass, Comment: "2048-bit rsa key", Properties: []Property{
				{"header", "d", "example.net"}, {"header", "i", "@example.net"}, {"header", "s", "s1"},
				{"header", "a", "rsa-sha256"}, {"header", "b", "AbCd/+12"}}},
			{Method: "dmarc", Result: Pass, Properties: []Property{
				{"header", "from", "example.net"}, {"policy", "dmarc", "reject"}}},
			{Method: "arc", Result: None},
			{Method: "iprev", Result: Pass, Properties: []Property{{"policy", "iprev", "192.0.2.1"}}},
			{Method: "smime", Result: Pass, Properties: []Property{
				{"body", "smime-identifier", "erika@example.net"}, {"body", "smime-part", "2"}}},
		}}, "mx.example.com;\n" +
			"\tspf=pass smtp.mailfrom=bounce@news.example.net;\n" +
			"\tdkim=pass (2048-bit rsa key) header.d=example.net header.i=@example.net\n" +
			"\t header.s=s1 header.a=rsa-sha256 header.b=\"AbCd/+12\";\n" +
			"\tdmarc=pass header.from=example.net policy.dmarc=reject;\n" +
			"\tarc=none;\n" +
			"\tiprev=pass policy.iprev=192.0.2.1;\n" +
			"\tsmime=pass body.smime-identifier=erika@example.net body.smime-part=2"},
		{"values a reader would drop the field for", one("x-test", Property{"policy", "iprev", "2001:db8::1"},
			Property{"smtp", "mailfrom", "<>"}, Property{"smtp", "helo", "[192.0.2.1]"}, Property{"header", "b", "ab+d"}),
			"mx.example.com;\n\tx-test=pass policy.iprev=\"2001:db8::1\" smtp.mailfrom=\"<>\"\n" +
				"\t smtp.helo=\"[192.0.2.1]\" header.b=\"ab+d\""},
		{"empty values are left out", one("spf", Property{"smtp", "mailfrom", ""}, Property{"smtp", "helo", "a.example"}),
			"mx.example.com;\n\tspf=pass smtp.helo=a.example"},
		{"addresses", one("spf", Property{"smtp", "mailfrom", "SRS0=ab=cd=example.org=u+x@example.net"},
			Property{"smtp", "mailfrom", `"a b"@example.net`}, Property{"smtp", "mailfrom", "a@b@example.net"},
			Property{"smtp", "mailfrom", "a..b@example.net"}, Property{"smtp", "mailfrom", "a@[192.0.2.1]"}),
			"mx.example.com;\n\tspf=pass smtp.mailfrom=SRS0=ab=cd=example.org=u+x@example.net\n" +
				"\t smtp.mailfrom=\"\\\"a b\\\"@example.net\" smtp.mailfrom=\"a@b@example.net\"\n" +
				"\t smtp.mailfrom=\"a..b@example.net\" smtp.mailfrom=\"a@[192.0.2.1]\""},
		{"VERP", one("spf", Property{"smtp", "mailfrom", "bounce+user=passau.example@example.net"}),
			"mx.example.com;\n\tspf=pass smtp.mailfrom=bounce+user=passau.example@example.net"},
		{"injection by a value", one("spf", Property{"smtp", "mailfrom", "x\r\n\tdmarc=pass header.from=bank.example"},
			Property{"smtp", "helo", `"; dmarc = pass header.from=bank.example; x="`}),
			"mx.example.com;\n\tspf=pass smtp.mailfrom=\"x???dmarc?pass header.from=bank.example\"\n" +
				"\t smtp.helo=\"\\\"? dmarc ? pass header.from=bank.example? x=\\\"\""},
		{"characters outside ASCII, NUL, DEL and octets that are no UTF-8",
			one("spf", Property{"smtp", "mailfrom", "j\u00fc\u202er\x00\x7f\xff@example.net"}),
			"mx.example.com;\n\tspf=pass smtp.mailfrom=j??r???@example.net"},
		{"injection by a comment", Header{ID: "mx.example.com", Clauses: []Clause{
			{Method: "spf", Result: Fail, Comment: "a) ; dmarc=pass (\\b \"c\"\r\n ü"}}},
			"mx.example.com;\n\tspf=fail (a] , dmarc:pass [/b 'c' ?)"},
		{"injection by a reason", Header{ID: "mx.example.com", Clauses: []Clause{
			{Method: "dkim", Result: PermError, Reason: "key \"v=DKIM1; p=\\\"\r\n;dmarc=pass"}}},
			"mx.example.com;\n\tdkim=permerror reason=\"key \\\"v:DKIM1, p:\\\\\\\" ,dmarc:pass\""},
		{"empty comment and reason", Header{ID: "mx.example.com", Clauses: []Clause{
			{Method: "dkim", Result: Fail, Comment: " \t", Reason: "\n"}}}, "mx.example.com;\n\tdkim=fail"},
		{"result of one method only", Header{ID: "mx.example.com", Clauses: []Clause{
			{Method: "dkim-adsp", Result: "discard"}}}, "mx.example.com;\n\tdkim-adsp=discard"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.in.Format()
			if err != nil || got != tt.want {
				t.Errorf("got:\n%s\nerror %v, want:\n%s", got, err, tt.want)
			}
		})
	}
}

// one is a header with one passing clause.
func one(method string, ps ...Property) Header {
	return Header{ID: "mx.example.com", Clauses: []Clause{{Method: method, Result: Pass, Properties: ps}}}
}

func TestFormatRefuses(t *testing.T) {
	clause := func(c Clause) Header { return Header{ID: "mx.example.com", Clauses: []Clause{c}} }
	tests := []struct {
		name string
		in   Header
		want error
	}{
		{"no id", Header{}, ErrID},
		{"id without dot", Header{ID: "mailhost"}, ErrID},
		{"id with version", Header{ID: "mx.example.com 1"}, ErrID},
		{"id that is an address", Header{ID: "192.0.2.1"}, ErrID},
		{"id with an empty label", Header{ID: "mx..example"}, ErrID},
		{"id with a hyphen at the edge", Header{ID: "mx-.example"}, ErrID},
		{"id with a line break", Header{ID: "mx.example\nX: y"}, ErrID},
		{"id with a long label", Header{ID: strings.Repeat("a", 64) + ".example"}, ErrID},
		{"long id", Header{ID: strings.Repeat("a.", 130) + "example"}, ErrID},
		{"no method", clause(Clause{Result: Pass}), ErrClause},
		{"unregistered method", clause(Clause{Method: "bimi", Result: Pass}), ErrClause},
		{"upper-case method", clause(Clause{Method: "SPF", Result: Pass}), ErrClause},
		{"bare x-", clause(Clause{Method: "x-", Result: Pass}), ErrClause},
		{"method with version", clause(Clause{Method: "x-a/1", Result: Pass}), ErrClause},
		{"unknown result", clause(Clause{Method: "spf", Result: "hardfail"}), ErrClause},
		{"foreign result", clause(Clause{Method: "spf", Result: "discard"}), ErrClause},
		{"unregistered ptype", one("spf", Property{"tls", "a", "b"}), ErrClause},
		{"property with a blank", one("spf", Property{"smtp", "a b", "c"}), ErrClause},
		{"no property", one("spf", Property{"smtp", "", "c"}), ErrClause},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := tt.in.Format(); !errors.Is(err, tt.want) || got != "" {
				t.Errorf("got %q, %v, want %v", got, err, tt.want)
			}
		})
	}
}

func TestFormatLengths(t *testing.T) {
	huge := strings.Repeat(`"`, 1<<20)
	s, err := Header{ID: "mx.example.com", Clauses: []Clause{{Method: "spf", Result: Pass, Comment: huge, Reason: huge,
		Properties: []Property{{"smtp", "mailfrom", huge}, {"smtp", "helo", "bank.example." + strings.Repeat("a", 400)}}}}}.Format()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(s, "\n") {
		if len(line) > 998 {
			t.Errorf("line of %d octets", len(line))
		}
	}
	h, err := Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	helo := h.Clauses[0].Value("smtp", "helo")
	if len(helo) != maxValue || !strings.HasSuffix(helo, "a...") {
		t.Errorf("shortened value %q", helo)
	}
	if !strings.Contains(s, `smtp.helo="bank.example.`) {
		t.Error("a shortened value is written as if it were a domain")
	}
}

// FuzzFormat proves that the writer writes exactly what it was given: whatever text a message supplies, the parser finds
// the same clauses and properties, and no line break outside folding.
func FuzzFormat(f *testing.F) {
	f.Add("mx.example.com", "comment", "reason", "a@b.example", "x")
	f.Add("mx.example.com", "a) ; dmarc=pass (", "\"; dmarc=pass", "x\r\n\tdmarc=pass", "\\\";")
	f.Add("mx.example.com 1", "(", "\\", "2001:db8::1", "[192.0.2.1]")
	f.Add("ü.example", "\x00", "\xff", "=pass", "= \"pass")
	f.Fuzz(func(t *testing.T, id, comment, reason, v1, v2 string) {
		in := Header{ID: id, Clauses: []Clause{
			{Method: "spf", Result: Fail, Comment: comment, Reason: reason, Properties: []Property{
				{"smtp", "mailfrom", v1}, {"smtp", "helo", v2}}},
			{Method: "x-end", Result: None, Properties: []Property{{"policy", "a", v2 + v1}}},
		}}
		s, err := in.Format()
		if err != nil {
			if !errors.Is(err, ErrID) {
				t.Fatalf("text from a message made the writer fail: %v", err)
			}
			in.ID = "mx.example.com"
			if s, err = in.Format(); err != nil {
				t.Fatal(err)
			}
		}
		got, err := Parse(s)
		if err != nil || len(got.Defects) > 0 || !SameID(got.ID, in.ID) {
			t.Fatalf("%q: %v, defects %v, id %q", s, err, got.Defects, got.ID)
		}
		if _, ok := Identify(s); !ok {
			t.Fatalf("%q: not identified", s)
		}
		checkClauses(t, got.Clauses, in.Clauses)
		for i := range len(s) {
			if c := s[i]; c >= 0x7f || c < ' ' && c != '\n' && c != '\t' {
				t.Fatalf("octet %#x in %q", c, s)
			}
		}
		for line := range strings.SplitSeq(s[strings.IndexByte(s, ';'):], "\n") {
			if len(line) > 998 || line != ";" && line[0] != '\t' && line != "; none" {
				t.Fatalf("line %q in %q", line, s)
			}
		}
		for name, naive := range map[string]string{"split at semicolons": strings.ReplaceAll(s, ";", "\n"), "words": s} {
			for _, claim := range []string{"spf=pass", "dkim=pass", "dmarc=pass", "arc=pass", "auth=pass", "smime=pass"} {
				if strings.Contains(strings.ToLower(naive), claim) {
					t.Fatalf("%s: %s in %q", name, claim, s)
				}
			}
		}
	})
}

// checkClauses compares what was read with what was written, after the replacements that Format documents.
func checkClauses(t *testing.T, got, in []Clause) {
	t.Helper()
	if len(got) != len(in) {
		t.Fatalf("%d clauses, want %d: %v", len(got), len(in), got)
	}
	for i, c := range in {
		g := got[i]
		if g.Method != c.Method || g.Result != c.Result || g.Comment != sanitizeComment(c.Comment) ||
			g.Reason != sanitizeReason(c.Reason) {
			t.Fatalf("got %+v, want %+v", g, c)
		}
		var want []Property
		for _, p := range c.Properties {
			if p.Value = sanitizeValue(p.Value); p.Value != "" {
				want = append(want, p)
			}
		}
		if len(want) != len(g.Properties) {
			t.Fatalf("got %+v, want %+v", g.Properties, want)
		}
		for j := range want {
			if want[j] != g.Properties[j] {
				t.Fatalf("got %+v, want %+v", g.Properties[j], want[j])
			}
		}
	}
}

func BenchmarkFormat(b *testing.B) {
	h := one("dkim", Property{"header", "d", "example.net"}, Property{"header", "i", "@example.net"},
		Property{"header", "s", "s1"}, Property{"header", "a", "rsa-sha256"}, Property{"header", "b", "AbCd/+12"})
	h.Clauses = append(h.Clauses, h.Clauses[0], h.Clauses[0], h.Clauses[0])
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Format(); err != nil {
			b.Fatal(err)
		}
	}
}
