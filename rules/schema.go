package rules

import (
	"bytes"
	"encoding/json"
)

// Schema returns the JSON Schema of rule files and of test files, for editors. It is made from the table that files are
// checked against.
func Schema() []byte {
	schema := map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"title":   "Rules of Assay",
		"if":      map[string]any{"required": []string{"tests"}},
		"then":    testKeys().schema(),
		"else":    fileKeys().schema(),
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(schema); err != nil {
		panic(err) // a map of strings, numbers and maps is always encoded
	}
	return b.Bytes()
}
