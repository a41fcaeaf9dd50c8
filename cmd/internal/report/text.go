package report

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// A printer writes text for people. What comes from messages or the DNS is escaped.
type printer struct {
	w       io.Writer
	err     error
	colours bool
}

// Text writes the report for people: what was checked, with every step, every rule, what was decided, and what is done. With
// colours it is for a terminal.
func (r Report) Text(w io.Writer, colours bool) error {
	p := &printer{w: w, colours: colours}
	p.envelope(r.Envelope, r)
	p.author(r.Results.Author)
	p.results(r.Results)
	p.objects(r.Objects, r.Virus)
	p.observations(r)
	p.questions(r.DNS)
	p.traces(r.Traces)
	p.decision(r)
	p.actions(r)
	p.diff(r.Diff)
	return p.err
}

// ResultsText writes results and questions alone; methods names the checks that were made.
func ResultsText(w io.Writer, r Results, questions []Question, methods ...string) error {
	p := &printer{w: w}
	for _, m := range methods {
		p.method(r, m)
	}
	p.questions(questions)
	return p.err
}

// line writes one formatted line.
func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// field writes a name and a value, if there is one.
func (p *printer) field(name, value string) {
	if value != "" {
		p.line("  %-14s %s", name, printable(value))
	}
}

// heading begins a section.
func (p *printer) heading(title string) { p.line("\n%s", title) }

// envelope writes what SMTP said.
func (p *printer) envelope(e Envelope, r Report) {
	p.line("Message %s: %d octets, %s", printable(cmp.Or(e.QueueID, "without queue id")), r.Size, plural(r.Parts, "part"))
	p.field("client", strings.TrimSpace(e.ClientIP+" "+e.ClientName))
	p.field("helo", e.Helo)
	p.field("mail from", "<"+e.MailFrom+">")
	for _, rcpt := range e.RcptTo {
		p.field("rcpt to", "<"+rcpt+">")
	}
	p.field("user", e.AuthUser)
	p.field("tls", cmp.Or(e.TLSVersion, "none"))
	p.field("received", e.ReceivedAt)
}

// author writes what From says.
func (p *printer) author(a Author) {
	for _, m := range a.Mailboxes {
		p.field("from", strings.TrimSpace(m.Name+" <"+m.Local+"@"+m.Domain+">"))
	}
	if a.Problem != "" {
		p.field("from problem", fmt.Sprintf("%s (%s)", a.Problem, plural(a.Fields, "From field")))
	}
}

// results writes every check.
func (p *printer) results(r Results) {
	p.heading("Checks")
	if r.Skipped != "" {
		p.line("  not made: %s", r.Skipped)
		p.outcome("auth", string(r.Auth.Result), r.Auth.Reason, r.Auth.User)
		return
	}
	for _, m := range []string{"auth", "spf", "dkim", "dmarc", "arc", "iprev", "smime"} {
		p.method(r, m)
	}
}

// method writes the outcome of one method.
func (p *printer) method(r Results, method string) {
	switch method {
	case "auth":
		p.outcome("auth", string(r.Auth.Result), r.Auth.Reason, r.Auth.User)
	case "spf":
		for _, v := range r.SPF {
			p.spf(v)
		}
	case "dkim":
		if len(r.DKIM) == 0 {
			p.outcome("dkim", "none", "the message carries no signature", "")
		}
		for _, v := range r.DKIM {
			p.dkim(v)
		}
	case "dmarc":
		p.dmarc(r.DMARC)
	case "arc":
		p.outcome("arc", string(r.ARC.Result), r.ARC.Reason, "")
		p.detail("sealers", strings.Join(r.ARC.Sealers, ", "))
		p.steps(r.ARC.Steps)
	case "smime":
		p.smime(r.SMIME)
	case "iprev":
		p.outcome("iprev", string(r.IPRev.Result), r.IPRev.Reason, strings.TrimSpace(r.IPRev.IP+" "+r.IPRev.Name))
		p.steps(r.IPRev.Steps)
	}
}

// outcome writes one result, what it is about, and why.
func (p *printer) outcome(method, result, reason, about string) {
	text := fmt.Sprintf("  %-6s %-9s %s", method, result, printable(about))
	if reason != "" {
		text = strings.TrimRight(text, " ") + ": " + printable(reason)
	}
	p.line("%s", strings.TrimRight(text, " "))
}

// detail writes a property of an outcome, if there is one.
func (p *printer) detail(name, value string) {
	if value != "" {
		p.line("           %s: %s", name, printable(value))
	}
}

// steps writes the steps of an evaluation.
func (p *printer) steps(steps []string) {
	for _, s := range steps {
		p.line("           - %s", printable(s))
	}
}

// spf writes one SPF check.
func (p *printer) spf(v SPF) {
	p.outcome("spf", string(v.Result), v.Reason, v.Identity+" "+cmp.Or(v.Domain, "-"))
	p.detail("record", v.Record)
	if v.Mechanism != "" {
		p.detail("matched", v.Mechanism+" at "+cmp.Or(v.RecordAt, v.Domain))
	}
	p.detail("explanation", v.Explanation)
	p.steps(v.Steps)
}

// dkim writes one signature.
func (p *printer) dkim(v DKIM) {
	p.outcome("dkim", string(v.Result), v.Reason, fmt.Sprintf("d=%s s=%s", v.Domain, v.Selector))
	key := v.Algorithm
	if v.KeyBits > 0 {
		key += fmt.Sprintf(", key of %d bits", v.KeyBits)
	}
	p.detail("algorithm", key)
	p.detail("signed", strings.Join(v.SignedHeaders, ":"))
	if v.BodyLength != nil {
		p.detail("body length", fmt.Sprintf("%d octets (l=)", *v.BodyLength))
	}
	p.steps(v.Steps)
}

// dmarc writes the evaluation.
func (p *printer) dmarc(v DMARC) {
	p.outcome("dmarc", string(v.Result), v.Reason, v.Domain)
	if v.Record != "" {
		p.detail("record", v.Record+" at "+v.PolicyDomain)
		p.detail("policy", fmt.Sprintf("%s (published %s)", v.Policy, v.Published))
	}
	p.detail("org domain", v.OrgDomain)
	p.detail("override", strings.TrimSpace(v.Override+" "+v.Overrider))
	p.detail("public suffix list", v.Difference)
	p.steps(v.Steps)
}

// observations writes findings and defects.
func (p *printer) observations(r Report) {
	if len(r.Findings)+len(r.Defects) == 0 {
		return
	}
	p.heading("Seen in the message")
	for _, f := range r.Findings {
		p.line("  %s", printable(strings.TrimSpace(f.Kind+" "+f.Section+" "+f.Detail)))
	}
	for _, d := range r.Defects {
		p.line("  %s", printable(strings.TrimSpace(d.Code+" "+d.Section+" "+d.Detail)))
	}
}

// questions writes every DNS question with its answer.
func (p *printer) questions(qs []Question) {
	p.heading("DNS questions")
	if len(qs) == 0 {
		p.line("  none")
	}
	for _, q := range qs {
		notes := []string{fmt.Sprintf("%.1f ms", q.DurationMS)}
		if q.Cached {
			notes = append(notes, "cached")
		}
		if q.Secure {
			notes = append(notes, "DNSSEC")
		}
		if q.Stale {
			notes = append(notes, "stale")
		}
		p.line("  %-5s %s (%s)", q.Type, printable(q.Name), strings.Join(notes, ", "))
		for _, a := range q.Answer {
			p.line("           %s", printable(a))
		}
		if q.Error != "" {
			p.line("           no answer: %s", printable(q.Error))
		}
	}
}

// decision writes what was decided and why.
func (p *printer) decision(r Report) {
	p.heading("Decision")
	p.field("disposition", r.Decision.Disposition)
	p.field("trust", r.Decision.Trust)
	p.field("reply", r.Decision.Reply)
	p.field("reason", r.Decision.Reason)
	for _, m := range r.Decision.Rules {
		mode := "enforced"
		if !m.Enforced {
			mode = "monitored only"
		}
		p.field("rule", fmt.Sprintf("%s: %s (%s, asks for %s)", m.ID, m.Title, mode, m.Asked))
	}
	for _, e := range r.Decision.Exempt {
		p.field("exempt", e.Rule+" by exception "+e.Exception)
	}
	for _, f := range r.Decision.Errors {
		p.field("rule error", f.Rule+": "+f.Cause)
	}
	for _, n := range r.Decision.Notes {
		p.field("note", n)
	}
	for _, n := range r.Decision.Notify {
		p.field("notify", n)
	}
	for _, f := range r.Faults {
		p.field("bug", "the check "+f.Check+" panicked: "+f.Cause)
	}
	p.field("failure", r.Failure)
}

// actions writes what is done to the message.
func (p *printer) actions(r Report) {
	p.heading("Changes to the message")
	if len(r.Plan) == 0 {
		p.line("  none")
	}
	reasons := make(map[string]string, len(r.Removed))
	for _, d := range r.Removed {
		reasons[fmt.Sprintf("%s %d", d.Name, d.Nth)] = d.Reason
	}
	for _, o := range r.Plan {
		switch o.Op {
		case "delete_header":
			p.line("  remove %s #%d: %s", printable(o.Name), o.Nth, printable(reasons[fmt.Sprintf("%s %d", o.Name, o.Nth)]))
		case "change_header":
			p.line("  change %s #%d: %s", printable(o.Name), o.Nth, folded(o.Value))
		case "insert_header":
			p.line("  add    %s: %s", printable(o.Name), folded(o.Value))
		default:
			p.line("  %s %s", strings.ReplaceAll(o.Op, "_", " "), printable(strings.TrimSpace(o.Name+" "+o.Value)))
		}
	}
	p.amendment(r.Amendment)
}

// folded writes a header value with its line breaks.
func folded(value string) string {
	lines := strings.Split(value, "\n")
	for i, l := range lines {
		lines[i] = printable(strings.TrimLeft(l, " \t"))
	}
	return strings.Join(lines, "\n           ")
}

// printable replaces everything that could garble a terminal or pass for another line.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case !unicode.IsPrint(r):
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// plural returns "1 part", "2 parts".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
