package config

import (
	"assay/rules/suggest"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// environmentPrefix begins the names of environment variables that override keys; a double underscore stands between
// sections: ASSAY__RESOLVER__TIMEOUT is resolver.timeout.
const environmentPrefix = "ASSAY__"

// environment applies the overrides in environ, which holds "NAME=value" as os.Environ returns it.
func (r *reader) environment(environ []string, all []*key) {
	for _, entry := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(entry, "=")
		rest, found := strings.CutPrefix(name, environmentPrefix)
		if !found {
			continue
		}
		path := strings.ToLower(strings.ReplaceAll(rest, "__", "."))
		i := slices.IndexFunc(all, func(k *key) bool { return k.path == path })
		if i < 0 {
			r.problems = append(r.problems, Problem{File: "environment",
				Message: fmt.Sprintf("unknown variable %q%s", clip(name), didYouMeanVariable(path, all))})
			continue
		}
		r.override(name, value, all[i])
	}
}

// override decodes the value of one variable. Problems name the variable instead of a place in a file.
func (r *reader) override(name, value string, k *key) {
	sub := &reader{name: "environment", config: r.config, origins: r.origins}
	if k.decode(sub, overrideNode(value)) {
		r.origins[k.path] = origin{name: name}
	}
	for _, p := range sub.problems {
		r.problems = append(r.problems, Problem{File: "environment", Message: name + ": " + p.Message})
	}
}

// overrideNode returns the node that a variable's value stands for: YAML when it is written in brackets, several words
// when it holds commas, otherwise one word.
func overrideNode(value string) *yaml.Node {
	if strings.HasPrefix(value, "[") || strings.HasPrefix(value, "{") {
		var doc yaml.Node
		if err := yaml.Load([]byte(value), &doc); err == nil && len(doc.Content) == 1 {
			return resolve(doc.Content[0])
		}
	}
	word := func(text string) *yaml.Node {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: strings.TrimSpace(text)}
	}
	if !strings.Contains(value, ",") {
		return word(value)
	}
	n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	for text := range strings.SplitSeq(value, ",") {
		n.Content = append(n.Content, word(text))
	}
	return n
}

// didYouMeanVariable suggests the variable of the key that is closest to path.
func didYouMeanVariable(path string, all []*key) string {
	paths := make([]string, len(all))
	for i, k := range all {
		paths[i] = k.path
	}
	s := suggest.Closest(path, paths)
	if s == "" {
		return ""
	}
	return ` (did you mean "` + variable(s) + `"?)`
}

// variable returns the environment variable that overrides a key.
func variable(path string) string {
	return environmentPrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "__"))
}
