// Package dnstest serves a zone over real UDP and TCP on the loopback interface, for tests and demonstrations. The server
// counts the questions it gets, and can lose, delay, cut and forge its answers.
package dnstest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	mdns "github.com/miekg/dns"

	"assay/verify/dns/zone"
)

// portTries is how often a port is looked for that is free for UDP and TCP.
const portTries = 20

// Options say how a server misbehaves. The zero value is a well-behaved recursive resolver.
type Options struct {
	Drop     float64       // share of UDP questions that get no answer, 0 to 1
	Seed     uint64        // of the choice which ones
	Delay    time.Duration // before every answer
	Silent   bool          // no question gets an answer, connections are accepted
	Truncate bool          // every answer over UDP is cut off: no records, and the TC bit
	NoTCP    bool          // connections are closed at once
	NoEDNS   bool          // questions with an OPT record get FORMERR
	WrongID  bool          // answers carry another id
	Other    bool          // answers repeat another question
	Garbage  bool          // answers are a right header with random octets behind it
	Rcode    int           // not 0: every answer has this response code and no records
	Secure   bool          // answers have the AD bit if the question has (RFC 6840)
	Spoof    bool          // every answer over UDP comes behind two forged ones, with a wrong id and a wrong question
}

// A Server serves one zone on 127.0.0.1. Its methods may be called concurrently.
type Server struct {
	addr    string
	zone    atomic.Pointer[zone.Zone]
	options atomic.Pointer[Options]
	udp     *mdns.Server
	tcp     *mdns.Server
	done    chan struct{} // closed by Close
	once    sync.Once
	handled sync.WaitGroup

	mu     sync.Mutex
	random *rand.Rand
	counts map[Query]int
	total  int
	stream int
}

// A Query is what is counted: a name in lower case without the final dot, and a type such as "TXT".
type Query struct {
	Name string
	Type string
}

// Start serves z until Close, on a free port.
func Start(z *zone.Zone, opt Options) (*Server, error) { return Listen(z, "127.0.0.1:0", opt) }

// Listen serves z on an address such as "127.0.0.1:5300", over UDP and TCP, until Close.
func Listen(z *zone.Zone, address string, opt Options) (*Server, error) {
	s := &Server{done: make(chan struct{})}
	s.SetZone(z)
	s.Set(opt)
	s.Reset()
	packets, listener, err := listen(address)
	if err != nil {
		return nil, fmt.Errorf("dnstest: %w", err)
	}
	s.addr = packets.LocalAddr().String()
	handler := mdns.HandlerFunc(s.serve)
	s.udp = &mdns.Server{PacketConn: packets, Handler: handler}
	s.tcp = &mdns.Server{Listener: listener, Handler: handler}
	for _, server := range []*mdns.Server{s.udp, s.tcp} {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		s.handled.Go(func() { _ = server.ActivateAndServe() })
		<-started
	}
	return s, nil
}

// listen returns sockets for UDP and TCP on the same port.
func listen(address string) (net.PacketConn, net.Listener, error) {
	var last error
	for range portTries {
		packets, err := net.ListenPacket("udp", address)
		if err != nil {
			return nil, nil, err
		}
		listener, err := net.Listen("tcp", packets.LocalAddr().String())
		if err == nil {
			return packets, listener, nil
		}
		_ = packets.Close()
		last = err
	}
	return nil, nil, last
}

// TB is the part of testing.TB that New uses. It keeps package testing out of programs.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// New serves a zone file until the test ends.
func New(tb TB, text string, opt Options) *Server {
	tb.Helper()
	z, err := zone.Parse(strings.NewReader(text), "zone")
	if err != nil {
		tb.Fatalf("%v", err)
	}
	s, err := Start(z, opt)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// Addr returns the address to ask, such as "127.0.0.1:40053".
func (s *Server) Addr() string { return s.addr }

// Set changes how the server behaves from now on. The choice of lost packets begins anew.
func (s *Server) Set(opt Options) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.random = rand.New(rand.NewPCG(opt.Seed, 1))
	s.options.Store(&opt)
}

// SetZone changes the zone.
func (s *Server) SetZone(z *zone.Zone) { s.zone.Store(z) }

// Count returns how many questions there were for a name and type.
func (s *Server) Count(name, typ string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[Query{strings.ToLower(strings.TrimSuffix(name, ".")), typ}]
}

// Counts returns the number of questions by name and type.
func (s *Server) Counts() map[Query]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[Query]int, len(s.counts))
	for q, n := range s.counts {
		out[q] = n
	}
	return out
}

// Total returns how many questions there were, lost ones included.
func (s *Server) Total() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// Streamed returns how many of them came over TCP.
func (s *Server) Streamed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stream
}

// Reset sets all counts to zero.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts, s.total, s.stream = make(map[Query]int), 0, 0
}

// Close ends the server and waits for it.
func (s *Server) Close() error {
	var err error
	s.once.Do(func() {
		close(s.done)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err = errors.Join(s.udp.ShutdownContext(ctx), s.tcp.ShutdownContext(ctx))
		s.handled.Wait()
	})
	return err
}

// serve answers one question.
func (s *Server) serve(w mdns.ResponseWriter, q *mdns.Msg) {
	if len(q.Question) != 1 {
		return
	}
	opt := *s.options.Load()
	_, stream := w.LocalAddr().(*net.TCPAddr)
	lost := s.count(q.Question[0], stream, opt)
	if lost || opt.Silent || !s.sleep(opt.Delay) {
		return
	}
	if stream && opt.NoTCP {
		_ = w.Close()
		return
	}
	m, fault := s.reply(q, opt)
	if fault == zone.Timeout {
		return
	}
	if !stream {
		size := mdns.MinMsgSize
		if o := q.IsEdns0(); o != nil {
			size = int(o.UDPSize())
		}
		m.Truncate(size)
		if opt.Truncate {
			m.Answer, m.Ns, m.Truncated = nil, nil, true
		}
	}
	s.write(w, m, opt, stream)
}

// write sends an answer, and what the options put in its place.
func (s *Server) write(w mdns.ResponseWriter, m *mdns.Msg, opt Options, stream bool) {
	wrongID, wrongName := m.Copy(), m.Copy()
	wrongID.Id ^= 0x5555
	wrongName.Question[0].Name = "other.invalid."
	switch {
	case opt.WrongID:
		m = wrongID
	case opt.Other:
		m = wrongName
	case opt.Spoof && !stream:
		_ = w.WriteMsg(wrongID)
		_ = w.WriteMsg(wrongName)
	case opt.Garbage:
		packet, err := m.Pack()
		if err != nil {
			return
		}
		s.mu.Lock()
		for i := 12; i < len(packet); i++ {
			packet[i] = byte(s.random.Uint32())
		}
		s.mu.Unlock()
		_, _ = w.Write(packet)
		return
	}
	_ = w.WriteMsg(m)
}

// count counts a question and decides whether it is lost.
func (s *Server) count(q mdns.Question, stream bool, opt Options) (lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[Query{strings.ToLower(strings.TrimSuffix(q.Name, ".")), mdns.TypeToString[q.Qtype]}]++
	s.total++
	if stream {
		s.stream++
		return false
	}
	return opt.Drop > 0 && s.random.Float64() < opt.Drop
}

// sleep waits, but not beyond Close.
func (s *Server) sleep(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.done:
		return false
	}
}

// reply looks the answer up.
func (s *Server) reply(q *mdns.Msg, opt Options) (*mdns.Msg, zone.Fault) {
	asked := q.Question[0]
	m := &mdns.Msg{MsgHdr: mdns.MsgHdr{Response: true}}
	fault := zone.NoFault
	switch {
	case opt.NoEDNS && q.IsEdns0() != nil:
		m.Rcode = mdns.RcodeFormatError
	case opt.Rcode != 0:
		m.Rcode = opt.Rcode
	default:
		if m, fault = s.zone.Load().Respond(asked.Name, asked.Qtype); fault == zone.Timeout {
			return nil, fault
		}
	}
	m.Id = q.Id
	m.RecursionDesired, m.RecursionAvailable = q.RecursionDesired, true
	m.AuthenticatedData = opt.Secure && q.AuthenticatedData
	m.Question = []mdns.Question{asked}
	if q.IsEdns0() != nil && !opt.NoEDNS {
		m.SetEdns0(1232, false)
	}
	return m, fault
}
