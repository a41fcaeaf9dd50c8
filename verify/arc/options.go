package arc

import (
	"time"

	"assay/verify/dkim"
)

// Options are the limits and the local policy of a validation. The zero value is the default of every field.
type Options struct {
	// TrustedSealers are the domains (d=) whose seals this host believes, as A-labels or U-labels. A subdomain is another
	// sealer.
	TrustedSealers []string

	// MaxMessageSignatures is how many ARC-Message-Signatures are evaluated, the newest first; 0 means 10. Only the newest
	// decides about the chain (RFC 8617 Section 5.2), the others about OldestPass. Seals are always all evaluated.
	MaxMessageSignatures int

	MaxField   int            // octets of one ARC-Seal or ARC-Message-Signature; 0 means 32 KiB
	MinRSABits int            // as in dkim.Options
	ClockSkew  time.Duration  // as in dkim.Options
	Keys       *dkim.KeyCache // parsed keys, shared between messages; nil means none
	Explain    bool           // fill Verification.Steps
}

// dkim returns the options for what ARC shares with DKIM.
func (o Options) dkim() dkim.Options {
	return dkim.Options{
		MaxField:   o.MaxField,
		MinRSABits: o.MinRSABits,
		ClockSkew:  o.ClockSkew,
		Duplicates: dkim.DuplicatesAccept, // a chain says who handled a message, not what a reader is shown
		Keys:       o.Keys,
		Explain:    o.Explain,
	}
}

// withDefaults returns o with every zero limit replaced by its default.
func (o Options) withDefaults() Options {
	if o.MaxMessageSignatures <= 0 {
		o.MaxMessageSignatures = 10
	}
	if o.MaxField <= 0 {
		o.MaxField = 32 << 10
	}
	return o
}
