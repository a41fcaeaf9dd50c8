package milter

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/emersion/go-milter"
)

// A session is one connection of an MTA. All its methods run in one goroutine. It outlives the messages, which share what is
// known of the connection.
type session struct {
	server *Server
	wire   *wire
	log    *slog.Logger

	granted negotiation
	macros  macros
	client  client
	helo    string
	tlsSeen bool         // Options.ObserveTLS has heard of the client
	tx      *transaction // the message that is being received, nil between messages
	idle    idleness
}

// consume answers the packets that go-milter cannot: the negotiation, macros, and commands unknown to it.
func (s *session) consume(code byte, payload []byte) (bool, error) {
	s.touch()
	if s.granted.version == 0 && milter.Code(code) != milter.CodeOptNeg {
		return true, errPacket
	}
	switch code {
	case byte(milter.CodeOptNeg):
		return true, s.negotiate(payload)
	case byte(milter.CodeMacro):
		s.macros.define(payload)
		return true, nil
	case codeData, codeUnknown:
		return true, s.wire.send(proceed())
	case codeQuitNewConn: // the next packet is the CONNECT of another client; there is no answer
		s.abort()
		s.macros.forget(connectionStages)
		s.client, s.helo, s.tlsSeen = client{}, "", false
		return true, nil
	}
	return false, nil
}

// negotiate answers the MTA's offer.
func (s *session) negotiate(offer []byte) error {
	granted, ok := negotiate(offer)
	if !ok {
		return errPacket
	}
	s.abort()
	s.granted = granted
	s.idle.spoken.Store(true)
	if !granted.leadingSpace() {
		s.server.warnNoLeadingSpace()
	}
	_, err := s.wire.Write(granted.packet())
	return err
}

// contained returns what f answers. After a panic it settles the message instead; the connection and the messages to come
// are none the worse for it.
func (s *session) contained(f func() response) (r response) {
	err := func() (err error) {
		defer contain(&err, "session")
		r = f()
		return nil
	}()
	switch {
	case err == nil:
		return r
	case s.tx != nil:
		return s.failed(err)
	}
	s.report(err)
	return replyWith(replyFailed)
}

// connect notes the SMTP client.
func (s *session) connect() response {
	s.macros.event(byte(milter.CodeConn))
	c, ok := parseConnect(s.wire.payload())
	if !ok {
		s.protocolError("CONNECT without a valid address")
	}
	s.client = c
	return proceed()
}

// greet notes the client's name. It comes twice with STARTTLS, the second time with the macros of the encryption.
func (s *session) greet() response {
	s.macros.event(byte(milter.CodeHelo))
	s.helo = parseText(s.wire.payload())
	return proceed()
}

// mail starts a message. Sendmail sends no ABORT between messages, so it also ends the one before.
func (s *session) mail() response {
	path, args := parsePath(s.wire.payload()) // settle gives back the memory of the packet
	s.settle(ErrAborted)
	s.macros.forget(strings.TrimPrefix(messageStages, "M"))
	s.macros.event(byte(milter.CodeMail))
	s.observeTLS()
	if s.server.draining() {
		return replyWith(replyDraining)
	}
	s.tx = newTransaction(s.server.ctx, s.server.opt.Message, path, args)
	s.idle.busy.Store(true)
	return proceed()
}

// observeTLS lets the observer know how the client has encrypted the connection: with its first message, for STARTTLS comes
// after the first HELO.
func (s *session) observeTLS() {
	if observe := s.server.opt.ObserveTLS; observe != nil && !s.tlsSeen {
		s.tlsSeen = true
		observe(s.macros.tls().Version)
	}
}

// recipient adds a recipient. It never refuses one for good: for mail of sendmail(1) Postfix takes that for a mistake in its
// configuration.
func (s *session) recipient() response {
	s.macros.event(byte(milter.CodeRcpt))
	switch {
	case s.server.draining():
		return replyWith(replyDraining)
	case s.tx == nil || s.tx.data:
		return s.outOfOrder("RCPT")
	case len(s.tx.env.RcptTo) >= s.server.opt.MaxRecipients:
		return replyWith(replyTooManyRecipients)
	}
	path, _ := parsePath(s.wire.payload())
	if !s.tx.admit(path, s.server.opt.Group) && !s.client.local() {
		s.server.count(EventSplit, 1)
		return replyWith(replyOtherGroup)
	}
	s.tx.env.RcptTo = append(s.tx.env.RcptTo, path)
	return proceed()
}

// field adds a header field.
func (s *session) field() response {
	s.macros.event(byte(milter.CodeHeader))
	if r, final := s.receiving("header"); final {
		return r
	}
	if s.tx.begun {
		return s.misplaced("header field")
	}
	name, value, ok := parseField(s.wire.payload())
	if !ok {
		s.server.count(EventBadHeader, 1)
		return s.decide(ErrMalformed, replyMalformed)
	}
	if !s.granted.leadingSpace() {
		value = withBlank(value)
	}
	s.tx.builder.AddField(name, value)
	if err := s.tx.builder.Exceeded(); err != nil {
		s.server.count(EventHeaderLimit, 1)
		return s.decide(fmt.Errorf("%w: %w", ErrLimit, err), replyHeaderLimit)
	}
	return proceed()
}

// withBlank puts back the blank behind the colon that an MTA without SMFIP_HDR_LEADSPC has taken away. Whether there was one
// is not knowable; a value that starts with a tab or on the next line most likely had none.
func withBlank(value []byte) []byte {
	if len(value) > 0 && strings.IndexByte("\t\r\n", value[0]) >= 0 {
		return value
	}
	return append([]byte{' '}, value...)
}

// endOfHeader completes the header.
func (s *session) endOfHeader() response {
	s.macros.event(byte(milter.CodeEOH))
	if r, final := s.receiving("end of header"); final {
		return r
	}
	if s.tx.begun {
		return s.misplaced("end of header")
	}
	return s.begin()
}

// begin has the handler begin. It answers proceed, or finally.
func (s *session) begin() response {
	s.completeEnvelope()
	if err := s.tx.begin(s.server.handler); err != nil {
		return s.failed(err)
	}
	return proceed()
}

// completeEnvelope fills in what is known at the end of the header.
func (s *session) completeEnvelope() {
	env := &s.tx.env
	env.ClientIP, env.ClientName, env.Helo = s.client.addr, s.client.host, s.helo
	s.macros.complete(env)
	if strings.HasPrefix(env.ClientName, "[") { // Sendmail's way to say that there is no name
		env.ClientName = ""
	}
	env.Local = s.client.local()
	env.ReceivedAt = s.server.opt.Now()
}

// bodyChunk adds octets of the body.
func (s *session) bodyChunk() response {
	s.macros.event(byte(milter.CodeBody))
	if r, final := s.receiving("body"); final {
		return r
	}
	if !s.tx.begun {
		if r := s.begin(); r != proceed() {
			return r
		}
	}
	if _, err := s.tx.builder.Write(s.wire.payload()); err != nil {
		return s.failed(err)
	}
	if err := s.tx.builder.Exceeded(); err != nil {
		s.server.count(EventBodyLimit, 1)
		reply := replyBodyTempFail
		if s.server.opt.OnBodyLimit == LimitReject {
			reply = replyBodyReject
		}
		return s.decide(fmt.Errorf("%w: %w", ErrLimit, err), reply)
	}
	return proceed()
}

// receiving notes that the message itself arrives. It reports true if the answer is already known.
func (s *session) receiving(what string) (r response, final bool) {
	if s.tx == nil {
		return s.outOfOrder(what), true
	}
	if s.tx.reply != "" {
		return replyWith(s.tx.reply), true
	}
	if !s.tx.data {
		if !s.server.enter() {
			return s.decide(ErrDraining, replyDraining), true
		}
		s.tx.data = true
	}
	return response{}, false
}

// decide settles the message before its end. Whatever the MTA still sends of it gets the same answer.
func (s *session) decide(cause error, reply string) response {
	tx := s.tx
	tx.reply = reply
	tx.cancel() // nothing is looked up for a message that is refused anyway
	if !tx.begun {
		s.report(s.introduce())
	}
	s.report(tx.settle(&RefusedError{reply, cause}))
	return replyWith(reply)
}

// introduce lets the handler know of a message that is refused before its header is complete.
func (s *session) introduce() (err error) {
	defer contain(&err, "session")
	s.completeEnvelope()
	return s.tx.begin(s.server.handler)
}

// failed settles the message after an error of our own.
func (s *session) failed(err error) response {
	s.report(err)
	return s.decide(err, replyTo(err))
}

// release lets a server that drains go on without a message that was refused before its end: the MTA says nothing more
// about it for as long as its client stays. The answer must have been sent.
func (s *session) release() {
	if s.tx == nil || s.tx.reply == "" || !s.tx.data {
		return
	}
	s.wire.Flush()
	s.tx.data = false
	s.server.leave()
}

// abort ends a message without an answer.
func (s *session) abort() {
	s.settle(ErrAborted)
	s.macros.forget(messageStages)
}

// settle ends the current message, if there is one.
func (s *session) settle(cause error) {
	if s.tx == nil {
		return
	}
	if s.tx.reply == "" && errors.Is(cause, ErrAborted) {
		s.server.count(EventAborted, 1)
	}
	s.report(s.tx.settle(cause))
	s.leave()
}

// leave forgets the current message, settled or handed over.
func (s *session) leave() {
	if s.tx.data {
		s.server.leave()
	}
	s.tx = nil
	s.touch()
	s.idle.busy.Store(false)
	s.wire.release()
}

// close ends the session. The cause is nil after QUIT.
func (s *session) close(cause error) {
	switch {
	case errors.Is(cause, errPacket):
		s.protocolError(cause.Error())
	case s.tx != nil && s.tx.data:
		s.log.Warn("connection lost", "queue_id", s.macros.queueID(), "reason", cause)
	case cause != nil && !errors.Is(cause, io.EOF):
		s.log.Debug("connection lost", "reason", cause)
	default: // also health probes, which connect and close
		s.log.Debug("connection closed")
	}
	s.abort()
	s.server.remove(s)
}

// misplaced answers a command that must not come at this point of the message.
func (s *session) misplaced(what string) response {
	s.protocolError(what + " out of order")
	return s.decide(errProtocol, replyProtocol)
}

// outOfOrder answers a command that has no message to belong to.
func (s *session) outOfOrder(what string) response {
	s.protocolError(what + " out of order")
	return replyWith(replyProtocol)
}

func (s *session) protocolError(what string) {
	s.server.count(EventProtocolError, 1)
	s.log.Warn("milter protocol error", "queue_id", s.macros.queueID(), "reason", what)
}

// report logs an error of ours.
func (s *session) report(err error) { s.server.report(s.macros.queueID(), err) }

// local reports whether the message was submitted with sendmail(1): Postfix then makes up a client with port 0.
func (c client) local() bool {
	return c.port == 0 && c.addr.IsLoopback() && strings.EqualFold(c.host, "localhost")
}
