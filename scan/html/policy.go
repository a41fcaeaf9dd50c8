package html

import (
	"bytes"
	"unicode/utf8"

	"assay/scan"
)

// A fate is what happens to an element.
type fate uint8

const (
	keepElement   fate = iota
	unwrapElement      // the tags go, what is between them stays
	dropElement        // the element goes with all that is in it
	showElement        // the tags go, the raw text between them stays as text
)

// A policy is what may stay. Every decision about elements, attributes and addresses is here, and the filter asks the
// same questions as the verification.
type policy struct {
	remote bool // level remote: nothing is loaded
	forms  bool // forms stay
	utf8   bool // the document is UTF-8: a value that is not is written anew
	office bool // inside of a conditional comment, where Word and old Explorers read
}

// element says what happens to an element outside of any context. For meta, link and style the attributes decide as well:
// see tag.
func (p *policy) element(name []byte) (fate, kind) {
	switch string(name) {
	case "a", "b", "body", "br", "center", "div", "em", "font", "h1", "h2", "h3", "h4", "h5", "h6", "head", "hr", "html",
		"i", "img", "li", "link", "meta", "ol", "p", "pre", "small", "span", "strong", "style", "sub", "sup", "table", "tbody", "td",
		"tfoot", "th", "thead", "title", "tr", "u", "ul",
		"abbr", "acronym", "address", "area", "article", "aside", "basefont", "bdi", "bdo", "big", "blockquote", "caption", "cite",
		"code", "col", "colgroup", "data", "dd", "del", "details", "dfn", "dir", "dl", "dt", "fieldset", "figcaption", "figure", "footer",
		"header", "hgroup", "ins", "kbd", "label", "legend", "main", "map", "mark", "menu", "nav", "nobr", "o:p", "picture", "q", "rb", "rp",
		"rt", "rtc", "ruby", "s", "samp", "section", "source", "strike", "summary", "time", "tt", "u1:p", "var", "wbr",
		"st1:city", "st1:place", "st1:country-region", "st1:state", "st1:personname", "st1:date", "st1:time", "st1:street",
		"st1:address", "st1:postalcode", "st1:placename", "st1:placetype", "st1:metricconverter", "o:smarttagtype":
		return keepElement, kNone
	case "script":
		return dropElement, kScript
	case "form", "input", "button":
		if p.forms {
			return keepElement, kForm
		}
		return unwrapElement, kForm
	case "option", "optgroup", "datalist", "output", "isindex", "keygen":
		return unwrapElement, kForm
	case "select":
		return dropElement, kForm
	case "textarea":
		return showElement, kForm
	case "iframe":
		return dropElement, kFrame
	case "frame", "frameset", "portal", "fencedframe", "layer", "ilayer":
		return unwrapElement, kFrame
	case "object", "embed", "applet", "param", "bgsound":
		return unwrapElement, kObject
	case "audio", "video", "canvas", "track":
		return unwrapElement, kMedia
	case "svg", "math":
		return dropElement, kSVG
	case "template", "noembed", "noframes":
		return dropElement, kTemplate
	case "noscript":
		if p.office {
			return keepElement, kNone
		}
		return unwrapElement, kTemplate
	case "xmp", "plaintext":
		return showElement, kTemplate
	case "base":
		return unwrapElement, kBase
	case "xml":
		if p.office {
			return keepElement, kNone
		}
		return dropElement, kElement
	}
	if p.office && officeElement(name) {
		return keepElement, kNone
	}
	return unwrapElement, kElement
}

// officeElement is the allow-list of what Word reads in conditional comments besides HTML: VML and settings.
func officeElement(name []byte) bool {
	switch string(name) {
	case "v:rect", "v:roundrect", "v:shape", "v:shapetype", "v:oval", "v:fill", "v:textbox", "v:imagedata", "v:image", "v:background",
		"v:stroke", "v:path", "v:formulas", "v:f", "v:group", "v:line", "v:textpath", "v:shadow", "v:polyline", "v:arc", "v:curve",
		"v:handles", "v:h", "v:extrusion", "v:skew", "w:anchorlock", "w:wrap", "w10:wrap", "w10:anchorlock", "w10:bordertop",
		"w10:borderleft", "w10:borderbottom", "w10:borderright", "o:officedocumentsettings", "o:allowpng", "o:pixelsperinch",
		"o:targetscreensize", "o:relyonvml", "o:lock", "o:shapedefaults", "o:shapelayout", "o:idmap", "o:documentproperties",
		"o:author", "o:template", "o:lastauthor", "o:revision", "o:totaltime", "o:created", "o:lastsaved", "o:pages", "o:words",
		"o:characters", "o:company", "o:lines", "o:paragraphs", "o:characterswithspaces", "o:version", "o:diagram", "o:complex":
		return true
	}
	return bytes.HasPrefix(name, []byte("w:")) && wordSetting(name[2:]) || bytes.HasPrefix(name, []byte("m:")) && mathSetting(name[2:])
}

// wordSetting is the allow-list of <w:WordDocument> and what is in it.
func wordSetting(name []byte) bool {
	switch string(name) {
	case "worddocument", "view", "zoom", "donotoptimizeforbrowser", "latentstyles", "lsdexception", "trackmoves", "trackformatting",
		"punctuationkerning", "validateagainstschemas", "saveifxmlinvalid", "ignoremixedcontent", "alwaysshowplaceholdertext",
		"donotpromoteqf", "lidthemeother", "lidthemeasian", "lidthemecomplexscript", "compatibility", "browserlevel", "breakwrappedtables",
		"snaptogridincell", "wraptextwithpunct", "useasianbreakrules", "dontgrowautofit", "splitpgbreakandparamark",
		"enableopentypekerning", "dontflipmirrorindents", "overridetablestylehps", "dontvertaligncellwithsp",
		"dontbreakconstrainedforcedtables", "dontvertalignintxbx", "word11kerningpairs", "cachedcolbalance", "hyphenationzone",
		"drawinggridhorizontalspacing", "displayhorizontaldrawinggridevery", "displayverticaldrawinggridevery", "usefelayout",
		"donotshowrevisions", "donotprintrevisions", "donotshowmarkup", "donotshowcomments", "donotshowinsertionsanddeletions",
		"donotshowpropertychanges", "envelopevis", "activewritingstyle", "usemarginsfordrawinggridorigin", "formsdesign", "dontuseindentasnumberingtabstop",
		"felinebreak11", "dontautofitconstrainedtables", "applybreakingrules", "spaceforul", "balancesinglebytedoublebytewidth",
		"donotleavebackslashalone", "ultrailspace", "donotexpandshiftreturn", "adjustlineheightintable":
		return true
	}
	return false
}

func mathSetting(name []byte) bool {
	switch string(name) {
	case "mathpr", "mathfont", "brkbin", "brkbinsub", "smallfrac", "dispdef", "lmargin", "rmargin", "defjc", "wrapindent", "intlim", "narylim":
		return true
	}
	return false
}

// isVoid says whether an element has no content and no end tag.
func isVoid(name []byte) bool {
	switch string(name) {
	case "area", "base", "basefont", "bgsound", "br", "col", "embed", "frame", "hr", "img", "input", "keygen", "link", "meta",
		"param", "source", "track", "wbr", "image", "isindex":
		return true
	}
	return false
}

// isRawText says whether HTML reads the content of an element without tags.
func isRawText(name []byte) bool {
	switch string(name) {
	case "script", "style", "title", "textarea", "iframe", "noembed", "noframes", "xmp":
		return true
	}
	return false
}

// tag says what happens to an element with these attributes. values holds the decoded values.
func (p *policy) tag(name []byte, attrs []attr) (fate, kind) {
	f, k := p.element(name)
	switch string(name) {
	case "script":
		if t, ok := attribute(attrs, "type"); ok && bytes.Contains(bytes.ToLower(decode(t.value)), []byte("json")) {
			return f, kNone // structured data for programs, not for people and not run
		}
	case "meta":
		return p.meta(attrs)
	case "link":
		return p.link(attrs)
	case "style":
		t, ok := attribute(attrs, "type")
		if kind := bytes.ToLower(bytes.TrimSpace(decode(t.value))); ok && len(kind) > 0 && string(kind) != "text/css" {
			return dropElement, kCSS
		}
	case "form":
		if action, ok := attribute(attrs, "action"); ok && p.forms {
			if s := schemeOf(decode(action.value)); s != schemeWeb && s != schemeLink && s != schemeFragment && s != schemeNone {
				return unwrapElement, kForm
			}
		}
	}
	return f, k
}

// meta allows descriptions, and of the orders in http-equiv those that give none.
func (p *policy) meta(attrs []attr) (fate, kind) {
	a, ok := attribute(attrs, "http-equiv")
	if !ok {
		return keepElement, kNone
	}
	switch string(bytes.ToLower(bytes.TrimSpace(decode(a.value)))) {
	case "content-type", "content-language", "x-ua-compatible", "content-style-type", "imagetoolbar", "cache-control", "pragma", "expires":
		return keepElement, kNone
	case "refresh":
		return unwrapElement, kRefresh
	}
	return unwrapElement, kMeta
}

// link allows style sheets, icons and descriptions. A style sheet is loaded without a click.
func (p *policy) link(attrs []attr) (fate, kind) {
	a, _ := attribute(attrs, "rel")
	words := bytes.Fields(bytes.ToLower(decode(a.value)))
	if len(words) == 0 {
		return unwrapElement, kLinkHint
	}
	loads := false
	for _, word := range words {
		switch string(word) {
		case "stylesheet", "icon", "shortcut":
			loads = true
		case "canonical", "license", "author", "help":
		case "file-list", "edit-time-data", "themedata", "colorschememapping", "original-file", "main-file", "preview": // of Word
		default:
			return unwrapElement, kLinkHint
		}
	}
	if loads && p.remote {
		return unwrapElement, kRemote
	}
	return keepElement, kNone
}

// An attrRole is how an attribute is judged.
type attrRole uint8

const (
	roleNone   attrRole = iota // not on the allow-list
	rolePlain                  // says nothing that could act
	roleStyle                  // CSS
	roleLink                   // an address for a click
	roleLoad                   // an address that is loaded
	roleSet                    // srcset
	roleOpaque                 // for other programs: kept if it is no bad address
)

// role looks an attribute name up in the allow-list.
func (p *policy) role(element, name []byte) attrRole {
	switch string(name) {
	case "style":
		return roleStyle
	case "href":
		if string(element) == "link" || string(element) == "image" {
			return roleLoad
		}
		return roleLink
	case "cite":
		return roleLink
	case "src", "background", "longdesc":
		return roleLoad
	case "srcset":
		return roleSet
	case "align", "alt", "bgcolor", "border", "cellpadding", "cellspacing", "class", "color", "colspan", "content", "dir", "face", "height",
		"id", "lang", "media", "name", "rel", "role", "rowspan", "size", "target", "title", "type", "valign", "width",
		"abbr", "accesskey", "alink", "axis", "bordercolor", "bordercolordark", "bordercolorlight", "bottommargin", "char", "charoff",
		"charset", "clear", "cols", "compact", "coords", "datetime", "decoding", "disabled", "draggable", "fetchpriority", "frame",
		"frameborder", "headers", "hidden", "hreflang", "hspace", "ismap", "itemid", "itemprop", "itemref", "itemscope", "itemtype", "label",
		"language", "leftmargin", "link", "loading", "marginheight", "marginwidth", "noshade", "nowrap", "open", "prefix", "property",
		"referrerpolicy", "reversed", "rightmargin", "rows", "rules", "scheme", "scope", "shape", "sizes", "span", "spellcheck", "start",
		"summary", "tabindex", "text", "topmargin", "translate", "typeof", "unselectable", "usemap", "value", "version", "vlink", "vocab",
		"vspace", "contenteditable", "editable", "contextmenu", "mc", "cellspan", "wrap", "_moz_dirty":
		return rolePlain
	case "http-equiv":
		if string(element) == "meta" {
			return rolePlain
		}
		return roleNone
	case "action", "method", "enctype", "accept-charset", "checked", "maxlength", "placeholder", "for", "readonly", "selected":
		return p.formRole(element, name)
	case "xmlns":
		if string(element) == "html" || p.office {
			return rolePlain
		}
		return roleNone
	}
	if p.office && officeAttr(name) {
		return roleOpaque
	}
	if bytes.HasSuffix(name, []byte("href")) || bytes.HasSuffix(name, []byte(":src")) {
		return roleOffice(name)
	}
	return opaqueRole(name)
}

// roleOffice judges the addresses of Word: o:href, o:althref, v:src name files that it may load.
func roleOffice(name []byte) attrRole {
	if bytes.HasPrefix(name, []byte("o:")) || bytes.HasPrefix(name, []byte("v:")) {
		return roleLoad
	}
	return roleNone
}

// formRole judges the attributes of forms and labels.
func (p *policy) formRole(element, name []byte) attrRole {
	switch {
	case string(name) == "for":
		return rolePlain
	case p.forms && string(name) == "action" && string(element) == "form":
		return roleLink
	case p.forms && string(name) != "action":
		return rolePlain
	}
	return roleNone
}

// officeAttr is the allow-list of VML attributes.
func officeAttr(name []byte) bool {
	switch string(name) {
	case "adj", "angle", "data", "arcsize", "aspect", "aspectratio", "color2", "connecttype", "coordorigin", "coordsize", "eqn", "fill", "fillcolor",
		"filled", "filltype", "focus", "focusposition", "focussize", "gradientshapeok", "inset", "method", "offset", "on", "opacity", "origin",
		"path", "position", "spidmax", "stroke", "strokecolor", "stroked", "strokeweight", "mso-fit-shape-to-text", "fitshape", "fitpath",
		"string", "from", "to", "joinstyle", "endcap", "dashstyle", "linestyle", "shadow", "allowoverlap", "extrusionok", "textpathok",
		"limo", "insetpen", "preferrelative", "deflockedstate", "defunhidewhenused", "defsemihidden", "defqformat", "defpriority",
		"latentstylecount", "locked", "priority", "semihidden", "unhidewhenused", "qformat", "val", "anchorx", "anchory", "xrange", "yrange":
		return true
	}
	return false
}

// opaqueRole judges names that HTML itself will never use: those with a hyphen or a colon, which editors and programs
// put into mail. Names that pages with a script framework act upon are not among them.
func opaqueRole(name []byte) attrRole {
	if bytes.IndexByte(name, '-') <= 0 && bytes.IndexByte(name, ':') <= 0 {
		return roleNone
	}
	for _, c := range name {
		if classes[c]&isAttrChar == 0 {
			return roleNone
		}
	}
	for _, bad := range []string{"on", "ng-", "v-", "x-", "hx-", "js-", "is-", "data-ng-", "data-hx-", "data-wp-", "data-bind", "xlink:", "xml:base", "ev:", "http-", "accept-", "amp-", "i-amp"} {
		if bytes.HasPrefix(name, []byte(bad)) {
			return roleNone
		}
	}
	return roleOpaque
}

// A verdict is what happens to an attribute.
type verdict struct {
	keep  bool
	found kind   // what was seen, kNone if nothing
	value []byte // the new decoded value if changed
	// changed says that value takes the place of the old one.
	changed bool
	load    bool        // it is loaded without a click
	link    bool        // it can be followed
	css     *cssSummary // what a style attribute loads, nil if nothing
}

// judge decides about one attribute of an element. v is the decoded value.
func (p *policy) judge(element []byte, a attr, v []byte) verdict {
	switch p.role(element, a.name) {
	case rolePlain:
		return verdict{keep: true, found: kNone}
	case roleStyle:
		return p.judgeStyle(v)
	case roleLink:
		return p.judgeLink(v)
	case roleLoad:
		return p.judgeLoad(v)
	case roleSet:
		return p.judgeSet(v)
	case roleOpaque:
		if bytes.IndexByte(v, ':') >= 0 && runs(v) {
			return verdict{found: kURL}
		}
		return verdict{keep: true, found: kNone}
	}
	if len(a.name) > 2 && a.name[0] == 'o' && a.name[1] == 'n' {
		return verdict{found: kHandler}
	}
	return verdict{found: kAttr}
}

func (p *policy) judgeStyle(v []byte) verdict {
	if plainCSS(v) {
		return verdict{keep: true, found: kNone}
	}
	out, s := p.css(v)
	loads := &s
	if s.loads == 0 {
		loads = nil
	}
	if !s.changed {
		return verdict{keep: true, found: kNone, css: loads}
	}
	found := kNone
	if s.bad > 0 {
		found = kCSS
	}
	return verdict{keep: len(bytes.TrimSpace(out)) > 0, found: found, value: out, changed: true, css: loads}
}

func (p *policy) judgeLink(v []byte) verdict {
	switch schemeOf(v) {
	case schemeBad, schemeUNC, schemeData:
		return verdict{found: kURL, link: true}
	}
	return verdict{keep: true, found: kNone, link: true}
}

func (p *policy) judgeLoad(v []byte) verdict {
	switch schemeOf(v) {
	case schemeFragment:
		return verdict{keep: !p.remote || len(trimControls(v)) == 0, found: kNone}
	case schemePart:
		return verdict{keep: true, found: kNone}
	case schemeData:
		if isRasterData(v) {
			return verdict{keep: true, found: kNone}
		}
	case schemeWeb, schemeNetwork:
		return verdict{keep: !p.remote, found: kRemote, load: true}
	case schemeNone:
		return verdict{keep: !p.remote, found: kNone}
	}
	return verdict{found: kURL}
}

// maxSet is how long a srcset may be.
const maxSet = 1 << 16

// judgeSet judges the candidates of srcset (HTML Standard Section 4.8.4.2). One bad address is enough.
func (p *policy) judgeSet(v []byte) verdict {
	all := verdict{keep: !p.remote, found: kNone}
	if len(v) > maxSet {
		return verdict{found: kURL}
	}
	for candidate := range bytes.SplitSeq(v, []byte(",")) {
		fields := bytes.Fields(candidate)
		if len(fields) == 0 {
			continue
		}
		switch schemeOf(fields[0]) {
		case schemeWeb, schemeNetwork:
			all.found, all.load = kRemote, true
		case schemeBad, schemeUNC, schemeLink:
			return verdict{found: kURL}
		}
	}
	return all
}

// runs says whether an address has a scheme that runs code.
func runs(v []byte) bool {
	u := bytes.ToLower(compact(v[:min(len(v), 256)]))
	for _, bad := range []string{"javascript:", "vbscript:", "livescript:", "mocha:", "data:text/", "data:application/", "data:image/svg"} {
		if bytes.HasPrefix(u, []byte(bad)) {
			return true
		}
	}
	return false
}

// broken says whether a value as written has octets that an old decoder could take for the first half of a character, and
// so swallow the quotation mark.
func (p *policy) broken(a attr) bool { return a.odd && p.utf8 && !utf8.Valid(a.value) }

// policyOf returns the policy of a level.
func policyOf(level scan.Level, forms Forms, utf8 bool) policy {
	return policy{remote: level == scan.Remote, forms: forms == KeepForms, utf8: utf8}
}
