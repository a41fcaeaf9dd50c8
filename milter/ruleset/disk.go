package ruleset

import (
	"errors"
	"os"
)

// A disk is how the state directory is changed, one durable step at a time. Tests make each of them fail.
type disk interface {
	MkdirAll(path string) error
	WriteFile(path string, text []byte) error // makes or replaces a file; it is on the disk afterwards
	Append(path string, text []byte) error    // makes or extends a file; it is on the disk afterwards
	Rename(from, to string) error
	SyncDir(path string) error // what was made, renamed or removed in a directory is on the disk afterwards
	RemoveAll(path string) error
}

// Permissions of the state: tests of rules may hold mail.
const (
	dirMode  = 0o700
	fileMode = 0o600
)

// An osDisk is the real one.
type osDisk struct{}

func (osDisk) MkdirAll(path string) error { return os.MkdirAll(path, dirMode) }

func (osDisk) WriteFile(path string, text []byte) error {
	return writeSync(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, text)
}

func (osDisk) Append(path string, text []byte) error {
	return writeSync(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, text)
}

func writeSync(path string, flags int, text []byte) error {
	f, err := os.OpenFile(path, flags, fileMode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (osDisk) Rename(from, to string) error { return os.Rename(from, to) }

func (osDisk) SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (osDisk) RemoveAll(path string) error { return os.RemoveAll(path) }
