package rar

import (
	"path/filepath"
	"strings"
	"testing"

	"assay/scan"
	"assay/scan/archive/archivetest"
	"assay/scan/container"
	"assay/verify/vectors"
)

// inspect reads a file with candidates for its password.
func inspect(t testing.TB, name string, content []byte, passwords ...string) (container.Verdict, []container.Member) {
	t.Helper()
	return archivetest.Read(t, Reader{}, &container.File{Name: name, Content: content, Passwords: passwords})
}

// All RAR archives of the foreign samples, with the state that the manifest demands.
func TestVectors(t *testing.T) {
	root := vectors.Path(t, "scan/samples")
	for line := range strings.Lines(string(archivetest.Content(t, filepath.Join(root, "MANIFEST.tsv")))) {
		column := strings.Split(line, "\t")
		if len(column) < 4 || !strings.HasPrefix(column[0], "rar/") {
			continue
		}
		t.Run(filepath.Base(column[0]), func(t *testing.T) {
			want := map[string]scan.State{"yes": scan.Encrypted, "partly": scan.Encrypted, "no": scan.Inspected}[column[2]]
			if strings.Contains(column[0], "test_big") { // zeros, packed a thousand times
				want = scan.Uninspectable
			}
			b := archivetest.Content(t, filepath.Join(root, column[0]))
			v, members := inspect(t, filepath.Base(column[0]), b)
			if v.State != want {
				t.Errorf("%+v, want %s", v, want)
			}
			t.Logf("%+v, %d members", v, len(members))
			if want == scan.Encrypted {
				v, members = inspect(t, filepath.Base(column[0]), b, "wrong", "secret", "password", "lame", "infected", "boblobsloblaw")
				t.Logf("with passwords: %+v, %d members", v, len(members))
			}
		})
	}
}
