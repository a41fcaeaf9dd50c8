package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"assay/verify/dmarc/report"
)

// lease is how long a sender may do nothing before another one may send. Handing over one report takes less.
const lease = 10 * time.Minute

// Bounds of the time to the next attempt, which doubles with each.
const (
	firstRetry = 15 * time.Minute
	lastRetry  = 6 * time.Hour
)

// Bounds of what a report can be sent to.
const (
	maxAddresses = 100
	maxAddress   = 320
	maxError     = 500
)

// A Sender is the one that may send reports. It is not for concurrent use.
type Sender struct {
	s     *Store
	owner string
}

// Lock makes the caller the only one that sends, or returns ErrBusy. That holds until Unlock, or until nothing was sealed, begun
// or finished for ten minutes: a sender that was killed keeps others away no longer. Who is for people.
func (s *Store) Lock(ctx context.Context, who string) (*Sender, error) {
	l := &Sender{s, rand.Text()}
	err := s.write(ctx, func(tx *sql.Tx) error {
		now := s.opt.Now()
		var other string
		var until int64
		if err := tx.QueryRowContext(ctx, "SELECT who, until FROM sender").Scan(&other, &until); err != nil {
			return err
		}
		// A lease that ends too late was given before the clock was set back.
		if end := time.UnixMilli(until); end.After(now) && end.Sub(now) <= lease {
			return fmt.Errorf("%w: %s, until %s at the latest", ErrBusy, other, end.UTC().Format(time.RFC3339))
		}
		_, err := tx.ExecContext(ctx, "UPDATE sender SET owner = ?, who = ?, until = ?", l.owner, clean(who, maxAddress), now.Add(lease).UnixMilli())
		return err
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Unlock lets others send.
func (l *Sender) Unlock(ctx context.Context) error {
	return l.s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE sender SET owner = '', who = '', until = 0 WHERE owner = ?", l.owner)
		return err
	})
}

// write runs a transaction of the one that sends, and makes its lease longer. A lease that has ended and that nobody has taken
// is still its own.
func (l *Sender) write(ctx context.Context, work func(tx *sql.Tx) error) error {
	return l.s.write(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, "UPDATE sender SET until = ? WHERE owner = ?", l.s.opt.Now().Add(lease).UnixMilli(), l.owner)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			return fmt.Errorf("%w: it was idle for too long, and another one has begun", ErrBusy)
		}
		return work(tx)
	})
}

// Seal ends the collection of rows of a day that is over, and notes where its report is to be sent. Done again it changes
// nothing and returns what there is: report id, addresses and what became of them. Without addresses the report is done.
func (l *Sender) Seal(ctx context.Context, r Report) ([]Delivery, error) {
	begin, err := dayOf(r.Period)
	if err != nil {
		return nil, err
	}
	if err := r.validate(); err != nil {
		return nil, err
	}
	r.Domain = strings.ToLower(r.Domain)
	now := l.s.opt.Now()
	if now.Before(r.Period.End) {
		return nil, fmt.Errorf("%w: the day of the report about %q is not over", ErrNotDue, r.Domain)
	}
	var all []Delivery
	err = l.write(ctx, func(tx *sql.Tx) error {
		if err := seal(ctx, tx, r, begin, now); err != nil {
			return err
		}
		all, err = deliveries(ctx, tx, "WHERE domain = ? AND day = ? ORDER BY address", r.Domain, begin)
		return err
	})
	return all, err
}

// validate returns what is wrong with a report.
func (r Report) validate() error {
	if r.ID == "" || len(r.ID) > maxAddress {
		return fmt.Errorf("store: %.100q is no report id", r.ID)
	}
	if len(r.Addresses) > maxAddresses {
		return fmt.Errorf("store: a report is sent to %d addresses at most, not to %d", maxAddresses, len(r.Addresses))
	}
	for _, a := range r.Addresses {
		if at := strings.LastIndexByte(a, '@'); at < 1 || at == len(a)-1 || len(a) > maxAddress {
			return fmt.Errorf("store: %.100q is no address", a)
		}
	}
	return nil
}

// seal seals a day, unless that has happened.
func seal(ctx context.Context, tx *sql.Tx, r Report, begin int64, now time.Time) error {
	var sealed string
	err := tx.QueryRowContext(ctx, "SELECT report_id FROM days WHERE day = ? AND domain = ?", begin, r.Domain).Scan(&sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%w: rows of %q", ErrNotFound, r.Domain)
	}
	if err != nil || sealed != "" {
		return err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE days SET report_id = ? WHERE day = ? AND domain = ?", r.ID, begin, r.Domain); err != nil {
		return err
	}
	for _, a := range r.Addresses {
		// Deliveries that outlived their day, in a clock that was set back, are not begun again.
		if _, err := tx.ExecContext(ctx, "INSERT INTO deliveries (domain, day, address, report_id, state, next, changed) VALUES (?, ?, ?, ?, ?, ?, ?) "+
			"ON CONFLICT DO NOTHING", r.Domain, begin, normalAddress(a), r.ID, string(Waiting), now.UnixMilli(), now.UnixMilli()); err != nil {
			return err
		}
	}
	return settle(ctx, tx, r.Domain, begin)
}

// normalAddress returns an address with its domain in lower case, so that it is there once.
func normalAddress(a string) string {
	at := strings.LastIndexByte(a, '@')
	return a[:at] + strings.ToLower(a[at:])
}

// settle notes whether a report is done: nothing waits.
func settle(ctx context.Context, tx *sql.Tx, domain string, begin int64) error {
	_, err := tx.ExecContext(ctx, "UPDATE days SET done = NOT EXISTS (SELECT 1 FROM deliveries WHERE domain = ?1 AND day = ?2 AND state = 'waiting') "+
		"WHERE domain = ?1 AND day = ?2", domain, begin)
	return err
}

// Begin notes an attempt, before the report is handed over, and returns the delivery to finish it with. If the sender dies
// before Finish, the next attempt is due as if this one had failed. It returns ErrFinal, ErrNotDue, ErrSuppressed (then the
// delivery has ended), or ErrBusy if another one sends.
func (l *Sender) Begin(ctx context.Context, d Delivery) (Delivery, error) {
	begin, err := dayOf(d.Period)
	if err != nil {
		return Delivery{}, err
	}
	var found *Suppression
	err = l.write(ctx, func(tx *sql.Tx) error {
		if d, err = one(ctx, tx, d, begin); err != nil {
			return err
		}
		now := l.s.opt.Now()
		if d.State != Waiting {
			return fmt.Errorf("%w: %s to %s", ErrFinal, d.State, d.Address)
		}
		if found, err = suppressed(ctx, tx, d.Domain, d.Address); err != nil {
			return err
		}
		if found != nil {
			d.State, d.Error = Suppressed, found.Pattern+": "+found.Reason
			return note(ctx, tx, d, now)
		}
		if d.Next.After(now) {
			return fmt.Errorf("%w: %s", ErrNotDue, d.Next.Format(time.RFC3339))
		}
		d.Attempts++
		d.Next, d.Changed = now.Add(backoff(d.Attempts)), now.UTC().Truncate(time.Millisecond)
		return note(ctx, tx, d, now)
	})
	if err == nil && found != nil {
		err = fmt.Errorf("%w: %s (%s)", ErrSuppressed, found.Pattern, found.Reason)
	}
	return d, err
}

// backoff is how long after an attempt the next one is due.
func backoff(attempt int) time.Duration {
	return min(firstRetry<<min(max(attempt-1, 0), 10), lastRetry)
}

// Finish notes how an attempt ended that Begin has noted. Sent is noted even if another one sends meanwhile, or the delivery was
// given up: it is true.
func (l *Sender) Finish(ctx context.Context, d Delivery, o Outcome) error {
	begin, err := dayOf(d.Period)
	if err != nil {
		return err
	}
	if !slices.Contains([]State{Waiting, Sent, Failed, Suppressed, Refused, Expired}, o.State) {
		return fmt.Errorf("store: %q is no state of a delivery", string(o.State))
	}
	run := l.write
	if o.State == Sent {
		run = l.s.write
	}
	return run(ctx, func(tx *sql.Tx) error {
		now, err := one(ctx, tx, d, begin)
		switch {
		case err != nil:
			return err
		case now.State == Sent && o.State == Sent:
			return nil
		case o.State != Sent && (now.State != Waiting || now.Attempts != d.Attempts):
			return fmt.Errorf("%w: %s to %s", ErrFinal, now.State, now.Address)
		}
		now.State, now.Error = o.State, clean(o.Error, maxError)
		return note(ctx, tx, now, l.s.opt.Now())
	})
}

// note writes what became of a delivery.
func note(ctx context.Context, tx *sql.Tx, d Delivery, at time.Time) error {
	begin := d.Period.Begin.Unix()
	if _, err := tx.ExecContext(ctx, "UPDATE deliveries SET state = ?, attempts = ?, next = ?, changed = ?, error = ? "+
		"WHERE domain = ? AND day = ? AND address = ?", string(d.State), d.Attempts, d.Next.UnixMilli(), at.UnixMilli(), d.Error,
		d.Domain, begin, d.Address); err != nil {
		return err
	}
	return settle(ctx, tx, d.Domain, begin)
}

// one returns what is known about a delivery.
func one(ctx context.Context, tx *sql.Tx, d Delivery, begin int64) (Delivery, error) {
	if strings.Contains(d.Address, "@") {
		d.Address = normalAddress(d.Address)
	}
	all, err := deliveries(ctx, tx, "WHERE domain = ? AND day = ? AND address = ?", strings.ToLower(d.Domain), begin, d.Address)
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%w: a report about %q to %q", ErrNotFound, d.Domain, d.Address)
	}
	if err != nil {
		return Delivery{}, err
	}
	return all[0], nil
}

// A queryer is a database or a transaction.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// deliveries returns a part of the log.
func deliveries(ctx context.Context, q queryer, where string, args ...any) ([]Delivery, error) {
	rows, err := q.QueryContext(ctx, "SELECT domain, day, address, report_id, state, attempts, next, changed, error FROM deliveries "+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Delivery
	for rows.Next() {
		d := Delivery{}
		var state string
		var begin, next, changed int64
		if err := rows.Scan(&d.Domain, &begin, &d.Address, &d.ReportID, &state, &d.Attempts, &next, &changed, &d.Error); err != nil {
			return nil, err
		}
		d.Period, d.State, d.Changed = report.Day(time.Unix(begin, 0)), State(state), time.UnixMilli(changed).UTC()
		if d.State == Waiting {
			d.Next = time.UnixMilli(next).UTC()
		}
		all = append(all, d)
	}
	return all, rows.Err()
}

// Deliveries returns the log of one state or ("") of all, newest change first, at most limit.
func (s *Store) Deliveries(ctx context.Context, state State, limit int) ([]Delivery, error) {
	var all []Delivery
	err := s.use(ctx, func(db *sql.DB) (err error) {
		all, err = deliveries(ctx, db, "WHERE ?1 = '' OR state = ?1 ORDER BY changed DESC, day DESC, domain, address LIMIT ?2", string(state), limit)
		return err
	})
	return all, err
}

// Retry makes every delivery that waits due now, and returns how many.
func (s *Store) Retry(ctx context.Context) (n int64, err error) {
	err = s.write(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, "UPDATE deliveries SET next = ?1 WHERE state = 'waiting' AND next > ?1", s.opt.Now().UnixMilli())
		if err != nil {
			return err
		}
		n, err = result.RowsAffected()
		return err
	})
	return n, err
}

// clean returns a text on one line, valid and bounded.
func clean(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	return text
}
