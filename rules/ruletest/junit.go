package ruletest

import (
	"bufio"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// The elements of a JUnit report, as CI systems read it.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string      `xml:"name,attr"`
		Class   string      `xml:"classname,attr"`
		File    string      `xml:"file,attr"`
		Line    int         `xml:"line,attr,omitempty"`
		Failure *junitFault `xml:"failure,omitempty"`
		Error   *junitFault `xml:"error,omitempty"`
	}
	junitFault struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// JUnit writes the report as JUnit XML: one suite per file, an error for each mistake in a test file and each test that could
// not be run.
func (r *Report) JUnit(w io.Writer) error {
	all := junitSuites{Name: "assay rules"}
	for _, f := range r.Files {
		suite := junitSuite{Name: f.Name}
		for _, t := range f.Tests {
			suite.add(caseOf(t))
		}
		for _, p := range r.Problems.Errors() {
			if p.File == f.Name {
				suite.add(junitCase{Name: fmt.Sprintf("line %d is wrong", p.Line), Class: f.Name, File: f.Name, Line: p.Line,
					Error: &junitFault{p.Message, p.String()}})
			}
		}
		all.Suites = append(all.Suites, suite)
		all.Tests, all.Failures, all.Errors = all.Tests+suite.Tests, all.Failures+suite.Failures, all.Errors+suite.Errors
	}
	if r.Stopped {
		suite := junitSuite{Name: "run"}
		suite.add(junitCase{Name: "all tests were run", Class: "run", Error: &junitFault{Message: "stopped before the end"}})
		all.Suites, all.Tests, all.Errors = append(all.Suites, suite), all.Tests+1, all.Errors+1
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// add appends a case and counts it.
func (s *junitSuite) add(c junitCase) {
	s.Cases = append(s.Cases, c)
	s.Tests++
	switch {
	case c.Failure != nil:
		s.Failures++
	case c.Error != nil:
		s.Errors++
	}
}

// caseOf returns one test as a case.
func caseOf(t Result) junitCase {
	c := junitCase{Name: t.Name, Class: t.File, File: t.File, Line: t.Line}
	if t.Error != "" {
		c.Error = &junitFault{t.Error, t.Error}
		return c
	}
	if t.Passed {
		return c
	}
	var text strings.Builder
	p := &printer{Writer: bufio.NewWriter(&text)}
	p.failure(t)
	p.Flush() // into memory
	what := make([]string, len(t.Mismatches))
	for i, m := range t.Mismatches {
		what[i] = m.What
	}
	c.Failure = &junitFault{strings.Join(what, ", ") + " not as expected", text.String()}
	return c
}

// JSON writes the report for programs.
func (r *Report) JSON(w io.Writer) error { return writeJSON(w, r) }

// writeJSON writes a value, indented.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
