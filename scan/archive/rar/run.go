package rar

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"github.com/nwaples/rardecode/v2"

	"assay/scan"
	"assay/scan/container"
)

// maxDictionary is how large a dictionary may be.
const maxDictionary = 64 << 20

// A run reads one file.
type run struct {
	file      *container.File
	yield     func(container.Member) bool
	keys      keyring
	a         archive
	password  string // that has opened something
	opened    bool
	encrypted bool // something stays encrypted
	reason    string
	limit     error
	signs     []container.Sign
	stop      bool
	broken    bool // a solid archive cannot be read on: what came before is missing
}

// method is how the archive is encrypted.
func (r *run) method() string {
	text := "RAR4 AES-128"
	if r.a.five {
		text = "RAR5 AES-256"
	}
	if r.a.locked {
		text += ", names hidden"
	}
	return text
}

// verdict sums up.
func (r *run) verdict() container.Verdict {
	v := container.Verdict{State: scan.Inspected, Signs: r.signs}
	if r.opened {
		v.Class, v.Method = scan.ClassArchive, r.method()
	}
	switch {
	case r.encrypted:
		v.State, v.Class, v.Method = scan.Encrypted, scan.ClassArchive, r.method()
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

// failed remembers an error, and returns it in words.
func (r *run) failed(err error) string {
	var refused refusal
	switch limit := new(container.LimitError); {
	case errors.As(err, &limit):
		if r.limit == nil && limit.Limit == "ratio" {
			r.sign(scan.Bomb, err.Error())
		}
		r.limit = cmp.Or(r.limit, err)
		r.stop = r.stop || r.file.Budget.Over() != nil
		return err.Error()
	case errors.As(err, &refused):
		r.reason = cmp.Or(r.reason, "RAR, "+string(refused))
		return string(refused)
	case errors.Is(err, rardecode.ErrUnknownDecoder), errors.Is(err, rardecode.ErrUnsupportedDecoder):
		r.reason = cmp.Or(r.reason, "RAR, unknown compression method")
		return "unknown compression method"
	}
	const text = "damaged RAR archive"
	r.reason = cmp.Or(r.reason, text)
	r.sign(scan.Damaged, text)
	return text
}

// read reads an archive.
func (r *run) read(b []byte) {
	err := r.walk(b)
	if r.a.volume {
		n := max(r.a.number, volumeOf(r.file.Name))
		r.reason = fmt.Sprintf("volume %d of a split archive", n)
		r.sign(scan.SplitVolume, r.reason)
	}
	switch {
	case errors.Is(err, errLocked):
		r.encrypted = true
		return
	case err != nil && !r.a.volume:
		defer r.failed(err)
	case err == nil && len(bytes.Trim(b[r.a.end:], "\x00")) > 0:
		defer r.behind(b[r.a.end:])
	}
	r.unlock()
	r.members()
}

// behind yields what follows the archive.
func (r *run) behind(rest []byte) {
	if r.stop || isSignature(rest) {
		return
	}
	r.sign(scan.Polyglot, "something follows the RAR archive")
	r.member(container.Member{Content: rest})
}

// isSignature tells a WIN_CERTIFICATE, as programs are signed by (PE Format, "The Attribute Certificate Table").
func isSignature(b []byte) bool {
	b = bytes.TrimLeft(b, "\x00")
	return len(b) > 8 && string(b[4:8]) == "\x00\x02\x02\x00"
}

// maxEntries is how many members are listed at most.
const maxEntries = 100_000

// walk reads the headers.
func (r *run) walk(b []byte) error {
	w := newWalker(b)
	r.a.five = w.five
	for {
		if err := r.file.Budget.Check(); err != nil {
			return err
		}
		k, err := w.next()
		if err != nil {
			return err
		}
		if k == nil {
			r.a.end = len(b)
			if w.five { // the end has a block of its own
				return errDamaged
			}
			return nil
		}
		r.a.end = w.at
		done, err := r.block(w, k)
		if err != nil || done {
			return err
		}
		if len(r.a.entries) > maxEntries {
			return refusal("more than 100000 members")
		}
	}
}

// block takes one block. It reports whether it is the last.
func (r *run) block(w *walker, k *block) (done bool, err error) {
	switch {
	case !w.five && k.kind == main4:
		r.a.volume = k.flags&volume4 != 0
		if k.flags&encrypted4 != 0 && w.key == nil {
			return false, r.unlock4(w)
		}
	case !w.five && k.kind == end4, w.five && k.kind == end5:
		return true, nil
	case w.five && k.kind == main5:
		c := &cursor{b: k.fields}
		flags := c.vint()
		r.a.volume = flags&volume5 != 0
		if flags&number5 != 0 {
			r.a.number = int(min(c.vint(), 9999)) + 1
		}
	case w.five && k.kind == encrypt5 && w.key == nil:
		return false, r.unlock5(w, k)
	case !w.five && k.kind == file4, w.five && k.kind == file5:
		parse := entry4
		if w.five {
			parse = entry5
		}
		e, err := parse(k)
		if err != nil {
			return false, err
		}
		r.a.entries = append(r.a.entries, e)
		if k.short {
			return false, errDamaged
		}
	}
	return false, nil
}

// unlock5 finds the password of encrypted headers ("Archive encryption header").
func (r *run) unlock5(w *walker, k *block) error {
	r.a.locked = true
	c := &cursor{b: k.fields}
	p := parsePassword(c)
	if c.err != nil {
		return c.err
	}
	for _, password := range r.file.Passwords {
		if !r.file.Budget.Guess() {
			break
		}
		if p.check != nil {
			if right, err := r.keys.right5(password, p); err != nil || !right {
				continue
			}
		}
		key, err := r.keys.derive5(password, p, 0)
		if err != nil {
			continue
		}
		if r.tryKey(w, password, func(iv []byte) ([]byte, []byte, error) { return key, iv, nil }) {
			return nil
		}
	}
	return errLocked
}

// unlock4 finds the password of encrypted headers of RAR 3 and 4.
func (r *run) unlock4(w *walker) error {
	r.a.locked = true
	for _, password := range r.file.Passwords {
		if !r.file.Budget.Guess() {
			break
		}
		if r.tryKey(w, password, func(salt []byte) ([]byte, []byte, error) { return r.keys.derive4(password, salt) }) {
			return nil
		}
	}
	return errLocked
}

// tryKey reports whether the next header has a right checksum with a key, and keeps the key if it has.
func (r *run) tryKey(w *walker, password string, key func([]byte) ([]byte, []byte, error)) bool {
	probe := *w
	probe.key = key
	if k, err := probe.next(); err != nil || k == nil {
		return false
	}
	w.key = key
	r.found(password)
	return true
}

// found remembers the password that has opened something.
func (r *run) found(password string) {
	r.opened, r.password = true, password
	r.sign(scan.OpenedPassword, r.method())
}

// unlock finds the password of the members, by the first one that can be tried alone.
func (r *run) unlock() {
	for i := range r.a.entries {
		e := &r.a.entries[i]
		if r.opened || !e.encrypted || e.solid || e.split || e.directory {
			continue
		}
		for _, password := range r.file.Passwords {
			if !r.file.Budget.Guess() {
				return
			}
			if r.fits(e, password) {
				r.found(password)
				return
			}
		}
		return
	}
}

// fits reports whether a password opens a member: its check value or, without one, its checksum says so.
func (r *run) fits(e *entry, password string) bool {
	if e.check != nil {
		right, err := r.keys.right5(password, password5{e.power, e.salt, e.check})
		return right && err == nil
	}
	if !e.sum || e.refused() != nil || r.afford(e) != nil || e.size > uint64(r.file.Budget.Limits.Member) {
		return false
	}
	return guard(func() error {
		z, err := r.session([]entry{*e}, password)
		if err != nil {
			return err
		}
		if _, err := z.Next(); err != nil {
			return err
		}
		for {
			if err := r.file.Budget.Check(); err != nil {
				return err
			}
			if _, err := io.CopyN(io.Discard, z, 64<<10); err != nil {
				return cmp.Or(ignoreEOF(err), nil)
			}
		}
	}) == nil
}

// ignoreEOF makes the end of a member no error.
func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// afford pays for the key of a member.
func (r *run) afford(e *entry) error {
	if !r.a.five {
		return r.keys.pay(cost4)
	}
	_, err := r.keys.rounds5(e.power)
	return err
}

// refused says why a member is not to be unpacked, nil if it may be.
func (e *entry) refused() error {
	switch {
	case e.split:
		return refusal("continues in another volume")
	case e.dictionary > maxDictionary:
		return refusal(fmt.Sprintf("dictionary of %d MiB", (e.dictionary+1<<20-1)>>20))
	}
	return nil
}

// guard calls what uses the library. It is not ours: what it panics on is damaged.
func guard(read func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = errDamaged
		}
	}()
	return read()
}

// members yields all members.
func (r *run) members() {
	todo := r.a.entries
	salts := make(map[string]bool)
	for len(todo) > 0 && !r.stop {
		var now []entry
		for len(todo) > 0 && r.blocked(&todo[0], salts) == nil {
			now = append(now, todo[0])
			todo = todo[1:]
		}
		r.unpack(now)
		if len(todo) > 0 && !r.stop {
			e := &todo[0]
			r.unread(e, r.blocked(e, salts))
			todo = todo[1:]
		}
	}
}

// blocked says why a member cannot be given to the library. Every salt is paid for once: the library remembers keys.
func (r *run) blocked(e *entry, salts map[string]bool) error {
	if e.directory || e.link {
		return nil
	}
	if err := e.refused(); err != nil {
		return err
	}
	if !e.encrypted || !r.opened {
		return nil
	}
	id := fmt.Sprintf("%d %x", e.power, e.salt)
	if salts[id] {
		return nil
	}
	if err := r.afford(e); err != nil {
		return errLocked
	}
	salts[id] = true
	return nil
}

// unread yields a member without its content. Solid ones that follow need it.
func (r *run) unread(e *entry, err error) {
	m := container.Member{Name: e.name, Size: int64(min(e.size, math.MaxInt64))}
	if e.encrypted {
		m.State, m.Class, m.Method = scan.Encrypted, scan.ClassArchive, r.method()
		r.encrypted = true
	} else {
		m.State, m.Method = scan.Uninspectable, r.failed(err)
	}
	r.broken = true
	r.member(m)
}

// member yields a member.
func (r *run) member(m container.Member) {
	if err := r.file.Budget.Member(); err != nil {
		r.failed(err)
		return
	}
	if !r.yield(m) {
		r.stop = true
	}
}

// unpack yields members. When the library gives up, another one begins behind the member.
func (r *run) unpack(entries []entry) {
	for len(entries) > 0 && !r.stop {
		z, err := r.session(entries, r.password)
		if err != nil {
			r.unread(&entries[0], err)
			entries = entries[1:]
			continue
		}
		for len(entries) > 0 && !r.stop {
			ok := r.one(z, &entries[0])
			entries = entries[1:]
			if !ok {
				break
			}
		}
	}
}

// one yields one member, and reports whether the library can go on.
func (r *run) one(z *rardecode.Reader, e *entry) (ok bool) {
	if e.solid && r.broken {
		r.unread(e, errDamaged)
		return false
	}
	var h *rardecode.FileHeader
	err := guard(func() (err error) {
		h, err = z.Next()
		return err
	})
	if err != nil {
		r.unread(e, err)
		return false
	}
	if e.directory || e.link {
		if err := r.file.Budget.Member(); err != nil {
			r.failed(err)
		}
		return true
	}
	e.name = h.Name
	if e.encrypted && !r.opened {
		r.unread(e, errLocked)
		return !e.solid
	}
	return r.content(z, e)
}

// content reads and yields the content of a member.
func (r *run) content(z *rardecode.Reader, e *entry) bool {
	var b []byte
	err := guard(func() (err error) {
		b, err = r.file.Budget.ReadAll(z, int64(len(e.block.data)))
		return err
	})
	m := container.Member{Name: e.name, Size: int64(min(e.size, math.MaxInt64))}
	limited := errors.Is(err, container.ErrLimit)
	switch {
	case err != nil && e.encrypted && !limited: // another password
		r.unread(e, errLocked)
		return false
	case err != nil && len(b) == 0:
		m.State, m.Method = scan.Uninspectable, r.failed(err)
	case err != nil:
		m.Content, m.Signs = b, []container.Sign{{Trait: scan.Damaged, Detail: r.failed(err)}}
	default:
		m.Content = b
	}
	if m.Content == nil && err == nil {
		m.Content = []byte{}
	}
	if e.encrypted && err == nil {
		m.Class, m.Method = scan.ClassArchive, r.method()
		m.Signs = append(m.Signs, container.Sign{Trait: scan.OpenedPassword, Detail: m.Method})
	}
	r.broken = err != nil
	r.member(m)
	return err == nil
}

// session opens an archive that is made of the given members, with headers that are not encrypted.
func (r *run) session(entries []entry, password string) (*rardecode.Reader, error) {
	solid := false
	for i := range entries {
		solid = solid || entries[i].solid
	}
	options := []rardecode.Option{rardecode.MaxDictionarySize(maxDictionary)}
	if password != "" {
		options = append(options, rardecode.Password(password))
	}
	var z *rardecode.Reader
	err := guard(func() (err error) {
		z, err = rardecode.NewReader(&stream{now: head(r.a.five, solid), entries: entries}, options...)
		return err
	})
	return z, err
}

// head returns the signature and main header of an archive.
func head(five, solid bool) []byte {
	if five {
		fields := []byte{3, main5, 0, 0}
		if solid {
			fields[3] = 4
		}
		return append(binary.LittleEndian.AppendUint32([]byte(signature5), crc32.ChecksumIEEE(fields)), fields...)
	}
	fields := []byte{main4, 0, 0, 13, 0, 0, 0, 0, 0, 0, 0}
	if solid {
		fields[1] = solid4
	}
	return append(binary.LittleEndian.AppendUint16([]byte(signature4), uint16(crc32.ChecksumIEEE(fields))), fields...)
}

// A stream reads an archive that is made of members.
type stream struct {
	now     []byte
	data    []byte
	entries []entry
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	for len(s.now) == 0 {
		switch {
		case len(s.data) > 0:
			s.now, s.data = s.data, nil
		case len(s.entries) > 0:
			s.now, s.data = s.entries[0].block.header, s.entries[0].block.data
			s.entries = s.entries[1:]
		default:
			return 0, io.EOF
		}
	}
	n := copy(p, s.now)
	s.now = s.now[n:]
	return n, nil
}
