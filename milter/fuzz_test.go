package milter

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"assay/milter/plan"
	"assay/verify/message"
)

// A stream is a connection whose MTA has sent everything already and reads all answers.
type stream struct {
	net.Conn // never used
	in       *bytes.Reader
	size     int // largest read
	mu       sync.Mutex
	out      bytes.Buffer
}

func (s *stream) Read(p []byte) (int, error) { return s.in.Read(p[:min(len(p), s.size)]) }
func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(p)
}
func (*stream) Close() error                     { return nil }
func (*stream) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (*stream) SetReadDeadline(time.Time) error  { return nil }
func (*stream) SetWriteDeadline(time.Time) error { return nil }

// A balance is a Handler that counts what begins and what ends.
type balance struct{ begun, done atomic.Int64 }

func (b *balance) Begin(_ context.Context, env *message.Envelope, h message.Header) Pending {
	b.begun.Add(1)
	if h.Count("X-Panic") > 0 {
		panic("asked for")
	}
	return balanced{b}
}

type balanced struct{ *balance }

func (balanced) Handle(_ context.Context, m *message.Message, caps plan.Capabilities) plan.Plan {
	switch {
	case m.Header.Count("X-Panic-Handle") > 0:
		panic("asked for")
	case m.Header.Count("X-Refuse") > 0:
		return plan.Refusal(550, "5.7.1", m.Envelope.MailFrom)
	}
	var body bytes.Buffer
	io.Copy(&body, m.Body())
	p, err := plan.Build([]plan.Op{{Kind: plan.InsertHeader, Name: "X", Value: "y"}, {Kind: plan.ReplaceBody, Body: plan.Bytes(body.Bytes())}}, caps)
	if err != nil {
		return plan.Plan{}
	}
	return p
}

func (b balanced) Done(error) { b.done.Add(1) }

// FuzzSession feeds a session with whatever somebody may send. It must end by itself, answer in whole packets, answer every
// command once, and tell the handler of the end of every message once.
func FuzzSession(f *testing.F) {
	offer := raw('O', "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff")
	head := raw('D', "Ci\x00x\x00") + raw('C', "h\x006\x12\x34IPv6:::1\x00") + raw('H', "x\x00") + raw('M', "<a@b>\x00SIZE=1\x00") + raw('R', "<c@d>\x00")
	for _, seed := range []string{
		"", head, head + raw('L', "From\x00 a\x00") + raw('N', "") + raw('B', "x\r\n") + raw('E', "") + raw('A', "") + raw('Q', ""),
		head + raw('L', "a\x00b\x00c\x00") + raw('E', ""), head + raw('N', "") + raw('N', ""), head + raw('B', "x") + raw('L', "a\x00b\x00"),
		raw('E', "") + raw('K', "") + head, raw('T', "") + raw('U', "x\x00") + offer, "\x00\x00\x00\x00", "\xff\xff\xff\xffxx", raw('x', ""),
		head + raw('L', "X-Panic\x00\x00") + raw('N', "") + raw('E', ""), head + raw('L', "X-Panic-Handle\x00\x00") + raw('E', "") + head,
		head + raw('L', "X-Refuse\x00\x00") + raw('E', "") + raw('M', ""), raw('C', "") + raw('D', "") + raw('D', "M"),
	} {
		f.Add([]byte(offer+seed), uint16(4096))
		f.Add([]byte(seed), uint16(3))
	}
	f.Fuzz(func(t *testing.T, input []byte, size uint16) {
		h, conn := new(balance), &stream{in: bytes.NewReader(input), size: int(size) + 1}
		panics := new(tally)
		s := NewServer(h, Options{Observer: panics, MaxRecipients: 5, Message: message.Limits{Fields: 5, HeaderOctets: 200, BodyOctets: 300}})
		s.connections <- struct{}{}
		s.serve(conn)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		ended := make(chan struct{})
		go func() { s.running.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-ctx.Done():
			t.Fatal("the session hangs")
		}
		if begun, done := h.begun.Load(), h.done.Load(); done > begun || begun-done > int64(panics.of(EventPanic)) {
			t.Errorf("%d messages were begun and %d ended", begun, done)
		}
		if got, want := answers(t, conn.out.Bytes()), commands(input); got != want {
			t.Errorf("%d answers to %d commands", got, want)
		}
	})
}

// answers counts final answers in what a session has written.
func answers(t *testing.T, out []byte) (n int) {
	for len(out) > 0 {
		if len(out) < 5 {
			t.Fatalf("part of a packet: %q", out)
		}
		size := binary.BigEndian.Uint32(out)
		if size == 0 || int(size) > len(out)-4 {
			t.Fatalf("packet of %d octets, %d are left", size, len(out)-4)
		}
		if strings.ContainsRune("Ocy", rune(out[4])) {
			n++
		} else if !strings.ContainsRune("imbq", rune(out[4])) {
			t.Fatalf("answer %q", out[4])
		}
		out = out[4+size:]
	}
	return n
}

// commands counts the commands of input that have an answer, up to the one that ends the session.
func commands(input []byte) (n int) {
	negotiated := false
	for len(input) > 4 {
		size := uint64(binary.BigEndian.Uint32(input))
		if size == 0 || size > 256<<10 || size > uint64(len(input)-4) {
			return n
		}
		code, data := input[4], input[5:4+size]
		input = input[4+size:]
		switch {
		case code == 'O' && len(data) >= 12 && binary.BigEndian.Uint32(data) >= 2:
			negotiated = true
			n++
		case code == 'O' || !negotiated || code == 'Q' || !strings.ContainsRune("CHMRLNBETUDAK", rune(code)):
			return n
		case !strings.ContainsRune("DAK", rune(code)):
			n++
		}
	}
	return n
}
