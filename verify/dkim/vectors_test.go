package dkim

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"assay/verify/authres"
	"assay/verify/vectors"
)

// mailDKIMZone reads the FAKE_DNS.dat of Mail::DKIM.
func mailDKIMZone(t *testing.T, dir string) records {
	t.Helper()
	zone := records{}
	for line := range strings.Lines(readFile(t, dir, "FAKE_DNS.dat")) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || name == "#" {
			continue
		}
		switch value = strings.TrimSpace(value); {
		case value == "NXDOMAIN":
		case strings.HasPrefix(value, "~~"):
			zone[name] = errServer
		default:
			zone[name] = strings.Trim(value, `"`)
		}
	}
	return zone
}

// TestMailDKIM runs the corpus of Mail::DKIM against what an RFC 8301 verifier answers ("modern"). Most of the corpus is
// older than RFC 4871 and signed with SHA-1.
func TestMailDKIM(t *testing.T) {
	dir := vectors.Path(t, "auth/dkim-mail-dkim")
	zone := mailDKIMZone(t, dir)
	var tests []struct {
		File   string
		Modern []string
	}
	if err := json.Unmarshal([]byte(readFile(t, dir, "expectations.json")), &tests); err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		m := read(t, readFile(t, dir, "corpus", test.File), at)
		vs := inOrder(Verify(t.Context(), zone, m, Options{Explain: true}))
		var got, want []string
		for _, v := range vs {
			got = append(got, string(v.Result))
		}
		for _, w := range test.Modern {
			w, _, _ = strings.Cut(w, " ")
			want = append(want, w)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v: %+v", test.File, got, want, vs)
		}
		for _, v := range vs {
			if len(v.Steps) == 0 || v.Reason == "" && v.Result != authres.Pass {
				t.Errorf("%s: %q is not explained", test.File, v.Result)
			}
		}
	}
	if len(tests) < 62 {
		t.Errorf("%d messages, want 62", len(tests))
	}
}

// TestMailAuth runs the messages of mail-auth. Each file is some lines of zone, an empty line, and a message.
func TestMailAuth(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(vectors.Path(t, "auth/dkim-mail-auth"), "0*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatal("no messages", err)
	}
	for _, file := range files {
		zoneText, text, _ := strings.Cut(crlf(readFile(t, file)), "\r\n\r\n")
		zone := records{}
		for line := range strings.Lines(zoneText) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			zone[strings.TrimSuffix(name, ".")] = strings.TrimSpace(value)
		}
		vs := inOrder(Verify(t.Context(), zone, read(t, text, time.Unix(1667843664, 0)), Options{Explain: true}))
		if len(vs) == 0 || vs[len(vs)-1].Result != authres.Pass {
			t.Errorf("%s: the last signature is not pass: %+v", filepath.Base(file), vs)
		}
	}
}

// TestDkimpyMessages runs the signed messages of dkimpy.
func TestDkimpyMessages(t *testing.T) {
	dir := vectors.Path(t, "auth/dkim-dkimpy")
	example := readFile(t, dir, "test.txt")
	tests := []struct {
		file string
		zone records
		want []authres.Result
	}{
		{"rfc6376.signed.msg", records{
			"test._domainkey.football.example.com":     example,
			"brisbane._domainkey.football.example.com": "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
		}, []authres.Result{authres.Pass, authres.Pass}},
		{"test2.message", records{}, []authres.Result{authres.PermError}}, // its key is not part of the suite
		{"test.message", records{}, nil},
		{"test_extra.message", records{}, nil},
		{"test_nofrom.message", records{}, nil},
		{"rfc6376.msg", records{}, nil},
		{"ed25519test.msg", records{}, nil},
		{"ed25519test2.msg", records{"sed._domainkey.test.ex": readFile(t, dir, "eximtest.dns")}, []authres.Result{authres.Pass}},
	}
	for _, test := range tests {
		vs := inOrder(Verify(t.Context(), test.zone, read(t, readFile(t, dir, test.file), at), Options{Explain: true}))
		var got []authres.Result
		for _, v := range vs {
			got = append(got, v.Result)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v: %+v", test.file, got, test.want, vs)
		}
	}
}

// TestDkimpyKeys reads the key records of dkimpy.
func TestDkimpyKeys(t *testing.T) {
	dir := vectors.Path(t, "auth/dkim-dkimpy")
	tests := []struct {
		file, err string
		email     bool
	}{
		{"test.txt", "", true},
		{"test2.txt", "", true},
		{"ed25519test.dns", "", true},
		{"eximtest.dns", "", true},
		{"badk.txt", "unknown key type", false},   // k=ed25519-sha256 is the name of an algorithm, not of a key type
		{"badversion.txt", "version", false},      // v=DKIM1: g=*
		{"test_bad.txt", "not an RSA key", false}, // cut short
		{"test_tlsrpt.txt", "", false},            // s=tlsrpt is not for email
	}
	for _, test := range tests {
		k, err := ParseKey(strings.TrimSpace(readFile(t, dir, test.file)))
		if test.err == "" && (err != nil || k.Email != test.email) {
			t.Errorf("%s: %+v, %v", test.file, k, err)
		}
		if test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
			t.Errorf("%s: error %v, want %q", test.file, err, test.err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "SOURCE.txt")); err != nil {
		t.Error(err)
	}
}
