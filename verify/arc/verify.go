package arc

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"time"

	"assay/verify/authres"
	"assay/verify/dkim"
	"assay/verify/dns"
	"assay/verify/message"
)

// A Run is the validation of the chain of one message, between its header and the end of its body.
type Run struct {
	opt     Options
	bodies  *dkim.Bodies
	cancel  context.CancelFunc
	chain   *chain
	checker *dkim.Checker
	v       Verification
}

// Verify validates the chain of a complete message at the instant it was received.
func Verify(ctx context.Context, r dns.Resolver, m *message.Message, opt Options) Verification {
	b := dkim.NewBodies()
	run := Start(ctx, r, m.Header, m.Envelope.ReceivedAt, opt, b)
	b.ReadMessage(m)
	return run.Finish()
}

// Start reads the chain of a header, starts the key lookups side by side and registers the hashes of the body that it
// needs. It does not wait. The caller then writes the body to b and calls Finish, or gives up and calls Abort. Expiry is
// judged at the instant at.
func Start(ctx context.Context, r dns.Resolver, h message.Header, at time.Time, opt Options, b *dkim.Bodies) *Run {
	run := &Run{opt: opt.withDefaults(), bodies: b, cancel: func() {}}
	if h.Count(resultsName)+h.Count(signatureName)+h.Count(sealName) == 0 {
		run.decide(authres.None, "no ARC set")
		return run
	}
	c, err := newChain(h, run.opt)
	run.chain = c
	run.v.Instance = c.highest
	run.v.Sealers = c.sealers()
	if err != nil {
		run.decide(authres.Fail, "%v", err)
		return run
	}
	ctx, run.cancel = context.WithCancel(ctx)
	run.checker = dkim.NewChecker(ctx, r, h, at, run.opt.dkim(), b)
	run.begin()
	return run
}

// decide sets the result.
func (r *Run) decide(result authres.Result, format string, args ...any) {
	r.v.Result, r.v.Reason = result, fmt.Sprintf(format, args...)
	r.step("%s: %s", r.v.Result, r.v.Reason)
}

// step notes one step, if steps are wanted.
func (r *Run) step(format string, args ...any) {
	if r.opt.Explain {
		r.v.Steps = append(r.v.Steps, fmt.Sprintf(format, args...))
	}
}

// begin starts the checks of the seals and of the newest message signatures.
func (r *Run) begin() {
	sets := r.chain.sets
	for i, s := range sets {
		s.seal.lookup = r.checker.Fetch(s.seal.selector, s.seal.domain)
		if i >= len(sets)-r.opt.MaxMessageSignatures {
			r.checker.Begin(s.signature)
		}
	}
}

// Abort ends the lookups of a message whose body will not come. Finish is not called then.
func (r *Run) Abort() { r.cancel() }

// Finish waits for the keys and returns the state of the chain. The whole body must have been written.
func (r *Run) Finish() Verification {
	defer r.cancel()
	if r.bodies.HeaderIncomplete() {
		// What is left of the header says nothing about the chain, not even that there is none.
		r.decide(authres.TempError, "the header is incomplete: %v", r.bodies.Err())
	}
	if r.v.Result != "" {
		return r.v
	}
	// RFC 8617 Section 5.2, step 4: the newest message signature must verify.
	if !r.checkNewest() || !r.checkSeals() {
		return r.v
	}
	r.v.OldestPass = r.oldestPass()
	r.v.Result = authres.Pass
	r.step("pass: %d sets, oldest-pass %d", len(r.chain.sets), r.v.OldestPass)
	r.trust()
	return r.v
}

// checkNewest checks the newest message signature and reports whether it passes.
func (r *Run) checkNewest() bool {
	n := len(r.chain.sets)
	s := r.signature(n)
	switch s.Result {
	case authres.Pass:
		return true
	case authres.TempError:
		r.decide(authres.TempError, "message signature %d: %s", n, s.Reason)
	default:
		r.decide(authres.Fail, "message signature %d: %s", n, s.Reason)
	}
	return false
}

// signature checks the message signature of instance i.
func (r *Run) signature(i int) *dkim.Signature {
	s := r.chain.sets[i-1].signature
	r.checker.End(s)
	for _, step := range s.Steps {
		r.step("message signature %d: %s", i, step)
	}
	return s
}

// oldestPass returns the oldest instance from which on all message signatures verify, 0 if all do (RFC 8617 Section
// 5.2, step 5).
func (r *Run) oldestPass() int {
	oldest := len(r.chain.sets)
	for oldest > 1 && len(r.chain.sets)-oldest+1 < r.opt.MaxMessageSignatures &&
		r.signature(oldest-1).Result == authres.Pass {
		oldest--
	}
	if oldest == 1 {
		return 0
	}
	return oldest
}

// checkSeals checks every seal, the newest first, and reports whether all are valid (RFC 8617 Section 5.2, step 6).
func (r *Run) checkSeals() bool {
	digests := r.chain.digests()
	for i := len(digests); i >= 1; i-- {
		if p := r.chain.sets[i-1].seal.verify(digests[i-1], r.opt.MinRSABits); p != nil {
			result := authres.Fail
			if p.Result == authres.TempError {
				result = authres.TempError
			}
			r.decide(result, "seal %d: %s", i, p.Reason)
			return false
		}
		r.step("seal %d by %s verifies", i, r.chain.sets[i-1].seal.domain)
	}
	return true
}

// digests returns what each seal signed: the fields of all sets up to its own in the order of RFC 8617 Section 5.1.1,
// relaxed, and of itself with b= empty. The beginning is the same for all, so it is hashed once.
func (c *chain) digests() [][]byte {
	all := sha256.New()
	var buf []byte
	out := make([][]byte, len(c.sets))
	for i, s := range c.sets {
		buf = dkim.AppendField(buf[:0], s.results.Raw, dkim.Relaxed)
		buf = dkim.AppendField(buf, s.message.Raw, dkim.Relaxed)
		all.Write(buf)
		h := clone(all)
		buf = dkim.AppendOwnField(buf[:0], s.seal.field.Raw, dkim.Relaxed)
		h.Write(buf)
		out[i] = h.Sum(nil)
		buf = dkim.AppendField(buf[:0], s.seal.field.Raw, dkim.Relaxed)
		all.Write(buf)
	}
	return out
}

// clone returns a copy of the state of a SHA-256.
func clone(h hash.Hash) hash.Hash {
	if c, ok := h.(hash.Cloner); ok {
		if h, err := c.Clone(); err == nil {
			return h
		}
	}
	return sha256.New() // does not happen, and would verify nothing
}

// verify checks one seal.
func (s *seal) verify(digest []byte, minRSABits int) *dkim.Problem {
	keys, p := s.lookup.Wait()
	if p != nil {
		return p
	}
	reason := "the key is not for email with SHA-256"
	for _, k := range keys {
		switch {
		case !k.SHA256 || !k.Email:
		case k.Type == "rsa" && k.Bits < minRSABits:
			reason = fmt.Sprintf("RSA key of %d bits, less than %d", k.Bits, minRSABits)
		case k.Verify(s.algorithm, digest, s.value):
			return nil
		default:
			reason = "signature mismatch"
		}
	}
	return &dkim.Problem{Result: authres.Fail, Reason: reason}
}

// trust fills in what trusted sealers say about the message. Seals are trusted from the newest down to the first that
// is not: what lies below could have been made up by that one. What a sealer says holds for the message it saw, so there
// is no trust in a message to which a second instance of a unique field was added.
func (r *Run) trust() {
	if p := r.checker.Duplicated(r.chain.sets[len(r.chain.sets)-1].signature); p != nil {
		r.step("not trusted: %s", p.Reason)
		return
	}
	trusted := make(map[string]bool, len(r.opt.TrustedSealers))
	for _, d := range r.opt.TrustedSealers {
		if a, err := dns.Canonical(d); err == nil {
			trusted[a] = true
		}
	}
	oldest := len(r.chain.sets)
	for oldest > 0 && trusted[r.chain.sets[oldest-1].seal.domain] {
		oldest--
	}
	if r.v.Trusted = oldest < len(r.chain.sets); !r.v.Trusted {
		r.step("sealer %s is not trusted", r.chain.sets[oldest-1].seal.domain)
		return
	}
	for i := oldest; i < len(r.chain.sets); i++ {
		if r.recorded(i + 1) {
			return
		}
	}
}

// recorded reads the dmarc result of an instance, and reports whether there is exactly one. A field that cannot be read
// claims nothing.
func (r *Run) recorded(i int) bool {
	h, err := authres.Parse(r.chain.sets[i-1].claims)
	if err != nil {
		r.step("results %d: %v", i, err)
		return false
	}
	found := 0
	for _, c := range h.Clauses {
		if c.Method != "dmarc" {
			continue
		}
		found++
		r.v.DMARC, r.v.DMARCFrom = c.Result, c.Value("header", "from")
	}
	if found != 1 {
		r.v.DMARC, r.v.DMARCFrom = "", ""
		r.step("results %d: %d dmarc results", i, found)
		return false
	}
	r.step("results %d: dmarc=%s header.from=%s", i, r.v.DMARC, r.v.DMARCFrom)
	return true
}
