package milter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/emersion/go-milter"

	"assay/milter/plan"
)

// maxBodyPacket is MILTER_CHUNK_SIZE, what both MTAs themselves send at most.
const maxBodyPacket = milter.MaxBodyChunk

// endOfMessage has the message handled, carries out the plan and answers. What was written is sent before the message is
// settled: only then the handler can be told whether it arrived, and only then a draining server may close the connection.
func (s *session) endOfMessage(m *milter.Modifier) {
	if r := s.contained(s.complete); r == proceed() {
		s.conclude(m)
	} else {
		s.finish(r)
	}
	if s.tx != nil {
		s.leave()
	}
	s.macros.forget(messageStages)
}

// complete makes sure that there is a message and that the handler has begun it. It answers proceed, or finally.
func (s *session) complete() response {
	s.macros.event(byte(milter.CodeEOB))
	if r, final := s.receiving("end of message"); final {
		return r
	}
	if !s.tx.begun {
		return s.begin()
	}
	return proceed()
}

// conclude has the message handled, answers it and settles it.
func (s *session) conclude(m *milter.Modifier) {
	p, abandoned, err := s.analyse()
	if err == nil {
		p, err = s.checked(p)
	}
	if err != nil {
		s.report(err)
		sent := s.finish(replyWith(replyTo(err)))
		switch {
		case abandoned: // Handle still runs; the message is settled when it returns
		case sent != nil:
			s.report(s.tx.settle(err))
		default:
			s.report(s.tx.settle(&RefusedError{replyTo(err), err}))
		}
		return
	}
	switch p.Verdict {
	case plan.Accept:
		r := proceed()
		if err = s.edit(m, p.Ops); err != nil { // half of the edits do no harm: the MTA drops them with the message
			s.report(err)
			r = replyWith(replyFailed)
		}
		if sent := s.finish(r); sent != nil {
			err = sent
		} else if err != nil {
			err = &RefusedError{replyFailed, err}
		}
	case plan.Discard:
		err = s.finish(discard())
	default:
		err = s.finish(replyWith(finalReply(p)))
	}
	s.report(s.tx.settle(err))
}

// finish writes r and sends everything that was written.
func (s *session) finish(r response) error {
	s.wire.send(r)
	return s.wire.Flush()
}

// A handled is what became of a message.
type handled struct {
	plan plan.Plan
	err  error
}

// analyse has the message handled within the budget, while progress packets keep the MTA waiting. When it reports that the
// message was abandoned, Handle still runs, and the message is settled when it returns.
func (s *session) analyse() (p plan.Plan, abandoned bool, err error) {
	ctx, cancel := context.WithTimeoutCause(s.tx.ctx, s.server.opt.Budget, ErrOverBudget)
	defer cancel()
	ctx, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	stop := s.wire.keepAlive(lost)
	defer stop()

	if !s.server.acquire(ctx) {
		return plan.Plan{}, false, context.Cause(ctx)
	}
	result, gone := make(chan handled), make(chan struct{})
	s.server.run(ctx, analysis{tx: s.tx, queueID: s.macros.queueID(), caps: s.granted.capabilities(), result: result, gone: gone})
	select {
	case h := <-result:
		// What was decided after the end of the budget was decided from checks that were cut short.
		if h.err == nil {
			h.err = context.Cause(ctx)
		}
		return h.plan, false, h.err
	case <-ctx.Done():
		close(gone)
		return plan.Plan{}, true, context.Cause(ctx)
	}
}

// An analysis is one run of Handle.
type analysis struct {
	tx      *transaction
	queueID string
	caps    plan.Capabilities
	result  chan<- handled  // receives the outcome, unless
	gone    <-chan struct{} // nobody waits for it any more
}

// run starts an analysis for which a slot was acquired.
func (s *Server) run(ctx context.Context, a analysis) {
	s.count(EventAnalysis, 1)
	s.running.Go(func() {
		h := handled{err: fmt.Errorf("%w: Handle ended its goroutine", ErrPanic)}
		defer func() {
			s.release()
			s.count(EventAnalysis, -1)
			select {
			case a.result <- h:
			case <-a.gone:
				s.report(a.queueID, h.err)
				s.report(a.queueID, a.tx.settle(abandonedFor(context.Cause(ctx))))
			}
		}()
		h.plan, h.err = a.tx.handle(ctx, a.queueID, a.caps)
	})
}

// abandonedFor is what the handler is told about a message that was answered while Handle still ran.
func abandonedFor(cause error) error {
	if errors.Is(cause, ErrOverBudget) || errors.Is(cause, ErrDraining) {
		return &RefusedError{replyTo(cause), cause}
	}
	return cause // the connection was lost, and nobody answered
}

// checked returns p if the MTA can carry it out as it stands. A handler's mistake must not become half a plan.
func (s *session) checked(p plan.Plan) (plan.Plan, error) {
	if p.Verdict != plan.Accept {
		return p, nil
	}
	return plan.Build(p.Ops, s.granted.capabilities())
}

// edit writes the modifications of a checked plan. A write error is final and shows in the answer; the error is about a new
// body that cannot be read.
func (s *session) edit(m *milter.Modifier, ops []plan.Op) error {
	// Without SMFIP_HDR_LEADSPC the MTA puts a blank in front of each value itself.
	lead := ""
	if s.granted.leadingSpace() {
		lead = " "
	}
	for _, op := range ops {
		switch op.Kind {
		case plan.DeleteHeader:
			m.ChangeHeader(op.Nth, op.Name, "")
		case plan.ChangeHeader:
			m.ChangeHeader(op.Nth, op.Name, lead+op.Value)
		case plan.InsertHeader:
			m.InsertHeader(0, op.Name, lead+op.Value)
		case plan.AddRecipient:
			m.AddRecipient(op.Value)
		case plan.DeleteRecipient:
			m.DeleteRecipient(op.Value)
		case plan.ReplaceBody:
			if err := replaceBody(m, op.Body.Open()); err != nil {
				return fmt.Errorf("milter: new body: %w", err)
			}
		case plan.Hold:
			m.Quarantine(op.Value)
		}
	}
	return nil
}

// replaceBody writes body in packets that both MTAs take, cut behind line ends. There is at least one packet: without any
// the old body stays.
func replaceBody(m *milter.Modifier, body io.Reader) error {
	window := make([]byte, 2*maxBodyPacket)
	held, written, end := 0, false, false
	for !end || held > 0 {
		n, err := io.ReadFull(body, window[held:])
		held += n
		if end = err == io.EOF || err == io.ErrUnexpectedEOF; err != nil && !end {
			return err
		}
		for start := 0; ; {
			rest := window[start:held]
			if len(rest) == 0 || !end && len(rest) <= maxBodyPacket {
				held = copy(window, rest)
				break
			}
			n := cutBody(rest)
			m.ReplaceBody(rest[:n])
			start, written = start+n, true
		}
	}
	if !written {
		m.ReplaceBody(nil)
	}
	return nil
}

// cutBody returns the size of the next packet. Only a line longer than a packet is cut inside, and never between CR and LF:
// go-milter turns CRLF into LF packet by packet.
func cutBody(body []byte) int {
	if len(body) <= maxBodyPacket {
		return len(body)
	}
	if i := bytes.LastIndexByte(body[:maxBodyPacket], '\n'); i >= 0 {
		return i + 1
	}
	if body[maxBodyPacket-1] == '\r' && body[maxBodyPacket] == '\n' {
		return maxBodyPacket - 1
	}
	return maxBodyPacket
}

// replyTo returns the answer to a message that failed.
func replyTo(err error) string {
	switch {
	case errors.Is(err, ErrOverBudget):
		return replyOverBudget
	case errors.Is(err, ErrDraining):
		return replyDraining
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return replyDiskFull
	}
	return replyFailed
}

// finalReply returns the reply of a plan that refuses. One that does not fit its verdict, or that an MTA would misread,
// becomes the default reply: Postfix drops the filter over it.
func finalReply(p plan.Plan) string {
	class := byte('4')
	if p.Verdict == plan.Refuse {
		class = '5'
	}
	if len(p.Reply) < 4 {
		return plan.DefaultReply
	}
	code := p.Reply[:3]
	for line := range strings.SplitSeq(p.Reply, "\r\n") {
		if code[0] != class || len(line) < 4 || line[:3] != code || strings.ContainsAny(line, "\x00\r\n") {
			return plan.DefaultReply
		}
	}
	return p.Reply
}
