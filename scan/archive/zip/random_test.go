package zip

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"assay/scan/container"
)

// A mutator makes archives whose headers lie at random.
type mutator struct{ *rand.Rand }

// number returns a value that a field could have, or should not.
func (r mutator) number(was uint32) uint32 {
	values := []uint32{0, 1, was - 1, was + 1, was / 2, was * 2, 0xffff, 0xffffffff, 1 << 31, r.Uint32N(300), r.Uint32()}
	return values[r.IntN(len(values))]
}

// record changes one field.
func (r mutator) record(h *record) {
	switch r.IntN(9) {
	case 0:
		h.flags ^= 1 << r.IntN(16)
	case 1:
		h.method = []uint16{0, 8, 9, 12, 14, 98, 99, 4711}[r.IntN(8)]
	case 2:
		h.packed = r.number(h.packed)
	case 3:
		h.size = r.number(h.size)
	case 4:
		h.crc = r.number(h.crc)
	case 5:
		h.name = []string{"", "a", "x/", "a.txt", "\x00", strings.Repeat("n", 300)}[r.IntN(6)]
	case 6:
		h.extra = []string{extra(extraZip64, u64(int(h.size))+u64(int(h.packed))), "\x01", extra(0x4242, "PK\x03\x04"), whole("x", "in the extra field", 0)}[r.IntN(4)]
	case 7:
		h.offset = int(r.number(uint32(max(h.offset, 0)))) & 0x7fffffff
	case 8:
		h.disk = uint16(r.number(0))
	}
}

// piece makes a member, whose headers may lie, and which may have something around it.
func (r mutator) piece(i int) piece {
	content := fmt.Sprintf("%d is the number of this content %s", i, strings.Repeat("and ", r.IntN(40)))
	if r.IntN(5) == 0 {
		content = whole("inner.txt", content, uint16(8*r.IntN(2)))
	}
	p := member(fmt.Sprintf("%d.txt", r.IntN(4)), content, uint16(8*r.IntN(2)))
	if r.IntN(4) == 0 {
		l := p.local
		p.behind = sigDescr + u32(int(l.crc)) + u32(int(l.packed)) + u32(int(l.size))
		l.flags, l.crc, l.packed, l.size = 8, 0, 0, 0
		p.entries[0].flags = 8
	}
	for range r.IntN(3) {
		switch r.IntN(6) {
		case 0, 1:
			r.record(p.local)
		case 2, 3:
			r.record(&p.entries[0])
		case 4:
			p.before = []string{"garbage", sigLocal, sigCentral, sigEnd, sigDescr, whole("between.txt", "between members", 0)}[r.IntN(6)]
		case 5:
			p.entries = append(p.entries, p.entries[0])
		}
	}
	if r.IntN(12) == 0 {
		p.entries = nil
	}
	return p
}

// archive makes an archive, whose end may lie, and which may be in something else.
func (r mutator) archive() []byte {
	var z built
	for i := range 1 + r.IntN(4) {
		z.pieces = append(z.pieces, r.piece(i))
	}
	if r.IntN(4) == 0 {
		z.end = func(e *record) {
			e.offset = max(e.offset, 0)
			for range 1 + r.IntN(2) {
				switch r.IntN(3) {
				case 0:
					e.disk = uint16(r.number(uint32(e.disk)))
				case 1:
					e.packed = r.number(e.packed)
				case 2:
					e.offset = int(r.number(uint32(e.offset)))
				}
			}
		}
	}
	if r.IntN(8) == 0 {
		z.comment = []string{"comment", whole("comment.txt", "in the comment", 8), sigEnd, strings.Repeat("x", 1000)}[r.IntN(4)]
	}
	b := z.octets()
	switch r.IntN(12) {
	case 0:
		b = append([]byte("\x89PNG\r\n\x1a\n and more"), b...)
	case 1:
		b = append([]byte(whole("before.txt", "in front of it", 8)), b...)
	case 2:
		b = append(b, whole("behind.txt", "behind it", 0)...)
	case 3:
		b = append(b, "tail"...)
	case 4:
		b = b[:len(b)-r.IntN(len(b)/2)]
	}
	return b
}

// Whatever headers say, what Go reads is found, whatever is around it.
func TestRandomArchives(t *testing.T) {
	n := 4000
	if testing.Short() {
		n = 500
	}
	read := 0
	for i := range n {
		b := mutator{rand.New(rand.NewPCG(4, uint64(i)))}.archive()
		theirs := readGo(b)
		if len(theirs) == 0 {
			continue
		}
		f := file("a.zip", b)
		if !(Reader{}).Reads(f) {
			t.Fatalf("%d: not recognized: %q", i, b)
		}
		ours, _ := gather(f, 4)
		verdict := Reader{}.Read(f, func(container.Member) bool { return true })
		for _, content := range theirs {
			read++
			if !ours[content] {
				t.Fatalf("%d: %q is not found, which is %q: %q", i, content, verdict.State, b)
			}
		}
	}
	if read < n/4 {
		t.Errorf("Go has read %d contents only", read)
	}
}
