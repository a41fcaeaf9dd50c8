package session

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"assay/scan/virus"
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

// silence listens and says nothing.
func silence(t *testing.T) string {
	t.Helper()
	path := t.TempDir() + "/s"
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return path
}

// listen waits for what the scanner says.
func listen(conn net.Conn) error {
	_, err := conn.Read(make([]byte, 1))
	return err
}

// TestNoFreeConnection is no fault of the scanner.
func TestNoFreeConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(Options{Network: "unix", Address: "/none", Connections: 1, Timeout: time.Minute})
		d.slots <- struct{}{}
		start := time.Now()
		err := d.Do(t.Context(), func(net.Conn) error { return nil })
		if !errors.Is(err, virus.ErrBusy) || errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if want := "no connection to the virus scanner was free: all 1 were in use for 1m0s"; err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	})
}

// TestPing uses no slot, and gives up early.
func TestPing(t *testing.T) {
	d := New(Options{Network: "unix", Address: silence(t), Connections: 1, Timeout: 100 * time.Millisecond})
	d.slots <- struct{}{}
	err := d.Ping(t.Context(), listen)
	if !errors.Is(err, context.DeadlineExceeded) || err.Error() != "no answer within 50ms: context deadline exceeded" {
		t.Error(err)
	}
	d = New(Options{Network: "unix", Address: silence(t), Timeout: time.Hour})
	err = d.Ping(t.Context(), func(conn net.Conn) error { return io.ErrClosedPipe })
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}
