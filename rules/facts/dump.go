package facts

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Bounds of a dump, which people read.
const (
	dumpList   = 100  // elements of a list or map
	dumpString = 1000 // octets of a string
)

// An Entry is one fact of a dump.
type Entry struct {
	Name  string
	Value any // string, bool, int, float64, time.Time, Entries, or a list of these
}

// Entries are facts in the order of Tree. As JSON they are one object.
type Entries []Entry

// MarshalJSON implements json.Marshaler.
func (e Entries) MarshalJSON() ([]byte, error) {
	var out strings.Builder
	out.WriteByte('{')
	for i, entry := range e {
		if i > 0 {
			out.WriteByte(',')
		}
		name, err := json.Marshal(entry.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(entry.Value)
		if err != nil {
			return nil, err
		}
		out.Write(name)
		out.WriteByte(':')
		out.Write(value)
	}
	out.WriteByte('}')
	return []byte(out.String()), nil
}

// Dump computes every fact and returns them in the order of Tree. Long lists and strings are cut, and end in a note that
// says so.
func (f *Facts) Dump() Entries {
	t := reflect.TypeFor[Tree]()
	out := make(Entries, 0, t.NumField())
	for i := range t.NumField() {
		name := nameOf(t.Field(i))
		value, _ := f.ResolveName(name)
		out = append(out, Entry{name, dumped(reflect.ValueOf(value))})
	}
	return out
}

// dumped turns a value into what Entry holds.
func dumped(v reflect.Value) any {
	switch v.Kind() {
	case reflect.String:
		return shortened(v.String())
	case reflect.Slice:
		return dumpedList(v)
	case reflect.Map:
		return dumpedMap(v)
	case reflect.Struct:
		if t, ok := v.Interface().(time.Time); ok {
			return t
		}
		out := make(Entries, 0, v.NumField())
		for i := range v.NumField() {
			out = append(out, Entry{nameOf(v.Type().Field(i)), dumped(v.Field(i))})
		}
		return out
	}
	return v.Interface()
}

// shortened cuts a string.
func shortened(s string) string {
	if len(s) <= dumpString {
		return s
	}
	head := cut(s, dumpString)
	return fmt.Sprintf("%s... (%d octets more)", head, len(s)-len(head))
}

// dumpedList turns the first elements of a list into what Entry holds.
func dumpedList(v reflect.Value) []any {
	out := make([]any, 0, min(v.Len(), dumpList+1))
	for i := range v.Len() {
		if i == dumpList {
			return append(out, fmt.Sprintf("... (%d more)", v.Len()-i))
		}
		out = append(out, dumped(v.Index(i)))
	}
	return out
}

// dumpedMap turns a map into Entries in the order of its keys.
func dumpedMap(v reflect.Value) Entries {
	keys := sortedKeys(v)
	out := make(Entries, 0, min(len(keys), dumpList+1))
	for i, key := range keys {
		if i == dumpList {
			return append(out, Entry{"...", fmt.Sprintf("(%d more)", len(keys)-i)})
		}
		out = append(out, Entry{shortened(key), dumped(v.MapIndex(reflect.ValueOf(key)))})
	}
	return out
}

// sortedKeys returns the keys of a map in order.
func sortedKeys(v reflect.Value) []string {
	keys := make([]string, 0, v.Len())
	for _, key := range v.MapKeys() {
		keys = append(keys, key.String())
	}
	slices.Sort(keys)
	return keys
}

// WriteText writes one line for each fact that is not empty: its dotted name and its value. Text from the message is
// quoted, so a line is a line.
func (e Entries) WriteText(w io.Writer) error {
	var out strings.Builder
	e.text(&out, "")
	_, err := io.WriteString(w, out.String())
	return err
}

// text appends the lines of the facts below a name.
func (e Entries) text(out *strings.Builder, prefix string) {
	for _, entry := range e {
		textOf(out, prefix+printable(entry.Name), entry.Value)
	}
}

// textOf appends the lines of one fact.
func textOf(out *strings.Builder, name string, value any) {
	switch v := value.(type) {
	case Entries:
		v.text(out, name+".")
	case []any:
		for i, element := range v {
			textOf(out, fmt.Sprintf("%s[%d]", name, i), element)
		}
	case string:
		if v != "" {
			fmt.Fprintf(out, "%s = %q\n", name, v)
		}
	case time.Time:
		if !v.IsZero() {
			fmt.Fprintf(out, "%s = %s\n", name, v.UTC().Format(time.RFC3339))
		}
	default:
		if !reflect.ValueOf(v).IsZero() {
			fmt.Fprintf(out, "%s = %v\n", name, v)
		}
	}
}

// printable is the name of a header field, quoted if it has to be.
func printable(name string) string {
	quoted := fmt.Sprintf("%q", name)
	if quoted == `"`+name+`"` {
		return name
	}
	return quoted
}
