package worker

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"assay/scan/inspect"
)

// A Pool is an inspect.Engine that lets workers do the work. Jobs wait for a worker in the order in which they come.
type Pool struct {
	options Options
	slots   *semaphore.Weighted // one for each job in work
	buffers *buffers
	starter *starter
	status  atomic.Pointer[Status]
	ctx     context.Context // ends with the pool
	cancel  context.CancelFunc
	closing sync.Once

	mu     sync.Mutex
	idle   []*process // the one used last is the last: it is the warmest
	closed bool
	alive  sync.WaitGroup // of processes
}

// New returns a Pool. No worker is started before the first job.
func New(o Options) *Pool {
	o = o.withDefaults()
	p := &Pool{options: o, slots: semaphore.NewWeighted(int64(o.Workers)), buffers: newBuffers(o.Contents)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.starter = newStarter(o)
	return p
}

// Sandbox returns which walls stand around the workers, as the latest one has reported; ok is false when none was started
// yet. Probe starts one.
func (p *Pool) Sandbox() (status Status, ok bool) {
	if s := p.status.Load(); s != nil {
		return *s, true
	}
	return Status{}, false
}

// Probe makes sure that workers can be started, and returns which walls stand around them.
func (p *Pool) Probe(ctx context.Context) (Status, error) {
	if err := p.slots.Acquire(ctx, 1); err != nil {
		return Status{}, err
	}
	defer p.slots.Release(1)
	ctx, cancel := p.within(ctx)
	defer cancel()
	w, err := p.take(ctx)
	if err != nil {
		return Status{}, err
	}
	p.put(w)
	return *p.status.Load(), nil
}

// within returns a context that ends with the pool, too.
func (p *Pool) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(p.ctx, func() { cancel(ErrClosed) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// Inspect implements inspect.Engine. The content that the sink is given is valid until the sink returns; it is the pool's. An
// error of the sink is returned as it is. Any other error says that the file could not be inspected: an *Error, that of
// the engine in the worker, ErrClosed, or that of the context.
func (p *Pool) Inspect(ctx context.Context, job inspect.Job, sink inspect.Sink) (inspect.Result, error) {
	if int64(len(job.Content)) > p.options.Memory/2 {
		err := limited(limitMemory, "the file is larger than half of the memory of a worker")
		return failure(err), err
	}
	if err := p.slots.Acquire(ctx, 1); err != nil {
		return inspect.Result{}, err
	}
	defer p.slots.Release(1)
	ctx, cancel := p.within(ctx)
	defer cancel()
	result, err := p.job(ctx, job, sink)
	if killed := (*killedError)(nil); errors.As(err, &killed) {
		return p.job(ctx, job, sink)
	}
	return result, err
}

// A killedError says that somebody else has killed a worker, such as the kernel for want of memory: the job is worth another
// attempt. A file that makes a worker crash, or exceed a limit, is not.
type killedError struct{ cause *Error }

// Error implements error.
func (e *killedError) Error() string { return e.cause.Error() }

// Unwrap returns the error that is told when the second attempt fails too.
func (e *killedError) Unwrap() error { return e.cause }

// job has a worker do a job.
func (p *Pool) job(ctx context.Context, job inspect.Job, sink inspect.Sink) (inspect.Result, error) {
	w, err := p.take(ctx)
	if err != nil {
		return inspect.Result{}, err
	}
	s := session{ctx: ctx, options: &p.options, buffers: p.buffers, worker: w, sink: sink, order: newOrder(job, sink != nil, p.options)}
	result, err := s.run(job.Content)
	if s.broken != nil {
		err = p.discard(w, s.broken)
		return failure(err), err
	}
	if s.worn() {
		w.end() // reap sees to the rest
	} else {
		p.put(w)
	}
	return result, err
}

// failure is the result of a job that has ended its worker.
func failure(err error) inspect.Result {
	var e *Error
	if errors.As(err, &e) && e.Limit != "" {
		return inspect.Result{Limits: []string{e.Limit}}
	}
	return inspect.Result{}
}

// take returns an idle worker, or a new one.
func (p *Pool) take(ctx context.Context) (*process, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, ErrClosed
	}
	if n := len(p.idle); n > 0 {
		w := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return w, nil
	}
	p.alive.Add(1) // under the lock: Close waits only after it has closed
	p.mu.Unlock()
	return p.start(ctx)
}

// start starts a worker. The caller has counted it in alive.
func (p *Pool) start(ctx context.Context) (*process, error) {
	w, err := p.starter.start(ctx)
	if err != nil {
		p.alive.Done()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		p.options.Observe(Event{Change: Failed, Reason: err.Error()})
		return nil, &Error{Log: err.Error(), text: "the program that looks into files cannot be started", cause: ErrStart}
	}
	go p.reap(w)
	s := session{ctx: ctx, options: &p.options, worker: w}
	status, err := s.greet()
	if err != nil {
		return nil, p.discard(w, err)
	}
	p.status.Store(&status)
	p.options.Observe(Event{Change: Started, PID: w.pid, Status: status})
	return w, nil
}

// put gives a worker back.
func (p *Pool) put(w *process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-w.done: // since its answer, so that reap has not found it among the idle ones
		w.close()
		p.options.Observe(w.event(w.verdict(errGone)))
		return
	default:
	}
	if p.closed {
		w.end()
		return
	}
	p.idle = append(p.idle, w)
}

// reap waits for the end of a process, so that it does not stay as a zombie, and forgets it if it was idle.
func (p *Pool) reap(w *process) {
	defer p.alive.Done()
	w.wait()
	p.mu.Lock()
	i := slices.Index(p.idle, w)
	if i >= 0 {
		p.idle = slices.Delete(p.idle, i, i+1)
	}
	p.mu.Unlock()
	switch {
	case w.ended.Load():
		p.options.Observe(Event{Change: Ended, PID: w.pid, Jobs: w.jobs, Reason: w.cmd.ProcessState.String()})
	case i >= 0:
		w.close()
		p.options.Observe(w.event(w.verdict(errGone)))
	}
}

// discard kills a worker and returns the error of its job.
func (p *Pool) discard(w *process, why error) error {
	err := w.kill(why)
	p.options.Observe(w.event(err))
	return err
}

// Close kills all workers, also those at work, and waits until they are gone. Jobs in work and later ones end with ErrClosed.
func (p *Pool) Close() {
	p.closing.Do(func() {
		p.cancel()
		p.mu.Lock()
		p.closed = true
		idle := p.idle
		p.idle = nil
		p.mu.Unlock()
		for _, w := range idle {
			w.end()
		}
		p.alive.Wait()
		p.starter.close()
	})
}

// newOrder is what a worker is told about a job. The budget of the worker ends a little before its limit, so that what was
// found until then is not lost.
func newOrder(job inspect.Job, sink bool, o Options) order {
	cpu := o.processor(len(job.Content))
	limits := job.Limits.WithDefaults()
	limits.Time = min(limits.Time, max(cpu/2, cpu-100*time.Millisecond))
	return order{
		Object: job.Object, Passwords: job.Passwords, Limits: limits, Size: int64(len(job.Content)), Sink: sink, CPU: cpu,
	}
}
