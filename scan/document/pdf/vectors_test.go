package pdf_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"assay/scan"
	"assay/verify/vectors"
)

// TestVectors reads the foreign samples: what is encrypted, what opens without a password, what acts, and what does not.
func TestVectors(t *testing.T) {
	root := vectors.Path(t, "scan/samples")
	for _, c := range []struct{ file, state, class, method, traits string }{
		{"active/pdf-gotoe-embedded.pdf", "inspected", "", "", "embedded-file open-action remote-goto"},
		{"active/pdf-js-hexname.pdf", "inspected", "", "", "javascript open-action"},
		{"active/pdf-launch.pdf", "inspected", "", "", "launch open-action"},
		{"active/pdf-names-js.pdf", "inspected", "", "", "javascript"},
		{"active/pdf-openaction-js.pdf", "inspected", "", "", "javascript open-action"},
		{"active/pdf-richmedia.pdf", "inspected", "", "", "rich-media"},
		{"active/pdf-uri-submit.pdf", "inspected", "", "", "submit-form"},
		{"active/strelka-test.pdf", "inspected", "", "", ""},
		{"pdf/attach-eicar.pdf", "inspected", "", "", "embedded-file"},
		{"pdf/encrypt-hexname.pdf", "encrypted", "pdf", "RC4-128 (R3), user password", ""},
		{"pdf/owner-aes-128.pdf", "inspected", "pdf", "AES-128 R4", "opened-empty"},
		{"pdf/owner-aes-256.pdf", "inspected", "pdf", "AES-256 R6", "opened-empty"},
		{"pdf/plain-objstm.pdf", "inspected", "", "", ""},
		{"pdf/pubsec.pdf", "encrypted", "pdf", "certificate", ""},
		{"pdf/user-aes-256-leading.pdf", "encrypted", "pdf", "AES-256 (R6), user password", ""},
		{"pdf/user-aes-256-lin.pdf", "encrypted", "pdf", "AES-256 (R6), user password", ""},
		{"pdf/user-aes-256-objstm.pdf", "encrypted", "pdf", "AES-256 (R6), user password", ""},
		{"pdf/user-aes-256-r5.pdf", "encrypted", "pdf", "AES-256 (R5), user password", ""},
		{"pdf/user-aes-256.pdf", "encrypted", "pdf", "AES-256 (R6), user password", ""},
	} {
		t.Run(c.file, func(t *testing.T) {
			content, err := os.ReadFile(filepath.Join(root, c.file))
			if err != nil {
				t.Fatal(err)
			}
			got := read(t, content)
			if string(got.State) != c.state || got.Class != c.class || got.Method != c.method || got.traits() != c.traits {
				t.Errorf("%s", got)
			}
			if c.state == "encrypted" && c.method != "certificate" && !strings.Contains(c.file, "hexname") {
				opened := read(t, content, "wrong", "secret")
				if opened.State != scan.Inspected || !slices.Contains(strings.Fields(opened.traits()), "opened-password") {
					t.Errorf("with the password: %s", opened)
				}
			}
		})
	}
}
