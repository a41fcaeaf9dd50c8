package fetch

import (
	"context"
	"errors"
	"fmt"
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
