package setup

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// obstacle says what keeps a user from a unix socket, as far as permissions tell, and "" if nothing does. Root, who runs setup,
// does not notice it. Directories above top are not looked at: whoever lives in a chroot does not pass them.
func obstacle(socket, top, name string) string {
	u, err := user.Lookup(name)
	if err != nil {
		return ""
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	path := top
	for _, element := range strings.Split(strings.Trim(strings.TrimPrefix(socket, top), "/"), "/") {
		path = filepath.Join(path, element)
		info, err := os.Stat(path)
		if err != nil {
			return ""
		}
		need := fs.FileMode(1) // to enter a directory
		if path == socket {
			need = 2 // to connect
		}
		s, ok := info.Sys().(*syscall.Stat_t)
		if ok && uid != 0 && allowed(info.Mode().Perm(), s, uid, gid)&need == 0 {
			return fmt.Sprintf("the user %s has no access to %s (mode %04o, owner %s)", name, path, info.Mode().Perm(), owner(s))
		}
	}
	return ""
}

// allowed returns the three bits that count for a user. An MTA drops its other groups before it connects.
func allowed(mode fs.FileMode, s *syscall.Stat_t, uid, gid int) fs.FileMode {
	switch {
	case int(s.Uid) == uid:
		return mode >> 6 & 7
	case int(s.Gid) == gid:
		return mode >> 3 & 7
	}
	return mode & 7
}

// owner returns the names of the owner and the group of a file.
func owner(s *syscall.Stat_t) string {
	name, group := strconv.Itoa(int(s.Uid)), strconv.Itoa(int(s.Gid))
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return name + ":" + group
}

// unsafe says which directory of a path others than its owner may write to: Sendmail takes no socket below it.
func unsafe(socket string) string {
	for path := filepath.Dir(socket); path != "/" && path != "."; path = filepath.Dir(path) {
		info, err := os.Stat(path)
		if err == nil && info.Mode().Perm()&0o022 != 0 && info.Mode()&fs.ModeSticky == 0 {
			return fmt.Sprintf("group or others may write to %s (mode %04o), and Sendmail takes no socket below such a directory", path, info.Mode().Perm())
		}
	}
	return ""
}
