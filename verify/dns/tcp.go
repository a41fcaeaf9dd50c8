package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	mdns "github.com/miekg/dns"
)

// A connection is kept for a moment after use: the names of one message tend to sit behind the same large answers. RFC
// 7766 Section 6.2.3 leaves it to the server to close earlier.
const (
	maxIdle     = 4
	idleTimeout = 3 * time.Second
)

// An idleConn is a TCP connection without a question under way.
type idleConn struct {
	conn  net.Conn
	timer *time.Timer // closes it
}

// overTCP asks again over TCP: RFC 7766 Section 5.
func (s *server) overTCP(ctx context.Context, q *mdns.Msg) (*mdns.Msg, error) {
	packet, err := q.Pack()
	if err != nil {
		return nil, err
	}
	if conn := s.takeIdle(); conn != nil {
		// The server may have closed it just now; then a new connection is tried.
		if m, err := s.askTCP(ctx, conn, packet, q); err == nil || ctx.Err() != nil {
			return m, err
		}
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return nil, fmt.Errorf("over TCP: %w", plain(err))
	}
	return s.askTCP(ctx, conn, packet, q)
}

// askTCP asks on one connection, and keeps it if all went well.
func (s *server) askTCP(ctx context.Context, conn net.Conn, packet []byte, q *mdns.Msg) (*mdns.Msg, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	m, err := exchangeTCP(conn, packet, q)
	if !stop() || err != nil {
		_ = conn.Close()
	} else {
		s.putIdle(conn)
	}
	if err != nil {
		return nil, fmt.Errorf("over TCP: %w", plain(err))
	}
	return m, nil
}

// exchangeTCP writes a packet and reads the response: two octets of length and the message, RFC 1035 Section 4.2.2.
func exchangeTCP(conn net.Conn, packet []byte, q *mdns.Msg) (*mdns.Msg, error) {
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, len(packet)+2), uint16(len(packet)))
	if _, err := conn.Write(append(framed, packet...)); err != nil {
		return nil, err
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, closedEarly(err)
	}
	reply := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, reply); err != nil {
		return nil, closedEarly(err)
	}
	// A connection carries one question at a time: whatever is no answer to it makes the connection useless.
	return readReply(reply, q)
}

// closedEarly tells the end of the stream, which is a failure to reach the server, in words.
func closedEarly(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &networkError{errors.New("connection closed"), false}
	}
	return err
}

// takeIdle returns a connection that is open and unused, or nil.
func (s *server) takeIdle() net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.idle) > 0 {
		last := s.idle[len(s.idle)-1]
		s.idle = s.idle[:len(s.idle)-1]
		if last.timer.Stop() {
			return last.conn
		}
	}
	return nil
}

// putIdle keeps a connection for the next question.
func (s *server) putIdle(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) == maxIdle {
		_ = conn.Close()
		return
	}
	s.idle = append(s.idle, idleConn{conn, time.AfterFunc(idleTimeout, func() { s.drop(conn) })})
}

// drop closes a connection that was idle for too long.
func (s *server) drop(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.idle {
		if s.idle[i].conn == conn {
			s.idle = append(s.idle[:i], s.idle[i+1:]...)
			break
		}
	}
	_ = conn.Close()
}

// closeIdle closes all connections that are not in use.
func (s *server) closeIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.idle {
		c.timer.Stop()
		_ = c.conn.Close()
	}
	s.idle = nil
}
