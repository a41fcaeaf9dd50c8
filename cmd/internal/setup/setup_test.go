package setup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"assay/milter"
)

func TestSplitMilters(t *testing.T) {
	for _, c := range []struct {
		value string
		want  []string
	}{
		{"", nil},
		{"inet:127.0.0.1:8891, unix:a/b", []string{"inet:127.0.0.1:8891", "unix:a/b"}},
		{"{ inet:x:1, default_action=accept } unix:a", []string{"{ inet:x:1, default_action=accept }", "unix:a"}},
		{"{inet:x:1,{command_timeout=5s}},unix:a", []string{"{inet:x:1,{command_timeout=5s}}", "unix:a"}},
		{"{ open, inet:1", []string{"{ open, inet:1"}},
	} {
		if got := splitMilters(c.value); !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.value, got, c.want)
		}
	}
}

func TestOwnEntry(t *testing.T) {
	o := own{entry: "unix:assay/milter.sock", addresses: []string{"unix:assay/milter.sock", "inet:127.0.0.1:8894"}}
	for _, c := range []struct{ name, value, with, without string }{
		{"alone", "", "unix:assay/milter.sock", ""},
		{"first", "inet:127.0.0.1:8891, unix:b", "unix:assay/milter.sock, inet:127.0.0.1:8891, unix:b", "inet:127.0.0.1:8891, unix:b"},
		{"there already", "unix:b, {unix:assay/milter.sock, default_action=tempfail}", "unix:b, {unix:assay/milter.sock, default_action=tempfail}", "unix:b"},
		{"there under another address", "inet:127.0.0.1:8894", "inet:127.0.0.1:8894", ""},
	} {
		if got := o.with(c.value); got != c.with {
			t.Errorf("%s: with: got %q, want %q", c.name, got, c.with)
		}
		if got := o.without(c.value); got != c.without {
			t.Errorf("%s: without: got %q, want %q", c.name, got, c.without)
		}
	}
	o.replace, o.last = true, true
	if got := o.with("unix:b, inet:127.0.0.1:8894"); got != "unix:b, unix:assay/milter.sock" {
		t.Errorf("replaced: %q", got)
	}
	if got := o.with("unix:b"); got != "unix:b, unix:assay/milter.sock" {
		t.Errorf("last: %q", got)
	}
}

// Whatever a list is, Assay is in it once, and taking it out again leaves the others in their order.
func FuzzMilters(f *testing.F) {
	for _, s := range []string{"", "inet:a:1, unix:b", "{ inet:a:1, x=y } unix:b", "}{", "{{{"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		o := own{entry: "unix:assay/milter.sock", addresses: []string{"unix:assay/milter.sock"}}
		with := o.with(value)
		if again := o.with(with); again != with {
			t.Errorf("%q became %q and then %q", value, with, again)
		}
		if before := splitMilters(value); !slices.ContainsFunc(before, o.is) && !slices.Equal(splitMilters(o.without(with)), before) {
			t.Errorf("%q: %q", value, o.without(with))
		}
	})
}

// A machine is a System that answers from maps and keeps main.cf in a directory.
type machine struct {
	dir     string
	main    map[string]string
	systemd bool
	answers bool
	ran     []string
	// services are the settings in master.cf, as postconf -P prints them
	services string
	// expanded is what "postconf -x" makes of parameters
	expanded map[string]string
	// lives is how many programs run before the setup that runs them is killed; 0 is no end
	lives int
}

// errKilled ends a setup as SIGKILL does: nothing is cleaned up but what the kernel does.
var errKilled = errors.New("killed")

func (m *machine) system() System {
	return System{
		Run: m.run, Exists: func(path string) bool { return path == systemdRun && m.systemd },
		Handshake: func(context.Context, string, string) error {
			if m.answers {
				return nil
			}
			return errors.New("refused")
		},
		Seen: func(context.Context, string) (string, bool, error) { return "", false, nil },
		Now:  func() time.Time { return time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC) },
	}
}

func (m *machine) run(_ context.Context, name string, args ...string) (string, error) {
	m.ran = append(m.ran, name+" "+strings.Join(args, " "))
	if m.lives--; m.lives == 0 {
		panic(errKilled)
	}
	switch {
	case name == "systemctl" && args[0] == "is-enabled":
		return "disabled", errors.New("exit status 1")
	case name == "systemctl" && args[0] == "start":
		m.answers = true
	case name == "postconf":
		return m.postconf(args)
	case name == "postfix" && args[0] == "status":
		return "", errors.New("not running")
	}
	return "", nil
}

// postconf is postconf(1) on main.cf in the machine's directory, or in that of -c.
func (m *machine) postconf(args []string) (string, error) {
	dir := m.dir
	if args[0] == "-c" {
		dir, args = args[1], args[2:]
	}
	path := filepath.Join(dir, "main.cf")
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	set := settings(string(text))
	switch {
	case slices.Contains(args, "-M"):
		return "smtp inet n - y - - smtpd\nsubmission inet n - y - - smtpd\ncleanup unix n - y - 0 cleanup\n", nil
	case slices.Contains(args, "-P"):
		return m.services, nil
	case args[0] == "-n":
		return string(text), nil
	case args[0] == "-e":
		for _, a := range args[1:] {
			k, v, _ := strings.Cut(a, "=")
			set[k] = v
		}
	case args[0] == "-X":
		delete(set, args[1])
	default:
		all := maps.Clone(m.main)
		maps.Copy(all, set)
		if args[0] == "-x" {
			maps.Copy(all, m.expanded)
		}
		return lines(all), nil
	}
	return "", os.WriteFile(path, []byte(lines(set)), 0o644)
}

// lines writes a main.cf.
func lines(values map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(values)) {
		b.WriteString(k + " = " + values[k] + "\n")
	}
	return b.String()
}

// is returns a parameter of main.cf.
func (m *machine) is(t *testing.T, name string) string {
	t.Helper()
	return settings(m.read(t))[name]
}

func (m *machine) read(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(m.dir, "main.cf"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// write writes main.cf.
func (m *machine) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, "main.cf"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{dir: t.TempDir(), systemd: true, services: "submission/inet/smtpd_milters = unix:x\n"}
	m.main = map[string]string{"config_directory": m.dir, "queue_directory": "/var/spool/postfix", "mail_version": "3.7.11", "myhostname": "mx.example",
		"smtpd_milters": "", "non_smtpd_milters": "", "milter_default_action": "accept", "milter_protocol": "6",
		"milter_content_timeout": "300s", "compatibility_level": "3.6"}
	m.write(t, "# of the administrator\nsmtpd_milters = inet:127.0.0.1:8891\nnon_smtpd_milters = $smtpd_milters\n")
	return m
}

func (m *machine) options(t *testing.T) Options {
	t.Helper()
	l, err := milter.ParseListen("inet:127.0.0.1:8894")
	if err != nil {
		t.Fatal(err)
	}
	return Options{MTA: "postfix", State: filepath.Join(m.dir, "state"), Owner: os.Geteuid(), NoProbe: true, Listeners: []milter.ListenAddress{l}, Budget: time.Minute}
}

// With systemd the socket unit is used; other milters keep their order and what Postfix does without them.
func TestApplyWithSystemd(t *testing.T) {
	m := newMachine(t)
	before, _ := os.ReadFile(filepath.Join(m.dir, "main.cf"))
	r, err := Apply(t.Context(), m.system(), m.options(t))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := m.is(t, "smtpd_milters"), "{ unix:assay/milter.sock, default_action=tempfail }, inet:127.0.0.1:8891"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if m.is(t, "non_smtpd_milters") != "$smtpd_milters" || !r.Changed {
		t.Errorf("%s, %+v", m.read(t), r)
	}
	enabled, stopped := slices.Index(m.ran, "systemctl enable assay.socket assay.service"), slices.Index(m.ran, "systemctl stop assay.socket assay.service")
	if started := slices.Index(m.ran, "systemctl start assay.socket assay.service"); enabled < 0 || stopped < enabled || started < stopped {
		t.Errorf("ran %q", m.ran)
	}
	if len(r.Notes) == 0 || !strings.Contains(r.Notes[0], "submission") {
		t.Errorf("notes %q", r.Notes)
	}
	if _, err := Undo(t.Context(), m.system(), m.options(t)); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.ReadFile(filepath.Join(m.dir, "main.cf")); string(after) != string(before) {
		t.Errorf("main.cf is %q, was %q", after, before)
	}
	disabled := slices.Index(m.ran, "systemctl disable --now assay.socket")
	if disabled < 0 || slices.Index(m.ran[disabled:], "systemctl start assay.service") < 0 {
		t.Errorf("ran %q", m.ran)
	}
}

// Where no milter answers and nothing can start one, main.cf is left alone.
func TestNothingAnswers(t *testing.T) {
	m := newMachine(t)
	m.systemd = false
	r, err := Apply(t.Context(), m.system(), m.options(t))
	if !errors.Is(err, ErrFailed) || len(r.Problems) == 0 || strings.Contains(strings.Join(m.ran, "\n"), "-e") {
		t.Errorf("%v, %+v, ran %q", err, r, m.ran)
	}
}

// A main.cf that was changed since keeps what was changed.
func TestUndoAfterOtherChanges(t *testing.T) {
	m := newMachine(t)
	if _, err := Apply(t.Context(), m.system(), m.options(t)); err != nil {
		t.Fatal(err)
	}
	m.write(t, "non_smtpd_milters = $smtpd_milters\nsmtpd_milters = "+m.is(t, "smtpd_milters")+", unix:new\n")
	if _, err := Undo(t.Context(), m.system(), m.options(t)); err != nil {
		t.Fatal(err)
	}
	if got := m.is(t, "smtpd_milters"); got != "inet:127.0.0.1:8891, unix:new" {
		t.Errorf("got %q", got)
	}
}

// What somebody else could have written is not believed.
func TestStateOfOthers(t *testing.T) {
	m := newMachine(t)
	opt := m.options(t)
	if _, err := Apply(t.Context(), m.system(), opt); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(opt.State, stateFile)
	for name, spoil := range map[string]func() error{
		"a directory that others may write to": func() error { return os.Chmod(opt.State, 0o777) },
		"a file that others may write to":      func() error { return errors.Join(os.Chmod(opt.State, 0o700), os.Chmod(state, 0o666)) },
		"a link": func() error {
			return errors.Join(os.Rename(state, filepath.Join(m.dir, "elsewhere")), os.Symlink(filepath.Join(m.dir, "elsewhere"), state))
		},
	} {
		_ = os.Chmod(state, 0o600)
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if _, err := Undo(t.Context(), m.system(), opt); !errors.Is(err, errNotOurs) {
			t.Errorf("%s: %v", name, err)
		}
		if name == "a link" {
			_ = os.Remove(state)
			_ = os.Rename(filepath.Join(m.dir, "elsewhere"), state)
		}
		_ = os.Chmod(opt.State, 0o700)
	}
}

// A setup that is killed before any of the programs it runs can be undone, and done again and undone, octet for octet.
func TestKilled(t *testing.T) {
	killed := func(m *machine) (died bool) {
		defer func() { died = recover() != nil }()
		_, err := Apply(t.Context(), m.system(), m.options(t))
		if err != nil {
			t.Fatal(err)
		}
		return false
	}
	for n := 1; ; n++ {
		m := newMachine(t)
		before := m.read(t)
		for _, again := range []bool{false, true} {
			m.lives, m.answers = n, false
			died := killed(m)
			m.lives = 0
			if again {
				if r, err := Apply(t.Context(), m.system(), m.options(t)); err != nil || !strings.HasPrefix(m.is(t, "smtpd_milters"), "{ unix:assay") {
					t.Errorf("%d: again: %v, %+v, main.cf is\n%s", n, err, r, m.read(t))
				}
			}
			if _, err := Undo(t.Context(), m.system(), m.options(t)); err != nil || m.read(t) != before {
				t.Errorf("%d: %v, main.cf is\n%s\nran %q", n, err, m.read(t), m.ran)
			}
			if !died {
				return
			}
		}
	}
}

// What a setup that was killed has changed, and Postfix was not told, is told and proven by the next one.
func TestPendingIsReloaded(t *testing.T) {
	m := newMachine(t)
	sys := m.system()
	sys.Run = func(ctx context.Context, name string, args ...string) (string, error) {
		if name == "postfix" {
			panic(errKilled)
		}
		return m.run(ctx, name, args...)
	}
	func() {
		defer func() { _ = recover() }()
		_, err := Apply(t.Context(), sys, m.options(t))
		t.Errorf("it was not killed: %v", err)
	}()
	sys.Run = func(ctx context.Context, name string, args ...string) (string, error) {
		if name == "systemctl" && args[0] == "is-enabled" {
			return "enabled", nil
		}
		out, err := m.run(ctx, name, args...)
		if name == "postfix" {
			err = nil
		}
		return out, err
	}
	m.ran = nil
	for _, reloads := range []bool{true, false} {
		r, err := Apply(t.Context(), sys, m.options(t))
		if err != nil || r.Changed || slices.Contains(m.ran, "postfix reload") != reloads {
			t.Errorf("%v, %+v, ran %q", err, r, m.ran)
		}
		m.ran = nil
	}
}

// An entry that stands in another parameter is found, and nothing is added twice.
func TestVariables(t *testing.T) {
	m := newMachine(t)
	m.write(t, "mine = unix:assay/milter.sock\nsmtpd_milters = $mine, inet:127.0.0.1:8891\nnon_smtpd_milters = ${smtpd_milters}\n")
	m.expanded = map[string]string{"smtpd_milters": "unix:assay/milter.sock, inet:127.0.0.1:8891", "non_smtpd_milters": "unix:assay/milter.sock, inet:127.0.0.1:8891"}
	before := m.read(t)
	r, err := Apply(t.Context(), m.system(), m.options(t))
	if err != nil || m.read(t) != before {
		t.Errorf("%v, main.cf is\n%s", err, m.read(t))
	}
	if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, "default_action=accept") {
		t.Errorf("nothing is said about milter_default_action: %s", notes)
	}
	if refersTo("$smtpd_milters_old", "smtpd_milters") || !refersTo("inet:a:1 $(smtpd_milters)", "smtpd_milters") {
		t.Error("references are not understood")
	}
}

// What master.cf says for one service counts, too.
func TestServicesDiffer(t *testing.T) {
	m := newMachine(t)
	m.main["milter_default_action"] = "tempfail"
	m.services = "smtp/inet/milter_default_action = accept\nsubmission/inet/receive_override_options = no_address_mappings, no_milters\n" +
		"cleanup/unix/milter_protocol = 2\n"
	r, err := Apply(t.Context(), m.system(), m.options(t))
	if err != nil {
		t.Fatal(err)
	}
	if got := m.is(t, "smtpd_milters"); !strings.HasPrefix(got, "{ unix:assay/milter.sock, default_action=tempfail, protocol=6 }, ") {
		t.Errorf("got %q", got)
	}
	if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, "submission in master.cf has receive_override_options with no_milters") {
		t.Errorf("notes %s", notes)
	}
}

// The probe takes the way that mail from the network takes.
func TestServer(t *testing.T) {
	const lines = "127.0.0.1:10025 inet n - y - - smtpd\nsmtps inet n - y - - smtpd\nsubmission inet n - y - - smtpd\nsmtp inet n - y - 1 postscreen\nsmtpd pass - - y - - smtpd\n"
	for _, c := range []struct{ name, interfaces, protocols, overrides, want string }{
		{"postscreen in front", "all", "all", "127.0.0.1:10025/inet/smtpd_milters = \n", "127.0.0.1:smtp"},
		{"one of several addresses", "192.0.2.1, 127.0.0.1", "all", "", "127.0.0.1:smtp"},
		{"only IPv6", "all", "ipv6", "", "[::1]:smtp"},
		{"wrapped in TLS and without milters", "loopback-only", "ipv4", "smtp/inet/smtpd_milters =\n127.0.0.1:10025/inet/receive_override_options = no_milters\nsmtps/inet/smtpd_tls_wrappermode = yes\n",
			"127.0.0.1:submission"},
	} {
		p := &postfix{services: parseServices(lines, "3.6"), value: map[string]string{"inet_interfaces": c.interfaces, "inet_protocols": c.protocols}}
		override(p.services, settings(c.overrides))
		if got := p.server(); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// Instances of Postfix are known apart: each gets its own main.cf back.
func TestTwoInstances(t *testing.T) {
	one, two := newMachine(t), newMachine(t)
	state := filepath.Join(t.TempDir(), "state")
	sys := one.system()
	sys.Run = func(ctx context.Context, name string, args ...string) (string, error) {
		if (name == "postconf" || name == "postfix") && args[0] == "-c" && (args[1] == one.dir || args[1] == two.dir) {
			return map[string]*machine{one.dir: one, two.dir: two}[args[1]].run(ctx, name, args[2:]...)
		}
		return one.run(ctx, name, args...)
	}
	options := func(m *machine, config string) Options {
		opt := m.options(t)
		opt.State, opt.Config = state, config
		return opt
	}
	for _, undo := range []struct {
		config string
		left   bool // two is still connected
	}{{"", false}, {one.dir, true}} {
		before := one.read(t)
		for _, m := range []*machine{one, two} {
			if _, err := Apply(t.Context(), sys, options(m, m.dir)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Undo(t.Context(), sys, options(one, undo.config)); err != nil {
			t.Fatal(err)
		}
		if one.read(t) != before || strings.Contains(two.read(t), "assay") != undo.left {
			t.Errorf("%q: one is\n%s\ntwo is\n%s", undo.config, one.read(t), two.read(t))
		}
	}
}

// Undo does not write what an administrator has taken out, follows a main.cf that has gone, and leaves a symbolic link one.
func TestUndoOdd(t *testing.T) {
	for _, c := range []struct {
		name         string
		change, want string
	}{
		{"taken out", "myhostname = a\n", "myhostname = a\n"},
		{"emptied", "non_smtpd_milters = \nsmtpd_milters = \n", "non_smtpd_milters = \nsmtpd_milters = \n"},
		{"only a comment", "# x\n", "# x\n"},
	} {
		m := newMachine(t)
		if _, err := Apply(t.Context(), m.system(), m.options(t)); err != nil {
			t.Fatal(err)
		}
		m.write(t, c.change)
		if _, err := Undo(t.Context(), m.system(), m.options(t)); err != nil || m.read(t) != c.want {
			t.Errorf("%s: %v, main.cf is %q", c.name, err, m.read(t))
		}
	}
	m := newMachine(t)
	real := filepath.Join(m.dir, "real.cf")
	if err := errors.Join(os.Rename(filepath.Join(m.dir, "main.cf"), real), os.Symlink(real, filepath.Join(m.dir, "main.cf"))); err != nil {
		t.Fatal(err)
	}
	if _, err := Apply(t.Context(), m.system(), m.options(t)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(filepath.Join(m.dir, "main.cf")); err != nil || info.Mode().IsRegular() {
		t.Errorf("main.cf is no symbolic link any more: %v", err)
	}
	if err := os.Remove(real); err != nil {
		t.Fatal(err)
	}
	if r, err := Undo(t.Context(), m.system(), m.options(t)); err != nil || !strings.Contains(strings.Join(r.Notes, " "), "is gone") {
		t.Errorf("%v, %+v", err, r)
	}
}

// Two setups at the same time do not mix.
func TestBusy(t *testing.T) {
	m := newMachine(t)
	opt := m.options(t)
	root, err := openState(opt.State, opt.Owner, true)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	held, err := lock(root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Apply(t.Context(), m.system(), opt); !errors.Is(err, errBusy) {
		t.Errorf("apply: %v", err)
	}
	if _, err := Undo(t.Context(), m.system(), opt); !errors.Is(err, errBusy) {
		t.Errorf("undo: %v", err)
	}
	held.Close()
	if _, err := Apply(t.Context(), m.system(), opt); err != nil {
		t.Error(err)
	}
}

// What is read of sendmail.cf, and how Assay is taken out of one that was built again.
func TestCF(t *testing.T) {
	const text = "# O InputMailFilters=no\nO PidFile=/run/pid\nO DaemonPortOptions=Name=MSA, Port=587, M=Ea\nO DaemonPortOptions=Name=MTA, Addr=127.0.0.1, Port=2525\n" +
		"O InputMailFilters=one, assay, two\nXone, S=inet:1@127.0.0.1\nXassay, S=local:/run/a.sock, F=T, T=C:30s;S:30s\nXtwo, S=inet:2@localhost\n"
	c := parseCF([]byte(text))
	if c.pidFile != "/run/pid" || len(c.filters) != 3 || c.named([]string{"local:/run/a.sock"}) != "assay" || c.named([]string{"local:/run/b.sock"}) != "" {
		t.Errorf("got %+v", c)
	}
	if got := (&sendmail{now: c}).server(); got != "127.0.0.1:2525" {
		t.Errorf("server %q", got)
	}
	rest := withoutFilter([]byte(text), "assay")
	if d := parseCF(rest); !slices.Equal(d.input, []string{"one", "two"}) || len(d.filters) != 2 || len(others([]byte(text), rest)) != 0 {
		t.Errorf("got %s", rest)
	}
	if got := others([]byte(text), []byte(text+"# comment\nDa\n")); !slices.Equal(got, []string{"+Da"}) {
		t.Errorf("got %q", got)
	}
	if again := withoutFilter(rest, "assay"); string(again) != string(rest) {
		t.Errorf("got %s", again)
	}
}

// sendmail.cf is text of others: nothing in it is a reason to fall over, and what is taken out is nothing but Assay.
func FuzzCF(f *testing.F) {
	f.Add("O InputMailFilters=one, assay\nXone, S=inet:1@127.0.0.1\nXassay, S=local:/run/a.sock\n")
	f.Add("X,\nO =\nO InputMailFilters\nXassay,")
	f.Fuzz(func(t *testing.T, text string) {
		c := parseCF([]byte(text))
		_ = (&sendmail{now: c}).server()
		rest := withoutFilter([]byte(text), filterName)
		if d := others([]byte(text), rest); len(d) > 0 {
			t.Errorf("%q: %q", text, d)
		}
		if slices.Contains(parseCF(rest).input, filterName) {
			t.Errorf("%q: %q", text, rest)
		}
	})
}

// Somebody who interrupts setup while it waits for the proof has what was there.
func TestInterrupted(t *testing.T) {
	m := newMachine(t)
	before := m.read(t)
	ctx, cancel := context.WithCancel(t.Context())
	sys, opt := m.system(), m.options(t)
	opt.NoProbe = false
	sys.Run = func(ctx context.Context, name string, args ...string) (string, error) {
		if name == "postfix" {
			cancel()
		}
		return m.run(ctx, name, args...)
	}
	r, err := Apply(ctx, sys, opt)
	if !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), "interrupted; what was there was put back") || !r.Restored || m.read(t) != before {
		t.Errorf("%v, %+v, main.cf is\n%s", err, r, m.read(t))
	}
	if r, err := Undo(t.Context(), sys, opt); err != nil || r.Changed {
		t.Errorf("%v, %+v", err, r)
	}
}

// Postfix 2 does not know what Assay's entry needs, and nothing is written that it would not understand.
func TestOldPostfix(t *testing.T) {
	m := newMachine(t)
	m.main["mail_version"] = "2.11.3"
	if r, err := Apply(t.Context(), m.system(), m.options(t)); !errors.Is(err, ErrFailed) || len(r.Problems) != 1 {
		t.Errorf("%v, %+v", err, r)
	}
}

// A hung is a machine on which process 7 is Sendmail and starts anew on SIGHUP.
type hung struct {
	pidFile string
	systemd bool
	ran     []string
}

func (h *hung) system() System {
	return System{
		Run: func(_ context.Context, name string, args ...string) (string, error) {
			h.ran = append(h.ran, name+" "+strings.Join(args, " "))
			return "", nil
		},
		Exists: func(path string) bool {
			_, err := os.Stat(path)
			return err == nil && path == h.pidFile || path == systemdRun && h.systemd
		},
		Hangup: func(pid int) error {
			if pid != 7 {
				return errors.New("it is not Sendmail")
			}
			h.ran = append(h.ran, "hangup 7")
			return os.Chtimes(h.pidFile, time.Unix(1, 0), time.Unix(1, 0))
		},
	}
}

// A Sendmail under systemd is restarted; one that setup has brought down is started again as it was.
func TestSendmailRestarts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	now := cf{daemons: []string{"Name=MTA, Addr=127.0.0.1, Port=" + port}, pidFile: filepath.Join(t.TempDir(), "pid")}
	for _, c := range []struct {
		name, mc, pid, served string
		systemd               bool
		want, note            string
		fails                 bool
	}{
		{"a unit", usualMC, "", "", true, "systemctl restart sendmail.service", "", false},
		{"no pid file", "/x/sendmail.mc", "", "", false, "", "does not run", false},
		{"a process", "/x/sendmail.mc", "7\n/usr/sbin/sendmail -bd\n", "", false, "hangup 7", "", false},
		{"without its path", "/x/sendmail.mc", "7\nsendmail -bd\n", "", false, "", "", true},
		{"a process that has ended", "/x/sendmail.mc", "8\n/usr/sbin/sendmail -bd\n", "", false, "", "does not run", false},
		{"one that was brought down", "/x/sendmail.mc", "8\n/usr/sbin/sendmail -bd\n", "/usr/sbin/sendmail -bd", false, "sh -c /usr/sbin/sendmail -bd", "", false},
		{"one that took its pid file along", "/x/sendmail.mc", "", "/usr/sbin/sendmail -bd", false, "sh -c /usr/sbin/sendmail -bd", "", false},
	} {
		_ = os.Remove(now.pidFile)
		if c.pid != "" {
			if err := os.WriteFile(now.pidFile, []byte(c.pid), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		h := hung{pidFile: now.pidFile, systemd: c.systemd}
		m := &sendmail{sys: h.system(), report: newReport(), mc: c.mc, now: now, served: c.served}
		err := m.reload(t.Context())
		if (err != nil) != c.fails || c.want != "" && !slices.Contains(h.ran, c.want) || !strings.Contains(strings.Join(m.report.Notes, " "), c.note) {
			t.Errorf("%s: %v, ran %q, notes %q", c.name, err, h.ran, m.report.Notes)
		}
	}
}

// Where both MTAs are installed, the one that serves is taken.
func TestBothInstalled(t *testing.T) {
	for _, c := range []struct {
		name, says string // what the program sendmail prints
		postfix    bool   // it runs
		want       string
	}{
		{"Postfix runs", "Version 8.17.1\n", true, "*setup.postfix"},
		{"Sendmail owns the program", "Version 8.17.1\n Compiled with: MILTER\n", false, "*setup.sendmail"},
		{"neither is certain", "sendmail: fatal: -bt is not supported\n", false, "*setup.postfix"},
	} {
		sys := System{
			Run: func(_ context.Context, name string, args ...string) (string, error) {
				if name == "postfix" && !c.postfix {
					return "", errors.New("not running")
				}
				return map[string]string{"sendmail": c.says}[name], nil
			},
			Exists: func(path string) bool { return path == usualMC },
		}
		if m, err := detect(t.Context(), sys, Options{}, newReport()); err != nil || fmt.Sprintf("%T", m) != c.want {
			t.Errorf("%s: %T, %v", c.name, m, err)
		}
	}
}
