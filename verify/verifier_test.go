package verify

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"assay/verify/arc"
	"assay/verify/authres"
	"assay/verify/dmarc"
	"assay/verify/dns"
	"assay/verify/dns/zone"
	"assay/verify/message"
)

func parse(t *testing.T, env message.Envelope, text string) *message.Message {
	t.Helper()
	m, err := message.Read(strings.NewReader(strings.ReplaceAll(text, "\n", "\r\n")), env, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func parseZone(t *testing.T, text string) *zone.Zone {
	t.Helper()
	z, err := zone.Parse(strings.NewReader(text), "zone")
	if err != nil {
		t.Fatal(err)
	}
	return z
}

var stranger = message.Envelope{ClientIP: netip.MustParseAddr("192.0.2.1"), Helo: "mail.a.example", MailFrom: "x@a.example",
	ReceivedAt: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}

const signedMail = `DKIM-Signature: v=1; a=rsa-sha256; d=a.example; s=s; h=from; c=relaxed/relaxed;
 bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA
From: x@a.example

hi
`

func TestSkip(t *testing.T) {
	v := New(Options{Resolver: parseZone(t, ""), Trusted: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}})
	loggedIn, local, inside := stranger, stranger, stranger
	loggedIn.AuthUser, local.Local, inside.ClientIP = "erika", true, netip.MustParseAddr("198.51.100.9")
	for env, want := range map[*message.Envelope]Skip{&stranger: "", &loggedIn: SkipAuthenticated, &local: SkipLocal, &inside: SkipNetwork} {
		r := v.Verify(t.Context(), parse(t, *env, signedMail))
		if r.Skipped != want || (want == "") != (len(r.DKIM) == 1) {
			t.Errorf("skipped %q, want %q, %d signatures", r.Skipped, want, len(r.DKIM))
		}
		if (r.Auth.Result == authres.Pass) != (want == SkipAuthenticated) {
			t.Errorf("auth=%s for %q", r.Auth.Result, want)
		}
	}
}

// silent is a resolver that answers nothing until the question is given up.
type silent struct{}

func wait[T any](ctx context.Context) (dns.Answer[T], error) {
	<-ctx.Done()
	return dns.Answer[T]{}, ctx.Err()
}

func (silent) LookupTXT(ctx context.Context, _ string) (dns.Answer[string], error) {
	return wait[string](ctx)
}
func (silent) LookupIP(ctx context.Context, _, _ string) (dns.Answer[netip.Addr], error) {
	return wait[netip.Addr](ctx)
}
func (silent) LookupMX(ctx context.Context, _ string) (dns.Answer[dns.MX], error) {
	return wait[dns.MX](ctx)
}
func (silent) LookupPTR(ctx context.Context, _ netip.Addr) (dns.Answer[string], error) {
	return wait[string](ctx)
}

func TestSilentResolverIsTemporaryWithinTheTimeout(t *testing.T) {
	m := parse(t, stranger, signedMail)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		r := New(Options{Resolver: silent{}, Budget: dns.Budget{Time: 7 * time.Second}}).Verify(t.Context(), m)
		if took := time.Since(start); took > 7*time.Second {
			t.Errorf("took %v", took)
		}
		for method, got := range map[string]authres.Result{"spf": r.SPF[0].Result, "helo": r.SPF[1].Result, "dkim": r.DKIM[0].Result,
			"dmarc": r.DMARC.Result, "iprev": r.IPRev.Result} {
			if got != authres.TempError {
				t.Errorf("%s=%s", method, got)
			}
		}
		if len(r.Faults) != 0 {
			t.Errorf("faults %+v", r.Faults)
		}
	})
}

// bursting is a resolver with a bug.
type bursting struct{ silent }

func (bursting) LookupTXT(context.Context, string) (dns.Answer[string], error) { panic("resolver bug") }

func TestPanicIsPermanentError(t *testing.T) {
	r := New(Options{Resolver: bursting{}, Budget: dns.Budget{Time: time.Second}}).Verify(t.Context(), parse(t, stranger, signedMail))
	for method, got := range map[string]authres.Result{"spf": r.SPF[0].Result, "dkim": r.DKIM[0].Result, "dmarc": r.DMARC.Result} {
		if got != authres.PermError && got != authres.TempError {
			t.Errorf("%s=%s", method, got)
		}
	}
	if len(r.Faults) == 0 || r.Faults[0].Cause == "" || r.Faults[0].Stack == "" {
		t.Errorf("faults %+v", r.Faults)
	}
}

// TestBudgetLeavesThePolicy: a sender who has many names asked for does not escape the policy of the domain in From.
func TestBudgetLeavesThePolicy(t *testing.T) {
	z := parseZone(t, "_dmarc.good.example. TXT \"v=DMARC1; p=reject\"\n")
	var text strings.Builder
	for i := range 10 {
		fmt.Fprintf(&text, "DKIM-Signature: v=1; a=rsa-sha256; d=d%d.evil.test; s=s; h=from; bh=YQ==; b=YQ==\n", i)
	}
	for i := 10; i > 0; i-- {
		cv := map[bool]string{true: "none", false: "pass"}[i == 1]
		fmt.Fprintf(&text, "ARC-Seal: i=%d; a=rsa-sha256; cv=%s; d=a%d.evil.test; s=s; b=YQ==\n"+
			"ARC-Message-Signature: i=%d; a=rsa-sha256; d=b%d.evil.test; s=s; h=from; bh=YQ==; b=YQ==\n"+
			"ARC-Authentication-Results: i=%d; mx.evil.test; none\n", i, cv, i, i, i, i)
	}
	text.WriteString("From: a@good.example\n\nbody\n")
	for range 20 {
		m := parse(t, stranger, text.String())
		r := New(Options{Resolver: z, Budget: dns.Budget{Queries: 20}}).Verify(t.Context(), m)
		if r.DMARC.Result != authres.Fail || r.DMARC.Policy != dmarc.PolicyReject {
			t.Fatalf("%+v", r.DMARC)
		}
	}
}

// TestPanicMakesNoFail: with a check that panicked, nobody knows whether the message would have passed DMARC.
func TestPanicMakesNoFail(t *testing.T) {
	z := parseZone(t, "good.example. TXT \"v=spf1 -all\"\n_dmarc.good.example. TXT \"v=DMARC1; p=reject\"\n")
	for _, test := range []struct {
		faults []Fault
		want   authres.Result
		policy dmarc.Policy
	}{
		{nil, authres.Fail, dmarc.PolicyReject},
		{[]Fault{{Check: "dkim"}}, authres.TempError, ""},
	} {
		m := parse(t, stranger, "From: a@good.example\n\nbody\n")
		run := New(Options{Resolver: z}).Start(t.Context(), &m.Envelope, m.Header)
		run.faults = test.faults
		if ev := run.Finish(m).DMARC; ev.Result != test.want || ev.Policy != test.policy || ev.Published != dmarc.PolicyReject {
			t.Errorf("%v: %+v", test.faults, ev)
		}
		run.Close()
	}
}

func TestAbortedMessageLeavesNoGoroutine(t *testing.T) {
	v := New(Options{Resolver: silent{}})
	m := parse(t, stranger, signedMail)
	before := runtime.NumGoroutine()
	for range 50 {
		v.Start(t.Context(), &m.Envelope, m.Header).Close()
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		runtime.Gosched()
		time.Sleep(time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

func TestOneQuestionEach(t *testing.T) {
	v := New(Options{Resolver: parseZone(t, `
a.example. TXT "v=spf1 mx -all"
a.example. MX 1 mail.a.example.
mail.a.example. A 192.0.2.1
_dmarc.a.example. TXT "v=DMARC1; p=none"
1.2.0.192.in-addr.arpa. PTR mail.a.example.
`)})
	m := parse(t, stranger, signedMail)
	run := v.Start(t.Context(), &m.Envelope, m.Header)
	defer run.Close()
	if r := run.Finish(m); r.DMARC.Result != authres.Pass {
		t.Errorf("dmarc=%s (%s)", r.DMARC.Result, r.DMARC.Reason)
	}
	seen := map[string]bool{}
	for _, q := range run.Questions() {
		key := q.Type + " " + q.Name
		if seen[key] {
			t.Errorf("asked twice: %s", key)
		}
		seen[key] = true
	}
}

// TestForwarderVouchesForOneAuthor: a seal covers the From that it signed, and another one can be put above it.
func TestForwarderVouchesForOneAuthor(t *testing.T) {
	sealed := arc.Verification{
		Result: authres.Pass, Trusted: true, Sealers: []string{"list.example"}, DMARC: authres.Pass, DMARCFrom: "a.example",
	}
	for _, test := range []struct{ name, from, want string }{
		{"one author", "From: x@a.example", "list.example"},
		{"another author", "From: x@b.example", ""},
		{"a From without an address above", "From: The President\nFrom: x@a.example", ""},
		{"another From above", "From: x@b.example\nFrom: x@a.example", ""},
		{"the same From above", "From: x@a.example\nFrom: x@a.example", ""},
		{"unbalanced", "From: The President <x@a.example", ""},
	} {
		m := parse(t, message.Envelope{}, test.from+"\n\nbody\n")
		r := Run{results: Results{ARC: sealed, Author: m.Header.Author()}}
		if got := r.forwarder(); got != test.want {
			t.Errorf("%s: forwarder %q, want %q", test.name, got, test.want)
		}
	}
}

// A body that is not there in full says nothing about a signature: not even that it fails.
func TestIncompleteBodyIsTemporary(t *testing.T) {
	signed := strings.NewReplacer("\n", "\r\n", "rsa-", "ed25519-").Replace(signedMail)
	m, err := message.Read(strings.NewReader(signed+strings.Repeat("x\r\n", 100)), stranger,
		message.Limits{BodyOctets: 50})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	// The key is that of RFC 8463 Appendix A.2.
	z := parseZone(t, `s._domainkey.a.example. TXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="`)
	r := New(Options{Resolver: z}).Verify(t.Context(), m)
	if len(r.DKIM) != 1 || r.DKIM[0].Result != authres.TempError || r.ARC.Result == authres.Pass {
		t.Errorf("dkim %+v, arc %+v", r.DKIM, r.ARC)
	}
}
