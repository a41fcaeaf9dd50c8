package worker

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// attributes are those of a new worker. It dies with the thread that starts it, whatever happens to the daemon. The group of
// its own keeps the keyboard's signals away.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// widen lets a pipe hold more, so that large contents need fewer changes between the processes. The kernel refuses it when
// the user has too many.
func widen(f *os.File) {
	if c, err := f.SyscallConn(); err == nil {
		_ = c.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, 256<<10) })
	}
}

// processorTime is the processor time that a process has used; 0 if it is gone. The clock of a process is its number,
// inverted, beside CPUCLOCK_SCHED: see clock_getcpuclockid(3).
func processorTime(pid int) time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(int32(^pid<<3|2), &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// CPUTime is the processor time that this process has used, in all threads. It is a clock for container.NewBudget that works
// in a worker.
func CPUTime() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t) // cannot fail with this clock
	return time.Duration(t.Nano())
}

// readable reports whether a read would not block.
func readable(f *os.File) bool {
	set := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLIN}}
	n, err := unix.Poll(set, 0)
	return err == nil && n > 0
}

// confine puts up all walls that the kernel has, in an order in which none keeps the next from being put up, and says which
// stand.
func confine(s setup, m *meter) Status {
	var status Status
	wall := func(stands *bool, name string, err error) {
		if *stands = err == nil; err != nil {
			status.Missing = append(status.Missing, name+": "+err.Error())
		}
	}
	runtime.LockOSThread() // what goes for one thread alone is handed on from this one
	defer runtime.UnlockOSThread()
	_ = os.WriteFile("/proc/self/comm", []byte("assay-worker"), 0)  // a name for people
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0) // when memory ends, the daemon is to survive
	files := files()
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) // no core, and no debugger
	wall(&status.NoNewPrivileges, "no_new_privs", noNewPrivileges())
	wall(&status.Landlock, "Landlock", landlock())
	wall(&status.Limits, "resource limits", limit(s, m.usage(), files))
	wall(&status.Seccomp, "seccomp", seccomp())
	return status
}

// allThreads makes a system call in every thread, as far as Go can.
func allThreads(call uintptr, args ...uintptr) error {
	var a [5]uintptr
	copy(a[:], args)
	if _, _, e := syscall.AllThreadsSyscall6(call, a[0], a[1], a[2], a[3], a[4], 0); e != 0 {
		return e
	}
	return nil
}

// noNewPrivileges keeps every program that would be executed from gaining any, prctl(2). Landlock and seccomp need it.
func noNewPrivileges() error {
	err := allThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1)
	if err == syscall.ENOTSUP { // in a program with C; seccomp hands it on from this thread to the others
		err = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	}
	return err
}

// limit sets resource limits, setrlimit(2). What is mapped already counts as far as it is resident or will be. RLIMIT_NPROC is
// not among them: it counts threads, and Go needs new ones.
func limit(s setup, use usage, files int64) error {
	// A sixteenth is for what the runtime has mapped already and uses only when the heap grows.
	room := s.Memory - s.Memory/16 - use.resident - max(0, files-use.shared)
	if room < s.Memory/4 {
		return fmt.Errorf("%d octets of memory are too few for this program", s.Memory)
	}
	limits := map[int]int64{
		unix.RLIMIT_CORE:   0,
		unix.RLIMIT_FSIZE:  0,
		unix.RLIMIT_NOFILE: 1, // no more than there are; poll(2) asks whether 1 is allowed
		unix.RLIMIT_CPU:    int64(s.CPU/time.Second) + 1,
		unix.RLIMIT_DATA:   use.data + room + stacks,
		unix.RLIMIT_AS:     use.size + 2*s.Memory + 16*stacks, // what is reserved only counts, too
	}
	if raceEnabled { // takes a multiple of the memory
		delete(limits, unix.RLIMIT_DATA)
		delete(limits, unix.RLIMIT_AS)
	}
	for what, value := range limits {
		if err := unix.Setrlimit(what, &unix.Rlimit{Cur: uint64(value), Max: uint64(value)}); err != nil {
			return err
		}
	}
	debug.SetMemoryLimit(room - room/8)
	return nil
}

// files is how many octets of files are mapped into this process, proc(5).
func files() int64 {
	maps, _ := os.ReadFile("/proc/self/maps")
	var sum int64
	for line := range bytes.Lines(maps) {
		var from, to, offset, inode int64
		var rights, device string
		if _, err := fmt.Sscanf(string(line), "%x-%x %s %x %s %d", &from, &to, &rights, &offset, &device, &inode); err == nil && inode > 0 {
			sum += to - from
		}
	}
	return sum
}

// A meter tells how much memory this process takes. It keeps a file open, since later none can be.
type meter struct{ statm *os.File }

// newMeter returns a meter. Without /proc it knows only what Go knows.
func newMeter() *meter {
	statm, err := os.Open("/proc/self/statm")
	if err != nil {
		return &meter{}
	}
	return &meter{statm}
}

// A usage is what a process has of memory, in octets.
type usage struct {
	size     int64 // of the address space
	resident int64
	shared   int64 // resident, of files
	data     int64 // private and writable, resident or not
}

// usage returns what this process has, proc(5).
func (m *meter) usage() usage {
	var buffer [128]byte
	n := 0
	if m.statm != nil {
		n, _ = m.statm.ReadAt(buffer[:], 0) // ends with io.EOF
	}
	fields := bytes.Fields(buffer[:n])
	if len(fields) < 6 {
		return usage{resident: mapped()}
	}
	at := func(i int) int64 {
		pages, _ := strconv.ParseInt(string(fields[i]), 10, 64) // the kernel writes numbers
		return pages * int64(os.Getpagesize())
	}
	return usage{size: at(0), resident: at(1), shared: at(2), data: at(5)}
}
