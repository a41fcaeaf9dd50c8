package filter

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"assay/milter/plan"
	"assay/rules"
	"assay/scan"
	"assay/scan/files"
	"assay/scan/html"
	"assay/scan/inspect"
	"assay/verify"
	"assay/verify/message"
	"assay/verify/smime"
	"assay/verify/smime/envelope"
	"assay/verify/smime/pki"
)

// A post office encrypts for bob, whose key the gateway has, and signs as alice, with openssl(1).
type postOffice struct {
	t   *testing.T
	dir string
}

func newPostOffice(t *testing.T) postOffice {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("NOT RUN: no openssl(1), install the package openssl")
	}
	p := postOffice{t, t.TempDir()}
	root := x509.Certificate{Subject: pkix.Name{CommonName: "Root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	rootKey := p.issue("root", root, nil, nil)
	for _, name := range []string{"alice", "bob"} {
		p.issue(name, x509.Certificate{Subject: pkix.Name{CommonName: name}, EmailAddresses: []string{name + "@b.example"},
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}}, &root, rootKey)
	}
	return p
}

// issue makes a certificate and its key.
func (p postOffice) issue(name string, c x509.Certificate, parent *x509.Certificate, by *rsa.PrivateKey) *rsa.PrivateKey {
	p.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	p.must(err)
	if parent == nil {
		parent, by = &c, key
	}
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(int64(len(name))), time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, &c, parent, &key.PublicKey, by)
	p.must(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	p.must(err)
	p.write(name+".crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	p.write(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	return key
}

func (p postOffice) path(name string) string { return filepath.Join(p.dir, name) }

func (p postOffice) write(name string, data []byte) {
	p.t.Helper()
	p.must(os.WriteFile(p.path(name), data, 0o600))
}

func (p postOffice) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// cms runs openssl cms on a text.
func (p postOffice) cms(text string, args ...string) []byte {
	p.t.Helper()
	p.write("text", []byte(text))
	cmd := exec.Command("openssl", slices.Concat([]string{"cms", "-binary", "-in", "text", "-outform", "DER", "-out", "object"}, args)...)
	cmd.Dir = p.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Fatalf("openssl %q: %v\n%s", args, err, out)
	}
	data, err := os.ReadFile(p.path("object"))
	p.must(err)
	return data
}

// signed is an entity that alice has signed.
func (p postOffice) signed(entity string) string {
	p.t.Helper()
	return "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; micalg=sha-256;\r\n\tboundary=s\r\n\r\n--s\r\n" + entity +
		"\r\n--s\r\nContent-Type: application/pkcs7-signature; name=smime.p7s\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		lines(p.cms(entity, "-sign", "-signer", "alice.crt", "-inkey", "alice.key")) + "--s--\r\n"
}

// sealedHead is the header of mail to bob, without what is about the content.
const sealedHead = "Received: from x by y\r\nFrom: alice@b.example\r\nTo: bob@b.example\r\nSubject: offer\r\nMIME-Version: 1.0\r\n"

// sealed is a message that is encrypted for bob as a whole.
func (p postOffice) sealed(entity, cipher string) string {
	p.t.Helper()
	return sealedHead + "Content-Type: application/pkcs7-mime; smime-type=enveloped-data;\r\n name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n" +
		"Content-Disposition: attachment; filename=smime.p7m\r\n\r\n" + lines(p.cms(entity, "-encrypt", "-"+cipher, "bob.crt"))
}

// lines is base64 with CRLF.
func lines(der []byte) string {
	var b strings.Builder
	for chunk := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString(der)), 76) {
		b.Write(chunk)
		b.WriteString("\r\n")
	}
	return b.String()
}

// filter returns a filter with bob's key.
func (p postOffice) filter(opened bool, d decider) *Filter {
	p.t.Helper()
	keys, err := envelope.Load([]string{p.path("bob.key"), p.path("bob.crt"), p.path("alice.key"), p.path("alice.crt")})
	p.must(err)
	store, err := pki.NewStore(false, []string{p.path("root.crt")}, nil)
	p.must(err)
	v := smime.NewVerifier(smime.Options{Validator: pki.New(store, pki.Options{}), Keys: keys})
	opt := Options{Verifier: verify.New(verify.Options{Resolver: emptyZone(p.t), SMIME: v}), Opened: opened, Rules: shippedRules(p.t),
		Scanners: []scan.Scanner{files.New(files.Options{Engine: inspect.New(inspect.Options{}), Open: v.Open, Inside: []scan.Scanner{&html.Scanner{}}}), &html.Scanner{}}}
	if d != nil {
		opt.Rules = d
	}
	return New(opt)
}

// deliver returns a message as it is delivered, without what was put on top of it, and the outcome.
func (p postOffice) deliver(f *Filter, mail string, rcpt ...string) (string, *Outcome) {
	p.t.Helper()
	if rcpt == nil {
		rcpt = []string{"bob@b.example"}
	}
	m, err := message.Read(strings.NewReader(mail), message.Envelope{QueueID: "4X", ReceivedAt: time.Now(), RcptTo: rcpt}, message.Limits{})
	p.must(err)
	defer m.Close()
	o := f.Explain(p.t.Context(), m, granted)
	if o.Failure != "" || o.Plan.Verdict != plan.Accept {
		p.t.Fatalf("verdict %v, failure %q", o.Plan.Verdict, o.Failure)
	}
	var out bytes.Buffer
	p.must(plan.Apply(o.Plan, m, &out))
	top, rest, found := strings.Cut(out.String(), "Received: from x by y\r\n")
	if !found || strings.Contains(top, "Content-") && !strings.Contains(top, "X-Assay-Content") {
		p.t.Errorf("on top: %s", top)
	}
	return "Received: from x by y\r\n" + rest, o
}

// value returns a field of our own.
func value(o *Outcome, name string) string {
	for _, h := range o.Headers {
		if h.Name == name {
			return strings.Join(strings.Fields(h.Value), " ")
		}
	}
	return ""
}

// TestOpenedDelivery delivers mail that was encrypted for the gateway as it was, or what was inside of it.
func TestOpenedDelivery(t *testing.T) {
	p := newPostOffice(t)
	text := "Content-Type: text/plain; charset=utf-8\r\n\r\nDear Bob,\r\n\r\nplease pay 100 EUR.\r\n-- \r\nAlice\r\n"
	page := "Content-Type: text/html; charset=utf-8\r\n\r\n<p onclick=\"x()\">hi</p>\r\n"
	protected := "Subject: the real one\r\nContent-Type: text/plain; hp=cipher\r\n\r\nhi\r\n"
	for _, test := range []struct {
		name, entity, cipher string
		original             bool   // although the configuration says opened
		kept                 string // why
		state                smime.State
		words                string // of X-Assay-Result
	}{
		{"signed, CBC", p.signed(text), "aes-256-cbc", false, "", smime.Verified, "opened=authenticated;"},
		{"signed, GCM", p.signed(text), "aes-256-gcm", false, "", smime.Verified, "opened=authenticated;"},
		{"opaque", "Content-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
			lines(p.cms(text, "-sign", "-nodetach", "-signer", "alice.crt", "-inkey", "alice.key")), "aes-128-cbc", false, "", smime.Verified, "opened=authenticated;"},
		{"not signed, GCM", text, "aes-128-gcm", false, "", smime.Encrypted, "opened=authenticated;"},
		{"not signed, CBC", text, "aes-256-cbc", true, keptUnauthenticated, smime.Encrypted, "opened=unauthenticated;"},
		{"a subject inside", protected, "aes-256-gcm", true, keptOtherHeader, smime.Encrypted, "opened=authenticated;"},
		{"8bit", "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n", "aes-256-gcm", true, keptNotSevenBit, smime.Encrypted, "opened=authenticated;"},
		{"active content", p.signed(page), "aes-256-gcm", true, keptEncrypted, smime.Verified, "opened=authenticated;"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := postOffice{t, p.dir}
			mail := p.sealed(test.entity, test.cipher)
			original, o := p.deliver(p.filter(false, nil), mail)
			if original != mail || o.Results.SMIME.State != test.state || !o.Results.SMIME.Opened || len(o.Amendment.Changed) > 0 {
				t.Errorf("original: %+v, %q\n%s", o.Results.SMIME, o.Amendment.Changed, original)
			}
			got, o := p.deliver(p.filter(true, nil), mail)
			if result := value(o, "X-Assay-Result"); !strings.Contains(result, test.words) || strings.Contains(result, "changed=decrypted") == test.original {
				t.Errorf("%s", result)
			}
			if test.original {
				if got != mail || len(o.Amendment.Kept) != 1 || o.Amendment.Kept[0].Reason != test.kept {
					t.Errorf("%+v\n%s", o.Amendment.Kept, got)
				}
				return
			}
			if got != sealedHead+test.entity || len(o.Amendment.Kept) > 0 {
				t.Errorf("%+v\n%s", o.Amendment.Kept, got)
			}
			sum := sha256.Sum256([]byte(mail))
			if o.Amendment.SHA256 != hex.EncodeToString(sum[:]) || !strings.Contains(value(o, "X-Assay-Result"), "original="+o.Amendment.SHA256) {
				t.Errorf("original is %x: %s", sum, value(o, "X-Assay-Result"))
			}
			if summary := value(o, "X-Assay-Summary"); !strings.Contains(summary, "opened here.") || strings.Contains(summary, "could not be checked") {
				t.Errorf("%s", summary)
			}
		})
	}
}

// TestOpenedForEveryRecipient gives nobody what was encrypted for others only, also if the encrypted object names him.
func TestOpenedForEveryRecipient(t *testing.T) {
	p := newPostOffice(t)
	entity := p.signed("Content-Type: text/plain\r\n\r\nhi\r\n")
	forBob := p.cms(entity, "-encrypt", "-aes-256-gcm", "bob.crt")
	both := p.cms(entity, "-encrypt", "-aes-256-gcm", "bob.crt", "alice.crt")
	head := sealedHead + "Content-Type: application/pkcs7-mime; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n\r\n"
	// alice's own encrypted key in the place of the one for her, which does not fit the content.
	forged := withKeyOf(t, both, p.cms("x", "-encrypt", "-aes-256-gcm", "alice.crt"))
	for _, test := range []struct {
		name   string
		der    []byte
		rcpt   []string
		opened bool
	}{
		{"the one recipient", forBob, []string{"Bob@B.example"}, true},
		{"another recipient", forBob, []string{"alice@b.example"}, false},
		{"a recipient more", forBob, []string{"bob@b.example", "alice@b.example"}, false},
		{"both", both, []string{"bob@b.example", "alice@b.example"}, true},
		{"both, and one more", both, []string{"bob@b.example", "alice@b.example", "eve@b.example"}, false},
		{"named, with another key", forged, []string{"alice@b.example"}, false},
		{"named, with another key, the other one", forged, []string{"bob@b.example"}, true},
		{"no address", both, []string{"bob"}, false},
	} {
		mail := head + lines(test.der)
		got, o := p.deliver(p.filter(true, nil), mail, test.rcpt...)
		if !o.Results.SMIME.Opened || slices.Contains(o.Amendment.Changed, "decrypted") != test.opened || (got == mail) == test.opened {
			t.Errorf("%s: changed %q, kept %+v", test.name, o.Amendment.Changed, o.Amendment.Kept)
		}
		if !test.opened && (len(o.Amendment.Kept) != 1 || o.Amendment.Kept[0].Reason != keptOtherRecipient) {
			t.Errorf("%s: kept %+v", test.name, o.Amendment.Kept)
		}
	}
}

// withKeyOf replaces the last encrypted key of an object, which is RSA of 256 octets, by that of another one.
func withKeyOf(t *testing.T, der, other []byte) []byte {
	t.Helper()
	prefix := []byte{4, 0x82, 1, 0}
	i, j := bytes.LastIndex(der[:len(der)-len(der)/3], prefix), bytes.Index(other, prefix)
	if i < 0 || j < 0 {
		t.Fatal("no encrypted key")
	}
	out := slices.Clone(der)
	copy(out[i:], other[j:j+260])
	return out
}

// TestOpenedAttachments applies the rules to what is inside. What they want removed cannot be taken out of the encryption, so
// that such mail is delivered as it was received, or not at all.
func TestOpenedAttachments(t *testing.T) {
	p := newPostOffice(t)
	mail := p.sealed("Content-Type: application/octet-stream; name=a.exe\r\nContent-Transfer-Encoding: base64\r\n\r\nTVqQAAMAAAAEAAAA//8AALgAAAA=\r\n", "aes-256-gcm")
	_, o := p.deliver(p.filter(true, nil), mail)
	if !slices.ContainsFunc(o.Report.Objects, func(o scan.Object) bool {
		return o.Path == "1/1" && o.Name == "a.exe" && slices.Contains(o.Traits, scan.Executable)
	}) {
		t.Errorf("%+v", o.Report.Objects)
	}
	for _, m := range o.Decision.Rules {
		if m.ID == "encrypted-smime" {
			t.Error("called encrypted, although it was opened")
		}
	}
	remove := func() rules.Decision { return removal(false, "1") }
	got, o := p.deliver(p.filter(true, remove), mail)
	if got != mail || len(o.Amendment.Kept) != 1 || o.Amendment.Kept[0].Reason != keptEncrypted {
		t.Errorf("%+v\n%s", o.Amendment, got)
	}
	unwrap := func() rules.Decision { return removal(true, "1") }
	got, o = p.deliver(p.filter(true, unwrap), mail)
	if len(o.Amendment.Files) != 1 || slices.Contains(o.Amendment.Changed, "decrypted") || strings.Contains(got, "TVqQ") || !strings.Contains(got, "text/plain") {
		t.Errorf("%+v\n%s", o.Amendment, got)
	}
	strip := func() rules.Decision {
		return rules.Decision{Disposition: rules.Deliver, HTML: []rules.HTMLAction{{Level: scan.Active, Unwrap: true}}}
	}
	_, o = p.deliver(p.filter(true, strip), p.sealed("Content-Type: text/html\r\n\r\n<script>x()</script>\r\n", "aes-256-gcm"))
	if o.Decision.Disposition != rules.Quarantine || !strings.Contains(o.Decision.Reason, "encrypted") {
		t.Errorf("%+v", o.Decision)
	}
}
