// Package cms reads the cryptographic objects of S/MIME and checks their signatures. It says whether a content is what
// the holder of a certificate signed; whether that certificate is to be trusted, and whose it is, others decide.
//
// Everything from the network goes through Normalize first, which bounds nesting, count and size and turns BER into DER.
// Only then it is parsed, verified by this package's own code, and, where go.mozilla.org/pkcs7 knows the algorithms,
// verified once more by that library: when the two do not agree, nothing is said to be signed.
//
// The package never decrypts or decompresses, never reads the clock and never asks the network.
//
// RFC 5652 (CMS), RFC 8551 (S/MIME 4.0), RFC 3370, RFC 5754, RFC 8692 and RFC 8702 (algorithms), RFC 4056 (RSASSA-PSS),
// RFC 8419 (EdDSA), RFC 6211 (algorithm protection), RFC 5940 (revocation information), RFC 5083 (authenticated
// encryption), RFC 3274 (compression), X.690 (BER and DER).
package cms

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
	"time"
)

// The causes for which there is no Object. Every error of Normalize and Parse wraps exactly one of them.
var (
	ErrSyntax   = errors.New("cms: not well-formed")
	ErrTrailing = errors.New("cms: octets behind the end")
	ErrLimit    = errors.New("cms: too large")
)

// A Kind says what a CMS object is.
type Kind string

// The kinds of objects (RFC 5652 Section 3, RFC 5083, RFC 3274). The zero value is no kind. A detached signature from
// which all signers were removed is CertsOnly as well: where a signature has to be, that is a signature by nobody.
const (
	Signed        Kind = "signed"
	CertsOnly     Kind = "certs-only" // signed-data without signers and without content (RFC 8551 Section 3.8)
	Enveloped     Kind = "enveloped"
	AuthEnveloped Kind = "auth-enveloped"
	EncryptedData Kind = "encrypted-data"
	Compressed    Kind = "compressed"
	Digested      Kind = "digested"
	Authenticated Kind = "authenticated"
	Data          Kind = "data"
	Unknown       Kind = "unknown" // a content type this package does not know
)

// An Object is one ContentInfo. It refers to the octets it was parsed from, which must not be changed any more.
type Object struct {
	Kind        Kind
	ContentType asn1.ObjectIdentifier // of the ContentInfo
	Signed      *SignedData           // for Signed and CertsOnly
	Encryption  *Encryption           // for Enveloped, AuthEnveloped and EncryptedData
	Inner       asn1.ObjectIdentifier // type of the content inside, nil where there is none or it is not known
	Detail      string                // algorithms and numbers in words, ASCII: "aes-256-cbc for 2 recipients"
}

// A SignedData is a parsed SignedData (RFC 5652 Section 5.1).
type SignedData struct {
	Version      int
	Digests      []Algorithm           // digestAlgorithms, as listed
	ContentType  asn1.ObjectIdentifier // eContentType
	Detached     bool                  // there is no eContent
	Content      []byte                // eContent, a slice of the parsed octets; nil when Detached
	Certificates []Certificate         // in order, including what is not understood
	CRLs         [][]byte              // DER of each CertificateList that is within Limits.RevocationList
	OCSP         [][]byte              // DER of each OCSPResponse (RFC 5940) within that limit
	Ignored      int                   // revocation information of other kinds, or beyond the limit
	Signers      []Signer              // may be empty: then nobody signed, whatever else the object says

	limits Limits
}

// A Certificate is one member of the certificates of a SignedData.
type Certificate struct {
	Raw  []byte            // the whole element
	X509 *x509.Certificate // nil if it is another kind of certificate or does not parse
	Err  error             // why X509 is nil
}

// An Algorithm is an AlgorithmIdentifier.
type Algorithm struct {
	OID        asn1.ObjectIdentifier
	Parameters []byte // the element, nil if absent
}

// A SignerID names the certificate of a signer, in one of two ways, or that of a recipient.
type SignerID struct {
	Issuer       []byte   // DER of the issuer's distinguished name, nil if SubjectKeyID is set
	Serial       *big.Int // nil if SubjectKeyID is set
	SubjectKeyID []byte
}

// An Attribute is one signed or unsigned attribute.
type Attribute struct {
	Type   asn1.ObjectIdentifier
	Values [][]byte // each value as an element
	Raw    []byte   // the whole Attribute
}

// A Signer is one SignerInfo (RFC 5652 Section 5.3).
type Signer struct {
	Version            int
	ID                 SignerID
	DigestAlgorithm    Algorithm
	SignatureAlgorithm Algorithm
	PSS                *PSSParameters // decoded parameters when SignatureAlgorithm is id-RSASSA-PSS, else nil
	HasAttributes      bool           // signed attributes are present
	SignedAttributes   []Attribute    // in the order received
	UnsignedAttributes []Attribute
	Signature          []byte

	signed []byte // content octets of the field signedAttrs
}

// PSSParameters are RSASSA-PSS-params (RFC 4055 Section 3.1) with the defaults filled in.
type PSSParameters struct {
	Hash       asn1.ObjectIdentifier
	MaskGen    asn1.ObjectIdentifier
	MaskHash   asn1.ObjectIdentifier
	SaltLength int
	Trailer    int
}

// Encryption is what is visible of an encrypted object without a key.
type Encryption struct {
	Algorithm  string // of the content: "aes-256-cbc", or an OID in dots when its name is not known
	Recipients []Recipient
	Others     int // recipients that were not listed because there are too many
	// DER is the EnvelopedData, AuthEnvelopedData or EncryptedData as a whole, normalised: a slice of the parsed octets. Package
	// envelope opens it, so that nobody opens what was not normalised.
	DER []byte
}

// A Recipient is one RecipientInfo (RFC 5652 Section 6.2).
type Recipient struct {
	Kind      string   // "key-transport", "key-agreement", "kek", "password", "other"
	Algorithm string   // of the key encryption: "rsa", "rsa-oaep", "ecdh", ...; "" if it is not visible
	ID        SignerID // of the recipient's certificate; zero when the kind names none
}

// An Integrity says what the cryptographic check of a signer found.
type Integrity string

// The outcomes of checking a signer. The zero value means that it was not checked.
const (
	Intact        Integrity = "intact"         // the content is what the holder of the certificate's key signed
	Broken        Integrity = "broken"         // it is not: the digest or the signature is wrong
	Unsupported   Integrity = "unsupported"    // an algorithm or a certificate that cannot be checked here; says nothing
	Malformed     Integrity = "malformed"      // the signer breaks a rule of CMS, so it proves nothing
	NoCertificate Integrity = "no-certificate" // no certificate at hand fits the signer's identifier
	Disputed      Integrity = "disputed"       // the two implementations do not agree; Reason says how
)

// The reasons for which a signature counts as weak, as listed in SignerResult.Weak. Short RSA keys are "rsa-1024" and so on.
const (
	WeakSHA1         = "sha1"
	WeakNoAttributes = "no-signed-attributes"
)

// Flags of a SignerResult: odd, but no reason to refuse.
const (
	FlagSigningTime   = "signing-time-malformed"
	FlagUnsorted      = "attributes-unsorted"   // signed as sent, which is not DER order (RFC 5652 Section 5.4)
	FlagResorted      = "attributes-resorted"   // signed in DER order but sent in another
	FlagSeveral       = "several-certificates"  // more than one certificate fits the signer's identifier
	FlagEmbedded      = "embedded-content"      // a detached signature carries the content too
	FlagSmallExponent = "rsa-small-exponent"    // the public exponent is below 65537
	FlagOtherContent  = "content-type-not-data" // eContentType is not id-data
)

// A SignerResult is what checking one signer found.
type SignerResult struct {
	Integrity        Integrity
	Certificate      *x509.Certificate // the one that verifies; of a signer that is not intact the first that fits, or nil
	Algorithm        string            // "rsa-sha256", "rsa-pss-sha256", "ecdsa-p256-sha256", "ed25519", an OID, ...
	KeyBits          int               // 0 if unknown
	Weak             []string          // why the signature is weak although it may be intact
	Flags            []string
	SignedAttributes bool      // there are signed attributes
	SigningTime      time.Time // the signer's own word; zero if absent or malformed
	Reason           string    // why it is not Intact, in words, ASCII; "" if it is
	Steps            []string  // what was checked, in words, in order
}
