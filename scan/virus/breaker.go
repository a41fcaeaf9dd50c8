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
	Name     string
	Up       bool      // it is asked; false: it has failed and is left out until a trial succeeds
	Error    string    // the last one, if no answer has come since
	Since    time.Time // when Up last changed; at first, when the Group was made
	Version  string    // of the last Check; "" if it does not say
	Warnings []string  // of the last Check
}

// firstPause is how long an engine is left out after its first failure. Each further one doubles it, so that a restart of the
// scanner costs seconds and a hanging one does not cost every message the whole timeout.
const firstPause = time.Second

// A breaker is an engine with what is known of its health. After a failure it lets nobody in for a while; then one at a time
// as a trial, until a trial succeeds.
type breaker struct {
	name   string
	engine Engine
	now    func() time.Time
	retry  time.Duration

	mu       sync.Mutex
	status   EngineStatus
	failures int       // in a row
	until    time.Time // left out until then
	trial    bool      // somebody is trying
}

// newBreaker returns an engine that nothing is known of.
func newBreaker(e Named, now func() time.Time, retry time.Duration) *breaker {
	return &breaker{name: e.Name, engine: e.Engine, now: now, retry: retry, status: EngineStatus{Name: e.Name, Up: true, Since: now()}}
}

// enter returns an error if the engine is left out, and whether the question is a trial.
func (b *breaker) enter() (trial bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.status.Up:
		return false, nil
	case b.trial || b.now().Before(b.until):
		return false, fmt.Errorf("%s: left out since it failed: %s", b.name, b.status.Error)
	}
	b.trial = true
	return true, nil
}

// leave notes what came of a question. Whoever gave up or could not read its content says nothing about the engine; a refused
// content says that it is up.
func (b *breaker) leave(ctx context.Context, trial bool, err error) {
	var foreign *contentError
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err == nil:
		b.up()
		b.status.Error = ""
	case errors.As(err, &foreign), errors.Is(ctx.Err(), context.Canceled):
	case errors.Is(err, ErrTooLarge):
		// The group may have said so without asking the engine.
	case errors.Is(err, ErrRefused):
		b.up()
		b.status.Error = err.Error()
	default:
		b.down(err)
	}
	if trial {
		b.trial = false
	}
}

// up notes that the engine answers.
func (b *breaker) up() {
	if !b.status.Up {
		b.status.Up, b.status.Since = true, b.now()
	}
	b.failures = 0
}

// down notes that the engine has failed. Those that were let in before it was left out do not count again.
func (b *breaker) down(err error) {
	b.status.Error = err.Error()
	now := b.now()
	if !b.status.Up && now.Before(b.until) {
		return
	}
	if b.status.Up {
		b.status.Up, b.status.Since = false, now
	}
	pause := b.retry
	if b.failures < 16 {
		pause = min(firstPause<<b.failures, b.retry)
	}
	b.failures++
	b.until = now.Add(pause)
}

// check asks the engine how it is.
func (b *breaker) check(ctx context.Context, size int64) error {
	checker, ok := b.engine.(Checker)
	if !ok {
		return nil
	}
	health, err := checker.Check(ctx, size)
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err == nil:
		b.up()
		b.status.Error, b.status.Version, b.status.Warnings = "", health.Version, health.Warnings
	case errors.Is(ctx.Err(), context.Canceled):
	case errors.Is(err, ErrTooLarge), errors.Is(err, ErrRefused):
		b.status.Error = err.Error()
	default:
		b.down(err)
	}
	return err
}

// state returns the status.
func (b *breaker) state() EngineStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.status
	s.Warnings = slices.Clone(s.Warnings)
	return s
}
