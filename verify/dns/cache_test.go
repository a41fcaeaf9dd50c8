package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A source is an inner resolver: every TXT question waits for delay and then has the outcome that answer gives.
type source struct {
	delay  time.Duration
	answer func(name string) (Answer[string], error)
	asked  atomic.Int64
	ended  atomic.Int64
}

func (s *source) LookupTXT(ctx context.Context, name string) (Answer[string], error) {
	s.asked.Add(1)
	defer s.ended.Add(1)
	timer := time.NewTimer(s.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return s.answer(name)
	case <-ctx.Done():
		return Answer[string]{}, ctx.Err()
	}
}

func (s *source) LookupIP(context.Context, string, string) (Answer[netip.Addr], error) {
	s.asked.Add(1)
	return Answer[netip.Addr]{Records: []netip.Addr{netip.IPv6Loopback()}, TTL: time.Minute}, nil
}

func (s *source) LookupMX(context.Context, string) (Answer[MX], error) {
	s.asked.Add(1)
	return Answer[MX]{Records: []MX{{Host: "a.example", Preference: 10}}, TTL: time.Minute}, nil
}

func (s *source) LookupPTR(context.Context, netip.Addr) (Answer[string], error) {
	s.asked.Add(1)
	return Answer[string]{Records: []string{"a.example"}, TTL: time.Minute}, nil
}

// says is an answer that always is the same.
func says(ttl time.Duration, records ...string) func(string) (Answer[string], error) {
	return func(string) (Answer[string], error) { return Answer[string]{Records: records, TTL: ttl}, nil }
}

// fails is a failure that always is the same.
func fails(class error, ttl time.Duration) func(string) (Answer[string], error) {
	return func(name string) (Answer[string], error) {
		return Answer[string]{}, &Failure{Name: name, Type: "TXT", Class: class, TTL: ttl, Cause: "test"}
	}
}

func TestCacheKeepsForTTL(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer func(string) (Answer[string], error)
		opt    CacheOptions
		class  error
		keeps  time.Duration
	}{
		{"answer", says(time.Minute, "x"), CacheOptions{}, nil, time.Minute},
		{"TTL 0", says(0, "x"), CacheOptions{}, nil, 0},
		{"MinTTL", says(0, "x"), CacheOptions{MinTTL: 10 * time.Second}, nil, 10 * time.Second},
		{"MaxTTL", says(1000*time.Hour, "x"), CacheOptions{}, nil, 24 * time.Hour},
		{"own MaxTTL", says(time.Hour, "x"), CacheOptions{MaxTTL: time.Minute}, nil, time.Minute},
		{"NXDOMAIN", fails(ErrNXDomain, time.Minute), CacheOptions{}, ErrNXDomain, time.Minute},
		{"NODATA", fails(ErrNotFound, time.Minute), CacheOptions{}, ErrNotFound, time.Minute},
		{"negative cap", fails(ErrNXDomain, 24*time.Hour), CacheOptions{}, ErrNXDomain, time.Hour},
		{"no negative answers", fails(ErrNXDomain, time.Hour), CacheOptions{MaxNegativeTTL: -1}, ErrNXDomain, 0},
		{"negative without SOA", fails(ErrNXDomain, 0), CacheOptions{}, ErrNXDomain, 0},
		{"temporary", fails(ErrTemporary, 0), CacheOptions{}, ErrTemporary, 5 * time.Second},
		{"own FailureTTL", fails(ErrTemporary, 0), CacheOptions{FailureTTL: time.Second}, ErrTemporary, time.Second},
		{"no FailureTTL", fails(ErrTemporary, 0), CacheOptions{FailureTTL: -1}, ErrTemporary, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &source{answer: tc.answer}
				c := NewCache(s, tc.opt)
				defer c.Close()
				look := func(cached bool, asked int64) {
					t.Helper()
					a, err := c.LookupTXT(t.Context(), "Example.")
					var f *Failure
					if !errors.Is(err, tc.class) || err == nil && a.Cached != cached || errors.As(err, &f) && f.Cached != cached {
						t.Errorf("got %+v, %v; want it cached: %v", a, err, cached)
					}
					if s.asked.Load() != asked {
						t.Errorf("asked %d times, want %d", s.asked.Load(), asked)
					}
				}
				look(false, 1)
				if tc.keeps == 0 {
					look(false, 2)
					return
				}
				look(true, 1)
				time.Sleep(tc.keeps - time.Nanosecond)
				look(true, 1)
				time.Sleep(time.Nanosecond)
				look(false, 2)
			})
		})
	}
}

func TestCacheCountsTTLDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCache(&source{answer: says(time.Minute, "x")}, CacheOptions{})
		defer c.Close()
		for _, want := range []time.Duration{60, 40, 20} {
			if a, err := c.LookupTXT(t.Context(), "example"); err != nil || a.TTL != want*time.Second {
				t.Errorf("got %v, %v; want %d s", a, err, want)
			}
			time.Sleep(20 * time.Second)
		}
	})
}

func TestCacheTypesAreApart(t *testing.T) {
	s := &source{answer: says(time.Minute, "x")}
	c := NewCache(s, CacheOptions{})
	defer c.Close()
	ctx := t.Context()
	for range 2 {
		txt, err1 := c.LookupTXT(ctx, "a.example")
		mx, err2 := c.LookupMX(ctx, "a.example")
		ip4, err3 := c.LookupIP(ctx, "ip4", "a.example")
		ip6, err4 := c.LookupIP(ctx, "ip6", "a.example")
		ptr, err5 := c.LookupPTR(ctx, netip.MustParseAddr("192.0.2.1"))
		mapped, err6 := c.LookupPTR(ctx, netip.MustParseAddr("::ffff:192.0.2.1"))
		if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
			t.Fatal(err)
		}
		if len(txt.Records)*len(mx.Records)*len(ip4.Records)*len(ip6.Records)*len(ptr.Records)*len(mapped.Records) != 1 {
			t.Error("an answer is missing")
		}
	}
	if s.asked.Load() != 5 {
		t.Errorf("asked %d times", s.asked.Load())
	}
	if _, err := c.LookupIP(ctx, "udp", "a.example"); !errors.Is(err, ErrTemporary) {
		t.Errorf("unknown network: %v", err)
	}
}

// Many callers wait for one question. When some give up, also the one that came first, it goes on for the others.
func TestSingleFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{delay: time.Second, answer: says(time.Minute, "x")}
		c := NewCache(s, CacheOptions{})
		defer c.Close()
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				ctx := t.Context()
				if i%2 == 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, 500*time.Millisecond)
					defer cancel()
				}
				start := time.Now()
				a, err := c.LookupTXT(ctx, "example")
				took := time.Since(start)
				if i%2 == 0 && (err != context.DeadlineExceeded || took != 500*time.Millisecond) {
					t.Errorf("impatient: %v, %v after %v", a, err, took)
				}
				if i%2 == 1 && (err != nil || took != time.Second) {
					t.Errorf("patient: %v, %v after %v", a, err, took)
				}
			})
		}
		wg.Wait()
		if s.asked.Load() != 1 {
			t.Errorf("asked %d times", s.asked.Load())
		}
	})
}

// Nobody waits any more, and still the answer is there for the next message.
func TestFlightOutlivesItsCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{delay: time.Second, answer: says(time.Minute, "x")}
		c := NewCache(s, CacheOptions{})
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := c.LookupTXT(ctx, "example"); err != context.DeadlineExceeded {
			t.Errorf("got %v", err)
		}
		time.Sleep(2 * time.Second)
		if a, err := c.LookupTXT(t.Context(), "example"); err != nil || !a.Cached || s.asked.Load() != 1 {
			t.Errorf("got %v, %v after %d questions", a, err, s.asked.Load())
		}
	})
}

func TestFlightHasItsOwnTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{delay: time.Hour}
		c := NewCache(s, CacheOptions{})
		defer c.Close()
		start := time.Now()
		_, err := c.LookupTXT(t.Context(), "example")
		if err == nil || err.Error() != "dns: TXT of example: no answer: no answer in time" || !errors.Is(err, ErrTemporary) || isContext(err) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took != 15*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestCacheClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{delay: time.Hour, answer: says(time.Minute, "x")}
		c := NewCache(s, CacheOptions{})
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := c.LookupTXT(t.Context(), "example"); !errors.Is(err, ErrTemporary) {
				t.Errorf("got %v", err)
			}
		})
		synctest.Wait()
		_ = c.Close()
		if s.ended.Load() != 1 {
			t.Error("a question is still under way")
		}
		wg.Wait()
		if _, err := c.LookupTXT(t.Context(), "other"); !errors.Is(err, ErrTemporary) || !strings.Contains(err.Error(), "the cache is closed") {
			t.Errorf("after Close: %v", err)
		}
		if s.asked.Load() != 1 {
			t.Error("asked after Close")
		}
	})
}

func TestPanicOfTheInnerResolver(t *testing.T) {
	c := NewCache(&source{answer: func(string) (Answer[string], error) { panic("boom") }}, CacheOptions{FailureTTL: -1})
	defer c.Close()
	for range 2 {
		if _, err := c.LookupTXT(t.Context(), "example"); !errors.Is(err, ErrTemporary) || !strings.Contains(err.Error(), "panic: boom") {
			t.Errorf("got %v", err)
		}
	}
}

// RFC 8767: a stale answer is served when the servers fail or are slow, and they are not asked all the time.
func TestServeStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{answer: says(time.Minute, "old")}
		c := NewCache(s, CacheOptions{StaleFor: time.Hour})
		defer c.Close()
		look := func(what, want string, stale bool, asked int64) {
			t.Helper()
			a, err := c.LookupTXT(t.Context(), "example")
			if err != nil || a.Records[0] != want || a.Stale != stale || stale && a.TTL != 30*time.Second || s.asked.Load() != asked {
				t.Errorf("%s: got %+v, %v after %d questions", what, a, err, s.asked.Load())
			}
		}
		look("fresh", "old", false, 1)
		time.Sleep(2 * time.Minute)
		s.answer = fails(ErrTemporary, 0)
		look("the servers fail", "old", true, 2)
		look("again, at once", "old", true, 2)
		time.Sleep(6 * time.Second)
		look("again, later", "old", true, 3)
		time.Sleep(6 * time.Second)

		s.delay, s.answer = 5*time.Second, says(time.Minute, "new")
		start := time.Now()
		look("the servers are slow", "old", true, 4)
		if took := time.Since(start); took != 1800*time.Millisecond {
			t.Errorf("waited %v", took)
		}
		time.Sleep(10 * time.Second)
		look("their answer has come", "new", false, 4)

		s.delay, s.answer = 0, fails(ErrNXDomain, time.Minute)
		time.Sleep(2 * time.Minute)
		if _, err := c.LookupTXT(t.Context(), "example"); !errors.Is(err, ErrNXDomain) {
			t.Errorf("a definite answer: got %v", err)
		}
		s.answer = fails(ErrTemporary, 0)
		time.Sleep(2 * time.Minute)
		if _, err := c.LookupTXT(t.Context(), "example"); !errors.Is(err, ErrTemporary) {
			t.Errorf("nothing stale: got %v", err)
		}
	})
}

func TestStaleEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{answer: says(time.Minute, "old")}
		c := NewCache(s, CacheOptions{StaleFor: time.Hour})
		defer c.Close()
		_, _ = c.LookupTXT(t.Context(), "example")
		s.answer = fails(ErrTemporary, 0)
		time.Sleep(time.Minute + time.Hour)
		if a, err := c.LookupTXT(t.Context(), "example"); !errors.Is(err, ErrTemporary) {
			t.Errorf("got %v, %v", a, err)
		}
	})
}

func TestEvictionOfTheLeastRecentlyUsed(t *testing.T) {
	s := &source{answer: says(time.Hour, "x")}
	c := NewCache(s, CacheOptions{Entries: 3})
	defer c.Close()
	look := func(name string, cached bool) {
		t.Helper()
		if a, err := c.LookupTXT(t.Context(), name); err != nil || a.Cached != cached {
			t.Errorf("%s: got %+v, %v", name, a, err)
		}
	}
	look("a", false)
	look("b", false)
	look("c", false)
	look("a", true)
	look("d", false) // in the place of b
	look("c", true)
	look("a", true)
	look("b", false) // in the place of d
	look("d", false)
}

func TestCacheIsBounded(t *testing.T) {
	for _, opt := range []CacheOptions{{Entries: 1000}, {Bytes: 1 << 20}, {Entries: 100000, Bytes: 1 << 20}} {
		s := &source{answer: func(name string) (Answer[string], error) {
			return Answer[string]{Records: []string{strings.Repeat("x", 1000)}, TTL: time.Hour}, nil
		}}
		c := NewCache(s, opt)
		for i := range 5000 {
			if _, err := c.LookupTXT(t.Context(), fmt.Sprintf("n%d.example", i)); err != nil {
				t.Fatal(err)
			}
		}
		entries, bytes := 0, int64(0)
		for _, shard := range c.shards {
			entries += len(shard.entries)
			bytes += shard.bytes
			n := 0
			for e := shard.list.newer; e != &shard.list; e = e.newer {
				n++
			}
			if n != len(shard.entries) || len(shard.flights) != 0 {
				t.Errorf("%d entries in the list, %d in the map, %d flights", n, len(shard.entries), len(shard.flights))
			}
		}
		if entries > c.opt.Entries || bytes > c.opt.Bytes || entries < 400 {
			t.Errorf("%+v: %d entries of %d octets", opt, entries, bytes)
		}
		_ = c.Close()
	}
}

// An answer that is larger than the cache is answered all the same.
func TestAnswerLargerThanTheCache(t *testing.T) {
	c := NewCache(&source{answer: says(time.Hour, strings.Repeat("x", 5000))}, CacheOptions{Bytes: 4096})
	defer c.Close()
	for range 2 {
		if a, err := c.LookupTXT(t.Context(), "example"); err != nil || len(a.Records[0]) != 5000 || a.Cached {
			t.Errorf("got %v, %v", a.Cached, err)
		}
	}
}

func TestInjectedClock(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	s := &source{answer: says(time.Minute, "x")}
	c := NewCache(s, CacheOptions{Now: func() time.Time { return now }})
	defer c.Close()
	_, _ = c.LookupTXT(t.Context(), "example")
	now = now.Add(59 * time.Second)
	if a, _ := c.LookupTXT(t.Context(), "example"); a.TTL != time.Second {
		t.Errorf("got %v", a)
	}
	now = now.Add(time.Second)
	_, _ = c.LookupTXT(t.Context(), "example")
	if s.asked.Load() != 2 {
		t.Errorf("asked %d times", s.asked.Load())
	}
}

func BenchmarkCacheHit(b *testing.B) {
	c := NewCache(&source{answer: says(time.Hour, "v=spf1 -all")}, CacheOptions{})
	defer c.Close()
	ctx := b.Context()
	addr := netip.MustParseAddr("2001:db8::1")
	for _, bc := range []struct {
		name string
		look func() error
	}{
		{"TXT", func() error { _, err := c.LookupTXT(ctx, "selector._domainkey.example.com"); return err }},
		{"PTR", func() error { _, err := c.LookupPTR(ctx, addr); return err }},
	} {
		b.Run(bc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := bc.look(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := c.LookupTXT(ctx, "selector._domainkey.example.com"); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}
