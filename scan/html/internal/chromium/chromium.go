// Package chromium drives a headless Chromium for tests: it shows documents with scripts enabled, lets no request leave,
// and says what ran, what is in the DOM and what was asked for. It speaks the DevTools protocol over a pipe, so it needs
// neither a port nor a library.
package chromium

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// ErrAbsent says that there is no Chromium.
var ErrAbsent = errors.New("chromium: the program chromium is not installed")

// callTimeout is how long the browser may take for one answer.
const callTimeout = 60 * time.Second

// A Browser is a running Chromium.
type Browser struct {
	cmd     *exec.Cmd
	profile string
	done    chan struct{} // closed when the browser's end of the pipe is

	mu      sync.Mutex
	w       io.WriteCloser
	last    int
	waiting map[int]chan answer
	events  map[string]func(method string, params json.RawMessage) // by session
}

// An answer is what comes back for a call.
type answer struct {
	Result json.RawMessage
	Error  *struct{ Message string }
}

// flags keep the browser from doing anything on its own.
func flags(profile string) []string {
	return []string{
		"--headless", "--no-sandbox", "--remote-debugging-pipe", "--user-data-dir=" + profile, "--disable-gpu", "--disable-quic",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
		"--disable-popup-blocking", "--disable-dev-shm-usage", "--force-device-scale-factor=1", "--hide-scrollbars",
		"--host-resolver-rules=MAP * ~NOTFOUND", "--autoplay-policy=no-user-gesture-required", "about:blank",
	}
}

// Start starts a browser; the caller closes it. The error wraps ErrAbsent if there is none.
func Start() (*Browser, error) {
	program, err := exec.LookPath("chromium")
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrAbsent, err)
	}
	profile, err := os.MkdirTemp("", "assay-chromium-")
	if err != nil {
		return nil, err
	}
	in, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	r, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, flags(profile)...)
	cmd.ExtraFiles = []*os.File{in, out} // descriptors 3 and 4
	err = cmd.Start()
	_ = in.Close()
	_ = out.Close()
	if err != nil {
		return nil, errors.Join(err, w.Close(), r.Close(), os.RemoveAll(profile))
	}
	b := &Browser{
		cmd: cmd, profile: profile, w: w, done: make(chan struct{}),
		waiting: make(map[int]chan answer), events: make(map[string]func(string, json.RawMessage)),
	}
	go b.read(r)
	return b, nil
}

// Close ends the browser.
func (b *Browser) Close() error {
	_ = b.send("", "Browser.close", nil, nil)
	select {
	case <-b.done:
	case <-time.After(5 * time.Second):
	}
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait() // it was killed
	_ = b.w.Close()
	return os.RemoveAll(b.profile)
}

// read hands out what the browser says until it ends.
func (b *Browser) read(r io.ReadCloser) {
	defer close(b.done)
	defer r.Close() //nolint:errcheck // only read from
	in := bufio.NewReaderSize(r, 1<<20)
	for {
		line, err := in.ReadBytes(0)
		if err != nil {
			return
		}
		var m struct {
			ID        int
			SessionID string
			Method    string
			Params    json.RawMessage
			answer
		}
		if json.Unmarshal(line[:len(line)-1], &m) != nil {
			continue
		}
		b.mu.Lock()
		reply, handle := b.waiting[m.ID], b.events[m.SessionID]
		delete(b.waiting, m.ID)
		b.mu.Unlock()
		switch {
		case reply != nil:
			reply <- m.answer
		case m.Method != "" && handle != nil:
			handle(m.Method, m.Params)
		}
	}
}

// send sends a command. reply may be nil.
func (b *Browser) send(session, method string, params any, reply chan answer) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	message := map[string]any{"id": b.last, "method": method}
	if params != nil {
		message["params"] = params
	}
	if session != "" {
		message["sessionId"] = session
	}
	line, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if reply != nil {
		b.waiting[b.last] = reply
	}
	_, err = b.w.Write(append(line, 0))
	return err
}

// call sends a command and waits for the answer. result may be nil.
func (b *Browser) call(session, method string, params, result any) error {
	reply := make(chan answer, 1)
	if err := b.send(session, method, params, reply); err != nil {
		return err
	}
	select {
	case a := <-reply:
		switch {
		case a.Error != nil:
			return fmt.Errorf("chromium: %s: %s", method, a.Error.Message)
		case result != nil:
			return json.Unmarshal(a.Result, result)
		}
		return nil
	case <-b.done:
		return fmt.Errorf("chromium: %s: the browser has ended", method)
	case <-time.After(callTimeout):
		return fmt.Errorf("chromium: %s: no answer", method)
	}
}
