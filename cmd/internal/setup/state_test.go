package setup

import (
	"errors"
	"os"
	"path/filepath"
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
