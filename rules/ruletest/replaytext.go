package ruletest

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"assay/rules"
)

// Text writes the comparison for people.
func (r *Replay) Text(w io.Writer, color bool) error {
	p := &printer{bufio.NewWriter(w), color}
	p.printf("%s compared", count(r.Messages, "message"))
	if r.Unreadable > 0 {
		p.printf(", %s", p.paint(red, fmt.Sprintf("%d could not be read", r.Unreadable)))
	}
	p.printf("\n")
	p.matrix(r)
	p.counts(r)
	p.changed(r)
	if r.ErrorsTotal > 0 {
		p.printf("\n%s\n", p.paint(red, count(r.ErrorsTotal, "error")))
		for _, e := range r.Errors {
			p.printf("  %s: %s\n", printable(oneLine(e.Name)), printable(oneLine(e.Cause)))
		}
		p.more(r.ErrorsTotal - len(r.Errors))
	}
	if r.Stopped {
		p.printf("\n%s\n", p.paint(red, "stopped before all messages were compared"))
	}
	return p.Flush()
}

// matrix writes how dispositions change: a line for each of the old set, a column for each of the new one.
func (p *printer) matrix(r *Replay) {
	all := []rules.Disposition{rules.Deliver, rules.Junk, rules.Defer, rules.Quarantine, rules.Reject}
	counts := map[[2]rules.Disposition]int{}
	for _, m := range r.Dispositions {
		counts[[2]rules.Disposition{m.Old, m.New}] += m.Count
	}
	p.printf("\n%-14s", "old \\ new")
	for _, d := range all {
		p.printf("%12s", d)
	}
	p.printf("\n")
	for _, from := range all {
		p.printf("%-14s", from)
		for _, to := range all {
			cell := "."
			n := counts[[2]rules.Disposition{from, to}]
			if n > 0 {
				cell = fmt.Sprint(n)
			}
			if cell = fmt.Sprintf("%12s", cell); n > 0 && from != to {
				cell = p.paint(yellow, cell)
			}
			p.printf("%s", cell)
		}
		p.printf("\n")
	}
}

// counts writes how often rules fired. Those for which nothing changes come without a mark.
func (p *printer) counts(r *Replay) {
	if len(r.Rules) == 0 {
		return
	}
	width := len("rule")
	for _, c := range r.Rules {
		width = max(width, len(c.ID))
	}
	p.printf("\n  %-*s  %21s  %21s  %21s\n", width, "rule", "fired", "monitored", "excepted")
	for _, c := range r.Rules {
		mark := " "
		if c.changed() {
			mark = p.paint(yellow, "*")
		}
		p.printf("%s %-*s  %9d -> %8d  %9d -> %8d  %9d -> %8d\n", mark, width, c.ID,
			c.OldFired, c.NewFired, c.OldMonitored, c.NewMonitored, c.OldExcepted, c.NewExcepted)
	}
}

// changed writes the messages that would be treated otherwise.
func (p *printer) changed(r *Replay) {
	if r.ChangedTotal == 0 {
		p.printf("\n%s\n", p.paint(green, "no message would be treated otherwise"))
		return
	}
	p.printf("\n%s would be treated otherwise\n", p.paint(yellow, count(r.ChangedTotal, "message")))
	for _, c := range r.Changed {
		p.printf("  %s\n      %s\n", printable(oneLine(c.Name)), printable(oneLine(strings.Join(c.Changes, "; "))))
	}
	p.more(r.ChangedTotal - len(r.Changed))
}

// more says how many are not listed.
func (p *printer) more(n int) {
	if n > 0 {
		p.printf("  and %d more\n", n)
	}
}

// JSON writes the comparison for programs.
func (r *Replay) JSON(w io.Writer) error { return writeJSON(w, r) }
