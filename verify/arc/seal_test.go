package arc

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"assay/verify/authres"
	"assay/verify/dkim"
	"assay/verify/message"
)

// edKey is the Ed25519 key of every sealer in the tests.
var edKey = sync.OnceValue(func() ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
})

// sealerZone has the RSA key of a domain at the selector sel, and the Ed25519 key at ed.
func sealerZone(domains ...string) records {
	z := zone(domains...)
	for _, d := range domains {
		z["ed._domainkey."+d] = "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(edKey().Public().(ed25519.PublicKey))
	}
	return z
}

// newSealer returns a sealer with the key of a selector of sealerZone.
func newSealer(t testing.TB, domain, selector string) *Sealer {
	t.Helper()
	key := map[string]crypto.Signer{"sel": sealKey(), "ed": edKey()}[selector]
	s, err := NewSealer(SealerOptions{Domain: domain, Selector: selector, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// recordedResults are results that use all that the writer can do: folding, comments, quoting.
func recordedResults(id string) authres.Header {
	return authres.Header{ID: id, Clauses: []authres.Clause{
		{Method: "spf", Result: authres.SoftFail, Comment: "somebody else's (host)", Properties: []authres.Property{{Type: "smtp", Name: "mailfrom", Value: "a;b@author.example"}}},
		{Method: "dkim", Result: authres.Pass, Properties: []authres.Property{
			{Type: "header", Name: "d", Value: "author.example"}, {Type: "header", Name: "s", Value: "selector-with-a-long-name"},
			{Type: "header", Name: "a", Value: "rsa-sha256"}, {Type: "header", Name: "b", Value: "ab/cd+12"}}},
		{Method: "dmarc", Result: authres.Pass, Properties: []authres.Property{{Type: "header", Name: "from", Value: "author.example"}}},
	}}
}

// sealText verifies a message and returns it with the set of a sealer on top.
func sealText(t testing.TB, s *Sealer, z records, text string) (string, Set) {
	t.Helper()
	m := read(t, text)
	set, err := s.Seal(Hop{
		Chain: Verify(t.Context(), z, m, Options{}), Results: recordedResults("mx." + s.domain),
		Header: m.Header, Body: m.Body(), At: time.Unix(1490000000, 0),
	})
	if err != nil {
		t.Fatal(err)
	}
	return set.top() + crlfText(text), set
}

// top returns the fields of a set in the order in which they stand in a message.
func (s Set) top() string {
	return string(raw(SealName, s.Seal)) + string(raw(SignatureName, s.Signature)) + string(raw(ResultsName, s.Results))
}

func crlfText(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")
}

// A sealed message is one that our own and foreign verifiers take.
type sealedMessage struct {
	name, text string
	want       authres.Result
	ed25519    bool // some seals use Ed25519
}

// mails are messages before they are sealed.
func mails() map[string]string {
	return map[string]string{
		"plain":      "From: alice@author.example\nTo: bob@rcpt.example\nSubject: hello\nDate: Mon, 20 Mar 2017 12:00:00 +0000\n\nHello.\n",
		"empty body": "From: alice@author.example\nSubject: hello\n\n",
		"no final line end, blanks": "From: alice@author.example\nsubject:  two \t words\n\tand a fold \nTO:\tbob@rcpt.example\n\n  a \t b  \n\n" +
			"c\n \n\n\nd",
		"many fields": "Received: x\nReturn-Path: <x@y.example>\nAuthentication-Results: mx.rcpt.example; none\nX-Assay-Result: v=1\n" +
			"DKIM-Signature: v=1; a=rsa-sha256; d=a.example; s=s; h=from; bh=AAAA; b=AAAA\n" +
			"DKIM-Signature: v=1; a=rsa-sha256; d=b.example; s=s; h=from; bh=AAAA; b=BBBB\n" +
			"From: alice@author.example\nSubject: one\nSubject: two\nReferences: " + strings.Repeat("<1234567890@author.example>\n ", 20) + "<x@y>\n" +
			"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nGr\u00fc\u00dfe\n",
		"8-bit header":   "From: alice@author.example\nSubject: Gr\u00fc\u00dfe \xff\n\nHello.\n",
		"no From":        "Subject: hello\n\nHello.\n",
		"two From":       "From: alice@author.example\nFrom: eve@author.example\nSubject: hello\n\nHello.\n",
		"odd field name": "From: alice@author.example\nSubject: hello\nX;Y: z\nB=: z\n\nHello.\n",
	}
}

// sealedMails returns messages with one to three sets of our own.
func sealedMails(t testing.TB) []sealedMessage {
	z := sealerZone(abc...)
	var all []sealedMessage
	for name, text := range mails() {
		if name == "no From" {
			text = "To: bob@rcpt.example\n" + text
		}
		for i, selectors := range [][]string{{"sel", "sel", "sel"}, {"ed", "ed", "ed"}, {"sel", "ed", "sel"}} {
			sealed := text
			for hop, selector := range selectors {
				sealed, _ = sealText(t, newSealer(t, abc[hop], selector), z, sealed)
				all = append(all, sealedMessage{fmt.Sprintf("%s, %v", name, selectors[:hop+1]), sealed, authres.Pass, i > 0})
				if hop == 1 {
					sealed += "list footer\r\n" // the next seal is made of what is passed on
					sealed = strings.Replace(sealed, "hello", "[list] hello", 1)
					all = append(all, sealedMessage{fmt.Sprintf("%s, %v, changed", name, selectors[:hop+1]), sealed, authres.Fail, i > 0})
					sealed = all[len(all)-2].text
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b sealedMessage) int { return strings.Compare(a.name, b.name) })
	return all
}

// TestSealVerifies: what we seal, we verify; and a later change is seen.
func TestSealVerifies(t *testing.T) {
	z := sealerZone(abc...)
	for _, s := range sealedMails(t) {
		v := Verify(t.Context(), z, read(t, s.text), Options{TrustedSealers: abc})
		if v.Result != s.want {
			t.Errorf("%s: %s: %s\n%s", s.name, v.Result, v.Reason, s.text)
		}
		if s.want == authres.Pass && (!v.Trusted || v.OldestPass != 0 || v.DMARC != authres.Pass || v.DMARCFrom != "author.example") {
			t.Errorf("%s: %+v", s.name, v)
		}
	}
}

// TestSealFields shows the three fields, apart from what depends on the key.
func TestSealFields(t *testing.T) {
	_, set := sealText(t, newSealer(t, "a.example", "sel"), sealerZone(abc...), mails()["many fields"])
	head, _, found := strings.Cut(set.Signature, " b=")
	if !found {
		head, _, found = strings.Cut(set.Signature, "\tb=")
	}
	if want := "i=1; a=rsa-sha256; c=relaxed/relaxed; d=a.example;\n\ts=sel; t=1490000000; " +
		"h=from:from:subject:subject:references:mime-version:\n\tcontent-type:content-transfer-encoding:dkim-signature:dkim-signature;\n" +
		"\tbh=+trUei8gXBqNu6eUkGNK4smREVgEZtuWADHvbbnpUhA=;"; !found || strings.TrimSpace(head) != want {
		t.Errorf("signature:\n%s\nwant\n%s", head, want)
	}
	if want := "i=1; a=rsa-sha256; cv=none; d=a.example; s=sel; t=1490000000;"; !strings.HasPrefix(set.Seal, want) {
		t.Errorf("seal: %s", set.Seal)
	}
	if want := "i=1; mx.a.example;\n\tspf=softfail (somebody else's [host]) smtp.mailfrom=a?b@"; !strings.HasPrefix(set.Results, want) {
		t.Errorf("results: %q", set.Results)
	}
	again, second := sealText(t, newSealer(t, "a.example", "sel"), sealerZone(abc...), mails()["many fields"])
	if second != set {
		t.Errorf("not deterministic: %s", again)
	}
}

// checkShape checks what an MTA is told: lines that are folded and short.
func checkShape(t testing.TB, name, value string) {
	t.Helper()
	for i, line := range strings.Split(name+": "+value, "\n") {
		if i > 0 && (line == "" || line[0] != '\t' || strings.TrimSpace(line) == "") || strings.TrimRight(line, " \t") != line {
			t.Errorf("%s: line %q", name, line)
		}
		if (len(line) > maxLine && name != ResultsName) || len(line) > 998 {
			t.Errorf("%s: line of %d octets: %q", name, len(line), line)
		}
		if strings.ContainsFunc(line, func(r rune) bool { return r != '\t' && r < ' ' || r > '~' }) {
			t.Errorf("%s: octets in %q", name, line)
		}
	}
}

func TestSealIsFolded(t *testing.T) {
	for name, text := range mails() {
		if name == "no From" {
			text = "To: x@y.example\n" + text
		}
		for _, selector := range []string{"sel", "ed"} {
			_, set := sealText(t, newSealer(t, "a.example", selector), nil, text)
			checkShape(t, ResultsName, set.Results)
			checkShape(t, SignatureName, set.Signature)
			checkShape(t, SealName, set.Seal)
		}
	}
}

// TestSealBrokenChain: the seal of a chain that does not validate says so and covers its own set alone (RFC 8617
// Section 5.1.2), and nothing is added after it.
func TestSealBrokenChain(t *testing.T) {
	z := sealerZone(abc...)
	text, _ := sealText(t, newSealer(t, "a.example", "sel"), z, mails()["plain"])
	text = strings.Replace(text, "Hello.", "Hullo.", 1)
	b := newSealer(t, "b.example", "sel")
	sealed, set := sealText(t, b, z, text)
	if !strings.HasPrefix(set.Seal, "i=2; a=rsa-sha256; cv=fail; ") || !strings.HasPrefix(set.Signature, "i=2; ") {
		t.Fatalf("%+v", set)
	}
	m := read(t, sealed)
	v := Verify(t.Context(), z, m, Options{})
	if v.Result != authres.Fail || v.Reason != "seal 2 says cv=fail" {
		t.Errorf("%+v", v)
	}
	if _, err := b.Seal(Hop{Chain: v, Results: recordedResults("mx.b.example"), Header: m.Header, Body: m.Body()}); !errors.Is(err, ErrEnded) {
		t.Errorf("sealed again: %v", err)
	}
	// As if it were the only set: its digest is the one of a chain without the others.
	c, _ := newChain(m.Header, Options{}.withDefaults())
	alone := &chain{sets: c.sets[1:]}
	key, err := rsaVerify(alone.digests()[0], alone.sets[0].seal.value)
	if !key || err != nil {
		t.Errorf("the seal does not cover its own set alone: %v", err)
	}
}

// TestSealIncompleteChain: a set that lost a field, or has one that cannot be read, breaks the chain, and the next
// instance says so.
func TestSealIncompleteChain(t *testing.T) {
	z, b := sealerZone(abc...), newSealer(t, "b.example", "sel")
	sealed, set := sealText(t, newSealer(t, "a.example", "sel"), z, mails()["plain"])
	fields := []string{string(raw(SealName, set.Seal)), string(raw(SignatureName, set.Signature)), string(raw(ResultsName, set.Results))}
	for name, text := range map[string]string{
		"no seal":                   strings.Replace(sealed, fields[0], "", 1),
		"no signature":              strings.Replace(sealed, fields[1], "", 1),
		"no results":                strings.Replace(sealed, fields[2], "", 1),
		"a seal without instance":   strings.Replace(fields[0], "i=1; ", "", 1) + sealed,
		"a seal of instance 0":      strings.Replace(fields[0], "i=1; ", "i=0; ", 1) + sealed,
		"the same seal twice":       fields[0] + sealed,
		"a signature of nothing":    "ARC-Message-Signature: \r\n" + sealed,
		"results that say nothing":  strings.Replace(sealed, fields[2], ResultsName+": i=1;\r\n", 1),
		"a signature with an error": strings.Replace(sealed, "c=relaxed/relaxed", "c=relaxed/odd", 1),
	} {
		_, next := sealText(t, b, z, text)
		if !strings.HasPrefix(next.Seal, "i=2; a=rsa-sha256; cv=fail;") {
			t.Errorf("%s: %s", name, next.Seal)
		}
	}
}

// rsaVerify verifies a signature of sealKey.
func rsaVerify(digest, signature []byte) (bool, error) {
	err := rsa.VerifyPKCS1v15(&sealKey().PublicKey, crypto.SHA256, digest, signature)
	return err == nil, err
}

// TestSealRefuses lists what gets no set.
func TestSealRefuses(t *testing.T) {
	z := sealerZone(abc...)
	plain := mails()["plain"]
	one, _ := sealText(t, newSealer(t, "a.example", "sel"), z, plain)
	long := newDraft()
	for range 50 {
		long.seal("a.example", "none")
	}
	pass := func(n int) Verification { return Verification{Result: authres.Pass, Instance: n} }
	good := recordedResults("mx.a.example")
	for _, test := range []struct {
		name string
		hop  Hop
		want error  // nil for any
		text string // of the error
	}{
		{"no answer", Hop{Chain: Verification{Result: authres.TempError, Instance: 1}, Results: good}, ErrUndecided, "temperror"},
		{"not validated", Hop{Results: good}, ErrUndecided, ""},
		{"internal error", Hop{Chain: Verification{Result: authres.PermError}, Results: good}, ErrUndecided, ""},
		{"full", Hop{Chain: pass(50), Results: good, Header: read(t, long.text()).Header}, ErrEnded, "instance 50"},
		{"more than full", Hop{Chain: Verification{Result: authres.Fail, Instance: 60}, Results: good}, ErrEnded, ""},
		{"sets that nobody validated", Hop{Chain: Verification{Result: authres.None}, Results: good, Header: read(t, one).Header}, nil, "arc=none, but"},
		{"sets are lost", Hop{Chain: pass(1), Results: good, Header: read(t, plain).Header}, nil, "arc=pass, but"},
		{"nothing to sign", Hop{Chain: Verification{Result: authres.None}, Results: good, Header: read(t, "X: y\n\n").Header}, nil, "0 fields to sign"},
		{"too many to sign", Hop{Chain: Verification{Result: authres.None}, Results: good, Header: read(t, "From: x\n"+strings.Repeat("To: x\n", 2000)+"\n").Header}, nil, "fields to sign"},
		{"no authserv-id", Hop{Chain: Verification{Result: authres.None}, Header: read(t, plain).Header}, authres.ErrID, ""},
		{"unreadable body", Hop{Chain: Verification{Result: authres.None}, Results: good, Header: read(t, plain).Header, Body: brokenBody{}}, errBroken, "reading the body"},
	} {
		set, err := newSealer(t, "b.example", "sel").Seal(test.hop)
		if err == nil || set != (Set{}) || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

var errBroken = errors.New("disk on fire")

// brokenBody ends early.
type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, errBroken }

// brokenKey cannot sign.
type brokenKey struct{ crypto.Signer }

func (brokenKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, errBroken }

func TestNewSealerRefuses(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	good := SealerOptions{Domain: "a.example", Selector: "sel", Key: edKey()}
	with := func(change func(*SealerOptions)) SealerOptions {
		o := good
		change(&o)
		return o
	}
	for _, test := range []struct {
		opt  SealerOptions
		want string
	}{
		{with(func(o *SealerOptions) { o.Domain = "" }), `"" is not the domain`},
		{with(func(o *SealerOptions) { o.Domain = "example" }), "is not the domain"},
		{with(func(o *SealerOptions) { o.Domain = "a b.example" }), "is not the domain"},
		{with(func(o *SealerOptions) { o.Selector = "a;b" }), `"a;b" is not a selector`},
		{with(func(o *SealerOptions) { o.Selector = "" }), "is not a selector"},
		{with(func(o *SealerOptions) { o.Key = nil }), "no key"},
		{with(func(o *SealerOptions) { o.Key = small }), "RSA key of 1024 bits, not 2048 to 4096"},
		{with(func(o *SealerOptions) { o.Headers = []string{"Subject"} }), "From must be signed"},
		{with(func(o *SealerOptions) { o.Headers = []string{"From", "ARC-Seal"} }), `"ARC-Seal" must not be signed`},
		{with(func(o *SealerOptions) { o.Headers = []string{"From", "authentication-results"} }), "may remove it"},
		{with(func(o *SealerOptions) { o.Headers = []string{"From", "X-Assay-Result"} }), "may remove it"},
		{with(func(o *SealerOptions) { o.Headers = []string{"From", "Received"} }), "added or replaced"},
		{with(func(o *SealerOptions) { o.Headers = []string{"From", "Return-Path"} }), "added or replaced"},
		{with(func(o *SealerOptions) { o.Headers = []string{"From", "a:b"} }), "not the name"},
		{with(func(o *SealerOptions) { o.Headers = []string{"From", strings.Repeat("a", 73)} }), "not the name"},
	} {
		if _, err := NewSealer(test.opt); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: want %s", err, test.want)
		}
	}
	s, err := NewSealer(with(func(o *SealerOptions) { o.Domain, o.Selector, o.Key = "B\u00fccher.example", "S1", brokenKey{edKey()} }))
	if err != nil || s.domain != "xn--bcher-kva.example" || s.selector != "s1" {
		t.Fatalf("%v, %+v", err, s)
	}
	if _, err := s.Seal(Hop{Chain: Verification{Result: authres.None}, Results: recordedResults("mx.a.example"),
		Header: read(t, mails()["plain"]).Header}); !errors.Is(err, errBroken) {
		t.Errorf("%v", err)
	}
	for _, name := range DefaultHeaders() {
		if reason := Unsignable(name); reason != "" {
			t.Errorf("%s %s", name, reason)
		}
	}
}

// FuzzSeal seals any message whose chain has any state: never a panic, always fields that an MTA takes, and what is
// sealed as valid verifies.
func FuzzSeal(f *testing.F) {
	for _, text := range mails() {
		f.Add(text, "none")
	}
	f.Add(newDraft().seal("a.example", "none").seal("b.example", "none").text(), "pass")
	f.Add(newDraft().seal("a.example", "none").text(), "fail")
	f.Add("ARC-Seal: i=7; cv=fail\r\nARC-Seal: i=0\r\n\r\n", "fail")
	z := sealerZone(abc...)
	f.Fuzz(func(t *testing.T, text, state string) {
		m, err := message.Read(strings.NewReader(text), message.Envelope{ReceivedAt: time.Unix(1500000000, 0)}, message.Limits{})
		if err != nil {
			t.Fatal(err) // nothing is read but memory
		}
		defer m.Close()
		v := Verify(t.Context(), z, m, Options{})
		if state != "" {
			v.Result = authres.Result(state)
		}
		real := Verify(t.Context(), z, m, Options{}).Result == v.Result
		set, err := newSealer(t, "c.example", "ed").Seal(Hop{Chain: v, Results: recordedResults("mx.c.example"), Header: m.Header, Body: m.Body(), At: m.Envelope.ReceivedAt})
		if err != nil {
			return
		}
		checkShape(t, ResultsName, set.Results)
		checkShape(t, SignatureName, set.Signature)
		checkShape(t, SealName, set.Seal)
		if v.Result == authres.Fail || !real {
			return
		}
		h := append(slices.Clip(read(t, set.top()+"\r\n").Header), m.Header...)
		b := dkim.NewBodies()
		run := Start(t.Context(), z, h, m.Envelope.ReceivedAt, Options{}, b)
		b.ReadMessage(m)
		if got := run.Finish(); got.Result != authres.Pass {
			t.Errorf("%s: %s\n%q", got.Result, got.Reason, set.top()+text)
		}
	})
}

// BenchmarkSeal seals messages of 10 KB and 5 MB whose chain has been validated.
func BenchmarkSeal(b *testing.B) {
	for _, size := range []int{10 << 10, 5 << 20} {
		for _, selector := range []string{"sel", "ed"} {
			b.Run(fmt.Sprintf("%d/%s", size, selector), func(b *testing.B) {
				m := read(b, "From: alice@author.example\nSubject: hello\n\n"+strings.Repeat("A line of ordinary text, as people write it.\n", size/45))
				s := newSealer(b, "a.example", selector)
				b.ReportAllocs()
				b.SetBytes(int64(size))
				for b.Loop() {
					_, err := s.Seal(Hop{Chain: Verification{Result: authres.None}, Results: recordedResults("mx.a.example"), Header: m.Header, Body: m.Body()})
					if err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
