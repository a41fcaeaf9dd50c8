package quarantine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A message that has left the queue is passed over; one that may not be read is no reason to say that nothing is held.
func TestHeldMessagesThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	program := func(name, script string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program("postqueue", `echo '{"queue_name":"hold","queue_id":"GONE1"}{"queue_name":"active","queue_id":"OTHER"}{"queue_name":"hold","queue_id":"HELD1"}'`)
	held := "[ $2 = HELD1 ] && printf 'X-Assay-Result: v=1; disposition=quarantine; rules=r\\nSubject: s\\n\\n' && exit\n"
	for reason, want := range map[string]string{"No such file or directory": "", "Permission denied": "open queue file GONE1: Permission denied"} {
		program("postcat", held+"echo postcat: fatal: open queue file $2: "+reason+" >&2; exit 1\n")
		all, err := (&postfixQueue{prefix: "X-Assay", dir: dir + "/"}).Held(t.Context())
		if want != "" {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, %v", reason, all, err)
			}
		} else if err != nil || len(all) != 1 || all[0].ID != "HELD1" || all[0].Subject != "s" {
			t.Errorf("%s: got %v, %v", reason, all, err)
		}
	}
}
