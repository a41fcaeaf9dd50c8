package notify

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"assay/rules"
)

// A Notifier sends notifications. It is safe for concurrent use.
type Notifier struct {
	opt      Options
	channels map[string]*channel
}

// A channel collects events until it may send a notice.
type channel struct {
	name string
	to   Channel
	wake chan struct{} // holds one element when there is something to send

	mu      sync.Mutex // held for the moment of entering an event or taking all
	waiting Notice
	stopped bool // nobody sends any more
}

// maxCounted bounds the rules that one notice counts.
const maxCounted = 1000

// New checks options and returns a Notifier, which sends once Run is called. The error holds everything that is wrong.
func New(o Options) (*Notifier, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	n := &Notifier{opt: o, channels: map[string]*channel{}}
	for name, to := range o.Channels {
		n.channels[name] = &channel{name: name, to: to, wake: make(chan struct{}, 1)}
	}
	return n, nil
}

// Notify tells the channels that rules ask for about one message. It returns at once: a channel that is busy collects,
// and what it has no room for it counts.
func (n *Notifier) Notify(e Event, wanted []rules.Notification) {
	var names []string
	byChannel := map[string][]Rule{}
	for _, w := range wanted {
		if _, seen := byChannel[w.Channel]; !seen {
			names = append(names, w.Channel)
		}
		rule := Rule{ID: w.Rule, Title: w.Title}
		if !slices.Contains(byChannel[w.Channel], rule) {
			byChannel[w.Channel] = append(byChannel[w.Channel], rule)
		}
	}
	for _, name := range names {
		event := e.clean()
		event.Rules = byChannel[name]
		n.enter(name, event)
	}
}

// enter gives an event to a channel.
func (n *Notifier) enter(name string, e Event) {
	c := n.channels[name]
	if c == nil {
		n.opt.Observe(Delivery{Channel: name, Events: 1, Err: ErrUnknownChannel})
		return
	}
	if !c.add(e, n.opt.Details) {
		n.opt.Observe(Delivery{Channel: name, Events: 1, Err: ErrStopped})
		return
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// add collects an event, unless nobody sends any more.
func (c *channel) add(e Event, details int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return false
	}
	if c.waiting.Counts == nil {
		c.waiting.Counts = map[string]int{}
	}
	for _, rule := range e.Rules {
		if _, known := c.waiting.Counts[rule.ID]; known || len(c.waiting.Counts) < maxCounted {
			c.waiting.Counts[rule.ID]++
		}
	}
	if len(c.waiting.Events) < details {
		c.waiting.Events = append(c.waiting.Events, e)
	} else {
		c.waiting.Further++
	}
	return true
}

// take returns what was collected. After the last time nothing is collected any more.
func (c *channel) take(last bool) Notice {
	c.mu.Lock()
	defer c.mu.Unlock()
	notice := c.waiting
	c.waiting, c.stopped = Notice{}, c.stopped || last
	return notice
}

// events returns how many events a notice is about.
func (n Notice) events() int { return len(n.Events) + n.Further }

// Run sends notifications until ctx ends, and then what has been collected, within Options.Drain. It is called once.
func (n *Notifier) Run(ctx context.Context) {
	deliver, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { // in its own goroutine
		timer := time.NewTimer(n.opt.Drain)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-deliver.Done():
		}
	})
	defer stop()
	var running sync.WaitGroup
	for _, name := range slices.Sorted(maps.Keys(n.channels)) {
		c := n.channels[name]
		running.Go(func() { n.serve(ctx, deliver, c) })
	}
	running.Wait()
}

// serve sends the notices of one channel until ctx ends.
func (n *Notifier) serve(ctx, deliver context.Context, c *channel) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-c.wake:
			sent := n.opt.Now()
			n.send(deliver, ctx, c, c.take(false))
			wait(ctx, n.opt.Every-n.opt.Now().Sub(sent))
		}
	}
	n.send(deliver, ctx, c, c.take(true))
}

// wait waits for a time or until ctx ends, and reports whether ctx lasts.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// send delivers a notice in all the ways of its channel, side by side.
func (n *Notifier) send(deliver, patience context.Context, c *channel, notice Notice) {
	if notice.events() == 0 {
		return
	}
	notice.Version, notice.Host, notice.Channel = 1, n.opt.Hostname, c.name
	var running sync.WaitGroup
	if len(c.to.Mail) > 0 {
		running.Go(func() {
			text, id := n.compose(c.to.Mail, notice)
			n.attempt(deliver, patience, "mail", notice, func(ctx context.Context) error { return n.mail(ctx, c.to.Mail, text, id) })
		})
	}
	if c.to.Webhook != "" {
		running.Go(func() {
			n.attempt(deliver, patience, "webhook", notice, func(ctx context.Context) error { return n.post(ctx, c.to, notice) })
		})
	}
	running.Wait()
}

// A permanent error is not cured by another attempt.
type permanent struct{ error }

// Unwrap returns the error.
func (p permanent) Unwrap() error { return p.error }

// attempt tries a delivery until it succeeds, another attempt is no use, or there were enough. Once patience has ended
// there is no time for another attempt.
func (n *Notifier) attempt(deliver, patience context.Context, way string, notice Notice, try func(context.Context) error) {
	d := Delivery{Channel: notice.Channel, Way: way, Events: notice.events()}
	pause := n.opt.Backoff
	for d.Attempts < n.opt.Attempts {
		if d.Attempts > 0 {
			if !wait(patience, pause) {
				break
			}
			pause *= 2
		}
		d.Attempts++
		ctx, cancel := context.WithTimeout(deliver, n.opt.Timeout)
		d.Err = try(ctx)
		cancel()
		if d.Err == nil || errors.As(d.Err, new(permanent)) {
			break
		}
	}
	n.opt.Observe(d)
}
