package rules

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"assay/rules/facts"
	"assay/scan"
)

// ruleSet loads rules that are written without the file around them.
func ruleSet(t *testing.T, text string) *Set {
	t.Helper()
	return mustLoad(t, fstest.MapFS{"a.yaml": {Data: []byte("format: 1\n" + text)}}, testOptions())
}

// oneRule is a rule with an id, a condition and further lines.
func oneRule(id, when, more string) string {
	return fmt.Sprintf("  - id: %s\n    title: Title of %s\n    severity: low\n    mode: enforce\n    when: '%s'\n%s", id, id, when, more)
}

// state returns facts that are stated; what is not stated is what an ordinary message has.
func state(change func(*facts.Tree)) *facts.Facts {
	tree := ordinary()
	if change != nil {
		change(&tree)
	}
	return facts.Stated(tree)
}

func TestStrictestWins(t *testing.T) {
	s := ruleSet(t, "rules:\n"+
		oneRule("junks", "true && size > 0", "    then: {junk: true, tag_subject: '[junk]', note: one}\n")+
		oneRule("first", "size > 0", "    then: {quarantine: 'first from ${from.domain}', strip_active_html: active}\n")+
		oneRule("second", "size > 0", "    then: {quarantine: second, tag_subject: '[second]', strip_active_html: text, notify: [helpdesk]}\n")+
		oneRule("defers", "size > 0", "    then: {defer: later}\n")+
		oneRule("silent", "size < 0", "    then: {reject: 550 5.7.1 never}\n")+
		strings.Replace(oneRule("watched", "size > 0", "    then: {reject: 550 5.7.1 never}\n"), "enforce", "monitor", 1))
	d := s.DecideFrom(t.Context(), state(nil))
	if d.Disposition != Quarantine || d.Reason != "first from example.net" || d.Set != s.Hash() {
		t.Errorf("%v %q", d.Disposition, d.Reason)
	}
	if !slices.Equal(d.Tags, []string{"[junk]", "[second]"}) || !slices.Equal(d.Notes, []string{"one"}) {
		t.Errorf("tags %q, notes %q", d.Tags, d.Notes)
	}
	if len(d.HTML) != 1 || d.HTML[0].Level != scan.Text || d.HTML[0].Rule != "second" {
		t.Errorf("html %+v", d.HTML)
	}
	if len(d.Notify) != 1 || d.Notify[0] != (Notification{"helpdesk", "second", "Title of second"}) {
		t.Errorf("notify %+v", d.Notify)
	}
	var ids []string
	for _, m := range d.Rules {
		ids = append(ids, fmt.Sprint(m.ID, " ", m.Enforced, " ", m.Asked))
	}
	if got := strings.Join(ids, "; "); got != "junks true junk; first true quarantine; second true quarantine; defers true defer; watched false reject" {
		t.Error(got)
	}
}

func TestStrictestReleaseWins(t *testing.T) {
	then := func(release string) string {
		return "    then: {quarantine: {reason: kept, release: " + release + "}}\n"
	}
	user, never := oneRule("user", "size > 0", then("user")), oneRule("never", "size > 0", then("never"))
	plain := oneRule("plain", "size > 0", "    then: {quarantine: kept}\n")
	rejects := oneRule("rejects", "size > 0", "    then: {reject: 550 5.7.1 no}\n")
	fails := oneRule("fails", `subject.split("x")[7] == "y"`, "    on_error: quarantine\n    then: {}\n")
	for _, tt := range []struct {
		name     string
		rules    string
		fallback Release
		want     Release
	}{
		{"said", user, "", ReleaseUser},
		{"not said", plain, "", ReleaseOperator},
		{"not said, but configured", plain, ReleaseUser, ReleaseUser},
		{"one says nothing", user + plain, "", ReleaseOperator},
		{"never, behind the one that gives the reason", user + plain + never, "", ReleaseNever},
		{"beside a stricter disposition", rejects + user, "", ReleaseUser},
		{"a rule that fails", user + fails, "", ReleaseOperator},
		{"only watched", user + strings.Replace(never, "enforce", "monitor", 1), "", ReleaseUser},
		{"nobody asks", oneRule("junks", "size > 0", "    then: {junk: true}\n"), "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			opt := testOptions()
			opt.Release = tt.fallback
			s, problems := Load([]Source{{Name: "test", Files: fstest.MapFS{"a.yaml": {Data: []byte("format: 1\nrules:\n" + tt.rules)}}}}, opt)
			if err := problems.Err(); err != nil {
				t.Fatal(err)
			}
			if d := s.DecideFrom(t.Context(), state(nil)); d.Release != tt.want {
				t.Errorf("release %q, want %q (%v)", d.Release, tt.want, d.Errors)
			}
		})
	}
	if Release("").Valid() || ReleaseNever.Stricter(ReleaseUser) != ReleaseNever {
		t.Error("classes are not ordered")
	}
}

func TestReplies(t *testing.T) {
	s := ruleSet(t, "rules:\n"+oneRule("refuses", "size > 0", "    then: {reject: '554 5.7.9 no mail from ${from.domain} to ${rcpts.map(r, r.email)}, $${x}'}\n"))
	d := s.DecideFrom(t.Context(), state(nil))
	if d.Disposition != Reject || d.Reply != (SMTPReply{554, "5.7.9", "no mail from example.net to b@example.com, ${x}"}) {
		t.Errorf("%v %+v", d.Disposition, d.Reply)
	}
	s = ruleSet(t, "rules:\n"+oneRule("defers", "size > 0", "    then: {defer: come back}\n"))
	if d := s.DecideFrom(t.Context(), state(nil)); d.Disposition != Defer || d.Reply != (SMTPReply{451, "4.7.1", "come back"}) {
		t.Errorf("%v %+v", d.Disposition, d.Reply)
	}
}

func TestModifications(t *testing.T) {
	s := ruleSet(t, "rules:\n"+oneRule("changes", "size > 0", `    then:
      add_header: [{name: X-Assay-One, value: "1 ${size}"}, {name: x-assay-two, value: two}]
      remove_attachments: {where: 'a.ext == "pdf" || a.depth > 0', reason: "no ${subject}", signed: unwrap}
      strip_active_html: {level: remote, signed: unwrap}
`))
	d := s.DecideFrom(t.Context(), state(func(f *facts.Tree) { f.Objects[0].Section = "2" }))
	if d.Disposition != Deliver || len(d.Headers) != 2 || d.Headers[0] != (HeaderField{"X-Assay-One", "1 48213"}) {
		t.Errorf("%v %+v", d.Disposition, d.Headers)
	}
	want := Removal{Rule: "changes", Section: "2", Name: "protokoll.pdf", Reason: "no Protokoll der Sitzung vom Montag", Unwrap: true}
	if len(d.Remove) != 1 || d.Remove[0] != want {
		t.Errorf("%+v", d.Remove)
	}
	if len(d.HTML) != 1 || d.HTML[0] != (HTMLAction{"changes", scan.Remote, true}) {
		t.Errorf("%+v", d.HTML)
	}
}

func TestExceptions(t *testing.T) {
	rule := func(exception string) *Set {
		return ruleSet(t, "rules:\n"+oneRule("r", "size > 0", "    then: {junk: true}\n    exceptions:\n      - {id: x, reason: r, owner: o, expires: 2026-11-22, "+exception+"}\n"))
	}
	two := func(f *facts.Tree) { f.Rcpts = append(f.Rcpts, facts.Path{Email: "c@Sub.Example.COM"}) }
	tests := []struct {
		name, exception string
		change          func(*facts.Tree)
		want            bool
	}{
		{"sender", "sender: MAX@example.net", nil, true},
		{"another sender", "sender: min@example.net", nil, false},
		{"several authors", "sender: max@example.net, authenticated: false", func(f *facts.Tree) { f.FromProblem = "several-fields" }, false},
		{"domain", "sender_domain: example.net", nil, true},
		{"domain is not a subdomain", "sender_domain: .example.net", nil, false},
		{"subdomain", "sender_domain: .example.net", func(f *facts.Tree) { f.From.Domain = "a.example.net" }, true},
		{"neighbour", "sender_domain: .example.net", func(f *facts.Tree) { f.From.Domain = "notexample.net" }, false},
		{"recipient", "recipients: B@example.com", nil, true},
		{"recipient of the domain", `recipients: ["@example.com"]`, nil, true},
		{"one recipient is another", `recipients: ["@example.com"]`, two, false},
		{"every recipient", `recipients: ["@example.com", .example.com]`, two, true},
		{"no recipient", `recipients: ["@example.com"]`, func(f *facts.Tree) { f.Rcpts = nil }, false},
		{"client", "client: 192.0.2.0/24", nil, true},
		{"mapped client", "client: 192.0.2.1", func(f *facts.Tree) { f.Conn.IP = "::ffff:192.0.2.1" }, true},
		{"another client", "client: 192.0.2.2", nil, false},
		{"no client", "client: 0.0.0.0/0", func(f *facts.Tree) { f.Conn.IP = "" }, false},
		{"all must match", "client: 192.0.2.1, sender: min@example.net", nil, false},
		{"not authenticated", "sender: max@example.net", func(f *facts.Tree) { f.Auth.DMARC.Result = "none" }, false},
		{"need not be authenticated", "sender: max@example.net, authenticated: false", func(f *facts.Tree) { f.Auth.DMARC.Result = "none" }, true},
		{"last second", "sender: max@example.net", func(f *facts.Tree) { f.ReceivedAt = time.Date(2026, 11, 22, 23, 59, 59, 0, time.UTC) }, true},
		{"expired", "sender: max@example.net", func(f *facts.Tree) { f.ReceivedAt = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := rule(tt.exception).DecideFrom(t.Context(), state(tt.change))
			if (len(d.Exempt) == 1) != tt.want || (len(d.Rules) == 0) != tt.want {
				t.Errorf("exempt %v, rules %v", d.Exempt, d.Rules)
			}
		})
	}
}

func TestAuthenticatedMacro(t *testing.T) {
	s := ruleSet(t, "macros:\n  authenticated: 'from.domain == \"example.net\"'\nrules:\n"+oneRule("r", "size > 0",
		"    then: {junk: true}\n    exceptions:\n      - {id: x, reason: r, owner: o, expires: 2027-06-30, client: 192.0.2.1}\n"))
	d := s.DecideFrom(t.Context(), state(func(f *facts.Tree) { f.Auth.DMARC.Result = "fail" }))
	if len(d.Exempt) != 1 || d.Exempt[0] != (Exemption{"r", "x"}) {
		t.Errorf("%+v", d)
	}
}

func TestFailuresAreVisible(t *testing.T) {
	s := ruleSet(t, "macros:\n  broken: 'rcpts.map(r, r.email)[5] == \"x\"'\nrules:\n"+
		oneRule("needs-macro", "broken", "    then: {reject: 550 5.7.1 no}\n")+
		oneRule("absorbs", "broken || size > 0", "    then: {note: 'value ${rcpts[7].email}, ${subject}'}\n")+
		oneRule("absorbs-too", "size > 0 || broken", "    then: {}\n")+
		oneRule("quarantines", "broken && size > 0", "    then: {}\n    on_error: quarantine\n")+
		oneRule("decided", "broken && size < 0", "    then: {junk: true}\n"))
	d := s.DecideFrom(t.Context(), state(nil))
	if d.Disposition != Quarantine || !strings.Contains(d.Reason, "quarantines") {
		t.Errorf("%v %q", d.Disposition, d.Reason)
	}
	if len(d.Errors) != 2 || d.Errors[0].Rule != "needs-macro" || !strings.Contains(d.Errors[0].Cause, "macro broken") {
		t.Errorf("%+v", d.Errors)
	}
	if len(d.Rules) != 2 || !slices.Equal(d.Notes, []string{"value ?, Protokoll der Sitzung vom Montag"}) {
		t.Errorf("%+v %q", d.Rules, d.Notes)
	}
}

// A provider that panics, or knows nothing.
type brokenProvider struct{ panics bool }

func (p brokenProvider) ResolveName(string) (any, bool) {
	if p.panics {
		panic("broken fact")
	}
	return nil, false
}

func TestPanicsAreFailures(t *testing.T) {
	s := ruleSet(t, "macros:\n  mine: 'subject.contains(\"x\")'\nrules:\n"+oneRule("r1", `subject.contains("x")`, "    then: {junk: true}\n    on_error: defer\n")+
		oneRule("r2", "conn.tls", "    then: {junk: true}\n")+oneRule("r3", "mine", "    then: {junk: true}\n"))
	for _, panics := range []bool{true, false} {
		d := s.DecideFrom(t.Context(), brokenProvider{panics})
		if d.Disposition != Defer || len(d.Errors) != 3 || d.Trust != Unverified {
			t.Errorf("panics %v: %+v", panics, d)
		}
		if _, traces := s.Explain(t.Context(), brokenProvider{panics}); len(traces) != 3 || traces[0].Outcome != Failed || traces[0].Error == "" {
			t.Errorf("panics %v: %+v", panics, traces)
		}
	}
}

func TestEndedContextDefers(t *testing.T) {
	s := ruleSet(t, "rules:\n"+oneRule("r", "size < 0", "    then: {junk: true}\n"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d := s.DecideFrom(ctx, state(nil))
	if d.Disposition != Defer || len(d.Errors) != 1 || !strings.Contains(d.Reason, "canceled") {
		t.Errorf("%+v", d)
	}
}

// slowProvider takes its time for one fact.
type slowProvider struct{ Provider }

func (p slowProvider) ResolveName(name string) (any, bool) {
	if name == "text" {
		time.Sleep(2 * time.Minute)
	}
	return p.Provider.ResolveName(name)
}

func TestDeadlineDefers(t *testing.T) {
	s := ruleSet(t, "rules:\n"+oneRule("quick", "size > 0", "    then: {}\n")+oneRule("slow", `text == ""`, "    then: {}\n")+
		oneRule("behind", "size > 0", "    then: {}\n"))
	synctest.Test(t, func(t *testing.T) {
		d := s.DecideFrom(t.Context(), slowProvider{state(nil)})
		if d.Disposition != Defer || len(d.Rules) != 1 || len(d.Errors) == 0 || d.Errors[len(d.Errors)-1].Rule != "behind" {
			t.Errorf("%+v", d)
		}
	})
}

// A hostile message makes a rule that passed all checks expensive: it is cut off, and that is visible.
func TestCostIsLimited(t *testing.T) {
	opt := testOptions()
	opt.RunCost = 100_000
	files := fstest.MapFS{"a.yaml": {Data: []byte("format: 1\nrules:\n" +
		oneRule("r", "urls.exists(u, urls.exists(v, u.host == v.href))", "    then: {junk: true}\n    on_error: quarantine\n"))}}
	s := mustLoad(t, files, opt)
	hostile := state(func(f *facts.Tree) {
		f.URLs = make([]facts.URL, facts.MaxURLs)
		for i := range f.URLs {
			f.URLs[i].Host = "x"
		}
	})
	before := cpuTime(t)
	d := s.DecideFrom(t.Context(), hostile)
	if spent := cpuTime(t) - before; spent > 2*time.Second {
		t.Errorf("took %v", spent)
	}
	if d.Disposition != Quarantine || len(d.Errors) != 1 || !strings.Contains(d.Errors[0].Cause, "cost") {
		t.Errorf("%v %+v", d.Disposition, d.Errors)
	}
}

// countingProvider counts how often facts are asked for.
type countingProvider struct {
	Provider
	asked map[string]int
}

func (p countingProvider) ResolveName(name string) (any, bool) {
	p.asked[name]++
	return p.Provider.ResolveName(name)
}

func TestMacrosAreEvaluatedOnceAndOnlyWhenNeeded(t *testing.T) {
	s := ruleSet(t, "macros:\n  used: 'subject.contains(\"Protokoll\")'\n  idle: 'text.contains(\"x\")'\nrules:\n"+
		oneRule("r1", "used", "    then: {}\n")+oneRule("r2", "used && !(size > 0 && idle && size < 0 && idle)", "    then: {}\n")+
		oneRule("r3", "size < 0 && idle", "    then: {}\n"))
	asked := map[string]int{}
	d := s.DecideFrom(t.Context(), countingProvider{state(nil), asked})
	if len(d.Rules) != 2 || asked["subject"] != 1 || asked["text"] != 1 {
		t.Errorf("%+v %v", d.Rules, asked)
	}
}

func TestSetIsSafeForConcurrentUse(t *testing.T) {
	s := mustLoad(t, thousand(), testOptions())
	want := fmt.Sprintf("%+v", s.DecideFrom(t.Context(), state(nil)))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			d, _ := s.decide(context.Background(), state(nil), nil)
			if got := fmt.Sprintf("%+v", d); got != want {
				t.Errorf("got %s", got)
			}
		})
	}
	wg.Wait()
}

// What a message says stays on one line and has a bounded length, whatever it is put into.
func TestTextsAreOneLine(t *testing.T) {
	s := ruleSet(t, "rules:\n"+oneRule("r", "size > 0", `    then:
      add_header: {name: X-Assay-One, value: "${text}"}
      tag_subject: "[${subject}]"
      note: |
        two lines,
        of ${from.name}
      notify: []
`)+oneRule("long", "size > 0", "    then: {note: '${text} ${text} ${text} ${text} ${text}'}\n"))
	d := s.DecideFrom(t.Context(), state(func(f *facts.Tree) {
		f.Text, f.Subject, f.From.Name = "a\r\nBcc: x@example.com\r\n"+strings.Repeat("ü", 5000), "a\u2028b\x00\tc  d", "\n"
	}))
	if len(d.Headers) != 1 || !strings.HasPrefix(d.Headers[0].Value, "a Bcc: x@example.com ü") || len(d.Headers[0].Value) > maxInsert+3 {
		t.Errorf("%+v", d.Headers)
	}
	if !slices.Equal(d.Tags, []string{"[a b c  d]"}) || len(d.Notes) != 2 || d.Notes[0] != "two lines, of" || len(d.Notes[1]) > maxExpanded+3 {
		t.Errorf("%q %q", d.Tags, d.Notes)
	}
}

func TestSameModificationsAreMadeOnce(t *testing.T) {
	then := "    then: {tag_subject: '[J]', note: same, add_header: {name: X-Assay-N, value: v}}\n"
	d := ruleSet(t, "rules:\n"+oneRule("a1", "size > 0", then)+oneRule("a2", "conn.tls", then)).DecideFrom(t.Context(), state(nil))
	if len(d.Rules) != 2 || len(d.Tags) != 1 || len(d.Notes) != 1 || len(d.Headers) != 1 {
		t.Errorf("%+v", d)
	}
}

// A rule that is only watched takes no time from those that are enforced, and its delay defers nothing.
func TestWatchedRulesDelayNothing(t *testing.T) {
	slow := strings.Replace(oneRule("slow", `text == ""`, "    then: {}\n"), "enforce", "monitor", 1)
	s := ruleSet(t, "rules:\n"+slow+strings.Replace(oneRule("watched", "size > 0", "    then: {}\n"), "enforce", "monitor", 1)+
		oneRule("enforced", "size > 0", "    then: {tag_subject: x}\n"))
	synctest.Test(t, func(t *testing.T) {
		d := s.DecideFrom(t.Context(), slowProvider{state(nil)})
		if d.Disposition != Deliver || len(d.Rules) != 1 || d.Rules[0].ID != "enforced" || len(d.Tags) != 1 {
			t.Errorf("%+v", d)
		}
		if len(d.Errors) != 1 || d.Errors[0].Rule != "watched" {
			t.Errorf("%+v", d.Errors)
		}
	})
}
