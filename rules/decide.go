package rules

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"assay/rules/facts"
	"assay/scan"
)

// A Set is a complete, checked set of rules. It is immutable and safe for concurrent use.
type Set struct {
	opt      Options
	hash     string
	files    []File
	rules    []*rule
	rank     map[string]int // of each rule, by id
	byID     map[string]*rule
	lists    map[string]*list
	macros   []*macro
	macroOf  map[string]*macro
	names    map[string]int // index of each macro
	groups   []recipientGroup
	patterns []recipientGroup
	base     *compiler
}

// An evaluation is the evaluation of a set for one message. It is the activation of all its expressions.
type evaluation struct {
	set      *Set
	provider Provider
	ctx      context.Context
	done     <-chan struct{} // of ctx
	memo     []memo          // of the macros, by index
	values   map[string]any  // facts that were read
	roots    []reflect.Value // the same, by the index of their names
	outcomes []outcome       // of what conditions have in common
	trace    *tracer         // nil unless the decision is to be explained

	vars   [maxLoops]reflect.Value // of the loops that are running
	cost   uint64                  // of the condition that is being evaluated, as far as CEL does not count it
	looked uint64                  // at which cost the clock was looked at
	halted error                   // why the condition is given up
}

// A memo is the value of a macro, once it was needed.
type memo struct {
	state memoState
	value ref.Val
	err   error
}

// A memoState says how far the evaluation of a macro is.
type memoState uint8

// The states. The zero value means that the macro was not needed yet.
const (
	unknown memoState = iota
	running
	done
)

// begin prepares the evaluation for one message.
func (s *Set) begin(ctx context.Context, p Provider) *evaluation {
	return &evaluation{set: s, provider: p, ctx: ctx, done: ctx.Done(), memo: make([]memo, len(s.macros)), values: make(map[string]any, 32),
		roots: make([]reflect.Value, len(s.base.catalog.children[""])), outcomes: make([]outcome, s.base.commons)}
}

// ResolveName implements cel.Activation.
func (ev *evaluation) ResolveName(name string) (any, bool) {
	if v, ok := ev.values[name]; ok {
		return v, true
	}
	if i, ok := ev.set.names[name]; ok {
		v := ev.macro(i)
		ev.values[name] = v
		return v, true
	}
	v, ok := ev.provider.ResolveName(name)
	if ok {
		ev.values[name] = v
	}
	return v, ok
}

// Parent implements cel.Activation.
func (ev *evaluation) Parent() cel.Activation { return nil }

// macro returns the value of a macro, which is evaluated once per message. An error is its value, too.
func (ev *evaluation) macro(i int) ref.Val {
	m := &ev.memo[i]
	switch m.state {
	case done:
		return m.value
	case running:
		return types.NewErr("macro %q needs itself", ev.set.macros[i].name)
	}
	m.state = running
	v, err := ev.evaluate(ev.set.macros[i].formula)
	if err != nil {
		v = types.NewErr("macro %s: %v", ev.set.macros[i].name, err)
	}
	m.state, m.value, m.err = done, v, err
	return v
}

// errPanic is a panic in an expression or in a fact that it reads.
var errPanic = errors.New("internal error")

// evaluate evaluates one expression. It never panics.
func (ev *evaluation) evaluate(f *formula) (v ref.Val, err error) {
	defer func() {
		if r := recover(); r != nil {
			v, err = nil, fmt.Errorf("%w: %v", errPanic, r)
		}
	}()
	if f.step != nil {
		b, err := ev.holds(f)
		return types.Bool(b), err
	}
	if err := ev.late(); err != nil {
		return nil, err
	}
	return ev.run(f.program, f.cheap)
}

// late returns why there is no time left, nil if there is.
func (ev *evaluation) late() error {
	select {
	case <-ev.done:
		return context.Cause(ev.ctx)
	default:
		return nil
	}
}

// run evaluates a program of CEL. One that is not cheap looks at the clock.
func (ev *evaluation) run(p cel.Program, cheap bool) (v ref.Val, err error) {
	if cheap {
		v, _, err = p.Eval(ev)
	} else {
		v, _, err = p.ContextEval(ev.ctx, ev)
	}
	return v, err
}

// holds evaluates a condition. It has a budget of its own, also when it is a macro that another condition needs.
func (ev *evaluation) holds(f *formula) (bool, error) {
	if err := ev.late(); err != nil {
		return false, err
	}
	cost, looked, halted := ev.cost, ev.looked, ev.halted
	ev.cost, ev.looked, ev.halted = 0, 0, nil
	v, err := f.step(ev)
	if ev.halted != nil {
		v, err = false, ev.halted
	}
	ev.cost, ev.looked, ev.halted = cost, looked, halted
	return v, err
}

// fact returns a fact, the zero value if the provider has none of that name and type.
func fact[T any](ev *evaluation, name string) T {
	v, _ := ev.ResolveName(name)
	switch v := v.(type) {
	case T:
		return v
	case *T:
		if v != nil {
			return *v
		}
	}
	var zero T
	return zero
}

// authenticated reports whether the sender is authenticated: by the macro of that name, or by DMARC.
func (ev *evaluation) authenticated() bool {
	if m := ev.set.macroOf[authenticatedMacro]; m != nil {
		return ev.macro(m.index) == types.True
	}
	return fact[facts.Auth](ev, "auth").DMARC.Result == "pass"
}

// errDeadline is the cause of every failure behind Options.Deadline.
var errDeadline = errors.New("out of time: the rules took too long for this message")

// Decide decides about a message. When ctx ends first, the decision is to defer.
func (s *Set) Decide(ctx context.Context, in facts.Input) Decision {
	return s.DecideFrom(ctx, facts.New(in))
}

// DecideFrom decides about the message that p supplies facts about. When ctx ends first, or the rules take longer than
// Options.Deadline, the decision is at least to defer.
func (s *Set) DecideFrom(ctx context.Context, p Provider) Decision {
	d, _ := s.decide(ctx, p, nil)
	return d
}

// decide evaluates all rules.
func (s *Set) decide(ctx context.Context, p Provider, t *tracer) (Decision, []Trace) {
	limited, cancel := context.WithTimeoutCause(ctx, s.opt.Deadline, errDeadline)
	defer cancel()
	ev := s.begin(limited, p)
	ev.trace = t
	d := Decision{Disposition: Deliver, Set: s.hash}
	var traces []Trace
	if t != nil {
		traces = make([]Trace, len(s.rules))
	}
	ev.all(&d, traces, func(r *rule) bool { return r.mode == Enforce })
	if limited.Err() != nil { // a rule that is enforced may not have been evaluated, whatever it says in on_error
		d.raise(Defer, SMTPReply{}, context.Cause(limited).Error())
	}
	// Rules that are only watched come behind, so that they cannot take the time of those that are enforced.
	ev.all(&d, traces, func(r *rule) bool { return r.mode != Enforce })
	if ctx.Err() != nil {
		d.raise(Defer, SMTPReply{}, context.Cause(ctx).Error())
	}
	s.sort(&d)
	d.Trust = ev.safeTrust(d)
	return d, traces
}

// all evaluates the rules that are wanted.
func (ev *evaluation) all(d *Decision, traces []Trace, wanted func(r *rule) bool) {
	for i, r := range ev.set.rules {
		if !wanted(r) {
			continue
		}
		o := ev.rule(r, d)
		if ev.trace != nil {
			traces[i] = ev.trace.rule(ev, r, o)
		}
	}
}

// sort puts what a decision says about rules into their order.
func (s *Set) sort(d *Decision) {
	at := func(a, b string) int { return s.rank[a] - s.rank[b] }
	slices.SortStableFunc(d.Rules, func(a, b Match) int { return at(a.ID, b.ID) })
	slices.SortStableFunc(d.Exempt, func(a, b Exemption) int { return at(a.Rule, b.Rule) })
	slices.SortStableFunc(d.Errors, func(a, b Failure) int { return at(a.Rule, b.Rule) })
}

// An ending is how a rule ended.
type ending struct {
	outcome    Outcome
	exceptions []ExceptionTrace
	err        error
}

// rule evaluates one rule and adds what it asks for to the decision.
func (ev *evaluation) rule(r *rule, d *Decision) (o ending) {
	if r.mode == Off {
		return ending{outcome: Inactive}
	}
	defer func() {
		if p := recover(); p != nil {
			o = ending{Failed, o.exceptions, fmt.Errorf("%w: %v", errPanic, p)}
			ev.fail(r, d, o.err)
		}
	}()
	holds, err := ev.holds(r.when)
	if err != nil {
		ev.fail(r, d, err)
		return ending{outcome: Failed, err: err}
	}
	if !holds {
		return ending{outcome: NotFired}
	}
	for _, x := range r.exceptions {
		ok, why := x.applies(ev)
		if ev.trace != nil {
			o.exceptions = append(o.exceptions, ExceptionTrace{ID: x.info.ID, Applied: ok, Why: why})
		}
		if ok {
			d.Exempt = append(d.Exempt, Exemption{Rule: r.info.ID, Exception: x.info.ID})
			o.outcome = Excepted
			return o
		}
	}
	d.Rules = append(d.Rules, Match{ID: r.info.ID, Title: r.info.Title, Severity: r.severity, Enforced: r.mode == Enforce,
		Asked: r.then.disposition})
	o.outcome = Monitored
	if r.mode == Enforce {
		o.outcome = Fired
		ev.act(r, d)
	}
	return o
}

// fail notes that a rule could not be evaluated. One that is only monitored changes nothing.
func (ev *evaluation) fail(r *rule, d *Decision, err error) {
	d.Errors = append(d.Errors, Failure{Rule: r.info.ID, Cause: err.Error()})
	if r.mode == Enforce && r.onError != Deliver {
		if r.onError == Quarantine {
			d.Release = d.Release.Stricter(ev.set.opt.Release)
		}
		d.raise(r.onError, SMTPReply{}, fmt.Sprintf("rule %s could not be evaluated", r.info.ID))
	}
}

// raise makes the disposition stricter. The first rule that asks for the strictest one gives the text.
func (d *Decision) raise(to Disposition, reply SMTPReply, reason string) {
	if to.Strictness() > d.Disposition.Strictness() {
		d.Disposition, d.Reply, d.Reason = to, reply, reason
	}
}

// act adds what a rule asks for.
func (ev *evaluation) act(r *rule, d *Decision) {
	a := r.then
	if a.disposition == Quarantine {
		d.Release = d.Release.Stricter(a.release)
	}
	ev.dispose(r, d)
	if a.tag != nil {
		d.Tags = once(d.Tags, ev.expand(*a.tag))
	}
	for _, h := range a.headers {
		d.Headers = once(d.Headers, HeaderField{Name: h.name, Value: ev.expand(h.value)})
	}
	if a.note != nil {
		d.Notes = once(d.Notes, ev.expand(*a.note))
	}
	if a.html != nil {
		d.strip(HTMLAction{Rule: r.info.ID, Level: a.html.level, Unwrap: a.html.unwrap})
	}
	if a.remove != nil {
		ev.removals(r, d)
	}
	for _, channel := range a.notify {
		d.Notify = append(d.Notify, Notification{Channel: channel, Rule: r.info.ID, Title: r.info.Title})
	}
}

// once adds what another rule has not asked for already.
func once[T comparable](all []T, one T) []T {
	if slices.Contains(all, one) {
		return all
	}
	return append(all, one)
}

// dispose raises the disposition to what a rule asks for.
func (ev *evaluation) dispose(r *rule, d *Decision) {
	a := r.then
	if a.disposition.Strictness() <= d.Disposition.Strictness() {
		return
	}
	switch a.disposition {
	case Reject, Defer:
		d.raise(a.disposition, SMTPReply{Code: a.code, Enhanced: a.enhanced, Text: ev.expand(*a.text)}, r.info.Title)
	case Quarantine:
		d.raise(Quarantine, SMTPReply{}, ev.expand(*a.text))
	case Junk:
		d.raise(Junk, SMTPReply{}, r.info.Title)
	}
}

// strip asks for HTML to be made safe. Of several requests for the same parts the one that takes out most is kept.
func (d *Decision) strip(a HTMLAction) {
	order := map[scan.Level]int{scan.Active: 1, scan.Remote: 2, scan.Text: 3}
	for i, other := range d.HTML {
		if other.Unwrap == a.Unwrap {
			if order[a.Level] > order[other.Level] {
				d.HTML[i] = a
			}
			return
		}
	}
	d.HTML = append(d.HTML, a)
}

// removals asks for the attachments that the condition of a rule holds for to be removed.
func (ev *evaluation) removals(r *rule, d *Decision) {
	v, err := ev.evaluate(r.then.remove.where)
	if err != nil {
		ev.fail(r, d, fmt.Errorf("remove_attachments: %w", err))
		return
	}
	reason := ""
	if r.then.remove.reason != nil {
		reason = ev.expand(*r.then.remove.reason)
	}
	for _, o := range objectsOf(v) {
		d.Remove = append(d.Remove, Removal{Rule: r.info.ID, Section: o.Section, Name: o.Name, Reason: reason, Unwrap: r.then.remove.unwrap})
	}
}
