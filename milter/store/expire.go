package store

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"time"
)

// How much is removed in one transaction, and how long making the file smaller may take: the next time goes on with it.
const (
	expireDays = 1000
	expireRows = 5000
	vacuumStep = "1000" // pages
	vacuumTime = 10 * time.Second
)

// Expire removes what was kept long enough, and gives up what waits so long, and makes the file smaller, for some seconds at most.
// It also looks for damage.
func (s *Store) Expire(ctx context.Context, now time.Time) (r Removed, err error) {
	before := s.size()
	if err := s.check(ctx); err != nil {
		return r, err
	}
	rows, log := now.Add(-s.opt.Retention-dayLength).Unix(), now.Add(-s.opt.Log-dayLength).Unix()
	err = errors.Join(
		s.batches(ctx, func(tx *sql.Tx) (int64, error) { return r.days(ctx, tx, rows, expireRows) }),
		s.batches(ctx, func(tx *sql.Tx) (int64, error) { return r.giveUp(ctx, tx, rows, now) }),
		s.batches(ctx, func(tx *sql.Tx) (int64, error) { return r.forget(ctx, tx, log) }),
	)
	if err != nil {
		return r, err
	}
	err = errors.Join(s.use(ctx, func(db *sql.DB) error { return shrink(ctx, db) }), s.expireAsides(now))
	r.Bytes = max(before-s.size(), 0)
	return r, err
}

// yield is how long others may write between two batches.
const yield = 10 * time.Millisecond

// batches runs transactions until one finds nothing more to do.
func (s *Store) batches(ctx context.Context, work func(tx *sql.Tx) (int64, error)) error {
	for {
		var n int64
		err := s.write(ctx, func(tx *sql.Tx) (err error) {
			n, err = work(tx)
			return err
		})
		if err != nil || n == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(yield):
		}
	}
}

// change runs a statement and returns how many rows it has changed.
func change(ctx context.Context, tx *sql.Tx, statement string, args ...any) (int64, error) {
	result, err := tx.ExecContext(ctx, statement, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// days removes some rows of days that began at a time or before, and days that have none left. It returns how many days it has
// looked at.
func (r *Removed) days(ctx context.Context, tx *sql.Tx, begin int64, most int) (int64, error) {
	const old = "(SELECT id FROM days WHERE day <= ?1 ORDER BY day, domain LIMIT ?2)"
	// A report of which rows are missing must not be sent.
	n, err := change(ctx, tx, "UPDATE days SET done = 1 WHERE id IN "+old, begin, expireDays)
	if err != nil || n == 0 {
		return 0, err
	}
	removed, err := change(ctx, tx, "DELETE FROM rows WHERE id IN (SELECT r.id FROM "+old+
		" d CROSS JOIN rows r ON r.day = d.id LIMIT ?3)", begin, expireDays, most)
	if err != nil {
		return 0, err
	}
	r.Rows += removed
	if _, err := change(ctx, tx, "UPDATE total SET rows = rows - ?", removed); err != nil {
		return 0, err
	}
	_, err = change(ctx, tx, "DELETE FROM days WHERE id IN "+old+" AND NOT EXISTS (SELECT 1 FROM rows WHERE rows.day = days.id)", begin, expireDays)
	return n, err
}

// giveUp ends some deliveries of days that began at a time or before.
func (r *Removed) giveUp(ctx context.Context, tx *sql.Tx, begin int64, now time.Time) (int64, error) {
	n, err := change(ctx, tx, "UPDATE deliveries SET state = 'expired', changed = ?1 WHERE (domain, day, address) IN "+
		"(SELECT domain, day, address FROM deliveries WHERE state = 'waiting' AND day <= ?2 LIMIT ?3)", now.UnixMilli(), begin, expireRows)
	r.Expired += n
	return n, err
}

// forget removes some of the log of days that began at a time or before.
func (r *Removed) forget(ctx context.Context, tx *sql.Tx, begin int64) (int64, error) {
	if _, err := change(ctx, tx, "DELETE FROM drops WHERE day <= ?", begin); err != nil {
		return 0, err
	}
	n, err := change(ctx, tx, "DELETE FROM deliveries WHERE (domain, day, address) IN "+
		"(SELECT domain, day, address FROM deliveries WHERE day <= ? LIMIT ?)", begin, expireRows)
	r.Deliveries += n
	return n, err
}

// shrink gives pages that are free back to the file system.
func shrink(ctx context.Context, db *sql.DB) error {
	for end := time.Now().Add(vacuumTime); time.Now().Before(end); {
		var before, after int64
		if err := db.QueryRowContext(ctx, "PRAGMA freelist_count").Scan(&before); err != nil {
			return err
		}
		if before == 0 {
			break
		}
		if err := vacuum(ctx, db); err != nil {
			return err
		}
		if err := db.QueryRowContext(ctx, "PRAGMA freelist_count").Scan(&after); err != nil {
			return err
		}
		if after >= before {
			break
		}
	}
	var busy, log, moved int // somebody who reads prevents it: then the file becomes smaller later
	return db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &log, &moved)
}

// vacuum frees some pages: one with every row that the statement gives.
func vacuum(ctx context.Context, db *sql.DB) error {
	rows, err := db.QueryContext(ctx, "PRAGMA incremental_vacuum("+vacuumStep+")")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		continue
	}
	return rows.Err()
}

// expireAsides removes files that were set aside, when what is in them would have been removed.
func (s *Store) expireAsides(now time.Time) error {
	all, err := s.asides()
	for _, path := range all {
		if info, statErr := os.Lstat(path); statErr == nil && now.Sub(info.ModTime()) > s.opt.Retention+dayLength {
			err = errors.Join(err, os.Remove(path))
		}
	}
	return err
}

// size returns the octets of the database, with what SQLite keeps beside it.
func (s *Store) size() int64 {
	var all int64
	for _, suffix := range suffixes {
		if info, err := os.Stat(s.opt.Path + suffix); err == nil {
			all += info.Size()
		}
	}
	return all
}
