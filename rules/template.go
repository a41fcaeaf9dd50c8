package rules

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// A text of an action is made of fixed pieces and expressions.
type textParts struct {
	source string // as written
	parts  []textPart
}

// A textPart is a fixed piece, or an expression.
type textPart struct {
	fixed   string
	formula *formula // nil for a fixed piece
}

// parseText reads a text with ${expressions} in it; $${ stands for ${. The text is that of the snippet from a character on.
func (c *compiler) parseText(s snippet, from int) (textParts, bool) {
	runes := []rune(s.text)
	t, ok := textParts{source: string(runes[from:])}, true
	fixed := ""
	for i := from; i < len(runes); {
		rest := string(runes[i:])
		switch {
		case strings.HasPrefix(rest, "$${"):
			fixed, i = fixed+"${", i+3
		case strings.HasPrefix(rest, "${"):
			end := closing(runes, i+2)
			if end < 0 {
				s.report(i, "this ${ is never closed: write } behind the expression, or $${ for the characters themselves")
				return t, false
			}
			inner := snippet{d: s.d, text: string(runes[i+2 : end]), places: s.places[i+2 : end+1], inserted: true}
			formula := c.embedded(inner)
			ok = ok && formula != nil
			t.parts = append(t.parts, textPart{fixed: fixed}, textPart{formula: formula})
			fixed, i = "", end+1
		default:
			fixed, i = fixed+string(runes[i]), i+1
		}
	}
	t.parts = append(t.parts, textPart{fixed: fixed})
	if len(t.source) > maxExpanded {
		s.report(from, "the text is too long: it has %d octets, %d are allowed", len(t.source), maxExpanded)
		return t, false
	}
	for i := range t.parts {
		ok = c.visible(s, t.parts[i].fixed) && ok
		t.parts[i].fixed = oneLine(t.parts[i].fixed)
	}
	return t, ok
}

// visible reports control characters in a text. Line breaks and tabs become blanks.
func (c *compiler) visible(s snippet, fixed string) bool {
	for _, r := range fixed {
		if unicode.IsControl(r) && !unicode.IsSpace(r) {
			s.report(0, "the text holds the control character %U, which no mail may hold: remove it", r)
			return false
		}
	}
	return true
}

// oneLine puts a text on one line: each run of blanks with a line break or another control character in it becomes one blank.
func oneLine(s string) string {
	if !strings.ContainsFunc(s, unprintable) {
		return s
	}
	var b strings.Builder
	runes := []rune(s)
	for i := 0; i < len(runes); {
		end, broken := i, false
		for end < len(runes) && (runes[end] == ' ' || unprintable(runes[end])) {
			broken = broken || runes[end] != ' '
			end++
		}
		switch {
		case broken:
			b.WriteByte(' ')
			i = end
		default:
			end = max(end, i+1)
			b.WriteString(string(runes[i:end]))
			i = end
		}
	}
	return b.String()
}

// unprintable reports whether a character cannot stand in one line of text: controls, and the separators of lines and
// paragraphs of Unicode.
func unprintable(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }

// embedded compiles an expression in a text.
func (c *compiler) embedded(s snippet) *formula {
	if strings.TrimSpace(s.text) == "" {
		s.report(0, "there is no expression in ${}: write a fact such as ${from.domain}")
		return nil
	}
	f := c.known[s.text] // many texts name the same facts
	if f == nil {
		if f = c.compile(s, c.env, printable); f != nil {
			c.known[s.text] = f
		}
	}
	return f
}

// closing returns the character of the } that closes an expression, -1 if there is none.
func closing(runes []rune, from int) int {
	depth, quote := 0, rune(0)
	for i := from; i < len(runes); i++ {
		switch r := runes[i]; {
		case quote != 0 && r == '\\':
			i++
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '"' || r == '\'':
			quote = r
		case r == '{':
			depth++
		case r == '}' && depth == 0:
			return i
		case r == '}':
			depth--
		}
	}
	return -1
}

// maxInsert is how much of one value a text takes in, in octets.
const maxInsert = 500

// maxExpanded is how long a text with expressions in it becomes at most, in octets, so that a header field stays shorter than
// what every MTA takes.
const maxExpanded = 2000

// expand evaluates a text, which is one line. An expression that fails gives "?".
func (ev *evaluation) expand(t textParts) string {
	if len(t.parts) == 1 {
		return t.parts[0].fixed
	}
	var b strings.Builder
	for _, p := range t.parts {
		if p.formula == nil {
			b.WriteString(p.fixed)
			continue
		}
		v, err := ev.evaluate(p.formula)
		if err != nil {
			b.WriteByte('?')
			continue
		}
		b.WriteString(shorten(oneLine(shorten(plainValue(v), 2*maxInsert)), maxInsert))
	}
	return strings.TrimSpace(shorten(b.String(), maxExpanded))
}

// shorten cuts a text that is too long for its place, between two characters.
func shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "..."
}

// plainValue writes a value the way people read it.
func plainValue(v ref.Val) string {
	switch v := v.(type) {
	case types.String:
		return string(v)
	case types.Timestamp:
		return v.UTC().Format(time.RFC3339)
	case types.Double:
		return strconv.FormatFloat(float64(v), 'g', -1, 64)
	case traits.Lister:
		var b strings.Builder
		for it := v.Iterator(); it.HasNext() == types.True && b.Len() <= maxInsert; {
			if b.Len() > 0 {
				b.WriteString(", ")
			}
			b.WriteString(plainValue(it.Next()))
		}
		return b.String()
	}
	return fmt.Sprint(v.Value())
}
