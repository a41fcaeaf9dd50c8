// Package layout checks that the tree keeps its order.
package layout

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// order is the strict order of the top folders: a package imports only from its own folder and from those before it.
func order() []string { return []string{"verify", "scan", "rules", "milter", "cmd"} }

// root is the root of the module, seen from this package.
const root = "../../.."

func TestImportsPointBackwards(t *testing.T) {
	files := 0
	for _, folder := range order() {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
				return err
			}
			files++
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			imports, err := importsOf(path)
			if err != nil {
				return err
			}
			for _, path := range imports {
				if problem := judge(folder, path); problem != "" {
					t.Errorf("%s imports %s: %s", filepath.ToSlash(rel), path, problem)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	if files < 20 {
		t.Errorf("only %d files were looked at; is %q still the root?", files, root)
	}
}

// TestNothingElseStandsAtTheTop keeps Go code out of folders that have no place in the order.
func TestNothingElseStandsAtTheTop(t *testing.T) {
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		top, _, _ := strings.Cut(filepath.ToSlash(rel), "/")
		switch {
		case d.IsDir() && (top == "dist" || strings.HasPrefix(top, ".") && top != "."):
			return fs.SkipDir
		case filepath.Ext(path) == ".go" && !slices.Contains(order(), top):
			t.Errorf("%s is in none of %v", rel, order())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		folder, path string
		ok           bool
	}{
		{"verify", "fmt", true},
		{"verify", "assay/verify/dns", true},
		{"verify", "assay/scan", false},
		{"scan", "assay/verify", true},
		{"rules", "assay/milter/plan", false},
		{"milter", "assay/rules", true},
		{"milter", "assay/cmd/internal/config", false},
		{"cmd", "assay/milter", true},
		{"cmd", "assay/util", false},
		{"verify", "assayer.example/x", true},
	} {
		if got := judge(c.folder, c.path) == ""; got != c.ok {
			t.Errorf("judge(%q, %q): allowed %v, want %v", c.folder, c.path, got, c.ok)
		}
	}
}

// judge says what is wrong with an import in a folder; "" is nothing.
func judge(folder, path string) string {
	inside, found := strings.CutPrefix(path, "assay/")
	if !found {
		return ""
	}
	top, _, _ := strings.Cut(inside, "/")
	switch at := slices.Index(order(), top); {
	case at < 0:
		return "no such folder in " + strings.Join(order(), " < ")
	case at > slices.Index(order(), folder):
		return "the order is " + strings.Join(order(), " < ")
	}
	return ""
}

// importsOf returns the imports of a Go file.
func importsOf(path string) ([]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}
