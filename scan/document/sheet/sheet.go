// Package sheet reads what spreadsheet programs open although it is text: CSV and its relatives, SYLK, DIF and query
// files. It looks for cells that are formulas with a consequence outside of the sheet: that start a program by Dynamic
// Data Exchange, run a macro, or load something. It calculates nothing.
//
// RFC 4180 describes CSV; the rest has no standard, and is read as Excel and LibreOffice read it.
package sheet

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/unicode"

	"assay/scan"
	"assay/scan/container"
)

// Reader reads tables in text.
type Reader struct{}

// Reads implements container.Reader. A table in text has no magic, so the extension decides, except for SYLK and web
// queries. What is not text is for other Readers, whatever its name.
func (Reader) Reads(f *container.File) bool { return kindOf(f) != other }

// Read implements container.Reader. It yields nothing.
func (Reader) Read(f *container.File, _ func(container.Member) bool) container.Verdict {
	text, err := decode(f)
	if err != nil {
		return container.Limited(err)
	}
	t := table{budget: f.Budget}
	verdict := container.Verdict{State: scan.Inspected}
	switch kindOf(f) {
	case sylk:
		verdict.Type = "application/x-sylk"
		err = t.readSYLK(text)
		if err == nil { // Excel opens what is no SYLK after all as CSV
			err = t.readCells(text)
		}
	case query:
		t.readQuery(text)
	case cells:
		err = t.readCells(text)
	case page:
		err = t.readPage(text)
	}
	if err != nil {
		verdict.State, verdict.Method = scan.Uninspectable, err.Error()
	}
	verdict.Signs, verdict.Links = t.signs, t.links
	return verdict
}

// A kind is a kind of table.
type kind int

const (
	other kind = iota
	cells      // cells between separators
	sylk       // symbolic link format
	query      // a query for Excel: IQY, OQY, DQY, RQY
	page       // a table in HTML that Excel opens as a workbook
)

// kindOf tells what kind of table a file is.
func kindOf(f *container.File) kind {
	head := bytes.TrimPrefix(f.Content[:min(len(f.Content), 512)], []byte("\xef\xbb\xbf"))
	wide := isWide(head)
	if !wide && bytes.IndexByte(head, 0) >= 0 {
		return other
	}
	start := string(head)
	if wide {
		start = strings.ReplaceAll(strings.TrimPrefix(strings.TrimPrefix(start, "\xff\xfe"), "\xfe\xff"), "\x00", "")
	}
	switch {
	case strings.HasPrefix(start, "ID;"):
		return sylk
	case strings.HasPrefix(start, "WEB\r"), strings.HasPrefix(start, "WEB\n"), strings.HasPrefix(start, "XLODBC\r"), strings.HasPrefix(start, "XLODBC\n"):
		return query
	}
	switch f.Extension {
	case "slk", "sylk":
		return sylk
	case "iqy", "oqy", "dqy", "rqy":
		return query
	case "csv", "tsv", "tab", "dif", "prn":
		return cells
	}
	if isPage(f) {
		return page
	}
	return other
}

// isWide reports whether a text is in UTF-16, by its mark or by the zeros in it.
func isWide(head []byte) bool {
	return bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff")) ||
		len(head) >= 4 && (head[0] == 0) != (head[1] == 0) && (head[2] == 0) != (head[3] == 0)
}

// decode returns the content in an encoding in which ASCII can be looked for.
func decode(f *container.File) ([]byte, error) {
	if !isWide(f.Content) {
		return bytes.TrimPrefix(f.Content, []byte("\xef\xbb\xbf")), f.Budget.Check()
	}
	if err := f.Budget.Spend(int64(len(f.Content))); err != nil {
		return nil, err
	}
	order := unicode.LittleEndian
	if f.Content[0] == 0 {
		order = unicode.BigEndian
	}
	text, err := unicode.UTF16(order, unicode.UseBOM).NewDecoder().Bytes(f.Content)
	if err != nil && !utf8.Valid(text) {
		return nil, err
	}
	return text, nil
}

// A table collects what the cells of a file do.
type table struct {
	budget *container.Budget
	signs  []container.Sign
	links  []container.Link
}

// maxLinks bounds the links of one file.
const maxLinks = 1000

// add takes what a formula does.
func (t *table) add(f Formula) {
	for _, s := range f.Signs {
		t.sign(s)
	}
	if len(t.links) < maxLinks {
		t.links = append(t.links, f.Links...)
	}
}

// sign adds a Sign, once for each Trait and Detail; of many, only those that come first.
func (t *table) sign(s container.Sign) {
	same := 0
	for i := range t.signs {
		if t.signs[i].Trait != s.Trait {
			continue
		}
		if same++; t.signs[i].Detail == s.Detail || same >= 5 {
			t.signs[i].Count += max(1, s.Count)
			return
		}
	}
	s.Count = max(1, s.Count)
	t.signs = append(t.signs, s)
}

// readQuery reads a query for Excel: the kind, its version, where it goes, what it asks. It is sent when the file is opened.
func (t *table) readQuery(text []byte) {
	lines := strings.Split(string(text[:min(len(text), 64<<10)]), "\n")
	t.sign(container.Sign{Trait: scan.RemoteObject, Detail: "a query that Excel sends"})
	for _, line := range lines[:min(len(lines), 50)] {
		line = strings.TrimSpace(line)
		address, _, _ := strings.Cut(line, " ")
		if strings.Contains(address, "://") || strings.HasPrefix(address, `\\`) {
			t.links = append(t.links, container.Link{URL: address, Source: scan.FromRemote})
		}
	}
}
