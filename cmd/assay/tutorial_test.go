package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// asProgram in the environment makes the test binary the program itself, so that a shell can run it.
const asProgram = "ASSAY_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// A tutorial is a page for people, as what it has them do.
type tutorial struct {
	files    map[string]string // by name; one that the page does not name is "unnamed.yaml"
	commands []command         // in the order of the page
	mistake  string            // what is printed for the mistake that the page shows
}

// A command is a line behind a prompt, and what stands below it.
type command struct {
	line   string
	output string
}

// readTutorial takes a page apart: fenced YAML belongs to the last file that the text before it names, an indented block is
// what is typed and printed.
func readTutorial(text string) tutorial {
	page := tutorial{files: map[string]string{}}
	named := regexp.MustCompile("`([^` ]+\\.yaml)`")
	before := ""
	for i, piece := range strings.Split(text, "```") {
		if yaml, found := strings.CutPrefix(piece, "yaml\n"); i%2 == 1 && found {
			name := "unnamed.yaml"
			if all := named.FindAllStringSubmatch(before, -1); len(all) > 0 {
				name = all[len(all)-1][1]
			}
			page.files[name] = yaml
			continue
		}
		before = piece
		for block := range strings.SplitSeq(piece, "\n\n") {
			if strings.HasPrefix(block, "    ") {
				page.typed(block)
			}
		}
	}
	return page
}

// typed reads an indented block.
func (p *tutorial) typed(block string) {
	for line := range strings.Lines(block) {
		line = strings.TrimPrefix(line, "    ")
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case word == "$", word == "#":
			p.commands = append(p.commands, command{line: strings.TrimSpace(rest)})
		case word == "mkdir":
			p.commands = append(p.commands, command{line: strings.TrimSpace(line)})
		case strings.HasPrefix(strings.TrimSpace(block), "rules.d/"):
			p.mistake += line
		default:
			p.commands[len(p.commands)-1].output += line
		}
	}
}

// A student does what a tutorial says, in a directory of its own and with a running daemon.
type student struct {
	dir     string
	environ []string
	places  *strings.Replacer // for the directories that the page names
	s       *service
}

// newStudent starts a daemon with an empty directory of local rules, and puts the program into the path.
func newStudent(t *testing.T) *student {
	t.Helper()
	dir := t.TempDir()
	st := &student{dir: dir, places: strings.NewReplacer("/etc/assay/rules.d", filepath.Join(dir, "etc"), "/var/mail/archive/2026-10", filepath.Join(dir, "mail"))}
	for _, name := range []string{"bin", "etc", "mail"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	st.write(t, "bin/assay", fmt.Sprintf("#!/bin/sh\n%s=1 exec %q \"$@\"\n", asProgram, self))
	if err := os.Chmod(filepath.Join(dir, "bin/assay"), 0o755); err != nil {
		t.Fatal(err)
	}
	st.write(t, "mail/1.eml", "From: Billing <billing@supplier.example>\r\nTo: b@example.com\r\nSubject: Our new bank account\r\n"+
		"Date: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@supplier.example>\r\n\r\nx\r\n")
	st.s = serve(t, fmt.Sprintf("rules: {dirs: [shipped, %q]}\n", filepath.Join(dir, "etc")))
	st.environ = append(os.Environ(), st.s.environ...)
	st.environ = append(st.environ, "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"), "ASSAY__RESOLVER__SERVERS=127.0.0.1:9",
		"ASSAY__RESOLVER__TIMEOUT=100ms")
	return st
}

// write writes a file below the directory.
func (st *student) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(st.dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// run runs a command line in a shell and returns what it prints.
func (st *student) run(t *testing.T, code int, line string) string {
	t.Helper()
	shell := exec.Command("/bin/sh", "-c", st.places.Replace(line))
	shell.Dir, shell.Env = st.dir, st.environ
	out, err := shell.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if got := shell.ProcessState.ExitCode(); got != code {
		t.Fatalf("%s: exit code %d, want %d:\n%s", line, got, code, out)
	}
	return string(out)
}

// printed makes a pattern of what a page shows: "..." stands for lines that are left out, and no two sets have the same hash.
func printed(text string) string {
	pattern := regexp.QuoteMeta(strings.TrimSpace(text))
	pattern = regexp.MustCompile(`\b[0-9a-f]{12}\b`).ReplaceAllString(pattern, "[0-9a-f]{12}")
	return strings.ReplaceAll(pattern, `\.\.\.`, `[\s\S]*`)
}

// TestTutorial does what the tutorial says, with the files and the commands as they are printed there.
func TestTutorial(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine, for half a minute under the race detector (-short)")
	}
	text, err := os.ReadFile("../../packaging/doc/first-rule.md")
	if err != nil {
		t.Fatal(err)
	}
	page := readTutorial(string(text))
	const rule, tests = "rules.d/50-suppliers.yaml", "rules.d/50-suppliers_test.yaml"
	if len(page.files) != 3 || page.files[rule] == "" || page.files[tests] == "" || page.mistake == "" || len(page.commands) < 8 {
		t.Fatalf("the page is read as %+v", page)
	}
	st := newStudent(t)
	for i, c := range page.commands {
		out := st.run(t, 0, c.line)
		t.Logf("%s: %d octets printed, %d shown on the page", c.line, len(out), len(c.output))
		if c.output != "" && !regexp.MustCompile(printed(c.output)).MatchString(out) {
			t.Errorf("%s: the page says\n%s\nprinted was\n%s", c.line, c.output, out)
		}
		switch {
		case i == 0:
			st.write(t, rule, page.files[rule])
			st.write(t, tests, page.files[tests])
			st.mistake(t, page, rule)
		case strings.Contains(c.line, "replay") && !strings.Contains(out, "supplier-bank-account"):
			t.Errorf("replay does not count the rule:\n%s", out)
		case c.line == "assay ctl reload":
			if !strings.Contains(out, "added supplier-bank-account") || !strings.Contains(st.run(t, 0, "assay rules history"), "added supplier-bank-account") {
				t.Errorf("the rule is not in force:\n%s", out)
			}
			st.watchAndEnforce(t, page, rule)
		case c.line == "assay rules rollback" && !strings.Contains(out, "removed supplier-bank-account"):
			t.Errorf("the rule is still in force:\n%s", out)
		}
	}
}

// mistake makes the mistake that the page shows.
func (st *student) mistake(t *testing.T, page tutorial, rule string) {
	t.Helper()
	st.write(t, rule, strings.Replace(page.files[rule], `"suppliers", from.domain`, `"suppliers", form.domain`, 1))
	out := st.run(t, 1, "assay rules check rules.d")
	if strings.TrimSpace(out) != strings.TrimSpace(page.mistake) {
		t.Errorf("the page says\n%s\nprinted was\n%s", page.mistake, out)
	}
	st.write(t, rule, page.files[rule])
}

// watchAndEnforce does what the page says about the time after the first week.
func (st *student) watchAndEnforce(t *testing.T, page tutorial, rule string) {
	t.Helper()
	st.write(t, rule, strings.Replace(page.files[rule], "mode: monitor", "mode: enforce", 1))
	if out := st.run(t, 1, "assay rules test rules.d"); !strings.Contains(out, "nobody vouches for the supplier") {
		t.Errorf("the first test does not tell that it has to be changed:\n%s", out)
	}
	st.write(t, rule, page.files[rule])
	st.write(t, "rules.d/60-exceptions.yaml", page.files["unnamed.yaml"])
	st.run(t, 0, "assay rules check rules.d")
	if out := st.run(t, 0, "assay rules show supplier-bank-account rules.d"); !strings.Contains(out, "parts-until-june") {
		t.Errorf("the exception is not part of the rule:\n%s", out)
	}
}
