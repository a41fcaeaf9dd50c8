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
	if !hasLink(text) && !hasCall(text) {
		return t.budget.Check()
	}
	separators := []byte{',', ';', '\t'}
	if len(text) > 4 && strings.EqualFold(string(text[:4]), "sep=") {
		separators = append(separators, text[4])
	}
	whole := false // one that does not occur leaves the lines whole; once is enough
	for _, s := range separators {
		if bytes.IndexByte(text, s) < 0 {
			if whole {
				continue
			}
			whole = true
		}
		c := cellReader{text: text, separator: s, table: t}
		if err := c.read(); err != nil {
			return err
		}
	}
	return nil
}

// hasLink reports whether there may be a reference by DDE anywhere, which is soon told of an ordinary table.
func hasLink(text []byte) bool {
	last := bytes.LastIndexByte(text, '!')
	for at := 1; at < last; at++ {
		i := bytes.IndexByte(text[at:last], '|')
		if i < 0 {
			return false
		}
		at += i
		before, behind := text[at-1], text[at+1]
		if (isWord(before) || before == '\'' || isBlank(before)) && behind != '|' {
			return true
		}
	}
	return false
}

// hasCall reports whether a function that matters may be called anywhere.
func hasCall(text []byte) bool {
	for at := 1; at < len(text); at++ {
		i := bytes.IndexByte(text[at:], '(')
		if i < 0 {
			return false
		}
		at += i
		if c := text[at-1]; c != ' ' && !isWord(c) {
			continue
		}
		word := bytes.TrimRight(text[max(0, at-24):at], " ")
		n := len(word)
		for n > 0 && isWord(word[n-1]) {
			n--
		}
		if isCall(strings.ToUpper(string(word[n:]))) {
			return true
		}
	}
	return false
}

// isCall reports whether a name may be that of a function that ReadFormula looks at.
func isCall(name string) bool {
	for _, s := range []string{
		"DDE", "DDEINITIALIZE", "EXEC", "CALL", "REGISTER", "INITIATE", "FOPEN", "REGISTER.ID", "RUN", "WEBSERVICE", "IMPORTXML", "IMPORTDATA", "IMPORTHTML", "IMPORTFEED",
		"IMPORTRANGE", "IMAGE", "HYPERLINK",
	} {
		if strings.HasSuffix(name, s) {
			return true
		}
	}
	return false
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

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
	for c.at < len(c.text) && c.text[c.at] <= ' ' && c.text[c.at] != c.separator && strings.IndexByte(" \t\r\x00\v\f", c.text[c.at]) >= 0 {
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

// spread returns the signs of a formula whose letters have blanks between them, which hide it from filters and not from Excel
// (OWASP, CSV Injection).
func spread(cell []byte) []container.Sign {
	if bytes.IndexByte(cell, '|') < 0 || bytes.IndexByte(cell, '!') < 0 {
		return nil
	}
	return ReadFormula(strings.Join(strings.Fields(string(cell)), "")).Signs
}

// cell looks at one cell. Only behind "=" it is a formula for sure; other signs begin numbers, telephone numbers and lists,
// so that there must be more to it.
func (c *cellReader) cell(cell []byte) {
	if !isStart(cell) || bytes.IndexByte(cell, '|') < 0 && bytes.IndexByte(cell, '(') < 0 {
		return
	}
	f := ReadFormula(string(cell))
	if cell[0] == '=' && len(f.Signs) == 0 {
		f.Signs = spread(cell)
	}
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
