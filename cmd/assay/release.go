package main

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"os"
	"time"

	"github.com/spf13/cobra"

	"assay/milter/quarantine"
	"assay/milter/submit"
	"assay/rules"
)

// releaseFlags are the flags of "quarantine release".
type releaseFlags struct {
	reason, asUser, smtp string
	to                   []string
	again                bool
	wait                 time.Duration
}

// quarantineRelease returns "quarantine release".
func (a *app) quarantineRelease() *cobra.Command {
	c := &cobra.Command{
		Use:   "release ID...",
		Short: "Deliver quarantined mail to its recipients",
		Long: "Deliver quarantined mail to its recipients, octet for octet as it was received. It is given to the MTA with its original\n" +
			"envelope and one header field by which the milter knows it once; the milter removes the field, adds what it found out when\n" +
			"the mail came, and judges nothing again.\n\n" +
			"Mail of the class never is not released; what has the class operator only without --as-user. With --as-user a program that\n" +
			"knows who is asking, such as a web page, lets a recipient release mail of the class user to himself.",
		Args: args(1, 1000),
	}
	path := configFlag(c)
	var f releaseFlags
	c.Flags().StringVar(&f.reason, "reason", "", "`TEXT` for the audit log (required)")
	c.Flags().StringSliceVar(&f.to, "to", nil, "send a copy to these `ADDRESSES` instead; for its recipients the mail stays quarantined")
	c.Flags().StringVar(&f.asUser, "as-user", "", "release for the recipient with this `ADDRESS`, who asks for it")
	c.Flags().StringVar(&f.smtp, "smtp", "", "give it to the SMTP server `HOST:PORT` (default quarantine.smtp, or quarantine.sendmail)")
	c.Flags().BoolVar(&f.again, "again", false, "also to recipients who have got it already")
	c.Flags().DurationVar(&f.wait, "wait", 10*time.Second, "how long to wait until the milter has seen it")
	c.RunE = a.withDesk(path, func(ctx context.Context, d *desk, ids []string) error {
		if err := f.check(); err != nil {
			return err
		}
		return d.each(ids, func(id string) error { return d.release(ctx, id, f) })
	})
	return c
}

// check refuses flags that make no sense.
func (f releaseFlags) check() error {
	if err := requireReason(f.reason); err != nil {
		return err
	}
	for _, address := range f.to {
		if parsed, err := mail.ParseAddress(address); err != nil || parsed.Address != address {
			return usageError{fmt.Errorf("--to %q is not a mail address", address)}
		}
	}
	if len(f.to) > 0 && f.asUser != "" {
		return usageError{errors.New("--to and --as-user exclude each other: recipients release to themselves only")}
	}
	return nil
}

// release releases one message.
func (d *desk) release(ctx context.Context, id string, f releaseFlags) error {
	if d.queue != nil && !quarantine.ValidID(id) {
		return d.releaseHeld(ctx, id, f)
	}
	if d.store == nil {
		return d.errNothing()
	}
	who := d.app.person()
	if f.asUser != "" {
		who = f.asUser + " (through " + who + ")"
	}
	r, err := d.store.Release(ctx, quarantine.Release{ID: id, Who: who, Reason: f.reason, AsUser: f.asUser, To: f.to, Again: f.again, Wait: f.wait},
		d.submitter(f.smtp))
	if err != nil {
		return err
	}
	fmt.Fprintf(d.app.out, "%s released to %s\n", id, plural(len(r.To), "recipient"))
	if !r.Accepted {
		fmt.Fprintf(d.app.err, "warning: the MTA has taken %s, but the milter has not seen it yet. If it does not ask the milter, the mail is delivered "+
			"with the field %s in its header; if the milter does not know the mail, it is quarantined again.\n", id, quarantine.TokenField(d.config.Headers.Prefix))
	}
	return nil
}

// submitter returns the way to the MTA.
func (d *desk) submitter(smtp string) submit.Submitter {
	if smtp == "" {
		smtp = d.config.Quarantine.SMTP
	}
	if smtp == "" {
		return submit.Sendmail(d.config.Quarantine.Sendmail)
	}
	name, err := os.Hostname()
	if err != nil || name == "" {
		name = "localhost"
	}
	return submit.SMTP(smtp, name)
}

// releaseHeld releases a message in the queue of the MTA, which delivers it as it is there.
func (d *desk) releaseHeld(ctx context.Context, id string, f releaseFlags) error {
	if len(f.to) > 0 || f.asUser != "" || f.smtp != "" {
		return usageError{fmt.Errorf("%s is in the queue of the MTA: it can only be released to all of its recipients", shown(id, 40))}
	}
	e, err := d.held(ctx, id)
	if err != nil {
		return err
	}
	if e.Class == rules.ReleaseNever {
		err := fmt.Errorf("%w: the rules that caught %s say that it is never released", quarantine.ErrForbidden, id)
		return errors.Join(err, d.note(quarantine.Audit{Action: quarantine.ActionRefused, ID: id, Who: d.app.person(), Reason: f.reason, Error: err.Error()}))
	}
	line := quarantine.Audit{Action: quarantine.ActionRelease, ID: id, Who: d.app.person(), Reason: f.reason, To: e.RcptTo}
	if err := d.note(line); err != nil {
		return err
	}
	if err := d.queue.Release(ctx, id); err != nil {
		line.Action, line.Error = quarantine.ActionFailed, err.Error()
		return errors.Join(err, d.note(line))
	}
	line.Action = quarantine.ActionReleased
	if err := d.note(line); err != nil {
		return err
	}
	fmt.Fprintf(d.app.out, "%s released to %s\n", id, plural(len(e.RcptTo), "recipient"))
	return nil
}
