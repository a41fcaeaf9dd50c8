package milter

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"assay/milter/plan"
	"assay/verify/message"
)

// A countingConn counts writes.
type countingConn struct {
	net.Conn
	writes atomic.Int64
}

func (c *countingConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// pipe returns the two ends of a connection in memory that buffers what is written to its second end, as a socket does.
func pipe(t testing.TB) (server, client net.Conn) {
	t.Helper()
	server, client = net.Pipe()
	t.Cleanup(func() { server.Close(); client.Close() })
	return server, client
}

// attach serves one connection in memory and returns the MTA's end.
func attach(t testing.TB, h Handler, o Options) (*Server, *wireMTA) {
	t.Helper()
	server, client := pipe(t)
	s := NewServer(h, o)
	s.connections <- struct{}{}
	s.serve(server)
	return s, newWireMTA(t, client)
}

// Traps: go-milter announces version 2 and all its flags whatever the MTA offers. Sendmail then gives up on the filter.
func TestNegotiation(t *testing.T) {
	tests := []struct {
		name                       string
		version, actions, protocol uint32
		want                       negotiation
	}{
		{"Postfix 3.7", 6, 0x1ff, 0x1fffff, negotiation{6, 0x13f, 0x100300}},
		{"Sendmail 8.17", 6, 0x1ff, 0x1fffff, negotiation{6, 0x13f, 0x100300}},
		{"newer than ours", 9, 0xffffffff, 0xffffffff, negotiation{6, 0x13f, 0x100300}},
		{"version 2", 2, 0x3f, 0x7f, negotiation{2, 0x3f, 0}},
		{"one action", 2, 0x01, 0x7f, negotiation{2, 0x01, 0}},
		{"nothing", 6, 0, 0, negotiation{6, 0, 0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, m := attach(t, newDesk(), Options{})
			got, symbols := m.offer(tt.version, tt.actions, tt.protocol)
			if got != tt.want {
				t.Errorf("negotiated %+v, want %+v", got, tt.want)
			}
			const noReply = 1<<7 | 0xff<<12
			if got.protocol&noReply != 0 {
				t.Errorf("protocol %#x has SMFIP_NR flags: Postfix would deliver unfiltered", got.protocol)
			}
			if (symbols != "") != (tt.actions&0x100 != 0) {
				t.Errorf("macro list = %q", symbols)
			}
		})
	}
}

// Every stage is listed, end of header and end of message both: Sendmail chooses the second by the first.
func TestMacroList(t *testing.T) {
	_, m := attach(t, newDesk(), Options{})
	_, symbols := m.offer(6, postfixActions, postfixProtocol)
	got := map[uint32]string{}
	for symbols != "" {
		stage := binary.BigEndian.Uint32([]byte(symbols))
		got[stage], symbols, _ = strings.Cut(symbols[4:], "\x00")
	}
	if len(got) != 7 {
		t.Errorf("%d stages: %v", len(got), got)
	}
	for stage, want := range map[uint32]string{0: "j _ {daemon_name}", 1: "{tls_version}", 2: "{auth_authen}", 3: "i {rcpt_addr}", 4: "i", 5: "i", 6: "i"} {
		if !strings.Contains(got[stage], want) {
			t.Errorf("stage %d = %q, want %q in it", stage, got[stage], want)
		}
	}
}

func TestNotTheMilterProtocol(t *testing.T) {
	for name, octets := range map[string]string{
		"HTTP":               "GET / HTTP/1.1\r\n\r\n",
		"TLS":                "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"no negotiation":     raw('C', "h\x00U"),
		"short offer":        raw('O', "\x00\x00\x00\x06"),
		"version 1":          raw('O', "\x00\x00\x00\x01\x00\x00\x01\xff\x00\x1f\xff\xff"),
		"length 0":           "\x00\x00\x00\x00",
		"length 2^32-1":      "\xff\xff\xff\xff",
		"one octet too long": "\x00\x04\x00\x01",
	} {
		t.Run(name, func(t *testing.T) {
			events := new(tally)
			_, address := start(t, newDesk(), Options{Observer: events})
			m := dial(t, "tcp", address)
			m.write(octets)
			m.wantClosed()
			settles(t, "one protocol error", func() bool { return events.of(EventProtocolError) == 1 })
		})
	}
	t.Run("unknown command", func(t *testing.T) {
		m := connectTo(t, newDesk(), Options{})
		m.send('x')
		m.wantClosed()
	})
}

// Packets do not care for reads: any number of them may come at once, and any part of one.
func TestPipelinedAndHalfPackets(t *testing.T) {
	message := raw('M', "<a@example.org>\x00") + raw('R', "<b@example.net>\x00") + raw('L', "From\x00 a@example.org\x00") + raw('N', "") +
		raw('B', "x\r\n") + raw('E', "")
	offer := raw('O', "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff")
	all := offer + raw('C', "h\x004\x12\x34192.0.2.1\x00") + raw('H', "helo\x00") + message + raw('A', "") + message + raw('Q', "")
	for name, size := range map[string]int{"at once": len(all), "octet by octet": 1, "in sevens": 7, "three pieces": len(all)/3 + 1} {
		t.Run(name, func(t *testing.T) {
			desk := newDesk()
			_, address := start(t, desk, Options{})
			m := dial(t, "tcp", address)
			go func() {
				for rest := all; rest != ""; {
					n := min(size, len(rest))
					io.WriteString(m.conn, rest[:n])
					rest = rest[n:]
				}
			}()
			var codes []byte
			for {
				p, err := m.next()
				if err != nil {
					break
				}
				codes = append(codes, p.code)
			}
			if want := "O" + strings.Repeat("c", 2+6+6); string(codes) != want {
				t.Errorf("answers = %q, want %q", codes, want)
			}
			for range 2 {
				if got := desk.got(t); got.ended != nil || got.body != "x\r\n" || got.env.MailFrom != "a@example.org" {
					t.Errorf("%+v", got)
				}
			}
		})
	}
	// The answer to a whole packet does not wait for the rest of the next one.
	t.Run("and a half", func(t *testing.T) {
		_, address := start(t, newDesk(), Options{})
		m := dial(t, "tcp", address).open()
		mail := raw('M', "<a@example.org>\x00")
		m.write(mail + raw('R', "<b@example.net>\x00")[:7])
		m.want('c', "")
		m.write(raw('R', "<b@example.net>\x00")[7:])
		m.want('c', "")
	})
}

func TestLargestPackets(t *testing.T) {
	desk := newDesk()
	m := connectTo(t, desk, Options{})
	m.envelope("a@example.org", "b@example.net")
	value := " " + strings.Repeat("x", 256<<10-100)
	m.ask('L', "X", value)
	m.ask('N')
	m.write(raw('B', strings.Repeat("y", 256<<10-1)))
	m.want('c', "")
	m.wantEnd('c', "")
	if got := desk.got(t); len(got.body) != 256<<10-1 || got.fields[0] != "X:"+value+"\r\n" {
		t.Errorf("body of %d octets, field of %d", len(got.body), len(got.fields[0]))
	}
}

// Trap: 1000 connections that send four octets made go-milter allocate 1 GiB and stayed for good.
func TestThousandLengths(t *testing.T) {
	events := new(tally)
	s := NewServer(newDesk(), Options{Observer: events})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 1000 {
		server, client := pipe(t)
		s.connections <- struct{}{}
		s.serve(server)
		io.WriteString(client, "\x00\x03\xff\xff")
	}
	runtime.ReadMemStats(&after)
	if used := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) >> 20; used > 48 {
		t.Errorf("1000 connections use %d MiB", used)
	}
	if n := events.of(EventConnection); n != 1000 {
		t.Errorf("%d connections are open", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil || events.of(EventConnection) != 0 {
		t.Errorf("Shutdown = %v, %d connections are open", err, events.of(EventConnection))
	}
}

// ended waits until the MTA's end is closed, and returns how long that took.
func ended(m *wireMTA) time.Duration {
	start := time.Now()
	io.Copy(io.Discard, m.in)
	return time.Since(start)
}

// Trap: go-milter has no deadline at all.
func TestDeadlines(t *testing.T) {
	const packetTimeout, idleTimeout = 60 * time.Second, 7210 * time.Second
	tests := []struct {
		name string
		send func(m *wireMTA)
		want time.Duration
	}{
		{"silence from the start", func(m *wireMTA) {}, packetTimeout},
		{"silence after one octet", func(m *wireMTA) { m.write("\x00") }, packetTimeout},
		{"silence after the length", func(m *wireMTA) { m.write("\x00\x00\x10\x00") }, packetTimeout},
		{"idle session", func(m *wireMTA) { m.open() }, idleTimeout},
		{"idle message", func(m *wireMTA) { m.open().envelope("a@example.org") }, idleTimeout},
		{"silence inside a packet", func(m *wireMTA) { m.open().write("\x00\x00\x10\x00Bxxx") }, packetTimeout},
		{"slow loris", func(m *wireMTA) {
			m.open().write("\x00\x00\x10\x00")
			go func() {
				for {
					time.Sleep(time.Second)
					if _, err := io.WriteString(m.conn, "B"); err != nil {
						return
					}
				}
			}()
		}, packetTimeout},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, m := attach(t, newDesk(), Options{})
				tt.send(m)
				if got := ended(m); got != tt.want {
					t.Errorf("the connection was closed after %v, want %v", got, tt.want)
				}
				time.Sleep(2 * time.Second) // for the slow loris to notice
				if err := s.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// An MTA that does not read its answers does not hold a session for ever.
func TestWriteDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		desk := answering(plan.Plan{Verdict: plan.Accept, Ops: []plan.Op{{Kind: plan.ReplaceBody, Body: make(plan.Bytes, 1<<20)}}})
		_, m := attach(t, desk, Options{})
		m.open().envelope("a@example.org", "b@example.net")
		m.content("x\r\n", "A: 1")
		start := time.Now()
		m.send('E')
		got := desk.got2(t)
		if !errors.Is(got.ended, os.ErrDeadlineExceeded) || time.Since(start) != 60*time.Second {
			t.Errorf("ended with %v after %v", got.ended, time.Since(start))
		}
		ended(m)
	})
}

// got2 is got without a time limit, for tests in a bubble.
func (d *desk) got2(t testing.TB) mail {
	t.Helper()
	return <-d.done
}

// slow returns a desk whose Handle takes d, or until its context ends.
func slow(d time.Duration) *desk {
	desk := newDesk()
	desk.plan = func(ctx context.Context, _ *message.Message, _ plan.Capabilities) plan.Plan {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
		return plan.Plan{Verdict: plan.Accept, Ops: []plan.Op{{Kind: plan.InsertHeader, Name: "X", Value: "y"}}}
	}
	return desk
}

// arrivals ends a message and returns every answer with the time it took.
func arrivals(t *testing.T, m *wireMTA) (codes string, at []time.Duration) {
	t.Helper()
	start := time.Now()
	m.send('E')
	for {
		p, err := m.next()
		if err != nil {
			t.Fatal(err)
		}
		codes += string(p.code)
		at = append(at, time.Since(start))
		if strings.ContainsRune("cy", rune(p.code)) {
			return codes, at
		}
	}
}

// Trap: Sendmail gives up after 10 s without progress. No progress packet may come between two edits.
func TestProgress(t *testing.T) {
	tests := []struct {
		work time.Duration
		want string
	}{
		{0, "ic"}, {999 * time.Millisecond, "ic"}, {3500 * time.Millisecond, "pic"}, {10500 * time.Millisecond, "ppppic"},
		{59500 * time.Millisecond, strings.Repeat("p", 20) + "ic"}, {61 * time.Second, strings.Repeat("p", 20) + "y"},
	}
	for _, tt := range tests {
		t.Run(tt.work.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, m := attach(t, slow(tt.work), Options{})
				m.open().envelope("a@example.org", "b@example.net")
				m.content("x\r\n", "A: 1")
				codes, at := arrivals(t, m)
				if codes != tt.want {
					t.Errorf("answers = %q, want %q", codes, tt.want)
				}
				for i, c := range codes {
					if want := time.Second + time.Duration(i)*3*time.Second; c == 'p' && at[i] != want {
						t.Errorf("progress %d after %v, want %v", i, at[i], want)
					}
				}
			})
		})
	}
}

func TestOverBudget(t *testing.T) {
	t.Run("handler respects its context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			desk, events := slow(time.Hour), new(tally)
			_, m := attach(t, desk, Options{Budget: 20 * time.Second, Observer: events})
			m.open().envelope("a@example.org", "b@example.net")
			m.content("x\r\n", "A: 1")
			start := time.Now()
			m.wantEnd('y', replyOverBudget+"\x00")
			if d := time.Since(start); d != 20*time.Second {
				t.Errorf("answered after %v", d)
			}
			if got := desk.got2(t); !errors.Is(got.ended, ErrOverBudget) {
				t.Errorf("ended with %v", got.ended)
			}
			synctest.Wait()
			if n := events.of(EventOverBudget); n < 1 || events.of(EventAnalysis) != 0 {
				t.Errorf("%d messages over budget, %d analyses running", n, events.of(EventAnalysis))
			}
		})
	})
	// The MTA gets its answer in time, the message is settled when Handle returns, and meanwhile the session goes on.
	t.Run("handler does not", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			desk := newDesk()
			desk.plan = func(_ context.Context, m *message.Message, _ plan.Capabilities) plan.Plan {
				if m.Envelope.MailFrom == "slow@example.org" {
					time.Sleep(time.Hour)
					if _, err := io.ReadAll(m.Body()); err != nil {
						t.Errorf("the message was closed under Handle: %v", err)
					}
				}
				return plan.Plan{Verdict: plan.Accept}
			}
			s, m := attach(t, desk, Options{})
			m.open().envelope("slow@example.org", "b@example.net")
			m.content("x\r\n", "A: 1")
			m.wantEnd('y', replyOverBudget+"\x00")
			m.deliver("quick@example.org")
			if got := desk.got2(t); got.env.MailFrom != "quick@example.org" || got.ended != nil {
				t.Errorf("%+v", got)
			}
			if got := desk.got2(t); got.env.MailFrom != "slow@example.org" || !errors.Is(got.ended, ErrOverBudget) {
				t.Errorf("%+v", got)
			}
			if err := s.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
	})
}

// Messages that wait for a slot are kept alive, and the wait is part of the budget.
func TestWaitingForAnalysis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		desk, events := slow(50*time.Second), new(tally)
		s := NewServer(desk, Options{MaxAnalyses: 1, Observer: events})
		var done sync.WaitGroup
		answers := make(chan string, 2)
		for range 2 {
			server, client := net.Pipe()
			s.connections <- struct{}{}
			s.serve(server)
			m := newWireMTA(t, client).open()
			m.envelope("a@example.org", "b@example.net")
			m.content("x\r\n", "A: 1")
			done.Go(func() {
				codes, _ := arrivals(t, m)
				answers <- codes
			})
		}
		time.Sleep(10 * time.Second)
		if n := events.of(EventWaiting); n != 1 || events.of(EventAnalysis) != 1 {
			t.Errorf("%d messages wait, %d are handled", n, events.of(EventAnalysis))
		}
		done.Wait()
		got := []string{<-answers, <-answers}
		slices.Sort(got)
		if want := []string{strings.Repeat("p", 17) + "ic", strings.Repeat("p", 20) + "y"}; !slices.Equal(got, want) {
			t.Errorf("answers = %q, want %q", got, want)
		}
		if n := events.of(EventWaiting); n != 0 {
			t.Errorf("%d messages wait", n)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// An MTA that goes away during the analysis is noticed by the progress packets, and the work stops.
func TestConnectionLostDuringHandle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		desk := slow(time.Hour)
		s, m := attach(t, desk, Options{})
		m.open().envelope("a@example.org", "b@example.net")
		m.content("x\r\n", "A: 1")
		start := time.Now()
		m.send('E')
		m.conn.Close()
		if got := desk.got2(t); got.ended == nil || errors.Is(got.ended, ErrOverBudget) {
			t.Errorf("ended with %v", got.ended)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("noticed after %v", d)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// The memory of a large packet, and of a large answer, is given back when the message has ended.
func TestIdleConnectionsKeepLittleMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		desk := answering(plan.Plan{Verdict: plan.Accept, Ops: []plan.Op{{Kind: plan.ReplaceBody, Body: make(plan.Bytes, 50_000)}}})
		s, m := attach(t, desk, Options{})
		m.open().envelope("a@example.org", "b@example.net")
		m.content(strings.Repeat("x", 65535), "A: 1")
		m.end()
		synctest.Wait()
		for session := range s.sessions {
			if p, o := cap(session.wire.packet), cap(session.wire.out); p > keepMemory || o > keepMemory {
				t.Errorf("kept %d and %d octets", p, o)
			}
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestWriteAfterFailureStaysFailed(t *testing.T) {
	server, client := pipe(t)
	client.Close()
	w := &wire{Conn: server, limit: timeouts{write: time.Second}}
	w.Write([]byte("x"))
	if err := w.Flush(); err == nil {
		t.Fatal("no error")
	}
	if _, err := w.Write(bytes.Repeat([]byte("x"), flushAt)); err == nil {
		t.Error("the second write has no error")
	}
}

// Macros and command are two writes of the MTA, whose kernel keeps the second back until the first is acknowledged. If that
// waits for the kernel's timer, each command takes 40 ms.
func TestMacrosDoNotDelayTheirCommand(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux can be told to acknowledge at once")
	}
	m := connectTo(t, newDesk(), Options{})
	m.conn.(*net.TCPConn).SetNoDelay(false) // as MTAs do
	m.envelope("a@example.org")
	const commands, delay = 20, 40 * time.Millisecond
	var took time.Duration
	for range 3 { // the machine may be busy, too
		start := time.Now()
		for range commands {
			m.macros('R', "i", "4ABC")
			m.ask('R', "<b@example.net>")
		}
		if took = time.Since(start); took < commands*delay/2 {
			return
		}
	}
	t.Errorf("%d commands took %v", commands, took)
}
