package milter

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// watched opens a unix socket whose file is looked at all the time, and accepts on it.
func watched(t *testing.T, a ListenAddress, o ListenOptions) (ln net.Listener, logged *syncBuffer) {
	t.Helper()
	logged = new(syncBuffer)
	o.Logger, o.Watch = slog.New(slog.NewTextHandler(logged, nil)), time.Millisecond
	lns, err := Listen(t.Context(), []ListenAddress{a}, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lns[0].Close() })
	go func() {
		for {
			conn, err := lns[0].Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	return lns[0], logged
}

// eventually polls until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// reachable reports whether somebody listens at a path.
func reachable(path string) bool {
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// A socket whose file is removed, with its directory too, is made again with the permissions that it had.
func TestRemovedSocketIsMadeAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	path := filepath.Join(dir, "s")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	ln, logged := watched(t, ListenAddress{"unix", path}, ListenOptions{SocketMode: 0o640})
	for i := range 3 {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the socket again", func() bool { return strings.Count(logged.String(), "has been made again") == i+1 })
		if !reachable(path) {
			t.Fatal("nobody listens")
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a complaint", func() bool { return strings.Contains(logged.String(), "cannot be made again") })
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the socket again", func() bool { return reachable(path) })
	if n := strings.Count(logged.String(), "cannot be made again"); n != 1 {
		t.Errorf("a complaint was made %d times:\n%s", n, logged)
	}
	ln.Close()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the file is left behind: %v", err)
	}
}

// What somebody else has put in place of the socket is neither removed nor taken for ours.
func TestReplacedSocketIsSomebodyElses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, logged := watched(t, ListenAddress{"unix", path}, ListenOptions{})
	other, err := net.Listen("unix", path+".new")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	eventually(t, "a complaint", func() bool { return strings.Contains(logged.String(), "another process is listening there") })
	ln.Close()
	if !reachable(path) {
		t.Error("the socket of the other process is gone")
	}
}

// A socket of the service manager can only be made again by it, which the log says.
func TestRemovedActivatedSocketIsReported(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	manager, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	manager.SetUnlinkOnClose(false)
	defer manager.Close()
	file, err := manager.File()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Dup(int(file.Fd()))
	file.Close()
	if err != nil {
		t.Fatal(err)
	}
	inherited, err := OpenActivated(fd)
	if err != nil {
		t.Fatal(err)
	}
	ln, logged := watched(t, ListenAddress{"fd", "milter"}, ListenOptions{Activated: map[string][]net.Listener{"milter": {inherited}}})
	if !reachable(path) {
		t.Fatal("nobody listens")
	}
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a complaint", func() bool { return strings.Contains(logged.String(), "systemctl restart assay.socket") })
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of it", func() bool { return strings.Contains(logged.String(), "the socket file is there again") })
	ln.Close()
	if !reachable(path) {
		t.Error("the socket of the service manager is gone")
	}
}

// A server serves on over a socket that was made again.
func TestServerOverASocketMadeAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	lns, err := Listen(t.Context(), []ListenAddress{{"unix", path}}, ListenOptions{Watch: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- NewServer(newDesk(), Options{}).Serve(ctx, lns...) }()
	before := dial(t, "unix", path).open()
	before.deliver("a@example.org")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the socket again", func() bool { return reachable(path) })
	dial(t, "unix", path).open().deliver("b@example.org")
	before.deliver("c@example.org") // connections are none the worse for it
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
