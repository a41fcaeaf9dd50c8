package message

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// A Rewritten is a message after edits, in the form in which a milter hands it over: changes of the top-level header and
// a new body. It reads the message that it was made from, and so is valid until that is closed.
type Rewritten struct {
	Changes  []FieldChange // none unless the root part itself was edited; deletions come descending per name
	original *Message
	root     bool // the root part was edited
	pieces   []piece
	size     int64
}

// A piece of a rewritten body is a range of the message, or new octets.
type piece struct {
	keep Range
	text []byte // nil for a range
}

// Rewrite makes edits, given in any order, in one copy of the message. A part that another edit replaces as a whole takes
// the edits inside of it with it; of two edits of one part the one that replaces it counts, and two of the same kind are
// ErrConflict. The error joins an EditError for every edit that cannot be made, and then nothing is rewritten: Editable
// says beforehand whether a part can be edited.
//
// A part keeps its transfer encoding if that is 7bit or 8bit and the content fits in: lines of at most 998 octets, no
// NUL, no CR outside of CRLF, and octets above 127 only where it already had some under 8bit. Else text that is mostly
// ASCII becomes quoted-printable, and everything else base64. No content holds a delimiter of the message's multiparts.
func (m *Message) Rewrite(edits []Edit) (*Rewritten, error) {
	admitted, err := m.admit(edits)
	if err != nil {
		return nil, err
	}
	r := &Rewritten{original: m}
	pos := m.headerSize
	for i := range admitted {
		e := &admitted[i]
		p := e.Part
		if e.Retype {
			c := retype(e)
			if p.Parent == nil {
				r.root, r.Changes = true, c.changes(p)
				continue
			}
			r.add(piece{keep: Range{pos, p.Offset}})
			r.add(piece{text: c.part(p)})
			pos = p.BodyOffset
			continue
		}
		c, err := m.encode(e)
		if err != nil {
			return nil, fmt.Errorf("message: editing part %q: %w", e.Part.Section, err)
		}
		if p.Parent == nil {
			r.root, r.Changes = true, c.changes(p)
			r.add(piece{text: c.body})
			return r, nil // nothing else is in the body
		}
		r.add(piece{keep: Range{pos, p.Offset}})
		r.add(piece{text: c.part(p)})
		pos = p.End
	}
	r.add(piece{keep: Range{pos, m.Size()}})
	return r, nil
}

func (r *Rewritten) add(p piece) {
	r.pieces = append(r.pieces, p)
	r.size += p.keep.End - p.keep.Start + int64(len(p.text))
}

// Body returns a reader of the octets behind the top-level header, from the first one. It may be called more than once.
// What was not edited is read from the message while it is asked for.
func (r *Rewritten) Body() io.Reader {
	readers := make([]io.Reader, len(r.pieces))
	for i, p := range r.pieces {
		if p.text != nil {
			readers[i] = bytes.NewReader(p.text)
		} else {
			readers[i] = r.original.Open(p.keep)
		}
	}
	return io.MultiReader(readers...)
}

// Size returns the octets of the body.
func (r *Rewritten) Size() int64 { return r.size }

// WriteTo writes the whole message as it is after the edits: the header with Changes made, fields that are added at its
// end, and the body. It implements io.WriterTo.
func (r *Rewritten) WriteTo(w io.Writer) (int64, error) {
	head := r.original.head
	if r.root { // a file may have no empty line in front of its body
		head = r.header()
	}
	n, err := w.Write(head)
	if err != nil {
		return int64(n), err
	}
	k, err := io.Copy(w, r.Body())
	return int64(n) + k, err
}

// header returns the header section after the changes.
func (r *Rewritten) header() []byte {
	out := make([]byte, 0, len(r.original.head)+256)
	for _, f := range r.original.Header {
		i := changeOf(r.Changes, f)
		switch {
		case i < 0:
			out = append(out, f.Raw...)
		case r.Changes[i].Value != "":
			out = appendField(out, f.Name, r.Changes[i].Value)
		}
	}
	for _, c := range r.Changes {
		if c.Nth == 0 {
			out = appendField(out, c.Name, c.Value)
		}
	}
	return append(out, '\r', '\n')
}

// changeOf returns the index of the change of f, -1 if there is none.
func changeOf(changes []FieldChange, f Field) int {
	for i, c := range changes {
		if c.Nth == f.Nth && sameName(c.Name, f.Name) {
			return i
		}
	}
	return -1
}

// appendField appends a field with a value that is folded with LF.
func appendField(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, strings.ReplaceAll(value, "\n", "\r\n")...)
	return append(dst, '\r', '\n')
}
