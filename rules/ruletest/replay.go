package ruletest

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"assay/rules"
	"assay/rules/facts"
)

// A Case is one message of a replay, or why it could not be read. It is valid until the next one is asked for.
type Case struct {
	Input facts.Input
	Err   error
}

// CompareOptions bound what a comparison lists. The zero value is useful.
type CompareOptions struct {
	MaxListed int         // most changed messages, and most errors, that are listed; 100 by default
	Progress  func(n int) // called after each message with how many there were so far; nil for none
}

// A Replay says what would change if a new rule set took the place of an old one.
type Replay struct {
	Old          string         `json:"old"` // SHA-256 of the sets
	New          string         `json:"new"`
	Messages     int            `json:"messages"` // that both sets have judged
	Rules        []RuleCount    `json:"rules"`    // those that fired for any message, by id
	Dispositions []Move         `json:"dispositions"`
	Changed      []ChangedMail  `json:"changed"` // the first messages for which anything changes that people would notice
	ChangedTotal int            `json:"changed_total"`
	Errors       []MessageError `json:"errors"` // the first messages that could not be read, or rules that could not be evaluated
	ErrorsTotal  int            `json:"errors_total"`
	Unreadable   int            `json:"unreadable"` // messages that were not judged
	Stopped      bool           `json:"stopped"`    // the context ended before all messages were judged
}

// A RuleCount says how often a rule fired.
type RuleCount struct {
	ID           string `json:"id"`
	OldFired     int    `json:"old_fired"`
	OldMonitored int    `json:"old_monitored"`
	OldExcepted  int    `json:"old_excepted"`
	NewFired     int    `json:"new_fired"`
	NewMonitored int    `json:"new_monitored"`
	NewExcepted  int    `json:"new_excepted"`
}

// changed reports whether the counts differ.
func (c RuleCount) changed() bool {
	return c.OldFired != c.NewFired || c.OldMonitored != c.NewMonitored || c.OldExcepted != c.NewExcepted
}

// A Move says how many messages go from one disposition to another.
type Move struct {
	Old   rules.Disposition `json:"old"`
	New   rules.Disposition `json:"new"`
	Count int               `json:"count"`
}

// A ChangedMail is a message that would be treated otherwise.
type ChangedMail struct {
	Name    string            `json:"name"`
	Old     rules.Disposition `json:"old"`
	New     rules.Disposition `json:"new"`
	Changes []string          `json:"changes"` // in words
}

// A MessageError is a message that could not be judged as it should.
type MessageError struct {
	Name  string `json:"name"`
	Cause string `json:"cause"`
}

// Compare lets two sets decide about the same messages. Both see the same facts, so whatever differs comes from the rules.
// A message that cannot be read is counted and listed, and the rest goes on. Memory does not grow with the number of messages.
func Compare(ctx context.Context, old, current *rules.Set, messages iter.Seq2[string, Case], opt CompareOptions) *Replay {
	if opt.MaxListed <= 0 {
		opt.MaxListed = 100
	}
	c := &comparing{
		opt: opt, counts: map[string]*RuleCount{}, moves: map[[2]rules.Disposition]int{},
		Replay: Replay{Old: old.Hash(), New: current.Hash(), Changed: []ChangedMail{}, Errors: []MessageError{}},
	}
	n := 0
	for name, message := range messages {
		if ctx.Err() != nil {
			c.Stopped = true
			break
		}
		c.message(ctx, old, current, name, message)
		if n++; opt.Progress != nil {
			opt.Progress(n)
		}
	}
	c.Stopped = c.Stopped || ctx.Err() != nil
	return c.finish()
}

// comparing is a comparison under way.
type comparing struct {
	Replay
	opt    CompareOptions
	counts map[string]*RuleCount
	moves  map[[2]rules.Disposition]int
}

// message compares the decisions about one message.
func (c *comparing) message(ctx context.Context, old, current *rules.Set, name string, m Case) {
	if m.Err != nil {
		c.Unreadable++
		c.fail(name, m.Err.Error())
		return
	}
	f := facts.New(m.Input)
	before, after := old.DecideFrom(ctx, f), current.DecideFrom(ctx, f)
	if ctx.Err() != nil {
		return // both decisions are to defer, which says nothing
	}
	c.Messages++
	c.count(before, func(r *RuleCount) (fired, monitored, excepted *int) {
		return &r.OldFired, &r.OldMonitored, &r.OldExcepted
	})
	c.count(after, func(r *RuleCount) (fired, monitored, excepted *int) {
		return &r.NewFired, &r.NewMonitored, &r.NewExcepted
	})
	c.moves[[2]rules.Disposition{before.Disposition, after.Disposition}]++
	for _, failed := range before.Errors {
		c.fail(name, fmt.Sprintf("old rule %s: %s", failed.Rule, failed.Cause))
	}
	for _, failed := range after.Errors {
		c.fail(name, fmt.Sprintf("new rule %s: %s", failed.Rule, failed.Cause))
	}
	if changes := changes(before, after); len(changes) > 0 {
		if c.ChangedTotal++; len(c.Changed) < c.opt.MaxListed {
			c.Changed = append(c.Changed, ChangedMail{name, before.Disposition, after.Disposition, changes})
		}
	}
}

// fail records what went wrong with a message.
func (c *comparing) fail(name, cause string) {
	if c.ErrorsTotal++; len(c.Errors) < c.opt.MaxListed {
		c.Errors = append(c.Errors, MessageError{name, cause})
	}
}

// count counts the rules of one decision.
func (c *comparing) count(d rules.Decision, at func(*RuleCount) (fired, monitored, excepted *int)) {
	of := func(id string) *RuleCount {
		if c.counts[id] == nil {
			c.counts[id] = &RuleCount{ID: id}
		}
		return c.counts[id]
	}
	for _, m := range d.Rules {
		fired, monitored, _ := at(of(m.ID))
		if m.Enforced {
			*fired++
		} else {
			*monitored++
		}
	}
	seen := map[string]bool{}
	for _, e := range d.Exempt {
		if !seen[e.Rule] {
			_, _, excepted := at(of(e.Rule))
			*excepted++
			seen[e.Rule] = true
		}
	}
}

// finish puts the counts in order.
func (c *comparing) finish() *Replay {
	for _, r := range c.counts {
		c.Rules = append(c.Rules, *r)
	}
	slices.SortFunc(c.Rules, func(a, b RuleCount) int { return strings.Compare(a.ID, b.ID) })
	for move, n := range c.moves {
		c.Dispositions = append(c.Dispositions, Move{move[0], move[1], n})
	}
	slices.SortFunc(c.Dispositions, func(a, b Move) int {
		if d := a.Old.Strictness() - b.Old.Strictness(); d != 0 {
			return d
		}
		return a.New.Strictness() - b.New.Strictness()
	})
	return &c.Replay
}

// changes says what people would notice of another decision: the disposition, the reply, and modifications. That other
// rules fired is not among it.
func changes(a, b rules.Decision) []string {
	var out []string
	say := func(what, old, current string) {
		if old != current {
			out = append(out, fmt.Sprintf("%s: %s -> %s", what, old, current))
		}
	}
	say("disposition", a.Disposition.String(), b.Disposition.String())
	if a.Disposition == b.Disposition {
		say("reply", fmt.Sprintf("%q", reply(a.Reply)), fmt.Sprintf("%q", reply(b.Reply)))
	}
	say("trust", string(a.Trust), string(b.Trust))
	if a.Disposition == rules.Reject && b.Disposition == rules.Reject || a.Disposition == rules.Defer && b.Disposition == rules.Defer {
		return out // nothing of the message is delivered
	}
	say("tags", quotedList(a.Tags), quotedList(b.Tags))
	say("notes", quotedList(a.Notes), quotedList(b.Notes))
	say("headers", fields(a), fields(b))
	say("html", edits(a), edits(b))
	say("removed", removals(a), removals(b))
	say("notify", channels(a), channels(b))
	return out
}

// The following write a part of a decision in one line.

func fields(d rules.Decision) string {
	var all []string
	for _, h := range d.Headers {
		all = append(all, h.Name+": "+h.Value)
	}
	return quotedList(all)
}

func edits(d rules.Decision) string {
	var all []string
	for _, h := range d.HTML {
		if all = append(all, string(h.Level)); h.Unwrap {
			all[len(all)-1] += ", also signed parts"
		}
	}
	return list(all)
}

func removals(d rules.Decision) string {
	var all []string
	for _, r := range d.Remove {
		all = append(all, fmt.Sprintf("%s %q", r.Section, r.Name))
	}
	return list(all)
}

func channels(d rules.Decision) string {
	var all []string
	for _, n := range d.Notify {
		all = append(all, n.Channel)
	}
	slices.Sort(all)
	return list(slices.Compact(all))
}
