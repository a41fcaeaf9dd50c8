package health

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// answers is a check that says what a test wants it to.
type answers struct {
	err   atomic.Pointer[error]
	asked atomic.Int32
}

func (a *answers) fail(err error) { a.err.Store(&err) }

func (a *answers) run(context.Context) (string, error) {
	a.asked.Add(1)
	if e := a.err.Load(); e != nil && *e != nil {
		return "", *e
	}
	return "fine", nil
}

// Checks run at once and then every ten seconds, whoever asks gets the last answers, and the observer hears of changes.
func TestMonitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slow answers
		var changes []string
		rounds := 0
		m := New([]Check{{Name: "slow", Run: slow.run}}, Options{Now: time.Now, Observe: func(r Report, changed []Result) {
			rounds++
			for _, c := range changed {
				changes = append(changes, c.Name+" "+c.Detail)
			}
		}})
		if r := m.Report(); r.Ready || r.Checks[0].Detail != "not checked yet" {
			t.Errorf("before the first check: %+v", r)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go m.Run(ctx)
		<-m.First()
		for range 1000 {
			if r := m.Report(); !r.Ready || r.Checks[0].Detail != "fine" || r.Err() != nil {
				t.Fatalf("report %+v", r)
			}
		}
		if n := slow.asked.Load(); n != 1 {
			t.Errorf("a thousand questions led to %d checks", n)
		}
		began := time.Now()
		slow.fail(errors.New("gone\nfor\x00ever"))
		time.Sleep(11 * time.Second)
		r := m.Report()
		if r.Ready || r.Checks[0].Detail != "gone for ever" || r.Checks[0].Since.Sub(began) != 10*time.Second || r.Err().Error() != "slow: gone for ever" {
			t.Errorf("report %+v, %v", r, r.Err())
		}
		time.Sleep(30 * time.Second)
		if again := m.Report(); !again.Checks[0].Since.Equal(r.Checks[0].Since) || !again.Checks[0].Checked.After(r.Checks[0].Checked) {
			t.Errorf("since and checked: %+v", again)
		}
		slow.fail(nil)
		time.Sleep(10 * time.Second)
		cancel()
		synctest.Wait()
		if got := strings.Join(changes, "; "); got != "slow gone for ever; slow fine" || rounds != 6 {
			t.Errorf("heard %q in %d rounds", got, rounds)
		}
	})
}

// A check that hangs has failed after its time, is not started a second time, and comes back when it ends.
func TestHangingCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan bool)
		var started atomic.Int32
		m := New([]Check{{Name: "disk", Run: func(context.Context) (string, error) {
			started.Add(1)
			<-release // whatever the context says, as a dead file server does
			return "fine", nil
		}}}, Options{Now: time.Now})
		ctx, cancel := context.WithCancel(t.Context())
		go m.Run(ctx)
		time.Sleep(6 * time.Second)
		if r := m.Report(); r.Ready || r.Checks[0].Detail != "no answer within 5s" {
			t.Errorf("report %+v", r)
		}
		time.Sleep(time.Minute)
		if r := m.Report(); r.Checks[0].Detail != "still no answer after 5s" || started.Load() != 1 {
			t.Errorf("report %+v, started %d times", r, started.Load())
		}
		close(release)
		time.Sleep(20 * time.Second)
		if r := m.Report(); !r.Ready {
			t.Errorf("report %+v", r)
		}
		cancel()
		synctest.Wait()
	})
}

// What is only in memory is answered as it is now, and a check that panics has failed.
func TestInstant(t *testing.T) {
	var now answers
	m := New([]Check{{Name: "rules", Run: now.run, Instant: true}}, Options{Now: time.Now})
	if r := m.Report(); !r.Ready {
		t.Errorf("report %+v", r)
	}
	now.fail(errors.New("fallback"))
	if r := m.Report(); r.Ready || r.Checks[0].Detail != "fallback" {
		t.Errorf("report %+v", r)
	}
	m = New([]Check{{Name: "x", Run: func(context.Context) (string, error) { panic("oh") }, Instant: true}}, Options{Now: time.Now})
	if r := m.Report(); r.Ready || r.Checks[0].Detail != "the check panicked: oh" {
		t.Errorf("report %+v", r)
	}
}

// The heart stands still when a beat does not end.
func TestHeart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan bool)
		var hang atomic.Bool
		h := NewHeart(time.Second, time.Now, func() {
			if hang.Load() {
				<-stuck
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		go h.Run(ctx)
		time.Sleep(time.Hour)
		if err := h.Alive(); err != nil {
			t.Error(err)
		}
		hang.Store(true)
		time.Sleep(10 * time.Second)
		if err := h.Alive(); err != nil {
			t.Errorf("too early: %v", err)
		}
		time.Sleep(10 * time.Second)
		if err := h.Alive(); err == nil {
			t.Error("it is said to be alive")
		}
		hang.Store(false)
		close(stuck)
		time.Sleep(2 * time.Second)
		if err := h.Alive(); err != nil {
			t.Errorf("it does not recover: %v", err)
		}
		cancel()
		synctest.Wait()
	})
}

func TestDisk(t *testing.T) {
	dir := t.TempDir()
	if free, err := Disk(filepath.Join(dir, "not", "made", "yet"), 1); err != nil || free <= 0 {
		t.Errorf("%d, %v", free, err)
	}
	if _, err := Disk(dir, 1<<60); err == nil || !strings.Contains(err.Error(), "MiB of free space, and should have") {
		t.Errorf("%v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Disk(file, 0); err == nil || !strings.Contains(err.Error(), "is not a directory") {
		t.Errorf("%v", err)
	}
	if _, err := Disk("/proc/1", 0); err == nil {
		t.Error("/proc can be written to")
	}
}

// The pages: a draining daemon is alive and not ready.
func TestPages(t *testing.T) {
	var drained, dns answers
	alive := error(nil)
	m := New([]Check{{Name: Draining, Run: drained.run, Instant: true}, {Name: "dns", Run: dns.run, Instant: true}}, Options{Now: time.Now})
	mux := http.NewServeMux()
	Pages(mux, m.Report, func() error { return alive })
	get := func(page string) (int, string) {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", page, nil))
		if w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be cached", page)
		}
		return w.Code, w.Body.String()
	}
	want := func(page string, code int, text string) {
		t.Helper()
		if c, b := get(page); c != code || b != text {
			t.Errorf("%s: %d %q, want %d %q", page, c, b, code, text)
		}
	}
	want("/livez", 200, "ok\n")
	want("/healthz", 200, "ok\n")
	want("/readyz", 200, "ok     draining: fine\nok     dns: fine\n")
	dns.fail(errors.New("no DNS server answers"))
	want("/livez", 200, "ok\n")
	want("/healthz", 503, "dns: no DNS server answers\n")
	want("/readyz", 503, "ok     draining: fine\nFAILED dns: no DNS server answers\n")
	drained.fail(errors.New("stopping"))
	want("/healthz", 503, "draining\n")
	want("/livez", 200, "ok\n")
	alive = errors.New("no progress for 20s")
	want("/livez", 503, "no progress for 20s\n")
	want("/livez?format=json", 503, "{\"alive\":false}\n")
	code, text := get("/readyz?format=json")
	var r Report
	if err := json.Unmarshal([]byte(text), &r); err != nil || code != 503 || r.Ready || len(r.Checks) != 2 || r.Checks[1].Name != "dns" || r.Checks[1].OK {
		t.Errorf("%d %s, %v", code, text, err)
	}
}
