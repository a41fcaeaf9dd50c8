// Command testreport reads the output of "go test -json" and prints what a person has to know: one line per package,
// everything that failed tests said, and every test that did not run, with its reason. Plain go test says nothing about
// tests that a passing package skipped.
//
// A test that was skipped for another reason than those of -allow is a failure: what nobody runs protects nobody.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// maxLine bounds one line of input; the output of a test comes line by line.
const maxLine = 16 << 20

// silence begins what the tests of this tree say when they leave out a test, or a part of one.
var silence = regexp.MustCompile(`\b(SKIPPED|NOT RUN|NOT TESTED|NOT COMPARED)\b`)

// An event is one line of "go test -json", as "go doc test2json" describes it.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// A report is what is known so far.
type report struct {
	out      io.Writer
	allowed  *regexp.Regexp
	packages int
	said     map[string][]string // output by package and test, until the test has passed
	failed   []string
	skipped  []string // allowed
	missing  []string // skipped, but not allowed
}

func main() {
	allow := flag.String("allow", "^$", "a skipped test is no failure if its reason matches this `regexp`")
	flag.Parse()
	allowed, err := regexp.Compile(*allow)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(2)
	}
	r := &report{out: os.Stdout, allowed: allowed, said: map[string][]string{}}
	if err := r.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(2)
	}
	if !r.finish() {
		os.Exit(1)
	}
}

// read takes events to the end of in. Lines that are no events are passed on.
func (r *report) read(in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Fprintln(r.out, lines.Text())
			continue
		}
		r.add(e)
	}
	return lines.Err()
}

// add takes one event.
func (r *report) add(e event) {
	key := e.Package + "\t" + e.Test
	switch e.Action {
	case "output", "build-output":
		if e.Test == "" && strings.HasPrefix(e.Output, "ok  \t") || e.Action == "build-output" {
			fmt.Fprint(r.out, e.Output)
			return
		}
		r.said[key] = append(r.said[key], e.Output)
	case "skip":
		if e.Test != "" { // a package without tests is skipped too
			r.skip(e, strings.Join(r.said[key], ""))
		}
		delete(r.said, key)
	case "pass":
		r.partly(e, r.said[key])
		delete(r.said, key)
		r.packages += one(e.Test == "")
	case "fail", "build-fail":
		r.show(e, key)
		r.failed = append(r.failed, strings.ReplaceAll(key, "\t", " "))
		r.packages += one(e.Test == "")
	}
}

// show prints what a failed test said; for a package also what tests said that did not come to their end.
func (r *report) show(e event, key string) {
	if e.Test == "" {
		for _, unfinished := range slices.Sorted(maps.Keys(r.said)) {
			if unfinished != key && strings.HasPrefix(unfinished, key) {
				fmt.Fprint(r.out, strings.Join(r.said[unfinished], ""))
				delete(r.said, unfinished)
			}
		}
	}
	fmt.Fprint(r.out, strings.Join(r.said[key], ""))
	delete(r.said, key)
}

// partly notes what a test that passed has left out.
func (r *report) partly(e event, said []string) {
	for _, line := range said {
		if silence.MatchString(line) {
			r.skip(e, line)
		}
	}
}

// skip notes a test, or a part of one, that did not run.
func (r *report) skip(e event, reason string) {
	var words []string
	for line := range strings.Lines(reason) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			words = append(words, line)
		}
	}
	text := e.Package + " " + e.Test + ": " + strings.Join(words, " ")
	if r.allowed.MatchString(text) {
		r.skipped = append(r.skipped, text)
		return
	}
	r.missing = append(r.missing, text)
}

// finish prints what was left out and reports whether all is well. A run without a package is not.
func (r *report) finish() bool {
	slices.Sort(r.skipped)
	for _, s := range slices.Compact(r.skipped) {
		fmt.Fprintln(r.out, "NOT RUN, as allowed here:", s)
	}
	for _, s := range r.missing {
		fmt.Fprintln(r.out, "NOT RUN, but it has to:", s)
	}
	for _, s := range r.failed {
		fmt.Fprintln(r.out, "failed:", s)
	}
	if r.packages == 0 {
		fmt.Fprintln(r.out, "testreport: no package was tested")
	}
	return r.packages > 0 && len(r.failed) == 0 && len(r.missing) == 0
}

// one counts.
func one(b bool) int {
	if b {
		return 1
	}
	return 0
}
