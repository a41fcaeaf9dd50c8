package smime

import (
	"context"
	"fmt"
	"slices"
	"time"

	"assay/verify/authres"
	"assay/verify/message"
	"assay/verify/smime/cms"
	"assay/verify/smime/envelope"
)

// A Verifier verifies messages. It is safe for concurrent use.
type Verifier struct {
	o Options
}

// NewVerifier returns a Verifier.
func NewVerifier(o Options) *Verifier { return &Verifier{o: o.withDefaults()} }

// With returns a Verifier like v that opens messages with other keys, nil for none.
func (v *Verifier) With(keys *envelope.Keys) *Verifier {
	o := v.o
	o.Keys = keys
	return &Verifier{o: o}
}

// Verify says what the S/MIME signatures of a message prove. The clock is m.Envelope.ReceivedAt, and author is
// m.Header.Author(). It never fails and never panics: what went wrong in here is Unavailable. ctx bounds the questions to
// the network.
func (v *Verifier) Verify(ctx context.Context, m *message.Message, author message.Author) (out Verification) {
	defer func() {
		if p := recover(); p != nil {
			out = Verification{Result: authres.TempError, State: Unavailable, Signed: true, Reason: "internal error while checking the signature"}
			out.Steps = []string{clean(fmt.Sprintf("internal error: %v", p))}
		}
	}()
	if m == nil || m.Root == nil {
		return Verification{Result: authres.None, State: Unsigned}
	}
	places := find(m, m.Root, "", v.o.Limits.Objects+1)
	if len(places) == 0 {
		return Verification{Result: authres.None, State: Unsigned}
	}
	ctx, cancel := context.WithTimeout(ctx, v.o.RevocationTime)
	defer cancel()
	r := run{o: &v.o, ctx: ctx, at: m.Envelope.ReceivedAt, m: m, author: author, limits: v.o.Limits.CMS, room: v.o.Limits.Objects}
	r.limits.Work = new(cms.Work)
	if places[0].part == m.Root {
		return r.sum(r.checkWhole(places[0]))
	}
	return r.sum(r.checkAll(m, places))
}

// checkAll checks the objects of a message, of which there is at least one.
func (r *run) checkAll(m *message.Message, places []place) []*object {
	limit := r.o.Limits.Objects
	var objects []*object
	for _, p := range places[:min(len(places), limit)] {
		o := r.check(p)
		if p.part != m.Root {
			o.isPartial()
		}
		objects = append(objects, o)
	}
	if len(places) > limit {
		objects[0].decide(Malformed, fmt.Sprintf("more than %d parts are signed or encrypted", limit))
	}
	return objects
}

// A run is the verification of one message.
type run struct {
	o      *Options
	ctx    context.Context
	at     time.Time
	m      *message.Message
	author message.Author

	limits  cms.Limits
	room    int // CMS objects that may still be read
	signed  bool
	hidden  bool     // something is encrypted
	closed  int      // encrypted objects that were not opened
	opening *Opening // what the gateway has opened, nil for nothing
	layers  []Layer
	steps   []string
}

// step notes what was done, for people.
func (r *run) step(format string, args ...any) {
	if r.o.Explain {
		r.steps = append(r.steps, clean(fmt.Sprintf(format, args...)))
	}
}

// layer notes an object of the message.
func (r *run) layer(section, kind, detail string) {
	r.layers = append(r.layers, Layer{Section: section, Kind: kind, Detail: clean(detail)})
	if detail != "" {
		kind += ": " + detail
	}
	r.step("part %s is %s", section, kind)
}

// sum reports the object that was decided first, by the order of the states: what is worst about the message.
func (r *run) sum(objects []*object) Verification {
	worst := objects[0]
	for _, o := range objects[1:] {
		if rank(o.state) < rank(worst.state) {
			worst = o
		}
	}
	out := Verification{
		Result: resultOf(worst), State: worst.state, Reason: clean(worst.reason), Signed: r.signed, Encrypted: r.hidden,
		Whole: worst.whole, Integrity: worst.integrity,
		Signers: worst.signers, Layers: r.layers, Flags: worst.flags, Steps: r.steps,
	}
	if worst.isSigned {
		out.Section = worst.section()
	}
	if i := worst.decider; i > 0 { // one signer speaks for all in headers and rules
		out.Signers = append(slices.Insert(slices.Clone(worst.signers[:i]), 0, worst.signers[i]), worst.signers[i+1:]...)
	}
	if len(objects) > 1 {
		out.Flags = addFlag(out.Flags, FlagMoreObjects)
	}
	out.Trust, out.Identity, out.Revocation = axes(worst.signers)
	r.reportOpening(&out)
	r.step("verdict: %s %s", out.State, out.Reason)
	out.Steps = r.steps
	return out
}

// axes sums up the signers: on each axis the first that is not good counts.
func axes(signers []Signer) (t Trust, i Identity, rev Revocation) {
	for k, s := range signers {
		if k == 0 || t.Good() && !s.Trust.Good() {
			t = s.Trust
		}
		if k == 0 || i == Matches && s.Identity != Matches {
			i = s.Identity
		}
		if k == 0 || rev == RevocationGood && s.Revocation != RevocationGood || s.Revocation == RevocationRevoked {
			rev = s.Revocation
		}
	}
	return t, i, rev
}

// rank is the place of a state in the order of decision.
func rank(s State) int {
	order := [...]State{
		Malformed, Altered, Unsupported, Incomplete, Unavailable, Revoked, Untrusted, Weak, Stale, WrongSender, Partial, Verified,
		Encrypted, CertsOnly, Compressed, Unsigned,
	}
	for i, known := range order {
		if s == known {
			return i
		}
	}
	return len(order)
}

// resultOf is the word of RFC 7281 Section 3 (those of RFC 8601) for a state.
func resultOf(o *object) authres.Result {
	switch o.state {
	case Verified:
		return authres.Pass
	case Altered, Revoked:
		return authres.Fail
	case Untrusted, Weak, Stale, WrongSender, Partial:
		return authres.Policy
	case Unsupported:
		return authres.Neutral
	case Incomplete:
		if o.pending { // the next mail may find it
			return authres.TempError
		}
		return authres.PermError
	case Malformed:
		return authres.PermError
	case Unavailable:
		return authres.TempError
	}
	return authres.None
}
