package office

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"assay/scan/container"
)

// Why a part cannot be read as XML. Programs that open documents refuse such a part or repair it, nobody knows how.
var (
	errNoXML     = errors.New("is no XML")
	errMalformed = errors.New("is malformed XML")
	errDepth     = errors.New("nests elements too deeply")
	errEntities  = errors.New("has a document type with entities of its own")
)

// maxDepth bounds how deep elements may nest. Word refuses what is deeper than some hundred.
const maxDepth = 2000

// An element is the start of an element. It is valid until the next event.
type element struct {
	name  []byte // without the prefix of its namespace
	attrs []byte // as they are written
	depth int    // 1 for the root
}

// A handler takes the events of a part. Text is called, with entities resolved, only while it asks for it: listen
// returns true. The octets are valid until the next event.
type handler interface {
	start(e element)
	end(name []byte, depth int)
	listening() bool
	text(t []byte)
}

// An info is what parse says about a part besides its events.
type info struct {
	doctype bool // it has a document type declaration
	root    string
	attrs   string // of the root, as written
}

// parse reads XML (XML 1.0, Fifth Edition) without resolving anything: no external entity, no entity of the document's own. It
// goes on as far as it can and then says what was wrong. In a loose part, which VML in workbooks is, tags need not match.
func parse(content []byte, loose bool, b *container.Budget, h handler) (info, error) {
	p := parser{rest: content, loose: loose, budget: b, handler: h}
	err := p.run()
	return p.doc, err
}

// A parser reads one part.
type parser struct {
	rest    []byte
	loose   bool
	budget  *container.Budget
	handler handler
	doc     info
	open    [][]byte // names, with prefixes, of the elements that are open
	rooted  bool
	wrong   error // the first thing that is wrong
	buffer  []byte
}

// run reads to the end.
func (p *parser) run() error {
	for len(p.rest) > 0 {
		if err := p.budget.Check(); err != nil {
			return err
		}
		i := bytes.IndexByte(p.rest, '<')
		if i < 0 {
			i = len(p.rest)
		}
		if i > 0 {
			p.chars(p.rest[:i])
			p.rest = p.rest[i:]
			continue
		}
		if err := p.markup(); err != nil {
			return err
		}
	}
	switch {
	case p.wrong != nil:
		return p.wrong
	case !p.rooted:
		return errNoXML
	case len(p.open) > 0:
		return errMalformed
	}
	return nil
}

// fail remembers what is wrong.
func (p *parser) fail(err error) {
	if p.wrong == nil {
		p.wrong = err
	}
}

// chars passes text on.
func (p *parser) chars(t []byte) {
	if len(p.open) == 0 {
		if len(bytes.TrimSpace(t)) > 0 {
			p.fail(errMalformed)
		}
		return
	}
	if p.handler.listening() {
		p.handler.text(p.unescape(t))
	}
}

// markup reads what begins with "<".
func (p *parser) markup() error {
	rest := p.rest
	switch {
	case len(rest) < 2:
		return p.cutOff()
	case rest[1] == '?':
		return p.skip("?>")
	case rest[1] == '/':
		return p.endTag()
	case rest[1] != '!':
		return p.startTag()
	case bytes.HasPrefix(rest, []byte("<!--")):
		p.rest = rest[4:]
		return p.skip("-->")
	case bytes.HasPrefix(rest, []byte("<![CDATA[")):
		return p.cdata()
	case len(rest) >= 9 && strings.EqualFold(string(rest[:9]), "<!DOCTYPE"):
		return p.doctype()
	}
	p.fail(errMalformed)
	return p.skip(">")
}

// skip goes behind an end mark. What is behind a construct without an end is not looked at: to do so again and again would
// take forever.
func (p *parser) skip(end string) error {
	i := bytes.Index(p.rest, []byte(end))
	if i < 0 {
		return p.cutOff()
	}
	p.rest = p.rest[i+len(end):]
	return nil
}

// cutOff ends the work on a part in which a construct has no end.
func (p *parser) cutOff() error {
	p.rest = nil
	p.fail(errMalformed)
	return nil
}

// cdata passes a CDATA section on.
func (p *parser) cdata() error {
	from := p.rest[9:]
	i := bytes.Index(from, []byte("]]>"))
	if i < 0 {
		return p.cutOff()
	}
	if len(p.open) == 0 {
		p.fail(errMalformed)
	} else if p.handler.listening() {
		p.handler.text(from[:i])
	}
	p.rest = from[i+3:]
	return nil
}

// doctype goes behind a document type declaration.
func (p *parser) doctype() error {
	p.doc.doctype = true
	i := bytes.IndexAny(p.rest, ">[")
	switch {
	case i < 0:
		return p.cutOff()
	case p.rest[i] == '>':
		p.rest = p.rest[i+1:]
	default:
		p.fail(errEntities)
		p.rest = p.rest[i+1:]
		return p.skip("]")
	}
	return nil
}

// endTag reads the end of an element.
func (p *parser) endTag() error {
	i := bytes.IndexByte(p.rest, '>')
	if i < 0 {
		return p.cutOff()
	}
	name := p.rest[2:i]
	if isBlank(p.rest[i-1]) {
		name = bytes.TrimRight(name, " \t\r\n")
	}
	p.rest = p.rest[i+1:]
	n := len(p.open)
	if n == 0 || !bytes.Equal(p.open[n-1], name) {
		if !p.loose {
			p.fail(errMalformed)
		}
		if n = p.opened(name); n == 0 {
			return nil
		}
	}
	for len(p.open) >= n {
		last := len(p.open) - 1
		p.handler.end(local(p.open[last]), len(p.open))
		p.open = p.open[:last]
	}
	return nil
}

// opened returns at which depth an element of the name is open, not far from here; 0 if none is.
func (p *parser) opened(name []byte) int {
	for n := len(p.open); n > max(0, len(p.open)-20); n-- {
		if bytes.Equal(p.open[n-1], name) {
			return n
		}
	}
	return 0
}

// startTag reads the start of an element.
func (p *parser) startTag() error {
	end, ok := tagEnd(p.rest)
	if !ok {
		return p.cutOff()
	}
	tag := p.rest[1:end]
	p.rest = p.rest[end+1:]
	empty := len(tag) > 0 && tag[len(tag)-1] == '/'
	if empty {
		tag = tag[:len(tag)-1]
	}
	n := 0
	for n < len(tag) && !isBlank(tag[n]) {
		n++
	}
	if n == 0 {
		p.fail(errMalformed)
		return nil
	}
	return p.element(tag[:n], tag[n:], empty)
}

// element passes an element on.
func (p *parser) element(name, attrs []byte, empty bool) error {
	if len(p.open) == 0 {
		if p.rooted {
			p.fail(errMalformed)
		} else {
			p.doc.root, p.doc.attrs = string(local(name)), string(attrs[:min(len(attrs), 8192)])
		}
		p.rooted = true
	}
	if len(p.open) >= maxDepth {
		return errDepth
	}
	p.open = append(p.open, name)
	e := element{name: local(name), attrs: attrs, depth: len(p.open)}
	p.handler.start(e)
	if empty || p.loose && string(e.name) == "br" {
		p.handler.end(e.name, len(p.open))
		p.open = p.open[:len(p.open)-1]
	}
	return nil
}

// tagEnd finds the ">" of a tag outside of the values of its attributes.
func tagEnd(tag []byte) (int, bool) {
	for at := 1; at < len(tag); at++ {
		switch c := tag[at]; c {
		case '>':
			return at, true
		case '"', '\'':
			j := bytes.IndexByte(tag[at+1:], c)
			if j < 0 {
				return 0, false
			}
			at += j + 1
		}
	}
	return 0, false
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// local returns a name without its prefix.
func local(name []byte) []byte {
	return name[bytes.IndexByte(name, ':')+1:]
}

// eachAttr calls f with the attributes of an element: the name without the prefix, and the value with entities
// resolved. It stops when f returns false.
func (e element) eachAttr(f func(name, value string) bool) {
	rest := e.attrs
	for {
		rest = bytes.TrimLeft(rest, " \t\r\n/")
		i := bytes.IndexByte(rest, '=')
		if i < 0 {
			return
		}
		name := bytes.TrimRight(rest[:i], " \t\r\n")
		rest = bytes.TrimLeft(rest[i+1:], " \t\r\n")
		if len(rest) == 0 || rest[0] != '"' && rest[0] != '\'' {
			return
		}
		j := bytes.IndexByte(rest[1:], rest[0])
		if j < 0 {
			return
		}
		if !f(string(local(name)), string(unescape(nil, rest[1:1+j]))) {
			return
		}
		rest = rest[j+2:]
	}
}

// attr returns the value of an attribute, by its name without a prefix; "" if there is none.
func (e element) attr(name string) string {
	out := ""
	if !bytes.Contains(e.attrs, []byte(name)) {
		return out
	}
	e.eachAttr(func(n, value string) bool {
		if n == name {
			out = value
		}
		return n != name
	})
	return out
}

// unescape resolves the entities in a text.
func (p *parser) unescape(t []byte) []byte {
	if bytes.IndexByte(t, '&') < 0 {
		return t
	}
	p.buffer = unescape(p.buffer[:0], t)
	return p.buffer
}

// unescape appends a text with the predefined entities and character references resolved (XML 1.0 Section 4.6 and 4.1).
func unescape(out, t []byte) []byte {
	for {
		i := bytes.IndexByte(t, '&')
		if i < 0 {
			return append(out, t...)
		}
		out = append(out, t[:i]...)
		t = t[i:]
		n := bytes.IndexByte(t[:min(len(t), 16)], ';')
		r, ok := rune(0), false
		if n > 0 {
			r, ok = reference(string(t[1:n]))
		}
		if !ok {
			out, t = append(out, '&'), t[1:]
			continue
		}
		out, t = utf8.AppendRune(out, r), t[n+1:]
	}
}

// reference resolves what stands between "&" and ";".
func reference(name string) (rune, bool) {
	switch name {
	case "amp":
		return '&', true
	case "lt":
		return '<', true
	case "gt":
		return '>', true
	case "quot":
		return '"', true
	case "apos":
		return '\'', true
	}
	digits, ok := strings.CutPrefix(name, "#")
	if !ok {
		return 0, false
	}
	base := 10
	if strings.HasPrefix(digits, "x") || strings.HasPrefix(digits, "X") {
		digits, base = digits[1:], 16
	}
	n, err := strconv.ParseUint(digits, base, 21)
	return rune(n), err == nil
}
