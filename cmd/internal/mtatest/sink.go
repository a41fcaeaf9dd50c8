package mtatest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// A Sink is an SMTP server that accepts every message and keeps it octet by octet.
type Sink struct {
	listener net.Listener
	handled  sync.WaitGroup

	mu      sync.Mutex
	mail    []Delivery
	changed chan struct{} // closed and renewed with every delivery
	conns   map[net.Conn]bool
}

// A Delivery is one message as it was delivered.
type Delivery struct {
	From string
	To   []string
	Data []byte // as the recipient would get it: CRLF line ends, dots undoubled
}

// NewSink starts a sink on a free port of 127.0.0.1.
func NewSink() (*Sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Sink{listener: l, changed: make(chan struct{}), conns: make(map[net.Conn]bool)}
	s.handled.Go(s.serve)
	return s, nil
}

// Addr returns the address of the sink.
func (s *Sink) Addr() string { return s.listener.Addr().String() }

// Close ends the sink with all its connections.
func (s *Sink) Close() error {
	err := s.listener.Close()
	s.mu.Lock()
	for conn := range s.conns {
		_ = conn.Close()
	}
	s.mu.Unlock()
	s.handled.Wait()
	return err
}

// All returns everything that was delivered so far, in order of arrival.
func (s *Sink) All() []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mail)
}

// Queue returns the deliveries of the message that an MTA queued under id: none, one, or several if something delivers
// twice. The identifier is looked for in the Received fields, where both MTAs write it.
func (s *Sink) Queue(id string) []Delivery {
	received := regexp.MustCompile(`\bid ` + regexp.QuoteMeta(id) + `\b`)
	return s.find(func(d Delivery) bool {
		header, _, _ := bytes.Cut(d.Data, []byte("\r\n\r\n"))
		return received.Match(header)
	})
}

// To returns the deliveries to an address.
func (s *Sink) To(address string) []Delivery {
	return s.find(func(d Delivery) bool { return slices.Contains(d.To, address) })
}

// Wait returns the first delivery of the message that an MTA queued under id, as soon as it is there.
func (s *Sink) Wait(ctx context.Context, id string) (Delivery, error) {
	return s.await(ctx, "queue id "+id, func() []Delivery { return s.Queue(id) })
}

// WaitTo is Wait for a recipient.
func (s *Sink) WaitTo(ctx context.Context, address string) (Delivery, error) {
	return s.await(ctx, address, func() []Delivery { return s.To(address) })
}

// await returns the first delivery that look finds.
func (s *Sink) await(ctx context.Context, what string, look func() []Delivery) (Delivery, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if found := look(); len(found) > 0 {
			return found[0], nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Delivery{}, fmt.Errorf("no delivery for %s: %w", what, ctx.Err())
		}
	}
}

// find returns the deliveries that match.
func (s *Sink) find(match func(Delivery) bool) []Delivery {
	var found []Delivery
	for _, d := range s.All() {
		if match(d) {
			found = append(found, d)
		}
	}
	return found
}

// serve accepts connections until Close.
func (s *Sink) serve() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[conn] = true
		s.mu.Unlock()
		s.handled.Go(func() { s.session(conn) })
	}
}

// session speaks SMTP with one client. What is wrong with a client ends its connection.
func (s *Sink) session(conn net.Conn) {
	defer func() {
		_ = conn.Close()
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
	}()
	r := bufio.NewReader(conn)
	reply := func(text string) { _, _ = conn.Write([]byte(text + "\r\n")) }
	reply("220 sink.test ESMTP")
	var d Delivery
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
		switch {
		case verb == "EHLO":
			reply("250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 0")
		case verb == "MAIL":
			d = Delivery{From: path(line)}
			reply("250 2.1.0 Ok")
		case verb == "RCPT":
			d.To = append(d.To, path(line))
			reply("250 2.1.5 Ok")
		case verb == "DATA":
			reply("354 End data with <CR><LF>.<CR><LF>")
			if d.Data, err = readData(r); err != nil {
				return
			}
			s.keep(d)
			reply("250 2.0.0 Ok")
		case verb == "QUIT":
			reply("221 2.0.0 Bye")
			return
		default:
			d = Delivery{} // HELO, RSET and NOOP; NOOP is not sent within a transaction
			reply("250 2.0.0 Ok")
		}
	}
}

// keep adds a delivery and wakes those who wait.
func (s *Sink) keep(d Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mail = append(s.mail, d)
	close(s.changed)
	s.changed = make(chan struct{})
}

// path returns what stands in angle brackets.
func path(line string) string {
	_, rest, _ := strings.Cut(line, "<")
	address, _, _ := strings.Cut(rest, ">")
	return address
}

// readData reads a message up to its final dot (RFC 5321 Section 4.5.2).
func readData(r *bufio.Reader) ([]byte, error) {
	var data []byte
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		if bytes.Equal(line, []byte(".\r\n")) {
			return data, nil
		}
		data = append(data, bytes.TrimPrefix(line, []byte("."))...)
	}
}
