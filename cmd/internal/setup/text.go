package setup

import (
	"cmp"
	"fmt"
	"io"
	"strings"
)

// Text writes a report for people.
func (r *Report) Text(w io.Writer) {
	if r.MTA != "" {
		fmt.Fprintln(w, strings.TrimSpace(r.MTA+" "+r.Version)) // --undo does not ask for the version
	}
	for _, f := range r.Found {
		fmt.Fprintf(w, "  %-24s %s\n", f.Name, cmp.Or(f.Value, "(empty)"))
	}
	for _, p := range r.Problems {
		fmt.Fprintf(w, "problem: %s\n", p)
	}
	for _, c := range r.Changes {
		fmt.Fprintf(w, "%s %s\n", map[bool]string{true: "changed:", false: "to change:"}[r.Changed], c.What)
		if c.From != "" || strings.HasSuffix(c.What, "milters") {
			fmt.Fprintf(w, "  from  %s\n", cmp.Or(c.From, "(empty)"))
		}
		fmt.Fprintf(w, "  to    %s\n  for   %s\n", strings.TrimRight(strings.ReplaceAll(c.To, "\n", "\n        "), "\n "), c.Why)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "note: %s\n", n)
	}
	if r.Kept != "" && !r.Restored {
		fmt.Fprintf(w, "what was there is kept in %s; \"assay setup --undo\" puts it back\n", r.Kept)
	}
	r.Probe.text(w)
}

// text writes what a probe has shown.
func (p Probe) text(w io.Writer) {
	if p.State != ProbeProven {
		return // the error says it
	}
	fmt.Fprintf(w, "proven: a mail to %s was queued as %s and passed through Assay (%s)\n", p.To, p.QueueID, p.Decided)
	if p.Header != "" {
		fmt.Fprintf(w, "delivered to %s with\n  X-Assay-Result: %s\n", p.Mailbox, p.Header)
		return
	}
	fmt.Fprintln(w, "the delivered mail was not looked for, or is not where root can read it; look for X-Assay-Result in it")
}
