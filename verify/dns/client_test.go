package dns_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"assay/verify/dns"
	"assay/verify/dns/dnstest"
	"assay/verify/dns/zone"
)

const world = `
$ORIGIN example.
@        60  TXT   "v=spf1 mx -all"
@            MX    10 a
a            A     192.0.2.1
a            AAAA  2001:db8::1
alias        CNAME a
broken       SERVFAIL
refused      REFUSED
slow         TIMEOUT
1.2.0.192.in-addr.arpa. PTR a
`

// big is a TXT record that does not fit into a datagram.
var big = "big.example. TXT \"" + strings.Repeat("x", 250) + "\"" + strings.Repeat(" \""+strings.Repeat("y", 250)+"\"", 7) + "\n"

// patient options never send a question twice, however busy the machine is.
func patient() dns.ClientOptions {
	return dns.ClientOptions{Timeout: time.Minute, Retry: time.Minute / 4}
}

// client asks the servers.
func client(t testing.TB, opt dns.ClientOptions, servers ...*dnstest.Server) *dns.Client {
	t.Helper()
	for _, s := range servers {
		opt.Servers = append(opt.Servers, s.Addr())
	}
	c, err := dns.NewClient(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// noLeak fails the test if goroutines are left when it and its cleanups are done. Call it first.
func noLeak(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for range 200 {
			if runtime.NumGoroutine() <= before {
				return
			}
			runtime.Gosched()
			<-time.After(5 * time.Millisecond)
		}
		buf := make([]byte, 1<<16)
		t.Errorf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
	})
}

func TestClient(t *testing.T) {
	noLeak(t)
	s := dnstest.New(t, world+big, dnstest.Options{})
	c, ctx := client(t, patient(), s), context.Background()

	txt, err := c.LookupTXT(ctx, "Example.")
	if err != nil || len(txt.Records) != 1 || txt.Records[0] != "v=spf1 mx -all" || txt.TTL != time.Minute || txt.Secure || txt.Cached {
		t.Errorf("TXT: %+v, %v", txt, err)
	}
	if a, err := c.LookupIP(ctx, "ip4", "alias.example"); err != nil || a.Records[0] != netip.MustParseAddr("192.0.2.1") {
		t.Errorf("A: %+v, %v", a, err)
	}
	if a, err := c.LookupIP(ctx, "ip6", "a.example"); err != nil || a.Records[0] != netip.MustParseAddr("2001:db8::1") {
		t.Errorf("AAAA: %+v, %v", a, err)
	}
	if a, err := c.LookupMX(ctx, "example"); err != nil || a.Records[0] != (dns.MX{Host: "a.example", Preference: 10}) {
		t.Errorf("MX: %+v, %v", a, err)
	}
	if a, err := c.LookupPTR(ctx, netip.MustParseAddr("192.0.2.1")); err != nil || a.Records[0] != "a.example" {
		t.Errorf("PTR: %+v, %v", a, err)
	}
	for name, class := range map[string]error{
		"none.example": dns.ErrNXDomain, "a.example": dns.ErrNotFound, "broken.example": dns.ErrTemporary,
		"refused.example": dns.ErrTemporary,
	} {
		if _, err := c.LookupTXT(ctx, name); !errors.Is(err, class) {
			t.Errorf("%s: got %v, want %v", name, err, class)
		}
	}
	c = client(t, dns.ClientOptions{Timeout: 50 * time.Millisecond}, s)
	if _, err := c.LookupTXT(ctx, "slow.example"); !errors.Is(err, dns.ErrTemporary) {
		t.Errorf("TIMEOUT: got %v", err)
	}
}

// RFC 7766: an answer that does not fit is asked for over TCP, and the connection is used again.
func TestTruncation(t *testing.T) {
	noLeak(t)
	s := dnstest.New(t, world+big+"huge.example. TXT"+strings.Repeat(" \""+strings.Repeat("z", 250)+"\"", 240)+"\n", dnstest.Options{})
	c := client(t, patient(), s)
	for range 3 {
		a, err := c.LookupTXT(context.Background(), "big.example")
		if err != nil || len(a.Records) != 1 || len(a.Records[0]) != 2000 {
			t.Fatalf("got %d records, %v", len(a.Records), err)
		}
	}
	if s.Streamed() != 3 || s.Total() != 6 {
		t.Errorf("%d questions, %d over TCP", s.Total(), s.Streamed())
	}
	huge, err := c.LookupTXT(context.Background(), "huge.example")
	if err != nil || len(huge.Records) != 1 || len(huge.Records[0]) != 60000 {
		t.Errorf("60 KB: %v", err)
	}
	s.Set(dnstest.Options{Truncate: true})
	if a, err := c.LookupTXT(context.Background(), "example"); err != nil || a.Records[0] != "v=spf1 mx -all" {
		t.Errorf("cut off without need: %v, %v", a, err)
	}
}

// A connection that the server has closed in the meantime does no harm.
func TestConnectionWasClosed(t *testing.T) {
	noLeak(t)
	s := dnstest.New(t, big, dnstest.Options{})
	c := client(t, dns.ClientOptions{}, s)
	for i := range 2 {
		if a, err := c.LookupTXT(context.Background(), "big.example"); err != nil || len(a.Records) != 1 {
			t.Fatalf("%d: %v, %v", i, a, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		z, err := zone.Parse(strings.NewReader(big), "big")
		if err != nil {
			t.Fatal(err)
		}
		if s, err = dnstest.Listen(z, s.Addr(), dnstest.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	_ = s.Close()
}

func TestHostileServers(t *testing.T) {
	for _, tc := range []struct {
		name  string
		opt   dnstest.Options
		cause string // "" for a right answer
	}{
		{"no EDNS", dnstest.Options{NoEDNS: true}, ""},
		{"spoofed answers first", dnstest.Options{Spoof: true}, ""},
		{"wrong id", dnstest.Options{WrongID: true}, "no answer in time, but answers to other questions"},
		{"wrong question", dnstest.Options{Other: true}, "no answer in time, but answers to other questions"},
		{"garbage", dnstest.Options{Garbage: true, Seed: 1}, "malformed answer"},
		{"silent", dnstest.Options{Silent: true}, "no answer in time"},
		{"SERVFAIL", dnstest.Options{Rcode: mdns.RcodeServerFailure}, "SERVFAIL"},
		{"NOTIMP", dnstest.Options{Rcode: mdns.RcodeNotImplemented}, "NOTIMP"},
		{"FORMERR", dnstest.Options{Rcode: mdns.RcodeFormatError}, "FORMERR"},
		{"truncated, no TCP", dnstest.Options{Truncate: true, NoTCP: true}, "over TCP: "},
		{"all lost", dnstest.Options{Drop: 1}, "no answer in time"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := dnstest.New(t, world, tc.opt)
			opt := dns.ClientOptions{Timeout: time.Second}
			if tc.cause == "" {
				opt = patient()
			}
			c := client(t, opt, s)
			start := time.Now()
			a, err := c.LookupTXT(context.Background(), "example")
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
			if tc.cause == "" {
				if err != nil || a.Records[0] != "v=spf1 mx -all" {
					t.Errorf("got %v, %v", a, err)
				}
				return
			}
			if !errors.Is(err, dns.ErrTemporary) || !strings.Contains(err.Error(), tc.cause) {
				t.Errorf("got %v, want %s", err, tc.cause)
			}
			var f *dns.Failure
			if !errors.As(err, &f) || !strings.Contains(f.Detail, tc.cause) || !strings.HasSuffix(f.Detail, " from "+s.Addr()) || strings.Contains(err.Error(), s.Addr()) {
				t.Errorf("%+v: only the detail is to name the server", f)
			}
			// The same beside a good server gives the right answer.
			good := dnstest.New(t, world, dnstest.Options{})
			c = client(t, dns.ClientOptions{Timeout: 20 * time.Second, Retry: 50 * time.Millisecond}, s, good)
			if a, err := c.LookupTXT(context.Background(), "example"); err != nil || a.Records[0] != "v=spf1 mx -all" {
				t.Errorf("with a good server: %v, %v", a, err)
			}
		})
	}
}

// A server whose answer is slower than Retry is asked again, and its first answer counts.
func TestSlowServer(t *testing.T) {
	noLeak(t)
	s := dnstest.New(t, world, dnstest.Options{Delay: 300 * time.Millisecond})
	c := client(t, dns.ClientOptions{Timeout: 20 * time.Second, Retry: 50 * time.Millisecond}, s)
	start := time.Now()
	if a, err := c.LookupTXT(context.Background(), "example"); err != nil || a.Records[0] != "v=spf1 mx -all" {
		t.Errorf("got %v, %v", a, err)
	}
	if took := time.Since(start); took < 300*time.Millisecond || took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

// The server that answered is asked first the next time.
func TestPreferredServer(t *testing.T) {
	bad := dnstest.New(t, world, dnstest.Options{Rcode: mdns.RcodeRefused})
	good := dnstest.New(t, world, dnstest.Options{})
	c := client(t, patient(), bad, good)
	for range 10 {
		if _, err := c.LookupTXT(context.Background(), "example"); err != nil {
			t.Fatal(err)
		}
	}
	if bad.Total() != 1 || good.Total() != 10 {
		t.Errorf("%d questions to the bad server, %d to the good one", bad.Total(), good.Total())
	}
}

func TestServerIsGone(t *testing.T) {
	noLeak(t)
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.LocalAddr().String()
	_ = l.Close()
	c := client(t, dns.ClientOptions{Servers: []string{addr}, Timeout: time.Minute, Retry: 20 * time.Millisecond})
	start := time.Now()
	_, err = c.LookupTXT(context.Background(), "example")
	if !errors.Is(err, dns.ErrTemporary) || !strings.HasSuffix(err.Error(), "connection refused") {
		t.Errorf("got %v", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestContextOfTheCaller(t *testing.T) {
	noLeak(t)
	s := dnstest.New(t, world, dnstest.Options{Silent: true})
	c := client(t, dns.ClientOptions{}, s)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.LookupTXT(ctx, "example"); err != context.DeadlineExceeded {
		t.Errorf("got %v, want the context's error", err)
	}
	ctx, cancel = context.WithCancel(context.Background())
	cancel()
	if _, err := c.LookupTXT(ctx, "example"); err != context.Canceled {
		t.Errorf("got %v, want the context's error", err)
	}
}

func TestTrustAD(t *testing.T) {
	s := dnstest.New(t, world, dnstest.Options{Secure: true})
	for _, trust := range []bool{false, true} {
		a, err := client(t, dns.ClientOptions{TrustAD: trust}, s).LookupTXT(context.Background(), "example")
		if err != nil || a.Secure != trust {
			t.Errorf("TrustAD %v: Secure %v, %v", trust, a.Secure, err)
		}
	}
}

// A third of all packets lost, and half a second before each answer.
func TestLossAndLatency(t *testing.T) {
	noLeak(t)
	var text strings.Builder
	const names = 200
	for i := range names {
		fmt.Fprintf(&text, "d%d.example. TXT \"v=%d\"\n", i, i)
	}
	s := dnstest.New(t, text.String(), dnstest.Options{Drop: 0.3, Seed: 42, Delay: 500 * time.Millisecond})
	c := dns.NewCache(client(t, dns.ClientOptions{}, s), dns.CacheOptions{})
	defer c.Close()
	m := dns.NewMemo(c, dns.Budget{Queries: 2 * names})
	start := time.Now()
	var wg sync.WaitGroup
	for i := range names {
		wg.Go(func() {
			a, err := m.LookupTXT(context.Background(), fmt.Sprintf("d%d.example", i))
			if err != nil || a.Records[0] != fmt.Sprintf("v=%d", i) {
				t.Errorf("%d: got %v, %v", i, a, err)
			}
		})
		wg.Go(func() {
			if _, err := m.LookupTXT(context.Background(), fmt.Sprintf("n%d.example", i)); !errors.Is(err, dns.ErrNXDomain) {
				t.Errorf("%d: got %v", i, err)
			}
		})
	}
	wg.Wait()
	t.Logf("%d names in %v, %d questions", 2*names, time.Since(start), s.Total())
}

// The administrator learns which server failed.
func TestQuestionNamesTheServer(t *testing.T) {
	s := dnstest.New(t, world, dnstest.Options{})
	m := dns.NewMemo(client(t, dns.ClientOptions{}, s), dns.Budget{})
	_, _ = m.LookupTXT(context.Background(), "broken.example")
	want := "dns: TXT of broken.example: no answer: SERVFAIL (SERVFAIL from " + s.Addr() + ")"
	if q := m.Questions(); len(q) != 1 || q[0].Err != want {
		t.Errorf("got %+v, want %s", q, want)
	}
}

// What is no name is none behind the decorators too, and nobody is asked for it.
func TestNamesThatCannotExist(t *testing.T) {
	s := dnstest.New(t, world, dnstest.Options{})
	c := dns.NewCache(client(t, patient(), s), dns.CacheOptions{})
	defer c.Close()
	m := dns.NewMemo(c, dns.Budget{})
	for _, name := range []string{"", ".", "example..", ".example", "a..example", strings.Repeat("a", 64) + ".example"} {
		for _, r := range []dns.Resolver{c, m} {
			if _, err := r.LookupTXT(context.Background(), name); !errors.Is(err, dns.ErrNXDomain) {
				t.Errorf("%q: got %v", name, err)
			}
		}
	}
	if s.Total() != 0 {
		t.Errorf("%v", s.Counts())
	}
}

func BenchmarkClient(b *testing.B) {
	s := dnstest.New(b, world, dnstest.Options{})
	c := client(b, patient(), s)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.LookupTXT(b.Context(), "example"); err != nil {
			b.Fatal(err)
		}
	}
}

// 10,000 lookups of 100 names put 100 questions, and 10,000 messages no more.
func TestAsManyQueriesAsAPerfectCache(t *testing.T) {
	noLeak(t)
	var text strings.Builder
	for i := range 50 {
		fmt.Fprintf(&text, "d%d.example. TXT \"v=%d\"\n", i, i)
	}
	s := dnstest.New(t, text.String(), dnstest.Options{})
	c := dns.NewCache(client(t, patient(), s), dns.CacheOptions{Timeout: time.Minute})
	defer c.Close()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for i := range 500 {
				r := dns.NewMemo(c, dns.Budget{})
				_, err := r.LookupTXT(context.Background(), fmt.Sprintf("D%d.example.", i%100))
				if want := i%100 >= 50; errors.Is(err, dns.ErrNXDomain) != want {
					t.Errorf("%d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
	if s.Total() != 100 {
		t.Errorf("%d questions", s.Total())
	}
	for q, n := range s.Counts() {
		if n != 1 {
			t.Errorf("%v: %d questions", q, n)
		}
	}
}

func TestConcurrentQuestionsAreBounded(t *testing.T) {
	noLeak(t)
	s := dnstest.New(t, world, dnstest.Options{Delay: 30 * time.Millisecond})
	opt := patient()
	opt.Concurrent = 2
	c := client(t, opt, s)
	start := time.Now()
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if _, err := c.LookupTXT(context.Background(), "example"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(start); took < 150*time.Millisecond {
		t.Errorf("ten questions of 30 ms, two at once, took %v", took)
	}
}

// A seen observer keeps what it hears.
type seen struct {
	mu     sync.Mutex
	events []string
}

func (s *seen) ObserveQuery(typ string, o dns.Outcome, took time.Duration) {
	s.add(typ + " query " + string(o))
}

func (s *seen) ObserveLookup(typ string, src dns.Source) { s.add(typ + " lookup " + string(src)) }

func (s *seen) add(event string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, event)
}

func TestObserver(t *testing.T) {
	s := dnstest.New(t, world, dnstest.Options{})
	o := new(seen)
	cl := client(t, dns.ClientOptions{Observer: o, Timeout: time.Second}, s)
	c := dns.NewCache(cl, dns.CacheOptions{Observer: o})
	defer c.Close()
	for _, name := range []string{"example", "example", "none.example", "a.example", "slow.example", "slow.example"} {
		_, _ = c.LookupTXT(context.Background(), name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_, _ = cl.LookupMX(ctx, "slow.example")
	want := []string{
		"TXT lookup miss", "TXT query answer", "TXT lookup hit", "TXT lookup miss", "TXT query nxdomain",
		"TXT lookup miss", "TXT query nodata", "TXT lookup miss", "TXT query temporary", "TXT lookup hit", "MX query canceled",
	}
	count := func(list []string) map[string]int {
		m := make(map[string]int)
		for _, e := range list {
			m[e]++
		}
		return m
	}
	if got := fmt.Sprint(count(o.events)); got != fmt.Sprint(count(want)) {
		t.Errorf("got %s", got)
	}
}

func TestNewClient(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	s := dnstest.New(t, world, dnstest.Options{})
	for _, tc := range []struct {
		opt  dns.ClientOptions
		want string // part of the error, "" for none
	}{
		{dns.ClientOptions{Servers: []string{"127.0.0.1:5300", "::1", "[::1]", "[::1]:53", "192.0.2.1", "fe80::1%lo"}}, ""},
		{dns.ClientOptions{Servers: []string{"localhost:53"}}, `dns: server "localhost:53" is not an IP address`},
		{dns.ClientOptions{Servers: []string{"127.0.0.1:0"}}, `dns: server "127.0.0.1:0" is not`},
		{dns.ClientOptions{Servers: []string{""}}, `dns: server "" is not`},
		{dns.ClientOptions{Servers: make([]string, 9)}, `dns: 9 servers are more`},
		{dns.ClientOptions{ResolvConf: write("some", "# none\nsearch example\nnameserver 127.0.0.1\nnameserver nonsense\n")}, ""},
		{dns.ClientOptions{ResolvConf: write("empty", "")}, ""},
		{dns.ClientOptions{ResolvConf: filepath.Join(dir, "missing")}, ""},
		{dns.ClientOptions{ResolvConf: dir}, "dns: read " + dir},
	} {
		c, err := dns.NewClient(tc.opt)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%+v: got %v", tc.opt, err)
		}
		if (c == nil) != (err != nil) {
			t.Errorf("%+v: got both or neither", tc.opt)
		}
	}
	// A search list is never used: the name does not exist, whatever the domain of this host.
	host, port, _ := net.SplitHostPort(s.Addr())
	c, err := dns.NewClient(dns.ClientOptions{Servers: []string{net.JoinHostPort(host, port)}, ResolvConf: write("search", "search example\n")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.LookupIP(context.Background(), "ip4", "a"); !errors.Is(err, dns.ErrNXDomain) {
		t.Errorf("got %v", err)
	}
	if s.Total() != 1 {
		t.Errorf("%d questions", s.Total())
	}
}
