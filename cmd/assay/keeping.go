package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"assay/cmd/internal/config"
	"assay/milter/filter"
	"assay/milter/notice"
	"assay/milter/notify"
	"assay/milter/plan"
	"assay/milter/quarantine"
	"assay/rules"
)

// storeOptions returns the options of the store of a configuration.
func storeOptions(c *config.Config, now func() time.Time) quarantine.Options {
	return quarantine.Options{Dir: c.Quarantine.Dir, KeyFile: c.Quarantine.TokenKeyFile, Prefix: c.Headers.Prefix, Now: now}
}

// retention returns how long entries are kept.
func retention(c *config.Config) quarantine.Retention {
	return quarantine.Retention{Messages: c.Quarantine.Retention, Originals: c.Quarantine.Originals, Audit: c.Quarantine.Audit}
}

// quarantineOf returns what a filter does with quarantined mail.
func quarantineOf(c *config.Config, store filter.Store) filter.Quarantine {
	places := map[config.QuarantineMode]filter.Place{
		config.QuarantineHold: filter.PlaceHold, config.QuarantineStore: filter.PlaceStore, config.QuarantineMailbox: filter.PlaceMailbox,
	}
	return filter.Quarantine{Place: places[c.Quarantine.Mode], Mailbox: c.Quarantine.Mailbox, Release: c.Quarantine.ReleaseClass,
		Store: store, Originals: c.Quarantine.Originals > 0}
}

// newStore returns the store of a configuration, nil if nothing is stored and nothing was. One that cannot be used now is
// tried again for each message that needs it, which is deferred until it works; all other mail flows.
func (d *daemon) newStore(c *config.Config) *quarantine.Store {
	if _, err := os.Stat(c.Quarantine.Dir); errors.Is(err, fs.ErrNotExist) && !c.Quarantine.Stores() {
		return nil
	}
	opt := storeOptions(c, d.app.now)
	opt.Create = true
	store := quarantine.New(opt)
	repair, err := store.Open(context.Background())
	if err != nil {
		d.log.Error("the quarantine cannot be used, mail that has to be stored is deferred", "directory", c.Quarantine.Dir, "reason", err)
	}
	if repair.Changed() {
		d.log.Warn("the quarantine was put in order", "directory", c.Quarantine.Dir, "adopted", len(repair.Adopted), "lost", len(repair.Lost),
			"damaged", strings.Join(repair.Damaged, ","), "unfinished", repair.Swept)
	}
	return store
}

// sameStore reports whether two configurations have the same store.
func sameStore(a, b *config.Config) bool {
	return !changed(a, b, "quarantine.dir") && !changed(a, b, "quarantine.token_key_file") && !changed(a, b, "headers.prefix") &&
		a.Quarantine.Stores() == b.Quarantine.Stores()
}

// keep gives a generation its store, and who tells recipients.
func (d *daemon) keep(g, last *generation, opt *filter.Options) {
	if last != nil && sameStore(last.config, g.config) {
		g.store = last.store
	} else {
		g.store = d.newStore(g.config)
	}
	var store filter.Store
	if g.store != nil {
		store = g.store
	}
	opt.Quarantine = quarantineOf(g.config, store)
	g.recipients = g.tell.Recipients(notify.RecipientOptions{
		Every: g.config.Quarantine.NotifyEvery, Contact: g.config.Quarantine.Contact, Text: opt.Notices.Held,
	})
}

// held tells the recipients of a message that was quarantined, if the configuration or a rule wants it. Nobody is told about
// mail of this host that tells somebody something.
func (g *generation) held(out *filter.Outcome) {
	asked := slices.ContainsFunc(out.Decision.Notify, func(n rules.Notification) bool { return n.Channel == rules.Recipients })
	kept := out.Plan.Verdict == plan.Accept || out.Plan.Verdict == plan.Discard
	if out.Decision.Disposition != rules.Quarantine || !kept || !asked && !g.config.Quarantine.NotifyRecipients || g.tell.Own(out.Header) {
		return
	}
	m := notice.HeldMail{Received: out.Envelope.ReceivedAt, Reason: out.Decision.Reason, ID: out.Quarantined,
		Release: string(g.config.Quarantine.ReleaseClass)}
	if out.Decision.Release != "" {
		m.Release = string(out.Decision.Release)
	}
	if m.ID == "" {
		m.ID = out.Envelope.QueueID
	}
	if boxes := out.Header.Author().Mailboxes; len(boxes) > 0 {
		m.Sender = boxes[0].Local + "@" + boxes[0].Domain
	}
	if g.config.Quarantine.NotifySubject {
		m.Subject = out.Header.Text("Subject")
	}
	seen := map[string]bool{}
	for _, address := range out.Envelope.RcptTo {
		if key := strings.ToLower(address); !seen[key] && g.own(address, out.Envelope.AuthUser) {
			seen[key] = true
			g.recipients.Notify(address, m)
		}
	}
}

// own reports whether an address is one of the organization. Where its domains are not configured, every recipient is of mail
// that comes in, and none of mail that a logged-in user sends.
func (g *generation) own(address, user string) bool {
	if len(g.config.Identity.Domains) == 0 {
		return user == ""
	}
	domain := strings.ToLower(address[strings.LastIndexByte(address, '@')+1:])
	return slices.Contains(g.config.Identity.Domains, domain)
}

// A rehearsal is a store that keeps nothing: for messages that nobody waits for.
type rehearsal struct{}

// Keep implements filter.Store.
func (rehearsal) Keep(context.Context, io.WriterTo, quarantine.Entry) (string, error) { return "", nil }

// Redeem implements filter.Store.
func (rehearsal) Redeem(context.Context, string, string) (*quarantine.Redeemed, error) {
	return nil, quarantine.ErrToken
}

// Restore implements filter.Store.
func (rehearsal) Restore(context.Context, *quarantine.Redeemed) error { return nil }
