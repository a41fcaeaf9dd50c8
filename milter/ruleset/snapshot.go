package ruleset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"assay/rules"
)

// ErrChanged says that directories were changed while they were read, for longer than Limits.Patience.
var ErrChanged = errors.New("ruleset: the rule directories are being changed, nothing was activated; try again when that is done")

// Errors of Read. They are wrapped with what they are about.
var (
	ErrTooLarge = errors.New("ruleset: rule directories exceed a limit")
	ErrNoRules  = errors.New("ruleset: there is no rule file (*.yaml) in any rule directory")
)

// A Snapshot is all files of some directories at one instant: rules, tests, what tests and lists refer to. It does not
// change when the directories do.
type Snapshot struct {
	dirs  []dir
	lists []file // list files outside of the directories, by absolute path
}

// A dir is one source.
type dir struct {
	name    string // of the source
	files   []file // by name
	missing bool   // it is optional and does not exist
	setting func(file string) rules.Setting
}

// A file is one file, its name relative to its source, or absolute for a list.
type file struct {
	name string
	text []byte
}

// Directory makes a source of a directory. Symbolic links in it are followed.
func Directory(path string) rules.Source {
	return rules.Source{Name: filepath.Clean(path), Files: os.DirFS(path)}
}

// An optionalFS is a directory that need not exist.
type optionalFS struct{ fs.FS }

// OptionalDirectory is Directory for one that may be missing. Once rules from it are in force, it may not: then only an
// empty directory says that there are none any more.
func OptionalDirectory(path string) rules.Source {
	return rules.Source{Name: filepath.Clean(path), Files: optionalFS{os.DirFS(path)}}
}

// ReadFile reads a list file with an absolute path: a regular file within the default size.
func ReadFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("not a regular file")}
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, name, defaultFileSize)
}

// Read takes a snapshot. It reads everything twice: directories in which something changes in between, or has changed
// within Limits.Settle before, are read again, until they hold still or Limits.Patience is over. A directory that is
// just being copied is therefore never taken for a complete one as long as the copying goes on.
func Read(ctx context.Context, sources []rules.Source, l Limits) (*Snapshot, error) {
	l = l.withDefaults()
	started := time.Now()
	last := scanAll(sources, l)
	for {
		if last.err != nil && !errors.Is(last.err, fs.ErrNotExist) {
			return nil, last.err
		}
		if err := sleep(ctx, last.unrest(l.Settle)); err != nil {
			return nil, err
		}
		next := scanAll(sources, l)
		switch {
		case next.err != nil && last.err != nil: // missing before, missing still
			return nil, next.err
		case next.err == nil && last.err == nil && next.same(last):
			return next.snapshot, next.snapshot.check(sources)
		case time.Since(started) > l.Patience:
			return nil, ErrChanged
		}
		last = next
	}
}

// check refuses a snapshot without any rules. Directories that are empty are taken for ones that are not mounted or not
// yet copied: without rules every mail would be let through.
func (s *Snapshot) check(sources []rules.Source) error {
	for _, d := range s.dirs {
		for _, f := range d.files {
			if path.Ext(f.name) == ".yaml" && !strings.HasSuffix(f.name, "_test.yaml") {
				return nil
			}
		}
	}
	names := make([]string, len(sources))
	for i, source := range sources {
		names[i] = source.Name
	}
	return fmt.Errorf("%w: %s", ErrNoRules, strings.Join(names, ", "))
}

// A scan is one reading of the directories.
type scan struct {
	limits   Limits
	snapshot *Snapshot
	newest   time.Time // when something was changed last
	files    int
	size     int64
	err      error // what could not be read
}

// scanAll reads the directories once.
func scanAll(sources []rules.Source, l Limits) *scan {
	s := &scan{limits: l, snapshot: &Snapshot{}}
	for _, source := range sources {
		d := dir{name: source.Name, setting: source.Setting}
		if _, optional := source.Files.(optionalFS); optional {
			_, err := fs.Stat(source.Files, ".")
			d.missing = errors.Is(err, fs.ErrNotExist)
		}
		if d.missing {
			s.snapshot.dirs = append(s.snapshot.dirs, d)
			continue
		}
		if s.err = s.walk(source.Files, ".", 0, &d); s.err != nil {
			s.err = fmt.Errorf("ruleset: %s: %w", source.Name, s.err)
			return s
		}
		slices.SortFunc(d.files, func(a, b file) int { return strings.Compare(a.name, b.name) })
		s.snapshot.dirs = append(s.snapshot.dirs, d)
	}
	return s
}

// unrest returns how long to wait until nothing has changed for the time settle. A clock that differs from that of the
// file system costs at most that time.
func (s *scan) unrest(settle time.Duration) time.Duration {
	if s.err != nil {
		return max(settle, 0)
	}
	age := time.Since(s.newest)
	if age < 0 {
		age = 0
	}
	return max(settle-age, 0)
}

// same says whether two scans have seen the same.
func (s *scan) same(o *scan) bool {
	return s.newest.Equal(o.newest) && s.snapshot.digest() == o.snapshot.digest()
}

// walk reads one directory with everything below it.
func (s *scan) walk(fsys fs.FS, name string, depth int, into *dir) error {
	if depth > s.limits.Depth {
		return fmt.Errorf("%w: %s is deeper than %d directories; is a symbolic link leading in a circle?", ErrTooLarge, name, s.limits.Depth)
	}
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return err
	}
	s.see(info)
	entries, err := fs.ReadDir(fsys, name)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if ignored(entry.Name()) {
			continue
		}
		if err := s.entry(fsys, path.Join(name, entry.Name()), depth, into); err != nil {
			return err
		}
	}
	return nil
}

// entry reads one entry of a directory.
func (s *scan) entry(fsys fs.FS, name string, depth int, into *dir) error {
	if !utf8.ValidString(name) {
		return fmt.Errorf("the file name %q is not valid UTF-8", name)
	}
	info, err := fs.Stat(fsys, name) // of what a symbolic link leads to
	if err != nil {
		return err
	}
	switch {
	case info.IsDir():
		return s.walk(fsys, name, depth+1, into)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file", name)
	}
	s.see(info)
	text, err := s.read(fsys, name)
	if err != nil {
		return err
	}
	into.files = append(into.files, file{name: name, text: text})
	return nil
}

// see notes when something was changed.
func (s *scan) see(info fs.FileInfo) {
	if at := changed(info); at.After(s.newest) {
		s.newest = at
	}
}

// read reads one file within the limits.
func (s *scan) read(fsys fs.FS, name string) ([]byte, error) {
	if s.files++; s.files > s.limits.Files {
		return nil, fmt.Errorf("%w: more than %d files", ErrTooLarge, s.limits.Files)
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := readAll(f, name, s.limits.FileSize)
	if err != nil {
		return nil, err
	}
	if s.size += int64(len(text)); s.size > s.limits.Size {
		return nil, fmt.Errorf("%w: all files together have more than %d octets", ErrTooLarge, s.limits.Size)
	}
	return text, nil
}

// ignored says whether a directory entry is none of the set's: hidden files and directories, what editors keep, and
// what package managers put aside.
func ignored(name string) bool {
	for _, suffix := range []string{"~", ".swp", ".tmp", ".dpkg-new", ".dpkg-old", ".dpkg-dist", ".rpmnew", ".rpmsave"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "#")
}

// readAll reads a file of at most limit octets.
func readAll(r io.Reader, name string, limit int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("%w: %s has more than %d octets", ErrTooLarge, name, limit)
	}
	return text, nil
}

// sleep waits for a time.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Sources returns the directories as they were.
func (s *Snapshot) Sources() []rules.Source {
	sources := make([]rules.Source, len(s.dirs))
	for i, d := range s.dirs {
		sources[i] = rules.Source{Name: d.name, Files: newMemFS(d.files), Setting: d.setting}
	}
	return sources
}

// list returns a list file of the snapshot.
func (s *Snapshot) list(name string) ([]byte, error) {
	for _, f := range s.lists {
		if f.name == name {
			return f.text, nil
		}
	}
	return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("the file is not part of the stored set")}
}

// digest returns the SHA-256 over the names and contents of everything, in lower-case hex. Every text is preceded by
// its length, so that no two snapshots read the same.
func (s *Snapshot) digest() string {
	h := sha256.New()
	for i, d := range s.dirs {
		fmt.Fprintf(h, "source %d %d\n%s", i, len(d.name), d.name)
		digestFiles(h, d.files)
	}
	fmt.Fprintf(h, "lists\n")
	digestFiles(h, s.lists)
	return hex.EncodeToString(h.Sum(nil))
}

func digestFiles(h hash.Hash, files []file) {
	for _, f := range files {
		fmt.Fprintf(h, "file %d %d\n%s", len(f.name), len(f.text), f.name)
		h.Write(f.text)
	}
}

// A recorder reads list files for the validator and keeps them for the snapshot.
type recorder struct {
	read  func(string) ([]byte, error)
	lists map[string][]byte
	size  int64
	limit int64
}

// list implements rules.Options.ReadList.
func (r *recorder) list(name string) ([]byte, error) {
	if text, ok := r.lists[name]; ok {
		return text, nil
	}
	text, err := r.read(name)
	if err != nil {
		return nil, err
	}
	if r.size += int64(len(text)); r.size > r.limit {
		return nil, fmt.Errorf("%w: all list files together have more than %d octets", ErrTooLarge, r.limit)
	}
	r.lists[name] = text
	return text, nil
}

// seal adds the list files to a snapshot. They must not have changed meanwhile.
func (r *recorder) seal(s *Snapshot) error {
	for name, text := range r.lists {
		again, err := r.read(name)
		if err != nil {
			return err
		}
		if string(again) != string(text) {
			return fmt.Errorf("%w (%s)", ErrChanged, name)
		}
		s.lists = append(s.lists, file{name: name, text: text})
	}
	slices.SortFunc(s.lists, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return nil
}
