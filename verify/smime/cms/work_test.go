package cms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"math/big"
	"testing"
)

// TestWork counts how many signatures may be checked with keys of one kind.
func TestWork(t *testing.T) {
	modulus := func(bits uint) *big.Int { return new(big.Int).Lsh(big.NewInt(1), bits-1) }
	for _, test := range []struct {
		name     string
		key      crypto.PublicKey
		min, max int
	}{
		{"RSA-2048", &rsa.PublicKey{N: modulus(2048), E: 65537}, 100, 200},
		{"RSA-4096", &rsa.PublicKey{N: modulus(4096), E: 65537}, 40, 60},
		{"RSA-8192", &rsa.PublicKey{N: modulus(8192), E: 65537}, 10, 20},
		{"RSA-8192 with a large exponent", &rsa.PublicKey{N: modulus(8192), E: 1<<31 - 1}, 4, 8},
		{"P-256", &ecdsa.PublicKey{Curve: elliptic.P256()}, 100, 300},
		{"P-384", &ecdsa.PublicKey{Curve: elliptic.P384()}, 20, 30},
		{"P-521", &ecdsa.PublicKey{Curve: elliptic.P521()}, 6, 8},
		{"Ed25519", ed25519.PublicKey{}, 100, 300},
		{"none", nil, 100, 300},
	} {
		w, n := new(Work), 0
		for w.Allow(test.key) {
			n++
		}
		if n < test.min || n > test.max {
			t.Errorf("%s: %d checks, want %d to %d", test.name, n, test.min, test.max)
		}
	}
}

// TestWorkOfMessage shares one Work between objects: what honest mails need is there, and no more than a few times that.
func TestWorkOfMessage(t *testing.T) {
	w := new(Work)
	intact, refused := 0, 0
	for range 20 {
		object, err := Parse(recipe{id: identityOf(t, "p521"), digest: "sha512", scheme: oidECKey}.build(t), Limits{Work: w})
		if err != nil {
			t.Fatal(err)
		}
		switch res := object.Signed.VerifySigner(0, object.Signed.Embedded(), nil); {
		case res.Integrity == Intact:
			intact++
		case res.Integrity == Malformed && res.Reason == "to check all signatures of the message would take too long":
			refused++
		default:
			t.Errorf("%s %q", res.Integrity, res.Reason)
		}
	}
	if intact < 6 || refused < 10 {
		t.Errorf("%d intact, %d refused", intact, refused)
	}
}

// TestWorkOfCertificates shares the octets of certificates that are parsed between objects.
func TestWorkOfCertificates(t *testing.T) {
	id := identityOf(t, "p256")
	r := recipe{id: id, digest: "sha256", scheme: oidECKey, certs: [][]byte{id.cert.Raw}}
	limits := Limits{Work: new(Work), CertificateOctets: 3*len(id.cert.Raw) + 1}
	parsed := 0
	for range 5 {
		object, err := Parse(r.build(t), limits)
		if err != nil {
			t.Fatal(err)
		}
		if c := object.Signed.Certificates[0]; c.X509 != nil {
			parsed++
		} else if !errors.Is(c.Err, ErrLimit) {
			t.Error(c.Err)
		}
	}
	if parsed != 3 {
		t.Errorf("%d certificates were parsed", parsed)
	}
}
