package store

import (
	"context"
	"errors"
	"time"

	"assay/verify/dmarc/report"
)

// A Store is safe for concurrent use, also by several processes.
type Store struct{}

// A Sender is the one that may send reports.
type Sender struct{}

// Open opens a store. Close it, or the last rows are lost.
func Open(ctx context.Context, o Options) (*Store, error) { return nil, errors.ErrUnsupported }

// Add counts a message. It takes microseconds, whatever the disk does, and keeps no memory of the row.
func (s *Store) Add(at time.Time, row report.Row) {}

// Flush writes the rows that are in memory.
func (s *Store) Flush(ctx context.Context) error { return errors.ErrUnsupported }

// Close writes the rows that are in memory, if the disk takes them within seconds, and closes the file.
func (s *Store) Close() error { return errors.ErrUnsupported }

// Stats returns counters of this process.
func (s *Store) Stats() Stats { return Stats{} }

// Pending returns the reports that are due at an instant, oldest day first, then by domain. It returns at most 10,000; those
// that are then sealed and tried are not among those of the next call. Callers pass now.Add(-Settle).
func (s *Store) Pending(ctx context.Context, before time.Time) ([]Pending, error) {
	return nil, errors.ErrUnsupported
}

// Records returns the records of a report, most messages first, all with the last policy of the day. There are at most
// MaxReportRows.
func (s *Store) Records(ctx context.Context, domain string, p report.Period) ([]report.Record, error) {
	return nil, errors.ErrUnsupported
}

// Lock makes the caller the only one that sends, or returns ErrBusy. It holds until Unlock, or until nothing was begun or
// finished for ten minutes. Who is for people.
func (s *Store) Lock(ctx context.Context, who string) (*Sender, error) {
	return nil, errors.ErrUnsupported
}

// Seal ends the collection of rows of a day and notes where its report is to be sent. Again, it returns what it did the first
// time: the report id stays. Without addresses the report is done.
func (l *Sender) Seal(ctx context.Context, r Report) ([]Delivery, error) {
	return nil, errors.ErrUnsupported
}

// Begin notes an attempt before the report is handed over. It returns ErrFinal, ErrNotDue, ErrSuppressed (the delivery
// has ended with it), or ErrBusy if the lock was lost.
func (l *Sender) Begin(ctx context.Context, d Delivery) (Delivery, error) {
	return Delivery{}, errors.ErrUnsupported
}

// Finish notes how an attempt ended. Sent is noted even if the lock was lost.
func (l *Sender) Finish(ctx context.Context, d Delivery, o Outcome) error {
	return errors.ErrUnsupported
}

// Unlock lets others send.
func (l *Sender) Unlock(ctx context.Context) error { return errors.ErrUnsupported }

// Retry makes every delivery that waits due now, and returns how many.
func (s *Store) Retry(ctx context.Context) (int64, error) { return 0, errors.ErrUnsupported }

// Deliveries returns the log, newest change first, of one state or ("") of all, at most limit.
func (s *Store) Deliveries(ctx context.Context, state State, limit int) ([]Delivery, error) {
	return nil, errors.ErrUnsupported
}

// Suppress adds a suppression, or changes its reason.
func (s *Store) Suppress(ctx context.Context, pattern, reason string) error {
	return errors.ErrUnsupported
}

// Unsuppress removes a suppression, or returns ErrNotFound.
func (s *Store) Unsuppress(ctx context.Context, pattern string) error { return errors.ErrUnsupported }

// Suppressions returns all, sorted.
func (s *Store) Suppressions(ctx context.Context) ([]Suppression, error) {
	return nil, errors.ErrUnsupported
}

// Suppressed returns the suppression that forbids a report about a domain to an address, nil if there is none.
func (s *Store) Suppressed(ctx context.Context, domain, address string) (*Suppression, error) {
	return nil, errors.ErrUnsupported
}

// Expire removes what was kept long enough, and makes the file smaller, for some seconds at most.
func (s *Store) Expire(ctx context.Context, now time.Time) (Removed, error) {
	return Removed{}, errors.ErrUnsupported
}

// Status describes the store.
func (s *Store) Status(ctx context.Context) (Status, error) { return Status{}, errors.ErrUnsupported }
