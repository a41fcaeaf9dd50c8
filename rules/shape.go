package rules

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A shape is what may stand behind a key. It checks a node and describes itself to editors, so that the two cannot
// drift apart.
type shape interface {
	// check reports what is wrong with a node; path names it in messages. What is refused is not decoded.
	check(d *document, n *yaml.Node, path string)
	schema() map[string]any
}

// A key is one key of an object.
type key struct {
	name     string
	doc      string
	required bool
	shape    shape
}

// absent reports a node that is no value at all.
func absent(d *document, n *yaml.Node, path, cure string) bool {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		d.refuse(n, "%s: anchors (&name) and aliases (*name) are not supported; a value that begins with & or * needs quotes", path)
		return true
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null":
		d.refuse(n, "%s has no value: %s", path, cure)
		return true
	}
	return false
}

// tagged reports a node with a tag of its own, which is nearly always an expression that begins with "!".
func tagged(d *document, n *yaml.Node, path string) bool {
	if n.Style&yaml.TaggedStyle == 0 {
		return false
	}
	d.refuse(n, "%s: YAML takes a value that begins with ! for a tag: put the whole value in single quotes, or write it below, indented, after a |", path)
	return true
}

// text is a scalar that is taken as it is written.
type text struct {
	example string
	pattern string                // for editors
	valid   func(s string) string // returns what is wrong with a text, "" if nothing
}

func (t text) check(d *document, n *yaml.Node, path string) {
	if tagged(d, n, path) || absent(d, n, path, "write "+t.sample()) {
		return
	}
	if n.Kind != yaml.ScalarNode {
		d.refuse(n, "%s must be a single text%s", path, t.bracket(n))
		return
	}
	if strings.TrimSpace(n.Value) == "" {
		d.refuse(n, "%s is empty: write %s", path, t.sample())
		return
	}
	if t.valid != nil {
		if wrong := t.valid(n.Value); wrong != "" {
			d.refuse(n, "%s: %s", path, wrong)
			return
		}
	}
}

// bracket explains a value that YAML takes for a list or a mapping.
func (t text) bracket(n *yaml.Node) string {
	switch {
	case n.Style&yaml.FlowStyle != 0 && n.Kind == yaml.SequenceNode:
		return ", not a list: a text that begins with [ needs quotes"
	case n.Style&yaml.FlowStyle != 0:
		return ", not a mapping: a text that begins with { needs quotes"
	case n.Kind == yaml.SequenceNode:
		return ", not a list"
	}
	return ", not a mapping: a text with a colon and a blank in it needs quotes"
}

// sample is what could be written.
func (t text) sample() string {
	if t.example == "" {
		return "a text"
	}
	return "for example " + t.example
}

func (t text) schema() map[string]any {
	s := map[string]any{"type": "string"}
	if t.pattern != "" {
		s["pattern"] = t.pattern
	}
	if t.example != "" {
		s["examples"] = []string{t.example}
	}
	return s
}

// date is a day.
type date struct{ text }

func (t date) schema() map[string]any {
	return map[string]any{"type": "string", "format": "date", "examples": []string{t.example}}
}

// expression is a CEL expression; template is text with ${expression} in it. They are compiled later.
type (
	expression struct{ text }
	template   struct{ text }
)

// choice is one of some words.
type choice []string

func (c choice) check(d *document, n *yaml.Node, path string) {
	if tagged(d, n, path) || absent(d, n, path, "write "+oneOf(c)) {
		return
	}
	if n.Kind == yaml.ScalarNode && slices.Contains(c, n.Value) {
		return
	}
	if n.Kind != yaml.ScalarNode {
		d.refuse(n, "%s must be one of the words %s", path, oneOf(c))
	} else {
		d.refuse(n, "%s: %q is not possible%s, write %s", path, clip(n.Value), didYouMean(n.Value, c), oneOf(c))
	}
}

func (c choice) schema() map[string]any { return map[string]any{"enum": []string(c)} }

// oneOf returns "a, b or c".
func oneOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// boolean is true or false.
type boolean struct{ only bool } // only: false has no meaning

func (b boolean) check(d *document, n *yaml.Node, path string) {
	want := "true or false"
	if b.only {
		want = "true"
	}
	if tagged(d, n, path) || absent(d, n, path, "write "+want) {
		return
	}
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" || b.only && n.Value != "true" && n.Value != "True" && n.Value != "TRUE" {
		d.refuse(n, "%s must be %s, without quotes", path, want)
		return
	}
}

func (b boolean) schema() map[string]any {
	if b.only {
		return map[string]any{"const": true}
	}
	return map[string]any{"type": "boolean"}
}

// version is the number of the format, which is 1.
type version struct{}

func (version) check(d *document, n *yaml.Node, path string) {
	if n.Kind != yaml.ScalarNode || n.Value != "1" {
		d.refuse(n, "%s must be 1: this version of Assay knows no other format", path)
		return
	}
}

func (version) schema() map[string]any { return map[string]any{"const": 1} }

// sequence is a list; with single, one element may stand alone.
type sequence struct {
	of     shape
	single bool
}

func (s sequence) check(d *document, n *yaml.Node, path string) {
	if tagged(d, n, path) || absent(d, n, path, "write its entries below, each after \"- \", or remove the key") {
		return
	}
	if n.Kind != yaml.SequenceNode {
		if s.single {
			s.of.check(d, n, path)
			return
		}
		d.refuse(n, "%s must be a list: put it in brackets, [like, this], or begin each entry with \"- \" on a line of its own", path)
		return
	}
	for _, c := range n.Content {
		s.of.check(d, c, "an entry of "+path)
	}
}

func (s sequence) schema() map[string]any {
	list := map[string]any{"type": "array", "items": s.of.schema()}
	if !s.single {
		return list
	}
	return map[string]any{"anyOf": []any{s.of.schema(), list}}
}

// named maps names that the file chooses to values of one shape.
type named struct {
	what string // that has the name: "macro"
	of   shape
}

// namePattern is what names may look like, and namePlain is the same in words.
const (
	namePattern = `^[a-z][a-z0-9_]*$`
	namePlain   = "a name begins with a lower-case letter and goes on with lower-case letters, digits and _"
)

// isName reports whether s matches namePattern.
func isName(s string) bool {
	for i, r := range s {
		if (r < 'a' || r > 'z') && (i == 0 || r != '_' && (r < '0' || r > '9')) {
			return false
		}
	}
	return s != ""
}

func (m named) check(d *document, n *yaml.Node, path string) {
	if tagged(d, n, path) || absent(d, n, path, "write its entries below, indented, each as \"name: value\", or remove the key") {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.refuse(n, "%s must consist of entries \"name: value\", one per line and indented", path)
		return
	}
	first := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		switch line, twice := first[k.Value]; {
		case k.Kind != yaml.ScalarNode || !isName(k.Value):
			d.refuse(k, "%s: %q cannot be the name of a %s: %s", path, clip(k.Value), m.what, namePlain)
			continue
		case twice:
			d.refuse(k, "%s %q is already defined in line %d: choose another name", m.what, clip(k.Value), line)
			continue
		}
		first[k.Value] = k.Line
		m.of.check(d, v, m.what+" "+k.Value)
	}
}

func (m named) schema() map[string]any {
	return map[string]any{"type": "object", "propertyNames": map[string]any{"pattern": namePattern},
		"additionalProperties": m.of.schema()}
}

// either is a scalar, or an object for those who want to say more.
type either struct {
	plain shape
	full  shape
}

func (e either) check(d *document, n *yaml.Node, path string) {
	if n.Kind == yaml.MappingNode {
		e.full.check(d, n, path)
		return
	}
	e.plain.check(d, n, path)
}

func (e either) schema() map[string]any {
	return map[string]any{"anyOf": []any{e.plain.schema(), e.full.schema()}}
}

// object is a mapping with known keys.
type object struct {
	name  string // "a rule"
	keys  []key
	empty string // what an empty one lacks; "" if it may be empty
}

// names returns the names of all keys.
func (o object) names() []string {
	all := make([]string, len(o.keys))
	for i, k := range o.keys {
		all[i] = k.name
	}
	return all
}

func (o object) check(d *document, n *yaml.Node, path string) {
	if tagged(d, n, path) || absent(d, n, path, "write its keys below, indented, or {}") {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.refuse(n, "%s must consist of keys: %s", path, strings.Join(o.names(), ", "))
		return
	}
	first := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if line, twice := first[k.Value]; twice {
			d.report(k, "key %q is already in line %d: remove one of the two", clip(k.Value), line)
			continue
		}
		first[k.Value] = k.Line
		o.entry(d, k, v)
	}
	for _, k := range o.keys {
		if _, there := first[k.name]; k.required && !there {
			d.report(n, "%s lacks the key %q%s", o.name, k.name, purpose(k))
		}
	}
	if o.empty != "" && len(n.Content) == 0 {
		d.report(n, "%s", o.empty)
	}
}

// purpose tells what a missing key is for.
func purpose(k key) string {
	if k.doc == "" {
		return ""
	}
	first, _, _ := strings.Cut(k.doc, ". ")
	return ": " + strings.TrimSuffix(first, ".")
}

// entry checks one key and its value.
func (o object) entry(d *document, k, v *yaml.Node) {
	i := slices.IndexFunc(o.keys, func(c key) bool { return c.name == k.Value })
	switch {
	case k.Kind != yaml.ScalarNode:
		d.report(k, "a key must be a word")
	case i >= 0:
		o.keys[i].shape.check(d, v, k.Value)
	case k.Value == "<<":
		d.report(k, "merge keys (<<) are not supported: a macro or a list says something once")
	case !isWord(k.Value):
		d.report(k, "unknown key %q in %s: inside of {} and [] a comma begins another entry; put a value with commas, colons or brackets in quotes", clip(k.Value), o.name)
	default:
		d.report(k, "unknown key %q in %s%s", clip(k.Value), o.name, o.hint(k.Value))
	}
}

// hint suggests a key, or lists all of them.
func (o object) hint(name string) string {
	if s := didYouMean(name, o.names()); s != "" {
		return s
	}
	return "; possible are " + strings.Join(o.names(), ", ")
}

func (o object) schema() map[string]any {
	properties, required := map[string]any{}, []string{}
	for _, k := range o.keys {
		s := k.shape.schema()
		if k.doc != "" {
			s["description"] = k.doc
		}
		properties[k.name] = s
		if k.required {
			required = append(required, k.name)
		}
	}
	s := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// An item is a value of a checked document.
type item struct {
	d *document
	n *yaml.Node // nil for a key that is not there
}

// has reports whether there is a value.
func (it item) has() bool { return it.n != nil }

// get returns the value of a key of an object.
func (it item) get(name string) item {
	if it.n == nil || it.n.Kind != yaml.MappingNode {
		return item{d: it.d}
	}
	for i := 0; i+1 < len(it.n.Content); i += 2 {
		if v := it.n.Content[i+1]; it.n.Content[i].Value == name && !it.d.refused[v] {
			return item{it.d, v}
		}
	}
	return item{d: it.d}
}

// text returns the text of a scalar, "" for what is not there.
func (it item) text() string {
	if it.n == nil || it.n.Kind != yaml.ScalarNode {
		return ""
	}
	return it.n.Value
}

// truth returns the value of a boolean.
func (it item) truth(otherwise bool) bool {
	if it.n == nil {
		return otherwise
	}
	return strings.EqualFold(it.n.Value, "true")
}

// all returns the entries of a sequence, or the one that stands alone.
func (it item) all() []item {
	switch {
	case it.n == nil:
		return nil
	case it.n.Kind != yaml.SequenceNode:
		return []item{it}
	}
	var all []item
	for _, c := range it.n.Content {
		if !it.d.refused[c] {
			all = append(all, item{it.d, c})
		}
	}
	return all
}

// texts returns the texts of the entries of a sequence.
func (it item) texts() []string {
	var all []string
	for _, c := range it.all() {
		all = append(all, c.text())
	}
	return all
}

// entries calls yield for each name of a mapping and its value.
func (it item) entries(yield func(name, value item)) {
	if it.n == nil || it.n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(it.n.Content); i += 2 {
		if k, v := it.n.Content[i], it.n.Content[i+1]; !it.d.refused[k] && !it.d.refused[v] {
			yield(item{it.d, k}, item{it.d, v})
		}
	}
}

// report adds an error at the item.
func (it item) report(format string, args ...any) { it.d.report(it.n, format, args...) }

// position returns where the item stands.
func (it item) position() Position { return it.d.position(it.n) }

// String returns "file:line".
func (p Position) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// Kinds of nodes under names that say what they are here.
const (
	scalarNode   = yaml.ScalarNode
	sequenceNode = yaml.SequenceNode
)
