package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"assay/milter"
)

// A Server answers requests on a unix socket.
type Server struct {
	opt      Options
	commands map[string]Command
	own      int                          // the daemon's user
	peer     func(net.Conn) (Peer, error) // who has connected; tests replace it
}

// NewServer returns a server for commands by name.
func NewServer(commands map[string]Command, o Options) *Server {
	return &Server{opt: o.withDefaults(), commands: maps.Clone(commands), own: os.Geteuid(), peer: peerOf}
}

// Listen opens the socket, and removes one that an earlier process has left behind. mode 0 stands for 0660; group may be
// empty.
func Listen(ctx context.Context, path string, mode fs.FileMode, group string) (net.Listener, error) {
	a, err := milter.ParseListen("unix:" + path)
	if err != nil {
		return nil, err
	}
	lns, err := milter.Listen(ctx, []milter.ListenAddress{a}, milter.ListenOptions{SocketMode: mode, SocketGroup: group})
	if err != nil {
		return nil, err
	}
	return lns[0], nil
}

// Serve answers requests until ctx ends. Then it closes ln, tells running commands by their context, and waits for them
// for Options.Drain. The error is nil unless accepting failed.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	var open connections
	err := s.accept(ctx, ln, &open)
	ln.Close()
	cancel()
	open.hangUp()
	if !open.wait(s.opt.Drain) {
		s.opt.Logger.Warn("a command of the control socket is still running, it is abandoned")
	}
	return err
}

// accept serves connections until the listener is closed.
func (s *Server) accept(ctx context.Context, ln net.Listener, open *connections) error {
	for {
		conn, err := ln.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("control: %w", err)
		case err != nil: // no file descriptors, for example
			s.opt.Logger.Warn("the control socket cannot accept a connection", "reason", err)
			if !pause(ctx, 100*time.Millisecond) {
				return nil
			}
			continue
		}
		if !open.add(conn, s.opt.MaxConnections) {
			s.reply(conn, Response{Error: "control: too many connections, try again"})
			conn.Close()
			continue
		}
		go func() {
			defer open.remove(conn)
			s.session(ctx, conn)
		}()
	}
}

// pause waits, and reports whether ctx lasts.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// session answers the requests of one connection, one after the other.
func (s *Server) session(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	peer, err := s.peer(conn)
	if err != nil {
		s.reply(conn, Response{Error: err.Error()})
		return
	}
	in := bufio.NewReaderSize(conn, s.opt.MaxRequest)
	for {
		// The order matters: Serve cancels ctx first and hangs up then.
		if conn.SetReadDeadline(time.Now().Add(s.opt.Idle)) != nil || ctx.Err() != nil {
			return
		}
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			s.reply(conn, Response{Error: fmt.Sprintf("control: a request must not have more than %d octets", s.opt.MaxRequest)})
			return
		}
		if err != nil {
			return
		}
		if !s.reply(conn, s.answer(ctx, peer, line)) {
			return
		}
	}
}

// answer carries out one request.
func (s *Server) answer(ctx context.Context, peer Peer, line []byte) Response {
	r, err := parse(line)
	if err != nil {
		return Response{Error: err.Error()}
	}
	r.Peer = peer
	c, known := s.commands[r.Command]
	if !known {
		return Response{Error: fmt.Sprintf("control: %q is not one of the commands %s", r.Command,
			strings.Join(slices.Sorted(maps.Keys(s.commands)), ", "))}
	}
	if c.Changes && !s.mayChange(peer) {
		s.opt.Logger.Warn("command of the control socket refused", "cmd", r.Command, "user", peer.String(), "uid", peer.UID, "pid", peer.PID)
		return Response{Error: fmt.Sprintf("permission denied: %s may not %s; root may, and the user that assay runs as%s", peer, r.Command, s.groupText())}
	}
	started := time.Now()
	response := s.run(ctx, c, r)
	s.opt.Logger.Info("command of the control socket", "cmd", r.Command, "user", peer.String(), "uid", peer.UID, "pid", peer.PID,
		"ok", response.OK, "ms", time.Since(started).Milliseconds())
	return response
}

// groupText says who else may change something.
func (s *Server) groupText() string {
	if s.opt.Group == "" {
		return ""
	}
	return ", and members of the group " + s.opt.Group
}

// parse reads a request. What it does not know it refuses: a client that asks for more than it gets must hear of it.
func parse(line []byte) (Request, error) {
	var r Request
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return r, fmt.Errorf("control: the request cannot be read: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return r, errors.New("control: the request has something behind its end")
	}
	if r.Version != Version {
		return r, fmt.Errorf("control: the request has version %d, this daemon knows version %d; are assay and the daemon of the same release?", r.Version, Version)
	}
	return r, nil
}

// run calls a handler within the time limit. A panic is its failure.
func (s *Server) run(ctx context.Context, c Command, r Request) (response Response) {
	ctx, cancel := context.WithTimeout(ctx, s.opt.Timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			s.opt.Logger.Error("command of the control socket failed", "cmd", r.Command, "panic", fmt.Sprint(p))
			response = Response{Error: fmt.Sprintf("control: internal error: %v", p)}
		}
	}()
	return c.Run(ctx, r)
}

// reply writes a response, and reports whether it could.
func (s *Server) reply(conn net.Conn, r Response) bool {
	r.Version = Version
	text, err := json.Marshal(r)
	if err != nil { // data that is no JSON
		text, _ = json.Marshal(Response{Version: Version, Error: fmt.Sprintf("control: the answer cannot be written: %v", err)})
	}
	if conn.SetWriteDeadline(time.Now().Add(s.opt.Write)) != nil {
		return false
	}
	_, err = conn.Write(append(text, '\n'))
	return err == nil
}

// mayChange says whether a peer may run commands that change something.
func (s *Server) mayChange(p Peer) bool {
	return p.UID == 0 || p.UID == s.own || s.opt.Group != "" && inGroup(p, s.opt.Group)
}

// inGroup says whether a peer is a member of a group: by the group that the process runs with, or by the group database.
func inGroup(p Peer, group string) bool {
	gid := group
	if _, err := strconv.Atoi(group); err != nil {
		g, err := user.LookupGroup(group)
		if err != nil {
			return false
		}
		gid = g.Gid
	}
	if strconv.Itoa(p.GID) == gid {
		return true
	}
	u, err := user.LookupId(strconv.Itoa(p.UID))
	if err != nil {
		return false
	}
	gids, err := u.GroupIds()
	return err == nil && slices.Contains(gids, gid)
}

// connections are the open connections of a server.
type connections struct {
	mu   sync.Mutex
	open map[net.Conn]bool
	done sync.WaitGroup
}

// add enters a connection, unless there are limit of them.
func (c *connections) add(conn net.Conn, limit int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) >= limit {
		return false
	}
	if c.open == nil {
		c.open = map[net.Conn]bool{}
	}
	c.open[conn] = true
	c.done.Add(1)
	return true
}

func (c *connections) remove(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, conn)
	c.done.Done()
}

// hangUp ends the reading on all connections; what is still to be written is written.
func (c *connections) hangUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open {
		_ = conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// wait waits until all connections are closed, and reports whether they are.
func (c *connections) wait(d time.Duration) bool {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		c.done.Wait()
	}()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-closed:
		return true
	case <-timer.C:
		return false
	}
}
