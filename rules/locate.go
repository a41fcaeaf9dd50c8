package rules

import "go.yaml.in/yaml/v4"

// A place is a line and a column, both 1-based, the column in characters.
type place struct{ line, column int }

// locate returns where each character of a scalar stands in the file, and in the end the place behind the last one. YAML
// folds lines and resolves escapes, so the value is laid over the source again, character by character.
func (d *document) locate(n *yaml.Node) []place {
	w := &walker{d: d, line: n.Line - 1, column: n.Column - 1}
	switch {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		w.line, w.column = w.line+1, 0 // the text begins below the indicator
	case n.Style&yaml.DoubleQuotedStyle != 0:
		w.quote, w.column = '"', w.column+1
	case n.Style&yaml.SingleQuotedStyle != 0:
		w.quote, w.column = '\'', w.column+1
	}
	w.load()
	var places []place
	for _, r := range n.Value {
		places = append(places, w.step(r))
	}
	return append(places, w.here())
}

// A walker walks over the source of a scalar.
type walker struct {
	d            *document
	line, column int // 0-based
	text         []rune
	quote        rune // 0 for plain, literal and folded scalars
}

// load takes the characters of the current line.
func (w *walker) load() {
	w.text = nil
	if w.line < len(w.d.lines) {
		w.text = []rune(w.d.lines[w.line])
	}
}

// here returns the current place.
func (w *walker) here() place { return place{w.line + 1, w.column + 1} }

// step returns the place of the next character of the value and goes behind it.
func (w *walker) step(r rune) place {
	blank := r == ' ' || r == '\n' || r == '\t'
	if !blank {
		w.skipBlanks()
	}
	at := w.here()
	switch {
	case w.escaped():
		w.column += w.escape()
	case w.column < len(w.text) && (!blank || w.text[w.column] == ' ' || w.text[w.column] == '\t'):
		w.column++
	case blank && w.column >= len(w.text):
		w.next()
	}
	return at
}

// escaped reports whether an escape sequence begins here.
func (w *walker) escaped() bool {
	if w.quote == 0 || w.column+1 >= len(w.text) {
		return false
	}
	c := w.text[w.column]
	return w.quote == '"' && c == '\\' || w.quote == '\'' && c == '\'' && w.text[w.column+1] == '\''
}

// escape returns the length of the escape sequence that begins here (YAML 1.2 Section 5.7).
func (w *walker) escape() int {
	if w.quote == '\'' {
		return 2
	}
	switch w.text[w.column+1] {
	case 'x':
		return 4
	case 'u':
		return 6
	case 'U':
		return 10
	}
	return 2
}

// skipBlanks goes over blanks and line ends that the value does not have.
func (w *walker) skipBlanks() {
	for w.line < len(w.d.lines) {
		for w.column < len(w.text) && (w.text[w.column] == ' ' || w.text[w.column] == '\t') {
			w.column++
		}
		folded := w.quote == '"' && w.column == len(w.text)-1 && w.text[w.column] == '\\' // an escaped line end
		if w.column < len(w.text) && !folded {
			return
		}
		w.next()
	}
}

// next goes to the beginning of the next line.
func (w *walker) next() {
	w.line, w.column = w.line+1, 0
	w.load()
}
