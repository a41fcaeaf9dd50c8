package pdf

import (
	"bytes"
	"io"
	"slices"

	"assay/scan/container"
)

// Limits of one file, beside those of the budget.
const (
	mostObjects = 500_000   // indirect objects of all revisions
	mostValues  = 1_500_000 // values that are kept
	revisions   = 16        // of one object that are followed, the last ones
	rereading   = 8         // how often every octet may be looked at, on average
)

// A file is what was found in one PDF.
type file struct {
	data    []byte
	start   int // offset of the header, which offsets of the file are counted from
	budget  *container.Budget
	meter   *meter
	objects []*object
	memory  slab[object]  // of the objects
	inflate io.ReadCloser // of the last stream, for the next one
	byNum   map[int][]*object
	starts  map[int]bool // offsets where objects start, in front of their number

	trailers  []trailer
	pointers  []int // offsets that cross-reference tables and startxref name
	hybrid    []int // those of cross-reference streams that only complete a table
	rebuilt   bool  // the cross-reference table is of no use, so that viewers search for objects as this package does
	gaps      []gap // what belongs to no structure
	hidden    []gap // inside of objects, where something looks like the start or end of one
	startxref int   // the last, as an index of pointers, from 1
	cut       bool  // the last stream has no end

	found    int          // how many objects the first search has found, which are in the order of the file
	tables   map[int]bool // offsets of cross-reference tables and streams
	crypt    *crypt
	odd      []string // where programs would see different contents
	problems []string // why something could not be read
	limit    error    // that ended the work
}

// A trailer is the dictionary of a file trailer or of a cross-reference stream.
type trailer struct {
	dict dict
	at   int // offset of the object, 0 of a trailer
}

// A gap lies between structures.
type gap struct{ from, to int }

// open finds the objects of a file.
func open(f *container.File) *file {
	expected := min(bytes.Count(f.Content[:min(len(f.Content), 1<<20)], []byte(" obj")), 1<<12)
	out := &file{data: f.Content, budget: f.Budget, byNum: make(map[int][]*object, expected), starts: make(map[int]bool, expected), tables: map[int]bool{}}
	out.start, _ = header(f.Content)
	out.start = max(out.start, 0)
	out.meter = &meter{octets: rereading*len(f.Content) + 1<<20, values: mostValues, check: f.Budget.Check, names: names{all: map[string]known{}}}
	out.search(0, len(out.data), true)
	out.found = len(out.objects)
	out.follow()
	return out
}

// damage notes why something could not be read.
func (f *file) damage(why string) {
	if len(f.problems) < 8 && !slices.Contains(f.problems, why) {
		f.problems = append(f.problems, why)
	}
}

// ambiguous notes where programs would see different contents.
func (f *file) ambiguous(where string) {
	if len(f.odd) < 3 {
		f.odd = append(f.odd, where)
	}
}

// stop notes the error that ends the work.
func (f *file) stop(err error) {
	if f.limit == nil {
		f.limit = err
	}
}

// A finder looks for a word again and again, every octet once.
type finder struct {
	data []byte
	word []byte
	at   int // where it is next; len(data) if nowhere
}

// newFinder returns a finder that has not looked yet.
func newFinder(data []byte, word string) *finder { return &finder{data, []byte(word), -1} }

// next returns where the word is, at from or behind it; the length of the data if nowhere.
func (s *finder) next(from int) int {
	if s.at < from {
		if i := bytes.Index(s.data[min(from, len(s.data)):], s.word); i >= 0 {
			s.at = from + i
		} else {
			s.at = len(s.data)
		}
	}
	return s.at
}

// search finds objects, trailers and tables between two offsets. The top search also remembers what lies between them.
func (f *file) search(from, to int, top bool) {
	data := f.data[:to]
	s := searcher{f: f, data: data, pos: from, done: from, top: top,
		endstream: newFinder(data, "endstream"), endobj: newFinder(data, "endobj"), inner: newFinder(data, "obj")}
	obj, trail := newFinder(data, "obj"), newFinder(data, "trailer")
	xref, eof := newFinder(data, "xref"), newFinder(data, "%%EOF")
	for f.limit == nil {
		if err := f.meter.check(); err != nil {
			f.stop(err)
			return
		}
		at := min(obj.next(s.pos), trail.next(s.pos), xref.next(s.pos), eof.next(s.pos))
		switch at {
		case len(data):
			s.structure(len(data), len(data))
			return
		case obj.at:
			s.object(at)
		case trail.at:
			s.trailer(at)
		case xref.at:
			s.xref(at)
		default:
			s.structure(at, at+len("%%EOF"))
		}
	}
}

// A searcher is where a search has come to.
type searcher struct {
	f                 *file
	data              []byte
	pos               int // where to go on
	done              int // where the last structure ended
	top               bool
	endstream, endobj *finder
	inner             *finder // what looks like the start of another object
}

// structure notes where something belongs to the file, and what lies in front of it.
func (s *searcher) structure(from, to int) {
	if s.top && from > s.done {
		s.f.gaps = append(s.f.gaps, gap{s.done, from})
		if n := len(s.f.gaps); n > 1 && s.f.gaps[n-1].to-s.f.gaps[n-1].from < 16 {
			s.f.gaps = s.f.gaps[:n-1]
		}
	}
	s.done = max(s.done, to)
	s.pos = max(s.pos+1, to)
}

// object reads what may be an object, at its word "obj".
func (s *searcher) object(at int) {
	num, gen, start, ok := numbers(s.data, max(s.done, at-64), at)
	if !ok {
		s.pos = at + 3
		return
	}
	if s.comment(start) {
		s.pos = s.line(at)
		return
	}
	end := s.f.read(objectAt{num: num, gen: gen, start: start, body: at + 3}, s)
	s.structure(start, at+3)
	s.done, s.pos = max(s.done, end), max(s.pos, end)
}

// comment reports whether an offset lies behind a % in its line. Only what was not looked at yet counts.
func (s *searcher) comment(at int) bool {
	from := max(s.done, at-1024)
	line := s.data[from:at]
	if i := bytes.LastIndexAny(line, "\r\n"); i >= 0 {
		line = line[i+1:]
	}
	return bytes.IndexByte(line, '%') >= 0
}

// line returns where the line of an offset ends.
func (s *searcher) line(at int) int {
	if i := bytes.IndexAny(s.data[at:], "\r\n"); i >= 0 {
		return at + i
	}
	return len(s.data)
}

// numbers reads "12 0 " backwards in front of the word "obj" at an offset.
func numbers(data []byte, from, at int) (num, gen, start int, ok bool) {
	gen, i, ok := number(data, from, at, false)
	if !ok {
		return 0, 0, 0, false
	}
	num, start, ok = number(data, from, i, true)
	return num, gen, start, ok
}

// number reads a number backwards, and the white space behind it.
func number(data []byte, from, at int, spaced bool) (n, start int, ok bool) {
	i := at
	for i > from && isSpace(data[i-1]) {
		i--
	}
	if spaced && i == at {
		return 0, 0, false
	}
	start = i
	for start > from && start > i-10 && data[start-1] >= '0' && data[start-1] <= '9' {
		start--
	}
	for _, c := range data[start:i] {
		n = n*10 + int(c-'0')
	}
	return n, start, start < i
}

// trailer reads the dictionary of a trailer: ISO 32000-1 Section 7.5.5.
func (s *searcher) trailer(at int) {
	if s.comment(at) {
		s.pos = s.line(at)
		return
	}
	p := s.f.parser(at + len("trailer"))
	v, err := p.object(0)
	s.f.failed(err)
	if d, ok := v.(dict); ok {
		s.f.addTrailer(d, 0)
		s.structure(at, p.pos)
		return
	}
	s.pos = at + len("trailer")
}

// addTrailer notes a trailer, and what it points to.
func (f *file) addTrailer(d dict, at int) {
	if len(f.trailers) < 1000 {
		f.trailers = append(f.trailers, trailer{d, at})
	}
	for _, key := range []name{"Prev", "XRefStm"} {
		if n, ok := d.get(key).(int64); ok {
			f.pointers = append(f.pointers, int(n))
			if key == "XRefStm" {
				f.hybrid = append(f.hybrid, int(n))
			}
		}
	}
}

// xref reads a table, or the offset behind startxref: ISO 32000-1 Section 7.5.4 and 7.5.5.
func (s *searcher) xref(at int) {
	if at >= 5 && string(s.data[at-5:at]) == "start" {
		p := s.f.parser(at + len("xref"))
		p.space()
		n, ok := integer(p.run())
		if ok {
			s.f.pointers = append(s.f.pointers, int(n))
			s.f.startxref = len(s.f.pointers)
		}
		s.structure(at-5, p.pos)
		return
	}
	s.f.starts[at], s.f.tables[at] = true, true
	end := s.f.table(at + len("xref"))
	s.structure(at, end)
}

// table reads the entries of a cross-reference table and returns where they end.
func (f *file) table(at int) int {
	i := at
	for {
		j := i
		for j < len(f.data) && isSpace(f.data[j]) {
			j++
		}
		k := j
		for k < len(f.data) && f.data[k] >= '0' && f.data[k] <= '9' {
			k++
		}
		if k == j || k-j > 10 {
			return j
		}
		n, _ := integer(f.data[j:k])
		i = k
		// An entry is "0000000015 00000 n"; a line of two numbers starts a subsection.
		if k+8 <= len(f.data) && k-j == 10 && f.data[k+7] == 'n' && len(f.pointers) < mostObjects {
			f.pointers = append(f.pointers, int(n))
		}
		if k+8 <= len(f.data) && k-j == 10 && (f.data[k+7] == 'n' || f.data[k+7] == 'f') {
			i = k + 8
		}
	}
}

// parser returns a parser at an offset of the file.
func (f *file) parser(at int) *parser { return &parser{data: f.data, pos: at, meter: f.meter} }

// failed notes an error of the parser, which ends the work only if it would come again.
func (f *file) failed(err error) {
	switch err {
	case nil, errOpen:
	case errDeep:
		f.damage(err.Error())
	default:
		f.stop(err)
	}
}

// An objectAt is a place where an object starts.
type objectAt struct {
	num, gen    int
	start, body int // offsets of its number, and of what follows "obj"
}

// read reads the object at a place and returns where to go on.
func (f *file) read(at objectAt, s *searcher) int {
	if f.starts[at.start] {
		return at.body
	}
	f.starts[at.start] = true
	p := f.parser(at.body)
	p.data = s.data
	before := f.meter.mark()
	v, err := p.object(0)
	if k, junk := v.(keyword); junk { // "1 0 obj endobj" is null
		p.pos -= min(len(k), p.pos-at.body)
		v = nil
	}
	f.failed(err)
	f.failed(f.meter.spend(p.pos - at.body))
	o := f.keep(object{num: at.num, gen: at.gen, at: at.start, value: v})
	end, inner := p.pos, s.inner.next(at.body)
	switch v := v.(type) {
	case dict:
		if err == nil {
			end = f.stream(o, v, p, s)
		}
	case int64: // it may be the number of the next object
		end = at.body
	}
	if p.space(); bytes.HasPrefix(s.data[p.pos:], []byte("obj")) { // it has no end, and has read the numbers of the next
		end = at.body
	}
	f.add(o, before)
	if err != nil {
		return at.body
	}
	if inner < end {
		f.hidden = append(f.hidden, gap{at.body, end})
	}
	return end
}

// keep returns where an object is kept.
func (f *file) keep(o object) *object { return &f.memory.keep([]object{o})[0] }

// add keeps an object. What cannot be of interest is dropped, so that a large document does not need much memory; before is
// what was left before it was read.
func (f *file) add(o *object, before mark) {
	if len(f.objects) >= mostObjects {
		f.stop(errMany)
		return
	}
	if !o.stream && dull(o.value) {
		o.value = nil
		f.meter.release(before)
	}
	f.objects = append(f.objects, o)
	if all := f.byNum[o.num]; all != nil {
		f.byNum[o.num] = append(all, o)
		return
	}
	last := len(f.objects)
	f.byNum[o.num] = f.objects[last-1 : last : last] // most have one revision, which is there already
}

// revisions returns the objects that a reference may mean, the newest last.
func (f *file) revisions(r ref) []*object {
	all := f.byNum[r.num]
	return all[max(0, len(all)-revisions):]
}

// resolve follows a value to where it is no reference any more; of several revisions the last that is something counts.
func (f *file) resolve(v any) any {
	for range 8 {
		r, ok := v.(ref)
		if !ok {
			return v
		}
		v = nil
		for _, o := range f.revisions(r) {
			if o.value != nil {
				v = o.value
			}
		}
	}
	return nil
}
