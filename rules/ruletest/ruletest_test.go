package ruletest

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/tools/txtar"

	"assay/rules"
	"assay/scan"
	"assay/verify/message"
)

var update = flag.Bool("update", false, "write what is generated and the golden files again")

// directory returns the files of an archive below a directory.
func directory(a *txtar.Archive, dir string) fstest.MapFS {
	files := fstest.MapFS{}
	for _, f := range a.Files {
		if name, ok := strings.CutPrefix(f.Name, dir+"/"); ok {
			files[name] = &fstest.MapFile{Data: f.Data}
		}
	}
	return files
}

// run loads and tests the rules of an archive.
func run(t *testing.T, a *txtar.Archive, opt Options) *Report {
	t.Helper()
	var sources []rules.Source
	if vendor := directory(a, "vendor"); len(vendor) > 0 {
		sources = append(sources, rules.Source{Files: vendor})
	}
	sources = append(sources, rules.Source{Name: "rules", Files: directory(a, "rules")})
	set, problems := rules.Load(sources, opt.Load)
	if problems.Err() != nil {
		t.Fatal(problems)
	}
	return Run(context.Background(), set, sources, opt)
}

// What people read about test runs is in the archives of testdata.
func TestText(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) < 4 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			report := run(t, a, Options{})
			var got bytes.Buffer
			if err := report.Text(&got, false); err != nil {
				t.Fatal(err)
			}
			want := &a.Files[len(a.Files)-1]
			if want.Name != "want" {
				t.Fatalf("the last file is %s", want.Name)
			}
			if *update {
				want.Data = got.Bytes()
				if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(got.Bytes(), want.Data) {
				t.Errorf("got\n%s\nwant\n%s", &got, want.Data)
			}
			wantCode := 1
			if strings.Contains(string(want.Data), ": all passed\n") {
				wantCode = 0
			}
			if report.ExitCode() != wantCode || (report.Err() == nil) != (wantCode == 0) {
				t.Errorf("exit code %d, error %v", report.ExitCode(), report.Err())
			}
			formats(t, report)
		})
	}
}

// formats checks that what programs read is well-formed and agrees with the report.
func formats(t *testing.T, report *Report) {
	t.Helper()
	var out bytes.Buffer
	if err := report.JUnit(&out); err != nil {
		t.Fatal(err)
	}
	var suites junitSuites
	if err := xml.Unmarshal(out.Bytes(), &suites); err != nil {
		t.Fatalf("%v in %s", err, &out)
	}
	if bad := suites.Failures + suites.Errors; (bad == 0) != report.OK() || suites.Tests < report.Total {
		t.Errorf("JUnit has %d tests, %d of them bad", suites.Tests, bad)
	}
	out.Reset()
	if err := report.JSON(&out); err != nil {
		t.Fatal(err)
	}
	var again Report
	if err := json.Unmarshal(out.Bytes(), &again); err != nil || again.Total != report.Total || again.Failed != report.Failed {
		t.Errorf("%v: %s", err, &out)
	}
	out.Reset()
	if err := report.Text(&out, true); err != nil || !strings.Contains(out.String(), reset) {
		t.Errorf("no colours: %v", err)
	}
}

// A scanner that panics has not looked at everything, and the rules are told.
func TestScannerPanics(t *testing.T) {
	a := txtar.Parse([]byte(`
-- rules/a.yaml --
format: 1
rules:
  - {id: limit, title: limit, severity: low, mode: enforce, when: limits.exceeded, then: {quarantine: not looked at}}
-- rules/a_test.yaml --
format: 1
tests:
  - {name: a message, eml: a.eml, expect: {fired: [limit], disposition: quarantine}}
-- rules/a.eml --
From: a@example.net

x
`))
	if report := run(t, a, Options{Scanners: []scan.Scanner{panicking{}}}); !report.OK() {
		t.Error(report.Err())
	}
	if report := run(t, a, Options{}); report.OK() {
		t.Error("without the scanner the rule cannot fire")
	}
}

type panicking struct{}

func (panicking) Scan(context.Context, *message.Message) scan.Report { panic("a bug") }

// Only the tests that are asked for are run, and a cancelled run is no success.
func TestOnlyAndStopped(t *testing.T) {
	a, err := txtar.ParseFile("testdata/pass.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if r := run(t, a, Options{Only: func(name string) bool { return name == "monitored" }}); !r.OK() || r.Total != 1 {
		t.Errorf("%d tests, %v", r.Total, r.Err())
	}
	sources := []rules.Source{{Name: "rules", Files: directory(a, "rules")}}
	set, problems := rules.Load(sources, rules.Options{})
	if problems.Err() != nil {
		t.Fatal(problems)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if r := Run(ctx, set, sources, Options{}); r.OK() || !r.Stopped || r.Err() == nil {
		t.Error("a run that was stopped is OK")
	}
}

// Exceptions that have expired need not be shown by a test.
func TestCoverageOfExpiredExceptions(t *testing.T) {
	a, err := txtar.ParseFile("testdata/fail.txtar")
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, a, Options{Load: rules.Options{Now: time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC)}})
	if r.Coverage.Exceptions != 0 || len(r.Coverage.NeverApplied) != 0 {
		t.Errorf("%+v", r.Coverage)
	}
}

// Every mode is enforced where it stands, whatever the style of YAML, and every other octet stays.
func TestEnforced(t *testing.T) {
	const before = "\ufefformat: 1\r\nrules:\r\n  - {id: a, title: \"mode: monitor, \u00fc\", mode: monitor}\r\n  - mode: \"monitor\"\r\n    title: monitor\r\n" +
		"  - mode: 'monitor'\r\n  - mode: off\r\n  -\r\n    mode:\r\n      monitor\r\noverride:\r\n  - {id: b, reason: monitor, mode: monitor}\r\nmode: monitor\r\n"
	const want = "\ufefformat: 1\r\nrules:\r\n  - {id: a, title: \"mode: monitor, \u00fc\", mode: enforce}\r\n  - mode: \"enforce\"\r\n    title: monitor\r\n" +
		"  - mode: 'enforce'\r\n  - mode: off\r\n  -\r\n    mode:\r\n      enforce\r\noverride:\r\n  - {id: b, reason: monitor, mode: enforce}\r\nmode: monitor\r\n"
	if got := string(enforced([]byte(before))); got != want {
		t.Errorf("got %q", got)
	}
	for _, text := range []string{"", "- a", "rules: 1", "rules: [1]", "\t", "rules: [{mode: [monitor]}]"} {
		if got := string(enforced([]byte(text))); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

// A set in memory is what a file system is.
func TestMemory(t *testing.T) {
	m := memory{"a.yaml": []byte("x"), "lists/b.txt": []byte("yy"), "lists/deep/c.txt": nil}
	if err := fstest.TestFS(m, "a.yaml", "lists/b.txt", "lists/deep/c.txt"); err != nil {
		t.Error(err)
	}
}

// Tests see list files beside the rules, and those with absolute paths, as the set has read them.
func TestListFiles(t *testing.T) {
	a := txtar.Parse([]byte(`
-- rules/a.yaml --
format: 1
lists:
  near: {file: near.txt}
  far: {file: /far.txt}
rules:
  - {id: near, title: near, severity: low, mode: monitor, when: 'listed("near", subject)', then: {}}
  - {id: far, title: far, severity: low, mode: monitor, when: 'listed("far", subject)', then: {}}
-- rules/near.txt --
one # comment
-- rules/a_test.yaml --
format: 1
tests:
  - {name: near, modes: enforce, facts: {subject: One}, expect: {fired: [near]}}
  - {name: far, modes: enforce, facts: {subject: Two}, expect: {fired: [far]}}
`))
	reads := 0
	opt := Options{Load: rules.Options{ReadList: func(string) ([]byte, error) {
		reads++
		return []byte("two\n"), nil
	}}}
	if report := run(t, a, opt); !report.OK() || reads != 1 {
		t.Errorf("%d reads, %v", reads, report.Err())
	}
}

func FuzzDecode(f *testing.F) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		a, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range a.Files {
			if strings.HasSuffix(file.Name, "_test.yaml") {
				f.Add(file.Data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file := decodeFile("fuzz_test.yaml", "fuzz_test.yaml", text)
		for _, test := range file.tests {
			if !test.broken && test.facts == nil && test.eml.name == "" {
				t.Error("a test that states nothing is run")
			}
		}
		for _, p := range file.problems {
			if p.Message == "" || p.Line < 0 || p.Column < 1 {
				t.Errorf("%+v", p)
			}
			_ = p.String()
		}
		if got := enforced(text); len(got) != len(text) {
			t.Errorf("%d octets became %d", len(text), len(got))
		}
	})
}
