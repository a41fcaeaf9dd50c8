// Package e2e tests the product as a whole: real MTAs, the real program, and a DNS server of its own. What can be said
// as a text is a case in testdata; what needs a clock, a signal or a thousand messages is a test in Go.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"assay/cmd/internal/mtatest"
	"assay/milter"
)

// A lane is a Postfix and a Sendmail that ask the same milter, and one sink behind both. The milter comes and goes:
// the program, or a server in the test.
type lane struct {
	dir      string
	port     int // where the milter listens for Sendmail
	sink     *mtatest.Sink
	postfix  *mtatest.Postfix
	sendmail *mtatest.Sendmail
}

// A setup says how the MTAs of a lane differ from plain ones.
type setup struct {
	main   map[string]string // main.cf parameters of Postfix
	times  string            // Sendmail's timeouts towards the milter
	before string            // what happens before the program runs, see mtatest.DaemonOptions; {state} is the rig's directory
}

// newLane starts the MTAs. One that is not installed is left out, loudly; where ASSAY_REQUIRE_MTA is set it fails the
// test.
func newLane(t *testing.T, s setup) *lane {
	t.Helper()
	if testing.Short() {
		t.Skip("real MTAs take too long for -short")
	}
	dir, err := os.MkdirTemp("", "assay-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l := &lane{dir: dir}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if l.port, err = mtatest.FreePort(); err != nil {
		t.Fatal(err)
	}
	if l.sink, err = mtatest.NewSink(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.sink.Close() })
	l.postfix, err = mtatest.StartPostfix(mtatest.PostfixOptions{Milter: "unix:" + l.socket(), Sink: l.sink, Main: s.main})
	if available(t, err) {
		t.Cleanup(func() { _ = l.postfix.Close() })
	}
	l.sendmail, err = mtatest.StartSendmail(mtatest.SendmailOptions{
		Milter: fmt.Sprintf("inet:%d@127.0.0.1", l.port), Sink: l.sink, Times: s.times})
	if available(t, err) {
		t.Cleanup(func() { _ = l.sendmail.Close() })
	}
	if l.postfix == nil && l.sendmail == nil {
		t.Skip("no MTA can be run here")
	}
	return l
}

// available reports whether an MTA runs.
func available(t *testing.T, err error) bool {
	t.Helper()
	switch {
	case err == nil:
		return true
	case errors.Is(err, mtatest.ErrUnavailable) && os.Getenv("ASSAY_REQUIRE_MTA") == "":
		t.Logf("NOT TESTED WITH THIS MTA: %v", err)
		return false
	}
	t.Fatal(err)
	return false
}

// socket is where the milter listens for Postfix.
func (l *lane) socket() string { return filepath.Join(l.dir, "m.sock") }

// mtas returns the MTAs that run.
func (l *lane) mtas() []mtatest.MTA {
	var all []mtatest.MTA
	if l.postfix != nil {
		all = append(all, l.postfix)
	}
	if l.sendmail != nil {
		all = append(all, l.sendmail)
	}
	return all
}

// each runs a test with every MTA.
func (l *lane) each(t *testing.T, test func(t *testing.T, m mtatest.MTA)) {
	for _, m := range l.mtas() {
		t.Run(m.Name(), func(t *testing.T) { test(t, m) })
	}
}

// serve makes a milter server of this process answer the lane until the test ends.
func (l *lane) serve(t *testing.T, h milter.Handler, opt milter.Options) {
	t.Helper()
	unix, err := net.Listen("unix", l.socket())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(l.socket(), 0o666); err != nil {
		t.Fatal(err)
	}
	inet, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", l.port))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	opt.DrainTimeout = 10 * time.Second
	go func() { ended <- milter.NewServer(h, opt).Serve(ctx, unix, inet) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("milter: %v", err)
		}
	})
}

// connect opens an SMTP session as a client with an address of 127.0.0.0/8.
func connect(t *testing.T, m mtatest.MTA, local string) *mtatest.Client {
	t.Helper()
	c, err := mtatest.Dial(m.Addr(), netip.MustParseAddr(local))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Expect(250, "EHLO client.example"); err != nil {
		t.Fatal(err)
	}
	return c
}

// send sends a message and fails the test unless the reply has the code.
func send(t *testing.T, c *mtatest.Client, env mtatest.Envelope, message string, code int) mtatest.Reply {
	t.Helper()
	reply, err := c.Send(env, []byte(message))
	if err != nil {
		t.Fatal(err)
	}
	if reply.Code != code {
		t.Fatalf("reply %s, want %d", reply, code)
	}
	return reply
}

// delivered returns what was delivered of the message that got this reply.
func (l *lane) delivered(t *testing.T, reply mtatest.Reply) []byte {
	t.Helper()
	d, err := l.sink.Wait(t.Context(), reply.QueueID())
	if err != nil {
		t.Fatalf("%s: %v", reply, err)
	}
	return d.Data
}

// held waits until a message is delivered or held, and returns what the queue says of it if it is held.
func (l *lane) held(t *testing.T, m mtatest.MTA, id string) (mtatest.Queued, bool) {
	t.Helper()
	for deadline, wait := time.Now().Add(time.Minute), 5*time.Millisecond; time.Now().Before(deadline); wait *= 2 {
		if len(l.sink.Queue(id)) > 0 {
			return mtatest.Queued{}, false
		}
		if time.Sleep(wait); wait < 40*time.Millisecond {
			continue // most are delivered at once, and asking Postfix for its queue takes a program
		}
		for _, q := range queue(t, m) {
			if q.ID == id && q.Held {
				return q, true
			}
		}
	}
	t.Fatalf("%s is neither delivered nor held", id)
	return mtatest.Queued{}, false
}

// ruleDir makes a directory of files.
func ruleDir(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	writeFiles(t, dir, files)
	return dir
}

// writeFiles writes files into a directory, and below it.
func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(text), 0o644))
	}
}

// between is the envelope of a mail from one address to another.
func between(from string, to ...string) mtatest.Envelope { return mtatest.Envelope{From: from, To: to} }

// crlf turns the line ends of a text into those of SMTP.
func crlf(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }

// fields cuts a header into its fields, each with its folding and without the final CRLF.
func fields(message []byte) (header []string, body string) {
	text := string(message)
	head, body, found := strings.Cut("\r\n"+text, "\r\n\r\n")
	if !found {
		head = strings.TrimSuffix(head, "\r\n")
	}
	for line := range strings.SplitSeq(strings.TrimPrefix(head, "\r\n"), "\r\n") {
		if line != "" && (line[0] == ' ' || line[0] == '\t') && len(header) > 0 {
			header[len(header)-1] += "\r\n" + line
		} else if line != "" {
			header = append(header, line)
		}
	}
	return header, body
}

// named returns the fields with a name.
func named(header []string, name string) []string {
	var found []string
	for _, f := range header {
		if n, _, _ := strings.Cut(f, ":"); strings.EqualFold(strings.TrimSpace(n), name) {
			found = append(found, f)
		}
	}
	return found
}
