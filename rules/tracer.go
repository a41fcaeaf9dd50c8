package rules

import (
	"context"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"

	"assay/rules/facts"
)

// Explain decides like DecideFrom and says for each rule, in evaluation order, why.
func (s *Set) Explain(ctx context.Context, p Provider) (Decision, []Trace) {
	return s.decide(ctx, p, &tracer{set: s, macros: map[string][]Value{}})
}

// A tracer evaluates conditions once more and keeps the values of their parts.
type tracer struct {
	set    *Set
	macros map[string][]Value // what decided a macro
}

// rule explains how a rule ended.
func (t *tracer) rule(ev *evaluation, r *rule, o ending) Trace {
	trace := Trace{
		Rule: r.info.ID, Title: r.info.Title, Mode: r.mode, Severity: r.severity, File: r.info.Origin.File, Line: r.info.Origin.Line,
		Outcome: o.outcome, Condition: r.info.Condition, Exceptions: o.exceptions, Asked: r.then.words(),
	}
	if o.err != nil {
		trace.Error = o.err.Error()
	}
	if o.outcome != Inactive {
		trace.Values = t.values(ev, r.when, 0)
	}
	return trace
}

// maxDepth is how deeply macros are explained inside of macros.
const maxDepth = 10

// values returns what decided an expression.
func (t *tracer) values(ev *evaluation, f *formula, depth int) []Value {
	if depth > maxDepth || ev.ctx.Err() != nil {
		return nil
	}
	program, err := t.set.base.env.Program(f.checked, cel.EvalOptions(cel.OptTrackState), cel.CostLimit(t.set.opt.RunCost),
		cel.InterruptCheckFrequency(interruptEvery))
	if err != nil {
		return nil
	}
	w := &witness{tracer: t, ev: ev, formula: f, depth: depth, seen: map[string]bool{}}
	w.state = track(ev, program)
	if w.state == nil {
		return nil
	}
	w.follow(f.checked.NativeRep().Expr())
	return w.values
}

// track evaluates a program and returns the values of its parts, nil when it cannot be evaluated.
func track(ev *evaluation, p cel.Program) (state interpreter.EvalState) {
	defer func() {
		if recover() != nil {
			state = nil
		}
	}()
	_, details, _ := p.ContextEval(ev.ctx, ev)
	if details == nil {
		return nil
	}
	return details.State()
}

// A witness collects the parts of one expression that decided.
type witness struct {
	*tracer
	ev      *evaluation
	formula *formula
	depth   int
	state   interpreter.EvalState
	seen    map[string]bool
	values  []Value
}

// follow goes to the half of && and || that decided, and notes what it consists of.
func (w *witness) follow(e ast.Expr) {
	if e.Kind() != ast.CallKind {
		w.leaf(e)
		return
	}
	args := e.AsCall().Args()
	switch e.AsCall().FunctionName() {
	case operators.LogicalAnd:
		w.halves(args, types.False)
	case operators.LogicalOr:
		w.halves(args, types.True)
	case operators.LogicalNot, operators.NotStrictlyFalse:
		w.follow(args[0])
	case operators.Conditional:
		w.follow(args[0])
		for _, a := range args[1:] {
			if _, evaluated := w.state.Value(a.ID()); evaluated {
				w.follow(a)
			}
		}
	default:
		w.leaf(e)
	}
}

// halves follows the operands with the value that decides alone, or all of them if none has it.
func (w *witness) halves(args []ast.Expr, decides ref.Val) {
	for _, a := range args {
		if v, ok := w.state.Value(a.ID()); ok && v == decides {
			w.follow(a)
			return
		}
	}
	for _, a := range args {
		w.follow(a)
	}
}

// leaf notes an expression, and what it reads.
func (w *witness) leaf(e ast.Expr) {
	if v, ok := w.state.Value(e.ID()); ok && e.Kind() != ast.LiteralKind {
		w.note(e, v)
	}
	switch e.Kind() {
	case ast.CallKind:
		call := e.AsCall()
		if call.IsMemberFunction() {
			w.leaf(call.Target())
		}
		for _, a := range call.Args() {
			w.leaf(a)
		}
	case ast.ComprehensionKind:
		w.leaf(e.AsComprehension().IterRange())
	}
}

// note adds one value, and what decided it if it is a macro.
func (w *witness) note(e ast.Expr, v ref.Val) {
	text := unparse(e, w.formula.checked)
	if w.seen[text] {
		return
	}
	w.seen[text] = true
	w.values = append(w.values, Value{Expr: text, Text: celText(v), Depth: w.depth})
	if e.Kind() == ast.IdentKind {
		w.macro(e.AsIdent())
	}
}

// maxValues is how many values explain one rule, so that macros in macros cannot multiply.
const maxValues = 500

// macro explains a macro. It is traced once per message.
func (w *witness) macro(name string) {
	m := w.set.macroOf[name]
	if m == nil {
		return
	}
	inner, traced := w.macros[name]
	if !traced {
		w.macros[name] = nil // in case it fails
		inner = w.tracer.values(w.ev, m.formula, 0)
		w.macros[name] = inner
	}
	for _, v := range inner[:min(len(inner), max(0, maxValues-len(w.values)))] {
		v.Depth += w.depth + 1
		w.values = append(w.values, v)
	}
}

// maxShownText is how much of one value an explanation shows, in characters.
const maxShownText = 200

// celText writes a value in the notation of CEL.
func celText(v ref.Val) string {
	var text string
	switch v := v.(type) {
	case types.String:
		text = strconv.Quote(string(v[:min(len(v), 4*maxShownText)]))
	case *types.Err:
		text = "error: " + v.Error()
	case traits.Lister:
		text = listText(v)
	case types.Timestamp:
		text = v.UTC().Format(time.RFC3339)
	default:
		text = nativeText(v.Value())
	}
	if runes := []rune(text); len(runes) > maxShownText {
		return string(runes[:maxShownText]) + "..."
	}
	return text
}

// nativeText writes a fact that has facts of its own by the one that people know it by.
func nativeText(native any) string {
	switch v := native.(type) {
	case facts.Object:
		return strconv.Quote(v.Name)
	case facts.URL:
		return strconv.Quote(v.Href)
	case facts.Mailbox:
		return strconv.Quote(v.Email)
	case facts.Path:
		return strconv.Quote(v.Email)
	case facts.Signature:
		return strconv.Quote(v.Domain + " " + v.Result)
	case facts.Finding:
		return strconv.Quote(v.Kind)
	}
	switch v := reflect.ValueOf(native); v.Kind() {
	case reflect.Struct, reflect.Pointer, reflect.Map:
		return "{...}"
	}
	return fmt.Sprint(native)
}

// listText writes a list.
func listText(l traits.Lister) string {
	var parts []string
	size := 0
	for it := l.Iterator(); it.HasNext() == types.True && size < maxShownText; {
		part := celText(it.Next())
		parts, size = append(parts, part), size+len(part)
	}
	if n, ok := l.Size().(types.Int); ok && int(n) > len(parts) {
		parts = append(parts, "...")
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// listOfObjects wants a list of objects.
func listOfObjects(t *cel.Type) string {
	if t.Kind() == types.ListKind {
		return ""
	}
	return "the condition must be one expression over the attachment a"
}

// objectsOf returns the objects in a list.
func objectsOf(v ref.Val) []facts.Object {
	list, ok := v.(traits.Lister)
	if !ok {
		return nil
	}
	var all []facts.Object
	for it := list.Iterator(); it.HasNext() == types.True; {
		switch o := it.Next().Value().(type) {
		case facts.Object:
			all = append(all, o)
		case *facts.Object:
			all = append(all, *o)
		}
	}
	return all
}
