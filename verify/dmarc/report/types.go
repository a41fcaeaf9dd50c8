// Package report turns what DMARC found in many messages into the aggregate reports that domain owners ask for: rows into
// records, records into a document, a document into a mail (RFC 9990). It is pure: rows are kept, and mail is sent, elsewhere.
package report

import (
	"net/netip"
	"time"

	"assay/verify/authres"
	"assay/verify/dmarc"
)

// A Row is what a report says about one message, except when it came: rows that are equal are one record with a count.
// Nothing in it names a person: no local part, no recipient, no subject. Its JSON form is stable, so that it can be a key.
type Row struct {
	Policy       Policy      `json:"policy"`
	SourceIP     netip.Addr  `json:"ip"`
	Disposition  Disposition `json:"disposition"`
	DKIM         bool        `json:"dkim,omitempty"` // a signature passed for an aligned domain
	SPF          bool        `json:"spf,omitempty"`  // SPF passed for an aligned MAIL FROM domain
	Reasons      []Reason    `json:"reasons,omitempty"`
	HeaderFrom   string      `json:"header_from"`             // author domain, A-labels, lower case
	EnvelopeFrom string      `json:"envelope_from,omitempty"` // MAIL FROM domain, "" for the null reverse-path
	Signatures   []Signature `json:"signatures,omitempty"`    // at most 100
	MailFrom     *SPFResult  `json:"mail_from,omitempty"`     // nil when SPF did not look at MAIL FROM
}

// A Policy is the record of a policy domain as it was published (RFC 9990 Section 2.1, policy_published). Its report URIs are
// those of the record. Reports about one policy domain whose record changed within a day name the last one.
type Policy struct {
	Domain    string       `json:"domain"` // where the record was found, not the author domain
	P         dmarc.Policy `json:"p"`
	SP        dmarc.Policy `json:"sp,omitempty"`
	NP        dmarc.Policy `json:"np,omitempty"`
	ADKIM     string       `json:"adkim"`     // "r" or "s"
	ASPF      string       `json:"aspf"`      // "r" or "s"
	Discovery string       `json:"discovery"` // "treewalk" or "psl"
	FO        string       `json:"fo,omitempty"`
	Testing   bool         `json:"testing,omitempty"` // t=y
	URIs      []string     `json:"rua"`
}

// A Disposition is what was done with a message because of DMARC (RFC 9990 Section 2.1, ActionDispositionType).
type Disposition string

// The dispositions of RFC 9990. Pass is none for a message that passed under a policy that would have been enforced.
const (
	None       Disposition = "none"
	Pass       Disposition = "pass"
	Quarantine Disposition = "quarantine"
	Reject     Disposition = "reject"
)

// A Reason says why the disposition is not what the domain owner asks for (RFC 9990 Section 2.1, PolicyOverrideReason).
type Reason struct {
	Type    string `json:"type"` // local_policy, mailing_list, other, policy_test_mode, trusted_forwarder
	Comment string `json:"comment,omitempty"`
}

// A Signature is one DKIM signature and its result, uninterpreted with respect to DMARC.
type Signature struct {
	Domain   string         `json:"d"`
	Selector string         `json:"s"`
	Result   authres.Result `json:"result"`
	Human    string         `json:"human,omitempty"`
}

// An SPFResult is the result of SPF for MAIL FROM, uninterpreted with respect to DMARC.
type SPFResult struct {
	Domain string         `json:"domain"`
	Result authres.Result `json:"result"`
	Human  string         `json:"human,omitempty"`
}

// A Record is a row and how many messages it describes.
type Record struct {
	Row   Row
	Count int64
}

// A Period is the time that a report covers: from Begin, up to and excluding End. Daily reports cover a UTC day.
type Period struct{ Begin, End time.Time }

// Day returns the UTC day of an instant.
func Day(t time.Time) Period {
	begin := t.UTC().Truncate(24 * time.Hour)
	return Period{begin, begin.Add(24 * time.Hour)}
}
