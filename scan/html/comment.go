package html

import "bytes"

// comment keeps comments that are harmless for whoever opens them. A reader may end a comment earlier or later than HTML
// does, and Word reads conditional comments as markup.
func (f *filter) comment() {
	f.tags++
	t := f.lexer.token()
	if f.lexer.loose || !bytes.HasSuffix(t, []byte("-->")) {
		f.drop(kComment)
		return
	}
	data := t[4 : len(t)-3]
	out, ok := f.judgeComment(data)
	switch {
	case !ok:
		f.drop(kComment)
	case !bytes.Equal(out, data):
		f.replace(f.lexer.start, append(append([]byte("<!--"), out...), "-->"...))
	}
}

// judgeComment returns what may stay in a comment, which is data itself when nothing is changed; ok is false when the
// comment has to go.
func (f *filter) judgeComment(data []byte) (out []byte, ok bool) {
	if bytes.IndexByte(data, '<') < 0 {
		return data, true // text for every reader
	}
	if f.inside {
		return nil, false
	}
	if string(bytes.TrimSpace(data)) == "<![endif]" {
		return data, true
	}
	if n := condition(data); n > 0 {
		rest := bytes.TrimSpace(data[n:])
		if len(rest) == 0 || string(rest) == "<!" || string(rest) == "<!--" {
			return data, true
		}
		const end = "<![endif]"
		if bytes.HasSuffix(rest, []byte(end)) {
			return f.conditional(data, n, bytes.LastIndex(data, []byte(end)))
		}
	}
	sub := f.sub(data, true)
	if sub.run(); sub.changed {
		return nil, false
	}
	return data, true
}

// conditional filters the content of a conditional comment, data[from:to].
func (f *filter) conditional(data []byte, from, to int) ([]byte, bool) {
	sub := f.sub(data[from:to], f.quiet)
	sub.office = true
	inner := sub.run()
	f.tags += sub.tags
	if !sub.changed {
		return data, true
	}
	out := append(append(append([]byte(nil), data[:from]...), inner...), data[to:]...)
	if bytes.Contains(out, []byte("-->")) || bytes.Contains(out, []byte("--!>")) {
		return nil, false // what was taken out stood between the two halves
	}
	return out, true
}

// sub returns a filter for the content of a comment. It is the same every time: comments are not inside of each other.
func (f *filter) sub(data []byte, quiet bool) *filter {
	if f.spare == nil {
		f.spare = &filter{}
	}
	sub := f.spare
	*sub = filter{
		policy: f.policy, c: f.c, doc: f.doc, quiet: quiet, inside: true, anchor: -1,
		lexer:    lexer{src: data, attrs: sub.lexer.attrs[:0], lower: sub.lexer.lower[:0]},
		verdicts: sub.verdicts[:0],
	}
	return sub
}

// condition returns the length of "[if ...]>" at the start of a comment, 0 if it does not begin so.
func condition(data []byte) int {
	end := bytes.IndexByte(data[:min(len(data), 120)], '>')
	if end < 1 || !isCondition(data[:end]) {
		return 0
	}
	return end + 1
}

// isCondition says whether text is "[if ...]".
func isCondition(t []byte) bool {
	return len(t) > 5 && len(t) < 110 && bytes.EqualFold(t[:3], []byte("[if")) && classes[t[3]]&isBlank != 0 && t[len(t)-1] == ']' &&
		!bytes.ContainsAny(t[1:len(t)-1], "[]<>")
}
