package cms

import "fmt"

// Normalize turns one BER element (X.690 Section 8) into definite, minimal lengths and primitive OCTET STRINGs, as DER
// (Section 10) wants them. It does not sort sets and does not look into values, so an element that was signed in DER is
// the same afterwards. If ber has that form already it is returned itself, without a copy.
//
// Everything else is an error: an element that does not fit into the one around it, an indefinite length without an end,
// octets behind the end, and whatever exceeds Depth, Elements or Size of limits. Time is linear, and memory is bounded
// by the size of ber.
func Normalize(ber []byte, limits Limits) (der []byte, err error) {
	limits = limits.withDefaults()
	if len(ber) > limits.Size {
		return nil, fmt.Errorf("%w: %d octets, at most %d are read", ErrLimit, len(ber), limits.Size)
	}
	m := measure{walker: newWalker(ber, limits), lengths: make([]int, 0, usualElements)}
	if err := m.run(); err != nil {
		return nil, err
	}
	if m.isDER {
		return ber, nil
	}
	return m.emit(ber), nil
}

// A frame is a constructed element that is not closed yet.
type frame struct {
	index      int // of its content length in measure.lengths
	end        int // offset that its content may not exceed; where it ends if the length is definite
	tag        []byte
	indefinite bool
	joined     bool // a constructed OCTET STRING, or a segment of one: its segments are joined
}

// An event is what a walker meets next.
type event int

const (
	atEnd event = iota
	atPrimitive
	atOpen
	atClose
)

// A walker goes through the elements of a BER encoding without recursion.
type walker struct {
	in       []byte
	limits   Limits
	pos      int
	elements int
	opened   int     // constructed elements so far
	stack    []frame // those that are open
	head     header  // of the element at atPrimitive and atOpen
	body     []byte  // content of the element at atPrimitive
	closed   frame   // the one that ended at atClose
}

// What a signature with two certificates needs: constructed elements, and levels of them.
const (
	usualElements = 256
	usualDepth    = 16
)

func newWalker(in []byte, limits Limits) walker {
	return walker{in: in, limits: limits, stack: make([]frame, 0, usualDepth)}
}

// next advances to the next event. Behind the outermost element it is atEnd.
func (w *walker) next() (event, error) {
	if len(w.stack) > 0 {
		if closed, err := w.close(); closed || err != nil {
			return atClose, err
		}
	} else if w.elements > 0 {
		return atEnd, nil
	}
	return w.open()
}

// close ends the innermost open element if nothing of it is left.
func (w *walker) close() (bool, error) {
	top := w.stack[len(w.stack)-1]
	switch {
	case !top.indefinite && w.pos < top.end:
		return false, nil
	case top.indefinite:
		// X.690 Section 8.1.5: two zero octets end it.
		if w.limit()-w.pos < 2 {
			return false, fmt.Errorf("%w: an indefinite length has no end at offset %d", ErrSyntax, w.pos)
		}
		if w.in[w.pos] != 0 || w.in[w.pos+1] != 0 {
			return false, nil
		}
		w.pos += 2
	}
	w.closed = top
	w.stack = w.stack[:len(w.stack)-1]
	return true, nil
}

// limit returns the offset that nothing inside of the innermost open element may exceed.
func (w *walker) limit() int {
	if len(w.stack) == 0 {
		return len(w.in)
	}
	return w.stack[len(w.stack)-1].end
}

// open begins the element at the current offset.
func (w *walker) open() (event, error) {
	if w.elements++; w.elements > w.limits.Elements {
		return 0, fmt.Errorf("%w: more than %d elements", ErrLimit, w.limits.Elements)
	}
	if len(w.stack) >= w.limits.Depth {
		return 0, fmt.Errorf("%w: more than %d elements inside of each other", ErrLimit, w.limits.Depth)
	}
	rest := w.in[w.pos:w.limit()]
	h, err := readHeader(rest)
	if err != nil {
		return 0, fmt.Errorf("%w: %s at offset %d", ErrSyntax, err, w.pos)
	}
	joined := len(w.stack) > 0 && w.stack[len(w.stack)-1].joined
	if joined && h.tag[0]&^constructed != tagOctetString {
		return 0, fmt.Errorf("%w: an OCTET STRING has a segment that is none at offset %d", ErrSyntax, w.pos)
	}
	w.head = h
	w.pos += h.size
	if !h.constructed {
		w.body = w.in[w.pos : w.pos+h.length]
		w.pos += h.length
		return atPrimitive, nil
	}
	end := w.pos + h.length
	if h.indefinite {
		end = w.limit()
	}
	w.stack = append(w.stack, frame{
		index: w.opened, end: end, tag: h.tag, indefinite: h.indefinite,
		joined: joined || h.tag[0] == tagOctetString|constructed,
	})
	w.opened++
	return atOpen, nil
}

// inString reports whether the innermost open element is a constructed OCTET STRING.
func (w *walker) inString() bool { return len(w.stack) > 0 && w.stack[len(w.stack)-1].joined }

// measure finds out how long the content of every constructed element becomes.
type measure struct {
	walker
	lengths []int // by the order of opening
	total   int   // length of the whole
	isDER   bool  // nothing has to change
}

// run goes through everything once.
func (m *measure) run() error {
	m.isDER = true
	for {
		switch ev, err := m.next(); {
		case err != nil:
			return err
		case ev == atEnd:
			if m.pos != len(m.in) {
				return fmt.Errorf("%w: %d octets", ErrTrailing, len(m.in)-m.pos)
			}
			return nil
		case ev == atPrimitive:
			m.isDER = m.isDER && m.head.minimal()
			m.add(m.head.tag, len(m.body))
		case ev == atOpen:
			m.isDER = m.isDER && m.head.minimal() && !m.inString()
			m.lengths = append(m.lengths, 0)
		case ev == atClose:
			m.add(m.closed.tag, m.lengths[m.closed.index])
		}
	}
}

// add counts an element with its content for the one around it.
func (m *measure) add(tag []byte, content int) {
	size := len(tag) + lengthSize(content) + content
	if m.inString() {
		size = content // X.690 Section 8.7.3: the segments are joined
	}
	if len(m.stack) == 0 {
		m.total = size
		return
	}
	m.lengths[m.stack[len(m.stack)-1].index] += size
}

// emit writes what was measured. The walk is the same again, so it cannot fail.
func (m *measure) emit(ber []byte) []byte {
	out := make([]byte, 0, m.total)
	w := newWalker(ber, m.limits)
	for {
		ev, err := w.next()
		switch {
		case err != nil || ev == atEnd:
			return out
		case ev == atPrimitive:
			if !w.inString() {
				out = appendLength(append(out, w.head.tag...), len(w.body))
			}
			out = append(out, w.body...)
		case ev == atOpen:
			if top := w.stack[len(w.stack)-1]; !top.joined {
				out = appendLength(append(out, top.tag...), m.lengths[top.index])
			} else if len(w.stack) < 2 || !w.stack[len(w.stack)-2].joined {
				out = appendLength(append(out, tagOctetString), m.lengths[top.index])
			}
		}
	}
}
