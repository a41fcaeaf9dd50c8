package envelope

import (
	"crypto"
	"crypto/rsa"
	"crypto/subtle"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Key transport algorithms.
const (
	oidRSA  = "1.2.840.113549.1.1.1"
	oidOAEP = "1.2.840.113549.1.1.7"
	oidMGF1 = "1.2.840.113549.1.1.8"
	oidSpec = "1.2.840.113549.1.1.9" // pSpecified
)

// transport decrypts the key of a content into key, which holds a random one. If that fails key keeps what it holds (RFC 3218
// Section 2.3.2), and nobody is told. The error is about algorithms only. It returns the name of the algorithm.
func transport(i *info, private *rsa.PrivateKey, key []byte) (string, error) {
	switch dots := i.algorithm.oid.String(); dots {
	case oidRSA:
		// An error is about the size of the key in the message, which is visible to everybody; padding is no error.
		//lint:ignore SA1019 mail is still encrypted this way; random keys and one answer to everything are what protects it
		_ = rsa.DecryptPKCS1v15SessionKey(nil, private, i.key, key)
		return "rsa", nil
	case oidOAEP:
		opt, err := oaepOptions(i.algorithm.parameters)
		if err != nil {
			return "", err
		}
		plain, err := private.Decrypt(nil, i.key, opt)
		keep(key, plain, err == nil)
		return "rsa-oaep", nil
	default:
		return "", unsupported("the key transport " + dots)
	}
}

// keep copies plain into key if it is good and has its size.
func keep(key, plain []byte, good bool) {
	if len(plain) != len(key) {
		return
	}
	ok := 0
	if good {
		ok = 1
	}
	subtle.ConstantTimeCopy(ok, key, plain)
}

// oaepOptions reads RSAES-OAEP-params (RFC 4055 Section 4.1).
func oaepOptions(parameters []byte) (*rsa.OAEPOptions, error) {
	opt := &rsa.OAEPOptions{Hash: crypto.SHA1, MGFHash: crypto.SHA1}
	if parameters == nil {
		return opt, nil
	}
	var seq, hash, mask, source cryptobyte.String
	var hasHash, hasMask, hasSource bool
	in := cryptobyte.String(parameters)
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() ||
		!seq.ReadOptionalASN1(&hash, &hasHash, context0Constructed) ||
		!seq.ReadOptionalASN1(&mask, &hasMask, context1Constructed) ||
		!seq.ReadOptionalASN1(&source, &hasSource, context2Constructed) || !seq.Empty() {
		return nil, syntax("parameters of RSAES-OAEP")
	}
	var err error
	if hasHash {
		if opt.Hash, err = oaepHash(hash); err != nil {
			return nil, err
		}
	}
	if hasMask {
		if opt.MGFHash, err = oaepMask(mask); err != nil {
			return nil, err
		}
	}
	if hasSource {
		opt.Label, err = oaepLabel(source)
	}
	return opt, err
}

func oaepHash(in cryptobyte.String) (crypto.Hash, error) {
	var a algorithm
	if !readAlgorithm(&in, &a) || !in.Empty() {
		return 0, syntax("digest of RSAES-OAEP")
	}
	return findHash(a.oid)
}

func oaepMask(in cryptobyte.String) (crypto.Hash, error) {
	var a algorithm
	if !readAlgorithm(&in, &a) || !in.Empty() {
		return 0, syntax("mask generation of RSAES-OAEP")
	}
	if a.oid.String() != oidMGF1 {
		return 0, unsupported("the mask generation " + a.oid.String())
	}
	return oaepHash(a.parameters)
}

func oaepLabel(in cryptobyte.String) ([]byte, error) {
	var a algorithm
	var label cryptobyte.String
	if !readAlgorithm(&in, &a) || !in.Empty() || a.oid.String() != oidSpec {
		return nil, syntax("label of RSAES-OAEP")
	}
	octets := cryptobyte.String(a.parameters)
	if !octets.ReadASN1(&label, cbasn1.OCTET_STRING) || !octets.Empty() {
		return nil, syntax("label of RSAES-OAEP")
	}
	return label, nil
}
