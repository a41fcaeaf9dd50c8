package dkim

import (
	"bytes"

	"assay/verify/message"
)

// index finds the fields of a header by name, the last occurrence first (RFC 6376 Section 5.4.2), without a search per
// name.
type index struct {
	header message.Header
	ids    map[string]int32 // lower-case name to a number
	last   []int32          // by number: the last field with that name
	prev   []int32          // by field: the one before with the same name, -1 for none
	count  []int32          // by number: how many there are
}

// newIndex reads the header once.
func newIndex(h message.Header) *index {
	x := &index{header: h, ids: make(map[string]int32, len(h)), prev: make([]int32, len(h))}
	x.last = make([]int32, 0, len(h))
	x.count = make([]int32, 0, len(h))
	var buf [64]byte
	for i := range h {
		name := lowerInto(buf[:0], h[i].Name)
		id, ok := x.ids[string(name)]
		if !ok {
			id = int32(len(x.last))
			x.ids[string(name)] = id
			x.last = append(x.last, -1)
			x.count = append(x.count, 0)
		}
		x.prev[i] = x.last[id]
		x.last[id] = int32(i)
		x.count[id]++
	}
	return x
}

// lowerInto appends s in lower case (ASCII) to dst.
func lowerInto[T string | []byte](dst []byte, s T) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// Count returns how many fields with that lower-case name there are.
func (x *index) Count(name string) int {
	if id, ok := x.ids[name]; ok {
		return int(x.count[id])
	}
	return 0
}

// pick calls use for the field that each name stands for: its last occurrence at first, then the one before, and so on
// (RFC 6376 Section 5.4.2). Names without a field left stand for nothing. The field own, the signature itself, is not
// one of them: it did not exist when it was made.
func (x *index) pick(names []string, own message.Field, use func(message.Field)) {
	next := append(make([]int32, 0, 64), x.last...)
	for _, name := range names {
		id, ok := x.ids[name]
		if !ok {
			continue
		}
		i := next[id]
		if i >= 0 && isSame(x.header[i], own) {
			i = x.prev[i]
		}
		if i < 0 {
			next[id] = -1
			continue
		}
		next[id] = x.prev[i]
		use(x.header[i])
	}
}

// isSame reports whether a and b are the same field of one header, not just equal.
func isSame(a, b message.Field) bool {
	return a.Nth == b.Nth && len(a.Raw) == len(b.Raw) && len(a.Raw) > 0 && &a.Raw[0] == &b.Raw[0]
}

// AppendField appends one header field to dst, which is to be hashed, in its canonical form with the final CRLF.
func AppendField(dst, raw []byte, c Canonicalization) []byte {
	if c == Relaxed {
		return appendRelaxedField(dst, raw)
	}
	// RFC 6376 Section 3.4.1: simple changes nothing.
	return append(append(dst, withoutCRLF(raw)...), '\r', '\n')
}

// appendRelaxedField appends the relaxed form of a field (RFC 6376 Section 3.4.2). A bare CR is data.
func appendRelaxedField(dst, raw []byte) []byte {
	name, value, _ := bytes.Cut(raw, []byte{':'})
	for len(name) > 0 && (name[len(name)-1] == ' ' || name[len(name)-1] == '\t') {
		name = name[:len(name)-1]
	}
	dst = lowerInto(dst, name)
	dst = append(dst, ':')
	start := len(dst)
	space := false
	for i := 0; i < len(value); {
		switch b := value[i]; {
		case b == ' ' || b == '\t':
			space = true
			i++
			continue
		case b == '\n' || b == '\r' && i+1 < len(value) && value[i+1] == '\n':
			i++
			continue
		}
		if space && len(dst) > start {
			dst = append(dst, ' ')
		}
		space = false
		j := i + 1
		for j < len(value) && value[j] > ' ' {
			j++
		}
		dst = append(dst, value[i:j]...)
		i = j
	}
	return append(dst, '\r', '\n')
}

// AppendOwnField appends a signature field to dst as it enters its own hash: in canonical form, the value of b= deleted
// together with the white space around it, and without the final CRLF (RFC 6376 Section 3.7).
func AppendOwnField(dst, raw []byte, c Canonicalization) []byte {
	own := withoutSignature(raw)
	if c == Relaxed {
		return withoutCRLF(appendRelaxedField(dst, own))
	}
	return append(dst, own...)
}

// withoutSignature returns a copy of the field without the value of the tag named b, and without the final CRLF. Other
// tags whose name or value ends in "b=" stay as they are.
func withoutSignature(raw []byte) []byte {
	raw = withoutCRLF(raw)
	out := make([]byte, 0, len(raw))
	colon := bytes.IndexByte(raw, ':') + 1
	out = append(out, raw[:colon]...)
	for rest := raw[colon:]; ; {
		spec, tail, more := bytes.Cut(rest, []byte{';'})
		name, _, isTag := bytes.Cut(spec, []byte{'='})
		if isTag && string(bytes.Trim(name, " \t\r\n")) == "b" {
			spec = spec[:len(name)+1]
		}
		out = append(out, spec...)
		if !more {
			return out
		}
		out = append(out, ';')
		rest = tail
	}
}

// withoutCRLF returns b without a final CRLF.
func withoutCRLF(b []byte) []byte { return bytes.TrimSuffix(b, []byte("\r\n")) }
