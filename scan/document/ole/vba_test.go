package ole

import (
	"encoding/binary"
	"strings"
	"testing"

	"assay/scan"
	"assay/scan/container"
)

// The examples of [MS-OVBA] 3.2.
func TestDecompressVBA(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"no compression": {"\x01\x19\xb0\x00abcdefgh\x00ijklmnop\x00qrstuv.", "abcdefghijklmnopqrstuv."},
		"normal compression": {"\x01\x2f\xb0\x00\x23\x61\x61\x61\x62\x63\x64\x65\x82\x66\x00\x70\x61\x67\x68\x69\x6a\x01\x38\x08\x61\x6b\x6c\x00\x30\x6d" +
			"\x6e\x6f\x70\x06\x71\x02\x70\x04\x10\x72\x73\x74\x75\x76\x10\x77\x78\x79\x7a\x00\x3c", "#aaabcdefaaaaghijaaaaaklaaamnopqaaaaaaaaaaaarstuvwxyzaaa"},
		"maximum compression": {"\x01\x03\xb0\x02\x61\x45\x00", strings.Repeat("a", 73)},
		"stored":              {"\x01\x03\x30abcd", "abcd"},
	} {
		got, err := decompressVBA([]byte(c.in), budget(container.Limits{}))
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for _, broken := range []string{"", "\x02", "\x01\x03\xb0\x02a\xff\xff", "\x01\x03\x00abc", "\x01\x01\xb0\x01\x00\x00"} {
		if _, err := decompressVBA([]byte(broken), budget(container.Limits{})); err == nil {
			t.Errorf("%q: no error", broken)
		}
	}
}

// compressVBA makes a container without repetitions.
func compressVBA(plain string) []byte {
	out := []byte{1}
	for len(plain) > 0 {
		part := plain[:min(len(plain), 3000)]
		plain = plain[len(part):]
		var body []byte
		for len(part) > 0 {
			n := min(8, len(part))
			body = append(append(body, 0), part[:n]...)
			part = part[n:]
		}
		out = append(append(out, le16(0xb000|(len(body)-1))...), body...)
	}
	return out
}

// project makes the storage of a VBA project: modules by name, and their source.
func project(modules ...string) *node {
	var list []byte
	add := func(id int, body []byte) {
		list = append(append(append(list, le16(id)...), numbers([]uint32{uint32(len(body))})...), body...)
	}
	add(0x0001, numbers([]uint32{1}))
	list = append(list, "\x09\x00\x04\x00\x00\x00\x01\x02\x03\x04\x05\x06"...) // a version, of which the size is wrong
	children := []*node{stream("_VBA_PROJECT", []byte("\xcc\x61"))}
	for i := 0; i+1 < len(modules); i += 2 {
		add(0x0019, []byte(modules[i]))
		add(0x0047, wide(modules[i]))
		add(0x001a, []byte(modules[i]))
		add(0x0032, wide(modules[i]))
		add(0x0031, binary.LittleEndian.AppendUint32(nil, 5))
		children = append(children, stream(modules[i], append([]byte("cache"), compressVBA(modules[i+1])...)))
	}
	return folder("VBA", append(children, stream("dir", compressVBA(string(list))))...)
}

func TestProject(t *testing.T) {
	const nothing = "Attribute VB_Name = \"ThisDocument\"\r\nAttribute VB_Base = \"x\"\r\n"
	for name, c := range map[string]struct {
		nodes  []*node
		detail string
	}{
		"starts by itself": {[]*node{folder("Macros", project("ThisDocument", nothing, "Modul1", nothing+"Private Sub  Document_Open ()\r\nSub Document_Open()\r\nShell 1\r\nEnd Sub\r\n"))},
			"VBA project with Modul1, starts by itself: Document_Open"},
		"without code":        {[]*node{folder("_VBA_PROJECT_CUR", project("ThisWorkbook", nothing))}, "VBA project"},
		"in an unusual place": {[]*node{folder("x", folder("y", project()))}, "VBA project"},
		"lower case":          {[]*node{folder("vba", stream("DIR", []byte("broken")))}, "VBA project"},
		"renamed":             {[]*node{folder("other", stream("_VBA_PROJECT", []byte("x")))}, "VBA project"},
		"broken compression":  {[]*node{folder("VBA", stream("dir", []byte("\x01\x00\x00")))}, "VBA project"},
		"without the module":  {[]*node{folder("VBA", project("a", "Sub x").children[2])}, "VBA project"},
		"of Excel 95":         {[]*node{folder("_VBA_PROJECT", stream("x", []byte("x")))}, "VBA project"},
	} {
		t.Run(name, func(t *testing.T) {
			v, _ := look(t, build(c.nodes...))
			want(t, v, scan.Inspected, "", "macros")
			if len(v.Signs) != 1 || v.Signs[0].Detail != c.detail {
				t.Errorf("%v", v.Signs)
			}
		})
	}
	v, _ := look(t, build(folder("VBA", stream("x", []byte("no project"))), stream("dir", []byte("x"))))
	want(t, v, scan.Inspected, "", "")
}
