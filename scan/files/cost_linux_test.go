package files

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"assay/scan"
	"assay/scan/inspect"
	"assay/scan/worker"
	"assay/verify/message"
)

// TestMain lets the test binary be its own worker.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "worker" {
		os.Exit(worker.Main(inspect.New(inspect.Options{Clock: worker.CPUTime}), os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}

// A bench is a Scanner with workers, and knows what processor time they take.
type bench struct {
	*Scanner
	pool *worker.Pool
	mu   sync.Mutex
	pids []int
}

// newBench starts one worker for all jobs.
func newBench(b testing.TB) *bench {
	b.Helper()
	out := &bench{}
	out.pool = worker.New(worker.Options{
		Command: []string{"/proc/self/exe", "worker"}, Workers: 1, Jobs: 1 << 30, Observe: func(e worker.Event) {
			out.mu.Lock()
			defer out.mu.Unlock()
			if e.Change == worker.Started {
				out.pids = append(out.pids, e.PID)
			}
		},
	})
	b.Cleanup(out.pool.Close)
	if _, err := out.pool.Probe(b.Context()); err != nil {
		b.Fatal(err)
	}
	out.Scanner = New(Options{Engine: out.pool})
	return out
}

// spent is the processor time of this process and of the workers that live. The clock of a process is its number, inverted,
// beside CPUCLOCK_SCHED: see clock_getcpuclockid(3).
func (b *bench) spent(t testing.TB) (here, workers time.Duration) {
	t.Helper()
	var clock unix.Timespec
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, pid := range b.pids {
		if unix.ClockGettime(int32(^pid<<3|2), &clock) == nil {
			workers += time.Duration(clock.Nano())
		}
	}
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &clock); err != nil {
		t.Fatal(err)
	}
	return time.Duration(clock.Nano()), workers
}

// mails does everything with a mail that its files make necessary: it is parsed and scanned, n times. It returns what that costs
// here and in the workers.
func (b *bench) mails(t testing.TB, raw string, n int) (here, workers time.Duration) {
	t.Helper()
	h, w := b.spent(t)
	for range n {
		m, err := message.Read(strings.NewReader(raw), message.Envelope{}, message.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		r := b.Scan(context.Background(), m)
		_ = m.Close()
		for _, o := range r.Objects {
			if o.State != scan.Inspected {
				t.Fatalf("%s is %s: %s", o.Path, o.State, o.Method)
			}
		}
	}
	here, workers = b.spent(t)
	return here - h, workers - w
}

// mailWith is a mail with files, as mail programs send them.
func mailWith(files map[string][]byte) string {
	var m strings.Builder
	m.WriteString("From: a@example.com\nTo: b@example.org\nSubject: invoice\nMIME-Version: 1.0\n" +
		"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain; charset=utf-8\n\nHello,\n" +
		strings.Repeat("please find the invoice attached, and pay it within thirty days.\n", 20))
	for name, content := range files {
		m.WriteString("\n--b\nContent-Type: application/pdf; name=\"" + name + "\"\nContent-Disposition: attachment; filename=\"" + name +
			"\"\nContent-Transfer-Encoding: base64\n\n" + wrap(base64.StdEncoding.EncodeToString(content)))
	}
	m.WriteString("\n--b--\n")
	return strings.ReplaceAll(m.String(), "\n", "\r\n")
}

// documents are those that the cost of a PDF is measured with, and files of one's own that ASSAY_BENCH_PDF names, as a pattern.
func documents(b testing.TB) map[string][]byte {
	b.Helper()
	all := map[string][]byte{"written": written(), "scanned": photographed(), "tagged": tagged(), "typeset": typeset()}
	if pattern := os.Getenv("ASSAY_BENCH_PDF"); pattern != "" {
		names, err := filepath.Glob(pattern)
		for _, name := range names {
			if all[filepath.Base(name)], err = os.ReadFile(name); err != nil {
				break
			}
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	return all
}

// BenchmarkPDF is what a PDF in a mail costs: the processor time, of this process and of the worker together, for a mail with it
// minus that for the same mail without it. The two take turns, a handful of mails at a time; the least of each is what they cost
// on a machine that has nothing else to do, and what is reported.
func BenchmarkPDF(b *testing.B) {
	for name, content := range documents(b) {
		b.Run(fmt.Sprintf("%s-%dk", name, len(content)>>10), func(b *testing.B) {
			plain, mail := mailWith(nil), mailWith(map[string][]byte{"a.pdf": content})
			defer debug.SetGCPercent(debug.SetGCPercent(400)) // as the daemon has it
			s := newBench(b)
			s.mails(b, mail, 100)
			s.mails(b, plain, 100)
			var bare, with, inWorker time.Duration
			const handful = 25
			b.ReportAllocs()
			for b.Loop() {
				h, w := s.mails(b, plain, handful)
				bare = least(bare, h+w)
				h, w = s.mails(b, mail, handful)
				with, inWorker = least(with, h+w), least(inWorker, w)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64((with-bare).Microseconds())/handful, "added-cpu-us/mail")
			b.ReportMetric(float64(inWorker.Microseconds())/handful, "worker-cpu-us/mail")
			b.ReportMetric(float64(bare.Microseconds())/handful, "plain-cpu-us/mail")
		})
	}
}

// least is the smaller of two durations; 0 is none.
func least(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return min(a, b)
}
