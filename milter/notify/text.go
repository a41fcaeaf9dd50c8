package notify

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"assay/rules"
)

// Bounds of what comes from a message or from a rule, in characters.
const (
	maxQueueID = 64
	maxDomain  = 255
	maxTitle   = 200
)

// clean returns an event whose texts from the message can stand anywhere.
func (e Event) clean() Event {
	e.QueueID = printable(e.QueueID, maxQueueID)
	e.Sender = strings.Map(domainRune, printable(e.Sender, maxDomain))
	return e
}

// domainRune keeps what a domain may hold, letters of U-labels (RFC 5890) included. "=?", which begins an encoded word in
// a subject, is not among it.
func domainRune(r rune) rune {
	if unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r) || strings.ContainsRune(".-_", r) {
		return r
	}
	return '?'
}

// printable returns s on one line, without what controls a terminal or the direction of text, and not longer than limit
// characters.
func printable(s string, limit int) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > limit {
			b.WriteString("...")
			break
		}
		switch {
		case r == unicode.ReplacementChar:
			r = '?'
		case unicode.IsSpace(r), unicode.IsControl(r):
			r = ' '
		case !unicode.IsPrint(r): // formatting characters among them, such as U+202E
			r = '?'
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}

// A language is the texts of a mail.
type language struct {
	subjectOne  string // rule title, sender domain
	subjectMany string // number
	intro       string // host
	queueID     string
	sender      string
	unknown     string
	outcome     string
	rules       string
	further     string // number
	furtherOne  string
	counts      string
	footer      string // channel
	disposition map[rules.Disposition]string
}

// languages are the languages of mail by their tags.
var languages = map[string]language{
	"en": {
		subjectOne: "[Assay] %s (%s)", subjectMany: "[Assay] %d messages",
		intro:   "Assay on %s notifies you about mail for which rules have fired.",
		queueID: "Queue id", sender: "Sender domain", unknown: "unknown", outcome: "Outcome", rules: "Rules",
		further: "%d further events are not listed.", furtherOne: "1 further event is not listed.", counts: "How often each rule fired",
		footer: "This message was made automatically for the channel %q. Please do not reply. What it says about the sender was\n" +
			"taken from the message and may be forged.",
		disposition: map[rules.Disposition]string{
			rules.Deliver: "delivered", rules.Junk: "delivered as junk", rules.Defer: "deferred",
			rules.Quarantine: "held in quarantine", rules.Reject: "rejected",
		},
	},
	"de": {
		subjectOne: "[Assay] %s (%s)", subjectMany: "[Assay] %d Nachrichten",
		intro:   "Assay auf %s benachrichtigt Sie über E-Mails, bei denen Regeln ausgelöst haben.",
		queueID: "Queue-ID", sender: "Absender-Domain", unknown: "unbekannt", outcome: "Ergebnis", rules: "Regeln",
		further: "%d weitere Ereignisse sind nicht aufgeführt.", furtherOne: "1 weiteres Ereignis ist nicht aufgeführt.",
		counts: "Wie oft jede Regel ausgelöst hat",
		footer: "Diese Nachricht wurde automatisch für den Kanal %q erstellt. Bitte antworten Sie nicht darauf. Die Angaben zum\n" +
			"Absender stammen aus der E-Mail und können gefälscht sein.",
		disposition: map[rules.Disposition]string{
			rules.Deliver: "zugestellt", rules.Junk: "als unerwünscht zugestellt", rules.Defer: "vorläufig abgewiesen",
			rules.Quarantine: "in Quarantäne", rules.Reject: "abgewiesen",
		},
	},
}

// timeFormat writes the time of an event.
const timeFormat = "2006-01-02 15:04:05 MST"

// subject returns the subject of a notice.
func (l language) subject(n Notice) string {
	if n.events() != 1 || len(n.Events[0].Rules) == 0 {
		return fmt.Sprintf(l.subjectMany, n.events())
	}
	e := n.Events[0]
	title := printable(e.Rules[0].Title, maxTitle)
	if title == "" {
		title = printable(e.Rules[0].ID, maxTitle)
	}
	return fmt.Sprintf(l.subjectOne, title, l.orUnknown(e.Sender))
}

func (l language) orUnknown(s string) string {
	if s == "" {
		return l.unknown
	}
	return s
}

// body returns the text of a notice.
func (l language) body(n Notice) string {
	var b strings.Builder
	fmt.Fprintf(&b, l.intro+"\n", n.Host)
	for _, e := range n.Events {
		b.WriteString("\n" + e.Time.UTC().Format(timeFormat) + "\n")
		fmt.Fprintf(&b, "  %s: %s\n", l.queueID, l.orUnknown(e.QueueID))
		fmt.Fprintf(&b, "  %s: %s\n", l.sender, l.orUnknown(e.Sender))
		fmt.Fprintf(&b, "  %s: %s\n", l.outcome, l.outcomeOf(e.Disposition))
		fmt.Fprintf(&b, "  %s:\n", l.rules)
		for _, rule := range e.Rules {
			fmt.Fprintf(&b, "    %s: %s\n", printable(rule.ID, maxTitle), printable(rule.Title, maxTitle))
		}
	}
	if n.Further == 1 {
		b.WriteString("\n" + l.furtherOne + "\n")
	} else if n.Further > 1 {
		fmt.Fprintf(&b, "\n"+l.further+"\n", n.Further)
	}
	if n.Further > 0 {
		b.WriteString("\n" + l.counts + ":\n")
		for _, id := range slices.Sorted(maps.Keys(n.Counts)) {
			fmt.Fprintf(&b, "  %6d  %s\n", n.Counts[id], printable(id, maxTitle))
		}
	}
	fmt.Fprintf(&b, "\n-- \n"+l.footer+"\n", n.Channel)
	return b.String()
}

// outcomeOf returns the word for a disposition. An unknown one defers.
func (l language) outcomeOf(d rules.Disposition) string {
	if text, ok := l.disposition[d]; ok {
		return text
	}
	return l.disposition[rules.Defer]
}
