package ruletest

import (
	"bytes"
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"assay/rules"
)

// Levels holds the rule sets that tests see: those of the sources up to their own, with the entries they add to lists, and
// with monitored rules enforced if they say so. All of them are made from the files that the complete set was made from.
type levels struct {
	full    *rules.Set
	sources []rules.Source
	opt     rules.Options
	made    map[string]level
}

// orgDomains is the list that comes from the configuration.
const orgDomains = "org_domains"

// A level is one set, or why there is none.
type level struct {
	set *rules.Set
	err error
}

func newLevels(full *rules.Set, sources []rules.Source, opt rules.Options) *levels {
	l := &levels{full: full, sources: sources, opt: opt, made: map[string]level{}}
	l.opt.ReadList = l.readList
	return l
}

// readList returns a list file with an absolute path as the complete set has read it.
func (l *levels) readList(name string) ([]byte, error) {
	for _, f := range l.full.Files() {
		if path.IsAbs(f.Name) && f.Name == name {
			return f.Text, nil
		}
	}
	return nil, fmt.Errorf("%s is not among the files of the rule set", name)
}

// source returns the index of a source.
func (l *levels) source(name string) int {
	return slices.IndexFunc(l.sources, func(s rules.Source) bool { return s.Name == name })
}

// get returns the set that the tests of a file see.
func (l *levels) get(source int, lists map[string][]string, enforce bool) (*rules.Set, error) {
	if source == len(l.sources)-1 && len(lists) == 0 && !enforce {
		return l.full, nil
	}
	fixture := listFile(lists)
	key := fmt.Sprintf("%d %t %s", source, enforce, fixture)
	if _, ok := l.made[key]; !ok {
		opt := l.opt
		if _, stated := lists[orgDomains]; stated {
			opt.OrgDomains = nil // tests that name domains depend on no others
		}
		set, err := l.load(source, fixture, enforce, opt)
		l.made[key] = level{set, err}
	}
	return l.made[key].set, l.made[key].err
}

// load loads the files of the sources up to one, and those of a fixture behind them.
func (l *levels) load(source int, fixture []byte, enforce bool, opt rules.Options) (*rules.Set, error) {
	var sources []rules.Source
	for _, s := range l.sources[:source+1] {
		files := memory{}
		for _, f := range l.full.Files() {
			if f.Source != s.Name || path.IsAbs(f.Name) {
				continue
			}
			files[path.Clean(f.Name)] = f.Text
			if enforce && !f.Test && path.Ext(f.Name) == ".yaml" {
				files[path.Clean(f.Name)] = enforced(f.Text)
			}
		}
		sources = append(sources, rules.Source{Name: s.Name, Files: files})
	}
	if len(fixture) > 0 {
		sources = append(sources, rules.Source{Name: "lists of the test file", Files: memory{"lists.yaml": fixture}})
	}
	set, problems := rules.Load(sources, opt)
	return set, problems.Err()
}

// listFile is a rule file that adds entries to lists, nothing for no lists.
func listFile(lists map[string][]string) []byte {
	if len(lists) == 0 {
		return nil
	}
	type items struct {
		Items []string `yaml:"items"`
	}
	all := map[string]items{}
	for name, entries := range lists {
		if len(entries) > 0 {
			all[name] = items{entries}
		}
	}
	text, err := yaml.Marshal(map[string]any{"format": 1, "extend_lists": all})
	if err != nil {
		panic(fmt.Sprintf("ruletest: strings cannot be written as YAML: %v", err)) // they always can
	}
	return text
}

// enforced returns a rule file in which every "mode: monitor" reads enforce. The two words are of one length, so every other
// character keeps its place and problems and traces name the same lines. A file that is no YAML comes back as it is.
func enforced(text []byte) []byte {
	loader, err := yaml.NewLoader(bytes.NewReader(text))
	if err != nil {
		return text
	}
	var doc yaml.Node
	if err := loader.Load(&doc); err != nil || len(doc.Content) == 0 {
		return text
	}
	out := bytes.Clone(text)
	lines := lineStarts(text)
	for _, key := range []string{"rules", "override"} {
		for _, rule := range children(valueOf(doc.Content[0], key)) {
			mode := valueOf(rule, "mode")
			if mode == nil || mode.Value != string(rules.Monitor) || mode.Line < 1 || mode.Line > len(lines) {
				continue
			}
			// What stands before the value on its line is a key or another value, so the value is looked for from its own column.
			start := lines[mode.Line-1] + offsetOf(text[lines[mode.Line-1]:], mode.Column)
			if i := bytes.Index(text[start:], []byte(rules.Monitor)); i >= 0 {
				copy(out[start+i:], rules.Enforce)
			}
		}
	}
	return out
}

// lineStarts returns the offsets at which lines begin. A byte order mark belongs to no line.
func lineStarts(text []byte) []int {
	starts := []int{len(text) - len(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")))}
	for i, c := range text {
		if c == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}

// offsetOf returns the octets before a column, which counts characters from 1.
func offsetOf(line []byte, column int) int {
	n := 0
	for i := range string(line[:min(len(line), 4*column)]) {
		if n++; n == column {
			return i
		}
	}
	return min(len(line), 4*column)
}

// valueOf returns the value of a key of a mapping, nil if there is none.
func valueOf(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// children returns the elements of a list.
func children(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}

// checkLists reports lists of a test file that the rules do not have.
func (f *testFile) checkLists(set *rules.Set, top []*yaml.Node) {
	var names []string
	for _, list := range set.Lists() {
		names = append(names, list.Name)
	}
	for _, key := range top {
		if !slices.Contains(names, key.Value) {
			f.report(key, "there is no list %q%s", clip(key.Value), didYouMean(key.Value, names))
		}
	}
}

// checkIDs reports rules and exceptions of a test that do not exist, and replaces former ids by those that hold now.
func (f *testFile) checkIDs(set *rules.Set, t *test) {
	before := len(f.problems)
	for _, list := range t.expect.ids() {
		for _, n := range list {
			id, exception, named := strings.Cut(n.Value, "/")
			rule, ok := set.Rule(id)
			switch {
			case !ok:
				f.report(n, "there is no rule %q%s", clip(id), didYouMean(id, ruleIDs(set)))
				continue
			case named && !slices.ContainsFunc(rule.Exceptions, func(e rules.ExceptionInfo) bool { return e.ID == exception }):
				f.report(n, "the rule %q has no exception %q%s", rule.ID, clip(exception), didYouMean(exception, exceptionIDs(rule)))
				continue
			}
			if n.Value = rule.ID; named {
				n.Value += "/" + exception
			}
		}
	}
	t.broken = t.broken || len(f.problems) > before
}

func ruleIDs(set *rules.Set) []string {
	var ids []string
	for _, r := range set.Rules() {
		ids = append(ids, r.ID)
	}
	return ids
}

func exceptionIDs(rule rules.RuleInfo) []string {
	var ids []string
	for _, e := range rule.Exceptions {
		ids = append(ids, e.ID)
	}
	return ids
}

// sortedProblems puts problems in the order of their places.
func sortedProblems(ps rules.Problems) rules.Problems {
	slices.SortStableFunc(ps, func(a, b rules.Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return ps
}
