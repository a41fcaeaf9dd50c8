package envelope

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"encoding/asn1"

	// Every digest below is linked in.
	_ "crypto/sha1"
	_ "crypto/sha256"
	_ "crypto/sha512"
)

// A mode says how a content is encrypted.
type mode int

const (
	modeCBC mode = iota
	modeGCM
)

// A contentCipher is an algorithm of contents. A name without a block is that of one that is refused.
type contentCipher struct {
	oid   string
	name  string
	mode  mode
	size  int // octets of the key
	block func(key []byte) (cipher.Block, error)
	old   bool
}

// contentCiphers are those of RFC 3565, RFC 5084 and RFC 3370 Section 5.1, and what is refused by name.
func contentCiphers() []contentCipher {
	return []contentCipher{
		{oid: "2.16.840.1.101.3.4.1.2", name: "aes-128-cbc", size: 16, block: aes.NewCipher},
		{oid: "2.16.840.1.101.3.4.1.22", name: "aes-192-cbc", size: 24, block: aes.NewCipher},
		{oid: "2.16.840.1.101.3.4.1.42", name: "aes-256-cbc", size: 32, block: aes.NewCipher},
		{oid: "2.16.840.1.101.3.4.1.6", name: "aes-128-gcm", mode: modeGCM, size: 16, block: aes.NewCipher},
		{oid: "2.16.840.1.101.3.4.1.26", name: "aes-192-gcm", mode: modeGCM, size: 24, block: aes.NewCipher},
		{oid: "2.16.840.1.101.3.4.1.46", name: "aes-256-gcm", mode: modeGCM, size: 32, block: aes.NewCipher},
		{oid: "1.2.840.113549.3.7", name: "3des-cbc", size: 24, block: des.NewTripleDESCipher, old: true},
		{oid: "1.2.840.113549.3.2", name: "rc2-cbc"},
		{oid: "1.3.14.3.2.7", name: "des-cbc"},
		{oid: "1.2.840.113549.3.4", name: "rc4"},
		{oid: "2.16.840.1.101.3.4.1.7", name: "aes-128-ccm"},
		{oid: "2.16.840.1.101.3.4.1.27", name: "aes-192-ccm"},
		{oid: "2.16.840.1.101.3.4.1.47", name: "aes-256-ccm"},
		{oid: "1.2.840.113549.1.9.16.3.18", name: "chacha20-poly1305"},
	}
}

// findContent returns the cipher of a content.
func findContent(oid asn1.ObjectIdentifier, auth bool) (contentCipher, error) {
	dots := oid.String()
	for _, c := range contentCiphers() {
		switch {
		case c.oid != dots:
			continue
		case c.block == nil:
			return c, unsupported(c.name)
		case auth != (c.mode == modeGCM):
			// A content that was authenticated, sent again as one that is not: nothing honest looks like that.
			return c, unsupported(c.name + " in the wrong kind of object")
		}
		return c, nil
	}
	return contentCipher{}, unsupported("the algorithm " + dots)
}

// A kdf derives the key that wraps the key of the content.
type kdf int

const (
	kdfX963 kdf = iota // RFC 5753 Section 7.2
	kdfHKDF            // RFC 8418 Section 2.2
)

// An agreement is a key agreement algorithm.
type agreement struct {
	oid  string
	name string
	kdf  kdf
	hash crypto.Hash
}

// agreements are those of RFC 5753 Section 7.1.4 and RFC 8418 Section 3. The cofactor of every curve here is 1, so that ECDH
// with a cofactor is the same as without, but for X25519, which has it built in.
func agreements() []agreement {
	return []agreement{
		{"1.3.133.16.840.63.0.2", "ecdh-sha1", kdfX963, crypto.SHA1},
		{"1.3.132.1.11.0", "ecdh-sha224", kdfX963, crypto.SHA224},
		{"1.3.132.1.11.1", "ecdh-sha256", kdfX963, crypto.SHA256},
		{"1.3.132.1.11.2", "ecdh-sha384", kdfX963, crypto.SHA384},
		{"1.3.132.1.11.3", "ecdh-sha512", kdfX963, crypto.SHA512},
		{"1.3.133.16.840.63.0.3", "ecdh-cofactor-sha1", kdfX963, crypto.SHA1},
		{"1.3.132.1.14.0", "ecdh-cofactor-sha224", kdfX963, crypto.SHA224},
		{"1.3.132.1.14.1", "ecdh-cofactor-sha256", kdfX963, crypto.SHA256},
		{"1.3.132.1.14.2", "ecdh-cofactor-sha384", kdfX963, crypto.SHA384},
		{"1.3.132.1.14.3", "ecdh-cofactor-sha512", kdfX963, crypto.SHA512},
		{"1.2.840.113549.1.9.16.3.19", "ecdh-hkdf-sha256", kdfHKDF, crypto.SHA256},
		{"1.2.840.113549.1.9.16.3.20", "ecdh-hkdf-sha384", kdfHKDF, crypto.SHA384},
		{"1.2.840.113549.1.9.16.3.21", "ecdh-hkdf-sha512", kdfHKDF, crypto.SHA512},
	}
}

func findAgreement(oid asn1.ObjectIdentifier) (agreement, error) {
	dots := oid.String()
	for _, a := range agreements() {
		if a.oid == dots {
			return a, nil
		}
	}
	return agreement{}, unsupported("the key agreement " + dots)
}

// wrapSize returns the octets of the key that wraps (RFC 3565 Section 2.3.2).
func wrapSize(oid asn1.ObjectIdentifier) (int, error) {
	switch dots := oid.String(); dots {
	case "2.16.840.1.101.3.4.1.5":
		return 16, nil
	case "2.16.840.1.101.3.4.1.25":
		return 24, nil
	case "2.16.840.1.101.3.4.1.45":
		return 32, nil
	case "1.2.840.113549.1.9.16.3.6":
		return 0, unsupported("3des-wrap")
	case "1.2.840.113549.1.9.16.3.7":
		return 0, unsupported("rc2-wrap")
	default:
		return 0, unsupported("the key wrap " + dots)
	}
}

// findHash returns a digest of RSAES-OAEP.
func findHash(oid asn1.ObjectIdentifier) (crypto.Hash, error) {
	switch dots := oid.String(); dots {
	case "1.3.14.3.2.26":
		return crypto.SHA1, nil
	case "2.16.840.1.101.3.4.2.4":
		return crypto.SHA224, nil
	case "2.16.840.1.101.3.4.2.1":
		return crypto.SHA256, nil
	case "2.16.840.1.101.3.4.2.2":
		return crypto.SHA384, nil
	case "2.16.840.1.101.3.4.2.3":
		return crypto.SHA512, nil
	default:
		return 0, unsupported("the digest " + dots)
	}
}
