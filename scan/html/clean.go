package html

import "assay/scan"

// A cleaner makes one document safe.
type cleaner struct {
	level    scan.Level
	forms    Forms
	limits   Limits
	declared string

	seen, taken tally
	links       []scan.Link
	exceeded    string // the limit that was hit, "" if none was
}

func (c *cleaner) clean(src []byte) Result {
	r := Result{Output: src}
	if len(src) > c.limits.Octets {
		c.limit("octets")
		r.Output = asDocument(text(src[:c.limits.Octets], c.declared, c.limits.Text))
		r.Charset, r.Changed, r.Fallback = "utf-8", true, TextFallback
		c.taken.add(kFallback, []byte("text"))
		return c.finish(r, src)
	}
	doc := read(src, c.declared)
	if doc.odd {
		c.both(kCharset, []byte(c.declared))
	}
	clean, controls := withoutControls(doc.src)
	if controls {
		c.both(kCharset, []byte("control characters"))
	}
	out, changed, fallback := c.document(clean, doc)
	if r.Fallback = fallback; fallback != NoFallback {
		c.both(kFallback, []byte(fallback))
	}
	if changed || controls || doc.convert {
		r.Output, r.Changed = withoutNewMark(out, src), true
	}
	if doc.convert || fallback != NoFallback {
		r.Charset = "utf-8"
	}
	for _, other := range otherReadings(src, c.declared) {
		c.readAs(src, other)
	}
	return c.finish(r, src)
}

// readAs reports what acts in a document when it is read in another charset. The output is declared so that nobody reads
// it in that one.
func (c *cleaner) readAs(src []byte, charset string) {
	doc := read(src, charset)
	clean, _ := withoutControls(doc.src)
	other := cleaner{level: c.level, forms: c.forms, limits: c.limits, declared: charset}
	newFilter(&other, clean, doc).run()
	for k, name := range names() {
		if n := other.seen.count[k]; n > 0 && acts(name) && name != KindLimit && c.seen.count[k] == 0 {
			c.both(kind(k), []byte(other.seen.detail[k]))
		}
	}
}

// both counts what is always taken out.
func (c *cleaner) both(k kind, detail []byte) {
	c.seen.add(k, detail)
	c.taken.add(k, detail)
}

func (c *cleaner) limit(name string) {
	if c.exceeded == "" {
		c.exceeded = name
		c.both(kLimit, []byte(name))
	}
}

// finish gives the level what it asks for.
func (c *cleaner) finish(r Result, src []byte) Result {
	r.Links = c.links
	r.Findings = c.seen.findings()
	switch c.level {
	case scan.Off:
		return Result{Output: src, Findings: r.Findings, Links: r.Links}
	case scan.Text:
		r.Output, r.Changed, r.Charset = []byte(text(src[:min(len(src), c.limits.Octets)], c.declared, c.limits.Text)), true, "utf-8"
	}
	r.Taken = c.taken.findings()
	return r
}

// document filters, verifies, and falls back. The document it returns is safe whatever it was given.
func (c *cleaner) document(src []byte, doc reading) (out []byte, changed bool, fallback Fallback) {
	f := newFilter(c, src, doc)
	out = f.run()
	if c.exceeded == "" {
		switch f.verify(out) {
		case proven:
			return out, f.changed, NoFallback
		case refused:
			if out, ok := c.tree(src, doc); ok {
				return out, true, TreeFallback
			}
		}
	}
	return asDocument(textOf(doc.asUTF8(src), c.limits.Text)), true, TextFallback
}

// tree parses a document, writes it anew in the way the parser understood it, and filters that.
func (c *cleaner) tree(src []byte, doc reading) ([]byte, bool) {
	anew, ok := rewrite(doc.asUTF8(src))
	if !ok {
		return nil, false
	}
	doc.utf8, doc.convert = true, true
	f := newFilter(&cleaner{level: c.level, forms: c.forms, limits: c.limits}, anew, doc)
	out := f.run()
	return out, f.c.exceeded == "" && f.verify(out) == proven
}

// asDocument shows text as HTML.
func asDocument(text string) []byte {
	out := make([]byte, 0, len(text)+len(text)/8+128)
	out = append(out, `<!DOCTYPE html><html><body><pre style="white-space:pre-wrap">`...)
	out = appendEscaped(out, []byte(text))
	return append(out, "</pre></body></html>\n"...)
}
