package quarantine

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Store is a quarantine in a directory. It is safe for concurrent use, also by several processes: the daemon stores while
// an administrator releases.
type Store struct {
	opt      Options
	uid, gid int // owner of the directory

	mu    sync.Mutex // held while db is replaced, and by what works with the index
	db    *sql.DB
	file  os.FileInfo // of the index that db has open
	key   []byte
	shut  bool
	later [64]sync.Mutex // by the message that is written, so that the same one is not written twice
}

// New returns the store of a directory, which is opened when it is first needed. So a disk that comes late, or that was
// full, makes the daemon defer what it would have to store, and nothing else.
func New(o Options) *Store { return &Store{opt: o.withDefaults()} }

// Open opens the store now: what a crash has left is put in order.
func (s *Store) Open(ctx context.Context) (Repair, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(); err != nil {
		return Repair{}, err
	}
	swept, err := s.sweep()
	if err != nil {
		return Repair{}, fmt.Errorf("quarantine: %w", err)
	}
	r, err := s.reconcile(ctx, false)
	r.Swept = swept
	return r, err
}

// Close closes the index. The store can be used no more.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = true
	return s.closeIndex()
}

func (s *Store) closeIndex() error {
	if s.db == nil {
		return nil
	}
	err := s.db.Close()
	s.db, s.file = nil, nil
	return err
}

// errClosed means that the store was closed.
var errClosed = errors.New("quarantine: the store is closed")

// ready opens what is not open yet, and opens the index again if somebody has replaced it. The caller holds the lock.
func (s *Store) ready() error {
	if s.shut {
		return errClosed
	}
	if s.db != nil {
		now, err := os.Stat(filepath.Join(s.opt.Dir, indexFile))
		if err == nil && os.SameFile(now, s.file) {
			return nil
		}
		_ = s.closeIndex()
	}
	if err := s.prepare(); err != nil {
		return fmt.Errorf("quarantine: %w", err)
	}
	key, err := s.readKey()
	if err != nil {
		return fmt.Errorf("quarantine: %w", err)
	}
	db, err := s.openIndex()
	if err != nil {
		return fmt.Errorf("quarantine: index: %w", err)
	}
	file, err := os.Stat(filepath.Join(s.opt.Dir, indexFile))
	if err != nil {
		return errors.Join(err, db.Close())
	}
	s.key, s.db, s.file = key, db, file
	return nil
}

// makeKey makes the key of tokens.
func (s *Store) makeKey(path string) ([]byte, error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	temp, err := os.CreateTemp(filepath.Join(s.opt.Dir, tempDir), "key")
	if err != nil {
		return nil, err
	}
	defer os.Remove(temp.Name())
	_, err = temp.WriteString(hex.EncodeToString(key) + "\n")
	if err = errors.Join(err, temp.Sync(), temp.Close(), s.own(temp.Name())); err != nil {
		return nil, err
	}
	if err := os.Link(temp.Name(), path); errors.Is(err, fs.ErrExist) { // another process was faster
		return s.readKey()
	} else if err != nil {
		return nil, err
	}
	return key, syncDir(s.opt.Dir)
}

// same identifies what is kept once however often it comes: the same octets with the same envelope.
func (e *Entry) same() string {
	recipients := slices.Sorted(slices.Values(e.RcptTo))
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%s\n%q\n%q", e.Kind, e.Class, e.SHA256, e.MailFrom, recipients)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Keep stores a message and returns the id of its entry. When it returns without an error the message is on the disk, and
// the MTA may be told that it was taken. A message that is held already, because the MTA or the client did not hear of it
// the first time, is not stored twice.
//
// On an error nothing was stored that the message depends on: the sender keeps it.
func (s *Store) Keep(ctx context.Context, m io.WriterTo, e Entry) (id string, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("quarantine: the message cannot be stored: %w", err)
		}
	}()
	s.mu.Lock()
	err = s.ready()
	s.mu.Unlock()
	if err != nil {
		return "", err
	}
	if e.SHA256, e.Size, err = digest(m); err != nil {
		return "", err
	}
	e.State = Held
	if e.Kind == "" {
		e.Kind = Message
	}
	writing := &s.later[e.same()[0]%byte(len(s.later))]
	writing.Lock()
	defer writing.Unlock()
	if id, err := s.known(ctx, &e); id != "" || err != nil {
		return id, err
	}
	if err := s.writeNew(&e, m); err != nil {
		return "", err
	}
	if err := s.enter(ctx, &e); err != nil {
		// Nobody is told that it was taken, so nobody must find it. If this fails, too, the next start finds a message
		// that the sender still has: it is kept once more than needed, and not lost.
		return "", errors.Join(err, s.remove(e.ID))
	}
	return e.ID, nil
}

// known returns the id of the entry that holds the same message already, "" if there is none.
func (s *Store) known(ctx context.Context, e *Entry) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(); err != nil {
		return "", err
	}
	found, err := s.query(ctx, "SELECT "+columns+" FROM entries WHERE same = ? AND state = ?", e.same(), string(Held))
	if err != nil {
		return "", err
	}
	for _, other := range found {
		if info, err := os.Stat(s.path(other.ID)); err == nil && info.Size() > other.Size {
			return other.ID, nil
		}
	}
	return "", nil
}

// maxTries bounds how often another id is tried: two messages of one second have the same one once in a billion.
const maxTries = 10

// writeNew writes the file of an entry under a new id.
func (s *Store) writeNew(e *Entry, m io.WriterTo) error {
	for try := 0; ; try++ {
		var random [4]byte
		_, _ = rand.Read(random[:]) // never fails
		e.ID = newID(e.Received, binary.BigEndian.Uint32(random[:]))
		if err := s.write(e, m); !errors.Is(err, fs.ErrExist) || try == maxTries {
			return err
		}
	}
}

// enter puts an entry into the index.
func (s *Store) enter(ctx context.Context, e *Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(); err != nil {
		return err
	}
	return s.begin(ctx, func(tx *sql.Tx) error { return insert(ctx, tx, e) })
}

// Delete removes an entry for good. The audit log knows of it before it happens.
func (s *Store) Delete(ctx context.Context, id, who, reason string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(); err != nil {
		return err
	}
	if _, err := s.find(ctx, id); err != nil {
		return err
	}
	return s.delete(ctx, Audit{Action: ActionDelete, Who: who, Reason: reason}, id)
}

// delete removes entries: first the line in the audit log, then the files, then the index. A crash in between leaves an entry
// without a file, which the next start takes out of the index.
func (s *Store) delete(ctx context.Context, why Audit, ids ...string) error {
	lines := make([]Audit, len(ids))
	for i, id := range ids {
		lines[i] = why
		lines[i].ID = id
	}
	if err := s.log(lines...); err != nil {
		return err
	}
	for _, id := range ids {
		if err := s.remove(id); err != nil {
			return fmt.Errorf("quarantine: %w", err)
		}
	}
	return s.begin(ctx, func(tx *sql.Tx) error { return forget(ctx, tx, ids...) })
}

// A Retention says how long entries are kept.
type Retention struct {
	Messages  time.Duration // 0 for ever
	Originals time.Duration // 0: all are removed
	Audit     time.Duration // lines of the audit log; 0 for ever
}

// expireBatch is how many entries are removed in one transaction.
const expireBatch = 500

// Expire removes the entries that were kept long enough, and tokens that are worth nothing any more. It returns how many
// entries were removed.
func (s *Store) Expire(ctx context.Context, r Retention) (int, error) {
	now, removed := s.opt.Now(), 0
	for _, k := range []struct {
		kind Kind
		age  time.Duration
		all  bool
	}{{Message, r.Messages, false}, {Original, r.Originals, true}} {
		if k.age <= 0 && !k.all {
			continue
		}
		for {
			n, err := s.expireSome(ctx, k.kind, now.Add(-k.age))
			if removed += n; err != nil {
				return removed, err
			}
			if n < expireBatch {
				break
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(); err != nil {
		return removed, err
	}
	_, err := s.db.ExecContext(ctx, "DELETE FROM tokens WHERE expires < ?", now.Unix())
	if r.Audit > 0 {
		err = errors.Join(err, s.expireAudit(now.Add(-r.Audit)))
	}
	return removed, err
}

// expireSome removes one batch of entries that came before an instant.
func (s *Store) expireSome(ctx context.Context, kind Kind, before time.Time) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(); err != nil {
		return 0, err
	}
	old, err := s.query(ctx, "SELECT "+columns+" FROM entries WHERE kind = ? AND received <= ? ORDER BY received LIMIT ?",
		string(kind), before.UnixMilli(), expireBatch)
	if err != nil || len(old) == 0 {
		return 0, err
	}
	ids := make([]string, len(old))
	for i, e := range old {
		ids[i] = e.ID
	}
	return len(ids), s.delete(ctx, Audit{Action: ActionExpire, Who: "retention"}, ids...)
}

// A Repair says what was wrong with a quarantine and is right now.
type Repair struct {
	Entries int      `json:"entries"` // in the end
	Adopted []string `json:"adopted"` // files that were not in the index
	Lost    []string `json:"lost"`    // index entries without a file, which are taken out
	Damaged []string `json:"damaged"` // files that cannot be read or do not have their hash; they stay where they are
	Swept   int      `json:"swept"`   // unfinished files that were removed
}

// Changed reports whether anything was wrong.
func (r Repair) Changed() bool { return len(r.Adopted)+len(r.Lost)+len(r.Damaged)+r.Swept > 0 }

// Check compares index and files and puts the index right; the files are the truth. With deep the hash of every message is
// computed.
func (s *Store) Check(ctx context.Context, deep bool) (Repair, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(); err != nil {
		return Repair{}, err
	}
	swept, err := s.sweep()
	if err != nil {
		return Repair{}, fmt.Errorf("quarantine: %w", err)
	}
	r, err := s.reconcile(ctx, deep)
	r.Swept = swept
	return r, err
}

// Rebuild makes the index again from the files, also when the old one cannot be opened. The old one stays beside it. A
// daemon that is running goes on with the new one.
func (s *Store) Rebuild(ctx context.Context) (Repair, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return Repair{}, errClosed
	}
	if err := errors.Join(s.closeIndex(), s.prepare()); err != nil {
		return Repair{}, fmt.Errorf("quarantine: %w", err)
	}
	old := filepath.Join(s.opt.Dir, indexFile)
	aside := old + ".old-" + s.opt.Now().UTC().Format("20060102T150405")
	for _, suffix := range []string{"-wal", "-shm", ""} {
		if err := os.Rename(old+suffix, aside+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Repair{}, fmt.Errorf("quarantine: %w", err)
		}
	}
	if err := s.ready(); err != nil {
		return Repair{}, err
	}
	return s.reconcile(ctx, true)
}

// reconcile compares index and files.
func (s *Store) reconcile(ctx context.Context, deep bool) (r Repair, err error) {
	// The index comes first: what another process stores meanwhile has a file before it is in the index.
	indexed, err := s.indexed(ctx)
	if err != nil {
		return r, err
	}
	files, err := s.ids()
	if err != nil {
		return r, fmt.Errorf("quarantine: %w", err)
	}
	adopted := s.compare(indexed, files, deep, &r)
	r.Entries = len(indexed) - len(r.Lost) + len(r.Adopted)
	if len(adopted) == 0 && len(r.Lost) == 0 {
		return r, nil
	}
	log, err := s.audits()
	if err != nil {
		return r, fmt.Errorf("quarantine: %w", err)
	}
	return r, s.begin(ctx, func(tx *sql.Tx) error {
		for _, e := range adopted {
			if err := insert(ctx, tx, e); err != nil {
				return err
			}
		}
		return errors.Join(forget(ctx, tx, r.Lost...), replay(ctx, tx, log, r.Adopted))
	})
}

// compare notes how index and files differ, and returns the entries that the index lacks.
func (s *Store) compare(indexed, files map[string]bool, deep bool, r *Repair) (adopted []*Entry) {
	for id := range files {
		if indexed[id] && !deep {
			continue
		}
		e, err := s.inspect(id)
		switch {
		case errors.Is(err, ErrNotFound): // deleted meanwhile
		case err != nil:
			r.Damaged = append(r.Damaged, id)
		case !indexed[id]:
			adopted, r.Adopted = append(adopted, e), append(r.Adopted, id)
		}
	}
	for id := range indexed {
		if !files[id] {
			r.Lost = append(r.Lost, id)
		}
	}
	for _, list := range [][]string{r.Adopted, r.Lost, r.Damaged} {
		slices.Sort(list)
	}
	return adopted
}

// indexed returns the ids in the index.
func (s *Store) indexed(ctx context.Context) (map[string]bool, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT id FROM entries")
	if err != nil {
		return nil, fmt.Errorf("quarantine: %w", err)
	}
	defer rows.Close()
	all := map[string]bool{}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("quarantine: %w", err)
		}
		all[id] = true
	}
	return all, rows.Err()
}

// inspect reads the file of an entry and compares it with its hash.
func (s *Store) inspect(id string) (*Entry, error) {
	e, content, err := s.Message(id)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	return e, content.Verify(e)
}

// replay repeats what the audit log says about releases of entries that were not in the index.
func replay(ctx context.Context, tx *sql.Tx, log []Audit, ids []string) error {
	for _, line := range log {
		if _, found := slices.BinarySearch(ids, line.ID); found && line.Action == ActionReleased {
			if err := markReleased(ctx, tx, line.ID, line.To, line.Time); err != nil {
				return err
			}
		}
	}
	return nil
}

// markReleased notes which recipients have got an entry.
func markReleased(ctx context.Context, tx *sql.Tx, id string, to []string, at time.Time) error {
	for _, address := range to {
		if _, err := tx.ExecContext(ctx, "UPDATE recipients SET released = ? WHERE entry = ? AND address = ?", at.Unix(), id, clean(address)); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, "UPDATE entries SET state = CASE WHEN EXISTS (SELECT 1 FROM recipients WHERE entry = ?1 AND released = 0) "+
		"THEN '"+string(Held)+"' ELSE '"+string(Released)+"' END WHERE id = ?1", id)
	return err
}

// waiting returns the recipients that have not got an entry, as the file has them.
func (s *Store) waiting(ctx context.Context, e *Entry) ([]string, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT address FROM recipients WHERE entry = ? AND released <> 0", e.ID)
	if err != nil {
		return nil, fmt.Errorf("quarantine: %w", err)
	}
	defer rows.Close()
	done := map[string]bool{}
	for rows.Next() {
		var address string
		if err := rows.Scan(&address); err != nil {
			return nil, fmt.Errorf("quarantine: %w", err)
		}
		done[strings.ToLower(address)] = true
	}
	return slices.DeleteFunc(slices.Clone(e.RcptTo), func(r string) bool { return done[strings.ToLower(clean(r))] }), rows.Err()
}
