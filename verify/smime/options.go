package smime

import (
	"crypto/x509"
	"time"

	"assay/verify/message"
	"assay/verify/smime/cms"
	"assay/verify/smime/envelope"
	"assay/verify/smime/pki"
)

// A RevocationMode says what an unknown revocation status means.
type RevocationMode string

// The modes. The zero value is RevocationSoft.
const (
	RevocationSkip RevocationMode = "off"  // nobody is asked
	RevocationSoft RevocationMode = "soft" // unknown is as good as not revoked, and said to be unknown
	RevocationHard RevocationMode = "hard" // unknown is Unavailable
)

// Options configure a Verifier. The zero value is useful but trusts nobody: without a Validator there is no root.
// What a certificate has to say about its use (extended key usage) is up to the Validator.
type Options struct {
	Validator *pki.Validator // paths and revocation; nil trusts nothing
	// Certificates are known certificates of correspondents, for signatures that come without.
	Certificates []*x509.Certificate
	// Keys open messages that are encrypted as a whole; nil opens none.
	Keys           *envelope.Keys
	Revocation     RevocationMode
	RevocationTime time.Duration // how long all network questions about one message may take; 0 means 2 seconds
	NoFetch        bool          // the network is never asked, whatever the Validator could
	DNEmail        pki.DNEmail   // when mailboxes in the subject count
	Explain        bool          // fill Verification.Steps
	Limits         Limits
}

// Limits bound what one message may cost. The zero value means the documented defaults. A message beyond a limit is
// Malformed, or Partial where more layers than Objects are found; the reason says which limit it was.
type Limits struct {
	CMS     cms.Limits     // of each object
	Message message.Limits // of the entity inside of an opaque signature
	Layers  int            // objects inside one another; default 4
	Objects int            // objects beside one another; default 8
}

const (
	defaultTime    = 2 * time.Second
	defaultLayers  = 4
	defaultObjects = 8
	defaultCMSSize = 30 << 20
)

// withDefaults returns o with every unset limit set.
func (o Options) withDefaults() Options {
	if o.RevocationTime <= 0 {
		o.RevocationTime = defaultTime
	}
	setDefault(&o.Limits.Layers, defaultLayers)
	setDefault(&o.Limits.Objects, defaultObjects)
	setDefault(&o.Limits.CMS.Size, defaultCMSSize) // the same as there: it bounds what is read before
	return o
}

func setDefault(limit *int, value int) {
	if *limit <= 0 {
		*limit = value
	}
}
