package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// A Problem is one thing that is wrong with a rule set, and where.
type Problem struct {
	Warning bool   // the set can be used all the same
	File    string // name of the file as shown to people: its directory's display name and its own
	Line    int    // 1-based, 0 when the problem has no place in the file
	Column  int    // 1-based, in characters
	Message string // what is wrong and what to write instead
	Source  string // the line of the file, "" when there is none to show
}

// excerptWidth is how many characters of a source line are shown, so that a very long line stays readable.
const excerptWidth = 120

// String returns "file:line:col: message", the source line and a caret below the place. The message of a warning begins
// with "warning: ".
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Warning {
		b.WriteString("warning: ")
	}
	b.WriteString(p.Message)
	if p.Source != "" && p.Line > 0 {
		text, column := excerpt(p.Source, p.Column)
		fmt.Fprintf(&b, "\n    %s\n    %s^", text, strings.Repeat(" ", column-1))
	}
	return b.String()
}

// Error makes a Problem an error.
func (p Problem) Error() string { return p.String() }

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

// Problems are all the problems of a rule set, by file and place.
type Problems []Problem

// maxShown bounds how many problems are written out: more mean that a file is something else altogether.
const maxShown = 200

// String returns every problem, separated by newlines.
func (ps Problems) String() string {
	shown := ps[:min(len(ps), maxShown)]
	texts := make([]string, len(shown), len(shown)+1)
	for i, p := range shown {
		texts[i] = p.String()
	}
	if more := len(ps) - len(shown); more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more problems", more))
	}
	return strings.Join(texts, "\n")
}

// Error makes Problems an error; see Err.
func (ps Problems) Error() string { return ps.String() }

// Errors returns the problems that keep the set from being used.
func (ps Problems) Errors() Problems { return ps.filter(false) }

// Warnings returns the problems that do not.
func (ps Problems) Warnings() Problems { return ps.filter(true) }

// filter returns the warnings, or everything else.
func (ps Problems) filter(warning bool) Problems {
	var some Problems
	for _, p := range ps {
		if p.Warning == warning {
			some = append(some, p)
		}
	}
	return some
}

// Err returns the errors among the problems as an error, nil if there is none.
func (ps Problems) Err() error {
	if errs := ps.Errors(); len(errs) > 0 {
		return errs
	}
	return nil
}

// sorted returns the problems by the order of their files, then by place; those without a place come first. What is
// said twice about one place is left out.
func (ps Problems) sorted(files map[string]int) Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(files[a.File], files[b.File]), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column))
	})
	return slices.Compact(ps)
}
