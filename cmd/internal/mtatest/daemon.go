package mtatest

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A Daemon is a running "assay serve".
type Daemon struct {
	dir     string
	config  string
	log     string
	state   string
	program string
	proc    *process
	opt     DaemonOptions
}

// DaemonOptions say where a daemon keeps its files. What is empty is kept with the daemon's own, and is gone with it.
type DaemonOptions struct {
	Log   string // appended to
	State string // directory of the rule sets and of the control socket
	// Sockets are handed over as the service manager does it, all of them by the name milter. They stay open here.
	Sockets []*os.File
	// Before is run by a shell in the process that becomes the daemon, with mounts of its own: what it mounts is not seen
	// elsewhere, and its environment is that of the daemon.
	Before string
}

// servingLine is what the daemon logs when it can be reached.
const servingLine = "assay is serving"

// BuildAssayAs builds the program into a directory with another version.
func BuildAssayAs(dir, version string) (string, error) {
	path := filepath.Join(dir, "assay-"+version)
	build := exec.Command("go", "build", "-buildvcs=false", "-ldflags=-X main.Version="+version, "-o", path, "assay/cmd/assay")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as make does it: the packages are compiled already
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
}

// BuildAssay builds the program into a directory, with the race detector or without it. ASSAY_BINARY and
// ASSAY_RACE_BINARY name programs that are already built.
func BuildAssay(dir string, race bool) (string, error) {
	path, given, args := filepath.Join(dir, "assay"), "ASSAY_BINARY", []string{"build", "-buildvcs=false"}
	if race {
		given, args = "ASSAY_RACE_BINARY", append(args, "-race")
	}
	if path := os.Getenv(given); path != "" {
		return path, nil
	}
	if out, err := exec.Command("go", append(args, "-o", path, "assay/cmd/assay")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
}

// StartDaemon is StartDaemonWith for a daemon with a log that survives it; "" keeps that with the daemon's own files.
func StartDaemon(program, config, log string) (*Daemon, error) {
	return StartDaemonWith(program, config, DaemonOptions{Log: log})
}

// StartDaemonWith runs a program with a configuration and waits until it serves.
func StartDaemonWith(program, config string, opt DaemonOptions) (*Daemon, error) {
	dir, err := newDir("dm")
	if err != nil {
		return nil, err
	}
	d := &Daemon{
		dir: dir, config: filepath.Join(dir, "assay.yaml"), program: program,
		log: cmp.Or(opt.Log, filepath.Join(dir, "log")), state: cmp.Or(opt.State, dir), opt: opt,
	}
	if err := d.start(config); err != nil {
		err = fmt.Errorf("mtatest: assay: %w\n%s", err, d.Log())
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// start writes the configuration and runs the program.
func (d *Daemon) start(config string) error {
	if err := d.Configure(config); err != nil {
		return err
	}
	log, err := os.OpenFile(d.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	before := len(d.Log())
	cmd := d.opt.surround(d.Command("serve"))
	cmd.Stdout, cmd.Stderr = log, log
	if d.proc, err = startProcess(cmd, d.dir); err != nil {
		return err
	}
	return d.proc.await(func() error {
		if !strings.Contains(d.Log()[before:], servingLine) {
			return errors.New("no line says that it serves")
		}
		return nil
	})
}

// surround returns a command that does what the options say before it becomes cmd; the number of its process stays the same.
func (o DaemonOptions) surround(cmd *exec.Cmd) *exec.Cmd {
	script := o.Before
	if n := len(o.Sockets); n > 0 { // sd_listen_fds(3); the number of the process is not known before it runs
		names := strings.TrimSuffix(strings.Repeat("milter:", n), ":")
		script += fmt.Sprintf("\nexport LISTEN_PID=$$ LISTEN_FDS=%d LISTEN_FDNAMES=%s", n, names)
	}
	if script == "" {
		return cmd
	}
	args := append([]string{"/bin/sh", "-ec", script + "\nexec \"$0\" \"$@\""}, cmd.Args...)
	if o.Before != "" {
		args = append([]string{"unshare", "--mount"}, args...)
	}
	around := exec.Command(args[0], args[1:]...)
	around.Env, around.ExtraFiles = cmd.Env, o.Sockets
	return around
}

// Inside runs a command of the system where the daemon sees its own mounts.
func (d *Daemon) Inside(args ...string) error {
	args = append([]string{"--mount", "--target", strconv.Itoa(d.PID())}, args...)
	if out, err := exec.Command("nsenter", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("mtatest: %v: %w: %s", args, err, out)
	}
	return nil
}

// Helpers returns the numbers of the other processes of the daemon's session that have not ended.
func (d *Daemon) Helpers() ([]int, error) {
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	var helpers []int
	for _, path := range all {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		var state string
		var parent, group, session int
		rest := string(text[strings.LastIndexByte(string(text), ')')+1:]) // the name before it may hold anything
		if _, err := fmt.Sscan(rest, &state, &parent, &group, &session); err != nil {
			return nil, fmt.Errorf("mtatest: %s: %w", path, err)
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if session == d.PID() && pid != d.PID() && state != "Z" && state != "X" {
			helpers = append(helpers, pid)
		}
	}
	return helpers, err
}

// Memory returns how many octets of memory the daemon occupies (VmRSS).
func (d *Daemon) Memory() (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.PID()))
	if err != nil {
		return 0, err
	}
	var kib int
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	_, err = fmt.Sscanf(rest, "%d kB", &kib)
	return kib << 10, err
}

// Command returns a command of the program with the daemon's configuration and environment, such as "ctl", "status".
func (d *Daemon) Command(args ...string) *exec.Cmd {
	cmd := exec.Command(d.program, append(args, "--config", d.config)...)
	// Nothing of it is kept where the system's own instance keeps its state.
	cmd.Env = append(os.Environ(), "ASSAY__RULES__STATE="+filepath.Join(d.state, "rules"), "ASSAY__VERIFY__SMIME__CACHE="+filepath.Join(d.dir, "smime"),
		"ASSAY__LISTEN__CONTROL="+d.Control(), "ASSAY__LOG__PSEUDONYM_KEY="+filepath.Join(d.state, "pseudonym.key"))
	return cmd
}

// Config returns the path of the configuration.
func (d *Daemon) Config() string { return d.config }

// Control returns the path of the control socket.
func (d *Daemon) Control() string { return filepath.Join(d.state, "control.sock") }

// Run runs such a command and returns what it wrote and its exit code.
func (d *Daemon) Run(args ...string) (output string, code int, err error) {
	out, err := d.Command(args...).CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(out), exit.ExitCode(), nil
	}
	return string(out), 0, err
}

// Configure writes another configuration, which the daemon reads on SIGHUP.
func (d *Daemon) Configure(config string) error {
	return os.WriteFile(d.config, []byte(config), 0o600)
}

// Signal sends a signal to the daemon.
func (d *Daemon) Signal(sig syscall.Signal) error { return d.proc.cmd.Process.Signal(sig) }

// PID returns the process number of the daemon.
func (d *Daemon) PID() int { return d.proc.cmd.Process.Pid }

// Exited reports whether the daemon has ended.
func (d *Daemon) Exited() bool { return d.proc.exited() }

// Await waits until the daemon has ended by itself.
func (d *Daemon) Await() error {
	for deadline := time.Now().Add(patience); !d.proc.exited(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("mtatest: assay runs on after %v", patience)
		}
	}
	return nil
}

// Log returns what the daemon has logged so far.
func (d *Daemon) Log() string { return readLog(d.log) }

// OpenFiles returns the number of file descriptors that the daemon holds.
func (d *Daemon) OpenFiles() (int, error) {
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.proc.cmd.Process.Pid))
	return len(files), err
}

// Metrics returns what the daemon says at its metrics address.
func (d *Daemon) Metrics(addr string) (string, error) {
	answer, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}

// Close kills the daemon and removes its files.
func (d *Daemon) Close() error {
	if d.proc == nil {
		return os.RemoveAll(d.dir)
	}
	return d.proc.close()
}
