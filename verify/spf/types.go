// Package spf evaluates the Sender Policy Framework: may this client send for the domain it names? It decides nothing
// beyond that. A check that cannot be finished is temperror or permerror, never none.
//
// RFC 7208.
package spf

import (
	"net/netip"
	"time"

	"assay/verify/authres"
)

// An Identity is the name that was checked (RFC 7208 Section 2.2).
type Identity string

// The two identities of RFC 7208.
const (
	MailFrom Identity = "mailfrom" // reverse-path; for the null reverse-path postmaster@HELO (Section 2.4)
	Helo     Identity = "helo"     // Section 2.3
)

// An Input is what one evaluation of check_host() is about (RFC 7208 Section 4.1).
type Input struct {
	IP       netip.Addr
	Helo     string
	MailFrom string // reverse-path without angle brackets, "" for the null reverse-path
	Identity Identity
}

// A Verification is the outcome of one check. It is a value: what it means is for the rules to say.
//
// Mechanism and RecordAt name the directive that decided. For an include that matched and whose own qualifier is "+"
// that is the directive inside the included record, because it says more: "ip4:192.0.2.0/24" of _spf.example.net.
type Verification struct {
	Result      authres.Result
	Identity    Identity
	Domain      string   // the domain whose policy was evaluated, A-labels, lower case; "" if the identity names none
	Sender      string   // local-part@domain that was checked
	Mechanism   string   // the directive that matched, as written in the record; "" if none did
	RecordAt    string   // domain of the record that holds the matching directive (include, redirect)
	Record      string   // the policy record found at Domain, "" if none
	Explanation string   // exp= text for fail, macro-expanded (Section 6.2); "" if none. The domain owner's words
	Reason      string   // why, in words; never empty unless Result is pass
	Lookups     int      // terms that cause DNS lookups, of at most 10 (Section 4.6.4)
	Voids       int      // terms whose lookups were void, of at most 2 (Section 4.6.4)
	Queries     int      // questions put to the resolver
	Steps       []string // every step in words, if Options.Explain
}

// Options are the circumstances and limits of an evaluation. The zero value is ready to use.
type Options struct {
	// Timeout bounds the whole evaluation; exceeding it is temperror. 0 means 20 s, the least that RFC 7208 Section 4.6.4
	// recommends to allow.
	Timeout time.Duration
	// MaxLookups bounds the terms that cause DNS lookups; exceeding it is permerror. 0 means 10, which RFC 7208 Section
	// 4.6.4 demands.
	MaxLookups int
	// MaxVoids bounds the terms whose lookups find nothing; exceeding it is permerror. 0 means 2, negative means that not
	// one is allowed.
	MaxVoids int
	// MaxQueries bounds the questions put to the resolver, because MaxLookups alone allows more than a hundred of them
	// ("mx" and "ptr"). Exceeding it is temperror: it is our limit, not a fault of the record. 0 means 40.
	MaxQueries int
	// MaxRecord is the longest record in octets; a longer one is permerror. 0 means 16384, which is far beyond what fits
	// into an answer that reaches everyone (RFC 7208 Section 3.4).
	MaxRecord int
	// MaxExplanation is the longest explanation in octets; a longer one is dropped. 0 means 1024.
	MaxExplanation int
	// NoExplanation says not to fetch explanations, which saves a DNS query for each fail.
	NoExplanation bool

	// At is the instant of the evaluation, for the macro %{t}.
	At time.Time
	// Receiver is the name of the receiving host, for the macro %{r}; "" means "unknown".
	Receiver string
	// Explain fills Verification.Steps.
	Explain bool
}

// withDefaults returns o with every zero limit replaced by its default.
func (o Options) withDefaults() Options {
	if o.Timeout <= 0 {
		o.Timeout = 20 * time.Second
	}
	if o.MaxLookups <= 0 {
		o.MaxLookups = 10
	}
	if o.MaxVoids == 0 {
		o.MaxVoids = 2
	}
	if o.MaxQueries <= 0 {
		o.MaxQueries = 40
	}
	if o.MaxRecord <= 0 {
		o.MaxRecord = 16 << 10
	}
	if o.MaxExplanation <= 0 {
		o.MaxExplanation = 1024
	}
	if o.Receiver == "" {
		o.Receiver = "unknown"
	}
	return o
}
