package clienttest

import (
	"fmt"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"assay/cmd/internal/mtatest"
)

// A host is a private Dovecot: a directory with its configuration and one mailbox. Where the test is run by root, it belongs
// to nobody, because Dovecot serves no mail of root.
type host struct {
	dir      string
	uid, gid int
	imap     int // port
}

// conf is Dovecot's configuration; it reads no file of the system.
const conf = `protocols = imap
listen = 127.0.0.1
base_dir = %[1]s/run
state_dir = %[1]s/run
log_path = %[1]s/dovecot.log
default_internal_user = %[2]s
default_internal_group = %[3]s
default_login_user = %[2]s
first_valid_uid = 1
mail_uid = %[2]s
mail_gid = %[3]s
mail_home = %[1]s
mail_location = maildir:%[1]s/mail
ssl = no
disable_plaintext_auth = no
passdb {
  driver = static
  args = password=secret
}
userdb {
  driver = static
  args = uid=%[2]s gid=%[3]s home=%[1]s
}
service imap-login {
  chroot =
  inet_listener imap {
    port = %[4]d
  }
  inet_listener imaps {
    port = 0
  }
}
service anvil {
  chroot =
}
`

// newHost makes the directory and the configuration. Nothing runs yet.
func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{uid: os.Getuid(), gid: os.Getgid()}
	who, err := user.Current()
	if h.uid == 0 {
		who, err = user.Lookup("nobody")
	}
	must(t, err)
	group, err := user.LookupGroupId(who.Gid)
	must(t, err)
	h.uid, err = strconv.Atoi(who.Uid)
	must(t, err)
	h.gid, err = strconv.Atoi(who.Gid)
	must(t, err)
	// A short path, because that of a unix socket has to fit into 107 octets; others may enter, because the owner changes.
	h.dir, err = os.MkdirTemp("", "assay-client-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(h.dir) })
	must(t, os.Chmod(h.dir, 0o755))
	must(t, os.Chown(h.dir, h.uid, h.gid))
	h.imap, err = mtatest.FreePort()
	must(t, err)
	h.write(t, "dovecot.conf", fmt.Appendf(nil, conf, h.dir, who.Username, group.Name, h.imap))
	return h
}

func (h *host) path(name string) string { return filepath.Join(h.dir, name) }

// write writes a file that belongs to the owner of the mailbox.
func (h *host) write(t *testing.T, name string, data []byte) {
	t.Helper()
	must(t, os.WriteFile(h.path(name), data, 0o644))
	must(t, os.Chown(h.path(name), h.uid, h.gid))
}

// owner makes a program run as the owner of the mailbox, in a session of its own.
func (h *host) owner() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setsid: true}
	if os.Getuid() == 0 {
		a.Credential = &syscall.Credential{Uid: uint32(h.uid), Gid: uint32(h.gid)}
	}
	return a
}

func sorted(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
