package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// title is what a worker is called in lists of processes.
const title = "assay worker"

// Exit codes of a worker that has exceeded a limit and says so. Go uses 2 for a panic.
const (
	exitMemory = 121
	exitTime   = 122
)

// patience is how long a worker may take to end when it has nothing more to do.
const patience = time.Second

// A process is a worker, seen from the daemon. It serves one job at a time; only done, exit and the stderr of an ended one
// may be used by others.
type process struct {
	cmd    *exec.Cmd
	pid    int
	in     *os.File // to its standard input
	out    *os.File // from its standard output
	reader *bufio.Reader
	stderr *tail
	jobs   int
	buffer []byte // for frames; keep sees to its size
	// content holds small contents while the sink has them.
	content []byte
	done    chan struct{} // closed when it was waited for

	link  link
	once  sync.Once   // closes the pipes
	ended atomic.Bool // it was told to end
}

// launch starts a worker.
func launch(o Options) (*process, error) {
	in, toWorker, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	fromWorker, out, err := os.Pipe()
	if err != nil {
		toWorker.Close()
		return nil, err
	}
	defer out.Close()
	widen(toWorker)
	widen(fromWorker)
	w := &process{in: toWorker, out: fromWorker, stderr: &tail{}, done: make(chan struct{})}
	w.reader = bufio.NewReaderSize(&w.link, 64<<10)
	w.cmd = &exec.Cmd{
		Path: o.Command[0], Args: append([]string{title}, o.Command[1:]...), Env: o.Env, Dir: "/",
		Stdin: in, Stdout: out, Stderr: w.stderr, SysProcAttr: attributes(), WaitDelay: patience,
	}
	if err := w.cmd.Start(); err != nil {
		w.close()
		return nil, err
	}
	w.pid = w.cmd.Process.Pid
	return w, nil
}

// wait waits until the process has ended, and releases it.
func (w *process) wait() {
	_ = w.cmd.Wait() // what it says is in ProcessState
	close(w.done)
}

// close closes the pipes. A worker that is idle ends then.
func (w *process) close() {
	w.once.Do(func() {
		w.in.Close()
		w.out.Close()
	})
}

// end lets the worker end; if it does not, it is killed.
func (w *process) end() {
	w.ended.Store(true)
	w.close()
	timer := time.AfterFunc(patience, func() { _ = w.cmd.Process.Kill() })
	go func() {
		<-w.done
		timer.Stop()
	}()
}

// kill ends the worker at once and returns the error of its job. What it is killed for decides, or, if it has ended before,
// what is known about that.
func (w *process) kill(why error) error {
	if errors.Is(why, errGone) {
		w.await(patience / 5) // it is about to end; how tells more than a kill
	}
	_ = w.cmd.Process.Kill() // does nothing to one that was waited for
	<-w.done
	w.close()
	return w.verdict(why)
}

// await waits some time for the end.
func (w *process) await(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-w.done:
	case <-timer.C:
	}
}

// errGone says that the pipes of a worker are closed.
var errGone = errors.New("worker: has ended")

// verdict is the error of the job of a worker that has ended.
func (w *process) verdict(why error) error {
	var limit *Error
	state, last := w.cmd.ProcessState, w.stderr.String()
	log := fmt.Sprintf("%s after %s; %s", state, state.UserTime()+state.SystemTime(), last)
	switch {
	case errors.As(why, &limit):
		return limit
	case !errors.Is(why, errGone) && !errors.Is(why, errGarbage):
		return why // of the context
	case state.ExitCode() == exitTime:
		return limited(limitTime, log)
	case state.ExitCode() == exitMemory, exhausted(last):
		return limited(limitMemory, log)
	case errors.Is(why, errGarbage):
		return crashed(fmt.Sprintf("%v; %s", why, log))
	}
	if wait, ok := state.Sys().(syscall.WaitStatus); ok && wait.Signaled() && wait.Signal() == syscall.SIGKILL {
		return &killedError{crashed(log)}
	}
	return crashed(log)
}

// exhausted reports whether the Go runtime has given up for want of memory.
func exhausted(stderr string) bool {
	for _, s := range []string{"out of memory", "cannot allocate memory", "stack overflow"} {
		if strings.Contains(stderr, s) {
			return true
		}
	}
	// The garbage collector of Go 1.26 does not ask whether it was given the memory that it needs for its own queues. Nothing
	// else faults there: goroutine 0 runs no code of a reader.
	return strings.Contains(stderr, "SIGSEGV") && strings.Contains(stderr, "goroutine 0 gp=")
}

// event tells of the end of the process for which a job has failed with err.
func (w *process) event(err error) Event {
	e := Event{Change: Killed, PID: w.pid, Jobs: w.jobs, Reason: err.Error()}
	var cause *Error
	if errors.As(err, &cause) {
		e.Change, e.Limit, e.Reason = Crashed, cause.Limit, cause.Log
		if cause.Limit != "" {
			e.Change = Limited
		}
	}
	return e
}

// A tail keeps the beginning and the end of what is written to it: the first lines of a panic say what has happened.
type tail struct {
	mu          sync.Mutex
	first, last []byte
	lost        int
}

// ends is how much a tail keeps of the beginning and of the end.
const ends = 1 << 10

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := min(len(p), ends-len(t.first))
	t.first = append(t.first, p[:n]...)
	rest := p[n:]
	if over := len(t.last) + len(rest) - ends; over > 0 {
		t.lost += over
		cut := min(over, len(t.last))
		t.last = append(t.last[:0], t.last[cut:]...)
		rest = rest[over-cut:]
	}
	t.last = append(t.last, rest...)
	return len(p), nil
}

// String returns what is kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lost == 0 {
		return string(t.first) + string(t.last)
	}
	return string(t.first) + "\n...\n" + string(t.last)
}

// A starter starts all workers from one thread that lives as long as the pool: the kernel kills a worker when the thread
// that has started it ends (prctl(2), PR_SET_PDEATHSIG), and Go ends threads as it likes.
type starter struct {
	options  Options
	requests chan request
	ended    chan struct{}
}

// A request asks for a worker.
type request struct {
	ctx    context.Context
	answer chan<- started // has room for one
}

// started is the answer.
type started struct {
	worker *process
	err    error
}

// newStarter starts a starter.
func newStarter(o Options) *starter {
	s := &starter{options: o, requests: make(chan request), ended: make(chan struct{})}
	go s.serve()
	return s
}

// serve starts one worker after the other, not more than Starts in a second, except for a first one in each slot.
func (s *starter) serve() {
	defer close(s.ended)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	gap := time.Second / time.Duration(s.options.Starts)
	burst := time.Duration(s.options.Workers) * gap
	next := time.Now() // when the next start would be due if there were no burst
	for r := range s.requests {
		if behind := time.Now().Add(-burst); next.Before(behind) {
			next = behind
		}
		if !sleep(r.ctx, time.Until(next)) {
			r.answer <- started{err: context.Cause(r.ctx)}
			continue
		}
		next = next.Add(gap)
		w, err := launch(s.options)
		r.answer <- started{w, err}
	}
}

// sleep waits unless the context ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// start starts a worker.
func (s *starter) start(ctx context.Context) (*process, error) {
	answer := make(chan started, 1)
	select {
	case s.requests <- request{ctx, answer}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	a := <-answer
	return a.worker, a.err
}

// close ends the starter. There must be no request any more.
func (s *starter) close() {
	close(s.requests)
	<-s.ended
}
