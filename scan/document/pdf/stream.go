package pdf

import (
	"bytes"
)

// stream reads the stream behind a dictionary, if there is one, and returns where to go on. The length in the dictionary
// counts only if the word endstream is there: ISO 32000-1 Section 7.3.8.
func (f *file) stream(o *object, d dict, p *parser, s *searcher) int {
	end := p.pos
	p.space()
	if !bytes.HasPrefix(s.data[p.pos:], []byte("stream")) {
		p.pos = end
		return end
	}
	start := p.pos + len("stream")
	if start < len(s.data) && s.data[start] == '\r' {
		start++
	}
	if start < len(s.data) && s.data[start] == '\n' {
		start++
	}
	o.stream, o.from = true, start
	if n, ok := f.resolve(d.get("Length")).(int64); ok {
		if end, ok := f.closed(s.data, start, n); ok {
			o.packed = s.data[start : start+int(n)]
			return end
		}
	}
	stop, object := s.endstream.next(start), s.endobj.next(start)
	if stop == len(s.data) { // it has none; another object may start at any place
		f.cut = f.cut || object == len(s.data)
		o.packed = s.data[start:object]
		return start
	}
	o.packed = trimEnd(s.data[start:stop])
	if object < stop {
		return start
	}
	return stop + len("endstream")
}

// closed reports whether a stream of n octets is followed by the word endstream, and where that ends.
func (f *file) closed(data []byte, start int, n int64) (end int, ok bool) {
	if n < 0 || n > int64(len(data)-start) {
		return 0, false
	}
	at := start + int(n)
	for i := 0; i < 4 && at < len(data) && isSpace(data[at]); i++ {
		at++
	}
	if bytes.HasPrefix(data[at:], []byte("endstream")) {
		return at + len("endstream"), true
	}
	return at, bytes.HasPrefix(data[at:], []byte("endobj"))
}

// trimEnd takes the line end off that stands in front of endstream.
func trimEnd(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '\n' {
		b = b[:n-1]
	}
	if n := len(b); n > 0 && b[n-1] == '\r' {
		b = b[:n-1]
	}
	return b
}

// lengths gives streams their full length where it is in an object that comes later.
func (f *file) lengths() {
	for _, o := range f.objects {
		if !o.stream {
			continue
		}
		r, ok := o.dict().get("Length").(ref)
		if !ok {
			continue
		}
		n, ok := f.resolve(r).(int64)
		if !ok || int(n) == len(o.packed) {
			continue
		}
		if _, ok := f.closed(f.data, o.from, n); ok {
			o.packed = f.data[o.from : o.from+int(n)]
		}
	}
}
