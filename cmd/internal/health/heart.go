package health

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// A Heart beats while what the daemon depends on inside makes progress. Each beat goes through it once, such as by taking the
// locks that every message takes: when one of them is never given back, the heart stands still.
type Heart struct {
	beat  func() // one way through; it blocks when something is stuck
	every time.Duration
	now   func() time.Time
	last  atomic.Pointer[time.Time]
}

// NewHeart returns a heart. Run lets it beat.
func NewHeart(every time.Duration, now func() time.Time, beat func()) *Heart {
	h := &Heart{beat: beat, every: every, now: now}
	t := now()
	h.last.Store(&t)
	return h
}

// Run beats until ctx ends. It does not return while a beat is stuck.
func (h *Heart) Run(ctx context.Context) {
	ticker := time.NewTicker(h.every)
	defer ticker.Stop()
	for {
		h.beat()
		t := h.now()
		h.last.Store(&t)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// patience is how many beats may be missing. A machine that was asleep, or has far too much to do, skips some.
const patience = 15

// Alive returns an error when the heart has not beaten for too long.
func (h *Heart) Alive() error {
	if quiet := h.now().Sub(*h.last.Load()); quiet > patience*h.every {
		return fmt.Errorf("no progress for %s", quiet.Round(time.Second))
	}
	return nil
}
