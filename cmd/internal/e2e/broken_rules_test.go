package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"assay/cmd/internal/mtatest"
)

// brokenRules pass every check at load, and cannot be evaluated for some messages.
const brokenRules = `format: 1
rules:
  - {id: no-such-element, title: x, severity: low, mode: enforce, when: 'subject.substring(100) == "x"', then: {reject: 550 5.7.1 no}}
  - {id: no-number, title: x, severity: low, mode: enforce, on_error: junk, when: 'int(subject) > 5', then: {reject: 550 5.7.1 no}}
  - {id: too-expensive, title: x, severity: low, mode: enforce, on_error: quarantine, when: 'urls.exists(u, urls.exists(v, u.host == v.href))', then: {}}
  - {id: watches, title: x, severity: low, mode: monitor, on_error: defer, when: 'int(subject) > 6', then: {}}
  - {id: works, title: x, severity: low, mode: enforce, when: size > 0, then: {add_header: {name: X-Assay-Works, value: "yes"}}}
`

// manyLinks is a message in which the expensive rule runs into the limit of costs.
func manyLinks() string {
	var b strings.Builder
	b.WriteString(withSubject("5"))
	for i := range 5000 {
		fmt.Fprintf(&b, "http://%d.example/x\r\n", i)
	}
	return b.String()
}

// TestRulesThatFail: a rule that cannot be evaluated, or costs too much, is named in log and metric and by explain, the message is
// treated as its on_error says, and the other rules decide as if nothing had happened.
func TestRulesThatFail(t *testing.T) {
	metrics := freeAddress(t)
	r := newRig(t, program(t, false), fmt.Sprintf("listen: {metrics: %q}\nrules: {time: 30s, dirs: [%q]}\n", metrics, ruleDir(t, map[string]string{"10.yaml": brokenRules})))
	r.each(t, func(t *testing.T, m mtatest.MTA) {
		c := connect(t, m, "127.0.2.25")
		send(t, c, between("a@client.example", "b@rcpt.example"), withSubject("7"), 550) // the others decide
		for _, message := range []struct {
			text       string
			failed     string // in the log line
			held, junk bool
		}{
			{withSubject("seven"), "no-such-element,no-number,watches", false, true},
			{manyLinks(), "no-such-element,too-expensive", true, false},
		} {
			reply := send(t, c, between("a@client.example", "b@rcpt.example"), message.text, 250)
			_, held := r.held(t, m, reply.QueueID())
			if held != message.held {
				t.Errorf("%.60q: held %v", message.text, held)
			}
			if held {
				must(t, m.Release(reply.QueueID()))
			}
			header, _ := fields(r.delivered(t, reply))
			if len(named(header, "X-Assay-Works")) != 1 || (len(named(header, "X-Spam-Flag")) == 1) != message.junk {
				t.Errorf("delivered with %q", header)
			}
			line := lines(r.daemon.Log(), reply.QueueID()+": ")
			if !strings.Contains(line, "failed_rules="+message.failed+" ") {
				t.Errorf("no failed_rules=%s in %s", message.failed, line)
			}
		}
	})
	text, err := r.daemon.Metrics(metrics)
	must(t, err)
	for rule, n := range map[string]int{"no-such-element": 3, "no-number": 1, "watches": 1, "too-expensive": 1} {
		if want := fmt.Sprintf("assay_rule_errors_total{rule=%q} %d\n", rule, n*len(r.mtas())); !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, lines(text, "rule_errors"))
		}
	}
	for series, n := range map[string]int{`mode="monitor",rule="watches"`: 1, `mode="enforce",rule="works"`: 3} {
		if want := fmt.Sprintf("assay_rule_matches_total{%s} %d\n", series, n*len(r.mtas())); !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, lines(text, "rule_matches"))
		}
	}
	file := filepath.Join(t.TempDir(), "mail.eml")
	must(t, os.WriteFile(file, []byte(strings.Replace(manyLinks(), "Subject: 5", "Subject: seven", 1)), 0o644))
	out := ctl(t, r.daemon, 0, "explain", file)
	for _, want := range []string{"error     no-such-element: x", "error     no-number: x", "error     too-expensive: x", "error     watches: x",
		"int(subject) = error: type conversion error", "error: operation cancelled: actual cost limit exceeded",
		"reason         rule too-expensive could not be evaluated"} {
		if !strings.Contains(out, want) {
			t.Errorf("explain does not say %q:\n%.6000s", want, out)
		}
	}
}

// TestRulesOutOfTime: when the time for rules is over, the rules that are left count as failed, which is said, and their on_error
// counts.
func TestRulesOutOfTime(t *testing.T) {
	slow := "format: 1\nrules:\n"
	for i := range 8 {
		slow += fmt.Sprintf("  - {id: slow-%d, title: x, severity: low, mode: enforce, when: 'urls.exists(u, urls.exists(v, u.host + \"%d\" == v.href))', then: {}}\n", i, i)
	}
	slow += "  - {id: last, title: x, severity: low, mode: enforce, on_error: defer, when: 'subject == \"never\"', then: {}}\n"
	r := newRig(t, program(t, false), fmt.Sprintf("rules: {time: 10ms, dirs: [%q]}\n", ruleDir(t, map[string]string{"10.yaml": slow})))
	r.each(t, func(t *testing.T, m mtatest.MTA) {
		c := connect(t, m, "127.0.2.25")
		send(t, c, between("a@client.example", "b@rcpt.example"), plain, 250)
		send(t, c, between("a@client.example", "b@rcpt.example"), manyLinks(), 451)
	})
	if line := lines(r.daemon.Log(), "disposition=defer"); !strings.Contains(line, "slow-7,last ") {
		t.Errorf("the log says\n%s", line)
	}
}
