package store

import (
	"encoding/json"
	"maps"
	"strings"
	"time"

	"assay/verify/dmarc/report"
)

// Bounds of what is in memory. A row of the greatest number of signatures with the longest names still fits.
const (
	maxMemory = 16 << 20 // octets of rows that wait to be written; as many may be in a write that goes on
	maxRow    = 64 << 10 // octets of one row
	maxDomain = 253      // octets of a domain name
	rowCost   = 128      // octets that a row takes besides its text
	wakeAfter = 500      // distinct rows that are written without waiting for the time
)

// A batch is what waits to be written: rows of which there are many are one.
type batch struct {
	days     map[dayKey]*dayRows
	rows     int             // distinct
	size     int             // octets, about
	messages int64           // what all rows count
	dropped  map[Cause]int64 // not yet noted in the file
}

// A dayKey is what one report is about.
type dayKey struct {
	domain string
	begin  int64 // of the UTC day, Unix time
}

// A dayRows is what has come about one policy domain and day.
type dayRows struct {
	policy string // JSON
	asks   bool   // for reports
	seen   int64  // when the policy was seen, Unix milliseconds
	rows   map[string]int64
}

func newBatch() *batch {
	return &batch{days: map[dayKey]*dayRows{}, dropped: map[Cause]int64{}}
}

// A dayRow is a row as it is stored: without its policy, which is that of the day.
type dayRow struct {
	report.Row
	Policy *struct{} `json:"policy,omitempty"` // hides that of Row
}

// Add counts a message that came at an instant. It takes microseconds, whatever the disk does, and keeps nothing of the memory
// of the row. A row whose policy asks for no reports says only that, and is not kept.
func (s *Store) Add(at time.Time, row report.Row) {
	policy, text, ok := encode(row)
	s.in.Lock()
	defer s.in.Unlock()
	s.stats.Added++
	switch {
	case !ok:
		s.lose(CauseInvalid, 1)
	case s.ended:
		s.lose(CauseClosed, 1)
	default:
		s.put(at, row.Policy, policy, text)
	}
	if s.batch.rows >= wakeAfter {
		select {
		case s.wake <- struct{}{}:
		default: // it is awake
		}
	}
}

// encode returns the JSON of a row and its policy, if they are such that they can be kept.
func encode(row report.Row) (policy, text []byte, ok bool) {
	if row.Policy.Domain == "" || len(row.Policy.Domain) > maxDomain {
		return nil, nil, false
	}
	policy, err := json.Marshal(row.Policy)
	if err != nil || len(policy) > maxRow {
		return nil, nil, false
	}
	text, err = json.Marshal(dayRow{Row: row})
	return policy, text, err == nil && len(text) <= maxRow
}

// put puts a row into the batch. The caller holds the lock.
func (s *Store) put(at time.Time, p report.Policy, policy, text []byte) {
	key, asks := dayKey{strings.ToLower(p.Domain), report.Day(at).Begin.Unix()}, len(p.URIs) > 0
	b := s.batch
	day := b.days[key]
	switch _, known := b.row(day, text); {
	case known: // takes no more memory
	case b.size+len(text)+len(policy)+rowCost > maxMemory && asks:
		s.lose(CauseMemory, 1)
		return
	case b.size+len(text)+len(policy)+rowCost > maxMemory:
		s.stats.Ignored++
		return
	case day == nil:
		key.domain = strings.Clone(key.domain)
		day = b.day(key)
	}
	b.size += day.policyIs(at.UnixMilli(), asks, policy)
	if !asks {
		s.stats.Ignored++
		return
	}
	b.count(day, string(text), 1)
}

// day returns what has come about a day, which begins with it.
func (b *batch) day(key dayKey) *dayRows {
	day := b.days[key]
	if day == nil {
		day = &dayRows{rows: map[string]int64{}}
		b.days[key] = day
		b.size += rowCost
	}
	return day
}

// row returns how often a row of a day was counted.
func (b *batch) row(day *dayRows, text []byte) (int64, bool) {
	if day == nil {
		return 0, false
	}
	n, known := day.rows[string(text)]
	return n, known
}

// policyIs notes the policy of an instant, if it is the last one. It returns how many octets more are needed.
func (d *dayRows) policyIs(seen int64, asks bool, policy []byte) int {
	if seen < d.seen {
		return 0
	}
	d.seen = seen
	if d.policy == string(policy) {
		return 0
	}
	more := len(policy) - len(d.policy)
	d.policy, d.asks = string(policy), asks
	return more
}

// count adds messages to a row.
func (b *batch) count(day *dayRows, text string, n int64) {
	if _, known := day.rows[text]; !known {
		b.rows++
		b.size += len(text) + rowCost
	}
	day.rows[text] += n
	b.messages += n
}

// lose counts messages whose rows are dropped. The caller holds the lock.
func (s *Store) lose(cause Cause, n int64) {
	if n > 0 {
		s.batch.dropped[cause] += n
		s.stats.Dropped[cause] += n
	}
}

// takeBatch returns what is to be written, and begins a new batch.
func (s *Store) takeBatch() *batch {
	s.in.Lock()
	defer s.in.Unlock()
	b := s.batch
	s.batch, s.writing = newBatch(), b.messages
	return b
}

// wrote notes the end of a write: what has come meanwhile is joined with what could not be written, as far as there is room.
// The smaller one is put into the larger one, because Add waits for it.
func (s *Store) wrote(written int64, left *batch) {
	s.in.Lock()
	defer s.in.Unlock()
	s.stats.Written += written
	s.writing = 0
	less := left
	if left.rows > s.batch.rows {
		less, s.batch = s.batch, left
	}
	for cause, n := range less.dropped {
		s.batch.dropped[cause] += n
	}
	for key, rows := range less.days {
		s.join(key, rows)
	}
}

// join puts the rows of a day to those that wait already. The caller holds the lock.
func (s *Store) join(key dayKey, more *dayRows) {
	b := s.batch
	day := b.day(key)
	if day.seen < more.seen || day.policy == "" {
		b.size += day.policyIs(more.seen, more.asks, []byte(more.policy))
	}
	for text, n := range more.rows {
		if _, known := day.rows[text]; !known && b.size+len(text)+rowCost > maxMemory {
			s.lose(CauseMemory, n)
			continue
		}
		b.count(day, text, n)
	}
}

// Stats returns counters of this process.
func (s *Store) Stats() Stats {
	s.in.Lock()
	defer s.in.Unlock()
	all := s.stats
	all.Dropped, all.Waiting = maps.Clone(all.Dropped), s.batch.messages+s.writing
	return all
}
