package cms

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"runtime"
	"slices"
	"testing"
	"time"
)

// A lyingKey has any public key and signs with octets of the right length that mean nothing.
type lyingKey struct {
	public *rsa.PublicKey
}

func (k lyingKey) Public() crypto.PublicKey { return k.public }

func (k lyingKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	signature := make([]byte, k.public.Size())
	signature[len(signature)-1] = 2
	return signature, nil
}

// lying makes a certificate for a public key that nobody needs to have the private key of.
func lying(t testing.TB, bits, exponent int) identity {
	t.Helper()
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits)-1)
	n.Add(n, big.NewInt(12345))
	issuer := identityOf(t, "p256")
	template := &x509.Certificate{SerialNumber: big.NewInt(7), NotAfter: time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)}
	public := &rsa.PublicKey{N: n, E: exponent}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer.cert, public, issuer.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return identity{lyingKey{public}, cert}
}

// TestHostileKeys verifies that keys which would take long, or are none, are refused before they are used.
func TestHostileKeys(t *testing.T) {
	tests := []struct {
		name           string
		bits, exponent int
		want           Integrity
	}{
		{"largest", 8192, 65537, Broken},
		{"largest with a large exponent", 8192, 65539, Unsupported},
		{"large exponent", 4096, maxExponent, Broken},
		{"one bit too long", 8193, 65537, Unsupported},
		{"very long", 65536, maxExponent, Unsupported},
		{"short", 1023, 65537, Unsupported},
		{"shortest", 1024, 65537, Broken},
		{"exponent too large", 2048, maxExponent + 2, Unsupported},
		{"exponent 1", 2048, 1, Malformed},
		{"exponent even", 2048, 65536, Malformed},
		{"exponent 3", 2048, 3, Broken},
	}
	for _, tt := range tests {
		for _, scheme := range [][]int{oidRSA, oidRSAPSS} {
			r := recipe{id: lying(t, tt.bits, tt.exponent), digest: "sha256", scheme: scheme}
			if slices.Equal(scheme, oidRSAPSS) {
				r.parameters = pssParameters(nistHash(1), nistHash(1), 32)
			}
			object := r.build(t)
			start := cpuTime(t)
			got := verify(t, object, nil)
			took := cpuTime(t) - start
			if got.Integrity != tt.want || took > 50*time.Millisecond*slowdown() {
				t.Errorf("%s %v: %v after %v, want %s", tt.name, scheme, got, took, tt.want)
			}
		}
	}
}

// TestEvenModulus verifies that a modulus that is no product of primes is refused.
func TestEvenModulus(t *testing.T) {
	key := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2047), E: 65537}
	if f := checkRSAKey(key); f.integrity != Malformed {
		t.Errorf("%v", f)
	}
}

// TestSmallExponent verifies that a key with the exponent 3 verifies and is flagged.
func TestSmallExponent(t *testing.T) {
	r := recipe{id: newIdentity(t, exponentThree(t), 9), digest: "sha256", scheme: oidRSA}
	got := verify(t, r.build(t), nil)
	if got.Integrity != Intact || !slices.Equal(got.Flags, []string{FlagSmallExponent}) {
		t.Errorf("%v", got)
	}
}

// exponentThree makes an RSA key with the public exponent 3.
func exponentThree(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	three, one := big.NewInt(3), big.NewInt(1)
	prime := func() *big.Int {
		for {
			p, err := rand.Prime(rand.Reader, 1024)
			if err != nil {
				t.Fatal(err)
			}
			if less := new(big.Int).Sub(p, one); new(big.Int).Mod(less, three).Sign() != 0 {
				return p
			}
		}
	}
	p, q := prime(), prime()
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 3},
		D:         new(big.Int).ModInverse(three, phi),
		Primes:    []*big.Int{p, q},
	}
	key.Precompute()
	if err := key.Validate(); err != nil {
		t.Fatal(err)
	}
	return key
}

// TestWorstCase verifies that the most expensive object costs no more than Work allows: as many signers as there may be, with
// as many of the largest keys, and attributes in an order that makes for two tries each.
func TestWorstCase(t *testing.T) {
	r := recipe{id: lying(t, maxRSABits, usualExponent), digest: "sha256", scheme: oidRSA, unsorted: "as-sent", copies: 8}
	for range maxCandidates {
		r.certs = append(r.certs, lying(t, maxRSABits, usualExponent).cert.Raw)
	}
	o, err := Parse(r.build(t), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	start := cpuTime(t)
	for i := range o.Signed.Signers {
		if got := o.Signed.VerifySigner(i, o.Signed.Embedded(), nil); got.Integrity != Broken && (i == 0 || got.Integrity != Malformed) {
			t.Fatal(got)
		}
	}
	took := cpuTime(t) - start
	t.Log(took)
	if took > 50*time.Millisecond*slowdown() {
		t.Errorf("%v", took)
	}
}

// TestHostileCertificates verifies that certificates full of names cost no more than their octets allow, and that beyond
// Limits.CertificateOctets they are not parsed at all.
func TestHostileCertificates(t *testing.T) {
	id := identityOf(t, "p256")
	for name, entry := range map[string][]byte{
		"hosts":     {0x82, 1, 'a'},
		"addresses": {0x81, 3, 'a', '@', 'a'},
		"links":     {0x86, 3, 'a', ':', 'b'},
	} {
		for _, size := range []int{230 << 10, 20 << 20} {
			value := seq(bytes.Repeat(entry, size/len(entry)))
			template := &x509.Certificate{SerialNumber: big.NewInt(7), NotAfter: time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)}
			template.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 17}, Value: value}}
			der, err := x509.CreateCertificate(rand.Reader, template, template, id.key.Public(), id.key)
			if err != nil {
				t.Fatal(err)
			}
			r := recipe{id: id, digest: "sha256", scheme: oidECKey, certs: [][]byte{id.cert.Raw, der}}
			object := r.build(t)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := cpuTime(t)
			o, err := Parse(object, Limits{})
			took := cpuTime(t) - start
			runtime.ReadMemStats(&after)
			if err != nil || (o.Signed.Certificates[1].X509 == nil) != (size > 256<<10) {
				t.Fatalf("%s of %d octets: %v", name, size, err)
			}
			alloc := after.TotalAlloc - before.TotalAlloc
			t.Logf("%s of %d octets: %v and %d octets", name, size, took, alloc)
			if took > 50*time.Millisecond*slowdown() || alloc > 16<<20 {
				t.Errorf("%s of %d octets: %v and %d octets", name, size, took, alloc)
			}
		}
	}
}
