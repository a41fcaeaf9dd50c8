// Package clamtest runs ClamAV's daemon for tests and for the demonstration: a private clamd with its own directory, socket
// and port on the loopback interface, and a database of two signatures for harmless contents. It needs no network. A clamd of
// the system, its configuration and its signatures are neither read nor touched, several run side by side, and nothing
// stays behind when the program dies, however it dies.
package clamtest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"assay/cmd/internal/mtatest"
	"assay/scan/virus/clamd"
)

// ErrUnavailable means that clamd is not installed on this machine.
var ErrUnavailable = errors.New("clamtest: clamd is not available, run packaging/test/deps.sh")

// patience is how long clamd may take to answer. It is generous because a busy machine has to pass too.
const patience = time.Minute

// EICAR returns the test file that virus scanners call malware (eicar.org). It is put together here because scanners would
// take a source file, or a program, with all of it for infected.
func EICAR() []byte {
	return []byte(strings.Join([]string{`X5O!P%@AP[4\PZX54(P^)7CC)7}$`, `EICAR-STANDARD-ANTIVIRUS`, `-TEST-FILE!$H+H*`}, ""))
}

// Malware returns a content that only the database of this package calls malware, and only when it is a file of its own.
func Malware() []byte { return []byte("This file is called malware by Assay's own tests.\n") }

// The names under which the database knows the two.
const (
	EICARName   = "Test.EICAR.UNOFFICIAL"
	MalwareName = "Test.Malware.UNOFFICIAL"
)

// Options say how a clamd differs from a plain one.
type Options struct {
	StreamMaxLength string // as in clamd.conf; "" is 50M
	Conf            string // lines of clamd.conf that replace those for the same options
}

// A Server is a running clamd.
type Server struct {
	dir   string
	port  int
	cmd   *exec.Cmd
	guard *guard
}

// conf is clamd.conf(5). The arguments are the directory, the port and StreamMaxLength.
const conf = `Foreground yes
LogFile %[1]s/log
LogFileMaxSize 0
LogVerbose yes
DatabaseDirectory %[1]s/db
TemporaryDirectory %[1]s/tmp
LocalSocket %[1]s/ctl
LocalSocketMode 666
TCPAddr 127.0.0.1
TCPSocket %[2]d
StreamMaxLength %[3]s
SelfCheck 0
AlertEncrypted yes
AlertOLE2Macros yes
AlertExceedsMax yes
`

// configure returns the lines of clamd.conf. Of several lines for one option clamd takes the first.
func (s *Server) configure(opt Options) string {
	return opt.Conf + "\n" + fmt.Sprintf(conf, s.dir, s.port, cmp.Or(opt.StreamMaxLength, "50M"))
}

// Start starts a clamd and waits until it answers.
func Start(opt Options) (*Server, error) {
	program, libraries, err := find()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "assay-clamd-")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir}
	if err := s.start(program, libraries, opt); err != nil {
		err = fmt.Errorf("clamtest: %w\n%s", err, s.Log())
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// start writes what clamd reads and runs it.
func (s *Server) start(program, libraries string, opt Options) error {
	var err error
	if s.port, err = mtatest.FreePort(); err != nil {
		return err
	}
	if err := s.write(opt); err != nil {
		return err
	}
	s.cmd = exec.Command(program, "--config-file="+filepath.Join(s.dir, "clamd.conf"))
	if libraries != "" {
		s.cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+libraries)
	}
	out, err := os.Create(filepath.Join(s.dir, "out"))
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	s.cmd.Stdout, s.cmd.Stderr = out, out
	if s.guard, err = startGuarded(s.cmd, s.dir); err != nil {
		return err
	}
	return s.await()
}

// write writes the configuration and the database. The first signature matches anywhere in a file (NDB, offset *), the
// second is that of a whole file (HSB).
func (s *Server) write(opt Options) error {
	sum := sha256.Sum256(Malware())
	for name, text := range map[string]string{
		"db/test.ndb": "Test.EICAR:0:*:" + hex.EncodeToString(EICAR()) + "\n",
		"db/test.hsb": fmt.Sprintf("%x:%d:Test.Malware\n", sum, len(Malware())),
		"clamd.conf":  s.configure(opt),
		"tmp/.keep":   "",
	} {
		path := filepath.Join(s.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return os.Chmod(s.dir, 0o755) // other users may use the socket
}

// await waits until clamd answers at both of its addresses.
func (s *Server) await() error {
	deadline := time.Now().Add(patience)
	for {
		err := errors.Join(ping(s.Unix()), ping(s.TCP()))
		switch {
		case err == nil:
			return nil
		case s.guard.exited():
			return errors.New("clamd has ended")
		case time.Now().After(deadline):
			return fmt.Errorf("not ready after %v: %w", patience, err)
		}
		time.Sleep(20 * time.Millisecond) // another program gives no signal to wait for
	}
}

// ping asks the clamd at an address whether it is there.
func ping(address string) error {
	c, err := clamd.New(clamd.Options{Address: address, Timeout: time.Second})
	if err != nil {
		return err
	}
	return c.Ping(context.Background())
}

// Unix returns the address of the unix socket, such as "unix:/tmp/assay-clamd-1/ctl".
func (s *Server) Unix() string { return "unix:" + filepath.Join(s.dir, "ctl") }

// TCP returns the address of the port, such as "tcp:127.0.0.1:3310".
func (s *Server) TCP() string { return "tcp:127.0.0.1:" + strconv.Itoa(s.port) }

// PID returns the process number of clamd.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Signal sends a signal to clamd. One that was stopped by SIGSTOP is as slow as a scanner can be.
func (s *Server) Signal(sig syscall.Signal) error { return s.cmd.Process.Signal(sig) }

// Log returns what clamd has said so far, for failing tests.
func (s *Server) Log() string {
	var all []byte
	for _, name := range []string{"out", "log"} {
		text, _ := os.ReadFile(filepath.Join(s.dir, name)) // there is none before clamd runs
		all = append(all, text...)
	}
	return string(all)
}

// Close ends clamd and removes its files.
func (s *Server) Close() error {
	if s.guard != nil {
		return s.guard.close()
	}
	return os.RemoveAll(s.dir)
}

// TB is the part of testing.TB that For needs; this package is part of a program too.
type TB interface {
	Helper()
	Cleanup(func())
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
	Logf(format string, args ...any)
	Failed() bool
}

// For starts a clamd for a test and closes it at its end. Where there is no clamd the test is skipped, but fails where
// ASSAY_REQUIRE_MTA says that everything must be there.
func For(t TB, opt Options) *Server {
	t.Helper()
	s, err := Start(opt)
	switch {
	case errors.Is(err, ErrUnavailable) && os.Getenv("ASSAY_REQUIRE_MTA") == "":
		t.Skipf("SKIPPED: %v", err)
	case err != nil:
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("clamd says:\n%s", s.Log())
		}
		if err := s.Close(); err != nil {
			t.Errorf("%v", err)
		}
	})
	return s
}

// find returns the program, and the directories of its libraries if they are not where the system looks for them:
// $ASSAY_CLAMD, what packaging/test/deps.sh has unpacked into dist/test/clamav of the tree that the program runs in, or that
// of the system, which AppArmor may keep from the files of tests.
func find() (program, libraries string, err error) {
	if program := os.Getenv("ASSAY_CLAMD"); program != "" {
		return program, "", nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", "", err
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		root := filepath.Join(dir, "dist", "test", "clamav", "usr")
		program := filepath.Join(root, "sbin", "clamd")
		if _, err := os.Stat(program); err == nil {
			libraries, err := filepath.Glob(filepath.Join(root, "lib", "*"))
			return program, strings.Join(libraries, ":"), err
		}
	}
	for _, name := range []string{"clamd", "/usr/sbin/clamd"} {
		if program, err := exec.LookPath(name); err == nil {
			return program, "", nil
		}
	}
	return "", "", ErrUnavailable
}
