package dns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	mdns "github.com/miekg/dns"
)

// Defaults of CacheOptions.
const (
	defaultEntries        = 65536
	defaultBytes          = 64 << 20
	defaultMaxTTL         = 24 * time.Hour
	defaultMaxNegativeTTL = time.Hour
	defaultFailureTTL     = 5 * time.Second
	defaultFlight         = 15 * time.Second
	defaultStaleWait      = 1800 * time.Millisecond
)

// staleTTL is the TTL of a stale answer: RFC 8767 Section 4.
const staleTTL = 30 * time.Second

// CacheOptions configure a Cache. The zero value is useful.
type CacheOptions struct {
	Entries        int              // most entries kept; default 65536
	Bytes          int64            // most memory for them, roughly; default 64 MiB
	MinTTL         time.Duration    // an answer is kept at least this long; default 0
	MaxTTL         time.Duration    // an answer is kept at most this long; default 24 h
	MaxNegativeTTL time.Duration    // NXDOMAIN and NODATA are kept at most this long (RFC 2308 Section 5); default 1 h, negative: not at all
	FailureTTL     time.Duration    // a temporary failure is remembered this long; default 5 s, negative: not at all
	Timeout        time.Duration    // longest time for one question to the inner resolver; default 15 s
	StaleFor       time.Duration    // an expired answer may be served this much longer (RFC 8767); default 0: never
	StaleWait      time.Duration    // a caller for whom there is a stale answer waits this long for a fresh one; default 1.8 s
	Observer       Observer         // hears of every lookup; may be nil
	Now            func() time.Time // default time.Now
}

// withDefaults fills the fields that are zero.
func (o CacheOptions) withDefaults() CacheOptions {
	if o.Entries <= 0 {
		o.Entries = defaultEntries
	}
	if o.Bytes <= 0 {
		o.Bytes = defaultBytes
	}
	o.MaxTTL = positive(o.MaxTTL, defaultMaxTTL)
	o.MaxNegativeTTL = cmp.Or(o.MaxNegativeTTL, defaultMaxNegativeTTL)
	o.Timeout = positive(o.Timeout, defaultFlight)
	o.StaleWait = positive(o.StaleWait, defaultStaleWait)
	o.FailureTTL = cmp.Or(o.FailureTTL, defaultFailureTTL)
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// positive returns d, or the default if d is not positive.
func positive(d, byDefault time.Duration) time.Duration {
	if d <= 0 {
		return byDefault
	}
	return d
}

// A Cache is a Resolver that remembers the answers of another one for as long as their TTLs say, and asks every question
// once at a time, however many callers wait for it. Names differing in case only are one. It is safe for concurrent
// use.
//
// A question to the inner resolver belongs to no caller: it goes on when those who wait for it give up, so that a slow
// answer is there for the next message. Only Timeout and Close end it.
type Cache struct {
	inner  Resolver
	opt    CacheOptions
	seed   maphash.Seed
	shards []*shard

	ctx     context.Context // ends with Close
	stop    context.CancelFunc
	closing sync.Mutex // guards closed and flights.Add against flights.Wait
	closed  bool
	flights sync.WaitGroup
}

// NewCache returns a cache in front of r.
func NewCache(r Resolver, opt CacheOptions) *Cache {
	c := &Cache{inner: r, opt: opt.withDefaults(), seed: maphash.MakeSeed()}
	c.ctx, c.stop = context.WithCancel(context.Background())
	n := maxShards
	for n > 1 && c.opt.Entries/n < minShardEntries {
		n /= 2
	}
	for range n {
		c.shards = append(c.shards, newShard(c.opt.Entries/n, c.opt.Bytes/int64(n)))
	}
	return c
}

// Close ends the questions under way and waits for them. Lookups after it find what is remembered, and no more.
func (c *Cache) Close() error {
	c.closing.Lock()
	c.closed = true
	c.closing.Unlock()
	c.stop()
	c.flights.Wait()
	return nil
}

// LookupTXT implements Resolver.
func (c *Cache) LookupTXT(ctx context.Context, name string) (Answer[string], error) {
	k := key{qtype: mdns.TypeTXT, name: fold(name)}
	if a, ok, err := remembered[string](ctx, c, k); ok {
		return a, err
	}
	return ask(ctx, c, k, func(ctx context.Context) (Answer[string], error) { return c.inner.LookupTXT(ctx, name) })
}

// LookupIP implements Resolver.
func (c *Cache) LookupIP(ctx context.Context, network, name string) (Answer[netip.Addr], error) {
	qtype, err := addressType(network, name)
	if err != nil {
		return Answer[netip.Addr]{}, err
	}
	k := key{qtype: qtype, name: fold(name)}
	if a, ok, err := remembered[netip.Addr](ctx, c, k); ok {
		return a, err
	}
	return ask(ctx, c, k, func(ctx context.Context) (Answer[netip.Addr], error) {
		return c.inner.LookupIP(ctx, network, name)
	})
}

// LookupMX implements Resolver.
func (c *Cache) LookupMX(ctx context.Context, name string) (Answer[MX], error) {
	k := key{qtype: mdns.TypeMX, name: fold(name)}
	if a, ok, err := remembered[MX](ctx, c, k); ok {
		return a, err
	}
	return ask(ctx, c, k, func(ctx context.Context) (Answer[MX], error) { return c.inner.LookupMX(ctx, name) })
}

// LookupPTR implements Resolver.
func (c *Cache) LookupPTR(ctx context.Context, addr netip.Addr) (Answer[string], error) {
	k := key{qtype: mdns.TypePTR, addr: addr.Unmap().WithZone("")}
	if a, ok, err := remembered[string](ctx, c, k); ok {
		return a, err
	}
	return ask(ctx, c, k, func(ctx context.Context) (Answer[string], error) { return c.inner.LookupPTR(ctx, k.addr) })
}

// remembered returns what the cache holds, without asking. It reports false if that is nothing that is to be used now.
func remembered[T any](ctx context.Context, c *Cache, k key) (Answer[T], bool, error) {
	if err := ctx.Err(); err != nil {
		return Answer[T]{}, true, err
	}
	s := c.shard(k)
	s.mu.Lock()
	a, source, err := peek[T](s, k, c.opt.Now())
	s.mu.Unlock()
	if source == SourceMiss {
		return a, false, err
	}
	c.observe(k, source)
	return a, true, err
}

// peek reads an entry; without one that is to be used now, the source is SourceMiss. The caller holds the shard's mu.
func peek[T any](s *shard, k key, now time.Time) (Answer[T], Source, error) {
	e := s.get(k)
	switch {
	case e == nil:
	case now.Before(e.expires) && e.failure != nil:
		return Answer[T]{}, SourceHit, e.failure
	case now.Before(e.expires):
		a := *e.value.(*Answer[T])
		a.TTL, a.Cached = e.expires.Sub(now), true
		return a, SourceHit, nil
	case now.Before(e.staleUntil) && now.Before(e.retryAt):
		return staleAnswer(e.value.(*Answer[T])), SourceStale, nil
	}
	return Answer[T]{}, SourceMiss, nil
}

// staleAnswer marks an expired answer.
func staleAnswer[T any](a *Answer[T]) Answer[T] {
	out := *a
	out.TTL, out.Cached, out.Stale = staleTTL, true, true
	return out
}

func (c *Cache) observe(k key, s Source) {
	if c.opt.Observer != nil {
		c.opt.Observer.ObserveLookup(mdns.TypeToString[k.qtype], s)
	}
}

// shard returns the part of the cache that a key belongs to.
func (c *Cache) shard(k key) *shard {
	if len(c.shards) == 1 {
		return c.shards[0]
	}
	return c.shards[maphash.Comparable(c.seed, k)%uint64(len(c.shards))]
}

// A flight is a question to the inner resolver that callers wait for. Value and err are set before done is closed.
type flight struct {
	done  chan struct{}
	value any // *Answer[T]
	err   error
}

// ask joins the flight for a key, or starts one, and waits for it.
func ask[T any](ctx context.Context, c *Cache, k key, fetch func(context.Context) (Answer[T], error)) (Answer[T], error) {
	s := c.shard(k)
	s.mu.Lock()
	f, shared := s.flights[k]
	if !shared {
		// A flight may have landed since the caller looked.
		if a, source, err := peek[T](s, k, c.opt.Now()); source != SourceMiss {
			s.mu.Unlock()
			c.observe(k, source)
			return a, err
		}
		if !c.board() {
			s.mu.Unlock()
			return Answer[T]{}, &Failure{Name: k.printable(), Type: k.typ(), Cause: "the cache is closed", Class: ErrTemporary}
		}
		f = &flight{done: make(chan struct{})}
		s.flights[k] = f
		go fly(c, k, f, fetch)
	}
	s.mu.Unlock()
	a, err := wait[T](ctx, c, k, f)
	switch {
	case a.Stale:
		c.observe(k, SourceStale)
	case shared:
		c.observe(k, SourceShared)
	default:
		c.observe(k, SourceMiss)
	}
	return a, err
}

// board counts a flight, unless the cache is closed.
func (c *Cache) board() bool {
	c.closing.Lock()
	defer c.closing.Unlock()
	if !c.closed {
		c.flights.Add(1)
	}
	return !c.closed
}

// wait returns the outcome of a flight, the context's error, or a stale answer if there is one and the flight fails or
// takes long (RFC 8767 Section 5, the client response timer).
func wait[T any](ctx context.Context, c *Cache, k key, f *flight) (Answer[T], error) {
	var late <-chan time.Time
	old, hasOld := expired[T](c, k)
	if hasOld {
		timer := time.NewTimer(c.opt.StaleWait)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-f.done:
		if hasOld && errors.Is(f.err, ErrTemporary) {
			break
		}
		if f.err != nil {
			return Answer[T]{}, f.err
		}
		return *f.value.(*Answer[T]), nil
	case <-late:
	case <-ctx.Done():
		return Answer[T]{}, ctx.Err()
	}
	return old, nil
}

// expired returns the answer that may be served stale.
func expired[T any](c *Cache, k key) (Answer[T], bool) {
	if c.opt.StaleFor <= 0 {
		return Answer[T]{}, false
	}
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.get(k); e != nil && e.failure == nil && c.opt.Now().Before(e.staleUntil) {
		return staleAnswer(e.value.(*Answer[T])), true
	}
	return Answer[T]{}, false
}

// fly asks the inner resolver and remembers the outcome. A resolver that panics must not take the process with it, nor
// leave callers waiting.
func fly[T any](c *Cache, k key, f *flight, fetch func(context.Context) (Answer[T], error)) {
	defer c.flights.Done()
	ctx, cancel := context.WithTimeout(c.ctx, c.opt.Timeout)
	defer cancel()
	a, err := func() (a Answer[T], err error) {
		defer func() {
			if p := recover(); p != nil {
				err = &Failure{Name: k.printable(), Type: k.typ(), Cause: fmt.Sprintf("panic: %v", p), Class: ErrTemporary}
			}
		}()
		return fetch(ctx)
	}()
	if err != nil && isContext(err) {
		// It is the flight's own time that is up, not a caller's.
		err = &Failure{Name: k.printable(), Type: k.typ(), Cause: errTimeout.Error(), Class: ErrTemporary}
	}
	f.value, f.err = &a, err
	s := c.shard(k)
	s.mu.Lock()
	switch {
	case err != nil:
		c.keepFailure(s, k, err)
	case !a.Stale: // else the inner resolver is a cache as well, and keeps the answer
		c.keepAnswer(s, k, &a, a.TTL, size(a.Records))
	}
	delete(s.flights, k)
	s.mu.Unlock()
	close(f.done)
}

// keepAnswer remembers an answer.
func (c *Cache) keepAnswer(s *shard, k key, value any, ttl time.Duration, bytes int64) {
	ttl = min(max(ttl, c.opt.MinTTL), c.opt.MaxTTL)
	if ttl <= 0 {
		s.remove(k)
		return
	}
	now := c.opt.Now()
	s.put(&entry{key: k, value: value, expires: now.Add(ttl), staleUntil: now.Add(ttl + max(c.opt.StaleFor, 0)), bytes: bytes})
}

// keepFailure remembers a negative answer, or for a moment a temporary failure: RFC 2308 Sections 5 and 7. An answer that
// may be served stale is not replaced by a temporary failure; it is served without asking again for that moment (RFC
// 8767 Section 5, the failure recheck timer).
func (c *Cache) keepFailure(s *shard, k key, err error) {
	now := c.opt.Now()
	failure := Failure{Name: k.printable(), Type: k.typ(), Class: ErrTemporary, Cause: err.Error()}
	var f *Failure
	if errors.As(err, &f) {
		failure = *f
	}
	failure.Cached = true
	ttl := c.opt.FailureTTL
	if errors.Is(err, ErrNotFound) {
		ttl = min(max(failure.TTL, c.opt.MinTTL), c.opt.MaxNegativeTTL)
	} else if e := s.get(k); e != nil && e.failure == nil && now.Before(e.staleUntil) {
		e.retryAt = now.Add(ttl)
		return
	}
	if ttl <= 0 {
		s.remove(k)
		return
	}
	s.put(&entry{key: k, failure: &failure, expires: now.Add(ttl), bytes: int64(len(failure.Cause))})
}
