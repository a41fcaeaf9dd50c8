package facts

import (
	"assay/rules/suggest"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// A Problem is one thing wrong with stated facts.
type Problem struct {
	Line, Column int    // where it is in the file, counted from 1
	Message      string // what is wrong
	Suggestion   string // what was probably meant, "" when nothing is close
}

// Decode reads stated facts from YAML. Only facts that exist may be stated, with their own type and one of their values.
// All problems are returned, in the order of the text; with problems the tree is nil.
//
// What follows from the facts that are stated need not be. An address may be written as a string, or as a mapping; from
// its email follow local, domain and org_domain, and from its domain follows org_domain. From follow from_all and a
// from_count of 1. From the name of an attachment follow names, ext and exts; a depth of 0 and a state of "inspected", or
// "encrypted" if it is said to be so. Objects are the attachments unless stated. From the href of a URL follow scheme,
// host, org_domain, and from its text text_host and mismatch. The name of a header field may be written in any case, and
// one value without a list. Outcomes that are not stated read "none".
func Decode(node *yaml.Node) (*Tree, []Problem) {
	d := decoder{given: map[string]bool{}}
	for node != nil && node.Kind == yaml.DocumentNode && len(node.Content) > 0 {
		node = node.Content[0]
	}
	var t Tree
	if node != nil && node.Kind != 0 && !isNull(node) {
		d.value(reflect.ValueOf(&t).Elem(), node, "", nil, 0)
	}
	if len(d.problems) > 0 {
		slices.SortStableFunc(d.problems, func(a, b Problem) int {
			if a.Line != b.Line {
				return a.Line - b.Line
			}
			return a.Column - b.Column
		})
		return nil, d.problems
	}
	t.complete(func(name string) bool { return d.given[name] })
	return &t, nil
}

// Bounds of what Decode reads.
const (
	maxNodes    = 100_000 // values
	maxAliases  = 10      // aliases behind each other
	maxProblems = 100     // that are listed
)

// A decoder reads one tree of facts.
type decoder struct {
	problems []Problem
	given    map[string]bool // what is stated, by dotted name with the index of elements: "attachments.0.ext"
	nodes    int
}

// problem records what is wrong with a node.
func (d *decoder) problem(n *yaml.Node, suggestion, format string, args ...any) {
	if len(d.problems) < maxProblems {
		d.problems = append(d.problems, Problem{n.Line, n.Column, fmt.Sprintf(format, args...), suggestion})
	}
}

// value reads node into v. The name is dotted, as people read it; values are those that are allowed, nil for any. Types
// of facts are not recursive, so depth is bounded by them, and aliases by a count.
func (d *decoder) value(v reflect.Value, node *yaml.Node, name string, values []string, aliases int) {
	if d.nodes++; d.nodes > maxNodes {
		if d.nodes == maxNodes+1 {
			d.problem(node, "", "more than %d values", maxNodes)
		}
		return
	}
	if node.Kind == yaml.AliasNode && node.Alias != nil && aliases < maxAliases {
		d.value(v, node.Alias, name, values, aliases+1)
		return
	}
	d.given[name] = true
	switch t := v.Type(); {
	case t == reflect.TypeFor[time.Time]():
		d.time(v, node, name)
	case t == reflect.TypeFor[Path](), t == reflect.TypeFor[Mailbox]():
		d.address(v, node, name)
	case t.Kind() == reflect.Struct:
		d.fields(v, node, name)
	case t.Kind() == reflect.Map:
		d.headers(v, node, name)
	case t.Kind() == reflect.Slice:
		d.list(v, node, name, values)
	default:
		d.scalar(v, node, name, values)
	}
}

// fields reads a mapping whose keys are facts.
func (d *decoder) fields(v reflect.Value, node *yaml.Node, name string) {
	if node.Kind != yaml.MappingNode {
		d.problem(node, "", "%s must be a mapping of facts, not %s", whole(name), kindOf(node))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		field, ok := fieldNamed(v, key.Value)
		switch {
		case !ok:
			d.problem(key, suggest.Closest(key.Value, names(v.Type())), "unknown fact %q", join(name, key.Value))
			continue
		case seen[key.Value]:
			d.problem(key, "", "%s is stated twice", join(name, key.Value))
			continue
		}
		seen[key.Value] = true
		fact := v.Type().Name() + "." + key.Value
		d.value(field, value, join(name, key.Value), documentation[fact].values, 0)
		d.formed(field, value, join(name, key.Value), forms[fact])
	}
}

// formed reports a value that no message gives a fact: a text in another form, or a negative number.
func (d *decoder) formed(v reflect.Value, node *yaml.Node, name string, form Form) {
	switch v.Kind() {
	case reflect.Int:
		if v.Int() < 0 {
			d.problem(node, "", "%s is never below 0", name)
		}
	case reflect.String:
		if normal, ok := form.Normal(v.String()); !ok || normal != v.String() {
			d.problem(node, normal, "%s is never %q: it is always %s", name, v.String(), form)
		}
	case reflect.Slice:
		if form == AnyForm || node.Kind != yaml.SequenceNode || v.Len() != len(node.Content) {
			return
		}
		for i, n := range node.Content {
			d.formed(v.Index(i), n, fmt.Sprintf("%s.%d", name, i), form)
		}
	}
}

// address reads an address, which may be written as a string.
func (d *decoder) address(v reflect.Value, node *yaml.Node, name string) {
	if node.Kind != yaml.ScalarNode || isNull(node) {
		d.fields(v, node, name)
		return
	}
	email, _ := fieldNamed(v, "email")
	d.value(email, node, join(name, "email"), nil, 0)
	d.formed(email, node, join(name, "email"), AddressForm)
}

// list reads a sequence.
func (d *decoder) list(v reflect.Value, node *yaml.Node, name string, values []string) {
	if node.Kind != yaml.SequenceNode {
		d.problem(node, "", "%s must be a list, not %s", whole(name), kindOf(node))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(node.Content), len(node.Content))
	for i, element := range node.Content {
		d.value(out.Index(i), element, fmt.Sprintf("%s.%d", name, i), values, 0)
	}
	v.Set(out)
}

// headers reads the map of header fields.
func (d *decoder) headers(v reflect.Value, node *yaml.Node, name string) {
	if node.Kind != yaml.MappingNode {
		d.problem(node, "", "%s must be a mapping of header fields, not %s", whole(name), kindOf(node))
		return
	}
	out := map[string][]string{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		field := strings.ToLower(key.Value)
		if _, again := out[field]; again {
			d.problem(key, "", "%s is stated twice", join(name, field))
			continue
		}
		var texts []string
		if value.Kind == yaml.ScalarNode {
			texts = make([]string, 1)
			d.scalar(reflect.ValueOf(&texts[0]).Elem(), value, join(name, field), nil)
		} else {
			d.value(reflect.ValueOf(&texts).Elem(), value, join(name, field), nil, 0)
		}
		out[field] = texts
	}
	v.Set(reflect.ValueOf(out))
}

// time reads a timestamp (RFC 3339) or a date.
func (d *decoder) time(v reflect.Value, node *yaml.Node, name string) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, node.Value); err == nil && node.Kind == yaml.ScalarNode {
			v.Set(reflect.ValueOf(t))
			return
		}
	}
	d.problem(node, "", "%s must be a time such as 2027-01-31T12:00:00Z, not %s", name, kindOf(node))
}

// scalar reads a string, bool or number.
func (d *decoder) scalar(v reflect.Value, node *yaml.Node, name string, values []string) {
	if !scalarFits(v.Type(), node) || node.Decode(v.Addr().Interface()) != nil {
		d.problem(node, "", "%s must be %s, not %s", name, wordFor(v.Kind()), kindOf(node))
		return
	}
	if v.Kind() == reflect.String && values != nil && !slices.Contains(values, v.String()) {
		d.problem(node, suggest.Closest(v.String(), values), "%s cannot be %q; it is one of %s", name, v.String(), quoted(values))
	}
}

// wordFor says in words what a scalar must be.
func wordFor(kind reflect.Kind) string {
	switch kind {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "an integer"
	case reflect.Float64:
		return "a number"
	}
	return "a string"
}

// scalarFits reports whether a scalar is of the type of a fact. A string may be written as anything but null, for "2026"
// is a fine selector; everything else only as what it is.
func scalarFits(t reflect.Type, node *yaml.Node) bool {
	if node.Kind != yaml.ScalarNode {
		return false
	}
	switch tag := node.ShortTag(); t.Kind() {
	case reflect.String:
		return tag == "!!str" || tag == "!!int" || tag == "!!float" || tag == "!!timestamp"
	case reflect.Bool:
		return tag == "!!bool"
	case reflect.Int:
		return tag == "!!int"
	default:
		return tag == "!!float" || tag == "!!int"
	}
}

// kindOf says in words what a node is.
func kindOf(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
		if isNull(node) {
			return "nothing"
		}
		return fmt.Sprintf("%q", cut(node.Value, 100))
	}
	return "an alias"
}

func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null" }

// whole is the name of a fact in messages; that of the tree is empty.
func whole(name string) string {
	if name == "" {
		return "facts"
	}
	return name
}

func join(name, field string) string { return strings.TrimPrefix(name+"."+field, ".") }

// quoted lists values for people.
func quoted(values []string) string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = fmt.Sprintf("%q", v)
	}
	return strings.Join(list, ", ")
}

// fieldNamed returns the field of a struct that is a fact.
func fieldNamed(v reflect.Value, name string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if nameOf(v.Type().Field(i)) == name {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// names are the facts that a struct has.
func names(t reflect.Type) []string {
	out := make([]string, t.NumField())
	for i := range out {
		out[i] = nameOf(t.Field(i))
	}
	return out
}
