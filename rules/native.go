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
	"cel.dev/cel-go/parser"

	"assay/rules/facts"
)

// Most conditions are decided by their first comparison of a fact with a fixed text. Starting CEL for that costs more
// than the comparison, so what conditions mostly consist of is evaluated here: &&, ||, !, macros, facts that are true or
// false, comparisons with literals, the functions of texts and lists, and exists() and all() over facts. CEL evaluates what
// is left. The outcome is the same by construction: these facts cannot fail, and errors of the rest are absorbed as CEL
// absorbs them. What several conditions have in common is evaluated once per message.

// A step is a part of a condition. It returns true or false, or why it has no value.
type step func(ev *evaluation) (bool, error)

// A planner turns checked conditions into steps.
type planner struct {
	*compiler
	checked *cel.Ast
	cheap   bool
	err     error
	vars    map[string]variable // of the loops around
	opaque  bool                // a part of the loop that is being planned is left to CEL
}

// plan returns the step that evaluates a condition.
func (c *compiler) plan(checked *cel.Ast, cheap bool) (step, error) {
	p := &planner{compiler: c, checked: checked, cheap: cheap}
	s := p.step(checked.NativeRep().Expr())
	return s, p.err
}

// step plans one expression of type bool.
func (p *planner) step(e ast.Expr) step {
	if e.Kind() == ast.IdentKind && len(p.vars) == 0 {
		if m := p.macros[e.AsIdent()]; m != nil {
			return macroStep(m.index, m.name)
		}
	}
	if e.Kind() == ast.CallKind {
		switch call := e.AsCall(); call.FunctionName() {
		case operators.LogicalAnd:
			return both(p.step(call.Args()[0]), p.step(call.Args()[1]), false)
		case operators.LogicalOr:
			return both(p.step(call.Args()[0]), p.step(call.Args()[1]), true)
		case operators.LogicalNot:
			return not(p.step(call.Args()[0]))
		}
	}
	if f := p.field(e); f != nil && f.typ.Kind() == reflect.Bool {
		return func(ev *evaluation) (bool, error) {
			v, err := f.read(ev)
			return err == nil && v.Bool(), err
		}
	}
	return p.shared(e, func() step { return p.leaf(e) })
}

// leaf plans an expression that is no connection of others.
func (p *planner) leaf(e ast.Expr) step {
	switch e.Kind() {
	case ast.CallKind:
		if s := p.call(e.AsCall()); s != nil {
			return s
		}
	case ast.ComprehensionKind:
		if s := p.loop(e.AsComprehension()); s != nil {
			return s
		}
	}
	return p.rest(e)
}

// A part is what several conditions may have in common.
type part struct {
	step  step
	uses  int
	index int // of its outcome in an evaluation, from the second use on
}

// An outcome is what a part was found to be.
type outcome struct {
	known, value bool
	err          error
}

// shared plans a part of a condition, or takes the plan of another condition that has the same part.
func (p *planner) shared(e ast.Expr, plan func() step) step {
	if len(p.vars) > 0 {
		return plan() // it depends on variables of loops
	}
	text, err := parser.Unparse(e, p.checked.NativeRep().SourceInfo())
	if err != nil {
		return plan()
	}
	same := p.parts[text]
	if same == nil {
		same = &part{step: plan()}
		p.parts[text] = same
	}
	if same.uses++; same.uses == 2 {
		same.index = p.commons
		p.commons++
	}
	return func(ev *evaluation) (bool, error) {
		if same.uses < 2 {
			return same.step(ev)
		}
		o := &ev.outcomes[same.index]
		if !o.known {
			value, err := same.step(ev)
			if ev.halted != nil {
				return value, err // another condition has a budget of its own
			}
			*o = outcome{true, value, err}
		}
		return o.value, o.err
	}
}

// call plans an operator, nil for one that is left to CEL.
func (p *planner) call(call ast.CallExpr) step {
	args := call.Args()
	switch name := call.FunctionName(); name {
	case operators.Equals:
		return p.equal(args, true)
	case operators.NotEquals:
		return p.equal(args, false)
	case operators.In:
		return p.member(args)
	case operators.Greater, operators.GreaterEquals, operators.Less, operators.LessEquals:
		return p.compare(name, args)
	case "contains", "startsWith", "endsWith", "matches":
		if call.IsMemberFunction() {
			return p.search(name, call.Target(), args)
		}
	case "listed", "lookalike", "domain_under", "listed_any":
		return p.lookup(name, args)
	}
	return nil
}

// not negates a step.
func not(inner step) step {
	return func(ev *evaluation) (bool, error) {
		v, err := inner(ev)
		return !v && err == nil, err
	}
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

// rest leaves an expression to CEL. Inside of a loop that means to leave the whole loop to CEL.
func (p *planner) rest(e ast.Expr) step {
	if len(p.vars) > 0 {
		p.opaque = true
		return nil
	}
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
	loop  bool  // it belongs to the variable of a loop
	root  int   // index of the variable
	index []int // of the fields below it
	typ   reflect.Type
}

// field returns the fact that an expression reads, nil if it is anything else.
func (p *planner) field(e ast.Expr) *field {
	top := e
	for ; top.Kind() != ast.IdentKind; top = top.AsSelect().Operand() {
		if top.Kind() != ast.SelectKind || top.AsSelect().IsTestOnly() {
			return nil
		}
	}
	path := pathOf(e, nil)
	if name, _, _ := strings.Cut(path, "."); p.vars != nil {
		if v, ok := p.vars[name]; ok {
			if top.AsIdent() != name {
				return nil // .name is the fact of that name, and not the variable
			}
			return below(&field{name: path, loop: true, root: v.slot, typ: v.typ}, strings.Split(path, ".")[1:])
		}
	}
	if _, known := p.catalog.docs[path]; !known && !p.catalog.isList(path) {
		return nil
	}
	steps := strings.Split(path, ".")
	root := slices.Index(p.catalog.children[""], steps[0])
	t := reflect.TypeFor[facts.Tree]().Field(root)
	f := &field{name: path, root: root, typ: t.Type}
	if t.Tag.Get("cel") != steps[0] {
		return nil
	}
	return below(f, steps[1:])
}

// below returns the fact below another one, nil if there is none.
func below(f *field, steps []string) *field {
	for _, name := range steps {
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
	if f.loop {
		v := ev.vars[f.root]
		for _, i := range f.index {
			v = v.Field(i)
		}
		return v, nil
	}
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

// equal plans == and != between texts, and between a number and a literal.
func (p *planner) equal(args []ast.Expr, want bool) step {
	operator := operators.NotEquals
	if want {
		operator = operators.Equals
	}
	if s := p.compare(operator, args); s != nil {
		return s
	}
	fact, other := args[0], args[1]
	if fact.Kind() == ast.LiteralKind {
		fact, other = other, fact
	}
	text, fixed := literal(other)
	f := p.field(fact)
	if !fixed || f == nil || f.typ.Kind() != reflect.String {
		return p.equalTexts(args, want)
	}
	return func(ev *evaluation) (bool, error) {
		v, err := f.read(ev)
		return err == nil && (v.String() == text) == want, err
	}
}

// member plans in between a fact and a list of texts.
func (p *planner) member(args []ast.Expr) step {
	if args[1].Kind() != ast.ListKind {
		return p.element(args)
	}
	if len(args[1].AsList().OptionalIndices()) > 0 {
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

// compare plans the comparison of a number with a literal.
func (p *planner) compare(operator string, args []ast.Expr) step {
	left, right := args[0], args[1]
	if left.Kind() == ast.LiteralKind {
		left, right, operator = right, left, mirrored(operator)
	}
	number := p.count(left)
	if number == nil || right.Kind() != ast.LiteralKind {
		return nil
	}
	value, ok := right.AsLiteral().(types.Int)
	if !ok {
		return nil
	}
	holds := ordering(operator, int64(value))
	return func(ev *evaluation) (bool, error) {
		n, err := number(ev)
		return err == nil && holds(n), err
	}
}

// mirrored returns the operator for operands that are exchanged.
func mirrored(operator string) string {
	switch operator {
	case operators.Greater:
		return operators.Less
	case operators.GreaterEquals:
		return operators.LessEquals
	case operators.Less:
		return operators.Greater
	case operators.LessEquals:
		return operators.GreaterEquals
	}
	return operator
}

// ordering returns the comparison of a number with a limit.
func ordering(operator string, limit int64) func(n int64) bool {
	switch operator {
	case operators.Greater:
		return func(n int64) bool { return n > limit }
	case operators.GreaterEquals:
		return func(n int64) bool { return n >= limit }
	case operators.Less:
		return func(n int64) bool { return n < limit }
	case operators.LessEquals:
		return func(n int64) bool { return n <= limit }
	case operators.NotEquals:
		return func(n int64) bool { return n != limit }
	}
	return func(n int64) bool { return n == limit }
}
