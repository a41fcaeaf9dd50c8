package milter

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// How often the files of unix sockets are looked at, and how often is said that one of them is not what it should be.
const (
	defaultWatch  = 2 * time.Second
	complainEvery = time.Minute
)

// errReplaced means that the file of an activated socket is not there any more.
var errReplaced = errors.New("the service manager has to make it again: systemctl restart assay.socket assay.service")

// A socketFile is a listener of a unix socket that notices when its file is gone. The kernel goes on listening then, but
// nobody can connect any more, and nothing fails: without a look at the file now and then, an MTA defers all mail until a
// human finds out. The file is made again if that is possible, and otherwise the log says so every minute.
//
// Accept must be called by one goroutine at a time.
type socketFile struct {
	path   string
	open   func() (*net.UnixListener, error) // makes the file and listens
	log    *slog.Logger
	done   chan struct{} // closed when the watch is to end
	ended  chan struct{} // closed when the watch has ended
	once   sync.Once
	lost   bool      // the last look has not found the file
	spoken time.Time // when that was said last

	closing sync.Mutex // held by Close

	mu      sync.Mutex // guards what follows
	current *net.UnixListener
	file    fs.FileInfo // what was at path when current began to listen
}

// watchSocket returns a listener that keeps an eye on the file of ln, and makes it again by open.
func watchSocket(path string, ln *net.UnixListener, open func() (*net.UnixListener, error), o ListenOptions) (net.Listener, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	l := &socketFile{path: path, open: open, log: o.Logger, done: make(chan struct{}), ended: make(chan struct{}), current: ln, file: info}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	every := o.Watch
	setDefault(&every, defaultWatch)
	go l.watch(every)
	return l, nil
}

// Accept implements net.Listener.
func (l *socketFile) Accept() (net.Conn, error) {
	for {
		ln, _ := l.now()
		conn, err := ln.Accept()
		if err == nil {
			return conn, nil
		}
		if next, _ := l.now(); next == ln {
			return nil, err
		}
	}
}

// Addr implements net.Listener.
func (l *socketFile) Addr() net.Addr {
	ln, _ := l.now()
	return ln.Addr()
}

// Close implements net.Listener. A file that belongs to somebody else stays. It may be called several times, also at once.
func (l *socketFile) Close() error {
	l.once.Do(func() { close(l.done) })
	<-l.ended
	l.closing.Lock()
	defer l.closing.Unlock()
	ln, file := l.now()
	if info, err := os.Lstat(l.path); err != nil || !os.SameFile(info, file) {
		ln.SetUnlinkOnClose(false)
	}
	return ln.Close()
}

// now returns the listener of the moment and its file.
func (l *socketFile) now() (*net.UnixListener, fs.FileInfo) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.current, l.file
}

// watch looks at the file until Close.
func (l *socketFile) watch(every time.Duration) {
	defer close(l.ended)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-l.done:
			return
		case <-ticker.C:
			l.look()
		}
	}
}

// look makes the file again if it is not ours any more.
func (l *socketFile) look() {
	_, file := l.now()
	info, err := os.Lstat(l.path)
	if err == nil && os.SameFile(info, file) || err != nil && !errors.Is(err, fs.ErrNotExist) {
		if l.lost && err == nil {
			l.log.Info("the socket file is there again", "socket", l.path)
			l.lost = false
		}
		return
	}
	if err := l.reopen(); err != nil {
		if !l.lost || time.Since(l.spoken) >= complainEvery {
			l.log.Error("the socket file was removed and cannot be made again: no MTA can connect, mail waits there",
				"socket", l.path, "reason", err)
			l.spoken = time.Now()
		}
		l.lost = true
		return
	}
	l.lost = false
	l.log.Error("the socket file was removed and has been made again: mail that came meanwhile was deferred by the MTA", "socket", l.path)
}

// reopen makes the file again and has Accept go over to it.
func (l *socketFile) reopen() error {
	ln, err := l.open()
	if err != nil {
		return err
	}
	info, err := os.Lstat(l.path)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	l.mu.Lock()
	old := l.current
	l.current, l.file = ln, info
	l.mu.Unlock()
	old.SetUnlinkOnClose(false) // the file of this name is the new one's
	return old.Close()
}

// watchActivated returns the listeners with an eye on the files of those that have one. Only the service manager can make
// them again.
func watchActivated(lns []net.Listener, o ListenOptions) []net.Listener {
	watched := make([]net.Listener, len(lns))
	for i, ln := range lns {
		watched[i] = ln
		unix, ok := ln.(*net.UnixListener)
		if !ok {
			continue
		}
		path := unix.Addr().String()
		if info, err := os.Lstat(path); err != nil || info.Mode().Type() != fs.ModeSocket {
			continue // it has no name, or one that is not seen from here
		}
		if l, err := watchSocket(path, unix, func() (*net.UnixListener, error) { return nil, errReplaced }, o); err == nil {
			watched[i] = l
		}
	}
	return watched
}

// openUnix returns a function that opens a unix socket again.
func openUnix(ctx context.Context, path string, o ListenOptions) func() (*net.UnixListener, error) {
	ctx = context.WithoutCancel(ctx)
	return func() (*net.UnixListener, error) { return bindUnix(ctx, path, o) }
}
