package facts

import (
	"reflect"
	"strings"
	"time"
)

// CheckTables says what the tables have too much or too little of, "" when they fit the types.
func CheckTables() string {
	known := map[string]bool{}
	leaves(reflect.TypeFor[Tree](), "", func(l leaf) { known[l.key] = true })
	for key := range documentation {
		if !known[key] {
			return "a line for " + key + ", which does not exist"
		}
	}
	tree := reflect.TypeFor[Tree]()
	if tree.NumField() != len(variables) {
		return "there are not as many variables as fields"
	}
	for i := range tree.NumField() {
		name := nameOf(tree.Field(i))
		v, ok := variables[name]
		if !ok {
			return "no variable " + name
		}
		// Each reads its own field: the others are zero.
		var t Tree
		field := reflect.ValueOf(&t).Elem().Field(i)
		mark(field)
		if !reflect.DeepEqual(v.stated(&t), field.Interface()) || field.IsZero() {
			return name + " reads another field"
		}
	}
	for name := range stages {
		if _, ok := variables[strings.TrimSpace(name)]; !ok {
			return "a stage for " + name
		}
	}
	return ""
}

// mark makes a value other than zero.
func mark(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(1)
	case reflect.Float64:
		v.SetFloat(1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
	case reflect.Struct:
		if v.NumField() > 0 && v.Field(0).CanSet() {
			mark(v.Field(0))
			return
		}
		v.Set(reflect.ValueOf(markedTime()))
	}
}

func markedTime() time.Time { return time.Unix(1, 0) }
