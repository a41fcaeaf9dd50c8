package compress

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"assay/scan/container"
)

// A format is one way to compress.
type format struct {
	name   string
	starts func(b []byte) bool // whether a stream starts at b
	open   func(b []byte, c *chain) (stream, error)
}

// A stream decompresses one stream, or as many in a row as its decompressor likes.
type stream struct {
	io.Reader
	used func() int // octets that were read, once Reader is at its end
}

// formats are all that are known. The table is never written.
var formats = [...]format{
	{"gzip", isGzip, openGzip},
	{"bzip2", isBzip2, openBzip2},
	{"xz", isXZ, openXZ},
	{"Zstandard", isZstd, openZstd},
	{"LZ4", isLZ4, openLZ4},
	{"lzip", isLzip, openLzip},
	{"compress", isLZW, openLZW},
	{"LZMA", isLZMA, openLZMA},
	{"zlib", isZlib, openZlib},
}

// formatOf returns the format of a file, nil if it is none.
func formatOf(b []byte) *format {
	for i := range formats {
		if formats[i].starts(b) {
			return &formats[i]
		}
	}
	return nil
}

// A chain reads streams one after the other, as long as another one starts where the last one has ended.
type chain struct {
	format *format
	rest   []byte // what is not read yet
	budget *container.Budget
	name   string // in the header of the first stream
	ends   []int  // where the streams end in what was read
	total  int
	now    stream
	idle   int // reads that brought nothing, in a row
}

// maxStreams is how many streams a file may have: every one costs the setting up of a decompressor.
const maxStreams = 20000

// Read implements io.Reader.
func (c *chain) Read(p []byte) (int, error) {
	for {
		if err := c.budget.Check(); err != nil {
			return 0, err
		}
		if c.now.Reader == nil {
			if err := c.next(); err != nil {
				return 0, err
			}
		}
		n, err := c.now.Read(p)
		c.total += n
		if c.idle++; n > 0 {
			c.idle = 0
		}
		switch {
		case errors.Is(err, io.EOF):
			c.finish()
		case err != nil:
			return n, err
		case c.idle > 100:
			return n, io.ErrNoProgress
		}
		if n > 0 {
			return n, nil
		}
	}
}

// next opens the next stream.
func (c *chain) next() error {
	if len(c.ends) > 0 && !c.format.starts(c.rest) {
		return io.EOF
	}
	if len(c.ends) >= maxStreams {
		return refusal("more than 20000 streams")
	}
	s, err := c.format.open(c.rest, c)
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	c.now, c.idle = s, 0
	return err
}

// finish goes behind the stream.
func (c *chain) finish() {
	c.rest = c.rest[min(max(1, c.now.used()), len(c.rest)):]
	c.now.Reader = nil
	c.ends = append(c.ends, c.total)
}

// allowance is how many octets can come out at most before the budget is exceeded, so no dictionary needs to be larger.
func (c *chain) allowance() uint64 {
	l := c.budget.Limits
	limit := l.Member
	if packed := int64(len(c.rest)); packed < limit/l.Ratio {
		limit = min(limit, max(l.Free, packed*l.Ratio))
	}
	return min(uint64(max(limit, 4096)), maxDictionary)
}

// consumed returns what tells how much of b was read from r.
func consumed(b []byte, r *bytes.Reader) func() int {
	return func() int { return len(b) - r.Len() }
}

// uint32At returns a little-endian number.
func uint32At(b []byte, at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
