package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"assay/rules"
	"assay/verify/message"

	"mime/quotedprintable"
)

// An smtpd is a small SMTP server that keeps what it gets.
type smtpd struct {
	ln     net.Listener
	refuse func(command string) string // a reply instead of the usual one, "" for none

	mu    sync.Mutex
	mails []received
}

type received struct {
	from string
	to   []string
	text string
}

func newSMTPD(t *testing.T, refuse func(string) string) *smtpd {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &smtpd{ln: ln, refuse: refuse}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() { ln.Close(); serving.Wait() })
	return s
}

func (s *smtpd) serve(conn net.Conn) {
	defer conn.Close()
	say := func(line string) { fmt.Fprintf(conn, "%s\r\n", line) }
	say("220 test ESMTP")
	var m received
	in := newLines(conn)
	for {
		line, ok := in.next()
		if !ok {
			return
		}
		if s.refuse != nil {
			if reply := s.refuse(line); reply != "" {
				say(reply)
				continue
			}
		}
		switch verb, rest, _ := strings.Cut(line, " "); strings.ToUpper(verb) {
		case "EHLO":
			say("250 test")
		case "MAIL":
			m = received{from: strings.TrimPrefix(rest, "FROM:")}
			say("250 ok")
		case "RCPT":
			m.to = append(m.to, strings.TrimPrefix(rest, "TO:"))
			say("250 ok")
		case "DATA":
			say("354 go on")
			for line, ok := in.next(); ok && line != "."; line, ok = in.next() {
				m.text += strings.TrimPrefix(line, ".") + "\r\n"
			}
			s.mu.Lock()
			s.mails = append(s.mails, m)
			s.mu.Unlock()
			say("250 taken")
		default:
			say("221 bye")
			return
		}
	}
}

func (s *smtpd) all() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]received(nil), s.mails...)
}

// lines reads lines that end in CRLF.
type lines struct {
	r   io.Reader
	buf []byte
}

func newLines(r io.Reader) *lines { return &lines{r: r} }

func (l *lines) next() (string, bool) {
	for {
		if i := bytes.Index(l.buf, []byte("\r\n")); i >= 0 {
			line := string(l.buf[:i])
			l.buf = l.buf[i+2:]
			return line, true
		}
		chunk := make([]byte, 4096)
		n, err := l.r.Read(chunk)
		l.buf = append(l.buf, chunk[:n]...)
		if err != nil && n == 0 {
			return "", false
		}
	}
}

// deliveries collects what a Notifier tells its observer.
type deliveries struct {
	mu  sync.Mutex
	all []Delivery
	c   chan Delivery
}

func newDeliveries() *deliveries { return &deliveries{c: make(chan Delivery, 1000)} }

func (d *deliveries) observe(x Delivery) {
	d.mu.Lock()
	d.all = append(d.all, x)
	d.mu.Unlock()
	d.c <- x
}

func (d *deliveries) list() []Delivery {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]Delivery(nil), d.all...)
}

// start runs a Notifier for the time of a test.
func start(t *testing.T, o Options) (*Notifier, *deliveries, context.CancelFunc) {
	t.Helper()
	d := newDeliveries()
	o.Observe = d.observe
	if o.Hostname == "" {
		o.Hostname = "mx.example.com"
	}
	n, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { n.Run(ctx) })
	stop := func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return n, d, stop
}

func event() Event {
	return Event{
		Time: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC), QueueID: "4XyZ1k2Qz", Sender: "example.net", Disposition: rules.Quarantine,
	}
}

var wanted = []rules.Notification{{Channel: "security", Rule: "macro-document", Title: "Office-Dokument mit Makros – geöffnet"}}

// decode reads a notification as a mail client does.
func decode(t *testing.T, text string) (subject, body string, header mail.Header) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		t.Fatal(err)
	}
	octets, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		t.Fatal(err)
	}
	return subject, string(octets), m.Header
}

func TestMail(t *testing.T) {
	server := newSMTPD(t, nil)
	n, d, _ := start(t, Options{
		Channels: map[string]Channel{"security": {Mail: []string{"soc@example.com", "cert@example.com"}}},
		SMTP:     server.ln.Addr().String(), From: "assay@example.com", Language: "de",
	})
	n.Notify(event(), wanted)
	if got := <-d.c; got.Err != nil || got.Way != "mail" || got.Events != 1 || got.Attempts != 1 {
		t.Fatalf("delivery = %+v", got)
	}
	m := server.all()[0]
	if m.from != "<>" || strings.Join(m.to, " ") != "<soc@example.com> <cert@example.com>" {
		t.Errorf("from %s to %v", m.from, m.to)
	}
	subject, body, header := decode(t, m.text)
	if want := "[Assay] Office-Dokument mit Makros – geöffnet (example.net)"; subject != want {
		t.Errorf("subject = %q, want %q", subject, want)
	}
	for _, want := range []string{"mx.example.com", "Queue-ID: 4XyZ1k2Qz", "Absender-Domain: example.net", "Ergebnis: in Quarantäne",
		"macro-document: Office-Dokument mit Makros – geöffnet", `Kanal "security"`, "2026-11-22 10:00:00 UTC"} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is not in\n%s", want, body)
		}
	}
	if header.Get("Auto-Submitted") != "auto-generated" || header.Get("From") != "Assay <assay@example.com>" {
		t.Errorf("header = %v", header)
	}
	for line := range strings.Lines(m.text) {
		if len(line) > 998 || strings.ContainsFunc(line, func(r rune) bool { return r > '~' }) {
			t.Errorf("line %q", line)
		}
	}
}

func TestEnglish(t *testing.T) {
	n, err := New(Options{Channels: map[string]Channel{"s": {Mail: []string{"a@example.com"}}}, Hostname: "mx"})
	if err != nil {
		t.Fatal(err)
	}
	e := event()
	e.Rules = []Rule{{ID: "a-rule", Title: "A title"}}
	text, _ := n.compose([]string{"a@example.com"}, Notice{Channel: "s", Host: "mx", Events: []Event{e}, Further: 12, Counts: map[string]int{"a-rule": 13}})
	subject, body, _ := decode(t, string(text))
	if subject != "[Assay] 13 messages" || !strings.Contains(body, "12 further events are not listed.") ||
		!strings.Contains(body, "      13  a-rule") || !strings.Contains(body, "Outcome: held in quarantine") {
		t.Errorf("%s\n%s", subject, body)
	}
}

// Nothing that a message says may add a header field, a line or a direction of writing.
func TestEscaping(t *testing.T) {
	server := newSMTPD(t, nil)
	n, d, _ := start(t, Options{Channels: map[string]Channel{"security": {Mail: []string{"soc@example.com"}}}, SMTP: server.ln.Addr().String()})
	e := event()
	e.Sender = "evil.example\r\nBcc: x@example.org\r\n\r\n.\r\nQUIT =?utf-8?q?=0A?= \u202egnp.exe\x1b[2J" + strings.Repeat("a", 1000)
	e.QueueID = "q\r\n.\r\nMAIL FROM:<x>" + strings.Repeat("q", 1000)
	n.Notify(e, []rules.Notification{{Channel: "security", Rule: "r", Title: "T\r\nX-Evil: 1\x00\xff"}})
	<-d.c
	mails := server.all()
	if len(mails) != 1 {
		t.Fatalf("%d mails", len(mails))
	}
	subject, body, header := decode(t, mails[0].text)
	if header.Get("Bcc") != "" || header.Get("X-Evil") != "" || strings.ContainsAny(subject, "\r\n\x1b=") || strings.ContainsAny(body, "\x1b\u202e\x00") {
		t.Errorf("header = %v\nbody = %q", header, body)
	}
	if strings.Contains(body, "\r\n.\r\n") || len(body) > 2500 {
		t.Errorf("body = %q", body)
	}
}

func TestPermanentRefusalIsNotRepeated(t *testing.T) {
	server := newSMTPD(t, func(c string) string {
		if strings.HasPrefix(c, "RCPT") {
			return "550 5.1.1 no such user"
		}
		return ""
	})
	n, d, _ := start(t, Options{Channels: map[string]Channel{"security": {Mail: []string{"soc@example.com"}}}, SMTP: server.ln.Addr().String()})
	n.Notify(event(), wanted)
	if got := <-d.c; got.Err == nil || got.Attempts != 1 || !strings.Contains(got.Err.Error(), "no such user") {
		t.Errorf("delivery = %+v", got)
	}
}

func TestOneRefusedRecipientDoesNotSilenceTheOthers(t *testing.T) {
	server := newSMTPD(t, func(c string) string {
		if strings.HasPrefix(c, "RCPT") && strings.Contains(c, "gone@") {
			return "450 4.2.1 try later"
		}
		return ""
	})
	n, d, _ := start(t, Options{Channels: map[string]Channel{"security": {Mail: []string{"gone@example.com", "soc@example.com"}}}, SMTP: server.ln.Addr().String()})
	n.Notify(event(), wanted)
	if got := <-d.c; got.Err == nil || got.Attempts != 1 || !strings.Contains(got.Err.Error(), "gone@example.com") {
		t.Errorf("delivery = %+v", got)
	}
	if mails := server.all(); len(mails) != 1 || strings.Join(mails[0].to, " ") != "<soc@example.com>" {
		t.Errorf("mails = %+v", mails)
	}
}

func TestTemporaryRefusalIsRepeated(t *testing.T) {
	var mu sync.Mutex
	refusals := 2
	server := newSMTPD(t, func(c string) string {
		mu.Lock()
		defer mu.Unlock()
		if strings.HasPrefix(c, "MAIL") && refusals > 0 {
			refusals--
			return "451 4.3.0 later"
		}
		return ""
	})
	n, d, _ := start(t, Options{
		Channels: map[string]Channel{"security": {Mail: []string{"soc@example.com"}}}, SMTP: server.ln.Addr().String(), Backoff: time.Millisecond,
	})
	n.Notify(event(), wanted)
	if got := <-d.c; got.Err != nil || got.Attempts != 3 || len(server.all()) != 1 {
		t.Errorf("delivery = %+v", got)
	}
}

// A server that never answers costs one attempt, not the program.
func TestSilentServer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	n, d, _ := start(t, Options{
		Channels: map[string]Channel{"security": {Mail: []string{"soc@example.com"}}}, SMTP: ln.Addr().String(),
		Timeout: 20 * time.Millisecond, Attempts: 2, Backoff: time.Millisecond,
	})
	n.Notify(event(), wanted)
	if got := <-d.c; got.Err == nil || got.Attempts != 2 {
		t.Errorf("delivery = %+v", got)
	}
}

func TestStartTLSIsNotGivenUp(t *testing.T) {
	server := newSMTPD(t, nil)
	n, d, _ := start(t, Options{
		Channels: map[string]Channel{"security": {Mail: []string{"soc@example.com"}}}, SMTP: server.ln.Addr().String(), StartTLS: true,
		Attempts: 1,
	})
	n.Notify(event(), wanted)
	if got := <-d.c; got.Err == nil || len(server.all()) != 0 {
		t.Errorf("delivery = %+v, mails %v", got, server.all())
	}
}

func TestWebhook(t *testing.T) {
	var got posted
	var header http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header = r.Header
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	n, d, _ := start(t, Options{Channels: map[string]Channel{"security": {
		Webhook: server.URL + "/hook?secret=1", Header: http.Header{"Authorization": {"Bearer x"}},
	}}})
	n.Notify(event(), append(wanted, wanted...))
	if got := <-d.c; got.Err != nil || got.Way != "webhook" {
		t.Fatalf("delivery = %+v", got)
	}
	if got.Version != 1 || got.Channel != "security" || got.Host != "mx.example.com" || len(got.Events) != 1 || got.Further != 0 ||
		got.Events[0].QueueID != "4XyZ1k2Qz" || len(got.Events[0].Rules) != 1 || got.Events[0].Rules[0].ID != "macro-document" ||
		got.Events[0].Sender != "example.net" || got.Events[0].Disposition != "quarantine" || got.Counts["macro-document"] != 1 {
		t.Errorf("notice = %+v", got)
	}
	if header.Get("Content-Type") != "application/json" || header.Get("Authorization") != "Bearer x" {
		t.Errorf("header = %v", header)
	}
}

func TestWebhookAnswers(t *testing.T) {
	tests := []struct {
		code, attempts int
		ok             bool
	}{{204, 1, true}, {302, 1, false}, {400, 1, false}, {404, 1, false}, {429, 3, false}, {500, 3, false}, {503, 3, false}}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.code), func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", "http://127.0.0.1:1/")
				w.WriteHeader(tt.code)
			}))
			defer server.Close()
			n, d, _ := start(t, Options{
				Channels: map[string]Channel{"c": {Webhook: server.URL + "/?secret=hush"}}, Attempts: 3, Backoff: time.Millisecond,
			})
			n.Notify(event(), []rules.Notification{{Channel: "c", Rule: "r"}})
			got := <-d.c
			if got.Attempts != tt.attempts || (got.Err == nil) != tt.ok {
				t.Errorf("delivery = %+v", got)
			}
			if got.Err != nil && strings.Contains(got.Err.Error(), "hush") {
				t.Errorf("the secret is in %q", got.Err)
			}
		})
	}
}

func TestUnreachableWebhookKeepsItsSecret(t *testing.T) {
	n, d, _ := start(t, Options{Channels: map[string]Channel{"c": {Webhook: "http://127.0.0.1:1/?secret=hush"}}, Attempts: 1})
	n.Notify(event(), []rules.Notification{{Channel: "c", Rule: "r"}})
	if got := <-d.c; got.Err == nil || strings.Contains(got.Err.Error(), "hush") {
		t.Errorf("delivery = %+v", got)
	}
}

// A transport answers requests without a network, so that time can be faked.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A posted is a Notice as a webhook sees it.
type posted struct {
	Version       int
	Host, Channel string
	Events        []struct {
		QueueID     string `json:"queue_id"`
		Sender      string `json:"sender_domain"`
		Disposition string
		Rules       []Rule
	}
	Further int
	Counts  map[string]int
}

func (p posted) events() int { return len(p.Events) + p.Further }

// hook returns a client whose requests end up in the channel.
func hook(answer func() int) (*http.Client, func() []posted) {
	var mu sync.Mutex
	var notices []posted
	return &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		if err := r.Context().Err(); err != nil {
			return nil, err
		}
		var n posted
		if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		notices = append(notices, n)
		return &http.Response{StatusCode: answer(), Body: http.NoBody, Request: r}, nil
	})}, func() []posted { mu.Lock(); defer mu.Unlock(); return slices.Clone(notices) }
}

func ok() int { return 200 }

// The first event is told at once, what follows within the time is told together, and only so much is listed.
func TestDigest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, notices := hook(ok)
		n, _, _ := start(t, Options{Channels: map[string]Channel{"security": {Webhook: "http://x/"}}, Client: client, Every: time.Minute, Details: 3})
		n.Notify(event(), wanted)
		synctest.Wait()
		if len(notices()) != 1 || notices()[0].events() != 1 {
			t.Fatalf("notices = %+v", notices())
		}
		for range 15 {
			n.Notify(event(), wanted)
		}
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if len(notices()) != 1 {
			t.Fatalf("%d notices before the minute is over", len(notices()))
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if len(notices()) != 2 || len(notices()[1].Events) != 3 || notices()[1].Further != 12 || notices()[1].Counts["macro-document"] != 15 {
			t.Fatalf("notices = %+v", notices())
		}
	})
}

// Attempts are made after 0, 5, 15 and 35 seconds; then the events are given up, and that is said.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var at []time.Duration
		client, _ := hook(func() int { at = append(at, time.Since(began)); return 503 })
		n, d, _ := start(t, Options{Channels: map[string]Channel{"security": {Webhook: "http://x/"}}, Client: client, Attempts: 4})
		n.Notify(event(), wanted)
		got := <-d.c
		if fmt.Sprint(at) != "[0s 5s 15s 35s]" || got.Err == nil || got.Attempts != 4 || got.Events != 1 {
			t.Errorf("attempts at %v, delivery %+v", at, got)
		}
	})
}

// What was collected is sent when the program ends; no later than Drain.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, notices := hook(ok)
		n, d, stop := start(t, Options{Channels: map[string]Channel{"security": {Webhook: "http://x/"}}, Client: client})
		n.Notify(event(), wanted)
		synctest.Wait()
		n.Notify(event(), wanted)
		n.Notify(event(), wanted)
		began := time.Now()
		stop()
		if len(notices()) != 2 || notices()[1].events() != 2 || time.Since(began) != 0 {
			t.Errorf("after %v: %+v", time.Since(began), notices())
		}
		n.Notify(event(), wanted)
		last := d.list()[len(d.list())-1]
		if !errors.Is(last.Err, ErrStopped) || last.Events != 1 {
			t.Errorf("after the end: %+v", last)
		}
	})
}

func TestDrainIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})}
		n, d, stop := start(t, Options{
			Channels: map[string]Channel{"security": {Webhook: "http://x/"}}, Client: client, Drain: 3 * time.Second, Timeout: time.Hour,
		})
		n.Notify(event(), wanted)
		synctest.Wait()
		n.Notify(event(), wanted)
		began := time.Now()
		stop()
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("Run ended after %v", took)
		}
		dropped := 0
		for _, x := range d.list() {
			if x.Err == nil {
				t.Errorf("delivery = %+v", x)
			}
			dropped += x.Events
		}
		if dropped != 2 {
			t.Errorf("%d events were said to be dropped, want 2", dropped)
		}
	})
}

// A channel that hangs costs the message path nothing, and memory does not grow with the number of events.
func TestNotifyNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := make(chan int, 10) // how many events the notice that hangs is about
		client := &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			var n posted
			if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
				t.Error(err)
			}
			hangs <- n.events()
			<-r.Context().Done()
			return nil, r.Context().Err()
		})}
		n, _, _ := start(t, Options{Channels: map[string]Channel{"security": {Webhook: "http://x/"}}, Client: client, Timeout: time.Hour})
		began := time.Now()
		var senders sync.WaitGroup
		for range 10 {
			senders.Go(func() {
				for i := range 1000 {
					n.Notify(event(), []rules.Notification{{Channel: "security", Rule: fmt.Sprint("rule ", i)}, {Channel: "security", Rule: fmt.Sprint(i)}})
				}
			})
		}
		senders.Wait()
		synctest.Wait()
		c := n.channels["security"]
		c.mu.Lock()
		defer c.mu.Unlock()
		if took := time.Since(began); took != 0 || len(c.waiting.Events) > defaultDetails || len(c.waiting.Counts) > maxCounted {
			t.Errorf("after %v: %d events, %d counts", took, len(c.waiting.Events), len(c.waiting.Counts))
		}
		if sum := <-hangs + c.waiting.events(); sum != 10_000 {
			t.Errorf("%d events were counted", sum)
		}
	})
}

func TestUnknownChannel(t *testing.T) {
	n, d, _ := start(t, Options{})
	n.Notify(event(), wanted)
	if got := <-d.c; !errors.Is(got.Err, ErrUnknownChannel) || got.Channel != "security" || got.Events != 1 {
		t.Errorf("delivery = %+v", got)
	}
}

func TestOptions(t *testing.T) {
	_, err := New(Options{
		SMTP: "localhost", From: "Nobody <a@b>", Language: "fr", Hostname: "mx",
		Channels: map[string]Channel{"Big": {}, "b": {Mail: []string{"a@b\r\nRCPT TO:<x@y>", "A <a@b>", "ä@b"}}, "w": {Webhook: "ftp://x/secret"}},
	})
	for _, want := range []string{`SMTP server "localhost"`, `sender "Nobody <a@b>"`, `language "fr"`, `channel "Big": a name`,
		`channel "Big" has neither`, `channel "b": recipient "a@b\r\nRCPT TO:<x@y>"`, `recipient "A <a@b>"`, `recipient "ä@b"`, `channel "w": the webhook`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want %q in it", err, want)
		}
	}
	if err != nil && strings.Contains(err.Error(), "secret") {
		t.Errorf("the secret is in %q", err)
	}
}

// own returns the header of a notification as the filter sees it.
func own(t *testing.T, n *Notifier, change func(string) string) message.Header {
	t.Helper()
	text, _ := n.compose([]string{"soc@example.com"}, Notice{Channel: "security", Events: []Event{event()}})
	m, err := message.Read(strings.NewReader(change(string(text))), message.Envelope{}, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m.Header
}

func TestOwn(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	o := Options{Hostname: "mx.example.com", Key: []byte("k"), Now: func() time.Time { return now }}
	n, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	asItIs := func(s string) string { return s }
	h := own(t, n, asItIs)
	if !n.Own(h) {
		t.Error("a notification is not known as one")
	}
	if other, _ := New(o); !other.Own(h) {
		t.Error("a notification of another host with the same key is not known as one")
	}
	if other, _ := New(Options{Hostname: "mx"}); other.Own(h) {
		t.Error("a notification of another key is known as one")
	}
	for name, change := range map[string]func(string) string{
		"another channel":    func(s string) string { return strings.Replace(s, HeaderName+": security", HeaderName+": other", 1) },
		"another Message-ID": func(s string) string { return strings.Replace(s, "Message-ID: <", "Message-ID: <x", 1) },
		"twice":              func(s string) string { return HeaderName + ": security 1 00\r\n" + s },
		"no value":           func(s string) string { return strings.Replace(s, HeaderName+": security", HeaderName+": ", 1) },
		"no number": func(s string) string {
			return strings.Replace(s, HeaderName+": security ", HeaderName+": security x", 1)
		},
	} {
		if n.Own(own(t, n, change)) {
			t.Errorf("%s: the message is known as a notification", name)
		}
	}
	now = now.Add(25 * time.Hour)
	if n.Own(h) {
		t.Error("a notification of yesterday is known as one")
	}
}

func FuzzEvent(f *testing.F) {
	f.Add("4XyZ1k2Qz", "example.net", "Title")
	f.Add("q\r\n.\r\n", "=?utf-8?q?=0A?=\u202e", "\x00\xff\x1b")
	n, err := New(Options{Channels: map[string]Channel{"s": {Mail: []string{"a@example.com"}}}, Hostname: "mx", Language: "de"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, queueID, sender, title string) {
		e := Event{QueueID: queueID, Sender: sender}.clean()
		e.Rules = []Rule{{ID: "r", Title: title}}
		text, _ := n.compose([]string{"a@example.com"}, Notice{Channel: "s", Events: []Event{e}})
		m, err := mail.ReadMessage(bytes.NewReader(text))
		if err != nil || len(m.Header) != 11 {
			t.Fatalf("%v, %d fields in\n%s", err, len(m.Header), text)
		}
		for line := range bytes.Lines(text) {
			if len(line) > 998 || !bytes.HasSuffix(line, []byte("\r\n")) || bytes.ContainsFunc(line, func(r rune) bool {
				return r > '~' || r < ' ' && r != '\r' && r != '\n' && r != '\t'
			}) {
				t.Fatalf("line %q", line)
			}
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
		if err != nil || strings.ContainsAny(subject, "\r\n\x1b\u202e") {
			t.Fatalf("subject %q, %v", subject, err)
		}
	})
}

func BenchmarkNotify(b *testing.B) {
	n, err := New(Options{Channels: map[string]Channel{"security": {Webhook: "http://x/"}}, Hostname: "mx"})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		n.Notify(event(), wanted)
	}
}
