package envelope

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"assay/verify/smime/cms"
	"assay/verify/vectors"
)

// A desk is a recipient with a key, without openssl(1).
type desk struct {
	keys *Keys
	cert *x509.Certificate
	key  *rsa.PrivateKey
}

func newDesk(t testing.TB) desk {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, dir: t.TempDir()}
	l.recipient("bob", key)
	k := l.keys("bob")
	return desk{k, k.recipients[0].certificate, key}
}

// craft begins an object.
func (d desk) craft(t testing.TB, keySize, nonceSize int) *craft {
	t.Helper()
	c := &craft{t: t, key: make([]byte, keySize), nonce: make([]byte, nonceSize), tag: 16}
	_, _ = rand.Read(c.key)
	_, _ = rand.Read(c.nonce)
	return c
}

// TestUnwrap has the vectors of RFC 3394 Section 4.
func TestUnwrap(t *testing.T) {
	for _, v := range [][3]string{
		{"000102030405060708090A0B0C0D0E0F", "00112233445566778899AABBCCDDEEFF", "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5"},
		{"000102030405060708090A0B0C0D0E0F1011121314151617", "00112233445566778899AABBCCDDEEFF", "96778B25AE6CA435F92B5B97C050AED2468AB8A17AD84E5D"},
		{"000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F", "00112233445566778899AABBCCDDEEFF0001020304050607", "A8F9BC1612C68B3FF6E6F4FBE30E71E4769C8B80A32CB8958CD5D17D6B254DA1"},
		{"000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F", "00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F", "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21"},
	} {
		kek, _ := hex.DecodeString(v[0])
		want, _ := hex.DecodeString(v[1])
		wrapped, _ := hex.DecodeString(v[2])
		if got, good := unwrap(kek, wrapped); !good || !bytes.Equal(got, want) {
			t.Errorf("%s: %v %X", v[2], good, got)
		}
		for i := range wrapped {
			damaged := slices.Clone(wrapped)
			damaged[i] ^= 1
			if _, good := unwrap(kek, damaged); good {
				t.Errorf("%s is good with another octet %d", v[2], i)
			}
		}
	}
	for _, n := range []int{0, 1, 8, 16, 23, 48, 1 << 20} {
		if _, good := unwrap(make([]byte, 16), make([]byte, n)); good {
			t.Errorf("%d octets are good", n)
		}
	}
}

// TestCrafted opens forms that openssl(1) does not make.
func TestCrafted(t *testing.T) {
	d := newDesk(t)
	x, xkeys := newX25519(t), &Keys{}
	xkeys.add(&recipient{certificate: d.cert, ecdh: x})
	for _, test := range []struct {
		name string
		keys *Keys
		make func() []byte
	}{
		{"gcm", d.keys, func() []byte { c := d.craft(t, 32, 12); c.v15(d.cert); return c.gcm(text) }},
		{"gcm, the tag of 12 octets is the default", d.keys, func() []byte {
			c := d.craft(t, 16, 12)
			c.tag, c.defaultTag = 12, true
			c.v15(d.cert)
			return c.gcm(text)
		}},
		{"gcm, nonce of 16 octets", d.keys, func() []byte { c := d.craft(t, 24, 16); c.v15(d.cert); return c.gcm(text) }},
		{"gcm, attributes out of order", d.keys, func() []byte {
			c := d.craft(t, 32, 12)
			c.attributes = [][]byte{{0x30, 7, 6, 3, 42, 3, 9, 0x31, 0}, {0x30, 7, 6, 3, 42, 3, 4, 0x31, 0}}
			c.v15(d.cert)
			return c.gcm(text)
		}},
		{"x25519", xkeys, func() []byte {
			c := d.craft(t, 32, 12)
			c.x25519(d.cert, x.PublicKey(), nil)
			return c.gcm(text)
		}},
		{"x25519 with keying material", xkeys, func() []byte {
			c := d.craft(t, 32, 16)
			c.x25519(d.cert, x.PublicKey(), []byte("material"))
			return c.cbc(padded(text))
		}},
		{"a bad copy of the key before the good one", d.keys, func() []byte {
			c := d.craft(t, 32, 16)
			c.transport(d.cert, algorithmOf(t, oidRSA, nil), make([]byte, 256))
			c.v15(d.cert)
			return c.cbc(padded(text))
		}},
	} {
		got, err := open(test.keys, test.make())
		if err != nil || string(got.Content) != text {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// TestNoOracle gives the same answer to everything that is wrong about a key or a content, so that no answer tells anything
// about either (Bleichenbacher 1998, Vaudenay 2002, Manger 2001).
func TestNoOracle(t *testing.T) {
	d := newDesk(t)
	public := &d.key.PublicKey
	raw := func(plain []byte) []byte { // textbook RSA of a whole block
		c := d.craft(t, 32, 16)
		padding := make([]byte, public.Size()-len(plain))
		m := append(padding, plain...)
		c.transport(d.cert, algorithmOf(t, oidRSA, []byte{5, 0}), textbook(public, m))
		return c.cbc(padded(text))
	}
	block := func(prefix ...byte) []byte {
		b := bytes.Repeat([]byte{0x55}, public.Size())
		copy(b, prefix)
		return b
	}
	conforming := block(0, 2)
	conforming[len(conforming)-33] = 0
	short := block(0, 2)
	short[len(short)-17] = 0
	for name, ber := range map[string][]byte{
		"conforming, another key":  raw(conforming),
		"conforming, a short key":  raw(short),
		"no end of padding":        raw(block(0, 2)),
		"type 1":                   raw(block(0, 1)),
		"not 0 2":                  raw(block(0x20, 7)),
		"a zero in the padding":    raw(block(0, 2, 0)),
		"nothing":                  raw(nil),
		"one":                      raw([]byte{1}),
		"too short for a modulus":  d.with(t, make([]byte, 100)),
		"larger than the modulus":  d.with(t, bytes.Repeat([]byte{0xff}, 256)),
		"longer than the modulus":  d.with(t, make([]byte, 300)),
		"no octets":                d.with(t, nil),
		"oaep, garbage":            d.oaep(t, make([]byte, 256)),
		"oaep, a key of 16 octets": d.oaepKey(t, make([]byte, 16)),
		"oaep, another key":        d.oaepKey(t, make([]byte, 32)),
	} {
		got, err := open(d.keys, ber)
		if got != nil || err != ErrClosed {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func textbook(public *rsa.PublicKey, m []byte) []byte {
	c := new(big.Int).Exp(new(big.Int).SetBytes(m), big.NewInt(int64(public.E)), public.N)
	return c.FillBytes(make([]byte, public.Size()))
}

// with is an object with an encrypted key as given.
func (d desk) with(t *testing.T, encrypted []byte) []byte {
	t.Helper()
	c := d.craft(t, 32, 16)
	c.transport(d.cert, algorithmOf(t, oidRSA, []byte{5, 0}), encrypted)
	return c.cbc(padded(text))
}

func (d desk) oaep(t *testing.T, encrypted []byte) []byte {
	t.Helper()
	c := d.craft(t, 32, 12)
	c.transport(d.cert, algorithmOf(t, oidOAEP, []byte{0x30, 0}), encrypted)
	return c.gcm(text)
}

func (d desk) oaepKey(t *testing.T, key []byte) []byte {
	t.Helper()
	encrypted, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, &d.key.PublicKey, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d.oaep(t, encrypted)
}

// TestPadding says the same about every padding: a content whose end was altered opens like any other.
func TestPadding(t *testing.T) {
	d := newDesk(t)
	for _, plain := range [][]byte{padded(text), []byte(text + strings.Repeat("x", 16-len(text)%16)), append(padded(text), make([]byte, 16)...),
		append(padded(text), bytes.Repeat([]byte{17}, 16)...), append(padded(text), 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 3)} {
		c := d.craft(t, 32, 16)
		c.v15(d.cert)
		got, err := open(d.keys, c.cbc(plain))
		if err != nil || !strings.HasPrefix(string(got.Content), text) || got.Authenticated {
			t.Errorf("%q: %v", plain[len(plain)-16:], err)
		}
	}
	for n := range 17 {
		content := append([]byte("0123456789abcdef"), bytes.Repeat([]byte{byte(n)}, 16)...)
		if got := padding(content, 16); got != n {
			t.Errorf("%d octets of padding: %d", n, got)
		}
	}
}

// TestEntity knows what was encrypted from what a wrong key leaves.
func TestEntity(t *testing.T) {
	for _, good := range []string{text, "MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n", "content-type: text/plain\n\nx",
		"Subject: x\r\nContent-Type: multipart/mixed;\r\n boundary=b\r\n\r\n\x00", "Content-Type: text/plain; name=\"\xc3\xa4\"\r\n\r\n"} {
		if !isEntity([]byte(good)) {
			t.Errorf("%q is none", good)
		}
	}
	for _, bad := range []string{"", "x", "\r\n", "Hello", "Hello: x\r\nContent-Type: text/plain\r\n\r\n", "Subject: x\r\n\r\n", " Content-Type: x\r\n\r\n",
		"Content-Type: x\r\nno field\r\n\r\n", "Content-Type: x\x00\r\n\r\n", "Content-Type x\r\n\r\n", ":\r\n", "\x30\x80\x06\x09", "Content-Type: text/plain"} {
		if isEntity([]byte(bad)) {
			t.Errorf("%q is one", bad)
		}
	}
	garbage := make([]byte, 4096)
	for range 1000 {
		_, _ = rand.Read(garbage)
		if isEntity(garbage) {
			t.Fatalf("%q is one", garbage[:64])
		}
	}
}

// TestFlips alters every octet of an object: none panics, and none that is authenticated opens to anything else.
func TestFlips(t *testing.T) {
	d := newDesk(t)
	sealed, plain := d.craft(t, 16, 12), d.craft(t, 16, 16)
	sealed.v15(d.cert)
	plain.v15(d.cert)
	for name, ber := range map[string][]byte{"gcm": sealed.gcm(text), "cbc": plain.cbc(padded(text))} {
		for i := range ber {
			damaged := slices.Clone(ber)
			damaged[i] ^= 1 << (i % 8)
			got, err := open(d.keys, damaged)
			if err == nil && string(got.Content) != text && (name == "gcm" || got.Authenticated) {
				t.Errorf("%s, octet %d: opened to %q", name, i, got.Content)
			}
		}
	}
}

// TestBounded takes no more time for an object that names a recipient a thousand times than for four of them.
func TestBounded(t *testing.T) {
	d := newDesk(t)
	c := d.craft(t, 32, 16)
	for range maxRecipients {
		c.transport(d.cert, algorithmOf(t, oidRSA, []byte{5, 0}), make([]byte, 256))
	}
	ber := c.cbc(padded(text + strings.Repeat("x", 1<<20)))
	begun := time.Now()
	if _, err := open(d.keys, ber); err != ErrClosed {
		t.Error(err)
	}
	if elapsed := time.Since(begun); elapsed > 2*time.Second {
		t.Errorf("it took %v", elapsed)
	}
	c.transport(d.cert, algorithmOf(t, oidRSA, []byte{5, 0}), make([]byte, 256))
	if _, err := open(d.keys, c.cbc(padded(text))); !errors.Is(err, ErrUnsupported) {
		t.Error(err)
	}
}

// TestRefused refuses algorithms by name, and objects that are not what they say.
func TestRefused(t *testing.T) {
	d := newDesk(t)
	wrap := func(change func(ber []byte) []byte) []byte {
		c := d.craft(t, 32, 16)
		c.v15(d.cert)
		return change(c.cbc(padded(text)))
	}
	swap := func(old, with []byte) func([]byte) []byte {
		return func(ber []byte) []byte {
			if !bytes.Contains(ber, old) {
				t.Fatalf("% x is not there", old)
			}
			return bytes.Replace(ber, old, with, 1)
		}
	}
	aes256 := []byte{0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 0x2a}
	gcm256 := []byte{0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 0x2e}
	data := []byte{6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1}
	for _, test := range []struct {
		name string
		ber  []byte
		want error
		text string
	}{
		{"ccm", wrap(swap(aes256, []byte{0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 0x2f})), ErrUnsupported, "aes-256-ccm"},
		{"unknown", wrap(swap(aes256, []byte{0x60, 0x86, 0x48, 1, 0x65, 3, 4, 9, 0x2f})), ErrUnsupported, "2.16.840.1.101.3.4.9.47"},
		{"gcm in EnvelopedData", wrap(swap(aes256, gcm256)), ErrUnsupported, "wrong kind"},
		{"signed-data inside", wrap(swap(data, []byte{6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2})), ErrUnsupported, "not MIME"},
		{"half a block", func() []byte { c := d.craft(t, 32, 16); c.v15(d.cert); return cut(t, c, 1) }(), ErrSyntax, "blocks"},
		{"no block", func() []byte { c := d.craft(t, 32, 16); c.v15(d.cert); return cut(t, c, len(padded(text))) }(), ErrSyntax, "blocks"},
		{"rsa-kem", func() []byte {
			c := d.craft(t, 32, 16)
			c.transport(d.cert, algorithmOf(t, "1.2.840.113549.1.9.16.3.14", nil), make([]byte, 256))
			return c.cbc(padded(text))
		}(), ErrUnsupported, "16.3.14"},
		{"oaep with md5", func() []byte {
			c := d.craft(t, 32, 16)
			hash := algorithmOf(t, "1.2.840.113549.2.5", nil)
			c.transport(d.cert, algorithmOf(t, oidOAEP, append([]byte{0x30, byte(len(hash) + 2), 0xa0, byte(len(hash))}, hash...)), make([]byte, 256))
			return c.cbc(padded(text))
		}(), ErrUnsupported, "digest"},
	} {
		got, err := open(d.keys, test.ber)
		if got != nil || !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v, want %v with %q", test.name, err, test.want, test.text)
		}
	}
	for _, o := range []*cms.Object{nil, {}, {Kind: cms.Enveloped}, {Kind: cms.Signed, Encryption: &cms.Encryption{}}, {Kind: cms.Enveloped, Encryption: &cms.Encryption{}}} {
		if _, err := d.keys.Open(o); err == nil {
			t.Errorf("%v was opened", o)
		}
	}
}

// cut is an object whose content lacks its last octets.
func cut(t *testing.T, c *craft, n int) []byte {
	t.Helper()
	whole := padded(text)
	iv := append([]byte{4, 16}, c.nonce...)
	return c.object("1.2.840.113549.1.7.3", algorithmOf(t, "2.16.840.1.101.3.4.1.42", iv), whole[:len(whole)-n], nil)
}

// TestVectors reads every encrypted object of other programs and does not open it without its key.
func TestVectors(t *testing.T) {
	d := newDesk(t)
	seen := 0
	for _, dir := range []string{vectors.Path(t, "scan/samples/smime"), vectors.Path(t, "smime")} {
		err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			o, err := cms.Parse(data, cms.Limits{})
			if err != nil || o.Kind != cms.Enveloped && o.Kind != cms.AuthEnveloped {
				return nil
			}
			seen++
			if _, err := d.keys.Open(o); !errors.Is(err, ErrNoKey) && !errors.Is(err, ErrUnsupported) {
				t.Errorf("%s: %v", path, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d objects", seen)
	if seen < 3 {
		t.Errorf("only %d objects", seen)
	}
}
