package html

import (
	"bytes"

	"golang.org/x/net/html"
)

// A proof is what the verification says about a document.
type proof uint8

const (
	refused  proof = iota // something is in it that must not be, or the parser could not read it
	proven                // every reader sees only what is allowed
	tooLarge              // the parser would need more than the limit
)

// verify checks a document with other code than that which made it.
//
// When nothing was changed, the filter found every construct of the document to be of the strict form. It then is enough
// that a second tokenizer reads the same number of tags and attributes and that each of them is allowed: HTML's tree
// construction makes elements only from start tags that the tokenizer emits, with their attributes, and implied html,
// head, body, tbody, tr, colgroup and p without any. It changes the state of the tokenizer only for elements that are not of the
// allow-list, and for style and title, whose content both tokenizers read in the same way. (HTML Standard Section
// 13.2.6.4; adoption agency and foster parenting move and copy elements, and never make a new one of another name.)
// A document that could be deeper than the parser reads is unusual, and gets the long proof.
//
// When anything was changed the document is not what the sender wrote but what the filter did, and the tree parser has
// to agree, with scripting off and on. Scripting makes a difference to the parser in one place only, the start tag of
// noscript, and without scripting that makes an element, unless it is inside of another noscript, a select, a template or a frameset,
// which make one. None of them is allowed. A tree that was accepted without scripting is therefore the tree with
// scripting, too, and is not built twice; the tests build it twice.
func (f *filter) verify(out []byte) proof {
	if !f.changed && f.deepest < f.c.limits.Depth {
		return f.verifyTokens(out)
	}
	if f.building.nodes > f.c.limits.Nodes {
		f.c.limit("nodes")
		return tooLarge
	}
	doc, err := html.ParseWithOptions(bytes.NewReader(out), html.ParseOptionEnableScripting(false))
	if err != nil || !f.verifyTree(doc) {
		return refused
	}
	return proven
}

// checker returns a filter that judges and reports nothing.
func (f *filter) checker() *filter {
	check := newFilter(&cleaner{level: f.c.level, forms: f.c.forms, limits: f.c.limits}, nil, f.doc)
	check.quiet = true
	return check
}

// verifyTokens reads a document with the tokenizer of x/net/html.
func (f *filter) verifyTokens(out []byte) proof {
	check := f.checker()
	z := html.NewTokenizer(bytes.NewReader(out))
	var starts, closes, count int
	style := false
	var attrs []attr
	for {
		switch z.Next() {
		case html.ErrorToken:
			if len(z.Raw()) == 0 && starts == f.starts && closes == f.closes && count == f.attrs {
				return proven
			}
			return refused
		case html.StartTagToken, html.SelfClosingTagToken:
			name, more := z.TagName()
			attrs = attrs[:0]
			for more {
				var a attr
				if a.name, a.value, more = z.TagAttr(); len(attrs) >= maxAttrs {
					return refused
				}
				attrs = append(attrs, a)
			}
			if starts++; !check.allows(name, attrs) {
				return refused
			}
			count += len(attrs)
			style = string(name) == "style"
		case html.EndTagToken:
			name, _ := z.TagName()
			if fate, _ := check.element(name); fate != keepElement {
				return refused
			}
			closes++
		case html.TextToken:
			if style {
				if _, sum := check.css(z.Raw()); sum.changed {
					return refused
				}
			}
		case html.CommentToken:
			if !check.allowsComment(z.Raw()) {
				return refused
			}
		}
		style = style && !bytes.HasPrefix(z.Raw(), []byte("</"))
	}
}

// allows says whether an element may be there with these attributes, whose values are decoded.
func (f *filter) allows(name []byte, attrs []attr) bool {
	if fate, _ := f.tag(name, attrs); fate != keepElement {
		return false
	}
	for _, a := range attrs {
		if v := f.judge(name, a, a.value); !v.keep || v.changed {
			return false
		}
	}
	return true
}

// allowsComment judges a comment as written.
func (f *filter) allowsComment(raw []byte) bool {
	if !bytes.HasPrefix(raw, []byte("<!--")) {
		return harmlessBogus(raw, true)
	}
	if len(raw) < 7 || !bytes.HasSuffix(raw, []byte("-->")) {
		return false
	}
	data := raw[4 : len(raw)-3]
	out, ok := f.judgeComment(data)
	return ok && bytes.Equal(out, data)
}

// verifyTree judges every node of a tree, without recursion.
func (f *filter) verifyTree(root *html.Node) bool {
	check := f.checker()
	var attrs []attr
	var buf []byte // of the current element
	for n := root; n != nil; n = following(root, n) {
		switch n.Type {
		case html.CommentNode:
			if !check.allowsData([]byte(n.Data)) {
				return false
			}
		case html.ElementNode:
			attrs, buf = attrs[:0], append(buf[:0], n.Data...)
			for _, a := range n.Attr {
				if a.Namespace != "" {
					return false
				}
				from := len(buf)
				buf = append(append(buf, a.Key...), a.Val...)
				attrs = append(attrs, attr{name: buf[from : from+len(a.Key)], value: buf[from+len(a.Key):]})
			}
			if n.Namespace != "" || !check.allows(buf[:len(n.Data)], attrs) {
				return false
			}
			if n.Data == "style" && n.FirstChild != nil {
				if _, sum := check.css([]byte(n.FirstChild.Data)); sum.changed {
					return false
				}
			}
		case html.RawNode:
			return false
		}
	}
	return true
}

// allowsData judges a comment by what the parser took as its content; it does not say which kind of comment it was.
func (f *filter) allowsData(data []byte) bool {
	if harmlessBogus(append(append([]byte("<!"), data...), '>'), true) || harmlessBogus(append(append([]byte("<"), data...), '>'), true) {
		return true
	}
	out, ok := f.judgeComment(data)
	return ok && bytes.Equal(out, data)
}

// following returns the node behind n in document order, nil behind the last.
func following(root, n *html.Node) *html.Node {
	if n.FirstChild != nil {
		return n.FirstChild
	}
	for n != root && n.NextSibling == nil {
		n = n.Parent
	}
	if n == root {
		return nil
	}
	return n.NextSibling
}

// rewrite parses a document and writes it as the parser understood it.
func rewrite(src []byte) ([]byte, bool) {
	doc, err := html.Parse(bytes.NewReader(src))
	if err != nil {
		return nil, false
	}
	var out bytes.Buffer
	if err := html.Render(&out, doc); err != nil {
		return nil, false
	}
	return out.Bytes(), true
}

// A cost estimates how many nodes the tree parser builds. The parser copies formatting elements that are open where a
// block ends, so a few hundred unclosed <font> in front of many <p> become millions of nodes.
type cost struct {
	nodes  int
	active int // formatting elements that may be open
	levels []level
}

// A level is a table or a cell: an end tag inside of it closes nothing outside.
type level struct {
	cell   bool
	active int
}

const maxLevels = 600

func (c *cost) node() { c.nodes += 1 + c.active }

func (c *cost) start(name []byte) {
	c.node()
	switch {
	case formatting(name):
		c.active++
		if n := len(c.levels); n > 0 {
			c.levels[n-1].active++
		}
	case string(name) == "table":
		c.push(false)
	case (string(name) == "td" || string(name) == "th" || string(name) == "caption") && len(c.levels) > 0:
		if c.levels[len(c.levels)-1].cell {
			c.pop()
		}
		c.push(true)
	}
}

func (c *cost) push(cell bool) {
	if len(c.levels) >= maxLevels {
		c.nodes += 1 << 20 // deeper than the parser reads
		return
	}
	c.levels = append(c.levels, level{cell: cell})
}

// pop forgets a level. A cell takes with it what was opened in it, for the parser closes that with the cell.
func (c *cost) pop() {
	n := len(c.levels) - 1
	if c.levels[n].cell {
		c.active -= c.levels[n].active
	} else if n > 0 {
		c.levels[n-1].active += c.levels[n].active
	}
	c.levels = c.levels[:n]
}

func (c *cost) end(name []byte) {
	n := len(c.levels)
	switch {
	case formatting(name):
		if n == 0 && c.active > 0 {
			c.active--
		} else if n > 0 && c.levels[n-1].active > 0 {
			c.active--
			c.levels[n-1].active--
		}
	case n == 0:
	case string(name) == "table":
		if c.levels[n-1].cell {
			c.pop()
		}
		if len(c.levels) > 0 {
			c.pop()
		}
	case (string(name) == "td" || string(name) == "th" || string(name) == "caption") && c.levels[n-1].cell:
		c.pop()
	}
}

// formatting says whether an element is one that the parser opens again (HTML Standard Section 13.2.4.3).
func formatting(name []byte) bool {
	switch string(name) {
	case "a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u":
		return true
	}
	return false
}
