package ruletest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"assay/rules"
)

// Bounds of test files.
const (
	maxTests    = 10_000 // tests of one file
	maxProblems = 100    // problems of one file that are listed
	maxDepth    = 50     // nesting of YAML
)

// A document is one test file while it is decoded.
type document struct {
	name     string // as shown to people
	lines    []string
	problems rules.Problems
}

// report adds an error at a node.
func (d *document) report(n *yaml.Node, format string, args ...any) {
	d.reportAt(n.Line, n.Column, fmt.Sprintf(format, args...))
}

// reportAt adds an error at a place; line 0 is the file as a whole.
func (d *document) reportAt(line, column int, text string) {
	if len(d.problems) == maxProblems {
		return
	}
	p := rules.Problem{File: d.name, Line: line, Column: max(column, 1), Message: text}
	if line >= 1 && line <= len(d.lines) {
		p.Source = d.lines[line-1]
	}
	d.problems = append(d.problems, p)
}

// root returns the mapping that a test file consists of, nil with a problem if it does not.
func (d *document) root(text []byte) *yaml.Node {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	d.lines = strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n")
	if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
		d.reportAt(0, 0, "this is not UTF-8 text: save the file in the encoding UTF-8, without NUL octets")
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(text))
	if err != nil {
		d.syntax(err)
		return nil
	}
	var first, second yaml.Node
	if err := loader.Load(&first); err != nil && !errors.Is(err, io.EOF) {
		d.syntax(err)
		return nil
	}
	if err := loader.Load(&second); err == nil {
		d.report(&second, "a second document begins here: a test file is one document, remove the line with ---")
		return nil
	} else if !errors.Is(err, io.EOF) {
		d.syntax(err)
		return nil
	}
	if len(first.Content) == 0 || isNull(first.Content[0]) {
		d.reportAt(0, 0, "the file is empty: write \"format: 1\" and \"tests:\", or remove the file")
		return nil
	}
	top := first.Content[0]
	if !d.plain(top, 0) {
		return nil
	}
	return top
}

// plain reports whether a tree has neither anchors nor aliases, which could make a small file expand to a very large one,
// and no more than a bounded depth.
func (d *document) plain(n *yaml.Node, depth int) bool {
	switch {
	case depth > maxDepth:
		d.report(n, "nested more than %d levels deep", maxDepth)
		return false
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		d.report(n, "anchors (&name) and aliases (*name) are not supported: write the value out")
		return false
	}
	for _, child := range n.Content {
		if !d.plain(child, depth+1) {
			return false
		}
	}
	return true
}

// syntax reports an error of the YAML parser.
func (d *document) syntax(err error) {
	var load *yaml.LoadError
	if !errors.As(err, &load) {
		d.reportAt(0, 0, fmt.Sprintf("not valid YAML: %v", err))
		return
	}
	line, column := load.Mark.Line, load.Mark.Column
	if load.ContextMsg == "while scanning a quoted scalar" && strings.Contains(load.Message, "unexpected end") {
		d.reportAt(load.ContextMark.Line, load.ContextMark.Column, "the quote that opens here is never closed")
		return
	}
	if line > len(d.lines) {
		line, column = len(d.lines), 1
	}
	if line >= 1 && strings.HasPrefix(strings.TrimLeft(d.lines[line-1], " "), "\t") {
		d.reportAt(line, column, "a tab: indent with blanks, YAML does not allow tabs")
		return
	}
	d.reportAt(line, column, "not valid YAML: "+load.Message)
}

// A handler decodes the value of one key.
type handler func(n *yaml.Node)

// fields decodes a mapping. What names it in messages, such as "a test"; unknown and repeated keys are errors.
func (d *document) fields(n *yaml.Node, what string, keys map[string]handler) {
	if n.Kind != yaml.MappingNode {
		d.report(n, "%s consists of keys with a colon behind them: %s", what, strings.Join(sortedKeys(keys), ", "))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		decode, known := keys[key.Value]
		switch {
		case !known:
			d.report(key, "%s has no key %q%s", what, clip(key.Value), didYouMean(key.Value, sortedKeys(keys)))
		case seen[key.Value]:
			d.report(key, "%q stands here twice", key.Value)
		default:
			seen[key.Value] = true
			decode(value)
		}
	}
}

// text returns a handler for a single text.
func (d *document) text(to *string, what string) handler {
	return func(n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || isNull(n) {
			d.report(n, "%s must be a text", what)
			return
		}
		*to = n.Value
	}
}

// optional returns a handler for a single text that may be left out.
func (d *document) optional(to **string, what string) handler {
	return func(n *yaml.Node) {
		var s string
		before := len(d.problems)
		d.text(&s, what)(n)
		if len(d.problems) == before {
			*to = &s
		}
	}
}

// word returns a handler for one word of several.
func (d *document) word(to **string, what string, words ...string) handler {
	return func(n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || !slices.Contains(words, n.Value) {
			d.report(n, "%s must be one of %s%s", what, strings.Join(words, ", "), didYouMean(n.Value, words))
			return
		}
		*to = &n.Value
	}
}

// list returns a handler for a list of texts.
func (d *document) list(to *[]*yaml.Node, what string) handler {
	return func(n *yaml.Node) {
		*to = []*yaml.Node{}
		if n.Kind != yaml.SequenceNode {
			d.report(n, "%s must be a list, such as [one, two], or [] for none", what)
			return
		}
		for _, item := range n.Content {
			if item.Kind != yaml.ScalarNode || isNull(item) {
				d.report(item, "%s must be a list of texts; a text with a colon and a blank in it needs quotes", what)
				continue
			}
			*to = append(*to, item)
		}
	}
}

// yesNo returns a handler for true or false.
func (d *document) yesNo(to *bool, what string) handler {
	return func(n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" || n.Decode(to) != nil {
			d.report(n, "%s must be true or false", what)
		}
	}
}

// instant returns a handler for a time.
func (d *document) instant(to *time.Time, what string) handler {
	return func(n *yaml.Node) {
		at, err := time.Parse(time.RFC3339, n.Value)
		if n.Kind != yaml.ScalarNode || err != nil {
			d.report(n, "%s must be an instant such as 2026-11-01T12:00:00Z", what)
			return
		}
		*to = at
	}
}

// file returns a handler for the path of a file, relative to the directory of the test file.
func (d *document) file(to *place, what, dir string) handler {
	return func(n *yaml.Node) {
		var name string
		before := len(d.problems)
		if d.text(&name, what)(n); len(d.problems) > before {
			return
		}
		full := path.Join(dir, name)
		if name == "" || path.IsAbs(name) || full == ".." || strings.HasPrefix(full, "../") {
			d.report(n, "%s must be a path below the directory of the rules, such as testdata/%s", what, "message.eml")
			return
		}
		*to = place{full, n.Line, n.Column}
	}
}

// A place is a name in a test file and where it stands.
type place struct {
	name         string
	line, column int
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// sortedKeys returns the keys of a table for messages.
func sortedKeys(keys map[string]handler) []string {
	names := make([]string, 0, len(keys))
	for name := range keys {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// clip shortens a word of a file for a message.
func clip(s string) string {
	const longest = 60
	if runes := []rune(s); len(runes) > longest {
		return string(runes[:longest]) + "..."
	}
	return s
}
