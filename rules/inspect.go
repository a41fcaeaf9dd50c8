package rules

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// An inspection goes through one checked expression.
type inspection struct {
	*compiler
	snippet snippet
	formula *formula
	ok      bool
	macros  map[string]bool
	lists   map[string]bool
	facts   map[string]bool
	guarded map[string]bool // header fields whose presence is asked for
	sized   map[string]bool // lists whose size is asked for
}

// found adds an error at an expression.
func (in *inspection) found(e ast.Expr, format string, args ...any) {
	in.ok = false
	in.snippet.report(in.formula.at(in.snippet, e), format, args...)
}

// maxLoops is how deeply comprehensions may be nested.
const maxLoops = 3

// guard notes the header fields whose presence is asked for, and the lists whose size is.
func (in *inspection) guard(e ast.Expr, s scope, _ int) {
	if e.Kind() != ast.CallKind {
		return
	}
	call := e.AsCall()
	args := call.Args()
	switch call.FunctionName() {
	case operators.In:
		if len(args) == 2 && pathOf(args[1], s) == "headers" {
			if name, ok := literal(args[0]); ok {
				in.guarded[name] = true
			}
		}
	case "size":
		if call.IsMemberFunction() {
			in.sized[pathOf(call.Target(), s)] = true
		} else if len(args) == 1 {
			in.sized[pathOf(args[0], s)] = true
		}
	}
}

// look checks one expression.
func (in *inspection) look(e ast.Expr, s scope, loops int) {
	switch e.Kind() {
	case ast.IdentKind:
		in.name(e, s)
	case ast.SelectKind:
		if e.AsSelect().IsTestOnly() {
			in.presence(e, s)
			return
		}
		if name := e.AsSelect().FieldName(); pathOf(e.AsSelect().Operand(), s) == "headers" {
			in.found(e, "a message without the field %s makes this rule fail: write headers[?%q].orValue([])", headerName(name), headerName(name))
			return
		}
		if path := pathOf(e, s); path != "" && in.catalog.docs[path].Name != "" {
			in.facts[path] = true
		}
	case ast.CallKind:
		in.call(e, s)
	case ast.ComprehensionKind:
		if loops == maxLoops {
			in.found(e, "loops (exists, all, filter, map) are nested more than %d deep: use the fact \"inside\" or \"objects\", or a list", maxLoops)
		}
	}
}

// name notes the use of a macro or a fact.
func (in *inspection) name(e ast.Expr, s scope) {
	name := strings.TrimPrefix(e.AsIdent(), ".")
	if _, local := s[name]; local {
		return
	}
	if in.compiler.macros[name] != nil {
		in.macros[name] = true
		return
	}
	if _, fact := in.catalog.children[""]; fact && slices.Contains(in.catalog.children[""], name) {
		in.facts[name] = true
	}
}

// call checks a function or an operator.
func (in *inspection) call(e ast.Expr, s scope) {
	call := e.AsCall()
	args := call.Args()
	switch name := call.FunctionName(); name {
	case operators.Equals, operators.NotEquals:
		in.possible(args[0], args[1], s)
		in.possible(args[1], args[0], s)
		in.count(args[0], args[1], s)
		in.count(args[1], args[0], s)
	case operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		in.count(args[0], args[1], s)
		in.count(args[1], args[0], s)
	case operators.In:
		in.member(e, args, s)
	case operators.Index, operators.OptIndex:
		in.header(e, args, s, name == operators.Index)
		if name == operators.Index {
			in.element(e, args, s)
		}
	case "listed", "listed_any", "lookalike", "shows_name", "shows_address":
		in.list(name, args)
	case "matches":
		in.pattern(args[len(args)-1])
	case "contains", "startsWith", "endsWith":
		in.piece(e, s)
	case "dyn":
		in.found(e, "dyn() switches off the check of types: leave it out")
	case "timestamp", "duration":
		in.fixed(name, args)
	default:
		if isZoned(name) && call.IsMemberFunction() {
			in.zone(name, args)
		}
	}
}

// quotedWords lists values in quotes.
func quotedWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = `"` + w + `"`
	}
	return strings.Join(quoted, ", ")
}

// member checks the operator in.
func (in *inspection) member(e ast.Expr, args []ast.Expr, s scope) {
	if args[1].Kind() == ast.ListKind {
		for _, x := range args[1].AsList().Elements() {
			in.possible(args[0], x, s)
		}
		return
	}
	path := elements(args[1], s)
	if path == "headers" {
		in.header(e, []ast.Expr{args[1], args[0]}, s, false)
		return
	}
	// The list consists of facts, so their documentation tells the values of its elements.
	text, ok := literal(args[0])
	if !ok {
		return
	}
	doc := in.catalog.docs[path]
	if doc.Values != nil && !slices.Contains(doc.Values, text) {
		in.found(args[0], "%q is never in %s%s; it holds %s", clip(text), in.source(args[1]), didYouMean(text, doc.Values), quotedWords(doc.Values))
	}
	if doc.Values == nil {
		in.formed(args[0], in.source(args[1]), doc.Form, text)
	}
}

// header checks a look into the header.
func (in *inspection) header(e ast.Expr, args []ast.Expr, s scope, must bool) {
	if len(args) != 2 || pathOf(args[0], s) != "headers" {
		return
	}
	name, ok := literal(args[1])
	switch {
	case !ok:
	case name != strings.ToLower(name):
		in.found(args[1], "names of header fields are in lower case here: write %q", strings.ToLower(name))
	case must && !in.guarded[name]:
		in.ok = false
		at := in.formula.at(in.snippet, e)
		in.snippet.report(at, "a message without the field %s makes this rule fail: write headers[?%q].orValue([])", name, name)
	}
}

// list checks the name of a list.
func (in *inspection) list(function string, args []ast.Expr) {
	name, ok := literal(args[0])
	switch {
	case !ok:
		in.found(args[0], `the first argument of %s must be the name of a list in quotes: %s("name", value)`, function, function)
	case in.compiler.lists[name] == nil:
		in.found(args[0], "there is no list %q%s; lists are defined under \"lists\"", clip(name), didYouMean(name, in.listNames()))
	case (function == "lookalike" || function == "shows_address") && len(in.compiler.lists[name].alike) > maxAlike:
		in.found(args[0], "the list %q is too long for %s(): it has %d entries, %d are allowed; list only the domains that are worth protecting", name, function, in.compiler.lists[name].entries, maxAlike)
	default:
		in.lists[name] = true
		in.compiler.lists[name].used = true
	}
}

// listNames returns the names of all lists.
func (c *compiler) listNames() []string {
	var names []string
	for name := range c.lists {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// maxPattern is the largest regular expression in instructions, so that a pattern cannot make a match slow.
const maxPattern = 10_000

// pattern checks a regular expression.
func (in *inspection) pattern(e ast.Expr) {
	text, ok := literal(e)
	if !ok {
		in.found(e, "the pattern of matches() must be a fixed text, so that no sender can choose it: write text.matches(\"pattern\")")
		return
	}
	if i := strings.IndexAny(text, "\a\b\f\v"); i >= 0 {
		escape := string("abtnvfr"[text[i]-'\a'])
		in.found(e, `in a text \%s is a control character, not what it is in a pattern: write \\%s, or put an r in front of the quotes`, escape, escape)
		return
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err == nil {
		var program *syntax.Prog
		if program, err = syntax.Compile(parsed.Simplify()); err == nil {
			if len(program.Inst) > maxPattern {
				in.found(e, "the pattern is too large: %d steps, %d are allowed; shorten repetitions such as {1,1000}", len(program.Inst), maxPattern)
			}
			_, err = regexp.Compile(text)
		}
	}
	if err == nil {
		return
	}
	cure := "write a regular expression of the kind RE2"
	switch {
	case strings.Contains(text, "(?=") || strings.Contains(text, "(?!") || strings.Contains(text, "(?<"):
		cure = "RE2 has no look-around such as (?=...) and (?!...): use two conditions with && and !"
	case strings.Contains(err.Error(), "missing argument to repetition"):
		cure = `something has to stand in front of *, + and ?; for "anything" write .*, for the character itself \\*`
	case strings.Contains(err.Error(), "missing closing"):
		cure = `close the bracket, or write \\ in front of it if the character itself is meant`
	}
	in.found(e, "the pattern is not valid (%s): %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "), cure)
}

// source returns an expression as CEL writes it.
func (in *inspection) source(e ast.Expr) string { return unparse(e, in.formula.checked) }

// literal returns the text of a string literal.
func literal(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().(types.String)
	return string(s), ok
}
