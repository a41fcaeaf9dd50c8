package dns

import "time"

// An Observer hears what a Client and a Cache do, for metrics. Both call it concurrently, the Client once for every
// question and the Cache once for every lookup; it must not block.
type Observer interface {
	// ObserveQuery is called when a question that was put to the servers has ended.
	ObserveQuery(typ string, outcome Outcome, took time.Duration)
	// ObserveLookup is called for every lookup at the cache.
	ObserveLookup(typ string, source Source)
}

// An Outcome is how a question to the servers ended.
type Outcome string

// The outcomes of a question.
const (
	OutcomeAnswer    Outcome = "answer"
	OutcomeNoData    Outcome = "nodata"
	OutcomeNXDomain  Outcome = "nxdomain"
	OutcomeTemporary Outcome = "temporary"
	OutcomeCanceled  Outcome = "canceled" // the caller's context ended first
)

// A Source is where the answer of a lookup at the cache came from.
type Source string

// The sources of an answer.
const (
	SourceHit    Source = "hit"    // an entry, positive or negative
	SourceMiss   Source = "miss"   // a question to the servers
	SourceShared Source = "shared" // a question that another lookup had already under way
	SourceStale  Source = "stale"  // an expired entry (RFC 8767)
)
