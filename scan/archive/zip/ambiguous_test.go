package zip

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"assay/scan"
)

// marker is what hides in the archives of these tests. It must not stand in this file in one piece.
const marker = "THIS-IS-" + "NO-VIRUS-BUT-" + "A-MARKER-TO-BE-FOUND"

// payload is a content with the marker in it, too short to be compressed out of recognition by accident.
const payload = marker + "\n" + "0123456789" + "abcdefghijklmnopqrstuvwxyz"

// A variant is an archive in which the marker can be seen by one program or another.
type variant struct {
	name string
	make func() []byte
	// closed says that the marker needs not come to light: then the archive must not count as inspected.
	closed bool
	// plain says that programs agree about what is in it.
	plain bool
}

// change returns an archive of one member whose headers are changed.
func change(method uint16, f func(p *piece)) func() []byte {
	return func() []byte {
		p := member("a.txt", payload, method)
		f(&p)
		return built{pieces: []piece{p}}.octets()
	}
}

// beside returns an archive of a harmless member and one with the marker, changed.
func beside(f func(z *built)) func() []byte {
	return func() []byte {
		z := built{pieces: []piece{member("first.txt", "harmless", 0), member("a.txt", payload, methodDeflate)}}
		f(&z)
		return z.octets()
	}
}

func u32(v int) string { return string(binary.LittleEndian.AppendUint32(nil, uint32(v))) }

func u64(v int) string { return string(binary.LittleEndian.AppendUint64(nil, uint64(v))) }

// extra writes an extra field.
func extra(id uint16, data string) string {
	b := binary.LittleEndian.AppendUint16(nil, id)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(data)))
	return string(b) + data
}

// whole returns an archive of one member as a string.
func whole(name, content string, method uint16) string {
	return string(built{pieces: []piece{member(name, content, method)}}.octets())
}

// differences are those of the two headers of one member.
var differences = []variant{
	{name: "method local stored", make: change(8, func(p *piece) { p.local.method = 0 })},
	{name: "method central stored", make: change(8, func(p *piece) { p.entries[0].method = 0 })},
	{name: "method local deflate", make: change(0, func(p *piece) { p.local.method = 8 })},
	{name: "method central deflate", make: change(0, func(p *piece) { p.entries[0].method = 8 })},
	{name: "method local nobody's", make: change(8, func(p *piece) { p.local.method = 4711 })},
	{name: "method central nobody's", make: change(8, func(p *piece) { p.entries[0].method = 4711 })},
	{name: "method nobody's, stored", make: change(0, func(p *piece) { p.local.method, p.entries[0].method = 4711, 4711 })},
	{name: "method nobody's, deflate", make: change(8, func(p *piece) { p.local.method, p.entries[0].method = 4711, 4711 })},
	{name: "method PPMd in one", make: change(8, func(p *piece) { p.entries[0].method = 98 })},
	{name: "marked deflate, stored", make: change(0, func(p *piece) { p.local.method, p.entries[0].method = 8, 8 })},
	{name: "marked bzip2, stored", make: change(0, func(p *piece) { p.local.method, p.entries[0].method = 12, 12 })},
	{name: "packed size local short, stored", make: change(0, func(p *piece) { p.local.packed = 5 })},
	{name: "packed size central short, stored", make: change(0, func(p *piece) { p.entries[0].packed = 5 })},
	{name: "packed size both short, stored", make: change(0, func(p *piece) { p.local.packed, p.entries[0].packed = 5, 5 })},
	{name: "packed size both zero, stored", make: change(0, func(p *piece) { p.local.packed, p.entries[0].packed = 0, 0 })},
	{name: "packed size local short, deflate", make: change(8, func(p *piece) { p.local.packed = 5 })},
	{name: "packed size central short, deflate", make: change(8, func(p *piece) { p.entries[0].packed = 5 })},
	{name: "packed size both short, deflate", make: change(8, func(p *piece) { p.local.packed, p.entries[0].packed = 5, 5 })},
	{name: "packed size both zero, deflate", make: change(8, func(p *piece) { p.local.packed, p.entries[0].packed = 0, 0 })},
	{name: "packed size local huge", make: change(8, func(p *piece) { p.local.packed = 1 << 30 })},
	{name: "packed size central huge", make: change(8, func(p *piece) { p.entries[0].packed = 1 << 30 })},
	{name: "packed size both huge", make: change(8, func(p *piece) { p.local.packed, p.entries[0].packed = 1<<31, 1<<31 })},
	{name: "packed size full without ZIP64", make: change(8, func(p *piece) { p.local.packed, p.entries[0].packed = 1<<32-1, 1<<32-1 })},
	{name: "size local short", make: change(0, func(p *piece) { p.local.size = 3 })},
	{name: "size central short", make: change(0, func(p *piece) { p.entries[0].size = 3 })},
	{name: "size both short", make: change(8, func(p *piece) { p.local.size, p.entries[0].size = 3, 3 })},
	{name: "size both zero", make: change(8, func(p *piece) { p.local.size, p.entries[0].size = 0, 0 })},
	{name: "size both huge", make: change(8, func(p *piece) { p.local.size, p.entries[0].size = 1<<31, 1<<31 })},
	{name: "crc local wrong", plain: true, make: change(8, func(p *piece) { p.local.crc++ })},
	{name: "crc central wrong", make: change(8, func(p *piece) { p.entries[0].crc++ })},
	{name: "crc both wrong", make: change(8, func(p *piece) { p.local.crc, p.entries[0].crc = 1, 2 })},
	{name: "name local", make: change(8, func(p *piece) { p.local.name = "a.exe" })},
	{name: "name central", make: change(8, func(p *piece) { p.entries[0].name = "harmless.txt" })},
	{name: "name local empty", make: change(8, func(p *piece) { p.local.name = "" })},
	{name: "name both empty", plain: true, make: change(8, func(p *piece) { p.local.name, p.entries[0].name = "", "" })},
	{name: "name central of a folder", make: change(8, func(p *piece) { p.entries[0].name = "a/" })},
	{name: "name of a folder, size zero", make: change(8, func(p *piece) {
		p.local.name, p.entries[0].name, p.local.size, p.entries[0].size = "a/", "a/", 0, 0
	})},
	{name: "name with NUL", plain: true, make: change(8, func(p *piece) { p.local.name, p.entries[0].name = "a.exe\x00.txt", "a.exe\x00.txt" })},
	{name: "flag encrypted local", make: change(8, func(p *piece) { p.local.flags = 1 })},
	{name: "flag encrypted central", make: change(8, func(p *piece) { p.entries[0].flags = 1 })},
	{name: "flag encrypted both", make: change(8, func(p *piece) { p.local.flags, p.entries[0].flags = 1, 1 })},
	{name: "flag encrypted both, stored", make: change(0, func(p *piece) { p.local.flags, p.entries[0].flags = 1, 1 })},
	{name: "flag strong local", make: change(8, func(p *piece) { p.local.flags = 0x41 })},
	{name: "flag masked both", make: change(8, func(p *piece) { p.local.flags, p.entries[0].flags = 0x2000, 0x2000 })},
	{name: "flag descriptor without one", plain: true, make: change(8, func(p *piece) { p.local.flags, p.entries[0].flags = 8, 8 })},
	{name: "flag descriptor central only", plain: true, make: change(8, func(p *piece) { p.entries[0].flags = 8 })},
	{name: "method 99 local", make: change(8, func(p *piece) { p.local.method = 99 })},
	{name: "method 99 central", make: change(8, func(p *piece) { p.entries[0].method = 99 })},
	{name: "signature of the local header spoilt", make: change(8, func(p *piece) { p.local.sig = "PK\x03\x05" })},
	{name: "local name longer than the file", closed: true, make: func() []byte {
		b := change(8, func(*piece) {})()
		b[27] = 0xff
		return b
	}},
	{name: "local extra field covers the content", closed: true, make: change(0, func(p *piece) { p.local.extra, p.data = extra(0x4242, p.data), "" })},
	{name: "local name covers the content", make: change(0, func(p *piece) { p.local.name, p.data = p.local.name+p.data, "" })},
	{name: "extra field malformed", plain: true, make: change(8, func(p *piece) { p.local.extra, p.entries[0].extra = "\x01\x00\xff\xff", "\x99\x01\x00" })},
	{name: "ZIP64 sizes in the directory", make: change(8, func(p *piece) {
		e := &p.entries[0]
		e.extra = extra(extraZip64, u64(int(e.size))+u64(int(e.packed)))
		e.size, e.packed = 1<<32-1, 1<<32-1
	}), plain: true},
	{name: "ZIP64 sizes lie in the directory", make: change(0, func(p *piece) {
		e := &p.entries[0]
		e.extra = extra(extraZip64, u64(3)+u64(3))
		e.size, e.packed = 1<<32-1, 1<<32-1
	})},
	{name: "ZIP64 sizes lie in the local header", make: change(0, func(p *piece) {
		p.local.extra = extra(extraZip64, u64(3)+u64(3))
		p.local.size, p.local.packed = 1<<32-1, 1<<32-1
	})},
	{name: "ZIP64 sizes overflow", make: change(8, func(p *piece) {
		p.entries[0].extra = extra(extraZip64, strings.Repeat("\xff", 16))
		p.entries[0].size, p.entries[0].packed = 1<<32-1, 1<<32-1
	})},
	{name: "ZIP64 sizes first of two fields", make: change(0, func(p *piece) {
		e := &p.entries[0]
		e.extra = extra(extraZip64, u64(3)+u64(3)) + extra(extraZip64, u64(int(e.size))+u64(int(e.packed)))
		e.size, e.packed = 1<<32-1, 1<<32-1
	})},
	{name: "Unicode path with another name", make: change(8, func(p *piece) {
		field := "\x01" + u32(int(crc32.ChecksumIEEE([]byte("a.txt")))) + "a.exe"
		p.local.extra, p.entries[0].extra = extra(extraUnicode, field), extra(extraUnicode, field)
	})},
}

// arrangements are those of several members, directories and ends.
var arrangements = []variant{
	{name: "not in the directory", make: beside(func(z *built) { z.pieces[1].entries = nil })},
	{name: "not in the directory, first", make: beside(func(z *built) {
		z.pieces[0], z.pieces[1] = z.pieces[1], z.pieces[0]
		z.pieces[0].entries = nil
	})},
	{name: "garbage between members", make: beside(func(z *built) { z.pieces[1].before = "garbage PK garbage" }), plain: true},
	{name: "garbage before, not in the directory", make: beside(func(z *built) { z.pieces[1].before, z.pieces[1].entries = "garbage", nil })},
	{name: "entry twice", make: beside(func(z *built) { z.pieces[1].entries = append(z.pieces[1].entries, z.pieces[1].entries[0]) })},
	{name: "entry twice, other name", make: beside(func(z *built) {
		e := z.pieces[1].entries[0]
		e.name = "b.txt"
		z.pieces[1].entries = append(z.pieces[1].entries, e)
	})},
	{name: "both entries at the first member", make: beside(func(z *built) { z.pieces[1].entries[0].offset = 0 })},
	{name: "both entries at the second member", make: beside(func(z *built) {
		z.pieces[0].entries[0].offset = len(z.pieces[0].local.local()) + len(z.pieces[0].data)
	})},
	{name: "entries exchanged", make: beside(func(z *built) {
		z.pieces[0].entries[0].offset = len(z.pieces[0].local.local()) + len(z.pieces[0].data)
		z.pieces[1].entries[0].offset = 0
	})},
	{name: "offset beyond the file", make: beside(func(z *built) { z.pieces[1].entries[0].offset = 1 << 30 })},
	{name: "same name", make: beside(func(z *built) { z.pieces[1].local.name, z.pieces[1].entries[0].name = "first.txt", "first.txt" })},
	{name: "same place", make: beside(func(z *built) {
		z.pieces[1].local.name, z.pieces[1].entries[0].name = `x\..\first.txt`, `x\..\first.txt`
	})},
	{name: "number of entries less", make: beside(func(z *built) { z.end = func(e *record) { e.disk = 1 } })},
	{name: "number of entries zero", make: beside(func(z *built) { z.end = func(e *record) { e.disk = 0 } })},
	{name: "size of the directory less", make: beside(func(z *built) { z.end = func(e *record) { e.packed = 55 } })},
	{name: "size of the directory zero", make: beside(func(z *built) { z.end = func(e *record) { e.packed = 0 } })},
	{name: "directory empty", make: beside(func(z *built) { z.end = func(e *record) { e.packed, e.disk, e.offset = 0, 0, 0 } })},
	{name: "directory at the second entry", make: beside(func(z *built) {
		z.pieces[0], z.pieces[1] = z.pieces[1], z.pieces[0]
		z.end = func(e *record) {
			skip := centralLen + len("a.txt")
			e.offset, e.packed, e.disk = e.offset+skip, e.packed-uint32(skip), 1
		}
	})},
	{name: "directory elsewhere", make: beside(func(z *built) { z.end = func(e *record) { e.offset = 7 } })},
	{name: "offset of the directory full", make: beside(func(z *built) { z.end = func(e *record) { e.offset = 1<<32 - 1 } })},
	{name: "no end", make: beside(func(z *built) { z.noEnd = true })},
	{name: "no directory", make: beside(func(z *built) {
		z.pieces[0].entries, z.pieces[1].entries, z.noEnd = nil, nil, true
	})},
	{name: "no directory, descriptors, no sizes", make: beside(func(z *built) {
		for i := range z.pieces {
			l := z.pieces[i].local
			z.pieces[i].behind = sigDescr + u32(int(l.crc)) + u32(int(l.packed)) + u32(int(l.size))
			l.flags, l.crc, l.packed, l.size = 8, 0, 0, 0
			z.pieces[i].entries = nil
		}
		z.noEnd = true
	})},
	{name: "no directory, no sizes, no descriptors", make: beside(func(z *built) {
		for i := range z.pieces {
			l := z.pieces[i].local
			l.flags, l.crc, l.packed, l.size = 8, 0, 0, 0
			z.pieces[i].entries = nil
		}
		z.noEnd = true
	})},
	{name: "stored with a descriptor behind what the directory says", make: beside(func(z *built) {
		p := member("a.txt", payload, 0)
		l := p.local
		p.behind = sigDescr + u32(int(l.crc)) + u32(int(l.packed)) + u32(int(l.size))
		l.flags, l.crc, l.packed, l.size = 8, 0, 0, 0
		p.entries[0].flags, p.entries[0].packed, p.entries[0].size = 8, 4, 4
		z.pieces[1] = p
	})},
	{name: "prefix", make: func() []byte { return []byte("#!/bin/sh\nexit\n" + whole("a.txt", payload, 8)) }},
	{name: "prefix and a tail", make: func() []byte { return []byte("#!/bin/sh\nexit\n" + whole("a.txt", payload, 8) + "tail") }},
	{name: "prefix, no directory", plain: true, make: func() []byte {
		p := member("a.txt", payload, 8)
		return []byte("prefix" + string(p.local.local()) + p.data)
	}},
	{name: "behind a picture", make: func() []byte { return []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR" + whole("a.txt", payload, 0)) }},
	{name: "tail", make: func() []byte { return []byte(whole("a.txt", payload, 8) + strings.Repeat("\x00", 70000)) }, plain: true},
	{name: "two archives", make: func() []byte { return []byte(whole("a.txt", payload, 8) + whole("b.txt", "harmless", 8)) }},
	{name: "two archives, the other first", make: func() []byte { return []byte(whole("b.txt", "harmless", 8) + whole("a.txt", payload, 8)) }},
	{name: "archive in the comment", make: func() []byte {
		return built{pieces: []piece{member("b.txt", "harmless", 8)}, comment: whole("a.txt", payload, 8)}.octets()
	}},
	{name: "archive in the comment of an entry", make: func() []byte {
		p := member("b.txt", "harmless", 8)
		p.entries[0].after = whole("a.txt", payload, 8)
		return built{pieces: []piece{p}}.octets()
	}},
	{name: "archive in the extra field", make: func() []byte {
		p := member("b.txt", "harmless", 8)
		inner := whole("a.txt", payload, 8)
		p.local.extra = extra(0x4242, inner)
		z := built{pieces: []piece{p}}
		e := member("a.txt", payload, 8).entries[0]
		e.offset = localLen + len("b.txt") + 4
		z.pieces = append(z.pieces, piece{entries: []record{e}})
		return z.octets()
	}},
	{name: "comment longer than the file", make: func() []byte {
		b := []byte(whole("a.txt", payload, 8))
		b[len(b)-2] = 200
		return b
	}},
	{name: "comment shorter than the tail", make: func() []byte { return []byte(whole("a.txt", payload, 8) + sigEnd + "short") }, plain: true},
	{name: "member in a stored member that the directory names", make: func() []byte {
		inner := member("a.txt", payload, 8)
		outer := member("b.bin", "head"+string(inner.local.local())+inner.data+"tail", 0)
		e := inner.entries[0]
		e.offset = len(outer.local.local()) + 4
		return built{pieces: []piece{outer, {entries: []record{e}}}}.octets()
	}},
	{name: "stored archive in an archive", make: func() []byte { return []byte(whole("in.zip", whole("a.txt", payload, 8), 0)) }, plain: true},
	{name: "compressed archive in an archive", make: func() []byte { return []byte(whole("in.zip", whole("a.txt", payload, 8), 8)) }, plain: true},
	{name: "member behind the end of a compressed content", make: func() []byte {
		inner := member("a.txt", payload, 8)
		outer := member("b.txt", "harmless", 8)
		outer.data += string(inner.local.local()) + inner.data
		outer.local.packed, outer.entries[0].packed = uint32(len(outer.data)), uint32(len(outer.data))
		return built{pieces: []piece{outer}}.octets()
	}},
	{name: "first header covers the archive", make: func() []byte {
		b := []byte(whole("b.txt", "harmless", 0) + whole("a.txt", payload, 8))
		binary.LittleEndian.PutUint32(b[18:], uint32(len(b)-localLen-5))
		return b
	}},
	{name: "encrypted header covers the archive", make: func() []byte {
		b := []byte(whole("b.txt", "harmless", 0) + whole("a.txt", payload, 8))
		b[6] = 1
		binary.LittleEndian.PutUint32(b[18:], uint32(len(b)-localLen-5))
		return b
	}},
	{name: "other volume named by the end", make: func() []byte {
		b := []byte(whole("a.txt", payload, 8))
		b[len(b)-endLen+4] = 3
		return b
	}},
	{name: "other volume named by the entry", plain: true, make: change(8, func(p *piece) { p.entries[0].disk = 7 })},
	{name: "begins like a split archive", plain: true, make: func() []byte { return []byte(sigDescr + whole("a.txt", payload, 8)) }},
	{name: "begins like one that was not split", make: func() []byte { return []byte(sigSpanned + whole("a.txt", payload, 8)) }, plain: true},
	{name: "cut off in the directory", make: func() []byte { b := []byte(whole("a.txt", payload, 8)); return b[:len(b)-endLen-5] }},
	{name: "cut off in the content", make: func() []byte { b := []byte(whole("a.txt", payload, 8)); return b[:localLen+5+30] }, closed: true},
	{name: "directory in front", plain: true, make: func() []byte {
		p := member("a.txt", payload, 8)
		p.entries[0].offset = centralLen + len("a.txt")
		directory := p.entries[0].central(0)
		end := record{disk: 1, packed: uint32(len(directory))}
		return []byte(string(directory) + string(p.local.local()) + p.data + string(end.end("")))
	}},
	{name: "directories at both places", make: func() []byte {
		hidden := member("a.txt", payload, 8)
		shown := member("b.txt", "harmless", 8)
		first := string(hidden.local.local()) + hidden.data
		second := string(shown.local.local()) + shown.data
		one, two := hidden.entries[0].central(0), shown.entries[0].central(len(first))
		end := record{disk: 1, packed: uint32(len(two)), offset: len(first) + len(second)}
		return []byte(first + second + string(one) + string(two) + string(end.end("")))
	}},
	{name: "member under a false entry of a directory", make: func() []byte {
		p := member("a.txt", payload, 8)
		hidden := string(p.local.local()) + p.data
		entry := record{name: strings.Repeat("n", 40), extra: hidden}
		return built{pieces: []piece{{before: string(entry.central(0))}, member("b.txt", "harmless", 8)}}.octets()
	}},
	{name: "member under a false local header", make: func() []byte {
		p := member("a.txt", payload, 8)
		outer := record{name: "\x01" + string(p.local.local()) + p.data}
		return built{pieces: []piece{member("b.txt", "harmless", 8), {before: string(outer.local())}}}.octets()
	}},
	{name: "member within the packed size of a stored one", make: func() []byte {
		p := member("b.txt", "harmless", 0)
		hidden := member("a.txt", payload, 8)
		p.data += string(hidden.local.local()) + hidden.data[:len(hidden.data)-8]
		p.local.packed, p.entries[0].packed = uint32(len(p.data)), uint32(len(p.data))
		return built{pieces: []piece{p}}.octets()
	}},
	{name: "ZIP64 end that leads elsewhere", make: func() []byte {
		hidden := member("a.txt", payload, 8)
		shown := member("b.txt", "harmless", 8)
		first := string(hidden.local.local()) + hidden.data
		second := string(shown.local.local()) + shown.data
		one, two := string(hidden.entries[0].central(0)), string(shown.entries[0].central(len(first)))
		at := len(first) + len(second)
		end64 := sigEnd64 + u64(44) + "\x2d\x00\x2d\x00" + u32(0) + u32(0) + u64(1) + u64(1) + u64(len(one)) + u64(at)
		locator := sigLocator64 + u32(0) + u64(at+len(one)+len(two)) + u32(1)
		end := record{disk: 1, packed: uint32(len(two)), offset: at + len(one)}
		return []byte(first + second + one + two + end64 + locator + string(end.end("")))
	}},
}

// No arrangement of headers keeps a content from being seen, and none in which programs disagree passes for an ordinary archive.
func TestAmbiguous(t *testing.T) {
	for _, v := range append(differences, arrangements...) {
		t.Run(v.name, func(t *testing.T) {
			b := v.make()
			if dir := os.Getenv("ZIP_VARIANTS"); dir != "" {
				if err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(v.name, " ", "_")+".zip"), b, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			members, verdict := read(t, file("a.zip", b))
			found := within(file("a.zip", b), marker, 4)
			if !found && (!v.closed || verdict.State == scan.Inspected) {
				t.Errorf("the marker is not found: %+v %q", verdict, contents(members))
			}
			odd := len(verdict.Signs) > 0 || verdict.State != scan.Inspected
			if odd == v.plain {
				t.Errorf("verdict %+v", verdict)
			}
		})
	}
}
