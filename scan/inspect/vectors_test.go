package inspect

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"assay/scan"
	"assay/scan/attach"
	"assay/verify/vectors"
)

// A sample is one row of the manifest of samples.
type sample struct{ file, format, encrypted, how string }

// manifest reads the manifest of samples.
func manifest(t testing.TB) (string, []sample) {
	t.Helper()
	root := vectors.Path(t, "scan/samples")
	f, err := os.Open(filepath.Join(root, "MANIFEST.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []sample
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Split(lines.Text(), "\t")
		if len(fields) >= 4 && fields[0] != "file" {
			all = append(all, sample{fields[0], fields[1], fields[2], fields[3]})
		}
	}
	if len(all) < 230 {
		t.Fatalf("%d samples", len(all))
	}
	return root, all
}

// processorTime is what this process has used.
func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// look inspects one file of the samples.
func look(t testing.TB, path string, passwords ...string) Result {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	o := attach.Identify(filepath.Base(path), "", content[:min(len(content), attach.Window)])
	o.Path, o.Size = filepath.Base(path), int64(len(content))
	r, err := New(Options{Clock: processorTime}).Inspect(context.Background(), Job{Object: o, Content: content, Passwords: passwords}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// first returns the first object in a state.
func first(r Result, state scan.State) *scan.Object {
	for i := range r.Objects {
		if r.Objects[i].State == state {
			return &r.Objects[i]
		}
	}
	return nil
}

// nameOnly are volumes without a magic, of which only the name tells anything.
func nameOnly(s sample) bool { return strings.Contains(s.format, "split") }

// Every encrypted sample is called encrypted, with its class and method, and none of the others is.
func TestSamples(t *testing.T) {
	if testing.Short() {
		t.Skip("the processor time of samples is not measured with -short, which the race detector's run is made with")
	}
	root, all := manifest(t)
	count := map[string]int{}
	for _, s := range all {
		count[s.encrypted]++
		began, mallocs := processorTime(), allocated()
		r := look(t, filepath.Join(root, s.file))
		if took := processorTime() - began; took > time.Second {
			t.Errorf("%s: %v", s.file, took)
		}
		if grew := allocated() - mallocs; grew > 1<<30 {
			t.Errorf("%s: %d octets allocated", s.file, grew)
		}
		judgeSample(t, s, r)
	}
	t.Log(count)
}

// allocated is how much this process has allocated so far.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// judgeSample compares a result with the manifest.
func judgeSample(t *testing.T, s sample, r Result) {
	t.Helper()
	o, root := first(r, scan.Encrypted), &r.Objects[0]
	switch s.encrypted {
	case "yes", "partly", "nested":
		switch {
		case o == nil && nameOnly(s) && root.State == scan.Uninspectable:
		case o == nil:
			t.Errorf("%s (%s) is not encrypted: %s %s", s.file, s.how, root.State, root.Method)
		case o.Class == "" || o.Method == "":
			t.Errorf("%s: class %q, method %q", s.file, o.Class, o.Method)
		}
	case "no", "?":
		if o != nil && s.encrypted == "no" {
			t.Errorf("%s (%s): %s is encrypted: %s %s", s.file, s.how, o.Path, o.Class, o.Method)
		}
	case "owner-only", "velvet":
		opened := slices.ContainsFunc(r.Objects, func(o scan.Object) bool {
			return slices.Contains(o.Traits, scan.OpenedEmpty) || slices.Contains(o.Traits, scan.OpenedDefault)
		})
		if o != nil || !opened {
			t.Errorf("%s (%s): %s %s", s.file, s.how, root.State, root.Method)
		}
	case "bomb", "unknown":
		if first(r, scan.Uninspectable) == nil {
			t.Errorf("%s (%s): nothing is uninspectable", s.file, s.how)
		}
	case "fake":
		if root.State == scan.Inspected && !slices.Contains(root.Traits, scan.Ambiguous) {
			t.Errorf("%s (%s) is inspected", s.file, s.how)
		}
	default:
		t.Errorf("%s: %q is not known", s.file, s.encrypted)
	}
}

// The password opens every sample made with it, and what is inside is looked at.
func TestSamplesWithPassword(t *testing.T) {
	root, all := manifest(t)
	opened, closed := 0, []string{}
	for _, s := range all {
		if s.encrypted != "yes" || nameOnly(s) {
			continue
		}
		r := look(t, filepath.Join(root, s.file), "wrong", "secret", "infected", "password", "infected-test", "Password1234_", "123456789012345")
		if first(r, scan.Encrypted) == nil && slices.ContainsFunc(r.Objects, func(o scan.Object) bool { return slices.Contains(o.Traits, scan.OpenedPassword) }) {
			opened++
		} else {
			closed = append(closed, s.file)
		}
	}
	t.Logf("%d opened, not %v", opened, closed)
	if opened < 30 {
		t.Errorf("only %d samples were opened, not %v", opened, closed)
	}
}

// What acts by itself is found in every sample, and nothing of the kind in the harmless ones.
func TestActiveSamples(t *testing.T) {
	root, all := manifest(t)
	wanted := map[string]scan.Trait{
		"ooxml-vba": scan.Macros, "ooxml-activex": scan.ActiveX, "ooxml-dde": scan.DDE, "ooxml-remote": scan.RemoteObject, "ooxml-ole": scan.EmbeddedObject,
		"html-phish": scan.ActiveHTML, "html-smuggling": scan.ActiveHTML, "ics": scan.ActiveHTML, "excel4-macros": scan.XLMMacros, "msodde": scan.DDE,
		"oleobj": scan.EmbeddedObject, "oleobj/external_link": scan.RemoteObject, "rtfobj": scan.EmbeddedObject, "pdf-embedded": scan.EmbeddedFile,
		"pdf-js": scan.JavaScript, "pdf-launch": scan.Launch, "pdf-richmedia": scan.RichMedia, "pdf-submit": scan.SubmitForm, "rtf-remote": scan.RemoteTemplate,
		"mhtml": scan.ActiveHTML, "vcf": scan.RemoteObject, "xls": scan.Macros, "doc": scan.EmbeddedObject, "iso": scan.DiskImage, "img": scan.DiskImage, "slk": scan.DDE,
	}
	quiet := []string{"docx-clean", "harmless", "rtf-clean", "svg-clean", "x.eml", "strelka-test.pdf"}
	for _, s := range all {
		if !strings.HasPrefix(s.file, "active/") || s.encrypted != "no" {
			continue
		}
		r := look(t, filepath.Join(root, s.file))
		found := func(is func(scan.Trait) bool) bool {
			return slices.ContainsFunc(r.Objects, func(o scan.Object) bool { return slices.ContainsFunc(o.Traits, is) })
		}
		if slices.ContainsFunc(quiet, func(part string) bool { return strings.Contains(s.file, part) }) {
			if found(scan.Trait.Active) {
				t.Errorf("%s: %v", s.file, r.Objects[0].Findings)
			}
			continue
		}
		want := wanted[s.format]
		if strings.HasSuffix(s.file, "foreignobject.svg") {
			want = scan.ActiveHTML
		} else if want == "" {
			want = scan.Executable
		}
		if !found(func(trait scan.Trait) bool { return trait == want }) {
			t.Errorf("%s (%s, %s): no %s but %v", s.file, s.format, s.how, want, r.Objects[0].Traits)
		}
		if len(r.Objects[0].Findings) == 0 {
			t.Errorf("%s: no findings", s.file)
		}
	}
}
