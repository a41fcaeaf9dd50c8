// Package filter is the story of one message: verify and scan it side by side, decide, plan, observe. It is the same
// whether the message came from an MTA or from a file.
package filter

import (
	"time"

	"assay/milter/plan"
	"assay/rules"
	"assay/scan"
	"assay/verify"
	"assay/verify/dns"
	"assay/verify/message"
)

// An Outcome is everything Assay found out and decided about one message.
type Outcome struct {
	Envelope  message.Envelope
	Size      int64 // octets of the message as received
	Parts     int   // leaves of the MIME tree
	Results   verify.Results
	Findings  []scan.Finding
	Decision  rules.Decision
	Plan      plan.Plan
	Headers   []rules.HeaderField // fields as they are added, top one first, values unfolded by nobody
	Removed   []RemovedField      // inbound fields that are taken out
	Questions []dns.Question      // DNS questions of this message, in order
	Elapsed   time.Duration       // from Begin to the plan
	Failure   string              // internal error that made the message be deferred, "" for none
}

// A RemovedField is one inbound header field that a plan deletes, and why.
type RemovedField struct {
	Name   string
	Nth    int
	Reason string
}

// An Observer hears of every message once, after its plan was carried out. It is called concurrently and must not
// block; err is not nil when the plan could not be sent or the client went away.
type Observer interface {
	Observe(o *Outcome, err error)
}
