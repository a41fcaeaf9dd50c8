package health

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Disk says whether a directory can be written to and has enough free space, and how much is free. Nothing is written: a
// check that runs every few seconds should wear out nothing.
func Disk(dir string, least int64) (free int64, err error) {
	dir, err = existing(dir)
	if err != nil {
		return 0, err
	}
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil { // also says that a file system is read-only
		return 0, fmt.Errorf("%s cannot be written to: %w", dir, err)
	}
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("%s: %w", dir, err)
	}
	free = int64(s.Bavail) * s.Bsize
	switch {
	case free < least:
		return free, fmt.Errorf("%s has %d MiB of free space, and should have %d", dir, free>>20, least>>20)
	case s.Files > 0 && s.Ffree == 0:
		return free, fmt.Errorf("%s has no free inode", dir)
	}
	return free, nil
}

// existing returns a directory, or the nearest one above it that exists, in which it can be made.
func existing(dir string) (string, error) {
	for {
		info, err := os.Stat(dir)
		switch {
		case err == nil && info.IsDir():
			return dir, nil
		case err == nil:
			return "", fmt.Errorf("%s is not a directory", dir)
		case !os.IsNotExist(err):
			return "", err
		case dir == filepath.Dir(dir):
			return "", err
		}
		dir = filepath.Dir(dir)
	}
}
