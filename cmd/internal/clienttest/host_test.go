package clienttest

import (
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

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

// serve starts Dovecot, which serves the mailbox to everybody who knows the password "secret".
func (h *host) serve(t *testing.T) {
	t.Helper()
	requireProgram(t, "dovecot")
	if _, err := os.Stat("/usr/lib/dovecot/imap"); err != nil {
		t.Skip("NOT RUN: Dovecot's IMAP server is not installed, run packaging/test/deps.sh")
	}
	c := exec.Command("dovecot", "-F", "-c", h.path("dovecot.conf"))
	c.SysProcAttr, c.Dir = h.owner(), h.dir
	start(t, c)
	poll(t, "Dovecot", func() (string, error) {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", h.imap))
		if err != nil {
			return "", err
		}
		return "", conn.Close()
	})
}

// store puts a message into the Inbox with a number, which becomes its UID.
func (h *host) store(t *testing.T, n int, text []byte) {
	t.Helper()
	for _, dir := range []string{"mail", "mail/new", "mail/cur", "mail/tmp"} {
		if err := os.Mkdir(h.path(dir), 0o755); err == nil {
			must(t, os.Chown(h.path(dir), h.uid, h.gid))
		}
	}
	h.write(t, fmt.Sprintf("mail/new/%d.M%d.client", 1700000000+n, n), text)
}

// guardScript waits until the program that started it is gone, or closes the pipe on purpose. Then it kills a process group.
const guardScript = `
trap '' HUP INT TERM
read -r _
kill -KILL "-$1" 2>/dev/null
`

// start runs a program to the end of the test in a process group of its own, which a guard kills even if the test is killed.
func start(t *testing.T, c *exec.Cmd) {
	t.Helper()
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	}
	must(t, c.Start())
	guard := exec.Command("/bin/sh", "-c", guardScript, "guard", strconv.Itoa(c.Process.Pid))
	guard.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := guard.StdinPipe()
	if err == nil {
		err = guard.Start()
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		if pipe != nil {
			_ = pipe.Close()
			_ = guard.Wait()
		}
		_ = c.Wait() // killed: its status says nothing
	})
	must(t, err)
}

// poll waits until something answers, for at most a minute.
func poll(t *testing.T, what string, ask func() (string, error)) string {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		answer, err := ask()
		if err == nil {
			return answer
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not answer: %v", what, err)
		}
	}
}
