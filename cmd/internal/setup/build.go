package setup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// A build is the way in which sendmail.cf is built of sendmail.mc on a machine.
type build struct {
	command []string
	stdout  bool // what it prints is sendmail.cf
}

// String returns it as an administrator types it.
func (b build) String() string { return strings.Join(b.command, " ") }

// included finds where sendmail.mc takes Sendmail's own macros from.
var included = regexp.MustCompile("(?m)^[ \t]*include\\(`(/[^']*/m4/cf\\.m4)'\\)")

// Where Debian and RPM systems have Sendmail's macros, and Debian its own program that builds.
const (
	debianMacros   = "/usr/share/sendmail/cf/m4/cf.m4"
	rpmMacros      = "/usr/share/sendmail-cf/m4/cf.m4"
	sendmailconfig = "/usr/sbin/sendmailconfig"
)

// builder finds the machine's own way: the Makefile beside sendmail.mc, Debian's sendmailconfig, then m4 itself. When something is
// missing it says what to do.
func (m *sendmail) builder(ctx context.Context, text []byte) (way build, problem string) {
	install := "apt-get install m4 sendmail-cf"
	if m.sys.Exists("/usr/bin/dnf") || m.sys.Exists("/usr/bin/yum") {
		install = "dnf install m4 make sendmail-cf"
	}
	missing := func(what string) string {
		return what + " is missing, and without it sendmail.cf cannot be built of " + m.mc + ": run \"" + install + "\" and then \"assay setup --apply\" again"
	}
	if _, err := m.sys.Run(ctx, "m4", "--version"); err != nil {
		return build{}, missing("the program m4")
	}
	var macros string
	if found := included.FindSubmatch(text); found != nil {
		if macros = string(found[1]); !m.sys.Exists(macros) {
			return build{}, missing(macros)
		}
	}
	dir := filepath.Dir(m.mc)
	if _, err := m.sys.Run(ctx, "make", "--version"); err == nil && m.sys.Exists(filepath.Join(dir, "Makefile")) {
		return build{command: []string{"make", "-C", dir}}, ""
	}
	switch {
	case m.mc == usualMC && m.sys.Exists(sendmailconfig):
		return build{command: []string{sendmailconfig, "--no-reload"}}, ""
	case macros != "":
		return build{command: []string{"m4", m.mc}, stdout: true}, ""
	}
	for _, macros := range []string{debianMacros, rpmMacros} {
		if m.sys.Exists(macros) {
			return build{command: []string{"m4", macros, m.mc}, stdout: true}, ""
		}
	}
	return build{}, missing("the directory of Sendmail's macros (cf/m4)")
}

// run builds sendmail.cf and returns what the program said.
func (b build) run(ctx context.Context, sys System, cf string) (string, error) {
	out, err := sys.Run(ctx, b.command[0], b.command[1:]...)
	if err != nil {
		return out, fmt.Errorf("%s: %w: %s", b, err, tail(out))
	}
	if !b.stdout {
		return out, nil
	}
	return "", restore(cf, []byte(out))
}

// tail returns the end of what a program said.
func tail(text string) string {
	const most = 2000
	text = strings.TrimSpace(text)
	if len(text) > most {
		text = "..." + text[len(text)-most:]
	}
	return text
}

// check says what is wrong with a sendmail.cf that was just built of a sendmail.mc with Assay in it. Programs that build may fail and
// not say so.
func (m *sendmail) check(ctx context.Context, before []byte, said string) error {
	after, err := os.ReadFile(m.cf)
	if err != nil {
		return err
	}
	if said = tail(said); said != "" {
		said = ": " + said
	}
	now := parseCF(after)
	if now.named([]string{m.daemon.endpoint.written}) != filterName {
		return fmt.Errorf("%s has not put Assay into %s%s", m.build, m.cf, said)
	}
	if got, want := strings.Join(now.input, ", "), strings.Join(m.wanted(), ", "); got != want {
		return fmt.Errorf("%s has made InputMailFilters=%s, and %s was expected: sendmail.mc and sendmail.cf differed before", m.build, got, want)
	}
	if lines := others(before, after); len(before) > 0 && len(lines) > 0 {
		return fmt.Errorf("%s changes more than the milters, because sendmail.cf was not what %s makes of sendmail.mc; run it, look at what has changed, "+
			"restart Sendmail and run this again:\n  %s", m.build, m.build, strings.Join(lines[:min(len(lines), 10)], "\n  "))
	}
	out, err := m.test(ctx)
	if err := errors.Join(err, complaints(out, m.cf)); err != nil {
		return err
	}
	// Only as a server it looks at the sockets of its milters, and a daemon that does not like one ends. Standard input is at its end.
	out, _ = m.sys.Run(ctx, "sendmail", "-C", m.cf, "-bs")
	return complaints(out, m.cf)
}

// complaints returns what Sendmail says about its configuration.
func complaints(out, cf string) error {
	var errs []error
	for line := range strings.Lines(out) {
		if at := strings.Index(line, cf+": line "); at >= 0 {
			errs = append(errs, errors.New(strings.TrimSpace(line[at:])))
		}
	}
	return errors.Join(errs...)
}
