package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// file implements mta.
func (p *postfix) file() string { return filepath.Join(p.value["config_directory"], "main.cf") }

// lists returns the changes of main.cf.
func (p *postfix) lists() []Change {
	return slices.DeleteFunc(slices.Clone(p.report.Changes), func(c Change) bool { return !strings.HasSuffix(c.What, "smtpd_milters") })
}

// apply implements mta: the daemon first, then main.cf.
func (p *postfix) apply(ctx context.Context, root *os.Root, j *journal) error {
	lists := p.lists()
	if len(lists) == 0 {
		return p.start(ctx)
	}
	s, text, err := p.prepare(ctx, root, j, lists)
	if err != nil {
		return err
	}
	if err := j.save(root); err != nil { // before anything is changed
		return err
	}
	if err := p.start(ctx); err != nil {
		return err
	}
	if err := restore(s.Files[0].Path, text); err != nil {
		err = fmt.Errorf("%s was left as it is: %w", s.Files[0].Path, err)
		if len(s.Units) > 0 {
			return err // which --undo disables
		}
		j.drop(s.Files[0].Path)
		return errors.Join(err, j.save(root))
	}
	p.report.Kept = filepath.Join(p.opt.State, s.Files[0].Copy)
	return p.reload(ctx)
}

// start has the daemon run.
func (p *postfix) start(ctx context.Context) error {
	err := p.daemon.run(ctx)
	p.report.Changed = err == nil
	return err
}

// prepare notes in the journal what is going to be changed, and returns what main.cf will be.
func (p *postfix) prepare(ctx context.Context, root *os.Root, j *journal, lists []Change) (*state, []byte, error) {
	path := p.file()
	now, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	args := []string{"-e"}
	for _, c := range lists {
		args = append(args, c.What+"="+c.To)
	}
	text, err := p.edit(ctx, now, args...)
	if err != nil {
		return nil, nil, err
	}
	s := j.of(path)
	if s == nil || s.Files[0].After != Hash(now) && s.Files[0].Before != Hash(now) { // what is there now is what is to be put back
		f, err := keep(root, path, p.sys.Now())
		if err != nil {
			return nil, nil, err
		}
		s = j.put(state{MTA: "postfix", Config: p.opt.Config, Files: []file{f}, Time: p.sys.Now().UTC()})
	}
	s.Files[0].After, s.Pending = Hash(text), true
	s.Units, s.Own = union(s.Units, p.daemon.units), union(s.Own, p.own().addresses)
	s.note(lists, p.set)
	return s, text, nil
}

// union returns what is in one of two lists.
func union(a, b []string) []string {
	for _, v := range b {
		if !slices.Contains(a, v) {
			a = append(a, v)
		}
	}
	return a
}

// note notes what parameters were and will be.
func (s *state) note(lists []Change, set map[string]bool) {
	for _, c := range lists {
		i := slices.IndexFunc(s.Lists, func(k kept) bool { return k.Name == c.What })
		if i < 0 {
			i, s.Lists = len(s.Lists), append(s.Lists, kept{Name: c.What, Set: set[c.What], Before: c.From})
		}
		s.Lists[i].After = c.To
	}
}

// edit has postconf edit a copy of main.cf and returns what it has made of it. So it is known what main.cf will be before it is
// changed, and one that is a symbolic link, which postconf would replace by a file, stays one. The copy is not in the state's
// directory, whose name the daemon could give to another one.
func (p *postfix) edit(ctx context.Context, text []byte, commands ...string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "assay-setup-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "main.cf")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return nil, err
	}
	if out, err := p.sys.Run(ctx, "postconf", append([]string{"-c", dir}, commands...)...); err != nil {
		return nil, fmt.Errorf("postconf %s: %w: %s", commands[0], err, out)
	}
	return os.ReadFile(path)
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
	f := s.Files[0]
	now, err := os.ReadFile(f.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.report.Notes = append(p.report.Notes, f.Path+" is gone; there is nothing to put back")
		return nil
	case err != nil:
		return err
	case Hash(now) == f.Before:
	case Hash(now) == f.After:
		err = f.putBack(root, p.opt.Owner)
	default:
		p.report.Notes = append(p.report.Notes, f.Path+" was changed since; only Assay is taken out of it")
		err = p.takeOut(ctx, s, now)
	}
	if err != nil {
		return err
	}
	return p.reload(ctx)
}

// takeOut takes Assay out of lists that somebody else has changed since; one that nobody has changed becomes what it was.
func (p *postfix) takeOut(ctx context.Context, s state, text []byte) error {
	written, err := p.postconf(ctx, "-n")
	if err != nil {
		return fmt.Errorf("postconf: %w: %s", err, written)
	}
	values := settings(written)
	for _, k := range s.Lists {
		now, set := values[k.Name]
		want := own{addresses: s.Own}.without(now)
		if now == k.After {
			want = k.Before
		}
		command := []string{"-e", k.Name + "=" + want}
		switch {
		case !set || want == now:
			continue
		case want == "" && !k.Set || now == k.After && !k.Set:
			command = []string{"-X", k.Name}
		}
		if text, err = p.edit(ctx, text, command...); err != nil {
			return err
		}
	}
	return restore(s.Files[0].Path, text)
}
