package textdiff

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestUnified(t *testing.T) {
	const old = "a\nb\nc\nd\ne\nf\ng\nh\n"
	for _, tt := range []struct{ name, a, b, want string }{
		{"same", old, old, ""},
		{"changed", old, strings.Replace(old, "d", "D", 1), "--- x\n+++ y\n@@ -1,7 +1,7 @@\n a\n b\n c\n-d\n+D\n e\n f\n g\n"},
		{"added to nothing", "", "a\n", "--- x\n+++ y\n@@ -0,0 +1 @@\n+a\n"},
		{"no line end", "a\n", "a", "--- x\n+++ y\n@@ -1 +1 @@\n-a\n+a\n\\ No newline at end of file\n"},
		{"binary", "a\x00", "b", "Binary files x and y differ\n"},
	} {
		if got := Unified("x", []byte(tt.a), "y", []byte(tt.b)); got != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", tt.name, got, tt.want)
		}
	}
}

// What is shown leads from one text to the other: patch(1) is the judge, where it is installed.
func FuzzUnified(f *testing.F) {
	f.Add("a\nb\nc\n", "a\nc\nd\n")
	f.Add("", "x\n")
	f.Add(strings.Repeat("x\n", 40), strings.Repeat("x\n", 20)+"y\n"+strings.Repeat("x\n", 20))
	patch, err := exec.LookPath("patch")
	f.Fuzz(func(t *testing.T, a, b string) {
		diff := Unified("x", []byte(a), "x", []byte(b))
		if (a == b) != (diff == "") {
			t.Fatalf("%q, %q: %q", a, b, diff)
		}
		if err != nil || diff == "" || strings.HasPrefix(diff, "Binary") || strings.Contains(a+b, "\r") || len(a)+len(b) > 1000 {
			return
		}
		path := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(path, []byte(a), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(patch, "-s", "--posix", path)
		cmd.Stdin = strings.NewReader(diff)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v %s\n%s", err, out, diff)
		}
		if got, _ := os.ReadFile(path); string(got) != b && b != "" {
			t.Errorf("%q became %q, not %q", a, got, b)
		}
	})
}

func TestVeryDifferentTextsAreBounded(t *testing.T) {
	a, b := strings.Repeat("a\n", 200_000), strings.Repeat("b\n", 200_000)
	if got := Unified("x", []byte(a), "y", []byte(b)); len(got) > maxDiff+100 {
		t.Errorf("%d octets", len(got))
	}
}
