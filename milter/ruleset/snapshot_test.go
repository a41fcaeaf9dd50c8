package ruleset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"assay/rules"
)

// atOnce believes directories without waiting.
var atOnce = Limits{Settle: -1}

// write makes files below a directory; names that end in "/" are directories.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// names returns the files of a snapshot, sources by their numbers.
func (s *Snapshot) names() string {
	var all []string
	for i, d := range s.dirs {
		for _, f := range d.files {
			all = append(all, fmt.Sprintf("%d/%s", i, f.name))
		}
	}
	return strings.Join(all, " ")
}

func TestReadTakesEverything(t *testing.T) {
	vendor, local := t.TempDir(), t.TempDir()
	write(t, vendor, map[string]string{"10-a.yaml": "a", "10-a_test.yaml": "t", "testdata/x.eml": "mail\r\n\x00", "testdata/deep/z.zone": "z", "README": "r"})
	write(t, local, map[string]string{
		"90-b.yaml": "b", "lists/vips.txt": "v", "empty.yaml": "", ".git/config": "g", "90-b.yaml~": "old", ".90-b.yaml.swp": "s",
		"90-b.yaml.dpkg-old": "d", "#90-b.yaml#": "e",
	})
	s, err := Read(t.Context(), []rules.Source{Directory(vendor), Directory(local)}, atOnce)
	if err != nil {
		t.Fatal(err)
	}
	if want := "0/10-a.yaml 0/10-a_test.yaml 0/README 0/testdata/deep/z.zone 0/testdata/x.eml 1/90-b.yaml 1/empty.yaml 1/lists/vips.txt"; s.names() != want {
		t.Errorf("files = %s\nwant    %s", s.names(), want)
	}
	sources := s.Sources()
	if sources[0].Name != vendor || sources[1].Name != local {
		t.Errorf("sources = %v", sources)
	}
	if err := fstest.TestFS(sources[0].Files, "10-a.yaml", "testdata/x.eml", "testdata/deep/z.zone"); err != nil {
		t.Error(err)
	}
	if text, err := fs.ReadFile(sources[0].Files, "testdata/x.eml"); err != nil || string(text) != "mail\r\n\x00" {
		t.Errorf("content = %q, %v", text, err)
	}
	before := s.digest()
	write(t, local, map[string]string{"90-b.yaml": "changed"})
	if s.digest() != before {
		t.Error("a snapshot changes with its directory")
	}
}

func TestDigestTellsSnapshotsApart(t *testing.T) {
	same := func(files ...file) *Snapshot { return &Snapshot{dirs: []dir{{name: "d", files: files}}} }
	all := map[string]*Snapshot{
		"one":       same(file{name: "a", text: []byte("bc")}),
		"shifted":   same(file{name: "ab", text: []byte("c")}),
		"two":       same(file{name: "a", text: []byte("b")}, file{name: "c", text: nil}),
		"two dirs":  {dirs: []dir{{name: "d", files: []file{{name: "a", text: []byte("b")}}}, {files: []file{{name: "c"}}}}},
		"list":      {dirs: []dir{{name: "d"}}, lists: []file{{name: "a", text: []byte("bc")}}},
		"forged":    same(file{name: "a", text: []byte("bfile 1 0\nc")}),
		"elsewhere": {dirs: []dir{{name: "e", files: []file{{name: "a", text: []byte("bc")}}}}},
	}
	seen := map[string]string{}
	for name, s := range all {
		if other, ok := seen[s.digest()]; ok {
			t.Errorf("%s and %s have the same digest", name, other)
		}
		seen[s.digest()] = name
	}
}

// A configuration volume of Kubernetes: what is visible are links into a hidden directory.
func TestReadFollowsSymbolicLinks(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	write(t, dir, map[string]string{"..2026_11_22/10-a.yaml": "a"})
	write(t, elsewhere, map[string]string{"x.eml": "x", "20-b.yaml": "b"})
	for name, target := range map[string]string{
		"..data": "..2026_11_22", "10-a.yaml": "..data/10-a.yaml", "testdata": elsewhere, "20-b.yaml": filepath.Join(elsewhere, "20-b.yaml"),
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Read(t.Context(), []rules.Source{Directory(dir)}, atOnce)
	if err != nil || s.names() != "0/10-a.yaml 0/20-b.yaml 0/testdata/20-b.yaml 0/testdata/x.eml" {
		t.Errorf("files = %v, %v", s, err)
	}
}

func TestReadRefuses(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(t *testing.T, dir string)
		limits  Limits
		want    string
	}{
		{"a missing directory", func(t *testing.T, dir string) { os.RemoveAll(dir) }, Limits{}, "no such file or directory"},
		{"a dangling link", func(t *testing.T, dir string) { os.Symlink("nowhere", filepath.Join(dir, "x.yaml")) }, Limits{}, "x.yaml: no such file"},
		{"a loop", func(t *testing.T, dir string) { os.Symlink(".", filepath.Join(dir, "loop")) }, Limits{}, "is a symbolic link leading in a circle?"},
		{"a pipe", func(t *testing.T, dir string) { syscall.Mkfifo(filepath.Join(dir, "p.yaml"), 0o600) }, Limits{}, "p.yaml is not a regular file"},
		{"a device", func(t *testing.T, dir string) { os.Symlink("/dev/zero", filepath.Join(dir, "z.yaml")) }, Limits{}, "z.yaml is not a regular file"},
		{"too many files", func(t *testing.T, dir string) { write(t, dir, map[string]string{"b.yaml": "", "c.yaml": ""}) }, Limits{Files: 2}, "more than 2 files"},
		{"a large file", func(t *testing.T, dir string) { write(t, dir, map[string]string{"b.yaml": "12345"}) }, Limits{FileSize: 4}, "b.yaml has more than 4 octets"},
		{"too much", func(t *testing.T, dir string) { write(t, dir, map[string]string{"b.yaml": "12345"}) }, Limits{Size: 5}, "together have more than 5 octets"},
		{"deep", func(t *testing.T, dir string) { write(t, dir, map[string]string{"a/b/c/d": ""}) }, Limits{Depth: 2}, "deeper than 2 directories"},
		{"no rules", func(t *testing.T, dir string) {
			os.Rename(filepath.Join(dir, "a.yaml"), filepath.Join(dir, "a_test.yaml"))
		}, Limits{}, "no rule file"},
		{"a name that is no text", func(t *testing.T, dir string) { os.WriteFile(filepath.Join(dir, "\xff.yaml"), nil, 0o600) }, Limits{}, "not valid UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "rules.d")
			write(t, dir, map[string]string{"a.yaml": "a"})
			tt.prepare(t, dir)
			tt.limits.Settle = -1
			_, err := Read(t.Context(), []rules.Source{Directory(dir)}, tt.limits)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("error = %v, want %q and the directory in it", err, tt.want)
			}
		})
	}
}

func TestReadSaysWhatCannotBeRead(t *testing.T) {
	files := failingFS{fstest.MapFS{"a.yaml": {}, "b.yaml": {}}, "b.yaml"}
	_, err := Read(t.Context(), []rules.Source{{Name: "/etc/assay/rules.d", Files: files}}, atOnce)
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "/etc/assay/rules.d: open b.yaml") {
		t.Errorf("error = %v", err)
	}
}

// A failingFS has a file that may not be read.
type failingFS struct {
	fstest.MapFS
	name string
}

func (f failingFS) Open(name string) (fs.File, error) {
	if name == f.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return f.MapFS.Open(name)
}

// Stat implements fs.StatFS.
func (f failingFS) Stat(name string) (fs.FileInfo, error) { return f.MapFS.Stat(name) }

// A copying directory gets one file after the other.
type copying struct {
	began time.Time
	every time.Duration
	files int
}

func (c copying) Open(name string) (fs.File, error) { return c.now().Open(name) }

// now returns the directory as it is at this time.
func (c copying) now() fstest.MapFS {
	present := fstest.MapFS{}
	at := c.began
	for i := range c.files {
		if next := c.began.Add(time.Duration(i) * c.every); !next.After(time.Now()) {
			at = next
			present[fmt.Sprintf("%02d.yaml", i)] = &fstest.MapFile{Data: fmt.Append(nil, i), ModTime: at}
		}
	}
	present["."] = &fstest.MapFile{Mode: fs.ModeDir | 0o755, ModTime: at}
	return present
}

// A directory that is being copied is complete when it is believed.
func TestHalfCopiedDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := copying{began: time.Now(), every: 300 * time.Millisecond, files: 20}
		s, err := Read(t.Context(), []rules.Source{{Name: "d", Files: c}}, Limits{})
		if err != nil || len(s.dirs[0].files) != 20 {
			t.Fatalf("files = %v, %v", s, err)
		}
		if took := time.Since(c.began); took < 6*time.Second || took > 8*time.Second {
			t.Errorf("it took %v", took)
		}
		began := time.Now()
		if _, err := Read(t.Context(), []rules.Source{{Name: "d", Files: c}}, Limits{}); err != nil || time.Since(began) != 0 {
			t.Errorf("a directory that holds still costs %v, %v", time.Since(began), err)
		}
	})
}

func TestPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := copying{began: time.Now(), every: 300 * time.Millisecond, files: 1000}
		_, err := Read(t.Context(), []rules.Source{{Name: "d", Files: c}}, Limits{})
		if !errors.Is(err, ErrChanged) {
			t.Errorf("error = %v", err)
		}
		if took := time.Since(c.began); took < 10*time.Second || took > 12*time.Second {
			t.Errorf("it took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if _, err := Read(ctx, []rules.Source{{Name: "d", Files: c}}, Limits{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error = %v", err)
		}
	})
}

// Between two readings a file changes and keeps its time and size: the content tells.
func TestContentIsCompared(t *testing.T) {
	reads := 0
	files := countingFS{fstest.MapFS{"a.yaml": {}}, &reads}
	_, err := Read(t.Context(), []rules.Source{{Files: files}}, Limits{Settle: -1, Patience: time.Nanosecond})
	if !errors.Is(err, ErrChanged) || reads != 2 {
		t.Errorf("after %d readings: %v", reads, err)
	}
}

// A countingFS holds a file that is another one with each reading.
type countingFS struct {
	fstest.MapFS
	reads *int
}

func (c countingFS) Open(name string) (fs.File, error) {
	if name == "a.yaml" {
		*c.reads++
		return fstest.MapFS{name: {Data: fmt.Append(nil, *c.reads%10)}}.Open(name)
	}
	return c.MapFS.Open(name)
}

func TestOptionalDirectory(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"a.yaml": "a"})
	missing := filepath.Join(t.TempDir(), "missing")
	s, err := Read(t.Context(), []rules.Source{Directory(dir), OptionalDirectory(missing)}, atOnce)
	if err != nil || s.names() != "0/a.yaml" || !s.dirs[1].missing {
		t.Fatalf("files = %v, %v", s, err)
	}
	if err := fstest.TestFS(s.Sources()[1].Files); err != nil {
		t.Error(err)
	}
	write(t, missing, map[string]string{"b.yaml": "b"})
	if s, err = Read(t.Context(), []rules.Source{Directory(dir), OptionalDirectory(missing)}, atOnce); err != nil || s.names() != "0/a.yaml 1/b.yaml" {
		t.Errorf("files = %v, %v", s, err)
	}
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"list": "x\n"})
	if text, err := ReadFile(filepath.Join(dir, "list")); err != nil || string(text) != "x\n" {
		t.Errorf("%q, %v", text, err)
	}
	for _, name := range []string{dir, "/dev/zero", filepath.Join(dir, "none")} {
		if _, err := ReadFile(name); err == nil {
			t.Errorf("%s can be read", name)
		}
	}
}
