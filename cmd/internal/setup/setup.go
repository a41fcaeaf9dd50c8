package setup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// startTime is how long the daemon and the MTA may take to answer after they were started.
const startTime = 15 * time.Second

// An mta is what setup knows to do with one kind of MTA.
type mta interface {
	inspect(ctx context.Context) error
	apply(ctx context.Context) error
	undo(ctx context.Context, s state, root *os.Root) error
	probe(ctx context.Context) Probe
	reload(ctx context.Context) error
}

// Inspect says what is there and what would be changed. It changes nothing.
func Inspect(ctx context.Context, sys System, opt Options) (*Report, error) {
	_, r, err := inspect(ctx, sys, opt)
	return r, err
}

// inspect returns the MTA of a machine, inspected.
func inspect(ctx context.Context, sys System, opt Options) (mta, *Report, error) {
	r := &Report{Found: []Fact{}, Changes: []Change{}, Notes: []string{}, Problems: []string{}}
	m, err := detect(ctx, sys, opt, r)
	if err != nil {
		return nil, r, err
	}
	return m, r, m.inspect(ctx)
}

// detect finds the MTA.
func detect(ctx context.Context, sys System, opt Options, r *Report) (mta, error) {
	_, missing := sys.Run(ctx, "postconf", "-d", "mail_version")
	mc := cmp.Or(opt.Config, "/etc/mail/sendmail.mc")
	switch {
	case opt.MTA == "postfix" || opt.MTA == "" && missing == nil:
		if missing != nil {
			return nil, fmt.Errorf("%w: postconf does not run: %w", ErrNoMTA, missing)
		}
		return &postfix{sys: sys, opt: opt, report: r}, nil
	case opt.MTA == "sendmail" || opt.MTA == "" && sys.Exists(mc):
		if !sys.Exists(mc) {
			return nil, fmt.Errorf("%w: there is no %s", ErrNoMTA, mc)
		}
		return &sendmail{sys: sys, opt: opt, report: r, mc: mc}, nil
	}
	return nil, ErrNoMTA
}

// Apply makes the changes that Inspect names, and proves that mail passes through Assay. When the MTA does not reach Assay
// afterwards, what was changed is put back.
func Apply(ctx context.Context, sys System, opt Options) (*Report, error) {
	m, r, err := inspect(ctx, sys, opt)
	if err != nil {
		return r, err
	}
	if len(r.Problems) > 0 {
		return r, fmt.Errorf("%w: %s", ErrFailed, r.Problems[0])
	}
	if len(r.Changes) > 0 {
		if err := m.apply(ctx); err != nil {
			return r, fmt.Errorf("%w: %w", ErrFailed, err)
		}
	}
	if opt.NoProbe {
		return r, nil
	}
	r.Probe = m.probe(ctx)
	return r, judge(ctx, m, r, opt)
}

// judge draws the conclusions from a probe.
func judge(ctx context.Context, m mta, r *Report, opt Options) error {
	switch {
	case r.Probe.State == ProbeProven:
		return nil
	case r.Probe.State == ProbeUnreachable && r.Kept != "":
		if err := putBack(ctx, m, opt); err != nil {
			return fmt.Errorf("%w: the MTA does not reach Assay (%s), and what was there could not be put back: %w", ErrFailed, r.Probe.Reason, err)
		}
		r.Restored, r.Changed = true, false
		return fmt.Errorf("%w: the MTA does not reach Assay (%s); what was there was put back", ErrFailed, r.Probe.Reason)
	}
	return fmt.Errorf("%w: %s", ErrUnproven, r.Probe.Reason)
}

// Undo puts back what setup has changed.
func Undo(ctx context.Context, sys System, opt Options) (*Report, error) {
	r := &Report{Found: []Fact{}, Changes: []Change{}, Notes: []string{}, Problems: []string{}}
	root, err := openState(opt.State, opt.Owner, false)
	if errors.Is(err, fs.ErrNotExist) {
		r.Notes = append(r.Notes, "assay setup has changed nothing here")
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	defer root.Close()
	s, found, err := loadState(root, opt.Owner)
	if err != nil {
		return r, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	if !found {
		r.Notes = append(r.Notes, "assay setup has changed nothing here")
		return r, nil
	}
	r.MTA, opt.MTA, opt.Config = s.MTA, s.MTA, cmp.Or(opt.Config, s.Config)
	m, err := detect(ctx, sys, opt, r)
	if err != nil {
		return r, err
	}
	if err := m.undo(ctx, s, root); err != nil {
		return r, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	r.Changed, r.Restored = true, true
	return r, root.Remove(stateFile)
}

// putBack undoes what the running setup has changed.
func putBack(ctx context.Context, m mta, opt Options) error {
	root, err := openState(opt.State, opt.Owner, false)
	if err != nil {
		return err
	}
	defer root.Close()
	s, found, err := loadState(root, opt.Owner)
	if err != nil || !found {
		return errors.Join(err, fs.ErrNotExist)
	}
	if err := m.undo(ctx, s, root); err != nil {
		return err
	}
	return root.Remove(stateFile)
}

// apply implements mta: the daemon first, then main.cf.
func (p *postfix) apply(ctx context.Context) error {
	if err := p.startDaemon(ctx); err != nil {
		return err
	}
	var lists []Change
	for _, c := range p.report.Changes {
		if strings.HasSuffix(c.What, "smtpd_milters") {
			lists = append(lists, c)
		}
	}
	p.report.Changed = len(p.report.Changes) > 0
	if len(lists) == 0 {
		return nil
	}
	root, err := openState(p.opt.State, p.opt.Owner, true)
	if err != nil {
		return err
	}
	defer root.Close()
	return p.change(ctx, root, lists)
}

// startDaemon enables units, starts the daemon and waits until it answers where Postfix will look for it.
func (p *postfix) startDaemon(ctx context.Context) error {
	if len(p.units) > 0 {
		if out, err := p.sys.Run(ctx, "systemctl", append([]string{"enable"}, p.units...)...); err != nil {
			return fmt.Errorf("systemctl enable: %w: %s", err, out)
		}
	}
	if p.start == nil {
		return nil
	}
	if p.endpoint.unit { // systemd does not open a socket for a service that runs already
		if out, err := p.sys.Run(ctx, "systemctl", "stop", "assay.service"); err != nil {
			return fmt.Errorf("systemctl stop: %w: %s", err, out)
		}
	}
	if out, err := p.sys.Run(ctx, p.start[0], p.start[1:]...); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(p.start, " "), err, out)
	}
	return p.await(ctx)
}

// await waits until Assay answers.
func (p *postfix) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		err := p.sys.Handshake(ctx, p.endpoint.network, p.endpoint.address)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the daemon was started and does not answer at %s: %w; main.cf was left alone", p.endpoint.postfix, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// change keeps main.cf and changes lists in it.
func (p *postfix) change(ctx context.Context, root *os.Root, lists []Change) error {
	file := filepath.Join(p.value["config_directory"], "main.cf")
	s, found, err := loadState(root, p.opt.Owner)
	if err != nil {
		return err
	}
	now, err := sum(file)
	if err != nil {
		return err
	}
	if !found || s.After != now || s.File != file { // what is there now is what is to be put back
		s = state{Version: 1, MTA: "postfix", Config: p.opt.Config, File: file, Time: p.sys.Now().UTC(), Units: p.units, Own: p.own().addresses}
		if s.Copy, err = keep(root, file, p.sys.Now()); err != nil {
			return err
		}
	}
	for _, c := range lists {
		if !slices.ContainsFunc(s.Lists, func(k kept) bool { return k.Name == c.What }) {
			s.Lists = append(s.Lists, kept{Name: c.What, Set: p.set[c.What], Before: c.From})
		}
	}
	if err := s.save(root); err != nil { // before anything is changed
		return err
	}
	p.report.Kept = filepath.Join(p.opt.State, s.Copy)
	if err := p.write(ctx, &s, lists); err != nil {
		return err
	}
	if err := s.save(root); err != nil {
		return err
	}
	return p.reload(ctx)
}

// write changes lists with postconf and notes in the state what main.cf is then.
func (p *postfix) write(ctx context.Context, s *state, lists []Change) error {
	args := []string{"-e"}
	for _, c := range lists {
		args = append(args, c.What+"="+c.To)
		for i := range s.Lists {
			if s.Lists[i].Name == c.What {
				s.Lists[i].After = c.To
			}
		}
	}
	if out, err := p.postconf(ctx, args...); err != nil {
		return fmt.Errorf("postconf -e: %w: %s", err, out)
	}
	var err error
	s.After, err = sum(s.File)
	return err
}

// reload implements mta. A Postfix that does not run reads main.cf when it starts.
func (p *postfix) reload(ctx context.Context) error {
	if _, err := p.command(ctx, "postfix", "status"); err != nil {
		p.report.Notes = append(p.report.Notes, "Postfix does not run; it reads main.cf when it starts")
		return nil
	}
	if out, err := p.command(ctx, "postfix", "reload"); err != nil {
		return fmt.Errorf("postfix reload: %w: %s", err, out)
	}
	return nil
}

// undo implements mta. A main.cf that is as setup left it becomes what it was, octet for octet; in another one only Assay is
// taken out.
func (p *postfix) undo(ctx context.Context, s state, root *os.Root) error {
	now, err := sum(s.File)
	if err != nil {
		return err
	}
	if now == s.After {
		text, err := readKept(root, s.Copy, p.opt.Owner)
		if err != nil {
			return err
		}
		if err := restore(s.File, text); err != nil {
			return err
		}
	} else if err := p.takeOut(ctx, s); err != nil {
		return err
	}
	if len(s.Units) > 0 && p.systemd() && slices.Contains(s.Units, "assay.socket") {
		if out, err := p.sys.Run(ctx, "systemctl", "disable", "--now", "assay.socket"); err != nil {
			return fmt.Errorf("systemctl disable: %w: %s", err, out)
		}
	}
	return p.reload(ctx)
}

// takeOut takes Assay out of lists that somebody else has changed since; one that nobody has changed becomes what it was.
func (p *postfix) takeOut(ctx context.Context, s state) error {
	p.report.Notes = append(p.report.Notes, s.File+" was changed since; only Assay is taken out of it")
	for _, k := range s.Lists {
		out, err := p.postconf(ctx, "-h", k.Name)
		if err != nil {
			return fmt.Errorf("postconf: %w: %s", err, out)
		}
		args := []string{"-e", k.Name + "=" + own{addresses: s.Own}.without(strings.TrimSpace(out))}
		if strings.TrimSpace(out) == k.After {
			args[1] = k.Name + "=" + k.Before
			if !k.Set {
				args = []string{"-X", k.Name}
			}
		}
		if out, err := p.postconf(ctx, args...); err != nil {
			return fmt.Errorf("postconf: %w: %s", err, out)
		}
	}
	return nil
}
