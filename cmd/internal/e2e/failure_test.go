package e2e

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"assay/cmd/internal/mtatest"
	"assay/verify/dns/dnstest"
)

// slowDNS is a configuration in which a message is worked on long enough to be interrupted.
const slowDNS = `
resolver: {timeout: 20s, cache_entries: 0}
limits: {dns_time: 25s, time: 50s}
`

// A rig is a lane, a DNS server and the program, which can be killed and started again.
type rig struct {
	*lane
	t       *testing.T
	dns     *dnstest.Server
	program string
	config  string
	log     string
	state   string // rule sets and control socket; they survive the program
	before  string // see mtatest.DaemonOptions
	sockets []*os.File
	daemon  *mtatest.Daemon
}

// newRig starts everything. The configuration is laid over the base one.
func newRig(t *testing.T, program, config string) *rig {
	t.Helper()
	return newRigWith(t, setup{}, program, config)
}

// newRigWith is newRig with MTAs that differ from plain ones.
func newRigWith(t *testing.T, s setup, program, config string) *rig {
	t.Helper()
	r := newStopped(t, s, program, config)
	r.start()
	return r
}

// newStopped is newRigWith without starting the program.
func newStopped(t *testing.T, s setup, program, config string) *rig {
	t.Helper()
	r := &rig{lane: newLane(t, s), t: t, state: stateDir(t), program: program, log: filepath.Join(t.TempDir(), "log")}
	r.before = strings.ReplaceAll(s.before, "{state}", r.state)
	r.dns = dnstest.New(t, failureZone, dnstest.Options{})
	r.config = r.lane.config(t, config, r.dns.Addr())
	t.Cleanup(func() {
		if r.daemon != nil {
			_ = r.daemon.Close()
		}
		if text, err := os.ReadFile(r.log); t.Failed() && err == nil {
			t.Logf("end of the log of assay:\n%s", text[max(0, len(text)-4000):])
		}
	})
	return r
}

// stateDir makes a directory with a short name, because the path of a socket has to fit into 107 octets.
func stateDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "assay-st-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	return dir
}

// failureZone has one honest domain and one that is forged.
const failureZone = `
client.example. TXT "v=spf1 ip4:127.0.2.25 -all"
bank.example. TXT "v=spf1 -all"
_dmarc.bank.example. TXT "v=DMARC1; p=reject"
`

// start starts the program.
func (r *rig) start() {
	r.t.Helper()
	var err error
	r.daemon, err = mtatest.StartDaemonWith(r.program, r.config, mtatest.DaemonOptions{Log: r.log, State: r.state, Before: r.before, Sockets: r.sockets})
	must(r.t, err)
}

// kill kills the program without warning.
func (r *rig) kill() { _ = r.daemon.Close() }

// once checks that an address got its message exactly once, with results.
func (r *rig) once(t *testing.T, to string) {
	t.Helper()
	d, err := r.sink.WaitTo(t.Context(), to)
	must(t, err)
	header, _ := fields(d.Data)
	if n := len(named(header, "Authentication-Results")); n != 1 {
		t.Errorf("%s: %d Authentication-Results", to, n)
	}
	if n := len(r.sink.To(to)); n != 1 {
		t.Errorf("%s: delivered %d times", to, n)
	}
}

// TestNotListening: while Assay is away, mail waits at the sending side.
func TestNotListening(t *testing.T) {
	r := newRig(t, program(t, false), "")
	r.each(t, func(t *testing.T, m mtatest.MTA) {
		to := "away-" + m.Name() + "@rcpt.example"
		r.kill()
		reply, err := connect(t, m, "127.0.2.25").Send(between("a@client.example", to), []byte(plain))
		if err != nil || reply.Code != 451 {
			t.Fatalf("%v, %v", reply, err)
		}
		r.start()
		send(t, connect(t, m, "127.0.2.25"), between("a@client.example", to), plain, 250)
		r.once(t, to)
	})
}

// TestKilledDuringAnalysis: the sender gets 4yz, also for the next message of the session, and the second try is
// delivered exactly once.
func TestKilledDuringAnalysis(t *testing.T) {
	r := newRig(t, program(t, false), slowDNS)
	r.each(t, func(t *testing.T, m mtatest.MTA) {
		to := "killed-" + m.Name() + "@rcpt.example"
		r.dns.Set(dnstest.Options{Silent: true})
		c := connect(t, m, "127.0.2.25")
		asked := r.dns.Total()
		done := make(chan mtatest.Reply, 1)
		go func() {
			reply, err := c.Send(between("a@client.example", to), []byte(plain))
			if err != nil {
				t.Errorf("send: %v", err)
			}
			done <- reply
		}()
		for deadline := time.Now().Add(time.Minute); r.dns.Total() == asked; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the program does not ask the DNS")
			}
		}
		time.Sleep(200 * time.Millisecond) // and by then the end of the message has been reached
		r.kill()
		if reply := <-done; reply.Code != 451 {
			t.Errorf("the reply is %s", reply)
		}
		r.dns.Set(dnstest.Options{})
		r.start()
		if reply, err := c.Send(between("a@client.example", "next-"+to), []byte(plain)); err == nil && reply.Code/100 != 4 {
			header, _ := fields(r.delivered(t, reply))
			if len(named(header, "Authentication-Results")) != 1 {
				t.Errorf("the next message of the session was delivered unfiltered: %s", reply)
			}
		}
		send(t, connect(t, m, "127.0.2.25"), between("a@client.example", to), plain, 250)
		r.once(t, to)
	})
}

// TestKilledBetweenEdits: a proxy kills the program when the first of several edits has gone to the MTA.
func TestKilledBetweenEdits(t *testing.T) {
	program := program(t, false)
	l := newLane(t, setup{})
	resolver := dnstest.New(t, failureZone, dnstest.Options{})
	behind := fmt.Sprintf("listen: {milter: [%q]}\n", "unix:"+filepath.Join(l.dir, "behind.sock"))
	config := l.config(t, "", resolver.Addr())
	config = config[:strings.Index(config, "listen:")] + behind + after(config, "socket_mode:")
	proxy := newProxy(t, l, filepath.Join(l.dir, "behind.sock"))
	l.each(t, func(t *testing.T, m mtatest.MTA) {
		to := "edits-" + m.Name() + "@rcpt.example"
		forged := withFields("Authentication-Results: mx.rcpt.example; spf=pass", "Authentication-Results: mx.rcpt.example; dkim=pass")
		d, err := mtatest.StartDaemon(program, config, "")
		must(t, err)
		proxy.killAfterEdit(func() { _ = d.Close() })
		reply, err := connect(t, m, "127.0.2.25").Send(between("a@client.example", to), []byte(forged))
		if err != nil || reply.Code != 451 {
			t.Errorf("%v, %v", reply, err)
		}
		if proxy.armed() {
			t.Error("the program was not killed")
		}
		d, err = mtatest.StartDaemon(program, config, "")
		must(t, err)
		t.Cleanup(func() { _ = d.Close() })
		reply = send(t, connect(t, m, "127.0.2.25"), between("a@client.example", to), forged, 250)
		header, _ := fields(l.delivered(t, reply))
		if n := len(named(header, "Authentication-Results")); n != 1 {
			t.Errorf("%d Authentication-Results after the second try: %q", n, header)
		}
		if n := len(l.sink.To(to)); n != 1 {
			t.Errorf("delivered %d times", n)
		}
	})
}

// after returns what follows the line that holds a key.
func after(text, key string) string {
	_, rest, _ := strings.Cut(text, key)
	_, rest, _ = strings.Cut(rest, "\n")
	return rest
}

// A proxy passes milter packets on, and can strike when the first modification has passed.
type proxy struct {
	strike atomic.Pointer[func()]
}

// newProxy listens where the MTAs of a lane look for their milter.
func newProxy(t *testing.T, l *lane, behind string) *proxy {
	t.Helper()
	p := &proxy{}
	var sessions sync.WaitGroup
	for network, address := range map[string]string{"unix": l.socket(), "tcp": fmt.Sprintf("127.0.0.1:%d", l.port)} {
		ln, err := net.Listen(network, address)
		must(t, err)
		if network == "unix" {
			must(t, os.Chmod(address, 0o666))
		}
		t.Cleanup(func() { _ = ln.Close() })
		sessions.Go(func() {
			for {
				mta, err := ln.Accept()
				if err != nil {
					return
				}
				go p.session(mta, behind)
			}
		})
	}
	return p
}

// killAfterEdit arms the proxy.
func (p *proxy) killAfterEdit(kill func()) { p.strike.Store(&kill) }

// armed reports whether the proxy has not struck yet.
func (p *proxy) armed() bool { return p.strike.Load() != nil }

// session passes on what one MTA and the filter say.
func (p *proxy) session(mta net.Conn, behind string) {
	defer func() { _ = mta.Close() }()
	filter, err := net.Dial("unix", behind)
	if err != nil {
		return
	}
	defer func() { _ = filter.Close() }()
	go func() {
		_, _ = io.Copy(filter, mta)
		_ = filter.Close()
	}()
	from := bufio.NewReader(filter)
	for {
		packet, err := readPacket(from)
		if err != nil {
			return
		}
		if _, err := mta.Write(packet); err != nil {
			return
		}
		if strings.IndexByte("himb", packet[4]) >= 0 { // insert, add, change, replace body
			if kill := p.strike.Swap(nil); kill != nil {
				(*kill)()
				return
			}
		}
	}
}

// readPacket reads one packet of the milter protocol with its length.
func readPacket(r io.Reader) ([]byte, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head)
	if n == 0 || n > 1<<20 {
		return nil, errors.New("bad length")
	}
	packet := append(head, make([]byte, n)...)
	_, err := io.ReadFull(r, packet[4:])
	return packet, err
}

// TestReloadLosesNothing: while the configuration is read again and again, no client notices.
func TestReloadLosesNothing(t *testing.T) {
	r := newRig(t, program(t, false), "")
	r.each(t, func(t *testing.T, m mtatest.MTA) {
		stop := r.traffic(t, m, 8, "reload", false)
		for range 15 {
			must(t, r.daemon.Signal(syscall.SIGHUP))
			time.Sleep(100 * time.Millisecond)
		}
		must(t, r.daemon.Configure("format: 1\nnonsense: yes\n")) // a wrong one changes nothing
		must(t, r.daemon.Signal(syscall.SIGHUP))
		time.Sleep(300 * time.Millisecond)
		must(t, r.daemon.Configure(r.config))
		for _, to := range stop() {
			r.once(t, to)
		}
	})
}

// TestRestartLosesNothing: messages in work are finished when the program is told to stop, clients that come meanwhile
// are asked to come back, and each message is delivered exactly once.
func TestRestartLosesNothing(t *testing.T) {
	r := newRig(t, program(t, false), "")
	r.each(t, func(t *testing.T, m mtatest.MTA) {
		r.dns.Set(dnstest.Options{Delay: 50 * time.Millisecond})
		stop := r.traffic(t, m, 8, "restart", true)
		for range 4 {
			time.Sleep(300 * time.Millisecond)
			must(t, r.daemon.Signal(syscall.SIGTERM))
			must(t, r.daemon.Await())
			_ = r.daemon.Close()
			r.start()
		}
		for _, to := range stop() {
			r.once(t, to)
		}
		if !strings.Contains(r.daemon.Log(), "assay has stopped") {
			t.Error("the program did not stop in order")
		}
	})
}

// traffic sends messages from n clients until stop is called, which returns their recipients. A client tries again
// after 4yz if it may; any other refusal, and any 4yz where there should be none, fails the test.
func (r *rig) traffic(t *testing.T, m mtatest.MTA, n int, name string, retry bool) (stop func() []string) {
	t.Helper()
	var (
		ended  atomic.Bool
		wait   sync.WaitGroup
		mu     sync.Mutex
		all    []string
		repeat int
	)
	for i := range n {
		wait.Go(func() {
			for k := 0; !ended.Load(); k++ {
				to := fmt.Sprintf("%s-%s-%d-%d@rcpt.example", name, m.Name(), i, k)
				tries, err := deliver(m.Addr(), to, retry)
				if err != nil {
					t.Errorf("%s: %v", to, err)
					return
				}
				mu.Lock()
				all, repeat = append(all, to), repeat+tries-1
				mu.Unlock()
			}
		})
	}
	return func() []string {
		ended.Store(true)
		wait.Wait()
		t.Logf("%d messages, %d tries more than that", len(all), repeat)
		if len(all) < n {
			t.Errorf("only %d messages went through", len(all))
		}
		return all
	}
}

// deliver sends one message over a connection of its own until it is accepted, and returns the number of tries.
func deliver(addr, to string, retry bool) (int, error) {
	for try := 1; ; try++ {
		reply, err := attempt(addr, to)
		switch {
		case err == nil && reply.Code == 250:
			return try, nil
		case err != nil:
			return try, err
		case reply.Code/100 != 4 || !retry:
			return try, fmt.Errorf("try %d: %s", try, reply)
		case try > 200:
			return try, fmt.Errorf("not accepted in %d tries: %s", try, reply)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// attempt sends one message.
func attempt(addr, to string) (mtatest.Reply, error) {
	c, err := mtatest.Dial(addr, netip.MustParseAddr("127.0.2.25"))
	if err != nil {
		return mtatest.Reply{}, err
	}
	defer func() { _ = c.Close() }()
	if err := c.Expect(250, "EHLO client.example"); err != nil {
		return mtatest.Reply{}, err
	}
	return c.Send(between("a@client.example", to), []byte(plain))
}

// TestResolverNeverHoldsUpMail: whatever the resolver does, the reply comes within the budget and says temperror.
func TestResolverNeverHoldsUpMail(t *testing.T) {
	r := newRig(t, program(t, false), "resolver: {cache_entries: 0}\nlimits: {dns_time: 3s, time: 10s}\n")
	for name, fault := range map[string]dnstest.Options{
		"silent":    {Silent: true},
		"slow":      {Delay: 30 * time.Second},
		"servfail":  {Rcode: 2},
		"refused":   {Rcode: 5},
		"garbage":   {Garbage: true},
		"wrong id":  {WrongID: true},
		"truncated": {Truncate: true, NoTCP: true},
	} {
		t.Run(name, func(t *testing.T) {
			r.each(t, func(t *testing.T, m mtatest.MTA) {
				r.dns.Set(fault)
				began := time.Now()
				reply := send(t, connect(t, m, "127.0.2.25"), between("a@client.example", "b@rcpt.example"), plain, 250)
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("the reply took %v", took)
				}
				header, _ := fields(r.delivered(t, reply))
				results := strings.Join(named(header, "Authentication-Results"), "")
				if !strings.Contains(results, "spf=temperror") || !strings.Contains(results, "dmarc=temperror") {
					t.Errorf("%s", results)
				}
			})
		})
	}
}

// TestHostileNumberOfForgedResults: deleting them one by one takes Postfix quadratic time, so there is a limit.
func TestHostileNumberOfForgedResults(t *testing.T) {
	r := newRig(t, program(t, false), "")
	r.each(t, func(t *testing.T, m mtatest.MTA) {
		for n, code := range map[int]int{100: 250, 101: 550, 900: 550} {
			forged := withFields(strings.Split(strings.TrimSuffix(strings.Repeat("Authentication-Results: x; spf=pass\n", n), "\n"), "\n")...)
			began := time.Now()
			reply := send(t, connect(t, m, "127.0.2.25"), between("a@client.example", "b@rcpt.example"), forged, code)
			if took := time.Since(began); took > budget {
				t.Errorf("%d fields took %v", n, took)
			}
			if code == 250 {
				header, _ := fields(r.delivered(t, reply))
				if left := len(named(header, "Authentication-Results")); left != 1 {
					t.Errorf("%d of %d are left", left, n)
				}
			}
		}
	})
}
