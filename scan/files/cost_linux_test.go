package files

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"assay/scan"
	"assay/scan/attach"
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
		m := parsed(t, raw)
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

// parsed is a message, which is to be closed.
func parsed(t testing.TB, raw string) *message.Message {
	t.Helper()
	m, err := message.Read(strings.NewReader(raw), message.Envelope{}, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return m
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

// BenchmarkLarge is what a mail of 25 MB costs that brings twenty files of five kinds.
func BenchmarkLarge(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // as the daemon has it
	noise := newPDF("1.4")
	large := func(content []byte) []byte { // of the size of each file
		return bytes.Repeat(content, 1+920<<10/len(content))[:920<<10]
	}
	files := map[string][]byte{}
	for i := range 4 {
		picture := append([]byte("\xff\xd8\xff\xe0\x00\x10JFIF\x00"), noise.noise(920<<10)...)
		files[fmt.Sprintf("%d.pdf", i)] = manyPages(i)
		files[fmt.Sprintf("%d.jpg", i)] = picture
		files[fmt.Sprintf("%d.zip", i)] = zipped(b, "a.jpg", string(picture[:450<<10]), "b.jpg", string(picture[:20])+string(picture[450<<10:]))
		files[fmt.Sprintf("%d.txt", i)] = large([]byte("2026-11-22;invoice;4711;Stuttgart;119,00\r\n"))
		files[fmt.Sprintf("%d.json", i)] = append(large([]byte(`{"invoice": 4711, "city": "Stuttgart"}, `)), '}')
	}
	mail := mailWith(files)
	s := newBench(b)
	s.mails(b, mail, 2)
	var all, inWorker time.Duration
	b.ReportAllocs()
	for b.Loop() {
		h, w := s.mails(b, mail, 1)
		all, inWorker = least(all, h+w), least(inWorker, w)
	}
	b.ReportMetric(float64(len(mail))/1e6, "MB/mail")
	b.ReportMetric(float64(all.Microseconds())/1e3, "cpu-ms/mail")
	b.ReportMetric(float64(inWorker.Microseconds())/1e3, "worker-cpu-ms/mail")
}

// A mail without files has nothing that a worker is needed for.
func TestNoFilesNoWorker(t *testing.T) {
	events := 0
	pool := worker.New(worker.Options{Command: []string{"/proc/self/exe", "worker"}, Workers: 1, Observe: func(worker.Event) { events++ }})
	s := New(Options{Engine: pool})
	m := parsed(t, mailWith(nil))
	defer m.Close()
	r := s.Scan(context.Background(), m)
	pool.Close()
	if events > 0 || len(r.Objects) > 0 {
		t.Errorf("%d workers, %v", events, objects(r))
	}
}

// A file is decoded into memory that serves other mails as well, and is not copied on its way to the worker. That is most of
// what a small file costs, since copies have to be collected.
func TestFilesAreNotCopied(t *testing.T) {
	const mails = 20
	content := written()
	m := parsed(t, mailWith(map[string][]byte{"a.pdf": content}))
	defer m.Close()
	s := newBench(t)
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which would empty the pools
	var before, after runtime.MemStats
	s.Scan(t.Context(), m)
	runtime.ReadMemStats(&before)
	for range mails {
		s.Scan(t.Context(), m)
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / mails; each > uint64(2*len(content)) { // with the race detector, pools lose some
		t.Errorf("a file of %d octets makes %d octets of garbage", len(content), each)
	} else {
		t.Logf("a file of %d octets makes %d octets of garbage", len(content), each)
	}
}

// The objects of a PDF share memory: one is not more than a few allocations.
func TestObjectsShareMemory(t *testing.T) {
	const most = 10
	for _, one := range []struct {
		name    string
		content []byte
		objects int
	}{{"typeset", typeset(), typesetObjects}, {"tagged", tagged(), bytes.Count(tagged(), []byte("\nendobj"))}} {
		allocations := testing.AllocsPerRun(10, func() { inspected(t, inProcess(), one.content) })
		if each := allocations / float64(one.objects); each > most {
			t.Errorf("%s: %.1f allocations for each of %d objects", one.name, each, one.objects)
		}
	}
}

// inspected inspects a PDF.
func inspected(t testing.TB, e inspect.Engine, content []byte) inspect.Result {
	o := attach.Identify("a.pdf", "application/pdf", content[:min(len(content), attach.Window)])
	r, err := e.Inspect(t.Context(), inspect.Job{Object: o, Content: content}, nil)
	if err != nil || r.Objects[0].State != scan.Inspected {
		t.Fatal(r.Objects, err)
	}
	return r
}

// What cannot act, such as pictures and fonts, is passed over: however many readers are asked about a file, that costs less
// than to look at each of its octets a few times.
func TestPicturesArePassedOver(t *testing.T) {
	if testing.Short() {
		t.Skip("times are not measured with -short")
	}
	const most = 4
	content := photographed()
	engine := inProcess()
	var inspection, pass time.Duration
	var sum uint32
	for range 200 {
		start := worker.CPUTime()
		inspected(t, engine, content)
		inspection = least(inspection, worker.CPUTime()-start)
		start = worker.CPUTime()
		for _, c := range content {
			sum = sum*31 + uint32(c)
		}
		pass = least(pass, worker.CPUTime()-start)
	}
	if inspection > most*pass {
		t.Errorf("it takes %v; to look at each octet takes %v (%d)", inspection, pass, sum)
	}
	t.Logf("it takes %v; to look at each octet takes %v (%d)", inspection, pass, sum)
}
