package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A file that is larger than the window in which its line ends are looked at keeps them.
func TestLargeFilesKeepTheirLineEnds(t *testing.T) {
	for _, end := range []string{"\n", "\r\n"} {
		text := "From: a@b.example" + end + end + strings.Repeat("some text that is not the same everywhere"+end, 5000)
		dir := t.TempDir()
		in, out := filepath.Join(dir, "in.eml"), filepath.Join(dir, "out.eml")
		if err := os.WriteFile(in, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		a := &app{in: strings.NewReader(""), out: io.Discard, err: io.Discard, now: time.Now}
		if code := a.run(context.Background(), []string{"explain", in, "--dns", os.DevNull, "-o", out}); code != 0 {
			t.Fatalf("exit code %d", code)
		}
		got, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasSuffix(got, []byte(text[strings.Index(text, end+end):])) || bytes.Count(got, []byte("\r\n")) != 0 && end == "\n" {
			t.Errorf("%q became %q", text[:40], got[:80])
		}
	}
}
