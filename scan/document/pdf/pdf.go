// Package pdf reads PDF and FDF files as [container.Reader]: what acts in them, what is attached to them, where they lead,
// and how they are encrypted (ISO 32000-1:2008, ISO 32000-2:2020, ISO/TS 32003:2023).
//
// It looks at a file as the most tolerant of viewers does, and never trusts a cross-reference table: every "12 0 obj" in the
// octets counts, of all revisions, listed or not, and what object streams hold as well. Names count where they are keys or
// values of dictionaries; the same words in strings, comments, and the streams of pages do not.
//
// It refuses to render: streams of pages, fonts and pictures are not unpacked. What is unpacked are object streams, forms in
// XFA, JavaScript and attached files, all within the budget.
package pdf

import (
	"bytes"
	"strings"

	"assay/scan/container"
)

// A Reader reads PDF and FDF files. The zero value is ready, and serves any number of goroutines.
type Reader struct{}

var _ container.Reader = Reader{}

// near is where viewers look for the header: ISO 32000-1 Annex H.3, implementation note 13.
const near = 1024

// Reads reports whether a viewer would open the file as PDF: it has a header within the first 1024 octets. Behind other
// octets it counts only if objects follow and the file is not one of a format that carries files as they are, such as ZIP or
// tar, unless it is called a PDF.
func (Reader) Reads(f *container.File) bool {
	named := f.Extension == "pdf" || f.Extension == "fdf"
	head := f.Content
	if !named {
		head = head[:min(len(head), near+len("%PDF-"))]
	}
	at, _ := header(head)
	if at <= 0 {
		return at == 0
	}
	return (named || opaque(f.Type)) && bytes.Contains(f.Content[at:], []byte("obj"))
}

// opaque reports whether a file of this type holds a PDF only by accident or by intent to deceive.
func opaque(mediaType string) bool {
	switch mediaType {
	case "", "application/pdf", "application/octet-stream", "application/rtf", "application/xml", "application/xhtml+xml", "application/postscript",
		"application/vnd.microsoft.portable-executable", "application/x-elf":
		return true
	}
	return strings.HasPrefix(mediaType, "image/") || strings.HasPrefix(mediaType, "text/")
}

// header returns where the header starts, -1 if there is none, and whether it is one of FDF.
func header(data []byte) (at int, fdf bool) {
	if bytes.HasPrefix(data, []byte("%FDF-")) {
		return 0, true
	}
	// ISO 32000-1 Annex H.3, implementation note 14: a header of PostScript with the version of PDF counts as well.
	line, _, _ := bytes.Cut(data[:min(len(data), 64)], []byte("\n"))
	if bytes.HasPrefix(line, []byte("%!PS-Adobe-")) && bytes.Contains(line, []byte(" PDF-")) {
		return 0, false
	}
	return bytes.Index(data, []byte("%PDF-")), false
}
