package dkim

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"io"
	"slices"
	"sync"

	"assay/verify/message"
)

// A Canonicalization is one of the two algorithms of RFC 6376 Section 3.4. The zero value is simple, the default.
type Canonicalization bool

// The canonicalization algorithms.
const (
	Simple  Canonicalization = false
	Relaxed Canonicalization = true
)

// String returns the name that c= uses.
func (c Canonicalization) String() string {
	if c == Relaxed {
		return "relaxed"
	}
	return "simple"
}

// errLate marks a digest that was asked for when a part of the body had already gone by.
var errLate = errors.New("dkim: the body had already begun when this hash was asked for")

// Bodies hashes a message body once for all signatures of a message, those of DKIM and those of ARC. It is an
// io.Writer; Start of each package registers what it needs before the first Write. Its memory does not depend on the
// size of the body: trailing empty lines are counted, not kept. Line ends are CRLF; a bare LF counts as one, because
// signers must convert it before signing (RFC 6376 Section 5.3). A bare CR is data. Bodies is not safe for concurrent
// use.
type Bodies struct {
	forms   [2]*canonicalBody // by Canonicalization: simple, relaxed
	started bool
	closed  bool
	err     error
}

// NewBodies returns a Bodies that nobody has asked for a hash yet.
func NewBodies() *Bodies { return &Bodies{} }

// Digest is the hash of one canonical form of the body, complete or cut off at l= (RFC 6376 Section 3.7).
type Digest struct {
	bodies *Bodies
	form   *canonicalBody
	length int64 // l=, -1 for the whole body
	sum    [sha256.Size]byte
	done   bool
	err    error
}

// Digest registers the hash of the first length octets of the canonical body, or of all of it if length is negative.
// All digests of one canonicalization share one pass and one hasher.
func (b *Bodies) Digest(c Canonicalization, length int64) *Digest {
	form := b.form(c)
	length = max(length, -1)
	for _, d := range form.digests {
		if d.length == length {
			return d
		}
	}
	d := &Digest{bodies: b, form: form, length: length}
	if b.started || b.closed {
		d.err = errLate
	}
	form.digests = append(form.digests, d)
	return d
}

// form returns the canonical form c, new if nobody asked for it yet.
func (b *Bodies) form(c Canonicalization) *canonicalBody {
	i := 0
	if c == Relaxed {
		i = 1
	}
	if b.forms[i] == nil {
		b.forms[i] = &canonicalBody{relaxed: c == Relaxed}
	}
	return b.forms[i]
}

// Write takes the next octets of the body. It never fails.
func (b *Bodies) Write(p []byte) (int, error) {
	if len(p) == 0 || b.closed {
		return len(p), nil
	}
	b.started = true
	for _, form := range b.forms {
		if form != nil {
			form.write(p)
		}
	}
	return len(p), nil
}

// ReadFrom reads the body from r to its end. An error is also kept, as with Fail.
func (b *Bodies) ReadFrom(r io.Reader) (int64, error) {
	size := 64 << 10
	if s, ok := r.(interface{ Size() int64 }); ok && s.Size() < 128<<10 {
		size = 4 << 10
	}
	buf := make([]byte, size)
	var total int64
	for {
		n, err := r.Read(buf)
		total += int64(n)
		b.Write(buf[:n])
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			b.Fail(err)
			return total, err
		}
	}
}

// Fail records that the body could not be had to its end. Every signature that depends on it becomes temperror.
func (b *Bodies) Fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// Err returns what Fail was told, nil for a complete message.
func (b *Bodies) Err() error { return b.err }

// HeaderIncomplete reports whether Fail was told that a part of the header is missing, so that what is not there may
// have been there.
func (b *Bodies) HeaderIncomplete() bool {
	return errors.Is(b.err, message.ErrHeaderTooLarge) || errors.Is(b.err, message.ErrTooManyFields)
}

// Sum returns the SHA-256 of the digest and the number of octets of the complete canonical body. It ends the body:
// what is written afterwards is ignored. The error says that there is no answer because the body was not seen whole.
func (d *Digest) Sum() ([sha256.Size]byte, int64, error) {
	d.bodies.close()
	if d.err == nil && d.bodies.err != nil {
		return d.sum, 0, d.bodies.err
	}
	return d.sum, d.form.octets, d.err
}

// close ends the body and completes every digest.
func (b *Bodies) close() {
	if b.closed {
		return
	}
	b.closed = true
	for _, form := range b.forms {
		if form != nil {
			form.close()
		}
	}
}

// canonicalBody turns a body into one canonical form, chunk by chunk, and hashes it.
//
// A chunk is cut into data and what surrounds it. Between the first and the last octet of data nothing depends on what
// other chunks hold, so that part is converted in blocks. The line ends and white space around it go through blanks, a
// state machine whose state, the pending fields, outlives the chunk.
type canonicalBody struct {
	relaxed bool
	digests []*Digest
	marks   []*Digest // digests that end at l= and are still open, shortest first
	hash    hash.Hash
	octets  int64 // canonical octets so far
	ended   bool  // nothing is hashed any more: every digest has ended

	lines int64 // pending line ends, not yet known to be followed by data
	cr    bool  // a CR that may be the first half of a line end
	wsp   bool  // pending white space within a line (relaxed)

	out []byte         // small runs on their way to the hash
	mem *[outSize]byte // the memory of out
}

// Sizes of the buffer in which canonical octets are collected, and of the blocks of the body they come from. A block
// may double, if it consists of bare LFs.
const (
	outSize     = 6 << 10
	relaxBlock  = 2 << 10
	simpleBlock = 1 << 10
)

// outBuffers keeps the buffers of bodies that have ended: they are a third of what a small message costs in memory.
var outBuffers = sync.Pool{New: func() any { return new([outSize]byte) }}

// fourCRLF is eight octets, as a little-endian number.
const fourCRLF = 0x0a0d0a0d0a0d0a0d

// start prepares the hash when the first octets come.
func (c *canonicalBody) start() {
	if c.hash != nil {
		return
	}
	c.hash = sha256.New()
	c.ended = true
	for _, d := range c.digests {
		if d.length >= 0 {
			c.marks = append(c.marks, d)
		} else {
			c.ended = false
		}
	}
	slices.SortFunc(c.marks, func(a, b *Digest) int { return cmp.Compare(a.length, b.length) })
	c.pass()
}

// write takes the next octets of the body.
func (c *canonicalBody) write(p []byte) {
	c.start()
	i := c.blanks(p)
	end := len(p)
	for end > i && c.blank(p, end-1) {
		end--
	}
	for ; i < end; i += c.blanks(p[i:]) {
		// p[i] and p[end-1] are data, and nothing is pending.
		if c.relaxed {
			i += c.relax(p[i:end])
			continue
		}
		n := bareLF(p[i:end])
		for p[i+n-1] == '\n' {
			n -= 2
		}
		c.emit(p[i : i+n])
		i += n
		if i < end {
			i += c.complete(p[i:end])
		}
	}
}

// blank reports whether the meaning of p[i] depends on what follows: it is white space or part of a line end.
func (c *canonicalBody) blank(p []byte, i int) bool {
	switch p[i] {
	case '\n':
		return true
	case '\r':
		return i+1 == len(p) || p[i+1] == '\n'
	case ' ', '\t':
		return c.relaxed
	}
	return false
}

// relax emits the relaxed form of a block at the beginning of p, which begins with data, up to the last data in the
// block. It returns the size of the block.
func (c *canonicalBody) relax(p []byte) int {
	n := c.block(p, relaxBlock)
	c.room(2*n + 8)
	c.out = appendRelaxed(c.out, p[:n])
	return n
}

// complete emits a block at the beginning of p, up to the last data in it, with every LF made a CRLF. It returns the
// size of the block, which is 0 if there is no data in it.
func (c *canonicalBody) complete(p []byte) int {
	n := c.block(p, simpleBlock)
	c.room(2 * n)
	c.out = appendSimple(c.out, p[:n])
	return n
}

// block returns the length of the longest beginning of p that ends with data and has at most size octets. p ends with
// data.
func (c *canonicalBody) block(p []byte, size int) int {
	if len(p) <= size {
		return len(p)
	}
	n := size
	for n > 0 && c.blank(p, n-1) {
		n--
	}
	return n
}

// blanks consumes line ends and white space up to the next octet of data, whose coming makes them count. It returns
// the number of octets consumed; when that is less than len(p), nothing is pending.
func (c *canonicalBody) blanks(p []byte) int {
	i := 0
	for i < len(p) {
		b := p[i]
		if c.cr && b != '\n' {
			c.bareCR()
		}
		switch {
		case b == '\n':
			c.cr, c.wsp = false, false
			c.lines++
		case b == '\r' && len(p)-i >= 8 && binary.LittleEndian.Uint64(p[i:]) == fourCRLF:
			// A mail may be nothing but empty lines.
			c.wsp = false
			c.lines += 4
			i += 7
		case b == '\r' && i+1 == len(p):
			c.cr = true
		case b == '\r' && p[i+1] == '\n':
			c.wsp = false
			c.lines++
			i++
		case c.relaxed && (b == ' ' || b == '\t'):
			c.wsp = true
		default:
			c.flush()
			return i
		}
		i++
	}
	return i
}

// bareCR passes on a CR that turned out not to begin a line end. It is data, so what was pending before it counts.
func (c *canonicalBody) bareCR() {
	c.cr = false
	c.flush()
	c.room(1)
	c.out = append(c.out, '\r')
}

// flush emits the pending line ends and white space.
func (c *canonicalBody) flush() {
	for ; c.lines >= 16; c.lines -= 16 {
		c.room(32)
		c.out = append(c.out, "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n"...)
	}
	for ; c.lines > 0; c.lines-- {
		c.room(2)
		c.out = append(c.out, '\r', '\n')
	}
	if c.wsp {
		// RFC 6376 Section 3.4.4: white space within a line becomes a single SP.
		c.wsp = false
		c.room(1)
		c.out = append(c.out, ' ')
	}
}

// emit takes canonical octets.
func (c *canonicalBody) emit(p []byte) {
	if len(p) > outSize/2 {
		c.pass()
		c.digest(p)
		return
	}
	c.room(len(p))
	c.out = append(c.out, p...)
}

// room makes room for n more octets in out; n is at most outSize.
func (c *canonicalBody) room(n int) {
	if c.mem == nil {
		c.mem = outBuffers.Get().(*[outSize]byte)
		c.out = c.mem[:0]
	}
	if len(c.out)+n > outSize {
		c.pass()
	}
}

// pass hands the collected octets to the hash.
func (c *canonicalBody) pass() {
	c.digest(c.out)
	c.out = c.out[:0]
}

// digest hashes p and completes the digests that end within it. The hash state at l= octets is the digest with that
// length, so one hasher serves them all.
func (c *canonicalBody) digest(p []byte) {
	for len(c.marks) > 0 && c.marks[0].length <= c.octets+int64(len(p)) {
		n := c.marks[0].length - c.octets
		c.hash.Write(p[:n])
		c.octets += n
		p = p[n:]
		c.marks[0].finish(c.hash)
		c.marks = c.marks[1:]
	}
	c.octets += int64(len(p))
	c.ended = c.ended && len(c.marks) == 0
	if !c.ended {
		c.hash.Write(p)
	}
}

// finish sets the sum of d to that of the octets h has seen.
func (d *Digest) finish(h hash.Hash) {
	h.Sum(d.sum[:0])
	d.done = true
}

// close ends the body.
func (c *canonicalBody) close() {
	c.start()
	if c.cr {
		c.bareCR()
	}
	// RFC 6376 Section 3.4.3: an empty body is a single CRLF; Section 3.4.4: in the relaxed form it is nothing.
	// Otherwise all line ends at the end of the body are one.
	c.lines, c.wsp = 0, false
	if !c.relaxed || c.octets+int64(len(c.out)) > 0 {
		c.lines = 1
	}
	c.flush()
	c.pass()
	for _, d := range c.digests {
		if !d.done {
			d.finish(c.hash)
		}
	}
	if c.mem != nil {
		outBuffers.Put(c.mem)
		c.mem, c.out = nil, nil
	}
}
