package pseudonym

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// A clock is set by tests.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func newClock() *clock { return &clock{t: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)} }

// open opens a Namer that must work.
func open(t *testing.T, path string, c *clock) *Namer {
	t.Helper()
	n, err := Open(Options{Path: path, Rotation: 30 * 24 * time.Hour, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// refresh refreshes a Namer and says whether the key has changed.
func refresh(t *testing.T, n *Namer) bool {
	t.Helper()
	changed, err := n.Refresh()
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

// A known key gives known pseudonyms: the first 48 bits of HMAC-SHA256 over the address in lower case, as OpenSSL computes it.
func TestOf(t *testing.T) {
	k := &Key{secret: []byte("Jefe")}
	// RFC 4231 test case 2: HMAC-SHA256("Jefe", "what do ya want for nothing?") begins 5bdcc146bf60.
	if got := k.Of("What do ya want for nothing?"); got != "5bdcc146bf60" {
		t.Errorf("got %s", got)
	}
	if k.Of("") != "" || k.Of("a@example.com") == k.Of("b@example.com") || k.Of("A@Example.com") != k.Of("a@example.com") {
		t.Error("the empty address, another one, or another case")
	}
}

// The key is made once, with mode 0600, and is the same after a restart.
func TestFirstStart(t *testing.T) {
	path, c := filepath.Join(t.TempDir(), "state", "pseudonym.key"), newClock()
	n := open(t, path, c)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || !n.Kept() {
		t.Errorf("mode %v, %v, kept %v", info.Mode(), err, n.Kept())
	}
	name := n.Of("erika@example.com")
	if !regexp.MustCompile(`^[0-9a-f]{12}$`).MatchString(name) {
		t.Errorf("pseudonym %q", name)
	}
	if again := open(t, path, c); again.Of("erika@example.com") != name {
		t.Error("another pseudonym after a restart")
	}
	other := open(t, filepath.Join(t.TempDir(), "k"), c)
	if other.Of("erika@example.com") == name {
		t.Error("two keys give one pseudonym")
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 2 {
		t.Errorf("the directory has %v, %v: want the key and its lock", left, err)
	}
}

// The key is replaced at its age, while the daemon runs and when it starts, and the old one is nowhere any more.
func TestRotation(t *testing.T) {
	path, c := filepath.Join(t.TempDir(), "k"), newClock()
	n := open(t, path, c)
	first, old := n.Of("erika@example.com"), n.key.Load().secret
	inode, err := os.Open(path) // as a backup program or a colleague would hold it
	if err != nil {
		t.Fatal(err)
	}
	defer inode.Close()
	c.pass(30*24*time.Hour - time.Second)
	if refresh(t, n) || n.Of("erika@example.com") != first {
		t.Error("replaced too early")
	}
	c.pass(time.Second)
	if !refresh(t, n) || n.Of("erika@example.com") == first || !n.Created().Equal(c.now()) {
		t.Errorf("not replaced; created %v", n.Created())
	}
	text, err := os.ReadFile(path)
	if err != nil || bytes.Contains(text, []byte(fmt.Sprintf("%x", old))) {
		t.Errorf("the old key is in the file: %v", err)
	}
	erased := make([]byte, 200)
	if k, err := inode.Read(erased); err != nil || strings.Trim(string(erased[:k]), "\x00") != "" {
		t.Errorf("the old key was not destroyed: %q, %v", erased[:k], err)
	}
	second := n.Of("erika@example.com")
	c.pass(31 * 24 * time.Hour)
	if n := open(t, path, c); n.Of("erika@example.com") == second {
		t.Error("not replaced at the start")
	}
	c.pass(-90 * 24 * time.Hour) // a key from the future would live for months
	if n := open(t, path, c); !n.Created().Equal(c.now()) {
		t.Errorf("a key from the future is used: %v", n.Created())
	}
}

// Many daemons that start, rotate and refresh at the same time all end up with one key.
func TestSharedFile(t *testing.T) {
	path, c := filepath.Join(t.TempDir(), "k"), newClock()
	namers := make([]*Namer, 8)
	each := func(f func(i int)) {
		var wg sync.WaitGroup
		for i := range namers {
			wg.Go(func() { f(i) })
		}
		wg.Wait()
	}
	agree := func(when string) string {
		t.Helper()
		name := namers[0].Of("erika@example.com")
		for i, n := range namers {
			if n.Of("erika@example.com") != name {
				t.Errorf("%s: daemon %d has another key", when, i)
			}
		}
		return name
	}
	each(func(i int) {
		var err error
		if namers[i], err = Open(Options{Path: path, Rotation: time.Hour, Now: c.now}); err != nil {
			t.Error(err)
		}
	})
	last := agree("at the start")
	for range 5 {
		c.pass(time.Hour)
		each(func(i int) {
			if _, err := namers[i].Refresh(); err != nil {
				t.Error(err)
			}
		})
		if name := agree("after a rotation"); name == last {
			t.Error("not replaced")
		} else {
			last = name
		}
	}
}

// Processes of their own, not only goroutines, do not clobber each other: the test runs itself.
func TestSharedByProcesses(t *testing.T) {
	if path := os.Getenv("ASSAY_TEST_PSEUDONYM_KEY"); path != "" {
		n, err := Open(Options{Path: path, Rotation: time.Hour, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("pseudonym=%s\n", n.Of("erika@example.com"))
		return
	}
	path := filepath.Join(t.TempDir(), "k")
	names := make([]string, 6)
	var wg sync.WaitGroup
	for i := range names {
		wg.Go(func() {
			cmd := exec.Command(os.Args[0], "-test.run=^TestSharedByProcesses$")
			cmd.Env = append(os.Environ(), "ASSAY_TEST_PSEUDONYM_KEY="+path)
			out, err := cmd.CombinedOutput()
			if m := regexp.MustCompile(`pseudonym=(\w+)`).FindSubmatch(out); m != nil && err == nil {
				names[i] = string(m[1])
			} else {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	wg.Wait()
	for _, name := range names {
		if name == "" || name != names[0] {
			t.Fatalf("pseudonyms differ: %v", names)
		}
	}
}

// Whoever removes the file, or puts another one there, replaces the key of a running daemon.
func TestFileReplaced(t *testing.T) {
	path, c := filepath.Join(t.TempDir(), "k"), newClock()
	n := open(t, path, c)
	first := n.Of("erika@example.com")
	if refresh(t, n) {
		t.Error("changed without a cause")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if !refresh(t, n) || n.Of("erika@example.com") == first {
		t.Error("the key lives on in memory after its file was removed")
	}
	if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if second := n.Of("erika@example.com"); !refresh(t, n) || n.Of("erika@example.com") == second {
		t.Error("a damaged file was not replaced")
	}
}

// Without a usable file the log still has pseudonyms, the error says what to do, and the key grows no older than it may.
func TestWithoutFile(t *testing.T) {
	open := filepath.Join(t.TempDir(), "open")
	if err := os.WriteFile(open, newKey(time.Now()).format(), 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(open, link); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{open: "chmod 600", link: "symbolic link", filepath.Join(file, "k"): "not a directory"} {
		c := newClock()
		n, err := Open(Options{Path: path, Rotation: time.Hour, Now: c.now})
		if err == nil || !strings.Contains(err.Error(), want) && !strings.Contains(err.Error(), "too many levels") {
			t.Errorf("%s: %v, want %q in it", path, err, want)
		}
		first := n.Of("erika@example.com")
		if _, err := n.Refresh(); err == nil || n.Of("erika@example.com") != first || n.Kept() || first == "" {
			t.Errorf("%s: the key in memory does not last: %v", path, err)
		}
		c.pass(time.Hour)
		if changed, err := n.Refresh(); err == nil || !changed || n.Of("erika@example.com") == first {
			t.Errorf("%s: the key in memory was not replaced: %v", path, err)
		}
	}
	c := newClock()
	n, err := Open(Options{Rotation: time.Hour, Now: c.now})
	if err != nil || n.Kept() {
		t.Fatal(err)
	}
	first := n.Of("x@example.com")
	if c.pass(time.Hour); !refresh(t, n) || n.Of("x@example.com") == first {
		t.Error("a key that is only in memory was not replaced")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(newKey(time.Unix(1_800_000_000, 0)).format())
	f.Add([]byte(magic + "\ncreated x\nkey y\n"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := parse(text)
		if err != nil {
			if !errors.Is(err, errFormat) {
				t.Errorf("%v", err)
			}
			return
		}
		again, err := parse(k.format())
		if err != nil || !again.equal(k) || !again.created.Equal(k.created) {
			t.Errorf("%q is read as %v, written and read as %v, %v", text, k, again, err)
		}
	})
}

func BenchmarkOf(b *testing.B) {
	k := newKey(time.Unix(0, 0))
	b.ReportAllocs()
	for b.Loop() {
		k.Of("erika.mustermann@example.com")
	}
}
