// Package clienttest hands mail that Assay's filter has written to real programs of recipients: Pigeonhole files it, Dovecot
// serves it, and Roundcube shows it in Chromium. The scripts and the plugin under packaging/clients are what is tested.
package clienttest

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"assay/milter/filter"
	"assay/milter/headers"
	"assay/milter/plan"
	"assay/rules"
	"assay/rules/shipped"
	"assay/verify"
	"assay/verify/dns/zone"
	"assay/verify/message"
	"assay/verify/smime"
	"assay/verify/smime/pki"
)

// dns is what the domains of the senders publish.
const dns = `
partner.example. TXT "v=spf1 ip4:192.0.2.25 -all"
_dmarc.partner.example. TXT "v=DMARC1; p=reject"
bank.example. TXT "v=spf1 -all"
_dmarc.bank.example. TXT "v=DMARC1; p=reject"
`

// ruleFile has a rule for junk and one for the quarantine, for mail whose subject asks for it.
const ruleFile = `format: 1
rules:
  - {id: test-junk, title: Advertising, severity: medium, mode: enforce, stage: message, when: 'subject.contains("prize")', then: {junk: true}}
  - {id: test-hold, title: Held, severity: medium, mode: enforce, stage: message, when: 'subject.contains("held")', then: {quarantine: to be looked at}}
`

// A mail is one message on its way in, and what has to be said about it.
type mail struct {
	name     string
	from     string // header field; its domain is that of MAIL FROM too unless path says otherwise
	path     string
	subject  string
	more     string // header fields that the message brings along, each with CRLF
	body     string // with Content-Type and further fields of MIME; "" is a line of text
	envelope message.Envelope
	signed   bool // by S/MIME
	language headers.Language
	prefix   string // of Assay's fields, "" for the default
	result   string // how the machine line begins behind v=1
}

// confirmed is the client whose address partner.example names in SPF.
var confirmed = message.Envelope{ClientIP: netip.MustParseAddr("192.0.2.25"), TLS: message.TLSInfo{Version: "TLSv1.3"}}

// stranger is a client that nobody names.
var stranger = message.Envelope{ClientIP: netip.MustParseAddr("203.0.113.66")}

// hostileName is a display name that is HTML, and that a rule quotes in the summary.
const hostileName = `<img src=x onerror=document.title='pwned'> boss@rcpt.example </div><script>document.title='pwned'</script>`

// claims are fields by which a message pretends to have been checked.
const claims = "X-Assay-Result: v=1; trust=verified; disposition=deliver; tls=1.3; id=A\r\n" +
	"x-ASSAY-result : v=1; trust=verified; disposition=deliver; tls=1.3; id=B\r\n" +
	"X-Assay-Result:\r\n v=1; trust=verified; disposition=deliver; tls=1.3; id=C\r\n" +
	"X-Assay-Summary: Sender confirmed: bank.example. Transport encrypted.\r\n"

// nested is a message that is an attachment and pretends to have been checked.
const nested = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
	"--b\r\nContent-Type: text/plain\r\n\r\nSee the attached mail.\r\n" +
	"--b\r\nContent-Type: message/rfc822\r\nContent-Disposition: attachment; filename=mail.eml\r\n\r\n" +
	"From: Bank <service@bank.example>\r\nTo: user@rcpt.example\r\nSubject: attached\r\n" + claims + "\r\nPay at once.\r\n--b--\r\n"

// mails are all kinds of mail that a mailbox sees: every trust, every disposition that delivers, and attacks.
func mails() []mail {
	loggedIn, local, relay := confirmed, message.Envelope{Local: true}, message.Envelope{ClientIP: netip.MustParseAddr("198.51.100.7")}
	loggedIn.AuthUser = "colleague"
	const partner, bank, nobody = "Anna Partner <anna@partner.example>", "Bank <service@bank.example>", "Nobody <info@plain.example>"
	return []mail{
		{name: "verified", from: partner, subject: "signed offer", envelope: confirmed, signed: true, result: "trust=verified; disposition=deliver;"},
		{name: "authenticated", from: partner, subject: "offer", envelope: confirmed, result: "trust=authenticated; disposition=deliver;"},
		{name: "unverified", from: nobody, subject: "hello", envelope: stranger, result: "trust=unverified; disposition=deliver;"},
		{name: "suspicious", from: `"boss@rcpt.example" <x@plain.example>`, subject: "are you there", envelope: stranger,
			result: "trust=suspicious; disposition=deliver;"},
		{name: "forged", from: bank, path: "x@evil.example", subject: "your account", envelope: stranger, result: "trust=forged; disposition=deliver;"},
		{name: "forged-german", from: bank, path: "x@evil.example", subject: "Ihr Konto", envelope: stranger, language: headers.German,
			result: "trust=forged; disposition=deliver;"},
		{name: "junk", from: partner, subject: "your prize", envelope: confirmed, result: "trust=authenticated; disposition=junk;"},
		{name: "junk-denied", from: partner, subject: "your prize", more: "X-Spam-Flag: NO\r\nX-Spam-Status: No\r\n", envelope: confirmed,
			result: "trust=authenticated; disposition=junk;"},
		{name: "junk-forged", from: bank, path: "x@evil.example", subject: "your prize", envelope: stranger, result: "trust=forged; disposition=junk;"},
		{name: "released", from: partner, subject: "held", envelope: confirmed, result: "trust=authenticated; disposition=quarantine;"},
		{name: "released-forged", from: bank, path: "x@evil.example", subject: "held", envelope: stranger,
			result: "trust=forged; disposition=quarantine;"},
		{name: "released-suspicious", from: `"boss@rcpt.example" <x@plain.example>`, subject: "held", envelope: stranger,
			result: "trust=suspicious; disposition=quarantine;"},
		{name: "logged-in", from: "Colleague <colleague@rcpt.example>", subject: "lunch", envelope: loggedIn, result: "trust=authenticated; disposition=deliver;"},
		{name: "local", from: "root@rcpt.example", subject: "cron", envelope: local, result: "trust=unverified; disposition=deliver;"},
		{name: "relay", from: "Scanner <scan@rcpt.example>", subject: "scan", envelope: relay, result: "trust=unverified; disposition=deliver;"},
		{name: "forged-claims", from: bank, path: "x@evil.example", subject: "your account", more: claims, envelope: stranger,
			result: "trust=forged; disposition=deliver;"},
		{name: "words-elsewhere", from: partner, subject: "v=1; trust=forged; disposition=deliver;",
			more: "X-Other: v=1; trust=forged;\r\nComments: X-Spam-Flag: YES\r\n", envelope: confirmed, result: "trust=authenticated; disposition=deliver;"},
		{name: "hostile", from: `"` + hostileName + `" <x@plain.example>`, subject: "look", envelope: stranger,
			result: "trust=suspicious; disposition=deliver;"},
		{name: "nested", from: nobody, subject: "forwarded", body: nested, envelope: stranger, result: "trust=unverified; disposition=deliver;"},
	}
}

// deliver sends m through the filter and returns it as the MTA would deliver it.
func (d *desk) deliver(t *testing.T, m mail) []byte {
	t.Helper()
	env := m.envelope
	env.MailFrom = m.path
	if env.MailFrom == "" {
		_, address, _ := strings.Cut("<"+m.from, " <")
		env.MailFrom = strings.Trim(strings.TrimPrefix(address, "<"), "<>")
	}
	env.RcptTo, env.ReceiverMTA, env.QueueID, env.ReceivedAt, env.Helo = []string{"user@rcpt.example"}, "mx.rcpt.example", "4XyZ1k2Qz", time.Now(), "client.example"
	in, err := message.Read(bytes.NewReader(d.text(t, m)), env, message.Limits{})
	must(t, err)
	defer in.Close()
	f := filter.New(filter.Options{Verifier: d.verifier, Rules: d.rules, Headers: headers.Options{Language: m.language, Prefix: m.prefix}})
	o := f.Explain(t.Context(), in, plan.Capabilities{AddHeaders: true, ChangeHeaders: true, ChangeBody: true, Quarantine: true})
	var out bytes.Buffer
	if err := plan.Apply(o.Plan, in, &out); err != nil {
		t.Fatalf("%s: %v (%s)", m.name, err, o.Failure)
	}
	if want := "\r\n" + cmp.Or(m.prefix, headers.DefaultPrefix) + "-Result: v=1; " + m.result; strings.Count(out.String(), want) != 1 {
		t.Fatalf("%s: the filter does not say %q once:\n%s", m.name, want, &out)
	}
	return out.Bytes()
}

// text returns the message as its sender writes it.
func (d *desk) text(t *testing.T, m mail) []byte {
	t.Helper()
	body := m.body
	if body == "" {
		body = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nThis is the text of the message.\r\n"
	}
	if m.signed {
		body = string(d.sign(t, "Content-Type: text/plain\r\n\r\nThis is the text of the message.\r\n"))
	}
	return fmt.Appendf(nil, "Date: %s\r\nMessage-ID: <%s@client.example>\r\nFrom: %s\r\nTo: user@rcpt.example\r\nSubject: %s\r\n%s%s",
		time.Now().Format(time.RFC1123Z), m.name, m.from, m.subject, m.more, body)
}

// A desk checks mail, with DNS, rules and an authority for S/MIME of its own.
type desk struct {
	dir      string // certificate and key of Anna Partner
	verifier *verify.Verifier
	rules    *rules.Set
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	requireProgram(t, "openssl")
	d := &desk{dir: t.TempDir()}
	d.issue(t)
	store, err := pki.NewStore(false, []string{d.file("anna.crt")}, nil)
	must(t, err)
	z, err := zone.Parse(strings.NewReader(dns), "dns")
	must(t, err)
	d.verifier = verify.New(verify.Options{
		Resolver: z, Trusted: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
		SMIME: smime.NewVerifier(smime.Options{Validator: pki.New(store, pki.Options{}), Revocation: smime.RevocationSkip, NoFetch: true}),
	})
	set, problems := rules.Load([]rules.Source{
		{Files: shipped.Files}, {Name: "test", Files: fstest.MapFS{"90-test.yaml": {Data: []byte(ruleFile)}}},
	}, rules.Options{OrgDomains: []string{"rcpt.example"}})
	if set == nil {
		t.Fatal(problems)
	}
	d.rules = set
	return d
}

func (d *desk) file(name string) string { return filepath.Join(d.dir, name) }

// issue makes the certificate of Anna Partner, which is its own authority.
func (d *desk) issue(t *testing.T) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Anna Partner"}, EmailAddresses: []string{"anna@partner.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	must(t, os.WriteFile(d.file("anna.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(t, os.WriteFile(d.file("anna.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}

// sign returns an entity with a detached signature of Anna Partner.
func (d *desk) sign(t *testing.T, entity string) []byte {
	t.Helper()
	c := exec.Command("openssl", "cms", "-sign", "-binary", "-outform", "DER", "-signer", d.file("anna.crt"), "-inkey", d.file("anna.key"))
	c.Stdin = strings.NewReader(entity)
	der, err := c.Output()
	must(t, err)
	encoded := pem.EncodeToMemory(&pem.Block{Type: "CMS", Bytes: der})
	lines := strings.Split(strings.TrimSpace(string(encoded)), "\n")
	return fmt.Appendf(nil, "MIME-Version: 1.0\r\nContent-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; micalg=sha-256; boundary=s\r\n\r\n"+
		"--s\r\n%s\r\n--s\r\nContent-Type: application/pkcs7-signature; name=smime.p7s\r\nContent-Transfer-Encoding: base64\r\n\r\n%s\r\n--s--\r\n",
		entity, strings.Join(lines[1:len(lines)-1], "\r\n"))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// requireProgram skips the test if a program is not installed. On Debian that is a failure of make test.
func requireProgram(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("NOT RUN: %s is not installed, run packaging/test/deps.sh", name)
	}
}
