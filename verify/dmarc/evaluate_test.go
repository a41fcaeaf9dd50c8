package dmarc

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"assay/verify/authres"
	"assay/verify/dkim"
	"assay/verify/dns"
	"assay/verify/dns/zone"
	"assay/verify/message"
	"assay/verify/spf"
)

// A counter is a resolver that remembers what it was asked.
type counter struct {
	dns.Resolver
	asked []string
}

// LookupTXT implements dns.Resolver.
func (c *counter) LookupTXT(ctx context.Context, name string) (dns.Answer[string], error) {
	c.asked = append(c.asked, name)
	return c.Resolver.LookupTXT(ctx, name)
}

// LookupIP implements dns.Resolver.
func (c *counter) LookupIP(ctx context.Context, network, name string) (dns.Answer[netip.Addr], error) {
	c.asked = append(c.asked, network+" "+name)
	return c.Resolver.LookupIP(ctx, network, name)
}

// resolver answers from a zone file.
func resolver(t testing.TB, text string) *counter {
	t.Helper()
	z, err := zone.Parse(strings.NewReader("$ORIGIN .\n"+text), "test")
	if err != nil {
		t.Fatal(err)
	}
	return &counter{Resolver: z}
}

// from is a message from one author.
func from(domain string) message.Author {
	return message.Author{Fields: 1, Mailboxes: []message.Mailbox{{Local: "a", Domain: domain}}}
}

// mailFrom is a passing check of the MAIL FROM identity.
func mailFrom(domain string) []spf.Verification {
	return []spf.Verification{{Result: authres.Pass, Identity: spf.MailFrom, Domain: domain}}
}

// signed is one passing signature for each domain.
func signed(domains ...string) (out []dkim.Verification) {
	for _, d := range domains {
		out = append(out, dkim.Verification{Result: authres.Pass, Domain: d})
	}
	return out
}

// summary is what most cases are about.
func summary(ev Evaluation) string {
	s := fmt.Sprintf("%s %s/%s at %s", ev.Result, ev.Published, ev.Policy, ev.PolicyDomain)
	if ev.SPFAligned {
		s += " spf"
	}
	if ev.DKIMAligned {
		s += " dkim"
	}
	if ev.Override != "" {
		s += " " + ev.Override
	}
	return s
}

func TestEvaluate(t *testing.T) {
	const example = `_dmarc.example.com TXT "v=DMARC1; p=reject; sp=quarantine; np=none"` + "\nsub.example.com A 192.0.2.1\n"
	tests := []struct {
		name, zone string
		in         Input
		opt        Options
		want       string
	}{
		{"no record", "", Input{Author: from("example.com")}, Options{}, "none / at "},
		{"p of the author domain", example, Input{Author: from("example.com")}, Options{}, "fail reject/reject at example.com"},
		{"sp for a subdomain that exists", example, Input{Author: from("sub.example.com")}, Options{}, "fail quarantine/quarantine at example.com"},
		{"np for a subdomain that does not", example, Input{Author: from("ghost.example.com")}, Options{}, "fail none/none at example.com"},
		{"a name without A record exists", example + "mx.example.com MX 10 x.example.", Input{Author: from("mx.example.com")}, Options{},
			"fail quarantine/quarantine at example.com"},
		{"a name with names below exists", example + "x.ent.example.com A 192.0.2.1", Input{Author: from("ent.example.com")}, Options{},
			"fail quarantine/quarantine at example.com"},
		{"p for subdomains when sp is absent", `_dmarc.example.com TXT "v=DMARC1; p=reject"`, Input{Author: from("sub.example.com")},
			Options{}, "fail reject/reject at example.com"},
		{"author in upper case and with U-labels", `_dmarc.xn--bcher-kva.example TXT "v=DMARC1; p=reject"`,
			Input{Author: from("Bücher.Example."), DKIM: signed("BÜCHER.example")}, Options{}, "pass reject/reject at xn--bcher-kva.example dkim"},

		{"SPF aligned", example, Input{Author: from("example.com"), SPF: mailFrom("bounce.example.com")}, Options{}, "pass reject/reject at example.com spf"},
		{"SPF of HELO does not count", example, Input{Author: from("example.com"),
			SPF: []spf.Verification{{Result: authres.Pass, Identity: spf.Helo, Domain: "example.com"}}}, Options{}, "fail reject/reject at example.com"},
		{"SPF not passing", example, Input{Author: from("example.com"),
			SPF: []spf.Verification{{Result: authres.SoftFail, Identity: spf.MailFrom, Domain: "example.com"}}}, Options{}, "fail reject/reject at example.com"},
		{"DKIM aligned", example, Input{Author: from("sub.example.com"), DKIM: signed("other.example", "example.com")}, Options{},
			"pass quarantine/quarantine at example.com dkim"},
		{"both", example, Input{Author: from("example.com"), SPF: mailFrom("example.com"), DKIM: signed("example.com")}, Options{},
			"pass reject/reject at example.com spf dkim"},
		{"DKIM failing", example, Input{Author: from("example.com"), DKIM: []dkim.Verification{{Result: authres.Fail, Domain: "example.com"}}},
			Options{}, "fail reject/reject at example.com"},
		{"policy is no pass", example, Input{Author: from("example.com"), DKIM: []dkim.Verification{{Result: authres.Policy, Domain: "example.com"}}},
			Options{}, "fail reject/reject at example.com"},
		{"a name that ends alike is no subdomain", example, Input{Author: from("example.com"), DKIM: signed("evilexample.com")}, Options{},
			"fail reject/reject at example.com"},
		{"a parent domain is aligned", example, Input{Author: from("sub.example.com"), SPF: mailFrom("example.com")}, Options{},
			"pass quarantine/quarantine at example.com spf"},
		{"a top-level domain is not", example, Input{Author: from("example.com"), DKIM: signed("com")}, Options{}, "fail reject/reject at example.com"},
		{"strict", `_dmarc.example.com TXT "v=DMARC1; p=reject; aspf=s; adkim=s"`,
			Input{Author: from("example.com"), SPF: mailFrom("sub.example.com"), DKIM: signed("sub.example.com")}, Options{}, "fail reject/reject at example.com"},
		{"strict and the same", `_dmarc.example.com TXT "v=DMARC1; p=reject; aspf=s; adkim=s"`,
			Input{Author: from("example.com"), SPF: mailFrom("example.com"), DKIM: signed("Example.com")}, Options{}, "pass reject/reject at example.com spf dkim"},
		{"strict by the organizational domain's record", `_dmarc.example.com TXT "v=DMARC1; p=reject; adkim=s"`,
			Input{Author: from("sub.example.com"), DKIM: signed("example.com")}, Options{}, "fail reject/reject at example.com"},

		{"several records are discarded, the walk goes on", "_dmarc.sub.example.com TXT \"v=DMARC1; p=none\"\n" +
			"_dmarc.sub.example.com TXT \"v=DMARC1; p=reject\"\n" + `_dmarc.example.com TXT "v=DMARC1; p=quarantine"`,
			Input{Author: from("sub.example.com")}, Options{}, "fail quarantine/quarantine at example.com"},
		{"several records and nothing above", "_dmarc.example.com TXT \"v=DMARC1; p=none\"\n_dmarc.example.com TXT \"v=DMARC1; p=reject\"",
			Input{Author: from("example.com")}, Options{}, "none / at "},
		{"other TXT records beside the record", "_dmarc.example.com TXT \"v=spf1 -all\"\n_dmarc.example.com TXT \"v=DMARC1; p=reject\"\n" +
			"_dmarc.example.com TXT \"v=DMARC2; p=none\"", Input{Author: from("example.com")}, Options{}, "fail reject/reject at example.com"},
		{"no p but an address", `_dmarc.example.com TXT "v=DMARC1; rua=mailto:d@example.com"`, Input{Author: from("example.com")}, Options{},
			"fail none/none at example.com"},
		{"no p and no address", `_dmarc.example.com TXT "v=DMARC1; sp=reject"`, Input{Author: from("example.com"), DKIM: signed("example.com")},
			Options{}, "none / at "},
		{"invalid np spoils p", `_dmarc.example.com TXT "v=DMARC1; p=reject; np=x; rua=mailto:d@example.com"`,
			Input{Author: from("example.com")}, Options{}, "fail none/none at example.com"},

		{"psd=n ends the organization", "_dmarc.dept.example.com TXT \"v=DMARC1; p=none; psd=n\"\n" + `_dmarc.example.com TXT "v=DMARC1; p=reject"`,
			Input{Author: from("a.dept.example.com"), DKIM: signed("example.com")}, Options{}, "fail none/none at dept.example.com"},
		{"psd=n of the other domain", "_dmarc.dept.example.com TXT \"v=DMARC1; p=none; psd=n\"\n" + `_dmarc.example.com TXT "v=DMARC1; p=reject"`,
			Input{Author: from("example.com"), DKIM: signed("a.dept.example.com")}, Options{}, "fail reject/reject at example.com"},
		{"psd=y: the organization is one below", "_dmarc.bank TXT \"v=DMARC1; p=reject; psd=y\"\n" + `_dmarc.giant.bank TXT "v=DMARC1; p=none"`,
			Input{Author: from("a.giant.bank"), DKIM: signed("mega.bank")}, Options{}, "fail none/none at giant.bank"},
		{"record of the public suffix domain", `_dmarc.bank TXT "v=DMARC1; p=reject; sp=quarantine; psd=y"` + "\ngiant.bank A 192.0.2.1",
			Input{Author: from("giant.bank")}, Options{}, "fail quarantine/quarantine at bank"},
		{"record of the public suffix domain, np", `_dmarc.bank TXT "v=DMARC1; p=none; np=reject; psd=y"`,
			Input{Author: from("mail.giant.bank"), DKIM: signed("giant.bank")}, Options{}, "pass reject/reject at bank dkim"},
		{"mail of the public suffix domain itself", `_dmarc.bank TXT "v=DMARC1; p=reject; sp=none; psd=y"`,
			Input{Author: from("bank"), DKIM: signed("giant.bank")}, Options{}, "fail reject/reject at bank"},
		{"a record in between is not used", "_dmarc.b.example.com TXT \"v=DMARC1; p=none\"\n" + `_dmarc.example.com TXT "v=DMARC1; p=reject"`,
			Input{Author: from("a.b.example.com")}, Options{}, "fail reject/reject at example.com"},
		{"no record between seven labels and the author", "_dmarc.b.c.d.e.f.g.example.com TXT \"v=DMARC1; p=none; psd=n\"\n" + `_dmarc.example.com TXT "v=DMARC1; p=reject"`,
			Input{Author: from("mail.a.b.c.d.e.f.g.example.com")}, Options{}, "fail reject/reject at example.com"},

		{"t=y lowers reject", `_dmarc.example.com TXT "v=DMARC1; p=reject; t=y"`, Input{Author: from("example.com")}, Options{},
			"fail reject/quarantine at example.com policy_test_mode"},
		{"t=y lowers quarantine", `_dmarc.example.com TXT "v=DMARC1; p=quarantine; t=y"`, Input{Author: from("example.com")}, Options{},
			"fail quarantine/none at example.com policy_test_mode"},
		{"t=y and none", `_dmarc.example.com TXT "v=DMARC1; p=none; t=y"`, Input{Author: from("example.com")}, Options{}, "fail none/none at example.com"},
		{"t=y and pass", `_dmarc.example.com TXT "v=DMARC1; p=reject; t=y"`, Input{Author: from("example.com"), DKIM: signed("example.com")}, Options{},
			"pass reject/quarantine at example.com dkim"},

		{"stricter local policy", `_dmarc.example.com TXT "v=DMARC1; p=none"`, Input{Author: from("example.com")},
			Options{Overrides: []Override{{Domain: "EXAMPLE.com", Policy: PolicyReject}}}, "fail none/reject at example.com local_policy"},
		{"milder local policy with a reason", example, Input{Author: from("example.com")},
			Options{Overrides: []Override{{Domain: "example.com", Policy: PolicyNone, Reason: OverrideMailingList}}}, "fail reject/none at example.com mailing_list"},
		{"the longest domain counts", example, Input{Author: from("sub.example.com")}, Options{Overrides: []Override{
			{Domain: "com", Policy: PolicyReject}, {Domain: "sub.example.com", Policy: PolicyNone}, {Domain: "example.com", Policy: PolicyReject}}},
			"fail quarantine/none at example.com local_policy"},
		{"local policy of another domain", example, Input{Author: from("example.com")},
			Options{Overrides: []Override{{Domain: "ple.com", Policy: PolicyNone}}}, "fail reject/reject at example.com"},
		{"local policy that changes nothing", example, Input{Author: from("example.com")},
			Options{Overrides: []Override{{Domain: "example.com", Policy: PolicyReject}}}, "fail reject/reject at example.com"},
		{"local policy that is none", example, Input{Author: from("example.com")},
			Options{Overrides: []Override{{Domain: "example.com", Policy: "discard"}}}, "fail reject/reject at example.com"},
		{"local policy and pass", example, Input{Author: from("example.com"), DKIM: signed("example.com")},
			Options{Overrides: []Override{{Domain: "example.com", Policy: PolicyNone}}}, "pass reject/reject at example.com dkim"},
		{"local policy without record", "", Input{Author: from("example.com")},
			Options{Overrides: []Override{{Domain: "example.com", Policy: PolicyReject}}}, "none / at "},
		{"trusted forwarder", example, Input{Author: from("example.com"), Forwarder: "lists.example.org"},
			Options{Overrides: []Override{{Domain: "example.com", Policy: PolicyQuarantine}}}, "fail reject/none at example.com trusted_forwarder"},
		{"trusted forwarder and none", `_dmarc.example.com TXT "v=DMARC1; p=none"`, Input{Author: from("example.com"), Forwarder: "lists.example.org"},
			Options{}, "fail none/none at example.com"},

		{"literal", "", Input{Author: from("[192.0.2.1]")}, Options{}, "permerror / at "},
		{"no author", "", Input{}, Options{}, "permerror / at "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ev := Evaluate(t.Context(), resolver(t, tt.zone), tt.in, tt.opt)
			if got := summary(ev); got != tt.want {
				t.Errorf("got  %s\nwant %s\nreason: %s", got, tt.want, ev.Reason)
			}
			checkInvariants(t, ev)
		})
	}
}

// checkInvariants checks what holds for every evaluation.
func checkInvariants(t *testing.T, ev Evaluation) {
	t.Helper()
	switch ev.Result {
	case authres.Pass:
		if !ev.SPFAligned && !ev.DKIMAligned {
			t.Error("passes without aligned identifier")
		}
	case authres.Fail:
		if ev.SPFAligned || ev.DKIMAligned || ev.Policy.strictness() < 1 {
			t.Errorf("fails with %+v", ev)
		}
	case authres.None, authres.TempError, authres.PermError:
		if ev.Policy != "" {
			t.Errorf("policy %q with %s", ev.Policy, ev.Result)
		}
	default:
		t.Errorf("result %q", ev.Result)
	}
	if ev.Reason == "" && ev.Result != authres.Pass || ev.Discovery == "" {
		t.Errorf("reason %q, discovery %q", ev.Reason, ev.Discovery)
	}
	if ev.DKIMAligned != (ev.DKIMDomain != "") {
		t.Errorf("DKIM aligned %v with %q", ev.DKIMAligned, ev.DKIMDomain)
	}
}

func TestTempError(t *testing.T) {
	const example = `_dmarc.example.com TXT "v=DMARC1; p=reject; np=none"` + "\n"
	temp := func(domain string) []dkim.Verification {
		return []dkim.Verification{{Result: authres.TempError, Domain: domain}}
	}
	tests := []struct {
		name, zone string
		in         Input
		want       string
	}{
		{"author domain", "_dmarc.example.com SERVFAIL", Input{Author: from("example.com"), DKIM: signed("example.com")}, "temperror / at "},
		{"in the walk for a record", example + "_dmarc.b.example.com TIMEOUT", Input{Author: from("a.b.example.com"), DKIM: signed("a.b.example.com")}, "temperror / at "},
		{"above a record, for alignment", example + "_dmarc.com SERVFAIL", Input{Author: from("example.com"), DKIM: signed("sub.example.com")},
			"temperror reject/ at example.com"},
		{"above a record, not needed: exact match", example + "_dmarc.com SERVFAIL", Input{Author: from("example.com"), DKIM: signed("example.com")},
			"pass reject/reject at example.com dkim"},
		{"above a record, not needed: no identifier", example + "_dmarc.com SERVFAIL", Input{Author: from("example.com")}, "fail reject/reject at example.com"},
		{"above a record, not needed: another top-level domain", example + "_dmarc.com SERVFAIL", Input{Author: from("example.com"), DKIM: signed("evil.test")},
			"fail reject/reject at example.com"},
		{"above a record, which could have been the organizational domain", example + "_dmarc.com SERVFAIL",
			Input{Author: from("example.com"), DKIM: signed("other.com")}, "temperror reject/ at example.com"},
		{"above a record, not needed: strict", "_dmarc.com SERVFAIL\n" + `_dmarc.example.com TXT "v=DMARC1; p=reject; adkim=s"`,
			Input{Author: from("example.com"), DKIM: signed("sub.example.com")}, "fail reject/reject at example.com"},
		{"of an identifier", example + "_dmarc.sub.example.com SERVFAIL", Input{Author: from("example.com"), DKIM: signed("sub.example.com")},
			"temperror reject/ at example.com"},
		{"of one identifier while another is aligned", example + "_dmarc.sub.example.com SERVFAIL",
			Input{Author: from("example.com"), DKIM: signed("sub.example.com"), SPF: mailFrom("example.com")}, "pass reject/reject at example.com spf"},
		{"of an identifier outside the organization", example + "_dmarc.evil.test SERVFAIL", Input{Author: from("example.com"), DKIM: signed("evil.test")},
			"fail reject/reject at example.com"},
		{"of a key that would be aligned", example, Input{Author: from("example.com"), DKIM: temp("sub.example.com")}, "temperror reject/ at example.com"},
		{"of a key that would not", example, Input{Author: from("example.com"), DKIM: temp("evil.test")}, "fail reject/reject at example.com"},
		{"of a key while another signature is aligned", example, Input{Author: from("example.com"), DKIM: append(temp("example.com"), signed("example.com")...)},
			"pass reject/reject at example.com dkim"},
		{"of signatures that were not seen", example, Input{Author: from("example.com"), DKIM: temp("")}, "temperror reject/ at example.com"},
		{"of signatures that were not seen, beside one that was", example,
			Input{Author: from("example.com"), DKIM: append(temp(""), signed("example.com")...)}, "pass reject/reject at example.com dkim"},
		{"of SPF", example, Input{Author: from("example.com"), SPF: []spf.Verification{{Result: authres.TempError, Identity: spf.MailFrom, Domain: "example.com"}}},
			"temperror reject/ at example.com"},
		{"of SPF for HELO", example, Input{Author: from("example.com"), SPF: []spf.Verification{{Result: authres.TempError, Identity: spf.Helo, Domain: "example.com"}}},
			"fail reject/reject at example.com"},
		{"of existence", example + "sub.example.com SERVFAIL", Input{Author: from("sub.example.com")}, "temperror reject/ at example.com"},
		{"of existence, not needed", example + "sub.example.com SERVFAIL", Input{Author: from("sub.example.com"), DKIM: signed("example.com")},
			"pass reject/reject at example.com dkim"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ev := Evaluate(t.Context(), resolver(t, tt.zone), tt.in, Options{})
			if got := summary(ev); got != tt.want {
				t.Errorf("got  %s\nwant %s\nreason: %s", got, tt.want, ev.Reason)
			}
			checkInvariants(t, ev)
		})
	}
}

func TestContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ev := Evaluate(ctx, resolver(t, `_dmarc.example.com TXT "v=DMARC1; p=reject"`), Input{Author: from("example.com")}, Options{})
	if ev.Result != authres.TempError || !strings.Contains(ev.Reason, "context canceled") {
		t.Errorf("%s: %s", ev.Result, ev.Reason)
	}
}

func TestAuthorProblems(t *testing.T) {
	const records = `_dmarc.none.test TXT "v=DMARC1; p=none"` + "\n" + `_dmarc.quarantine.test TXT "v=DMARC1; p=quarantine"` + "\n" +
		`_dmarc.reject.test TXT "v=DMARC1; p=reject"` + "\n_dmarc.broken.test SERVFAIL\n"
	author := func(problem message.AuthorProblem, domains ...string) message.Author {
		a := message.Author{Fields: 1, Problem: problem}
		for _, d := range domains {
			a.Mailboxes = append(a.Mailboxes, message.Mailbox{Domain: d})
		}
		return a
	}
	tests := []struct {
		name   string
		author message.Author
		signed []string
		want   string
		domain string
		reason string
	}{
		{"missing", author(message.AuthorMissing), nil, "permerror / at ", "", "there is no From field, or an empty one; no author domain"},
		{"malformed without domain", author(message.AuthorMalformed), nil, "permerror / at ", "", "From is malformed; no author domain"},
		{"malformed, failing", author(message.AuthorMalformed, "reject.test"), nil, "fail reject/reject at reject.test", "reject.test",
			"From is malformed; neither SPF nor DKIM authenticates a domain"},
		{"malformed, authenticated", author(message.AuthorMalformed, "reject.test"), []string{"reject.test"}, "permerror / at ", "reject.test",
			"From is malformed; none of these domains fails: reject.test"},
		{"malformed, no record", author(message.AuthorMalformed, "x.test"), nil, "permerror / at ", "x.test", "From is malformed; none of these domains fails: x.test"},
		{"several fields of one authenticated domain", author(message.AuthorSeveralFields, "reject.test", "reject.test"), []string{"reject.test"},
			"permerror / at ", "reject.test", "there are several From fields; none of these domains fails: reject.test"},
		{"strictest of those that fail", author(message.AuthorSeveral, "none.test", "reject.test", "quarantine.test"), []string{"none.test"},
			"fail reject/reject at reject.test", "reject.test", "From names several authors; not aligned with reject.test: DKIM d=none.test"},
		{"strict one is authenticated", author(message.AuthorSeveral, "reject.test", "none.test"), []string{"reject.test"},
			"fail none/none at none.test", "none.test", "From names several authors; not aligned with none.test: DKIM d=reject.test"},
		{"all are authenticated", author(message.AuthorSeveral, "reject.test", "none.test"), []string{"none.test", "reject.test"},
			"permerror / at ", "reject.test", "From names several authors; none of these domains fails: reject.test, none.test"},
		{"one without answer", author(message.AuthorSeveral, "x.test", "broken.test"), nil, "temperror / at ", "broken.test", "From names several authors; TXT _dmarc.broken.test: no answer"},
		{"failure before no answer", author(message.AuthorSeveral, "broken.test", "none.test"), nil, "fail none/none at none.test", "none.test", ""},
		{"limit", author(message.AuthorSeveral, "a.test", "b.test", "c.test", "reject.test"), nil, "permerror / at ", "a.test",
			"From names several authors; 3 of 4 domains evaluated; none of these domains fails: a.test, b.test, c.test"},
		{"group", author(message.AuthorGroup, "reject.test"), []string{"reject.test"}, "permerror / at ", "reject.test", "From is a group; none of these"},
		{"empty group", author(message.AuthorGroup), nil, "permerror / at ", "", "From is a group; no author domain"},
		{"several of one domain, authenticated", author(message.AuthorSeveral, "reject.test", "REJECT.test"), []string{"reject.test"},
			"pass reject/reject at reject.test dkim", "reject.test", ""},
		{"several of one domain, failing", author(message.AuthorSeveral, "reject.test", "reject.test"), nil, "fail reject/reject at reject.test", "reject.test", ""},
		{"several of one domain, no record", author(message.AuthorSeveral, "x.test", "x.test"), nil, "permerror / at ", "x.test", "From names several authors"},
		{"domain and literal", author(message.AuthorSeveral, "reject.test", "[192.0.2.1]"), []string{"reject.test"}, "permerror / at ", "reject.test", ""},
		{"several that are not declared", author("", "reject.test", "none.test"), []string{"none.test"}, "fail reject/reject at reject.test", "reject.test", ""},
		{"literal", author("", "[192.0.2.1]"), nil, "permerror / at ", "", `the author's address has no domain name but "[192.0.2.1]"`},
		{"empty domain", author("", ""), nil, "permerror / at ", "", `the author's address has no domain name but ""`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ev := Evaluate(t.Context(), resolver(t, records), Input{Author: tt.author, DKIM: signed(tt.signed...)}, Options{})
			if got := summary(ev); got != tt.want || ev.Domain != tt.domain || !strings.HasPrefix(ev.Reason, tt.reason) {
				t.Errorf("got  %s, domain %q, %s\nwant %s, domain %q, %s", got, ev.Domain, ev.Reason, tt.want, tt.domain, tt.reason)
			}
			checkInvariants(t, ev)
		})
	}
}

func TestQueries(t *testing.T) {
	tests := []struct {
		name, zone string
		in         Input
		want       []string
	}{
		{"author domain with record", `_dmarc.example.com TXT "v=DMARC1; p=reject"`, Input{Author: from("example.com"), DKIM: signed("example.com", "esp.test")},
			[]string{"_dmarc.example.com", "_dmarc.com"}},
		{"walk is shared", `_dmarc.example.com TXT "v=DMARC1; p=reject"`,
			Input{Author: from("a.example.com"), DKIM: signed("b.example.com", "b.example.com"), SPF: mailFrom("b.example.com")},
			[]string{"_dmarc.a.example.com", "_dmarc.example.com", "_dmarc.com", "_dmarc.b.example.com"}},
		{"psd=y stops", `_dmarc.bank TXT "v=DMARC1; p=reject; psd=y"`, Input{Author: from("a.giant.bank")},
			[]string{"_dmarc.a.giant.bank", "_dmarc.giant.bank", "_dmarc.bank"}},
		{"psd=n stops", `_dmarc.giant.bank TXT "v=DMARC1; p=reject; psd=n"`, Input{Author: from("giant.bank")}, []string{"_dmarc.giant.bank"}},
		{"np asks for the name", `_dmarc.example.com TXT "v=DMARC1; p=none; np=reject"`, Input{Author: from("a.example.com")},
			[]string{"_dmarc.a.example.com", "_dmarc.example.com", "_dmarc.com", "ip4 a.example.com"}},
		{"np that changes nothing does not", `_dmarc.example.com TXT "v=DMARC1; p=none; sp=reject; np=reject"`, Input{Author: from("a.example.com")},
			[]string{"_dmarc.a.example.com", "_dmarc.example.com", "_dmarc.com"}},
		{"nor does it when a name below exists", "_dmarc.a.example.com A 192.0.2.1\n" + `_dmarc.example.com TXT "v=DMARC1; p=none; np=reject"`,
			Input{Author: from("a.example.com")}, []string{"_dmarc.a.example.com", "_dmarc.example.com", "_dmarc.com"}},
		{"eight labels", "", Input{Author: from("a.b.c.d.e.f.example.com")}, []string{"_dmarc.a.b.c.d.e.f.example.com", "_dmarc.b.c.d.e.f.example.com",
			"_dmarc.c.d.e.f.example.com", "_dmarc.d.e.f.example.com", "_dmarc.e.f.example.com", "_dmarc.f.example.com", "_dmarc.example.com", "_dmarc.com"}},
		{"a name that is too long is not asked for", "", Input{Author: from(strings.Repeat("a.", 119) + "longest.test")},
			[]string{"_dmarc.a.a.a.a.a.longest.test", "_dmarc.a.a.a.a.longest.test", "_dmarc.a.a.a.longest.test", "_dmarc.a.a.longest.test",
				"_dmarc.a.longest.test", "_dmarc.longest.test", "_dmarc.test"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := resolver(t, tt.zone)
			Evaluate(t.Context(), r, tt.in, Options{})
			if !slices.Equal(r.asked, tt.want) {
				t.Errorf("asked %q\nwant  %q", r.asked, tt.want)
			}
		})
	}
}

// TestManyIdentifiers checks that a message full of signatures cannot make many queries, and that those that cost nothing
// cannot keep the message from failing.
func TestManyIdentifiers(t *testing.T) {
	var outside, inside []string
	for i := range 1000 {
		outside = append(outside, fmt.Sprintf("a%d.evil.test", i))
		inside = append(inside, fmt.Sprintf("a%d.b.c.d.example.com", i))
	}
	const record = "_dmarc.example.com TXT \"v=DMARC1; p=reject\"\n_dmarc.d.example.com TXT \"v=DMARC1; p=reject; psd=n\""
	r := resolver(t, record)
	if ev := Evaluate(t.Context(), r, Input{Author: from("example.com"), DKIM: signed(outside...)}, Options{}); ev.Result != authres.Fail || len(r.asked) > 2 {
		t.Errorf("%s after %d queries", ev.Result, len(r.asked))
	}
	r = resolver(t, record)
	if ev := Evaluate(t.Context(), r, Input{Author: from("example.com"), DKIM: signed(inside...)}, Options{}); ev.Result != authres.TempError || len(r.asked) > 30 {
		t.Errorf("%s after %d queries", ev.Result, len(r.asked))
	}
	r = resolver(t, record)
	in := Input{Author: from("example.com"), DKIM: signed(append(inside, "example.com")...)}
	if ev := Evaluate(t.Context(), r, in, Options{}); ev.Result != authres.Pass || len(r.asked) > 30 {
		t.Errorf("%s after %d queries", ev.Result, len(r.asked))
	}
}

func TestOrgDomain(t *testing.T) {
	const records = "_dmarc.example.com TXT \"v=DMARC1; p=reject\"\n_dmarc.sub.example.com TXT \"v=DMARC1; p=reject\"\n_dmarc.org SERVFAIL\n" +
		`_dmarc.example.org TXT "v=DMARC1; p=reject"`
	for domain, want := range map[string]string{"sub.example.com": "example.com", "x.test": "x.test", "example.org": ""} {
		ev := Evaluate(t.Context(), resolver(t, records), Input{Author: from(domain), DKIM: signed(domain)}, Options{})
		if ev.OrgDomain != want {
			t.Errorf("%s: organizational domain %q, want %q", domain, ev.OrgDomain, want)
		}
	}
}

func TestDiscovery(t *testing.T) {
	const records = "_dmarc.example.co.uk TXT \"v=DMARC1; p=reject; sp=quarantine\"\n_dmarc.co.uk TXT \"v=DMARC1; p=none\"\n" +
		"_dmarc.b.example.com TXT \"v=DMARC1; p=none\"\n_dmarc.example.com TXT \"v=DMARC1; p=reject\""
	tests := []struct {
		name       string
		in         Input
		discovery  Discovery
		want       string
		difference string
	}{
		{"tree walk goes to the record with the fewest labels", Input{Author: from("example.co.uk"), DKIM: signed("other.co.uk")}, TreeWalk,
			"pass reject/reject at example.co.uk dkim", ""},
		{"public suffix list", Input{Author: from("example.co.uk"), DKIM: signed("other.co.uk")}, PSL, "fail reject/reject at example.co.uk", ""},
		{"public suffix list, subdomain", Input{Author: from("a.b.example.co.uk"), SPF: mailFrom("c.example.co.uk")}, PSL,
			"pass quarantine/quarantine at example.co.uk spf", ""},
		{"both and different", Input{Author: from("example.co.uk"), DKIM: signed("other.co.uk")}, Both, "pass reject/reject at example.co.uk dkim",
			`by public suffix list: result "fail" instead of "pass", organizational domain "example.co.uk" instead of "co.uk"`},
		{"both and the same", Input{Author: from("example.com"), DKIM: signed("b.example.com")}, Both, "pass reject/reject at example.com dkim", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ev := Evaluate(t.Context(), resolver(t, records), tt.in, Options{Discovery: tt.discovery, Explain: true})
			if got := summary(ev); got != tt.want || ev.Difference != tt.difference || !strings.HasSuffix(ev.Reason, tt.difference) {
				t.Errorf("got  %s, difference %s, reason %s\nwant %s, difference %s\n%s", got, ev.Difference, ev.Reason, tt.want, tt.difference,
					strings.Join(ev.Steps, "\n"))
			}
			if want := map[Discovery]string{PSL: "psl"}[tt.discovery]; want != "" && ev.Discovery != want {
				t.Errorf("discovery %q", ev.Discovery)
			}
		})
	}
}

func TestSteps(t *testing.T) {
	r := resolver(t, `_dmarc.example.com TXT "v=DMARC1; p=none; np=reject; adkim=x"`)
	in := Input{Author: from("ghost.example.com"), SPF: mailFrom("esp.test"), DKIM: signed("esp.com", "example.com")}
	ev := Evaluate(t.Context(), r, in, Options{Explain: true})
	want := []string{
		"TXT _dmarc.ghost.example.com: no such name",
		`TXT _dmarc.example.com: "v=DMARC1; p=none; np=reject; adkim=x"`,
		`ignored: "adkim=x"`,
		"TXT _dmarc.com: no such name",
		"SPF MAIL FROM esp.test is outside com",
		"DKIM d=esp.com is outside example.com",
		"DKIM d=example.com: organizational domain example.com, that of the author is example.com",
		"A ghost.example.com: no such name",
		"ghost.example.com: pass, published policy reject of example.com, to be applied reject",
	}
	if !slices.Equal(ev.Steps, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(ev.Steps, "\n"), strings.Join(want, "\n"))
	}
	if ev := Evaluate(t.Context(), r, in, Options{}); ev.Steps != nil {
		t.Error("steps although nobody asked")
	}
}

func TestDestinations(t *testing.T) {
	const records = "_dmarc.example.org TXT \"v=DMARC1; p=none\"\n_dmarc.sub.example.org TXT \"v=DMARC1; p=none\"\n" +
		"sub.example.org._report._dmarc.yes.test TXT \"v=DMARC1;\"\nsub.example.org._report._dmarc.no.test TXT \"v=spf1\"\n" +
		"sub.example.org._report._dmarc.other.test TXT \"v=DMARC1; rua=mailto:elsewhere@other.test\"\n" +
		"sub.example.org._report._dmarc.thief.test TXT \"v=DMARC1; rua=mailto:a@victim.test\"\n" +
		"sub.example.org._report._dmarc.slow.test TIMEOUT\n"
	got, err := Destinations(t.Context(), resolver(t, records), "Sub.Example.ORG", []string{
		"mailto:a@example.org", "mailto:a@x.sub.example.org", "https://r.example.org:8443/x?y", "mailto:a@yes.test", "mailto:a@no.test",
		"mailto:a@other.test", "mailto:a@thief.test", "mailto:a@slow.test", "mailto:a@unheard.test", "urn:x", "mailto:a@b.example.org"})
	want := []string{"mailto:a@example.org", "mailto:a@x.sub.example.org", "https://r.example.org:8443/x?y", "mailto:a@yes.test", "mailto:elsewhere@other.test"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if !errors.Is(err, dns.ErrTemporary) || !strings.Contains(err.Error(), "slow.test") {
		t.Errorf("error %v", err)
	}
}

// FuzzEvaluate checks that no message and no record makes an evaluation panic, ask without bound, or contradict itself.
func FuzzEvaluate(f *testing.F) {
	f.Add("example.com", "sub.example.com", "example.com", "v=DMARC1; p=reject; psd=n", "v=DMARC1; np=none; p=reject", byte(0))
	f.Add("a.b.c.d.e.f.g.h.example.com", "[192.0.2.1]", "b\u00fccher.example", "v=DMARC1; psd=y; p=none; t=y", "", byte(9))
	f.Add("com", "", ".", "v=DMARC1", "v=DMARC1; rua=mailto:a@b", byte(255))
	f.Fuzz(func(t *testing.T, author, other, id, near, far string, mode byte) {
		r := &bounded{near: near, far: far, mode: mode}
		in := Input{Author: from(author), SPF: mailFrom(id), DKIM: signed(other, id)}
		switch mode & 3 {
		case 1:
			in.Author.Mailboxes = append(in.Author.Mailboxes, message.Mailbox{Domain: other})
			in.Author.Problem = message.AuthorSeveral
		case 2:
			in.Author.Problem = message.AuthorMalformed
		case 3:
			in.DKIM[0].Result = authres.TempError
		}
		opt := Options{Discovery: []Discovery{TreeWalk, PSL, Both}[int(mode>>2)%3], Explain: true}
		ev := Evaluate(t.Context(), r, in, opt)
		checkInvariants(t, ev)
		// Two authors and two more identifiers, each one walk and one question whether it exists.
		if r.asked > 4*(8+1) {
			t.Fatalf("%d queries", r.asked)
		}
		if in.Author.Problem != "" && ev.Result == authres.None {
			t.Fatal("a bad From ends as none")
		}
		if again := Evaluate(t.Context(), r, in, opt); again.Result != ev.Result || again.Reason != ev.Reason {
			t.Fatalf("%s %q, then %s %q", ev.Result, ev.Reason, again.Result, again.Reason)
		}
	})
}

// A bounded resolver answers near for long names and far for short ones, and fails as mode says.
type bounded struct {
	near, far string
	mode      byte
	asked     int
}

// LookupTXT implements dns.Resolver.
func (b *bounded) LookupTXT(_ context.Context, name string) (dns.Answer[string], error) {
	b.asked++
	if _, err := dns.Canonical(name); err != nil {
		panic("asked for " + name)
	}
	switch n := strings.Count(name, "."); {
	case b.mode&16 != 0 && n == 1:
		return dns.Answer[string]{}, dns.ErrTemporary
	case n > 2 && b.near != "":
		return dns.Answer[string]{Records: []string{b.near}}, nil
	case n <= 2 && b.far != "":
		return dns.Answer[string]{Records: []string{b.far, "other"}}, nil
	}
	return dns.Answer[string]{}, dns.ErrNXDomain
}

// LookupIP implements dns.Resolver.
func (b *bounded) LookupIP(context.Context, string, string) (dns.Answer[netip.Addr], error) {
	b.asked++
	if b.mode&32 != 0 {
		return dns.Answer[netip.Addr]{}, dns.ErrTemporary
	}
	return dns.Answer[netip.Addr]{}, dns.ErrNXDomain
}

// LookupMX implements dns.Resolver. Nobody asks.
func (b *bounded) LookupMX(context.Context, string) (dns.Answer[dns.MX], error) {
	panic("nobody needs MX records")
}

// LookupPTR implements dns.Resolver. Nobody asks.
func (b *bounded) LookupPTR(context.Context, netip.Addr) (dns.Answer[string], error) {
	panic("nobody needs PTR records")
}

func BenchmarkEvaluate(b *testing.B) {
	r := resolver(b, `_dmarc.example.com TXT "v=DMARC1; p=reject; rua=mailto:dmarc@example.com"`)
	in := Input{Author: from("news.example.com"), SPF: mailFrom("bounce.example.com"), DKIM: signed("example.com", "esp.test")}
	b.ReportAllocs()
	for b.Loop() {
		r.asked = r.asked[:0]
		if ev := Evaluate(b.Context(), r, in, Options{}); ev.Result != authres.Pass {
			b.Fatal(ev.Reason)
		}
	}
}
