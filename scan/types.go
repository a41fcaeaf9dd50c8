// Package scan looks inside a message: what is in there, and how could it be made safe? A scanner reports what it saw
// as Findings and proposes Remedies; it has no severity and decides nothing.
package scan

import (
	"context"

	"assay/verify/message"
)

// A Kind is the stable dotted name of a class of findings: "html.script", "attachment.encrypted", "limit.archive".
type Kind string

// A Finding is one observation about the content of a message. What it means is for the rules to say.
type Finding struct {
	Kind    Kind   // what was seen
	Section string // IMAP section of the part, "" for the whole message
	Detail  string // for people; may quote the message, so it is escaped wherever it is shown
}

// A Scanner inspects one aspect of a message. Scan is called once per message, from several goroutines for different
// messages. It reports what it cannot finish as a finding; it never returns an error and never panics on input.
type Scanner interface {
	Scan(ctx context.Context, m *message.Message) []Finding
}
