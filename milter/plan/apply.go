package plan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"assay/verify/message"
)

// Apply writes m to w as the MTA would deliver it after carrying out p, without the trace fields that the MTA adds
// itself. A plan that does not accept the message is an error: nothing is delivered.
func Apply(p Plan, m *message.Message, w io.Writer) error {
	switch p.Verdict {
	case Accept:
	case Discard:
		return errors.New("plan: the message is in the quarantine and not delivered")
	default:
		return fmt.Errorf("plan: the message is refused: %s", p.replyText())
	}
	var head bytes.Buffer
	for _, f := range p.Header(m.Header) {
		head.Write(f.Raw)
	}
	head.WriteString("\r\n")
	if _, err := head.WriteTo(w); err != nil {
		return err
	}
	_, err := io.Copy(w, p.Body(m))
	return err
}

// Body returns the body of m as the MTA would deliver it after carrying out p.
func (p Plan) Body(m *message.Message) io.Reader {
	for _, o := range p.Ops {
		if o.Kind == ReplaceBody {
			return o.Body.Open()
		}
	}
	return m.Body()
}

// Header returns the header of a message as the MTA would deliver it after carrying out p, without the trace fields that
// the MTA adds itself.
func (p Plan) Header(received message.Header) message.Header {
	delivered := make(message.Header, 0, len(received)+len(p.Ops))
	for i := len(p.Ops) - 1; i >= 0; i-- {
		if o := p.Ops[i]; o.Kind == InsertHeader {
			delivered = append(delivered, field(o.Name, o.Value))
		}
	}
	edits := p.edits()
	for _, f := range received {
		op, found := edits[occurrence{strings.ToLower(f.Name), f.Nth}]
		switch {
		case !found:
			delivered = append(delivered, f)
		case op.Kind == ChangeHeader:
			delivered = append(delivered, field(f.Name, op.Value))
		}
	}
	seen := make(map[string]int, len(delivered))
	for i := range delivered {
		name := strings.ToLower(delivered[i].Name)
		seen[name]++
		delivered[i].Nth = seen[name]
	}
	return delivered
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

// Text returns the reply as a client reads it: the doubling of '%' undone. It is "" for a plan that
// takes the message.
func (p Plan) Text() string {
	if p.Verdict == Accept || p.Verdict == Discard {
		return ""
	}
	return strings.ReplaceAll(p.replyText(), "%%", "%")
}

// field returns a field with the blank behind the colon and CRLF line ends.
func field(name, value string) message.Field {
	return message.Field{Name: name, Raw: []byte(name + ": " + strings.ReplaceAll(value, "\n", "\r\n") + "\r\n")}
}
