package ruletest

import (
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"assay/rules"
	"assay/rules/facts"
	"assay/scan"
	"assay/verify/message"
)

// A testFile is one file of tests.
type testFile struct {
	document
	source int                 // index of the source it is from
	lists  map[string][]string // entries that the tests add to lists
	// listKeys are the names of these lists where they stand in the file.
	listKeys []*yaml.Node
	tests    []*test
}

// A test is one test as it is written.
type test struct {
	name    string
	at      place
	enforce bool // monitored rules are enforced
	facts   *facts.Tree
	eml     place
	dns     place
	session message.Envelope
	now     time.Time
	expect  expectation
	broken  bool // there is a problem with it, so it is not run
}

// An expectation is what a test says about the decision. What is nil is not compared.
type expectation struct {
	fired, includes, notFired, monitored, excepted, errors []*yaml.Node // ids
	disposition, reply, subject, trust                     *string
	notes, tags, headers, removed, notify, html            []*yaml.Node
}

// decodeFile reads a test file. What is wrong with it is left in its problems; tests without problems can be run all the
// same.
func decodeFile(name, filePath string, text []byte) *testFile {
	f := &testFile{document: document{name: name}, lists: map[string][]string{}}
	top := f.root(text)
	if top == nil {
		return f
	}
	formatted := false
	names := map[string]int{}
	f.fields(top, "a test file", map[string]handler{
		"format": func(n *yaml.Node) {
			if formatted = true; n.Kind != yaml.ScalarNode || n.Value != "1" {
				f.report(n, "this version of Assay reads format 1: write \"format: 1\"")
			}
		},
		"extend_lists": f.extendLists,
		"tests": func(n *yaml.Node) {
			if n.Kind != yaml.SequenceNode {
				f.report(n, "tests must be a list: begin each test with - name:")
				return
			}
			if len(n.Content) > maxTests {
				f.report(n, "more than %d tests in one file", maxTests)
				return
			}
			for _, item := range n.Content {
				f.tests = append(f.tests, f.test(item, path.Dir(filePath), names))
			}
		},
	})
	if !formatted && len(f.problems) == 0 {
		f.reportAt(1, 1, "the file does not say its format: write \"format: 1\" at its top")
	}
	return f
}

// extendLists reads the entries that the tests of a file assume in lists.
func (f *testFile) extendLists(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		f.report(n, "extend_lists must name lists and their entries, such as vips: {items: [Erika Mustermann]}")
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if _, again := f.lists[key.Value]; again {
			f.report(key, "the list %q stands here twice", clip(key.Value))
			continue
		}
		var items []*yaml.Node
		f.fields(value, "a list of tests", map[string]handler{"items": f.list(&items, "items")})
		f.lists[key.Value] = texts(items)
		f.listKeys = append(f.listKeys, key)
	}
}

// test reads one test.
func (f *testFile) test(n *yaml.Node, dir string, names map[string]int) *test {
	t := &test{at: place{"", n.Line, n.Column}}
	before := len(f.problems)
	var modes *string
	var name, stated, eml, session, expect *yaml.Node
	keep := func(to **yaml.Node) handler { return func(n *yaml.Node) { *to = n } }
	f.fields(n, "a test", map[string]handler{
		"name": keep(&name), "modes": f.word(&modes, "modes", "enforce"), "facts": keep(&stated), "eml": keep(&eml),
		"dns": f.file(&t.dns, "dns", dir), "session": keep(&session), "now": f.instant(&t.now, "now"), "expect": keep(&expect),
	})
	t.enforce = modes != nil
	if n.Kind == yaml.MappingNode {
		f.named(t, n, name, names)
		if eml != nil {
			f.file(&t.eml, "eml", dir)(eml)
		}
		if eml == nil || t.eml.name != "" {
			f.given(t, n, stated, session)
		}
		f.expected(t, n, expect)
	}
	t.broken = len(f.problems) > before
	return t
}

// named reads the name, which tells a test from all others of its file.
func (f *testFile) named(t *test, n, name *yaml.Node, names map[string]int) {
	if name == nil {
		f.report(n, "the test has no name: write name: and what it shows")
		return
	}
	f.text(&t.name, "name")(name)
	if t.name = strings.TrimSpace(t.name); t.name == "" {
		f.report(name, "the name of the test is empty")
		return
	}
	if line, again := names[t.name]; again {
		f.report(name, "a test of this name stands in line %d already", line)
		return
	}
	names[t.name] = name.Line
}

// given reads what the test is about: facts, or a message and its session.
func (f *testFile) given(t *test, n, stated, session *yaml.Node) {
	switch {
	case stated == nil && t.eml.name == "":
		f.report(n, "the test states nothing: write facts:, or eml: with the path of a message")
	case stated != nil && t.eml.name != "":
		f.report(stated, "a test has facts or a message (eml), not both")
	case stated != nil && session != nil:
		f.report(session, "a session belongs to a message (eml); state conn, mail_from and rcpts as facts")
	case stated != nil && t.dns.name != "":
		f.reportAt(t.dns.line, t.dns.column, "a zone file belongs to a message (eml); state the results below auth as facts")
	case stated != nil:
		f.facts(t, stated)
	case session != nil:
		f.session(t, session)
	}
}

// facts reads stated facts.
func (f *testFile) facts(t *test, n *yaml.Node) {
	tree, problems := facts.Decode(n)
	for _, p := range problems {
		suggestion := ""
		if p.Suggestion != "" {
			suggestion = ` (did you mean "` + p.Suggestion + `"?)`
		}
		f.reportAt(p.Line, p.Column, p.Message+suggestion)
	}
	if t.facts = tree; tree != nil && tree.ReceivedAt.IsZero() {
		tree.ReceivedAt = t.now
	}
}

// session reads what SMTP said.
func (f *testFile) session(t *test, n *yaml.Node) {
	s := &t.session
	var ip, from string
	var rcpts []*yaml.Node
	f.fields(n, "a session", map[string]handler{
		"client_ip": func(n *yaml.Node) {
			f.text(&ip, "client_ip")(n)
			addr, err := netip.ParseAddr(ip)
			if s.ClientIP = addr.Unmap(); err != nil {
				f.report(n, "client_ip must be an address such as 192.0.2.1")
			}
		},
		"client_name": f.text(&s.ClientName, "client_name"),
		"helo":        f.text(&s.Helo, "helo"),
		"mail_from":   f.text(&from, "mail_from"),
		"rcpts":       f.list(&rcpts, "rcpts"),
		"tls":         f.text(&s.TLS.Version, "tls"),
		"tls_cipher":  f.text(&s.TLS.Cipher, "tls_cipher"),
		"auth_user":   f.text(&s.AuthUser, "auth_user"),
		"local":       f.yesNo(&s.Local, "local"),
		"daemon":      f.text(&s.Daemon, "daemon"),
	})
	s.MailFrom = unbracket(from)
	for _, rcpt := range texts(rcpts) {
		s.RcptTo = append(s.RcptTo, unbracket(rcpt))
	}
}

// unbracket takes the angle brackets off a path.
func unbracket(s string) string {
	if strings.HasPrefix(s, "<") && strings.HasSuffix(s, ">") {
		return s[1 : len(s)-1]
	}
	return s
}

// expected reads what the test expects.
func (f *testFile) expected(t *test, n, expect *yaml.Node) {
	if expect == nil {
		f.report(n, "the test expects nothing: write expect: and, for example, {fired: [], disposition: deliver}")
		return
	}
	e := &t.expect
	var dispositions []string
	for _, d := range []rules.Disposition{rules.Deliver, rules.Junk, rules.Defer, rules.Quarantine, rules.Reject} {
		dispositions = append(dispositions, d.String())
	}
	f.fields(expect, "expect", map[string]handler{
		"fired": f.list(&e.fired, "fired"), "fired_includes": f.list(&e.includes, "fired_includes"),
		"not_fired": f.list(&e.notFired, "not_fired"), "monitored": f.list(&e.monitored, "monitored"),
		"excepted": f.list(&e.excepted, "excepted"), "errors": f.list(&e.errors, "errors"),
		"disposition": f.word(&e.disposition, "disposition", dispositions...), "reply": f.optional(&e.reply, "reply"),
		"subject": f.optional(&e.subject, "subject"), "notes": f.list(&e.notes, "notes"), "tags": f.list(&e.tags, "tags"),
		"headers": f.list(&e.headers, "headers"), "removed": f.list(&e.removed, "removed"), "notify": f.list(&e.notify, "notify"),
		"html": f.list(&e.html, "html"),
		"trust": f.word(&e.trust, "trust", string(rules.Verified), string(rules.Authenticated), string(rules.Unverified),
			string(rules.Suspicious), string(rules.Forged)),
	})
	levels := []string{string(scan.Active), string(scan.Remote), string(scan.Text)}
	for _, level := range e.html {
		if !slices.Contains(levels, level.Value) {
			f.report(level, "html must be a list of %s", strings.Join(levels, ", "))
		}
	}
	if expect.Kind == yaml.MappingNode && len(expect.Content) == 0 {
		f.report(expect, "the test expects nothing: write, for example, {fired: [], disposition: deliver}")
	}
}

// ids returns the lists of rule ids.
func (e *expectation) ids() [][]*yaml.Node {
	return [][]*yaml.Node{e.fired, e.includes, e.notFired, e.monitored, e.excepted, e.errors}
}

// texts returns the values of nodes, nil for nil.
func texts(nodes []*yaml.Node) []string {
	if nodes == nil {
		return nil
	}
	out := make([]string, len(nodes))
	for i, n := range nodes {
		out[i] = n.Value
	}
	return out
}
