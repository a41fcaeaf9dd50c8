package message

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
)

// Read reads a message as it lies in a file, up to the end of r. An error is one of r or of the temporary file.
//
// The octets are kept, with three exceptions, in which Read does what Postfix does before a milter sees the message: a
// line that ends in LF ends in CRLF; a first line "From " of an mbox file becomes the field X-Mailbox-Line; a last
// header line without an end gets one. A line that can be no header field ends the header section and belongs to the
// body; a message that begins with a blank has no header.
func Read(r io.Reader, env Envelope, l Limits) (*Message, error) {
	b := NewBuilder(l)
	rd := reader{src: bufio.NewReaderSize(r, readBuffer), b: b}
	err := rd.header()
	if err == nil {
		err = rd.body()
	}
	if err != nil {
		b.Discard()
		return nil, err
	}
	if rd.ends.lf > 0 && rd.ends.crlf > 0 {
		b.defects.add(LineBareLF, "", "lines end in LF and in CRLF")
	}
	return b.message(env)
}

const readBuffer = 16 << 10

// A reader feeds a Builder from a file.
type reader struct {
	src     *bufio.Reader
	b       *Builder
	ends    lineEnds
	buf     []byte // the line that was read last
	field   []byte // the field that is being read, its lines ending in CRLF; nothing between two fields
	nameLen int
	size    int64 // octets of the lines read
}

// header reads up to the body, and leaves what belongs to the body in src or in the Builder.
func (r *reader) header() error {
	for first := true; ; first = false {
		line, err := r.line()
		if err != nil && err != io.EOF {
			return fmt.Errorf("message: reading the header: %w", err)
		}
		if len(line) == 0 { // end of file
			r.endField()
			if len(r.b.marks) > 0 {
				r.b.defects.add(HeaderUnended, "", "the message is nothing but a header")
			}
			return nil
		}
		more, err := r.headerLine(line, first)
		if err != nil || !more {
			return err
		}
	}
}

// headerLine takes one line and reports whether more lines of the header may follow.
func (r *reader) headerLine(line []byte, first bool) (more bool, err error) {
	if first && bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From ")) {
		r.b.defects.addText(HeaderMboxFrom, "", line)
		line = append([]byte("X-Mailbox-Line: "), line...)
	}
	kind, nameLen := classify(line)
	if kind == lineFold && len(r.field) > 0 {
		if len(r.field) <= r.b.limits.HeaderOctets { // beyond, it need not grow any more to be refused
			r.field = append(r.field, line...)
		}
		return true, nil
	}
	r.endField()
	switch kind {
	case lineField:
		r.field, r.nameLen = append(r.field, line...), nameLen
		return true, nil
	case lineEmpty:
		r.b.head = append(r.b.head, line...)
		return false, nil
	case lineFold:
		r.b.defects.addText(HeaderLeadingBlank, "", line)
	default:
		r.b.defects.addText(HeaderNoColon, "", line)
	}
	_, err = r.b.Write(line)
	return false, err
}

// endField hands the field that is complete to the Builder.
func (r *reader) endField() {
	if len(r.field) == 0 {
		return
	}
	if !bytes.HasSuffix(r.field, []byte("\r\n")) {
		r.field = append(r.field, '\r', '\n')
	}
	r.b.addRaw(r.field, r.nameLen)
	r.field = r.field[:0]
}

// line returns the next line with CRLF, what is left at the end of the file, or nothing there. It is valid until the
// next call. A line is cut where it exceeds the limit of the whole header; the file ends where header and body together
// would exceed theirs.
func (r *reader) line() ([]byte, error) {
	r.buf = r.buf[:0]
	for {
		part, err := r.src.ReadSlice('\n')
		if len(r.buf) <= r.b.limits.HeaderOctets {
			r.buf = r.ends.convert(r.buf, part)
		}
		r.size += int64(len(part))
		if r.size > int64(r.b.limits.HeaderOctets)+r.b.limits.BodyOctets {
			r.b.exceed(ErrHeaderTooLarge, LimitHeader)
			return nil, io.EOF
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return r.buf, err
		}
	}
}

// body reads the rest of the file.
func (r *reader) body() error {
	in := make([]byte, readBuffer)
	out := make([]byte, 0, readBuffer+readBuffer/16)
	r.ends.last = 0
	for !errors.Is(r.b.exceeded, ErrBodyTooLarge) {
		n, err := r.src.Read(in)
		out = r.ends.convert(out[:0], in[:n])
		if _, werr := r.b.Write(out); werr != nil {
			return werr
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("message: reading the body: %w", err)
		}
	}
	return nil
}

// lineEnds turns LF into CRLF and counts both.
type lineEnds struct {
	lf, crlf int
	last     byte // last octet of the chunk before
}

// convert appends chunk to dst with every line ending in CRLF.
func (e *lineEnds) convert(dst, chunk []byte) []byte {
	for len(chunk) > 0 {
		n := bareLF(chunk, e.last)
		e.crlf += bytes.Count(chunk[:n], []byte{'\n'})
		dst = append(dst, chunk[:n]...)
		if n > 0 {
			e.last = chunk[n-1]
		}
		// Where one bare LF is, others are not far.
		chunk = chunk[n:]
		n = min(len(chunk), 256)
		for _, b := range chunk[:n] {
			switch {
			case b != '\n':
			case e.last == '\r':
				e.crlf++
			default:
				e.lf++
				dst = append(dst, '\r')
			}
			dst = append(dst, b)
			e.last = b
		}
		chunk = chunk[n:]
	}
	return dst
}

// bareLF returns the offset of the first LF of p without CR before it, or len(p); before is the octet before p.
func bareLF(p []byte, before byte) int {
	var carry uint64 // 0x80 behind a CR
	if before == '\r' {
		carry = 0x80
	}
	n := len(p) &^ 7
	for i := 0; i < n; i += 8 {
		x := binary.LittleEndian.Uint64(p[i : i+8])
		cr := equalOctets(x, '\r')
		if bare := equalOctets(x, '\n') &^ (cr<<8 | carry); bare != 0 {
			return i + bits.TrailingZeros64(bare)/8
		}
		carry = cr >> 56
	}
	if n > 0 {
		before = p[n-1]
	}
	for i := n; i < len(p); i++ {
		if p[i] == '\n' && before != '\r' {
			return i
		}
		before = p[i]
	}
	return len(p)
}

// equalOctets has the high bit set in those octets of x that are c, which is ASCII, and in no other.
func equalOctets(x uint64, c byte) uint64 {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	x ^= ones * uint64(c)
	return ^((x&^highs + ^uint64(highs)) | x) & highs
}
