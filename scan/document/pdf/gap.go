package pdf

import (
	"bytes"
	"fmt"

	"assay/scan"
	"assay/scan/container"
)

// Sizes of what does not belong to the PDF, in octets.
const (
	leastForeign = 4 << 10 // from which on it is looked into whatever it is
	mostForeign  = 16      // pieces
)

// foreign hands out what lies in front of the PDF, between its parts or behind it, if it is of a known format or large. It
// reports whether to go on.
func (s *survey) foreign(yield func(container.Member) bool) bool {
	count := 0
	for _, g := range s.f.gaps {
		piece := s.piece(g)
		what := magic(piece)
		if what == "" && len(piece) < leastForeign || s.again(piece) {
			continue
		}
		where := "octets between objects"
		switch {
		case g.from < s.f.start:
			where = "leading octets"
		case g.to == len(s.f.data):
			where = "trailing octets"
		}
		if what != "" {
			s.sign(scan.Polyglot, "%s in %s", what, where)
		}
		if count++; count > mostForeign {
			s.f.damage(fmt.Sprintf("more than %d pieces that are not PDF", mostForeign))
			return true
		}
		if err := s.f.budget.Member(); err != nil {
			s.f.stop(err)
			return true
		}
		if !yield(container.Member{Name: where, Content: piece}) {
			return false
		}
	}
	return true
}

// again reports whether a piece is most of the file and would be read as a PDF once more, which shows nothing new: all objects
// of the file are known. A file of nothing but headers would be read as often as files may lie in each other.
func (s *survey) again(piece []byte) bool {
	at, _ := header(piece[:min(len(piece), near)])
	return at >= 0 && len(piece) > len(s.f.data)/2
}

// piece returns what a gap has beside white space, the header, and the end of the object before it.
func (s *survey) piece(g gap) []byte {
	const space = " \r\n\t\f\x00"
	start := s.f.start
	switch {
	case g.from < start && start < g.to:
		g.to = start
	case g.from == start:
		g.from = min(g.to, start+len("%PDF-1.7"))
	}
	piece := bytes.Trim(s.f.data[g.from:g.to], space)
	return bytes.TrimLeft(bytes.TrimPrefix(piece, []byte("endobj")), space)
}

// magic names the format of octets, "" if it is none that matters. Archives are read from their end and count anywhere.
func magic(b []byte) string {
	for _, m := range [...]struct{ octets, format string }{
		{"PK\x03\x04", "ZIP"}, {"PK\x05\x06", "ZIP"}, {"PK\x01\x02", "ZIP"}, {"Rar!\x1a\x07", "RAR"}, {"7z\xbc\xaf\x27\x1c", "7z"},
	} {
		if bytes.Contains(b, []byte(m.octets)) {
			return m.format
		}
	}
	for _, m := range [...]struct{ octets, format string }{
		{"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "OLE"}, {"\x7fELF", "ELF"}, {"MSCF", "CAB"}, {"{\\rtf", "RTF"},
		{"\x89PNG\r\n\x1a\n", "PNG"}, {"GIF8", "GIF"}, {"\xff\xd8\xff", "JPEG"}, {"#!/", "script"},
	} {
		if bytes.HasPrefix(b, []byte(m.octets)) {
			return m.format
		}
	}
	if len(b) >= 64 && string(b[:2]) == "MZ" {
		return "program"
	}
	head := bytes.ToLower(b[:min(len(b), 64<<10)])
	for _, tag := range []string{"<html", "<script", "<!doctype html", "<svg", "<hta:", "<body"} {
		if bytes.Contains(head, []byte(tag)) {
			return "HTML"
		}
	}
	return ""
}
