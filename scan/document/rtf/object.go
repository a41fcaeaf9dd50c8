package rtf

import (
	"bytes"
	"encoding/binary"
	"strings"

	"assay/scan"
	"assay/scan/container"
)

// Entries of hexData: a digit, or a mark for what stood between digits.
const (
	foreignDigit = 0x40 // added to a digit of a destination inside of the data
	markOpen     = 0x80 // a group began
	markClose    = 0x81
	markEscape   = 0x82 // something that was no digit: \'hh, \{
)

// hexData are the digits of an object. Programs differ about what they do with groups and escapes between the digits, which is what
// obfuscation lives on, so that all is kept.
type hexData struct {
	entries []byte
	marks   byte // kinds of marks in it: bits
}

const (
	hasGroups = 1 << iota
	hasForeign
	hasEscapes
)

// digits appends text; Word skips what is no digit.
func (h *hexData) digits(text []byte, foreign byte) {
	if foreign != 0 {
		h.marks |= hasForeign
	}
	for _, c := range text {
		if d := hexValue(c); d >= 0 {
			h.entries = append(h.entries, byte(d)|foreign)
		}
	}
}

// octets appends binary data.
func (h *hexData) octets(data []byte) {
	for _, c := range data {
		h.entries = append(h.entries, c>>4, c&15)
	}
}

// mark appends a mark.
func (h *hexData) mark(m byte) {
	if m == markEscape {
		h.marks |= hasEscapes
	} else {
		h.marks |= hasGroups
	}
	h.entries = append(h.entries, m)
}

// A way is a way to read the digits.
type way struct {
	groups, foreign bool // read digits in groups, in destinations inside
	reset           bool // a mark throws half an octet away
	shift           bool // leave out the first digit
}

// ways returns the ways to read the digits that may differ, the likeliest first.
func (h *hexData) ways() []way {
	out := []way{{groups: true}}
	if h.marks&hasGroups != 0 {
		out = append(out, way{})
	}
	if h.marks&hasForeign != 0 {
		out = append(out, way{groups: true, foreign: true})
	}
	if h.marks != 0 {
		out = append(out, way{groups: true, reset: true})
	}
	return append(out, way{groups: true, shift: true})
}

// decode reads the digits in one way.
func (h *hexData) decode(w way) []byte {
	out := make([]byte, 0, len(h.entries)/2)
	half, have, depth := byte(0), false, 0
	skip := w.shift
	for _, e := range h.entries {
		switch {
		case e >= 0x80:
			switch e {
			case markOpen:
				depth++
			case markClose:
				depth--
			}
			if w.reset {
				have = false
			}
			continue
		case e&foreignDigit != 0 && !w.foreign, depth > 0 && !w.groups:
			continue
		case skip:
			skip = false
			continue
		}
		if !have {
			half, have = e&15, true
			continue
		}
		out = append(out, half<<4|e&15)
		have = false
	}
	return out
}

// cfb is the mark of compound files ([MS-CFB] Section 2.2).
const cfb = "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

// collected takes what a destination held.
func (r *reader) collected(g group) error {
	switch g.to {
	case objData:
		return r.objectData(g.hex)
	case picture, blob:
		data := g.hex.decode(way{groups: true})
		if len(data) == 0 {
			return nil
		}
		return r.give(container.Member{Name: nameOf(g.to), Content: withBitmapHead(data)})
	case template:
		r.templateName(strings.TrimSpace(string(r.text)))
	case class:
		r.class = strings.TrimSpace(string(r.text))
		r.text = r.text[:0]
	case source:
		if s := string(r.text); Remote(s) || strings.Contains(s, "://") {
			r.sign(scan.RemoteObject, "data for mail merge")
			r.links = append(r.links, container.Link{URL: s, Source: scan.FromRemote})
		}
	}
	return nil
}

// withBitmapHead puts the head of a file in front of a device-independent bitmap ([MS-WMF] Section 2.2.2.9), so that it can be told.
func withBitmapHead(data []byte) []byte {
	const head, info = 14, 40
	if len(data) < info || binary.LittleEndian.Uint32(data) != info {
		return data
	}
	out := append(make([]byte, 0, head+len(data)), "BM"...)
	out = binary.LittleEndian.AppendUint32(out, uint32(head+len(data)))
	out = binary.LittleEndian.AppendUint32(out, 0)
	out = binary.LittleEndian.AppendUint32(out, head+info)
	return append(out, data...)
}

// nameOf names what is yielded from a destination.
func nameOf(to destination) string {
	if to == picture {
		return "picture"
	}
	return "data"
}

// templateName looks at \template.
func (r *reader) templateName(name string) {
	if Remote(name) {
		r.sign(scan.RemoteTemplate, clip(name))
		r.links = append(r.links, container.Link{URL: name, Source: scan.FromRemote})
	}
}

// give counts and yields a Member.
func (r *reader) give(m container.Member) error {
	if err := r.budget.Member(); err != nil {
		return err
	}
	if err := r.budget.Spend(int64(len(m.Content))); err != nil {
		return err
	}
	if !r.yield(m) {
		r.stopped = true
	}
	return nil
}

// objectData yields an object, in every way to read it that leads to one.
func (r *reader) objectData(h *hexData) error {
	detail := "an object"
	if r.class != "" {
		detail += " of the class " + clip(r.class)
	}
	r.sign(scan.EmbeddedObject, detail)
	var seen [][]byte
	for i, w := range h.ways() {
		if err := r.budget.Spend(int64(len(h.entries) / 2)); err != nil {
			return err
		}
		data := h.decode(w)
		members, known := r.object1(data)
		if !known && (i > 0 || len(data) == 0) {
			continue
		}
		for _, m := range members {
			if r.stopped || isIn(seen, m.Content) {
				continue
			}
			seen = append(seen, m.Content)
			if err := r.give(m); err != nil {
				return err
			}
		}
	}
	return nil
}

// isIn reports whether a content is among those that were seen.
func isIn(seen [][]byte, content []byte) bool {
	for _, s := range seen {
		if bytes.Equal(s, content) {
			return true
		}
	}
	return false
}

// object1 reads an object in the form of OLE 1.0 ([MS-OLEDS] Section 2.2): what is to be looked at, and whether it is known what it
// is.
func (r *reader) object1(data []byte) (members []container.Member, known bool) {
	o := oleReader{rest: data}
	o.uint32() // version, which Word does not look at
	format := o.uint32()
	name := o.text()
	topic := o.text()
	o.text() // item
	if o.bad || format != 1 && format != 2 && format != 5 || name == "" {
		return carve(data)
	}
	if strings.EqualFold(name, "OLE2Link") {
		r.sign(scan.RemoteObject, "an object of the class OLE2Link")
	}
	if format == 1 { // [MS-OLEDS] Section 2.2.6: a linked object
		r.sign(scan.RemoteObject, "an object linked to "+clip(topic))
		r.links = append(r.links, container.Link{URL: topic, Source: scan.FromRemote})
		return carve(data)
	}
	size := o.uint32()
	native := o.rest[:min(int64(size), int64(len(o.rest)))]
	rest := o.rest[len(native):]
	if more, ok := carve(rest); ok {
		members = more
	}
	if strings.EqualFold(name, "Package") {
		if m, ok := packaged(native); ok {
			return append([]container.Member{m}, members...), true
		}
	}
	return append([]container.Member{{Name: clip(name), Content: native}}, members...), true
}

// carve looks for compound files in data of no known form. If there is none, the data themselves are what is to be looked at.
func carve(data []byte) (members []container.Member, known bool) {
	for at := 0; len(members) < 4; {
		i := bytes.Index(data[at:], []byte(cfb))
		if i < 0 {
			break
		}
		members = append(members, container.Member{Name: "object", Content: data[at+i:]})
		at += i + len(cfb)
	}
	if len(members) > 0 {
		return members, true
	}
	return []container.Member{{Name: "object", Content: data}}, false
}

// packaged reads what Object Packager wraps: a file with its name. The form is that of the stream Ole10Native.
func packaged(data []byte) (container.Member, bool) {
	o := oleReader{rest: data}
	o.skip(2)
	label := o.zero()
	path := o.zero()
	o.skip(4) // flags
	o.skip(int(min(o.uint32(), 4096)))
	size := o.uint32()
	if o.bad || int64(size) > int64(len(o.rest)) {
		return container.Member{}, false
	}
	name := label
	if name == "" {
		name = path
	}
	if i := strings.LastIndexAny(name, `\/`); i >= 0 {
		name = name[i+1:]
	}
	return container.Member{Name: clip(name), Content: o.rest[:size]}, true
}

// An oleReader reads fields from the front. Once there is too little, it is bad.
type oleReader struct {
	rest []byte
	bad  bool
}

// skip leaves octets out.
func (o *oleReader) skip(n int) {
	if n > len(o.rest) {
		o.bad, o.rest = true, nil
		return
	}
	o.rest = o.rest[n:]
}

// uint32 reads a number.
func (o *oleReader) uint32() uint32 {
	if len(o.rest) < 4 {
		o.bad = true
		return 0
	}
	v := binary.LittleEndian.Uint32(o.rest)
	o.rest = o.rest[4:]
	return v
}

// text reads a text with its length in front ([MS-OLEDS] Section 2.1.4).
func (o *oleReader) text() string {
	n := o.uint32()
	if o.bad || n > 4096 || int(n) > len(o.rest) {
		o.bad = true
		return ""
	}
	s := o.rest[:n]
	o.rest = o.rest[n:]
	return string(bytes.TrimRight(s, "\x00"))
}

// zero reads a text that ends with a zero.
func (o *oleReader) zero() string {
	i := bytes.IndexByte(o.rest, 0)
	if i < 0 {
		o.bad = true
		return ""
	}
	s := string(o.rest[:i])
	o.rest = o.rest[i+1:]
	return s
}
