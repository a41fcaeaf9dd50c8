package icap

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"

	"assay/scan/virus"
	"assay/scan/virus/internal/session"
)

// maxPreview bounds the preview that a service may ask for, in octets.
const maxPreview = 64 << 10

// A service is what OPTIONS says about one (RFC 3507 Section 4.10).
type service struct {
	name    string // Service, as in "C-ICAP/0.5.10 server - Antivirus service"
	tag     string // ISTag, which changes with the signatures and the configuration
	preview int    // octets; -1: none wanted
	dialer  *session.Dialer
}

// service returns what is known about the service, and asks it if nothing is.
func (c *Client) service(ctx context.Context) (*service, error) {
	c.mu.Lock()
	known := c.known
	c.mu.Unlock()
	if known != nil {
		return known, nil
	}
	s, err := c.ask(ctx, c.dialer.Do)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = s
	return s, nil
}

// forget makes the next scan ask the service what it is: after an error, or when its ISTag has changed (RFC 3507
// Section 4.7). That does for Options-TTL, because every answer has an ISTag.
func (c *Client) forget(s *service) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == s {
		c.known = nil
	}
}

// ask sends OPTIONS by a way to a connection: that of contents, or that of a ping.
func (c *Client) ask(ctx context.Context, do func(context.Context, func(net.Conn) error) error) (*service, error) {
	var resp response
	err := do(ctx, func(conn net.Conn) error {
		head := "OPTIONS " + c.url + " ICAP/1.0\r\nHost: " + c.host + "\r\nUser-Agent: Assay\r\nConnection: close\r\nEncapsulated: null-body=0\r\n\r\n"
		if _, err := io.WriteString(conn, head); err != nil {
			return err
		}
		var err error
		resp, err = readResponse(bufio.NewReader(conn))
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case resp.status != 200:
		return nil, refusal(resp.head)
	}
	return c.describe(resp.fields)
}

// describe reads the answer to OPTIONS.
func (c *Client) describe(f fields) (*service, error) {
	methods := strings.FieldsFunc(strings.ToUpper(strings.Join(f["methods"], ",")), func(r rune) bool { return r == ',' || r == ' ' })
	if len(methods) > 0 && !slices.Contains(methods, c.method) {
		return nil, fmt.Errorf("the service takes %s, but not %s", short(strings.Join(methods, ", ")), c.method)
	}
	s := &service{name: f.get("service"), tag: strings.Trim(f.get("istag"), `"`), preview: -1, dialer: c.dialer}
	if n, err := strconv.Atoi(f.get("preview")); err == nil && n >= 0 {
		s.preview = min(n, maxPreview, c.preview)
	}
	// RFC 3507 Section 4.10.2: the number of connections that the service keeps with one client.
	if n, err := strconv.Atoi(f.get("max-connections")); err == nil && n > 0 && n < c.connections() {
		s.dialer = c.allow(n)
	}
	return s, nil
}

// allow returns the dialer that opens so many connections at a time. There is one for all who ask, also after an error and a new
// answer to OPTIONS, so that a service in distress does not get more of them.
func (c *Client) allow(connections int) *session.Dialer {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.fewer[connections]
	if d == nil {
		opt := c.options
		opt.Connections = connections
		d = session.New(opt)
		c.fewer[connections] = d
	}
	return d
}

// connections returns how many connections the options allow.
func (c *Client) connections() int {
	if c.options.Connections > 0 {
		return c.options.Connections
	}
	return session.DefaultConnections
}

// Ping asks for the options of the service. It implements virus.Engine.
func (c *Client) Ping(ctx context.Context) error {
	if _, err := c.ask(ctx, c.dialer.Ping); err != nil {
		return fmt.Errorf("icap: %w", err)
	}
	return nil
}

// Check asks the service what it is and has it scan size octets. It implements virus.Checker.
func (c *Client) Check(ctx context.Context, size int64) (virus.Health, error) {
	s, err := c.ask(ctx, c.dialer.Do)
	if err != nil {
		return virus.Health{}, fmt.Errorf("icap: %w", err)
	}
	health := virus.Health{Version: virus.CleanName(strings.TrimSpace(s.name + " " + s.tag))}
	v, err := c.Scan(ctx, "check", io.LimitReader(zeros{}, max(size, 1)))
	switch {
	case err != nil:
		return health, err
	case v.Kind == virus.Infected:
		return health, fmt.Errorf("icap: the service takes %d octets without anything in them for malware (%s)", size, v.Name)
	case v.Kind != virus.Clean:
		health.Warnings = append(health.Warnings,
			fmt.Sprintf("The ICAP service does not look into %d octets (%s), the size of the largest message: raise its limits.", size, v.Name))
	}
	return health, nil
}

// zeros is an endless content without anything in it.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
