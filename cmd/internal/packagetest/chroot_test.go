// Package packagetest installs the packages as an administrator does, on a fresh Debian 12 with real dpkg and Postfix, without
// systemd, and looks at what is in them. Everything happens in a chroot in memory, in namespaces without a network.
package packagetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

const packaging = "../../../packaging/"

// packages returns a directory with packages, and another one with those built from another copy of the tree.
func packages(t *testing.T) (one, two string) {
	t.Helper()
	one, two = os.Getenv("ASSAY_PACKAGES"), os.Getenv("ASSAY_PACKAGES_AGAIN")
	if one == "" || two == "" {
		t.Fatal("ASSAY_PACKAGES and ASSAY_PACKAGES_AGAIN have to name directories with packages: make e2e builds them")
	}
	return one, two
}

// only returns the only file that matches a pattern in a directory.
func only(t *testing.T, dir, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) != 1 {
		t.Fatalf("%s in %s: %v, %v", pattern, dir, files, err)
	}
	return files[0]
}

// deb returns the Debian package of this architecture.
func deb(t *testing.T) string {
	t.Helper()
	one, _ := packages(t)
	return only(t, one, "*_"+runtime.GOARCH+".deb")
}

// inside runs a script as root on a fresh Debian 12 with Postfix, and returns what it prints. /assay.deb is the package, /new.deb
// the same with a higher version.
func inside(t *testing.T, script string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("only root can run dpkg in a chroot")
	}
	base, err := filepath.Abs("../../../dist/test/debian.tar")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(base); err != nil {
		t.Fatalf("packaging/test/deps.sh makes it: %v", err)
	}
	dir := t.TempDir()
	first := deb(t)
	newer := filepath.Join(dir, "new.deb")
	repack(t, first, newer)
	// It is in memory and goes with the namespace.
	const outer = `set -e
mount -t tmpfs -o size=2g,mode=755 tmpfs "$2"
tar -x -p -f "$1" -C "$2"
mount -t proc proc "$2/proc"
cp "$3" "$2/assay.deb"
cp "$4" "$2/new.deb"
printf '%s' "$5" >"$2/script"
exec chroot "$2" /bin/sh /script`
	cmd := exec.Command("unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "sh", "-c", outer, "sh", base, mkdir(t, dir, "mnt"), first, newer, loopback+script)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", "HOME=/root"}
	cmd.WaitDelay = 5 * time.Second // daemons inside hold the output open until the namespace is gone
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// loopback begins every script: the network of the namespace is switched on, and Postfix gets a name.
const loopback = `set -eu
perl -e 'use Socket; socket(S, AF_INET, SOCK_DGRAM, 0) or die; my $r = pack("a16s x14", "lo", 0x41); ioctl(S, 0x8914, $r) or die'
postconf -e myhostname=mx.assay.test 'mydestination=$myhostname, localhost' inet_interfaces=loopback-only
say() { printf '== %s\n' "$*"; }
`

func mkdir(t *testing.T, elements ...string) string {
	t.Helper()
	dir := filepath.Join(elements...)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// repack writes a package again with a higher version.
func repack(t *testing.T, from, to string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "deb")
	run(t, "dpkg-deb", "-R", from, dir)
	control := filepath.Join(dir, "DEBIAN/control")
	text, err := os.ReadFile(control)
	if err != nil {
		t.Fatal(err)
	}
	var changed strings.Builder
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "Version: ") {
			line = strings.TrimSpace(line) + "+upgrade\n"
		}
		changed.WriteString(line)
	}
	if err := os.WriteFile(control, []byte(changed.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "dpkg-deb", "--root-owner-group", "-Znone", "-b", dir, to)
}

// run runs a program that must succeed and returns what it prints.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// wants fails unless every text is in what a script has printed, in this order.
func wants(t *testing.T, out string, texts ...string) {
	t.Helper()
	rest := out
	for _, text := range texts {
		i := strings.Index(rest, text)
		if i < 0 {
			t.Fatalf("%q is missing, or too early, in\n%s", text, out)
		}
		rest = rest[i+len(text):]
	}
}
