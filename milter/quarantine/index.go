package quarantine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"assay/rules"
)

// schema is what the index holds. The files are the truth; what is only here is which tokens were spent, and what became of
// entries, which the audit log tells as well.
const schema = `
CREATE TABLE IF NOT EXISTS entries (
	id TEXT PRIMARY KEY, kind TEXT NOT NULL, state TEXT NOT NULL, received INTEGER NOT NULL, class TEXT NOT NULL,
	queue_id TEXT NOT NULL, client TEXT NOT NULL, client_name TEXT NOT NULL, helo TEXT NOT NULL, mail_from TEXT NOT NULL,
	rcpt_to TEXT NOT NULL, auth_user TEXT NOT NULL, smtputf8 INTEGER NOT NULL, author TEXT NOT NULL, subject TEXT NOT NULL,
	message_id TEXT NOT NULL, reason TEXT NOT NULL, rules TEXT NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL,
	same TEXT NOT NULL, search TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entries_author ON entries (author COLLATE NOCASE);
CREATE INDEX IF NOT EXISTS entries_mail_from ON entries (mail_from COLLATE NOCASE);
CREATE INDEX IF NOT EXISTS entries_received ON entries (kind, received);
CREATE INDEX IF NOT EXISTS entries_state ON entries (kind, state);
CREATE INDEX IF NOT EXISTS entries_same ON entries (same);
CREATE INDEX IF NOT EXISTS entries_sha256 ON entries (sha256);
CREATE TABLE IF NOT EXISTS recipients (
	entry TEXT NOT NULL, address TEXT NOT NULL COLLATE NOCASE, released INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (entry, address)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS recipients_address ON recipients (address);
CREATE TABLE IF NOT EXISTS tokens (
	nonce TEXT PRIMARY KEY, entry TEXT NOT NULL, expires INTEGER NOT NULL, spent INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
PRAGMA user_version = 1;
`

// columns are those of an entry, in the order of values and scan.
const columns = "id, kind, state, received, class, queue_id, client, client_name, helo, mail_from, rcpt_to, auth_user, smtputf8, author, " +
	"subject, message_id, reason, rules, size, sha256"

// separator stands between the members of a list in one column. It can be in none of them: addresses and ids have no
// control characters once they are printable.
const separator = "\n"

// openIndex opens the index, and makes it if it is missing. Every transaction is on the disk when it has ended.
func (s *Store) openIndex() (*sql.DB, error) {
	path := filepath.Join(s.opt.Dir, indexFile)
	q := url.Values{"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)"}, "_txlock": {"immediate"}}
	// SQLite makes its other files with the mode and the owner of this one.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(s.own(path), f.Close()); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(4)
	if _, err := db.Exec(schema); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// begin runs a transaction. An error undoes it.
func (s *Store) begin(ctx context.Context, work func(tx *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := work(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// insert puts an entry into the index.
func insert(ctx context.Context, tx *sql.Tx, e *Entry) error {
	marks := strings.TrimSuffix(strings.Repeat("?, ", 22), ", ")
	_, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO entries ("+columns+", same, search) VALUES ("+marks+")",
		e.ID, string(e.Kind), string(e.State), e.Received.UnixMilli(), string(e.Class), clean(e.QueueID), clean(e.Client),
		clean(e.ClientName), clean(e.Helo), clean(e.MailFrom), join(e.RcptTo), clean(e.AuthUser), e.SMTPUTF8, clean(e.Author),
		clean(e.Subject), clean(e.MessageID), clean(e.Reason), join(e.Rules), e.Size, e.SHA256, e.same(), e.haystack())
	if err != nil {
		return err
	}
	for _, r := range e.RcptTo {
		if _, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO recipients (entry, address) VALUES (?, ?)", e.ID, clean(r)); err != nil {
			return err
		}
	}
	return nil
}

// forget takes entries out of the index. Their tokens go, too: a message that was deleted cannot be released any more.
func forget(ctx context.Context, tx *sql.Tx, ids ...string) error {
	for _, id := range ids {
		for _, query := range []string{"DELETE FROM entries WHERE id = ?", "DELETE FROM recipients WHERE entry = ?", "DELETE FROM tokens WHERE entry = ?"} {
			if _, err := tx.ExecContext(ctx, query, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// clean returns a text as the index holds it: valid UTF-8 on one line, bounded. The file has the octets.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > 2000 {
		s = strings.ToValidUTF8(s[:2000], "")
	}
	return s
}

// cleanAll returns every text of a list as the index holds it.
func cleanAll(all []string) []string {
	cleaned := make([]string, len(all))
	for i, one := range all {
		cleaned[i] = clean(one)
	}
	return cleaned
}

// join makes one text of a list.
func join(all []string) string { return strings.Join(cleanAll(all), separator) }

// split undoes join.
func split(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, separator)
}

// scan reads one row of columns.
func scan(row interface{ Scan(...any) error }) (*Entry, error) {
	e := &Entry{}
	var kind, state, class, recipients, ids string
	var received int64
	err := row.Scan(&e.ID, &kind, &state, &received, &class, &e.QueueID, &e.Client, &e.ClientName, &e.Helo, &e.MailFrom, &recipients,
		&e.AuthUser, &e.SMTPUTF8, &e.Author, &e.Subject, &e.MessageID, &e.Reason, &ids, &e.Size, &e.SHA256)
	e.Kind, e.State, e.Class, e.Received = Kind(kind), State(state), rules.Release(class), time.UnixMilli(received).UTC()
	e.RcptTo, e.Rules = split(recipients), split(ids)
	return e, err
}

// A Query selects entries. Unset fields select all.
type Query struct {
	Kind  Kind   // Message unless it is set
	State State  // "" for any
	From  string // an address, or @domain, in From or in MAIL FROM
	To    string // an address, or @domain, of a recipient
	Rule  string // the id of a rule
	Text  string // a part of subject, reason, addresses, ids or client
	Class rules.Release
	Since time.Time
	Until time.Time
	Limit int // most entries; 0 for all
}

// conditions returns the WHERE clause.
func (q Query) conditions() (string, []any) {
	where, args := []string{"kind = ?"}, []any{string(Message)}
	if q.Kind != "" {
		args[0] = string(q.Kind)
	}
	add := func(condition string, values ...any) {
		where, args = append(where, condition), append(args, values...)
	}
	if q.State != "" {
		add("state = ?", string(q.State))
	}
	if q.Class != "" {
		add("class = ?", string(q.Class))
	}
	if !q.Since.IsZero() {
		add("received >= ?", q.Since.UnixMilli())
	}
	if !q.Until.IsZero() {
		add("received < ?", q.Until.UnixMilli())
	}
	if q.From != "" {
		author, a := addressIs("author", q.From)
		reverse, b := addressIs("mail_from", q.From)
		add("("+author+" OR "+reverse+")", a, b)
	}
	if q.To != "" {
		recipient, a := addressIs("address", q.To)
		add("id IN (SELECT entry FROM recipients WHERE "+recipient+")", a)
	}
	if q.Rule != "" {
		add("instr(char(10) || rules || char(10), char(10) || ? || char(10)) > 0", q.Rule)
	}
	if q.Text != "" {
		add("instr(search, ?) > 0", strings.ToLower(q.Text))
	}
	return strings.Join(where, " AND "), args
}

// addressIs returns the condition that a column holds an address, or one at a domain, and its argument.
func addressIs(column, a string) (string, any) {
	if at := strings.IndexByte(a, '@'); at > 0 {
		return column + " = ? COLLATE NOCASE", a
	} else if at < 0 {
		a = "@" + a
	}
	return column + ` LIKE ? ESCAPE '\'`, "%" + escapeLike(a)
}

// escapeLike takes the meaning from the characters that LIKE has one for.
func escapeLike(s string) string {
	return strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(s)
}

// List returns the entries that a query selects, newest first.
func (s *Store) List(ctx context.Context, q Query) ([]*Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(); err != nil {
		return nil, err
	}
	where, args := q.conditions()
	query := "SELECT " + columns + " FROM entries WHERE " + where + " ORDER BY received DESC, id DESC"
	if q.Limit > 0 {
		query += fmt.Sprintf(" LIMIT %d", q.Limit)
	}
	return s.query(ctx, query, args...)
}

// query returns the entries of rows.
func (s *Store) query(ctx context.Context, query string, args ...any) ([]*Entry, error) {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("quarantine: %w", err)
	}
	defer rows.Close()
	var all []*Entry
	for rows.Next() {
		e, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("quarantine: %w", err)
		}
		all = append(all, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("quarantine: %w", err)
	}
	return all, nil
}

// Count returns how many messages are held.
func (s *Store) Count(ctx context.Context) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(); err != nil {
		return 0, err
	}
	err = s.db.QueryRowContext(ctx, "SELECT count(*) FROM entries WHERE kind = ? AND state = ?", string(Message), string(Held)).Scan(&n)
	return n, err
}

// Find returns the index entry of an id, or of the newest original with a hash, of which the beginning is enough.
func (s *Store) Find(ctx context.Context, id string) (*Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(); err != nil {
		return nil, err
	}
	return s.find(ctx, id)
}

// find is Find for callers that hold the lock.
func (s *Store) find(ctx context.Context, id string) (*Entry, error) {
	e, err := scan(s.db.QueryRowContext(ctx, "SELECT "+columns+" FROM entries WHERE id = ?", id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("%w: %.40s", ErrNotFound, id)
	}
	if err != nil {
		return nil, fmt.Errorf("quarantine: %w", err)
	}
	return e, nil
}

// minHash is how much of a hash says which original is meant.
const minHash = 12

// FindOriginal returns the original whose hash begins with prefix: what X-Assay-Result has as original=.
func (s *Store) FindOriginal(ctx context.Context, prefix string) (*Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(); err != nil {
		return nil, err
	}
	prefix = strings.ToLower(prefix)
	if len(prefix) < minHash || strings.Trim(prefix, "0123456789abcdef") != "" {
		return nil, fmt.Errorf("%w: a hash has at least %d hexadecimal digits", ErrNotFound, minHash)
	}
	found, err := s.query(ctx, "SELECT "+columns+" FROM entries WHERE sha256 >= ? AND sha256 < ? ORDER BY received DESC LIMIT 1",
		prefix, prefix+"g")
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("%w: %s", ErrNotFound, prefix)
	}
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// haystack returns what a text is looked for in, in lower case.
func (e *Entry) haystack() string {
	return strings.ToLower(strings.Join(cleanAll(append([]string{e.ID, e.QueueID, e.Subject, e.Reason, e.Author, e.MailFrom, e.MessageID, e.Client,
		e.ClientName, e.SHA256}, e.RcptTo...)), separator))
}

// Matches reports whether an entry that is not in an index is selected.
func (q Query) Matches(e *Entry) bool {
	domain := func(pattern, address string) bool {
		pattern, address = strings.ToLower(pattern), strings.ToLower(address)
		if !strings.Contains(pattern, "@") {
			pattern = "@" + pattern
		}
		return address == pattern || strings.HasPrefix(pattern, "@") && strings.HasSuffix(address, pattern)
	}
	return (q.State == "" || q.State == e.State) && (q.Class == "" || q.Class == e.Class) &&
		(q.Since.IsZero() || !e.Received.Before(q.Since)) && (q.Until.IsZero() || e.Received.Before(q.Until)) &&
		(q.From == "" || domain(q.From, e.Author) || domain(q.From, e.MailFrom)) &&
		(q.To == "" || slices.ContainsFunc(e.RcptTo, func(r string) bool { return domain(q.To, r) })) &&
		(q.Rule == "" || slices.Contains(e.Rules, q.Rule)) && strings.Contains(e.haystack(), strings.ToLower(q.Text))
}
