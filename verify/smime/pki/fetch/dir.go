package fetch

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// defaultSize bounds a Dir.
const defaultSize = 256 << 20

// A Dir keeps answers in a directory, one file each, named by the hash of its key. It implements pki.Cache: what cannot
// be written is not kept, what cannot be read is not there. Files appear at once or not at all. When there is more than
// its size, those that were written longest ago are removed. The directory must belong to it alone, and nobody else
// should be able to write to it.
type Dir struct {
	path string
	size int64

	mu    sync.Mutex
	total int64
}

// OpenDir opens the cache at path, which is made if it is not there. It holds up to size octets; 0 means 256 MB.
func OpenDir(path string, size int64) (*Dir, error) {
	if size <= 0 {
		size = defaultSize
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	d := &Dir{path: path, size: size}
	files, err := d.files()
	for _, f := range files {
		d.total += f.size
	}
	return d, err
}

// Get returns what was kept for a key.
func (d *Dir) Get(key string) ([]byte, bool) {
	data, err := os.ReadFile(d.name(key))
	return data, err == nil
}

// Put keeps data for a key. What is larger than a quarter of the whole is not kept.
func (d *Dir) Put(key string, data []byte) {
	if int64(len(data)) > d.size/4 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	name := d.name(key)
	var old int64
	if info, err := os.Stat(name); err == nil {
		old = info.Size()
	}
	if d.total+int64(len(data))-old > d.size {
		d.evict(d.size*3/4 - int64(len(data)))
		old = 0
		if info, err := os.Stat(name); err == nil {
			old = info.Size()
		}
	}
	if d.write(name, data) == nil {
		d.total += int64(len(data)) - old
	}
}

func (d *Dir) write(name string, data []byte) error {
	f, err := os.CreateTemp(d.path, temporary+"*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

const (
	temporary = ".new-"
	suffix    = ".cache"
)

func (d *Dir) name(key string) string {
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(d.path, hex.EncodeToString(sum[:])+suffix)
}

type file struct {
	name string
	size int64
	time time.Time
}

// files lists what is kept, and removes what an interrupted write left behind.
func (d *Dir) files() ([]file, error) {
	entries, err := os.ReadDir(d.path)
	var files []file
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case err != nil || !info.Mode().IsRegular():
		case strings.HasPrefix(e.Name(), temporary):
			os.Remove(filepath.Join(d.path, e.Name()))
		case strings.HasSuffix(e.Name(), suffix):
			files = append(files, file{filepath.Join(d.path, e.Name()), info.Size(), info.ModTime()})
		}
	}
	return files, err
}

// evict removes the oldest files until no more than size octets are left.
func (d *Dir) evict(size int64) {
	files, err := d.files()
	if err != nil {
		return
	}
	slices.SortFunc(files, func(a, b file) int { return a.time.Compare(b.time) })
	d.total = 0
	for _, f := range files {
		d.total += f.size
	}
	for _, f := range files {
		if d.total <= size {
			return
		}
		if err := os.Remove(f.name); err == nil || errors.Is(err, fs.ErrNotExist) {
			d.total -= f.size
		}
	}
}
