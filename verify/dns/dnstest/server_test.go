package dnstest_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"assay/verify/dns"
	"assay/verify/dns/dnstest"
	"assay/verify/dns/zone"
)

func Example() {
	z, err := zone.Parse(strings.NewReader(`example. TXT "v=spf1 -all"`), "demo.zone")
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := dnstest.Start(z, dnstest.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	c, err := dns.NewClient(dns.ClientOptions{Servers: []string{s.Addr()}})
	if err != nil {
		fmt.Println(err)
		return
	}
	a, err := c.LookupTXT(context.Background(), "example")
	fmt.Println(a.Records, err, s.Count("example", "TXT"))
	// Output: [v=spf1 -all] <nil> 1
}

func TestCountsAndChanges(t *testing.T) {
	s := dnstest.New(t, "a.example. TXT \"one\"\n", dnstest.Options{})
	c, err := dns.NewClient(dns.ClientOptions{Servers: []string{s.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(name, want string) {
		t.Helper()
		if a, err := c.LookupTXT(t.Context(), name); strings.Join(a.Records, " ") != want {
			t.Errorf("%s: got %v, %v", name, a, err)
		}
	}
	ask("a.example", "one")
	ask("A.example.", "one")
	ask("b.example", "")
	if s.Count("A.Example.", "TXT") != 2 || s.Count("b.example", "TXT") != 1 || s.Count("a.example", "A") != 0 || s.Total() != 3 {
		t.Errorf("got %v", s.Counts())
	}
	s.Reset()
	if s.Total() != 0 || len(s.Counts()) != 0 {
		t.Errorf("after Reset: %v", s.Counts())
	}
	z, err := zone.Parse(strings.NewReader("a.example. TXT \"two\"\n"), "second")
	if err != nil {
		t.Fatal(err)
	}
	s.SetZone(z)
	ask("a.example", "two")
}

// The same seed loses the same number of packets, whatever the machine is busy with.
func TestDropIsDeterministic(t *testing.T) {
	const questions = 64
	answered := func(seed uint64) int {
		s := dnstest.New(t, "", dnstest.Options{Drop: 0.5, Seed: seed})
		conn, err := net.Dial("udp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for i := range questions {
			packet, err := new(mdns.Msg).SetQuestion(fmt.Sprintf("n%d.example.", i), mdns.TypeTXT).Pack()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write(packet); err != nil {
				t.Fatal(err)
			}
		}
		for s.Total() < questions {
			runtime.Gosched()
		}
		_ = s.Close() // all answers are in the socket's buffer
		n := 0
		for buf := make([]byte, 512); ; n++ {
			_ = conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			if _, err := conn.Read(buf); err != nil {
				return n
			}
		}
	}
	a, b := answered(7), answered(7)
	if a != b || a < questions/4 || a > questions*3/4 {
		t.Errorf("%d and %d of %d questions were answered", a, b, questions)
	}
}

// A tb stands for a test that fails.
type tb struct{ failed string }

func (t *tb) Helper()        {}
func (t *tb) Cleanup(func()) {}
func (t *tb) Fatalf(format string, args ...any) {
	t.failed = fmt.Sprintf(format, args...)
	panic(t)
}

func TestNewReportsErrors(t *testing.T) {
	fake := new(tb)
	func() {
		defer func() { _ = recover() }()
		dnstest.New(fake, "a.example. A x\n", dnstest.Options{})
	}()
	if !strings.HasPrefix(fake.failed, "zone:1:") {
		t.Errorf("got %q", fake.failed)
	}
	if _, err := dnstest.Listen(nil, "127.0.0.1:port", dnstest.Options{}); err == nil {
		t.Error("no error for a bad address")
	}
}

func TestCloseTwice(t *testing.T) {
	s := dnstest.New(t, "", dnstest.Options{})
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
}
