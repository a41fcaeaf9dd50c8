package pdf

import "io"

// Codes of LZW: ISO 32000-1 Section 7.4.4.2.
const (
	lzwClear = 256
	lzwEnd   = 257
	lzwCodes = 4096
)

// An lzw reads LZW octets: ISO 32000-1 Section 7.4.4. compress/lzw does not change the width of codes early, as PDF does.
type lzw struct {
	in      []byte
	early   int // 1 if the width of codes changes one code early
	bits    uint32
	count   uint // bits in bits
	next    int  // code to be given away
	last    int  // code before, -1 behind a clear-table code
	prefix  [lzwCodes]uint16
	suffix  [lzwCodes]byte
	buf     [lzwCodes + 1]byte
	pending []byte
	err     error
}

// newLZW returns a reader.
func newLZW(in []byte, early bool) *lzw {
	z := &lzw{in: in, next: lzwEnd + 1, last: -1}
	if early {
		z.early = 1
	}
	for i := range 256 {
		z.suffix[i] = byte(i)
	}
	return z
}

// Read implements io.Reader.
func (z *lzw) Read(p []byte) (int, error) {
	for len(z.pending) == 0 {
		if z.err != nil {
			return 0, z.err
		}
		z.step()
	}
	n := copy(p, z.pending)
	z.pending = z.pending[n:]
	return n, nil
}

// step reads one code.
func (z *lzw) step() {
	code, ok := z.code()
	switch {
	case !ok || code == lzwEnd:
		z.err = io.EOF
	case code == lzwClear:
		z.next, z.last = lzwEnd+1, -1
	case code < 256 && z.last < 0:
		z.last, z.pending = code, append(z.buf[:0], byte(code))
	case z.last < 0 || code > z.next || code == z.next && z.next >= lzwCodes:
		z.err = errCode
	default:
		z.expand(code)
	}
}

// expand writes what a code stands for, and gives the next code away.
func (z *lzw) expand(code int) {
	from, at := code, len(z.buf)
	if code == z.next { // the string before, and its first octet again
		from, at = z.last, at-1
	}
	end := at
	for from >= 256 && at > 1 {
		at--
		z.buf[at] = z.suffix[from]
		from = int(z.prefix[from])
	}
	at--
	z.buf[at] = byte(from)
	first := z.buf[at]
	if code == z.next {
		z.buf[end] = first
	}
	z.pending = z.buf[at:]
	if z.next < lzwCodes {
		z.prefix[z.next], z.suffix[z.next] = uint16(z.last), first
		z.next++
	}
	z.last = code
}

// code reads the bits of a code.
func (z *lzw) code() (int, bool) {
	width := uint(9)
	for width < 12 && z.next+z.early >= 1<<width {
		width++
	}
	for z.count < width {
		if len(z.in) == 0 {
			return 0, false
		}
		z.bits = z.bits<<8 | uint32(z.in[0])
		z.in = z.in[1:]
		z.count += 8
	}
	z.count -= width
	return int(z.bits>>z.count) & (1<<width - 1), true
}
