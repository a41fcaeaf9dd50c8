package report

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"assay/verify/authres"
	"assay/verify/dkim"
	"assay/verify/dmarc"
	"assay/verify/spf"
)

const published = "v=DMARC1; p=reject; sp=quarantine; rua=mailto:dmarc@example.com"

// failed returns what is known of a failing message of example.com.
func failed() Input {
	return Input{
		ClientIP: netip.MustParseAddr("192.0.2.1"), MailFrom: "bob@Example.NET",
		Evaluation: dmarc.Evaluation{
			Result: authres.Fail, Reason: "not aligned", Domain: "example.com", OrgDomain: "example.com", PolicyDomain: "example.com",
			Record: published, Published: dmarc.PolicyReject, Policy: dmarc.PolicyReject, Discovery: "treewalk",
		},
		SPF: []spf.Verification{
			{Result: authres.None, Identity: spf.Helo, Domain: "mail.example.net"},
			{Result: authres.Pass, Identity: spf.MailFrom, Domain: "example.net", Sender: "bob@example.net"},
		},
		Disposition: Reject,
	}
}

// passed returns what is known of a message of example.com that passes.
func passed() Input {
	in := failed()
	in.Evaluation.Result, in.Evaluation.DKIMAligned, in.Evaluation.DKIMDomain = authres.Pass, true, "example.com"
	in.DKIM = []dkim.Verification{{Result: authres.Pass, Domain: "example.com", Selector: "s1"}}
	in.Disposition = ""
	return in
}

func TestNewRow(t *testing.T) {
	got, ok := NewRow(failed())
	want := Row{
		Policy: Policy{
			Domain: "example.com", P: "reject", SP: "quarantine", NP: "quarantine", ADKIM: "r", ASPF: "r", Discovery: "treewalk",
			FO: "0", URIs: []string{"mailto:dmarc@example.com"},
		},
		SourceIP: netip.MustParseAddr("192.0.2.1"), Disposition: Reject, HeaderFrom: "example.com", EnvelopeFrom: "example.net",
		MailFrom: &SPFResult{Domain: "example.net", Result: authres.Pass},
	}
	if !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("%v %+v\nwant %+v", ok, got, want)
	}
}

// TestNewRowReportable shows which messages are in a report.
func TestNewRowReportable(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*Input)
		want bool
	}{
		{"fail", func(*Input) {}, true},
		{"pass", func(in *Input) { *in = passed() }, true},
		{"no record", func(in *Input) {
			in.Evaluation = dmarc.Evaluation{Result: authres.None, Domain: "example.com"}
		}, false},
		{"temperror", func(in *Input) { in.Evaluation.Result = authres.TempError }, false},
		{"permerror", func(in *Input) { in.Evaluation.Result = authres.PermError }, false},
		{"not evaluated", func(in *Input) { in.Evaluation = dmarc.Evaluation{} }, false},
		{"no address", func(in *Input) { in.Evaluation.Record = "v=DMARC1; p=reject" }, false},
		{"no mail", func(in *Input) { in.Evaluation.Record = "v=DMARC1; p=reject; rua=https://example.com/r" }, false},
		{"an address beside a page", func(in *Input) {
			in.Evaluation.Record = "v=DMARC1; p=reject; rua=https://example.com/r,mailto:r@example.com"
		}, true},
		{"an address with the size of old", func(in *Input) {
			in.Evaluation.Record = "v=DMARC1; p=reject; rua=mailto:r@example.com!10m"
		}, true},
		{"an invalid record with an address", func(in *Input) {
			in.Evaluation.Record = "v=DMARC1; p=rejekt; rua=mailto:r@example.com"
		}, true},
		{"no client", func(in *Input) { in.ClientIP = netip.Addr{} }, false},
		{"this host", func(in *Input) { in.ClientIP = netip.MustParseAddr("127.0.0.1") }, true},
		{"this host, mapped", func(in *Input) { in.ClientIP = netip.MustParseAddr("::ffff:127.0.0.1") }, true},
		{"this host, IPv6", func(in *Input) { in.ClientIP = netip.IPv6Loopback() }, true},
		{"this link", func(in *Input) { in.ClientIP = netip.MustParseAddr("fe80::1%eth0") }, false},
		{"unspecified", func(in *Input) { in.ClientIP = netip.IPv4Unspecified() }, false},
		{"a private network", func(in *Input) { in.ClientIP = netip.MustParseAddr("10.1.2.3") }, true},
		{"IPv6", func(in *Input) { in.ClientIP = netip.MustParseAddr("2001:db8::1") }, true},
	} {
		in := failed()
		c.edit(&in)
		row, ok := NewRow(in)
		if ok != c.want {
			t.Errorf("%s: %v, want %v", c.name, ok, c.want)
		}
		if !ok && !reflect.DeepEqual(row, Row{}) {
			t.Errorf("%s: %+v", c.name, row)
		}
	}
}

func TestNewRowAddress(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:DB8:0:0::1": "2001:db8::1", "2001:db8::1%eth0": "2001:db8::1",
	} {
		i := failed()
		i.ClientIP = netip.MustParseAddr(in)
		if row, _ := NewRow(i); row.SourceIP.String() != want {
			t.Errorf("%s: %s, want %s", in, row.SourceIP, want)
		}
	}
}

func TestNewRowPolicy(t *testing.T) {
	uris := []string{"mailto:r@example.com"}
	base := Policy{
		Domain: "example.com", P: "none", SP: "none", NP: "none", ADKIM: "r", ASPF: "r", Discovery: "treewalk", FO: "0", URIs: uris,
	}
	many := "rua="
	for i := range 20 {
		many += fmt.Sprintf("mailto:r%d@example.com,", i)
	}
	for _, c := range []struct {
		record string
		edit   func(*Policy)
	}{
		{"p=none; rua=mailto:r@example.com", func(*Policy) {}},
		{"p=reject; rua=mailto:r@example.com", func(p *Policy) { p.P, p.SP, p.NP = "reject", "reject", "reject" }},
		{"p=reject; sp=none; rua=mailto:r@example.com", func(p *Policy) { p.P = "reject" }},
		{"p=none; np=reject; rua=mailto:r@example.com", func(p *Policy) { p.NP = "reject" }},
		{"rua=mailto:r@example.com", func(*Policy) {}},
		{"p=reject; sp=wrong; rua=mailto:r@example.com", func(*Policy) {}},
		{"p=NONE; adkim=s; aspf=S; t=y; rua=mailto:r@example.com", func(p *Policy) { p.ADKIM, p.ASPF, p.Testing = "s", "s", true }},
		{"p=none; fo=1:d:s; rua=mailto:r@example.com", func(*Policy) {}}, // RFC 9989 Section 4.7: fo means nothing without ruf
		{"p=none; fo=1:d:s; ruf=mailto:f@example.com; rua=mailto:r@example.com", func(p *Policy) { p.FO = "1:d:s" }},
		{"p=none; adkim=x; pct=0; rua=mailto:r@example.com!5m", func(*Policy) {}},
		{"p=none; " + many, func(p *Policy) {
			p.URIs = nil
			for i := range maxURIs {
				p.URIs = append(p.URIs, fmt.Sprintf("mailto:r%d@example.com", i))
			}
		}},
		{"p=none; rua=https://" + strings.Repeat("a", maxURI) + ",mailto:r@example.com", func(*Policy) {}},
	} {
		in := failed()
		in.Evaluation.Record = "v=DMARC1; " + c.record
		want := base
		c.edit(&want)
		if row, ok := NewRow(in); !ok || !reflect.DeepEqual(row.Policy, want) {
			t.Errorf("%s: %v\n     %+v\nwant %+v", c.record, ok, row.Policy, want)
		}
	}
	in := failed()
	in.Evaluation.Domain, in.Evaluation.Discovery = "news.example.com", "psl"
	if row, _ := NewRow(in); row.Policy.Domain != "example.com" || row.Policy.Discovery != "psl" || row.HeaderFrom != "news.example.com" {
		t.Errorf("%+v", row)
	}
}

// TestNewRowDisposition shows what was done, and the reasons that RFC 9990 requires where it is not what was asked for.
func TestNewRowDisposition(t *testing.T) {
	type evaluation = dmarc.Evaluation
	for _, c := range []struct {
		name    string
		ev      evaluation
		done    Disposition
		local   []Reason
		want    Disposition
		reasons []Reason
	}{
		{"passed under none", evaluation{Result: authres.Pass, Published: "none", Policy: "none"}, "", nil, None, nil},
		{"passed under quarantine", evaluation{Result: authres.Pass, Published: "quarantine", Policy: "quarantine"}, "", nil, Pass, nil},
		{"passed under reject", evaluation{Result: authres.Pass, Published: "reject", Policy: "reject"}, "", nil, Pass, nil},
		{"passed under a policy in test mode", evaluation{Result: authres.Pass, Published: "quarantine", Policy: "none"}, "", nil, Pass, nil},
		{"passed, but quarantined for another cause", evaluation{Result: authres.Pass, Published: "reject", Policy: "reject"}, Quarantine,
			[]Reason{{Type: "local_policy", Comment: "virus"}}, Pass, nil},
		{"as asked for: none", evaluation{Published: "none", Policy: "none"}, "", nil, None, nil},
		{"as asked for: quarantine", evaluation{Published: "quarantine", Policy: "quarantine"}, Quarantine, nil, Quarantine, nil},
		{"as asked for: reject", evaluation{Published: "reject", Policy: "reject"}, Reject, []Reason{{Type: "other"}}, Reject, nil},
		{"milder", evaluation{Published: "reject", Policy: "reject"}, Quarantine, nil, Quarantine, []Reason{{Type: "local_policy"}}},
		{"milder, for a reason", evaluation{Published: "reject", Policy: "reject"}, None,
			[]Reason{{"mailing_list", "go-nuts"}, {"mailing_list", "go-nuts"}, {"forwarded", ""}}, None,
			[]Reason{{"mailing_list", "go-nuts"}, {"other", ""}}},
		{"stricter", evaluation{Published: "none", Policy: "none"}, Reject, nil, Reject, []Reason{{Type: "local_policy"}}},
		{"test mode", evaluation{Published: "quarantine", Policy: "none", Override: "policy_test_mode"}, None, nil, None,
			[]Reason{{Type: "policy_test_mode"}}},
		{"test mode of reject", evaluation{Published: "reject", Policy: "quarantine", Override: "policy_test_mode"}, Quarantine, nil,
			Quarantine, []Reason{{Type: "policy_test_mode"}}},
		{"test mode, and milder still", evaluation{Published: "reject", Policy: "quarantine", Override: "policy_test_mode"}, None, nil,
			None, []Reason{{Type: "local_policy"}}},
		{"test mode, and rejected all the same", evaluation{Published: "reject", Policy: "quarantine", Override: "policy_test_mode"},
			Reject, nil, Reject, nil},
		{"forwarder", evaluation{Published: "reject", Policy: "none", Override: "trusted_forwarder", Overrider: "lists.example.org"}, None,
			nil, None, []Reason{{"trusted_forwarder", "forwarded by lists.example.org"}}},
		{"local policy", evaluation{Published: "reject", Policy: "none", Override: "local_policy", Overrider: "example.com"}, None,
			[]Reason{{"local_policy", ""}}, None, []Reason{{Type: "local_policy"}}},
		{"nonsense", evaluation{Published: "reject", Policy: "reject"}, "burned", []Reason{{"", "told\r\nby bob@example.com"}}, None,
			[]Reason{{Type: "other"}}},
		{"Pass is no disposition for a failure", evaluation{Published: "none", Policy: "none"}, Pass, nil, None, nil},
	} {
		in := failed()
		ev := in.Evaluation
		ev.Published, ev.Policy, ev.Override, ev.Overrider = c.ev.Published, c.ev.Policy, c.ev.Override, c.ev.Overrider
		if c.ev.Result != "" {
			ev.Result, ev.SPFAligned = c.ev.Result, true
		}
		in.Evaluation, in.Disposition, in.Reasons = ev, c.done, c.local
		row, ok := NewRow(in)
		if !ok || row.Disposition != c.want || !slices.Equal(row.Reasons, c.reasons) {
			t.Errorf("%s: %s %q, want %s %q", c.name, row.Disposition, row.Reasons, c.want, c.reasons)
		}
	}
}

func TestNewRowReasonsBounded(t *testing.T) {
	in := failed()
	in.Disposition = None
	for i := range 50 {
		in.Reasons = append(in.Reasons, Reason{"local_policy", fmt.Sprint(i, strings.Repeat("x", 1000))})
	}
	row, _ := NewRow(in)
	if len(row.Reasons) != maxReasons || len(row.Reasons[0].Comment) != maxText {
		t.Errorf("%d reasons, %q", len(row.Reasons), row.Reasons[0].Comment)
	}
}

func TestNewRowEnvelopeFrom(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "", // null reverse-path
		"bob@Example.NET":              "example.net",
		"bob@müller.example":           "xn--mller-kva.example",
		`"a@b"@example.net`:            "example.net",
		"bob@[192.0.2.1]":              "",
		"bob":                          "",
		"bob@":                         "",
		"bob@exa\r\nmple.net":          "",
		"bob@<script>":                 "",
		"bob@\xff\xfe":                 "",
		strings.Repeat("b", 10) + "@a": "a",
	} {
		i := failed()
		i.MailFrom = in
		if row, ok := NewRow(i); !ok || row.EnvelopeFrom != want {
			t.Errorf("%q: %q, want %q", in, row.EnvelopeFrom, want)
		}
	}
}

func TestNewRowSPF(t *testing.T) {
	mf := func(v spf.Verification) []spf.Verification {
		v.Identity = spf.MailFrom
		return []spf.Verification{{Result: authres.Pass, Identity: spf.Helo, Domain: "helo.example"}, v}
	}
	for _, c := range []struct {
		name string
		in   []spf.Verification
		want *SPFResult
	}{
		{"not checked", nil, nil},
		{"only HELO", []spf.Verification{{Result: authres.Pass, Identity: spf.Helo, Domain: "helo.example"}}, nil},
		{"no domain", mf(spf.Verification{Result: authres.None, Reason: "the domain of HELO is empty"}), nil},
		{"no result", mf(spf.Verification{Domain: "a.example"}), nil},
		{"null reverse-path", mf(spf.Verification{Result: authres.Pass, Domain: "helo.example", Sender: "postmaster@helo.example"}),
			&SPFResult{Domain: "helo.example", Result: authres.Pass}},
		{"pass", mf(spf.Verification{Result: authres.Pass, Domain: "a.example", Mechanism: "ip4:192.0.2.0/24", RecordAt: "a.example"}),
			&SPFResult{Domain: "a.example", Result: authres.Pass}},
		{"softfail", mf(spf.Verification{Result: authres.SoftFail, Domain: "a.example", Mechanism: "~all", RecordAt: "_spf.a.example",
			Sender: "all@a.example"}), &SPFResult{Domain: "a.example", Result: authres.SoftFail, Human: "~all of _spf.a.example matches"}},
		{"neutral by default", mf(spf.Verification{Result: authres.Neutral, Domain: "a.example", Reason: "nothing matches"}),
			&SPFResult{Domain: "a.example", Result: authres.Neutral}},
		{"broken record", mf(spf.Verification{Result: authres.PermError, Domain: "a.example", Sender: "bob@a.example",
			Reason: "the SPF record of a.example is invalid: term \"ipv4:\": mechanism is unknown"}),
			&SPFResult{Domain: "a.example", Result: authres.PermError,
				Human: "the SPF record of a.example is invalid: term \"ipv4:\": mechanism is unknown"}},
		{"a name made of the local part", mf(spf.Verification{Result: authres.TempError, Domain: "a.example", Sender: "Bob@a.example",
			Reason: "bob._spf.a.example A: SERVFAIL"}), &SPFResult{Domain: "a.example", Result: authres.TempError}},
		{"a name made of a part of it", mf(spf.Verification{Result: authres.Fail, Domain: "a.example", Sender: "list-bob+x@a.example",
			Mechanism: "-all", RecordAt: "list.bob.a.example"}), &SPFResult{Domain: "a.example", Result: authres.Fail}},
		{"an address", mf(spf.Verification{Result: authres.PermError, Domain: "a.example", Reason: "bob@a.example is no name"}),
			&SPFResult{Domain: "a.example", Result: authres.PermError}},
	} {
		in := failed()
		in.SPF = c.in
		if row, _ := NewRow(in); !reflect.DeepEqual(row.MailFrom, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, row.MailFrom, c.want)
		}
	}
}

// TestNewRowSignatures shows the order of RFC 9990 Section 2.1.3, and that signatures that cannot be named are left out.
func TestNewRowSignatures(t *testing.T) {
	in := failed()
	in.Evaluation.Domain, in.Evaluation.DKIMDomain = "news.example.com", "example.com"
	in.DKIM = []dkim.Verification{
		{Result: authres.PermError, Domain: "bad.example", Selector: "z", Reason: "expired on 2026-11-01T12:00:00Z"},
		{Result: authres.Fail, Domain: "bad.example", Selector: "a", Reason: "the body has changed"},
		{Result: authres.Pass, Domain: "other.example", Selector: "S2024"},
		{Result: authres.Pass, Domain: "mail.example.com", Selector: "b"},
		{Result: authres.Pass, Domain: "news.example.com", Selector: "c"},
		{Result: authres.Pass, Domain: "example.com", Selector: "d"},
		{Result: authres.Policy, Reason: "not evaluated: 3 signatures beyond the first 10"},
		{Result: authres.PermError, Domain: "x.example", Reason: "s= is missing"},
		{Result: authres.PermError, Selector: "x", Reason: "d= is missing"},
		{Result: authres.PermError, Domain: "i.example", Selector: "x", Reason: `i="bob@example.com" is not within d=i.example`},
		{Result: authres.PermError, Domain: "evil.example\r\n<x>", Selector: "x"},
		{Result: authres.Pass, Domain: "evil.example", Selector: "\x00"},
		{Result: "unheard", Domain: "evil.example", Selector: "y"},
		{Result: authres.None, Domain: "none.example", Selector: "y", Reason: "because"},
	}
	want := []Signature{
		{"news.example.com", "c", authres.Pass, ""},
		{"example.com", "d", authres.Pass, ""},
		{"mail.example.com", "b", authres.Pass, ""},
		{"other.example", "S2024", authres.Pass, ""},
		{"bad.example", "a", authres.Fail, "the body has changed"},
		{"bad.example", "z", authres.PermError, "expired"},
		{"i.example", "x", authres.PermError, ""},
		{"none.example", "y", authres.None, ""},
	}
	row, _ := NewRow(in)
	if !slices.Equal(row.Signatures, want) {
		t.Errorf("%+v\nwant %+v", row.Signatures, want)
	}
	slices.Reverse(in.DKIM)
	if other, _ := NewRow(in); !reflect.DeepEqual(row, other) {
		t.Errorf("in another order: %+v\nwant %+v", other, row)
	}
	in.Evaluation.StrictDKIM, in.Evaluation.DKIMDomain = true, "news.example.com"
	if row, _ := NewRow(in); row.Signatures[1].Domain != "example.com" || row.Signatures[3].Domain != "other.example" {
		t.Errorf("strict: %+v", row.Signatures)
	}
}

func TestNewRowSignaturesBounded(t *testing.T) {
	in := passed()
	for i := range 1000 {
		in.DKIM = append(in.DKIM, dkim.Verification{Result: authres.Fail, Domain: fmt.Sprintf("a%d.example", i), Selector: "s"})
	}
	slices.Reverse(in.DKIM)
	row, _ := NewRow(in)
	if len(row.Signatures) != 100 || row.Signatures[0].Domain != "example.com" {
		t.Errorf("%d, first %+v", len(row.Signatures), row.Signatures[0])
	}
}

// TestRowJSON keeps the form in which rows are stored.
func TestRowJSON(t *testing.T) {
	in := passed()
	in.Evaluation.SPFAligned = true
	row, _ := NewRow(in)
	row.Reasons = []Reason{{"other", "why"}}
	const want = `{"policy":{"domain":"example.com","p":"reject","sp":"quarantine","np":"quarantine","adkim":"r","aspf":"r",` +
		`"discovery":"treewalk","fo":"0","rua":["mailto:dmarc@example.com"]},"ip":"192.0.2.1","disposition":"pass","dkim":true,` +
		`"spf":true,"reasons":[{"type":"other","comment":"why"}],"header_from":"example.com","envelope_from":"example.net",` +
		`"signatures":[{"d":"example.com","s":"s1","result":"pass"}],"mail_from":{"domain":"example.net","result":"pass"}}`
	got, err := json.Marshal(row)
	if err != nil || string(got) != want {
		t.Errorf("%v\n     %s\nwant %s", err, got, want)
	}
	var back Row
	if err := json.Unmarshal(got, &back); err != nil || !reflect.DeepEqual(back, row) {
		t.Errorf("%v %+v", err, back)
	}
}

func TestClean(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{" a \t\r\n b ", "a b"},
		{"a\x00b\x1b[0m", "a\ufffdb\ufffd[0m"},
		{"\xff\xfe", "\ufffd\ufffd"},
		{"a\u202eb\u200bc\ufeffd\ufffee", "a\ufffdb\ufffdc\ufffdd\ufffde"},
		{"<&>\"'", "<&>\"'"},
		{"müller 日本", "müller 日本"},
		{strings.Repeat("ü", 20), strings.Repeat("ü", 10)},
		{strings.Repeat("x", 19) + " y", strings.Repeat("x", 19)},
		{strings.Repeat("x", 19) + "ü", strings.Repeat("x", 19)},
	} {
		if got := clean(c.in, 20); got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
}

// TestDay shows that the days of reports neither overlap nor leave gaps (RFC 9990 Section 2.1, date_range).
func TestDay(t *testing.T) {
	zone := time.FixedZone("", 9*3600)
	for in, want := range map[time.Time]int64{
		time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC):      1795219200,
		time.Date(2026, 11, 21, 23, 59, 59, 999, time.UTC): 1795219200,
		time.Date(2026, 11, 22, 8, 59, 59, 0, zone):        1795219200,
		time.Date(2026, 11, 22, 9, 0, 0, 0, zone):          1795305600,
		time.Date(2028, 2, 29, 12, 0, 0, 0, time.UTC):      1835395200,
		time.Date(1970, 1, 1, 0, 0, 1, 0, time.UTC):        0,
		time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC):      1795305600,
		time.Date(2026, 11, 21, 23, 59, 60, 0, time.UTC):   1795305600,
	} {
		p := Day(in)
		if p.begin() != want || p.end() != want+86399 {
			t.Errorf("%s: %d to %d, want %d", in, p.begin(), p.end(), want)
		}
	}
}

// BenchmarkNewRow is what each message costs.
func BenchmarkNewRow(b *testing.B) {
	in := passed()
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := NewRow(in); !ok {
			b.Fatal("no row")
		}
	}
}
