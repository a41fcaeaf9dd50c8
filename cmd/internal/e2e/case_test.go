package e2e

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"mime"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
	"golang.org/x/tools/txtar"

	"assay/cmd/internal/mtatest"
	"assay/verify/dns/dnstest"
	"assay/verify/dns/zone"
)

// budget is how long any case may take from the end of DATA to its reply. The configuration below allows much less.
const budget = 15 * time.Second

// baseConfig is what every case starts from.
const baseConfig = `format: 1
identity: {authserv_id: mx.rcpt.example}
resolver: {timeout: 300ms}
limits: {dns_time: 2s, time: 10s}
`

// A testCase is one file in testdata. The comment says what it proves. Sections:
//
//	session      "key: value" lines: client, name, login, tls, via, mta, helo, from, to, params, sign, dns (see session)
//	config.yaml  laid over baseConfig
//	rules/NAME   a file of the operator's directory of rules, which is read after the rules that come with Assay
//	dns          master file; {{rsa2048}} and its like stand for the public keys
//	message.eml  the message, sent with CRLF line ends; message.raw instead is a Go string per line, sent as it is
//	want         what the client and the recipient get; want.sendmail where Sendmail differs
//
// Session, message and want may be followed by session-2, message-2.eml and so on: further messages over the same
// connection, whose sessions start from the first one.
type testCase struct {
	files   map[string]string
	archive *txtar.Archive
}

// A session says who the client is and what it does.
type session struct {
	client string // address; one outside of 127.0.0.0/8 is claimed with XCLIENT, which only Postfix has
	name   string // claimed host name of the client, Postfix only
	login  string // claimed SASL login, Postfix only
	tls    bool
	via    string // "submit" is sendmail(1), Postfix only
	mta    string // "postfix" or "sendmail" restricts the case
	helo   string
	env    mtatest.Envelope
	sign   []signature // in this order: the last one stands on top
	dns    string      // "silent", "servfail", "garbage", "gone"
}

// parseSession reads a session section over an earlier one.
func parseSession(text string, s session) (session, error) {
	for line := range strings.Lines(text) {
		key, value, found := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.TrimSpace(value)
		if !found {
			return s, fmt.Errorf("session: %q is not key: value", line)
		}
		switch key {
		case "client":
			s.client = value
		case "name":
			s.name = value
		case "login":
			s.login = value
		case "tls":
			s.tls = true
		case "via":
			s.via = value
		case "mta":
			s.mta = value
		case "helo":
			s.helo = value
		case "from":
			s.env.From = value
		case "to":
			s.env.To = strings.Fields(value)
		case "params":
			s.env.Params = value
		case "dns":
			s.dns = value
		case "sign":
			sig, err := parseSignature(value)
			if err != nil {
				return s, err
			}
			s.sign = append(s.sign, sig)
		default:
			return s, fmt.Errorf("session: unknown key %q", key)
		}
	}
	return s, nil
}

// postfixOnly reports whether Sendmail cannot play the session.
func (s session) postfixOnly() bool {
	return s.mta == "postfix" || s.login != "" || s.via != "" || s.name != "" || !strings.HasPrefix(s.client, "127.")
}

func update() bool { return flag.Lookup("update").Value.String() == "true" }

func TestMain(m *testing.M) {
	flag.Bool("update", false, "rewrite the wanted results of the text cases")
	os.Exit(m.Run())
}

func TestCases(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	r := &runner{lane: newLane(t, setup{}), keys: newKeys(t), program: program(t, false)}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) { r.run(t, path) })
	}
}

// program builds the program under test.
func program(t *testing.T, race bool) string {
	t.Helper()
	path, err := mtatest.BuildAssay(t.TempDir(), race)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// A runner runs text cases.
type runner struct {
	lane    *lane
	keys    *keys
	program string
}

// run runs one case with every MTA that can play it.
func (r *runner) run(t *testing.T, path string) {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c := testCase{archive: archive, files: make(map[string]string)}
	for _, f := range archive.Files {
		c.files[f.Name] = string(f.Data)
	}
	s, err := parseSession(c.files["session"], session{client: "127.0.2.25", helo: "client.example"})
	if err != nil {
		t.Fatal(err)
	}
	resolver := r.startDNS(t, c, s)
	r.startDaemon(t, c, resolver)
	got := make(map[string]string)
	for _, m := range r.lane.mtas() {
		if m.Name() == "sendmail" && s.postfixOnly() || m.Name() == "postfix" && s.mta == "sendmail" {
			continue
		}
		t.Run(m.Name(), func(t *testing.T) {
			got[m.Name()] = r.play(t, c, s, m)
			if want := c.want(m.Name()); !update() && got[m.Name()] != want {
				t.Errorf("got\n%s\nwant\n%s", got[m.Name()], want)
			}
		})
	}
	if len(got) == 0 {
		t.Skipf("NOT TESTED: the case needs %s", cmp.Or(s.mta, "postfix"))
	}
	if update() && !t.Failed() {
		c.update(t, path, got)
	}
}

// want returns the wanted result for an MTA.
func (c testCase) want(mta string) string {
	if own, found := c.files["want."+mta]; found {
		return own
	}
	return c.files["want"]
}

// update rewrites the wanted results.
func (c testCase) update(t *testing.T, path string, got map[string]string) {
	t.Helper()
	keep := c.archive.Files[:0]
	for _, f := range c.archive.Files {
		if !strings.HasPrefix(f.Name, "want") {
			keep = append(keep, f)
		}
	}
	common := cmp.Or(got["postfix"], got["sendmail"])
	keep = append(keep, txtar.File{Name: "want", Data: []byte(common)})
	if own, found := got["sendmail"]; found && own != common {
		keep = append(keep, txtar.File{Name: "want.sendmail", Data: []byte(own)})
	}
	c.archive.Files = keep
	if err := os.WriteFile(path, txtar.Format(c.archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

// startDNS serves the zone of a case, and returns the address of the server.
func (r *runner) startDNS(t *testing.T, c testCase, s session) string {
	t.Helper()
	z, err := zone.Parse(strings.NewReader(r.keys.fill(c.files["dns"])), "dns")
	if err != nil {
		t.Fatal(err)
	}
	behaviours := map[string]dnstest.Options{
		"": {}, "silent": {Silent: true}, "servfail": {Rcode: 2}, "garbage": {Garbage: true}, "gone": {},
	}
	opt, known := behaviours[s.dns]
	if !known {
		t.Fatalf("session: unknown dns %q", s.dns)
	}
	server, err := dnstest.Start(z, opt)
	if err != nil {
		t.Fatal(err)
	}
	if s.dns == "gone" {
		_ = server.Close()
	}
	t.Cleanup(func() { _ = server.Close() })
	return server.Addr()
}

// startDaemon starts the program with the configuration of a case.
func (r *runner) startDaemon(t *testing.T, c testCase, resolver string) *mtatest.Daemon {
	t.Helper()
	config := c.files["config.yaml"]
	if dir := c.rules(t); dir != "" {
		config += fmt.Sprintf("\nrules: {dirs: [shipped, %q]}\n", dir)
	}
	d, err := mtatest.StartDaemon(r.program, r.lane.config(t, config, resolver), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of assay:\n%s", d.Log())
		}
		_ = d.Close()
	})
	return d
}

// rules writes the rule files of a case into a directory and returns its name, "" if there are none.
func (c testCase) rules(t *testing.T) string {
	t.Helper()
	files := make(map[string]string)
	for name, text := range c.files {
		if name, found := strings.CutPrefix(name, "rules/"); found {
			files[name] = text
		}
	}
	if len(files) == 0 {
		return ""
	}
	return ruleDir(t, files)
}

// config returns the configuration of the program: where the lane and the DNS are, baseConfig, and text over both.
func (l *lane) config(t *testing.T, text, resolver string) string {
	t.Helper()
	merged := make(map[string]any)
	for _, layer := range []string{baseConfig, text, fmt.Sprintf(
		"listen: {milter: [%q, %q], socket_mode: \"0666\"}\nresolver: {servers: [%q]}\n",
		"unix:"+l.socket(), fmt.Sprintf("inet:127.0.0.1:%d", l.port), resolver)} {
		tree := make(map[string]any)
		if err := yaml.Unmarshal([]byte(layer), &tree); err != nil {
			t.Fatal(err)
		}
		overlay(merged, tree)
	}
	out, err := yaml.Marshal(merged)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// overlay lays one tree over another.
func overlay(base, over map[string]any) {
	for key, value := range over {
		below, isMap := base[key].(map[string]any)
		if above, ok := value.(map[string]any); ok && isMap {
			overlay(below, above)
		} else {
			base[key] = value
		}
	}
}

// play sends the messages of a case to one MTA and describes what came of each.
func (r *runner) play(t *testing.T, c testCase, s session, m mtatest.MTA) string {
	t.Helper()
	var client *mtatest.Client
	if s.via != "submit" {
		client = s.open(t, m)
	}
	var out strings.Builder
	for n := 1; ; n++ {
		suffix := ""
		if n > 1 {
			suffix = fmt.Sprintf("-%d", n)
		}
		message, found := c.message(t, suffix)
		if !found {
			return out.String()
		}
		if n > 1 {
			s.sign = nil
			var err error
			if s, err = parseSession(c.files["session"+suffix], s); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&out, "\nmessage %d\n", n)
		}
		for _, sig := range s.sign {
			message = r.keys.sign(t, sig, message)
		}
		out.WriteString(r.one(t, m, client, s, message))
	}
}

// message returns the octets of a message.
func (c testCase) message(t *testing.T, suffix string) ([]byte, bool) {
	t.Helper()
	if text, found := c.files["message"+suffix+".eml"]; found {
		return []byte(crlf(text)), true
	}
	raw, found := c.files["message"+suffix+".raw"]
	var octets strings.Builder
	for line := range strings.Lines(raw) {
		text, err := strconv.Unquote(strings.TrimSpace(line))
		if err != nil {
			t.Fatalf("message%s.raw: %q: %v", suffix, line, err)
		}
		octets.WriteString(text)
	}
	return []byte(octets.String()), found
}

// open connects as the client of the session.
func (s session) open(t *testing.T, m mtatest.MTA) *mtatest.Client {
	t.Helper()
	local := netip.MustParseAddr("127.0.0.1")
	claims := ""
	if strings.HasPrefix(s.client, "127.") {
		local = netip.MustParseAddr(s.client)
	} else {
		claims = " ADDR=" + s.client
		if strings.Contains(s.client, ":") {
			claims = " ADDR=IPV6:" + s.client
		}
	}
	if s.name != "" {
		claims += " NAME=" + s.name
	}
	if s.login != "" {
		claims += " LOGIN=" + s.login
	}
	c, err := mtatest.Dial(m.Addr(), local)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if s.tls {
		must(t, c.Expect(250, "EHLO %s", s.helo))
		must(t, c.StartTLS())
	}
	if claims != "" {
		must(t, c.Expect(250, "EHLO %s", s.helo))
		must(t, c.Expect(220, "XCLIENT%s", claims))
	}
	must(t, c.Expect(250, "EHLO %s", s.helo))
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// one sends one message and describes what came of it.
func (r *runner) one(t *testing.T, m mtatest.MTA, client *mtatest.Client, s session, message []byte) string {
	t.Helper()
	if s.via == "submit" {
		before := len(r.lane.sink.To(s.env.To[0]))
		must(t, r.lane.postfix.Submit(s.env.From, s.env.To, strings.NewReader(strings.ReplaceAll(string(message), "\r\n", "\n"))))
		for {
			d, err := r.lane.sink.WaitTo(t.Context(), s.env.To[0])
			must(t, err)
			if all := r.lane.sink.To(s.env.To[0]); len(all) > before {
				d = all[len(all)-1]
				return describe(t, message, d.Data)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	began := time.Now()
	reply, err := client.Send(s.env, message)
	must(t, err)
	if took := time.Since(began); took > budget {
		t.Errorf("the reply took %v", took)
	}
	if reply.Code != 250 {
		return "reply: " + reply.String() + "\n"
	}
	text := "reply: 250\n"
	if held, found := r.lane.held(t, m, reply.QueueID()); found {
		text += strings.TrimSpace("held: "+held.Reason) + "\n"
		must(t, m.Release(held.ID)) // what the recipient gets when somebody lets it go
	}
	text += describe(t, message, r.lane.delivered(t, reply))
	if n := len(r.lane.sink.Queue(reply.QueueID())); n != 1 {
		t.Errorf("delivered %d times", n)
	}
	return text
}

// describe says what happened to a message on its way: fields added on top, fields taken out, fields added elsewhere.
// Received fields and changes nobody should make are not part of the description: the latter fail the test.
func describe(t *testing.T, sent, got []byte) string {
	t.Helper()
	sentFields, sentBody := fields(sent)
	gotFields, gotBody := fields(got)
	if gotBody != sentBody {
		t.Errorf("the body was changed: %.300q", gotBody)
	}
	var b strings.Builder
	for len(gotFields) > 0 && ours(gotFields[0]) {
		b.WriteString(readable(gotFields[0]) + "\n")
		gotFields = gotFields[1:]
	}
	removed, added := differences(sentFields, gotFields)
	for _, f := range removed {
		fmt.Fprintf(&b, "removed: %.60q\n", f)
	}
	for _, f := range added {
		switch name, _, _ := strings.Cut(f, ":"); name {
		case "Received":
		case "Subject":
			fmt.Fprintf(&b, "new: %q\n", f)
		default:
			fmt.Fprintf(&b, "added by the MTA: %s\n", name)
		}
		if ours(f) {
			t.Errorf("one of our fields is not on top: %q", f)
		}
	}
	return b.String()
}

// ours reports whether a field is one that Assay writes.
func ours(field string) bool {
	name, _, _ := strings.Cut(strings.ToLower(field), ":")
	return name == "authentication-results" || name == "x-spam-flag" || strings.HasPrefix(name, "x-assay-")
}

// differences compares two lists of fields of which the second one kept the order of the first.
func differences(sent, got []string) (removed, added []string) {
	for _, f := range got {
		at := slices.Index(sent, f)
		if at < 0 {
			added = append(added, f)
			continue
		}
		removed = append(removed, sent[:at]...)
		sent = sent[at+1:]
	}
	return append(removed, sent...), added
}

// readable is a field without what differs between two runs, LF for CRLF, and encoded words decoded.
func readable(field string) string {
	text := strings.ReplaceAll(field, "\r\n", "\n")
	if strings.HasPrefix(text, "X-") {
		text = strings.ReplaceAll(text, "\n ", " ") // where it is folded depends on the length of the queue id
	}
	for pattern, with := range varying() {
		text = regexp.MustCompile(pattern).ReplaceAllString(text, with)
	}
	if decoded, err := new(mime.WordDecoder).DecodeHeader(strings.ReplaceAll(text, "\n\t", " ")); err == nil && strings.Contains(text, "=?") {
		text = decoded
	}
	return text
}

// varying are the parts of a field that differ between two runs, and what stands for them.
func varying() map[string]string {
	return map[string]string{
		`header\.b="?[A-Za-z0-9+/=]+"?`: "header.b=B",
		`\bid=[A-Za-z0-9-]+`:            "id=ID",
	}
}

func TestDescribeSeesEveryChange(t *testing.T) {
	sent := []byte("A: 1\r\nB: 2\r\nA: 1\r\nC: 3\r\n\r\nbody\r\n")
	got := []byte("Authentication-Results: x; none\r\nReceived: y\r\nA: 1\r\nA: 1\r\nC: 3\r\nDate: z\r\n\r\nbody\r\n")
	want := "Authentication-Results: x; none\nremoved: \"B: 2\"\nadded by the MTA: Date\n"
	if text := describe(t, sent, got); text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	if got := slices.Sorted(maps.Keys(varying())); len(got) != 2 {
		t.Errorf("patterns %v", got)
	}
}
