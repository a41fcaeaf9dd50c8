package rar

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
)

// errDamaged is the error about blocks that make no sense.
var errDamaged = errors.New("damaged")

// errLocked says that headers are encrypted, and no password opens them.
var errLocked = errors.New("encrypted")

// A block is one block of an archive, decrypted.
type block struct {
	kind   uint64
	flags  uint64
	header []byte // all of it
	fields []byte // of the kind, behind the general ones
	extra  []byte // extra area of RAR 5
	data   []byte // what follows the header
	short  bool   // the data is cut off
}

// An entry is one member of an archive.
type entry struct {
	name       string
	size       uint64 // unpacked
	block      block
	dictionary uint64
	solid      bool // needs what was unpacked before
	directory  bool
	link       bool
	split      bool // begins or ends in another volume
	encrypted  bool
	sum        bool // has a checksum that tells whether a password is right
	power      uint // of RAR 5: the rounds of key derivation are a power of two
	salt       []byte
	check      []byte // of RAR 5: tells whether a password is right
}

// An archive is what the headers say.
type archive struct {
	five    bool // RAR 5 and later
	volume  bool
	number  int // of the volume, 0 if it is not told
	locked  bool
	entries []entry
	end     int // octets that were read
}

// A walker reads the blocks of an archive.
type walker struct {
	b    []byte
	at   int
	five bool
	key  func(salt []byte) (key, iv []byte, err error) // of the headers; nil if they are plain
}

// next reads the next block. It returns nil at the end.
func (w *walker) next() (*block, error) {
	if w.at >= len(w.b) {
		return nil, nil
	}
	head, size, err := w.plain()
	if err != nil {
		return nil, err
	}
	parse := parse4
	if w.five {
		parse = parse5
	}
	k, dataSize, err := parse(head)
	if err != nil {
		return nil, err
	}
	if size == 0 {
		size = len(k.header)
	} else {
		size += (len(k.header) + 15) &^ 15
	}
	w.at += size
	if w.at > len(w.b) {
		return nil, errDamaged
	}
	rest := uint64(len(w.b) - w.at)
	k.short = dataSize > rest
	k.data = w.b[w.at : w.at+int(min(dataSize, rest))]
	w.at += len(k.data)
	return &k, nil
}

// maxHeader is how long a header may be (RAR 5.0 archive format, "General archive block format").
const maxHeader = 2<<20 + 16

// plain returns what the next header begins with, decrypted if it is encrypted. Prefix is how many octets of salt or
// initialization vector stand before an encrypted one, 0 for a plain one.
func (w *walker) plain() (head []byte, prefix int, err error) {
	rest := w.b[w.at:]
	if w.key == nil {
		return rest[:min(len(rest), maxHeader)], 0, nil
	}
	prefix = 8
	if w.five {
		prefix = 16
	}
	if len(rest) < prefix+16 {
		return nil, 0, errDamaged
	}
	key, iv, err := w.key(rest[:prefix])
	if err != nil {
		return nil, 0, err
	}
	c, err := aes.NewCipher(key)
	if err != nil {
		return nil, 0, err
	}
	mode := cipher.NewCBCDecrypter(c, iv)
	rest = rest[prefix:]
	head = make([]byte, 16)
	mode.CryptBlocks(head, rest[:16])
	size := headerSize(head, w.five)
	if size > maxHeader || size > len(rest) {
		return nil, 0, errDamaged
	}
	if more := (size+15)&^15 - 16; more > 0 && 16+more <= len(rest) {
		head = append(head, make([]byte, more)...)
		mode.CryptBlocks(head[16:], rest[16:16+more])
	}
	return head, prefix, nil
}

// headerSize returns how long the header is that begins with head.
func headerSize(head []byte, five bool) int {
	if !five {
		return int(binary.LittleEndian.Uint16(head[5:]))
	}
	size, n := binary.Uvarint(head[4:])
	if n <= 0 || size > maxHeader {
		return maxHeader + 1
	}
	return 4 + n + int(size)
}

// The kinds and flags of blocks of RAR 1.5 to 4 (technote.txt of unrar 4).
const (
	main4       = 0x73
	file4       = 0x74
	end4        = 0x7b
	longBlock4  = 0x8000
	volume4     = 0x0001
	solid4      = 0x0008
	encrypted4  = 0x0080
	before4     = 0x0001
	after4      = 0x0002
	password4   = 0x0004
	solidFile4  = 0x0010
	window4     = 0x00e0
	large4      = 0x0100
	salt4       = 0x0400
	method4Copy = 0x30
)

// parse4 reads a block of RAR 1.5 to 4.
func parse4(b []byte) (k block, data uint64, err error) {
	if len(b) < 7 {
		return k, 0, errDamaged
	}
	size := int(binary.LittleEndian.Uint16(b[5:]))
	k.kind, k.flags = uint64(b[2]), uint64(binary.LittleEndian.Uint16(b[3:]))
	if size < 7 || size > len(b) {
		return k, 0, errDamaged
	}
	k.header, k.fields = b[:size], b[7:size]
	if k.kind == main4 || k.kind == file4 || k.kind == end4 {
		checked := k.header
		if k.kind == main4 && size > 13 {
			checked = k.header[:13] // a comment may be inside of the block
		}
		if uint16(crc32.ChecksumIEEE(checked[2:])) != binary.LittleEndian.Uint16(b) && uint16(crc32.ChecksumIEEE(k.header[2:])) != binary.LittleEndian.Uint16(b) {
			return k, 0, errDamaged
		}
	}
	if k.flags&longBlock4 != 0 || k.kind == file4 {
		if len(k.fields) < 4 {
			return k, 0, errDamaged
		}
		data = uint64(binary.LittleEndian.Uint32(k.fields))
	}
	if k.kind == file4 && k.flags&large4 != 0 && len(k.fields) >= 33 {
		data |= uint64(binary.LittleEndian.Uint32(k.fields[25:])) << 32
	}
	return k, data, nil
}

// entry4 reads the block of a file.
func entry4(k *block) (e entry, err error) {
	b := k.fields
	if len(b) < 25 {
		return e, errDamaged
	}
	e = entry{block: *k, size: uint64(binary.LittleEndian.Uint32(b[4:])), sum: true,
		split: k.flags&(before4|after4) != 0, encrypted: k.flags&password4 != 0, solid: k.flags&solidFile4 != 0,
		directory: k.flags&window4 == window4}
	if !e.directory && b[18] != method4Copy {
		e.dictionary = 64 << 10 << (k.flags & window4 >> 5)
	}
	nameLength := int(binary.LittleEndian.Uint16(b[19:]))
	at := 25
	if k.flags&large4 != 0 && len(b) >= 33 {
		e.size |= uint64(binary.LittleEndian.Uint32(b[29:])) << 32
		at = 33
	}
	if at+nameLength > len(b) {
		return e, errDamaged
	}
	name, _, _ := strings.Cut(string(b[at:at+nameLength]), "\x00")
	e.name = strings.ReplaceAll(name, "\\", "/")
	at += nameLength
	if k.flags&salt4 != 0 && at+8 <= len(b) {
		e.salt = b[at : at+8]
	}
	return e, nil
}

// The kinds and flags of blocks of RAR 5 (RAR 5.0 archive format, "General archive block format").
const (
	main5      = 1
	file5      = 2
	encrypt5   = 4
	end5       = 5
	hasExtra5  = 0x0001
	hasData5   = 0x0002
	before5    = 0x0008
	after5     = 0x0010
	volume5    = 0x0001
	number5    = 0x0002
	directory5 = 0x0001
	time5      = 0x0002
	crc5       = 0x0004
	unknown5   = 0x0008
	crypt5     = 1
	redirect5  = 5
)

// A cursor reads fields. After an error all it reads is zero.
type cursor struct {
	b   []byte
	err error
}

// take returns the next n octets.
func (c *cursor) take(n uint64) []byte {
	if n > uint64(len(c.b)) {
		c.b, c.err = nil, errDamaged
		return nil
	}
	b := c.b[:n]
	c.b = c.b[n:]
	return b
}

// vint reads a number of variable length.
func (c *cursor) vint() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.b, c.err = nil, errDamaged
		return 0
	}
	c.b = c.b[n:]
	return v
}

// parse5 reads a block of RAR 5.
func parse5(b []byte) (k block, data uint64, err error) {
	if len(b) < 7 {
		return k, 0, errDamaged
	}
	size := headerSize(b, true)
	if size > len(b) || size < 7 || crc32.ChecksumIEEE(b[4:size]) != binary.LittleEndian.Uint32(b) {
		return k, 0, errDamaged
	}
	k.header = b[:size]
	c := &cursor{b: b[4:size]}
	c.vint()
	k.kind, k.flags = c.vint(), c.vint()
	var extra uint64
	if k.flags&hasExtra5 != 0 {
		extra = c.vint()
	}
	if k.flags&hasData5 != 0 {
		data = c.vint()
	}
	if c.err != nil || extra > uint64(len(c.b)) {
		return k, 0, errDamaged
	}
	k.fields, k.extra = c.b[:len(c.b)-int(extra)], c.b[len(c.b)-int(extra):]
	return k, data, nil
}

// entry5 reads the block of a file ("File header and service header").
func entry5(k *block) (entry, error) {
	c := &cursor{b: k.fields}
	flags := c.vint()
	e := entry{block: *k, split: k.flags&(before5|after5) != 0, directory: flags&directory5 != 0}
	e.size = c.vint()
	c.vint()
	if flags&time5 != 0 {
		c.take(4)
	}
	if flags&crc5 != 0 {
		c.take(4)
		e.sum = true
	}
	how := c.vint()
	c.vint()
	e.name = string(c.take(c.vint()))
	e.solid = how&0x40 != 0
	if how>>7&7 != 0 {
		e.dictionary = 128 << 10 << (how >> 10 & 31)
		if how&0x3f == 1 { // RAR 7
			e.dictionary += e.dictionary / 32 * (how >> 15 & 31)
		}
		if !e.solid && flags&unknown5 == 0 {
			e.dictionary = min(e.dictionary, max(e.size, 256<<10))
		}
	}
	if c.err == nil {
		c.err = e.extras(k.extra)
	}
	return e, c.err
}

// extras reads the extra area.
func (e *entry) extras(b []byte) error {
	c := &cursor{b: b}
	for len(c.b) > 0 {
		r := &cursor{b: c.take(c.vint())}
		switch kind := r.vint(); {
		case c.err != nil:
			return c.err
		case kind == redirect5:
			e.link = true
		case kind == crypt5:
			e.encrypted = true
			p := parsePassword(r)
			e.power, e.salt, e.check = p.power, p.salt, p.check
			if r.err != nil {
				return r.err
			}
		}
	}
	return nil
}

// A password5 is what RAR 5 says about a password.
type password5 struct {
	power       uint
	salt, check []byte
}

// parsePassword reads a file encryption record, or the block about encrypted headers, which has no initialization vector.
func parsePassword(c *cursor) (p password5) {
	if c.vint() != 0 {
		c.err = errDamaged
	}
	flags := c.vint()
	if n := c.take(1); n != nil {
		p.power = uint(n[0])
	}
	p.salt = c.take(16)
	if len(c.b) >= 16+12 || flags&1 == 0 && len(c.b) >= 16 {
		c.take(16)
	}
	if flags&1 != 0 {
		p.check = c.take(12)
	}
	return p
}
