package cms

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// parseCertificate reads one CertificateChoices.
func parseCertificate(element []byte, tag cbasn1.Tag) Certificate {
	c := Certificate{Raw: element, Err: errCertificateKind}
	if tag == cbasn1.SEQUENCE {
		c.X509, c.Err = x509.ParseCertificate(element)
	}
	return c
}

// Matches reports whether id names the certificate c, which may be nil.
func (id SignerID) Matches(c *x509.Certificate) bool {
	switch {
	case c == nil:
		return false
	case id.SubjectKeyID != nil:
		return bytes.Equal(id.SubjectKeyID, c.SubjectKeyId)
	}
	return id.Serial != nil && c.SerialNumber != nil && id.Serial.Cmp(c.SerialNumber) == 0 &&
		sameName(id.Issuer, c.RawIssuer)
}

// matchesRaw reports whether id names a certificate that crypto/x509 does not understand, as far as its octets tell.
func (id SignerID) matchesRaw(raw []byte) bool {
	c, ok := scanCertificate(raw)
	switch {
	case !ok:
		return false
	case id.SubjectKeyID != nil:
		return bytes.Equal(id.SubjectKeyID, c.SubjectKeyID)
	}
	return id.Serial != nil && id.Serial.Cmp(c.Serial) == 0 && sameName(id.Issuer, c.Issuer)
}

// oidSubjectKeyID is id-ce-subjectKeyIdentifier (RFC 5280 Section 4.2.1.2).
var oidSubjectKeyID = asn1.ObjectIdentifier{2, 5, 29, 14}

// scanCertificate finds what identifies a certificate (RFC 5280 Section 4.1) and judges nothing.
func scanCertificate(raw []byte) (id SignerID, ok bool) {
	in := cryptobyte.String(raw)
	var certificate, tbs, issuer, extensions cryptobyte.String
	id = SignerID{Serial: new(big.Int)}
	if !in.ReadASN1(&certificate, cbasn1.SEQUENCE) || !certificate.ReadASN1(&tbs, cbasn1.SEQUENCE) ||
		!tbs.SkipOptionalASN1(context0Constructed) || !tbs.ReadASN1Integer(id.Serial) ||
		!tbs.SkipASN1(cbasn1.SEQUENCE) || !tbs.ReadASN1Element(&issuer, cbasn1.SEQUENCE) {
		return id, false
	}
	id.Issuer = issuer
	// validity, subject and subjectPublicKeyInfo; issuerUniqueID and subjectUniqueID
	for range 3 {
		if !tbs.SkipASN1(cbasn1.SEQUENCE) {
			return id, true
		}
	}
	if !tbs.SkipOptionalASN1(0x81) || !tbs.SkipOptionalASN1(0x82) ||
		!tbs.ReadOptionalASN1(&extensions, nil, context3Constructed) || !extensions.ReadASN1(&extensions, cbasn1.SEQUENCE) {
		return id, true
	}
	id.SubjectKeyID = findSubjectKeyID(extensions)
	return id, true
}

// findSubjectKeyID returns the value of the extension, nil if there is none.
func findSubjectKeyID(extensions cryptobyte.String) []byte {
	for !extensions.Empty() {
		var extension, value, key cryptobyte.String
		var oid asn1.ObjectIdentifier
		if !extensions.ReadASN1(&extension, cbasn1.SEQUENCE) || !readOID(&extension, &oid) {
			return nil
		}
		if !oid.Equal(oidSubjectKeyID) {
			continue
		}
		if !extension.SkipOptionalASN1(cbasn1.BOOLEAN) || !extension.ReadASN1(&value, cbasn1.OCTET_STRING) ||
			!value.ReadASN1(&key, cbasn1.OCTET_STRING) {
			return nil
		}
		return key
	}
	return nil
}
