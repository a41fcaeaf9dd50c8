package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"assay/cmd/internal/setup"
)

// exitNeeded says that "setup --check" found something to change.
const exitNeeded = 3

// setupState is where setup keeps what was there.
const setupState = "/var/lib/assay/setup"

// A setupFlags is the command line of "setup".
type setupFlags struct {
	config                   string
	apply, undo, check, json bool
	state                    string
	opt                      setup.Options
}

// setup returns "setup".
func (a *app) setup() *cobra.Command {
	c := &cobra.Command{
		Use:   "setup",
		Short: "Connect the MTA on this machine with Assay, and prove that mail passes through",
		Long: "Look at the MTA on this machine (Postfix or Sendmail) and print what would have to be changed. --apply makes the change, starts the\n" +
			"daemon, sends a mail to itself and says what became of it; --undo puts back what was there; --check only answers.\n\n" +
			"In main.cf smtpd_milters and non_smtpd_milters are changed, with postconf. sendmail.mc gets a marked block, sendmail.cf is built of\n" +
			"it (make -C /etc/mail, sendmailconfig or m4) and checked, and Sendmail is restarted. A copy is kept in " + setupState + ". The\n" +
			"MTA is not pointed at a daemon that does not answer, and if it does not reach it, what was there is put back; so it is when setup\n" +
			"is interrupted. A setup that was killed is finished by the next --apply, or undone by --undo.\n\n" +
			"--mta-config connects one of several instances of Postfix; --undo without it undoes them all.\n\n" +
			"Exit codes: 0 there was nothing to do, or it is done; 1 it failed, or nothing was proven; 2 wrong usage; 3 something has to be\n" +
			"changed (--check). Running --apply again changes nothing; --json says so in \"changed\".",
		Args: args(0, 0),
	}
	f := &setupFlags{}
	path := configFlag(c)
	flags := c.Flags()
	flags.BoolVar(&f.apply, "apply", false, "make the change")
	flags.BoolVar(&f.undo, "undo", false, "put back what was there before --apply")
	flags.BoolVar(&f.check, "check", false, "exit with 3 if something has to be changed")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	flags.StringVar(&f.opt.MTA, "mta", "", "the `MTA`, postfix or sendmail (default: what is there)")
	flags.StringVar(&f.opt.Socket, "socket", "", "`KIND` of connection, unix or inet (default: what fits best)")
	flags.BoolVar(&f.opt.Last, "last", false, "put Assay behind the milters that are there, not before them")
	flags.StringVar(&f.opt.ProbeTo, "probe-to", "", "`ADDRESS` that the probe is sent to (default: root at the name of the MTA)")
	flags.BoolVar(&f.opt.NoProbe, "no-probe", false, "send no probe")
	flags.StringVar(&f.opt.Config, "mta-config", "", "configuration `DIR` of Postfix, or sendmail.mc (default: the usual one)")
	flags.StringVar(&f.state, "state", setupState, "`DIR` where is kept what was there")
	c.RunE = func(c *cobra.Command, _ []string) error {
		f.config = *path
		if err := f.valid(); err != nil {
			return usageError{err}
		}
		return a.runSetup(c.Context(), f)
	}
	return c
}

// valid checks the flags against each other.
func (f *setupFlags) valid() error {
	n := 0
	for _, set := range []bool{f.apply, f.undo, f.check} {
		if set {
			n++
		}
	}
	switch {
	case n > 1:
		return errors.New("--apply, --undo and --check exclude each other")
	case f.opt.MTA != "" && f.opt.MTA != "postfix" && f.opt.MTA != "sendmail":
		return fmt.Errorf("--mta is %q, not postfix or sendmail", f.opt.MTA)
	case f.opt.Socket != "" && f.opt.Socket != "unix" && f.opt.Socket != "inet":
		return fmt.Errorf("--socket is %q, not unix or inet", f.opt.Socket)
	case strings.ContainsAny(f.opt.ProbeTo, "<>\r\n ") || f.opt.ProbeTo != "" && !strings.Contains(f.opt.ProbeTo, "@"):
		return fmt.Errorf("--probe-to is %q, not an address", f.opt.ProbeTo)
	}
	return nil
}

// runSetup does what the flags say.
func (a *app) runSetup(ctx context.Context, f *setupFlags) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM) // what is half done is put back
	defer stop()
	f.opt.State, f.opt.Owner = f.state, os.Geteuid()
	if !f.undo { // which has to work with any configuration
		loaded, err := a.load(f.config)
		if err != nil {
			return err
		}
		f.opt.Listeners, f.opt.Budget = loaded.Config.Listen.Milter, loaded.Config.Limits.Time
	}
	sys := a.system(f.config)
	var report *setup.Report
	var err error
	switch {
	case f.apply:
		report, err = setup.Apply(ctx, sys, f.opt)
	case f.undo:
		report, err = setup.Undo(ctx, sys, f.opt)
	default:
		report, err = setup.Inspect(ctx, sys, f.opt)
	}
	if report != nil {
		if f.json {
			err = errors.Join(err, encode(a.out, report))
		} else {
			report.Text(a.out)
		}
	}
	return a.concludeSetup(f, report, err)
}

// concludeSetup says in a sentence what it comes to.
func (a *app) concludeSetup(f *setupFlags, report *setup.Report, err error) error {
	needed := report != nil && len(report.Changes)+len(report.Problems) > 0
	switch {
	case err != nil:
		return fmt.Errorf("setup: %w", err)
	case f.check && needed:
		return exitError(exitNeeded)
	case f.json:
	case f.undo && report.Changed:
		fmt.Fprintln(a.out, "what was there was put back")
	case f.apply && !report.Changed:
		fmt.Fprintln(a.out, "nothing had to be changed")
	case !f.apply && !f.undo && needed:
		fmt.Fprintln(a.out, "nothing was changed; \"assay setup --apply\" does it")
	case !f.apply && !f.undo:
		fmt.Fprintln(a.out, "nothing has to be changed")
	}
	return nil
}

// system returns this machine.
func (a *app) system(config string) setup.System {
	return setup.System{
		Run:       runProgram,
		Exists:    func(path string) bool { _, err := os.Stat(path); return err == nil },
		Handshake: setup.Handshake,
		Seen: func(ctx context.Context, id string) (string, bool, error) {
			m, err := a.messageDecided(ctx, config, id)
			if err != nil {
				if strings.Contains(err.Error(), errUnknownMessage.Error()) {
					err = nil
				}
				return "", false, err
			}
			return "disposition=" + m.Disposition + ", trust=" + m.Trust, true, nil
		},
		Hangup: hangup,
		Now:    a.now,
	}
}

// hangup sends SIGHUP to a process of Sendmail. The number comes from a file, and may be somebody else's by now.
func hangup(pid int) error {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil || !strings.HasPrefix(string(name), "sendmail") {
		return fmt.Errorf("process %d is not Sendmail", pid)
	}
	return syscall.Kill(pid, syscall.SIGHUP)
}

// programTime bounds one program that setup runs. Sendmail sleeps for a minute when it does not know the name of the host.
const programTime = 3 * time.Minute

// runProgram runs a program of the system, and finds those of administrators also for a shell without their directories.
func runProgram(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), programTime) // what is begun comes to its end
	defer cancel()
	if _, err := exec.LookPath(name); err != nil && !filepath.IsAbs(name) {
		for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				name = filepath.Join(dir, name)
				break
			}
		}
	}
	var out, stderr strings.Builder
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &stderr
	// Nor does the key that interrupts setup reach it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// A daemon that the program starts may keep its output open.
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	if err != nil {
		return strings.TrimSpace(out.String() + stderr.String()), fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(stderr.String()))
	}
	return out.String(), nil
}
