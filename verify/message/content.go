package message

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// Content returns the octets of a part with the transfer encoding undone (RFC 2045 Section 6), in the charset they are
// in. Decoding never fails: base64 skips what is not in its alphabet and goes on behind padding, quoted-printable takes
// a "=" that begins no escape as it stands, and the content of an unknown encoding is returned as it is. The only
// errors are those of the temporary file. The content of a multipart is never decoded.
func (m *Message) Content(p *Part) io.Reader {
	raw := m.Open(Range{p.BodyOffset, p.End})
	if len(p.Children) > 0 || p.isMultipart() {
		return raw
	}
	return Decode(raw, p.Encoding)
}

// Decode undoes a transfer encoding as Content does, for octets that are not a part of a message.
func Decode(r io.Reader, encoding string) io.Reader {
	switch encoding {
	case encodingBase64:
		return &base64Reader{src: r}
	case encodingQP:
		return &qpReader{src: bufio.NewReader(r)}
	}
	return r
}

// Classes of octets in base64 (RFC 2045 Section 6.8). The values below base64Data are those of the digits.
const (
	base64Data  = 64 // not in the table: digits carry their value
	base64Pad   = 65
	base64Blank = 66
	base64Other = 67
)

// base64Table says what an octet is in base64. It is never written.
var base64Table = makeBase64Table()

func makeBase64Table() (table [256]byte) {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range table {
		table[i] = base64Other
	}
	for i := range len(digits) {
		table[digits[i]] = byte(i)
	}
	table['='] = base64Pad
	table[' '], table['\t'] = base64Blank, base64Blank
	return table
}

// A base64Reader decodes base64 and passes over everything else.
type base64Reader struct {
	src     io.Reader
	in      [3072]byte
	buf     []byte // the decoded chunk
	out     []byte // what of it nobody has read yet
	quantum base64Quantum
	err     error
}

func (r *base64Reader) Read(p []byte) (int, error) {
	for len(r.out) == 0 && r.err == nil {
		if len(p) >= len(r.in) { // nothing becomes longer
			if n := len(r.chunk(p[:0])); n > 0 {
				return n, nil
			}
			continue
		}
		r.buf = r.chunk(r.buf[:0])
		r.out = r.buf
	}
	if len(r.out) == 0 {
		return 0, r.err
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

// chunk appends the next decoded chunk.
func (r *base64Reader) chunk(dst []byte) []byte {
	var n int
	n, r.err = r.src.Read(r.in[:])
	dst = r.quantum.decode(dst, r.in[:n])
	if r.err == io.EOF {
		dst = r.quantum.flush(dst)
	}
	return dst
}

// A base64Quantum collects the four digits that make three octets.
type base64Quantum struct {
	bits uint32
	n    int
}

// decode appends what the digits of text stand for.
func (q *base64Quantum) decode(dst []byte, text []byte) []byte {
	for len(text) > 0 {
		if q.n == 0 {
			if dst, text = wholeQuanta(dst, text); len(text) == 0 {
				break
			}
		}
		c := text[0]
		text = text[1:]
		switch v := base64Table[c]; {
		case v < base64Data:
			q.bits = q.bits<<6 | uint32(v)
			if q.n++; q.n == 4 {
				dst = append(dst, byte(q.bits>>16), byte(q.bits>>8), byte(q.bits))
				q.bits, q.n = 0, 0
			}
		case v == base64Pad:
			dst = q.flush(dst)
		}
	}
	return dst
}

// wholeQuanta appends what the groups of four digits stand for that text begins with, and returns the rest of it.
func wholeQuanta(dst, text []byte) (out, rest []byte) {
	for len(text) >= 4 {
		a, b, c, d := base64Table[text[0]], base64Table[text[1]], base64Table[text[2]], base64Table[text[3]]
		if a|b|c|d >= base64Data {
			break
		}
		dst = append(dst, a<<2|b>>4, b<<4|c>>2, c<<6|d)
		text = text[4:]
	}
	return dst, text
}

// flush ends a quantum early, as padding and the end do.
func (q *base64Quantum) flush(dst []byte) []byte {
	switch q.n {
	case 2:
		dst = append(dst, byte(q.bits>>4))
	case 3:
		dst = append(dst, byte(q.bits>>10), byte(q.bits>>2))
	}
	q.bits, q.n = 0, 0
	return dst
}

// A qpReader decodes quoted-printable line by line. Of a line longer than its buffer it takes piece by piece.
type qpReader struct {
	src  *bufio.Reader
	line []byte // what is not decoded yet
	buf  []byte // the decoded line
	out  []byte // what of it nobody has read yet
	err  error
}

func (r *qpReader) Read(p []byte) (int, error) {
	for len(r.out) == 0 && r.err == nil {
		r.next()
	}
	if len(r.out) == 0 {
		return 0, r.err
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

// next decodes one line, or one piece of a long one. An escape that is cut by the end of a piece waits for the next.
func (r *qpReader) next() {
	piece, err := r.src.ReadSlice('\n')
	r.line = append(r.line, piece...)
	if errors.Is(err, bufio.ErrBufferFull) {
		keep := len(r.line)
		if i := bytes.LastIndexByte(r.line[keep-2:], '='); i >= 0 {
			keep += i - 2
		}
		rest := r.line[keep:]
		r.buf = appendQP(r.buf[:0], r.line[:keep])
		r.out = r.buf
		r.line = append(r.line[:0], rest...)
		return
	}
	r.err = err
	text := trimEOL(r.line)
	end := r.line[len(text):]
	text = bytes.TrimRight(text, " \t") // RFC 2045 Section 6.7 (3): they were added on the way
	if n := len(text); n > 0 && text[n-1] == '=' {
		text, end = text[:n-1], nil // soft line break
	}
	r.buf = append(appendQP(r.buf[:0], text), end...)
	r.out = r.buf
	r.line = r.line[:0]
}

// appendQP appends text with its escapes undone.
func appendQP(dst, text []byte) []byte {
	for {
		i := bytes.IndexByte(text, '=')
		if i < 0 {
			return append(dst, text...)
		}
		dst = append(dst, text[:i]...)
		text = text[i:]
		if len(text) > 2 && isHex(text[1]) && isHex(text[2]) {
			dst = append(dst, unhex(text[1])<<4|unhex(text[2]))
			text = text[3:]
			continue
		}
		dst = append(dst, '=')
		text = text[1:]
	}
}
