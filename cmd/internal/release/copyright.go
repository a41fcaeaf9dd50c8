package main

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
)

// A source is something whose licence the program is under.
type source struct {
	Path, Version, Dir string
}

// copyright returns the copyright file of a program, in the format of Debian's copyright-format 1.0. Every licence but the
// Apache License, which Debian has in a place of its own, is there in full.
func copyright(program string) (string, error) {
	sources, err := sourcesOf(program)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: Assay\n" +
		"Comment: /usr/sbin/assay is one static program. The stanzas below name the modules\n" +
		" that were linked into it, with their licences.\n\n" +
		"Files: *\nCopyright: 2026 Assay maintainers\n" + apache)
	for _, s := range sources {
		stanza, err := s.stanza()
		if err != nil {
			return "", err
		}
		b.WriteString("\n" + stanza)
	}
	return b.String(), nil
}

// apache is the licence that Debian asks not to repeat.
const apache = "License: Apache-2.0\n On Debian systems the full text of the Apache License, Version 2.0, is in\n" +
	" /usr/share/common-licenses/Apache-2.0; elsewhere at\n https://www.apache.org/licenses/LICENSE-2.0.\n"

// sourcesOf returns Go itself and the modules in a program, by path.
func sourcesOf(program string) ([]source, error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return nil, err
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	sources := []source{{"std", strings.TrimPrefix(info.GoVersion, "go"), strings.TrimSpace(string(root))}}
	for _, m := range info.Deps {
		used := m
		if m.Replace != nil {
			used = m.Replace
		}
		dir, err := directory(used)
		if err != nil {
			return nil, err
		}
		sources = append(sources, source{used.Path, used.Version, dir})
	}
	slices.SortFunc(sources[1:], func(a, b source) int { return strings.Compare(a.Path, b.Path) })
	return sources, nil
}

// directory returns where the go command keeps a module.
func directory(m *debug.Module) (string, error) {
	out, err := exec.Command("go", "mod", "download", "-json", m.Path+"@"+m.Version).Output()
	if err != nil {
		return "", fmt.Errorf("go mod download %s: %w", m.Path, err)
	}
	var found struct{ Dir string }
	if err := json.Unmarshal(out, &found); err != nil {
		return "", err
	}
	return found.Dir, nil
}

// licenceFile is the name of a file with a licence. Some modules have several.
var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense)([.-].*)?$`)

// apacheText is the full text of the Apache License, which may stand beside others in one file.
var apacheText = regexp.MustCompile(`(?s)Apache License\s+Version 2\.0, January 2004.*?(END OF TERMS AND CONDITIONS|\z)`)

// apacheWords take its place.
const apacheWords = "Apache License, Version 2.0: see /usr/share/common-licenses/Apache-2.0"

// stanza returns the paragraph of a source.
func (s source) stanza() (string, error) {
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return "", err
	}
	var text string
	for _, e := range entries {
		if e.IsDir() || !licenceFile.MatchString(e.Name()) {
			continue
		}
		octets, err := os.ReadFile(filepath.Join(s.Dir, e.Name()))
		if err != nil {
			return "", err
		}
		text += strings.TrimSpace(apacheText.ReplaceAllString(strings.ToValidUTF8(string(octets), "?"), apacheWords)) + "\n"
	}
	if text == "" {
		return "", fmt.Errorf("%s has no licence in %s", s.Path, s.Dir)
	}
	name := licenceName(text)
	if name == "" {
		return "", fmt.Errorf("the licence of %s is not known: %s", s.Path, s.Dir)
	}
	head := fmt.Sprintf("Files: %s@%s/*\nCopyright: %s\n", s.Path, s.Version, strings.Join(holders(text, s.Path), "\n "))
	if name == "Apache-2.0" {
		return head + apache, nil
	}
	return head + "License: " + name + "\n" + indent(text), nil
}

// licenceName returns the short name of a licence, "" for one that is not known: somebody has to read it.
func licenceName(text string) string {
	has := func(words string) bool {
		return strings.Contains(strings.Join(strings.Fields(strings.ToLower(text)), " "), strings.ToLower(words))
	}
	var names []string
	for _, l := range []struct {
		name string
		is   bool
	}{
		{"Apache-2.0", has("Apache License")},
		{"MPL-2.0", has("Mozilla Public License Version 2.0") || has("Mozilla Public License, version 2.0")},
		{"Expat", has("Permission is hereby granted, free of charge")},
		{"ISC", has("Permission to use, copy, modify, and/or distribute") || has("Permission to use, copy, modify, and distribute")},
		{"BSD-3-clause", has("Redistribution and use in source and binary forms") && has("may be used to endorse")},
		{"BSD-2-clause", has("Redistribution and use in source and binary forms") && !has("may be used to endorse")},
		{"CC0-1.0", has("CC0 1.0 Universal")},
		{"Unlicense", has("This is free and unencumbered software")},
	} {
		if l.is {
			names = append(names, l.name)
		}
	}
	return strings.Join(names, " and ")
}

// holder is a line that says whose a text is.
var holder = regexp.MustCompile(`(?im)^[ \t*#/]*copyright[: ]+(?:\(c\)|©)?[ ]*([0-9].*)$`)

// holders returns who holds the rights in a text.
func holders(text, path string) []string {
	var found []string
	for _, m := range holder.FindAllStringSubmatch(text, -1) {
		if who := strings.TrimSpace(m[1]); !slices.Contains(found, who) {
			found = append(found, who)
		}
	}
	if len(found) == 0 {
		return []string{"The authors of " + path}
	}
	return found
}

// indent writes a text as a field of several lines: each is indented, an empty one is a dot.
func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(strings.ReplaceAll(line, "\f", ""), " \t\r\n"); line == "" {
			line = "."
		}
		b.WriteString(" " + line + "\n")
	}
	return b.String()
}
