package plan

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"assay/verify/message"
)

// Apply writes m to w as the MTA would deliver it after carrying out p, without the trace fields that the MTA adds
// itself. A plan that does not accept the message is an error: nothing is delivered.
func Apply(p Plan, m *message.Message, w io.Writer) error {
	if p.Verdict != Accept {
		return fmt.Errorf("plan: the message is refused: %s", p.replyText())
	}
	var head bytes.Buffer
	for i := len(p.Ops) - 1; i >= 0; i-- {
		if o := p.Ops[i]; o.Kind == InsertHeader {
			writeField(&head, o.Name, o.Value)
		}
	}
	edits := p.edits()
	for _, f := range m.Header {
		op, found := edits[occurrence{strings.ToLower(f.Name), f.Nth}]
		switch {
		case !found:
			head.Write(f.Raw)
		case op.Kind == ChangeHeader:
			writeField(&head, f.Name, op.Value)
		}
	}
	head.WriteString("\r\n")
	if _, err := head.WriteTo(w); err != nil {
		return err
	}
	for _, o := range p.Ops {
		if o.Kind == ReplaceBody {
			_, err := w.Write(o.Body)
			return err
		}
	}
	_, err := io.Copy(w, m.Body())
	return err
}

// An occurrence names one received field: lower-case name and number, counted in the message as received.
type occurrence struct {
	name string
	nth  int
}

// edits returns the deletes and changes of the plan by the field they concern.
func (p Plan) edits() map[occurrence]Op {
	edits := map[occurrence]Op{}
	for _, o := range p.Ops {
		if o.Kind == DeleteHeader || o.Kind == ChangeHeader {
			edits[occurrence{strings.ToLower(o.Name), o.Nth}] = o
		}
	}
	return edits
}

// replyText returns the reply of a plan that refuses.
func (p Plan) replyText() string {
	if p.Reply == "" {
		return DefaultReply
	}
	return p.Reply
}

// Text returns the reply as a client reads it: the doubling of '%' undone. It is "" for a plan that accepts.
func (p Plan) Text() string {
	if p.Verdict == Accept {
		return ""
	}
	return strings.ReplaceAll(p.replyText(), "%%", "%")
}

// writeField writes a field with the blank behind the colon and CRLF line ends.
func writeField(b *bytes.Buffer, name, value string) {
	b.WriteString(name)
	b.WriteString(": ")
	b.WriteString(strings.ReplaceAll(value, "\n", "\r\n"))
	b.WriteString("\r\n")
}
