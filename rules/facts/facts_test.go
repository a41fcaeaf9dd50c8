package facts_test

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"assay/rules/facts"
	"assay/scan"
	scanhtml "assay/scan/html"
	"assay/verify"
	"assay/verify/arc"
	"assay/verify/authres"
	"assay/verify/dkim"
	"assay/verify/dmarc"
	"assay/verify/iprev"
	"assay/verify/message"
	"assay/verify/smime"
	"assay/verify/spf"
)

const letter = "From: =?utf-8?q?Erika_M=C3=BCstermann?= <Erika@Mail.Example.CO.UK>\r\n" +
	"To: info@example.com\r\n" +
	"Reply-To: \"A\" <a@b.example.org>, c@Example.NET\r\n" +
	"Subject: =?utf-8?b?w5xiZXJ3ZWlzdW5n?=\r\n new\r\n" +
	"Message-ID: <1@example.co.uk>\r\n" +
	"List-Id: The list <Users.lists.example.org>\r\n" +
	"X-Spam-Status: Yes, score=12.3 required=5.0\r\n" +
	"X-Spam-Flag: YES\r\n" +
	"MIME-Version: 1.0\r\n" +
	"Content-Type: multipart/alternative; boundary=b\r\n" +
	"\r\n" +
	"--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" +
	"Gr=FC=DFe, see https://login.example.org/a?b=c.\r\n-----BEGIN PGP MESSAGE-----\r\n" +
	"--b\r\nContent-Type: text/html\r\n\r\n<p>Hello</p>\r\n--b--\r\n"

// read parses a message that came from a client.
func read(t testing.TB, text string) *message.Message {
	t.Helper()
	env := message.Envelope{
		ClientIP: netip.MustParseAddr("::ffff:192.0.2.1"), ClientName: "Mail.Example.NET", Helo: "mail", MailFrom: `"a b"@Bounce.Example.net`,
		RcptTo: []string{"Info@example.com", "x@müller.de"}, TLS: message.TLSInfo{Version: "TLSv1.3", Cipher: "TLS_AES_256_GCM_SHA384", Bits: 256},
		ReceivedAt: time.Date(2026, 11, 22, 1, 2, 3, 0, time.UTC),
	}
	m, err := message.Read(strings.NewReader(text), env, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// everything is an input in which every check has an outcome and every scanner found something.
func everything(t testing.TB) facts.Input {
	m := read(t, letter)
	return facts.Input{
		Message: m,
		Results: verify.Results{
			Author: m.Header.Author(),
			SPF: []spf.Verification{
				{Identity: spf.MailFrom, Result: authres.Pass, Domain: "example.co.uk"}, {Identity: spf.Helo, Result: authres.Fail},
			},
			DKIM: []dkim.Verification{
				{Result: authres.Pass, Domain: "other.example.net", KeyBits: 2048}, {Result: authres.Fail, Domain: "example.co.uk", Selector: "s"},
			},
			ARC: arc.Verification{Result: authres.Pass, Instance: 2, Sealers: []string{"a.example", "b.example"}, Trusted: true, DMARC: authres.Pass},
			DMARC: dmarc.Evaluation{
				Result: authres.Fail, Domain: "mail.example.co.uk", Policy: dmarc.PolicyNone, Published: dmarc.PolicyReject, Override: "odd",
			},
			IPRev: iprev.Verification{Result: authres.Pass},
			SMIME: smime.Verification{
				Result: authres.Pass, State: smime.Verified, Signed: true, Trust: smime.PrivateRoot,
				Signers: []smime.Signer{{Email: "erika@example.com", Level: smime.SponsorValidated}},
			},
		},
		Report: scan.Report{
			Findings: []scan.Finding{
				{Kind: scanhtml.KindScript, Count: 3}, {Kind: scanhtml.KindForm}, {Kind: scanhtml.KindRemote, Count: 2}, {Kind: scanhtml.KindTracker},
				{Kind: "limit.archive"},
			},
			Links: []scan.Link{{URL: "https://evil.test/x", Text: "www.example.com", Source: scan.FromAnchor, Section: "2"}},
			Objects: []scan.Object{
				{Path: "2", Name: "a.zip", Names: []string{"a.zip", "a.pdf.exe"}, Extension: "zip", State: scan.Encrypted, Class: "archive", Traits: []scan.Trait{scan.Archive, scan.Executable, "vba-macros"}},
				{Path: "2/b.docx", Name: "b.docx", Depth: 1},
				{Path: "2/b.docx/c.js", Name: "c.js", Depth: 2},
			},
		},
	}
}

// lines returns the facts as text.
func lines(t testing.TB, f *facts.Facts) []string {
	t.Helper()
	var out strings.Builder
	if err := f.Dump().WriteText(&out); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(out.String()), "\n")
}

func TestFacts(t *testing.T) {
	got := lines(t, facts.New(everything(t)))
	has := map[string]bool{}
	for _, line := range got {
		has[line] = true
	}
	for _, want := range []string{
		`conn.ip = "192.0.2.1"`, `conn.rdns = "mail.example.net"`, `conn.iprev = "pass"`, `conn.tls = true`, `conn.tls_bits = 256`,
		`mail_from.email = "\"a b\"@bounce.example.net"`, `mail_from.local = "a b"`, `mail_from.org_domain = "example.net"`,
		`rcpts[0].local = "Info"`, `rcpts[1].domain = "xn--mller-kva.de"`,
		`from.name = "Erika Müstermann"`, `from.email = "Erika@mail.example.co.uk"`, `from.org_domain = "example.co.uk"`, `from_count = 1`,
		`reply_to[0].org_domain = "example.org"`, `reply_to[1].email = "c@example.net"`,
		`subject = "Überweisung new"`, `message_id = "<1@example.co.uk>"`, `list_id = "users.lists.example.org"`, `forwarded = true`,
		`headers.x-spam-flag[0] = "YES"`, `upstream.spam_flag = true`, `upstream.spam_score = 12.3`,
		`text = "Grüße, see https://login.example.org/a?b=c.\n-----BEGIN PGP MESSAGE-----\nHello"`,
		`received_at = 2026-11-22T01:02:03Z`,
		`html.present = true`, `html.active[0] = "form"`, `html.active[1] = "script"`, `html.scripts = 3`, `html.forms = 1`, `html.remote = 2`,
		`html.trackers = 1`,
		`urls[0].host = "evil.test"`, `urls[0].text_host = "www.example.com"`, `urls[0].mismatch = true`, `urls[0].source = "anchor"`,
		`urls[1].href = "https://login.example.org/a?b=c"`, `urls[1].org_domain = "example.org"`, `urls[1].source = "text"`, `urls[1].section = "1"`,
		`attachments[0].encrypted = true`, `attachments[0].exts[1] = "exe"`, `attachments[0].has_macros = true`, `attachments[0].executable = true`,
		`attachments[0].inside[0] = "b.docx"`, `attachments[0].inside[1] = "c.js"`, `attachments[0].state = "encrypted"`,
		`objects[1].inside[0] = "c.js"`, `objects[2].state = "uninspectable"`, `objects[2].depth = 2`,
		`auth.spf.result = "pass"`, `auth.spf.aligned = true`, `auth.spf.helo_result = "fail"`,
		`auth.dkim.result = "pass"`, `auth.dkim.signatures[1].aligned = true`, `auth.dkim.signatures[0].bits = 2048`,
		`auth.dmarc.result = "fail"`, `auth.dmarc.policy = "none"`, `auth.dmarc.published = "reject"`, `auth.dmarc.override = "other"`,
		`auth.arc.sealer = "b.example"`, `auth.arc.trusted_sealer = true`, `auth.arc.original_dmarc = "pass"`,
		`auth.smime.state = "verified"`, `auth.smime.private = true`, `auth.smime.validation_level = "sponsor"`, `auth.smime.identity = "none"`,
		`auth.pgp.encrypted = true`, `mime.parts = 3`, `mime.depth = 2`, `limits.exceeded = true`, `limits.names[0] = "limit.archive"`,
		`findings[0].kind = "html.script"`, `findings[0].count = 3`,
	} {
		if !has[want] {
			t.Errorf("not there: %s", want)
		}
	}
	for _, unwanted := range []string{"attachments[1]", "auth.dkim.aligned", "auth.dkim.signatures[0].aligned", "skipped", "from_problem", "auto_submitted"} {
		for _, line := range got {
			if strings.HasPrefix(line, unwanted) {
				t.Errorf("there: %s", line)
			}
		}
	}
	if t.Failed() {
		t.Log(strings.Join(got, "\n"))
	}
}

// What was not evaluated reads "none".
func TestNothingEvaluated(t *testing.T) {
	m := read(t, "Subject: x\r\n\r\nbody\r\n")
	in := facts.Input{Message: m, Results: verify.Results{Author: m.Header.Author(), Skipped: verify.SkipNetwork}}
	got := "\n" + strings.Join(lines(t, facts.New(in)), "\n") + "\n"
	for _, want := range []string{
		`skipped = "network"`, `conn.iprev = "none"`, `from_problem = "missing"`, `text = "body\n"`,
		`auth.spf.result = "none"`, `auth.spf.helo_result = "none"`, `auth.dkim.result = "none"`, `auth.dmarc.result = "none"`, `auth.arc.result = "none"`,
		`auth.arc.original_dmarc = "none"`, `auth.smime.result = "none"`, `auth.smime.state = "none"`, `auth.smime.trust = "none"`,
	} {
		if !strings.Contains(got, "\n"+want+"\n") {
			t.Errorf("not there: %s in %s", want, got)
		}
	}
}

func TestText(t *testing.T) {
	part := func(mediaType, body string) string {
		return "From: a@example.com\r\nMIME-Version: 1.0\r\nContent-Type: " + mediaType + "\r\n\r\n" + body
	}
	for _, test := range []struct{ name, mail, want string }{
		{"plain", part("text/plain", "one\r\ntwo"), "one\ntwo"},
		{"charset", part("text/plain; charset=windows-1252", "\x80 \x93x\x94"), "€ “x”"},
		{"unknown charset", part("text/plain; charset=x-none", "a\xffb"), "a\ufffdb"},
		{"html", part("text/html", "<title>no</title><style>p{}</style><p>a&amp;b <b>c</b></p><p>d<br>e<td>f<td>g"), "a&b c\nd\ne f g"},
		{"html with script", part("text/html", "x<script>var a='<p>no'</script>y"), "xy"},
		{"html with open script", part("text/html", "x<script>never closed"), "x"},
		{"html with hidden characters", part("text/html", "pass\u200bwo\u00adrd"), "password"},
		{"blank plain text", part("multipart/alternative; boundary=b", "--b\r\n\r\n \r\n--b\r\nContent-Type: text/html\r\n\r\n<i>x</i>\r\n--b--\r\n"), "x"},
		{"harmless plain text", part("multipart/alternative; boundary=b", "--b\r\n\r\nhello\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>wire transfer</p>\r\n--b--\r\n"), "hello\nwire transfer"},
		{"attached text", part("multipart/mixed; boundary=b", "--b\r\n\r\nshown\r\n--b\r\nContent-Disposition: attachment\r\n\r\nnot\r\n--b--\r\n"), "shown"},
		{"two parts", part("multipart/mixed; boundary=b", "--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n"), "one\ntwo"},
	} {
		value, _ := facts.New(facts.Input{Message: read(t, test.mail)}).ResolveName("text")
		if got := strings.TrimSpace(value.(string)); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// What facts leave out is said: a sender decides how much there is.
func TestLimits(t *testing.T) {
	mail := func(header, body string) string {
		return "From: a@example.com\r\n" + header + "MIME-Version: 1.0\r\n\r\n" + body
	}
	html := "Content-Type: text/html\r\n"
	many := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	for _, test := range []struct{ name, mail, want string }{
		{"ordinary", mail("Reply-To: b@example.com\r\n", "see http://example.com/"), ""},
		{"large", mail("", many(2000, "line %d of a long text\r\n")), ""},
		{"large HTML with little text", mail(html, many(5000, "<p style=\"margin: 0; padding: 0; border: 0; font-size: %dpx\">a</p>\r\n")), ""},
		{"text", mail("", many(20000, "line %d of a long text\r\n")), "limit.text"},
		{"text of HTML", mail(html, many(20000, "<p>line %d of a text</p>\r\n")), "limit.text"},
		{"HTML", mail(html, many(90000, "<p id=%d></p>\r\n")), "limit.text"},
		{"URLs", mail("", many(3000, "http://h%d.example/\r\n")), "limit.urls"},
		{"addresses", mail("Reply-To: b@example.com"+many(100, ",\r\n c%d@example.com")+"\r\n", ""), "limit.addresses"},
		{"name", mail("Reply-To: "+many(600, "\r\n name%d")+" <b@example.com>\r\n", ""), "limit.addresses"},
		{"subject", mail("Subject: "+many(600, "\r\n word%d")+"\r\n", ""), "limit.subject"},
	} {
		m := read(t, test.mail)
		value, _ := facts.New(facts.Input{Message: m, Results: verify.Results{Author: m.Header.Author()}}).ResolveName("limits")
		limits := value.(facts.Limits)
		if got := strings.Join(limits.Names, " "); got != test.want || limits.Exceeded != (test.want != "") {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestURL(t *testing.T) {
	for _, test := range []struct {
		href, text             string
		scheme, host, textHost string
		mismatch               bool
	}{
		{"https://Example.com/x", "click", "https", "example.com", "", false},
		{"https://www.example.com/", "example.com", "https", "www.example.com", "example.com", false},
		{"https://evil.test/", "https://bank.example.com/login", "https", "evil.test", "bank.example.com", true},
		{"https://evil.test/", "Log in at www.example.com now", "https", "evil.test", "www.example.com", true},
		{"https://evil.test/", "example.com/login", "https", "evil.test", "example.com", true},
		{"https://evil.test/", "invoice.zip", "https", "evil.test", "", false},
		{"https://evil.test/", "Node.js", "https", "evil.test", "", false},
		{"https://evil.test/", "e.g. this", "https", "evil.test", "", false},
		{"https://user:pw@evil.test:8443/x@y", "", "https", "evil.test", "", false},
		{`https:\\evil.test\x`, "", "https", "evil.test", "", false},
		{"http:evil.test", "", "http", "evil.test", "", false},
		{"//evil.test/x", "", "", "evil.test", "", false},
		{"/relative?x=http://evil.test", "", "", "", "", false},
		{"http://3221225985/", "http://192.0.2.1/", "http", "192.0.2.1", "192.0.2.1", false},
		{"http://0xc0.0.0x201/", "example.com", "http", "192.0.2.1", "example.com", true},
		{"http://[2001:db8::1]:80/", "", "http", "2001:db8::1", "", false},
		{"https://%65vil.test/", "", "https", "evil.test", "", false},
		{"https://müller.de/", "", "https", "xn--mller-kva.de", "", false},
		{"mailto:a@Example.com?subject=x", "a@example.com", "mailto", "example.com", "example.com", false},
		{"mailto:a@evil.test", "info@example.com", "mailto", "evil.test", "example.com", true},
		{"tel:+49123", "example.com", "tel", "", "example.com", false},
		{"javascript:alert(1)", "", "javascript", "", "", false},
		{"", "", "", "", "", false},
	} {
		in := facts.Input{
			Message: read(t, "Subject: x\r\n\r\n"),
			Report:  scan.Report{Links: []scan.Link{{URL: test.href, Text: test.text, Source: scan.FromAnchor}}},
		}
		value, _ := facts.New(in).ResolveName("urls")
		u := value.([]facts.URL)[0]
		if u.Scheme != test.scheme || u.Host != test.host || u.TextHost != test.textHost || u.Mismatch != test.mismatch {
			t.Errorf("%q shown as %q: %+v", test.href, test.text, u)
		}
	}
}

func TestForwardedAndAutoSubmitted(t *testing.T) {
	for _, test := range []struct {
		header          string
		forwarded, auto bool
	}{
		{"From: a@example.com", false, false},
		{"List-Unsubscribe: <mailto:x@example.com>", true, false},
		{"Resent-From: a@example.com", true, false},
		{"ARC-Seal: i=1", true, false},
		{"Auto-Submitted: auto-replied; x=y", false, true},
		{"Auto-Submitted: No", false, false},
		{"Precedence: auto_reply", false, true},
		{"Precedence: bulk", false, false},
	} {
		f := facts.New(facts.Input{Message: read(t, test.header+"\r\n\r\n")})
		forwarded, _ := f.ResolveName("forwarded")
		auto, _ := f.ResolveName("auto_submitted")
		if forwarded != test.forwarded || auto != test.auto {
			t.Errorf("%s: forwarded %v, auto_submitted %v", test.header, forwarded, auto)
		}
	}
}

// A hostile message cannot make a fact longer than it is documented to be.
func TestBounds(t *testing.T) {
	var mail strings.Builder
	for i := range 1500 {
		fmt.Fprintf(&mail, "X-%d: %s\r\n", i, strings.Repeat("\xff", 300))
	}
	fmt.Fprintf(&mail, "Subject: %s\r\nReply-To: %s\r\n\r\n", strings.Repeat("ä", 9000), strings.Repeat("a@example.com, ", 3000))
	for i := range 30000 {
		fmt.Fprintf(&mail, "http://h%d.example.com/\r\n", i)
	}
	in := facts.Input{Message: read(t, mail.String())}
	for i := range 3000 {
		in.Report.Objects = append(in.Report.Objects, scan.Object{Path: strings.Repeat("/", 5000), Depth: i % 2, Names: make([]string, 2000)})
		in.Report.Findings = append(in.Report.Findings, scan.Finding{Kind: "limit.x", Detail: strings.Repeat("\x80", 9000)})
	}
	f := facts.New(in)
	for _, d := range facts.Docs() {
		name, _, _ := strings.Cut(strings.SplitN(d.Name, ".", 2)[0], "[")
		value, ok := f.ResolveName(name)
		if !ok {
			t.Fatalf("no %s", name)
		}
		bounded(t, name, reflect.ValueOf(value))
	}
	if got, _ := f.ResolveName("urls"); len(got.([]facts.URL)) != facts.MaxURLs {
		t.Errorf("%d urls", len(got.([]facts.URL)))
	}
	dump, err := f.Dump().MarshalJSON()
	if err != nil || len(dump) > 8<<20 {
		t.Errorf("a dump of %d octets: %v", len(dump), err)
	}
}

// bounded checks a value against its hint.
func bounded(t *testing.T, path string, v reflect.Value) {
	t.Helper()
	_, high := facts.SizeHint(path)
	size := 1
	switch v.Kind() {
	case reflect.String:
		if size = v.Len(); !utf8.ValidString(v.String()) {
			t.Fatalf("%s is not UTF-8", path)
		}
	case reflect.Slice:
		size = v.Len()
		for i := range min(v.Len(), 3) {
			bounded(t, path+".@items", v.Index(i))
		}
	case reflect.Map:
		size = v.Len()
		for _, key := range v.MapKeys()[:min(v.Len(), 3)] {
			bounded(t, path+".@keys", key)
			bounded(t, path+".@values", v.MapIndex(key))
		}
	case reflect.Struct:
		if v.Type() != reflect.TypeFor[time.Time]() {
			for i := range v.NumField() {
				bounded(t, path+"."+v.Type().Field(i).Tag.Get("cel"), v.Field(i))
			}
			return
		}
	}
	if uint64(size) > high {
		t.Errorf("%s has a size of %d, at most %d is documented", path, size, high)
	}
}

func FuzzFacts(f *testing.F) {
	f.Add([]byte(letter))
	f.Add([]byte("From: a\r\nContent-Type: text/html; charset=utf-16\r\n\r\n<p"))
	f.Add([]byte("X-Spam-Score: NaN\r\nX-Spam-Status: score=\r\nList-Id: >a<\r\n\r\nhttp://[::1"))
	f.Fuzz(func(t *testing.T, mail []byte) {
		m := read(t, string(mail))
		in := facts.Input{Message: m, Results: verify.Results{Author: m.Header.Author()}}
		in.Report.Links = []scan.Link{{URL: string(mail), Text: string(mail)}}
		all := facts.New(in)
		for _, entry := range all.Dump() {
			value, _ := all.ResolveName(entry.Name)
			bounded(t, entry.Name, reflect.ValueOf(value))
		}
		if _, err := all.Dump().MarshalJSON(); err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkFacts(b *testing.B) {
	in := everything(b)
	in.Message = read(b, strings.Replace(letter, "see ", strings.Repeat("a line of ordinary text that people write\r\n", 230), 1))
	for _, set := range []struct {
		name  string
		names []string
	}{
		{"small", []string{"conn", "mail_from", "rcpts", "from", "from_all", "reply_to", "subject", "headers", "attachments", "objects", "mime", "findings", "limits", "upstream", "forwarded", "html"}},
		{"auth", []string{"auth"}},
		{"text", []string{"text"}},
		{"urls", []string{"urls"}},
	} {
		b.Run(set.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f := facts.New(in)
				for _, name := range set.names {
					f.ResolveName(name)
				}
			}
		})
	}
}
