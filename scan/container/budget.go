package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Limits bound what looking into one file may cost, with everything that is inside of it. The zero value means the
// documented defaults.
type Limits struct {
	Depth   int           // files inside of files; default 8
	Members int           // members of all archives together; default 2000
	Octets  int64         // of all members together; default 200 MiB
	Member  int64         // octets of one member; default 64 MiB
	Ratio   int64         // how many times larger than what it is packed in a content may be; default 200
	Free    int64         // octets up to which Ratio does not count; default 20 MiB
	Time    time.Duration // of the processor; default 10 s
	Guesses int           // passwords tried, each on one member; default 200
}

// WithDefaults returns l with every unset limit set.
func (l Limits) WithDefaults() Limits {
	set(&l.Depth, 8)
	set(&l.Members, 2000)
	set(&l.Octets, 200<<20)
	set(&l.Member, 64<<20)
	set(&l.Ratio, 200)
	set(&l.Free, 20<<20)
	set(&l.Time, 10*time.Second)
	set(&l.Guesses, 200)
	return l
}

// set gives an unset limit its default.
func set[T int | int64 | time.Duration](limit *T, value T) {
	if *limit <= 0 {
		*limit = value
	}
}

// A LimitError says which limit was exceeded.
type LimitError struct {
	Limit string // a stable word: "depth", "members", "octets", "member", "ratio", "time"
	text  string
}

// Error implements error.
func (e *LimitError) Error() string { return e.text }

// Is lets errors.Is recognize any LimitError by ErrLimit.
func (e *LimitError) Is(target error) bool { return target == ErrLimit }

// ErrLimit is what every LimitError is.
var ErrLimit = errors.New("limit exceeded")

// A Budget is what is left for one file and all that is inside of it. It serves one goroutine. Once it is exceeded it stays
// so, except for the size of a single member.
type Budget struct {
	Limits  Limits
	ctx     context.Context
	clock   func() time.Duration // processor time that was used; nil for none
	until   time.Duration
	Members int   // used
	Octets  int64 // used
	Guesses int   // used
	over    *LimitError
	checks  int
	first   []byte // the beginning of what ReadAll reads
}

// NewBudget returns a Budget. The clock tells the processor time that the process has used; nil means that time is bounded
// by the context alone.
func NewBudget(ctx context.Context, l Limits, clock func() time.Duration) *Budget {
	b := &Budget{Limits: l.WithDefaults(), ctx: ctx, clock: clock}
	if clock != nil {
		b.until = clock() + b.Limits.Time
	}
	return b
}

// Check returns an error when the time is up or another limit was exceeded before. It is cheap enough for every turn of a
// loop.
func (b *Budget) Check() error {
	if b.over != nil {
		return b.over
	}
	if b.checks++; b.checks&63 != 1 {
		return nil
	}
	if b.ctx.Err() != nil || b.clock != nil && b.clock() > b.until {
		return b.exceed("time", "it takes too long to open")
	}
	return nil
}

// exceed remembers the limit.
func (b *Budget) exceed(limit, format string, args ...any) error {
	b.over = &LimitError{limit, fmt.Sprintf(format, args...)}
	return b.over
}

// Over returns the limit that was exceeded for good, nil if none was.
func (b *Budget) Over() *LimitError { return b.over }

// Member counts one more member.
func (b *Budget) Member() error {
	if err := b.Check(); err != nil {
		return err
	}
	if b.Members++; b.Members > b.Limits.Members {
		return b.exceed("members", "more than %d members", b.Limits.Members)
	}
	return nil
}

// Spend counts octets of a content that is held in memory already.
func (b *Budget) Spend(octets int64) error {
	if err := b.Check(); err != nil {
		return err
	}
	if b.Octets += octets; b.Octets > b.Limits.Octets {
		return b.exceed("octets", "more than %d octets altogether", b.Limits.Octets)
	}
	return nil
}

// Guess counts the try of a password, and reports whether it may be made.
func (b *Budget) Guess() bool {
	b.Guesses++
	return b.Guesses <= b.Limits.Guesses && b.Check() == nil
}

// ReadAll reads a content to its end within the limits and spends it. Packed is how many octets it is made of. What was read
// before an error is returned with it. Only a LimitError is one of the budget; any other is r's. Large contents are read in
// pieces and joined once, so that at most twice their size is in memory. The first piece is always the same memory, so that
// small contents take no more than they are long.
func (b *Budget) ReadAll(r io.Reader, packed int64) ([]byte, error) {
	const smallest, largest = 32 << 10, 1 << 20
	first := b.first
	if b.first = nil; first == nil { // or r reads with this Budget itself
		first = make([]byte, smallest)
	}
	defer func() { b.first = first }()
	var pieces [][]byte
	size, limit := int64(0), b.allowance(packed)
	for piece := first; ; piece = make([]byte, min(2*len(piece), largest)) {
		n, err := b.fill(r, piece)
		if n > 0 {
			pieces = append(pieces, piece[:n])
		}
		switch size += int64(n); {
		case size > limit:
			return joined(pieces, size)[:limit], b.tooLarge(size, packed)
		case b.Octets+size > b.Limits.Octets:
			return joined(pieces, size), b.exceed("octets", "more than %d octets altogether", b.Limits.Octets)
		case errors.Is(err, io.EOF):
			return joined(pieces, size), b.Spend(size)
		case err != nil:
			_ = b.Spend(size)
			return joined(pieces, size), err
		}
	}
}

// joined is the content that pieces make. An empty one is a content too, and not nil.
func joined(pieces [][]byte, size int64) []byte {
	out := make([]byte, 0, size)
	for _, p := range pieces {
		out = append(out, p...)
	}
	return out
}

// fill reads until a piece is full, and asks the budget as it goes. Its error is r's own, io.EOF at the end.
func (b *Budget) fill(r io.Reader, piece []byte) (n int, err error) {
	const step, patience = 64 << 10, 100
	for empty := 0; n < len(piece); {
		if err := b.Check(); err != nil {
			return n, err
		}
		k, err := r.Read(piece[n:min(len(piece), n+step)])
		n += k
		if err != nil {
			return n, err
		}
		if empty++; k > 0 {
			empty = 0
		} else if empty > patience {
			return n, io.ErrNoProgress
		}
	}
	return n, nil
}

// allowance is how large a content may be that is made of packed octets.
func (b *Budget) allowance(packed int64) int64 {
	limit := b.Limits.Member
	if packed < limit/b.Limits.Ratio { // else the product is larger anyway
		limit = min(limit, max(b.Limits.Free, packed*b.Limits.Ratio))
	}
	return limit
}

// tooLarge is the error about a content that exceeds its allowance. A bomb ends the work on the whole file: what it costs to
// tell once is enough.
func (b *Budget) tooLarge(size, packed int64) error {
	_ = b.Spend(size)
	if b.over != nil {
		return b.over
	}
	if b.allowance(packed) < b.Limits.Member {
		return b.exceed("ratio", "%d octets unpack to more than %d", packed, b.allowance(packed))
	}
	return &LimitError{"member", fmt.Sprintf("a member of more than %d octets", b.Limits.Member)}
}
