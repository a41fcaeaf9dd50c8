package milter

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"assay/milter/plan"
	"assay/verify/message"
)

// Why Pending.Done is called with an error. Others are those of the network, and plan's for a plan that was refused.
var (
	ErrAborted    = errors.New("milter: message aborted")             // by the MTA, or its connection was lost
	ErrLimit      = errors.New("milter: message exceeds a limit")     // wraps the limit of verify/message too
	ErrMalformed  = errors.New("milter: malformed header")            // a header packet that says two things
	ErrOverBudget = errors.New("milter: message not decided in time") // Options.Budget
	ErrPanic      = errors.New("milter: panic while handling")        // in Begin or Handle
	ErrDraining   = errors.New("milter: server is shutting down")     // the message came too late
	errNoPending  = errors.New("milter: handler returned no Pending") // a Handler's mistake
	errProtocol   = errors.New("milter: command out of order")        // the MTA's mistake
)

// A RefusedError is what Pending.Done gets when the session itself refused the message: because of a limit, a shutdown, or
// an error of ours. The MTA has been told.
type RefusedError struct {
	Reply string // complete SMTP reply, 4yz or 5yz
	Cause error  // one of the errors above, or an error of ours
}

// Error implements the error interface.
func (e *RefusedError) Error() string { return e.Cause.Error() }

// Unwrap returns the cause.
func (e *RefusedError) Unwrap() error { return e.Cause }

// The answers of the session itself; those of a plan come with it. None of them contains a percent sign: see plan.Reply.
const (
	replyFailed            = plan.DefaultReply
	replyTooManyRecipients = "452 4.5.3 Too many recipients"
	replyOtherGroup        = "452 4.5.3 Recipient is served by another policy, please send it separately"
	replyHeaderLimit       = "550 5.6.0 Message header exceeds the limits of this system"
	replyMalformed         = "550 5.6.0 Message header is malformed"
	replyBodyTempFail      = "451 4.3.4 Message is too large to be checked at this time"
	replyBodyReject        = "552 5.3.4 Message is too large to be checked"
	replyOverBudget        = "451 4.7.1 Message could not be checked in time, please try again later"
	replyDraining          = "451 4.3.2 Mail filter is restarting, please try again later"
	replyDiskFull          = "452 4.3.1 Mail filter is short of disk space, please try again later"
	replyProtocol          = "451 4.3.0 Mail filter received commands out of order, please try again later"
)

// A transaction is one message from MAIL to its final answer (RFC 5321 Section 3.3).
type transaction struct {
	ctx     context.Context // ends with the transaction
	cancel  context.CancelFunc
	env     message.Envelope
	builder *message.Builder
	pending Pending          // set by begin
	message *message.Message // complete; plans may read from it until settle
	data    bool             // the message itself has begun to arrive; the server waits for it when it drains
	begun   bool             // the header is complete
	group   string           // of the first recipient, by Options.Group
	reply   string           // the final answer, if it is known before the end of the message
}

// newTransaction starts a message of the given reverse-path.
func newTransaction(ctx context.Context, limits message.Limits, path string, args []string) *transaction {
	tx := &transaction{builder: message.NewBuilder(limits)}
	tx.ctx, tx.cancel = context.WithCancel(ctx)
	tx.env.MailFrom = path
	tx.env.SMTPUTF8 = slices.ContainsFunc(args, func(arg string) bool { return strings.EqualFold(arg, "SMTPUTF8") })
	return tx
}

// admit reports whether a recipient may be added: it is the first one, or of the same group.
func (tx *transaction) admit(recipient string, group func(string) string) bool {
	if group == nil {
		return true
	}
	key := group(recipient)
	if len(tx.env.RcptTo) == 0 {
		tx.group = key
	}
	return key == tx.group
}

// begin hands the complete header to the handler. A panic is an error.
func (tx *transaction) begin(h Handler) (err error) {
	tx.begun = true
	defer contain(&err, "Begin")
	tx.pending = h.Begin(tx.ctx, &tx.env, tx.builder.Header())
	if tx.pending == nil {
		return errNoPending
	}
	return nil
}

// handle has the complete message handled. The zero Plan that an error comes with refuses temporarily. A panic is an error.
func (tx *transaction) handle(ctx context.Context, queueID string, caps plan.Capabilities) (p plan.Plan, err error) {
	// The handler may still be reading the envelope that Begin got.
	env := tx.env
	env.QueueID = queueID
	defer contain(&err, "Handle")
	m, err := tx.builder.Message(env)
	if err != nil {
		return plan.Plan{}, err
	}
	tx.message = m
	return tx.pending.Handle(ctx, m, caps), nil
}

// settle ends the transaction: it gives back what it holds and tells the handler. Only the first call has an effect.
func (tx *transaction) settle(cause error) (err error) {
	tx.cancel()
	tx.builder.Discard()
	if tx.message != nil {
		defer tx.message.Close()
		tx.message = nil
	}
	pending := tx.pending
	tx.pending = nil
	if pending == nil {
		return nil
	}
	defer contain(&err, "Done")
	pending.Done(cause)
	return nil
}

// contain turns a panic into an error that wraps ErrPanic and holds the stack. It must be deferred itself.
func contain(err *error, where string) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("%w: %s: %v\n%s", ErrPanic, where, v, debug.Stack())
	}
}
