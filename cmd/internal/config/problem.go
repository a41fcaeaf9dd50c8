package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// A Problem is one thing that is wrong with a configuration, and where.
type Problem struct {
	File    string // name of the file, or "environment"
	Line    int    // 1-based, 0 when the problem has no place in the file
	Column  int    // 1-based, in characters
	Message string // what is wrong and, where it can be said, what to write instead
	Source  string // the line of the file, "" when there is none to show
}

// excerptWidth is how many characters of a source line are shown, so that a very long line stays readable.
const excerptWidth = 120

// Error returns "file:line:col: message", the source line and a caret below the place.
func (p Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	b.WriteString(p.Message)
	if p.Source != "" && p.Line > 0 {
		text, column := excerpt(p.Source, p.Column)
		fmt.Fprintf(&b, "\n    %s\n    %s^", text, strings.Repeat(" ", column-1))
	}
	return b.String()
}

// excerpt returns the part of a line around a column, with everything unprintable shown as a blank, and the column
// within that part.
func excerpt(line string, column int) (string, int) {
	runes := []rune(line)
	column = min(max(column, 1), len(runes)+1)
	start := 0
	if len(runes) > excerptWidth {
		start = max(0, min(column-excerptWidth/2, len(runes)-excerptWidth))
	}
	end := min(len(runes), start+excerptWidth)
	for i, r := range runes[start:end] {
		if !unicode.IsPrint(r) {
			runes[start+i] = ' '
		}
	}
	return string(runes[start:end]), column - start
}

// Problems are all the problems of a configuration, in the order of the file.
type Problems []Problem

// maxShown bounds how many problems are written out: more mean that the file is something else altogether.
const maxShown = 200

// Error returns every problem, separated by newlines.
func (ps Problems) Error() string {
	shown := ps[:min(len(ps), maxShown)]
	texts := make([]string, len(shown), len(shown)+1)
	for i, p := range shown {
		texts[i] = p.Error()
	}
	if more := len(ps) - len(shown); more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more problems", more))
	}
	return strings.Join(texts, "\n")
}

// sort puts the problems into the order of the file; those without a place come last.
func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		if (a.Line == 0) != (b.Line == 0) {
			return cmp.Compare(b.Line, a.Line)
		}
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}
