package store

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"assay/verify/authres"
	"assay/verify/dmarc"
	"assay/verify/dmarc/report"
)

// noon is the time of most tests.
var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// A clock is what a store believes the time to be.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

// open opens a store that writes when the test says so.
func open(t testing.TB, o Options) (*Store, *clock) {
	t.Helper()
	c := &clock{at: noon}
	if o.Path == "" {
		o.Path = filepath.Join(t.TempDir(), "dmarc", "rows.db")
	}
	if o.Now == nil {
		o.Now = c.now
	}
	if o.Interval == 0 {
		o.Interval = time.Hour
	}
	if o.Observe == nil {
		o.Observe = func(err error) {
			if err != nil {
				t.Errorf("observed: %v", err)
			}
		}
	}
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, c
}

// row returns a row about a policy domain, from a numbered address.
func row(domain string, n int) report.Row {
	return report.Row{
		Policy: report.Policy{Domain: domain, P: dmarc.PolicyReject, ADKIM: "r", ASPF: "r", Discovery: "treewalk",
			URIs: []string{"mailto:dmarc@" + domain}},
		SourceIP:     row4(n),
		Disposition:  report.Reject,
		SPF:          n%2 == 0,
		Reasons:      []report.Reason{{Type: "local_policy", Comment: "arc=pass"}},
		HeaderFrom:   "news." + domain,
		EnvelopeFrom: "bounce." + domain,
		Signatures:   []report.Signature{{Domain: domain, Selector: "s1", Result: authres.Pass}, {Domain: "esp.example.net", Selector: "k2026", Result: authres.Fail, Human: "body hash did not verify"}},
		MailFrom:     &report.SPFResult{Domain: "bounce." + domain, Result: authres.Pass},
	}
}

// row4 returns a numbered address.
func row4(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{192, byte(n >> 16), byte(n >> 8), byte(n)})
}

// flush writes what is in memory.
func flush(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// records returns the records of a day.
func records(t testing.TB, s *Store, domain string, at time.Time) []report.Record {
	t.Helper()
	all, err := s.Records(t.Context(), domain, report.Day(at))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// due returns the reports that are pending at an instant.
func due(t testing.TB, s *Store, at time.Time) []Pending {
	t.Helper()
	all, err := s.Pending(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// status returns the status, and fails if the figures of the file contradict each other.
func status(t testing.TB, s *Store) Status {
	t.Helper()
	st, err := s.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	consistent(t, s)
	return st
}

// consistent fails if the figures that are kept are not those of the rows.
func consistent(t testing.TB, s *Store) {
	t.Helper()
	for what, query := range map[string]string{
		"total rows":   "SELECT (SELECT count(*) FROM rows) - (SELECT rows FROM total)",
		"rows of days": "SELECT count(*) FROM days d WHERE rows <> (SELECT count(*) FROM rows r WHERE r.day = d.id)",
		"messages":     "SELECT count(*) FROM days d WHERE messages <> (SELECT ifnull(sum(count), 0) FROM rows r WHERE r.day = d.id)",
		"rows of none": "SELECT count(*) FROM rows WHERE day NOT IN (SELECT id FROM days)",
	} {
		var n int
		if err := s.use(t.Context(), func(db *sql.DB) error { return db.QueryRowContext(t.Context(), query).Scan(&n) }); err != nil || n != 0 {
			t.Fatalf("%s: off by %d, %v", what, n, err)
		}
	}
}

// balanced fails if messages were counted nowhere or twice.
func balanced(t testing.TB, s *Store) Stats {
	t.Helper()
	st := s.Stats()
	sum := st.Written + st.Waiting + st.Ignored
	for _, n := range st.Dropped {
		sum += n
	}
	if sum != st.Added {
		t.Fatalf("%d messages were added, and %d are known: %+v", st.Added, sum, st)
	}
	return st
}

// TestRowsBecomeRecords: equal rows are one record with a count, whether they are written together or one after the other; each
// comes back as it was, with the most frequent first.
func TestRowsBecomeRecords(t *testing.T) {
	s, _ := open(t, Options{})
	for round := range 3 {
		for n := range 5 {
			for range n + 1 {
				s.Add(noon.Add(time.Duration(round)*time.Hour), row("example.com", n))
			}
		}
		flush(t, s)
	}
	all := records(t, s, "EXAMPLE.com", noon)
	if len(all) != 5 {
		t.Fatalf("%d records", len(all))
	}
	for i, r := range all {
		if want := row("example.com", 4-i); r.Count != int64(3*(5-i)) || !reflect.DeepEqual(r.Row, want) {
			t.Errorf("record %d: %d of %+v, want %+v", i, r.Count, r.Row, want)
		}
	}
	if st := balanced(t, s); st.Written != 45 || st.Waiting != 0 {
		t.Errorf("%+v", st)
	}
	if again := records(t, s, "example.com", noon); !reflect.DeepEqual(again, all) {
		t.Error("another order the second time")
	}
}

// TestRowSaysAllThatCanBeSaid: a field that is lost on the way is missing in reports.
func TestRowSaysAllThatCanBeSaid(t *testing.T) {
	s, _ := open(t, Options{})
	full := row("example.com", 1)
	full.Policy = report.Policy{Domain: "example.com", P: dmarc.PolicyQuarantine, SP: dmarc.PolicyReject, NP: dmarc.PolicyNone, ADKIM: "s", ASPF: "s",
		Discovery: "psl", FO: "1:d", Testing: true, URIs: []string{"mailto:a@example.com", "mailto:b@example.net"}}
	full.DKIM, full.SPF, full.SourceIP = true, true, netip.MustParseAddr("2001:db8::25")
	full.MailFrom.Human = "domain designates <192.0.2.1> & more"
	s.Add(noon, full)
	empty := report.Row{Policy: full.Policy, SourceIP: full.SourceIP, Disposition: report.None, HeaderFrom: "example.com"}
	s.Add(noon, empty)
	s.Add(noon, empty)
	flush(t, s)
	want := []report.Record{{Row: empty, Count: 2}, {Row: full, Count: 1}}
	if got := records(t, s, "example.com", noon); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for v, name := reflect.ValueOf(full), 0; name < v.NumField(); name++ {
		if v.Field(name).IsZero() {
			t.Errorf("%s is not tested", v.Type().Field(name).Name)
		}
	}
}

// TestLastPolicyOfTheDay: RFC 9990 has one policy_published in a report.
func TestLastPolicyOfTheDay(t *testing.T) {
	s, c := open(t, Options{})
	first, second, third := row("example.com", 1), row("example.com", 1), row("example.com", 1)
	second.Policy.P, third.Policy.P = dmarc.PolicyQuarantine, dmarc.PolicyNone
	s.Add(noon.Add(time.Second), second) // the verdicts on two messages may come in another order
	s.Add(noon, first)
	flush(t, s)
	if all := records(t, s, "example.com", noon); len(all) != 1 || all[0].Count != 2 || all[0].Row.Policy.P != dmarc.PolicyQuarantine {
		t.Errorf("%+v", all)
	}
	s.Add(noon.Add(time.Millisecond), first)
	flush(t, s)
	if all := records(t, s, "example.com", noon); all[0].Row.Policy.P != dmarc.PolicyQuarantine {
		t.Errorf("an older policy after a newer one: %+v", all)
	}
	s.Add(noon.Add(time.Minute), third)
	flush(t, s)
	c.set(noon.Add(dayLength))
	if all := due(t, s, c.now()); len(all) != 1 || all[0].Policy.P != dmarc.PolicyNone || all[0].Messages != 4 || all[0].Rows != 1 {
		t.Errorf("%+v", all)
	}
}

// TestNobodyAsks: no rows are kept about domains that ask for no reports, and none are sent to those that ask no more.
func TestNobodyAsks(t *testing.T) {
	s, _ := open(t, Options{})
	silent := func(domain string) report.Row {
		r := row(domain, 1)
		r.Policy.URIs = nil
		return r
	}
	s.Add(noon, silent("never.example"))
	s.Add(noon, row("until-noon.example", 1))
	s.Add(noon.Add(time.Second), silent("until-noon.example"))
	s.Add(noon, silent("from-noon.example"))
	s.Add(noon.Add(time.Second), row("from-noon.example", 1))
	flush(t, s)
	if all := due(t, s, noon.Add(dayLength)); len(all) != 1 || all[0].Domain != "from-noon.example" || all[0].Messages != 1 {
		t.Errorf("%+v", all)
	}
	if _, err := s.Records(t.Context(), "never.example", report.Day(noon)); !errors.Is(err, ErrNotFound) {
		t.Errorf("rows about a domain that never asked: %v", err)
	}
	if st := balanced(t, s); st.Ignored != 3 || st.Written != 2 {
		t.Errorf("%+v", st)
	}
	if st := status(t, s); st.Rows != 2 {
		t.Errorf("%+v", st)
	}
	s.Add(noon.Add(time.Minute), silent("from-noon.example"))
	s.Add(noon.Add(time.Minute), row("until-noon.example", 1))
	flush(t, s)
	if all := due(t, s, noon.Add(dayLength)); len(all) != 1 || all[0].Domain != "until-noon.example" || len(all[0].Policy.URIs) != 1 {
		t.Errorf("they have changed their minds: %+v", all)
	}
}

// TestDays: a day is a UTC day, and is pending when it is over.
func TestDays(t *testing.T) {
	s, c := open(t, Options{})
	midnight := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	berlin := time.FixedZone("CET", 3600)
	s.Add(midnight.Add(-time.Millisecond).In(berlin), row("b.example", 1)) // already the next day there
	s.Add(midnight.Add(-time.Hour), row("a.example", 1))
	s.Add(midnight, row("b.example", 1))
	s.Add(midnight.Add(dayLength-1), row("b.example", 1))
	flush(t, s)
	names := func(at time.Time) (all []string) {
		for _, p := range due(t, s, at) {
			if p.Period != report.Day(p.Period.Begin) {
				t.Errorf("%v is no day", p.Period)
			}
			all = append(all, fmt.Sprintf("%s %s %d", p.Domain, p.Period.Begin.Format("02"), p.Messages))
		}
		return all
	}
	for _, test := range []struct {
		at   time.Time
		want []string
	}{
		{midnight.Add(-time.Second), nil},
		{midnight, []string{"a.example 20 1", "b.example 20 1"}},
		{midnight.Add(dayLength - time.Second), []string{"a.example 20 1", "b.example 20 1"}},
		{midnight.Add(dayLength), []string{"a.example 20 1", "b.example 20 1", "b.example 21 2"}},
	} {
		if got := names(test.at); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%v: %v, want %v", test.at, got, test.want)
		}
	}
	for _, p := range []report.Period{{}, {Begin: midnight, End: midnight.Add(time.Hour)}, {Begin: midnight.Add(time.Hour), End: midnight.Add(25 * time.Hour)}} {
		if _, err := s.Records(t.Context(), "b.example", p); err == nil {
			t.Errorf("records of %v", p)
		}
	}
	c.set(midnight.Add(dayLength))
	if st := status(t, s); len(st.Days) != 2 || st.Days[0].Domains != 2 || st.Days[1].Messages != 2 || !st.Oldest.Equal(midnight.Add(-dayLength)) || st.Pending != 3 || st.Open != 0 || st.Bytes == 0 {
		t.Errorf("%+v", st)
	}
}

// TestBounds: a flood of rows is counted and not kept; what is there goes on counting.
func TestBounds(t *testing.T) {
	s, _ := open(t, Options{MaxRows: 20, MaxReportRows: 8})
	for n := range 30 {
		s.Add(noon, row("one.example", n))
	}
	flush(t, s)
	if st := balanced(t, s); st.Dropped[CauseRows] != 22 || status(t, s).Rows != 8 {
		t.Errorf("one domain: %+v", st)
	}
	for n := range 50 {
		s.Add(noon, row(fmt.Sprintf("d%d.example", n), n))
	}
	flush(t, s)
	if st := balanced(t, s); st.Dropped[CauseRows] != 22+38 || status(t, s).Rows != 20 || status(t, s).Days[0].Domains != 13 {
		t.Errorf("many domains: %+v", st)
	}
	for _, r := range records(t, s, "one.example", noon) {
		s.Add(noon, r.Row)
	}
	flush(t, s)
	if st := status(t, s); st.Rows != 20 || st.Dropped[CauseRows] != 60 || balanced(t, s).Written != 28 {
		t.Errorf("known rows: %+v", st)
	}
	for _, r := range records(t, s, "one.example", noon) {
		if r.Count != 2 {
			t.Errorf("%d of %v", r.Count, r.Row.SourceIP)
		}
	}
}

// TestBytesBound: rows that are long fill no disk either.
func TestBytesBound(t *testing.T) {
	const most = 1 << 20
	s, _ := open(t, Options{MaxBytes: most})
	for n := range 500 {
		r := row("example.com", n)
		r.MailFrom.Human = strings.Repeat(fmt.Sprint(n), 5000)
		s.Add(noon, r)
		if n%10 == 9 {
			flush(t, s)
		}
	}
	st := balanced(t, s)
	if st.Dropped[CauseBytes] < 300 || st.Written == 0 {
		t.Errorf("%+v", st)
	}
	_ = s.Close()
	if info, err := os.Stat(s.opt.Path); err != nil || info.Size() > most+most/5 {
		t.Errorf("%v, %v", info.Size(), err)
	}
}

// TestMemoryBound: while the disk takes nothing, rows wait, and then are dropped; equal ones need no room.
func TestMemoryBound(t *testing.T) {
	s, _ := open(t, Options{})
	s.flushing.Lock() // the disk
	defer s.flushing.Unlock()
	same := row("same.example", 1)
	s.Add(noon, same)
	n := 0
	for ; s.Stats().Dropped[CauseMemory] == 0 && n < 1000; n++ {
		r := row("example.com", n)
		r.MailFrom.Human = strings.Repeat("x", 60_000)
		s.Add(noon, r)
	}
	s.Add(noon, same)
	if st := balanced(t, s); n < 200 || n > 300 || st.Dropped[CauseMemory] != 1 {
		t.Errorf("after %d rows: %+v", n, st)
	}
	taken := s.takeBatch() // to be written, which fails
	for n := range 100 {
		r := row("other.example", n)
		r.MailFrom.Human = strings.Repeat("x", 60_000)
		s.Add(noon, r)
	}
	s.wrote(0, taken)
	if st := balanced(t, s); st.Dropped[CauseMemory] != 101 {
		t.Errorf("%+v", st)
	}
}

func TestInvalidRows(t *testing.T) {
	s, _ := open(t, Options{})
	s.Add(noon, row("", 1))
	s.Add(noon, row(strings.Repeat("a.", 150)+"example", 1))
	long := row("example.com", 1)
	long.HeaderFrom = strings.Repeat("x", maxRow)
	s.Add(noon, long)
	long = row("example.com", 1)
	long.Policy.URIs = []string{strings.Repeat("x", maxRow)}
	s.Add(noon, long)
	flush(t, s)
	if st := balanced(t, s); st.Dropped[CauseInvalid] != 4 || status(t, s).Dropped[CauseInvalid] != 4 || st.Written != 0 {
		t.Errorf("%+v", st)
	}
	most := row("example.com", 1)
	most.Signatures = nil
	name := strings.Repeat(strings.Repeat("a", 62)+".", 4)[:250]
	for range 100 {
		most.Signatures = append(most.Signatures, report.Signature{Domain: name, Selector: name, Result: authres.PermError})
	}
	s.Add(noon, most)
	flush(t, s)
	if st := balanced(t, s); st.Written != 1 {
		t.Errorf("a row of the greatest number of signatures: %+v", st)
	}
}

// TestKeepsNoMemoryOfTheMessage: what Add was given may change afterwards.
func TestKeepsNoMemoryOfTheMessage(t *testing.T) {
	s, _ := open(t, Options{})
	r := row("example.com", 1)
	s.Add(noon, r)
	r.Signatures[0].Domain, r.Policy.URIs[0], r.MailFrom.Domain = "changed", "changed", "changed"
	flush(t, s)
	if all := records(t, s, "example.com", noon); !reflect.DeepEqual(all[0].Row, row("example.com", 1)) {
		t.Errorf("%+v", all)
	}
}

// TestWritesByItself, after the interval, and at once when there is much.
func TestWritesByItself(t *testing.T) {
	s, _ := open(t, Options{Interval: 10 * time.Millisecond})
	s.Add(noon, row("example.com", 1))
	wait(t, "the interval", func() bool { return s.Stats().Written == 1 })
	s, _ = open(t, Options{})
	for n := range wakeAfter {
		s.Add(noon, row("example.com", n))
	}
	wait(t, "many rows", func() bool { return s.Stats().Written == wakeAfter })
}

// wait waits until something is so.
func wait(t testing.TB, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("in a minute it was not so: %s", what)
		}
	}
}

// TestCloseWrites what is in memory; then nothing is taken any more, and it says so.
func TestCloseWrites(t *testing.T) {
	s, _ := open(t, Options{})
	s.Add(noon, row("example.com", 1))
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	s.Add(noon, row("example.com", 2))
	if _, err := s.Status(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
	if st := balanced(t, s); st.Written != 1 || st.Dropped[CauseClosed] != 1 {
		t.Errorf("%+v", st)
	}
	again, _ := open(t, Options{Path: s.opt.Path, Existing: true})
	if all := records(t, again, "example.com", noon); len(all) != 1 {
		t.Errorf("%+v", all)
	}
}

// TestPermissions: the rows say who writes to whom's customers; nobody else reads them.
func TestPermissions(t *testing.T) {
	s, _ := open(t, Options{})
	s.Add(noon, row("example.com", 1))
	flush(t, s)
	for _, suffix := range suffixes {
		if info, err := os.Stat(s.opt.Path + suffix); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%q: %v, %v", suffix, info, err)
		}
	}
	if info, err := os.Stat(filepath.Dir(s.opt.Path)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	var mode int
	if err := s.use(t.Context(), func(db *sql.DB) error { return db.QueryRow("PRAGMA auto_vacuum").Scan(&mode) }); err != nil || mode != 2 {
		t.Errorf("auto_vacuum is %d, not incremental: %v", mode, err)
	}
}

// TestOptions: what is wrong with options is an error, and a command makes no file.
func TestOptions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows.db")
	for name, o := range map[string]Options{
		"no path": {}, "relative": {Path: "rows.db"}, "interval": {Path: path, Interval: -1}, "retention": {Path: path, Retention: -1},
		"log": {Path: path, Log: -1}, "rows": {Path: path, MaxRows: -1}, "report rows": {Path: path, MaxReportRows: -1}, "bytes": {Path: path, MaxBytes: -1},
	} {
		if s, err := Open(t.Context(), o); err == nil {
			t.Errorf("%s: no error", name)
			_ = s.Close()
		}
	}
	if s, err := Open(t.Context(), Options{Path: path, Existing: true}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, %v", s, err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) > 0 {
		t.Errorf("%v", left)
	}
}

// TestNewerSchema: a file of a later Assay is left as it is.
func TestNewerSchema(t *testing.T) {
	s, _ := open(t, Options{})
	s.Add(noon, row("example.com", 1))
	if err := s.use(t.Context(), func(db *sql.DB) error { _, err := db.Exec("PRAGMA user_version = 2"); return err }); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	if _, err := Open(t.Context(), Options{Path: s.opt.Path, Existing: true}); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("%v", err)
	}
	told := &observed{}
	late, _ := open(t, Options{Path: s.opt.Path, Observe: told.observe})
	late.Add(noon, row("example.com", 1))
	if err := late.Flush(t.Context()); err == nil || late.Stats().Waiting != 1 {
		t.Errorf("%v, %+v", err, late.Stats())
	}
	if all := told.all(); len(all) != 1 || !strings.Contains(all[0], "version 2") {
		t.Errorf("%q", all)
	}
	if err := late.Close(); err == nil || balanced(t, late).Dropped[CauseClosed] != 1 {
		t.Errorf("%v, %+v", err, late.Stats())
	}
}

// An observed is what Observe was told.
type observed struct {
	mu   sync.Mutex
	said []string
}

func (o *observed) observe(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil {
		o.said = append(o.said, "good")
		return
	}
	o.said = append(o.said, err.Error())
}

func (o *observed) all() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.said...)
}

// TestManyAtOnce: nothing is lost or counted twice when many add, while it is written and read by this and another opener.
func TestManyAtOnce(t *testing.T) {
	s, _ := open(t, Options{Interval: 5 * time.Millisecond})
	other, _ := open(t, Options{Path: s.opt.Path, Existing: true})
	const workers, each = 8, 300
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for n := range each {
				s.Add(noon, row(fmt.Sprintf("d%d.example", n%3), n/2+w%2))
			}
		})
	}
	wg.Go(func() {
		for range 20 {
			_ = other.Stats()
			if _, err := other.Status(t.Context()); err != nil {
				t.Error(err)
			}
			if _, err := other.Pending(t.Context(), noon.Add(dayLength)); err != nil {
				t.Error(err)
			}
			if err := other.Suppress(t.Context(), "a@example.com", "test"); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	flush(t, s)
	var messages int64
	for _, p := range due(t, other, noon.Add(dayLength)) {
		messages += p.Messages
	}
	if st := balanced(t, s); st.Written != workers*each || messages != workers*each {
		t.Errorf("%d messages: %+v", messages, st)
	}
	consistent(t, other)
}

// TestExpire: rows go after their retention, whether they were sent or not, the log later, and the file becomes smaller.
func TestExpire(t *testing.T) {
	s, c := open(t, Options{})
	for day := range 5 {
		for n := range 400 {
			s.Add(noon.Add(time.Duration(day)*dayLength), row(fmt.Sprintf("d%d.example", n%7), n))
		}
	}
	flush(t, s)
	c.set(noon.Add(4 * dayLength))
	sendTo(t, s, "d1.example", noon, "a@d1.example", Sent)
	sealOnly(t, s, "d2.example", noon, "a@d2.example")
	big := status(t, s)
	r, err := s.Expire(t.Context(), time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC).Add(-1))
	if err != nil || r.Rows != 0 {
		t.Fatalf("too early: %+v, %v", r, err)
	}
	r, err = s.Expire(t.Context(), time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC))
	if err != nil || r.Rows != 400 || r.Expired != 1 || r.Deliveries != 0 {
		t.Fatalf("first day: %+v, %v", r, err)
	}
	st := status(t, s)
	if st.Rows != 1600 || len(st.Days) != 4 || st.Deliveries[Sent] != 1 || st.Deliveries[Expired] != 1 || st.Deliveries[Waiting] != 0 {
		t.Errorf("%+v", st)
	}
	if r, err = s.Expire(t.Context(), noon.Add(20*dayLength)); err != nil || r.Rows != 1600 || r.Deliveries != 0 {
		t.Errorf("all days: %+v, %v", r, err)
	}
	if r, err = s.Expire(t.Context(), noon.Add(40*dayLength)); err != nil || r.Deliveries != 2 {
		t.Errorf("the log: %+v, %v", r, err)
	}
	if st = status(t, s); st.Rows != 0 || len(st.Days) != 0 || st.Bytes > big.Bytes/5 || st.Bytes > 200_000 {
		t.Errorf("%d octets before, now %+v", big.Bytes, st)
	}
	c.set(noon.Add(4 * dayLength))
	s.Add(noon, row("d1.example", 1)) // about a day whose report was sent
	flush(t, s)
	if b := balanced(t, s); b.Dropped[CauseLate] != 1 || status(t, s).Rows != 0 {
		t.Errorf("%+v", b)
	}
}

// TestHalfExpired: a report of which rows are missing is not sent.
func TestHalfExpired(t *testing.T) {
	s, _ := open(t, Options{})
	for n := range 10 {
		s.Add(noon, row("example.com", n))
	}
	flush(t, s)
	var r Removed
	err := s.write(t.Context(), func(tx *sql.Tx) error {
		_, err := r.days(t.Context(), tx, noon.Unix(), 7)
		return err
	})
	if err != nil || r.Rows != 7 || len(records(t, s, "example.com", noon)) != 3 {
		t.Fatalf("%+v, %v", r, err)
	}
	if all := due(t, s, tomorrow); len(all) != 0 {
		t.Errorf("%+v", all)
	}
	if r, err := s.Expire(t.Context(), tomorrow.Add(10*dayLength)); err != nil || r.Rows != 3 {
		t.Errorf("%+v, %v", r, err)
	}
	consistent(t, s)
}

// TestClockIsSetBack over the end of the retention: a report that was sent is not sent again.
func TestClockIsSetBack(t *testing.T) {
	s, c := filled(t)
	sendTo(t, s, "example.com", noon, "a@example.com", Sent)
	if r, err := s.Expire(t.Context(), tomorrow.Add(10*dayLength)); err != nil || r.Rows != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	c.set(tomorrow)
	s.Add(noon, row("example.com", 1))
	flush(t, s)
	if all := sealOnly(t, s, "example.com", noon, "a@example.com"); len(all) != 1 || all[0].State != Sent {
		t.Errorf("%+v", all)
	}
	if len(due(t, s, tomorrow)) != 0 {
		t.Error("it is to be sent again")
	}
}

// TestFailedWriteIsJoined with what has come meanwhile, whichever is more; the last policy stays the last one.
func TestFailedWriteIsJoined(t *testing.T) {
	for _, test := range []struct{ before, meanwhile int }{{1, 50}, {50, 1}, {30, 30}} {
		s, _ := open(t, Options{})
		s.Add(noon, row("same.example", 1))
		for n := range test.before {
			s.Add(noon, row("example.com", n))
		}
		taken := s.takeBatch()
		last := row("same.example", 1)
		last.Policy.P = dmarc.PolicyNone
		s.Add(noon.Add(time.Second), last)
		for n := range test.meanwhile {
			s.Add(noon, row("example.com", n))
		}
		if st := balanced(t, s); st.Waiting != int64(test.before+test.meanwhile+2) {
			t.Errorf("while it is written: %+v", st)
		}
		s.wrote(0, taken)
		balanced(t, s)
		flush(t, s)
		if st := balanced(t, s); st.Written != int64(test.before+test.meanwhile+2) {
			t.Errorf("%+v", st)
		}
		for n, r := range records(t, s, "example.com", noon) {
			if want := n < min(test.before, test.meanwhile); (r.Count == 2) != want || r.Count > 2 {
				t.Errorf("%+v: record %d counts %d", test, n, r.Count)
			}
		}
		if all := records(t, s, "same.example", noon); len(all) != 1 || all[0].Count != 2 || all[0].Row.Policy.P != dmarc.PolicyNone {
			t.Errorf("%+v", all)
		}
	}
}

// TestSplit: every message is in one of the parts, and what is known about them is true.
func TestSplit(t *testing.T) {
	for _, n := range []int{1, 7, 30, 59, 60, 1000} {
		s, _ := open(t, Options{})
		for i := range 60 {
			s.Add(noon, row(fmt.Sprintf("d%d.example", i%3), i/2))
		}
		whole := s.takeBatch()
		part, rest := whole.split(n)
		rows, messages := 0, int64(0)
		for _, b := range []*batch{part, rest} {
			for _, day := range b.days {
				if rows += len(day.rows); !day.asks || day.policy == "" {
					t.Errorf("%d: a day without a policy", n)
				}
				for _, count := range day.rows {
					messages += count
				}
			}
		}
		if rows != whole.rows || messages != whole.messages || part.rows > n || rest.rows != whole.rows-part.rows || n >= whole.rows && len(rest.days) > 0 {
			t.Errorf("%d: %d rows of %d, %d messages of %d, %d and %d", n, rows, whole.rows, messages, whole.messages, part.rows, rest.rows)
		}
		var left int64
		size := 0
		for key, day := range rest.days {
			size += len(day.policy) + rowCost
			for text, count := range rest.days[key].rows {
				left, size = left+count, size+len(text)+rowCost
			}
		}
		if left != rest.messages || size != rest.size {
			t.Errorf("%d: the rest has %d messages in %d octets, and says %d in %d", n, left, size, rest.messages, rest.size)
		}
	}
}

// TestStatusIsJSON: a command prints it.
func TestStatusIsJSON(t *testing.T) {
	s, _ := open(t, Options{})
	text, err := json.Marshal(status(t, s))
	if err != nil || strings.Contains(string(text), "oldest") || !strings.Contains(string(text), `"rows":0`) {
		t.Errorf("%s, %v", text, err)
	}
}
