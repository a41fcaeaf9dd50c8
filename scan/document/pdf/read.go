package pdf

import (
	"errors"
	"strings"

	"assay/scan"
	"assay/scan/container"
)

// Read implements [container.Reader]. Attached files and what does not belong to the PDF are its members. A file that opens
// with the empty password is Inspected, with [scan.OpenedEmpty] and how it is encrypted.
func (Reader) Read(f *container.File, yield func(container.Member) bool) container.Verdict {
	p := open(f)
	if p.limit == nil && p.encrypted() {
		p.findCrypt(f.Passwords)
	}
	p.openStreams()
	s := &survey{f: p, more: map[scan.Trait]int{}, known: map[string]bool{}, of: map[*object]int{}, acted: map[ref]bool{}}
	s.all()
	s.sources()
	if p.limit == nil && s.yield(yield) && p.limit == nil {
		s.foreign(yield)
	}
	return s.verdict()
}

// verdict sums up. What is encrypted is called so even if a limit was exceeded; a limit goes before any damage.
func (s *survey) verdict() container.Verdict {
	f := s.f
	v := container.Verdict{State: scan.Inspected, Links: s.links}
	if _, fdf := header(f.data); fdf {
		v.Type = "application/vnd.fdf"
	}
	if c := f.crypt; c != nil {
		v.Class, v.Method = scan.ClassPDF, c.method()
		if c.key == nil {
			v.State = scan.Encrypted
		} else {
			s.sign(c.opened, "%s", c.method())
		}
	}
	if s.sealed != "" && v.State == scan.Inspected { // ISO 32000-2 Section 7.6.7: the document proper is attached
		v.State, v.Class, v.Method = scan.Encrypted, scan.ClassPDF, s.sealed
	}
	for _, where := range f.odd {
		s.sign(scan.Ambiguous, "%s", where)
	}
	s.damages()
	if why := s.unreadable(); why != "" && v.State == scan.Inspected {
		v.State, v.Method = scan.Uninspectable, why
	}
	v.Signs = s.signs
	return v
}

// damages notes what is broken.
func (s *survey) damages() {
	f := s.f
	var over *container.LimitError
	switch {
	case errors.As(f.limit, &over) && over.Limit == "ratio":
		s.sign(scan.Bomb, "%s", over.Error())
	case f.limit != nil:
	case len(f.objects) == 0:
		f.damage("damaged: no readable object")
	case f.cut:
		f.damage("damaged: it is cut off")
	}
	if f.crypt != nil && f.crypt.key == nil {
		return // whether the rest is broken cannot be told
	}
	for _, why := range f.problems {
		s.sign(scan.Damaged, "%s", why)
	}
}

// unreadable says why not everything was read, "" if it was.
func (s *survey) unreadable() string {
	switch {
	case s.f.limit != nil:
		return s.f.limit.Error()
	case len(s.f.problems) > 0:
		return strings.Join(s.f.problems[:min(2, len(s.f.problems))], "; ")
	}
	return ""
}
