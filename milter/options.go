package milter

import (
	"log/slog"
	"runtime"
	"time"

	"assay/verify/message"
)

// Options are the limits and collaborators of a Server. The zero value of every field is useful.
type Options struct {
	// Message limits what is kept of one message; what exceeds it is answered without calling Handle. Header limits
	// are refused with 550: such a message does not get better. Body limits are answered as OnBodyLimit says.
	Message     message.Limits
	OnBodyLimit LimitAction

	// MaxConnections limits open connections over all listeners; what comes on top waits in the backlog of the kernel.
	// An MTA holds a connection for as long as its SMTP client stays. Each listener takes one of them while it waits. When
	// all are taken, the one is closed that has been silent for longest: first those that have not said anything for a
	// second, then those that have been without a message for five seconds. A connection with a message stays. Default 1000.
	MaxConnections int
	// MaxAnalyses limits messages that are in Handle at the same time. Waiting ones are kept alive with progress
	// packets. Default eight per CPU, at least 16, because an analysis mostly waits for DNS answers.
	MaxAnalyses int
	// MaxRecipients limits recipients per message; more are answered 452. Default 10,000.
	MaxRecipients int
	// MaxPacket limits octets of one packet from the MTA. Both MTAs send at most 65,535 octets of body at a time.
	// Default and smallest value 256 KiB.
	MaxPacket int

	// IdleTimeout limits the silence between two packets. Postfix is silent while a slow client uploads a message, so
	// less than libmilter's 7210 s refuses good mail. Default and smallest value 7210 s.
	IdleTimeout time.Duration
	// PacketTimeout limits the arrival of the rest of a packet that was begun, and of the first packet. Default 60 s.
	PacketTimeout time.Duration
	// WriteTimeout limits each write. Default 60 s.
	WriteTimeout time.Duration
	// Budget limits the work at the end of a message, waiting included. What is not decided by then is answered 451.
	// It must stay below the MTA's own limit (Sendmail's E, five minutes by default). Default 60 s.
	Budget time.Duration
	// DrainTimeout limits how long Serve waits for running messages when its context ends. Default Budget plus 10 s.
	DrainTimeout time.Duration

	// Group, if it is not nil, tells recipients apart whose mail is decided by different policies. A recipient of another
	// group than the first one of its message is answered 452, so that the client sends it a message of its own (RFC 5321
	// Section 4.5.3.1.10). It is called for every recipient, concurrently.
	Group func(recipient string) string

	// ObserveTLS, if it is not nil, hears once per connection that sends mail how its client has encrypted it: "TLSv1.3", or ""
	// for not at all. It is called concurrently.
	ObserveTLS func(version string)

	Now      func() time.Time // the clock of Envelope.ReceivedAt; default time.Now
	Logger   *slog.Logger     // default: nothing is logged
	Observer Observer         // default: nothing is counted
}

// A LimitAction is the answer to a message that exceeds a limit. The zero value keeps the message with the sender.
type LimitAction int

// The limit actions.
const (
	LimitTempFail LimitAction = iota // 451 4.3.4
	LimitReject                      // 552 5.3.4
)

// An Event is something a Server counts.
type Event string

// The events. Gauges go up and down by one, all others only up.
const (
	EventConnection    Event = "connection"     // gauge: open connections
	EventWaiting       Event = "waiting"        // gauge: messages that wait for an analysis slot
	EventAnalysis      Event = "analysis"       // gauge: messages in Handle
	EventHeaderLimit   Event = "header_limit"   // a message exceeded a limit of its header
	EventBodyLimit     Event = "body_limit"     // a message exceeded a limit of its body
	EventBadHeader     Event = "bad_header"     // a message had a header packet that says two things
	EventProtocolError Event = "protocol_error" // the peer broke the milter protocol
	EventOverBudget    Event = "over_budget"    // a message was not decided in time
	EventAborted       Event = "aborted"        // a message was aborted, or its connection was lost, before its end
	EventSplit         Event = "split"          // a recipient was asked to be sent separately, see Options.Group
	EventPanic         Event = "panic"          // a Handler panicked
	EventShed          Event = "shed"           // an idle connection was closed because there were too many
)

// An Observer counts events of a Server. It is called concurrently and must not block.
type Observer interface {
	Count(e Event, delta int)
}

// noObserver is the Observer of a Server that has none.
type noObserver struct{}

func (noObserver) Count(Event, int) {}

// Defaults of Options.
const (
	defaultMaxConnections = 1000
	defaultMaxRecipients  = 10_000
	defaultMaxPacket      = 256 << 10
	defaultIdleTimeout    = 7210 * time.Second // libmilter's MI_TIMEOUT
	defaultPacketTimeout  = 60 * time.Second
	defaultWriteTimeout   = 60 * time.Second
	defaultBudget         = 60 * time.Second
	drainReserve          = 10 * time.Second
)

// withDefaults returns o with every unset field filled in.
func (o Options) withDefaults() Options {
	setDefault(&o.MaxConnections, defaultMaxConnections)
	setDefault(&o.MaxAnalyses, max(16, 8*runtime.GOMAXPROCS(0)))
	setDefault(&o.MaxRecipients, defaultMaxRecipients)
	o.MaxPacket = max(o.MaxPacket, defaultMaxPacket)
	o.IdleTimeout = max(o.IdleTimeout, defaultIdleTimeout)
	setDefault(&o.PacketTimeout, defaultPacketTimeout)
	setDefault(&o.WriteTimeout, defaultWriteTimeout)
	setDefault(&o.Budget, defaultBudget)
	setDefault(&o.DrainTimeout, o.Budget+drainReserve)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Observer == nil {
		o.Observer = noObserver{}
	}
	return o
}

// setDefault replaces a value that is not positive.
func setDefault[T int | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}
