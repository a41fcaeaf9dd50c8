package setup

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// A state is what setup has changed, and what was there: state.json.
type state struct {
	Version int       `json:"version"`
	MTA     string    `json:"mta"`
	Config  string    `json:"config"` // -c of Postfix's programs
	File    string    `json:"file"`   // main.cf or sendmail.mc
	Copy    string    `json:"copy"`   // of the file as it was, in the same directory
	After   string    `json:"after"`  // SHA-256 of the file as setup left it
	Lists   []kept    `json:"lists"`
	Units   []string  `json:"units"` // that setup has enabled
	Own     []string  `json:"own"`   // addresses of Assay
	Time    time.Time `json:"time"`
}

// A kept parameter.
type kept struct {
	Name   string `json:"name"`
	Set    bool   `json:"set"` // it stood in main.cf
	Before string `json:"before"`
	After  string `json:"after"`
}

const stateFile = "state.json"

// errNotOurs means that somebody but root could have written what setup has kept.
var errNotOurs = errors.New("somebody else could have written there")

// openState opens the directory of a state; make says that it is made if it is missing. What stands in it decides about the
// configuration of the MTA, so it has to belong to owner, and nobody else may write to it: the directory above belongs to the
// daemon, which root must not follow.
func openState(dir string, owner int, create bool) (*os.Root, error) {
	if create {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	info, err := root.Stat(".")
	if err == nil {
		err = trusted(info, owner)
	}
	if err != nil {
		root.Close()
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return root, nil
}

// trusted returns an error unless a file belongs to owner and only he may write to it.
func trusted(info fs.FileInfo, owner int) error {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(s.Uid) != owner || info.Mode().Perm()&0o022 != 0 {
		return errNotOurs
	}
	return nil
}

// loadState reads the state; found is false if setup has changed nothing.
func loadState(root *os.Root, owner int) (s state, found bool, err error) {
	text, err := readKept(root, stateFile, owner)
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, false, nil
	}
	if err != nil {
		return state{}, false, err
	}
	if err := json.Unmarshal(text, &s); err != nil || s.Version != 1 {
		return state{}, false, fmt.Errorf("%s cannot be read: %w", stateFile, errors.Join(err, errNotOurs))
	}
	return s, true, nil
}

// readKept reads a file that setup has written.
func readKept(root *os.Root, name string, owner int) ([]byte, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", name, errNotOurs)
	}
	if err := trusted(info, owner); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return root.ReadFile(name)
}

// save writes the state; what was there before stays until it is complete.
func (s state) save(root *os.Root) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if err := writeSynced(root, stateFile+".new", append(text, '\n')); err != nil {
		return err
	}
	return root.Rename(stateFile+".new", stateFile)
}

// keep copies a file into the state's directory and returns the name of the copy.
func keep(root *os.Root, file string, now time.Time) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	name := filepath.Base(file) + "." + now.UTC().Format("20060102T150405.000000000Z")
	return name, writeSynced(root, name, text)
}

// writeSynced writes a file durably.
func writeSynced(root *os.Root, name string, text []byte) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// sum returns the SHA-256 of a file.
func sum(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	return Hash(text), nil
}

// Hash returns the SHA-256 of a text, in hex.
func Hash(text []byte) string {
	h := sha256.Sum256(text)
	return hex.EncodeToString(h[:])
}

// restore replaces a file by a text, with its owner and permissions, at once or not at all. The place of a symbolic link
// stays one.
func restore(file string, text []byte) error {
	file, err := filepath.EvalSymlinks(file)
	if err != nil {
		return err
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	old, err := os.ReadFile(file)
	if err != nil || bytes.Equal(old, text) {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(info.Mode().Perm()))
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		err = errors.Join(err, f.Chown(int(s.Uid), int(s.Gid)))
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
