package mtatest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
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
	index   map[key][]int // positions in mail
	changed chan struct{} // closed and renewed with every delivery
	conns   map[net.Conn]bool
}

// A Delivery is one message as it was delivered.
type Delivery struct {
	From string
	To   []string
	Data []byte // as the recipient would get it: CRLF line ends, dots undoubled
}

// A key finds deliveries: by queue identifier, or by recipient.
type key struct{ id, to string }

// NewSink starts a sink on a free port of 127.0.0.1.
func NewSink() (*Sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Sink{listener: l, index: make(map[key][]int), changed: make(chan struct{}), conns: make(map[net.Conn]bool)}
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
func (s *Sink) Queue(id string) []Delivery { return s.find(key{id: id}) }

// To returns the deliveries to an address.
func (s *Sink) To(address string) []Delivery { return s.find(key{to: address}) }

// Wait returns the first delivery of the message that an MTA queued under id, as soon as it is there.
func (s *Sink) Wait(ctx context.Context, id string) (Delivery, error) {
	return s.await(ctx, "queue id "+id, key{id: id})
}

// WaitTo is Wait for a recipient.
func (s *Sink) WaitTo(ctx context.Context, address string) (Delivery, error) {
	return s.await(ctx, address, key{to: address})
}

// await returns the first delivery that a key finds.
func (s *Sink) await(ctx context.Context, what string, k key) (Delivery, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if found := s.find(k); len(found) > 0 {
			return found[0], nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Delivery{}, fmt.Errorf("no delivery for %s: %w", what, ctx.Err())
		}
	}
}

// find returns the deliveries with a key.
func (s *Sink) find(k key) []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Delivery
	for _, at := range s.index[k] {
		found = append(found, s.mail[at])
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
	keys := make(map[key]bool)
	for _, id := range queueIDs(d.Data) {
		keys[key{id: id}] = true
	}
	for _, to := range d.To {
		keys[key{to: to}] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range keys {
		s.index[k] = append(s.index[k], len(s.mail))
	}
	s.mail = append(s.mail, d)
	close(s.changed)
	s.changed = make(chan struct{})
}

// queueIDs returns what stands behind "id" in the header of a message.
func queueIDs(message []byte) []string {
	header, _, _ := bytes.Cut(message, []byte("\r\n\r\n"))
	words := strings.FieldsFunc(string(header), func(r rune) bool { return strings.ContainsRune(" \t\r\n;", r) })
	var ids []string
	for i := 1; i < len(words); i++ {
		if words[i-1] == "id" {
			ids = append(ids, words[i])
		}
	}
	return ids
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
