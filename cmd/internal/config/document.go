package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Schema returns the JSON Schema of the configuration, for editors.
func Schema() []byte {
	schema := map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"title":   "Configuration of Assay",
	}
	for k, v := range tree().schema() {
		schema[k] = v
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(schema); err != nil {
		panic(err) // a map of strings, numbers and maps is always encoded
	}
	return b.Bytes()
}

// schema returns the JSON Schema of a section or a key.
func (n *node) schema() map[string]any {
	schema := map[string]any{}
	if n.key == nil {
		properties := map[string]any{}
		for _, c := range n.children {
			properties[c.name] = c.schema()
		}
		schema["type"] = "object"
		schema["properties"] = properties
		schema["additionalProperties"] = false
		if n.path != "" { // a section with nothing but comments is null
			schema["type"] = []string{"object", "null"}
		}
	} else {
		for k, v := range n.key.schema {
			schema[k] = v
		}
		schema["default"] = n.key.fallback()
	}
	if n.doc != "" {
		schema["description"] = n.doc
	}
	return schema
}

// Example returns the documented example file: every key with its default, commented out. What is text begins with
// "# ", what is a setting with "#".
func Example() []byte {
	var b strings.Builder
	b.WriteString("# Configuration of Assay. Every key is shown with its default; remove the # in front of a key to set it.\n" +
		"# Unknown keys are errors. Check the file with: assay config check\n" +
		"# Every key can be overridden by an environment variable: ASSAY__RESOLVER__TIMEOUT=5s sets resolver.timeout.\n")
	tree().example(&b, "")
	return []byte(b.String())
}

// example writes the keys and sections below n.
func (n *node) example(b *strings.Builder, indent string) {
	for _, c := range n.children {
		b.WriteString("\n")
		comment(b, indent, c.doc)
		switch {
		case c.key == nil:
			fmt.Fprintf(b, "%s%s:\n", indent, c.name)
			c.example(b, indent+"  ")
		case c.path == "format":
			fmt.Fprintf(b, "%s%s: %s\n", indent, c.name, flow(c.key.fallback()))
		default:
			fmt.Fprintf(b, "%s#%s: %s\n", indent, c.name, flow(c.key.fallback()))
		}
	}
}

// comment writes text as comment lines of at most 100 characters.
func comment(b *strings.Builder, indent, text string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(indent)+len(line)+len(word) > 97 {
			fmt.Fprintf(b, "%s# %s\n", indent, line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	fmt.Fprintf(b, "%s# %s\n", indent, line)
}

// Show returns the effective configuration as YAML that reads back to the same values. With origins, every value is
// followed by where it comes from.
func (l *Loaded) Show(origins bool) []byte {
	var b strings.Builder
	l.show(&b, tree(), "", origins)
	return []byte(b.String())
}

// show writes the keys and sections below n.
func (l *Loaded) show(b *strings.Builder, n *node, indent string, origins bool) {
	for _, c := range n.children {
		if c.key == nil {
			fmt.Fprintf(b, "%s%s:\n", indent, c.name)
			l.show(b, c, indent+"  ", origins)
			continue
		}
		line := fmt.Sprintf("%s%s: %s", indent, c.name, flow(c.key.value(l.Config)))
		if origins {
			line = fmt.Sprintf("%-48s # %s", line, l.Origin(c.path))
		}
		b.WriteString(line + "\n")
	}
}

// Origin says where the value of a key comes from: "default", "file:line", or "environment NAME".
func (l *Loaded) Origin(path string) string {
	if o, set := l.origins[path]; set {
		return o.String()
	}
	return "default"
}

// A Doc is the documentation of one key.
type Doc struct {
	Path    string
	Default string // as it is written in the file; "" for a section
	Text    string
	Section bool
}

// Docs returns the documentation of all sections and keys, in the order of the example file.
func Docs() []Doc {
	all := rows()
	docs := make([]Doc, len(all))
	for i, k := range all {
		docs[i] = Doc{Path: k.path, Text: k.doc, Section: k.isSection()}
		if !docs[i].Section {
			docs[i].Default = flow(k.fallback())
		}
	}
	return docs
}

// Changed returns the paths of the keys whose values differ between two configurations, in the order of the table.
func Changed(a, b *Config) []string {
	var paths []string
	for _, k := range keys() {
		if flow(k.value(a)) != flow(k.value(b)) {
			paths = append(paths, k.path)
		}
	}
	return paths
}
