package message

import (
	"strings"
	"unicode/utf8"
)

// Author says who the message claims to be from: it reads every From field (RFC 5322 Section 3.6.2) by the letter of
// the grammar, obsolete forms included, with UTF-8 (RFC 6532) and groups (RFC 6854). One deviation: an unquoted
// address as the display name of that same address ("a@example.com <a@example.com>") is common and no reader can take
// another author from it, so it is valid.
//
// Whatever is against the grammar is AuthorMalformed, and Mailboxes then also has what looks like an address, for a
// reader may take it for one. At most MaxMailboxes are listed.
func (h Header) Author() Author {
	var a Author
	malformed, group, empty := false, false, true
	for f := range h.All("From") {
		a.Fields++
		value := f.Value()
		p := addressParser{text: unfold(value), room: MaxMailboxes - len(a.Mailboxes)}
		p.parse()
		p.malformed = p.malformed || breaks(value)
		a.Mailboxes = append(a.Mailboxes, p.found...)
		malformed = malformed || p.malformed
		group = group || p.group
		empty = empty && p.empty
	}
	switch {
	case empty:
		a.Problem = AuthorMissing
	case a.Fields > 1:
		a.Problem = AuthorSeveralFields
	case malformed:
		a.Problem = AuthorMalformed
	case len(a.Mailboxes) > 1:
		a.Problem = AuthorSeveral
	case group:
		a.Problem = AuthorGroup
	}
	return a
}

// breaks reports whether value has a line break that is no fold: unfolding would join what does not belong together.
func breaks(value []byte) bool {
	for i, c := range value {
		if c == '\n' && (i+1 == len(value) || !isBlank(value[i+1])) {
			return true
		}
	}
	return false
}

// An addressParser reads a mailbox-list (RFC 5322 Section 3.4) without folds. Its methods skip comments and blanks
// behind what they read, and report false where the text is against the grammar.
type addressParser struct {
	text      string
	pos       int
	room      int // how many mailboxes may be found
	found     []Mailbox
	malformed bool
	group     bool // there is a group
	empty     bool // there is nothing but blanks and comments
}

func (p *addressParser) parse() {
	if !p.list() {
		p.malformed = true
		return
	}
	for i := range len(p.text) {
		if c := p.text[i]; c < ' ' && c != '\t' || c == 0x7f {
			p.malformed = true
		}
	}
}

// list reads elements up to the end. What follows the first malformed element is only searched for addresses.
func (p *addressParser) list() bool {
	elements := 0
	ok := p.blanks()
	p.empty = ok && p.pos == len(p.text)
	for ok && p.pos < len(p.text) {
		if p.take(',') { // RFC 5322 Section 4.4: obs-mbox-list has empty elements
			ok = p.blanks()
			continue
		}
		start, known := p.pos, len(p.found)
		ok = p.element(true) && (p.pos == len(p.text) || p.text[p.pos] == ',')
		if !ok {
			p.pos, p.found = start, p.found[:known]
		}
		elements++
	}
	if !ok {
		p.search(p.text[p.pos:])
	}
	return ok && (elements > 0 || p.empty)
}

// element reads a mailbox, or a group where one is allowed.
func (p *addressParser) element(groups bool) bool {
	start := p.pos
	name, ok := p.phrase()
	if !ok || p.pos == len(p.text) {
		return false
	}
	switch p.text[p.pos] {
	case '<':
		return p.angle(name)
	case ':':
		return groups && name != "" && p.members()
	case '@':
		p.pos = start
		return p.bare()
	}
	return false
}

// members reads what follows the name of a group.
func (p *addressParser) members() bool {
	p.group = true
	p.pos++
	for p.blanks() && p.pos < len(p.text) {
		switch {
		case p.take(';'):
			return p.blanks()
		case p.take(','):
		case !p.element(false):
			return false
		case p.pos < len(p.text) && p.text[p.pos] != ',' && p.text[p.pos] != ';':
			return false
		}
	}
	return false
}

// bare reads an addr-spec without angle brackets.
func (p *addressParser) bare() bool {
	start := p.pos
	m, ok := p.addrSpec()
	if !ok {
		return false
	}
	if p.pos == len(p.text) || p.text[p.pos] != '<' {
		p.add(m)
		return true
	}
	name := strings.TrimSpace(p.text[start:p.pos])
	known := len(p.found)
	if !p.angle(name) {
		return false
	}
	if known == len(p.found) { // no more room
		return true
	}
	same := p.found[known]
	return strings.EqualFold(same.Local, m.Local) && same.Domain == m.Domain
}

// angle reads an angle-addr and adds the mailbox.
func (p *addressParser) angle(name string) bool {
	p.pos++
	if !p.blanks() || !p.route() {
		return false
	}
	m, ok := p.addrSpec()
	if !ok || !p.take('>') {
		return false
	}
	m.Name, _ = decodeWords(name)
	m.Name = strings.ToValidUTF8(m.Name, "\uFFFD")
	p.add(m)
	return p.blanks()
}

// route reads the obs-route that may stand before the address (RFC 5322 Section 4.4).
func (p *addressParser) route() bool {
	if p.pos == len(p.text) || p.text[p.pos] != '@' && p.text[p.pos] != ',' {
		return true
	}
	for p.pos < len(p.text) {
		switch {
		case p.take(','):
		case p.take('@'):
			if !p.blanks() {
				return false
			}
			if _, ok := p.domain(); !ok {
				return false
			}
		case p.take(':'):
			return p.blanks()
		default:
			return false
		}
		if !p.blanks() {
			return false
		}
	}
	return false
}

// addrSpec reads local-part "@" domain.
func (p *addressParser) addrSpec() (m Mailbox, ok bool) {
	var local strings.Builder
	for {
		word, ok := p.word()
		if !ok || !p.blanks() {
			return m, false
		}
		local.WriteString(word)
		if !p.take('.') {
			break
		}
		local.WriteByte('.')
		if !p.blanks() {
			return m, false
		}
	}
	if !p.take('@') || !p.blanks() {
		return m, false
	}
	m.Local = local.String()
	m.Domain, ok = p.domain()
	return m, ok && utf8.ValidString(m.Local)
}

// domain reads a domain or a domain-literal.
func (p *addressParser) domain() (string, bool) {
	if p.pos < len(p.text) && p.text[p.pos] == '[' {
		return p.literal()
	}
	var name strings.Builder
	for {
		atom := p.atom(false)
		if atom == "" || !p.blanks() {
			return "", false
		}
		name.WriteString(atom)
		if !p.take('.') {
			break
		}
		name.WriteByte('.')
		if !p.blanks() {
			return "", false
		}
	}
	return canonicalDomain(name.String())
}

// literal reads a domain-literal, and keeps its brackets.
func (p *addressParser) literal() (string, bool) {
	n := strings.IndexAny(p.text[p.pos+1:], "[]\\")
	if n < 0 || p.text[p.pos+1+n] != ']' {
		return "", false
	}
	inside := strings.Trim(p.text[p.pos+1:p.pos+1+n], " \t")
	p.pos += n + 2
	if inside == "" || len(inside) > maxDomain {
		return "", false
	}
	for i := range len(inside) {
		if inside[i] <= ' ' || inside[i] >= 0x7f {
			return "", false
		}
	}
	return "[" + strings.ToLower(inside) + "]", p.blanks()
}

// phrase reads a display name, which may be empty, with quoting removed and one blank between its words. It stops
// before what can be part of none.
func (p *addressParser) phrase() (string, bool) {
	var name strings.Builder
	end := p.pos // of the word before
	for p.pos < len(p.text) {
		apart := p.pos > end
		var word string
		if p.text[p.pos] == '"' {
			var ok bool
			if word, ok = p.quoted(); !ok {
				return "", false
			}
		} else if word = p.atom(true); word == "" { // RFC 5322 Section 4.1: obs-phrase has dots
			break
		}
		if name.Len() > 0 && apart {
			name.WriteByte(' ')
		}
		name.WriteString(word)
		end = p.pos
		if !p.blanks() {
			return "", false
		}
	}
	return name.String(), true
}

// word reads an atom or a quoted-string.
func (p *addressParser) word() (string, bool) {
	if p.pos < len(p.text) && p.text[p.pos] == '"' {
		return p.quoted()
	}
	atom := p.atom(false)
	return atom, atom != ""
}

// atom reads atext (RFC 5322 Section 3.2.3, RFC 6532 Section 3.2), "" if there is none.
func (p *addressParser) atom(dots bool) string {
	start := p.pos
	for p.pos < len(p.text) && (isAtext(p.text[p.pos]) || dots && p.text[p.pos] == '.') {
		p.pos++
	}
	return p.text[start:p.pos]
}

func isAtext(c byte) bool {
	switch c {
	case '(', ')', '<', '>', '[', ']', ':', ';', '@', '\\', ',', '.', '"':
		return false
	}
	return c > ' ' && c != 0x7f
}

// quoted reads a quoted-string and removes its quoting.
func (p *addressParser) quoted() (string, bool) {
	var s strings.Builder
	for p.pos++; p.pos < len(p.text); p.pos++ {
		switch c := p.text[p.pos]; {
		case c == '"':
			p.pos++
			return s.String(), true
		case c == '\\' && p.pos+1 < len(p.text):
			p.pos++
			s.WriteByte(p.text[p.pos])
		default:
			s.WriteByte(c)
		}
	}
	return "", false
}

// blanks skips blanks and comments. It skips nothing and reports false when a comment does not end.
func (p *addressParser) blanks() bool {
	start, depth := p.pos, 0
	for ; p.pos < len(p.text); p.pos++ {
		switch c := p.text[p.pos]; {
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case c == '\\' && depth > 0 && p.pos+1 < len(p.text):
			p.pos++
		case depth > 0 || isBlank(c):
		default:
			return true
		}
	}
	if depth > 0 {
		p.pos = start
	}
	return depth == 0
}

// take skips c if it is next.
func (p *addressParser) take(c byte) bool {
	if p.pos < len(p.text) && p.text[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

func (p *addressParser) add(m Mailbox) {
	if len(p.found) < p.room {
		p.found = append(p.found, m)
	}
}

// search adds everything in text that looks like an address. Quoted strings and comments are left out, unless they are
// all there is.
func (p *addressParser) search(text string) {
	known := len(p.found)
	p.searchIn(text, false)
	if len(p.found) == known {
		p.searchIn(text, true)
	}
}

// searchIn is search with or without what is inside quotes and comments. What does not end has no inside.
func (p *addressParser) searchIn(text string, inside bool) {
	q := addressParser{text: text}
	local := "" // what ends at q.pos and can be a local part
	for q.pos < len(text) {
		start := q.pos
		switch c := text[start]; {
		case isLocalChar(c):
			for q.pos < len(text) && isLocalChar(text[q.pos]) {
				q.pos++
			}
			local = text[start:q.pos]
		case c == '@':
			q.pos++
			p.addSeen(local, q.seenDomain())
			local = ""
		case c == '"' && !inside:
			var closed bool
			if local, closed = q.quoted(); !closed {
				q.pos, inside = start+1, true
			}
		case c == '(' && !inside:
			local = ""
			inside = !q.blanks()
		default:
			q.pos++
			local = ""
		}
	}
}

// seenDomain reads what can be a domain.
func (p *addressParser) seenDomain() string {
	start := p.pos
	for p.pos < len(p.text) && isDomainChar(p.text[p.pos]) {
		p.pos++
	}
	return strings.Trim(p.text[start:p.pos], ".")
}

// addSeen adds an address that was found by searching.
func (p *addressParser) addSeen(local, name string) {
	if local == "" || name == "" || len(name) > maxDomain {
		return
	}
	domain, ok := canonicalDomain(name)
	if !ok {
		domain = asciiDomain(name)
	}
	if domain != "" {
		p.add(Mailbox{Local: local, Domain: domain})
	}
}

func isLocalChar(c byte) bool { return isAtext(c) || c == '.' }

func isDomainChar(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '-' || c == '.' || c == '_' || c >= 0x80
}
