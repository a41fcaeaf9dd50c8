package shipped_test

import (
	"context"
	"flag"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"go.yaml.in/yaml/v4"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"assay/rules"
	"assay/rules/ruletest"
	"assay/rules/shipped"
	"assay/verify"
)

var (
	update = flag.Bool("update", false, "write the golden files again")
	all    = flag.Bool("all", false, "take away every operand of every condition, which takes a minute, and not only every tenth")
)

// load loads rule files, which must be right, without a single warning.
func load(t *testing.T, files fs.FS, opt rules.Options) (*rules.Set, []rules.Source) {
	t.Helper()
	sources := []rules.Source{{Files: files}}
	set, problems := rules.Load(sources, opt)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return set, sources
}

// The shipped set loads without a warning, its tests pass, and they show every rule fired and silent, whatever the
// organization's domains are and whether the clock is known.
func TestShipped(t *testing.T) {
	for name, opt := range map[string]rules.Options{
		"nothing configured": {},
		"a configured host": {
			OrgDomains: []string{"partner.com", "bank.com", "evil.net", "shop.org", ".example"}, HeaderPrefix: "X-Firma", Channels: []string{},
			Now: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC),
		},
	} {
		t.Run(name, func(t *testing.T) {
			set, sources := load(t, shipped.Files, opt)
			report := ruletest.Run(context.Background(), set, sources, ruletest.Options{
				Load: opt, Verify: verify.Options{Trusted: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}, // of this host, not of the tests
			})
			if !report.OK() || !report.Coverage.Complete() || report.Total < 200 {
				var text strings.Builder
				report.Text(&text, false)
				t.Error(text.String())
			}
		})
	}
}

// A local rule file may override any rule; the tests of the shipped rules do not depend on it.
func TestOverridesLeaveShippedTestsAlone(t *testing.T) {
	var local strings.Builder
	local.WriteString("format: 1\noverride:\n")
	set, _ := load(t, shipped.Files, rules.Options{})
	for _, r := range set.Rules() {
		local.WriteString("  - {id: " + r.ID + ", mode: off, severity: info, reason: a test}\n")
	}
	sources := []rules.Source{{Files: shipped.Files}, {Name: "local", Files: fstest.MapFS{"90-local.yaml": {Data: []byte(local.String())}}}}
	all, problems := rules.Load(sources, rules.Options{})
	if problems.Err() != nil {
		t.Fatal(problems)
	}
	if report := ruletest.Run(context.Background(), all, sources, ruletest.Options{}); !report.OK() || report.Total < 200 {
		t.Error(report.Err())
	}
}

// Nothing legitimate is lost on the day of installation: what refuses or holds mail only watches, but for rules about virus
// scanners, which nobody asks before somebody has configured one.
func TestNothingIsLostOutOfTheBox(t *testing.T) {
	set, _ := load(t, shipped.Files, rules.Options{})
	for _, r := range set.Rules() {
		switch {
		case strings.HasPrefix(r.ID, "virus-"):
		case r.Asks != rules.Deliver && r.Mode != rules.Monitor:
			t.Errorf("%s asks for %s and its mode is %s", r.ID, r.Asks, r.Mode)
		case r.Mode == rules.Off:
			t.Errorf("%s is off", r.ID)
		}
	}
}

// Every rule says in words what it finds and why it has its mode, and which requirement it is there for.
func TestDescriptions(t *testing.T) {
	set, _ := load(t, shipped.Files, rules.Options{})
	for _, r := range set.Rules() {
		words := map[rules.Mode]string{rules.Enforce: "Enforced", rules.Monitor: "Ships as monitor"}[r.Mode]
		described := strings.Join(strings.Fields(r.Description), " ")
		if !strings.Contains(strings.ToLower(described), strings.ToLower(words)) && !strings.Contains(described, "ships as monitor") &&
			r.ID != "attachment-type-mismatch" {
			t.Errorf("%s: the description does not say why its mode is %s", r.ID, r.Mode)
		}
		if len(r.Controls) == 0 {
			t.Errorf("%s: no controls", r.ID)
		}
		if r.Asks != rules.Deliver && len(r.FalsePositives) == 0 {
			t.Errorf("%s: no false positives, although it can lose mail", r.ID)
		}
		if len(r.Exceptions) > 0 {
			t.Errorf("%s: exceptions are for operators", r.ID)
		}
	}
}

// Every file begins with the line that makes editors complete keys, and a rule file explains itself below.
func TestHeads(t *testing.T) {
	names, err := fs.Glob(shipped.Files, "*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(shipped.Files, name)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		if lines[0] != "# yaml-language-server: $schema=../rules.schema.json" {
			t.Errorf("%s begins with %q", name, lines[0])
		}
		if test := strings.HasSuffix(name, "_test.yaml"); !test && (lines[1] != "#" || len(lines[2]) < 10) {
			t.Errorf("%s does not say what it is about", name)
		}
		base := strings.TrimSuffix(name, ".yaml")
		if !strings.HasSuffix(base, "_test") && !slices.Contains(names, base+"_test.yaml") {
			t.Errorf("%s has no tests beside it", name)
		}
	}
}

// Ids are stable for ever. One that is in the golden file may only go when a rule replaces it.
func TestIDsAreStable(t *testing.T) {
	set, _ := load(t, shipped.Files, rules.Options{})
	if *update {
		var ids []string
		for _, r := range set.Rules() {
			ids = append(append(ids, r.ID), r.Replaces...)
		}
		slices.Sort(ids)
		if err := os.WriteFile("testdata/ids.golden", []byte(strings.Join(ids, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile("testdata/ids.golden")
	if err != nil {
		t.Fatal(err)
	}
	known := strings.Fields(string(golden))
	for _, id := range known {
		if _, ok := set.Rule(id); !ok {
			t.Errorf("the id %s is gone: logs, exceptions and overrides of operators name it", id)
		}
	}
	for _, r := range set.Rules() {
		if !slices.Contains(known, r.ID) {
			t.Errorf("%s is not in testdata/ids.golden: go test ./rules/shipped -update", r.ID)
		}
	}
}

// Every operand of && and || in every condition and macro matters to a test: without it, one fails. Whoever changes rules
// runs it with -all.
func TestEveryBranchIsTested(t *testing.T) {
	if testing.Short() {
		t.Skip("a set is loaded and tested for every operand (-short)")
	}
	names, err := fs.Glob(shipped.Files, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	mutants := 0
	for _, name := range names {
		if strings.HasSuffix(name, "_test.yaml") {
			continue
		}
		text, err := fs.ReadFile(shipped.Files, name)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; ; i++ {
			mutant, what := mutate(t, text, i)
			if mutant == nil {
				break
			}
			if mutants++; !*all && mutants%10 != 0 {
				continue
			}
			t.Run(what, func(t *testing.T) {
				t.Parallel()
				killed(t, name, mutant, strings.HasPrefix(what, "rule "))
			})
		}
	}
	if mutants < 100 {
		t.Errorf("only %d operands were found", mutants)
	}
}

// killed checks that the tests notice a changed rule file. Of a rule those in the file beside it have to, and those of the
// macros.
func killed(t *testing.T, name string, text []byte, near bool) {
	files := fstest.MapFS{}
	err := fs.WalkDir(shipped.Files, ".", func(p string, d fs.DirEntry, err error) error {
		beside := p == "00-base_test.yaml" || p == strings.TrimSuffix(name, ".yaml")+"_test.yaml"
		if err == nil && !d.IsDir() && (!near || beside || !strings.HasSuffix(p, "_test.yaml")) {
			data, err := fs.ReadFile(shipped.Files, p)
			files[p] = &fstest.MapFile{Data: data}
			return err
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	files[name] = &fstest.MapFile{Data: text}
	sources := []rules.Source{{Files: files}}
	set, problems := rules.Load(sources, rules.Options{})
	if problems.Err() != nil {
		return // the loader noticed
	}
	if ruletest.Run(context.Background(), set, sources, ruletest.Options{}).OK() {
		t.Error("no test fails without it")
	}
}

// mutate returns a rule file without its nth operand of && and ||, and says which one; nil behind the last.
func mutate(t *testing.T, text []byte, n int) (mutant []byte, what string) {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	env, err := cel.NewEnv(cel.EnableMacroCallTracking(), cel.OptionalTypes())
	if err != nil {
		t.Fatal(err)
	}
	for name, node := range conditions(doc.Content[0]) {
		parsed, issues := env.Parse(node.Value)
		if issues.Err() != nil {
			t.Fatal(issues.Err())
		}
		operands := operandsOf(parsed.NativeRep())
		if n >= len(operands) {
			n -= len(operands)
			continue
		}
		o := operands[n]
		before, _ := cel.AstToString(parsed)
		// The neutral element takes its place: true of &&, false of ||.
		parsed.NativeRep().SourceInfo().ClearMacroCall(o.expr.ID())
		o.expr.SetKindCase(ast.NewExprFactory().NewLiteral(o.expr.ID(), types.Bool(o.operator == operators.LogicalAnd)))
		after, err := cel.AstToString(parsed)
		if err != nil || after == before {
			t.Fatalf("%s: %q became %q: %v", name, before, after, err)
		}
		node.Value, node.Style = after, yaml.LiteralStyle
		out, err := yaml.Marshal(&doc)
		if err != nil {
			t.Fatal(err)
		}
		return out, name + ": " + after
	}
	return nil, ""
}

// conditions yields the macros and the conditions of the rules of a file.
func conditions(top *yaml.Node) func(yield func(string, *yaml.Node) bool) {
	return func(yield func(string, *yaml.Node) bool) {
		value := func(n *yaml.Node, key string) *yaml.Node {
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == key {
					return n.Content[i+1]
				}
			}
			return &yaml.Node{}
		}
		macros := value(top, "macros")
		for i := 0; i+1 < len(macros.Content); i += 2 {
			if !yield("macro "+macros.Content[i].Value, macros.Content[i+1]) {
				return
			}
		}
		for _, rule := range value(top, "rules").Content {
			if !yield("rule "+value(rule, "id").Value, value(rule, "when")) {
				return
			}
		}
	}
}

// An operand is one side of && or ||.
type operand struct {
	expr     ast.Expr
	operator string
}

// operandsOf returns all operands of a condition. What stands inside of exists() and the like is part of the calls that
// they were written as.
func operandsOf(parsed *ast.AST) []operand {
	var found []operand
	var visit func(e ast.Expr)
	visit = func(e ast.Expr) {
		if written, ok := parsed.SourceInfo().GetMacroCall(e.ID()); ok {
			e = written
		}
		if e.Kind() != ast.CallKind {
			return
		}
		call := e.AsCall()
		for _, arg := range call.Args() {
			if f := call.FunctionName(); f == operators.LogicalAnd || f == operators.LogicalOr {
				found = append(found, operand{arg, f})
			}
			visit(arg)
		}
	}
	visit(parsed.Expr())
	return found
}
