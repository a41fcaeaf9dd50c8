package milter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// maxUnixPath is the longest path of a unix socket, sun_path without its NUL.
const maxUnixPath = 107

// listenKinds are the beginnings of a listener.
const listenKinds = "inet:, inet6:, unix: or fd:"

// defaultSocketMode lets the owner and the group of a unix socket connect. Postfix connects as its own user, so the group
// is usually postfix.
const defaultSocketMode fs.FileMode = 0o660

// A ListenAddress says where to listen, as ParseListen reads it.
type ListenAddress struct {
	Network string // "tcp4", "tcp6", "unix" or "fd"
	Address string // host:port, path, or name of the activated socket
}

// String returns the address in the form that ParseListen reads.
func (a ListenAddress) String() string {
	prefix := map[string]string{"tcp4": "inet:", "tcp6": "inet6:", "unix": "unix:", "fd": "fd:"}
	return prefix[a.Network] + a.Address
}

// ListenOptions say how to listen. The zero value is useful.
type ListenOptions struct {
	SocketMode  fs.FileMode               // permissions of unix sockets; default 0660
	SocketGroup string                    // name or number of the group of unix sockets; default the process's own
	Activated   map[string][]net.Listener // sockets that the service manager has opened, by name: SocketActivation
	Logger      *slog.Logger              // hears of unix sockets whose file was removed; default: nobody does
	Watch       time.Duration             // how often the files of unix sockets are looked at; default 2 s
}

// ParseListen reads a listener: inet:HOST:PORT, inet6:[ADDRESS]:PORT, unix:PATH, or fd:NAME for a socket that systemd has
// opened.
func ParseListen(spec string) (ListenAddress, error) {
	kind, rest, found := strings.Cut(spec, ":")
	var a ListenAddress
	var err error
	switch {
	case !found:
		err = fmt.Errorf("it must begin with %s", listenKinds)
	case kind == "inet":
		a, err = parseInet(rest)
	case kind == "inet6":
		a, err = parseInet6(rest)
	case kind == "unix" || kind == "local":
		a, err = parseUnix(rest)
	case kind == "fd":
		a, err = parseActivated(rest)
	default:
		err = fmt.Errorf("%q is not one of inet, inet6, unix, fd", kind)
	}
	if err != nil {
		return ListenAddress{}, fmt.Errorf("milter: listener %q: %w", spec, err)
	}
	return a, nil
}

func parseInet(rest string) (ListenAddress, error) {
	if port, host, swapped := strings.Cut(rest, "@"); swapped {
		return ListenAddress{}, fmt.Errorf("host and port are in Sendmail's order; write inet:%s:%s", host, port)
	}
	host, port, err := splitHostPort(rest)
	switch {
	case err != nil:
		return ListenAddress{}, err
	case host == "":
		return ListenAddress{}, fmt.Errorf("the host is missing; write inet:127.0.0.1:%s, or inet:0.0.0.0:%s for every address", port, port)
	case strings.Contains(host, ":"):
		return ListenAddress{}, fmt.Errorf("an IPv6 address needs inet6:[%s]:%s", host, port)
	}
	return ListenAddress{"tcp4", net.JoinHostPort(host, port)}, nil
}

func parseInet6(rest string) (ListenAddress, error) {
	host, port, err := splitHostPort(rest)
	switch {
	case err != nil && strings.Count(rest, ":") > 1 && !strings.HasPrefix(rest, "["):
		return ListenAddress{}, errors.New("the address needs brackets: inet6:[::1]:PORT")
	case err != nil:
		return ListenAddress{}, err
	case host == "":
		return ListenAddress{}, fmt.Errorf("the address is missing; write inet6:[::1]:%s, or inet6:[::]:%s for every address", port, port)
	}
	if ip := net.ParseIP(host); ip != nil && ip.To4() != nil {
		return ListenAddress{}, fmt.Errorf("%s is an IPv4 address; write inet:%s:%s", host, host, port)
	}
	return ListenAddress{"tcp6", net.JoinHostPort(host, port)}, nil
}

// splitHostPort is net.SplitHostPort with a checked port.
func splitHostPort(s string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(s)
	if err != nil {
		return "", "", errors.New("host and port must be HOST:PORT")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || port != strconv.FormatUint(n, 10) {
		return "", "", fmt.Errorf("port %q is not a number from 0 to 65535", port)
	}
	return host, port, nil
}

func parseUnix(path string) (ListenAddress, error) {
	switch {
	case !filepath.IsAbs(path):
		return ListenAddress{}, errors.New("the path of a unix socket must be absolute: unix:/run/assay/milter.sock")
	case strings.HasSuffix(path, "/"), filepath.Clean(path) == "/":
		return ListenAddress{}, errors.New("the path of a unix socket must not end with a slash")
	case strings.ContainsRune(path, 0):
		return ListenAddress{}, errors.New("the path of a unix socket must not hold a NUL")
	case len(path) > maxUnixPath:
		return ListenAddress{}, fmt.Errorf("the path of a unix socket must not be longer than %d octets; it has %d", maxUnixPath, len(path))
	}
	return ListenAddress{"unix", filepath.Clean(path)}, nil
}

func parseActivated(name string) (ListenAddress, error) {
	if name == "" || strings.ContainsAny(name, ": \t\n") {
		return ListenAddress{}, errors.New("the name must be that of FileDescriptorName= in the socket unit: fd:NAME")
	}
	return ListenAddress{"fd", name}, nil
}

// Listen opens all listeners, or none.
func Listen(ctx context.Context, addresses []ListenAddress, o ListenOptions) ([]net.Listener, error) {
	var opened []net.Listener
	for _, a := range addresses {
		lns, err := listen(ctx, a, o)
		if err != nil {
			for _, ln := range opened {
				ln.Close()
			}
			return nil, fmt.Errorf("milter: listener %q: %w", a, err)
		}
		opened = append(opened, lns...)
	}
	return opened, nil
}

func listen(ctx context.Context, a ListenAddress, o ListenOptions) ([]net.Listener, error) {
	var ln net.Listener
	var err error
	switch a.Network {
	case "fd":
		lns := o.Activated[a.Address]
		if len(lns) == 0 {
			return nil, errors.New("the service manager has passed no socket of this name (LISTEN_FDNAMES)")
		}
		return watchActivated(lns, o), nil
	case "unix":
		ln, err = listenUnix(ctx, a.Address, o)
	case "tcp4", "tcp6":
		ln, err = new(net.ListenConfig).Listen(ctx, a.Network, a.Address)
	default:
		err = fmt.Errorf("network %q is unknown", a.Network)
	}
	if err != nil {
		return nil, err
	}
	return []net.Listener{ln}, nil
}

// listenUnix opens a unix socket, which is made again when somebody removes its file.
func listenUnix(ctx context.Context, path string, o ListenOptions) (net.Listener, error) {
	open := openUnix(ctx, path, o)
	ln, err := open()
	if err != nil {
		return nil, err
	}
	return watchSocket(path, ln, open, o)
}

// bindUnix opens a unix socket. On Linux the file takes the permissions that the socket has when it is bound, so that
// nobody else can connect before group and mode are what they should be; the process's umask, which belongs to all its
// goroutines, stays as it is.
func bindUnix(ctx context.Context, path string, o ListenOptions) (*net.UnixListener, error) {
	gid, err := lookupGroup(o.SocketGroup)
	if err != nil {
		return nil, err
	}
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { syscall.Fchmod(int(fd), 0o600) })
	}}
	ln, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	mode := o.SocketMode.Perm()
	if mode == 0 {
		mode = defaultSocketMode
	}
	if gid >= 0 {
		err = os.Chown(path, -1, gid)
	}
	if err = errors.Join(err, os.Chmod(path, mode)); err != nil {
		ln.Close()
		return nil, err
	}
	return ln.(*net.UnixListener), nil
}

// lookupGroup returns the number of a group, or -1 for no group.
func lookupGroup(group string) (int, error) {
	if group == "" {
		return -1, nil
	}
	if gid, err := strconv.ParseUint(group, 10, 31); err == nil {
		return int(gid), nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return -1, fmt.Errorf("group %q is not known on this system", group)
	}
	return strconv.Atoi(g.Gid)
}

// removeStale removes the socket that an earlier process has left behind: only a socket, and only if nobody answers there.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("the file exists and is not a socket")
	}
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path)
	if err == nil {
		conn.Close()
		return errors.New("another process is listening there")
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("the socket exists and may be in use: %w", err)
	}
	return os.Remove(path)
}
