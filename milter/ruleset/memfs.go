package ruleset

import (
	"bytes"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// A memFS is a directory in memory. It is built once and only read afterwards.
type memFS map[string]*memNode

// A memNode is one file or directory. It is its own fs.FileInfo and fs.DirEntry.
type memNode struct {
	name     string // base name
	text     []byte
	children []fs.DirEntry // of a directory, by name
	dir      bool
}

// InMemory returns a directory of files that exist only in memory, by their names.
func InMemory(texts map[string]string) fs.FS {
	var files []file
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		files = append(files, file{name: name, text: []byte(texts[name])})
	}
	return newMemFS(files)
}

// newMemFS makes a directory of files.
func newMemFS(files []file) memFS {
	m := memFS{".": {name: ".", dir: true}}
	for _, f := range files {
		m.add(f.name, &memNode{name: path.Base(f.name), text: f.text})
	}
	for _, n := range m {
		slices.SortFunc(n.children, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	}
	return m
}

// add enters a node and the directories that lead to it.
func (m memFS) add(name string, n *memNode) {
	if m[name] != nil {
		return
	}
	m[name] = n
	parent := path.Dir(name)
	m.add(parent, &memNode{name: path.Base(parent), dir: true})
	m[parent].children = append(m[parent].children, n)
}

// Open implements fs.FS.
func (m memFS) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	n := m[name]
	if n == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if n.dir {
		return &memDir{node: n, path: name}, nil
	}
	return &memFile{node: n, Reader: bytes.NewReader(n.text)}, nil
}

// The methods of fs.FileInfo and fs.DirEntry.
func (n *memNode) Name() string               { return n.name }
func (n *memNode) Size() int64                { return int64(len(n.text)) }
func (n *memNode) ModTime() time.Time         { return time.Time{} }
func (n *memNode) IsDir() bool                { return n.dir }
func (n *memNode) Sys() any                   { return nil }
func (n *memNode) Type() fs.FileMode          { return n.Mode().Type() }
func (n *memNode) Info() (fs.FileInfo, error) { return n, nil }

// Mode implements fs.FileInfo.
func (n *memNode) Mode() fs.FileMode {
	if n.dir {
		return fs.ModeDir | 0o500
	}
	return 0o400
}

// A memFile is an open file.
type memFile struct {
	*bytes.Reader
	node *memNode
}

// Stat implements fs.File.
func (f *memFile) Stat() (fs.FileInfo, error) { return f.node, nil }

// Close implements fs.File.
func (f *memFile) Close() error { return nil }

// A memDir is an open directory.
type memDir struct {
	node *memNode
	path string
	read int // how many entries were read
}

// Stat implements fs.File.
func (d *memDir) Stat() (fs.FileInfo, error) { return d.node, nil }

// Close implements fs.File.
func (d *memDir) Close() error { return nil }

// Read implements fs.File.
func (d *memDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.path, Err: fs.ErrInvalid}
}

// ReadDir implements fs.ReadDirFile.
func (d *memDir) ReadDir(n int) ([]fs.DirEntry, error) {
	rest := d.node.children[d.read:]
	if n > 0 {
		if len(rest) == 0 {
			return nil, io.EOF
		}
		rest = rest[:min(n, len(rest))]
	}
	d.read += len(rest)
	return slices.Clone(rest), nil
}
