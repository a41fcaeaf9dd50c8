// Package session opens connections to virus scanners: not more than allowed at a time, each for one request, none longer
// than it may take. It knows nothing of what is said over them.
package session

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"time"

	"assay/scan/virus"
)

// Limits that hold where Options say nothing.
const (
	DefaultConnectTimeout = 5 * time.Second
	DefaultTimeout        = 60 * time.Second
	DefaultConnections    = 4
)

// pingTime is the most that asking whether a scanner is there may take: even a busy one takes the question at once.
const pingTime = 5 * time.Second

// Options say where a scanner is and what it may take.
type Options struct {
	Network        string // "unix" or "tcp"
	Address        string // path, or host and port
	TLS            *tls.Config
	ConnectTimeout time.Duration // 0: DefaultConnectTimeout; the TLS handshake is part of it
	Timeout        time.Duration // 0: DefaultTimeout
	Connections    int           // 0: DefaultConnections
}

// A Dialer opens connections. It may be used from several goroutines.
type Dialer struct {
	opt   Options
	slots chan struct{}
}

// New returns a Dialer. It does not connect.
func New(opt Options) *Dialer {
	opt.ConnectTimeout = cmp.Or(max(opt.ConnectTimeout, 0), DefaultConnectTimeout)
	opt.Timeout = cmp.Or(max(opt.Timeout, 0), DefaultTimeout)
	opt.Connections = cmp.Or(max(opt.Connections, 0), DefaultConnections)
	return &Dialer{opt: opt, slots: make(chan struct{}, opt.Connections)}
}

// Do waits until a connection is allowed, opens it, and calls talk with it. Waiting, and then connecting and talking, take
// at most the timeout each. When ctx ends, or the time is over, the connection is closed under talk; the error says why. It
// wraps virus.ErrBusy if no connection was allowed in time.
func (d *Dialer) Do(ctx context.Context, talk func(net.Conn) error) error {
	if err := d.wait(ctx); err != nil {
		return err
	}
	defer func() { <-d.slots }()
	return d.talk(ctx, d.opt.Timeout, talk)
}

// Ping is Do for a short question and a short answer, on a connection besides those that are allowed: it is to tell whether
// the scanner is there while all of these wait for it. It takes no longer than half of the timeout, nor than pingTime.
func (d *Dialer) Ping(ctx context.Context, talk func(net.Conn) error) error {
	return d.talk(ctx, min(d.opt.Timeout/2, pingTime), talk)
}

// talk opens a connection and calls talk with it.
func (d *Dialer) talk(ctx context.Context, limit time.Duration, talk func(net.Conn) error) error {
	late := fmt.Errorf("no answer within %v: %w", limit, context.DeadlineExceeded)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, late)
	defer cancel()
	conn, err := d.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	err = talk(conn)
	if err != nil && ctx.Err() != nil { // the error is that of a closed connection
		return context.Cause(ctx)
	}
	return err
}

// wait takes a slot.
func (d *Dialer) wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	select {
	case d.slots <- struct{}{}:
		return nil
	default:
	}
	busy := fmt.Errorf("%w: all %d were in use for %v", virus.ErrBusy, d.opt.Connections, d.opt.Timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, d.opt.Timeout, busy)
	defer cancel()
	select {
	case d.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// dial connects.
func (d *Dialer) dial(ctx context.Context) (net.Conn, error) {
	late := fmt.Errorf("no connection within %v: %w", d.opt.ConnectTimeout, context.DeadlineExceeded)
	limited, cancel := context.WithTimeoutCause(ctx, d.opt.ConnectTimeout, late)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(limited, d.opt.Network, d.opt.Address)
	if err == nil && d.opt.TLS != nil {
		secure := tls.Client(conn, d.opt.TLS)
		if err = secure.HandshakeContext(limited); err != nil {
			_ = conn.Close()
		}
		conn = secure
	}
	if err == nil {
		return conn, nil
	}
	if limited.Err() != nil {
		return nil, context.Cause(limited)
	}
	return nil, d.advise(err)
}

// advise adds to an error of a unix socket what to do about it.
func (d *Dialer) advise(err error) error {
	switch {
	case d.opt.Network != "unix":
		return err
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w (is the scanner running, and is this the path of its socket?)", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w (the user of this process must be in the group of the socket; for Debian's clamd: adduser <user> clamav)", err)
	}
	return fmt.Errorf("%w (is the scanner running?)", err)
}
