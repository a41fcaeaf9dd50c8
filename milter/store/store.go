package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// A Store is safe for concurrent use, also by several processes.
type Store struct {
	opt Options

	mu   sync.Mutex // held while db is opened or replaced
	db   *sql.DB
	file os.FileInfo // that db has open
	shut bool

	in      sync.Mutex // guards what Add works with
	batch   *batch
	stats   Stats
	writing int64 // messages that are being written
	ended   bool  // no rows are taken any more

	flushing sync.Mutex // one write at a time
	wake     chan struct{}
	stop     context.CancelFunc
	stopped  chan struct{}

	telling sync.Mutex // guards what Observe was told
	told    string
	toldAt  time.Time
}

// withDefaults sets what is not set.
func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Observe == nil {
		o.Observe = func(error) {}
	}
	o.Interval = cmp.Or(o.Interval, time.Second)
	o.Retention = cmp.Or(o.Retention, 3*24*time.Hour)
	o.Log = max(cmp.Or(o.Log, 30*24*time.Hour), o.Retention)
	o.MaxRows = cmp.Or(o.MaxRows, 1_000_000)
	o.MaxReportRows = cmp.Or(o.MaxReportRows, 100_000)
	o.MaxBytes = cmp.Or(o.MaxBytes, 1<<30)
	return o
}

// validate returns what is wrong with options.
func (o Options) validate() error {
	switch {
	case !filepath.IsAbs(o.Path):
		return fmt.Errorf("store: the path %q is not absolute", o.Path)
	case o.Interval < 0 || o.Retention < 0 || o.Log < 0:
		return errors.New("store: a time is negative")
	case o.MaxRows < 0 || o.MaxReportRows < 0 || o.MaxBytes < 0:
		return errors.New("store: a limit is negative")
	}
	return nil
}

// Open opens a store. Close it, or the last rows are lost. A disk that does not work now may work later: what is wrong with it
// is said to Observe, and rows wait in memory. With Existing it is an error.
func Open(ctx context.Context, o Options) (*Store, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	s := &Store{opt: o.withDefaults(), batch: newBatch(), wake: make(chan struct{}, 1), stopped: make(chan struct{})}
	s.stats.Dropped = map[Cause]int64{}
	if _, err := s.handle(ctx); err != nil && o.Existing {
		return nil, err
	} else if err != nil {
		s.tell(err)
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	go s.run(background)
	return s, nil
}

// run writes rows until the store is closed. The daemon looks for damage first, so that it is found before rows depend on the
// file; that may take seconds.
func (s *Store) run(ctx context.Context) {
	defer close(s.stopped)
	if !s.opt.Existing {
		_ = s.check(ctx) // damage was told, all else is told by Flush
	}
	tick := time.NewTicker(s.opt.Interval)
	defer tick.Stop()
	wake := s.wake
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-wake:
		}
		wake = s.wake
		if err := s.Flush(ctx); err != nil {
			wake = nil // a disk that is full is not asked more often because there is more to write
		}
	}
}

// closeTime is how long Close waits for the disk.
const closeTime = 5 * time.Second

// Close writes the rows that are in memory, if the disk takes them within seconds, and closes the file.
func (s *Store) Close() error {
	s.in.Lock()
	again := s.ended
	s.ended = true
	s.in.Unlock()
	if again {
		return nil
	}
	s.stop()
	<-s.stopped
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	err := s.Flush(ctx)
	s.in.Lock()
	s.lose(CauseClosed, s.batch.messages)
	s.batch = newBatch()
	s.in.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = true
	s.drop()
	return err
}

// tellAgain is after how long the same error is told again.
const tellAgain = time.Minute

// tell tells Observe how writing goes: nil if it goes well.
func (s *Store) tell(err error) {
	s.telling.Lock()
	defer s.telling.Unlock()
	now, text := s.opt.Now(), ""
	if err != nil {
		text = err.Error()
	}
	if text == s.told && (text == "" || now.Sub(s.toldAt).Abs() < tellAgain) {
		return
	}
	s.told, s.toldAt = text, now
	s.opt.Observe(err)
}
