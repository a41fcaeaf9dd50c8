package milter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"assay/milter/plan"
	"assay/verify/message"
)

// resources returns how many goroutines and file descriptors the process has.
func resources(t *testing.T) (goroutines, files int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("file descriptors cannot be counted on this system")
	}
	return runtime.NumGoroutine(), len(entries)
}

// settles waits until cond holds.
func settles(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not come true", what)
		}
	}
}

func TestManyClients(t *testing.T) {
	clients, each := 200, 10
	goroutines, files := resources(t)
	dir := t.TempDir()
	var handled atomic.Int64
	desk := newDesk()
	desk.plan = func(_ context.Context, m *message.Message, _ plan.Capabilities) plan.Plan {
		handled.Add(1)
		if strings.HasPrefix(m.Envelope.MailFrom, "bad") {
			return plan.Refusal(550, "5.7.1", m.Envelope.MailFrom)
		}
		p, err := plan.Build([]plan.Op{{Kind: plan.InsertHeader, Name: "X", Value: m.Envelope.MailFrom}}, plan.Capabilities{AddHeaders: true})
		if err != nil {
			t.Error(err)
		}
		return p
	}
	events := new(tally)
	s := NewServer(desk, Options{Observer: events, Message: message.Limits{Memory: 1000, TempDir: dir}})
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	unix, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- s.Serve(ctx, tcp, unix) }()

	var wait sync.WaitGroup
	for i := range clients {
		ln := []net.Listener{tcp, unix}[i%2]
		wait.Go(func() {
			m := dial(t, ln.Addr().Network(), ln.Addr().String()).open()
			for j := range each {
				converse(t, m, i, j)
			}
			m.write(raw('Q', ""))
			m.wantClosed()
			m.conn.Close()
		})
	}
	wait.Wait()
	cancel()
	if err := <-served; err != nil {
		t.Errorf("Serve = %v", err)
	}
	if n := handled.Load(); n != int64(clients*each) {
		t.Errorf("%d messages were handled", n)
	}
	for range clients * each {
		if m := <-desk.done; m.ended != nil {
			t.Errorf("a message ended with %v", m.ended)
		}
	}
	for _, e := range []Event{EventConnection, EventAnalysis, EventWaiting, EventPanic, EventProtocolError, EventAborted} {
		if n := events.of(e); n != 0 {
			t.Errorf("%s = %d", e, n)
		}
	}
	settles(t, "the baseline of goroutines and files", func() bool {
		g, f := resources(t)
		return g <= goroutines && f <= files
	})
}

// converse sends one message that says who it is, and checks that the answer is the one to it.
func converse(t *testing.T, m *wireMTA, i, j int) {
	from := fmt.Sprintf("good-%d-%d@example.org", i, j)
	if (i+j)%3 == 0 {
		from = "bad-" + from
	}
	m.envelope(from, "b@example.net")
	m.content(strings.Repeat("a line\r\n", i*j), "From: "+from)
	got := m.end()
	if strings.HasPrefix(from, "bad-") {
		if len(got) != 1 || got[0].data != "550 5.7.1 "+from+"\x00" {
			t.Errorf("answer to %s = %v", from, got)
		}
	} else if len(got) != 2 || got[0].data != "\x00\x00\x00\x00X\x00 "+from+"\x00" {
		t.Errorf("answer to %s = %v", from, got)
	}
}

// Traps: go-milter's Close drains nothing and races with Serve. Here running messages finish, new ones are deferred, and then
// connections close.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		desk := slow(5 * time.Second)
		s := NewServer(desk, Options{})
		attach := func() *wireMTA {
			server, client := net.Pipe()
			s.connections <- struct{}{}
			s.serve(server)
			return newWireMTA(t, client).open()
		}
		idle, handling, arriving, enveloped, late := attach(), attach(), attach(), attach(), attach()
		handling.envelope("a@example.org", "b@example.net")
		handling.content("x\r\n", "A: 1")
		handling.send('E')
		arriving.envelope("b@example.org", "b@example.net")
		arriving.ask('L', "A", " 1")
		enveloped.envelope("c@example.org", "b@example.net")
		synctest.Wait()

		stopped := make(chan error)
		go func() { stopped <- s.Shutdown(t.Context()) }()
		synctest.Wait()
		late.send('M', "<late@example.org>")
		late.want('y', replyDraining+"\x00")
		enveloped.send('R', "<c@example.net>")
		enveloped.want('y', replyDraining+"\x00")
		enveloped.send('L', "A", " 1")
		enveloped.want('y', replyDraining+"\x00")
		arriving.content("x\r\n")
		if got := arriving.end(); len(got) != 2 || got[1].code != 'c' {
			t.Errorf("the arriving message was answered %v", got)
		}
		if got := handling.final(); len(got) != 2 || got[1].code != 'c' {
			t.Errorf("the running message was answered %v", got)
		}
		if err := <-stopped; err != nil {
			t.Errorf("Shutdown = %v", err)
		}
		for _, m := range []*wireMTA{idle, handling, arriving, enveloped, late} {
			m.wantClosed()
		}
		if len(desk.done) != 3 { // the refused one too
			t.Errorf("the handler heard of %d messages", len(desk.done))
		}
	})
}

// After an early refusal neither MTA says anything about the message for as long as its client stays. A server that drains
// does not wait for that.
func TestDrainAfterEarlyRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		desk := newDesk()
		s, m := attach(t, desk, Options{Message: message.Limits{BodyOctets: 10}})
		m.open()
		m.envelope("a@example.org", "b@example.net")
		m.content("", "A: 1")
		m.write(raw('B', strings.Repeat("x", 100)))
		m.want('y', replyBodyTempFail+"\x00")
		start := time.Now()
		if err := s.Shutdown(t.Context()); err != nil || time.Since(start) > 0 {
			t.Errorf("Shutdown = %v after %v", err, time.Since(start))
		}
		m.wantClosed()
		var refused *RefusedError
		if got := desk.got(t); !errors.As(got.ended, &refused) || refused.Reply != replyBodyTempFail {
			t.Errorf("ended with %v", got.ended)
		}
	})
}

// A drain that runs out of time answers what is still running.
func TestDrainByForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		desk := slow(50 * time.Second)
		s, m := attach(t, desk, Options{})
		m.open().envelope("a@example.org", "b@example.net")
		m.content("x\r\n", "A: 1")
		m.send('E')
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		stopped := make(chan error)
		start := time.Now()
		go func() { stopped <- s.Shutdown(ctx) }()
		if got := m.final(); len(got) != 1 || got[0].data != replyDraining+"\x00" {
			t.Errorf("answer = %v", got)
		}
		if err := <-stopped; !errors.Is(err, ErrForced) {
			t.Errorf("Shutdown = %v", err)
		}
		if d := time.Since(start); d != 10*time.Second {
			t.Errorf("Shutdown took %v", d)
		}
		if got := desk.got2(t); !errors.Is(got.ended, ErrDraining) {
			t.Errorf("ended with %v", got.ended)
		}
	})
}

func TestDrainWithAMessageThatStopsArriving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		desk := newDesk()
		s, m := attach(t, desk, Options{})
		m.open().envelope("a@example.org", "b@example.net")
		m.content("x\r\n", "A: 1")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); !errors.Is(err, ErrForced) {
			t.Errorf("Shutdown = %v", err)
		}
		m.wantClosed()
		if got := desk.got2(t); !errors.Is(got.ended, ErrAborted) {
			t.Errorf("ended with %v", got.ended)
		}
	})
}

func TestDrainWithAHandlerThatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		desk := newDesk()
		desk.plan = func(context.Context, *message.Message, plan.Capabilities) plan.Plan {
			time.Sleep(time.Hour)
			return plan.Plan{}
		}
		s, m := attach(t, desk, Options{})
		m.open().envelope("a@example.org", "b@example.net")
		m.content("x\r\n", "A: 1")
		m.send('E')
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		go m.final()
		if err := s.Shutdown(ctx); !errors.Is(err, ErrForced) || time.Since(start) > 20*time.Second {
			t.Errorf("Shutdown = %v after %v", err, time.Since(start))
		}
		desk.got2(t)
	})
}

func TestServeEndsWithItsContext(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(newDesk(), Options{})
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- s.Serve(ctx, ln) }()
	m := dial(t, "tcp", ln.Addr().String()).open()
	cancel()
	if err := <-served; err != nil {
		t.Errorf("Serve = %v", err)
	}
	m.wantClosed()
	if conn, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		conn.Close()
		t.Error("the listener is still open")
	}
	if err := s.Serve(t.Context()); err == nil {
		t.Error("Serve without listeners has no error")
	}
}

func TestServeEndsWithShutdown(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(newDesk(), Options{})
	served := make(chan error)
	go func() { served <- s.Serve(t.Context(), ln) }()
	dial(t, "tcp", ln.Addr().String()).open()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown = %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve = %v", err)
	}
}

// A failing listener, whose Accept fails a number of times.
type failing struct {
	net.Listener
	left atomic.Int64
}

func (f *failing) Accept() (net.Conn, error) {
	if f.left.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return f.Listener.Accept()
}

// Trap: go-milter's Serve returns at the first failed accept, and the filter is deaf.
func TestAcceptErrors(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &failing{Listener: ln}
	f.left.Store(4)
	var logged syncBuffer
	s := NewServer(newDesk(), Options{MaxConnections: 1, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- s.Serve(ctx, f) }()
	dial(t, "tcp", ln.Addr().String()).open().deliver("a@example.org")
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if n := strings.Count(logged.String(), "accept failed"); n != 4 {
		t.Errorf("logged %d times:\n%s", n, logged.String())
	}
}

// A dead listener fails at once whenever it is asked, until it is closed.
type dead struct {
	closed chan struct{}
	failed []time.Time
}

func (d *dead) Accept() (net.Conn, error) {
	select {
	case <-d.closed:
		return nil, net.ErrClosed
	default:
		d.failed = append(d.failed, time.Now())
		return nil, syscall.EMFILE
	}
}
func (d *dead) Close() error { close(d.closed); return nil }
func (*dead) Addr() net.Addr { return &net.TCPAddr{} }

func TestAcceptBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := &dead{closed: make(chan struct{})}
		s := NewServer(newDesk(), Options{})
		ctx, cancel := context.WithTimeout(t.Context(), 10500*time.Millisecond)
		defer cancel()
		if err := s.Serve(ctx, ln); err != nil {
			t.Error(err)
		}
		var waits []time.Duration
		for i := range ln.failed[1:] {
			waits = append(waits, ln.failed[i+1].Sub(ln.failed[i]))
		}
		want := []time.Duration{5, 10, 20, 40, 80, 160, 320, 640}
		for i, w := range waits {
			if i < len(want) && w != want[i]*time.Millisecond || i >= len(want) && w != time.Second {
				t.Errorf("wait %d is %v", i, w)
			}
		}
		if len(waits) != 17 {
			t.Errorf("%d waits: %v", len(waits), waits)
		}
	})
}

// Connections beyond the cap wait in the backlog, and none is lost.
func TestConnectionCap(t *testing.T) {
	events := new(tally)
	_, address := start(t, newDesk(), Options{MaxConnections: 3, Observer: events})
	var wait sync.WaitGroup
	var most atomic.Int64
	for range 30 {
		wait.Go(func() {
			m := dial(t, "tcp", address).open()
			if n := int64(events.of(EventConnection)); n > most.Load() {
				most.Store(n)
			}
			m.deliver("a@example.org")
			m.conn.Close()
		})
	}
	wait.Wait()
	if most.Load() > 3 {
		t.Errorf("%d connections at the same time", most.Load())
	}
}

// A syncBuffer is a bytes.Buffer for several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// Health probes connect and close; nobody wants to read about them.
func TestHealthProbesAreSilent(t *testing.T) {
	var logged syncBuffer
	events := new(tally)
	_, address := start(t, newDesk(), Options{Observer: events, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	for i := range 10 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			conn.(*net.TCPConn).SetLinger(0) // closes with a reset
		}
		conn.Close()
	}
	m := dial(t, "tcp", address).open() // accepted after them
	m.write(raw('Q', ""))
	m.wantClosed()
	settles(t, "the end of all connections", func() bool { return events.of(EventConnection) == 0 })
	if logged.String() != "" || events.of(EventProtocolError) != 0 {
		t.Errorf("logged: %s", logged.String())
	}
}

func TestLostMessagesAreLoggedWithTheirQueueID(t *testing.T) {
	var logged syncBuffer
	desk := newDesk()
	m := connectTo(t, desk, Options{Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	m.macros('M', "i", "4ABC\nforged=line")
	m.envelope("a@example.org", "b@example.net")
	m.content("x\r\n", "A: 1")
	m.conn.Close()
	desk.got(t)
	settles(t, "the log line", func() bool { return logged.String() != "" })
	if got := logged.String(); !strings.Contains(got, `queue_id="4ABC\nforged=line"`) || strings.Count(got, "\n") != 1 {
		t.Errorf("logged %q", got)
	}
}

func TestWithoutLeadingSpaceIsLoggedOnce(t *testing.T) {
	var logged syncBuffer
	_, address := start(t, newDesk(), Options{Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	for range 3 {
		dial(t, "tcp", address).offer(2, 0x3f, 0x7f)
	}
	if n := strings.Count(logged.String(), "SMFIP_HDR_LEADSPC"); n != 1 {
		t.Errorf("logged %d times: %s", n, logged.String())
	}
}

// Nothing is logged through the standard log package in an ordinary life, and what is goes where it belongs.
func TestLogWriter(t *testing.T) {
	var logged syncBuffer
	l := slog.New(slog.NewTextHandler(&logged, nil))
	standard := log.New(LogWriter(l), "", 0)
	for _, noise := range []string{"Error reading milter command: EOF", "Error performing milter command: x", "Error writing packet: x",
		"Unrecognized command code: x"} {
		standard.Print(noise)
	}
	if logged.String() != "" {
		t.Errorf("logged %s", logged.String())
	}
	standard.Printf("panic handling command: %v\n%s", "x", "stack")
	standard.Print("something else")
	got := logged.String()
	if !strings.Contains(got, "level=ERROR") || !strings.Contains(got, `level=WARN`) || strings.Count(got, "\n") != 2 {
		t.Errorf("logged %s", got)
	}
}

// The whole life of a connection says nothing through go-milter's own log.
func TestGoMilterLogsNothing(t *testing.T) {
	var logged syncBuffer
	log.SetOutput(&logged)
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	s, m := attach(t, newDesk(), Options{})
	m.open().deliver("a@example.org")
	m.send('x')
	ended(m)
	_, lost := attach(t, newDesk(), Options{})
	lost.open().write("\x00\x00")
	lost.conn.Close()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if logged.String() != "" {
		t.Errorf("logged %s", logged.String())
	}
}

func TestZeroOptions(t *testing.T) {
	o := Options{}.withDefaults()
	if o.MaxConnections != 1000 || o.MaxAnalyses < 16 || o.MaxPacket != 256<<10 || o.IdleTimeout != 7210*time.Second ||
		o.Budget != time.Minute || o.DrainTimeout != 70*time.Second || o.OnBodyLimit != LimitTempFail {
		t.Errorf("%+v", o)
	}
	if o = (Options{MaxPacket: 100, IdleTimeout: time.Second}).withDefaults(); o.MaxPacket != 256<<10 || o.IdleTimeout != 7210*time.Second {
		t.Errorf("values that refuse good mail were accepted: %+v", o)
	}
}
