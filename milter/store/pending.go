package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"assay/verify/dmarc/report"
)

// maxPending bounds what one call of Pending returns.
const maxPending = 10_000

// pending selects reports that are due: ?1 is when days must be over, ?2 when deliveries must be due.
const pending = " FROM days d WHERE day <= ?1 - 86400 AND done = 0 AND asks = 1 AND rows > 0 AND (report_id = '' OR EXISTS (" +
	"SELECT 1 FROM deliveries WHERE domain = d.domain AND day = d.day AND state = 'waiting' AND next <= ?2))"

// Pending returns the reports that are due, of days that were over at an instant: oldest day first, then by domain. It returns
// at most 10,000; those that are then sealed and tried are not among those of the next call. The last rows of a day come
// some time after it: an instant is before that is Settle ago.
func (s *Store) Pending(ctx context.Context, before time.Time) ([]Pending, error) {
	var all []Pending
	err := s.use(ctx, func(db *sql.DB) error {
		rows, err := db.QueryContext(ctx, "SELECT domain, day, policy, rows, messages, report_id"+pending+
			" ORDER BY day, domain LIMIT ?3", before.Unix(), s.opt.Now().UnixMilli(), maxPending)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			p := Pending{}
			var begin int64
			var policy string
			if err := rows.Scan(&p.Domain, &begin, &policy, &p.Rows, &p.Messages, &p.ReportID); err != nil {
				return err
			}
			if err := json.Unmarshal([]byte(policy), &p.Policy); err != nil {
				return fmt.Errorf("policy of %q: %w", p.Domain, err)
			}
			p.Period = report.Day(time.Unix(begin, 0))
			all = append(all, p)
		}
		return rows.Err()
	})
	return all, err
}

// Records returns the records of a report, most messages first, all with the last policy of the day. There are at most
// MaxReportRows. Of a day that is not sealed they are what has come until now.
func (s *Store) Records(ctx context.Context, domain string, p report.Period) ([]report.Record, error) {
	begin, err := dayOf(p)
	if err != nil {
		return nil, err
	}
	var all []report.Record
	err = s.use(ctx, func(db *sql.DB) error {
		id, policy, err := policyOf(ctx, db, strings.ToLower(domain), begin)
		if err != nil {
			return err
		}
		rows, err := db.QueryContext(ctx, "SELECT row, count FROM rows WHERE day = ? ORDER BY count DESC, hash LIMIT ?", id, s.opt.MaxReportRows)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var text []byte
			r := report.Record{}
			if err := rows.Scan(&text, &r.Count); err != nil {
				return err
			}
			if err := json.Unmarshal(text, &r.Row); err != nil {
				return fmt.Errorf("row of %q: %w", domain, err)
			}
			r.Row.Policy = policy
			all = append(all, r)
		}
		return rows.Err()
	})
	return all, err
}

// policyOf returns the last policy of a day, and the id of the day.
func policyOf(ctx context.Context, db *sql.DB, domain string, begin int64) (id int64, p report.Policy, err error) {
	var policy []byte
	err = db.QueryRowContext(ctx, "SELECT id, policy FROM days WHERE day = ? AND domain = ?", begin, domain).Scan(&id, &policy)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, p, fmt.Errorf("%w: rows of %q", ErrNotFound, domain)
	}
	if err != nil {
		return 0, p, err
	}
	return id, p, json.Unmarshal(policy, &p)
}

// dayOf returns the day of a period, which must be one: so periods never overlap.
func dayOf(p report.Period) (int64, error) {
	if day := report.Day(p.Begin); !day.Begin.Equal(p.Begin) || !day.End.Equal(p.End) {
		return 0, fmt.Errorf("store: from %v to %v is no UTC day", p.Begin, p.End)
	}
	return p.Begin.Unix(), nil
}
