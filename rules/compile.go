package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"

	"assay/rules/facts"
)

// A snippet is a CEL expression in a file.
type snippet struct {
	d      *document
	text   string
	places []place // of each character, and behind the last one
	scope  scope   // of the whole expression

	inserted bool // into a text, where an expression that fails gives "?"
}

// snippetOf returns the expression that a scalar holds.
func snippetOf(it item) snippet {
	return snippet{d: it.d, text: it.n.Value, places: it.d.locate(it.n)}
}

// place returns the place of a character.
func (s snippet) place(at int) place {
	return s.places[min(max(at, 0), len(s.places)-1)]
}

// report adds an error at a character.
func (s snippet) report(at int, format string, args ...any) {
	p := s.place(at)
	s.d.reportAt(p.line, p.column, format, args...)
}

// offset turns a location of CEL into the number of a character.
func (s snippet) offset(l common.Location) int {
	at, line := 0, 1
	for _, r := range s.text {
		if line >= l.Line() {
			break
		}
		if at++; r == '\n' {
			line++
		}
	}
	return at + max(l.Column(), 0)
}

// A formula is a compiled expression. It is immutable and safe for concurrent use.
type formula struct {
	text    string
	checked *cel.Ast
	cheap   bool        // its cost need not be counted
	step    step        // of a condition
	program cel.Program // of anything else
	macros  []string    // it names, in alphabetical order
	lists   []string    // it names, in alphabetical order
	facts   []string    // paths it reads, in alphabetical order
}

// A compiler compiles expressions.
type compiler struct {
	opt        Options
	env        *cel.Env
	catalog    *catalog
	lists      map[string]*list
	macros     map[string]*macro
	attachment *cel.Env            // with the variable a
	known      map[string]*formula // that can stand in a text, by what is written
	parts      map[string]*part    // of conditions, by what is written
	commons    int                 // how many parts occur more than once
}

// compile checks an expression and plans its evaluation. With a problem it returns nil. Fitting says what is wrong with
// the type of the result, "" for nothing.
func (c *compiler) compile(s snippet, env *cel.Env, fitting func(*cel.Type) string) *formula {
	source := common.NewStringSource(s.text, s.d.name)
	parsed, issues := env.ParseSource(source)
	if issues.Err() != nil {
		c.reportSyntax(s, issues)
		return nil
	}
	checked, issues := env.Check(parsed)
	if issues.Err() != nil {
		c.reportTypes(s, parsed, issues)
		return nil
	}
	if wrong := fitting(checked.OutputType()); wrong != "" {
		s.report(leading(s.text), "%s", wrong)
		return nil
	}
	f := &formula{text: s.text, checked: checked}
	if !c.inspect(s, f) || !c.affordable(s, env, checked) {
		return nil
	}
	f.cheap = c.cheap(env, checked)
	var err error
	if env == c.env && checked.OutputType().IsExactType(cel.BoolType) {
		f.step, err = c.plan(checked, f.cheap)
	} else {
		f.program, err = env.Program(checked, c.programOptions(f.cheap)...)
	}
	if err != nil {
		s.report(leading(s.text), "%v", err)
		return nil
	}
	return f
}

// programOptions are the options of a program. Its cost is limited unless it is cheap.
func (c *compiler) programOptions(cheap bool) []cel.ProgramOption {
	options := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	if !cheap {
		options = append(options, cel.CostLimit(c.opt.RunCost), cel.InterruptCheckFrequency(interruptEvery))
	}
	return options
}

// cheapCost is a cost that no message can make noticeable. Counting the cost of such an expression, and looking at the
// clock, would take longer than its evaluation.
const cheapCost = 250_000

// cheap reports whether an expression is cheap for every message, however large its facts are.
func (c *compiler) cheap(env *cel.Env, checked *cel.Ast) bool {
	worst, err := env.EstimateCost(checked, sizes{hostile: true})
	return err == nil && worst.Max <= min(cheapCost, c.opt.RunCost)
}

// interruptEvery is after how many steps of comprehensions the deadline is looked at.
const interruptEvery = 64

// leading returns how many blanks a text begins with.
func leading(s string) int { return len(s) - len(strings.TrimLeft(s, " \t\n")) }

// condition wants a result of type bool.
func condition(t *cel.Type) string {
	if t.IsExactType(cel.BoolType) {
		return ""
	}
	hint := ""
	switch {
	case t.IsExactType(cel.StringType):
		hint = `, for example with == "text"`
	case t.IsExactType(cel.IntType) || t.IsExactType(cel.DoubleType):
		hint = ", for example with > 0"
	case t.Kind() == types.ListKind:
		hint = ", for example with .exists(x, ...) or .size() > 0"
	}
	return fmt.Sprintf("this is %s, but a condition must be true or false: compare it%s", typeWord(t.String()), hint)
}

// printable wants a result that can stand in a text.
func printable(t *cel.Type) string {
	switch t.Kind() {
	case types.StringKind, types.BoolKind, types.IntKind, types.UintKind, types.DoubleKind, types.TimestampKind, types.DurationKind, types.DynKind:
		return ""
	case types.ListKind:
		if p := t.Parameters(); len(p) == 1 && p[0].Kind() == types.StringKind {
			return ""
		}
		return fmt.Sprintf("this is %s and cannot stand in a text: choose what to show, for example with .map(x, x.name).join(\", \")", typeWord(t.String()))
	}
	return fmt.Sprintf("this is %s and cannot stand in a text: choose one of its facts", typeWord(t.String()))
}

// affordable reports an expression that costs too much.
func (c *compiler) affordable(s snippet, env *cel.Env, checked *cel.Ast) bool {
	estimate, err := env.EstimateCost(checked, sizes{})
	switch {
	case err != nil:
		s.report(leading(s.text), "the cost of the expression cannot be estimated: %v", err)
		return false
	case estimate.Max > c.opt.MaxCost:
		s.report(leading(s.text), "the expression is too expensive: a large message would cost %s steps, %s are allowed; "+
			"avoid exists() inside of exists(), and patterns that are not fixed texts", amount(estimate.Max), amount(c.opt.MaxCost))
		return false
	}
	return true
}

// amount writes a large number so that it can be read.
func amount(n uint64) string {
	switch {
	case n >= 1_000_000_000_000:
		return "more than a trillion"
	case n >= 1_000_000_000:
		return fmt.Sprintf("%d billion", n/1_000_000_000)
	case n >= 1_000_000:
		return fmt.Sprintf("%d million", n/1_000_000)
	}
	return fmt.Sprint(n)
}

// sizes tells the estimate of costs how large facts are: in a large message, or in a hostile one, which runs into
// Options.RunCost.
type sizes struct{ hostile bool }

// The sizes that are assumed.
const (
	manyElements = 200
	longString   = 256
)

// EstimateSize implements cost.Estimator.
func (z sizes) EstimateSize(node cost.AstNode) *cost.SizeEstimate {
	path := strings.Join(node.Path(), ".")
	if below, ok := strings.CutPrefix(path, "a."); ok {
		path = "objects.@items." + below // the variable of remove_attachments
	}
	low, high := facts.SizeHint(path)
	if high == 0 {
		if !z.hostile && node.Type() != nil && node.Type().Kind() == types.StringKind && node.ComputedSize() == nil {
			return &cost.SizeEstimate{Max: longString}
		}
		return nil
	}
	switch {
	case path == "text" || z.hostile:
	case node.Type().Kind() == types.StringKind:
		high = min(high, longString)
	default:
		high = min(high, manyElements)
	}
	return &cost.SizeEstimate{Min: low, Max: high}
}

// EstimateCallCost implements cost.Estimator.
func (sizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}

// inspect looks for what types do not tell: values that never occur, lists that do not exist, patterns that are wrong.
// It notes what the expression uses.
func (c *compiler) inspect(s snippet, f *formula) bool {
	in := &inspection{compiler: c, snippet: s, formula: f, ok: true,
		macros: map[string]bool{}, lists: map[string]bool{}, facts: map[string]bool{}, guarded: map[string]bool{}, sized: map[string]bool{}}
	root := f.checked.NativeRep().Expr()
	visit(root, s.scope, 0, in.guard)
	visit(root, s.scope, 0, in.look)
	f.macros, f.lists = slices.Sorted(maps.Keys(in.macros)), slices.Sorted(maps.Keys(in.lists))
	f.facts = slices.Sorted(maps.Keys(in.facts))
	return in.ok
}

// constant reports whether an expression depends on nothing.
func (f *formula) constant() bool { return len(f.facts) == 0 && len(f.macros) == 0 }

// at returns the character an expression begins at.
func (f *formula) at(s snippet, e ast.Expr) int {
	info := f.checked.NativeRep().SourceInfo()
	begin := -1
	visit(e, scope{}, 0, func(x ast.Expr, _ scope, _ int) {
		if r, ok := info.GetOffsetRange(x.ID()); ok && (begin < 0 || int(r.Start) < begin) {
			begin = int(r.Start)
		}
	})
	return begin
}
