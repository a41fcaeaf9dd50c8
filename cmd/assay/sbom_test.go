package main

import (
	"encoding/json"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
)

// The bill of materials names every module of the build, and is what CycloneDX 1.6 asks for.
func TestSBOM(t *testing.T) {
	info := &debug.BuildInfo{
		GoVersion: "go1.26.8", Main: debug.Module{Path: "assay"},
		Deps: []*debug.Module{
			{Path: "github.com/Masked/Name", Version: "v1.2.3+incompatible", Sum: "h1:YWJj"},
			{Path: "a.example/old", Version: "v1.0.0", Replace: &debug.Module{Path: "a.example/new", Version: "v1.0.1", Sum: "h1:eHl6"}},
		},
		Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "0123"}, {Key: "vcs.time", Value: "2026-11-22T05:00:00Z"}, {Key: "GOARCH", Value: "amd64"}},
	}
	b := newBOM(info, "1.2.3")
	text, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"bomFormat":"CycloneDX"`, `"specVersion":"1.6"`, `"version":1`, `"timestamp":"2026-11-22T05:00:00Z"`,
		`"name":"go:build:vcs.revision","value":"0123"`, `"purl":"pkg:golang/std@1.26.8"`, `"purl":"pkg:golang/assay@1.2.3"`,
		`"purl":"pkg:golang/github.com/masked/name@v1.2.3%2Bincompatible"`, `"name":"go:sum","value":"h1:YWJj"`,
		`"purl":"pkg:golang/a.example/new@v1.0.1"`, `"name":"go:replaces","value":"a.example/old@v1.0.0"`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("lacks %s:\n%s", want, text)
		}
	}
	checkBOM(t, text, 3)
	if again := newBOM(info, "1.2.3"); again.Serial != b.Serial || newBOM(info, "1.2.4").Serial == b.Serial {
		t.Error("the serial number does not follow the build")
	}
}

// The program describes itself. A test program has no modules in its build information, so this looks only at the form.
func TestSBOMCommand(t *testing.T) {
	checkBOM(t, output(t, "version", "--sbom"), 1)
}

// checkBOM checks the structure: what the schema requires, unique references, and dependencies that exist.
func checkBOM(t *testing.T, text []byte, components int) {
	t.Helper()
	var b bom
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(b.Serial) {
		t.Errorf("serial number %q", b.Serial)
	}
	refs := map[string]bool{b.Metadata.Component.Ref: true}
	for _, c := range b.Components {
		if refs[c.Ref] || c.Ref == "" || c.Name == "" || c.Type != "library" {
			t.Errorf("component %+v", c)
		}
		refs[c.Ref] = true
	}
	if len(b.Components) < components || len(b.Dependencies) != 1 || len(b.Dependencies[0].DependsOn) != len(b.Components) {
		t.Errorf("%d components, dependencies %+v", len(b.Components), b.Dependencies)
	}
	for _, d := range b.Dependencies {
		for _, ref := range append(d.DependsOn, d.Ref) {
			if !refs[ref] {
				t.Errorf("%q is not there", ref)
			}
		}
	}
}
