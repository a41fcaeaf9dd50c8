package envelope

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
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

	"assay/verify/smime/cms"
)

// text is what is encrypted in most tests: a MIME entity.
const text = "Content-Type: text/plain; charset=utf-8\r\n\r\nDear Bob,\r\n\r\nplease pay 100 EUR to account 1.\r\n-- \r\nAlice\r\n"

// A lab makes keys and certificates, and encrypts with openssl(1).
type lab struct {
	t   testing.TB
	dir string
	n   int64
}

func newLab(t testing.TB) *lab {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("NOT RUN: no openssl(1), install the package openssl")
	}
	l := &lab{t: t, dir: t.TempDir()}
	l.write("text", []byte(text))
	return l
}

func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

func (l *lab) write(name string, data []byte) {
	l.t.Helper()
	if err := os.WriteFile(l.path(name), data, 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// recipient makes a key with a certificate, in name.key and name.crt.
func (l *lab) recipient(name string, key crypto.PrivateKey) {
	l.t.Helper()
	l.n++
	public := key.(interface{ Public() crypto.PublicKey }).Public()
	c := x509.Certificate{SerialNumber: big.NewInt(1000 + l.n), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), SubjectKeyId: []byte("key id of " + name)}
	ca, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	l.must(err)
	parent := x509.Certificate{Subject: pkix.Name{CommonName: "Lab"}}
	der, err := x509.CreateCertificate(rand.Reader, &c, &parent, public, ca)
	l.must(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	l.must(err)
	l.write(name+".crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	l.write(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

func (l *lab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// recipients makes one recipient of each kind: rsa, p256, p384 and p521.
func (l *lab) recipients() {
	l.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	l.must(err)
	l.recipient("rsa", key)
	for name, curve := range map[string]elliptic.Curve{"p256": elliptic.P256(), "p384": elliptic.P384(), "p521": elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		l.must(err)
		l.recipient(name, key)
	}
}

// keys loads the keys of recipients.
func (l *lab) keys(names ...string) *Keys {
	l.t.Helper()
	var files []string
	for _, name := range names {
		files = append(files, l.path(name+".key"), l.path(name+".crt"))
	}
	k, err := Load(files)
	l.must(err)
	return k
}

// encrypt encrypts text with openssl cms -encrypt.
func (l *lab) encrypt(args ...string) []byte {
	l.t.Helper()
	return l.encryptFile("text", args...)
}

func (l *lab) encryptFile(file string, args ...string) []byte {
	l.t.Helper()
	cmd := exec.Command("openssl", slices.Concat([]string{"cms", "-encrypt", "-binary", "-in", file, "-out", "object", "-outform", "DER"}, args)...)
	cmd.Dir = l.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		l.t.Fatalf("openssl %q: %v\n%s", args, err, out)
	}
	data, err := os.ReadFile(l.path("object"))
	l.must(err)
	return data
}

// open parses and opens an object.
func open(k *Keys, ber []byte) (*Opened, error) {
	o, err := cms.Parse(ber, cms.Limits{})
	if err != nil {
		return nil, err
	}
	return k.Open(o)
}

// newX25519 is a key of a kind that OpenSSL 3.0 does not encrypt for.
func newX25519(t testing.TB) *ecdh.PrivateKey {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
