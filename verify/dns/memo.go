package dns

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	mdns "github.com/miekg/dns"
)

// Defaults of Budget.
const (
	defaultQueries = 100
	defaultTime    = 20 * time.Second
)

// maxRefused bounds the questions beyond the budget that are recorded.
const maxRefused = 20

// A Budget bounds what one message may cost the DNS. The zero value is useful.
type Budget struct {
	Queries int              // most different questions, whether a cache knows the answer or not; default 100
	Time    time.Duration    // most time spent waiting for answers, waits side by side counted once; default 20 s
	Now     func() time.Time // default time.Now
}

// A Memo is a Resolver for one message: it asks every question once, so that all checks of the message see the same
// DNS, and no more than the budget allows. What lies beyond the budget is ErrBudget. It is safe for concurrent use.
//
// Temporary failures are remembered too. The end of a caller's context is not: when the caller that asks gives up, the
// next one that waits for the answer asks instead.
type Memo struct {
	inner  Resolver
	budget Budget

	mu      sync.Mutex
	calls   map[key]*call
	order   []*call // every question, in the order in which they were first asked
	queries int
	refused int
	spent   time.Duration // time with a question under way, until busy began
	asking  int           // questions under way
	busy    time.Time     // since when at least one is; valid if asking > 0
}

// A call is one question of a message.
type call struct {
	question Question
	done     chan struct{} // closed when value and err are set, or when the caller that asked gave up; then replaced
	over     bool          // value and err are set
	value    any           // Answer[T]
	err      error
}

// NewMemo returns a memo in front of r.
func NewMemo(r Resolver, b Budget) *Memo {
	b.Queries = cmp.Or(max(b.Queries, 0), defaultQueries)
	b.Time = positive(b.Time, defaultTime)
	if b.Now == nil {
		b.Now = time.Now
	}
	return &Memo{inner: r, budget: b, calls: make(map[key]*call)}
}

// Questions returns the questions so far, in the order in which they were first asked. Those beyond the budget are
// among them, the first few.
func (m *Memo) Questions() []Question {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]Question, len(m.order))
	for i, c := range m.order {
		out[i] = c.question
		switch {
		case c.over:
		case isClosed(c.done):
			out[i].Err = "nobody waited for the answer"
		default:
			out[i].Err = "not answered yet"
		}
	}
	return out
}

// Share returns a Resolver that shares everything with m, but may put no more than so many hundredths of the questions in
// the budget, at least one. Where the sender of a message says what is asked for, a share keeps the rest for other
// questions. It is safe for concurrent use.
func (m *Memo) Share(percent int) Resolver {
	left := max(1, m.budget.Queries*percent/100)
	return share{m, &left}
}

// A share is a Memo seen by someone who may use only a part of the budget. The memo's mu guards left, the questions that
// may still be put; nil is no limit but the budget.
type share struct {
	*Memo
	left *int
}

// LookupTXT implements Resolver.
func (m *Memo) LookupTXT(ctx context.Context, name string) (Answer[string], error) {
	return share{Memo: m}.LookupTXT(ctx, name)
}

// LookupIP implements Resolver.
func (m *Memo) LookupIP(ctx context.Context, network, name string) (Answer[netip.Addr], error) {
	return share{Memo: m}.LookupIP(ctx, network, name)
}

// LookupMX implements Resolver.
func (m *Memo) LookupMX(ctx context.Context, name string) (Answer[MX], error) {
	return share{Memo: m}.LookupMX(ctx, name)
}

// LookupPTR implements Resolver.
func (m *Memo) LookupPTR(ctx context.Context, addr netip.Addr) (Answer[string], error) {
	return share{Memo: m}.LookupPTR(ctx, addr)
}

// LookupTXT implements Resolver.
func (m share) LookupTXT(ctx context.Context, name string) (Answer[string], error) {
	return once(ctx, m, key{qtype: mdns.TypeTXT, name: fold(name)}, func(ctx context.Context) (Answer[string], error) {
		return m.inner.LookupTXT(ctx, name)
	})
}

// LookupIP implements Resolver.
func (m share) LookupIP(ctx context.Context, network, name string) (Answer[netip.Addr], error) {
	qtype, err := addressType(network, name)
	if err != nil {
		return Answer[netip.Addr]{}, err
	}
	return once(ctx, m, key{qtype: qtype, name: fold(name)}, func(ctx context.Context) (Answer[netip.Addr], error) {
		return m.inner.LookupIP(ctx, network, name)
	})
}

// LookupMX implements Resolver.
func (m share) LookupMX(ctx context.Context, name string) (Answer[MX], error) {
	return once(ctx, m, key{qtype: mdns.TypeMX, name: fold(name)}, func(ctx context.Context) (Answer[MX], error) {
		return m.inner.LookupMX(ctx, name)
	})
}

// LookupPTR implements Resolver.
func (m share) LookupPTR(ctx context.Context, addr netip.Addr) (Answer[string], error) {
	k := key{qtype: mdns.TypePTR, addr: addr.Unmap().WithZone("")}
	return once(ctx, m, k, func(ctx context.Context) (Answer[string], error) { return m.inner.LookupPTR(ctx, addr) })
}

// once returns the answer to a question that was asked before, waits for one that is being asked, or asks.
func once[T any](ctx context.Context, m share, k key, fetch func(context.Context) (Answer[T], error)) (Answer[T], error) {
	if err := ctx.Err(); err != nil {
		return Answer[T]{}, err
	}
	for first := true; ; first = false {
		c, done := m.enter(k, first)
		if done == nil {
			return perform(ctx, m.Memo, c, fetch)
		}
		select {
		case <-done:
		case <-ctx.Done():
			return Answer[T]{}, ctx.Err()
		}
		m.mu.Lock()
		over := c.over
		m.mu.Unlock()
		if over {
			a, _ := c.value.(Answer[T])
			return a, c.err
		}
	}
}

// enter returns the call for a key and what to wait for. That is nil if the call is the caller's to perform, because
// nobody has asked yet or whoever did gave up.
func (m share) enter(k key, first bool) (*call, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, known := m.calls[k]
	if known && first {
		c.question.Asked++
	}
	if known && (c.over || !isClosed(c.done)) {
		return c, c.done
	}
	if !known {
		c = &call{question: Question{Name: k.printable(), Type: k.typ(), Asked: 1}}
		if m.used() >= m.budget.Time || !m.spend() {
			m.refuse(c)
			return c, c.done
		}
		m.calls[k] = c
		m.order = append(m.order, c)
	}
	c.done = make(chan struct{})
	if m.asking == 0 {
		m.busy = m.budget.Now()
	}
	m.asking++
	return c, nil
}

// spend takes one question from the budget and the share, and reports whether there was one.
func (m share) spend() bool {
	if m.queries >= m.budget.Queries || m.left != nil && *m.left == 0 {
		return false
	}
	m.queries++
	if m.left != nil {
		*m.left--
	}
	return true
}

// refuse ends a call with ErrBudget. It is recorded, but not found again: the memory a message takes is bounded as well.
func (m *Memo) refuse(c *call) {
	c.over, c.done = true, make(chan struct{})
	close(c.done)
	c.err = &Failure{Name: c.question.Name, Type: c.question.Type, Class: ErrBudget}
	c.question.Err = c.err.Error()
	if m.refused < maxRefused {
		m.refused++
		m.order = append(m.order, c)
	}
}

func isClosed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// used returns the time spent so far.
func (m *Memo) used() time.Duration {
	if m.asking == 0 {
		return m.spent
	}
	return m.spent + m.budget.Now().Sub(m.busy)
}

// perform asks, within what is left of the time.
func perform[T any](ctx context.Context, m *Memo, c *call, fetch func(context.Context) (Answer[T], error)) (a Answer[T], err error) {
	m.mu.Lock()
	left := m.budget.Time - m.used()
	m.mu.Unlock()
	start := m.budget.Now()
	outcome := any(nil)
	var learnt *Question // nil: the caller gave up, or fetch panicked; whoever waits asks again
	defer func() { m.leave(c, outcome, err, learnt, start) }()
	bounded, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	a, err = fetch(bounded)
	switch {
	case err != nil && ctx.Err() != nil && isContext(err):
		return Answer[T]{}, ctx.Err()
	case err != nil && isContext(err):
		err = &Failure{Name: c.question.Name, Type: c.question.Type, Class: ErrBudget, Cause: "no time is left"}
	}
	outcome, learnt = a, learn(a, err)
	return a, err
}

// learn returns what a question says about its outcome.
func learn[T any](a Answer[T], err error) *Question {
	if err != nil {
		var f *Failure
		if !errors.As(err, &f) {
			return &Question{Err: err.Error()}
		}
		q := &Question{Err: f.Error(), Cached: f.Cached}
		if f.Detail != "" {
			q.Err += " (" + f.Detail + ")"
		}
		return q
	}
	q := &Question{TTL: a.TTL, Cached: a.Cached, Secure: a.Secure, Stale: a.Stale}
	for _, r := range a.Records {
		q.Answer = append(q.Answer, describe(r))
	}
	return q
}

// leave ends a call.
func (m *Memo) leave(c *call, value any, err error, learnt *Question, start time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.budget.Now()
	if m.asking--; m.asking == 0 {
		m.spent += now.Sub(m.busy)
	}
	c.question.Duration += now.Sub(start)
	if learnt != nil {
		c.over, c.value, c.err = true, value, err
		learnt.Name, learnt.Type = c.question.Name, c.question.Type
		learnt.Asked, learnt.Duration = c.question.Asked, c.question.Duration
		c.question = *learnt
	}
	close(c.done)
}
