// Package worker inspects files in other processes. What reads foreign binary formats runs there: a hostile file may crash
// it, make it loop or let it allocate without end, and costs one file its inspection, never the daemon.
//
// The processes are workers of one binary. A Pool starts them when they are needed, gives each one job after the other, and
// ends the one that exceeds a limit; Main is what they run. A worker has no files, no network, no other processes and no
// environment; it keeps these promises by itself before it sees the first octet of a message, with seccomp, Landlock and
// resource limits as far as the kernel has them. Sandbox tells which are in force.
//
// The daemon trusts nothing that a worker says: whatever it sends is bounded and checked, and a worker that breaks the
// protocol is killed. One that inspects a file could lie about that file and about the next ones; it cannot do more.
package worker

import (
	"errors"
	"math"
	"runtime"
	"time"

	"assay/scan/container"
)

// Options say how workers are run. The zero value of a field means its default; Command has none.
type Options struct {
	// Command is what a worker is: the path of a program that calls Main, and its arguments. "/proc/self/exe" is this very
	// program, also after its file was replaced by a newer one.
	Command []string
	// Env is the environment of the workers. The default is what makes Go fast for small jobs; nothing is inherited.
	Env     []string
	Workers int   // at most, in parallel; default GOMAXPROCS
	Memory  int64 // octets that a worker may have resident; default 256 MiB
	// CPU and CPUPerOctet of its content are the processor time that a job may take; default 1 s and 238 ns, which is a
	// second per 4 MiB.
	CPU         time.Duration
	CPUPerOctet time.Duration
	Wall        time.Duration // time that a job may take, without that in the Sink; default 10 s
	Jobs        int           // after which a worker is replaced; default 1000
	Resident    int64         // octets resident after a job at which a worker is replaced; default a quarter of Memory
	Starts      int           // of workers per second, so that files that crash them cannot keep the machine busy; default 25
	Contents    int64         // octets of large contents for all Sinks together that are held at a time; default 48 MiB
	// Observe is told of everything that becomes of a worker. It is called from several goroutines and has to be quick.
	Observe func(Event)
}

// withDefaults returns o with every unset field set.
func (o Options) withDefaults() Options {
	o.Workers = positive(o.Workers, runtime.GOMAXPROCS(0))
	o.Memory = positive(o.Memory, 256<<20)
	o.CPU = positive(o.CPU, time.Second)
	o.CPUPerOctet = positive(o.CPUPerOctet, time.Second/(4<<20))
	o.Wall = positive(o.Wall, 10*time.Second)
	o.Jobs = positive(o.Jobs, 1000)
	o.Resident = positive(o.Resident, o.Memory/4)
	o.Starts = positive(o.Starts, 25)
	o.Contents = positive(o.Contents, 48<<20)
	if o.Env == nil {
		o.Env = environment()
	}
	if o.Observe == nil {
		o.Observe = func(Event) {}
	}
	return o
}

// positive returns the value if it is set, otherwise its default.
func positive[T int | int64 | time.Duration](value, standard T) T {
	if value > 0 {
		return value
	}
	return standard
}

// environment makes Go fast for small jobs. Two processors let the watchdog run beside a job that spins. A heap that may grow
// to four times of what is alive spares most jobs a collection; Memory bounds it all the same.
func environment() []string {
	return []string{"GOMAXPROCS=2", "GOGC=400", "GOTRACEBACK=single", "GODEBUG=decoratemappings=0,updatemaxprocs=0"}
}

// processor is the time that a job of so many octets may take.
func (o Options) processor(octets int) time.Duration {
	if int64(octets) > int64(math.MaxInt64/4)/int64(o.CPUPerOctet) {
		return math.MaxInt64 / 4
	}
	return o.CPU + time.Duration(octets)*o.CPUPerOctet
}

// lifetime is the processor time after which a worker is replaced. The kernel kills it when it takes that and two of the
// largest jobs.
const lifetime = time.Minute

// A Change is what became of a worker.
type Change string

// The changes.
const (
	Started Change = "started"
	Failed  Change = "failed"  // could not be started; Reason says why
	Ended   Change = "ended"   // had enough jobs, or is no longer needed
	Crashed Change = "crashed" // died, or broke the protocol
	Limited Change = "limited" // exceeded a limit and was killed, or has ended by itself
	Killed  Change = "killed"  // its job was cancelled
)

// An Event tells what became of a worker.
type Event struct {
	Change Change
	PID    int
	Jobs   int    // that it was given
	Reason string // for the log: may quote what the worker has said last, and so a file
	Limit  string // of Limited: "memory" or "time"
	Status Status // of Started
}

// A Status says which walls stand around a worker.
type Status struct {
	NoNewPrivileges bool // it cannot gain any, by no program
	Seccomp         bool // the kernel refuses it all system calls but those that Go needs to compute
	Landlock        bool // the kernel refuses it all files, and TCP where it can
	Limits          bool // the kernel bounds its memory and processor time, and gives it no files
	// Missing says for each wall that does not stand what the kernel has answered.
	Missing []string
}

// Errors of Inspect. Those of a limit are container.ErrLimit too.
var (
	ErrClosed  = errors.New("worker: the pool is closed")
	ErrCrashed = errors.New("worker: crashed")
	ErrStart   = errors.New("worker: cannot be started")
)

// An Error says why a file could not be inspected, in words that may be shown to anybody. It is ErrCrashed, ErrStart or
// container.ErrLimit.
type Error struct {
	Limit string // "memory" or "time", "" if it is not a limit
	Log   string // what more is known, for the log alone; may quote what the worker has said last
	text  string
	cause error
}

// Error implements error.
func (e *Error) Error() string { return e.text }

// Unwrap returns what kind of error it is.
func (e *Error) Unwrap() error { return e.cause }

// limited is the error of a limit.
func limited(limit, log string) *Error {
	text := "it takes too long to open"
	if limit == limitMemory {
		text = "it takes too much memory to open"
	}
	return &Error{Limit: limit, Log: log, text: text, cause: container.ErrLimit}
}

// crashed is the error of a worker that died or broke the protocol.
func crashed(log string) *Error {
	return &Error{Log: log, text: "the program that looks into it has failed", cause: ErrCrashed}
}

// The limits of a worker, as container.LimitError and inspect.Result name them.
const (
	limitMemory = "memory"
	limitTime   = "time"
)
