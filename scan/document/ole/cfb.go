package ole

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"unicode/utf16"

	"assay/scan/container"
)

// magic begins every compound file ([MS-CFB] 2.2).
const magic = "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

// Sector numbers with a meaning of their own begin here ([MS-CFB] 2.1).
const maxRegular = 0xfffffffa

// cutoff is the size below which a stream lies in the mini stream ([MS-CFB] 2.2). Windows takes it for granted.
const cutoff = 4096

// maxEntries bounds the directory: each entry costs memory, whatever is in it.
const maxEntries = 200_000

// The kinds of directory entries ([MS-CFB] 2.6.1).
const (
	kindStorage = 1
	kindStream  = 2
	kindRoot    = 5
)

// Errors that say that there is nothing to read.
var (
	errNoCompound  = errors.New("no header of a compound file")
	errNoDirectory = errors.New("the directory of the compound file is missing")
)

// An entry is a storage or a stream.
type entry struct {
	name     string
	kind     byte
	class    [16]byte // of a storage: what program it belongs to
	start    uint32
	size     uint64
	parent   *entry
	children []*entry // in the order of the directory's tree

	content []byte // of a stream, once it was read
	read    bool
}

// A compound is a compound file in memory.
type compound struct {
	data      []byte
	budget    *container.Budget
	shift     uint // of the sector size
	miniShift uint
	sectors   uint32 // in the file, also the last one if it is cut off
	fat       []uint32
	miniFAT   []uint32
	mini      []byte   // the mini stream
	miniRun   []uint32 // its sectors
	claimed   []bool   // sectors that belong to a stream that was read
	root      *entry

	damage    string   // the first thing that is broken, "" if all is well
	ambiguous []string // where programs would see different contents
}

// openCompound reads header, sector tables and directory. What is broken is noted, and the rest is there all the same; the
// error says that there is nothing at all, or that a limit was exceeded.
func openCompound(data []byte, budget *container.Budget) (*compound, error) {
	const header = 512
	if len(data) < header || string(data[:8]) != magic {
		return nil, errNoCompound
	}
	c := &compound{data: data, budget: budget}
	c.shift = uint(binary.LittleEndian.Uint16(data[30:]))
	c.miniShift = uint(binary.LittleEndian.Uint16(data[32:]))
	// Versions 3 and 4 have sectors of 512 and 4096 octets; the first programs took other sizes too.
	if c.shift < 7 || c.shift > 16 || c.miniShift < 4 || c.miniShift >= c.shift {
		return nil, errNoCompound
	}
	c.sectors = uint32((len(data) - 1) >> c.shift) // the header takes the place of one
	if binary.LittleEndian.Uint32(data[56:]) != cutoff {
		c.ambiguous = append(c.ambiguous, "the header moves the border of small streams")
	}
	c.claimed = make([]bool, c.sectors)
	if err := c.readFAT(); err != nil {
		return nil, err
	}
	if err := c.readDirectory(); err != nil {
		return nil, err
	}
	return c, c.readMini()
}

// damaged notes what is broken, if nothing was before.
func (c *compound) damaged(what string) {
	if c.damage == "" {
		c.damage = what
	}
}

// sector returns the octets of one sector, fewer at the end of the file, none beyond it.
func (c *compound) sector(n uint32) []byte {
	if n >= c.sectors {
		return nil
	}
	from := (int(n) + 1) << c.shift
	return c.data[from:min(from+1<<c.shift, len(c.data))]
}

// readFAT collects the sector allocation table. Its sectors are named in the header, and then in a chain of sectors
// ([MS-CFB] 2.2, 2.5). There cannot be more of them than tell about the sectors of the file.
func (c *compound) readFAT() error {
	const inHeader, at = 109, 76
	next := c.appendFAT(c.data[at : at+4*inHeader])
	perSector := uint32(1) << (c.shift - 2)
	link := binary.LittleEndian.Uint32(c.data[68:])
	for range c.sectors {
		if !next || link >= maxRegular {
			break
		}
		if err := c.budget.Check(); err != nil {
			return err
		}
		b := c.sector(link)
		if uint32(len(b)) != perSector*4 {
			c.damaged("the sector table leads out of the file")
			break
		}
		next = c.appendFAT(b[:len(b)-4])
		link = binary.LittleEndian.Uint32(b[len(b)-4:])
	}
	return nil
}

// appendFAT adds the table sectors whose numbers stand in list, and reports whether more are wanted.
func (c *compound) appendFAT(list []byte) bool {
	for ; len(list) >= 4; list = list[4:] {
		n := binary.LittleEndian.Uint32(list)
		if uint32(len(c.fat)) >= c.sectors {
			return false
		}
		if n >= maxRegular {
			continue
		}
		b := c.sector(n)
		if b == nil {
			c.damaged("the sector table leads out of the file")
		}
		c.fat = appendNumbers(c.fat, b, 1<<(c.shift-2))
	}
	return true
}

// appendNumbers appends the numbers in b, and as many unused ones as are missing.
func appendNumbers(numbers []uint32, b []byte, count int) []uint32 {
	const unused = 0xffffffff
	for i := range count {
		n := uint32(unused)
		if 4*i+4 <= len(b) {
			n = binary.LittleEndian.Uint32(b[4*i:])
		}
		numbers = append(numbers, n)
	}
	return numbers
}

// chain returns the content of the chain of sectors that begins at start: of size octets, or all of it if size is negative.
// A chain that is contiguous is not copied. What is missing is noted as damage.
func (c *compound) chain(start uint32, size int64) ([]byte, error) {
	sectorSize := int64(1) << c.shift
	want := int64(c.sectors)
	if size >= 0 {
		want = min(want, (size+sectorSize-1)>>c.shift)
	}
	if want == 0 {
		if size > 0 {
			c.damaged("a stream is missing")
		}
		return nil, nil
	}
	run, err := c.follow(start, want)
	if err != nil {
		return nil, err
	}
	out, err := c.join(run)
	if err != nil {
		return nil, err
	}
	if size >= 0 && int64(len(out)) < size {
		c.damaged("a stream is cut off")
	}
	if size >= 0 {
		out = out[:min(int64(len(out)), size)]
	}
	return out, nil
}

// follow returns the numbers of at most want sectors of a chain.
func (c *compound) follow(start uint32, want int64) ([]uint32, error) {
	run := make([]uint32, 0, min(want, 64))
	shared := false
	for n := start; n < maxRegular && int64(len(run)) < want; n = c.fat[n] {
		if err := c.budget.Check(); err != nil {
			return nil, err
		}
		if n >= c.sectors || int(n) >= len(c.fat) {
			c.damaged("a stream leads out of the file")
			break
		}
		shared = shared || c.claimed[n]
		c.claimed[n] = true
		run = append(run, n)
	}
	if !shared {
		return run, nil
	}
	// Two streams in one place, or a chain that bites its own tail: each reading costs again.
	c.damaged("streams share sectors")
	return run, c.budget.Spend(int64(len(run)) << c.shift)
}

// join puts sectors together.
func (c *compound) join(run []uint32) ([]byte, error) {
	if len(run) == 0 {
		return nil, nil
	}
	contiguous := true
	for i, n := range run {
		contiguous = contiguous && n == run[0]+uint32(i)
	}
	if contiguous {
		from := (int(run[0]) + 1) << c.shift
		return c.data[from:min(from+len(run)<<c.shift, len(c.data))], nil
	}
	if err := c.budget.Spend(int64(len(run)) << c.shift); err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(run)<<c.shift)
	for _, n := range run {
		out = append(out, c.sector(n)...)
	}
	return out, nil
}

// readMini reads the mini stream and its table ([MS-CFB] 2.4). The stream is the content of the root.
func (c *compound) readMini() error {
	first := binary.LittleEndian.Uint32(c.data[60:])
	if first >= maxRegular || c.root == nil {
		return nil
	}
	table, err := c.chain(first, -1)
	if err != nil {
		return err
	}
	c.miniFAT = appendNumbers(make([]uint32, 0, len(table)/4), table, len(table)/4)
	size := int64(min(c.root.size, uint64(len(c.data))))
	// The size is not to be trusted for what lies behind it: some writers forget to round it up. What is missing, each stream
	// in it tells for itself.
	if c.miniRun, err = c.follow(c.root.start, (size+1<<c.shift-1)>>c.shift); err != nil {
		return err
	}
	c.mini, err = c.join(c.miniRun)
	return err
}

// stream returns the content of a stream, as far as it is there. It is read once.
func (c *compound) stream(e *entry) ([]byte, error) {
	if e == nil || e.kind != kindStream || e.size == 0 {
		return nil, nil
	}
	if e.read {
		return e.content, nil
	}
	var err error
	if e.size < cutoff {
		e.content, err = c.small(e)
	} else {
		e.content, err = c.chain(e.start, int64(min(e.size, uint64(len(c.data)))))
		if e.size > uint64(len(c.data)) {
			c.damaged("a stream is longer than the file")
		}
	}
	e.read = err == nil
	return e.content, err
}

// small returns the content of a stream in the mini stream. One that is contiguous is not copied.
func (c *compound) small(e *entry) ([]byte, error) {
	size, step := int(e.size), 1<<c.miniShift
	run := c.followSmall(e)
	contiguous := true
	for i, from := range run {
		contiguous = contiguous && from == run[0]+i*step
	}
	if len(run) == 0 {
		return nil, nil
	}
	if !contiguous {
		if err := c.budget.Spend(int64(size)); err != nil {
			return nil, err
		}
	}
	out := c.mini[run[0]:min(run[0]+len(run)*step, len(c.mini))]
	if !contiguous {
		out = make([]byte, 0, len(run)*step)
		for _, from := range run {
			out = append(out, c.mini[from:min(from+step, len(c.mini))]...)
		}
	}
	if len(out) < size {
		c.damaged("a small stream is cut off")
	}
	return out[:min(size, len(out))], nil
}

// followSmall returns where in the mini stream the sectors of a stream lie.
func (c *compound) followSmall(e *entry) []int {
	size, step := int(e.size), 1<<c.miniShift
	var run []int
	for n := e.start; len(run)*step < size; n = c.miniFAT[n] {
		if n >= maxRegular || int(n) >= len(c.miniFAT) || int(n)*step >= len(c.mini) {
			c.damaged("a small stream is cut off")
			break
		}
		run = append(run, int(n)*step)
	}
	return run
}

// replace writes another content of the same length into a copy of the file.
func (c *compound) replace(file []byte, e *entry, content []byte) error {
	if e.size >= cutoff {
		for n := e.start; len(content) > 0 && n < c.sectors && int(n) < len(c.fat); n = c.fat[n] {
			if err := c.budget.Check(); err != nil {
				return err
			}
			content = content[copy(file[(int(n)+1)<<c.shift:min((int(n)+2)<<c.shift, len(file))], content):]
		}
		return nil
	}
	step := 1 << c.miniShift
	for _, from := range c.followSmall(e) {
		at := (int(c.miniRun[from>>c.shift])+1)<<c.shift + from&(1<<c.shift-1)
		content = content[copy(file[at:min(at+step, len(file))], content):]
	}
	return nil
}

// readDirectory reads the directory and makes the tree of what is reachable; what is not, no program shows ([MS-CFB] 2.6).
func (c *compound) readDirectory() error {
	const entrySize = 128
	raw, err := c.chain(binary.LittleEndian.Uint32(c.data[48:]), -1)
	if err != nil {
		return err
	}
	if len(raw) < entrySize {
		return errNoDirectory
	}
	if len(raw) > maxEntries*entrySize {
		c.damaged("too many streams")
		raw = raw[:maxEntries*entrySize]
	}
	w := treeWalk{c: c, raw: raw, seen: make([]bool, len(raw)/entrySize)}
	c.root = w.entry(0)
	c.root.kind = kindRoot
	return w.walk()
}

// A treeWalk goes through the directory.
type treeWalk struct {
	c     *compound
	raw   []byte
	seen  []bool
	stack []treeStep
}

// A treeStep is an entry to come, with the storage that it belongs to.
type treeStep struct {
	id     uint32
	parent *entry
	ready  bool // its left side was done
}

// walk goes through the tree of each storage from left to right, with a stack of its own: trees may be lists in disguise.
func (w *treeWalk) walk() error {
	w.seen[0] = true
	w.push(w.number(0, 76), w.c.root)
	for len(w.stack) > 0 {
		if err := w.c.budget.Check(); err != nil {
			return err
		}
		step := &w.stack[len(w.stack)-1]
		if !step.ready {
			step.ready = true
			w.push(w.number(step.id, 68), step.parent) // left sibling
			continue
		}
		id, parent := step.id, step.parent
		w.stack = w.stack[:len(w.stack)-1]
		w.push(w.number(id, 72), parent) // right sibling
		w.add(id, parent)
	}
	return nil
}

// push puts an entry on the stack, unless it was there already: then the tree is none.
func (w *treeWalk) push(id uint32, parent *entry) {
	if id == 0xffffffff {
		return
	}
	if int64(id) >= int64(len(w.seen)) || w.seen[id] {
		w.c.damaged("the directory is no tree")
		return
	}
	w.seen[id] = true
	w.stack = append(w.stack, treeStep{id: id, parent: parent})
}

// add puts an entry into its storage, and what it holds on the stack.
func (w *treeWalk) add(id uint32, parent *entry) {
	e := w.entry(id)
	if e.kind != kindStorage && e.kind != kindStream {
		w.c.damaged("an entry of the directory is neither storage nor stream")
		return
	}
	e.parent = parent
	parent.children = append(parent.children, e)
	if e.kind == kindStorage {
		w.push(w.number(id, 76), e)
	}
}

// number returns a field of an entry.
func (w *treeWalk) number(id uint32, at int) uint32 {
	return binary.LittleEndian.Uint32(w.raw[int(id)*128+at:])
}

// entry reads one directory entry ([MS-CFB] 2.6.1).
func (w *treeWalk) entry(id uint32) *entry {
	b := w.raw[int(id)*128:][:128]
	e := &entry{kind: b[66], start: binary.LittleEndian.Uint32(b[116:]), size: binary.LittleEndian.Uint64(b[120:])}
	if w.c.shift == 9 {
		e.size &= 0xffffffff // version 3 may leave rubbish in the upper half
	}
	copy(e.class[:], b[80:96])
	length := min(int(binary.LittleEndian.Uint16(b[64:])), 64)
	e.name = fromUTF16(b[:max(0, length-2)])
	return e
}

// fromUTF16 decodes little-endian UTF-16 up to a zero.
func fromUTF16(b []byte) string {
	units := make([]uint16, 0, len(b)/2)
	for ; len(b) >= 2; b = b[2:] {
		u := binary.LittleEndian.Uint16(b)
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}

// child returns the entry of that name in a storage, nil if there is none. Case does not count ([MS-CFB] 2.6.4).
func (e *entry) child(name string) *entry {
	if e == nil {
		return nil
	}
	for _, c := range e.children {
		if strings.EqualFold(c.name, name) {
			return c
		}
	}
	return nil
}

// path names an entry from the root, for people; only the last folders of a deep one.
func (e *entry) path() string {
	name := visible(e.name)
	for p, n := e.parent, 0; p != nil && p.kind != kindRoot && n < 3; p, n = p.parent, n+1 {
		name = visible(p.name) + "/" + name
	}
	return name
}

// visible returns a name without control characters.
func visible(name string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, name)
}

// isZero reports whether all octets are zero.
func isZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
