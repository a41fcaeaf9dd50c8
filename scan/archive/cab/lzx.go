package cab

import "encoding/binary"

// The sizes of LZX ([MS-PATCH] 2.6).
const (
	frameSize   = 32 << 10
	numLengths  = 249
	numPretree  = 20
	maxCodeBits = 16
)

// A tree is a canonical Huffman code: how many codes there are of each length, and the symbols in the order of their codes.
type tree struct {
	counts  [maxCodeBits + 1]int
	symbols []uint16
}

// newTree makes a tree of the lengths of the codes. A tree without codes is valid as long as nothing is read with it.
func newTree(lengths []byte) (*tree, error) {
	t := new(tree)
	for _, n := range lengths {
		t.counts[n]++
	}
	t.counts[0] = 0
	left, next := 1, [maxCodeBits + 2]int{}
	for n := 1; n <= maxCodeBits; n++ {
		if left = left<<1 - t.counts[n]; left < 0 {
			return nil, errDamaged
		}
		next[n+1] = next[n] + t.counts[n]
	}
	t.symbols = make([]uint16, next[maxCodeBits+1])
	for symbol, n := range lengths {
		if n > 0 {
			t.symbols[next[n]] = uint16(symbol)
			next[n]++
		}
	}
	return t, nil
}

// bitReader reads bits from words of 16 bits, the highest bit first. Behind the end it reads zeros, a few of which are allowed.
type bitReader struct {
	b    []byte
	at   int
	bits uint64
	n    uint
	over int // words that were read behind the end
}

// need makes n bits available.
func (r *bitReader) need(n uint) {
	for r.n < n {
		var word uint64
		if r.at+2 <= len(r.b) {
			word = uint64(binary.LittleEndian.Uint16(r.b[r.at:]))
		} else {
			r.over++
		}
		r.at += 2
		r.bits = r.bits<<16 | word
		r.n += 16
	}
}

// take returns the next n bits, at most 32.
func (r *bitReader) take(n uint) uint32 {
	r.need(n)
	r.n -= n
	return uint32(r.bits >> r.n & (1<<n - 1))
}

// symbol reads a symbol.
func (r *bitReader) symbol(t *tree) (int, error) {
	r.need(maxCodeBits)
	code, first, index := 0, 0, 0
	for n := 1; n <= maxCodeBits; n++ {
		code |= int(r.bits >> (r.n - uint(n)) & 1)
		count := t.counts[n]
		if code-first < count {
			r.n -= uint(n)
			return int(t.symbols[index+code-first]), nil
		}
		index += count
		first = (first + count) << 1
		code <<= 1
	}
	return 0, errDamaged
}

// An lzx undoes LZX, frame by frame: the data blocks of a cabinet begin with a new word each.
type lzx struct {
	window    []byte
	pos       int // octets written so far
	in        bitReader
	recent    [3]int // offsets
	kind      uint32 // of the block
	left      int    // octets of the block
	odd       bool   // an uncompressed block of odd size is followed by an octet to skip
	mainSizes []byte // lengths of codes, which the next block changes
	lenSizes  [numLengths]byte
	main      *tree
	length    *tree
	aligned   *tree
	started   bool
	e8Size    int32 // of the file, for the translation of calls; 0 for none
}

// The kinds of blocks.
const (
	verbatimBlock = 1
	alignedBlock  = 2
	plainBlock    = 3
)

// newLZX returns a decompressor for a window of so many bits.
func newLZX(bits uint) *lzx {
	slots := map[uint]int{15: 30, 16: 32, 17: 34, 18: 36, 19: 38, 20: 42, 21: 50}[bits]
	return &lzx{window: make([]byte, 1<<bits), recent: [3]int{1, 1, 1}, mainSizes: make([]byte, 256+8*slots)}
}

// frame decompresses one frame.
func (z *lzx) frame(packed []byte, size int) ([]byte, error) {
	z.in = bitReader{b: packed}
	if !z.started {
		z.started = true
		if z.in.take(1) != 0 {
			high := z.in.take(16)
			z.e8Size = int32(high<<16 | z.in.take(16))
		}
	}
	start := z.pos
	for z.pos < start+size {
		if z.left == 0 {
			if err := z.block(); err != nil {
				z.left = 0 // its trees are not all there
				return nil, err
			}
		}
		if err := z.run(min(z.left, start+size-z.pos)); err != nil {
			return nil, err
		}
		if z.in.over > 2 {
			return nil, errDamaged
		}
	}
	if z.left == 0 && z.in.at < len(z.in.b) { // the octet to skip is in this frame
		z.odd = false
	}
	out := make([]byte, size)
	for i := range out {
		out[i] = z.window[(start+i)%len(z.window)]
	}
	z.translate(out, start)
	return out, nil
}

// block reads the header of a block ([MS-PATCH] 2.3).
func (z *lzx) block() error {
	if z.odd && z.in.at < len(z.in.b) {
		z.in.at++
	}
	z.odd = false
	z.kind = z.in.take(3)
	high := z.in.take(16)
	z.left = int(high<<8 | z.in.take(8))
	if z.left == 0 {
		return errDamaged
	}
	switch z.kind {
	case verbatimBlock:
		return z.trees()
	case alignedBlock:
		var sizes [8]byte
		for i := range sizes {
			sizes[i] = byte(z.in.take(3))
		}
		var err error
		if z.aligned, err = newTree(sizes[:]); err != nil {
			return err
		}
		return z.trees()
	case plainBlock:
		return z.plain()
	}
	return errDamaged
}

// plain begins an uncompressed block: one to sixteen bits are skipped, and the recent offsets follow.
func (z *lzx) plain() error {
	if z.in.n%16 == 0 {
		z.in.take(16)
	}
	z.in.at -= int(z.in.n / 16 * 2)
	z.in.n = 0
	if z.in.at+12 > len(z.in.b) {
		return errDamaged
	}
	for i := range z.recent {
		z.recent[i] = int(binary.LittleEndian.Uint32(z.in.b[z.in.at:]))
		z.in.at += 4
	}
	z.odd = z.left&1 != 0
	return nil
}

// trees reads the lengths of the codes of a block ([MS-PATCH] 2.4).
func (z *lzx) trees() (err error) {
	for _, part := range [][]byte{z.mainSizes[:256], z.mainSizes[256:], z.lenSizes[:]} {
		if err := z.lengths(part); err != nil {
			return err
		}
	}
	if z.main, err = newTree(z.mainSizes); err != nil {
		return err
	}
	z.length, err = newTree(z.lenSizes[:])
	return err
}

// lengths reads how lengths differ from those of the block before.
func (z *lzx) lengths(sizes []byte) error {
	var pre [numPretree]byte
	for i := range pre {
		pre[i] = byte(z.in.take(4))
	}
	t, err := newTree(pre[:])
	if err != nil {
		return err
	}
	for i := 0; i < len(sizes); {
		code, err := z.in.symbol(t)
		if err != nil || z.in.over > 2 {
			return errDamaged
		}
		n, value := 1, byte(0)
		switch code {
		case 17:
			n = 4 + int(z.in.take(4))
		case 18:
			n = 20 + int(z.in.take(5))
		case 19:
			n = 4 + int(z.in.take(1))
			if code, err = z.in.symbol(t); err != nil || code > 16 {
				return errDamaged
			}
			value = (sizes[i] + 17 - byte(code)) % 17
		default:
			value = (sizes[i] + 17 - byte(code)) % 17
		}
		for ; n > 0 && i < len(sizes); n, i = n-1, i+1 {
			sizes[i] = value
		}
	}
	return nil
}

// run writes n octets of the block; a match may not write more.
func (z *lzx) run(n int) error {
	if z.kind == plainBlock {
		return z.copyPlain(n)
	}
	for n > 0 {
		symbol, err := z.in.symbol(z.main)
		if err != nil || z.in.over > 2 {
			return errDamaged
		}
		if symbol < 256 {
			z.put(byte(symbol))
			n--
			z.left--
			continue
		}
		length, offset, err := z.match(symbol - 256)
		if err != nil || length > n || offset < 1 || offset > len(z.window) || offset > z.pos {
			return errDamaged
		}
		for range length {
			z.put(z.window[(z.pos-offset)%len(z.window)])
		}
		n -= length
		z.left -= length
	}
	return nil
}

// put writes one octet.
func (z *lzx) put(c byte) {
	z.window[z.pos%len(z.window)] = c
	z.pos++
}

// copyPlain copies octets of an uncompressed block.
func (z *lzx) copyPlain(n int) error {
	if z.in.at+n > len(z.in.b) {
		return errDamaged
	}
	for _, c := range z.in.b[z.in.at : z.in.at+n] {
		z.put(c)
	}
	z.in.at += n
	z.left -= n
	return nil
}

// match reads the rest of a match ([MS-PATCH] 2.5).
func (z *lzx) match(symbol int) (length, offset int, err error) {
	if length = symbol & 7; length == 7 {
		more, err := z.in.symbol(z.length)
		if err != nil {
			return 0, 0, err
		}
		length += more
	}
	length += 2
	slot := symbol >> 3
	if slot < 3 {
		offset = z.recent[slot]
		z.recent[slot] = z.recent[0]
		z.recent[0] = offset
		return length, offset, nil
	}
	base, extra := position(slot)
	offset = base - 2
	if z.kind == alignedBlock && extra >= 3 {
		offset += int(z.in.take(extra-3)) << 3
		low, err := z.in.symbol(z.aligned)
		if err != nil {
			return 0, 0, err
		}
		offset += low
	} else {
		offset += int(z.in.take(extra))
	}
	z.recent = [3]int{offset, z.recent[0], z.recent[1]}
	return length, offset, nil
}

// position returns the first offset of a slot, and how many bits are added to it.
func position(slot int) (base int, extra uint) {
	if slot < 4 {
		return slot, 0
	}
	extra = min(uint(slot)/2-1, 17)
	if extra < 17 {
		return (2 + slot&1) << extra, extra
	}
	return (slot - 34) << 17, extra
}

// translate turns the absolute targets of calls back into relative ones ([MS-PATCH] 2.2). The last ten octets of a frame stay.
func (z *lzx) translate(out []byte, start int) {
	if z.e8Size == 0 || start >= 1<<30 {
		return
	}
	for i := 0; i < len(out)-10; i++ {
		if out[i] != 0xe8 {
			continue
		}
		here := int32(start + i)
		target := int32(binary.LittleEndian.Uint32(out[i+1:]))
		switch {
		case target >= 0 && target < z.e8Size:
			target -= here
		case target < 0 && target >= -here:
			target += z.e8Size
		default:
			i += 4
			continue
		}
		binary.LittleEndian.PutUint32(out[i+1:], uint32(target))
		i += 4
	}
}
