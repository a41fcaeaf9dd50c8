package filter

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/tools/txtar"

	"assay/milter"
	"assay/milter/headers"
	"assay/milter/plan"
	"assay/rules"
	"assay/rules/shipped"
	"assay/scan"
	"assay/scan/files"
	"assay/scan/html"
	"assay/scan/inspect"
	"assay/verify"
	"assay/verify/dns/zone"
	"assay/verify/message"
)

var update = flag.Bool("update", false, "rewrite the want sections of the cases")

var granted = plan.Capabilities{AddHeaders: true, ChangeHeaders: true, ChangeBody: true, Quarantine: true}

// TestCases runs every case of testdata: a message, its session and a DNS zone in; results, decision and the delivered
// header out.
func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { runCase(t, file) })
	}
}

func runCase(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	section := map[string]*txtar.File{}
	for i := range archive.Files {
		section[archive.Files[i].Name] = &archive.Files[i]
	}
	for _, name := range []string{"session", "zone", "message.eml", "want"} {
		if section[name] == nil {
			t.Fatalf("section %q is missing", name)
		}
	}
	s := parseSession(t, string(section["session"].Data))
	if more := section["rules.yaml"]; more != nil {
		s.rules = append(s.rules, string(more.Data))
	}
	z, err := zone.Parse(bytes.NewReader(section["zone"].Data), "zone")
	if err != nil {
		t.Fatal(err)
	}
	m, err := message.Read(bytes.NewReader(section["message.eml"].Data), s.env, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	f := New(Options{
		Verifier: verify.New(verify.Options{Resolver: z, Trusted: s.trusted}),
		Rules:    shippedRules(t, s.rules...),
		Scanners: []scan.Scanner{files.New(files.Options{Engine: inspect.New(inspect.Options{})}), &html.Scanner{}},
		Headers:  headers.Options{Language: s.language},
	})
	got := describe(t, f.Explain(t.Context(), m, granted), m)
	if *update {
		section["want"].Data = []byte(got)
		if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got != string(section["want"].Data) {
		t.Errorf("got:\n%s\nwant:\n%s", got, section["want"].Data)
	}
}

// A session is the section of a case that says who sent the message and how Assay is configured.
type session struct {
	env      message.Envelope
	trusted  []netip.Prefix
	rules    []string // rule files beside those that come with Assay
	language headers.Language
}

func parseSession(t *testing.T, text string) session {
	t.Helper()
	s := session{env: message.Envelope{ReceiverMTA: "mx.receiver.example", QueueID: "4XyZ1k2Qz"}}
	var err error
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch strings.TrimSuffix(key, ":") {
		case "ip":
			s.env.ClientIP, err = netip.ParseAddr(value)
		case "name":
			s.env.ClientName = value
		case "helo":
			s.env.Helo = value
		case "from":
			s.env.MailFrom = value
		case "to":
			s.env.RcptTo = append(s.env.RcptTo, value)
		case "user":
			s.env.AuthUser = value
		case "local":
			s.env.Local = true
		case "tls":
			s.env.TLS.Version = value
		case "now":
			s.env.ReceivedAt, err = time.Parse(time.RFC3339, value)
		case "trust":
			s.trusted = append(s.trusted, netip.MustParsePrefix(value))
		case "enforce":
			s.rules = append(s.rules, enforceDMARC)
		case "language":
			s.language = headers.Language(value)
		default:
			t.Fatalf("session: unknown line %q", line)
		}
		if err != nil {
			t.Fatalf("session: %q: %v", line, err)
		}
	}
	return s
}

// describe prints what a case is about: the verdict, and the header section as it would be delivered.
func describe(t *testing.T, o *Outcome, m *message.Message) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "disposition: %v\ntrust: %s\n", o.Decision.Disposition, o.Decision.Trust)
	for _, r := range o.Decision.Rules {
		fmt.Fprintf(&b, "rule: %s enforced=%t\n", r.ID, r.Enforced)
	}
	for _, k := range o.Amendment.Kept {
		fmt.Fprintf(&b, "kept: part %s: %s\n", k.Section, k.Reason)
	}
	for _, e := range o.Decision.Errors {
		fmt.Fprintf(&b, "error: %s: %s\n", e.Rule, e.Cause)
	}
	for _, r := range o.Removed {
		fmt.Fprintf(&b, "removed: %s #%d: %s\n", r.Name, r.Nth, r.Reason)
	}
	if o.Failure != "" {
		fmt.Fprintf(&b, "failure: %s\n", o.Failure)
	}
	if o.Plan.Verdict != plan.Accept {
		return b.String() + "reply: " + o.Plan.Text() + "\n"
	}
	var delivered bytes.Buffer
	if err := plan.Apply(o.Plan, m, &delivered); err != nil {
		t.Fatal(err)
	}
	header, _, _ := strings.Cut(delivered.String(), "\r\n\r\n")
	b.WriteString("\n" + strings.ReplaceAll(header, "\r\n", "\n") + "\n")
	if o.Amendment.body != nil {
		_, body, _ := strings.Cut(delivered.String(), "\r\n\r\n")
		b.WriteString("\n" + strings.ReplaceAll(body, "\r\n", "\n"))
	}
	return b.String()
}

// read parses a message of the given lines.
func read(t *testing.T, env message.Envelope, lines ...string) *message.Message {
	t.Helper()
	m, err := message.Read(strings.NewReader(strings.Join(lines, "\r\n")), env, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func emptyZone(t *testing.T) *zone.Zone {
	t.Helper()
	z, err := zone.Parse(strings.NewReader(""), "empty")
	if err != nil {
		t.Fatal(err)
	}
	return z
}

type decider func() rules.Decision

func (d decider) DecideFrom(context.Context, rules.Provider) rules.Decision { return d() }

func (d decider) Explain(context.Context, rules.Provider) (rules.Decision, []rules.Trace) {
	return d(), nil
}

// shippedRules loads the rules that come with Assay, and more rule files beside them.
func shippedRules(t testing.TB, more ...string) *rules.Set {
	t.Helper()
	sources := []rules.Source{{Files: shipped.Files}}
	for i, text := range more {
		name := fmt.Sprintf("%d.yaml", i)
		sources = append(sources, rules.Source{Name: "test" + name, Files: fstest.MapFS{name: {Data: []byte(text)}}})
	}
	set, problems := rules.Load(sources, rules.Options{OrgDomains: []string{"receiver.example"}})
	if set == nil {
		t.Fatal(problems)
	}
	return set
}

// enforceDMARC is the override that makes the rule against forged senders refuse them.
const enforceDMARC = "format: 1\noverride: [{id: dmarc-reject, mode: enforce, reason: test}]\n"

func testFilter(t *testing.T, d decider, more ...scan.Scanner) *Filter {
	return New(Options{Verifier: verify.New(verify.Options{Resolver: emptyZone(t)}), Rules: d, Scanners: more})
}

var someMail = []string{"From: a@b.example", "Authentication-Results: x.example; dmarc=pass", "", "hi", ""}

func TestWhateverGoesWrongDefers(t *testing.T) {
	deliver := rules.Decision{Disposition: rules.Deliver}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name    string
		ctx     context.Context
		decide  decider
		caps    plan.Capabilities
		failure string
	}{
		{"rules panic", t.Context(), func() rules.Decision { panic("boom") }, granted, "panic: boom"},
		{"out of time", cancelled, func() rules.Decision { return deliver }, granted, "given up"},
		{"not granted", t.Context(), func() rules.Decision { return deliver }, plan.Capabilities{AddHeaders: true}, "did not grant"},
		{"zero decision", t.Context(), func() rules.Decision { return rules.Decision{} }, granted, ""},
		{"invalid field", t.Context(), func() rules.Decision {
			return rules.Decision{Disposition: rules.Deliver, Headers: []rules.HeaderField{{Name: "a b", Value: "x"}}}
		}, granted, "invalid operation"},
		{"5yz reply to a deferral", t.Context(), func() rules.Decision {
			return rules.Decision{Disposition: rules.Defer, Reply: rules.SMTPReply{Code: 550}}
		}, granted, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := testFilter(t, tt.decide).Explain(tt.ctx, read(t, message.Envelope{}, someMail...), tt.caps)
			if o.Plan.Verdict != plan.TempFail || len(o.Plan.Ops) != 0 || o.Plan.Text() != plan.DefaultReply {
				t.Errorf("plan %+v", o.Plan)
			}
			if !strings.Contains(o.Failure, tt.failure) || (tt.failure == "") != (o.Failure == "") {
				t.Errorf("failure %q", o.Failure)
			}
		})
	}
}

func TestRejectChangesNothing(t *testing.T) {
	f := testFilter(t, func() rules.Decision {
		return rules.Decision{Disposition: rules.Reject, Reply: rules.SMTPReply{Code: 554, Enhanced: "5.7.0", Text: "100% no"}}
	})
	o := f.Explain(t.Context(), read(t, message.Envelope{}, someMail...), granted)
	if o.Plan.Verdict != plan.Refuse || len(o.Plan.Ops) != 0 || o.Plan.Text() != "554 5.7.0 100% no" {
		t.Errorf("plan %+v", o.Plan)
	}
}

func TestTooManyForgedFieldsAreRefused(t *testing.T) {
	lines := []string{"From: a@b.example"}
	for range headers.DefaultMaxRemovals + 1 {
		lines = append(lines, "Authentication-Results: x.example; dmarc=pass")
	}
	f := testFilter(t, func() rules.Decision { return rules.Decision{Disposition: rules.Deliver} })
	o := f.Explain(t.Context(), read(t, message.Envelope{}, append(lines, "", "")...), granted)
	if o.Plan.Verdict != plan.Refuse || !strings.HasPrefix(o.Plan.Text(), "550 5.7.1 ") {
		t.Errorf("plan %+v", o.Plan)
	}
}

func TestDispositions(t *testing.T) {
	tests := []struct {
		name    string
		d       rules.Decision
		verdict plan.Verdict
		want    string // an operation
	}{
		{"junk", rules.Decision{Disposition: rules.Junk}, plan.Accept, "insert_header X-Spam-Flag YES"},
		{"quarantine quotes the message", rules.Decision{Disposition: rules.Quarantine, Reason: "gef\u00e4lscht\r\nx"}, plan.Accept,
			"quarantine  gef?lscht x"},
		{"a field quotes the message", rules.Decision{Disposition: rules.Deliver, Headers: []rules.HeaderField{{Name: "X-Assay-Y", Value: "a\r\nB: c\x00\n"}}},
			plan.Accept, "insert_header X-Assay-Y a B: c"},
		{"quarantine without a reason", rules.Decision{Disposition: rules.Quarantine}, plan.Accept, "quarantine  quarantined by policy"},
		{"an unknown disposition is no delivery", rules.Decision{Disposition: 99}, plan.TempFail, ""},
		{"less than none", rules.Decision{Disposition: -1}, plan.TempFail, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := testFilter(t, func() rules.Decision { return tt.d })
			o := f.Explain(t.Context(), read(t, message.Envelope{}, someMail...), granted)
			var ops []string
			for _, op := range o.Plan.Ops {
				ops = append(ops, fmt.Sprintf("%s %s %s", op.Kind, op.Name, op.Value))
			}
			if o.Plan.Verdict != tt.verdict || tt.want != "" && !slices.Contains(ops, tt.want) || tt.want == "" && len(ops) > 0 {
				t.Errorf("verdict %v, operations %q (%s)", o.Plan.Verdict, ops, o.Failure)
			}
		})
	}
}

type panicking struct{}

func (panicking) Scan(context.Context, *message.Message) scan.Report { panic("scanner") }

func TestScannerPanicIsAFinding(t *testing.T) {
	f := testFilter(t, func() rules.Decision { return rules.Decision{Disposition: rules.Deliver} }, panicking{})
	o := f.Explain(t.Context(), read(t, message.Envelope{}, someMail...), granted)
	if len(o.Report.Findings) != 1 || o.Report.Findings[0].Kind != "limit.panic" || o.Plan.Verdict != plan.Accept {
		t.Errorf("findings %+v, plan %+v", o.Report.Findings, o.Plan.Verdict)
	}
}

type recorder struct {
	mu   sync.Mutex
	seen []*Outcome
	errs []error
}

func (r *recorder) Observe(o *Outcome, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen, r.errs = append(r.seen, o), append(r.errs, err)
}

func TestObserverHearsOfEveryMessageOnce(t *testing.T) {
	var rec recorder
	f := New(Options{Verifier: verify.New(verify.Options{Resolver: emptyZone(t)}), Rules: shippedRules(t), Observer: &rec})
	m := read(t, message.Envelope{QueueID: "1"}, someMail...)
	p := f.Begin(t.Context(), &m.Envelope, m.Header)
	if got := p.Handle(t.Context(), m, granted); got.Verdict != plan.Accept {
		t.Errorf("plan %+v", got)
	}
	p.Done(nil)
	gone := errors.New("connection lost")
	f.Begin(t.Context(), &m.Envelope, m.Header).Done(gone)
	refused := &milter.RefusedError{Reply: "550 5.6.0 no", Cause: milter.ErrLimit}
	f.Begin(t.Context(), &m.Envelope, m.Header).Done(refused)
	if o := rec.seen[2]; !o.Refused || o.Aborted || o.Decision.Disposition != rules.Reject || o.Plan.Text() != refused.Reply ||
		rec.errs[2] != nil || len(o.Results.Author.Mailboxes) != 1 {
		t.Errorf("refused: %+v, %v", o, rec.errs[2])
	}
	if len(rec.seen) != 3 || rec.seen[0].Aborted || !rec.seen[1].Aborted || rec.errs[1] != gone || rec.seen[0].Parts != 1 {
		t.Errorf("%+v %v", rec.seen, rec.errs)
	}
}
