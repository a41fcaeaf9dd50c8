package html

import (
	"bytes"

	"assay/scan"
)

// inspectXML looks at SVG and XHTML. They are XML, for which the rules of HTML do not hold: prefixes, entities, processing
// instructions. What is not on the allow-list counts as active, and Changed says that there is something. Output is not
// made: see neutralise.
func inspectXML(src []byte, charset string, level scan.Level, opt Options) Result {
	c := cleaner{level: level, forms: opt.Forms, limits: opt.Limits.withDefaults(), declared: charset}
	if len(src) > c.limits.Octets {
		c.limit("octets")
		src = src[:c.limits.Octets]
	}
	doc := read(src, charset)
	if doc.odd {
		c.both(kCharset, []byte(charset))
	}
	clean, controls := withoutControls(doc.src)
	if controls {
		c.both(kCharset, []byte("control characters"))
	}
	x := xmlInspector{filter: newFilter(&c, clean, doc)}
	x.run()
	r := Result{Output: src, Findings: c.seen.findings(), Links: c.links}
	if level != scan.Off {
		r.Taken = c.taken.findings()
		r.Changed = len(r.Taken) > 0
	}
	return r
}

// An xmlInspector reads XML with the lexer of HTML. Both agree about where a tag begins and what its attributes are, as
// long as the tag is of the strict form; any other is active.
type xmlInspector struct {
	*filter
	style bool // inside of <style>
}

func (x *xmlInspector) run() {
	l := &x.lexer
	for x.c.exceeded == "" {
		switch l.next() {
		case tokenEnd:
			return
		case tokenText:
			x.characters()
		case tokenStart:
			x.tags += 1 + len(l.attrs)
			x.element()
		case tokenClose:
			x.style = false
		case tokenComment:
			x.tags++
			if l.loose {
				x.c.both(kComment, nil)
			}
		case tokenBogus:
			x.instruction()
		case tokenDoctype:
			x.doctype()
		case tokenUnfinished:
			x.c.both(kBroken, nil)
			return
		}
		if x.tags > x.c.limits.Tags {
			x.c.limit("tags")
		}
	}
}

// doctype looks at the declarations in it: an entity can stand for elements (XML 1.0 Section 4.2). What drawing programs declare
// stands for names.
func (x *xmlInspector) doctype() {
	const most = 1 << 16
	l := &x.lexer
	if !bytes.ContainsAny(l.token()[1:], "<[") {
		return
	}
	x.c.both(kBroken, []byte("entities"))
	subset := l.src[l.start:min(len(l.src), l.start+most)]
	if end := bytes.Index(subset, []byte("]>")); end >= 0 {
		subset = subset[:end]
	}
	for _, entity := range bytes.Split(subset, []byte("<!ENTITY"))[1:] {
		if bytes.ContainsAny(entity, "<&%") {
			x.c.both(kScript, []byte("entities"))
			return
		}
	}
}

// animation reports whether an element sets an attribute that leads somewhere or runs something, later.
func animation(name []byte, attrs []attr) bool {
	switch string(name) {
	case "set", "animate", "animatetransform", "animatemotion":
	default:
		return false
	}
	for _, a := range attrs {
		v := bytes.ToLower(bytes.TrimSpace(decode(a.value)))
		v = v[bytes.LastIndexByte(v, ':')+1:]
		if string(a.name) == "attributename" && (bytes.HasPrefix(v, []byte("on")) || bytes.HasSuffix(v, []byte("href"))) {
			return true
		}
	}
	return false
}

// characters looks at the content of <style>.
func (x *xmlInspector) characters() {
	if x.lexer.loose {
		x.c.both(kBroken, nil)
	} else if x.style {
		_, sum := x.css(decode(x.lexer.token()))
		x.stylesheet(sum)
	}
}

// instruction allows the declaration of XML, and CDATA, whose content is text for XML and markup for HTML, without tags.
func (x *xmlInspector) instruction() {
	t := x.lexer.token()
	switch {
	case bytes.HasPrefix(t, []byte("<?xml ")) && harmlessBogus(t, true):
	case bytes.HasPrefix(t, []byte("<![CDATA[")):
		if bytes.HasSuffix(t, []byte("]]>")) && bytes.IndexByte(t[1:], '<') < 0 {
			_, sum := x.css(t[len("<![CDATA[") : len(t)-3])
			x.stylesheet(sum)
			return
		}
		x.c.both(kBroken, []byte("CDATA"))
	default:
		x.c.both(kScript, []byte("processing instruction"))
	}
}

// element judges a start tag.
func (x *xmlInspector) element() {
	l := &x.lexer
	name := l.name[bytes.LastIndexByte(l.name, ':')+1:]
	if l.loose {
		x.c.both(kBroken, name)
	}
	x.style = string(name) == "style"
	if animation(name, l.attrs) {
		x.c.both(kScript, name)
		return
	}
	if !drawing(name) {
		if fate, k := x.policy.tag(name, l.attrs); fate != keepElement {
			if k == kNone || k >= kinds {
				k = kElement
			}
			x.c.both(k, name)
			return
		}
	}
	for _, a := range l.attrs {
		x.attribute(name, a)
	}
}

// attribute judges an attribute of an element.
func (x *xmlInspector) attribute(element []byte, a attr) {
	v := decode(a.value)
	name := a.name[bytes.LastIndexByte(a.name, ':')+1:]
	switch {
	case bytes.HasPrefix(name, []byte("on")):
		x.c.both(kHandler, name)
	case string(name) == "style":
		_, sum := x.css(v)
		x.stylesheet(sum)
	case string(name) == "href" && string(element) == "a":
		if !x.judgeLink(v).keep {
			x.c.both(kURL, name)
		}
		x.link(v, scan.FromAnchor)
	case string(name) == "href", string(name) == "src", string(name) == "base":
		x.load(element, name, v)
	case bytes.HasPrefix(a.name, []byte("xmlns")):
	case bytes.Contains(v, []byte("(")):
		_, sum := x.css(v) // fill="url(...)"
		x.stylesheet(sum)
	}
}

// load judges an address that is loaded.
func (x *xmlInspector) load(element, name, v []byte) {
	verdict := x.judgeLoad(v)
	switch {
	case verdict.load:
		x.c.seen.add(kRemote, name)
		x.link(v, scan.FromRemote)
		if !verdict.keep || string(element) != "image" && string(element) != "img" {
			x.c.taken.add(kRemote, name)
		}
	case !verdict.keep:
		x.c.both(kURL, name)
	}
}

// drawing is the allow-list of SVG: what draws. Animations are not among it, for they can set addresses.
func drawing(name []byte) bool {
	switch string(name) {
	case "svg", "g", "defs", "symbol", "path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text", "tspan", "textpath",
		"title", "desc", "metadata", "lineargradient", "radialgradient", "stop", "clippath", "mask", "pattern", "marker", "filter", "image",
		"a", "switch", "style", "view", "use", "rdf", "work", "format", "type", "namedview", "page", "grid", "guide", "perspective":
		return true
	}
	return bytes.HasPrefix(name, []byte("fe")) && len(name) > 4 && len(name) < 24 && string(name) != "feimage"
}
