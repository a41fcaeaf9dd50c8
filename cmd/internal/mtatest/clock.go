package mtatest

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"
)

// clockStub is a function that answers clock_gettime(2) like the kernel, and adds a number of seconds to what the clock on the
// wall says: the monotonic clock stays as it is, as when somebody sets the time of the machine. It is called as the vDSO's is.
//
//	push rdi; push rsi; mov eax, 228; syscall; pop rsi; pop rdi
//	test edi, edi; jne 1f; movabs rdx, SECONDS; add [rsi], rdx; 1: ret
var clockStub = [...]byte{0x57, 0x56, 0xb8, 0xe4, 0, 0, 0, 0x0f, 0x05, 0x5e, 0x5f, 0x85, 0xff, 0x75, 0x0d, 0x48, 0xba, 0, 0, 0, 0, 0, 0, 0, 0, 0x48, 0x01, 0x16, 0xc3}

// stubSeconds is where the seconds stand in clockStub.
const stubSeconds = 17

// A Clock is the clock of a daemon, which can be set without touching that of the machine. The daemon is linked statically, so
// that a library that stands in front of libc does not reach it; and time namespaces know nothing of the clock on the wall.
type Clock struct {
	memory  string
	seconds int64 // where they are in the memory of the daemon
}

// Clock takes over the clock of the running daemon: its pointer to the vDSO's clock_gettime leads to clockStub afterwards, which
// takes the place of a function of the runtime that has done its work.
func (d *Daemon) Clock() (*Clock, error) {
	if runtime.GOARCH != "amd64" {
		return nil, fmt.Errorf("%w: a clock for %s", errors.ErrUnsupported, runtime.GOARCH)
	}
	pointer, err := symbol(d.program, "runtime.vdsoClockgettimeSym")
	if err != nil {
		return nil, err
	}
	place, err := symbol(d.program, "runtime.schedinit")
	if err != nil {
		return nil, err
	}
	c := &Clock{memory: fmt.Sprintf("/proc/%d/mem", d.PID()), seconds: place + stubSeconds}
	if err := c.write(clockStub[:], place); err != nil {
		return nil, err
	}
	return c, c.write(binary.LittleEndian.AppendUint64(nil, uint64(place)), pointer)
}

// Set lets the clock on the wall be ahead by a duration, or behind.
func (c *Clock) Set(ahead time.Duration) error {
	return c.write(binary.LittleEndian.AppendUint64(nil, uint64(ahead/time.Second)), c.seconds)
}

// write changes the memory of the daemon, whatever its protection.
func (c *Clock) write(p []byte, at int64) error {
	f, err := os.OpenFile(c.memory, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(p, at)
	return errors.Join(err, f.Close())
}

// symbol returns the address of a symbol of a program that is loaded where it was linked.
func symbol(program, name string) (int64, error) {
	f, err := elf.Open(program)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	all, err := f.Symbols()
	if err != nil {
		return 0, err
	}
	for _, s := range all {
		if s.Name == name {
			return int64(s.Value), nil
		}
	}
	return 0, fmt.Errorf("no %s in %s", name, program)
}
