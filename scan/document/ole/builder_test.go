package ole

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"assay/scan"
	"assay/scan/container"
)

// A node is a storage or a stream of a compound file in the making.
type node struct {
	name     string
	class    string
	content  []byte
	children []*node
	folder   bool

	id, start uint32
}

// folder makes a storage.
func folder(name string, children ...*node) *node {
	return &node{name: name, children: children, folder: true}
}

// stream makes a stream.
func stream(name string, content []byte) *node { return &node{name: name, content: content} }

// of gives a storage a class.
func (n *node) of(class string) *node { n.class = class; return n }

// A builder writes a compound file; tests may break what it has made.
type builder struct {
	shift   uint
	entries []*node
	sectors []byte // behind the header
	fat     []uint32
	mini    []byte
	miniFAT []uint32
	dirAt   uint32
	fatAt   uint32
}

// build makes a compound file of version 3.
func build(children ...*node) []byte { return (&builder{shift: 9}).build(children...) }

// build makes a compound file.
func (b *builder) build(children ...*node) []byte {
	root := folder("Root Entry", children...)
	b.number(root)
	for _, n := range b.entries[1:] {
		b.place(n)
	}
	miniSize := len(b.mini)
	root.start = b.append(b.mini)
	miniFAT := b.append(numbers(b.miniFAT))
	b.dirAt = b.append(b.directory(root, miniSize))
	per := 1 << (b.shift - 2)
	count := 1
	for count*per < len(b.fat)+count {
		count++
	}
	b.fatAt = uint32(len(b.fat))
	for range count {
		b.fat = append(b.fat, 0xfffffffd)
	}
	table := numbers(b.fat)
	b.sectors = append(b.sectors, pad(table, 1<<b.shift, 0xff)...)
	return append(b.header(count, miniFAT), b.sectors...)
}

// header makes the header, which fills a sector.
func (b *builder) header(count int, miniFAT uint32) []byte {
	h := make([]byte, 1<<b.shift)
	copy(h, magic)
	le := binary.LittleEndian
	le.PutUint16(h[24:], 0x3e)
	le.PutUint16(h[26:], map[uint]uint16{9: 3, 12: 4}[b.shift])
	le.PutUint16(h[28:], 0xfffe)
	le.PutUint16(h[30:], uint16(b.shift))
	le.PutUint16(h[32:], 6)
	le.PutUint32(h[44:], uint32(count))
	le.PutUint32(h[48:], b.dirAt)
	le.PutUint32(h[56:], cutoff)
	le.PutUint32(h[60:], miniFAT)
	le.PutUint32(h[64:], uint32(len(b.miniFAT)*4+511)/512)
	le.PutUint32(h[68:], 0xfffffffe)
	for i := range 109 {
		n := uint32(0xffffffff)
		if i < count {
			n = b.fatAt + uint32(i)
		}
		le.PutUint32(h[76+4*i:], n)
	}
	return h
}

// number gives each node its place in the directory.
func (b *builder) number(n *node) {
	n.id = uint32(len(b.entries))
	b.entries = append(b.entries, n)
	for _, c := range n.children {
		b.number(c)
	}
}

// place puts the content of a stream into sectors.
func (b *builder) place(n *node) {
	switch {
	case n.folder || len(n.content) == 0:
		n.start = 0xfffffffe
	case len(n.content) >= cutoff:
		n.start = b.append(n.content)
	default:
		n.start = uint32(len(b.mini) / 64)
		b.mini = append(b.mini, pad(n.content, 64, 0)...)
		b.miniFAT = chainOf(b.miniFAT, len(b.mini)/64)
	}
}

// append puts octets into a chain of sectors and returns the first.
func (b *builder) append(content []byte) uint32 {
	if len(content) == 0 {
		return 0xfffffffe
	}
	first := uint32(len(b.fat))
	b.sectors = append(b.sectors, pad(content, 1<<b.shift, 0)...)
	b.fat = chainOf(b.fat, len(b.sectors)>>b.shift)
	return first
}

// chainOf extends a table to that length by one chain.
func chainOf(table []uint32, length int) []uint32 {
	for len(table) < length {
		table = append(table, uint32(len(table)+1))
	}
	table[length-1] = 0xfffffffe
	return table
}

// directory makes the entries; the tree of each storage is a list to the right.
func (b *builder) directory(root *node, miniSize int) []byte {
	out := make([]byte, 128*len(b.entries))
	le := binary.LittleEndian
	for i, n := range b.entries {
		e := out[128*i:]
		name := utf16.Encode([]rune(n.name))
		for j, u := range name {
			le.PutUint16(e[2*j:], u)
		}
		le.PutUint16(e[64:], uint16(2*len(name)+2))
		e[66], e[67] = kindStream, 1
		size := len(n.content)
		if n.folder {
			e[66], size = kindStorage, 0
		}
		if n == root {
			e[66], size = kindRoot, miniSize
		}
		for _, at := range []int{68, 72, 76} {
			le.PutUint32(e[at:], 0xffffffff)
		}
		copy(e[80:96], n.class)
		le.PutUint32(e[116:], n.start)
		le.PutUint64(e[120:], uint64(size))
	}
	for i, n := range b.entries {
		for j, c := range n.children {
			if j == 0 {
				le.PutUint32(out[128*i+76:], c.id)
			} else {
				le.PutUint32(out[128*int(n.children[j-1].id)+72:], c.id)
			}
		}
	}
	for len(out)%(1<<b.shift) != 0 {
		free := make([]byte, 128)
		for _, at := range []int{68, 72, 76} {
			le.PutUint32(free[at:], 0xffffffff)
		}
		out = append(out, free...)
	}
	return out
}

// numbers are 32-bit numbers as octets.
func numbers(n []uint32) []byte {
	var out []byte
	for _, v := range n {
		out = binary.LittleEndian.AppendUint32(out, v)
	}
	return out
}

// pad fills up to a multiple.
func pad(b []byte, to int, with byte) []byte {
	out := append([]byte(nil), b...)
	for len(out)%to != 0 {
		out = append(out, with)
	}
	return out
}

// wide is UTF-16.
func wide(s string) []byte { return utf16le(s) }

// le16 is a number.
func le16(n int) []byte { return binary.LittleEndian.AppendUint16(nil, uint16(n)) }

// join puts octets together.
func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// budget is one with the default limits.
func budget(l container.Limits) *container.Budget {
	return container.NewBudget(context.Background(), l, nil)
}

// look reads a file, and what comes out of it.
func look(t testing.TB, content []byte, passwords ...string) (container.Verdict, []container.Member) {
	t.Helper()
	f := &container.File{Name: "a.doc", Content: content, Passwords: passwords, Budget: budget(container.Limits{})}
	if !(Reader{}).Reads(f) {
		t.Fatal("not read")
	}
	var members []container.Member
	v := Reader{}.Read(f, func(m container.Member) bool { members = append(members, m); return true })
	for _, m := range members {
		if m.Content == nil && m.State == "" {
			t.Errorf("a member %q without content and state", m.Name)
		}
	}
	return v, members
}

// deep reads a file and everything in it, and returns what is told about all of it.
func deep(t testing.TB, content []byte, passwords ...string) (v container.Verdict, signs []container.Sign, links []container.Link) {
	t.Helper()
	v, members := look(t, content, passwords...)
	signs, links = v.Signs, v.Links
	for _, m := range members {
		signs = append(signs, m.Signs...)
		if !bytes.HasPrefix(m.Content, []byte(magic)) {
			continue
		}
		_, s, l := deep(t, m.Content, passwords...)
		signs, links = append(signs, s...), append(links, l...)
	}
	return v, signs, links
}

// traits are those of signs, in order and without repetitions.
func traits(signs []container.Sign) string {
	var out []string
	for _, s := range signs {
		out = append(out, string(s.Trait))
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), " ")
}

// want fails a test unless a verdict is as expected.
func want(t *testing.T, v container.Verdict, state scan.State, method, traitsWanted string) {
	t.Helper()
	if v.State != state || v.Method != method || traits(v.Signs) != traitsWanted {
		t.Errorf("%s %q %q, want %s %q %q\n%v", v.State, v.Method, traits(v.Signs), state, method, traitsWanted, v.Signs)
	}
}
