package setup

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"
)

// handshakeTime is how long a milter may take to say that it is one.
const handshakeTime = 5 * time.Second

// Handshake negotiates as an MTA does and leaves again: a milter that answers SMFIC_OPTNEG is alive, one that only accepts
// connections may not be.
func Handshake(ctx context.Context, network, address string) error {
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(handshakeTime))
	// Version 6, every action, no protocol steps left out.
	offer := []byte{0, 0, 0, 13, 'O', 0, 0, 0, 6, 0, 0, 1, 0xff, 0, 0x1f, 0xff, 0xff}
	if _, err := conn.Write(offer); err != nil {
		return err
	}
	var head [5]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return fmt.Errorf("no milter: %w", err)
	}
	if n := binary.BigEndian.Uint32(head[:4]); head[4] != 'O' || n < 13 || n > 1<<16 {
		return fmt.Errorf("no milter: it answered %q", head[:])
	}
	_, _ = conn.Write([]byte{0, 0, 0, 1, 'Q'})
	return nil
}
