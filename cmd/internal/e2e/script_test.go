package e2e

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"assay/milter"
	"assay/milter/plan"
	"assay/verify/message"
)

// A script is a handler whose plan is written by the test. It stands in for the filter where a test needs operations
// that no policy asks for yet; the milter server in front of it and the MTAs are the real ones.
type script struct {
	mu   sync.Mutex
	act  func(ctx context.Context, s seen) plan.Plan
	done chan seen
}

// A seen is what a script got to see of one message.
type seen struct {
	env    message.Envelope
	header message.Header
	body   []byte
	caps   plan.Capabilities
}

// newScript returns a script that accepts everything.
func newScript() *script { return &script{done: make(chan seen, 10_000)} }

// do sets what is done with the next messages.
func (s *script) do(act func(ctx context.Context, m seen) plan.Plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.act = act
}

// reset forgets what was seen, and accepts everything from now on.
func (s *script) reset() {
	s.do(nil)
	for len(s.done) > 0 {
		<-s.done
	}
}

// answer sets a fixed plan.
func (s *script) answer(p plan.Plan) {
	s.do(func(context.Context, seen) plan.Plan { return p })
}

// next returns the next message that was handled.
func (s *script) next(t *testing.T) seen {
	t.Helper()
	select {
	case m := <-s.done:
		return m
	case <-time.After(time.Minute):
		t.Fatal("no message reached the milter")
		return seen{}
	}
}

// Begin implements milter.Handler.
func (s *script) Begin(context.Context, *message.Envelope, message.Header) milter.Pending {
	return scripted{s}
}

// A scripted is one message of a script.
type scripted struct{ script *script }

// Handle implements milter.Pending.
func (p scripted) Handle(ctx context.Context, m *message.Message, caps plan.Capabilities) plan.Plan {
	body, err := io.ReadAll(m.Body())
	if err != nil {
		return plan.Plan{}
	}
	got := seen{env: m.Envelope, header: m.Header, body: body, caps: caps}
	p.script.mu.Lock()
	act := p.script.act
	p.script.mu.Unlock()
	p.script.done <- got
	if act == nil {
		return plan.Plan{Verdict: plan.Accept}
	}
	return act(ctx, got)
}

// Done implements milter.Pending.
func (p scripted) Done(error) {}

// edits builds a plan; a plan that cannot be built fails the test.
func edits(t *testing.T, ops ...plan.Op) plan.Plan {
	t.Helper()
	p, err := plan.Build(ops, plan.Capabilities{AddHeaders: true, ChangeHeaders: true, ChangeBody: true, Quarantine: true})
	if err != nil {
		t.Fatal(err)
	}
	return p
}
