package ole

import (
	"bytes"
	"encoding/binary"
)

// hangul recognizes documents of Hancom's word processor, whose streams are compressed in a way of their own: they are not
// read. The header tells whether a password is needed.
func (r *reading) hangul(s *entry) error {
	const flags, flagPassword, flagRights = 36, 0x02, 0x10
	if s.child("BodyText") == nil && s.child("ViewText") == nil {
		return nil
	}
	head, _, err := r.content(s, "FileHeader")
	if err != nil || !bytes.HasPrefix(head, []byte("HWP Document File")) || len(head) < flags+4 {
		return err
	}
	r.nameType(s, "application/x-hwp")
	switch f := binary.LittleEndian.Uint32(head[flags:]); {
	case f&flagPassword != 0:
		r.lock("Hangul password")
	case f&flagRights != 0:
		r.lock("rights management")
	default:
		r.lack("a document of Hangul, whose parts are not read")
	}
	return nil
}
