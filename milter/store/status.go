package store

import (
	"context"
	"database/sql"
	"time"

	"assay/verify/dmarc/report"
)

// Status describes the store as it is on the disk: rows of the last second, which another process may have in memory, are
// not in it.
func (s *Store) Status(ctx context.Context) (Status, error) {
	st := Status{Deliveries: map[State]int64{}, Dropped: map[Cause]int64{}}
	err := s.use(ctx, func(db *sql.DB) error {
		tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}) // all figures of one instant
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		if err := s.figures(ctx, tx, &st); err != nil {
			return err
		}
		if err := st.countDays(ctx, tx); err != nil {
			return err
		}
		if err := countInto(ctx, tx, st.Deliveries, "SELECT state, count(*) FROM deliveries GROUP BY state"); err != nil {
			return err
		}
		return countInto(ctx, tx, st.Dropped, "SELECT cause, sum(messages) FROM drops GROUP BY cause")
	})
	st.Bytes = s.size()
	return st, err
}

// figures reads the single figures.
func (s *Store) figures(ctx context.Context, tx *sql.Tx, st *Status) error {
	now := s.opt.Now()
	for _, f := range []struct {
		to    *int64
		query string
		args  []any
	}{
		{&st.Rows, "SELECT rows FROM total", nil},
		{&st.Pending, "SELECT count(*)" + pending, []any{now.Unix(), now.UnixMilli()}},
		{&st.Open, "SELECT count(*) FROM days WHERE asks = 1 AND day > ?", []any{now.Add(-dayLength).Unix()}},
		{&st.Suppressed, "SELECT count(*) FROM suppressions", nil},
	} {
		if err := tx.QueryRowContext(ctx, f.query, f.args...).Scan(f.to); err != nil {
			return err
		}
	}
	var until int64
	if err := tx.QueryRowContext(ctx, "SELECT who, until FROM sender").Scan(&st.Sender, &until); err != nil {
		return err
	}
	if until <= now.UnixMilli() {
		st.Sender = ""
	}
	return nil
}

// countDays reads the figures of days.
func (st *Status) countDays(ctx context.Context, tx *sql.Tx) error {
	rows, err := tx.QueryContext(ctx, "SELECT day, count(*), sum(rows), sum(messages) FROM days GROUP BY day ORDER BY day")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		d := DayStatus{}
		var begin int64
		if err := rows.Scan(&begin, &d.Domains, &d.Rows, &d.Messages); err != nil {
			return err
		}
		d.Period = report.Day(time.Unix(begin, 0))
		st.Days = append(st.Days, d)
	}
	if len(st.Days) > 0 {
		st.Oldest = st.Days[0].Period.Begin
	}
	return rows.Err()
}

// countInto reads figures with names.
func countInto[K ~string](ctx context.Context, tx *sql.Tx, to map[K]int64, query string) error {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var n int64
		if err := rows.Scan(&name, &n); err != nil {
			return err
		}
		to[K(name)] = n
	}
	return rows.Err()
}
