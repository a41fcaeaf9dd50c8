package pki

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxEmbeddedLists bounds how many CRLs and how many OCSP responses of a message are looked at.
const maxEmbeddedLists = 8

// Revocation asks whether a certificate of a path was revoked, from the leaf to the one below the root. For each it asks
// the CRLs of the operator, those the certificate points to, those that came with the message, and then OCSP (SBR Section
// 4.9: CRLs are mandatory, OCSP is not). It never says Valid without a signed answer for every one of them that was valid at q.At, and
// waits no longer than Options.Budget: what comes later is there for the next message.
func (v *Validator) Revocation(ctx context.Context, q RevocationQuery) Revocation {
	if len(q.Path) < 2 {
		return Revocation{Status: Unknown, Reason: "no authority could revoke it"}
	}
	ctx, cancel := context.WithTimeout(ctx, v.o.Budget)
	defer cancel()
	worst := Revocation{Status: Valid}
	for i := range len(q.Path) - 1 {
		r := v.certificate(ctx, q, i)
		if i == 0 {
			worst.Source = r.Source
		} else if r.Reason != "" {
			r.Reason = holder(q.Path, i) + ": " + r.Reason
		}
		worst.Pending = worst.Pending || r.Pending
		if r.Status == Revoked || r.Status == Unknown && worst.Status == Valid {
			r.Pending, r.Source = worst.Pending, worst.Source
			worst = r
		}
		if r.Status == Revoked {
			break
		}
	}
	return worst
}

// An inquiry is the question about one certificate.
type inquiry struct {
	v            *Validator
	q            RevocationQuery
	cert, issuer *x509.Certificate
	pending      bool
	failures     []string
}

// certificate asks about one certificate of the path.
func (v *Validator) certificate(ctx context.Context, q RevocationQuery, i int) Revocation {
	n := &inquiry{v: v, q: q, cert: q.Path[i], issuer: q.Path[i+1]}
	for _, source := range []struct {
		name string
		ask  func(context.Context) (Revocation, bool)
	}{{"crl", n.askOwnCRLs}, {"crl", n.askCRLs}, {"crl", n.askEmbeddedCRLs}, {"ocsp", n.askOCSP}, {"ocsp", n.askEmbeddedOCSP}} {
		if r, ok := source.ask(ctx); ok {
			r.Source, r.Pending = source.name, n.pending
			return r
		}
	}
	reason := "revocation is not known"
	switch {
	case n.pending:
		reason += ": the answer is still being fetched"
	case len(n.failures) > 0:
		reason += ": " + strings.Join(n.failures[:min(len(n.failures), 3)], "; ")
	case len(n.cert.CRLDistributionPoints) == 0 && len(n.cert.OCSPServer) == 0:
		reason += ": the certificate does not say where to ask"
	case len(v.usable(n.cert.CRLDistributionPoints))+len(v.usable(n.cert.OCSPServer)) == 0:
		reason += ": the certificate names no address that may be asked"
	}
	return Revocation{Status: Unknown, Reason: reason, Subject: n.cert, Pending: n.pending}
}

// settle notes why a source did not answer.
func (n *inquiry) settle(r Revocation, err error) (Revocation, bool) {
	if errors.Is(err, errLater) {
		n.pending = true
	} else if err != nil {
		n.failures = append(n.failures, err.Error())
	}
	return r, err == nil
}

// first returns the answer of the first URL that has one. An answer that somebody else is revoked is none.
func (n *inquiry) first(urls []string, ask func(string) (Revocation, error)) (Revocation, bool) {
	for _, u := range urls {
		if r, ok := n.settle(ask(u)); ok {
			return r, true
		}
	}
	return Revocation{}, false
}

// askOwnCRLs asks the CRLs of the operator. One that is out of date does not end the search.
func (n *inquiry) askOwnCRLs(context.Context) (Revocation, bool) {
	for i, der := range n.v.store.lists[nameKey(n.issuer.RawSubject)] {
		key := crlKey("operator "+strconv.Itoa(i), n.issuer)
		held, ok := n.v.crls.get(key)
		if !ok {
			l, err := scanCRL(der, n.issuer)
			if err != nil {
				n.failures = append(n.failures, err.Error())
				continue
			}
			n.v.crls.put(key, l, time.Time{})
			held = &heldCRL{crl: l}
		}
		if r, ok := n.settle(held.status(n.cert, n.q.At, n.v.o.Grace)); ok {
			return r, true
		}
	}
	return Revocation{}, false
}

func (n *inquiry) askCRLs(ctx context.Context) (Revocation, bool) {
	return n.first(n.v.usable(n.cert.CRLDistributionPoints), func(u string) (Revocation, error) {
		l, err := n.v.list(ctx, u, n.issuer, n.q)
		if err != nil {
			return Revocation{}, err
		}
		return l.status(n.cert, n.q.At, n.v.o.Grace)
	})
}

func (n *inquiry) askEmbeddedCRLs(context.Context) (Revocation, bool) {
	return n.embedded(n.q.CRLs, maxEmbedded, func(der []byte) (Revocation, error) {
		l, err := scanCRL(der, n.issuer)
		if err != nil {
			return Revocation{}, err
		}
		return l.status(n.cert, n.q.At, n.v.o.Grace)
	})
}

func (n *inquiry) askOCSP(ctx context.Context) (Revocation, bool) {
	return n.first(n.v.usable(n.cert.OCSPServer), func(u string) (Revocation, error) {
		a, err := n.v.answer(ctx, u, n.cert, n.issuer, n.q)
		if err != nil {
			return Revocation{}, err
		}
		return a.revocation(n.cert, n.q.At, n.v.o.Grace)
	})
}

func (n *inquiry) askEmbeddedOCSP(context.Context) (Revocation, bool) {
	return n.embedded(n.q.OCSP, maxOCSP, func(der []byte) (Revocation, error) {
		a, err := checkOCSP(der, n.cert, n.issuer, n.q.At)
		if err != nil {
			return Revocation{}, err
		}
		return a.revocation(n.cert, n.q.At, n.v.o.Grace)
	})
}

// embedded asks what came with the message. The signer chose it, so a bad word counts before a good one.
func (n *inquiry) embedded(all [][]byte, limit int, ask func([]byte) (Revocation, error)) (found Revocation, ok bool) {
	for _, der := range all[:min(len(all), maxEmbeddedLists)] {
		if len(der) > limit {
			continue
		}
		r, err := ask(der)
		if err != nil { // most are about other certificates of the path: no failure of this one
			continue
		}
		if !ok || r.Status == Revoked {
			found, ok = r, true
		}
	}
	return found, ok
}

// errNotFetched means that nothing may be fetched.
var errNotFetched = errors.New("nothing is fetched")

// mayFetch says whether the network may be asked.
func (v *Validator) mayFetch(q RevocationQuery) bool { return q.Fetch && v.o.Fetcher != nil }

// list returns the CRL at a URL, from memory, the cache or the network. One that is still valid is fetched again after
// some hours, and serves if that fails.
func (v *Validator) list(ctx context.Context, u string, issuer *x509.Certificate, q RevocationQuery) (*crl, error) {
	key := crlKey(u, issuer)
	held, ok := v.crls.get(key)
	if ok && q.At.Before(held.retry) {
		return held.crl, nil
	}
	fetched, err := v.fly(ctx, key, q.At, func(ctx context.Context) (any, error) {
		return v.loadList(ctx, u, key, issuer, q)
	})
	switch {
	case err == nil:
		return fetched.(*crl), nil
	case ok:
		return held.crl, nil
	}
	return nil, err
}

// loadList gets a CRL from the cache if it need not be fetched again, else from the network, else from the cache as it is.
func (v *Validator) loadList(ctx context.Context, u, key string, issuer *x509.Certificate, q RevocationQuery) (any, error) {
	kept := v.keptList(key, issuer)
	if kept != nil && (q.At.Before(kept.retry) || !v.mayFetch(q)) {
		v.crls.put(key, kept.crl, kept.retry)
		return kept.crl, nil
	}
	if !v.mayFetch(q) {
		return nil, errNotFetched
	}
	der, err := v.o.Fetcher.Fetch(ctx, u, maxCRL)
	var l *crl
	if err == nil {
		l, err = scanCRL(crlFromFile(der), issuer)
	}
	switch {
	case err != nil && kept != nil:
		v.crls.put(key, kept.crl, q.At.Add(retryPeriod))
		return kept.crl, nil
	case err != nil:
		return nil, fmt.Errorf("%s: %w", u, err)
	}
	v.crls.put(key, l, l.retryAt(q.At))
	if v.o.Cache != nil {
		v.o.Cache.Put(key, append(binary.BigEndian.AppendUint64(nil, uint64(q.At.Unix())), der...))
	}
	return l, nil
}

// keptList returns the CRL of the cache, which begins with the time it was fetched at.
func (v *Validator) keptList(key string, issuer *x509.Certificate) *heldCRL {
	data := v.cached(key)
	if len(data) < 8 {
		return nil
	}
	l, err := scanCRL(crlFromFile(data[8:]), issuer)
	if err != nil {
		return nil
	}
	return &heldCRL{crl: l, retry: l.retryAt(time.Unix(int64(binary.BigEndian.Uint64(data)), 0))}
}

// crlKey identifies a list: two authorities may point to the same URL, but have different keys.
func crlKey(u string, issuer *x509.Certificate) string {
	sum := sha256.Sum256(issuer.RawSubjectPublicKeyInfo)
	return "crl " + hex.EncodeToString(sum[:8]) + " " + u
}

// answer returns what the responder at a URL says, from memory or the network.
func (v *Validator) answer(ctx context.Context, u string, cert, issuer *x509.Certificate, q RevocationQuery) (*ocspAnswer, error) {
	id := sha256.Sum256(append(append([]byte{}, cert.Raw...), issuer.RawSubjectPublicKeyInfo...))
	held, ok := v.ocsp.get(id)
	if ok && held.current(q.At, 0) == nil {
		return &held, nil
	}
	if !v.mayFetch(q) {
		return nil, errNotFetched
	}
	full, err := ocspURL(u, cert, issuer)
	if err != nil {
		return nil, err
	}
	got, err := v.fly(ctx, "ocsp "+full, q.At, func(ctx context.Context) (any, error) {
		der, err := v.o.Fetcher.Fetch(ctx, full, maxOCSP)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", u, err)
		}
		a, err := checkOCSP(der, cert, issuer, q.At)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", u, err)
		}
		v.ocsp.put(id, a)
		return a, nil
	})
	if err != nil {
		return nil, err
	}
	a := got.(ocspAnswer)
	return &a, nil
}
