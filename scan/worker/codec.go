package worker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"unicode/utf8"
)

// What is sent is written field by field in the order of the Go type, since both ends are the same program: numbers as
// varints, strings and lists with their length in front. Unlike JSON it keeps names and passwords that are not UTF-8 as they
// are.

const (
	maxString = 16 << 10 // octets of a string; longer ones are cut when they are sent
	maxMemory = 32 << 20 // octets that what is decoded from one frame may take
)

var (
	errTooLarge = errors.New("worker: more than can be reported")
	errGarbage  = errors.New("worker: malformed message")
)

// encode appends the encoding of a value to out.
func encode(out []byte, v any) ([]byte, error) {
	return appendValue(out, reflect.ValueOf(v))
}

// appendValue appends one value.
func appendValue(out []byte, v reflect.Value) ([]byte, error) {
	switch v.Kind() {
	case reflect.String:
		s := clip(v.String(), maxString)
		return append(binary.AppendUvarint(out, uint64(len(s))), s...), nil
	case reflect.Int, reflect.Int64:
		return binary.AppendVarint(out, v.Int()), nil
	case reflect.Bool:
		if v.Bool() {
			return append(out, 1), nil
		}
		return append(out, 0), nil
	case reflect.Slice:
		return appendList(binary.AppendUvarint(out, uint64(v.Len())), v, v.Len(), v.Index)
	case reflect.Struct:
		return appendList(out, v, v.NumField(), v.Field)
	}
	return nil, fmt.Errorf("worker: cannot send a %s", v.Type())
}

// appendList appends the elements or fields of v.
func appendList(out []byte, v reflect.Value, n int, at func(int) reflect.Value) ([]byte, error) {
	for i := range n {
		var err error
		if out, err = appendValue(out, at(i)); err != nil {
			return nil, err
		}
		if len(out) > maxFrame {
			return nil, fmt.Errorf("%w: %s", errTooLarge, v.Type())
		}
	}
	return out, nil
}

// clip cuts a string to at most limit octets, between two characters.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for end := limit; end >= 0 && end > limit-utf8.UTFMax; end-- {
		if utf8.RuneStart(s[end]) {
			return s[:end]
		}
	}
	return s[:limit] // not UTF-8
}

// decode sets the value that to points to. All of in has to be used.
func decode(in []byte, to any) error {
	d := decoder{in: in, left: maxMemory}
	if err := d.value(reflect.ValueOf(to).Elem()); err != nil {
		return err
	}
	if len(d.in) > 0 {
		return fmt.Errorf("%w: %d octets too many", errGarbage, len(d.in))
	}
	return nil
}

// A decoder reads values from what the other side has sent.
type decoder struct {
	in   []byte
	left int // octets of memory that may still be taken
}

// value reads one value.
func (d *decoder) value(v reflect.Value) error {
	switch v.Kind() {
	case reflect.String:
		n, err := d.length(1, maxString)
		if err != nil {
			return err
		}
		v.SetString(string(d.in[:n]))
		d.in = d.in[n:]
		return nil
	case reflect.Int, reflect.Int64:
		n, size := binary.Varint(d.in)
		if size <= 0 {
			return fmt.Errorf("%w: a number", errGarbage)
		}
		d.in = d.in[size:]
		v.SetInt(n)
		return nil
	case reflect.Bool:
		if len(d.in) == 0 || d.in[0] > 1 {
			return fmt.Errorf("%w: a boolean", errGarbage)
		}
		v.SetBool(d.in[0] == 1)
		d.in = d.in[1:]
		return nil
	case reflect.Slice:
		return d.list(v)
	case reflect.Struct:
		return d.elements(v.NumField(), v.Field)
	}
	return fmt.Errorf("worker: cannot receive a %s", v.Type())
}

// list reads a list. An empty one becomes nil.
func (d *decoder) list(v reflect.Value) error {
	n, err := d.length(int(v.Type().Elem().Size()), math.MaxInt)
	if n == 0 || err != nil {
		return err
	}
	v.Set(reflect.MakeSlice(v.Type(), n, n))
	return d.elements(n, v.Index)
}

// elements reads n values.
func (d *decoder) elements(n int, at func(int) reflect.Value) error {
	for i := range n {
		if err := d.value(at(i)); err != nil {
			return err
		}
	}
	return nil
}

// length reads the number of elements of a string or list. Each takes size octets of memory and at least one of the message.
func (d *decoder) length(size, limit int) (int, error) {
	n, used := binary.Uvarint(d.in)
	if used <= 0 {
		return 0, fmt.Errorf("%w: a length", errGarbage)
	}
	d.in = d.in[used:]
	if n > uint64(len(d.in)) || n > uint64(limit) || int(n) > d.left/size {
		return 0, fmt.Errorf("%w: a length of %d", errGarbage, n)
	}
	d.left -= int(n) * size
	return int(n), nil
}
