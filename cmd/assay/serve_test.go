package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-milter"

	"assay/verify/dns/dnstest"
)

// A journal collects what the daemon writes, and lets tests wait for it.
type journal struct {
	mu    sync.Mutex
	text  bytes.Buffer
	wrote chan struct{}
}

// Write implements io.Writer.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	select {
	case j.wrote <- struct{}{}:
	default:
	}
	return j.text.Write(p)
}

// String returns everything written so far.
func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// await waits until what was written matches a pattern, and returns the submatches.
func (j *journal) await(t *testing.T, pattern string) []string {
	t.Helper()
	re, deadline := regexp.MustCompile(pattern), time.After(20*time.Second)
	for {
		if m := re.FindStringSubmatch(j.String()); m != nil {
			return m
		}
		select {
		case <-j.wrote:
		case <-deadline:
			t.Fatalf("%q did not appear in:\n%s", pattern, j)
		}
	}
}

// A service is a running "assay serve".
type service struct {
	log     *journal
	address string // of the milter
	metrics string // base URL
	config  string // file name
	environ []string
	stop    context.CancelFunc
	exit    chan int
}

const testZone = `$ORIGIN example.
good TXT "v=spf1 ip4:192.0.2.1 -all"
_dmarc.good TXT "v=DMARC1; p=reject; rua=mailto:dmarc@good.example"
`

// serve starts "assay serve" with the given lines in its configuration, and stops it at the end of the test.
func serve(t *testing.T, lines string, environ ...string) *service {
	t.Helper()
	dns := dnstest.New(t, testZone, dnstest.Options{})
	s := &service{log: &journal{wrote: make(chan struct{}, 1)}, config: filepath.Join(t.TempDir(), "assay.yaml"), exit: make(chan int, 1)}
	s.configure(t, fmt.Sprintf("format: 1\nresolver: {servers: [%q]}\n%s", dns.Addr(), lines))
	state, err := os.MkdirTemp("", "as") // not t.TempDir: the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(state) })
	s.environ = append(environ, "ASSAY__LISTEN__MILTER=inet:127.0.0.1:0", "ASSAY__LISTEN__METRICS=127.0.0.1:0",
		"ASSAY__RULES__STATE="+filepath.Join(state, "rules"), "ASSAY__LISTEN__CONTROL="+filepath.Join(state, "control.sock"),
		"ASSAY__LOG__PSEUDONYM_KEY="+filepath.Join(state, "pseudonym.key"))
	a := &app{in: strings.NewReader(""), out: io.Discard, err: s.log, now: time.Now, environ: s.environ}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	go func() { s.exit <- a.run(ctx, []string{"serve", "--config", s.config}) }()
	s.metrics = "http://" + s.log.await(t, `metrics are served" address=(\S+)`)[1]
	s.address = s.log.await(t, `listeners=inet:(\S+)`)[1]
	t.Cleanup(func() {
		cancel()
		if s.exit != nil {
			<-s.exit
		}
	})
	return s
}

// configure writes the configuration file.
func (s *service) configure(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// get returns the body and status of a page of the metrics server.
func (s *service) get(t *testing.T, page string) (string, int) {
	t.Helper()
	r, err := http.Get(s.metrics + page)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), r.StatusCode
}

// dial opens a milter session as an MTA does for a client at 192.0.2.1.
func (s *service) dial(t *testing.T) *milter.ClientSession {
	t.Helper()
	c := milter.NewClientWithOptions("tcp", s.address, milter.ClientOptions{
		Dialer: &net.Dialer{}, ReadTimeout: 20 * time.Second, WriteTimeout: 20 * time.Second,
		ActionMask:   milter.OptAddHeader | milter.OptChangeHeader | milter.OptChangeBody | milter.OptQuarantine,
		ProtocolMask: milter.OptHeaderLeadingSpace})
	session, err := c.Session()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	must := func(a *milter.Action, err error) { proceed(t, a, err) }
	if err := session.Macros(milter.CodeConn, "j", "mx.example.org"); err != nil {
		t.Fatal(err)
	}
	must(session.Conn("mail.good.example", milter.FamilyInet, 4711, "192.0.2.1"))
	must(session.Helo("mail.good.example"))
	return session
}

// proceed fails the test unless the milter lets the MTA go on.
func proceed(t *testing.T, a *milter.Action, err error) {
	t.Helper()
	if err != nil || a.Code != milter.ActContinue {
		t.Fatalf("answer %+v, %v", a, err)
	}
}

// begin sends a message up to the end of its body.
func begin(t *testing.T, session *milter.ClientSession, id, from string) {
	t.Helper()
	must := func(a *milter.Action, err error) { t.Helper(); proceed(t, a, err) }
	if err := session.Macros(milter.CodeMail, "i", id); err != nil {
		t.Fatal(err)
	}
	must(session.Mail(from, nil))
	must(session.Rcpt("bob@example.org", nil))
	must(session.HeaderField("From", " "+from))
	must(session.HeaderEnd())
	must(session.BodyChunk([]byte("hello\r\n")))
}

// send sends a message and returns the fields that are inserted, or the reply that refuses it.
func send(t *testing.T, session *milter.ClientSession, id, from string) (fields map[string]string, refusal string) {
	t.Helper()
	begin(t, session, id, from)
	return finish(t, session)
}

// finish ends a message that was begun.
func finish(t *testing.T, session *milter.ClientSession) (fields map[string]string, refusal string) {
	t.Helper()
	edits, final, err := session.End()
	if err != nil {
		t.Fatal(err)
	}
	fields = map[string]string{}
	for _, e := range edits {
		fields[e.HeaderName] = e.HeaderValue
	}
	if final.Code != milter.ActContinue && final.Code != milter.ActAccept {
		return fields, fmt.Sprintf("%d %s", final.SMTPCode, final.SMTPText)
	}
	return fields, ""
}

// A message gets its header fields, one line in the log without addresses, and is counted.
func TestServe(t *testing.T) {
	s := serve(t, "")
	session := s.dial(t)
	fields, refusal := send(t, session, "4XYZ1", "alice@good.example")
	if refusal != "" || !strings.Contains(fields["Authentication-Results"], "mx.example.org") ||
		!strings.Contains(fields["Authentication-Results"], "dmarc=pass") {
		t.Errorf("fields %q, refusal %q", fields, refusal)
	}
	if _, refusal := send(t, session, "4XYZ2", "alice@good.example"); refusal != "" {
		t.Error(refusal)
	}
	line := s.log.await(t, `(?m)^\S+ 4XYZ2: .*$`)[0]
	for _, want := range []string{"client=192.0.2.0/24", "from_domain=good.example", "rcpt_domains=example.org", "spf=pass",
		"dmarc=pass", "trust=authenticated", "disposition=deliver"} {
		if !strings.Contains(line, " "+want+" ") {
			t.Errorf("%s is missing in %q", want, line)
		}
	}
	if strings.Contains(line, "alice") || strings.Contains(line, "bob") || strings.Contains(line, "192.0.2.1 ") {
		t.Errorf("personal data in %q", line)
	}
	if strings.Count(s.log.String(), "4XYZ1: ") != 1 {
		t.Errorf("not one line for a message:\n%s", s.log)
	}
	text, _ := s.get(t, "/metrics")
	for _, want := range []string{`assay_messages_total{disposition="deliver"} 2`, `assay_auth_results_total{method="dmarc",result="pass"} 2`,
		`assay_connections 1`, `assay_panics_total 0`, `assay_build_info{`, `assay_limits_exceeded_total{limit="body"} 0`,
		`assay_dns_queries_total{result="answer",type="TXT"}`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing in the metrics", want)
		}
	}
	if text, status := s.get(t, "/healthz"); text != "ok\n" || status != 200 {
		t.Errorf("healthz: %d %q", status, text)
	}
}

// SIGHUP puts a new configuration into force without closing connections; a message that has begun keeps the old one; a
// wrong configuration is logged and the old one stays.
func TestReload(t *testing.T) {
	s := serve(t, "")
	session, other := s.dial(t), s.dial(t)
	begin(t, other, "4OLD", "alice@good.example")

	text, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	s.configure(t, string(text)+"identity: {authserv_id: new.example.org}\nlimits: {connections: 7}\n")
	hangUp(t)
	s.log.await(t, `configuration reloaded" changed=identity.authserv_id,limits.connections`)
	s.log.await(t, `only after a restart" keys=limits.connections`)
	if fields, _ := send(t, session, "4NEW", "alice@good.example"); !strings.HasPrefix(strings.TrimSpace(fields["Authentication-Results"]), "new.example.org;") {
		t.Errorf("after the reload: %q", fields)
	}
	if fields, _ := finish(t, other); !strings.HasPrefix(strings.TrimSpace(fields["Authentication-Results"]), "mx.example.org;") {
		t.Errorf("a message from before the reload: %q", fields)
	}

	s.configure(t, "identity: {authserv_id: mx}\nlog: {level: loud}\n")
	hangUp(t)
	s.log.await(t, `problem="identity.authserv_id: \\"mx\\" must be a full host name`)
	s.log.await(t, `problem="log.level: `)
	s.log.await(t, `level=error msg="reload failed, the old configuration stays in force"`)
	if fields, _ := send(t, session, "4SAME", "alice@good.example"); !strings.HasPrefix(strings.TrimSpace(fields["Authentication-Results"]), "new.example.org;") {
		t.Errorf("after a failed reload: %q", fields)
	}
	if text, _ := s.get(t, "/metrics"); !strings.Contains(text, `assay_reload_total{result="error"} 1`) || !strings.Contains(text, `assay_reload_total{result="ok"} 1`) {
		t.Error("reloads are not counted")
	}
}

// hangUp sends SIGHUP to the daemon, which runs in this process.
func hangUp(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// With enforce, a forged message is refused with the words that RFC 9989 asks for.
func TestServeEnforces(t *testing.T) {
	s := serve(t, "verify: {dmarc: {enforce: true}}\n")
	c := s.dial(t)
	proceedHeader := func(a *milter.Action, err error) { t.Helper(); proceed(t, a, err) }
	if err := c.Macros(milter.CodeMail, "i", "4BAD"); err != nil {
		t.Fatal(err)
	}
	proceedHeader(c.Mail("x@other.example", nil))
	proceedHeader(c.Rcpt("bob@example.org", nil))
	proceedHeader(c.HeaderField("From", " alice@good.example"))
	proceedHeader(c.HeaderEnd())
	fields, refusal := finish(t, c)
	if len(fields) > 0 || !strings.HasPrefix(refusal, "550") || !strings.Contains(refusal, "DMARC") {
		t.Errorf("fields %q, refusal %q", fields, refusal)
	}
	s.log.await(t, `4BAD: .*dmarc=fail policy=reject .*disposition=reject rules=dmarc-reject `)
}

// On SIGTERM a message in work is finished, and the service manager hears about every step.
func TestDrainAndNotify(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	heard := func(want string) {
		t.Helper()
		datagram := make([]byte, 4096)
		if err := manager.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		for {
			n, err := manager.Read(datagram)
			if err != nil {
				t.Fatalf("%s was not heard: %v", want, err)
			}
			if strings.Contains(string(datagram[:n]), want) {
				return
			}
		}
	}
	s := serve(t, "", "NOTIFY_SOCKET="+socket, "WATCHDOG_USEC=200000")
	heard("READY=1")
	heard("WATCHDOG=1")
	hangUp(t)
	heard("RELOADING=1\nMONOTONIC_USEC=")
	heard("READY=1")

	session := s.dial(t)
	begin(t, session, "4LAST", "alice@good.example")
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	heard("STOPPING=1")
	if text, status := s.get(t, "/healthz"); status != http.StatusServiceUnavailable || text != "draining\n" {
		t.Errorf("healthz: %d %q", status, text)
	}
	if fields, refusal := finish(t, session); refusal != "" || fields["Authentication-Results"] == "" {
		t.Errorf("the message in work: fields %q, refusal %q", fields, refusal)
	}
	if code := <-s.exit; code != exitDone {
		t.Errorf("exit code %d\n%s", code, s.log)
	}
	s.exit = nil
	s.log.await(t, `msg="assay has stopped" complete=true`)
}

// A daemon that cannot listen does not start, and says why.
func TestServeCannotListen(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine, that loads the rules four times (-short)")
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, tt := range []struct{ environ, want string }{
		{"ASSAY__LISTEN__MILTER=inet:" + taken.Addr().String(), "address already in use"},
		{"ASSAY__LISTEN__MILTER=fd:milter", "passed no socket of this name"},
		{"ASSAY__LISTEN__METRICS=" + taken.Addr().String(), "listen.metrics: "},
		{"ASSAY__LISTEN__SOCKET_GROUP=no-such-group", `group "no-such-group" is not known`},
	} {
		var stderr bytes.Buffer
		socket := filepath.Join(t.TempDir(), "milter.sock")
		environ := []string{"ASSAY__RESOLVER__SERVERS=127.0.0.1", "ASSAY__LISTEN__MILTER=unix:" + socket, tt.environ}
		if strings.Contains(tt.environ, "MILTER=") {
			environ = environ[:1]
			environ = append(environ, tt.environ)
		}
		environ = append(environ, "ASSAY__RULES__STATE="+t.TempDir(), "ASSAY__LISTEN__CONTROL=", "ASSAY__LOG__PSEUDONYM_KEY=")
		a := &app{in: strings.NewReader(""), out: io.Discard, err: &stderr, now: time.Now, environ: environ}
		if code := a.run(context.Background(), []string{"serve"}); code != exitFailed || !strings.Contains(stderr.String(), tt.want) {
			t.Errorf("%s: exit code %d, %s", tt.environ, code, &stderr)
		}
	}
}

func TestWatchdog(t *testing.T) {
	env := func(pairs ...string) func(string) string {
		return (&app{environ: pairs}).getenv
	}
	for _, tt := range []struct {
		environ func(string) string
		want    time.Duration
	}{
		{env(), 0},
		{env("WATCHDOG_USEC=60000000"), 30 * time.Second},
		{env("WATCHDOG_USEC=60000000", "WATCHDOG_PID=17"), 30 * time.Second},
		{env("WATCHDOG_USEC=60000000", "WATCHDOG_PID=18"), 0},
		{env("WATCHDOG_USEC=x"), 0},
	} {
		if got := watchdog(tt.environ, 17); got != tt.want {
			t.Errorf("got %v, want %v", got, tt.want)
		}
	}
}

func TestNeedRestart(t *testing.T) {
	got := needRestart([]string{"identity.authserv_id", "listen.milter", "limits.dns_time", "limits.time", "log.privacy", "log.level"})
	if want := "listen.milter limits.time log.level"; strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
