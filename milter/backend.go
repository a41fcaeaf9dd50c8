package milter

import (
	"net"
	"net/textproto"

	"github.com/emersion/go-milter"
)

// A backend is what go-milter sees of a session. It takes only the command from go-milter: the session reads the octets of the
// packet as they arrived. And it leaves only the encoding of edits to go-milter: the session writes all answers itself,
// because go-milter replaces its backend after every answer that ends a message, and with it everything that is known of
// the connection. No response is the one after which it does not.
type backend struct{ *session }

var _ milter.Milter = backend{}

// answer sends what f answers, so that go-milter has nothing to send. A write error ends the next read.
func (b backend) answer(f func() response) (milter.Response, error) {
	b.wire.send(b.contained(f))
	b.release()
	return nil, nil
}

// Connect implements milter.Milter.
func (b backend) Connect(string, string, uint16, net.IP, *milter.Modifier) (milter.Response, error) {
	return b.answer(b.connect)
}

// Helo implements milter.Milter.
func (b backend) Helo(string, *milter.Modifier) (milter.Response, error) {
	return b.answer(b.greet)
}

// MailFrom implements milter.Milter.
func (b backend) MailFrom(string, *milter.Modifier) (milter.Response, error) {
	return b.answer(b.mail)
}

// RcptTo implements milter.Milter.
func (b backend) RcptTo(string, *milter.Modifier) (milter.Response, error) {
	return b.answer(b.recipient)
}

// Header implements milter.Milter.
func (b backend) Header(string, string, *milter.Modifier) (milter.Response, error) {
	return b.answer(b.field)
}

// Headers implements milter.Milter.
func (b backend) Headers(textproto.MIMEHeader, *milter.Modifier) (milter.Response, error) {
	return b.answer(b.endOfHeader)
}

// BodyChunk implements milter.Milter.
func (b backend) BodyChunk([]byte, *milter.Modifier) (milter.Response, error) {
	return b.answer(b.bodyChunk)
}

// Body implements milter.Milter.
func (b backend) Body(m *milter.Modifier) (milter.Response, error) {
	b.endOfMessage(m)
	return nil, nil
}

// Abort implements milter.Milter. It has no answer.
func (b backend) Abort(*milter.Modifier) error {
	b.abort()
	return nil
}
