package sheet

import (
	"strings"

	"assay/scan"
	"assay/scan/container"
)

// A Formula is what a formula does outside of its sheet.
type Formula struct {
	Signs []container.Sign
	Links []container.Link
}

// maxWord bounds what is looked at before an operator, and quoted in a Detail.
const maxWord = 100

// ReadFormula looks at a formula, with or without the sign it begins with. It understands what is common to Excel, to
// LibreOffice and to Google Sheets; the texts in it are no part of what it judges. Its costs are linear.
func ReadFormula(text string) Formula {
	var out Formula
	r := formulaReader{text: text, out: &out}
	r.read()
	return out
}

// A formulaReader walks over one formula.
type formulaReader struct {
	text string
	at   int
	out  *Formula
}

// read looks for the operator of DDE and at the calls of functions.
func (r *formulaReader) read() {
	word, braces := 0, 0 // where the word before the position begins; an inline array of OpenFormula has a bar between its rows
	for r.at < len(r.text) {
		c := r.text[r.at]
		switch {
		case c == '"':
			r.skipQuoted('"')
			word = r.at
			continue
		case c == '\'':
			word = r.at
			r.skipQuoted('\'')
			continue
		case c == '|' && braces == 0 && r.at > word && r.link(r.text[word:r.at]):
			word = r.at
			continue
		case c == '(':
			r.call(word)
		case c == '{':
			braces++
		case c == '}':
			braces = max(0, braces-1)
		}
		r.at++
		if !isWord(c) && (c != ' ' || r.at < len(r.text) && r.text[r.at] != ' ' && r.text[r.at] != '(') {
			word = r.at
		}
	}
}

// isWord reports whether c may be in the name of a function or a program. Whatever is beyond ASCII may.
func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c >= 0x80 || c == '\\' || c == ':'
}

// skipQuoted goes behind a quoted text. A doubled quote stands for one.
func (r *formulaReader) skipQuoted(quote byte) {
	r.at++
	for r.at < len(r.text) {
		i := strings.IndexByte(r.text[r.at:], quote)
		if i < 0 {
			r.at = len(r.text)
			return
		}
		r.at += i + 1
		if r.at >= len(r.text) || r.text[r.at] != quote {
			return
		}
		r.at++
	}
}

// link reads a reference by Dynamic Data Exchange, which is application|topic!item; the application or the topic may stand
// in single quotes. The position is at the operator; it moves on only if there is a reference.
func (r *formulaReader) link(app string) bool {
	if c := app[0]; c >= '0' && c <= '9' || app[len(app)-1] == ' ' {
		return false
	}
	rest := r.text[r.at+1:]
	var topic string
	if strings.HasPrefix(rest, "'") {
		sub := formulaReader{text: rest}
		sub.skipQuoted('\'')
		topic, rest = rest[:sub.at], rest[sub.at:]
	} else {
		n := strings.IndexAny(rest, "!|\"' \r\n\t,;(")
		if n <= 0 {
			return false
		}
		topic, rest = rest[:n], rest[n:]
	}
	if len(rest) < 2 || rest[0] != '!' || !isWord(rest[1]) && strings.IndexByte("'$#_", rest[1]) < 0 {
		return false
	}
	r.at = len(r.text) - len(rest) + 1
	r.sign(scan.DDE, "a formula starts "+short(app+"|"+topic))
	return true
}

// call looks at a function by its name, which begins at word. The position is at the bracket.
func (r *formulaReader) call(word int) {
	name := strings.ToUpper(strings.TrimSpace(r.text[max(word, r.at-maxWord):r.at]))
	before := strings.TrimRight(r.text[max(0, word-maxWord):word], " ")
	if before != "" && (isWord(before[len(before)-1]) || before[len(before)-1] == ')') {
		return // words of a text
	}
	if i := strings.LastIndexAny(name, ":."); i >= 0 && name != "REGISTER.ID" { // _xlfn.WEBSERVICE, of:COM.MICROSOFT.WEBSERVICE
		name = name[i+1:]
	}
	switch name {
	case "DDE", "DDEINITIALIZE":
		r.sign(scan.DDE, "the function DDE")
	case "EXEC", "CALL", "REGISTER", "INITIATE", "FOPEN", "REGISTER.ID", "RUN":
		r.sign(scan.XLMMacros, "the macro function "+name)
	case "WEBSERVICE", "IMPORTXML", "IMPORTDATA", "IMPORTHTML", "IMPORTFEED", "IMPORTRANGE", "IMAGE":
		r.sign(scan.RemoteObject, "the function "+name)
		r.address(scan.FromRemote)
	case "HYPERLINK":
		r.address(scan.FromAnchor)
	}
}

// address takes the first argument of a function for a Link, if it is a text that is an address.
func (r *formulaReader) address(source scan.Source) {
	rest := strings.TrimLeft(r.text[r.at+1:], " ")
	if !strings.HasPrefix(rest, `"`) {
		return
	}
	text, _, _ := strings.Cut(rest[1:min(len(rest), 4096)], `"`)
	if strings.Contains(text, ":") && !strings.HasPrefix(text, "#") || strings.HasPrefix(text, `\\`) || strings.HasPrefix(text, "//") {
		r.out.Links = append(r.out.Links, container.Link{URL: text, Source: source})
	}
}

// sign adds a Sign, once for each Trait.
func (r *formulaReader) sign(trait scan.Trait, detail string) {
	for i := range r.out.Signs {
		if r.out.Signs[i].Trait == trait {
			r.out.Signs[i].Count++
			return
		}
	}
	r.out.Signs = append(r.out.Signs, container.Sign{Trait: trait, Detail: detail, Count: 1})
}

// short bounds a text that is quoted.
func short(s string) string {
	if len(s) > maxWord {
		return strings.ToValidUTF8(s[:maxWord], "") + "..."
	}
	return s
}
