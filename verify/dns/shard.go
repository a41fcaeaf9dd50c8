package dns

import (
	"net/netip"
	"strconv"
	"sync"
	"time"

	mdns "github.com/miekg/dns"
)

const (
	maxShards       = 16
	minShardEntries = 256 // fewer than that in a shard would make the eviction unfair
	entryOverhead   = 400 // octets of an entry, its answer and its place in the map, roughly
)

// A key is a question.
type key struct {
	qtype uint16
	name  string     // in lower case, without the final dot
	addr  netip.Addr // of a question for PTR records, which has no name
}

// typ returns the record type.
func (k key) typ() string { return mdns.TypeToString[k.qtype] }

// text returns the name that is asked for.
func (k key) text() string {
	if k.qtype == mdns.TypePTR {
		return Reverse(k.addr)
	}
	return k.name
}

// printable returns the name for an error text.
func (k key) printable() string { return printable(k.text()) }

// An entry is an answer or a failure that is remembered.
type entry struct {
	key        key
	value      any      // *Answer[T]; nil for a failure
	failure    *Failure // marked as cached
	expires    time.Time
	staleUntil time.Time // until then an expired answer may be served
	retryAt    time.Time // until then an expired answer is served without asking again
	bytes      int64
	older      *entry // towards the least recently used
	newer      *entry
}

// A shard is a part of a cache: a map whose entries form a list in the order of their last use.
type shard struct {
	mu         sync.Mutex
	entries    map[key]*entry
	flights    map[key]*flight
	list       entry // list.newer is the oldest entry, list.older the newest
	bytes      int64
	maxEntries int
	maxBytes   int64
}

func newShard(maxEntries int, maxBytes int64) *shard {
	s := &shard{
		entries:    make(map[key]*entry),
		flights:    make(map[key]*flight),
		maxEntries: max(maxEntries, 1),
		maxBytes:   maxBytes,
	}
	s.list.older, s.list.newer = &s.list, &s.list
	return s
}

// get returns the entry for a key and makes it the newest. The caller holds mu, here and below.
func (s *shard) get(k key) *entry {
	e := s.entries[k]
	if e != nil && s.list.older != e {
		e.unlink()
		s.link(e)
	}
	return e
}

// put adds or replaces an entry and evicts the oldest ones that are too many. An entry that is larger than all that may
// be kept is not added.
func (s *shard) put(e *entry) {
	s.remove(e.key)
	e.bytes += entryOverhead + int64(2*len(e.key.name))
	if e.bytes > s.maxBytes {
		return
	}
	for len(s.entries) >= s.maxEntries || s.bytes+e.bytes > s.maxBytes {
		s.remove(s.list.newer.key)
	}
	s.entries[e.key] = e
	s.bytes += e.bytes
	s.link(e)
}

// remove takes an entry out, if there is one.
func (s *shard) remove(k key) {
	if e := s.entries[k]; e != nil {
		delete(s.entries, k)
		s.bytes -= e.bytes
		e.unlink()
	}
}

// link makes e the newest entry.
func (s *shard) link(e *entry) {
	e.older, e.newer = s.list.older, &s.list
	e.older.newer, e.newer.older = e, e
}

func (e *entry) unlink() { e.older.newer, e.newer.older = e.newer, e.older }

// size estimates the memory of records.
func size[T any](records []T) int64 {
	n := int64(0)
	for _, r := range records {
		switch v := any(r).(type) {
		case string:
			n += int64(len(v)) + 16
		case MX:
			n += int64(len(v.Host)) + 24
		case netip.Addr:
			n += 24
		}
	}
	return n
}

// describe returns a record as text.
func describe[T any](record T) string {
	switch v := any(record).(type) {
	case string:
		return v
	case netip.Addr:
		return v.String()
	case MX:
		return v.String()
	}
	return ""
}

// String returns the exchanger as a master file has it.
func (m MX) String() string {
	return strconv.Itoa(int(m.Preference)) + " " + m.Host + "."
}
