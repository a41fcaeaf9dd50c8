package cms

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Tags of the optional fields.
const (
	context0            = cbasn1.Tag(0x80)
	context0Constructed = cbasn1.Tag(0xa0)
	context1Constructed = cbasn1.Tag(0xa1)
	context2Constructed = cbasn1.Tag(0xa2)
	context3Constructed = cbasn1.Tag(0xa3)
)

// Parse normalises ber and reads the ContentInfo in it (RFC 5652 Section 3). What it returns refers to ber or to one
// copy of it: contents are never copied a second time.
func Parse(ber []byte, limits Limits) (*Object, error) {
	limits = limits.withDefaults()
	der, err := Normalize(ber, limits)
	if err != nil {
		return nil, err
	}
	var info, content cryptobyte.String
	object := &Object{}
	in := cryptobyte.String(der)
	if !in.ReadASN1(&info, cbasn1.SEQUENCE) || !readOID(&info, &object.ContentType) {
		return nil, syntax("ContentInfo")
	}
	if !info.Empty() && (!info.ReadASN1(&content, context0Constructed) || !info.Empty()) {
		return nil, syntax("content of ContentInfo")
	}
	object.Kind = kindOf(object.ContentType)
	if err := object.parse(content, limits); err != nil {
		return nil, err
	}
	if s := object.Signed; s != nil && s.Detached && len(ber) > limits.Detached {
		return nil, fmt.Errorf("%w: %d octets of signed-data without content, at most %d are read",
			ErrLimit, len(ber), limits.Detached)
	}
	return object, nil
}

// parse reads the content as what Kind says it is.
func (o *Object) parse(content cryptobyte.String, limits Limits) (err error) {
	switch o.Kind {
	case Signed:
		if o.Signed, err = parseSignedData(content, limits); err != nil {
			return err
		}
		o.Inner = o.Signed.ContentType
		if len(o.Signed.Signers) == 0 && len(o.Signed.Content) == 0 {
			o.Kind = CertsOnly
		}
		o.Detail = o.Signed.describe()
		return nil
	case Enveloped, AuthEnveloped, EncryptedData:
		return o.parseEncryption(content, limits)
	case Compressed, Digested, Authenticated:
		return o.parseWrapped(content)
	case Data:
		return nil
	}
	o.Detail = o.ContentType.String()
	return nil
}

// parseSignedData reads a SignedData (RFC 5652 Section 5.1).
func parseSignedData(content cryptobyte.String, limits Limits) (*SignedData, error) {
	sd := &SignedData{limits: limits}
	var seq, digests, certificates, revocation, signers cryptobyte.String
	if !content.ReadASN1(&seq, cbasn1.SEQUENCE) || !content.Empty() || !seq.ReadASN1Integer(&sd.Version) {
		return nil, syntax("SignedData")
	}
	if !seq.ReadASN1(&digests, cbasn1.SET) {
		return nil, syntax("digestAlgorithms")
	}
	if err := sd.readContent(&seq); err != nil {
		return nil, err
	}
	if !seq.ReadOptionalASN1(&certificates, nil, context0Constructed) ||
		!seq.ReadOptionalASN1(&revocation, nil, context1Constructed) ||
		!seq.ReadASN1(&signers, cbasn1.SET) || !seq.Empty() {
		return nil, syntax("SignedData")
	}
	for _, read := range []func() error{
		func() error { return sd.readDigests(digests) },
		func() error { return sd.readSigners(signers) },
		func() error { return sd.readCertificates(certificates) },
		func() error { return sd.readRevocation(revocation) },
	} {
		if err := read(); err != nil {
			return nil, err
		}
	}
	return sd, nil
}

// readDigests reads digestAlgorithms. Nobody needs more of them than there may be signers, but they cost nothing.
func (sd *SignedData) readDigests(set cryptobyte.String) error {
	for !set.Empty() {
		var a Algorithm
		if !readAlgorithm(&set, &a) {
			return syntax("digestAlgorithms")
		}
		if len(sd.Digests) == 4*sd.limits.Signers {
			return fmt.Errorf("%w: more than %d digest algorithms", ErrLimit, len(sd.Digests))
		}
		sd.Digests = append(sd.Digests, a)
	}
	return nil
}

// readContent reads encapContentInfo (RFC 5652 Section 5.2).
func (sd *SignedData) readContent(s *cryptobyte.String) error {
	var info, explicit, octets cryptobyte.String
	if !s.ReadASN1(&info, cbasn1.SEQUENCE) || !readOID(&info, &sd.ContentType) {
		return syntax("encapContentInfo")
	}
	if sd.Detached = info.Empty(); sd.Detached {
		return nil
	}
	if !info.ReadASN1(&explicit, context0Constructed) || !info.Empty() {
		return syntax("eContent")
	}
	// RFC 5652 Section 5.2.1: PKCS #7 version 1.5 had any type here, of which only the value was signed. No mail has it.
	if !explicit.ReadASN1(&octets, cbasn1.OCTET_STRING) || !explicit.Empty() {
		return syntax("eContent, which is not an OCTET STRING")
	}
	sd.Content = octets
	if sd.Content == nil {
		sd.Content = []byte{}
	}
	return nil
}

// readCertificates reads CertificateSet (RFC 5652 Section 10.2.3). What is not an X.509 certificate does no harm.
func (sd *SignedData) readCertificates(set cryptobyte.String) error {
	left := sd.limits.CertificateOctets - sd.limits.Work.certificates
	for !set.Empty() {
		var element cryptobyte.String
		var tag cbasn1.Tag
		if !set.ReadAnyASN1Element(&element, &tag) {
			return syntax("certificates")
		}
		if len(sd.Certificates) == sd.limits.Certificates {
			return fmt.Errorf("%w: more than %d certificates", ErrLimit, sd.limits.Certificates)
		}
		if left -= len(element); left < 0 {
			err := fmt.Errorf("%w: more than %d octets of certificates", ErrLimit, sd.limits.CertificateOctets)
			sd.Certificates = append(sd.Certificates, Certificate{Raw: element, Err: err})
			continue
		}
		sd.limits.Work.certificates += len(element)
		sd.Certificates = append(sd.Certificates, parseCertificate(element, tag))
	}
	return nil
}

// oidOCSPResponse is id-ri-ocsp-response (RFC 5940 Section 2.1).
var oidOCSPResponse = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 16, 2}

// readRevocation reads RevocationInfoChoices (RFC 5652 Section 10.2.1).
func (sd *SignedData) readRevocation(set cryptobyte.String) error {
	for !set.Empty() {
		var element cryptobyte.String
		var tag cbasn1.Tag
		if !set.ReadAnyASN1Element(&element, &tag) {
			return syntax("crls")
		}
		switch {
		case len(element) > sd.limits.RevocationList || len(sd.CRLs)+len(sd.OCSP) == sd.limits.Certificates:
			sd.Ignored++
		case tag == cbasn1.SEQUENCE:
			sd.CRLs = append(sd.CRLs, element)
		default:
			sd.readOtherRevocation(element)
		}
	}
	return nil
}

// readOtherRevocation reads an OtherRevocationInfoFormat.
func (sd *SignedData) readOtherRevocation(element cryptobyte.String) {
	var other, response cryptobyte.String
	var format asn1.ObjectIdentifier
	if !element.ReadASN1(&other, context1Constructed) || !readOID(&other, &format) ||
		!format.Equal(oidOCSPResponse) || !other.ReadASN1Element(&response, cbasn1.SEQUENCE) {
		sd.Ignored++
		return
	}
	sd.OCSP = append(sd.OCSP, response)
}

// readSigners reads SignerInfos.
func (sd *SignedData) readSigners(set cryptobyte.String) error {
	for !set.Empty() {
		var element cryptobyte.String
		if !set.ReadASN1(&element, cbasn1.SEQUENCE) {
			return syntax("signerInfos")
		}
		if len(sd.Signers) == sd.limits.Signers {
			return fmt.Errorf("%w: more than %d signers", ErrLimit, sd.limits.Signers)
		}
		s, err := parseSigner(element, sd.limits)
		if err != nil {
			return err
		}
		sd.Signers = append(sd.Signers, s)
	}
	return nil
}

// maxSignedAttributes is how many octets the signed attributes of a signer may have. They are hashed several times.
const maxSignedAttributes = 64 << 10

// parseSigner reads a SignerInfo (RFC 5652 Section 5.3).
func parseSigner(in cryptobyte.String, limits Limits) (s Signer, err error) {
	if !in.ReadASN1Integer(&s.Version) || !readSignerID(&in, &s.ID) {
		return s, syntax("sid of a signer")
	}
	var signed, unsigned, signature cryptobyte.String
	if !readAlgorithm(&in, &s.DigestAlgorithm) {
		return s, syntax("digestAlgorithm of a signer")
	}
	if !in.ReadOptionalASN1(&signed, &s.HasAttributes, context0Constructed) {
		return s, syntax("signedAttrs of a signer")
	}
	if len(signed) > maxSignedAttributes {
		return s, fmt.Errorf("%w: %d octets of signed attributes", ErrLimit, len(signed))
	}
	if s.signed = signed; s.HasAttributes {
		if signed.Empty() {
			// RFC 5652 Section 5.3. Others take the content as signed without attributes then.
			return s, syntax("signedAttrs, which is empty")
		}
		if s.SignedAttributes, err = readAttributes(signed, "signedAttrs", limits); err != nil {
			return s, err
		}
	}
	if !readAlgorithm(&in, &s.SignatureAlgorithm) || !in.ReadASN1(&signature, cbasn1.OCTET_STRING) {
		return s, syntax("signature of a signer")
	}
	s.Signature = signature
	var present bool
	if !in.ReadOptionalASN1(&unsigned, &present, context1Constructed) || !in.Empty() {
		return s, syntax("unsignedAttrs of a signer")
	}
	if present {
		if s.UnsignedAttributes, err = readAttributes(unsigned, "unsignedAttrs", limits); err != nil {
			return s, err
		}
	}
	if s.SignatureAlgorithm.OID.Equal(oidRSAPSS) {
		s.PSS, err = parsePSS(s.SignatureAlgorithm.Parameters)
	}
	return s, err
}

// readSignerID reads a SignerIdentifier.
func readSignerID(s *cryptobyte.String, id *SignerID) bool {
	if s.PeekASN1Tag(context0) {
		var key cryptobyte.String
		ok := s.ReadASN1(&key, context0)
		id.SubjectKeyID = key
		return ok && len(key) > 0
	}
	return readIssuerAndSerial(s, id)
}

// readIssuerAndSerial reads an IssuerAndSerialNumber (RFC 5652 Section 10.2.4).
func readIssuerAndSerial(s *cryptobyte.String, id *SignerID) bool {
	var seq, issuer cryptobyte.String
	id.Serial = new(big.Int)
	if !s.ReadASN1(&seq, cbasn1.SEQUENCE) || !seq.ReadASN1Element(&issuer, cbasn1.SEQUENCE) ||
		!seq.ReadASN1Integer(id.Serial) || !seq.Empty() {
		return false
	}
	id.Issuer = issuer
	return true
}

// readAttributes reads the content of signedAttrs or unsignedAttrs.
func readAttributes(in cryptobyte.String, field string, limits Limits) ([]Attribute, error) {
	var attributes []Attribute
	for !in.Empty() {
		if len(attributes) == limits.Attributes {
			return nil, fmt.Errorf("%w: more than %d attributes", ErrLimit, limits.Attributes)
		}
		var a Attribute
		if !readAttribute(&in, &a, limits) {
			return nil, syntax(field)
		}
		attributes = append(attributes, a)
	}
	return attributes, nil
}

// readAttribute reads one Attribute. More values than there may be attributes are not understood.
func readAttribute(in *cryptobyte.String, a *Attribute, limits Limits) bool {
	var element, seq, set cryptobyte.String
	if !in.ReadASN1Element(&element, cbasn1.SEQUENCE) {
		return false
	}
	a.Raw = element
	if !element.ReadASN1(&seq, cbasn1.SEQUENCE) || !readOID(&seq, &a.Type) ||
		!seq.ReadASN1(&set, cbasn1.SET) || !seq.Empty() {
		return false
	}
	for !set.Empty() {
		var value cryptobyte.String
		var tag cbasn1.Tag
		if len(a.Values) == limits.Attributes || !set.ReadAnyASN1Element(&value, &tag) {
			return false
		}
		a.Values = append(a.Values, value)
	}
	return true
}

// readAlgorithm reads an AlgorithmIdentifier (RFC 5280 Section 4.1.1.2).
func readAlgorithm(in *cryptobyte.String, a *Algorithm) bool {
	var seq, parameters cryptobyte.String
	var tag cbasn1.Tag
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !readOID(&seq, &a.OID) {
		return false
	}
	if seq.Empty() {
		return true
	}
	if !seq.ReadAnyASN1Element(&parameters, &tag) || !seq.Empty() {
		return false
	}
	a.Parameters = parameters
	return true
}

// parsePSS reads RSASSA-PSS-params (RFC 4055 Section 3.1). In a signature they have to be there.
func parsePSS(parameters []byte) (*PSSParameters, error) {
	p := &PSSParameters{Hash: oidSHA1, MaskGen: oidMGF1, MaskHash: oidSHA1, SaltLength: 20, Trailer: 1}
	var seq, hash, mask, salt, trailer cryptobyte.String
	var hasHash, hasMask, hasSalt, hasTrailer bool
	in := cryptobyte.String(parameters)
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() ||
		!seq.ReadOptionalASN1(&hash, &hasHash, context0Constructed) ||
		!seq.ReadOptionalASN1(&mask, &hasMask, context1Constructed) ||
		!seq.ReadOptionalASN1(&salt, &hasSalt, context2Constructed) ||
		!seq.ReadOptionalASN1(&trailer, &hasTrailer, context3Constructed) || !seq.Empty() {
		return nil, syntax("parameters of RSASSA-PSS")
	}
	var a Algorithm
	if hasHash {
		if !readAlgorithm(&hash, &a) || !hash.Empty() {
			return nil, syntax("hash of RSASSA-PSS")
		}
		p.Hash = a.OID
	}
	if hasMask && !p.readMask(mask) {
		return nil, syntax("mask generation of RSASSA-PSS")
	}
	if hasSalt && (!salt.ReadASN1Integer(&p.SaltLength) || !salt.Empty() || p.SaltLength < 0) {
		return nil, syntax("salt length of RSASSA-PSS")
	}
	if hasTrailer && (!trailer.ReadASN1Integer(&p.Trailer) || !trailer.Empty()) {
		return nil, syntax("trailer of RSASSA-PSS")
	}
	return p, nil
}

// readMask reads a MaskGenAlgorithm.
func (p *PSSParameters) readMask(in cryptobyte.String) bool {
	var gen, hash Algorithm
	if !readAlgorithm(&in, &gen) || !in.Empty() {
		return false
	}
	p.MaskGen, p.MaskHash = gen.OID, nil
	if gen.OID.Equal(oidMGF1) {
		parameters := cryptobyte.String(gen.Parameters)
		if !readAlgorithm(&parameters, &hash) || !parameters.Empty() {
			return false
		}
		p.MaskHash = hash.OID
	}
	return true
}

// maxOID is how many octets an object identifier may have. Names that are longer than 64 octets are for attacks only.
const maxOID = 64

// readOID reads an OBJECT IDENTIFIER.
func readOID(in *cryptobyte.String, oid *asn1.ObjectIdentifier) bool {
	var element cryptobyte.String
	return in.ReadASN1Element(&element, cbasn1.OBJECT_IDENTIFIER) && len(element) <= maxOID &&
		element.ReadASN1ObjectIdentifier(oid)
}

// errCertificateKind is why a member of the certificates is not parsed.
var errCertificateKind = errors.New("cms: not an X.509 certificate")

// syntax returns the error for a field that is not what it should be.
func syntax(what string) error { return fmt.Errorf("%w: %s", ErrSyntax, what) }
