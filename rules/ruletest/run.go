package ruletest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"assay/rules"
)

// Run runs the tests of a rule set that was loaded from sources with opt.Load. What is wrong in one test, or in one file,
// does not keep the others from being run. When ctx ends, the tests that are left count as not run.
func Run(ctx context.Context, set *rules.Set, sources []rules.Source, opt Options) *Report {
	r := &runner{
		opt: opt, sources: sources, levels: newLevels(set, sources, opt.Load), shown: map[string]*shown{}, applied: map[string]bool{},
		report: Report{Files: []FileReport{}, Mistakes: []string{}},
	}
	r.report.Set = set.Hash()
	for _, f := range set.Files() {
		if f.Test {
			r.file(ctx, f)
		}
	}
	r.report.Coverage = r.coverage(set)
	for _, p := range r.report.Problems {
		r.report.Mistakes = append(r.report.Mistakes, p.String())
	}
	return &r.report
}

// A runner runs tests.
type runner struct {
	opt     Options
	sources []rules.Source
	levels  *levels
	report  Report
	shown   map[string]*shown // by id of the rule
	applied map[string]bool   // exceptions that applied, "rule/exception"
}

// A shown is what tests have shown of one rule.
type shown struct{ fired, silent, failed bool }

// file runs the tests of one file.
func (r *runner) file(ctx context.Context, file rules.File) {
	source := r.levels.source(file.Source)
	if source < 0 {
		source = len(r.sources) - 1
	}
	name := file.Name
	if file.Source != "" {
		name = strings.TrimSuffix(file.Source, "/") + "/" + file.Name
	}
	f := decodeFile(name, file.Name, file.Text)
	f.source = source
	out := FileReport{Name: name, Tests: []Result{}}
	if set := r.base(f); set != nil {
		for _, t := range f.tests {
			f.checkIDs(set, t)
		}
		for _, t := range f.tests {
			if t.broken || r.opt.Only != nil && !r.opt.Only(t.name) {
				continue
			}
			if ctx.Err() != nil {
				r.report.Stopped = true
				break
			}
			out.Tests = append(out.Tests, r.test(ctx, f, t))
		}
	}
	out.Mistakes = len(f.problems)
	for _, t := range out.Tests {
		r.report.Total++
		if !t.Passed {
			r.report.Failed++
		}
	}
	r.report.Files = append(r.report.Files, out)
	r.report.Problems = append(r.report.Problems, sortedProblems(f.problems)...)
}

// base returns the set that the tests of a file see, without modes; nil with a problem if there is none.
func (r *runner) base(f *testFile) *rules.Set {
	plain, err := r.levels.get(f.source, nil, false)
	if err != nil {
		f.reportAt(0, 0, fmt.Sprintf("the rules of this directory cannot be used without those of later ones, so its tests cannot be run: %v", err))
		return nil
	}
	before := len(f.problems)
	f.checkLists(plain, f.listKeys)
	if len(f.problems) > before {
		return nil
	}
	set, err := r.levels.get(f.source, f.lists, false)
	if err != nil {
		f.reportAt(0, 0, fmt.Sprintf("extend_lists: %v", err))
		return nil
	}
	return set
}

// test runs one test. A panic is a bug of ours, and fails this test only.
func (r *runner) test(ctx context.Context, f *testFile, t *test) (out Result) {
	out = Result{Name: t.name, File: f.name, Line: t.at.line, Column: t.at.column}
	defer func() {
		if cause := recover(); cause != nil {
			out.Passed, out.Error = false, fmt.Sprintf("internal error: %v", cause)
		}
	}()
	set, err := r.levels.get(f.source, f.lists, t.enforce)
	if err != nil {
		out.Error = fmt.Sprintf("the rules cannot be loaded with all of them enforced: %v", err)
		return out
	}
	s, err := r.scene(ctx, t, r.sources[f.source])
	if err != nil {
		out.Error = err.Error()
		return out
	}
	defer s.close()
	d := set.DecideFrom(ctx, s.provider)
	if ctx.Err() != nil {
		out.Error = "stopped: " + ctx.Err().Error()
		return out
	}
	r.observe(set, d)
	if out.Mismatches = compare(&t.expect, d, s.subject); len(out.Mismatches) > 0 {
		out.Traces = explain(ctx, set, s.provider, t, d)
		return out
	}
	out.Passed = true
	return out
}

// observe records what a decision shows about rules.
func (r *runner) observe(set *rules.Set, d rules.Decision) {
	of := func(id string) *shown {
		if r.shown[id] == nil {
			r.shown[id] = &shown{}
		}
		return r.shown[id]
	}
	loud := map[string]bool{}
	for _, m := range d.Rules {
		of(m.ID).fired, loud[m.ID] = true, true
	}
	for _, f := range d.Errors {
		of(f.Rule).failed, loud[f.Rule] = true, true
	}
	for _, e := range d.Exempt {
		r.applied[e.Rule+"/"+e.Exception] = true
	}
	for _, rule := range set.Rules() {
		if rule.Mode != rules.Off && !loud[rule.ID] {
			of(rule.ID).silent = true
		}
	}
}

// coverage says what no test has shown about the rules of the complete set.
func (r *runner) coverage(set *rules.Set) Coverage {
	c := Coverage{NeverFired: []string{}, NeverSilent: []string{}, NeverApplied: []string{}, FailedAtRunTime: []string{}}
	for _, rule := range set.Rules() {
		if rule.Mode == rules.Off {
			continue
		}
		c.Rules++
		s := r.shown[rule.ID]
		if s == nil {
			s = &shown{}
		}
		for _, gap := range []struct {
			list *[]string
			hold bool
		}{{&c.NeverFired, !s.fired}, {&c.NeverSilent, !s.silent}, {&c.FailedAtRunTime, s.failed}} {
			if gap.hold {
				*gap.list = append(*gap.list, rule.ID)
			}
		}
		for _, e := range rule.Exceptions {
			if now := r.opt.Load.Now; !now.IsZero() && !e.Expires.IsZero() && !now.Before(e.Expires) {
				continue
			}
			c.Exceptions++
			if name := rule.ID + "/" + e.ID; !r.applied[name] {
				c.NeverApplied = append(c.NeverApplied, name)
			}
		}
	}
	return c
}

// maxTraces bounds the rules that are explained for one test.
const maxTraces = 5

// explain returns the traces of the rules that the mismatches of a test are about: those that fired against its
// expectation or did not although it expects them, else those that fired.
func explain(ctx context.Context, set *rules.Set, p rules.Provider, t *test, d rules.Decision) []rules.Trace {
	wanted, fired := map[string]bool{}, map[string]bool{}
	for _, m := range d.Rules {
		fired[m.ID] = true
	}
	e := &t.expect
	for _, list := range [][]*yaml.Node{e.fired, e.includes, e.monitored, e.errors, e.excepted} {
		for _, id := range texts(list) {
			id, _, _ = strings.Cut(id, "/")
			wanted[id] = !fired[id]
		}
	}
	for id := range fired {
		_, named := wanted[id]
		if !named && (e.fired != nil || e.monitored != nil) || slices.Contains(texts(e.notFired), id) {
			wanted[id] = true
		}
	}
	for _, f := range d.Errors {
		wanted[f.Rule] = true
	}
	if !slices.Contains(slices.Collect(maps.Values(wanted)), true) {
		wanted = fired
	}
	_, traces := set.Explain(ctx, p)
	traces = slices.DeleteFunc(traces, func(trace rules.Trace) bool { return !wanted[trace.Rule] })
	return traces[:min(len(traces), maxTraces)]
}
