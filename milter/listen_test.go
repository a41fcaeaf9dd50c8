package milter

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func TestParseListen(t *testing.T) {
	tests := []struct {
		spec, network, address, problem string
	}{
		{"inet:127.0.0.1:8894", "tcp4", "127.0.0.1:8894", ""},
		{"inet:localhost:8894", "tcp4", "localhost:8894", ""},
		{"inet6:[::1]:8894", "tcp6", "[::1]:8894", ""},
		{"unix:/run/assay/milter.sock", "unix", "/run/assay/milter.sock", ""},
		{"local:/run/assay//milter.sock", "unix", "/run/assay/milter.sock", ""},
		{"fd:milter", "fd", "milter", ""},
		{"", "", "", "must begin with inet:, inet6:, unix: or fd:"},
		{"127.0.0.1:8894", "", "", `"127.0.0.1" is not one of inet, inet6, unix, fd`},
		{"8894", "", "", "must begin with"},
		{"inet:8894", "", "", "must be HOST:PORT"},
		{"inet::8894", "", "", "the host is missing; write inet:127.0.0.1:8894"},
		{"inet:8894@127.0.0.1", "", "", "Sendmail's order; write inet:127.0.0.1:8894"},
		{"inet:127.0.0.1:http", "", "", `port "http" is not a number`},
		{"inet:127.0.0.1:65536", "", "", "from 0 to 65535"},
		{"inet:127.0.0.1:+1", "", "", "is not a number"},
		{"inet:127.0.0.1:", "", "", `port "" is not a number`},
		{"inet:[::1]:8894", "", "", "needs inet6:[::1]:8894"},
		{"inet6:::1:8894", "", "", "needs brackets"},
		{"inet6:127.0.0.1:8894", "", "", "write inet:127.0.0.1:8894"},
		{"inet6:[]:8894", "", "", "the address is missing"},
		{"inet6:8894", "", "", "must be HOST:PORT"},
		{"unix:run/x.sock", "", "", "must be absolute"},
		{"unix:", "", "", "must be absolute"},
		{"unix:/run/", "", "", "must not end with a slash"},
		{"unix:/a\x00b", "", "", "NUL"},
		{"unix:/" + strings.Repeat("x", 107), "", "", "must not be longer than 107 octets; it has 108"},
		{"fd:", "", "", "FileDescriptorName="},
		{"fd:a:b", "", "", "FileDescriptorName="},
	}
	for _, tt := range tests {
		t.Run(tt.spec, func(t *testing.T) {
			got, err := ParseListen(tt.spec)
			if tt.problem == "" {
				if err != nil || got != (ListenAddress{tt.network, tt.address}) {
					t.Errorf("got %+v, %v", got, err)
				}
				if again, err := ParseListen(got.String()); err != nil || again != got {
					t.Errorf("String = %q, which is %+v, %v", got, again, err)
				}
			} else if err == nil || !strings.Contains(err.Error(), tt.problem) || !strings.Contains(err.Error(), fmt.Sprintf("listener %q: ", tt.spec)) {
				t.Errorf("error = %v, want %q in it", err, tt.problem)
			}
		})
	}
}

func FuzzParseListen(f *testing.F) {
	for _, seed := range []string{"inet:127.0.0.1:8894", "inet6:[::1]:1", "unix:/a", "fd:x", "inet:1@2", ":::"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		a, err := ParseListen(spec)
		if err != nil {
			return
		}
		if again, err := ParseListen(a.String()); err != nil || again != a {
			t.Errorf("%q = %+v, again %+v, %v", spec, a, again, err)
		}
	})
}

// listenAt opens one unix socket.
func listenAt(t *testing.T, path string, o ListenOptions) (net.Listener, error) {
	t.Helper()
	lns, err := Listen(t.Context(), []ListenAddress{{"unix", path}}, o)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { lns[0].Close() })
	return lns[0], nil
}

func TestUnixSocketModeAndGroup(t *testing.T) {
	old := syscall.Umask(0o077) // must not matter
	defer syscall.Umask(old)
	for want, o := range map[fs.FileMode]ListenOptions{
		0o660: {}, 0o666: {SocketMode: 0o666}, 0o600: {SocketMode: 0o600, SocketGroup: fmt.Sprint(os.Getgid())},
	} {
		path := filepath.Join(t.TempDir(), "s")
		if _, err := listenAt(t, path, o); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want || info.Sys().(*syscall.Stat_t).Gid != uint32(os.Getgid()) {
			t.Errorf("%v of group %d, want %v", info.Mode(), info.Sys().(*syscall.Stat_t).Gid, want)
		}
	}
	if _, err := listenAt(t, filepath.Join(t.TempDir(), "s"), ListenOptions{SocketGroup: "no-such-group"}); err == nil || !strings.Contains(err.Error(), "no-such-group") {
		t.Errorf("error = %v", err)
	}
}

// Nobody else may connect before mode and group are set, whatever the umask of the process is.
func TestUnixSocketIsNeverTooOpen(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	dir := t.TempDir()
	stop, seen := make(chan struct{}), make(chan fs.FileMode, 1)
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if info, err := os.Stat(filepath.Join(dir, "s")); err == nil && info.Mode().Perm()&^0o620 != 0 {
				select {
				case seen <- info.Mode():
				default:
				}
			}
		}
	})
	for range 200 {
		ln, err := listenAt(t, filepath.Join(dir, "s"), ListenOptions{SocketMode: 0o620})
		if err != nil {
			t.Fatal(err)
		}
		ln.Close()
	}
	close(stop)
	watching.Wait()
	select {
	case mode := <-seen:
		t.Errorf("the socket was %v for a moment", mode)
	default:
	}
}

// stale leaves a socket behind as a killed process does.
func stale(t *testing.T, path string) {
	t.Helper()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	ln.Close()
}

func TestStaleSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	stale(t, path)
	ln, err := listenAt(t, path, ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listenAt(t, path, ListenOptions{}); err == nil || !strings.Contains(err.Error(), "another process is listening there") {
		t.Errorf("error over a socket in use = %v", err)
	}
	if conn, err := net.Dial("unix", path); err != nil {
		t.Errorf("the first socket is gone: %v", err)
	} else {
		conn.Close()
	}
	ln.Close()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

func TestOnlySocketsAreRemoved(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "socket")
	stale(t, socket)
	for name, create := range map[string]func(path string) error{
		"file":      func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"symlink":   func(path string) error { return os.Symlink(socket, path) },
		"fifo":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
	} {
		path := filepath.Join(dir, name)
		if err := create(path); err != nil {
			t.Fatal(err)
		}
		if _, err := listenAt(t, path, ListenOptions{}); err == nil || !strings.Contains(err.Error(), "not a socket") {
			t.Errorf("%s: error = %v", name, err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("%s was removed", name)
		}
	}
}

// A socket that answers in another way than ours did is somebody else's.
func TestForeignSocketIsNotRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	foreign, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	if _, err := listenAt(t, path, ListenOptions{}); err == nil || !strings.Contains(err.Error(), "may be in use") {
		t.Errorf("error = %v", err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the socket was removed: %v", err)
	}
}

func TestListenAllOrNone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	_, err := Listen(t.Context(), []ListenAddress{{"unix", path}, {"tcp4", "127.0.0.1:0"}, {"fd", "absent"}}, ListenOptions{})
	if err == nil || !strings.Contains(err.Error(), `listener "fd:absent": the service manager has passed no socket of this name`) {
		t.Errorf("error = %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a listener was left open")
	}
	lns, err := Listen(t.Context(), []ListenAddress{{"unix", path}, {"tcp4", "127.0.0.1:0"}, {"tcp6", "[::1]:0"}}, ListenOptions{})
	if err != nil {
		if strings.Contains(err.Error(), "tcp6") || strings.Contains(err.Error(), "inet6") {
			t.Skipf("no IPv6 loopback: %v", err)
		}
		t.Fatal(err)
	}
	for _, ln := range lns {
		ln.Close()
	}
	if _, err := Listen(t.Context(), []ListenAddress{{}}, ListenOptions{}); err == nil {
		t.Error("no error for no network")
	}
}

func TestSocketActivation(t *testing.T) {
	env := func(pid, fds, names string) func(string) string {
		return func(k string) string {
			return map[string]string{"LISTEN_PID": pid, "LISTEN_FDS": fds, "LISTEN_FDNAMES": names}[k]
		}
	}
	tests := []struct {
		name    string
		env     func(string) string
		want    string // name:fd,fd ...
		problem string
	}{
		{"two names", env("7", "2", "milter:metrics"), "metrics:[4] milter:[3]", ""},
		{"one name twice", env("7", "3", "milter:metrics:milter"), "metrics:[4] milter:[3 5]", ""},
		{"no names", env("7", "2", ""), "unknown:[3 4]", ""},
		{"no sockets", env("7", "0", ""), "", ""},
		{"not set", env("", "", ""), "", ""},
		{"another process", env("8", "2", "a:b"), "", ""},
		{"not a number", env("7", "x", ""), "", `LISTEN_FDS is "x"`},
		{"negative", env("7", "-1", ""), "", `LISTEN_FDS is "-1"`},
		{"very many", env("7", "1000000000", ""), "", "LISTEN_FDS"},
		{"too few names", env("7", "2", "a"), "", "1 names for 2 sockets"},
		{"not a socket", env("7", "1", "broken"), "", `activated socket "broken"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fds := map[net.Listener]int{}
			got, err := SocketActivation(tt.env, 7, func(fd int) (net.Listener, error) {
				if strings.Contains(tt.problem, "broken") {
					return nil, errors.New("no socket")
				}
				ln := &net.TCPListener{}
				fds[ln] = fd
				return ln, nil
			})
			if tt.problem != "" {
				if err == nil || !strings.Contains(err.Error(), tt.problem) {
					t.Errorf("error = %v, want %q", err, tt.problem)
				}
				return
			}
			var all []string
			for _, name := range []string{"metrics", "milter", "unknown"} {
				var numbers []int
				for _, ln := range got[name] {
					numbers = append(numbers, fds[ln])
				}
				if numbers != nil {
					all = append(all, fmt.Sprint(name, ":", numbers))
				}
			}
			if s := strings.Join(all, " "); s != tt.want || err != nil {
				t.Errorf("got %q, %v, want %q", s, err, tt.want)
			}
		})
	}
}

// An inherited socket serves, and its file stays when it is closed: it belongs to the service manager.
func TestOpenActivated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	original, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	original.SetUnlinkOnClose(false)
	file, err := original.File()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Dup(int(file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	original.Close()
	ln, err := OpenActivated(fd)
	if err != nil {
		t.Fatal(err)
	}
	lns, err := Listen(t.Context(), []ListenAddress{{"fd", "milter"}}, ListenOptions{Activated: map[string][]net.Listener{"milter": {ln}}})
	if err != nil || len(lns) != 1 {
		t.Fatal(err)
	}
	s := NewServer(newDesk(), Options{})
	served := make(chan error)
	go func() { served <- s.Serve(t.Context(), lns...) }()
	dial(t, "unix", path).open().deliver("a@example.org")
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	<-served
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the socket of the service manager was removed: %v", err)
	}
	if _, err := OpenActivated(-1); err == nil {
		t.Error("no error for a file that is not open")
	}
}
