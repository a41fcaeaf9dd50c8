package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"assay/cmd/internal/privacy"
)

// The report follows from the configuration that is in force, in the language and the format that were asked for.
func TestReportPrivacy(t *testing.T) {
	dir := t.TempDir()
	file, key := filepath.Join(dir, "assay.yaml"), filepath.Join(dir, "pseudonym.key")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(key, "x")
	write(file, "format: 1\nheaders: {language: de}\nlog: {pseudonym_key: "+key+", pseudonym_rotation: 7d}\n")
	run := func(code int, args ...string) string {
		t.Helper()
		var out, stderr bytes.Buffer
		a := &app{in: strings.NewReader(""), out: &out, err: &stderr, now: time.Now, environ: []string{"ASSAY__LISTEN__METRICS=127.0.0.1:9101"}}
		if got := a.run(context.Background(), append([]string{"report", "privacy", "--config", file}, args...)); got != code {
			t.Fatalf("exit code %d, %s", got, &stderr)
		}
		return out.String()
	}
	if out := run(exitDone); !strings.Contains(out, "Verarbeitung personenbezogener Daten") || !strings.Contains(out, key+" (-rw-------, Eigentümer ") ||
		!strings.Contains(out, "7 Tage") {
		t.Errorf("German text:\n%s", out)
	}
	if out := run(exitDone, "--lang", "en", "--format", "md"); !strings.Contains(out, "| Figures (metrics) | 127.0.0.1:9101, without a password") {
		t.Errorf("English Markdown:\n%s", out)
	}
	var r privacy.Report
	if err := json.Unmarshal([]byte(run(exitDone, "--format", "json")), &r); err != nil || len(r.Sections) != 6 {
		t.Errorf("%v, %+v", err, r)
	}
	for _, s := range r.Settings {
		if s.Key == "listen.metrics" && s.Origin != "environment ASSAY__LISTEN__METRICS" || s.Key == "log.pseudonym_key" && s.Origin != file+":3" {
			t.Errorf("%+v", s)
		}
	}
	write(file, "format: 1\nlog: {privacy: full}\n")
	if out := run(exitDone, "--lang", "de"); !strings.Contains(out, "Stehen im Protokoll: log.privacy ist full.") || strings.Contains(out, "7 Tage;") {
		t.Errorf("after the change:\n%s", out)
	}
	run(exitUsage, "--lang", "fr")
	run(exitUsage, "--format", "pdf")
}

// What limits the journal is read as journald reads it: the last drop-in by name counts, and an empty value is the default.
func TestJournalRetention(t *testing.T) {
	root := t.TempDir()
	for path, text := range map[string]string{
		"etc/systemd/journald.conf":                    "[Journal]\n#MaxRetentionSec=1day\nMaxRetentionSec=90day\nSystemMaxUse = 1G\nCompress=yes\nStorage=persistent\n",
		"usr/lib/systemd/journald.conf.d/50-x.conf":    "[Journal]\nMaxRetentionSec=1year\n",
		"etc/systemd/journald.conf.d/50-x.conf":        "[Journal]\nMaxRetentionSec=30day\n",
		"etc/systemd/journald.conf.d/60-y.conf":        "[Journal]\nStorage=\n",
		"run/systemd/journald.conf.d/ignored.not-conf": "[Journal]\nMaxRetentionSec=5day\n",
		"run/systemd/journald.conf.d/10-early.conf":    "[Journal]\nMaxRetentionSec=6day\n",
	} {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got := strings.Join(journalRetention(root), "; ")
	if want := "MaxRetentionSec=30day (/etc/systemd/journald.conf.d/50-x.conf:2); SystemMaxUse=1G (/etc/systemd/journald.conf:4)"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := journalRetention(t.TempDir()); got != nil {
		t.Errorf("without journald: %v", got)
	}
}
