package ole

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"assay/scan"
	"assay/scan/container"
)

func TestReads(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		want    bool
	}{
		"compound file":  {magic + "more", true},
		"magic alone":    {magic, true},
		"cut off":        {magic[:7], false},
		"empty":          {"", false},
		"behind a blank": {" " + magic, false},
	} {
		if got := (Reader{}).Reads(&container.File{Content: []byte(c.content)}); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Streams come out as they were put in: small and large ones, in storages, with sectors of both sizes.
func TestStreams(t *testing.T) {
	for _, shift := range []uint{9, 12} {
		contents := map[string][]byte{}
		var nodes []*node
		for _, size := range []int{0, 1, 63, 64, 65, 4095, 4096, 4097, 100_000} {
			name := fmt.Sprint("stream ", size)
			contents[name] = bytes.Repeat([]byte(name), size/len(name)+1)[:size]
			nodes = append(nodes, stream(name, contents[name]))
		}
		file := (&builder{shift: shift}).build(folder("a", folder("b", nodes...)))
		c, err := openCompound(file, budget(container.Limits{}))
		if err != nil {
			t.Fatal(err)
		}
		b := c.root.child("A").child("B")
		for name, content := range contents {
			got, err := c.stream(b.child(name))
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("sectors of %d: %s: %d octets, %v", 1<<shift, name, len(got), err)
			}
		}
		if c.damage != "" || c.ambiguous != nil {
			t.Errorf("sectors of %d: %q %q", 1<<shift, c.damage, c.ambiguous)
		}
	}
}

// A stream that lies in pieces is put together, and can be replaced where it lies.
func TestReplace(t *testing.T) {
	small, large := bytes.Repeat([]byte("small"), 100), bytes.Repeat([]byte("large"), 2000)
	file := build(stream("x", []byte("x")), stream("small", small), stream("large", large), stream("y", []byte("y")))
	c, err := openCompound(file, budget(container.Limits{}))
	if err != nil {
		t.Fatal(err)
	}
	changed := append([]byte(nil), file...)
	for _, name := range []string{"small", "large"} {
		e := c.root.child(name)
		if err := c.replace(changed, e, bytes.Repeat([]byte("z"), int(e.size))); err != nil {
			t.Fatal(err)
		}
	}
	c, err = openCompound(changed, budget(container.Limits{}))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"x": "x", "y": "y", "small": string(bytes.Repeat([]byte("z"), 500))} {
		if got, _ := c.stream(c.root.child(name)); string(got) != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// What is broken is never called inspected, and what can be read of it is read all the same.
func TestBroken(t *testing.T) {
	text := bytes.Repeat([]byte("text "), 2000)
	le := binary.LittleEndian
	for name, breakIt := range map[string]func(b *builder, file []byte) []byte{
		"cut off": func(_ *builder, file []byte) []byte { return file[:len(file)/2] },
		"directory leads to itself": func(b *builder, file []byte) []byte {
			le.PutUint32(file[512*(b.dirAt+1)+128+72:], 1)
			return file
		},
		"directory leads out": func(b *builder, file []byte) []byte {
			le.PutUint32(file[512*(b.dirAt+1)+128+72:], 77)
			return file
		},
		"stream leads to itself": func(b *builder, file []byte) []byte {
			le.PutUint32(file[512*(b.fatAt+1):], 0)
			return file
		},
		"stream leads out": func(b *builder, file []byte) []byte {
			le.PutUint32(file[512*(b.fatAt+1):], 100_000)
			return file
		},
		"stream longer than the file": func(b *builder, file []byte) []byte {
			le.PutUint32(file[512*(b.dirAt+1)+128+120:], 0x7fffffff)
			return file
		},
		"table leads out": func(_ *builder, file []byte) []byte {
			le.PutUint32(file[76:], 100_000)
			return file
		},
		"table of tables leads to itself": func(b *builder, file []byte) []byte {
			for i := range 109 {
				le.PutUint32(file[76+4*i:], 0xffffffff)
			}
			le.PutUint32(file[68:], b.fatAt)
			return file
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := &builder{shift: 9}
			file := b.build(stream("a", text), stream("b", text), stream("c", []byte("tiny")))
			v, _ := look(t, breakIt(b, file))
			if v.State != scan.Uninspectable || v.Method == "" || traits(v.Signs) != string(scan.Damaged) {
				t.Errorf("%s %q %v", v.State, v.Method, v.Signs)
			}
		})
	}
}

// Programs differ in which of two streams of one name they take, and in where the border of small streams is.
func TestAmbiguous(t *testing.T) {
	v, _ := look(t, build(stream("a", []byte("1")), stream("A", []byte("2"))))
	want(t, v, scan.Uninspectable, "two streams of the name A", "ambiguous")
	file := build(stream("a", []byte("1")))
	binary.LittleEndian.PutUint32(file[56:], 512)
	v, _ = look(t, file)
	want(t, v, scan.Uninspectable, "the header moves the border of small streams", "ambiguous")
}

// Many streams in one place cost what they pretend to be, and no more than the limit.
func TestSharedSectors(t *testing.T) {
	big := &node{name: "big", content: bytes.Repeat([]byte("MZ text"), 1<<20)}
	nodes := []*node{big}
	for i := range 500 {
		nodes = append(nodes, stream(fmt.Sprint("s", i), make([]byte, 10)))
	}
	b := &builder{shift: 12}
	file := b.build(nodes...)
	for i := range 500 {
		e := file[4096*int(b.dirAt+1)+128*(i+2):]
		binary.LittleEndian.PutUint32(e[116:], big.start)
		binary.LittleEndian.PutUint32(e[120:], uint32(len(big.content)))
	}
	f := &container.File{Content: file, Budget: budget(container.Limits{})}
	v := Reader{}.Read(f, func(container.Member) bool { return true })
	if v.State != scan.Uninspectable || f.Budget.Over() == nil || f.Budget.Over().Limit != "octets" {
		t.Errorf("%s %q %v", v.State, v.Method, f.Budget.Over())
	}
}

// Storages in storages, as many as fit.
func TestDeepStorages(t *testing.T) {
	n := folder("end", stream("evil", append([]byte("%PDF-1.4\n"), make([]byte, 100)...)))
	for range 5000 {
		n = folder("s", n)
	}
	v, members := look(t, build(n))
	want(t, v, scan.Inspected, "", "")
	if len(members) != 1 || len(members[0].Name) > 200 {
		t.Errorf("%d members", len(members))
	}
}

// Nothing more is done once nobody wants it.
func TestStop(t *testing.T) {
	pdf := []byte("%PDF-1.4\n1 0 obj")
	file := build(stream("a", pdf), stream("b", pdf))
	calls := 0
	v := Reader{}.Read(&container.File{Content: file, Budget: budget(container.Limits{})}, func(container.Member) bool { calls++; return false })
	if calls != 1 || v.State == scan.Inspected {
		t.Errorf("%d calls, %s", calls, v.State)
	}
}

func TestNoCompound(t *testing.T) {
	for _, size := range []int{8, 100, 511, 512} {
		file := make([]byte, size)
		copy(file, magic)
		if _, err := openCompound(file, budget(container.Limits{})); !errors.Is(err, errNoCompound) {
			t.Errorf("%d octets: %v", size, err)
		}
		v, _ := look(t, file)
		want(t, v, scan.Uninspectable, errNoCompound.Error(), "damaged")
	}
}
