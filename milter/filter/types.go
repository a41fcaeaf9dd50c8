// Package filter is the story of one message: verify and scan it side by side, decide, plan, observe. It is the same
// whether the message came from an MTA or from a file.
package filter

import (
	"context"
	"time"

	"assay/milter/headers"
	"assay/milter/notice"
	"assay/milter/plan"
	"assay/milter/quarantine"
	"assay/rules"
	"assay/rules/facts"
	"assay/scan"
	"assay/verify"
	"assay/verify/arc"
	"assay/verify/dns"
	"assay/verify/message"
)

// An Outcome is everything Assay found out and decided about one message.
type Outcome struct {
	Envelope     message.Envelope
	Header       message.Header   // as received
	Size         int64            // octets of the message as received, 0 if it was aborted
	Parts        int              // leaves of the MIME tree
	Defects      []message.Defect // departures from the standards
	Results      verify.Results
	Report       scan.Report
	Decision     rules.Decision
	Traces       []rules.Trace // why each rule ended as it did, if Options.Explain
	Facts        *facts.Facts  // what the rules saw, if Options.Explain
	Amendment    Amendment
	Plan         plan.Plan
	Headers      []rules.HeaderField // fields as they are added, top one first
	Removed      []headers.Removal   // inbound fields that are taken out
	Questions    []dns.Question      // DNS questions of this message, in order
	Elapsed      time.Duration       // from Begin to the plan
	Verifying    time.Duration       // of it, what the checks took after the end of the message, side by side with scanning
	Scanning     time.Duration       // of it, what the scanners took
	Deciding     time.Duration       // of it, what the rules took; 0 when they were not asked
	Unsealed     string              // why the message got no ARC set although there is a sealer, "" otherwise
	Quarantined  string              // id of the entry in the quarantine, if it was stored there
	OriginalKept string              // id of the entry with the original, if the body was changed and it is kept
	Released     string              // id of the entry that this message was released from
	Forged       string              // why a message that claims to be released was not taken for one, "" if it does not claim so
	Failure      string              // internal error because of which the message was deferred, "" for none
	Refused      bool                // by the protocol layer: a limit, a shutdown or an error; Results may be empty
	Aborted      bool                // the client or the MTA gave up before the message was complete
}

// An Observer hears of every message once, after its plan was carried out. It is called concurrently and must not
// block for long; err is not nil when the plan could not be sent.
type Observer interface {
	Observe(o *Outcome, err error)
}

// Rules decide about messages. They are called concurrently and do no I/O. *rules.Set is one.
type Rules interface {
	// DecideFrom is called once per message.
	DecideFrom(ctx context.Context, p rules.Provider) rules.Decision
	// Explain decides like DecideFrom and says why; it is called instead of it if Options.Explain.
	Explain(ctx context.Context, p rules.Provider) (rules.Decision, []rules.Trace)
}

// Options configure a Filter.
type Options struct {
	Verifier   *verify.Verifier
	Scanners   []scan.Scanner
	Rules      Rules
	Notices    *notice.Templates // nil means the English ones
	Note       NoteWhen          // when a changed message says so in its text
	Opened     bool              // delivers what was inside of a message that was encrypted and opened, if that is authenticated
	Explain    bool              // keeps the traces of rules
	Headers    headers.Options
	Sealer     *arc.Sealer // nil for none
	Quarantine Quarantine
	Observer   Observer         // nil for none
	Now        func() time.Time // measures Elapsed; nil means time.Now
}

// A Filter handles messages. It is safe for concurrent use and keeps nothing of a message.
type Filter struct{ opt Options }

// A Transaction is one message on its way through the filter. It implements milter.Pending.
type Transaction struct {
	filter   *Filter
	started  time.Time
	run      *verify.Run
	outcome  *Outcome
	redeemed *quarantine.Redeemed // the message comes from the quarantine
}
