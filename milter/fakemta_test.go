package milter

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"assay/milter/plan"
	"assay/verify/message"
)

// A wireMTA is the MTA's side of the protocol, packet by packet, so that tests can say exactly what Postfix and Sendmail
// send, and what nobody should.
type wireMTA struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

// A packet is one answer of the filter.
type packet struct {
	code byte
	data string
}

func (p packet) String() string { return fmt.Sprintf("%c %q", p.code, p.data) }

// What MTAs offer.
const (
	postfixActions   = 0x1ff
	postfixProtocol  = 0x1fffff
	sendmailActions  = 0x1ff
	sendmailProtocol = 0x1fffff
)

func dial(t testing.TB, network, address string) *wireMTA {
	t.Helper()
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return newWireMTA(t, conn)
}

func newWireMTA(t testing.TB, conn net.Conn) *wireMTA {
	t.Cleanup(func() { conn.Close() })
	return &wireMTA{t, conn, bufio.NewReader(conn)}
}

// raw returns one packet as octets.
func raw(code byte, data string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(data)+1))) + string(code) + data
}

func (m *wireMTA) write(s string) {
	m.t.Helper()
	if _, err := io.WriteString(m.conn, s); err != nil {
		m.t.Fatalf("write: %v", err)
	}
}

// send writes a command whose strings are each ended by a NUL.
func (m *wireMTA) send(code byte, words ...string) {
	m.t.Helper()
	m.write(raw(code, cstrings(words...)))
}

func cstrings(words ...string) string {
	if len(words) == 0 {
		return ""
	}
	return strings.Join(words, "\x00") + "\x00"
}

// next reads one packet, progress too.
func (m *wireMTA) next() (packet, error) {
	var head [4]byte
	if _, err := io.ReadFull(m.in, head[:]); err != nil {
		return packet{}, err
	}
	data := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(m.in, data); err != nil {
		return packet{}, err
	}
	return packet{data[0], string(data[1:])}, nil
}

// answer reads the next packet that is not progress.
func (m *wireMTA) answer() packet {
	m.t.Helper()
	for {
		p, err := m.next()
		if err != nil {
			m.t.Fatalf("no answer: %v", err)
		}
		if p.code != 'p' {
			return p
		}
	}
}

// want reads an answer and compares it.
func (m *wireMTA) want(code byte, data string) {
	m.t.Helper()
	if got := m.answer(); got != (packet{code, data}) {
		m.t.Fatalf("answer = %v, want %v", got, packet{code, data})
	}
}

// ask sends a command and expects to go on.
func (m *wireMTA) ask(code byte, words ...string) {
	m.t.Helper()
	m.send(code, words...)
	m.want('c', "")
}

func (m *wireMTA) macros(stage byte, words ...string) {
	m.t.Helper()
	m.write(raw('D', string(stage)+cstrings(words...)))
}

// offer negotiates and returns what the filter chose.
func (m *wireMTA) offer(version, actions, protocol uint32) (n negotiation, symbols string) {
	m.t.Helper()
	var b []byte
	for _, v := range []uint32{version, actions, protocol} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	m.write(raw('O', string(b)))
	p := m.answer()
	if p.code != 'O' || len(p.data) < 12 {
		m.t.Fatalf("answer to the offer = %v", p)
	}
	u := func(i int) uint32 { return binary.BigEndian.Uint32([]byte(p.data[i:])) }
	return negotiation{u(0), u(4), u(8)}, p.data[12:]
}

// connect sends CONNECT as Postfix and Sendmail do for a TCP client.
func (m *wireMTA) connect(host string, family byte, port uint16, addr string) {
	m.t.Helper()
	m.write(raw('C', host+"\x00"+string(family)+string(binary.BigEndian.AppendUint16(nil, port))+addr+"\x00"))
	m.want('c', "")
}

// open negotiates as Postfix does, and introduces a client.
func (m *wireMTA) open() *wireMTA {
	m.t.Helper()
	m.offer(6, postfixActions, postfixProtocol)
	m.connect("mail.example.org", '4', 4711, "192.0.2.1")
	m.ask('H', "helo.example.org")
	return m
}

// envelope sends MAIL and RCPT.
func (m *wireMTA) envelope(from string, to ...string) {
	m.t.Helper()
	m.ask('M', "<"+from+">")
	for _, rcpt := range to {
		m.ask('R', "<"+rcpt+">")
	}
}

// content sends header fields ("Name: value") and a body, without the end of the message.
func (m *wireMTA) content(body string, fields ...string) {
	m.t.Helper()
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ":")
		m.ask('L', name, value)
	}
	m.ask('N')
	for len(body) > 0 {
		n := min(len(body), 65535)
		m.write(raw('B', body[:n]))
		m.want('c', "")
		body = body[n:]
	}
}

// end ends the message and returns everything up to the final answer, without progress.
func (m *wireMTA) end() []packet {
	m.t.Helper()
	m.send('E')
	return m.final()
}

func (m *wireMTA) final() []packet {
	m.t.Helper()
	var all []packet
	for {
		p := m.answer()
		all = append(all, p)
		if slices.Contains([]byte("cadrty"), p.code) {
			return all
		}
	}
}

// wantEnd ends the message and expects only the given final answer.
func (m *wireMTA) wantEnd(code byte, data string) {
	m.t.Helper()
	got := m.end()
	if len(got) != 1 || got[0] != (packet{code, data}) {
		m.t.Fatalf("end of message = %v, want only %v", got, packet{code, data})
	}
}

// deliver sends one whole message that is to be accepted without changes.
func (m *wireMTA) deliver(from string) {
	m.t.Helper()
	m.envelope(from, "you@example.net")
	m.content("Hello\r\n", "From: "+from, "Subject: hi")
	m.wantEnd('c', "")
}

// wantClosed expects the end of the connection without an answer.
func (m *wireMTA) wantClosed() {
	m.t.Helper()
	m.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if p, err := m.next(); err == nil {
		m.t.Fatalf("answer %v instead of the end of the connection", p)
	} else if errors.Is(err, context.DeadlineExceeded) {
		m.t.Fatal("the connection is still open")
	}
}

// A mail is what a handler got to see of one message.
type mail struct {
	env    message.Envelope
	fields []string // as received, folding and final CRLF included
	body   string
	caps   plan.Capabilities
	ended  error // of Done
}

// A desk is a Handler that keeps what it sees and answers what the test says.
type desk struct {
	begin func(env *message.Envelope, h message.Header)                                // nil: nothing
	plan  func(ctx context.Context, m *message.Message, c plan.Capabilities) plan.Plan // nil: accept
	done  chan mail                                                                    // receives every message that was begun
}

func newDesk() *desk { return &desk{done: make(chan mail, 10_000)} }

// answering returns a desk with a fixed plan.
func answering(p plan.Plan) *desk {
	d := newDesk()
	d.plan = func(context.Context, *message.Message, plan.Capabilities) plan.Plan { return p }
	return d
}

func (d *desk) Begin(_ context.Context, env *message.Envelope, h message.Header) Pending {
	if d.begin != nil {
		d.begin(env, h)
	}
	return &filed{desk: d, mail: mail{env: *env}}
}

type filed struct {
	desk *desk
	mail mail
	once sync.Once
}

func (f *filed) Handle(ctx context.Context, m *message.Message, caps plan.Capabilities) plan.Plan {
	f.mail.env, f.mail.caps = m.Envelope, caps
	for _, field := range m.Header {
		f.mail.fields = append(f.mail.fields, string(field.Raw))
	}
	body, err := io.ReadAll(m.Body())
	if err != nil {
		panic(err)
	}
	f.mail.body = string(body)
	if f.desk.plan != nil {
		return f.desk.plan(ctx, m, caps)
	}
	return plan.Plan{Verdict: plan.Accept}
}

func (f *filed) Done(err error) {
	twice := true
	f.once.Do(func() { twice = false })
	if twice {
		panic("Done was called twice")
	}
	f.mail.ended = err
	f.desk.done <- f.mail
}

// got returns the next message that has ended.
func (d *desk) got(t testing.TB) mail {
	t.Helper()
	select {
	case m := <-d.done:
		return m
	case <-time.After(20 * time.Second):
		t.Fatal("no message has ended")
		return mail{}
	}
}

// A tally counts events.
type tally struct {
	mu sync.Mutex
	n  map[Event]int
}

func (c *tally) Count(e Event, delta int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[Event]int{}
	}
	c.n[e] += delta
}

func (c *tally) of(e Event) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[e]
}

// start serves h on a TCP port of the loopback interface until the test ends.
func start(t testing.TB, h Handler, o Options) (s *Server, address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s = NewServer(h, o)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-served:
		case <-time.After(30 * time.Second):
			t.Error("Serve does not return")
		}
	})
	return s, ln.Addr().String()
}

// connectTo starts a server and opens a session as Postfix does.
func connectTo(t testing.TB, h Handler, o Options) *wireMTA {
	t.Helper()
	_, address := start(t, h, o)
	return dial(t, "tcp", address).open()
}
