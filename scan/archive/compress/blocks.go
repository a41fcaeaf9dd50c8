package compress

import (
	"bytes"
	"encoding/binary"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// isZstd: RFC 8878 Sections 3.1.1 and 3.1.2; a file may begin with a frame to be skipped.
func isZstd(b []byte) bool {
	n, _ := zstdFrame(b)
	return n > 0
}

// openZstd opens all frames in a row.
func openZstd(b []byte, _ *chain) (stream, error) {
	end := 0
	for end < len(b) {
		n, window := zstdFrame(b[end:])
		if n == 0 {
			break
		}
		if err := dictionary(window); err != nil {
			return stream{}, err
		}
		end += n
	}
	z, err := zstd.NewReader(bytes.NewReader(b[:end]), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxDictionary), zstd.WithDecodeBuffersBelow(0))
	if err != nil {
		return stream{}, err
	}
	return stream{z, func() int { z.Close(); return end }}, nil
}

// zstdFrame returns the length of the frame at the start of b and the window it wants, 0 if there is none. A frame that is cut
// off has the length of b.
func zstdFrame(b []byte) (n int, window uint64) {
	if len(b) < 8 {
		return 0, 0
	}
	switch magic := uint32At(b, 0); {
	case magic&^0xf == 0x184d2a50: // Section 3.1.2
		return min(len(b), 8+int(uint32At(b, 4))), 0
	case magic != 0xfd2fb528:
		return 0, 0
	}
	at, window := zstdHeader(b)
	if at == 0 {
		return 0, 0
	}
	for at+3 <= len(b) {
		head := int(b[at]) | int(b[at+1])<<8 | int(b[at+2])<<16 // Section 3.1.1.2
		size := head >> 3
		if head>>1&3 == 1 {
			size = 1
		}
		at += 3 + size
		if head&1 != 0 {
			return min(len(b), at+int(b[4]>>2&1)*4), window
		}
	}
	return len(b), window
}

// zstdHeader returns the length of the header of a frame and the window it wants (Section 3.1.1.1), 0 if it is not valid.
func zstdHeader(b []byte) (n int, window uint64) {
	flags := b[4]
	single := flags&0x20 != 0
	dict := [...]int{0, 1, 2, 4}[flags&3]
	size := [...]int{0, 2, 4, 8}[flags>>6]
	if single && size == 0 {
		size = 1
	}
	at := 5
	if !single {
		base := uint64(1) << (10 + b[5]>>3)
		window = base + base/8*uint64(b[5]&7)
		at++
	}
	at += dict
	if flags&8 != 0 || at+size > len(b) {
		return 0, 0
	}
	if single {
		var content [8]byte
		copy(content[:], b[at:at+size])
		window = binary.LittleEndian.Uint64(content[:])
		if size == 2 {
			window += 256
		}
	}
	return at + size, window
}

// The magics of LZ4 (LZ4 Frame Format, General Structure and Legacy frame).
const (
	lz4Magic  = 0x184d2204
	lz4Legacy = 0x184c2102
)

// isLZ4 tells a frame of LZ4.
func isLZ4(b []byte) bool {
	return len(b) >= 8 && (uint32At(b, 0) == lz4Magic && b[4]>>6 == 1 || uint32At(b, 0) == lz4Legacy)
}

// openLZ4 opens one frame.
func openLZ4(b []byte, _ *chain) (stream, error) {
	if uint32At(b, 0) == lz4Magic && b[4]&1 != 0 {
		return stream{}, refusal("a dictionary that is not part of it")
	}
	end := lz4Frame(b)
	return stream{lz4.NewReader(bytes.NewReader(b[:end])), func() int { return end }}, nil
}

// lz4Frame returns the length of a frame. A frame that is cut off has the length of b.
func lz4Frame(b []byte) int {
	at, block, trailer := 4, 0, 0
	if uint32At(b, 0) == lz4Magic {
		flags := b[4] // Frame Descriptor
		at = 7 + int(flags>>3&1)*8 + int(flags&1)*4
		block, trailer = int(flags>>4&1)*4, 4+int(flags>>2&1)*4
	}
	for at+4 <= len(b) {
		size := uint32At(b, at)
		switch {
		case trailer > 0 && size == 0:
			return min(len(b), at+trailer)
		case trailer == 0 && (size == lz4Legacy || size == lz4Magic):
			return at
		}
		at += 4 + int(size&0x7fffffff) + block
	}
	return len(b)
}

// isLZW: the header of compress(1).
func isLZW(b []byte) bool {
	return len(b) >= 4 && b[0] == 0x1f && b[1] == 0x9d && b[2]&0x60 == 0 && b[2]&31 >= 9 && b[2]&31 <= 16
}

// openLZW opens a file of compress(1), which has no end of its own.
func openLZW(b []byte, _ *chain) (stream, error) {
	return stream{newLZW(b), func() int { return len(b) }}, nil
}

// lzwReader undoes compress(1): codes of 9 to 16 bits, least significant bit first, in groups of 8 codes of the same width.
type lzwReader struct {
	in        []byte
	at        int // bit
	group     int // bit where the group of codes of this width began
	width     uint
	maxWidth  uint
	free      int // next code to be assigned
	first     int // first code that is assigned: 257 in block mode, where 256 clears the table
	prefix    [1 << 16]uint16
	suffix    [1 << 16]byte
	last      int
	lastFirst byte
	stack     []byte // decoded, in reverse order
}

// newLZW returns a reader of a file.
func newLZW(b []byte) *lzwReader {
	r := &lzwReader{in: b[3:], width: 9, maxWidth: uint(b[2] & 31), first: 256, last: -1}
	if b[2]&0x80 != 0 {
		r.first = 257
	}
	r.free = r.first
	return r
}

// Read implements io.Reader.
func (r *lzwReader) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(r.stack) == 0 {
			if err := r.decode(); err != nil {
				return n, err
			}
			continue
		}
		p[n] = r.stack[len(r.stack)-1]
		r.stack = r.stack[:len(r.stack)-1]
		n++
	}
	return n, nil
}

// code reads the next code, -1 at the end.
func (r *lzwReader) code() int {
	if r.free > 1<<r.width-1 && r.width < r.maxWidth {
		r.align()
		r.width++
	}
	if r.at+int(r.width) > len(r.in)*8 {
		return -1
	}
	var v uint32
	for i := range 3 {
		if at := r.at/8 + i; at < len(r.in) {
			v |= uint32(r.in[at]) << (8 * i)
		}
	}
	code := int(v >> (r.at % 8) & (1<<r.width - 1))
	r.at += int(r.width)
	return code
}

// align goes to the end of the group: codes are written eight at a time.
func (r *lzwReader) align() {
	size := int(r.width) * 8
	r.at = r.group + (r.at-r.group+size-1)/size*size
	r.group = r.at
}

// decode decodes one code onto the stack.
func (r *lzwReader) decode() error {
	code := r.code()
	switch {
	case code < 0:
		return io.EOF
	case code == 256 && r.first == 257:
		r.align()
		r.width, r.free, r.last = 9, r.first, -1
		return nil
	case r.last < 0:
		if code > 255 {
			return errDamaged
		}
		r.stack = append(r.stack, byte(code))
		r.last, r.lastFirst = code, byte(code)
		return nil
	case code > r.free || code == r.free && r.free > 1<<r.maxWidth-1:
		return errDamaged
	}
	r.expand(code)
	if r.free < 1<<r.maxWidth {
		r.prefix[r.free], r.suffix[r.free] = uint16(r.last), r.lastFirst
		r.free++
	}
	r.last = code
	return nil
}

// expand writes what a code stands for.
func (r *lzwReader) expand(code int) {
	if code == r.free {
		r.stack = append(r.stack, r.lastFirst)
		code = r.last
	}
	for code > 255 {
		r.stack = append(r.stack, r.suffix[code])
		code = int(r.prefix[code])
	}
	r.lastFirst = byte(code)
	r.stack = append(r.stack, byte(code))
}
