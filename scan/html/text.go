package html

import (
	"bytes"
	"html"
	"slices"
	"strings"
)

// maxText is how much text Text returns.
const maxText = 1 << 20

// Text returns the text of an HTML document as a person reads it: without tags, scripts and styles, a line per block,
// addresses of links in angle brackets behind their text. charset is the one that the MIME part declares, "" if none. The
// result is valid UTF-8 with LF line ends, at most 1 MiB.
func Text(src []byte, charset string) string {
	return text(src[:min(len(src), 16<<20)], charset, maxText)
}

func text(src []byte, charset string, limit int) string {
	doc := read(src, charset)
	clean, _ := withoutControls(doc.src)
	return textOf(doc.asUTF8(clean), limit)
}

// A writer puts text together.
type writer struct {
	out   []byte
	limit int
	blank bool // a blank is due
	lines int  // line ends are due
	pre   int  // open <pre>
	href  []byte
	from  int // where the text of the link begins
}

// textOf reads a document in UTF-8.
func textOf(src []byte, limit int) string {
	l := lexer{src: src}
	w := writer{limit: limit}
	var hidden []byte // element whose raw text is not shown
	for len(w.out) < limit {
		switch l.next() {
		case tokenEnd, tokenUnfinished:
			return w.finish()
		case tokenText:
			w.text(l.token(), true)
		case tokenRaw:
			if hidden == nil {
				w.text(l.token(), false)
			}
			hidden = nil
		case tokenStart:
			hidden = nil
			if string(l.name) == "plaintext" {
				w.text(l.src[l.pos:], false)
				return w.finish()
			}
			if isRawText(l.name) {
				l.raw = slices.Clone(l.name)
				if string(l.name) != "textarea" && string(l.name) != "xmp" {
					hidden = l.raw
				}
				continue
			}
			w.start(l.name, l.attrs)
		case tokenClose:
			w.end(l.name)
		}
	}
	return w.finish()
}

func (w *writer) finish() string {
	w.endLink()
	out := bytes.ToValidUTF8(w.out[:min(len(w.out), w.limit)], nil)
	return strings.TrimRight(string(out), " \n") + "\n"
}

// put appends characters behind the blanks and line ends that are due.
func (w *writer) put(b []byte) {
	if w.lines > 0 && len(w.out) > 0 {
		w.out = append(w.out, "\n\n"[:min(w.lines, 2)]...)
	} else if w.blank && len(w.out) > 0 {
		w.out = append(w.out, ' ')
	}
	w.lines, w.blank = 0, false
	w.out = append(w.out, b...)
}

// text appends text; references says whether it has character references.
func (w *writer) text(t []byte, references bool) {
	t = t[:min(len(t), 4*w.limit)]
	if references && bytes.IndexByte(t, '&') >= 0 {
		t = []byte(html.UnescapeString(string(t)))
	}
	if w.pre > 0 {
		w.put(bytes.ReplaceAll(t, []byte("\r"), nil))
		return
	}
	for len(t) > 0 && len(w.out) < w.limit {
		i := bytes.IndexAny(t, " \t\r\n\f")
		if i < 0 {
			w.put(t)
			return
		}
		if i > 0 {
			w.put(t[:i])
		}
		w.blank = true
		t = t[i+1:]
	}
}

// start deals with a start tag.
func (w *writer) start(name []byte, attrs []attr) {
	switch string(name) {
	case "br":
		w.lines++
	case "hr":
		w.lines = max(w.lines, 1)
		w.put([]byte("----"))
		w.lines = 1
	case "li":
		w.lines = max(w.lines, 1)
		w.put([]byte("- "))
	case "td", "th":
		w.blank = true
	case "img":
		if a, ok := attribute(attrs, "alt"); ok && len(bytes.TrimSpace(a.value)) > 0 {
			w.text(a.value, true)
		}
	case "a":
		w.endLink()
		if a, ok := attribute(attrs, "href"); ok {
			if v := compact(decode(a.value)); schemeOf(v) == schemeWeb || schemeOf(v) == schemeLink {
				w.href, w.from = v, len(w.out)
			}
		}
	case "pre":
		w.lines = max(w.lines, 1)
		w.pre++
	default:
		w.lines = max(w.lines, breaks(name))
	}
}

// end deals with an end tag.
func (w *writer) end(name []byte) {
	switch string(name) {
	case "a":
		w.endLink()
	case "pre":
		w.pre = max(0, w.pre-1)
		w.lines = max(w.lines, 1)
	default:
		w.lines = max(w.lines, breaks(name))
	}
}

// endLink writes the address of a link unless its text is the address.
func (w *writer) endLink() {
	if w.href == nil {
		return
	}
	shown := bytes.TrimSpace(w.out[min(w.from, len(w.out)):])
	bare := bytes.TrimPrefix(w.href, []byte("mailto:"))
	if len(shown) > 0 && !bytes.Equal(shown, w.href) && !bytes.Equal(shown, bare) {
		w.blank = true
		w.put(append(append([]byte("<"), bare[:min(len(bare), maxLinkURL)]...), '>'))
	}
	w.href = nil
}

// breaks returns how many line ends stand around an element.
func breaks(name []byte) int {
	switch string(name) {
	case "p", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "table", "ul", "ol", "dl", "form", "fieldset":
		return 2
	case "div", "tr", "dt", "dd", "section", "article", "header", "footer", "main", "nav", "aside", "center", "address", "figure",
		"figcaption", "caption", "body", "details", "summary", "option", "legend":
		return 1
	}
	return 0
}
