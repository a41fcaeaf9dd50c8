package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"modernc.org/sqlite"
)

// version is that of the schema, which the file knows as its user_version.
const version = 1

// schema: a day is a policy domain and a UTC day, which begins at a Unix time; rows are what its report has, without the
// policy, which is that of the day; deliveries outlive their day, and are the log. Times are Unix milliseconds, but for days.
const schema = `
CREATE TABLE days (
	id INTEGER PRIMARY KEY, domain TEXT NOT NULL, day INTEGER NOT NULL, policy TEXT NOT NULL, asks INTEGER NOT NULL,
	seen INTEGER NOT NULL, rows INTEGER NOT NULL DEFAULT 0, messages INTEGER NOT NULL DEFAULT 0,
	report_id TEXT NOT NULL DEFAULT '', done INTEGER NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX days_day ON days (day, domain);
CREATE TABLE rows (
	id INTEGER PRIMARY KEY, day INTEGER NOT NULL, hash BLOB NOT NULL, row TEXT NOT NULL, count INTEGER NOT NULL, UNIQUE (day, hash));
CREATE TABLE deliveries (
	domain TEXT NOT NULL, day INTEGER NOT NULL, address TEXT NOT NULL, report_id TEXT NOT NULL, state TEXT NOT NULL,
	attempts INTEGER NOT NULL DEFAULT 0, next INTEGER NOT NULL, changed INTEGER NOT NULL, error TEXT NOT NULL DEFAULT '',
	PRIMARY KEY (domain, day, address)) WITHOUT ROWID;
CREATE INDEX deliveries_state ON deliveries (state, day);
CREATE INDEX deliveries_day ON deliveries (day);
CREATE TABLE suppressions (pattern TEXT PRIMARY KEY, reason TEXT NOT NULL, added INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE drops (day INTEGER NOT NULL, cause TEXT NOT NULL, messages INTEGER NOT NULL, PRIMARY KEY (day, cause)) WITHOUT ROWID;
CREATE TABLE total (id INTEGER PRIMARY KEY CHECK (id = 1), rows INTEGER NOT NULL);
INSERT INTO total VALUES (1, 0);
CREATE TABLE sender (id INTEGER PRIMARY KEY CHECK (id = 1), owner TEXT NOT NULL, who TEXT NOT NULL, until INTEGER NOT NULL);
INSERT INTO sender VALUES (1, '', '', 0);
`

// suffixes are those of the files of one database. The database itself is the last one: what SQLite keeps beside it must
// not be found beside another.
var suffixes = [...]string{"-wal", "-shm", ""}

// handle returns the database, opened if it is not, or again if somebody has replaced the file.
func (s *Store) handle(ctx context.Context) (*sql.DB, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return nil, ErrClosed
	}
	if s.db != nil {
		now, err := os.Stat(s.opt.Path)
		if err == nil && os.SameFile(now, s.file) {
			return s.db, nil
		}
		s.drop()
	}
	err := s.connect(ctx)
	if corrupt(err) && !s.opt.Existing {
		if err = s.setAside(err); err == nil {
			err = s.connect(ctx)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return s.db, nil
}

// drop closes the database. The caller holds the lock.
func (s *Store) drop() {
	if s.db != nil {
		_ = s.db.Close()
	}
	s.db, s.file = nil, nil
}

// connect opens the file, and makes it and its tables if they are missing. The caller holds the lock.
func (s *Store) connect(ctx context.Context) error {
	if !s.opt.Existing {
		if err := makeFile(s.opt.Path); err != nil {
			return err
		}
	}
	file, err := os.Stat(s.opt.Path)
	if err != nil {
		return err
	}
	q := url.Values{"mode": {"rw"}, "_txlock": {"immediate"}, "_pragma": {"busy_timeout(5000)", "auto_vacuum(INCREMENTAL)",
		"journal_mode(WAL)", "synchronous(FULL)", "journal_size_limit(4194304)", "cache_size(-8192)"}}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: s.opt.Path}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(4)
	if err := s.migrate(ctx, db); err != nil {
		return errors.Join(err, db.Close())
	}
	s.db, s.file = db, file
	return nil
}

// migrate makes the tables of a new file.
func (s *Store) migrate(ctx context.Context, db *sql.DB) error {
	var has int
	err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&has)
	if err == nil && has != version { // asked again when nobody else can make them
		return transact(ctx, db, func(tx *sql.Tx) error { return s.create(ctx, tx) })
	}
	return err
}

// create makes the tables, unless another process has just made them.
func (s *Store) create(ctx context.Context, tx *sql.Tx) error {
	var has int
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&has); err != nil || has == version {
		return err
	}
	if has != 0 {
		return fmt.Errorf("%s has version %d of the schema, which this Assay does not know", s.opt.Path, has)
	}
	_, err := tx.ExecContext(ctx, fmt.Sprintf("%s; PRAGMA user_version = %d", schema, version))
	return err
}

// errDamaged is damage that SQLite reports as text.
var errDamaged = errors.New("the database is damaged")

// check returns what is damaged.
func check(ctx context.Context, db *sql.DB) error {
	var found string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&found); err != nil {
		return err
	}
	if found != "ok" {
		return fmt.Errorf("%w: %s", errDamaged, clean(found, 200))
	}
	return nil
}

// check looks for damage, which is dealt with. Nothing is written meanwhile: it might be written to what is set aside.
func (s *Store) check(ctx context.Context) error {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	return s.use(ctx, func(db *sql.DB) error { return check(ctx, db) })
}

// makeFile makes an empty file that nobody else can read, in a directory that nobody else can enter. SQLite makes its other
// files with the mode and the owner of this one.
func makeFile(path string) error {
	dir := filepath.Dir(path)
	if err := os.Mkdir(dir, 0o700); err == nil {
		if err := own(dir); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(own(path), f.Close())
}

// own gives what root has made to whom the directory belongs to: the daemon must be able to work with it.
func own(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	above, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return err
	}
	stat, ok := above.Sys().(*syscall.Stat_t)
	if !ok || stat.Uid == 0 {
		return nil
	}
	return os.Lchown(path, int(stat.Uid), int(stat.Gid))
}

// transact runs a transaction, which an error undoes.
func transact(ctx context.Context, db *sql.DB, work func(tx *sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := work(tx); err != nil {
		_ = tx.Rollback()
		return err
	}
	return tx.Commit()
}

// write runs a transaction.
func (s *Store) write(ctx context.Context, work func(tx *sql.Tx) error) error {
	return s.use(ctx, func(db *sql.DB) error { return transact(ctx, db, work) })
}

// use works with the database. Damage that it meets is dealt with.
func (s *Store) use(ctx context.Context, work func(db *sql.DB) error) error {
	db, err := s.handle(ctx)
	if err != nil {
		return err
	}
	err = work(db)
	if err == nil {
		return nil
	}
	if corrupt(err) && !s.opt.Existing {
		err = errors.Join(err, s.replace(db, err))
	}
	if errors.Is(err, ErrBusy) || errors.Is(err, ErrFinal) || errors.Is(err, ErrNotDue) || errors.Is(err, ErrSuppressed) || errors.Is(err, ErrNotFound) {
		return err // says where it comes from
	}
	return fmt.Errorf("store: %s: %w", s.opt.Path, err)
}

// corrupt reports whether an error says that the file is no usable database, now and for ever.
func corrupt(err error) bool {
	if errors.Is(err, errDamaged) {
		return true
	}
	var e *sqlite.Error
	const sqliteCorrupt, sqliteNotADB = 11, 26
	return errors.As(err, &e) && (e.Code()&0xff == sqliteCorrupt || e.Code()&0xff == sqliteNotADB)
}

// replace sets the file of a database aside, unless that has happened.
func (s *Store) replace(db *sql.DB, cause error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db != db {
		return nil
	}
	return s.setAside(cause)
}

// setAside renames a file that cannot be used, and says so. The next who needs the database makes a new one. The caller holds
// the lock.
func (s *Store) setAside(cause error) error {
	s.drop()
	aside := s.opt.Path + asideMark + s.opt.Now().UTC().Format("20060102T150405.000")
	for _, suffix := range suffixes {
		if err := os.Rename(s.opt.Path+suffix, aside+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("the file is corrupt (%w), and cannot be set aside: %w", cause, err)
		}
	}
	s.tell(fmt.Errorf("store: %s is corrupt (%w); it was renamed to %s, and a new one is started: the rows in it are not reported",
		s.opt.Path, cause, filepath.Base(aside)))
	return s.keepAside(aside)
}

// asideMark stands between the name of the file and the time at which it was set aside.
const asideMark = ".corrupt-"

// keepAside removes files that were set aside earlier: a disk that goes on breaking them must not be filled with them.
func (s *Store) keepAside(newest string) error {
	all, err := s.asides()
	for _, path := range all {
		if !slices.Contains([]string{newest, newest + "-wal", newest + "-shm"}, path) {
			err = errors.Join(err, os.Remove(path))
		}
	}
	return err
}

// asides returns the files that were set aside.
func (s *Store) asides() ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(s.opt.Path))
	var all []string
	for _, e := range entries {
		if prefix := filepath.Base(s.opt.Path) + asideMark; len(e.Name()) > len(prefix) && e.Name()[:len(prefix)] == prefix {
			all = append(all, filepath.Join(filepath.Dir(s.opt.Path), e.Name()))
		}
	}
	return all, err
}
