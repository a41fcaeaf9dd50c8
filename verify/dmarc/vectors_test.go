package dmarc

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"assay/verify/authres"
	"assay/verify/dkim"
	"assay/verify/dns"
	"assay/verify/spf"
	"assay/verify/vectors"
)

// load reads a JSON file of the external test vectors, and skips the test where they are not installed.
func load(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(vectors.Path(t, path))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

// A vector is one case of the DMARC suites. A nil field is not checked.
type vector struct {
	Name         string
	Kind         string
	Zone         map[string]string
	Exists       []string
	HeaderFrom   string `json:"header_from"`
	Domain       string
	MailFrom     string
	SPF          authres.Result
	DKIM         [][2]string
	DKIMAligned  *bool `json:"dkim_aligned"`
	SPFAligned   *bool `json:"spf_aligned"`
	Result       *authres.Result
	Policy       *Policy
	PolicyDomain *string `json:"policy_domain"`
	OrgDomain    *string `json:"org_domain"`
	Queries      []string
	RUA          []string
	Accepted     []string
}

func TestVectors(t *testing.T) {
	var suites map[string][]vector
	load(t, "auth/dmarc-mail-auth/cases.json", &suites)
	count := 0
	for suite, cases := range suites {
		for _, c := range cases {
			count++
			t.Run(suite+"/"+c.Name, c.run)
		}
	}
	if count < 20 {
		t.Errorf("only %d cases", count)
	}
}

// run evaluates one case.
func (v vector) run(t *testing.T) {
	var text strings.Builder
	for name, txt := range v.Zone {
		fmt.Fprintf(&text, "%s TXT %q\n", name, txt)
	}
	for _, name := range v.Exists {
		fmt.Fprintf(&text, "%s A 192.0.2.1\n", name)
	}
	r := resolver(t, text.String())
	if v.Kind == "report-address" {
		if got, err := Destinations(t.Context(), r, *v.PolicyDomain, v.RUA); err != nil || !slices.Equal(got, v.Accepted) {
			t.Errorf("got %q, %v, want %q", got, err, v.Accepted)
		}
		return
	}
	if v.HeaderFrom == "" {
		v.HeaderFrom = v.Domain
	}
	in := Input{Author: from(v.HeaderFrom)}
	if v.SPF != "" {
		in.SPF = []spf.Verification{{Result: v.SPF, Identity: spf.MailFrom, Domain: v.MailFrom}}
	}
	for _, s := range v.DKIM {
		in.DKIM = append(in.DKIM, dkim.Verification{Domain: s[0], Result: authres.Result(s[1])})
	}
	ev := Evaluate(t.Context(), r, in, Options{})
	check(t, "result", ev.Result, v.Result)
	check(t, "policy", ev.Policy, v.Policy)
	check(t, "policy domain", ev.PolicyDomain, v.PolicyDomain)
	check(t, "organizational domain", ev.OrgDomain, v.OrgDomain)
	check(t, "SPF alignment", ev.SPFAligned, v.SPFAligned)
	check(t, "DKIM alignment", ev.DKIMAligned, v.DKIMAligned)
	if v.Queries != nil && !slices.Equal(r.asked, v.Queries) {
		t.Errorf("asked %q, want %q", r.asked, v.Queries)
	}
}

// check compares what a case says something about.
func check[T comparable](t *testing.T, what string, got T, want *T) {
	t.Helper()
	if want != nil && got != *want {
		t.Errorf("%s is %v, want %v", what, got, *want)
	}
}

// TestPublicSuffixVectors runs the test list of the public suffix list.
//
// Two of its cases come from a change that was not accepted there: they take the public suffix that is left by the
// exception rule !city.kobe.jp for the registrable domain, and contradict the cases for the exception rule !www.ck in the
// same file. The list's algorithm says: an exception rule loses its leftmost label, and the registrable domain
// is one label more than what is left.
func TestPublicSuffixVectors(t *testing.T) {
	var cases []struct {
		Name        string
		Registrable *string
	}
	load(t, "auth/psl/test_psl.json", &cases)
	disputed := map[string]string{"city.kobe.jp": "city.kobe.jp", "www.city.kobe.jp": "city.kobe.jp"}
	for _, c := range cases {
		got := ""
		if name, err := dns.Canonical(c.Name); err == nil {
			got, _ = registrable(name)
		}
		want := ""
		if c.Registrable != nil {
			var err error
			if want, err = dns.Canonical(*c.Registrable); err != nil {
				t.Fatal(err)
			}
		}
		if algorithm, ok := disputed[c.Name]; ok {
			want = algorithm
		}
		if got != want {
			t.Errorf("%s: %q, want %q", c.Name, got, want)
		}
	}
	if len(cases) < 77 {
		t.Errorf("only %d cases", len(cases))
	}
}
