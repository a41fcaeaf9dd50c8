package clienttest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const clients = "../../../packaging/clients/"

// A filing is where a set of scripts has to put mail.
type filing struct {
	scripts []string
	want    map[string]string // folder and flags by name of mail; what is not named stays in INBOX without flags
}

// The folders, with keywords and flags in the order of their names.
const (
	junk        = "Junk"
	phishing    = "Junk $Junk $Phishing"
	flagged     = `INBOX \Flagged`
	check       = "Check"
	unconfirmed = "Unconfirmed"
)

func filings() []filing {
	junked := map[string]string{"junk": junk, "junk-denied": junk, "junk-forged": junk}
	forged := map[string]string{"forged": phishing, "forged-german": phishing, "forged-claims": phishing, "junk-forged": phishing}
	return []filing{
		{[]string{"assay-junk"}, junked},
		{[]string{"assay-forged"}, forged},
		{[]string{"assay-suspicious-flag"}, map[string]string{"suspicious": flagged, "released-suspicious": flagged, "hostile": flagged}},
		{[]string{"assay-suspicious-folder"}, map[string]string{"suspicious": check, "hostile": check}},
		{[]string{"assay-confirmed-only"}, map[string]string{
			"unverified": unconfirmed, "suspicious": unconfirmed, "forged": unconfirmed, "forged-german": unconfirmed, "forged-claims": unconfirmed,
			"junk-forged": unconfirmed, "released-forged": unconfirmed, "released-suspicious": unconfirmed, "hostile": unconfirmed, "nested": unconfirmed,
		}},
		// All that go together, in the order in which Dovecot has them before the user's own script.
		{[]string{"assay-forged", "assay-junk", "assay-suspicious-flag", "assay-confirmed-only"}, map[string]string{
			"forged": phishing, "forged-german": phishing, "forged-claims": phishing, "junk-forged": phishing,
			"junk": junk, "junk-denied": junk, "released-suspicious": unconfirmed + ` \Flagged`, "suspicious": unconfirmed + ` \Flagged`,
			"hostile": unconfirmed + ` \Flagged`, "unverified": unconfirmed, "nested": unconfirmed, "released-forged": unconfirmed,
		}},
	}
}

// TestSieve files every kind of mail by the scripts, with Pigeonhole and into a real mailbox.
func TestSieve(t *testing.T) {
	if testing.Short() {
		t.Skip("a hundred deliveries (-short)")
	}
	requireProgram(t, "sieve-test")
	h := newHost(t)
	d, delivered := newDesk(t), map[string][]byte{}
	for _, m := range mails() {
		delivered[m.name] = d.deliver(t, m)
	}
	for _, f := range filings() {
		t.Run(strings.Join(f.scripts, "+"), func(t *testing.T) {
			scripts := h.compile(t, f.scripts)
			for _, name := range sorted(f.want) {
				if delivered[name] == nil {
					t.Errorf("there is no mail %q", name)
				}
			}
			for _, m := range mails() {
				want := f.want[m.name]
				if want == "" {
					want = "INBOX"
				}
				if got := h.file(t, scripts, delivered[m.name]); got != want {
					t.Errorf("%s is filed as %q, want %q", m.name, got, want)
				}
			}
		})
	}
}

// TestSieveOfOtherFields files mail that did not come through Assay, or by a version that says other things.
func TestSieveOfOtherFields(t *testing.T) {
	requireProgram(t, "sieve-test")
	h := newHost(t)
	tests := []struct{ name, script, header, want string }{
		{"folded before trust", "assay-forged", "X-Assay-Result: v=1;\r\n trust=forged; disposition=deliver; id=x\r\n", phishing},
		{"trust at another place", "assay-forged", "X-Assay-Result: v=1; trust=verified; x=a; trust=forged; id=x\r\n", "INBOX"},
		{"a longer word", "assay-forged", "X-Assay-Result: v=1; trust=forgedness; id=x\r\n", "INBOX"},
		{"another version", "assay-forged", "X-Assay-Result: v=2; trust=forged; id=x\r\n", "INBOX"},
		{"no field", "assay-confirmed-only", "", unconfirmed},
		{"verified at another place", "assay-confirmed-only", "X-Assay-Result: v=1; trust=unverified; x=v=1; trust=verified; id=x\r\n", unconfirmed},
		{"skipped as a part", "assay-confirmed-only", "X-Assay-Result: v=1; trust=unverified; disposition=deliver; id=skipped=local\r\n", unconfirmed},
		{"spam in small letters", "assay-junk", "x-spam-flag: yes\r\n", junk},
		{"spam denied", "assay-junk", "X-Spam-Flag: NO\r\n", "INBOX"},
		{"spam in a longer word", "assay-junk", "X-Spam-Flag: YESTERDAY\r\n", "INBOX"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := h.file(t, h.compile(t, []string{tt.script}), []byte(tt.header+"From: a@b.example\r\nSubject: x\r\n\r\nx\r\n"))
			if got != tt.want {
				t.Errorf("filed as %q, want %q", got, tt.want)
			}
		})
	}
}

// Every script that ships is tested, and asks for no extension that it does not use.
func TestSieveScriptsAreComplete(t *testing.T) {
	files, err := filepath.Glob(clients + "sieve/*.sieve")
	must(t, err)
	tested := map[string]bool{}
	for _, f := range filings() {
		for _, s := range f.scripts {
			tested[clients+"sieve/"+s+".sieve"] = true
		}
	}
	if len(files) != len(tested) {
		t.Errorf("%d scripts ship, %d are tested", len(files), len(tested))
	}
	uses := map[string]string{"fileinto": "fileinto :create", "mailbox": ":create", "imap4flags": "addflag"}
	quoted := regexp.MustCompile(`"([a-z0-9]+)"`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		if !tested[file] {
			t.Errorf("%s is not tested", file)
		}
		require, rest, _ := strings.Cut(string(text[bytes.Index(text, []byte("\nrequire")):]), ";")
		for _, m := range quoted.FindAllStringSubmatch(require, -1) {
			if uses[m[1]] == "" || !strings.Contains(rest, uses[m[1]]) {
				t.Errorf("%s asks for %q and does not use it", file, m[1])
			}
		}
	}
}

// compile compiles scripts with sievec, which must not have a warning, and returns their files.
func (h *host) compile(t *testing.T, names []string) []string {
	t.Helper()
	var files []string
	for _, name := range names {
		text, err := os.ReadFile(clients + "sieve/" + name + ".sieve")
		must(t, err)
		file := h.path(name + ".sieve")
		h.write(t, name+".sieve", text)
		if out := h.run(t, "sievec", "-c", h.path("dovecot.conf"), file); out != "" {
			t.Errorf("sievec: %s", out)
		}
		files = append(files, file)
	}
	return files
}

// file delivers a message by scripts into an empty mailbox and returns its folder, with flags and keywords.
func (h *host) file(t *testing.T, scripts []string, text []byte) string {
	t.Helper()
	must(t, os.RemoveAll(h.path("mail")))
	h.write(t, "in.eml", text)
	args := []string{"-c", h.path("dovecot.conf"), "-e", "-l", "maildir:" + h.path("mail")}
	for _, more := range scripts[:len(scripts)-1] {
		args = append(args, "-s", more)
	}
	out := h.run(t, "sieve-test", append(args, scripts[len(scripts)-1], h.path("in.eml"))...)
	found, err := filepath.Glob(h.path("mail/*/*"))
	must(t, err)
	inbox, err := filepath.Glob(h.path("mail/.*/*/*"))
	must(t, err)
	var places []string
	for _, f := range append(found, inbox...) {
		if s, err := os.Stat(f); err == nil && s.Mode().IsRegular() && regexp.MustCompile(`^(new|cur)$`).MatchString(filepath.Base(filepath.Dir(f))) {
			places = append(places, h.place(t, f))
		}
	}
	if len(places) != 1 {
		t.Fatalf("the message is filed %d times: %q\n%s", len(places), places, out)
	}
	return places[0]
}

// place names the folder of a file in a Maildir, and the flags in the file's name.
func (h *host) place(t *testing.T, file string) string {
	t.Helper()
	dir := filepath.Dir(filepath.Dir(file))
	folder := strings.TrimPrefix(filepath.Base(dir), ".")
	if dir == h.path("mail") {
		folder = "INBOX"
	}
	_, letters, _ := strings.Cut(filepath.Base(file), ":2,")
	var flags []string
	for _, l := range letters {
		if l == 'F' {
			flags = append(flags, `\Flagged`)
			continue
		}
		names, err := os.ReadFile(filepath.Join(dir, "dovecot-keywords"))
		must(t, err)
		for line := range strings.Lines(string(names)) {
			var n int
			var name string
			if _, err := fmt.Sscan(line, &n, &name); err == nil && n == int(l-'a') {
				flags = append(flags, name)
			}
		}
	}
	slices.Sort(flags)
	return strings.Join(append([]string{folder}, flags...), " ")
}

// run runs a program as the owner of the mailbox and returns what it says on standard error.
func (h *host) run(t *testing.T, name string, args ...string) string {
	t.Helper()
	c := exec.Command(name, args...)
	c.SysProcAttr, c.Dir = h.owner(), h.dir
	var stderr bytes.Buffer
	c.Stderr = &stderr
	if err := c.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, &stderr)
	}
	return stderr.String()
}
