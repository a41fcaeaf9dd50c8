package ole

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"assay/scan"
	"assay/scan/container"
	"assay/verify/vectors"
)

// A sample is one file of other projects, and what has to be told about it and what is in it.
type sample struct {
	file     string
	state    scan.State
	method   string
	traits   string // of the file
	password string // a candidate
	member   string // what one of the members is called
}

// samples are all files of the suite that are compound files. The table is never written.
var samples = [...]sample{
	{file: "active/oletools-excel4-macros-excel4_sample_macro_excel5_format.xls", state: scan.Inspected, traits: "xlm-macros"},
	{file: "active/oletools-msodde-harmless-clean.doc", state: scan.Inspected},
	{file: "active/oletools-oleobj-embedded-simple-2007.doc", state: scan.Inspected, traits: "embedded-object", member: "simple-text-file.txt"},
	{file: "active/oletools-oleobj-embedded-simple-2007.dot", state: scan.Inspected, traits: "embedded-object", member: "simple-text-file.txt"},
	{file: "active/oletools-oleobj-embedded-simple-2007.pps", state: scan.Inspected, traits: "embedded-object", member: "object 1"},
	{file: "active/oletools-oleobj-embedded-unicode.doc", state: scan.Inspected, traits: "embedded-object", member: "ünicöde-수식끝이잘못되었습니다.txt"},
	{file: "active/oletools-oleobj-sample_with_lnk_file.doc", state: scan.Inspected, traits: "embedded-object", member: "calc.lnk"},
	{file: "active/oletools-oleobj-sample_with_lnk_to_calc.doc", state: scan.Inspected, traits: "embedded-object"},
	{file: "active/strelka-test.xls", state: scan.Inspected, traits: "macros xlm-macros"},
	{file: "active/strelka-test_pe_object_classic.doc", state: scan.Inspected, traits: "embedded-object", member: "test.exe"},
	{file: "active/x.msi", state: scan.Uninspectable, method: "no header of a compound file", traits: "damaged"},
	{file: "office/agile.docx", state: scan.Encrypted, method: "AES-256 (agile)"},
	{file: "office/agile.docx", state: scan.Inspected, method: "AES-256 (agile)", password: "secret", traits: "opened-password"},
	{file: "office/agile.xlsx", state: scan.Encrypted, method: "AES-256 (agile)"},
	{file: "office/agile.xlsx", state: scan.Inspected, method: "AES-256 (agile)", password: "secret", traits: "opened-password"},
	{file: "office/lo-password.doc", state: scan.Encrypted, method: "RC4 40 bit"},
	{file: "office/lo-password.doc", state: scan.Inspected, method: "RC4 40 bit", password: "secret", traits: "opened-password"},
	{file: "office/lo-plain.ppt", state: scan.Inspected},
	{file: "office/lo-plain.xls", state: scan.Inspected},
	{file: "office/msoffcrypto-example_password.docx", state: scan.Encrypted, method: "AES-256 (agile)"},
	{file: "office/msoffcrypto-example_password.docx", state: scan.Inspected, method: "AES-256 (agile)", password: "Password1234_", traits: "opened-password"},
	{file: "office/msoffcrypto-plain.doc", state: scan.Inspected},
	{file: "office/msoffcrypto-plain.ppt", state: scan.Inspected},
	{file: "office/msoffcrypto-plain.xls", state: scan.Inspected},
	{file: "office/msoffcrypto-rc4cryptoapi_password.doc", state: scan.Encrypted, method: "RC4 128 bit (CryptoAPI)"},
	{file: "office/msoffcrypto-rc4cryptoapi_password.doc", state: scan.Inspected, method: "RC4 128 bit (CryptoAPI)", password: "Password1234_", traits: "opened-password"},
	{file: "office/msoffcrypto-rc4cryptoapi_password.ppt", state: scan.Encrypted, method: "RC4 128 bit (CryptoAPI)"},
	{file: "office/msoffcrypto-rc4cryptoapi_password.ppt", state: scan.Inspected, method: "RC4 128 bit (CryptoAPI)", password: "Password1234_", traits: "opened-password"},
	{file: "office/msoffcrypto-rc4cryptoapi_password.xls", state: scan.Encrypted, method: "RC4 128 bit (CryptoAPI)"},
	{file: "office/msoffcrypto-rc4cryptoapi_password.xls", state: scan.Inspected, method: "RC4 128 bit (CryptoAPI)", password: "Password1234_", traits: "opened-password"},
	{file: "office/msoffcrypto-xor_password_123456789012345.xls", state: scan.Encrypted, method: "XOR obfuscation"},
	{file: "office/msoffcrypto-xor_password_123456789012345.xls", state: scan.Inspected, method: "XOR obfuscation", password: "123456789012345", traits: "opened-password"},
	{file: "office/oletools-autostart-encrypt-standardpassword.xlsb", state: scan.Inspected, method: "AES-128 (agile)", traits: "opened-default"},
	{file: "office/oletools-autostart-encrypt-standardpassword.xlsm", state: scan.Inspected, method: "AES-128 (agile)", traits: "opened-default"},
	{file: "office/oletools-dde-test-encrypt-standardpassword.xlsb", state: scan.Inspected, method: "AES-128 (agile)", traits: "opened-default"},
	{file: "office/oletools-dde-test-encrypt-standardpassword.xlsm", state: scan.Inspected, method: "AES-128 (agile)", traits: "opened-default"},
	{file: "office/oletools-dde-test-encrypt-standardpassword.xlsx", state: scan.Inspected, method: "AES-128 (agile)", traits: "opened-default"},
	{file: "office/oletools-encrypted.docx", state: scan.Encrypted, method: "AES-128 (agile)"},
	{file: "office/oletools-encrypted.ppt", state: scan.Encrypted, method: "RC4 40 bit (CryptoAPI)"},
	{file: "office/oletools-encrypted.pptm", state: scan.Encrypted, method: "AES-128 (agile)"},
	{file: "office/oletools-encrypted.xlsx", state: scan.Encrypted, method: "AES-128 (agile)"},
	{file: "office/strelka-test_password_brute.doc", state: scan.Encrypted, method: "RC4 40 bit"},
	{file: "office/velvet-agile.docx", state: scan.Inspected, method: "AES-256 (agile)", traits: "opened-default"},
	{file: "office/velvet-agile.pptx", state: scan.Inspected, method: "AES-256 (agile)", traits: "opened-default"},
}

func TestSamples(t *testing.T) {
	root := vectors.Path(t, "scan/samples")
	for _, s := range samples {
		t.Run(s.file+" "+s.password, func(t *testing.T) {
			content, err := os.ReadFile(filepath.Join(root, s.file))
			if err != nil {
				t.Fatal(err)
			}
			v, members := look(t, content, "wrong", s.password)
			want(t, v, s.state, s.method, s.traits)
			if sealed := s.method != "" && s.traits != "damaged"; sealed != (v.Class == scan.ClassDocument) {
				t.Errorf("class %q", v.Class)
			}
			if s.member != "" && !slices.ContainsFunc(members, func(m container.Member) bool { return m.Name == s.member }) {
				t.Errorf("no member %q", s.member)
			}
			plain(t, v, members)
		})
	}
}

// plain fails a test unless the plain form of what was opened can be read in full.
func plain(t *testing.T, v container.Verdict, members []container.Member) {
	t.Helper()
	for _, m := range members {
		if !m.Plain {
			continue
		}
		if bytes.HasPrefix(m.Content, []byte("PK\x03\x04")) {
			return
		}
		again, _ := look(t, m.Content)
		want(t, again, scan.Inspected, "", "")
		return
	}
	if v.Class != "" && v.State == scan.Inspected {
		t.Error("opened, and nothing came out")
	}
}

// Every compound file of the suite is in the table.
func TestAllSamples(t *testing.T) {
	root := vectors.Path(t, "scan/samples")
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		known := slices.ContainsFunc(samples[:], func(s sample) bool { return s.file == name })
		if (Reader{}).Reads(&container.File{Content: content}) != known {
			t.Errorf("%s: in the table: %v", name, known)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
