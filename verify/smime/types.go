// Package smime verifies S/MIME signatures the way a careful mail client would, and says what was proven: that the text
// is what was signed, that the certificate leads to a root that is trusted for e-mail, that it belongs to the one mailbox
// in From, and that it was not revoked. These four are kept apart; one word sums them up.
//
// It never modifies a message. An encrypted one it opens only with Options.Keys, only if the encryption is the whole of it, and
// only to verify what is inside.
//
// RFC 8551 (S/MIME 4.0), RFC 8550 (certificates), RFC 5652 (CMS), RFC 7281 (Authentication-Results), RFC 9788 (header
// protection), RFC 5280 (certificate paths).
package smime

import (
	"crypto/x509"
	"time"

	"assay/verify/authres"
)

// A State is the verdict about the S/MIME protection of a message.
type State string

// The states, in the order in which they are decided: the first that applies is reported. The zero value means that
// nothing was evaluated.
const (
	Malformed   State = "malformed"    // permerror: not CMS, no signer, a limit, or MIME that can be read in two ways
	Altered     State = "altered"      // fail: the text is not what was signed
	Unsupported State = "unsupported"  // neutral: an algorithm or a certificate that cannot be checked here
	Incomplete  State = "incomplete"   // permerror: the certificate of the signer, or one between it and a root, is missing
	Unavailable State = "unavailable"  // temperror: out of time, an internal error, or revocation not known in mode hard
	Revoked     State = "revoked"      // fail: the certificate was revoked
	Untrusted   State = "untrusted"    // policy: no trusted root, not for e-mail, expired, not yet valid
	Weak        State = "weak"         // policy: SHA-1, short keys, no signed attributes
	Stale       State = "stale"        // policy: the signing time is not plausible
	WrongSender State = "wrong-sender" // policy: signed by somebody who is not the one author in From
	Partial     State = "partial"      // policy: only a part of the message is signed
	Verified    State = "verified"     // pass
	Encrypted   State = "encrypted"    // none: encrypted, so content and author are unknown
	CertsOnly   State = "certs-only"   // none: certificates without a signature
	Compressed  State = "compressed"   // none: compressed data without a signature, not opened
	Unsigned    State = "unsigned"     // none: no S/MIME in this message
)

// A Verification is the outcome for one message. The zero value is not a verdict.
type Verification struct {
	Result     authres.Result // none, pass, fail, policy, neutral, temperror, permerror (RFC 7281 Section 3)
	State      State
	Reason     string // why, in words; never empty unless State is Verified or Unsigned; printable ASCII
	Signed     bool   // there is a signature somewhere in the message
	Encrypted  bool   // there is encryption somewhere in the message
	Opened     bool   // the whole message was encrypted, and a key of the gateway has opened it; the verdict is about what is inside
	Whole      bool   // the signature covers the whole body
	Section    string // where the signature is, as in body.smime-part: "2", "1", "1/1"; "" without a signature
	Integrity  Integrity
	Trust      Trust
	Identity   Identity
	Revocation Revocation
	Signers    []Signer // of the outermost layer: first the one that decided, then the others in order
	Layers     []Layer  // every CMS object of the message, outermost first
	Flags      []string // stable words for what is odd but does not change the verdict: "preamble", "old-signature", ...
	Steps      []string // every step in words, if Options.Explain

	Opening *Opening `json:"-"` // what was inside, nil unless Opened
}

// An Integrity says whether the text is what was signed.
type Integrity string

// The outcomes of the cryptographic check. The zero value means that it was not made.
const (
	Intact        Integrity = "intact"
	Broken        Integrity = "broken"
	NotCheckable  Integrity = "not-checkable"
	NotApplicable Integrity = "" // nothing is signed
)

// A Trust says what the certificate leads to.
type Trust string

// The outcomes of the path validation. The zero value means that it was not made.
const (
	PublicRoot  Trust = "public"      // a root of the shipped bundle
	PrivateRoot Trust = "private"     // a root the operator configured
	SelfSigned  Trust = "self-signed" // the certificate vouches for itself
	UnknownRoot Trust = "unknown-root"
	NoPath      Trust = "incomplete" // an intermediate certificate is missing
	Expired     Trust = "expired"
	NotYetValid Trust = "not-yet-valid"
	NotForMail  Trust = "not-for-mail" // extended key usage or key usage do not allow it
	Constrained Trust = "constrained"  // a name constraint or another rule of the path forbids it
)

// Good says whether the root is trusted and everything on the way to it is in order.
func (t Trust) Good() bool { return t == PublicRoot || t == PrivateRoot }

// An Identity says whether the signer is the author.
type Identity string

// The outcomes of comparing the certificate with From. The zero value means that it was not made.
const (
	Matches   Identity = "matches"
	Differs   Identity = "differs"    // the certificate names other mailboxes
	NoMailbox Identity = "no-mailbox" // the certificate names no mailbox
	NoAuthor  Identity = "no-author"  // From does not name exactly one mailbox
)

// A Revocation says what is known about revocation.
type Revocation string

// The outcomes of asking for revocation. The zero value means that it was not asked.
const (
	RevocationGood    Revocation = "good"
	RevocationRevoked Revocation = "revoked"
	RevocationUnknown Revocation = "unknown"
	RevocationOff     Revocation = "off"
)

// A Level is what a certificate authority has validated (S/MIME Baseline Requirements Section 7.1.6.1).
type Level string

// The validation levels. The zero value means that the certificate claims none, or that its root is not a public one.
const (
	MailboxValidated      Level = "mailbox"
	OrganizationValidated Level = "organization"
	SponsorValidated      Level = "sponsor" // a person in an organization
	IndividualValidated   Level = "individual"
)

// A Signer is one SignerInfo and what is known about its certificate.
type Signer struct {
	Email        string   // the mailbox that counts: the one that matches From, else the first; "" if there is none
	Emails       []string // every mailbox of the certificate
	Name         string   // person, only if the level or a private root vouches for it
	Organization string   // likewise
	Subject      string   // distinguished name (RFC 4514)
	Issuer       string   // distinguished name of the issuer (RFC 4514)
	Root         string   // common name of the root the path ends in, "" without a path
	Serial       string   // upper-case hex
	Fingerprint  string   // SHA-256 of the certificate, lower-case hex
	Level        Level
	Generation   string // "strict", "multipurpose" or "legacy"; "" without a level
	Qualified    string // what qcStatements claim, in words; "" for nothing
	Algorithm    string // "rsa-sha256", "rsa-pss-sha256", "ecdsa-p256-sha256", "ed25519", ...
	KeyBits      int
	NotBefore    time.Time
	NotAfter     time.Time
	SigningTime  time.Time // the signer's own word; zero if absent
	Integrity    Integrity
	Trust        Trust
	Identity     Identity
	Revocation   Revocation
	RevokedAt    time.Time
	Reason       string   // why this signer is not good, "" if it is
	Path         []string // subjects from the signer to the root

	// Certificate is that of the signer, nil if it is not known. Signers of a message that is Verified may be harvested.
	Certificate *x509.Certificate `json:"-"`
}

// A Layer is one CMS object in the message.
type Layer struct {
	Section string // IMAP section, inner CMS objects joined by "/"
	Kind    string // "signed", "enveloped", "auth-enveloped", "compressed", "certs-only", "encrypted-data", ...
	Detail  string // algorithms or what is wrong with it, for people
}
