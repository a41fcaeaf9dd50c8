package rules

import (
	"fmt"
	"strings"

	"cel.dev/cel-go/common/ast"
)

// overload explains a function or an operator that is applied to the wrong types.
func (d *diagnosis) overload(e ast.Expr, m []string) string {
	function, types := m[1], argumentTypes(m[2])
	if e == nil || e.Kind() != ast.CallKind {
		return fmt.Sprintf("%s cannot be applied to %s", function, m[2])
	}
	switch symbol := operatorSymbol(function); {
	case symbol == "&&" || symbol == "||" || function == "!_" || function == "_?_:_":
		return d.logical(e, symbol, types)
	case symbol == "in" && len(types) == 2:
		return d.membership(e, types)
	case symbol != "" && len(types) == 2:
		return comparison(symbol, types[0], types[1])
	case d.usage(function) != "" && e.AsCall().IsMemberFunction():
		return fmt.Sprintf("%s is not written behind a dot: write %s", function, d.usage(function))
	case d.usage(function) != "":
		return fmt.Sprintf("%s is written %s; here it gets %s", function, d.usage(function), typeWords(types))
	case function == "_[_]":
		return fmt.Sprintf("%s cannot be looked up in %s", typeWord(types[1]), typeWord(types[0]))
	}
	return d.method(e, function, types)
}

// operatorSymbol returns how a binary operator is written, "" for anything else.
func operatorSymbol(function string) string {
	switch function {
	case "@in":
		return "in"
	case "_[_]", "_?_:_", "!_", "-_":
		return ""
	}
	if inner, ok := strings.CutPrefix(function, "_"); ok {
		if symbol, ok := strings.CutSuffix(inner, "_"); ok {
			return symbol
		}
	}
	return ""
}

// argumentTypes splits "(string, list(int))" or "string.(int)".
func argumentTypes(s string) []string {
	var types []string
	if target, args, member := strings.Cut(s, ".("); member && !strings.HasPrefix(s, "(") {
		types, s = append(types, target), "("+args
	}
	s = strings.TrimSuffix(strings.TrimPrefix(s, "("), ")")
	depth, start := 0, 0
	for i, r := range s {
		switch {
		case r == '(':
			depth++
		case r == ')':
			depth--
		case r == ',' && depth == 0:
			types, start = append(types, strings.TrimSpace(s[start:i])), i+1
		}
	}
	if rest := strings.TrimSpace(s[start:]); rest != "" {
		types = append(types, rest)
	}
	return types
}

// typeWords names several types in plain words.
func typeWords(types []string) string {
	if len(types) == 0 {
		return "nothing"
	}
	words := make([]string, len(types))
	for i, t := range types {
		words[i] = typeWord(t)
	}
	return strings.Join(words, " and ")
}

// logical explains &&, || and ! over something that is neither true nor false.
func (d *diagnosis) logical(e ast.Expr, symbol string, types []string) string {
	if symbol == "" {
		symbol = "!"
	}
	for i, t := range types {
		if t != "bool" && i < len(e.AsCall().Args()) {
			return fmt.Sprintf("%s connects conditions, but %s is %s: compare it with something", symbol,
				unparse(e.AsCall().Args()[i], d.parsed), typeWord(t))
		}
	}
	return symbol + " connects conditions, which are true or false"
}

// membership explains "in" with something that is no list of the right type.
func (d *diagnosis) membership(e ast.Expr, types []string) string {
	args := e.AsCall().Args()
	right := unparse(args[1], d.parsed)
	switch {
	case types[1] == "string" && types[0] == "string":
		return fmt.Sprintf("in needs a list: write %s.contains(%s), or put the texts in brackets: [%s]", right, unparse(args[0], d.parsed), right)
	case strings.HasPrefix(types[1], "list("):
		return fmt.Sprintf("%s is not compared with the elements of %s, which are %s", typeWord(types[0]), right,
			typeWord(strings.TrimSuffix(strings.TrimPrefix(types[1], "list("), ")")))
	}
	return fmt.Sprintf("in needs a list such as [\"a\", \"b\"], this is %s", typeWord(types[1]))
}

// comparison explains an operator between different types.
func comparison(symbol, left, right string) string {
	number := func(t string) bool { return t == "int" || t == "double" || t == "uint" }
	message := fmt.Sprintf("%s cannot connect %s and %s", symbol, typeWord(left), typeWord(right))
	switch {
	case left == "string" && number(right), number(left) && right == "string":
		return message + ": write numbers without quotes and texts with quotes"
	case left == "bool" && right == "string", left == "string" && right == "bool":
		return message + ": a fact that is true or false stands alone, or with ! in front, and is not compared with a text"
	case left == "bool" && number(right), number(left) && right == "bool":
		return message + ": a fact that is true or false stands alone, or with ! in front"
	case number(left) && number(right):
		return message + ": one of them is a whole number and the other is not, write 10.0 for 10"
	case strings.HasPrefix(left, "list(") || strings.HasPrefix(right, "list("):
		return message + `: for one element write list.exists(x, x == "text"), or "text" in list; for their number list.size()`
	case left == "timestamp" || left == "google.protobuf.Timestamp":
		return message + `: write timestamp("2027-01-01T00:00:00Z")`
	case strings.HasPrefix(left, "facts.") || strings.HasPrefix(right, "facts."):
		return message + ": choose one of its facts with a dot"
	}
	return message
}

// method explains a function of CEL that is applied to the wrong types.
func (d *diagnosis) method(e ast.Expr, function string, types []string) string {
	call := e.AsCall()
	if !call.IsMemberFunction() {
		return fmt.Sprintf("%s cannot be applied to %s", function, typeWords(types))
	}
	target := unparse(call.Target(), d.parsed)
	if len(types) > 0 && strings.HasPrefix(types[0], "list(") {
		return fmt.Sprintf("%s is a list, %s works on a text: write %s.exists(x, x.%s(...))", target, function, target, function)
	}
	if len(types) > 0 && types[0] != "string" {
		return fmt.Sprintf("%s is %s, %s works on a text", target, typeWord(types[0]), function)
	}
	return fmt.Sprintf("%s.%s cannot take %s", target, function, typeWords(types[min(1, len(types)):]))
}
