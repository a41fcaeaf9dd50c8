package notify

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"assay/milter/notice"
	"assay/rules"
)

// RecipientOptions configure a Recipients.
type RecipientOptions struct {
	Every     time.Duration // shortest time between two notices to one recipient; default 1 h
	Addresses int           // most recipients that are remembered at a time; default 10,000
	Parallel  int           // most notices that are delivered at a time; default 4
	Contact   string        // who helps, in the words of the notice
	// Text writes a notice. *notice.Templates.Held does.
	Text func(h notice.Held) (subject, text string, err error)
}

// Errors of a Delivery to recipients.
var (
	ErrTooMany = errors.New("notify: too many recipients wait for a notice")
	ErrAddress = errors.New("notify: the recipient has no mail address in ASCII")
)

// Recipients tells the recipients of quarantined mail about it: the first message at once, what comes within
// RecipientOptions.Every of it in one notice later. It is safe for concurrent use.
type Recipients struct {
	notifier *Notifier
	opt      RecipientOptions
	wake     chan struct{} // holds one element when there may be something to send

	mu      sync.Mutex
	waiting map[string]*recipient // by address in lower case
	stopped bool
}

// A recipient is one address that is told, or was not long ago.
type recipient struct {
	address string
	held    notice.Held
	after   time.Time // no notice before
	busy    bool      // one is on its way
}

// Recipients returns who tells recipients, with the same sender, server and key. It sends once its Run is called.
func (n *Notifier) Recipients(o RecipientOptions) *Recipients {
	setDefault(&o.Every, time.Hour)
	setDefault(&o.Addresses, 10_000)
	setDefault(&o.Parallel, 4)
	return &Recipients{notifier: n, opt: o, wake: make(chan struct{}, 1), waiting: map[string]*recipient{}}
}

// Notify tells one recipient about one message. It returns at once.
func (r *Recipients) Notify(address string, m notice.HeldMail) {
	if err := r.enter(address, m); err != nil {
		r.notifier.opt.Observe(Delivery{Channel: rules.Recipients, Events: 1, Err: err})
		return
	}
	r.stir()
}

// stir lets Run look again.
func (r *Recipients) stir() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// enter notes a message for a recipient.
func (r *Recipients) enter(address string, m notice.HeldMail) error {
	if !plainAddress(address) {
		return ErrAddress
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return ErrStopped
	}
	key := strings.ToLower(address)
	one := r.waiting[key]
	if one == nil {
		if len(r.waiting) >= r.opt.Addresses {
			r.purge()
		}
		if len(r.waiting) >= r.opt.Addresses {
			return ErrTooMany
		}
		one = &recipient{address: address}
		r.waiting[key] = one
	}
	if len(one.held.Messages) < r.notifier.opt.Details {
		one.held.Messages = append(one.held.Messages, m)
	} else {
		one.held.Further++
	}
	return nil
}

// purge forgets recipients who may be told at once again. The caller holds the lock.
func (r *Recipients) purge() {
	now := r.notifier.opt.Now()
	for key, one := range r.waiting {
		if len(one.held.Messages) == 0 && !one.busy && !now.Before(one.after) {
			delete(r.waiting, key)
		}
	}
}

// due takes the notices that may be sent now, all of them at the end. The second result is when the next one may be sent, the
// zero time if none is waiting.
func (r *Recipients) due(last bool) (ready []*recipient, held []notice.Held, next time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.notifier.opt.Now()
	r.stopped = r.stopped || last
	for _, one := range r.waiting {
		switch {
		case len(one.held.Messages) == 0 || one.busy && !last:
		case last || !now.Before(one.after):
			one.busy, one.after = true, now.Add(r.opt.Every)
			h := one.held
			h.Recipient, h.Contact = one.address, r.opt.Contact
			ready, held, one.held = append(ready, one), append(held, h), notice.Held{}
		case next.IsZero() || one.after.Before(next):
			next = one.after
		}
	}
	return ready, held, next
}

// Run sends notices until ctx ends, and then what has been collected, within Options.Drain. It is called once.
func (r *Recipients) Run(ctx context.Context) {
	deliver, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	slots := make(chan struct{}, r.opt.Parallel)
	var running sync.WaitGroup
	send := func(last bool) time.Time {
		ready, held, next := r.due(last)
		for i, one := range ready {
			slots <- struct{}{}
			running.Go(func() {
				defer func() { <-slots }()
				r.send(deliver, ctx, one, held[i])
			})
		}
		return next
	}
	for ctx.Err() == nil {
		r.sleep(ctx, send(false))
	}
	timer := time.AfterFunc(r.notifier.opt.Drain, cancel)
	defer timer.Stop()
	send(true)
	running.Wait()
}

// sleep waits until ctx ends, something has come, or the next notice may be sent.
func (r *Recipients) sleep(ctx context.Context, next time.Time) {
	var alarm <-chan time.Time
	if !next.IsZero() {
		timer := time.NewTimer(max(next.Sub(r.notifier.opt.Now()), time.Millisecond))
		defer timer.Stop()
		alarm = timer.C
	}
	select {
	case <-ctx.Done():
	case <-r.wake:
	case <-alarm:
	}
}

// send delivers one notice.
func (r *Recipients) send(deliver, patience context.Context, to *recipient, held notice.Held) {
	defer func() {
		r.mu.Lock()
		to.busy = false
		r.mu.Unlock()
		r.stir()
	}()
	about := Notice{Channel: rules.Recipients, Further: held.Further + len(held.Messages)}
	subject, text, err := r.opt.Text(held)
	if err != nil {
		r.notifier.opt.Observe(Delivery{Channel: rules.Recipients, Events: about.events(), Err: err})
		return
	}
	mail, id := r.notifier.write(letter{channel: rules.Recipients, to: []string{to.address}, subject: subject, text: text})
	r.notifier.attempt(deliver, patience, "mail", about, func(ctx context.Context) error {
		return r.notifier.mail(ctx, []string{to.address}, mail, id)
	})
}
