package pki

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// Defaults of Options.
const (
	defaultGrace      = 6 * time.Hour
	defaultBudget     = 2 * time.Second
	defaultBackground = time.Minute
	defaultPaths      = 4096
	defaultCRLEntries = 2_000_000
)

// Bounds of what is learned and fetched.
const (
	maxFetches    = 3    // certificates fetched one after the other for one path
	maxFlights    = 64   // fetches under way
	maxHosts      = 1024 // hosts that trusted certificates pointed to
	maxHarvest    = 2048 // intermediates that were met on good paths
	maxSameName   = 8    // of the same name
	maxCert       = 64 << 10
	maxAnswers    = 64   // of caIssuers URLs that are held in memory
	maxFailures   = 2048 // that are remembered
	maxURLs       = 2    // of one certificate and one kind
	maxURL        = 1024
	refreshPeriod = 4 * time.Hour    // after which a CRL is fetched again although it is still valid
	retryPeriod   = 15 * time.Minute // after which a CRL is fetched again that was out of date
	failurePeriod = time.Hour        // after which is asked again what failed
)

// A failure is what came of a fetch, and when.
type failure struct {
	at  time.Time
	err error
}

// A Validator validates paths and asks for revocation. It is safe for concurrent use. Good paths, intermediates that
// were on them, the hosts they point to, and CRLs are remembered, all within bounds.
type Validator struct {
	store *Store
	o     Options
	paths *generations[[32]byte, cachedPath]
	ocsp  *generations[[32]byte, ocspAnswer]
	crls  *crlCache

	answers *generations[string, []byte]  // of caIssuers URLs
	failed  *generations[string, failure] // what could not be fetched

	flights singleflight.Group
	ctx     context.Context // of what goes on in the background
	cancel  context.CancelFunc

	mu       sync.Mutex
	closed   bool
	flying   int
	landed   sync.WaitGroup
	learned  map[string][]*x509.Certificate // intermediates of good paths by nameKey of the subject
	nLearned int
	hosts    map[string]bool
}

// New returns a Validator over a store, which must not be changed any more. Close it in the end if it has a Fetcher.
func New(store *Store, o Options) *Validator {
	o.Grace = withDefault(o.Grace, defaultGrace)
	o.Budget = withDefault(o.Budget, defaultBudget)
	o.Background = withDefault(o.Background, defaultBackground)
	v := &Validator{
		store:   store,
		o:       o,
		paths:   newGenerations[[32]byte, cachedPath](withDefault(o.CachedPath, defaultPaths)),
		ocsp:    newGenerations[[32]byte, ocspAnswer](withDefault(o.CachedPath, defaultPaths)),
		crls:    newCRLCache(withDefault(o.CachedCRL, defaultCRLEntries)),
		answers: newGenerations[string, []byte](maxAnswers),
		failed:  newGenerations[string, failure](maxFailures),
		learned: map[string][]*x509.Certificate{},
		hosts:   map[string]bool{},
	}
	v.ctx, v.cancel = context.WithCancel(context.Background())
	for _, h := range o.Hosts {
		v.hosts[strings.ToLower(h)] = true
	}
	if o.Cache != nil {
		data, _ := o.Cache.Get(hostsKey)
		for _, h := range strings.Fields(string(data)) {
			if len(v.hosts) < maxHosts {
				v.hosts[h] = true
			}
		}
	}
	return v
}

// withDefault replaces zero by the default, and what is below zero by zero.
func withDefault[T int | time.Duration](value, fallback T) T {
	if value == 0 {
		return fallback
	}
	return max(value, 0)
}

// Close ends what is still being fetched and waits for it.
func (v *Validator) Close() {
	v.mu.Lock()
	v.closed = true
	v.mu.Unlock()
	v.cancel()
	v.landed.Wait()
}

// errLater means that the answer did not come in time and is still being fetched.
var errLater = errors.New("pki: still being fetched")

// fly runs f once for all callers that ask for the same key. The caller waits until ctx is done; f goes on for
// Options.Background and leaves its result in a cache for the next one who asks.
// What failed is not tried again for a while, by the clock of the questions.
func (v *Validator) fly(ctx context.Context, key string, at time.Time, f func(context.Context) (any, error)) (any, error) {
	if failed, ok := v.failed.get(key); ok && at.Before(failed.at.Add(failurePeriod)) {
		return nil, failed.err
	}
	result := v.flights.DoChan(key, func() (value any, err error) {
		if err := v.takeOff(); err != nil {
			return nil, err
		}
		defer v.land()
		defer func() {
			if p := recover(); p != nil { // it would end the process: nobody above recovers here
				value, err = nil, fmt.Errorf("pki: %s: panic: %v", key, p)
			}
			if err != nil && v.ctx.Err() == nil && !errors.Is(err, errNotFetched) {
				v.failed.put(key, failure{at, err})
			}
		}()
		ctx, cancel := context.WithTimeout(v.ctx, v.o.Background)
		defer cancel()
		return f(ctx)
	})
	select {
	case r := <-result:
		return r.Val, r.Err
	case <-ctx.Done():
		return nil, errLater
	}
}

func (v *Validator) takeOff() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed || v.flying >= maxFlights {
		return errors.New("pki: too much is being fetched")
	}
	v.flying++
	v.landed.Add(1)
	return nil
}

func (v *Validator) land() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.flying--
	v.landed.Done()
}

// fetchIssuers fetches the issuers of certificates from where they point to (RFC 5280 Section 4.2.2.1), but for URLs that
// were tried, and says whether one may still come.
func (v *Validator) fetchIssuers(ctx context.Context, of []*x509.Certificate, at time.Time, tried map[string]bool) (found []*x509.Certificate, pending bool) {
	for _, c := range of[:min(len(of), maxFetches)] {
		for _, u := range v.usable(c.IssuingCertificateURL) {
			if tried[u] {
				continue
			}
			tried[u] = true
			certs, err := v.issuersAt(ctx, u, c, at)
			pending = pending || errors.Is(err, errLater)
			if found = append(found, certs...); len(certs) > 0 {
				break
			}
		}
	}
	return found, pending
}

// issuersAt returns the certificates at a URL that signed c.
func (v *Validator) issuersAt(ctx context.Context, u string, c *x509.Certificate, at time.Time) ([]*x509.Certificate, error) {
	key := "aia " + u
	if certs := issuersOf(c, v.answered(key)); slices.ContainsFunc(certs, func(i *x509.Certificate) bool { return !at.After(i.NotAfter) }) {
		return certs, nil
	}
	if v.o.Fetcher == nil {
		return nil, errors.New("pki: nothing is fetched")
	}
	data, err := v.fly(ctx, key, at, func(ctx context.Context) (any, error) {
		data, err := v.o.Fetcher.Fetch(ctx, u, maxCert)
		switch {
		case err != nil:
			return nil, err
		case len(issuersOf(c, data)) == 0:
			return nil, fmt.Errorf("pki: %s: not the certificate of the issuer", u)
		}
		v.answers.put(key, data)
		if v.o.Cache != nil {
			v.o.Cache.Put(key, data)
		}
		return data, nil
	})
	if err != nil {
		return nil, err
	}
	return issuersOf(c, data.([]byte)), nil
}

// answered returns what a URL answered before.
func (v *Validator) answered(key string) []byte {
	if data, ok := v.answers.get(key); ok {
		return data
	}
	return v.cached(key)
}

// issuersOf returns those certificates of an answer that signed c and are no roots.
func issuersOf(c *x509.Certificate, data []byte) []*x509.Certificate {
	if len(data) == 0 {
		return nil
	}
	certs, _ := parseAnswer(data)
	return slices.DeleteFunc(certs, func(i *x509.Certificate) bool {
		return nameKey(i.RawSubject) != nameKey(c.RawIssuer) || nameKey(i.RawSubject) == nameKey(i.RawIssuer) ||
			checkSignature(c, i) == signedNot
	})
}

func (v *Validator) cached(key string) []byte {
	if v.o.Cache == nil {
		return nil
	}
	data, _ := v.o.Cache.Get(key)
	return data
}

// usable returns the URLs that may be fetched: http, as SBR Section 7.1.2.3 has it, on the default port, and on a host
// that a certificate which led to a trusted root has pointed to. So a stranger cannot learn who reads what when, nor have
// requests sent to hosts of his choice, by certificates he made himself.
func (v *Validator) usable(urls []string) []string {
	var out []string
	for _, s := range urls {
		if len(out) == maxURLs {
			break
		}
		if host, ok := httpHost(s); ok && v.mayAsk(host) {
			out = append(out, s)
		}
	}
	return out
}

// httpHost returns the host of a URL that may be fetched at all.
func httpHost(s string) (string, bool) {
	if len(s) > maxURL {
		return "", false
	}
	u, err := url.Parse(s)
	if err != nil || !strings.EqualFold(u.Scheme, "http") || u.User != nil || u.Hostname() == "" || u.Port() != "" && u.Port() != "80" {
		return "", false
	}
	return strings.ToLower(u.Hostname()), true
}

func (v *Validator) mayAsk(host string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.hosts[host]
}

const hostsKey = "hosts"

// learn remembers what a good path has shown: its intermediates, never its root, and the hosts it points to.
func (v *Validator) learn(path []*x509.Certificate) {
	changed := map[string][]byte{}
	v.mu.Lock()
	for i, c := range path {
		if i > 0 && i < len(path)-1 {
			v.learnIssuer(c, changed)
		}
		v.learnHosts(c, changed)
	}
	v.mu.Unlock()
	if v.o.Cache == nil {
		return
	}
	for key, data := range changed {
		v.o.Cache.Put(key, data)
	}
}

func (v *Validator) learnIssuer(c *x509.Certificate, changed map[string][]byte) {
	name := nameKey(c.RawSubject)
	if slices.ContainsFunc(v.store.intermediates[name], c.Equal) || slices.ContainsFunc(v.learned[name], c.Equal) {
		return
	}
	if v.nLearned >= maxHarvest {
		clear(v.learned)
		v.nLearned = 0
	}
	same := append(slices.Clip(v.learned[name]), c)
	same = same[max(0, len(same)-maxSameName):]
	v.nLearned += len(same) - len(v.learned[name])
	v.learned[name] = same
	var all []byte
	for _, c := range same {
		all = append(all, c.Raw...)
	}
	changed[issuerKey(name)] = all
}

func (v *Validator) learnHosts(c *x509.Certificate, changed map[string][]byte) {
	for _, u := range slices.Concat(c.IssuingCertificateURL, c.CRLDistributionPoints, c.OCSPServer) {
		host, ok := httpHost(u)
		if !ok || v.hosts[host] || len(v.hosts) >= maxHosts {
			continue
		}
		v.hosts[host] = true
		var all []string
		for h := range v.hosts {
			all = append(all, h)
		}
		slices.Sort(all)
		changed[hostsKey] = []byte(strings.Join(all, "\n"))
	}
}

func issuerKey(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "issuer " + hex.EncodeToString(sum[:])
}

// harvested returns the intermediates of that name that were met on good paths, in this run or in one before.
func (v *Validator) harvested(name string) []*x509.Certificate {
	v.mu.Lock()
	found := v.learned[name]
	v.mu.Unlock()
	if len(found) > 0 || v.o.Cache == nil {
		return found
	}
	certs, _ := x509.ParseCertificates(v.cached(issuerKey(name)))
	return certs[:min(len(certs), maxSameName)]
}

// A cachedPath is a good path and when it is good.
type cachedPath struct {
	result      Result
	from, until time.Time
}

// pathKey identifies a question but for its time.
func pathKey(q Query) [32]byte {
	h := sha256.New()
	h.Write(q.Leaf.Raw)
	for _, c := range q.Pool {
		h.Write(c.Raw) // certificates are delimited by their DER
	}
	return [32]byte(h.Sum(nil))
}

func (v *Validator) cachedPath(key [32]byte, at time.Time) (Result, bool) {
	p, ok := v.paths.get(key)
	if !ok || at.Before(p.from) || at.After(p.until) {
		return Result{}, false
	}
	return p.result, true
}

func (v *Validator) keepPath(key [32]byte, r Result) {
	from, until := validity(r.Path)
	v.paths.put(key, cachedPath{r, from, until})
}

// generations is a cache that forgets the older half of its entries at once.
type generations[K comparable, V any] struct {
	mu       sync.Mutex
	half     int
	now, old map[K]V
}

func newGenerations[K comparable, V any](size int) *generations[K, V] {
	return &generations[K, V]{half: max(1, size/2), now: map[K]V{}}
}

func (g *generations[K, V]) get(k K) (V, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if v, ok := g.now[k]; ok {
		return v, true
	}
	v, ok := g.old[k]
	if ok {
		g.insert(k, v)
	}
	return v, ok
}

func (g *generations[K, V]) put(k K, v V) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.insert(k, v)
}

func (g *generations[K, V]) insert(k K, v V) {
	if len(g.now) >= g.half {
		g.now, g.old = make(map[K]V), g.now
	}
	g.now[k] = v
}
