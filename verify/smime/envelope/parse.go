package envelope

import (
	"bytes"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"assay/verify/smime/cms"
)

// Tags of the optional fields.
const (
	context0            = cbasn1.Tag(0x80)
	context0Constructed = cbasn1.Tag(0xa0)
	context1Constructed = cbasn1.Tag(0xa1)
	context2Constructed = cbasn1.Tag(0xa2)
	context3Constructed = cbasn1.Tag(0xa3)
)

// maxRecipients is how many RecipientInfos, and recipients of each, are read. Mail to more people than that is sent in copies.
const maxRecipients = 1000

// An envelope is a parsed EnvelopedData or AuthEnvelopedData. It refers to the parsed octets.
type envelope struct {
	recipients []info
	inner      asn1.ObjectIdentifier // type of the content
	algorithm  algorithm
	segments   [][]byte // of the encrypted content, in order
	attributes []byte   // content of authAttrs, nil if absent
	mac        []byte   // of AuthEnvelopedData
	auth       bool
}

// An info is one recipient of a RecipientInfo (RFC 5652 Section 6.2).
type info struct {
	kind      kind
	id        cms.SignerID
	algorithm algorithm // of the key encryption or agreement
	key       []byte    // the encrypted key
	origin    originator
	ukm       []byte // user keying material, nil if absent
}

// A kind is a kind of RecipientInfo.
type kind string

const (
	keyTransport kind = "key transport"
	keyAgreement kind = "key agreement"
	keyPassword  kind = "a password"
	keyShared    kind = "a key that was agreed upon before"
	keyOther     kind = "a kind of recipient that is not known"
)

// An originator is the public key of the sender (RFC 5753 Section 3.1.1). algorithm is zero when there is none in the message.
type originator struct {
	algorithm algorithm
	key       []byte
}

// An algorithm is an AlgorithmIdentifier.
type algorithm struct {
	oid        asn1.ObjectIdentifier
	parameters []byte // the element, nil if absent
	raw        []byte // all of it
}

// parse reads what is inside of an encrypted object. It works through der once.
func parse(der []byte, auth bool) (*envelope, error) {
	var seq, recipients cryptobyte.String
	var version int
	in := cryptobyte.String(der)
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() || !seq.ReadASN1Integer(&version) ||
		!seq.SkipOptionalASN1(context0Constructed) || !seq.ReadASN1(&recipients, cbasn1.SET) {
		return nil, syntax("recipients")
	}
	e := &envelope{auth: auth}
	if err := e.readRecipients(recipients); err != nil {
		return nil, err
	}
	if err := e.readContent(&seq); err != nil {
		return nil, err
	}
	if !auth {
		if !seq.SkipOptionalASN1(context1Constructed) || !seq.Empty() {
			return nil, syntax("unprotectedAttrs")
		}
		return e, nil
	}
	return e, e.readMAC(&seq)
}

// readMAC reads what only AuthEnvelopedData has (RFC 5083 Section 2.1).
func (e *envelope) readMAC(seq *cryptobyte.String) error {
	var attributes, mac cryptobyte.String
	var present bool
	if !seq.ReadOptionalASN1(&attributes, &present, context1Constructed) || !seq.ReadASN1(&mac, cbasn1.OCTET_STRING) ||
		!seq.SkipOptionalASN1(context2Constructed) || !seq.Empty() {
		return syntax("authAttrs and mac")
	}
	e.mac = mac
	if !present {
		return nil
	}
	// RFC 5083 Section 2.2: what is authenticated is the DER encoding with the tag of a SET OF, so in order.
	var elements [][]byte
	for !attributes.Empty() {
		var element cryptobyte.String
		if !attributes.ReadASN1Element(&element, cbasn1.SEQUENCE) {
			return syntax("authAttrs")
		}
		elements = append(elements, element)
	}
	slices.SortFunc(elements, bytes.Compare)
	e.attributes = slices.Concat(elements...)
	return nil
}

// readContent reads EncryptedContentInfo (RFC 5652 Section 6.1). The implicit tag hides from the normaliser that a content is
// an OCTET STRING, so its segments, which are in one level by now, are joined here.
func (e *envelope) readContent(seq *cryptobyte.String) error {
	var in, content cryptobyte.String
	if !seq.ReadASN1(&in, cbasn1.SEQUENCE) || !in.ReadASN1ObjectIdentifier(&e.inner) || !readAlgorithm(&in, &e.algorithm) {
		return syntax("encryptedContentInfo")
	}
	switch {
	case in.PeekASN1Tag(context0):
		if !in.ReadASN1(&content, context0) {
			return syntax("encryptedContent")
		}
		e.segments = [][]byte{content}
	case in.PeekASN1Tag(context0Constructed):
		if !in.ReadASN1(&content, context0Constructed) {
			return syntax("encryptedContent")
		}
		for !content.Empty() {
			var segment cryptobyte.String
			if !content.ReadASN1(&segment, cbasn1.OCTET_STRING) {
				return syntax("encryptedContent")
			}
			e.segments = append(e.segments, segment)
		}
	default:
		return unsupported("a content that is not in the message") // RFC 5652 Section 6.1: by other means
	}
	if !in.Empty() {
		return syntax("encryptedContentInfo")
	}
	return nil
}

// readRecipients reads RecipientInfos.
func (e *envelope) readRecipients(set cryptobyte.String) error {
	for !set.Empty() {
		var element cryptobyte.String
		var tag cbasn1.Tag
		if !set.ReadAnyASN1(&element, &tag) {
			return syntax("recipients")
		}
		if err := e.readRecipient(element, tag); err != nil {
			return err
		}
		if len(e.recipients) > maxRecipients {
			return unsupported(fmt.Sprintf("more than %d recipients", maxRecipients))
		}
	}
	return nil
}

// readRecipient reads one RecipientInfo. Those of other people may be of any form.
func (e *envelope) readRecipient(in cryptobyte.String, tag cbasn1.Tag) error {
	switch tag {
	case cbasn1.SEQUENCE:
		return e.readTransport(in)
	case context1Constructed:
		return e.readAgreement(in)
	case context2Constructed:
		e.recipients = append(e.recipients, info{kind: keyShared})
	case context3Constructed:
		e.recipients = append(e.recipients, info{kind: keyPassword})
	default:
		e.recipients = append(e.recipients, info{kind: keyOther})
	}
	return nil
}

// readTransport reads KeyTransRecipientInfo (RFC 5652 Section 6.2.1).
func (e *envelope) readTransport(in cryptobyte.String) error {
	i := info{kind: keyTransport}
	var key cryptobyte.String
	if !in.SkipASN1(cbasn1.INTEGER) {
		return syntax("a recipient")
	}
	if in.PeekASN1Tag(context0) {
		var id cryptobyte.String
		if !in.ReadASN1(&id, context0) {
			return syntax("a recipient")
		}
		i.id.SubjectKeyID = id
	} else if !readIssuerAndSerial(&in, &i.id) {
		return syntax("a recipient")
	}
	if !readAlgorithm(&in, &i.algorithm) || !in.ReadASN1(&key, cbasn1.OCTET_STRING) || !in.Empty() {
		return syntax("a recipient")
	}
	i.key = key
	e.recipients = append(e.recipients, i)
	return nil
}

// readAgreement reads KeyAgreeRecipientInfo (RFC 5652 Section 6.2.2), which may be for several recipients.
func (e *envelope) readAgreement(in cryptobyte.String) error {
	i := info{kind: keyAgreement}
	var explicit, ukm, keys cryptobyte.String
	var hasUKM bool
	if !in.SkipASN1(cbasn1.INTEGER) || !in.ReadASN1(&explicit, context0Constructed) || !readOriginator(explicit, &i.origin) ||
		!in.ReadOptionalASN1(&ukm, &hasUKM, context1Constructed) || !readAlgorithm(&in, &i.algorithm) ||
		!in.ReadASN1(&keys, cbasn1.SEQUENCE) || !in.Empty() {
		return syntax("a recipient")
	}
	if hasUKM {
		var octets cryptobyte.String
		if !ukm.ReadASN1(&octets, cbasn1.OCTET_STRING) || !ukm.Empty() {
			return syntax("a recipient")
		}
		i.ukm = append([]byte{}, octets...)
	}
	for !keys.Empty() && len(e.recipients) <= maxRecipients {
		one := i
		var in, key cryptobyte.String
		if !keys.ReadASN1(&in, cbasn1.SEQUENCE) || !readRecipientID(&in, &one.id) || !in.ReadASN1(&key, cbasn1.OCTET_STRING) || !in.Empty() {
			return syntax("a recipient")
		}
		one.key = key
		e.recipients = append(e.recipients, one)
	}
	return nil
}

// readOriginator reads OriginatorIdentifierOrKey. Senders with a key of their own in a certificate are left without one: that
// is static-static, which RFC 5753 has no use for.
func readOriginator(in cryptobyte.String, o *originator) bool {
	if !in.PeekASN1Tag(context1Constructed) {
		return true
	}
	var seq cryptobyte.String
	return in.ReadASN1(&seq, context1Constructed) && in.Empty() && readAlgorithm(&seq, &o.algorithm) &&
		seq.ReadASN1BitStringAsBytes(&o.key) && seq.Empty()
}

// readRecipientID reads KeyAgreeRecipientIdentifier.
func readRecipientID(in *cryptobyte.String, id *cms.SignerID) bool {
	if !in.PeekASN1Tag(context0Constructed) {
		return readIssuerAndSerial(in, id)
	}
	var rid, key cryptobyte.String
	if !in.ReadASN1(&rid, context0Constructed) || !rid.ReadASN1(&key, cbasn1.OCTET_STRING) {
		return false
	}
	id.SubjectKeyID = key
	return true
}

// readIssuerAndSerial reads IssuerAndSerialNumber (RFC 5652 Section 10.2.4).
func readIssuerAndSerial(in *cryptobyte.String, id *cms.SignerID) bool {
	var seq, issuer cryptobyte.String
	id.Serial = new(big.Int)
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !seq.ReadASN1Element(&issuer, cbasn1.SEQUENCE) || !seq.ReadASN1Integer(id.Serial) || !seq.Empty() {
		return false
	}
	id.Issuer = issuer
	return true
}

// readAlgorithm reads an AlgorithmIdentifier (RFC 5280 Section 4.1.1.2).
func readAlgorithm(in *cryptobyte.String, a *algorithm) bool {
	var element, seq cryptobyte.String
	if !in.ReadASN1Element(&element, cbasn1.SEQUENCE) {
		return false
	}
	a.raw, a.parameters = element, nil
	if !element.ReadASN1(&seq, cbasn1.SEQUENCE) || !seq.ReadASN1ObjectIdentifier(&a.oid) {
		return false
	}
	if seq.Empty() {
		return true
	}
	var parameters cryptobyte.String
	var tag cbasn1.Tag
	if !seq.ReadAnyASN1Element(&parameters, &tag) || !seq.Empty() {
		return false
	}
	a.parameters = parameters
	return true
}

// syntax returns the error for a field that is not what it should be.
func syntax(what string) error { return fmt.Errorf("%w: %s", ErrSyntax, what) }

// unsupported returns the error for something that is not opened here.
func unsupported(what string) error { return fmt.Errorf("%w: %s", ErrUnsupported, what) }
