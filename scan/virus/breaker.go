package virus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// An EngineStatus says how an engine is.
type EngineStatus struct {
	Name       string
	Up         bool      // it answers, though perhaps not about every content; false: it cannot be reached, is silent or talks nonsense
	Unanswered int       // contents in a row that it was given and has said nothing about
	Error      string    // the last one, if no answer has come since
	Since      time.Time // when Up last changed; at first, when the Group was made
	Version    string    // of the last Check; "" if it does not say
	Warnings   []string  // of the last Check
}

// slow is how many contents in a row an engine may leave unanswered and still be asked before others because it answers a
// ping. A single content that takes longer than it may, as senders can make one, says nothing about the next.
const slow = 3

// A breaker is an engine with what is known of its health. After a failure it is out: others are asked before it. It is asked
// at once whether it is there, by a ping in the background, and comes in again when it answers, or when it answers about a
// content.
type breaker struct {
	name   string
	engine Engine
	now    func() time.Time
	tell   func(EngineStatus) // that Up has changed; may be nil

	mu     sync.Mutex
	status EngineStatus
	out    bool
	asking *inquiry  // the ping that is on its way; nil for none
	silent bool      // the last ping was not answered in time
	until  time.Time // silent until then, without another ping
}

// An inquiry is one ping. All who want to know wait for the same.
type inquiry struct{ done chan struct{} }

// newBreaker returns an engine that nothing is known of.
func newBreaker(e Named, opt Options) *breaker {
	return &breaker{name: e.Name, engine: e.Engine, now: opt.Now, tell: opt.Changed, status: EngineStatus{Name: e.Name, Up: true, Since: opt.Now()}}
}

// update changes what is known, and tells of an engine that has gone or come back.
func (b *breaker) update(change func()) {
	b.mu.Lock()
	before := b.status.Up
	change()
	after := b.status
	if after.Up != before {
		after.Since = b.now()
		b.status.Since = after.Since
	}
	b.mu.Unlock()
	if b.tell != nil && after.Up != before {
		b.tell(after)
	}
}

// in reports whether the engine is to be asked before those that are out. Of one that is out it finds out in the background
// whether it has come back.
func (b *breaker) in() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.out {
		b.ping()
	}
	return !b.out
}

// ready waits until it is known whether an engine that is out is there. The error is that it is silent: a content would only
// wait in vain. One that cannot be reached, or answers something else, may as well be asked.
func (b *breaker) ready(ctx context.Context) error {
	if b.in() {
		return nil
	}
	if err := b.settle(ctx); err != nil {
		return fmt.Errorf("%s: %w", b.name, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.silent {
		return fmt.Errorf("%s: left out since it failed: %s", b.name, b.status.Error)
	}
	return nil
}

// settle waits for the ping that is on its way, if there is one. The error is that of ctx.
func (b *breaker) settle(ctx context.Context) error {
	b.mu.Lock()
	asking := b.asking
	b.mu.Unlock()
	if asking == nil {
		return nil
	}
	select {
	case <-asking.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ping asks the engine in the background whether it is there, one ping at a time. One that was silent is not asked again
// before as much time has passed as that took, so that mail does not wait all the time. b.mu is held.
func (b *breaker) ping() {
	if b.asking != nil || b.now().Before(b.until) {
		return
	}
	asking := &inquiry{done: make(chan struct{})}
	b.asking = asking
	go func() {
		defer close(asking.done)
		start := b.now()
		err := b.engine.Ping(context.Background()) // which is over soon, and for all who wait
		b.update(func() {
			b.asking = nil
			b.pinged(err, b.now().Sub(start))
		})
	}()
}

// pinged notes what came of a ping. That an engine is there does not bring in one that has been silent about several contents:
// it has to answer about one, or a Check.
func (b *breaker) pinged(err error, took time.Duration) {
	b.silent = errors.Is(err, context.DeadlineExceeded)
	switch {
	case err != nil:
		b.out, b.status.Up, b.status.Error = true, false, err.Error()
		if b.silent {
			b.until = b.now().Add(took)
		}
	case b.status.Unanswered < slow:
		b.out, b.status.Up = false, true
	}
}

// leave notes what came of a question about a content. Whoever gave up, could not read the content or has found no free
// connection says nothing about the engine; a refused content says that it is up.
func (b *breaker) leave(ctx context.Context, err error) {
	var foreign *contentError
	switch {
	case err == nil:
		b.update(func() { b.answered("") })
	case errors.As(err, &foreign), errors.Is(ctx.Err(), context.Canceled):
	case errors.Is(err, ErrTooLarge), errors.Is(err, ErrBusy):
		// The group may have said so without asking the engine, and that others ask it is no fault.
	case errors.Is(err, ErrRefused):
		b.update(func() { b.answered(err.Error()) })
	default:
		b.update(func() { b.failed(ctx, err) })
	}
}

// answered notes that the engine has said something about a content: a verdict, or why there is none.
func (b *breaker) answered(refusal string) {
	b.out, b.silent, b.until = false, false, time.Time{}
	b.status.Up, b.status.Unanswered, b.status.Error = true, 0, refusal
}

// failed notes that the engine has said nothing about a content. One that took too long may be there all the same; and if it
// is the message whose time is over, there may have been little of it.
func (b *breaker) failed(ctx context.Context, err error) {
	b.out, b.status.Error = true, err.Error()
	if !errors.Is(err, context.DeadlineExceeded) {
		b.status.Up = false
	}
	if ctx.Err() == nil {
		b.status.Unanswered++
	}
	b.ping()
}

// check asks the engine how it is.
func (b *breaker) check(ctx context.Context, size int64) error {
	checker, ok := b.engine.(Checker)
	if !ok {
		return nil
	}
	health, err := checker.Check(ctx, size)
	switch {
	case err == nil:
		b.update(func() {
			b.answered("")
			b.status.Version, b.status.Warnings = health.Version, health.Warnings
		})
	case errors.Is(ctx.Err(), context.Canceled), errors.Is(err, ErrBusy):
	case errors.Is(err, ErrTooLarge), errors.Is(err, ErrRefused):
		b.update(func() { b.status.Error = err.Error() })
	default:
		b.update(func() { b.unwell(err) })
	}
	return err
}

// unwell notes that the engine has said nothing about a content that has nothing in it. A ping is not enough then to bring in
// one that only took too long.
func (b *breaker) unwell(err error) {
	b.out, b.status.Up, b.status.Error = true, false, err.Error()
	if errors.Is(err, context.DeadlineExceeded) {
		b.status.Unanswered = max(b.status.Unanswered, slow)
	}
}

// state returns the status.
func (b *breaker) state() EngineStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.status
	s.Warnings = slices.Clone(s.Warnings)
	return s
}
