package envelope

import (
	"strings"
	"testing"

	"assay/verify/smime/cms"
)

// FuzzOpen opens whatever it is given with keys of every kind: it neither panics nor takes long, and what is authenticated is
// what was encrypted.
func FuzzOpen(f *testing.F) {
	d := newDesk(f)
	x := newX25519(f)
	id := identifier(cms.SignerID{Issuer: d.cert.RawIssuer, Serial: d.cert.SerialNumber})
	d.keys.byID[id] = append(d.keys.byID[id], &recipient{certificate: d.cert, ecdh: x})
	for _, size := range []int{16, 24, 32} {
		c := d.craft(f, size, 16)
		c.v15(d.cert)
		f.Add(c.cbc(padded(text)))
		c = d.craft(f, size, 12)
		c.x25519(d.cert, x.PublicKey(), []byte("material"))
		c.attributes = [][]byte{{0x30, 7, 6, 3, 42, 3, 9, 0x31, 0}}
		f.Add(c.gcm(text))
	}
	f.Fuzz(func(t *testing.T, ber []byte) {
		o, err := cms.Parse(ber, cms.Limits{Size: 1 << 16, Elements: 2000})
		if err != nil {
			return
		}
		got, err := d.keys.Open(o)
		switch {
		case (got == nil) == (err == nil):
			t.Fatal("neither or both of a result and an error")
		case err == nil && got.Authenticated && string(got.Content) != text:
			t.Fatalf("authenticated: %q", got.Content)
		case err == nil && len(got.Content) > len(ber):
			t.Fatal("larger than what it was in")
		case err != nil && strings.Contains(err.Error(), "%!"):
			t.Fatal(err)
		}
	})
}
