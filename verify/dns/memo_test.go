package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestMemoAsksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{delay: time.Second, answer: says(time.Minute, "x")}
		m := NewMemo(s, Budget{})
		var wg sync.WaitGroup
		for _, name := range []string{"a.example", "A.Example.", "b.example", "a.example"} {
			wg.Go(func() {
				if a, err := m.LookupTXT(t.Context(), name); err != nil || a.Records[0] != "x" {
					t.Errorf("%s: got %v, %v", name, a, err)
				}
			})
			synctest.Wait()
		}
		for _, q := range m.Questions() {
			if q.Err != "not answered yet" {
				t.Errorf("under way: %+v", q)
			}
		}
		wg.Wait()
		if _, err := m.LookupTXT(t.Context(), "a.example"); err != nil || s.asked.Load() != 2 {
			t.Errorf("%v after %d questions", err, s.asked.Load())
		}
		if got := fmt.Sprintf("%+v", m.Questions()); got != "["+
			"{Name:a.example Type:TXT Answer:[x] Err: TTL:1m0s Duration:1s Asked:4 Cached:false Secure:false Stale:false} "+
			"{Name:b.example Type:TXT Answer:[x] Err: TTL:1m0s Duration:1s Asked:1 Cached:false Secure:false Stale:false}]" {
			t.Errorf("got %s", got)
		}
	})
}

func TestMemoRecordsEverything(t *testing.T) {
	s := &source{answer: fails(ErrNXDomain, time.Minute)}
	c := NewCache(s, CacheOptions{})
	defer c.Close()
	ctx := t.Context()
	for round := range 2 {
		m := NewMemo(c, Budget{Now: func() time.Time { return time.Time{} }})
		_, _ = m.LookupTXT(ctx, "none.example")
		_, _ = m.LookupMX(ctx, "a.example")
		_, _ = m.LookupIP(ctx, "ip6", "a.example")
		_, _ = m.LookupIP(ctx, "tcp", "a.example")
		_, _ = m.LookupPTR(ctx, netip.MustParseAddr("192.0.2.1"))
		_, _ = m.LookupTXT(ctx, "none.example")
		var got []string
		for _, q := range m.Questions() {
			got = append(got, fmt.Sprint(q.Name, " ", q.Type, " ", q.Answer, " ", q.Err, " ", q.Asked, " ", q.Cached))
		}
		cached := round == 1
		want := fmt.Sprintf(`none.example TXT [] dns: TXT of none.example: no such domain: test 2 %v
a.example MX [10 a.example.]  1 %[1]v
a.example AAAA [::1]  1 %[1]v
1.2.0.192.in-addr.arpa PTR [a.example]  1 %[1]v`, cached)
		if strings.Join(got, "\n") != want {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
		}
	}
}

// All checks of a message see the same DNS, also when it fails.
func TestMemoRemembersFailures(t *testing.T) {
	s := &source{answer: fails(ErrTemporary, 0)}
	m := NewMemo(s, Budget{})
	for range 3 {
		if _, err := m.LookupTXT(t.Context(), "example"); !errors.Is(err, ErrTemporary) || errors.Is(err, ErrBudget) {
			t.Errorf("got %v", err)
		}
	}
	if s.asked.Load() != 1 {
		t.Errorf("asked %d times", s.asked.Load())
	}
}

func TestBudgetOfQueries(t *testing.T) {
	s := &source{answer: says(time.Minute, "x")}
	m := NewMemo(s, Budget{Queries: 3})
	for i := range 100 {
		_, err := m.LookupTXT(t.Context(), fmt.Sprintf("n%d.example", i))
		if i < 3 && err != nil || i >= 3 && (!errors.Is(err, ErrBudget) || !errors.Is(err, ErrTemporary)) {
			t.Errorf("%d: got %v", i, err)
		}
	}
	if _, err := m.LookupTXT(t.Context(), "n1.example"); err != nil {
		t.Errorf("asked before: %v", err)
	}
	if s.asked.Load() != 3 {
		t.Errorf("asked %d times", s.asked.Load())
	}
	q := m.Questions()
	if len(q) != 3+maxRefused || q[3].Err != "dns: TXT of n3.example: query budget of the message exceeded" {
		t.Errorf("%d questions, the fourth is %+v", len(q), q[3])
	}
	if d := NewMemo(s, Budget{}).budget; d.Queries != 100 || d.Time != 20*time.Second {
		t.Errorf("defaults: %+v", d)
	}
}

// Only time in which a question is under way counts, and only once: the body of the message may take its time.
// A share bounds its holder, and nobody else; what was asked before costs nothing.
func TestShare(t *testing.T) {
	s := &source{answer: says(time.Minute, "x")}
	m := NewMemo(s, Budget{Queries: 10})
	half, none := m.Share(50), m.Share(0)
	for i := range 20 {
		_, err := half.LookupTXT(t.Context(), fmt.Sprintf("n%d.example", i))
		if i < 5 && err != nil || i >= 5 && !errors.Is(err, ErrBudget) {
			t.Errorf("half, %d: got %v", i, err)
		}
	}
	for i := range 20 {
		_, err := m.LookupTXT(t.Context(), fmt.Sprintf("n%d.example", i))
		if i < 10 && err != nil || i >= 10 && !errors.Is(err, ErrBudget) {
			t.Errorf("%d: got %v", i, err)
		}
	}
	if _, err := none.LookupTXT(t.Context(), "n9.example"); err != nil {
		t.Errorf("asked before: %v", err)
	}
	if _, err := none.LookupTXT(t.Context(), "n11.example"); !errors.Is(err, ErrBudget) {
		t.Errorf("beyond the budget: %v", err)
	}
	if s.asked.Load() != 10 {
		t.Errorf("asked %d times", s.asked.Load())
	}
}

func TestBudgetOfTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{delay: 4 * time.Second, answer: says(time.Minute, "x")}
		m := NewMemo(s, Budget{Time: 10 * time.Second})
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() {
				if _, err := m.LookupTXT(t.Context(), fmt.Sprintf("n%d.example", i)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		time.Sleep(time.Hour)
		if _, err := m.LookupTXT(t.Context(), "second.example"); err != nil {
			t.Errorf("after 4 s: %v", err)
		}
		start := time.Now()
		_, err := m.LookupTXT(t.Context(), "third.example")
		if !errors.Is(err, ErrBudget) || time.Since(start) != 2*time.Second || isContext(err) {
			t.Errorf("after 8 s: %v in %v", err, time.Since(start))
		}
		if _, err := m.LookupTXT(t.Context(), "fourth.example"); !errors.Is(err, ErrBudget) || s.asked.Load() != 7 {
			t.Errorf("after 10 s: %v", err)
		}
		if _, err := m.LookupTXT(t.Context(), "n1.example"); err != nil {
			t.Errorf("asked before: %v", err)
		}
	})
}

// Whoever asked gives up; the others still get the answer.
func TestMemoCallerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{delay: 2 * time.Second, answer: says(time.Minute, "x")}
		m := NewMemo(s, Budget{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := m.LookupTXT(ctx, "example"); err != context.DeadlineExceeded {
				t.Errorf("the impatient: %v", err)
			}
		})
		synctest.Wait()
		for range 3 {
			wg.Go(func() {
				if a, err := m.LookupTXT(t.Context(), "example"); err != nil || a.Records[0] != "x" {
					t.Errorf("the patient: %v, %v", a, err)
				}
			})
		}
		wg.Wait()
		if s.asked.Load() != 2 {
			t.Errorf("asked %d times", s.asked.Load())
		}
		if q := m.Questions(); len(q) != 1 || q[0].Err != "" || q[0].Duration != 3*time.Second || q[0].Asked != 4 {
			t.Errorf("got %+v", q)
		}
		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		if _, err := m.LookupTXT(ctx, "other.example"); err != context.Canceled {
			t.Errorf("got %v", err)
		}
	})
}

func TestMemoWaiterGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemo(&source{delay: 2 * time.Second, answer: says(time.Minute, "x")}, Budget{})
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = m.LookupTXT(t.Context(), "example") })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := m.LookupTXT(ctx, "example"); err != context.DeadlineExceeded {
			t.Errorf("got %v", err)
		}
		wg.Wait()
	})
}

func TestMemoAfterPanic(t *testing.T) {
	s := &source{answer: func(string) (Answer[string], error) { panic("boom") }}
	m := NewMemo(s, Budget{})
	func() {
		defer func() { _ = recover() }()
		_, _ = m.LookupTXT(t.Context(), "example")
	}()
	if q := m.Questions(); len(q) != 1 || q[0].Err != "nobody waited for the answer" {
		t.Errorf("got %+v", q)
	}
	s.answer = says(time.Minute, "x")
	if a, err := m.LookupTXT(t.Context(), "example"); err != nil || a.Records[0] != "x" {
		t.Errorf("got %v, %v", a, err)
	}
}

func BenchmarkMemo(b *testing.B) {
	c := NewCache(&source{answer: says(time.Hour, "v=spf1 -all")}, CacheOptions{})
	defer c.Close()
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		m := NewMemo(c, Budget{})
		for range 2 {
			if _, err := m.LookupTXT(ctx, "example.com"); err != nil {
				b.Fatal(err)
			}
		}
	}
}
