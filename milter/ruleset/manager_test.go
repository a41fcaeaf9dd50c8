package ruleset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"assay/rules"
)

// A toy is an engine for a language of lines: "rule ID MODE CONDITION", "list PATH", "error TEXT", "warning TEXT" and
// "panic". Its sets are known by their addresses.
type toy struct {
	mu    sync.Mutex
	loads int
}

func (e *toy) load(sources []rules.Source, opt rules.Options) (compiled, rules.Problems) {
	e.mu.Lock()
	e.loads++
	e.mu.Unlock()
	c := compiled{set: new(rules.Set)}
	var problems rules.Problems
	h := sha256.New()
	for _, source := range sources {
		entries, err := fs.ReadDir(source.Files, ".")
		if err != nil {
			return c, rules.Problems{{File: source.Name, Message: err.Error()}}
		}
		for _, entry := range entries {
			if filepath.Ext(entry.Name()) != ".yaml" {
				continue
			}
			text, _ := fs.ReadFile(source.Files, entry.Name())
			fmt.Fprintf(h, "%s %x\n", entry.Name(), sha256.Sum256(text))
			for i, line := range strings.Split(string(text), "\n") {
				problems = append(problems, c.line(h, opt, rules.Problem{File: entry.Name(), Line: i + 1, Column: 1}, line)...)
			}
		}
	}
	if problems.Err() != nil {
		return compiled{}, problems
	}
	c.sha = hex.EncodeToString(h.Sum(nil))
	return c, problems
}

func (c *compiled) line(h interface{ Write([]byte) (int, error) }, opt rules.Options, at rules.Problem, line string) rules.Problems {
	word, rest, _ := strings.Cut(line, " ")
	at.Message = rest
	switch word {
	case "rule":
		parts := strings.SplitN(rest, " ", 3)
		c.rules = append(c.rules, rules.RuleInfo{ID: parts[0], Mode: rules.Mode(parts[1]), Condition: parts[2]})
	case "list":
		text, err := opt.ReadList(rest)
		if err != nil {
			at.Message = err.Error()
			return rules.Problems{at}
		}
		fmt.Fprintf(h, "%s %x", rest, text)
	case "error":
		return rules.Problems{at}
	case "warning":
		at.Warning = true
		return rules.Problems{at}
	case "panic":
		panic("the engine is broken")
	}
	return nil
}

func (e *toy) diff(old, current compiled) rules.Difference {
	byID := func(c compiled) map[string]rules.RuleInfo {
		m := map[string]rules.RuleInfo{}
		for _, r := range c.rules {
			m[r.ID] = r
		}
		return m
	}
	var d rules.Difference
	a, b := byID(old), byID(current)
	for _, id := range slices.Sorted(maps.Keys(b)) {
		if before, ok := a[id]; !ok {
			d.Added = append(d.Added, id)
		} else if before.Mode != b[id].Mode || before.Condition != b[id].Condition {
			d.Changed = append(d.Changed, rules.RuleChange{ID: id, Old: before.Mode, New: b[id].Mode})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(a)) {
		if _, ok := b[id]; !ok {
			d.Removed = append(d.Removed, id)
		}
	}
	return d
}

func (e *toy) expiring(*rules.Set, time.Duration, time.Time) []rules.ExceptionInfo {
	return []rules.ExceptionInfo{{Rule: "a", ID: "x"}}
}

// A bench is a rule directory, a state directory, and Managers of them.
type bench struct {
	t      *testing.T
	dir    string
	state  string
	disk   disk
	config Config
	engine *toy
	opt    Options
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, dir: t.TempDir(), state: filepath.Join(t.TempDir(), "rules"), disk: osDisk{}, engine: &toy{}}
	b.config = Config{Sources: []rules.Source{Directory(b.dir)}, Rules: rules.Options{ReadList: ReadFile}}
	b.write("10-a.yaml", "rule a enforce true")
	return b
}

func (b *bench) write(name, text string) {
	b.t.Helper()
	write(b.t, b.dir, map[string]string{name: text})
}

// manager returns a Manager that has not been started, as a new process has it.
func (b *bench) manager() *Manager {
	o := b.opt
	o.State, o.Limits = b.state, atOnce
	m := New(b.config, o)
	m.engine, m.store.disk = b.engine, b.disk
	return m
}

// start starts a new process.
func (b *bench) start() (*Manager, Result) {
	b.t.Helper()
	m := b.manager()
	r, err := m.Start(b.t.Context(), "boot")
	if err != nil {
		b.t.Fatal(err)
	}
	return m, r
}

// inForce returns the conditions of the rules in force.
func inForce(m *Manager) string {
	var all []string
	for _, r := range m.Current().compiled.rules {
		all = append(all, r.ID+"="+r.Condition)
	}
	return strings.Join(all, " ")
}

// reload reloads and expects success.
func (b *bench) reload(m *Manager) Result {
	b.t.Helper()
	r, err := m.Reload(b.t.Context(), "alice")
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func TestStartAndReload(t *testing.T) {
	b := newBench(t)
	m, first := b.start()
	if inForce(m) != "a=true" || first.Rules != 1 || first.Previous != "" || first.Fallback || first.Warnings != nil {
		t.Fatalf("in force %q, %+v", inForce(m), first)
	}
	held := m.Current()
	b.write("10-a.yaml", "rule a monitor false\nrule b off 1")
	r := b.reload(m)
	if inForce(m) != "a=false b=1" || r.Previous != first.SHA || r.SHA == first.SHA || fmt.Sprint(r.Changes) != "{[b] [] [{a enforce monitor []}]}" {
		t.Errorf("in force %q, %+v", inForce(m), r)
	}
	if held.SHA != first.SHA || len(held.compiled.rules) != 1 {
		t.Error("a set that a message holds was changed")
	}
	s := m.Status()
	if s.SHA != r.SHA || s.Rules != 2 || s.Monitored != 1 || s.Off != 1 || s.Fallback || s.Pinned || !s.Stored || s.Failed != "" || len(s.Expiring) != 1 {
		t.Errorf("status = %+v", s)
	}
	info, err := os.Stat(b.state)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("state directory: %v, %v", info.Mode(), err)
	}
}

// Whatever is wrong: the old set stays, and everything that is wrong is said.
func TestRefusedReload(t *testing.T) {
	tests := []struct {
		name, text string
		test       func(context.Context, *rules.Set, []rules.Source) rules.Problems
		want       []string
	}{
		{"rules", "rule a off x\nerror first\nerror second", nil, []string{"10-a.yaml:2:1: first", "10-a.yaml:3:1: second"}},
		{"tests", "rule a off x", func(_ context.Context, _ *rules.Set, sources []rules.Source) rules.Problems {
			if _, err := fs.ReadFile(sources[0].Files, "10-a.yaml"); err != nil {
				return rules.Problems{{Message: err.Error()}}
			}
			return rules.Problems{{File: "10-a_test.yaml", Line: 3, Column: 5, Message: "want fired"}, {File: "10-a_test.yaml", Line: 9, Column: 5, Message: "want reject"}}
		}, []string{"10-a_test.yaml:3:5: want fired", "10-a_test.yaml:9:5: want reject"}},
		{"a panic of the engine", "panic", nil, []string{"internal error: the engine is broken"}},
		{"a panic of the tests", "rule a off x", func(context.Context, *rules.Set, []rules.Source) rules.Problems { panic("oh") }, []string{"internal error: oh"}},
		{"a list file", "list /no/such/list", nil, []string{"/no/such/list: no such file"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			m, first := b.start()
			c := b.config
			c.Test = tt.test
			b.write("10-a.yaml", tt.text)
			r, err := m.ReloadConfig(t.Context(), "alice", c)
			for _, want := range tt.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error = %v, want %q in it", err, want)
				}
			}
			if inForce(m) != "a=true" || r.SHA != first.SHA || len(r.Problems) != len(problemsOf(err)) {
				t.Errorf("in force %q, %+v", inForce(m), r)
			}
			if s := m.Status(); s.Failed != err.Error() || s.FailedAt.IsZero() || s.SHA != first.SHA {
				t.Errorf("status = %+v", s)
			}
			b.write("10-a.yaml", "rule a enforce good")
			if b.reload(m); inForce(m) != "a=good" || m.Status().Failed != "" { // without the tests of the refused configuration
				t.Errorf("in force %q, status %+v", inForce(m), m.Status())
			}
		})
	}
}

func TestWarningsDoNotRefuse(t *testing.T) {
	b := newBench(t)
	m, _ := b.start()
	b.write("10-a.yaml", "rule a enforce true\nwarning exception x has expired")
	r := b.reload(m)
	if len(r.Problems) != 1 || !r.Problems[0].Warning || len(m.Current().Warnings) != 1 {
		t.Errorf("result = %+v", r)
	}
	if s := m.Status(); len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "warning: exception x has expired") {
		t.Errorf("status = %+v", s)
	}
}

func TestReloadConfig(t *testing.T) {
	b := newBench(t)
	m, _ := b.start()
	other := t.TempDir()
	write(t, other, map[string]string{"10-o.yaml": "rule o enforce other"})
	c := Config{Sources: []rules.Source{Directory(other)}}
	if _, err := m.ReloadConfig(t.Context(), "alice", c); err != nil || inForce(m) != "o=other" {
		t.Fatalf("in force %q, %v", inForce(m), err)
	}
	if b.reload(m); inForce(m) != "o=other" {
		t.Errorf("in force %q: the configuration was forgotten", inForce(m))
	}
}

func TestFallbackAtStart(t *testing.T) {
	b := newBench(t)
	_, good := b.start()
	b.write("10-a.yaml", "error broken\nerror twice")
	m, r := b.start()
	if inForce(m) != "a=true" || !r.Fallback || r.SHA != good.SHA || len(r.Problems) != 2 || !m.Current().Fallback {
		t.Fatalf("in force %q, %+v", inForce(m), r)
	}
	if s := m.Status(); !s.Fallback || !strings.Contains(s.Failed, "broken") {
		t.Errorf("status = %+v", s)
	}
	b.write("10-a.yaml", "rule a enforce mended")
	if r := b.reload(m); r.Fallback || m.Current().Fallback || inForce(m) != "a=mended" || m.Status().Failed != "" {
		t.Errorf("after the reload: %+v", r)
	}
}

func TestStartWithoutAnything(t *testing.T) {
	b := newBench(t)
	b.write("10-a.yaml", "error first\nerror second")
	m := b.manager()
	r, err := m.Start(t.Context(), "boot")
	var problems rules.Problems
	if !errors.As(err, &problems) || len(problems) != 2 || len(r.Problems) != 2 || m.Current() != nil {
		t.Errorf("result = %+v, %v", r, err)
	}
	if s := m.Status(); s.SHA != "" || s.Failed == "" || s.Stored {
		t.Errorf("status = %+v", s)
	}
	os.RemoveAll(b.dir)
	if _, err := b.manager().Start(t.Context(), "boot"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error = %v", err)
	}
}

// The last good set is damaged: the one before it is used, and the damage is said.
func TestDamagedSetIsNotUsed(t *testing.T) {
	b := newBench(t)
	m, _ := b.start()
	b.write("10-a.yaml", "rule a enforce second")
	second := b.reload(m)
	stored := filepath.Join(b.state, second.SHA, "0", "10-a.yaml")
	if err := os.WriteFile(stored, []byte("rule a enforce SECOND"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.write("10-a.yaml", "error broken")
	m, r := b.start()
	if inForce(m) != "a=true" || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "damaged") {
		t.Errorf("in force %q, %+v", inForce(m), r)
	}
	if _, err := m.Rollback(t.Context(), "alice", second.SHA); !errors.Is(err, ErrCorrupted) || inForce(m) != "a=true" {
		t.Errorf("rollback to a damaged set: %v, in force %q", err, inForce(m))
	}
	b.write("10-a.yaml", "rule a enforce second") // it is stored anew
	b.reload(m)
	if _, _, err := m.store.get(second.SHA); err != nil {
		t.Errorf("the damaged set was not replaced: %v", err)
	}
}

func TestRollback(t *testing.T) {
	b := newBench(t)
	m, first := b.start()
	b.write("10-a.yaml", "rule a enforce second")
	second := b.reload(m)
	r, err := m.Rollback(t.Context(), "alice", Previous)
	if err != nil || inForce(m) != "a=true" || !r.Pinned || r.Previous != second.SHA || len(r.Changes.Changed) != 1 {
		t.Fatalf("in force %q, %+v, %v", inForce(m), r, err)
	}
	m, r = b.start() // over a restart
	if inForce(m) != "a=true" || !r.Pinned || !m.Status().Pinned || r.Fallback {
		t.Fatalf("after a restart: in force %q, %+v", inForce(m), r)
	}
	if r, err = m.Rollback(t.Context(), "alice", second.SHA[:12]); err != nil || inForce(m) != "a=second" {
		t.Fatalf("in force %q, %+v, %v", inForce(m), r, err)
	}
	if r, err = m.Rollback(t.Context(), "alice", Previous); err != nil || r.SHA != first.SHA { // and back again
		t.Fatalf("%+v, %v", r, err)
	}
	r = b.reload(m)
	if inForce(m) != "a=second" || r.Pinned || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "was pinned by a rollback") {
		t.Errorf("in force %q, %+v", inForce(m), r)
	}
	if _, r = b.start(); r.Pinned || r.SHA != second.SHA {
		t.Errorf("after the reload and a restart: %+v", r)
	}
}

func TestRollbackRefuses(t *testing.T) {
	b := newBench(t)
	m, first := b.start()
	for target, want := range map[string]string{
		Previous: "there was none before this one", "": "at least 6 digits", first.SHA[:5]: "at least 6 digits",
		"000000000000": `no such stored set: "000000000000"`, "../../etc": "no such stored set",
	} {
		if _, err := m.Rollback(t.Context(), "alice", target); !errors.Is(err, ErrNotStored) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", target, err, want)
		}
	}
	if inForce(m) != "a=true" || m.Status().Pinned {
		t.Errorf("in force %q, %+v", inForce(m), m.Status())
	}
}

// The pinned set cannot be used: what the directories hold is in force as a fallback, and the pin is not forgotten.
func TestPinnedSetIsGone(t *testing.T) {
	b := newBench(t)
	m, first := b.start()
	b.write("10-a.yaml", "rule a enforce second")
	b.reload(m)
	if _, err := m.Rollback(t.Context(), "alice", Previous); err != nil {
		t.Fatal(err)
	}
	away := filepath.Join(b.state, "away")
	if err := os.Rename(filepath.Join(b.state, first.SHA), away); err != nil {
		t.Fatal(err)
	}
	m, r := b.start()
	if inForce(m) != "a=second" || !r.Fallback || r.Pinned || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "the pinned set cannot be used") {
		t.Errorf("in force %q, %+v", inForce(m), r)
	}
	if err := os.Rename(away, filepath.Join(b.state, first.SHA)); err != nil {
		t.Fatal(err)
	}
	if m, r = b.start(); inForce(m) != "a=true" || !r.Pinned || r.Fallback {
		t.Errorf("in force %q, %+v", inForce(m), r)
	}
}

func TestHistory(t *testing.T) {
	b := newBench(t)
	m, first := b.start()
	b.write("10-a.yaml", "rule a monitor true\nrule b enforce true")
	second := b.reload(m)
	b.reload(m)
	b.write("10-a.yaml", "error wrong\nerror again")
	if _, err := m.Reload(t.Context(), "bob"); err == nil {
		t.Fatal("no error")
	}
	if _, err := m.Rollback(t.Context(), "carol", Previous); err != nil {
		t.Fatal(err)
	}
	b.manager() // another process has not started yet
	m, _ = b.start()
	records, err := m.History()
	if err != nil {
		t.Fatal(err)
	}
	want := []Record{
		{Who: "boot", Action: Started, Result: Activated, SHA: first.SHA, Rules: 1},
		{Who: "alice", Action: Reloaded, Result: Activated, SHA: second.SHA, Previous: first.SHA, Rules: 2, Added: []string{"b"},
			Changed: []rules.RuleChange{{ID: "a", Old: "enforce", New: "monitor"}}},
		{Who: "alice", Action: Reloaded, Result: Unchanged, SHA: second.SHA, Previous: second.SHA, Rules: 2},
		{Who: "bob", Action: Reloaded, Result: Refused, SHA: second.SHA, Previous: second.SHA, Rules: 2, Problems: 2, Reason: "10-a.yaml:1:1: wrong"},
		{Who: "carol", Action: RolledBack, Result: Activated, SHA: first.SHA, Previous: second.SHA, Rules: 1, Removed: []string{"b"},
			Changed: []rules.RuleChange{{ID: "a", Old: "monitor", New: "enforce"}}},
		{Who: "boot", Action: Started, Result: Unchanged, SHA: first.SHA, Previous: first.SHA, Rules: 1},
	}
	for i := range records {
		if records[i].Time.IsZero() {
			t.Errorf("record %d has no time", i)
		}
		records[i].Time = time.Time{}
	}
	if fmt.Sprintf("%+v", records) != fmt.Sprintf("%+v", want) {
		t.Errorf("history =\n%+v\nwant\n%+v", records, want)
	}
}

func TestHistoryIsTornAndBounded(t *testing.T) {
	b := newBench(t)
	m, _ := b.start()
	path := filepath.Join(b.state, historyName)
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(f, `{"time":"2026-11-22T10:00:00Z","who":"to`)
	f.Close()
	b.reload(m)
	records, err := m.History()
	if err != nil || len(records) != 2 || records[1].Action != Reloaded {
		t.Fatalf("history = %+v, %v", records, err)
	}
	const limit = 4000
	for i := range 100 {
		if err := m.store.appendHistory(Record{Time: time.Now(), Who: fmt.Sprint(i), Action: Reloaded}, limit); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Size() > limit {
			t.Fatalf("%d octets, %v", info.Size(), err)
		}
	}
	records, err = m.store.history(limit)
	if err != nil || len(records) < 10 || records[len(records)-1].Who != "99" {
		t.Fatalf("history = %+v, %v", records, err)
	}
	for i, r := range records {
		if want := fmt.Sprint(100 - len(records) + i); r.Who != want {
			t.Errorf("record %d is of %s, want %s", i, r.Who, want)
		}
	}
}

func TestRetention(t *testing.T) {
	b := newBench(t)
	b.opt.Keep = 3
	m, first := b.start()
	if _, err := m.Rollback(t.Context(), "alice", first.SHA); err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		b.write("10-a.yaml", fmt.Sprintf("rule a enforce %d", i))
		b.reload(m)
	}
	stored := m.store.list()
	if len(stored) != 3 || !slices.Contains(stored, m.Current().SHA) || slices.Contains(stored, first.SHA) {
		t.Errorf("stored are %v, in force is %s", stored, m.Current().SHA)
	}
}

// A list file from elsewhere belongs to the set: a rollback brings back what was in it.
func TestListFilesAreStored(t *testing.T) {
	b := newBench(t)
	list := filepath.Join(t.TempDir(), "vips.txt")
	write(t, filepath.Dir(list), map[string]string{"vips.txt": "one\n"})
	b.write("10-a.yaml", "rule a enforce true\nlist "+list)
	m, first := b.start()
	write(t, filepath.Dir(list), map[string]string{"vips.txt": "two\n"})
	second := b.reload(m)
	if first.SHA == second.SHA {
		t.Fatal("the list does not count")
	}
	if r, err := m.Rollback(t.Context(), "alice", Previous); err != nil || r.SHA != first.SHA {
		t.Errorf("%+v, %v", r, err)
	}
	os.Remove(list)
	if m, r := b.start(); r.SHA != first.SHA {
		t.Errorf("after a restart without the list: %+v, %+v", r, m.Status())
	}
	c, err := m.Diff(t.Context(), first.SHA, second.SHA)
	if err != nil || !strings.Contains(c.Files, "--- "+list+"\n+++ "+list+"\n@@ -1 +1 @@\n-one\n+two\n") {
		t.Errorf("diff = %+v, %v", c, err)
	}
}

// Rules are in force on a full disk, on one that cannot be written, and without any: only that they are not stored is said.
func TestActivationWithoutState(t *testing.T) {
	for name, prepare := range map[string]func(b *bench){
		"full":     func(b *bench) { b.disk = &faulty{disk: osDisk{}, err: syscall.ENOSPC, from: 0, to: 1 << 30} },
		"a file":   func(b *bench) { write(b.t, filepath.Dir(b.state), map[string]string{"rules": "not a directory"}) },
		"writable": func(b *bench) { os.MkdirAll(b.state, 0o700); os.Chmod(b.state, 0o777) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			prepare(b)
			m, r := b.start()
			if inForce(m) != "a=true" || len(r.Warnings) == 0 {
				t.Fatalf("in force %q, %+v", inForce(m), r)
			}
			b.write("10-a.yaml", "rule a enforce second")
			r = b.reload(m)
			if s := m.Status(); inForce(m) != "a=second" || s.Stored || len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "could not be stored") {
				t.Errorf("in force %q, status %+v", inForce(m), s)
			}
			if entries, _ := os.ReadDir(b.state); len(entries) != 0 {
				t.Errorf("written were %v", entries)
			}
			if c, err := m.Diff(t.Context(), InForce, OnDisk); err != nil || c.Files != "" || c.Old != r.SHA {
				t.Errorf("diff = %+v, %v", c, err)
			}
		})
	}
}

// A state directory that cannot be written any more still says what is pinned.
func TestStateIsReadOnly(t *testing.T) {
	b := newBench(t)
	m, first := b.start()
	b.write("10-a.yaml", "rule a enforce second")
	b.reload(m)
	if _, err := m.Rollback(t.Context(), "alice", Previous); err != nil {
		t.Fatal(err)
	}
	write(t, b.state, map[string]string{unfinished + "x": ""})
	b.disk = &faulty{disk: osDisk{}, err: syscall.EROFS, from: 0, to: 1 << 30}
	if m, r := b.start(); r.SHA != first.SHA || !r.Pinned || len(r.Warnings) == 0 || m.Status().Stored {
		t.Errorf("%+v, %+v", r, m.Status())
	}
}

// A disk that is full does not keep a reload from releasing a pin.
func TestPinIsReleasedOnFullDisk(t *testing.T) {
	b := newBench(t)
	m, first := b.start()
	if _, err := m.Rollback(t.Context(), "alice", first.SHA); err != nil {
		t.Fatal(err)
	}
	b.write("10-a.yaml", "rule a enforce second")
	m.store.disk = &faulty{disk: osDisk{}, err: syscall.ENOSPC, from: 0, to: 1} // the set finds no room, the state does
	if r := b.reload(m); len(r.Warnings) != 2 {
		t.Errorf("%+v", r)
	}
	if m, r := b.start(); r.Pinned || inForce(m) != "a=second" {
		t.Errorf("in force %q, %+v", inForce(m), r)
	}
}

// Once the disk has room again, the next reload stores the set.
func TestStateRecovers(t *testing.T) {
	b := newBench(t)
	full := &faulty{disk: osDisk{}, err: syscall.ENOSPC, from: 0, to: 1 << 30}
	b.disk = full
	m, _ := b.start()
	full.to = 0
	if r := b.reload(m); len(r.Warnings) != 0 || !m.Status().Stored {
		t.Errorf("%+v, %+v", r, m.Status())
	}
	b.write("10-a.yaml", "error broken")
	if m, _ := b.start(); inForce(m) != "a=true" {
		t.Errorf("in force %q", inForce(m))
	}
}

func TestMissingDirectoryOfRulesInForce(t *testing.T) {
	b := newBench(t)
	local := filepath.Join(t.TempDir(), "rules.d")
	b.config.Sources = append(b.config.Sources, OptionalDirectory(local))
	m, _ := b.start()
	write(t, local, map[string]string{"90-l.yaml": "rule l enforce local"})
	if b.reload(m); inForce(m) != "a=true l=local" {
		t.Fatalf("in force %q", inForce(m))
	}
	os.RemoveAll(local)
	if _, err := m.Reload(t.Context(), "alice"); err == nil || !strings.Contains(err.Error(), local+" does not exist, but rules from it are in force") {
		t.Errorf("error = %v", err)
	}
	if m, r := b.start(); inForce(m) != "a=true l=local" || !r.Fallback {
		t.Errorf("after a restart: in force %q, %+v", inForce(m), r)
	}
	os.Mkdir(local, 0o755) // that says so
	if b.reload(m); inForce(m) != "a=true" {
		t.Errorf("in force %q", inForce(m))
	}
	os.Remove(local)
	if b.reload(m); inForce(m) != "a=true" {
		t.Errorf("in force %q", inForce(m))
	}
}

// Reloads that are asked for while an activation runs are done at once after it, and those who asked are named.
func TestReloadsAreCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		m, _ := b.start()
		before := b.engine.loads
		if err := m.acquire(t.Context()); err != nil { // an activation runs
			t.Fatal(err)
		}
		var asked sync.WaitGroup
		asked.Go(func() { b.mayReload(m, "alice") })
		synctest.Wait()
		for range 50 {
			asked.Go(func() { b.mayReload(m, "SIGHUP") })
		}
		synctest.Wait()
		b.write("10-a.yaml", "rule a enforce newest")
		m.release()
		asked.Wait()
		if loads := b.engine.loads - before; loads != 1 || inForce(m) != "a=newest" {
			t.Errorf("%d loads, in force %q", loads, inForce(m))
		}
		if records, err := m.History(); err != nil || len(records) != 2 || records[1].Who != "alice, SIGHUP" {
			t.Errorf("history = %+v, %v", records, err)
		}
	})
}

func (b *bench) mayReload(m *Manager, who string) {
	if _, err := m.Reload(b.t.Context(), who); err != nil {
		b.t.Error(err)
	}
}

// Whoever waits for a reload that somebody else leads gets one even if that one gives up.
func TestLeaderGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		m, _ := b.start()
		if err := m.acquire(t.Context()); err != nil { // an activation runs
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var asked sync.WaitGroup
		asked.Go(func() {
			if _, err := m.Reload(ctx, "leader"); !errors.Is(err, context.Canceled) {
				t.Errorf("the leader: %v", err)
			}
		})
		synctest.Wait()
		asked.Go(func() { b.mayReload(m, "follower") })
		synctest.Wait()
		cancel()
		synctest.Wait()
		m.release()
		asked.Wait()
		if records, err := m.History(); err != nil || len(records) != 2 || records[1].Who != "follower" {
			t.Errorf("history = %+v, %v", records, err)
		}
	})
}

// Messages read the set while it is exchanged; the race detector watches.
func TestCurrentDuringReloads(t *testing.T) {
	b := newBench(t)
	m, _ := b.start()
	var stop atomic.Bool
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for !stop.Load() {
				if a := m.Current(); a.Set == nil || len(a.compiled.rules) != 1 || len(a.SHA) != 64 {
					t.Errorf("in force: %+v", a)
					return
				}
				m.Status()
			}
		})
	}
	for i := range 20 {
		b.write("10-a.yaml", fmt.Sprintf("rule a enforce %d", i))
		b.reload(m)
	}
	stop.Store(true)
	readers.Wait()
}

func TestDiff(t *testing.T) {
	b := newBench(t)
	m, first := b.start()
	b.write("10-a.yaml", "rule a monitor true\n")
	b.write("20-b.yaml", "rule b enforce true\n")
	b.write("testdata/x.eml", "a\x00b")
	second := b.reload(m)
	c, err := m.Diff(t.Context(), Previous, InForce)
	want := "--- D/10-a.yaml\n+++ D/10-a.yaml\n@@ -1 +1 @@\n-rule a enforce true\n\\ No newline at end of file\n+rule a monitor true\n" +
		"--- /dev/null\n+++ D/20-b.yaml\n@@ -0,0 +1 @@\n+rule b enforce true\n" +
		"Binary files /dev/null and D/testdata/x.eml differ\n"
	if got := strings.ReplaceAll(c.Files, b.dir, "D"); err != nil || got != want || c.Old != first.SHA || c.New != second.SHA {
		t.Errorf("diff = %+v, %v, files\n%s\nwant\n%s", c, err, got, want)
	}
	if fmt.Sprint(c.Rules) != "{[b] [] [{a enforce monitor []}]}" || c.Note != "" {
		t.Errorf("rules = %+v, note %q", c.Rules, c.Note)
	}
	b.write("20-b.yaml", "error broken\n")
	c, err = m.Diff(t.Context(), second.SHA[:8], OnDisk)
	if err != nil || !strings.Contains(c.Files, "-rule b enforce true\n+error broken\n") || !strings.Contains(c.Note, "20-b.yaml:1:1: broken") {
		t.Errorf("diff = %+v, %v", c, err)
	}
	if _, err := m.Diff(t.Context(), "000000", InForce); !errors.Is(err, ErrNotStored) {
		t.Errorf("error = %v", err)
	}
	// Another process, which has put nothing into force, sees what this one has.
	if c, err := b.manager().Diff(t.Context(), Previous, InForce); err != nil || strings.ReplaceAll(c.Files, b.dir, "D") != want {
		t.Errorf("before Start: %+v, %v", c, err)
	}
	if _, err := newBench(t).manager().Diff(t.Context(), InForce, OnDisk); !errors.Is(err, ErrNotStored) {
		t.Errorf("without a state directory: %v", err)
	}
}

func TestDiffIsBounded(t *testing.T) {
	b := newBench(t)
	m, _ := b.start()
	b.write("20-b.yaml", strings.Repeat("rule b off "+strings.Repeat("x", 90)+"\n", 30_000))
	c, err := m.Diff(t.Context(), InForce, OnDisk)
	if err != nil || len(c.Files) > maxDiff+200 || !strings.Contains(c.Files, "rest is left out") {
		t.Errorf("%d octets, %v", len(c.Files), err)
	}
}

func TestContextEnds(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m := b.manager()
	if _, err := m.Start(ctx, "boot"); !errors.Is(err, context.Canceled) || m.Current() != nil {
		t.Errorf("Start = %v", err)
	}
	m, _ = b.start()
	b.write("10-a.yaml", "rule a enforce second")
	if _, err := m.Reload(ctx, "alice"); !errors.Is(err, context.Canceled) || inForce(m) != "a=true" {
		t.Errorf("Reload = %v, in force %q", err, inForce(m))
	}
}
