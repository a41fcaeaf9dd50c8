package reading

import (
	"os"
	"path/filepath"
	"testing"
)

// vectorPath returns the path of a file or folder of the foreign test vectors: at $ASSAY_VECTORS, where everything that
// is asked for has to be, or else in ../shared/vectors beside this tree.
func vectorPath(t testing.TB, name string) string {
	t.Helper()
	root := os.Getenv("ASSAY_VECTORS")
	named := root != ""
	if !named {
		root = filepath.Join("..", "..", "..", "shared", "vectors")
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
