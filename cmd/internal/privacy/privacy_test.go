package privacy

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"assay/cmd/internal/config"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// parse reads the text of a configuration.
func parse(t *testing.T, text string) *config.Loaded {
	t.Helper()
	l, err := config.Parse("/etc/assay/assay.yaml", []byte("format: 1\n"+text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// report makes a report of a configuration.
func report(t *testing.T, text string, lang Language, journal ...string) *Report {
	t.Helper()
	return New(Input{Loaded: parse(t, text), Language: lang, Version: "1.2.3", Host: "mx.example.com",
		Now: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC), Journal: journal, Stat: func(path string) File {
			switch {
			case strings.Contains(path, "rules"):
				return File{Problem: Missing}
			case strings.Contains(path, "quarantine"):
				return File{Problem: Hidden}
			}
			return File{Owner: "assay", Group: "postfix", Mode: "-rw-------"}
		}})
}

// everything is a configuration that switches on what can be.
const everything = `
listen: {milter: ["unix:/var/spool/postfix/assay/milter.sock"], socket_group: postfix, metrics: "127.0.0.1:9101"}
log: {privacy: full, format: journal}
trust: {networks: [192.0.2.0/24]}
resolver: {servers: [127.0.0.1], serve_stale: 24h}
verify:
  smime: {fetch: true, harvest: /var/lib/assay/harvest}
  dmarc: {reports: {send: true, from: dmarc@example.com, exclude: [example.org], selector: s, key_file: /etc/assay/reports.pem}}
scan:
  files: {passwords_file: /etc/assay/passwords}
  smime: {keys: [/etc/assay/smime.pem], deliver: opened}
  virus: {clamd: ["unix:/run/clamav/clamd.ctl"], icap: ["icap://av.example.net:1344/avscan"]}
notify: {mail: {security: soc@example.com}, webhook: {security: "https://soc.example.com/secret/path"}}
quarantine: {mode: store, retention: 14d, originals: 7d, notify_recipients: true, notify_subject: true}
`

// What the reports say, word for word.
func TestReports(t *testing.T) {
	for name, text := range map[string]string{"default": "", "everything": everything, "minimal": "log: {privacy: minimal, level: warn}\nresolver: {cache_entries: 0}\n"} {
		for _, lang := range []Language{English, German} {
			var journal []string
			if name == "everything" {
				journal = []string{"MaxRetentionSec=30day (/etc/systemd/journald.conf:7)"}
			}
			r := report(t, text, lang, journal...)
			for format, write := range map[string]func(*bytes.Buffer) error{
				"txt": func(b *bytes.Buffer) error { return r.Text(b) }, "md": func(b *bytes.Buffer) error { return r.Markdown(b) },
			} {
				var got bytes.Buffer
				if err := write(&got); err != nil {
					t.Fatal(err)
				}
				golden(t, fmt.Sprintf("%s.%s.%s", name, lang, format), got.Bytes())
			}
		}
	}
}

// golden compares with a golden file.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
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
		t.Errorf("%s is out of date: go test ./cmd/internal/privacy -update\n%s", name, got)
	}
}

// changes are, for each key that the report lists, what else is set and two values between which the report has to differ.
func changes() map[string][3]string {
	store, reports := "quarantine: {mode: store, ", "verify: {dmarc: {reports: {send: true, "
	return map[string][3]string{
		"log.privacy": {"log: {", "privacy: full}", "privacy: minimal}"}, "log.level": {"log: {", "level: info}", "level: warn}"},
		"log.format": {"log: {", "format: json}", "format: journal}"}, "log.pseudonym_key": {"log: {", "pseudonym_key: /a}", "pseudonym_key: \"\"}"},
		"log.pseudonym_rotation": {"log: {", "pseudonym_rotation: 7d}", "pseudonym_rotation: 36h}"},
		"listen.milter":          {"listen: {", "milter: \"unix:/run/a\"}", "milter: \"inet:127.0.0.1:1\"}"},
		"listen.socket_mode":     {"listen: {milter: \"unix:/run/a\", ", "socket_mode: 0660}", "socket_mode: 0666}"},
		"listen.socket_group":    {"listen: {milter: \"unix:/run/a\", ", "socket_group: a}", "socket_group: b}"},
		"listen.metrics":         {"listen: {", "metrics: \"\"}", "metrics: \"127.0.0.1:1\"}"}, "listen.control": {"listen: {", "control: /a}", "control: \"\"}"},
		"trust.networks": {"trust: {", "networks: []}", "networks: [192.0.2.0/24]}"}, "resolver.servers": {"resolver: {", "servers: []}", "servers: [192.0.2.1]}"},
		"resolver.cache_entries": {"resolver: {", "cache_entries: 1}", "cache_entries: 0}"},
		"resolver.cache_max_ttl": {"resolver: {", "cache_max_ttl: 1h}", "cache_max_ttl: 2h}"},
		"resolver.serve_stale":   {"resolver: {", "serve_stale: 1h}", "serve_stale: 0s}"}, "limits.memory": {"limits: {", "memory: 1MiB}", "memory: 2MiB}"},
		"headers.prefix": {"headers: {", "prefix: X-A}", "prefix: X-B}"}, "headers.summary": {"headers: {", "summary: true}", "summary: false}"},
		"headers.result":                 {"headers: {", "result: true}", "result: false}"},
		"verify.spf.explanations":        {"verify: {spf: {", "explanations: true}}", "explanations: false}}"},
		"verify.dmarc.reports.send":      {"verify: {dmarc: {reports: {from: a@b.example, ", "send: true}}}", "send: false}}}"},
		"verify.dmarc.reports.from":      {reports, "from: a@b.example}}}", "from: c@b.example}}}"},
		"verify.dmarc.reports.dir":       {reports, "from: a@b.example, dir: /a}}}", "from: a@b.example, dir: /b}}}"},
		"verify.dmarc.reports.retention": {reports, "from: a@b.example, retention: 1d}}}", "from: a@b.example, retention: 2d}}}"},
		"verify.dmarc.reports.exclude":   {reports, "from: a@b.example}}}", "from: a@b.example, exclude: [c.example]}}}"},
		"verify.dmarc.reports.key_file":  {"verify: {dmarc: {reports: {selector: s, ", "key_file: /a}}}", "key_file: /b}}}"},
		"verify.arc.seal.domain":         {"verify: {arc: {seal: {selector: s, key_file: /k, ", "domain: a.example}}}", "domain: b.example}}}"},
		"verify.arc.seal.key_file":       {"verify: {arc: {seal: {selector: s, domain: a.example, ", "key_file: /a}}}", "key_file: /b}}}"},
		"verify.smime.revocation":        {"verify: {smime: {", "revocation: off}}", "revocation: hard}}"}, "verify.smime.fetch": {"verify: {smime: {", "fetch: true}}", "fetch: false}}"},
		"verify.smime.fetch_hosts": {"verify: {smime: {fetch: true, ", "fetch_hosts: []}}", "fetch_hosts: [a.example]}}"},
		"verify.smime.cache":       {"verify: {smime: {fetch: true, ", "cache: /a}}", "cache: \"\"}}"}, "verify.smime.harvest": {"verify: {smime: {", "harvest: /a}}", "harvest: \"\"}}"},
		"scan.files.passwords_file": {"scan: {files: {", "passwords_file: /a}}", "passwords_file: \"\"}}"}, "scan.files.guesses": {"scan: {files: {", "guesses: 0}}", "guesses: 5}}"},
		"scan.smime.keys": {"scan: {smime: {", "keys: []}}", "keys: [/a]}}"}, "scan.smime.deliver": {"scan: {smime: {keys: [/a], ", "deliver: original}}", "deliver: opened}}"},
		"scan.virus.clamd": {"scan: {virus: {", "clamd: []}}", "clamd: [\"tcp:192.0.2.1:3310\"]}}"},
		"scan.virus.icap":  {"scan: {virus: {", "icap: []}}", "icap: [\"icap://a.example/x\"]}}"}, "rules.dirs": {"rules: {", "dirs: [shipped]}", "dirs: [/a]}"},
		"rules.state": {"rules: {", "state: /a}", "state: /b}"}, "notify.mail": {"notify: {", "mail: {}}", "mail: {a: b@c.example}}"},
		"notify.webhook":  {"notify: {", "webhook: {}}", "webhook: {a: \"https://c.example/x\"}}"},
		"notify.smtp":     {"notify: {mail: {a: b@c.example}, ", "smtp: \"127.0.0.1:25\"}", "smtp: \"127.0.0.1:26\"}"},
		"quarantine.mode": {"quarantine: {", "mode: hold}", "mode: store}"}, "quarantine.dir": {store, "dir: /a}", "dir: /b}"},
		"quarantine.mailbox":       {"quarantine: {mode: mailbox, ", "mailbox: a@b.example}", "mailbox: c@b.example}"},
		"quarantine.release_class": {"quarantine: {", "release_class: user}", "release_class: never}"}, "quarantine.retention": {store, "retention: 30d}", "retention: 31d}"},
		"quarantine.originals": {"quarantine: {", "originals: 0}", "originals: 7d}"}, "quarantine.token_key_file": {store, "token_key_file: /a}", "token_key_file: /b}"},
		"quarantine.audit":             {store, "audit: 30d}", "audit: 0}"},
		"quarantine.notify_recipients": {"quarantine: {", "notify_recipients: true}", "notify_recipients: false}"},
		"quarantine.notify_subject":    {"quarantine: {", "notify_subject: true}", "notify_subject: false}"},
		"quarantine.sendmail":          {store, "sendmail: /a}", "sendmail: /b}"}, "quarantine.smtp": {store, "smtp: \"\"}", "smtp: \"127.0.0.1:26\"}"},
	}
}

// Every key that the report lists changes what its sections say, in both languages, and in rows that name the key.
func TestEveryKeyHasAnEffect(t *testing.T) {
	known := changes()
	for _, e := range effects() {
		c, found := known[e.key]
		if !found {
			t.Errorf("%s: nobody has tried it", e.key)
			continue
		}
		for _, lang := range []Language{English, German} {
			a, b := report(t, c[0]+c[1], lang), report(t, c[0]+c[2], lang)
			if reflect.DeepEqual(a.Sections, b.Sections) {
				t.Errorf("%s, %s: nothing but the list of settings changes", e.key, lang)
			}
			named := slices.ContainsFunc(append(a.Sections, b.Sections...), func(s Section) bool {
				return slices.ContainsFunc(s.Rows, func(r Row) bool { return slices.Contains(r.Keys, e.key) })
			})
			if !named {
				t.Errorf("%s, %s: no row names it", e.key, lang)
			}
		}
	}
}

// Every key that a row names is listed with its value and origin, which is the line of the file.
func TestSettings(t *testing.T) {
	r := report(t, "log:\n  privacy: minimal\n", English)
	listed := map[string]Setting{}
	for _, s := range r.Settings {
		listed[s.Key] = s
		if s.Value == "" || s.Effect == "" {
			t.Errorf("%+v", s)
		}
	}
	for _, s := range append(r.Sections, report(t, everything, English).Sections...) {
		for _, row := range s.Rows {
			for _, k := range row.Keys {
				if _, found := listed[k]; !found {
					t.Errorf("%s, %s: %s is not listed", s.ID, row.Subject, k)
				}
			}
		}
	}
	if s := listed["log.privacy"]; s.Value != "minimal" || s.Origin != "/etc/assay/assay.yaml:3" {
		t.Errorf("%+v", s)
	}
}

// The two languages say the same things, and none says words of the other, or a secret.
func TestLanguages(t *testing.T) {
	en, de := report(t, everything, English), report(t, everything, German)
	for i := range en.Sections {
		if len(en.Sections[i].Rows) != len(de.Sections[i].Rows) {
			t.Errorf("%s: %d and %d rows", en.Sections[i].ID, len(en.Sections[i].Rows), len(de.Sections[i].Rows))
		}
		for j, row := range en.Sections[i].Rows {
			if other := de.Sections[i].Rows[j]; !slices.Equal(row.Keys, other.Keys) || row.Text == other.Text && !strings.Contains(row.Subject, ".") {
				t.Errorf("%q and %q", row, other)
			}
		}
	}
	for _, r := range []*Report{en, de} {
		var out bytes.Buffer
		if err := json.NewEncoder(&out).Encode(r.Sections); err != nil || strings.Contains(out.String(), "secret/path") {
			t.Errorf("%v, or the path of a webhook is shown", err)
		}
	}
}

// Spans of time keep their digits.
func TestPeriods(t *testing.T) {
	en, de := &writer{Input: Input{Language: English}}, &writer{Input: Input{Language: German}}
	for d, want := range map[time.Duration][2]string{
		0: {"0s", "0s"}, 30 * time.Second: {"30s", "30s"}, 10 * time.Minute: {"10m", "10m"}, 90 * time.Second: {"1m30s", "1m30s"},
		10 * time.Hour: {"10h", "10h"}, 20*time.Hour + 10*time.Minute: {"20h10m", "20h10m"}, 24 * time.Hour: {"1 day", "1 Tag"}, 240 * time.Hour: {"10 days", "10 Tagen"},
	} {
		if got := [2]string{en.after(d), de.after(d)}; got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}
