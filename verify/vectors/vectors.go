// Package vectors finds the test vectors of other projects, which are no part of this tree.
package vectors

import (
	"os"
	"path/filepath"
	"testing"
)

// Path returns the path of a file or folder of the vectors, named from their root, such as "auth/spf-rfc7208". They are
// at $ASSAY_VECTORS, where everything that is asked for has to be, or else in ../shared/vectors beside this tree; a test
// that does not find them there is skipped.
func Path(t testing.TB, name string) string {
	t.Helper()
	root := os.Getenv("ASSAY_VECTORS")
	named := root != ""
	if !named {
		root = filepath.Join(tree(t), "..", "shared", "vectors")
	}
	path := filepath.Join(root, name)
	switch _, err := os.Stat(path); {
	case err == nil:
	case named:
		t.Fatal(err)
	default:
		t.Skipf("NOT RUN: no foreign test vectors at %s (set ASSAY_VECTORS)", path)
	}
	return path
}

// tree returns the root of this tree: the closest folder above the package that holds a go.mod.
func tree(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("the test does not run inside of the tree")
		}
		dir = filepath.Dir(dir)
	}
}
