// Package fetch gets what certificates point to, issuers, CRLs and OCSP responses, and keeps it in a directory. The URLs
// come from strangers, so a Client only does what such a URL may cause: one GET over http to port 80 of a public address,
// without redirects, proxies, cookies or credentials, within limits of size, time and rate.
//
// RFC 5280 Sections 4.2.1.13 and 4.2.2.1, RFC 6960 Appendix A.1, RFC 6890 (special-purpose addresses).
package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options configure a Client. The zero value is useful.
type Options struct {
	Timeout   time.Duration // to resolve, to connect, and until the response begins, each; 0 means 2 seconds
	PerHost   int           // requests to one host in a minute; 0 means 30
	Global    int           // requests to all hosts in a minute; 0 means 300
	Parallel  int           // requests under way; 0 means 8
	Negative  time.Duration // how long a URL that failed is not asked again; 0 means 1 hour
	UserAgent string        // "" means none
	Internal  []string      // hosts that may have addresses which are not public: those of the operator's own authorities
	Now       func() time.Time
	Resolver  *net.Resolver // nil means net.DefaultResolver

	// AllowLoopback lets tests ask servers of their own, on any port of 127.0.0.0/8 and ::1. It must not be set otherwise.
	AllowLoopback bool
}

// The causes of failure. Every error of Fetch wraps one of them, or is that of the context.
var (
	ErrRefused = errors.New("fetch: not allowed") // the URL or its address
	ErrLimit   = errors.New("fetch: too large")
	ErrRate    = errors.New("fetch: too many requests")
	ErrFailed  = errors.New("fetch: failed") // now, or not long ago
)

// A Client fetches over http. It implements pki.Fetcher and is safe for concurrent use.
type Client struct {
	o      Options
	client *http.Client
	slots  chan struct{}

	mu     sync.Mutex
	all    bucket
	hosts  map[string]*bucket
	failed map[string]time.Time
}

// maxHosts and maxFailed bound what is remembered.
const (
	maxHosts  = 1024
	maxFailed = 4096
)

// New returns a Client.
func New(o Options) *Client {
	o.Timeout = orDefault(o.Timeout, 2*time.Second)
	o.PerHost = orDefault(o.PerHost, 30)
	o.Global = orDefault(o.Global, 300)
	o.Parallel = orDefault(o.Parallel, 8)
	o.Negative = orDefault(o.Negative, time.Hour)
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Client{
		o:      o,
		slots:  make(chan struct{}, o.Parallel),
		hosts:  map[string]*bucket{},
		failed: map[string]time.Time{},
	}
	// The address is checked when the connection is made, after the name was resolved: a name that is resolved twice may
	// have two answers.
	guarded := &net.Dialer{Timeout: o.Timeout, Resolver: o.Resolver, Control: c.control}
	internal := &net.Dialer{Timeout: o.Timeout, Resolver: o.Resolver}
	c.client = &http.Client{
		Transport: &http.Transport{
			Proxy: nil, // not from the environment
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				if host, _, err := net.SplitHostPort(address); err == nil && c.internal(host) {
					return internal.DialContext(ctx, network, address)
				}
				return guarded.DialContext(ctx, network, address)
			},
			ResponseHeaderTimeout:  o.Timeout,
			IdleConnTimeout:        10 * time.Second,
			MaxIdleConns:           o.Parallel,
			MaxIdleConnsPerHost:    1,
			MaxResponseHeaderBytes: 32 << 10,
			DisableCompression:     true, // or a small answer becomes a large one
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

func orDefault[T int | time.Duration](value, fallback T) T {
	if value <= 0 {
		return fallback
	}
	return value
}

// Fetch gets a URL. An answer of more than limit octets is an error.
func (c *Client) Fetch(ctx context.Context, rawURL string, limit int64) ([]byte, error) {
	u, err := c.check(rawURL)
	if err != nil {
		return nil, err
	}
	if err := c.admit(rawURL, strings.ToLower(u.Hostname())); err != nil {
		return nil, err
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	data, err := c.get(ctx, u, limit)
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		c.note(rawURL)
	}
	return data, err
}

// Close closes connections that are kept open.
func (c *Client) Close() { c.client.CloseIdleConnections() }

// check refuses URLs that are nothing an authority would have.
func (c *Client) check(rawURL string) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("%w: not a URL", ErrRefused)
	}
	port := u.Port()
	switch {
	case !strings.EqualFold(u.Scheme, "http"), u.Opaque != "":
		return nil, fmt.Errorf("%w: only http is fetched", ErrRefused)
	case u.User != nil, u.Hostname() == "":
		return nil, fmt.Errorf("%w: not a plain URL", ErrRefused)
	case port != "" && port != "80" && !c.o.AllowLoopback:
		return nil, fmt.Errorf("%w: only port 80 is asked", ErrRefused)
	}
	u.Fragment = ""
	return u, nil
}

// control refuses addresses just before a connection is made to them.
func (c *Client) control(network, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || !strings.HasPrefix(network, "tcp") {
		return fmt.Errorf("%w: address %q", ErrRefused, address)
	}
	if c.o.AllowLoopback && ap.Addr().Unmap().IsLoopback() {
		return nil
	}
	if ap.Port() != 80 || !Global(ap.Addr()) {
		return fmt.Errorf("%w: address %s", ErrRefused, address)
	}
	return nil
}

// internal says whether the operator named a host as one of his own.
func (c *Client) internal(host string) bool {
	return slices.ContainsFunc(c.o.Internal, func(h string) bool { return strings.EqualFold(h, host) })
}

// special are the networks of RFC 6890 and its registries that are not globally reachable, or lead to an address that is
// not visible here.
const special = "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 " +
	"192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 " +
	"224.0.0.0/4 240.0.0.0/4"

// Global says whether an address is one of the public internet. Of IPv6 that is 2000::/3 without what lies in it for
// documentation, benchmarking, tunnels and translation.
func Global(a netip.Addr) bool {
	if a.Zone() != "" || !a.IsValid() {
		return false
	}
	a = a.Unmap()
	networks := special
	if a.Is6() {
		if !netip.MustParsePrefix("2000::/3").Contains(a) {
			return false // among them ::1, fe80::/10, fc00::/7, 64:ff9b::/96, ::ffff:0:0/96
		}
		networks = "2001::/23 2001:db8::/32 2002::/16 3fff::/20"
	}
	for p := range strings.FieldsSeq(networks) {
		if netip.MustParsePrefix(p).Contains(a) {
			return false
		}
	}
	return true
}

// failure says why there is no response, without the URL, which the caller knows.
func failure(err error) error {
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err
	}
	var dial *net.OpError
	if errors.Is(err, ErrRefused) && errors.As(err, &dial) {
		return dial.Err
	}
	return fmt.Errorf("%w: %w", ErrFailed, err)
}

func (c *Client) get(ctx context.Context, u *url.URL, limit int64) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	request.Header["User-Agent"] = nil
	if c.o.UserAgent != "" {
		request.Header.Set("User-Agent", c.o.UserAgent)
	}
	response, err := c.client.Do(request)
	if err != nil {
		return nil, failure(err)
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%w: status %d", ErrFailed, response.StatusCode)
	case response.ContentLength > limit:
		return nil, fmt.Errorf("%w: %d octets, at most %d are read", ErrLimit, response.ContentLength, limit)
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrFailed, err)
	case int64(len(data)) > limit:
		return nil, fmt.Errorf("%w: more than %d octets", ErrLimit, limit)
	}
	return data, nil
}

// admit says whether a request may be made now.
func (c *Client) admit(rawURL, host string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.o.Now()
	if until, ok := c.failed[rawURL]; ok && now.Before(until) {
		return fmt.Errorf("%w not long ago", ErrFailed)
	}
	delete(c.failed, rawURL)
	b := c.hosts[host]
	if b == nil {
		if len(c.hosts) >= maxHosts {
			clear(c.hosts)
		}
		b = &bucket{}
		c.hosts[host] = b
	}
	if !b.has(now, c.o.PerHost) || !c.all.has(now, c.o.Global) {
		return ErrRate
	}
	b.spent++
	c.all.spent++
	return nil
}

// note remembers a failure.
func (c *Client) note(rawURL string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.failed) >= maxFailed {
		clear(c.failed)
	}
	c.failed[rawURL] = c.o.Now().Add(c.o.Negative)
}

// A bucket counts the requests of one minute.
type bucket struct {
	began time.Time
	spent int
}

func (b *bucket) has(now time.Time, limit int) bool {
	if now.Sub(b.began) >= time.Minute || now.Before(b.began) {
		*b = bucket{began: now}
	}
	return b.spent < limit
}
