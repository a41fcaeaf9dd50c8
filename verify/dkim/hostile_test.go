//go:build unix

package dkim

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"assay/verify/message"
)

// hostileSignature is a well-formed signature whose body hash has to be computed.
func hostileSignature(i int, c, more string) string {
	return fmt.Sprintf("DKIM-Signature: v=1; a=rsa-sha256; c=%s; d=d%d.example; s=s; h=from; bh=AAAA; %s b=AAAA\r\n", c, i, more)
}

// TestHostile measures messages of 50 MB that are made to be expensive: none may cost more than 0.3 s of processor time
// for each canonical form of the body, nor memory in proportion to its size.
func TestHostile(t *testing.T) {
	if raceDetector || testing.Short() {
		t.Skip("NOT RUN: figures mean nothing under the race detector, and take a while")
	}
	const from = "From: a@example.com\r\n"
	both := hostileSignature(1, "relaxed/simple", "") + hostileSignature(2, "relaxed/relaxed", "")
	var lengths, heap, long strings.Builder
	for i := range 10 {
		lengths.WriteString(hostileSignature(i, "simple/simple", fmt.Sprintf("l=%d;", 1000000*i)))
		lengths.WriteString(hostileSignature(i+10, "relaxed/relaxed", fmt.Sprintf("l=%d;", 1000000*i)))
	}
	for i := range 5000 {
		heap.WriteString(hostileSignature(i, "relaxed/relaxed", ""))
	}
	for range 8000 {
		long.WriteString("X-A: b\r\n")
	}
	names := "DKIM-Signature: v=1; a=rsa-sha256; d=b.example; s=s; bh=AAAA; b=AAAA; h=from" + strings.Repeat(":zz", 8000) + "\r\n"
	folded := "DKIM-Signature: v=1; a=rsa-sha256; d=b.example; s=s; bh=AAAA; b=AAAA; h=from;" + strings.Repeat("\r\n n", 400000) + "=1\r\n"
	for _, test := range []struct{ name, header, unit string }{
		{"empty lines", both, "\r\n"},
		{"white space", both, " \t"},
		{"white space on every line", both, "  \r\n"},
		{"bare CR", both, "\r"},
		{"bare LF", both, "\n"},
		{"short lines", both, "a\r\n"},
		{"bare LF and letters", both, "a\n"},
		{"letters and white space", both, "a \t"},
		{"bare CR before line ends", both, "a \r\r\n"},
		{"everything mixed", both, "a \r\n\r\n \t\rb\n\n  c"},
		{"twenty lengths", lengths.String(), "The quick brown fox jumps over the lazy dog.\r\n"},
		{"5000 signatures", heap.String(), "The quick brown fox jumps over the lazy dog.\r\n"},
		{"8000 fields by 8000 names", names + long.String(), "\r\n"},
		{"field of many lines", folded, "\r\n"},
	} {
		h := header(test.header + from)
		chunk := []byte(strings.Repeat(test.unit, 65520/len(test.unit)))
		best, memory := time.Hour, uint64(0)
		for range 3 { // the least of three, because others use this machine, too
			used, allocated := hostileRun(h, chunk)
			best, memory = min(best, used), max(memory, allocated)
			if best < 300*time.Millisecond {
				break
			}
		}
		limit := 300 * time.Millisecond
		if strings.HasPrefix(test.header, both) {
			limit *= 2
		}
		t.Logf("%-28s %v, %d kB", test.name, best.Round(time.Millisecond), memory>>10)
		if best > limit {
			t.Errorf("%s: %v of processor time", test.name, best)
		}
		if memory > 32<<20 {
			t.Errorf("%s: %d octets allocated", test.name, memory)
		}
	}
}

// hostileRun verifies 50 MB and returns what it cost.
func hostileRun(h message.Header, chunk []byte) (time.Duration, uint64) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := cpuTime()
	b := NewBodies()
	run := Start(context.Background(), anyKey{}, h, at, Options{}, b)
	for n := 0; n < 50<<20; n += len(chunk) {
		b.Write(chunk)
	}
	run.Finish()
	used := cpuTime() - start
	runtime.ReadMemStats(&after)
	return used, after.TotalAlloc - before.TotalAlloc
}
