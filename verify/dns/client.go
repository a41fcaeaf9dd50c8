package dns

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"
)

// Defaults of ClientOptions.
const (
	defaultResolvConf = "/etc/resolv.conf"
	defaultTimeout    = 8 * time.Second
	defaultRetry      = 700 * time.Millisecond
	defaultConcurrent = 512
	maxServers        = 8
)

// ClientOptions configure a Client. The zero value is useful.
type ClientOptions struct {
	Servers    []string      // addresses of recursive resolvers, "127.0.0.1:5300" or "::1"; nil: those of ResolvConf
	ResolvConf string        // default /etc/resolv.conf; only its nameserver lines count
	Timeout    time.Duration // longest time for one question, all tries together; default 8 s
	Retry      time.Duration // a question without an answer is sent again after this long, at most Timeout/4; default 700 ms
	Concurrent int           // most questions under way at once, the others wait; default 512
	TrustAD    bool          // believe the AD bit of the servers (RFC 6840 Section 5.8): they validate and the path is safe
	Observer   Observer      // hears of every question sent; may be nil
}

// A Client is a stub resolver: it asks recursive resolvers over UDP and TCP. Names are looked up as they are, without
// search domains and /etc/hosts. It is safe for concurrent use.
//
// A question is sent from a socket of its own, with a random port and a random id. While there is no answer it is sent
// again, to the servers in turn; an answer to any of the tries ends them all, so that neither lost packets nor a server
// that is slower than Retry do harm. A server that answers with SERVFAIL, REFUSED or nonsense is not asked that question
// again.
type Client struct {
	*Stub
	wire *wire
}

// NewClient returns a client for the servers of opt.
func NewClient(opt ClientOptions) (*Client, error) {
	servers := opt.Servers
	if len(servers) == 0 {
		var err error
		if servers, err = readResolvConf(cmp.Or(opt.ResolvConf, defaultResolvConf)); err != nil {
			return nil, err
		}
	}
	if len(servers) > maxServers {
		return nil, fmt.Errorf("dns: %d servers are more than the %d that are of use", len(servers), maxServers)
	}
	timeout := opt.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	retry := opt.Retry
	if retry <= 0 {
		retry = defaultRetry
	}
	retry = max(min(retry, timeout/minTries), minRetry)
	concurrent := opt.Concurrent
	if concurrent <= 0 {
		concurrent = defaultConcurrent
	}
	w := &wire{timeout: timeout, retry: retry, trustAD: opt.TrustAD, observer: opt.Observer,
		slots: make(chan struct{}, concurrent)}
	for _, s := range servers {
		addr, err := serverAddress(s)
		if err != nil {
			return nil, err
		}
		w.servers = append(w.servers, &server{addr: addr.String()})
	}
	return &Client{Stub: NewStub(w, opt.TrustAD), wire: w}, nil
}

// Close closes idle connections. Questions under way are not ended: their contexts do that.
func (c *Client) Close() error {
	for _, s := range c.wire.servers {
		s.closeIdle()
	}
	return nil
}

// serverAddress reads "192.0.2.1", "192.0.2.1:53", "2001:db8::1" or "[2001:db8::1]:53". A host name is an error:
// nobody is there to resolve it.
func serverAddress(s string) (netip.AddrPort, error) {
	if ap, err := netip.ParseAddrPort(s); err == nil && ap.Port() != 0 {
		return ap, nil
	}
	if a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")); err == nil {
		return netip.AddrPortFrom(a, 53), nil
	}
	return netip.AddrPort{}, fmt.Errorf("dns: server %q is not an IP address with or without a port", s)
}

// readResolvConf returns the nameserver lines of a resolv.conf(5). Without any, the resolver of this host is meant.
func readResolvConf(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return []string{"127.0.0.1"}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("dns: %w", err)
	}
	var servers []string
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" || len(servers) == maxServers {
			continue
		}
		// As the C library does, a line that is no address is passed over.
		if _, err := serverAddress(f[1]); err == nil {
			servers = append(servers, f[1])
		}
	}
	if len(servers) == 0 {
		servers = []string{"127.0.0.1"}
	}
	return servers, nil
}
