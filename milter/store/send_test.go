package store

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"assay/verify/dmarc/report"
)

// lock makes the test the sender.
func lock(t testing.TB, s *Store) *Sender {
	t.Helper()
	l, err := s.Lock(t.Context(), t.Name())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// sealOnly seals a report and returns its deliveries.
func sealOnly(t testing.TB, s *Store, domain string, at time.Time, addresses ...string) []Delivery {
	t.Helper()
	l := lock(t, s)
	all, err := l.Seal(t.Context(), Report{domain, report.Day(at), "id-" + domain, addresses})
	if err := errors.Join(err, l.Unlock(t.Context())); err != nil {
		t.Fatal(err)
	}
	return all
}

// sendTo makes one attempt for each address, which ends in a state.
func sendTo(t testing.TB, s *Store, domain string, at time.Time, address string, end State) {
	t.Helper()
	sealOnly(t, s, domain, at, address)
	l := lock(t, s)
	d, err := l.Begin(t.Context(), Delivery{Domain: domain, Period: report.Day(at), Address: address})
	if err == nil {
		err = l.Finish(t.Context(), d, Outcome{State: end})
	}
	if err := errors.Join(err, l.Unlock(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// tomorrow is after the day of noon.
var tomorrow = noon.Add(dayLength)

// filled returns a store with a report that is due.
func filled(t testing.TB) (*Store, *clock) {
	t.Helper()
	s, c := open(t, Options{})
	s.Add(noon, row("example.com", 1))
	flush(t, s)
	c.set(tomorrow)
	return s, c
}

// TestSend is the life of a report to two addresses, one of which does not work at first.
func TestSend(t *testing.T) {
	s, c := filled(t)
	if all := due(t, s, tomorrow); len(all) != 1 || all[0].ReportID != "" {
		t.Fatalf("%+v", all)
	}
	l := lock(t, s)
	all, err := l.Seal(t.Context(), Report{"Example.COM", report.Day(noon), "first", []string{"b@Example.net", "a@example.com", "b@example.NET"}})
	if err != nil || len(all) != 2 || all[0].Address != "a@example.com" || all[1].Address != "b@example.net" || all[0].State != Waiting || all[0].ReportID != "first" {
		t.Fatalf("%+v, %v", all, err)
	}
	again, err := l.Seal(t.Context(), Report{"example.com", report.Day(noon), "second", []string{"c@example.org"}})
	if err != nil || !reflect.DeepEqual(again, all) {
		t.Fatalf("sealed again: %+v, %v", again, err)
	}
	a, err := l.Begin(t.Context(), all[0])
	if err != nil || a.Attempts != 1 || a.Next.Sub(tomorrow) != firstRetry {
		t.Fatalf("%+v, %v", a, err)
	}
	if err := l.Finish(t.Context(), a, Outcome{State: Sent}); err != nil {
		t.Fatal(err)
	}
	b, err := l.Begin(t.Context(), all[1])
	if err == nil {
		err = l.Finish(t.Context(), b, Outcome{Waiting, "451 4.3.0\r\nlater"})
	}
	if err != nil {
		t.Fatal(err)
	}
	if all := due(t, s, tomorrow); len(all) != 0 {
		t.Errorf("before the next attempt: %+v", all)
	}
	c.set(tomorrow.Add(firstRetry))
	if all := due(t, s, c.now()); len(all) != 1 || all[0].ReportID != "first" {
		t.Errorf("after that: %+v", all)
	}
	if b, err = l.Begin(t.Context(), b); err != nil || b.Attempts != 2 || b.Error != "451 4.3.0  later" || b.ReportID != "first" {
		t.Fatalf("%+v, %v", b, err)
	}
	if err := l.Finish(t.Context(), b, Outcome{State: Sent}); err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		if _, err := l.Begin(t.Context(), d); !errors.Is(err, ErrFinal) {
			t.Errorf("%s is sent again: %v", d.Address, err)
		}
	}
	c.set(tomorrow.Add(dayLength))
	if st := status(t, s); len(due(t, s, c.now())) != 0 || st.Deliveries[Sent] != 2 || st.Pending != 0 || st.Sender != "" {
		t.Errorf("%+v", st)
	}
}

// TestSealedDayTakesNoRows: a report that is sent again has the content that it had.
func TestSealedDayTakesNoRows(t *testing.T) {
	s, _ := filled(t)
	before := records(t, s, "example.com", noon)
	sealOnly(t, s, "example.com", noon, "a@example.com")
	late := row("example.com", 2)
	late.Policy.URIs = []string{"mailto:other@example.com"}
	s.Add(noon.Add(time.Hour), late)
	s.Add(noon.Add(time.Hour), row("example.com", 1))
	s.Add(tomorrow, row("example.com", 1)) // of the next day
	flush(t, s)
	if after := records(t, s, "example.com", noon); !reflect.DeepEqual(after, before) {
		t.Errorf("%+v", after)
	}
	if st := balanced(t, s); st.Dropped[CauseLate] != 2 || st.Written != 2 {
		t.Errorf("%+v", st)
	}
}

// TestSealRefuses what cannot be sent.
func TestSealRefuses(t *testing.T) {
	s, c := filled(t)
	l := lock(t, s)
	good := Report{"example.com", report.Day(noon), "id", []string{"a@example.com"}}
	for name, change := range map[string]func(r *Report){
		"no id": func(r *Report) { r.ID = "" }, "no address": func(r *Report) { r.Addresses = []string{"example.com"} },
		"no local part": func(r *Report) { r.Addresses = []string{"@example.com"} }, "no domain": func(r *Report) { r.Addresses = []string{"a@"} },
		"too many": func(r *Report) { r.Addresses = make([]string, 101) }, "part of a day": func(r *Report) { r.Period.End = noon },
		"no rows": func(r *Report) { r.Domain = "example.org" },
	} {
		bad := good
		change(&bad)
		if all, err := l.Seal(t.Context(), bad); err == nil {
			t.Errorf("%s: %+v", name, all)
		}
	}
	c.set(tomorrow.Add(-13 * time.Hour))
	if _, err := l.Seal(t.Context(), good); !errors.Is(err, ErrNotDue) {
		t.Errorf("before the day is over: %v", err)
	}
	c.set(tomorrow)
	if len(due(t, s, tomorrow)) != 1 {
		t.Error("something was sealed")
	}
	if all, err := l.Seal(t.Context(), Report{"example.com", report.Day(noon), "id", nil}); err != nil || len(all) != 0 || len(due(t, s, tomorrow)) != 0 {
		t.Errorf("without addresses: %+v, %v", all, err)
	}
}

// TestOneSender: a second one is told who is sending, until that one ends or is silent.
func TestOneSender(t *testing.T) {
	s, c := filled(t)
	other, _ := open(t, Options{Path: s.opt.Path, Existing: true, Now: c.now})
	first, err := s.Lock(t.Context(), "daemon 1234")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Lock(t.Context(), "command"); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "daemon 1234") {
		t.Fatalf("%v", err)
	}
	if st := status(t, other); st.Sender != "daemon 1234" {
		t.Errorf("%+v", st)
	}
	all, err := first.Seal(t.Context(), Report{"example.com", report.Day(noon), "id", []string{"a@example.com", "b@example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	c.set(tomorrow.Add(lease - time.Second))
	a, err := first.Begin(t.Context(), all[0]) // prolongs it
	if err != nil {
		t.Fatal(err)
	}
	c.set(tomorrow.Add(lease + time.Second))
	if _, err := other.Lock(t.Context(), "command"); !errors.Is(err, ErrBusy) {
		t.Fatalf("while it works: %v", err)
	}
	c.set(tomorrow.Add(2 * lease))
	second, err := other.Lock(t.Context(), "command")
	if err != nil {
		t.Fatalf("after it has died: %v", err)
	}
	if _, err := first.Begin(t.Context(), all[1]); !errors.Is(err, ErrBusy) {
		t.Errorf("the first one goes on: %v", err)
	}
	if err := first.Finish(t.Context(), a, Outcome{Failed, "x"}); !errors.Is(err, ErrBusy) {
		t.Errorf("the first one goes on: %v", err)
	}
	if err := first.Finish(t.Context(), a, Outcome{State: Sent}); err != nil {
		t.Errorf("what was sent was sent: %v", err)
	}
	if _, err := second.Begin(t.Context(), all[0]); !errors.Is(err, ErrFinal) {
		t.Errorf("what was sent is sent again: %v", err)
	}
	if err := first.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lock(t.Context(), "third"); !errors.Is(err, ErrBusy) {
		t.Errorf("the lock of another one was opened: %v", err)
	}
	if err := second.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	lock(t, s)
	c.set(noon.Add(-365 * dayLength))
	lock(t, s) // the clock was set back: nobody holds a lock for a year
}

// TestSenderDies between Begin and Finish: the report is due again, with the same id, and not at once.
func TestSenderDies(t *testing.T) {
	s, c := filled(t)
	d := sealOnly(t, s, "example.com", noon, "a@example.com")[0]
	l := lock(t, s)
	died, err := l.Begin(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	c.set(tomorrow.Add(lease))
	l = lock(t, s)
	if _, err := l.Begin(t.Context(), d); !errors.Is(err, ErrNotDue) {
		t.Errorf("%v", err)
	}
	if n, err := s.Retry(t.Context()); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	again, err := l.Begin(t.Context(), d)
	if err != nil || again.ReportID != died.ReportID || again.Attempts != 2 {
		t.Errorf("%+v, %v", again, err)
	}
	if err := l.Finish(t.Context(), died, Outcome{Failed, "late"}); !errors.Is(err, ErrFinal) {
		t.Errorf("the end of an attempt that is long over: %v", err)
	}
}

// TestFinalStates: whatever ends a delivery ends it for good; what is no state is none.
func TestFinalStates(t *testing.T) {
	for _, state := range []State{Sent, Failed, Suppressed, Refused, Expired} {
		s, _ := filled(t)
		sendTo(t, s, "example.com", noon, "a@example.com", state)
		l := lock(t, s)
		d := Delivery{Domain: "example.com", Period: report.Day(noon), Address: "a@example.com"}
		if _, err := l.Begin(t.Context(), d); !errors.Is(err, ErrFinal) {
			t.Errorf("%s: %v", state, err)
		}
		if all, err := s.Deliveries(t.Context(), state, 10); err != nil || len(all) != 1 || all[0].State != state {
			t.Errorf("%s: %+v, %v", state, all, err)
		}
		if len(due(t, s, tomorrow)) != 0 {
			t.Errorf("%s is due", state)
		}
		for _, bad := range []State{"", "done"} {
			if err := l.Finish(t.Context(), d, Outcome{State: bad}); err == nil {
				t.Errorf("%q is a state", bad)
			}
		}
		d.Address = "b@example.com"
		if _, err := l.Begin(t.Context(), d); !errors.Is(err, ErrNotFound) {
			t.Errorf("a delivery that nobody wants: %v", err)
		}
	}
}

// TestDeliveriesOrder: newest first, bounded.
func TestDeliveriesOrder(t *testing.T) {
	s, c := open(t, Options{})
	for n := range 5 {
		s.Add(noon, row(fmt.Sprintf("d%d.example", n), n))
	}
	flush(t, s)
	for n := range 5 {
		c.set(tomorrow.Add(time.Duration(n) * time.Minute))
		sendTo(t, s, fmt.Sprintf("d%d.example", n), noon, "a@example.com", Sent)
	}
	all, err := s.Deliveries(t.Context(), "", 3)
	if err != nil || len(all) != 3 || all[0].Domain != "d4.example" || all[2].Domain != "d2.example" {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestBackoff(t *testing.T) {
	last := time.Duration(0)
	for n := range 1000 {
		b := backoff(n)
		if b < firstRetry || b > lastRetry || b < last {
			t.Fatalf("attempt %d: %v", n, b)
		}
		last = b
	}
	if backoff(1) != firstRetry || backoff(2) != 2*firstRetry || last != lastRetry {
		t.Errorf("%v %v %v", backoff(1), backoff(2), last)
	}
}

// TestSuppressions: which pattern forbids what.
func TestSuppressions(t *testing.T) {
	s, _ := open(t, Options{})
	for _, p := range []string{"Dead@Example.com", "example.net", "*.example.org", "sub.example.org", "exact.Example.edu."} {
		if err := s.Suppress(t.Context(), p, "bounced\n550"); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ domain, address, want string }{
		{"a.test", "alive@example.com", ""},
		{"a.test", "dead@example.com", "dead@example.com"},
		{"a.test", "DEAD@EXAMPLE.COM", "dead@example.com"},
		{"a.test", "x@example.net", "example.net"},
		{"a.test", "x@sub.example.net", ""},
		{"example.net", "x@a.test", "example.net"},
		{"sub.example.net", "x@a.test", ""},
		{"a.test", "x@example.org", ""},
		{"a.test", "x@deep.down.example.org", "*.example.org"},
		{"a.test", "x@sub.example.org", "*.example.org"},
		{"deep.example.org", "x@a.test", "*.example.org"},
		{"a.test", "x@notexample.org", ""},
		{"exact.example.edu", "x@a.test", "exact.example.edu"},
		{"", "", ""},
		{"a.test", "dead@example.com@a.test", ""},
	} {
		found, err := s.Suppressed(t.Context(), test.domain, test.address)
		if err != nil {
			t.Fatal(err)
		}
		if got := pattern(found); got != test.want {
			t.Errorf("%s to %s: %q, want %q", test.domain, test.address, got, test.want)
		}
	}
	all, err := s.Suppressions(t.Context())
	if err != nil || len(all) != 5 || all[0].Pattern != "*.example.org" || all[0].Reason != "bounced 550" || !all[0].Added.Equal(noon) {
		t.Errorf("%+v, %v", all, err)
	}
	if err := s.Unsuppress(t.Context(), "EXAMPLE.net"); err != nil {
		t.Error(err)
	}
	if err := s.Unsuppress(t.Context(), "example.net"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if st := status(t, s); st.Suppressed != 4 {
		t.Errorf("%+v", st)
	}
}

// pattern returns that of a suppression.
func pattern(found *Suppression) string {
	if found == nil {
		return ""
	}
	return found.Pattern
}

func TestPatternsThatAreNone(t *testing.T) {
	for _, bad := range []string{"", ".", "*", "*.", "*@example.com", "@example.com", "a@", "a@*.example.com", "exa mple.com", "a b@example.com", "ex..ample", "*.*.example.com",
		"bücher.example", "a@b\n.example", "%", strings.Repeat("a", 64) + ".example", strings.Repeat("a.", 127) + "example", strings.Repeat("a", 65) + "@example.com"} {
		got, err := normalPattern(bad)
		if bad == "*@example.com" { // a local part may be an asterisk
			if err != nil {
				t.Error(err)
			}
			continue
		}
		if err == nil {
			t.Errorf("%q is %q", bad, got)
		}
	}
}

// TestSuppressedReport: a suppression ends the delivery, also one that was sealed before.
func TestSuppressedReport(t *testing.T) {
	s, _ := filled(t)
	all := sealOnly(t, s, "example.com", noon, "a@example.net", "b@example.org")
	if err := s.Suppress(t.Context(), "example.net", "loop"); err != nil {
		t.Fatal(err)
	}
	l := lock(t, s)
	if _, err := l.Begin(t.Context(), all[0]); !errors.Is(err, ErrSuppressed) || !strings.Contains(err.Error(), "loop") {
		t.Errorf("%v", err)
	}
	if _, err := l.Begin(t.Context(), all[1]); err != nil {
		t.Error(err)
	}
	if got, err := s.Deliveries(t.Context(), Suppressed, 10); err != nil || len(got) != 1 || got[0].Error != "example.net: loop" || got[0].Attempts != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

// FuzzSuppress: a pattern that is accepted is stored as it is looked for: it forbids itself, or what is below.
func FuzzSuppress(f *testing.F) {
	for _, seed := range []string{"a@example.com", "example.com", "*.example.com", "*.", "A.b@C.d.", " x.y "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, given string) {
		p, err := normalPattern(given)
		if err != nil {
			return
		}
		if again, err := normalPattern(p); err != nil || again != p {
			t.Fatalf("%q is %q, and that is %q: %v", given, p, again, err)
		}
		domain, address := strings.TrimPrefix(p, "*."), ""
		if domain != p {
			domain = "x." + domain
		}
		if strings.Contains(p, "@") {
			domain, address = "a.test", p
		}
		for _, one := range patternsOf(domain, address) {
			if one == p {
				return
			}
		}
		t.Fatalf("%q forbids nothing", p)
	})
}
