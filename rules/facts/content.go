package facts

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/emersion/go-message/charset"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"assay/scan"
	scanhtml "assay/scan/html"
	"assay/verify/message"
)

// maxHTML bounds how many octets of HTML are read for its text.
const maxHTML = 1 << 20

// A passage is the text of one part.
type passage struct{ section, text string }

// passages are the shown plain text parts, together at most MaxText octets.
func (f *Facts) passages() []passage {
	s := f.structure()
	if s.read {
		return s.passages
	}
	s.read = true
	room := MaxText
	for _, p := range s.plain {
		if room <= 0 {
			s.cut = true
			break
		}
		text := f.decode(p, room)
		s.cut = s.cut || len(text) > room-utf8.UTFMax // a character that did not fit may be missing
		room -= len(text) + 1
		s.passages = append(s.passages, passage{p.Section, text})
	}
	return s.passages
}

// decode returns at most limit octets of the text of a part, as UTF-8 with LF between lines. An unknown charset is taken
// for UTF-8, as mail programs do.
func (f *Facts) decode(p *message.Part, limit int) string {
	// A character has at most four octets in any charset, and UTF-16 may need four for one of ours.
	most := 4*int64(limit) + 4
	var content bytes.Buffer
	content.Grow(int(min(p.End-p.BodyOffset, most)) + bytes.MinRead)
	content.ReadFrom(io.LimitReader(f.in.Message.Content(p), most))
	raw := content.Bytes()
	name := p.Params["charset"]
	if name != "" && !strings.EqualFold(name, "utf-8") && !strings.EqualFold(name, "us-ascii") {
		if r, err := charset.Reader(name, bytes.NewReader(raw)); err == nil {
			if converted, err := io.ReadAll(io.LimitReader(r, 2*int64(limit)+4)); err == nil {
				raw = converted
			}
		}
	}
	return cut(strings.ReplaceAll(string(raw[:min(len(raw), 2*limit)]), "\r\n", "\n"), limit)
}

// plainText is the text of all shown plain text parts.
func (f *Facts) plainText() string {
	all := f.passages()
	if len(all) == 1 {
		return all[0].text
	}
	var out strings.Builder
	for i, p := range all {
		if i > 0 {
			out.WriteByte('\n')
		}
		out.WriteString(p.text)
	}
	return out.String()
}

// text is what a reader may see: the plain text, and behind it that of the HTML, because mail programs show the one or the
// other and nothing says that they are alike.
func (f *Facts) text() string {
	s := f.structure()
	plain := f.plainText()
	if strings.TrimSpace(plain) == "" {
		plain = ""
	}
	w := textWriter{room: MaxText - len(plain) - len("\n")}
	budget := maxHTML
	for _, p := range s.html {
		if budget <= 0 || w.room <= 0 {
			s.cut = true
			break
		}
		source := f.decode(p, budget)
		s.cut = s.cut || len(source) > budget-utf8.UTFMax
		budget -= len(source)
		w.html(source)
		w.line()
	}
	s.cut = s.cut || len(s.html) > 0 && w.room <= 0
	shown := strings.TrimSpace(w.out.String())
	if plain == "" || shown == "" {
		return cut(plain+shown, MaxText)
	}
	return cut(plain+"\n"+shown, MaxText)
}

// A textWriter reduces HTML to its text: blanks are collapsed, blocks begin new lines.
type textWriter struct {
	out   strings.Builder
	room  int // octets that may still be written
	blank bool
	skip  atom.Atom // the element whose content is left out
}

// html writes the text of a document. It tokenizes and builds no tree, so time is linear and memory is bounded.
func (w *textWriter) html(source string) {
	z := html.NewTokenizer(strings.NewReader(source))
	w.skip = 0
	for w.room > 0 {
		switch z.Next() {
		case html.ErrorToken:
			return
		case html.TextToken:
			if w.skip == 0 {
				w.text(z.Text())
			}
		case html.StartTagToken:
			w.start(z)
		case html.SelfClosingTagToken:
			name, _ := z.TagName()
			w.breakAt(atom.Lookup(name))
		case html.EndTagToken:
			name, _ := z.TagName()
			tag := atom.Lookup(name)
			if tag == w.skip {
				w.skip = 0
			}
			w.breakAt(tag)
		}
	}
}

// start begins an element.
func (w *textWriter) start(z *html.Tokenizer) {
	name, _ := z.TagName()
	tag := atom.Lookup(name)
	switch tag {
	case atom.Script, atom.Style, atom.Title, atom.Noembed, atom.Noframes, atom.Iframe:
		w.skip = tag // raw text elements: the tokenizer ends them where a browser does
	}
	w.breakAt(tag)
}

// breakAt begins a new line, or a new cell, at the elements that do.
func (w *textWriter) breakAt(tag atom.Atom) {
	switch tag {
	case atom.Td, atom.Th:
		w.blank = true
	case atom.Address, atom.Article, atom.Aside, atom.Blockquote, atom.Br, atom.Center, atom.Dd, atom.Div, atom.Dl, atom.Dt,
		atom.Footer, atom.Form, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Header, atom.Hr, atom.Li, atom.Main,
		atom.Ol, atom.P, atom.Pre, atom.Section, atom.Table, atom.Tr, atom.Ul:
		w.line()
	}
}

// line ends the line, unless it is empty.
func (w *textWriter) line() {
	w.blank = false
	if s := w.out.String(); s != "" && s[len(s)-1] != '\n' {
		w.out.WriteByte('\n')
		w.room--
	}
}

// text writes text with blanks collapsed. Soft hyphens and characters without width are left out: they only keep words
// from being found.
func (w *textWriter) text(b []byte) {
	for _, r := range string(b) {
		if w.room <= 0 {
			return
		}
		switch {
		case unicode.IsSpace(r) || r == 0:
			w.blank = true
			continue
		case invisible(r):
			continue
		}
		if s := w.out.String(); w.blank && s != "" && s[len(s)-1] != '\n' {
			w.out.WriteByte(' ')
			w.room--
		}
		w.blank = false
		n, _ := w.out.WriteRune(r)
		w.room -= n
	}
}

// invisible reports whether r takes no place on a screen.
func invisible(r rune) bool {
	switch r {
	case '\u00ad', '\u034f', '\u180e', '\u200b', '\u200c', '\u200d', '\u2060', '\ufeff':
		return true
	}
	return false
}

// html sums up what the HTML scanner has found.
func (f *Facts) html() HTML {
	out := HTML{Present: len(f.structure().html) > 0, Active: []string{}}
	for _, found := range f.in.Report.Findings {
		n := max(found.Count, 1)
		switch found.Kind {
		case scanhtml.KindForm:
			out.Forms += n
		case scanhtml.KindScript:
			out.Scripts += n
		case scanhtml.KindRemote:
			out.Remote += n
		case scanhtml.KindTracker:
			out.Trackers += n
		}
		kind := strings.TrimPrefix(string(found.Kind), "html.")
		if isActive(found.Kind) && !slices.Contains(out.Active, kind) {
			out.Active = append(out.Active, kind)
		}
	}
	slices.Sort(out.Active)
	return out
}

// isActive reports whether a kind of finding is about what acts on its own, or about HTML that could not be looked at well enough
// to say that nothing in it does. What is only loaded does not, and what readers merely take differently does not.
func isActive(kind scan.Kind) bool {
	switch kind {
	case scanhtml.KindScript, scanhtml.KindHandler, scanhtml.KindForm, scanhtml.KindFrame, scanhtml.KindObject, scanhtml.KindMedia,
		scanhtml.KindRefresh, scanhtml.KindMeta, scanhtml.KindBase, scanhtml.KindLinkHint, scanhtml.KindURL, scanhtml.KindCSS,
		scanhtml.KindSVG, scanhtml.KindComment, scanhtml.KindAMP, scanhtml.KindTemplate, scanhtml.KindHidden, scanhtml.KindFallback,
		scanhtml.KindLimit:
		return true
	}
	return false
}
