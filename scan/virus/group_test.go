package virus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

// An engine answers as it is told.
type engine struct {
	mu      sync.Mutex
	verdict Verdict
	err     error
	asked   int
	read    string
	health  Health
	wait    chan struct{} // Scan waits for it
	entered chan struct{} // and says here that it does
}

func (e *engine) Scan(_ context.Context, _ string, r io.Reader) (Verdict, error) {
	content, err := io.ReadAll(r)
	if e.wait != nil {
		e.entered <- struct{}{}
		<-e.wait
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked++
	e.read = string(content)
	if err != nil {
		return Verdict{}, fmt.Errorf("engine: %w", err)
	}
	return e.verdict, e.err
}

func (e *engine) Check(context.Context, int64) (Health, error) { return e.health, e.err }

func (e *engine) set(v Verdict, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.verdict, e.err = v, err
}

// A clock is set by the test.
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

func newGroup(t *testing.T, opt Options, engines ...*engine) (*Group, *clock) {
	t.Helper()
	c := &clock{t: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	opt.Now = c.now
	for i, e := range engines {
		opt.Engines = append(opt.Engines, Named{Name: string(rune('a' + i)), Engine: e})
	}
	g, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return g, c
}

func open(s string) Open { return func() (io.Reader, error) { return strings.NewReader(s), nil } }

var errDown = errors.New("down")

func TestModes(t *testing.T) {
	clean, found := &engine{verdict: Verdict{Kind: Clean}}, &engine{verdict: Verdict{Infected, "X"}}
	locked, limit := &engine{verdict: Verdict{Encrypted, "E"}}, &engine{verdict: Verdict{Uninspectable, "L"}}
	macros, down := &engine{verdict: Verdict{Macros, "M"}}, &engine{err: errDown}
	large, refused := &engine{err: fmt.Errorf("x: %w", ErrTooLarge)}, &engine{err: fmt.Errorf("x: %w", ErrRefused)}
	odd, silent := &engine{verdict: Verdict{Kind: "fine"}}, &engine{}
	tooLarge := Verdict{Uninspectable, "larger than the virus scanner takes"}
	for _, tt := range []struct {
		name    string
		mode    Mode
		engines []*engine
		want    Verdict
		err     string
	}{
		{"the first answers", First, []*engine{clean, found}, Verdict{Kind: Clean}, ""},
		{"the second stands in", First, []*engine{down, found}, Verdict{Infected, "X"}, ""},
		{"the second takes more", First, []*engine{large, clean}, Verdict{Kind: Clean}, ""},
		{"the second is less choosy", First, []*engine{refused, clean}, Verdict{Kind: Clean}, ""},
		{"nobody", First, []*engine{down, refused}, Verdict{}, "a: down\nb: x: the virus scanner refuses the content"},
		{"too large for all", First, []*engine{large, large}, tooLarge, ""},
		{"too large for one, the other is down", First, []*engine{large, down}, Verdict{}, "b: down"},
		{"an unknown verdict is none", First, []*engine{odd, silent}, Verdict{}, "a: unknown verdict \"fine\"\nb: unknown verdict \"\""},
		{"all are clean", All, []*engine{clean, clean}, Verdict{Kind: Clean}, ""},
		{"one finds", All, []*engine{clean, found, locked}, Verdict{Infected, "X"}, ""},
		{"one finds, one is down", All, []*engine{down, found}, Verdict{Infected, "X"}, ""},
		{"one is clean, one is down", All, []*engine{clean, down}, Verdict{}, "b: down"},
		{"the limit is worse than encryption", All, []*engine{locked, limit, macros}, Verdict{Uninspectable, "L"}, ""},
		{"encryption is worse than macros", All, []*engine{macros, locked, clean}, Verdict{Encrypted, "E"}, ""},
		{"too large for one of them", All, []*engine{clean, large}, tooLarge, ""},
		{"too large for one, another finds", All, []*engine{found, large}, Verdict{Infected, "X"}, ""},
		{"too large for one, another is down", All, []*engine{down, large}, Verdict{}, "a: down"},
		{"an unknown verdict beside a clean one", All, []*engine{clean, odd}, Verdict{}, "b: unknown verdict \"fine\""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, _ := newGroup(t, Options{Mode: tt.mode}, tt.engines...)
			v, err := g.Scan(t.Context(), "", open("content"))
			got := ""
			if err != nil {
				got = err.Error()
			}
			if v != tt.want || got != tt.err {
				t.Errorf("%+v, %q; want %+v, %q", v, got, tt.want, tt.err)
			}
		})
	}
}

func TestEveryEngineReadsEverything(t *testing.T) {
	a, b := &engine{err: errDown}, &engine{verdict: Verdict{Kind: Clean}}
	g, _ := newGroup(t, Options{}, a, b)
	if _, err := g.Scan(t.Context(), "", open("content")); err != nil || a.read != "content" || b.read != "content" {
		t.Errorf("%q, %q, %v", a.read, b.read, err)
	}
}

func TestMaxSize(t *testing.T) {
	e := &engine{verdict: Verdict{Kind: Clean}}
	g, _ := newGroup(t, Options{MaxSize: 10}, e)
	for _, tt := range []struct {
		size  int
		want  Kind
		asked int // when the size is known
	}{{0, Clean, 1}, {10, Clean, 1}, {11, Uninspectable, 0}, {100_000, Uninspectable, 0}} {
		content := make([]byte, tt.size)
		e.asked = 0
		v, err := g.Scan(t.Context(), "", func() (io.Reader, error) { return bytes.NewReader(content), nil })
		if v.Kind != tt.want || err != nil || e.asked != tt.asked {
			t.Errorf("%d: %v, %v, asked %d times", tt.size, v, err, e.asked)
		}
		v, err = g.Scan(t.Context(), "", func() (io.Reader, error) { return io.MultiReader(bytes.NewReader(content)), nil })
		if v.Kind != tt.want || err != nil {
			t.Errorf("%d, size unknown: %v, %v", tt.size, v, err)
		}
	}
	if s := g.Status()[0]; !s.Up || s.Error != "" {
		t.Errorf("a content that is too large counts against the engine: %+v", s)
	}
}

func TestUnreadableContentIsNobodysFault(t *testing.T) {
	broken := errors.New("disk on fire")
	for _, mode := range []Mode{First, All} {
		a, b := &engine{verdict: Verdict{Kind: Clean}}, &engine{verdict: Verdict{Kind: Clean}}
		g, _ := newGroup(t, Options{Mode: mode}, a, b)
		for _, open := range []Open{
			func() (io.Reader, error) { return nil, broken },
			func() (io.Reader, error) { return io.MultiReader(strings.NewReader("half"), failing{broken}), nil },
		} {
			if v, err := g.Scan(t.Context(), "", open); !errors.Is(err, broken) || v != (Verdict{}) {
				t.Errorf("%s: %v, %v", mode, v, err)
			}
		}
		for _, s := range g.Status() {
			if !s.Up || s.Error != "" {
				t.Errorf("%s: %+v", mode, s)
			}
		}
	}
}

// TestSwallowedError has an engine that takes what it could read for everything.
func TestSwallowedError(t *testing.T) {
	g, _ := newGroup(t, Options{Engines: []Named{{Name: "careless", Engine: careless{}}}, MaxSize: 10})
	broken := errors.New("disk on fire")
	half := func() (io.Reader, error) { return io.MultiReader(strings.NewReader("half"), failing{broken}), nil }
	if v, err := g.Scan(t.Context(), "", half); !errors.Is(err, broken) {
		t.Errorf("half a content: %v, %v", v, err)
	}
	long := func() (io.Reader, error) { return io.MultiReader(strings.NewReader("more than ten")), nil }
	if v, err := g.Scan(t.Context(), "", long); v.Kind != Uninspectable || err != nil {
		t.Errorf("a content that is too large: %v, %v", v, err)
	}
}

type careless struct{}

func (careless) Scan(_ context.Context, _ string, r io.Reader) (Verdict, error) {
	_, _ = io.ReadAll(r)
	return Verdict{Kind: Clean}, nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestBreaker lets an engine fail, waits, tries it, and sees the pauses grow and end.
func TestBreaker(t *testing.T) {
	e := &engine{err: errDown}
	g, c := newGroup(t, Options{Retry: 5 * time.Second}, e)
	start := c.now()
	scan := func() error { _, err := g.Scan(t.Context(), "", open("x")); return err }
	asked := 0
	for i, pause := range []time.Duration{1, 2, 4, 5, 5} {
		if err := scan(); err == nil || err.Error() != "a: down" {
			t.Fatalf("failure %d: %v", i, err)
		}
		asked++
		c.pass(pause*time.Second - 1)
		if err := scan(); err == nil || err.Error() != "a: left out since it failed: down" || e.asked != asked {
			t.Fatalf("pause %d: %v, asked %d times, want %d", i, err, e.asked, asked)
		}
		c.pass(1)
	}
	if s := g.Status()[0]; s.Up || s.Error != "down" || !s.Since.Equal(start) {
		t.Errorf("%+v", s)
	}
	e.set(Verdict{Kind: Clean}, nil)
	if err := scan(); err != nil {
		t.Error(err)
	}
	if s := g.Status()[0]; !s.Up || s.Error != "" || !s.Since.Equal(c.now()) {
		t.Errorf("%+v", s)
	}
	e.set(Verdict{}, errDown)
	_ = scan()
	c.pass(time.Second)
	e.set(Verdict{Kind: Clean}, nil)
	if err := scan(); err != nil {
		t.Errorf("the pause has not begun anew: %v", err)
	}
}

// TestOneTrial has many who want to know whether an engine is back; one of them asks.
func TestOneTrial(t *testing.T) {
	e := &engine{err: errDown}
	g, c := newGroup(t, Options{}, e)
	_, _ = g.Scan(t.Context(), "", open("x"))
	c.pass(time.Minute)
	e.set(Verdict{Kind: Clean}, nil)
	e.wait, e.entered = make(chan struct{}), make(chan struct{}, 100)
	done := make(chan error, 1)
	go func() {
		_, err := g.Scan(t.Context(), "", open("x"))
		done <- err
	}()
	<-e.entered
	for range 20 {
		if _, err := g.Scan(t.Context(), "", open("x")); err == nil {
			t.Error("a second trial")
		}
	}
	close(e.wait)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := g.Scan(t.Context(), "", open("x")); err != nil {
		t.Error(err)
	}
}

// TestManyFailuresAtOnce counts those that were asked together once: the pause stays the first.
func TestManyFailuresAtOnce(t *testing.T) {
	e := &engine{err: errDown, wait: make(chan struct{}), entered: make(chan struct{}, 20)}
	g, c := newGroup(t, Options{}, e)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { _, _ = g.Scan(t.Context(), "", open("x")) })
	}
	for range 20 {
		<-e.entered
	}
	close(e.wait)
	wg.Wait()
	e.set(Verdict{Kind: Clean}, nil)
	c.pass(firstPause)
	if _, err := g.Scan(t.Context(), "", open("x")); err != nil {
		t.Error(err)
	}
}

func TestWhatCountsAgainstAnEngine(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	expired, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	for _, tt := range []struct {
		name string
		ctx  context.Context
		err  error
		up   bool
		text string
	}{
		{"down", t.Context(), errDown, false, "down"},
		{"refused", t.Context(), ErrRefused, true, ErrRefused.Error()},
		{"too large", t.Context(), ErrTooLarge, true, ""},
		{"who asked has gone", canceled, context.Canceled, true, ""},
		{"who asked has waited too long", expired, context.DeadlineExceeded, false, "context deadline exceeded"},
	} {
		g, _ := newGroup(t, Options{}, &engine{err: tt.err})
		_, _ = g.Scan(tt.ctx, "", open("x"))
		if s := g.Status()[0]; s.Up != tt.up || s.Error != tt.text {
			t.Errorf("%s: %+v", tt.name, s)
		}
	}
}

func TestCheckAndStatus(t *testing.T) {
	a := &engine{verdict: Verdict{Kind: Clean}, health: Health{Version: "Scanner 1", Warnings: []string{"Too small."}}}
	b := &engine{err: errDown}
	g, c := newGroup(t, Options{}, a, b)
	if err := g.Check(t.Context(), 10); err == nil || err.Error() != "b: down" {
		t.Error(err)
	}
	if got, want := fmt.Sprintf("%+v", g.Status()), fmt.Sprintf("[{Name:a Up:true Error: Since:%v Version:Scanner 1 Warnings:[Too small.]} "+
		"{Name:b Up:false Error:down Since:%[1]v Version: Warnings:[]}]", c.now()); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	b.set(Verdict{Kind: Clean}, nil)
	c.pass(time.Minute)
	if err := g.Check(t.Context(), 10); err != nil {
		t.Error(err)
	}
	if s := g.Status()[1]; !s.Up || s.Error != "" || !s.Since.Equal(c.now()) {
		t.Errorf("%+v", s)
	}
	b.set(Verdict{}, ErrTooLarge) // a setting is wrong, which is no reason to ask no more
	if err := g.Check(t.Context(), 10); !errors.Is(err, ErrTooLarge) || !g.Status()[1].Up || g.Status()[1].Error == "" {
		t.Errorf("%v, %+v", err, g.Status()[1])
	}
}

func TestObserve(t *testing.T) {
	var c *clock
	var mu sync.Mutex
	var seen []string
	slow := slowEngine{func() { c.pass(3 * time.Second) }}
	g, clock := newGroup(t, Options{
		Engines: []Named{{Name: "slow", Engine: slow}},
		Observe: func(o Observation) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, fmt.Sprintf("%s %v %s %v", o.Engine, o.Duration, o.Kind, o.Err))
		},
	}, &engine{verdict: Verdict{Infected, "X"}})
	c = clock
	for range 2 {
		if _, err := g.Scan(t.Context(), "", open("x")); err != nil {
			t.Error(err)
		}
	}
	if got, want := strings.Join(seen, ", "), "slow 3s  down, a 0s infected <nil>, a 0s infected <nil>"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

type slowEngine struct{ scan func() }

func (s slowEngine) Scan(context.Context, string, io.Reader) (Verdict, error) {
	s.scan()
	return Verdict{}, errDown
}

func TestNew(t *testing.T) {
	one := []Named{{"a", &engine{}}}
	for _, tt := range []struct {
		opt  Options
		want string
	}{
		{Options{Now: time.Now}, "virus: no engine is given"},
		{Options{Now: time.Now, Engines: one, Mode: "some"}, `virus: mode "some": want "first" or "all"`},
		{Options{Engines: one}, "virus: no clock is given"},
		{Options{Now: time.Now, Engines: one, Retry: -1}, "virus: a limit is negative"},
		{Options{Now: time.Now, Engines: append(one, one...)}, `virus: engine "a" is missing or there twice`},
		{Options{Now: time.Now, Engines: []Named{{"b", nil}}}, `virus: engine "b" is missing or there twice`},
	} {
		if _, err := New(tt.opt); err == nil || err.Error() != tt.want {
			t.Errorf("%v, want %s", err, tt.want)
		}
	}
}

func TestFound(t *testing.T) {
	for name, want := range map[string]Kind{
		"Win.Test.EICAR_HDB-1":                      Infected,
		"PUA.Win.Tool":                              Infected,
		"Heuristics.Encrypted.Zip":                  Encrypted,
		"Heuristics.Encrypted.PDF":                  Encrypted,
		"Heuristics.Encrypted.Zip.UNOFFICIAL":       Infected,
		"Heuristics.EncryptedLooking":               Infected,
		"Heuristics.Limits.Exceeded":                Uninspectable,
		"Heuristics.Limits.Exceeded.MaxRecursion":   Uninspectable,
		"Heuristics.OLE2.ContainsMacros":            Macros,
		"Heuristics.OLE2.ContainsMacros.VBA":        Macros,
		"Heuristics.Broken.Executable":              Infected,
		"Heuristics.Phishing.Email.SpoofedDomain":   Infected,
		"Exploit.D-Encrypted.Gen":                   Infected,
		"Sanesecurity.Heuristics.Encrypted.Missing": Infected,
	} {
		if v := Found(name); v.Kind != want || v.Name != name {
			t.Errorf("%s: %+v, want %s", name, v, want)
		}
	}
	for in, want := range map[string]string{
		"":                       "unnamed",
		" \t":                    "unnamed",
		"a b":                    "a b",
		"a\x00b\nc\x7fé":         "a?b?c???",
		strings.Repeat("x", 300): strings.Repeat("x", 200),
	} {
		if got := CleanName(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// TestZeroValues says that nothing is ever clean by being left out.
func TestZeroValues(t *testing.T) {
	if (Verdict{}).Kind == Clean || worse("", Clean) || worse("fine", "") {
		t.Error("the zero verdict is clean, or an unknown one is known")
	}
}
