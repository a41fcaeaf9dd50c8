package rules

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"assay/rules/facts"
)

// Most conditions are decided by their first comparison of a fact with a fixed text. Starting CEL for that costs more
// than the comparison, so the boolean skeleton of a condition (&&, ||, !, macros, facts that are true or false, and
// comparisons of facts with literals) is evaluated here, and CEL evaluates what is left. The outcome is the same by
// construction: these facts cannot fail, and errors of the rest are absorbed as CEL absorbs them.

// A step is a part of a condition. It returns true or false, or why it has no value.
type step func(ev *evaluation) (bool, error)

// A planner turns checked conditions into steps.
type planner struct {
	*compiler
	checked *cel.Ast
	cheap   bool
	err     error
}

// plan returns the step that evaluates a condition.
func (c *compiler) plan(checked *cel.Ast, cheap bool) (step, error) {
	p := &planner{compiler: c, checked: checked, cheap: cheap}
	s := p.step(checked.NativeRep().Expr())
	return s, p.err
}

// step plans one expression of type bool.
func (p *planner) step(e ast.Expr) step {
	switch e.Kind() {
	case ast.IdentKind:
		if m := p.macros[e.AsIdent()]; m != nil {
			return macroStep(m.index, m.name)
		}
	case ast.CallKind:
		if s := p.call(e.AsCall()); s != nil {
			return s
		}
	}
	if f := p.field(e); f != nil && f.typ.Kind() == reflect.Bool {
		return func(ev *evaluation) (bool, error) {
			v, err := f.read(ev)
			return err == nil && v.Bool(), err
		}
	}
	return p.rest(e)
}

// call plans an operator, nil for one that is left to CEL.
func (p *planner) call(call ast.CallExpr) step {
	args := call.Args()
	switch call.FunctionName() {
	case operators.LogicalAnd:
		return both(p.step(args[0]), p.step(args[1]), false)
	case operators.LogicalOr:
		return both(p.step(args[0]), p.step(args[1]), true)
	case operators.LogicalNot:
		inner := p.step(args[0])
		return func(ev *evaluation) (bool, error) {
			v, err := inner(ev)
			return !v && err == nil, err
		}
	case operators.Equals:
		return p.equal(args, true)
	case operators.NotEquals:
		return p.equal(args, false)
	case operators.In:
		return p.member(args)
	case operators.Greater, operators.GreaterEquals, operators.Less, operators.LessEquals:
		return p.compare(call.FunctionName(), args)
	}
	return nil
}

// both evaluates && and ||. The value that decides alone wins over an error of the other operand.
func both(a, b step, decides bool) step {
	return func(ev *evaluation) (bool, error) {
		left, err := a(ev)
		if err == nil && left == decides {
			return decides, nil
		}
		right, rightErr := b(ev)
		switch {
		case rightErr == nil && right == decides:
			return decides, nil
		case err != nil:
			return false, err
		}
		return right, rightErr
	}
}

// macroStep reads a macro.
func macroStep(index int, name string) step {
	return func(ev *evaluation) (bool, error) {
		switch v := ev.macro(index).(type) {
		case types.Bool:
			return bool(v), nil
		case *types.Err:
			return false, v
		}
		return false, fmt.Errorf("macro %s is neither true nor false", name)
	}
}

// rest leaves an expression to CEL.
func (p *planner) rest(e ast.Expr) step {
	native := p.checked.NativeRep()
	part := ast.NewCheckedAST(ast.NewAST(e, native.SourceInfo()), native.TypeMap(), native.ReferenceMap())
	program, err := p.env.PlanProgram(part, p.programOptions(p.cheap)...)
	if err != nil {
		p.err = err
		return nil
	}
	cheap := p.cheap
	return func(ev *evaluation) (bool, error) {
		v, err := ev.run(program, cheap)
		if err != nil {
			return false, err
		}
		b, ok := v.(types.Bool)
		if !ok {
			return false, fmt.Errorf("the condition is %v, not true or false", v.Type())
		}
		return bool(b), nil
	}
}

// A field is a fact that is one plain value.
type field struct {
	name  string
	root  int   // index of the variable
	index []int // of the fields below it
	typ   reflect.Type
}

// field returns the fact that an expression reads, nil if it is anything else.
func (p *planner) field(e ast.Expr) *field {
	for x := e; x.Kind() != ast.IdentKind; x = x.AsSelect().Operand() {
		if x.Kind() != ast.SelectKind || x.AsSelect().IsTestOnly() {
			return nil
		}
	}
	path := pathOf(e, nil)
	if _, known := p.catalog.docs[path]; !known {
		return nil
	}
	steps := strings.Split(path, ".")
	root := slices.Index(p.catalog.children[""], steps[0])
	t := reflect.TypeFor[facts.Tree]().Field(root)
	f := &field{name: path, root: root, typ: t.Type}
	if t.Tag.Get("cel") != steps[0] {
		return nil
	}
	for _, name := range steps[1:] {
		if f.typ.Kind() != reflect.Struct {
			return nil
		}
		i := fieldNamed(f.typ, name)
		if i < 0 {
			return nil
		}
		f.index, f.typ = append(f.index, i), f.typ.Field(i).Type
	}
	return f
}

// fieldNamed returns the index of the field with a name in CEL, -1 if there is none.
func fieldNamed(t reflect.Type, name string) int {
	if t == reflect.TypeFor[time.Time]() {
		return -1
	}
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("cel") == name {
			return i
		}
	}
	return -1
}

// read returns the value of the fact for a message.
func (f *field) read(ev *evaluation) (reflect.Value, error) {
	v := ev.roots[f.root]
	if !v.IsValid() {
		name, _, _ := strings.Cut(f.name, ".")
		raw, ok := ev.ResolveName(name)
		if !ok {
			return v, fmt.Errorf("no such fact: %s", name)
		}
		if v = reflect.ValueOf(raw); v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		if want := reflect.TypeFor[facts.Tree]().Field(f.root).Type; !v.IsValid() || v.Type() != want {
			return reflect.Value{}, fmt.Errorf("the fact %s is not of type %v", name, want)
		}
		ev.roots[f.root] = v
	}
	for _, i := range f.index {
		v = v.Field(i)
	}
	return v, nil
}

// literalOf returns a fact and a literal in either order.
func (p *planner) literalOf(args []ast.Expr) (f *field, value any) {
	fact, other := args[0], args[1]
	if fact.Kind() == ast.LiteralKind {
		fact, other = other, fact
	}
	if other.Kind() != ast.LiteralKind {
		return nil, nil
	}
	if f = p.field(fact); f == nil {
		return nil, nil
	}
	switch v := other.AsLiteral().(type) {
	case types.String:
		if f.typ.Kind() == reflect.String {
			return f, string(v)
		}
	case types.Int:
		if f.typ.Kind() == reflect.Int {
			return f, int64(v)
		}
	}
	return nil, nil
}

// equal plans == and != between a fact and a literal.
func (p *planner) equal(args []ast.Expr, want bool) step {
	f, value := p.literalOf(args)
	switch value := value.(type) {
	case string:
		return func(ev *evaluation) (bool, error) {
			v, err := f.read(ev)
			return err == nil && (v.String() == value) == want, err
		}
	case int64:
		return func(ev *evaluation) (bool, error) {
			v, err := f.read(ev)
			return err == nil && (v.Int() == value) == want, err
		}
	}
	return nil
}

// member plans in between a fact and a list of texts.
func (p *planner) member(args []ast.Expr) step {
	if args[1].Kind() != ast.ListKind || len(args[1].AsList().OptionalIndices()) > 0 {
		return nil
	}
	var words []string
	for _, e := range args[1].AsList().Elements() {
		word, ok := literal(e)
		if !ok {
			return nil
		}
		words = append(words, word)
	}
	f := p.field(args[0])
	if f == nil || f.typ.Kind() != reflect.String {
		return nil
	}
	return func(ev *evaluation) (bool, error) {
		v, err := f.read(ev)
		return err == nil && slices.Contains(words, v.String()), err
	}
}

// compare plans an order between a fact and a whole number.
func (p *planner) compare(operator string, args []ast.Expr) step {
	f, value := p.literalOf(args)
	limit, ok := value.(int64)
	if !ok || args[0].Kind() == ast.LiteralKind {
		return nil
	}
	return func(ev *evaluation) (bool, error) {
		v, err := f.read(ev)
		if err != nil {
			return false, err
		}
		n := v.Int()
		switch operator {
		case operators.Greater:
			return n > limit, nil
		case operators.GreaterEquals:
			return n >= limit, nil
		case operators.Less:
			return n < limit, nil
		}
		return n <= limit, nil
	}
}
