package rules

import (
	"assay/rules/suggest"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/parser"
)

// reportSyntax reports an expression that CEL cannot parse: by the mistakes that people know how to mend, or by what the
// parser says.
func (c *compiler) reportSyntax(s snippet, issues *cel.Issues) {
	known := mistakes(s.text)
	for _, m := range known {
		message := m.message
		if strings.Contains(message, "never closed") && s.commented() {
			message += "; YAML takes # behind a blank for a comment: put the whole value in quotes, or write it below, indented, after a |"
		}
		s.report(m.at, "%s", message)
	}
	if len(known) > 0 {
		return
	}
	e := issues.Errors()[0] // what follows the first error is mostly its consequence
	s.report(s.offset(e.Location), "%s", plainSyntax(e.Message))
}

// commented reports whether a comment of YAML ends the line of the expression.
func (s snippet) commented() bool {
	end := s.places[len(s.places)-1]
	if end.line < 1 || end.line > len(s.d.lines) {
		return false
	}
	line := []rune(s.d.lines[end.line-1])
	return end.column <= len(line) && strings.HasPrefix(strings.TrimSpace(string(line[end.column-1:])), "#")
}

// plainSyntax puts an error of the parser in plain words.
func plainSyntax(message string) string {
	message, _ = strings.CutPrefix(message, "Syntax error: ")
	inner := func() string {
		_, rest, _ := strings.Cut(message, "'")
		word, _, _ := strings.Cut(rest, "'")
		return word
	}
	switch {
	case strings.Contains(message, "'<EOF>'"):
		return "the expression ends too early: something is missing at its end"
	case strings.HasPrefix(message, "mismatched input"), strings.HasPrefix(message, "extraneous input"), strings.HasPrefix(message, "no viable alternative"):
		return fmt.Sprintf("%q does not fit here: an operator such as && or == is missing before it, or something before it is not complete", clip(inner()))
	case strings.HasPrefix(message, "missing"):
		return "something is not complete here: " + message
	case strings.HasPrefix(message, "token recognition error"):
		return fmt.Sprintf("this character has no meaning in a condition: %s", message)
	case strings.Contains(message, "argument must be a simple name"):
		return "the first argument of exists, all, filter and map is a new name for one element, as in attachments.exists(a, a.encrypted)"
	case strings.Contains(message, "recursion limit"), strings.Contains(message, "nesting"), strings.Contains(message, "size exceeds"):
		return "the expression is too large or too deeply nested: split it into macros (" + message + ")"
	}
	return message
}

// A diagnosis goes through the errors of CEL's type checker.
type diagnosis struct {
	*compiler
	snippet snippet
	parsed  *cel.Ast
	nodes   map[int64]ast.Expr
	parents map[int64]ast.Expr
	scopes  map[int64]scope
}

// reportTypes reports every error of the type checker in plain words.
func (c *compiler) reportTypes(s snippet, parsed *cel.Ast, issues *cel.Issues) {
	d := &diagnosis{compiler: c, snippet: s, parsed: parsed, nodes: map[int64]ast.Expr{}, parents: map[int64]ast.Expr{}, scopes: map[int64]scope{}}
	visit(parsed.NativeRep().Expr(), s.scope, 0, func(e ast.Expr, in scope, _ int) {
		d.nodes[e.ID()], d.scopes[e.ID()] = e, in
		for _, child := range children(e) {
			d.parents[child.ID()] = e
		}
	})
	for _, e := range issues.Errors() {
		d.report(e)
	}
}

// children returns the expressions directly in another one that messages are about.
func children(e ast.Expr) []ast.Expr {
	switch e.Kind() {
	case ast.CallKind:
		all := slices.Clone(e.AsCall().Args())
		if e.AsCall().IsMemberFunction() {
			all = append(all, e.AsCall().Target())
		}
		return all
	case ast.ListKind:
		return e.AsList().Elements()
	case ast.SelectKind:
		return []ast.Expr{e.AsSelect().Operand()}
	}
	return nil
}

// checkerErrors are the errors of CEL's type checker. The table is never written.
var checkerErrors = []struct {
	pattern *regexp.Regexp
	plain   func(d *diagnosis, e ast.Expr, m []string) string
}{
	{regexp.MustCompile(`^undeclared reference to '([^']*)'`), (*diagnosis).undeclared},
	{regexp.MustCompile(`^undefined field '([^']*)'`), (*diagnosis).undefined},
	{regexp.MustCompile(`^type '(.*)' does not support field selection`), (*diagnosis).noFields},
	{regexp.MustCompile(`^found no matching overload for '([^']*)' applied to '(.*)'`), (*diagnosis).overload},
	{regexp.MustCompile(`^expression of type '(.*)' cannot be range of a comprehension`), (*diagnosis).noRange},
	{regexp.MustCompile(`^expected type '(.*)' but found '(.*)'`), (*diagnosis).mismatch},
}

// report reports one error.
func (d *diagnosis) report(e *cel.Error) {
	node, at := d.nodes[e.ExprID], d.snippet.offset(e.Location)
	for _, known := range checkerErrors {
		if m := known.pattern.FindStringSubmatch(e.Message); m != nil {
			d.snippet.report(d.place(node, at, m), "%s", known.plain(d, node, m))
			return
		}
	}
	d.snippet.report(at, "%s", e.Message)
}

// place moves the place of an error from the dot to the name behind it.
func (d *diagnosis) place(node ast.Expr, at int, m []string) int {
	text := []rune(d.snippet.text)
	if node != nil && node.Kind() == ast.SelectKind && at < len(text) && text[at] == '.' {
		at++
		for at < len(text) && (text[at] == ' ' || text[at] == '\n') {
			at++
		}
	}
	if node != nil && node.Kind() == ast.CallKind && at < len(text) && text[at] == '(' {
		for at > 0 && (isWord(string(text[at-1]))) {
			at--
		}
	}
	return min(at, max(len(text)-1, 0))
}

// undeclared explains a name that nobody knows.
func (d *diagnosis) undeclared(e ast.Expr, m []string) string {
	name := strings.TrimPrefix(m[1], ".")
	if e != nil && e.Kind() == ast.CallKind {
		return d.unknownFunction(e, name)
	}
	name, rest, _ := strings.Cut(name, ".")
	if e != nil {
		for variable, path := range d.scopes[e.ID()] {
			if path != "" && slices.Contains(d.catalog.children[path], name) {
				return fmt.Sprintf("there is no fact or macro %q (did you mean \"%s.%s\"?)", clip(name), variable, name)
			}
		}
	}
	switch home := d.catalog.home(name); {
	case d.lists[name] != nil:
		return fmt.Sprintf("%q is a list, not a fact: write listed(%q, value)", name, name)
	case rest != "" && slices.Contains(d.catalog.children[""], name):
		return d.unknownField(name, rest)
	case e != nil && d.compared(e):
		return fmt.Sprintf("there is no fact or macro %q; if it is a text, put it in quotes: %q", clip(name), clip(name))
	case suggest.Closest(name, d.names()) != "":
		return fmt.Sprintf("there is no fact or macro %q%s", clip(name), didYouMean(name, d.names()))
	case strings.Contains(home, "[]"):
		list, field, _ := strings.Cut(home, "[].")
		return fmt.Sprintf("there is no fact or macro %q; for one of the %s write %s.exists(x, x.%s ...)", clip(name), list, list, field)
	case home != "":
		return fmt.Sprintf("there is no fact or macro %q (did you mean %q?)", clip(name), home)
	}
	return fmt.Sprintf("there is no fact or macro %q; \"assay rules facts\" lists all facts", clip(name))
}

// names returns the names that can stand alone.
func (d *diagnosis) names() []string {
	names := slices.Clone(d.catalog.children[""])
	for name := range d.macros {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// compared reports whether an expression is compared with something that could be a text.
func (d *diagnosis) compared(e ast.Expr) bool {
	parent := d.parents[e.ID()]
	if parent == nil {
		return false
	}
	if parent.Kind() == ast.ListKind {
		return true
	}
	if parent.Kind() != ast.CallKind {
		return false
	}
	f := parent.AsCall().FunctionName()
	if f != operators.Equals && f != operators.NotEquals {
		return false
	}
	args := parent.AsCall().Args()
	return args[1].ID() == e.ID() && d.catalog.docs[pathOf(args[0], d.scopes[e.ID()])].Name != ""
}

// unknownFunction explains a function that nobody knows.
func (d *diagnosis) unknownFunction(e ast.Expr, name string) string {
	known := []string{"size", "matches", "contains", "startsWith", "endsWith", "exists", "all", "filter", "map", "exists_one", "has",
		"lowerAscii", "upperAscii", "trim", "split", "join", "replace", "substring", "indexOf", "cidr", "ip", "containsIP",
		"timestamp", "duration", "string", "int", "double", "orValue"}
	for _, f := range Functions() {
		known = append(known, f.Name)
	}
	other := map[string]string{"lower": "lowerAscii", "tolower": "lowerAscii", "to_lower": "lowerAscii", "upper": "upperAscii", "toupper": "upperAscii", "len": "size", "length": "size",
		"count": "size", "includes": "contains", "any": "exists", "some": "exists", "in_list": "listed", "regex": "matches", "match": "matches", "has_prefix": "startsWith"}
	if s := other[strings.ToLower(name)]; s != "" {
		return fmt.Sprintf("there is no function %q (did you mean %q?)", clip(name), s)
	}
	if e.AsCall().IsMemberFunction() && slices.Contains(d.functionNames(), name) {
		return fmt.Sprintf("%s is not written behind a dot: write %s", name, d.usage(name))
	}
	if e.AsCall().IsMemberFunction() && slices.Contains([]string{"exists", "all", "filter", "map", "exists_one"}, name) {
		list := unparse(e.AsCall().Target(), d.parsed)
		return fmt.Sprintf("%s needs a name for one element and then the condition: write %s.%s(x, x...)", name, list, name)
	}
	if slices.Contains(known, name) {
		return fmt.Sprintf("%s needs a value in front: value.%s(...)", name, name)
	}
	return fmt.Sprintf("there is no function %q%s", clip(name), didYouMean(name, known))
}

// functionNames returns the names of our own functions.
func (d *diagnosis) functionNames() []string {
	var names []string
	for _, f := range Functions() {
		names = append(names, f.Name)
	}
	return names
}

// usage returns how one of our own functions is written, "" for any other.
func (d *diagnosis) usage(name string) string {
	for _, f := range Functions() {
		if f.Name == name {
			return f.Usage
		}
	}
	return ""
}

// undefined explains a field that a fact does not have.
func (d *diagnosis) undefined(e ast.Expr, m []string) string {
	if e == nil || e.Kind() != ast.SelectKind {
		return fmt.Sprintf("there is no field %q", m[1])
	}
	path := pathOf(e.AsSelect().Operand(), d.scopes[e.ID()])
	return d.unknownField(path, m[1])
}

// unknownField explains a field that the fact at a path does not have.
func (d *diagnosis) unknownField(path, field string) string {
	names := d.catalog.children[path]
	if len(names) == 0 {
		return fmt.Sprintf("there is no field %q", clip(field))
	}
	hint := didYouMean(field, names)
	if hint == "" {
		hint = "; it has " + strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s has no %q%s", strings.ReplaceAll(path, "[]", " (each)"), clip(field), hint)
}

// noFields explains a field of something that has none, such as a list.
func (d *diagnosis) noFields(e ast.Expr, m []string) string {
	if e == nil || e.Kind() != ast.SelectKind {
		return fmt.Sprintf("%s has no fields", typeWord(m[1]))
	}
	operand, field := e.AsSelect().Operand(), e.AsSelect().FieldName()
	path := pathOf(operand, d.scopes[e.ID()])
	if !strings.HasPrefix(m[1], "list(") {
		return fmt.Sprintf("%s is %s and has no fields, so .%s does not fit", unparse(operand, d.parsed), typeWord(m[1]), field)
	}
	if names := d.catalog.children[path+"[]"]; len(names) > 0 && !slices.Contains(names, field) {
		if s := suggest.Closest(field, names); s != "" {
			field = s
		}
	}
	return fmt.Sprintf("%s is a list: ask for one of its elements with %s.exists(x, x.%s ...)", unparse(operand, d.parsed), unparse(operand, d.parsed), field)
}

// noRange explains a loop over something that is no list.
func (d *diagnosis) noRange(e ast.Expr, m []string) string {
	return fmt.Sprintf("exists, all, filter and map need a list, this is %s", typeWord(m[1]))
}

// mismatch explains a value of the wrong type.
func (d *diagnosis) mismatch(e ast.Expr, m []string) string {
	if m[1] == "bool" {
		return fmt.Sprintf("this is %s, but a condition must be true or false: compare it", typeWord(m[2]))
	}
	return fmt.Sprintf("this is %s where %s is needed", typeWord(m[2]), typeWord(m[1]))
}

// unparse writes an expression of an AST.
func unparse(e ast.Expr, a *cel.Ast) string {
	text, err := parser.Unparse(e, a.NativeRep().SourceInfo())
	if err != nil {
		return "this"
	}
	return strings.Join(strings.Fields(text), " ")
}

// typeWord names a type in plain words.
func typeWord(t string) string {
	switch t {
	case "string":
		return "a text"
	case "int", "uint", "double":
		return "a number"
	case "bool":
		return "true or false"
	case "google.protobuf.Timestamp", "timestamp":
		return "a point in time"
	case "google.protobuf.Duration", "duration":
		return "a period of time"
	case "list(string)":
		return "a list of texts"
	}
	switch {
	case strings.HasPrefix(t, "list("):
		return "a list"
	case strings.HasPrefix(t, "map("):
		return "a map"
	case strings.HasPrefix(t, "optional_type("):
		return "an optional value, which needs .orValue(...) behind it"
	case strings.HasPrefix(t, "facts."):
		return "a group of facts"
	}
	return "a value of type " + t
}
