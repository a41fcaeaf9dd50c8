// Package rules decides what is done about a message. A decision is made only from what verify and scan found; it does
// no input or output, its cost is bounded, and it carries a trace that explains it.
package rules

import (
	"slices"

	"assay/scan"
)

// A Disposition is what happens to a message as a whole. The zero value is Defer: whatever goes wrong, the sending side
// keeps the mail.
type Disposition int

// The dispositions. Strictness orders them.
const (
	Defer Disposition = iota // temporary refusal, the client tries again
	Deliver
	Junk
	Quarantine
	Reject
)

// An SMTPReply is the text of a refusal (RFC 5321 Section 4.2, RFC 3463). The zero value stands for the default
// text of the disposition.
type SMTPReply struct {
	Code     int    // 4yz for Defer, 5yz for Reject
	Enhanced string // "5.7.1", of the class of Code
	Text     string // may hold what a message said; the reply builder escapes it
}

// A Trust is the one-word judgement that mail clients show.
type Trust string

// The levels of trust, from best to worst.
const (
	Verified      Trust = "verified"      // authenticated and personally signed
	Authenticated Trust = "authenticated" // the domain in From is confirmed
	Unverified    Trust = "unverified"    // nothing confirms the sender, nothing contradicts it
	Suspicious    Trust = "suspicious"    // a rule has fired
	Forged        Trust = "forged"        // the domain in From is contradicted by its owner's DMARC policy
)

// A Decision is the outcome of all rules. The zero value defers the message.
type Decision struct {
	Disposition Disposition
	Reply       SMTPReply // for Defer and Reject
	Reason      string    // why, in words, for logs and for the quarantine
	Trust       Trust
	Release     Release     // for Quarantine: who may release the message, the strictest of all rules that want it kept
	Rules       []Match     // rules whose condition holds, in evaluation order, monitored ones among them
	Exempt      []Exemption // rules that an exception kept from firing
	Errors      []Failure   // rules that could not be evaluated
	Set         string      // SHA-256 of the rule set that decided, lower-case hex; "" for none

	// Modifications, in the order of the rules. They are made when the message is delivered, junked or quarantined.
	Tags    []string // put in front of the subject
	Headers []HeaderField
	Notes   []string     // sentences for the summary that people read
	HTML    []HTMLAction // at most one per level of Unwrap
	Remove  []Removal    // attachments that are replaced by a notice
	Notify  []Notification
}

// A Match is one rule whose condition holds.
type Match struct {
	ID       string      `json:"id"`
	Title    string      `json:"title"`
	Severity Severity    `json:"severity,omitempty"`
	Enforced bool        `json:"enforced"` // false: monitored only
	Asked    Disposition `json:"asked"`    // the disposition the rule asks for; Deliver if it asks for none
}

// A Severity says how serious it is that a rule fires.
type Severity string

// The severities.
const (
	Info     Severity = "info"
	Low      Severity = "low"
	Medium   Severity = "medium"
	High     Severity = "high"
	Critical Severity = "critical"
)

// An Exemption is a rule that would have fired but for one of its exceptions.
type Exemption struct {
	Rule      string `json:"rule"`
	Exception string `json:"exception"`
}

// A Failure is a rule that could not be evaluated. Unless it says otherwise (on_error) it counts as not fired.
type Failure struct {
	Rule  string `json:"rule"`
	Cause string `json:"cause"`
}

// An HTMLAction asks for HTML to be made safe.
type HTMLAction struct {
	Rule   string
	Level  scan.Level
	Unwrap bool // also parts under a signature, which does not verify any more then
}

// A Removal asks for one object to be replaced by a notice. An object inside of an archive takes the archive with it.
type Removal struct {
	Rule    string
	Section string // of the part
	Name    string // file name of the object, "" if it has none
	Reason  string // for the notice, "" for the title of the rule
	Unwrap  bool   // also under a signature
}

// Recipients is the channel that stands for the recipients of a message. No other channel has this name.
const Recipients = "recipients"

// A Notification is a message to the people behind a channel of the configuration.
type Notification struct {
	Channel string
	Rule    string
	Title   string // of the rule
}

// A HeaderField is one field to add.
type HeaderField struct{ Name, Value string }

// A Release says who may release a message from the quarantine. The zero value stands for ReleaseOperator.
type Release string

// The classes, from the laxest to the strictest.
const (
	ReleaseUser     Release = "user"     // its recipient, for himself
	ReleaseOperator Release = "operator" // whoever runs the quarantine
	ReleaseNever    Release = "never"    // nobody
)

// Valid reports whether r is one of the classes.
func (r Release) Valid() bool { return r == ReleaseUser || r == ReleaseOperator || r == ReleaseNever }

// Stricter returns the stricter of two classes. What says nothing leaves the choice to the other one.
func (r Release) Stricter(other Release) Release {
	order := []Release{"", ReleaseUser, ReleaseOperator, ReleaseNever}
	if slices.Index(order, other) > slices.Index(order, r) {
		return other
	}
	return r
}
