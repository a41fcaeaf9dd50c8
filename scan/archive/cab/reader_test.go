package cab

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"assay/scan"
	"assay/scan/archive/archivetest"
	"assay/scan/container"
	"assay/verify/vectors"
)

// The files in testdata were made with gcab 1.5 (-c and -cz): a.txt ("hello"), and 9000 numbered lines.

// inspect reads a file and returns what was yielded.
func inspect(t testing.TB, content []byte) (container.Verdict, []container.Member) {
	t.Helper()
	return archivetest.Read(t, Reader{}, &container.File{Name: "x.cab", Content: content})
}

// lines is the long file.
func lines() string {
	var b strings.Builder
	for i := range 9000 {
		fmt.Fprintf(&b, "line %d of a text that is longer than one block of thirty-two kibibytes\n", i+1)
	}
	return b.String()
}

func TestCabinets(t *testing.T) {
	stored, packed := archivetest.Content(t, "testdata/stored.cab"), archivetest.Content(t, "testdata/mszip.cab")
	for name, b := range map[string][]byte{"stored": stored, "in a program": append(append([]byte("MZ"), make([]byte, 2000)...), stored...)} {
		v, members := inspect(t, b)
		if v.State != scan.Inspected || len(members) != 1 || members[0].Name != "a.txt" || string(members[0].Content) != "hello\n" {
			t.Errorf("%s: %+v %+v", name, v, members)
		}
	}
	v, members := inspect(t, packed)
	if v.State != scan.Inspected || len(members) != 2 || string(members[1].Content) != lines() {
		t.Errorf("MSZIP: %+v, %d members", v, len(members))
	}
}

// change returns a copy with some octets changed.
func change(b []byte, at int, octets ...byte) []byte {
	b = bytes.Clone(b)
	copy(b[at:], octets)
	return b
}

func TestUnreadable(t *testing.T) {
	stored, packed := archivetest.Content(t, "testdata/stored.cab"), archivetest.Content(t, "testdata/mszip.cab")
	for _, c := range []struct {
		name    string
		content []byte
		method  string
		trait   scan.Trait
	}{
		{"Quantum", change(stored, 36+6, 0x72, 0x14), "Quantum compression", ""},
		{"unknown", change(stored, 36+6, 9), "unknown compression method", ""},
		{"set", append(change(stored, 30, 2), "x\x00"...), "volume 1 of a split cabinet", scan.SplitVolume},
		{"goes on", change(stored, 36+8+8, 0xfe, 0xff), "continues in another cabinet", ""},
		{"cut off", packed[:len(packed)-500], "damaged cabinet", scan.Damaged},
		{"wrong checksum", change(stored, len(stored)-2, 'x'), "damaged cabinet", scan.Damaged},
		{"only a header", stored[:36], "damaged cabinet", scan.Damaged},
	} {
		v, _ := inspect(t, c.content)
		if v.State != scan.Uninspectable || v.Method != c.method {
			t.Errorf("%s: %+v", c.name, v)
		}
		if c.trait != "" && (len(v.Signs) == 0 || v.Signs[0].Trait != c.trait) {
			t.Errorf("%s: signs %+v", c.name, v.Signs)
		}
	}
	if _, members := inspect(t, packed[:len(packed)-500]); len(members) != 2 || !strings.HasPrefix(lines(), string(members[1].Content)) {
		t.Errorf("cut off: %d members", len(members))
	}
}

func TestNotOurs(t *testing.T) {
	for _, b := range []string{"", "MSCF", "MZ program with MSCF\x00\x00\x00\x00 in its text and no cabinet behind it, as it should be"} {
		if (Reader{}).Reads(&container.File{Content: []byte(b)}) {
			t.Errorf("%q is claimed", b)
		}
	}
}

// The only sample with LZX, compared with what cabextract 1.9 gives.
func TestVectors(t *testing.T) {
	v, members := inspect(t, archivetest.Content(t, filepath.Join(vectors.Path(t, "scan/samples"), "other/strelka-test_lzx.cab")))
	if v.State != scan.Inspected || len(members) == 0 {
		t.Fatalf("%+v, %d members", v, len(members))
	}
	for _, m := range members {
		sum := sha256.Sum256(m.Content)
		const want = "7ac19ffb133c73599774fcd0d056313c497f87d091ac9a08aa73d083aa67e2e7"
		if got := hex.EncodeToString(sum[:]); got != want {
			t.Errorf("%s: %d octets, %s", m.Name, len(m.Content), got)
		}
	}
}

func FuzzRead(f *testing.F) {
	stored, packed := archivetest.Content(f, "testdata/stored.cab"), archivetest.Content(f, "testdata/mszip.cab")
	f.Add(stored)
	f.Add(packed)
	f.Add(change(stored, 36+6, 3, 15))
	f.Add(change(packed, 36+6, 3, 21))
	f.Fuzz(func(t *testing.T, b []byte) {
		start := time.Now()
		file := &container.File{Content: b, Budget: container.NewBudget(t.Context(),
			container.Limits{Members: 100, Octets: 4 << 20, Member: 1 << 20, Free: 1 << 18, Time: 5 * time.Second},
			func() time.Duration { return time.Since(start) })}
		if !(Reader{}).Reads(file) {
			return
		}
		if v := (Reader{}).Read(file, func(m container.Member) bool { return true }); v.State == "" {
			t.Error("no state")
		}
		if took := time.Since(start); took > 8*time.Second {
			t.Errorf("%s for %d octets", took, len(b))
		}
	})
}

func FuzzLZX(f *testing.F) {
	f.Add([]byte("\x00\x20\x00\x80 some octets that are no LZX"), uint8(15))
	f.Fuzz(func(t *testing.T, b []byte, bits uint8) {
		z := newLZX(15 + uint(bits)%7)
		for range 3 {
			if out, err := z.frame(b, frameSize); err == nil && len(out) != frameSize {
				t.Error(len(out))
			}
		}
	})
}
