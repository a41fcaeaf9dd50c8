package envelope

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// A craft makes encrypted objects, also such that openssl(1) does not make.
type craft struct {
	t          testing.TB
	key        []byte // of the content
	nonce      []byte
	recipients [][]byte
	attributes [][]byte
	tag        int
	defaultTag bool // leave out the length of the tag
}

func oid(t testing.TB, dots string) asn1.ObjectIdentifier {
	t.Helper()
	var o asn1.ObjectIdentifier
	n := 0
	for _, c := range dots + "." {
		if c == '.' {
			o, n = append(o, n), 0
			continue
		}
		n = 10*n + int(c-'0')
	}
	return o
}

func build(t testing.TB, f func(b *cryptobyte.Builder)) []byte {
	t.Helper()
	var b cryptobyte.Builder
	f(&b)
	out, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// algorithmOf is an AlgorithmIdentifier.
func algorithmOf(t testing.TB, dots string, parameters []byte) []byte {
	t.Helper()
	return build(t, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oid(t, dots))
			b.AddBytes(parameters)
		})
	})
}

// issuerAndSerial names a certificate.
func issuerAndSerial(t testing.TB, c *x509.Certificate) []byte {
	t.Helper()
	return build(t, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(c.RawIssuer)
			b.AddASN1BigInt(c.SerialNumber)
		})
	})
}

// transport is a KeyTransRecipientInfo with an encrypted key as given.
func (c *craft) transport(cert *x509.Certificate, algorithm, encrypted []byte) {
	c.t.Helper()
	c.recipients = append(c.recipients, build(c.t, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(0)
			b.AddBytes(issuerAndSerial(c.t, cert))
			b.AddBytes(algorithm)
			b.AddASN1OctetString(encrypted)
		})
	}))
}

// v15 encrypts the key with PKCS #1 v1.5.
func (c *craft) v15(cert *x509.Certificate) {
	c.t.Helper()
	//lint:ignore SA1019 what senders do is what is tested
	encrypted, err := rsa.EncryptPKCS1v15(rand.Reader, cert.PublicKey.(*rsa.PublicKey), c.key)
	if err != nil {
		c.t.Fatal(err)
	}
	c.transport(cert, algorithmOf(c.t, oidRSA, []byte{5, 0}), encrypted)
}

// x25519 agrees on a key with HKDF (RFC 8418).
func (c *craft) x25519(cert *x509.Certificate, public *ecdh.PublicKey, ukm []byte) {
	c.t.Helper()
	ephemeral := newX25519(c.t)
	shared, err := ephemeral.ECDH(public)
	if err != nil {
		c.t.Fatal(err)
	}
	wrap := algorithmOf(c.t, "2.16.840.1.101.3.4.1.25", nil)
	info := build(c.t, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(wrap)
			if ukm != nil {
				b.AddASN1(context0Constructed, func(b *cryptobyte.Builder) { b.AddASN1OctetString(ukm) })
			}
			b.AddASN1(context2Constructed, func(b *cryptobyte.Builder) { b.AddASN1OctetString([]byte{0, 0, 0, 192}) })
		})
	})
	kek, err := hkdf.Key(sha256.New, shared, nil, string(info), 24)
	if err != nil {
		c.t.Fatal(err)
	}
	c.recipients = append(c.recipients, build(c.t, func(b *cryptobyte.Builder) {
		b.AddASN1(context1Constructed, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(3)
			b.AddASN1(context0Constructed, func(b *cryptobyte.Builder) {
				b.AddASN1(context1Constructed, func(b *cryptobyte.Builder) {
					b.AddBytes(algorithmOf(c.t, "1.3.101.110", nil))
					b.AddASN1BitString(ephemeral.PublicKey().Bytes())
				})
			})
			if ukm != nil {
				b.AddASN1(context1Constructed, func(b *cryptobyte.Builder) { b.AddASN1OctetString(ukm) })
			}
			b.AddBytes(algorithmOf(c.t, "1.2.840.113549.1.9.16.3.19", wrap))
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddBytes(issuerAndSerial(c.t, cert))
					b.AddASN1OctetString(wrapKey(c.t, kek, c.key))
				})
			})
		})
	}))
}

// wrapKey is AES key wrap (RFC 3394 Section 2.2.1).
func wrapKey(t testing.TB, kek, key []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(kek)
	if err != nil {
		t.Fatal(err)
	}
	out := append([]byte{0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6}, key...)
	n := len(key) / 8
	for j := range 6 {
		for i := 1; i <= n; i++ {
			b := append(slices.Clone(out[:8]), out[8*i:8*i+8]...)
			block.Encrypt(b, b)
			binary.BigEndian.PutUint64(out, binary.BigEndian.Uint64(b)^uint64(n*j+i))
			copy(out[8*i:], b[8:])
		}
	}
	return out
}

// padded adds padding for CBC (RFC 5652 Section 6.3).
func padded(content string) []byte {
	n := 16 - len(content)%16
	return append([]byte(content), slices.Repeat([]byte{byte(n)}, n)...)
}

// cbc is EnvelopedData with what is encrypted as given, padding included.
func (c *craft) cbc(plain []byte) []byte {
	c.t.Helper()
	block, err := aes.NewCipher(c.key)
	if err != nil {
		c.t.Fatal(err)
	}
	data := make([]byte, len(plain))
	cipher.NewCBCEncrypter(block, c.nonce).CryptBlocks(data, plain)
	names := map[int]string{16: "2.16.840.1.101.3.4.1.2", 24: "2.16.840.1.101.3.4.1.22", 32: "2.16.840.1.101.3.4.1.42"}
	iv := build(c.t, func(b *cryptobyte.Builder) { b.AddASN1OctetString(c.nonce) })
	return c.object("1.2.840.113549.1.7.3", algorithmOf(c.t, names[len(c.key)], iv), data, nil)
}

// gcm is AuthEnvelopedData.
func (c *craft) gcm(content string) []byte {
	c.t.Helper()
	block, err := aes.NewCipher(c.key)
	if err != nil {
		c.t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithTagSize(block, c.tag)
	if len(c.nonce) != 12 {
		aead, err = cipher.NewGCMWithNonceSize(block, len(c.nonce))
	}
	if err != nil {
		c.t.Fatal(err)
	}
	var aad []byte
	if c.attributes != nil {
		sorted := slices.Clone(c.attributes)
		slices.SortFunc(sorted, slices.Compare)
		aad = build(c.t, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(slices.Concat(sorted...)) })
		})
	}
	sealed := aead.Seal(nil, c.nonce, []byte(content), aad)
	parameters := build(c.t, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1OctetString(c.nonce)
			if !c.defaultTag {
				b.AddASN1Int64(int64(c.tag))
			}
		})
	})
	names := map[int]string{16: "2.16.840.1.101.3.4.1.6", 24: "2.16.840.1.101.3.4.1.26", 32: "2.16.840.1.101.3.4.1.46"}
	n := len(sealed) - c.tag
	return c.object("1.2.840.113549.1.9.16.1.23", algorithmOf(c.t, names[len(c.key)], parameters), sealed[:n], sealed[n:])
}

// object is a ContentInfo around everything. With mac it is AuthEnvelopedData.
func (c *craft) object(kind string, algorithm, data, mac []byte) []byte {
	c.t.Helper()
	return build(c.t, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oid(c.t, kind))
			b.AddASN1(context0Constructed, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1Int64(0)
					b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(slices.Concat(c.recipients...)) })
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1ObjectIdentifier(oid(c.t, "1.2.840.113549.1.7.1"))
						b.AddBytes(algorithm)
						b.AddASN1(context0, func(b *cryptobyte.Builder) { b.AddBytes(data) })
					})
					if mac == nil {
						return
					}
					if c.attributes != nil {
						b.AddASN1(context1Constructed, func(b *cryptobyte.Builder) { b.AddBytes(slices.Concat(c.attributes...)) })
					}
					b.AddASN1OctetString(mac)
				})
			})
		})
	})
}
