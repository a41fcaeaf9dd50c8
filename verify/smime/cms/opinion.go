package cms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"

	"go.mozilla.org/pkcs7"
)

// hasSecondOpinion reports whether pkcs7 knows the algorithm of the signature and the kind of key.
func (v verifier) hasSecondOpinion(cert *x509.Certificate) bool {
	switch v.digest.hash {
	case crypto.SHA1, crypto.SHA256, crypto.SHA384, crypto.SHA512:
	default:
		return false
	}
	switch cert.PublicKey.(type) {
	case *rsa.PublicKey:
		return v.scheme.family == familyRSA
	case *ecdsa.PublicKey:
		return v.scheme.family == familyECDSA
	}
	return false
}

var (
	errNoOpinion = errors.New("cms: pkcs7 does not know the algorithm")
	errPanic     = errors.New("cms: pkcs7 panicked")
)

// secondOpinion asks pkcs7 whether the signature of v over what fits the key of cert. It returns nil if it does.
//
// The library is given an object that was made for it: detached, with this one signer, identified by issuer and serial
// number, and its certificate. Signed attributes it gets as the content and not as attributes. What it has to check is
// the same signature over the same octets, but without hashing the message a second time, without its judgement of the
// signing time, and without its own encoding of the attributes. The object is filled in as pkcs7.Parse would do it; that
// function itself takes exponential time and memory for octets that are made for it, so it is never run.
func secondOpinion(v verifier, cert *x509.Certificate, what signed) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errPanic
		}
	}()
	if !v.hasSecondOpinion(cert) {
		return errNoOpinion
	}
	signer, err := v.oneSigner(cert)
	if err != nil {
		return err
	}
	p7 := pkcs7.PKCS7{Content: what.octets, Certificates: []*x509.Certificate{cert}}
	if _, err := asn1.UnmarshalWithParams(signer, &p7.Signers, "set"); err != nil {
		return fmt.Errorf("cms: pkcs7 does not understand the signer: %w", err)
	}
	return p7.Verify()
}

// oneSigner encodes SignerInfos with nothing but this signer. All that differs from what was received is outside of the
// signature: the identifier of the certificate, the name of the algorithm, and the attributes.
func (v verifier) oneSigner(cert *x509.Certificate) ([]byte, error) {
	serial, err := asn1.Marshal(cert.SerialNumber)
	if err != nil {
		return nil, fmt.Errorf("cms: serial number: %w", err)
	}
	hash, signature, err := v.algorithms()
	if err != nil {
		return nil, err
	}
	return appendElement(nil, tagSet, appendElement(nil, tagSequence,
		[]byte{2, 1, 1},
		appendElement(nil, tagSequence, cert.RawIssuer, serial),
		hash,
		signature,
		appendElement(nil, tagOctetString, v.signer.Signature),
	)), nil
}

// algorithms encodes the algorithms of digest and signature under the names that pkcs7 knows.
func (v verifier) algorithms() (hash, signature []byte, err error) {
	oid := oidRSA
	if v.scheme.family == familyECDSA {
		switch v.digest.hash {
		case crypto.SHA1:
			oid = pkcs7.OIDDigestAlgorithmECDSASHA1
		case crypto.SHA256:
			oid = ecdsaSHA2(2)
		case crypto.SHA384:
			oid = ecdsaSHA2(3)
		case crypto.SHA512:
			oid = ecdsaSHA2(4)
		}
	}
	if hash, err = encodeAlgorithm(v.digest.oid); err != nil {
		return nil, nil, err
	}
	signature, err = encodeAlgorithm(oid)
	return hash, signature, err
}

// encodeAlgorithm encodes an AlgorithmIdentifier with NULL as parameters.
func encodeAlgorithm(oid asn1.ObjectIdentifier) ([]byte, error) {
	der, err := asn1.Marshal(oid)
	if err != nil {
		return nil, fmt.Errorf("cms: algorithm: %w", err)
	}
	return appendElement(nil, tagSequence, der, derNull), nil
}
