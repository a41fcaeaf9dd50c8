package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"assay/cmd/internal/mtatest"
)

// fullUpgrade is the environment variable that asks for as many messages as a busy system has in an hour.
const fullUpgrade = "ASSAY_FULL"

// A manager is what systemd is to the program: it has opened the sockets, keeps them open while the program is replaced, and
// hands them to the next one (assay.socket). Whoever connects meanwhile waits in the backlog.
func manager(t *testing.T, l *lane) []*os.File {
	t.Helper()
	unix, err := net.Listen("unix", l.socket())
	must(t, err)
	t.Cleanup(func() { _ = unix.Close() })
	must(t, os.Chmod(l.socket(), 0o666))
	inet, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", l.port))
	must(t, err)
	t.Cleanup(func() { _ = inet.Close() })
	var files []*os.File
	for _, ln := range []net.Listener{unix, inet} {
		f, err := ln.(interface{ File() (*os.File, error) }).File()
		must(t, err)
		t.Cleanup(func() { _ = f.Close() })
		files = append(files, f)
	}
	return files
}

// TestUpgradeUnderLoad: the program is replaced by another version, again and again, as the package does it: the old one gets
// SIGTERM and finishes its messages, the new one gets the sockets. Each message is delivered exactly once, with results of one
// program.
func TestUpgradeUnderLoad(t *testing.T) {
	messages := map[string]int{"postfix": 700, "sendmail": 300}
	upgrades := 3
	if os.Getenv(fullUpgrade) != "" {
		messages, upgrades = map[string]int{"postfix": 10_000, "sendmail": 2_000}, 20
	}
	next, err := mtatest.BuildAssayAs(t.TempDir(), "8.1.0")
	must(t, err)
	versions := []string{program(t, false), next}
	r := newStopped(t, setup{}, versions[0], "")
	r.sockets = manager(t, r.lane)
	r.config = withoutSockets(r.config, r.lane)
	r.start()
	r.each(t, func(t *testing.T, m mtatest.MTA) {
		l := &upload{rig: r, mta: m, total: messages[m.Name()]}
		began := time.Now()
		var wait sync.WaitGroup
		for i := range 8 {
			wait.Go(func() { l.client(t, i) })
		}
		for i := range upgrades {
			for l.sent.Load() < int64((i+1)*l.total/(upgrades+1)) && !t.Failed() {
				time.Sleep(5 * time.Millisecond)
			}
			before := r.daemon.Log()
			must(t, r.daemon.Signal(syscall.SIGTERM))
			must(t, r.daemon.Await())
			_ = r.daemon.Close()
			r.program = versions[(i+1)%len(versions)]
			r.start()
			r.logs(t, before, "assay has stopped\" complete=true")
		}
		wait.Wait()
		flowed := time.Since(began)
		all := l.recipients()
		r.exactlyOnce(t, all...)
		t.Logf("%d messages, %d upgrades, %d were deferred and sent again, %v (%.0f per second)", len(all), upgrades, l.again.Load(),
			flowed.Round(time.Millisecond), float64(len(all))/flowed.Seconds())
		if len(all) < l.total {
			t.Errorf("only %d messages of %d", len(all), l.total)
		}
	})
	if !strings.Contains(r.daemon.Log(), "version=8.1.0") {
		t.Error("the other version has never served")
	}
}

// withoutSockets returns a configuration that names the sockets of the manager in place of those of a lane.
func withoutSockets(config string, l *lane) string {
	var kept []string
	for line := range strings.Lines(config) {
		if !strings.Contains(line, "unix:"+l.socket()) && !strings.Contains(line, fmt.Sprintf("inet:127.0.0.1:%d", l.port)) {
			kept = append(kept, line)
		}
	}
	return strings.Replace(strings.Join(kept, ""), "milter:\n", "milter: [\"fd:milter\"]\n", 1)
}

// An upload is a number of messages that several clients send through one MTA.
type upload struct {
	rig         *rig
	mta         mtatest.MTA
	total       int
	next        atomic.Int64
	sent, again atomic.Int64
}

// to is the recipient of a message.
func (u *upload) to(n int) string { return fmt.Sprintf("upgrade-%s-%d@rcpt.example", u.mta.Name(), n) }

// recipients returns all of them.
func (u *upload) recipients() []string {
	all := make([]string, min(int(u.sent.Load()), u.total))
	for n := range all {
		all[n] = u.to(n)
	}
	return all
}

// client sends messages until all are sent, ten over one connection, as a busy sender does. What is deferred is sent again over
// a new connection.
func (u *upload) client(t *testing.T, i int) {
	for {
		first := int(u.next.Add(10)) - 10
		if first >= u.total {
			return
		}
		for n, tries := first, 0; n < min(first+10, u.total); tries++ {
			done, err := u.session(n, min(first+10, u.total))
			if err != nil {
				t.Errorf("client %d, message %d: %v", i, n, err)
				u.sent.Add(int64(u.total)) // so that nobody waits
				return
			}
			if tries > 2000 {
				t.Errorf("client %d, message %d: not accepted", i, n)
				u.sent.Add(int64(u.total))
				return
			}
			if n += done; n < min(first+10, u.total) {
				u.again.Add(1)
				time.Sleep(20 * time.Millisecond)
			}
		}
	}
}

// session sends messages over one connection until one is deferred, and returns how many were accepted.
func (u *upload) session(from, to int) (done int, err error) {
	c, err := mtatest.Dial(u.mta.Addr(), netip.MustParseAddr("127.0.2.25"))
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close() }()
	if err := c.Expect(250, "EHLO client.example"); err != nil {
		return 0, err
	}
	for n := from; n < to; n++ {
		reply, err := c.Send(between("a@client.example", u.to(n)), []byte(plain))
		switch {
		case err != nil:
			return done, err
		case reply.Code/100 == 4:
			return done, nil
		case reply.Code != 250:
			return done, fmt.Errorf("%s", reply)
		}
		done++
		u.sent.Add(1)
	}
	return done, nil
}
