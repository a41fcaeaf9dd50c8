package tar

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"strconv"

	"assay/scan"
)

// blockSize is that of tar.
const blockSize = 512

// isTar tells a header by its checksum; that of a file full of zeros is right as well, but it is no header.
func isTar(b []byte) bool {
	return len(b) >= blockSize && isHeader(b[:blockSize]) && b[0] != 0
}

// isHeader reports whether the checksum of a block is right: the sum of its octets, taken as unsigned or, by old programs, as
// signed, with blanks for the checksum itself.
func isHeader(h []byte) bool {
	want, ok := octal(h[148:156])
	if !ok {
		return false
	}
	var unsigned, signed int64
	for i, c := range h {
		if i >= 148 && i < 156 {
			c = ' '
		}
		unsigned += int64(c)
		signed += int64(int8(c))
	}
	return unsigned != 8*' ' && (want == unsigned || want == signed)
}

// octal reads a number in octal digits, or in base 256 as GNU tar writes large ones.
func octal(b []byte) (int64, bool) {
	if b[0]&0x80 != 0 {
		v := int64(b[0] & 0x3f)
		for _, c := range b[1:] {
			if v >= 1<<54 {
				return 0, false
			}
			v = v<<8 | int64(c)
		}
		return v, b[0]&0x40 == 0
	}
	text := string(bytes.Trim(b, " \x00"))
	v, err := strconv.ParseInt(text, 8, 64)
	return v, err == nil && v >= 0
}

// readTar reads all archives that lie in the file one after the other.
func readTar(r *run) error {
	t := &tape{run: r, b: r.file.Content}
	for at := int64(0); at >= 0; at = t.resume(at) {
		if err := r.file.Budget.Check(); err != nil {
			return err
		}
		next, err := t.archive(at)
		if err != nil {
			return err
		}
		at = next
		t.later++
	}
	return nil
}

// A tape is what a tar archive lies on.
type tape struct {
	*run
	b     []byte
	later int // archives that came before
}

// maxArchives is how many times reading begins again.
const maxArchives = 64

// resume returns where to begin again behind the end of an archive or a broken header: at the next header. It returns -1 when
// nothing is left.
func (t *tape) resume(from int64) int64 {
	rest := t.b[min(from, int64(len(t.b))):]
	if len(bytes.Trim(rest, "\x00")) == 0 {
		return -1
	}
	if t.later >= maxArchives {
		t.damaged("more than 64 archives one after the other")
		return -1
	}
	for at := (from + blockSize - 1) / blockSize * blockSize; at+blockSize <= int64(len(t.b)); at += blockSize {
		if h := t.b[at : at+blockSize]; h[0] != 0 && isHeader(h) {
			t.sign(scan.Ambiguous, "an archive behind the end of the archive or behind a broken header")
			return at
		}
	}
	return -1
}

// archive reads one archive, and returns where it ends: behind the end-of-archive blocks, or at what is no header.
func (t *tape) archive(start int64) (end int64, err error) {
	in := bytes.NewReader(t.b)
	_, _ = in.Seek(start, io.SeekStart)
	z := tar.NewReader(in)
	for {
		if err := t.file.Budget.Check(); err != nil {
			return 0, err
		}
		before := int64(len(t.b)) - int64(in.Len())
		h, err := z.Next()
		at := int64(len(t.b)) - int64(in.Len())
		switch {
		case errors.Is(err, io.EOF):
			return at, t.behind(at)
		case errors.Is(err, io.ErrUnexpectedEOF):
			t.damaged("cut off archive")
			return max(at, before+blockSize), t.rest(before)
		case err != nil:
			t.damaged("damaged header")
			return max(at, before+blockSize), t.rest(at)
		}
		if err := t.entry(z, h, at); err != nil {
			return 0, err
		}
	}
}

// behind yields what follows the end of the last archive, if that is no archive.
func (t *tape) behind(at int64) error {
	rest := t.b[at:]
	if len(bytes.Trim(rest, "\x00")) == 0 || t.later > maxArchives {
		return nil
	}
	for i := (at + blockSize - 1) / blockSize * blockSize; i+blockSize <= int64(len(t.b)); i += blockSize {
		if h := t.b[i : i+blockSize]; h[0] != 0 && isHeader(h) {
			return nil // resume finds it
		}
	}
	t.sign(scan.Polyglot, "%d octets behind the end of the archive", len(rest))
	return t.member("", bytes.TrimLeft(rest, "\x00"))
}

// rest yields what follows a header that cannot be read, as programs that skip the header would see it.
func (t *tape) rest(at int64) error {
	b := bytes.TrimLeft(t.b[min(at, int64(len(t.b))):], "\x00")
	if len(b) == 0 || t.later > 0 {
		return nil
	}
	return t.member("", b)
}

// entry yields one member, whose content begins at at.
func (t *tape) entry(z *tar.Reader, h *tar.Header, at int64) error {
	if err := t.otherSize(h, at); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir, tar.TypeLink, tar.TypeSymlink, tar.TypeChar, tar.TypeBlock, tar.TypeFifo, tar.TypeXGlobalHeader:
		return t.noContent(h, at)
	}
	if isSparse(h, t.b[max(0, min(at-blockSize, int64(len(t.b)))):]) {
		content, err := t.file.Budget.ReadAll(z, int64(len(t.b))-at)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		if err != nil {
			t.damaged("cut off archive")
		}
		if err := t.count(); err != nil {
			return err
		}
		if !t.yield(member(h.Name, content)) {
			return errStopped
		}
		return nil
	}
	content, whole := part(t.b, at, h.Size)
	if !whole {
		t.damaged("cut off archive")
	}
	return t.member(h.Name, content)
}

// noContent counts a link, folder or device. Some programs take a size that it has for real.
func (t *tape) noContent(h *tar.Header, at int64) error {
	if h.Size == 0 {
		return t.count()
	}
	t.sign(scan.Ambiguous, "a link or folder with a size")
	content, _ := part(t.b, at, h.Size)
	return t.member(h.Name, content)
}

// isSparse reports whether holes were left out of the content: by a header of GNU tar, or by records of PAX.
func isSparse(h *tar.Header, block []byte) bool {
	for key := range h.PAXRecords {
		if len(key) > 11 && key[:11] == "GNU.sparse." {
			return true
		}
	}
	return h.Typeflag == tar.TypeGNUSparse || len(block) > 156 && block[156] == tar.TypeGNUSparse
}

// otherSize yields the content that programs see which take the size in the header, where a record of PAX says something else.
func (t *tape) otherSize(h *tar.Header, at int64) error {
	if at < blockSize || at > int64(len(t.b)) {
		return nil
	}
	block := t.b[at-blockSize : at]
	size, ok := octal(block[124:136])
	if !ok || size == h.Size || size == 0 && h.PAXRecords["size"] == "" || isSparse(h, block) || !isHeader(block) {
		return nil
	}
	if h.Size > 1<<33-1 && size < 1<<33 { // does not fit into the header, which is why there is a record
		return nil
	}
	t.sign(scan.Ambiguous, "two sizes of one member")
	content, _ := part(t.b, at, max(size, h.Size))
	return t.member(h.Name, content)
}
