package ruleset

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// A quick disk does not wait for the hardware.
type quick struct{ osDisk }

func (quick) WriteFile(path string, text []byte) error { return os.WriteFile(path, text, fileMode) }

func (quick) Append(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, fileMode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

func (quick) SyncDir(string) error { return nil }

// A faulty disk fails from one step to another, and writes half of what it is given then. With no end of that
// everything after the first failure fails too, as if the program had been killed there.
type faulty struct {
	disk
	err      error
	from, to int
	step     int
}

// fails counts a step and says whether it fails.
func (f *faulty) fails() bool {
	f.step++
	return f.step > f.from && f.step <= f.to
}

func (f *faulty) MkdirAll(path string) error {
	if f.fails() {
		return f.err
	}
	return f.disk.MkdirAll(path)
}

func (f *faulty) WriteFile(path string, text []byte) error {
	if f.fails() {
		_ = f.disk.WriteFile(path, text[:len(text)/2])
		return f.err
	}
	return f.disk.WriteFile(path, text)
}

func (f *faulty) Append(path string, text []byte) error {
	if f.fails() {
		_ = f.disk.Append(path, text[:len(text)/2])
		return f.err
	}
	return f.disk.Append(path, text)
}

func (f *faulty) Rename(from, to string) error {
	if f.fails() {
		return f.err
	}
	return f.disk.Rename(from, to)
}

func (f *faulty) SyncDir(path string) error {
	if f.fails() {
		return f.err
	}
	return f.disk.SyncDir(path)
}

// RemoveAll removes a part before it fails.
func (f *faulty) RemoveAll(path string) error {
	if f.fails() {
		if entries, err := os.ReadDir(path); err == nil && len(entries) > 0 {
			_ = os.RemoveAll(filepath.Join(path, entries[0].Name()))
		}
		return f.err
	}
	return f.disk.RemoveAll(path)
}

var errCrash = errors.New("the program was killed here")

// A story is what a daemon does with its state; each step of it may be the last one.
type story struct {
	name string
	do   func(b *bench, m *Manager)
}

var stories = []story{
	{"reload", func(b *bench, m *Manager) {
		b.write("10-a.yaml", "rule a enforce third")
		b.write("testdata/deep/x.eml", "mail")
		_, _ = m.Reload(b.t.Context(), "alice")
	}},
	{"reload of a damaged set", func(b *bench, m *Manager) {
		_ = os.WriteFile(filepath.Join(b.state, m.Current().SHA, "0", "10-a.yaml"), []byte("damage"), 0o600)
		_, _ = m.Reload(b.t.Context(), "alice")
	}},
	{"other test data", func(b *bench, m *Manager) {
		b.write("testdata/x.eml", "mail")
		_, _ = m.Reload(b.t.Context(), "alice")
	}},
	{"rollback", func(b *bench, m *Manager) { _, _ = m.Rollback(b.t.Context(), "alice", Previous) }},
	{"pruning", func(b *bench, m *Manager) {
		for i := range 4 {
			b.write("10-a.yaml", fmt.Sprintf("rule a enforce %d", i))
			_, _ = m.Reload(b.t.Context(), "alice")
		}
	}},
	{"refused", func(b *bench, m *Manager) {
		b.write("10-a.yaml", "error wrong")
		_, _ = m.Reload(b.t.Context(), "alice")
	}},
	{"restart", func(b *bench, m *Manager) { _, _ = b.manager().Start(b.t.Context(), "boot") }},
}

// tell prepares a state of two sets, and tells a story on a disk that fails from a step on. It returns the Manager of
// the story and whether the disk has failed.
func tell(b *bench, s story, from, to int) (*Manager, bool) {
	b.opt.Keep, b.disk = 3, quick{}
	m, _ := b.start()
	b.write("10-a.yaml", "rule a enforce second")
	b.reload(m)
	f := &faulty{disk: quick{}, err: errCrash, from: from, to: to}
	b.disk, m.store.disk = f, f
	s.do(b, m)
	b.disk = quick{}
	return m, f.step > from
}

// stride is how many steps lie between two failures that are tried.
func stride() int {
	if testing.Short() {
		return 7
	}
	return 1
}

// The program is killed at each step of each story. The next process finds a set even if the rule directory is broken,
// and everything works again.
func TestKilledAtAnyStep(t *testing.T) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			for from, failed := 0, true; failed; from += stride() {
				if from > 300 {
					t.Fatal("the story does not end")
				}
				b := newBench(t)
				_, failed = tell(b, s, from, 1<<30)
				b.write("10-a.yaml", "error broken")
				m, r := b.start()
				if !r.Fallback && !r.Pinned || len(m.Current().compiled.rules) != 1 {
					t.Fatalf("step %d: %+v", from, r)
				}
				if _, err := m.History(); err != nil {
					t.Fatalf("step %d: %v", from, err)
				}
				b.write("10-a.yaml", "rule a enforce mended")
				if r := b.reload(m); inForce(m) != "a=mended" || !m.Status().Stored {
					t.Fatalf("step %d: %+v, %+v", from, r, m.Status())
				}
				entries, err := os.ReadDir(b.state)
				if err != nil {
					t.Fatal(err)
				}
				if len(entries) > b.opt.Keep+2 {
					t.Fatalf("step %d: remains in %v", from, entries)
				}
			}
		})
	}
}

// One step fails, such as on a disk that is full for a moment: what is in force is what was asked for.
func TestOneStepFails(t *testing.T) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			want, _ := tell(newBench(t), s, 1<<20, 1<<20)
			for from, failed := 0, true; failed; from += stride() {
				b := newBench(t)
				var m *Manager
				m, failed = tell(b, s, from, from+1)
				if inForce(m) != inForce(want) {
					t.Fatalf("step %d: in force is %q, want %q", from, inForce(m), inForce(want))
				}
				if m, r := b.start(); len(m.Current().compiled.rules) != 1 {
					t.Fatalf("step %d: %+v", from, r)
				}
			}
		})
	}
}
