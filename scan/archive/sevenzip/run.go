package sevenzip

import (
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"assay/scan"
	"assay/scan/container"
)

// A run reads one file.
type run struct {
	file      *container.File
	yield     func(container.Member) bool
	keys      keyring
	password  string // that has opened something
	opened    bool
	encrypted bool   // something stays encrypted
	method    string // how
	reason    string // why something could not be inspected
	limit     error
	signs     []container.Sign
	memory    uint64 // that decompressors were given so far
	stop      bool
}

// splitVolume is the Verdict on a volume of a split archive.
func splitVolume(n int) container.Verdict {
	text := fmt.Sprintf("volume %d of a split archive", n)
	return container.Verdict{State: scan.Uninspectable, Method: text, Signs: []container.Sign{{Trait: scan.SplitVolume, Detail: text}}}
}

// verdict sums up.
func (r *run) verdict() container.Verdict {
	v := container.Verdict{State: scan.Inspected, Signs: r.signs}
	if r.opened {
		v.Class, v.Method = scan.ClassArchive, "7z AES-256"
	}
	switch {
	case r.encrypted:
		v.State, v.Class, v.Method = scan.Encrypted, scan.ClassArchive, cmp.Or(r.method, "7z AES-256")
	case r.limit != nil:
		v.State, v.Method = scan.Uninspectable, r.limit.Error()
	case r.reason != "":
		v.State, v.Method = scan.Uninspectable, r.reason
	}
	return v
}

// sign adds a trait, once.
func (r *run) sign(trait scan.Trait, detail string) {
	for i := range r.signs {
		if r.signs[i].Trait == trait {
			r.signs[i].Count = max(r.signs[i].Count, 1) + 1
			return
		}
	}
	r.signs = append(r.signs, container.Sign{Trait: trait, Detail: detail})
}

// problem remembers why the file cannot be inspected.
func (r *run) problem(text string, err error) {
	var refused refusal
	switch limit := new(container.LimitError); {
	case errors.As(err, &limit):
		if r.limit == nil && limit.Limit == "ratio" {
			r.sign(scan.Bomb, err.Error())
		}
		r.limit = cmp.Or(r.limit, err)
		r.stop = r.stop || r.file.Budget.Over() != nil
	case errors.As(err, &refused):
		r.reason = cmp.Or(r.reason, text)
	default:
		r.reason = cmp.Or(r.reason, text)
		r.sign(scan.Damaged, text)
	}
}

// failed remembers an error, and returns it in words.
func (r *run) failed(what string, err error) string {
	var refused refusal
	text := "damaged " + what
	switch {
	case errors.Is(err, container.ErrLimit):
		text = err.Error()
	case errors.As(err, &refused):
		text = "7z, " + string(refused)
	}
	r.problem(text, err)
	return text
}

// member yields a member.
func (r *run) member(m container.Member) {
	if err := r.file.Budget.Member(); err != nil {
		r.problem("", err)
		return
	}
	if !r.yield(m) {
		r.stop = true
	}
}

// A source is a folder while its substreams are read.
type source struct {
	folder int
	r      io.Reader
	err    error // why the rest of it cannot be read
	plain  bool  // was never encrypted
}

// entries yields the entries of an archive. Their streams are in the order of the folders.
func (r *run) entries(h *header) {
	next := 0
	src := &source{folder: -1}
	for i := 0; i < len(h.entries) && !r.stop; i++ {
		e := &h.entries[i]
		switch {
		case e.hasStream && next < len(h.streams):
			r.stream(h, src, next, e.name)
			next++
		case e.hasStream:
			r.problem("damaged header", errHeader)
			return
		case e.directory || e.anti:
			if err := r.file.Budget.Member(); err != nil {
				r.problem("", err)
			}
		default:
			r.member(container.Member{Name: e.name, Content: []byte{}})
		}
	}
	for ; next < len(h.streams) && !r.stop; next++ {
		r.sign(scan.Ambiguous, "contents without a name")
		r.stream(h, src, next, "")
	}
}

// stream yields one substream.
func (r *run) stream(h *header, src *source, i int, name string) {
	s := &h.streams[i]
	f := &h.folders[s.folder]
	if src.folder != s.folder {
		r.next(h, src, i)
	}
	m := container.Member{Name: name, Size: int64(min(s.size, math.MaxInt64))}
	if !src.plain {
		m.Class, m.Method = scan.ClassArchive, "7z AES-256"
	}
	var content []byte
	if src.err == nil {
		content, src.err = r.content(src.r, s, f)
	}
	switch wrong := src.err == nil && !s.crc.holds(content); {
	case errors.Is(src.err, errLocked):
		r.encrypted = true
		m.State = scan.Encrypted
	case len(content) == 0 && src.err != nil:
		m.State, m.Method = scan.Uninspectable, r.failed("member", src.err)
	case src.err != nil || wrong:
		text := r.failed("member", cmp.Or(src.err, errDamaged))
		m.Content, m.Signs = content, []container.Sign{{Trait: scan.Damaged, Detail: text}}
	default:
		m.Content = content
	}
	if m.Content != nil && !src.plain {
		m.State = ""
		m.Signs = append(m.Signs, container.Sign{Trait: scan.OpenedPassword, Detail: m.Method})
	}
	r.member(m)
}

// content reads one substream. Its share of what the folder is packed in says whether it is a bomb.
func (r *run) content(src io.Reader, s *substream, f *folder) (b []byte, err error) {
	share := float64(f.packedSize()) * float64(s.size) / max(1, float64(f.size()))
	err = guard(func() (err error) {
		b, err = r.file.Budget.ReadAll(limited(src, s.size), int64(share)+1)
		return err
	})
	if err == nil && uint64(len(b)) < s.size {
		err = errDamaged
	}
	if b == nil && err == nil {
		b = []byte{}
	}
	return b, err
}

// limited reads up to size octets.
func limited(r io.Reader, size uint64) io.Reader {
	return io.LimitReader(r, int64(min(size, math.MaxInt64)))
}

// next opens the folder of a substream. What is left of the one before is not needed.
func (r *run) next(h *header, src *source, i int) {
	folder := h.streams[i].folder
	end := i
	for end < len(h.streams) && h.streams[end].folder == folder {
		end++
	}
	f := &h.folders[folder]
	*src = source{folder: folder, plain: !f.encrypted()}
	src.r, src.err = r.open(f, h.streams[i:end])
}

// errLocked says that no password opens a folder.
var errLocked = errors.New("encrypted")

// encrypted reports whether a coder decrypts.
func (f *folder) encrypted() bool {
	for i := range f.coders {
		if f.coders[i].id == methodAES {
			return true
		}
	}
	return false
}

// open starts to decompress a folder, with the password that opens it if it is encrypted.
func (r *run) open(f *folder, streams []substream) (io.Reader, error) {
	if !f.encrypted() {
		return r.start(f, "")
	}
	if r.opened && r.fits(f, streams, r.password) {
		return r.start(f, r.password)
	}
	for _, p := range r.file.Passwords {
		if r.opened && p == r.password {
			continue
		}
		if !r.file.Budget.Guess() {
			break
		}
		if r.fits(f, streams, p) {
			if !r.opened {
				r.sign(scan.OpenedPassword, "7z AES-256")
			}
			r.opened, r.password = true, p
			return r.start(f, p)
		}
	}
	return nil, errLocked
}

// maxMemory is how much memory all decompressors of one file may get in the course of time: it costs time to clear it.
const maxMemory = 2 << 30

// start starts to decompress a folder.
func (r *run) start(f *folder, password string) (src io.Reader, err error) {
	err = guard(func() error {
		p, err := f.plan(func(c coder, pack []byte, size uint64) ([]byte, error) {
			return r.keys.decrypt(c, pack, size, password)
		})
		if err != nil {
			return err
		}
		if r.memory += p.memory; r.memory > maxMemory {
			return refusal("dictionaries of more than 2 GiB altogether")
		}
		src, err = p.open()
		return err
	})
	return src, err
}

// fits reports whether a password opens a folder: the checksum of the first substream that has one is right. Without a checksum
// nobody knows.
func (r *run) fits(f *folder, streams []substream, password string) bool {
	src, err := r.start(f, password)
	if err != nil {
		return false
	}
	for _, s := range streams {
		if s.size > uint64(r.file.Budget.Limits.Member) {
			return false
		}
		sum := crc32.NewIEEE()
		err := guard(func() error { return r.feed(sum, src, s.size) })
		if err != nil {
			return false
		}
		if s.crc.known && s.size > 0 {
			return sum.Sum32() == s.crc.sum
		}
	}
	return false
}

// feed reads size octets into w.
func (r *run) feed(w io.Writer, src io.Reader, size uint64) error {
	for size > 0 {
		if err := r.file.Budget.Check(); err != nil {
			return err
		}
		n, err := io.CopyN(w, src, int64(min(size, 64<<10)))
		if err != nil {
			return err
		}
		size -= uint64(n)
	}
	return nil
}
