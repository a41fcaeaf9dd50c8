package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"assay/cmd/internal/health"
)

// answer runs a ctl command that must end with a code, and returns what it printed.
func (s *service) answer(t *testing.T, code int, args ...string) string {
	t.Helper()
	got, out := s.ctl(t, args...)
	if got != code {
		t.Fatalf("%v: exit code %d, want %d\n%s", args, got, code, out)
	}
	return out
}

// await asks until an answer holds a text.
func (s *service) await(t *testing.T, want string, args ...string) {
	t.Helper()
	tick, deadline := time.NewTicker(20*time.Millisecond), time.After(20*time.Second)
	defer tick.Stop()
	for {
		_, out := s.ctl(t, args...)
		if strings.Contains(out, want) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%v: no %q in\n%s", args, want, out)
		}
	}
}

// Draining loses nothing: the message in work is finished, new ones are answered 451 on the open socket, and after --undo
// mail flows. Meanwhile the daemon is alive and not ready.
func TestDrain(t *testing.T) {
	s := serve(t, "")
	session, other := s.dial(t), s.dial(t)
	begin(t, session, "4LAST", "alice@good.example")
	if out := s.answer(t, exitDone, "ctl", "drain"); out != "draining; 1 message in work\n" {
		t.Errorf("drain says %q", out)
	}
	if out := s.answer(t, exitFailed, "ctl", "drain", "--wait", "--timeout", "50ms"); !strings.Contains(out, "1 message still in work") {
		t.Errorf("drain --wait says %q", out)
	}
	if a, err := other.Mail("bob@good.example", nil); err != nil || a.SMTPCode != 451 {
		t.Errorf("a new message: %+v, %v", a, err)
	}
	for page, want := range map[string]int{"/livez": 200, "/readyz": 503, "/healthz": 503} {
		if text, code := s.get(t, page); code != want {
			t.Errorf("%s: %d %s", page, code, text)
		}
	}
	if out := s.answer(t, exitFailed, "ctl", "health"); !strings.Contains(out, "FAILED draining: assay ctl drain") {
		t.Errorf("health says %q", out)
	}
	if fields, refusal := finish(t, session); refusal != "" || fields["Authentication-Results"] == "" {
		t.Errorf("the message in work: %q, %q", fields, refusal)
	}
	var drained struct {
		Draining bool `json:"draining"`
		InWork   int  `json:"messages_in_work"`
	}
	if err := json.Unmarshal([]byte(s.answer(t, exitDone, "ctl", "drain", "--wait", "--json")), &drained); err != nil || !drained.Draining || drained.InWork != 0 {
		t.Errorf("drain --json says %+v, %v", drained, err)
	}
	if out := s.answer(t, exitDone, "ctl", "drain", "--undo"); !strings.HasPrefix(out, "new messages are taken; ") {
		t.Errorf("drain --undo says %q", out)
	}
	if _, refusal := send(t, other, "4AGAIN", "alice@good.example"); refusal != "" {
		t.Errorf("after --undo: %q", refusal)
	}
	s.answer(t, exitUsage, "ctl", "drain", "--undo", "--wait")
	s.log.await(t, `level=warn msg="draining: new messages are answered 451, those in work are finished" who=\w+`)
	s.log.await(t, `msg="new messages are taken again"`)
}

// The status of a daemon can be asked for when somebody has just spoilt its configuration.
func TestStatusWithWrongConfiguration(t *testing.T) {
	s := serve(t, "")
	text, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.config, append(text, "\nunknown: key\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := s.answer(t, exitDone, "ctl", "status"); !strings.Contains(out, "running since ") {
		t.Errorf("status says\n%s", out)
	}
	s.answer(t, exitFailed, "ctl", "reload")
}

// What the status and the health of a daemon say, for people and for programs.
func TestStatusAndHealth(t *testing.T) {
	s := serve(t, "")
	s.dial(t)
	out := s.answer(t, exitDone, "ctl", "status")
	for _, want := range []string{"running since ", "\n1 connection, 0 messages in work\n", "\nconfiguration " + s.config + ", ", "\nrules ", "\nworkers: 0 running, 0 crashed",
		"\npseudonyms: key of "} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	var st status
	if err := json.Unmarshal([]byte(s.answer(t, exitDone, "ctl", "status", "--json")), &st); err != nil {
		t.Fatal(err)
	}
	if !st.Ready || st.Draining || st.Connections != 1 || len(st.Config.SHA256) != 64 || st.Rules.SHA == "" || st.Pseudonyms == nil || !st.Pseudonyms.Kept {
		t.Errorf("status %+v", st)
	}
	var r health.Report
	if err := json.Unmarshal([]byte(s.answer(t, exitDone, "ctl", "health", "--json")), &r); err != nil || !r.Ready || len(r.Checks) != 6 {
		t.Errorf("health %+v, %v", r, err)
	}
	text, code := s.get(t, "/readyz")
	if code != 200 || strings.Count(text, "\n") != 6 || strings.Contains(text, "FAILED") {
		t.Errorf("readyz: %d\n%s", code, text)
	}
	metrics, _ := s.get(t, "/metrics")
	for _, want := range []string{"assay_ready 1\n", `assay_health{check="dns"} 1`, "assay_draining 0\n", `assay_disk_free_bytes{directory="rules.state"} `,
		"assay_quarantine_messages 0\n", `assay_tls_connections_total{version="none"} 0`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("%s is missing in the metrics", want)
		}
	}
}

// What fails is said with its reason: DNS servers that do not answer, disks that are full, broken rules with a fallback. A
// reload that cures it makes the daemon ready again, without a restart.
func TestNotReady(t *testing.T) {
	dead, err := net.ListenPacket("udp", "127.0.0.1:0") // takes questions, answers none
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close()
	s := serve(t, "health: {min_free: 1024GiB}\n", fmt.Sprintf("ASSAY__RESOLVER__SERVERS=%s", dead.LocalAddr()), "ASSAY__RESOLVER__TIMEOUT=200ms",
		"ASSAY__RESOLVER__RETRY=50ms")
	s.await(t, "FAILED dns: no DNS server answers", "ctl", "health")
	out := s.answer(t, exitFailed, "ctl", "health")
	if !strings.Contains(out, "FAILED disk: TMPDIR: ") || !strings.Contains(out, "MiB of free space") {
		t.Errorf("health says\n%s", out)
	}
	if out := s.answer(t, exitDone, "ctl", "status"); !strings.Contains(out, "\nNOT READY: dns, disk (see assay ctl health)\n") {
		t.Errorf("status says\n%s", out)
	}
	if text, code := s.get(t, "/healthz"); code != 503 || !strings.Contains(text, "dns: no DNS server answers") {
		t.Errorf("healthz: %d %s", code, text)
	}
	if text, code := s.get(t, "/livez"); code != 200 || text != "ok\n" {
		t.Errorf("livez: %d %s", code, text)
	}
	s.log.await(t, `level=warn msg="health check fails" check=dns`)
}

// Lines about a person can be brought together by name, by root and the daemon's user only, and the name does not tell who it
// is. It is another one after the key was replaced.
func TestPseudonyms(t *testing.T) {
	s := serve(t, "")
	send(t, s.dial(t), "4ONE", "alice@good.example")
	name := s.log.await(t, `4ONE: .* from_pid=([0-9a-f]{12}) rcpt_domains=example.org rcpt_pids=([0-9a-f]{12}) `)
	if out := s.answer(t, exitDone, "ctl", "pseudonym", "Alice@Good.example", "bob@example.org"); out != name[1]+" Alice@Good.example\n"+name[2]+" bob@example.org\n" {
		t.Errorf("got %q, the log has %q", out, name)
	}
	line := s.log.await(t, `(?m)^.*pseudonyms were looked up.*$`)[0]
	if !strings.Contains(line, "addresses=2") || strings.Contains(strings.ToLower(line), "alice") {
		t.Errorf("the log says %q", line)
	}
	s.configure(t, s.base(t)+"log: {privacy: minimal}\n")
	s.answer(t, exitDone, "ctl", "reload")
	if out := s.answer(t, exitFailed, "ctl", "pseudonym", "a@b.example"); !strings.Contains(out, "log.privacy is not domain_only") {
		t.Errorf("got %q", out)
	}
	send(t, s.dial(t), "4TWO", "alice@good.example")
	if line := s.log.await(t, `(?m)^\S+ 4TWO: .*$`)[0]; strings.Contains(line, "_pid") || strings.Contains(line, "example") {
		t.Errorf("the minimal line is %q", line)
	}
}

// With log.format journal every value is a field of the systemd journal, if standard error is one. Elsewhere it is logfmt.
func TestJournalFormat(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "socket")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	config := filepath.Join(t.TempDir(), "assay.yaml")
	if err := os.WriteFile(config, []byte("format: 1\nlog: {format: journal}\nlisten: {milter: \"unix:/nonexistent/milter.sock\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(environ ...string) string {
		a := &app{in: strings.NewReader(""), out: &bytes.Buffer{}, err: stderr, now: time.Now, journal: socket,
			environ: append(environ, "ASSAY__LOG__PSEUDONYM_KEY=/dev/null/key", "ASSAY__RULES__STATE="+t.TempDir())}
		a.run(context.Background(), []string{"serve", "--config", config})
		text, err := os.ReadFile(stderr.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if text := run(); !strings.Contains(text, `level=warn msg="the key of pseudonyms cannot be kept`) {
		t.Errorf("without a journal standard error has %s", text)
	}
	before, err := os.ReadFile(stderr.Name())
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.TrimPrefix(run("JOURNAL_STREAM="+streamOf(t, stderr)), string(before)); strings.Contains(text, "pseudonyms") {
		t.Errorf("with a journal standard error has %s", text)
	}
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	datagram := make([]byte, 1<<16)
	n, err := conn.Read(datagram)
	if text := string(datagram[:n]); err != nil || !strings.Contains(text, "\nPRIORITY=4\n") || !strings.Contains(text, "\nASSAY_REASON=") {
		t.Errorf("the journal has %q, %v", text, err)
	}
}

// streamOf returns what systemd says of a file in JOURNAL_STREAM.
func streamOf(t *testing.T, f *os.File) string {
	t.Helper()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
}
