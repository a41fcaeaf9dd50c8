package smime

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"assay/verify/smime/pki"
)

// A lab is a private authority with signers, and openssl(1) to sign with.
type lab struct {
	t      testing.TB
	dir    string
	at     time.Time // of receipt, a little after everything was signed
	root   *x509.Certificate
	middle *x509.Certificate
	key    crypto.Signer // of middle
	serial int64
	certs  map[string]*x509.Certificate
	keys   map[string]crypto.Signer
}

// newLab makes a root, an authority below it and the signers alice (RSA) and eve (ECDSA).
func newLab(t testing.TB) *lab {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("NOT RUN: no openssl(1), install the package openssl")
	}
	l := &lab{t: t, dir: t.TempDir(), at: time.Now().Add(time.Minute), certs: map[string]*x509.Certificate{}, keys: map[string]crypto.Signer{}}
	authority := func(name string) x509.Certificate {
		return x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	}
	rootKey := newRSA(t, 2048)
	l.root = l.issue("root", authority("Lab Root"), rootKey, nil, rootKey)
	l.key = newRSA(t, 2048)
	l.middle = l.issue("middle", authority("Lab Authority"), l.key, l.root, rootKey)
	l.signer("alice", newRSA(t, 2048), "alice@example.com")
	l.signer("eve", newEC(t, elliptic.P256()), "eve@example.com")
	return l
}

func newRSA(t testing.TB, bits int) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newEC(t testing.TB, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newEd25519(t testing.TB) crypto.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue makes a certificate and writes it, and its key, to name.crt and name.key.
func (l *lab) issue(name string, template x509.Certificate, key crypto.Signer, parent *x509.Certificate, signer crypto.Signer) *x509.Certificate {
	l.t.Helper()
	l.serial++
	template.SerialNumber = big.NewInt(l.serial)
	if template.NotBefore.IsZero() {
		template.NotBefore = l.at.AddDate(-1, 0, 0)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = l.at.AddDate(1, 0, 0)
	}
	if parent == nil {
		parent = &template
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, parent, key.Public(), signer)
	if err != nil {
		l.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		l.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		l.t.Fatal(err)
	}
	l.write(name+".crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	l.write(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	l.certs[name], l.keys[name] = cert, key
	return cert
}

// signer makes the certificate of somebody below the authority.
func (l *lab) signer(name string, key crypto.Signer, mail ...string) {
	l.t.Helper()
	l.custom(name, key, func(c *x509.Certificate) { c.EmailAddresses = mail })
}

// custom makes a certificate that is changed before it is signed.
func (l *lab) custom(name string, key crypto.Signer, change func(*x509.Certificate)) {
	l.t.Helper()
	c := x509.Certificate{
		Subject: pkix.Name{CommonName: name, Organization: []string{"Lab"}}, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
		SubjectKeyId: []byte(name),
	}
	change(&c)
	l.issue(name, c, key, l.middle, l.key)
}

// selfSigned makes a certificate that nobody vouches for.
func (l *lab) selfSigned(name, mail string) {
	l.t.Helper()
	key := newEC(l.t, elliptic.P256())
	l.issue(name, x509.Certificate{Subject: pkix.Name{CommonName: name}, EmailAddresses: []string{mail}}, key, nil, key)
}

func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

func (l *lab) write(name string, data []byte) {
	l.t.Helper()
	if err := os.WriteFile(l.path(name), data, 0o600); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) read(name string) []byte {
	l.t.Helper()
	data, err := os.ReadFile(l.path(name))
	if err != nil {
		l.t.Fatal(err)
	}
	return data
}

func (l *lab) command(args ...string) *exec.Cmd {
	cmd := exec.Command("openssl", args...)
	cmd.Dir = l.dir
	return cmd
}

// run runs openssl(1), which has to succeed.
func (l *lab) run(args ...string) {
	l.t.Helper()
	if out, err := l.command(args...).CombinedOutput(); err != nil {
		l.t.Fatalf("openssl %q: %v\n%s", args, err, out)
	}
}

// cms makes a CMS object of text with openssl cms.
func (l *lab) cms(text string, args ...string) []byte {
	l.t.Helper()
	l.write("text", []byte(text))
	l.run(slices.Concat([]string{"cms", "-binary", "-in", "text", "-out", "object", "-outform", "DER"}, args)...)
	return l.read("object")
}

// sign makes a detached signature.
func (l *lab) sign(who, text string, options ...string) []byte {
	l.t.Helper()
	return l.cms(text, slices.Concat([]string{"-sign", "-certfile", "middle.crt", "-signer", who + ".crt", "-inkey", who + ".key"}, options)...)
}

// signOpaque makes a signature with the text inside.
func (l *lab) signOpaque(who, text string, options ...string) []byte {
	l.t.Helper()
	return l.sign(who, text, append(options, "-nodetach")...)
}

// encrypt encrypts for alice.
func (l *lab) encrypt(text string) []byte {
	l.t.Helper()
	return l.cms(text, "-encrypt", "-aes256", "alice.crt")
}

// options returns options that trust the root, without the network.
func (l *lab) options() Options {
	l.t.Helper()
	store, err := pki.NewStore(false, []string{l.path("root.crt")}, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	return Options{Validator: pki.New(store, pki.Options{}), Explain: true}
}

// verify verifies a message.
func (l *lab) verify(raw []byte) Verification {
	l.t.Helper()
	return verify(l.t, l.options(), raw, l.at)
}

// text is what is signed in most tests: a MIME entity.
const text = "Content-Type: text/plain; charset=utf-8\r\n\r\nDear Bob,\r\n\r\nplease pay 100 EUR to account 1.\r\n-- \r\nAlice\r\n"

// evil is what nobody signed.
const evil = "Content-Type: text/plain; charset=utf-8\r\n\r\nPay 1000000 EUR to account 2.\r\n"

// lists makes CRLs of the authority, with what is revoked, and of the root.
func (l *lab) lists(revoked []*x509.Certificate) [][]byte {
	l.t.Helper()
	list := x509.RevocationList{Number: big.NewInt(1), ThisUpdate: l.at.Add(-time.Hour), NextUpdate: l.at.Add(24 * time.Hour)}
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: l.at.Add(-2 * time.Hour)})
	}
	middle, err := x509.CreateRevocationList(rand.Reader, &list, l.middle, l.key)
	if err != nil {
		l.t.Fatal(err)
	}
	list.RevokedCertificateEntries = nil
	root, err := x509.CreateRevocationList(rand.Reader, &list, l.root, l.keys["root"])
	if err != nil {
		l.t.Fatal(err)
	}
	return [][]byte{middle, root}
}
