package notice

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A HeldMail is a message that was quarantined, as its recipient is told.
type HeldMail struct {
	Received time.Time
	Sender   string // address in From
	Subject  string // "" unless recipients are told subjects
	Reason   string
	ID       string // of the quarantine, or of the queue of the MTA
	Release  string // who may release it: "user", "operator" or "never"
}

// A Held is a notice to one recipient about one or several messages.
type Held struct {
	Recipient string
	Messages  []HeldMail
	Further   int    // messages that are not listed
	Contact   string // who helps, "" for the administrator
}

// heldName is the name of the template, without the language. Its first line is the subject.
const heldName = "held.%s.txt"

// errSubject means that a template does not begin with the subject.
var errSubject = errors.New("notice: the template held does not begin with \"Subject: \" and an empty line behind it")

// A shownMail is a message as the template sees it.
type shownMail struct {
	Time, Sender, Subject, Reason, ID, Release string
}

// Held returns the subject and the text of a notice: UTF-8, the text with LF line ends.
func (t *Templates) Held(h Held) (subject, text string, err error) {
	shown := struct {
		Recipient, Contact string
		Messages           []shownMail
		Further, Count     int
	}{printable(h.Recipient), printable(h.Contact), nil, h.Further, len(h.Messages) + h.Further}
	for _, m := range h.Messages {
		shown.Messages = append(shown.Messages, shownMail{m.Received.Format("2006-01-02 15:04 MST"), printable(m.Sender), printable(m.Subject),
			printable(m.Reason), printable(m.ID), m.Release})
	}
	var b bytes.Buffer
	if err := t.held.Execute(&b, shown); err != nil {
		return "", "", fmt.Errorf("notice: %w", err)
	}
	head, text, found := strings.Cut(strings.ReplaceAll(b.String(), "\r\n", "\n"), "\n\n")
	subject, named := strings.CutPrefix(head, "Subject: ")
	if !found || !named || strings.Contains(subject, "\n") {
		return "", "", errSubject
	}
	return printable(subject), text, nil
}
