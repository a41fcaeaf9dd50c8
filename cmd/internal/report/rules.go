package report

import (
	"cmp"
	"fmt"
	"strings"

	"assay/milter/filter"
	"assay/rules"
)

// An Amendment is what is changed in the content of the message.
type Amendment struct {
	Changed  []string  `json:"changed"`  // "subject", "html", "attachment", "note", "signature"
	Original string    `json:"original"` // SHA-256 of the message as received, "" if its body stays
	Level    string    `json:"level"`    // at which HTML was made safe
	Taken    []Finding `json:"taken"`    // out of HTML
	Files    []File    `json:"files"`    // attachments that are replaced by a notice
	Kept     []Kept    `json:"kept"`     // parts that a rule wanted changed and that stay
}

// A File is an attachment that is taken out.
type File struct {
	Section string `json:"section"`
	Name    string `json:"name"`
	Type    string `json:"type"`
	Size    int64  `json:"size"`
	SHA256  string `json:"sha256"`
	Rule    string `json:"rule"`
}

// A Kept is an edit that is not made.
type Kept struct {
	Section string `json:"section"`
	Reason  string `json:"reason"`
}

// newAmendment returns the report of an amendment.
func newAmendment(a filter.Amendment) Amendment {
	out := Amendment{Changed: present(a.Changed), Original: a.SHA256, Level: string(a.Level), Taken: each(a.Taken, newFinding),
		Kept: each(a.Kept, func(k filter.Kept) Kept { return Kept(k) }), Files: []File{}}
	for _, f := range a.Files {
		out.Files = append(out.Files, File{f.Section, f.Name, f.Type, f.Size, f.SHA256, f.Rule})
	}
	return out
}

// A Match is one rule that fired, or would have in the mode monitor.
type Match struct {
	ID       string `json:"id"`
	Title    string `json:"title"`
	Severity string `json:"severity"`
	Enforced bool   `json:"enforced"`
	Asked    string `json:"asked"`
}

// A Trace says how one rule ended, and why.
type Trace struct {
	Rule       string           `json:"rule"`
	Title      string           `json:"title"`
	Mode       string           `json:"mode"`
	Severity   string           `json:"severity"`
	File       string           `json:"file"`
	Line       int              `json:"line"`
	Outcome    string           `json:"outcome"`
	Condition  string           `json:"condition"`
	Values     []Value          `json:"values"`
	Exceptions []ExceptionTrace `json:"exceptions"`
	Asked      []string         `json:"asked"`
	Error      string           `json:"error"`
}

// A Value is one sub-expression and its value.
type Value struct {
	Expr  string `json:"expr"`
	Text  string `json:"text"`
	Depth int    `json:"depth"`
}

// An ExceptionTrace says why an exception applied or did not.
type ExceptionTrace struct {
	ID      string `json:"id"`
	Applied bool   `json:"applied"`
	Why     string `json:"why"`
}

// newTrace returns the report of a trace.
func newTrace(t rules.Trace) Trace {
	return Trace{
		Rule: t.Rule, Title: t.Title, Mode: string(t.Mode), Severity: string(t.Severity), File: t.File, Line: t.Line,
		Outcome: string(t.Outcome), Condition: t.Condition, Asked: present(t.Asked), Error: t.Error,
		Values:     each(t.Values, func(v rules.Value) Value { return Value(v) }),
		Exceptions: each(t.Exceptions, func(e rules.ExceptionTrace) ExceptionTrace { return ExceptionTrace(e) }),
	}
}

// newMatch returns the report of a rule that fired.
func newMatch(m rules.Match) Match {
	return Match{ID: m.ID, Title: m.Title, Severity: string(m.Severity), Enforced: m.Enforced, Asked: m.Asked.String()}
}

// A colour is an escape sequence of terminals.
type colour string

// The colours of rules.
const (
	red    colour = "31"
	yellow colour = "33"
	grey   colour = "90"
)

// paint colours a text if the printer has colours.
func (p *printer) paint(c colour, text string) string {
	if !p.colours {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// traces writes every rule: how it ended, and the values that decided.
func (p *printer) traces(traces []Trace) {
	if len(traces) == 0 {
		return
	}
	p.heading("Rules")
	for _, t := range traces {
		p.trace(t)
	}
}

// trace writes one rule.
func (p *printer) trace(t Trace) {
	outcome := fmt.Sprintf("%-9s", t.Outcome)
	switch rules.Outcome(t.Outcome) {
	case rules.Fired, rules.Failed:
		outcome = p.paint(red, outcome)
	case rules.Monitored, rules.Excepted:
		outcome = p.paint(yellow, outcome)
	default:
		outcome = p.paint(grey, outcome)
	}
	p.line("  %s %s: %s", outcome, printable(t.Rule), printable(t.Title))
	if t.Outcome == string(rules.Inactive) {
		return
	}
	for _, v := range t.Values {
		p.line("            %s%s", strings.Repeat("  ", v.Depth), p.paint(grey, printable(v.Expr)+" = "+printable(v.Text)))
	}
	for _, e := range t.Exceptions {
		word := "does not apply"
		if e.Applied {
			word = "applies"
		}
		p.line("            exception %s %s: %s", printable(e.ID), word, printable(e.Why))
	}
	if t.Outcome == string(rules.Fired) || t.Outcome == string(rules.Monitored) {
		for _, a := range t.Asked {
			p.line("            asks: %s", printable(a))
		}
	}
	if t.Error != "" {
		p.line("            error: %s", printable(t.Error))
	}
}

// amendment writes what is changed in the content.
func (p *printer) amendment(a Amendment) {
	for _, f := range a.Files {
		p.line("  replace part %s, %s, by a notice (rule %s)", f.Section, printable(cmp.Or(f.Name, "without a name")), printable(f.Rule))
	}
	if len(a.Taken) > 0 {
		p.line("  take out of HTML, level %s:", a.Level)
		for _, f := range a.Taken {
			p.line("           %s", printable(strings.TrimSpace(fmt.Sprintf("%s %dx part %s %s", f.Kind, max(f.Count, 1), f.Section, f.Detail))))
		}
	}
	for _, k := range a.Kept {
		p.line("  leave part %s as it is: %s", k.Section, printable(k.Reason))
	}
}

// diff writes a unified diff of the message.
func (p *printer) diff(text string) {
	if text == "" {
		return
	}
	p.heading("The message as delivered, against as received")
	for line := range strings.Lines(text) {
		line = printable(strings.TrimRight(line, "\r\n"))
		switch {
		case strings.HasPrefix(line, "+"):
			line = p.paint("32", line)
		case strings.HasPrefix(line, "-"):
			line = p.paint(red, line)
		}
		p.line("  %s", line)
	}
}
