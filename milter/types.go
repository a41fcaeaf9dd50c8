// Package milter speaks the milter protocol with Postfix and Sendmail, and carries out the plan that the filter made for
// each message. It owns every effect on the connection: listeners, sessions, limits, deadlines, and the one reply per
// message. The session never closes the MTA's connection because of one bad message.
//
// The protocol library is github.com/emersion/go-milter; this package puts a packet-aware connection in front of it.
package milter

import (
	"context"

	"assay/milter/plan"
	"assay/verify/message"
)

// A Handler is the mail side of a session. One Handler serves every connection, concurrently.
type Handler interface {
	// Begin is called once per message when its header is complete, before the body has arrived. It may start lookups.
	// What it returns is handed to Handle, or closed if the message is aborted.
	Begin(ctx context.Context, env *message.Envelope, header message.Header) Pending
}

// A Pending is one message whose body is still arriving.
type Pending interface {
	// Handle is called at most once, when m is complete, and returns what is to be done. It must respect ctx. The
	// session closes m once the plan was carried out. A panic or the zero Plan answers 451.
	Handle(ctx context.Context, m *message.Message, caps plan.Capabilities) plan.Plan
	// Done is called exactly once per message: after the plan was carried out (err is nil), after the session refused
	// the message by itself, with or without Handle (err is a *RefusedError), or when the plan could not be sent or the
	// message was aborted (any other error).
	Done(err error)
}
