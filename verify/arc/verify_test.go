package arc

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"assay/verify/authres"
	"assay/verify/dkim"
	"assay/verify/dns"
	"assay/verify/message"
)

// sealKey is the key of every sealer in the tests.
var sealKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// keyRecord returns the key record of sealKey.
func keyRecord() string {
	der, err := x509.MarshalPKIXPublicKey(&sealKey().PublicKey)
	if err != nil {
		panic(err)
	}
	return "v=DKIM1; p=" + base64.StdEncoding.EncodeToString(der)
}

// sign returns b= of octets.
func sign(octets []byte) string {
	digest := sha256.Sum256(octets)
	sig, err := rsa.SignPKCS1v15(nil, sealKey(), crypto.SHA256, digest[:])
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(sig)
}

// A draft is a message that sealers handle one after the other.
type draft struct {
	header string // its fields, without those of ARC
	body   string
	arc    []string // fields of the sets, oldest first: results, signature, seal of each
	mark   string   // extra tags for the next seal
}

// text returns the message, the newest set on top.
func (d *draft) text() string {
	fields := slices.Clone(d.arc)
	slices.Reverse(fields)
	return strings.Join(fields, "") + d.header + "\r\n" + d.body
}

// seal adds a set (RFC 8617 Section 5.1).
func (d *draft) seal(domain, results string) *draft {
	i := len(d.arc)/3 + 1
	cv := "pass"
	if i == 1 {
		cv = "none"
	}
	body := sha256.Sum256([]byte(d.body)) // the bodies of these tests are canonical as they are
	aar := fmt.Sprintf("ARC-Authentication-Results: i=%d; mx.%s; %s\r\n", i, domain, results)
	ams := fmt.Sprintf("ARC-Message-Signature: i=%d; a=rsa-sha256; c=relaxed/relaxed; d=%s; s=sel;\r\n\th=from:subject;"+
		" bh=%s; b=", i, domain, base64.StdEncoding.EncodeToString(body[:]))
	var octets []byte
	for line := range strings.Lines(d.header) {
		if name, _, _ := strings.Cut(line, ":"); name == "From" || name == "Subject" {
			octets = dkim.AppendField(octets, []byte(line), dkim.Relaxed)
		}
	}
	ams += sign(dkim.AppendOwnField(octets, []byte(ams+"\r\n"), dkim.Relaxed)) + "\r\n"
	seal := fmt.Sprintf("ARC-Seal: i=%d; a=rsa-sha256; cv=%s; d=%s; s=sel;%s\r\n\tb=", i, cv, domain, d.mark)
	octets = nil
	for _, f := range append(d.arc, aar, ams) {
		octets = dkim.AppendField(octets, []byte(f), dkim.Relaxed)
	}
	seal += sign(dkim.AppendOwnField(octets, []byte(seal+"\r\n"), dkim.Relaxed)) + "\r\n"
	d.arc = append(d.arc, aar, ams, seal)
	return d
}

// newDraft returns a message without a set.
func newDraft() *draft {
	return &draft{header: "From: alice@author.example\r\nSubject: hello\r\n", body: "Hello.\r\n"}
}

// zone returns the keys of sealers.
func zone(domains ...string) records {
	z := records{}
	for _, d := range domains {
		z["sel._domainkey."+d] = keyRecord()
	}
	return z
}

var abc = []string{"a.example", "b.example", "c.example"}

func TestChain(t *testing.T) {
	sealed := func(domains ...string) *draft {
		d := newDraft()
		for _, domain := range domains {
			d.seal(domain, "dmarc=pass header.from=author.example")
		}
		return d
	}
	footer := func(d *draft) *draft {
		d.body += "-- \r\nmailing list\r\n"
		d.body = strings.ReplaceAll(d.body, "-- ", "--")
		return d
	}
	drop := func(d *draft, field int) *draft {
		d.arc = slices.Delete(d.arc, field, field+1)
		return d
	}
	edit := func(d *draft, field int, old, new string) *draft {
		d.arc[field] = strings.Replace(d.arc[field], old, new, 1)
		return d
	}
	failing := zone(abc...)
	failing["sel._domainkey.a.example"] = "SERVFAIL"
	for _, test := range []struct {
		name   string
		draft  *draft
		zone   records
		want   authres.Result
		oldest int
		reason string
	}{
		{"none", newDraft(), zone(), authres.None, 0, "no ARC set"},
		{"one", sealed("a.example"), zone(abc...), authres.Pass, 0, ""},
		{"three", sealed(abc...), zone(abc...), authres.Pass, 0, ""},
		{"modified after the first", footer(sealed("a.example")).seal("b.example", "x=y").seal("c.example", "none"), zone(abc...),
			authres.Pass, 2, ""},
		{"modified after the second", footer(sealed("a.example", "b.example")).seal("c.example", "none"), zone(abc...),
			authres.Pass, 3, ""},
		{"modified after the last", footer(sealed(abc...)), zone(abc...), authres.Fail, 0, "message signature 3: body hash mismatch"},
		{"results forged", edit(sealed(abc...), 0, "dmarc=pass", "dmarc=fail"), zone(abc...), authres.Fail, 0,
			"seal 3: signature mismatch"},
		{"no results", drop(sealed(abc...), 3), zone(abc...), authres.Fail, 0, "instance 2 has no valid ARC-Authentication-Results"},
		{"no signature", drop(sealed(abc...), 4), zone(abc...), authres.Fail, 0, "instance 2 has no valid ARC-Message-Signature"},
		{"no seal", drop(sealed(abc...), 8), zone(abc...), authres.Fail, 0, "instance 3 has no valid ARC-Seal"},
		{"a set is missing", drop(drop(drop(sealed(abc...), 0), 0), 0), zone(abc...), authres.Fail, 0, "instance 1 has no valid"},
		{"two seals of one instance", edit(sealed(abc...), 5, "i=2", "i=1"), zone(abc...), authres.Fail, 0, "two ARC-Seal fields"},
		{"failed before", edit(sealed(abc...), 8, "cv=pass", "cv=fail"), zone(abc...), authres.Fail, 0, "seal 3 says cv=fail"},
		{"first not none", edit(sealed(abc...), 2, "cv=none", "cv=pass"), zone(abc...), authres.Fail, 0, "seal 1 says cv=pass"},
		{"instance 51", edit(sealed(abc...), 8, "i=3", "i=51"), zone(abc...), authres.Fail, 0, "not a number from 1 to 50"},
		{"instance 03", edit(sealed(abc...), 8, "i=3", "i=003"), zone(abc...), authres.Fail, 0, "not a number"},
		{"seal with h", edit(sealed(abc...), 8, "s=sel;", "s=sel; h=from;"), zone(abc...), authres.Fail, 0, "h= must not be there"},
		{"seal signed", edit(sealed(abc...), 7, "h=from", "h=ARC-Seal:from"), zone(abc...), authres.Fail, 0, "arc-seal, which must not"},
		{"duplicate tag", edit(sealed(abc...), 8, "s=sel;", "s=sel; s=sel;"), zone(abc...), authres.Fail, 0, "duplicate tag"},
		{"SHA-1", edit(sealed(abc...), 8, "rsa-sha256", "rsa-sha1"), zone(abc...), authres.Fail, 0, "not a known algorithm"},
		{"no key", sealed(abc...), zone("b.example", "c.example"), authres.Fail, 0, "seal 1: no key"},
		{"no newest key", sealed(abc...), zone("a.example", "b.example"), authres.Fail, 0, "message signature 3: no key"},
		{"no answer", sealed(abc...), failing, authres.TempError, 0, "seal 1: lookup of key"},
	} {
		v := Verify(t.Context(), test.zone, read(t, test.draft.text()), Options{Explain: true})
		if v.Result != test.want || v.OldestPass != test.oldest || !strings.Contains(v.Reason, test.reason) ||
			v.Instance != len(test.draft.arc)/3 && !strings.Contains(v.Reason, "instance") || len(v.Steps) == 0 {
			t.Errorf("%s: %+v", test.name, v)
		}
		if test.want == authres.Pass && !slices.Equal(v.Sealers, abc[:v.Instance]) {
			t.Errorf("%s: sealers %v", test.name, v.Sealers)
		}
	}
}

// TestTrust: trust goes from the newest seal down to the first that is not trusted, and the oldest trusted one that
// recorded a dmarc result is believed.
func TestTrust(t *testing.T) {
	chain := newDraft().
		seal("a.example", "dmarc=pass header.from=author.example").
		seal("b.example", "spf=fail smtp.mailfrom=x@y.example; dmarc=fail (p=none; dis=none) header.from=author.example").
		seal("c.example", "dkim=pass header.d=a.example")
	silent := newDraft().seal("a.example", "dmarc=pass header.from=author.example; dmarc=fail header.from=author.example").
		seal("b.example", `spf=pass "unbalanced; dmarc=pass header.from=author.example`)
	for _, test := range []struct {
		name    string
		draft   *draft
		trusted []string
		want    bool
		dmarc   authres.Result
	}{
		{"nobody", chain, nil, false, ""},
		{"all", chain, []string{"C.example.", "b.EXAMPLE", "a.example"}, true, authres.Pass},
		{"the last two", chain, []string{"b.example", "c.example"}, true, authres.Fail},
		{"the last, which has no dmarc", chain, []string{"c.example"}, true, ""},
		{"with a gap", chain, []string{"a.example", "c.example"}, true, ""},
		{"not the last", chain, []string{"a.example", "b.example"}, false, ""},
		{"a parent is someone else", chain, []string{"example"}, false, ""},
		{"ambiguous and unreadable results", silent, []string{"a.example", "b.example"}, true, ""},
	} {
		v := Verify(t.Context(), zone(abc...), read(t, test.draft.text()), Options{TrustedSealers: test.trusted})
		from := ""
		if test.dmarc != "" {
			from = "author.example"
		}
		if v.Result != authres.Pass || v.Trusted != test.want || v.DMARC != test.dmarc || v.DMARCFrom != from {
			t.Errorf("%s: %+v", test.name, v)
		}
	}
	broken := newDraft().seal("a.example", "dmarc=pass header.from=author.example")
	broken.body += "x\r\n"
	if v := Verify(t.Context(), zone(abc...), read(t, broken.text()), Options{TrustedSealers: abc}); v.Trusted || v.DMARC != "" {
		t.Errorf("a failed chain is trusted: %+v", v)
	}
	for _, field := range []string{"Subject: evil", "From: evil", "From: evil@author.example", "subject : "} {
		v := Verify(t.Context(), zone(abc...), read(t, field+"\r\n"+chain.text()), Options{TrustedSealers: abc, Explain: true})
		if v.Result != authres.Pass || v.Trusted || v.DMARC != "" {
			t.Errorf("%s on top of what is sealed: %+v", field, v)
		}
	}
}

// TestLongChain: fifty sets are validated; message signatures are evaluated up to the limit; more sets are an error.
func TestLongChain(t *testing.T) {
	d := newDraft()
	for range 50 {
		d.seal("a.example", "none")
	}
	if v := Verify(t.Context(), zone(abc...), read(t, d.text()), Options{}); v.Result != authres.Pass || v.OldestPass != 41 {
		t.Errorf("%s %q, oldest-pass %d", v.Result, v.Reason, v.OldestPass)
	}
	v := Verify(t.Context(), zone(abc...), read(t, d.text()), Options{MaxMessageSignatures: 50})
	if v.Result != authres.Pass || v.OldestPass != 0 {
		t.Errorf("%s %q, oldest-pass %d", v.Result, v.Reason, v.OldestPass)
	}
	d.seal("a.example", "none")
	if v := Verify(t.Context(), zone(abc...), read(t, d.text()), Options{}); v.Result != authres.Fail {
		t.Errorf("51 sets: %+v", v)
	}
}

// TestIncomplete: what a limit left of a message says nothing about the chain.
func TestIncomplete(t *testing.T) {
	text := newDraft().seal("a.example", "none").text()
	for _, l := range []message.Limits{{HeaderOctets: 300}, {HeaderOctets: 10}, {Fields: 2}, {BodyOctets: 3}} {
		m, err := message.Read(strings.NewReader(text), message.Envelope{ReceivedAt: time.Unix(1500000000, 0)}, l)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if v := Verify(t.Context(), zone(abc...), m, Options{}); v.Result != authres.TempError {
			t.Errorf("%+v: %+v", l, v)
		}
	}
}

// TestSharedBody: DKIM and ARC hash the body once.
func TestSharedBody(t *testing.T) {
	m := read(t, newDraft().seal("a.example", "none").seal("b.example", "none").text())
	b := dkim.NewBodies()
	dkimRun := dkim.Start(t.Context(), zone(abc...), m.Header, m.Envelope.ReceivedAt, dkim.Options{}, b)
	arcRun := Start(t.Context(), zone(abc...), m.Header, m.Envelope.ReceivedAt, Options{}, b)
	b.ReadMessage(m)
	if vs := dkimRun.Finish(); len(vs) != 0 {
		t.Errorf("%+v", vs)
	}
	if v := arcRun.Finish(); v.Result != authres.Pass {
		t.Errorf("%+v", v)
	}
}

// TestAbort: a message that never ends leaves no goroutine.
func TestAbort(t *testing.T) {
	m := read(t, newDraft().seal("a.example", "none").text())
	synctest.Test(t, func(t *testing.T) {
		run := Start(t.Context(), hanging{}, m.Header, m.Envelope.ReceivedAt, Options{}, dkim.NewBodies())
		run.Abort()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		run = Start(ctx, hanging{}, m.Header, m.Envelope.ReceivedAt, Options{}, dkim.NewBodies())
		if v := run.Finish(); v.Result != authres.TempError {
			t.Errorf("%+v", v)
		}
		synctest.Wait() // fails if a goroutine is left
	})
}

// hanging never answers.
type hanging struct{ records }

func (hanging) LookupTXT(ctx context.Context, _ string) (dns.Answer[string], error) {
	<-ctx.Done()
	return dns.Answer[string]{}, ctx.Err()
}

// TestRemovable: nothing in dkim depends on ARC.
func TestRemovable(t *testing.T) {
	files, err := filepath.Glob("../dkim/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			if strings.Contains(i.Path.Value, "verify/arc") {
				t.Errorf("%s imports %s", file, i.Path.Value)
			}
		}
	}
}

// FuzzVerify gives any header to the whole.
func FuzzVerify(f *testing.F) {
	f.Add(newDraft().seal("a.example", "none").seal("b.example", "dmarc=pass header.from=a.example").text(), keyRecord())
	f.Add("ARC-Seal: i=1; a=rsa-sha256; b=; cv=none; d=a.b; s=c\r\nARC-Message-Signature: i=1\r\nARC-Authentication-Results: i=1; x\r\n\r\n", "p=")
	f.Fuzz(func(t *testing.T, text, key string) {
		m, err := message.Read(strings.NewReader(text), message.Envelope{ReceivedAt: time.Unix(1500000000, 0)}, message.Limits{})
		if err != nil {
			t.Fatal(err) // nothing is read but memory
		}
		defer m.Close()
		v := Verify(context.Background(), everywhere{key: key}, m, Options{Explain: true, TrustedSealers: abc})
		switch v.Result {
		case authres.None, authres.Pass, authres.Fail, authres.TempError:
		default:
			t.Fatalf("%+v", v)
		}
		if v.Result == authres.Pass && (v.Instance < 1 || len(v.Sealers) != v.Instance || v.OldestPass > v.Instance) ||
			v.Result != authres.Pass && (v.Trusted || v.Reason == "" || v.DMARC != "") {
			t.Fatalf("%+v", v)
		}
	})
}

// everywhere has one record at every name.
type everywhere struct {
	records
	key string
}

func (e everywhere) LookupTXT(context.Context, string) (dns.Answer[string], error) {
	return dns.Answer[string]{Records: []string{e.key}}, nil
}

// BenchmarkVerify validates a chain of three sets.
func BenchmarkVerify(b *testing.B) {
	d := newDraft()
	for _, domain := range abc {
		d.seal(domain, "dmarc=pass header.from=author.example")
	}
	m, keys, z := read(b, d.text()), dkim.NewKeyCache(0), zone(abc...)
	b.ReportAllocs()
	for b.Loop() {
		if v := Verify(context.Background(), z, m, Options{Keys: keys}); v.Result != authres.Pass {
			b.Fatal(v.Reason)
		}
	}
}
