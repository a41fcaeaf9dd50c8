package message

import (
	"bytes"
	"iter"
	"strings"
)

// Count returns how many fields have this name. Names of fields are compared without regard to case (RFC 5322
// Section 1.2.2).
func (h Header) Count(name string) int {
	n := 0
	for range h.All(name) {
		n++
	}
	return n
}

// All yields the fields with this name in wire order.
func (h Header) All(name string) iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for i := range h {
			if sameName(h[i].Name, name) && !yield(h[i]) {
				return
			}
		}
	}
}

// Text returns the text of the first field with this name, "" if there is none. See Field.Text.
func (h Header) Text(name string) string {
	for f := range h.All(name) {
		return f.Text()
	}
	return ""
}

// Value returns the octets behind the colon, folding included, without the final CRLF.
func (f Field) Value() []byte {
	v := f.Raw[bytes.IndexByte(f.Raw, ':')+1:]
	v = bytes.TrimSuffix(v, []byte("\n"))
	return bytes.TrimSuffix(v, []byte("\r"))
}

// sameName compares names of fields; the length decides most comparisons.
func sameName(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }

// A nameCounter numbers fields of the same name. Few names are compared one by one, many are looked up: both an
// ordinary and a hostile header section cost time linear in their fields.
type nameCounter struct {
	few  []nameCount
	many map[string]int // keys in lower case
}

type nameCount struct {
	name  string
	count int
}

const fewNames = 32

// next returns how often name has been seen, this time included.
func (c *nameCounter) next(name string) int {
	if c.many != nil {
		key := strings.ToLower(name)
		c.many[key]++
		return c.many[key]
	}
	for i := range c.few {
		if sameName(c.few[i].name, name) {
			c.few[i].count++
			return c.few[i].count
		}
	}
	if len(c.few) < fewNames {
		c.few = append(c.few, nameCount{name, 1})
		return 1
	}
	c.many = make(map[string]int, 2*fewNames)
	for _, n := range c.few {
		c.many[strings.ToLower(n.name)] = n.count
	}
	return c.next(name)
}
