package milter

import (
	"bufio"
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-milter"
)

// Waits between failed accepts: the usual cause, too many open files, goes away when connections close.
const (
	minBackOff = 5 * time.Millisecond
	maxBackOff = time.Second
)

// Waits of a shutdown that ran out of time: for answers to messages that were cut short, and for goroutines to end.
const (
	lastAnswers = time.Second
	lastExits   = 5 * time.Second
)

// ErrForced means that a shutdown ended messages before they were handled. The MTA keeps them.
var ErrForced = errors.New("milter: shutdown cut messages short")

// A Server speaks the milter protocol on any number of listeners and has each message handled by its Handler.
type Server struct {
	handler Handler
	opt     Options

	connections chan struct{} // slots of open connections
	analyses    chan struct{} // slots of messages in Handle

	ctx      context.Context // of every message
	cancel   context.CancelCauseFunc
	stopping chan struct{}  // closed when the shutdown begins
	quiet    chan struct{}  // closed when a message is not being received or handled any more, after stopping
	running  sync.WaitGroup // sessions, and analyses that nobody waits for any more
	paused   atomic.Bool    // new messages are answered 451
	noSpace  sync.Once      // the warning about SMFIP_HDR_LEADSPC
	began    time.Time      // instants of sessions are counted from here, so that a change of the clock moves none

	mu        sync.Mutex
	sessions  map[*session]struct{}
	listeners []net.Listener
	inside    int // messages that are being received or handled
	stopped   bool
	shedding  shedding
}

// NewServer returns a Server that has every message handled by h.
func NewServer(h Handler, o Options) *Server {
	o = o.withDefaults()
	s := &Server{
		handler:     h,
		opt:         o,
		connections: make(chan struct{}, o.MaxConnections),
		analyses:    make(chan struct{}, o.MaxAnalyses),
		stopping:    make(chan struct{}),
		quiet:       make(chan struct{}),
		sessions:    map[*session]struct{}{},
		began:       time.Now(),
	}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	return s
}

// Serve accepts connections on all listeners until ctx ends or Shutdown is called, and closes the listeners. When ctx ends it
// shuts the server down within Options.DrainTimeout. It returns when everything has ended: nil, or ErrForced. A Server
// serves once; with less than one listener, or more than MaxConnections, it does not serve at all.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	if len(listeners) == 0 || len(listeners) > s.opt.MaxConnections {
		return errors.New("milter: the number of listeners must be from 1 to the number of connections")
	}
	var accepting sync.WaitGroup
	for _, ln := range listeners {
		if !s.addListener(ln) {
			break
		}
		accepting.Go(func() { s.accept(ln) })
	}
	select {
	case <-ctx.Done():
	case <-s.stopping:
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opt.DrainTimeout)
	defer cancel()
	err := s.Shutdown(drain)
	accepting.Wait()
	return err
}

// Shutdown ends the server without losing a message: it closes the listeners, answers new messages with 451, waits for
// those that are being received or handled, and closes the connections. When ctx ends first, what is left is answered
// 451 as well and the connections are closed; the error is then ErrForced.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop()
	var forced error
	select {
	case <-s.quiet:
	case <-ctx.Done():
		forced = ErrForced
		s.cancel(ErrDraining)
		s.await(s.quiet, lastAnswers)
	}
	s.cutAll()
	ended := make(chan struct{})
	go func() {
		s.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		forced = ErrForced
		s.cancel(ErrDraining)
		s.await(ended, lastExits)
	}
	s.cancel(ErrDraining)
	return forced
}

// await waits for done, but not longer than d.
func (s *Server) await(done <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// stop begins the shutdown. Only the first call has an effect.
func (s *Server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	s.stopped = true
	close(s.stopping)
	for _, ln := range s.listeners {
		ln.Close()
	}
	if s.inside == 0 {
		close(s.quiet)
	}
}

// Pause makes the server answer new messages with 451, or take them again. Messages whose header has begun to arrive are
// handled. The listeners stay open: what an MTA does when nobody listens is for its own configuration to say, and a reply of
// 451 loses nothing whatever that says.
func (s *Server) Pause(on bool) { s.paused.Store(on) }

// Load is how much a Server has to do.
type Load struct {
	Connections int // open ones
	Messages    int // that are being received or handled
}

// Load returns how much there is to do. It returns at once, unless the server is stuck.
func (s *Server) Load() Load {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Load{Connections: len(s.sessions), Messages: s.inside}
}

// draining reports whether new messages are refused: the shutdown has begun, or the server is paused.
func (s *Server) draining() bool {
	if s.paused.Load() {
		return true
	}
	select {
	case <-s.stopping:
		return true
	default:
		return false
	}
}

// enter counts a message that begins to arrive. It reports false when the server does not take messages any more.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || s.paused.Load() {
		return false
	}
	s.inside++
	return true
}

// leave ends what enter began.
func (s *Server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inside--
	if s.stopped && s.inside == 0 {
		close(s.quiet)
	}
}

// addListener reports false, and closes ln, when the shutdown has begun.
func (s *Server) addListener(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		ln.Close()
		return false
	}
	s.listeners = append(s.listeners, ln)
	return true
}

// accept serves one listener until it is closed. Whatever else goes wrong goes away: a filter that does not accept is a
// filter that the MTA does without.
func (s *Server) accept(ln net.Listener) {
	wait := minBackOff
	for s.slot() {
		conn, err := ln.Accept()
		if err == nil {
			wait = minBackOff
			s.serve(conn)
			continue
		}
		<-s.connections
		if errors.Is(err, net.ErrClosed) {
			return
		}
		s.opt.Logger.Error("accept failed", "listener", ln.Addr(), "reason", err, "wait", wait)
		s.await(s.stopping, wait)
		wait = min(2*wait, maxBackOff)
	}
}

// serve starts a session. The caller has taken a connection slot, which the end of the session gives back.
func (s *Server) serve(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetNoDelay(true)
	}
	session := &session{server: s, log: s.opt.Logger.With("peer", peer(conn))}
	session.touch()
	session.wire = &wire{
		Conn:    conn,
		limit:   timeouts{idle: s.opt.IdleTimeout, packet: s.opt.PacketTimeout, write: s.opt.WriteTimeout},
		max:     s.opt.MaxPacket,
		consume: session.consume,
		onClose: session.close,
		in:      bufio.NewReaderSize(conn, readBuffer),
	}
	if !s.add(session) {
		conn.Close()
		<-s.connections
		return
	}
	s.count(EventConnection, 1)
	// One library server per connection: its NewMilter then returns the one backend of this connection, and its Close,
	// which races with Serve, is never needed. Serve starts the session and returns.
	library := milter.Server{NewMilter: func() milter.Milter { return backend{session} }}
	library.Serve(&oneShot{conn: session.wire})
}

// peer names the other end of conn for the log. A client of a unix socket has no name of its own.
func peer(conn net.Conn) string {
	if remote := conn.RemoteAddr(); remote.Network() != "unix" {
		return remote.String()
	}
	return conn.LocalAddr().String()
}

// add reports false when the shutdown has begun.
func (s *Server) add(session *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.sessions[session] = struct{}{}
	s.running.Add(1)
	return true
}

// remove is the end of a session.
func (s *Server) remove(session *session) {
	s.mu.Lock()
	delete(s.sessions, session)
	s.mu.Unlock()
	s.count(EventConnection, -1)
	<-s.connections
	s.running.Done()
}

// cutAll closes all connections.
func (s *Server) cutAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for session := range s.sessions {
		session.wire.cut()
	}
}

// acquire takes an analysis slot. It reports false when ctx ends first.
func (s *Server) acquire(ctx context.Context) bool {
	select {
	case s.analyses <- struct{}{}:
		return true
	default:
	}
	s.count(EventWaiting, 1)
	defer s.count(EventWaiting, -1)
	select {
	case s.analyses <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// release gives an analysis slot back.
func (s *Server) release() { <-s.analyses }

func (s *Server) count(e Event, delta int) { s.opt.Observer.Count(e, delta) }

// report logs an error of ours, and counts those that have a name.
func (s *Server) report(queueID string, err error) {
	switch {
	case err == nil:
		return
	case errors.Is(err, ErrPanic):
		s.count(EventPanic, 1)
	case errors.Is(err, ErrOverBudget):
		s.count(EventOverBudget, 1)
	}
	s.opt.Logger.Error("message failed", "queue_id", queueID, "reason", err)
}

// warnNoLeadingSpace says once that simple canonicalisation cannot be trusted.
func (s *Server) warnNoLeadingSpace() {
	s.noSpace.Do(func() {
		s.opt.Logger.Warn("the MTA does not send header values with their leading blank (SMFIP_HDR_LEADSPC): " +
			"DKIM signatures with simple header canonicalization may fail")
	})
}

// A oneShot is a listener for one connection that exists already.
type oneShot struct {
	conn net.Conn
}

// Accept implements net.Listener.
func (o *oneShot) Accept() (net.Conn, error) {
	conn := o.conn
	if conn == nil {
		return nil, net.ErrClosed
	}
	o.conn = nil
	return conn, nil
}

// Close implements net.Listener. The connection is not its own.
func (o *oneShot) Close() error { return nil }

// Addr implements net.Listener.
func (o *oneShot) Addr() net.Addr { return nil }
