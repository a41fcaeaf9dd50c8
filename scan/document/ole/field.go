package ole

import (
	"strconv"
	"strings"

	"assay/scan"
)

// Characters that make a field ([MS-DOC] 2.8.25).
const (
	fieldBegin     = 0x13
	fieldSeparator = 0x14
	fieldEnd       = 0x15
)

// Bounds of what is kept of fields.
const (
	maxFieldDepth = 40
	maxFieldCode  = 4096 // characters
	maxFieldNames = 100  // that SET fields give
	maxInserted   = 4 << 20
	maxFields     = 500_000
)

// A field is one that was not ended yet.
type field struct {
	code, result []rune
	inResult     bool
}

// A fieldReader takes text character by character and tells about each field at its end: its code, in which fields that are
// nested in it stand as what they result in, and what the reader sees.
type fieldReader struct {
	report  func(words []string, result string)
	stack   []field
	count   int // fields that have begun
	beyond  int // fields that are not kept
	tooDeep bool
	// inserted is the length of all text that nested fields have become.
	inserted int
	names    map[string]string // texts that SET fields have given a name
}

// char takes the next character.
func (f *fieldReader) char(c rune) {
	switch {
	case c == fieldBegin && (len(f.stack) == maxFieldDepth || f.count == maxFields):
		f.beyond++
		f.tooDeep = true
	case c == fieldBegin:
		f.push()
	case c == fieldEnd && f.beyond > 0:
		f.beyond--
	case len(f.stack) == 0:
	case c == fieldEnd:
		f.pop()
	case c == fieldSeparator && f.beyond == 0:
		f.stack[len(f.stack)-1].inResult = true
	case c != fieldSeparator:
		f.stack[len(f.stack)-1].add(c)
	}
}

// push begins a field. What a field before has used is used again.
func (f *fieldReader) push() {
	f.count++
	if len(f.stack) == cap(f.stack) {
		f.stack = append(f.stack, field{})
		return
	}
	f.stack = f.stack[:len(f.stack)+1]
	top := &f.stack[len(f.stack)-1]
	*top = field{code: top.code[:0], result: top.result[:0]}
}

// add appends a character to the code or the result.
func (f *field) add(c rune) {
	to := &f.code
	if f.inResult {
		to = &f.result
	}
	if len(*to) < maxFieldCode {
		*to = append(*to, c)
	}
}

// end ends all fields that are open at the end of the text.
func (f *fieldReader) end() {
	for len(f.stack) > 0 {
		f.pop()
	}
}

// pop ends a field, and puts what it results in into the one around it.
func (f *fieldReader) pop() {
	top := f.stack[len(f.stack)-1]
	f.stack = f.stack[:len(f.stack)-1]
	words, result := fieldWords(string(top.code)), string(top.result)
	if len(words) > 0 {
		words[0] = strings.ToUpper(words[0])
		f.report(words, result)
	}
	if len(f.stack) == 0 {
		if len(words) > 0 && words[0] == "SET" {
			f.set(words)
		}
		return
	}
	f.insert(f.value(words, result))
}

// insert puts text into the innermost field. What names stand for may make it long; all of that together is bounded.
func (f *fieldReader) insert(text string) {
	if f.inserted += len(text); f.inserted > maxInserted {
		f.tooDeep = true
		return
	}
	for _, c := range text {
		f.stack[len(f.stack)-1].add(c)
	}
}

// set remembers what a SET field gives a name.
func (f *fieldReader) set(words []string) {
	if len(words) < 2 || len(f.names) >= maxFieldNames {
		return
	}
	if f.names == nil {
		f.names = make(map[string]string)
	}
	f.names[strings.ToUpper(words[1])] = strings.Join(words[2:], " ")
}

// value returns what a field in another one becomes: the text that it makes when it is updated, as far as that follows from
// the document, or else what it shows.
func (f *fieldReader) value(words []string, result string) string {
	if len(words) == 0 {
		return result
	}
	switch words[0] {
	case "QUOTE":
		return quoted(words[1:])
	case "SET":
		f.set(words)
		return ""
	case "REF":
		words = words[1:]
	}
	if len(words) > 0 {
		if text, ok := f.names[strings.ToUpper(words[0])]; ok {
			return text
		}
	}
	return result
}

// quoted returns the text of a QUOTE field, in which numbers are characters.
func quoted(words []string) string {
	var b strings.Builder
	for _, w := range words {
		n, err := strconv.ParseUint(w, 0, 16)
		switch {
		case strings.HasPrefix(w, `\`):
		case err == nil && n > 0:
			b.WriteRune(rune(n))
		default:
			b.WriteString(w)
		}
	}
	return b.String()
}

// fieldWords splits the code of a field at blanks that are not quoted.
func fieldWords(code string) []string {
	var words []string
	var word strings.Builder
	inWord, quote := false, false
	flush := func() {
		if inWord {
			words = append(words, word.String())
		}
		word.Reset()
		inWord = false
	}
	for _, c := range code {
		switch {
		case c == '"' || c == '\u201c' || c == '\u201d' || c == 0x93 || c == 0x94:
			quote, inWord = !quote, true
		case !quote && (c <= ' ' || c == 0xa0):
			flush()
		case c >= ' ':
			word.WriteRune(c)
			inWord = true
		}
	}
	flush()
	return words
}

// field notes what a field does ([ECMA-376-1] 17.16.5).
func (r *reading) field(words []string, result string) {
	args := words[1:]
	switch words[0] {
	case "DDE", "DDEAUTO":
		r.sign(scan.DDE, "field "+words[0]+" "+clip(strings.Join(args, " "), maxText))
	case "HYPERLINK":
		for i := 0; i < len(args); i++ {
			if strings.HasPrefix(args[i], `\`) && len(args[i]) == 2 {
				if c := args[i][1]; c != 'n' && c != 'm' && c != 'h' {
					i++ // what belongs to the switch
				}
				continue
			}
			r.link(scan.FromAnchor, unescape(args[i]), result)
			break
		}
	case "INCLUDEPICTURE", "INCLUDETEXT", "INCLUDE", "IMPORT", "LINK", "RD", "DATABASE":
		for _, a := range args {
			if isRemote(unescape(a)) {
				r.remote(scan.RemoteObject, "field "+words[0], unescape(a))
				break
			}
		}
	case "CONTROL":
		r.sign(scan.ActiveX, "field CONTROL "+clip(strings.Join(args, " "), maxText))
	}
}

// unescape undoes that a field has each backslash twice.
func unescape(s string) string { return strings.ReplaceAll(s, `\\`, `\`) }
