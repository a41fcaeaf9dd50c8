// Package headers says in header fields what was found out about a message: one Authentication-Results field for
// programs, one line that a person reads, and one line for filters in mail clients. It also decides which inbound
// fields may not stay because they could be mistaken for ours. It is pure.
//
// RFC 8601 (Authentication-Results), RFC 2047 (encoded words), RFC 5322 Section 2.2.3 (folding).
package headers

import (
	"net/netip"

	"assay/rules"
	"assay/scan"
	"assay/verify"
	"assay/verify/message"
)

// A Language selects the words of the summary.
type Language string

// The languages a summary is written in. The zero value is English.
const (
	English Language = "en"
	German  Language = "de"
)

// A Strip says which inbound Authentication-Results fields are removed.
type Strip string

// The ways to strip. The zero value is StripAll. A field whose authserv-id cannot be read with certainty is removed by
// every one of them, because mail clients have been seen to trust it.
const (
	StripAll  Strip = "all"  // every field, whoever it names
	StripOwn  Strip = "own"  // fields that name our authserv-id (RFC 8601 Section 5)
	StripList Strip = "list" // fields that name our authserv-id or one of Options.StripIDs
)

// DefaultPrefix begins the names of Assay's own fields.
const DefaultPrefix = "X-Assay"

// DefaultMaxRemovals is how many inbound fields are removed from one message; the MTAs' cost of deleting is quadratic.
const DefaultMaxRemovals = 100

// Options configure what is written and removed. The zero value is useful.
type Options struct {
	AuthservID string         // "" takes the name of the receiving MTA
	Prefix     string         // of our own fields; "" means DefaultPrefix
	Language   Language       // of the summary
	NoSummary  bool           // leaves out the summary
	NoResult   bool           // leaves out the machine line
	Strip      Strip          // which Authentication-Results fields are removed
	StripIDs   []string       // for StripList
	Upstream   []netip.Prefix // relays whose Authentication-Results fields stay if they name one of UpstreamIDs
	// UpstreamIDs are the authserv-ids that Upstream relays may assert.
	UpstreamIDs []string
	// MaxRemovals bounds how many Authentication-Results fields are removed from one message, and how many others;
	// more make it hostile. 0 means DefaultMaxRemovals.
	MaxRemovals int
}

// A Subject is what the fields are about.
type Subject struct {
	Envelope *message.Envelope
	Results  verify.Results
	Decision rules.Decision
	Changed  []string // what a plan changes in the message besides adding fields: "subject", "html"
	Original string   // SHA-256 of the message as received, when its body is changed
	// Unscanned are the classes of what nobody could look into, Virus what the virus scanners say.
	Unscanned []string
	Virus     scan.VirusState
}

// A Content is what was taken out of the text and the attachments.
type Content struct {
	Level    scan.Level // "" when no HTML was changed
	Removed  map[scan.Kind]int
	Sections []string // of changed parts
	Files    int      // attachments that were replaced by a notice
	Kept     int      // parts that a rule wanted changed and that stay, because they are signed
}
