package cms

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Attributes with a meaning here. They are never written.
var (
	oidContentType         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningTime         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
	oidCountersignature    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 6}
	oidAlgorithmProtection = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 52}
	oidSigningCertificate  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 12}
	oidSigningCertificate2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
)

// value returns the value of a signed attribute that may occur once and with one value. Otherwise the finding says so;
// absent, it is nil.
func (s *Signer) value(oid asn1.ObjectIdentifier, name string) (cryptobyte.String, finding) {
	var found *Attribute
	for i := range s.SignedAttributes {
		a := &s.SignedAttributes[i]
		if !a.Type.Equal(oid) {
			continue
		}
		if found != nil {
			return nil, malformed("there are several attributes %s", name)
		}
		found = a
	}
	switch {
	case found == nil:
		return nil, finding{}
	case len(found.Values) != 1:
		return nil, malformed("the attribute %s has %d values", name, len(found.Values))
	}
	return found.Values[0], finding{}
}

// checkAttributes checks the signed attributes (RFC 5652 Section 11, RFC 6211).
func (c *check) checkAttributes() finding {
	for _, rule := range []func() finding{
		c.checkPlaces, c.checkContentType, c.checkMessageDigest, c.checkSigningTime, c.checkAlgorithmProtection,
	} {
		if f := rule(); !f.ok() {
			return f
		}
	}
	c.step("the signed attributes are well-formed")
	return finding{}
}

// checkPlaces refuses attributes that may only be signed among the unsigned ones, and the other way round (RFC 5652
// Sections 11.1 to 11.4).
func (c *check) checkPlaces() finding {
	for _, a := range c.signer.UnsignedAttributes {
		if a.Type.Equal(oidContentType) || a.Type.Equal(oidMessageDigest) || a.Type.Equal(oidSigningTime) {
			return malformed("an attribute that has to be signed is not: %s", a.Type)
		}
	}
	for _, a := range c.signer.SignedAttributes {
		if a.Type.Equal(oidCountersignature) {
			return malformed("a countersignature is among the signed attributes")
		}
	}
	return finding{}
}

// checkContentType checks content-type (RFC 5652 Section 11.1).
func (c *check) checkContentType() finding {
	value, f := c.signer.value(oidContentType, "content-type")
	if !f.ok() {
		return f
	}
	var oid asn1.ObjectIdentifier
	switch {
	case value == nil:
		return malformed("the attribute content-type is missing")
	case !readOID(&value, &oid) || !value.Empty():
		return malformed("the attribute content-type is not an object identifier")
	case !oid.Equal(c.sd.ContentType):
		return malformed("the attribute content-type is not the type of the content")
	}
	return finding{}
}

// checkMessageDigest checks the form of message-digest (RFC 5652 Section 11.2).
func (c *check) checkMessageDigest() finding {
	value, f := c.signer.value(oidMessageDigest, "message-digest")
	var octets cryptobyte.String
	switch {
	case !f.ok():
		return f
	case value == nil:
		return malformed("the attribute message-digest is missing")
	case !value.ReadASN1(&octets, cbasn1.OCTET_STRING) || !value.Empty():
		return malformed("the attribute message-digest is not an OCTET STRING")
	}
	return finding{}
}

// messageDigest returns the digest in the attribute whose form was checked.
func (c *check) messageDigest() []byte {
	var octets cryptobyte.String
	value, _ := c.signer.value(oidMessageDigest, "message-digest")
	if !value.ReadASN1(&octets, cbasn1.OCTET_STRING) {
		return nil
	}
	return octets
}

// checkSigningTime reads signing-time (RFC 5652 Section 11.3). A text that is no time is only flagged: the attribute is
// optional, and the time is no more than the signer's word.
func (c *check) checkSigningTime() finding {
	value, f := c.signer.value(oidSigningTime, "signing-time")
	if !f.ok() || value == nil {
		return f
	}
	var text cryptobyte.String
	var tag cbasn1.Tag
	if !value.ReadAnyASN1(&text, &tag) || !value.Empty() || tag != cbasn1.UTCTime && tag != cbasn1.GeneralizedTime {
		return malformed("the attribute signing-time is not a time")
	}
	at, ok := parseTime(string(text), tag)
	if !ok {
		c.flag(FlagSigningTime)
		return finding{}
	}
	c.result.SigningTime = at
	return finding{}
}

// parseTime reads a time in Greenwich, to the second, as RFC 5652 Section 11.3 demands.
func parseTime(text string, tag cbasn1.Tag) (time.Time, bool) {
	layout := "20060102150405Z"
	if tag == cbasn1.UTCTime {
		layout = "060102150405Z"
	}
	if len(text) != len(layout) {
		return time.Time{}, false
	}
	at, err := time.Parse(layout, text)
	if err != nil {
		return time.Time{}, false
	}
	if tag == cbasn1.UTCTime && at.Year() >= 2050 {
		at = at.AddDate(-100, 0, 0) // YY from 50 on are the years 1950 to 1999
	}
	return at, true
}

// checkAlgorithmProtection compares the algorithms with those that were signed (RFC 6211 Section 3).
func (c *check) checkAlgorithmProtection() finding {
	value, f := c.signer.value(oidAlgorithmProtection, "algorithm-protection")
	if !f.ok() || value == nil {
		return f
	}
	var seq cryptobyte.String
	var hash, signature Algorithm
	if !value.ReadASN1(&seq, cbasn1.SEQUENCE) || !value.Empty() || !readAlgorithm(&seq, &hash) ||
		!readImplicitAlgorithm(&seq, &signature) || !seq.Empty() {
		return malformed("the attribute algorithm-protection is not understood")
	}
	if !hash.equal(c.signer.DigestAlgorithm) || !signature.equal(c.signer.SignatureAlgorithm) {
		return malformed("the algorithms are not those that were signed")
	}
	return finding{}
}

// readImplicitAlgorithm reads an AlgorithmIdentifier under the tag [1].
func readImplicitAlgorithm(in *cryptobyte.String, a *Algorithm) bool {
	var content cryptobyte.String
	if !in.ReadASN1(&content, context1Constructed) {
		return false
	}
	return readAlgorithmBytes(appendElement(nil, tagSequence, content), a)
}

// readAlgorithmBytes reads an AlgorithmIdentifier that is all of der.
func readAlgorithmBytes(der []byte, a *Algorithm) bool {
	in := cryptobyte.String(der)
	return readAlgorithm(&in, a) && in.Empty()
}

// checkBinding checks that cert is the certificate the signer has signed as its own, if it did (RFC 5035 Sections 3
// and 4). Otherwise somebody may have replaced it by another one for the same key.
func (c *check) checkBinding(cert *x509.Certificate) finding {
	for _, a := range []struct {
		oid  asn1.ObjectIdentifier
		name string
		hash crypto.Hash // by default
	}{
		{oidSigningCertificate2, "signing-certificate-v2", crypto.SHA256},
		{oidSigningCertificate, "signing-certificate", crypto.SHA1},
	} {
		value, f := c.signer.value(a.oid, a.name)
		switch {
		case !f.ok():
			return f
		case value == nil:
			continue
		}
		hash, want, ok := readCertificateID(value, a.hash)
		switch {
		case !ok:
			return malformed("the attribute %s is not understood", a.name)
		case hash == 0:
			continue // an algorithm that is not supported: says nothing
		}
		state := hash.New()
		state.Write(cert.Raw)
		if !bytes.Equal(state.Sum(nil), want) {
			return malformed("the certificate is not the one in the attribute %s", a.name)
		}
	}
	return finding{}
}

// readCertificateID reads the first ESSCertID or ESSCertIDv2, which is the signer's.
func readCertificateID(value cryptobyte.String, hash crypto.Hash) (crypto.Hash, []byte, bool) {
	var seq, list, id, sum cryptobyte.String
	if !value.ReadASN1(&seq, cbasn1.SEQUENCE) || !seq.ReadASN1(&list, cbasn1.SEQUENCE) ||
		!list.ReadASN1(&id, cbasn1.SEQUENCE) {
		return 0, nil, false
	}
	if id.PeekASN1Tag(cbasn1.SEQUENCE) {
		var a Algorithm
		if !readAlgorithm(&id, &a) {
			return 0, nil, false
		}
		d, _ := findDigest(a.OID)
		hash = d.hash
	}
	ok := id.ReadASN1(&sum, cbasn1.OCTET_STRING)
	return hash, sum, ok
}
