package setup

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// A journal is what setup has changed on this machine: state.json.
type journal struct {
	Version int     `json:"version"`
	Setups  []state `json:"setups"`
}

// A state is what setup has changed in one installation of an MTA, and what was there. It is written before anything is changed,
// so that a setup that was killed can be undone like one that came to its end.
type state struct {
	MTA     string    `json:"mta"`
	Config  string    `json:"config"` // --mta-config
	Files   []file    `json:"files"`  // main.cf; sendmail.mc and sendmail.cf
	Lists   []kept    `json:"lists"`
	Units   []string  `json:"units"`   // that setup has enabled
	Own     []string  `json:"own"`     // addresses of Assay
	Pending bool      `json:"pending"` // it is not known yet that the MTA reaches Assay
	Time    time.Time `json:"time"`
}

// A file that was changed.
type file struct {
	Path   string `json:"path"`
	Copy   string `json:"copy"`   // of the file as it was, in the same directory
	Before string `json:"before"` // SHA-256 of the file as it was
	After  string `json:"after"`  // and as setup leaves it; "" as long as that is not known
}

// A kept parameter.
type kept struct {
	Name   string `json:"name"`
	Set    bool   `json:"set"` // it stood in main.cf
	Before string `json:"before"`
	After  string `json:"after"`
}

const stateFile = "state.json"

// errBusy means that another setup is at work.
var errBusy = errors.New("another assay setup is running")

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

// lock keeps others from the state until it is closed.
func lock(root *os.Root) (io.Closer, error) {
	f, err := root.OpenFile("lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errBusy
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// load reads the journal; it is empty if setup has changed nothing.
func load(root *os.Root, owner int) (*journal, error) {
	j := &journal{Version: 2}
	text, err := readKept(root, stateFile, owner)
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, j); err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w: %w", stateFile, err, errNotOurs)
	}
	if j.Version != 2 {
		return nil, fmt.Errorf("%s is of version %d, and this program knows version 2: undo what was changed with the program that wrote it", stateFile, j.Version)
	}
	if slices.ContainsFunc(j.Setups, func(s state) bool { return len(s.Files) == 0 }) {
		return nil, fmt.Errorf("%s names no file: %w", stateFile, errNotOurs)
	}
	return j, nil
}

// of returns what was changed in the installation whose first file is path, nil if nothing was.
func (j *journal) of(path string) *state {
	for i := range j.Setups {
		if j.Setups[i].Files[0].Path == path {
			return &j.Setups[i]
		}
	}
	return nil
}

// at reports whether a state is that of a configuration as --mta-config names it; "" names all.
func (s state) at(config string) bool {
	path := s.Files[0].Path
	return config == "" || slices.Contains([]string{s.Config, path, filepath.Dir(path)}, filepath.Clean(config))
}

// put notes a state in the place of that of the same installation.
func (j *journal) put(s state) *state {
	j.drop(s.Files[0].Path)
	j.Setups = append(j.Setups, s)
	return &j.Setups[len(j.Setups)-1]
}

// drop forgets a state.
func (j *journal) drop(path string) {
	j.Setups = slices.DeleteFunc(j.Setups, func(s state) bool { return s.Files[0].Path == path })
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

// save writes the journal; what was there before stays until it is complete. One without a state is removed.
func (j *journal) save(root *os.Root) error {
	if len(j.Setups) == 0 {
		if err := root.Remove(stateFile); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	text, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return err
	}
	if err := writeSynced(root, stateFile+".new", append(text, '\n')); err != nil {
		return err
	}
	return root.Rename(stateFile+".new", stateFile)
}

// keep copies a file into the state's directory.
func keep(root *os.Root, path string, now time.Time) (file, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return file{}, err
	}
	f := file{Path: path, Copy: filepath.Base(path) + "." + now.UTC().Format("20060102T150405.000000000Z"), Before: Hash(text)}
	return f, writeSynced(root, f.Copy, text)
}

// putBack makes a file what it was before setup.
func (f file) putBack(root *os.Root, owner int) error {
	text, err := readKept(root, f.Copy, owner)
	if err != nil {
		return err
	}
	if Hash(text) != f.Before {
		return fmt.Errorf("%s is not what setup has kept: %w", f.Copy, errNotOurs)
	}
	return restore(f.Path, text)
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
	if err := os.Rename(f.Name(), file); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
