package dns

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	mdns "github.com/miekg/dns"
)

const (
	// udpSize is the size of datagrams that are fragmented nowhere (DNS flag day 2020; RFC 9715).
	udpSize = 1232
	// udpBuffer holds the datagrams of servers that heed no limit.
	udpBuffer = 4096
	// maxTries bounds how often one question is sent, whatever the options say.
	maxTries = 24
	// minTries is how often a question is sent at least before it is given up for lack of an answer.
	minTries = 4
	minRetry = 10 * time.Millisecond
	// maxStrays bounds the datagrams that do not answer the question and are passed over on one socket.
	maxStrays = 100
	// maxNetworkErrors is how often a server may be unreachable before a question gives it up: it may be restarting.
	maxNetworkErrors = 3
)

// Why a try failed.
var (
	errTimeout   = errors.New("no answer in time")
	errMalformed = errors.New("malformed answer")
	errStray     = errors.New("an answer to another question")
	errLame      = errors.New("lame answer: the server does not resolve names")
	errBusy      = errors.New("too many questions are under way")
)

// A wire is the Transport of a Client.
type wire struct {
	servers   []*server
	preferred atomic.Uint32 // index of the server that answered last
	timeout   time.Duration
	retry     time.Duration
	trustAD   bool
	observer  Observer
	slots     chan struct{}
}

// A try is one question to one server, and its outcome.
type try struct {
	server int
	reply  *mdns.Msg
	err    error
}

// Exchange implements Transport.
func (w *wire) Exchange(ctx context.Context, name string, qtype uint16) (*mdns.Msg, error) {
	start := time.Now()
	bounded, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	m, err := w.exchange(bounded, name, qtype)
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if w.observer != nil {
		w.observer.ObserveQuery(mdns.TypeToString[qtype], outcome(m, err), time.Since(start))
	}
	return m, err
}

// exchange runs the tries. None outlives it.
func (w *wire) exchange(ctx context.Context, name string, qtype uint16) (*mdns.Msg, error) {
	select {
	case w.slots <- struct{}{}:
		defer func() { <-w.slots }()
	case <-ctx.Done():
		return nil, errBusy
	}
	ctx, cancel := context.WithCancel(ctx)
	r := w.newRace()
	defer func() {
		cancel()
		r.drain()
	}()
	timer := time.NewTimer(w.retry)
	defer timer.Stop()
	for {
		if i, ok := r.next(); ok {
			go func() { r.results <- w.try(ctx, i, name, qtype) }()
			timer.Reset(w.retry)
		} else if r.over() {
			return nil, r.failure()
		}
		if m := r.wait(ctx, timer.C); m != nil {
			return m, nil
		}
		if ctx.Err() != nil {
			r.drain()
			return nil, r.failure()
		}
	}
}

// outcome classifies the end of a question.
func outcome(m *mdns.Msg, err error) Outcome {
	switch {
	case err != nil && isContext(err):
		return OutcomeCanceled
	case err != nil:
		return OutcomeTemporary
	case m.Rcode == mdns.RcodeNameError:
		return OutcomeNXDomain
	case len(m.Answer) == 0:
		return OutcomeNoData
	}
	return OutcomeAnswer
}

// A race keeps account of the tries of one question.
type race struct {
	wire    *wire
	servers []standing
	results chan try // with room for all tries, so that none waits for a reader
	first   int      // server to begin with
	tries   int
	pending int
}

// A standing is what one question has learnt about a server.
type standing struct {
	tries   int
	network int   // times it was unreachable
	out     bool  // it failed in a way that asking again does not mend
	err     error // why it failed last
}

func (w *wire) newRace() *race {
	return &race{
		wire:    w,
		servers: make([]standing, len(w.servers)),
		results: make(chan try, maxTries),
		first:   int(w.preferred.Load()) % len(w.servers),
	}
}

// next returns the server for the next try: the one asked least often, in order from the preferred one.
func (r *race) next() (int, bool) {
	if r.tries == maxTries {
		return 0, false
	}
	best := -1
	for k := range r.servers {
		i := (r.first + k) % len(r.servers)
		if s := &r.servers[i]; !s.out && (best < 0 || s.tries < r.servers[best].tries) {
			best = i
		}
	}
	if best < 0 {
		return 0, false
	}
	r.servers[best].tries++
	r.tries++
	r.pending++
	return best, true
}

// wait returns the first good response, or nil when it is time for the next try.
func (r *race) wait(ctx context.Context, retry <-chan time.Time) *mdns.Msg {
	for {
		select {
		case t := <-r.results:
			if t.err == nil {
				r.pending--
				r.wire.preferred.Store(uint32(t.server))
				return t.reply
			}
			if r.failed(t) {
				return nil
			}
		case <-retry:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// failed records a failure. It reports whether there is something to do at once: to ask a server that has not been
// asked yet, or to give up. The others are asked again in their time.
func (r *race) failed(t try) bool {
	r.pending--
	s := &r.servers[t.server]
	var network net.Error
	unreachable := errors.As(t.err, &network)
	if s.err == nil || !unreachable || !network.Timeout() {
		s.err = t.err // that a later try got no answer says less than what an earlier one got
	}
	if unreachable {
		s.network++
		s.out = s.out || s.network == maxNetworkErrors && !network.Timeout()
	} else {
		s.out = true
	}
	for i := range r.servers {
		if !r.servers[i].out && r.servers[i].tries == 0 {
			return true
		}
	}
	return r.over()
}

// over reports whether nothing is left to wait for: every server is out, or every try has ended.
func (r *race) over() bool {
	for i := range r.servers {
		if !r.servers[i].out {
			return r.tries == maxTries && r.pending == 0
		}
	}
	return true
}

// drain waits for the tries under way. Their context has ended.
func (r *race) drain() {
	for r.pending > 0 {
		if t := <-r.results; t.err != nil {
			r.failed(t)
		} else {
			r.pending--
		}
	}
}

// failure says of every server that was asked why it gave no answer.
func (r *race) failure() error {
	var causes, details []string
	for i, s := range r.servers {
		if s.tries == 0 {
			continue
		}
		cause := errTimeout.Error()
		if s.err != nil {
			cause = s.err.Error()
		}
		if !slices.Contains(causes, cause) {
			causes = append(causes, cause)
		}
		details = append(details, cause+" from "+r.wire.servers[i].addr)
	}
	return &unanswered{strings.Join(causes, "; "), strings.Join(details, "; ")}
}

// An unanswered question has a cause for everyone, and a detail that names the servers.
type unanswered struct{ cause, detail string }

func (u *unanswered) Error() string { return u.cause }

// try asks one server: with EDNS, without if it does not know that, and over TCP if the answer was cut off. It never
// panics, whatever the server sends.
func (w *wire) try(ctx context.Context, i int, name string, qtype uint16) (t try) {
	t.server = i
	defer func() {
		if p := recover(); p != nil {
			t.reply, t.err = nil, fmt.Errorf("%w: panic: %v", errMalformed, p)
		}
	}()
	s := w.servers[i]
	q := newQuestion(name, qtype, w.trustAD)
	q.SetEdns0(udpSize, false)
	m, err := s.overUDP(ctx, q)
	if err == nil && knowsNoEDNS(m.Rcode) {
		// RFC 6891 Section 7: a server that does not implement EDNS says FORMERR.
		q = newQuestion(name, qtype, w.trustAD)
		m, err = s.overUDP(ctx, q)
	}
	if err == nil && m.Truncated {
		m, err = s.overTCP(ctx, q)
	}
	if err == nil {
		err = judge(m)
	}
	if err != nil {
		return try{server: i, err: plain(err)}
	}
	return try{server: i, reply: m}
}

// newQuestion makes a query with a random id. The generator is seeded by the operating system and not predictable.
func newQuestion(name string, qtype uint16, ad bool) *mdns.Msg {
	q := new(mdns.Msg)
	q.Id = uint16(rand.Uint32())
	q.RecursionDesired = true
	q.AuthenticatedData = ad // RFC 6840 Section 5.7: the client wants to know the AD bit
	q.Question = []mdns.Question{{Name: name, Qtype: qtype, Qclass: mdns.ClassINET}}
	return q
}

func knowsNoEDNS(rcode int) bool {
	return rcode == mdns.RcodeFormatError || rcode == mdns.RcodeNotImplemented || rcode == mdns.RcodeBadVers
}

// judge returns an error for a response that does not answer the question.
func judge(m *mdns.Msg) error {
	switch {
	case m.Rcode != mdns.RcodeSuccess && m.Rcode != mdns.RcodeNameError:
		return errors.New(rcodeText(m.Rcode))
	case m.Truncated:
		return fmt.Errorf("%w: truncated over TCP", errMalformed)
	case len(m.Question) == 0:
		return fmt.Errorf("%w: no question", errMalformed)
	case m.Rcode == mdns.RcodeSuccess && len(m.Answer) == 0 && !m.Authoritative && !m.RecursionAvailable && isReferral(m):
		return errLame
	}
	return nil
}

// isReferral reports whether the authority section sends the client elsewhere: RFC 2308 Section 2.1.
func isReferral(m *mdns.Msg) bool {
	ns := false
	for _, rr := range m.Ns {
		switch rr.(type) {
		case *mdns.SOA:
			return false
		case *mdns.NS:
			ns = true
		}
	}
	return ns
}

// plain takes the addresses out of an error of the network: the local port tells nobody anything, and the server is
// named anyhow.
func plain(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		if op.Timeout() {
			return &networkError{errTimeout, true}
		}
		var errno syscall.Errno
		if errors.As(op.Err, &errno) {
			return errno
		}
		return &networkError{op.Err, false}
	}
	return err
}

// A networkError is a failure to reach a server.
type networkError struct {
	err     error
	timeout bool
}

func (e *networkError) Error() string   { return e.err.Error() }
func (e *networkError) Timeout() bool   { return e.timeout }
func (e *networkError) Temporary() bool { return true }

// A server is one recursive resolver.
type server struct {
	addr string
	mu   sync.Mutex
	idle []idleConn // TCP connections, last used one last
}

// overUDP sends a query from a new socket, whose port the kernel picks at random (RFC 5452 Section 9.2), and waits for
// its answer until the context ends. The socket takes datagrams from the server only.
func (s *server) overUDP(ctx context.Context, q *mdns.Msg) (*mdns.Msg, error) {
	packet, err := q.Pack()
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "udp", s.addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer interrupt(ctx, conn)()
	if _, err := conn.Write(packet); err != nil {
		return nil, err
	}
	buf := make([]byte, udpBuffer)
	for strays := 0; ; strays++ {
		n, err := conn.Read(buf)
		if err == nil && strays < maxStrays {
			m, err := readReply(buf[:n], q)
			if !errors.Is(err, errStray) {
				return m, err
			}
			continue
		}
		if strays > 0 {
			return nil, fmt.Errorf("%w, but answers to other questions", errTimeout)
		}
		return nil, err
	}
}

// interrupt makes reads and writes of conn fail when ctx ends. The function it returns undoes that.
func interrupt(ctx context.Context, conn net.Conn) (undo func()) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return func() { stop() }
}

// readReply reads a packet as the response to q. The error is errStray for one that belongs to another question: RFC 5452
// Section 9.1. A response that was cut off within a record is returned with Truncated set and whatever could be read.
func readReply(packet []byte, q *mdns.Msg) (*mdns.Msg, error) {
	m := new(mdns.Msg)
	err := m.Unpack(packet)
	if len(packet) < 12 || m.Id != q.Id || !m.Response || m.Opcode != mdns.OpcodeQuery {
		return nil, errStray
	}
	if err != nil && !m.Truncated {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	switch len(m.Question) {
	case 0:
		// Servers that cannot read a query, or refuse to, often repeat no question. Such a response carries no records.
		m.Answer, m.Ns = nil, nil
		return m, nil
	case 1:
		asked, got := q.Question[0], m.Question[0]
		if got.Qtype == asked.Qtype && got.Qclass == asked.Qclass && sameName(got.Name, asked.Name) {
			return m, nil
		}
	}
	return nil, errStray
}
