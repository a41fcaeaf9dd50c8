package e2e

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"assay/cmd/internal/mtatest"
	"assay/verify/dns/dnstest"
)

// TestLoad: many clients at once, honest and forged mail mixed; every reply is right, every delivered message has the
// result that is its own, and the program is as small afterwards as it was before. It is built with the race detector.
func TestLoad(t *testing.T) {
	l := newLane(t, setup{main: map[string]string{"default_process_limit": "250", "smtpd_client_connection_count_limit": "0"}})
	metrics, err := mtatest.FreePort()
	must(t, err)
	resolver := dnstest.New(t, failureZone, dnstest.Options{})
	address := fmt.Sprintf("127.0.0.1:%d", metrics)
	config := l.config(t, "verify: {dmarc: {enforce: true}}\n", resolver.Addr())
	config = strings.Replace(config, "listen:\n", "listen:\n    metrics: "+address+"\n", 1)
	d, err := mtatest.StartDaemon(program(t, true), config, "")
	must(t, err)
	t.Cleanup(func() { _ = d.Close() })
	for _, m := range l.mtas() {
		const clients, messages = 200, 10
		t.Run(m.Name(), func(t *testing.T) {
			if _, err := attempt(m.Addr(), "warm@rcpt.example"); err != nil { // so that everything has been used once
				t.Fatal(err)
			}
			before := settle(t, d, address, 0)
			began := time.Now()
			var wait sync.WaitGroup
			for i := range clients {
				wait.Go(func() { l.client(t, m, i, messages) })
			}
			wait.Wait()
			took := time.Since(began)
			t.Logf("%d messages of %d clients in %v", clients*messages, clients, took)
			if after := settle(t, d, address, before.goroutines); after.goroutines > before.goroutines+slack || after.files > before.files+slack {
				t.Errorf("before %+v, after %+v", before, after)
			}
		})
	}
	if log := d.Log(); strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic") {
		t.Errorf("the log says\n%.3000s", log)
	}
}

// client sends messages over one connection, every third one forged, and checks what became of each.
func (l *lane) client(t *testing.T, m mtatest.MTA, i, messages int) {
	local := netip.MustParseAddr("127.0.2.25")
	c, err := mtatest.Dial(m.Addr(), local)
	if err != nil {
		t.Errorf("client %d: %v", i, err)
		return
	}
	defer func() { _ = c.Close() }()
	if err := c.Expect(250, "EHLO client.example"); err != nil {
		t.Errorf("client %d: %v", i, err)
		return
	}
	for n := range messages {
		from, code := fmt.Sprintf("a%d-%d@client.example", i, n), 250
		author := from
		if (i+n)%3 == 0 {
			author, code = "service@bank.example", 550
		}
		message := strings.Replace(plain, "a@client.example", author, 1) + strings.Repeat("x\r\n", 100*(n%4))
		reply, err := c.Send(between(from, "b@rcpt.example"), []byte(message))
		if err != nil || reply.Code != code {
			t.Errorf("client %d, message %d: %v, %v instead of %d", i, n, reply, err, code)
			return
		}
		if code != 250 {
			continue
		}
		got, err := l.sink.Wait(t.Context(), reply.QueueID())
		if err != nil {
			t.Errorf("client %d, message %d: %v", i, n, err)
			return
		}
		header, _ := fields(got.Data)
		results := strings.Join(named(header, "Authentication-Results"), "")
		if !strings.Contains(results, "smtp.mailfrom="+from) || !strings.Contains(results, "spf=pass") || !strings.HasSuffix(string(got.Data), message) {
			t.Errorf("client %d, message %d: %s", i, n, results)
		}
	}
}

// slack is what a program may hold more than before: idle connections to the DNS and to the reader of the metrics come
// and go. What is left behind per client would be 200, and per message 2,000.
const slack = 5

// A footprint is what a program holds.
type footprint struct{ goroutines, files int }

// settle returns the footprint of the program once it has come down to a number of goroutines, or when it does not.
// Keep-alive connections of the metrics client are part of it, before and after.
func settle(t *testing.T, d *mtatest.Daemon, metrics string, goroutines int) footprint {
	t.Helper()
	var f footprint
	last := -1
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		text, err := d.Metrics(metrics)
		must(t, err)
		f.goroutines = gauge(t, text, "go_goroutines")
		f.files, err = d.OpenFiles()
		must(t, err)
		if goroutines > 0 && f.goroutines <= goroutines || goroutines == 0 && f.goroutines == last {
			return f
		}
		last = f.goroutines
	}
	return f
}

// gauge returns the value of a metric without labels.
func gauge(t *testing.T, text, name string) int {
	t.Helper()
	match := regexp.MustCompile(`(?m)^` + name + ` ([0-9]+)`).FindStringSubmatch(text)
	if match == nil {
		t.Fatalf("no %s in\n%.500s", name, text)
	}
	n, err := strconv.Atoi(match[1])
	must(t, err)
	return n
}
