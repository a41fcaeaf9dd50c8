package ruletest

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"assay/rules"
)

// compare returns the expectations that a decision does not meet.
func compare(e *expectation, d rules.Decision, subject string) []Mismatch {
	c := &comparison{}
	c.ids(e, d)
	c.word("disposition", e.disposition, d.Disposition.String())
	c.word("reply", e.reply, reply(d.Reply))
	c.word("subject", e.subject, delivered(d.Tags, subject))
	c.word("trust", e.trust, string(d.Trust))
	c.sequence("notes", e.notes, d.Notes)
	c.sequence("tags", e.tags, d.Tags)
	var headers, removed, notify, html []string
	for _, h := range d.Headers {
		headers = append(headers, h.Name+": "+h.Value)
	}
	for _, r := range d.Remove {
		removed = append(removed, r.Name)
	}
	for _, n := range d.Notify {
		notify = append(notify, n.Channel)
	}
	for _, h := range d.HTML {
		html = append(html, string(h.Level))
	}
	c.sequence("headers", e.headers, headers)
	c.set("removed", e.removed, removed)
	c.set("notify", e.notify, notify)
	c.set("html", e.html, html)
	return c.found
}

// A comparison collects mismatches.
type comparison struct{ found []Mismatch }

// ids compares what became of the rules. A rule that fails at run time is a mismatch unless it is expected.
func (c *comparison) ids(e *expectation, d rules.Decision) {
	var fired, monitored, failed, excepted []string
	for _, m := range d.Rules {
		if m.Enforced {
			fired = append(fired, m.ID)
		} else {
			monitored = append(monitored, m.ID)
		}
	}
	for _, f := range d.Errors {
		failed = append(failed, f.Rule)
	}
	whole := slices.ContainsFunc(e.excepted, func(n *yaml.Node) bool { return strings.Contains(n.Value, "/") })
	for _, x := range d.Exempt {
		if name := x.Rule; whole {
			excepted = append(excepted, name+"/"+x.Exception)
		} else {
			excepted = append(excepted, name)
		}
	}
	if whole {
		qualify(e.excepted, d.Exempt)
	}
	c.set("fired", e.fired, fired)
	c.set("monitored", e.monitored, monitored)
	c.set("excepted", e.excepted, excepted)
	for _, id := range texts(e.includes) {
		if !slices.Contains(fired, id) {
			c.add("fired_includes", id, list(fired))
		}
	}
	for _, id := range texts(e.notFired) {
		if slices.Contains(fired, id) || slices.Contains(monitored, id) {
			c.add("not_fired", id+" not among them", list(slices.Concat(fired, monitored)))
		}
	}
	if e.errors == nil {
		e.errors = []*yaml.Node{}
	}
	c.set("errors", e.errors, failed)
}

// qualify completes the names of rules that stand beside names of exceptions.
func qualify(expected []*yaml.Node, exempt []rules.Exemption) {
	for _, n := range expected {
		for _, x := range exempt {
			if n.Value == x.Rule {
				n.Value = x.Rule + "/" + x.Exception
			}
		}
	}
}

// add records a mismatch.
func (c *comparison) add(what, want, got string) {
	c.found = append(c.found, Mismatch{what, want, got})
}

// word compares a text, unless nothing is expected of it.
func (c *comparison) word(what string, want *string, got string) {
	if want != nil && strings.TrimSpace(*want) != strings.TrimSpace(got) {
		c.add(what, fmt.Sprintf("%q", *want), fmt.Sprintf("%q", got))
	}
}

// set compares texts whatever their order.
func (c *comparison) set(what string, want []*yaml.Node, got []string) {
	if want == nil {
		return
	}
	expected := slices.Compact(slices.Sorted(slices.Values(texts(want))))
	actual := slices.Compact(slices.Sorted(slices.Values(got)))
	if !slices.Equal(expected, actual) {
		c.add(what, list(expected), list(actual))
	}
}

// sequence compares texts in their order.
func (c *comparison) sequence(what string, want []*yaml.Node, got []string) {
	if want != nil && !slices.Equal(texts(want), got) {
		c.add(what, quotedList(texts(want)), quotedList(got))
	}
}

// list writes ids for people.
func list(ids []string) string {
	if len(ids) == 0 {
		return "none"
	}
	return strings.Join(ids, ", ")
}

// quotedList writes texts for people.
func quotedList(texts []string) string {
	quoted := make([]string, len(texts))
	for i, t := range texts {
		quoted[i] = fmt.Sprintf("%q", t)
	}
	return list(quoted)
}

// reply writes a reply as a rule does, "" for the default one.
func reply(r rules.SMTPReply) string {
	if r.Code == 0 {
		return ""
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s %s", r.Code, r.Enhanced, r.Text))
}

// delivered is the subject as it is delivered.
func delivered(tags []string, subject string) string {
	return strings.TrimSpace(strings.Join(append(slices.Clone(tags), subject), " "))
}
