package worker

import "golang.org/x/sys/unix"

const (
	architecture = unix.AUDIT_ARCH_AARCH64
	x32          = 0x40000000 // no call has such a number
)

// harmlessHere are the older calls that only this architecture has.
func harmlessHere() []int { return nil }
