package office

import (
	"bytes"
	"strings"

	"assay/scan"
	"assay/scan/container"
	"assay/scan/document/rtf"
	"assay/scan/document/sheet"
)

// A capture is what text is collected for.
type capture int

const (
	nothing    capture = iota
	fieldCode          // the code of a field of Word
	fieldText          // text that may stand between codes
	formula            // of a cell or a name
	octets             // base64
	macroCode          // Basic in a flat document
	connection         // the text of a connection for mail merge
)

// maxCapture bounds what is collected, base64 apart.
const maxCapture = 64 << 10

// An inspector looks through one part. What elements mean is told by their names without namespaces, whatever part they stand
// in: Office finds its parts by relationships, which may lead anywhere.
type inspector struct {
	doc    *document
	part   part
	fields rtf.Fields
	take   capture
	depth  int // of the element whose text is collected
	buffer []byte
	name   string // of what is collected: base64 with a name of its own
	kind   string // its type
}

// listening implements handler.
func (i *inspector) listening() bool { return i.take != nothing }

// text implements handler.
func (i *inspector) text(t []byte) {
	if i.take != octets {
		t = t[:min(len(t), maxCapture-min(maxCapture, len(i.buffer)))]
	}
	i.buffer = append(i.buffer, t...)
}

// collect begins to collect the text of an element.
func (i *inspector) collect(e element, what capture) {
	if i.take == nothing {
		i.take, i.depth, i.buffer = what, e.depth, i.buffer[:0]
	}
}

// end implements handler.
func (i *inspector) end(name []byte, depth int) {
	if string(name) == "fldSimple" {
		i.fields.End()
	}
	if i.take == nothing || depth != i.depth {
		return
	}
	what := i.take
	i.take = nothing
	switch what {
	case fieldCode:
		i.fields.Code(string(i.buffer))
	case fieldText:
		i.fields.Text(string(i.buffer))
	case formula:
		i.formula(string(i.buffer))
	case octets:
		i.octets()
	case macroCode:
		if len(bytes.TrimSpace(i.buffer)) > 0 {
			i.doc.sign(scan.Macros, "Basic in the document")
		}
	case connection:
		i.doc.sign(scan.RemoteObject, "data for mail merge")
	}
}

// close ends what is open.
func (i *inspector) close() {
	i.fields.Close()
	for _, s := range i.fields.Signs {
		i.doc.sign(s.Trait, s.Detail)
	}
	for _, l := range i.fields.Links {
		i.doc.link(l.URL, l.Source)
	}
}

// formula judges a formula. Macro functions matter only in macro sheets, which are found as such.
func (i *inspector) formula(text string) {
	if strings.IndexByte(text, '|') < 0 && strings.IndexByte(text, '(') < 0 {
		return
	}
	f := sheet.ReadFormula(text)
	for _, s := range f.Signs {
		if s.Trait != scan.XLMMacros {
			i.doc.sign(s.Trait, s.Detail)
		}
	}
	for _, l := range f.Links {
		i.doc.link(l.URL, l.Source)
	}
}

// octets decodes base64 and passes it on.
func (i *inspector) octets() {
	content := decodeBase64(i.buffer)
	i.buffer = nil
	if len(content) == 0 {
		return
	}
	name := i.name
	if name == "" {
		name = i.kind
	}
	if plain, ok := activeMime(content, i.doc.budget); ok {
		if strings.Contains(strings.ToLower(name), "editdata") {
			i.doc.sign(scan.Macros, clip(name))
		} else {
			i.doc.sign(scan.EmbeddedObject, clip(name))
		}
		i.doc.made(container.Member{Name: name, Content: plain})
		return
	}
	if inner, ok := mashup(content); ok && name == "DataMashup" {
		i.doc.made(container.Member{Name: "DataMashup.zip", Content: inner})
		return
	}
	if i.part.name == flatName {
		if err := i.doc.budget.Member(); err != nil {
			i.doc.failPart(name, err)
			return
		}
		if err := i.doc.budget.Spend(int64(len(content))); err != nil {
			i.doc.failPart(name, err)
			return
		}
		i.doc.part(part{name: partName(name), shown: strings.TrimPrefix(name, "/"), kind: i.kind, content: content})
		return
	}
	i.doc.made(container.Member{Name: name, Declared: i.kind, Content: content})
}

// start implements handler.
func (i *inspector) start(e element) {
	switch string(e.name) {
	case "instrText", "delInstrText", "fldChar", "fldSimple", "t", "delText":
		i.word(e)
	case "Relationship":
		i.relationship(e)
	case "Default", "Override":
		i.doc.types.set(e)
	case "f", "definedName", "oldFormula", "formula", "formula1", "formula2":
		i.collect(e, formula)
	case "ddeLink", "oleLink", "connection", "dbPr", "webPr", "olapPr", "textPr", "Cell", "NamedRange", "DataMashup":
		i.workbook(e)
	case "hlinkClick", "hlinkHover", "hlinkMouseOver":
		i.action(e)
	case "webextension", "taskpane", "ocx", "control", "customUI", "altChunk", "macrosheet", "frame", "connectString", "OLEObject":
		i.active(e)
	case "imagedata", "fill", "stroke", "shape":
		i.vml(e)
	case "attachedTemplate", "hlink", "subDoc", "sourceFileName":
		i.word2003(e)
	case "part", "binaryData", "binary-data", "binData", "docOleData":
		i.flat(e)
	case "table-cell", "event-listener", "dde-source", "dde-connection-decl", "dde-link", "module", "source-code", "named-expression", "database-range":
		i.openDocument(e)
	case "file-entry", "algorithm", "start-key-generation", "key-derivation", "encryption-data", "EncryptionMethod", "CipherReference":
		i.encryption(e)
	default:
		i.address(e)
	}
}

// root judges a part by its root.
func (i *inspector) root(r info) {
	switch {
	case r.root == "macrosheet":
		i.doc.sign(scan.XLMMacros, clip(i.part.shown))
	case r.root == "module" && strings.Contains(r.attrs, "openoffice.org/2000/script"):
		i.doc.sign(scan.Macros, clip(i.part.shown))
	}
}

// word reads the fields of a text.
func (i *inspector) word(e element) {
	switch string(e.name) {
	case "instrText", "delInstrText":
		i.collect(e, fieldCode)
	case "t", "delText":
		if i.fields.Inside() {
			i.collect(e, fieldText)
		}
	case "fldSimple":
		i.fields.Begin()
		i.fields.Code(e.attr("instr"))
		i.fields.Separate()
	case "fldChar":
		switch strings.ToLower(e.attr("fldCharType")) {
		case "begin":
			i.fields.Begin()
		case "separate":
			i.fields.Separate()
		case "end":
			i.fields.End()
		}
	}
}

// word2003 looks at elements that in the XML of Word 2003 hold an address. In Office Open XML they hold the name of a relationship.
func (i *inspector) word2003(e element) {
	switch string(e.name) {
	case "attachedTemplate":
		if address := e.attr("val"); rtf.Remote(address) {
			i.doc.sign(scan.RemoteTemplate, clip(address))
			i.doc.link(address, scan.FromRemote)
		}
	case "hlink":
		if address := e.attr("dest"); address != "" {
			i.doc.link(address, scan.FromAnchor)
			if rtf.Protocol(address) {
				i.doc.sign(scan.RemoteObject, "link to "+clip(address))
			}
		}
	default:
		i.remote(string(e.name), e.attr("val"))
		i.remote(string(e.name), e.attr("link"))
	}
}

// workbook looks at what workbooks refer to.
func (i *inspector) workbook(e element) {
	switch string(e.name) {
	case "ddeLink": // ECMA-376 Part 1 Section 18.14.4
		i.doc.sign(scan.DDE, clip(e.attr("ddeService")+"|"+e.attr("ddeTopic")))
	case "oleLink", "OLEObject":
		i.doc.sign(scan.RemoteObject, "an object linked into a workbook")
	case "dbPr": // Section 18.13.3; the model of a workbook is inside of it
		if s := e.attr("connection"); !strings.Contains(s, "Data Model Connection") && s != "" {
			i.doc.sign(scan.RemoteObject, "a data connection: "+clip(withoutSecret(s)))
		}
	case "olapPr":
		if e.attr("localConnection") != "" {
			i.doc.sign(scan.RemoteObject, "a data connection")
		}
	case "webPr": // Section 18.13.13
		if address := e.attr("url"); address != "" {
			i.doc.sign(scan.RemoteObject, "a web query: "+clip(address))
			i.doc.link(address, scan.FromRemote)
		}
	case "textPr":
		i.remote("a text that is imported", e.attr("sourceFile"))
	case "connection":
		i.remote("a data connection", e.attr("odcFile"))
	case "Cell", "NamedRange": // SpreadsheetML of Excel 2003
		i.formula(e.attr("Formula"))
		i.formula(e.attr("RefersTo"))
		if address := e.attr("HRef"); address != "" {
			i.doc.link(address, scan.FromAnchor)
		}
	case "DataMashup":
		i.doc.sign(scan.RemoteObject, "a data connection of Power Query")
		i.name, i.kind = "DataMashup", ""
		i.collect(e, octets)
	}
}

// withoutSecret cuts the text of a connection off where a password may follow.
func withoutSecret(s string) string {
	lower := strings.ToLower(s)
	for _, word := range []string{"password", "pwd"} {
		if at := strings.Index(lower, word); at >= 0 {
			s, lower = s[:at], lower[:at]
		}
	}
	return s
}

// remote takes note of an address if what is there is loaded from another machine.
func (i *inspector) remote(what, address string) {
	if rtf.Remote(address) {
		i.doc.sign(scan.RemoteObject, what+": "+clip(address))
		i.doc.link(address, scan.FromRemote)
	}
}

// action looks at what a click or the pointer does in PowerPoint (ECMA-376 Part 1 Section 21.1.2.3.5).
func (i *inspector) action(e element) {
	action := strings.ToLower(e.attr("action"))
	rest, ok := strings.CutPrefix(action, "ppaction://")
	if ok && (strings.HasPrefix(rest, "program") || strings.HasPrefix(rest, "macro") || strings.HasPrefix(rest, "ole")) {
		i.doc.sign(scan.Launch, clip(action))
	}
}

// active looks at elements that are active by themselves.
func (i *inspector) active(e element) {
	switch string(e.name) {
	case "webextension", "taskpane":
		i.doc.sign(scan.RemoteObject, "a web extension")
	case "ocx":
		i.doc.sign(scan.ActiveX, clip(i.part.shown))
	case "control":
		if e.attr("shapeid") != "" || e.attr("spid") != "" { // of texts and slides; in workbooks form controls are written so, too
			i.doc.sign(scan.ActiveX, "a control")
		}
	case "customUI":
		i.ribbon(e)
	case "altChunk":
		i.doc.sign(scan.EmbeddedObject, "an imported part (altChunk)")
	case "OLEObject":
		i.oleObject(e)
	case "frame":
		i.vml(e)
	case "connectString":
		i.collect(e, connection)
	}
}

// ribbon looks at what a ribbon calls when it is loaded ([MS-CUSTOMUI] Section 2.2.1): a macro of the document, or, with a path
// in front of "!", one of a document elsewhere, which is opened for it.
func (i *inspector) ribbon(e element) {
	for _, name := range []string{"onLoad", "loadImage"} {
		call := e.attr(name)
		file, _, found := strings.Cut(call, "!")
		switch {
		case found && strings.ContainsAny(file, `/\:`):
			i.doc.sign(scan.RemoteTemplate, "the ribbon calls "+clip(call))
		case call != "":
			i.doc.callback = true
		}
	}
}

// oleObject looks at an object in a text (ECMA-376 Part 4 Section 19.3.3.19): linked ones name the kind.
func (i *inspector) oleObject(e element) {
	if strings.EqualFold(e.attr("Type"), "Link") {
		i.doc.sign(scan.RemoteObject, "a linked object")
	}
}

// vml looks at the addresses in drawings.
func (i *inspector) vml(e element) {
	i.remote("a picture", e.attr("src"))
	i.remote("a picture", e.attr("althref"))
	if address := e.attr("href"); address != "" {
		if rtf.Remote(address) && string(e.name) == "imagedata" {
			i.remote("a picture", address)
			return
		}
		i.address(e)
	}
}

// flat takes what a document in one file has as base64.
func (i *inspector) flat(e element) {
	switch string(e.name) {
	case "part": // of a package in one file ([MS-OFFXML] pkg:part)
		if name := e.attr("name"); name != "" && i.part.name == flatName {
			i.name, i.kind = name, e.attr("contentType")
			i.doc.add(partName(name))
			i.doc.flatPart(part{name: partName(name), shown: name, kind: i.kind})
		}
	case "binData":
		i.name, i.kind = e.attr("name"), ""
		i.collect(e, octets)
	case "docOleData":
		i.doc.sign(scan.EmbeddedObject, "an object")
	default:
		if string(e.name) == "binary-data" {
			i.name, i.kind = "", ""
		}
		i.collect(e, octets)
	}
}
