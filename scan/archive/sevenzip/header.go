package sevenzip

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"unicode/utf16"
)

// The property identifiers of 7zFormat.txt, "Property IDs".
const (
	idEnd              = 0x00
	idHeader           = 0x01
	idArchiveProps     = 0x02
	idAdditional       = 0x03
	idMainStreams      = 0x04
	idFiles            = 0x05
	idPackInfo         = 0x06
	idUnpackInfo       = 0x07
	idSubStreams       = 0x08
	idSize             = 0x09
	idCRC              = 0x0a
	idFolder           = 0x0b
	idCodersUnpackSize = 0x0c
	idNumUnpackStream  = 0x0d
	idEmptyStream      = 0x0e
	idEmptyFile        = 0x0f
	idAnti             = 0x10
	idNames            = 0x11
	idAttributes       = 0x15
	idEncodedHeader    = 0x17
)

// maxCoders is how many coders one folder may chain; 7-Zip writes at most seven.
const maxCoders = 32

// errHeader is the error about headers that make no sense.
var errHeader = errors.New("damaged header")

// A coder is one step of decompression.
type coder struct {
	id         string // octets of the method
	in, out    int
	properties []byte
}

// A bind leads an output of a coder to the input of another one.
type bind struct{ in, out int }

// A checksum is a CRC-32 that may be missing.
type checksum struct {
	sum   uint32
	known bool
}

// holds reports whether octets have this checksum.
func (c checksum) holds(b []byte) bool { return !c.known || crc32.ChecksumIEEE(b) == c.sum }

// A folder is what is decompressed in one go: streams that went through coders.
type folder struct {
	coders []coder
	binds  []bind
	packed []int    // inputs that are fed by the packed streams
	sizes  []uint64 // of the outputs
	crc    checksum
	packs  [][]byte // the packed streams
}

// A substream is a part of what a folder holds.
type substream struct {
	folder int
	size   uint64
	crc    checksum
}

// An entry is one item of the archive.
type entry struct {
	name      string
	hasStream bool
	directory bool
	anti      bool // says that a file is to be deleted
}

// A header is all that the headers say.
type header struct {
	folders []folder
	streams []substream
	entries []entry
}

// A cursor reads a header. After an error all it reads is zero.
type cursor struct {
	b   []byte
	err error
}

// fail remembers that the header makes no sense.
func (c *cursor) fail() {
	c.err, c.b = errHeader, nil
}

// take returns the next n octets, nil if there are fewer.
func (c *cursor) take(n uint64) []byte {
	if n > uint64(len(c.b)) {
		c.fail()
		return nil
	}
	b := c.b[:n]
	c.b = c.b[n:]
	return b
}

// octet returns the next octet.
func (c *cursor) octet() byte {
	if b := c.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

// uint32 returns the next four octets.
func (c *cursor) uint32() uint32 {
	if b := c.take(4); len(b) == 4 {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// number reads a NUMBER (7zFormat.txt, "Data types"): the ones at the top of the first octet count the octets that follow.
func (c *cursor) number() (v uint64) {
	first := c.octet()
	mask := byte(0x80)
	for i := range 8 {
		if first&mask == 0 {
			return v | uint64(first&(mask-1))<<(8*i)
		}
		v |= uint64(c.octet()) << (8 * i)
		mask >>= 1
	}
	return v
}

// maxItems is how many folders, streams or entries a header may announce: space is set aside for them.
const maxItems = 1 << 17

// count reads how many things follow, each of at least one bit.
func (c *cursor) count() int {
	n := c.number()
	if n > uint64(len(c.b))*8 {
		c.fail()
		return 0
	}
	if n > maxItems {
		c.err, c.b = refusal("more than 131072 members"), nil
		return 0
	}
	return int(n)
}

// bits reads a vector of n booleans.
func (c *cursor) bits(n int) []bool {
	b := c.take(uint64(n+7) / 8)
	if b == nil {
		return make([]bool, 0)
	}
	v := make([]bool, n)
	for i := range v {
		v[i] = b[i/8]&(0x80>>(i%8)) != 0
	}
	return v
}

// checksums reads n Digests.
func (c *cursor) checksums(n int) []checksum {
	sums := make([]checksum, n)
	if c.octet() != 0 {
		for i := range sums {
			sums[i].known = true
		}
	} else {
		for i, known := range c.bits(n) {
			sums[i].known = known
		}
	}
	for i := range sums {
		if sums[i].known {
			sums[i].sum = c.uint32()
		}
		if c.err != nil {
			return nil
		}
	}
	return sums
}

// parseHeader reads a Header.
func parseHeader(b, octets []byte) (*header, error) {
	c := &cursor{b: b}
	h := new(header)
	if c.octet() != idHeader {
		c.fail()
	}
	for id := c.octet(); id != idEnd && c.err == nil; id = c.octet() {
		switch id {
		case idArchiveProps:
			for c.octet() != idEnd && c.err == nil {
				c.take(c.number())
			}
		case idAdditional:
			c.streamsInfo(octets, new(header))
		case idMainStreams:
			c.streamsInfo(octets, h)
		case idFiles:
			c.filesInfo(h)
		default:
			c.fail()
		}
	}
	return h, c.err
}

// parseEncoded reads what an EncodedHeader says about the header it stands for.
func parseEncoded(b, octets []byte) (*header, error) {
	c := &cursor{b: b[1:]}
	h := new(header)
	c.streamsInfo(octets, h)
	if c.err == nil && len(h.folders) != 1 {
		c.fail()
	}
	return h, c.err
}

// streamsInfo reads StreamsInfo. Octets are what the packed streams lie in.
func (c *cursor) streamsInfo(octets []byte, h *header) {
	var position uint64
	var packs []uint64
	for id := c.octet(); id != idEnd && c.err == nil; id = c.octet() {
		switch id {
		case idPackInfo:
			position, packs = c.packInfo()
		case idUnpackInfo:
			c.unpackInfo(h)
			h.streams = wholeFolders(h)
		case idSubStreams:
			c.subStreams(h)
		default:
			c.fail()
		}
	}
	c.distribute(h, octets, position, packs)
}

// wholeFolders are the substreams where every folder is one.
func wholeFolders(h *header) []substream {
	streams := make([]substream, len(h.folders))
	for i := range h.folders {
		streams[i] = substream{i, h.folders[i].size(), h.folders[i].crc}
	}
	return streams
}

// packInfo reads PackInfo.
func (c *cursor) packInfo() (position uint64, sizes []uint64) {
	position = c.number()
	sizes = make([]uint64, c.count())
	for id := c.octet(); id != idEnd && c.err == nil; id = c.octet() {
		switch id {
		case idSize:
			for i := range sizes {
				sizes[i] = c.number()
			}
		case idCRC:
			c.checksums(len(sizes))
		default:
			c.fail()
		}
	}
	return position, sizes
}

// distribute gives every folder its packed streams. One that is not in the file in full stays short.
func (c *cursor) distribute(h *header, octets []byte, position uint64, sizes []uint64) {
	at := position
	for i := range h.folders {
		f := &h.folders[i]
		if len(f.packed) > len(sizes) {
			c.fail()
			return
		}
		for _, size := range sizes[:len(f.packed)] {
			start := min(at, uint64(len(octets)))
			end := min(start+min(size, 1<<62), uint64(len(octets)))
			f.packs = append(f.packs, octets[start:end])
			at += min(size, 1<<62-min(at, 1<<62))
		}
		sizes = sizes[len(f.packed):]
	}
}

// unpackInfo reads CodersInfo.
func (c *cursor) unpackInfo(h *header) {
	if c.octet() != idFolder {
		c.fail()
	}
	n := c.count()
	if c.octet() != 0 { // the folders are in an additional stream, which no program writes
		c.fail()
	}
	for i := 0; i < n && c.err == nil; i++ {
		h.folders = append(h.folders, c.folder())
	}
	if c.octet() != idCodersUnpackSize {
		c.fail()
	}
	for i := range h.folders {
		for range h.folders[i].coders {
			h.folders[i].sizes = append(h.folders[i].sizes, c.number())
		}
	}
	for id := c.octet(); id != idEnd && c.err == nil; id = c.octet() {
		if id != idCRC {
			c.fail()
			return
		}
		for i, sum := range c.checksums(len(h.folders)) {
			h.folders[i].crc = sum
		}
	}
}

// folder reads a Folder.
func (c *cursor) folder() (f folder) {
	n := c.count()
	if n == 0 || n > maxCoders {
		c.fail()
		return f
	}
	inputs := 0
	for i := 0; i < n && c.err == nil; i++ {
		f.coders = append(f.coders, c.coder())
		inputs += f.coders[i].in
	}
	for range n - 1 {
		f.binds = append(f.binds, bind{c.index(inputs), c.index(n)})
	}
	if inputs < n || c.err != nil {
		c.fail()
		return f
	}
	if inputs == n { // a single packed stream feeds the only input that is free
		for in := range inputs {
			if f.source(in) < 0 {
				f.packed = append(f.packed, in)
			}
		}
	} else {
		for range inputs - n + 1 {
			f.packed = append(f.packed, c.index(inputs))
		}
	}
	if len(f.packed) != inputs-n+1 {
		c.fail()
	}
	return f
}

// index reads a number below n.
func (c *cursor) index(n int) int {
	v := c.number()
	if v >= uint64(n) {
		c.fail()
		return 0
	}
	return int(v)
}

// coder reads a Coder. Those with several outputs are of the first versions of the format only.
func (c *cursor) coder() coder {
	flags := c.octet()
	k := coder{id: string(c.take(uint64(flags & 0xf))), in: 1, out: 1}
	if flags&0x10 != 0 {
		k.in, k.out = c.index(maxCoders), c.index(maxCoders)
	}
	if flags&0x20 != 0 {
		k.properties = c.take(c.number())
	}
	if flags&0xc0 != 0 || k.in == 0 || k.out != 1 {
		c.fail()
	}
	return k
}

// source returns the output that leads to an input, -1 if a packed stream does.
func (f *folder) source(in int) int {
	for _, b := range f.binds {
		if b.in == in {
			return b.out
		}
	}
	return -1
}

// last returns the coder whose output is what the folder holds, -1 if there is none.
func (f *folder) last() int {
	for i := range f.coders {
		bound := false
		for _, b := range f.binds {
			bound = bound || b.out == i
		}
		if !bound {
			return i
		}
	}
	return -1
}

// size returns how much the folder holds.
func (f *folder) size() uint64 {
	if i := f.last(); i >= 0 && i < len(f.sizes) {
		return f.sizes[i]
	}
	return 0
}

// packedSize returns how many octets it is made of.
func (f *folder) packedSize() (n int64) {
	for _, p := range f.packs {
		n += int64(len(p))
	}
	return n
}

// subStreams reads SubStreamsInfo.
func (c *cursor) subStreams(h *header) {
	counts := make([]int, len(h.folders))
	for i := range counts {
		counts[i] = 1
	}
	id := c.octet()
	if id == idNumUnpackStream {
		for i := range counts {
			counts[i] = c.count()
		}
		id = c.octet()
	}
	h.streams = nil
	for i, n := range counts {
		c.partition(h, i, n, id == idSize)
	}
	if id == idSize {
		id = c.octet()
	}
	for ; id != idEnd && c.err == nil; id = c.octet() {
		if id != idCRC {
			c.fail()
			return
		}
		c.streamChecksums(h)
	}
}

// partition reads the sizes of the substreams of a folder, but for the last: it gets the rest.
func (c *cursor) partition(h *header, folder, n int, sized bool) {
	rest := h.folders[folder].size()
	for k := range n {
		if c.err != nil {
			return
		}
		s := substream{folder: folder, size: rest}
		if k < n-1 {
			if !sized {
				c.fail()
				return
			}
			s.size = c.number()
		}
		if s.size > rest {
			c.fail()
			return
		}
		if rest -= s.size; n == 1 {
			s.crc = h.folders[folder].crc
		}
		h.streams = append(h.streams, s)
	}
}

// streamChecksums reads the checksums of the substreams that have none by their folder.
func (c *cursor) streamChecksums(h *header) {
	var without []int
	for i := range h.streams {
		if !h.streams[i].crc.known {
			without = append(without, i)
		}
	}
	if len(without) > len(c.b)*8 {
		c.fail()
		return
	}
	for i, sum := range c.checksums(len(without)) {
		h.streams[without[i]].crc = sum
	}
}

// filesInfo reads FilesInfo.
func (c *cursor) filesInfo(h *header) {
	h.entries = make([]entry, c.count())
	for i := range h.entries {
		h.entries[i].hasStream = true
	}
	var empty []int
	for id := c.octet(); id != idEnd && c.err == nil; id = c.octet() {
		p := &cursor{b: c.take(c.number())}
		switch id {
		case idEmptyStream:
			empty = nil
			for i, without := range p.bits(len(h.entries)) {
				if h.entries[i].hasStream, h.entries[i].directory = !without, without; without {
					empty = append(empty, i)
				}
			}
		case idEmptyFile:
			for i, file := range p.bits(len(empty)) {
				h.entries[empty[i]].directory = !file
			}
		case idAnti:
			for i, anti := range p.bits(len(empty)) {
				h.entries[empty[i]].anti = anti
			}
		case idNames:
			p.names(h)
		}
		if p.err != nil {
			c.fail()
		}
	}
}

// names reads the names, in UTF-16LE with NUL behind each.
func (c *cursor) names(h *header) {
	if c.octet() != 0 {
		c.fail()
		return
	}
	var units []uint16
	for i := range h.entries {
		units = units[:0]
		for {
			b := c.take(2)
			if b == nil {
				return
			}
			u := binary.LittleEndian.Uint16(b)
			if u == 0 {
				break
			}
			units = append(units, u)
		}
		h.entries[i].name = string(utf16.Decode(units))
	}
}
