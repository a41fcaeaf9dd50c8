package pki

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"

	"assay/verify/smime/cms"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var oidSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}

// parseAnswer reads what a caIssuers URL returned: a certificate in DER, a certs-only CMS message (RFC 5280 Section
// 4.2.2.1), or, against the standard, either of them in PEM.
func parseAnswer(data []byte) ([]*x509.Certificate, error) {
	if bytes.Contains(data, []byte("-----BEGIN CERTIFICATE-----")) {
		return parseCertificates(data)
	}
	if c, err := x509.ParseCertificate(data); err == nil {
		return []*x509.Certificate{c}, nil
	}
	der, err := cms.Normalize(data, cms.Limits{})
	if err != nil {
		return nil, err
	}
	return certsOnly(der)
}

// certsOnly returns the certificates of a SignedData (RFC 5652 Section 5.1) that crypto/x509 understands.
func certsOnly(der []byte) ([]*x509.Certificate, error) {
	in := cryptobyte.String(der)
	var info, explicit, data, certs cryptobyte.String
	var oid asn1.ObjectIdentifier
	var found bool
	if !in.ReadASN1(&info, cbasn1.SEQUENCE) || !info.ReadASN1ObjectIdentifier(&oid) || !oid.Equal(oidSignedData) ||
		!info.ReadASN1(&explicit, cbasn1.Tag(0).ContextSpecific().Constructed()) ||
		!explicit.ReadASN1(&data, cbasn1.SEQUENCE) ||
		!data.SkipASN1(cbasn1.INTEGER) || !data.SkipASN1(cbasn1.SET) || !data.SkipASN1(cbasn1.SEQUENCE) ||
		!data.ReadOptionalASN1(&certs, &found, cbasn1.Tag(0).ContextSpecific().Constructed()) {
		return nil, errors.New("pki: not a certs-only message")
	}
	var out []*x509.Certificate
	for !certs.Empty() && len(out) < maxPool {
		var element cryptobyte.String
		var tag cbasn1.Tag
		if !certs.ReadAnyASN1Element(&element, &tag) {
			return out, errors.New("pki: not a certs-only message")
		}
		if c, err := x509.ParseCertificate(element); err == nil {
			out = append(out, c)
		}
	}
	return out, nil
}
