package facts

import (
	"fmt"
	"reflect"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/ext"
)

// EnvOptions declare the facts to CEL: one variable for each field of Tree, and their types.
func EnvOptions() []cel.EnvOption {
	tree := reflect.TypeFor[Tree]()
	natives := []any{ext.ParseStructTags(true)}
	var options []cel.EnvOption
	for i := range tree.NumField() {
		field := tree.Field(i)
		if s := structOf(field.Type); s != nil {
			natives = append(natives, s)
		}
		options = append(options, cel.Variable(nameOf(field), celType(field.Type)))
	}
	return append([]cel.EnvOption{ext.NativeTypes(natives...)}, options...)
}

// nameOf is the name of a fact in rules.
func nameOf(field reflect.StructField) string { return field.Tag.Get("cel") }

// structOf returns the struct of the facts that a field has or lists, nil if there is none.
func structOf(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() == reflect.Struct && t != reflect.TypeFor[time.Time]() {
		return t
	}
	return nil
}

// celType is the type of a field in rules.
func celType(t reflect.Type) *cel.Type {
	switch t.Kind() {
	case reflect.String:
		return cel.StringType
	case reflect.Bool:
		return cel.BoolType
	case reflect.Int:
		return cel.IntType
	case reflect.Float64:
		return cel.DoubleType
	case reflect.Slice:
		return cel.ListType(celType(t.Elem()))
	case reflect.Map:
		return cel.MapType(celType(t.Key()), celType(t.Elem()))
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() {
			return cel.TimestampType
		}
		return cel.ObjectType(t.String())
	}
	panic(fmt.Sprintf("facts: no type for %s", t)) // a field of Tree that a test would have found
}
