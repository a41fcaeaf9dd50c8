package store

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// large is how many distinct rows a large day has.
const large = 100_000

// TestLargeDay: 100,000 distinct rows are written, listed, read and removed in seconds of the processor, because others work on
// the machine that runs tests.
func TestLargeDay(t *testing.T) {
	if testing.Short() {
		t.Skip("100,000 rows take too long for -short")
	}
	s, c := open(t, Options{})
	step := func(what string, most time.Duration, work func()) {
		began := processor(t)
		work()
		took := processor(t) - began
		t.Logf("%-8s %v", what, took.Round(100*time.Microsecond))
		if took > most*raceFactor {
			t.Errorf("%s took %v", what, took)
		}
	}
	step("add", 20*time.Second, func() {
		for n := range large {
			r := row(fmt.Sprintf("d%d.example", n%1000), n)
			r.Signatures = r.Signatures[:1]
			s.Add(noon, r)
			if n%20_000 == 0 { // memory bounds what waits
				flush(t, s)
			}
		}
		flush(t, s)
	})
	if st := balanced(t, s); st.Written != large {
		t.Fatalf("%+v", st)
	}
	c.set(tomorrow)
	step("pending", time.Second, func() {
		if all := due(t, s, tomorrow); len(all) != 1000 {
			t.Errorf("%d pending", len(all))
		}
	})
	step("records", time.Second, func() {
		if all := records(t, s, "d7.example", noon); len(all) != 100 {
			t.Errorf("%d records", len(all))
		}
	})
	step("status", time.Second, func() {
		st, err := s.Status(t.Context())
		if err != nil || st.Rows != large {
			t.Errorf("%+v, %v", st, err)
		}
		t.Logf("%d octets on the disk", st.Bytes)
	})
	step("expire", 20*time.Second, func() {
		if r, err := s.Expire(t.Context(), tomorrow.Add(10*dayLength)); err != nil || r.Rows != large {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// processor returns how long the processors have worked for this program.
func processor(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAdd is what a message costs: one that is known, and one that is new.
func BenchmarkAdd(b *testing.B) {
	for name, distinct := range map[string]int{"known": 1, "new": 1 << 24} {
		b.Run(name, func(b *testing.B) {
			s, _ := open(b, Options{})
			r, n := row("example.com", 0), 0
			b.ReportAllocs()
			for b.Loop() {
				n++
				r.SourceIP = row4(n % distinct)
				s.Add(noon, r)
			}
		})
	}
}
