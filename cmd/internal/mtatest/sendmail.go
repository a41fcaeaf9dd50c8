package mtatest

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Sendmail is a private Sendmail instance. Sendmail and Postfix cannot be installed on one Debian system, so the
// program comes from unpacked packages: see SendmailRoot.
type Sendmail struct {
	dir  string
	root string // of the unpacked packages
	addr string
	proc *process
}

// SendmailOptions say how an instance differs from a plain one.
type SendmailOptions struct {
	Root   string // directory into which the packages were unpacked; "" is what SendmailRoot finds
	Milter string // as in INPUT_MAIL_FILTER, such as "inet:8894@127.0.0.1"; "" for none
	Flags  string // what happens when the milter fails: "T" (the default) tempfail, "R" reject, "4" shut down, "-" pass
	Sink   *Sink  // where everything is delivered
	Times  string // how long the milter may take; "" is C:30s;S:30s;R:2m;E:5m
	MC     string // further lines of the m4 file, before the mailers
}

// sendmailMC is the m4 file. Everything is relayed to the sink by a mailer that neither recodes nor cuts, before the
// client gets its reply; the load of the machine plays no part. The arguments are the directory, the SMTP port, the
// line of the milter, that of m4's macros, further lines, and the port of the sink.
const sendmailMC = `divert(0)dnl
include(` + "`%[4]s'" + `)dnl
OSTYPE(` + "`linux'" + `)dnl
define(` + "`confDOMAIN_NAME', `sendmail.test'" + `)dnl
define(` + "`ALIAS_FILE', `'" + `)dnl
define(` + "`STATUS_FILE', `'" + `)dnl
define(` + "`HELP_FILE', `'" + `)dnl
define(` + "`confCW_FILE', `/dev/null'" + `)dnl
define(` + "`QUEUE_DIR', `%[1]s/queue'" + `)dnl
define(` + "`confPID_FILE', `%[1]s/pid'" + `)dnl
define(` + "`confDELIVERY_MODE', `interactive'" + `)dnl
define(` + "`confQUEUE_LA', `100000'" + `)dnl
define(` + "`confREFUSE_LA', `100000'" + `)dnl
define(` + "`confTO_IDENT', `0'" + `)dnl
define(` + "`confEIGHT_BIT_HANDLING', `pass8'" + `)dnl
define(` + "`confPRIVACY_FLAGS', `noetrn'" + `)dnl
define(` + "`confMILTER_LOG_LEVEL', `9'" + `)dnl
FEATURE(` + "`no_default_msa'" + `)dnl
FEATURE(` + "`accept_unresolvable_domains'" + `)dnl
FEATURE(` + "`accept_unqualified_senders'" + `)dnl
FEATURE(` + "`promiscuous_relay'" + `)dnl
FEATURE(` + "`nocanonify'" + `)dnl
FEATURE(` + "`nouucp', `reject'" + `)dnl
define(` + "`SMART_HOST', `sink:[127.0.0.1]'" + `)dnl
DAEMON_OPTIONS(` + "`Name=MTA, Addr=127.0.0.1, Port=%[2]s, Family=inet, Listen=250'" + `)dnl
%[3]s
%[5]s
MAILER(` + "`smtp'" + `)dnl
MAILER_DEFINITIONS
Msink,	P=[IPC], F=mDFMuXa8, S=EnvFromSMTP/HdrFromSMTP, R=EnvToSMTP, E=\r\n, L=0,
	T=DNS/RFC822/SMTP,
	A=TCP $h %[6]s
`

// SendmailRoot returns the directory of the unpacked packages: $ASSAY_SENDMAIL, or dist/test/sendmail in the tree that
// the program runs in, where packaging/test/deps.sh puts them.
func SendmailRoot() (string, error) {
	if root := os.Getenv("ASSAY_SENDMAIL"); root != "" {
		return root, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		root := filepath.Join(dir, "dist", "test", "sendmail")
		if _, err := os.Stat(filepath.Join(root, sendmailProgram)); err == nil {
			return root, nil
		}
	}
	return "", fmt.Errorf("%w: Sendmail is not unpacked, run packaging/test/deps.sh", ErrUnavailable)
}

// The places of what is needed in the packages sendmail-bin and sendmail-cf, and of the library that gives the host a
// name with a dot: without one Sendmail sleeps for a minute when it starts.
const (
	sendmailShim    = "hostname.so"
	sendmailProgram = "usr/libexec/sendmail/sendmail"
	sendmailCF      = "usr/share/sendmail/cf"
)

// StartSendmail starts an instance and waits until it answers.
func StartSendmail(opt SendmailOptions) (*Sendmail, error) {
	if err := requireRoot(); err != nil {
		return nil, err
	}
	if opt.Root == "" {
		root, err := SendmailRoot()
		if err != nil {
			return nil, err
		}
		opt.Root = root
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	dir, err := newDir("sm")
	if err != nil {
		return nil, err
	}
	s := &Sendmail{dir: dir, root: opt.Root, addr: "127.0.0.1:" + ports[0]}
	if err := s.start(opt); err != nil {
		err = fmt.Errorf("mtatest: sendmail: %w\n%s", err, s.Log())
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Name implements MTA.
func (s *Sendmail) Name() string { return "sendmail" }

// Addr implements MTA.
func (s *Sendmail) Addr() string { return s.addr }

// Log implements MTA. Sendmail logs to syslog only, so this is what it wrote to its standard error.
func (s *Sendmail) Log() string { return readLog(filepath.Join(s.dir, "console")) }

// Close implements MTA.
func (s *Sendmail) Close() error {
	if s.proc == nil {
		return os.RemoveAll(s.dir)
	}
	return s.proc.close()
}

// Queue implements MTA: a queue file qf* is a waiting message, hf* a quarantined one.
func (s *Sendmail) Queue() ([]Queued, error) {
	files, err := os.ReadDir(filepath.Join(s.dir, "queue"))
	if err != nil {
		return nil, err
	}
	var queue []Queued
	for _, f := range files {
		switch {
		case strings.HasPrefix(f.Name(), "qf"):
			queue = append(queue, Queued{ID: f.Name()[2:]})
		case strings.HasPrefix(f.Name(), "hf"):
			queue = append(queue, Queued{ID: f.Name()[2:], Held: true, Reason: s.reason(f.Name())})
		}
	}
	return queue, nil
}

// reason returns why a message is quarantined: the line of its queue file that begins with q.
func (s *Sendmail) reason(file string) string {
	text, err := os.ReadFile(filepath.Join(s.dir, "queue", file))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if reason, found := strings.CutPrefix(line, "q"); found {
			return strings.TrimSpace(reason)
		}
	}
	return ""
}

// Release implements MTA.
func (s *Sendmail) Release(id string) error {
	for _, args := range [][]string{{"-qQ", "-qI" + id, "-Q"}, {"-qI" + id}} {
		if out, err := s.command(args...).CombinedOutput(); err != nil {
			return fmt.Errorf("sendmail %v: %w: %s", args, err, out)
		}
	}
	return nil
}

// command returns the program with the configuration of this instance.
func (s *Sendmail) command(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.root, sendmailProgram), append([]string{"-C", filepath.Join(s.dir, "sendmail.cf")}, args...)...)
	cmd.Env = append(os.Environ(), "LD_PRELOAD="+filepath.Join(s.root, sendmailShim))
	return cmd
}

// Program writes a program that works on this instance, as sendmail(8) does on that of a system, and returns its path.
func (s *Sendmail) Program() (string, error) {
	path := filepath.Join(s.dir, "sendmail")
	script := fmt.Sprintf("#!/bin/sh\nLD_PRELOAD=%s exec %s -C %s \"$@\"\n", filepath.Join(s.root, sendmailShim), filepath.Join(s.root, sendmailProgram),
		filepath.Join(s.dir, "sendmail.cf"))
	return path, os.WriteFile(path, []byte(script), 0o755)
}

// start writes the configuration and runs the daemon.
func (s *Sendmail) start(opt SendmailOptions) error {
	if err := os.Mkdir(filepath.Join(s.dir, "queue"), 0o700); err != nil {
		return err
	}
	if err := s.configure(opt); err != nil {
		return err
	}
	console, err := os.Create(filepath.Join(s.dir, "console"))
	if err != nil {
		return err
	}
	defer func() { _ = console.Close() }()
	daemon := s.command("-bD")
	daemon.Stdout, daemon.Stderr = console, console
	if s.proc, err = startProcess(daemon, s.dir); err != nil {
		return err
	}
	return s.proc.await(func() error { return answers(s.addr) })
}

// configure lets m4 make sendmail.cf.
func (s *Sendmail) configure(opt SendmailOptions) error {
	flags := "F=T, "
	switch opt.Flags {
	case "":
	case "-":
		flags = ""
	default:
		flags = "F=" + opt.Flags + ", "
	}
	milter := "dnl"
	if opt.Milter != "" {
		milter = fmt.Sprintf("INPUT_MAIL_FILTER(`assay', `S=%s, %sT=%s')dnl", opt.Milter, flags, cmp.Or(opt.Times, "C:30s;S:30s;R:2m;E:5m"))
	}
	macros := filepath.Join(opt.Root, sendmailCF, "m4", "cf.m4")
	mc := fmt.Sprintf(sendmailMC, s.dir, portOf(s.addr), milter, macros, opt.MC, portOf(opt.Sink.Addr()))
	if err := os.WriteFile(s.MC(), []byte(mc), 0o644); err != nil {
		return err
	}
	out, err := exec.Command("m4", s.MC()).Output()
	if err != nil {
		return fmt.Errorf("m4: %w", err)
	}
	return os.WriteFile(filepath.Join(s.dir, "sendmail.cf"), out, 0o644)
}

// MC returns the path of sendmail.mc. sendmail.cf is built of it, beside it.
func (s *Sendmail) MC() string { return filepath.Join(s.dir, "sendmail.mc") }
