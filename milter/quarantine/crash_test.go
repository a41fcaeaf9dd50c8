package quarantine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"assay/rules"
)

// A test that is killed runs this program again, as a process that stores messages until it is killed, or on a disk that is full.
func TestMain(m *testing.M) {
	switch dir := os.Getenv("ASSAY_QUARANTINE_CHILD"); {
	case dir == "":
		os.Exit(m.Run())
	case os.Getenv("ASSAY_QUARANTINE_LIMIT") != "":
		os.Exit(fillUp(dir))
	default:
		os.Exit(storeForEver(dir, os.Getenv("ASSAY_QUARANTINE_RUN")))
	}
}

// unique is the message of a number.
func unique(name string) text {
	return text("From: a@example.net\r\nSubject: " + name + "\r\n\r\n" + strings.Repeat(name+"\r\n", 200))
}

// storeForEver stores messages, and prints the name of each when it may be acknowledged.
func storeForEver(dir, run string) int {
	s := New(Options{Dir: dir, Create: true})
	if _, err := s.Open(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for i := 0; ; i++ {
		name := fmt.Sprintf("%s-%d", run, i)
		e := Entry{Received: time.Now(), RcptTo: []string{"b@example.com"}, Class: rules.ReleaseUser}
		id, err := s.Keep(context.Background(), unique(name), e)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Printf("%s %s\n", name, id)
		if i%7 == 6 {
			if err := s.Delete(context.Background(), id, "child", "test"); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			fmt.Printf("-%s %s\n", name, id)
		}
	}
}

// stored runs a process that is killed after a time, and adds what it has acknowledged to acked.
func stored(t *testing.T, dir, run string, life time.Duration, acked map[string]string) {
	t.Helper()
	child := exec.Command("/proc/self/exe")
	child.Env = append(os.Environ(), "ASSAY_QUARANTINE_CHILD="+dir, "ASSAY_QUARANTINE_RUN="+run)
	var said strings.Builder
	child.Stderr = &said
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(life, func() { _ = child.Process.Kill() })
	defer timer.Stop()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		name, id, whole := strings.Cut(lines.Text(), " ")
		switch rest, deleted := strings.CutPrefix(name, "-"); {
		case deleted:
			delete(acked, rest)
		case whole && ValidID(id):
			acked[name] = id
		}
	}
	_ = child.Wait()
	if said.Len() > 0 {
		t.Fatalf("the process says: %s", said.String())
	}
}

// TestKilledAtAnyPoint: what was acknowledged is there, octet for octet, whenever the process is killed; the index has exactly
// what files have; and nothing that was deleted comes back.
func TestKilledAtAnyPoint(t *testing.T) {
	kills := 200
	if testing.Short() {
		kills = 10
	}
	dir := filepath.Join(t.TempDir(), "q")
	acked := map[string]string{}
	random := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	for run := range kills {
		before := len(acked)
		life := 20*time.Millisecond + time.Duration(random.IntN(100_000))*time.Microsecond
		stored(t, dir, fmt.Sprint(run), life, acked)
		if run%20 != 19 && run != kills-1 {
			continue
		}
		s := New(Options{Dir: dir})
		if _, err := s.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		r, err := s.Check(t.Context(), true)
		if err != nil || len(r.Adopted)+len(r.Lost)+len(r.Damaged) > 0 {
			t.Fatalf("after %d kills, %d messages before: %+v, %v", run+1, before, r, err)
		}
		for name, id := range acked {
			if e, err := s.Find(t.Context(), id); errors.Is(err, ErrNotFound) && deleting(s, id) {
				delete(acked, name) // killed between the deletion and its acknowledgement
			} else if err != nil || e.State != Held {
				t.Fatalf("%s (%s) was acknowledged and is lost: %v", name, id, err)
			} else if got := octets(t, s, id); got != string(unique(name)) {
				t.Fatalf("%s is not what it was", name)
			}
		}
		if spare := r.Entries - len(acked); spare < 0 || spare > run+1 {
			t.Fatalf("%d entries of %d acknowledged messages after %d kills", r.Entries, len(acked), run+1)
		}
		_ = s.Close()
	}
	if len(acked) < kills/4 {
		t.Errorf("only %d messages were acknowledged in %d runs: the test proves little", len(acked), kills)
	}
	t.Logf("%d kills, %d messages acknowledged, none lost", kills, len(acked))
}

// deleting reports whether the audit log knows of the deletion of an entry.
func deleting(s *Store, id string) bool {
	log, err := s.audits()
	return err == nil && slices.ContainsFunc(log, func(a Audit) bool { return a.ID == id && a.Action == ActionDelete })
}

// fillUp stores messages until a limit of the size of files is hit, and says what happens then.
func fillUp(dir string) int {
	s := New(Options{Dir: dir})
	e := Entry{Received: time.Now(), RcptTo: []string{"b@example.com"}, Class: rules.ReleaseUser}
	if _, err := s.Keep(context.Background(), unique("small"), e); err != nil {
		fmt.Println("small:", err)
	}
	limit := uint64(64 << 10)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
		fmt.Println(err)
	}
	if _, err := s.Keep(context.Background(), text("Subject: large\r\n\r\n"+strings.Repeat("x", 1<<20)), e); err == nil || !errors.Is(err, syscall.EFBIG) {
		fmt.Println("large:", err)
	}
	return 0
}

func TestMessageThatDoesNotFitOnTheDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "q")
	s := open(t, dir)
	if _, err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	child := exec.Command("/proc/self/exe")
	child.Env = append(os.Environ(), "ASSAY_QUARANTINE_CHILD="+dir, "ASSAY_QUARANTINE_LIMIT=1")
	if out, err := child.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%v: %s", err, out)
	}
	r, err := s.Check(t.Context(), true)
	if err != nil || r.Entries != 1 || r.Changed() {
		t.Errorf("%+v, %v", r, err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, tempDir)); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestDiskFull fills a small file system.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("NOT RUN: only root may mount (%v); TestMessageThatDoesNotFitOnTheDisk is the same with a limit", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	s := open(t, filepath.Join(dir, "q"))
	var acked []string
	var failed error
	for i := range 2000 {
		id, err := s.Keep(t.Context(), unique(fmt.Sprint("full-", i)), entry())
		if err != nil {
			failed = err
			break
		}
		acked = append(acked, id)
	}
	if !errors.Is(failed, syscall.ENOSPC) && (failed == nil || !strings.Contains(failed.Error(), "full")) {
		t.Fatalf("after %d messages: %v", len(acked), failed)
	}
	for _, id := range acked {
		if got := octets(t, s, id); !strings.HasPrefix(got, "From: ") {
			t.Errorf("%s: %.20q", id, got)
		}
	}
	if err := unix.Mount("none", dir, "tmpfs", unix.MS_REMOUNT, "size=16m"); err != nil { // somebody makes room
		t.Fatal(err)
	}
	if _, err := s.Keep(t.Context(), unique("fits again"), entry()); err != nil {
		t.Errorf("there is room again: %v", err)
	}
	if r, err := s.Check(t.Context(), true); err != nil || r.Changed() {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestReadOnlyDirectory: root writes where nobody may, so the directories are in a file system that is mounted for reading.
func TestReadOnlyDirectory(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "q"))
	id := keep(t, s, sample, nil)
	_ = s.closeIndex()
	if os.Geteuid() == 0 {
		if err := errors.Join(unix.Mount(dir, dir, "", unix.MS_BIND, ""), unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")); err != nil {
			t.Skipf("NOT RUN: only root may mount, and not here (%v)", err)
		}
		defer unix.Unmount(dir, unix.MNT_DETACH)
	} else {
		for _, d := range []string{filepath.Join(dir, "q", tempDir), filepath.Join(dir, "q")} {
			if err := os.Chmod(d, 0o500); err != nil {
				t.Fatal(err)
			}
			defer os.Chmod(d, 0o700)
		}
	}
	if _, err := s.Keep(t.Context(), text(sample+"2"), entry()); err == nil {
		t.Error("something was stored where nothing can be written")
	}
	if got := octets(t, s, id); got != sample {
		t.Errorf("got %q", got)
	}
}

// TestBrokenIndex: a message is not acknowledged that nobody would find.
func TestBrokenIndex(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	keep(t, s, sample, nil)
	_ = s.closeIndex()
	if err := os.WriteFile(filepath.Join(dir, indexFile), []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Keep(t.Context(), text(sample+"2"), entry()); err == nil {
		t.Error("stored with a broken index")
	}
	if files, err := s.ids(); err != nil || len(files) != 1 {
		t.Errorf("%v, %v", files, err)
	}
	if r, err := s.Rebuild(t.Context()); err != nil || r.Entries != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	keep(t, s, sample+"2", nil)
}
