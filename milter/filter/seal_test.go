package filter

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"io"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"assay/milter/plan"
	"assay/rules"
	"assay/verify"
	"assay/verify/arc"
	"assay/verify/authres"
	"assay/verify/dns/zone"
	"assay/verify/message"
)

// hopKey is the key of the sealer in these tests.
func hopKey() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
}

// hopZone holds the public key.
func hopZone(t *testing.T, more string) *zone.Zone {
	t.Helper()
	text := "s._domainkey.hop.example. TXT \"v=DKIM1; k=ed25519; p=" +
		base64.StdEncoding.EncodeToString(hopKey().Public().(ed25519.PublicKey)) + "\"\n" + more
	z, err := zone.Parse(strings.NewReader(text), "zone")
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// hop returns a filter that seals with a key.
func hop(t *testing.T, z *zone.Zone, key crypto.Signer, d Rules) *Filter {
	t.Helper()
	s, err := arc.NewSealer(arc.SealerOptions{Domain: "hop.example", Selector: "s", Key: key})
	if err != nil {
		t.Fatal(err)
	}
	v := verify.New(verify.Options{Resolver: z, Trusted: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
		ARC: arc.Options{TrustedSealers: []string{"hop.example"}}})
	return New(Options{Verifier: v, Rules: d, Sealer: s})
}

// hopEnvelope is how the messages of these tests arrive.
func hopEnvelope(client string) message.Envelope {
	return message.Envelope{ClientIP: netip.MustParseAddr(client), Helo: "h.example", MailFrom: "a@b.example", ReceiverMTA: "mx.hop.example",
		QueueID: "Q1", ReceivedAt: time.Unix(1700000000, 0)}
}

// forgedMail has fields that are taken out on the way, and others that no seal may cover.
var forgedMail = []string{"Received: from x", "Return-Path: <a@b.example>", "Authentication-Results: mx.hop.example; dmarc=pass", "X-Assay-Result: v=1",
	"From: a@b.example", "Authentication-Results: other.example; none", "Subject: hi", "", "some text", ""}

// deliver returns the message as the plan delivers it.
func deliver(t *testing.T, o *Outcome, m *message.Message) string {
	t.Helper()
	var b bytes.Buffer
	if err := plan.Apply(o.Plan, m, &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestSealedOnTheWayOut: what is delivered, without the forged fields and with ours, carries a set that verifies, hop
// after hop.
func TestSealedOnTheWayOut(t *testing.T) {
	z := hopZone(t, "")
	f := hop(t, z, hopKey(), shippedRules(t))
	text := strings.Join(forgedMail, "\r\n")
	for i := 1; i <= 3; i++ {
		m := read(t, hopEnvelope("192.0.2.1"), text)
		o := f.Explain(t.Context(), m, granted)
		text = deliver(t, o, m)
		var names []string
		for _, h := range o.Headers {
			names = append(names, h.Name)
			if !plan.ValidValue(h.Value) {
				t.Errorf("%s: %q", h.Name, h.Value)
			}
		}
		want := []string{"ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results", "Authentication-Results", "X-Assay-Summary", "X-Assay-Result"}
		if !reflect.DeepEqual(names, want) || o.Unsealed != "" {
			t.Errorf("%q, unsealed %q", names, o.Unsealed)
		}
		delivered := read(t, hopEnvelope("192.0.2.1"), text)
		for j, name := range want {
			if delivered.Header[j].Name != name {
				t.Errorf("field %d is %s", j, delivered.Header[j].Name)
			}
		}
		v := arc.Verify(t.Context(), z, delivered, arc.Options{TrustedSealers: []string{"hop.example"}})
		if v.Result != authres.Pass || v.Instance != i || v.DMARC != o.Results.DMARC.Result || !v.Trusted {
			t.Errorf("hop %d: %+v", i, v)
		}
		if ar, aar := o.Headers[3].Value, o.Headers[2].Value; !strings.HasSuffix(aar, "; "+ar) {
			t.Errorf("recorded %q, stated %q", aar, ar)
		}
		ams := strings.ToLower(o.Headers[1].Value)
		for _, name := range []string{"received", "return-path", "authentication-results", "x-assay", "arc-"} {
			if strings.Contains(ams, name) {
				t.Errorf("%s is signed: %s", name, ams)
			}
		}
	}
}

// TestSealingIsOnlyAdded: the rest of the plan is what it is without a sealer.
func TestSealingIsOnlyAdded(t *testing.T) {
	quarantine := decider(func() rules.Decision { return rules.Decision{Disposition: rules.Quarantine, Reason: "odd"} })
	for _, d := range []Rules{shippedRules(t), quarantine} {
		m := read(t, hopEnvelope("192.0.2.1"), strings.Join(forgedMail, "\r\n"))
		f := hop(t, hopZone(t, ""), hopKey(), d)
		with := f.Explain(t.Context(), m, granted).Plan
		f.opt.Sealer = nil
		without := f.Explain(t.Context(), m, granted).Plan
		var rest []plan.Op
		for _, op := range with.Ops {
			if !strings.HasPrefix(op.Name, "ARC-") {
				rest = append(rest, op)
			}
		}
		if !reflect.DeepEqual(rest, without.Ops) || len(with.Ops) != len(rest)+3 || with.Verdict != plan.Accept {
			t.Errorf("with %+v\nwithout %+v", with, without)
		}
	}
}

// A faultyKey does not sign.
type faultyKey struct {
	crypto.Signer
	panics bool
}

var errToken = errors.New("token was pulled")

func (k faultyKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	if k.panics {
		panic(errToken)
	}
	return nil, errToken
}

// TestUnsealedMailIsDelivered: whatever prevents a seal, the message gets everything else and the cause is noted.
func TestUnsealedMailIsDelivered(t *testing.T) {
	sealedBy := func(selector string) string {
		return "ARC-Seal: i=1; a=rsa-sha256; cv=none; d=b.example; s=" + selector + "; b=AAAA\r\n" +
			"ARC-Message-Signature: i=1; a=rsa-sha256; c=relaxed/relaxed; d=b.example; s=" + selector + "; h=from; bh=AAAA; b=AAAA\r\n" +
			"ARC-Authentication-Results: i=1; b.example; none\r\n"
	}
	plain := "From: a@b.example\r\n\r\nx\r\n"
	for _, test := range []struct {
		name, client, text string
		key                crypto.Signer
		unsealed           string // "" means that there was nothing to seal
	}{
		{"broken key", "192.0.2.1", plain, faultyKey{Signer: hopKey()}, "token was pulled"},
		{"panic", "192.0.2.1", plain, faultyKey{Signer: hopKey(), panics: true}, "panic: token was pulled"},
		{"key of the chain cannot be fetched", "192.0.2.1", sealedBy("timeout") + plain, hopKey(), "not known: arc=temperror"},
		{"chain that was found broken", "192.0.2.1", strings.Replace(sealedBy("x"), "cv=none", "cv=fail", 1) + plain, hopKey(), "the chain has ended"},
		{"nothing to sign", "192.0.2.1", "X: y\r\n\r\nx\r\n", hopKey(), "0 fields to sign"},
		{"trusted network", "198.51.100.1", plain, faultyKey{Signer: hopKey()}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := read(t, hopEnvelope(test.client), test.text)
			f := hop(t, hopZone(t, "timeout._domainkey.b.example. TIMEOUT\n"), test.key, shippedRules(t))
			o := f.Explain(t.Context(), m, granted)
			if o.Plan.Verdict != plan.Accept || len(o.Headers) != 3 || o.Failure != "" || !strings.Contains(o.Unsealed, test.unsealed) ||
				(o.Unsealed == "") != (test.unsealed == "") {
				t.Errorf("%+v\n%+v\nunsealed %q, failure %q", o.Plan, o.Headers, o.Unsealed, o.Failure)
			}
		})
	}
}

// TestBrokenChainIsSealedAsSuch: a chain that does not validate is closed with cv=fail (RFC 8617 Section 5.1.2).
func TestBrokenChainIsSealedAsSuch(t *testing.T) {
	m := read(t, hopEnvelope("192.0.2.1"), "ARC-Seal: i=1; a=rsa-sha256; cv=none; d=b.example; s=x; b=AAAA\r\nFrom: a@b.example\r\n\r\nx\r\n")
	o := hop(t, hopZone(t, ""), hopKey(), shippedRules(t)).Explain(t.Context(), m, granted)
	if o.Unsealed != "" || !strings.HasPrefix(o.Headers[0].Value, "i=2; a=ed25519-sha256; cv=fail;") {
		t.Errorf("%q, %+v", o.Unsealed, o.Headers)
	}
}
