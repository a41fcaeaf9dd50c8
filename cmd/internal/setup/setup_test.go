package setup

import (
	"context"
	"errors"
	"maps"
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
}

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
	enabled, stopped := slices.Index(m.ran, "systemctl enable assay.socket assay.service"), slices.Index(m.ran, "systemctl stop assay.service")
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
	if !slices.Contains(m.ran, "systemctl disable --now assay.socket") {
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
