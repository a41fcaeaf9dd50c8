package pdf

import (
	"fmt"
	"slices"
	"strings"

	"assay/scan"
	"assay/scan/container"
)

// Limits of what is told about one file.
const (
	mostDetails = 3    // places per trait
	mostLinks   = 2000 // addresses
	mostSteps   = 64   // actions in a chain that are looked at
)

// active reports whether a name is that of an action other than to go to a page: ISO 32000-2 Table 201.
func active(n name) bool {
	switch n {
	case "JavaScript", "Launch", "SubmitForm", "ImportData", "GoToR", "GoToE", "Thread", "URI", "Rendition", "Movie", "Sound",
		"RichMediaExecute", "GoTo3DView", "Named", "RichMedia", "Screen", "3D":
		return true
	}
	return false
}

// A survey collects what acts in a file.
type survey struct {
	f        *file
	signs    []container.Sign
	more     map[scan.Trait]int // places that are not in the details
	links    []container.Link
	known    map[string]bool // links
	files    []attachment
	of       map[*object]int // index in files
	source   []*object       // streams of JavaScript and XFA
	acted    map[ref]bool    // what acts has said
	promised string          // where a file is said to be attached
	sealed   string          // what an unencrypted wrapper carries, "" for other files
}

// sign notes a trait.
func (s *survey) sign(t scan.Trait, format string, args ...any) {
	detail := fmt.Sprintf(format, args...)
	i := slices.IndexFunc(s.signs, func(g container.Sign) bool { return g.Trait == t })
	if i < 0 {
		s.signs = append(s.signs, container.Sign{Trait: t, Detail: detail, Count: 1})
		return
	}
	g := &s.signs[i]
	g.Count++
	if s.more[t]++; s.more[t] < mostDetails && !strings.Contains(g.Detail, detail) {
		g.Detail += "; " + detail
	}
}

// link notes an address.
func (s *survey) link(o *object, v any, source scan.Source) {
	if t, ok := s.string(o, v); ok {
		s.address(t, source)
	}
}

// address notes an address that is known to be one.
func (s *survey) address(t string, source scan.Source) {
	url := strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f {
			return -1
		}
		return r
	}, t)
	if url == "" || s.known[url] || len(s.links) >= mostLinks {
		return
	}
	s.known[url] = true
	s.links = append(s.links, container.Link{URL: url, Source: source})
	if scheme, _, _ := strings.Cut(strings.ToLower(url), ":"); scheme == "javascript" || scheme == "vbscript" {
		s.sign(scan.JavaScript, "in an address")
	}
}

// string returns a string of an object in clear and decoded; ok is false if it is none or cannot be read.
func (s *survey) string(o *object, v any) (string, bool) {
	if r, is := v.(ref); is {
		v = nil
		for _, target := range s.f.revisions(r) {
			if t, is := target.value.(text); is {
				o, v = target, t
			}
		}
	}
	t, ok := v.(text)
	if !ok {
		return "", false
	}
	if c := s.f.crypt; c != nil && !o.clear {
		clear, err := c.clear(c.strings, o, t)
		if err != nil {
			return "", false
		}
		t = clear
	}
	return decode(t), true
}

// all looks at all objects.
func (s *survey) all() {
	for _, o := range s.f.objects {
		if s.f.limit != nil {
			return
		}
		s.f.failed(s.f.meter.check())
		s.value(o, o.value)
	}
}

// value looks at a value and all that is in it. The parser has bounded its depth.
func (s *survey) value(o *object, v any) {
	switch v := v.(type) {
	case array:
		for _, e := range v {
			s.value(o, e)
		}
	case dict:
		s.dict(o, v)
		for _, e := range v {
			switch e.value.(type) {
			case array, dict:
				s.value(o, e.value)
			}
		}
	}
}

// dict looks at the entries of one dictionary.
func (s *survey) dict(o *object, d dict) {
	for _, e := range d {
		switch e.key {
		case "S":
			s.action(o, d, e.value)
		case "JS":
			s.script(o, d, e.value)
		case "JavaScript":
			if s.filled(e.value) {
				s.sign(scan.JavaScript, "of the document, in object %d", o.num)
			}
		case "EmbeddedFiles":
			if s.filled(e.value) {
				s.promised = fmt.Sprintf("object %d", o.num)
			}
		case "OpenAction":
			if s.acts(e.value, mostSteps) {
				s.sign(scan.OpenAction, "object %d, when it is opened", o.num)
			}
		case "AA":
			s.triggers(o, e.value)
		case "XFA":
			s.form(o, e.value)
		case "EF":
			s.attach(o, d, e.value)
		case "Subtype", "Type":
			s.kind(o, d, e.value)
		case "RichMediaContent", "RichMediaSettings", "3DD":
			s.sign(scan.RichMedia, "object %d", o.num)
		case "F":
			if o.stream && isObject(o, d) {
				s.elsewhere(o, e.value)
			}
		}
	}
}

// isObject reports whether a dictionary is that of the object itself, not one in it.
func isObject(o *object, d dict) bool {
	own := o.dict()
	return len(own) > 0 && len(own) == len(d) && &own[0] == &d[0]
}

// elsewhere looks at the file that holds the octets of a stream: ISO 32000-1 Table 5.
func (s *survey) elsewhere(o *object, v any) {
	if n := s.target(o, v); n != "" {
		s.sign(scan.RemoteObject, "the data of object %d: %s", o.num, short(n))
		s.address(n, scan.FromRemote)
	}
}

// kind looks at what a dictionary is said to be.
func (s *survey) kind(o *object, d dict, v any) {
	if n, ok := v.(name); ok {
		s.kindOf(o, d, n)
		return
	}
	for _, value := range s.values(v) {
		n, _ := value.(name)
		s.kindOf(o, d, n)
	}
}

// kindOf looks at one name of what a dictionary is.
func (s *survey) kindOf(o *object, d dict, n name) {
	switch n {
	case "RichMedia", "Movie", "Sound", "Screen", "3D", "Rendition":
		s.sign(scan.RichMedia, "%s, object %d", n, o.num)
	case "EmbeddedFile":
		if o.stream && isObject(o, d) {
			s.attached(o, nil, d)
		}
	case "FileAttachment":
		s.promised = fmt.Sprintf("object %d", o.num)
	case "EncryptedPayload": // ISO 32000-2 Section 7.6.7
		n, _ := s.f.resolve(d.get("Subtype")).(name)
		s.sealed = "encrypted payload"
		if n != "" {
			s.sealed += " " + short(string(n))
		}
	}
}

// action looks at the kind of an action: ISO 32000-2 Section 12.6.4.
func (s *survey) action(o *object, d dict, v any) {
	if n, ok := v.(name); ok {
		s.actionOf(o, d, n)
		return
	}
	for _, value := range s.values(v) {
		n, _ := value.(name)
		s.actionOf(o, d, n)
	}
}

// actionOf looks at one name of what an action does.
func (s *survey) actionOf(o *object, d dict, n name) {
	switch n {
	case "JavaScript":
		if !d.has("JS") {
			s.sign(scan.JavaScript, "object %d", o.num)
		}
	case "Launch":
		s.sign(scan.Launch, "object %d%s", o.num, s.program(o, d))
	case "SubmitForm", "ImportData":
		if n == "SubmitForm" {
			s.submit(o, d.get("F"))
		}
		s.sign(scan.SubmitForm, "%s, object %d%s", n, o.num, s.named(o, d.get("F")))
	case "GoToR", "GoToE":
		s.sign(scan.RemoteGoTo, "%s, object %d%s", n, o.num, s.named(o, d.get("F")))
	case "Thread": // ISO 32000-1 Section 12.6.4.6: of another file
		if d.has("F") {
			s.sign(scan.RemoteGoTo, "%s, object %d%s", n, o.num, s.named(o, d.get("F")))
		}
	case "Rendition", "Movie", "Sound", "RichMediaExecute", "GoTo3DView":
		if d.get("Type") != name("StructElem") {
			s.sign(scan.RichMedia, "%s action, object %d", n, o.num)
		}
	case "URI":
		s.link(o, d.get("URI"), scan.FromAnchor)
	}
}

// submit notes where a form is sent.
func (s *survey) submit(o *object, v any) {
	if d, ok := s.f.resolve(v).(dict); ok {
		v = d.get("F")
	}
	s.link(o, v, scan.FromForm)
}

// program names what a Launch action starts: ISO 32000-1 Table 203.
func (s *survey) program(o *object, d dict) string {
	if n := s.named(o, d.get("F")); n != "" {
		return n
	}
	for _, key := range []name{"Win", "Mac", "Unix"} {
		if d, ok := s.f.resolve(d.get(key)).(dict); ok {
			return s.named(o, d.get("F"))
		}
	}
	return ""
}

// named returns the name in a file specification behind a colon, "" if there is none.
func (s *survey) named(o *object, v any) string {
	if n := s.target(o, v); n != "" {
		if strings.Contains(n, "://") {
			s.address(n, scan.FromAnchor)
		}
		return ": " + short(n)
	}
	return ""
}

// target returns the name in a file specification: ISO 32000-1 Section 7.11.
func (s *survey) target(o *object, v any) string {
	holder := s.holder(o, v)
	if d, ok := s.f.resolve(v).(dict); ok {
		return s.filename(holder, d)
	}
	n, _ := s.string(o, v)
	return n
}

// holder returns the object that a value is in, behind a reference.
func (s *survey) holder(o *object, v any) *object {
	if r, ok := v.(ref); ok {
		for _, target := range s.f.revisions(r) {
			if target.value != nil {
				o = target
			}
		}
	}
	return o
}

// filename returns the name of a file specification dictionary: ISO 32000-1 Table 44.
func (s *survey) filename(o *object, d dict) string {
	for _, key := range []name{"UF", "F", "DOS", "Unix", "Mac"} {
		if n, ok := s.string(o, d.get(key)); ok && n != "" {
			return n
		}
	}
	return ""
}

// script looks at a value of JS. Where it is not in an action, it may be the name of a font or picture.
func (s *survey) script(o *object, d dict, v any) {
	r, isRef := v.(ref)
	targets := s.f.revisions(r)
	if !isRef {
		targets = nil
	}
	_, is := v.(text)
	is = is || isRef && len(targets) == 0 || d.has("S")
	for _, target := range targets {
		of := target.dict()
		if target.stream {
			s.source = append(s.source, target)
			is = is || of.get("Type") != name("XObject") && !of.has("Subtype")
		} else if _, ok := target.value.(text); ok {
			is = true
		}
	}
	if is {
		s.sign(scan.JavaScript, "object %d", o.num)
	}
}

// filled reports whether a name tree has names, or cannot be looked up: ISO 32000-1 Section 7.9.6.
func (s *survey) filled(v any) bool {
	if r, ok := v.(ref); ok && len(s.f.revisions(r)) == 0 {
		return true
	}
	for _, value := range s.values(v) {
		d, _ := value.(dict)
		for _, e := range d {
			switch e.key {
			case "Names", "Kids", "Before", "After", "AfterPermsReady", "Doc": // the latter in FDF: ISO 32000-1 Table 245
				if _, string := e.value.(text); string || len(s.f.list(e.value)) > 0 {
					return true
				}
			}
		}
	}
	return false
}

// triggers looks at additional actions: ISO 32000-1 Section 12.6.3.
func (s *survey) triggers(o *object, v any) {
	for _, value := range s.values(v) {
		d, _ := value.(dict)
		for _, e := range d {
			if s.acts(e.value, mostSteps) {
				s.sign(scan.OpenAction, "object %d, on %s", o.num, short(string(e.key)))
			}
		}
	}
}

// values returns what a value may be: all revisions of the object that it refers to.
func (s *survey) values(v any) []any {
	r, ok := v.(ref)
	if !ok {
		return []any{v}
	}
	var out []any
	for _, o := range s.f.revisions(r) {
		out = append(out, o.value)
	}
	return out
}

// acts reports whether an action, or one after it, does more than to show another place of the document. Steps bound the
// chain. A destination is an array, a name or a string.
func (s *survey) acts(v any, steps int) bool {
	r, ok := v.(ref)
	if !ok {
		return s.chain(v, steps)
	}
	if _, known := s.acted[r]; !known {
		s.acted[r] = s.chain(v, steps)
	}
	return s.acted[r]
}

// chain is acts for what was not asked for yet.
func (s *survey) chain(v any, steps int) bool {
	queue := []any{v}
	for ; len(queue) > 0 && steps > 0; steps-- {
		v, queue = queue[0], queue[1:]
		for _, value := range s.values(v) {
			d, ok := value.(dict)
			if !ok {
				continue
			}
			for _, e := range d {
				switch e.key {
				case "S":
					for _, value := range s.values(e.value) {
						if n, ok := value.(name); ok && !s.harmless(n, d) {
							return true
						}
					}
				case "JS":
					return true
				case "Next":
					queue = append(queue, s.next(e.value)...)
				}
			}
		}
	}
	return len(queue) > 0
}

// next returns the actions behind another: one, or an array of them.
func (s *survey) next(v any) []any {
	var out []any
	for _, value := range s.values(v) {
		if a, ok := value.(array); ok {
			out = append(out, a[:min(len(a), mostSteps)]...)
			continue
		}
		out = append(out, value)
	}
	return out
}

// harmless reports whether an action only changes what is seen of the document.
func (s *survey) harmless(n name, d dict) bool {
	switch n {
	case "GoTo", "GoToDp", "SetOCGState", "Hide", "Trans":
		return true
	case "Thread":
		return !d.has("F")
	case "Named":
		switch n, _ := s.f.resolve(d.get("N")).(name); n {
		case "NextPage", "PrevPage", "FirstPage", "LastPage":
			return true
		}
	}
	return false
}

// form looks at a form in XFA: ISO 32000-1 Section 12.7.8. It is a stream, or an array of names and streams.
func (s *survey) form(o *object, v any) {
	found := false
	for _, value := range s.values(v) {
		parts, ok := value.(array)
		if !ok {
			parts = array{v}
		}
		for _, part := range parts[:min(len(parts), 1000)] {
			r, ok := part.(ref)
			if !ok {
				continue
			}
			found = true
			for _, target := range s.f.revisions(r) {
				if target.stream {
					s.source = append(s.source, target)
				}
			}
		}
	}
	if found {
		s.sign(scan.XFA, "object %d", o.num)
	}
}
