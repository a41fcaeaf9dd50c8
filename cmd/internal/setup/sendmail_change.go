package setup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// file implements mta.
func (m *sendmail) file() string { return m.mc }

// apply implements mta: the daemon first, then sendmail.mc, then sendmail.cf, and only if that is right Sendmail reads it.
func (m *sendmail) apply(ctx context.Context, root *os.Root, j *journal) error {
	if m.build.command == nil {
		err := m.daemon.run(ctx)
		m.report.Changed = err == nil
		return err
	}
	s, text, err := m.prepare(root, j)
	if err != nil {
		return err
	}
	if err := j.save(root); err != nil { // before anything is changed
		return err
	}
	if err := m.daemon.run(ctx); err != nil {
		return err
	}
	before, err := os.ReadFile(m.cf)
	if err != nil {
		return err
	}
	if err := m.rebuild(ctx, text, before); err != nil {
		err = errors.Join(err, s.putFilesBack(root, m.opt.Owner))
		j.drop(m.mc)
		return errors.Join(fmt.Errorf("%w\nwhat was there was put back", err), j.save(root))
	}
	after, err := os.ReadFile(m.cf)
	if err != nil {
		return err
	}
	m.now, s.Files[1].After = parseCF(after), sense(after)
	m.report.Changed, m.report.Kept = true, filepath.Join(m.opt.State, s.Files[0].Copy)
	if err := j.save(root); err != nil {
		return err
	}
	return m.reload(ctx)
}

// prepare notes in the journal what is going to be changed, and returns what sendmail.mc will be.
func (m *sendmail) prepare(root *os.Root, j *journal) (*state, []byte, error) {
	now, err := os.ReadFile(m.mc)
	if err != nil {
		return nil, nil, err
	}
	text := withoutBlock(now) // one for another address
	at := mailers.FindIndex(text)
	if at == nil {
		return nil, nil, fmt.Errorf("%s has no MAILER line any more", m.mc)
	}
	text = slices.Concat(text[:at[0]], []byte(m.block), text[at[0]:])
	s := j.of(m.mc)
	if s == nil || len(s.Files) != 2 || s.Files[0].After != Hash(now) && s.Files[0].Before != Hash(now) {
		mc, err := keep(root, m.mc, m.sys.Now())
		if err != nil {
			return nil, nil, err
		}
		cf, err := keep(root, m.cf, m.sys.Now())
		if err != nil {
			return nil, nil, err
		}
		s = j.put(state{MTA: "sendmail", Config: m.opt.Config, Files: []file{mc, cf}, Time: m.sys.Now().UTC()})
	}
	s.Files[0].After, s.Files[1].After, s.Pending = Hash(text), "", true
	s.Units = union(s.Units, m.daemon.units)
	return s, text, nil
}

// rebuild changes sendmail.mc, has sendmail.cf built of it, and checks what came out.
func (m *sendmail) rebuild(ctx context.Context, text, before []byte) error {
	if err := restore(m.mc, text); err != nil {
		return err
	}
	// make looks at the times: one that was written before, by a setup that did not come to its end, is new as well.
	now := m.sys.Now()
	if err := os.Chtimes(m.mc, now, now); err != nil {
		return err
	}
	said, err := m.build.run(ctx, m.sys, m.cf)
	if err != nil {
		return err
	}
	return m.check(ctx, before, said)
}

// putFilesBack makes every file what it was before setup. sendmail.cf comes last, so that make takes it for built.
func (s *state) putFilesBack(root *os.Root, owner int) error {
	var failed error
	for _, f := range s.Files {
		failed = errors.Join(failed, f.putBack(root, owner))
	}
	return failed
}

// withoutBlock returns a sendmail.mc without what setup has added; one with half a block is returned as it is.
func withoutBlock(text []byte) []byte {
	begin := bytes.Index(text, []byte(markBegin))
	if begin < 0 {
		return text
	}
	length := bytes.Index(text[begin:], []byte(markEnd))
	if length < 0 {
		return text
	}
	return slices.Concat(text[:begin], text[begin+length+len(markEnd):])
}

// undo implements mta. Files that are as setup left them become what they were, octet for octet; out of others only Assay is taken.
// It needs neither m4 nor Sendmail's macros.
func (m *sendmail) undo(ctx context.Context, s state, root *os.Root) error {
	if len(s.Files) != 2 {
		return fmt.Errorf("%s names %d files: %w", stateFile, len(s.Files), errNotOurs)
	}
	built, err := os.ReadFile(s.Files[1].Path)
	if err == nil {
		m.now = parseCF(built) // says which process it is
	}
	ours := func(text []byte) bool { return Hash(text) == s.Files[0].After }
	if err := m.undoFile(s.Files[0], root, ours, withoutBlock); err != nil {
		return err
	}
	asBuilt := func(text []byte) bool { return s.Files[1].After == "" || sense(text) == s.Files[1].After }
	takeOut := func(text []byte) []byte { return withoutFilter(text, filterName) }
	if err := m.undoFile(s.Files[1], root, asBuilt, takeOut); err != nil {
		return err
	}
	return m.reload(ctx)
}

// undoFile makes a file what it was if it is as setup left it; out of another one Assay is taken.
func (m *sendmail) undoFile(f file, root *os.Root, ours func([]byte) bool, takeOut func([]byte) []byte) error {
	text, err := os.ReadFile(f.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		m.report.Notes = append(m.report.Notes, f.Path+" is gone; there is nothing to put back")
		return nil
	case err != nil:
		return err
	case Hash(text) == f.Before:
		return nil
	case ours(text):
		return f.putBack(root, m.opt.Owner)
	}
	m.report.Notes = append(m.report.Notes, f.Path+" was changed since; only Assay is taken out of it")
	rest := takeOut(text)
	if bytes.Contains(rest, []byte(markBegin)) {
		return fmt.Errorf("%s has the beginning of the marked block and not its end", f.Path)
	}
	return restore(f.Path, rest)
}

// reload implements mta. With systemd the service is restarted; otherwise the daemon gets SIGHUP, on which it starts anew. One that
// does not run reads sendmail.cf when it starts, and one that setup has brought down is started again.
func (m *sendmail) reload(ctx context.Context) error {
	if m.mc == usualMC && m.sys.systemd() && m.sys.knows(ctx, sendmailUnit) {
		return m.restartUnit(ctx)
	}
	path := m.pidFile()
	if path == "" && m.served != "" {
		return m.startAgain(ctx)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		m.idle()
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	first, command, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid < 2 {
		return fmt.Errorf("%s names no process", path)
	}
	if !strings.HasPrefix(command, "/") { // it would end and not start again
		return fmt.Errorf("the daemon was started without its full path (%q) and cannot start anew on SIGHUP: restart it with that path and run this again", command)
	}
	if err := m.sys.Hangup(pid); err != nil {
		if m.served != "" {
			return m.startAgain(ctx)
		}
		m.idle()
		return nil
	}
	m.served = command
	return m.awaitRestart(ctx, path, info)
}

// sendmailUnit is what Debian and RPM systems call the service.
const sendmailUnit = "sendmail.service"

// restartUnit restarts the service, if it runs or if setup has brought it down.
func (m *sendmail) restartUnit(ctx context.Context) error {
	if _, err := m.sys.Run(ctx, "systemctl", "is-active", sendmailUnit); err != nil && m.served == "" {
		m.idle()
		return nil
	}
	m.served = sendmailUnit
	if out, err := m.sys.Run(ctx, "systemctl", "restart", sendmailUnit); err != nil {
		return fmt.Errorf("systemctl restart %s: %w: %s", sendmailUnit, err, out)
	}
	return m.awaitServer(ctx)
}

// startAgain starts the daemon as it was started before.
func (m *sendmail) startAgain(ctx context.Context) error {
	if out, err := m.sys.Run(ctx, "sh", "-c", m.served); err != nil {
		return fmt.Errorf("%s: %w: %s", m.served, err, out)
	}
	return m.awaitServer(ctx)
}

// idle notes that nobody reads the configuration now.
func (m *sendmail) idle() {
	m.report.Notes = append(m.report.Notes, "Sendmail's daemon does not run; it reads sendmail.cf when it starts")
}

// pidFile returns where the daemon notes its number.
func (m *sendmail) pidFile() string {
	candidates := []string{m.now.pidFile}
	if m.mc == usualMC {
		candidates = append(candidates, "/run/sendmail/mta/sendmail.pid", "/run/sendmail.pid", "/var/run/sendmail.pid")
	}
	for _, path := range candidates {
		if path != "" && m.sys.Exists(path) {
			return path
		}
	}
	return ""
}

// awaitRestart waits until the daemon has written its number anew and takes mail.
func (m *sendmail) awaitRestart(ctx context.Context, path string, before fs.FileInfo) error {
	limit, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		if now, err := os.Stat(path); err == nil && !now.ModTime().Equal(before.ModTime()) {
			return m.awaitServer(ctx)
		}
		if !wait(limit) {
			return errors.New("the daemon has not started anew within " + startTime.String() + "; its log says why")
		}
	}
}

// awaitServer waits until Sendmail takes mail. Whether it does decides: one that was brought down by what was changed has to come back.
func (m *sendmail) awaitServer(ctx context.Context) error {
	server := m.server()
	limit, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for server != "" {
		conn, err := (&net.Dialer{}).DialContext(limit, "tcp", server)
		if err == nil {
			return conn.Close()
		}
		if !wait(limit) {
			return fmt.Errorf("the daemon takes no mail at %s: %w", server, err)
		}
	}
	return nil
}
