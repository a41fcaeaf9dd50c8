package fetch

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"assay/verify/smime/pki"
)

var (
	_ pki.Fetcher = (*Client)(nil)
	_ pki.Cache   = (*Dir)(nil)
)

// serve starts a server and returns its URL and how often each path was asked.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}

func TestFetch(t *testing.T) {
	var last atomic.Pointer[http.Request]
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		last.Store(r)
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, "/ok", http.StatusFound)
		case "/missing":
			http.NotFound(w, r)
		case "/large":
			w.Write(make([]byte, 101))
		case "/endless":
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1000)); err != nil {
					return
				}
			}
		default:
			w.Write([]byte("answer"))
		}
	})
	for _, c := range []struct {
		path string
		want error
	}{
		{"/ok", nil}, {"/exact%2Fslash%2B", nil}, {"/redirect", ErrFailed}, {"/missing", ErrFailed}, {"/large", ErrLimit}, {"/endless", ErrLimit},
	} {
		client := New(Options{AllowLoopback: true})
		data, err := client.Fetch(context.Background(), base+c.path, 100)
		if !errors.Is(err, c.want) || c.want == nil && string(data) != "answer" {
			t.Errorf("%s: %q %v, want %v", c.path, data, err, c.want)
		}
		seen := last.Load()
		if seen.URL.EscapedPath() != c.path || seen.Method != http.MethodGet {
			t.Errorf("asked %s %s, want GET %s", seen.Method, seen.URL.EscapedPath(), c.path)
		}
		for _, field := range []string{"User-Agent", "Cookie", "Referer", "Authorization", "Accept-Encoding"} {
			if v := seen.Header.Get(field); v != "" {
				t.Errorf("%s: sends %s: %s", c.path, field, v)
			}
		}
		client.Close()
	}
}

// TestFetchRefuses proves that no connection is made to where a stranger's URL must not lead.
func TestFetchRefuses(t *testing.T) {
	base := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the server was asked") })
	t.Setenv("http_proxy", base)
	t.Setenv("HTTP_PROXY", base)
	port := base[strings.LastIndexByte(base, ':'):]
	for _, u := range []string{
		base, "http://localhost" + port + "/", "http://127.0.0.1/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:10.0.0.1]/",
		"http://10.0.0.1/", "http://169.254.169.254/latest/meta-data/", "http://192.168.1.1/", "http://100.64.0.1/", "http://[64:ff9b::7f00:1]/",
		"http://[fe80::1%25lo]/", "http://[fd00::1]/", "http://0.0.0.0/", "http://2130706433/", "http://0x7f.1/", "http://public.example/",
		"https://example.com/", "ftp://example.com/", "file:///etc/passwd", "ldap://example.com/", "http:example.com", "http:///x",
		"http://user:secret@example.com/", "http://example.com:8080/", "http://example.com:25/", "gopher://example.com/", "", "://", "http://a b/",
	} {
		client := New(Options{Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("no DNS here")
		}}})
		if data, err := client.Fetch(context.Background(), u, 100); err == nil {
			t.Errorf("%s: fetched %q", u, data)
		} else if !errors.Is(err, ErrRefused) && !strings.Contains(err.Error(), "lookup") {
			t.Errorf("%s: %v, want that it is refused", u, err)
		} else if u != "" && strings.Contains(err.Error(), u) {
			t.Errorf("%v: has the URL, which whoever asks knows", err)
		}
	}
}

func TestGlobal(t *testing.T) {
	for _, c := range []struct {
		address string
		want    bool
	}{
		{"8.8.8.8", true}, {"1.1.1.1", true}, {"2606:4700::1111", true}, {"2a00:1450::1", true}, {"::ffff:8.8.8.8", true},
		{"0.0.0.0", false}, {"10.1.2.3", false}, {"100.64.0.1", false}, {"100.127.255.255", false}, {"127.0.0.1", false}, {"169.254.0.1", false},
		{"172.16.0.1", false}, {"172.31.255.255", false}, {"192.168.0.1", false}, {"192.0.0.8", false}, {"192.0.2.1", false}, {"198.18.0.1", false},
		{"198.51.100.1", false}, {"203.0.113.1", false}, {"224.0.0.1", false}, {"240.0.0.1", false}, {"255.255.255.255", false},
		{"::", false}, {"::1", false}, {"::ffff:127.0.0.1", false}, {"::ffff:10.0.0.1", false}, {"::7f00:1", false}, {"64:ff9b::808:808", false}, {"64:ff9b:1::1", false},
		{"100::1", false}, {"2001::1", false}, {"2001:db8::1", false}, {"2002:7f00:1::", false}, {"3fff::1", false}, {"5f00::1", false},
		{"fc00::1", false}, {"fd12::1", false}, {"fe80::1", false}, {"fec0::1", false}, {"ff02::1", false},
	} {
		if got := Global(netip.MustParseAddr(c.address)); got != c.want {
			t.Errorf("Global(%s) = %v", c.address, got)
		}
	}
	if Global(netip.Addr{}) || Global(netip.MustParseAddr("2606:4700::1%eth0")) {
		t.Error("no address, or one with a zone, is global")
	}
}

// TestFetchRemembersFailures and does not ask again before its time.
func TestFetchRemembersFailures(t *testing.T) {
	var asked atomic.Int32
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			http.NotFound(w, r)
		}
	})
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	client := New(Options{AllowLoopback: true, Now: func() time.Time { return at }})
	for i, step := range []struct {
		after time.Duration
		asked int32
		fails bool
	}{{0, 1, true}, {time.Minute, 1, true}, {59 * time.Minute, 2, false}, {0, 3, false}} {
		at = at.Add(step.after)
		if _, err := client.Fetch(context.Background(), base+"/x", 10); (err != nil) != step.fails || asked.Load() != step.asked {
			t.Errorf("step %d: %v after %d requests, want %d", i, err, asked.Load(), step.asked)
		}
	}
}

func TestFetchRates(t *testing.T) {
	base := serve(t, func(http.ResponseWriter, *http.Request) {})
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	client := New(Options{AllowLoopback: true, PerHost: 3, Global: 4, Now: func() time.Time { return at }})
	fetch := func(host string) error {
		_, err := client.Fetch(context.Background(), strings.Replace(base, "127.0.0.1", host, 1)+"/x", 10)
		return err
	}
	for i := range 3 {
		if err := fetch("127.0.0.1"); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	if err := fetch("127.0.0.1"); !errors.Is(err, ErrRate) {
		t.Errorf("fourth request to the host: %v", err)
	}
	if err := fetch("localhost"); err != nil {
		t.Errorf("another host: %v", err)
	}
	if err := fetch("localhost"); !errors.Is(err, ErrRate) {
		t.Errorf("fifth request: %v", err)
	}
	at = at.Add(time.Minute)
	if err := fetch("127.0.0.1"); err != nil {
		t.Errorf("a minute later: %v", err)
	}
}

// TestFetchGivesUp on a server that does not answer.
func TestFetchGivesUp(t *testing.T) {
	done := make(chan struct{})
	defer close(done)
	base := serve(t, func(http.ResponseWriter, *http.Request) { <-done })
	client := New(Options{AllowLoopback: true, Timeout: 50 * time.Millisecond})
	if _, err := client.Fetch(context.Background(), base, 10); !errors.Is(err, ErrFailed) {
		t.Errorf("%v", err)
	}
	if _, err := client.Fetch(context.Background(), base, 10); !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), "not long ago") {
		t.Errorf("again: %v", err)
	}
}

// TestFetchWaitsForASlot and leaves when its caller does.
func TestFetchWaitsForASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := New(Options{AllowLoopback: true, Parallel: 1})
		client.slots <- struct{}{}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := client.Fetch(ctx, "http://127.0.0.1:1/", 10); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}

func TestDir(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cache")
	d, err := OpenDir(path, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := d.Get("a"); ok {
		t.Error("something is there before it was put")
	}
	d.Put("a", []byte("one"))
	d.Put("a", []byte("two"))
	if data, ok := d.Get("a"); !ok || string(data) != "two" {
		t.Errorf("%q %v", data, ok)
	}
	d.Put("large", make([]byte, 251))
	if _, ok := d.Get("large"); ok {
		t.Error("what is larger than a quarter is kept")
	}
	for i := range 100 {
		d.Put(fmt.Sprint(i), make([]byte, 100))
		if got := onDisk(t, path); got > 1000 {
			t.Fatalf("%d octets after %d", got, i)
		}
	}
	if _, ok := d.Get("99"); !ok {
		t.Error("the newest is gone")
	}
	leftover := filepath.Join(path, temporary+"1")
	if err := os.WriteFile(leftover, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := OpenDir(path, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := again.Get("99"); !ok {
		t.Error("the newest is gone after a restart")
	}
	if again.total != d.total {
		t.Errorf("%d octets after a restart, %d before", again.total, d.total)
	}
	if _, err := os.Stat(leftover); err == nil {
		t.Error("what an interrupted write left is still there")
	}
}

func onDisk(t *testing.T, path string) (total int64) {
	t.Helper()
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	return total
}

// TestValidator has a Validator fetch an issuer and two CRLs through a Client into a Dir, and start again with the Dir only.
func TestValidator(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	newKey := func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	issue := func(template, parent *x509.Certificate, public, key *ecdsa.PrivateKey) *x509.Certificate {
		template.NotBefore, template.NotAfter, template.BasicConstraintsValid = now.AddDate(0, -1, 0), now.AddDate(0, 1, 0), true
		der, err := x509.CreateCertificate(rand.Reader, template, parent, public.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	list := func(by *x509.Certificate, key *ecdsa.PrivateKey) []byte {
		der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: now.Add(-time.Hour), NextUpdate: now.AddDate(0, 0, 7)}, by, key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	const usage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	rootKey, middleKey := newKey(), newKey()
	rootTemplate := &x509.Certificate{Subject: pkix.Name{CommonName: "Root"}, SerialNumber: big.NewInt(1), IsCA: true, KeyUsage: usage}
	root := issue(rootTemplate, rootTemplate, rootKey, rootKey)
	middle := issue(&x509.Certificate{Subject: pkix.Name{CommonName: "M"}, SerialNumber: big.NewInt(2), IsCA: true, KeyUsage: usage, CRLDistributionPoints: []string{"http://ca.example/root.crl"}}, root, middleKey, rootKey)
	leaf := issue(&x509.Certificate{Subject: pkix.Name{CommonName: "A"}, SerialNumber: big.NewInt(3), EmailAddresses: []string{"a@example.com"}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
		IssuingCertificateURL: []string{"http://ca.example/m.cer"}, CRLDistributionPoints: []string{"http://ca.example/m.crl"}}, middle, newKey(), middleKey)

	pages := map[string][]byte{"/m.cer": middle.Raw, "/m.crl": list(middle, middleKey), "/root.crl": list(root, rootKey)}
	var asked atomic.Int32
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Write(pages[r.URL.Path])
	})
	client := New(Options{AllowLoopback: true})
	defer client.Close()
	path := t.TempDir()
	for _, want := range []int32{3, 3} {
		dir, err := OpenDir(path, 0)
		if err != nil {
			t.Fatal(err)
		}
		s := &pki.Store{}
		s.AddAnchor(&pki.Anchor{Certificate: root, Public: true})
		v := pki.New(s, pki.Options{Fetcher: elsewhere{client, base}, Cache: dir, Hosts: []string{"ca.example"}})
		r := v.Path(context.Background(), pki.Query{Leaf: leaf, At: now, Fetch: true})
		if r.Trust != pki.Public {
			t.Fatalf("%s %s", r.Trust, r.Reason)
		}
		if got := v.Revocation(context.Background(), pki.RevocationQuery{Path: r.Path, At: now, Fetch: true}); got.Status != pki.Valid {
			t.Errorf("%s %s", got.Status, got.Reason)
		}
		v.Close()
		if asked.Load() != want {
			t.Errorf("%d requests, want %d", asked.Load(), want)
		}
	}
}

// elsewhere sends what is for http://ca.example to a server of the test.
type elsewhere struct {
	client *Client
	base   string
}

func (e elsewhere) Fetch(ctx context.Context, url string, limit int64) ([]byte, error) {
	return e.client.Fetch(ctx, strings.Replace(url, "http://ca.example", e.base, 1), limit)
}

// TestFetchInternal proves that a host the operator named may have any address, and no other.
func TestFetchInternal(t *testing.T) {
	client := New(Options{Internal: []string{"LOCALHOST"}})
	defer client.Close()
	if client.internal("127.0.0.1") || client.internal("") || !client.internal("localhost") {
		t.Error("the wrong host is internal")
	}
	// Whatever listens on port 80 here, or nothing: the address is not refused.
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := client.Fetch(ctx, "http://localhost/", 1<<20); errors.Is(err, ErrRefused) {
		t.Errorf("named: %v", err)
	}
	if _, err := client.Fetch(ctx, "http://127.0.0.1/", 1<<20); !errors.Is(err, ErrRefused) {
		t.Errorf("not named: %v", err)
	}
}
