package pki

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"assay/verify/smime/cms"
)

// Bounds of one search. Honest messages bring one to three certificates and need as many signature checks.
const (
	maxPool       = 64   // certificates of a message that are looked at
	maxDepth      = 8    // certificates of a path
	maxSteps      = 256  // paths that are begun
	maxSignatures = 50   // half of what crypto/x509 allows itself; keys that cost much are bounded by Query.Work too
	maxJudged     = 16   // paths to an anchor that are examined
	maxRSA        = 8192 // bits of a key that is used; larger ones cost seconds
)

// Path finds the best path of a certificate. A path that was found good is remembered, so that the same certificate in
// the same company costs two hashes until the first certificate of the path expires.
func (v *Validator) Path(ctx context.Context, q Query) Result {
	if len(q.Pool) > maxPool {
		q.Pool = q.Pool[:maxPool]
	}
	key := pathKey(q)
	if r, ok := v.cachedPath(key, q.At); ok {
		return r
	}
	b := v.search(q)
	pending := false
	if q.Fetch && !b.best.Trust.Good() {
		b, pending = v.complete(ctx, b)
	}
	r := b.best
	if r.Trust.Good() {
		v.learn(r.Path)
		v.keepPath(key, r)
		return r
	}
	r.Pending = pending
	return r
}

// complete fetches what a search did not find, and searches again.
func (v *Validator) complete(ctx context.Context, b *search) (*search, bool) {
	ctx, cancel := context.WithTimeout(ctx, v.o.Budget)
	defer cancel()
	pending := false
	tried := map[string]bool{}
	for range maxFetches {
		more, later := v.fetchIssuers(ctx, b.missing, b.q.At, tried)
		pending = pending || later
		if len(more) == 0 {
			break
		}
		q := b.q
		q.Pool = append(slices.Clip(q.Pool), more...)
		if b = v.search(q); b.best.Trust.Good() {
			break
		}
	}
	return b, pending
}

// A search looks for the best path.
type search struct {
	v          *Validator
	q          Query
	issuers    map[string][]*x509.Certificate // pool by nameKey of the subject
	named      map[string][]*x509.Certificate // candidates that were looked for, likewise
	edges      map[[2]*x509.Certificate]edge  // signatures already checked
	steps      int
	signatures int
	judged     int
	limited    bool
	best       Result
	missing    []*x509.Certificate // certificates whose issuer was not found, or is out of date
}

func (v *Validator) search(q Query) *search {
	if q.Work == nil {
		q.Work = new(cms.Work)
	}
	b := &search{v: v, q: q, issuers: map[string][]*x509.Certificate{}, named: map[string][]*x509.Certificate{}, edges: map[[2]*x509.Certificate]edge{}}
	for _, c := range q.Pool {
		key := nameKey(c.RawSubject)
		b.issuers[key] = append(b.issuers[key], c)
	}
	if a := v.store.anchor(q.Leaf); a != nil {
		b.judge([]*x509.Certificate{q.Leaf}, a, signedGood)
		return b
	}
	b.extend([]*x509.Certificate{q.Leaf}, signedGood)
	if b.limited && !b.best.Trust.Good() {
		b.best.Reason = "too many possible paths; so far: " + b.best.Reason
	}
	return b
}

// extend follows every way from the end of path, in the order of their promise. The worst edge so far is worst.
func (b *search) extend(path []*x509.Certificate, worst edge) {
	if b.steps == maxSteps || len(path) >= maxDepth {
		b.limited = true
		return
	}
	b.steps++
	end := path[len(path)-1]
	name := nameKey(end.RawIssuer)
	found, forged := false, false
	for _, a := range byPromise(end, b.v.store.byName[name], func(a *Anchor) *x509.Certificate { return a.Certificate }) {
		e := b.edge(end, a.Certificate)
		forged = forged || e == signedNot && !otherKey(end, a.Certificate)
		if e == signedNot || b.best.Trust == Public {
			continue
		}
		found = true
		b.judge(append(slices.Clip(path), a.Certificate), a, max(worst, e))
	}
	for _, c := range byPromise(end, b.candidates(name), func(c *x509.Certificate) *x509.Certificate { return c }) {
		if b.best.Trust == Public || slices.ContainsFunc(path, func(p *x509.Certificate) bool { return sameAuthority(p, c) }) {
			continue
		}
		e := b.edge(end, c)
		forged = forged || e == signedNot && !otherKey(end, c)
		if e == signedNot {
			continue
		}
		found = true
		b.extend(append(slices.Clip(path), c), max(worst, e))
	}
	if !found {
		b.deadEnd(path, forged)
	}
}

// candidates returns the certificates of authorities of that name which are no anchors. It looks for them once.
func (b *search) candidates(name string) []*x509.Certificate {
	if out, ok := b.named[name]; ok {
		return out
	}
	known := slices.Concat(b.v.store.intermediates[name], b.v.harvested(name), b.issuers[name])
	var out []*x509.Certificate
	for _, c := range known {
		if b.v.store.anchor(c) == nil && !slices.ContainsFunc(out, c.Equal) {
			out = append(out, c)
		}
	}
	b.named[name] = out
	return out
}

// byPromise sorts possible issuers of c: those with the key that c names first, then those that expire last.
func byPromise[T any](c *x509.Certificate, issuers []T, of func(T) *x509.Certificate) []T {
	sorted := slices.Clone(issuers)
	slices.SortStableFunc(sorted, func(x, y T) int {
		if a, b := otherKey(c, of(x)), otherKey(c, of(y)); a != b {
			if a {
				return 1
			}
			return -1
		}
		return of(y).NotAfter.Compare(of(x).NotAfter)
	})
	return sorted
}

// otherKey says whether c names another key of its issuer than this one (RFC 5280 Section 4.2.1.1).
func otherKey(c, issuer *x509.Certificate) bool {
	return len(c.AuthorityKeyId) > 0 && len(issuer.SubjectKeyId) > 0 && !bytes.Equal(c.AuthorityKeyId, issuer.SubjectKeyId)
}

// sameAuthority says whether two certificates are of the same name and key: a path that meets one again goes in circles.
func sameAuthority(a, b *x509.Certificate) bool {
	return bytes.Equal(a.RawSubject, b.RawSubject) && bytes.Equal(a.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo)
}

// An edge says whether one certificate signed another. Larger is worse.
type edge int

const (
	signedUnknown     edge = iota // not yet looked at
	signedGood                    //
	signedWeak                    // with SHA-1
	signedUnsupported             // cannot be checked
	signedNot
)

// edge checks the signature of child by parent, once.
func (b *search) edge(child, parent *x509.Certificate) edge {
	key := [2]*x509.Certificate{child, parent}
	if e := b.edges[key]; e != signedUnknown {
		return e
	}
	if b.signatures == maxSignatures || !b.q.Work.Allow(parent.PublicKey) {
		b.limited = true
		return signedNot
	}
	b.signatures++
	e := checkSignature(child, parent)
	b.edges[key] = e
	return e
}

func checkSignature(child, parent *x509.Certificate) edge {
	switch child.SignatureAlgorithm {
	case x509.UnknownSignatureAlgorithm, x509.MD2WithRSA, x509.MD5WithRSA, x509.DSAWithSHA1, x509.DSAWithSHA256:
		return signedUnsupported
	}
	if key, ok := parent.PublicKey.(*rsa.PublicKey); parent.PublicKey == nil || ok && key.N.BitLen() > maxRSA {
		return signedUnsupported
	}
	if parent.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature) != nil {
		return signedNot
	}
	switch child.SignatureAlgorithm {
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1:
		return signedWeak
	}
	return signedGood
}

// deadEnd records a path that leads no further.
func (b *search) deadEnd(path []*x509.Certificate, forged bool) {
	end := path[len(path)-1]
	r := Result{Path: slices.Clone(path), Missing: DN(end.RawIssuer)}
	selfIssued := nameKey(end.RawIssuer) == nameKey(end.RawSubject)
	switch {
	case len(path) == 1 && selfIssued && b.edge(end, end) != signedNot:
		r.Trust, r.Reason = SelfSigned, "the certificate is self-signed: nobody vouches for it"
	case selfIssued:
		r.Trust, r.Reason = UnknownRoot, fmt.Sprintf("the root %s is not trusted", DN(end.RawSubject))
	case forged:
		r.Trust, r.Reason = UnknownRoot, fmt.Sprintf("the certificate of %s was not signed by the issuer it names, %s", DN(end.RawSubject), r.Missing)
	case len(path) == 1:
		r.Trust, r.Reason = Incomplete, fmt.Sprintf("the certificate of the issuer, %s, is neither in the message nor known here", r.Missing)
	default:
		r.Trust, r.Reason = UnknownRoot, fmt.Sprintf("the path ends at %s, which no trusted root is known for", r.Missing)
	}
	if !selfIssued {
		b.miss(end)
	}
	b.offer(r)
}

// miss notes a certificate whose issuer should be fetched.
func (b *search) miss(c *x509.Certificate) {
	if !slices.Contains(b.missing, c) {
		b.missing = append(b.missing, c)
	}
}

// offer keeps the better result. Among equals the longer path says more, then the first one counts.
func (b *search) offer(r Result) {
	old, now := rank(b.best.Trust), rank(r.Trust)
	if now < old || now == old && !r.Trust.Good() && len(r.Path) > len(b.best.Path) {
		b.best = r
	}
}

// rank orders results: a certificate is worth what its best path is worth.
func rank(t Trust) int {
	order := []Trust{Public, Private, Weak, Expired, NotYetValid, NotForMail, Constrained, Unsupported, SelfSigned, UnknownRoot, Incomplete}
	if i := slices.Index(order, t); i >= 0 {
		return i
	}
	return len(order)
}

// A problem is one reason why a path is not good.
type problem struct {
	trust  Trust
	reason string
}

// judge examines a path that ends in an anchor, with the worst of its signatures.
func (b *search) judge(path []*x509.Certificate, a *Anchor, worst edge) {
	if b.judged++; b.judged > maxJudged {
		b.limited = true
		return
	}
	r := Result{Trust: Private, Path: path, Root: a}
	if a.Public {
		r.Trust = Public
	}
	if p := b.examine(path, a, worst); p != nil {
		r.Trust, r.Reason = p.trust, p.reason
	}
	if r.Trust == Expired { // authorities renew their certificates
		for i := 1; i < len(path)-1; i++ {
			if b.q.At.After(path[i].NotAfter) {
				b.miss(path[i-1])
			}
		}
	}
	b.offer(r)
}

// examine returns what is wrong with a path: the first of what no other time would mend, then the time, then weakness.
func (b *search) examine(path []*x509.Certificate, a *Anchor, worst edge) *problem {
	if worst == signedUnsupported {
		return &problem{Unsupported, "a certificate of the path is signed with an algorithm that is not supported"}
	}
	for _, check := range []func() *problem{
		func() *problem { return checkCritical(path) },
		func() *problem { return checkLeaf(path[0]) },
		func() *problem { return b.v.checkUsage(path[0], a) },
		func() *problem { return checkRules(path, a) },
	} {
		if p := check(); p != nil {
			return p
		}
	}
	late := checkTime(path, b.q.At)
	if worst == signedGood {
		if p := verify(path, b.q.At, late != nil); p != nil {
			return p
		}
	}
	if late != nil {
		return late
	}
	return b.v.checkStrength(path, worst)
}

// validity returns the time during which every certificate of a path is valid.
func validity(path []*x509.Certificate) (from, until time.Time) {
	from, until = path[0].NotBefore, path[0].NotAfter
	for _, c := range path[1:] {
		if c.NotBefore.After(from) {
			from = c.NotBefore
		}
		if c.NotAfter.Before(until) {
			until = c.NotAfter
		}
	}
	return from, until
}

// holder returns how a certificate of a path is called in a reason.
func holder(path []*x509.Certificate, i int) string {
	if i == 0 {
		return "the certificate"
	}
	return "the certificate of the authority " + strings.TrimSpace(DN(path[i].RawSubject))
}
