package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"slices"
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
	find    *sql.Stmt // a day
	note    *sql.Stmt // what has become of a day, with its last policy
	insert  *sql.Stmt // makes a row, if there is none
	count   *sql.Stmt // adds to a row, if there is one
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
		// The transaction ends with the context. Its statements, of which each would be watched, need not.
		return w.write(context.WithoutCancel(ctx), part)
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
		here, there := part, rest.day(key)
		rest.size += there.policyIs(day.seen, day.asks, []byte(day.policy))
		for text, count := range day.rows {
			if here.rows < n {
				here.day(key).policyIs(day.seen, day.asks, []byte(day.policy))
				here.count(here.day(key), text, count)
			} else {
				rest.count(there, text, count)
			}
		}
	}
	return part, rest
}

// write writes rows, and what was dropped before and now.
func (w *writer) write(ctx context.Context, b *batch) error {
	if err := errors.Join(w.measure(ctx), w.prepare(ctx)); err != nil {
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

// prepare prepares what is done often. The end of the transaction closes it.
func (w *writer) prepare(ctx context.Context) (err error) {
	for _, one := range []struct {
		to    **sql.Stmt
		query string
	}{
		{&w.find, "SELECT id, rows, report_id <> '' FROM days WHERE day = ? AND domain = ?"},
		{&w.note, "UPDATE days SET rows = ?1, messages = messages + ?2, policy = iif(?3 >= seen, ?4, policy), asks = iif(?3 >= seen, ?5, asks), " +
			"seen = max(seen, ?3) WHERE id = ?6"},
		{&w.insert, "INSERT INTO rows (day, hash, row, count) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"},
		{&w.count, "UPDATE rows SET count = count + ? WHERE day = ? AND hash = ?"},
	} {
		if *one.to, err = w.tx.PrepareContext(ctx, one.query); err != nil {
			return err
		}
	}
	return nil
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
	if err := w.rows(ctx, d, rows.rows); err != nil {
		return err
	}
	w.added += d.rows - before
	_, err = w.note.ExecContext(ctx, d.rows, w.written-messages, rows.seen, rows.policy, rows.asks, d.id)
	return err
}

// dayLength is that of a UTC day.
const dayLength = 24 * time.Hour

// open returns what is known about a day; nil if there is no such day, and no reason or no room for it.
func (w *writer) open(ctx context.Context, key dayKey, rows *dayRows) (*day, error) {
	d := &day{}
	err := w.find.QueryRowContext(ctx, key.begin, key.domain).Scan(&d.id, &d.rows, &d.sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return w.begin(ctx, key, rows)
	}
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

// rows writes the rows of a day, in the order of their place in the file.
func (w *writer) rows(ctx context.Context, d *day, rows map[string]int64) error {
	type hashed struct {
		hash [sha256.Size]byte
		text string
	}
	all := make([]hashed, 0, len(rows))
	for text := range rows {
		all = append(all, hashed{sha256.Sum256([]byte(text)), text})
	}
	slices.SortFunc(all, func(a, b hashed) int { return bytes.Compare(a.hash[:], b.hash[:]) })
	for _, one := range all {
		if err := w.row(ctx, d, one.hash[:hashSize], one.text, rows[one.text]); err != nil {
			return err
		}
	}
	return nil
}

// hashSize is how many octets of the hash of a row tell it from others.
const hashSize = 16

// row counts messages of one row.
func (w *writer) row(ctx context.Context, d *day, hash []byte, text string, n int64) error {
	cause := w.full(d)
	if cause == "" {
		made, err := affected(w.insert.ExecContext(ctx, d.id, hash, text, n))
		if err != nil {
			return err
		}
		if made {
			d.rows++
			w.room--
			w.bytes -= int64(len(text) + rowCost)
			w.written += n
			return nil
		}
	}
	known, err := affected(w.count.ExecContext(ctx, n, d.id, hash))
	if err != nil {
		return err
	}
	if known {
		w.written += n
	} else {
		w.dropped[cause] += n
	}
	return nil
}

// affected reports whether a statement has changed anything.
func affected(result sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
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
