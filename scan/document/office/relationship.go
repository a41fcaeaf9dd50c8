package office

import (
	"strings"

	"assay/scan"
	"assay/scan/document/rtf"
)

// relationship looks at a relationship (ECMA-376 Part 2 Section 6.5.3.4): inside, what calls a part macros or a control; outside, what
// is loaded from there.
func (i *inspector) relationship(e element) {
	target := strings.TrimSpace(e.attr("Target"))
	kind := strings.ToLower(e.attr("Type"))
	kind = kind[strings.LastIndexByte(kind, '/')+1:]
	if strings.EqualFold(strings.TrimSpace(e.attr("TargetMode")), "External") || isAbsolute(target) {
		i.external(kind, target)
		return
	}
	what := map[string]scan.Trait{
		"vbaproject": scan.Macros, "xlmacrosheet": scan.XLMMacros, "xlintlmacrosheet": scan.XLMMacros, "control": scan.ActiveX,
		"activexcontrolbinary": scan.ActiveX, "oleobject": scan.EmbeddedObject, "package": scan.EmbeddedObject, "afchunk": scan.EmbeddedObject,
		"webextension": scan.RemoteObject, "webextensiontaskpanes": scan.RemoteObject,
	}
	if trait, ok := what[kind]; ok {
		i.doc.promised = append(i.doc.promised, promise{i.resolve(target), trait, clip(target)})
	}
}

// isAbsolute reports whether a target leads out of the package whatever its mode says.
func isAbsolute(target string) bool {
	return strings.HasPrefix(target, `\\`) || strings.HasPrefix(target, "//") || rtf.Remote(target)
}

// resolve returns the name of the part that a target leads to from the part that the relationships are for.
func (i *inspector) resolve(target string) string {
	if strings.HasPrefix(target, "/") {
		return target
	}
	base := i.part.name
	if i.part.name == flatName {
		base = partName(i.name)
	}
	folder, _, _ := strings.Cut(base, "_rels/")
	for {
		rest, ok := strings.CutPrefix(target, "../")
		if !ok {
			return folder + target
		}
		target = rest
		folder = strings.TrimSuffix(folder, "/")
		folder = folder[:strings.LastIndexByte(folder, '/')+1]
	}
}

// external looks at a relationship to something outside of the package. A drive of the machine is not elsewhere: templates and linked
// tables of a company lie there.
func (i *inspector) external(kind, target string) {
	d := i.doc
	switch kind {
	case "hyperlink":
		d.link(target, scan.FromAnchor)
		if rtf.Protocol(target) {
			d.sign(scan.RemoteObject, "link to "+clip(target))
		}
		return
	case "attachedtemplate":
		if rtf.Remote(target) {
			d.sign(scan.RemoteTemplate, clip(target))
			d.link(target, scan.FromRemote)
		}
		return
	case "oleobject", "package", "frame", "subdocument", "afchunk", "vbaproject", "control":
		// Always: the object is not in the document.
	default:
		if !rtf.Remote(target) {
			return
		}
	}
	d.sign(scan.RemoteObject, clip(kind)+" "+clip(target))
	d.link(target, scan.FromRemote)
}
