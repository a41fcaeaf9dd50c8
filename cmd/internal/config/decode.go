package config

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A reader decodes one document and collects what is wrong with it.
type reader struct {
	name     string   // of the file, as the administrator named it
	lines    []string // of the file
	config   *Config
	origins  map[string]origin
	problems Problems
}

// An origin is where the value of a key comes from.
type origin struct {
	name   string // file, or environment variable
	line   int    // 0 for an environment variable
	column int
}

// String returns "file:line" or "environment NAME".
func (o origin) String() string {
	if o.line == 0 {
		return "environment " + o.name
	}
	return fmt.Sprintf("%s:%d", o.name, o.line)
}

// report adds a problem at a node.
func (r *reader) report(n *yaml.Node, format string, args ...any) {
	r.reportAt(n.Line, n.Column, fmt.Sprintf(format, args...))
}

// reportAt adds a problem at a place of the file.
func (r *reader) reportAt(line, column int, message string) {
	p := Problem{File: r.name, Line: line, Column: max(column, 1), Message: message}
	if line >= 1 && line <= len(r.lines) {
		p.Source = r.lines[line-1]
	}
	r.problems = append(r.problems, p)
}

// document decodes the text of a whole file.
func (r *reader) document(text []byte, root *node) {
	r.lines = strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n")
	top, ok := r.parse(text)
	if !ok || top == nil {
		return
	}
	if top.Kind == yaml.ScalarNode && top.ShortTag() == "!!null" {
		return
	}
	if top.Kind != yaml.MappingNode {
		r.report(top, "the file must be a mapping of sections")
		return
	}
	r.section(top, root)
}

// parse returns the root node of the only document of the file, nil for an empty file.
func (r *reader) parse(text []byte) (*yaml.Node, bool) {
	loader, err := yaml.NewLoader(strings.NewReader(string(text)))
	if err != nil {
		r.syntax(err)
		return nil, false
	}
	var first, second yaml.Node
	if err := loader.Load(&first); errors.Is(err, io.EOF) {
		return nil, true
	} else if err != nil {
		r.syntax(err)
		return nil, false
	}
	switch err := loader.Load(&second); {
	case err == nil:
		r.report(&second, "a second document: the configuration is one document")
	case !errors.Is(err, io.EOF):
		r.syntax(err)
		return nil, false
	}
	if len(first.Content) == 0 {
		return nil, true
	}
	return resolve(first.Content[0]), true
}

// syntax reports an error of the YAML parser.
func (r *reader) syntax(err error) {
	var load *yaml.LoadError
	if !errors.As(err, &load) {
		r.reportAt(0, 0, "not valid YAML: "+err.Error())
		return
	}
	message := load.Message
	if load.ContextMsg != "" {
		message = load.ContextMsg + ": " + message
	}
	line, column := load.Mark.Line, load.Mark.Column
	if line == 0 && load.Mark.Index > 0 {
		line, column = r.place(load.Mark.Index)
	}
	if line >= 1 && line <= len(r.lines) && strings.HasPrefix(strings.TrimLeft(r.lines[line-1], " "), "\t") {
		message += " (YAML is indented with blanks, never with tabs)"
	}
	r.reportAt(line, column, "not valid YAML: "+message)
}

// place returns the line and column of an octet of the file.
func (r *reader) place(index int) (line, column int) {
	for i, text := range r.lines {
		if index <= len(text) {
			return i + 1, len([]rune(text[:index])) + 1
		}
		index -= len(text) + 1
	}
	return 0, 0
}

// section decodes a mapping against the keys and sections that may stand in it.
func (r *reader) section(n *yaml.Node, in *node) {
	first := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := resolve(n.Content[i]), resolve(n.Content[i+1])
		if name.Kind != yaml.ScalarNode {
			r.report(n.Content[i], "a key must be a word")
			continue
		}
		if line, twice := first[name.Value]; twice {
			r.report(n.Content[i], "duplicate key %q%s, first in line %d", clip(name.Value), in.where(), line)
			continue
		}
		first[name.Value] = n.Content[i].Line
		switch child := in.child(name.Value); {
		case child == nil:
			r.report(n.Content[i], "unknown key %q%s%s", clip(name.Value), in.where(), in.hint(name.Value))
		case child.key != nil:
			r.key(value, child.key)
		case value.Kind == yaml.MappingNode:
			r.section(value, child)
		case value.ShortTag() != "!!null":
			r.report(n.Content[i+1], "%s: must be a section: its keys stand indented on the lines below", child.path)
		}
	}
}

// key decodes the value of a key into the configuration.
func (r *reader) key(n *yaml.Node, k *key) {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		r.report(n, "%s: has no value: remove the key to use the default %s", k.path, flow(k.fallback()))
		return
	}
	if k.decode(r, n) {
		r.origins[k.path] = origin{r.name, n.Line, n.Column}
	}
}

// word returns the text of a scalar node.
func (r *reader) word(path string, n *yaml.Node) (string, bool) {
	if n.Kind != yaml.ScalarNode {
		r.report(n, "%s: must be a single value", path)
		return "", false
	}
	switch n.ShortTag() {
	case "!!str", "!!int", "!!float", "!!bool", "!!timestamp", "!!merge":
		return n.Value, true
	case "!!null":
		r.report(n, "%s: has no value", path)
	default:
		r.report(n, "%s: the tag %q has no meaning here", path, clip(n.Tag))
	}
	return "", false
}

// resolve follows an alias to the node it stands for.
func resolve(n *yaml.Node) *yaml.Node {
	for range 8 { // an alias names an anchored node, which is never itself an alias; the bound is for peace of mind
		if n.Kind != yaml.AliasNode || n.Alias == nil {
			return n
		}
		n = n.Alias
	}
	return n
}
