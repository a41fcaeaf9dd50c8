// Package inspect opens one file and whatever is inside of it, to the bottom. It walks: each file is identified, every
// Reader that claims it is asked, and what that yields is walked in turn. It runs in a worker process that may be killed at
// any moment, so it keeps nothing and reports as it goes.
package inspect

import (
	"context"

	"assay/scan"
	"assay/scan/container"
)

// A Job is one file of a message, as scan/attach has identified it.
type Job struct {
	Object    scan.Object // Path, Section, Depth, names and type are filled in; State, Class and Method are set by Inspect
	Content   []byte      // all of it, decoded
	Passwords []string    // candidates, the likeliest first
	Limits    container.Limits
}

// A Sink takes every content that came to light inside of a file, with the path of its object, while it is in memory. The
// file itself is not among them. An error ends the inspection.
type Sink func(path string, content []byte) error

// A Result is what was found. It is complete also when a limit was exceeded: then objects say so.
type Result struct {
	Objects []scan.Object // the file itself, and then what is inside, parents before children
	Links   []scan.Link
	Limits  []string // limits that were exceeded, as container.LimitError names them, without repetitions
	Members int      // of the budget that was used
	Octets  int64
	Guesses int
}

// An Engine inspects files: *Inspector in this process, scan/worker in another one. It is called from several goroutines. The
// error says that the file could not be inspected at all; the caller calls it uninspectable then.
type Engine interface {
	Inspect(ctx context.Context, job Job, sink Sink) (Result, error)
}
