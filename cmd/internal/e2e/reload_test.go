package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"assay/cmd/internal/mtatest"
)

// A switchable is a directory of rules that changes as a whole from one instant to the next: a symbolic link.
type switchable struct{ link string }

// newSwitchable makes the directories of the sets, and the link, which leads to the first one.
func newSwitchable(t *testing.T, sets ...map[string]string) switchable {
	t.Helper()
	dir := stateDir(t)
	s := switchable{filepath.Join(dir, "current")}
	for i, files := range sets {
		writeFiles(t, filepath.Join(dir, fmt.Sprint(i)), files)
	}
	must(t, s.to(0))
	return s
}

// to makes the link lead to a set.
func (s switchable) to(i int) error {
	next := s.link + ".next"
	_ = os.Remove(next)
	if err := os.Symlink(filepath.Join(filepath.Dir(s.link), fmt.Sprint(i)), next); err != nil {
		return err
	}
	return os.Rename(next, s.link)
}

// marked is a set of two files, each of which leaves its mark on every message.
func marked(name string) map[string]string {
	const rule = "format: 1\nrules:\n  - {id: %s, title: mark, severity: info, mode: enforce, when: size > 0, then: {%s}}\n"
	return map[string]string{
		"10-field.yaml": fmt.Sprintf(rule, "mark-field", "add_header: {name: X-Assay-Set, value: "+name+"}"),
		"20-tag.yaml":   fmt.Sprintf(rule, "mark-tag", `tag_subject: "[`+name+`]"`),
		"20-tag_test.yaml": fmt.Sprintf("format: 1\ntests:\n  - {name: the marks, facts: {size: 1}, expect: {fired_includes: [mark-field, mark-tag], "+
			"tags: [\"[%s]\"], headers: [\"X-Assay-Set: %s\"]}}\n", name, name),
	}
}

// marks returns the names of the sets that have left a mark on a message.
func marks(message []byte) (field, tag string) {
	header, _ := fields(message)
	for _, f := range named(header, "X-Assay-Set") {
		field += strings.TrimPrefix(f, "X-Assay-Set: ")
	}
	for _, f := range named(header, "Subject") {
		tag += strings.TrimSuffix(strings.TrimPrefix(f, "Subject: ["), "] x")
	}
	return field, tag
}

// ctl runs "assay" with the configuration of the daemon, and fails the test unless the exit code is as wanted.
func ctl(t *testing.T, d *mtatest.Daemon, code int, args ...string) string {
	t.Helper()
	out, got, err := d.Run(args...)
	must(t, err)
	if got != code {
		t.Fatalf("assay %s: exit code %d, want %d:\n%s", strings.Join(args, " "), got, code, out)
	}
	return out
}

// TestReloadUnderLoad: while the rules change again and again, by the control socket and by a storm of signals, each message is
// delivered exactly once, with the outcome of one set and not of two.
func TestReloadUnderLoad(t *testing.T) {
	const clients, messages, switches = 8, 200, 20
	sets := newSwitchable(t, marked("A"), marked("B"))
	r := newRig(t, program(t, false), fmt.Sprintf("rules: {dirs: [%q]}\n", sets.link))
	var (
		sent, ended atomic.Int64
		seen        sync.Map
		wait        sync.WaitGroup
	)
	for i := range clients {
		m := r.mtas()[i%len(r.mtas())]
		wait.Go(func() {
			for n := 0; ended.Load() == 0 || sent.Load() < messages; n++ {
				sent.Add(1)
				to := fmt.Sprintf("load-%d-%d@rcpt.example", i, n)
				if _, err := deliver(m.Addr(), to, false); err != nil {
					t.Errorf("%s: %v", to, err)
					return
				}
				d, err := r.sink.WaitTo(t.Context(), to)
				if err != nil {
					t.Errorf("%s: %v", to, err)
					return
				}
				field, tag := marks(d.Data)
				if field != tag || field != "A" && field != "B" {
					t.Errorf("%s: one rule is of set %q, the other of %q", to, field, tag)
				}
				seen.Store(to, field)
			}
		})
	}
	for i := range switches {
		must(t, sets.to(1-i%2))
		out := ctl(t, r.daemon, 0, "ctl", "reload")
		if want := "changed mark-field"; !strings.Contains(out, want) {
			t.Errorf("switch %d: no %q in %s", i, want, out)
		}
	}
	for i := range 100 { // what they bring is for nobody to know, but it must be one or the other
		must(t, sets.to(i%2))
		must(t, r.daemon.Signal(syscall.SIGHUP))
		time.Sleep(5 * time.Millisecond)
	}
	ended.Store(1)
	wait.Wait()
	count := map[any]int{}
	seen.Range(func(to, set any) bool {
		count[set]++
		r.once(t, to.(string))
		return true
	})
	t.Logf("%d messages: %v", sent.Load(), count)
	if count["A"] == 0 || count["B"] == 0 || count["A"]+count["B"] < messages {
		t.Errorf("delivered were %v", count)
	}
	must(t, sets.to(1))
	ctl(t, r.daemon, 0, "ctl", "reload")
	if _, err := deliver(r.mtas()[0].Addr(), "last@rcpt.example", false); err != nil {
		t.Error(err)
	}
	d, err := r.sink.WaitTo(t.Context(), "last@rcpt.example")
	must(t, err)
	if field, _ := marks(d.Data); field != "B" {
		t.Errorf("after the storm set %q is in force", field)
	}
}

// TestFallback: rule files that are broken when the program starts. With rules that were good once every message is decided by
// those, and everybody can see it.
func TestFallback(t *testing.T) {
	sets := newSwitchable(t, marked("A"), map[string]string{"10.yaml": "format: 1\nrules: [\n"}, marked("B"))
	metrics := freeAddress(t)
	r := newRig(t, program(t, false), fmt.Sprintf("listen: {metrics: %q}\nrules: {dirs: [shipped, %q]}\n", metrics, sets.link))
	fallback := func(want int) {
		t.Helper()
		text, err := r.daemon.Metrics(metrics)
		must(t, err)
		if got := gauge(t, text, "assay_rules_fallback_active"); got != want {
			t.Errorf("assay_rules_fallback_active %d, want %d", got, want)
		}
	}
	fallback(0)
	r.kill()
	must(t, sets.to(1))
	r.start()
	fallback(1)
	r.each(t, func(t *testing.T, m mtatest.MTA) {
		to := "fallback-" + m.Name() + "@rcpt.example"
		send(t, connect(t, m, "127.0.2.25"), between("a@client.example", to), plain, 250)
		r.once(t, to)
		if field, tag := marks(r.sink.To(to)[0].Data); field != "A" || tag != "A" {
			t.Errorf("decided by %q and %q", field, tag)
		}
	})
	if out := ctl(t, r.daemon, 0, "ctl", "status"); !strings.Contains(out, "FALLBACK") {
		t.Errorf("the status does not say so:\n%s", out)
	}
	if log := r.daemon.Log(); !strings.Contains(log, "the last good rules are in force") || !strings.Contains(log, "10.yaml") {
		t.Errorf("the log does not say so:\n%s", log)
	}
	ctl(t, r.daemon, 1, "ctl", "reload")
	fallback(1)
	must(t, sets.to(2))
	ctl(t, r.daemon, 0, "ctl", "reload")
	fallback(0)
	if out := ctl(t, r.daemon, 0, "ctl", "status"); strings.Contains(out, "FALLBACK") || strings.Contains(strings.ReplaceAll(out, "0 failed to start", ""), "failed") {
		t.Errorf("the status says what is over:\n%s", out)
	}
	if _, err := deliver(r.mtas()[0].Addr(), "repaired@rcpt.example", false); err != nil {
		t.Error(err)
	}
	d, err := r.sink.WaitTo(t.Context(), "repaired@rcpt.example")
	must(t, err)
	if field, _ := marks(d.Data); field != "B" {
		t.Errorf("decided by %q", field)
	}
}

// alone is the configuration of a program without MTAs and without DNS.
func alone(dirs ...string) string {
	text := "format: 1\nlisten: {milter: [\"inet:127.0.0.1:0\"]}\nresolver: {servers: [\"127.0.0.1:9\"]}\nrules:\n  dirs:\n"
	for _, dir := range dirs {
		text += fmt.Sprintf("    - %q\n", dir)
	}
	return text
}

// start starts a program with a configuration and a state that may be older than it.
func start(t *testing.T, config, state string) *mtatest.Daemon {
	t.Helper()
	d, err := mtatest.StartDaemonWith(program(t, false), config, mtatest.DaemonOptions{State: state})
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of assay:\n%s", d.Log())
		}
		_ = d.Close()
	})
	return d
}

// inForce returns the hash of the set in force.
func inForce(t *testing.T, d *mtatest.Daemon) string {
	t.Helper()
	match := regexp.MustCompile(`(?m)^rules ([0-9a-f]{12}) `).FindStringSubmatch(ctl(t, d, 0, "ctl", "status"))
	if match == nil {
		t.Fatalf("no hash in the status")
	}
	return match[1]
}

// TestRefusedReloads: whatever is wrong is printed with its place, the exit code is 1, and the old set stays.
func TestRefusedReloads(t *testing.T) {
	good := marked("A")
	failing := marked("B")
	failing["20-tag_test.yaml"] = strings.ReplaceAll(failing["20-tag_test.yaml"], "[B]", "[C]")
	unknown := marked("B")
	unknown["10-field.yaml"] = strings.Replace(unknown["10-field.yaml"], "size > 0", "sise > 0", 1)
	half := marked("B")
	half["10-field.yaml"] = half["10-field.yaml"][:60]
	sets := newSwitchable(t, good, failing, unknown, half, map[string]string{}, map[string]string{"readme.txt": "no rules\n"})
	d := start(t, alone(sets.link), stateDir(t))
	before := inForce(t, d)
	for i, want := range [][]string{
		{"20-tag_test.yaml:3:", `the test "the marks" fails`, `[C]`},
		{"10-field.yaml:3:", `"sise"`, `did you mean "size"?`},
		{"10-field.yaml:"},
		{"there is no rule file"},
		{"there is no rule file"},
	} {
		_ = os.Mkdir(filepath.Join(filepath.Dir(sets.link), fmt.Sprint(i+1)), 0o755) // an empty set has no file to make it for
		must(t, sets.to(i+1))
		out := ctl(t, d, 1, "ctl", "reload")
		for _, part := range append(want, "what was in force stays") {
			if !strings.Contains(out, part) {
				t.Errorf("set %d: no %q in\n%s", i+1, part, out)
			}
		}
		if now := inForce(t, d); now != before {
			t.Errorf("set %d: %s is in force instead of %s", i+1, now, before)
		}
		if out := ctl(t, d, 0, "ctl", "status"); !strings.Contains(out, "the last activation") || !strings.Contains(out, want[0]) {
			t.Errorf("set %d: the status does not tell of the failure:\n%s", i+1, out)
		}
	}
	must(t, os.Remove(sets.link)) // not mounted
	if out := ctl(t, d, 1, "ctl", "reload"); !strings.Contains(out, sets.link) {
		t.Errorf("without the directory:\n%s", out)
	}
	must(t, d.Configure("format: 1\nnonsense: yes\n"))
	if out, code, err := d.Run("ctl", "reload"); err != nil || code != 1 || !strings.Contains(out, "nonsense") {
		t.Errorf("with a wrong configuration: %d, %v\n%s", code, err, out)
	}
	must(t, d.Configure(alone(sets.link)))
	must(t, sets.to(0))
	if out := ctl(t, d, 0, "ctl", "reload"); !strings.Contains(out, "(unchanged)") {
		t.Errorf("with the same files again:\n%s", out)
	}
}

// TestHalfCopiedDirectory: a directory that is being copied file by file never gets into force in part.
func TestHalfCopiedDirectory(t *testing.T) {
	dir := ruleDir(t, marked("A"))
	d := start(t, alone(dir), stateDir(t))
	copying, copied := make(chan struct{}), make(chan struct{})
	go func() { // the files of set B come one by one, half of a file first
		defer close(copied)
		for name, text := range marked("B") {
			file := filepath.Join(dir, name)
			if err := os.WriteFile(file, []byte(text[:len(text)/2]), 0o644); err != nil {
				t.Error(err)
			}
			if copying != nil {
				close(copying)
				copying = nil
			}
			time.Sleep(400 * time.Millisecond)
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Error(err)
			}
			time.Sleep(300 * time.Millisecond)
		}
	}()
	<-copying
	out := ctl(t, d, 0, "ctl", "reload")
	<-copied
	if !strings.Contains(out, "changed mark-field") || !strings.Contains(out, "mark-tag") {
		t.Errorf("not the whole set:\n%s", out)
	}
	if out := ctl(t, d, 0, "ctl", "reload"); !strings.Contains(out, "(unchanged)") {
		t.Errorf("something was missing:\n%s", out)
	}
}

// TestRollback: an earlier set by its hash, and the one before; pinned over a restart until the next reload; history and diff
// tell it.
func TestRollback(t *testing.T) {
	sets := newSwitchable(t, marked("A"), marked("B"))
	state := stateDir(t)
	d := start(t, alone(sets.link), state)
	a := inForce(t, d)
	if out := ctl(t, d, 1, "rules", "rollback"); !strings.Contains(out, "there was none before this one") {
		t.Errorf("rollback of the first set:\n%s", out)
	}
	must(t, sets.to(1))
	ctl(t, d, 0, "ctl", "reload")
	b := inForce(t, d)
	ctl(t, d, 0, "rules", "rollback")
	if now := inForce(t, d); now != a {
		t.Errorf("after rollback %s is in force, not %s", now, a)
	}
	pinned(t, d, true)
	if out := ctl(t, d, 0, "rules", "diff"); !strings.Contains(out, "changed  mark-field") || !strings.Contains(out, "+") || !strings.Contains(out, "value: B") {
		t.Errorf("diff of what is in force and the files:\n%s", out)
	}
	_ = d.Close()
	d = start(t, alone(sets.link), state)
	if now := inForce(t, d); now != a {
		t.Errorf("after a restart %s is in force, not %s", now, a)
	}
	pinned(t, d, true)
	ctl(t, d, 0, "rules", "rollback", b)
	if now := inForce(t, d); now != b {
		t.Errorf("after rollback to %s %s is in force", b, now)
	}
	ctl(t, d, 0, "rules", "rollback") // the one before
	if now := inForce(t, d); now != a {
		t.Errorf("after rollback to the one before %s is in force, not %s", now, a)
	}
	ctl(t, d, 0, "ctl", "reload")
	if now := inForce(t, d); now != b {
		t.Errorf("after reload %s is in force, not %s", now, b)
	}
	pinned(t, d, false)
	if out := ctl(t, d, 1, "rules", "rollback", "ffffffffffff"); !strings.Contains(out, "ffffffffffff") {
		t.Errorf("rollback to nothing:\n%s", out)
	}
	history := strings.Split(strings.TrimSpace(ctl(t, d, 0, "rules", "history")), "\n")
	for i, want := range []string{"start +activated .*" + a, "rollback +refused", "reload +activated .*" + b + ".*by root.*changed mark-field", "rollback +activated .*" + a,
		"start +unchanged .*" + a, "rollback +activated .*" + b, "rollback +activated .*" + a, "reload +activated .*" + b, "rollback +refused"} {
		if i >= len(history) || !regexp.MustCompile(want).MatchString(history[i]) {
			t.Errorf("history line %d does not match %q:\n%s", i, want, strings.Join(history, "\n"))
			break
		}
	}
}

// pinned checks whether the status says that a rollback holds.
func pinned(t *testing.T, d *mtatest.Daemon, want bool) {
	t.Helper()
	if out := ctl(t, d, 0, "ctl", "status"); strings.Contains(out, "a rollback put them into force") != want {
		t.Errorf("pinned is not %v:\n%s", want, out)
	}
}

// TestBrokenFromTheBeginning: without rules the program does not start, and says why.
func TestBrokenFromTheBeginning(t *testing.T) {
	dir := ruleDir(t, map[string]string{"10.yaml": "format: 1\nrules:\n  - {id: x, title: x, severity: low, mode: enforce, when: nothing.known, then: {}}\n"})
	d, err := mtatest.StartDaemonWith(program(t, false), alone(dir), mtatest.DaemonOptions{State: stateDir(t)})
	if err == nil {
		_ = d.Close()
		t.Fatal("it serves")
	}
	for _, part := range []string{"the program has ended", "there are no rules to decide by", "10.yaml:3:", `there is no fact or macro "nothing"`} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("no %q in\n%v", part, err)
		}
	}
}

// TestKilledDuringReloads: killed at any instant, the program finds a usable set when it starts again.
func TestKilledDuringReloads(t *testing.T) {
	sets := newSwitchable(t, marked("A"), marked("B"), map[string]string{"10.yaml": "broken"})
	state := stateDir(t)
	known := map[string]bool{}
	for i := range 6 {
		must(t, sets.to(i%2))
		d := start(t, alone(sets.link), state)
		known[inForce(t, d)] = true
		stop := make(chan struct{})
		var wait sync.WaitGroup
		wait.Go(func() {
			for n := i; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				_ = sets.to(1 - n%2)
				_, _, _ = d.Run("ctl", "reload") // it is killed at some time
			}
		})
		time.Sleep(time.Duration(100+70*i) * time.Millisecond)
		_ = d.Close()
		close(stop)
		wait.Wait()
		must(t, sets.to(2)) // nothing but the state is left
		d = start(t, alone(sets.link), state)
		if now := inForce(t, d); !known[now] && len(known) > 1 {
			t.Errorf("%s is in force after the kill", now)
		}
		ctl(t, d, 0, "rules", "history")
		_ = d.Close()
	}
	if len(known) != 2 {
		t.Errorf("sets %v", known)
	}
}

// TestControlSocket: who may do what, and what stands in the way of the socket.
func TestControlSocket(t *testing.T) {
	dir, state := ruleDir(t, marked("A")), stateDir(t)
	d := start(t, alone(dir), state)
	for _, args := range [][]string{{"ctl", "reload"}, {"rules", "rollback"}} {
		out, code := asNobody(t, d, args...)
		if code != 1 || !strings.Contains(out, "permission denied") {
			t.Errorf("nobody: %v: %d\n%s", args, code, out)
		}
	}
	if out, code := asNobody(t, d, "ctl", "status"); code != 0 || !strings.Contains(out, "1 rule") && !strings.Contains(out, "2 rules") {
		t.Errorf("nobody: status: %d\n%s", code, out)
	}
	if !strings.Contains(d.Log(), "command of the control socket refused") || !strings.Contains(d.Log(), "nobody") {
		t.Errorf("the log does not say who was refused:\n%s", d.Log())
	}

	second, err := mtatest.StartDaemonWith(program(t, false), alone(dir), mtatest.DaemonOptions{State: state})
	must(t, err) // mail matters more than the socket
	if !strings.Contains(second.Log(), "assay ctl will not work") {
		t.Errorf("the second program does not say that it has no socket:\n%s", second.Log())
	}
	_ = second.Close()
	ctl(t, d, 0, "ctl", "status") // the first one still answers

	must(t, d.Signal(syscall.SIGKILL))
	must(t, d.Await())
	if _, err := os.Stat(d.Control()); err != nil {
		t.Errorf("the socket is gone, so that the next lines test nothing: %v", err)
	}
	if out := ctl(t, d, 1, "ctl", "status"); !strings.Contains(out, "the daemon is not running") {
		t.Errorf("behind a dead program:\n%s", out)
	}
	d = start(t, alone(dir), state)
	ctl(t, d, 0, "ctl", "status")
	must(t, d.Signal(syscall.SIGTERM))
	must(t, d.Await())
	if _, err := os.Stat(d.Control()); err == nil {
		t.Error("the socket stays behind when the program stops in order")
	}

	below := filepath.Join(state, "not", "yet")
	d, err = mtatest.StartDaemonWith(program(t, false), alone(dir), mtatest.DaemonOptions{State: below})
	must(t, err)
	t.Cleanup(func() { _ = d.Close() })
	ctl(t, d, 0, "ctl", "status")
}

// asNobody runs a command as the user nobody, who may read the configuration.
func asNobody(t *testing.T, d *mtatest.Daemon, args ...string) (out string, code int) {
	t.Helper()
	must(t, os.Chmod(d.Config(), 0o644))
	program := filepath.Join(stateDir(t), "assay") // where nobody may go
	text, err := os.ReadFile(d.Command().Path)
	must(t, err)
	must(t, os.WriteFile(program, text, 0o755))
	cmd := d.Command(args...)
	cmd.Path, cmd.Args[0] = program, program
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	all, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(all), cmd.ProcessState.ExitCode()
}
