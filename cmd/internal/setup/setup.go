package setup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// startTime is how long the daemon and the MTA may take to answer after they were started.
const startTime = 15 * time.Second

// An mta is what setup knows to do with one kind of MTA.
type mta interface {
	// inspect says what is there and what has to be changed.
	inspect(ctx context.Context) error
	// file is the configuration that is changed first, by which an installation is known.
	file() string
	// apply starts the daemon, makes the changes and has the MTA read them. What it is going to do is in the journal before.
	apply(ctx context.Context, root *os.Root, j *journal) error
	// undo puts back what was there.
	undo(ctx context.Context, s state, root *os.Root) error
	// prober knows how to send a mail through the MTA.
	prober() prober
	// reload has the MTA read its configuration.
	reload(ctx context.Context) error
}

// newReport returns an empty report; its JSON has no null.
func newReport() *Report {
	return &Report{Found: []Fact{}, Changes: []Change{}, Notes: []string{}, Problems: []string{}}
}

// Inspect says what is there and what would be changed. It changes nothing.
func Inspect(ctx context.Context, sys System, opt Options) (*Report, error) {
	_, r, err := inspect(ctx, sys, opt)
	return r, err
}

// inspect returns the MTA of a machine, inspected.
func inspect(ctx context.Context, sys System, opt Options) (mta, *Report, error) {
	r := newReport()
	m, err := detect(ctx, sys, opt, r)
	if err != nil {
		return nil, r, err
	}
	return m, r, m.inspect(ctx)
}

// detect finds the MTA.
func detect(ctx context.Context, sys System, opt Options, r *Report) (mta, error) {
	_, missing := sys.Run(ctx, "postconf", "-d", "mail_version")
	mc := cmp.Or(opt.Config, usualMC)
	switch {
	case opt.MTA == "postfix" && missing != nil:
		return nil, fmt.Errorf("%w: postconf does not run: %w", ErrNoMTA, missing)
	case opt.MTA == "sendmail" && !sys.Exists(mc):
		return nil, fmt.Errorf("%w: there is no %s", ErrNoMTA, mc)
	case opt.MTA == "" && missing == nil && opt.Config == "" && sys.Exists(mc): // both can be installed, and one serves
		if opt.MTA = serving(ctx, sys); opt.MTA == "sendmail" {
			break
		}
		r.Notes = append(r.Notes, "Sendmail has a configuration here, too ("+mc+"); --mta sendmail connects that one")
	}
	switch {
	case opt.MTA == "postfix" || opt.MTA == "" && missing == nil:
		return newMTA("postfix", sys, opt, r), nil
	case opt.MTA == "sendmail" || opt.MTA == "" && sys.Exists(mc):
		return newMTA("sendmail", sys, opt, r), nil
	}
	return nil, ErrNoMTA
}

// serving returns which of two MTAs takes the mail: Postfix, unless it does not run and the program sendmail is Sendmail's.
func serving(ctx context.Context, sys System) string {
	if _, err := sys.Run(ctx, "postfix", "status"); err == nil {
		return "postfix"
	}
	if out, _ := sys.Run(ctx, "sendmail", "-bt", "-d0.1"); sendmailVersion.MatchString(out) {
		return "sendmail"
	}
	return "postfix"
}

// newMTA returns an MTA of a kind that is known to be there.
func newMTA(kind string, sys System, opt Options, r *Report) mta {
	if kind == "sendmail" {
		return newSendmail(sys, opt, r)
	}
	return &postfix{sys: sys, opt: opt, report: r}
}

// Apply makes the changes that Inspect names, and proves that mail passes through Assay. When the MTA does not reach Assay
// afterwards, or ctx ends before that is known, what was changed is put back.
func Apply(ctx context.Context, sys System, opt Options) (*Report, error) {
	m, r, err := inspect(ctx, sys, opt)
	if err != nil {
		return r, err
	}
	if len(r.Problems) > 0 {
		return r, fmt.Errorf("%w: %s", ErrFailed, r.Problems[0])
	}
	root, err := openState(opt.State, opt.Owner, true)
	if err != nil {
		return r, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	defer root.Close()
	held, err := lock(root)
	if err != nil {
		return r, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	defer held.Close()
	j, err := load(root, opt.Owner)
	if err != nil {
		return r, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	c := change{sys: sys, m: m, report: r, opt: opt, root: root, journal: j}
	return r, c.run(ctx)
}

// A change is one Apply, or one of the setups that Undo undoes.
type change struct {
	sys     System
	m       mta
	report  *Report
	opt     Options
	root    *os.Root
	journal *journal
}

// run changes what has to be changed, or finishes what an earlier setup has begun, and proves it.
func (c *change) run(ctx context.Context) error {
	if len(c.report.Changes) > 0 {
		if err := c.m.apply(ctx, c.root, c.journal); err != nil {
			return c.fail(ctx, err)
		}
	} else if s := c.journal.of(c.m.file()); s != nil && s.Pending {
		c.report.Notes = append(c.report.Notes, "an earlier setup did not come to its end; its change is proven now")
		if err := c.m.reload(ctx); err != nil {
			return fmt.Errorf("%w: %w", ErrFailed, err)
		}
	}
	if s := c.journal.of(c.m.file()); s != nil && s.Pending {
		c.report.Kept = filepath.Join(c.opt.State, s.Files[0].Copy)
	}
	if c.opt.NoProbe {
		return c.settle()
	}
	c.report.Probe = c.m.prober().run(ctx)
	if c.report.Probe.State == ProbeUnreachable && c.report.Kept == "" && c.m.reload(ctx) == nil { // perhaps it was never told
		c.report.Probe = c.m.prober().run(ctx)
	}
	return c.judge(ctx)
}

// settle notes that nothing is pending.
func (c *change) settle() error {
	s := c.journal.of(c.m.file())
	if s == nil || !s.Pending {
		return nil
	}
	s.Pending = false
	return c.journal.save(c.root)
}

// judge draws the conclusions from a probe.
func (c *change) judge(ctx context.Context) error {
	r := c.report
	switch {
	case r.Probe.State == ProbeProven:
		return c.settle()
	case r.Kept == "" || r.Probe.State != ProbeUnreachable && ctx.Err() == nil:
		return fmt.Errorf("%w: %s", ErrUnproven, r.Probe.Reason)
	}
	if ctx.Err() != nil {
		return c.fail(ctx, errors.New("it was interrupted"))
	}
	return c.fail(ctx, fmt.Errorf("the MTA does not reach Assay (%s)", r.Probe.Reason))
}

// fail puts back what was there, if it was changed.
func (c *change) fail(ctx context.Context, cause error) error {
	if c.report.Kept == "" {
		return fmt.Errorf("%w: %w", ErrFailed, cause)
	}
	// It has to come to its end even if nobody waits for it any more.
	if err := c.putBack(context.WithoutCancel(ctx), c.m.file()); err != nil {
		return fmt.Errorf("%w: %w, and what was there could not be put back: %w", ErrFailed, cause, err)
	}
	c.report.Restored, c.report.Changed = true, false
	return fmt.Errorf("%w: %w; what was there was put back", ErrFailed, cause)
}

// putBack undoes what was changed and forgets it.
func (c *change) putBack(ctx context.Context, path string) error {
	s := c.journal.of(path)
	if s == nil {
		return fs.ErrNotExist
	}
	if err := errors.Join(c.m.undo(ctx, *s, c.root), s.disable(ctx, c.sys, c.journal, c.report)); err != nil {
		return err
	}
	c.journal.drop(path)
	return c.journal.save(c.root)
}

// Undo puts back what setup has changed: in the installation that Config names, or else in all of them.
func Undo(ctx context.Context, sys System, opt Options) (*Report, error) {
	r := newReport()
	root, err := openState(opt.State, opt.Owner, false)
	if errors.Is(err, fs.ErrNotExist) {
		r.Notes = append(r.Notes, "assay setup has changed nothing here")
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	defer root.Close()
	held, err := lock(root)
	if err != nil {
		return r, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	defer held.Close()
	if err := undoAll(ctx, sys, opt, r, root); err != nil {
		return r, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	if !r.Changed {
		r.Notes = append(r.Notes, "assay setup has changed nothing here")
	}
	return r, nil
}

// undoAll undoes every setup that is meant. What fails with one keeps no other from being undone.
func undoAll(ctx context.Context, sys System, opt Options, r *Report, root *os.Root) error {
	j, err := load(root, opt.Owner)
	if err != nil {
		return err
	}
	var failed error
	for _, s := range append([]state{}, j.Setups...) {
		if opt.MTA != "" && opt.MTA != s.MTA || !s.at(opt.Config) {
			continue
		}
		of := opt
		r.MTA, of.MTA, of.Config = s.MTA, s.MTA, s.Config
		c := change{sys: sys, m: newMTA(s.MTA, sys, of, r), report: r, opt: of, root: root, journal: j}
		if err := c.putBack(ctx, s.Files[0].Path); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		r.Changed, r.Restored = true, true
	}
	return failed
}
