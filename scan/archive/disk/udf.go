package disk

import (
	"encoding/binary"
	"errors"
	"unicode/utf16"
)

// isUDF tells an image by its volume recognition sequence (ECMA-167 2/9.1).
func isUDF(b []byte) bool {
	for at := 16 * sector; at+sector <= len(b) && at < 80*sector; at += sector {
		switch string(b[at+1 : at+6]) {
		case "NSR02", "NSR03":
			return true
		case "BEA01", "CD001", "BOOT2", "CDW02":
		default:
			return false
		}
	}
	return false
}

// A volume is a UDF volume.
type volume struct {
	*run
	sector  int64
	block   int64
	parts   map[uint16]int64 // where partitions begin, by number
	maps    []uint16         // numbers of partitions by reference
	root    address
	visited map[address]bool
}

// An address is a place in a partition (ECMA-167 4/7.1).
type address struct {
	block uint32
	part  uint16
}

// le16, le32 and le64 read numbers.
func le16(b []byte, at int) uint16 { return binary.LittleEndian.Uint16(b[at:]) }
func le32(b []byte, at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
func le64(b []byte, at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }

// readUDF reads a UDF image.
func readUDF(r *run) error {
	v := &volume{run: r, parts: make(map[uint16]int64), visited: make(map[address]bool)}
	if err := v.descriptors(); err != nil {
		return err
	}
	set := v.at(v.root, v.block)
	if len(set) < 512 || le16(set, 0) != 256 { // File Set Descriptor
		return errBroken
	}
	return v.folder("", address{le32(set, 404), le16(set, 408)}, 0)
}

// descriptors reads the volume descriptor sequence that an anchor leads to (ECMA-167 3/8.4.2).
func (v *volume) descriptors() error {
	for _, size := range []int64{2048, 512, 4096} {
		last := int64(len(v.b)) / size
		for _, place := range []int64{256, last - 1, last - 257, 512} {
			anchor, whole := v.part(place*size, 512)
			if !whole || le16(anchor, 0) != 2 || int64(le32(anchor, 12)) != place {
				continue
			}
			v.sector = size
			if v.sequence(int64(le32(anchor, 20)), int64(le32(anchor, 16))) == nil {
				return nil
			}
			if err := v.sequence(int64(le32(anchor, 28)), int64(le32(anchor, 24))); err != nil {
				return err
			}
			return nil
		}
	}
	return errBroken
}

// sequence reads the descriptors of one sequence.
func (v *volume) sequence(at, size int64) error {
	v.maps = nil
	found := false
	for end := at + min(size/v.sector, 64); at < end; at++ {
		d, whole := v.part(at*v.sector, 512)
		if !whole {
			break
		}
		switch le16(d, 0) {
		case 5: // Partition Descriptor
			v.parts[le16(d, 22)] = int64(le32(d, 188)) * v.sector
		case 6: // Logical Volume Descriptor
			if err := v.logical(d); err != nil {
				return err
			}
			found = true
		case 8: // Terminating Descriptor
			end = at
		}
	}
	if !found || len(v.parts) == 0 || len(v.maps) == 0 {
		return errBroken
	}
	return nil
}

// errMap is the error about kinds of partitions that are not read.
var errMap = errors.New("UDF with a virtual, sparable or metadata partition")

// logical reads a Logical Volume Descriptor (ECMA-167 3/10.6). Only partitions of type 1 are read: others are mapped by tables.
func (v *volume) logical(d []byte) error {
	v.block = int64(le32(d, 212))
	if v.block < 512 || v.block > 32<<10 {
		return errBroken
	}
	v.root = address{le32(d, 252), le16(d, 256)}
	table := d[440:min(512, 440+int(min(le32(d, 264), 72)))]
	for n := le32(d, 268); n > 0 && len(table) >= 6; n-- {
		if table[0] != 1 || table[1] != 6 {
			return errMap
		}
		v.maps = append(v.maps, le16(table, 4))
		table = table[6:]
	}
	return nil
}

// offset returns where an address is in the image, -1 for nowhere.
func (v *volume) offset(a address) int64 {
	if int(a.part) >= len(v.maps) {
		return -1
	}
	start, ok := v.parts[v.maps[a.part]]
	if !ok {
		return -1
	}
	return start + int64(a.block)*v.block
}

// at returns octets at an address, nil if they are not all there.
func (v *volume) at(a address, size int64) []byte {
	if b, whole := v.part(v.offset(a), size); whole {
		return b
	}
	return nil
}

// A node is a file or folder (ECMA-167 4/14.9 and 4/14.17).
type node struct {
	kind    byte
	size    int64
	extents []extent
}

// node reads a File Entry or Extended File Entry.
func (v *volume) node(a address) (n node, err error) {
	b := v.at(a, v.block)
	if len(b) < 216 {
		return n, errBroken
	}
	start, attributes := 176, le32(b, 168)
	allocation := le32(b, 172)
	switch le16(b, 0) {
	case 261:
	case 266:
		start, attributes, allocation = 216, le32(b, 208), le32(b, 212)
	default:
		return n, errBroken
	}
	n.kind, n.size = b[27], int64(min(le64(b, 56), 1<<62))
	from := int64(start) + int64(attributes)
	if from+int64(allocation) > int64(len(b)) {
		return n, errBroken
	}
	table := b[from : from+int64(allocation)]
	how := le16(b, 34) & 7
	if how == 3 { // the content itself
		n.extents = []extent{{v.offset(a) + from, min(n.size, int64(allocation))}}
		return n, nil
	}
	n.extents, err = v.allocated(table, a.part, how)
	n.cut()
	return n, err
}

// cut makes the extents as long as the content.
func (n *node) cut() {
	left := n.size
	for i := range n.extents {
		n.extents[i].size = min(n.extents[i].size, left)
		left -= n.extents[i].size
	}
}

// allocated reads allocation descriptors, short or long ones (ECMA-167 4/14.14).
func (v *volume) allocated(table []byte, part, how uint16) (extents []extent, err error) {
	width := map[uint16]int{0: 8, 1: 16}[how]
	if width == 0 {
		return nil, errBroken
	}
	for areas := 0; len(table) >= width; {
		if err := v.file.Budget.Check(); err != nil {
			return nil, err
		}
		size, a := le32(table, 0), address{le32(table, 4), part}
		if width == 16 {
			a.part = le16(table, 8)
		}
		table = table[width:]
		switch kind := size >> 30; {
		case size&(1<<30-1) == 0:
			return extents, nil
		case kind == 3: // the table goes on there
			next := v.at(a, v.block)
			if areas++; len(next) < 24 || le16(next, 0) != 258 || areas > 256 {
				return nil, errBroken
			}
			table = next[24:min(len(next), 24+int(min(le32(next, 20), 32<<10)))]
		case kind == 0:
			extents = append(extents, extent{v.offset(a), int64(size)})
		default:
			return nil, errors.New("UDF file with holes")
		}
	}
	return extents, nil
}

// folder yields the files of a folder and of the folders in it.
func (v *volume) folder(path string, a address, depth int) error {
	if v.visited[a] || depth > maxDepth {
		return nil
	}
	v.visited[a] = true
	n, err := v.node(a)
	if err != nil {
		return err
	}
	b, whole, err := v.content(n.extents)
	if err != nil {
		return err
	}
	if !whole {
		v.problem("cut off disk image")
	}
	for len(b) >= 38 { // File Identifier Descriptor (ECMA-167 4/14.4)
		if le16(b, 0) != 257 {
			return errBroken
		}
		nameAt := 38 + int(le16(b, 36))
		end := nameAt + int(b[19])
		if end > len(b) {
			return errBroken
		}
		flags, name, icb := b[18], dstring(b[nameAt:end]), address{le32(b, 24), le16(b, 28)}
		b = b[min(len(b), (end+3)&^3):]
		if flags&(4|8) != 0 { // deleted, parent
			continue
		}
		if err := v.entry(within(path, name), icb, flags&2 != 0, depth); err != nil {
			return err
		}
	}
	return nil
}

// entry yields a file or enters a folder. A broken one does not hide the others.
func (v *volume) entry(name string, icb address, folder bool, depth int) error {
	if folder {
		if err := v.file.Budget.Member(); err != nil {
			return err
		}
		err := v.folder(name, icb, depth+1)
		if errors.Is(err, errBroken) {
			v.problem(err.Error())
			return nil
		}
		return err
	}
	n, err := v.node(icb)
	if errors.Is(err, errBroken) {
		v.problem(err.Error())
		return nil
	}
	if err != nil {
		return err
	}
	return v.member(name, n.extents)
}

// dstring reads a name: in octets or in units of 16 bits (UDF 2.1.1).
func dstring(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	var units []uint16
	if b[0] == 16 {
		for i := 1; i+1 < len(b); i += 2 {
			units = append(units, binary.BigEndian.Uint16(b[i:]))
		}
	} else {
		for _, c := range b[1:] {
			units = append(units, uint16(c))
		}
	}
	return string(utf16.Decode(units))
}
