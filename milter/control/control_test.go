package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// serve runs a server for the time of a test and returns the path of its socket and what stops it.
func serve(t *testing.T, commands map[string]Command, o Options, change func(*Server)) (path string, stop func() error) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "c.sock")
	ln, err := Listen(t.Context(), path, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(commands, o)
	if change != nil {
		change(s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln) }()
	stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return path, stop
}

// as makes a server believe that a peer has connected.
func as(p Peer) func(*Server) {
	return func(s *Server) { s.peer = func(net.Conn) (Peer, error) { return p, nil } }
}

// echo answers with the arguments and who asked.
var echo = map[string]Command{
	"show":   {Run: func(_ context.Context, r Request) Response { return Done(r.Args, nil) }},
	"change": {Changes: true, Run: func(_ context.Context, r Request) Response { return Done(r.Peer.String(), nil) }},
}

func TestCall(t *testing.T) {
	path, _ := serve(t, echo, Options{}, nil)
	r, err := Call(t.Context(), path, Request{Command: "show", Args: json.RawMessage(`{"a":[1,2]}`)})
	if err != nil || r.Err() != nil || string(r.Data) != `{"a":[1,2]}` || r.Version != Version {
		t.Errorf("response = %+v, %v", r, err)
	}
	r, err = Call(t.Context(), path, Request{Command: "change"})
	me, _ := user.Current()
	if want := fmt.Sprintf("%q", me.Username); err != nil || string(r.Data) != want {
		t.Errorf("who = %s, want %s; %+v, %v", r.Data, want, r, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode = %v, %v", info.Mode(), err)
	}
}

func TestUnknownCommand(t *testing.T) {
	path, _ := serve(t, echo, Options{}, nil)
	r, err := Call(t.Context(), path, Request{Command: "relaod"})
	if err != nil || r.OK || r.Error != `control: "relaod" is not one of the commands change, show` {
		t.Errorf("response = %+v, %v", r, err)
	}
}

func TestFailureCarriesData(t *testing.T) {
	path, _ := serve(t, map[string]Command{"reload": {Run: func(context.Context, Request) Response {
		return Done([]string{"a.yaml:1:1: wrong"}, errors.New("1 error, the old set stays in force"))
	}}}, Options{}, nil)
	r, err := Call(t.Context(), path, Request{Command: "reload"})
	if err != nil || r.Err() == nil || r.Err().Error() != "1 error, the old set stays in force" || string(r.Data) != `["a.yaml:1:1: wrong"]` {
		t.Errorf("response = %+v, %v", r, err)
	}
}

func TestPermission(t *testing.T) {
	own := os.Geteuid()
	tests := []struct {
		name  string
		peer  Peer
		group string
		ok    bool
	}{
		{"root", Peer{UID: 0, GID: 4711}, "", true},
		{"the daemon's user", Peer{UID: own, GID: 4711}, "", true},
		{"somebody", Peer{UID: 4711, GID: 4711}, "", false},
		{"group root is not root", Peer{UID: 4711, GID: 0}, "", false},
		{"primary group by number", Peer{UID: 4711, GID: 4712}, "4712", true},
		{"another group", Peer{UID: 4711, GID: 4713}, "4712", false},
		{"group that does not exist", Peer{UID: 4711, GID: 4713}, "no-such-group", false},
		{"the overflow user", Peer{UID: 65534, GID: 65534}, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path, _ := serve(t, echo, Options{Group: tt.group}, as(tt.peer))
			r, err := Call(t.Context(), path, Request{Command: "change"})
			if err != nil || r.OK != tt.ok {
				t.Fatalf("response = %+v, %v", r, err)
			}
			if !tt.ok && !strings.HasPrefix(r.Error, "permission denied: "+tt.peer.String()+" may not change; root may") {
				t.Errorf("error = %q", r.Error)
			}
			if r, err := Call(t.Context(), path, Request{Command: "show"}); err != nil || !r.OK {
				t.Errorf("a command that changes nothing: %+v, %v", r, err)
			}
		})
	}
}

// The group database counts too: members need not have the group as their first one.
func TestSupplementaryGroup(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	gids, err := me.GroupIds()
	if err != nil || len(gids) == 0 {
		t.Fatalf("groups = %v, %v", gids, err)
	}
	p := Peer{UID: os.Geteuid(), GID: 4711}
	if !inGroup(p, gids[0]) || inGroup(p, "4712") {
		t.Errorf("membership of %v in %s is not seen, or one in 4712 is", p, gids[0])
	}
	if group, err := user.LookupGroupId(gids[0]); err == nil && !inGroup(p, group.Name) {
		t.Errorf("membership in %s is not seen by name", group.Name)
	}
}

// Who a peer is comes from the kernel; what a request says about it is refused.
func TestPeerIsNotTakenFromTheRequest(t *testing.T) {
	path, _ := serve(t, echo, Options{}, as(Peer{UID: 4711}))
	got := raw(t, path, `{"version":1,"cmd":"change","Peer":{"UID":0},"-":{"UID":0}}`+"\n")
	if got.OK || !strings.Contains(got.Error, "unknown field") {
		t.Errorf("response = %+v", got)
	}
}

func TestPeerUnknown(t *testing.T) {
	path, _ := serve(t, echo, Options{}, func(s *Server) {
		s.peer = func(net.Conn) (Peer, error) { return Peer{}, errors.New("control: who are you?") }
	})
	r, err := Call(t.Context(), path, Request{Command: "show"})
	if err != nil || r.OK || r.Error != "control: who are you?" {
		t.Errorf("response = %+v, %v", r, err)
	}
}

// dial connects to a socket.
func dial(t *testing.T, path string) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// raw writes octets and reads one response.
func raw(t *testing.T, path, octets string) Response {
	t.Helper()
	conn := dial(t, path)
	if _, err := conn.Write([]byte(octets)); err != nil && !errors.Is(err, syscall.EPIPE) {
		t.Fatal(err)
	}
	return read(t, bufio.NewReader(conn))
}

func read(t *testing.T, in *bufio.Reader) Response {
	t.Helper()
	line, err := in.ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var r Response
	if err := json.Unmarshal(line, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestBadRequests(t *testing.T) {
	path, _ := serve(t, echo, Options{MaxRequest: 200}, nil)
	for octets, want := range map[string]string{
		"reload\n":                            "cannot be read",
		"\n":                                  "cannot be read",
		"[]\n":                                "cannot be read",
		`{"version":1,"cmd":"show"}{}` + "\n": "something behind its end",
		`{"version":2,"cmd":"show"}` + "\n":   "version 2, this daemon knows version 1",
		`{"cmd":"show"}` + "\n":               "version 0",
		`{"version":1,"cmd":"show","x":1}` + "\n": `unknown field "x"`,
		strings.Repeat("x", 201):                  "not have more than 200 octets",
	} {
		if got := raw(t, path, octets); got.OK || !strings.Contains(got.Error, want) || got.Version != Version {
			t.Errorf("%q: response = %+v, want %q in it", octets, got, want)
		}
	}
}

func TestSeveralRequestsOfOneConnection(t *testing.T) {
	path, _ := serve(t, echo, Options{}, nil)
	conn := dial(t, path)
	in := bufio.NewReader(conn)
	if _, err := conn.Write([]byte(`{"version":1,"cmd":"show","args":1}` + "\nnonsense\n" + `{"version":1,"cmd":"show","args":2}` + "\n")); err != nil {
		t.Fatal(err)
	}
	if a, b, c := read(t, in), read(t, in), read(t, in); string(a.Data) != "1" || b.OK || string(c.Data) != "2" {
		t.Errorf("responses = %+v, %+v, %+v", a, b, c)
	}
}

func TestPanic(t *testing.T) {
	path, _ := serve(t, map[string]Command{
		"panic": {Run: func(context.Context, Request) Response { panic("oh") }},
		"junk":  {Run: func(context.Context, Request) Response { return Response{OK: true, Data: json.RawMessage("{")} }},
	}, Options{}, nil)
	for _, command := range []string{"panic", "junk", "panic"} {
		if r, err := Call(t.Context(), path, Request{Command: command}); err != nil || r.OK || r.Error == "" {
			t.Errorf("%s: response = %+v, %v", command, r, err)
		}
	}
}

func TestTooManyConnections(t *testing.T) {
	path, _ := serve(t, echo, Options{MaxConnections: 2}, nil)
	for range 2 {
		conn := dial(t, path)
		if _, err := conn.Write([]byte(`{"version":1,"cmd":"show"}` + "\n")); err != nil {
			t.Fatal(err)
		}
		read(t, bufio.NewReader(conn)) // it is served, and stays open
	}
	r, err := Call(t.Context(), path, Request{Command: "show"})
	if err != nil || r.OK || !strings.Contains(r.Error, "too many connections") {
		t.Errorf("response = %+v, %v", r, err)
	}
}

func TestSilentClientIsClosed(t *testing.T) {
	path, _ := serve(t, echo, Options{Idle: 20 * time.Millisecond}, nil)
	conn := dial(t, path)
	if _, err := conn.Write([]byte(`{"version":1,`)); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(conn).ReadByte(); err == nil {
		t.Error("half a request is answered")
	}
}

func TestCommandTimeout(t *testing.T) {
	path, _ := serve(t, map[string]Command{"wait": {Run: func(ctx context.Context, _ Request) Response {
		<-ctx.Done()
		return Done(nil, ctx.Err())
	}}}, Options{Timeout: 10 * time.Millisecond}, nil)
	r, err := Call(t.Context(), path, Request{Command: "wait"})
	if err != nil || r.OK || r.Error != "context deadline exceeded" {
		t.Errorf("response = %+v, %v", r, err)
	}
}

// A command runs to its end when its client has gone.
func TestClientGoesAway(t *testing.T) {
	began, finish, ended := make(chan bool), make(chan bool), make(chan error, 1)
	path, _ := serve(t, map[string]Command{"work": {Run: func(ctx context.Context, _ Request) Response {
		close(began)
		<-finish
		ended <- ctx.Err()
		return Response{OK: true}
	}}}, Options{}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := Call(ctx, path, Request{Command: "work"})
		gone <- err
	}()
	<-began
	cancel()
	if err := <-gone; !errors.Is(err, ErrNoAnswer) || !errors.Is(err, context.Canceled) {
		t.Errorf("Call = %v", err)
	}
	close(finish)
	if err := <-ended; err != nil {
		t.Errorf("the command's context: %v", err)
	}
}

// The end of the server tells running commands, answers them, and closes connections that wait.
func TestStop(t *testing.T) {
	began := make(chan bool)
	path, stop := serve(t, map[string]Command{"work": {Run: func(ctx context.Context, _ Request) Response {
		close(began)
		<-ctx.Done()
		return Response{Error: "the daemon is stopping"}
	}}}, Options{}, nil)
	dial(t, path)
	answer := make(chan Response)
	go func() {
		r, err := Call(t.Context(), path, Request{Command: "work"})
		if err != nil {
			t.Error(err)
		}
		answer <- r
	}()
	<-began
	start := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if r := <-answer; r.Error != "the daemon is stopping" {
		t.Errorf("response = %+v", r)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
	if _, err := Call(t.Context(), path, Request{Command: "work"}); !errors.Is(err, ErrNotRunning) {
		t.Errorf("after the end: %v", err)
	}
}

func TestStopDoesNotWaitForEver(t *testing.T) {
	began, finish := make(chan bool), make(chan bool)
	path, stop := serve(t, map[string]Command{"work": {Run: func(context.Context, Request) Response {
		close(began)
		<-finish
		return Response{}
	}}}, Options{Drain: 20 * time.Millisecond}, nil)
	gone := make(chan bool)
	go func() {
		defer close(gone)
		_, _ = Call(t.Context(), path, Request{Command: "work"})
	}()
	<-began
	if err := stop(); err != nil {
		t.Error(err)
	}
	close(finish)
	<-gone
}

func TestCallErrors(t *testing.T) {
	dir := t.TempDir()
	_, err := Call(t.Context(), filepath.Join(dir, "none.sock"), Request{Command: "x"})
	if !errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), "the daemon is not running (there is no socket "+dir) {
		t.Errorf("no socket: %v", err)
	}
	path := filepath.Join(dir, "stale.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ln.Close()
	_, err = Call(t.Context(), path, Request{Command: "x"})
	if !errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), "nobody listens at "+path) {
		t.Errorf("stale socket: %v", err)
	}
	if err := dialError("/p", &net.OpError{Err: os.NewSyscallError("connect", syscall.EACCES)}); !errors.Is(err, ErrPermission) ||
		!strings.Contains(err.Error(), "permission denied") {
		t.Errorf("no permission: %v", err)
	}
	// A stale socket is replaced, another file is not.
	ln, err = Listen(t.Context(), path, 0o600, "")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if _, err := Listen(t.Context(), path, 0, ""); err == nil || !strings.Contains(err.Error(), "another process is listening there") {
		t.Errorf("two listeners: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != fs.FileMode(0o600) {
		t.Errorf("mode = %v, %v", info, err)
	}
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(t.Context(), plain, 0, ""); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("a plain file: %v", err)
	}
}

// fake answers every connection with the same octets.
func fake(t *testing.T, answer string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = bufio.NewReader(conn).ReadString('\n')
			_, _ = conn.Write([]byte(answer))
			conn.Close()
		}
	}()
	return path
}

func TestCallUnderstandsOnlyResponses(t *testing.T) {
	for answer, want := range map[string]string{
		"":                               "the daemon gave no answer",
		`{"version":1,"ok":true}`:        "the daemon gave no answer", // torn off
		"hello\n":                        "the answer cannot be read",
		`{"version":7,"ok":true}` + "\n": "speaks version 7, this program version 1",
	} {
		if _, err := Call(t.Context(), fake(t, answer), Request{Command: "x"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", answer, err, want)
		}
	}
}

// On this system the kernel says who has connected.
func TestPeerOf(t *testing.T) {
	got := make(chan Peer, 1)
	path, _ := serve(t, map[string]Command{"who": {Run: func(_ context.Context, r Request) Response {
		got <- r.Peer
		return Response{OK: true}
	}}}, Options{}, nil)
	if _, err := Call(t.Context(), path, Request{Command: "who"}); err != nil {
		t.Fatal(err)
	}
	if p := <-got; p.UID != os.Geteuid() || p.GID != os.Getegid() || p.PID != os.Getpid() {
		t.Errorf("peer = %+v", p)
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if _, err := peerOf(a); err == nil {
		t.Error("a pipe has a peer")
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{`{"version":1,"cmd":"reload"}`, `{"version":1,"cmd":"x","args":{"a":[1]}}`, `[]`, `{"version":1}{}`, "\x00"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := parse(line)
		if err != nil {
			return
		}
		if r.Version != Version || r.Peer != (Peer{}) {
			t.Errorf("%q = %+v", line, r)
		}
		if _, err := json.Marshal(r); err != nil {
			t.Errorf("%q cannot be written again: %v", line, err)
		}
	})
}
