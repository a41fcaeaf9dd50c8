// Package arj reads the archives of the nineties: ARJ, LHA (LZH) and ACE. It undoes the methods 1 to 3 of ARJ and lh4 to lh7 of
// LHA, which are the same but for their sizes; of the others, and of ACE, it reads what is stored, and names the rest.
//
// Specifications: ARJ TECHNOTE, "LHA header" of lha for Unix, ACE TECHINFO.
package arj

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"

	"assay/scan"
	"assay/scan/container"
)

// A Reader reads ARJ, LHA and ACE archives. The zero value is ready to use.
type Reader struct{}

var _ container.Reader = Reader{}

// Reads implements container.Reader.
func (Reader) Reads(f *container.File) bool { return readerOf(f.Content) != nil }

// readerOf returns what reads a file, nil for nothing.
func readerOf(b []byte) func(*run) error {
	switch {
	case isARJ(b):
		return readARJ
	case isLHA(b):
		return readLHA
	case isACE(b):
		return readACE
	}
	return nil
}

// Read implements container.Reader.
func (Reader) Read(f *container.File, yield func(container.Member) bool) container.Verdict {
	r := &run{file: f, b: f.Content, yield: yield}
	read := readerOf(f.Content)
	if read == nil {
		return container.Verdict{State: scan.Uninspectable, Method: "not an archive"}
	}
	if err := read(r); err != nil && !errors.Is(err, errStopped) {
		r.failed(err)
	}
	v := container.Verdict{State: scan.Inspected, Signs: r.signs}
	switch {
	case r.encrypted != "":
		v.State, v.Class, v.Method = scan.Encrypted, scan.ClassArchive, r.encrypted
	case r.limit != nil:
		v.State, v.Method = scan.Uninspectable, r.limit.Error()
	case r.reason != "":
		v.State, v.Method = scan.Uninspectable, r.reason
	}
	return v
}

// The errors of readers.
var (
	errStopped = errors.New("stopped") // nobody wants more
	errDamaged = errors.New("damaged archive")
)

// A refusal says why a member cannot be read.
type refusal string

// Error implements error.
func (r refusal) Error() string { return string(r) }

// A run reads one file.
type run struct {
	file      *container.File
	b         []byte
	yield     func(container.Member) bool
	signs     []container.Sign
	encrypted string
	reason    string
	limit     error
}

// sign adds a trait, once.
func (r *run) sign(trait scan.Trait, detail string) {
	for i := range r.signs {
		if r.signs[i].Trait == trait {
			return
		}
	}
	r.signs = append(r.signs, container.Sign{Trait: trait, Detail: detail})
}

// failed remembers an error, and returns it in words.
func (r *run) failed(err error) string {
	var refused refusal
	text := errDamaged.Error()
	switch limit := new(container.LimitError); {
	case errors.As(err, &limit):
		if r.limit = cmp.Or(r.limit, err); limit.Limit == "ratio" {
			r.sign(scan.Bomb, err.Error())
		}
		return err.Error()
	case errors.As(err, &refused):
		text = string(refused)
	default:
		r.sign(scan.Damaged, text)
	}
	r.reason = cmp.Or(r.reason, text)
	return text
}

// An item is a member of an archive, as its header describes it.
type item struct {
	name      string
	size      int64
	packed    []byte
	whole     bool   // the packed octets are all there
	encrypted string // how; "" if it is not
	method    string // in words, for what is not undone
	stored    bool
	code      *params // of the method that is undone
	intact    func(content []byte) bool
}

// member yields a member.
func (r *run) member(it item) error {
	if err := r.file.Budget.Member(); err != nil {
		return err
	}
	m := container.Member{Name: strings.ReplaceAll(it.name, "\\", "/"), Size: it.size}
	if it.encrypted != "" {
		r.encrypted = it.encrypted
		m.State, m.Class, m.Method = scan.Encrypted, scan.ClassArchive, it.encrypted
	} else {
		content, err := r.content(it)
		if err == nil && (!it.whole || int64(len(content)) != it.size || !it.intact(content)) {
			err = errDamaged
		}
		if err != nil {
			text := r.failed(err)
			if m.Signs = []container.Sign{{Trait: scan.Damaged, Detail: text}}; len(content) == 0 {
				m.State, m.Method, m.Signs = scan.Uninspectable, text, nil
			}
		}
		if m.Content = content; content == nil && err == nil {
			m.Content = []byte{}
		}
	}
	if !r.yield(m) {
		return errStopped
	}
	if over := r.file.Budget.Over(); over != nil {
		return over
	}
	return nil
}

// content unpacks a member.
func (r *run) content(it item) ([]byte, error) {
	switch {
	case it.stored:
		return it.packed, r.file.Budget.Spend(int64(len(it.packed)))
	case it.code == nil:
		return nil, refusal(it.method)
	}
	return r.file.Budget.ReadAll(newDecoder(it.packed, it.code, it.size), int64(len(it.packed)))
}

// part returns octets at a place, and whether they are all there.
func (r *run) part(at, size int64) ([]byte, bool) {
	if at < 0 || size < 0 || at > int64(len(r.b)) {
		return nil, false
	}
	if size > int64(len(r.b))-at {
		return r.b[at:], false
	}
	return r.b[at : at+size], true
}

// le16 and le32 read numbers.
func le16(b []byte, at int) uint16 { return binary.LittleEndian.Uint16(b[at:]) }
func le32(b []byte, at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }

// isARJ tells an archive by its main header, which has a checksum.
func isARJ(b []byte) bool {
	h, _, ok := arjHeader(b)
	return ok && len(h) > 0 && h[6] == 2
}

// arjHeader returns the basic header at the start of b and the length of all headers there. At the end of an archive it is empty.
func arjHeader(b []byte) (h []byte, length int, ok bool) {
	if len(b) < 4 || b[0] != 0x60 || b[1] != 0xea {
		return nil, 0, false
	}
	size := int(le16(b, 2))
	if size == 0 {
		return nil, 4, true
	}
	if size < 30 || size > 2600 || len(b) < 4+size+6 || crc32.ChecksumIEEE(b[4:4+size]) != le32(b, 4+size) || int(b[4]) > size {
		return nil, 0, false
	}
	h, length = b[4:4+size], 4+size+4
	for length+2 <= len(b) {
		extended := int(le16(b, length))
		if length += 2; extended == 0 {
			return h, length, true
		}
		length += extended + 4
	}
	return nil, 0, false
}

// readARJ reads an ARJ archive.
func readARJ(r *run) error {
	for at := 0; ; {
		h, length, ok := arjHeader(r.b[min(at, len(r.b)):])
		switch {
		case !ok:
			return errDamaged
		case len(h) == 0:
			return r.behind(r.b[at+length:])
		}
		at += length
		if h[6] == 2 { // the main header
			if h[4]&4 != 0 {
				r.reason = "a volume of a split archive"
				r.sign(scan.SplitVolume, r.reason)
			}
			continue
		}
		it := arjItem(h)
		it.packed, it.whole = r.part(int64(at), int64(le32(h, 12)))
		at += len(it.packed)
		if h[6] == 3 || h[6] == 5 { // a folder, a chapter
			if err := r.file.Budget.Member(); err != nil {
				return err
			}
			continue
		}
		if err := r.member(it); err != nil {
			return err
		}
	}
}

// arjItem reads the local header of a file.
func arjItem(h []byte) item {
	name, _, _ := strings.Cut(string(h[h[0]:]), "\x00")
	sum := le32(h, 20)
	it := item{name: name, size: int64(le32(h, 16)), method: "ARJ compression", stored: h[5] == 0,
		intact: func(content []byte) bool { return crc32.ChecksumIEEE(content) == sum }}
	if h[5] >= 1 && h[5] <= 3 {
		it.code = &params{window: 26624, positions: 17, positionBits: 5}
	}
	if h[4]&1 != 0 {
		it.encrypted = "ARJ garble"
	}
	if h[4]&0x0c != 0 { // continues in, or is continued from, another volume
		it.stored, it.code, it.method = false, nil, "continues in another volume"
	}
	return it
}

// behind yields what follows an archive.
func (r *run) behind(rest []byte) error {
	if len(bytes.Trim(rest, "\x00\x1a")) == 0 {
		return nil
	}
	r.sign(scan.Polyglot, "something follows the archive")
	return r.member(item{size: int64(len(rest)), packed: rest, whole: true, stored: true, intact: func([]byte) bool { return true }})
}

// isACE tells an archive by its main header, whose checksum is half of a CRC-32.
func isACE(b []byte) bool {
	h, ok := aceHeader(b)
	return ok && h[0] == 0 && len(h) > 10 && string(h[3:10]) == "**ACE**"
}

// aceHeader returns the header at the start of b, from its type on.
func aceHeader(b []byte) ([]byte, bool) {
	if len(b) < 7 {
		return nil, false
	}
	size := int(le16(b, 2))
	if size < 3 || 4+size > len(b) || uint16(^crc32.ChecksumIEEE(b[4:4+size])) != le16(b, 0) {
		return nil, false
	}
	return b[4 : 4+size], true
}

// readACE reads an ACE archive.
func readACE(r *run) error {
	for at := 0; at < len(r.b); {
		h, ok := aceHeader(r.b[at:])
		if !ok {
			return r.behind(r.b[at:])
		}
		at += 4 + len(h)
		flags := le16(h, 1)
		if h[0] == 0 && flags&0x0800 != 0 {
			r.reason = "a volume of a split archive"
			r.sign(scan.SplitVolume, r.reason)
		}
		if flags&1 == 0 || len(h) < 7 {
			continue
		}
		packed, whole := r.part(int64(at), int64(le32(h, 3)))
		at += len(packed)
		if h[0] != 1 || len(h) < 31 {
			continue
		}
		it := item{size: int64(le32(h, 7)), packed: packed, whole: whole, stored: h[23] == 0, method: "ACE compression"}
		it.name = string(h[31:min(len(h), 31+int(le16(h, 29)))])
		sum := le32(h, 19)
		it.intact = func(content []byte) bool { return ^crc32.ChecksumIEEE(content) == sum }
		if flags&0x4000 != 0 {
			it.encrypted = "ACE Blowfish"
		}
		if flags&0x3000 != 0 {
			it.stored, it.method = false, "continues in another volume"
		}
		if err := r.member(it); err != nil {
			return err
		}
	}
	return nil
}
