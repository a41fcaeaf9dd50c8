package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the want sections of the cases")

// TestCommandLine runs every case of testdata: command lines in, what a user sees out. A case is a txtar file: a comment,
// the files of the working directory, "commands" with one command line per line, and "want" with the transcript.
// Standard error is marked with "! ", durations are zeroed.
func TestCommandLine(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for i := range files {
		if files[i], err = filepath.Abs(files[i]); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { runCase(t, file) })
	}
}

func runCase(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	var commands string
	want := -1
	for i, f := range archive.Files {
		switch f.Name {
		case "commands":
			commands = string(f.Data)
		case "want":
			want = i
		default:
			if err := os.WriteFile(f.Name, f.Data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	var transcript strings.Builder
	for line := range strings.Lines(commands) {
		runLine(t, &transcript, strings.TrimSpace(line))
	}
	if want < 0 {
		archive.Files = append(archive.Files, txtar.File{Name: "want"})
		want = len(archive.Files) - 1
	}
	if *update {
		archive.Files[want].Data = []byte(transcript.String())
		if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := transcript.String(); got != string(archive.Files[want].Data) {
		t.Errorf("got:\n%s\nwant:\n%s", got, archive.Files[want].Data)
	}
}

// runLine runs "NAME=VALUE... assay ARGUMENT... [< FILE]", or "cat FILE", and adds what it prints to the transcript.
func runLine(t *testing.T, transcript *strings.Builder, line string) {
	t.Helper()
	fmt.Fprintf(transcript, "$ %s\n", line)
	words := strings.Fields(line)
	if words[0] == "cat" {
		text, err := os.ReadFile(words[1])
		if err != nil {
			fmt.Fprintf(transcript, "no file\n")
			return
		}
		transcript.WriteString(strings.ReplaceAll(string(text), "\r\n", "^M\n"))
		return
	}
	var out, stderr bytes.Buffer
	a := &app{in: strings.NewReader(""), out: &out, err: &stderr, now: func() time.Time { return time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC) }}
	for ; words[0] != "assay"; words = words[1:] {
		a.environ = append(a.environ, words[0])
	}
	if i := len(words) - 2; i > 0 && words[i] == "<" {
		text, err := os.ReadFile(words[i+1])
		if err != nil {
			t.Fatal(err)
		}
		a.in, words = bytes.NewReader(text), words[:i]
	}
	code := a.run(context.Background(), words[1:])
	transcript.WriteString(steady(out.String()))
	for l := range strings.Lines(stderr.String()) {
		transcript.WriteString("! " + steady(l))
	}
	if code != 0 {
		fmt.Fprintf(transcript, "exit code %d\n", code)
	}
}

// steady replaces what differs from run to run.
func steady(text string) string {
	text = regexp.MustCompile(`\([0-9.]+ ms`).ReplaceAllString(text, "(0.0 ms")
	text = regexp.MustCompile(`"asked": [0-9]+`).ReplaceAllString(text, `"asked": 0`)
	text = regexp.MustCompile(`"set": "[0-9a-f]+"`).ReplaceAllString(text, `"set": "HASH"`)
	return regexp.MustCompile(`_ms": [0-9.]+`).ReplaceAllString(text, `_ms": 0`)
}

// The members of the JSON are an interface: this test fails when one is renamed or removed, and when an array is null.
func TestExplainJSON(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("m.eml", []byte("Subject: hi\n\nbody\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("empty.zone", []byte("example. TXT x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, flags := range []string{"", "--auth-user u", "--client-ip 192.0.2.1 --helo x.example --mail-from a@b.example --rcpt c@d.example"} {
		var out, stderr bytes.Buffer
		a := &app{in: strings.NewReader(""), out: &out, err: &stderr, now: time.Now}
		line := append([]string{"explain", "m.eml", "--json", "--dns", "empty.zone"}, strings.Fields(flags)...)
		if code := a.run(context.Background(), line); code != 0 {
			t.Fatalf("exit code %d: %s", code, &stderr)
		}
		var report map[string]any
		if err := json.Unmarshal(out.Bytes(), &report); err != nil {
			t.Fatal(err)
		}
		results := report["results"].(map[string]any)
		for _, name := range []string{"findings", "defects", "plan", "headers", "removed", "dns", "faults"} {
			if _, ok := report[name].([]any); !ok {
				t.Errorf("%q: %s is %v, not an array", flags, name, report[name])
			}
		}
		for _, name := range []string{"spf", "dkim", "smime"} {
			if _, ok := results[name].([]any); !ok {
				t.Errorf("%q: results.%s is %v, not an array", flags, name, results[name])
			}
		}
		for _, name := range []string{"arc", "dmarc", "iprev", "auth"} {
			if r, ok := results[name].(map[string]any)["result"].(string); !ok || r == "" {
				t.Errorf("%q: results.%s has no result: %v", flags, name, results[name])
			}
		}
		if _, ok := report["decision"].(map[string]any)["rules"].([]any); !ok {
			t.Errorf("%q: decision.rules is not an array", flags)
		}
		if strings.Contains(out.String(), "[]null") || strings.Contains(out.String(), ": null,\n    \"steps") {
			t.Errorf("null array in %s", &out)
		}
	}
}
