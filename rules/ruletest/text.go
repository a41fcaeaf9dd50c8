package ruletest

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode"

	"assay/rules"
)

// A printer writes for people. Errors of the writer stay in it and show when it is flushed.
type printer struct {
	*bufio.Writer
	color bool
}

// Colours of ANSI terminals.
const (
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	reset  = "\x1b[0m"
)

// paint colours a text, if colours are wanted.
func (p *printer) paint(color, text string) string {
	if !p.color {
		return text
	}
	return color + text + reset
}

func (p *printer) printf(format string, args ...any) { fmt.Fprintf(p.Writer, format, args...) }

// Text writes the report for people: what is wrong with test files, one line per file, each failure with what was wanted
// and why the rules decided otherwise, what the tests do not cover, and the sum.
func (r *Report) Text(w io.Writer, color bool) error {
	p := &printer{bufio.NewWriter(w), color}
	for _, problem := range r.Problems {
		p.printf("%s\n", printable(problem.String()))
	}
	if len(r.Problems) > 0 {
		p.printf("\n")
	}
	for _, f := range r.Files {
		p.file(f)
	}
	for _, f := range r.Files {
		for _, t := range f.Tests {
			if !t.Passed {
				p.failure(t)
			}
		}
	}
	p.coverage(r.Coverage)
	p.sum(r)
	return p.Flush()
}

// file writes the line of a file.
func (p *printer) file(f FileReport) {
	failed := 0
	for _, t := range f.Tests {
		if !t.Passed {
			failed++
		}
	}
	state := p.paint(green, "ok  ")
	if failed > 0 || f.Mistakes > 0 {
		state = p.paint(red, "FAIL")
	}
	p.printf("%s  %s: %s", state, f.Name, count(len(f.Tests), "test"))
	if failed > 0 {
		p.printf(", %d failed", failed)
	}
	if f.Mistakes > 0 {
		p.printf(", %s", count(f.Mistakes, "mistake"))
	}
	p.printf("\n")
}

// failure writes one test that failed.
func (p *printer) failure(t Result) {
	p.printf("\n%s  %s:%d: %s\n", p.paint(red, "FAIL"), t.File, t.Line, printable(t.Name))
	if t.Error != "" {
		p.printf("    %s\n", printable(t.Error))
	}
	for _, m := range t.Mismatches {
		p.printf("    %-14s want %s\n    %-14s got  %s\n", m.What, printable(m.Want), "", p.paint(yellow, printable(m.Got)))
	}
	for _, trace := range t.Traces {
		p.trace(trace)
	}
}

// trace writes why a rule ended as it did.
func (p *printer) trace(t rules.Trace) {
	p.printf("\n    %s: %s (%s:%d, mode %s)\n", t.Rule, t.Outcome, t.File, t.Line, t.Mode)
	for line := range strings.Lines(strings.TrimSpace(t.Condition)) {
		p.printf("        %s\n", printable(strings.TrimSpace(line)))
	}
	for _, v := range t.Values {
		p.printf("      %s%s = %s\n", strings.Repeat("  ", v.Depth+1), printable(oneLine(v.Expr)), printable(oneLine(v.Text)))
	}
	for _, e := range t.Exceptions {
		outcome := "does not apply"
		if e.Applied {
			outcome = "applies"
		}
		p.printf("      exception %s %s: %s\n", e.ID, outcome, printable(e.Why))
	}
	if t.Error != "" {
		p.printf("      error: %s\n", printable(t.Error))
	}
}

// coverage writes what no test shows.
func (p *printer) coverage(c Coverage) {
	if c.Rules == 0 {
		return
	}
	p.printf("\ncoverage: rules fired %d of %d, silent %d of %d; exceptions applied %d of %d\n",
		c.Rules-len(c.NeverFired), c.Rules, c.Rules-len(c.NeverSilent), c.Rules, c.Exceptions-len(c.NeverApplied), c.Exceptions)
	for _, gap := range []struct {
		title string
		ids   []string
	}{
		{"never fired by a test", c.NeverFired}, {"never silent in a test", c.NeverSilent},
		{"exceptions that never apply", c.NeverApplied}, {"failed at run time", c.FailedAtRunTime},
	} {
		if len(gap.ids) > 0 {
			p.printf("  %s: %s\n", p.paint(yellow, gap.title), strings.Join(gap.ids, ", "))
		}
	}
}

// sum writes the last line.
func (p *printer) sum(r *Report) {
	line := fmt.Sprintf("%s: all passed", count(r.Total, "test"))
	color := green
	switch errors := len(r.Problems.Errors()); {
	case r.Total == 0 && errors == 0:
		line, color = "there are no tests", yellow
	case r.Failed > 0 || errors > 0:
		line, color = fmt.Sprintf("%s: %d failed", count(r.Total, "test"), r.Failed), red
		if errors > 0 {
			line += fmt.Sprintf("; %s in test files, tests with one were not run", count(errors, "mistake"))
		}
	}
	if r.Stopped {
		line, color = line+"; stopped before the end", red
	}
	p.printf("\n%s\n", p.paint(color, line))
}

// count writes a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// oneLine collapses blanks and line ends.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// printable replaces what a terminal would take for a command, which test files and messages may hold. Line ends stay.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}
