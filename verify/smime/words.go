package smime

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxReason bounds a text for people.
const maxReason = 400

// clean makes a text fit for reasons: ASCII without controls, and not too long. What a stranger wrote may be in it.
func clean(text string) string {
	return cut(strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case r < ' ' || r >= 0x7f:
			return '?'
		}
		return r
	}, text), maxReason)
}

// cleanName makes a name of a certificate fit for people: no controls, and none of the characters that turn the direction
// of what follows.
func cleanName(name string) string {
	return cut(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsGraphic(r) {
			return -1
		}
		return r
	}, name), maxReason)
}

// cut shortens text to at most n octets, between characters.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}
