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
	if out, code := setup("--apply"); code != 1 || !strings.Contains(out, "what was there was put back") {
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
	if out, code := setup("--undo"); code != 0 {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if after, err := os.ReadFile(filepath.Join(etc, "main.cf")); err != nil || string(after) != string(before) {
		t.Errorf("main.cf is\n%s\nwas\n%s", after, before)
	}
}
