package packagetest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"assay/cmd/internal/setup"
)

// Two builds, from two copies of the tree, are the same octet for octet.
func TestReproducible(t *testing.T) {
	one, two := packages(t)
	files, err := filepath.Glob(filepath.Join(one, "*.*"))
	if err != nil || len(files) < 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		a, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(two, filepath.Base(f)))
		if err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s differs in another build (%v)", filepath.Base(f), err)
		}
	}
}

// shipped are files that both packages have.
func shipped() []string {
	return []string{"/usr/sbin/assay", "/etc/assay/assay.yaml", "/etc/assay/rules.d", "/usr/share/assay/rules.d/00-base.yaml",
		"/usr/share/assay/assay.schema.json", "/usr/share/assay/rules.schema.json", "/usr/share/assay/sbom.cdx.json",
		"/usr/lib/systemd/system/assay.service", "/usr/lib/systemd/system/assay.socket", "/usr/lib/sysusers.d/assay.conf",
		"/usr/lib/tmpfiles.d/assay.conf", "/usr/share/man/man1/assay.1.gz", "/usr/share/man/man5/assay.yaml.5.gz",
		"/usr/share/man/man5/assay-rules.5.gz", "/usr/share/man/man7/assay-headers.7.gz", "/usr/share/man/man8/assay-serve.8.gz",
		"/usr/share/bash-completion/completions/assay", "/usr/share/fish/vendor_completions.d/assay.fish",
		"/usr/share/doc/assay/copyright", "/usr/share/doc/assay/changelog.gz", "/usr/share/doc/assay/README.md"}
}

// The deb has every file, owned by root and writable by nobody else.
func TestDebContents(t *testing.T) {
	list := run(t, "dpkg-deb", "-c", deb(t))
	for _, f := range append(shipped(), "/usr/share/zsh/vendor-completions/_assay", "/etc/apparmor.d/usr.sbin.assay", "/etc/init.d/assay",
		"/usr/share/doc/assay/changelog.Debian.gz") {
		if !regexp.MustCompile(`(?m) \.` + regexp.QuoteMeta(f) + `/?$`).MatchString(list) {
			t.Errorf("%s is not in the package", f)
		}
	}
	for line := range strings.Lines(list) {
		f := strings.Fields(line)
		if f[1] != "root/root" || f[0][5] == 'w' || f[0][8] == 'w' {
			t.Errorf("owner or permissions: %s", line)
		}
	}
	conffiles := run(t, "dpkg-deb", "-I", deb(t), "conffiles")
	for _, f := range []string{"/etc/assay/assay.yaml", "/etc/init.d/assay", "/etc/apparmor.d/usr.sbin.assay", "/etc/logrotate.d/assay"} {
		if !strings.Contains(conffiles, f+"\n") {
			t.Errorf("%s is no conffile", f)
		}
	}
}

// lintian has nothing that it calls an error.
func TestLintian(t *testing.T) {
	if _, err := exec.LookPath("lintian"); err != nil {
		t.Skip("lintian is not installed")
	}
	out, err := exec.Command("lintian", "--fail-on", "error", "--allow-root", deb(t)).CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

// The rpm has every file, marks the configuration, and its scripts are shell.
func TestRPM(t *testing.T) {
	one, _ := packages(t)
	arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	file := only(t, one, "*."+arch+".rpm")
	list := run(t, "rpm", "-qp", "--list", file)
	for _, f := range append(shipped(), "/usr/share/zsh/site-functions/_assay") {
		if !slices.Contains(strings.Split(list, "\n"), f) {
			t.Errorf("%s is not in the package", f)
		}
	}
	if got := run(t, "rpm", "-qp", "--queryformat", "%{NAME} %{LICENSE} %{BUILDHOST}", file); got != "assay Apache-2.0 assay" {
		t.Errorf("got %s", got)
	}
	if got := run(t, "rpm", "-qp", "--configfiles", file); !strings.Contains(got, "/etc/assay/assay.yaml") {
		t.Errorf("configuration files: %s", got)
	}
	scripts := run(t, "rpm", "-qp", "--scripts", file)
	for _, want := range []string{"postinstall", "preuninstall", "postuninstall", "config check --no-rules", "setup --undo"} {
		if !strings.Contains(scripts, want) {
			t.Errorf("no %q in the scripts", want)
		}
	}
}

// Every maintainer script parses.
func TestScripts(t *testing.T) {
	for _, pattern := range []string{"deb/p*", "rpm/p*", "etc/init", "*.sh"} {
		files, err := filepath.Glob(packaging + pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, f := range files {
			run(t, "sh", "-n", f)
		}
	}
}

// systemd finds the services exposed to at most 1.2 of 10.
func TestExposure(t *testing.T) {
	for _, unit := range []string{"assay.service", "assay-expire.service", "assay-dmarc-report.service"} {
		out := run(t, "systemd-analyze", "security", "--no-pager", "--offline=true", packaging+"systemd/"+unit)
		m := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindStringSubmatch(out)
		if m == nil {
			t.Fatalf("no level in %s", out)
		}
		level, err := strconv.ParseFloat(m[1], 64)
		if err != nil || level > 1.2 {
			t.Errorf("%s: exposure %s (%v)", unit, m[1], err)
		}
		t.Logf("%s: %s", unit, m[1])
	}
}

// The AppArmor profile parses.
func TestAppArmor(t *testing.T) {
	run(t, "apparmor_parser", "--skip-kernel-load", "--skip-cache", packaging+"apparmor/usr.sbin.assay")
}

// The image is the same whenever it is made, every digest is right, and the program in it runs in its root, as its user, and
// speaks milter.
func TestImage(t *testing.T) {
	dir := t.TempDir()
	run(t, "dpkg-deb", "-x", deb(t), filepath.Join(dir, "deb"))
	program := filepath.Join(dir, "deb/usr/sbin/assay")
	release := filepath.Join(dir, "release")
	if given := os.Getenv("ASSAY_RELEASE"); given != "" {
		release = given
	} else {
		run(t, "go", "build", "-buildvcs=false", "-o", release, "assay/cmd/internal/release")
	}
	var images [2][]byte
	for i := range images {
		out := filepath.Join(dir, "image"+strconv.Itoa(i))
		cmd := exec.Command(release, "image", out, runtime.GOARCH+"="+program)
		cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1700000000", "VERSION=1.2.3", "REVISION=abc")
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		var err error
		if images[i], err = os.ReadFile(out); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(images[0], images[1]) {
		t.Error("the image differs")
	}
	root := mkdir(t, dir, "root")
	unpack(t, layer(t, files(t, images[0])), root)
	serveInside(t, root)
}

// files returns the files of an image layout.
func files(t *testing.T, image []byte) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	r := tar.NewReader(bytes.NewReader(image))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if all[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

// layer follows the layout from its index to the layer, and checks every digest.
func layer(t *testing.T, all map[string][]byte) []byte {
	t.Helper()
	type pointer struct{ Digest string }
	var index struct{ Manifests []pointer }
	var manifest struct {
		Config pointer
		Layers []pointer
	}
	var config struct {
		Config struct {
			User       string
			StopSignal string
			Entrypoint []string
		}
	}
	read := func(p pointer, into any) []byte {
		blob, ok := all["blobs/sha256/"+strings.TrimPrefix(p.Digest, "sha256:")]
		if sum := setup.Hash(blob); !ok || "sha256:"+sum != p.Digest {
			t.Fatalf("%s: %s", p.Digest, sum)
		}
		if into != nil {
			if err := json.Unmarshal(blob, into); err != nil {
				t.Fatal(err)
			}
		}
		return blob
	}
	if err := json.Unmarshal(all["index.json"], &index); err != nil || len(index.Manifests) != 1 {
		t.Fatalf("%v, %v in %v", err, index, slices.Collect(maps.Keys(all)))
	}
	read(index.Manifests[0], &manifest)
	read(manifest.Config, &config)
	if config.Config.User != "65532:65532" || config.Config.StopSignal != "SIGTERM" || len(config.Config.Entrypoint) != 1 {
		t.Errorf("configuration %+v", config)
	}
	return read(manifest.Layers[0], nil)
}

// unpack unpacks a layer.
func unpack(t *testing.T, packed []byte, root string) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("tar", "-x", "-p", "--same-owner", "-C", root)
	cmd.Stdin = z
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// serveInside runs the program in a root directory with nothing else, as the user of the image.
func serveInside(t *testing.T, root string) {
	t.Helper()
	chroot := func(args ...string) *exec.Cmd {
		cmd := exec.Command("chroot", append([]string{"--userspec=65532:65532", root, "/assay"}, args...)...)
		cmd.Env = []string{"ASSAY__LISTEN__MILTER=unix:/run/assay/milter.sock", "ASSAY__RESOLVER__SERVERS=127.0.0.1"}
		return cmd
	}
	for _, args := range [][]string{{"version"}, {"config", "check"}} {
		if out, err := chroot(args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	var log bytes.Buffer
	daemon := chroot("serve")
	daemon.Stdout, daemon.Stderr = &log, &log
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	var err error
	for time.Now().Before(deadline) {
		if err = setup.Handshake(t.Context(), "unix", filepath.Join(root, "run/assay/milter.sock")); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	_ = daemon.Process.Signal(os.Interrupt)
	if ended := daemon.Wait(); err != nil || ended != nil {
		t.Errorf("handshake: %v, end: %v\n%s", err, ended, &log)
	}
}
