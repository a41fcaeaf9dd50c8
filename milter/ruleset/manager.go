package ruleset

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"assay/rules"
)

// A Manager keeps the set in force. Current may be called by everybody at any time and never waits; of Start, Reload and
// Rollback one runs at a time.
type Manager struct {
	opt    Options
	engine engine
	store  store
	active atomic.Pointer[Active]
	busy   chan struct{} // holds one element while an activation runs

	mu       sync.Mutex // guards what follows
	config   Config
	state    state
	queued   *job      // the reload that has not begun yet
	stateErr string    // why the state directory cannot be used, "" if it can
	failed   string    // why the last activation failed
	failedAt time.Time // when
}

// New returns a Manager that has no set yet: Start gives it one.
func New(c Config, o Options) *Manager {
	o = o.withDefaults()
	return &Manager{opt: o, engine: rulesEngine{}, config: c, store: store{dir: o.State, disk: osDisk{}}, busy: make(chan struct{}, 1)}
}

// Current returns the set in force, nil before Start.
func (m *Manager) Current() *Active { return m.active.Load() }

// A candidate is a set that may get into force.
type candidate struct {
	compiled
	snapshot *Snapshot
	problems rules.Problems
}

// An activation says how a candidate gets into force.
type activation struct {
	action   Action
	who      string
	pinned   bool
	fallback bool
	problems rules.Problems // errors of the directories because of which this is a fallback
	reason   string         // the same in words
	warnings []string
}

// Start puts a set into force for the first time: the pinned one if the last rollback was not followed by a reload, else
// that of the configured directories. Where that one cannot be used, the last set that was in force is the fallback, and
// Result.Problems and Status say why. Without any, the error holds everything that is wrong; rules.Problems can be had
// from it by errors.As.
func (m *Manager) Start(ctx context.Context, who string) (Result, error) {
	if err := m.acquire(ctx); err != nil {
		return Result{}, err
	}
	defer m.release()
	a := activation{action: Started, who: who}
	pinned := m.openState(&a)
	if pinned != "" {
		c, err := m.load(pinned)
		if err == nil {
			a.pinned = true
			return m.activate(c, a), nil
		}
		a.fallback = true
		a.warnings = append(a.warnings, fmt.Sprintf("the pinned set cannot be used, the rule directories are: %v", err))
		a.reason = err.Error()
	}
	c, err := m.build(ctx)
	if err == nil {
		return m.activate(c, a), nil
	}
	if ctx.Err() != nil {
		return Result{}, ctx.Err()
	}
	return m.fallBack(a, err)
}

// openState opens the state directory, says in a what is wrong with it, and returns the pinned set.
func (m *Manager) openState(a *activation) (pinned string) {
	failed := m.store.open()
	s, err := m.store.readState() // what cannot be written can perhaps be read
	if failed == nil {
		failed = err
	}
	if failed != nil {
		a.warnings = append(a.warnings, failed.Error())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state = s
	return s.Pinned
}

// fallBack puts the last set into force that can be used, because of what is wrong with the directories.
func (m *Manager) fallBack(a activation, cause error) (Result, error) {
	a.fallback = true
	a.problems, a.reason = problemsOf(cause), cause.Error()
	for _, sha := range m.recent() {
		c, err := m.load(sha)
		if err == nil {
			return m.activate(c, a), nil
		}
		a.warnings = append(a.warnings, err.Error())
	}
	m.fail(a, cause)
	return Result{Problems: a.problems, Warnings: a.warnings}, cause
}

// build makes a candidate of the configured directories.
func (m *Manager) build(ctx context.Context) (c candidate, err error) {
	defer recovered(&err)
	config := m.configured()
	s, err := Read(ctx, config.Sources, m.opt.Limits)
	if err != nil {
		return c, err
	}
	if err := m.checkMissing(s); err != nil {
		return c, err
	}
	c.compiled, c.problems, err = m.compile(config, s)
	if err = cmp.Or(err, refused(c.problems)); err != nil {
		return c, err
	}
	if config.Test != nil {
		c.problems = append(c.problems, config.Test(ctx, c.set, s.Sources())...)
	}
	if err := cmp.Or(ctx.Err(), refused(c.problems)); err != nil {
		return c, err
	}
	c.snapshot = s
	return c, nil
}

// compile compiles a new snapshot and adds the list files to it that the rules name.
func (m *Manager) compile(config Config, s *Snapshot) (compiled, rules.Problems, error) {
	opt := config.Rules
	opt.Now = m.opt.Now()
	record := recorder{read: opt.ReadList, lists: map[string][]byte{}, limit: m.opt.Limits.Size}
	if record.read != nil {
		opt.ReadList = record.list
	}
	c, problems := m.engine.load(s.Sources(), opt)
	return c, problems, record.seal(s)
}

// checkMissing refuses that an optional directory is missing whose rules are in force: that it was removed by mistake,
// or is not mounted, is more likely than that somebody meant to say so by removing it.
func (m *Manager) checkMissing(s *Snapshot) error {
	var last *Snapshot
	for _, d := range s.dirs {
		if !d.missing {
			continue
		}
		if last == nil {
			if last = m.lastSnapshot(); last == nil {
				return nil
			}
		}
		for _, before := range last.dirs {
			if before.name == d.name && len(before.files) > 0 {
				return fmt.Errorf("ruleset: the directory %s does not exist, but rules from it are in force; if that is meant, make it an empty directory", d.name)
			}
		}
	}
	return nil
}

// lastSnapshot returns the files of the set that is or was in force, nil if they are not known.
func (m *Manager) lastSnapshot() *Snapshot {
	sha := m.lastActive()
	if active := m.active.Load(); active != nil {
		if active.unstored != nil {
			return active.unstored
		}
		sha = active.SHA
	}
	s, _, err := m.store.get(sha)
	if err != nil {
		return nil
	}
	return s
}

// load makes a candidate of a stored set.
func (m *Manager) load(sha string) (c candidate, err error) {
	defer recovered(&err)
	s, _, err := m.store.get(sha)
	if err != nil {
		return c, err
	}
	c.compiled, c.problems = m.compileStored(s)
	if err := refused(c.problems); err != nil {
		return c, fmt.Errorf("ruleset: the stored set %s: %w", sha, err)
	}
	c.snapshot = s
	return c, nil
}

// compileStored compiles a stored set, with the list files that were stored with it.
func (m *Manager) compileStored(s *Snapshot) (compiled, rules.Problems) {
	opt := m.configured().Rules
	if opt.ReadList != nil {
		opt.ReadList = s.list
	}
	opt.Now = m.opt.Now()
	return m.engine.load(s.Sources(), opt)
}

// refused returns all problems as an error if there is an error among them, else nil.
func refused(problems rules.Problems) error {
	if problems.Err() == nil {
		return nil
	}
	return problems
}

// recovered makes an error of a panic: whatever a reload meets, the old set stays in force.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("ruleset: internal error: %v", p)
	}
}

// problemsOf returns the problems that an error holds.
func problemsOf(err error) rules.Problems {
	var problems rules.Problems
	errors.As(err, &problems)
	return problems
}

// activate stores a candidate, records it, and puts it into force. What cannot be stored is a warning: mail is judged
// by the set that the operator wants even on a full disk.
func (m *Manager) activate(c candidate, a activation) Result {
	old := m.active.Load()
	next := &Active{
		Set: c.set, SHA: c.sha, compiled: c.compiled, Since: m.opt.Now(), Fallback: a.fallback, Pinned: a.pinned, Warnings: c.problems.Warnings(),
	}
	r := Result{
		SHA: next.SHA, Rules: len(c.rules), Fallback: a.fallback, Pinned: a.pinned,
		Problems: append(slices.Clone(a.problems), c.problems...), Warnings: a.warnings,
	}
	before, known := m.before(c.compiled)
	r.Previous = before.sha
	if known {
		r.Changes = m.engine.diff(before, c.compiled)
	}
	if old != nil && old.SHA == next.SHA {
		next.Since = old.Since
	}
	m.persist(c, next, a, &r)
	m.active.Store(next)
	m.settle(a)
	return r
}

// before returns the set that is in force, or was before this process began. It is known if its rules are.
func (m *Manager) before(next compiled) (c compiled, known bool) {
	if active := m.active.Load(); active != nil {
		return active.compiled, true
	}
	sha := m.lastActive()
	switch sha {
	case "":
		return c, false
	case next.sha:
		return next, true
	}
	last, err := m.load(sha)
	if err != nil {
		return compiled{sha: sha}, false
	}
	return last.compiled, true
}

// persist makes an activation durable, as far as that is possible.
func (m *Manager) persist(c candidate, next *Active, a activation, r *Result) {
	m.mu.Lock()
	s := m.state.activated(next.SHA, a.pinned, m.opt.Keep)
	if a.fallback {
		s.Pinned = m.state.Pinned // the wish stands until it is withdrawn
	}
	m.state = s
	m.mu.Unlock()

	err := m.store.put(next.SHA, c.snapshot, m.opt.Now())
	if err != nil {
		next.unstored = c.snapshot
	}
	err = errors.Join(err, m.store.writeState(s)) // also without the set: the release of a pin is in it
	if err == nil {
		err = m.store.prune(s)
	}
	m.mu.Lock()
	m.stateErr = ""
	if err != nil {
		m.stateErr = "the set is in force but could not be stored, a restart may not find it: " + strings.ReplaceAll(err.Error(), "\n", "; ")
		r.Warnings = append(r.Warnings, m.stateErr)
	}
	m.mu.Unlock()
	m.record(m.recordOf(a, r), &r.Warnings)
}

// recordOf makes the history's record of an activation.
func (m *Manager) recordOf(a activation, r *Result) Record {
	rec := Record{
		Time: m.opt.Now().UTC(), Who: a.who, Action: a.action, Result: Activated, SHA: r.SHA, Previous: r.Previous, Rules: r.Rules,
		Added: r.Changes.Added, Removed: r.Changes.Removed, Changed: r.Changes.Changed,
		Problems: len(a.problems.Errors()), Reason: firstLine(a.reason), Warnings: r.Warnings,
	}
	switch {
	case a.fallback:
		rec.Result = FellBack
	case r.SHA == r.Previous:
		rec.Result = Unchanged
	}
	return rec
}

// record appends to the history; that it cannot is a warning.
func (m *Manager) record(rec Record, warnings *[]string) {
	if err := m.store.appendHistory(rec, m.opt.MaxHistory); err != nil {
		*warnings = append(*warnings, fmt.Sprintf("the history could not be written: %v", err))
	}
}

// settle notes how an activation ended for Status.
func (m *Manager) settle(a activation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failed, m.failedAt = "", time.Time{}
	if a.fallback {
		m.failed, m.failedAt = a.reason, m.opt.Now()
	}
}

// fail notes and records an activation that failed, and returns what is in force all the same.
func (m *Manager) fail(a activation, cause error) Result {
	r := Result{Problems: problemsOf(cause), Warnings: a.warnings}
	if active := m.active.Load(); active != nil {
		r.SHA, r.Previous, r.Rules, r.Fallback, r.Pinned = active.SHA, active.SHA, len(active.compiled.rules), active.Fallback, active.Pinned
	}
	m.mu.Lock()
	m.failed, m.failedAt = cause.Error(), m.opt.Now()
	m.mu.Unlock()
	m.record(Record{
		Time: m.opt.Now().UTC(), Who: a.who, Action: a.action, Result: Refused, SHA: r.SHA, Previous: r.Previous, Rules: r.Rules,
		Problems: len(r.Problems.Errors()), Reason: firstLine(cause.Error()), Warnings: a.warnings,
	}, &r.Warnings)
	return r
}

// configure puts another configuration in place, unless it is nil, and returns what puts the old one back.
func (m *Manager) configure(c *Config) (undo func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.config
	if c != nil {
		m.config = *c
	}
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.config = old
	}
}

func (m *Manager) configured() Config {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.config
}

// Previous is the name of the set that was in force before the current one.
const Previous = "previous"

// Rollback puts a stored set into force: Previous, or the beginning of a hash, at least six digits. The set is verified
// and compiled; its tests are not run again. It stays in force, over restarts too, until somebody reloads.
func (m *Manager) Rollback(ctx context.Context, who, target string) (Result, error) {
	if err := m.acquire(ctx); err != nil {
		return Result{}, err
	}
	defer m.release()
	a := activation{action: RolledBack, who: who, pinned: true}
	sha, err := m.resolve(target)
	if err != nil {
		return m.fail(a, err), err
	}
	c, err := m.load(sha)
	if err != nil {
		return m.fail(a, err), err
	}
	return m.activate(c, a), nil
}

// resolve returns the hash of a stored set by its name.
func (m *Manager) resolve(target string) (string, error) {
	if target != Previous && target != InForce {
		return m.store.find(target)
	}
	recent, err := m.order()
	if err != nil {
		return "", err
	}
	switch {
	case target == InForce && len(recent) > 0:
		return recent[0], nil
	case target == InForce:
		return "", fmt.Errorf("%w: nothing is in force", ErrNotStored)
	case len(recent) > 1:
		return recent[1], nil
	}
	return "", fmt.Errorf("%w: there was none before this one", ErrNotStored)
}

// order returns the hashes of the sets that were in force, beginning with the one that is.
func (m *Manager) order() ([]string, error) {
	active := m.active.Load()
	if active == nil {
		s, err := m.store.readState()
		return s.Recent, err
	}
	recent := slices.DeleteFunc(m.recent(), func(sha string) bool { return sha == active.SHA })
	return slices.Insert(recent, 0, active.SHA), nil
}

// acquire waits for the right to activate.
func (m *Manager) acquire(ctx context.Context) error {
	select {
	case m.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *Manager) release() { <-m.busy }

// recent returns the hashes of the sets that were in force, the newest first.
func (m *Manager) recent() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.state.Recent)
}

// lastActive returns the hash of the set that was in force before this process.
func (m *Manager) lastActive() string {
	if recent := m.recent(); len(recent) > 0 {
		return recent[0]
	}
	return ""
}

// History returns what was done, the oldest first.
func (m *Manager) History() ([]Record, error) { return m.store.history(m.opt.MaxHistory) }

// Status describes the set in force; before Start it is empty.
func (m *Manager) Status() Status {
	active := m.active.Load()
	m.mu.Lock()
	s := Status{Failed: m.failed, FailedAt: m.failedAt}
	if m.stateErr != "" {
		s.Warnings = append(s.Warnings, m.stateErr)
	}
	s.Stored = active != nil && m.stateErr == ""
	m.mu.Unlock()
	if active == nil {
		return s
	}
	s.SHA, s.Since, s.Fallback, s.Pinned = active.SHA, active.Since, active.Fallback, active.Pinned
	for _, rule := range active.compiled.rules {
		s.Rules++
		switch rule.Mode {
		case rules.Monitor:
			s.Monitored++
		case rules.Off:
			s.Off++
		}
	}
	for _, w := range active.Warnings {
		s.Warnings = append(s.Warnings, w.String())
	}
	s.Expiring = m.engine.expiring(active.Set, m.opt.Expiring, m.opt.Now())
	return s
}

// firstLine returns the first line of a text.
func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
