// Package zip reads ZIP files as every program would read them (PKWARE APPNOTE.TXT 6.3.10): by the directory at the end, by
// the headers in front of the members, and by what both leave out. It yields the union, and says where the readings differ.
// It opens the traditional encryption and that of WinZip if a candidate password fits, and names the others.
//
// What is in the content of a stored member belongs to that: archives inside of archives are for the walker to find. It does
// not read documents; Members is for those who do.
package zip

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/flate"

	"assay/scan"
	"assay/scan/container"
)

// A Reader reads ZIP files. The zero value is ready for use.
type Reader struct{}

// Reads reports whether the file is a ZIP file, also behind or inside of something else, or by its name a volume of one.
func (Reader) Reads(f *container.File) bool {
	if hasMagic(f.Content) || volume(f) > 0 {
		return true
	}
	a := &archive{b: f.Content, file: f, budget: f.Budget, entries: map[int64]*entry{}, parsed: map[parse]bool{}, looseEnd: -1}
	a.lastEndings()
	return len(a.directories) > 0 || embedded(f.Content)
}

// embedded reports whether there is a local header in the file that is one without doubt: a directory has an entry for it, or
// its content has the right checksum.
func embedded(b []byte) bool {
	const tries = 16
	tried, central := 0, -2
	for at := 0; ; at += 4 {
		i := bytes.Index(b[at:], []byte(sigLocal))
		if i < 0 {
			return false
		}
		at += i
		h, ok := parseLocal(b, at)
		if !ok || !h.sane() {
			continue
		}
		if central == -2 || central >= 0 && central < at {
			central = nextCentral(b, at)
		}
		if central >= 0 {
			return true
		}
		if tried++; tried <= tries && proven(b, h) {
			return true
		}
	}
}

// nextCentral returns where the next sane entry of a directory is, -1 if there is none.
func nextCentral(b []byte, at int) int {
	for ; ; at += 4 {
		i := bytes.Index(b[at:], []byte(sigCentral))
		if i < 0 {
			return -1
		}
		at += i
		if h, ok := parseCentral(b, at); ok && h.sane() {
			return at
		}
	}
}

// proven reports whether the checksum in a local header is that of the content, as far as that can be told cheaply.
func proven(b []byte, h *header) bool {
	const most = 1 << 20
	if h.later() || h.encrypted() || h.packed == 0 || h.packed > int64(len(b)-h.end) {
		return false
	}
	raw := b[h.end : h.end+int(h.packed)]
	switch h.method {
	case methodStored:
		return crc32.ChecksumIEEE(raw) == h.crc
	case methodDeflate:
		sum := crc32.NewIEEE()
		n, err := io.CopyN(sum, flate.NewReader(bytes.NewReader(raw)), most)
		return n == most || errors.Is(err, io.EOF) && sum.Sum32() == h.crc
	}
	return false
}

// volume returns the number of the volume of a split archive that a file is by its name, 0 if it is none: "a.z01", "a.zx01",
// "a.zip.001".
func volume(f *container.File) int {
	ext := strings.ToLower(f.Extension)
	digits := ext
	switch {
	case strings.HasPrefix(ext, "zx"):
		digits = ext[2:]
	case strings.HasPrefix(ext, "z"):
		digits = ext[1:]
	default:
		before, found := strings.CutSuffix(strings.ToLower(f.Name), "."+ext)
		if !found || len(ext) != 3 || !strings.HasSuffix(before, ".zip") && !strings.HasSuffix(before, ".zipx") {
			return 0
		}
	}
	n, err := strconv.Atoi(digits)
	if err != nil || len(digits) < 2 || len(digits) > 4 || n < 1 {
		return 0
	}
	return n
}

// Read yields every member in every reading.
func (Reader) Read(f *container.File, yield func(container.Member) bool) container.Verdict {
	a := open(f)
	r := &run{archive: a, yield: yield, places: map[string]bool{}}
	a.structure()
	entries := a.take()
	members := a.plan(entries)
	a.prefix(entries)
	for i := 0; i < len(members) && !r.stopped; i++ {
		r.member(members[i])
		if len(a.fresh) > 0 { // behind the end of a compressed content
			a.ambiguous("a member is hidden behind the content of another one")
			members = append(members, a.plan(a.take())...)
		}
	}
	if a.full() {
		a.verdict.miss("too many members")
	}
	if over := a.budget.Over(); over != nil {
		a.verdict.miss(over.Error())
		if over.Limit == "ratio" {
			a.verdict.sign(scan.Bomb, over.Error())
		}
	}
	a.volumes(entries)
	return a.verdict.result()
}

// prefix says that something is in front of the archive, which makes it a file of two formats.
func (a *archive) prefix(entries []*entry) {
	if hasMagic(a.b) || bytes.HasPrefix(a.b, []byte("Cr24")) { // an extension of Chromium is a ZIP file behind its signature
		return
	}
	if !a.definite && !a.opens() {
		return
	}
	for _, e := range entries {
		if e.local != nil && e.at > 0 {
			a.verdict.sign(scan.Polyglot, fmt.Sprintf("a ZIP archive behind %d octets of something else", e.at))
			return
		}
	}
}

// opens reports whether programs open the file as an archive although something stands behind that, and no program has put the
// archive into it as it is, as mail, documents and disk images have it.
func (a *archive) opens() bool {
	switch kind, _, _ := strings.Cut(a.file.Type, "/"); {
	case kind == "image", kind == "audio", kind == "video", kind == "font", kind == "text", a.file.Type == "",
		slices.Contains([]string{
			"application/octet-stream", "application/pdf", "application/rtf", "application/vnd.microsoft.portable-executable",
			"application/x-dosexec", "application/x-elf", "application/xml",
		}, a.file.Type):
	default:
		return false
	}
	return slices.ContainsFunc(a.ends, func(e *ending) bool {
		return e.listed && e.count > 0 && e.at >= len(a.b)-endLen-maxComment
	})
}

// volumes says that the file is one volume of several, or that it has no end.
func (a *archive) volumes(entries []*entry) {
	if !a.definite && volume(a.file) == 0 {
		return
	}
	number := volume(a.file)
	for _, e := range a.ends {
		full := e.disk == 0xffff
		if e.listed && !full && (e.disk > 0 || e.first != e.disk) {
			number = max(number, int(e.disk)+1)
		}
	}
	ended := a.ended()
	if number == 0 && !ended && bytes.HasPrefix(a.b, []byte(sigDescr+sigLocal)) { // APPNOTE 8.5.3
		number = 1
	}
	away := slices.ContainsFunc(entries, func(e *entry) bool { return e.away })
	switch {
	case number > 0:
		a.verdict.sign(scan.SplitVolume, fmt.Sprintf("volume %d", number))
		a.verdict.miss(fmt.Sprintf("volume %d of a split archive", number))
	case away:
		a.verdict.sign(scan.SplitVolume, "some members are in other volumes")
		a.verdict.miss("last volume of a split archive")
	case !ended:
		a.verdict.sign(scan.Damaged, "no end of the central directory")
		a.verdict.miss("cut off: the archive has no end")
	}
}

// A run yields the members of one archive.
type run struct {
	*archive
	yield   func(container.Member) bool
	places  map[string]bool
	stopped bool
	total   int64 // octets that were yielded
}

// A cache keeps the contents of the entry that is being read: its readings share them.
type cache struct {
	of       *entry
	contents []cached
}

type cached struct {
	reading
	content []byte
	used    int
	err     error
}

// give yields one content or, without, what is known of it.
func (r *run) give(m *Member, out container.Member) {
	if r.stopped {
		return
	}
	if err := r.budget.Member(); err != nil {
		r.stopped = true
		return
	}
	r.total += int64(len(out.Content))
	if l := r.budget.Limits; r.total > max(l.Free, l.Ratio*int64(len(r.b))) {
		r.bomb(fmt.Sprintf("%d octets unpack to more than %d", len(r.b), r.total))
		r.stopped = true
		return
	}
	out.Name = m.Name
	r.stopped = !r.yield(out)
}

// member yields one member.
func (r *run) member(m *Member) {
	if !r.overlap(m) {
		return
	}
	if at := place(m.Name); !m.disputed {
		if r.places[at] {
			r.ambiguous("two members have the same name: " + quote(m.Name))
		}
		r.places[at] = true
	}
	switch {
	case m.entry.local == nil:
		r.missing(m)
	case m.encrypted:
		r.encryptedMember(m)
	case !readable(m.method):
		r.unreadable(m)
	default:
		r.plain(m)
	}
}

// overlap takes note of where a member lies, and reports whether it is to be read: nobody needs more than a few that lie in
// the same octets as others.
func (r *run) overlap(m *Member) bool {
	if m.entry != r.reachOf && m.entry.local != nil && m.entry.at < r.reach {
		r.shared++
		r.ambiguous("members overlap")
	}
	if r.shared > maxShared {
		r.bomb("many members lie in the same octets")
		r.stopped = true
		return false
	}
	if m.entry.local != nil {
		end := m.end
		if m.unending && m.method != methodStored {
			end = m.start
		}
		r.extend(m, end)
	}
	return true
}

// extend takes note that a member goes to an offset.
func (r *run) extend(m *Member, end int64) {
	if end >= r.reach {
		r.reach, r.reachOf = end, m.entry
	}
}

// missing yields a member that a directory names and that is not where it says. If a content stands there all the same whose
// header is spoilt, that is yielded.
func (r *run) missing(m *Member) {
	reason := "no local header where the central directory says"
	if m.entry.away {
		reason = "in another volume of a split archive"
	}
	out := container.Member{Size: m.Size, State: scan.Uninspectable, Method: reason}
	if m.encrypted {
		out.State, out.Class, out.Method = scan.Encrypted, scan.ClassArchive, m.Method
		r.verdict.encrypted(m.Method)
	} else if content, err := m.Open(r.budget); err == nil && !m.entry.away {
		r.give(m, container.Member{Content: content})
	}
	if !r.definite && !m.encrypted {
		return
	}
	if !m.entry.away {
		r.verdict.sign(scan.Damaged, reason)
	}
	r.verdict.miss(reason)
	r.give(m, out)
}

// encryptedMember yields an encrypted member: opened, if a password fits or the encryption is a pretence; else what is known
// of it.
func (r *run) encryptedMember(m *Member) {
	content, err := m.Open(r.budget)
	out := container.Member{Size: m.Size, State: scan.Encrypted, Class: scan.ClassArchive, Method: m.Method}
	if err == nil || len(content) > 0 {
		sign := container.Sign{Trait: scan.OpenedPassword, Detail: m.Method}
		out.Content, out.State, out.Signs = content, "", append(r.damage(err), sign)
		r.verdict.opened(m.Method)
		r.give(m, out)
		return
	}
	r.verdict.encrypted(m.Method)
	r.give(m, out)
	if m.strength == 0 && readable(m.method) && !m.nothing() {
		pretence := *m
		pretence.encrypted = false
		content, err := pretence.Open(r.budget)
		// Some programs take a checksum of zero for none.
		if err == nil && !m.unchecked || m.crc == 0 && len(content) > 0 {
			r.ambiguous("a member that is marked as encrypted is plain: " + quote(m.Name))
			r.give(m, container.Member{Content: content})
		}
	}
}

// nothing reports whether an encrypted member is an empty file: it has the header of the encryption (APPNOTE 6.1.3), and what
// the longest method makes of no octets.
func (m *Member) nothing() bool {
	const longest = 20
	return m.size == 0 && m.crc == 0 && m.end-m.start <= zipCryptoHead+longest
}

// unreadable yields a member whose method nobody here can unpack. Some programs take every number that they do not know for
// no compression, others for DEFLATE: a number that is nobody's gets these readings as well.
func (r *run) unreadable(m *Member) {
	err := methodError(m.method)
	r.verdict.miss(err.Error())
	r.give(m, container.Member{Size: m.Size, State: scan.Uninspectable, Method: err.Error()})
	if knownMethod(m.method) {
		return
	}
	for _, method := range []uint16{methodStored, methodDeflate} {
		other := *m
		other.method = method
		if content, err := other.Open(r.budget); len(content) > 0 && (err == nil || method == methodStored) {
			r.give(m, container.Member{Content: content})
		}
	}
	r.other(m, nil)
}

// plain yields a member that can be read.
func (r *run) plain(m *Member) {
	content, used, err := r.content(m)
	if errors.Is(err, container.ErrLimit) {
		r.verdict.miss(err.Error())
		r.give(m, container.Member{Size: m.Size, State: scan.Uninspectable, Method: err.Error()})
		return
	}
	if err == nil {
		err = m.check(content)
	} else if m.disputed && len(content) == 0 {
		return // another reading is the right one
	}
	if isFolder([]byte(m.Name)) && len(content) == 0 {
		return
	}
	if m.method != methodStored && m.start+int64(used) < m.end && !m.unending {
		r.scan(int(m.start)+used, int(m.end))
	}
	switch {
	case m.beyond && m.method == methodStored:
		err = fmt.Errorf("%w: cut off", ErrDamaged)
	case m.beyond && err == nil:
		err = fmt.Errorf("%w: wrong packed size", ErrDamaged)
	}
	r.extend(m, m.start+int64(used))
	if err != nil && r.scattered() {
		return
	}
	r.give(m, container.Member{Content: notNil(content), Signs: r.damage(err)})
	if err != nil {
		r.other(m, content)
	}
}

// scattered reports whether the archive is somewhere inside of a compound file, whose streams need not lie in one piece: what
// is spoilt there tells nothing. PowerPoint keeps shapes and themes so, and no program takes such a document for an archive.
func (r *run) scattered() bool {
	return !r.definite && bytes.HasPrefix(r.b, []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")) && !strings.HasPrefix(r.file.Extension, "z")
}

// content unpacks a member, once for all readings that share it.
func (r *run) content(m *Member) ([]byte, int, error) {
	if r.cache.of != m.entry {
		r.cache = cache{of: m.entry}
	}
	for _, c := range r.cache.contents {
		if c.same(m.reading) {
			return c.content, c.used, c.err
		}
	}
	content, used, err := m.inflate(r.budget, r.b[m.start:m.end])
	r.cache.contents = append(r.cache.contents, cached{m.reading, content, used, err})
	return content, used, err
}

// damage returns the signs of a content that is not right. What could not be unpacked was not inspected.
func (r *run) damage(err error) []container.Sign {
	if !errors.Is(err, ErrDamaged) {
		return nil
	}
	if !r.definite { // such as an archive in the sectors of a disk image
		return nil
	}
	detail := strings.TrimPrefix(err.Error(), ErrDamaged.Error()+": ")
	r.verdict.sign(scan.Damaged, detail)
	if !strings.HasPrefix(detail, "wrong") {
		r.verdict.miss("damaged: " + detail)
	}
	return []container.Sign{{Trait: scan.Damaged, Detail: detail}}
}

// other yields what tolerant programs make of a member whose content is not what its headers say: cut to the size that they
// claim; not compressed at all; or going on behind where it should end.
func (r *run) other(m *Member, content []byte) {
	var more [][]byte
	if m.size > 0 && m.size < int64(len(content)) {
		more = append(more, content[:m.size])
	}
	all := r.b[m.start:]
	if m.method == methodStored || m.method != methodStored && len(content) == 0 {
		more = append(more, all[:m.end-m.start])
		if m.size > 0 {
			more = append(more, all[:min(m.size, int64(len(all)))])
		}
	}
	if m.method == methodDeflate && m.end < int64(len(r.b)) {
		more = append(more, r.toItsEnd(m))
	}
	more = append(more, r.elsewhere(m)...)
	for i, other := range more {
		known := slices.ContainsFunc(more[:i], func(o []byte) bool { return bytes.Equal(o, other) })
		if len(other) == 0 || known || bytes.Equal(other, content) {
			continue
		}
		r.ambiguous("the content of a member depends on the size that counts: " + quote(m.Name))
		if r.budget.Spend(int64(len(other))) == nil {
			r.give(m, container.Member{Content: other, Signs: []container.Sign{{Trait: scan.Damaged, Detail: "another reading"}}})
		}
	}
}

// elsewhere returns the contents that begin where the directory makes a program believe that they do: some take the lengths of
// name and extra field from there. Only those count whose checksum is right.
func (r *run) elsewhere(m *Member) [][]byte {
	var out [][]byte
	for _, h := range m.entry.listed {
		for _, skip := range []int{len(h.name), len(h.name) + len(h.extra)} {
			other := *m
			other.start = m.entry.at + localLen + int64(skip)
			if other.start == m.start || other.start > int64(len(r.b)) || h.packed < 0 || h.packed > int64(len(r.b))-other.start {
				continue
			}
			other.end = other.start + h.packed
			if content, err := other.Open(r.budget); err == nil {
				out = append(out, content)
			}
		}
	}
	return out
}

// toItsEnd unpacks a content to its own end, whatever the headers say, as programs do that read from front to back.
func (r *run) toItsEnd(m *Member) []byte {
	if r.extended++; r.extended > maxShared {
		r.bomb("many members are longer than their headers say")
		return nil
	}
	content, used, err := m.inflate(r.budget, r.b[m.start:])
	if err != nil || used <= int(m.end-m.start) {
		return nil
	}
	return content
}

// notNil makes an empty content one.
func notNil(content []byte) []byte {
	if content == nil {
		return []byte{}
	}
	return content
}

// findings collect what is said about the file as a whole.
type findings struct {
	locked, unlocked []string // methods of encryption: of members that stay closed, and of opened ones
	missed           string   // the first reason why something could not be read
	signs            []container.Sign
}

// maxSigns bounds how many details are kept.
const maxSigns = 20

// sign adds a sign, once.
func (v *findings) sign(trait scan.Trait, detail string) {
	for i := range v.signs {
		if v.signs[i].Trait == trait && v.signs[i].Detail == detail {
			v.signs[i].Count++
			return
		}
	}
	if len(v.signs) < maxSigns || !slices.ContainsFunc(v.signs, func(s container.Sign) bool { return s.Trait == trait }) {
		v.signs = append(v.signs, container.Sign{Trait: trait, Detail: detail, Count: 1})
	}
}

func (v *findings) miss(reason string) { v.missed = cmp.Or(v.missed, reason) }

func (v *findings) encrypted(method string) { v.locked = addWord(v.locked, method) }

func (v *findings) opened(method string) {
	v.unlocked = addWord(v.unlocked, method)
	v.sign(scan.OpenedPassword, method)
}

// addWord adds a word to a list that has it once.
func addWord(words []string, word string) []string {
	if slices.Contains(words, word) {
		return words
	}
	return append(words, word)
}

// result is the verdict: encrypted if something stays closed, uninspectable if something could not be read.
func (v *findings) result() container.Verdict {
	out := container.Verdict{State: scan.Inspected, Signs: v.signs}
	if methods := slices.Concat(v.locked, v.unlocked); len(methods) > 0 {
		out.Class = scan.ClassArchive
		slices.Sort(methods)
		out.Method = strings.Join(slices.Compact(methods), ", ")
	}
	switch {
	case len(v.locked) > 0:
		out.State = scan.Encrypted
	case v.missed != "":
		out.State, out.Method = scan.Uninspectable, v.missed
	}
	return out
}
