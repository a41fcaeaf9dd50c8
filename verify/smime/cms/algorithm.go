package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"strconv"

	// Every digest below is linked in.
	_ "crypto/sha1"
	_ "crypto/sha256"
	_ "crypto/sha3"
	_ "crypto/sha512"
)

// The tables of this file are never written.
var (
	oidSHA1     = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	oidMGF1     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}
	oidRSA      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidRSAPSS   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
	oidECKey    = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidEd25519  = asn1.ObjectIdentifier{1, 3, 101, 112}
	derNull     = []byte{5, 0}
	digestTable = []digest{
		{oidSHA1, crypto.SHA1, "sha1"},
		{nistHash(4), crypto.SHA224, "sha224"},
		{nistHash(1), crypto.SHA256, "sha256"},
		{nistHash(2), crypto.SHA384, "sha384"},
		{nistHash(3), crypto.SHA512, "sha512"},
		{nistHash(5), crypto.SHA512_224, "sha512-224"},
		{nistHash(6), crypto.SHA512_256, "sha512-256"},
		{nistHash(7), crypto.SHA3_224, "sha3-224"},
		{nistHash(8), crypto.SHA3_256, "sha3-256"},
		{nistHash(9), crypto.SHA3_384, "sha3-384"},
		{nistHash(10), crypto.SHA3_512, "sha3-512"},
	}
	schemeTable = []scheme{
		{oidRSA, familyRSA, 0},
		{pkcs1(5), familyRSA, crypto.SHA1},
		{pkcs1(14), familyRSA, crypto.SHA224},
		{pkcs1(11), familyRSA, crypto.SHA256},
		{pkcs1(12), familyRSA, crypto.SHA384},
		{pkcs1(13), familyRSA, crypto.SHA512},
		{pkcs1(15), familyRSA, crypto.SHA512_224},
		{pkcs1(16), familyRSA, crypto.SHA512_256},
		{nistSignature(13), familyRSA, crypto.SHA3_224},
		{nistSignature(14), familyRSA, crypto.SHA3_256},
		{nistSignature(15), familyRSA, crypto.SHA3_384},
		{nistSignature(16), familyRSA, crypto.SHA3_512},
		{oidRSAPSS, familyPSS, 0},
		{oidECKey, familyECDSA, 0}, // what some senders write instead of an algorithm
		{asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}, familyECDSA, crypto.SHA1},
		{ecdsaSHA2(1), familyECDSA, crypto.SHA224},
		{ecdsaSHA2(2), familyECDSA, crypto.SHA256},
		{ecdsaSHA2(3), familyECDSA, crypto.SHA384},
		{ecdsaSHA2(4), familyECDSA, crypto.SHA512},
		{nistSignature(9), familyECDSA, crypto.SHA3_224},
		{nistSignature(10), familyECDSA, crypto.SHA3_256},
		{nistSignature(11), familyECDSA, crypto.SHA3_384},
		{nistSignature(12), familyECDSA, crypto.SHA3_512},
		{oidEd25519, familyEd25519, 0},
	}
)

func nistHash(n int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, n}
}

func nistSignature(n int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, n}
}

func pkcs1(n int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, n}
}

func ecdsaSHA2(n int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, n}
}

// A digest is a message digest algorithm this package computes.
type digest struct {
	oid  asn1.ObjectIdentifier
	hash crypto.Hash
	name string
}

// A family is a kind of signature.
type family string

const (
	familyRSA     family = "rsa" // PKCS #1 v1.5
	familyPSS     family = "rsa-pss"
	familyECDSA   family = "ecdsa"
	familyEd25519 family = "ed25519"
)

// A scheme is a signature algorithm this package checks.
type scheme struct {
	oid    asn1.ObjectIdentifier
	family family
	hash   crypto.Hash // 0: that of digestAlgorithm
}

func findDigest(oid asn1.ObjectIdentifier) (digest, bool) {
	for _, d := range digestTable {
		if d.oid.Equal(oid) {
			return d, true
		}
	}
	return digest{}, false
}

func findScheme(oid asn1.ObjectIdentifier) (scheme, bool) {
	for _, s := range schemeTable {
		if s.oid.Equal(oid) {
			return s, true
		}
	}
	return scheme{}, false
}

// equal reports whether a and b are the same algorithm. Absent parameters and NULL are the same (RFC 5754 Section 2).
func (a Algorithm) equal(b Algorithm) bool {
	return a.OID.Equal(b.OID) && bytes.Equal(a.canonical(), b.canonical())
}

func (a Algorithm) canonical() []byte {
	if bytes.Equal(a.Parameters, derNull) {
		return nil
	}
	return a.Parameters
}

// name returns the algorithm of a signer in words; key is nil when it is not known.
func (s *Signer) name(key crypto.PublicKey) string {
	sc, ok := findScheme(s.SignatureAlgorithm.OID)
	hash := digestName(s.DigestAlgorithm.OID)
	switch {
	case !ok:
		name := nameOf(s.SignatureAlgorithm.OID)
		if name == "dsa" {
			return name + "-" + hash
		}
		return name
	case sc.family == familyEd25519:
		return string(sc.family)
	case sc.family == familyECDSA:
		if k, ok := key.(*ecdsa.PublicKey); ok {
			return "ecdsa-p" + strconv.Itoa(k.Curve.Params().BitSize) + "-" + hash
		}
	}
	return string(sc.family) + "-" + hash
}

func digestName(oid asn1.ObjectIdentifier) string {
	if d, ok := findDigest(oid); ok {
		return d.name
	}
	return nameOf(oid)
}

// keyBits returns the size of a public key, 0 if it is not known.
func keyBits(key crypto.PublicKey) int {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen()
	case *ecdsa.PublicKey:
		return k.Curve.Params().BitSize
	case ed25519.PublicKey:
		return 256
	}
	return 0
}

// curveSupported reports whether signatures with keys on c are checked: P-224 is below what RFC 8551 knows.
func curveSupported(c elliptic.Curve) bool {
	return c == elliptic.P256() || c == elliptic.P384() || c == elliptic.P521()
}

// spki is a SubjectPublicKeyInfo.
type spki struct {
	Algorithm asn1.RawValue
	Key       asn1.BitString
}

// publicKey returns the key of a certificate, and the restrictions an id-RSASSA-PSS key has, for which crypto/x509
// knows no type. It is nil if the kind of key is not known.
func publicKey(c *x509.Certificate) (crypto.PublicKey, *pssKey) {
	if c.PublicKey != nil {
		return c.PublicKey, nil
	}
	var info spki
	if rest, err := asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &info); err != nil || len(rest) > 0 {
		return nil, nil
	}
	var a Algorithm
	if !readAlgorithmBytes(info.Algorithm.FullBytes, &a) || !a.OID.Equal(oidRSAPSS) {
		return nil, nil
	}
	key, err := x509.ParsePKCS1PublicKey(info.Key.RightAlign())
	if err != nil {
		return nil, nil
	}
	restricted := &pssKey{}
	if a.Parameters != nil {
		if restricted.parameters, err = parsePSS(a.Parameters); err != nil {
			return nil, nil
		}
	}
	return key, restricted
}

// A pssKey is a key that may only be used with RSASSA-PSS (RFC 4055 Section 1.2).
type pssKey struct{ parameters *PSSParameters } // nil: no further restrictions

// allows reports whether a signature with p may come from the key (RFC 4055 Section 3.3).
func (k *pssKey) allows(p *PSSParameters) bool {
	limit := k.parameters
	return limit == nil || limit.Hash.Equal(p.Hash) && limit.MaskGen.Equal(p.MaskGen) &&
		limit.MaskHash.Equal(p.MaskHash) && p.SaltLength >= limit.SaltLength && limit.Trailer == p.Trailer
}
