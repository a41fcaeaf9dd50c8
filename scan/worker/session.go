package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"assay/scan"
	"assay/scan/inspect"
)

// A session is one job on one worker, or its greeting.
type session struct {
	ctx     context.Context
	options *Options
	buffers *buffers
	worker  *process
	order   order
	sink    inspect.Sink

	wall     time.Duration // that is left
	cpu      time.Duration // of the worker at the beginning
	contents int           // so far
	octets   int64         // of contents, so far
	refused  error         // of the sink
	broken   error         // the worker has to be killed; why
	resident int64         // of the worker after the job
}

// slice is how long the daemon waits for a worker before it looks at the limits again, and grace how much longer than the
// worker itself it tolerates too much processor time.
const (
	slice = 50 * time.Millisecond
	grace = 100 * time.Millisecond
)

// A link is where a process reads from; the session that has the worker bounds it.
type link struct{ session *session }

// Read implements io.Reader.
func (l *link) Read(p []byte) (int, error) { return l.session.Read(p) }

// breaks notes that the worker cannot go on, and returns why.
func (s *session) breaks(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.EPIPE) {
		err = errGone
	}
	s.broken = err
	return err
}

// greet makes a new worker ready.
func (s *session) greet() (Status, error) {
	s.worker.link.session = s
	s.wall, s.order.CPU = s.options.Wall, s.options.CPU
	most := s.options.processor(int(s.options.Memory))
	frame, err := appendFrame(nil, kindSetup, setup{Memory: s.options.Memory, CPU: lifetime + 2*most})
	if err != nil {
		return Status{}, s.breaks(err)
	}
	if err := s.write(frame); err != nil {
		return Status{}, s.breaks(err)
	}
	kind, body, err := readFrame(s.worker.reader, nil)
	if err != nil {
		return Status{}, s.breaks(err)
	}
	var status Status
	if err := decode(body, &status); err != nil || kind != kindHello {
		return Status{}, s.breaks(fmt.Errorf("%w: no greeting", errGarbage))
	}
	return status, nil
}

// run does the job. Unless broken is set, the worker is ready for the next one.
func (s *session) run(content []byte) (inspect.Result, error) {
	w := s.worker
	w.link.session = s
	w.jobs++
	s.wall, s.cpu = s.options.Wall, processorTime(w.pid)
	frame, err := appendFrame(w.buffer[:0], kindOrder, s.order)
	if err != nil {
		return inspect.Result{}, err
	}
	if len(content) <= cap(frame)-len(frame) {
		frame, content = append(frame, content...), nil // one system call instead of two
	}
	w.keep(frame)
	if err := s.write(frame); err != nil {
		return inspect.Result{}, s.breaks(err)
	}
	if err := s.write(content); err != nil {
		return inspect.Result{}, s.breaks(err)
	}
	return s.receive()
}

// receive takes what the worker sends until the job is done.
func (s *session) receive() (inspect.Result, error) {
	w := s.worker
	for {
		kind, body, err := readFrame(w.reader, w.buffer)
		if err != nil {
			return inspect.Result{}, s.breaks(err)
		}
		w.keep(body)
		switch kind {
		case kindReply:
			return s.finish(body)
		case kindContent:
			if err := s.content(body); err != nil {
				return inspect.Result{}, s.breaks(err)
			}
		default:
			return inspect.Result{}, s.breaks(fmt.Errorf("%w: a frame of kind %q", errGarbage, kind))
		}
	}
}

// finish checks the reply.
func (s *session) finish(body []byte) (inspect.Result, error) {
	var r reply
	if err := decode(body, &r); err != nil {
		return inspect.Result{}, s.breaks(err)
	}
	if err := s.check(r); err != nil {
		return inspect.Result{}, s.breaks(err)
	}
	s.resident = r.Resident
	switch {
	case s.refused != nil:
		return r.Result, s.refused
	case r.Failed:
		return r.Result, errors.New(clip(r.Error, maxName))
	}
	return r.Result, nil
}

// maxName is how many octets of a name, a method or an error are believed.
const maxName = 1 << 10

// check refuses a reply that no inspection can have.
func (s *session) check(r reply) error {
	if r.Result.Members < 0 || r.Result.Octets < 0 || r.Result.Guesses < 0 || len(r.Result.Objects) > s.order.maxContents() {
		return fmt.Errorf("%w: impossible numbers", errGarbage)
	}
	for i := range r.Result.Objects {
		o := &r.Result.Objects[i]
		switch o.State {
		case "", scan.Inspected, scan.Encrypted, scan.Uninspectable, scan.Bad:
		default:
			return fmt.Errorf("%w: an object that is %q", errGarbage, clip(string(o.State), 32))
		}
		if o.Size < 0 || o.Depth < 0 || len(o.Class) > maxWord {
			return fmt.Errorf("%w: an impossible object", errGarbage)
		}
		for _, t := range o.Traits {
			if len(t) == 0 || len(t) > maxWord {
				return fmt.Errorf("%w: an impossible trait", errGarbage)
			}
		}
		o.Name, o.Method = clip(o.Name, maxName), clip(o.Method, maxName)
	}
	return nil
}

// maxWord is how many octets a stable word has at most.
const maxWord = 64

// content takes one content and gives it to the sink.
func (s *session) content(body []byte) error {
	var d discovery
	if err := decode(body, &d); err != nil {
		return err
	}
	s.contents++
	if d.Size < 0 || d.Size > s.order.maxContent() || s.contents > s.order.maxContents() || !s.order.Sink {
		return fmt.Errorf("%w: an unexpected content", errGarbage)
	}
	if s.octets += d.Size; s.octets > s.order.maxOctets() {
		return fmt.Errorf("%w: too many octets of content", errGarbage)
	}
	if s.refused != nil {
		_, err := io.CopyN(io.Discard, s.worker.reader, d.Size)
		return unexpected(err)
	}
	return s.deliver(d)
}

// deliver reads a content into memory and calls the sink.
func (s *session) deliver(d discovery) error {
	content, release, err := s.buffers.take(s.ctx, d.Size, &s.worker.content)
	if err != nil {
		return context.Cause(s.ctx)
	}
	defer release()
	if _, err := io.ReadFull(s.worker.reader, content); err != nil {
		return unexpected(err)
	}
	if s.refused = s.sink(d.Path, content); s.refused == nil {
		return nil
	}
	stop, err := appendFrame(nil, kindStop, nil)
	if err != nil {
		return err
	}
	return s.write(stop)
}

// worn reports whether the worker has done enough.
func (s *session) worn() bool {
	o := s.options
	return s.worker.jobs >= o.Jobs || s.resident > o.Resident || processorTime(s.worker.pid) > lifetime
}

// Read implements io.Reader: from the worker, until a limit is exceeded or the job cancelled.
func (s *session) Read(p []byte) (int, error) {
	for {
		before := time.Now()
		if err := s.worker.out.SetReadDeadline(before.Add(min(slice, s.wall))); err != nil {
			return 0, err
		}
		n, err := s.worker.out.Read(p)
		s.wall -= time.Since(before)
		if n > 0 && s.wall > 0 || err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if err := s.over(); err != nil {
			return 0, err
		}
	}
}

// write sends octets to the worker, until a limit is exceeded or the job cancelled.
func (s *session) write(p []byte) error {
	for len(p) > 0 {
		before := time.Now()
		if err := s.worker.in.SetWriteDeadline(before.Add(min(slice, s.wall))); err != nil {
			return err
		}
		n, err := s.worker.in.Write(p)
		s.wall -= time.Since(before)
		p = p[n:]
		if err == nil {
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if err := s.over(); err != nil {
			return err
		}
	}
	return nil
}

// over returns why the job must end now, nil if it may go on.
func (s *session) over() error {
	switch {
	case s.ctx.Err() != nil:
		return context.Cause(s.ctx)
	case s.wall <= 0:
		return limited(limitTime, "no answer in time")
	case processorTime(s.worker.pid)-s.cpu > s.order.CPU+grace:
		return limited(limitTime, "too much processor time, and the worker did not notice")
	}
	return nil
}

// keep lets a buffer be used again, unless it is large.
func (w *process) keep(buffer []byte) {
	if cap(buffer) > cap(w.buffer) && cap(buffer) <= small {
		w.buffer = buffer[:0]
	}
}
