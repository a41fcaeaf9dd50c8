package logline

import (
	"bytes"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"assay/cmd/internal/config"
)

// A journald is what takes records in place of systemd's.
type journald struct {
	path string
	conn *net.UnixConn
}

// newJournald listens at a path.
func newJournald(t *testing.T, path string) *journald {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &journald{path, conn}
}

// record reads one record: fields by name, read as journald does.
func (j *journald) record(t *testing.T) map[string]string {
	t.Helper()
	if err := j.conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	datagram := make([]byte, 1<<20)
	n, err := j.conn.Read(datagram)
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]string{}
	for rest := datagram[:n]; len(rest) > 0; {
		line, after, found := bytes.Cut(rest, []byte("\n"))
		if !found {
			t.Fatalf("%q has no end", rest)
		}
		name, value, plain := strings.Cut(string(line), "=")
		if !plain {
			size := int(binary.LittleEndian.Uint64(after))
			value, after = string(after[8:8+size]), after[8+size+1:]
		}
		if _, twice := fields[name]; twice {
			t.Fatalf("%s is there twice", name)
		}
		fields[name], rest = value, after
	}
	return fields
}

// Every value of a line is a field of its own in the journal, and the line itself is the message.
func TestJournal(t *testing.T) {
	j := newJournald(t, filepath.Join(t.TempDir(), "s"))
	var stderr bytes.Buffer
	l := New(&stderr, Options{Format: config.Journal, Journal: j.path})
	Write(l, view(config.PrivacyDomainOnly), outcome(), nil)
	got := j.record(t)
	for name, want := range map[string]string{"ASSAY_QUEUE_ID": "4XYZ1k2Qz", "ASSAY_SPF": "pass", "ASSAY_N_RCPT": "2", "ASSAY_DISPOSITION": "deliver",
		"PRIORITY": "6", "SYSLOG_IDENTIFIER": "assay", "ASSAY_FROM_DOMAIN": "example.net"} {
		if got[name] != want {
			t.Errorf("%s=%q, want %q", name, got[name], want)
		}
	}
	if m := got["MESSAGE"]; !strings.HasPrefix(m, "4XYZ1k2Qz: client=192.0.2.0/24 tls=1.3 from_domain=example.net ") {
		t.Errorf("MESSAGE=%q", m)
	}
	for level, want := range map[slog.Level]string{slog.LevelInfo: "6", slog.LevelWarn: "4", slog.LevelError: "3"} {
		l.Log(t.Context(), level, "m", "reason", errors.New("x"), slog.Group("g", "n-1", 7))
		if got := j.record(t); got["PRIORITY"] != want || got["ASSAY_REASON"] != "x" || got["ASSAY_G_N_1"] != "7" {
			t.Errorf("%v: %v", level, got)
		}
	}
	if stderr.Len() > 0 {
		t.Errorf("standard error has %s", &stderr)
	}
}

// What a sender writes can add no field to a record and change none.
func TestJournalInjection(t *testing.T) {
	j := newJournald(t, filepath.Join(t.TempDir(), "s"))
	hostile := outcome()
	hostile.Envelope.QueueID = "4X\nPRIORITY=0\nMESSAGE=all is well\n"
	hostile.Envelope.Helo = "a\nASSAY_SPF=pass\x00\n_UID=0\n" + strings.Repeat("x", 5000)
	Write(New(os.Stderr, Options{Journal: j.path}), View{Privacy: config.PrivacyFull}, hostile, nil)
	got := j.record(t)
	if got["PRIORITY"] != "6" || got["_UID"] != "" || strings.ContainsAny(got["MESSAGE"], "\n\x00") ||
		!strings.HasPrefix(got["ASSAY_HELO"], "a\nASSAY_SPF=pass\x00\n_UID=0\nxxx") || len(got["ASSAY_HELO"]) > maxValue+3 {
		t.Errorf("record = %q", got)
	}
	if name := fieldName("_x.y\n=" + strings.Repeat("z", 100)); len(name) != maxField || !strings.HasPrefix(name, "ASSAY__X_Y__ZZZ") {
		t.Errorf("name %q", name)
	}
}

// A record that the journal does not take is a line on standard error, and a journal that comes back is used again.
func TestJournalAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	var stderr bytes.Buffer
	l := New(&stderr, Options{Journal: path})
	l.Warn("nobody listens", "queue_id", "4X")
	if got := stderr.String(); got != "4X: level=warn msg=\"nobody listens\"\n" {
		t.Errorf("standard error has %q", got)
	}
	j := newJournald(t, path)
	l.Warn("one")
	j.record(t)
	j.conn.Close()
	stderr.Reset()
	l.Warn("two")
	if !strings.Contains(stderr.String(), "msg=two") {
		t.Errorf("standard error has %q", &stderr)
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	again := newJournald(t, path)
	l.Warn("three")
	if got := again.record(t); got["ASSAY_QUEUE_ID"] != "" || got["MESSAGE"] != "level=warn msg=three" {
		t.Errorf("record = %q", got)
	}
	many := make([]any, 0, 400)
	for i := range 200 {
		many = append(many, "k"+strings.Repeat("x", i%50)+string(rune('a'+i/50)), strings.Repeat("y", 4000))
	}
	stderr.Reset()
	l.Warn("larger than a datagram", many...)
	if !strings.Contains(stderr.String(), "larger than a datagram") {
		t.Error("a record that is too large for the journal is lost")
	}
}
