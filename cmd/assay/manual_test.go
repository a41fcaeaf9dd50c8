package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"assay/rules"
)

// The pages that people have written are in the program as they are in packaging.
func TestWrittenManualPages(t *testing.T) {
	for _, page := range []string{"assay-serve.8", "assay-rules.5", "assay-headers.7"} {
		original := readFile(t, packaging+"man/"+page)
		if *update {
			if page == "assay-headers.7" {
				original = withSentences(t, original)
				writeFile(t, packaging+"man/"+page, original)
			}
			writeFile(t, "manual/"+page, original)
		}
		name := strings.TrimSuffix(page, filepath.Ext(page))
		if embedded := readFile(t, "manual/"+page); embedded != original {
			t.Errorf("cmd/assay/manual/%s is not packaging/man/%s: go test ./cmd/assay -update", page, page)
		} else if printed := string(output(t, "man", name)); !*update && printed != original {
			t.Errorf("assay man %s prints something else", name)
		}
	}
}

// Every page is reachable by its name, and mandoc and groff have nothing to say about it.
func TestManualPagesAreClean(t *testing.T) {
	for _, name := range []string{"assay", "assay-serve", "assay.yaml", "assay-rules", "assay-headers"} {
		page := output(t, "man", name)
		if heading, _, _ := strings.Cut(string(page), "\n"); !strings.Contains(heading, `"`+manualDate+`"`) {
			t.Errorf("%s has another date than the others: %s", name, heading)
		}
		for _, lint := range [][]string{{"mandoc", "-T", "lint", "-W", "warning"}, {"groff", "-man", "-Tutf8", "-ww", "-Wbreak", "-z"}} {
			program, err := exec.LookPath(lint[0])
			if err != nil {
				t.Logf("NOT RUN: %s is not installed (packaging/test/deps.sh)", lint[0])
				continue
			}
			cmd := exec.Command(program, lint[1:]...)
			cmd.Stdin = bytes.NewReader(page)
			if said, err := cmd.CombinedOutput(); err != nil || len(said) > 0 {
				t.Errorf("%s %s: %v\n%s", lint[0], name, err, said)
			}
		}
	}
}

const headerSources = "../../milter/headers/"

// assay-headers(7) has every name that X-Assay-Result and X-Assay-Content can have, every value of those with a fixed set, and
// every sentence of the summary.
func TestHeadersManual(t *testing.T) {
	page := readFile(t, packaging+"man/assay-headers.7")
	if page != withSentences(t, page) {
		t.Error("the sentences in assay-headers(7) are out of date: go test ./cmd/assay -update")
	}
	words := strings.FieldsFunc(strings.ReplaceAll(page, `\-`, "-"), func(r rune) bool { return strings.ContainsRune(" ,\n\"()", r) })
	want := map[string][]string{
		"a name":            append(matches(t, headerSources+"result.go", "\"([a-z]+)=[\"\\\\1]?"), matches(t, headerSources+"result.go", "`([a-z]+)=\"`")...),
		"a reason to skip":  matches(t, headerSources+"result.go", `return "([a-z]+)"`),
		"a change":          changes(t),
		"a trust word":      {string(rules.Verified), string(rules.Authenticated), string(rules.Unverified), string(rules.Suspicious), string(rules.Forged)},
		"a result":          matches(t, "../../verify/authres/types.go", `Result += "([a-z]+)"`),
		"a method":          matches(t, headerSources+"authres.go", `clause\("([a-z]+)"`),
		"a property":        matches(t, headerSources+"authres.go", `properties\("[a-z]+", "([a-z-]+)"`),
		"an S/MIME word":    matches(t, headerSources+"smime.go", `"(smime-[a-z]+)"`),
		"a removed field":   matches(t, headerSources+"strip.go", `"((?:received|bimi|x-spam)-[a-z]+)"`),
		"a level of HTML":   {"active", "remote", "text"},
		"an added field":    matches(t, "../../milter/filter/filter.go", `Name: "(X-[A-Za-z-]+)"`),
		"a field of ARC":    matches(t, "../../verify/arc/seal.go", `Name += "(ARC-[A-Za-z-]+)"`),
		"a suffix of names": matches(t, headerSources+"result.go", `prefix\(\) \+ "(-[A-Z][a-z]+)"`),
	}
	for d := rules.Disposition(0); d.String() != "defer" || d == 0; d++ {
		want["a disposition"] = append(want["a disposition"], d.String())
	}
	lower := strings.ToLower(strings.Join(words, " "))
	for kind, list := range want {
		if len(list) == 0 {
			t.Errorf("no word was found for %s: the code has moved", kind)
		}
		for _, word := range list {
			if !regexp.MustCompile(`(^|[ .-])` + regexp.QuoteMeta(strings.TrimPrefix(strings.ToLower(word), "-")) + `($|[ .;:=])`).MatchString(lower) {
				t.Errorf("%s, %q, is not in assay-headers(7)", kind, word)
			}
		}
	}
}

// changes returns the words for changes of a message, from all files of the filter.
func changes(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../milter/filter/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, file := range files {
		words = append(words, matches(t, file, `a\.changed\("([a-z]+)"\)`)...)
	}
	return words
}

// matches returns what the group of a pattern matches in a file, each once.
func matches(t *testing.T, file, pattern string) []string {
	t.Helper()
	var found []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(readFile(t, file), -1) {
		if !slices.Contains(found, m[1]) {
			found = append(found, m[1])
		}
	}
	return found
}

// withSentences fills in, between the markers of a page, the English sentences of source files.
func withSentences(t *testing.T, page string) string {
	t.Helper()
	return regexp.MustCompile(`(?s)(\.\\" BEGIN sentences of (\S+)\n).*?(\.\\" END)`).ReplaceAllStringFunc(page, func(part string) string {
		m := regexp.MustCompile(`^\.\\" BEGIN sentences of (\S+)\n`).FindStringSubmatch(part)
		text := m[0]
		for _, s := range phrases(t, headerSources+m[1]) {
			text += roff(s) + "\n"
		}
		return text + `.\" END`
	})
}

// phrases returns the first string of every phrase of a Go file.
func phrases(t *testing.T, file string) []string {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	ast.Inspect(tree, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok || fmt.Sprint(lit.Type) != "phrase" || len(lit.Elts) == 0 {
			return true
		}
		if text, err := strconv.Unquote(lit.Elts[0].(*ast.BasicLit).Value); err == nil {
			found = append(found, text)
		}
		return true
	})
	if len(found) < 10 {
		t.Fatalf("%s has only %d phrases", file, len(found))
	}
	return found
}

// Every shell that is installed loads its completion; bash completes a subcommand with it.
func TestCompletions(t *testing.T) {
	for shell, load := range map[string][]string{"bash": {"-n"}, "zsh": {"-n"}, "fish": {"--no-execute"}} {
		file := filepath.Join(t.TempDir(), "assay."+shell)
		writeFile(t, file, string(output(t, "completion", shell)))
		program, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("NOT RUN: %s is not installed (packaging/test/deps.sh)", shell)
			continue
		}
		if said, err := exec.Command(program, append(load, file)...).CombinedOutput(); err != nil || len(said) > 0 {
			t.Errorf("%s: %v\n%s", shell, err, said)
		}
	}
	if got := string(output(t, "__complete", "quarantine", "list", "--class", "")); !strings.HasPrefix(got, "user\noperator\nnever\n") {
		t.Errorf("--class completes to %q", got)
	}
	if got := string(output(t, "__complete", "quarantin")); !strings.HasPrefix(got, "quarantine\t") && !strings.HasPrefix(string(output(t, "__complete", "serv")), "serve\t") {
		t.Errorf("completes to %q", got)
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
