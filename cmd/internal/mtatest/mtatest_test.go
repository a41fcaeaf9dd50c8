package mtatest

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// newSink returns a sink that ends with the test.
func newSink(t *testing.T) *Sink {
	t.Helper()
	sink, err := NewSink()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sink.Close() })
	return sink
}

// need skips the test if the MTA cannot be run, but fails it where ASSAY_REQUIRE_MTA says that it must be there.
func need(t *testing.T, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, ErrUnavailable) && os.Getenv("ASSAY_REQUIRE_MTA") == "":
		t.Skip(err)
	default:
		t.Fatal(err)
	}
}

// newPostfix returns an instance that ends with the test.
func newPostfix(t *testing.T, opt PostfixOptions) *Postfix {
	t.Helper()
	p, err := StartPostfix(opt)
	need(t, err)
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// newSendmail returns an instance that ends with the test. Its milter does not exist and is passed over.
func newSendmail(t *testing.T, sink *Sink) *Sendmail {
	t.Helper()
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	s, err := StartSendmail(SendmailOptions{Sink: sink, Milter: fmt.Sprintf("inet:%d@127.0.0.1", port), Flags: "-"})
	need(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// dial connects to an MTA and says hello.
func dial(t *testing.T, m MTA, local string) *Client {
	t.Helper()
	c, err := Dial(m.Addr(), netip.MustParseAddr(local))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Expect(250, "EHLO client.example"); err != nil {
		t.Fatal(err)
	}
	return c
}

// awkward is a message that careless clients, MTAs and sinks damage. Sendmail itself cuts header lines of more than
// about 2,200 octets.
var awkward = "From: a@client.example\r\nTo: b@rcpt.example\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\n" +
	"Message-ID: <1@client.example>\r\nSubject:\tfolded\r\n\t here  \r\nX-Bytes: \xc3\xa4 \xe4\r\n" +
	"X-Long: " + strings.Repeat("x", 2000) + "\r\n\r\n" +
	".\r\n..\r\n.leading dot\r\n\r\n8 bit \xff\xfe\r\n" + strings.Repeat("y", 10_000) + "\r\n \t\r\n\r\n"

func TestDeliversOctetsExactly(t *testing.T) {
	sink := newSink(t)
	for _, m := range []MTA{newPostfix(t, PostfixOptions{Sink: sink}), newSendmail(t, sink)} {
		t.Run(m.Name(), func(t *testing.T) {
			c := dial(t, m, "127.0.2.25")
			reply, err := c.Send(Envelope{From: "a@client.example", To: []string{"b@rcpt.example"}, Params: "BODY=8BITMIME"}, []byte(awkward))
			if err != nil || reply.Code != 250 {
				t.Fatalf("%v, %v\n%s", reply, err, m.Log())
			}
			d, err := sink.Wait(t.Context(), reply.QueueID())
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.HasSuffix(d.Data, []byte(awkward)) {
				t.Errorf("delivered\n%s", firstDifference(d.Data, []byte(awkward)))
			}
			if d.From != "a@client.example" || !slices.Equal(d.To, []string{"b@rcpt.example"}) {
				t.Errorf("envelope %q %q", d.From, d.To)
			}
			if !bytes.Contains(d.Data, []byte("127.0.2.25")) {
				t.Errorf("the client address is not in Received:\n%.300s", d.Data)
			}
		})
	}
}

// firstDifference shows where the end of got, without the fields the MTA added on top, departs from want.
func firstDifference(got, want []byte) string {
	if at := bytes.Index(got, want[:10]); at >= 0 {
		got = got[at:]
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	return fmt.Sprintf("at octet %d: %.60q instead of %.60q", at, got[at:], want[at:])
}

func TestStuffIsUndoneByTheSink(t *testing.T) {
	for in, want := range map[string]string{
		"":                ".\r\n",
		".":               "..\r\n.\r\n",
		"a\r\n.b":         "a\r\n..b\r\n.\r\n",
		"a\r\n.\r\n":      "a\r\n..\r\n.\r\n",
		"bare\n.lf\r\n":   "bare\n.lf\r\n.\r\n",
		"\r\n\r\n..x\r\n": "\r\n\r\n...x\r\n.\r\n",
	} {
		if got := string(Stuff([]byte(in))); got != want {
			t.Errorf("Stuff(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestPostfixClaimsAndTLS(t *testing.T) {
	sink := newSink(t)
	p := newPostfix(t, PostfixOptions{Sink: sink, Chroot: true})
	c := dial(t, p, "127.0.0.1")
	if err := errors.Join(c.StartTLS(), c.Expect(250, "EHLO x"),
		c.Expect(220, "XCLIENT ADDR=192.0.2.7 NAME=mail.far.example LOGIN=erika"), c.Expect(250, "EHLO far.example")); err != nil {
		t.Fatal(err)
	}
	reply, err := c.Send(Envelope{From: "", To: []string{"b@rcpt.example"}}, []byte("Subject: x\r\n\r\nx\r\n"))
	if err != nil || reply.Code != 250 {
		t.Fatalf("%v, %v\n%s", reply, err, p.Log())
	}
	d, err := sink.Wait(t.Context(), reply.QueueID())
	if err != nil || !bytes.Contains(d.Data, []byte("(mail.far.example [192.0.2.7])")) {
		t.Errorf("%v, %s", err, d.Data)
	}
	if !strings.Contains(p.Log(), "sasl_username=erika") {
		t.Errorf("no login in the log:\n%s", p.Log())
	}
}

func TestPostfixSubmit(t *testing.T) {
	sink := newSink(t)
	p := newPostfix(t, PostfixOptions{Sink: sink})
	if err := p.Submit("root@postfix.test", []string{"submit@rcpt.example"}, strings.NewReader("Subject: x\n\nx\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := sink.WaitTo(t.Context(), "submit@rcpt.example"); err != nil {
		t.Fatalf("%v\n%s", err, p.Log())
	}
	if queue, err := p.Queue(); err != nil || len(queue) != 0 {
		t.Errorf("%v, %v", queue, err)
	}
}

// TestNothingStaysBehind kills a program that runs both MTAs, and looks for their processes and files. The program is
// this test in another process.
func TestNothingStaysBehind(t *testing.T) {
	if dir := os.Getenv("ASSAY_MTATEST_VICTIM"); dir != "" {
		sink := newSink(t)
		p, s := newPostfix(t, PostfixOptions{Sink: sink}), newSendmail(t, sink)
		if err := os.WriteFile(filepath.Join(dir, "ready"), []byte(p.dir+" "+s.dir), 0o600); err != nil {
			t.Fatal(err)
		}
		select {} // until it is killed
	}
	need(t, requireRoot())
	dir := t.TempDir()
	victim := exec.Command(os.Args[0], "-test.run=^TestNothingStaysBehind$")
	victim.Env = append(os.Environ(), "ASSAY_MTATEST_VICTIM="+dir)
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- victim.Wait() }()
	var dirs []string
	for len(dirs) != 2 {
		text, _ := os.ReadFile(filepath.Join(dir, "ready"))
		dirs = strings.Fields(string(text))
		select {
		case <-ended:
			t.Skip("the MTAs cannot be run here")
		case <-time.After(20 * time.Millisecond):
		}
	}
	if len(processesOf(t, dirs)) < 4 {
		t.Fatalf("only %v before the kill", processesOf(t, dirs))
	}
	_ = victim.Process.Signal(syscall.SIGKILL)
	<-ended
	deadline := time.Now().Add(patience)
	for len(processesOf(t, dirs)) > 0 || exists(dirs[0]) || exists(dirs[1]) {
		if time.Now().After(deadline) {
			t.Fatalf("left behind: %v", processesOf(t, dirs))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// exists reports whether a file is there.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// processesOf returns the processes whose arguments or working directory are in one of the directories.
func processesOf(t *testing.T, dirs []string) []string {
	t.Helper()
	var found []string
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, proc := range all {
		args, _ := os.ReadFile(proc + "/cmdline")
		cwd, _ := os.Readlink(proc + "/cwd")
		if slices.ContainsFunc(dirs, func(dir string) bool { return strings.Contains(string(args)+cwd, dir) }) {
			found = append(found, strings.ReplaceAll(string(args), "\x00", " "))
		}
	}
	return found
}
