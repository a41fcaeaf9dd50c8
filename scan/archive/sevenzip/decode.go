package sevenzip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"github.com/bodgit/sevenzip"
	"github.com/klauspost/compress/zstd"
)

// The methods that are spoken of here (7-Zip's DOC/Methods.txt).
const (
	methodCopy  = "\x00"
	methodLZMA  = "\x03\x01\x01"
	methodPPMd  = "\x03\x04\x01"
	methodLZMA2 = "\x21"
	methodZstd  = "\x04\xf7\x11\x01"
	methodAES   = "\x06\xf1\x07\x01"
)

// known tells the methods that the library decompresses.
func known(method string) bool {
	switch method {
	case methodCopy, "\x03", methodLZMA, "\x03\x03\x01\x03", "\x03\x03\x01\x1b", "\x03\x03\x02\x05", "\x03\x03\x05\x01", "\x03\x03\x08\x05",
		"\x04\x01\x08", "\x04\x02\x02", methodZstd, "\x04\xf7\x11\x02", "\x04\xf7\x11\x04", "\x0a", methodLZMA2, methodPPMd:
		return true
	}
	return false
}

// maxDictionary is how many octets of memory one coder may ask for.
const maxDictionary = 64 << 20

// A refusal says why something is not decompressed at all.
type refusal string

// Error implements error.
func (r refusal) Error() string { return string(r) }

// registerZstd replaces the library's Zstandard by one that has a limit for its window and starts no goroutines.
var registerZstd = sync.OnceFunc(func() {
	sevenzip.RegisterDecompressor([]byte(methodZstd), func(_ []byte, _ uint64, in []io.ReadCloser) (io.ReadCloser, error) {
		if len(in) != 1 {
			return nil, errHeader
		}
		z, err := zstd.NewReader(in[0], zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxDictionary))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	})
})

// A plan is a folder as the library is to see it: coders in the order of decompression, none of which decrypts.
type plan struct {
	coders []coder
	binds  []bind
	packs  [][]byte
	inputs []int // that the packs feed
	sizes  []uint64
	memory uint64 // that the coders ask for
}

// plan puts the coders of a folder in order. The library wants every coder behind those whose output it reads. Packs are the
// packed streams, which decrypt may replace.
func (f *folder) plan(decrypt func(c coder, pack []byte, size uint64) ([]byte, error)) (*plan, error) {
	p := &planner{folder: f, place: make([]int, len(f.coders)), decrypt: decrypt}
	for i := range p.place {
		p.place[i] = unvisited
	}
	last := f.last()
	if last < 0 {
		return nil, errHeader
	}
	if err := p.visit(last); err != nil {
		return nil, err
	}
	if len(p.plan.coders) != len(f.coders) {
		return nil, errHeader
	}
	return &p.plan, nil
}

// A planner makes a plan. Place is where a coder has come to.
type planner struct {
	folder  *folder
	place   []int
	plan    plan
	decrypt func(c coder, pack []byte, size uint64) ([]byte, error)
	inputs  int
}

// The states of a coder that has no place yet.
const (
	unvisited = -1
	underway  = -2
)

// visit puts a coder behind those that it reads from.
func (p *planner) visit(i int) error {
	if p.place[i] != unvisited {
		return errHeader
	}
	p.place[i] = underway
	first := 0
	for _, c := range p.folder.coders[:i] {
		first += c.in
	}
	c := p.folder.coders[i]
	for in := first; in < first+c.in; in++ {
		if source := p.folder.source(in); source >= 0 {
			if err := p.visit(source); err != nil {
				return err
			}
		}
	}
	if err := p.connect(&c, first, p.folder.sizes[i]); err != nil {
		return err
	}
	if err := p.restrain(&c, p.folder.sizes[i]); err != nil {
		return err
	}
	p.place[i] = len(p.plan.coders)
	p.plan.coders = append(p.plan.coders, c)
	p.plan.sizes = append(p.plan.sizes, p.folder.sizes[i])
	p.inputs += c.in
	return nil
}

// connect leads what a coder reads to its inputs. What is encrypted is decrypted here, and the coder then copies.
func (p *planner) connect(c *coder, first int, size uint64) error {
	for k := range c.in {
		if source := p.folder.source(first + k); source >= 0 {
			p.plan.binds = append(p.plan.binds, bind{p.inputs + k, p.place[source]})
			continue
		}
		pack := p.folder.pack(first + k)
		if pack == nil {
			return errHeader
		}
		if c.id == methodAES && c.in == 1 {
			plain, err := p.decrypt(*c, pack, size)
			if err != nil {
				return err
			}
			pack, *c = plain, coder{id: methodCopy, in: 1, out: 1}
		}
		p.plan.packs = append(p.plan.packs, pack)
		p.plan.inputs = append(p.plan.inputs, p.inputs+k)
	}
	return nil
}

// pack returns the packed stream that feeds an input, nil if there is none.
func (f *folder) pack(in int) []byte {
	for i, k := range f.packed {
		if k == in && i < len(f.packs) {
			return f.packs[i]
		}
	}
	return nil
}

// restrain looks at what a coder asks for. A dictionary need not be larger than what comes out of the coder.
func (p *planner) restrain(c *coder, size uint64) error {
	var memory uint64
	switch {
	case c.id == methodAES:
		return refusal("encryption of what another coder makes")
	case !known(c.id):
		return refusal(fmt.Sprintf("unknown compression method %x", c.id))
	case c.id == methodLZMA && len(c.properties) == 5:
		memory = max(4096, min(uint64(binary.LittleEndian.Uint32(c.properties[1:])), size))
		c.properties = binary.LittleEndian.AppendUint32([]byte{c.properties[0]}, uint32(memory))
	case c.id == methodLZMA2 && len(c.properties) == 1 && c.properties[0] <= 40:
		prop := byte(0)
		for prop < c.properties[0] && lzma2Dictionary(prop) < size {
			prop++
		}
		memory, c.properties = lzma2Dictionary(prop), []byte{prop}
	case c.id == methodPPMd && len(c.properties) == 5:
		memory = uint64(binary.LittleEndian.Uint32(c.properties[1:]))
	}
	if memory > maxDictionary {
		return refusal(fmt.Sprintf("dictionary of %d MiB", (memory+1<<20-1)>>20))
	}
	p.plan.memory += memory
	return nil
}

// lzma2Dictionary decodes the property of LZMA2.
func lzma2Dictionary(p byte) uint64 {
	if p >= 40 {
		return 1<<32 - 1
	}
	return uint64(2|p&1) << (p/2 + 11)
}

// archive writes the plan as an archive of its own, with one file in one folder.
func (p *plan) archive() *pieces {
	var body int
	for _, pack := range p.packs {
		body += len(pack)
	}
	h := p.header()
	start := binary.LittleEndian.AppendUint64(nil, uint64(body))
	start = binary.LittleEndian.AppendUint64(start, uint64(len(h)))
	start = binary.LittleEndian.AppendUint32(start, crc32.ChecksumIEEE(h))
	head := append([]byte(signature), 0, 4)
	head = binary.LittleEndian.AppendUint32(head, crc32.ChecksumIEEE(start))
	a := &pieces{parts: [][]byte{append(head, start...)}}
	a.parts = append(append(a.parts, p.packs...), h)
	return a
}

// header writes the Header of that archive.
func (p *plan) header() []byte {
	h := number([]byte{idHeader, idMainStreams, idPackInfo, 0}, uint64(len(p.packs)))
	h = append(h, idSize)
	for _, pack := range p.packs {
		h = number(h, uint64(len(pack)))
	}
	h = append(h, idEnd, idUnpackInfo, idFolder, 1, 0)
	h = number(h, uint64(len(p.coders)))
	for _, c := range p.coders {
		h = c.append(h)
	}
	for _, b := range p.binds {
		h = number(number(h, uint64(b.in)), uint64(b.out))
	}
	if len(p.packs) > 1 {
		for _, in := range p.inputs {
			h = number(h, uint64(in))
		}
	}
	h = append(h, idCodersUnpackSize)
	for _, size := range p.sizes {
		h = number(h, size)
	}
	return append(h, idEnd, idEnd, idFiles, 1, idNames, 5, 0, 'a', 0, 0, 0, idEnd, idEnd)
}

// append writes a Coder.
func (c *coder) append(h []byte) []byte {
	flags := byte(len(c.id)) | 0x10
	if len(c.properties) > 0 {
		flags |= 0x20
	}
	h = append(append(h, flags), c.id...)
	h = number(number(h, uint64(c.in)), uint64(c.out))
	if len(c.properties) > 0 {
		h = append(number(h, uint64(len(c.properties))), c.properties...)
	}
	return h
}

// number writes a NUMBER, always in nine octets.
func number(b []byte, v uint64) []byte {
	return binary.LittleEndian.AppendUint64(append(b, 0xff), v)
}

// pieces are octets one after the other.
type pieces struct{ parts [][]byte }

// size returns how many octets there are.
func (p *pieces) size() (n int64) {
	for _, part := range p.parts {
		n += int64(len(part))
	}
	return n
}

// ReadAt implements io.ReaderAt.
func (p *pieces) ReadAt(b []byte, at int64) (n int, err error) {
	for _, part := range p.parts {
		if at >= int64(len(part)) {
			at -= int64(len(part))
			continue
		}
		k := copy(b[n:], part[at:])
		n, at = n+k, 0
		if n == len(b) {
			return n, nil
		}
	}
	return n, io.EOF
}

// open starts the decompression.
func (p *plan) open() (io.Reader, error) {
	registerZstd()
	a := p.archive()
	z, err := sevenzip.NewReader(a, a.size())
	if err != nil {
		return nil, err
	}
	if len(z.File) != 1 {
		return nil, errHeader
	}
	return z.File[0].Open()
}

// errDamaged is what the errors of the library amount to.
var errDamaged = errors.New("damaged")

// guard calls what uses the library. It is not ours: what it panics on is damaged.
func guard(read func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = errDamaged
		}
	}()
	return read()
}
