package ruletest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"assay/rules"
	"assay/verify"
	"assay/verify/dns/zone"
	"assay/verify/message"
)

// loaded loads one rule file.
func loaded(t *testing.T, text string) *rules.Set {
	t.Helper()
	set, problems := rules.Load([]rules.Source{{Files: fstest.MapFS{"a.yaml": {Data: []byte("format: 1\n" + text)}}}}, rules.Options{})
	if problems.Err() != nil {
		t.Fatal(problems)
	}
	return set
}

// write writes files below a new directory.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// offline are options under which no name exists.
func offline(t *testing.T) MessageOptions {
	t.Helper()
	z, err := zone.Parse(strings.NewReader(""), "empty")
	if err != nil {
		t.Fatal(err)
	}
	return MessageOptions{Verify: verify.Options{Resolver: z}, Now: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)}
}

const oldRules = `
rules:
  - {id: gone, title: gone, severity: low, mode: enforce, when: subject.contains("gone"), then: {quarantine: gone}}
  - {id: same, title: same, severity: low, mode: enforce, when: subject.contains("same"), then: {note: same}}
  - {id: stricter, title: stricter, severity: low, mode: monitor, when: subject.contains("strict"), then: {reject: 550 5.7.1 no}}
  - {id: text, title: text, severity: low, mode: enforce, when: subject.contains("text"), then: {reject: 550 5.7.1 one}}
`

const newRules = `
rules:
  - {id: same, title: same, severity: low, mode: enforce, when: subject.contains("same"), then: {note: same}}
  - {id: stricter, title: stricter, severity: low, mode: enforce, when: subject.contains("strict"), then: {reject: 550 5.7.1 no}}
  - {id: text, title: text, severity: low, mode: enforce, when: subject.contains("text"), then: {reject: 550 5.7.1 two}}
  - id: added
    title: added
    severity: high
    mode: enforce
    when: subject.contains("added")
    then: {tag_subject: "[x]", note: why, strip_active_html: remote, notify: [b, a], add_header: {name: X-Assay-A, value: b}, remove_attachments: a.has_macros}
    exceptions:
      - {id: us, client: 192.0.2.0/24, authenticated: false, reason: r, owner: o, expires: 2099-01-01}
  - {id: breaks, title: breaks, severity: low, mode: enforce, when: 'subject.contains("break") && headers[?"x"].orValue([])[0] == "1"', then: {}}
`

// What a replay says is what two sets do with the same messages: text, numbers and order.
func TestCompare(t *testing.T) {
	dir := write(t, map[string]string{
		"md/cur/1:2,S":       "Subject: gone\n\nx\n",
		"md/cur/2:2,S":       "Subject: same\n\nx\n",
		"md/new/3":           "Subject: strict\n\nx\n",
		"md/tmp/4":           "Subject: gone\n\nnot delivered yet\n",
		"md/.Sub/cur/5:2,":   "Subject: added\n\nx\n",
		"md/.Sub/new/6":      "Subject: break\n\nx\n",
		"md/dovecot.index":   "no message",
		"more/deep/b.eml":    "Received: from h (n [192.0.2.7]) by mx; Sun, 1 Nov 2026 12:00:00 +0000\nSubject: added\n\nx\n",
		"more/a.EML":         "Subject: text\n\nx\n",
		"more/readme.txt":    "no message",
		"empty/nothing.text": "no message",
	})
	t.Chdir(dir)
	opt := offline(t)
	messages := Messages(t.Context(), []string{"md", "more", "empty", "missing", "more/a.EML"}, opt)
	seen := 0
	r := Compare(t.Context(), loaded(t, oldRules), loaded(t, newRules), messages, CompareOptions{Progress: func(n int) { seen = n }})
	r.Old, r.New = "old", "new"
	if seen != 10 || r.Messages != 8 || r.Unreadable != 2 {
		t.Errorf("%d messages were seen, %d compared, %d unreadable", seen, r.Messages, r.Unreadable)
	}
	var text, again bytes.Buffer
	if err := r.Text(&text, false); err != nil {
		t.Fatal(err)
	}
	golden(t, filepath.Join("testdata", "replay.golden"), text.Bytes())
	if err := r.JSON(&again); err != nil {
		t.Fatal(err)
	}
	if !json.Valid(again.Bytes()) || !strings.Contains(again.String(), `"new": "reject"`) {
		t.Errorf("got %s", &again)
	}
}

// golden compares with a file of this package, from wherever the test is.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join(packageDir, name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// packageDir is where tests start.
var packageDir = func() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	return dir
}()

// Lists are bounded, totals are not, and sets that decide alike change nothing.
func TestCompareBounds(t *testing.T) {
	many := func(yield func(string, Case) bool) {
		for range 300 {
			if !yield("x", Case{Err: errors.New("broken")}) {
				return
			}
		}
	}
	set := loaded(t, oldRules)
	r := Compare(t.Context(), set, set, many, CompareOptions{MaxListed: 7})
	if r.ErrorsTotal != 300 || len(r.Errors) != 7 || r.Unreadable != 300 || r.ChangedTotal != 0 {
		t.Errorf("%d errors, %d listed, %d unreadable", r.ErrorsTotal, len(r.Errors), r.Unreadable)
	}
	var text bytes.Buffer
	r.Text(&text, true)
	if !strings.Contains(text.String(), "and 293 more") || !strings.Contains(text.String(), "no message would be treated otherwise") {
		t.Error(text.String())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := Compare(ctx, set, set, many, CompareOptions{}); !r.Stopped {
		t.Error("a comparison that was stopped does not say so")
	}
}

// Whoever stops asking gets no more messages.
func TestMessagesStop(t *testing.T) {
	dir := write(t, map[string]string{"a.eml": "Subject: 1\n\nx\n", "b.eml": "Subject: 2\n\nx\n", "d/c.eml": "Subject: 3\n\nx\n"})
	for stop := 1; stop <= 3; stop++ {
		var names []string
		for name, m := range Messages(t.Context(), []string{dir, dir}, offline(t)) {
			if m.Err != nil {
				t.Error(m.Err)
			}
			if names = append(names, filepath.Base(name)); len(names) == stop {
				break
			}
		}
		if want := []string{"a.eml", "b.eml", "c.eml"}[:stop]; !slices.Equal(names, want) {
			t.Errorf("got %v", names)
		}
	}
	next, done := iter.Pull2(Messages(t.Context(), nil, offline(t)))
	defer done()
	if _, _, ok := next(); ok {
		t.Error("no path has a message")
	}
}

// A message beyond a limit is not judged by what is left of it.
func TestMessagesBeyondLimit(t *testing.T) {
	dir := write(t, map[string]string{"a.eml": "Subject: 1\n\n" + strings.Repeat("x\n", 1000)})
	opt := offline(t)
	opt.Limits = message.Limits{BodyOctets: 100}
	for _, m := range Messages(t.Context(), []string{dir}, opt) {
		if m.Err == nil {
			t.Error("no error")
		}
	}
}

// The session is recalled from what Postfix and Sendmail write.
func TestRecall(t *testing.T) {
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	at := time.Date(2026, 11, 1, 11, 59, 58, 0, time.UTC)
	for _, c := range []struct {
		name, header string
		want         message.Envelope
	}{
		{"nothing", "Subject: x\n", message.Envelope{ReceivedAt: now}},
		{
			"postfix", `Return-Path: <a@example.net>
X-Original-To: b@example.com
Delivered-To: local@example.com
Received: from localhost (localhost [127.0.0.1])
	by mx.example.com (Postfix) with ESMTP id 1; Sun,  1 Nov 2026 12:59:58 +0100 (CET)
Received: from mail.example.net (mail.example.net [192.0.2.25])
	(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)
	 key-exchange X25519)
	(No client certificate requested)
	by mx.example.com (Postfix) with ESMTPS id 4XyZ
	for <b@example.com>; Sun,  1 Nov 2026 12:59:57 +0100 (CET)
Received: from forged (forged [203.0.113.66]) by x; Sun, 1 Nov 2020 00:00:00 +0000
`, message.Envelope{
				ReceivedAt: at, MailFrom: "a@example.net", RcptTo: []string{"b@example.com"}, Helo: "mail.example.net",
				ClientName: "mail.example.net", ClientIP: netip.MustParseAddr("192.0.2.25"),
				TLS: message.TLSInfo{Version: "TLSv1.3", Cipher: "TLS_AES_256_GCM_SHA384"},
			},
		},
		{
			"sendmail", `Return-Path: <>
Received: from mail.example.net (mail.example.net [IPv6:2001:db8::25])
	by mx.example.com (8.17.1/8.17.1) with ESMTPS id x
	(version=TLSv1.2 cipher=ECDHE-RSA-AES256-GCM-SHA384 bits=256 verify=NO)
	for <b@example.com>; Sun, 1 Nov 2026 12:59:58 +0100
`, message.Envelope{
				ReceivedAt: at, RcptTo: []string{"b@example.com"}, Helo: "mail.example.net", ClientName: "mail.example.net",
				ClientIP: netip.MustParseAddr("2001:db8::25"),
				TLS:      message.TLSInfo{Version: "TLSv1.2", Cipher: "ECDHE-RSA-AES256-GCM-SHA384"},
			},
		},
		{
			"a login", `Received: from [10.0.0.7] (unknown [198.51.100.7])
	(Authenticated sender: erika) by mx.example.com (Postfix) with ESMTPSA id 2; nonsense
`, message.Envelope{
				ReceivedAt: now, Helo: "[10.0.0.7]", ClientName: "unknown", ClientIP: netip.MustParseAddr("198.51.100.7"),
				TLS: message.TLSInfo{Version: "TLS"}, AuthUser: "erika",
			},
		},
		{"plain", "Received: from h (n [192.0.2.1]) by mx with ESMTP id 3; x\n", message.Envelope{
			ReceivedAt: now, Helo: "h", ClientName: "n", ClientIP: netip.MustParseAddr("192.0.2.1"),
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := message.Read(strings.NewReader(c.header+"\nx\n"), message.Envelope{}, message.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			got := recall(m.Header, now)
			got.ReceivedAt = got.ReceivedAt.UTC()
			if g, w := describe(got), describe(c.want); g != w {
				t.Errorf("got  %s\nwant %s", g, w)
			}
		})
	}
}

// describe writes an envelope for comparison.
func describe(e message.Envelope) string {
	text, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func FuzzRecall(f *testing.F) {
	f.Add("Received: from h (n [192.0.2.1]) by mx with ESMTP id 3; Sun, 1 Nov 2026 12:59:58 +0100\nReturn-Path: <a@b>\n")
	f.Fuzz(func(t *testing.T, header string) {
		m, err := message.Read(strings.NewReader(header+"\n\nx\n"), message.Envelope{}, message.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if env := recall(m.Header, time.Time{}); env.ClientIP.IsLoopback() || len(env.RcptTo) > 1 {
			t.Errorf("%+v", env)
		}
	})
}

// BenchmarkRun is what a reload spends on tests.
func BenchmarkRun(b *testing.B) {
	sources := []rules.Source{{Name: "rules", Files: fstest.MapFS{
		"a.yaml":      {Data: []byte("format: 1\n" + oldRules)},
		"a_test.yaml": {Data: []byte("format: 1\ntests:\n  - {name: a, facts: {subject: gone}, expect: {fired: [gone]}}\n")},
	}}}
	set, problems := rules.Load(sources, rules.Options{})
	if problems.Err() != nil {
		b.Fatal(problems)
	}
	b.ReportAllocs()
	for b.Loop() {
		if !Run(b.Context(), set, sources, Options{}).OK() {
			b.Fatal("a test fails")
		}
	}
}
