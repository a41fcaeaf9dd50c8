package compress

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"hash/crc32"
	"io"

	"github.com/therootcompany/xz"
)

// isGzip: RFC 1952 Section 2.3.1, with the only method and no reserved flag.
func isGzip(b []byte) bool {
	return len(b) >= 10 && b[0] == 0x1f && b[1] == 0x8b && b[2] == 8 && b[3]&0xe0 == 0
}

// openGzip opens one member of a gzip file.
func openGzip(b []byte, c *chain) (stream, error) {
	in := bytes.NewReader(b)
	z, err := gzip.NewReader(in)
	if err != nil {
		return stream{}, err
	}
	z.Multistream(false)
	if len(c.ends) == 0 {
		c.name = z.Name
	}
	return stream{z, consumed(b, in)}, nil
}

// isZlib: RFC 1950 Section 2.2, with the first octets decompressed to be sure, as two octets are no magic.
func isZlib(b []byte) bool {
	if len(b) < 8 || b[0]&0x0f != 8 || b[0]>>4 > 7 || (int(b[0])<<8|int(b[1]))%31 != 0 || b[1]&0x20 != 0 {
		return false
	}
	z, err := zlib.NewReader(bytes.NewReader(b[:min(len(b), 8<<10)]))
	if err != nil {
		return false
	}
	n, err := io.CopyN(io.Discard, z, 4<<10)
	return err == nil || n > 0 && errors.Is(err, io.EOF) || n >= 64 && errors.Is(err, io.ErrUnexpectedEOF)
}

// openZlib opens a zlib stream.
func openZlib(b []byte, _ *chain) (stream, error) {
	in := bytes.NewReader(b)
	z, err := zlib.NewReader(in)
	return stream{z, consumed(b, in)}, err
}

// isBzip2: the header, and the magic of a block or of the end.
func isBzip2(b []byte) bool {
	return len(b) >= 14 && string(b[:3]) == "BZh" && b[3] >= '1' && b[3] <= '9' &&
		(string(b[4:10]) == "1AY&SY" || string(b[4:10]) == "\x17rE8P\x90")
}

// openBzip2 opens all streams of a bzip2 file.
func openBzip2(b []byte, _ *chain) (stream, error) {
	in := bytes.NewReader(b)
	z := &bzip2Reader{Reader: bzip2.NewReader(in)}
	return stream{z, func() int { return len(b) - in.Len() - z.behind }}, nil
}

// A bzip2Reader ends where something else follows the streams. The library takes that for a broken stream.
type bzip2Reader struct {
	io.Reader
	behind int // octets read that belong to what follows
}

// Read implements io.Reader.
func (r *bzip2Reader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if wrong := bzip2.StructuralError(""); errors.As(err, &wrong) && wrong == "bad magic value in continuation file" {
		r.behind = 2
		return n, io.EOF
	}
	return n, err
}

// isXZ: The .xz File Format 2.1.1.1.
func isXZ(b []byte) bool { return len(b) >= 12 && string(b[:6]) == "\xfd7zXZ\x00" }

// openXZ opens one stream of an xz file.
func openXZ(b []byte, c *chain) (stream, error) {
	if err := dictionary(xzDictionary(b)); err != nil {
		return stream{}, err
	}
	in := bytes.NewReader(b)
	z, err := xz.NewReader(in, maxDictionary)
	if err != nil {
		return stream{}, xzError(err)
	}
	z.Multistream(false)
	return stream{xzReader{z}, func() int { return xzEnd(b, len(b)-in.Len()) }}, nil
}

// An xzReader tells a file that was cut off from a damaged one.
type xzReader struct{ z *xz.Reader }

// Read implements io.Reader.
func (r xzReader) Read(p []byte) (int, error) {
	n, err := r.z.Read(p)
	return n, xzError(err)
}

// xzError translates the errors of the library.
func xzError(err error) error {
	switch {
	case errors.Is(err, xz.ErrBuf):
		return io.ErrUnexpectedEOF
	case errors.Is(err, xz.ErrMemlimit):
		return refusal("dictionary of more than 64 MiB")
	case errors.Is(err, xz.ErrOptions):
		return refusal("unknown filter")
	case errors.Is(err, xz.ErrUnsupportedCheck):
		return refusal("unknown checksum")
	}
	return err
}

// xzDictionary returns the size of the dictionary that the first block wants (The .xz File Format 3.1 and 5.3.1), 0 if it does
// not say.
func xzDictionary(b []byte) uint64 {
	if len(b) < 14 || b[12] == 0 {
		return 0
	}
	header := b[12:min(len(b), 12+(int(b[12])+1)*4)]
	flags, at := header[1], 2
	for _, present := range []bool{flags&0x40 != 0, flags&0x80 != 0} {
		for more := present; more && at < len(header); at++ {
			more = header[at]&0x80 != 0
		}
	}
	for range int(flags&3) + 1 {
		if at+2 > len(header) {
			return 0
		}
		id, size := header[at], int(header[at+1])
		if id == 0x21 && size == 1 && at+2 < len(header) {
			return lzma2Dictionary(header[at+2])
		}
		at += 2 + size
	}
	return 0
}

// lzma2Dictionary decodes the property of LZMA2.
func lzma2Dictionary(p byte) uint64 {
	if p >= 40 {
		return 1<<32 - 1
	}
	return uint64(2|p&1) << (p/2 + 11)
}

// xzEnd returns where a stream ends of which the last octets were read with those up to the given place: the library reads 8 KiB
// at once. The footer (The .xz File Format 2.1.2) has a checksum, so there is no doubt. Padding belongs to the stream.
func xzEnd(b []byte, read int) int {
	for end := max(24, (read-8<<10)&^3); end <= read; end += 4 {
		if b[end-2] == 'Y' && b[end-1] == 'Z' && uint32At(b, end-12) == crc32.ChecksumIEEE(b[end-8:end-2]) {
			for end+4 <= len(b) && uint32At(b, end) == 0 {
				end += 4
			}
			return end
		}
	}
	return read
}
