package message

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// A body holds the octets of a message body: in memory while they are few, else in a temporary file that has no name
// and so vanishes with its descriptor, whatever happens to the process. It is the only place of the package that
// touches the file system.
type body struct {
	mem  []byte   // the octets, while file is nil
	file *os.File // nil while the octets are in memory
	size int64
}

// append adds octets, moving everything to a file in dir once more than memory octets have come together.
func (b *body) append(p []byte, memory int, dir string) error {
	if b.file == nil && len(b.mem)+len(p) <= memory {
		if cap(b.mem)-len(b.mem) < len(p) { // twice as much each time: append would copy the body four times
			b.mem = slices.Grow(b.mem, max(len(p), min(len(b.mem), memory-len(b.mem))))
		}
		b.mem = append(b.mem, p...)
		b.size += int64(len(p))
		return nil
	}
	if b.file == nil {
		if err := b.spill(dir); err != nil {
			return err
		}
	}
	n, err := b.file.Write(p)
	b.size += int64(n)
	if err != nil {
		return fmt.Errorf("message: spooling the body: %w", err)
	}
	return nil
}

// spill moves the octets from memory to a new file.
func (b *body) spill(dir string) error {
	f, err := os.CreateTemp(dir, "assay-body-*") // mode 0600
	if err != nil {
		return fmt.Errorf("message: spooling the body: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return fmt.Errorf("message: spooling the body: %w", err)
	}
	if _, err := f.Write(b.mem); err != nil {
		f.Close()
		return fmt.Errorf("message: spooling the body: %w", err)
	}
	b.file, b.mem = f, nil
	return nil
}

// ReadAt implements io.ReaderAt. It may be called from several goroutines.
func (b *body) ReadAt(p []byte, off int64) (int, error) {
	if b.file != nil {
		return b.file.ReadAt(p, off)
	}
	if off < 0 || off >= int64(len(b.mem)) {
		return 0, io.EOF
	}
	n := copy(p, b.mem[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// close gives the file back; reading then fails. Memory is left to the garbage collector and can still be read. It may
// be called more than once.
func (b *body) close() error {
	if b.file == nil {
		return nil
	}
	if err := b.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("message: closing the spooled body: %w", err)
	}
	return nil
}

// CheckSpool tries whether bodies above l.Memory can be spooled, so that a program finds out before the first large
// message does.
func CheckSpool(l Limits) error {
	var b body
	if err := b.append([]byte{0}, 0, l.TempDir); err != nil {
		return err
	}
	return b.close()
}
