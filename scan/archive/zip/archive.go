package zip

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"

	"assay/scan"
	"assay/scan/container"
)

// Bounds on what no ordinary archive has. Whoever exceeds them wants to exhaust, or to hide something.
const (
	maxEndings  = 64 // ends of central directories that are followed
	maxShared   = 16 // members that lie in octets which another one has as well
	maxReadings = 8  // of one member
	maxComment  = math.MaxUint16
)

// An archive is a ZIP file in all its readings.
type archive struct {
	b        []byte
	file     *container.File
	budget   *container.Budget
	definite bool // programs take the file for a ZIP file; otherwise there is one somewhere in it

	entries     map[int64]*entry // by where the local header is, or should be
	fresh       []*entry         // found since they were planned
	ends        []*ending
	directories []int          // where they begin
	parsed      map[parse]bool // entries of directories that were read
	loose       []int          // beginnings of directories that nothing leads to
	looseEnd    int
	records     int  // entries of directories and local headers
	looked      int  // octets searched for descriptors
	wrongCount  bool // a directory is not as long as its end says
	unled       bool // there is a directory that no end leads to
	mended      bool // offsets count from elsewhere than where the archive begins

	reach    int64 // where the members that were read end
	reachOf  *entry
	shared   int
	extended int
	cache    cache
	known    string // a password that has opened a member
	opened   bool
	verdict  findings
}

// A parse is one reading of one entry: its place, and what is added to the offsets.
type parse struct {
	at   int
	base int64
}

// An entry is the place of one member, with every header that speaks of it.
type entry struct {
	at      int64
	local   *header     // nil if there is none
	listed  []*header   // those that differ
	repeats int         // those that do not
	away    bool        // in another volume
	behind  *descriptor // found behind the content, where no directory has the sizes
	data    int64       // where the content begins; -1 if that is outside of the file
}

// open finds every header of the file.
func open(f *container.File) *archive {
	a := &archive{b: f.Content, file: f, budget: f.Budget, entries: map[int64]*entry{}, parsed: map[parse]bool{}, looseEnd: -1}
	a.definite = hasMagic(a.b)
	a.lastEndings()
	for _, e := range a.ends {
		a.definite = a.definite || e.exact && e.listed && e.count > 0
	}
	a.scan(0, len(a.b))
	a.looseDirectories()
	return a
}

// hasMagic reports whether the file begins as ZIP files do.
func hasMagic(b []byte) bool {
	for _, magic := range []string{sigLocal, sigEnd, sigDescr + sigLocal, sigSpanned + sigLocal, sigCentral, sigEnd64} {
		if bytes.HasPrefix(b, []byte(magic)) {
			return true
		}
	}
	return false
}

// lastEndings follows the ends that programs find when they search from the end of the file: the last one, and the last whose
// comment fits into the file.
func (a *archive) lastEndings() {
	from := max(0, len(a.b)-endLen-maxComment)
	if !bytes.Contains(a.b[from:], []byte(sigEnd)) { // many times faster than to look from the end, which is for the files that have one
		return
	}
	last := true
	for to := len(a.b); ; {
		i := bytes.LastIndex(a.b[from:to], []byte(sigEnd))
		if i < 0 {
			return
		}
		e, ok := parseEnd(a.b, from+i)
		if ok && (last || e.at+endLen+e.comment <= len(a.b)) {
			a.follow(e)
		}
		if ok && e.at+endLen+e.comment <= len(a.b) || len(a.ends) > maxEndings {
			return
		}
		last = last && !ok
		to = from + i
	}
}

// follow reads the directories that an end leads to: at the offset that it names, and directly in front of it, where the
// directory is if something was put in front of the archive.
func (a *archive) follow(e *ending) {
	if slices.ContainsFunc(a.ends, func(o *ending) bool { return o.at == e.at }) {
		return
	}
	a.ends = append(a.ends, e)
	if len(a.ends) > maxEndings {
		return
	}
	forms := []*ending{e}
	if e64, ok := parseEnd64(a.b, e); ok {
		forms = append(forms, e64)
		if e.size == math.MaxUint32 || e.offset == math.MaxUint32 || e.count == math.MaxUint16 {
			forms = forms[1:]
		}
	}
	for _, form := range forms {
		behind := int64(form.before) - form.size
		base := behind - form.offset
		found := a.directory(behind, base, form)
		if base != 0 && a.directory(form.offset, 0, form) {
			found = true
		}
		e.listed = e.listed || found || form.count == 0 && form.size == 0
		e.disk, e.first = max(e.disk, form.disk), max(e.first, form.first)
	}
}

// directory reads the entries from an offset on, and reports whether there are any.
func (a *archive) directory(start, base int64, e *ending) bool {
	if start < 0 || start > int64(len(a.b)) {
		return false
	}
	at, count := int(start), int64(0)
	for ; ; count++ {
		h, ok := parseCentral(a.b, at)
		if !ok || !a.count() || a.parsed[parse{at, base}] {
			break
		}
		a.parsed[parse{at, base}] = true
		a.link(h, base, e)
		at = h.end
	}
	if _, ok := parseCentral(a.b, int(start)); !ok {
		return false
	}
	if !slices.Contains(a.directories, int(start)) {
		a.directories = append(a.directories, int(start))
	}
	// APPNOTE 4.4.22: the number may be cut to 16 bits.
	signed := at+4 <= len(a.b) && string(a.b[at:at+4]) == sigSignature
	if count > 0 && (uint16(count) != uint16(e.count) || int64(at) != start+e.size && !signed) && !a.full() {
		a.wrongCount = true
	}
	return true
}

// count counts one more record, and reports whether it may be looked at.
func (a *archive) count() bool {
	a.records++
	return !a.full() && a.budget.Check() == nil
}

// full reports whether there are more records than any limit on members allows: folders, and two headers for each.
func (a *archive) full() bool { return a.records > 4*a.budget.Limits.Members+1000 }

// link puts an entry of a directory to the local header that it speaks of.
func (a *archive) link(h *header, base int64, e *ending) {
	at := h.offset + base
	if !a.hasLocal(at) && base != 0 && a.hasLocal(h.offset) {
		at = h.offset
		a.mended = true
	}
	member := a.entry(at)
	member.away = member.local == nil && e != nil && h.disk != e.disk
	for _, other := range member.listed {
		if sameEntry(h, other) {
			member.repeats++
			return
		}
	}
	member.listed = append(member.listed, h)
	if len(member.listed) > maxReadings {
		member.listed = member.listed[:maxReadings]
		member.repeats++
	}
}

// sameEntry reports whether two entries of directories say the same.
func sameEntry(a, b *header) bool {
	return a.flags == b.flags && a.method == b.method && a.crc == b.crc && a.packed == b.packed && a.size == b.size &&
		bytes.Equal(a.name, b.name) && bytes.Equal(a.unicode, b.unicode) && a.aes == b.aes
}

func (a *archive) hasLocal(at int64) bool {
	return at >= 0 && at <= int64(len(a.b)-localLen) && string(a.b[at:at+4]) == sigLocal
}

// entry returns the entry for a place, which is made if there is none.
func (a *archive) entry(at int64) *entry {
	if e := a.entries[at]; e != nil {
		return e
	}
	e := &entry{at: at, data: -1}
	if at >= 0 && at <= int64(len(a.b)) {
		if h, ok := parseLocal(a.b, int(at)); ok {
			e.data = int64(h.end)
			if a.hasLocal(at) {
				e.local = h
			}
		}
	}
	a.entries[at] = e
	a.fresh = append(a.fresh, e)
	return e
}

// scan looks for headers in a part of the file that is in no member.
func (a *archive) scan(at, to int) {
	for at < to && !a.full() {
		i := bytes.Index(a.b[at:to], []byte("PK"))
		if i < 0 || at+i+4 > len(a.b) || a.budget.Check() != nil {
			return
		}
		at += i
		// Many signatures in a row, such as "PKPKPK", are passed quickly.
		for at+4 <= len(a.b) && at < to && a.b[at] == 'P' && a.b[at+1] == 'K' {
			at = a.record(at)
		}
	}
}

// record takes note of the header at a place, if there is one, and returns where to go on.
func (a *archive) record(at int) int {
	if a.b[at+2] > sigEnd[2] || a.full() {
		return at + 2
	}
	switch string(a.b[at : at+4]) {
	case sigLocal:
		return a.localAt(at)
	case sigCentral:
		if h, ok := parseCentral(a.b, at); ok && a.count() {
			if at != a.looseEnd && len(a.loose) < maxEndings {
				a.loose = append(a.loose, at)
			}
			a.looseEnd = h.end
			return at + 4 // it may be no entry, and have a member under it
		}
	case sigEnd:
		if len(a.ends) > maxEndings {
			return at + 4
		}
		if e, ok := parseEnd(a.b, at); ok {
			a.follow(e)
			return at + endLen
		}
	}
	return at + 2
}

// localAt takes note of a local header, and returns where its content ends: by what says the least, so that whatever another
// program may find behind that is found.
func (a *archive) localAt(at int) int {
	h, ok := parseLocal(a.b, at)
	if !ok || a.entries[int64(at)] == nil && !a.definite && !h.sane() || !a.count() {
		return at + 2
	}
	e := a.entry(int64(at))
	if len(e.listed) == 0 && !h.sane() {
		return at + 4 // it may be none, and have another one under it
	}
	end := int64(math.MaxInt64)
	for _, l := range e.listed {
		end = min(end, e.data+l.least())
	}
	switch {
	case !h.later():
		end = min(end, e.data+h.least())
	case len(e.listed) == 0:
		if d, ok := a.descriptor(e.data, int64(len(a.b))); ok {
			e.behind = &d
			end = d.at
		}
	}
	if end > int64(len(a.b)) {
		end = e.data
	}
	return int(end)
}

// least returns the smallest length that a program could take the packed content for: of what is stored, some believe the other
// size.
func (h *header) least() int64 {
	if h.method == methodStored && !h.encrypted() {
		return min(h.packed, h.size)
	}
	return h.packed
}

// later reports whether the sizes stand behind the content (APPNOTE 4.4.4, bit 3), and not in the header. Info-ZIP writes the
// size of a file into the header all the same, and where it encrypts the time in the place of the CRC, by which passwords are
// checked.
func (h *header) later() bool {
	if h.flags&flagDescriptor == 0 || h.packed != 0 && h.packed != math.MaxUint32 {
		return false
	}
	return h.size == 0 || h.crc == 0 || h.size == math.MaxUint32 || h.encrypted() && h.crc == uint32(h.time)<<16
}

// looseDirectories reads the directories that no end leads to: those of an archive without its end, or of one that has another
// archive behind it. Only members that are there count.
func (a *archive) looseDirectories() {
	first := int64(math.MaxInt64)
	for at, e := range a.entries {
		if e.local != nil {
			first = min(first, at)
		}
	}
	for _, at := range a.loose {
		known := false
		for p := range a.bases(first) {
			known = known || a.parsed[parse{at, p}]
		}
		if !known {
			a.looseDirectory(at, first)
		}
	}
}

// bases are what may have been added to the offsets of a directory.
func (a *archive) bases(first int64) map[int64]bool {
	bases := map[int64]bool{0: true, first: true}
	for _, e := range a.ends {
		bases[int64(e.before)-e.size-e.offset] = true
		if e64, ok := parseEnd64(a.b, e); ok {
			bases[int64(e64.before)-e64.size-e64.offset] = true
		}
	}
	return bases
}

func (a *archive) looseDirectory(start int, first int64) {
	found := false
	for at := start; ; {
		h, ok := parseCentral(a.b, at)
		if !ok || !a.definite && !h.sane() || !a.count() {
			break
		}
		for _, base := range []int64{0, first} {
			if a.hasLocal(h.offset + base) {
				a.link(h, base, nil)
				found = true
				break
			}
		}
		at = h.end
	}
	if found {
		a.directories = append(a.directories, start)
		a.unled = true
	}
}

// A descriptor is what stands behind a content whose sizes were not known before (APPNOTE 4.3.9).
type descriptor struct {
	at, end      int64
	crc          uint32
	packed, size int64
}

// descriptor searches the descriptor of a content, which tells itself by the length in it. It has a signature or not, and its
// sizes have 32 or 64 bits.
func (a *archive) descriptor(data, to int64) (descriptor, bool) {
	for at := data; at < to && a.looked < 2*len(a.b)+1<<20 && a.budget.Check() == nil; {
		i := bytes.Index(a.b[at:to], []byte("PK"))
		if i < 0 {
			a.looked += int(to - at)
			break
		}
		a.looked += i + 2
		at += int64(i)
		if d, ok := a.descriptorAt(data, at); ok {
			return d, true
		}
		at += 2
	}
	return descriptor{}, false
}

// descriptorAt reads the descriptor that begins with the signature at a place, or ends with the header there.
func (a *archive) descriptorAt(data, at int64) (descriptor, bool) {
	if at+4 > int64(len(a.b)) {
		return descriptor{}, false
	}
	places := []int64{at + 4}
	switch string(a.b[at : at+4]) {
	case sigDescr:
	case sigLocal, sigCentral:
		places = []int64{at - 12, at - 20}
	default:
		return descriptor{}, false
	}
	for _, p := range places {
		if d, ok := a.parseDescriptor(data, p); ok {
			return d, true
		}
	}
	return descriptor{}, false
}

// parseDescriptor reads a descriptor from behind its signature on, if the length in it fits.
func (a *archive) parseDescriptor(data, at int64) (descriptor, bool) {
	if at < 0 || at > int64(len(a.b))-12 { // where it is told to be, which may be anywhere
		return descriptor{}, false
	}
	signed := at >= 4 && string(a.b[at-4:at]) == sigDescr
	end := at
	if signed {
		end -= 4
	}
	if end < data {
		return descriptor{}, false
	}
	p := a.b[at:]
	d := descriptor{at: end, crc: le.Uint32(p)}
	if int64(le.Uint32(p[4:])) == end-data {
		d.packed, d.size, d.end = end-data, int64(le.Uint32(p[8:])), at+12
		if len(p) < 20 || clamp(le.Uint64(p[4:])) != end-data {
			return d, true
		}
	}
	if len(p) >= 20 && clamp(le.Uint64(p[4:])) == end-data {
		d.packed, d.size, d.end = end-data, clamp(le.Uint64(p[12:])), at+20
		return d, true
	}
	return descriptor{}, false
}

// take returns the entries that were found since the last call, in the order of the file.
func (a *archive) take() []*entry {
	fresh := a.fresh
	a.fresh = nil
	slices.SortFunc(fresh, func(x, y *entry) int { return cmp.Compare(x.at, y.at) })
	return fresh
}

// structure says what is odd about directories and their ends.
func (a *archive) structure() {
	ended := a.ended()
	switch {
	case len(a.ends) > maxEndings:
		a.bomb("too many central directories")
	case len(a.directories) > 1:
		a.ambiguous(fmt.Sprintf("%d central directories", len(a.directories)))
	case a.unled && ended:
		a.ambiguous("a central directory that no end leads to")
	}
	if a.wrongCount {
		a.ambiguous("the central directory is not as long as its end says")
	}
	if !a.definite {
		return
	}
	if a.mended {
		a.verdict.sign(scan.Damaged, "wrong offsets in the central directory")
	}
	if slices.ContainsFunc(a.ends, func(e *ending) bool { return e.listed && e.at+endLen+e.comment > len(a.b) }) {
		a.verdict.sign(scan.Damaged, "the comment of the archive is cut off")
	}
}

// lists says what is odd about who speaks of an entry.
func (a *archive) lists(e *entry) {
	switch {
	case len(e.listed) == 0 && (a.ended() || len(a.directories) > 0):
		a.ambiguous("a member is in no central directory: " + quote(decodeName(e.local.name, false)))
	case e.repeats > maxShared:
		a.bomb("many entries of the central directory share one member")
	case e.repeats > 0:
		a.ambiguous("several entries of the central directory share one member")
	}
}

// ended reports whether there is an end of a central directory that leads to one, or says that it is empty.
func (a *archive) ended() bool {
	return slices.ContainsFunc(a.ends, func(e *ending) bool { return e.listed })
}

// ambiguous notes that programs see different contents. Somewhere inside of a file that is no ZIP file, there is nothing to
// compare: every archive in a disk image has a directory of its own.
func (a *archive) ambiguous(detail string) {
	if a.definite {
		a.verdict.sign(scan.Ambiguous, detail)
	}
}

// bomb notes that the archive was made to exhaust, and so cannot be read in full.
func (a *archive) bomb(detail string) {
	a.verdict.sign(scan.Bomb, detail)
	a.ambiguous(detail)
	a.verdict.miss(detail)
}
