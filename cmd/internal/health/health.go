// Package health says whether the daemon can do its work. Every check runs in the background, on its own and with a limit of
// time; whoever asks gets the last answers and waits for nothing, so that no number of questions costs anything.
//
// Liveness and readiness are different things. A live process makes progress; one that does not is helped by a restart. A
// ready one finds everything it depends on; where it is not, a restart helps nobody, and mail is better sent elsewhere.
package health

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Check is one question about the state of the daemon.
type Check struct {
	Name string // "dns"
	// Run answers it: with a few words about what is well, or with an error that says what is not. It is called from one
	// goroutine at a time and should end when its context does.
	Run func(ctx context.Context) (detail string, err error)
	// Instant marks a check that only looks at memory. It is answered whenever somebody asks, so that the answer is never old.
	Instant bool
}

// A Result is the answer to one check.
type Result struct {
	Name    string    `json:"check"`
	OK      bool      `json:"ok"`
	Detail  string    `json:"detail"` // what is well, or what is not
	Since   time.Time `json:"since"`  // when OK last changed
	Checked time.Time `json:"checked"`
}

// A Report is all answers.
type Report struct {
	Ready  bool     `json:"ready"` // every check succeeds
	Checks []Result `json:"checks"`
}

// Options say how often checks run.
type Options struct {
	Every   time.Duration    // default 10 s
	Timeout time.Duration    // of one check; default 5 s
	Now     func() time.Time // required
	// Observe hears of every round, and of each check whose answer has changed; nil for nobody. It is called from one goroutine.
	Observe func(report Report, changed []Result)
}

// The defaults.
const (
	DefaultEvery   = 10 * time.Second
	DefaultTimeout = 5 * time.Second
)

// A Monitor runs checks. It is safe for concurrent use.
type Monitor struct {
	checks []Check
	opt    Options
	first  chan struct{} // closed when every check has answered once

	mu      sync.Mutex
	results []Result
	busy    []bool // the check still runs, beyond its time
}

// errUnknown is the answer before there is one.
var errUnknown = errors.New("not checked yet")

// New returns a Monitor; Run makes it work.
func New(checks []Check, opt Options) *Monitor {
	if opt.Every <= 0 {
		opt.Every = DefaultEvery
	}
	if opt.Timeout <= 0 {
		opt.Timeout = DefaultTimeout
	}
	m := &Monitor{checks: checks, opt: opt, first: make(chan struct{}), results: make([]Result, len(checks)), busy: make([]bool, len(checks))}
	for i, c := range checks {
		m.results[i] = Result{Name: c.Name, Detail: errUnknown.Error()}
	}
	return m
}

// Run runs the checks until ctx ends: at once, and then every few seconds.
func (m *Monitor) Run(ctx context.Context) {
	ticker := time.NewTicker(m.opt.Every)
	defer ticker.Stop()
	m.round(ctx)
	close(m.first)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			m.round(ctx)
		}
	}
}

// First is closed when every check has been answered once, or has run out of time.
func (m *Monitor) First() <-chan struct{} { return m.first }

// round runs every check, side by side, and tells the observer.
func (m *Monitor) round(ctx context.Context) {
	before := m.stored()
	var wg sync.WaitGroup
	for i := range m.checks {
		wg.Go(func() { m.run(ctx, i) })
	}
	wg.Wait()
	if m.opt.Observe == nil || ctx.Err() != nil {
		return
	}
	report := Report{Ready: true, Checks: m.stored()}
	var changed []Result
	for i, r := range report.Checks {
		report.Ready = report.Ready && r.OK
		if first := before[i].Checked.IsZero(); first && !r.OK || !first && r.OK != before[i].OK {
			changed = append(changed, r)
		}
	}
	m.opt.Observe(report, changed)
}

// run runs one check. One that does not end in time has failed, is left alone, and is not started again before it has ended:
// a file system that hangs must not collect goroutines.
func (m *Monitor) run(ctx context.Context, i int) {
	if !m.begin(i) {
		m.set(i, "", fmt.Errorf("still no answer after %s", m.opt.Timeout))
		return
	}
	ctx, cancel := context.WithTimeout(ctx, m.opt.Timeout)
	type answer struct {
		detail string
		err    error
	}
	answered := make(chan answer, 1)
	go func() {
		defer cancel()
		detail, err := ask(ctx, m.checks[i])
		m.end(i)
		answered <- answer{detail, err}
	}()
	select {
	case a := <-answered:
		m.set(i, a.detail, a.err)
	case <-ctx.Done():
		select { // the answer may have come at the same moment
		case a := <-answered:
			m.set(i, a.detail, a.err)
		default:
			m.set(i, "", fmt.Errorf("no answer within %s", m.opt.Timeout))
		}
	}
}

// ask runs a check. One that panics has failed.
func ask(ctx context.Context, c Check) (detail string, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("the check panicked: %v", cause)
		}
	}()
	return c.Run(ctx)
}

// begin reports whether a check may run.
func (m *Monitor) begin(i int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.busy[i] {
		return false
	}
	m.busy[i] = true
	return true
}

// end notes that a check has ended.
func (m *Monitor) end(i int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.busy[i] = false
}

// set notes an answer.
func (m *Monitor) set(i int, detail string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.results[i] = m.answer(m.results[i], detail, err)
}

// answer returns the result that follows another one.
func (m *Monitor) answer(last Result, detail string, err error) Result {
	now := m.opt.Now().UTC()
	next := Result{Name: last.Name, OK: err == nil, Detail: detail, Since: last.Since, Checked: now}
	if err != nil {
		next.Detail = line(err.Error())
	}
	if next.OK != last.OK || last.Checked.IsZero() {
		next.Since = now
	}
	return next
}

// line makes one line of a text.
func line(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r < ' ' }), " ")
}

// stored returns the last answers.
func (m *Monitor) stored() []Result {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.results)
}

// Report returns the last answers, and those of the checks that only look at memory as they are now.
func (m *Monitor) Report() Report {
	r := Report{Ready: true, Checks: m.stored()}
	for i, c := range m.checks {
		if c.Instant {
			detail, err := ask(context.Background(), c)
			if last := r.Checks[i]; (err == nil) != last.OK || last.Checked.IsZero() {
				m.set(i, detail, err)
			}
			r.Checks[i] = m.answer(r.Checks[i], detail, err)
		}
		r.Ready = r.Ready && r.Checks[i].OK
	}
	return r
}

// Err returns nil if every check succeeds, otherwise an error that names those that do not. The one named draining, which is
// no fault, speaks for itself alone.
func (r Report) Err() error {
	var failed []string
	for _, c := range r.Checks {
		switch {
		case c.OK:
		case c.Name == Draining:
			return errors.New(Draining)
		default:
			failed = append(failed, c.Name+": "+c.Detail)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return errors.New(strings.Join(failed, "\n"))
}

// Draining is the name of the check that fails while the daemon takes no new messages.
const Draining = "draining"
