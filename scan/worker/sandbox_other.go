//go:build !linux

package worker

import (
	"errors"
	"os"
	"runtime/debug"
	"syscall"
	"time"
)

// attributes are those of a new worker: none that all systems have.
func attributes() *syscall.SysProcAttr { return nil }

// widen leaves a pipe as it is.
func widen(*os.File) {}

// processorTime is not known of other processes; the worker itself and the time bound a job.
func processorTime(int) time.Duration { return 0 }

// CPUTime is the processor time that this process has used.
func CPUTime() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r) // cannot fail for the process itself
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// readable does not know, so a job goes on although its contents are wanted no more.
func readable(*os.File) bool { return false }

// confine has no walls here but Go's own.
func confine(s setup, _ *meter) Status {
	debug.SetMemoryLimit(s.Memory - s.Memory/8)
	return Status{Missing: []string{"sandbox: " + errors.ErrUnsupported.Error()}}
}

// A meter tells how much memory this process takes.
type meter struct{}

// newMeter returns a meter.
func newMeter() *meter { return &meter{} }

// A usage is what a process has of memory, in octets.
type usage struct{ resident int64 }

// usage returns what Go knows.
func (*meter) usage() usage { return usage{resident: mapped()} }
