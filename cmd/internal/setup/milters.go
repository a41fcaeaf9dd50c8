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

// addresses returns those of all entries.
func addresses(value string) []string {
	var all []string
	for _, entry := range splitMilters(value) {
		all = append(all, address(entry))
	}
	return all
}

// entrySettings returns what an entry says behind its address: "{ inet:..., name=value, ... }", where braces may stand around a pair.
func entrySettings(entry string) map[string]string {
	set := map[string]string{}
	inner, braced := strings.CutPrefix(entry, "{")
	if !braced {
		return set
	}
	for _, word := range splitMilters(strings.TrimSuffix(inner, "}")) {
		if name, value, ok := strings.Cut(strings.Trim(word, "{} \t"), "="); ok {
			set[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	return set
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

// in reports whether a list names Assay.
func (o own) in(value string) bool { return slices.ContainsFunc(splitMilters(value), o.is) }

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
	if !o.in(value) {
		return value
	}
	return strings.Join(slices.DeleteFunc(entries, o.is), ", ")
}
