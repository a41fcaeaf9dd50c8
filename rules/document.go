package rules

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// A document is one YAML file and what is wrong with it.
type document struct {
	source   string // name of the Source it is from
	path     string // inside of the source
	name     string // as shown to people
	lines    []string
	problems *Problems
	refused  map[*yaml.Node]bool // values that are not decoded
	setting  *Setting            // that the file stands for; nil for what people have written
}

// newDocument prepares a file for decoding. A byte order mark is not part of the first line.
func newDocument(source, path string, text []byte, problems *Problems) *document {
	name := path
	if source != "" {
		name = strings.TrimSuffix(source, "/") + "/" + path
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	lines := strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n")
	return &document{source: source, path: path, name: name, lines: lines, problems: problems, refused: map[*yaml.Node]bool{}}
}

// reportAt adds an error at a place of the file; line 0 is the file as a whole.
func (d *document) reportAt(line, column int, format string, args ...any) {
	d.add(false, line, column, fmt.Sprintf(format, args...))
}

// warnAt adds a warning at a place of the file.
func (d *document) warnAt(line, column int, format string, args ...any) {
	d.add(true, line, column, fmt.Sprintf(format, args...))
}

// add adds a problem.
func (d *document) add(warning bool, line, column int, message string) {
	p := Problem{Warning: warning, File: d.name, Line: line, Column: max(column, 1), Message: message}
	if line >= 1 && line <= len(d.lines) {
		p.Source = d.lines[line-1]
	}
	if line == 0 {
		p.Column = 0
	}
	*d.problems = append(*d.problems, p)
}

// report adds an error at a node.
func (d *document) report(n *yaml.Node, format string, args ...any) {
	d.reportAt(n.Line, n.Column, format, args...)
}

// refuse adds an error at a node that is not decoded because of it.
func (d *document) refuse(n *yaml.Node, format string, args ...any) {
	d.refused[n] = true
	d.report(n, format, args...)
}

// warn adds a warning at a node.
func (d *document) warn(n *yaml.Node, format string, args ...any) {
	d.warnAt(n.Line, n.Column, format, args...)
}

// position returns where a node stands.
func (d *document) position(n *yaml.Node) Position { return Position{File: d.name, Line: n.Line} }

// mapping returns the mapping that a file consists of, nil with a problem if it does not.
func (d *document) mapping(text []byte) *yaml.Node {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if !d.encoded(text) {
		return nil
	}
	top, ok := d.parse(text)
	if !ok {
		return nil
	}
	switch {
	case top == nil || top.Kind == yaml.ScalarNode && top.ShortTag() == "!!null":
		d.reportAt(0, 0, "the file is empty: write at least \"format: 1\", or remove the file")
		return nil
	case top.Kind != yaml.MappingNode:
		d.report(top, "a rule file consists of keys with a colon, such as \"format: 1\" and \"rules:\"; a blank has to follow the colon")
		return nil
	}
	return top
}

// encoded reports a file that is not UTF-8 text.
func (d *document) encoded(text []byte) bool {
	if utf8.Valid(text) && bytes.IndexByte(text, 0) < 0 {
		return true
	}
	for i, line := range bytes.Split(text, []byte("\n")) {
		if bytes.IndexByte(line, 0) < 0 && utf8.Valid(line) {
			continue
		}
		column := 1
		for len(line) > 0 {
			r, n := utf8.DecodeRune(line)
			if r == 0 || r == utf8.RuneError && n == 1 {
				break
			}
			column, line = column+1, line[n:]
		}
		d.reportAt(i+1, column, "this is not UTF-8 text: save the file in the encoding UTF-8, without NUL octets")
		return false
	}
	return true
}

// parse returns the root node of the only document of the file, nil for an empty file.
func (d *document) parse(text []byte) (top *yaml.Node, ok bool) {
	loader, err := yaml.NewLoader(bytes.NewReader(text))
	if err != nil {
		d.syntax(err)
		return nil, false
	}
	var first, second yaml.Node
	if err := loader.Load(&first); errors.Is(err, io.EOF) {
		return nil, true
	} else if err != nil {
		d.syntax(err)
		return nil, false
	}
	switch err := loader.Load(&second); {
	case err == nil:
		d.report(&second, "a second document begins here: a rule file is one document, remove the line with ---")
		return nil, false
	case !errors.Is(err, io.EOF):
		d.syntax(err)
		return nil, false
	}
	if len(first.Content) == 0 {
		return nil, true
	}
	return first.Content[0], true
}

// syntax reports an error of the YAML parser in words that say what to do.
func (d *document) syntax(err error) {
	var load *yaml.LoadError
	if !errors.As(err, &load) {
		d.reportAt(0, 0, "not valid YAML: %v", err)
		return
	}
	line, column := load.Mark.Line, load.Mark.Column
	if load.ContextMsg == "while scanning a quoted scalar" && strings.Contains(load.Message, "unexpected end") {
		line, column = load.ContextMark.Line, load.ContextMark.Column // where the quote was opened
	}
	if line > len(d.lines) {
		line, column = len(d.lines), 1
	}
	message := load.Message
	if load.ContextMsg != "" {
		message = load.ContextMsg + ", " + message
	}
	if cure := d.cure(load, line, column); cure != "" {
		d.reportAt(line, column, "%s (not valid YAML: %s)", cure, message)
		return
	}
	d.reportAt(line, column, "not valid YAML: %s", message)
}

// cure says what to do about an error of the YAML parser, "" when it cannot be told.
func (d *document) cure(load *yaml.LoadError, line, column int) string {
	source := ""
	if line >= 1 && line <= len(d.lines) {
		source = d.lines[line-1]
	}
	indent := len(source) - len(strings.TrimLeft(source, " "))
	switch has := func(s string) bool { return strings.Contains(load.Message, s) }; {
	case strings.HasPrefix(strings.TrimLeft(source, " "), "\t"):
		return "a tab: indent with blanks, YAML does not allow tabs"
	case load.ContextMsg == "while scanning a quoted scalar" && has("unexpected end"):
		return "the quote that opens here is never closed"
	case has("unknown escape character"):
		return `in double quotes a backslash begins an escape: write two backslashes, or put the text in single quotes`
	case has("cannot start any token"):
		return "a value cannot begin with this character: put the whole value in quotes"
	case has("mapping values are not allowed") && d.key(line, column) && d.joined(line-1):
		return "in the line above no blank follows the colon: write \"key: value\""
	case has("mapping values are not allowed") && d.key(line, column):
		return fmt.Sprintf("this line is indented by %d blanks, which fits nothing above: keys that belong together begin in the same column", indent)
	case has("mapping values are not allowed"):
		return "a colon and a blank inside of a value: put the whole value in quotes, or write it below, indented, after a |"
	case (has("did not find expected key") || has("expected '-' indicator")) && column-1 == indent:
		return fmt.Sprintf("this line is indented by %d blanks, which fits nothing above: keys that belong together begin in the same column", indent)
	case has("did not find expected key"):
		return "text behind the closing quote: put the whole value in quotes of the other kind, or write it below, indented, after a |"
	case has("expected ',' or"):
		return "a bracket that opens above is not closed"
	}
	return ""
}

// key reports whether the colon at a place ends the first word of its line, so that the line was meant as a key.
func (d *document) key(line, column int) bool {
	if line < 1 || line > len(d.lines) {
		return false
	}
	runes := []rune(d.lines[line-1])
	return isWord(strings.TrimLeft(string(runes[:min(column-1, len(runes))]), " -"))
}

// joined reports whether a line is a key with its value directly behind the colon.
func (d *document) joined(line int) bool {
	if line < 1 {
		return false
	}
	word, rest, found := strings.Cut(strings.TrimLeft(d.lines[line-1], " -"), ":")
	return found && isWord(word) && rest != "" && rest[0] != ' '
}

// isWord reports whether s could be a key.
func isWord(s string) bool {
	for _, r := range s {
		if r != '_' && r != '-' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}
