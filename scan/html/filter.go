package html

import (
	"bytes"
	"slices"

	"assay/scan"
)

// A filter turns one document, or what is in a conditional comment, into the small language of the package comment. It
// copies what is of that language already: out stays empty as long as nothing is changed.
type filter struct {
	policy
	c      *cleaner
	doc    reading
	quiet  bool // nothing is reported
	inside bool // what is filtered is the content of a comment

	lexer    lexer
	verdicts []verdict
	spare    *filter        // for the next comment
	ends     map[string]int // offset of the last end tag of elements that are dropped with what is in them

	out     []byte
	copied  int // octets of the input that are dealt with
	changed bool

	raw     []byte // style or title whose content comes next
	rawFate fate

	anchor int // index of the link whose text is being read, -1 if none
	shown  []byte

	tags     int // tags, attributes and comments read, and for the proof: tags and attributes written
	starts   int
	closes   int
	attrs    int
	open     int // elements open if none were closed by another
	deepest  int
	building cost
}

func newFilter(c *cleaner, src []byte, doc reading) *filter {
	return &filter{
		policy: policyOf(c.level, c.forms, doc.utf8), c: c, doc: doc, lexer: lexer{src: src}, anchor: -1,
	}
}

// run filters everything. After the limit of tags it stops, and what it returns must not be used.
func (f *filter) run() []byte {
	for f.step() {
	}
	if f.raw != nil {
		f.note(kBroken, f.raw)
		f.insert("</" + string(f.raw) + ">")
		f.closes++
	}
	f.endAnchor()
	f.deepest = max(f.deepest, f.open)
	if !f.changed {
		return f.lexer.src
	}
	return append(f.out, f.lexer.src[f.copied:]...)
}

// step deals with one token; false at the end.
func (f *filter) step() bool {
	switch f.lexer.next() {
	case tokenEnd:
		return false
	case tokenText:
		f.text()
	case tokenRaw:
		f.rawText()
	case tokenStart:
		f.startTag()
	case tokenClose:
		f.endTag()
	case tokenComment:
		f.comment()
	case tokenBogus:
		f.bogus()
	case tokenDoctype:
		f.doctype()
	case tokenUnfinished:
		f.unfinished()
	}
	if f.tags > f.c.limits.Tags {
		f.c.limit("tags")
	} else if len(f.out) > len(f.lexer.src)+len(f.lexer.src)/4+1<<16 {
		f.c.limit("growth")
	}
	return f.c.exceeded == ""
}

// unfinished drops the construct that the document ends in, and says what it would be in a page that goes on.
func (f *filter) unfinished() {
	l := &f.lexer
	if isLetter(l.at(l.start + 1)) {
		if !f.quiet {
			f.acting()
		}
	}
	f.drop(kBroken)
}

// acting reports what the current tag would do if it were not taken out with what is around it.
func (f *filter) acting() {
	l := &f.lexer
	if _, k := f.tag(l.name, l.attrs); k < kElement && k != kNone {
		f.c.both(k, l.name)
	}
	for _, a := range l.attrs {
		switch v := f.judge(l.name, a, decode(a.value)); v.found {
		case kHandler, kURL, kCSS, kRemote:
			f.c.both(v.found, a.name)
		}
	}
}

// replace puts text in the place of the octets from an offset to the end of the current token.
func (f *filter) replace(from int, text []byte) {
	if f.out == nil {
		f.out = make([]byte, 0, len(f.lexer.src)+len(f.lexer.src)/16+256)
	}
	if from > f.copied {
		f.out = append(f.out, f.lexer.src[f.copied:from]...)
	}
	f.out = append(f.out, text...)
	f.copied = f.lexer.pos
	f.changed = true
}

// insert puts text behind the current token.
func (f *filter) insert(text string) {
	f.out = append(f.out, f.lexer.src[min(f.copied, f.lexer.pos):f.lexer.pos]...)
	f.out = append(f.out, text...)
	f.copied, f.changed = f.lexer.pos, true
}

// drop leaves the current token out.
func (f *filter) drop(k kind) {
	f.note(k, nil)
	f.replace(f.lexer.start, nil)
}

// note counts what is taken out.
func (f *filter) note(k kind, detail []byte) {
	if !f.quiet {
		f.c.both(k, detail)
	}
}

// text keeps text. A "<" that begins no tag is written as a character reference.
func (f *filter) text() {
	f.building.node()
	if f.lexer.loose {
		f.note(kBroken, nil)
		f.replace(f.lexer.start, []byte("&lt;"))
		return
	}
	if f.anchor >= 0 && len(f.shown) < maxLinkText {
		t := f.lexer.token()
		f.shown = append(f.shown, t[:min(len(t), maxLinkText)]...)
	}
}

// rawText deals with the content of an element without tags.
func (f *filter) rawText() {
	raw := f.lexer.token()
	switch {
	case f.rawFate == dropElement:
		f.replace(f.lexer.start, nil)
	case f.rawFate == showElement:
		f.show(f.lexer.start, raw)
	case string(f.raw) == "style":
		f.styleText(raw)
	case bytes.IndexByte(raw, '<') >= 0:
		f.note(kBroken, nil)
		f.replace(f.lexer.start, bytes.ReplaceAll(raw, []byte("<"), []byte("&lt;")))
	}
}

// show puts raw text in the place of the octets from an offset.
func (f *filter) show(from int, raw []byte) {
	if len(raw) > f.c.limits.Text {
		f.c.limit("text")
		raw = nil
	}
	f.replace(from, appendEscaped(nil, raw))
}

// styleText filters a style sheet.
func (f *filter) styleText(raw []byte) {
	out, sum := f.css(raw)
	f.stylesheet(sum)
	if tidy := withoutTags(out); sum.changed || len(tidy) != len(out) {
		if !sum.changed {
			f.note(kBroken, nil)
		}
		f.replace(f.lexer.start, tidy)
	}
}

// stylesheet reports what CSS has.
func (f *filter) stylesheet(sum cssSummary) {
	if f.quiet {
		return
	}
	for range sum.bad {
		f.c.both(kCSS, nil)
	}
	f.loads(sum)
	if sum.changed && sum.bad == 0 && sum.loads == 0 {
		f.c.both(kBroken, nil)
	}
}

// loads reports the addresses that CSS loads.
func (f *filter) loads(sum cssSummary) {
	for range sum.loads {
		f.c.seen.add(kRemote, nil)
		if f.remote {
			f.c.taken.add(kRemote, nil)
		}
	}
	for _, u := range sum.urls {
		f.link(u, scan.FromRemote)
	}
}

// withoutTags makes sure that no reader sees a tag in CSS: "<" is written as an escape unless what follows it begins no
// tag for anyone, or it is the old "<!--" at the start.
func withoutTags(css []byte) []byte {
	i := bytes.IndexByte(css, '<')
	if i < 0 {
		return css
	}
	if len(bytes.TrimLeft(css[:i], " \t\r\n\f")) == 0 && bytes.HasPrefix(css[i:], []byte("<!--")) {
		i += 4
	}
	if bytes.IndexByte(css[i:], '<') < 0 {
		return css
	}
	out := append(make([]byte, 0, len(css)+16), css[:i]...)
	for ; i < len(css); i++ {
		if css[i] == '<' && (i+1 >= len(css) || bytes.IndexByte([]byte("= \t0123456789"), css[i+1]) < 0) {
			if i > 0 && css[i-1] >= 0x80 {
				out = append(out, ' ') // see hasSwallowedEscape
			}
			out = append(out, `\3c `...)
			continue
		}
		out = append(out, css[i])
	}
	return out
}

// startTag keeps, rewrites or drops a start tag.
func (f *filter) startTag() {
	l := &f.lexer
	f.tags += 1 + len(l.attrs)
	fate, k := f.tag(l.name, l.attrs)
	if fate != keepElement {
		f.takeElement(fate, k)
		return
	}
	if k != kNone && !f.quiet {
		f.c.seen.add(k, l.name)
	}
	f.starts++
	f.building.start(l.name)
	if !isVoid(l.name) {
		f.open++
		f.deepest = max(f.deepest, f.open)
	}
	if string(l.name) == "a" {
		f.endAnchor()
	}
	changed := f.judgeAll()
	if isRawText(l.name) {
		f.raw, f.rawFate = slices.Clone(l.name), keepElement
		l.raw = f.raw
		changed = changed || l.selfClosing
	}
	if changed {
		f.rewriteTag()
	}
}

// judgeAll judges every attribute; true if the tag cannot stay as it is.
func (f *filter) judgeAll() bool {
	l := &f.lexer
	f.verdicts = f.verdicts[:0]
	changed := l.loose
	if l.loose {
		f.note(kBroken, l.name)
	}
	for _, a := range l.attrs {
		value := a.value
		if a.ref {
			value = decode(value)
		}
		v := f.judge(l.name, a, value)
		if v.keep && string(l.name) == "meta" && f.misleads(a) {
			v = verdict{found: kCharset}
		}
		f.report(a, value, v)
		if !v.keep || v.changed || f.broken(a) {
			changed = true
		}
		f.verdicts = append(f.verdicts, v)
		if v.keep && !a.again {
			f.attrs++
		}
	}
	return changed
}

// misleads says whether an attribute of <meta> declares a charset in which the document could be read in another way: any
// when it is rewritten as UTF-8, one in which markup can hide otherwise.
func (f *filter) misleads(a attr) bool {
	var name string
	switch string(a.name) {
	case "charset":
		name = declaredBy([]attr{a})
	case "content":
		he, ok := attribute(f.lexer.attrs, "http-equiv")
		if !ok {
			return false
		}
		name = declaredBy([]attr{he, a})
	default:
		return false
	}
	if f.doc.convert {
		return name != "" && name != "utf-8"
	}
	return !transparent(name)
}

// report counts what was seen in an attribute.
func (f *filter) report(a attr, value []byte, v verdict) {
	if f.quiet {
		return
	}
	switch {
	case v.found != kNone:
		f.c.seen.add(v.found, a.name)
		if !v.keep || v.changed {
			f.c.taken.add(v.found, a.name)
		}
	case (!v.keep || v.changed) && v.css == nil:
		k := kRemote // a relative address at level remote
		if string(a.name) == "style" {
			k = kCSS // a comment inside of a name
		}
		f.c.both(k, a.name)
	}
	switch {
	case v.css != nil:
		f.loads(*v.css)
	case v.link:
		f.follow(a, value)
	case v.load && string(a.name) == "srcset":
		for candidate := range bytes.SplitSeq(value, []byte(",")) {
			if fields := bytes.Fields(candidate); len(fields) > 0 {
				f.link(fields[0], scan.FromRemote)
			}
		}
	case v.load:
		f.link(value, scan.FromRemote)
		if string(f.lexer.name) == "img" && string(a.name) == "src" && invisible(f.lexer.attrs) {
			f.c.seen.add(kTracker, nil)
			if f.remote {
				f.c.taken.add(kTracker, nil)
			}
		}
	}
}

// rewriteTag writes the current tag in the strict form, with the attributes that may stay.
func (f *filter) rewriteTag() {
	l := &f.lexer
	tag := append(append(make([]byte, 0, 2*len(l.token())+16), '<'), l.name...)
	for i, a := range l.attrs {
		v := f.verdicts[i]
		if !v.keep || a.again {
			continue
		}
		if !validName(a.name) {
			f.attrs--
			continue
		}
		tag = append(append(append(tag, ' '), a.name...), '=', '"')
		switch {
		case v.changed:
			tag = appendEscaped(tag, v.value)
		case f.broken(a):
			tag = appendQuoted(tag, bytes.ToValidUTF8(a.value, []byte("\ufffd")))
		default:
			tag = appendQuoted(tag, a.value)
		}
		tag = append(tag, '"')
	}
	if l.selfClosing && (isVoid(l.name) || f.office) {
		tag = append(tag, " /"...)
	}
	f.replace(l.start, append(tag, '>'))
}

// validName says whether an attribute name is of the strict form.
func validName(name []byte) bool {
	for i, c := range name {
		if classes[c]&isAttrChar == 0 || i == 0 && !isLetter(c) && c != '_' {
			return false
		}
	}
	return len(name) > 0
}

// appendQuoted appends a value as written, character references included, so that it can stand in double quotation marks.
func appendQuoted(out, value []byte) []byte {
	for _, c := range value {
		switch c {
		case '"':
			out = append(out, "&quot;"...)
		case '<':
			out = append(out, "&lt;"...)
		case '>':
			out = append(out, "&gt;"...)
		case '`':
			out = append(out, "&#96;"...)
		default:
			out = append(out, c)
		}
	}
	return out
}

// appendEscaped appends text so that it is text everywhere, in quotation marks too.
func appendEscaped(out, text []byte) []byte {
	for _, c := range text {
		if c == '&' {
			out = append(out, "&amp;"...)
			continue
		}
		out = appendQuoted(out, []byte{c})
	}
	return out
}

// takeElement takes an element out.
func (f *filter) takeElement(fate fate, k kind) {
	l := &f.lexer
	f.note(k, l.name)
	f.dropped()
	start := l.start
	switch {
	case string(l.name) == "plaintext":
		rest := l.src[l.pos:]
		l.pos = len(l.src)
		f.show(start, rest)
		return
	case isRawText(l.name):
		f.raw, f.rawFate = nil, fate
		l.raw = slices.Clone(l.name)
	case fate == dropElement && !l.selfClosing && f.hasEnd(l.name):
		f.skip()
	}
	f.replace(start, nil)
}

// hasEnd says whether an end tag of an element follows. Each name is looked for once in a document.
func (f *filter) hasEnd(name []byte) bool {
	last, ok := f.ends[string(name)]
	if !ok {
		last = lastEnd(f.lexer.src, name)
		if f.ends == nil {
			f.ends = make(map[string]int)
		}
		f.ends[string(name)] = last
	}
	return last >= f.lexer.pos
}

// lastEnd returns the offset of the last end tag of an element, -1 if there is none.
func lastEnd(src, name []byte) int {
	for end := len(src); ; {
		i := bytes.LastIndex(src[:end], []byte("</"))
		if i < 0 {
			return -1
		}
		if rest := src[i+2:]; len(rest) > len(name) && bytes.EqualFold(rest[:len(name)], name) {
			return i
		}
		end = i
	}
}

// skip reads up to the end tag of the current element.
func (f *filter) skip() {
	l := &f.lexer
	name, depth := slices.Clone(l.name), 1
	for depth > 0 {
		switch l.next() {
		case tokenEnd, tokenUnfinished:
			return
		case tokenStart:
			f.tags += 1 + len(l.attrs)
			if !f.quiet {
				f.acting()
			}
			if bytes.Equal(l.name, name) && !l.selfClosing {
				depth++
			}
		case tokenClose:
			if bytes.Equal(l.name, name) {
				depth--
			}
		}
	}
}

// endTag keeps the end tags of elements that may stay.
func (f *filter) endTag() {
	l := &f.lexer
	f.tags++
	if f.rawFate != keepElement && isRawText(l.name) {
		f.rawFate = keepElement
		f.replace(l.start, nil)
		return
	}
	if f.raw != nil && bytes.Equal(l.name, f.raw) {
		f.raw = nil
	}
	fate, k := f.element(l.name)
	if fate != keepElement {
		if k == kElement || k == kSVG || isVoid(l.name) {
			k = kNone
		}
		f.replace(l.start, nil)
		return
	}
	if string(l.name) == "a" {
		f.endAnchor()
	}
	f.closes++
	f.building.end(l.name)
	f.open = max(0, f.open-1)
	if l.loose || len(l.attrs) > 0 || l.selfClosing {
		f.note(kBroken, l.name)
		f.replace(l.start, append(append([]byte("</"), l.name...), '>'))
	}
}

// bogus keeps the conditionals of Word that every other reader takes as comments, and declarations of XML.
func (f *filter) bogus() {
	if !harmlessBogus(f.lexer.token(), f.lexer.start == 0) {
		f.drop(kBroken)
	}
}

func harmlessBogus(t []byte, first bool) bool {
	if len(t) > 300 || bytes.IndexByte(t[1:], '<') >= 0 {
		return false
	}
	switch {
	case bytes.HasPrefix(t, []byte("<![")):
		inner := bytes.TrimRight(t[2:len(t)-1], "-")
		return isCondition(inner) || bytes.EqualFold(inner, []byte("[endif]"))
	case bytes.HasPrefix(t, []byte("</ ")):
		return isWord(bytes.TrimSpace(t[3 : len(t)-1])) // "</ div>": a comment for most readers, an end tag for some
	case bytes.HasPrefix(t, []byte("<?xml ")):
		lower := bytes.ToLower(t)
		_, charset, ok := bytes.Cut(lower, []byte("encoding"))
		return first && (!ok || bytes.Contains(charset, []byte(`"utf-8"`)) || bytes.Contains(charset, []byte(`"iso-8859-1"`)))
	case bytes.HasPrefix(bytes.ToLower(t), []byte("<?xml:namespace")):
		return !containsFold(t, "implementation") && !containsFold(t, "import")
	}
	return false
}

// isWord says whether text is letters and digits.
func isWord(t []byte) bool {
	for _, c := range t {
		if classes[c]&isNameChar == 0 {
			return false
		}
	}
	return true
}

// doctype keeps a document type without an internal subset.
func (f *filter) doctype() {
	if t := f.lexer.token(); len(t) > 400 || bytes.ContainsAny(t[1:len(t)-1], "<>[") {
		f.drop(kBroken)
	}
}
