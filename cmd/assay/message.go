package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"assay/milter/control"
	"assay/milter/filter"
)

// maxRecent is how many messages the daemon remembers by queue id.
const maxRecent = 1024

// A decided message is what "ctl message" tells: words that are in X-Assay-Result too, and nothing about persons.
type decided struct {
	QueueID     string    `json:"queue_id"`
	Time        time.Time `json:"time"` // of receipt
	Disposition string    `json:"disposition"`
	Trust       string    `json:"trust"`
	Failed      bool      `json:"failed"` // it could not be handled and was deferred
}

// A recent remembers the last messages. It is safe for concurrent use; the zero value is ready.
type recent struct {
	mu    sync.Mutex
	byID  map[string]decided
	order []string // queue ids, a ring once it is full
	next  int
}

// add remembers a message. MTAs use queue ids again; the last one counts.
func (r *recent) add(out *filter.Outcome, err error) {
	if out == nil || out.Envelope.QueueID == "" {
		return
	}
	m := decided{QueueID: out.Envelope.QueueID, Time: out.Envelope.ReceivedAt, Disposition: out.Decision.Disposition.String(),
		Trust: string(out.Decision.Trust), Failed: err != nil}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byID == nil {
		r.byID = map[string]decided{}
	}
	if _, known := r.byID[m.QueueID]; !known {
		if len(r.order) < maxRecent {
			r.order = append(r.order, m.QueueID)
		} else {
			delete(r.byID, r.order[r.next])
			r.order[r.next] = m.QueueID
			r.next = (r.next + 1) % maxRecent
		}
	}
	r.byID[m.QueueID] = m
}

// find returns what is remembered of a message.
func (r *recent) find(id string) (decided, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.byID[id]
	return m, ok
}

// errUnknownMessage is the answer about a message that is not remembered.
var errUnknownMessage = errors.New("no message of this queue id is among the last that were handled; the log goes further back")

// A messageRequest asks about one message.
type messageRequest struct {
	QueueID string `json:"queue_id"`
}

// controlMessage is "assay ctl message".
func (d *daemon) controlMessage(_ context.Context, r control.Request) control.Response {
	var wanted messageRequest
	if err := json.Unmarshal(r.Args, &wanted); err != nil || wanted.QueueID == "" {
		return control.Done(nil, errors.New("message needs a queue id"))
	}
	m, ok := d.recent.find(wanted.QueueID)
	if !ok {
		return control.Done(nil, errUnknownMessage)
	}
	return control.Done(m, nil)
}

// ctlMessage returns "ctl message".
func (a *app) ctlMessage() *cobra.Command {
	c := &cobra.Command{
		Use:   "message QUEUE_ID",
		Short: "Say what was decided about one of the last messages",
		Long: fmt.Sprintf("Say what was decided about a message, by the queue id of the MTA. The daemon remembers the last %d; the log has all.",
			maxRecent),
		Args: args(1, 1),
	}
	path := configFlag(c)
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(c *cobra.Command, args []string) error {
		m, err := a.messageDecided(c.Context(), *path, args[0])
		if err != nil {
			return err
		}
		if *asJSON {
			return encode(a.out, m)
		}
		_, err = fmt.Fprintf(a.out, "%s %s disposition=%s trust=%s failed=%t\n", m.QueueID, m.Time.UTC().Format(time.RFC3339), m.Disposition, m.Trust, m.Failed)
		return err
	}
	return c
}

// messageDecided asks the daemon about a message.
func (a *app) messageDecided(ctx context.Context, path, id string) (m decided, err error) {
	response, err := a.call(ctx, path, "message", messageRequest{id})
	if err == nil {
		err = response.Err()
	}
	if err == nil {
		err = json.Unmarshal(response.Data, &m)
	}
	return m, err
}
