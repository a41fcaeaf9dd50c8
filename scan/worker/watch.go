package worker

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// A watch ends the worker when a job exceeds its limits. It looks often enough to be exact; a job that it does not notice is
// ended by the kernel or by the daemon.
type watch struct {
	memory int64
	meter  *meter
	base   int64 // octets resident before the first job
	mu     sync.Mutex
	timer  *time.Timer
	until  time.Duration // of the processor; 0 while no job is in work
}

// glance is how often a watch looks, and reserve how far below the limit of memory it ends the worker.
const (
	glance  = 10 * time.Millisecond
	reserve = 4 << 20
)

// newWatch returns a watch. It starts the timer once, so that what timers need of the kernel is there before the sandbox.
func newWatch(memory int64) *watch {
	m := newMeter()
	w := &watch{memory: memory, meter: m, base: m.usage().resident}
	w.timer = time.AfterFunc(glance, w.look)
	return w
}

// begin starts to watch a job.
func (w *watch) begin(cpu time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.until = CPUTime() + cpu
	w.timer.Reset(glance)
}

// end says that the job is done.
func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.until = 0
	w.timer.Stop()
}

// look ends the process when a limit is exceeded.
func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.until == 0 {
		return
	}
	if CPUTime() > w.until {
		os.Exit(exitTime)
	}
	if w.meter.usage().resident > w.memory-reserve {
		os.Exit(exitMemory)
	}
	w.timer.Reset(glance)
}

// settle gives memory back after a job that took much, and returns what is resident.
func (w *watch) settle() int64 {
	n := w.meter.usage().resident
	if n > w.base+w.memory/8 {
		debug.FreeOSMemory()
		n = w.meter.usage().resident
	}
	return n
}

// mapped is how much memory the Go runtime has of the kernel, which is nearly all that is resident.
func mapped() int64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return int64(samples[0].Value.Uint64() - samples[1].Value.Uint64())
}
