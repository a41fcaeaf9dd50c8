package cms

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// parseEncryption reads what is visible of EnvelopedData, AuthEnvelopedData or EncryptedData (RFC 5652 Sections 6.1 and
// 8, RFC 5083 Section 2.1).
func (o *Object) parseEncryption(content cryptobyte.String, limits Limits) error {
	var seq, recipients, encrypted cryptobyte.String
	var version int
	der := content
	if !content.ReadASN1(&seq, cbasn1.SEQUENCE) || !content.Empty() || !seq.ReadASN1Integer(&version) {
		return syntax("version of encrypted data")
	}
	o.Encryption = &Encryption{DER: der}
	if o.Kind != EncryptedData {
		if !seq.SkipOptionalASN1(context0Constructed) || !seq.ReadASN1(&recipients, cbasn1.SET) {
			return syntax("recipientInfos")
		}
		if err := o.Encryption.readRecipients(recipients, limits); err != nil {
			return err
		}
	}
	var algorithm Algorithm
	if !seq.ReadASN1(&encrypted, cbasn1.SEQUENCE) || !readOID(&encrypted, &o.Inner) ||
		!readAlgorithm(&encrypted, &algorithm) {
		return syntax("encryptedContentInfo")
	}
	o.Encryption.Algorithm = nameOf(algorithm.OID)
	o.Detail = o.Encryption.describe(o.Kind)
	return nil
}

// readRecipients reads RecipientInfos.
func (e *Encryption) readRecipients(set cryptobyte.String, limits Limits) error {
	for !set.Empty() {
		var element cryptobyte.String
		var tag cbasn1.Tag
		if !set.ReadAnyASN1(&element, &tag) {
			return syntax("recipientInfos")
		}
		if len(e.Recipients) >= limits.Recipients {
			e.Others++
			continue
		}
		e.Recipients = append(e.Recipients, parseRecipients(element, tag, limits.Recipients-len(e.Recipients))...)
	}
	return nil
}

// parseRecipients reads one RecipientInfo (RFC 5652 Section 6.2), which for key agreement may be for up to n recipients.
// What is not understood is a recipient all the same.
func parseRecipients(in cryptobyte.String, tag cbasn1.Tag, n int) []Recipient {
	switch tag {
	case cbasn1.SEQUENCE:
		return []Recipient{parseKeyTransport(in)}
	case context1Constructed:
		return parseKeyAgreement(in, n)
	case context2Constructed:
		r := Recipient{Kind: "kek"}
		var algorithm Algorithm
		if in.SkipASN1(cbasn1.INTEGER) && in.SkipASN1(cbasn1.SEQUENCE) && readAlgorithm(&in, &algorithm) {
			r.Algorithm = nameOf(algorithm.OID)
		}
		return []Recipient{r}
	case context3Constructed:
		return []Recipient{{Kind: "password"}}
	}
	return []Recipient{{Kind: "other"}}
}

// parseKeyTransport reads KeyTransRecipientInfo (RFC 5652 Section 6.2.1).
func parseKeyTransport(in cryptobyte.String) Recipient {
	r := Recipient{Kind: "key-transport"}
	var algorithm Algorithm
	if !in.SkipASN1(cbasn1.INTEGER) || !readSignerID(&in, &r.ID) {
		r.ID = SignerID{}
		return r
	}
	if readAlgorithm(&in, &algorithm) {
		r.Algorithm = nameOf(algorithm.OID)
	}
	return r
}

// parseKeyAgreement reads KeyAgreeRecipientInfo (RFC 5652 Section 6.2.2).
func parseKeyAgreement(in cryptobyte.String, n int) []Recipient {
	unknown := Recipient{Kind: "key-agreement"}
	var algorithm Algorithm
	var keys cryptobyte.String
	if !in.SkipASN1(cbasn1.INTEGER) || !in.SkipOptionalASN1(context0Constructed) ||
		!in.SkipOptionalASN1(context1Constructed) || !readAlgorithm(&in, &algorithm) {
		return []Recipient{unknown}
	}
	unknown.Algorithm = nameOf(algorithm.OID)
	if !in.ReadASN1(&keys, cbasn1.SEQUENCE) {
		return []Recipient{unknown}
	}
	var recipients []Recipient
	for !keys.Empty() && len(recipients) < n {
		r := unknown
		var key cryptobyte.String
		if !keys.ReadASN1(&key, cbasn1.SEQUENCE) {
			break
		}
		readKeyAgreementID(key, &r.ID)
		recipients = append(recipients, r)
	}
	if len(recipients) == 0 {
		return []Recipient{unknown}
	}
	return recipients
}

// readKeyAgreementID reads a KeyAgreeRecipientIdentifier; id is zero if it is not understood.
func readKeyAgreementID(in cryptobyte.String, id *SignerID) {
	var rid, key cryptobyte.String
	if in.PeekASN1Tag(context0Constructed) {
		if in.ReadASN1(&rid, context0Constructed) && rid.ReadASN1(&key, cbasn1.OCTET_STRING) {
			id.SubjectKeyID = key
		}
		return
	}
	if !readIssuerAndSerial(&in, id) {
		*id = SignerID{}
	}
}

// describe says in words what the encryption is.
func (e *Encryption) describe(kind Kind) string {
	if kind == EncryptedData {
		return e.Algorithm
	}
	n := len(e.Recipients) + e.Others
	noun := "recipients"
	if n == 1 {
		noun = "recipient"
	}
	var algorithms []string
	for _, r := range e.Recipients {
		name := r.Algorithm
		if name == "" {
			name = r.Kind
		}
		if !slices.Contains(algorithms, name) {
			algorithms = append(algorithms, name)
		}
	}
	if len(algorithms) == 0 {
		return fmt.Sprintf("%s for %d %s", e.Algorithm, n, noun)
	}
	return fmt.Sprintf("%s for %d %s (%s)", e.Algorithm, n, noun, strings.Join(algorithms, ", "))
}

// parseWrapped reads the type of the content inside CompressedData (RFC 3274 Section 1.1), DigestedData (RFC 5652
// Section 7) or AuthenticatedData (Section 9.1): in all of them an EncapsulatedContentInfo, which alone of the
// sequences begins with an OID and may be followed by nothing but [0].
func (o *Object) parseWrapped(content cryptobyte.String) error {
	var seq, inner cryptobyte.String
	var algorithm Algorithm
	if !content.ReadASN1(&seq, cbasn1.SEQUENCE) || !content.Empty() || !seq.SkipASN1(cbasn1.INTEGER) {
		return syntax("version of " + string(o.Kind) + " data")
	}
	if o.Kind == Authenticated && (!seq.SkipOptionalASN1(context0Constructed) || !seq.SkipASN1(cbasn1.SET)) {
		return syntax("recipientInfos")
	}
	if !readAlgorithm(&seq, &algorithm) || !seq.SkipOptionalASN1(context1Constructed) {
		return syntax("algorithm of " + string(o.Kind) + " data")
	}
	if !seq.ReadASN1(&inner, cbasn1.SEQUENCE) || !readOID(&inner, &o.Inner) {
		return syntax("encapContentInfo")
	}
	o.Detail = digestName(algorithm.OID)
	return nil
}
