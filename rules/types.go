// Package rules decides what is done about a message. A decision is made only from what verify and scan found; it does
// no input or output, its cost is bounded, and it carries a trace that explains it.
package rules

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
	Rules       []Match // rules that fired, in evaluation order
	Headers     []HeaderField
}

// A Match is one rule that fired.
type Match struct {
	ID       string      `json:"id"`
	Title    string      `json:"title"`
	Enforced bool        `json:"enforced"` // false: monitored only
	Asked    Disposition `json:"asked"`    // the disposition the rule asks for
}

// A HeaderField is one field to add.
type HeaderField struct{ Name, Value string }
