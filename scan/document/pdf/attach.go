package pdf

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"

	"assay/scan"
	"assay/scan/container"
)

// An attachment is an attached file: ISO 32000-1 Section 7.11.4.
type attachment struct {
	object   *object
	names    []string // of all file specifications that lead to it
	declared string
}

// attach looks at the streams of a file specification.
func (s *survey) attach(o *object, d dict, v any) {
	titles := s.titles(o, d)
	for _, value := range s.values(v) {
		ef, _ := value.(dict)
		for _, e := range ef {
			r, ok := e.value.(ref)
			if !ok {
				continue
			}
			for _, target := range s.f.revisions(r) {
				if target.stream {
					s.attached(target, titles, target.dict())
				}
			}
		}
	}
	for _, value := range s.values(d.get("RF")) { // ISO 32000-1 Section 7.11.4.3
		rf, _ := value.(dict)
		for _, e := range rf {
			s.related(s.f.list(e.value))
		}
	}
}

// related looks at an array of names and the streams of related files.
func (s *survey) related(a array) {
	for _, v := range a[:min(len(a), 2000)] {
		r, ok := v.(ref)
		if !ok {
			continue
		}
		for _, target := range s.f.revisions(r) {
			if target.stream {
				s.attached(target, nil, target.dict())
			}
		}
	}
}

// attached notes an attached file, once per stream and with all of its names.
func (s *survey) attached(o *object, titles []string, d dict) {
	i, known := s.of[o]
	if !known {
		i = len(s.files)
		s.of[o] = i
		subtype, _ := s.f.resolve(d.get("Subtype")).(name)
		s.files = append(s.files, attachment{object: o, declared: strings.ToLower(short(string(subtype)))})
		o.attached = true
	}
	a := &s.files[i]
	for _, title := range titles {
		if len(a.names) < 8 && !slices.Contains(a.names, title) {
			a.names = append(a.names, title)
		}
	}
}

// titles returns the name of a file specification, and its other ones that would have another program open the file.
func (s *survey) titles(o *object, d dict) []string {
	var out, extensions []string
	for _, key := range []name{"UF", "F", "DOS", "Unix", "Mac"} {
		for _, e := range d {
			if e.key != key {
				continue
			}
			n, _ := s.string(o, e.value)
			if extension := strings.ToLower(path.Ext(n)); n != "" && !slices.Contains(extensions, extension) {
				out, extensions = append(out, n), append(extensions, extension)
			}
		}
	}
	return out
}

// yield hands the attached files out. It reports whether to go on.
func (s *survey) yield(yield func(container.Member) bool) bool {
	if len(s.files) == 0 && s.promised != "" {
		s.sign(scan.EmbeddedFile, "%s", s.promised)
	}
	for _, a := range s.files {
		title := ""
		if len(a.names) > 0 {
			title = a.names[0]
			s.sign(scan.EmbeddedFile, "%s", short(title))
		} else {
			s.sign(scan.EmbeddedFile, "object %d", a.object.num)
		}
		m, err := s.member(a, title)
		if err != nil {
			s.f.stop(err)
			return true
		}
		for _, m.Name = range append([]string{title}, a.names[min(1, len(a.names)):]...) {
			if !yield(m) {
				return false
			}
		}
	}
	return true
}

// member reads one attached file. The error is that of a limit.
func (s *survey) member(a attachment, title string) (container.Member, error) {
	f := s.f
	m := container.Member{Name: title, Declared: a.declared, Size: int64(len(a.object.packed))}
	if err := f.budget.Member(); err != nil {
		return m, err
	}
	content, err := f.unpack(a.object, f.crypt)
	if f.limit != nil {
		return m, f.limit
	}
	switch {
	case f.crypt != nil && f.crypt.key == nil && err != nil:
		m.State, m.Class, m.Method = scan.Encrypted, scan.ClassPDF, f.crypt.method()
	case err != nil && len(content) == 0:
		m.State, m.Method = scan.Uninspectable, err.Error()
		f.broken(a.object, "attached file", err)
	default:
		if m.Content = content; content == nil {
			m.Content = []byte{}
		}
		m.Size = int64(len(content))
		if err != nil {
			f.broken(a.object, "attached file", err)
		}
	}
	return m, nil
}

// broken notes a stream that could not be decoded in full.
func (f *file) broken(o *object, what string, err error) {
	f.damage(fmt.Sprintf("%s %d: %v", what, o.num, err))
}

// sources decodes scripts and forms within the budget. Forms may bring scripts of their own, and are one document in several
// streams.
func (s *survey) sources() {
	seen := map[*object]bool{}
	var form []byte
	for _, o := range s.source {
		if seen[o] || s.f.limit != nil {
			continue
		}
		seen[o] = true
		content, err := s.f.unpack(o, s.f.crypt)
		if err != nil && (s.f.crypt == nil || s.f.crypt.key != nil) {
			s.f.broken(o, "script or form", err)
		}
		form = append(form, content...)
	}
	s.xfa(form)
}

// xfa looks for elements of a form that act: script and submit of XFA 3.3.
func (s *survey) xfa(form []byte) {
	if bytes.HasPrefix(form, []byte("\xfe\xff")) || bytes.HasPrefix(form, []byte("\xff\xfe")) {
		form = []byte(decode(form))
	}
	if element(form, "script") {
		s.sign(scan.JavaScript, "in a form in XFA")
	}
	if element(form, "submit") {
		s.sign(scan.SubmitForm, "in a form in XFA")
	}
}

// element reports whether XML has an element of a local name.
func element(content []byte, local string) bool {
	for at := 0; ; {
		i := bytes.Index(content[at:], []byte(local))
		if i < 0 {
			return false
		}
		before, after := at+i-1, at+i+len(local)
		at = after
		if after < len(content) && strings.IndexByte(" \t\r\n/>", content[after]) < 0 {
			continue
		}
		for before >= 0 && content[before] == ':' || before >= 0 && isNameChar(content[before]) && after-before < 100 {
			before--
		}
		if before >= 0 && content[before] == '<' {
			return true
		}
	}
}

// isNameChar reports whether a character may be part of the prefix of an XML name.
func isNameChar(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.'
}
