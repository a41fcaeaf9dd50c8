package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"fmt"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
)

// A bom is a software bill of materials in CycloneDX 1.6: what a program was made of, as the Go linker has written it into the
// program. Nothing in it depends on when or where it is printed.
type bom struct {
	Format       string          `json:"bomFormat"`
	Spec         string          `json:"specVersion"`
	Serial       string          `json:"serialNumber"`
	Version      int             `json:"version"`
	Metadata     bomMetadata     `json:"metadata"`
	Components   []bomComponent  `json:"components"`
	Dependencies []bomDependency `json:"dependencies"`
}

// A bomMetadata says what the bill is about.
type bomMetadata struct {
	Timestamp string       `json:"timestamp,omitempty"` // of the commit
	Component bomComponent `json:"component"`
}

// A bomComponent is the program, a module, or the standard library.
type bomComponent struct {
	Type       string        `json:"type"`
	Ref        string        `json:"bom-ref"`
	Name       string        `json:"name"`
	Version    string        `json:"version"`
	PURL       string        `json:"purl"`
	Properties []bomProperty `json:"properties,omitempty"`
}

// A bomProperty is what CycloneDX has no word for: checksums as go.sum has them, and settings of the build.
type bomProperty struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// A bomDependency says what was linked into what. The program does not know which module wanted which other one.
type bomDependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

// bomOf returns the bill of the program at path, of the running one if path is empty.
func bomOf(path string) (bom, error) {
	if path == "" {
		info, ok := debug.ReadBuildInfo()
		if !ok {
			return bom{}, fmt.Errorf("the program was built without build information")
		}
		return newBOM(info, versionText()), nil
	}
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return bom{}, err
	}
	return newBOM(info, linkedVersion(info)), nil
}

// linkedVersion returns the version of another program: what the linker was told, or what its module says.
func linkedVersion(info *debug.BuildInfo) string {
	for _, s := range info.Settings {
		if s.Key != "-ldflags" {
			continue
		}
		for _, word := range strings.Fields(s.Value) {
			if version, found := strings.CutPrefix(word, "main.Version="); found {
				return version
			}
		}
	}
	if Version != "" { // with -trimpath the flags are not kept; the packages are built from one tree
		return Version
	}
	return info.Main.Version
}

// newBOM returns the bill of a build.
func newBOM(info *debug.BuildInfo, version string) bom {
	program := component("application", info.Main.Path, version)
	for _, s := range info.Settings {
		if strings.HasPrefix(s.Key, "vcs") || s.Key == "GOOS" || s.Key == "GOARCH" || s.Key == "CGO_ENABLED" || s.Key == "-trimpath" {
			program.Properties = append(program.Properties, bomProperty{"go:build:" + s.Key, s.Value})
		}
	}
	b := bom{Format: "CycloneDX", Spec: "1.6", Version: 1, Metadata: bomMetadata{Component: program}}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			b.Metadata.Timestamp = s.Value
		}
	}
	b.Components = append(b.Components, component("library", "std", strings.TrimPrefix(info.GoVersion, "go")))
	for _, m := range info.Deps {
		b.Components = append(b.Components, moduleComponent(m))
	}
	slices.SortFunc(b.Components[1:], func(x, y bomComponent) int { return strings.Compare(x.Ref, y.Ref) })
	b.Dependencies = []bomDependency{{Ref: program.Ref}}
	for _, c := range b.Components {
		b.Dependencies[0].DependsOn = append(b.Dependencies[0].DependsOn, c.Ref)
	}
	b.Serial = serial(info, version)
	return b
}

// moduleComponent returns the entry of a module: what was used, if it was replaced.
func moduleComponent(m *debug.Module) bomComponent {
	used := m
	if m.Replace != nil {
		used = m.Replace
	}
	c := component("library", used.Path, used.Version)
	if used.Sum != "" {
		c.Properties = append(c.Properties, bomProperty{"go:sum", used.Sum})
	}
	if used != m {
		c.Properties = append(c.Properties, bomProperty{"go:replaces", m.Path + "@" + m.Version})
	}
	return c
}

// component returns an entry with its package URL.
func component(kind, path, version string) bomComponent {
	purl := "pkg:golang/" + strings.ToLower(path)
	if version != "" {
		purl += "@" + url.QueryEscape(version)
	}
	return bomComponent{Type: kind, Ref: purl, Name: path, Version: version, PURL: purl}
}

// serial returns the serial number of a bill: the same for the same build, a version 8 UUID (RFC 9562 Section 5.8).
func serial(info *debug.BuildInfo, version string) string {
	sum := sha256.Sum256([]byte(version + "\n" + info.String()))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}
