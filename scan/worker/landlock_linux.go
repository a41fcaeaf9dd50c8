package worker

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A ruleset is struct landlock_ruleset_attr of linux/landlock.h: what is forbidden unless a rule allows it. There are no rules.
type ruleset struct {
	files, net, scoped uint64
}

// newest returns the largest ruleset that a version of Landlock knows, and its size there.
func newest(version uintptr) (ruleset, uintptr) {
	r := ruleset{files: unix.LANDLOCK_ACCESS_FS_MAKE_SYM<<1 - 1} // version 1
	size := unsafe.Sizeof(r.files)
	if version >= 2 {
		r.files |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if version >= 3 {
		r.files |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if version >= 4 {
		r.net = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
		size += unsafe.Sizeof(r.net)
	}
	if version >= 5 {
		r.files |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	if version >= 6 {
		// Not signals: each thread gets a domain of its own, and Go's threads send signals to each other.
		r.scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
		size += unsafe.Sizeof(r.scoped)
	}
	return r, size
}

// landlock takes all files from every thread, and TCP where the kernel can, landlock(7).
func landlock() error {
	version, _, e := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if e != 0 {
		return e
	}
	r, size := newest(version)
	fd, _, e := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&r)), size, 0)
	runtime.KeepAlive(&r)
	if e != 0 {
		return fmt.Errorf("version %d: %w", version, e)
	}
	defer unix.Close(int(fd))
	return allThreads(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0)
}
