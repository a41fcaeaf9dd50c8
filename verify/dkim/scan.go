package dkim

import (
	"encoding/binary"
	"math/bits"
)

// Constants for looking at the eight octets of a word at once.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// below has the high bit set in those octets of v that are less than n, where n is at most 0x80. It may also be set in
// an octet equal to n that follows, in order of significance, one that is less.
func below(v, n uint64) uint64 { return (v - n*ones) &^ v }

// appendRelaxed appends the relaxed form of p, which begins and ends with data, to dst. dst has room for twice the
// octets of p and eight more.
func appendRelaxed(dst, p []byte) []byte {
	o := len(dst)
	dst = dst[:o+2*len(p)+8]
	dst[o] = p[0]
	o++
	// p[0] is done and serves to look back: whatever follows, p[0] and what the form so far ends in agree about being
	// white space.
	for len(p) > 10 {
		before := binary.LittleEndian.Uint64(p)
		x := binary.LittleEndian.Uint64(p[1:9])
		binary.LittleEndian.PutUint64(dst[o:o+8], x)
		// Most words of a text are done here: no control character, no two blanks in a row.
		odd := (below(x, '!')&below(before, '!') | below(x, ' ')) & highs
		if odd == 0 {
			o += 8
			p = p[8:]
			continue
		}
		k := bits.TrailingZeros64(odd) / 8
		switch q := p[k : k+3]; {
		case q[1] == '\r' && q[2] == '\n':
			// The next word begins behind the line end, which takes the place of white space before it.
			w := int(white(q[0]))
			dst[o+k-w], dst[o+k-w+1] = '\r', '\n'
			o += k - w + 2
			p = p[k+2:]
		case q[1] == ' ' || q[1] == '\t':
			dst[o+k] = ' '
			o += k + 1 - int(white(q[0]))
			p = p[k+1:]
		default:
			o = relaxInto(dst, o, p[:9])
			p = p[8:]
		}
	}
	return dst[:relaxInto(dst, o, p)]
}

// relaxInto writes the relaxed form of p[1:] to dst at o, where that of the octets before, up to p[0], ends. It returns
// where the form ends now.
func relaxInto(dst []byte, o int, p []byte) int {
	before := white(p[0])
	for _, b := range p[1:] {
		if b == '\n' {
			if dst[o-1] == '\r' {
				o--
			}
			if dst[o-1] == ' ' {
				o--
			}
			dst[o], dst[o+1] = '\r', '\n'
			o, before = o+2, 0
			continue
		}
		// Without branches: which octets are white space is what a processor cannot predict.
		w := white(b)
		dst[o] = b ^ (b^' ')&-byte(w)
		o += int(1 - w&before)
		before = w
	}
	return o
}

// white returns 1 for SP and TAB, and 0 for everything else.
func white(b byte) uint32 { return ((uint32(b^' ') - 1) | (uint32(b^'\t') - 1)) >> 31 }

// bareLF returns the offset of the first LF of p without CR before it, or len(p).
func bareLF(p []byte) int {
	var before uint64 // 0x80 behind a CR
	n := len(p) &^ 7
	for i := 0; i < n; i += 8 {
		x := binary.LittleEndian.Uint64(p[i : i+8])
		cr := equal(x, '\r')
		if bare := equal(x, '\n') &^ (cr<<8 | before); bare != 0 {
			return i + bits.TrailingZeros64(bare)/8
		}
		before = cr >> 56
	}
	for i := n; i < len(p); i++ {
		if p[i] == '\n' && (i == 0 || p[i-1] != '\r') {
			return i
		}
	}
	return len(p)
}

// equal has the high bit set in those octets of v that are c, which is ASCII, and in no other.
func equal(v uint64, c byte) uint64 {
	v ^= ones * uint64(c)
	return ^((v&^highs + ^uint64(highs)) | v) & highs
}

// appendSimple appends the simple form of p to dst, which has room for twice the octets of p: it makes a CRLF of a bare
// LF. p ends with data.
func appendSimple(dst, p []byte) []byte {
	o := len(dst)
	dst = dst[:o+2*len(p)]
	before := byte(0)
	for _, b := range p {
		if b == '\n' && before != '\r' {
			dst[o] = '\r'
			o++
		}
		dst[o] = b
		o++
		before = b
	}
	return dst[:o]
}
