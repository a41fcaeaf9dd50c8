package dkim

import (
	"time"

	"assay/verify/dns"
	"assay/verify/message"
)

// Options are the limits and the local policy of a verification. The zero value is the default of every field.
type Options struct {
	// PreferDomains are the domains whose signatures matter most, usually those of the author. When there are more
	// signatures than limits allow, those by these domains and by their parents and children are taken first, and results
	// are listed in that order. Nil means the domains of From.
	PreferDomains []string

	MaxSignatures int // signatures evaluated; 0 means 10
	MaxParsed     int // signatures looked at to choose from; 0 means 25
	MaxField      int // octets of one signature field; 0 means 32 KiB
	MaxNames      int // names in h=; 0 means 100
	MaxKeyRecord  int // octets of one key record; 0 means 4096
	MaxKeyRecords int // records at one key name that are tried; 0 means 4

	// MinRSABits is the modulus length below which a valid signature is reported as policy. Less than 1024 bits is
	// permerror at all times (RFC 8301 Section 3.2), so only higher values have an effect.
	MinRSABits int

	// ClockSkew is by how much clocks may differ before x= or t= is held against a signature; 0 means five minutes, less
	// than 0 none.
	ClockSkew time.Duration

	Length     LengthRule    // what to make of valid signatures with l=
	Duplicates DuplicateRule // what to make of valid signatures when a field that must be unique is not
	Future     FutureRule    // what to make of valid signatures from the future
	Keys       *KeyCache     // parsed keys, shared between messages; nil means none
	Explain    bool          // fill Verification.Steps

	inline bool // look up the first key where it is waited for: there is nothing to do side by side
}

// A LengthRule says what to make of a valid signature with l=. Anyone can append to a body that is signed in part, so
// RFC 6376 Section 8.2 lets a verifier disregard it.
type LengthRule uint8

// The rules for l=.
const (
	LengthPolicy LengthRule = iota // result policy
	LengthWhole                    // accepted if l= covers the whole canonical body, policy otherwise
	LengthAccept                   // accepted
)

// A DuplicateRule says what to make of a valid signature that covers fewer instances of a header field than there are,
// when RFC 5322 Section 3.6 or MIME allow only one. A reader may be shown the instance that is not covered (RFC 6376
// Section 8.15).
type DuplicateRule uint8

// The rules for duplicated fields.
const (
	DuplicatesPolicy DuplicateRule = iota // result policy
	DuplicatesAccept                      // accepted
)

// A FutureRule says what to make of a valid signature whose t= lies in the future, which a verifier may ignore (RFC 6376
// Section 3.5).
type FutureRule uint8

// The rules for signatures from the future.
const (
	FutureAccept FutureRule = iota // accepted
	FuturePolicy                   // result policy
)

// withDefaults returns o with every zero limit replaced by its default.
func (o Options) withDefaults() Options {
	set := func(v *int, def int) {
		if *v <= 0 {
			*v = def
		}
	}
	set(&o.MaxSignatures, 10)
	set(&o.MaxParsed, 25)
	set(&o.MaxField, 32<<10)
	set(&o.MaxNames, 100)
	set(&o.MaxKeyRecord, 4<<10)
	set(&o.MaxKeyRecords, 4)
	o.MinRSABits = max(o.MinRSABits, minRSABits)
	if o.ClockSkew == 0 {
		o.ClockSkew = 5 * time.Minute
	}
	return o
}

// skew returns ClockSkew as a duration to add.
func (o Options) skew() time.Duration { return max(o.ClockSkew, 0) }

// preferred returns the domains of PreferDomains, or those of the author.
func (o Options) preferred(h message.Header) []string {
	var domains []string
	for _, d := range o.PreferDomains {
		if a, err := dns.Canonical(d); err == nil {
			domains = append(domains, a)
		}
	}
	if o.PreferDomains != nil {
		return domains
	}
	for _, m := range h.Author().Mailboxes {
		domains = append(domains, m.Domain)
	}
	return domains
}
