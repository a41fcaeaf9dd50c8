package verify

import (
	"context"
	"fmt"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"assay/verify/arc"
	"assay/verify/authres"
	"assay/verify/dkim"
	"assay/verify/dmarc"
	"assay/verify/dns"
	"assay/verify/iprev"
	"assay/verify/message"
	"assay/verify/smime"
	"assay/verify/spf"
)

// Options configure a Verifier. The zero value needs only a Resolver.
type Options struct {
	Resolver dns.Resolver // shared by all messages; usually a cache
	// Budget bounds the DNS questions of one message, in number and in the time spent waiting for them. A check that is
	// not finished by then is temperror. The time in which the body arrives does not count.
	Budget dns.Budget

	SPF   spf.Options
	DKIM  dkim.Options
	ARC   arc.Options
	DMARC dmarc.Options
	IPRev iprev.Options
	SMIME *smime.Verifier // nil leaves S/MIME out

	// Trusted holds the networks whose clients are not checked, such as the organization's own relays.
	Trusted []netip.Prefix
	// Explain fills the Steps of every outcome.
	Explain bool
}

// A Verifier runs every check on messages. It is safe for concurrent use.
type Verifier struct{ opt Options }

// New returns a Verifier.
func New(opt Options) *Verifier {
	opt.SPF.Explain, opt.DKIM.Explain, opt.ARC.Explain = opt.Explain, opt.Explain, opt.Explain
	opt.DMARC.Explain, opt.IPRev.Explain = opt.Explain, opt.Explain
	return &Verifier{opt}
}

// Verify runs every check on m. It never fails: a check that cannot be finished has an outcome that says so.
func (v *Verifier) Verify(ctx context.Context, m *message.Message) Results {
	run := v.Start(ctx, &m.Envelope, m.Header)
	defer run.Close()
	return run.Finish(m)
}

// A Run is the verification of one message. It must be closed.
type Run struct {
	v              *Verifier
	ctx            context.Context
	cancel         context.CancelFunc
	env            *message.Envelope
	memo           *dns.Memo
	aligned, other dns.Resolver // shares of memo
	checks         sync.WaitGroup
	bodies         *dkim.Bodies
	dkim           *dkim.Run
	arc            *arc.Run

	mu      sync.Mutex // guards faults
	faults  []Fault
	results Results
}

// Shares of the budget in hundredths. What is asked for SPF, signatures, seals and the client's name is up to the sender,
// who could leave nothing for the policy of the domain in From, or for the checks that could be aligned with it. With the
// default of 100 questions DMARC is left 10, a tree walk and one for the existence of the domain.
const (
	alignedShare = 50 // SPF for MAIL FROM and DKIM, which need 50 at most
	otherShare   = 40 // HELO, ARC and iprev
)

// A Fault is a check that panicked. The message got permerror for it.
type Fault struct {
	Check string // "spf", "dkim", ...
	Cause string
	Stack string
}

// Start begins every lookup that the envelope and the header of a message call for, side by side, and returns at once.
// It can be called before the body has arrived. Cancelling ctx ends the lookups.
func (v *Verifier) Start(ctx context.Context, env *message.Envelope, header message.Header) *Run {
	ctx, cancel := context.WithCancel(ctx)
	r := &Run{v: v, ctx: ctx, cancel: cancel, env: env, memo: dns.NewMemo(v.opt.Resolver, v.opt.Budget), bodies: dkim.NewBodies()}
	r.aligned, r.other = r.memo.Share(alignedShare), r.memo.Share(otherShare)
	r.results.Author = header.Author()
	r.results.Auth = authenticated(env)
	if r.results.Skipped = v.skip(env); r.results.Skipped != "" {
		return r
	}
	r.startEnvelope()
	r.startHeader(header)
	return r
}

// startEnvelope starts the checks that need only the envelope.
func (r *Run) startEnvelope() {
	identities := []spf.Identity{spf.MailFrom}
	if r.env.MailFrom != "" {
		identities = append(identities, spf.Helo) // the null reverse-path makes MAIL FROM the HELO identity
	}
	r.results.SPF = make([]spf.Verification, len(identities))
	for i, id := range identities {
		out := &r.results.SPF[i]
		*out = spf.Verification{Identity: id, Result: authres.PermError, Reason: "internal error"}
		r.goCheck("spf", func() {
			in := spf.Input{IP: r.env.ClientIP, Helo: r.env.Helo, MailFrom: r.env.MailFrom, Identity: id}
			opt := r.v.opt.SPF
			opt.At, opt.Receiver = r.env.ReceivedAt, r.env.ReceiverMTA
			share := r.aligned
			if id == spf.Helo {
				share = r.other
			}
			*out = spf.Verify(r.ctx, share, in, opt)
		})
	}
	r.results.IPRev = iprev.Verification{Result: authres.PermError, Reason: "internal error", IP: r.env.ClientIP}
	r.goCheck("iprev", func() { r.results.IPRev = iprev.Verify(r.ctx, r.other, r.env.ClientIP, r.v.opt.IPRev) })
}

// startHeader starts the checks that need the header: keys of signatures and seals, and the author domain's policy.
// An evaluation without identifiers asks for the records early, so that the real one finds the answers.
func (r *Run) startHeader(header message.Header) {
	opt := r.v.opt.DKIM
	for _, box := range r.results.Author.Mailboxes {
		opt.PreferDomains = append(slices.Clip(opt.PreferDomains), box.Domain)
	}
	r.guard("dkim", func() { r.dkim = dkim.Start(r.ctx, r.aligned, header, r.env.ReceivedAt, opt, r.bodies) })
	r.guard("arc", func() { r.arc = arc.Start(r.ctx, r.other, header, r.env.ReceivedAt, r.v.opt.ARC, r.bodies) })
	r.goCheck("dmarc", func() {
		dmarc.Evaluate(r.ctx, r.memo, dmarc.Input{Author: r.results.Author}, r.v.opt.DMARC)
	})
}

// Finish hashes the body of m, waits for every check, and returns the outcomes. It is called at most once.
func (r *Run) Finish(m *message.Message) Results {
	if r.results.Skipped == "" {
		r.startSMIME(m)
		r.finishBody(m)
		r.checks.Wait()
		r.finishDMARC()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results.Faults = r.faults
	return r.results
}

// startSMIME starts the check of S/MIME, which needs the whole message.
func (r *Run) startSMIME(m *message.Message) {
	if r.v.opt.SMIME == nil {
		return
	}
	r.results.SMIME = smime.Verification{Result: authres.PermError, State: smime.Unavailable, Reason: "internal error"}
	author := r.results.Author
	r.goCheck("smime", func() { r.results.SMIME = r.v.opt.SMIME.Verify(r.ctx, m, author) })
}

// finishBody feeds the body to every signature and collects what they say.
func (r *Run) finishBody(m *message.Message) {
	r.results.DKIM = []dkim.Verification{{Result: authres.PermError, Reason: "internal error", BodyLength: -1, FieldNth: 1}}
	r.results.ARC = arc.Verification{Result: authres.PermError, Reason: "internal error"}
	// A body that cannot be read, or that is not there in full, makes temperror of every signature.
	read := false
	r.guard("dkim", func() {
		r.bodies.ReadMessage(m)
		read = true
	})
	if !read {
		return
	}
	if r.dkim != nil {
		r.guard("dkim", func() { r.results.DKIM = r.dkim.Finish() })
	}
	if r.arc != nil {
		r.guard("arc", func() { r.results.ARC = r.arc.Finish() })
	}
}

// finishDMARC evaluates DMARC and puts the signatures that matter to it first.
func (r *Run) finishDMARC() {
	r.results.DMARC = dmarc.Evaluation{Result: authres.PermError, Reason: "internal error"}
	r.guard("dmarc", func() {
		in := dmarc.Input{Author: r.results.Author, SPF: r.results.SPF, DKIM: r.results.DKIM, Forwarder: r.forwarder()}
		r.results.DMARC = dmarc.Evaluate(r.ctx, r.memo, in, r.v.opt.DMARC)
	})
	r.excuse(&r.results.DMARC)
	domain := r.results.DMARC.DKIMDomain
	rank := func(s dkim.Verification) int {
		switch {
		case s.Result == authres.Pass && s.Domain == domain:
			return 0
		case s.Result == authres.Pass:
			return 1
		default:
			return 2
		}
	}
	slices.SortStableFunc(r.results.DKIM, func(a, b dkim.Verification) int { return rank(a) - rank(b) })
}

// excuse takes back a fail that a bug of ours may have caused: the author is not to suffer for a check that panicked.
func (r *Run) excuse(ev *dmarc.Evaluation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.faults) == 0 || ev.Result != authres.Fail {
		return
	}
	ev.Result, ev.Policy, ev.Override, ev.Overrider = authres.TempError, "", "", ""
	ev.Reason = "internal error in " + r.faults[0].Check
}

// forwarder names the trusted ARC sealer that saw the message pass DMARC for the domain in From, "" if there is none. A
// message with anything odd about From has none: anyone can put another From above the one that is sealed.
func (r *Run) forwarder() string {
	a, boxes := r.results.ARC, r.results.Author.Mailboxes
	if r.results.Author.Problem != "" || len(boxes) != 1 {
		return ""
	}
	if a.Result != authres.Pass || !a.Trusted || a.DMARC != authres.Pass || a.DMARCFrom != boxes[0].Domain {
		return ""
	}
	if len(a.Sealers) == 0 {
		return ""
	}
	return a.Sealers[len(a.Sealers)-1]
}

// Known returns the results that need neither the body nor the DNS: Author, Auth and Skipped.
func (r *Run) Known() Results {
	return Results{Author: r.results.Author, Auth: r.results.Auth, Skipped: r.results.Skipped}
}

// Questions returns the DNS questions of the message so far, in order.
func (r *Run) Questions() []dns.Question { return r.memo.Questions() }

// Close ends whatever is still running and waits for it. It may be called more than once.
func (r *Run) Close() {
	r.cancel()
	r.checks.Wait()
}

// goCheck runs f beside the other checks.
func (r *Run) goCheck(check string, f func()) {
	r.checks.Go(func() { r.guard(check, f) })
}

// guard runs f. A panic is recorded; the outcome f should have set stays what it was.
func (r *Run) guard(check string, f func()) {
	defer func() {
		if cause := recover(); cause != nil {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.faults = append(r.faults, Fault{check, fmt.Sprint(cause), string(debug.Stack())})
		}
	}()
	f()
}

// skip says why a message is not checked.
func (v *Verifier) skip(env *message.Envelope) Skip {
	switch {
	case env.AuthUser != "":
		return SkipAuthenticated
	case env.Local:
		return SkipLocal
	}
	for _, p := range v.opt.Trusted {
		if p.Contains(env.ClientIP) {
			return SkipNetwork
		}
	}
	return ""
}

// authenticated is the outcome of the "auth" method.
func authenticated(env *message.Envelope) Auth {
	if env.AuthUser == "" {
		return Auth{Result: authres.None}
	}
	return Auth{Result: authres.Pass, User: strings.TrimSpace(env.AuthUser)}
}
