package session

import (
	"errors"
	"io/fs"
	"net"
	"strings"
	"syscall"
	"testing"
)

// TestAdvice tells what to do about a unix socket. Root may open any, so that the error is made here.
func TestAdvice(t *testing.T) {
	refused := func(err error) error { return &net.OpError{Op: "dial", Net: "unix", Err: err} }
	for _, tt := range []struct {
		network string
		err     error
		want    string
	}{
		{"unix", refused(syscall.EACCES), "dial unix: permission denied (the user of this process must be in the group of the socket; for Debian's clamd: adduser <user> clamav)"},
		{"unix", refused(syscall.ENOENT), "dial unix: no such file or directory (is the scanner running, and is this the path of its socket?)"},
		{"unix", refused(syscall.ECONNREFUSED), "dial unix: connection refused (is the scanner running?)"},
		{"tcp", refused(syscall.ECONNREFUSED), "dial unix: connection refused"},
	} {
		got := New(Options{Network: tt.network}).advise(tt.err)
		if got.Error() != tt.want || !errors.Is(got, tt.err) {
			t.Errorf("%v, want %s", got, tt.want)
		}
	}
	if err := refused(syscall.EACCES); !errors.Is(err, fs.ErrPermission) {
		t.Error("permission denied is not fs.ErrPermission")
	}
}

func TestDefaults(t *testing.T) {
	d := New(Options{Timeout: -1, ConnectTimeout: -1, Connections: -1})
	if d.opt.Timeout != DefaultTimeout || d.opt.ConnectTimeout != DefaultConnectTimeout || cap(d.slots) != DefaultConnections {
		t.Errorf("%+v", d.opt)
	}
}

// TestSlotsAreGivenBack fails to connect more often than there are slots.
func TestSlotsAreGivenBack(t *testing.T) {
	d := New(Options{Network: "unix", Address: t.TempDir() + "/none", Connections: 1})
	for range 3 {
		err := d.Do(t.Context(), func(net.Conn) error { return nil })
		if err == nil || !strings.Contains(err.Error(), "no such file") {
			t.Fatal(err)
		}
	}
	if len(d.slots) != 0 {
		t.Errorf("%d slots are taken", len(d.slots))
	}
}
