package message

import "io"

// Content returns the transfer-decoded octets of a leaf.
func (m *Message) Content(p *Part) io.Reader {
	return m.Open(Range{p.BodyOffset, p.End})
}
