package quarantine

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// An Action is what was done to an entry, as the audit log has it.
type Action string

// The actions. The first of a release and every deletion is in the log before it happens.
const (
	ActionRelease  Action = "release"  // somebody has asked for it; the message is handed to the MTA next
	ActionReleased Action = "released" // the MTA has taken it
	ActionFailed   Action = "failed"   // the MTA has not taken it
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
	path := filepath.Join(s.opt.Dir, auditFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("quarantine: audit log: %w", err)
	}
	defer func() {
		if closed := f.Close(); err == nil {
			err = closed
		}
	}()
	if err := s.own(path); err != nil {
		return err
	}
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
