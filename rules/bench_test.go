package rules

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"assay/rules/facts"
)

// templates are conditions as security teams write them; %d makes each rule another one.
func templates() []string {
	return []string{
		`auth.dmarc.result == "fail" && auth.dmarc.policy == "reject" && !vouched && !from_known_list && !forwarded`,
		`auth.dmarc.result == "fail" && !vouched && (auth.dmarc.policy == "quarantine" || auth.dmarc.policy == "reject" && forwarded) && size > %d`,
		`from_us && !authenticated && !from_known_list && conn.sasl_user == "" && from.local != "user%d"`,
		`auth.smime.signed && auth.smime.result in ["fail", "policy"] && auth.smime.signer_email != "a%d@example.com"`,
		`listed("vips", from.name) && !from_us && from.local != "vip%d"`,
		`lookalike("org_domains", from.domain) || reply_to.exists(r, lookalike("org_domains", r.domain) && r.local == "u%d")`,
		`reply_to.exists(r, r.org_domain != from.org_domain && listed("freemail", r.org_domain)) && subject.contains("invoice %d")`,
		`attachments.exists(a, a.encrypted && a.ext in ["zip", "7z", "rar"] && a.size > %d) && !authenticated`,
		`attachments.exists(a, a.has_macros && a.name != "report%d.docm")`,
		`attachments.exists(a, a.inside.exists(n, n.endsWith(".exe") || n.endsWith(".tool%d")))`,
		`!conn.tls && rcpts.exists(r, r.local in ["datenschutz", "betriebsarzt", "box%d"])`,
		`urls.exists(u, u.mismatch && u.host != "safe%d.example.com") && !authenticated`,
		`subject.matches("(?i)(gutschein|gift ?card|voucher) %d")`,
		`headers[?"x-mailer"].orValue([]).exists(v, v.contains("PHPMailer %d"))`,
		`conn.helo.endsWith(".dyn%d.example.net") && auth.spf.result != "pass"`,
		`from_count > 1 || from_problem != "" || message_id == "<%d@example.com>"`,
		`html.forms > 0 && !authenticated && size > %d`,
		`mail_from.domain == "sender%d.example" && auth.spf.result in ["fail", "softfail"]`,
		`from.domain == "partner%d.example" && auth.dkim.result != "pass"`,
		`mime.tier == "ambiguous" && mime.parts > %d`,
	}
}

// thousand returns a directory of 1,000 rules, 20 macros and some lists.
func thousand() fstest.MapFS {
	var b strings.Builder
	b.WriteString(`format: 1
lists:
  vips: {items: [Erika Mustermann, Max Mustermann]}
  freemail: {items: [gmail.com, gmx.de, web.de]}
  list_domains: {items: [lists.debian.org]}
macros:
  vouched: auth.arc.result == "pass" && auth.arc.trusted_sealer && auth.arc.original_dmarc == "pass"
  authenticated: auth.dmarc.result == "pass" || vouched
  from_us: listed("org_domains", from.org_domain)
  from_known_list: >-
    auth.dkim.signatures.exists(s, s.result == "pass" && listed("list_domains", s.domain)) ||
    auth.spf.result == "pass" && listed("list_domains", mail_from.domain)
rules:
`)
	all := templates()
	for i := range 1000 {
		condition := all[i%len(all)]
		condition = strings.ReplaceAll(condition, "%d", strconv.Itoa(i))
		fmt.Fprintf(&b, "  - id: rule-%d\n    title: Rule number %d\n    severity: medium\n    mode: enforce\n    when: |\n      %s\n    then: {note: \"seen from ${from.domain}\"}\n", i, i, condition)
	}
	return fstest.MapFS{"10-thousand.yaml": {Data: []byte(b.String())}}
}

// ordinary is a message as they come every minute: authenticated, with two attachments, ten links and a page of text.
func ordinary() facts.Tree {
	tree := facts.Tree{
		Conn:     facts.Conn{IP: "192.0.2.1", RDNS: "mail.example.net", IPRev: "pass", Helo: "mail.example.net", TLS: true, TLSVersion: "TLSv1.3", TLSBits: 256},
		MailFrom: facts.Path{Email: "bounce@example.net", Local: "bounce", Domain: "example.net", OrgDomain: "example.net"},
		Rcpts:    []facts.Path{{Email: "b@example.com", Local: "b", Domain: "example.com", OrgDomain: "example.com"}},
		From:     facts.Mailbox{Name: "Max Beispiel", Email: "max@example.net", Local: "max", Domain: "example.net", OrgDomain: "example.net"},
		ReplyTo:  []facts.Mailbox{{Email: "max@example.net", Local: "max", Domain: "example.net", OrgDomain: "example.net"}},
		Subject:  "Protokoll der Sitzung vom Montag", Size: 48_213, ReceivedAt: testNow(), FromCount: 1,
		Headers: map[string][]string{"from": {"Max Beispiel <max@example.net>"}, "x-mailer": {"Apple Mail (2.3774)"}},
		Text:    strings.Repeat("Sehr geehrte Damen und Herren, anbei das Protokoll. ", 60),
		Auth: facts.Auth{
			SPF:   facts.SPF{Result: "pass", Domain: "example.net", Aligned: true},
			DKIM:  facts.DKIM{Result: "pass", Aligned: true, Signatures: []facts.Signature{{Result: "pass", Domain: "example.net", Aligned: true}}},
			DMARC: facts.DMARC{Result: "pass", Policy: "reject", Domain: "example.net"},
			ARC:   facts.ARC{Result: "none"}, SMIME: facts.SMIME{Result: "none", State: "unsigned"},
		},
		MIME: facts.MIME{Parts: 5, Depth: 2},
	}
	for i := range 10 {
		tree.URLs = append(tree.URLs, facts.URL{Href: fmt.Sprintf("https://www.example.net/%d", i), Host: "www.example.net", OrgDomain: "example.net"})
	}
	for _, name := range []string{"protokoll.pdf", "folien.pptx"} {
		tree.Attachments = append(tree.Attachments, facts.Object{Name: name, Ext: name[len(name)-3:], State: "inspected", Size: 20_000})
	}
	tree.Objects = tree.Attachments
	return tree
}

// mustLoad loads a directory that has no errors.
func mustLoad(tb testing.TB, files fstest.MapFS, opt Options) *Set {
	tb.Helper()
	s, problems := Load([]Source{{Name: "rules.d", Files: files}}, opt)
	if err := problems.Err(); err != nil {
		tb.Fatal(err)
	}
	return s
}

func BenchmarkLoad1000(b *testing.B) {
	files := thousand()
	b.ReportAllocs()
	start := cpuTime(b)
	for b.Loop() {
		mustLoad(b, files, testOptions())
	}
	b.ReportMetric(float64(cpuTime(b)-start)/float64(b.N), "cpu-ns/op")
}

func BenchmarkDecide1000(b *testing.B) {
	s, tree := mustLoad(b, thousand(), testOptions()), ordinary()
	if d := s.DecideFrom(b.Context(), facts.Stated(tree)); len(d.Errors) > 0 {
		b.Fatal(d.Errors[0])
	}
	b.ReportAllocs()
	start := cpuTime(b)
	for b.Loop() {
		s.DecideFrom(b.Context(), facts.Stated(tree))
	}
	b.ReportMetric(float64(cpuTime(b)-start)/float64(b.N), "cpu-ns/op")
}

// cpuTime is the processor time that this process has used, which other work on the machine does not change much.
func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
