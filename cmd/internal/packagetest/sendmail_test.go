package packagetest

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"assay/cmd/internal/mtatest"
)

// A sendmailStage is a private Sendmail with a milter of its own, and a daemon that it does not know yet.
type sendmailStage struct {
	t        *testing.T
	sendmail *mtatest.Sendmail
	daemon   *mtatest.Daemon
	sink     *mtatest.Sink
	state    string
	path     string // PATH
	before   [2]string
}

// makefile builds sendmail.cf as that of a distribution does.
const makefile = "sendmail.cf: sendmail.mc\n\tm4 sendmail.mc >sendmail.cf\n"

// newSendmailStage starts both; the daemon listens at an address.
func newSendmailStage(t *testing.T, listen string) *sendmailStage {
	t.Helper()
	s := &sendmailStage{t: t, state: filepath.Join(t.TempDir(), "state")}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	s.sink, err = mtatest.NewSink()
	must(err)
	t.Cleanup(func() { s.sink.Close() })
	// The milter that is there is away, and its mail passes.
	s.sendmail, err = mtatest.StartSendmail(mtatest.SendmailOptions{Sink: s.sink, MC: "INPUT_MAIL_FILTER(`other', `S=inet:9@127.0.0.1')dnl"})
	if errors.Is(err, mtatest.ErrUnavailable) && os.Getenv("ASSAY_REQUIRE_MTA") == "" {
		t.Skip(err)
	}
	must(err)
	t.Cleanup(func() { s.sendmail.Close() })
	program, err := s.sendmail.Program()
	must(err)
	s.path = filepath.Dir(program) + ":/usr/bin:/bin"
	must(os.WriteFile(filepath.Join(filepath.Dir(s.sendmail.MC()), "Makefile"), []byte(makefile), 0o644))
	assay, err := mtatest.BuildAssay(t.TempDir(), false)
	must(err)
	s.daemon, err = mtatest.StartDaemon(assay, "format: 1\nlisten: {milter: "+listen+"}\nresolver: {servers: [127.0.0.1:9], timeout: 1s}\n", "")
	must(err)
	t.Cleanup(func() { s.daemon.Close() })
	s.before = s.files()
	return s
}

// files returns sendmail.mc and sendmail.cf.
func (s *sendmailStage) files() (files [2]string) {
	s.t.Helper()
	for i, path := range []string{s.sendmail.MC(), strings.TrimSuffix(s.sendmail.MC(), ".mc") + ".cf"} {
		text, err := os.ReadFile(path)
		if err != nil {
			s.t.Fatal(err)
		}
		files[i] = string(text)
	}
	return files
}

// setup runs "assay setup" and says how it has to end.
func (s *sendmailStage) setup(want int, args ...string) string {
	s.t.Helper()
	cmd := s.daemon.Command(append([]string{"setup", "--mta", "sendmail", "--mta-config", s.sendmail.MC(), "--state", s.state, "--probe-to", "a@example.org"}, args...)...)
	cmd.Env = append(cmd.Env, "PATH="+s.path)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	if code := cmd.ProcessState.ExitCode(); code != want {
		s.t.Errorf("%q: exit code %d, want %d\n%s\n%s\n%s", args, code, want, out, s.sendmail.Log(), s.daemon.Log())
	}
	return string(out)
}

// unchanged says that both files are what they were.
func (s *sendmailStage) unchanged() {
	s.t.Helper()
	if s.files() != s.before {
		s.t.Error("the files are not what they were")
	}
}

// passes sends a mail and reports whether Assay has seen it.
func (s *sendmailStage) passes() bool {
	s.t.Helper()
	c, err := mtatest.Dial(s.sendmail.Addr(), netip.Addr{})
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	reply, err := c.Send(mtatest.Envelope{From: "x@example.net", To: []string{"b@example.org"}}, []byte("Subject: s\r\n\r\nb\r\n"))
	if err != nil || reply.Code != 250 {
		s.t.Fatal(reply, err)
	}
	d, err := s.sink.Wait(s.t.Context(), reply.QueueID())
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.Contains(string(d.Data), "X-Assay-Result:")
}

// With Sendmail it is the same one command: the block, sendmail.cf, the restart, the proof; and everything is put back.
func TestSendmailSetup(t *testing.T) {
	port, err := mtatest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	s := newSendmailStage(t, fmt.Sprintf("inet:127.0.0.1:%d", port))
	s.setup(3, "--check")
	s.unchanged()
	out := s.setup(0, "--apply")
	for _, want := range []string{"proven: ", "make -C "} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if files := s.files(); !strings.Contains(files[1], "\nO InputMailFilters=assay, other\n") || strings.Count(files[0], "BEGIN assay setup") != 1 {
		t.Errorf("sendmail.mc is\n%s", files[0])
	}
	s.setup(0, "--check")
	if out := s.setup(0, "--apply", "--json"); !strings.Contains(out, `"changed": false`) || !strings.Contains(out, `"proven"`) {
		t.Errorf("again: %s", out)
	}
	if !s.passes() {
		t.Error("mail does not pass through Assay")
	}
	s.setup(0, "--undo")
	s.unchanged()
	if s.passes() {
		t.Error("mail passes through Assay after --undo")
	}
	if out := s.setup(0, "--undo"); !strings.Contains(out, "changed nothing here") {
		t.Errorf("undone twice: %s", out)
	}
	if out := s.setup(0, "--apply", "--last"); !strings.Contains(out, "other, assay") {
		t.Errorf("last: %s", out)
	}
	// Somebody builds again: only the date in a comment differs. Then an administrator adds a line.
	for i, path := range []string{s.sendmail.MC(), strings.TrimSuffix(s.sendmail.MC(), ".mc") + ".cf"} {
		text := s.files()[i] + "# one more line\n"
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.setup(0, "--undo")
	if files := s.files(); files[0] != s.before[0]+"# one more line\n" || files[1] != s.before[1] {
		t.Errorf("changed since: sendmail.mc is\n%s", files[0])
	}
}

// Whatever goes wrong with Sendmail, its files are what they were, and the reason is said.
func TestSendmailSetupFails(t *testing.T) {
	closed := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	s := newSendmailStage(t, "unix:"+closed+"/m.sock")
	rule := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(filepath.Dir(s.sendmail.MC()), "Makefile"), []byte("sendmail.cf: sendmail.mc\n"+text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ name, rule, want string }{
		{"m4 fails", "\tm4 sendmail.mc nothing-there >sendmail.cf\n", "nothing-there"},
		{"m4 fails and make does not say so", "\tm4 nothing-there >sendmail.cf 2>errors || true; cat errors\n", "nothing-there"},
		{"nothing is built", "\t@echo install sendmail-cf\n", "install sendmail-cf"},
		{"other lines change", "\tm4 sendmail.mc | sed 's/^O MaxHopCount.*/O Timeout.queuereturn=9d/' >sendmail.cf; echo O MaxHopCount=99 >>sendmail.cf\n", "+O MaxHopCount=99"},
		{"Sendmail does not understand it", "\tm4 sendmail.mc | sed 's/^\\(Xassay.*\\)/\\1, Q=7/' >sendmail.cf\n", "unknown filter equate Q="},
	} {
		rule(c.rule)
		if out := s.setup(1, "--apply"); !strings.Contains(out, c.want) || !strings.Contains(out, "what was there was put back") {
			t.Errorf("%s: %s", c.name, out)
		}
		s.unchanged()
	}
	// Sendmail does not take a socket in a directory that everybody may write to; root does not notice.
	rule("\tm4 sendmail.mc >sendmail.cf\n")
	if err := os.Chmod(closed, 0o777); err != nil {
		t.Fatal(err)
	}
	if out := s.setup(1, "--apply"); !strings.Contains(out, "what was there was put back") || !strings.Contains(out, "unsafe: World writable directory") {
		t.Errorf("an unsafe directory: %s", out)
	}
	s.unchanged()
	if s.passes() {
		t.Error("mail passes through Assay")
	}
	s.path = filepath.Dir(s.sendmail.MC()) // without m4
	if out := s.setup(1, "--apply"); !strings.Contains(out, "sendmail-cf\" and then \"assay setup --apply\" again") {
		t.Errorf("without m4: %s", out)
	}
	s.unchanged()
}
