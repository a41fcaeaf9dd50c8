package clamd

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"assay/scan/virus"
)

// Sizes of what goes over a connection.
const (
	chunkSize = 64 << 10
	maxReply  = 4 << 10 // clamd's longest is the name of a signature
)

// The commands are sent in the form of clamd(8) that ends them and their replies with NUL.
const (
	instream = "zINSTREAM\x00"
	version  = "zVERSION\x00"
	ping     = "zPING\x00"
)

// Scan sends r to clamd. It implements virus.Engine; clamd takes no name. An error that wraps virus.ErrTooLarge or
// virus.ErrRefused is about this content, every other one about clamd, or about reading r.
func (c *Client) Scan(ctx context.Context, _ string, r io.Reader) (virus.Verdict, error) {
	if sized, ok := r.(interface{ Len() int }); ok && c.limit > 0 && int64(sized.Len()) > c.limit {
		return virus.Verdict{}, fmt.Errorf("clamd: %w", virus.ErrTooLarge)
	}
	var v virus.Verdict
	err := c.dialer.Do(ctx, func(conn net.Conn) (err error) {
		v, err = c.scan(conn, r)
		return err
	})
	if err != nil {
		return virus.Verdict{}, fmt.Errorf("clamd: %w", err)
	}
	return v, nil
}

// scan does so over a connection. When clamd closes early, as it does when a stream is larger than StreamMaxLength, writing
// fails and the reply still says why.
func (c *Client) scan(conn net.Conn, r io.Reader) (virus.Verdict, error) {
	buf := c.buffer()
	defer c.buffers.Put(buf)
	unsent, err := c.send(conn, r, *buf)
	if err != nil {
		return virus.Verdict{}, err
	}
	reply, err := readReply(conn, *buf)
	switch {
	case err != nil && unsent != nil:
		return virus.Verdict{}, unsent
	case err != nil:
		return virus.Verdict{}, err
	}
	v, err := parseReply(reply)
	if err == nil && unsent != nil { // a verdict about a part is none
		return virus.Verdict{}, fmt.Errorf("clamd has answered %q before it had everything: %w", reply, unsent)
	}
	return v, err
}

// buffer returns one that holds a chunk with what goes before and after it.
func (c *Client) buffer() *[]byte {
	if buf, ok := c.buffers.Get().(*[]byte); ok {
		return buf
	}
	buf := make([]byte, len(instream)+4+chunkSize+4)
	return &buf
}

// send sends the command, the chunks with their lengths, and the empty chunk that ends them (clamd(8), INSTREAM). A content
// that fits into one chunk costs one write. unsent says why clamd did not take everything; err is about r.
func (c *Client) send(conn net.Conn, r io.Reader, buf []byte) (unsent, err error) {
	start, sent := copy(buf, instream), int64(0)
	for {
		n, err := io.ReadFull(r, buf[start+4:start+4+chunkSize])
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return nil, fmt.Errorf("reading the content: %w", err)
		}
		if sent += int64(n); c.limit > 0 && sent > c.limit {
			return nil, virus.ErrTooLarge
		}
		end := start
		if n > 0 {
			binary.BigEndian.PutUint32(buf[start:], uint32(n))
			end += 4 + n
		}
		if last {
			end += copy(buf[end:], []byte{0, 0, 0, 0})
		}
		if _, err := conn.Write(buf[:end]); err != nil {
			return err, nil
		}
		if last {
			return nil, nil
		}
		start = 0
	}
}

// readReply reads one reply, without the NUL that ends it. Of buf it uses at most maxReply octets.
func readReply(r io.Reader, buf []byte) (string, error) {
	buf = buf[:min(len(buf), maxReply)]
	for n := 0; n < len(buf); {
		k, err := r.Read(buf[n:])
		if i := bytes.IndexByte(buf[n:n+k], 0); i >= 0 {
			if n+i+1 != n+k {
				return "", fmt.Errorf("unexpected reply %q", short(buf[:n+k]))
			}
			return string(buf[:n+i]), nil
		}
		n += k
		switch {
		case err == io.EOF && n == 0:
			return "", fmt.Errorf("connection closed without a reply: %w", io.ErrUnexpectedEOF)
		case err == io.EOF:
			return "", fmt.Errorf("reply %q is cut off: %w", short(buf[:n]), io.ErrUnexpectedEOF)
		case err != nil:
			return "", err
		}
	}
	return "", fmt.Errorf("reply %q goes on and on", short(buf))
}

// short returns the beginning of a reply.
func short(b []byte) string { return string(b[:min(len(b), 100)]) }

// parseReply says what a reply to INSTREAM means. Only clamd's very words that nothing was found are Clean.
func parseReply(reply string) (virus.Verdict, error) {
	result, isResult := strings.CutPrefix(reply, "stream: ")
	name, found := strings.CutSuffix(result, " FOUND")
	switch {
	case reply == "stream: OK":
		return virus.Verdict{Kind: virus.Clean}, nil
	case strings.HasPrefix(reply, "INSTREAM size limit exceeded"):
		return virus.Verdict{}, fmt.Errorf("%w: it is more than StreamMaxLength in clamd.conf", virus.ErrTooLarge)
	case isResult && found && strings.TrimSpace(name) != "":
		return virus.Found(name), nil
	case strings.HasSuffix(reply, " ERROR"):
		return virus.Verdict{}, fmt.Errorf("%w: %q", virus.ErrRefused, short([]byte(reply)))
	}
	return virus.Verdict{}, fmt.Errorf("unexpected reply %q", short([]byte(reply)))
}

// A do is a way to a connection: that of contents, or that of a ping.
type do func(ctx context.Context, talk func(net.Conn) error) error

// command sends a command and returns the reply.
func command(ctx context.Context, do do, command string) (string, error) {
	var reply string
	err := do(ctx, func(conn net.Conn) error {
		if _, err := io.WriteString(conn, command); err != nil {
			return err
		}
		var err error
		reply, err = readReply(conn, make([]byte, maxReply))
		return err
	})
	if err != nil {
		return "", fmt.Errorf("clamd: %w", err)
	}
	return reply, nil
}

// Ping asks whether clamd is there. It implements virus.Engine: clamd answers also when all of its threads are busy.
func (c *Client) Ping(ctx context.Context) error {
	reply, err := command(ctx, c.dialer.Ping, ping)
	if err == nil && reply != "PONG" {
		err = fmt.Errorf("clamd: unexpected reply %q to PING", short([]byte(reply)))
	}
	return err
}

// Version returns what clamd says of itself and its signatures: "ClamAV 1.4.6/27432/Mon Nov 16 09:30:11 2026".
func (c *Client) Version(ctx context.Context) (string, error) {
	reply, err := command(ctx, c.dialer.Do, version)
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(reply, "ClamAV ") {
		return "", fmt.Errorf("clamd: unexpected reply %q to VERSION", short([]byte(reply)))
	}
	return virus.CleanName(reply), nil
}
