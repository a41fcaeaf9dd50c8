package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"

	"assay/scan/container"
	"assay/scan/inspect"
)

// Main is what a worker runs: it takes jobs from in, lets the engine do them, and writes what comes of it to out, until in
// ends. It returns the code to exit with. Before the first job it gives up whatever it can: nothing in the process can open a
// file or a connection afterwards, so the engine has to be made before. In and out have to be pipes and nothing else may use
// them.
func Main(engine inspect.Engine, in, out *os.File) int {
	// Of what ends a whole group or control group at once the daemon alone is to decide: it finishes the mail in work.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	debug.SetMaxStack(64 << 20)
	c := &child{engine: engine, in: bufio.NewReaderSize(in, 64<<10), poll: in, out: bufio.NewWriterSize(out, 64<<10)}
	if err := c.serve(); err != nil && !errors.Is(err, io.EOF) {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// A child is the worker's side.
type child struct {
	engine  inspect.Engine
	in      *bufio.Reader
	poll    *os.File // in, to see whether something has come
	watch   *watch
	content []byte // of a file, if it is small
	frame   []byte // to read and build frames in

	mu      sync.Mutex // an engine may use several goroutines
	out     *bufio.Writer
	order   order
	sent    int   // contents of this job
	octets  int64 // of them
	stopped error // the sink takes no more
}

// serve does jobs until the daemon wants no more of them.
func (c *child) serve() error {
	if err := c.greet(); err != nil {
		return err
	}
	for {
		kind, body, err := readFrame(c.in, c.frame)
		if err != nil {
			return err
		}
		c.frame = body[:0]
		switch kind {
		case kindStop: // came when the job was done already
		case kindOrder:
			if err := c.job(body); err != nil {
				return err
			}
		default:
			return errGarbage
		}
	}
}

// greet puts up the sandbox and tells about it.
func (c *child) greet() error {
	kind, body, err := readFrame(c.in, nil)
	if err != nil {
		return err
	}
	var s setup
	if err := decode(body, &s); err != nil || kind != kindSetup {
		return fmt.Errorf("%w: no setup", errGarbage)
	}
	c.watch = newWatch(s.Memory)
	return c.send(kindHello, confine(s, c.watch.meter))
}

// send writes a frame.
func (c *child) send(kind byte, body any) error {
	frame, err := appendFrame(c.frame[:0], kind, body)
	if err != nil {
		return err
	}
	if cap(frame) <= small {
		c.frame = frame[:0]
	}
	if _, err := c.out.Write(frame); err != nil {
		return err
	}
	return c.out.Flush()
}

// job does one job.
func (c *child) job(body []byte) error {
	c.order, c.sent, c.octets, c.stopped = order{}, 0, 0, nil
	if err := decode(body, &c.order); err != nil {
		return err
	}
	content, err := c.read(c.order.Size)
	if err != nil {
		return err
	}
	job := inspect.Job{Object: c.order.Object, Content: content, Passwords: c.order.Passwords, Limits: c.order.Limits}
	var sink inspect.Sink
	if c.order.Sink {
		sink = c.sink
	}
	c.watch.begin(c.order.CPU)
	result, err := c.engine.Inspect(context.Background(), job, sink)
	c.watch.end()
	r := reply{Result: result, Failed: err != nil}
	if err != nil {
		r.Error = err.Error()
	}
	r.Resident = c.watch.settle()
	c.mu.Lock()
	defer c.mu.Unlock()
	err = c.send(kindReply, r)
	if errors.Is(err, errTooLarge) {
		return c.send(kindReply, reply{Failed: true, Error: "more was found in it than can be reported", Resident: r.Resident})
	}
	return err
}

// read takes the content of a file.
func (c *child) read(size int64) ([]byte, error) {
	if size < 0 || size > c.watch.memory/2 {
		return nil, errGarbage
	}
	content := c.content
	if size > int64(cap(content)) {
		content = make([]byte, size)
		if size <= small {
			c.content = content
		}
	}
	content = content[:size:size]
	_, err := io.ReadFull(c.in, content)
	return content, unexpected(err)
}

// sink gives a content to the daemon. It is what the engine is given as a Sink.
func (c *child) sink(path string, content []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped == nil {
		c.stopped = c.asked()
	}
	if c.stopped != nil {
		return c.stopped
	}
	size := int64(len(content))
	if c.sent >= c.order.maxContents() || c.octets+size > c.order.maxOctets() || size > c.order.maxContent() {
		return fmt.Errorf("worker: %w by the contents", container.ErrLimit)
	}
	c.sent++
	c.octets += size
	frame, err := appendFrame(c.frame[:0], kindContent, discovery{Path: path, Size: size})
	if err != nil {
		return err
	}
	c.frame = frame[:0]
	_, _ = c.out.Write(frame) // Flush tells of the error
	_, _ = c.out.Write(content)
	if err := c.out.Flush(); err != nil {
		os.Exit(1) // the daemon is gone
	}
	return nil
}

// errStopped tells the engine that the sink takes no more.
var errStopped = errors.New("worker: no more contents are wanted")

// asked returns errStopped if the daemon wants no more contents.
func (c *child) asked() error {
	if c.in.Buffered() == 0 && !readable(c.poll) {
		return nil
	}
	kind, _, err := readFrame(c.in, nil)
	if err != nil || kind != kindStop {
		os.Exit(1) // the daemon is gone, or out of its mind
	}
	return errStopped
}
