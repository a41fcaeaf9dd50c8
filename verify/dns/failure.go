package dns

import (
	"context"
	"errors"
	"strings"
	"time"
)

// A Failure is why a question has no records. Every error of the resolvers of this package is a Failure or the
// context's error.
type Failure struct {
	Name   string        // as asked, escaped as in a master file, without the final dot
	Type   string        // "TXT", "A", "AAAA", "MX" or "PTR"
	Cause  string        // what happened, for people; "" if the class says it all
	Detail string        // more than Cause, for the administrator: it names the servers; may be ""
	Class  error         // ErrNotFound, ErrNXDomain, ErrTemporary or ErrBudget
	TTL    time.Duration // how long a negative answer holds (RFC 2308 Section 5); 0 for a temporary failure
	Cached bool          // remembered by a Cache
}

// Error returns one line of printable ASCII. It may be shown to everyone: Detail is not in it.
func (f *Failure) Error() string {
	return "dns: " + f.Type + " of " + f.Name + ": " + f.why()
}

// why is the failure without the question.
func (f *Failure) why() string {
	text := strings.TrimPrefix(f.Class.Error(), "dns: ")
	if f.Cause != "" {
		text += ": " + f.Cause
	}
	return text
}

// Why returns what err says without the question it was the answer to, for texts that name the question themselves.
func Why(err error) string {
	if f := (*Failure)(nil); errors.As(err, &f) {
		return f.why()
	}
	return err.Error()
}

// Unwrap returns the class.
func (f *Failure) Unwrap() error { return f.Class }

// isContext reports whether err is the end of a context rather than an answer.
func isContext(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
