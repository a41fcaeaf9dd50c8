package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"assay/cmd/internal/report"
)

const packaging = "../../packaging/"

// output runs a command line that must succeed and returns what it prints.
func output(t *testing.T, line ...string) []byte {
	t.Helper()
	var out, stderr bytes.Buffer
	a := &app{in: strings.NewReader(""), out: &out, err: &stderr, now: time.Now}
	if code := a.run(context.Background(), line); code != exitDone {
		t.Fatalf("%v: exit code %d, %s", line, code, &stderr)
	}
	return out.Bytes()
}

// The manual pages in packaging are what the program prints.
func TestManualPages(t *testing.T) {
	for section, file := range map[string]string{"1": "man/assay.1", "5": "man/assay.yaml.5"} {
		got := output(t, "man", section)
		if *update {
			if err := os.WriteFile(packaging+file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(packaging + file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is out of date: go test ./cmd/assay -update", file)
		}
	}
}

// The lines in packaging are those that the snippet commands print for the defaults.
func TestSnippetFiles(t *testing.T) {
	config := filepath.Join(t.TempDir(), "default.yaml")
	if err := os.WriteFile(config, []byte("format: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, command := range map[string]string{"postfix/main.cf.snippet": "postfix", "sendmail/assay.mc": "sendmail"} {
		text, err := os.ReadFile(packaging + file)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := settings(string(text)), settings(string(output(t, command, "snippet", "--config", config))); got != want {
			t.Errorf("%s has\n%s\nthe command prints\n%s", file, got, want)
		}
	}
}

// settings returns the lines of a file that are no comments.
func settings(text string) string {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "dnl") && strings.TrimSpace(line) != "" {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// Every member of the JSON is documented.
func TestJSONIsDocumented(t *testing.T) {
	text, err := os.ReadFile(packaging + "explain-json.md")
	if err != nil {
		t.Fatal(err)
	}
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Slice || typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || typ == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range typ.NumField() {
			f := typ.Field(i)
			name := f.Tag.Get("json")
			if name == "" {
				t.Errorf("%s.%s has no JSON name", typ, f.Name)
			}
			if !strings.Contains(string(text), "`"+name+"`") && !strings.Contains(string(text), "`"+name+"[]`") {
				t.Errorf("%q of %s is not documented", name, typ)
			}
			if f.Type.Kind() == reflect.Slice && strings.Contains(f.Tag.Get("json"), "omitempty") {
				t.Errorf("%q can be missing", name)
			}
			walk(f.Type)
		}
	}
	walk(reflect.TypeFor[report.Report]())
}

// The unit and its socket agree with the program about names.
func TestUnits(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(packaging + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	service, socket := read("systemd/assay.service"), read("systemd/assay.socket")
	for _, want := range []string{"Type=notify\n", "ExecStart=/usr/sbin/assay serve\n", "ExecStartPre=/usr/sbin/assay config check --no-rules\n",
		"ExecReload=/usr/sbin/assay ctl reload\n", "WatchdogSec=60\n", "PartOf=assay.socket\n"} {
		if !strings.Contains(service, want) {
			t.Errorf("assay.service lacks %q", want)
		}
	}
	address := "unix:/var/spool/postfix/assay/milter.sock"
	if !strings.Contains(socket, "FileDescriptorName=milter\n") || !strings.Contains(socket, "ListenStream="+strings.TrimPrefix(address, "unix:")+"\n") {
		t.Error("assay.socket has other names than the manual")
	}
	if got := string(output(t, "postfix", "snippet", "--address", address)); !strings.Contains(got, "\nsmtpd_milters = unix:assay/milter.sock\n") {
		t.Errorf("got %s", got)
	}
	var stderr bytes.Buffer
	a := &app{in: strings.NewReader(""), out: io.Discard, err: &stderr, now: time.Now,
		environ: []string{"ASSAY__LISTEN__MILTER=fd:milter"}}
	if code := a.run(context.Background(), []string{"config", "check"}); code != exitDone {
		t.Errorf("fd:milter is refused: %s", &stderr)
	}
}
