package filter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"assay/milter/headers"
	"assay/milter/plan"
	"assay/milter/quarantine"
	"assay/rules"
	"assay/scan"
	"assay/scan/html"
	"assay/verify"
	"assay/verify/message"
)

// everything is what an MTA may grant.
var everything = plan.Capabilities{AddHeaders: true, ChangeHeaders: true, ChangeBody: true, Quarantine: true, AddRecipients: true, DeleteRecipients: true}

// drawer is a Store in memory.
type drawer struct {
	kept     []quarantine.Entry
	octets   []string
	err      error
	redeemed *quarantine.Redeemed
	failed   error // of Redeem
	restored int
}

func (d *drawer) Keep(_ context.Context, m io.WriterTo, e quarantine.Entry) (string, error) {
	if d.err != nil {
		return "", d.err
	}
	var b bytes.Buffer
	if _, err := m.WriteTo(&b); err != nil {
		return "", err
	}
	d.kept, d.octets = append(d.kept, e), append(d.octets, b.String())
	return fmt.Sprintf("id-%d", len(d.kept)), nil
}

func (d *drawer) Redeem(_ context.Context, value, _ string) (*quarantine.Redeemed, error) {
	if value != "good" && d.failed == nil {
		return nil, fmt.Errorf("%w: %s", quarantine.ErrToken, value)
	}
	return d.redeemed, d.failed
}

func (d *drawer) Restore(context.Context, *quarantine.Redeemed) error { d.restored++; return nil }

// keeping returns a filter with a quarantine and one decision.
func keeping(t *testing.T, q Quarantine, d rules.Decision) *Filter {
	t.Helper()
	return New(Options{Verifier: verify.New(verify.Options{Resolver: emptyZone(t)}), Rules: decider(func() rules.Decision { return d }),
		Quarantine: q})
}

var kept = rules.Decision{Disposition: rules.Quarantine, Reason: "odd", Trust: rules.Suspicious, Tags: []string{"[x]"},
	Rules: []rules.Match{{ID: "fires", Enforced: true}, {ID: "watched"}}}

var keptEnvelope = message.Envelope{QueueID: "4XyZ", MailFrom: "s@a.example", RcptTo: []string{"r@b.example", "r@b.example", "q@b.example"},
	ClientIP: netip.MustParseAddr("192.0.2.1")}

func TestStoredBeforeItIsDiscarded(t *testing.T) {
	d := &drawer{}
	o := keeping(t, Quarantine{Place: PlaceStore, Store: d, Release: rules.ReleaseUser}, kept).Explain(t.Context(), read(t, keptEnvelope, someMail...), plan.Capabilities{})
	if o.Plan.Verdict != plan.Discard || len(o.Plan.Ops) != 0 || o.Quarantined != "id-1" || o.Failure != "" || len(o.Headers) != 0 {
		t.Fatalf("%+v, failure %q", o.Plan, o.Failure)
	}
	e := d.kept[0]
	if e.Class != rules.ReleaseUser || e.Reason != "odd" || !slices.Equal(e.Rules, []string{"fires"}) || e.Author != "a@b.example" || e.Client != "192.0.2.1" ||
		e.MailFrom != "s@a.example" || len(e.RcptTo) != 3 || d.octets[0] != strings.Join(someMail, "\r\n") {
		t.Errorf("%+v %q", e, d.octets[0])
	}
	// What it gets when it is released says that it is delivered, and changes nothing else.
	i := slices.IndexFunc(e.Fields, func(h rules.HeaderField) bool { return h.Name == "X-Assay-Result" })
	if i < 0 || e.Fields[0].Name != "Authentication-Results" || !strings.Contains(e.Fields[i].Value, "disposition=deliver") || !strings.Contains(e.Fields[i].Value, "changed=none") {
		t.Errorf("fields %q", e.Fields)
	}
}

func TestWhatCannotBeStoredIsDeferred(t *testing.T) {
	for name, q := range map[string]Quarantine{
		"full": {Place: PlaceStore, Store: &drawer{err: errors.New("no space left on device")}}, "no store": {Place: PlaceStore},
	} {
		o := keeping(t, q, kept).Explain(t.Context(), read(t, keptEnvelope, someMail...), everything)
		if o.Plan.Verdict != plan.TempFail || o.Plan.Text() != plan.DefaultReply || o.Failure == "" || o.Decision.Disposition != rules.Defer {
			t.Errorf("%s: %+v, failure %q", name, o.Plan, o.Failure)
		}
	}
	unsafe := New(Options{Verifier: verify.New(verify.Options{Resolver: emptyZone(t)}), Scanners: []scan.Scanner{&html.Scanner{}},
		Rules: decider(func() rules.Decision {
			return rules.Decision{Disposition: rules.Deliver, HTML: []rules.HTMLAction{{Rule: "x", Level: "active"}}}
		}),
		Quarantine: Quarantine{Originals: true, Store: &drawer{err: errors.New("read-only")}}})
	o := unsafe.Explain(t.Context(), read(t, keptEnvelope, activeMail...), everything)
	if o.Plan.Verdict != plan.TempFail || !strings.Contains(o.Failure, "read-only") {
		t.Errorf("delivered without its original: %+v, %q", o.Plan, o.Failure)
	}
}

// activeMail has a script.
var activeMail = []string{"From: a@b.example", "Content-Type: text/html", "", "<p>hi<script>x()</script>", ""}

func TestOriginalOfAChangedMessage(t *testing.T) {
	d := &drawer{}
	f := New(Options{Verifier: verify.New(verify.Options{Resolver: emptyZone(t)}), Scanners: []scan.Scanner{&html.Scanner{}},
		Rules: decider(func() rules.Decision {
			return rules.Decision{Disposition: rules.Deliver, HTML: []rules.HTMLAction{{Rule: "x", Level: "active"}}}
		}),
		Quarantine: Quarantine{Originals: true, Store: d}})
	if o := f.Explain(t.Context(), read(t, keptEnvelope, someMail...), everything); len(d.kept) != 0 || o.OriginalKept != "" {
		t.Error("the original of an unchanged message is kept")
	}
	o := f.Explain(t.Context(), read(t, keptEnvelope, activeMail...), everything)
	if o.Plan.Verdict != plan.Accept || o.OriginalKept != "id-1" || d.kept[0].Kind != quarantine.Original || d.octets[0] != strings.Join(activeMail, "\r\n") {
		t.Errorf("%+v, %q, %q", o.Plan, o.Failure, d.octets)
	}
}

func TestRedirected(t *testing.T) {
	q := Quarantine{Place: PlaceMailbox, Mailbox: "Q@b.example"}
	env := keptEnvelope
	o := keeping(t, q, kept).Explain(t.Context(), read(t, env, append([]string{"X-Assay-Quarantine-From: <boss@b.example>"}, someMail...)...), everything)
	var ops []string
	for _, op := range o.Plan.Ops {
		if op.Kind != plan.InsertHeader {
			ops = append(ops, fmt.Sprint(op.Kind, " ", op.Name, op.Value))
		}
	}
	// The mailbox is one of the recipients: it stays.
	want := []string{"delete_header Authentication-Results", "delete_header X-Assay-Quarantine-From", "delete_recipient r@b.example"}
	if o.Plan.Verdict != plan.Accept || !slices.Equal(ops, want) {
		t.Errorf("%q, failure %q", ops, o.Failure)
	}
	fields := map[string]string{}
	for _, h := range o.Headers {
		fields[h.Name] = h.Value
	}
	if fields["X-Assay-Quarantine-From"] != "<s@a.example>" || fields["X-Assay-Quarantine-To"] != "<r@b.example>,\n <r@b.example>,\n <q@b.example>" ||
		fields["X-Assay-Quarantine-Reason"] != "odd" || fields["X-Assay-Quarantine-Release"] != "operator" || !strings.Contains(fields["X-Assay-Result"], "disposition=quarantine") {
		t.Errorf("%q", fields)
	}
	q.Mailbox = "elsewhere@b.example"
	o = keeping(t, q, kept).Explain(t.Context(), read(t, env, someMail...), granted)
	if o.Plan.Verdict != plan.TempFail || !strings.Contains(o.Failure, "did not grant") {
		t.Errorf("without the right to change recipients: %+v", o.Plan)
	}
	o = keeping(t, q, kept).Explain(t.Context(), read(t, env, someMail...), everything)
	if n := slices.IndexFunc(o.Plan.Ops, func(op plan.Op) bool { return op.Kind == plan.AddRecipient && op.Value == q.Mailbox }); n < 0 {
		t.Errorf("%+v", o.Plan.Ops)
	}
}

func TestPathsAreASCII(t *testing.T) {
	for in, want := range map[string]string{
		"": "<>", "a+b@c.example": "<a+b@c.example>", `"a b\">"@c`: `<"a\x20b\x5C"\x3E"@c>`, "\xff\n": `<\xFF\x0A>`,
	} {
		if got := path(in); got != want {
			t.Errorf("path(%q) = %s", in, got)
		}
	}
}

func TestManyRecipientsTakeSeveralFields(t *testing.T) {
	env := keptEnvelope
	env.RcptTo = nil
	for i := range 2000 {
		env.RcptTo = append(env.RcptTo, fmt.Sprintf("recipient-number-%d@b.example", i))
	}
	o := keeping(t, Quarantine{Place: PlaceMailbox, Mailbox: "q@b.example"}, kept).Explain(t.Context(), read(t, env, someMail...), everything)
	named := 0
	for _, h := range o.Headers {
		if h.Name == "X-Assay-Quarantine-To" {
			named += strings.Count(h.Value, "<")
		}
	}
	if o.Plan.Verdict != plan.Accept || named != 2000 {
		t.Errorf("%d recipients, failure %q", named, o.Failure)
	}
}

func TestReleasedMessageIsNotJudged(t *testing.T) {
	d := &drawer{redeemed: &quarantine.Redeemed{Entry: &quarantine.Entry{ID: "q1", Client: "192.0.2.1",
		Fields: []rules.HeaderField{{Name: "Authentication-Results", Value: "mx; spf=pass"}, {Name: "X-Assay-Result", Value: "v=1; disposition=deliver"}}}}}
	f := keeping(t, Quarantine{Place: PlaceStore, Store: d}, rules.Decision{Disposition: rules.Reject})
	with := func(token string) []string { return append([]string{token}, someMail...) }
	m := read(t, message.Envelope{ClientIP: netip.MustParseAddr("127.0.0.1")}, with("X-Assay-Release: good")...)
	o := f.Explain(t.Context(), m, granted)
	var out bytes.Buffer
	if err := plan.Apply(o.Plan, m, &out); err != nil {
		t.Fatal(err)
	}
	want := "Authentication-Results: mx; spf=pass\r\nX-Assay-Result: v=1; disposition=deliver\r\nX-Assay-Released: q1\r\nFrom: a@b.example\r\n\r\nhi\r\n"
	if out.String() != want || o.Released != "q1" {
		t.Errorf("delivered %q", out.String())
	}
	out.Reset()
	m = read(t, message.Envelope{ClientIP: netip.MustParseAddr("127.0.0.1")}, with("X-Assay-Release: good\r\nX-Assay-Release: the sender's own")...)
	if err := plan.Apply(f.Explain(t.Context(), m, granted).Plan, m, &out); err != nil || out.String() != want {
		t.Errorf("a field of the sender keeps his mail from being released: %v, %q", err, out.String())
	}
	for name, token := range map[string]string{"forged": "X-Assay-Release: bad", "not on top": "X-Assay-Release: bad\r\nX-Assay-Release: good"} {
		o := f.Explain(t.Context(), read(t, message.Envelope{}, with(token)...), granted)
		if o.Plan.Verdict != plan.Refuse || o.Released != "" || o.Forged == "" {
			t.Errorf("%s: %+v %q", name, o.Plan, o.Forged)
		}
	}
	deliver := keeping(t, Quarantine{Store: d}, rules.Decision{Disposition: rules.Deliver})
	m = read(t, message.Envelope{}, with("X-Assay-Release: bad")...)
	o = deliver.Explain(t.Context(), m, granted)
	if !slices.ContainsFunc(o.Removed, func(r headers.Removal) bool { return r.Name == "X-Assay-Release" }) {
		t.Errorf("a forged token stays: %+v", o.Removed)
	}
	d.failed = errors.New("disk I/O error")
	if o := f.Explain(t.Context(), read(t, message.Envelope{}, with("X-Assay-Release: good")...), granted); o.Plan.Verdict != plan.TempFail {
		t.Errorf("nobody knows whether it was released: %+v", o.Plan)
	}
}

func TestTokenIsGoodAgainWhenTheMTAWasNotReached(t *testing.T) {
	d := &drawer{redeemed: &quarantine.Redeemed{Entry: &quarantine.Entry{ID: "q1"}}}
	f := keeping(t, Quarantine{Store: d}, rules.Decision{Disposition: rules.Deliver})
	for _, tt := range []struct {
		caps plan.Capabilities
		err  error
		want int
	}{{granted, nil, 0}, {granted, errors.New("connection reset"), 1}, {plan.Capabilities{}, nil, 1}} {
		d.restored = 0
		m := read(t, message.Envelope{}, append([]string{"X-Assay-Release: good"}, someMail...)...)
		pending := f.Begin(t.Context(), &m.Envelope, m.Header)
		pending.Handle(t.Context(), m, tt.caps)
		pending.Done(tt.err)
		if d.restored != tt.want {
			t.Errorf("%v, %v: restored %d times", tt.caps, tt.err, d.restored)
		}
	}
}
