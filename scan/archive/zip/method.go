package zip

import (
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
	"github.com/ulikunitz/xz/lzma"

	"assay/scan/container"
)

// Compression methods that can be read, and the one that stands for encryption (APPNOTE 4.4.5).
const (
	methodStored    = 0
	methodDeflate   = 8
	methodDeflate64 = 9
	methodBzip2     = 12
	methodLZMA      = 14
	methodZstdOld   = 20
	methodZstd      = 93
	methodXZ        = 95
	methodAES       = 99
)

// methodName returns the name of a compression method, "" if the number is nobody's.
func methodName(method uint16) string {
	switch method {
	case methodStored:
		return "stored"
	case 1:
		return "shrink"
	case 2, 3, 4, 5:
		return "reduce"
	case 6:
		return "implode"
	case 7:
		return "tokenize"
	case methodDeflate:
		return "deflate"
	case methodDeflate64:
		return "deflate64"
	case 10:
		return "PKWARE DCL implode"
	case methodBzip2:
		return "bzip2"
	case methodLZMA:
		return "LZMA"
	case 16:
		return "IBM z/OS CMPSC"
	case 18:
		return "IBM TERSE"
	case 19:
		return "IBM LZ77"
	case methodZstdOld, methodZstd:
		return "zstd"
	case 94:
		return "MP3"
	case methodXZ:
		return "xz"
	case 96:
		return "JPEG"
	case 97:
		return "WavPack"
	case 98:
		return "PPMd"
	case methodAES:
		return "AES"
	}
	return ""
}

func knownMethod(method uint16) bool { return methodName(method) != "" }

// readable reports whether contents of this method can be unpacked.
func readable(method uint16) bool {
	switch method {
	case methodStored, methodDeflate, methodDeflate64, methodBzip2, methodLZMA, methodZstdOld, methodZstd, methodXZ:
		return true
	}
	return false
}

// methodError is the error about a method that cannot be read, in words for people.
type methodError uint16

func (e methodError) Error() string {
	if name := methodName(uint16(e)); name != "" {
		return fmt.Sprintf("compression method %d (%s)", uint16(e), name)
	}
	return fmt.Sprintf("unknown compression method %d", uint16(e))
}

func (e methodError) Is(target error) bool { return target == ErrMethod }

// maxDictionary is the largest dictionary that LZMA, xz and zstd may ask for.
const maxDictionary = 64 << 20

// A packing is a packed content and what is known of it.
type packing struct {
	method uint16
	raw    []byte
	size   int64 // that the headers claim
	eos    bool  // LZMA: an end marker is there (APPNOTE 5.8.9)
}

// unpack returns the content, and how many octets of raw it is made of, as far as the method tells. What was unpacked before
// an error is returned with it.
func (p packing) unpack(b *container.Budget) (content []byte, used int, err error) {
	if p.method == methodStored {
		return p.raw, len(p.raw), b.Spend(int64(len(p.raw)))
	}
	in := bytes.NewReader(p.raw)
	r, err := p.reader(b, in)
	if err != nil {
		return nil, 0, err
	}
	if c, ok := r.(io.Closer); ok {
		defer c.Close()
	}
	content, err = b.ReadAll(r, int64(len(p.raw)))
	used = len(p.raw) - in.Len()
	if z, ok := r.(*inflate64); ok {
		used -= int(z.have / 8) // read ahead
	}
	return content, used, err
}

// reader returns what unpacks. The dictionaries are bounded: by what may come out of that many octets at all.
func (p packing) reader(b *container.Budget, in *bytes.Reader) (io.Reader, error) {
	useful := int64(len(p.raw))*b.Limits.Ratio + 1<<20
	switch p.method {
	case methodDeflate:
		return flate.NewReader(in), nil
	case methodDeflate64:
		return newInflate64(in), nil
	case methodBzip2:
		return bzip2.NewReader(in), nil
	case methodLZMA:
		return p.lzma(in, min(useful, maxDictionary))
	case methodZstd, methodZstdOld:
		d, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxDictionary),
			zstd.WithDecoderMaxMemory(maxDictionary))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	case methodXZ:
		// The usual presets ask for 8 MiB also where the content is small.
		return xz.NewReader(in, uint32(min(max(useful, 8<<20), maxDictionary)))
	}
	return nil, methodError(p.method)
}

// lzma opens an LZMA stream behind the header that ZIP has for it (APPNOTE 5.8.8): the version, and the length and octets of
// the properties. The dictionary never has to be larger than the content.
func (p packing) lzma(in *bytes.Reader, most int64) (io.Reader, error) {
	const head = 4 + 5
	if len(p.raw) < head || le.Uint16(p.raw[2:]) != 5 {
		return nil, errors.New("wrong LZMA properties")
	}
	dictionary := min(int64(le.Uint32(p.raw[5:])), most, max(p.size, 4096))
	if p.eos {
		dictionary = min(int64(le.Uint32(p.raw[5:])), most)
	}
	classic := make([]byte, 13)
	classic[0] = p.raw[4]
	le.PutUint32(classic[1:], uint32(max(dictionary, 4096)))
	le.PutUint64(classic[5:], uint64(p.size))
	if p.eos {
		le.PutUint64(classic[5:], 1<<64-1)
	}
	if _, err := in.Seek(head, io.SeekStart); err != nil {
		return nil, err
	}
	r, err := lzma.ReaderConfig{DictCap: maxDictionary}.NewReader(io.MultiReader(bytes.NewReader(classic), in))
	if err != nil {
		return nil, err
	}
	return r, nil
}
