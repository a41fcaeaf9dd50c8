package dkim

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"assay/verify/authres"
	"assay/verify/dns"
	"assay/verify/message"
)

// fieldName is the name of the field, in lower case.
const fieldName = "dkim-signature"

// A Run is the verification of the signatures of one message, between its header and the end of its body.
type Run struct {
	bodies     *Bodies
	checker    *Checker
	cancel     context.CancelFunc
	signatures []*Signature // those that were looked at, in header order
	more       int          // how many were not looked at
	preferred  []string
}

// Verify verifies the signatures of a complete message at the instant it was received. It relies on the resolver to end
// with its context.
func Verify(ctx context.Context, r dns.Resolver, m *message.Message, opt Options) []Verification {
	b := NewBodies()
	opt.inline = true
	run := Start(ctx, r, m.Header, m.Envelope.ReceivedAt, opt, b)
	b.ReadMessage(m)
	return run.Finish()
}

// ReadMessage reads the body of m to its end.
func (b *Bodies) ReadMessage(m *message.Message) {
	if err := m.Exceeded(); err != nil {
		b.Fail(err) // the rest is not there
		return
	}
	if b.forms[0] != nil || b.forms[1] != nil {
		if _, err := m.CopyBody(b); err != nil {
			b.Fail(err)
		}
	}
}

// Start parses the signatures of a header, starts the key lookups side by side and registers the hashes of the body
// that they need. It does not wait. The caller then writes the body to b and calls Finish, or gives up and calls Abort.
// Expiry is judged at the instant at.
func Start(ctx context.Context, r dns.Resolver, h message.Header, at time.Time, opt Options, b *Bodies) *Run {
	opt = opt.withDefaults()
	fields := slices.Collect(h.All(fieldName))
	if len(fields) == 0 {
		return &Run{bodies: b, cancel: func() {}}
	}
	ctx, cancel := context.WithCancel(ctx)
	run := &Run{bodies: b, cancel: cancel, checker: NewChecker(ctx, r, h, at, opt, b)}
	if len(fields) > 1 {
		run.preferred = opt.preferred(h)
	}
	for _, f := range run.choose(fields, opt.MaxParsed) {
		run.signatures = append(run.signatures, ParseSignature(f, Dialect{}, opt))
	}
	run.more = len(fields) - len(run.signatures)
	run.begin(opt.MaxSignatures)
	return run
}

// choose returns at most most of the fields, in header order. By then their tags are not parsed, so that a heap of
// signatures costs no more than reading it; the d= they seem to have decides.
func (r *Run) choose(fields []message.Field, most int) []message.Field {
	if len(fields) <= most {
		return fields
	}
	order := make([]int, len(fields))
	ranks := make([]int, len(fields))
	for i, f := range fields {
		order[i], ranks[i] = i, r.rank(peekDomain(f.Value()))
	}
	slices.SortStableFunc(order, func(a, b int) int { return ranks[a] - ranks[b] })
	order = order[:most]
	slices.Sort(order)
	chosen := make([]message.Field, most)
	for i, k := range order {
		chosen[i] = fields[k]
	}
	return chosen
}

// peekDomain returns what d= seems to be.
func peekDomain(value []byte) string {
	for rest := string(value[:min(len(value), 4<<10)]); rest != ""; {
		var spec string
		spec, rest, _ = strings.Cut(rest, ";")
		if name, v, ok := strings.Cut(spec, "="); ok && trim(name) == "d" {
			d, err := dns.Canonical(trim(v))
			if err != nil {
				return ""
			}
			return d
		}
	}
	return ""
}

// begin starts the checks of the signatures that matter most, up to the limit.
func (r *Run) begin(most int) {
	order := slices.Clone(r.signatures)
	for _, s := range order {
		s.rank = r.rank(s.Domain)
	}
	slices.SortStableFunc(order, func(a, b *Signature) int { return a.rank - b.rank })
	for _, s := range order {
		switch {
		case s.Result != "":
		case most > 0:
			r.checker.Begin(s)
			most--
		default:
			s.decide(problem(authres.Policy, "not evaluated: more than %d signatures", r.checker.opt.MaxSignatures))
		}
	}
}

// rank says how close a domain is to the preferred ones: 0 for one of them, 1 for a parent or child, 2 for one that
// shares the last two labels, 3 for others. It does not need to know organizational domains: it only orders.
func (r *Run) rank(domain string) int {
	best := 3
	for _, p := range r.preferred {
		switch {
		case domain == "":
		case domain == p:
			return 0
		case strings.HasSuffix(domain, "."+p), strings.HasSuffix(p, "."+domain):
			best = 1
		case lastTwo(domain) == lastTwo(p):
			best = min(best, 2)
		}
	}
	return best
}

// lastTwo returns the last two labels of a name.
func lastTwo(name string) string {
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return name
	}
	return name[strings.LastIndexByte(name[:i], '.')+1:]
}

// Finish waits for the keys and returns the outcome of every signature, passing ones first, and among equals those of
// preferred domains first, then in header order. The whole body must have been written. Signatures beyond
// Options.MaxParsed share one Verification, the last.
func (r *Run) Finish() []Verification {
	defer r.cancel()
	for _, s := range r.signatures {
		r.checker.End(s)
	}
	slices.SortStableFunc(r.signatures, func(a, b *Signature) int {
		if pass := a.Result == authres.Pass; pass != (b.Result == authres.Pass) {
			if pass {
				return -1
			}
			return 1
		}
		return a.rank - b.rank
	})
	out := make([]Verification, 0, len(r.signatures)+1)
	for _, s := range r.signatures {
		out = append(out, s.Verification)
	}
	if r.more > 0 {
		reason := fmt.Sprintf("not evaluated: %d signatures beyond the first %d", r.more, len(r.signatures))
		out = append(out, Verification{Result: authres.Policy, Reason: reason, BodyLength: -1})
	}
	if len(out) == 0 && r.bodies.HeaderIncomplete() {
		// That no signature is left of a header does not mean that there was none.
		reason := fmt.Sprintf("the header is incomplete: %v", r.bodies.Err())
		out = append(out, Verification{Result: authres.TempError, Reason: reason, BodyLength: -1})
	}
	return out
}

// Abort ends the lookups of a message whose body will not come. Finish is not called then.
func (r *Run) Abort() { r.cancel() }
