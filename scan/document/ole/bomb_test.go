package ole

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"assay/scan"
	"assay/scan/container"
)

// bombs are files that are made to cost more than they weigh.
func bombs() map[string][]byte {
	le := binary.LittleEndian
	many := make([]*node, 150_000)
	for i := range many {
		many[i] = stream(fmt.Sprint("s", i), []byte("x"))
	}
	projects := make([]*node, 0, 400)
	source := "Sub AutoOpen()\r\n" + strings.Repeat("sub autoopen sub document_open ", 5000)
	for i := range 400 {
		projects = append(projects, folder(fmt.Sprint("p", i), project("a", source, "b", source)))
	}
	names := "\x13SET x " + strings.Repeat("y", 4000) + "\x15" + strings.Repeat("\x13\x13x\x15\x15", 4<<20)
	deepRecords := bytes.Repeat(join(le16(0x0f), le16(0x03e8), numbers([]uint32{0x7fffff})), 2<<20)
	for i := 0; i < len(deepRecords); i += recordHeader {
		le.PutUint32(deepRecords[i+4:], uint32(len(deepRecords)-i-recordHeader))
	}
	var objects [][]byte
	for range 1000 {
		objects = append(objects, atom(1, recordStorage, squeeze(make([]byte, 100_000))))
	}
	document, user, _ := slides(0, nil, objects...)
	// Edits that lead to each other, and directories in each other.
	edits := make([]byte, 0, 20<<20)
	for range 900 {
		edits = append(edits, atom(0, recordUserEdit, numbers([]uint32{0, 0, uint32(max(0, len(edits)-36)), 36 * 900, 1, 9, 0}))...)
	}
	last := uint32(len(edits) - 36)
	edits = append(edits, atom(0, recordPersistent, bytes.Repeat(numbers([]uint32{1 << 20, 5}), 1<<20))...)
	attachments := make([]*node, 0, 3000)
	for i := range 3000 {
		attachments = append(attachments, folder(fmt.Sprint("__attach_version1.0_#", i), message(property(dataBinary, []byte("x")))...))
	}
	return map[string][]byte{
		"many streams":     (&builder{shift: 12}).build(many...),
		"many projects":    (&builder{shift: 12}).build(projects...),
		"names in fields":  letter{pieces: []string{names}}.build2(12),
		"ends of fields":   letter{pieces: []string{strings.Repeat("\x13\x13\x14a\x15", 4<<20)}}.build2(12),
		"nested records":   (&builder{shift: 12}).build(stream("Current User", user), stream("PowerPoint Document", deepRecords)),
		"many objects":     (&builder{shift: 12}).build(stream("Current User", user), stream("PowerPoint Document", document)),
		"edits":            (&builder{shift: 12}).build(stream("Current User", join(make([]byte, 16), numbers([]uint32{last}))), stream("PowerPoint Document", edits)),
		"empty records":    (&builder{shift: 12}).build(stream("Workbook", join(bof(0x0600, 5), bytes.Repeat(sheet("a", 0, 1), 1<<20), bytes.Repeat(supBook("a\x03b"), 1<<20)))),
		"many attachments": (&builder{shift: 12}).build(message(attachments...)...),
	}
}

// build2 makes the file with larger sectors.
func (l letter) build2(shift uint) []byte {
	main, table := l.streams()
	return (&builder{shift: shift}).build(stream("WordDocument", main), stream("1Table", table))
}

// cpu is the time of the processor that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano())
}

// Whatever is in a file of some megabytes, it costs less than a second and not much memory.
func TestBombs(t *testing.T) {
	if testing.Short() {
		t.Skip("NOT RUN: takes seconds, left out by -short")
	}
	for name, file := range bombs() {
		t.Run(name, func(t *testing.T) {
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := cpu()
			f := &container.File{Content: file, Budget: budget(container.Limits{})}
			v := Reader{}.Read(f, func(container.Member) bool { return true })
			took := cpu() - start
			runtime.ReadMemStats(&after)
			allocated := (after.TotalAlloc - before.TotalAlloc) >> 20
			t.Logf("%d MB: %v, %d MB allocated, %s %q", len(file)>>20, took, allocated, v.State, v.Method)
			if took > 3*time.Second {
				t.Errorf("%v", took)
			}
			if v.State != scan.Inspected && v.Method == "" {
				t.Error("nothing says why")
			}
		})
	}
}
