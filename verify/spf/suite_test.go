package spf

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"assay/verify/authres"
	"assay/verify/vectors"
)

// A suiteCase is one test of the RFC 7208 test suite, with the zone of its document.
type suiteCase struct {
	name, helo, host, mailFrom string
	results                    []string // the first one is preferred
	explanation                string
	explains                   bool // the case says which explanation is expected
	records                    map[string][]rr
}

// The suite has 203 tests, of which 14 assert a text of an explanation; others assert that there is none ("DEFAULT").
const (
	suiteTests        = 203
	suiteExplanations = 14
)

// TestSuite runs the RFC 7208 test suite of the SPF community.
func TestSuite(t *testing.T) {
	cases := readSuite(t)
	if len(cases) != suiteTests {
		t.Errorf("suite has %d tests, want %d", len(cases), suiteTests)
	}
	explanations := 0
	for _, c := range cases {
		if c.explains && c.explanation != "" {
			explanations++
		}
		t.Run(c.name, func(t *testing.T) {
			in := Input{IP: netip.MustParseAddr(c.host), Helo: c.helo, MailFrom: c.mailFrom}
			v := Verify(t.Context(), &zone{records: c.records}, in, Options{Receiver: "mx.example.org", Explain: true})
			if string(v.Result) != c.results[0] {
				t.Errorf("result %q, want %q; reason: %s\n%s", v.Result, c.results[0], v.Reason, strings.Join(v.Steps, "\n"))
			}
			if c.explains && v.Explanation != c.explanation {
				t.Errorf("explanation %q, want %q\n%s", v.Explanation, c.explanation, strings.Join(v.Steps, "\n"))
			}
			checkInvariants(t, v)
		})
	}
	if explanations != suiteExplanations {
		t.Errorf("suite has %d explanations, want %d", explanations, suiteExplanations)
	}
}

// checkInvariants checks what holds for every verification.
func checkInvariants(t *testing.T, v Verification) {
	t.Helper()
	results := []authres.Result{authres.None, authres.Neutral, authres.Pass, authres.Fail, authres.SoftFail,
		authres.TempError, authres.PermError}
	if !slices.Contains(results, v.Result) {
		t.Errorf("result %q is none of RFC 7208", v.Result)
	}
	if (v.Reason == "") != (v.Result == authres.Pass) {
		t.Errorf("result %s has reason %q", v.Result, v.Reason)
	}
	if v.Lookups > 10 || v.Voids > 3 || v.Queries > 40 {
		t.Errorf("%d lookups, %d voids, %d queries", v.Lookups, v.Voids, v.Queries)
	}
	if v.Explanation != "" && v.Result != authres.Fail {
		t.Errorf("result %s has explanation %q", v.Result, v.Explanation)
	}
	if (v.Mechanism == "") != (v.RecordAt == "") {
		t.Errorf("mechanism %q at %q", v.Mechanism, v.RecordAt)
	}
	if v.Result == authres.Pass && v.Mechanism == "" {
		t.Error("pass without a mechanism")
	}
	if v.Identity == "" {
		t.Error("no identity")
	}
}

// readSuite reads the suite, or skips the test when there is none on this machine.
func readSuite(t *testing.T) []suiteCase {
	t.Helper()
	data, err := os.ReadFile(vectors.Path(t, "auth/spf-rfc7208/rfc7208-tests.yml"))
	if err != nil {
		t.Fatal(err)
	}
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithUniqueKeys(false))
	if err != nil {
		t.Fatal(err)
	}
	var cases []suiteCase
	for {
		var doc yaml.Node
		if err := loader.Load(&doc); errors.Is(err, io.EOF) {
			return cases
		} else if err != nil {
			t.Fatal(err)
		}
		cases = append(cases, readDocument(t, &doc)...)
	}
}

// pairs calls f with every key and value of a mapping.
func pairs(n *yaml.Node, f func(key string, value *yaml.Node)) {
	if n.Kind == yaml.DocumentNode {
		n = n.Content[0]
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		f(n.Content[i].Value, n.Content[i+1])
	}
}

func readDocument(t *testing.T, doc *yaml.Node) []suiteCase {
	t.Helper()
	var cases []suiteCase
	records := map[string][]rr{}
	document := ""
	pairs(doc, func(key string, value *yaml.Node) {
		switch key {
		case "description":
			document = value.Value
		case "tests":
			pairs(value, func(name string, test *yaml.Node) { cases = append(cases, readCase(name, test)) })
		case "zonedata":
			pairs(value, func(name string, data *yaml.Node) { records[strings.ToLower(name)] = readRecords(data) })
		}
	})
	for i := range cases {
		cases[i].name = document + "/" + cases[i].name
		cases[i].records = records
	}
	return cases
}

func readCase(name string, test *yaml.Node) suiteCase {
	c := suiteCase{name: name}
	pairs(test, func(key string, value *yaml.Node) {
		switch key {
		case "helo":
			c.helo = value.Value
		case "host":
			c.host = value.Value
		case "mailfrom":
			c.mailFrom = value.Value
		case "explanation":
			c.explains = true
			if value.Value != "DEFAULT" {
				c.explanation = value.Value
			}
		case "result":
			c.results = []string{value.Value}
			for i, r := range value.Content {
				c.results = append(c.results[:i], r.Value)
			}
		}
	})
	return c
}

// readRecords reads the records of a name. Those of type SPF are TXT records as well, unless the name has a TXT entry,
// be it "NONE"; a bare "TIMEOUT" is the fate of questions for every type without a record before it.
func readRecords(data *yaml.Node) []rr {
	var records, generated []rr
	generate := true
	for _, entry := range data.Content {
		if entry.Kind == yaml.ScalarNode {
			records = append(records, rr{kind: entry.Value})
			continue
		}
		pairs(entry, func(kind string, value *yaml.Node) {
			parts := []string{value.Value}
			if value.Kind == yaml.SequenceNode {
				parts = nil
				for _, part := range value.Content {
					parts = append(parts, part.Value)
				}
			}
			r := rr{kind, strings.Join(parts, map[bool]string{true: " "}[kind == "MX"])}
			switch {
			case kind == "SPF":
				generated = append(generated, rr{"TXT", r.value})
			case kind == "TXT":
				generate = false
				fallthrough
			default:
				if r.value != "NONE" {
					records = append(records, r)
				}
			}
		})
	}
	if generate {
		return append(records, generated...)
	}
	return records
}
