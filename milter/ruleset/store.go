package ruleset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A store is the state directory:
//
//	<sha>/manifest.json   what belongs to a set, and the digest of it
//	<sha>/0/, <sha>/1/    the files of its sources, as they were
//	<sha>/lists/0         list files from elsewhere
//	state.json            which sets were in force, newest first, and which one is pinned
//	history.jsonl         one Record per line
//
// A set appears in one step, by the renaming of a complete directory, and so does state.json: whenever the program ends,
// what is there can be used.
type store struct {
	dir  string
	disk disk
}

// Names in the state directory. Those that begin with a dot are unfinished, or on their way out.
const (
	manifestName = "manifest.json"
	stateName    = "state.json"
	historyName  = "history.jsonl"
	listsName    = "lists"
	unfinished   = ".unfinished-"
	replaced     = ".replaced-"
)

// storeFormat is the version of manifest.json and state.json.
const storeFormat = 1

// maxIndex bounds manifest.json and state.json.
const maxIndex = 16 << 20

// Errors of stored sets.
var (
	ErrNotStored = errors.New("ruleset: no such stored set")
	ErrAmbiguous = errors.New("ruleset: more than one stored set begins like this")
	ErrCorrupted = errors.New("ruleset: the stored set is damaged and is not used")
)

// A manifest says what belongs to a stored set.
type manifest struct {
	Format  int            `json:"format"`
	SHA     string         `json:"sha"`
	Digest  string         `json:"digest"` // Snapshot.digest
	Stored  time.Time      `json:"stored"`
	Sources []manifestList `json:"sources"`
	Lists   []manifestFile `json:"lists,omitempty"`
}

type manifestList struct {
	Name  string         `json:"name"`
	Files []manifestFile `json:"files"`
}

type manifestFile struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
}

var fullSHA = regexp.MustCompile(`^[0-9a-f]{64}$`)

// open makes the state directory and removes what an earlier process has left unfinished.
func (st *store) open() error {
	if err := st.disk.MkdirAll(st.dir); err != nil {
		return fmt.Errorf("ruleset: state directory: %w", err)
	}
	if err := st.trusted(); err != nil {
		return err
	}
	entries, err := os.ReadDir(st.dir)
	if err != nil {
		return fmt.Errorf("ruleset: state directory: %w", err)
	}
	for _, entry := range entries {
		if err := st.tidy(entry.Name()); err != nil {
			return fmt.Errorf("ruleset: state directory: %w", err)
		}
	}
	return nil
}

// trusted refuses a state directory into which others can put rules.
func (st *store) trusted() error {
	info, err := os.Stat(st.dir)
	if err == nil && info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("ruleset: state directory %s can be written by others (mode %04o), it is not used; chmod it to 0700", st.dir, info.Mode().Perm())
	}
	return nil
}

// tidy removes an entry of the state directory that an earlier process has left unfinished. A set whose replacement did
// not come about gets its name back.
func (st *store) tidy(name string) error {
	path := filepath.Join(st.dir, name)
	if sha, found := strings.CutPrefix(name, replaced); found && fullSHA.MatchString(sha) && !exists(filepath.Join(st.dir, sha)) {
		return st.disk.Rename(path, filepath.Join(st.dir, sha))
	}
	if strings.HasPrefix(name, unfinished) || strings.HasPrefix(name, replaced) {
		return st.disk.RemoveAll(path)
	}
	return nil
}

// put stores a set. A set that is stored already is left alone, unless it is damaged.
func (st *store) put(sha string, s *Snapshot, now time.Time) error {
	if !fullSHA.MatchString(sha) {
		return fmt.Errorf("ruleset: %q is not the hash of a set", sha)
	}
	if err := st.trusted(); err != nil {
		return err
	}
	path := filepath.Join(st.dir, sha)
	if stored, _, err := st.get(sha); err == nil && stored.digest() == s.digest() {
		return nil
	}
	tmp := filepath.Join(st.dir, unfinished+sha)
	if err := st.disk.RemoveAll(tmp); err != nil {
		return err
	}
	m := manifest{Format: storeFormat, SHA: sha, Digest: s.digest(), Stored: now.UTC()}
	for i, d := range s.dirs {
		files, err := st.putFiles(filepath.Join(tmp, strconv.Itoa(i)), d.files, func(_ int, f file) string { return f.name })
		if err != nil {
			return err
		}
		m.Sources = append(m.Sources, manifestList{Name: d.name, Files: files})
	}
	var err error
	m.Lists, err = st.putFiles(filepath.Join(tmp, listsName), s.lists, func(i int, _ file) string { return strconv.Itoa(i) })
	if err != nil {
		return err
	}
	return st.finish(tmp, path, m)
}

// putFiles writes files into a directory, under the names that name gives them.
func (st *store) putFiles(dir string, files []file, name func(int, file) string) ([]manifestFile, error) {
	if err := st.disk.MkdirAll(dir); err != nil {
		return nil, err
	}
	made := map[string]bool{dir: true}
	list := make([]manifestFile, 0, len(files))
	for i, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(name(i, f)))
		for parent := filepath.Dir(path); !made[parent]; parent = filepath.Dir(parent) {
			made[parent] = true
		}
		if err := st.disk.MkdirAll(filepath.Dir(path)); err != nil {
			return nil, err
		}
		if err := st.disk.WriteFile(path, f.text); err != nil {
			return nil, err
		}
		list = append(list, manifestFile{Name: f.name, Size: int64(len(f.text))})
	}
	for parent := range made {
		if err := st.disk.SyncDir(parent); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// finish makes a set that is complete but for its manifest appear under its name.
func (st *store) finish(tmp, path string, m manifest) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := st.disk.WriteFile(filepath.Join(tmp, manifestName), text); err != nil {
		return err
	}
	if err := st.disk.SyncDir(tmp); err != nil {
		return err
	}
	old := filepath.Join(st.dir, replaced+m.SHA)
	if exists(path) { // a damaged set, or one with other test data
		if err := errors.Join(st.disk.RemoveAll(old), st.disk.Rename(path, old)); err != nil {
			return err
		}
	}
	if err := st.disk.Rename(tmp, path); err != nil {
		return err
	}
	return errors.Join(st.disk.SyncDir(st.dir), st.disk.RemoveAll(old))
}

// remove removes a stored set: first its name, then its files.
func (st *store) remove(sha string) error {
	gone := filepath.Join(st.dir, unfinished+sha)
	if err := st.disk.RemoveAll(gone); err != nil {
		return err
	}
	if err := st.disk.Rename(filepath.Join(st.dir, sha), gone); err != nil {
		return err
	}
	return st.disk.RemoveAll(gone)
}

// get reads a stored set and verifies that it is what was stored.
func (st *store) get(sha string) (*Snapshot, manifest, error) {
	m, err := st.manifest(sha)
	if err != nil {
		return nil, m, err
	}
	s := &Snapshot{}
	for i, source := range m.Sources {
		files, err := st.getFiles(filepath.Join(st.dir, sha, strconv.Itoa(i)), source.Files, func(_ int, name string) string { return name })
		if err != nil {
			return nil, m, fmt.Errorf("%w: %s: %w", ErrCorrupted, sha, err)
		}
		s.dirs = append(s.dirs, dir{name: source.Name, files: files})
	}
	s.lists, err = st.getFiles(filepath.Join(st.dir, sha, listsName), m.Lists, func(i int, _ string) string { return strconv.Itoa(i) })
	if err != nil {
		return nil, m, fmt.Errorf("%w: %s: %w", ErrCorrupted, sha, err)
	}
	if s.digest() != m.Digest {
		return nil, m, fmt.Errorf("%w: %s: its files are not the ones that were stored", ErrCorrupted, sha)
	}
	return s, m, nil
}

// manifest reads the manifest of a stored set.
func (st *store) manifest(sha string) (manifest, error) {
	var m manifest
	if !fullSHA.MatchString(sha) {
		return m, fmt.Errorf("%w: %q is not the hash of a set", ErrNotStored, sha)
	}
	if err := st.trusted(); err != nil {
		return m, err
	}
	err := readIndex(filepath.Join(st.dir, sha, manifestName), &m)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return m, fmt.Errorf("ruleset: %w", err)
	case errors.Is(err, fs.ErrNotExist) && !exists(filepath.Join(st.dir, sha)):
		return m, fmt.Errorf("%w: %s", ErrNotStored, sha)
	case err != nil:
		return m, fmt.Errorf("%w: %s: %w", ErrCorrupted, sha, err)
	case m.Format != storeFormat || m.SHA != sha:
		return m, fmt.Errorf("%w: %s: its manifest is of another set or format", ErrCorrupted, sha)
	}
	return m, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// getFiles reads the files of a manifest.
func (st *store) getFiles(dir string, list []manifestFile, name func(int, string) string) ([]file, error) {
	var files []file
	for i, f := range list {
		stored := name(i, f.Name)
		if !fs.ValidPath(stored) || f.Size < 0 {
			return nil, fmt.Errorf("invalid file name %q", f.Name)
		}
		text, err := readRegular(filepath.Join(dir, filepath.FromSlash(stored)), f.Size)
		if err != nil {
			return nil, err
		}
		files = append(files, file{name: f.Name, text: text})
	}
	return files, nil
}

// readRegular reads a regular file of at most limit octets.
func readRegular(path string, limit int64) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, path, limit)
}

// readIndex reads a JSON file.
func readIndex(path string, into any) error {
	text, err := readRegular(path, maxIndex)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// list returns the hashes of all stored sets, the newest first.
func (st *store) list() []string {
	entries, err := os.ReadDir(st.dir)
	if err != nil {
		return nil
	}
	stored := map[string]time.Time{}
	var shas []string
	for _, entry := range entries {
		if !fullSHA.MatchString(entry.Name()) {
			continue
		}
		m, _ := st.manifest(entry.Name()) // one without a manifest is the oldest
		stored[entry.Name()] = m.Stored
		shas = append(shas, entry.Name())
	}
	slices.SortStableFunc(shas, func(a, b string) int { return stored[b].Compare(stored[a]) })
	return shas
}

// minPrefix is how much of a hash must be given, so that nobody rolls back to an accident.
const minPrefix = 6

// find returns the hash of the stored set whose hash begins with prefix.
func (st *store) find(prefix string) (string, error) {
	prefix = strings.ToLower(strings.TrimSpace(prefix))
	if len(prefix) < minPrefix {
		return "", fmt.Errorf("%w: %q: give at least %d digits of its hash", ErrNotStored, prefix, minPrefix)
	}
	if _, err := os.ReadDir(st.dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("ruleset: state directory: %w", err)
	}
	var found []string
	for _, sha := range st.list() {
		if strings.HasPrefix(sha, prefix) {
			found = append(found, sha)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("%w: %q", ErrNotStored, prefix)
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%w: %q: %s", ErrAmbiguous, prefix, strings.Join(found, ", "))
}

// A state says which sets were in force.
type state struct {
	Format int      `json:"format"`
	Recent []string `json:"recent"`           // hashes, the newest first; the first one is in force
	Pinned string   `json:"pinned,omitempty"` // the set that a rollback has put into force, "" after a reload
}

// readState reads the state. Without one, the stored sets are the recent ones. The error says that there is one that
// cannot be read.
func (st *store) readState() (state, error) {
	var s state
	if err := st.trusted(); err != nil {
		return s, err
	}
	err := readIndex(filepath.Join(st.dir, stateName), &s)
	if err == nil && s.Format != storeFormat {
		err = fmt.Errorf("format %d is unknown", s.Format)
	}
	if err != nil {
		s = state{}
	}
	s.Recent = slices.DeleteFunc(s.Recent, func(sha string) bool { return !fullSHA.MatchString(sha) })
	for _, sha := range st.list() {
		if !slices.Contains(s.Recent, sha) {
			s.Recent = append(s.Recent, sha)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("ruleset: %s: %w", stateName, err)
	}
	return s, nil
}

// writeState replaces the state.
func (st *store) writeState(s state) error {
	if err := st.trusted(); err != nil {
		return err
	}
	s.Format = storeFormat
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	tmp := filepath.Join(st.dir, unfinished+stateName)
	if err := st.disk.WriteFile(tmp, append(text, '\n')); err != nil {
		return err
	}
	if err := st.disk.Rename(tmp, filepath.Join(st.dir, stateName)); err != nil {
		return err
	}
	return st.disk.SyncDir(st.dir)
}

// activated returns the state after a set got into force, with at most keep recent sets.
func (s state) activated(sha string, pinned bool, keep int) state {
	next := state{Recent: []string{sha}}
	for _, other := range s.Recent {
		if other != sha && len(next.Recent) < keep {
			next.Recent = append(next.Recent, other)
		}
	}
	if pinned {
		next.Pinned = sha
	}
	return next
}

// prune removes the stored sets that are not recent any more.
func (st *store) prune(s state) error {
	var failed error
	for _, sha := range st.list() {
		if !slices.Contains(s.Recent, sha) && sha != s.Pinned {
			failed = errors.Join(failed, st.remove(sha))
		}
	}
	return failed
}

// appendHistory adds a record. A last line that was torn off is ended first. A history that has become too long loses
// its older half.
func (st *store) appendHistory(r Record, limit int) error {
	if err := st.trusted(); err != nil {
		return err
	}
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	path := filepath.Join(st.dir, historyName)
	old, err := readTail(path, int64(limit)+1)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	if len(old)+len(line) > limit {
		return st.rewriteHistory(path, append(lastLines(old, limit/2), line...))
	}
	if len(old) > 0 && old[len(old)-1] != '\n' {
		line = append([]byte{'\n'}, line...)
	}
	return st.disk.Append(path, line)
}

// rewriteHistory replaces the history.
func (st *store) rewriteHistory(path string, text []byte) error {
	tmp := filepath.Join(st.dir, unfinished+historyName)
	if err := st.disk.WriteFile(tmp, text); err != nil {
		return err
	}
	if err := st.disk.Rename(tmp, path); err != nil {
		return err
	}
	return st.disk.SyncDir(st.dir)
}

// lastLines returns the last complete lines of a text, at most n octets.
func lastLines(text []byte, n int) []byte {
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	if len(text) <= n {
		return slices.Clone(text)
	}
	cut := text[len(text)-n:]
	return slices.Clone(cut[bytes.IndexByte(cut, '\n')+1:])
}

// readTail reads the last n octets of a file. A file that does not exist is empty.
func readTail(path string, n int64) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	from := max(info.Size()-n, 0)
	text := make([]byte, info.Size()-from)
	read, err := f.ReadAt(text, from)
	if read < len(text) {
		return nil, err
	}
	return text, nil
}

// history returns all records, the oldest first. Lines that cannot be read, such as one that was torn off, are skipped.
func (st *store) history(limit int) ([]Record, error) {
	text, err := readTail(filepath.Join(st.dir, historyName), int64(limit))
	if err != nil {
		return nil, fmt.Errorf("ruleset: history: %w", err)
	}
	var records []Record
	for line := range bytes.Lines(text) {
		var r Record
		if json.Unmarshal(line, &r) == nil && !r.Time.IsZero() {
			records = append(records, r)
		}
	}
	return records, nil
}
