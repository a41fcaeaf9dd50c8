// Package peers compares the verifier with others: go-msgauth's, which signs Assay's own mail, dkimpy's and Mail::DKIM's.
package peers

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"testing"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"assay/verify/authres"
	"assay/verify/dkim"
	"assay/verify/dns"
	"assay/verify/message"
)

// A signer is a private key and its key record.
type signer struct {
	key    crypto.Signer
	record string
}

// signers returns one signer of each kind.
func signers(t testing.TB) []signer {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return []signer{
		{rsaKey, "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der)},
		{edKey, "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public)},
	}
}

// oneKey has the record at every name.
type oneKey struct {
	dns.Resolver
	record string
}

func (k oneKey) LookupTXT(context.Context, string) (dns.Answer[string], error) {
	return dns.Answer[string]{Records: []string{k.record}}, nil
}

// sign returns the message with a signature of go-msgauth.
func sign(t testing.TB, s signer, text string, header, body msgauth.Canonicalization, keys []string) string {
	var out bytes.Buffer
	err := msgauth.Sign(&out, strings.NewReader(text), &msgauth.SignOptions{
		Domain: "example.com", Selector: "sel", Identifier: "@mail.example.com", Signer: s.key,
		HeaderCanonicalization: header, BodyCanonicalization: body, HeaderKeys: keys,
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// ours returns our result for a message with one signature.
func ours(t testing.TB, record, text string) dkim.Verification {
	envelope := message.Envelope{ReceivedAt: time.Now()}
	m, err := message.Read(strings.NewReader(text), envelope, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	opt := dkim.Options{Duplicates: dkim.DuplicatesAccept, Explain: true}
	vs := dkim.Verify(context.Background(), oneKey{record: record}, m, opt)
	if len(vs) != 1 {
		return dkim.Verification{Result: authres.None}
	}
	return vs[0]
}

// theirs returns whether go-msgauth verifies a message with one signature.
func theirs(record, text string) (bool, error) {
	vs, err := msgauth.VerifyWithOptions(strings.NewReader(text), &msgauth.VerifyOptions{
		LookupTXT:        func(string) ([]string, error) { return []string{record}, nil },
		MaxVerifications: 2,
	})
	if err != nil || len(vs) != 1 {
		return false, err
	}
	return vs[0].Err == nil, vs[0].Err
}

// shape makes a message of shapes on which canonicalization depends. Everything is CRLF: go-msgauth is wrong about a
// bare CR in the relaxed form, which RFC 6376 Section 3.4.4 does not touch.
func shape(r *mathrand.Rand) (text string, names []string) {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	var b strings.Builder
	b.WriteString("From: a@example.com\r\n")
	for i := range 1 + r.IntN(8) {
		b.WriteString(pick("To", "Subject", "X-a", "x-A", "Received", fmt.Sprint("X-", i)) + pick(":", ": ", ":\t ", ":\r\n "))
		for range 1 + r.IntN(5) {
			b.WriteString(pick("a", " b", "  c\t", "\r\n d", "\r\n\t  e", "f=g; b=h;", "\xc3\xa4"))
		}
		b.WriteString(pick("x", "x ") + "\r\n")
	}
	b.WriteString("\r\n")
	for range r.IntN(40) {
		b.WriteString(pick("a", "word ", " ", "\t", "\r\n", "\r\n\r\n", "a line of some length", ".", "\xe4\xff", " \r\n", "!\t"))
	}
	b.WriteString("\r\n")
	return b.String(), []string{"From", pick("To", "x-none"), "Subject", "X-A", pick("X-A", "From"), pick("Received", "X-a")}
}

// change replaces one octet among the last n of a message, but none that makes up its lines or the names of its fields.
func change(r *mathrand.Rand, text string, n int) (string, bool) {
	at := len(text) - n + r.IntN(n)
	line := text[strings.LastIndexByte(text[:at], '\n')+1 : at]
	inHeader := at < strings.Index(text, "\r\n\r\n")
	if inHeader && !strings.ContainsAny(line, ": \t") || strings.ContainsAny(text[max(0, at-1):min(len(text), at+2)], "\r\n:") {
		return "", false
	}
	changed := text[:at] + "a \tX"[r.IntN(4):][:1] + text[at+1:]
	return changed, changed != text
}

// TestAgreement: what go-msgauth signs, we verify; and after a random change both say the same.
func TestAgreement(t *testing.T) {
	forms := []msgauth.Canonicalization{msgauth.CanonicalizationSimple, msgauth.CanonicalizationRelaxed}
	keys := signers(t)
	for i := range 400 {
		r := mathrand.New(mathrand.NewPCG(uint64(i), 3))
		text, names := shape(r)
		s := keys[i%2]
		signed := sign(t, s, text, forms[r.IntN(2)], forms[r.IntN(2)], names)
		if v := ours(t, s.record, signed); v.Result != authres.Pass {
			t.Fatalf("%s %s\n%q\n%s", v.Result, v.Reason, signed, strings.Join(v.Steps, "\n"))
		}
		changed, ok := change(r, signed, len(text))
		if !ok {
			continue
		}
		v := ours(t, s.record, changed)
		if ok, err := theirs(s.record, changed); ok != (v.Result == authres.Pass) {
			t.Errorf("ours %s %s, theirs %v %v\n%q\n%s", v.Result, v.Reason, ok, err, changed, strings.Join(v.Steps, "\n"))
		}
	}
}

// TestDifferences lists where we differ from go-msgauth 0.7.0, and which rule decides.
func TestDifferences(t *testing.T) {
	s := signers(t)[0]
	text := "From: a@example.com\r\nSubject: b\r\n\r\nbody\r\n"
	var relaxed msgauth.Canonicalization = msgauth.CanonicalizationRelaxed
	signed := sign(t, s, text, relaxed, relaxed, []string{"From", "Subject"})
	for _, test := range []struct {
		name, record, text string
		ours               authres.Result
		theirs             bool
	}{
		{"same", s.record, signed, authres.Pass, true},
		// RFC 6376 Section 3.6.1: with t=s the domain of i= must be that of d=.
		{"t=s", s.record + "; t=s", signed, authres.PermError, true},
		// RFC 6376 Section 3.6.1: v= must be the first tag.
		{"v= not first", strings.TrimPrefix(s.record, "v=DKIM1; ") + "; v=DKIM1", signed, authres.PermError, true},
		// RFC 6376 Section 2.8: folding white space includes TAB.
		{"TAB in p=", s.record[:60] + "\t" + s.record[60:], signed, authres.Pass, false},
		{"another key", signers(t)[0].record, signed, authres.Fail, false},
		{"revoked", "v=DKIM1; p=", signed, authres.PermError, false},
	} {
		v := ours(t, test.record, test.text)
		ok, err := theirs(test.record, test.text)
		if v.Result != test.ours || ok != test.theirs {
			t.Errorf("%s: ours %s %s, theirs %v %v", test.name, v.Result, v.Reason, ok, err)
		}
	}
}
