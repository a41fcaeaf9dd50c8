// Package pki answers what the certificate of a signer is worth: which root it leads to, what it may be used for, which
// mailboxes it names, how carefully its issuer checked them, and whether it was revoked. It knows nothing of messages.
//
// Time is an argument everywhere and the network is an interface: without a Fetcher nothing is ever fetched. Package
// fetch beside this one implements both interfaces.
//
// RFC 5280 (certificates, paths and CRLs), RFC 6960 and RFC 5019 (OCSP), RFC 8550 (S/MIME certificates), RFC 9598 and
// RFC 9549 (internationalised mailboxes), CA/Browser Forum S/MIME Baseline Requirements (SBR), ETSI EN 319 412-5.
package pki

import (
	"context"
	"crypto/x509"
	"time"

	"assay/verify/smime/cms"
)

// A Trust says what a certificate leads to. Only Public and Private are good.
type Trust string

// The outcomes of path validation. The zero value means that it was not made and is not good.
const (
	Public      Trust = "public"        // a root of the bundle
	Private     Trust = "private"       // a root the operator configured
	Weak        Trust = "weak"          // a trusted root, but over a short key or a SHA-1 signature
	Expired     Trust = "expired"       // would be Public, Private or Weak at another time
	NotYetValid Trust = "not-yet-valid" // likewise
	Constrained Trust = "constrained"   // a name constraint, a policy or another rule of the path forbids it
	NotForMail  Trust = "not-for-mail"  // key usage or extended key usage do not allow it
	Unsupported Trust = "unsupported"   // an algorithm or a critical extension that is not known here
	UnknownRoot Trust = "unknown-root"
	Incomplete  Trust = "incomplete" // the certificate of an issuer is missing
	SelfSigned  Trust = "self-signed"
)

// Good says whether the certificate may vouch for a signature.
func (t Trust) Good() bool { return t == Public || t == Private }

// An Anchor is a certificate that is trusted by decision.
type Anchor struct {
	Certificate   *x509.Certificate
	Public        bool      // from the bundle; else configured by the operator
	Label         string    // name in the bundle, or the file it came from
	DistrustAfter time.Time // certificates issued later are not trusted; zero for none
}

// Name returns what people call the anchor: its common name, else its organization, else its label.
func (a *Anchor) Name() string {
	switch s := a.Certificate.Subject; {
	case s.CommonName != "":
		return s.CommonName
	case len(s.Organization) > 0:
		return s.Organization[0]
	}
	return a.Label
}

// A Query asks for the path of one certificate.
type Query struct {
	Leaf  *x509.Certificate
	Pool  []*x509.Certificate // certificates that came with the message, in any order
	At    time.Time           // when the message was received
	Fetch bool                // missing issuers may be fetched; set it only after the signature was found good
	Work  *cms.Work           // what all questions about a message may cost together; nil gives each its own
}

// A Result is what the path of a certificate is worth.
type Result struct {
	Trust   Trust
	Reason  string              // why Trust is not good, in words; "" if it is
	Path    []*x509.Certificate // from the leaf to the root, or as far as it leads; never empty, and shared: not to be changed
	Root    *Anchor             // where Path ends; nil if that is no anchor
	Missing string              // for Incomplete and UnknownRoot: the issuer that was not found, as RFC 4514
	Pending bool                // an issuer is still being fetched: the same question may have another answer later
}

// A Status says what is known about revocation.
type Status string

// The outcomes of asking for revocation. The zero value means that it was not asked.
const (
	Valid   Status = "good"
	Revoked Status = "revoked"
	Unknown Status = "unknown"
)

// A RevocationQuery asks whether the certificates of a validated path were revoked.
type RevocationQuery struct {
	Path  []*x509.Certificate // Result.Path of a good Result
	At    time.Time
	CRLs  [][]byte // DER, as they came with the message
	OCSP  [][]byte // DER of OCSPResponse, as they came with the message
	Fetch bool     // CRLs and OCSP responses may be fetched; set it only after the signature was found good
}

// A Revocation is what is known about the revocation of a path. The worst of its certificates counts.
type Revocation struct {
	Status  Status
	Reason  string            // in words; "" if Status is Valid
	At      time.Time         // for Revoked: since when
	Subject *x509.Certificate // for Revoked and Unknown: the certificate that Status is about
	Source  string            // "crl" or "ocsp": what answered for the leaf; "" if nothing did
	Pending bool              // an answer is still being fetched
}

// A Fetcher gets what certificates point to. It is called concurrently, and has to guard against addresses a stranger
// chose. An error means that nothing is known. Answers over limit octets are errors.
type Fetcher interface {
	Fetch(ctx context.Context, url string, limit int64) ([]byte, error)
}

// A Cache keeps what was fetched, over restarts. It is called concurrently and may forget anything at any time. What it
// returns is checked as if it came from the network.
type Cache interface {
	Get(key string) ([]byte, bool)
	Put(key string, data []byte)
}

// An EKUPolicy says when a certificate has to name e-mail protection among its extended key usages to be for mail.
// Certificates that name other usages only are never for mail.
type EKUPolicy string

// The policies about extended key usage.
const (
	EKUPublic EKUPolicy = ""       // below public roots, as SBR Section 7.1.2.3 f has it
	EKUAlways EKUPolicy = "always" // below every root
	EKUNever  EKUPolicy = "never"
)

// Options configure a Validator. The zero value is useful.
type Options struct {
	RequireEKU EKUPolicy
	MinRSABits int           // smallest RSA modulus that is not Weak; 0 means 2048
	Grace      time.Duration // how long after its nextUpdate a CRL or OCSP response counts; 0 means 6 hours, < 0 none
	Budget     time.Duration // how long one call may wait for the network; 0 means 2 seconds
	Background time.Duration // how long a fetch may go on after its caller went on; 0 means 1 minute
	Hosts      []string      // hosts that may be asked before any trusted certificate pointed to them
	CachedPath int           // good paths that are remembered; 0 means 4096
	CachedCRL  int           // entries of CRLs held in memory at 16 octets; 0 means 2,000,000
	Fetcher    Fetcher       // nil: nothing is fetched
	Cache      Cache         // nil: nothing is kept over a restart
}

// A MailboxSource says where in a certificate a mailbox stands.
type MailboxSource string

// The places of mailboxes.
const (
	FromRFC822  MailboxSource = "rfc822Name"      // RFC 5280 Section 4.2.1.6
	FromUTF8    MailboxSource = "SmtpUTF8Mailbox" // RFC 9598
	FromSubject MailboxSource = "subject e-mail"  // emailAddress attribute of the subject, RFC 5280 Section 4.1.2.6
)

// A Mailbox is one mailbox a certificate names.
type Mailbox struct {
	Local  string // local part, as the certificate has it
	Domain string // in lower case and as A-labels
	Source MailboxSource
}

// String returns the address.
func (m Mailbox) String() string { return m.Local + "@" + m.Domain }

// A Match says how a mailbox of a certificate compares with an address.
type Match string

// The outcomes of comparing mailboxes. The zero value is no match.
const (
	NoMatch   Match = ""
	CaseMatch Match = "case" // only the case of the local part differs
	FullMatch Match = "full"
)

// A Level is what a certificate authority has validated (SBR Section 7.1.6.1).
type Level string

// The validation levels. The zero value means that none is proven.
const (
	MailboxValidated      Level = "mailbox"
	OrganizationValidated Level = "organization"
	SponsorValidated      Level = "sponsor" // a person in an organization
	IndividualValidated   Level = "individual"
)

// A Quality is what a certificate proves about its holder beyond the mailbox.
type Quality struct {
	Level        Level
	Generation   string // "legacy", "multipurpose" or "strict"; "" without a level
	Name         string // the person, "" unless the level or a private root vouches for it
	Organization string // likewise
	Qualified    string // what the certificate claims to be by EU law, in words; "" for nothing
}
