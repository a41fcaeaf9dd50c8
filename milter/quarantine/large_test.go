package quarantine

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"assay/rules"
)

// large is how many entries a large quarantine has.
const large = 100_000

// TestLargeQuarantine: with 100,000 entries every list and search takes less than a second, of the processor, because others
// work on the machine that runs tests. Reading all entries at once is no search.
func TestLargeQuarantine(t *testing.T) {
	if testing.Short() {
		t.Skip("100,000 entries take too long for -short")
	}
	s := open(t, t.TempDir())
	fill(t, s)
	for name, q := range map[string]Query{
		"first page": {Limit: 100}, "from": {From: "sender4711@host711.example.net"}, "from domain": {From: "@host11.example.net", Limit: 100},
		"to": {To: "user4711@example.com"}, "to domain": {To: "example.com", Limit: 100}, "rule": {Rule: "rule-17", Limit: 100},
		"text": {Text: "invoice 99999"}, "text of nothing": {Text: "nobody has this"}, "class": {Class: rules.ReleaseNever, Limit: 100},
		"time": {Since: now.Add(-time.Hour), Until: now}, "all together": {From: "@host11.example.net", To: "example.com", Text: "invoice", State: Held, Class: rules.ReleaseUser},
	} {
		began := processor(t)
		found, err := s.List(t.Context(), q)
		if took := processor(t) - began; err != nil || took > time.Second*raceFactor {
			t.Errorf("%s took %v: %v", name, took, err)
		} else {
			t.Logf("%-16s %6d entries in %v", name, len(found), took.Round(100*time.Microsecond))
		}
	}
	began := processor(t)
	if n, err := s.Count(t.Context()); n != large || err != nil || processor(t)-began > time.Second*raceFactor {
		t.Errorf("count %d in %v: %v", n, processor(t)-began, err)
	}
	began = processor(t)
	if all, err := s.List(t.Context(), Query{}); len(all) != large || err != nil {
		t.Errorf("all: %d, %v", len(all), err)
	}
	t.Logf("all entries in %v", (processor(t) - began).Round(time.Millisecond))
}

// processor returns how long the processors have worked for this program.
func processor(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// fill puts entries into the index of a store.
func fill(t *testing.T, s *Store) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(); err != nil {
		t.Fatal(err)
	}
	err := s.begin(context.Background(), func(tx *sql.Tx) error {
		for i := range large {
			e := entry()
			e.ID, e.Received = newID(now, uint32(i)), now.Add(-time.Duration(i)*time.Second)
			e.Author, e.MailFrom = fmt.Sprintf("sender%d@host%d.example.net", i, i%1000), fmt.Sprintf("bounce%d@host%d.example.net", i, i%1000)
			e.RcptTo, e.Subject = []string{fmt.Sprintf("user%d@example.com", i%5000)}, fmt.Sprintf("Your invoice %d is due, please pay at once", i)
			e.Rules, e.SHA256 = []string{fmt.Sprintf("rule-%d", i%50)}, fmt.Sprintf("%064x", i)
			e.Class = []rules.Release{rules.ReleaseUser, rules.ReleaseOperator, rules.ReleaseNever}[i%3]
			if err := insert(context.Background(), tx, &e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
