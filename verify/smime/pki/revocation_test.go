package pki

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ocsp"
)

// A listing is a CRL to be made.
type listing struct {
	by         *authority // whose name it has
	key        crypto.Signer
	this, next time.Time
	noNext     bool
	entries    [][]byte // elements
	extensions [][]byte
	algorithm  []byte
}

var ecdsaSHA256 = tlv(0x30, []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2})

func utcTime(t time.Time) []byte { return tlv(0x17, []byte(t.UTC().Format("060102150405Z"))) }

func (l listing) der(t testing.TB) []byte {
	t.Helper()
	if l.this.IsZero() {
		l.this = now.Add(-time.Hour)
	}
	if l.next.IsZero() {
		l.next = now.Add(24 * time.Hour)
	}
	if l.key == nil {
		l.key = l.by.key
	}
	if l.algorithm == nil {
		l.algorithm = ecdsaSHA256
	}
	fields := [][]byte{{2, 1, 1}, l.algorithm, l.by.RawSubject, utcTime(l.this)}
	if !l.noNext {
		fields = append(fields, utcTime(l.next))
	}
	if l.entries != nil {
		fields = append(fields, tlv(0x30, l.entries...))
	}
	if l.extensions != nil {
		fields = append(fields, tlv(0xa0, tlv(0x30, l.extensions...)))
	}
	tbs := tlv(0x30, fields...)
	digest := sha256.Sum256(tbs)
	sig, err := l.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return tlv(0x30, tbs, l.algorithm, tlv(3, []byte{0}, sig))
}

// entry returns a revokedCertificates entry.
func entry(t testing.TB, serial *big.Int, since time.Time, extensions ...[]byte) []byte {
	t.Helper()
	n, err := asn1.Marshal(serial)
	if err != nil {
		t.Fatal(err)
	}
	if len(extensions) == 0 {
		return tlv(0x30, n, utcTime(since))
	}
	return tlv(0x30, n, utcTime(since), tlv(0x30, extensions...))
}

// rawExtension returns an Extension.
func rawExtension(t testing.TB, id asn1.ObjectIdentifier, critical bool, value []byte) []byte {
	t.Helper()
	oid, err := asn1.Marshal(id)
	if err != nil {
		t.Fatal(err)
	}
	if critical {
		return tlv(0x30, oid, []byte{1, 1, 0xff}, tlv(4, value))
	}
	return tlv(0x30, oid, tlv(4, value))
}

const (
	crlURL  = "http://crl.example/m.crl"
	ocspAt  = "http://ocsp.example"
	rootCRL = "http://crl.example/root.crl"
)

// revocable returns a family whose members say where to ask.
func revocable(t testing.TB) family {
	return newFamily(t, with(ca("M"), func(c *x509.Certificate) { c.CRLDistributionPoints = []string{rootCRL} }),
		with(ee("a@example.com"), func(c *x509.Certificate) {
			c.CRLDistributionPoints, c.OCSPServer = []string{crlURL}, []string{ocspAt}
		}))
}

// goodRoot is the CRL of the root: nobody is revoked.
func goodRoot(t testing.TB, f family) []byte { return listing{by: f.root}.der(t) }

// TestCRL has a row for every way in which a list may not be what it seems.
func TestCRL(t *testing.T) {
	f := revocable(t)
	serial := f.leaf.SerialNumber
	yesterday := now.AddDate(0, 0, -1)
	idp := func(content ...[]byte) [][]byte {
		return [][]byte{rawExtension(t, oidDistributionPoint, true, tlv(0x30, content...))}
	}
	uri := func(u string) []byte { return tlv(0xa0, tlv(0xa0, tlv(0x86, []byte(u)))) }
	reason := func(n byte) []byte { return rawExtension(t, oidReasonCode, false, []byte{10, 1, n}) }
	listed := [][]byte{entry(t, serial, yesterday)}
	stranger := issue(t, nil, ca("M"), nil)
	cases := []struct {
		name   string
		list   listing
		want   Status
		reason string
	}{
		{"empty", listing{}, Valid, ""},
		{"others only", listing{entries: [][]byte{entry(t, big.NewInt(1), yesterday), entry(t, big.NewInt(2), yesterday)}}, Valid, ""},
		{"revoked", listing{entries: listed}, Revoked, "revoked on 2026-02-28"},
		{"revoked, with a reason", listing{entries: [][]byte{entry(t, serial, yesterday, reason(1))}}, Revoked, "key compromise"},
		{"revoked among others", listing{entries: [][]byte{entry(t, big.NewInt(1), yesterday), listed[0], entry(t, big.NewInt(2), yesterday)}}, Revoked, ""},
		{"revoked only later", listing{entries: [][]byte{entry(t, serial, now.Add(time.Hour))}}, Valid, ""},
		{"on hold", listing{entries: [][]byte{entry(t, serial, yesterday, reason(6))}}, Revoked, "on hold"},
		{"once on hold, in a list out of date", listing{entries: [][]byte{entry(t, serial, yesterday, reason(6))}, next: yesterday}, Unknown, "out of date"},
		{"revoked in a list out of date", listing{entries: listed, next: yesterday}, Revoked, ""},
		{"signed by another key", listing{key: stranger.key}, Unknown, "signature"},
		{"of another authority", listing{by: f.root}, Unknown, "another issuer"},
		{"out of date", listing{this: now.AddDate(0, 0, -9), next: now.AddDate(0, 0, -2)}, Unknown, "out of date since 2026-02-27"},
		{"out of date for less than the grace", listing{next: now.Add(-time.Hour)}, Valid, ""},
		{"of the future", listing{this: now.AddDate(0, 0, 1), next: now.AddDate(0, 0, 2)}, Unknown, "the CRL is of 2026-03-02"},
		{"without nextUpdate", listing{noNext: true}, Unknown, "how long"},
		{"for users", listing{extensions: idp([]byte{0x81, 1, 0xff})}, Valid, ""},
		{"for authorities", listing{extensions: idp([]byte{0x82, 1, 0xff})}, Unknown, "authorities only"},
		{"for attribute certificates", listing{extensions: idp([]byte{0x85, 1, 0xff})}, Unknown, "attribute"},
		{"for some reasons", listing{extensions: idp([]byte{0x83, 2, 1, 6})}, Unknown, "some reasons"},
		{"for some reasons, revoked", listing{extensions: idp([]byte{0x83, 2, 1, 6}), entries: listed}, Revoked, ""},
		{"indirect", listing{extensions: idp([]byte{0x84, 1, 0xff})}, Unknown, "indirect"},
		{"of this distribution point", listing{extensions: idp(uri(crlURL))}, Valid, ""},
		{"of another distribution point", listing{extensions: idp(uri("http://crl.example/other.crl"))}, Unknown, "another distribution point"},
		{"of a point relative to the issuer", listing{extensions: idp(tlv(0xa0, tlv(0xa1)))}, Unknown, "another distribution point"},
		{"malformed scope", listing{extensions: idp([]byte{0x81, 2, 0xff, 0xff})}, Unknown, "malformed"},
		{"delta", listing{extensions: [][]byte{rawExtension(t, oidDeltaCRL, true, []byte{2, 1, 1})}}, Unknown, "delta"},
		{"unknown critical extension", listing{extensions: [][]byte{rawExtension(t, asn1.ObjectIdentifier{1, 2, 3}, true, []byte{5, 0})}}, Unknown, "critical extension 1.2.3"},
		{"unknown extension", listing{extensions: [][]byte{rawExtension(t, asn1.ObjectIdentifier{1, 2, 3}, false, []byte{5, 0})}}, Valid, ""},
		{"unknown critical extension of an entry", listing{entries: [][]byte{entry(t, big.NewInt(1), yesterday, rawExtension(t, asn1.ObjectIdentifier{2, 5, 29, 29}, true, []byte{0x30, 0}))}}, Unknown, "critical extension 2.5.29.29"},
		{"removed from the list", listing{entries: [][]byte{entry(t, serial, yesterday, reason(8))}}, Valid, ""},
		{"malformed entry", listing{entries: [][]byte{tlv(0x30, []byte{2, 1, 1})}}, Unknown, "malformed"},
		{"SHA-1", listing{algorithm: tlv(0x30, []byte{6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1})}, Unknown, "algorithm"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.list.by == nil {
				c.list.by = f.middle
			}
			web := newWeb(map[string][]byte{crlURL: c.list.der(t), rootCRL: goodRoot(t, f)})
			r := revocation(t, f, web, Options{}, RevocationQuery{Path: f.full(), At: now, Fetch: true})
			if r.Status != c.want || !strings.Contains(r.Reason, c.reason) {
				t.Errorf("fetched: %s %q, want %s %q", r.Status, r.Reason, c.want, c.reason)
			}
			if c.want != Unknown && r.Source != "crl" {
				t.Errorf("source %q", r.Source)
			}
			// What came with the message is examined in the same way.
			r = revocation(t, f, nil, Options{}, RevocationQuery{Path: f.full(), At: now, CRLs: [][]byte{goodRoot(t, f), c.list.der(t)}})
			if r.Status != c.want {
				t.Errorf("embedded: %s %q, want %s", r.Status, r.Reason, c.want)
			}
		})
	}
}

// revocation asks once, with the hosts of the family allowed.
func revocation(t testing.TB, f family, web *web, o Options, q RevocationQuery) Revocation {
	t.Helper()
	o.Hosts = []string{"crl.example", "ocsp.example"}
	if web != nil {
		o.Fetcher = web
	}
	v := New(f.store(true), o)
	defer v.Close()
	return v.Revocation(context.Background(), q)
}

// web is a Fetcher with a few pages. Pages under a URL that ends in "*" answer everything below it.
type web struct {
	mu    sync.Mutex
	pages map[string][]byte
	asked []string
	delay time.Duration
}

func newWeb(pages map[string][]byte) *web { return &web{pages: pages} }

func (w *web) Fetch(ctx context.Context, url string, limit int64) ([]byte, error) {
	w.mu.Lock()
	w.asked = append(w.asked, url)
	delay := w.delay
	w.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for u, data := range w.pages {
		if prefix, all := strings.CutSuffix(u, "*"); u == url || all && strings.HasPrefix(url, prefix) {
			if int64(len(data)) > limit {
				return nil, errors.New("too large")
			}
			return data, nil
		}
	}
	return nil, errors.New("not found")
}

func (w *web) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.asked)
}

// TestOCSP has a row for every way in which a response may not be what it seems.
func TestOCSP(t *testing.T) {
	f := revocable(t)
	other := issue(t, f.root, ca("Other"), nil)
	delegate := func(change func(*x509.Certificate), by *authority) *authority {
		return issue(t, by, with(x509.Certificate{
			Subject: pkix.Name{CommonName: "Responder"}, KeyUsage: x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning},
		}, change), nil)
	}
	same := func(*x509.Certificate) {}
	good := ocsp.Response{Status: ocsp.Good, ThisUpdate: now.Add(-time.Hour), NextUpdate: now.Add(24 * time.Hour)}
	change := func(f func(*ocsp.Response)) ocsp.Response { r := good; f(&r); return r }
	critical := []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
	cases := []struct {
		name      string
		issuer    *authority // named in the CertID
		responder *authority
		response  ocsp.Response
		embed     bool
		want      Status
		reason    string
	}{
		{"good, by the issuer", f.middle, f.middle, good, false, Valid, ""},
		{"good, by the issuer with its certificate", f.middle, f.middle, good, true, Valid, ""},
		{"good, by a delegate", f.middle, delegate(same, f.middle), good, true, Valid, ""},
		{"SHA-256 CertID", f.middle, f.middle, change(func(r *ocsp.Response) { r.IssuerHash = crypto.SHA256 }), false, Valid, ""},
		{"revoked", f.middle, f.middle, change(func(r *ocsp.Response) {
			r.Status, r.RevokedAt, r.RevocationReason = ocsp.Revoked, now.AddDate(0, 0, -3), 1
		}), false, Revoked, "revoked on 2026-02-26: key compromise"},
		{"revoked only later", f.middle, f.middle, change(func(r *ocsp.Response) { r.Status, r.RevokedAt = ocsp.Revoked, now.Add(time.Hour) }), false, Valid, ""},
		{"not known there", f.middle, f.middle, change(func(r *ocsp.Response) { r.Status = ocsp.Unknown }), false, Unknown, "does not know"},
		{"by a leaf of the same authority", f.middle, f.leaf, good, true, Unknown, "not for OCSP"},
		{"by a delegate of another authority", f.middle, delegate(same, other), good, true, Unknown, "not one of the issuer"},
		{"by an expired delegate", f.middle, delegate(func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Hour) }, f.middle), good, true, Unknown, "not valid at that time"},
		{"by a delegate whose key is for something else", f.middle, delegate(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }, f.middle), good, true, Unknown, "not for signatures"},
		{"by a delegate with an unknown critical extension", f.middle, delegate(func(c *x509.Certificate) { c.ExtraExtensions = critical }, f.middle), good, true, Unknown, "critical"},
		{"by a delegate that is not there", f.middle, delegate(same, f.middle), good, false, Unknown, "nobody known"},
		{"by another authority", f.middle, other, good, true, Unknown, "not one of the issuer"},
		{"about another authority's certificate", other, f.middle, good, false, Unknown, "another certificate"},
		{"about another certificate", f.middle, f.middle, change(func(r *ocsp.Response) { r.SerialNumber = big.NewInt(4711) }), false, Unknown, "another certificate"},
		{"out of date for years", f.middle, f.middle, change(func(r *ocsp.Response) { r.ThisUpdate, r.NextUpdate = now.AddDate(-4, 0, -1), now.AddDate(-4, 0, 0) }), false, Unknown, "out of date since 2022-03-01"},
		{"of the future", f.middle, f.middle, change(func(r *ocsp.Response) { r.ThisUpdate, r.NextUpdate = now.Add(time.Hour), now.Add(2*time.Hour) }), false, Unknown, "is of"},
		{"without nextUpdate", f.middle, f.middle, change(func(r *ocsp.Response) { r.NextUpdate = time.Time{} }), false, Valid, ""},
		{"old, without nextUpdate", f.middle, f.middle, change(func(r *ocsp.Response) { r.NextUpdate, r.ThisUpdate = time.Time{}, now.AddDate(0, 0, -3) }), false, Unknown, "out of date"},
		{"critical extension", f.middle, f.middle, change(func(r *ocsp.Response) { r.ExtraExtensions = critical }), false, Unknown, "critical extension 1.2.3"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.response.SerialNumber == nil {
				c.response.SerialNumber = f.leaf.SerialNumber
			}
			if c.embed {
				c.response.Certificate = c.responder.Certificate
			}
			der, err := ocsp.CreateResponse(c.issuer.Certificate, c.responder.Certificate, c.response, c.responder.key)
			if err != nil {
				t.Fatal(err)
			}
			web := newWeb(map[string][]byte{ocspAt + "/*": der, rootCRL: goodRoot(t, f)})
			r := revocation(t, f, web, Options{}, RevocationQuery{Path: f.full(), At: now, Fetch: true})
			if r.Status != c.want || !strings.Contains(r.Reason, c.reason) || c.want != Unknown && r.Source != "ocsp" {
				t.Errorf("fetched: %s %q from %q, want %s %q", r.Status, r.Reason, r.Source, c.want, c.reason)
			}
			r = revocation(t, f, nil, Options{}, RevocationQuery{Path: f.full(), At: now, CRLs: [][]byte{goodRoot(t, f)}, OCSP: [][]byte{der}})
			if r.Status != c.want {
				t.Errorf("embedded: %s %q, want %s", r.Status, r.Reason, c.want)
			}
		})
	}
}

// TestOCSPSignature changes each octet of a response: none of the changed ones may say good.
func TestOCSPSignature(t *testing.T) {
	f := revocable(t)
	der, err := ocsp.CreateResponse(f.middle.Certificate, f.middle.Certificate, ocsp.Response{
		Status: ocsp.Revoked, RevokedAt: now.AddDate(0, 0, -1), ThisUpdate: now.Add(-time.Hour), NextUpdate: now.Add(time.Hour), SerialNumber: f.leaf.SerialNumber,
	}, f.middle.key)
	if err != nil {
		t.Fatal(err)
	}
	for i := range der {
		for _, bit := range []byte{1, 0x80} {
			changed := append([]byte{}, der...)
			changed[i] ^= bit
			if a, err := checkOCSP(changed, f.leaf.Certificate, f.middle.Certificate, now); err == nil && a.status != Revoked {
				t.Errorf("octet %d: %s", i, a.status)
			}
		}
	}
}

// TestRevocationOfAuthorities proves that every certificate below the root counts.
func TestRevocationOfAuthorities(t *testing.T) {
	f := revocable(t)
	leafList := listing{by: f.middle}.der(t)
	bad := listing{by: f.root, entries: [][]byte{entry(t, f.middle.SerialNumber, now.AddDate(0, 0, -1))}}.der(t)
	for _, c := range []struct {
		name   string
		pages  map[string][]byte
		want   Status
		reason string
	}{
		{"both good", map[string][]byte{crlURL: leafList, rootCRL: goodRoot(t, f)}, Valid, ""},
		{"authority revoked", map[string][]byte{crlURL: leafList, rootCRL: bad}, Revoked, "authority CN=M"},
		{"authority revoked, leaf unknown", map[string][]byte{rootCRL: bad}, Revoked, "authority CN=M"},
		{"authority unknown", map[string][]byte{crlURL: leafList}, Unknown, "authority CN=M"},
		{"leaf unknown", map[string][]byte{rootCRL: goodRoot(t, f)}, Unknown, "not found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := revocation(t, f, newWeb(c.pages), Options{}, RevocationQuery{Path: f.full(), At: now, Fetch: true})
			if r.Status != c.want || !strings.Contains(r.Reason, c.reason) {
				t.Errorf("%s %q, want %s %q", r.Status, r.Reason, c.want, c.reason)
			}
		})
	}
}

// TestRevocationAsksNobody without leave, and no host that no trusted certificate pointed to.
func TestRevocationAsksNobody(t *testing.T) {
	f := revocable(t)
	web := newWeb(map[string][]byte{crlURL: listing{by: f.middle}.der(t), rootCRL: goodRoot(t, f)})
	v := New(f.store(true), Options{Fetcher: web})
	defer v.Close()
	ask := func(fetch bool) Status {
		return v.Revocation(context.Background(), RevocationQuery{Path: f.full(), At: now, Fetch: fetch}).Status
	}
	if s := ask(true); s != Unknown || web.count() != 0 {
		t.Errorf("hosts not seen: %s, %d requests", s, web.count())
	}
	if r := v.Path(context.Background(), f.query()); r.Trust != Public {
		t.Fatal(r.Reason)
	}
	if s := ask(false); s != Unknown || web.count() != 0 {
		t.Errorf("no leave: %s, %d requests", s, web.count())
	}
	if s := ask(true); s != Valid || web.count() != 2 {
		t.Errorf("%s, %d requests", s, web.count())
	}
	if s := ask(true); s != Valid || web.count() != 2 {
		t.Errorf("again: %s, %d requests", s, web.count())
	}
}

// TestRevocationNowhere says why nobody was asked: there are addresses, but none of them may be asked.
func TestRevocationNowhere(t *testing.T) {
	for _, u := range []string{"https://crl.example/m.crl", "ldap://crl.example/cn=m", "http://crl.example:8080/m.crl"} {
		f := newFamily(t, ca("M"), with(ee("a@example.com"), func(c *x509.Certificate) { c.CRLDistributionPoints = []string{u} }))
		r := New(f.store(true), Options{}).Revocation(context.Background(), RevocationQuery{Path: f.full(), At: now, Fetch: true})
		if r.Status != Unknown || !strings.Contains(r.Reason, "names no address that may be asked") {
			t.Errorf("%s: %s %q", u, r.Status, r.Reason)
		}
	}
}

// TestRevocationSignerChoice proves that a signer cannot hide a revocation by sending an older list that is still valid.
func TestRevocationSignerChoice(t *testing.T) {
	f := revocable(t)
	old := listing{by: f.middle, this: now.AddDate(0, 0, -2)}.der(t)
	new := listing{by: f.middle, entries: [][]byte{entry(t, f.leaf.SerialNumber, now.Add(-time.Hour))}}.der(t)
	web := newWeb(map[string][]byte{crlURL: new, rootCRL: goodRoot(t, f)})
	r := revocation(t, f, web, Options{}, RevocationQuery{Path: f.full(), At: now, Fetch: true, CRLs: [][]byte{old}})
	if r.Status != Revoked {
		t.Errorf("%s %s", r.Status, r.Reason)
	}
	r = revocation(t, f, nil, Options{}, RevocationQuery{Path: f.full(), At: now, CRLs: [][]byte{goodRoot(t, f), old, new}})
	if r.Status != Revoked {
		t.Errorf("both embedded: %s %s", r.Status, r.Reason)
	}
}

// TestRevocationBudget proves that a slow server delays nobody, and that its answer is there for the next message.
func TestRevocationBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := revocable(t)
		web := newWeb(map[string][]byte{crlURL: listing{by: f.middle}.der(t), rootCRL: goodRoot(t, f)})
		web.delay = 5 * time.Second
		v := New(f.store(true), Options{Fetcher: web, Hosts: []string{"crl.example"}})
		defer v.Close()
		q := RevocationQuery{Path: f.full(), At: now, Fetch: true}
		began := time.Now()
		r := v.Revocation(context.Background(), q)
		if r.Status != Unknown || !r.Pending || !strings.Contains(r.Reason, "still being fetched") {
			t.Errorf("%s %q, pending %v", r.Status, r.Reason, r.Pending)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("took %s", took)
		}
		time.Sleep(10 * time.Second)
		if r := v.Revocation(context.Background(), q); r.Status != Valid {
			t.Errorf("later: %s %s", r.Status, r.Reason)
		}
		if web.count() != 2 {
			t.Errorf("%d requests", web.count())
		}
	})
}

// TestRevocationClose proves that nothing goes on after Close.
func TestRevocationClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := revocable(t)
		web := newWeb(nil)
		web.delay = time.Hour
		v := New(f.store(true), Options{Fetcher: web, Hosts: []string{"crl.example"}, Background: 2 * time.Hour})
		v.Revocation(context.Background(), RevocationQuery{Path: f.full(), At: now, Fetch: true})
		v.Close()
		v.Close()
	})
}

// TestRevocationRefresh proves when a list is fetched again, what serves when that fails, and what a restart keeps.
func TestRevocationRefresh(t *testing.T) {
	f := revocable(t)
	list := listing{by: f.middle, next: now.AddDate(0, 0, 7)}.der(t)
	web := newWeb(map[string][]byte{crlURL: list, rootCRL: listing{by: f.root, next: now.AddDate(0, 0, 7)}.der(t)})
	kept := mapCache{}
	open := func() *Validator {
		return New(f.store(true), Options{Fetcher: web, Hosts: []string{"crl.example"}, Cache: kept})
	}
	v := open()
	ask := func(at time.Time, want Status, requests int) {
		t.Helper()
		r := v.Revocation(context.Background(), RevocationQuery{Path: f.full(), At: at, Fetch: true})
		if r.Status != want || web.count() != requests {
			t.Errorf("at %s: %s %q after %d requests, want %s after %d", at, r.Status, r.Reason, web.count(), want, requests)
		}
	}
	ask(now, Valid, 2)
	ask(now.Add(3*time.Hour), Valid, 2)
	ask(now.Add(5*time.Hour), Valid, 4)
	v.Close()
	v = open()
	ask(now.Add(6*time.Hour), Valid, 4) // from the cache
	web.pages = nil
	ask(now.Add(24*time.Hour), Valid, 6) // it cannot be had, but the old one is valid
	v.Close()
	for key := range kept {
		kept[key] = append(kept[key][:8:8], "damaged"...)
	}
	v = open()
	defer v.Close()
	ask(now, Unknown, 8)
}

// TestRevocationPanics proves that a Fetcher that panics does not end the process.
func TestRevocationPanics(t *testing.T) {
	f := revocable(t)
	v := New(f.store(true), Options{Fetcher: panicky{}, Hosts: []string{"crl.example"}})
	defer v.Close()
	if r := v.Revocation(context.Background(), RevocationQuery{Path: f.full(), At: now, Fetch: true}); r.Status != Unknown {
		t.Errorf("%s", r.Status)
	}
}

type panicky struct{}

func (panicky) Fetch(context.Context, string, int64) ([]byte, error) { panic("no") }

func TestRevocationZero(t *testing.T) {
	var r Revocation
	if r.Status == Valid {
		t.Error("the zero value is good")
	}
	f := revocable(t)
	v := New(f.store(true), Options{})
	if got := v.Revocation(context.Background(), RevocationQuery{Path: f.full()[:1], At: now}); got.Status != Unknown {
		t.Errorf("%s", got.Status)
	}
}

// TestCRLCacheBounded proves that lists do not fill the memory.
func TestCRLCacheBounded(t *testing.T) {
	c := newCRLCache(1000)
	for i := range 100 {
		c.put(strconv.Itoa(i), &crl{entries: make([]crlEntry, 100)}, now)
		if c.entries > 1000 {
			t.Fatalf("%d entries", c.entries)
		}
	}
	if len(c.lists) != 1000/(100+crlOverhead) {
		t.Errorf("%d lists", len(c.lists))
	}
	c.put("large", &crl{entries: make([]crlEntry, 1000)}, now)
	if _, ok := c.get("large"); !ok || len(c.lists) != 1 {
		t.Errorf("%d lists beside one that is larger than all", len(c.lists))
	}
	c.put("small", &crl{}, now)
	if _, ok := c.get("large"); ok || c.entries != crlOverhead {
		t.Errorf("%d entries", c.entries)
	}
}

// TestAIA proves that missing issuers are fetched from hosts that may be asked, in every form, over several steps.
func TestAIA(t *testing.T) {
	root := issue(t, nil, ca("Root"), nil)
	upper := issue(t, root, ca("Upper"), nil)
	lower := issue(t, upper, with(ca("Lower"), func(c *x509.Certificate) { c.IssuingCertificateURL = []string{"http://aia.example/upper"} }), nil)
	leaf := issue(t, lower, with(ee("a@example.com"), func(c *x509.Certificate) {
		c.IssuingCertificateURL = []string{"https://aia.example/tls", "http://aia.example/lower"}
	}), nil)
	signedData, _ := asn1.Marshal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2})
	p7c := tlv(0x30, signedData, tlv(0xa0, tlv(0x30, []byte{2, 1, 1}, tlv(0x31), tlv(0x30, []byte{6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1}), tlv(0xa0, root.Raw, lower.Raw), tlv(0x31))))
	s := &Store{}
	s.AddAnchor(&Anchor{Certificate: root.Certificate, Public: true})
	ask := func(fetch bool, lowerAnswer []byte, hosts ...string) (Result, *web) {
		web := newWeb(map[string][]byte{"http://aia.example/lower": lowerAnswer, "http://aia.example/upper": upper.Raw})
		v := New(s, Options{Fetcher: web, Hosts: hosts})
		defer v.Close()
		return v.Path(context.Background(), Query{Leaf: leaf.Certificate, At: now, Fetch: fetch}), web
	}
	for _, c := range []struct {
		name   string
		answer []byte
		want   Trust
	}{{"DER", lower.Raw, Public}, {"PKCS 7", p7c, Public}, {"another certificate", upper.Raw, Incomplete}, {"junk", []byte("<html>"), Incomplete}, {"nothing", nil, Incomplete}} {
		if r, _ := ask(true, c.answer, "aia.example"); r.Trust != c.want {
			t.Errorf("%s: %s %s, want %s", c.name, r.Trust, r.Reason, c.want)
		}
	}
	if r, web := ask(true, lower.Raw); r.Trust != Incomplete || web.count() != 0 {
		t.Errorf("host not seen: %s after %d requests", r.Trust, web.count())
	}
	if r, web := ask(false, lower.Raw, "aia.example"); r.Trust != Incomplete || web.count() != 0 {
		t.Errorf("no leave: %s after %d requests", r.Trust, web.count())
	}
}

// TestAIARenewed proves that a renewed certificate of an authority is fetched where only the expired one is known.
func TestAIARenewed(t *testing.T) {
	root := issue(t, nil, ca("Root"), nil)
	renewed := issue(t, root, ca("M"), nil)
	expired := issue(t, root, with(ca("M"), func(c *x509.Certificate) { c.NotAfter = now.AddDate(0, 0, -1); c.SubjectKeyId = renewed.SubjectKeyId }), renewed.key)
	leaf := issue(t, renewed, with(ee("a@example.com"), func(c *x509.Certificate) { c.IssuingCertificateURL = []string{"http://aia.example/m"} }), nil)
	s := &Store{}
	s.AddAnchor(&Anchor{Certificate: root.Certificate, Public: true})
	s.AddIntermediate(expired.Certificate)
	kept := mapCache{"aia http://aia.example/m": expired.Raw}
	v := New(s, Options{Fetcher: newWeb(map[string][]byte{"http://aia.example/m": renewed.Raw}), Hosts: []string{"AIA.example"}, Cache: kept})
	defer v.Close()
	if r := v.Path(context.Background(), Query{Leaf: leaf.Certificate, At: now}); r.Trust != Expired {
		t.Errorf("without leave to fetch: %s %s", r.Trust, r.Reason)
	}
	if r := v.Path(context.Background(), Query{Leaf: leaf.Certificate, At: now, Fetch: true}); r.Trust != Public {
		t.Errorf("%s %s", r.Trust, r.Reason)
	}
}

// TestAIALater proves that a slow server delays nobody and that a later message finds what it sent.
func TestAIALater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := issue(t, nil, ca("Root"), nil)
		middle := issue(t, root, ca("M"), nil)
		leaf := issue(t, middle, with(ee("a@example.com"), func(c *x509.Certificate) { c.IssuingCertificateURL = []string{"http://aia.example/m"} }), nil)
		s := &Store{}
		s.AddAnchor(&Anchor{Certificate: root.Certificate, Public: true})
		web := newWeb(map[string][]byte{"http://aia.example/m": middle.Raw})
		web.delay = 3 * time.Second
		v := New(s, Options{Fetcher: web, Hosts: []string{"aia.example"}})
		defer v.Close()
		q := Query{Leaf: leaf.Certificate, At: now, Fetch: true}
		began := time.Now()
		if r := v.Path(context.Background(), q); r.Trust != Incomplete || !r.Pending || time.Since(began) > 2*time.Second {
			t.Errorf("%s, pending %v after %s", r.Trust, r.Pending, time.Since(began))
		}
		time.Sleep(5 * time.Second)
		if r := v.Path(context.Background(), q); r.Trust != Public || web.count() != 1 {
			t.Errorf("later: %s after %d requests", r.Trust, web.count())
		}
	})
}

// TestOperatorCRL proves that CRLs in files are used, and that one that cannot be read is named.
func TestOperatorCRL(t *testing.T) {
	f := newFamily(t, ca("M"), ee("a@example.com"))
	dir := t.TempDir()
	write := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("m.crt", f.middle.Raw)
	write("m.crl", listing{by: f.middle}.der(t))
	write("root.CRL", pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: listing{by: f.root}.der(t)}))
	status := func() Revocation {
		s, err := NewStore(false, nil, []string{dir})
		if err != nil {
			t.Fatal(err)
		}
		return New(s, Options{}).Revocation(context.Background(), RevocationQuery{Path: f.full(), At: now})
	}
	if r := status(); r.Status != Valid || r.Source != "crl" {
		t.Errorf("%s %s", r.Status, r.Reason)
	}
	write("m2.crl", listing{by: f.middle, entries: [][]byte{entry(t, f.leaf.SerialNumber, now.AddDate(0, 0, -1))}}.der(t))
	write("m.crl", listing{by: f.middle, next: now.AddDate(0, 0, -1)}.der(t))
	if r := status(); r.Status != Revoked {
		t.Errorf("%s %s", r.Status, r.Reason)
	}
	write("junk.crl", []byte("junk"))
	if _, err := NewStore(false, nil, []string{dir, filepath.Join(dir, "absent.crl")}); err == nil ||
		!strings.Contains(err.Error(), "junk.crl: the CRL is malformed") || !strings.Contains(err.Error(), "absent.crl") {
		t.Errorf("error is %v", err)
	}
}

// TestConcurrent asks everything at once, for the race detector.
func TestConcurrent(t *testing.T) {
	f := revocable(t)
	web := newWeb(map[string][]byte{crlURL: listing{by: f.middle}.der(t), rootCRL: goodRoot(t, f)})
	v := New(f.store(true), Options{Fetcher: web, CachedPath: 2, CachedCRL: 100})
	defer v.Close()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				if r := v.Path(context.Background(), f.query()); r.Trust != Public {
					t.Errorf("%s %s", r.Trust, r.Reason)
				}
				if r := v.Revocation(context.Background(), RevocationQuery{Path: f.full(), At: now, Fetch: true}); r.Status != Valid {
					t.Errorf("%s %s", r.Status, r.Reason)
				}
			}
		})
	}
	all.Wait()
}

// TestOpenSSL has openssl revoke, list and answer: what other software writes is read.
func TestOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("NOT RUN: openssl is not installed")
	}
	dir := t.TempDir()
	script := `set -e
printf '[ca]\ndefault_ca=c\n[c]\ndatabase=index.txt\nnew_certs_dir=.\nserial=serial\ncrlnumber=crlnumber\ndefault_md=sha256\ndefault_crl_days=3\npolicy=p\nx509_extensions=e\n[p]\ncommonName=supplied\n[e]\nbasicConstraints=CA:false\nkeyUsage=digitalSignature\nextendedKeyUsage=emailProtection\nsubjectAltName=email:a@example.com\n[o]\nextendedKeyUsage=OCSPSigning\nnoCheck=ignored\n' > ca.cnf
: > index.txt; echo 1000 > serial; echo 01 > crlnumber
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -keyout ca.key -out ca.pem -subj /CN=Root -days 30
for n in good bad; do
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $n.key -out $n.csr -subj /CN=$n
  openssl ca -batch -config ca.cnf -cert ca.pem -keyfile ca.key -in $n.csr -out $n.pem -days 20 -notext
done
openssl ca -config ca.cnf -cert ca.pem -keyfile ca.key -revoke bad.pem -crl_reason keyCompromise
openssl ca -config ca.cnf -cert ca.pem -keyfile ca.key -gencrl -out ca.crl
for n in good bad; do
  openssl ocsp -issuer ca.pem -cert $n.pem -reqout $n.req -no_nonce
  openssl ocsp -index index.txt -CA ca.pem -rsigner ca.pem -rkey ca.key -reqin $n.req -respout $n.ocsp -ndays 1 -rmd sha256
done
`
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	root := load(t, filepath.Join(dir, "ca.pem"))
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	v := New(&Store{}, Options{})
	for name, want := range map[string]Status{"good": Valid, "bad": Revoked} {
		leaf := load(t, filepath.Join(dir, name+".pem"))
		path := []*x509.Certificate{leaf, root}
		at := leaf.NotBefore.Add(4 * time.Minute)
		if r := v.Revocation(context.Background(), RevocationQuery{Path: path, At: at, CRLs: [][]byte{crlFromFile(read("ca.crl"))}}); r.Status != want || r.Source != "crl" {
			t.Errorf("%s by CRL: %s %s", name, r.Status, r.Reason)
		}
		if r := v.Revocation(context.Background(), RevocationQuery{Path: path, At: at, OCSP: [][]byte{read(name + ".ocsp")}}); r.Status != want || r.Source != "ocsp" {
			t.Errorf("%s by OCSP: %s %s", name, r.Status, r.Reason)
		}
	}
}

// TestRevocationRefetches proves that a server with nothing useful is not asked for every message.
func TestRevocationRefetches(t *testing.T) {
	f := revocable(t)
	for name, list := range map[string][]byte{
		"out of date":                     listing{by: f.middle, next: now.AddDate(0, 0, -3)}.der(t),
		"not signed by whom it should be": listing{by: f.middle, key: newKey(t)}.der(t),
		"absent":                          nil,
	} {
		web := newWeb(map[string][]byte{crlURL: list, rootCRL: goodRoot(t, f)})
		v := New(f.store(true), Options{Fetcher: web, Hosts: []string{"crl.example"}})
		for i := range 10 {
			at := now.Add(time.Duration(i) * time.Minute)
			if r := v.Revocation(context.Background(), RevocationQuery{Path: f.full(), At: at, Fetch: true}); r.Status != Unknown {
				t.Errorf("%s: %s", name, r.Status)
			}
		}
		if web.count() != 2 {
			t.Errorf("%s: %d requests", name, web.count())
		}
		v.Revocation(context.Background(), RevocationQuery{Path: f.full(), At: now.Add(2 * time.Hour), Fetch: true})
		if web.count() != 3 {
			t.Errorf("%s: %d requests two hours later", name, web.count())
		}
		v.Close()
	}
}
