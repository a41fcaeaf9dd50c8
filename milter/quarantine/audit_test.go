package quarantine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Lines that are old enough leave the audit log, in the order in which they came; what cannot be read goes with what is behind it.
func TestAuditExpires(t *testing.T) {
	dir, now := t.TempDir(), time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	s := New(Options{Dir: dir, Create: true, Now: func() time.Time { return now }})
	defer s.Close()
	if _, err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	write := func(id string, at time.Time) {
		now = at
		if err := s.Log(Audit{Action: ActionShow, ID: id, Who: "op"}); err != nil {
			t.Fatal(err)
		}
	}
	start := now
	write("old", start.Add(-48*time.Hour))
	f, err := os.OpenFile(filepath.Join(dir, auditFile), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.WriteString("{\"time\":\"20\n")
	_ = f.Close()
	write("older than a day", start.Add(-25*time.Hour))
	write("new", start.Add(-23*time.Hour))
	write("now", start)
	for _, step := range []struct {
		keep time.Duration
		want string
	}{{0, "old,older than a day,new,now"}, {72 * time.Hour, "old,older than a day,new,now"}, {24 * time.Hour, "new,now"}, {time.Nanosecond, "now"}} {
		now = start
		if _, err := s.Expire(t.Context(), Retention{Messages: time.Hour, Audit: step.keep}); err != nil {
			t.Fatal(err)
		}
		log, err := s.audits()
		var ids []string
		for _, line := range log {
			ids = append(ids, line.ID)
		}
		if got := strings.Join(ids, ","); err != nil || got != step.want {
			t.Errorf("after %v: %q, %v, want %q", step.keep, got, err, step.want)
		}
	}
	now = start.Add(time.Hour)
	if _, err := s.Expire(t.Context(), Retention{Messages: time.Hour, Audit: time.Minute}); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, auditFile)); err != nil || len(text) > 0 {
		t.Errorf("%q, %v", text, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.new")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// No line is lost that another process writes while the log is made shorter.
func TestAuditExpiresWhileOthersWrite(t *testing.T) {
	const writers, lines = 4, 50
	dir := t.TempDir()
	stores := make([]*Store, writers+1)
	for i := range stores {
		stores[i] = New(Options{Dir: dir, Create: true})
		defer stores[i].Close()
		if _, err := stores[i].Open(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var writing sync.WaitGroup
	for i, s := range stores[1:] {
		writing.Go(func() {
			for n := range lines {
				if err := s.Log(Audit{Action: ActionShow, ID: fmt.Sprintf("%d.%d", i, n)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { writing.Wait(); close(done) }()
	shortened := 0
	for ended := false; !ended; shortened++ {
		select {
		case <-done:
			ended = true
		default:
		}
		// Something to cut, so that a new file takes the place of the log.
		if err := prepend(filepath.Join(dir, auditFile), stores[0]); err != nil {
			t.Fatal(err)
		}
		if err := stores[0].expireAudit(time.Now().Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	log, err := stores[0].audits()
	if err != nil || len(log) != writers*lines {
		t.Errorf("%d lines, %v, want %d; shortened %d times", len(log), err, writers*lines, shortened)
	}
}

// prepend puts an old line in front of the log.
func prepend(path string, s *Store) error {
	f, err := s.openAudit()
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.Write(append([]byte("{\"time\":\"1970-01-01T00:00:00Z\",\"action\":\"show\",\"id\":\"old\",\"who\":\"\"}\n"), text...))
	return err
}
