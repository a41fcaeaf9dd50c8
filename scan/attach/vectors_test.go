package attach_test

import (
	"assay/verify/vectors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"assay/scan"
	"assay/scan/attach"
)

// head returns the window of a file.
func head(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data[:min(len(data), attach.Window)]
}

// TestSamples identifies every sample by its content. What is expected is told by the folder, or for the active ones by
// the extension, which is true for samples.
func TestSamples(t *testing.T) {
	byExtension := map[string]string{
		".pdf": "application/pdf", ".one": "application/onenote", ".chm": "application/vnd.ms-htmlhelp", ".lnk": "application/x-ms-shortcut",
		".svg": "image/svg+xml", ".mht": "application/x-mimearchive", ".rtf": "application/rtf", ".iso": "application/x-iso9660-image",
		".jar": "application/java-archive", ".ics": "text/calendar", ".vcf": "text/vcard", ".html": "text/html", ".htm": "text/html",
		".docx": "wordprocessingml.document", ".dotx": "wordprocessingml.document", ".xlsx": "spreadsheetml.sheet",
		".pptx": "presentationml.presentation", ".odt": "application/vnd.oasis.opendocument.text", ".ods": "spreadsheet",
		".7z": "application/x-7z-compressed", ".rar": "application/vnd.rar", ".gz": "application/gzip", ".xz": "application/x-xz",
		".kdbx": "application/x-keepass2", ".epub": "application/epub+zip", ".p7m": "application/pkcs7-mime", ".cab": "cab-compressed",
		".dat": "application/vnd.ms-tnef",
	}
	executable := []string{
		".iqy", ".one", ".onepkg", ".url", ".appinstaller", ".chm", ".desktop", ".jar", ".jnlp", ".library-ms", ".lnk", ".msi", ".rdp", ".scf",
		".scr", ".search-ms", ".slk", ".vbs", ".wsf", ".xll", ".exe",
	}
	root := vectors.Path(t, "scan/samples")
	tested := 0
	for _, folder := range []string{"active", "7z", "odf", "office", "other", "pdf", "rar", "smime"} {
		files, err := filepath.Glob(filepath.Join(root, folder, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			tested++
			name, ext := filepath.Base(path), filepath.Ext(path)
			o := attach.Identify(name, "", head(t, path))
			encrypted := o.Type == "application/x-ole-encrypted-package" // Office puts encrypted documents into compound files
			if want := byExtension[ext]; want != "" && !strings.HasSuffix(o.Type, want) && !encrypted {
				t.Errorf("%s/%s is %s, want %s", folder, name, o.Type, want)
			}
			if got := slices.Contains(o.Traits, scan.Executable); got != slices.Contains(executable, ext) {
				t.Errorf("%s/%s: executable %v", folder, name, got)
			}
			if slices.Contains(o.Traits, scan.TypeMismatch) {
				t.Errorf("%s/%s: %s counts as a mismatch", folder, name, o.Type)
			}
			// A program may be called anything.
			if again := attach.Identify("report.txt", "", head(t, path)); again.Type != o.Type {
				t.Errorf("%s/%s: the type depends on the name", folder, name)
			}
		}
	}
	if tested < 100 {
		t.Errorf("only %d samples", tested)
	}
}
