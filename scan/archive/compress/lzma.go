package compress

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash"
	"hash/crc32"
	"io"
	"math/bits"

	"github.com/ulikunitz/xz/lzma"
)

// isLZMA tells the headers that programs write: there is no magic. The properties are the default ones, the dictionary is a
// power of two or one and a half of it, the size is unknown or below 256 GiB, and the first octet of the range coder is zero.
func isLZMA(b []byte) bool {
	if len(b) < 18 || b[0] != 0x5d || b[13] != 0 {
		return false
	}
	dict := uint64(uint32At(b, 1))
	size := binary.LittleEndian.Uint64(b[5:])
	n := bits.OnesCount64(dict)
	shaped := dict == 1<<32-1 || n == 1 || n == 2 && dict&(dict<<1) != 0
	return shaped && dict >= 4096 && (size == 1<<64-1 || size < 256<<30)
}

// openLZMA opens a file of the old format.
func openLZMA(b []byte, c *chain) (stream, error) {
	return rawLZMA(b[:13], b[13:], c)
}

// rawLZMA decompresses LZMA with the given header. The dictionary is made smaller if no content that the budget allows needs it.
func rawLZMA(header, packed []byte, c *chain) (stream, error) {
	head := bytes.Clone(header)
	binary.LittleEndian.PutUint32(head[1:], uint32(min(uint64(uint32At(head, 1)), c.allowance())))
	in := bytes.NewReader(packed)
	z, err := lzma.NewReader(&joined{head: head, Reader: in})
	if err != nil {
		return stream{}, lzmaError(err)
	}
	return stream{lzmaReader{z}, func() int { return len(header) + len(packed) - in.Len() }}, nil
}

// joined puts a header before octets, and lets them be read one by one, so that no more is read than is needed.
type joined struct {
	head []byte
	*bytes.Reader
}

// Read implements io.Reader.
func (j *joined) Read(p []byte) (int, error) {
	if len(j.head) == 0 {
		return j.Reader.Read(p)
	}
	n := copy(p, j.head)
	j.head = j.head[n:]
	return n, nil
}

// ReadByte implements io.ByteReader.
func (j *joined) ReadByte() (byte, error) {
	if len(j.head) == 0 {
		return j.Reader.ReadByte()
	}
	c := j.head[0]
	j.head = j.head[1:]
	return c, nil
}

// An lzmaReader translates the errors of the library.
type lzmaReader struct{ *lzma.Reader }

// Read implements io.Reader.
func (r lzmaReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		return n, err
	}
	return n, lzmaError(err)
}

// lzmaError makes an end that comes too early io.ErrUnexpectedEOF.
func lzmaError(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// isLzip: draft-diaz-lzip-09 Section 2.
func isLzip(b []byte) bool { return len(b) >= 26 && string(b[:4]) == "LZIP" && b[4] == 1 }

// openLzip opens one member: its LZMA stream ends by a marker, and a checksum follows.
func openLzip(b []byte, c *chain) (stream, error) {
	size := uint64(1) << (b[5] & 31)
	size -= size / 16 * uint64(b[5]>>5)
	if size < 4096 || size > 512<<20 {
		return stream{}, errDamaged
	}
	header := binary.LittleEndian.AppendUint32([]byte{0x5d}, uint32(size))
	header = binary.LittleEndian.AppendUint64(header, 1<<64-1)
	s, err := rawLZMA(header, b[6:], c)
	if err != nil {
		return stream{}, err
	}
	read := s.used
	trailer := func() int { return min(len(b), 6+read()-len(header)) }
	return stream{&lzipReader{Reader: s.Reader, sum: crc32.NewIEEE(), trailer: func() []byte { return b[trailer():] }},
		func() int { return trailer() + 20 }}, nil
}

// An lzipReader compares the checksum and size behind the content.
type lzipReader struct {
	io.Reader
	sum     hash.Hash32
	size    uint64
	trailer func() []byte
}

// Read implements io.Reader.
func (r *lzipReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	_, _ = r.sum.Write(p[:n])
	r.size += uint64(n)
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	switch t := r.trailer(); {
	case len(t) < 20:
		return n, io.ErrUnexpectedEOF
	case uint32At(t, 0) != r.sum.Sum32() || binary.LittleEndian.Uint64(t[4:]) != r.size:
		return n, errDamaged
	}
	return n, io.EOF
}
