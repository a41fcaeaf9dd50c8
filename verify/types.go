// Package verify asks whether what a message claims is true. It runs the checks of its sub-packages side by side and
// returns their outcomes as values. It does not decide, log, or read the clock: time is Envelope.ReceivedAt and the DNS
// is an argument.
package verify

import (
	"assay/verify/arc"
	"assay/verify/authres"
	"assay/verify/dkim"
	"assay/verify/dmarc"
	"assay/verify/iprev"
	"assay/verify/message"
	"assay/verify/smime"
	"assay/verify/spf"
)

// Results are the outcomes of every check of one message. Each check has an outcome: one that failed, timed out or
// panicked is temperror or permerror with its cause.
type Results struct {
	Author  message.Author
	SPF     []spf.Verification  // HELO and MAIL FROM identities, in the order they were checked
	DKIM    []dkim.Verification // aligned and passing ones first; empty when the message carries no signature
	ARC     arc.Verification
	DMARC   dmarc.Evaluation
	IPRev   iprev.Verification
	SMIME   smime.Verification // the zero value when it was not asked for
	Auth    Auth
	Skipped Skip    // not "": the sender is trusted, so only Auth is evaluated
	Faults  []Fault // checks that panicked; their outcome is permerror
}

// Auth is the SMTP authentication of the client (RFC 4954), the "auth" method of RFC 8601.
type Auth struct {
	Result authres.Result // pass for an authenticated client, none otherwise
	User   string         // SASL identity
}

// A Skip says why the checks of inbound mail were not made.
type Skip string

// The reasons for which checks are skipped. The zero value means that they were made.
const (
	SkipAuthenticated Skip = "authenticated client" // the client logged in (RFC 4954)
	SkipNetwork       Skip = "trusted network"      // the client's address is in trust.networks
	SkipLocal         Skip = "local submission"     // submitted on this host, not received by SMTP
)
