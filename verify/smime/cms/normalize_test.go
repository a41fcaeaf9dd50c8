package cms

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"assay/verify/vectors"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestNormalize goes through the forms of BER (X.690 Section 8).
func TestNormalize(t *testing.T) {
	tests := []struct {
		name, in, want string
		err            error
	}{
		{"DER", "30 03 02 01 05", "30 03 02 01 05", nil},
		{"empty sequence", "30 00", "30 00", nil},
		{"long length", "30 81 03 02 01 05", "30 03 02 01 05", nil},
		{"longer length", "30 84 00 00 00 03 02 01 05", "30 03 02 01 05", nil},
		{"length of eight octets", "30 88 00 00 00 00 00 00 00 03 02 01 05", "30 03 02 01 05", nil},
		{"length of nine octets", "30 89 00 00 00 00 00 00 00 00 03 02 01 05", "", ErrSyntax},
		{"reserved length", "30 ff 02 01 05", "", ErrSyntax},
		{"length beyond int", "30 88 ff ff ff ff ff ff ff ff 02 01 05", "", ErrSyntax},
		{"length cut", "30 82 01", "", ErrSyntax},
		{"primitive with a long length", "02 81 01 05", "02 01 05", nil},
		{"indefinite", "30 80 02 01 05 00 00", "30 03 02 01 05", nil},
		{"empty indefinite", "30 80 00 00", "30 00", nil},
		{"indefinite inside of indefinite", "30 80 31 80 02 01 05 00 00 00 00", "30 05 31 03 02 01 05", nil},
		{"indefinite inside of definite", "30 07 31 80 02 01 05 00 00", "30 05 31 03 02 01 05", nil},
		{"indefinite without end", "30 80 02 01 05", "", ErrSyntax},
		{"indefinite with half an end", "30 80 02 01 05 00", "", ErrSyntax},
		{"indefinite that borrows the end of its parent", "30 05 31 80 02 01 05 00 00", "", ErrSyntax},
		{"indefinite primitive", "02 80 05 00 00", "", ErrSyntax},
		{"end where nothing ends", "30 02 00 00", "", ErrSyntax},
		{"only an end", "00 00", "", ErrSyntax},
		{"end with a length", "30 80 00 01 05 00 00", "", ErrSyntax},
		{"child beyond its parent", "30 02 30 7c 05 00", "", ErrSyntax},
		{"child beyond its indefinite parent", "30 80 30 7c 05 00 00 00", "", ErrSyntax},
		{"octets behind the end", "30 00 00", "", ErrTrailing},
		{"line end behind the end", "30 00 0d 0a", "", ErrTrailing},
		{"nothing", "", "", ErrSyntax},
		{"one octet", "30", "", ErrSyntax},
		{"joined string", "24 06 04 01 61 04 01 62", "04 02 61 62", nil},
		{"joined string of one piece", "24 03 04 01 61", "04 01 61", nil},
		{"joined string of no piece", "24 80 00 00", "04 00", nil},
		{"joined strings inside of each other", "24 80 24 80 04 01 61 00 00 04 01 62 00 00", "04 02 61 62", nil},
		{"string of another type", "24 03 02 01 61", "", ErrSyntax},
		{"string with a sequence", "24 05 30 03 04 01 61", "", ErrSyntax},
		{"joined string in a field", "a0 80 24 80 04 01 61 04 01 62 00 00 00 00", "a0 04 04 02 61 62", nil},
		{"other constructed string", "23 06 03 01 61 03 01 62", "23 06 03 01 61 03 01 62", nil},
		{"tagged string", "a0 06 04 01 61 04 01 62", "a0 06 04 01 61 04 01 62", nil},
		{"high tag", "bf 1f 03 02 01 05", "bf 1f 03 02 01 05", nil},
		{"high tag of two octets", "bf 81 00 81 00", "bf 81 00 00", nil},
		{"high tag that is low", "bf 1e 00", "", ErrSyntax},
		{"high tag with a zero", "bf 80 1f 00", "", ErrSyntax},
		{"high tag without end", "bf 81 81 81 81 81 81 00", "", ErrSyntax},
		{"high tag cut", "bf 81", "", ErrSyntax},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := unhex(t, tt.in)
			got, err := Normalize(in, Limits{})
			if !errors.Is(err, tt.err) || hex.EncodeToString(got) != strings.ReplaceAll(tt.want, " ", "") {
				t.Fatalf("%x, %v, want %s, %v", got, err, tt.want, tt.err)
			}
			if err == nil && tt.in == tt.want && &got[0] != &in[0] {
				t.Error("DER was copied")
			}
			if hex.EncodeToString(in) != strings.ReplaceAll(tt.in, " ", "") {
				t.Error("the input was changed")
			}
		})
	}
}

// TestNormalizeLengths verifies every size of a length.
func TestNormalizeLengths(t *testing.T) {
	for _, n := range []int{0, 1, 127, 128, 255, 256, 65535, 65536, 1<<24 - 1, 1 << 24} {
		content := bytes.Repeat([]byte{7}, n)
		want := octets(content)
		got, err := Normalize(indefinite(tagOctetString|constructed, want), Limits{})
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d octets: %d octets, %v", n, len(got), err)
		}
	}
}

// TestNormalizeLimits verifies each limit on both sides.
func TestNormalizeLimits(t *testing.T) {
	nested := func(n int) []byte {
		var in []byte
		for range n {
			in = seq(in)
		}
		return in
	}
	tests := []struct {
		name   string
		in     []byte
		limits Limits
		want   error
	}{
		{"depth", nested(32), Limits{}, nil},
		{"depth", nested(33), Limits{}, ErrLimit},
		{"depth", nested(33), Limits{Depth: 33}, nil},
		{"depth", nested(101), Limits{Depth: 1000}, ErrLimit},
		{"elements", seq(bytes.Repeat(derNull, 199_999)), Limits{}, nil},
		{"elements", seq(bytes.Repeat(derNull, 200_000)), Limits{}, ErrLimit},
		{"size", seq(derNull), Limits{Size: 4}, nil},
		{"size", seq(derNull), Limits{Size: 3}, ErrLimit},
	}
	for _, tt := range tests {
		if _, err := Normalize(tt.in, tt.limits); !errors.Is(err, tt.want) {
			t.Errorf("%s of %d octets: %v, want %v", tt.name, len(tt.in), err, tt.want)
		}
	}
}

// hostile are inputs that cost other parsers seconds and gigabytes.
func hostile(t testing.TB) map[string][]byte {
	nest := func(n int) []byte {
		return append(bytes.Repeat([]byte{0x30, 0x80}, n/4), make([]byte, n/2)...)
	}
	overrun := func(k int) []byte {
		return append(bytes.Repeat(unhex(t, "30 02 30 7c"), k), bytes.Repeat(derNull, 64)...)
	}
	many := func(n int) []byte { return indefinite(tagSequence, bytes.Repeat(derNull, n/2)) }
	inputs := map[string][]byte{
		"open, 1 MB":              bytes.Repeat([]byte{0x30, 0x80}, 500_000),
		"open, 4 MB":              bytes.Repeat([]byte{0x30, 0x80}, 2_000_000),
		"open strings, 4 MB":      bytes.Repeat([]byte{0x24, 0x80}, 2_000_000),
		"open and closed, 200 kB": nest(200_000),
		"one level after another": bytes.Repeat([]byte{0x30, 0x80, 0, 0}, 1_000_000),
		"many levels, 4 MB":       indefinite(tagSequence, bytes.Repeat([]byte{0x30, 0x80, 0, 0}, 1_000_000)),
		"many strings":            indefinite(tagOctetString|constructed, bytes.Repeat([]byte{4, 0}, 1_500_000)),
		"29 levels and many elements": append(bytes.Repeat([]byte{0x30, 0x80}, 29),
			bytes.Repeat([]byte{0x30, 0x80, 0x30, 0x80, 0, 0, 0, 0}, 300_000)...),
	}
	for _, k := range []int{12, 16, 20, 30, 1000} {
		inputs[fmt.Sprintf("overrun, %d times", k)] = overrun(k)
	}
	for name, n := range map[string]int{"300 kB": 300_000, "3 MB": 3_000_000, "30 MB": 30_000_000} {
		inputs["many elements, "+name] = many(n)
	}
	return inputs
}

// TestHostile verifies that what costs other parsers seconds and gigabytes costs next to nothing.
func TestHostile(t *testing.T) {
	inputs := hostile(t)
	for name, in := range inputs {
		checkCost(t, name, in)
	}
	for _, name := range []string{"DOS-nest-indef-100k.bin", "DOS-overrun-k16.bin"} {
		checkCost(t, name, read(t, filepath.Join(vectors.Path(t, "smime/generated"), name)))
	}
}

// cpuTime returns the time this process has computed. Unlike the time on the clock it does not depend on what else the
// machine does.
func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// slowdown is how much longer everything may take with -short, which is what the race detector runs with.
func slowdown() time.Duration {
	if testing.Short() {
		return 20
	}
	return 1
}

// checkCost fails if parsing in takes more than 50 ms, or 16 MB over what in itself takes. Of several tries the fastest
// counts.
func checkCost(t *testing.T, name string, in []byte) {
	t.Helper()
	const maxAlloc = 16 << 20
	maxTime := 50 * time.Millisecond * slowdown()
	best, alloc := time.Hour, uint64(0)
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := cpuTime(t)
		_, err := Parse(in, Limits{})
		took := cpuTime(t) - start
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: parsed", name)
		}
		best, alloc = min(best, took), after.TotalAlloc-before.TotalAlloc
	}
	if best > maxTime || alloc > maxAlloc {
		t.Errorf("%s: %d octets cost %v and %d octets", name, len(in), best, alloc)
	}
	t.Logf("%s: %d octets cost %v and %d octets", name, len(in), best, alloc)
}

// TestLargeMail verifies that an honest mail of 20 MB in small pieces is read in linear time and with one copy.
func TestLargeMail(t *testing.T) {
	r := recipe{id: identityOf(t, "p256"), digest: "sha256", scheme: oidECKey, chunk: 1000, content: make([]byte, 20_000_000)}
	in := r.build(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := cpuTime(t)
	o, err := Parse(in, Limits{})
	took := cpuTime(t) - start
	runtime.ReadMemStats(&after)
	if err != nil || len(o.Signed.Content) != len(r.content) {
		t.Fatal(err)
	}
	if alloc := after.TotalAlloc - before.TotalAlloc; alloc > 22_000_000 || took > time.Second*slowdown() {
		t.Errorf("%v and %d octets", took, alloc)
	}
	r.chunk = 0
	in = r.build(t)
	runtime.ReadMemStats(&before)
	if o, err = Parse(in, Limits{}); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if alloc := after.TotalAlloc - before.TotalAlloc; alloc > 200_000 {
		t.Errorf("DER costs %d octets", alloc)
	}
	if got := o.Signed.VerifySigner(0, o.Signed.Embedded(), nil); got.Integrity != Intact {
		t.Error(got)
	}
}
