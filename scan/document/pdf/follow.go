package pdf

import (
	"fmt"
	"slices"
	"sort"
)

// follow looks at what cross-reference tables point to. An object that only they lead to lies inside of another, or behind a
// comment; if they lead nowhere, viewers search for objects, and then everything that looks like one counts.
func (f *file) follow() {
	f.lengths()
	f.streamTables(0)
	seen := map[int]bool{}
	for range 8 { // tables lead to objects, some of which are tables
		known := len(f.objects)
		f.visit(seen)
		if f.limit != nil || len(f.objects) == known {
			break
		}
		f.lengths()
		f.streamTables(known)
	}
	if f.startxref == 0 || !f.isTable(f.pointers[f.startxref-1]) {
		f.rebuilt = true
	}
	if f.rebuilt {
		f.searchHidden()
		f.lengths()
	}
}

// visit goes to the pointers that it has not seen, in the order of the file so that every search goes forward.
func (f *file) visit(seen map[int]bool) {
	pointers := slices.Clone(f.pointers)
	sort.Ints(pointers)
	s := &searcher{f: f, data: f.data, endstream: newFinder(f.data, "endstream"), endobj: newFinder(f.data, "endobj"), inner: newFinder(f.data, "obj")}
	for _, at := range slices.Compact(pointers) {
		if f.limit != nil {
			return
		}
		if at > 0 && !seen[at] { // 0 is for what is not there: linearized files, free objects
			seen[at] = true
			f.rebuilt = !f.point(at, s) || f.rebuilt
		}
	}
}

// point goes to one offset, which counts from the header or, wrongly, from the start of the file. It reports whether there
// is something.
func (f *file) point(at int, s *searcher) bool {
	for _, at := range []int{at + f.start, at} {
		if at < 0 || at >= len(f.data) {
			continue
		}
		p := f.parser(at)
		for p.pos < len(f.data) && p.pos < at+64 && isSpace(f.data[p.pos]) {
			p.pos++
		}
		if f.starts[p.pos] {
			return true
		}
		if o, ok := f.headed(p); ok {
			f.hide(o)
			f.read(o, s)
			return true
		}
		if len(f.data)-p.pos > 4 && string(f.data[p.pos:p.pos+4]) == "xref" {
			f.starts[p.pos], f.tables[p.pos] = true, true
			f.table(p.pos + 4)
			return true
		}
	}
	return false
}

// headed reads "12 0 obj".
func (f *file) headed(p *parser) (objectAt, bool) {
	start := p.pos
	num, ok1 := integer(p.run())
	p.space()
	gen, ok2 := integer(p.run())
	p.space()
	if !ok1 || !ok2 || num < 0 || len(f.data)-p.pos < 3 || string(f.data[p.pos:p.pos+3]) != "obj" {
		return objectAt{}, false
	}
	return objectAt{num: int(num), gen: int(gen), start: start, body: p.pos + 3}, true
}

// hide notes an object that lies in the stream of another.
func (f *file) hide(o objectAt) {
	i := sort.Search(len(f.objects), func(i int) bool { return f.objects[i].at > o.start }) - 1
	if i < 0 || i >= f.found {
		return
	}
	if h := f.objects[i]; h.stream && h.from <= o.start && o.start < h.from+len(h.packed) {
		f.ambiguous(fmt.Sprintf("object %d lies in the stream of object %d", o.num, h.num))
	}
}

// isTable reports whether a cross-reference table or stream is at an offset.
func (f *file) isTable(at int) bool {
	for _, at := range []int{at + f.start, at} {
		for i := 0; i < 64 && at >= 0 && at < len(f.data) && isSpace(f.data[at]); i++ {
			at++
		}
		if f.tables[at] {
			return true
		}
	}
	return false
}

// searchHidden searches for objects in strings and streams that contain the word obj.
func (f *file) searchHidden() {
	for i := 0; i < len(f.hidden) && f.limit == nil; i++ {
		g := f.hidden[i]
		if f.failed(f.meter.spend(g.to - g.from)); f.limit == nil {
			f.search(g.from, g.to, false)
		}
	}
}

// streamTables reads the cross-reference streams among the objects from an index on: ISO 32000-1 Section 7.5.8.
func (f *file) streamTables(from int) {
	for _, o := range f.objects[from:] {
		d := o.dict()
		if !o.stream || d == nil || f.resolve(d.get("Type")) != name("XRef") || f.limit != nil {
			continue
		}
		f.tables[o.at] = true
		f.addTrailer(d, o.at)
		content, err := f.unpack(o, nil)
		if err != nil {
			f.rebuilt = true
		}
		f.entries(d, content)
	}
}

// entries notes the offsets in a cross-reference stream: ISO 32000-1 Section 7.5.8.3.
func (f *file) entries(d dict, content []byte) {
	widths, _ := f.resolve(d.get("W")).(array)
	if len(widths) < 3 {
		return
	}
	var w [3]int
	for i := range w {
		n, _ := widths[i].(int64)
		if n < 0 || n > 8 {
			return
		}
		w[i] = int(n)
	}
	size := w[0] + w[1] + w[2]
	for size > 0 && len(content) >= size && len(f.pointers) < mostObjects {
		kind := 1 // the default where the field is left out
		if w[0] > 0 {
			kind = field(content[:w[0]])
		}
		if kind == 1 {
			f.pointers = append(f.pointers, field(content[w[0]:w[0]+w[1]]))
		}
		content = content[size:]
	}
}

// field reads a number, high octet first.
func field(b []byte) int {
	n := 0
	for _, c := range b {
		n = n<<8 | int(c)
	}
	return n
}

// openStreams reads the objects in object streams: ISO 32000-1 Section 7.5.7. Viewers do not insist on the type.
func (f *file) openStreams() {
	for _, o := range f.objects[:len(f.objects):len(f.objects)] {
		d := o.dict()
		if !o.stream || o.opened || f.limit != nil {
			continue
		}
		_, counted := f.resolve(d.get("N")).(int64)
		first, ok := f.resolve(d.get("First")).(int64)
		if ok && counted || f.resolve(d.get("Type")) == name("ObjStm") {
			f.openStream(o, first)
		}
	}
}

// openStream reads the objects of one object stream.
func (f *file) openStream(o *object, first int64) {
	content, err := f.unpack(o, f.crypt)
	if err != nil && len(content) == 0 && f.crypt != nil {
		content, err = f.unpack(o, nil) // another revision may be in clear
	}
	switch {
	case err != nil && f.crypt == nil && f.encrypted():
		return // it will be tried with the key
	case err != nil:
		f.broken(o, "object stream", err)
	}
	o.opened = true
	p := &parser{data: content, meter: f.meter}
	head := content[:max(0, min(int(first), len(content)))]
	h := &parser{data: head, meter: f.meter}
	for count, _ := f.resolve(o.dict().get("N")).(int64); count > 0 && f.limit == nil; count-- {
		h.space()
		num, ok1 := integer(h.run())
		h.space()
		at, ok2 := integer(h.run())
		if !ok1 || !ok2 || num < 0 || at < 0 || at >= int64(len(content)-len(head)) {
			if err == nil {
				f.damage(fmt.Sprintf("object stream %d is damaged", o.num))
			}
			return
		}
		p.pos = len(head) + int(at)
		f.member(o, int(num), p)
	}
}

// member reads one object of an object stream.
func (f *file) member(o *object, num int, p *parser) {
	before, start := f.meter.mark(), p.pos
	v, err := p.object(0)
	if _, junk := v.(keyword); junk {
		v = nil
	}
	f.failed(err)
	f.failed(f.meter.spend(p.pos - start))
	f.add(f.keep(object{num: num, at: start, value: v, within: o, clear: true}), before)
}
