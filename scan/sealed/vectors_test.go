package sealed

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"assay/scan"
	"assay/verify/message"
	"assay/verify/vectors"
)

// A sample is one row of the manifest.
type sample struct{ path, format, encrypted string }

func manifest(t *testing.T) (root string, samples []sample) {
	t.Helper()
	root = vectors.Path(t, "scan/samples")
	rows, err := os.ReadFile(filepath.Join(root, "MANIFEST.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	for row := range strings.Lines(string(rows)) {
		if f := strings.Split(strings.TrimSpace(row), "\t"); len(f) >= 3 {
			samples = append(samples, sample{f[0], f[1], f[2]})
		}
	}
	if len(samples) < 200 {
		t.Fatalf("only %d samples", len(samples))
	}
	return root, samples
}

// ours reports whether a sample is for the Readers of this package.
func (s sample) ours() bool {
	switch {
	case strings.HasPrefix(s.path, "pgp/"), strings.HasPrefix(s.path, "smime/"):
		return true
	}
	switch s.format {
	case "age", "kdbx", "openssl-enc", "openssl-enc-b64", "html-crypt", "pkcs12":
		return true
	}
	return false
}

// contents returns the files of a sample: itself, or the leaves of a message.
func (s sample) contents(t *testing.T, root string) map[string][]byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, s.path))
	if err != nil {
		if strings.HasPrefix(s.path, "MANIFEST") || s.path == "file" || s.path == "path" {
			return nil
		}
		t.Fatal(err)
	}
	if filepath.Ext(s.path) != ".eml" {
		return map[string][]byte{s.path: content}
	}
	m, err := message.Read(bytes.NewReader(content), message.Envelope{}, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	out := map[string][]byte{}
	for p := range m.Root.Leaves() {
		body, _ := io.ReadAll(m.Content(p))
		out[s.path+"/"+p.Section] = body
	}
	return out
}

// TestSamples reads every sample of our formats, and asks for a false alarm on all others that nobody encrypted.
func TestSamples(t *testing.T) {
	root, samples := manifest(t)
	found := 0
	for _, s := range samples {
		for name, content := range s.contents(t, root) {
			r := readAll(fileOf(filepath.Base(name), content))
			switch {
			case r.verdict.State == scan.Encrypted && s.encrypted == "no":
				t.Errorf("%s: %q calls it encrypted: %q", name, r.by, r.verdict.Method)
			case r.by == "entropy" && s.encrypted == "no" && !strings.HasPrefix(s.path, "7z/bodgit-multi"): // volumes without a beginning
				t.Errorf("%s: taken for random", name)
			}
			if s.ours() && s.encrypted != "no" && r.by != "" && r.verdict.State != scan.Encrypted {
				t.Logf("%-34s %-3s %s %s %q %d", name, s.encrypted, r.by, r.verdict.State, r.verdict.Method, len(r.members))
			}
			if s.ours() && s.encrypted == "yes" && r.verdict.State == scan.Encrypted {
				found++
			}
		}
	}
	want := 0
	for _, s := range samples {
		if s.ours() && s.encrypted == "yes" {
			want++
		}
	}
	if found < want {
		t.Errorf("%d of %d are called encrypted", found, want)
	}
}
