package html

// InsertNote returns a document with a fragment as the first thing of its body. The fragment has to be safe, and ASCII or
// in the charset of the document.
func InsertNote(src, note []byte) []byte {
	at := bodyStart(src)
	out := make([]byte, 0, len(src)+len(note))
	out = append(out, src[:at]...)
	out = append(out, note...)
	return append(out, src[at:]...)
}

// bodyStart returns the offset at which the content of the body begins: behind <body>, or in front of the first thing
// that is no part of a head.
func bodyStart(src []byte) int {
	l := lexer{src: src}
	head, found := 0, false
	for {
		switch l.next() {
		case tokenEnd, tokenUnfinished:
			if !found {
				return l.start
			}
			return head
		case tokenStart:
			if string(l.name) == "body" {
				return l.pos
			}
			if isRawText(l.name) {
				l.raw = append([]byte(nil), l.name...)
			}
			if !found && !inHead(l.name) {
				head, found = l.start, true
			}
		case tokenText:
			if !found && len(collapse(l.token())) > 0 && string(l.token()) != "\xef\xbb\xbf" {
				head, found = l.start, true
			}
		}
	}
}

// inHead says whether an element can stand in a head.
func inHead(name []byte) bool {
	switch string(name) {
	case "html", "head", "meta", "title", "style", "link", "base", "script", "noscript":
		return true
	}
	return false
}
