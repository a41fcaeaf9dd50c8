package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"assay/cmd/internal/mtatest"
	"assay/milter/quarantine"
)

// quarantineRules catch by subject.
const quarantineRules = `format: 1
rules:
  - {id: bad, title: Bad, severity: low, mode: enforce, when: 'subject.contains("[bad]")', then: {quarantine: {reason: 'found ${subject}', release: user}}}
  - {id: worse, title: Worse, severity: low, mode: enforce, when: 'subject.contains("[worse]")', then: {quarantine: {reason: worse, release: never}}}
  - {id: plain, title: Plain, severity: low, mode: enforce, when: 'subject.contains("[plain]")', then: {quarantine: plain, notify: recipients}}
  - {id: strips, title: Strips, severity: low, mode: enforce, when: 'true && size > 0', then: {strip_active_html: active}}
`

// A keeper is a rig with a quarantine.
type keeper struct {
	*rig
	dir string // of the quarantine
	out string // what was given to sendmail(1) last
}

// newKeeper starts everything with a quarantine. The released mail of Postfix goes through a program that notes it.
func newKeeper(t *testing.T, config string) *keeper {
	t.Helper()
	k := &keeper{dir: filepath.Join(t.TempDir(), "quarantine"), out: filepath.Join(t.TempDir(), "out")}
	tee := filepath.Join(t.TempDir(), "sendmail")
	must(t, os.WriteFile(tee, []byte("#!/bin/sh\ntee "+k.out+" | /usr/sbin/sendmail \"$@\"\n"), 0o755))
	k.rig = newRig(t, program(t, false), fmt.Sprintf("rules: {dirs: [%q]}\nquarantine: {dir: %q, sendmail: %q}\n",
		ruleDir(t, map[string]string{"10.yaml": quarantineRules}), k.dir, tee))
	k.configure(t, config)
	return k
}

// configure lays more over the configuration and has the daemon read it.
func (k *keeper) configure(t *testing.T, config string) {
	t.Helper()
	text, err := os.ReadFile(k.daemon.Config())
	must(t, err)
	must(t, k.daemon.Configure(merge(t, string(text), config)))
	ctl(t, k.daemon, 0, "ctl", "reload")
}

// run runs "assay quarantine" for an MTA, and wants an exit code.
func (k *keeper) run(t *testing.T, code int, args ...string) string {
	t.Helper()
	cmd := k.daemon.Command(append([]string{"quarantine"}, args...)...)
	if k.postfix != nil {
		cmd.Env = append(cmd.Env, k.postfix.Environ()[len(os.Environ()):]...)
	}
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	var exit *exec.ExitError
	got := 0
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		must(t, err)
	}
	if got != code {
		t.Fatalf("assay quarantine %s: exit code %d, want %d:\n%s%s", strings.Join(args, " "), got, code, out.String(), said.String())
	}
	return out.String() + said.String()
}

// list returns the entries of "assay quarantine list".
func (k *keeper) list(t *testing.T, args ...string) []quarantine.Entry {
	t.Helper()
	var all []quarantine.Entry
	must(t, json.Unmarshal([]byte(k.run(t, 0, append([]string{"list", "--json"}, args...)...)), &all))
	return all
}

// release releases an entry through an MTA.
func (k *keeper) release(t *testing.T, m mtatest.MTA, code int, args ...string) string {
	t.Helper()
	args = append([]string{"release", "--reason", "test"}, args...)
	if m.Name() == "sendmail" {
		args = append(args, "--smtp", m.Addr())
	}
	return k.run(t, code, args...)
}

// caught is a message for the rules above, with what a careless program would damage.
func caught(tag string) string {
	return "Received: from somewhere (x [192.0.2.9]) by y; Sat, 21 Nov 2026 12:00:00 +0000\r\n" +
		"Authentication-Results: mx.rcpt.example; spf=pass smtp.mailfrom=forged.example\r\n" +
		"From:  Eve <a@client.example>\r\nTo: b@rcpt.example\r\nBcc: hidden@rcpt.example\r\nSubject:" + tag + "\r\n\tfolded\r\n" +
		"Date: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@client.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n" +
		"Content-Transfer-Encoding: 8bit\r\n\r\n.\r\n..\r\nFrom here\r\n<script>x()</script> \xc3\xa4  \r\n" + strings.Repeat("x", 900) + "\r\n\r\n"
}

// arriving returns a message as the milter sees it: Postfix drops Bcc before that (message_drop_headers).
func arriving(m mtatest.MTA, message string) string {
	if m.Name() != "postfix" {
		return message
	}
	return strings.Replace(message, "Bcc: hidden@rcpt.example\r\n", "", 1)
}

// content removes from a delivered message the fields that hosts on the way have added, and those that were forged.
func content(delivered []byte) string {
	text := string(delivered)
	i := strings.Index(text, "Received: from somewhere")
	return text[max(i, 0):]
}

// arrived waits until a recipient has a number of messages.
func (k *keeper) arrived(t *testing.T, to string, n int) []mtatest.Delivery {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if all := k.sink.To(to); len(all) >= n {
			return all
		}
	}
	t.Fatalf("%s has %d messages, want %d", to, len(k.sink.To(to)), n)
	return nil
}

// TestQuarantineStore: a quarantined message is taken from the client, stored, found, and after its release delivered once, octet
// for octet, with what was found when it came. Its token is worth nothing afterwards.
func TestQuarantineStore(t *testing.T) {
	k := newKeeper(t, "quarantine: {mode: store}\n")
	k.each(t, func(t *testing.T, m mtatest.MTA) {
		to := []string{m.Name() + "-one@rcpt.example", m.Name() + "-two@rcpt.example"}
		message := caught("[bad] " + m.Name())
		c := connect(t, m, "127.0.2.25")
		send(t, c, between("a@client.example", to...), message, 250)
		entries := k.list(t, "--to", to[0])
		if len(entries) != 1 {
			t.Fatalf("%d entries", len(entries))
		}
		e := entries[0]
		if e.MailFrom != "a@client.example" || !slices.Equal(e.RcptTo, to) || e.Class != "user" || !strings.HasPrefix(e.Reason, "found [bad]") ||
			e.Client != "127.0.2.25" || e.Author != "a@client.example" || !slices.Contains(e.Rules, "bad") {
			t.Errorf("%+v", e)
		}
		stored := k.run(t, 0, "show", e.ID, "--raw")
		if m.Name() == "postfix" && stored != arriving(m, message) {
			t.Errorf("stored\n%q\nsent\n%q", stored, message)
		}
		// The client that did not get the answer sends it again.
		send(t, c, between("a@client.example", to...), message, 250)
		if again := k.list(t, "--to", to[0]); len(again) != 1 {
			t.Errorf("%d entries of one message", len(again))
		}
		k.released(t, m, e, arriving(m, message))
		k.replayed(t, m, e)
		if n := len(k.sink.To(to[0])) + len(k.sink.To(to[1])); n != 2 {
			t.Errorf("%d messages were delivered", n)
		}
		k.release(t, m, 1, e.ID) // it has them all
		for _, q := range queue(t, m) {
			t.Errorf("in the queue: %+v", q)
		}
	})
}

// released releases an entry and compares what is delivered.
func (k *keeper) released(t *testing.T, m mtatest.MTA, e quarantine.Entry, message string) {
	t.Helper()
	k.release(t, m, 1, e.ID, "--as-user", "mallory@rcpt.example")
	if out := k.release(t, m, 0, e.ID); strings.Contains(out, "warning") {
		t.Errorf("released: %s", out)
	}
	for _, to := range e.RcptTo {
		d := k.arrived(t, to, 1)
		header, _ := fields(d[0].Data)
		if d[0].From != "a@client.example" || len(d) != 1 {
			t.Errorf("from %q, %d times", d[0].From, len(d))
		}
		// The forged results were removed, as they are from mail that is delivered at once.
		want := strings.Replace(message, "Authentication-Results: mx.rcpt.example; spf=pass smtp.mailfrom=forged.example\r\n", "", 1)
		if m.Name() == "postfix" {
			if got := content(d[0].Data); got != want {
				t.Errorf("delivered\n%q\nwant\n%q", got, want)
			}
		} else if _, body, _ := strings.Cut(want, "\r\n\r\n"); !strings.HasSuffix(string(d[0].Data), "\r\n\r\n"+body) {
			t.Errorf("delivered\n%q", d[0].Data)
		}
		results := named(header, "X-Assay-Result")
		if len(named(header, "X-Assay-Release")) != 0 || len(results) != 1 || !strings.Contains(results[0], "disposition=deliver") ||
			!strings.Contains(results[0], "spf=pass") || len(named(header, "Authentication-Results")) != 1 ||
			!slices.Equal(named(header, "X-Assay-Released"), []string{"X-Assay-Released: " + e.ID}) {
			t.Errorf("header %q", header)
		}
	}
}

// replayed sends a released message again, as somebody who has read it would.
func (k *keeper) replayed(t *testing.T, m mtatest.MTA, e quarantine.Entry) {
	t.Helper()
	var replay string
	if m.Name() == "postfix" {
		text, err := os.ReadFile(k.out)
		must(t, err)
		replay = crlf(string(text))
	} else { // nobody could read it on the way: a token of another message must do
		replay = "X-Assay-Release: v=1; id=" + e.ID + "; t=9999999999; n=AAAA; h=00; s=00\r\n" + caught("[bad] replayed")
	}
	if !strings.HasPrefix(replay, "X-Assay-Release: v=1; id="+e.ID) {
		t.Fatalf("there is no token: %.200q", replay)
	}
	before := len(k.list(t, "--all"))
	send(t, connect(t, m, "127.0.2.25"), between("a@client.example", e.RcptTo...), replay, 250)
	if after := len(k.list(t, "--all")); after != before+1 {
		t.Errorf("a replayed message was not caught: %d entries instead of %d", after, before+1)
	}
}

// TestQuarantineClasses: what the rules say about release holds on the command line, and everything is in the audit log.
func TestQuarantineClasses(t *testing.T) {
	k := newKeeper(t, "quarantine: {mode: store}\n")
	m := k.mtas()[0]
	c := connect(t, m, "127.0.2.25")
	ids := map[string]string{}
	for _, tag := range []string{"[bad]", "[worse]", "[plain]"} {
		send(t, c, between("a@client.example", "x@rcpt.example", "y@rcpt.example"), caught(tag), 250)
		ids[tag] = k.list(t)[0].ID
		time.Sleep(time.Millisecond) // the list is ordered by milliseconds
	}
	k.release(t, m, 1, ids["[worse]"])
	k.release(t, m, 1, ids["[plain]"], "--as-user", "x@rcpt.example")
	k.run(t, 2, "release", ids["[bad]"])
	k.release(t, m, 0, ids["[bad]"], "--as-user", "x@rcpt.example")
	k.arrived(t, "x@rcpt.example", 1)
	if len(k.sink.To("y@rcpt.example")) != 0 {
		t.Error("a recipient got what another one has released")
	}
	k.run(t, 2, "delete", ids["[worse]"])
	k.run(t, 0, "delete", "--reason", "malware", ids["[worse]"])
	k.run(t, 1, "show", ids["[worse]"])
	text, err := os.ReadFile(filepath.Join(k.dir, "audit.log"))
	must(t, err)
	for _, want := range []string{`"action":"released","id":"` + ids["[bad]"], `"action":"delete","id":"` + ids["[worse]"], `"reason":"malware"`, "x@rcpt.example (through "} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if out := k.run(t, 0, "check"); !strings.Contains(out, "2 messages in the index, 0 added, 0 without a file removed, 0 unfinished removed, 0 damaged") {
		t.Error(out)
	}
	if out := k.run(t, 0, "expire"); out != "0 messages deleted\n" {
		t.Error(out)
	}
}

// TestQuarantineMailbox: in the mode mailbox nobody but the mailbox gets the message, which says what its envelope was. Fields
// that claim so are removed.
func TestQuarantineMailbox(t *testing.T) {
	k := newKeeper(t, "quarantine: {mode: mailbox, mailbox: quarantine@rcpt.example}\n")
	k.each(t, func(t *testing.T, m mtatest.MTA) {
		to := []string{m.Name() + "-one@rcpt.example", `"odd one"@rcpt.example`}
		before := len(k.sink.To("quarantine@rcpt.example"))
		forged := "X-Assay-Quarantine-From: <ceo@rcpt.example>\r\n" + caught("[bad]")
		send(t, connect(t, m, "127.0.2.25"), between("a@client.example", to...), forged, 250)
		d := k.arrived(t, "quarantine@rcpt.example", before+1)[before]
		if len(d.To) != 1 || len(k.sink.To(to[0])) != 0 {
			t.Errorf("recipients %q", d.To)
		}
		header, _ := fields(d.Data)
		for name, want := range map[string]string{"From": "<a@client.example>", "To": "<" + to[0] + ">,\r\n <\"odd\\x20one\"@rcpt.example>", "Client": "127.0.2.25", "Release": "user"} {
			if got := named(header, "X-Assay-Quarantine-"+name); !slices.Equal(got, []string{"X-Assay-Quarantine-" + name + ": " + want}) {
				t.Errorf("%s: %q", name, got)
			}
		}
		if !strings.Contains(string(d.Data), "<script>") {
			t.Error("what is kept was changed")
		}
	})
}

// TestQuarantineHold: the commands work on the hold queue of Postfix, on the messages that Assay has held and on no other.
func TestQuarantineHold(t *testing.T) {
	k := newKeeper(t, "headers: {prefix: X-Assay}\n")
	if k.postfix == nil {
		t.Skip("NOT TESTED: Postfix is not there")
	}
	c := connect(t, k.postfix, "127.0.2.25")
	ids := map[string]string{}
	for _, tag := range []string{"[bad]", "[worse]", "[plain]"} {
		reply := send(t, c, between("a@client.example", "x@rcpt.example"), caught(tag), 250)
		ids[tag] = reply.QueueID()
		k.held(t, k.postfix, ids[tag])
	}
	list := k.list(t)
	if len(list) != 3 || k.list(t, "--class", "never")[0].ID != ids["[worse]"] || len(k.list(t, "--class", "operator")) != 1 || len(k.list(t, "--rule", "bad")) != 1 {
		t.Errorf("%+v", list)
	}
	if out := k.run(t, 0, "show", "--headers", ids["[bad]"]); !strings.Contains(out, "X-Assay-Result: ") || strings.Contains(out, "<script") {
		t.Errorf("header: %s", out)
	}
	k.run(t, 1, "show", "--raw", "ABCDEF0123")
	if log, err := os.ReadFile(filepath.Join(k.dir, "audit.log")); err != nil || strings.Count(string(log), `"action":"show"`) != 1 || !strings.Contains(string(log), ids["[bad]"]) {
		t.Errorf("audit log: %s, %v", log, err)
	}
	k.run(t, 1, "release", "--reason", "x", ids["[worse]"])
	k.run(t, 1, "release", "--reason", "x", "ABCDEF0123")
	k.run(t, 0, "delete", "--reason", "x", ids["[worse]"])
	k.run(t, 0, "release", "--reason", "x", ids["[bad]"])
	k.arrived(t, "x@rcpt.example", 1)
	if left := k.list(t); len(left) != 1 || left[0].ID != ids["[plain]"] {
		t.Errorf("%+v", left)
	}
}

// TestQuarantineHoldSendmail: Sendmail lists and releases what it has quarantined.
func TestQuarantineHoldSendmail(t *testing.T) {
	k := newKeeper(t, "headers: {prefix: X-Assay}\n")
	if k.sendmail == nil {
		t.Skip("NOT TESTED: Sendmail is not there")
	}
	reply := send(t, connect(t, k.sendmail, "127.0.2.25"), between("a@client.example", "sm@rcpt.example"), caught("[plain]"), 250)
	k.rig.held(t, k.sendmail, reply.QueueID())
	path, err := k.sendmail.Program()
	must(t, err)
	q := quarantine.SendmailQueue(path)
	all, err := q.Held(t.Context())
	must(t, err)
	if len(all) != 1 || all[0].ID != reply.QueueID() || all[0].MailFrom != "a@client.example" || !slices.Equal(all[0].RcptTo, []string{"sm@rcpt.example"}) ||
		all[0].Reason != "plain" || all[0].Received.IsZero() {
		t.Errorf("%+v", all)
	}
	if q.Message(t.Context(), reply.QueueID(), io.Discard) == nil || q.Delete(t.Context(), reply.QueueID()) == nil {
		t.Error("Sendmail does what it cannot")
	}
	must(t, q.Release(t.Context(), reply.QueueID()))
	k.arrived(t, "sm@rcpt.example", 1)
}

// TestOriginalsAreKept: the original of a message whose text was changed is found by the hash in its header.
func TestOriginalsAreKept(t *testing.T) {
	k := newKeeper(t, "quarantine: {originals: 7d}\n")
	k.each(t, func(t *testing.T, m mtatest.MTA) {
		message := caught("harmless")
		reply := send(t, connect(t, m, "127.0.2.25"), between("a@client.example", "o@rcpt.example"), message, 250)
		data := k.delivered(t, reply)
		header, body := fields(data)
		_, hash, found := strings.Cut(strings.Join(named(header, "X-Assay-Result"), ""), "original=")
		if !found || strings.Contains(body, "<script>") {
			t.Fatalf("not changed: %q", data)
		}
		hash, _, _ = strings.Cut(hash, ";")
		if got := k.run(t, 0, "show", "--original", "--raw", hash); m.Name() == "postfix" && got != arriving(m, message) || !strings.Contains(got, "<script>x()</script> \xc3\xa4  \r\n") {
			t.Errorf("got\n%q", got)
		}
		k.run(t, 1, "release", "--reason", "x", k.list(t, "--originals")[0].ID)
	})
	k.configure(t, "quarantine: {originals: 0}\n")
	if out := k.run(t, 0, "expire"); out != fmt.Sprintf("%d message%s deleted\n", len(k.mtas()), map[bool]string{true: "s"}[len(k.mtas()) > 1]) {
		t.Error(out)
	}
}

// TestQuarantineThatCannotBeUsed: what cannot be stored is deferred, and all other mail flows. When the cause is gone, nobody has
// to start anything again.
func TestQuarantineThatCannotBeUsed(t *testing.T) {
	k := newKeeper(t, "quarantine: {mode: store}\n")
	k.each(t, func(t *testing.T, m mtatest.MTA) {
		c := connect(t, m, "127.0.2.25")
		away := k.dir + ".away"
		must(t, os.Rename(k.dir, away))
		must(t, os.WriteFile(k.dir, nil, 0o600))
		env := between("a@client.example", "w@rcpt.example")
		send(t, c, env, caught("[bad] later"+m.Name()), 451)
		send(t, c, env, caught("fine"), 250)
		must(t, os.Remove(k.dir))
		must(t, os.Rename(away, k.dir))
		before := len(k.list(t))
		send(t, c, env, caught("[bad] later"+m.Name()), 250)
		if after := len(k.list(t)); after != before+1 {
			t.Errorf("%d entries, want %d", after, before+1)
		}
	})
	if line := lines(k.daemon.Log(), "failure="); !strings.Contains(line, "quarantine") {
		t.Errorf("the log does not say why: %s", line)
	}
}

// TestRecipientsAreTold: once, without the subject, and not about what they are told.
func TestRecipientsAreTold(t *testing.T) {
	k := newKeeper(t, "quarantine: {mode: store, contact: the help desk}\nidentity: {domains: [rcpt.example]}\n")
	k.configure(t, fmt.Sprintf("notify: {smtp: %q, from: postmaster@rcpt.example}\n", k.sink.Addr()))
	c := connect(t, k.mtas()[0], "127.0.2.25")
	send(t, c, between("a@client.example", "quiet@rcpt.example"), caught("[bad]"), 250)
	send(t, c, between("a@client.example", "told@rcpt.example", "stranger@elsewhere.example"), caught("[plain] secret"), 250)
	send(t, c, between("a@client.example", "told@rcpt.example"), caught("[plain] second"), 250)
	d := k.arrived(t, "told@rcpt.example", 1)[0]
	id := k.list(t, "--to", "stranger@elsewhere.example")[0].ID
	text := string(d.Data)
	for _, want := range []string{id, "a@client.example", "the help desk", "Auto-Submitted: auto-generated\r\n", "From: Assay <postmaster@rcpt.example>\r\n", "Subject: A message to you was held back\r\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "secret") || d.From != "" {
		t.Errorf("the notice of %q says\n%s", d.From, text)
	}
	if n := len(k.sink.To("told@rcpt.example")) + len(k.sink.To("quiet@rcpt.example")) + len(k.sink.To("stranger@elsewhere.example")); n != 1 {
		t.Errorf("%d notices", n)
	}
}

// merge lays one configuration over another one.
func merge(t *testing.T, base, over string) string {
	t.Helper()
	merged := map[string]any{}
	for _, layer := range []string{base, over} {
		tree := map[string]any{}
		must(t, yaml.Unmarshal([]byte(layer), &tree))
		overlay(merged, tree)
	}
	text, err := yaml.Marshal(merged)
	must(t, err)
	return string(text)
}
