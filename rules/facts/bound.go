package facts

import (
	"strings"
	"unicode/utf8"
)

// bounded returns s as valid UTF-8 of at most MaxString octets.
func bounded[T ~string](s T) string { return cut(string(s), MaxString) }

// cut returns s as valid UTF-8 of at most max octets.
func cut(s string, max int) string {
	if len(s) > max {
		for max > 0 && !utf8.RuneStart(s[max]) {
			max--
		}
		s = s[:max]
	}
	if utf8.ValidString(s) {
		return s
	}
	// An invalid octet becomes a character of three, so that is cut once more.
	return cut(strings.ToValidUTF8(s, "\uFFFD"), max)
}

// boundedList returns at most max strings, each bounded.
func boundedList[T ~string](list []T, max int) []string {
	list = list[:min(len(list), max)]
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = bounded(s)
	}
	return out
}
