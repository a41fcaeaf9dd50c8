// Package compress reads files that hold one compressed file: gzip, bzip2, xz, lzma, zstd, LZ4, lzip, compress (.Z) and zlib.
//
// Several compressed streams in a row are one file, as the programs see it, and what lies behind the last one is yielded by
// itself. What was decompressed before an error is yielded too, and the file is uninspectable then. It refuses dictionaries
// and windows of more than 64 MiB before anything is allocated for them. It does not read pack (.z), compress of before 1985,
// Brotli and Snappy: they have no magic or are not met in mail.
//
// Specifications: RFC 1952 (gzip), RFC 1950 (zlib), The .xz File Format 1.2.1, RFC 8878 (Zstandard), LZ4 Frame Format 1.6.3,
// draft-diaz-lzip-09.
package compress

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"assay/scan"
	"assay/scan/container"
)

// maxDictionary is how many octets a decompressor may keep of what it has written.
const maxDictionary = 64 << 20

// A Reader reads files that hold one compressed file. The zero value is ready to use.
type Reader struct{}

var _ container.Reader = Reader{}

// Reads implements container.Reader.
func (Reader) Reads(f *container.File) bool { return formatOf(f.Content) != nil }

// Read implements container.Reader.
func (Reader) Read(f *container.File, yield func(container.Member) bool) (v container.Verdict) {
	format := formatOf(f.Content)
	if format == nil {
		return container.Verdict{State: scan.Uninspectable, Method: "not a compressed file"}
	}
	c := &chain{format: format, rest: f.Content, budget: f.Budget}
	content, err := read(c)
	v = verdict(format, err)
	if len(content) == 0 && err != nil {
		return v
	}
	r := result{file: f, chain: c, content: content, yield: yield}
	if err := r.deliver(&v); err != nil {
		return container.Limited(err, v.Signs...)
	}
	return v
}

// read decompresses everything. The decompressors are not ours: what they panic on is damaged.
func read(c *chain) (content []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			content, err = nil, errDamaged
		}
	}()
	return c.budget.ReadAll(c, int64(len(c.rest)))
}

// errDamaged is what the decompressors' errors amount to.
var errDamaged = errors.New("damaged")

// verdict tells what an error means for the file.
func verdict(format *format, err error) container.Verdict {
	var refused refusal
	switch {
	case err == nil:
		return container.Verdict{State: scan.Inspected}
	case errors.Is(err, container.ErrLimit):
		v := container.Limited(err)
		if limit := new(container.LimitError); errors.As(err, &limit) && limit.Limit == "ratio" {
			v.Signs = []container.Sign{{Trait: scan.Bomb, Detail: err.Error()}}
		}
		return v
	case errors.As(err, &refused):
		return container.Verdict{State: scan.Uninspectable, Method: format.name + ", " + string(refused)}
	}
	text := "damaged " + format.name + " file"
	if errors.Is(err, io.ErrUnexpectedEOF) {
		text = "cut off " + format.name + " file"
	}
	return container.Verdict{State: scan.Uninspectable, Method: text, Signs: []container.Sign{{Trait: scan.Damaged, Detail: text}}}
}

// A refusal says why something is not decompressed at all.
type refusal string

// Error implements error.
func (r refusal) Error() string { return string(r) }

// dictionary refuses a dictionary that is too large.
func dictionary(size uint64) error {
	if size <= maxDictionary {
		return nil
	}
	return refusal(fmt.Sprintf("dictionary of %d MiB", (size+1<<20-1)>>20))
}

// A result is what a file was decompressed to.
type result struct {
	file    *container.File
	chain   *chain
	content []byte
	yield   func(container.Member) bool
}

// maxParts is up to how many streams are also yielded one by one. Programs that cut large files into blocks write more, and
// nobody reads only one of those.
const maxParts = 8

// deliver yields the content, the streams of it, and what lies behind.
func (r *result) deliver(v *container.Verdict) error {
	if err := r.member(container.Member{Name: r.name(), Content: r.content, Plain: true}); err != nil {
		return err
	}
	if ends := r.chain.ends; len(ends) > 1 && len(ends) <= maxParts {
		for i, end := range ends {
			start := 0
			if i > 0 {
				start = ends[i-1]
			}
			if start >= end || end > len(r.content) || end-start == len(r.content) {
				continue
			}
			if err := r.member(container.Member{Name: r.name(), Content: r.content[start:end]}); err != nil {
				return err
			}
		}
	}
	return r.behind(v)
}

// behind yields what lies behind the last stream. Zeros are padding of tapes.
func (r *result) behind(v *container.Verdict) error {
	rest := r.chain.rest
	if v.State != scan.Inspected || strings.Trim(string(rest[:min(len(rest), 512)]), "\x00") == "" && isZero(rest) {
		return nil
	}
	v.Signs = append(v.Signs, container.Sign{Trait: scan.Polyglot,
		Detail: fmt.Sprintf("%d octets behind the compressed file", len(rest))})
	return r.member(container.Member{Content: rest})
}

// isZero reports whether there is nothing but zeros.
func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// errStopped is told when nobody wants more.
var errStopped = errors.New("stopped")

// member yields one member.
func (r *result) member(m container.Member) error {
	if err := r.file.Budget.Member(); err != nil {
		return err
	}
	if !r.yield(m) {
		return errStopped
	}
	return nil
}

// name is what the decompressed file is called: the name in the header, or that of the file without its extension.
func (r *result) name() string {
	if r.chain.name != "" {
		return r.chain.name
	}
	name := r.file.Name
	dot := strings.LastIndexByte(name, '.')
	if dot <= 0 {
		return name
	}
	base, ext := name[:dot], strings.ToLower(name[dot+1:])
	switch ext {
	case "gz", "gzip", "bz2", "bz", "bzip2", "xz", "lzma", "zst", "zstd", "lz4", "lz", "z", "zz", "zlib":
		return base
	case "tgz", "tbz", "tbz2", "tb2", "txz", "tlz", "tzst", "taz", "tz", "tz2":
		return base + ".tar"
	case "svgz":
		return base + ".svg"
	case "emz":
		return base + ".emf"
	case "wmz":
		return base + ".wmf"
	}
	return name
}
