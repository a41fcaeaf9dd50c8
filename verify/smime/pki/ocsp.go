package pki

import (
	"bytes"
	"crypto"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"
)

// maxOCSP bounds an OCSP response.
const maxOCSP = 64 << 10

// maxResponses bounds what one response may answer at once.
const maxResponses = 1000

var oidBasicResponse = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}

// errOCSP is the error for whatever is not RFC 6960.
var errOCSP = errors.New("the OCSP response is malformed")

// An ocspAnswer is what a response with a good signature says of one certificate.
type ocspAnswer struct {
	status     Status
	revokedAt  time.Time
	reason     int
	thisUpdate time.Time
	nextUpdate time.Time // zero if absent
}

// An ocspResponse is a BasicOCSPResponse (RFC 6960 Section 4.2.1). golang.org/x/crypto/ocsp reads them too, but it
// verifies with the keys of embedded certificates before it knows whose they are, however large they are, and takes
// the first response with the right serial number, of whatever issuer.
type ocspResponse struct {
	tbs, algorithm, signature []byte
	byName, byKey             []byte // the ResponderID
	responses                 cryptobyte.String
	certificates              [][]byte
}

// checkOCSP reads a response and returns what it says of cert, if someone signed it who may speak for issuer.
func checkOCSP(der []byte, cert, issuer *x509.Certificate, at time.Time) (ocspAnswer, error) {
	if len(der) > maxOCSP {
		return ocspAnswer{}, errors.New("the OCSP response is too large")
	}
	r, err := parseOCSP(der)
	if err != nil {
		return ocspAnswer{}, err
	}
	answer, err := r.find(cert, issuer)
	if err != nil {
		return ocspAnswer{}, err
	}
	signer, err := r.signer(issuer, at)
	if err != nil {
		return ocspAnswer{}, err
	}
	if err := checkSigned(signer, r.algorithm, r.tbs, r.signature); err != nil {
		return ocspAnswer{}, fmt.Errorf("the signature of the OCSP response is not good: %w", err)
	}
	return answer, nil
}

func parseOCSP(der []byte) (*ocspResponse, error) {
	in := cryptobyte.String(der)
	var outer, explicit, typed, octets cryptobyte.String
	var status int
	var oid asn1.ObjectIdentifier
	if !in.ReadASN1(&outer, cbasn1.SEQUENCE) || !in.Empty() || !outer.ReadASN1Enum(&status) {
		return nil, errOCSP
	}
	if status != 0 {
		return nil, fmt.Errorf("the OCSP responder answers with error %d", status)
	}
	if !outer.ReadASN1(&explicit, cbasn1.Tag(0).ContextSpecific().Constructed()) || !outer.Empty() ||
		!explicit.ReadASN1(&typed, cbasn1.SEQUENCE) || !typed.ReadASN1ObjectIdentifier(&oid) || !oid.Equal(oidBasicResponse) ||
		!typed.ReadASN1(&octets, cbasn1.OCTET_STRING) || !typed.Empty() {
		return nil, errOCSP
	}
	r := &ocspResponse{}
	return r, r.parseBasic(octets)
}

func (r *ocspResponse) parseBasic(in cryptobyte.String) error {
	var basic, tbs, algorithm, explicit, certs cryptobyte.String
	var signature asn1.BitString
	if !in.ReadASN1(&basic, cbasn1.SEQUENCE) || !in.Empty() ||
		!basic.ReadASN1Element(&tbs, cbasn1.SEQUENCE) || !basic.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) ||
		!basic.ReadASN1BitString(&signature) ||
		!basic.ReadOptionalASN1(&explicit, nil, cbasn1.Tag(0).ContextSpecific().Constructed()) || !basic.Empty() {
		return errOCSP
	}
	r.tbs, r.algorithm, r.signature = tbs, algorithm, signature.RightAlign()
	if len(explicit) > 0 && (!explicit.ReadASN1(&certs, cbasn1.SEQUENCE) || !explicit.Empty()) {
		return errOCSP
	}
	for !certs.Empty() && len(r.certificates) < maxSameName {
		var c cryptobyte.String
		if !certs.ReadASN1Element(&c, cbasn1.SEQUENCE) {
			return errOCSP
		}
		r.certificates = append(r.certificates, c)
	}
	return r.parseData(tbs)
}

// parseData reads ResponseData.
func (r *ocspResponse) parseData(in cryptobyte.String) error {
	var data, id, extensions cryptobyte.String
	var tag cbasn1.Tag
	var produced time.Time
	explicit := func(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific().Constructed() }
	if !in.ReadASN1(&data, cbasn1.SEQUENCE) || !data.SkipOptionalASN1(explicit(0)) || !data.ReadAnyASN1(&id, &tag) {
		return errOCSP
	}
	switch tag {
	case explicit(1):
		r.byName = id
	case explicit(2):
		var hash cryptobyte.String
		if !id.ReadASN1(&hash, cbasn1.OCTET_STRING) || !id.Empty() {
			return errOCSP
		}
		r.byKey = hash
	default:
		return errOCSP
	}
	if !data.ReadASN1GeneralizedTime(&produced) || !data.ReadASN1(&r.responses, cbasn1.SEQUENCE) ||
		!data.ReadOptionalASN1(&extensions, nil, explicit(1)) || !data.Empty() {
		return errOCSP
	}
	return noCritical(extensions)
}

// noCritical refuses critical extensions: none is understood here.
func noCritical(explicit cryptobyte.String) error {
	if explicit.Empty() {
		return nil
	}
	return eachExtension(explicit, func(id asn1.ObjectIdentifier, critical bool, _ []byte) error {
		if critical {
			return fmt.Errorf("the OCSP response has the critical extension %s, which is not supported", id)
		}
		return nil
	})
}

// find returns what the response says of a certificate of an issuer.
func (r *ocspResponse) find(cert, issuer *x509.Certificate) (ocspAnswer, error) {
	serial := serialOctets(cert.SerialNumber)
	responses := r.responses
	for n := 0; !responses.Empty() && n < maxResponses; n++ {
		var single, id cryptobyte.String
		if !responses.ReadASN1(&single, cbasn1.SEQUENCE) || !single.ReadASN1(&id, cbasn1.SEQUENCE) {
			return ocspAnswer{}, errOCSP
		}
		if isCertID(id, serial, issuer) {
			return parseSingle(single)
		}
	}
	return ocspAnswer{}, errors.New("the OCSP response is about another certificate")
}

// isCertID says whether a CertID (RFC 6960 Section 4.1.1) is that of a serial number of an issuer.
func isCertID(id cryptobyte.String, serial []byte, issuer *x509.Certificate) bool {
	var algorithm, name, key, number cryptobyte.String
	if !id.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) || !id.ReadASN1(&name, cbasn1.OCTET_STRING) ||
		!id.ReadASN1(&key, cbasn1.OCTET_STRING) || !id.ReadASN1(&number, cbasn1.INTEGER) || !id.Empty() {
		return false
	}
	var hash crypto.Hash
	switch hashOID(algorithm) {
	case "1.3.14.3.2.26":
		hash = crypto.SHA1
	case "2.16.840.1.101.3.4.2.1":
		hash = crypto.SHA256
	default:
		return false
	}
	return bytes.Equal(number, serial) && bytes.Equal(name, digest(hash, issuer.RawSubject)) && bytes.Equal(key, digest(hash, keyOctets(issuer)))
}

func digest(h crypto.Hash, b []byte) []byte {
	if h == crypto.SHA256 {
		sum := sha256.Sum256(b)
		return sum[:]
	}
	sum := sha1.Sum(b) // an identifier here, no protection
	return sum[:]
}

// keyOctets returns the subjectPublicKey of a certificate without tag, length and unused bits.
func keyOctets(c *x509.Certificate) []byte {
	in := cryptobyte.String(c.RawSubjectPublicKeyInfo)
	var info cryptobyte.String
	var key asn1.BitString
	if !in.ReadASN1(&info, cbasn1.SEQUENCE) || !info.SkipASN1(cbasn1.SEQUENCE) || !info.ReadASN1BitString(&key) {
		return nil
	}
	return key.RightAlign()
}

// parseSingle reads a SingleResponse after its CertID.
func parseSingle(in cryptobyte.String) (ocspAnswer, error) {
	var status, next, extensions cryptobyte.String
	var tag cbasn1.Tag
	var a ocspAnswer
	explicit := func(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific().Constructed() }
	if !in.ReadAnyASN1(&status, &tag) || !in.ReadASN1GeneralizedTime(&a.thisUpdate) ||
		!in.ReadOptionalASN1(&next, nil, explicit(0)) ||
		!in.ReadOptionalASN1(&extensions, nil, explicit(1)) || !in.Empty() ||
		len(next) > 0 && (!next.ReadASN1GeneralizedTime(&a.nextUpdate) || !next.Empty()) {
		return a, errOCSP
	}
	switch tag {
	case cbasn1.Tag(0).ContextSpecific():
		a.status = Valid
	case explicit(1):
		var reason cryptobyte.String
		a.status = Revoked
		if !status.ReadASN1GeneralizedTime(&a.revokedAt) || !status.ReadOptionalASN1(&reason, nil, explicit(0)) ||
			!status.Empty() || len(reason) > 0 && !reason.ReadASN1Enum(&a.reason) {
			return a, errOCSP
		}
	case cbasn1.Tag(2).ContextSpecific():
		a.status = Unknown
	default:
		return a, errOCSP
	}
	return a, noCritical(extensions)
}

// signer returns the certificate the response has to be signed with: that of the issuer, or one that the issuer itself
// issued for this purpose (RFC 6960 Section 4.2.2.2).
func (r *ocspResponse) signer(issuer *x509.Certificate, at time.Time) (*x509.Certificate, error) {
	if r.isResponder(issuer) {
		return issuer, nil
	}
	for _, der := range r.certificates {
		c, err := x509.ParseCertificate(der)
		if err != nil || !r.isResponder(c) {
			continue
		}
		return c, checkResponder(c, issuer, at)
	}
	return nil, errors.New("the OCSP response is signed by nobody known")
}

// isResponder says whether the ResponderID names this certificate.
func (r *ocspResponse) isResponder(c *x509.Certificate) bool {
	if r.byKey != nil {
		return bytes.Equal(r.byKey, digest(crypto.SHA1, keyOctets(c)))
	}
	return nameKey(r.byName) == nameKey(c.RawSubject)
}

// checkResponder says whether a certificate may sign OCSP responses for an issuer. Its own revocation is not asked: SBR
// Section 4.9.9 has it carry id-pkix-ocsp-nocheck, and who revokes a responder could otherwise not say so.
func checkResponder(c, issuer *x509.Certificate, at time.Time) error {
	switch {
	case nameKey(c.RawIssuer) != nameKey(issuer.RawSubject) || checkSignature(c, issuer) != signedGood:
		return errors.New("the OCSP responder is not one of the issuer")
	case !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
		return errors.New("the certificate of the OCSP responder is not for OCSP")
	case c.KeyUsage != 0 && c.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0:
		return errors.New("the certificate of the OCSP responder is not for signatures")
	case len(c.UnhandledCriticalExtensions) > 0:
		return errors.New("the certificate of the OCSP responder has an unknown critical extension")
	case at.Before(c.NotBefore.Add(-skew)) || at.After(c.NotAfter):
		return errors.New("the certificate of the OCSP responder is not valid at that time")
	}
	return nil
}

// current says whether the answer can be used at an instant. One without nextUpdate is valid for a day.
func (a *ocspAnswer) current(at time.Time, grace time.Duration) error {
	next := a.nextUpdate
	if next.IsZero() {
		next = a.thisUpdate.Add(24 * time.Hour)
	}
	switch {
	case a.thisUpdate.After(at.Add(skew)):
		return fmt.Errorf("the OCSP response is of %s", date(a.thisUpdate))
	case at.After(next.Add(grace)):
		return fmt.Errorf("the OCSP response is out of date since %s", date(next))
	}
	return nil
}

// revocation says what the answer means at an instant.
func (a *ocspAnswer) revocation(cert *x509.Certificate, at time.Time, grace time.Duration) (Revocation, error) {
	fresh := a.current(at, grace)
	switch {
	case a.status == Revoked && !a.revokedAt.After(at) && (a.reason != reasonHold || fresh == nil):
		return revoked(cert, a.revokedAt, a.reason), nil
	case fresh != nil:
		return Revocation{}, fresh
	case a.status == Unknown:
		return Revocation{}, errors.New("the OCSP responder does not know the certificate")
	}
	return Revocation{Status: Valid}, nil
}

// ocspURL returns the URL of a GET request (RFC 6960 Appendix A.1).
func ocspURL(responder string, cert, issuer *x509.Certificate) (string, error) {
	request, err := ocsp.CreateRequest(cert, issuer, nil)
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(responder, "/") + "/" + url.QueryEscape(base64.StdEncoding.EncodeToString(request)), nil
}
