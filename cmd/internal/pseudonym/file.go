package pseudonym

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// secretSize is the length of a secret in octets: as much as the hash gives.
const secretSize = 32

// maxFile bounds what is read of a key file.
const maxFile = 1024

// magic is the first line of a key file.
const magic = "assay pseudonym key, version 1"

// newKey makes a key.
func newKey(now time.Time) *Key {
	secret := make([]byte, secretSize)
	_, _ = rand.Read(secret) // never fails: crypto/rand ends the program before it returns a weak key
	return &Key{secret: secret, created: now.UTC().Truncate(time.Second)}
}

// format returns a key as its file has it.
func (k *Key) format() []byte {
	return fmt.Appendf(nil, "%s\ncreated %s\nkey %s\n", magic, k.created.Format(time.RFC3339), hex.EncodeToString(k.secret))
}

// errFormat means that a file is no key file.
var errFormat = errors.New("pseudonym: this is not a key file")

// parse reads the text of a key file.
func parse(text []byte) (*Key, error) {
	lines := strings.Split(string(text), "\n")
	if len(lines) != 4 || lines[0] != magic || lines[3] != "" {
		return nil, errFormat
	}
	created, isCreated := strings.CutPrefix(lines[1], "created ")
	secret, isKey := strings.CutPrefix(lines[2], "key ")
	if !isCreated || !isKey {
		return nil, errFormat
	}
	t, err := time.Parse(time.RFC3339, created)
	if err != nil {
		return nil, errFormat
	}
	s, err := hex.DecodeString(secret)
	if err != nil || len(s) != secretSize {
		return nil, errFormat
	}
	return &Key{secret: s, created: t}, nil
}

// A stamp tells one version of a file from another.
type stamp struct{ info fs.FileInfo }

// same reports whether a path is still the file of the stamp.
func (s *stamp) same(path string) bool {
	info, err := os.Stat(path)
	return err == nil && os.SameFile(info, s.info) && info.ModTime().Equal(s.info.ModTime()) && info.Size() == s.info.Size()
}

// open returns the key of the file, and makes or replaces it if need be, while no other process does.
func (n *Namer) open() (*Key, *stamp, error) {
	if err := os.MkdirAll(filepath.Dir(n.opt.Path), 0o700); err != nil {
		return nil, nil, fmt.Errorf("pseudonym: %w", err)
	}
	unlock, err := lock(n.opt.Path + ".lock")
	if err != nil {
		return nil, nil, fmt.Errorf("pseudonym: %w", err)
	}
	defer unlock()
	key, seen, err := read(n.opt.Path)
	switch {
	case err == nil && !n.expired(key):
		return key, seen, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errFormat):
		return nil, nil, fmt.Errorf("pseudonym: %w", err)
	}
	// A file that cannot be understood is replaced: the pseudonyms of a damaged key cannot be had again.
	if err := write(n.opt.Path, newKey(n.opt.Now())); err != nil {
		return nil, nil, fmt.Errorf("pseudonym: %w", err)
	}
	return readBack(n.opt.Path)
}

// readBack reads the file that was just written, so that what is used is what the next process will find.
func readBack(path string) (*Key, *stamp, error) {
	key, seen, err := read(path)
	if err != nil {
		return nil, nil, fmt.Errorf("pseudonym: %w", err)
	}
	return key, seen, nil
}

// lock keeps other processes away until the function it returns is called. The kernel gives the lock back when a process
// dies. The lock file stays: removing it would let two processes hold locks on two files of the same name.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}

// read reads a key file. One that others may read is no secret any more, and is an error that somebody has to look at.
func read(path string) (*Key, *stamp, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return nil, nil, fmt.Errorf("%s has mode %s: only its owner may have access; run chmod 600 on it, or remove it to get a new key", path, info.Mode())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, nil, err
	}
	key, err := parse(text)
	return key, &stamp{info}, err
}

// write puts a key in the place of the one in the file, all of it or nothing, and destroys the old one.
func write(path string, key *Key) error {
	old, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NOFOLLOW, 0)
	if err == nil {
		defer old.Close()
	}
	next, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(next.Name()) // it is gone by then if all goes well
	_, err = next.Write(key.format())
	if err = errors.Join(err, next.Sync(), next.Close()); err != nil {
		return err
	}
	if err := os.Rename(next.Name(), path); err != nil {
		return err
	}
	erase(old)
	return syncDir(filepath.Dir(path))
}

// erase overwrites a file that has no name any more. Flash memory, journals and snapshots may keep the old octets all the
// same; what can be done by a program is done.
func erase(f *os.File) {
	if f == nil {
		return
	}
	if info, err := f.Stat(); err == nil {
		_, _ = f.WriteAt(bytes.Repeat([]byte{0}, int(min(info.Size(), maxFile))), 0)
		_ = f.Sync()
	}
}

// syncDir makes a rename durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
