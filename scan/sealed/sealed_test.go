package sealed

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"assay/scan"
	"assay/scan/attach"
	"assay/scan/container"
)

// readers are all Readers of the package, by name.
var readers = []struct {
	name   string
	reader container.Reader
}{
	{"openpgp", OpenPGP{}}, {"cms", CMS{}}, {"pkcs12", PKCS12{}}, {"other", Other{}}, {"html", HTML{}}, {"entropy", Entropy{}},
}

// A reading is what the Readers say about one content.
type reading struct {
	by      string // names of the Readers that claim it
	verdict container.Verdict
	members []container.Member
}

// fileOf is a file as the walker makes one.
func fileOf(name string, content []byte, passwords ...string) *container.File {
	o := attach.Identify(name, "", content)
	return &container.File{
		Name: o.Name, Extension: o.Extension, Type: o.Type, Content: content, Passwords: passwords,
		Budget: container.NewBudget(context.Background(), container.Limits{}, nil),
	}
}

// readAll asks all Readers. The worst verdict counts, as for the walker.
func readAll(f *container.File) reading {
	var out reading
	rank := map[scan.State]int{"": 0, scan.Inspected: 1, scan.Uninspectable: 2, scan.Encrypted: 3}
	for _, r := range readers {
		if !r.reader.Reads(f) {
			continue
		}
		if out.by != "" {
			out.by += " "
		}
		out.by += r.name
		v := r.reader.Read(f, func(m container.Member) bool {
			out.members = append(out.members, m)
			return true
		})
		if v.State == "" {
			v.State = scan.Uninspectable
		}
		if rank[v.State] > rank[out.verdict.State] {
			out.verdict = v
		}
	}
	return out
}

func read(t testing.TB, name string, content []byte, passwords ...string) reading {
	t.Helper()
	return readAll(fileOf(name, content, passwords...))
}

func (r reading) has(trait scan.Trait) bool {
	for _, s := range r.verdict.Signs {
		if s.Trait == trait {
			return true
		}
	}
	return false
}

// want checks the reading of a file that yields at most one member.
func (r reading) want(t *testing.T, by string, state scan.State, method string, content []byte) {
	t.Helper()
	if r.by != by || r.verdict.State != state || r.verdict.Method != method {
		t.Errorf("got %q, %s, %q; want %q, %s, %q", r.by, r.verdict.State, r.verdict.Method, by, state, method)
	}
	switch {
	case content == nil && len(r.members) > 0:
		t.Errorf("yields %q", r.members[0].Content)
	case content != nil && (len(r.members) != 1 || !bytes.Equal(r.members[0].Content, content)):
		t.Errorf("yields %v, want %q", r.members, content)
	}
}

// testdata returns a file of testdata.
func testdata(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}
