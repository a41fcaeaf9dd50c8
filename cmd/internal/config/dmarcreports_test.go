package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What contradicts itself in verify.dmarc.reports is said at its line.
func TestReports(t *testing.T) {
	for section, want := range map[string]string{
		"send: true": "needs an address", "from: a@localhost": "domain with a dot", "from: \"-a@example.com\"": "every receiver",
		"selector: a": "key_file", "key_file: /a": "key_file", "exclude: [\"a b\"]": "neither a mail address nor a domain", "retention: 1h": "out of range",
		"send: true, from: a@example.com, exclude: [b@example.org, example.net], retention: 5d": "",
	} {
		_, err := Parse("f", []byte("format: 1\nverify: {dmarc: {reports: {"+section+"}}}\n"), nil)
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "f:2")) {
			t.Errorf("%s: %v, want %q", section, err, want)
		}
	}
}

// A key is read when it is needed, and a system without it is warned about.
func TestReportKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key.pem")
	text := "format: 1\nverify: {dmarc: {reports: {selector: s, key_file: " + file + "}}}\n"
	loaded, err := Parse("f", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	if w := loaded.System(); !strings.Contains(w.Error(), "verify.dmarc.reports.key_file") {
		t.Errorf("%v", w)
	}
	if err := os.WriteFile(file, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if key, err := loaded.Config.Verify.DMARC.Reports.Key(); err == nil || key != nil {
		t.Errorf("%v %v", key, err)
	}
	if key, err := Default().Verify.DMARC.Reports.Key(); err != nil || key != nil {
		t.Errorf("%v %v", key, err)
	}
}
