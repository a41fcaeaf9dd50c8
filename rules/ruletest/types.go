// Package ruletest runs the tests that stand beside rule files, and compares what two rule sets do with the same messages.
//
// A test file ends in _test.yaml and lies beside the rules it tests. A test states facts, or names a message with the
// session and the DNS it came with, and says what the rules are expected to decide. The rules see a message exactly as they
// do in the daemon: it goes through the real verifier, with the records of a zone file in place of the DNS, so tests
// depend on nothing but files.
//
// Tests of one source see the rules of that source and of those before it. So the tests of the rules that come with Assay
// stay true whatever an operator overrides, and the tests of an operator see everything.
//
// The package reads files of the sources, and of nothing else but the paths that Messages is given; it changes nothing.
package ruletest

import (
	"fmt"
	"slices"

	"assay/rules"
	"assay/scan"
	"assay/verify"
	"assay/verify/message"
)

// Options say how tests are run. The zero value is useful.
type Options struct {
	Load     rules.Options     // how the set was loaded; sets for single tests are loaded in the same way
	Verify   verify.Options    // how messages are verified; the Resolver is replaced by the zone file of the test
	Scanners []scan.Scanner    // what looks into messages
	Limits   message.Limits    // of messages
	Only     func(string) bool // says by its name which tests are run; nil runs all of them
}

// A Report is the outcome of all tests of a rule set.
type Report struct {
	Set      string         `json:"set"`      // SHA-256 of the rule set
	Files    []FileReport   `json:"files"`    // test files, in the order of the set
	Problems rules.Problems `json:"-"`        // what is wrong with test files
	Mistakes []string       `json:"mistakes"` // the same as text
	Coverage Coverage       `json:"coverage"`
	Total    int            `json:"total"`
	Failed   int            `json:"failed"`
	Stopped  bool           `json:"stopped"` // the context ended before all tests were run
}

// A FileReport is the outcome of the tests of one file.
type FileReport struct {
	Name     string   `json:"name"` // as shown to people
	Tests    []Result `json:"tests"`
	Mistakes int      `json:"mistakes"` // in the file; tests with a mistake are not run
}

// A Result is the outcome of one test.
type Result struct {
	Name       string        `json:"name"`
	File       string        `json:"file"`
	Line       int           `json:"line"`
	Column     int           `json:"column"`
	Passed     bool          `json:"passed"`
	Error      string        `json:"error,omitempty"` // why the test could not be run
	Mismatches []Mismatch    `json:"mismatches,omitempty"`
	Traces     []rules.Trace `json:"traces,omitempty"` // of the rules that a mismatch is about
}

// A Mismatch is one expectation that did not come true.
type Mismatch struct {
	What string `json:"what"` // the key below "expect"
	Want string `json:"want"`
	Got  string `json:"got"`
}

// Coverage says what no test has shown. Rules that are switched off are left out.
type Coverage struct {
	Rules           int      `json:"rules"`             // that are not switched off
	NeverFired      []string `json:"never_fired"`       // ids of rules whose condition holds in no test
	NeverSilent     []string `json:"never_silent"`      // ids of rules whose condition holds in every test
	Exceptions      int      `json:"exceptions"`        // that have not expired
	NeverApplied    []string `json:"never_applied"`     // "rule/exception" of exceptions that apply in no test
	FailedAtRunTime []string `json:"failed_at_runtime"` // ids of rules that could not be evaluated in a test
}

// Complete reports whether the tests show every rule fired and silent, and every exception applied.
func (c Coverage) Complete() bool {
	return len(c.NeverFired)+len(c.NeverSilent)+len(c.NeverApplied) == 0
}

// OK reports whether all tests were run and passed, and nothing is wrong with their files.
func (r *Report) OK() bool { return r.Failed == 0 && len(r.Problems.Errors()) == 0 && !r.Stopped }

// ExitCode is what a program that prints the report ends with: 0 if it is OK, else 1.
func (r *Report) ExitCode() int {
	if r.OK() {
		return 0
	}
	return 1
}

// Err returns everything that is wrong, test files and tests that failed, as problems with their places; nil if the report
// is OK.
func (r *Report) Err() rules.Problems {
	if r.OK() {
		return nil
	}
	all := slices.Clone(r.Problems)
	for _, f := range r.Files {
		for _, t := range f.Tests {
			if !t.Passed {
				all = append(all, rules.Problem{File: t.File, Line: t.Line, Column: t.Column, Message: t.summary()})
			}
		}
	}
	if r.Stopped {
		all = append(all, rules.Problem{File: "tests", Message: "stopped before all tests were run"})
	}
	return all
}

// summary says in one line why a test failed.
func (t Result) summary() string {
	text := fmt.Sprintf("the test %q fails", t.Name)
	if t.Error != "" {
		return text + ": " + t.Error
	}
	for i, m := range t.Mismatches {
		separator := ": "
		if i > 0 {
			separator = "; "
		}
		text += fmt.Sprintf("%s%s: want %s, got %s", separator, m.What, m.Want, m.Got)
	}
	return text
}
