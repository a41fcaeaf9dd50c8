package spf

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"

	oracle "blitiri.com.ar/go/spf"

	"assay/verify/authres"
	"assay/verify/dns"
)

// oracleResolver answers the oracle from a zone, in the way it understands: errors are bare *net.DNSError, names that
// cannot exist do not exist. Like the evaluator under test it gets addresses of the client's family only, and of both
// when it asks for "exists", which the zone cannot tell; a rule below covers that.
type oracleResolver struct {
	z  *zone
	ip netip.Addr
}

func oracleError(err error) error {
	if errors.Is(err, dns.ErrNotFound) {
		return &net.DNSError{IsNotFound: true}
	}
	return &net.DNSError{IsTimeout: true, IsTemporary: true}
}

func oracleAnswer[T, U any](name string, a dns.Answer[T], err error, convert func(T) U) ([]U, error) {
	if !isQueryable(strings.TrimSuffix(name, ".")) {
		err = dns.ErrNotFound
	}
	if err != nil {
		return nil, oracleError(err)
	}
	var out []U
	for _, r := range a.Records {
		out = append(out, convert(r))
	}
	return out, nil
}

func (o oracleResolver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	a, err := o.z.LookupTXT(ctx, name)
	return oracleAnswer(name, a, err, func(s string) string { return s })
}

func (o oracleResolver) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	a, err := o.z.LookupMX(ctx, name)
	return oracleAnswer(name, a, err, func(mx dns.MX) *net.MX { return &net.MX{Host: mx.Host, Pref: mx.Preference} })
}

func (o oracleResolver) LookupIPAddr(ctx context.Context, name string) ([]net.IPAddr, error) {
	network := "ip6"
	if o.ip.Is4() {
		network = "ip4"
	}
	a, err := o.z.LookupIP(ctx, network, name)
	return oracleAnswer(name, a, err, func(ip netip.Addr) net.IPAddr { return net.IPAddr{IP: ip.AsSlice()} })
}

func (o oracleResolver) LookupAddr(ctx context.Context, _ string) ([]string, error) {
	a, err := o.z.LookupPTR(ctx, o.ip)
	return oracleAnswer("a.example", a, err, func(s string) string { return s })
}

// A difference is one evaluation with two results.
type difference struct {
	z      *zone
	in     Input
	ours   Verification
	theirs oracle.Result
	err    error // why theirs is what it is
}

// seen reports whether any record that was read in the evaluation has one of words in it.
func (d difference) seen(words ...string) bool {
	for _, asked := range d.z.asked {
		name, isTXT := strings.CutPrefix(asked, "TXT ")
		for _, r := range d.z.records[name] {
			for _, word := range words {
				if isTXT && r.kind == "TXT" && strings.Contains(strings.ToLower(r.value), word) {
					return true
				}
			}
		}
	}
	return false
}

// invalid reports whether any record that was read has a syntax error.
func (d difference) invalid() bool {
	return strings.Contains(d.ours.Reason, "is invalid: ")
}

// voids reports whether a limit of void lookups decided for one side. Each side counts them by a rule of its own.
func (d difference) voids() bool {
	return strings.Contains(d.ours.Reason, "name what does not exist") || errors.Is(d.err, oracle.ErrVoidLookupLimitReached)
}

// A rule explains differences: why the oracle's result is not what the RFC asks for.
type rule struct {
	section string
	why     string
	applies func(d difference) bool
}

func rules() []rule {
	return []rule{
		{"4.6", "a syntax error anywhere makes the record invalid; the oracle stops at the first match", difference.invalid},
		{"4.3", "an identity is split at the last @, and a missing local-part is postmaster", func(d difference) bool {
			return (strings.HasPrefix(d.in.MailFrom, `"`) || strings.HasPrefix(d.in.MailFrom, "@")) && d.in.Identity == MailFrom
		}},
		{"5", "an IPv4-mapped network in ip6 matches no IPv4 client", func(d difference) bool {
			return d.seen("ip6:::ffff:") && d.in.IP.Unmap().Is4()
		}},
		{"5.4", "a mail exchanger matches before the next one is asked for", func(d difference) bool {
			return d.seen("mx") && d.theirs == oracle.TempError
		}},
		{"5.7", "exists asks for A, whatever the client's family", func(d difference) bool {
			return d.seen("exists:") && !d.in.IP.Unmap().Is4()
		}},
		{"7.1", "a slash is a macro-literal and a delimiter; the oracle allows none in a domain", func(d difference) bool {
			return d.seen("x/y", "%{l/}") && (errors.Is(d.err, oracle.ErrInvalidMacro) || errors.Is(d.err, oracle.ErrInvalidMask))
		}},
		{"7.3", "p is the validated name of the client; the oracle always says unknown", func(d difference) bool {
			return d.seen("%{p}")
		}},
		{"7.3", "adjacent delimiters make empty parts; the oracle drops them", func(d difference) bool {
			return d.seen("%{l") && strings.Contains(d.in.MailFrom, "..")
		}},
		{"7.3", "a name that is too long loses labels from the left", func(d difference) bool {
			return d.seen("%{o}.%{o}.%{o}")
		}},
		{"4.8", "a macro can expand to nothing, which is a name that does not exist and no syntax error", func(d difference) bool {
			return d.seen("%{h}") && d.in.Helo == ""
		}},
		{"4.6.4", "a term is void once, also an mx without any address; a name that cannot exist is not looked up", difference.voids},
	}
}

// TestOracle compares 60,000 evaluations of generated zones with another implementation. No difference may be without a
// rule, and no rule without a difference.
func TestOracle(t *testing.T) {
	random := rand.New(rand.NewPCG(7208, 2014))
	c := chooser(random.IntN)
	used := map[string]int{}
	results := map[authres.Result]int{}
	for range 60000 {
		d := compare(t, c)
		results[d.ours.Result]++
		if string(d.ours.Result) == string(d.theirs) {
			continue
		}
		if why := explain(d); why != "" {
			used[why]++
			continue
		}
		t.Errorf("%+v\nours %s: %s; theirs %s: %v", d.in, d.ours.Result, d.ours.Reason, d.theirs, d.err)
		for _, name := range names() {
			t.Logf("  %s: %q", name, d.z.records[name])
		}
		if used[""]++; used[""] > 5 {
			t.FailNow()
		}
	}
	t.Logf("results: %v", results)
	for _, r := range rules() {
		t.Logf("%5d differences by RFC 7208 Section %s: %s", used[r.why], r.section, r.why)
		if used[r.why] == 0 {
			t.Error("the rule above explains nothing")
		}
	}
	for _, r := range []authres.Result{"none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"} {
		if results[r] < 500 {
			t.Errorf("only %d results are %s", results[r], r)
		}
	}
}

// explain returns the first rule that applies to d.
func explain(d difference) string {
	for _, r := range rules() {
		if r.applies(d) {
			return r.why
		}
	}
	return ""
}

// compare evaluates one generated case on both sides. The oracle does not know the HELO identity and the null
// reverse-path by themselves, so they are put in its words.
func compare(t *testing.T, c chooser) difference {
	t.Helper()
	d := difference{in: c.input()}
	d.z = c.zone(d.in.IP)
	d.ours = Verify(t.Context(), d.z, d.in, Options{MaxQueries: 1000})
	checkResult(t, d.ours)
	sender := d.in.MailFrom
	if sender == "" || d.in.Identity == Helo {
		sender = "postmaster@" + d.in.Helo
	}
	if !strings.Contains(sender, "@") {
		sender += "@"
	}
	ip := d.in.IP.Unmap()
	if _, domain := splitSender(sender); domain == "" {
		d.theirs = oracle.None // it would take the HELO name
		return d
	}
	d.theirs, d.err = oracle.CheckHostWithSender(ip.AsSlice(), d.in.Helo, sender, oracle.WithContext(t.Context()),
		oracle.WithResolver(oracleResolver{d.z, ip}))
	return d
}

// checkResult checks that a non-pass says why.
func checkResult(t *testing.T, v Verification) {
	t.Helper()
	if (v.Reason == "") != (v.Result == authres.Pass) {
		t.Errorf("result %s has reason %q", v.Result, v.Reason)
	}
}
