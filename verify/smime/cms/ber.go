package cms

import "errors"

// Identifier octets (X.690 Section 8.1.2).
const (
	tagOctetString = 0x04
	tagOID         = 0x06
	tagSequence    = 0x30
	tagSet         = 0x31
	constructed    = 0x20
	highTag        = 0x1f
)

// Lengths of tags and lengths that are accepted; both are far beyond what exists.
const (
	maxTagOctets    = 5
	maxLengthOctets = 8
)

// What is wrong with a header.
var (
	errShort      = errors.New("the data ends inside of an element")
	errTag        = errors.New("a tag is not minimal or too long")
	errLength     = errors.New("a length is not valid")
	errBeyond     = errors.New("an element is longer than what is around it")
	errIndefinite = errors.New("a primitive element has an indefinite length")
	errEnd        = errors.New("an end of contents where nothing ends")
)

// A header is the identifier and the length of an element.
type header struct {
	tag         []byte
	size        int // octets of tag and length
	length      int // of the content; 0 if indefinite
	constructed bool
	indefinite  bool
}

// minimal reports whether the header is what DER demands.
func (h header) minimal() bool {
	return !h.indefinite && h.size == len(h.tag)+lengthSize(h.length)
}

// readHeader reads the header of an element that has to fit into b.
func readHeader(b []byte) (header, error) {
	n, err := tagSize(b)
	if err != nil {
		return header{}, err
	}
	h := header{tag: b[:n:n], constructed: b[0]&constructed != 0}
	if err := h.readLength(b); err != nil {
		return header{}, err
	}
	switch {
	case h.indefinite && !h.constructed:
		return header{}, errIndefinite
	case h.length > len(b)-h.size:
		return header{}, errBeyond
	case b[0]&^constructed == 0:
		return header{}, errEnd // X.690 Section 8.1.5: reserved
	}
	return h, nil
}

// tagSize returns the number of identifier octets at the beginning of b.
func tagSize(b []byte) (int, error) {
	if len(b) < 2 {
		return 0, errShort
	}
	if b[0]&highTag != highTag {
		return 1, nil
	}
	// X.690 Section 8.1.2.4: numbers from 31 on, in base 128, without leading zeros.
	if b[1] == 0x80 || b[1] < highTag {
		return 0, errTag
	}
	for n := 1; n < len(b); n++ {
		switch {
		case n > maxTagOctets:
			return 0, errTag
		case b[n] < 0x80:
			return n + 1, nil
		}
	}
	return 0, errShort
}

// readLength reads the length behind the tag.
func (h *header) readLength(b []byte) error {
	n := len(h.tag)
	if n >= len(b) {
		return errShort
	}
	first := b[n]
	h.size = n + 1
	switch {
	case first < 0x80:
		h.length = int(first)
		return nil
	case first == 0x80:
		h.indefinite = true
		return nil
	}
	octets := int(first & 0x7f)
	switch {
	case octets > maxLengthOctets:
		return errLength
	case octets > len(b)-h.size:
		return errShort
	}
	for _, c := range b[h.size : h.size+octets] {
		if h.length > len(b) {
			return errBeyond
		}
		h.length = h.length<<8 | int(c)
	}
	h.size += octets
	return nil
}

// lengthSize returns the number of octets of the length n in DER.
func lengthSize(n int) int {
	if n < 0x80 {
		return 1
	}
	size := 1
	for ; n > 0; n >>= 8 {
		size++
	}
	return size
}

// appendLength appends the length n in DER.
func appendLength(dst []byte, n int) []byte {
	if n < 0x80 {
		return append(dst, byte(n))
	}
	octets := lengthSize(n) - 1
	dst = append(dst, 0x80|byte(octets))
	for i := octets - 1; i >= 0; i-- {
		dst = append(dst, byte(n>>(8*i)))
	}
	return dst
}

// appendElement appends an element made of a tag and the parts of its content.
func appendElement(dst []byte, tag byte, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	dst = appendLength(append(dst, tag), n)
	for _, p := range parts {
		dst = append(dst, p...)
	}
	return dst
}
