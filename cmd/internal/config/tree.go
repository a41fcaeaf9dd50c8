package config

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A key is one row of the table of keys.
type key struct {
	path     string // "listen.milter"
	doc      string // what it does, in full sentences
	schema   map[string]any
	decode   func(*reader, *yaml.Node) bool // sets the key from a node, or reports why not
	reset    func(*Config)                  // sets the default
	value    func(*Config) any              // the value in terms of YAML and JSON
	fallback func() any                     // the default in terms of YAML and JSON
}

// name returns the last word of the key's path.
func (k *key) name() string { return k.path[strings.LastIndexByte(k.path, '.')+1:] }

// newKey makes a row: how values are written, the default, where in the Config it is kept, and what it does.
func newKey[T any](path string, c codec[T], fallback T, at func(*Config) *T, doc string) *key {
	return &key{
		path: path, doc: doc, schema: c.schema(),
		decode: func(r *reader, n *yaml.Node) bool {
			v, ok := c.decode(r, path, n)
			if ok {
				*at(r.config) = v
			}
			return ok
		},
		reset:    func(cfg *Config) { *at(cfg) = fallback },
		value:    func(cfg *Config) any { return c.show(*at(cfg)) },
		fallback: func() any { return c.show(fallback) },
	}
}

// A node is a section or a key in the tree of all keys.
type node struct {
	path     string // "" for the root
	name     string
	doc      string // of a section
	key      *key   // nil for a section
	children []*node
	root     *node
}

// newSection makes a row that only documents a section.
func newSection(path, doc string) *key { return &key{path: path, doc: doc} }

// isSection says whether the row is about a section.
func (k *key) isSection() bool { return k.decode == nil }

// keys returns the rows of the table that are keys.
func keys() []*key { return slices.DeleteFunc(rows(), (*key).isSection) }

// tree arranges all rows by section, in the order of the table.
func tree() *node {
	root := &node{}
	root.root = root
	for _, k := range rows() {
		if k.isSection() {
			root.section(k.path).doc = k.doc
			continue
		}
		parent := root
		if i := strings.LastIndexByte(k.path, '.'); i >= 0 {
			parent = root.section(k.path[:i])
		}
		parent.children = append(parent.children, &node{path: k.path, name: k.name(), doc: k.doc, key: k, root: root})
	}
	return root
}

// section returns the section with the given path, made if need be.
func (n *node) section(path string) *node {
	first, rest, deeper := strings.Cut(path, ".")
	child := n.child(first)
	if child == nil {
		full := first
		if n.path != "" {
			full = n.path + "." + first
		}
		child = &node{path: full, name: first, root: n.root}
		n.children = append(n.children, child)
	}
	if deeper {
		return child.section(rest)
	}
	return child
}

// child returns the key or section with the given name, nil if there is none.
func (n *node) child(name string) *node {
	for _, c := range n.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

// where returns ` in "section"`, and nothing for the root.
func (n *node) where() string {
	if n.path == "" {
		return ""
	}
	return ` in "` + n.path + `"`
}

// hint says which key was probably meant by an unknown one: a near one in the same section, or the same word elsewhere.
func (n *node) hint(name string) string {
	names := make([]string, len(n.children))
	for i, c := range n.children {
		names[i] = c.name
	}
	if hint := DidYouMean(name, names); hint != "" {
		return hint
	}
	if elsewhere := n.root.find(name); elsewhere != nil {
		return ` (did you mean "` + elsewhere.path + `"?)`
	}
	return ""
}

// find returns the first key or section below n whose name is the given word.
func (n *node) find(name string) *node {
	for _, c := range n.children {
		if c.name == name {
			return c
		}
		if found := c.find(name); found != nil {
			return found
		}
	}
	return nil
}
