package setup

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What another version of the program has noted is not taken for a forgery, and nothing is changed.
func TestStateOfAnotherVersion(t *testing.T) {
	m := newMachine(t)
	opt := m.options(t)
	if _, err := Apply(t.Context(), m.system(), opt); err != nil {
		t.Fatal(err)
	}
	changed := m.read(t)
	path := filepath.Join(opt.State, stateFile)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), `"version": 2`, `"version": 3`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Undo(t.Context(), m.system(), opt); err == nil || errors.Is(err, errNotOurs) || !strings.Contains(err.Error(), "is of version 3") {
		t.Errorf("got %v", err)
	}
	if m.read(t) != changed {
		t.Errorf("main.cf is %q, was %q", m.read(t), changed)
	}
}

// What was changed is put back also where the daemon does not start any more, as with a configuration that was spoilt meanwhile.
func TestUndoWithoutADaemon(t *testing.T) {
	m := newMachine(t)
	before := m.read(t)
	if _, err := Apply(t.Context(), m.system(), m.options(t)); err != nil {
		t.Fatal(err)
	}
	sys := m.system()
	sys.Run = func(ctx context.Context, name string, args ...string) (string, error) {
		if slices.Equal(args, []string{"start", "assay.service"}) {
			return "", errors.New("exit status 1")
		}
		return m.run(ctx, name, args...)
	}
	r, err := Undo(t.Context(), sys, m.options(t))
	if err != nil || m.read(t) != before {
		t.Errorf("main.cf is %q, was %q, %v", m.read(t), before, err)
	}
	var text strings.Builder
	r.Text(&text)
	if !strings.HasPrefix(text.String(), "postfix\n") || !strings.Contains(text.String(), "does not start again") {
		t.Errorf("it says %q", &text)
	}
	if _, err := os.Stat(filepath.Join(m.options(t).State, stateFile)); err == nil {
		t.Error("what was undone is not forgotten")
	}
}
