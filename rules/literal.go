package rules

import (
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"assay/rules/facts"
	"assay/rules/lookalike"
)

// valuesOf returns every text that an expression can be, nil if they cannot be listed.
func (in *inspection) valuesOf(e ast.Expr, s scope) []string {
	if text, ok := literal(e); ok {
		return []string{text}
	}
	if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.Conditional {
		args := e.AsCall().Args()
		yes, no := in.valuesOf(args[1], s), in.valuesOf(args[2], s)
		if yes == nil || no == nil {
			return nil
		}
		return slices.Concat(yes, no)
	}
	return in.catalog.docs[pathOf(e, s)].Values
}

// elements returns the fact that the elements of a list are, "" for anything else.
func elements(list ast.Expr, s scope) string {
	if list.Kind() != ast.ComprehensionKind {
		return pathOf(list, s)
	}
	// list.map(x, x.fact) adds [x.fact] to the accumulator in each step.
	c := list.AsComprehension()
	step := c.LoopStep()
	if step.Kind() != ast.CallKind || step.AsCall().FunctionName() != operators.Add {
		return ""
	}
	added := step.AsCall().Args()[1]
	path := pathOf(c.IterRange(), s)
	if added.Kind() != ast.ListKind || added.AsList().Size() != 1 || path == "" {
		return ""
	}
	element := added.AsList().Elements()[0]
	if found := pathOf(element, scope{c.IterVar(): path + "[]"}); strings.HasPrefix(found, path+"[].") {
		return found
	}
	return ""
}

// possible checks that an expression can have a value.
func (in *inspection) possible(e, value ast.Expr, s scope) {
	text, ok := literal(value)
	if !ok || e.Kind() == ast.LiteralKind {
		return
	}
	if values := in.valuesOf(e, s); values != nil {
		if !slices.Contains(values, text) {
			in.found(value, "%s is never %q%s; its values are %s", in.source(e), clip(text), didYouMean(text, values), quotedWords(values))
		}
		return
	}
	in.formed(value, in.source(e), in.catalog.docs[pathOf(e, s)].Form, text)
	in.folded(e, value, text)
}

// formed checks that a text is in the form of a fact.
func (in *inspection) formed(at ast.Expr, source string, form facts.Form, text string) {
	normal, ok := form.Normal(text)
	if ok && normal == text {
		return
	}
	in.found(at, "%s is never %q: it is always %s%s", source, clip(text), form, in.instead(form, source, text, normal, ok))
}

// instead says what to write in place of a text in the wrong form.
func (in *inspection) instead(form facts.Form, source, text, normal string, ok bool) string {
	below := strings.TrimPrefix(strings.TrimPrefix(text, "*"), ".")
	switch {
	case form == facts.IPForm && wrongPrefix(text) == "":
		return "; for a network write cidr(\"" + text + "\").containsIP(" + source + ")"
	case form == facts.DomainForm && below != text && isDomain(below):
		return "; for the domain and those below it write domain_under(" + source + ", \"" + below + "\")"
	case ok && normal != "":
		return ": write \"" + normal + "\""
	}
	return ""
}

// piece checks the argument of contains(), startsWith() and endsWith().
func (in *inspection) piece(e ast.Expr, s scope) {
	call := e.AsCall()
	if !call.IsMemberFunction() || len(call.Args()) != 1 {
		return
	}
	text, ok := literal(call.Args()[0])
	if !ok || text == "" {
		return
	}
	form := in.catalog.docs[pathOf(call.Target(), s)].Form
	if normal, ok := form.NormalPiece(text); !ok || normal != text {
		cure := ""
		if ok {
			cure = ": write \"" + normal + "\""
		}
		in.found(call.Args()[0], "%s never holds %q: it is always %s%s", in.source(call.Target()), clip(text), form, cure)
	}
	in.folded(call.Target(), call.Args()[0], text)
}

// folded checks that a text can be what fold(), lowerAscii() or upperAscii() returns.
func (in *inspection) folded(e, value ast.Expr, text string) {
	if e.Kind() != ast.CallKind {
		return
	}
	could, function := text, e.AsCall().FunctionName()
	switch function {
	case "fold":
		inner := lookalike.Fold("x" + text + "x") // blanks at the ends stay
		could = strings.TrimSuffix(strings.TrimPrefix(inner, "x"), "x")
	case "lowerAscii":
		could = asciiMap(text, 'A', 'Z', 'a'-'A')
	case "upperAscii":
		could = asciiMap(text, 'a', 'z', 'A'-'a')
	}
	if could != text {
		in.found(value, "%s() never returns %q: write %q", function, clip(text), could)
	}
}

// asciiMap moves the letters between two by an offset.
func asciiMap(s string, from, to, offset rune) string {
	return strings.Map(func(r rune) rune {
		if r >= from && r <= to {
			return r + offset
		}
		return r
	}, s)
}

// count checks the comparison of a fact that counts something.
func (in *inspection) count(fact, number ast.Expr, s scope) {
	if number.Kind() != ast.LiteralKind || in.catalog.docs[pathOf(fact, s)].Type != "int" {
		return
	}
	if n, ok := number.AsLiteral().(types.Int); ok && n < 0 {
		in.found(number, "%s is never below 0, so this is the same for every message", in.source(fact))
	}
}

// presence refuses has(): every fact is there.
func (in *inspection) presence(e ast.Expr, s scope) {
	sel := e.AsSelect()
	path := pathOf(sel.Operand(), s) + "." + sel.FieldName()
	fact := in.source(sel.Operand()) + "." + sel.FieldName()
	if path == "headers."+sel.FieldName() {
		in.found(e, "has() does not work here: write headers[?%q].hasValue()", headerName(sel.FieldName()))
		return
	}
	cure := fact + ` != ""`
	switch doc := in.catalog.docs[path]; {
	case doc.Type == "bool":
		cure = fact
	case doc.Type == "int" || doc.Type == "double":
		cure = fact + " > 0"
	case strings.HasPrefix(doc.Type, "list(") || in.catalog.isList(path):
		cure = fact + ".size() > 0"
	}
	in.found(e, "has() is not needed: every fact is always there, and empty when there is nothing; write %s", cure)
}

// headerName guesses the name of a header field that was written like a fact.
func headerName(s string) string { return strings.ReplaceAll(strings.ToLower(s), "_", "-") }

// element checks a look into a list, which fails when the list is shorter.
func (in *inspection) element(e ast.Expr, args []ast.Expr, s scope) {
	path := pathOf(args[0], s)
	if in.snippet.inserted || path == "" || in.sized[path] || args[1].Kind() != ast.LiteralKind {
		return
	}
	if !in.catalog.isList(path) && !strings.HasPrefix(in.catalog.docs[path].Type, "list(") {
		return
	}
	list := in.source(args[0])
	in.ok = false
	in.snippet.report(in.formula.at(in.snippet, e), "a message with fewer %s makes this rule fail: write %s.exists(x, ...), or ask for %s.size() first",
		list, list, list)
}

// zone checks the time zone of a function such as getHours().
func (in *inspection) zone(function string, args []ast.Expr) {
	if len(args) == 0 {
		return
	}
	name, ok := literal(args[0])
	if !ok {
		in.found(args[0], "the time zone must be a fixed text such as \"Europe/Berlin\"")
		return
	}
	moment := types.Timestamp{Time: time.Unix(0, 0)}
	if v := moment.Receive(function, "", []ref.Val{types.String(name)}); types.IsError(v) {
		in.found(args[0], "there is no time zone %q: write a name such as \"Europe/Berlin\", or a difference such as \"+02:00\"", clip(name))
	}
}

// isZoned reports whether a function of timestamps takes a time zone.
func isZoned(function string) bool {
	return slices.Contains([]string{"getFullYear", "getMonth", "getDayOfYear", "getDate", "getDayOfMonth", "getDayOfWeek", "getHours",
		"getMinutes", "getSeconds", "getMilliseconds"}, function)
}

// fixed checks the argument of a function that reads a time, which else fails for every message.
func (in *inspection) fixed(function string, args []ast.Expr) {
	if len(args) != 1 {
		return
	}
	text, ok := literal(args[0])
	if !ok {
		return
	}
	var err error
	cure := ""
	switch function {
	case "timestamp":
		if _, err = time.Parse(time.RFC3339, text); err != nil {
			cure = "a time such as \"2027-01-31T00:00:00Z\""
		}
	case "duration":
		if _, err = time.ParseDuration(text); err != nil {
			cure = "a duration such as \"36h\" or \"90m\""
		}
	}
	if cure != "" {
		in.found(args[0], "%s(%q) fails for every message: write %s", function, clip(text), cure)
	}
}
