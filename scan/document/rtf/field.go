package rtf

import (
	"strings"

	"assay/scan"
	"assay/scan/container"
)

// Limits of fields. What exceeds them is not read on; nothing that Word has made does.
const (
	maxNesting  = 64
	maxCode     = 16 << 10
	maxBookmark = 200
	maxSigns    = 1000
)

// Fields reads the fields of a document of Word (ECMA-376 Part 1 Section 17.16), whatever file format that is in. It is told of the
// parts of fields in the order of the document. The code of a field may hold fields whose results are parts of it; of those, QUOTE,
// SET and REF are evaluated, because they hide codes. The zero value is ready to be used.
type Fields struct {
	Signs []container.Sign
	Links []container.Link

	stack     []field
	deeper    int // fields that are nested beyond the limit
	loose     []byte
	bookmarks map[string]string
}

// A field is a field that has begun.
type field struct {
	code, shown []byte
	separated   bool
}

// Begin says that a field begins.
func (f *Fields) Begin() {
	f.flush()
	if len(f.stack) >= maxNesting {
		f.deeper++
		return
	}
	f.stack = append(f.stack, field{})
}

// Inside reports whether the text that comes is part of a code.
func (f *Fields) Inside() bool { return len(f.stack) > 0 }

// Text adds text of the document, which counts only inside of fields.
func (f *Fields) Text(s string) {
	if f.Inside() {
		f.Code(s)
	}
}

// Code adds to the code of the field. Outside of a field it begins one of its own.
func (f *Fields) Code(s string) {
	to := &f.loose
	if n := len(f.stack); n > 0 {
		to = &f.stack[n-1].code
		if f.stack[n-1].separated {
			to = &f.stack[n-1].shown
		}
	}
	*to = append(*to, s[:min(len(s), maxCode-min(maxCode, len(*to)))]...)
}

// Separate says that the code is complete and the result follows.
func (f *Fields) Separate() {
	f.flush()
	if n := len(f.stack); n > 0 && f.deeper == 0 {
		f.stack[n-1].separated = true
	}
}

// End says that the field ends.
func (f *Fields) End() {
	f.flush()
	if f.deeper > 0 {
		f.deeper--
		return
	}
	n := len(f.stack)
	if n == 0 {
		return
	}
	last := f.stack[n-1]
	f.stack = f.stack[:n-1]
	value := f.Evaluate(string(last.code))
	if value == "" {
		value = string(last.shown)
	}
	if len(f.stack) > 0 {
		f.Code(value)
	}
}

// Close ends the fields that have no end.
func (f *Fields) Close() {
	f.deeper = 0
	for len(f.stack) > 0 {
		f.End()
	}
	f.flush()
}

// flush evaluates a code that stands outside of fields.
func (f *Fields) flush() {
	if len(f.loose) > 0 {
		code := string(f.loose)
		f.loose = f.loose[:0]
		f.Evaluate(code)
	}
}

// Evaluate looks at a complete code and returns its result, as far as that is a matter of the code alone.
func (f *Fields) Evaluate(code string) string {
	code = strings.TrimLeft(code, " \t\r\n\"\x00\u00a0\u201c\u201d\u201e")
	n := 0
	for n < len(code) && (code[n] >= 'a' && code[n] <= 'z' || code[n] >= 'A' && code[n] <= 'Z' || code[n] == '_' || n > 0 && code[n] >= '0' && code[n] <= '9') {
		n++
	}
	word, rest := code[:n], code[n:]
	switch strings.ToUpper(word) {
	case "DDE", "DDEAUTO":
		f.sign(scan.DDE, "field "+strings.ToUpper(word)+" "+clip(strings.TrimSpace(rest)))
	case "INCLUDEPICTURE", "INCLUDETEXT", "INCLUDE", "IMPORT", "RD", "DATABASE":
		f.load(strings.ToUpper(word), rest, false)
	case "LINK":
		f.load("LINK", rest, true)
	case "HYPERLINK":
		f.follow(rest)
	case "QUOTE":
		return quoted(rest)
	case "SET":
		f.set(rest)
	case "REF":
		return f.bookmark(firstWord(rest))
	default:
		return f.bookmark(word)
	}
	return ""
}

// load looks at a field that loads what it names.
func (f *Fields) load(word, rest string, always bool) {
	for _, w := range words(rest) {
		if Remote(w.text) {
			f.sign(scan.RemoteObject, "field "+word+" "+clip(w.text))
			f.link(w.text, scan.FromRemote)
			return
		}
	}
	if always {
		f.sign(scan.RemoteObject, "field "+word)
	}
}

// follow looks at a hyperlink.
func (f *Fields) follow(rest string) {
	for _, w := range words(rest) {
		switch {
		case w.text == `\l`: // a place in the same document
			return
		case strings.HasPrefix(w.text, `\`) && !strings.HasPrefix(w.text, `\\`):
			continue
		}
		f.link(w.text, scan.FromAnchor)
		if Protocol(w.text) {
			f.sign(scan.RemoteObject, "link to "+clip(w.text))
		}
		return
	}
}

// set keeps the value of a bookmark.
func (f *Fields) set(rest string) {
	name := firstWord(rest)
	if name == "" || len(f.bookmarks) >= maxBookmark {
		return
	}
	if f.bookmarks == nil {
		f.bookmarks = map[string]string{}
	}
	_, value, _ := strings.Cut(rest, name)
	value = strings.Trim(strings.TrimSpace(value), `"`)
	f.bookmarks[strings.ToLower(name)] = value[:min(len(value), 4096)]
}

// bookmark returns the value of a bookmark, "" if it has none.
func (f *Fields) bookmark(name string) string { return f.bookmarks[strings.ToLower(name)] }

// sign adds a Sign.
func (f *Fields) sign(trait scan.Trait, detail string) {
	if len(f.Signs) < maxSigns {
		f.Signs = append(f.Signs, container.Sign{Trait: trait, Detail: detail, Count: 1})
	}
}

// link adds a Link. A backslash in the code of a field is written twice.
func (f *Fields) link(address string, source scan.Source) {
	if !strings.HasPrefix(address, `\\`) || strings.HasPrefix(address, `\\\\`) {
		address = strings.ReplaceAll(address, `\\`, `\`)
	}
	if len(f.Links) < maxSigns && address != "" {
		f.Links = append(f.Links, container.Link{URL: address[:min(len(address), 4096)], Source: source})
	}
}

// quoted returns the result of QUOTE: texts, and characters by their numbers.
func quoted(rest string) string {
	var out strings.Builder
	for _, w := range words(rest) {
		switch n, ok := number(w.text); {
		case w.quoted:
			out.WriteString(w.text)
		case ok:
			out.WriteRune(n)
		case !strings.HasPrefix(w.text, `\`):
			out.WriteString(w.text)
		}
	}
	return out.String()
}

// number reads the number of a character, decimal or hexadecimal with "0x".
func number(s string) (rune, bool) {
	base := rune(10)
	if hex, ok := strings.CutPrefix(strings.ToLower(s), "0x"); ok {
		s, base = hex, 16
	}
	if s == "" || len(s) > 6 {
		return 0, false
	}
	n := rune(0)
	for i := range len(s) {
		d := rune(hexValue(s[i]))
		if d < 0 || d >= base {
			return 0, false
		}
		n = n*base + d
	}
	return n, n > 0 && n <= 0x10ffff
}

// hexValue returns the value of a hexadecimal digit, -1 if c is none.
func hexValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// A word is one argument of a field.
type word struct {
	text   string
	quoted bool
}

// words splits the arguments of a field. Word takes its typographic quotation marks for quotation marks, too.
func words(rest string) []word {
	for _, mark := range []string{"\u201c", "\u201d", "\u201e"} {
		rest = strings.ReplaceAll(rest, mark, `"`)
	}
	rest = strings.ReplaceAll(rest, "\u00a0", " ")
	var out []word
	for len(out) < 4096 {
		rest = strings.TrimLeft(rest, " \t\r\n\x00")
		if rest == "" {
			break
		}
		var w word
		if rest[0] == '"' {
			w.quoted = true
			w.text, rest, _ = strings.Cut(rest[1:], `"`)
		} else if i := strings.IndexAny(rest, " \t\r\n\""); i >= 0 {
			w.text, rest = rest[:i], rest[i:]
		} else {
			w.text, rest = rest, ""
		}
		out = append(out, w)
	}
	return out
}

// firstWord returns the first argument, "" if there is none.
func firstWord(rest string) string {
	if all := words(rest); len(all) > 0 {
		return all[0].text
	}
	return ""
}

// clip bounds a text that is quoted in a Detail.
func clip(s string) string {
	const limit = 100
	if len(s) > limit {
		return strings.ToValidUTF8(s[:limit], "") + "..."
	}
	return s
}
