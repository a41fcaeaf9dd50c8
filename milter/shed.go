package milter

import (
	"sync/atomic"
	"time"
)

// When all connections are taken, those are closed that nobody misses: an MTA sends its offer as soon as it is connected, and
// one whose client is idle between two messages asks the client to repeat the next one.
const (
	shedSilent = time.Second            // after this time one that has not said anything yet
	shedIdle   = 5 * time.Second        // after this time one without a message
	shedEvery  = 100 * time.Millisecond // how often such a connection is looked for
	shedReport = time.Minute            // how often the log says how many were closed
)

// An idleness says how long a session has had nothing to do. It is read by other goroutines.
type idleness struct {
	since  atomic.Int64 // when the last packet came or the last message ended, in nanoseconds since the server was made
	spoken atomic.Bool  // the MTA has made its offer
	busy   atomic.Bool  // there is a message
	shed   atomic.Bool  // it is being closed for want of connections
}

// touch notes that something happens on the connection.
func (s *session) touch() { s.idle.since.Store(int64(time.Since(s.server.began))) }

// dispensable returns for how long the session has been idle, and whether it may be closed for that.
func (s *session) dispensable(now int64) (idle time.Duration, ok bool) {
	idle = time.Duration(now - s.idle.since.Load())
	grace := shedIdle
	if !s.idle.spoken.Load() {
		grace = shedSilent
	}
	return idle, idle >= grace && !s.idle.busy.Load() && !s.idle.shed.Load()
}

// A shedding is what the log has yet to say about closed connections.
type shedding struct {
	closed int
	said   time.Time
}

// slot takes a connection slot, and makes room if there is none. It reports false when the shutdown begins.
func (s *Server) slot() bool {
	select {
	case s.connections <- struct{}{}:
		return true
	default:
	}
	ticker := time.NewTicker(shedEvery)
	defer ticker.Stop()
	for {
		s.shed()
		select {
		case s.connections <- struct{}{}:
			return true
		case <-s.stopping:
			return false
		case <-ticker.C:
		}
	}
}

// shed closes the session that has been idle for longest, those first that have never spoken.
func (s *Server) shed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	var chosen *session
	var longest time.Duration
	now := int64(time.Since(s.began))
	for candidate := range s.sessions {
		idle, ok := candidate.dispensable(now)
		if !ok {
			continue
		}
		better := chosen == nil || idle > longest
		if chosen != nil && candidate.idle.spoken.Load() != chosen.idle.spoken.Load() {
			better = chosen.idle.spoken.Load()
		}
		if better {
			chosen, longest = candidate, idle
		}
	}
	if chosen == nil {
		return
	}
	chosen.idle.shed.Store(true)
	chosen.wire.cut()
	s.count(EventShed, 1)
	s.shedding.closed++
	if s.shedding.said.IsZero() || time.Since(s.shedding.said) >= shedReport {
		s.opt.Logger.Warn("all connections are taken (limits.connections), idle ones are closed", "limit", s.opt.MaxConnections,
			"closed", s.shedding.closed, "idle", longest.Round(time.Second))
		s.shedding = shedding{said: time.Now()}
	}
}
