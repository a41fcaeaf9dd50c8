package attach

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"assay/scan"
	"assay/verify/message"
)

// Bounds of names.
const (
	maxNames      = 50   // that are collected for one part
	maxName       = 1024 // octets of one name
	maxParameters = 200  // of one field that are looked at
)

// A name is one way to read the name of a file.
type name struct {
	text   string // without tricks, not empty
	traits []scan.Trait
	main   bool // the value of a parameter as the standards have it, no fallback and no lenient reading
}

// collectNames returns every name that a part could be shown or saved under, first the one that the standards say.
func collectNames(p *message.Part) []name {
	var names []name
	if p.Filename != "" {
		names = appendNames(names, p.Filename, true)
	}
	if other := p.Params["name"]; other != "" {
		names = appendNames(names, other, true)
	}
	for i := range p.Header {
		f := &p.Header[i]
		if !strings.EqualFold(f.Name, "Content-Disposition") && !strings.EqualFold(f.Name, "Content-Type") {
			continue
		}
		for _, value := range rawNames(string(f.Value())) {
			names = appendNames(names, value, false)
		}
	}
	return names
}

// appendNames adds the readings of one value that are not there yet: decoded, cleaned, and up to a NUL, where programs
// written in C stop.
func appendNames(names []name, value string, main bool) []name {
	value = decodeWords(value)
	names = appendName(names, value, main)
	if before, _, found := strings.Cut(value, "\x00"); found {
		names = appendName(names, before, false)
	}
	return names
}

// appendName adds one reading.
func appendName(names []name, value string, main bool) []name {
	text, traits := clean(value)
	if text == "" || len(names) >= maxNames {
		return names
	}
	for i := range names {
		if names[i].text == text {
			names[i].traits = append(names[i].traits, traits...)
			return names
		}
	}
	return append(names, name{text, traits, main})
}

// decodeWords decodes encoded words (RFC 2047), which mail programs do in names of files too.
func decodeWords(value string) string {
	if !strings.Contains(value, "=?") {
		return strings.ToValidUTF8(value, "\uFFFD")
	}
	return message.Field{Name: "X", Raw: []byte("X:" + value)}.Text()
}

// clean removes what deceives the reader of a name, and says what it was. The result is valid UTF-8 on one line.
func clean(value string) (string, []scan.Trait) {
	var traits []scan.Trait
	if strings.ContainsFunc(value, isReversing) {
		traits = append(traits, scan.RightToLeft)
	}
	if strings.IndexByte(value, 0) >= 0 {
		traits = append(traits, scan.HiddenExtension)
	}
	text := strings.Map(plainRune, strings.ToValidUTF8(value, "\uFFFD"))
	text = text[strings.LastIndexAny(text, `/\`)+1:]
	trimmed := strings.TrimRight(text, ". ")
	if hidesEnd(text, trimmed) || hidesByBlanks(trimmed) {
		traits = append(traits, scan.HiddenExtension)
	}
	text = collapse(strings.TrimLeft(trimmed, " "))
	return shorten(text), traits
}

// isReversing reports whether r changes the direction of what follows. Marks of direction (U+200E, U+200F, U+061C) are
// ordinary in names of right-to-left scripts and change nothing around Latin letters.
func isReversing(r rune) bool {
	return r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}

// plainRune maps characters to those they look like in a name, and drops those that cannot be seen.
func plainRune(r rune) rune {
	switch {
	case r == '\t' || r == '\u2800' || r == '\u3164' || unicode.IsSpace(r):
		return ' '
	case r < ' ' || r == 0x7f || unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r) || r == '\u034f':
		return -1
	case r == '\u2024' || r == '\u3002' || r == '\uff61' || r == '\ufe52':
		return '.'
	case r >= '\uff01' && r <= '\uff5e': // full-width forms of ASCII
		return r - '\uff01' + '!'
	}
	return r
}

// hidesEnd reports whether what was trimmed at the end keeps the extension from being seen: systems drop dots and blanks
// there, and checks of extensions do not. One blank behind a harmless name is a slip.
func hidesEnd(text, trimmed string) bool {
	dropped := len(text) - len(trimmed)
	ext := extension(trimmed)
	return ext != "" && dropped > 0 && (dropped > 1 || isExecutableExtension(ext))
}

// hidesByBlanks reports whether blanks or underscores push the extension out of sight.
func hidesByBlanks(text string) bool {
	const many = 8
	dot := strings.LastIndexByte(text, '.')
	if dot < 0 {
		return false
	}
	run := 0
	for i := range dot {
		if text[i] == ' ' || text[i] == '_' {
			if run++; run >= many {
				return true
			}
			continue
		}
		run = 0
	}
	long := utf8.RuneCountInString(text[:dot]) > 150
	return long && isExecutableExtension(extension(text))
}

// collapse makes one blank of several.
func collapse(text string) string {
	if !strings.Contains(text, "  ") {
		return text
	}
	return strings.Join(strings.Fields(text), " ")
}

// shorten cuts a long name in the middle, since its end decides what opens it.
func shorten(text string) string {
	if len(text) <= maxName {
		return text
	}
	const head, tail = maxName * 3 / 4, maxName/4 - 3
	return strings.ToValidUTF8(text[:head]+"..."+text[len(text)-tail:], "")
}
