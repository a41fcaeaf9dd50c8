package pdf

import "slices"

// A large document is many small objects, and memory for each of them by itself would cost more than to read them.

// names holds the names that were read before.
type names struct {
	recent [128]known // by hash
	all    map[string]known
}

// A known is a name as it is written, and as a value.
type known struct {
	raw   string
	value any // a name
}

// of returns the name that is written so, as a value.
func (n *names) of(raw []byte) any {
	at := len(raw)
	if at > 0 {
		at += int(raw[0])*3 + int(raw[at-1])*5 + int(raw[at/2])*7
	}
	recent := &n.recent[at%len(n.recent)]
	if recent.value != nil && recent.raw == string(raw) {
		return recent.value
	}
	if k, ok := n.all[string(raw)]; ok {
		*recent = k
		return k.value
	}
	k := known{string(raw), name(unescape(raw))}
	if len(raw) <= 64 && len(n.all) < 4096 {
		n.all[k.raw] = k
		*recent = k
	}
	return k.value
}

// A slab is memory for many small slices.
type slab[T any] struct {
	free []T
	next int // elements to allocate
}

// How many elements are allocated at a time: few at first, and more the more are needed.
const (
	leastSlab = 16
	mostSlab  = 256
)

// keep returns a copy of elements that is not to be appended to.
func (s *slab[T]) keep(elements []T) []T {
	if len(elements) > mostSlab/8 {
		return slices.Clone(elements)
	}
	if len(elements) > len(s.free) {
		s.next = min(max(2*s.next, leastSlab, len(elements)), mostSlab)
		s.free = make([]T, s.next)
	}
	out := s.free[:len(elements):len(elements)]
	s.free = s.free[len(elements):]
	copy(out, elements)
	return out
}

// A mark is how much a meter had left.
type mark struct {
	values int
	arrays []any
	dicts  []entry
}

// mark notes what is left.
func (m *meter) mark() mark { return mark{m.values, m.arrays.free, m.dicts.free} }

// release gives back what was used since a mark. None of it may be in use.
func (m *meter) release(to mark) {
	m.values, m.arrays.free, m.dicts.free = to.values, to.arrays, to.dicts
}
