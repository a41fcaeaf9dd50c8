package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// undecided are the classes that the configurations here leave to rules.
const undecided = "document: rules, pdf: rules, openpgp: rules, smime: rules, other: rules, uninspectable: rules}\n"

// checked runs two commands on a configuration with a rule file beside it, which have to say the same about the rules, and returns
// that. DIR stands for the directory.
func checked(t *testing.T, config, local string, environ ...string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "assay.yaml")
	if err := os.Mkdir(filepath.Join(dir, "rules.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{path: strings.ReplaceAll(config, "DIR", dir), filepath.Join(dir, "rules.d", "local.yaml"): local} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var said []string
	for _, command := range []string{"config check", "rules check"} {
		var out, problems bytes.Buffer
		a := &app{in: strings.NewReader(""), out: &out, err: &problems, now: time.Now, environ: environ}
		code := a.run(t.Context(), append(strings.Fields(command), "--config", path))
		if text := problems.String(); (code != 0) != (text != "") {
			t.Errorf("%s: exit code %d, says %s", command, code, text)
		}
		said = append(said, strings.ReplaceAll(problems.String(), dir, "DIR"))
	}
	if said[0] != said[1] {
		t.Errorf("config check says\n%s\nand rules check\n%s", said[0], said[1])
	}
	return said[0]
}

// TestRulesInTheWayOfSettings has rule files that change what a key of the configuration decides. They are told where that is set
// and what to do, at their own place.
func TestRulesInTheWayOfSettings(t *testing.T) {
	const head = "format: 1\nrules: {dirs: [shipped, DIR/rules.d]}\nscan:\n  unscanned: {archive: quarantine, " + undecided
	for _, tt := range []struct{ name, config, local, want string }{
		{
			"an override of what scan.unscanned replaces", head,
			"override:\n  - {id: encrypted-archive-authenticated, mode: \"off\", reason: partners send them}\n",
			`DIR/rules.d/local.yaml:3:10: rule "encrypted-archive-authenticated" is changed by the configuration already: scan.unscanned.archive is quarantine ` +
				"(DIR/assay.yaml:4); remove this override, or set scan.unscanned.archive to rules\n",
		},
		{
			"an override beside scan.virus.on_error", head + "  virus: {clamd: [\"unix:/run/clamav/clamd.ctl\"], on_error: deliver}\n",
			"override:\n  - {id: virus-scanner-unavailable, mode: monitor, reason: we only watch}\n",
			`DIR/rules.d/local.yaml:3:10: rule "virus-scanner-unavailable" is changed by the configuration already: scan.virus.on_error is deliver ` +
				"(DIR/assay.yaml:5); remove this override, or set scan.virus.on_error to defer\n",
		},
		{
			"an override beside verify.dmarc.enforce", head + "verify: {dmarc: {enforce: true}}\n",
			"override:\n  - {id: dmarc-reject, mode: monitor, reason: we only watch}\n",
			`DIR/rules.d/local.yaml:3:10: rule "dmarc-reject" is changed by the configuration already: verify.dmarc.enforce is true ` +
				"(DIR/assay.yaml:5); remove this override, or set verify.dmarc.enforce to false\n",
		},
		{
			"a rule of the same name", head,
			"rules:\n  - {id: unscanned-archive, title: Ours, severity: low, mode: monitor, when: objects.size() > 3, then: {note: many}}\n",
			`DIR/rules.d/local.yaml:3:10: rule id "unscanned-archive" is that of the rule by which the configuration is put into force ` +
				"(scan.unscanned.archive is quarantine (DIR/assay.yaml:4)): give this rule another id\n",
		},
		{
			"two overrides that people have written", head,
			"override:\n  - {id: encrypted-pdf-authenticated, mode: \"off\", reason: a}\n  - {id: encrypted-pdf-authenticated, severity: low, reason: b}\n",
			`DIR/rules.d/local.yaml:4:10: rule "encrypted-pdf-authenticated" is already overridden in DIR/rules.d/local.yaml:3: join the two overrides` + "\n",
		},
		{
			"the rule of a setting is changed like any other", head,
			"override:\n  - {id: unscanned-archive, severity: high, reason: it is}\n", "",
		},
		{
			"the class is left to rules", strings.Replace(head, "quarantine", "rules", 1),
			"override:\n  - {id: encrypted-archive-authenticated, mode: \"off\", reason: partners send them}\n", "",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := checked(t, tt.config, "format: 1\n"+tt.local)
			first, rest, _ := strings.Cut(got, "\n")
			if strings.TrimSuffix(tt.want, "\n") != first || tt.want != "" && !strings.HasSuffix(rest, "1 error, the rules cannot be used\n") {
				t.Errorf("says\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// TestSettingFromTheEnvironment names the variable in place of a file.
func TestSettingFromTheEnvironment(t *testing.T) {
	got := checked(t, "format: 1\nrules: {dirs: [shipped, DIR/rules.d]}\nscan:\n  unscanned: {archive: rules, "+undecided,
		"format: 1\noverride:\n  - {id: encrypted-archive-authenticated, mode: \"off\", reason: partners send them}\n", "ASSAY__SCAN__UNSCANNED__ARCHIVE=tag")
	if want := "scan.unscanned.archive is tag (environment ASSAY__SCAN__UNSCANNED__ARCHIVE); remove"; !strings.Contains(got, want) {
		t.Errorf("says\n%s\nwant %s", got, want)
	}
}
