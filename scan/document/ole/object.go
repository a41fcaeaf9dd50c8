package ole

import (
	"bytes"
	"encoding/binary"
	"strings"

	"assay/scan"
	"assay/scan/container"
)

// Classes of objects that are known for what they do, as they lie in a file. The table is never written.
var classes = [...]struct {
	class, name string
	control     bool
}{
	{"\x02\xce\x02\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x46", "Equation Editor", false},
	{"\x03\xce\x02\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x46", "Equation Editor", false},
	{"\x0c\x00\x03\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x46", "package", false},
	{"\x00\x03\x00\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x46", "link", false},
	{"\x20\x69\x33\x25\xf9\x03\xcf\x11\x8f\xd0\x00\xaa\x00\x68\x6f\x13", "HTML document", false},
	{"\x6e\xdb\x7c\xd2\x6d\xae\xcf\x11\x96\xb8\x44\x45\x53\x54\x00\x00", "Flash", true},
	{"\xc3\x2a\xb2\xea\xc1\x30\xcf\x11\xa7\xeb\x00\x00\xc0\x5b\xae\x0b", "web browser", true},
}

// object looks for what makes a storage an embedded or linked object ([MS-OLEDS], [MS-DOC] 2.1.5).
func (r *reading) object(s *entry) error {
	native, nativeEntry, err := r.content(s, "\x01Ole10Native")
	if err != nil {
		return err
	}
	if err := r.linked(s); err != nil {
		return err
	}
	control := r.control(s)
	embedded := nativeEntry != nil || s.child("Package") != nil || s.child("Equation Native") != nil || r.inPool(s) || known(s) != ""
	if !embedded {
		return nil
	}
	if !control {
		r.sign(scan.EmbeddedObject, objectName(r.c, s))
	}
	if nativeEntry != nil {
		if err := r.native(s, native); err != nil {
			return err
		}
	}
	return r.contents(s)
}

// inPool reports whether a storage is where Word and Excel keep objects ([MS-DOC] 2.1.5, [MS-XLS] 2.1.7.10).
func (r *reading) inPool(s *entry) bool {
	if s.parent == nil || len(s.children) == 0 {
		return false
	}
	if strings.EqualFold(s.parent.name, "ObjectPool") {
		return true
	}
	prefix := strings.ToUpper(s.name[:min(3, len(s.name))])
	return (prefix == "MBD" || prefix == "LNK") && len(s.name) == 11
}

// known names a class of which the program is known, "" if it is not.
func known(s *entry) string {
	for i := range classes {
		if string(s.class[:]) == classes[i].class {
			return classes[i].name
		}
	}
	return ""
}

// control notes an ActiveX control ([MS-OFORMS] 2.1, [MS-DOC] 2.1.5).
func (r *reading) control(s *entry) bool {
	for i := range classes {
		if classes[i].control && string(s.class[:]) == classes[i].class {
			r.sign(scan.ActiveX, "control: "+classes[i].name)
			return true
		}
	}
	for _, name := range []string{"\x03OCXNAME", "\x03OCXDATA"} {
		if e := s.child(name); e != nil && e.kind == kindStream && e.size > 0 {
			r.sign(scan.ActiveX, "control: "+objectName(r.c, s))
			return true
		}
	}
	return false
}

// objectName says what an object is: by its class, or by what it calls itself ([MS-OLEDS] 2.3.8 CompObjStream).
func objectName(c *compound, s *entry) string {
	if name := known(s); name != "" {
		return name
	}
	const fixed = 28
	if b, err := c.stream(s.child("\x01CompObj")); err == nil && len(b) > fixed+4 {
		size := uint64(binary.LittleEndian.Uint32(b[fixed:]))
		if name := bytes.TrimRight(b[fixed+4:min(uint64(len(b)), fixed+4+size, fixed+4+200)], "\x00"); len(name) > 0 {
			return clip(latin(name), maxText)
		}
	}
	if s.kind == kindRoot {
		return "object"
	}
	return clip(s.path(), maxText)
}

// linked notes what an object is loaded from, if it is elsewhere ([MS-OLEDS] 2.3.3 OLEStream, [MS-DOC] 2.9.150).
func (r *reading) linked(s *entry) error {
	for _, name := range []string{"\x01Ole", "\x03LINK", "\x03LinkInfo", "LinkInfo"} {
		b, e, err := r.content(s, name)
		if err != nil {
			return err
		}
		if e == nil {
			continue
		}
		for _, place := range monikers(b) {
			if isRemote(place) {
				r.remote(scan.RemoteObject, "linked object", place)
			}
		}
	}
	return nil
}

// contents yields the streams of an object that hold a whole file: "Package" a document of Office 2007 and later, "CONTENTS"
// what other programs embed.
func (r *reading) contents(s *entry) error {
	for _, name := range []string{"Package", "CONTENTS", "EMBEDDED"} {
		e := s.child(name)
		if e == nil || e.kind != kindStream || r.done[e] {
			continue
		}
		b, _, err := r.content(s, name)
		if err != nil {
			return err
		}
		if len(b) == 0 || name != "Package" && !worthALook(b) {
			continue
		}
		if err := r.member(container.Member{Name: clip(e.path(), maxText), Content: b}); err != nil {
			return err
		}
	}
	return nil
}

// native reads what older programs embed: data behind their size, which the Packager fills with a file and its names
// ([MS-OLEDS] 2.3.6).
func (r *reading) native(s *entry, b []byte) error {
	if len(b) < 4 {
		return nil
	}
	b = b[4:]
	p, ok := parsePackage(b)
	if !ok {
		if !worthALook(b) {
			return nil
		}
		return r.member(container.Member{Name: clip(s.path(), maxText), Content: b})
	}
	if p.content == nil {
		r.sign(scan.EmbeddedObject, "link to "+clip(p.path, maxText))
		if isRemote(p.path) {
			r.remote(scan.RemoteObject, "linked file", p.path)
		}
		return nil
	}
	m := container.Member{Name: p.label, Content: p.content}
	if file := baseName(p.path); file != "" && !strings.EqualFold(extensionOf(file), extensionOf(p.label)) {
		m.Name = file
		if p.label != "" {
			m.Signs = append(m.Signs, container.Sign{Trait: scan.NamesDiffer, Detail: "shown as " + clip(p.label, maxText)})
		}
	}
	return r.member(m)
}

// A packaged file is one that the Packager has embedded, or linked when it has no content.
type packaged struct {
	label, path string
	content     []byte
}

// parsePackage reads what the Packager writes: a 2, label, path, what follows, the path of a temporary file, the file, and
// mostly all names again in UTF-16. No specification describes it.
func parsePackage(b []byte) (p packaged, ok bool) {
	const embedded = 3
	if len(b) < 2 || binary.LittleEndian.Uint16(b) != 2 {
		return p, false
	}
	b = b[2:]
	if p.label, b, ok = cutString(b); !ok {
		return p, false
	}
	if p.path, b, ok = cutString(b); !ok || len(b) < 4 {
		return p, false
	}
	kind := binary.LittleEndian.Uint16(b[2:])
	b = b[4:]
	if kind != embedded {
		return p, true
	}
	if _, b, ok = cutCounted(b, 1); !ok {
		return p, false
	}
	if p.content, b, ok = cutCounted(b, 1); !ok {
		return p, false
	}
	if p.content == nil {
		p.content = []byte{}
	}
	var wide [3][]byte // temporary path, label, path
	for i := range wide {
		if wide[i], b, ok = cutCounted(b, 2); !ok {
			return p, true
		}
	}
	if label := fromUTF16(wide[1]); label != "" {
		p.label = label
	}
	if path := fromUTF16(wide[2]); path != "" {
		p.path = path
	}
	return p, true
}

// cutString cuts off a text that ends in a zero.
func cutString(b []byte) (s string, rest []byte, ok bool) {
	const limit = 1024
	i := bytes.IndexByte(b[:min(len(b), limit)], 0)
	if i < 0 {
		return "", nil, false
	}
	return latin(b[:i]), b[i+1:], true
}

// cutCounted cuts off what stands behind its length in units of that many octets.
func cutCounted(b []byte, width uint64) (part, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	size := uint64(binary.LittleEndian.Uint32(b)) * width
	if size > uint64(len(b)-4) {
		return nil, nil, false
	}
	return b[4 : 4+size], b[4+size:], true
}

// baseName returns the last part of a path.
func baseName(path string) string { return path[strings.LastIndexAny(path, `\/`)+1:] }

// extensionOf returns what follows the last dot of a name, "" if nothing does.
func extensionOf(name string) string {
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return ""
	}
	return name[i+1:]
}
