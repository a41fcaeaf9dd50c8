package rules

import (
	"errors"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"assay/rules/lookalike"
)

// errCost is why a condition is given up that costs too much for a message.
var errCost = errors.New("operation cancelled: actual cost limit exceeded")

// lookEvery is after how much cost the clock is looked at.
const lookEvery = 20_000

// spend counts the cost of the condition that is being evaluated. It reports false when the condition is to be given up.
func (ev *evaluation) spend(cost int) bool {
	ev.cost += uint64(cost)
	switch {
	case ev.halted != nil:
	case ev.cost > ev.set.opt.RunCost:
		ev.halted = errCost
	case ev.cost-ev.looked > lookEvery:
		ev.looked = ev.cost
		ev.halted = ev.late()
	}
	return ev.halted == nil
}

// scanCost is what it costs to look through a text.
func scanCost(s string) int { return 2 + len(s)/10 }

// A variable is that of a loop.
type variable struct {
	slot int
	typ  reflect.Type
}

// loop plans exists() and all() over a list of facts, nil for anything else.
func (p *planner) loop(c ast.ComprehensionExpr) step {
	decides, body := quantifier(c)
	list, element := p.list(c.IterRange())
	if body == nil || list == nil || len(p.vars) == maxLoops {
		return nil
	}
	outer, slot := p.vars, len(p.vars)
	if _, shadows := outer[c.IterVar()]; shadows {
		return nil
	}
	p.vars = map[string]variable{c.IterVar(): {slot, element}}
	for name, v := range outer {
		p.vars[name] = v
	}
	inner := p.step(body)
	p.vars = outer
	if p.opaque {
		p.opaque = len(outer) > 0 // the loop around is left to CEL, too
		return nil
	}
	return func(ev *evaluation) (bool, error) {
		v, err := list(ev)
		if err != nil {
			return false, err
		}
		return ev.each(v, slot, inner, decides)
	}
}

// list plans a list that loops go through: a fact, or the values of a header field. It returns nil for anything else.
func (p *planner) list(e ast.Expr) (read func(ev *evaluation) (reflect.Value, error), element reflect.Type) {
	if name, ok := headerNamed(e); ok {
		all := p.field(e.AsCall().Target().AsCall().Args()[0])
		if all == nil || all.loop || all.typ != reflect.TypeFor[map[string][]string]() {
			return nil, nil
		}
		return func(ev *evaluation) (reflect.Value, error) {
			v, err := all.read(ev)
			if err != nil {
				return v, err
			}
			fields, _ := reflect.TypeAssert[map[string][]string](v)
			return reflect.ValueOf(fields[name]), nil
		}, reflect.TypeFor[string]()
	}
	f := p.field(e)
	if f == nil || f.typ.Kind() != reflect.Slice {
		return nil, nil
	}
	return f.read, f.typ.Elem()
}

// each evaluates a condition for the elements of a list until one decides. Its error is that of the first element that has
// one, unless another element decides.
func (ev *evaluation) each(list reflect.Value, slot int, condition step, decides bool) (bool, error) {
	var failure error
	for i := range list.Len() {
		if !ev.spend(5) {
			return false, ev.halted
		}
		ev.vars[slot] = list.Index(i)
		switch v, err := condition(ev); {
		case err != nil && failure == nil:
			failure = err
		case err == nil && v == decides:
			return decides, nil
		}
	}
	return !decides && failure == nil, failure
}

// quantifier returns the condition of exists() and all(), and the value of it that decides; nil for other comprehensions.
func quantifier(c ast.ComprehensionExpr) (decides bool, body ast.Expr) {
	step, result := c.LoopStep(), c.Result()
	if c.HasIterVar2() || c.AccuInit().Kind() != ast.LiteralKind || step.Kind() != ast.CallKind ||
		result.Kind() != ast.IdentKind || result.AsIdent() != c.AccuVar() {
		return false, nil
	}
	start, function, args := c.AccuInit().AsLiteral(), step.AsCall().FunctionName(), step.AsCall().Args()
	if len(args) != 2 || args[0].Kind() != ast.IdentKind || args[0].AsIdent() != c.AccuVar() {
		return false, nil
	}
	switch {
	case start == types.False && function == operators.LogicalOr:
		return true, args[1]
	case start == types.True && function == operators.LogicalAnd:
		return false, args[1]
	}
	return false, nil
}

// A wording is an expression of type string.
type wording func(ev *evaluation) (string, error)

// wording plans a text: a literal, a fact, or one of them in fold(). It returns nil for anything else.
func (p *planner) wording(e ast.Expr) wording {
	if text, ok := literal(e); ok {
		return func(*evaluation) (string, error) { return text, nil }
	}
	if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == "fold" && len(e.AsCall().Args()) == 1 {
		inner := p.wording(e.AsCall().Args()[0])
		if inner == nil {
			return nil
		}
		return func(ev *evaluation) (string, error) {
			s, err := inner(ev)
			if err != nil || !ev.spend(5*scanCost(s)) {
				return "", errors.Join(err, ev.halted)
			}
			return lookalike.Fold(s), nil
		}
	}
	f := p.field(e)
	if f == nil || f.typ.Kind() != reflect.String {
		return nil
	}
	return func(ev *evaluation) (string, error) {
		v, err := f.read(ev)
		if err != nil {
			return "", err
		}
		return v.String(), nil
	}
}

// equalTexts plans == and != between two texts.
func (p *planner) equalTexts(args []ast.Expr, want bool) step {
	a, b := p.wording(args[0]), p.wording(args[1])
	if a == nil || b == nil {
		return nil
	}
	return pair(a, b, func(_ *evaluation, x, y string) bool { return (x == y) == want })
}

// pair evaluates a condition over two texts.
func pair(a, b wording, condition func(ev *evaluation, x, y string) bool) step {
	return func(ev *evaluation) (bool, error) {
		x, err := a(ev)
		if err != nil {
			return false, err
		}
		y, err := b(ev)
		if err != nil {
			return false, err
		}
		if !ev.spend(scanCost(x) + len(y)/10) {
			return false, ev.halted
		}
		return condition(ev, x, y), nil
	}
}

// search plans the functions that look for something in a text.
func (p *planner) search(function string, target ast.Expr, args []ast.Expr) step {
	a, b := p.wording(target), p.wording(args[0])
	if a == nil || b == nil {
		return nil
	}
	switch function {
	case "contains":
		return pair(a, b, func(_ *evaluation, x, y string) bool { return strings.Contains(x, y) })
	case "startsWith":
		return pair(a, b, func(_ *evaluation, x, y string) bool { return strings.HasPrefix(x, y) })
	case "endsWith":
		return pair(a, b, func(_ *evaluation, x, y string) bool { return strings.HasSuffix(x, y) })
	}
	pattern, ok := literal(args[0])
	if !ok {
		return nil
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil // CEL says what is wrong
	}
	weight := 1 + len(pattern)/16
	return func(ev *evaluation) (bool, error) {
		s, err := a(ev)
		if err != nil {
			return false, err
		}
		if !ev.spend(scanCost(s) * weight) {
			return false, ev.halted
		}
		return re.MatchString(s), nil
	}
}

// lookup plans the functions over lists and domains.
func (p *planner) lookup(function string, args []ast.Expr) step {
	if function == "domain_under" {
		a, b := p.wording(args[0]), p.wording(args[1])
		if a == nil || b == nil {
			return nil
		}
		return pair(a, b, func(_ *evaluation, x, y string) bool { return domainUnder(x, y) })
	}
	name, ok := literal(args[0])
	if !ok {
		return nil
	}
	l := p.lists[name]
	if function == "listed_any" {
		return p.anyListed(l, args[1])
	}
	value := p.wording(args[1])
	if value == nil {
		return nil
	}
	ask, weight := l.has, 5
	if function == "lookalike" {
		ask, weight = l.like, 20+5*len(l.alike)
	}
	return func(ev *evaluation) (bool, error) {
		s, err := value(ev)
		if err != nil {
			return false, err
		}
		if !ev.spend(weight + scanCost(s)) {
			return false, ev.halted
		}
		return ask(s), nil
	}
}

// anyListed plans listed_any() over a list that is a fact.
func (p *planner) anyListed(l *list, texts ast.Expr) step {
	f := p.field(texts)
	if f == nil || f.typ != reflect.TypeFor[[]string]() {
		return nil
	}
	return func(ev *evaluation) (bool, error) {
		v, err := f.read(ev)
		if err != nil {
			return false, err
		}
		all, _ := reflect.TypeAssert[[]string](v)
		for _, s := range all {
			if !ev.spend(5 + scanCost(s)) {
				return false, ev.halted
			}
			if l.has(s) {
				return true, nil
			}
		}
		return false, nil
	}
}

// element plans in between a text and a list that is a fact.
func (p *planner) element(args []ast.Expr) step {
	text, list := p.wording(args[0]), p.field(args[1])
	if text == nil || list == nil || list.typ != reflect.TypeFor[[]string]() {
		return nil
	}
	return func(ev *evaluation) (bool, error) {
		s, err := text(ev)
		if err != nil {
			return false, err
		}
		v, err := list.read(ev)
		if err != nil || !ev.spend(2+v.Len()) {
			return false, errors.Join(err, ev.halted)
		}
		all, _ := reflect.TypeAssert[[]string](v)
		return slices.Contains(all, s), nil
	}
}

// A count is an expression of type int.
type count func(ev *evaluation) (int64, error)

// count plans a number: a fact, or the number of elements of a list that is a fact. It returns nil for anything else.
func (p *planner) count(e ast.Expr) count {
	length := false
	if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == "size" {
		call := e.AsCall()
		if length = true; call.IsMemberFunction() {
			e = call.Target()
		} else {
			e = call.Args()[0]
		}
	}
	f := p.field(e)
	if f == nil || f.typ.Kind() != reflect.Int && !length || f.typ.Kind() != reflect.Slice && length {
		return nil
	}
	return func(ev *evaluation) (int64, error) {
		v, err := f.read(ev)
		if err != nil {
			return 0, err
		}
		if length {
			return int64(v.Len()), nil
		}
		return v.Int(), nil
	}
}

// headerNamed recognizes headers[?"name"].orValue([]), which loops over a header field begin with.
func headerNamed(e ast.Expr) (string, bool) {
	if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != "orValue" || !e.AsCall().IsMemberFunction() {
		return "", false
	}
	target, otherwise := e.AsCall().Target(), e.AsCall().Args()
	if len(otherwise) != 1 || otherwise[0].Kind() != ast.ListKind || otherwise[0].AsList().Size() != 0 ||
		target.Kind() != ast.CallKind || target.AsCall().FunctionName() != operators.OptIndex {
		return "", false
	}
	args := target.AsCall().Args()
	if len(args) != 2 || args[0].Kind() != ast.IdentKind || args[0].AsIdent() != "headers" {
		return "", false
	}
	return literal(args[1])
}
