package pki

import (
	"crypto/x509"
	"encoding/asn1"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// signatureAlgorithm returns the algorithm of an AlgorithmIdentifier in DER. crypto/x509 has the same table and keeps it
// to itself. SHA-1 and what is older is left out.
func signatureAlgorithm(der []byte) x509.SignatureAlgorithm {
	in := cryptobyte.String(der)
	var seq cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() || !seq.ReadASN1ObjectIdentifier(&oid) {
		return x509.UnknownSignatureAlgorithm
	}
	null := seq.Empty() || slices.Equal(seq, []byte{5, 0})
	switch id := oid.String(); {
	case id == "1.2.840.113549.1.1.10":
		return pssAlgorithm(seq)
	case !null: // RFC 4055 Section 5 has NULL, RFC 5758 and RFC 8410 have nothing
		return x509.UnknownSignatureAlgorithm
	default:
		return map[string]x509.SignatureAlgorithm{
			"1.2.840.113549.1.1.11": x509.SHA256WithRSA,
			"1.2.840.113549.1.1.12": x509.SHA384WithRSA,
			"1.2.840.113549.1.1.13": x509.SHA512WithRSA,
			"1.2.840.10045.4.3.2":   x509.ECDSAWithSHA256,
			"1.2.840.10045.4.3.3":   x509.ECDSAWithSHA384,
			"1.2.840.10045.4.3.4":   x509.ECDSAWithSHA512,
			"1.3.101.112":           x509.PureEd25519,
		}[id]
	}
}

// pssAlgorithm reads RSASSA-PSS-params (RFC 4055 Section 3.1). As in crypto/x509, one hash serves for everything and the
// salt is as long as it.
func pssAlgorithm(params cryptobyte.String) x509.SignatureAlgorithm {
	var seq, hash, mask, maskSeq, salt cryptobyte.String
	var maskOID asn1.ObjectIdentifier
	var length int
	explicit := func(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific().Constructed() }
	if !params.ReadASN1(&seq, cbasn1.SEQUENCE) || !params.Empty() ||
		!seq.ReadASN1(&hash, explicit(0)) || !seq.ReadASN1(&mask, explicit(1)) || !seq.ReadASN1(&salt, explicit(2)) ||
		!salt.ReadASN1Integer(&length) || !mask.ReadASN1(&maskSeq, cbasn1.SEQUENCE) ||
		!maskSeq.ReadASN1ObjectIdentifier(&maskOID) || maskOID.String() != "1.2.840.113549.1.1.8" {
		return x509.UnknownSignatureAlgorithm
	}
	var trailer cryptobyte.String
	if seq.ReadOptionalASN1(&trailer, nil, explicit(3)); !seq.Empty() || len(trailer) > 0 && !slices.Equal(trailer, []byte{2, 1, 1}) {
		return x509.UnknownSignatureAlgorithm
	}
	inner, outer := hashOID(hash), hashOID(maskSeq)
	switch {
	case inner != outer:
		return x509.UnknownSignatureAlgorithm
	case inner == "2.16.840.1.101.3.4.2.1" && length == 32:
		return x509.SHA256WithRSAPSS
	case inner == "2.16.840.1.101.3.4.2.2" && length == 48:
		return x509.SHA384WithRSAPSS
	case inner == "2.16.840.1.101.3.4.2.3" && length == 64:
		return x509.SHA512WithRSAPSS
	}
	return x509.UnknownSignatureAlgorithm
}

// hashOID returns the algorithm of an AlgorithmIdentifier without parameters.
func hashOID(in cryptobyte.String) string {
	var seq cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() || !seq.ReadASN1ObjectIdentifier(&oid) ||
		!seq.Empty() && !slices.Equal(seq, []byte{5, 0}) {
		return ""
	}
	return oid.String()
}
