package sheet

import (
	"bytes"
	"strings"

	"assay/scan"
	"assay/scan/container"
)

// readCells looks at every cell of a table, for each separator that a program could take (RFC 4180 Section 2 has the comma;
// Excel takes what the country of its user has, or what a first line "sep=" says).
func (t *table) readCells(text []byte) error {
	if bytes.IndexByte(text, '|') < 0 && bytes.IndexByte(text, '(') < 0 {
		return t.budget.Check() // neither DDE nor a function
	}
	separators := []byte{',', ';', '\t'}
	if len(text) > 4 && strings.EqualFold(string(text[:4]), "sep=") {
		separators = append(separators, text[4])
	}
	first := true
	seen := map[byte]bool{}
	for _, s := range separators {
		if seen[s] || !first && bytes.IndexByte(text, s) < 0 {
			continue
		}
		seen[s], first = true, false
		c := cellReader{text: text, separator: s, table: t}
		if err := c.read(); err != nil {
			return err
		}
	}
	return nil
}

// A cellReader walks over the cells of a table with one separator.
type cellReader struct {
	text      []byte
	at        int
	separator byte
	unclosed  bool // there is no closing quotation mark any more
	table     *table
}

// read looks at all cells.
func (c *cellReader) read() error {
	for c.at < len(c.text) {
		if err := c.table.budget.Check(); err != nil {
			return err
		}
		c.skipBlanks()
		if c.at < len(c.text) && c.text[c.at] == '"' && !c.unclosed {
			if c.quoted() {
				continue
			}
		}
		from := c.at
		c.skipCell()
		c.cell(c.text[from:min(c.at, len(c.text))])
		c.at++
	}
	return nil
}

// skipBlanks goes to where a cell begins. A tab or carriage return in front of a formula hides it from filters, not from
// programs (OWASP, CSV Injection).
func (c *cellReader) skipBlanks() {
	for c.at < len(c.text) && c.text[c.at] != c.separator && strings.IndexByte(" \t\r\x00\v\f", c.text[c.at]) >= 0 {
		c.at++
	}
}

// skipCell goes to the end of the cell.
func (c *cellReader) skipCell() {
	for c.at < len(c.text) && c.text[c.at] != c.separator && c.text[c.at] != '\n' {
		c.at++
	}
}

// quoted reads a cell that begins with a quotation mark (RFC 4180 Section 2, rules 5 to 7) and whatever follows up to the
// separator. It reports false, and stays where it is, if the mark is not closed.
func (c *cellReader) quoted() bool {
	from := c.at + 1
	at := from
	for {
		i := bytes.IndexByte(c.text[at:], '"')
		if i < 0 {
			c.unclosed = true
			return false
		}
		at += i + 1
		if at >= len(c.text) || c.text[at] != '"' {
			break
		}
		at++
	}
	inner := c.text[from : at-1]
	c.at = at
	c.skipCell()
	rest := c.text[at:min(c.at, len(c.text))]
	c.at++
	if start := bytes.TrimLeft(inner, " \t\r\n\"\x00"); isStart(start) {
		c.cell([]byte(strings.ReplaceAll(string(start), `""`, `"`) + string(rest)))
	}
	return true
}

// isStart reports whether a cell begins as formulas do.
func isStart(cell []byte) bool {
	return len(cell) > 1 && (cell[0] == '=' || cell[0] == '+' || cell[0] == '-' || cell[0] == '@')
}

// cell looks at one cell. Only behind "=" it is a formula for sure; other signs begin numbers, telephone numbers and lists,
// so that there must be more to it.
func (c *cellReader) cell(cell []byte) {
	if !isStart(cell) || bytes.IndexByte(cell, '|') < 0 && bytes.IndexByte(cell, '(') < 0 {
		return
	}
	f := ReadFormula(string(cell))
	kept := Formula{Links: f.Links}
	for _, s := range f.Signs {
		if cell[0] == '=' || s.Trait == scan.DDE || len(f.Links) > 0 {
			kept.Signs = append(kept.Signs, s)
		}
	}
	for i := range kept.Links { // a formula in a text file, unlike one in a workbook, is seldom meant to be one
		if kept.Links[i].Source == scan.FromAnchor {
			kept.Signs = append(kept.Signs, container.Sign{Trait: scan.RemoteObject, Detail: "the function HYPERLINK"})
		}
	}
	c.table.add(kept)
}
