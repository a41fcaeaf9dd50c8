package quarantine

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// An Action is what was done to an entry, as the audit log has it.
type Action string

// The actions. The first of a release and every deletion is in the log before it happens.
const (
	ActionRelease  Action = "release"  // somebody has asked for it; the message is handed to the MTA next
	ActionReleased Action = "released" // the MTA has taken it
	ActionFailed   Action = "failed"   // the MTA has not taken it
	ActionRefused  Action = "refused"  // somebody has asked for a release that is not allowed
	ActionDelete   Action = "delete"
	ActionExpire   Action = "expire" // the time it is kept is over
	ActionShow     Action = "show"   // its content was read
)

// An Audit is one line of the audit log.
type Audit struct {
	Time   time.Time `json:"time"`
	Action Action    `json:"action"`
	ID     string    `json:"id"`
	Who    string    `json:"who"`
	Reason string    `json:"reason,omitempty"`
	To     []string  `json:"to,omitempty"` // recipients of a release
	Error  string    `json:"error,omitempty"`
}

// log appends lines to the audit log and brings them to the disk.
func (s *Store) log(lines ...Audit) (err error) {
	if len(lines) == 0 {
		return nil
	}
	f, err := s.openAudit()
	if err != nil {
		return err
	}
	defer func() {
		if closed := f.Close(); err == nil {
			err = closed
		}
	}()
	text := missingEnd(f)
	for _, line := range lines {
		line.Time, line.To = s.opt.Now().UTC(), cleanAll(line.To) // JSON has no octets beside UTF-8
		one, err := json.Marshal(line)
		if err != nil {
			return err
		}
		text = append(append(text, one...), '\n')
	}
	if _, err := f.Write(text); err != nil {
		return fmt.Errorf("quarantine: audit log: %w", err)
	}
	return f.Sync()
}

// openAudit opens the audit log, locked: other processes write to it, and one may be putting a shorter one in its place.
func (s *Store) openAudit() (*os.File, error) {
	path := filepath.Join(s.opt.Dir, auditFile)
	for range auditTries {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("quarantine: audit log: %w", err)
		}
		if err := errors.Join(s.own(path), unix.Flock(int(f.Fd()), unix.LOCK_EX)); err != nil {
			return nil, errors.Join(fmt.Errorf("quarantine: audit log: %w", err), f.Close())
		}
		mine, err := f.Stat()
		there, errThere := os.Stat(path)
		if err == nil && errThere == nil && os.SameFile(mine, there) {
			return f, nil
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("quarantine: audit log: another file is put in its place again and again")
}

// auditTries bounds how often the audit log is opened because it was replaced meanwhile, which happens once an hour.
const auditTries = 10

// expireAudit takes the lines before an instant out of the audit log. Lines that cannot be read stay, up to the next one that
// can and is too old. A crash leaves the log as it was or as it is to be.
func (s *Store) expireAudit(before time.Time) error {
	f, err := s.openAudit()
	if err != nil {
		return err
	}
	defer f.Close()
	cut, err := auditCut(f, before)
	if err != nil || cut == 0 {
		return err
	}
	path := filepath.Join(s.opt.Dir, auditFile)
	shorter, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("quarantine: audit log: %w", err)
	}
	if _, err = f.Seek(cut, io.SeekStart); err == nil {
		_, err = io.Copy(shorter, f)
	}
	err = errors.Join(err, s.own(path+".new"), shorter.Sync(), shorter.Close())
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("quarantine: audit log: %w", err)
	}
	return syncDir(s.opt.Dir)
}

// auditCut returns where the first line that stays begins: lines are in the order of time.
func auditCut(f io.ReadSeeker, before time.Time) (int64, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	in := bufio.NewReader(f)
	var at, cut int64
	for {
		line, err := in.ReadBytes('\n')
		at += int64(len(line))
		var a Audit
		if json.Unmarshal(line, &a) == nil && !a.Time.IsZero() {
			if !a.Time.Before(before) {
				return cut, nil
			}
			cut = at
		}
		if errors.Is(err, io.EOF) {
			return cut, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// missingEnd returns the line end that a crash has kept from the last line of a file.
func missingEnd(f *os.File) []byte {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return nil
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, info.Size()-1); err != nil || last[0] == '\n' {
		return nil
	}
	return []byte{'\n'}
}

// Log appends one line to the audit log, about something that a caller has done.
func (s *Store) Log(a Audit) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(); err != nil {
		return err
	}
	return s.log(a)
}

// audits returns the lines of the audit log. A line that a crash has cut is passed over.
func (s *Store) audits() ([]Audit, error) {
	f, err := os.Open(filepath.Join(s.opt.Dir, auditFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []Audit
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxRecord)
	for lines.Scan() {
		var a Audit
		if json.Unmarshal(lines.Bytes(), &a) == nil {
			all = append(all, a)
		}
	}
	return all, lines.Err()
}
