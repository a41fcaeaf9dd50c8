package files

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"assay/scan"
	"assay/scan/virus"
	"assay/verify/message"
	"assay/verify/vectors"
)

// eicar is a scanner that knows the test file of EICAR, which is put together here so that no scanner stumbles over this
// file.
type eicar struct{}

func (eicar) Scan(_ context.Context, _ string, open virus.Open) (virus.Verdict, error) {
	r, err := open()
	if err != nil {
		return virus.Verdict{}, err
	}
	content, err := io.ReadAll(r)
	if err == nil && bytes.Contains(content, []byte(`X5O!P%@AP[4\PZX54(P^)7CC)7}$`+"EICAR-STANDARD-"+"ANTIVIRUS-TEST-FILE!$H+H*")) {
		return virus.Verdict{Kind: virus.Infected, Name: "EICAR"}, nil
	}
	return virus.Verdict{Kind: virus.Clean}, err
}

// scanned scans a mail of the vectors with everything.
func scanned(t *testing.T, path string) scan.Report {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := message.Read(f, message.Envelope{}, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	return New(Options{Engine: inProcess(), Virus: eicar{}}).Scan(context.Background(), m)
}

// The mails of the vectors: what is encrypted is called so, what the mail gives the password for is opened, and malware
// reaches the scanner in every packaging.
func TestVectorMails(t *testing.T) {
	root := vectors.Path(t, "scan/mime")
	has := func(state scan.State, trait scan.Trait) func(scan.Report) bool {
		return func(r scan.Report) bool {
			return slices.ContainsFunc(r.Objects, func(o scan.Object) bool {
				return o.State == state && (trait == "" || slices.Contains(o.Traits, trait))
			})
		}
	}
	found := func(r scan.Report) bool { return r.Virus.State == scan.VirusFound }
	encrypted, opened := has(scan.Encrypted, ""), has(scan.Inspected, scan.OpenedPassword)
	for name, want := range map[string]func(scan.Report) bool{
		"own-enc-zip.eml": encrypted, "own-enc-zip-no-name.eml": encrypted, "own-enc-zip-inline.eml": encrypted,
		"own-enc-zip-password-in-body-de.eml": opened, "own-enc-zip-password-in-subject.eml": opened, "own-nested-rfc822-enc.eml": encrypted,
		"own-smime-octet.eml": encrypted, "own-xlsx-velvet.eml": has(scan.Inspected, scan.Macros),
		"own-eml-attachment-octet.eml": found, "own-digest.eml": found, "own-uuencode.eml": found, "own-pdf-owner.eml": found,
		"own-rfc2231-name.eml": has(scan.Inspected, scan.Executable), "own-name-rlo.eml": has(scan.Inspected, scan.RightToLeft),
	} {
		if r := scanned(t, filepath.Join(root, name)); !want(r) {
			t.Errorf("%s: %q, %v", name, objects(r), r.Virus)
		}
	}
}

// Nothing in the corpus of ordinary and odd mail makes the scanner fail, and no text is called encrypted.
func TestVectorCorpus(t *testing.T) {
	names, err := filepath.Glob(filepath.Join(vectors.Path(t, "scan/mime-corpus"), "*"))
	if err != nil || len(names) < 10 {
		t.Fatal(len(names), err)
	}
	for _, name := range names {
		r := scanned(t, name)
		if hasKind(r, Fault) || r.Virus.State == scan.VirusError {
			t.Errorf("%s: %v", name, r.Findings)
		}
	}
}
