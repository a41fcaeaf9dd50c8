// Package icap asks virus scanners about contents by the Internet Content Adaptation Protocol (RFC 3507), as web proxies do:
// the content is sent as the answer of a web server (RESPMOD) or as an upload (REQMOD), and what the service changes says what
// it thinks. Whatever is not a clear answer is an error, and what comes back changed is never clean.
//
// It refuses to be a general client: each request has a connection of its own, and nothing that comes back is used but the
// verdict.
package icap

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"

	"assay/scan/virus"
	"assay/scan/virus/internal/session"
)

// Options say where a service is and what it may take. Zero values are the defaults.
type Options struct {
	URL            string        // "icap://host:1344/service", or with TLS "icaps://host:11344/service"; the ports may be left out
	TLS            *tls.Config   // for icaps; nil is the system's
	Request        bool          // send contents as uploads (REQMOD), for services that look only into those
	Preview        int           // the most octets that are sent for a preview; 0: defaultPreview. The service may want fewer, or none.
	ConnectTimeout time.Duration // 0: 5 s
	Timeout        time.Duration // of a scan, and of waiting for a free connection; 0: 60 s
	MaxConnections int           // at a time; 0: 4. The service may allow less.
}

// A Client asks one ICAP service. It may be used from several goroutines.
type Client struct {
	url     string // as in requests
	host    string // as in Host fields
	method  string
	preview int
	options session.Options
	dialer  *session.Dialer // for OPTIONS, until the service has said how many connections it allows

	mu    sync.Mutex
	known *service                // what OPTIONS has said; nil when it has to be asked again
	fewer map[int]*session.Dialer // for services that allow fewer connections, by their number
}

var (
	_ virus.Engine  = (*Client)(nil)
	_ virus.Checker = (*Client)(nil)
)

// Ports where an address names none. That of icap is RFC 3507 Section 4.2; that of icaps is custom.
const (
	port    = "1344"
	portTLS = "11344"
)

// defaultPreview is as short as can be. By a preview services tell the type of a content, and many then wave it through: of
// c-icap's virus_scan, as Debian configures it, PDF and PNG files come back as unmodified without a scan, also after an empty
// preview or without any. By one octet it cannot tell the type, and scans.
const defaultPreview = 1

// New returns a Client. It does not connect; the error is about the address.
func New(opt Options) (*Client, error) {
	u, err := url.Parse(opt.URL)
	if err != nil {
		return nil, fmt.Errorf("icap: address: %w", err)
	}
	if u.Scheme != "icap" && u.Scheme != "icaps" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return nil, fmt.Errorf("icap: address %q: want \"icap://host:port/service\" or \"icaps://host:port/service\"", opt.URL)
	}
	address := net.JoinHostPort(u.Hostname(), port)
	var secure *tls.Config
	if u.Scheme == "icaps" {
		address = net.JoinHostPort(u.Hostname(), portTLS)
		secure = opt.TLS.Clone()
		if secure == nil {
			secure = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		if secure.ServerName == "" {
			secure.ServerName = u.Hostname()
		}
	}
	if u.Port() != "" {
		address = u.Host
	}
	c := &Client{url: u.String(), host: u.Host, method: "RESPMOD", fewer: map[int]*session.Dialer{}}
	if c.preview = opt.Preview; c.preview <= 0 {
		c.preview = defaultPreview
	}
	if opt.Request {
		c.method = "REQMOD"
	}
	c.options = session.Options{
		Network: "tcp", Address: address, TLS: secure, ConnectTimeout: opt.ConnectTimeout, Timeout: opt.Timeout, Connections: opt.MaxConnections,
	}
	c.dialer = session.New(c.options)
	return c, nil
}
