package milter

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/emersion/go-milter"

	"assay/milter/plan"
	"assay/verify/message"
)

// A noop is a Handler that accepts everything.
type noop struct{}

func (noop) Begin(context.Context, *message.Envelope, message.Header) Pending { return noop{} }
func (noop) Handle(context.Context, *message.Message, plan.Capabilities) plan.Plan {
	return plan.Plan{Verdict: plan.Accept}
}
func (noop) Done(error) {}

// A bare is the least that a user of go-milter has to write.
type bare struct{ milter.NoOpMilter }

// Body implements milter.Milter. The answer keeps the backend.
func (bare) Body(*milter.Modifier) (milter.Response, error) { return milter.RespContinue, nil }

// BenchmarkMessage measures one message of 15 header fields and 8 KiB, without any work on it, as Postfix sends it: each
// command waits for its answer, and macros come before each. The CPU time is that of both sides.
func BenchmarkMessage(b *testing.B) {
	b.Run("assay", func(b *testing.B) {
		ln := benchListener(b)
		s := NewServer(noop{}, Options{})
		go s.Serve(b.Context(), ln)
		exchange(b, ln)
	})
	b.Run("go-milter", func(b *testing.B) {
		ln := benchListener(b)
		s := milter.Server{NewMilter: func() milter.Milter { return bare{} }}
		go s.Serve(ln)
		exchange(b, ln)
	})
}

func benchListener(b *testing.B) net.Listener {
	b.Helper()
	ln, err := net.Listen("unix", filepath.Join(b.TempDir(), "s"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ln.Close() })
	return ln
}

// exchange sends b.N messages over one connection.
func exchange(b *testing.B, ln net.Listener) {
	m := dial(b, ln.Addr().Network(), ln.Addr().String())
	m.offer(6, postfixActions, postfixProtocol)
	m.connect("mail.example.org", '4', 4711, "192.0.2.1")
	m.ask('H', "helo.example.org")
	commands := []string{raw('D', "M"+cstrings("i", "4ABC")) + raw('M', "<a@example.org>\x00"), raw('D', "R"+cstrings("i", "4ABC")) + raw('R', "<b@example.net>\x00")}
	for range 15 {
		commands = append(commands, raw('D', "L"+cstrings("i", "4ABC"))+raw('L', "X-Field\x00 "+strings.Repeat("value ", 10)+"\x00"))
	}
	commands = append(commands, raw('D', "N"+cstrings("i", "4ABC"))+raw('N', ""), raw('B', strings.Repeat("x", 8<<10)), raw('E', ""))
	answer := make([]byte, 5)
	start := cpuTime(b)
	b.ReportAllocs()
	for b.Loop() {
		for _, c := range commands {
			m.write(c)
			if n, err := m.in.Read(answer); n != 5 || err != nil {
				b.Fatalf("answer %q, %v", answer[:n], err)
			}
		}
		m.write(raw('A', ""))
	}
	b.ReportMetric(float64(cpuTime(b)-start)/float64(b.N), "cpu-ns/op")
}

// cpuTime returns the CPU time of the process in nanoseconds.
func cpuTime(b *testing.B) int64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return r.Utime.Nano() + r.Stime.Nano()
}
