package message

import "iter"

func (m *Message) index(l Limits, d *defects) error {
	m.Root = &Part{Section: "1", Header: m.Header, MediaType: "text/plain", Encoding: "7bit", BodyOffset: m.headerSize, End: m.Size()}
	m.Defects = d.list
	return nil
}

// Leaves yields the parts below p, or p itself, that have no children, in message order.
func (p *Part) Leaves() iter.Seq[*Part] {
	return func(yield func(*Part) bool) { p.leaves(yield) }
}

func (p *Part) leaves(yield func(*Part) bool) bool {
	if len(p.Children) == 0 {
		return yield(p)
	}
	for _, c := range p.Children {
		if !c.leaves(yield) {
			return false
		}
	}
	return true
}
