package dns

import "time"

// A Question is one question that a message's checks put to the DNS, and what came of it. Memo records them in the
// order in which they were first asked.
type Question struct {
	Name     string        // as asked, without the final dot; the in-addr.arpa or ip6.arpa name for PTR
	Type     string        // "TXT", "A", "AAAA", "MX" or "PTR"
	Answer   []string      // the records as text; nil unless the question was answered with records
	Err      string        // why there is no record, in words; "" if there are some
	TTL      time.Duration // what is left of the shortest TTL along the CNAME chain
	Duration time.Duration // how long the first asker waited
	Asked    int           // how often the message's checks asked this
	Cached   bool          // answered from the cache, without a query
	Secure   bool          // validated with DNSSEC, says a resolver that is trusted to say so
	Stale    bool          // an expired cache entry (RFC 8767)
}
