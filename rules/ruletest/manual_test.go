package ruletest

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"assay/rules"
	"assay/rules/facts"
	"assay/rules/shipped"
)

const (
	manual   = "../../packaging/man/assay-rules.5"
	tutorial = "../../packaging/doc/first-rule.md"
)

// The list of facts in assay-rules(5) is what the program knows.
func TestManualFacts(t *testing.T) {
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), ".\\\" facts begin")
	first, rest, ok2 := strings.Cut(rest, "\n")
	_, after, ok3 := strings.Cut(rest, ".\\\" facts end\n")
	if !ok || !ok2 || !ok3 {
		t.Fatal("the marks around the list of facts are gone")
	}
	want := before + ".\\\" facts begin" + first + "\n" + factList() + ".\\\" facts end\n" + after
	if *update {
		if err := os.WriteFile(manual, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(text) {
		t.Errorf("%s is out of date: go test ./rules/ruletest -run TestManual -update", manual)
	}
}

// factList writes every fact as man(7) source.
func factList() string {
	var b strings.Builder
	section := ""
	for _, d := range facts.Docs() {
		if top, _, _ := strings.Cut(d.Name, "."); top != section && strings.Contains(d.Name, ".") {
			section = top
			fmt.Fprintf(&b, ".SS %s\n", roff(top))
		}
		fmt.Fprintf(&b, ".TP\n.BR %s \" (%s, %s)\"\n%s.", roff(d.Name), roff(d.Type), d.Stage, roff(strings.ToUpper(d.Doc[:1])+d.Doc[1:]))
		if len(d.Values) > 0 {
			values := make([]string, len(d.Values))
			for i, v := range d.Values {
				values[i] = `"` + v + `"`
			}
			fmt.Fprintf(&b, " One of %s.", roff(strings.Join(values, ", ")))
		}
		fmt.Fprintf(&b, "\n.br\n%s\n", roff("Example: "+d.Example))
	}
	return b.String()
}

// The table of traits in assay-rules(5) is what scan/types.go says about them.
func TestManualTraits(t *testing.T) {
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), ".\\\" traits begin")
	first, rest, ok2 := strings.Cut(rest, "\n")
	_, after, ok3 := strings.Cut(rest, ".\\\" traits end\n")
	if !ok || !ok2 || !ok3 {
		t.Fatal("the marks around the table of traits are gone")
	}
	want := before + ".\\\" traits begin" + first + "\n" + traitList(t) + ".\\\" traits end\n" + after
	if *update {
		if err := os.WriteFile(manual, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(text) {
		t.Errorf("%s is out of date: go test ./rules/ruletest -run TestManual -update", manual)
	}
}

// traitList writes every trait with its comment as man(7) source.
func traitList(t *testing.T) string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../scan/types.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); !ok || kind.Name != "Trait" {
			return false
		}
		word, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil || spec.Comment == nil {
			t.Fatalf("%s has no value or no comment", spec.Names[0])
		}
		says := strings.TrimSpace(spec.Comment.Text())
		fmt.Fprintf(&b, ".TP\n.B \"%s\"\n%s.\n", roff(word), roff(strings.ToUpper(says[:1])+says[1:]))
		return false
	})
	return b.String()
}

// roff escapes text for man(7).
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, `-`, `\-`).Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}

// Every key that the schema knows, every function and every macro that comes with Assay is in the manual.
func TestManualKeys(t *testing.T) {
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	page, _, _ := strings.Cut(strings.ReplaceAll(string(text), `\-`, "-"), ".\\\" facts begin")
	_, end, _ := strings.Cut(string(text), ".\\\" facts end")
	page += end
	var schema any
	if err := json.Unmarshal(rules.Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	keys := map[string]bool{}
	collect(schema, keys)
	if len(keys) < 60 {
		t.Errorf("the schema has only %d keys", len(keys))
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if !strings.Contains(page, key) {
			t.Errorf("the key %q is not in the manual", key)
		}
	}
	for _, f := range rules.Functions() {
		if !strings.Contains(page, f.Name+"(") {
			t.Errorf("the function %s is not in the manual", f.Name)
		}
	}
	set, problems := rules.Load([]rules.Source{{Files: shipped.Files}}, rules.Options{})
	if problems.Err() != nil {
		t.Fatal(problems)
	}
	for _, m := range set.Macros() {
		if !strings.Contains(page, m.Name) {
			t.Errorf("the macro %s is not in the manual", m.Name)
		}
	}
}

// collect gathers the names of properties, other than those of facts, which have their own list.
func collect(schema any, keys map[string]bool) {
	switch s := schema.(type) {
	case map[string]any:
		if properties, ok := s["properties"].(map[string]any); ok {
			for name, below := range properties {
				if keys[name] = true; name != "facts" {
					collect(below, keys)
				}
			}
		}
		for name, below := range s {
			if name != "properties" {
				collect(below, keys)
			}
		}
	case []any:
		for _, below := range s {
			collect(below, keys)
		}
	}
}

// The rule files of the manual and of the tutorial load, and their tests pass.
func TestExamples(t *testing.T) {
	for name, blocks := range map[string][]string{manual: manualBlocks(t), tutorial: tutorialBlocks(t)} {
		files := memory{}
		for i, block := range blocks {
			switch {
			case strings.Contains(block, "\ntests:") || strings.HasPrefix(block, "tests:"):
				files[fmt.Sprintf("%02d_test.yaml", i)] = []byte(block)
			case strings.HasPrefix(block, "format:"), strings.HasPrefix(block, "# yaml-language-server"):
				files[fmt.Sprintf("%02d.yaml", i)] = []byte(block)
			case strings.HasPrefix(block, "override:"), strings.HasPrefix(block, "recipient_groups:"):
				files[fmt.Sprintf("%02d.yaml", i)] = []byte("format: 1\n" + block)
			}
		}
		files["testdata/invoice.eml"] = []byte("From: billing@supplier.example\nSubject: Our new bank account\n\nx\n")
		files["testdata/invoice.zone"] = nil
		if len(files) < 4 {
			t.Errorf("%s: only %d files were found", name, len(files)-2)
		}
		sources := []rules.Source{{Files: shipped.Files}, {Name: "local", Files: files}}
		set, problems := rules.Load(sources, rules.Options{OrgDomains: []string{"example.com"}})
		if len(problems) > 0 {
			t.Errorf("%s: %v", name, problems)
			continue
		}
		if report := Run(t.Context(), set, sources, Options{Load: rules.Options{OrgDomains: []string{"example.com"}}}); !report.OK() {
			t.Errorf("%s: %v", name, report.Err())
		}
	}
}

// manualBlocks returns what stands between .nf and .fi.
func manualBlocks(t *testing.T) []string {
	return blocks(t, manual, ".nf\n", ".fi\n")
}

// tutorialBlocks returns the YAML of the tutorial.
func tutorialBlocks(t *testing.T) []string {
	return blocks(t, tutorial, "```yaml\n", "```\n")
}

func blocks(t *testing.T, file, open, end string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	if file == manual {
		page = strings.ReplaceAll(page, `\-`, "-")
	}
	var found []string
	for {
		_, rest, ok := strings.Cut(page, open)
		if !ok {
			return found
		}
		block, after, ok := strings.Cut(rest, end)
		if !ok {
			t.Fatalf("%s: a block is never closed", file)
		}
		found, page = append(found, block), after
	}
}
