// Package office reads documents that are XML inside: Office Open XML (ECMA-376), OpenDocument (OASIS ODF 1.4) and EPUB 3, as ZIP
// files or in one flat XML file, and the XML formats of Word and Excel 2003. It finds what acts when such a document is opened,
// follows nothing, and yields whatever is not XML of the document itself: pictures, fonts, objects, macros, pages.
package office

import (
	"bytes"
	"errors"
	"strings"

	"assay/scan"
	"assay/scan/archive/zip"
	"assay/scan/container"
)

// Reader reads documents that are XML inside. Of a document in a ZIP file it yields all that the ZIP file holds and that it
// has not looked through itself, also what belongs to no document.
type Reader struct{}

// Reads implements container.Reader.
func (Reader) Reads(f *container.File) bool {
	if isFlat(f.Content) || mediaType(f) != "" {
		return true
	}
	if !isZIP(f.Content) {
		return false
	}
	members, _ := zip.Members(f)
	return formOf(members) != none
}

// isZIP reports whether programs would take a content for a ZIP file: because it begins like one, or because it ends with the
// directory of one, whatever is in front (APPNOTE.TXT Section 4.3.16). Other documents have ZIP files inside.
func isZIP(content []byte) bool {
	switch {
	case bytes.HasPrefix(content, []byte("PK")):
		return bytes.Contains(content, []byte("PK\x03\x04"))
	case bytes.HasPrefix(content, []byte(cfb)):
		return false
	}
	const size = 22 // of the end of the directory
	tail := content[max(0, len(content)-size-1<<16):]
	if !bytes.Contains(tail, []byte("PK\x05\x06")) { // many times faster than to look from the end
		return false
	}
	tail = tail[bytes.LastIndex(tail, []byte("PK\x05\x06")):]
	return len(tail) >= size && len(tail) == size+int(tail[20])+int(tail[21])<<8
}

// Read implements container.Reader.
func (Reader) Read(f *container.File, yield func(container.Member) bool) container.Verdict {
	if kind := mediaType(f); kind != "" {
		return container.Verdict{State: scan.Inspected, Type: kind}
	}
	d := &document{file: f, budget: f.Budget, give: yield, parts: map[string]bool{}, seen: map[string]bool{}}
	switch {
	case !isFlat(f.Content):
		d.zip()
	case zip.Reader{}.Reads(f): // an archive behind it
		d.archive(zip.Reader{}.Read(f, d.member))
		fallthrough
	default:
		d.flat()
	}
	return d.verdict()
}

// A form is a family of documents. A file may look like more than one.
type form int

const (
	none    form = 0
	openXML form = 1 << iota
	openDocument
	epub
	iWork // with a password; without one there is nothing here to tell it by
)

// formOf tells which documents a ZIP file could be by the names of its members.
func formOf(members []*zip.Member) form {
	out := none
	for _, m := range members {
		switch partName(m.Name) {
		case "[content_types].xml", "_rels/.rels":
			out |= openXML
		case "meta-inf/manifest.xml", "encrypted-package":
			out |= openDocument
		case "mimetype":
			out |= openDocument | epub
		case "meta-inf/container.xml", "meta-inf/encryption.xml":
			out |= epub
		case ".iwpv2": // what checks the password
			out |= iWork
		}
	}
	return out
}

// partName returns the name under which parts are compared (ECMA-376 Part 2 Section 6.2.2): without regard to case, with "/" between
// folders and percent-encoding undone, and without a slash in front.
func partName(name string) string {
	name = strings.ToLower(strings.ReplaceAll(name, `\`, "/"))
	if strings.IndexByte(name, '%') >= 0 {
		name = percentDecoded(name)
	}
	for strings.HasPrefix(name, "/") || strings.HasPrefix(name, "./") {
		name = strings.TrimLeft(strings.TrimPrefix(name, "./"), "/")
	}
	return name
}

// percentDecoded undoes percent-encoding (RFC 3986 Section 2.1); what is none stays.
func percentDecoded(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, lo := strings.IndexByte(hexDigits, s[i+1]), strings.IndexByte(hexDigits, s[i+2])
			if hi >= 0 && lo >= 0 {
				out = append(out, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return strings.ToLower(string(out))
}

const hexDigits = "0123456789abcdef"

// A document is one document that is being read.
type document struct {
	file    *container.File
	budget  *container.Budget
	give    func(container.Member) bool
	stopped bool

	form       form
	parts      map[string]bool // names of the parts that exist
	types      contentTypes
	promised   []promise // parts that something refers to as macros
	callback   bool      // a ribbon calls a macro when it is loaded
	locked     map[string]string
	crypt      map[string]*encryption // of OpenDocument, by the name of the part
	seen       map[string]bool        // names of parts that were read
	ahead      bool                   // only to learn what says how to read the rest
	obfuscated map[string]bool        // fonts that are not encrypted for good, but cannot be told as fonts
	encrypted  bool
	opened     bool   // something that was encrypted has been decrypted
	shut       bool   // something that is encrypted has not
	password   string // that has opened a part
	hopeless   bool   // no password has opened the first part that is encrypted
	work       int    // turns of key derivations that were made
	method     string
	wrong      string // why it is not inspected in full; the first reason

	signs []container.Sign
	links []container.Link
}

// A promise is a part that something calls macros.
type promise struct {
	name   string
	trait  scan.Trait
	detail string
}

// maxNotes bounds how many Signs of a Trait are told apart, and maxLinks the links of a document.
const (
	maxNotes = 8
	maxLinks = 2000
)

// sign adds a Sign; of many for a Trait, only those that come first are told apart.
func (d *document) sign(trait scan.Trait, detail string) {
	same := 0
	for i := range d.signs {
		if d.signs[i].Trait != trait {
			continue
		}
		if same++; d.signs[i].Detail == detail || same >= maxNotes {
			d.signs[i].Count++
			return
		}
	}
	d.signs = append(d.signs, container.Sign{Trait: trait, Detail: detail, Count: 1})
}

// has reports whether there is a Sign for a Trait.
func (d *document) has(trait scan.Trait) bool {
	for i := range d.signs {
		if d.signs[i].Trait == trait {
			return true
		}
	}
	return false
}

// link adds a Link.
func (d *document) link(address string, source scan.Source) {
	if len(d.links) < maxLinks && address != "" {
		d.links = append(d.links, container.Link{URL: address[:min(len(address), 4096)], Source: source})
	}
}

// fail remembers why the document is not inspected in full.
func (d *document) fail(why string) {
	if d.wrong == "" {
		d.wrong = why
	}
}

// failPart remembers what is wrong with a part.
func (d *document) failPart(name string, err error) {
	if errors.Is(err, container.ErrLimit) {
		d.fail(err.Error())
		return
	}
	d.fail("the part " + clip(name) + " " + err.Error())
}

// yield passes a Member on. What it holds is spent already, unless it was made here.
func (d *document) yield(m container.Member) {
	if !d.stopped && !d.ahead && !d.give(m) {
		d.stopped = true
		d.fail("not read to the end")
	}
}

// made counts and yields a Member whose content was decoded here.
func (d *document) made(m container.Member) {
	err := d.budget.Member()
	if err == nil {
		err = d.budget.Spend(int64(len(m.Content)))
	}
	if err != nil {
		d.fail(err.Error())
		d.stopped = true
		return
	}
	d.yield(m)
}

// verdict sums up.
func (d *document) verdict() container.Verdict {
	for _, p := range d.promised {
		if d.exists(p.name) && !d.has(p.trait) {
			d.sign(p.trait, p.detail)
		}
	}
	if d.callback && d.has(scan.Macros) {
		d.sign(scan.Macros, "the ribbon calls a macro when it is loaded")
	}
	v := container.Verdict{State: scan.Inspected, Signs: d.signs, Links: d.links}
	if d.encrypted {
		v.Class, v.Method = scan.ClassDocument, d.method
	}
	switch {
	case d.encrypted && (d.shut || !d.opened):
		v.State = scan.Encrypted
	case d.wrong != "":
		v.State, v.Method = scan.Uninspectable, d.wrong
	case d.encrypted:
		v.Signs = append(v.Signs, container.Sign{Trait: scan.OpenedPassword, Detail: "the document"})
	}
	return v
}

// exists reports whether there is a part of that name, or else one whose name ends like it: a target that is resolved from another
// place than thought.
func (d *document) exists(name string) bool {
	name = partName(name)
	if d.parts[name] {
		return true
	}
	tail := name[strings.LastIndexByte(name, '/')+1:]
	return tail != "" && d.parts["*/"+tail]
}

// add takes note of a part that exists.
func (d *document) add(name string) {
	d.parts[name] = true
	d.parts["*/"+name[strings.LastIndexByte(name, '/')+1:]] = true
}
