package config

import (
	"assay/rules/suggest"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"assay/milter"
)

var update = flag.Bool("update", false, "rewrite the golden files and the example file")

// golden compares got with the file at path, and rewrites the file under -update.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
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
		t.Errorf("%s differs\n--- got\n%s\n--- want\n%s", path, got, want)
	}
}

// The exact text of every kind of error and warning: what an administrator reads.
func TestProblems(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			loaded, err := Parse(filepath.Base(file), text, nil)
			var got string
			if err != nil {
				if loaded != nil {
					t.Error("a wrong configuration was returned")
				}
				got = err.Error() + "\n"
			} else {
				got = "warnings:\n" + loaded.Warnings.Error() + "\n"
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".golden", []byte(got))
		})
	}
}

func TestEnvironment(t *testing.T) {
	loaded, err := Parse("assay.yaml", []byte("resolver: {timeout: 1s, retry: 3s}\n"), []string{
		"PATH=/bin", "ASSAY__RESOLVER__TIMEOUT=5s", "ASSAY__TRUST__NETWORKS=10.0.0.0/8,192.0.2.1",
		"ASSAY__VERIFY__DMARC__OVERRIDES={example.com: none}", "ASSAY__LISTEN__MILTER=inet6:[::1]:8894",
		"ASSAY__HEADERS__SUMMARY=false", "ASSAY__IDENTITY__DOMAINS=[a.example, b.example]",
	})
	if err != nil {
		t.Fatal(err)
	}
	c := loaded.Config
	if c.Resolver.Timeout != 5*time.Second || c.Resolver.Retry != 3*time.Second || len(c.Trust.Networks) != 2 || c.Headers.Summary ||
		c.Verify.DMARC.Overrides["example.com"] != OverrideNone || c.Listen.Milter[0] != (milter.ListenAddress{Network: "tcp6", Address: "[::1]:8894"}) ||
		len(c.Identity.Domains) != 2 {
		t.Errorf("got %+v", c)
	}
	for path, want := range map[string]string{
		"resolver.timeout": "environment ASSAY__RESOLVER__TIMEOUT", "resolver.retry": "assay.yaml:1", "log.level": "default",
	} {
		if got := loaded.Origin(path); got != want {
			t.Errorf("origin of %s: got %q, want %q", path, got, want)
		}
	}
}

func TestEnvironmentProblems(t *testing.T) {
	_, err := Parse("", nil, []string{
		"ASSAY__RESOLVER__TIMEOUTT=5s", "ASSAY__LOG__LEVEL=loud", "ASSAY__LOG=x", "ASSAY__TRUST__NETWORKS=10.0.0.0/8,x", "ASSAY__SCAN__UNSCANNED__PDF=x",
	})
	const want = `environment: unknown variable "ASSAY__LOG" (did you mean "ASSAY__LOG__LEVEL"?)
environment: ASSAY__LOG__LEVEL: log.level: "loud" is not one of debug, info, warn, error
environment: unknown variable "ASSAY__RESOLVER__TIMEOUTT" (did you mean "ASSAY__RESOLVER__TIMEOUT"?)
environment: ASSAY__SCAN__UNSCANNED__PDF: scan.unscanned.pdf: "x" is not one of rules, deliver, tag, remove, quarantine, reject
environment: ASSAY__TRUST__NETWORKS: trust.networks: "x" is not a network such as 192.0.2.0/24 or 2001:db8::/32`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

func TestNoFile(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "---\n", "listen:\nscan:\n", "{}"} {
		loaded, err := Parse("", []byte(text), nil)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(loaded.Config, Default()) {
			t.Errorf("%q: got %+v", text, loaded.Config)
		}
		if len(loaded.Warnings) > 0 {
			t.Errorf("%q: warnings %v", text, loaded.Warnings)
		}
	}
}

func TestLoad(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	if _, err := Load(missing, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a named file that is missing: %v", err)
	}
	large := filepath.Join(t.TempDir(), "large.yaml")
	if err := os.WriteFile(large, bytes.Repeat([]byte("#\n"), maxFile), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(large, nil); err == nil || !strings.Contains(err.Error(), "larger than 1MiB") {
		t.Errorf("a large file: %v", err)
	}
	good := filepath.Join(t.TempDir(), "good.yaml")
	if err := os.WriteFile(good, []byte("format: 1\nlog: {level: debug}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := Load(good, nil)
	if err != nil || loaded.Config.Log.Level != LevelDebug || loaded.File != good {
		t.Errorf("got %+v, %v", loaded, err)
	}
}

// A value is read in every form in which administrators write it.
func TestForms(t *testing.T) {
	for _, tt := range []struct{ text, path, want string }{
		{"listen: {milter: 'unix:/run/assay/milter.sock'}", "listen.milter", "[unix:/run/assay/milter.sock]"},
		{"listen: {milter: 'local:/run/assay/milter.sock'}", "listen.milter", "[unix:/run/assay/milter.sock]"},
		{"listen:\n  milter:\n    - fd:milter\n    - inet:localhost:8894\n", "listen.milter", "[fd:milter, inet:localhost:8894]"},
		{"listen:\n  milter: inet6:[::1]:8894\n", "listen.milter", `["inet6:[::1]:8894"]`},
		{"listen: {socket_mode: '0666'}", "listen.socket_mode", "0666"},
		{"listen: {socket_mode: 0o600}", "listen.socket_mode", "0600"},
		{"identity: {authserv_id: MX.Example.COM.}", "identity.authserv_id", "mx.example.com"},
		{"identity: {domains: [bücher.example]}", "identity.domains", "[xn--bcher-kva.example]"},
		{"resolver: {servers: [127.0.0.1, '::1', '[::1]:5353', 127.0.0.1:5300]}", "resolver.servers",
			`[127.0.0.1:53, "[::1]:53", "[::1]:5353", 127.0.0.1:5300]`},
		{"limits: {time: 1m30s}", "limits.time", "1m30s"},
		{"resolver: {serve_stale: 0}", "resolver.serve_stale", "0s"},
		{"limits: {time: 10s}", "limits.dns_time", "5s"},
		{"limits: {message: 10485760}", "limits.message", "10MiB"},
		{"limits: {message: 100 KiB, header_bytes: 64KiB, memory: 64KiB}", "limits.message", "100KiB"},
		{"trust: {networks: [192.0.2.1, '2001:db8::/32']}", "trust.networks", `[192.0.2.1/32, 2001:db8::/32]`},
		{"trust:\n  networks: &n [10.0.0.0/8]\n  upstream: *n\n  authserv_ids: mx.example.net\n", "trust.upstream", "[10.0.0.0/8]"},
	} {
		loaded, err := Parse("t", []byte(tt.text), nil)
		if err != nil {
			t.Errorf("%q: %v", tt.text, err)
			continue
		}
		for _, k := range keys() {
			if k.path == tt.path && flow(k.value(loaded.Config)) != tt.want {
				t.Errorf("%q: got %s, want %s", tt.text, flow(k.value(loaded.Config)), tt.want)
			}
		}
	}
}

// What "config show" prints reads back to the same configuration.
func TestShowRoundTrip(t *testing.T) {
	text := "listen: {milter: ['inet6:[::1]:8894', 'unix:/a b', 'fd:x']}\nverify: {dmarc: {overrides: {example.com: none}}}\n"
	loaded, err := Parse("t", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, origins := range []bool{false, true} {
		again, err := Parse("again", loaded.Show(origins), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := again.Show(false), loaded.Show(false); !bytes.Equal(got, want) {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
}

// The example file is generated from the table; as shipped and with every key set to its default it gives the defaults.
func TestExample(t *testing.T) {
	golden(t, "../../../packaging/assay.yaml", Example())
	active := regexp.MustCompile(`(?m)^( *)#([a-z_]+:)`).ReplaceAll(Example(), []byte("$1$2"))
	for _, text := range [][]byte{Example(), active} {
		loaded, err := Parse("assay.yaml", text, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keys() {
			if got, want := flow(k.value(loaded.Config)), flow(k.fallback()); got != want {
				t.Errorf("%s: got %s, want %s", k.path, got, want)
			}
		}
	}
	loaded, err := Parse("assay.yaml", active, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys() {
		if loaded.Origin(k.path) == "default" {
			t.Errorf("%s is not in the example file", k.path)
		}
	}
}

// Every field of the Config is set by a key, so that no setting exists that cannot be made.
func TestKeysCoverConfig(t *testing.T) {
	var fields func(reflect.Type) int
	fields = func(typ reflect.Type) int {
		n := 0
		for i := range typ.NumField() {
			switch f := typ.Field(i); {
			case f.Type.Kind() == reflect.Struct:
				n += fields(f.Type)
			case typ == reflect.TypeFor[Files]() && f.Name == "Passwords": // those of the command line
			default:
				n++
			}
		}
		return n
	}
	if got, want := len(keys()), fields(reflect.TypeFor[Config]()); got != want {
		t.Errorf("%d keys for %d fields", got, want)
	}
	for _, k := range rows() {
		if k.doc == "" || !strings.HasSuffix(k.doc, ".") {
			t.Errorf("%s: documentation is not a sentence: %q", k.path, k.doc)
		}
	}
}

func TestSchema(t *testing.T) {
	var schema struct {
		Properties map[string]json.RawMessage
		Additional bool `json:"additionalProperties"`
	}
	if err := json.Unmarshal(Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	if schema.Additional || len(schema.Properties) != len(tree().children) {
		t.Errorf("got %+v", schema)
	}
	golden(t, "testdata/schema.golden", Schema())
}

func TestSuggest(t *testing.T) {
	candidates := []string{"milter", "socket_mode", "socket_group", "metrics"}
	for word, want := range map[string]string{
		"mitler": "milter", "Milter": "milter", "socket-mode": "socket_mode", "mode": "", "xyz": "", "socket": "socket_mode",
		strings.Repeat("m", 1000): "",
	} {
		if got := suggest.Closest(word, candidates); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}

// What is named but not there is a warning about this system, not about the file.
func TestSystem(t *testing.T) {
	loaded, err := Parse("t", []byte("format: 1\nlisten: {milter: 'unix:/no/such/directory/m.sock', socket_group: no-such-group}\nrules: {dirs: [shipped, /no/such/rules, /etc/assay/rules.d]}\n"+
		"scan: {templates: /no/such/texts, unscanned: {archive: rules, document: rules, pdf: rules, openpgp: rules, smime: rules, other: rules, uninspectable: rules}}\nverify: {smime: {harvest: /no/such/harvest}}\n"), nil)
	if err != nil || len(loaded.Warnings) > 0 {
		t.Fatal(err, loaded.Warnings)
	}
	var got []string
	for _, p := range loaded.System() {
		got = append(got, fmt.Sprintf("%d:%d %s", p.Line, p.Column, p.Message))
	}
	want := []string{
		`2:18 listen.milter: there is no directory /no/such/directory on this system`,
		`2:66 listen.socket_group: there is no group "no-such-group" on this system`,
		`3:15 rules.dirs: there is no directory /no/such/rules on this system`,
		`4:19 scan.templates: there is no directory /no/such/texts on this system`,
		`5:27 verify.smime.harvest: there is no directory /no/such/harvest on this system`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	loaded, err = Parse("t", []byte("listen: {milter: 'unix:/tmp/m.sock', socket_group: 4}\n"+decided), nil)
	if err != nil || len(loaded.System()) > 0 {
		t.Errorf("got %v, %v", loaded.System(), err)
	}
}

// A file that is something else altogether does not flood the terminal.
func TestManyProblems(t *testing.T) {
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, "key%d: x\n", i)
	}
	_, err := Parse("t", []byte(b.String()), nil)
	if got := strings.Count(err.Error(), "unknown key"); got != maxShown || !strings.HasSuffix(err.Error(), "\nand 4800 more problems") {
		t.Errorf("%d problems are shown", got)
	}
}

// A long or binary line cannot garble the terminal.
func TestExcerpt(t *testing.T) {
	long := "listen: {milter: " + `"` + "\t\u0085" + strings.Repeat("x", 5000) + `"}`
	_, err := Parse("t", []byte(long), nil)
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if len([]rune(line)) > 200 {
			t.Errorf("line of %d characters", len(line))
		}
		if strings.ContainsAny(line, "\t\u0085") {
			t.Errorf("control characters in %q", line)
		}
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.yaml")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add(Example())
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("trust: {networks: &n [&m 10.0.0.0/8, *m]}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		loaded, err := Parse("fuzz", text, nil)
		if err != nil {
			var ps Problems
			if !errors.As(err, &ps) || len(ps) == 0 {
				t.Fatalf("not problems: %v", err)
			}
			if strings.ContainsAny(strings.ReplaceAll(err.Error(), "\n", ""), "\x00\x1b\r") {
				t.Errorf("control characters in %q", err)
			}
			return
		}
		again, err := Parse("again", loaded.Show(false), nil)
		if err != nil {
			t.Fatalf("what is shown cannot be read: %v\n%s", err, loaded.Show(false))
		}
		if !bytes.Equal(again.Show(false), loaded.Show(false)) {
			t.Errorf("got %s\nwant %s", again.Show(false), loaded.Show(false))
		}
	})
}

// decided is a decision about every class of content that nobody can look into.
const decided = "scan: {unscanned: {archive: quarantine, document: remove, pdf: tag, openpgp: deliver, smime: rules, other: reject, uninspectable: deliver}}\n"

// What is allowed but probably not meant: rules without those of Assay, S/MIME without anybody to trust, and a class of
// content without a decision.
func TestWarnings(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"format: 1\nrules: {dirs: [/etc/assay/rules.d]}\n", "rules.dirs: leaves out the rules that come with Assay"},
		{"format: 1\nrules: {dirs: [/usr/share/assay/rules.d]}\n", ""},
		{"format: 1\nverify: {smime: {public_roots: false}}\n", "verify.smime.public_roots: is false and verify.smime.roots is empty"},
		{"format: 1\nverify: {smime: {public_roots: false, roots: [/etc/assay/ca.pem]}}\n", ""},
		{"format: 1\n", "scan.unscanned: no decision about archive, document, pdf, openpgp, smime, other, uninspectable: APP.5.3.A4"},
		{"format: 1\nscan: {unscanned: {archive: quarantine, pdf: reject}}\n", "no decision about document, openpgp, smime, other, uninspectable:"},
	} {
		if !strings.Contains(tt.want, "no decision") {
			tt.text += decided
		}
		loaded, err := Parse("t", []byte(tt.text), nil)
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprint(append(loaded.Warnings, loaded.System()...))
		if tt.want == "" && len(append(loaded.Warnings, loaded.System()...)) > 0 || !strings.Contains(got, tt.want) {
			t.Errorf("%q: got %s, want %q", tt.text, got, tt.want)
		}
	}
}
