package quarantine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"assay/milter/submit"
	"assay/rules"
)

const sample = "Received: from x\r\nFrom: a@example.net\r\nSubject: s\r\n\r\nbody\x00 \xff\r\n.\r\n"

// text is a message as Keep takes it.
type text string

func (s text) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, string(s))
	return int64(n), err
}

// now is the clock of tests.
var now = time.Date(2026, 11, 22, 5, 19, 18, 123456789, time.UTC)

// entry is what is known about the sample.
func entry() Entry {
	return Entry{
		Kind: Message, State: Held, Received: now, QueueID: "4XyZ1k2Qz", Client: "192.0.2.1", ClientName: "mail.example.net", Helo: "x",
		MailFrom: "bounce@example.net", RcptTo: []string{"erika@example.com", `"odd \" one"@example.com`, "m\xfcller@example.com"},
		Author: "a@example.net", Subject: "s\nBcc: x", MessageID: "<1@example.net>", Reason: "odd \u202e reason", Rules: []string{"r-one", "r-two"},
		Class: rules.ReleaseUser, Fields: []rules.HeaderField{{Name: "X-Assay-Result", Value: "v=1;\n trust=forged"}},
	}
}

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s := New(Options{Dir: dir, Create: true, Now: func() time.Time { return now }})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func keep(t *testing.T, s *Store, message string, change func(*Entry)) string {
	t.Helper()
	e := entry()
	if change != nil {
		change(&e)
	}
	id, err := s.Keep(t.Context(), text(message), e)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func octets(t *testing.T, s *Store, id string) string {
	t.Helper()
	e, content, err := s.Message(id)
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	if err := content.Verify(e); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}

func TestWhatIsKeptComesBackExactly(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "q"))
	id := keep(t, s, sample, nil)
	if !ValidID(id) {
		t.Errorf("id %q", id)
	}
	if got := octets(t, s, id); got != sample {
		t.Errorf("got %q", got)
	}
	e, content, err := s.Message(id)
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	want := entry()
	want.ID, want.Size, want.SHA256 = id, int64(len(sample)), e.SHA256
	if fmt.Sprintf("%+v", *e) != fmt.Sprintf("%+v", want) {
		t.Errorf("got\n%+v\nwant\n%+v", *e, want)
	}
	found, err := s.Find(t.Context(), id)
	if err != nil || found.Class != rules.ReleaseUser || found.Subject != "s Bcc: x" || len(found.RcptTo) != 3 || !slices.Equal(found.Rules, want.Rules) {
		t.Errorf("%v %+v", err, found)
	}
	for path, mode := range map[string]os.FileMode{s.path(id): 0o600, s.opt.Dir: 0o700, filepath.Join(s.opt.Dir, keyFile): 0o600, filepath.Join(s.opt.Dir, indexFile): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

func TestSameMessageIsKeptOnce(t *testing.T) {
	s := open(t, t.TempDir())
	ids := make([]string, 20)
	var wait sync.WaitGroup
	for i := range ids {
		wait.Go(func() {
			e := entry()
			e.QueueID = fmt.Sprint("again", i) // each attempt has another one
			ids[i], _ = s.Keep(context.Background(), text(sample), e)
		})
	}
	wait.Wait()
	if all := slices.Compact(slices.Sorted(slices.Values(ids))); len(all) != 1 || all[0] == "" {
		t.Errorf("ids %q", ids)
	}
	for name, change := range map[string]func(*Entry){
		"other recipients": func(e *Entry) { e.RcptTo = e.RcptTo[:1] },
		"other sender":     func(e *Entry) { e.MailFrom = "" },
		"other class":      func(e *Entry) { e.Class = rules.ReleaseNever },
		"as an original":   func(e *Entry) { e.Kind = Original },
	} {
		if id := keep(t, s, sample, change); id == ids[0] {
			t.Errorf("%s: taken for the same", name)
		}
	}
	if err := os.Remove(s.path(ids[0])); err != nil {
		t.Fatal(err)
	}
	if id := keep(t, s, sample, nil); id == ids[0] || octets(t, s, id) != sample {
		t.Error("an entry without a file was taken for the message")
	}
}

func TestQueries(t *testing.T) {
	s := open(t, t.TempDir())
	one := keep(t, s, sample, nil)
	two := keep(t, s, sample+"2", func(e *Entry) {
		e.Received, e.Author, e.MailFrom, e.RcptTo = now.Add(time.Hour), "x_y@sub.example.org", "", []string{"max@example.com"}
		e.Rules, e.Class, e.Subject, e.QueueID = []string{"r-two-b"}, rules.ReleaseNever, "100% sure", "5ABCDEF"
	})
	keep(t, s, sample+"3", func(e *Entry) { e.Kind = Original })
	for _, tt := range []struct {
		name string
		q    Query
		want []string
	}{
		{"all, newest first", Query{}, []string{two, one}},
		{"limit", Query{Limit: 1}, []string{two}},
		{"from author", Query{From: "A@Example.Net"}, []string{one}},
		{"from envelope domain", Query{From: "@example.net"}, []string{one}},
		{"from domain without @", Query{From: "sub.example.org"}, []string{two}},
		{"an underscore is no wildcard", Query{From: "xay@sub.example.org"}, nil},
		{"to", Query{To: "MAX@example.com"}, []string{two}},
		{"to domain", Query{To: "@example.com"}, []string{two, one}},
		{"rule", Query{Rule: "r-two"}, []string{one}},
		{"class", Query{Class: rules.ReleaseNever}, []string{two}},
		{"since", Query{Since: now.Add(time.Minute)}, []string{two}},
		{"until", Query{Until: now.Add(time.Minute)}, []string{one}},
		{"a percent sign is no wildcard", Query{Text: "100% s"}, []string{two}},
		{"text in queue id", Query{Text: "5abc"}, []string{two}},
		{"text that nothing has", Query{Text: "1%0"}, nil},
		{"state", Query{State: Released}, nil},
	} {
		found, err := s.List(t.Context(), tt.q)
		var ids []string
		for _, e := range found {
			ids = append(ids, e.ID)
		}
		if err != nil || !slices.Equal(ids, tt.want) {
			t.Errorf("%s: %q, want %q (%v)", tt.name, ids, tt.want, err)
		}
	}
	if n, err := s.Count(t.Context()); n != 2 || err != nil {
		t.Errorf("count %d, %v", n, err)
	}
}

func TestOriginalIsFoundByItsHash(t *testing.T) {
	s := open(t, t.TempDir())
	id := keep(t, s, sample, func(e *Entry) { e.Kind = Original })
	e, err := s.Find(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{e.SHA256, e.SHA256[:12], strings.ToUpper(e.SHA256)} {
		if found, err := s.FindOriginal(t.Context(), prefix); err != nil || found.ID != id {
			t.Errorf("%s: %v", prefix, err)
		}
	}
	for _, prefix := range []string{"", e.SHA256[:11], strings.Repeat("0", 64), "%" + e.SHA256[1:], e.SHA256 + "0"} {
		if _, err := s.FindOriginal(t.Context(), prefix); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v", prefix, err)
		}
	}
}

func TestDelete(t *testing.T) {
	s := open(t, t.TempDir())
	id := keep(t, s, sample, nil)
	if err := s.Delete(t.Context(), id, "erika", "spam"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Message(id); !errors.Is(err, ErrNotFound) {
		t.Errorf("the file is there: %v", err)
	}
	if err := s.Delete(t.Context(), id, "erika", "again"); !errors.Is(err, ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	log, err := s.audits()
	if err != nil || len(log) != 1 || log[0].Action != ActionDelete || log[0].Who != "erika" || log[0].Reason != "spam" || log[0].ID != id {
		t.Errorf("%v %+v", err, log)
	}
}

func TestExpire(t *testing.T) {
	s := open(t, t.TempDir())
	day := 24 * time.Hour
	old := keep(t, s, sample, func(e *Entry) { e.Received = now.Add(-31 * day) })
	young := keep(t, s, sample+"2", func(e *Entry) { e.Received = now.Add(-29 * day) })
	original := keep(t, s, sample+"3", func(e *Entry) { e.Kind, e.Received = Original, now.Add(-8*day) })
	for i := range expireBatch + 1 {
		keep(t, s, sample+"batch"+fmt.Sprint(i), func(e *Entry) { e.Received = now.Add(-40 * day) })
		if testing.Short() && i == 20 {
			break
		}
	}
	n, err := s.Expire(t.Context(), Retention{Messages: 30 * day, Originals: 7 * day})
	if err != nil || n < 23 {
		t.Errorf("%d, %v", n, err)
	}
	for id, want := range map[string]bool{old: false, young: true, original: false} {
		if _, err := os.Stat(s.path(id)); (err == nil) != want {
			t.Errorf("%s: %v", id, err)
		}
	}
	if n, _ := s.Count(t.Context()); n != 1 {
		t.Errorf("%d are left", n)
	}
	if n, err := s.Expire(t.Context(), Retention{}); n != 0 || err != nil {
		t.Errorf("without a limit %d went, %v", n, err)
	}
}

func TestIndexIsMadeAgainFromFiles(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	one, two := keep(t, s, sample, nil), keep(t, s, sample+"2", nil)
	if _, err := s.Release(t.Context(), Release{ID: two, Who: "op", Reason: "fine"}, func(context.Context, submit.Mail) error { return nil }); err != nil {
		t.Fatal(err)
	}
	for name, breaks := range map[string]func() error{
		"gone": func() error { return os.Remove(filepath.Join(dir, indexFile)) },
		"garbage": func() error {
			return os.WriteFile(filepath.Join(dir, indexFile), bytes.Repeat([]byte("no database "), 1000), 0o600)
		},
		"whole": func() error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			if err := breaks(); err != nil {
				t.Fatal(err)
			}
			other := open(t, dir)
			r, err := other.Rebuild(t.Context())
			if err != nil || r.Entries != 2 || len(r.Adopted) != 2 {
				t.Fatalf("%+v, %v", r, err)
			}
			first, err := other.Find(t.Context(), one)
			if err != nil || first.State != Held {
				t.Errorf("%+v, %v", first, err)
			}
			second, err := other.Find(t.Context(), two)
			if err != nil || second.State != Released {
				t.Errorf("what was released is not any more: %+v, %v", second, err)
			}
			// The store that was open all the time sees the new index.
			if e, err := s.Find(t.Context(), one); err != nil || e.ID != one {
				t.Errorf("%v", err)
			}
			if id, err := s.Keep(t.Context(), text(sample), entry()); err != nil || id != one {
				t.Errorf("%s, %v", id, err)
			}
		})
	}
}

// A crash between the steps of storing and deleting leaves a file without an index entry, or the other way round.
func TestOpenPutsInOrderWhatACrashLeaves(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	kept, lost := keep(t, s, sample, nil), keep(t, s, sample+"2", nil)
	e := entry()
	e.ID, e.Size = newID(now, 77), int64(len(sample)+1)
	e.SHA256, _, _ = digest(text(sample + "3"))
	if err := s.write(&e, text(sample+"3")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(s.path(lost)); err != nil {
		t.Fatal(err)
	}
	damaged := newID(now, 78)
	for path, old := range map[string]bool{filepath.Join(dir, tempDir, "q-old"): true, filepath.Join(dir, tempDir, "q-young"): false, s.path(damaged): false} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("half of a mess"), 0o600)); err != nil {
			t.Fatal(err)
		}
		at := now
		if old {
			at = now.Add(-2 * sweepAge)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	r, err := open(t, dir).Open(t.Context())
	if err != nil || r.Swept != 1 || !slices.Equal(r.Adopted, []string{e.ID}) || !slices.Equal(r.Lost, []string{lost}) || !slices.Equal(r.Damaged, []string{damaged}) || r.Entries != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if octets(t, s, e.ID) != sample+"3" || octets(t, s, kept) != sample {
		t.Error("a message is not what it was")
	}
}

func TestCheckFindsWhatChangedOnTheDisk(t *testing.T) {
	s := open(t, t.TempDir())
	id := keep(t, s, sample, nil)
	f, err := os.OpenFile(s.path(id), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.WriteString("more")
	_ = f.Close()
	if r, err := s.Check(t.Context(), true); err != nil || !slices.Equal(r.Damaged, []string{id}) {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := s.Release(t.Context(), Release{ID: id, Who: "op", Reason: "x"}, func(context.Context, submit.Mail) error { return nil }); !errors.Is(err, ErrDamaged) {
		t.Errorf("a damaged message was released: %v", err)
	}
}

func TestIDs(t *testing.T) {
	for id, want := range map[string]bool{
		newID(now, 0): true, newID(now, 1<<30-1): true, "q0000000-000000": true,
		"": false, "q0000000-00000": false, "q0000000-0000000": false, "q000000l-000000": false, "../../../etc/pa": false, "Q0000000-000000": false,
	} {
		if ValidID(id) != want {
			t.Errorf("ValidID(%q) = %v", id, !want)
		}
	}
	if a, b := newID(now, 5), newID(now.Add(time.Second), 4); a >= b {
		t.Errorf("%s does not sort before %s", a, b)
	}
	s := open(t, t.TempDir())
	for _, id := range []string{"../../../../etc/passwd", "", "q0000000-00000/"} {
		if _, _, err := s.Message(id); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// TestRootLeavesTheQuarantineToTheDaemon: what root makes in it belongs to the daemon, the files that SQLite makes among it.
func TestRootLeavesTheQuarantineToTheDaemon(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("an ordinary user makes files of his own only")
		return
	}
	const nobody = 65534
	top := filepath.Join(t.TempDir(), "lib")
	dir := filepath.Join(top, "quarantine")
	if err := errors.Join(os.Mkdir(top, 0o755), os.Chown(top, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	id := keep(t, s, sample, nil)
	if _, err := s.Release(t.Context(), Release{ID: id, Who: "root", Reason: "x"}, func(context.Context, submit.Mail) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	keep(t, s, sample+"2", nil)
	seen := 0
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		seen++
		if stat := info.Sys().(*syscall.Stat_t); stat.Uid != nobody {
			t.Errorf("%s belongs to user %d", path, stat.Uid)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil || seen < 8 {
		t.Errorf("%d files, %v", seen, err)
	}
}
