//go:build linux && (amd64 || arm64)

package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"assay/scan"
	"assay/scan/inspect"
)

// TestMain lets the test binary be its own worker.
func TestMain(m *testing.M) {
	role := ""
	if len(os.Args) == 2 {
		role = os.Args[1]
	}
	switch role {
	case "worker":
		os.Exit(Main(actors{}, os.Stdin, os.Stdout))
	case "refused": // may not put up a sandbox
		if err := refuseSandbox(); err != nil {
			panic(err)
		}
		os.Exit(Main(actors{}, os.Stdin, os.Stdout))
	case "mute": // says nothing, ever
		_, _ = io.Copy(io.Discard, os.Stdin)
	case "deaf": // has no watch
		deaf()
	case "daemon": // has a worker that hangs, and tells its number
		daemon()
	default:
		os.Exit(m.Run())
	}
}

// refuseSandbox makes the kernel refuse what a sandbox is made of, as a service manager may do.
func refuseSandbox() error {
	var p program
	p.load(offsetCall)
	for _, number := range []int{unix.SYS_SECCOMP, unix.SYS_LANDLOCK_CREATE_RULESET} {
		p.call(number, refuse)
	}
	p.where(unix.SYS_PRLIMIT64, 2, unix.BPF_JEQ, 0, allow, refuse)
	p.where(unix.SYS_SETRLIMIT, 2, unix.BPF_JEQ, 0, refuse, refuse)
	p.answer(allow)
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	return install(p)
}

// deaf is a worker that spins from the first job on, without a watch and without a sandbox.
func deaf() {
	in := bufio.NewReader(os.Stdin)
	_, _, _ = readFrame(in, nil)
	hello, _ := appendFrame(nil, kindHello, Status{})
	_, _ = os.Stdout.Write(hello)
	_, _, _ = readFrame(in, nil)
	_, _ = spin(context.Background(), inspect.Job{}, nil)
}

// daemon uses a pool until it is killed.
func daemon() {
	p := New(Options{Command: []string{"/proc/self/exe", "worker"}, Wall: time.Hour, Observe: func(e Event) { fmt.Println(e.PID) }})
	_, err := p.Inspect(context.Background(), job("hang"), nil)
	fmt.Println(err)
}

// actors is an engine that does what the name of the file says.
type actors struct{}

// Inspect implements inspect.Engine.
func (actors) Inspect(ctx context.Context, job inspect.Job, sink inspect.Sink) (inspect.Result, error) {
	act, ok := acts[job.Object.Name]
	if !ok {
		return inspect.Result{}, errors.New("no such act: " + job.Object.Name)
	}
	return act(ctx, job, sink)
}

// An act is what a worker does with a job.
type act func(ctx context.Context, job inspect.Job, sink inspect.Sink) (inspect.Result, error)

// inspected is the result of an ordinary job.
func inspected(job inspect.Job) inspect.Result {
	o := job.Object
	o.State = scan.Inspected
	return inspect.Result{Objects: []scan.Object{o}}
}

// newPool returns a pool that is closed with the test.
func newPool(t testing.TB, o Options) *Pool {
	t.Helper()
	if o.Command == nil {
		o.Command = []string{"/proc/self/exe", "worker"}
	}
	if o.Env == nil {
		o.Env = append(environment(), "GORACE=atexit_sleep_ms=0") // the race detector would wait a second at the end
	}
	if o.Starts == 0 {
		o.Starts = 1000
	}
	p := New(o)
	t.Cleanup(p.Close)
	return p
}

// job is a job for an actor.
func job(act string, content ...byte) inspect.Job {
	return inspect.Job{Object: scan.Object{Path: "2", Section: "2", Name: act}, Content: content}
}
