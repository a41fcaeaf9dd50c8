// Package virus asks virus scanners about contents. It knows their answers, not their protocols: scan/virus/clamd and
// scan/virus/icap speak those.
package virus

import (
	"context"
	"io"
)

// A Kind says what an answer means.
type Kind string

// The kinds of answers. The zero value is no answer.
const (
	Clean         Kind = "clean"         // scanned in full, nothing found
	Infected      Kind = "infected"      // Name is that of the malware
	Encrypted     Kind = "encrypted"     // the scanner could not look into something because it is encrypted; nothing was found
	Uninspectable Kind = "uninspectable" // a limit of the scanner was exceeded; nothing was found in the rest
	Macros        Kind = "macros"        // the scanner reports macros, and nothing else
)

// A Verdict is the answer of a scanner about one content.
type Verdict struct {
	Kind Kind
	Name string // of the signature; "" for Clean
}

// An Engine is one virus scanner. Both methods are called from several goroutines.
type Engine interface {
	// Scan asks about a content. The name, which may be empty, is only for the scanner's log. The error says that there is no
	// verdict: the scanner is down, too slow (then it wraps context.DeadlineExceeded), busy, or has refused the content. Of r it
	// reads as much as it needs.
	Scan(ctx context.Context, name string, r io.Reader) (Verdict, error)
	// Ping asks whether the scanner is there. It does not wait for contents that are on their way to it, and after a few seconds
	// no more for the answer; then its error wraps context.DeadlineExceeded.
	Ping(ctx context.Context) error
}
