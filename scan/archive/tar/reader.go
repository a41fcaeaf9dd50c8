// Package tar reads tar, cpio, ar (also Debian packages) and RPM archives.
//
// A tar archive is read on behind what programs stop at or stumble over: the end-of-archive blocks, a header with a wrong
// checksum, a header whose size another program reads differently. Everything found there is yielded too, and the file is
// ambiguous. Links and devices are counted but not yielded: they have no content.
//
// Specifications: POSIX.1-2017 pax ("ustar Interchange Format", "pax Interchange Format", "cpio Interchange Format"),
// GNU tar's tar(5), cpio(5), ar(5), RPM Package File Format (Linux Standard Base).
package tar

import (
	"errors"
	"fmt"

	"assay/scan"
	"assay/scan/container"
)

// A Reader reads archives that do not compress. The zero value is ready to use.
type Reader struct{}

var _ container.Reader = Reader{}

// Reads implements container.Reader.
func (Reader) Reads(f *container.File) bool { return readerOf(f.Content) != nil }

// readerOf returns what reads a file, nil for nothing.
func readerOf(b []byte) func(*run) error {
	switch {
	case isRPM(b):
		return readRPM
	case isAr(b):
		return readAr
	case cpioFormat(b) != nil:
		return readCpio
	case isTar(b):
		return readTar
	}
	return nil
}

// Read implements container.Reader.
func (Reader) Read(f *container.File, yield func(container.Member) bool) container.Verdict {
	r := &run{file: f, yield: yield}
	read := readerOf(f.Content)
	if read == nil {
		return container.Verdict{State: scan.Uninspectable, Method: "not an archive"}
	}
	err := read(r)
	switch {
	case errors.Is(err, container.ErrLimit):
		return container.Limited(err, r.signs...)
	case err != nil && !errors.Is(err, errStopped):
		r.damaged(err.Error())
	}
	if r.reason != "" {
		return container.Verdict{State: scan.Uninspectable, Method: r.reason, Signs: r.signs}
	}
	return container.Verdict{State: scan.Inspected, Signs: r.signs}
}

// The errors of readers.
var (
	errStopped = errors.New("stopped") // nobody wants more
	errCutOff  = errors.New("cut off archive")
	errBroken  = errors.New("damaged archive")
)

// A run reads one file.
type run struct {
	file   *container.File
	yield  func(container.Member) bool
	signs  []container.Sign
	reason string
}

// damaged remembers that the archive is broken.
func (r *run) damaged(text string) {
	if r.reason == "" {
		r.reason = text
	}
	r.sign(scan.Damaged, "%s", text)
}

// sign adds a trait, once.
func (r *run) sign(trait scan.Trait, format string, args ...any) {
	for i := range r.signs {
		if r.signs[i].Trait == trait {
			r.signs[i].Count = max(r.signs[i].Count, 1) + 1
			return
		}
	}
	r.signs = append(r.signs, container.Sign{Trait: trait, Detail: fmt.Sprintf(format, args...)})
}

// member yields one member, whose content lies in the file as it is.
func (r *run) member(name string, content []byte) error {
	if err := r.count(); err != nil {
		return err
	}
	if err := r.file.Budget.Spend(int64(len(content))); err != nil {
		return err
	}
	if content == nil {
		content = []byte{}
	}
	if !r.yield(container.Member{Name: name, Content: content}) {
		return errStopped
	}
	return nil
}

// count counts one member.
func (r *run) count() error { return r.file.Budget.Member() }

// part returns the octets from at to at+size, and whether they are all there.
func part(b []byte, at, size int64) ([]byte, bool) {
	if at < 0 || size < 0 || at > int64(len(b)) {
		return nil, false
	}
	if size > int64(len(b))-at {
		return b[at:], false
	}
	return b[at : at+size], true
}
