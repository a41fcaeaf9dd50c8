package rules

import (
	"fmt"
	"strings"
	"unicode"
)

// A mistake is one thing that is wrong with an expression, at a character of it.
type mistake struct {
	at      int // 0-based character
	message string
}

// mistakes finds what people write who do not know CEL: the operators of other languages, typographic quotes, quotes and
// brackets that are not closed. It is asked only about expressions that CEL cannot parse.
func mistakes(text string) []mistake {
	s := &scanner{text: []rune(text)}
	for s.at < len(s.text) {
		s.token()
	}
	for _, open := range s.open {
		s.found(open, "this %c is never closed", s.text[open])
	}
	return s.mistakes
}

// A scanner goes through an expression token by token.
type scanner struct {
	text     []rune
	at       int
	open     []int  // brackets that are not closed yet
	before   string // the last token: a word, or one character of anything else
	start    int    // of the last token
	mistakes []mistake

	operatorBefore bool // the last token was a word that stands for an operator
}

// found adds a mistake.
func (s *scanner) found(at int, format string, args ...any) {
	s.mistakes = append(s.mistakes, mistake{at, fmt.Sprintf(format, args...)})
}

// peek returns the character n behind the current one, 0 behind the end.
func (s *scanner) peek(n int) rune {
	if s.at+n < len(s.text) {
		return s.text[s.at+n]
	}
	return 0
}

// token goes over one token.
func (s *scanner) token() {
	c := s.text[s.at]
	start := s.at
	switch {
	case unicode.IsSpace(c):
		s.at++
		return
	case c == '/' && s.peek(1) == '/':
		for s.at < len(s.text) && s.text[s.at] != '\n' {
			s.at++
		}
		return
	case c == '"' || c == '\'':
		s.quoted(false)
	case unicode.IsLetter(c) || c == '_':
		s.word()
	case unicode.IsDigit(c):
		s.number()
	case strings.ContainsRune("([{", c):
		s.open = append(s.open, s.at)
		s.at++
	case strings.ContainsRune(")]}", c):
		s.close(c)
	default:
		s.operator(c)
	}
	s.before, s.start = string(s.text[start:s.at]), start
}

// quoted goes over a string.
func (s *scanner) quoted(raw bool) {
	start, quote := s.at, s.text[s.at]
	if s.peek(1) == quote && s.peek(2) == quote {
		s.long(start, quote)
		return
	}
	for s.at++; s.at < len(s.text) && s.text[s.at] != '\n'; s.at++ {
		switch s.text[s.at] {
		case quote:
			s.at++
			return
		case '\\':
			if !raw {
				s.escape()
			}
			s.at++
		}
	}
	s.found(start, "the quote %c that opens here is never closed", quote)
}

// long goes over a string in three quotes.
func (s *scanner) long(start int, quote rune) {
	for s.at += 3; s.at < len(s.text); s.at++ {
		if s.text[s.at] == quote && s.peek(1) == quote && s.peek(2) == quote {
			s.at += 3
			return
		}
	}
	s.found(start, "the three quotes that open here are never closed")
}

// escape looks at the character behind a backslash.
func (s *scanner) escape() {
	if c := s.peek(1); c != 0 && !strings.ContainsRune("abfnrtv\\\"'`?xXuU01234567", c) {
		s.found(s.at, `\%c is no escape: write two backslashes, or put an r in front of the quote: r"\%c"`, c, c)
	}
}

// words are the operators of other languages and of plain English.
func wordOperator(word string) string {
	switch strings.ToLower(word) {
	case "and":
		return "&&"
	case "or":
		return "||"
	case "not":
		return "!"
	case "is", "eq", "equals":
		return "=="
	case "ne", "neq":
		return "!="
	}
	return ""
}

// methods are words that people write between two values although they are functions of the first.
func wordMethod(word string) string {
	switch strings.ToLower(word) {
	case "contains":
		return "contains"
	case "matches", "like", "regex":
		return "matches"
	case "startswith":
		return "startsWith"
	case "endswith":
		return "endsWith"
	}
	return ""
}

// word goes over a name, or the letter in front of a string.
func (s *scanner) word() {
	start := s.at
	for s.at < len(s.text) && (unicode.IsLetter(s.text[s.at]) || unicode.IsDigit(s.text[s.at]) || s.text[s.at] == '_') {
		s.at++
	}
	word := string(s.text[start:s.at])
	if quote := s.peek(0); (quote == '"' || quote == '\'') && strings.Trim(strings.ToLower(word), "rb") == "" && len(word) <= 2 {
		s.quoted(strings.ContainsAny(word, "rR"))
		return
	}
	if s.before == "." || s.follows() == '(' && wordOperator(word) != "!" && wordOperator(word) != "&&" && wordOperator(word) != "||" {
		return
	}
	operand := s.before != "" && s.operand() && !s.operatorBefore
	s.operatorBefore = false
	switch op, method := wordOperator(word), wordMethod(word); {
	case op == "!" && strings.HasPrefix(string(s.text[s.at:]), " in "):
		s.found(start, `"not in" does not exist: write !(value in list)`)
	case op == "!" && !operand:
		s.found(start, `"%s" does not exist: write ! in front of the condition`, word)
	case op != "" && op != "!" && operand:
		s.found(start, `"%s" does not exist: write %s`, word, op)
		s.operatorBefore = true
	case method != "" && operand:
		s.found(start, `%s is a function: write value.%s("text")`, method, method)
	}
}

// operand reports whether the last token ends a value.
func (s *scanner) operand() bool {
	last := []rune(s.before)
	c := last[len(last)-1]
	return unicode.IsLetter(c) || unicode.IsDigit(c) || strings.ContainsRune("_\"')]}", c)
}

// follows returns the next character that is not blank.
func (s *scanner) follows() rune {
	for _, c := range s.text[s.at:] {
		if !unicode.IsSpace(c) {
			return c
		}
	}
	return 0
}

// number goes over a number, and over a unit behind it.
func (s *scanner) number() {
	start := s.at
	for s.at < len(s.text) && (unicode.IsLetter(s.text[s.at]) || unicode.IsDigit(s.text[s.at]) || s.text[s.at] == '.') {
		s.at++
	}
	word := strings.ToLower(string(s.text[start:s.at]))
	digits := strings.TrimRight(word, "abcdefghijklmnopqrstuvwxyz")
	switch strings.TrimPrefix(word, digits) {
	case "k", "kb", "kib":
		s.found(start, "there are no units: write %s * 1024", digits)
	case "m", "mb", "mib":
		s.found(start, "there are no units: write %s * 1024 * 1024", digits)
	case "g", "gb", "gib":
		s.found(start, "there are no units: write %s * 1024 * 1024 * 1024", digits)
	}
}

// close goes over a closing bracket.
func (s *scanner) close(c rune) {
	at := s.at
	s.at++
	if len(s.open) == 0 {
		s.found(at, "this %c closes nothing", c)
		return
	}
	open := s.open[len(s.open)-1]
	s.open = s.open[:len(s.open)-1]
	if want := map[rune]rune{'(': ')', '[': ']', '{': '}'}[s.text[open]]; want != c {
		s.found(at, "this is a %c where the %c of a %c is missing", c, want, s.text[open])
	}
}

// operator goes over an operator, and explains those that CEL does not have.
func (s *scanner) operator(c rune) {
	start, next := s.at, s.peek(1)
	s.at++
	two := func(n rune) bool {
		if next == n {
			s.at++
			return true
		}
		return false
	}
	switch {
	case strings.ContainsRune("“”„‟«»‘’‚", c):
		s.found(start, `this is a typographic quote: write a straight one, " or '`)
		if end := strings.IndexAny(string(s.text[s.at:]), "“”«»‘’\"'"); end >= 0 { // what it quotes is no expression
			s.at += len([]rune(string(s.text[s.at:])[:end])) + 1
		}
	case c == '=' && two('~'):
		s.found(start, `=~ does not exist: write value.matches("pattern")`)
	case c == '=' && two('='):
		if s.peek(0) == '=' {
			s.at++
			s.found(start, "=== does not exist: write ==")
		}
	case c == '=' && two('>'):
		s.found(start, "=> does not exist: write >=")
	case c == '=' && two('<'):
		s.found(start, "=< does not exist: write <=")
	case c == '=':
		s.found(start, "a single = does not compare: write ==")
	case c == '<' && two('>'):
		s.found(start, "<> does not exist: write !=")
	case c == '!' || c == '<' || c == '>':
		if two('~') {
			s.found(start, `!~ does not exist: write !value.matches("pattern")`)
		}
		two('=')
	case (c == '&' || c == '|') && !two(c):
		s.found(start, "a single %c does not exist: write %c%c", c, c, c)
	case c == '$':
		s.found(start, "$ has no meaning in a condition: write facts, macros and lists by their bare names")
	}
}
