package ruletest

import (
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"
)

// A memory is a directory of files whose content is known, by path.
type memory map[string][]byte

// Open implements fs.FS.
func (m memory) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if text, ok := m[name]; ok {
		return &memoryFile{entry: entry{name: name, size: int64(len(text))}, Reader: strings.NewReader(string(text))}, nil
	}
	if children := m.children(name); len(children) > 0 || name == "." {
		return &memoryDir{entry: entry{name: name, dir: true}, rest: children}, nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// children lists a directory.
func (m memory) children(dir string) []fs.DirEntry {
	found := map[string]entry{}
	for name, text := range m {
		rest, below := name, true
		if dir != "." {
			rest, below = strings.CutPrefix(name, dir+"/")
		}
		if !below {
			continue
		}
		if first, _, deeper := strings.Cut(rest, "/"); deeper {
			found[first] = entry{name: first, dir: true}
		} else {
			found[first] = entry{name: first, size: int64(len(text))}
		}
	}
	list := make([]fs.DirEntry, 0, len(found))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		list = append(list, fs.FileInfoToDirEntry(found[name]))
	}
	return list
}

// An entry is a file or directory; it implements fs.FileInfo.
type entry struct {
	name string
	size int64
	dir  bool
}

func (e entry) Name() string       { return e.name[strings.LastIndexByte(e.name, '/')+1:] }
func (e entry) Size() int64        { return e.size }
func (e entry) ModTime() time.Time { return time.Time{} }
func (e entry) IsDir() bool        { return e.dir }
func (e entry) Sys() any           { return nil }

func (e entry) Mode() fs.FileMode {
	if e.dir {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

// A memoryFile is an open file.
type memoryFile struct {
	entry
	*strings.Reader
}

func (f *memoryFile) Stat() (fs.FileInfo, error) { return f.entry, nil }
func (f *memoryFile) Size() int64                { return f.entry.size }
func (f *memoryFile) Close() error               { return nil }

// A memoryDir is an open directory.
type memoryDir struct {
	entry
	rest []fs.DirEntry
}

func (d *memoryDir) Stat() (fs.FileInfo, error) { return d.entry, nil }
func (d *memoryDir) Close() error               { return nil }

func (d *memoryDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: fs.ErrInvalid}
}

// ReadDir implements fs.ReadDirFile.
func (d *memoryDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 {
		n = len(d.rest)
	} else if len(d.rest) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.rest))
	out := d.rest[:n]
	d.rest = d.rest[n:]
	return out, nil
}
