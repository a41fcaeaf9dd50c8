package dkim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"assay/verify/authres"
	"assay/verify/dns"
	"assay/verify/message"
)

// signedBy returns a good signature field of a domain, with a selector.
func signedBy(t testing.TB, domain, selector string) string {
	field := strings.NewReplacer("d=example.com", "d="+domain, "s=sel", "s="+selector).Replace(probeField)
	return rsaSigner().sign(t, mail{probeHeader, probeBody, field, -1})
}

// anyKey answers every question with the key of the tests.
type anyKey struct{ records }

func (anyKey) LookupTXT(context.Context, string) (dns.Answer[string], error) {
	return dns.Answer[string]{Records: []string{rsaSigner().record}, Secure: true}, nil
}

func TestVerifyMessage(t *testing.T) {
	m := read(t, signedBy(t, "example.com", "sel")+probeHeader+"\r\n"+probeBody, at)
	vs := Verify(t.Context(), anyKey{}, m, Options{})
	if len(vs) != 1 || vs[0].Result != authres.Pass || !vs[0].KeySecure || vs[0].Steps != nil {
		t.Errorf("%+v", vs)
	}
	if vs := Verify(t.Context(), anyKey{}, read(t, probeHeader+"\r\n"+probeBody, at), Options{}); len(vs) != 0 {
		t.Errorf("unsigned: %+v", vs)
	}
}

// TestNoBody: a message may end with its header, with or without the empty line.
func TestNoBody(t *testing.T) {
	for _, c := range []string{"relaxed/relaxed", "simple/simple"} {
		field := strings.Replace(probeField, "relaxed/relaxed", c, 1)
		signed := rsaSigner().sign(t, mail{probeHeader, "", field, -1})
		for _, end := range []string{"", "\r\n", "\r\n\r\n"} {
			m := read(t, signed+probeHeader+end, at)
			if vs := Verify(t.Context(), anyKey{}, m, Options{Explain: true}); len(vs) != 1 || vs[0].Result != authres.Pass {
				t.Errorf("%s, %q: %+v", c, end, vs)
			}
		}
	}
}

// TestResultWithoutAnswer: what the DNS does not answer is temperror in every wrapping, and never anything else.
func TestResultWithoutAnswer(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		want authres.Result
	}{
		{"NXDOMAIN", dns.ErrNXDomain, authres.PermError},
		{"no data", dns.ErrNotFound, authres.PermError},
		{"no data, wrapped", fmt.Errorf("zone: %w", dns.ErrNotFound), authres.PermError},
		{"SERVFAIL", dns.ErrTemporary, authres.TempError},
		{"budget", dns.ErrBudget, authres.TempError},
		{"budget, wrapped", fmt.Errorf("a: %w", fmt.Errorf("b: %w", dns.ErrBudget)), authres.TempError},
		{"deadline", context.DeadlineExceeded, authres.TempError},
		{"canceled, wrapped", fmt.Errorf("a: %w", context.Canceled), authres.TempError},
		{"unknown", errors.New("out of cheese"), authres.TempError},
	} {
		h := header(signedBy(t, "example.com", "sel") + probeHeader)
		vs := verifyParts(t, records{"sel._domainkey.example.com": test.err}, h, []byte(probeBody), 100, Options{})
		if vs[0].Result != test.want || !strings.Contains(vs[0].Reason, "sel._domainkey.example.com") {
			t.Errorf("%s: %s %q, want %s", test.name, vs[0].Result, vs[0].Reason, test.want)
		}
	}
}

// TestPanickingResolver: the lookups have goroutines of their own, where nobody else could recover.
func TestPanickingResolver(t *testing.T) {
	zone := records{"sel._domainkey.example.com": func(context.Context) error { panic("out of cheese") }}
	vs := verifyParts(t, zone, header(signedBy(t, "example.com", "sel")+probeHeader), []byte(probeBody), 100, Options{})
	if vs[0].Result != authres.TempError || !strings.Contains(vs[0].Reason, "panic: out of cheese") {
		t.Errorf("%+v", vs[0])
	}
}

// TestSeveralRecords: RFC 6376 Section 6.1.2 allows to try each of several records.
func TestSeveralRecords(t *testing.T) {
	good, other := rsaSigner().record, edSigner().record
	many := make([]string, 100)
	for i := range many {
		many[i] = fmt.Sprintf("v=spf1 ip4:192.0.2.%d -all", i)
	}
	for _, test := range []struct {
		name    string
		records []string
		want    authres.Result
	}{
		{"with an SPF record", []string{"v=spf1 -all", good}, authres.Pass},
		{"the other way round", []string{good, "v=spf1 -all"}, authres.Pass},
		{"with a key of another type", []string{other, good}, authres.Pass},
		{"with a revoked key", []string{"v=DKIM1; p=", good}, authres.Pass},
		{"without a key", []string{"v=spf1 -all", "x"}, authres.PermError},
		{"none", []string{}, authres.PermError},
		{"a heap of them", many, authres.PermError},
		{"wrong keys", []string{other, other + "; n=2"}, authres.PermError},
	} {
		h := header(signedBy(t, "example.com", "sel") + probeHeader)
		vs := verifyParts(t, records{"sel._domainkey.example.com": test.records}, h, []byte(probeBody), 100, Options{})
		if vs[0].Result != test.want {
			t.Errorf("%s: %s %q, want %s", test.name, vs[0].Result, vs[0].Reason, test.want)
		}
	}
}

// TestUnicodeDomain: RFC 8616 allows U-labels in d=, s= and i=; the key is at the A-labels.
func TestUnicodeDomain(t *testing.T) {
	edits := strings.NewReplacer("d=example.com", "d=BÜCHER.example", "s=sel", "s=grün; i=älice@Shop.xn--bcher-kva.example")
	signed := rsaSigner().sign(t, mail{probeHeader, probeBody, edits.Replace(probeField), -1})
	zone := records{"xn--grn-ioa._domainkey.xn--bcher-kva.example": rsaSigner().record}
	v := verifyParts(t, zone, header(signed+probeHeader), []byte(probeBody), 100, Options{})[0]
	if v.Result != authres.Pass || v.Domain != "xn--bcher-kva.example" || v.Selector != "xn--grn-ioa" ||
		v.Identifier != "älice@shop.xn--bcher-kva.example" {
		t.Errorf("%+v", v)
	}
}

// TestDuplicateFields: a reader may be shown the instance of a unique field that nobody signed.
func TestDuplicateFields(t *testing.T) {
	oversigned := strings.Replace(probeField, "From:To:Subject", "From:From:To:Subject:Subject", 1)
	for _, test := range []struct {
		name, field, header string
		opt                 Options
		want                authres.Result
	}{
		{"second From", probeField, "From: mallory@example.net\r\n" + probeHeader, Options{}, authres.Policy},
		{"second Subject", probeField, "subject: free\r\n" + probeHeader, Options{}, authres.Policy},
		{"accepted by choice", probeField, "Subject: free\r\n" + probeHeader, Options{Duplicates: DuplicatesAccept}, authres.Pass},
		{"second Subject, oversigned", oversigned, "Subject: free\r\n" + probeHeader, Options{}, authres.Fail},
		{"nothing added, oversigned", oversigned, probeHeader, Options{}, authres.Pass},
		{"not unique", probeField, "Received: x\r\n" + probeHeader, Options{}, authres.Pass},
		{"not signed", probeField, "Cc: a@b.c\r\nCc: d@e.f\r\n" + probeHeader, Options{}, authres.Pass},
	} {
		signed := rsaSigner().sign(t, mail{probeHeader, probeBody, test.field, -1})
		vs := verifyParts(t, anyKey{}, header(signed+test.header), []byte(probeBody), 100, test.opt)
		if vs[0].Result != test.want {
			t.Errorf("%s: %s %q, want %s", test.name, vs[0].Result, vs[0].Reason, test.want)
		}
	}
}

// TestChoice: junk in front of the signature that matters does not hide it.
func TestChoice(t *testing.T) {
	var text strings.Builder
	for i := range 2000 {
		text.WriteString(signedJunk(i))
	}
	text.WriteString(signedBy(t, "mail.example.com", "child") + signedBy(t, "example.com", "own") + probeHeader)
	r := &counting{Resolver: anyKey{}}
	vs := verifyParts(t, r, header(text.String()), []byte(probeBody), 100, Options{})
	if len(vs) != 26 || r.n.Load() != 10 {
		t.Fatalf("%d results, %d questions", len(vs), r.n.Load())
	}
	if vs[0].Selector != "own" || vs[0].Result != authres.Pass || vs[1].Selector != "child" || vs[1].Result != authres.Pass {
		t.Errorf("%+v\n%+v", vs[0], vs[1])
	}
	skipped := 0
	for _, v := range vs {
		if v.Result == authres.Policy && strings.HasPrefix(v.Reason, "not evaluated: ") {
			skipped++
		}
	}
	if skipped != 16 || !strings.Contains(vs[25].Reason, "1977 signatures") {
		t.Errorf("%d skipped, the last: %q", skipped, vs[25].Reason)
	}
	vs = verifyParts(t, anyKey{}, header(text.String()), []byte(probeBody), 100, Options{PreferDomains: []string{"junk7.example"}})
	if vs[0].Result != authres.Pass && vs[0].Domain != "junk7.example" {
		t.Errorf("%+v", vs[0])
	}
}

// signedJunk returns a well-formed signature that does not verify.
func signedJunk(i int) string {
	return fmt.Sprintf("DKIM-Signature: v=1; a=rsa-sha256; d=junk%d.example; s=s; h=from; bh=AAAA; b=AAAA\r\n", i)
}

// TestOneQuestionPerKey: signatures with the same key share the lookup.
func TestOneQuestionPerKey(t *testing.T) {
	text := signedBy(t, "example.com", "sel") + signedBy(t, "EXAMPLE.com", "SEL") + signedBy(t, "example.com", "sel") + probeHeader
	r := &counting{Resolver: anyKey{}}
	for _, v := range verifyParts(t, r, header(text), []byte(probeBody), 100, Options{}) {
		if v.Result != authres.Pass {
			t.Errorf("%+v", v)
		}
	}
	if r.n.Load() != 1 {
		t.Errorf("%d questions", r.n.Load())
	}
}

// TestLimits: what exceeds a limit is reported, not answered.
func TestLimits(t *testing.T) {
	for _, test := range []struct {
		name  string
		edits []string
		opt   Options
		want  string
	}{
		{"names", []string{"From:To", "From" + strings.Repeat(":x", 97) + ":To"}, Options{}, "101 names in h=, more than 100"},
		{"octets", []string{"s=sel", "s=sel; n=" + strings.Repeat("x", 32<<10)}, Options{}, "octets, more than 32768"},
		{"own limit", nil, Options{MaxField: 100}, "octets, more than 100"},
	} {
		p := probe{edits: test.edits, opt: test.opt, want: authres.Policy, reason: test.want}
		p.run(t)
	}
	many := probe{edits: []string{"s=sel", "s=sel" + manyTags(101)}, want: authres.PermError, reason: "more than 100 tags"}
	many.run(t)
}

func manyTags(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "; n%d=1", i)
	}
	return b.String()
}

// TestAbort: a message that never ends leaves no goroutine, whether its Run or its context is given up.
func TestAbort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}
		h := header(signedBy(t, "example.com", "a") + signedBy(t, "example.com", "b") + probeHeader)
		zone := records{"a._domainkey.example.com": hang, "b._domainkey.example.com": hang}
		ctx, cancel := context.WithCancel(t.Context())
		b := NewBodies()
		Start(ctx, zone, h, at, Options{}, b)
		b.Write([]byte("half of the bo"))
		cancel()
		Start(t.Context(), zone, h, at, Options{}, NewBodies()).Abort()
		synctest.Wait() // the bubble cannot end while one of its goroutines hangs

		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for _, v := range Start(ctx, zone, h, at, Options{}, NewBodies()).Finish() {
			if v.Result != authres.TempError {
				t.Errorf("%+v", v)
			}
		}
	})
}

// TestDeafResolver: Finish does not wait for a resolver that does not listen to its context.
func TestDeafResolver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		zone := records{"sel._domainkey.example.com": func(context.Context) error {
			time.Sleep(time.Hour)
			return nil
		}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		vs := Start(ctx, zone, header(signedBy(t, "example.com", "sel")+probeHeader), at, Options{}, NewBodies()).Finish()
		if vs[0].Result != authres.TempError || time.Since(start) > time.Minute {
			t.Errorf("%v: %+v", time.Since(start), vs[0])
		}
		time.Sleep(time.Hour) // let the resolver wake up
	})
}

// TestSideBySide: all lookups are under way before the body comes, and Start does not wait for them.
func TestSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(context.Context) error {
			time.Sleep(time.Second)
			return dns.ErrTemporary
		}
		zone, text := records{}, ""
		for i := range 10 {
			zone[fmt.Sprintf("s%d._domainkey.example.com", i)] = slow
			text += signedBy(t, "example.com", fmt.Sprint("s", i))
		}
		start := time.Now()
		run := Start(t.Context(), zone, header(text+probeHeader), at, Options{}, NewBodies())
		if d := time.Since(start); d != 0 {
			t.Errorf("Start took %v", d)
		}
		run.Finish()
		if d := time.Since(start); d != time.Second {
			t.Errorf("ten lookups took %v", d)
		}
	})
}

// TestIncompleteBody: half a body is no answer.
func TestIncompleteBody(t *testing.T) {
	text := signedBy(t, "example.com", "sel") + probeHeader
	b := NewBodies()
	run := Start(t.Context(), anyKey{}, header(text), at, Options{}, b)
	b.Write([]byte(probeBody))
	b.Fail(errors.New("disk on fire"))
	if v := run.Finish()[0]; v.Result != authres.TempError || !strings.Contains(v.Reason, "disk on fire") {
		t.Errorf("%+v", v)
	}
	b = NewBodies()
	b.Digest(Simple, -1)
	b.Write([]byte("too"))
	run = Start(t.Context(), anyKey{}, header(text), at, Options{}, b)
	b.Write([]byte(" late"))
	if v := run.Finish()[0]; v.Result != authres.TempError || !strings.Contains(v.Reason, "already begun") {
		t.Errorf("%+v", v)
	}
	m, err := message.Read(strings.NewReader(text+"\r\n"+probeBody), message.Envelope{ReceivedAt: at}, message.Limits{BodyOctets: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if v := Verify(t.Context(), anyKey{}, m, Options{})[0]; v.Result != authres.TempError {
		t.Errorf("%+v", v)
	}
}

// TestIncompleteHeader: that a limit left no signature does not mean that there was none.
func TestIncompleteHeader(t *testing.T) {
	text := probeHeader + signedBy(t, "example.com", "sel") + "\r\n" + probeBody
	m, err := message.Read(strings.NewReader(text), message.Envelope{ReceivedAt: at}, message.Limits{HeaderOctets: 200})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if vs := Verify(t.Context(), anyKey{}, m, Options{}); len(vs) != 1 || vs[0].Result != authres.TempError {
		t.Errorf("%+v", vs)
	}
}

// TestNoGoroutineLeft: the ordinary way leaves none either.
func TestNoGoroutineLeft(t *testing.T) {
	m := read(t, signedBy(t, "example.com", "a")+signedBy(t, "example.com", "b")+probeHeader+"\r\n"+probeBody, at)
	synctest.Test(t, func(t *testing.T) {
		for range 100 {
			Verify(t.Context(), anyKey{}, m, Options{})
		}
		synctest.Wait() // fails if a goroutine is left
	})
}

// TestKeyCache: it answers from memory, and it is bounded.
func TestKeyCache(t *testing.T) {
	c := NewKeyCache(4)
	first, err := c.parse(edSigner().record)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if _, err := c.parse(fmt.Sprintf("%s; n=%d", edSigner().record, i)); err != nil {
			t.Fatal(err)
		}
		if again, _ := c.parse(edSigner().record); again != first {
			t.Fatalf("a key in use was forgotten after %d others", i+1)
		}
	}
	if n := len(c.new) + len(c.old); n > 4 {
		t.Errorf("%d keys", n)
	}
	if _, err := c.parse("p="); err == nil {
		t.Error("a revoked key has no error")
	}
}

// TestZeroValues: the zero value of an enumeration is the safe one.
func TestZeroValues(t *testing.T) {
	var o Options
	if o.Length != LengthPolicy || o.Duplicates != DuplicatesPolicy {
		t.Error("the zero Options accept more than they should")
	}
	if d := o.withDefaults(); d.withDefaults().ClockSkew != 5*time.Minute || d.MaxSignatures != 10 || d.MaxParsed != 25 {
		t.Errorf("%+v", d)
	}
}
