package disk

import (
	"encoding/binary"
	"slices"
	"strings"
	"unicode/utf16"

	"assay/scan"
)

// sector is the size of a logical sector of optical disks.
const sector = 2048

// isISO tells an image by its first volume descriptor (ECMA-119 8.1).
func isISO(b []byte) bool {
	return len(b) >= 17*sector && string(b[16*sector+1:16*sector+6]) == "CD001" && b[16*sector] <= 3
}

// A tree is one of the trees of folders of an image.
type tree struct {
	*run
	block   int64
	joliet  bool
	root    record
	visited map[int64]bool
	extents map[extent]bool
}

// readISO reads all trees of an ISO image.
func readISO(r *run) error {
	var trees []*tree
	for at := int64(16 * sector); at < 16*sector+64*sector; at += sector {
		d, whole := r.part(at, sector)
		if !whole || string(d[1:6]) != "CD001" || d[0] == 255 {
			break
		}
		if d[0] != 1 && d[0] != 2 {
			continue
		}
		t := &tree{run: r, block: int64(binary.LittleEndian.Uint16(d[128:])), visited: make(map[int64]bool), extents: make(map[extent]bool)}
		// Joliet 1.0, "SVD Escape Sequences": UCS-2 of level 1, 2 or 3.
		t.joliet = d[0] == 2 && d[88] == '%' && d[89] == '/' && (d[90] == '@' || d[90] == 'C' || d[90] == 'E')
		if t.block == 0 {
			t.block = sector
		}
		t.root = parseRecord(d[156:190])
		if trees = append(trees, t); t.joliet { // first: it has the names that people see
			slices.Reverse(trees)
		}
	}
	if len(trees) == 0 {
		return errBroken
	}
	for _, t := range trees {
		if err := t.folder("", t.root, 0); err != nil {
			return err
		}
	}
	for _, t := range trees[1:] {
		if !t.same(trees[0]) {
			r.sign(scan.Ambiguous, "trees of folders with different files")
		}
	}
	return nil
}

// same reports whether two trees lead to the same files.
func (t *tree) same(other *tree) bool {
	if len(t.extents) != len(other.extents) {
		return false
	}
	for e := range t.extents {
		if !other.extents[e] {
			return false
		}
	}
	return true
}

// A record is a directory record (ECMA-119 9.1).
type record struct {
	at, size int64 // in blocks, in octets
	extended int64 // blocks of an extended attribute record
	flags    byte
	name     string
	system   []byte // system use area
	differs  bool   // the numbers in the two byte orders are not the same
}

// parseRecord reads a record, whose length was checked to be at least 34.
func parseRecord(b []byte) record {
	rec := record{at: int64(binary.LittleEndian.Uint32(b[2:])), size: int64(binary.LittleEndian.Uint32(b[10:])), extended: int64(b[1]), flags: b[25]}
	rec.differs = binary.BigEndian.Uint32(b[6:]) != uint32(rec.at) || binary.BigEndian.Uint32(b[14:]) != uint32(rec.size)
	end := min(33+int(b[32]), len(b))
	rec.name = string(b[33:end])
	rec.system = b[min(len(b), (end+1)&^1):]
	return rec
}

// folder yields the files of a folder and of the folders in it.
func (t *tree) folder(path string, dir record, depth int) error {
	at := (dir.at + dir.extended) * t.block
	if t.visited[at] || depth > maxDepth {
		return nil
	}
	t.visited[at] = true
	b, whole := t.part(at, dir.size)
	if !whole {
		t.problem("cut off disk image")
	}
	var pending []extent
	for i := 0; i+34 <= len(b); {
		size := int(b[i])
		if size < 34 || i+size > len(b) { // records do not cross sectors
			i = (i/sector + 1) * sector
			continue
		}
		rec := parseRecord(b[i : i+size])
		i += size
		if err := t.file.Budget.Check(); err != nil {
			return err
		}
		if rec.name == "\x00" || rec.name == "\x01" {
			continue
		}
		if rec.differs {
			t.sign(scan.Ambiguous, "numbers that differ by byte order")
		}
		name := within(path, t.name(&rec))
		if rec.flags&2 != 0 {
			if err := t.count(name, rec, depth); err != nil {
				return err
			}
			continue
		}
		pending = append(pending, extent{(rec.at + rec.extended) * t.block, rec.size})
		if rec.flags&0x80 != 0 { // goes on in the next record
			continue
		}
		t.extents[pending[0]] = true
		if err := t.member(name, pending); err != nil {
			return err
		}
		pending = nil
	}
	return nil
}

// count counts a folder and enters it.
func (t *tree) count(name string, rec record, depth int) error {
	if err := t.file.Budget.Member(); err != nil {
		return err
	}
	return t.folder(name, rec, depth+1)
}

// name returns the name of a record: that of Rock Ridge, in UCS-2 for Joliet, or the short one without its version.
func (t *tree) name(rec *record) string {
	if t.joliet {
		units := make([]uint16, len(rec.name)/2)
		for i := range units {
			units[i] = uint16(rec.name[2*i])<<8 | uint16(rec.name[2*i+1])
		}
		return strings.TrimSuffix(string(utf16.Decode(units)), ";1")
	}
	if long := t.rockRidge(rec.system); long != "" {
		return long
	}
	name, _, _ := strings.Cut(rec.name, ";")
	return strings.TrimSuffix(name, ".")
}

// rockRidge returns the alternate name (IEEE P1282 4.1.4), which may go on in a continuation area (IEEE P1281 5.1).
func (t *tree) rockRidge(b []byte) string {
	var name strings.Builder
	for range 8 { // areas
		var next []byte
		for len(b) >= 4 && int(b[2]) >= 4 && int(b[2]) <= len(b) {
			switch entry := b[:b[2]]; {
			case string(b[:2]) == "NM" && len(entry) > 5 && entry[4]&6 == 0:
				name.Write(entry[5:])
			case string(b[:2]) == "CE" && len(entry) >= 28:
				at := int64(binary.LittleEndian.Uint32(entry[4:]))*t.block + int64(binary.LittleEndian.Uint32(entry[12:]))
				next, _ = t.part(at, int64(binary.LittleEndian.Uint32(entry[20:])))
			}
			b = b[b[2]:]
		}
		if len(next) == 0 || name.Len() > 1024 {
			break
		}
		b = next
	}
	return name.String()
}
