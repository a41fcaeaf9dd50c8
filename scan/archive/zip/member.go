package zip

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"assay/scan/container"
)

// Why a Member cannot be opened, or not well. An exceeded limit is a container.ErrLimit.
var (
	ErrFormat    = errors.New("zip: not a ZIP file")
	ErrEncrypted = errors.New("zip: encrypted")
	ErrMethod    = errors.New("zip: unsupported compression method")
	ErrDamaged   = errors.New("zip: damaged")
)

// A Member is one member of a ZIP file as one program or another sees it. Nothing of it is decompressed before Open.
type Member struct {
	Name      string // with "/" between folders, otherwise as it is in the file
	Size      int64  // that the file claims
	Encrypted bool   // one of its headers says so
	Method    string // in words: how it is encrypted, or else how it is compressed
	archive   *archive
	entry     *entry
	reading
}

// A reading is one way to read the content of an entry.
type reading struct {
	method     uint16 // of compression
	encrypted  bool
	strength   byte // of WinZip's encryption; 0 for another one
	flags      uint16
	start, end int64 // of the content in the file
	size       int64 // of the content; -1 if nothing tells it
	crc        uint32
	unchecked  bool // there is no CRC
	unending   bool // nothing tells where the content ends
	disputed   bool // another header has another reading
	beyond     bool // the headers say that it is longer than the file
	checks     [2]byte
}

// Members returns the members of a ZIP file in the order of the file, those of every reading: where programs would see
// different names, methods or places for one member, or where a member is in no directory, each is there. Folders are not.
// It counts nothing in the Budget; Open spends what it reads. The error is ErrFormat or that of a limit, and comes with
// the members that were found before. What hides behind the end of a compressed content is found by Reader alone.
func Members(f *container.File) ([]*Member, error) {
	a := open(f)
	members := a.plan(a.take())
	switch {
	case f.Budget.Over() != nil:
		return members, f.Budget.Over()
	case a.full():
		return members, fmt.Errorf("%w: more than %d records", container.ErrLimit, a.records)
	case len(members) == 0 && len(a.ends) == 0:
		return nil, ErrFormat
	}
	return members, nil
}

// plan returns the members of entries.
func (a *archive) plan(entries []*entry) []*Member {
	var members []*Member
	for i, e := range entries {
		next := int64(len(a.b))
		if i+1 < len(entries) {
			next = max(min(entries[i+1].at, next), e.data) // a directory may name places behind the end
		}
		a.lists(e)
		members = append(members, a.members(e, next)...)
	}
	return members
}

// members returns the readings of one entry, under every name. Next is where the next entry is.
func (a *archive) members(e *entry, next int64) []*Member {
	heads := a.heads(e, next)
	var members []*Member
	for _, h := range heads {
		r := a.reading(e, h, next)
		for _, name := range h.names() {
			m := &Member{Name: name, Size: max(h.size, 0), Encrypted: h.encrypted(), Method: h.methodName(), archive: a, entry: e, reading: r}
			if h.isEmptyFolder() || has(members, m) {
				continue
			}
			if len(members) == maxReadings {
				a.bomb("one member has too many headers")
				return members
			}
			members = append(members, m)
		}
	}
	if len(members) > 1 {
		a.ambiguous(differ(members))
		for _, m := range members {
			m.disputed = true
		}
	}
	return members
}

// has reports whether there is a member that is read in the same way and has the same name.
func has(members []*Member, m *Member) bool {
	for _, o := range members {
		if o.Name == m.Name && o.same(m.reading) && o.Size == m.Size {
			return true
		}
	}
	return false
}

// same reports whether two readings lead to the same content. The CRC, which no program reads by, does not count.
func (r reading) same(o reading) bool {
	return r.method == o.method && r.encrypted == o.encrypted && r.strength == o.strength && r.start == o.start && r.end == o.end
}

// differ says in what the headers of one member differ.
func differ(members []*Member) string {
	first := members[0]
	what := "size"
	for _, m := range members[1:] {
		switch {
		case m.encrypted != first.encrypted || m.strength != first.strength:
			return "the headers of a member differ in encryption: " + quote(first.Name)
		case m.method != first.method:
			what = "method"
		case m.Name != first.Name:
			what = "name"
		}
	}
	return "the headers of a member differ in " + what + ": " + quote(first.Name)
}

// heads returns the headers that count for an entry: those of directories, and the local one, completed by what stands behind
// the content.
func (a *archive) heads(e *entry, next int64) []*header {
	heads := e.listed
	if e.local == nil {
		return heads
	}
	local := *e.local
	if len(e.listed) > 0 {
		by := e.listed[0]
		if local.flags&by.flags&flagMasked != 0 { // APPNOTE 7.3.4: the local header is masked
			return heads
		}
		if local.later() {
			local.packed, local.size, local.crc = by.packed, by.size, by.crc
			if by.method == methodStored && e.data+by.packed < next {
				return append(a.longer(e, &local, next, heads), &local)
			}
		}
		return append(heads[:len(heads):len(heads)], &local)
	}
	if local.later() {
		local.packed, local.size = -1, -1
		if d := e.behind; d != nil {
			local.packed, local.size, local.crc = d.packed, d.size, d.crc
		}
	}
	return []*header{&local}
}

// longer adds the reading of a program that does not look into the directory: a stored member without sizes ends where a
// descriptor fits.
func (a *archive) longer(e *entry, local *header, next int64, heads []*header) []*header {
	heads = heads[:len(heads):len(heads)]
	if _, ok := a.descriptorAt(e.data, e.data+local.packed); ok {
		return heads
	}
	if _, ok := a.parseDescriptor(e.data, e.data+local.packed); ok {
		return heads
	}
	if d, ok := a.descriptor(e.data, min(next+4, int64(len(a.b)))); ok && d.packed != local.packed {
		other := *local
		other.packed, other.size, other.crc = d.packed, d.size, d.crc
		heads = append(heads, &other)
	}
	return heads
}

// reading makes one of a header. A content never goes beyond the file.
func (a *archive) reading(e *entry, h *header, next int64) reading {
	r := reading{
		method: h.method, encrypted: h.encrypted(), flags: h.flags, start: e.data, size: h.size, crc: h.crc,
		checks: [2]byte{byte(h.crc >> 24), byte(h.time >> 8)},
	}
	if h.method == methodAES {
		r.method, r.strength = h.aes.method, h.aes.strength
		r.unchecked = h.crc == 0 // AE-2 has none
	}
	r.end = int64(len(a.b))
	if r.start < 0 || r.start > r.end {
		r.start = r.end
	}
	switch {
	case h.packed >= 0:
		r.beyond = h.packed > r.end-r.start
		r.end = r.start + min(h.packed, r.end-r.start)
	case r.method == methodStored:
		r.end, r.unchecked, r.unending = min(max(r.start, next), r.end), true, true
	default:
		r.unchecked, r.unending = true, true
	}
	return r
}

// methodName says in words how the header says that the member is packed.
func (h *header) methodName() string {
	if h.encrypted() {
		return h.cipherName()
	}
	if name := methodName(h.method); name != "" {
		return name
	}
	return methodError(h.method).Error()
}

// isEmptyFolder reports whether the header is of a folder, and nothing hides in that. An empty content has two octets in
// DEFLATE.
func (h *header) isEmptyFolder() bool {
	return isFolder(h.name) && h.size == 0 && h.packed >= 0 && h.packed <= 2
}

// Open returns the content. It tries the passwords of the file. An error of the content (ErrDamaged) comes with what could be
// read all the same; with ErrEncrypted and ErrMethod there is none.
func (m *Member) Open(b *container.Budget) ([]byte, error) {
	raw := m.archive.b[m.start:m.end]
	if m.encrypted {
		return m.decrypt(b, raw)
	}
	return m.unpack(b, raw)
}

// unpack unpacks and checks a content that is not, or no longer, encrypted.
func (m *Member) unpack(b *container.Budget, raw []byte) ([]byte, error) {
	content, _, err := m.inflate(b, raw)
	if err != nil {
		return content, err
	}
	return content, m.check(content)
}

// inflate unpacks a content, and says how many octets of raw it is made of.
func (m *Member) inflate(b *container.Budget, raw []byte) ([]byte, int, error) {
	if m.entry.data < 0 {
		return nil, 0, fmt.Errorf("%w: no content where the directory says", ErrDamaged)
	}
	if !readable(m.method) {
		return nil, 0, methodError(m.method)
	}
	const eos = 1 << 1 // APPNOTE 5.8.9
	content, used, err := packing{m.method, raw, m.size, m.flags&eos != 0 || m.size < 0}.unpack(b)
	switch {
	case err == nil || errors.Is(err, container.ErrLimit):
		return content, used, err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return content, used, fmt.Errorf("%w: cut off", ErrDamaged)
	}
	return content, used, fmt.Errorf("%w: corrupt %s data", ErrDamaged, methodName(m.method))
}

// check compares a content with what the headers claim.
func (m *Member) check(content []byte) error {
	switch {
	case m.unchecked && m.size < 0:
		return nil
	case m.size >= 0 && int64(len(content)) != m.size:
		return fmt.Errorf("%w: wrong size", ErrDamaged)
	case !m.unchecked && crc32.ChecksumIEEE(content) != m.crc:
		return fmt.Errorf("%w: wrong checksum", ErrDamaged)
	}
	return nil
}

// decrypt tries the passwords, and returns the content once one is right. One that has opened another member of the archive
// is no guess.
func (m *Member) decrypt(b *container.Budget, raw []byte) ([]byte, error) {
	a := m.archive
	if m.flags&(flagStrong|flagMasked) != 0 || !readable(m.method) {
		return nil, ErrEncrypted
	}
	if a.opened {
		if content, err := m.try(b, raw, a.known); !errors.Is(err, ErrEncrypted) {
			return content, err
		}
	}
	for _, password := range a.file.Passwords {
		if a.opened && password == a.known {
			continue
		}
		if !b.Guess() {
			return nil, ErrEncrypted
		}
		content, err := m.try(b, raw, password)
		if errors.Is(err, ErrEncrypted) {
			continue
		}
		if err == nil {
			a.known, a.opened = password, true
		}
		return content, err
	}
	return nil, ErrEncrypted
}

// try decrypts with one password. What ZipCrypto's check octet lets pass by chance is told by the content.
func (m *Member) try(b *container.Budget, raw []byte, password string) ([]byte, error) {
	if err := b.Check(); err != nil {
		return nil, err
	}
	open := func() ([]byte, bool) { return openZipCrypto(raw, password, m.checks) }
	if m.strength != 0 {
		open = func() ([]byte, bool) { return openAES(raw, password, m.strength) }
	}
	packed, ok := open()
	if !ok {
		return nil, ErrEncrypted
	}
	content, err := m.unpack(b, packed)
	if errors.Is(err, ErrDamaged) && m.strength == 0 {
		return nil, ErrEncrypted
	}
	return content, err
}
