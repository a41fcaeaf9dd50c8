package zip

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"assay/scan"
	"assay/scan/container"
)

// quoted returns an archive whose members overlap: the content of each is the local header of the next one in a stored block
// of DEFLATE, and then all that the next one has.
func quoted(n int, flags uint16) []byte {
	kernel := pack(strings.Repeat("\x00", 2<<20), methodDeflate)
	tail := kernel
	var locals []string
	for i := range n {
		r := record{method: methodDeflate, flags: flags, packed: uint32(len(tail)), size: uint32(2 << 20), name: fmt.Sprintf("%d", i), offset: -1}
		if flags&flagDescriptor != 0 {
			r.packed, r.size = 0, 0
		}
		head := string(r.local())
		locals = append(locals, head)
		block := binary.LittleEndian.AppendUint16([]byte{0}, uint16(len(head)))
		block = binary.LittleEndian.AppendUint16(block, ^uint16(len(head)))
		tail = string(block) + head + tail
	}
	return []byte(locals[n-1] + tail[5+len(locals[n-1]):])
}

// listed adds the directory that names all the local headers of an archive.
func listed(b []byte) []byte {
	var directory []byte
	count := 0
	for at := 0; ; at += 4 {
		i := bytes.Index(b[at:], []byte(sigLocal))
		if i < 0 {
			break
		}
		at += i
		h, _ := parseLocal(b, at)
		r := record{flags: h.flags, method: h.method, packed: uint32(len(b) - h.end), size: 2 << 20, name: string(h.name), offset: at}
		directory = append(directory, r.central(at)...)
		count++
	}
	end := record{disk: uint16(count), packed: uint32(len(directory)), offset: len(b)}
	return append(append(b, directory...), end.end("")...)
}

// many returns an archive of n members, whose pieces a function makes.
func many(n int, make func(i int) piece) []byte {
	var z built
	for i := range n {
		z.pieces = append(z.pieces, make(i))
	}
	return z.octets()
}

// bombs are archives that were made to exhaust what opens them.
func bombs() map[string]func() []byte {
	kernel := member("k", strings.Repeat("\x00", 2<<20), methodDeflate)
	entry := string((&record{offset: 0}).central(0))
	return map[string]func() []byte{
		"members overlap":               func() []byte { return listed(quoted(300, 0)) },
		"members overlap, no directory": func() []byte { return quoted(300, 0) },
		"members overlap, no sizes":     func() []byte { return quoted(300, flagDescriptor) },
		"one member of 100 MB":          func() []byte { return []byte(whole("a", strings.Repeat("\x00", 100<<20), methodDeflate)) },
		"30000 members":                 func() []byte { return many(30000, func(i int) piece { return member(fmt.Sprint(i), "x", 0) }) },
		"65000 folders":                 func() []byte { return many(65000, func(i int) piece { return member(fmt.Sprint(i)+"/", "", 0) }) },
		"200 members of 2 MB":           func() []byte { return many(200, func(int) piece { return kernel }) },
		"one member under 3000 names": func() []byte {
			return many(3000, func(i int) piece {
				p := piece{entries: slices.Clone(kernel.entries)}
				p.entries[0].name, p.entries[0].offset = fmt.Sprint("n", i), 0
				if i == 0 {
					p.local, p.data = kernel.local, kernel.data
				}
				return p
			})
		},
		"local headers only": func() []byte { return []byte(strings.Repeat(sigLocal, 2<<20)) },
		"local headers without sizes": func() []byte {
			return many(20000, func(int) piece {
				return piece{local: &record{flags: flagDescriptor, method: methodDeflate, name: "a"}, data: "x"}
			})
		},
		"ends of directories only": func() []byte { return []byte(sigLocal + strings.Repeat(sigEnd, 2<<20)) },
		"ends that lead to one directory": func() []byte {
			end := record{disk: 1, packed: 47, offset: 32}
			return []byte(whole("a", "x", 0) + strings.Repeat(string(end.end("")), 100000))
		},
		"entries of directories only": func() []byte { return []byte(sigLocal + strings.Repeat(entry, 150000)) },
		"entries and ends": func() []byte {
			end := record{disk: 1, packed: 46, offset: 4}
			return []byte(sigLocal + strings.Repeat(entry+string(end.end("")), 80000))
		},
		"signatures of descriptors": func() []byte {
			r := record{flags: flagDescriptor, name: "a"}
			return []byte(string(r.local()) + strings.Repeat(sigDescr, 2<<20))
		},
		"contents that are longer than claimed": func() []byte {
			return many(2000, func(i int) piece {
				p := marked(kernel, methodDeflate, 2<<20)
				p.local.packed, p.entries[0].packed = 9, 9
				return p
			})
		},
		"LZMA with large dictionaries": func() []byte {
			p := member("a", "\x10\x02\x05\x00\x5d\x00\x00\x00\x04"+strings.Repeat("\x00", 40), 0)
			return many(1500, func(int) piece { return marked(p, methodLZMA, 60<<20) })
		},
		"xz with large dictionaries": func() []byte {
			return many(1500, func(int) piece { return marked(member("a", xzHead, 0), methodXZ, 60<<20) })
		},
		"PK": func() []byte { return []byte(sigLocal + strings.Repeat("PK", 10<<20)) },
	}
}

// xzHead begins an xz stream whose block asks for a dictionary of 64 MiB (XZ format 5.3.1).
const xzHead = "\xfd7zXZ\x00\x00\x01\x69\x22\xde\x36\x02\x00\x21\x01\x1c\x00\x00\x00\x10\xcf\x58\xcc" + "\x01\x00\x10"

// marked returns a copy of a piece that claims another method and size.
func marked(p piece, method uint16, size uint32) piece {
	local := *p.local
	p.local, p.entries = &local, slices.Clone(p.entries)
	p.local.method, p.entries[0].method, p.local.size, p.entries[0].size = method, method, size, size
	return p
}

// processor returns the time that this process has used.
func processor(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// What was made to exhaust is stopped early, and never counts as inspected.
func TestBombs(t *testing.T) {
	for name, make := range bombs() {
		t.Run(name, func(t *testing.T) {
			b := make()
			f := file("a.zip", b)
			members, octets := 0, 0
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := processor(t)
			verdict := Reader{}.Read(f, func(m container.Member) bool {
				members++
				octets += len(m.Content)
				return true
			})
			took := processor(t) - start
			runtime.ReadMemStats(&after)
			t.Logf("%v, %d members, %d MB, allocated %d MB: %+v", took.Round(time.Millisecond), members, octets>>20, (after.TotalAlloc-before.TotalAlloc)>>20, verdict)
			if verdict.State == scan.Inspected {
				t.Errorf("state %q", verdict.State)
			}
			if members > 2000 || octets > 220<<20 {
				t.Errorf("%d members, %d octets", members, octets)
			}
			if took > 15*time.Second { // a second, and with the race detector ten times that
				t.Errorf("took %v", took)
			}
		})
	}
}
