package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"time"

	"assay/verify/dmarc/report"
)

// Flush writes the rows that are in memory. What cannot be written stays there, as far as there is room.
func (s *Store) Flush(ctx context.Context) error {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	b, written := s.takeBatch(), int64(0)
	_, err := s.handle(ctx)
	for again := true; err == nil && len(b.days)+len(b.dropped) > 0; {
		var n int64
		n, err = s.writeSome(ctx, b)
		written += n
		if corrupt(err) && again { // the file was set aside, which was told: there is a new one
			again, err = false, nil
		}
	}
	s.wrote(written, b)
	if err == nil || ctx.Err() == nil {
		s.tell(err)
	}
	return err
}

// txRows is how many rows are written in one transaction: others wait for it.
const txRows = 5000

// A writer writes rows in one transaction. It notes what becomes of them, which is true if the transaction succeeds.
type writer struct {
	s       *Store
	tx      *sql.Tx
	now     time.Time
	room    int64           // how many more rows there may be
	bytes   int64           // by how much the file may grow
	added   int64           // distinct rows
	written int64           // messages
	dropped map[Cause]int64 // messages
}

// writeSome writes a part of a batch in one transaction, and takes it out of the batch. It returns the number of messages.
func (s *Store) writeSome(ctx context.Context, b *batch) (int64, error) {
	part, rest := b.split(txRows)
	w := &writer{s: s, now: s.opt.Now()}
	err := s.write(ctx, func(tx *sql.Tx) error {
		w.tx = tx
		return w.write(ctx, part)
	})
	if err != nil {
		return 0, err
	}
	*b = *rest
	s.in.Lock()
	defer s.in.Unlock()
	for cause, n := range w.dropped {
		s.stats.Dropped[cause] += n
	}
	return w.written, nil
}

// split divides a batch in two, of which the first has at most n rows, and what was dropped.
func (b *batch) split(n int) (part, rest *batch) {
	part, rest = newBatch(), newBatch()
	part.dropped = b.dropped
	for key, day := range b.days {
		if part.rows+max(len(day.rows), 1) <= n {
			part.days[key] = day
			part.rows += max(len(day.rows), 1)
			continue
		}
		first, second := *day, *day
		first.rows, second.rows = map[string]int64{}, map[string]int64{}
		for text, count := range day.rows {
			if part.rows < n {
				first.rows[text] = count
				part.rows++
			} else {
				second.rows[text] = count
			}
		}
		if len(first.rows) > 0 {
			part.days[key] = &first
		}
		rest.days[key] = &second
	}
	return part, rest
}

// write writes rows, and what was dropped before and now.
func (w *writer) write(ctx context.Context, b *batch) error {
	if err := w.measure(ctx); err != nil {
		return err
	}
	w.dropped = map[Cause]int64{}
	for key, day := range b.days {
		if err := w.day(ctx, key, day); err != nil {
			return err
		}
	}
	for _, dropped := range []map[Cause]int64{b.dropped, w.dropped} {
		for cause, n := range dropped {
			if _, err := w.tx.ExecContext(ctx, "INSERT INTO drops (day, cause, messages) VALUES (?, ?, ?) "+
				"ON CONFLICT DO UPDATE SET messages = messages + excluded.messages", report.Day(w.now).Begin.Unix(), string(cause), n); err != nil {
				return err
			}
		}
	}
	_, err := w.tx.ExecContext(ctx, "UPDATE total SET rows = rows + ?", w.added)
	return err
}

// measure finds out how much room there is.
func (w *writer) measure(ctx context.Context) error {
	var rows, pages, free, page int64
	err := w.tx.QueryRowContext(ctx, "SELECT rows, (SELECT page_count FROM pragma_page_count), "+
		"(SELECT freelist_count FROM pragma_freelist_count), (SELECT page_size FROM pragma_page_size) FROM total").Scan(&rows, &pages, &free, &page)
	w.room, w.bytes = w.s.opt.MaxRows-rows, w.s.opt.MaxBytes-(pages-free)*page
	return err
}

// A day is what the file has about one policy domain and day.
type day struct {
	id     int64
	rows   int64
	sealed bool
}

// day writes the rows of one policy domain and day.
func (w *writer) day(ctx context.Context, key dayKey, rows *dayRows) error {
	if w.now.Sub(time.Unix(key.begin, 0)) >= dayLength+w.s.opt.Retention {
		w.drop(CauseLate, rows)
		return nil
	}
	d, err := w.open(ctx, key, rows)
	if err != nil || d == nil {
		return err
	}
	if d.sealed {
		w.drop(CauseLate, rows)
		return nil
	}
	before, messages := d.rows, w.written
	for text, n := range rows.rows {
		if err := w.row(ctx, d, text, n); err != nil {
			return err
		}
	}
	w.added += d.rows - before
	_, err = w.tx.ExecContext(ctx, "UPDATE days SET rows = ?, messages = messages + ? WHERE id = ?", d.rows, w.written-messages, d.id)
	return err
}

// dayLength is that of a UTC day.
const dayLength = 24 * time.Hour

// open returns what is known about a day, with its last policy noted; nil if there is no such day, and no reason or no
// room for it.
func (w *writer) open(ctx context.Context, key dayKey, rows *dayRows) (*day, error) {
	d := &day{}
	var seen int64
	err := w.tx.QueryRowContext(ctx, "SELECT id, rows, report_id <> '', seen FROM days WHERE day = ? AND domain = ?", key.begin, key.domain).
		Scan(&d.id, &d.rows, &d.sealed, &seen)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return w.begin(ctx, key, rows)
	case err != nil || d.sealed || rows.seen < seen:
		return d, err
	}
	_, err = w.tx.ExecContext(ctx, "UPDATE days SET policy = ?, asks = ?, seen = ? WHERE id = ?", rows.policy, rows.asks, rows.seen, d.id)
	return d, err
}

// begin begins a day.
func (w *writer) begin(ctx context.Context, key dayKey, rows *dayRows) (*day, error) {
	if len(rows.rows) == 0 { // nobody asks for reports
		return nil, nil
	}
	if cause := w.full(&day{}); cause != "" {
		w.drop(cause, rows)
		return nil, nil
	}
	d := &day{}
	err := w.tx.QueryRowContext(ctx, "INSERT INTO days (domain, day, policy, asks, seen) VALUES (?, ?, ?, ?, ?) RETURNING id",
		key.domain, key.begin, rows.policy, rows.asks, rows.seen).Scan(&d.id)
	w.bytes -= int64(len(rows.policy) + 2*len(key.domain) + rowCost)
	return d, err
}

// row counts messages of one row.
func (w *writer) row(ctx context.Context, d *day, text string, n int64) error {
	hash := sha256.Sum256([]byte(text))
	result, err := w.tx.ExecContext(ctx, "UPDATE rows SET count = count + ? WHERE day = ? AND hash = ?", n, d.id, hash[:16])
	if err != nil {
		return err
	}
	if known, err := result.RowsAffected(); err != nil {
		return err
	} else if known == 0 {
		if cause := w.full(d); cause != "" {
			w.dropped[cause] += n
			return nil
		}
		if _, err := w.tx.ExecContext(ctx, "INSERT INTO rows (day, hash, row, count) VALUES (?, ?, ?, ?)", d.id, hash[:16], text, n); err != nil {
			return err
		}
		d.rows++
		w.room--
		w.bytes -= int64(len(text) + rowCost)
	}
	w.written += n
	return nil
}

// full returns why a day can have no more rows, "" if it can.
func (w *writer) full(d *day) Cause {
	switch {
	case w.room <= 0 || d.rows >= w.s.opt.MaxReportRows:
		return CauseRows
	case w.bytes <= 0:
		return CauseBytes
	}
	return ""
}

// drop counts the messages of rows that are not written.
func (w *writer) drop(cause Cause, rows *dayRows) {
	for _, n := range rows.rows {
		w.dropped[cause] += n
	}
}
