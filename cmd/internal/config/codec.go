package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A codec reads and shows the values of a key.
type codec[T any] interface {
	// decode returns the value of a node. What is wrong is reported to r, and then the second result is false.
	decode(r *reader, path string, n *yaml.Node) (T, bool)
	// show returns a value in the terms of YAML and JSON: string, bool, int64, []any or map[string]any.
	show(T) any
	// schema returns the JSON Schema of the values.
	schema() map[string]any
}

// A scalar reads a value that is written as one word.
type scalar[T any] struct {
	parse     func(text string) (T, error) // the error says what is wrong with the text, which is quoted before it
	format    func(T) any
	described map[string]any
}

// decode implements codec.
func (s scalar[T]) decode(r *reader, path string, n *yaml.Node) (T, bool) {
	var zero T
	text, ok := r.word(path, n)
	if !ok {
		return zero, false
	}
	v, err := s.parse(text)
	if err != nil {
		r.report(n, "%s: %q %s", path, clip(text), err)
		return zero, false
	}
	return v, true
}

// show implements codec.
func (s scalar[T]) show(v T) any { return s.format(v) }

// schema implements codec.
func (s scalar[T]) schema() map[string]any { return s.described }

// A list reads a sequence of words; one word alone stands for a sequence of one.
type list[T any] struct{ item scalar[T] }

// decode implements codec.
func (l list[T]) decode(r *reader, path string, n *yaml.Node) ([]T, bool) {
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = n.Content
	}
	values, good := make([]T, 0, len(nodes)), true
	seen := make(map[any]bool, len(nodes))
	for _, c := range nodes {
		v, ok := l.item.decode(r, path, resolve(c))
		if shown := l.item.format(v); ok && seen[shown] {
			r.report(c, "%s: %q is in the list twice", path, fmt.Sprint(shown))
			ok = false
		} else {
			seen[shown] = ok
		}
		good = good && ok
		values = append(values, v)
	}
	return values, good
}

// show implements codec.
func (l list[T]) show(vs []T) any {
	shown := make([]any, len(vs))
	for i, v := range vs {
		shown[i] = l.item.format(v)
	}
	return shown
}

// schema implements codec.
func (l list[T]) schema() map[string]any {
	return map[string]any{"oneOf": []any{
		map[string]any{"type": "array", "items": l.item.described, "uniqueItems": true},
		l.item.described,
	}}
}

// A table reads a mapping whose keys are chosen by the administrator.
type table[T any] struct {
	key  scalar[string]
	item scalar[T]
}

// decode implements codec.
func (t table[T]) decode(r *reader, path string, n *yaml.Node) (map[string]T, bool) {
	if n.Kind != yaml.MappingNode {
		r.report(n, "%s: must be a mapping", path)
		return nil, false
	}
	values, good := make(map[string]T, len(n.Content)/2), true
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, keyOK := t.key.decode(r, path, resolve(n.Content[i]))
		v, ok := t.item.decode(r, path+"."+clip(n.Content[i].Value), resolve(n.Content[i+1]))
		if _, twice := values[k]; keyOK && twice {
			r.report(n.Content[i], "%s: duplicate key %q", path, k)
			ok = false
		}
		good = good && keyOK && ok
		values[k] = v
	}
	return values, good
}

// show implements codec.
func (t table[T]) show(vs map[string]T) any {
	shown := make(map[string]any, len(vs))
	for k, v := range vs {
		shown[k] = t.item.format(v)
	}
	return shown
}

// schema implements codec.
func (t table[T]) schema() map[string]any {
	return map[string]any{"type": "object", "additionalProperties": t.item.described}
}

// clip shortens text from the file for a message.
func clip(text string) string {
	const most = 80
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// flow returns a shown value as one line of YAML.
func flow(v any) string {
	switch v := v.(type) {
	case string:
		return quote(v)
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = flow(item)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case map[string]any:
		items := make([]string, 0, len(v))
		for k, item := range v {
			items = append(items, quote(k)+": "+flow(item))
		}
		slices.Sort(items)
		return "{" + strings.Join(items, ", ") + "}"
	default:
		return fmt.Sprint(v)
	}
}

// quote returns text as a YAML scalar that is read back as a string in block and in flow context.
func quote(text string) string {
	plain := text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/-:@", r)
	}) && !strings.HasPrefix(text, "-") && !strings.HasPrefix(text, ":") && !strings.HasSuffix(text, ":") &&
		!strings.HasPrefix(text, "@")
	if plain {
		return text
	}
	return strconv.Quote(text)
}
