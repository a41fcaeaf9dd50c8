// Package control is the unix socket through which an administrator speaks to the running daemon: one JSON document per
// line in each direction.
//
//	{"version":1,"cmd":"reload"}
//	{"version":1,"ok":true,"data":{"sha":"3b1f..."}}
//
// Who may connect is decided by the permissions of the socket. Who it is, the kernel says (SO_PEERCRED of unix(7)), and
// only root, the daemon's own user and members of one optional group may run commands that change something. Nobody
// authenticates by what is written in a request.
//
// What it refuses to do: requests have no effect in part. A command that was begun runs to its end, also when whoever
// asked for it has gone.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Version is the version of the protocol. Another one is refused.
const Version = 1

// DefaultPath is where the socket is unless the configuration says otherwise.
const DefaultPath = "/run/assay/control.sock"

// A Request asks for one command.
type Request struct {
	Version int             `json:"version"` // Call sets it
	Command string          `json:"cmd"`
	Args    json.RawMessage `json:"args,omitempty"` // what the command defines

	Peer Peer `json:"-"` // who asks; the server sets it
}

// A Response is the answer to a Request. Data may be present when OK is false.
type Response struct {
	Version int             `json:"version"`
	OK      bool            `json:"ok"`
	Error   string          `json:"error,omitempty"` // why not, for people; may have several lines
	Data    json.RawMessage `json:"data,omitempty"`  // what the command defines
}

// Err returns the error that a response tells, nil if the command succeeded.
func (r Response) Err() error {
	if r.OK {
		return nil
	}
	return errors.New(r.Error)
}

// Done makes a Response of what a command has found out. With an error it is a failure that still carries the data.
func Done(data any, err error) Response {
	r := Response{OK: err == nil}
	if err != nil {
		r.Error = err.Error()
	}
	if data == nil {
		return r
	}
	text, failed := json.Marshal(data)
	if failed != nil {
		return Response{Error: fmt.Sprintf("control: the answer cannot be written: %v", failed)}
	}
	r.Data = text
	return r
}

// A Peer is a process that has connected.
type Peer struct {
	UID  int
	GID  int
	PID  int
	Name string // of the user, "" if the system does not know it
}

// String returns the user for people and for the audit log: "root", or "uid 4711".
func (p Peer) String() string {
	if p.Name != "" {
		return p.Name
	}
	return fmt.Sprintf("uid %d", p.UID)
}

// A Handler carries out a command. It is called concurrently, also with itself. Its context ends with the server and
// after Options.Timeout, not when the client goes away.
type Handler func(ctx context.Context, r Request) Response

// A Command is what a name in a request stands for.
type Command struct {
	Run     Handler
	Changes bool // it changes something: only root, the daemon's own user and members of Options.Group may run it
}

// Options configure a Server. The zero value is useful.
type Options struct {
	Group string // name or number of a group whose members may run commands that change something; "" for none

	MaxRequest     int           // most octets of a request; default 64 KiB
	MaxConnections int           // most connections at the same time; more are told so and closed; default 16
	Idle           time.Duration // how long a connection may be silent, and a request take to arrive; default 10 s
	Timeout        time.Duration // how long a command may take; default 10 min
	Write          time.Duration // how long writing a response may take; default 10 s
	Drain          time.Duration // how long Serve waits at its end for commands that run; default 10 s

	Logger *slog.Logger // default: nothing is logged
}

// Defaults of Options, and of Call.
const (
	defaultMaxRequest     = 64 << 10
	defaultMaxConnections = 16
	defaultIdle           = 10 * time.Second
	defaultTimeout        = 10 * time.Minute
	defaultWrite          = 10 * time.Second
	defaultDrain          = 10 * time.Second
)

// withDefaults returns o with every unset field filled in.
func (o Options) withDefaults() Options {
	setDefault(&o.MaxRequest, defaultMaxRequest)
	setDefault(&o.MaxConnections, defaultMaxConnections)
	setDefault(&o.Idle, defaultIdle)
	setDefault(&o.Timeout, defaultTimeout)
	setDefault(&o.Write, defaultWrite)
	setDefault(&o.Drain, defaultDrain)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// setDefault replaces a value that is not positive.
func setDefault[T int | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}
