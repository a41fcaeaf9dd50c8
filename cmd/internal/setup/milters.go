package setup

import (
	"slices"
	"strings"
)

// splitMilters splits the value of smtpd_milters into its entries, as Postfix does: at commas and blanks, but not inside
// braces.
func splitMilters(value string) []string {
	var entries []string
	depth, begin := 0, -1
	end := func(i int) {
		if begin >= 0 {
			entries = append(entries, value[begin:i])
			begin = -1
		}
	}
	for i, c := range []byte(value) {
		switch {
		case depth == 0 && (c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			end(i)
			continue
		case c == '{':
			depth++
		case c == '}' && depth > 0:
			depth--
		}
		if begin < 0 {
			begin = i
		}
	}
	end(len(value))
	return entries
}

// address returns the address of an entry, without braces and settings.
func address(entry string) string {
	inner := strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(entry, "{"), "}"))
	if i := strings.IndexAny(inner, ", \t"); i >= 0 {
		inner = inner[:i]
	}
	return inner
}

// own is what Assay's entry in a list of milters looks like.
type own struct {
	entry     string   // as it is written
	addresses []string // of Assay: every one under which an entry may name it
	replace   bool     // an entry with another of these addresses is replaced
	last      bool
}

// is reports whether an entry names Assay.
func (o own) is(entry string) bool { return slices.Contains(o.addresses, address(entry)) }

// with returns a list with Assay in it once. One that has Assay is left as it is.
func (o own) with(value string) string {
	entries := splitMilters(value)
	at := slices.IndexFunc(entries, o.is)
	switch {
	case at >= 0 && (!o.replace || address(entries[at]) == address(o.entry)):
		return value
	case at >= 0:
		entries[at] = o.entry
	case o.last:
		entries = append(entries, o.entry)
	default:
		entries = slices.Insert(entries, 0, o.entry)
	}
	return strings.Join(entries, ", ")
}

// without returns a list without Assay.
func (o own) without(value string) string {
	entries := splitMilters(value)
	if !slices.ContainsFunc(entries, o.is) {
		return value
	}
	return strings.Join(slices.DeleteFunc(entries, o.is), ", ")
}
