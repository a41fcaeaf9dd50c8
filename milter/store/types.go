// Package store keeps the rows of DMARC aggregate reports (RFC 9990) until the reports are sent, and what became of the reports:
// one SQLite file that the daemon fills and that commands beside it read and send from, at the same time.
//
// A store never delays mail: [Store.Add] works in memory, and what the disk does not take is kept for a while, then dropped and
// counted. It is bounded in rows and octets, because senders choose what stands in rows. It neither makes reports, nor sends
// them, nor asks the DNS.
//
// # What a crash loses
//
// Rows are written once a second. A process that is killed loses the last second of them. A day whose report was begun takes no
// more rows. A report that was handed over, while the note of it was lost in a crash, is handed over again with the same
// report id and the same content, so that its reader can tell; one that is noted as sent is never sent again.
package store

import (
	"errors"
	"time"

	"assay/verify/dmarc/report"
)

// Options says where a store is and what bounds it.
type Options struct {
	Path string // the file, whose directory exists; SQLite makes two more beside it

	// Existing is for commands beside the daemon: a file that is missing, or cannot be used, is an error of Open, and one
	// that is corrupt is left to the daemon, which sets it aside. Without it, Open fails for wrong options only.
	Existing bool

	Now       func() time.Time // time.Now if nil
	Interval  time.Duration    // rows are written that often; 1 second if 0
	Retention time.Duration    // rows are kept that long after their day, sent or not; 3 days if 0
	Log       time.Duration    // what became of reports is kept that long after their day; 30 days if 0, at least Retention

	// Rows that are new are dropped and counted when one of these is reached; those that are there go on counting.
	MaxRows       int64 // distinct rows; 1,000,000 if 0
	MaxReportRows int64 // distinct rows of one policy domain and day, so that one domain cannot take all; 100,000 if 0
	MaxBytes      int64 // octets of the file; 1 GiB if 0

	// Observe, if not nil, is told how writing goes: an error when rows cannot be written or when a file was set aside, once
	// a minute as long as it stays the same, and nil when rows are written again. It is called once at a time, and must not
	// call the store, but for Stats.
	Observe func(error)
}

// Settle is how long after midnight the last rows of a day may come: those of messages that were being looked at.
const Settle = 10 * time.Minute

// The errors that callers distinguish.
var (
	ErrBusy       = errors.New("store: another process is sending reports")
	ErrClosed     = errors.New("store: closed")
	ErrNotFound   = errors.New("store: there is no such entry")
	ErrFinal      = errors.New("store: the delivery has ended already")
	ErrNotDue     = errors.New("store: the next attempt is not due yet")
	ErrSuppressed = errors.New("store: no reports are to be sent there")
)

// Stats counts what became of rows since the store was opened by this process.
type Stats struct {
	Added   int64           // calls of Add: the sum of the others
	Written int64           // messages whose rows are on the disk
	Waiting int64           // messages whose rows are in memory
	Ignored int64           // messages about domains that ask for no reports
	Dropped map[Cause]int64 // messages whose rows were lost
}

// A Cause says why a row was dropped.
type Cause string

// The causes.
const (
	CauseMemory  Cause = "memory"  // the disk takes no rows, or not fast enough, and there is no more room in memory
	CauseRows    Cause = "rows"    // MaxRows or MaxReportRows
	CauseBytes   Cause = "bytes"   // MaxBytes
	CauseLate    Cause = "late"    // the report of the day was begun already, or is too old
	CauseInvalid Cause = "invalid" // no policy domain, or a row of more than 64 KiB
	CauseClosed  Cause = "closed"  // still in memory when the store was closed, or added after that
)

// A Pending is a report that is due: of a day that is over, about a policy domain whose last record asks for reports.
type Pending struct {
	Domain   string
	Period   report.Period
	Policy   report.Policy // the last one of the day
	Rows     int64
	Messages int64
	ReportID string // "" until it is sealed
}

// A Report is what is sent about one policy domain and day.
type Report struct {
	Domain    string
	Period    report.Period
	ID        string
	Addresses []string // where it is to be sent
}

// A State is how far the delivery of a report to an address is. The zero value is none.
type State string

// The states. All but Waiting are final.
const (
	Waiting    State = "waiting"    // to be tried, again or for the first time
	Sent       State = "sent"       // the MTA has taken it
	Failed     State = "failed"     // it cannot be sent, and another attempt would not help
	Suppressed State = "suppressed" // a suppression forbids it
	Refused    State = "refused"    // the destination has not agreed to get reports about this domain (RFC 9990 Section 3)
	Expired    State = "expired"    // the retention ended before an attempt succeeded
)

// A Delivery is what is known about sending a report to one address.
type Delivery struct {
	Domain   string        `json:"domain"`
	Period   report.Period `json:"period"`
	Address  string        `json:"address"`
	ReportID string        `json:"report_id"`
	State    State         `json:"state"`
	Attempts int           `json:"attempts"`
	Next     time.Time     `json:"next,omitzero"` // not before; while it waits
	Changed  time.Time     `json:"changed"`       // the last attempt, or its end
	Error    string        `json:"error,omitempty"`
}

// An Outcome is how an attempt ended. Waiting means that it failed and is to be tried again.
type Outcome struct {
	State State
	Error string // "" for Sent
}

// A Suppression names where no reports go to: an address, a domain, or everything below a domain ("*.example.net"). A domain
// means its addresses, and the reports about it.
type Suppression struct {
	Pattern string    `json:"pattern"`
	Reason  string    `json:"reason"`
	Added   time.Time `json:"added"`
}

// Removed counts what an Expire has removed.
type Removed struct {
	Rows       int64 `json:"rows"`
	Expired    int64 `json:"expired"`    // deliveries that were given up
	Deliveries int64 `json:"deliveries"` // entries of the log
	Bytes      int64 `json:"bytes"`      // by which the file became smaller
}

// A Status describes a store, for people.
type Status struct {
	Rows       int64           `json:"rows"`
	Days       []DayStatus     `json:"days"`       // oldest first
	Pending    int64           `json:"pending"`    // reports that could be sent now
	Open       int64           `json:"open"`       // reports of days that are not over
	Deliveries map[State]int64 `json:"deliveries"` // in the log
	Dropped    map[Cause]int64 `json:"dropped"`    // messages, within the time of the log
	Suppressed int64           `json:"suppressed"` // suppressions
	Oldest     time.Time       `json:"oldest,omitzero"`
	Bytes      int64           `json:"bytes"`            // on the disk, with what SQLite keeps beside the file
	Sender     string          `json:"sender,omitempty"` // who is sending now
}

// A DayStatus describes the rows of one UTC day.
type DayStatus struct {
	Period   report.Period `json:"period"`
	Domains  int64         `json:"domains"`
	Rows     int64         `json:"rows"`
	Messages int64         `json:"messages"`
}
