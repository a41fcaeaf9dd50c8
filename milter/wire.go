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
	"sync"
	"time"
)

const (
	readBuffer   = 4 << 10  // small packets are read together, large ones past it
	growStep     = 4 << 10  // memory for a packet grows with what has arrived of it, not with what it claims
	flushAt      = 64 << 10 // pending output that is sent without waiting for more
	keepMemory   = 4 << 10  // memory that an idle connection keeps for its packets
	packetHeader = 4        // octets of the length in front of each packet
)

// Progress packets keep the MTA waiting: Sendmail gives up after 10 s by default, Postfix after 300 s.
const (
	firstProgress    = time.Second
	progressInterval = 3 * time.Second
)

// errPacket means that the peer does not speak the milter protocol.
var errPacket = errors.New("milter: not a packet of the milter protocol")

// timeouts are the limits of a wire, as in Options.
type timeouts struct {
	idle, packet, write time.Duration
}

// A wire is the connection to one MTA, seen as packets. It stands between the network and go-milter: it reads whole
// packets within their limits, lets the session answer those that go-milter does not know, and hands the others over in
// canonical form. Output is collected and sent when the next packet has to be waited for, so that an answer is one
// write: small writes meet the delayed acknowledgements of the peer and cost 45 ms each.
//
// Reading belongs to the goroutine of go-milter. Writing is safe from several.
type wire struct {
	net.Conn
	limit    timeouts
	max      int                                                      // largest packet, command included
	consume  func(code byte, payload []byte) (consumed bool, e error) // asked for every packet before go-milter
	onClose  func(cause error)                                        // called once, in the goroutine that reads
	in       *bufio.Reader
	received bool   // at least one packet has arrived
	packet   []byte // the packet as it arrived: command and payload
	view     []byte // what go-milter has yet to read of it
	viewMem  [8]byte
	cause    error // why reading ended
	once     sync.Once

	mu     sync.Mutex
	out    []byte
	broken error // first write error; final
}

// payload returns the data of the packet that go-milter is working on. It is valid until the next Read.
func (w *wire) payload() []byte { return w.packet[1:] }

// Read gives go-milter the canonical form of the next packet. Every end of the connection is io.EOF to it: the cause goes
// to onClose.
func (w *wire) Read(p []byte) (int, error) {
	for len(w.view) == 0 {
		if err := w.next(); err != nil {
			w.cause = err
			return 0, io.EOF
		}
	}
	n := copy(p, w.view)
	w.view = w.view[n:]
	return n, nil
}

// next reads one packet and has it consumed or puts it into view.
func (w *wire) next() error {
	if !w.buffered() {
		if err := w.beforeWait(); err != nil {
			return err
		}
	}
	if err := w.readPacket(); err != nil {
		return err
	}
	code := w.packet[0]
	if consumed, err := w.consume(code, w.packet[1:]); consumed || err != nil {
		return err
	}
	view, ok := canonical(w.viewMem[:0], code)
	if !ok {
		return fmt.Errorf("%w: command %q", errPacket, code)
	}
	w.view = view
	return nil
}

// beforeWait lets the MTA go on: it sends the pending answers, or at least acknowledges what has none.
func (w *wire) beforeWait() error {
	sent, err := w.flushPending()
	if !sent && w.received {
		acknowledge(w.Conn)
	}
	return err
}

// buffered reports whether a whole packet can be read without waiting.
func (w *wire) buffered() bool {
	if w.in.Buffered() < packetHeader {
		return false
	}
	head, _ := w.in.Peek(packetHeader)
	return uint64(binary.BigEndian.Uint32(head)) <= uint64(w.in.Buffered()-packetHeader)
}

// readPacket reads the next packet whole. The silence before it may be long, except before the first one, which every
// MTA sends at once; the packet itself may not.
func (w *wire) readPacket() error {
	silence := w.limit.idle
	if !w.received {
		silence = w.limit.packet
	}
	w.SetReadDeadline(time.Now().Add(silence))
	if _, err := w.in.Peek(1); err != nil {
		return err
	}
	w.SetReadDeadline(time.Now().Add(w.limit.packet))
	var head [packetHeader]byte
	if _, err := io.ReadFull(w.in, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || uint64(n) > uint64(w.max) {
		return fmt.Errorf("%w: length %d", errPacket, n)
	}
	w.received = true
	return w.readBody(int(n))
}

// readBody reads n octets into w.packet.
func (w *wire) readBody(n int) error {
	w.packet = w.packet[:0]
	for len(w.packet) < n {
		have := len(w.packet)
		step := min(n-have, max(growStep, have))
		w.packet = slices.Grow(w.packet, step)[:have+step]
		if _, err := io.ReadFull(w.in, w.packet[have:]); err != nil {
			return err
		}
	}
	return nil
}

// release gives back the memory of large packets. The current packet must not be needed any more.
func (w *wire) release() {
	if cap(w.packet) > keepMemory {
		w.packet = nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.out) == 0 && cap(w.out) > keepMemory {
		w.out = nil
	}
}

// Write collects output. It may be called with parts of a packet.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out = append(w.out, p...)
	if err := w.written(); err != nil {
		return 0, err
	}
	return len(p), nil
}

// send collects one packet. An error is final, and also ends reading.
func (w *wire) send(r response) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out = binary.BigEndian.AppendUint32(w.out, uint32(1+len(r.data)))
	w.out = append(append(w.out, r.code), r.data...)
	return w.written()
}

// written sends pending output when there is much of it. The caller holds the lock.
func (w *wire) written() error {
	if len(w.out) >= flushAt {
		w.flush()
	}
	return w.broken
}

// Flush sends what was collected.
func (w *wire) Flush() error {
	_, err := w.flushPending()
	return err
}

// flushPending is Flush. It also reports whether there was anything to send.
func (w *wire) flushPending() (sent bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	sent = len(w.out) > 0
	w.flush()
	return sent, w.broken
}

// flush is Flush for callers that hold the lock.
func (w *wire) flush() {
	if w.broken != nil || len(w.out) == 0 {
		w.out = w.out[:0]
		return
	}
	w.SetWriteDeadline(time.Now().Add(w.limit.write))
	_, w.broken = w.Conn.Write(w.out)
	w.out = w.out[:0]
}

// keepAlive sends progress packets until stop is called. After stop has returned none is sent any more: a progress packet
// between two edits makes Postfix fail the message. When the MTA is gone it calls lost.
func (w *wire) keepAlive(lost context.CancelCauseFunc) (stop func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		timer := time.NewTimer(firstProgress)
		defer timer.Stop()
		for {
			select {
			case <-done:
				return
			case <-timer.C:
			}
			w.send(response{code: actProgress})
			if err := w.Flush(); err != nil {
				lost(err)
				return
			}
			timer.Reset(progressInterval)
		}
	})
	return func() {
		close(done)
		running.Wait()
	}
}

// Close implements net.Conn for go-milter, which calls it once at the end of the session.
func (w *wire) Close() error {
	w.Flush() // answers to packets that arrived together with QUIT
	err := w.Conn.Close()
	w.once.Do(func() { w.onClose(w.cause) })
	return err
}

// cut closes the connection from another goroutine; the session then ends by itself.
func (w *wire) cut() { w.Conn.Close() }
