package report

import (
	"cmp"
	"strings"

	"assay/scan"
)

// An Object is one file that the message carries, or that was found inside of one.
type Object struct {
	Path     string       `json:"path"`
	Section  string       `json:"section"`
	Name     string       `json:"name"`
	Depth    int          `json:"depth"`
	Type     string       `json:"type"`
	Declared string       `json:"declared"`
	Size     int64        `json:"size"`
	SHA256   string       `json:"sha256"`
	Inline   bool         `json:"inline"`
	State    string       `json:"state"`
	Class    string       `json:"class"`
	Method   string       `json:"method"`
	Traits   []scan.Trait `json:"traits"`
}

// Virus is what virus scanners say about the message.
type Virus struct {
	State string   `json:"state"`
	Names []string `json:"names"`
	Error string   `json:"error"`
}

// newObject returns the report of a file. What nobody looked at is uninspectable.
func newObject(o scan.Object) Object {
	return Object{
		Path: o.Path, Section: o.Section, Name: o.Name, Depth: o.Depth, Type: o.Type, Declared: o.Declared, Size: o.Size, SHA256: o.SHA256,
		Inline: o.Inline, State: string(cmp.Or(o.State, scan.Uninspectable)), Class: o.Class, Method: o.Method, Traits: present(o.Traits),
	}
}

// newVirus returns the report of virus scanners.
func newVirus(v scan.Virus) Virus {
	return Virus{State: string(v.State), Names: present(v.Names), Error: v.Error}
}

// objects writes the tree of files, and what virus scanners say.
func (p *printer) objects(all []Object, v Virus) {
	if len(all) > 0 {
		p.heading("Files in the message")
	}
	for _, o := range all {
		words := []string{o.State, o.Type}
		if o.Method != "" {
			words = append(words, strings.TrimPrefix(o.Class+": "+o.Method, ": "))
		}
		for _, t := range o.Traits {
			words = append(words, string(t))
		}
		label := o.Path
		if o.Depth > 0 {
			label = label[strings.LastIndexByte(label, '/')+1:]
		}
		if o.Name != "" && o.Name != label && !strings.HasSuffix(label, "/"+o.Name) {
			label += " " + o.Name
		}
		p.line("  %s%s: %s", strings.Repeat("  ", min(o.Depth, maxIndent)), printable(label), printable(strings.Join(words, ", ")))
	}
	if v.State != "" {
		p.heading("Virus scanners")
		p.line("  %s", printable(strings.TrimSpace(strings.Join(append([]string{v.State}, v.Names...), " ")+" "+v.Error)))
	}
}

// maxIndent bounds how far a file is set off that is inside of many others.
const maxIndent = 10
