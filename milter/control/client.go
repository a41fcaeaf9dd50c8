package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

// maxResponse bounds what Call reads.
const maxResponse = 64 << 20

// Errors of Call.
var (
	ErrNotRunning = errors.New("the daemon is not running")
	ErrPermission = errors.New("permission denied")
	ErrNoAnswer   = errors.New("the daemon gave no answer")
)

// Call asks the daemon behind the socket at path for one command. Without a deadline in ctx it waits for as long as a
// command may take. The error says that there is no answer; that the command failed is in the Response.
func Call(ctx context.Context, path string, r Request) (Response, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, defaultTimeout+defaultIdle)
		defer cancel()
	}
	r.Version = Version
	text, err := json.Marshal(r)
	if err != nil {
		return Response{}, fmt.Errorf("control: the request cannot be written: %w", err)
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return Response{}, dialError(path, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	response, err := exchange(conn, text)
	if err != nil && ctx.Err() != nil {
		return response, fmt.Errorf("control: %w on %s: %w", ErrNoAnswer, path, ctx.Err())
	}
	return response, err
}

// dialError says in words why nobody answers.
func dialError(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("control: %w (there is no socket %s)", ErrNotRunning, path)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("control: %w (nobody listens at %s)", ErrNotRunning, path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("control: %w: user %d may not connect to %s; try it as root", ErrPermission, os.Geteuid(), path)
	}
	return fmt.Errorf("control: %w", err)
}

// exchange writes a request and reads the response.
func exchange(conn net.Conn, request []byte) (Response, error) {
	var r Response
	// A server that refuses the connection answers before it has read; the answer tells more than a failed write.
	_, failed := conn.Write(append(request, '\n'))
	line, err := bufio.NewReader(io.LimitReader(conn, maxResponse)).ReadBytes('\n')
	if errors.Is(err, io.EOF) && len(line) >= maxResponse {
		return r, fmt.Errorf("control: the answer has more than %d octets", maxResponse)
	}
	if err != nil {
		return r, fmt.Errorf("control: %w: %w", ErrNoAnswer, errors.Join(failed, err))
	}
	if err := json.Unmarshal(bytes.TrimSpace(line), &r); err != nil {
		return r, fmt.Errorf("control: the answer cannot be read: %w", err)
	}
	if r.Version != Version {
		return r, fmt.Errorf("control: the daemon speaks version %d, this program version %d; was assay updated without a restart?", r.Version, Version)
	}
	return r, nil
}
