// Package notify tells people that rules have fired: by mail, by a webhook, or by both. A rule names a channel, the
// configuration says who is behind it.
//
// A notification says which rules fired for which queue id and which sender domain; it holds nothing else of the message,
// and what it holds is escaped. Rules that fire a thousand times an hour do not make a thousand mails: after the
// first notification a channel collects what comes for Options.Every and sends one digest.
//
// What it refuses to do: it never delays a message, it never waits for a channel on the message's path, and it never
// notifies about its own mail. Mail goes out with the null reverse-path and as auto-generated (RFC 5321 Section 4.5.5,
// RFC 3834 Section 5), so that nothing answers it.
package notify

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/mail"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"assay/rules"
)

// Options configure a Notifier.
type Options struct {
	Channels map[string]Channel
	From     string // address of the sender; default postmaster@Hostname
	SMTP     string // host:port of the server that takes mail; default 127.0.0.1:25
	StartTLS bool   // ask for TLS (RFC 3207) with a certificate that is valid for the host of SMTP; without it mail goes in the clear
	Hostname string // name of this host, in EHLO and Message-ID; default os.Hostname
	Language string // of mail: "en" or "de"; default "en"

	Every    time.Duration // shortest time between two notifications of one channel; default 1 min
	Details  int           // most events that one notification lists, the others are only counted; default 20
	Attempts int           // how often a delivery is tried; default 5
	Backoff  time.Duration // time before the second attempt, doubled for each further one; default 5 s
	Timeout  time.Duration // how long one attempt may take; default 20 s
	Drain    time.Duration // how long Run goes on delivering after its context has ended; default 5 s

	// Key authenticates the notifications' own header field, see Own. Hosts that filter each other's notifications share
	// one. Default: a random one.
	Key []byte
	// Observe hears of every delivery and of everything that was dropped. It is called concurrently. May be nil.
	Observe func(Delivery)
	Client  *http.Client     // for webhooks; default: one that follows no redirects
	Now     func() time.Time // default time.Now
}

// A Channel is who is told. It has recipients of mail, a webhook, or both.
type Channel struct {
	Mail    []string    // addresses
	Webhook string      // URL that gets a POST of one Notice as JSON
	Header  http.Header // additional fields of that request, such as Authorization
}

// An Event is one message about which somebody wants to know.
type Event struct {
	Time        time.Time         `json:"time"`
	QueueID     string            `json:"queue_id"`
	Sender      string            `json:"sender_domain"` // domain of the author
	Disposition rules.Disposition `json:"disposition"`
	Rules       []Rule            `json:"rules"` // set by Notify
}

// A Rule is one rule that has fired.
type Rule struct {
	ID    string `json:"id"`
	Title string `json:"title"`
}

// A Notice is what a channel gets at a time: one event, or a digest.
type Notice struct {
	Version int            `json:"version"` // 1
	Host    string         `json:"host"`
	Channel string         `json:"channel"`
	Events  []Event        `json:"events"`  // the first ones
	Further int            `json:"further"` // how many more there were
	Counts  map[string]int `json:"counts"`  // how often each rule fired, by id, over all events
}

// A Delivery is how the delivery of one notice ended.
type Delivery struct {
	Channel  string
	Way      string // "mail" or "webhook"; "" if it did not come that far
	Events   int    // how many events the notice is about
	Attempts int
	Err      error // nil if it was delivered; else the events were dropped
}

// Errors of a Delivery.
var (
	ErrUnknownChannel = errors.New("notify: no such channel")
	ErrStopped        = errors.New("notify: the program has ended")
)

// Defaults of Options.
const (
	defaultSMTP     = "127.0.0.1:25"
	defaultEvery    = time.Minute
	defaultDetails  = 20
	defaultAttempts = 5
	defaultBackoff  = 5 * time.Second
	defaultTimeout  = 20 * time.Second
	defaultDrain    = 5 * time.Second
)

// withDefaults returns o with every unset field filled in.
func (o Options) withDefaults() Options {
	if o.Hostname == "" {
		o.Hostname, _ = os.Hostname()
	}
	if o.Hostname == "" {
		o.Hostname = "localhost"
	}
	if o.From == "" {
		o.From = "postmaster@" + o.Hostname
	}
	if o.SMTP == "" {
		o.SMTP = defaultSMTP
	}
	if o.Language == "" {
		o.Language = "en"
	}
	setDefault(&o.Every, defaultEvery)
	setDefault(&o.Details, defaultDetails)
	setDefault(&o.Attempts, defaultAttempts)
	setDefault(&o.Backoff, defaultBackoff)
	setDefault(&o.Timeout, defaultTimeout)
	setDefault(&o.Drain, defaultDrain)
	if len(o.Key) == 0 {
		o.Key = make([]byte, 32)
		_, _ = rand.Read(o.Key) // never fails
	}
	if o.Observe == nil {
		o.Observe = func(Delivery) {}
	}
	if o.Client == nil {
		o.Client = newClient()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// newClient returns a client that talks to the configured address and to no other one.
func newClient() *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// setDefault replaces a value that is not positive.
func setDefault[T int | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// check returns everything that is wrong with o.
func (o Options) check() error {
	var errs []error
	if _, _, err := net.SplitHostPort(o.SMTP); err != nil {
		errs = append(errs, fmt.Errorf("notify: SMTP server %q is not HOST:PORT", o.SMTP))
	}
	if !plainAddress(o.From) {
		errs = append(errs, fmt.Errorf("notify: sender %q is not a mail address in ASCII", o.From))
	}
	if _, ok := languages[o.Language]; !ok {
		errs = append(errs, fmt.Errorf("notify: language %q is not one of de, en", o.Language))
	}
	names := make([]string, 0, len(o.Channels))
	for name := range o.Channels {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		errs = append(errs, o.Channels[name].check(name))
	}
	return errors.Join(errs...)
}

// check returns everything that is wrong with a channel.
func (c Channel) check(name string) error {
	var errs []error
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		errs = append(errs, fmt.Errorf("notify: channel %q: a name has lower-case letters, digits, dashes and underscores", name))
	}
	if len(c.Mail) == 0 && c.Webhook == "" {
		errs = append(errs, fmt.Errorf("notify: channel %q has neither recipients nor a webhook", name))
	}
	for _, address := range c.Mail {
		if !plainAddress(address) {
			errs = append(errs, fmt.Errorf("notify: channel %q: recipient %q is not a mail address in ASCII", name, address))
		}
	}
	if c.Webhook != "" {
		if u, err := url.Parse(c.Webhook); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			errs = append(errs, fmt.Errorf("notify: channel %q: the webhook is not a URL that begins with https:// or http://", name))
		}
	}
	return errors.Join(errs...)
}

// plainAddress says whether s is an address without a name that can stand in an SMTP command as it is.
func plainAddress(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && a.Name == "" &&
		!strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '<' || r == '>' })
}
