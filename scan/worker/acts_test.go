//go:build linux && (amd64 || arm64)

package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"assay/scan"
	"assay/scan/inspect"
)

// acts are what engines do in these tests.
var acts = map[string]act{
	"plain": func(_ context.Context, job inspect.Job, _ inspect.Sink) (inspect.Result, error) {
		return inspected(job), nil
	},
	"contents": contents,
	"refused": func(context.Context, inspect.Job, inspect.Sink) (inspect.Result, error) {
		return inspect.Result{}, errors.New("cannot be read")
	},
	"panic": func(context.Context, inspect.Job, inspect.Sink) (inspect.Result, error) { panic("of the engine") },
	"exit": func(context.Context, inspect.Job, inspect.Sink) (inspect.Result, error) {
		os.Exit(0)
		panic("unreachable")
	},
	"spin":   spin,
	"hang":   func(context.Context, inspect.Job, inspect.Sink) (inspect.Result, error) { select {} },
	"eat":    eat,
	"huge":   huge,
	"double": double,
	"litter": litter,
	"recurse": func(context.Context, inspect.Job, inspect.Sink) (inspect.Result, error) {
		return inspect.Result{Members: recurse(1)}, nil
	},
	"garbage": garbage,
	"kill": func(context.Context, inspect.Job, inspect.Sink) (inspect.Result, error) {
		// Only the tests of a worker without the filter can do this.
		return inspect.Result{}, syscall.Kill(os.Getpid(), syscall.SIGKILL)
	},
	"forbidden": forbidden,
	"ordinary":  ordinary,
	"describe":  describe,
	"state": func(_ context.Context, job inspect.Job, _ inspect.Sink) (inspect.Result, error) {
		r := inspected(job)
		r.Objects[0].State = "clean"
		return r, nil
	},
	"verbose": func(context.Context, inspect.Job, inspect.Sink) (inspect.Result, error) {
		links, long := make([]scan.Link, 1000), strings.Repeat("x", 64<<10)
		for i := range links {
			links[i].URL = long
		}
		return inspect.Result{Links: links}, nil
	},
	"flood": func(_ context.Context, _ inspect.Job, _ inspect.Sink) (inspect.Result, error) {
		return inspect.Result{Objects: make([]scan.Object, 1<<16)}, nil
	},
}

// contents gives the content of the file to the sink, once for each octet of the path after the first.
func contents(_ context.Context, job inspect.Job, sink inspect.Sink) (inspect.Result, error) {
	r := inspected(job)
	if sink == nil {
		return r, nil
	}
	for i := range len(job.Object.Path) - 1 {
		if err := sink(fmt.Sprintf("2/%d", i), job.Content); err != nil {
			return r, err
		}
		r.Members++
	}
	return r, nil
}

// spin is a loop without a call in it.
func spin(context.Context, inspect.Job, inspect.Sink) (inspect.Result, error) {
	n := 0
	for i := 0; ; i++ {
		n += i
		if n == -1 {
			break
		}
	}
	return inspect.Result{Members: n}, nil
}

// eat allocates and uses memory bit by bit.
func eat(context.Context, inspect.Job, inspect.Sink) (inspect.Result, error) {
	var all [][]byte
	for {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		all = append(all, b)
		if len(all) > 1<<20 {
			return inspect.Result{Members: len(all)}, nil
		}
	}
}

// huge allocates all at once and uses it.
func huge(context.Context, inspect.Job, inspect.Sink) (inspect.Result, error) {
	b := make([]byte, 4<<30)
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	return inspect.Result{Members: len(b)}, nil
}

// double lets a buffer grow as readers of streams do.
func double(context.Context, inspect.Job, inspect.Sink) (inspect.Result, error) {
	var b bytes.Buffer
	block := bytes.Repeat([]byte("x"), 64<<10)
	for b.Len() < 4<<30 {
		b.Write(block)
	}
	return inspect.Result{Members: b.Len()}, nil
}

// litter makes garbage, 4 GiB of it, and keeps little: it exceeds nothing.
func litter(_ context.Context, job inspect.Job, _ inspect.Sink) (inspect.Result, error) {
	n := 0
	for range 400 {
		b := bytes.Clone(job.Content)
		b[n%len(b)]++
		n += len(b)
	}
	return inspected(job), nil
}

// recurse has no end.
func recurse(n int) int {
	if n < 0 {
		return n
	}
	var frame [128]int
	frame[n%128] = n
	return recurse(n+1) + frame[(n+1)%128]
}

// garbage writes what is no frame.
func garbage(_ context.Context, job inspect.Job, _ inspect.Sink) (inspect.Result, error) {
	_, err := os.Stdout.Write(job.Content)
	if err != nil {
		return inspect.Result{}, err
	}
	select {}
}

// describe tells what the world looks like from inside.
func describe(_ context.Context, job inspect.Job, _ inspect.Sink) (inspect.Result, error) {
	r := inspected(job)
	r.Objects[0].Names = append([]string{strings.Join(os.Args, " ")}, os.Environ()...)
	return r, nil
}

// attempts are what a worker must not be able to do.
func attempts() map[string]func() error {
	return map[string]func() error{
		"open":     func() error { return opened(os.Open("/etc/passwd")) },
		"openself": func() error { return opened(os.Open("/proc/self/status")) },
		"create":   func() error { return os.WriteFile("/tmp/assay-worker-test", []byte("x"), 0o600) },
		"stat":     func() error { _, err := os.Stat("/etc/passwd"); return err },
		"list":     func() error { _, err := os.ReadDir("/"); return err },
		"mkdir":    func() error { return os.Mkdir("/tmp/assay-worker-test.d", 0o700) },
		"remove":   func() error { return os.Remove("/tmp/assay-worker-none") },
		"socket":   func() error { return descriptor(unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)) },
		"unix":     func() error { return descriptor(unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)) },
		"dial":     func() error { return closeAll(net.Dial("tcp", "127.0.0.1:25")) },
		"listen":   func() error { return closeAll(net.Listen("tcp", "127.0.0.1:0")) },
		"exec":     func() error { return exec.Command("/bin/true").Run() },
		"execve":   func() error { return syscall.Exec("/bin/true", []string{"true"}, nil) },
		"fork":     fork,
		"clone3":   func() error { _, _, e := unix.RawSyscall(unix.SYS_CLONE3, 0, 0, 0); return errno(e) },
		"ptrace":   func() error { return unix.PtraceAttach(os.Getppid()) },
		"kill":     func() error { return syscall.Kill(os.Getppid(), 0) },
		"tgkill":   func() error { return unix.Tgkill(os.Getppid(), os.Getppid(), 0) },
		"executable memory": func() error {
			_, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON)
			return err
		},
		"make memory executable": func() error {
			b, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANON)
			if err != nil {
				return nil
			}
			return unix.Mprotect(b, unix.PROT_READ|unix.PROT_EXEC)
		},
		"more memory": func() error {
			return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 0, Max: 0})
		},
		"memory file": func() error { return descriptor(unix.MemfdCreate("x", 0)) },
		"dup":         func() error { return descriptor(unix.Dup(0)) },
		"pipe":        func() error { var p [2]int; return unix.Pipe2(p[:], 0) },
		"chdir":       func() error { return os.Chdir("/tmp") },
		"mount":       func() error { return unix.Mount("none", "/tmp", "tmpfs", 0, "") },
		"unshare":     func() error { return unix.Unshare(unix.CLONE_NEWUSER) },
		"uid":         func() error { _, _, e := unix.RawSyscall(unix.SYS_SETUID, 65534, 0, 0); return errno(e) },
		"keyring":     func() error { _, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_USER_KEYRING, true); return err },
		"bpf":         func() error { _, _, e := unix.RawSyscall(unix.SYS_BPF, 0, 0, 0); return errno(e) },
		"io_uring":    func() error { _, _, e := unix.RawSyscall(unix.SYS_IO_URING_SETUP, 1, 0, 0); return errno(e) },
		"process_vm": func() error {
			_, _, e := unix.RawSyscall(unix.SYS_PROCESS_VM_READV, uintptr(os.Getppid()), 0, 0)
			return errno(e)
		},
		"pidfd": func() error { return descriptor(unix.PidfdOpen(os.Getppid(), 0)) },
	}
}

// forbidden tries everything and names what was possible, or failed for another reason than that it is forbidden.
func forbidden(_ context.Context, job inspect.Job, _ inspect.Sink) (inspect.Result, error) {
	r := inspected(job)
	for name, try := range attempts() {
		err := try()
		switch {
		case err == nil:
			r.Objects[0].Names = append(r.Objects[0].Names, name+" was possible")
		case !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.ENOSYS):
			r.Objects[0].Names = append(r.Objects[0].Names, name+": "+err.Error())
		}
		r.Members++
	}
	return r, nil
}

// opened closes a file that could be opened.
func opened(f *os.File, err error) error {
	if err == nil {
		f.Close()
	}
	return err
}

// descriptor closes what could be made.
func descriptor(fd int, err error) error {
	if err == nil {
		unix.Close(fd)
	}
	return err
}

// closeAll closes a connection or listener that could be made.
func closeAll(c interface{ Close() error }, err error) error {
	if err == nil {
		c.Close()
	}
	return err
}

// errno is an error only if it is one.
func errno(e unix.Errno) error {
	if e == 0 {
		return nil
	}
	return e
}

// fork makes a process as fork(2) does.
func fork() error {
	pid, _, e := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if e == 0 && pid == 0 {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
	return errno(e)
}

// ordinary does what engines do: goroutines, threads, garbage, timers, panics that are caught.
func ordinary(ctx context.Context, job inspect.Job, _ inspect.Sink) (inspect.Result, error) {
	r := inspected(job)
	results := make(chan int)
	for i := range 5 {
		go func() {
			runtime.LockOSThread() // each in a thread of its own, which ends with it
			defer func() { results <- recover().(int) }()
			var keep [][]byte
			for range 64 {
				keep = append(keep[max(0, len(keep)-4):], make([]byte, 64<<10))
			}
			time.Sleep(time.Millisecond)
			panic(i + len(keep) - len(keep))
		}()
	}
	sum := 0
	for range 5 {
		sum += <-results
	}
	big := make([]byte, 64<<20)
	big[len(big)-1] = 1
	runtime.GC()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
	defer cancel()
	<-ctx.Done()
	r.Members = sum + int(big[len(big)-1])
	return r, nil
}
