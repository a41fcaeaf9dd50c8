package pki

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"assay/verify/vectors"
)

// load reads the certificate in a file.
func load(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	loaded, err := LoadFiles([]string{path})
	if err != nil {
		t.Fatal(err)
	}
	return loaded[0].Certificate
}

// TestJohnny follows the real certificates of "Johnny, you are fired" to a root of the shipped bundle, at the time of the
// paper, and finds them expired today.
func TestJohnny(t *testing.T) {
	dir := vectors.Path(t, "smime/johnny/assets/certificates")
	s, err := NewStore(true, nil, []string{filepath.Join(dir, "intermediate_ca.crt")})
	if err != nil {
		t.Fatal(err)
	}
	v := New(s, Options{})
	for _, who := range []string{"eve", "manager"} {
		leaf := load(t, filepath.Join(dir, who+"@bigcorporation.crt"))
		r := v.Path(context.Background(), Query{Leaf: leaf, At: time.Date(2019, 4, 1, 0, 0, 0, 0, time.UTC)})
		if r.Trust != Public || r.Root.Name() != "GlobalSign" && !strings.Contains(r.Root.Name(), "GlobalSign") {
			t.Errorf("%s: %s %s", who, r.Trust, r.Reason)
		}
		if boxes := Mailboxes(leaf, false); len(boxes) != 1 || boxes[0].Matches(who, "bigcorporation.de") != FullMatch {
			t.Errorf("%s: %v", who, boxes)
		}
		if r := v.Path(context.Background(), Query{Leaf: leaf, At: now}); r.Trust != Expired || !strings.Contains(r.Reason, "the certificate expired on") {
			t.Errorf("%s today: %s %s", who, r.Trust, r.Reason)
		}
	}
}

// TestGenerated judges the certificates of the generated messages.
func TestGenerated(t *testing.T) {
	dir := vectors.Path(t, "smime/generated/pki")
	s, err := NewStore(false, []string{filepath.Join(dir, "root.crt")}, []string{filepath.Join(dir, "inter.crt")})
	if err != nil {
		t.Fatal(err)
	}
	v := New(s, Options{})
	for name, want := range map[string]Trust{
		"rsa": Private, "rsa2": Private, "rsa4096": Private, "p256": Private, "p384": Private, "p521": Private, "ed25519": Private,
		"noeku": Private, "rsa1024": Weak, "rsa2sha1": Weak, "tls": NotForMail, "enc": NotForMail, "self": SelfSigned, "certpss": Private,
	} {
		leaf := load(t, filepath.Join(dir, name+".crt"))
		at := leaf.NotBefore.Add(24 * time.Hour)
		if r := v.Path(context.Background(), Query{Leaf: leaf, At: at}); r.Trust != want {
			t.Errorf("%s: %s %s, want %s", name, r.Trust, r.Reason, want)
		}
	}
}

// TestGeneratedCRL reads a CRL of openssl.
func TestGeneratedCRL(t *testing.T) {
	dir := vectors.Path(t, "smime/generated/pki")
	data, err := os.ReadFile(filepath.Join(dir, "inter.crl"))
	if err != nil {
		t.Fatal(err)
	}
	der := crlFromFile(data)
	if block, _ := pem.Decode(data); block != nil && string(block.Bytes) != string(der) {
		t.Error("PEM is not decoded")
	}
	l, err := scanCRL(der, load(t, filepath.Join(dir, "inter.crt")))
	if err != nil {
		t.Fatal(err)
	}
	want, err := x509.ParseRevocationList(der)
	if err != nil {
		t.Fatal(err)
	}
	if len(l.entries) != len(want.RevokedCertificateEntries) || !l.thisUpdate.Equal(want.ThisUpdate) || !l.nextUpdate.Equal(want.NextUpdate) {
		t.Errorf("%d entries, %s to %s", len(l.entries), l.thisUpdate, l.nextUpdate)
	}
	for _, e := range want.RevokedCertificateEntries {
		if since, _, ok := l.lookup(e.SerialNumber); !ok || !since.Equal(e.RevocationTime) {
			t.Errorf("%s: %v %v", e.SerialNumber, since, ok)
		}
	}
	if _, err := scanCRL(der, load(t, filepath.Join(dir, "root.crt"))); err == nil {
		t.Error("accepted as a list of the root")
	}
}
