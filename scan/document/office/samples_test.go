package office

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"assay/scan"
	"assay/scan/container"
	"assay/verify/vectors"
)

// read reads a file and returns what came to light.
func read(name string, content []byte, passwords ...string) (container.Verdict, []container.Member) {
	f := &container.File{
		Name: name, Extension: strings.TrimPrefix(filepath.Ext(name), "."), Content: content, Passwords: passwords,
		Budget: container.NewBudget(context.Background(), container.Limits{}, nil),
	}
	if !(Reader{}).Reads(f) {
		return container.Verdict{State: "not read"}, nil
	}
	var members []container.Member
	v := Reader{}.Read(f, func(m container.Member) bool {
		members = append(members, m)
		return true
	})
	return v, members
}

// traits returns the traits of a verdict, in order.
func traits(v container.Verdict) string {
	var out []string
	for _, s := range v.Signs {
		if !slices.Contains(out, string(s.Trait)) {
			out = append(out, string(s.Trait))
		}
	}
	sort.Strings(out)
	return strings.Join(out, " ")
}

// TestSamples reads the documents of other projects, and expects of each the state and the traits.
func TestSamples(t *testing.T) {
	dir := vectors.Path(t, "scan/samples")
	want := map[string]string{
		"active/docm-vba.docm":                                   "macros",
		"active/docx-activex.docx":                               "activex",
		"active/docx-clean.docx":                                 "",
		"active/docx-dde-split.docx":                             "dde",
		"active/docx-dde.docx":                                   "dde",
		"active/docx-ole-external.docx":                          "remote-object",
		"active/docx-ole-package.docx":                           "embedded-object",
		"active/oletools-excel4-macros-excel4_sample_macro.xlsm": "xlm-macros",
		"active/oletools-excel4-macros-excel4_sample_macro.xltm": "xlm-macros",
		"active/oletools-msodde-dde-test.docm":                   "dde",
		"active/oletools-msodde-dde-test.xlsm":                   "dde",
		"active/oletools-msodde-harmless-clean-2003.xml":         "",
		"active/oletools-msodde-harmless-clean.docx":             "",
		"active/oletools-msodde-harmless-clean.xml":              "",
		"active/oletools-ooxml-harmless-clean.xml":               "",
		"active/oletools-oleobj-embedded-unicode-2007.docx":      "embedded-object",
		"active/oletools-oleobj-embedded-simple-2007-as2003.xml": "embedded-object",
		"office/lo-plain.docx":                                   "", "office/lo-plain.pptx": "", "office/lo-plain.xlsx": "",
		"odf/font-obfuscation.epub": "", "odf/plain.epub": "", "odf/plain.odp": "", "odf/plain.odt": "",
	}
	for _, ext := range []string{"docx", "dotm", "dotx", "ods", "odt", "potm", "potx", "ppsm", "ppsx", "pptm", "xlam", "xlsx", "xltx", "xml"} {
		want["active/oletools-oleobj-embedded-simple-2007."+ext] = "embedded-object"
	}
	for _, ext := range []string{"docm", "dotm", "ppsm", "ppsx", "pptm", "xlsb", "xlsm", "xlsx"} {
		want["active/oletools-oleobj-external_link-sample_with_external_link_to_doc."+ext] = "remote-object"
	}
	for name, traitsWanted := range want {
		v, members := read(name, sample(t, dir, name))
		if v.State != scan.Inspected || traits(v) != traitsWanted {
			t.Errorf("%s: %s %q [%s], want [%s]", name, v.State, v.Method, traits(v), traitsWanted)
		}
		if traitsWanted == "embedded-object" && !slices.ContainsFunc(members, func(m container.Member) bool {
			return strings.HasPrefix(string(m.Content), cfb) || strings.Contains(name, "docx-ole-package")
		}) {
			t.Errorf("%s: the object is not yielded", name)
		}
	}
}

// TestEncryptedSamples expects encryption to be told, and OpenDocument to be opened with the password.
func TestEncryptedSamples(t *testing.T) {
	dir := vectors.Path(t, "scan/samples")
	for name, method := range map[string]string{
		"odf/drm.epub": "DRM, aes128-cbc", "odf/password.odt": "OpenDocument, aes256-cbc, PBKDF2", "odf/password.ods": "OpenDocument, aes256-cbc, PBKDF2",
	} {
		v, _ := read(name, sample(t, dir, name), "wrong")
		if v.State != scan.Encrypted || v.Class != scan.ClassDocument || v.Method != method {
			t.Errorf("%s: %+v", name, v)
		}
	}
	for _, name := range []string{"odf/password.odt", "odf/password.ods"} {
		v, members := read(name, sample(t, dir, name), "wrong", "secret")
		if v.State != scan.Inspected || v.Class != scan.ClassDocument || traits(v) != "opened-password" {
			t.Errorf("%s: %+v", name, v)
		}
		for _, m := range members {
			if m.State != "" {
				t.Errorf("%s: %s is %s", name, m.Name, m.State)
			}
		}
	}
}

// TestOthers expects documents that hold a ZIP file to be left to others.
func TestOthers(t *testing.T) {
	dir := vectors.Path(t, "scan/samples")
	for _, name := range []string{
		"active/oletools-oleobj-embedded-simple-2007.pps", "office/msoffcrypto-plain.ppt", "active/oletools-msodde-harmless-clean.doc", "active/svg-clean.svg",
		"active/page.mht", "active/x.library-ms", "active/x.jar", "active/strelka-test.pdf",
	} {
		if v, _ := read(name, sample(t, dir, name)); v.State != "not read" {
			t.Errorf("%s is read: %+v", name, v)
		}
	}
}

// sample returns the content of a sample.
func sample(t *testing.T, dir, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}
