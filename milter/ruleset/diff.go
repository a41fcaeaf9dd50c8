package ruleset

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"

	"assay/milter/textdiff"
)

// Names that Diff knows besides hashes and Previous.
const (
	InForce = "current" // the set in force
	OnDisk  = "disk"    // the configured directories as they are now
)

// maxDiff bounds the octets of the text of a comparison.
const maxDiff = 1 << 20

// Diff compares two sets: hashes or the beginnings of them, Previous, InForce, or OnDisk, whose files need not be valid.
// It changes nothing and waits for no activation. Before Start the set in force is the one that the state directory says
// another process has put into force.
func (m *Manager) Diff(ctx context.Context, from, to string) (Comparison, error) {
	old, err := m.side(ctx, from)
	if err != nil {
		return Comparison{}, err
	}
	current, err := m.side(ctx, to)
	if err != nil {
		return Comparison{}, err
	}
	c := Comparison{Old: old.name, New: current.name, Files: unified(old.snapshot, current.snapshot)}
	a, problemsA := m.compileStored(old.snapshot)
	b, problemsB := m.compileStored(current.snapshot)
	if problems := cmp.Or(len(problemsA.Errors()), len(problemsB.Errors())); problems > 0 {
		first := append(problemsA.Errors(), problemsB.Errors()...)[0]
		c.Note = "the rules cannot be compared: " + first.String()
		return c, nil
	}
	c.Rules = m.engine.diff(a, b)
	return c, nil
}

// A side is one of the two sets of a comparison.
type side struct {
	name     string
	snapshot *Snapshot
}

func (m *Manager) side(ctx context.Context, name string) (side, error) {
	if name == OnDisk {
		s, err := m.snapshotOfDisk(ctx)
		return side{OnDisk, s}, err
	}
	active := m.active.Load()
	if active != nil && active.unstored != nil && (name == InForce || len(name) >= minPrefix && strings.HasPrefix(active.SHA, name)) {
		return side{active.SHA, active.unstored}, nil
	}
	sha, err := m.resolve(name)
	if err != nil {
		return side{}, err
	}
	s, _, err := m.store.get(sha)
	return side{sha, s}, err
}

// snapshotOfDisk reads the configured directories, and the list files that their rules name.
func (m *Manager) snapshotOfDisk(ctx context.Context) (*Snapshot, error) {
	config := m.configured()
	s, err := Read(ctx, config.Sources, m.opt.Limits)
	if err != nil {
		return nil, err
	}
	_, _, err = m.compile(config, s)
	return s, err
}

// unified returns what distinguishes the files of two snapshots, as a unified diff.
func unified(old, current *Snapshot) string {
	a, b := old.texts(), current.texts()
	names := map[string]bool{}
	for name := range a {
		names[name] = true
	}
	for name := range b {
		names[name] = true
	}
	sorted := make([]string, 0, len(names))
	for name := range names {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	var out bytes.Buffer
	for _, name := range sorted {
		x, inA := a[name]
		y, inB := b[name]
		if inA == inB && bytes.Equal(x, y) {
			continue
		}
		out.WriteString(textdiff.Unified(label(name, inA), x, label(name, inB), y))
		if out.Len() > maxDiff {
			out.Truncate(maxDiff)
			out.WriteString("\n... the rest is left out\n")
			break
		}
	}
	return strings.ToValidUTF8(out.String(), "\uFFFD")
}

// label returns what stands in front of a version of a file.
func label(name string, exists bool) string {
	if !exists {
		return "/dev/null"
	}
	return name
}

// texts returns the files by their names as people know them.
func (s *Snapshot) texts() map[string][]byte {
	all := map[string][]byte{}
	for _, d := range s.dirs {
		prefix := d.name
		if prefix != "" {
			prefix += "/"
		}
		for _, f := range d.files {
			all[prefix+f.name] = f.text
		}
	}
	for _, f := range s.lists {
		all[f.name] = f.text
	}
	return all
}
