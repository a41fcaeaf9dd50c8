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
	pings   int
	ping    func() error // what Ping says; nil: what Scan does
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

func (e *engine) Ping(context.Context) error {
	e.mu.Lock()
	e.pings++
	ping, err := e.ping, e.err
	e.mu.Unlock()
	if ping != nil {
		return ping()
	}
	return err
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

func (careless) Ping(context.Context) error { return nil }

func (careless) Scan(_ context.Context, _ string, r io.Reader) (Verdict, error) {
	_, _ = io.ReadAll(r)
	return Verdict{Kind: Clean}, nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// errLate is that of an engine that has taken too long.
var errLate = fmt.Errorf("no answer within 1s: %w", context.DeadlineExceeded)

// answers is what Ping says for an engine that is there.
func answers() error { return nil }

// scanned asks a group about a content and returns what it says.
func scanned(t *testing.T, g *Group) string {
	t.Helper()
	v, err := g.Scan(t.Context(), "", open("x"))
	if err != nil {
		return err.Error()
	}
	return string(v.Kind)
}

// TestSlowContent has contents that take too long. Whatever their number, the next one is asked about, and a ping has told
// before that the engine is there.
func TestSlowContent(t *testing.T) {
	e := &engine{err: errLate, ping: answers}
	g, _ := newGroup(t, Options{Changed: func(s EngineStatus) { t.Errorf("told of %+v", s) }}, e)
	for i := 1; i <= 2*slow; i++ {
		if got := scanned(t, g); got != "a: no answer within 1s: context deadline exceeded" || e.asked != i || e.pings < i {
			t.Fatalf("content %d: %s, asked %d times, %d pings", i, got, e.asked, e.pings)
		}
		if s := g.Status()[0]; !s.Up || s.Unanswered != i || s.Error != errLate.Error() {
			t.Errorf("content %d: %+v", i, s)
		}
	}
	e.set(Verdict{Kind: Clean}, nil)
	if got := scanned(t, g); got != "clean" {
		t.Error(got)
	}
	if s := g.Status()[0]; !s.Up || s.Unanswered != 0 || s.Error != "" {
		t.Errorf("%+v", s)
	}
}

// TestSlowFirst has two engines. One slow content goes to the second, the next one to the first again; after some in a row
// the second is asked at once, until the first has answered about something.
func TestSlowFirst(t *testing.T) {
	a, b := &engine{err: errLate, ping: answers}, &engine{verdict: Verdict{Kind: Clean}}
	g, _ := newGroup(t, Options{}, a, b)
	for i := 1; i <= slow+2; i++ {
		if got := scanned(t, g); got != "clean" || a.asked != min(i, slow) || b.asked != i {
			t.Errorf("content %d: %s, asked %d and %d times", i, got, a.asked, b.asked)
		}
		_ = g.engines[0].settle(t.Context())
	}
	if s := g.Status()[0]; !s.Up || s.Unanswered != slow {
		t.Errorf("%+v", s)
	}
	b.set(Verdict{}, errDown)
	a.set(Verdict{Kind: Clean}, nil)
	if got := scanned(t, g); got != "clean" || a.asked != slow+1 {
		t.Errorf("only the slow one is left: %s, asked %d times", got, a.asked)
	}
	b.set(Verdict{Infected, "X"}, nil)
	if got := scanned(t, g); got != "clean" || b.asked != slow+3 {
		t.Errorf("the first is not the first again: %s, the second was asked %d times", got, b.asked)
	}
}

// TestSlowFirstIsChecked brings in an engine that has been slow by a Check.
func TestSlowFirstIsChecked(t *testing.T) {
	a, b := &engine{err: errLate, ping: answers}, &engine{verdict: Verdict{Kind: Clean}}
	g, _ := newGroup(t, Options{}, a, b)
	if err := g.Check(t.Context(), 1); !errors.Is(err, errLate) {
		t.Error(err)
	}
	if s := g.Status()[0]; s.Up || s.Unanswered != slow {
		t.Errorf("slow about nothing at all: %+v", s)
	}
	if got := scanned(t, g); got != "clean" || a.asked != 0 {
		t.Errorf("%s, asked %d times", got, a.asked)
	}
	a.set(Verdict{Infected, "X"}, nil)
	if err := g.Check(t.Context(), 1); err != nil {
		t.Error(err)
	}
	if got := scanned(t, g); got != "infected" {
		t.Error(got)
	}
}

// TestAway has an engine that cannot be reached: every content is asked about, and the first one after its return is answered.
func TestAway(t *testing.T) {
	e := &engine{err: errDown}
	var told []string
	g, c := newGroup(t, Options{Changed: func(s EngineStatus) { told = append(told, fmt.Sprint(s.Up, " ", s.Error)) }}, e)
	start := c.now()
	for i := range 3 {
		if got := scanned(t, g); got != "a: down" || e.asked != i+1 {
			t.Errorf("%s, asked %d times", got, e.asked)
		}
		c.pass(time.Second)
	}
	if s := g.Status()[0]; s.Up || s.Error != "down" || !s.Since.Equal(start) {
		t.Errorf("%+v", s)
	}
	e.set(Verdict{Kind: Clean}, nil)
	if got := scanned(t, g); got != "clean" {
		t.Error(got)
	}
	if s := g.Status()[0]; !s.Up || s.Error != "" || !s.Since.Equal(c.now()) {
		t.Errorf("%+v", s)
	}
	if got, want := strings.Join(told, ", "), "false down, true "; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

// TestSilent has an engine that takes what it is given and says nothing, not to a ping either. Then contents do not wait for
// it, except for another ping once in a while, and not long after it speaks again it is asked.
func TestSilent(t *testing.T) {
	e := &engine{err: errLate}
	g, c := newGroup(t, Options{}, e)
	e.ping = func() error {
		c.pass(5 * time.Second)
		return errLate
	}
	const out = "a: left out since it failed: no answer within 1s: context deadline exceeded"
	for i, want := range []string{"a: " + errLate.Error(), out, out} {
		if got := scanned(t, g); got != want || e.asked != 1 || e.pings != 1 {
			t.Errorf("content %d: %s, asked %d times, %d pings", i, got, e.asked, e.pings)
		}
	}
	if s := g.Status()[0]; s.Up || s.Unanswered != 1 {
		t.Errorf("%+v", s)
	}
	c.pass(5 * time.Second)
	if got := scanned(t, g); got != out || e.asked != 1 || e.pings != 2 {
		t.Errorf("%s, asked %d times, %d pings", got, e.asked, e.pings)
	}
	e.set(Verdict{Kind: Clean}, nil)
	e.ping = answers
	if got := scanned(t, g); got != out {
		t.Error(got)
	}
	c.pass(5 * time.Second)
	if got := scanned(t, g); got != "clean" || e.pings != 3 {
		t.Errorf("%s, %d pings", got, e.pings)
	}
}

// TestOnePing has many who want to know whether an engine is there; one ping answers all of them, and whoever has no time
// left does not wait.
func TestOnePing(t *testing.T) {
	e := &engine{err: errDown}
	g, c := newGroup(t, Options{}, e)
	_ = scanned(t, g)
	c.pass(time.Minute)
	e.set(Verdict{Kind: Clean}, nil)
	release, pinged := make(chan struct{}), make(chan struct{}, 100)
	before := e.pings
	e.ping = func() error {
		pinged <- struct{}{}
		<-release
		return nil
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if v, err := g.Scan(t.Context(), "", open("x")); err != nil || v.Kind != Clean {
				t.Error(v, err)
			}
		})
	}
	<-pinged
	expired, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	if _, err := g.Scan(expired, "", open("x")); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	close(release)
	wg.Wait()
	if e.pings != before+1 {
		t.Errorf("%d pings", e.pings-before)
	}
}

// TestSecondWhileFirstIsPinged does not wait for a ping while there is another engine.
func TestSecondWhileFirstIsPinged(t *testing.T) {
	a, b := &engine{err: errLate}, &engine{verdict: Verdict{Kind: Clean}}
	g, _ := newGroup(t, Options{}, a, b)
	release := make(chan struct{})
	defer close(release)
	a.ping = func() error { <-release; return nil }
	for range 3 {
		if got := scanned(t, g); got != "clean" || a.asked != 1 {
			t.Errorf("%s, asked %d times", got, a.asked)
		}
	}
}

// TestAllModeAsksTheOut asks every engine of mode All, whatever is known of it.
func TestAllModeAsksTheOut(t *testing.T) {
	a, b := &engine{err: errDown}, &engine{verdict: Verdict{Kind: Clean}}
	g, _ := newGroup(t, Options{Mode: All}, a, b)
	for i := range 3 {
		if got := scanned(t, g); got != "a: down" || a.asked != i+1 {
			t.Errorf("%s, asked %d times", got, a.asked)
		}
	}
	a.set(Verdict{Kind: Clean}, nil)
	if got := scanned(t, g); got != "clean" {
		t.Error(got)
	}
}

func TestWhatCountsAgainstAnEngine(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	expired, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	for _, tt := range []struct {
		name       string
		ctx        context.Context
		err        error
		up         bool
		unanswered int
		text       string
	}{
		{"down", t.Context(), errDown, false, 1, "down"},
		{"late", t.Context(), errLate, true, 1, errLate.Error()},
		{"refused", t.Context(), ErrRefused, true, 0, ErrRefused.Error()},
		{"too large", t.Context(), ErrTooLarge, true, 0, ""},
		{"busy", t.Context(), ErrBusy, true, 0, ""},
		{"who asked has gone", canceled, context.Canceled, true, 0, ""},
		{"who asked has waited too long", expired, context.DeadlineExceeded, true, 0, "context deadline exceeded"},
	} {
		e := &engine{err: tt.err, ping: answers}
		if tt.err == errDown {
			e.ping = nil
		}
		g, _ := newGroup(t, Options{}, e)
		_, _ = g.Scan(tt.ctx, "", open("x"))
		_ = g.engines[0].settle(t.Context())
		if s := g.Status()[0]; s.Up != tt.up || s.Unanswered != tt.unanswered || s.Error != tt.text || !g.engines[0].in() && tt.up {
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
	if got, want := fmt.Sprintf("%+v", g.Status()), fmt.Sprintf("[{Name:a Up:true Unanswered:0 Error: Since:%v Version:Scanner 1 Warnings:[Too small.]} "+
		"{Name:b Up:false Unanswered:0 Error:down Since:%[1]v Version: Warnings:[]}]", c.now()); got != want {
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
			seen = append(seen, fmt.Sprintf("%s %v %s %v %v", o.Engine, o.Duration, o.Kind, o.Err, o.Up))
		},
	}, &engine{verdict: Verdict{Infected, "X"}})
	c = clock
	for range 2 {
		if _, err := g.Scan(t.Context(), "", open("x")); err != nil {
			t.Error(err)
		}
	}
	if got, want := strings.Join(seen, ", "), "slow 3s  down false, a 0s infected <nil> true, a 0s infected <nil> true"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

type slowEngine struct{ scan func() }

func (slowEngine) Ping(context.Context) error { return errDown }

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
		{Options{Now: time.Now, Engines: one, MaxSize: -1}, "virus: a limit is negative"},
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
		"Win.Test.EICAR_HDB-1":                         Infected,
		"PUA.Win.Tool":                                 Infected,
		"Heuristics.Encrypted.Zip":                     Encrypted,
		"Heuristics.Encrypted.PDF":                     Encrypted,
		"Heuristics.Encrypted.Zip.UNOFFICIAL":          Infected,
		"Heuristics.Encrypted.Zip.UNOFFICIAL(44d8:68)": Infected,
		"Heuristics.EncryptedLooking":                  Infected,
		"Heuristics.Limits.Exceeded":                   Uninspectable,
		"Heuristics.Limits.Exceeded.MaxRecursion":      Uninspectable,
		"Heuristics.OLE2.ContainsMacros":               Macros,
		"Heuristics.OLE2.ContainsMacros.VBA":           Macros,
		"Heuristics.Broken.Executable":                 Infected,
		"Heuristics.Phishing.Email.SpoofedDomain":      Infected,
		"Exploit.D-Encrypted.Gen":                      Infected,
		"Sanesecurity.Heuristics.Encrypted.Missing":    Infected,
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
