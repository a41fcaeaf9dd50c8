package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// ctl runs a command against the daemon and returns its exit code and what it printed.
func (s *service) ctl(t *testing.T, args ...string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	a := &app{in: strings.NewReader(""), out: &out, err: &out, now: time.Now, environ: s.environ}
	code := a.run(context.Background(), append(args, "--config", s.config))
	return code, out.String()
}

// control returns the path of the control socket.
func (s *service) control(t *testing.T) string {
	t.Helper()
	for _, entry := range s.environ {
		if path, found := strings.CutPrefix(entry, "ASSAY__LISTEN__CONTROL="); found {
			return path
		}
	}
	t.Fatal("no control socket")
	return ""
}

// base returns the configuration that the daemon was started with.
func (s *service) base(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Fifty reloads, which each make a resolver, a verifier of S/MIME and a notifier of their own, leave nothing behind, while a
// message that began before them keeps all it needs.
func TestReloadsEndOldGenerations(t *testing.T) {
	if testing.Short() {
		t.Skip("loads the rules fifty times (-short)")
	}
	s := serve(t, "")
	base := s.base(t)
	session, old := s.dial(t), s.dial(t)
	send(t, session, "4WARM", "alice@good.example")
	before := runtime.NumGoroutine()
	begin(t, old, "4OLD", "alice@good.example")
	for i := range 50 {
		s.configure(t, fmt.Sprintf("%srules: {run_tests_on_reload: false, dirs: [shipped]}\nresolver: {timeout: %dms}\nverify: {smime: {revocation_time: %dms}}\n"+
			"notify: {webhook: {c%d: \"http://127.0.0.1:1/\"}}\n", withoutResolver(base), 500+i, 500+i, i))
		if code, out := s.ctl(t, "ctl", "reload"); code != exitDone {
			t.Fatalf("reload %d: %s", i, out)
		}
	}
	if fields, refusal := finish(t, old); refusal != "" || !strings.Contains(fields["Authentication-Results"], "dmarc=pass") {
		t.Errorf("a message from before the reloads: %q, %q", fields, refusal)
	}
	tick, deadline := time.NewTicker(10*time.Millisecond), time.After(20*time.Second)
	defer tick.Stop()
	for runtime.NumGoroutine() > before+5 { // of connections to the servers of the test that are going
		select {
		case <-tick.C:
		case <-deadline:
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines became %d\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// withoutResolver takes the section resolver out of a configuration, which must not stand there twice.
func withoutResolver(text string) string { return strings.SplitAfter(text, "\n")[0] }

// What a reload changes takes effect: rules, the domains they protect, the channels they name. A list of certificates that
// cannot be read changes nothing.
func TestReloadTakesEffect(t *testing.T) {
	s := serve(t, "")
	base, session, dir := s.base(t), s.dial(t), t.TempDir()
	write := func(condition, then string) {
		text := "format: 1\nrules:\n  - {id: mine, title: Mine, severity: low, mode: enforce, when: '" + condition + "', then: " + then + "}\n"
		if err := os.WriteFile(filepath.Join(dir, "mine.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rulesIn := base + "rules: {dirs: [shipped, " + dir + "]}\n"
	reload := func(want int, text, config string) {
		t.Helper()
		s.configure(t, config)
		if code, out := s.ctl(t, "ctl", "reload"); code != want || !strings.Contains(out, text) {
			t.Fatalf("exit code %d, %s", code, out)
		}
	}

	write(`listed("org_domains", from.domain)`, `{add_header: {name: X-Assay-Own, value: "yes"}}`)
	reload(exitDone, "added mine", rulesIn)
	if fields, _ := send(t, session, "4A", "alice@good.example"); fields["X-Assay-Own"] != "" {
		t.Errorf("a rule about own domains holds for another one: %q", fields)
	}
	reload(exitDone, "in force", rulesIn+"identity: {domains: [good.example]}\n")
	if fields, _ := send(t, session, "4B", "alice@good.example"); strings.TrimSpace(fields["X-Assay-Own"]) != "yes" {
		t.Errorf("the new domains have no effect: %q", fields)
	}

	write("true", `{notify: soc}`)
	reload(exitFailed, "soc", rulesIn)
	s.log.await(t, `level=error msg="reload failed, .* reason="[^"]*there is no channel`)
	if fields, _ := send(t, session, "4C", "alice@good.example"); strings.TrimSpace(fields["X-Assay-Own"]) != "yes" {
		t.Errorf("a failed reload has an effect: %q", fields)
	}
	told := make(chan string, 1)
	soc := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		told <- fmt.Sprint(string(text), err)
	}))
	defer soc.Close()
	reload(exitDone, "changed mine", rulesIn+"notify: {webhook: {soc: \""+soc.URL+"\"}}\n")
	send(t, session, "4D", "alice@good.example")
	select {
	case text := <-told:
		if !strings.Contains(text, "4D") || !strings.Contains(text, "mine") {
			t.Errorf("the channel was told %s", text)
		}
	case <-time.After(20 * time.Second):
		t.Error("the new channel was told nothing")
	}

	reload(exitFailed, "verify.smime", rulesIn+"verify: {smime: {roots: [/nonexistent/ca.pem]}}\n")
	reload(exitDone, "removed mine", base)
}

// Reloads by signal and by command at the same time are made one after the other, also while the daemon is being stopped.
func TestReloadsTogether(t *testing.T) {
	s := serve(t, "rules: {run_tests_on_reload: false}\n")
	session := s.dial(t)
	begin(t, session, "4LAST", "alice@good.example")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			hangUp(t)
			if code, out := s.ctl(t, "ctl", "reload"); code != exitDone {
				t.Errorf("exit code %d: %s", code, out)
			}
		})
	}
	all.Wait()
	all.Go(func() { s.ctl(t, "ctl", "reload") }) // answered, refused, or hung up on
	s.stop()
	if fields, refusal := finish(t, session); refusal != "" || fields["Authentication-Results"] == "" {
		t.Errorf("the message in work: fields %q, refusal %q", fields, refusal)
	}
	all.Wait()
	if code := <-s.exit; code != exitDone {
		t.Errorf("exit code %d\n%s", code, s.log)
	}
	s.exit = nil
	if _, err := os.Stat(s.control(t)); !os.IsNotExist(err) {
		t.Errorf("the control socket is still there: %v", err)
	}
	if code, out := s.ctl(t, "ctl", "status"); code != exitFailed || !strings.Contains(out, "control") {
		t.Errorf("without a daemon: exit code %d, %q", code, out)
	}
}

// A second daemon does not take the control socket away from the first one.
func TestControlSocketTaken(t *testing.T) {
	s := serve(t, "rules: {run_tests_on_reload: false}\n")
	second := &journal{wrote: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	exit := make(chan int, 1)
	a := &app{in: strings.NewReader(""), out: io.Discard, err: second, now: time.Now, environ: s.environ}
	go func() { exit <- a.run(ctx, []string{"serve", "--config", s.config}) }()
	second.await(t, `assay ctl will not work" socket=`)
	second.await(t, `assay is serving`)
	cancel()
	if code := <-exit; code != exitDone {
		t.Errorf("exit code %d\n%s", code, second)
	}
	if code, out := s.ctl(t, "ctl", "status"); code != exitDone || !strings.Contains(out, "in force since") {
		t.Errorf("the first daemon: exit code %d, %s", code, out)
	}
}
