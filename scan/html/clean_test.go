package html

import (
	"bytes"
	"flag"
	"mime"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/net/html"

	"assay/scan"
)

// charsetOf returns the charset parameter of a Content-Type.
func charsetOf(contentType string) string {
	_, params, _ := mime.ParseMediaType(contentType)
	return params["charset"]
}

// mustBeSafe fails unless the output holds what the package promises: the tree parser finds nothing that must not be, with
// scripting off and on, and cleaning it again changes nothing.
func mustBeSafe(t testing.TB, name string, r Result, charset string, level scan.Level) {
	t.Helper()
	if r.Charset != "" {
		charset = r.Charset
	}
	doc := read(r.Output, charset)
	if doc.convert {
		t.Fatalf("%s %s: the output is in a charset in which markup can hide", name, level)
	}
	check := newFilter(&cleaner{level: level, limits: Limits{}.withDefaults()}, nil, doc)
	for _, scripting := range []bool{false, true} {
		tree, err := html.ParseWithOptions(bytes.NewReader(r.Output), html.ParseOptionEnableScripting(scripting))
		if err != nil {
			t.Fatalf("%s %s: %v", name, level, err)
		}
		if !check.verifyTree(tree) {
			t.Fatalf("%s %s: not safe (scripting %v):\n%s", name, level, scripting, r.Output)
		}
	}
	if again := Clean(r.Output, charset, level, Options{}); again.Changed {
		t.Fatalf("%s %s: not stable, took %v:\n%s\nbecame\n%s", name, level, again.Taken, r.Output, again.Output)
	}
}

var update = flag.Bool("update", false, "write golden files")

// golden compares with a file in testdata, or writes it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs:\n%s", path, got)
	}
}
