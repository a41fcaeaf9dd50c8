package worker

import "golang.org/x/sys/unix"

const (
	architecture = unix.AUDIT_ARCH_X86_64
	x32          = 0x40000000 // from here on are the calls of another ABI under the same architecture, asm/unistd.h
)

// harmlessHere are the older calls that only this architecture has.
func harmlessHere() []int { return []int{unix.SYS_POLL, unix.SYS_EPOLL_WAIT, unix.SYS_TIME} }
