package rules

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// testNow is after one of the expiry dates in testdata and before the others.
func testNow() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }

// testOptions are the options that the files in testdata are loaded with.
func testOptions() Options {
	return Options{OrgDomains: []string{"example.com"}, Channels: []string{"security-team", "helpdesk"}, Now: testNow(),
		Deadline: time.Minute} // of wall-clock time, which a busy machine has little of
}

// TestMistakes loads files with the mistakes that people make. The file says in its first line what the mistake is; the
// golden file holds what the administrator reads. A line of three dashes with a name begins another file.
func TestMistakes(t *testing.T) {
	paths, err := filepath.Glob("testdata/mistakes/*.yaml")
	if err != nil || len(paths) < 45 {
		t.Fatalf("only %d mistakes: %v", len(paths), err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, problems := Load([]Source{{Name: "rules.d", Files: split(name, text)}}, testOptions())
			if len(problems) == 0 {
				t.Fatal("nothing is wrong")
			}
			for _, p := range problems {
				if p.Line == 0 && name != "empty-file" && name != "file-name" {
					t.Errorf("no place: %v", p)
				}
			}
			golden(t, filepath.Join("testdata/mistakes", name+".want"), problems.String()+"\n")
		})
	}
}

// split makes a directory of a file of several ones.
func split(name string, text []byte) fstest.MapFS {
	files := fstest.MapFS{}
	current, rest := name+".yaml", string(text)
	for {
		before, after, more := strings.Cut(rest, "\n#--- ")
		if !more {
			files[current] = &fstest.MapFile{Data: []byte(rest)}
			return files
		}
		files[current] = &fstest.MapFile{Data: []byte(before + "\n")}
		current, rest, _ = strings.Cut(after, "\n")
	}
}

// golden compares a text with a golden file, or rewrites the file.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
