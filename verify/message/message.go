package message

import "io"

// Close gives back the temporary file of a long body, whose octets cannot be read afterwards: reading them is an error
// that wraps os.ErrClosed. It may be called more than once.
func (m *Message) Close() error { return m.body.close() }

// Size returns the octets of the whole message, header and body.
func (m *Message) Size() int64 { return m.headerSize + m.body.size }

// Exceeded returns nil, or what Builder.Exceeded returned when the message was built: the message then is incomplete.
func (m *Message) Exceeded() error { return m.exceeded }

// Body returns a reader of the octets behind the empty line that ends the header section.
func (m *Message) Body() *io.SectionReader {
	return io.NewSectionReader(&m.body, 0, m.body.size)
}

// CopyBody writes the octets behind the header to w, as received. Those in memory are written in one piece and without
// being copied, so w must neither keep nor change them, as io.Writer has it.
func (m *Message) CopyBody(w io.Writer) (int64, error) {
	if m.body.file != nil {
		return io.Copy(w, m.Body())
	}
	n, err := w.Write(m.body.mem)
	return int64(n), err
}

// Open returns a reader of the octets of r, which counts from the first octet of the message. What lies outside the
// message is left out.
func (m *Message) Open(r Range) *io.SectionReader {
	start := min(max(r.Start, 0), m.Size())
	end := max(min(r.End, m.Size()), start)
	if start >= m.headerSize {
		return io.NewSectionReader(&m.body, start-m.headerSize, end-start)
	}
	return io.NewSectionReader((*octets)(m), start, end-start)
}

// WriteTo writes the octets of the whole message, as received. It implements io.WriterTo.
func (m *Message) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(m.head)
	if err != nil {
		return int64(n), err
	}
	k, err := m.CopyBody(w)
	return int64(n) + k, err
}

// octets reads a message across the border of header and body.
type octets Message

func (o *octets) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, io.EOF
	}
	n := 0
	if off < o.headerSize {
		n = copy(p, o.head[off:])
		if n == len(p) {
			return n, nil
		}
		off = o.headerSize
	}
	k, err := o.body.ReadAt(p[n:], off-o.headerSize)
	return n + k, err
}
