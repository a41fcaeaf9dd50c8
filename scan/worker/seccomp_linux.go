//go:build linux && (amd64 || arm64)

package worker

import (
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A program is a filter in the language of seccomp(2), classic BPF over struct seccomp_data.
type program []unix.SockFilter

// Offsets in struct seccomp_data of linux/seccomp.h. Both architectures have the lower half of an argument first.
const (
	offsetCall = 0
	offsetArch = 4
	offsetArgs = 16
)

// What a filter answers. A refused call looks to Go as if the kernel did not allow it, which it handles everywhere.
const (
	allow  = unix.SECCOMP_RET_ALLOW
	refuse = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	absent = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	die    = unix.SECCOMP_RET_KILL_PROCESS
)

// load puts a word of seccomp_data into the accumulator.
func (p *program) load(offset uint32) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset})
}

// skip compares the accumulator with a value, and skips some instructions if that holds, others if not.
func (p *program) skip(comparison uint16, value uint32, yes, no uint8) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_JMP | comparison | unix.BPF_K, Jt: yes, Jf: no, K: value})
}

// answer ends the program.
func (p *program) answer(a uint32) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: a})
}

// lower and upper are the offsets of the halves of an argument.
func lower(argument uint32) uint32 { return offsetArgs + 8*argument }
func upper(argument uint32) uint32 { return lower(argument) + 4 }

// call answers one system call and leaves the accumulator alone for others.
func (p *program) call(number int, a uint32) {
	p.skip(unix.BPF_JEQ, uint32(number), 0, 1)
	p.answer(a)
}

// where answers one system call by the lower half of an argument.
func (p *program) where(number int, argument uint32, comparison uint16, value, yes, no uint32) {
	p.skip(unix.BPF_JEQ, uint32(number), 0, 4)
	p.load(lower(argument))
	p.skip(comparison, value, 0, 1)
	p.answer(yes)
	p.answer(no)
}

// filter returns the program: what Go needs to compute, to wait and to talk through what is open already, and nothing that
// opens, connects, executes or reaches another process.
func filter(pid int) program {
	var p program
	p.load(offsetArch)
	p.skip(unix.BPF_JEQ, architecture, 1, 0)
	p.answer(die)
	p.load(offsetCall)
	p.skip(unix.BPF_JGE, x32, 0, 1)
	p.answer(die)
	for _, number := range harmless() {
		p.call(number, allow)
	}
	p.where(unix.SYS_MMAP, 2, unix.BPF_JSET, unix.PROT_EXEC, refuse, allow)
	p.where(unix.SYS_MPROTECT, 2, unix.BPF_JSET, unix.PROT_EXEC, refuse, allow)
	p.where(unix.SYS_CLONE, 0, unix.BPF_JSET, unix.CLONE_THREAD, allow, refuse)
	p.call(unix.SYS_CLONE3, absent) // its flags are in memory, where a filter cannot look; C falls back to clone
	p.where(unix.SYS_TGKILL, 0, unix.BPF_JEQ, uint32(pid), allow, refuse)
	p.where(unix.SYS_PRCTL, 0, unix.BPF_JEQ, unix.PR_SET_VMA, allow, refuse)
	p.skip(unix.BPF_JEQ, unix.SYS_PRLIMIT64, 0, 6) // to read, not to set
	p.load(lower(2))
	p.skip(unix.BPF_JEQ, 0, 0, 3)
	p.load(upper(2))
	p.skip(unix.BPF_JEQ, 0, 0, 1)
	p.answer(allow)
	p.answer(refuse)
	p.answer(refuse)
	return p
}

// harmless are the system calls that do nothing beyond this process and the files that are open.
func harmless() []int {
	return append([]int{
		unix.SYS_FUTEX, unix.SYS_READ, unix.SYS_WRITE, unix.SYS_NANOSLEEP, unix.SYS_MADVISE, unix.SYS_EPOLL_PWAIT, unix.SYS_PREAD64,
		unix.SYS_CLOCK_GETTIME, unix.SYS_RT_SIGRETURN, unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_RT_SIGPROCMASK, unix.SYS_PPOLL,
		unix.SYS_SCHED_YIELD, unix.SYS_MUNMAP, unix.SYS_MREMAP, unix.SYS_BRK, unix.SYS_CLOSE, unix.SYS_CLOCK_NANOSLEEP,
		unix.SYS_CLOCK_GETRES, unix.SYS_GETTIMEOFDAY, unix.SYS_RT_SIGACTION, unix.SYS_SIGALTSTACK, unix.SYS_EPOLL_CTL,
		unix.SYS_EPOLL_CREATE1, unix.SYS_EVENTFD2, unix.SYS_SCHED_GETAFFINITY, unix.SYS_GETRANDOM, unix.SYS_GETRUSAGE,
		unix.SYS_MINCORE, unix.SYS_MEMBARRIER, unix.SYS_RSEQ, unix.SYS_SET_ROBUST_LIST, unix.SYS_RESTART_SYSCALL, unix.SYS_EXIT,
		unix.SYS_EXIT_GROUP,
	}, harmlessHere()...)
}

// seccomp puts the filter in front of all threads.
func seccomp() error { return install(filter(os.Getpid())) }

// install puts a program in front of all threads, seccomp(2).
func install(p program) error {
	load := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	_, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&load)))
	runtime.KeepAlive(&p)
	if e != 0 {
		return e
	}
	return nil
}
