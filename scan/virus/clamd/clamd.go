// Package clamd asks ClamAV's daemon about contents, by the commands INSTREAM, VERSION and PING of clamd(8). It refuses to
// take for clean whatever is not clamd's answer that it is: anything unknown is an error.
package clamd

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"assay/scan/virus"
	"assay/scan/virus/internal/session"
)

// Options say where clamd is and what it may take. Zero values are the defaults.
type Options struct {
	Address         string        // "unix:/run/clamav/clamd.ctl", "tcp:host:port" or "inet:host:port"
	ConnectTimeout  time.Duration // 0: 5 s
	Timeout         time.Duration // of a scan, and of waiting for a free connection; 0: 60 s
	MaxConnections  int           // at a time; 0: 4. clamd scans MaxThreads (10) at a time.
	StreamMaxLength int64         // of clamd.conf, in octets: what is larger is not sent; 0: clamd is left to say so
}

// A Client asks one clamd. It may be used from several goroutines.
type Client struct {
	dialer  *session.Dialer
	limit   int64
	buffers sync.Pool // of *[]byte, for scans
}

var (
	_ virus.Engine  = (*Client)(nil)
	_ virus.Checker = (*Client)(nil)
)

// New returns a Client. It does not connect; the error is about the address.
func New(opt Options) (*Client, error) {
	network, address, err := parseAddress(opt.Address)
	if err != nil {
		return nil, err
	}
	return &Client{
		dialer: session.New(session.Options{
			Network: network, Address: address, ConnectTimeout: opt.ConnectTimeout, Timeout: opt.Timeout, Connections: opt.MaxConnections,
		}),
		limit: opt.StreamMaxLength,
	}, nil
}

// parseAddress returns network and address as package net wants them.
func parseAddress(s string) (network, address string, err error) {
	scheme, rest, _ := strings.Cut(s, ":")
	switch {
	case scheme == "unix" && strings.HasPrefix(rest, "/"):
		return "unix", rest, nil
	case scheme == "tcp" || scheme == "inet":
		if _, port, err := net.SplitHostPort(rest); err == nil && port != "" {
			return "tcp", rest, nil
		}
	}
	return "", "", fmt.Errorf("clamd: address %q: want \"unix:/path\" or \"tcp:host:port\"", s)
}
