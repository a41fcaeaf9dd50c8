package ruleset

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A job is one reload for everybody who asked for it before it began.
type job struct {
	who    []string
	config *Config // nil for the one there is
	done   chan struct{}
	result Result
	err    error
}

// maxWho bounds the names of those who asked for the same reload.
const maxWho = 10

// Reload reads the configured directories and puts what they hold into force. It releases the pin of a rollback, and
// says so. On an error the old set stays in force. Reloads that are asked for while one runs are done at once after it.
func (m *Manager) Reload(ctx context.Context, who string) (Result, error) {
	return m.reload(ctx, who, nil)
}

// ReloadConfig is Reload with another configuration, which stays when the set gets into force and is forgotten when it
// does not.
func (m *Manager) ReloadConfig(ctx context.Context, who string, c Config) (Result, error) {
	return m.reload(ctx, who, &c)
}

func (m *Manager) reload(ctx context.Context, who string, c *Config) (Result, error) {
	for {
		j, first := m.enqueue(who, c)
		if first {
			m.lead(ctx, j)
			return j.result, j.err
		}
		select {
		case <-ctx.Done():
			return Result{}, ctx.Err()
		case <-j.done:
		}
		if ctx.Err() != nil || !errors.Is(j.err, context.Canceled) && !errors.Is(j.err, context.DeadlineExceeded) {
			return j.result, j.err
		}
		// The one who led has given up; whoever still waits tries again.
	}
}

// enqueue joins the reload that has not begun yet, or becomes the first of a new one.
func (m *Manager) enqueue(who string, c *Config) (j *job, first bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.queued == nil {
		m.queued, first = &job{done: make(chan struct{})}, true
	}
	j = m.queued
	if len(j.who) < maxWho && !slices.Contains(j.who, who) {
		j.who = append(j.who, who)
	}
	if c != nil {
		j.config = c
	}
	return j, first
}

// begin takes a job out of the queue: nobody can join it any more.
func (m *Manager) begin(j *job) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queued = nil
}

// lead carries out a job.
func (m *Manager) lead(ctx context.Context, j *job) {
	defer close(j.done)
	if j.err = m.acquire(ctx); j.err != nil {
		m.begin(j)
		return
	}
	defer m.release()
	m.begin(j)
	a := activation{action: Reloaded, who: strings.Join(j.who, ", ")}
	if active := m.active.Load(); active != nil && active.Pinned {
		a.warnings = append(a.warnings, fmt.Sprintf("the set %s was pinned by a rollback; this reload asks for the rule directories again", active.SHA))
	}
	undo := m.configure(j.config)
	c, err := m.build(ctx)
	if err != nil {
		undo()
		j.result, j.err = m.fail(a, err), err
		return
	}
	j.result = m.activate(c, a)
}
