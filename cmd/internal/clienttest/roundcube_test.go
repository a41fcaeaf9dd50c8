package clienttest

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"log"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"assay/cmd/internal/mtatest"
	"assay/milter/headers"
)

var pictures = flag.Bool("pictures", false, "write the pictures of the documentation")

// roundcubeDir is where packaging/test/deps.sh unpacks Roundcube and the libraries it needs.
const roundcubeDir = "../../../dist/test/roundcube"

// A shown is what stands above a message in Roundcube.
type shown struct {
	state string // "" for nothing
	words string // in bold
	says  string // begins the sentence of Assay
}

// statements are what Roundcube has to show for each mail.
var statements = map[string]shown{
	"verified":            {"verified", "Sender confirmed and signed", "Sender confirmed: partner.example. Signature"},
	"authenticated":       {"authenticated", "Sender confirmed", "Sender confirmed: partner.example. Transport encrypted."},
	"unverified":          {"unverified", "Sender not confirmed", "Sender not confirmed: nothing proves"},
	"suspicious":          {"suspicious", "Suspicious", "Sender not confirmed: nothing proves"},
	"forged":              {"forged", "Sender forged", "Warning: sender not genuine, bank.example does not vouch"},
	"forged-german":       {"forged", "Sender forged", "Warnung: Absender nicht echt, bank.example steht für diese E-Mail nicht ein."},
	"junk":                {"authenticated", "Sender confirmed", "Sender confirmed"},
	"junk-denied":         {"authenticated", "Sender confirmed", "Sender confirmed"},
	"junk-forged":         {"forged", "Sender forged", "Warning: sender not genuine"},
	"released":            {"authenticated", "Sender confirmed", "Sender confirmed"},
	"released-forged":     {"forged", "Sender forged", "Warning: sender not genuine"},
	"released-suspicious": {"suspicious", "Suspicious", "Sender not confirmed"},
	"logged-in":           {"inside", "From this mail system", "Sent by a logged-in user"},
	"local":               {"local", "From this mail system, not checked", "Created on this mail system"},
	"relay":               {"relay", "From a trusted mail system, not checked", "Received from a trusted mail system"},
	"forged-claims":       {"forged", "Sender forged", "Warning: sender not genuine"},
	"words-elsewhere":     {"authenticated", "Sender confirmed", "Sender confirmed"},
	"hostile":             {"suspicious", "Suspicious", "Sender not confirmed"},
	"nested":              {"unverified", "Sender not confirmed", "Sender not confirmed"},
}

// TestRoundcube shows every kind of mail in a real Roundcube, and looks at what it says in the page.
func TestRoundcube(t *testing.T) {
	rc := newRoundcube(t)
	all := mails()
	if len(all) != len(statements) {
		t.Errorf("%d mails, %d expectations", len(all), len(statements))
	}
	d := newDesk(t)
	for i, m := range all {
		rc.host.store(t, i+1, d.deliver(t, m))
	}
	const plain = "From: a@b.example\r\nSubject: x\r\n\r\nx\r\n"
	const twice = "X-Assay-Result: v=1; trust=verified; disposition=deliver; tls=1.3; id=A\r\n"
	rc.host.store(t, len(all)+1, []byte(plain))
	rc.host.store(t, len(all)+2, []byte(twice+twice+"X-Assay-Summary: Sender confirmed: b.example.\r\n"+plain))
	prefixed := mail{name: "prefixed", from: "Anna Partner <anna@partner.example>", subject: "offer", envelope: confirmed, language: headers.German,
		prefix: "X-Mail-Check", result: "trust=authenticated; disposition=deliver;"}
	rc.host.store(t, len(all)+3, d.deliver(t, prefixed))
	rc.login(t, "user")
	for i, m := range all {
		t.Run(m.name, func(t *testing.T) { statements[m.name].compare(t, rc.statement(t, fmt.Sprint(i+1))) })
	}
	t.Run("without Assay", func(t *testing.T) { shown{}.compare(t, rc.statement(t, fmt.Sprint(len(all)+1))) })
	t.Run("several fields", func(t *testing.T) {
		shown{"unclear", "What is known about the sender cannot be read. Do not rely on it.", ""}.compare(t, rc.statement(t, fmt.Sprint(len(all)+2)))
	})
	nested := 1 + indexOf(all, "nested")
	t.Run("attached message", func(t *testing.T) {
		page := rc.show(t, fmt.Sprintf("%d.2", nested))
		if !strings.Contains(page, "Pay at once.") {
			t.Fatalf("the attached message is not shown:\n%s", page)
		}
		shown{}.compare(t, statementIn(t, page))
	})
	t.Run("browser", func(t *testing.T) { rc.browse(t, all) })
	t.Run("German and another prefix", func(t *testing.T) {
		rc.configure(t, "de_DE", "<?php $config['assay_prefix'] = 'X-Mail-Check';")
		rc.login(t, "anwender")
		shown{"authenticated", "Absender bestätigt", "Absender bestätigt: partner.example."}.compare(t, rc.statement(t, fmt.Sprint(len(all)+3)))
		shown{}.compare(t, rc.statement(t, "1"))
	})
	t.Run("no prefix at all", func(t *testing.T) {
		rc.configure(t, "en_US", "<?php $config['assay_prefix'] = \"X Y:\\n\";")
		rc.login(t, "somebody")
		statements["verified"].compare(t, rc.statement(t, "1"))
	})
}

// browse opens mail in Chromium, where scripts run, and takes the pictures of the documentation if that is asked for.
func (rc *roundcube) browse(t *testing.T, all []mail) {
	requireProgram(t, "chromium")
	hostile := rc.chromium(t, indexOf(all, "hostile")+1, "--dump-dom")
	statements["hostile"].compare(t, statementIn(t, hostile))
	root, err := html.Parse(strings.NewReader(hostile))
	must(t, err)
	box := find(root, "assay")
	if box == nil || !strings.Contains(textOf(box), hostileName) {
		t.Fatalf("the summary does not quote the name:\n%s", hostile)
	}
	for n := range box.Descendants() {
		if n.Type == html.ElementNode && (n.Data == "img" || n.Data == "script") {
			t.Errorf("the summary made an element %q", n.Data)
		}
	}
	if title := regexp.MustCompile(`<title>[^<]*`).FindString(hostile); strings.Contains(title, "pwned") {
		t.Errorf("a script of the message ran: %q", title)
	}
	states := []string{"verified", "forged"}
	if *pictures {
		states = []string{"verified", "authenticated", "unverified", "suspicious", "forged"}
	}
	for _, name := range states {
		rc.picture(t, name, indexOf(all, name)+1)
	}
}

// picture takes a picture of a message, in which the colour of its state has to be seen.
func (rc *roundcube) picture(t *testing.T, name string, uid int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), name+".png")
	rc.chromium(t, uid, "--screenshot="+file, "--window-size=900,340")
	data, err := os.ReadFile(file)
	must(t, err)
	picture, err := png.Decode(bytes.NewReader(data))
	must(t, err)
	grounds := map[string]color.RGBA{
		"verified": {0xec, 0xfd, 0xf3, 0xff}, "authenticated": {0xec, 0xfd, 0xf3, 0xff}, "unverified": {0xf3, 0xf4, 0xf6, 0xff},
		"suspicious": {0xff, 0xfb, 0xeb, 0xff}, "forged": {0xfe, 0xf2, 0xf2, 0xff},
	}
	if seen := count(picture, grounds[name]); seen < 10000 {
		t.Errorf("%s: %d dots of the picture have the colour of the statement", name, seen)
	}
	if *pictures {
		must(t, os.WriteFile("../../../packaging/doc/pictures/roundcube-"+name+".png", data, 0o644))
	}
}

// count returns how many dots of a picture have a colour, or one that rounding makes of it.
func count(p image.Image, want color.RGBA) (n int) {
	near := func(a uint32, b uint8) bool { return max(a>>8, uint32(b))-min(a>>8, uint32(b)) <= 1 }
	for y := p.Bounds().Min.Y; y < p.Bounds().Max.Y; y++ {
		for x := p.Bounds().Min.X; x < p.Bounds().Max.X; x++ {
			if r, g, b, _ := p.At(x, y).RGBA(); near(r, want.R) && near(g, want.G) && near(b, want.B) {
				n++
			}
		}
	}
	return n
}

// chromium opens a message in a browser of its own and returns what that prints.
func (rc *roundcube) chromium(t *testing.T, uid int, args ...string) string {
	t.Helper()
	address := fmt.Sprintf("%s/?_task=mail&_action=show&_mbox=INBOX&_uid=%d", rc.front, uid)
	c := exec.CommandContext(t.Context(), "chromium", append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
		"--no-first-run", "--hide-scrollbars", "--force-device-scale-factor=1", "--timeout=20000",
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--user-data-dir=" + t.TempDir(),
	}, append(args, address)...)...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("chromium: %v\n%s", err, &stderr)
	}
	return string(out)
}

func (want shown) compare(t *testing.T, got shown) {
	t.Helper()
	if got.state != want.state || got.words != want.words || !strings.HasPrefix(got.says, want.says) || (want.says == "") != (got.says == "") {
		t.Errorf("shown %+v, want %+v", got, want)
	}
}

func indexOf(all []mail, name string) int {
	for i, m := range all {
		if m.name == name {
			return i
		}
	}
	panic("no mail " + name)
}

// A roundcube is a Roundcube that PHP's own server runs, with a mailbox.
type roundcube struct {
	host   *host
	back   string // address of PHP's server
	front  string // address of a proxy that is logged in
	client *http.Client
}

// newRoundcube starts Dovecot and Roundcube.
func newRoundcube(t *testing.T) *roundcube {
	t.Helper()
	if testing.Short() {
		t.Skip("a real Roundcube takes too long for -short")
	}
	requireProgram(t, "php")
	unpacked, err := filepath.Abs(roundcubeDir)
	must(t, err)
	if _, err := os.Stat(unpacked + "/usr/share/roundcube/index.php"); err != nil {
		t.Skip("NOT RUN: Roundcube is not unpacked in dist/test/roundcube, run packaging/test/deps.sh")
	}
	rc := &roundcube{host: newHost(t)}
	rc.host.serve(t)
	web := rc.install(t, unpacked)
	port, err := mtatest.FreePort()
	must(t, err)
	rc.back = fmt.Sprintf("http://127.0.0.1:%d", port)
	c := exec.Command("php", "-d", "include_path=.:"+unpacked+"/usr/share/php", "-d", "auto_prepend_file="+rc.host.path("prepend.php"),
		"-d", "opcache.enable=0", // which looks at the configuration again only after two seconds
		"-d", "display_errors=0", "-d", "log_errors=1", "-d", "error_log="+rc.host.path("php.log"), "-S", fmt.Sprintf("127.0.0.1:%d", port), "-t", web)
	c.Dir, c.Env = web, append(os.Environ(), "ROUNDCUBE_CONFIG_DIR="+rc.host.path("config/"))
	start(t, c)
	rc.client = &http.Client{Timeout: time.Minute}
	t.Cleanup(func() {
		if logs, _ := filepath.Glob(rc.host.path("*.log")); t.Failed() {
			for _, l := range append(logs, rc.host.path("logs/errors.log")) {
				text, _ := os.ReadFile(l)
				t.Logf("%s:\n%.3000s", l, text)
			}
		}
	})
	rc.proxy(t)
	return rc
}

// install puts together a directory for the web server, with the plugin as it ships.
func (rc *roundcube) install(t *testing.T, unpacked string) string {
	t.Helper()
	h, share := rc.host, unpacked+"/usr/share/roundcube/"
	plugin, err := filepath.Abs(clients + "roundcube/assay")
	must(t, err)
	for _, dir := range []string{"web", "web/plugins", "config", "logs", "tmp"} {
		must(t, os.MkdirAll(h.path(dir), 0o755))
	}
	for name, target := range map[string]string{
		"web/program": share + "program", "web/skins": share + "skins", "web/SQL": share + "SQL", "web/index.php": share + "index.php",
		"web/plugins/assay": plugin, "web/plugins/filesystem_attachments": share + "plugins/filesystem_attachments",
		"web/plugins/jqueryui":    share + "plugins/jqueryui",
		"config/defaults.inc.php": unpacked + "/etc/roundcube/defaults.inc.php", "config/mimetypes.php": unpacked + "/etc/roundcube/mimetypes.php",
	} {
		must(t, os.Symlink(target, h.path(name)))
	}
	must(t, os.WriteFile(h.path("prepend.php"), fmt.Appendf(nil, "<?php define('INSTALL_PATH', '%s/');\n", h.path("web")), 0o644))
	rc.configure(t, "en_US", "<?php")
	return h.path("web")
}

// configure writes the configuration of Roundcube and of the plugin.
func (rc *roundcube) configure(t *testing.T, language, plugin string) {
	t.Helper()
	h := rc.host
	must(t, os.WriteFile(h.path("config/assay.inc.php"), []byte(plugin), 0o644))
	must(t, os.WriteFile(h.path("config/config.inc.php"), fmt.Appendf(nil, `<?php
$config = [
  'db_dsnw' => 'sqlite:///%[1]s/roundcube.db?mode=0600',
  'imap_host' => '127.0.0.1:%[2]d', 'smtp_host' => '127.0.0.1:1', 'des_key' => '0123456789abcdefghijklmn',
  'plugins' => ['assay'], 'skin' => 'elastic', 'language' => '%[3]s', 'log_dir' => '%[1]s/logs/', 'temp_dir' => '%[1]s/tmp/',
  'enable_spellcheck' => false, 'enable_installer' => false, 'refresh_interval' => 0, 'mime_types' => null,
];
`, h.dir, h.imap, language), 0o644))
}

// proxy lets a browser without cookies see what the client that has logged in sees.
func (rc *roundcube) proxy(t *testing.T) {
	t.Helper()
	back, err := url.Parse(rc.back)
	must(t, err)
	p := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(back)
			for _, c := range rc.client.Jar.Cookies(back) {
				r.Out.AddCookie(c)
			}
		},
		ModifyResponse: func(r *http.Response) error { r.Header.Del("Set-Cookie"); return nil },
		ErrorLog:       log.New(io.Discard, "", 0), // the browser gives up requests when it has what it wants
	})
	t.Cleanup(p.Close)
	rc.front = p.URL
}

// login logs in as a person does, through the form, with a new session. All users have the same mailbox.
func (rc *roundcube) login(t *testing.T, user string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	rc.client.Jar = jar
	poll(t, "PHP", func() (string, error) { return rc.get("/skins/elastic/meta.json") })
	page, err := rc.get("/")
	must(t, err)
	token := regexp.MustCompile(`name="_token" value="([^"]+)"`).FindStringSubmatch(page)
	if token == nil {
		t.Fatalf("no form to log in:\n%s", page)
	}
	r, err := rc.client.PostForm(rc.back+"/?_task=login", url.Values{
		"_token": {token[1]}, "_task": {"login"}, "_action": {"login"}, "_timezone": {"UTC"}, "_url": {""}, "_user": {user}, "_pass": {"secret"},
	})
	must(t, err)
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	must(t, err)
	if !strings.Contains(string(text), "messagelist") {
		t.Fatalf("not logged in:\n%s", text)
	}
}

func (rc *roundcube) get(path string) (string, error) {
	r, err := rc.client.Get(rc.back + path)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, r.Status)
	}
	return string(text), err
}

// show returns the page of a message.
func (rc *roundcube) show(t *testing.T, uid string) string {
	t.Helper()
	page, err := rc.get("/?_task=mail&_action=show&_mbox=INBOX&_uid=" + uid)
	must(t, err)
	if !strings.Contains(page, `id="messagebody"`) {
		t.Fatalf("no message is shown:\n%s", page)
	}
	return page
}

func (rc *roundcube) statement(t *testing.T, uid string) shown {
	t.Helper()
	return statementIn(t, rc.show(t, uid))
}

// statementIn returns what a page says about the sender. It says it at most once, and before the body.
func statementIn(t *testing.T, page string) shown {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	must(t, err)
	box := find(root, "assay")
	if box == nil {
		return shown{}
	}
	if strings.Count(page, `role="status"`) != 1 || strings.Index(page, `role="status"`) > strings.Index(page, `id="messagebody"`) {
		t.Errorf("the statement does not stand once before the body:\n%s", page)
	}
	var s shown
	for _, class := range classes(box) {
		if state, ok := strings.CutPrefix(class, "assay-"); ok {
			s.state = state
		}
	}
	for n := range box.Descendants() {
		switch {
		case n.Type == html.ElementNode && n.Data == "strong":
			s.words = textOf(n)
		case has(n, "assay-summary"):
			s.says = textOf(n)
		}
	}
	return s
}

func find(root *html.Node, class string) *html.Node {
	for n := range root.Descendants() {
		if has(n, class) {
			return n
		}
	}
	return nil
}

func has(n *html.Node, class string) bool {
	for _, c := range classes(n) {
		if c == class {
			return true
		}
	}
	return false
}

func classes(n *html.Node) []string {
	for _, a := range n.Attr {
		if a.Key == "class" {
			return strings.Fields(a.Val)
		}
	}
	return nil
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			b.WriteString(c.Data)
		}
	}
	return b.String()
}

// TestStatement reads values that no Roundcube is needed for.
func TestStatement(t *testing.T) {
	requireProgram(t, "php")
	const good = "v=1; trust=verified; disposition=deliver; tls=1.3; spf=pass; id=x"
	tests := []struct {
		name            string
		result, summary any
		want            string // "" for none, else "state: summary"
	}{
		{"none", nil, "Sender confirmed.", ""},
		{"empty", "", nil, ""},
		{"one", good, "Sender confirmed.", "verified: Sender confirmed."},
		{"no summary", good, nil, "verified: "},
		{"several summaries", good, []string{"a", "b"}, "verified: "},
		{"several results", []string{good, good}, "Sender confirmed.", "unclear: "},
		{"unknown trust", "v=1; trust=perfect; disposition=deliver; tls=none; id=x", "Fine.", "unclear: "},
		{"another version", "v=2; trust=verified; disposition=deliver; tls=none; id=x", "Fine.", "unclear: "},
		{"trust at another place", "x=v=1; trust=verified; disposition=deliver; tls=none; id=x", "Fine.", "unclear: "},
		{"another order", "v=1; disposition=deliver; trust=verified; tls=none; id=x", "Fine.", "unclear: "},
		{"logged in", "v=1; trust=authenticated; disposition=deliver; tls=1.3; skipped=authenticated; id=x", "", "inside: "},
		{"local", "v=1; trust=unverified; disposition=deliver; tls=none; skipped=local; id=x", "", "local: "},
		{"relay", "v=1; trust=unverified; disposition=deliver; tls=none; skipped=network; id=x", "", "relay: "},
		{"suspicious although logged in", "v=1; trust=suspicious; disposition=deliver; tls=none; skipped=authenticated; id=x", "", "suspicious: "},
		{"skipped at another place", "v=1; trust=unverified; disposition=deliver; tls=none; spf=none; skipped=local; id=x", "", "unverified: "},
		{"order of reading", good, "a\u202eb\u2066c\u200fd\u0085e\nf", "verified: a b c d e f"},
		{"long", good, strings.Repeat("ä", 5000), "verified: " + strings.Repeat("ä", 4000) + "\u2026"},
		{"HTML is text here", good, "<b>&amp;</b>", "verified: <b>&amp;</b>"},
	}
	var in [][2]any
	for _, tt := range tests {
		in = append(in, [2]any{tt.result, tt.summary})
	}
	input, err := json.Marshal(in)
	must(t, err)
	c := exec.Command("php", "-d", "error_reporting=-1", "-d", "display_errors=stderr", "-r", `
require $argv[1];
echo json_encode(array_map(function ($v) {
  $s = assay_statement::read($v[0], $v[1]);
  return $s === null ? "" : "$s->state: $s->summary";
}, json_decode(stream_get_contents(STDIN), true)));`, clients+"roundcube/assay/assay_statement.php")
	var stderr bytes.Buffer
	c.Stdin, c.Stderr = bytes.NewReader(input), &stderr
	out, err := c.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("php: %v\n%s", err, &stderr)
	}
	var got []string
	must(t, json.Unmarshal(out, &got))
	for i, tt := range tests {
		if got[i] != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got[i], tt.want)
		}
	}
}

// Every language of the plugin has words for every state, and for nothing else.
func TestPluginSpeaksEveryLanguage(t *testing.T) {
	states := map[string]string{}
	for _, s := range statements {
		states[s.state] = ""
	}
	states["unclear"] = ""
	files, err := filepath.Glob(clients + "roundcube/assay/localization/*.inc")
	must(t, err)
	if len(files) < 2 {
		t.Errorf("languages: %q", files)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		words := map[string]string{}
		for _, m := range regexp.MustCompile(`(?m)^\$labels\['(\w+)'\] = '([^']+)';$`).FindAllStringSubmatch(string(text), -1) {
			words[m[1]] = m[2]
		}
		if got, want := fmt.Sprint(sorted(words)), fmt.Sprint(sorted(states)); got != want {
			t.Errorf("%s has words for %s, want %s", file, got, want)
		}
	}
}
