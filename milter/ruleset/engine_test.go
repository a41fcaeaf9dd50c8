package ruleset

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"assay/rules"
	"assay/rules/ruletest"
	"assay/rules/shipped"
)

// rule returns a rule file with one rule.
func rule(id, mode, when, then string) string {
	return fmt.Sprintf("format: 1\nrules:\n  - id: %s\n    title: A rule\n    severity: low\n    mode: %s\n    when: %s\n    then: %s\n", id, mode, when, then)
}

// realBench is a bench with the real rules engine and test runner.
func realBench(t *testing.T) (*bench, func() *Manager) {
	b := newBench(t)
	os.Remove(filepath.Join(b.dir, "10-a.yaml"))
	b.config.Rules.OrgDomains = []string{"example.com"}
	b.config.Sources = []rules.Source{{Files: shipped.Files}, OptionalDirectory(b.dir)}
	b.config.Test = func(ctx context.Context, set *rules.Set, sources []rules.Source) rules.Problems {
		var problems rules.Problems
		report := ruletest.Run(ctx, set, sources, ruletest.Options{
			Load: rules.Options{OrgDomains: []string{"example.com"}, ReadList: ReadFile}, Only: func(name string) bool { return strings.HasPrefix(name, "local") },
		})
		for _, f := range report.Files {
			for _, r := range f.Tests {
				if !r.Passed {
					problems = append(problems, rules.Problem{File: r.File, Line: r.Line, Column: r.Column, Message: r.Name})
				}
			}
		}
		return append(problems, report.Problems...)
	}
	return b, func() *Manager { return New(b.config, Options{State: b.state, Limits: atOnce}) }
}

// The shipped rules and a local directory, as an administrator changes them.
func TestRealRules(t *testing.T) {
	b, manager := realBench(t)
	m := manager()
	first, err := m.Start(t.Context(), "boot")
	if err != nil || first.Rules == 0 || first.SHA != m.Current().Set.Hash() {
		t.Fatalf("%+v, %v", first, err)
	}
	b.write("50-x.yaml", rule("local-x", "monitor", `subject == "x"`, "{junk: true}"))
	second := b.reload(m)
	if fmt.Sprint(second.Changes.Added) != "[local-x]" || second.Rules != first.Rules+1 {
		t.Errorf("%+v", second)
	}
	b.write("50-x.yaml", rule("local-x", "enforce", `sobject == "x"`, "{junk: true}")+rule("local-y", "loud", "true", "{}"))
	r, err := m.Reload(t.Context(), "alice")
	if err == nil || len(r.Problems.Errors()) == 0 || m.Current().SHA != second.SHA || !strings.Contains(err.Error(), "50-x.yaml:") {
		t.Errorf("%+v, %v", r, err)
	}
	b.write("50-x.yaml", rule("local-x", "enforce", `subject == "x"`, "{junk: true}"))
	third := b.reload(m)
	if len(third.Changes.Changed) != 1 || third.Changes.Changed[0].New != rules.Enforce {
		t.Errorf("%+v", third.Changes)
	}
	if r, err := m.Rollback(t.Context(), "alice", first.SHA[:10]); err != nil || r.SHA != first.SHA || fmt.Sprint(r.Changes.Removed) != "[local-x]" {
		t.Errorf("%+v, %v", r, err)
	}
	again := manager()
	if r, err := again.Start(t.Context(), "boot"); err != nil || r.SHA != first.SHA || !r.Pinned {
		t.Errorf("%+v, %v", r, err)
	}
	c, err := again.Diff(t.Context(), second.SHA, third.SHA)
	if err != nil || !strings.Contains(c.Files, "-    mode: monitor\n+    mode: enforce\n") || len(c.Rules.Changed) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := json.Marshal(again.Status()); err != nil {
		t.Error(err)
	}
}

// A set whose own tests fail does not get into force, and neither does one whose tests are wrong.
func TestRealTests(t *testing.T) {
	b, manager := realBench(t)
	b.config.Sources = b.config.Sources[1:]
	b.write("50-x.yaml", rule("local-x", "enforce", `subject == "x"`, "{junk: true}"))
	m := manager()
	first, err := m.Start(t.Context(), "boot")
	if err != nil {
		t.Fatal(err)
	}
	test := "format: 1\ntests:\n  - name: local junk\n    facts: {subject: %s}\n    expect: {fired: [local-x]}\n"
	b.write("50-x_test.yaml", fmt.Sprintf(test, "y"))
	if r, err := m.Reload(t.Context(), "alice"); err == nil || m.Current().SHA != first.SHA || !strings.Contains(err.Error(), "local junk") {
		t.Errorf("%+v, %v", r, err)
	}
	b.write("50-x_test.yaml", fmt.Sprintf(test, "x"))
	if r := b.reload(m); r.SHA == first.SHA {
		t.Errorf("%+v: tests belong to the hash", r)
	}
}

// Whatever a manifest says, nothing outside of its set is read, and nothing panics.
func FuzzManifest(f *testing.F) {
	sha := strings.Repeat("a", 64)
	m := manifest{Format: 1, SHA: sha, Sources: []manifestList{{Files: []manifestFile{{Name: "x", Size: 1}, {Name: "../../secret", Size: 6}}}}}
	text, err := json.Marshal(m)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"format":1,"sha":"` + sha + `","sources":[{"files":[{"name":"/etc/passwd","size":9223372036854775807}]}],"lists":[{"name":"","size":-1}]}`))
	f.Add([]byte("{}"))
	dir := f.TempDir()
	st := store{dir: filepath.Join(dir, "state"), disk: osDisk{}}
	if err := os.MkdirAll(filepath.Join(st.dir, sha, "0"), 0o700); err != nil {
		f.Fatal(err)
	}
	for _, name := range []string{filepath.Join(dir, "secret"), filepath.Join(st.dir, "secret"), filepath.Join(st.dir, sha, "secret")} {
		if err := os.WriteFile(name, []byte("secret"), 0o600); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(filepath.Join(st.dir, sha, manifestName), text, 0o600); err != nil {
			t.Fatal(err)
		}
		s, _, err := st.get(sha)
		if err != nil {
			return
		}
		for _, source := range s.Sources() {
			_ = fs.WalkDir(source.Files, ".", func(_ string, d fs.DirEntry, err error) error {
				if err != nil || d.Name() == "secret" {
					t.Errorf("%v, %v", d, err)
				}
				return nil
			})
		}
	})
}

func BenchmarkCurrent(b *testing.B) {
	m := New(Config{}, Options{})
	m.active.Store(&Active{})
	b.ReportAllocs()
	for b.Loop() {
		if m.Current() == nil {
			b.Fatal("nothing is in force")
		}
	}
}
