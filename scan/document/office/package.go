package office

import (
	"bytes"
	"slices"
	"strings"

	"assay/scan"
	"assay/scan/archive/zip"
	"assay/scan/container"
)

// zip reads a document in a ZIP file. What says how to read the parts is looked at first, and again in its turn.
func (d *document) zip() {
	members, _ := zip.Members(d.file) // an error comes again
	d.form = formOf(members)
	if d.form&iWork != 0 {
		d.encrypted, d.shut, d.method = true, true, "iWork, password"
	}
	for _, m := range members {
		d.add(partName(m.Name))
	}
	d.ahead = true
	for _, m := range members {
		if name := partName(m.Name); isDirectory(name) && !m.Encrypted {
			if content, err := m.Open(d.budget); err == nil {
				d.part(part{name: name, shown: m.Name, content: content})
			}
		}
	}
	d.ahead = false
	d.archive(zip.Reader{}.Read(d.file, d.member))
}

// archive takes what is to be said about the ZIP file.
func (d *document) archive(v container.Verdict) {
	d.signs = append(d.signs, v.Signs...)
	switch v.State {
	case scan.Encrypted:
		d.lock("ZIP, "+v.Method, false)
		d.shut = true
	case scan.Inspected:
		if v.Class != "" {
			d.lock("ZIP, "+v.Method, true)
		}
	default:
		d.fail(v.Method)
	}
}

// member takes a member of the ZIP file.
func (d *document) member(m container.Member) bool {
	if m.State != "" {
		if m.State == scan.Encrypted {
			m.Class = scan.ClassDocument
		}
		d.yield(m)
		return !d.stopped
	}
	name := partName(m.Name)
	if d.seen[name] {
		d.sign(scan.Ambiguous, "several parts named "+clip(name))
	}
	d.seen[name] = true
	d.part(part{name: name, shown: m.Name, content: m.Content, signs: m.Signs})
	return !d.stopped
}

// isDirectory reports whether a part says what the others are.
func isDirectory(name string) bool {
	switch name {
	case "[content_types].xml", "meta-inf/manifest.xml", "meta-inf/encryption.xml", "mimetype":
		return true
	}
	return false
}

// lock says that something is encrypted, and whether it was opened.
func (d *document) lock(method string, opened bool) {
	if d.method == "" {
		d.method = method
	}
	d.encrypted = true
	d.opened = d.opened || opened
}

// A part is one part of a document.
type part struct {
	name    string // as parts are compared
	shown   string // as it is written
	kind    string // content type, "" if it is not known
	content []byte
	signs   []container.Sign
}

// part looks at one part, or yields it.
func (d *document) part(p part) {
	if p.kind == "" {
		p.kind = d.types.of(p.name)
	}
	if !d.sealed(p) {
		d.look(p)
	}
}

// look looks at a part that is not encrypted.
func (d *document) look(p part) {
	if len(p.content) == 0 {
		return
	}
	d.named(p)
	if p.name == "mimetype" && len(p.content) < 200 {
		return
	}
	switch {
	case looksXML(p.content):
		d.xml(p)
	case d.binary(p), d.obfuscated[p.name]:
	default:
		d.pass(p)
	}
}

// pass yields a part.
func (d *document) pass(p part) {
	d.yield(container.Member{Name: p.shown, Declared: p.kind, Content: p.content, Signs: p.signs})
}

// xml looks through a part in XML. A part with a root that no part of a document has, such as a page or a drawing in SVG, is
// yielded as well.
func (d *document) xml(p part) {
	text, err := decodeXML(p.content, d.budget)
	i := inspector{doc: d, part: p}
	var info info
	if err == nil {
		info, err = parse(text, strings.HasSuffix(p.name, ".vml"), d.budget, &i)
		i.close()
	}
	i.root(info)
	page := isPage(info.root)
	if err != nil && !page {
		d.failPart(p.shown, err)
	}
	if info.doctype && d.form&openXML != 0 && !page {
		d.sign(scan.Ambiguous, clip(p.shown)+" has a document type declaration") // ECMA-376 Part 2 Section 6.2.5
	}
	if err != nil || page || !isXMLName(p.name) || !isKnownSpace(info.attrs) {
		d.pass(p)
	}
}

// isPage reports whether XML with that root is judged by others.
func isPage(root string) bool {
	switch strings.ToLower(root) {
	case "html", "svg", "xhtml", "body":
		return true
	}
	return false
}

// looksXML reports whether a content begins as XML does, in any encoding.
func looksXML(content []byte) bool {
	head := content[:min(len(content), 64)]
	head = bytes.TrimLeft(head, "\xef\xbb\xbf\xff\xfe\x00 \t\r\n")
	return bytes.HasPrefix(head, []byte("<")) || bytes.HasPrefix(head, []byte("+ADw")) || bytes.HasPrefix(head, []byte("+/v"))
}

// isXMLName reports whether a part has a name that says XML of a document. By another name a person may open it with another
// program.
func isXMLName(name string) bool {
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return false
	}
	switch name[i+1:] {
	case "xml", "rels", "vml", "rdf", "opf", "ncx", "xlb", "xba", "xdl", "xlc":
		return true
	}
	return false
}

// isKnownSpace reports whether the attributes of a root name a namespace of the formats that are looked through.
func isKnownSpace(attrs string) bool {
	attrs = strings.ToLower(attrs)
	return slices.ContainsFunc([]string{
		"schemas.openxmlformats.org/", "purl.oclc.org/ooxml/", "schemas.microsoft.com/office/", "urn:schemas-microsoft-com:vml",
		"urn:oasis:names:tc:opendocument:", "openoffice.org/2000/", "openoffice.org/2001/", "openoffice.org/2004/", "www.idpf.org/2007/opf", "www.daisy.org/z3986/2005/ncx",
		"www.w3.org/1999/02/22-rdf-syntax-ns", "www.w3.org/2000/09/xmldsig", "schemas.microsoft.com/xps", "schemas.microsoft.com/visio",
	}, func(space string) bool { return strings.Contains(attrs, space) })
}

// cfb is the mark of compound files ([MS-CFB] Section 2.2).
const cfb = "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

// named judges a part by its name and content type.
func (d *document) named(p part) {
	kind := strings.ToLower(p.kind)
	folder, file := "/"+p.name[:strings.LastIndexByte(p.name, '/')+1], p.name[strings.LastIndexByte(p.name, '/')+1:]
	isCFB := bytes.HasPrefix(p.content, []byte(cfb))
	switch {
	case strings.HasSuffix(file, "vbaproject.bin"), !d.types.byDefault(p.name) && strings.Contains(kind, "vbaproject"),
		isCFB && bytes.Contains(p.content, []byte("_\x00V\x00B\x00A\x00_\x00P\x00R\x00O\x00J\x00E\x00C\x00T\x00")):
		d.sign(scan.Macros, clip(p.shown))
	case strings.Contains(folder, "/macrosheets/"), strings.Contains(kind, "macrosheet"):
		d.sign(scan.XLMMacros, clip(p.shown))
	case strings.Contains(folder, "/activex/"), strings.Contains(kind, "activex"):
		d.sign(scan.ActiveX, clip(p.shown))
	case strings.Contains(folder, "/embeddings/"), strings.Contains(kind, "oleobject"), isCFB:
		d.sign(scan.EmbeddedObject, clip(p.shown))
	case strings.HasPrefix(folder, "/scripts/") && d.form&openDocument != 0:
		d.sign(scan.Macros, clip(p.shown))
	}
}

// binary looks through what is not XML and is known: the records of a workbook in binary form ([MS-XLSB] Section 2.1.4).
func (d *document) binary(p part) bool {
	kind := strings.ToLower(p.kind)
	if !strings.HasPrefix(kind, "application/vnd.ms-excel.") && !strings.HasPrefix(p.name, "xl/") || !strings.HasSuffix(p.name, ".bin") {
		return false
	}
	if !isRecords(p.content) && !strings.Contains(p.name+kind, "externallink") {
		return false
	}
	r := recordReader{rest: p.content}
	for {
		kind, data, ok := r.next()
		if !ok || d.budget.Check() != nil {
			break
		}
		d.record(kind, data)
	}
	if len(r.rest) > 0 {
		d.fail("the part " + clip(p.shown) + " has damaged records")
	}
	return len(r.rest) == 0
}

// isRecords reports whether a content is made of records to its end.
func isRecords(content []byte) bool {
	r := recordReader{rest: content}
	for {
		if _, _, ok := r.next(); !ok {
			return len(r.rest) == 0
		}
	}
}

// record looks at a record of a workbook.
func (d *document) record(kind int, data []byte) {
	switch kind {
	case 360: // BrtBeginSupBook: [MS-XLSB] Section 2.4.267
		if len(data) >= 2 && data[0] == 1 && data[1] == 0 {
			service, rest := wideString(data[2:])
			topic, _ := wideString(rest)
			d.sign(scan.DDE, clip(service+"|"+topic))
		}
	case 201: // BrtBeginExtConnection: [MS-XLSB] Section 2.4.80
		if !bytes.Contains(data, wide("Data Model Connection")) {
			d.sign(scan.RemoteObject, "a data connection")
		}
	}
}

// wide returns ASCII in UTF-16.
func wide(s string) []byte {
	out := make([]byte, 0, 2*len(s))
	for i := range len(s) {
		out = append(out, s[i], 0)
	}
	return out
}

// wideString reads an XLWideString ([MS-XLSB] Section 2.5.169), as far as it is ASCII.
func wideString(data []byte) (s string, rest []byte) {
	if len(data) < 4 {
		return "", nil
	}
	n := int(data[0]) | int(data[1])<<8 | int(data[2])<<16 | int(data[3])<<24
	data = data[4:]
	if n < 0 || n > len(data)/2 {
		n = len(data) / 2
	}
	out := make([]byte, 0, min(n, 200))
	for i := 0; i < min(n, 200); i++ {
		if c := data[2*i]; data[2*i+1] == 0 && c >= ' ' && c < 0x7f {
			out = append(out, c)
		} else {
			out = append(out, '?')
		}
	}
	return string(out), data[2*n:]
}

// A recordReader reads records.
type recordReader struct{ rest []byte }

// next returns a record: a type of one or two octets, a length of up to four, and the data ([MS-XLSB] Section 2.1.4).
func (r *recordReader) next() (kind int, data []byte, ok bool) {
	rest := r.rest
	kind, rest, ok = sevenBits(rest, 2)
	if !ok {
		return 0, nil, false
	}
	size, rest, ok := sevenBits(rest, 4)
	if !ok || size > len(rest) {
		return 0, nil, false
	}
	r.rest = rest[size:]
	return kind, rest[:size], true
}

// sevenBits reads a number of up to n octets with seven bits each.
func sevenBits(data []byte, n int) (value int, rest []byte, ok bool) {
	for i := range min(n, len(data)) {
		value |= int(data[i]&0x7f) << (7 * i)
		if data[i]&0x80 == 0 {
			return value, data[i+1:], true
		}
	}
	return 0, nil, false
}

// contentTypes are those of [Content_Types].xml (ECMA-376 Part 2 Section 6.2.3).
type contentTypes struct {
	override  map[string]string // by the name of the part
	extension map[string]string
}

// of returns the content type of a part, "" if it is not known.
func (t *contentTypes) of(name string) string {
	if kind, ok := t.override[name]; ok {
		return kind
	}
	return t.extension[name[strings.LastIndexByte(name, '.')+1:]]
}

// byDefault reports whether a part has its content type from the extension alone. That "bin" is that of macros says
// nothing about a part.
func (t *contentTypes) byDefault(name string) bool {
	_, ok := t.override[name]
	return !ok
}

// set takes an element of [Content_Types].xml.
func (t *contentTypes) set(e element) {
	kind := e.attr("ContentType")
	if string(e.name) == "Override" {
		if t.override == nil {
			t.override = map[string]string{}
		}
		t.override[partName(e.attr("PartName"))] = kind
		return
	}
	if t.extension == nil {
		t.extension = map[string]string{}
	}
	t.extension[strings.ToLower(e.attr("Extension"))] = kind
}
