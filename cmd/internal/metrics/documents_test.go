package metrics

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

var update = flag.Bool("update", false, "rewrite the table in packaging/doc/metrics.md")

const packaging = "../../../packaging/"

// read returns a file of the packaging.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(packaging + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// table returns what metrics.md has to say between its marks.
func table() string {
	var b strings.Builder
	b.WriteString("| Name | Type | Labels | Meaning |\n|---|---|---|---|\n")
	for _, f := range New("1.2.3").Families() {
		labels := "-"
		if len(f.Labels) > 0 {
			labels = "`" + strings.Join(f.Labels, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.Name, f.Type, labels, f.Help)
	}
	return b.String()
}

// The manual lists exactly the metrics that there are, with their labels.
func TestManual(t *testing.T) {
	const begin, end = "<!-- begin -->\n", "<!-- end -->\n"
	text := read(t, "doc/metrics.md")
	before, rest, found := strings.Cut(text, begin)
	listed, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatal("metrics.md has no marks")
	}
	if *update {
		if err := os.WriteFile(packaging+"doc/metrics.md", []byte(before+begin+table()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		listed = table()
	}
	if listed != table() {
		t.Errorf("packaging/doc/metrics.md is out of date: go test ./cmd/internal/metrics -update\n%s", table())
	}
}

// A fresh daemon exposes every metric that is listed, and no other. Only those about rules wait for the first rule that fires.
func TestFreshDaemon(t *testing.T) {
	m := New("1.2.3")
	later := []string{"assay_rule_matches_total", "assay_rule_errors_total", "assay_exceptions_used_total", "assay_rules_info", "assay_virus_scanner_up",
		"assay_health", "assay_disk_free_bytes"}
	text := scrape(t, m)
	var exposed []string
	for _, line := range regexp.MustCompile(`(?m)^# TYPE (assay_\w+) (\w+)$`).FindAllStringSubmatch(text, -1) {
		exposed = append(exposed, line[1]+" "+line[2])
	}
	for _, f := range m.Families() {
		there := slices.Contains(exposed, f.Name+" "+f.Type)
		if there == slices.Contains(later, f.Name) {
			t.Errorf("%s: exposed from the start: %v", f.Name, there)
		}
		if !there {
			exposed = append(exposed, f.Name+" "+f.Type)
		}
	}
	if len(exposed) != len(m.Families()) {
		t.Errorf("%d metrics are exposed, %d are listed", len(exposed), len(m.Families()))
	}
	for _, name := range agreed() {
		if !slices.ContainsFunc(m.Families(), func(f Family) bool { return name == f.Name+"{"+strings.Join(f.Labels, ",")+"}" }) {
			t.Errorf("%s is missing, or has other labels", name)
		}
	}
}

// agreed are the names and labels that dashboards of others rely on. They do not change.
func agreed() []string {
	return []string{"assay_messages_total{disposition}", "assay_auth_results_total{method,result}", "assay_rule_matches_total{rule,mode}",
		"assay_rule_errors_total{rule}", "assay_rule_eval_seconds{}", "assay_exceptions_used_total{rule,exception}", "assay_exceptions_expiring{}",
		"assay_message_seconds{stage}", "assay_dns_queries_total{type,result}", "assay_tls_connections_total{version}", "assay_smime_results_total{reason}",
		"assay_html_removed_total{kind}", "assay_quarantine_messages{}", "assay_limits_exceeded_total{limit}", "assay_connections{}",
		"assay_rules_info{sha256}", "assay_rules_reload_total{result}", "assay_rules_fallback_active{}", "assay_dmarc_reports_sent_total{result}",
		"assay_build_info{version,goversion}"}
}

// selector finds metrics of ours in a PromQL expression, with what selects among their series.
var selector = regexp.MustCompile(`\b(assay_\w+)(?:\{([^}]*)\})?`)

// matcher finds the labels in a selector.
var matcher = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)`)

// grouping finds the labels by which an expression groups.
var grouping = regexp.MustCompile(`\b(?:by|on)\s*\(([^)]*)\)`)

// checkExpression fails the test for a metric, or a label of one, that does not exist.
func checkExpression(t *testing.T, where, expr string) {
	t.Helper()
	known := []string{"instance", "job", "le"}
	for _, m := range selector.FindAllStringSubmatch(expr, -1) {
		f, found := family(m[1])
		if !found {
			t.Errorf("%s: there is no metric %s", where, m[1])
			continue
		}
		for _, l := range matcher.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(append([]string{"instance", "job", "le"}, f.Labels...), l[1]) {
				t.Errorf("%s: %s has no label %s", where, m[1], l[1])
			}
		}
		known = append(known, f.Labels...)
	}
	for _, g := range grouping.FindAllStringSubmatch(expr, -1) {
		for l := range strings.SplitSeq(g[1], ",") {
			if !slices.Contains(known, strings.TrimSpace(l)) {
				t.Errorf("%s: nothing has the label %s", where, l)
			}
		}
	}
}

// family returns the family that a name in an expression belongs to.
func family(name string) (Family, bool) {
	for _, f := range New("1.2.3").Families() {
		if name == f.Name || f.Type == "histogram" && slices.Contains([]string{"_bucket", "_sum", "_count"}, strings.TrimPrefix(name, f.Name)) {
			return f, true
		}
	}
	return Family{}, false
}

// The test of expressions finds what is wrong.
func TestFamily(t *testing.T) {
	for name, want := range map[string]bool{"assay_messages_total": true, "assay_message_seconds_bucket": true, "assay_messages": false,
		"assay_messages_total_bucket": false, "assay_message_seconds_x": false} {
		if _, got := family(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// The dashboard asks only for metrics and labels that exist, and shows all that there are.
func TestDashboard(t *testing.T) {
	text := read(t, "grafana/assay.json")
	var d struct {
		Panels []struct {
			Title   string
			Type    string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	shown := ""
	for _, p := range d.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%q shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			checkExpression(t, p.Title, target.Expr)
			shown += target.Expr + "\n"
		}
	}
	for _, f := range New("1.2.3").Families() {
		hidden := []string{"assay_reload_total", "assay_recipients_split_total", "assay_tls_messages_total"} // said by others, or of little interest
		if !strings.Contains(shown, f.Name) && !slices.Contains(hidden, f.Name) {
			t.Errorf("%s is in no panel", f.Name)
		}
	}
}

// Alerts ask only for metrics that exist, and each has a test in which it fires and one in which it does not.
func TestAlerts(t *testing.T) {
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Labels      map[string]string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "prometheus/assay.rules.yml")), &rules); err != nil {
		t.Fatal(err)
	}
	tests := read(t, "prometheus/assay.rules_test.yml")
	n := 0
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			n++
			checkExpression(t, r.Alert, r.Expr)
			if r.Labels["severity"] == "" || r.Annotations["summary"] == "" {
				t.Errorf("%s says too little", r.Alert)
			}
			for _, kind := range []string{"fires", "is silent"} {
				if !strings.Contains(tests, "name: "+r.Alert+" "+kind+"\n") {
					t.Errorf("%s: no test in which it %s", r.Alert, kind)
				}
			}
		}
	}
	if n < 10 {
		t.Errorf("%d alerts were found", n)
	}
	if promtool, err := exec.LookPath("promtool"); err == nil {
		for _, args := range [][]string{{"check", "rules", "assay.rules.yml"}, {"test", "rules", "assay.rules_test.yml"}} {
			cmd := exec.Command(promtool, args...)
			cmd.Dir = packaging + "prometheus"
			if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("SUCCESS")) {
				t.Errorf("promtool %v: %v\n%s", args, err, out)
			}
		}
	}
}
