// Package setup connects an MTA on this machine with Assay: it looks at what is there, says what it would change, changes it,
// keeps what was there, and proves with a mail of its own that mail passes through.
//
// It touches only smtpd_milters and non_smtpd_milters of Postfix, or a marked block of sendmail.mc and the lines of sendmail.cf that
// are built of it. The MTA is not pointed at a milter that does not answer, and what was changed is put back when the MTA cannot
// reach it. What was there is kept in a directory that only root can write to, and noted in a journal before anything is changed; a
// directory or a file of somebody else there is not believed.
package setup

import (
	"context"
	"errors"
	"time"

	"assay/milter"
)

// Errors that callers tell apart.
var (
	ErrNoMTA    = errors.New("neither Postfix nor Sendmail was found on this machine")
	ErrFailed   = errors.New("the change could not be made")
	ErrUnproven = errors.New("it was not proven that mail passes through Assay")
)

// A System is the machine, as far as setup looks at it or does something to it. Tests make their own.
type System struct {
	// Run runs a program to its end and returns what it printed.
	Run func(ctx context.Context, name string, args ...string) (string, error)
	// Exists reports whether a file exists.
	Exists func(path string) bool
	// Handshake returns nil when a milter answers there; network is "tcp" or "unix".
	Handshake func(ctx context.Context, network, address string) error
	// Seen asks the daemon what it decided about a message; found is false when it does not know the queue id.
	Seen func(ctx context.Context, queueID string) (decision string, found bool, err error)
	// Hangup sends SIGHUP to a process of Sendmail, and returns an error if that number is not one.
	Hangup func(pid int) error
	// Now is the time.
	Now func() time.Time
}

// Options say what is wanted. The zero value looks at Postfix or Sendmail in their usual places.
type Options struct {
	MTA       string // "postfix", "sendmail"; "" takes what is there
	Socket    string // "unix", "inet"; "" takes what fits best
	Last      bool   // Assay comes behind milters that are there, not before them
	Config    string // directory with main.cf, or path of sendmail.mc; "" for the usual one
	State     string // directory where is kept what was there
	Owner     int    // user who has to own that directory
	ProbeTo   string // recipient of the probe; "" is the user root at the MTA's name
	NoProbe   bool
	Listeners []milter.ListenAddress // of Assay's configuration
	Budget    time.Duration          // limits.time of Assay's configuration
}

// A Report is what was found and done, the JSON of "assay setup".
type Report struct {
	MTA      string   `json:"mta"`
	Version  string   `json:"mta_version"`
	Address  string   `json:"address"` // of Assay, in the MTA's notation
	Found    []Fact   `json:"found"`
	Changes  []Change `json:"changes"` // needed; Changed says whether they were made
	Notes    []string `json:"notes"`
	Problems []string `json:"problems"` // what keeps it from working
	Changed  bool     `json:"changed"`
	Restored bool     `json:"restored"` // what was changed was put back
	Kept     string   `json:"kept"`     // the copy of what was there
	Probe    Probe    `json:"probe"`
}

// A Fact is one thing that was found.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// A Change is one thing to change.
type Change struct {
	What string `json:"what"` // "smtpd_milters", "assay.socket"
	From string `json:"from"`
	To   string `json:"to"`
	Why  string `json:"why"`
}

// A Probe is what became of the mail that setup sent.
type Probe struct {
	State   ProbeState `json:"state"`
	To      string     `json:"to"`
	QueueID string     `json:"queue_id"`
	Said    string     `json:"said"`    // the last reply of the MTA
	Decided string     `json:"decided"` // by Assay
	Header  string     `json:"header"`  // X-Assay-Result of the delivered mail, if it could be read
	Mailbox string     `json:"mailbox"`
	Reason  string     `json:"reason"` // why nothing was proven
}

// A ProbeState says what a probe has proven.
type ProbeState string

// The states. The zero value means that no probe was sent.
const (
	ProbeNone        ProbeState = ""
	ProbeProven      ProbeState = "proven"      // Assay has handled the mail
	ProbeUnreachable ProbeState = "unreachable" // the MTA does not reach Assay
	ProbeRefused     ProbeState = "refused"     // the MTA has not taken the probe, for a reason of its own
	ProbeUnknown     ProbeState = "unknown"     // it could not be found out
)

// found adds a fact.
func (r *Report) found(name, value string) { r.Found = append(r.Found, Fact{name, value}) }
