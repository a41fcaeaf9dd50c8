// Package sevenzip reads 7z archives, also self-extracting ones.
//
// The headers are read here, with a bound on every number in them; a library decompresses one folder at a time, and sees only
// headers that are written here for that folder. Decryption and key derivation are done here too, so that neither a dictionary
// of gigabytes nor 2^63 rounds of a hash are ever tried. A password counts as right only if a checksum says so: copied data that
// is decrypted with a wrong one gives no error. It does not put the volumes of a split archive together.
//
// Specification: 7zFormat.txt and Methods.txt of the LZMA SDK.
package sevenzip

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"

	"assay/scan"
	"assay/scan/container"
)

// signature begins an archive.
const signature = "7z\xbc\xaf\x27\x1c"

// searched is how far into a program or a picture an archive may begin.
const searched = 4 << 20

// A Reader reads 7z archives. The zero value is ready to use.
type Reader struct{}

var _ container.Reader = Reader{}

// Reads implements container.Reader.
func (Reader) Reads(f *container.File) bool {
	return bytes.HasPrefix(f.Content, []byte(signature)) || volume(f.Name) > 0 || len(find(f)) > 0
}

// Read implements container.Reader.
func (Reader) Read(f *container.File, yield func(container.Member) bool) container.Verdict {
	places := find(f)
	if len(places) == 0 {
		return unreadable(f)
	}
	r := &run{file: f, yield: yield, keys: keyring{budget: f.Budget}}
	if len(places) > 1 {
		r.sign(scan.Ambiguous, "several 7z archives one after the other")
	}
	for i, p := range places {
		if r.stop {
			break
		}
		end := r.archive(f.Content[p.at:], p.start)
		if i == len(places)-1 {
			r.behind(f.Content[p.at:][end:], p.at > 0)
		}
	}
	return r.verdict()
}

// volume returns the number in the name of a volume, 0 if it is none. All volumes but the first have no magic.
func volume(name string) int {
	name = strings.ToLower(name)
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 || !strings.HasSuffix(name[:dot], ".7z") || len(name)-dot < 4 || len(name)-dot > 6 {
		return 0
	}
	n := 0
	for _, c := range name[dot+1:] {
		if c < '0' || c > '9' {
			return 0
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// unreadable is the Verdict on what has the name or the magic of an archive, but no valid start.
func unreadable(f *container.File) container.Verdict {
	if n := volume(f.Name); n > 0 {
		return splitVolume(n)
	}
	const text = "damaged 7z archive"
	return container.Verdict{State: scan.Uninspectable, Method: text, Signs: []container.Sign{{Trait: scan.Damaged, Detail: text}}}
}

// A startHeader says where the header is, from the end of the start header on.
type startHeader struct {
	offset, size uint64
	crc          uint32
}

// startLength is how long the signature header is.
const startLength = 32

// parseStart reads a SignatureHeader, whose checksum tells it from octets that happen to look like one.
func parseStart(b []byte) (startHeader, bool) {
	if len(b) < startLength || string(b[:6]) != signature || binary.LittleEndian.Uint32(b[8:]) != crc32.ChecksumIEEE(b[12:32]) {
		return startHeader{}, false
	}
	s := startHeader{binary.LittleEndian.Uint64(b[12:]), binary.LittleEndian.Uint64(b[20:]), binary.LittleEndian.Uint32(b[28:])}
	return s, s.offset < 1<<62 && s.size < 1<<62
}

// A place is where an archive begins.
type place struct {
	at    int
	start startHeader
}

// maxPlaces is how many archives in one file are read.
const maxPlaces = 8

// find returns where archives begin: at the start of the file or inside of what may carry one, and behind one another.
func find(f *container.File) (places []place) {
	from := 0
	for len(places) < maxPlaces && from < min(len(f.Content), searched) {
		at := bytes.Index(f.Content[from:min(len(f.Content), searched)], []byte(signature))
		if at < 0 || from+at > 0 && len(places) == 0 && !carries(f) {
			break
		}
		at += from
		from = at + 1
		if s, ok := parseStart(f.Content[at:]); ok {
			places = append(places, place{at, s})
			from = at + startLength + int(min(s.offset+s.size, uint64(len(f.Content))))
		}
	}
	return places
}

// carries reports whether an archive may be hidden behind the beginning of the file: a program that extracts it, or something
// that is shown. What holds files of its own has another Reader, which finds archives in it.
func carries(f *container.File) bool {
	b := f.Content
	switch {
	case bytes.HasPrefix(b, []byte("MZ")), bytes.HasPrefix(b, []byte("\x7fELF")), bytes.HasPrefix(b, []byte("#!")):
		return true
	case len(b) > 512 && b[510] == 0x55 && b[511] == 0xaa: // a disk image
		return false
	}
	switch group, _, _ := strings.Cut(f.Type, "/"); group {
	case "", "image", "audio", "video", "text":
		return true
	}
	return f.Type == "application/octet-stream" || f.Type == "application/pdf" || f.Type == "application/x-mach-binary"
}

// archive reads one archive, and returns how many octets it has.
func (r *run) archive(b []byte, s startHeader) int {
	end := startLength + s.offset + s.size
	if end > uint64(len(b)) {
		r.incomplete()
		return len(b)
	}
	octets := b[startLength : startLength+s.offset]
	raw := b[startLength+s.offset : end]
	if crc32.ChecksumIEEE(raw) != s.crc {
		r.problem("damaged header", errHeader)
		return int(end)
	}
	if len(raw) == 0 { // an archive without members
		return int(end)
	}
	h, err := r.header(raw, octets)
	switch {
	case errors.Is(err, errLocked):
		r.encrypted, r.method = true, "7z AES-256, names hidden"
	case err != nil:
		r.failed("header", err)
	default:
		r.entries(h)
	}
	return int(end)
}

// incomplete tells about an archive that does not end in this file.
func (r *run) incomplete() {
	if n := volume(r.file.Name); n > 0 || strings.HasSuffix(r.file.Name, ".001") {
		v := splitVolume(max(n, 1))
		r.reason, r.signs = v.Method, append(r.signs, v.Signs...)
		return
	}
	r.problem("cut off 7z archive", errDamaged)
}

// header reads the header, and what it stands for if it is encoded; that may be encoded again.
func (r *run) header(raw, octets []byte) (*header, error) {
	for range 4 {
		if len(raw) == 0 {
			return nil, errHeader
		}
		if raw[0] != idEncodedHeader {
			return parseHeader(raw, octets)
		}
		h, err := parseEncoded(raw, octets)
		if err != nil {
			return nil, err
		}
		if raw, err = r.whole(h); err != nil {
			return nil, err
		}
	}
	return nil, errHeader
}

// whole reads the only folder of an encoded header.
func (r *run) whole(h *header) ([]byte, error) {
	f := &h.folders[0]
	src, err := r.open(f, h.streams)
	if err != nil {
		return nil, err
	}
	var b []byte
	err = guard(func() (err error) {
		b, err = r.file.Budget.ReadAll(limited(src, f.size()), f.packedSize())
		return err
	})
	if err == nil && (uint64(len(b)) != f.size() || !f.crc.holds(b)) {
		err = errDamaged
	}
	return b, err
}

// behind yields what follows the archive. A program that extracts itself may be signed there.
func (r *run) behind(rest []byte, inside bool) {
	if r.stop || len(bytes.Trim(rest, "\x00")) == 0 || inside && isSignature(rest) || len(rest) == len(r.file.Content) {
		return
	}
	r.sign(scan.Polyglot, "something follows the 7z archive")
	r.member(container.Member{Content: rest})
}

// isSignature tells a WIN_CERTIFICATE, as programs are signed by (PE Format, "The Attribute Certificate Table").
func isSignature(b []byte) bool {
	b = bytes.TrimLeft(b, "\x00")
	return len(b) > 8 && b[4] == 0 && b[5] == 2 && b[6] == 2 && b[7] == 0
}
