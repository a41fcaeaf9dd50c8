package clamtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"assay/scan/virus"
	"assay/scan/virus/clamd"
)

// What one clamd does to the mails that wait for it: a mail that it is slow about, a clamd that hangs, ends, reloads or has more to
// do than it can.

// grouped returns a group of clamds.
func grouped(t *testing.T, opts ...clamd.Options) *virus.Group {
	t.Helper()
	opt := virus.Options{Now: time.Now}
	for i, o := range opts {
		opt.Engines = append(opt.Engines, virus.Named{Name: fmt.Sprint(i), Engine: client(t, o)})
	}
	return must(virus.New(opt))
}

// ask asks a group about a content.
func ask(t *testing.T, g *virus.Group, content []byte) (virus.Kind, error) {
	t.Helper()
	v, err := g.Scan(t.Context(), "", func() (io.Reader, error) { return bytes.NewReader(content), nil })
	return v.Kind, err
}

// tarry is what the scanner of slowly never answers about.
const tarry = "this takes a long time"

// slowly stands in front of a clamd and keeps to itself what holds the word tarry. It returns its address.
func slowly(t *testing.T, s *Server) string {
	t.Helper()
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { relay(conn, s.Unix()) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		serving.Wait()
	})
	return "tcp:" + l.Addr().String()
}

// relay hands one request on, and the reply back, unless it is about something slow.
func relay(conn net.Conn, address string) {
	defer func() { _ = conn.Close() }()
	up, err := net.Dial("unix", strings.TrimPrefix(address, "unix:"))
	if err != nil {
		return
	}
	defer func() { _ = up.Close() }()
	var asked bytes.Buffer
	var replied sync.WaitGroup
	replied.Go(func() {
		reply, _ := io.ReadAll(up)
		if len(reply) > 0 {
			_, _ = conn.Write(reply)
		}
		_ = conn.Close()
	})
	buf := make([]byte, 64<<10)
	for {
		n, err := conn.Read(buf)
		asked.Write(buf[:n])
		if bytes.Contains(asked.Bytes(), []byte(tarry)) {
			_, _ = io.Copy(io.Discard, conn) // until the client has had enough
			break
		}
		if _, failed := up.Write(buf[:n]); err != nil || failed != nil {
			break
		}
	}
	_ = up.Close()
	replied.Wait()
}

// TestSlowMail has mails that clamd is slow about, and ordinary ones beside and behind them. Those are answered, by the same
// clamd.
func TestSlowMail(t *testing.T) {
	g := grouped(t, clamd.Options{Address: slowly(t, For(t, Options{})), Timeout: 5 * time.Second, MaxConnections: 20})
	var mails sync.WaitGroup
	for i := range 6 {
		mails.Go(func() {
			if _, err := ask(t, g, []byte(tarry)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("slow mail %d: %v", i, err)
			}
		})
		mails.Go(func() {
			if kind, err := ask(t, g, fmt.Appendf(nil, "mail %d", i)); kind != virus.Clean || err != nil {
				t.Errorf("the mail beside it: %v, %v", kind, err)
			}
		})
	}
	mails.Wait()
	if s := g.Status()[0]; !s.Up {
		t.Errorf("%+v", s)
	}
	if kind, err := ask(t, g, EICAR()); kind != virus.Infected || err != nil {
		t.Errorf("the mail behind them: %v, %v", kind, err)
	}
	if s := g.Status()[0]; !s.Up || s.Unanswered != 0 || s.Error != "" {
		t.Errorf("%+v", s)
	}
}

// TestSlowMailAtTheSecond asks the second clamd about a mail that the first is slow about.
func TestSlowMailAtTheSecond(t *testing.T) {
	s := For(t, Options{})
	g := grouped(t, clamd.Options{Address: slowly(t, s), Timeout: 300 * time.Millisecond}, clamd.Options{Address: s.TCP()})
	if kind, err := ask(t, g, append([]byte(tarry), EICAR()...)); kind != virus.Infected || err != nil {
		t.Errorf("%v, %v", kind, err)
	}
}

// TestStopped has clamd hang and go on. It is known to be down when the first mail has got no answer, the others do not wait for
// it, and it is asked again soon after it goes on.
func TestStopped(t *testing.T) {
	s := For(t, Options{})
	g := grouped(t, clamd.Options{Address: s.Unix(), Timeout: 600 * time.Millisecond})
	if err := s.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Signal(syscall.SIGCONT) }()
	if kind, err := ask(t, g, EICAR()); !errors.Is(err, context.DeadlineExceeded) || kind != "" {
		t.Errorf("%v, %v", kind, err)
	}
	if s := g.Status()[0]; s.Up {
		t.Errorf("%+v", s)
	}
	if kind, err := ask(t, g, EICAR()); err == nil || !strings.Contains(err.Error(), "left out") {
		t.Errorf("%v, %v", kind, err)
	}
	if err := s.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		kind, err := ask(t, g, EICAR())
		if kind == virus.Infected && g.Status()[0].Up {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v, %v", kind, err)
		}
	}
}

// TestSocketReplaced ends a clamd and puts another one in its place: the first mail that comes after that is answered.
func TestSocketReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ctl")
	g := grouped(t, clamd.Options{Address: "unix:" + path})
	for i := range 2 {
		s := For(t, Options{})
		if err := os.Symlink(strings.TrimPrefix(s.Unix(), "unix:"), path); err != nil {
			t.Fatal(err)
		}
		if kind, err := ask(t, g, EICAR()); kind != virus.Infected || err != nil {
			t.Errorf("clamd %d: %v, %v", i, kind, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if kind, err := ask(t, g, EICAR()); err == nil || kind != "" {
				t.Errorf("clamd %d has ended: %v, %v", i, kind, err)
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// flood asks about many contents at once and fails the test unless every one gets the right answer.
func flood(t *testing.T, g *virus.Group, mails int) {
	t.Helper()
	var all sync.WaitGroup
	for i := range mails {
		all.Go(func() {
			content, want := bytes.Repeat(fmt.Appendf(nil, "content %d ", i), 2000), virus.Clean
			if i%2 == 1 {
				content, want = append(content, EICAR()...), virus.Infected
			}
			if kind, err := ask(t, g, content); err != nil || kind != want {
				t.Errorf("%d: %v, %v", i, kind, err)
			}
		})
	}
	all.Wait()
}

// TestMoreThanThreads has clamd do little at a time.
func TestMoreThanThreads(t *testing.T) {
	s := For(t, Options{Conf: "MaxThreads 1\nMaxQueue 2"})
	flood(t, grouped(t, clamd.Options{Address: s.Unix(), MaxConnections: 50}), 200)
}

// TestReload has clamd read its database again and again while mails flow, beside its work and in place of it. For the latter it
// waits until its threads have been idle for IdleTimeout, and takes nothing while it does.
func TestReload(t *testing.T) {
	for _, beside := range []string{"yes", "no"} {
		s := For(t, Options{Conf: "IdleTimeout 1\nConcurrentDatabaseReload " + beside})
		g := grouped(t, clamd.Options{Address: s.Unix()})
		for range 3 {
			if err := s.Signal(syscall.SIGUSR2); err != nil {
				t.Fatal(err)
			}
			flood(t, g, 40)
		}
		if s := g.Status()[0]; !s.Up || s.Error != "" {
			t.Errorf("%+v", s)
		}
	}
}
