package packagetest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"assay/cmd/internal/mtatest"
)

// A private Postfix that cannot reach Assay gets its main.cf back, octet for octet, at once: mail must not wait for a mistake of
// permissions that root does not notice.
func TestSetupIsPutBack(t *testing.T) {
	sink, err := mtatest.NewSink()
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	postfix, err := mtatest.StartPostfix(mtatest.PostfixOptions{Sink: sink})
	if errors.Is(err, mtatest.ErrUnavailable) && os.Getenv("ASSAY_REQUIRE_MTA") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer postfix.Close()
	dir := filepath.Join(postfix.Spool(), "closed") // root may enter, Postfix may not
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	program, err := mtatest.BuildAssay(t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	daemon, err := mtatest.StartDaemon(program, "format: 1\nlisten: {milter: unix:"+dir+"/m.sock}\nresolver: {servers: [127.0.0.1:9], timeout: 1s}\n", "")
	if err != nil {
		t.Fatal(err)
	}
	defer daemon.Close()
	etc := filepath.Join(filepath.Dir(postfix.Spool()), "etc")
	odd(t, filepath.Join(etc, "main.cf"))
	before, err := os.ReadFile(filepath.Join(etc, "main.cf"))
	if err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(t.TempDir(), "state")
	setup := func(args ...string) (string, int) {
		t.Helper()
		out, code, err := daemon.Run(append([]string{"setup", "--mta", "postfix", "--mta-config", etc, "--state", state, "--probe-to", "a@example.org"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		return out, code
	}
	if out, code := setup("--apply"); code != 1 || !strings.Contains(out, "what was there was put back") || !strings.Contains(out, "the user postfix has no access to "+dir) {
		t.Errorf("exit code %d\n%s\n%s", code, out, postfix.Log())
	}
	if after, err := os.ReadFile(filepath.Join(etc, "main.cf")); err != nil || string(after) != string(before) {
		t.Errorf("main.cf is\n%s\nwas\n%s", after, before)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "m.sock"), 0o666); err != nil {
		t.Fatal(err)
	}
	if out, code := setup("--apply"); code != 0 || !strings.Contains(out, "proven: ") {
		t.Errorf("exit code %d\n%s\n%s", code, out, postfix.Log())
	}
	if out, code := setup("--check"); code != 0 {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if main, err := os.ReadFile(filepath.Join(etc, "main.cf")); err != nil ||
		!strings.Contains(string(main), "{ unix:closed/m.sock, default_action=tempfail, protocol=6 }, inet:127.0.0.1:9, { inet:127.0.0.1:7, default_action=accept }") {
		t.Errorf("main.cf is\n%s", main)
	}
	if out, code := setup("--undo"); code != 0 {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if after, err := os.ReadFile(filepath.Join(etc, "main.cf")); err != nil || string(after) != string(before) {
		t.Errorf("main.cf is\n%s\nwas\n%s", after, before)
	}
	if info, err := os.Lstat(filepath.Join(etc, "main.cf")); err != nil || info.Mode().IsRegular() {
		t.Errorf("main.cf is no symbolic link any more: %v", err)
	}
}

// odd makes a main.cf as long years make it: a symbolic link, a parameter twice, comments inside a value, milters that are away and
// whose mail passes, and an old protocol.
func odd(t *testing.T, path string) {
	t.Helper()
	const years = "# twice\nsmtpd_milters = inet:127.0.0.1:9,\n# $old\n   { inet:127.0.0.1:7, default_action=accept }\nmilter_default_action = accept\nmilter_protocol = 2\n"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	real := filepath.Join(t.TempDir(), "main.cf")
	if err := errors.Join(os.WriteFile(real, append(text, years...), 0o644), os.Remove(path), os.Symlink(real, path)); err != nil {
		t.Fatal(err)
	}
}
