package disk

import (
	"math/bits"
	"strings"
	"unicode/utf16"

	"assay/scan"
)

// A fat is a file system of the FAT family (FAT: General Overview of On-Disk Format 1.03).
type fat struct {
	*run
	table    []byte
	width    int   // bits of an entry of the table
	data     int64 // where cluster 2 is
	cluster  int64 // octets
	clusters uint32
	rootAt   int64 // of FAT12 and FAT16
	rootSize int64
	root     uint32 // cluster of the root folder of FAT32
	visited  map[uint32]bool
}

// isFAT looks at the fields of the boot sector that have few possible values.
func isFAT(b []byte) bool { return parseFAT(b) != nil }

// parseFAT reads the boot sector, nil if it is none.
func parseFAT(b []byte) *fat {
	if len(b) < 1024 || b[510] != 0x55 || b[511] != 0xaa || b[0] != 0xeb && b[0] != 0xe9 {
		return nil
	}
	size, perCluster := int64(le16(b, 11)), int64(b[13])
	reserved, tables := int64(le16(b, 14)), int64(b[16])
	if size < 512 || size > 4096 || bits.OnesCount64(uint64(size)) != 1 || bits.OnesCount64(uint64(perCluster)) != 1 ||
		reserved == 0 || tables == 0 || tables > 4 || b[21] < 0xf0 {
		return nil
	}
	length, total := int64(le16(b, 22)), int64(le16(b, 19))
	wide := length == 0
	if wide {
		length = int64(le32(b, 36))
	}
	if total == 0 {
		total = int64(le32(b, 32))
	}
	f := &fat{cluster: size * perCluster, rootAt: (reserved + tables*length) * size, rootSize: int64(le16(b, 17)) * 32, visited: make(map[uint32]bool)}
	f.data = f.rootAt + (f.rootSize+size-1)/size*size
	count := (total*size - f.data) / f.cluster
	if length == 0 || count <= 0 || count > 1<<28 {
		return nil
	}
	f.clusters, f.width = uint32(count), 12
	switch {
	case wide:
		f.width, f.root = 32, le32(b, 44)
	case count >= 4085:
		f.width = 16
	}
	start := min(reserved*size, int64(len(b)))
	f.table = b[start:min(start+length*size, int64(len(b)))]
	return f
}

// readFAT reads a FAT file system.
func readFAT(r *run) error {
	f := parseFAT(r.b)
	f.run = r
	if f.width == 32 {
		return f.folder("", f.root, 0)
	}
	b, whole := r.part(f.rootAt, f.rootSize)
	if !whole {
		r.problem("cut off disk image")
	}
	return f.entries("", b, 0)
}

// next returns the cluster that follows, 0 at the end.
func (f *fat) next(c uint32) uint32 {
	at := int(c) * f.width / 8
	if at+(f.width+7)/8 > len(f.table) {
		return 0
	}
	var v uint32
	switch f.width {
	case 12:
		v = uint32(le16(f.table, at)) >> (c & 1 * 4) & 0xfff
	case 16:
		v = uint32(le16(f.table, at))
	default:
		v = le32(f.table, at) & 0x0fffffff
	}
	if v < 2 || v >= f.clusters+2 {
		return 0
	}
	return v
}

// chain returns the extents of a file of a size, or of all its clusters if the size is negative. Short says that it ends early.
func (f *fat) chain(c uint32, size int64) (extents []extent, short bool, err error) {
	left := size
	for n := uint32(0); c >= 2 && c < f.clusters+2 && left != 0; n++ {
		if err := f.file.Budget.Check(); err != nil {
			return nil, false, err
		}
		if n > f.clusters { // a circle
			return nil, true, nil
		}
		take := f.cluster
		if size >= 0 {
			take = min(take, left)
			left -= take
		}
		extents = append(extents, extent{f.data + int64(c-2)*f.cluster, take})
		c = f.next(c)
	}
	return join(extents), left > 0, nil
}

// folder yields the files of a folder and of the folders in it.
func (f *fat) folder(path string, c uint32, depth int) error {
	if f.visited[c] || depth > maxDepth {
		return nil
	}
	f.visited[c] = true
	extents, _, err := f.chain(c, -1)
	if err != nil {
		return err
	}
	b, _, err := f.content(extents)
	if err != nil {
		return err
	}
	return f.entries(path, b, depth)
}

// entries reads the entries of a folder. Long names stand before the entry, last part first.
func (f *fat) entries(path string, b []byte, depth int) error {
	long := ""
	for ; len(b) >= 32 && b[0] != 0; b = b[32:] {
		if err := f.file.Budget.Check(); err != nil {
			return err
		}
		switch attributes := b[11]; {
		case b[0] == 0xe5:
			long = ""
		case attributes&0x3f == 0x0f:
			if b[0]&0x40 != 0 {
				long = ""
			}
			if len(long) < 2048 {
				long = longPart(b) + long
			}
		case attributes&8 != 0, b[0] == '.':
			long = ""
		default:
			name := long
			if name == "" {
				name = shortName(b)
			}
			long = ""
			if err := f.entry(within(path, name), b, depth); err != nil {
				return err
			}
		}
	}
	return nil
}

// entry yields a file or enters a folder.
func (f *fat) entry(name string, b []byte, depth int) error {
	c, size := uint32(le16(b, 26)), int64(le32(b, 28))
	if f.width == 32 {
		c |= uint32(le16(b, 20)) << 16
	}
	if b[11]&0x10 != 0 {
		if err := f.file.Budget.Member(); err != nil {
			return err
		}
		return f.folder(name, c, depth+1)
	}
	extents, short, err := f.chain(c, size)
	if err != nil {
		return err
	}
	if short {
		f.sign(scan.Damaged, "a file with fewer clusters than its size")
	}
	return f.member(name, extents)
}

// longPart returns the 13 characters of one part of a long name.
func longPart(b []byte) string {
	var units []uint16
	for _, at := range [13]int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30} {
		u := le16(b, at)
		if u == 0 || u == 0xffff {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}

// shortName returns a name of eight and three characters; bits say which part is in lower case.
func shortName(b []byte) string {
	base, ext := strings.TrimRight(string(b[:8]), " "), strings.TrimRight(string(b[8:11]), " ")
	if b[12]&8 != 0 {
		base = strings.ToLower(base)
	}
	if b[12]&16 != 0 {
		ext = strings.ToLower(ext)
	}
	if ext == "" {
		return base
	}
	return base + "." + ext
}
