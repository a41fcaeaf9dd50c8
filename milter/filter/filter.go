package filter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"assay/milter"
	"assay/milter/headers"
	"assay/milter/notice"
	"assay/milter/plan"
	"assay/rules"
	"assay/rules/facts"
	"assay/scan"
	"assay/verify/message"
)

// New returns a Filter.
func New(opt Options) *Filter {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Notices == nil {
		opt.Notices = english()
	}
	return &Filter{opt}
}

// english returns the notices that come with Assay, which their tests have tried.
func english() *notice.Templates {
	t, err := notice.New("en", nil)
	if err != nil {
		panic(err)
	}
	return t
}

// Begin starts the lookups of a message whose header is complete. It implements milter.Handler.
func (f *Filter) Begin(ctx context.Context, env *message.Envelope, header message.Header) milter.Pending {
	return f.begin(ctx, env, header)
}

func (f *Filter) begin(ctx context.Context, env *message.Envelope, header message.Header) *Transaction {
	own := *env
	own.RcptTo = slices.Clone(env.RcptTo)
	return &Transaction{
		filter:  f,
		started: f.opt.Now(),
		run:     f.opt.Verifier.Start(ctx, &own, header),
		outcome: &Outcome{Envelope: own, Aborted: true},
	}
}

// Explain runs the whole story on a message that no MTA waits for, and returns all of it.
func (f *Filter) Explain(ctx context.Context, m *message.Message, caps plan.Capabilities) *Outcome {
	t := f.begin(ctx, &m.Envelope, m.Header)
	defer t.run.Close()
	t.Handle(ctx, m, caps)
	return t.outcome
}

// Handle is the story: verify and scan side by side, decide, plan. What goes wrong inside defers the message; the
// sending side keeps it. Done observes the outcome once the plan was carried out.
func (t *Transaction) Handle(ctx context.Context, m *message.Message, caps plan.Capabilities) (p plan.Plan) {
	o := t.outcome
	defer func() {
		if cause := recover(); cause != nil {
			o.Failure = fmt.Sprintf("panic: %v\n%s", cause, debug.Stack())
			p = plan.Plan{}
		}
		o.Plan, o.Aborted, o.Elapsed = p, false, t.filter.opt.Now().Sub(t.started)
	}()
	o.describe(m)

	began, now := t.filter.opt.Now(), t.filter.opt.Now
	var scanning sync.WaitGroup
	scanning.Go(func() {
		o.Report = t.filter.scan(ctx, m)
		o.Scanning = now().Sub(began)
	})
	o.Results = t.run.Finish(m)
	o.Verifying = now().Sub(began)
	scanning.Wait()
	o.Questions = t.run.Questions()
	if ctx.Err() != nil {
		return o.fail("given up before the checks were finished: %v", context.Cause(ctx))
	}

	if err := t.redeem(ctx, m); err != nil {
		return o.fail("%v", err)
	}
	if t.redeemed != nil {
		return t.released(m, caps)
	}
	t.filter.decide(ctx, o, m)
	return t.filter.plan(ctx, o, m, caps)
}

// Done ends the message and lets the observer know. It implements milter.Pending.
func (t *Transaction) Done(err error) {
	t.run.Close()
	t.giveBack(err)
	var refused *milter.RefusedError
	if errors.As(err, &refused) {
		t.refuse(refused)
		err = nil
	}
	if t.filter.opt.Observer != nil {
		t.filter.opt.Observer.Observe(t.outcome, err)
	}
}

// refuse notes that the session refused the message by itself.
func (t *Transaction) refuse(e *milter.RefusedError) {
	o := t.outcome
	if o.Aborted {
		o.Results = t.run.Known()
		o.Elapsed = t.filter.opt.Now().Sub(t.started)
	}
	o.Refused, o.Aborted, o.Failure = true, false, e.Error()
	o.Plan = plan.Plan{Verdict: plan.TempFail, Reply: e.Reply}
	o.Decision = rules.Decision{Disposition: rules.Defer, Trust: rules.Unverified, Reason: e.Error()}
	if strings.HasPrefix(e.Reply, "5") {
		o.Plan.Verdict, o.Decision.Disposition = plan.Refuse, rules.Reject
	}
	o.Headers, o.Removed, o.Unsealed, o.Amendment = nil, nil, "", Amendment{}
	o.Released = ""
}

// describe notes the shape of the message.
func (o *Outcome) describe(m *message.Message) {
	o.Size, o.Defects, o.Header = m.Size(), m.Defects, m.Header
	o.Envelope.QueueID = m.Envelope.QueueID // Sendmail and some Postfix versions name it late
	for range m.Root.Leaves() {
		o.Parts++
	}
}

// fail defers the message because of an internal error.
func (o *Outcome) fail(format string, args ...any) plan.Plan {
	o.Failure = fmt.Sprintf(format, args...)
	o.Decision = rules.Decision{Trust: rules.Unverified, Reason: o.Failure}
	o.Headers, o.Removed, o.Amendment = nil, nil, Amendment{}
	return plan.Plan{}
}

// scan runs the scanners side by side and returns what they saw in the scanners' order. A scanner that panics is a
// finding: nothing is looked at in part and called clean.
func (f *Filter) scan(ctx context.Context, m *message.Message) scan.Report {
	found := make([]scan.Report, len(f.opt.Scanners))
	var wg sync.WaitGroup
	for i, s := range f.opt.Scanners {
		wg.Go(func() {
			defer func() {
				if cause := recover(); cause != nil {
					found[i] = scan.Report{Findings: []scan.Finding{{Kind: "limit.panic", Detail: fmt.Sprintf("%T: %v", s, cause), Count: 1}}}
				}
			}()
			found[i] = s.Scan(ctx, m)
		})
	}
	wg.Wait()
	var all scan.Report
	for _, r := range found {
		all.Add(r)
	}
	return all
}

// decide has the rules decide about the facts.
func (f *Filter) decide(ctx context.Context, o *Outcome, m *message.Message) {
	began := f.opt.Now()
	defer func() { o.Deciding = f.opt.Now().Sub(began) }()
	known := facts.New(facts.Input{Message: m, Results: o.Results, Report: o.Report})
	if !f.opt.Explain {
		o.Decision = f.opt.Rules.DecideFrom(ctx, known)
		return
	}
	o.Facts = known
	o.Decision, o.Traces = f.opt.Rules.Explain(ctx, known)
}

// plan turns the decision into operations. A modification the MTA did not grant defers the message as a whole.
func (f *Filter) plan(ctx context.Context, o *Outcome, m *message.Message, caps plan.Capabilities) plan.Plan {
	d := &o.Decision
	removed, err := f.opt.Headers.Removals(o.subject(), m.Header)
	if errors.Is(err, headers.ErrTooMany) {
		*d = rules.Decision{Disposition: rules.Reject, Trust: rules.Forged, Reason: err.Error(),
			Reply: rules.SMTPReply{Code: 550, Enhanced: "5.7.1", Text: "too many forged trust header fields"}}
	}
	if !taken(d.Disposition) {
		return refusal(*d)
	}
	if err := f.amend(o, m); err != nil {
		return o.fail("%v", err)
	}
	o.Removed = removed
	if d.Disposition == rules.Quarantine && (f.opt.Quarantine.Place == PlaceStore || f.opt.Quarantine.Place == PlaceMailbox) {
		return f.isolate(ctx, o, m, caps)
	}
	if err := f.keepOriginal(ctx, o, m); err != nil {
		return o.fail("%v", err)
	}
	ops, err := f.edits(o)
	if err != nil {
		return o.fail("%v", err)
	}
	p, err := plan.Build(ops, caps)
	if err != nil {
		return o.fail("%v", err)
	}
	return f.seal(o, m, p, caps)
}

// edits lists the modifications of a message that is delivered: forged fields out, our own in, the
// Authentication-Results field on top.
func (f *Filter) edits(o *Outcome) ([]plan.Op, error) {
	if err := f.fields(o); err != nil {
		return nil, err
	}
	ops := append(o.Amendment.ops(), f.headerOps(o)...)
	if o.Decision.Disposition == rules.Quarantine {
		// The reason may quote the message.
		reason := cmp.Or(plan.Printable(o.Decision.Reason), "quarantined by policy")
		ops = append(ops, plan.Op{Kind: plan.Hold, Value: reason})
	}
	return ops, nil
}

// headerOps removes forged fields and adds our own.
func (f *Filter) headerOps(o *Outcome) []plan.Op {
	var ops []plan.Op
	for _, r := range o.Removed {
		ops = append(ops, plan.Op{Kind: plan.DeleteHeader, Name: r.Name, Nth: r.Nth})
	}
	for _, h := range slices.Backward(o.Headers) {
		ops = append(ops, plan.Op{Kind: plan.InsertHeader, Name: h.Name, Value: h.Value})
	}
	return ops
}

// taken reports whether a message is accepted. It is not for a disposition that nobody knows.
func taken(d rules.Disposition) bool {
	return d == rules.Deliver || d == rules.Junk || d == rules.Quarantine
}

// subject is what the fields are about.
func (o *Outcome) subject() headers.Subject {
	return headers.Subject{Envelope: &o.Envelope, Results: o.Results, Decision: o.Decision, Changed: o.Amendment.Changed,
		Original: o.Amendment.SHA256, Unscanned: o.Report.Unscanned(), Virus: o.Report.Virus.State}
}

// fields makes our own fields, top one first.
func (f *Filter) fields(o *Outcome) error {
	subject := o.subject()
	results, err := f.opt.Headers.AuthenticationResults(subject)
	if err != nil {
		return err
	}
	o.Headers = []rules.HeaderField{results}
	if smime, ok, err := f.opt.Headers.SMIME(subject); err != nil {
		return err
	} else if ok {
		o.Headers = append(o.Headers, smime)
	}
	if !f.opt.Headers.NoSummary {
		o.Headers = append(o.Headers, f.opt.Headers.Summary(subject))
	}
	if !f.opt.Headers.NoResult {
		o.Headers = append(o.Headers, f.opt.Headers.Result(subject))
	}
	if o.Decision.Disposition == rules.Junk {
		o.Headers = append(o.Headers, rules.HeaderField{Name: "X-Spam-Flag", Value: "YES"}) // what Sieve scripts look for
	}
	if a := &o.Amendment; !f.opt.Headers.NoResult && (len(a.edits) > 0 || len(a.Kept) > 0) {
		o.Headers = append(o.Headers, f.opt.Headers.Content(a.content()))
	}
	for _, h := range o.Decision.Headers { // what a rule took from the message may hold anything
		o.Headers = append(o.Headers, rules.HeaderField{Name: h.Name, Value: headers.Text(h.Name, h.Value)})
	}
	return nil
}

// refusal is the plan for a message that is not taken. Its reply falls back to one that is always valid.
func refusal(d rules.Decision) plan.Plan {
	reply, reject := d.Reply, d.Disposition == rules.Reject
	switch {
	case reply.Code == 0 && reject:
		reply = rules.SMTPReply{Code: 550, Enhanced: "5.7.1", Text: "message refused by policy"}
	case reply.Code == 0:
		return plan.Plan{}
	}
	if (reply.Code >= 500) != reject {
		return plan.Plan{} // a reply of the wrong class would turn a deferral into a bounce, or the reverse
	}
	return plan.Refusal(reply.Code, reply.Enhanced, reply.Text)
}

var _ milter.Handler = (*Filter)(nil)
