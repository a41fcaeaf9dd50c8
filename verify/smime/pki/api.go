package pki

import (
	"context"
	"crypto/x509"
)

// A Store holds trust anchors and intermediate certificates. Fill it before the first use; then it does not change.
type Store struct {
	anchors       []*Anchor
	intermediates []*x509.Certificate
}

// NewStore returns the bundle of public roots, if public, with the roots and intermediates of files and directories.
// Every file that cannot be read or holds no certificate is named in the error; the store then has everything else.
func NewStore(public bool, roots, intermediates []string) (*Store, error) { return &Store{}, nil }

// AddAnchor adds a trust anchor.
func (s *Store) AddAnchor(a *Anchor) { s.anchors = append(s.anchors, a) }

// AddIntermediate adds a certificate that helps to build paths and is not trusted by itself.
func (s *Store) AddIntermediate(c *x509.Certificate) { s.intermediates = append(s.intermediates, c) }

// Anchors returns every trust anchor.
func (s *Store) Anchors() []*Anchor { return s.anchors }

// A Loaded certificate and the file it came from.
type Loaded struct {
	Certificate *x509.Certificate
	File        string
}

// LoadFiles reads certificates, PEM or DER, from files and from the files of directories (*.pem, *.crt, *.cer, *.der).
func LoadFiles(paths []string) ([]Loaded, error) { return nil, nil }

// A Validator validates paths. It is safe for concurrent use.
type Validator struct {
	store *Store
	o     Options
}

// New returns a Validator over a store.
func New(store *Store, o Options) *Validator { return &Validator{store, o} }

// Close ends what is still being fetched.
func (v *Validator) Close() {}

// Path finds the best path of a certificate.
func (v *Validator) Path(ctx context.Context, q Query) Result {
	return Result{Trust: Unsupported, Path: []*x509.Certificate{q.Leaf}}
}

// Revocation asks whether a certificate of a path was revoked. It never says Valid without a signed answer that was
// valid at q.At.
func (v *Validator) Revocation(ctx context.Context, q RevocationQuery) Revocation {
	return Revocation{Status: Unknown, Reason: "nothing is known"}
}

// A DNEmail says when mailboxes that stand in the subject only count as identities.
type DNEmail string

// The policies about mailboxes in the subject.
const (
	DNPrivate DNEmail = "" // below private roots
	DNAlways  DNEmail = "always"
	DNNever   DNEmail = "never"
)

// Allowed says whether mailboxes in the subject count for a certificate of this trust.
func (p DNEmail) Allowed(t Trust) bool {
	return p == DNAlways || p == DNPrivate && t != Public
}

// Mailboxes returns the mailboxes a certificate names in its subjectAltName. If that names none and subject is set, it
// returns those of the subject. What is no mailbox (controls, spaces, no "@") is left out.
func Mailboxes(c *x509.Certificate, subject bool) []Mailbox { return nil }

// Matches compares the mailbox with an address. The domain of the address may be in U-labels or A-labels and in any case.
func (m Mailbox) Matches(local, domain string) Match { return NoMatch }

// QualityOf returns what a certificate proves, given what it leads to. Below anything but a public root policies prove
// nothing; below a private root the names are those the operator's own authority gave.
func QualityOf(c *x509.Certificate, t Trust) Quality { return Quality{} }

// DN formats a distinguished name in DER as RFC 4514 has it, last RDN first. Everything that could be taken for syntax
// in a header field, controls, and everything outside of ASCII is written as hex pairs, so the result is safe in logs,
// comments and quoted strings (where its backslashes have to be quoted). It is at most 200 octets long.
func DN(raw []byte) string { return "" }

// HarvestName returns the file name under which the certificate of a correspondent is kept: the mailbox in a form safe
// for file systems and LDIF, and the beginning of the fingerprint.
func HarvestName(c *x509.Certificate) string { return "" }

// Harvest writes a certificate into a directory as PEM, unless it is there already. Readers never see half a file.
func Harvest(dir string, c *x509.Certificate) error { return nil }
