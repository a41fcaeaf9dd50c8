package pki

import (
	"bytes"
	"crypto/x509"
	"fmt"

	"assay/verify/smime/cms"
)

// parseAnswer reads what a caIssuers URL returned: a certificate in DER, a certs-only CMS message (RFC 5280 Section
// 4.2.2.1), or, against the standard, certificates in PEM.
func parseAnswer(data []byte) ([]*x509.Certificate, error) {
	if bytes.Contains(data, []byte("-----BEGIN CERTIFICATE-----")) {
		return parseCertificates(data)
	}
	if c, err := x509.ParseCertificate(data); err == nil {
		return []*x509.Certificate{c}, nil
	}
	object, err := cms.Parse(data, cms.Limits{})
	switch {
	case err != nil:
		return nil, err
	case object.Signed == nil:
		return nil, fmt.Errorf("pki: %s where a certificate was expected", object.Kind)
	}
	var certs []*x509.Certificate
	for _, c := range object.Signed.Certificates {
		if c.X509 != nil {
			certs = append(certs, c.X509)
		}
	}
	return certs, nil
}
