package store

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"assay/verify/dmarc/report"
)

// A test that is killed runs this program again, as a process that adds and sends until it is killed, or on a disk that is full.
func TestMain(m *testing.M) {
	path := os.Getenv("ASSAY_STORE_CHILD")
	if path == "" {
		os.Exit(m.Run())
	}
	work := fillUp
	if os.Getenv("ASSAY_STORE_LIMIT") == "" {
		work = addForEver
	}
	if err := work(path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// perFlush is how many messages a child adds before it writes them.
const perFlush = 10

// addForEver adds messages, says how many are on the disk, and sends a report with each write.
func addForEver(path string) error {
	run, err := strconv.Atoi(os.Getenv("ASSAY_STORE_RUN"))
	if err != nil {
		return err
	}
	now := tomorrow.Add(time.Duration(run) * 2 * lease) // the lock of the one before has ended
	s, err := Open(context.Background(), Options{Path: path, Now: func() time.Time { return now }, Interval: 3 * time.Millisecond,
		Observe: func(err error) {
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}})
	if err != nil {
		return err
	}
	l, err := s.Lock(context.Background(), "child")
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		for n := range perFlush {
			s.Add(now, row("kept.example", run*1000+n%7))
		}
		domain := fmt.Sprintf("d%d-%d.example", run, i)
		s.Add(noon, row(domain, 1))
		if err := s.Flush(context.Background()); err != nil {
			return err
		}
		fmt.Printf("added %d\n", (i+1)*perFlush)
		if err := sendNext(s, l); err != nil {
			return err
		}
	}
}

// sendNext hands one report over.
func sendNext(s *Store, l *Sender) error {
	ctx := context.Background()
	all, err := s.Pending(ctx, tomorrow)
	if err != nil || len(all) == 0 {
		return err
	}
	p := all[rand.IntN(len(all))]
	ds, err := l.Seal(ctx, Report{p.Domain, p.Period, fmt.Sprintf("%s-%d", p.Domain, os.Getpid()), []string{"a@" + p.Domain}})
	if err != nil {
		return err
	}
	d, err := l.Begin(ctx, ds[0])
	if err != nil {
		return err
	}
	fmt.Printf("handed %s %s\n", d.Domain, d.ReportID)
	if err := l.Finish(ctx, d, Outcome{State: Sent}); err != nil {
		return err
	}
	fmt.Printf("sent %s %s\n", d.Domain, d.ReportID)
	return nil
}

// A witness has heard what children said before they were killed.
type witness struct {
	added  int64             // messages whose writing was acknowledged
	handed map[string]string // domain to report id
	sent   map[string]bool
	twice  int
}

// child runs a process that is killed some time after it has said a word.
func (w *witness) child(t *testing.T, path string, run int, word string) {
	t.Helper()
	child := exec.Command("/proc/self/exe")
	child.Env = append(os.Environ(), "ASSAY_STORE_CHILD="+path, "ASSAY_STORE_RUN="+strconv.Itoa(run))
	var said strings.Builder
	child.Stderr = &said
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	added, lines, killer := int64(0), bufio.NewScanner(out), (*time.Timer)(nil)
	for lines.Scan() {
		if killer == nil && strings.HasPrefix(lines.Text(), word) {
			life := time.Duration(rand.IntN(50_000)) * time.Microsecond
			killer = time.AfterFunc(life, func() { _ = child.Process.Kill() })
			defer killer.Stop()
		}
		w.line(t, strings.Fields(lines.Text()), &added)
	}
	_ = child.Wait()
	if w.added += added; said.Len() > 0 {
		t.Fatalf("the process says: %s", said.String())
	}
}

// line is one line of a child.
func (w *witness) line(t *testing.T, words []string, added *int64) {
	switch {
	case len(words) == 2 && words[0] == "added":
		*added, _ = strconv.ParseInt(words[1], 10, 64)
	case len(words) == 3 && words[0] == "handed":
		if w.sent[words[1]] {
			t.Errorf("the report about %s was sent, and is handed over again", words[1])
		}
		if id := w.handed[words[1]]; id != "" && id != words[2] {
			t.Errorf("the report about %s was %s, and is now %s", words[1], id, words[2])
		} else if id != "" {
			w.twice++
		}
		w.handed[words[1]] = words[2]
	case len(words) == 3 && words[0] == "sent":
		w.sent[words[1]] = true
	}
}

// TestKilledAtAnyPoint: whenever the process is killed, what was written is there and was counted once, and a report that was
// noted as sent is never sent again; one that was perhaps sent is sent again with the same id.
func TestKilledAtAnyPoint(t *testing.T) {
	kills := 30
	if testing.Short() {
		kills = 5
	}
	path := filepath.Join(t.TempDir(), "rows.db")
	w := &witness{handed: map[string]string{}, sent: map[string]bool{}}
	for run := range kills {
		w.child(t, path, run, []string{"added", "handed", "sent"}[run%3])
	}
	s, _ := open(t, Options{Path: path})
	var messages int64
	if err := s.use(t.Context(), func(db *sql.DB) error {
		if err := check(t.Context(), db); err != nil {
			return err
		}
		return db.QueryRow("SELECT sum(messages) FROM days WHERE domain = 'kept.example'").Scan(&messages)
	}); err != nil {
		t.Fatal(err)
	}
	// A run that was killed may have written what it had no time to acknowledge.
	if spare := messages - w.added; spare < 0 || spare > int64(kills*perFlush) {
		t.Errorf("%d messages of %d acknowledged ones in %d runs", messages, w.added, kills)
	}
	st := status(t, s)
	if w.added < int64(kills*perFlush) || st.Deliveries[Sent] < int64(len(w.sent)) || len(w.sent) == 0 {
		t.Errorf("%d added, %d sent, %+v", w.added, len(w.sent), st)
	}
	t.Logf("%d kills: %d messages written, none lost; %d reports handed over, %d noted as sent, %d of them handed over twice", kills, messages, len(w.handed), len(w.sent), w.twice)
}

// fillUp adds rows until a limit of the size of files is hit, and goes on when it is lifted.
func fillUp(path string) error {
	told := &observed{}
	s, err := Open(context.Background(), Options{Path: path, Now: func() time.Time { return noon }, Interval: time.Hour, Observe: told.observe})
	if err != nil {
		return err
	}
	s.Add(noon, row("small.example", 1))
	if err := s.Flush(context.Background()); err != nil {
		return err
	}
	if err := setLimit(160 << 10); err != nil {
		return err
	}
	for n := range 1000 {
		s.Add(noon, row("large.example", n))
	}
	if err := s.Flush(context.Background()); err == nil || s.Stats().Waiting != 1000 || len(told.all()) == 0 {
		return fmt.Errorf("a file that is too large: %v, %+v, told %q", err, s.Stats(), told.all())
	}
	if _, err := s.Status(context.Background()); err != nil {
		return fmt.Errorf("what is there can be read: %w", err)
	}
	if err := setLimit(unix.RLIM_INFINITY); err != nil {
		return err
	}
	if err := s.Flush(context.Background()); err != nil || s.Stats().Written != 1001 {
		return fmt.Errorf("there is room again: %v, %+v", err, s.Stats())
	}
	if said := told.all(); said[len(said)-1] != "good" {
		return fmt.Errorf("told %q", said)
	}
	return s.Close()
}

// setLimit limits how large a file may become, which can be undone.
func setLimit(octets uint64) error {
	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &now); err != nil {
		return err
	}
	return unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: min(octets, now.Max), Max: now.Max})
}

func TestFileThatMayNotGrow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows.db")
	child := exec.Command("/proc/self/exe")
	child.Env = append(os.Environ(), "ASSAY_STORE_CHILD="+path, "ASSAY_STORE_LIMIT=1")
	if out, err := child.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%v: %s", err, out)
	}
	s, _ := open(t, Options{Path: path})
	if st := status(t, s); st.Rows != 1001 {
		t.Errorf("%+v", st)
	}
}

// TestDiskFull fills a small file system: Add takes what it can keep, and when there is room all of that is written.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=512k"); err != nil {
		t.Skipf("NOT RUN: only root may mount (%v); TestFileThatMayNotGrow is the same with a limit", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	told := &observed{}
	s, _ := open(t, Options{Path: filepath.Join(dir, "rows.db"), Observe: told.observe})
	defer s.Close()
	var failed error
	for n := 0; n < 5000 && failed == nil; n++ {
		if s.Add(noon, row("example.com", n)); n%100 == 0 {
			failed = s.Flush(t.Context())
		}
	}
	if failed == nil || !strings.Contains(failed.Error(), "full") {
		t.Fatalf("%v", failed)
	}
	if said := told.all(); len(said) == 0 || !strings.Contains(said[len(said)-1], "full") {
		t.Errorf("told %q", said)
	}
	before := balanced(t, s)
	if got := len(records(t, s, "example.com", noon)); int64(got) != before.Written {
		t.Errorf("%d records can be read, of %+v", got, before)
	}
	if err := unix.Mount("none", dir, "tmpfs", unix.MS_REMOUNT, "size=32m"); err != nil { // somebody makes room
		t.Fatal(err)
	}
	flush(t, s)
	if after := balanced(t, s); after.Waiting != 0 || after.Written != before.Written+before.Waiting {
		t.Errorf("%+v, then %+v", before, after)
	}
	if said := told.all(); said[len(said)-1] != "good" {
		t.Errorf("told %q", said)
	}
	consistent(t, s)
}

// TestDirectoryThatComesLate: the daemon starts, mail flows, and rows are written when the disk is there.
func TestDirectoryThatComesLate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mounted", "dmarc")
	told := &observed{}
	s, _ := open(t, Options{Path: filepath.Join(dir, "rows.db"), Observe: told.observe, Interval: 5 * time.Millisecond})
	s.Add(noon, row("example.com", 1))
	wait(t, "an error is told", func() bool { return len(told.all()) > 0 })
	if st := balanced(t, s); st.Written != 0 {
		t.Errorf("%+v", st)
	}
	if err := os.Mkdir(filepath.Dir(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	wait(t, "the row is written", func() bool { return s.Stats().Written == 1 })
	wait(t, "it is told", func() bool { said := told.all(); return said[len(said)-1] == "good" })
	if said := told.all(); len(said) != 2 {
		t.Errorf("the same is told again and again: %q", said)
	}
}

// TestReadOnlyDirectory: root writes where nobody may, so the directory is in a file system that is mounted for reading.
func TestReadOnlyDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT RUN: only root may mount")
	}
	dir := t.TempDir()
	s, _ := open(t, Options{Path: filepath.Join(dir, "rows.db")})
	s.Add(noon, row("example.com", 1))
	_ = s.Close()
	if err := errors.Join(unix.Mount(dir, dir, "", unix.MS_BIND, ""), unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")); err != nil {
		t.Skipf("NOT RUN: only root may mount, and not here (%v)", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	told := &observed{}
	s, _ = open(t, Options{Path: filepath.Join(dir, "rows.db"), Observe: told.observe})
	s.Add(noon, row("example.com", 2))
	if err := s.Flush(t.Context()); err == nil || balanced(t, s).Waiting != 1 || len(told.all()) == 0 {
		t.Errorf("%v, %+v, %q", err, s.Stats(), told.all())
	}
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	flush(t, s)
	if got := len(records(t, s, "example.com", noon)); got != 2 {
		t.Errorf("%d records", got)
	}
}

// TestFileIsReplaced: an administrator takes the file away while the daemon runs.
func TestFileIsReplaced(t *testing.T) {
	s, _ := open(t, Options{})
	s.Add(noon, row("example.com", 1))
	flush(t, s)
	for _, suffix := range suffixes {
		if err := os.Remove(s.opt.Path + suffix); err != nil {
			t.Fatal(err)
		}
	}
	s.Add(noon, row("example.com", 2))
	flush(t, s)
	if all := records(t, s, "example.com", noon); len(all) != 1 || all[0].Row.SourceIP != row("", 2).SourceIP {
		t.Errorf("%+v", all)
	}
}

// breakages are ways in which a file is no database any more.
func breakages() map[string]func(b []byte) []byte {
	return map[string]func(b []byte) []byte{
		"text":   func([]byte) []byte { return []byte(strings.Repeat("no database ", 1000)) },
		"short":  func(b []byte) []byte { return b[:5000] },
		"header": func(b []byte) []byte { return append([]byte("SQLite format 4\x00"), b[16:]...) },
		"pages":  func(b []byte) []byte { return append(b[:4096:4096], []byte(strings.Repeat("\xff", len(b)-4096))...) },
	}
}

// TestCorruptFile: it is set aside, with an error that says so; a command leaves that to the daemon. Rows that come then are
// written to the new file.
func TestCorruptFile(t *testing.T) {
	for name, spoil := range breakages() {
		t.Run(name, func(t *testing.T) {
			s, c := open(t, Options{})
			for n := range 300 {
				s.Add(noon, row("example.com", n))
			}
			_ = s.Close()
			good, err := os.ReadFile(s.opt.Path)
			if err == nil {
				err = os.WriteFile(s.opt.Path, spoil(good), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			if command, err := Open(t.Context(), Options{Path: s.opt.Path, Existing: true}); err == nil {
				_, err = command.Expire(t.Context(), noon)
				if err == nil {
					t.Error("a command finds nothing wrong")
				}
				_ = command.Close()
			}
			told := &observed{}
			s, _ = open(t, Options{Path: s.opt.Path, Observe: told.observe})
			s.Add(noon, row("example.com", 1))
			flush(t, s)
			if got := len(records(t, s, "example.com", noon)); got != 1 {
				t.Errorf("%d records", got)
			}
			said := told.all()
			if len(said) != 2 || !strings.Contains(said[0], "corrupt") || !strings.Contains(said[0], "rows.db.corrupt-20261120T120000") || said[1] != "good" {
				t.Errorf("told %q", said)
			}
			if all, err := s.asides(); err != nil || len(all) == 0 {
				t.Errorf("%v, %v", all, err)
			}
			c.set(noon.Add(10 * dayLength))
			if _, err := s.Expire(t.Context(), time.Now().Add(10*dayLength)); err != nil {
				t.Error(err)
			}
			if all, err := s.asides(); err != nil || len(all) != 0 {
				t.Errorf("kept for ever: %v, %v", all, err)
			}
		})
	}
}

// TestCorruptWhileOpen: damage that comes while the daemon runs is found by what meets it, and rows are not lost with it.
func TestCorruptWhileOpen(t *testing.T) {
	told := &observed{}
	s, c := open(t, Options{Observe: told.observe})
	for round := range 3 {
		c.set(noon.Add(time.Duration(round) * time.Second))
		for n := range 300 {
			s.Add(noon, row("example.com", n))
		}
		flush(t, s)
		if _, err := s.Expire(t.Context(), noon); err != nil { // moves all from the log to the file
			t.Fatal(err)
		}
		damage(t, s)
		_, err := s.Expire(t.Context(), noon)
		if n := strings.Count(fmt.Sprint(told.all()), "is corrupt"); n != round+1 {
			t.Fatalf("round %d: %v, told %q", round, err, told.all())
		}
	}
	s.Add(noon, row("example.com", 1))
	flush(t, s)
	if _, err := s.Records(t.Context(), "example.com", report.Day(noon)); err != nil {
		t.Error(err)
	}
	all, err := s.asides()
	if err != nil || len(all) == 0 {
		t.Errorf("set aside: %v, %v", all, err)
	}
	for _, path := range all {
		if !strings.Contains(path, "rows.db"+asideMark+"20261120T120002.") {
			t.Errorf("%s is not the last one", path)
		}
	}
}

// damage writes into the file of a store, and makes its connections forget what they know.
func damage(t *testing.T, s *Store) {
	t.Helper()
	s.mu.Lock() // the check at the start may still be to come
	defer s.mu.Unlock()
	s.db.SetMaxIdleConns(0)
	f, err := os.OpenFile(s.opt.Path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte(strings.Repeat("\xff", 60_000)), 8192)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestWriteMeetsDamage: the rows of that write are in the new file.
func TestWriteMeetsDamage(t *testing.T) {
	told := &observed{}
	s, _ := open(t, Options{Observe: told.observe})
	for n := range 300 {
		s.Add(noon, row("example.com", n))
	}
	flush(t, s)
	if _, err := s.Expire(t.Context(), noon); err != nil {
		t.Fatal(err)
	}
	damage(t, s)
	s.Add(noon, row("example.com", 1))
	flush(t, s)
	if said := told.all(); len(said) != 2 || !strings.Contains(said[0], "is corrupt") || said[1] != "good" {
		t.Errorf("told %q", said)
	}
	if all := records(t, s, "example.com", noon); len(all) != 1 {
		t.Errorf("%d records", len(all))
	}
}
