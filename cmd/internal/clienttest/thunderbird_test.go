package clienttest

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"assay/cmd/internal/mtatest"
)

// TestThunderbird lets a real Thunderbird read a mailbox with the filters and preferences that ship.
func TestThunderbird(t *testing.T) {
	program := os.Getenv("ASSAY_THUNDERBIRD")
	if program == "" {
		t.Skip("NOT RUN: ASSAY_THUNDERBIRD does not name the program thunderbird; make clients installs it and runs this")
	}
	h := newHost(t)
	d, all := newDesk(t), mails()
	h.folder(t, "mail/.Junk")
	h.write(t, "mail/subscriptions", []byte("Junk\n"))
	h.serve(t)
	t.Cleanup(func() {
		if text, _ := os.ReadFile(h.path("dovecot.log")); t.Failed() {
			t.Logf("Dovecot:\n%.3000s", text)
		}
	})
	tb := newThunderbird(t, h, program)
	filters, err := os.ReadFile(clients + "thunderbird/msgFilterRules.dat")
	must(t, err)
	tb.open(t, h, strings.ReplaceAll(string(filters), "USER@HOST", "user@127.0.0.1"))
	for i, m := range all {
		h.store(t, i+1, d.deliver(t, m))
	}
	tb.check(t)

	junked := []string{"junk", "junk-denied", "junk-forged", "forged", "forged-german", "forged-claims"}
	want := fmt.Sprint(slices.Sorted(slices.Values(junked)))
	got := poll(t, "the filters", func() (string, error) {
		if in := fmt.Sprint(h.subjects(t, "mail/.Junk")); in != want {
			return "", fmt.Errorf("Junk has %s, want %s", in, want)
		}
		return want, nil
	})
	t.Logf("Junk: %s", got)
	marked := []string{"hostile", "released-suspicious", "suspicious"}
	poll(t, "the flags", func() (string, error) {
		if in := h.flagged(t); !slices.Equal(in, marked) {
			return "", fmt.Errorf("flagged are %q, want %q", in, marked)
		}
		return "", nil
	})
	tb.shows(t, "suspicious", "Sender not confirmed: nothing proves that this mail comes from plain.example.")
	tb.shows(t, "verified", "Sender confirmed: partner.example. Signature")
}

// folder makes a Maildir.
func (h *host) folder(t *testing.T, name string) {
	t.Helper()
	for _, dir := range []string{"mail", name, name + "/new", name + "/cur", name + "/tmp"} {
		if err := os.Mkdir(h.path(dir), 0o755); err == nil {
			must(t, os.Chown(h.path(dir), h.uid, h.gid))
		}
	}
}

// subjects names the mails in a folder, sorted.
func (h *host) subjects(t *testing.T, folder string) []string {
	t.Helper()
	var out []string
	for name := range h.files(t, folder) {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// flagged names the mails in the Inbox that are flagged and have a keyword, sorted.
func (h *host) flagged(t *testing.T) []string {
	t.Helper()
	var out []string
	for name, file := range h.files(t, "mail") {
		if place := h.place(t, file); strings.Contains(place, `\Flagged`) && strings.Contains(place, "$label1") {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// files returns the files of a folder by the name of the mail, which is in Message-ID. Dovecot may move a file at any time.
func (h *host) files(t *testing.T, folder string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, dir := range []string{"new", "cur"} {
		files, err := filepath.Glob(h.path(folder + "/" + dir + "/*"))
		must(t, err)
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil || strings.HasSuffix(f, "T") { // deleted
				continue
			}
			_, id, _ := strings.Cut(string(text), "Message-ID: <")
			name, _, _ := strings.Cut(id, "@")
			out[name] = f
		}
	}
	return out
}

// A thunderbird is a running Thunderbird, spoken to in Marionette's protocol: messages in JSON, each behind its length.
type thunderbird struct {
	conn net.Conn
	in   *bufio.Reader
	last int
}

// newThunderbird starts Thunderbird with a new profile that has the preferences which ship, once from the user's file and
// once from the policies of the administrator.
func newThunderbird(t *testing.T, h *host, program string) *thunderbird {
	t.Helper()
	profile := t.TempDir()
	user, err := os.ReadFile(clients + "thunderbird/user.js")
	must(t, err)
	port, err := mtatest.FreePort()
	must(t, err)
	own := fmt.Sprintf(`
user_pref("marionette.port", %d);
user_pref("mail.provider.suppress_dialog_on_startup", true);
user_pref("mailnews.start_page.enabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("app.update.enabled", false);
user_pref("mail.phishing.detection.enabled", false);
user_pref("network.proxy.type", 0);
user_pref("network.manage-offline-status", false);
`, port)
	must(t, os.WriteFile(filepath.Join(profile, "user.js"), append(user, own...), 0o644))
	c := exec.Command(program, "--headless", "--marionette", "--remote-allow-system-access", "--no-remote", "--profile", profile)
	c.Env = append(os.Environ(), "HOME="+t.TempDir(), "MOZ_HEADLESS=1")
	start(t, c)
	tb := &thunderbird{}
	poll(t, "Thunderbird", func() (string, error) {
		tb.conn, err = net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		return "", err
	})
	t.Cleanup(func() { _ = tb.conn.Close() })
	tb.in = bufio.NewReader(tb.conn)
	_, err = tb.receive() // the greeting
	must(t, err)
	tb.call(t, "WebDriver:NewSession", map[string]any{})
	tb.call(t, "WebDriver:SetTimeouts", map[string]any{"script": 60000})
	tb.call(t, "Marionette:SetContext", map[string]any{"value": "chrome"})
	return tb
}

// receive reads one message.
func (tb *thunderbird) receive() (json.RawMessage, error) {
	if err := tb.conn.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return nil, err
	}
	length, err := tb.in.ReadString(':')
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(length, ":"))
	if err != nil {
		return nil, err
	}
	text := make([]byte, n)
	_, err = io.ReadFull(tb.in, text)
	return text, err
}

// call asks Thunderbird to do something and returns what comes back.
func (tb *thunderbird) call(t *testing.T, command string, params map[string]any) json.RawMessage {
	t.Helper()
	tb.last++
	text, err := json.Marshal([]any{0, tb.last, command, params})
	must(t, err)
	_, err = fmt.Fprintf(tb.conn, "%d:%s", len(text), text)
	must(t, err)
	text, err = tb.receive()
	must(t, err)
	var answer []json.RawMessage
	must(t, json.Unmarshal(text, &answer))
	if len(answer) != 4 || string(answer[2]) != "null" {
		t.Fatalf("thunderbird: %s: %.2000s", command, text)
	}
	return answer[3]
}

// run runs the body of an asynchronous function inside of Thunderbird; what it returns is the answer.
func (tb *thunderbird) run(t *testing.T, body string, args ...any) string {
	t.Helper()
	script := `const done = arguments[arguments.length - 1];
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const { setTimeout } = ChromeUtils.importESModule("resource://gre/modules/Timer.sys.mjs");
const pause = () => new Promise(r => setTimeout(r, 100));
(async (args) => {` + body + `})(arguments).then(done, e => done("ERROR " + e + " " + e.stack));`
	raw := tb.call(t, "WebDriver:ExecuteAsyncScript", map[string]any{"script": script, "args": append([]any{}, args...), "sandbox": "system",
		"newSandbox": true})
	var answer struct{ Value string }
	must(t, json.Unmarshal(raw, &answer))
	if strings.HasPrefix(answer.Value, "ERROR") {
		t.Fatal(answer.Value)
	}
	return answer.Value
}

// open sets up the account, with a file of filters, and waits until its folders are known.
func (tb *thunderbird) open(t *testing.T, h *host, filters string) {
	t.Helper()
	parsed := tb.run(t, `
const server = MailServices.accounts.createIncomingServer("user", "127.0.0.1", "imap");
server.port = args[0]; server.socketType = Ci.nsMsgSocketType.plain; server.authMethod = Ci.nsMsgAuthMethod.passwordCleartext;
server.valid = true; Services.io.offline = false;
const account = MailServices.accounts.createAccount(); account.incomingServer = server;
const identity = MailServices.accounts.createIdentity(); identity.email = "user@rcpt.example"; account.addIdentity(identity);
const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
login.init("imap://127.0.0.1", null, "imap://127.0.0.1", "user", "secret", "", "");
await Services.logins.addLoginAsync(login);
await IOUtils.makeDirectory(server.localPath.path, { ignoreExisting: true });
await IOUtils.writeUTF8(PathUtils.join(server.localPath.path, "msgFilterRules.dat"), args[1]);
const list = server.getFilterList(null);
const out = [];
for (let i = 0; i < list.filterCount; i++) {
  const f = list.getFilterAt(i);
  out.push([f.filterName, f.enabled, f.searchTerms.length, f.actionCount].join(" / "));
}
return out.join("\n");`, h.imap, filters)
	want := "Assay: junk / true / 1 / 3\nAssay: forged sender / true / 2 / 3\nAssay: suspicious / true / 1 / 2"
	if parsed != want {
		t.Fatalf("Thunderbird reads the filters as\n%s\nwant\n%s", parsed, want)
	}
	folders := tb.run(t, `
const server = MailServices.accounts.findServer("user", "127.0.0.1", "imap");
server.performExpand(null);
server.rootFolder.getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox).getNewMessages(null, null);
for (let i = 0; i < 300 && !server.rootFolder.containsChildNamed("Junk"); i++) {
  await pause();
}
return server.rootFolder.subFolders.map(f => f.name).sort().join(" ");`)
	if !strings.Contains(folders, "Junk") {
		t.Fatalf("Thunderbird knows the folders %q", folders)
	}
}

// check looks for new mail.
func (tb *thunderbird) check(t *testing.T) {
	t.Helper()
	tb.run(t, `
const server = MailServices.accounts.findServer("user", "127.0.0.1", "imap");
server.rootFolder.getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox).getNewMessages(null, null);
return "";`)
}

// shows opens a mail in a window of its own and looks for a sentence above it.
func (tb *thunderbird) shows(t *testing.T, name, sentence string) {
	t.Helper()
	text := tb.run(t, `
const { MailUtils } = ChromeUtils.importESModule("resource:///modules/MailUtils.sys.mjs");
const inbox = MailServices.accounts.findServer("user", "127.0.0.1", "imap").rootFolder.getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox);
const hdr = inbox.msgDatabase.getMsgHdrForMessageID(args[0] + "@client.example");
MailUtils.openMessageInNewWindow(hdr);
let last = "no window";
for (let i = 0; i < 300; i++) {
  await pause();
  const w = Services.wm.getMostRecentWindow("mail:messageWindow");
  const doc = w?.messageBrowser?.contentDocument ?? w?.document.getElementById("messageBrowser")?.contentDocument;
  const box = doc?.getElementById("extraHeadersArea");
  last = box ? box.textContent : last;
  if (last.includes(args[1])) { return last; }
}
return last;`, name, sentence)
	if !strings.Contains(text, sentence) {
		t.Errorf("%s: Thunderbird shows %q", name, text)
	}
	if *pictures {
		tb.picture(t, name)
	}
	tb.run(t, `Services.wm.getMostRecentWindow("mail:messageWindow").close(); return "";`)
}

// picture takes the picture of the documentation: the upper part of the window that was opened last.
func (tb *thunderbird) picture(t *testing.T, name string) {
	t.Helper()
	var handles []string
	must(t, json.Unmarshal(tb.call(t, "WebDriver:GetWindowHandles", map[string]any{}), &handles))
	tb.call(t, "WebDriver:SwitchToWindow", map[string]any{"handle": handles[len(handles)-1]})
	var shot struct{ Value string }
	must(t, json.Unmarshal(tb.call(t, "WebDriver:TakeScreenshot", map[string]any{"full": false}), &shot))
	tb.call(t, "WebDriver:SwitchToWindow", map[string]any{"handle": handles[0]})
	data, err := base64.StdEncoding.DecodeString(shot.Value)
	must(t, err)
	whole, err := png.Decode(bytes.NewReader(data))
	must(t, err)
	part := image.NewRGBA(image.Rect(0, 0, whole.Bounds().Dx(), 240))
	draw.Draw(part, part.Bounds(), whole, image.Pt(0, 62), draw.Src)
	var out bytes.Buffer
	must(t, png.Encode(&out, part))
	must(t, os.WriteFile("../../../packaging/doc/pictures/thunderbird-"+name+".png", out.Bytes(), 0o644))
}
