package office

import (
	"bytes"
	"strings"

	"assay/scan"
	"assay/scan/document/rtf"
)

// openDocument looks at elements of OpenDocument (OASIS ODF 1.4 Part 3).
func (i *inspector) openDocument(e element) {
	switch string(e.name) {
	case "table-cell", "named-expression", "database-range":
		if bytes.Contains(e.attrs, []byte("formula")) || bytes.Contains(e.attrs, []byte("expression")) {
			i.formula(e.attr("formula"))
			i.formula(e.attr("expression"))
		}
	case "event-listener": // Section 10.3.19, and 9.10 for presentations
		i.listener(e)
	case "dde-source", "dde-connection-decl": // Sections 14.6.5 and 14.6.3
		i.doc.sign(scan.DDE, clip(e.attr("dde-application")+"|"+e.attr("dde-topic")))
	case "source-code":
		i.collect(e, macroCode)
	}
}

// listener looks at what an event does.
func (i *inspector) listener(e element) {
	address, action := e.attr("href"), strings.ToLower(e.attr("action"))
	switch {
	case action == "execute":
		i.doc.sign(scan.Launch, "an event starts "+clip(address))
	case isScript(address), e.attr("macro-name") != "", action == "macro":
		i.doc.sign(scan.Macros, "an event calls a macro")
	}
}

// isScript reports whether an address is that of a macro.
func isScript(address string) bool {
	address = strings.ToLower(strings.TrimLeft(address, " \t\r\n"))
	return strings.HasPrefix(address, "vnd.sun.star.script:") || strings.HasPrefix(address, "macro:") || strings.HasPrefix(address, "script:")
}

// address looks at an element that may refer to something by xlink:href (Section 19.920), or by r:href and its like.
func (i *inspector) address(e element) {
	if !bytes.Contains(e.attrs, []byte("href")) {
		return
	}
	address := strings.TrimSpace(e.attr("href"))
	if address == "" || strings.HasPrefix(address, "#") {
		return
	}
	if isScript(address) {
		i.doc.sign(scan.Macros, "a link calls a macro")
		return
	}
	switch string(e.name) {
	case "a", "hlinkClick", "area", "shape", "hyperlink":
		i.doc.link(address, scan.FromAnchor)
		if rtf.Protocol(address) {
			i.doc.sign(scan.RemoteObject, "link to "+clip(address))
		}
	case "template":
		if rtf.Remote(address) {
			i.doc.sign(scan.RemoteTemplate, clip(address))
			i.doc.link(address, scan.FromRemote)
		}
	case "section-source", "table-source", "cell-range-source", "object", "object-ole", "floating-frame", "plugin", "applet":
		i.source(e, address)
	case "form":
		if rtf.Remote(address) {
			i.doc.sign(scan.SubmitForm, clip(address))
		}
	case "connection-resource":
		if !strings.HasPrefix(strings.ToLower(address), "sdbc:embedded:") {
			i.doc.sign(scan.RemoteObject, "a data connection: "+clip(withoutSecret(address)))
		}
	case "item", "itemref", "link", "reference": // of EPUB
	default:
		if i.doc.form&openDocument != 0 || i.part.name == flatName {
			i.remote(clip(string(e.name)), address)
		}
	}
}

// source looks at an object, a section or a table that is in another file. What is in the package begins with no scheme.
func (i *inspector) source(e element, address string) {
	if rtf.Remote(address) || strings.HasPrefix(strings.ToLower(address), "file:") {
		i.doc.sign(scan.RemoteObject, clip(string(e.name))+": "+clip(address))
		i.doc.link(address, scan.FromRemote)
	}
}
