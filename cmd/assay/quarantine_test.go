package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"assay/milter/quarantine"
	"assay/rules"
)

// quarantineNow is the clock of these tests.
var quarantineNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// octets is a message as it is stored.
type octets string

func (o octets) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, string(o))
	return int64(n), err
}

// A counterDesk is a quarantine on the command line.
type counterDesk struct {
	t       *testing.T
	dir     string
	environ []string
}

// newCounterDesk makes a quarantine with two messages, and an original. It returns their ids.
func newCounterDesk(t *testing.T) (d *counterDesk, user, never, original string) {
	t.Helper()
	d = &counterDesk{t: t, dir: filepath.Join(t.TempDir(), "q")}
	d.environ = []string{"ASSAY__QUARANTINE__DIR=" + d.dir, "ASSAY__QUARANTINE__MODE=store", "SUDO_USER=erika"}
	s := quarantine.New(quarantine.Options{Dir: d.dir, Create: true})
	defer s.Close()
	keep := func(message string, e quarantine.Entry) string {
		id, err := s.Keep(t.Context(), octets(message), e)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	user = keep("From: a@example.net\r\nSubject: hi\r\n\r\nfirst\r\n", quarantine.Entry{Received: quarantineNow.Add(-50 * time.Hour), Class: rules.ReleaseUser,
		MailFrom: "a@example.net", RcptTo: []string{"b@example.com", "c@example.com"}, Author: "a@example.net", Subject: "hi \x1b[31m\u202e there", Reason: "odd"})
	never = keep("From: x@example.org\r\n\r\nsecond\r\n", quarantine.Entry{Received: quarantineNow.Add(-time.Hour), Class: rules.ReleaseNever,
		RcptTo: []string{"b@example.com"}, Author: "x@example.org", Subject: "virus"})
	original = keep("From: y@example.org\r\n\r\nthird\r\n", quarantine.Entry{Kind: quarantine.Original, Received: quarantineNow, Class: rules.ReleaseOperator})
	return d, user, never, original
}

// run runs "assay quarantine" and wants an exit code.
func (d *counterDesk) run(code int, args ...string) string {
	d.t.Helper()
	var out, stderr bytes.Buffer
	a := &app{in: strings.NewReader(""), out: &out, err: &stderr, environ: d.environ, now: func() time.Time { return quarantineNow }}
	if got := a.run(context.Background(), append([]string{"quarantine"}, args...)); got != code {
		d.t.Fatalf("assay quarantine %s: exit code %d, want %d: %s%s", strings.Join(args, " "), got, code, &out, &stderr)
	}
	return out.String() + stderr.String()
}

func TestQuarantineListAndShow(t *testing.T) {
	d, user, never, original := newCounterDesk(t)
	for flags, want := range map[string][]string{
		"": {never, user}, "--class never": {never}, "--from example.net": {user}, "--to c@example.com": {user}, "--since 2d": {never}, "--until 2h": {user},
		"--since 2026-11-22": {never}, "--text VIRUS": {never}, "--limit 1": {never}, "--originals": {original}, "--rule none": {},
	} {
		var all []quarantine.Entry
		if err := json.Unmarshal([]byte(d.run(0, append([]string{"list", "--json"}, strings.Fields(flags)...)...)), &all); err != nil {
			t.Fatal(err)
		}
		got := []string{}
		for _, e := range all {
			got = append(got, e.ID)
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s: %q, want %q", flags, got, want)
		}
	}
	for _, text := range []string{d.run(0, "list"), d.run(0, "show", user)} {
		if strings.ContainsAny(text, "\x1b\u202e") || !strings.Contains(text, user) || !strings.Contains(text, "b@example.com") {
			t.Errorf("%q", text)
		}
	}
	if got := d.run(0, "show", "--headers", user); got != "From: a@example.net\r\nSubject: hi\r\n" {
		t.Errorf("%q", got)
	}
	if got := d.run(0, "show", "--raw", user); got != "From: a@example.net\r\nSubject: hi\r\n\r\nfirst\r\n" {
		t.Errorf("%q", got)
	}
	var e quarantine.Entry
	if err := json.Unmarshal([]byte(d.run(0, "show", "--json", original)), &e); err != nil || e.Kind != quarantine.Original {
		t.Errorf("%v %+v", err, e)
	}
	if got := d.run(0, "show", "--original", "--raw", e.SHA256); !strings.HasSuffix(got, "third\r\n") {
		t.Errorf("%q", got)
	}
	for _, wrong := range []string{"list --class strict", "list --since yesterday", "list --until -5m", "show " + user + " --raw --json", "show"} {
		d.run(2, strings.Fields(wrong)...)
	}
	d.run(1, "show", "q0000000-000000")
	d.run(1, "show", "../../etc/passwd")
}

func TestQuarantineRelease(t *testing.T) {
	d, user, never, original := newCounterDesk(t)
	given := filepath.Join(t.TempDir(), "given")
	program := filepath.Join(t.TempDir(), "sendmail")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho \"$@\" >>"+given+"\ncat >>"+given+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	d.environ = append(d.environ, "ASSAY__QUARANTINE__SENDMAIL="+program)
	d.run(2, "release", user)
	d.run(2, "release", user, "--reason", " ")
	d.run(2, "release", user, "--reason", "x", "--to", "no address")
	d.run(2, "release", user, "--reason", "x", "--to", "a@example.com", "--as-user", "b@example.com")
	d.run(1, "release", never, "--reason", "x")
	d.run(1, "release", original, "--reason", "x")
	d.run(1, "release", user, "--reason", "x", "--as-user", "mallory@example.com")
	if _, err := os.Stat(given); err == nil {
		t.Fatal("something was released")
	}
	out := d.run(0, "release", user, "--reason", "known", "--wait", "0s")
	text, err := os.ReadFile(given)
	if err != nil || !strings.HasPrefix(string(text), "-G -i -f a@example.net -- b@example.com c@example.com\nX-Assay-Release: v=1; id="+user) ||
		!strings.HasSuffix(string(text), "\nFrom: a@example.net\nSubject: hi\n\nfirst\n") {
		t.Errorf("%v %q", err, text)
	}
	if !strings.Contains(out, user+" released to 2 recipients\n") || !strings.Contains(out, "warning: the MTA has taken "+user) {
		t.Error(out)
	}
	d.run(1, "release", user, "--reason", "again")
	if list := d.run(0, "list"); strings.Contains(list, user) {
		t.Errorf("what was released is listed: %s", list)
	}
	if list := d.run(0, "list", "--all"); !strings.Contains(list, user) {
		t.Errorf("what was released is not listed with --all: %s", list)
	}
	who := "root"
	if os.Geteuid() == 0 {
		who = "erika" // of sudo(8)
	}
	audit, err := os.ReadFile(filepath.Join(d.dir, "audit.log"))
	if err != nil || os.Geteuid() == 0 && !strings.Contains(string(audit), `"who":"`+who+`","reason":"known"`) ||
		strings.Count(string(audit), "\n") != 5 || strings.Count(string(audit), `"action":"refused"`) != 3 {
		t.Errorf("%v\n%s", err, audit)
	}
}

func TestQuarantineExpireAndCheck(t *testing.T) {
	d, user, never, _ := newCounterDesk(t)
	d.environ = append(d.environ, "ASSAY__QUARANTINE__RETENTION=2d", "ASSAY__QUARANTINE__ORIGINALS=1d")
	if out := d.run(0, "expire"); out != "1 message deleted\n" {
		t.Error(out)
	}
	d.run(1, "show", user)
	if out := d.run(0, "check", "--rebuild"); !strings.HasPrefix(out, "2 messages in the index, 2 added") {
		t.Error(out)
	}
	f, err := os.OpenFile(filepath.Join(d.dir, "messages", never[len(never)-2:], never), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.WriteString("x")
	_ = f.Close()
	if out := d.run(1, "check"); !strings.Contains(out, "damaged: "+never) {
		t.Error(out)
	}
	d.run(1, "show", "--raw", never)
	d.run(2, "delete", never)
	d.run(0, "delete", never, "--reason", "broken")
	d.run(0, "check")
}

// Where nothing was ever stored there is nothing to complain about, and the timer does not fail.
func TestQuarantineThatIsNotThere(t *testing.T) {
	d := &counterDesk{t: t, dir: filepath.Join(t.TempDir(), "none")}
	d.environ = []string{"ASSAY__QUARANTINE__DIR=" + d.dir, "ASSAY__QUARANTINE__MODE=store"}
	if out := d.run(0, "expire"); out != "" {
		t.Error(out)
	}
	if out := d.run(0, "list"); !strings.Contains(out, "nothing has been stored yet") {
		t.Error(out)
	}
	if out := d.run(1, "show", "q0000000-000000"); !strings.Contains(out, "nothing has been stored yet") {
		t.Error(out)
	}
	if _, err := os.Stat(d.dir); err == nil {
		t.Error("looking makes a directory")
	}
	d.environ = []string{"ASSAY__QUARANTINE__DIR=" + d.dir, "ASSAY__QUARANTINE__MODE=mailbox", "ASSAY__QUARANTINE__MAILBOX=q@example.com"}
	if out := d.run(1, "show", "q0000000-000000"); !strings.Contains(out, "q@example.com") {
		t.Error(out)
	}
}
