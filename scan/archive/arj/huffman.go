package arj

import "io"

// params are what the methods differ in.
type params struct {
	window       int
	positions    int  // codes of positions
	positionBits uint // of the number of them
}

// The sizes that all methods share.
const (
	numChars   = 510 // 256 octets, and lengths from 3 to 256
	charBits   = 9
	numLengths = 19
	lengthBits = 5
	threshold  = 3
	maxCode    = 16
)

// A tree is a canonical Huffman code; without codes it stands for one symbol that needs no bits.
type tree struct {
	counts  [maxCode + 1]int
	symbols []uint16
	single  int
}

// newTree makes a tree of the lengths of the codes.
func newTree(lengths []byte) (*tree, error) {
	t := &tree{single: -1}
	for _, n := range lengths {
		if n > maxCode {
			return nil, errDamaged
		}
		t.counts[n]++
	}
	t.counts[0] = 0
	left, next := 1, [maxCode + 2]int{}
	for n := 1; n <= maxCode; n++ {
		if left = left<<1 - t.counts[n]; left < 0 {
			return nil, errDamaged
		}
		next[n+1] = next[n] + t.counts[n]
	}
	t.symbols = make([]uint16, next[maxCode+1])
	for symbol, n := range lengths {
		if n > 0 {
			t.symbols[next[n]] = uint16(symbol)
			next[n]++
		}
	}
	return t, nil
}

// A decoder undoes LZSS with Huffman codes in blocks, as ar002 has it.
type decoder struct {
	*params
	in       []byte
	bits     uint64
	n        uint
	over     int // octets read behind the end
	window   []byte
	pos      int
	out      []byte // decoded and not read yet
	left     int64  // of the content
	block    int    // codes left in the block
	chars    *tree
	position *tree
}

// newDecoder returns a decoder of packed octets that stand for a content of a size.
func newDecoder(packed []byte, p *params, size int64) *decoder {
	d := &decoder{params: p, in: packed, left: size, window: make([]byte, p.window)}
	for i := range d.window {
		d.window[i] = ' '
	}
	return d
}

// Read implements io.Reader.
func (d *decoder) Read(p []byte) (int, error) {
	for len(d.out) < 4096 && d.left > 0 {
		if err := d.step(); err != nil {
			return 0, err
		}
	}
	if len(d.out) == 0 {
		return 0, io.EOF
	}
	n := copy(p, d.out)
	d.out = d.out[:copy(d.out, d.out[n:])]
	return n, nil
}

// take returns the next n bits, the highest first.
func (d *decoder) take(n uint) int {
	for d.n < n {
		var c byte
		if len(d.in) > 0 {
			c, d.in = d.in[0], d.in[1:]
		} else {
			d.over++
		}
		d.bits = d.bits<<8 | uint64(c)
		d.n += 8
	}
	d.n -= n
	return int(d.bits >> d.n & (1<<n - 1))
}

// symbol reads a symbol.
func (d *decoder) symbol(t *tree) (int, error) {
	if t.single >= 0 {
		return t.single, nil
	}
	code, first, index := 0, 0, 0
	for n := 1; n <= maxCode; n++ {
		code |= d.take(1)
		count := t.counts[n]
		if code-first < count {
			return int(t.symbols[index+code-first]), nil
		}
		index += count
		first = (first + count) << 1
		code <<= 1
	}
	return 0, errDamaged
}

// step decodes one octet or match.
func (d *decoder) step() error {
	if d.over > 4 {
		return io.ErrUnexpectedEOF
	}
	if d.block == 0 {
		if err := d.header(); err != nil {
			return err
		}
	}
	d.block--
	c, err := d.symbol(d.chars)
	if err != nil {
		return err
	}
	if c < 256 {
		d.put(byte(c))
		return nil
	}
	offset, err := d.symbol(d.position)
	if err != nil {
		return err
	}
	if offset > 0 {
		offset = 1<<(offset-1) + d.take(uint(offset-1))
	}
	if offset >= d.params.window {
		return errDamaged
	}
	for range min(int64(c-256+threshold), d.left) {
		d.put(d.window[(d.pos-offset-1+2*d.params.window)%d.params.window])
	}
	return nil
}

// put writes one octet.
func (d *decoder) put(c byte) {
	d.window[d.pos] = c
	d.pos = (d.pos + 1) % d.params.window
	d.out = append(d.out, c)
	d.left--
}

// header reads the beginning of a block: how many codes it has, and the trees.
func (d *decoder) header() error {
	if d.block = d.take(16); d.block == 0 {
		return errDamaged
	}
	lengths, err := d.lengths(numLengths, lengthBits, 3)
	if err != nil {
		return err
	}
	if d.chars, err = d.charTree(lengths); err != nil {
		return err
	}
	d.position, err = d.lengths(d.positions, d.positionBits, -1)
	return err
}

// lengths reads a tree whose lengths are written in three bits, larger ones with more ones. Behind the entry with the number
// special some may be left out.
func (d *decoder) lengths(size int, bits uint, special int) (*tree, error) {
	n := d.take(bits)
	if n == 0 {
		single := d.take(bits)
		if single >= size {
			return nil, errDamaged
		}
		return &tree{single: single}, nil
	}
	if n > size {
		return nil, errDamaged
	}
	var sizes [32]byte
	for i := 0; i < n; {
		c := d.take(3)
		for c >= 7 && d.take(1) == 1 {
			if c++; c > maxCode {
				return nil, errDamaged
			}
		}
		sizes[i] = byte(c)
		if i++; i == special {
			i += d.take(2)
		}
	}
	return newTree(sizes[:size])
}

// charTree reads the tree of octets and lengths, whose own lengths are coded.
func (d *decoder) charTree(t *tree) (*tree, error) {
	n := d.take(charBits)
	if n == 0 {
		single := d.take(charBits)
		if single >= numChars {
			return nil, errDamaged
		}
		return &tree{single: single}, nil
	}
	if n > numChars {
		return nil, errDamaged
	}
	var sizes [numChars]byte
	for i := 0; i < n; {
		c, err := d.symbol(t)
		if err != nil || d.over > 4 {
			return nil, errDamaged
		}
		switch c {
		case 0:
			i++
		case 1:
			i += d.take(4) + 3
		case 2:
			i += d.take(charBits) + 20
		default:
			sizes[i] = byte(c - 2)
			i++
		}
	}
	return newTree(sizes[:])
}
