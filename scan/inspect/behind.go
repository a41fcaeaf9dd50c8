package inspect

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"

	"assay/scan"
	"assay/scan/archive/arj"
	"assay/scan/archive/disk"
	"assay/scan/archive/tar"
	"assay/scan/attach"
	"assay/scan/container"
)

// behind reads what stands inside of another file or behind its end: archives that 7-Zip, WinRAR and others find wherever
// they begin, and pages that Word finds so.
// What archives and programs have inside of them is for their own Readers, and ZIP files are for theirs.
type behind struct{}

// Reads implements container.Reader.
func (behind) Reads(f *container.File) bool { return len(hidden(f)) > 0 }

// Read implements container.Reader.
func (behind) Read(f *container.File, yield func(container.Member) bool) container.Verdict {
	v := container.Verdict{State: scan.Inspected}
	if f.Type == attach.Unknown {
		v.State, v.Method = scan.Uninspectable, "unknown format"
	}
	for _, at := range hidden(f) {
		content := f.Content[at:]
		if err := f.Budget.Member(); err != nil {
			return container.Limited(err, v.Signs...)
		}
		if err := f.Budget.Spend(int64(len(content))); err != nil {
			return container.Limited(err, v.Signs...)
		}
		if f.Type != attach.Unknown && !bytes.HasPrefix(f.Content, []byte(compound)) {
			v.Signs = append(v.Signs, container.Sign{Trait: scan.Polyglot, Detail: fmt.Sprintf("another file behind %d octets", at)})
		}
		if !yield(container.Member{Name: fmt.Sprintf("from octet %d", at), Content: content}) {
			break
		}
	}
	return v
}

// compound begins a compound file ([MS-CFB] 2.2). What programs embed in one lies in its sectors as it is, so that nothing is
// odd about it.
const compound = "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

// A mark is how an archive begins.
type mark struct {
	octets string
	at     int                    // of the octets, in the archive
	proven func(rest []byte) bool // whether that begins an archive; nil if the octets say enough
}

// marks are those of the archives that programs search for. The functions are called for few octets that agree by chance.
func marks() []mark {
	reader := func(r container.Reader) func([]byte) bool {
		return func(rest []byte) bool { return r.Reads(&container.File{Content: rest}) }
	}
	return []mark{
		{"7z\xbc\xaf\x27\x1c", 0, func(b []byte) bool { return len(b) >= 32 && crc32.ChecksumIEEE(b[12:32]) == le32(b[8:]) }},
		{"Rar!\x1a\x07\x00", 0, nil},
		{"Rar!\x1a\x07\x01\x00", 0, nil},
		{"\x1f\x8b\x08", 0, isGzip},
		{"1AY&SY", 4, isBzip2},
		{"\xfd7zXZ\x00\x00", 0, func(b []byte) bool { return len(b) >= 12 && crc32.ChecksumIEEE(b[6:8]) == le32(b[8:]) }},
		{"\x28\xb5\x2f\xfd", 0, isZstandard},
		{"\x60\xea", 0, reader(arj.Reader{})},
		{"-lh", 2, reader(arj.Reader{})},
		{"**ACE**", 7, reader(arj.Reader{})},
		{"MSCF\x00\x00\x00\x00", 0, isCabinet},
		{"ustar", 257, reader(tar.Reader{})},
		{"070701", 0, reader(tar.Reader{})},
		{"070702", 0, reader(tar.Reader{})},
		{"070707", 0, reader(tar.Reader{})},
		{"CD001", 32769, reader(disk.Reader{})},
		{"MSWIM\x00\x00\x00", 0, nil},
	}
}

// pages are how archived web pages begin (RFC 2557), which Word opens wherever they do. Text may well quote a header.
func pages(f *container.File) []mark {
	if f.Type != "application/pdf" && f.Type != attach.Unknown && !strings.HasPrefix(f.Type, "image/") || f.Type == "image/svg+xml" {
		return nil
	}
	return []mark{{"MIME-Version:", 0, isPage}, {"Mime-Version:", 0, isPage}, {"mime-version:", 0, isPage}}
}

// isPage reports whether a header of MIME begins that has the type of a page.
func isPage(b []byte) bool {
	const near = 2 << 10
	head := bytes.ToLower(b[:min(len(b), near)])
	if !bytes.Contains(head, []byte("content-type:")) {
		return false
	}
	return bytes.Contains(head, []byte("multipart/")) || bytes.Contains(head, []byte("text/html"))
}

// le32 reads a number.
func le32(b []byte) uint32 {
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

// hidden returns where archives begin inside of a file, the first of each kind. Of a kind, so many places are tried as
// chance would have in the largest file; more are made to exhaust.
func hidden(f *container.File) []int {
	const tries = 2000
	from := begin(f)
	if from < 0 || from >= len(f.Content) {
		return nil
	}
	var places []int
	for _, m := range append(marks(), pages(f)...) {
		next := max(from+m.at, m.at+1)
		for try := 0; try < tries && next < len(f.Content) && f.Budget.Check() == nil; try++ {
			i := bytes.Index(f.Content[next:], []byte(m.octets))
			if i < 0 {
				break
			}
			at := next + i - m.at
			if m.proven == nil || m.proven(f.Content[at:]) {
				places = append(places, at)
				break
			}
			next += i + 1
		}
	}
	slices.Sort(places)
	return slices.Compact(places)
}

// begin returns from where on an archive in a file is a hidden one; -1 if nothing in it is.
func begin(f *container.File) int {
	const end = 22 // of the fixed part of the end of a ZIP file (APPNOTE 4.3.16)
	switch kind, sub, _ := strings.Cut(f.Type, "/"); {
	case kind == "image", kind == "audio", kind == "video", kind == "font", kind == "text":
		return 1
	case bytes.HasPrefix(f.Content, []byte(compound)):
		return 512
	case sub == "octet-stream", sub == "pdf", sub == "rtf", sub == "xml", sub == "xhtml+xml", sub == "postscript", sub == "json", sub == "x-sylk":
		return 1
	case bytes.HasPrefix(f.Content, []byte("PK\x03\x04")):
		if at := bytes.LastIndex(f.Content, []byte("PK\x05\x06")); at >= 0 {
			return at + end
		}
	}
	return -1
}

// isGzip reports whether a gzip file begins (RFC 1952): so much of it can be decompressed that it is none by chance.
func isGzip(b []byte) bool {
	if len(b) < 18 || b[3]&0xe0 != 0 {
		return false
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return false
	}
	z.Multistream(false)
	return decompresses(z)
}

// decompresses reports whether a reader gives octets, to its end or many of them, without an error.
func decompresses(r io.Reader) bool {
	const enough = 16 << 10
	n, err := io.CopyN(io.Discard, r, enough)
	return n == enough || n > 0 && errors.Is(err, io.EOF)
}

// isBzip2 reports whether a bzip2 file begins; its mark has a block size in front.
func isBzip2(b []byte) bool { return bytes.HasPrefix(b, []byte("BZh")) && b[3] >= '1' && b[3] <= '9' }

// isCabinet reports whether a cabinet of version 1.3 begins that lies in the file ([MS-CAB] 2.1).
func isCabinet(b []byte) bool {
	return len(b) >= 36 && le32(b[8:]) <= uint32(len(b)) && le32(b[12:]) == 0 && le32(b[20:]) == 0 && b[24] == 3 && b[25] == 1
}

// isZstandard reports whether a frame begins whose first block lies in the file (RFC 8878 Section 3.1.1).
func isZstandard(b []byte) bool {
	if len(b) < 12 || b[4]&0x08 != 0 { // the reserved bit
		return false
	}
	head := 5 + []int{0, 1, 2, 4}[b[4]&3] + []int{0, 2, 4, 8}[b[4]>>6]
	switch single := b[4]&0x20 != 0; {
	case !single:
		head++
	case b[4]>>6 == 0:
		head++
	}
	if len(b) < head+3 {
		return false
	}
	block := int(b[head]) | int(b[head+1])<<8 | int(b[head+2])<<16
	kind, size := block>>1&3, block>>3
	return kind != 3 && size > 0 && size <= 128<<10 && (kind == 1 || head+3+size <= len(b))
}
