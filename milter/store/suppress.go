package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// maxSuppressions bounds how many there are: bounces, from which some come, are sent by anybody.
const maxSuppressions = 100_000

// Suppress adds a suppression, or changes its reason.
func (s *Store) Suppress(ctx context.Context, pattern, reason string) error {
	pattern, err := normalPattern(pattern)
	if err != nil {
		return err
	}
	return s.write(ctx, func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM suppressions WHERE pattern <> ?", pattern).Scan(&n); err != nil {
			return err
		}
		if n >= maxSuppressions {
			return fmt.Errorf("there are %d suppressions already", n)
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO suppressions (pattern, reason, added) VALUES (?, ?, ?) "+
			"ON CONFLICT DO UPDATE SET reason = excluded.reason, added = excluded.added", pattern, clean(reason, maxError), s.opt.Now().UnixMilli())
		return err
	})
}

// Unsuppress removes a suppression, or returns ErrNotFound. Deliveries that have ended with it stay ended.
func (s *Store) Unsuppress(ctx context.Context, pattern string) error {
	pattern, err := normalPattern(pattern)
	if err != nil {
		return err
	}
	return s.write(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, "DELETE FROM suppressions WHERE pattern = ?", pattern)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n > 0 {
			return err
		}
		return fmt.Errorf("%w: suppression %q", ErrNotFound, pattern)
	})
}

// Suppressions returns all, sorted.
func (s *Store) Suppressions(ctx context.Context) ([]Suppression, error) {
	var all []Suppression
	err := s.use(ctx, func(db *sql.DB) error {
		rows, err := db.QueryContext(ctx, "SELECT pattern, reason, added FROM suppressions ORDER BY pattern")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			one, err := scanSuppression(rows)
			if err != nil {
				return err
			}
			all = append(all, *one)
		}
		return rows.Err()
	})
	return all, err
}

// Suppressed returns the suppression that forbids a report about a domain to an address, nil if there is none.
func (s *Store) Suppressed(ctx context.Context, domain, address string) (found *Suppression, err error) {
	err = s.use(ctx, func(db *sql.DB) (err error) {
		found, err = suppressed(ctx, db, domain, address)
		return err
	})
	return found, err
}

// suppressed is Suppressed of a database or a transaction.
func suppressed(ctx context.Context, q queryer, domain, address string) (*Suppression, error) {
	patterns := patternsOf(domain, address)
	args := make([]any, len(patterns))
	for i, p := range patterns {
		args[i] = p
	}
	marks := strings.TrimSuffix(strings.Repeat("?, ", len(args)), ", ")
	found, err := scanSuppression(q.QueryRowContext(ctx,
		"SELECT pattern, reason, added FROM suppressions WHERE pattern IN ("+marks+") ORDER BY pattern LIMIT 1", args...))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return found, err
}

// scanSuppression reads a row.
func scanSuppression(row interface{ Scan(...any) error }) (*Suppression, error) {
	found := &Suppression{}
	var added int64
	err := row.Scan(&found.Pattern, &found.Reason, &added)
	found.Added = time.UnixMilli(added).UTC()
	return found, err
}

// patternsOf returns the patterns that forbid a report about a domain to an address.
func patternsOf(domain, address string) []string {
	address, domain = strings.ToLower(address), strings.ToLower(domain)
	all := append(domainPatterns(domain), address)
	if at := strings.LastIndexByte(address, '@'); at >= 0 {
		all = append(all, domainPatterns(address[at+1:])...)
	}
	return all
}

// domainPatterns returns the patterns that mean a domain: it itself, and everything below the domains above it.
func domainPatterns(domain string) []string {
	domain = strings.TrimSuffix(domain, ".")
	all := []string{domain}
	for above := domain; len(all) <= maxDomain/2; { // that many labels a name can have
		_, rest, more := strings.Cut(above, ".")
		if !more {
			break
		}
		all, above = append(all, "*."+rest), rest
	}
	return all
}

// normalPattern returns a pattern as it is stored, in lower case.
func normalPattern(pattern string) (string, error) {
	normal := strings.ToLower(strings.TrimSuffix(strings.TrimSpace(pattern), "."))
	domain := strings.TrimPrefix(normal, "*.")
	if at := strings.LastIndexByte(normal, '@'); at >= 0 {
		domain = normal[at+1:]
		if local := normal[:at]; local == "" || len(local) > 64 || strings.ContainsFunc(local, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			return "", badPattern(pattern)
		}
	}
	if len(domain) > maxDomain {
		return "", badPattern(pattern)
	}
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", badPattern(pattern)
		}
	}
	return normal, nil
}

// badPattern says what a pattern may be.
func badPattern(pattern string) error {
	return fmt.Errorf("store: %.100q is neither an address, nor a domain in ASCII, nor *. and a domain", pattern)
}
