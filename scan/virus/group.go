package virus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// Errors that say nothing against a scanner. It does not want this content, but another one may, or the next; or it was not
// asked because as many contents as are allowed were on their way to it.
var (
	ErrRefused  = errors.New("the virus scanner refuses the content")
	ErrTooLarge = errors.New("larger than the virus scanner takes")
	ErrBusy     = errors.New("no connection to the virus scanner was free")
)

// A Mode says how many engines of a Group are asked.
type Mode string

// The modes. The zero value is First.
const (
	First Mode = "first" // one after the other until one has answered
	All   Mode = "all"   // every one, and the worst answer counts
)

// Health is what an engine says about itself.
type Health struct {
	Version  string   // of the program and its signatures, as it names them
	Warnings []string // what an administrator should change about it; in full sentences
}

// A Checker is an Engine that can be asked whether it is well. Check is called at start and for health checks, from any
// goroutine. It makes sure that the engine takes contents of size octets; the error says what to do.
type Checker interface {
	Check(ctx context.Context, size int64) (Health, error)
}

// A Named engine is called by its name in errors, health and metrics.
type Named struct {
	Name   string
	Engine Engine
}

// An Observation is one question to one engine and what came of it.
type Observation struct {
	Engine   string
	Duration time.Duration
	Kind     Kind  // "" if there is no answer
	Err      error // why there is none
	Up       bool  // what is known of the engine then, as in its EngineStatus
}

// Options say how a Group works.
type Options struct {
	Engines []Named
	Mode    Mode
	MaxSize int64              // of a content, in octets; 0: no limit but those of the engines
	Now     func() time.Time   // required
	Observe func(Observation)  // called from any goroutine; may be nil
	Changed func(EngineStatus) // an engine has gone or come back; called from any goroutine; may be nil
}

// Open returns a content from its beginning. It is called once per engine that is asked, from several goroutines in mode All.
type Open func() (io.Reader, error)

// A Group is several engines that stand in for each other, or watch each other. It may be used from several goroutines.
type Group struct {
	opt     Options
	engines []*breaker
}

// New returns a Group. The error is about the options.
func New(opt Options) (*Group, error) {
	opt.Mode = cmp.Or(opt.Mode, First)
	switch {
	case len(opt.Engines) == 0:
		return nil, errors.New("virus: no engine is given")
	case opt.Mode != First && opt.Mode != All:
		return nil, fmt.Errorf("virus: mode %q: want %q or %q", opt.Mode, First, All)
	case opt.Now == nil:
		return nil, errors.New("virus: no clock is given")
	case opt.MaxSize < 0:
		return nil, errors.New("virus: a limit is negative")
	}
	g := &Group{opt: opt}
	for i, e := range opt.Engines {
		if e.Engine == nil || slices.ContainsFunc(opt.Engines[:i], func(o Named) bool { return o.Name == e.Name }) {
			return nil, fmt.Errorf("virus: engine %q is missing or there twice", e.Name)
		}
		g.engines = append(g.engines, newBreaker(e, opt))
	}
	return g, nil
}

// Scan asks the engines about one content. The error says that there is no verdict. In mode First that is when no engine has
// answered; in mode All when any has not, unless another has found malware. What is larger than MaxSize, or than every engine
// takes, is Uninspectable.
func (g *Group) Scan(ctx context.Context, name string, open Open) (Verdict, error) {
	scan := g.first
	if g.opt.Mode == All {
		scan = g.all
	}
	v, err := scan(ctx, name, open)
	if errors.Is(err, ErrTooLarge) {
		return Verdict{Kind: Uninspectable, Name: ErrTooLarge.Error()}, nil
	}
	if err != nil {
		return Verdict{}, err
	}
	return v, nil
}

// first asks one engine after the other until one has answered. The error is ErrTooLarge only if no engine takes that much.
// Before it returns another one it is known how the engines are.
func (g *Group) first(ctx context.Context, name string, open Open) (Verdict, error) {
	var failures []error
	large := 0
	for _, e := range g.order() {
		v, err := g.ask(ctx, e, name, open)
		var foreign *contentError
		switch {
		case err == nil:
			return v, nil
		case errors.As(err, &foreign), ctx.Err() != nil:
			return Verdict{}, err
		case errors.Is(err, ErrTooLarge):
			large++
		default:
			failures = append(failures, err)
		}
	}
	if large == len(g.engines) {
		return Verdict{}, ErrTooLarge
	}
	g.settle(ctx)
	return Verdict{}, errors.Join(failures...)
}

// order returns the engines in the order of the options, and after them those that are out: when nobody else answers they are
// asked all the same.
func (g *Group) order() []*breaker {
	in, out := make([]*breaker, 0, len(g.engines)), []*breaker(nil)
	for _, e := range g.engines {
		if e.in() {
			in = append(in, e)
		} else {
			out = append(out, e)
		}
	}
	return append(in, out...)
}

// settle waits until it is known which of the engines are there, so that whoever asks for their Status after a mail was
// deferred gets the reason.
func (g *Group) settle(ctx context.Context) {
	for _, e := range g.engines {
		if e.settle(ctx) != nil {
			return
		}
	}
}

// all asks every engine at the same time.
func (g *Group) all(ctx context.Context, name string, open Open) (Verdict, error) {
	verdicts, errs := make([]Verdict, len(g.engines)), make([]error, len(g.engines))
	var wg sync.WaitGroup
	for i, e := range g.engines {
		wg.Go(func() { verdicts[i], errs[i] = g.ask(ctx, e, name, open) })
	}
	wg.Wait()
	worst, large := verdicts[0], false
	for i, v := range verdicts {
		if worse(v.Kind, worst.Kind) {
			worst = v
		}
		if errors.Is(errs[i], ErrTooLarge) {
			large, errs[i] = true, nil
		}
	}
	err := errors.Join(errs...)
	switch {
	case worst.Kind == Infected:
		return worst, nil
	case err == nil && large:
		return Verdict{}, ErrTooLarge
	case err != nil:
		g.settle(ctx)
	}
	return worst, err
}

// worse reports whether a is worse than b.
func worse(a, b Kind) bool {
	rank := func(k Kind) int {
		return slices.Index([]Kind{"", Clean, Macros, Encrypted, Uninspectable, Infected}, k)
	}
	return rank(a) > rank(b)
}

// ask asks one engine, unless it is silent.
func (g *Group) ask(ctx context.Context, e *breaker, name string, open Open) (Verdict, error) {
	if err := e.ready(ctx); err != nil {
		return Verdict{}, err
	}
	start := g.opt.Now()
	v, err := g.scan(ctx, e.engine, name, open)
	e.leave(ctx, err)
	if g.opt.Observe != nil {
		g.opt.Observe(Observation{Engine: e.name, Duration: g.opt.Now().Sub(start), Kind: v.Kind, Err: err, Up: e.state().Up})
	}
	if err != nil {
		return Verdict{}, fmt.Errorf("%s: %w", e.name, err)
	}
	return v, nil
}

// scan opens the content and hands it to an engine. An answer without a known kind is none.
func (g *Group) scan(ctx context.Context, engine Engine, name string, open Open) (Verdict, error) {
	r, err := open()
	if err != nil {
		return Verdict{}, &contentError{err}
	}
	if sized, ok := r.(interface{ Len() int }); ok && g.opt.MaxSize > 0 && int64(sized.Len()) > g.opt.MaxSize {
		return Verdict{}, ErrTooLarge
	}
	c := &content{r: r, left: g.opt.MaxSize, limited: g.opt.MaxSize > 0}
	v, err := engine.Scan(ctx, name, c)
	switch {
	case c.err != nil: // whatever the engine makes of it
		return Verdict{}, c.err
	case err != nil:
		return Verdict{}, err
	case v.Kind == "" || !worse(v.Kind, ""):
		return Verdict{}, fmt.Errorf("unknown verdict %q", v.Kind)
	}
	return v, nil
}

// A contentError says that the content could not be read, which is nobody's fault here.
type contentError struct{ err error }

func (e *contentError) Error() string { return "reading the content: " + e.err.Error() }
func (e *contentError) Unwrap() error { return e.err }

// A content is what an engine reads. It keeps the error that ended it, and ends with one when it is too large.
type content struct {
	r       io.Reader
	limited bool
	left    int64
	err     error
}

// Read reads. An engine that does not read to the end never learns that a content is too large; then it has not needed it.
func (c *content) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.r.Read(p)
	c.left -= int64(n)
	switch {
	case c.limited && c.left < 0:
		c.err = ErrTooLarge
		return 0, c.err
	case err != nil && err != io.EOF:
		c.err = &contentError{err}
		return n, c.err
	}
	return n, err
}

// Check asks every engine that is a Checker whether it is well and takes contents of size octets, and notes the answers for
// Status. An engine that is well is in again. The error joins what is wrong, by engine.
func (g *Group) Check(ctx context.Context, size int64) error {
	errs := make([]error, len(g.engines))
	var wg sync.WaitGroup
	for i, e := range g.engines {
		wg.Go(func() {
			if err := e.check(ctx, size); err != nil {
				errs[i] = fmt.Errorf("%s: %w", e.name, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Status says how the engines are, in the order of the options.
func (g *Group) Status() []EngineStatus {
	status := make([]EngineStatus, len(g.engines))
	for i, e := range g.engines {
		status[i] = e.state()
	}
	return status
}
