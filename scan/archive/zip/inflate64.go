package zip

import (
	"errors"
	"io"
	"math/bits"
)

// Deflate64 (APPNOTE 5.5) is DEFLATE (RFC 1951) with a window of 64 KiB: two more distance codes, and a code 285 for lengths
// that has 16 extra bits and begins at 3.

var errInflate64 = errors.New("zip: corrupt deflate64 data")

const window64 = 1 << 16

// fastBits is the length of codes that are looked up at once.
const fastBits = 9

// A huffman is a canonical prefix code (RFC 1951 Section 3.2.2): how many codes each length has, and the symbols in the order
// of their codes. Of short codes, fast has the symbol and, in the low four bits, the length.
type huffman struct {
	count  [16]uint16
	symbol [288]uint16
	fast   [1 << fastBits]uint16
}

// build makes the code of the lengths. It refuses what is over-subscribed.
func (h *huffman) build(lengths []byte) error {
	h.count = [16]uint16{}
	for _, n := range lengths {
		h.count[n]++
	}
	h.count[0] = 0
	left := 1
	var next [16]uint16
	for n := 1; n < 16; n++ {
		left = left<<1 - int(h.count[n])
		if left < 0 {
			return errInflate64
		}
		next[n] = next[n-1] + h.count[n-1]
	}
	for symbol, n := range lengths {
		if n != 0 {
			h.symbol[next[n]] = uint16(symbol)
			next[n]++
		}
	}
	h.speed()
	return nil
}

// speed fills the table of short codes, which are in the stream with their first bit lowest.
func (h *huffman) speed() {
	clear(h.fast[:])
	code, index := 0, 0
	for n := 1; n <= fastBits; n++ {
		for range h.count[n] {
			reversed := int(bits.Reverse16(uint16(code)) >> (16 - n))
			for at := reversed; at < len(h.fast); at += 1 << n {
				h.fast[at] = h.symbol[index]<<4 | uint16(n)
			}
			code++
			index++
		}
		code <<= 1
	}
}

// An inflate64 unpacks Deflate64. It keeps the window, and at most one match more than it was asked for.
type inflate64 struct {
	in            io.ByteReader
	bits          uint32
	have          uint
	window        [window64]byte
	at, pending   int // where the next octet is written, and how many before it are not read yet
	filled        int
	lit, dist     huffman
	length, from  int // what is left of a match, and its distance
	stored        int // what is left of a stored block; -1 outside of one
	inBlock, last bool
	err           error
}

func newInflate64(in io.ByteReader) *inflate64 { return &inflate64{in: in, stored: -1} }

// Read implements io.Reader.
func (z *inflate64) Read(p []byte) (int, error) {
	for z.pending == 0 {
		if z.err != nil {
			return 0, z.err
		}
		// A quarter of the window at once keeps what is not read yet from being overwritten.
		for z.pending < window64/4 && z.err == nil {
			z.err = z.step()
		}
	}
	n := 0
	for n < len(p) && z.pending > 0 {
		start := (z.at - z.pending) & (window64 - 1)
		run := min(z.pending, window64-start)
		copied := copy(p[n:], z.window[start:start+run])
		n += copied
		z.pending -= copied
	}
	return n, nil
}

// step makes one octet of a match or a stored block, or decodes one symbol.
func (z *inflate64) step() error {
	switch {
	case z.length > 0:
		for range min(z.length, window64/4) {
			z.put(z.window[(z.at-z.from)&(window64-1)])
			z.length--
		}
		return nil
	case z.stored > 0:
		c, err := z.take(8)
		if err != nil {
			return err
		}
		z.stored--
		z.put(byte(c))
		return nil
	case z.stored == 0:
		z.stored, z.inBlock = -1, false
		return nil
	case z.inBlock:
		return z.decode()
	case z.last:
		return io.EOF
	}
	return z.block()
}

func (z *inflate64) put(c byte) {
	z.window[z.at] = c
	z.at = (z.at + 1) & (window64 - 1)
	z.pending++
	z.filled = min(z.filled+1, window64)
}

// take returns the next n bits, n at most 16.
func (z *inflate64) take(n uint) (int, error) {
	for z.have < n {
		c, err := z.in.ReadByte()
		if err != nil {
			return 0, unexpected(err)
		}
		z.bits |= uint32(c) << z.have
		z.have += 8
	}
	v := int(z.bits & (1<<n - 1))
	z.bits >>= n
	z.have -= n
	return v, nil
}

// symbol decodes one symbol: a short code at once if its bits are there, another one bit by bit.
func (z *inflate64) symbol(h *huffman) (int, error) {
	for z.have < fastBits {
		c, err := z.in.ReadByte()
		if err != nil {
			break // the last codes may be shorter
		}
		z.bits |= uint32(c) << z.have
		z.have += 8
	}
	if entry := h.fast[z.bits&(1<<fastBits-1)]; entry != 0 && uint(entry&15) <= z.have {
		z.bits >>= entry & 15
		z.have -= uint(entry & 15)
		return int(entry >> 4), nil
	}
	code, first, index := 0, 0, 0
	for n := 1; n < 16; n++ {
		bit, err := z.take(1)
		if err != nil {
			return 0, err
		}
		code |= bit
		count := int(h.count[n])
		if code-count < first {
			return int(h.symbol[index+code-first]), nil
		}
		index += count
		first = (first + count) << 1
		code <<= 1
	}
	return 0, errInflate64
}

// block reads the head of a block (RFC 1951 Section 3.2.3).
func (z *inflate64) block() error {
	head, err := z.take(3)
	if err != nil {
		return err
	}
	z.last = head&1 != 0
	z.inBlock = true
	switch head >> 1 {
	case 0:
		return z.storedBlock()
	case 1:
		return z.fixedCodes()
	case 2:
		return z.dynamicCodes()
	}
	return errInflate64
}

// storedBlock reads the length of a block that is not compressed (RFC 1951 Section 3.2.4).
func (z *inflate64) storedBlock() error {
	if _, err := z.take(z.have & 7); err != nil {
		return err
	}
	n, err := z.take(16)
	if err != nil {
		return err
	}
	inverse, err := z.take(16)
	if err != nil {
		return err
	}
	if n != inverse^0xffff {
		return errInflate64
	}
	z.stored = n
	return nil
}

// fixedCodes sets the codes of RFC 1951 Section 3.2.6.
func (z *inflate64) fixedCodes() error {
	var lengths [288]byte
	for i := range lengths {
		switch {
		case i < 144, i >= 280:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		default:
			lengths[i] = 7
		}
	}
	if err := z.lit.build(lengths[:]); err != nil {
		return err
	}
	for i := range 32 {
		lengths[i] = 5
	}
	return z.dist.build(lengths[:32])
}

// codeOrder is the order in which the lengths of the code of code lengths are written (RFC 1951 Section 3.2.7). It is never
// written.
var codeOrder = [19]byte{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// dynamicCodes reads the codes of a block (RFC 1951 Section 3.2.7).
func (z *inflate64) dynamicCodes() error {
	head, err := z.take(14)
	if err != nil {
		return err
	}
	literals, distances, codes := head&31+257, head>>5&31+1, head>>10+4
	if literals > 286 {
		return errInflate64
	}
	var lengths [288 + 32]byte
	for i := range codes {
		n, err := z.take(3)
		if err != nil {
			return err
		}
		lengths[codeOrder[i]] = byte(n)
	}
	var code huffman
	if err := code.build(lengths[:19]); err != nil {
		return err
	}
	clear(lengths[:19])
	if err := z.codeLengths(&code, lengths[:literals+distances]); err != nil {
		return err
	}
	if err := z.lit.build(lengths[:literals]); err != nil {
		return err
	}
	return z.dist.build(lengths[literals : literals+distances])
}

// codeLengths reads the lengths of the codes, which are run-length encoded.
func (z *inflate64) codeLengths(code *huffman, lengths []byte) error {
	for i := 0; i < len(lengths); {
		symbol, err := z.symbol(code)
		if err != nil {
			return err
		}
		if symbol < 16 {
			lengths[i] = byte(symbol)
			i++
			continue
		}
		var value byte
		width, least := uint(2), 3
		switch symbol {
		case 16:
			if i == 0 {
				return errInflate64
			}
			value = lengths[i-1]
		case 17:
			width = 3
		case 18:
			width, least = 7, 11
		}
		more, err := z.take(width)
		if err != nil {
			return err
		}
		if i+least+more > len(lengths) {
			return errInflate64
		}
		for range least + more {
			lengths[i] = value
			i++
		}
	}
	return nil
}

// lengthBase and lengthBits are those of the codes from 257 on (RFC 1951 Section 3.2.5); the last is that of Deflate64. They
// are never written.
var (
	lengthBase = [29]uint16{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 3}
	lengthBits = [29]uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 16}
)

// decode reads a literal, the begin of a match or the end of the block.
func (z *inflate64) decode() error {
	symbol, err := z.symbol(&z.lit)
	switch {
	case err != nil:
		return err
	case symbol < 256:
		z.put(byte(symbol))
		return nil
	case symbol == 256:
		z.inBlock = false
		return nil
	case symbol > 285:
		return errInflate64
	}
	more, err := z.take(uint(lengthBits[symbol-257]))
	if err != nil {
		return err
	}
	z.length = int(lengthBase[symbol-257]) + more
	return z.distance()
}

// distance reads how far back a match is. The codes 30 and 31 go on where DEFLATE ends.
func (z *inflate64) distance() error {
	symbol, err := z.symbol(&z.dist)
	if err != nil {
		return err
	}
	if symbol < 4 {
		z.from = symbol + 1
	} else {
		bits := uint(symbol/2 - 1)
		more, err := z.take(bits)
		if err != nil {
			return err
		}
		z.from = (2+symbol&1)<<bits + more + 1
	}
	if z.from > z.filled {
		z.length = 0
		return errInflate64
	}
	return nil
}

// unexpected makes an end that comes too early an error.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
