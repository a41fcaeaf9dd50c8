package worker

import (
	"context"
	"math/bits"
	"sync"

	"golang.org/x/sync/semaphore"
)

// small is how many octets each worker may keep in the daemon for contents of its own; larger ones share what all have.
const small = 1 << 20

// buffers hold large contents. What is in use at a time is bounded for all jobs together, and a buffer is used again until
// the garbage collector takes it.
type buffers struct {
	all     *semaphore.Weighted
	limit   int64
	classes [64]sync.Pool // of *[]byte, by the logarithm of their size
}

// newBuffers returns buffers of at most limit octets altogether, or a single larger one.
func newBuffers(limit int64) *buffers {
	return &buffers{all: semaphore.NewWeighted(limit), limit: limit}
}

// take returns a buffer: the worker's own for a small content. It waits for others to release theirs.
func (b *buffers) take(ctx context.Context, size int64, own *[]byte) (buffer []byte, release func(), err error) {
	if size <= small {
		if int64(cap(*own)) < size {
			*own = make([]byte, size, max(4<<10, 1<<bits.Len64(uint64(size-1))))
		}
		return (*own)[:size], func() {}, nil
	}
	class := bits.Len64(uint64(size - 1))
	weight := min(int64(1)<<class, b.limit)
	if err := b.all.Acquire(ctx, weight); err != nil {
		return nil, nil, err
	}
	held, _ := b.classes[class].Get().(*[]byte)
	if held == nil {
		fresh := make([]byte, 1<<class)
		held = &fresh
	}
	return (*held)[:size], func() {
		b.classes[class].Put(held)
		b.all.Release(weight)
	}, nil
}
