//go:build linux && (amd64 || arm64)

package worker

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"assay/scan/inspect"
)

// BenchmarkStart is how long the first job waits for its worker.
func BenchmarkStart(b *testing.B) {
	p := newPool(b, Options{Workers: 1, Jobs: 1, Starts: 1 << 30})
	b.ReportAllocs()
	begin := spent()
	for b.Loop() {
		if _, err := p.Inspect(b.Context(), job("plain"), nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(spent()-begin)/1e6/float64(b.N), "cpu-ms/op")
}

// BenchmarkJob compares the same engine in this process and in a worker. What is measured is the processor time of both
// processes: cpu-ns/op.
func BenchmarkJob(b *testing.B) {
	for _, size := range []int{1 << 10, 100 << 10, 5 << 20, 25 << 20} {
		j := job("contents", make([]byte, size)...)
		b.Run(fmt.Sprintf("%dk/here", size>>10), func(b *testing.B) { benchmark(b, actors{}, j, nil) })
		pool := newPool(b, Options{Workers: 1, Jobs: 1 << 30})
		b.Run(fmt.Sprintf("%dk/pool", size>>10), func(b *testing.B) { benchmark(b, pool, j, pool) })
		j.Object.Path = "2x" // one content comes back
		b.Run(fmt.Sprintf("%dk/pool-and-back", size>>10), func(b *testing.B) { benchmark(b, pool, j, pool) })
	}
}

// benchmark runs jobs.
func benchmark(b *testing.B, e inspect.Engine, j inspect.Job, p *Pool) {
	sink := func(string, []byte) error { return nil }
	if _, err := e.Inspect(b.Context(), j, sink); err != nil {
		b.Fatal(err)
	}
	worker := func() time.Duration {
		if p == nil {
			return 0
		}
		return processorTime(idle(p).pid)
	}
	b.ReportAllocs()
	begin := spent() + worker()
	for b.Loop() {
		if _, err := e.Inspect(b.Context(), j, sink); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(spent()+worker()-begin)/float64(b.N), "cpu-ns/op")
}

// spent is the processor time of this process and of its children that have ended.
func spent() time.Duration {
	var r unix.Rusage
	_ = unix.Getrusage(syscall.RUSAGE_CHILDREN, &r)
	return CPUTime() + time.Duration(r.Utime.Nano()+r.Stime.Nano())
}
