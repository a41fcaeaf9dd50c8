// Package sheet reads what spreadsheet programs open although it is text: CSV and its relatives, SYLK, DIF and query
// files. It looks for cells that are formulas with a consequence outside of the sheet: that start a program by Dynamic
// Data Exchange, run a macro, or load something. It calculates nothing.
//
// SYLK and DIF have no standard; the records are those that Excel and LibreOffice read.
package sheet

import (
	"bytes"

	"assay/scan"
	"assay/scan/container"
)

// Reader reads tables in text.
type Reader struct{}

// Reads implements container.Reader. A table in text has no magic, so the extension decides, except for SYLK. What is not
// text is for other Readers, whatever its name.
func (Reader) Reads(f *container.File) bool {
	return kindOf(f) != ""
}

// Read implements container.Reader.
func (Reader) Read(f *container.File, _ func(container.Member) bool) container.Verdict {
	return container.Verdict{State: scan.Uninspectable, Method: "table in text"}
}

// kindOf tells what kind of table a file is, "" if it is none.
func kindOf(f *container.File) string {
	if bytes.HasPrefix(f.Content, []byte("ID;P")) {
		return "slk"
	}
	return ""
}
