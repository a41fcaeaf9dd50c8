//go:build linux && (amd64 || arm64)

package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"assay/scan"
	"assay/scan/container"
	"assay/scan/inspect"
)

func TestPlain(t *testing.T) {
	p := newPool(t, Options{})
	r, err := p.Inspect(t.Context(), job("plain", 1, 2, 3), nil)
	if err != nil || len(r.Objects) != 1 || r.Objects[0].State != scan.Inspected || r.Objects[0].Path != "2" {
		t.Errorf("Inspect = %+v, %v", r, err)
	}
	status, ok := p.Sandbox()
	t.Logf("sandbox: %+v", status)
	if !ok {
		t.Error("no sandbox is known after a job")
	}
}

func TestForbidden(t *testing.T) {
	p := newPool(t, Options{})
	status, err := p.Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !status.Seccomp {
		t.Fatalf("no seccomp: %q", status.Missing)
	}
	r, err := p.Inspect(t.Context(), job("forbidden"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Members != len(attempts()) || len(r.Objects[0].Names) > 0 {
		t.Errorf("%d attempts: %q", r.Members, r.Objects[0].Names)
	}
}

func TestOrdinary(t *testing.T) {
	p := newPool(t, Options{})
	for range 3 {
		if r, err := p.Inspect(t.Context(), job("ordinary"), nil); err != nil || r.Members != 11 {
			t.Errorf("Inspect = %+v, %v", r, err)
			log(t, err)
		}
	}
}

// log shows what is known of an error.
func log(t *testing.T, err error) {
	var e *Error
	if errors.As(err, &e) {
		t.Log(e.Log)
	}
}

func TestFailures(t *testing.T) {
	tests := []struct {
		act   string
		is    error
		limit string
		log   string
	}{
		{"panic", ErrCrashed, "", "of the engine"},
		{"exit", ErrCrashed, "", ""},
		{"hang", container.ErrLimit, "time", ""},
		{"spin", container.ErrLimit, "time", ""},
		{"state", ErrCrashed, "", "clean"},
		{"flood", ErrCrashed, "", ""},
	}
	p := newPool(t, Options{CPU: 200 * time.Millisecond, Wall: time.Second})
	for _, tt := range tests {
		t.Run(tt.act, func(t *testing.T) {
			_, err := p.Inspect(t.Context(), job(tt.act), nil)
			var e *Error
			if !errors.As(err, &e) || !errors.Is(err, tt.is) || e.Limit != tt.limit || !strings.Contains(e.Log, tt.log) {
				t.Errorf("Inspect: %v, want %v, %q, %q", err, tt.is, tt.limit, tt.log)
				log(t, err)
			}
			if _, err := p.Inspect(t.Context(), job("plain"), nil); err != nil {
				t.Errorf("the next job: %v", err)
			}
		})
	}
}

func TestContents(t *testing.T) {
	p := newPool(t, Options{})
	for _, size := range []int{0, 1, 100, 5 << 10, 100 << 10, 3 << 20, 20 << 20} {
		j := job("contents", bytes.Repeat([]byte("0123456789abcde"), size/15+1)[:size]...)
		j.Object.Path = "2 twice"[:3]
		var paths []string
		r, err := p.Inspect(t.Context(), j, func(path string, content []byte) error {
			paths = append(paths, path)
			if !bytes.Equal(content, j.Content) {
				t.Errorf("%d octets: another content of %d octets", size, len(content))
			}
			return nil
		})
		if err != nil || r.Members != 2 || strings.Join(paths, " ") != "2/0 2/1" {
			t.Errorf("%d octets: %+v, %v; contents of %q", size, r, err, paths)
			log(t, err)
		}
	}
}

func TestSinkRefuses(t *testing.T) {
	p := newPool(t, Options{})
	no := errors.New("no more")
	for _, size := range []int{10, 3 << 20} {
		j := job("contents", make([]byte, size)...)
		j.Object.Path = strings.Repeat("x", 31)
		calls := 0
		r, err := p.Inspect(t.Context(), j, func(string, []byte) error { calls++; return no })
		if err != no || calls != 1 || len(r.Objects) != 1 {
			t.Errorf("Inspect = %+v, %v after %d calls", r, err, calls)
			log(t, err)
		}
		if _, err := p.Inspect(t.Context(), j, nil); err != nil {
			t.Errorf("the next job: %v", err)
		}
	}
}

// TestMemory lets jobs allocate without end and looks at the most that was resident.
func TestMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes a multiple of the memory")
	}
	for _, act := range []string{"eat", "huge", "recurse", "double", "litter"} {
		t.Run(act, func(t *testing.T) {
			p := newPool(t, Options{Workers: 1, CPU: 20 * time.Second, Wall: 30 * time.Second})
			if _, err := p.Probe(t.Context()); err != nil {
				t.Fatal(err)
			}
			pid := idle(p).pid
			most := watchMemory(t, pid)
			_, err := p.Inspect(t.Context(), job(act, make([]byte, 10<<20)...), nil)
			var e *Error
			if act == "litter" {
				if err != nil {
					t.Error(err)
					log(t, err)
				}
			} else if !errors.As(err, &e) || e.Limit != limitMemory {
				t.Errorf("Inspect: %v", err)
				log(t, err)
			}
			if n := most(); n > 256<<20+3*stacks {
				t.Errorf("%d MiB were resident", n>>20)
			} else {
				t.Logf("%d MiB were resident", n>>20)
			}
		})
	}
}

// watchMemory looks at the high-water mark of a process until it ends or the function is called.
func watchMemory(t *testing.T, pid int) func() int64 {
	stop, result := make(chan struct{}), make(chan int64)
	go func() {
		var most int64
		for {
			select {
			case <-stop:
				result <- most
				return
			default:
			}
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			if _, rest, ok := strings.Cut(string(status), "VmHWM:"); ok && err == nil {
				var kib int64
				_, _ = fmt.Sscan(rest, &kib)
				most = max(most, kib<<10)
			}
		}
	}()
	return func() int64 { close(stop); return <-result }
}

// TestProcessorTime stops loops at the limit, with and without the help of the worker.
func TestProcessorTime(t *testing.T) {
	for _, role := range []string{"worker", "deaf"} {
		t.Run(role, func(t *testing.T) {
			p := newPool(t, Options{Command: []string{"/proc/self/exe", role}, CPU: 500 * time.Millisecond, Wall: time.Minute})
			if _, err := p.Probe(t.Context()); err != nil {
				t.Fatal(err)
			}
			w := idle(p)
			_, err := p.Inspect(t.Context(), job("spin"), nil)
			var e *Error
			if !errors.As(err, &e) || e.Limit != limitTime {
				t.Fatalf("Inspect: %v", err)
			}
			used := w.cmd.ProcessState.UserTime() + w.cmd.ProcessState.SystemTime()
			if used < 500*time.Millisecond || used > 700*time.Millisecond {
				t.Errorf("it took %v", used)
			}
		})
	}
}

// TestRefused works on without a sandbox, says so, and keeps the limits all the same.
func TestRefused(t *testing.T) {
	p := newPool(t, Options{Command: []string{"/proc/self/exe", "refused"}, Workers: 1, CPU: 500 * time.Millisecond, Memory: 1 << 30})
	status, err := p.Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if status.Seccomp || status.Landlock || status.Limits || len(status.Missing) != 3 {
		t.Errorf("sandbox: %+v", status)
	}
	if _, err := p.Inspect(t.Context(), job("plain"), nil); err != nil {
		t.Error(err)
	}
	for _, act := range []string{"spin", "eat"} {
		_, err := p.Inspect(t.Context(), job(act), nil)
		var e *Error
		if !errors.As(err, &e) || e.Limit == "" {
			t.Errorf("%s: %v", act, err)
			log(t, err)
		}
	}
}

// TestBuffers bounds what is in use, and waits with the context.
func TestBuffers(t *testing.T) {
	b := newBuffers(4 << 20)
	var own []byte
	first, release, err := b.take(t.Context(), 3<<20, &own)
	if err != nil || len(first) != 3<<20 {
		t.Fatalf("take = %d octets, %v", len(first), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := b.take(ctx, 3<<20, &own); !errors.Is(err, context.Canceled) {
		t.Errorf("take beside another: %v", err)
	}
	if small, _, err := b.take(t.Context(), 10, &own); err != nil || len(small) != 10 {
		t.Errorf("take of a small one = %d octets, %v", len(small), err)
	}
	release()
	if large, _, err := b.take(t.Context(), 100<<20, &own); err != nil || len(large) != 100<<20 {
		t.Errorf("take of one that is larger than the limit = %d octets, %v", len(large), err)
	}
	if cap(own) > small {
		t.Errorf("it keeps %d octets", cap(own))
	}
}

// TestMute gives up a worker that never says anything.
func TestMute(t *testing.T) {
	p := newPool(t, Options{Command: []string{"/proc/self/exe", "mute"}, Wall: 100 * time.Millisecond})
	if _, err := p.Inspect(t.Context(), job("plain"), nil); !errors.Is(err, container.ErrLimit) {
		t.Errorf("Inspect: %v", err)
	}
}

// TestMissing is about a program that is not there.
func TestMissing(t *testing.T) {
	var events events
	p := newPool(t, Options{Command: []string{"/nonexistent/assay"}, Observe: events.add})
	if _, err := p.Inspect(t.Context(), job("plain"), nil); !errors.Is(err, ErrStart) {
		t.Errorf("Inspect: %v", err)
	}
	if got := events.changes(); got != "failed" {
		t.Errorf("events: %s", got)
	}
}

// idle returns the worker that was used last, nil if there is none.
func idle(p *Pool) *process {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	return p.idle[len(p.idle)-1]
}

// events collects what becomes of workers.
type events struct {
	mu  sync.Mutex
	all []Event
}

// add is an Options.Observe.
func (e *events) add(more Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, more)
}

// changes returns the changes so far.
func (e *events) changes() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var words []string
	for _, event := range e.all {
		words = append(words, string(event.Change))
	}
	return strings.Join(words, " ")
}

// TestEvents follows workers from the beginning to the end.
func TestEvents(t *testing.T) {
	var events events
	p := newPool(t, Options{Workers: 1, Jobs: 2, CPU: 50 * time.Millisecond, Observe: events.add})
	for _, act := range []string{"plain", "plain", "panic", "spin", "plain"} {
		_, _ = p.Inspect(t.Context(), job(act), nil)
	}
	p.Close()
	// The end of a worker that has done enough may come later than the beginning of the next one.
	got := strings.Replace(events.changes(), "started started ended", "started ended started", 1)
	if want := "started ended started crashed started limited started ended"; got != want {
		t.Errorf("events: %s, want %s", got, want)
	}
}

// TestCancel ends jobs with their context, those at work and those that wait.
func TestCancel(t *testing.T) {
	p := newPool(t, Options{Workers: 1, Wall: time.Minute})
	ctx, cancel := context.WithCancel(t.Context())
	results := make(chan error)
	for range 3 {
		go func() {
			_, err := p.Inspect(ctx, job("hang"), nil)
			results <- err
		}()
	}
	cancel()
	for range 3 {
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Errorf("Inspect: %v", err)
		}
	}
	if _, err := p.Inspect(t.Context(), job("plain"), nil); err != nil {
		t.Errorf("the next job: %v", err)
	}
}

// TestClose ends jobs at work, and refuses later ones.
func TestClose(t *testing.T) {
	started := make(chan Event, 1)
	p := newPool(t, Options{Workers: 1, Wall: time.Minute, Observe: func(e Event) {
		if e.Change == Started {
			started <- e
		}
	}})
	result := make(chan error)
	go func() {
		_, err := p.Inspect(t.Context(), job("hang"), nil)
		result <- err
	}()
	e := <-started
	p.Close()
	if err := <-result; err != ErrClosed {
		t.Errorf("Inspect: %v", err)
	}
	if err := syscall.Kill(e.PID, 0); err != syscall.ESRCH {
		t.Errorf("the worker after Close: %v", err)
	}
	if _, err := p.Inspect(t.Context(), job("plain"), nil); err != ErrClosed {
		t.Errorf("a later job: %v", err)
	}
}

// TestDaemonDies looks for the worker of a daemon that was killed.
func TestDaemonDies(t *testing.T) {
	daemon := exec.Command("/proc/self/exe", "daemon")
	out, err := daemon.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(out, &pid); err != nil {
		t.Fatal(err)
	}
	if err := daemon.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = daemon.Wait()
	for deadline := time.Now().Add(10 * time.Second); processorTime(pid) > 0; {
		if state := state(pid); state == "Z" {
			break // somebody else's task
		}
		if time.Now().After(deadline) {
			t.Fatal("the worker has survived its daemon")
		}
	}
}

// state is the letter that proc(5) has for the state of a process.
func state(pid int) string {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(stat), ") ")
	return rest[:min(1, len(rest))]
}

// TestIdleDies replaces a worker that was killed while it had nothing to do.
func TestIdleDies(t *testing.T) {
	var events events
	p := newPool(t, Options{Workers: 1, Observe: events.add})
	if _, err := p.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := idle(p)
	if err := syscall.Kill(w.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-w.done
	for deadline := time.Now().Add(10 * time.Second); events.changes() != "started crashed"; {
		if time.Now().After(deadline) {
			t.Fatalf("events: %s", events.changes())
		}
	}
	if _, err := p.Inspect(t.Context(), job("plain"), nil); err != nil {
		t.Errorf("the next job: %v", err)
	}
}

// TestKilledAtWork: a job whose worker somebody else kills is given to another one.
func TestKilledAtWork(t *testing.T) {
	p := newPool(t, Options{Workers: 1})
	for range 20 {
		if _, err := p.Probe(t.Context()); err != nil {
			t.Fatal(err)
		}
		if w := idle(p); w != nil { // else it has ended already
			_ = syscall.Kill(w.pid, syscall.SIGKILL)
		}
		if _, err := p.Inspect(t.Context(), job("plain"), nil); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSignals: what goes to a whole control group does not end a worker.
func TestSignals(t *testing.T) {
	p := newPool(t, Options{Workers: 1})
	if _, err := p.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := idle(p)
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		if err := syscall.Kill(w.pid, s); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Inspect(t.Context(), job("plain"), nil); err != nil || w.jobs != 1 {
		t.Errorf("the next job: %v; %d on the same worker", err, w.jobs)
	}
}

// TestWorld: a worker sees neither the environment of the daemon nor its files.
func TestWorld(t *testing.T) {
	t.Setenv("ASSAY_SECRET", "secret")
	p := newPool(t, Options{Workers: 1})
	r, err := p.Inspect(t.Context(), job("describe"), nil)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(r.Objects[0].Names, "\n")
	if !strings.HasPrefix(all, "assay worker worker\n") || strings.Contains(all, "secret") {
		t.Errorf("it sees %s", all)
	}
}

// TestGarbage kills workers that do not keep to the protocol.
func TestGarbage(t *testing.T) {
	content, _ := appendFrame(nil, kindContent, discovery{Path: "2/x", Size: 1 << 40})
	unwanted, _ := appendFrame(nil, kindContent, discovery{Path: "2/x", Size: 1})
	negative, _ := appendFrame(nil, kindContent, discovery{Path: "2/x", Size: -1})
	tests := []struct {
		name string
		out  []byte
		sink inspect.Sink
	}{
		{"text", []byte("panic: something"), nil},
		{"zeros", make([]byte, 64), nil},
		{"a hello", []byte{kindHello, 0, 0, 0, 0}, nil},
		{"an empty reply", []byte{kindReply, 0, 0, 0, 0}, nil},
		{"a frame too large", []byte{kindReply, 0xff, 0xff, 0xff, 0xff}, nil},
		{"a content too large", content, func(string, []byte) error { return nil }},
		{"a content of negative size", negative, func(string, []byte) error { return nil }},
		{"a content that nobody wants", append(unwanted, 'x'), nil},
	}
	p := newPool(t, Options{Workers: 1})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := p.Inspect(t.Context(), job("garbage", tt.out...), tt.sink); !errors.Is(err, ErrCrashed) {
				t.Errorf("Inspect: %v", err)
			}
		})
	}
}

// TestSinkBlocks: the time in the sink does not count.
func TestSinkBlocks(t *testing.T) {
	p := newPool(t, Options{Workers: 1, Wall: 200 * time.Millisecond})
	if _, err := p.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	j := job("contents", 'x')
	j.Object.Path = "2 x"
	_, err := p.Inspect(t.Context(), j, func(string, []byte) error {
		ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
		defer cancel()
		<-ctx.Done()
		return nil
	})
	if err != nil {
		t.Errorf("Inspect: %v", err)
	}
}

// TestTooLarge refuses a file that a worker could not hold.
func TestTooLarge(t *testing.T) {
	p := newPool(t, Options{Workers: 1, Memory: 64 << 20})
	if _, err := p.Inspect(t.Context(), job("plain", make([]byte, 8<<20)...), nil); err != nil {
		t.Errorf("a smaller one: %v", err)
		log(t, err)
	}
	r, err := p.Inspect(t.Context(), job("plain", make([]byte, 33<<20)...), nil)
	if !errors.Is(err, container.ErrLimit) || len(r.Limits) != 1 {
		t.Errorf("Inspect = %+v, %v", r, err)
	}
}

// TestEngineFails keeps the worker and says what the engine says.
func TestEngineFails(t *testing.T) {
	p := newPool(t, Options{Workers: 1})
	_, err := p.Inspect(t.Context(), job("refused"), nil)
	if err == nil || err.Error() != "cannot be read" {
		t.Errorf("Inspect: %v", err)
	}
	if w := idle(p); w == nil || w.jobs != 1 {
		t.Error("the worker is gone")
	}
}

// TestParallel lets many jobs share few workers.
func TestParallel(t *testing.T) {
	var events events
	p := newPool(t, Options{Workers: 3, Observe: events.add})
	var group sync.WaitGroup
	for i := range 200 {
		group.Go(func() {
			content := bytes.Repeat([]byte{byte(i)}, i*100)
			j := job("contents", content...)
			j.Object.Path = "2 abc"
			r, err := p.Inspect(t.Context(), j, func(_ string, c []byte) error {
				if !bytes.Equal(c, content) {
					return errors.New("the content of another job")
				}
				return nil
			})
			if err != nil || r.Members != 4 || r.Objects[0].State != scan.Inspected {
				t.Errorf("Inspect = %+v, %v", r, err)
			}
		})
	}
	group.Wait()
	if n := strings.Count(events.changes(), "started"); n > 3 {
		t.Errorf("%d workers were started", n)
	}
}

// TestStarts bounds how often workers are started.
func TestStarts(t *testing.T) {
	p := newPool(t, Options{Workers: 1, Starts: 20})
	before := time.Now()
	for range 7 {
		_, _ = p.Inspect(t.Context(), job("panic"), nil)
	}
	if took := time.Since(before); took < 250*time.Millisecond { // the first and one more at once, then one in 50 ms
		t.Errorf("7 starts took %v", took)
	}
}

// TestLeaks kills a worker a thousand times, in every way there is.
func TestLeaks(t *testing.T) {
	rounds := 1000
	if testing.Short() {
		rounds = 50 // each takes long with the race detector
	}
	p := newPool(t, Options{Workers: 2, Starts: 1 << 20, CPU: 20 * time.Millisecond})
	once := func(n int) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		switch n % 5 {
		case 0:
			_, _ = p.Inspect(ctx, job("panic"), nil)
		case 1:
			_, _ = p.Inspect(ctx, job("exit"), nil)
		case 2:
			_, _ = p.Inspect(ctx, job("spin"), nil)
		case 3:
			_, _ = p.Inspect(ctx, job("garbage", 'x', 'x', 'x', 'x', 'x'), nil)
		case 4:
			j := job("contents", make([]byte, 200<<10)...)
			j.Object.Path = "2 times"
			_, _ = p.Inspect(ctx, j, func(string, []byte) error { cancel(); return nil })
			p.mu.Lock()
			for _, w := range p.idle {
				_ = w.cmd.Process.Kill()
			}
			p.mu.Unlock()
		}
	}
	for n := range 10 {
		once(n)
	}
	before := holdings(t)
	for n := range rounds {
		once(n)
	}
	after := holdings(t)
	t.Logf("before %+v, after %+v", before, after)
	if after.files > before.files+6 || after.children > before.children+2 || after.goroutines > before.goroutines+10 ||
		after.heap > before.heap+1<<20 {
		t.Errorf("%+v became %+v", before, after)
	}
	p.Close()
	if last := holdings(t); last.children > 0 {
		t.Errorf("after Close: %+v", last)
	}
}

// A holding is what a process can leak.
type holding struct {
	files, children, goroutines int
	heap                        uint64
}

// holdings counts what this process has.
func holdings(t *testing.T) holding {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	children := 0
	for _, task := range tasks {
		list, _ := os.ReadFile("/proc/self/task/" + task.Name() + "/children")
		children += len(strings.Fields(string(list)))
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return holding{len(files), children, runtime.NumGoroutine(), m.HeapAlloc}
}
