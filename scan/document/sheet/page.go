package sheet

import (
	"bytes"
	"html"
	"strings"

	"assay/scan/container"
)

// isPage reports whether a file is HTML that Excel opens, by its name or because Excel has written it.
func isPage(f *container.File) bool {
	switch f.Type {
	case "text/html", "application/xhtml+xml", "application/x-mimearchive":
	default:
		return false
	}
	return strings.HasPrefix(f.Extension, "xl") || bytes.Contains(f.Content[:min(len(f.Content), 4096)], []byte("microsoft-com:office:excel"))
}

// readPage looks at the cells of a table in HTML: texts that begin as formulas do, and the formulas that Excel itself writes
// into the attribute x:fmla.
func (t *table) readPage(text []byte) error {
	for len(text) > 0 {
		if err := t.budget.Check(); err != nil {
			return err
		}
		tag := bytes.IndexByte(text, '<')
		if tag < 0 {
			tag = len(text)
		}
		if cell := bytes.TrimSpace(text[:tag]); len(cell) > 1 && (cell[0] == '=' || cell[0] == '&') {
			t.formula(html.UnescapeString(string(cell)))
		}
		end := bytes.IndexByte(text[tag:], '>')
		if end < 0 {
			end = len(text) - tag
		}
		t.attribute(text[tag : tag+end])
		text = text[min(len(text), tag+end+1):]
	}
	return nil
}

// attribute looks at the formula in a tag.
func (t *table) attribute(tag []byte) {
	_, value, found := bytes.Cut(tag, []byte("fmla="))
	if !found || len(value) < 2 {
		return
	}
	if quote := value[0]; quote == '"' || quote == '\'' {
		value, _, _ = bytes.Cut(value[1:], []byte{quote})
	}
	t.formula(html.UnescapeString(string(value)))
}

// formula looks at one formula of a page.
func (t *table) formula(text string) {
	if strings.HasPrefix(text, "=") {
		t.add(ReadFormula(text))
	}
}
