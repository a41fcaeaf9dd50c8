package quarantine

import (
	"bytes"
	"crypto/sha256"
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
)

// Names in the directory of a quarantine. An entry q1m5k2c7-x8d2pq is the file messages/pq/q1m5k2c7-x8d2pq: a directory
// per last two characters, which are random, keeps them small.
const (
	messagesDir = "messages"
	tempDir     = "tmp"
	indexFile   = "index.db"
	keyFile     = "key"
	auditFile   = "audit.log"
)

// path returns the file of an entry, whose id is valid.
func (s *Store) path(id string) string {
	return filepath.Join(s.opt.Dir, messagesDir, id[len(id)-2:], id)
}

// prepare makes the directories, which nobody else may enter.
func (s *Store) prepare() error {
	info, err := os.Stat(s.opt.Dir)
	if errors.Is(err, fs.ErrNotExist) && s.opt.Create {
		info, err = s.makeTop()
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", s.opt.Dir)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		s.uid, s.gid = int(stat.Uid), int(stat.Gid)
	}
	for _, dir := range []string{messagesDir, tempDir} {
		if err := s.makeDir(filepath.Join(s.opt.Dir, dir)); err != nil {
			return err
		}
	}
	return nil
}

// makeTop makes the directory itself. If root makes it, it belongs to whom the one above belongs to: the daemon.
func (s *Store) makeTop() (os.FileInfo, error) {
	if err := os.MkdirAll(s.opt.Dir, 0o700); err != nil {
		return nil, err
	}
	above, err := os.Stat(filepath.Dir(s.opt.Dir))
	if err != nil {
		return nil, err
	}
	if stat, ok := above.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		if err := os.Chown(s.opt.Dir, int(stat.Uid), int(stat.Gid)); err != nil {
			return nil, err
		}
	}
	return os.Stat(s.opt.Dir)
}

// makeDir makes a directory of the quarantine durably.
func (s *Store) makeDir(path string) error {
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := s.own(path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// own gives what root has made to the owner of the quarantine: the daemon must be able to work with it.
func (s *Store) own(path string) error {
	if os.Geteuid() != 0 || s.uid == 0 {
		return nil
	}
	return os.Lchown(path, s.uid, s.gid)
}

// write makes the file of an entry: complete, durable and under its name, or not at all.
func (s *Store) write(e *Entry, m io.WriterTo) error {
	temp := filepath.Join(s.opt.Dir, tempDir, e.ID)
	if err := s.writeTemp(temp, e, m); err != nil {
		_ = os.Remove(temp)
		return err
	}
	path := s.path(e.ID)
	if err := s.makeDir(filepath.Dir(path)); err != nil {
		_ = os.Remove(temp)
		return err
	}
	// A rename would replace an entry of the same id.
	if err := os.Link(temp, path); err != nil {
		_ = os.Remove(temp)
		return err
	}
	if err := os.Remove(temp); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// writeTemp writes the file of an entry under a name that nobody looks at, and brings it to the disk.
func (s *Store) writeTemp(path string, e *Entry, m io.WriterTo) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if closed := f.Close(); err == nil {
			err = closed
		}
	}()
	if _, err := f.Write(e.record()); err != nil {
		return err
	}
	n, err := m.WriteTo(f)
	if err != nil {
		return err
	}
	if n != e.Size {
		return fmt.Errorf("quarantine: %d octets instead of %d were written", n, e.Size)
	}
	if err := s.own(path); err != nil {
		return err
	}
	return f.Sync()
}

// remove takes the file of an entry away. One that is gone is no error.
func (s *Store) remove(id string) error {
	path := s.path(id)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir brings the names in a directory to the disk.
func syncDir(path string) error {
	d, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// A Content is the message of an entry. It must be closed.
type Content struct {
	io.Reader // the octets as received
	file      *os.File
	start     int64
}

// Close closes the file.
func (c *Content) Close() error { return c.file.Close() }

// Message opens the file of an entry: what its header block says, and the octets of the message.
func (s *Store) Message(id string) (*Entry, *Content, error) {
	if !ValidID(id) {
		return nil, nil, fmt.Errorf("%w: %q", ErrNotFound, id)
	}
	f, err := os.Open(s.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("quarantine: %w", err)
	}
	e, start, err := readRecord(f)
	if err == nil && e.ID != id {
		err = fmt.Errorf("%w: it says that it is %s", ErrDamaged, e.ID)
	}
	if err == nil {
		_, err = f.Seek(start, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("%s: %w", id, err)
	}
	return e, &Content{Reader: f, file: f, start: start}, nil
}

// Verify reads the whole message and compares it with its hash. What is read afterwards begins at the first octet again.
func (c *Content) Verify(e *Entry) error {
	h := sha256.New()
	n, err := io.Copy(h, c.file)
	if err != nil {
		return fmt.Errorf("quarantine: %w", err)
	}
	if n != e.Size || hex.EncodeToString(h.Sum(nil)) != e.SHA256 {
		return fmt.Errorf("%w: %s", ErrDamaged, e.ID)
	}
	_, err = c.file.Seek(c.start, io.SeekStart)
	return err
}

// ids returns the ids of all files.
func (s *Store) ids() (map[string]bool, error) {
	all := map[string]bool{}
	top := filepath.Join(s.opt.Dir, messagesDir)
	shards, err := os.ReadDir(top)
	if err != nil {
		return nil, err
	}
	for _, shard := range shards {
		d, err := os.Open(filepath.Join(top, shard.Name()))
		if err != nil {
			return nil, err
		}
		names, err := d.Readdirnames(-1)
		d.Close()
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if ValidID(name) && strings.HasSuffix(name, shard.Name()) {
				all[name] = true
			}
		}
	}
	return all, nil
}

// sweepAge is how old an unfinished file is before nobody can be writing it any more.
const sweepAge = time.Hour

// sweep removes what a crash has left of messages that were being written. Nobody was told that they were taken.
func (s *Store) sweep() (int, error) {
	dir := filepath.Join(s.opt.Dir, tempDir)
	names, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	removed := 0
	for _, n := range names {
		if info, err := n.Info(); err != nil || s.opt.Now().Sub(info.ModTime()) < sweepAge {
			continue
		}
		if err := os.Remove(filepath.Join(dir, n.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return removed, err
		}
		removed++
	}
	return removed, nil
}

// digest returns the SHA-256 and the size of a message.
func digest(m io.WriterTo) (sum string, size int64, err error) {
	h := sha256.New()
	size, err = m.WriteTo(h)
	return hex.EncodeToString(h.Sum(nil)), size, err
}

// readKey returns the key of tokens, and makes it when there is none yet.
func (s *Store) readKey() ([]byte, error) {
	path := s.opt.KeyFile
	if path == "" {
		path = filepath.Join(s.opt.Dir, keyFile)
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && s.opt.KeyFile == "" {
		return s.makeKey(path)
	}
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(key) < 32 {
		return nil, fmt.Errorf("%s does not hold a key: 64 hexadecimal digits", path)
	}
	return key, nil
}
