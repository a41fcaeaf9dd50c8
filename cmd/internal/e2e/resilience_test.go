package e2e

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"assay/cmd/internal/mtatest"
	"assay/verify/dns/dnstest"
	"assay/verify/dns/zone"
)

// The tests in this file are the table in packaging/doc/failure.md, row by row: what goes wrong around the program, what becomes
// of the mail, and what the log says. Each mail is delivered exactly once, with one set of results.

// exactlyOnce checks that every address got its message once, with one field of each kind of ours.
func (r *rig) exactlyOnce(t *testing.T, all ...string) {
	t.Helper()
	for _, to := range all {
		d, err := r.sink.WaitTo(t.Context(), to)
		must(t, err)
		header, _ := fields(d.Data)
		for _, name := range []string{"Authentication-Results", "X-Assay-Result"} {
			if n := len(named(header, name)); n != 1 {
				t.Errorf("%s: %d %s", to, n, name)
			}
		}
		if n := len(r.sink.To(to)); n != 1 {
			t.Errorf("%s: delivered %d times", to, n)
		}
	}
}

// logs waits until the log says something that it did not say before.
func (r *rig) logs(t *testing.T, before string, parts ...string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		missing := ""
		for _, part := range parts {
			if !strings.Contains(strings.TrimPrefix(r.daemon.Log(), before), part) {
				missing = part
			}
		}
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the log does not say %q", missing)
		}
	}
}

// one sends one message over a connection of its own and checks the code of the reply.
func one(t *testing.T, m mtatest.MTA, to, message string, code int) mtatest.Reply {
	t.Helper()
	c, err := mtatest.Dial(m.Addr(), netip.MustParseAddr("127.0.2.25"))
	must(t, err)
	defer func() { _ = c.Close() }()
	must(t, c.Expect(250, "EHLO client.example"))
	return send(t, c, between("a@client.example", to), message, code)
}

// large is a message that does not fit into the memory that limits.memory leaves for it.
func large() string { return plain + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 20_000) }

// TestKilledAgainAndAgain: kill -9 at any time, with a supervisor that starts the program again.
func TestKilledAgainAndAgain(t *testing.T) {
	r := newRig(t, program(t, false), "")
	r.each(t, func(t *testing.T, m mtatest.MTA) {
		r.dns.Set(dnstest.Options{Delay: 20 * time.Millisecond})
		stop := r.traffic(t, m, 8, "kill9", true)
		for i := range 3 {
			time.Sleep(time.Duration(150+90*i) * time.Millisecond)
			must(t, r.daemon.Signal(syscall.SIGKILL))
			must(t, r.daemon.Await())
			r.alone(t)
			_ = r.daemon.Close()
			r.start()
			one(t, m, "file@rcpt.example", withFile, 250)
			if helpers, err := r.daemon.Helpers(); err != nil || len(helpers) == 0 {
				t.Errorf("no process opens files: %v", err)
			}
		}
		r.exactlyOnce(t, stop()...)
	})
}

// withFile is a message with an attachment that is opened.
const withFile = "From: a@client.example\r\nTo: b@rcpt.example\r\nSubject: x\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\nMIME-Version: 1.0\r\n" +
	"Content-Type: application/pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n\r\n%PDF-1.4\r\n%%EOF\r\n"

// alone waits until the program has left no process behind.
func (r *rig) alone(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		left, err := r.daemon.Helpers()
		must(t, err)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the processes %v live on after the program was killed", left)
		}
	}
}

// TestFullDisk: no room for the bodies of large messages, when they come and when the program starts. Small ones are none the
// worse for it, and it ends by itself.
func TestFullDisk(t *testing.T) {
	const fill = "cat /dev/zero >{state}/tmp/filler 2>/dev/null || true\n"
	r := newRigWith(t, setup{before: "mkdir -p {state}/tmp\nmount -t tmpfs -o size=8m,mode=1777 none {state}/tmp\nexport TMPDIR={state}/tmp\n" + fill},
		program(t, false), "limits: {memory: 64KiB}\n")
	r.logs(t, "", "there is no room for messages above limits.memory")
	inside := func(script string) {
		t.Helper()
		must(t, r.daemon.Inside("/bin/sh", "-c", strings.ReplaceAll(script, "{state}", r.state)))
	}
	r.each(t, func(t *testing.T, m mtatest.MTA) {
		before := r.daemon.Log()
		to := "disk-" + m.Name() + "@rcpt.example"
		if reply := one(t, m, "large-"+to, large(), 452); !strings.Contains(reply.String(), "short of disk space") {
			t.Errorf("the reply is %s", reply)
		}
		r.logs(t, before, "message failed", "no space left on device")
		one(t, m, "small-"+to, plain, 250)
		inside("rm {state}/tmp/filler")
		one(t, m, "large-"+to, large(), 250)
		r.exactlyOnce(t, "large-"+to, "small-"+to)
		inside(fill)
	})
}

// TestFullStateDirectory: rules that cannot be stored decide all the same, and everybody can see it.
func TestFullStateDirectory(t *testing.T) {
	sets := newSwitchable(t, marked("A"), marked("B"), marked("C"))
	r := newRigWith(t, setup{before: "mkdir -p {state}/rules\nmount -t tmpfs -o size=256k,mode=700 none {state}/rules\n"}, program(t, false),
		fmt.Sprintf("rules: {dirs: [%q]}\n", sets.link))
	m := r.mtas()[0]
	must(t, r.daemon.Inside("/bin/sh", "-c", "cat /dev/zero >"+r.state+"/rules/filler || true"))
	before := r.daemon.Log()
	must(t, sets.to(1))
	if out := ctl(t, r.daemon, 0, "ctl", "reload"); !strings.Contains(out, "could not be stored") {
		t.Errorf("the reload says\n%s", out)
	}
	r.logs(t, before, "could not be stored", "no space left on device")
	one(t, m, "state@rcpt.example", plain, 250)
	r.exactlyOnce(t, "state@rcpt.example")
	if field, tag := marks(r.sink.To("state@rcpt.example")[0].Data); field != "B" || tag != "B" {
		t.Errorf("decided by %q and %q", field, tag)
	}
	must(t, r.daemon.Inside("rm", r.state+"/rules/filler"))
	must(t, sets.to(2))
	if out := ctl(t, r.daemon, 0, "ctl", "reload"); strings.Contains(out, "could not be stored") {
		t.Errorf("with room again the reload says\n%s", out)
	}
}

// TestReadOnlyDisk: nothing can be written, from the beginning and from one moment to the next.
func TestReadOnlyDisk(t *testing.T) {
	const state = "mkdir -p {state}/ro\nmount -t tmpfs -o size=16m,mode=1777 none {state}/ro\nmkdir -p -m 700 {state}/ro/rules {state}/ro/tmp\n"
	const use = "export TMPDIR={state}/ro/tmp ASSAY__RULES__STATE={state}/ro/rules ASSAY__VERIFY__SMIME__CACHE={state}/ro/smime " +
		"ASSAY__LOG__PSEUDONYM_KEY={state}/ro/key\n"
	sets := newSwitchable(t, marked("A"), marked("B"))
	r := newRigWith(t, setup{before: state + use}, program(t, false), fmt.Sprintf("limits: {memory: 64KiB}\nrules: {dirs: [%q]}\n", sets.link))
	remount := func(how string) {
		t.Helper()
		must(t, r.daemon.Inside("mount", "-o", "remount,"+how, r.state+"/ro"))
	}
	r.each(t, func(t *testing.T, m mtatest.MTA) {
		before := r.daemon.Log()
		to := "ro-" + m.Name() + "@rcpt.example"
		remount("ro")
		one(t, m, "large-"+to, large(), 451)
		r.logs(t, before, "message failed", "read-only file system")
		one(t, m, "small-"+to, plain, 250)
		ctl(t, r.daemon, 0, "ctl", "reload")
		remount("rw")
		one(t, m, "large-"+to, large(), 250)
		r.exactlyOnce(t, "large-"+to, "small-"+to)
	})
	r.kill()
	before := r.daemon.Log()
	r.before = strings.ReplaceAll(state+"mount -o remount,ro {state}/ro\n"+strings.Replace(use, "TMPDIR={state}/ro/tmp", "TMPDIR=/tmp", 1), "{state}", r.state)
	must(t, sets.to(1))
	r.start() // without a place for its state
	r.logs(t, before, "read-only file system", "rules warning")
	one(t, r.mtas()[0], "start@rcpt.example", plain, 250)
	r.exactlyOnce(t, "start@rcpt.example")
	if field, _ := marks(r.sink.To("start@rcpt.example")[0].Data); field != "B" {
		t.Errorf("decided by %q", field)
	}
	r.kill()
	r.before += strings.ReplaceAll("export TMPDIR={state}/ro/tmp\n", "{state}", r.state)
	_, err := mtatest.StartDaemonWith(r.program, r.config, mtatest.DaemonOptions{State: r.state, Before: r.before})
	if err == nil || !strings.Contains(err.Error(), "messages above limits.memory could not be kept (see TMPDIR)") {
		t.Errorf("without a place for large messages it starts: %v", err)
	}
}

// TestQuarantineUnwritable: what cannot be stored is not taken, and everything else flows.
func TestQuarantineUnwritable(t *testing.T) {
	rules := ruleDir(t, map[string]string{"10.yaml": "format: 1\nrules:\n" +
		"  - {id: bad, title: Bad, severity: low, mode: enforce, when: 'subject.contains(\"[bad]\")', then: {quarantine: {reason: bad, release: user}}}\n"})
	r := newRigWith(t, setup{before: "mkdir -p {state}/q\nmount -t tmpfs -o size=16m,mode=700 none {state}/q\nexport ASSAY__QUARANTINE__DIR={state}/q\n"},
		program(t, false), fmt.Sprintf("quarantine: {mode: store}\nrules: {dirs: [%q]}\n", rules))
	bad := strings.Replace(plain, "Subject: x", "Subject: [bad] x", 1)
	kept := func() int {
		files, err := filepath.Glob(filepath.Join("/proc", fmt.Sprint(r.daemon.PID()), "root", r.state, "q", "*", "*"))
		must(t, err)
		return len(files)
	}
	for _, fault := range []struct{ name, begin, end string }{
		{"read-only", "mount -t tmpfs -o ro none {state}/q", "umount {state}/q"}, // over it: what writes already keeps the other from it,
		{"full", "cat /dev/zero >{state}/q/filler || true", "rm {state}/q/filler"},
	} {
		inside := func(script string) {
			t.Helper()
			must(t, r.daemon.Inside("/bin/sh", "-c", strings.ReplaceAll(script, "{state}", r.state)))
		}
		r.each(t, func(t *testing.T, m mtatest.MTA) {
			to := fmt.Sprintf("%s-%s@rcpt.example", fault.name, m.Name())
			inside(fault.begin)
			log, before := r.daemon.Log(), kept()
			if reply := one(t, m, "bad-"+to, bad, 451); kept() > before {
				t.Errorf("%s, but something was stored", reply)
			}
			r.logs(t, log, "quarantine: the message cannot be stored")
			one(t, m, "good-"+to, plain, 250)
			inside(fault.end)
			before = kept()
			one(t, m, "bad-"+to, bad, 250)
			if kept() <= before {
				t.Error("accepted, but not stored")
			}
			r.exactlyOnce(t, "good-"+to)
			if n := len(r.sink.To("bad-" + to)); n != 0 {
				t.Errorf("what is quarantined was delivered %d times", n)
			}
		})
	}
}

// year is how far the clock jumps.
const year = 365 * 24 * time.Hour

// TestClockJumps: somebody sets the clock of the machine, a year ahead and a year back. Every message is judged by the time at
// which it came, and nothing waits for the clock to come back.
func TestClockJumps(t *testing.T) {
	r := newRig(t, program(t, false), "resolver: {cache_entries: 1000}\n")
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	zoneText := strings.Replace(failureZone, "client.example. TXT", "client.example. 1 TXT", 1) + "ed._domainkey.client.example. TXT \"v=DKIM1; k=ed25519; p=" +
		base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey)) + "\"\n"
	parsed, err := zone.Parse(strings.NewReader(zoneText), "zone")
	must(t, err)
	r.dns.SetZone(parsed)
	clock, err := r.daemon.Clock()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	must(t, err)
	for i, jump := range []struct {
		ahead time.Duration
		want  string // of a signature of today that is good for a month
	}{{0, "dkim=pass"}, {year, "dkim=permerror (expired on"}, {0, "dkim=pass"}, {-year, "dkim=pass"}, {0, "dkim=pass"}} {
		must(t, clock.Set(jump.ahead))
		asked, began := r.dns.Count("client.example", "TXT"), time.Now()
		for n := range 3 {
			if n == 2 {
				time.Sleep(1100 * time.Millisecond) // the record lives for one second, by whatever clock
			}
			to := fmt.Sprintf("clock-%d-%d@rcpt.example", i, n)
			one(t, r.mtas()[0], to, signed(t, key), 250)
			r.exactlyOnce(t, to)
			header, _ := fields(r.sink.To(to)[0].Data)
			if results := strings.Join(named(header, "Authentication-Results"), ""); !strings.Contains(results, jump.want) {
				t.Errorf("%v ahead: no %s in %s", jump.ahead, jump.want, results)
			}
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%v ahead: three messages took %v", jump.ahead, took)
		}
		if r.dns.Count("client.example", "TXT") == asked {
			t.Errorf("%v ahead: the cache keeps an answer beyond its time", jump.ahead)
		}
	}
	stamp := time.Now().Add(year).UTC().Format("2006-01-02")
	if log := r.daemon.Log(); !strings.Contains(log, stamp) {
		t.Errorf("no line of the log is of %s, so that the clock was not set at all", stamp)
	}
}

// signed returns a message with a signature that is good for a month.
func signed(t *testing.T, key ed25519.PrivateKey) string {
	t.Helper()
	var out strings.Builder
	must(t, dkim.Sign(&out, strings.NewReader(plain), &dkim.SignOptions{Domain: "client.example", Selector: "ed", Signer: key,
		Expiration: time.Now().Add(30 * 24 * time.Hour)}))
	return out.String()
}

// TestResolverGone: the resolver goes while mail flows, and comes back. No mail is lost or waits beyond its limit, and the log
// says once that the resolver is gone and once that it is back.
func TestResolverGone(t *testing.T) {
	r := newRig(t, program(t, false), "resolver: {cache_entries: 0}\nlimits: {dns_time: 1s, time: 10s}\n")
	m := r.mtas()[0]
	before := r.daemon.Log()
	stop := r.traffic(t, m, 8, "gone", false)
	r.dns.Set(dnstest.Options{Silent: true})
	r.logs(t, before, "health check fails\" check=dns")
	began := time.Now()
	one(t, m, "during@rcpt.example", plain, 250)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("a message took %v", took)
	}
	r.dns.Set(dnstest.Options{})
	r.logs(t, before, "health check succeeds\" check=dns")
	one(t, m, "later@rcpt.example", plain, 250)
	r.exactlyOnce(t, append(stop(), "during@rcpt.example", "later@rcpt.example")...)
	for to, want := range map[string]string{"during@rcpt.example": "spf=temperror", "later@rcpt.example": "spf=pass"} {
		header, _ := fields(r.sink.To(to)[0].Data)
		if results := strings.Join(named(header, "Authentication-Results"), ""); !strings.Contains(results, want) {
			t.Errorf("%s: no %s in %s", to, want, results)
		}
	}
	if n := strings.Count(r.daemon.Log(), "level=warn") + strings.Count(r.daemon.Log(), "level=error"); n > 3 {
		t.Errorf("%d warnings:\n%s", n, r.daemon.Log())
	}
}

// TestSignalStorm: 1,000 SIGHUP with good and bad configurations while 500 messages flow.
func TestSignalStorm(t *testing.T) {
	metrics := freeAddress(t)
	r := newRig(t, program(t, false), fmt.Sprintf("listen: {metrics: %q}\n", metrics))
	m := r.mtas()[0]
	one(t, m, "warm@rcpt.example", plain, 250)
	quiet := settle(t, r.daemon, metrics, 0)
	stop := r.traffic(t, m, 8, "storm", false)
	for i := range 1000 {
		if i%25 == 0 {
			text := []string{r.config, "format: 1\nnonsense: yes\n", strings.Replace(r.config, "format: 1\n", "format: 1\nheaders: {summary: false}\n", 1)}[i/25%3]
			must(t, r.daemon.Configure(text))
		}
		must(t, r.daemon.Signal(syscall.SIGHUP))
		time.Sleep(4 * time.Millisecond)
	}
	before := r.daemon.Log() // a slow machine has read no broken one so far: signals that come during a reload are one
	must(t, r.daemon.Configure("format: 1\nnonsense: yes\n"))
	must(t, r.daemon.Signal(syscall.SIGHUP))
	r.logs(t, before, "reload failed, the old configuration stays")
	must(t, r.daemon.Configure(r.config))
	for len(r.sink.All()) < 500 {
		time.Sleep(10 * time.Millisecond)
	}
	r.exactlyOnce(t, stop()...)
	ctl(t, r.daemon, 0, "ctl", "reload")
	log := r.daemon.Log()
	if good, bad := strings.Count(log, "configuration reloaded"), strings.Count(log, "reload failed, the old configuration stays"); good < 2 || bad < 1 {
		t.Errorf("%d reloads, %d failed", good, bad)
	} else {
		t.Logf("%d reloads, %d failed, %d messages", good, bad, len(r.sink.All()))
	}
	if after := settle(t, r.daemon, metrics, quiet.goroutines); after.goroutines > quiet.goroutines+slack || after.files > quiet.files+slack {
		t.Errorf("before %+v, after %+v", quiet, after)
	}
}

// TestSocketRemoved: somebody removes the file of the socket. It comes back by itself; mail that came meanwhile was deferred.
func TestSocketRemoved(t *testing.T) {
	r := newRig(t, program(t, false), "")
	if r.postfix == nil {
		t.Skip("no MTA can be run here") // Sendmail comes over TCP
	}
	stop := r.traffic(t, r.postfix, 8, "socket", true)
	for range 2 {
		before := r.daemon.Log()
		must(t, os.Remove(r.socket()))
		r.logs(t, before, "the socket file was removed and has been made again")
		info, err := os.Stat(r.socket())
		must(t, err)
		if info.Mode().Perm() != 0o666 {
			t.Errorf("its mode is %v", info.Mode())
		}
	}
	one(t, r.postfix, "again@rcpt.example", plain, 250)
	r.exactlyOnce(t, append(stop(), "again@rcpt.example")...)
}

// TestIdleConnections: 5,000 connections that nobody uses, mute ones and some that have greeted. Real mail flows all the same,
// and the program stays small.
func TestIdleConnections(t *testing.T) {
	const idle, limit = 5000, 1000
	raise(t, idle+1000)
	r := newRig(t, program(t, false), fmt.Sprintf("limits: {connections: %d}\n", limit))
	early := map[string]*mtatest.Client{} // sessions that were there before and have nothing to send for a while
	for _, m := range r.mtas() {
		one(t, m, "warm@rcpt.example", plain, 250)
		early[m.Name()] = connect(t, m, "127.0.2.25")
	}
	before, log := footprintOf(t, r.daemon), r.daemon.Log()
	offer := []byte("\x00\x00\x00\x0dO\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff")
	for i := range idle {
		conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", r.port), time.Minute)
		must(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		if i%10 == 0 {
			_, err := conn.Write(offer)
			must(t, err)
		}
	}
	most := footprintOf(t, r.daemon)
	began := time.Now()
	r.each(t, func(t *testing.T, m mtatest.MTA) {
		for i := range 10 {
			to := fmt.Sprintf("idle-%s-%d@rcpt.example", m.Name(), i)
			if _, err := deliver(m.Addr(), to, true); err != nil {
				t.Fatal(err)
			}
			r.exactlyOnce(t, to)
		}
		to := "early-" + m.Name() + "@rcpt.example" // deferred if the session was the one that was closed
		reply, err := early[m.Name()].Send(between("a@client.example", to), []byte(plain))
		must(t, err)
		switch reply.Code / 100 {
		case 4:
			t.Logf("a session that was idle is answered %s", reply)
			one(t, m, to, plain, 250)
		case 2:
		default:
			t.Errorf("a session that was idle is answered %s", reply)
		}
		r.exactlyOnce(t, to)
		now := footprintOf(t, r.daemon)
		most.files, most.memory = max(most.files, now.files), max(most.memory, now.memory)
	})
	r.logs(t, log, "all connections are taken (limits.connections), idle ones are closed")
	t.Logf("%d files and %d KiB before; at most %d files and %d KiB; 10 messages through each MTA in %v",
		before.files, before.memory>>10, most.files, most.memory>>10, time.Since(began))
	if most.files > before.files+limit+slack || most.memory > before.memory+64<<20 {
		t.Errorf("before %+v, then %+v", before, most)
	}
}

// A load is what the program takes of the machine.
type load struct{ files, memory int }

// footprintOf returns what the program takes of the machine.
func footprintOf(t *testing.T, d *mtatest.Daemon) load {
	t.Helper()
	files, err := d.OpenFiles()
	must(t, err)
	memory, err := d.Memory()
	must(t, err)
	return load{files, memory}
}

// raise makes sure that this process may open enough files.
func raise(t *testing.T, files uint64) {
	t.Helper()
	var limit syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	if limit.Cur < files {
		limit.Cur, limit.Max = files, max(files, limit.Max)
		must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
	}
}

// TestFailureManual: every row of the table in the manual names a test that exists, and every test of this file stands there.
func TestFailureManual(t *testing.T) {
	manual, err := os.ReadFile(filepath.Join("..", "..", "..", "packaging", "doc", "failure.md"))
	must(t, err)
	sources, err := filepath.Glob("*_test.go")
	must(t, err)
	sources = append(sources, filepath.Join("..", "..", "assay", "dmarc_test.go"))
	tests := map[string]string{} // by name, the file
	for _, source := range sources {
		text, err := os.ReadFile(source)
		must(t, err)
		for line := range strings.Lines(string(text)) {
			if name, found := strings.CutPrefix(line, "func Test"); found {
				name, _, _ = strings.Cut(name, "(")
				tests["Test"+name] = source
			}
		}
	}
	rows := 0
	for line := range strings.Lines(string(manual)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 8 || !strings.Contains(cells[6], "`Test") {
			continue
		}
		rows++
		for name := range strings.FieldsSeq(strings.NewReplacer("`", " ", ",", " ").Replace(cells[6])) {
			if tests[name] == "" {
				t.Errorf("there is no %s: %s", name, line)
			}
		}
	}
	for name, source := range tests {
		if (source == "resilience_test.go" || source == "upgrade_test.go") && name != t.Name() && !strings.Contains(string(manual), "`"+name+"`") {
			t.Errorf("%s does not stand in the manual", name)
		}
	}
	if rows < 10 {
		t.Errorf("%d rows", rows)
	}
}
