// Package archivetest is for the tests of the readers of archives.
package archivetest

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"assay/scan/container"
)

// Read has a reader read a file with a budget of its own, and returns its verdict and what was yielded. The reader must know
// the file by its content.
func Read(t testing.TB, r container.Reader, f *container.File) (container.Verdict, []container.Member) {
	t.Helper()
	f.Budget = container.NewBudget(context.Background(), container.Limits{}, nil)
	if !r.Reads(f) {
		t.Fatalf("%s: Reads says no", f.Name)
	}
	var members []container.Member
	v := r.Read(f, func(m container.Member) bool {
		members = append(members, m)
		return true
	})
	return v, members
}

// Content returns what is in a file.
func Content(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Expanded returns what is in a file, without the compression of one that is called *.gz.
func Expanded(t testing.TB, path string) []byte {
	t.Helper()
	b := Content(t, path)
	if filepath.Ext(path) != ".gz" {
		return b
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if b, err = io.ReadAll(z); err != nil {
		t.Fatal(err)
	}
	return b
}
