package ruletest

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"assay/rules"
)

// decoded returns the keys that the decoder knows of a thing: it lists them when it is given a word in its place.
func decoded(t *testing.T, what, text string) []string {
	t.Helper()
	f := decodeFile("a_test.yaml", "a_test.yaml", []byte(text))
	for _, p := range f.problems {
		if keys, ok := strings.CutPrefix(p.Message, what+" consists of keys with a colon behind them: "); ok {
			return strings.Split(keys, ", ")
		}
	}
	t.Fatalf("%s: no list of keys in %v", what, f.problems)
	return nil
}

// at follows keys into a JSON document.
func at(t *testing.T, document any, path ...string) map[string]any {
	t.Helper()
	for _, key := range path {
		m, _ := document.(map[string]any)
		document = m[key]
	}
	m, ok := document.(map[string]any)
	if !ok {
		t.Fatalf("the schema has no %v", path)
	}
	return m
}

// The schema of test files that editors use and the decoder know the same keys, in both directions.
func TestSchemaIsWhatIsDecoded(t *testing.T) {
	var schema any
	if err := json.Unmarshal(rules.Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	file := at(t, schema, "then", "properties")
	test := at(t, file, "tests", "items", "properties")
	for _, level := range []struct {
		what, text string
		properties map[string]any
	}{
		{"a test file", "word", file},
		{"a test", "format: 1\ntests: [word]", test},
		{"a list of tests", "format: 1\nextend_lists: {l: word}", at(t, file, "extend_lists", "additionalProperties", "properties")},
		{"a session", "format: 1\ntests: [{name: x, eml: a.eml, session: word}]", at(t, test, "session", "properties")},
		{"expect", "format: 1\ntests: [{name: x, facts: {}, expect: word}]", at(t, test, "expect", "properties")},
	} {
		want := slices.Sorted(maps.Keys(level.properties))
		if got := decoded(t, level.what, level.text); !slices.Equal(got, want) {
			t.Errorf("%s: the decoder knows %v, the schema %v", level.what, got, want)
		}
	}
}

// Words that a key takes are the same in the schema and in the decoder.
func TestSchemaWordsAreDecoded(t *testing.T) {
	var schema any
	if err := json.Unmarshal(rules.Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	test := at(t, schema, "then", "properties", "tests", "items", "properties")
	expect := at(t, test, "expect", "properties")
	for key, shape := range map[string]map[string]any{
		"disposition": at(t, expect, "disposition"), "trust": at(t, expect, "trust"), "html": at(t, expect, "html", "items"),
	} {
		words, _ := shape["enum"].([]any)
		if len(words) < 3 {
			t.Fatalf("%s: no words in %v", key, shape)
		}
		for _, word := range words {
			value, _ := word.(string)
			if key == "html" {
				value = "[" + value + "]"
			}
			f := decodeFile("a_test.yaml", "a_test.yaml", []byte("format: 1\ntests: [{name: x, facts: {}, expect: {"+key+": "+value+"}}]"))
			if len(f.problems) > 0 {
				t.Errorf("%s: %s: %v", key, value, f.problems)
			}
		}
	}
}
