package rules

import (
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"

	"assay/rules/facts"
)

// A catalog is what the documentation of the facts says, by path: "auth.spf.result", "urls[].host".
type catalog struct {
	docs     map[string]facts.Doc
	children map[string][]string // names below a path; "" is the top
	stages   map[string]facts.Stage
}

// newCatalog indexes the documentation of the facts.
func newCatalog() *catalog {
	c := &catalog{docs: map[string]facts.Doc{}, children: map[string][]string{}, stages: map[string]facts.Stage{}}
	for _, doc := range facts.Docs() {
		c.docs[doc.Name] = doc
		parent := ""
		for _, step := range strings.Split(doc.Name, ".") {
			name := strings.TrimSuffix(step, "[]")
			if !slices.Contains(c.children[parent], name) {
				c.children[parent] = append(c.children[parent], name)
			}
			parent = strings.TrimPrefix(parent+"."+step, ".")
		}
	}
	return c
}

// stage returns the stage of a fact, or of all facts below a path.
func (c *catalog) stage(path string) (facts.Stage, bool) {
	stage, known := c.stages[path]
	if !known {
		stage, _ = facts.StageOf(path)
		c.stages[path] = stage
	}
	return stage, stage != ""
}

// isList reports whether a path is a list of things with facts of their own, such as attachments.
func (c *catalog) isList(path string) bool { return len(c.children[path+"[]"]) > 0 }

// home returns a fact that ends in a name, such as auth.spf for spf; "" if there is none or more than one.
func (c *catalog) home(name string) string {
	found := ""
	for parent, names := range c.children {
		if parent == "" || strings.Contains(parent, "objects[]") || !slices.Contains(names, name) {
			continue
		}
		if found != "" {
			return ""
		}
		found = parent + "." + name
	}
	return found
}

// A scope says what the variables of comprehensions stand for: the path of a fact, "" for anything else.
type scope map[string]string

// pathOf returns the fact that an expression reads, "" if it reads none.
func pathOf(e ast.Expr, s scope) string {
	switch e.Kind() {
	case ast.IdentKind:
		if path, local := s[e.AsIdent()]; local {
			return path
		}
		return strings.TrimPrefix(e.AsIdent(), ".")
	case ast.SelectKind:
		if path := pathOf(e.AsSelect().Operand(), s); path != "" {
			return path + "." + e.AsSelect().FieldName()
		}
	case ast.CallKind:
		call := e.AsCall()
		if f := call.FunctionName(); (f == operators.Index || f == operators.OptIndex) && len(call.Args()) == 2 {
			if path := pathOf(call.Args()[0], s); path != "" {
				return path + "[]"
			}
		}
	}
	return ""
}

// visit calls f for an expression and everything in it, from the outside to the inside, with the scope it stands in and
// the number of comprehensions around it.
func visit(e ast.Expr, s scope, loops int, f func(e ast.Expr, s scope, loops int)) {
	f(e, s, loops)
	switch e.Kind() {
	case ast.SelectKind:
		visit(e.AsSelect().Operand(), s, loops, f)
	case ast.CallKind:
		if e.AsCall().IsMemberFunction() {
			visit(e.AsCall().Target(), s, loops, f)
		}
		for _, a := range e.AsCall().Args() {
			visit(a, s, loops, f)
		}
	case ast.ListKind:
		for _, x := range e.AsList().Elements() {
			visit(x, s, loops, f)
		}
	case ast.MapKind:
		for _, x := range e.AsMap().Entries() {
			visit(x.AsMapEntry().Key(), s, loops, f)
			visit(x.AsMapEntry().Value(), s, loops, f)
		}
	case ast.StructKind:
		for _, x := range e.AsStruct().Fields() {
			visit(x.AsStructField().Value(), s, loops, f)
		}
	case ast.ComprehensionKind:
		visitLoop(e.AsComprehension(), s, loops, f)
	}
}

// visitLoop is visit for a comprehension.
func visitLoop(c ast.ComprehensionExpr, s scope, loops int, f func(e ast.Expr, s scope, loops int)) {
	visit(c.IterRange(), s, loops, f)
	inner := scope{}
	for name, path := range s {
		inner[name] = path
	}
	inner[c.IterVar()] = ""
	if path := pathOf(c.IterRange(), s); path != "" {
		inner[c.IterVar()] = path + "[]"
	}
	if c.HasIterVar2() {
		inner[c.IterVar2()] = ""
	}
	inner[c.AccuVar()] = ""
	for _, e := range []ast.Expr{c.AccuInit(), c.LoopCondition(), c.LoopStep(), c.Result()} {
		visit(e, inner, loops+1, f)
	}
}
