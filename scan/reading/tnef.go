package reading

import (
	"encoding/binary"
	"strings"
	"unicode/utf16"

	"golang.org/x/text/encoding/charmap"
)

// tnefMark are the first octets of TNEF (MS-OXTNEF Section 2.1.3.2).
const tnefMark = "\x78\x9f\x3e\x22"

// Attributes of TNEF that carry content (MS-OXTNEF Section 2.1.3.3).
const (
	attBody             = 0x0002800c
	attMAPIProps        = 0x00069003
	attAttachRendData   = 0x00069002 // begins an attachment
	attAttachTitle      = 0x00018010
	attAttachTransport  = 0x00069001 // another name
	attAttachData       = 0x0006800f
	attAttachment       = 0x00069005 // MAPI properties of the attachment
	maxTNEFAttachments  = 1000
	maxMAPIProperties   = 2000
	objectInterfaceSize = 16 // GUID in front of an embedded object
)

// MAPI properties that carry content (MS-OXPROPS).
const (
	propAttachData         = 0x3701
	propAttachFilename     = 0x3704
	propAttachLongFilename = 0x3707
	propDisplayName        = 0x3001
	propBody               = 0x1000
	propRTF                = 0x1009
	propHTML               = 0x1013
)

// A tnefReader collects what a TNEF stream holds.
type tnefReader struct {
	files   []container // bodies and attachments, in their order
	current int         // index of the open attachment, -1 if there is none
	damaged bool
}

// openTNEF returns bodies and attachments of a TNEF stream. Attributes that are cut off count as far as they are there.
func openTNEF(data []byte, limit int64) []container {
	r := tnefReader{current: -1}
	rest := data[min(len(data), len(tnefMark)+2):] // mark and key
	for len(rest) >= 9 && len(r.files) < maxTNEFAttachments {
		id := binary.LittleEndian.Uint32(rest[1:])
		size := int64(binary.LittleEndian.Uint32(rest[5:]))
		rest = rest[9:]
		value := rest[:min(size, int64(len(rest)))]
		rest = rest[len(value):]
		if int64(len(value)) < size || len(rest) < 2 || checksum(value) != binary.LittleEndian.Uint16(rest) {
			r.damaged = true
		}
		rest = rest[min(2, len(rest)):]
		r.attribute(id, value, limit)
	}
	r.damaged = r.damaged || len(rest) > 0
	var files []container
	for _, f := range r.files {
		if len(f.content) > 0 {
			f.damaged = f.damaged || r.damaged
			files = append(files, f)
		}
	}
	return files
}

// checksum is that of an attribute: the sum of its octets.
func checksum(value []byte) (sum uint16) {
	for _, b := range value {
		sum += uint16(b)
	}
	return sum
}

func (r *tnefReader) attribute(id uint32, value []byte, limit int64) {
	switch id {
	case attBody:
		r.add("", value)
	case attMAPIProps:
		r.properties(value, limit, false)
	case attAttachRendData:
		r.current = len(r.files)
		r.files = append(r.files, container{how: TNEF})
	case attAttachTitle:
		r.name(fromWindows(value), false)
	case attAttachTransport:
		r.name(fromWindows(value), false)
	case attAttachData:
		r.attachment().content = value
	case attAttachment:
		r.properties(value, limit, true)
	}
}

// add adds a file of its own.
func (r *tnefReader) add(name string, content []byte) {
	r.files = append(r.files, container{how: TNEF, name: name, content: content})
}

// attachment returns the open attachment. One that nothing has begun is one all the same.
func (r *tnefReader) attachment() *container {
	if r.current < 0 {
		r.current = len(r.files)
		r.files = append(r.files, container{how: TNEF})
	}
	return &r.files[r.current]
}

// name names the open attachment. The long name counts, else the first one.
func (r *tnefReader) name(name string, long bool) {
	if a := r.attachment(); name != "" && (long || a.name == "") {
		a.name = name
	}
}

// properties reads the MAPI properties of an attachment or of the message (MS-OXTNEF Section 2.1.3.4).
func (r *tnefReader) properties(data []byte, limit int64, ofAttachment bool) {
	p := propertyReader{data: data}
	for range min(p.uint32(), maxMAPIProperties) {
		id, value := p.property()
		if p.failed {
			r.damaged = true
			return
		}
		switch {
		case ofAttachment && (id == propAttachLongFilename || id == propAttachFilename || id == propDisplayName):
			r.name(p.text(value), id == propAttachLongFilename)
		case ofAttachment && id == propAttachData:
			if p.kind == typeObject && len(value) > objectInterfaceSize {
				value = value[objectInterfaceSize:]
			}
			if a := r.attachment(); len(a.content) == 0 {
				a.content = value
			} else {
				r.add(a.name, value)
			}
		case !ofAttachment && id == propHTML:
			r.add("body.html", value)
		case !ofAttachment && id == propBody:
			r.add("body.txt", []byte(p.text(value)))
		case !ofAttachment && id == propRTF:
			r.add("body.rtf", unpackRTF(value, limit))
		}
	}
}

// Types of MAPI properties (MS-OXCDATA Section 2.11.1).
const (
	typeObject    = 0x0d
	typeString8   = 0x1e
	typeUnicode   = 0x1f
	typeBinary    = 0x102
	multipleFlag  = 0x1000
	firstNamedTag = 0x8000
)

// A propertyReader reads a list of properties. After a failure everything it returns is empty.
type propertyReader struct {
	data   []byte
	kind   uint16 // type of the property that was read last
	failed bool
}

// take returns the next n octets.
func (p *propertyReader) take(n int64) []byte {
	if p.failed || n > int64(len(p.data)) {
		p.failed, p.data = true, nil
		return nil
	}
	value := p.data[:n:n]
	p.data = p.data[n:]
	return value
}

func (p *propertyReader) uint32() uint32 {
	if b := p.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// padded returns the next n octets, and skips what fills them up to four.
func (p *propertyReader) padded(n int64) []byte {
	value := p.take(n)
	p.take(min(-n&3, int64(len(p.data))))
	return value
}

// property reads one property; of one with several values it returns the first.
func (p *propertyReader) property() (id uint16, value []byte) {
	tag := p.uint32()
	p.kind, id = uint16(tag), uint16(tag>>16)
	if id >= firstNamedTag {
		p.take(objectInterfaceSize)
		if kind := p.uint32(); kind == 0 {
			p.take(4)
		} else {
			p.padded(int64(p.uint32()))
		}
	}
	count := uint32(1)
	variable := false
	switch p.kind &^ multipleFlag {
	case typeObject, typeString8, typeUnicode, typeBinary:
		variable = true
	}
	if variable || p.kind&multipleFlag != 0 {
		count = p.uint32()
	}
	for i := range count {
		size := fixedSize(p.kind &^ multipleFlag)
		if variable {
			size = int64(p.uint32())
		}
		v := p.padded(size)
		if i == 0 {
			value = v
		}
		if p.failed || !variable && size == 0 {
			break
		}
	}
	return id, value
}

// fixedSize returns the octets of a property whose type has always as many.
func fixedSize(kind uint16) int64 {
	switch kind {
	case 0x05, 0x06, 0x07, 0x14, 0x40:
		return 8
	case 0x48:
		return 16
	case 0x01:
		return 0
	}
	return 4
}

// text decodes the text of the property that was read last.
func (p *propertyReader) text(value []byte) string {
	if p.kind&^multipleFlag != typeUnicode {
		return fromWindows(value)
	}
	units := make([]uint16, len(value)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(value[2*i:])
	}
	return strings.TrimRight(string(utf16.Decode(units)), "\x00")
}

// fromWindows decodes text in the code page of Western Windows, up to its NUL. TNEF names its code page in an attribute
// that many writers get wrong; names in another one keep their ASCII.
func fromWindows(value []byte) string {
	text, err := charmap.Windows1252.NewDecoder().Bytes(value)
	if err != nil {
		text = value
	}
	before, _, _ := strings.Cut(string(text), "\x00")
	return strings.ToValidUTF8(before, "\uFFFD")
}
