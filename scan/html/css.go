package html

import "bytes"

// A cssSummary says what was seen in CSS.
type cssSummary struct {
	changed bool
	bad     int      // things cut because they run code or are addresses of a bad scheme
	loads   int      // addresses that are loaded without a click
	urls    [][]byte // the first of them
}

// maxCSSLinks is how many addresses of one piece of CSS are reported.
const maxCSSLinks = 50

// maxCSSBad is how many bad things are cut one by one. CSS with more is dropped as a whole.
const maxCSSBad = 200

// maxCSSDepth is how many brackets may be open. Deeper CSS is dropped as a whole.
const maxCSSDepth = 100

// plainCSS says whether CSS has nothing that could load or run: no function, escape, string, at-rule, and no property
// "behavior" or "-moz-binding".
func plainCSS(s []byte) bool {
	for i, c := range s {
		switch c {
		case '(', '\\', '@', '"', '\'', '<':
			return false
		case 'b', 'B':
			if i+2 < len(s) && (s[i+1]|0x20 == 'e' && s[i+2]|0x20 == 'h' || s[i+1]|0x20 == 'i' && s[i+2]|0x20 == 'n') {
				return false
			}
		case 'i', 'I', 'k', 'K':
			if i > 1 && s[i-1]|0x20 == 'l' && s[i-2] == '-' || i > 1 && s[i-1]|0x20 == 'r' && s[i-2]|0x20 == 'c' {
				return false // -o-link, script
			}
		case '/':
			if i+1 < len(s) && s[i+1] == '*' {
				return false
			}
		}
	}
	return true
}

// css returns CSS without what the policy forbids. Everything else is the same to the octet; s itself is returned when
// nothing is changed.
func (p *policy) css(s []byte) ([]byte, cssSummary) {
	if plainCSS(s) {
		return s, cssSummary{}
	}
	f := cssFilter{policy: p, lexer: cssLexer{src: s}, decl: -1, property: -1, cut: -1, rule: -1}
	out := f.run()
	if forbiddenWords(out, p.remote) {
		f.sum.changed, f.sum.bad = true, f.sum.bad+1
		return nil, f.sum
	}
	if !f.sum.changed {
		return s, f.sum
	}
	// What was cut must not have joined its neighbours to something new.
	again := cssFilter{policy: p, lexer: cssLexer{src: out}, decl: -1, property: -1, cut: -1, rule: -1}
	if again.run(); again.sum.changed {
		return nil, f.sum
	}
	return out, f.sum
}

// A cssFilter walks over the tokens of one piece of CSS once.
type cssFilter struct {
	*policy
	lexer  cssLexer
	out    []byte
	copied int // octets of the input that are dealt with
	sum    cssSummary

	decl     int // first octet of the declaration or selector, -1 between them
	property int // first octet of a property that must not be, behind which a colon decides; -1: none
	last     cssToken
	cut      int    // everything from here to the end of the declaration goes; -1: nothing does
	rule     int    // first octet of an @import that waits for its address, -1: none
	charset  bool   // the next string is that of @charset
	stack    []byte // open brackets: '(' '[' '{', and 'u' for a function whose strings are addresses
	inURL    int    // how many 'u' are in stack
}

// run filters everything.
func (f *cssFilter) run() []byte {
	for {
		t := f.lexer.next()
		if t.kind == cssEnd {
			break
		}
		if f.cut >= 0 && !f.endsCut(t) {
			continue
		}
		f.token(t)
		if len(f.stack) > maxCSSDepth || f.sum.bad > maxCSSBad {
			f.sum.changed, f.sum.bad = true, f.sum.bad+1
			return nil
		}
		if t.kind != cssBlank && t.kind != cssComment {
			f.last = t
		}
		f.lexer.buf = f.lexer.buf[:0]
	}
	if f.cut >= 0 {
		f.replace(f.cut, len(f.lexer.src), "")
	}
	if f.rule >= 0 {
		f.replace(f.rule, len(f.lexer.src), "")
	}
	if !f.sum.changed {
		return f.lexer.src
	}
	return append(f.out, f.lexer.src[f.copied:]...)
}

// replace puts text in the place of octets. What begins before the end of an earlier replacement goes on behind it.
func (f *cssFilter) replace(from, to int, text string) {
	f.sum.changed = true
	if from > f.copied {
		f.out = append(f.out, f.lexer.src[f.copied:from]...)
	}
	f.out = append(f.out, text...)
	f.copied = max(f.copied, to)
}

// endsCut says whether a declaration that is cut ends in front of this token, and if so cuts it.
func (f *cssFilter) endsCut(t cssToken) bool {
	if t.kind != ';' && t.kind != '}' {
		return false
	}
	f.replace(f.cut, t.start, " ")
	f.cut = -1
	return true
}

// begin starts to cut.
func (f *cssFilter) begin(from int) {
	f.sum.bad++
	f.cut = from
	f.decl, f.property, f.rule = -1, -1, -1
}

// declaration cuts from the beginning of the declaration that t is in.
func (f *cssFilter) declaration(t cssToken) {
	from := t.start
	if f.decl >= 0 {
		from = f.decl
	}
	f.begin(from)
}

func (f *cssFilter) token(t cssToken) {
	if f.rule >= 0 && !f.importTarget(t) {
		return
	}
	switch t.kind {
	case cssBlank:
		return
	case cssComment:
		f.comment(t)
		return
	case '{', ';', '}':
		f.decl, f.property = -1, -1
	default:
		if f.decl < 0 {
			f.decl = t.start
		}
	}
	switch t.kind {
	case cssIdent, cssFunction:
		f.name(t)
	case '(', '[', '{', ')', ']', '}':
		f.bracket(t)
	case ':':
		f.colon(t)
	case cssURL:
		f.address(t, "none")
	case cssBadURL:
		f.sum.bad++
		f.replace(t.start, t.end, "none")
	case cssString:
		f.text(t)
	case cssBadString:
		f.sum.bad++
		f.replace(t.start, t.end, `""`)
	case cssAt:
		f.atRule(t)
	}
	if t.kind != cssIdent {
		f.property = -1
	}
}

// comment removes comments that split a name, as old readers join its halves, and those with words that must not be.
func (f *cssFilter) comment(t cssToken) {
	src := f.lexer.src
	splits := t.start > 0 && cssName(src[t.start-1]) && t.end < len(src) && cssName(src[t.end])
	if splits || forbiddenWords(src[t.start:t.end], f.remote) {
		f.replace(t.start, t.end, " ")
	}
}

// name looks at names of properties and functions.
func (f *cssFilter) name(t cssToken) {
	v := t.value
	if t.kind == cssIdent {
		switch {
		case badProperty(v):
			f.property = t.start
		case len(v) > 6 && (bytes.EqualFold(v, []byte("javascript")) || bytes.EqualFold(v, []byte("vbscript"))):
			f.property = t.start
		default:
			f.property = -1
		}
		if bytes.IndexByte(v, '(') >= 0 && containsFold(v, "expression") {
			f.declaration(t)
		}
		return
	}
	if badFunction(v) || f.inURL > 0 && f.remote && !knownInURL(v) {
		f.declaration(t)
		return
	}
	if f.remote && (containsFold(v, "imageloader") || len(v) == 4 && bytes.EqualFold(v, []byte("attr")) && f.typed(t)) {
		f.declaration(t)
		return
	}
	if takesAddress(v) {
		f.stack = append(f.stack, 'u')
		f.inURL++
		return
	}
	f.stack = append(f.stack, '(')
}

// typed says whether an attr() asks for more than the text of an attribute, which could be an address.
func (f *cssFilter) typed(t cssToken) bool {
	rest := f.lexer.src[t.end:min(len(f.lexer.src), t.end+128)]
	return bytes.IndexByte(rest, '\\') >= 0 || containsFold(rest, "type(") || containsFold(rest, "url")
}

// bracket keeps the stack as CSS Syntax Section 5.4.8 does: only the bracket that fits closes.
func (f *cssFilter) bracket(t cssToken) {
	if t.kind == '(' && f.last.kind == cssIdent && bytes.EqualFold(f.lexer.src[f.last.start:f.last.end], []byte("expression")) {
		f.declaration(t)
		return
	}
	if t.kind == '(' || t.kind == '[' || t.kind == '{' {
		f.stack = append(f.stack, byte(t.kind))
		return
	}
	n := len(f.stack)
	if n == 0 {
		return
	}
	switch top := f.stack[n-1]; {
	case t.kind == ')' && (top == '(' || top == 'u'), t.kind == ']' && top == '[', t.kind == '}' && top == '{':
		f.stack = f.stack[:n-1]
		if top == 'u' {
			f.inURL--
		}
	}
}

// colon cuts the declaration of a property that must not be, but for the idiom that switches VML on in Word.
func (f *cssFilter) colon(t cssToken) {
	if f.property < 0 {
		return
	}
	rest := bytes.TrimLeft(f.lexer.src[t.end:], " \t\r\n\f")
	const vml = "url(#default#vml)"
	if len(rest) >= len(vml) && bytes.EqualFold(rest[:len(vml)], []byte(vml)) {
		rest = bytes.TrimLeft(rest[len(vml):], " \t\r\n\f")
		if len(rest) == 0 || rest[0] == ';' || rest[0] == '}' {
			return
		}
	}
	f.begin(f.property)
}

// address judges an address and puts something else in its place if need be.
func (f *cssFilter) address(t cssToken, instead string) {
	if !f.allowed(t.value) {
		f.replace(t.start, t.end, instead)
	}
}

// allowed says whether CSS may load from an address, and counts it.
func (f *cssFilter) allowed(v []byte) bool {
	switch schemeOf(v) {
	case schemeFragment, schemePart:
		return true
	case schemeNone:
		return !f.remote
	case schemeWeb, schemeNetwork:
		f.sum.loads++
		if len(f.sum.urls) < maxCSSLinks {
			f.sum.urls = append(f.sum.urls, bytes.Clone(v))
		}
		return !f.remote
	case schemeData:
		if isRasterData(v) || isFontData(v) {
			return true
		}
	}
	f.sum.bad++
	return false
}

// text judges a string: inside of image-set() and its like it is an address, elsewhere it must not run code.
func (f *cssFilter) text(t cssToken) {
	switch {
	case f.charset:
		f.charset = false
		if !transparent(string(bytes.ToLower(t.value))) {
			f.sum.bad++
			f.replace(t.start, t.end, `"utf-8"`)
		}
	case f.inURL > 0:
		f.address(t, `""`)
	case runs(t.value), forbiddenWords(t.value, f.remote):
		f.sum.bad++
		f.replace(t.start, t.end, `""`)
	}
}

// atRule looks at @import, which loads, and at @charset.
func (f *cssFilter) atRule(t cssToken) {
	switch {
	case bytes.EqualFold(t.value, []byte("import")):
		f.rule = t.start
		f.decl = -1
	case bytes.EqualFold(t.value, []byte("charset")):
		f.charset = true
	}
}

// importTarget looks for the address of an @import. It returns true when the token still has to be looked at.
func (f *cssFilter) importTarget(t cssToken) bool {
	switch {
	case t.kind == cssBlank || t.kind == cssComment:
		return true
	case t.kind == cssFunction && bytes.EqualFold(t.value, []byte("url")):
		return true
	case t.kind == cssURL || t.kind == cssString:
		bad := f.sum.bad
		s := schemeOf(t.value)
		if ok := f.allowed(t.value); ok && (s == schemeWeb || s == schemeNetwork || s == schemeNone) {
			f.rule = -1
			return true
		}
		from := f.rule
		f.begin(from)
		if s == schemeWeb || s == schemeNetwork {
			f.sum.bad = bad // nothing bad, but the level does not allow it
		}
		return false
	}
	f.begin(f.rule)
	return !(t.kind != ';' && t.kind != '}') && f.endsCut(t)
}

// badProperty says whether a property runs code or binds to something that does.
func badProperty(v []byte) bool {
	v = bytes.TrimLeft(v, "_")
	if len(v) < 7 || len(v) > 40 {
		return false
	}
	for _, bad := range []string{"behavior", "-ms-behavior", "-moz-binding", "-o-link", "-o-link-source", "include-source"} {
		if len(v) == len(bad) && bytes.EqualFold(v, []byte(bad)) {
			return true
		}
	}
	return len(v) > 10 && (containsFold(v, "-moz-binding") || containsFold(v, "ms-behavior"))
}

// badFunction says whether a function runs code. No function of CSS has letters beyond ASCII, and old Explorers read
// their wide forms as the narrow ones.
func badFunction(v []byte) bool {
	for _, c := range v {
		if c >= 0x80 {
			return true
		}
	}
	if len(v) < 4 {
		return false
	}
	return containsFold(v, "expression") || containsFold(v, "script") || bytes.EqualFold(v, []byte("eval"))
}

// takesAddress says whether strings in a function are addresses.
func takesAddress(v []byte) bool {
	switch {
	case len(v) == 3:
		return bytes.EqualFold(v, []byte("url")) || bytes.EqualFold(v, []byte("src"))
	case len(v) < 5:
		return false
	case bytes.EqualFold(v, []byte("image")):
		return true
	}
	return containsFold(v, "image-set") || containsFold(v, "cross-fade") || containsFold(v, "image-rect") || containsFold(v, "imageloader")
}

// knownInURL says whether a function inside of one that takes addresses cannot bring in an address from elsewhere, as
// var(), env(), attr() and if() do.
func knownInURL(v []byte) bool {
	switch string(bytes.ToLower(v[:min(len(v), 32)])) {
	case "url", "type", "image-set", "-webkit-image-set", "image", "cross-fade", "-webkit-cross-fade", "rgb", "rgba", "hsl", "hsla", "calc":
		return true
	}
	return containsFold(v, "gradient")
}

// containsFold says whether v has the word, which is in lower case, in any case.
func containsFold(v []byte, word string) bool {
	for i := 0; i+len(word) <= len(v); i++ {
		if v[i]|0x20 == word[0]|0x20 && bytes.EqualFold(v[i:i+len(word)], []byte(word)) {
			return true
		}
	}
	return false
}

// forbiddenWords says whether text has the words of CSS that acts, wherever they are: what a careful reader skips as a
// comment or a broken selector may be read by a careless one.
func forbiddenWords(s []byte, remote bool) bool {
	for i, c := range s {
		switch c {
		case 'x', 'X':
			if i > 0 && hasFold(s[i-1:], "expression") && firstOf(s[i-1+10:]) == '(' {
				return true
			}
		case 'b', 'B':
			if hasFold(s[i:], "behavior") && firstOf(s[i+8:]) == ':' && !isScroll(s[:i]) && !isVML(s[i+8:]) {
				return true
			}
		case '-':
			if hasFold(s[i:], "-moz-binding") {
				return true
			}
		case '@':
			if remote && hasFold(s[i:], "@import") {
				return true
			}
		}
	}
	return false
}

func hasFold(s []byte, word string) bool {
	return len(s) >= len(word) && s[1]|0x20 == word[1]|0x20 && bytes.EqualFold(s[:len(word)], []byte(word))
}

// firstOf returns the first octet that is no blank, 0 if there is none. Blanks are bounded, so that many words in front of
// many blanks cost no more than their length.
func firstOf(s []byte) byte {
	for _, c := range s[:min(len(s), 64)] {
		if classes[c]&isBlank == 0 {
			return c
		}
	}
	return 0
}

// isScroll says whether a property that ends in "behavior" is scroll-behavior, overscroll-behavior or transition-behavior.
func isScroll(before []byte) bool {
	return bytes.HasSuffix(before, []byte("scroll-")) || bytes.HasSuffix(before, []byte("transition-"))
}

func isVML(after []byte) bool {
	_, value, _ := bytes.Cut(after[:min(len(after), 128)], []byte(":"))
	return hasFold(bytes.TrimLeft(value, " \t\r\n\f"), "url(#default#vml)")
}
