package facts_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"cel.dev/cel-go/cel"

	"assay/rules/facts"
)

// env declares the facts as the rules engine does.
func env(t testing.TB) *cel.Env {
	t.Helper()
	e, err := cel.NewEnv(append(facts.EnvOptions(), cel.OptionalTypes())...)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// eval evaluates an expression of type bool.
func eval(t testing.TB, e *cel.Env, expr string, f *facts.Facts) (any, error) {
	t.Helper()
	ast, issues := e.Compile(expr)
	if issues.Err() != nil {
		t.Fatalf("%s: %v", expr, issues.Err())
	}
	if ast.OutputType() != cel.BoolType {
		t.Fatalf("%s is a %s", expr, ast.OutputType())
	}
	program, err := e.Program(ast)
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	value, _, err := program.Eval(activation{f})
	if err != nil {
		return nil, err
	}
	return value.Value(), nil
}

type activation struct{ *facts.Facts }

func (activation) Parent() cel.Activation { return nil }

// Every field of every struct has a line, and every line a field.
func TestEveryFactIsDocumented(t *testing.T) {
	docs := map[string]facts.Doc{}
	for _, d := range facts.Docs() {
		if _, twice := docs[d.Name]; twice {
			t.Errorf("%s is documented twice", d.Name)
		}
		docs[d.Name] = d
		switch {
		case d.Doc == "" || strings.HasSuffix(d.Doc, ".") || strings.Contains(d.Doc, "\n"):
			t.Errorf("%s: %q is not one line", d.Name, d.Doc)
		case d.Example == "" || strings.Contains(d.Example, "$"):
			t.Errorf("%s: example %q", d.Name, d.Example)
		case d.Stage != facts.Envelope && d.Stage != facts.Headers && d.Stage != facts.Message:
			t.Errorf("%s: stage %q", d.Name, d.Stage)
		}
		if stage, ok := facts.StageOf(d.Name); !ok || stage != d.Stage {
			t.Errorf("StageOf(%s) = %s, %v", d.Name, stage, ok)
		}
	}
	n := 0
	walk(t, reflect.TypeFor[facts.Tree](), "", func(name string) {
		n++
		if _, ok := docs[name]; !ok {
			t.Errorf("%s is not documented", name)
		}
	})
	if n != len(docs) {
		t.Errorf("%d facts, %d of them documented", n, len(docs))
	}
}

// walk visits the facts below a struct, found in another way than the package does.
func walk(t *testing.T, typ reflect.Type, prefix string, visit func(string)) {
	for i := range typ.NumField() {
		field := typ.Field(i)
		name := field.Tag.Get("cel")
		if !field.IsExported() || name == "" || name != field.Tag.Get("yaml") {
			t.Errorf("%s.%s has tags %q", typ, field.Name, field.Tag)
		}
		inner, name := field.Type, prefix+name
		if inner.Kind() == reflect.Slice && inner.Elem().Kind() == reflect.Struct {
			inner, name = inner.Elem(), name+"[]"
		}
		if inner.Kind() == reflect.Struct && inner != reflect.TypeFor[time.Time]() {
			walk(t, inner, name+".", visit)
			continue
		}
		visit(name)
	}
}

// The lines of the table belong to types that exist, the variables to a way to compute them.
func TestTables(t *testing.T) {
	if problem := facts.CheckTables(); problem != "" {
		t.Error(problem)
	}
}

// Examples compile, and they can be evaluated on a message that has everything and on one that has nothing.
func TestExamples(t *testing.T) {
	e := env(t)
	inputs := []facts.Input{everything(t), {Message: read(t, "\r\n")}}
	for _, d := range facts.Docs() {
		for _, in := range inputs {
			if _, err := eval(t, e, d.Example, facts.New(in)); err != nil {
				t.Errorf("%s: %s: %v", d.Name, d.Example, err)
			}
		}
		if _, err := eval(t, e, d.Example, facts.Stated(facts.Tree{})); err != nil {
			t.Errorf("%s: %s on stated facts: %v", d.Name, d.Example, err)
		}
	}
}

// The variable size does not get in the way of the function.
func TestSizeIsAVariableAndAFunction(t *testing.T) {
	f := facts.Stated(facts.Tree{Size: 5, Subject: "abc", URLs: make([]facts.URL, 2)})
	got, err := eval(t, env(t), `size == 5 && size(subject) == 3 && urls.size() == 2 && size(urls) < size`, f)
	if err != nil || got != true {
		t.Errorf("%v, %v", got, err)
	}
}

func TestTypes(t *testing.T) {
	e := env(t)
	for _, d := range facts.Docs() {
		if strings.Contains(d.Name, "[]") {
			continue
		}
		ast, issues := e.Compile(d.Name)
		if issues.Err() != nil {
			t.Fatalf("%s: %v", d.Name, issues.Err())
		}
		if got := ast.OutputType().String(); got != d.Type {
			t.Errorf("%s is a %s, documented as %s", d.Name, got, d.Type)
		}
	}
	if v, ok := facts.New(everything(t)).ResolveName("nothing"); ok {
		t.Errorf("a variable that does not exist is %v", v)
	}
	if _, issues := e.Compile(`auth.dmarc.resutl == "pass"`); issues.Err() == nil {
		t.Error("an unknown fact compiles")
	}
}

// What other packages can say is among the values: their constants are read from the source.
func TestValuesAreComplete(t *testing.T) {
	for _, test := range []struct{ file, constants, typeName, field string }{
		{"verify/authres/types.go", "Result", "facts.ARC", "original_dmarc"},
		{"verify/smime/types.go", "State", "facts.SMIME", "state"},
		{"verify/smime/types.go", "Trust", "facts.SMIME", "trust"},
		{"verify/smime/types.go", "Identity", "facts.SMIME", "identity"},
		{"verify/smime/types.go", "Revocation", "facts.SMIME", "revocation"},
		{"verify/smime/types.go", "Level", "facts.SMIME", "validation_level"},
		{"verify/dmarc/types.go", "Policy", "facts.DMARC", "policy"},
		{"verify/dmarc/types.go", "Policy", "facts.DMARC", "published"},
		{"verify/dmarc/options.go", "", "facts.DMARC", "override"},
		{"verify/message/types.go", "AuthorProblem", "", "from_problem"},
		{"scan/types.go", "Source", "facts.URL", "source"},
		{"scan/types.go", "State", "facts.Object", "state"},
	} {
		values := facts.Enum(test.typeName, test.field)
		found := constants(t, filepath.Join("..", "..", test.file), test.constants)
		if len(found) == 0 {
			t.Errorf("%s has no constants of type %q", test.file, test.constants)
		}
		for _, c := range found {
			if !slices.Contains(values, c) {
				t.Errorf("%s.%s cannot be %q, which %s has", test.typeName, test.field, c, test.file)
			}
		}
	}
	if got := facts.Enum("facts.URL", "href"); got != nil {
		t.Errorf("the values of a text are %q", got)
	}
}

// constants returns the strings that a file declares as constants of a type; "" asks for untyped ones whose names begin
// with Override.
func constants(t *testing.T, file, typeName string) []string {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	ast.Inspect(tree, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		name, _ := spec.Type.(*ast.Ident)
		typed := name != nil && name.Name == typeName
		untyped := typeName == "" && name == nil && strings.HasPrefix(spec.Names[0].Name, "Override")
		literal, isLiteral := spec.Values[0].(*ast.BasicLit)
		if (typed || untyped) && isLiteral && literal.Kind == token.STRING {
			if value, err := strconv.Unquote(literal.Value); err == nil && value != "" {
				out = append(out, value)
			}
		}
		return true
	})
	return out
}

func TestSizeHint(t *testing.T) {
	for path, want := range map[string]uint64{
		"text": facts.MaxText, "subject": facts.MaxString, "urls": facts.MaxURLs, "urls.@items.href": facts.MaxString, "urls[].href": facts.MaxString,
		"headers": facts.MaxHeaders, "headers.@values": facts.MaxHeaders, "headers.@values.@items": facts.MaxString, "headers.@keys": facts.MaxString,
		"auth.dkim.signatures": facts.MaxList, "objects.@items.inside": facts.MaxInside, "size": 1, "nothing": 0, "urls.href": 0, "": 1, "subject.x": 0,
	} {
		if _, got := facts.SizeHint(path); got != want {
			t.Errorf("SizeHint(%q) = %d, want %d", path, got, want)
		}
	}
}

func TestStageOf(t *testing.T) {
	for name, want := range map[string]facts.Stage{
		"conn.ip": facts.Envelope, "conn": facts.Envelope, "from": facts.Headers, "auth.spf.result": facts.Envelope, "auth.spf": facts.Headers,
		"auth": facts.Message, "urls": facts.Message, "urls[].host": facts.Message, "nothing": "", "auth.sp": "",
	} {
		if got, ok := facts.StageOf(name); got != want || ok != (want != "") {
			t.Errorf("StageOf(%q) = %q, %v", name, got, ok)
		}
	}
}
