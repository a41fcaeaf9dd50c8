package zip

import (
	"encoding/binary"
	"math"
)

// Signatures (APPNOTE 4.3). Each begins with "PK".
const (
	sigLocal     = "PK\x03\x04" // 4.3.7
	sigCentral   = "PK\x01\x02" // 4.3.12
	sigSignature = "PK\x05\x05" // 4.3.13
	sigEnd       = "PK\x05\x06" // 4.3.16
	sigEnd64     = "PK\x06\x06" // 4.3.14
	sigLocator64 = "PK\x06\x07" // 4.3.15
	sigDescr     = "PK\x07\x08" // 4.3.9.3; also in front of the first volume of a split archive (8.5.3)
	sigSpanned   = "PK00"       // in front of an archive that was to be split and fitted into one volume (8.5.4)
)

// Fixed lengths of the records.
const (
	localLen     = 30
	centralLen   = 46
	endLen       = 22
	end64Len     = 56
	locator64Len = 20
)

// Flags of a member (APPNOTE 4.4.4).
const (
	flagEncrypted  = 1 << 0
	flagDescriptor = 1 << 3
	flagStrong     = 1 << 6
	flagUTF8       = 1 << 11
	flagMasked     = 1 << 13
)

// Extra fields (APPNOTE 4.5).
const (
	extraZip64   = 0x0001
	extraStrong  = 0x0017
	extraUnicode = 0x7075
	extraAES     = 0x9901
)

var le = binary.LittleEndian

// A header is what one record says about a member: the local file header in front of it (APPNOTE 4.3.7), or an entry of a
// central directory (4.3.12).
type header struct {
	at, end      int // where the record is; behind name, extra field and comment
	version      uint16
	flags        uint16
	method       uint16
	time, date   uint16
	crc          uint32
	packed, size int64
	name, extra  []byte
	disk         uint32 // only of an entry: the volume, and where the local header is in it
	offset       int64
	aes          aesExtra
	strong       uint16 // algorithm of the strong encryption, 0 for none
	unicode      []byte // the extra field with the name in UTF-8
	wrongExtra   bool   // not a sequence of fields
}

// An aesExtra is the extra field of WinZip's encryption. Strength 0 means that there is none.
type aesExtra struct {
	strength byte
	method   uint16
}

// parseLocal reads the fields of a local file header, whatever its signature is.
func parseLocal(b []byte, at int) (*header, bool) {
	if at < 0 || at > len(b)-localLen {
		return nil, false
	}
	p := b[at:]
	name, extra := int(le.Uint16(p[26:])), int(le.Uint16(p[28:]))
	if localLen+name+extra > len(p) {
		return nil, false
	}
	h := &header{
		at: at, end: at + localLen + name + extra, version: le.Uint16(p[4:]), flags: le.Uint16(p[6:]), method: le.Uint16(p[8:]),
		time: le.Uint16(p[10:]), date: le.Uint16(p[12:]), crc: le.Uint32(p[14:]), packed: int64(le.Uint32(p[18:])), size: int64(le.Uint32(p[22:])),
		name: p[localLen : localLen+name], extra: p[localLen+name : localLen+name+extra],
	}
	h.parseExtra()
	return h, true
}

// parseCentral reads an entry of a central directory.
func parseCentral(b []byte, at int) (*header, bool) {
	if at < 0 || at > len(b)-centralLen || string(b[at:at+4]) != sigCentral {
		return nil, false
	}
	p := b[at:]
	name, extra, comment := int(le.Uint16(p[28:])), int(le.Uint16(p[30:])), int(le.Uint16(p[32:]))
	if centralLen+name+extra > len(p) {
		return nil, false
	}
	h := &header{
		at: at, end: min(at+centralLen+name+extra+comment, len(b)), version: le.Uint16(p[6:]), flags: le.Uint16(p[8:]), method: le.Uint16(p[10:]),
		time: le.Uint16(p[12:]), date: le.Uint16(p[14:]), crc: le.Uint32(p[16:]), packed: int64(le.Uint32(p[20:])), size: int64(le.Uint32(p[24:])),
		disk: uint32(le.Uint16(p[34:])), offset: int64(le.Uint32(p[42:])),
		name: p[centralLen : centralLen+name], extra: p[centralLen+name : centralLen+name+extra],
	}
	h.parseExtra()
	return h, true
}

// parseExtra reads the extra fields. Of several with the same number the first counts, as in most programs.
func (h *header) parseExtra() {
	rest := h.extra
	seen64 := false
	for len(rest) >= 4 {
		id, n := le.Uint16(rest), int(le.Uint16(rest[2:]))
		if 4+n > len(rest) {
			h.wrongExtra = true
			return
		}
		data := rest[4 : 4+n]
		rest = rest[4+n:]
		switch {
		case id == extraZip64 && !seen64:
			seen64 = true
			h.parseZip64(data)
		case id == extraAES && n >= 7 && h.aes.strength == 0:
			h.aes = aesExtra{strength: data[4], method: le.Uint16(data[5:])}
		case id == extraStrong && n >= 4 && h.strong == 0:
			h.strong = le.Uint16(data[2:])
		case id == extraUnicode && n > 5 && h.unicode == nil:
			h.unicode = data
		}
	}
}

// parseZip64 takes the large values, of which only those are there whose small field is full (APPNOTE 4.5.3).
func (h *header) parseZip64(data []byte) {
	for _, field := range []*int64{&h.size, &h.packed, &h.offset} {
		if *field != math.MaxUint32 || len(data) < 8 {
			continue
		}
		if v := le.Uint64(data); v <= math.MaxInt64 {
			*field = int64(v)
		}
		data = data[8:]
	}
	if h.disk == math.MaxUint16 && len(data) >= 4 {
		h.disk = le.Uint32(data)
	}
}

// encrypted reports whether the header says that the member is encrypted, in any of the ways there are.
func (h *header) encrypted() bool {
	return h.flags&(flagEncrypted|flagStrong|flagMasked) != 0 || h.method == methodAES
}

// sane reports whether the header is one that a program has written, and not four octets that happen to be the same.
func (h *header) sane() bool {
	const unused = 1<<7 | 1<<8 | 1<<9 | 1<<10 | 1<<14 | 1<<15 // APPNOTE 4.4.4
	month, day := h.date>>5&15, h.date&31
	switch {
	case h.version&0xff > 63, h.flags&unused != 0, !knownMethod(h.method), h.wrongExtra, month > 12, h.time>>11 > 24:
		return false
	case len(h.name) == 0 || len(h.name) > 1024, day > 0 && month == 0:
		return false
	}
	for _, c := range h.name {
		if c < ' ' {
			return false
		}
	}
	return true
}

// An ending is an end of central directory record (APPNOTE 4.3.16), with what its ZIP64 form says where there is one.
type ending struct {
	at            int
	disk          uint32 // number of this volume
	first         uint32 // number of the volume in which the directory begins
	count         int64
	size, offset  int64 // of the directory
	before        int   // where the records at the end begin: directly behind the directory
	comment       int   // length that it claims
	exact, listed bool  // its comment ends with the file; it leads to a directory, or to none because it is empty
}

// parseEnd reads an end of central directory record and what stands in front of it.
func parseEnd(b []byte, at int) (*ending, bool) {
	if at < 0 || at > len(b)-endLen || string(b[at:at+4]) != sigEnd {
		return nil, false
	}
	p := b[at:]
	e := &ending{
		at: at, disk: uint32(le.Uint16(p[4:])), first: uint32(le.Uint16(p[6:])), count: int64(le.Uint16(p[10:])),
		size: int64(le.Uint32(p[12:])), offset: int64(le.Uint32(p[16:])), before: at, comment: int(le.Uint16(p[20:])),
	}
	e.exact = at+endLen+e.comment == len(b)
	return e, true
}

// parseEnd64 reads the ZIP64 form of an ending, by its locator or directly in front of that.
func parseEnd64(b []byte, e *ending) (*ending, bool) {
	locator := e.at - locator64Len
	if locator < 0 || string(b[locator:locator+4]) != sigLocator64 {
		return nil, false
	}
	named := le.Uint64(b[locator+8:])
	for _, at := range []int64{int64(min(named, math.MaxInt32)), int64(locator - end64Len)} {
		if at < 0 || at > int64(locator-end64Len) || string(b[at:at+4]) != sigEnd64 {
			continue
		}
		p := b[at:]
		return &ending{
			at: e.at, disk: le.Uint32(p[16:]), first: le.Uint32(p[20:]), count: clamp(le.Uint64(p[32:])), size: clamp(le.Uint64(p[40:])),
			offset: clamp(le.Uint64(p[48:])), before: int(at), comment: e.comment, exact: e.exact,
		}, true
	}
	return nil, false
}

// clamp makes a number of the file one that can be calculated with.
func clamp(v uint64) int64 { return int64(min(v, math.MaxInt64/4)) }
