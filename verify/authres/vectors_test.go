package authres

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"assay/verify/vectors"
)

// TestDoctestsRead runs the doctests of python3-authres that parse a field: every statement about the parsed field is
// checked against ours. Where that parser refuses a field, ours must refuse it or name the departure in Defects.
func TestDoctestsRead(t *testing.T) {
	text, err := os.ReadFile(vectors.Path(t, "auth/authres-python/authres-doctests.txt"))
	if err != nil {
		t.Fatal(err)
	}
	call := regexp.MustCompile(`^>>> (?:try: )?(?:\.\.\. +)?\w*arobj = \w+(?:\.\w+)*\.?parse\('(.*)'\)$`)
	result := regexp.MustCompile(`^>>> (?:str\()?\w*arobj\.(.*?)\)?$`)
	var h Header
	var parseErr error
	parsed, checked := 0, 0
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		at := strconv.Itoa(i + 1)
		line = strings.Replace(line, "...   arobj", ">>> arobj", 1)
		if m := call.FindStringSubmatch(line); m != nil {
			_, value, _ := strings.Cut(m[1], ":")
			h, parseErr = Parse(value)
			parsed++
			continue
		}
		if strings.HasPrefix(line, "Syntax error: ") {
			checked++
			if parseErr == nil && len(h.Defects) == 0 {
				t.Errorf("line %s: read without objection: %+v", at, h)
			}
			continue
		}
		if strings.HasPrefix(line, ">>> for result in arobj.results:") {
			checked += checkLoop(t, at, h, lines[i+3:])
			continue
		}
		m := result.FindStringSubmatch(line)
		if m == nil || i+1 == len(lines) || !strings.HasPrefix(lines[i+1], "'") {
			continue
		}
		checked++
		want := strings.Trim(lines[i+1], "'")
		if got := lookUp(h, m[1]); parseErr != nil || got != want {
			t.Errorf("line %s: %s is %q, want %q (error %v)", at, m[1], got, want, parseErr)
		}
	}
	t.Logf("%d fields parsed, %d statements checked", parsed, checked)
	if parsed < 23 || checked < 150 {
		t.Errorf("only %d fields and %d statements found", parsed, checked)
	}
}

// checkLoop compares methods and results in turn with the lines that follow.
func checkLoop(t *testing.T, at string, h Header, lines []string) (checked int) {
	t.Helper()
	var got []string
	for _, c := range h.Clauses {
		got = append(got, c.Method, string(c.Result))
	}
	for checked < len(lines) && strings.HasPrefix(lines[checked], "'") {
		if want := strings.Trim(lines[checked], "'"); checked >= len(got) || got[checked] != want {
			t.Errorf("line %s: %v, want %q at %d", at, got, want, checked)
		}
		checked++
	}
	if checked != len(got) {
		t.Errorf("line %s: %d results, want %d", at, len(got), checked)
	}
	return checked
}

// lookUp evaluates an expression such as results[0].properties[1].value.
func lookUp(h Header, expr string) string {
	if expr == "authserv_id" {
		return h.ID
	}
	m := regexp.MustCompile(`^results\[(\d)\](?:\.(\w+)(?:\[(\d)\]\.(\w+))?)?$`).FindStringSubmatch(expr)
	if m == nil {
		return "expression not understood"
	}
	n, _ := strconv.Atoi(m[1])
	if n >= len(h.Clauses) {
		return "no such result"
	}
	c := h.Clauses[n]
	orNone := func(s string) string {
		if s == "" {
			return "None"
		}
		return s
	}
	switch m[2] {
	case "":
		return render(c)
	case "method":
		return c.Method
	case "result":
		return string(c.Result)
	case "reason":
		return orNone(c.Reason)
	case "properties":
		i, _ := strconv.Atoi(m[3])
		if i >= len(c.Properties) {
			return "no such property"
		}
		return map[string]string{"type": c.Properties[i].Type, "name": c.Properties[i].Name, "value": c.Properties[i].Value}[m[4]]
	}
	ptype, name, _ := strings.Cut(m[2], "_")
	return orNone(c.Value(ptype, name))
}

// render writes a clause on one line without its comment, as python3-authres prints what it has parsed.
func render(c Clause) string {
	s := c.Method + "=" + string(c.Result)
	if c.Reason != "" {
		s += " reason=" + quote(c.Reason)
	}
	for _, p := range c.Properties {
		s += " " + p.Type + "." + p.Name + "=" + value(p.Value)
	}
	return s
}

// TestDoctestsWrite reads and writes again each field that python3-authres writes in its doctests.
func TestDoctestsWrite(t *testing.T) {
	text, err := os.ReadFile(vectors.Path(t, "auth/authres-python/authres-doctests.txt"))
	if err != nil {
		t.Fatal(err)
	}
	different := strings.NewReplacer( // what we never write
		"test.example.org 1; none", "test.example.org; none", // clients misread fields with a version number
		"none (SPF not checked for localhost)", "none", // comments have a place behind results only
		"and d= domain", "and d: domain", // Exchange stops at "=" in a comment
		` (yummy.example.net)`, "",
		` (These are not the droids you're looking for.)`, "")
	written := 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if len(line) < 2 || !strings.HasPrefix(line[1:], "Authentication-Results: ") {
			continue
		}
		want := different.Replace(strings.TrimPrefix(strings.Trim(line, line[:1]), "Authentication-Results: "))
		h, err := Parse(want)
		if err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		got, err := h.Format()
		if got = strings.ReplaceAll(strings.ReplaceAll(got, "\n\t ", " "), "\n\t", " "); err != nil || got != want {
			t.Errorf("got  %s, %v\nwant %s", got, err, want)
		}
		written++
	}
	t.Logf("%d fields written", written)
	if written < 17 {
		t.Errorf("only %d fields found", written)
	}
}
