// Package disk reads images of disks: ISO 9660 with Joliet and Rock Ridge, UDF, FAT, partition tables and fixed VHD. It tells
// encrypted disks (LUKS, BitLocker, encrypted DMG and QCOW2) and names what it cannot read: dynamic VHD, VHDX, VMDK, QCOW2, VDI,
// DMG and other file systems.
//
// An ISO image may have several trees of folders over the same octets. The files of all are yielded, each extent once; where the
// trees do not lead to the same extents, the image is ambiguous.
//
// Specifications: ECMA-119 (ISO 9660), Joliet 1.0, IEEE P1282 (Rock Ridge), ECMA-167 with UDF 2.01, Microsoft's FAT specification,
// UEFI 2.10 Section 5 (partitions), Virtual Hard Disk Image Format 1.0, LUKS1 and LUKS2 On-Disk Format.
package disk

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"strings"

	"assay/scan"
	"assay/scan/container"
)

// A Reader reads disk images. The zero value is ready to use.
type Reader struct{}

var _ container.Reader = Reader{}

// Reads implements container.Reader.
func (Reader) Reads(f *container.File) bool {
	_, known := headerOf(f.Content)
	return known || len(readersOf(f.Content)) > 0
}

// readersOf returns what reads the image. An ISO image is often one of UDF too, and begins with a partition table to be booted.
func readersOf(b []byte) (readers []func(*run) error) {
	if isISO(b) {
		readers = append(readers, readISO)
	}
	if isUDF(b) {
		readers = append(readers, readUDF)
	}
	switch {
	case len(readers) > 0:
	case isFAT(b):
		readers = append(readers, readFAT)
	case isPartitioned(b):
		readers = append(readers, readPartitions)
	}
	if isFixedVHD(b) {
		readers = append(readers, readVHD)
	}
	return readers
}

// Read implements container.Reader.
func (Reader) Read(f *container.File, yield func(container.Member) bool) container.Verdict {
	if v, known := headerOf(f.Content); known {
		return v
	}
	r := &run{file: f, b: f.Content, yield: yield, seen: make(map[shown]bool)}
	for _, read := range readersOf(f.Content) {
		err := read(r)
		switch {
		case errors.Is(err, container.ErrLimit):
			return container.Limited(err, r.signs...)
		case errors.Is(err, errStopped):
			return r.verdict()
		case err != nil:
			r.problem(err.Error())
		}
		if r.whole {
			break
		}
	}
	return r.verdict()
}

// The errors of readers.
var (
	errStopped = errors.New("stopped") // nobody wants more
	errBroken  = errors.New("damaged disk image")
)

// An extent is a place in the image.
type extent struct{ at, size int64 }

// A run reads one image.
type run struct {
	file   *container.File
	b      []byte
	yield  func(container.Member) bool
	seen   map[shown]bool
	signs  []container.Sign
	reason string
	whole  bool // all was yielded as another image
}

// verdict sums up.
func (r *run) verdict() container.Verdict {
	if r.reason != "" {
		return container.Verdict{State: scan.Uninspectable, Method: r.reason, Signs: r.signs}
	}
	return container.Verdict{State: scan.Inspected, Signs: r.signs}
}

// problem remembers that the image is damaged.
func (r *run) problem(text string) {
	r.reason = cmp.Or(r.reason, text)
	r.sign(scan.Damaged, text)
}

// sign adds a trait, once.
func (r *run) sign(trait scan.Trait, detail string) {
	for i := range r.signs {
		if r.signs[i].Trait == trait {
			r.signs[i].Count = max(r.signs[i].Count, 1) + 1
			return
		}
	}
	r.signs = append(r.signs, container.Sign{Trait: trait, Detail: detail})
}

// part returns size octets at a place, and whether they are all there.
func (r *run) part(at, size int64) ([]byte, bool) {
	if at < 0 || size < 0 || at > int64(len(r.b)) {
		return nil, false
	}
	if size > int64(len(r.b))-at {
		return r.b[at:], false
	}
	return r.b[at : at+size], true
}

// content joins extents. Where they follow one another nothing is copied.
func (r *run) content(extents []extent) (content []byte, whole bool, err error) {
	extents = join(extents)
	if len(extents) == 1 {
		content, whole = r.part(extents[0].at, extents[0].size)
		return content, whole, r.file.Budget.Spend(int64(len(content)))
	}
	whole = true
	var out []byte
	for _, e := range extents {
		piece, all := r.part(e.at, e.size)
		whole = whole && all
		if err := r.file.Budget.Spend(int64(len(piece))); err != nil {
			return nil, false, err
		}
		out = append(out, piece...)
	}
	return out, whole, nil
}

// join makes one extent of those that follow one another.
func join(extents []extent) (joined []extent) {
	for _, e := range extents {
		if n := len(joined); n > 0 && joined[n-1].at+joined[n-1].size == e.at {
			joined[n-1].size += e.size
			continue
		}
		joined = append(joined, e)
	}
	return joined
}

// A shown is an extent that was yielded, under a name with an extension.
type shown struct {
	extent
	extension string
}

// member yields a file. One that was yielded under another name with the same extension is not yielded again.
func (r *run) member(name string, extents []extent) error {
	if err := r.file.Budget.Member(); err != nil {
		return err
	}
	if extents = join(extents); len(extents) == 1 && extents[0].size > 0 {
		key := shown{extents[0], strings.ToLower(name[strings.LastIndexByte(name, '.')+1:])}
		if r.seen[key] {
			return nil
		}
		r.seen[key] = true
	}
	content, whole, err := r.content(extents)
	if err != nil {
		return err
	}
	if !whole {
		r.problem("cut off disk image")
	}
	if content == nil {
		content = []byte{}
	}
	if !r.yield(container.Member{Name: name, Content: content}) {
		return errStopped
	}
	return nil
}

// maxDepth is how deep folders are followed.
const maxDepth = 64

// within joins the names of a folder and something in it.
func within(folder, name string) string {
	if folder == "" {
		return name
	}
	return folder + "/" + name
}

// headerOf tells images by their header that cannot be read.
func headerOf(b []byte) (v container.Verdict, known bool) {
	locked := func(method string) (container.Verdict, bool) {
		return container.Verdict{State: scan.Encrypted, Class: scan.ClassDisk, Method: method}, true
	}
	unread := func(method string) (container.Verdict, bool) {
		return container.Verdict{State: scan.Uninspectable, Method: method}, true
	}
	has := func(at int, magic string) bool {
		return len(b) >= at+len(magic) && string(b[at:at+len(magic)]) == magic
	}
	switch {
	case has(0, "LUKS\xba\xbe"):
		return locked(luks(b))
	case has(3, "-FVE-FS-") && has(510, "\x55\xaa"), has(3, "MSWIN4.1") && bytes.Contains(b[:min(len(b), 512)], []byte("\x3b\xd6\x67\x49\x29\x2e\xd8\x4a\x83\x99\xf6\xa3\x39\xe3\xd0\x01")):
		return locked("BitLocker")
	case has(0, "encrcdsa"), len(b) > 276 && has(len(b)-8, "cdsaencr"):
		return locked("encrypted Apple disk image")
	case has(0, "QFI\xfb"):
		if v, known := qcow(b); known {
			return v, known
		}
		return unread("QCOW2 image")
	case has(0, "vhdxfile"):
		return unread("VHDX image")
	case has(0, "conectix"):
		return unread("dynamic VHD image")
	case has(0, "KDMV"), has(0, "COWD"), has(0, "# Disk DescriptorFile"):
		return unread("VMDK image")
	case has(0x40, "\x7f\x10\xda\xbe"):
		return unread("VirtualBox disk image")
	case len(b) > 512 && has(len(b)-512, "koly\x00\x00\x00\x04"):
		return unread("Apple disk image")
	case has(3, "NTFS    ") && has(510, "\x55\xaa"):
		return unread("NTFS image")
	case has(3, "EXFAT   ") && has(510, "\x55\xaa"):
		return unread("exFAT image")
	case has(1080, "\x53\xef") && len(b) >= 4096 && b[1024+76] <= 1 && !isISO(b) && isExt(b):
		return unread("ext file system")
	case has(1024, "H+\x00\x04"), has(1024, "HX\x00\x05"):
		return unread("HFS+ file system")
	case has(32, "NXSB") && len(b) >= 4096:
		return unread("APFS file system")
	case has(0, "hsqs") && len(b) > 96 && b[28] == 4:
		return unread("SquashFS file system")
	}
	return container.Verdict{}, false
}

// isExt looks at more of a superblock than its magic of two octets: the size of blocks and the revision.
func isExt(b []byte) bool {
	s := b[1024:]
	return s[24] <= 6 && s[25] == 0 && s[26] == 0 && s[27] == 0 && s[58] >= 1 && s[58] <= 7 && s[59] == 0 && s[77] == 0 && s[78] == 0 && s[79] == 0
}

// luks names the cipher of a LUKS volume: in a field in version 1, in JSON in version 2.
func luks(b []byte) string {
	switch {
	case len(b) < 8:
		return "LUKS"
	case b[7] == 1 && len(b) >= 72:
		return "LUKS1 " + word(b[8:40]) + "-" + word(b[40:72])
	case b[7] != 2:
		return "LUKS"
	}
	const key = `"encryption":"`
	header := b[:min(len(b), 64<<10)]
	for {
		at := bytes.Index(header, []byte(key))
		if at < 0 {
			return "LUKS2"
		}
		header = header[at+len(key):]
		if cipher := word(header[:min(len(header), 40)]); cipher != "" {
			return "LUKS2 " + cipher
		}
	}
}

// word returns the beginning of a field that consists of letters, digits and signs of names.
func word(b []byte) string {
	for i, c := range b {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != ':' {
			return string(b[:i])
		}
	}
	return string(b)
}

// qcow tells an encrypted QCOW2 image (QEMU, docs/interop/qcow2.txt: crypt_method).
func qcow(b []byte) (container.Verdict, bool) {
	if len(b) < 36 || b[35] == 0 {
		return container.Verdict{}, false
	}
	name := map[byte]string{1: "AES", 2: "LUKS"}[b[35]]
	return container.Verdict{State: scan.Encrypted, Class: scan.ClassDisk, Method: fmt.Sprint("QCOW2 ", cmp.Or(name, "of an unknown method"))}, true
}
