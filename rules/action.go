package rules

import (
	"regexp"
	"strconv"
	"strings"

	"assay/scan"
)

// loadActions compiles what stands behind "then".
func (l *loader) loadActions(then item) actions {
	a := actions{disposition: Deliver}
	l.loadDisposition(then, &a)
	a.tag, a.note = l.text(then.get("tag_subject")), l.text(then.get("note"))
	for _, h := range then.get("add_header").all() {
		l.loadHeader(h, &a)
	}
	if html := then.get("strip_active_html"); html.has() {
		level := html
		if html.get("level").has() {
			level = html.get("level")
		}
		a.html = &htmlAction{level: scan.Level(level.text()), unwrap: html.get("signed").has()}
	}
	l.loadRemoval(then.get("remove_attachments"), &a)
	for _, channel := range then.get("notify").all() {
		if channel.text() == Recipients && a.disposition == Reject {
			channel.report("%s are told about mail that is kept for them: a message that is rejected goes back to its sender, who is told why", Recipients)
			continue
		}
		if channel.text() != Recipients && l.opt.Channels != nil && !contains(l.opt.Channels, channel.text()) {
			channel.report("there is no channel %q%s; channels are defined in the configuration", clip(channel.text()), didYouMean(channel.text(), l.opt.Channels))
			continue
		}
		a.notify = append(a.notify, channel.text())
	}
	if (a.disposition == Reject || a.disposition == Defer) && a.edits() {
		then.report("%s sends the message back, so tag_subject, add_header, strip_active_html and remove_attachments never take effect: remove them", a.disposition)
	}
	return a
}

// contains reports whether a word is among some.
func contains(words []string, word string) bool {
	for _, w := range words {
		if w == word {
			return true
		}
	}
	return false
}

// loadDisposition compiles the disposition, of which there can be only one.
func (l *loader) loadDisposition(then item, a *actions) {
	var given []string
	for _, name := range []string{"reject", "quarantine", "defer", "junk"} {
		if then.get(name).has() {
			given = append(given, name)
		}
	}
	if len(given) > 1 {
		then.report("%s at once: a message can only be treated in one way, keep one of them", strings.Join(given, " and "))
		return
	}
	if len(given) == 0 {
		return
	}
	value := then.get(given[0])
	switch given[0] {
	case "reject":
		a.disposition = Reject
		l.loadReply(value, a)
	case "defer":
		a.disposition, a.code, a.enhanced = Defer, 451, "4.7.1"
		l.loadReply(value, a)
	case "quarantine":
		l.loadQuarantine(value, a)
	case "junk":
		a.disposition = Junk
	}
}

// loadQuarantine compiles quarantine: a reason, or a reason and who may release the message.
func (l *loader) loadQuarantine(value item, a *actions) {
	a.disposition, a.release = Quarantine, l.opt.Release
	if value.n.Kind == scalarNode {
		a.text = l.text(value)
		return
	}
	a.text = l.text(value.get("reason"))
	if a.text == nil {
		a.text = &textParts{} // its absence is reported already
	}
	if release := value.get("release"); release.has() {
		a.release, a.releaseSaid = Release(release.text()), true
	}
}

// replyPattern is the beginning of a reply: code, enhanced code (RFC 3463) and text.
var replyPattern = regexp.MustCompile(`^(\d{3})(?:[ -]+(\d{1,3})\.(\d{1,3})\.(\d{1,3}))?(?:\s+|$)`)

// loadReply compiles the reply of reject and defer.
func (l *loader) loadReply(value item, a *actions) {
	class, example := "5", `reject: "550 5.7.1 not accepted here"`
	if a.disposition == Defer {
		class, example = "4", `defer: "451 4.7.1 try again later"`
	}
	s := snippetOf(value)
	m := replyPattern.FindStringSubmatch(s.text)
	switch {
	case m == nil && a.disposition == Defer:
		a.text = l.textFrom(s, 0)
		return
	case m == nil:
		value.report("a reply begins with a code, an enhanced code and a text: %s", example)
		return
	case m[1][:1] != class || m[1][1] > '5':
		value.report("the code %s does not fit: %s needs one that begins with %s, for example %s", m[1], a.disposition, class, example)
		return
	case m[2] == "":
		value.report("behind the code %s an enhanced code such as %s.7.1 is missing: %s", m[1], class, example)
		return
	case m[2] != class:
		value.report("the enhanced code %s.%s.%s does not fit the code %s: it must begin with %s, for example %s", m[2], m[3], m[4], m[1], class, example)
		return
	case strings.TrimSpace(s.text[len(m[0]):]) == "":
		value.report("the reply has no text: say in it what the sender can do, for example %s", example)
		return
	}
	if strings.ContainsFunc(s.text, func(r rune) bool { return r >= 0x80 }) {
		value.d.warn(value.n, "a reply is sent in ASCII, other characters become question marks: write it without accents")
	}
	a.code, _ = strconv.Atoi(m[1])
	a.enhanced = m[2] + "." + m[3] + "." + m[4]
	a.text = l.textFrom(s, len(m[0])) // the pattern matches ASCII only
}

// text compiles a text, nil if there is none.
func (l *loader) text(it item) *textParts {
	if !it.has() {
		return nil
	}
	return l.textFrom(snippetOf(it), 0)
}

// textFrom compiles a text from a character on.
func (l *loader) textFrom(s snippet, from int) *textParts {
	s.text = strings.TrimRight(s.text, " \n")
	t, _ := l.compiler.parseText(s, from)
	return &t
}

// fieldPattern is the name of a header field (RFC 5322 Section 3.6.8), in the characters that every MTA lets pass.
var fieldPattern = regexp.MustCompile(`^[A-Za-z0-9]+(-[A-Za-z0-9]+)*$`)

// loadHeader compiles one header field to add.
func (l *loader) loadHeader(h item, a *actions) {
	name, value := h.get("name"), h.get("value")
	if !name.has() || !value.has() {
		return
	}
	prefix := strings.TrimSuffix(l.opt.HeaderPrefix, "-") + "-"
	switch field := name.text(); {
	case !fieldPattern.MatchString(field):
		name.report("%q is no name of a header field: use letters, digits and single dashes, for example %sNote", clip(field), prefix)
		return
	case len(field) <= len(prefix) || !strings.EqualFold(field[:len(prefix)], prefix):
		name.report("the name of an added field must begin with %s, so that incoming ones can be removed: write %s%s", prefix, prefix, strings.TrimPrefix(field, "X-"))
		return
	case strings.EqualFold(field[len(prefix):], "Summary") || strings.EqualFold(field[len(prefix):], "Result"):
		name.report("Assay itself writes %s: choose another name", field)
		return
	}
	if t := l.text(value); t != nil {
		a.headers = append(a.headers, headerAction{name.text(), *t})
	}
}

// loadRemoval compiles remove_attachments.
func (l *loader) loadRemoval(it item, a *actions) {
	if !it.has() {
		return
	}
	where, reason := it, it.get("reason")
	if it.get("where").has() {
		where = it.get("where")
	}
	if where.n.Kind != scalarNode {
		return // its condition was refused
	}
	s := snippetOf(where)
	s.scope = scope{"a": "objects[]"}
	if l.compiler.compile(s, l.compiler.attachment, condition) == nil {
		return
	}
	// One evaluation over all objects, so that its cost is bounded as a whole.
	const head, tail = "objects.filter(a, ", ")"
	places := make([]place, len(head))
	for i := range places {
		places[i] = s.place(0)
	}
	whole := snippet{d: s.d, text: head + s.text + "\n" + tail, places: append(places, s.places...)}
	f := l.compiler.compile(whole, l.compiler.env, listOfObjects)
	if f == nil {
		return
	}
	a.remove = &removeAction{source: strings.TrimSpace(s.text), where: f, reason: l.text(reason), unwrap: it.get("signed").has()}
}
