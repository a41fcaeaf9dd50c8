package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The message that --output writes has the line ends of the file it came from, and its body octet for octet, lone CRs
// included.
func TestOutputKeepsLineEnds(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, end := range []string{"\n", "\r\n"} {
		body := "one" + end + "a\rb" + end + end + "last" + end
		in := "From: a@b.example" + end + "Subject: x" + end + end + body
		if err := os.WriteFile("in.eml", []byte(in), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("zone", []byte("b.example. TXT x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		a := &app{in: strings.NewReader(""), out: io.Discard, err: &stderr, now: time.Now}
		if code := a.run(context.Background(), []string{"explain", "in.eml", "--dns", "zone", "-o", "out.eml"}); code != exitDone {
			t.Fatal(&stderr)
		}
		out, err := os.ReadFile("out.eml")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(string(out), end+in) {
			t.Errorf("%q does not end with %q", out, in)
		}
		if got, want := bytes.Count(out, []byte("\r\n")), bytes.Count(out, []byte("\n")); end == "\r\n" && got != want || end == "\n" && got != 0 {
			t.Errorf("%d of %d lines end in CRLF", got, want)
		}
	}
}

func TestLineFeeds(t *testing.T) {
	var out bytes.Buffer
	w := bufio.NewWriter(&out)
	l := &lineFeeds{w: w}
	for _, chunk := range []string{"a\r", "\nb\r\r\nc\rd", "\n\r\n"} {
		if n, err := l.Write([]byte(chunk)); n != len(chunk) || err != nil {
			t.Fatal(n, err)
		}
	}
	w.Flush()
	if want := "a\nb\r\nc\rd\n\n"; out.String() != want {
		t.Errorf("got %q, want %q", &out, want)
	}
}

// A file that cannot be written is an error, exit code 1.
func TestOutputFails(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("in.eml", []byte("From: a@b.example\n\nx\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("zone", []byte("b.example. TXT x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"no/such/directory", "/dev/full"} {
		var stderr bytes.Buffer
		a := &app{in: strings.NewReader(""), out: io.Discard, err: &stderr, now: time.Now}
		if code := a.run(context.Background(), []string{"explain", "in.eml", "--dns", "zone", "-o", file}); code != exitFailed || stderr.Len() == 0 {
			t.Errorf("%s: exit code %d, %s", file, code, &stderr)
		}
	}
}

// The time is left out only where the journal adds it: standard error may have been redirected within the service.
func TestIsJournal(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var stat syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &stat); err != nil {
		t.Fatal(err)
	}
	stream := fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
	for _, tt := range []struct {
		stream string
		w      any
		want   bool
	}{{stream, f, true}, {"1:" + stream, f, false}, {"", f, false}, {stream, &bytes.Buffer{}, false}} {
		if got := isJournal(tt.w, func(string) string { return tt.stream }); got != tt.want {
			t.Errorf("%q: got %v", tt.stream, got)
		}
	}
}
