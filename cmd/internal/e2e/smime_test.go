package e2e

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"mime"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/authres"

	"assay/cmd/internal/mtatest"
	"assay/verify/dns/dnstest"
)

// smimeZone has an author's domain that passes DMARC from one address.
const smimeZone = `
client.example. TXT "v=spf1 ip4:127.0.2.25 -all"
_dmarc.client.example. TXT "v=DMARC1; p=reject"
`

// An office issues certificates, and signs with openssl(1), which also checks what was delivered.
type office struct {
	dir    string
	serial int64
	root   *x509.Certificate
	key    crypto.Signer
}

// newOffice makes a root and the signers alice (RSA), eve (ECDSA), late, whose certificate has expired, and self, whom
// nobody vouches for.
func newOffice(t *testing.T) *office {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("NOT TESTED: no openssl(1), install the package openssl")
	}
	o := &office{dir: t.TempDir()}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	o.key = key
	o.root = o.issue(t, "root", x509.Certificate{
		Subject: pkix.Name{CommonName: "Client Root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, key, nil, key)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	o.signer(t, "alice", rsaKey, time.Now().AddDate(1, 0, 0), o.root, o.key)
	o.signer(t, "eve", newECDSA(t), time.Now().AddDate(1, 0, 0), o.root, o.key)
	o.signer(t, "late", newECDSA(t), time.Now().AddDate(0, 0, -7), o.root, o.key)
	self := newECDSA(t)
	o.signer(t, "self", self, time.Now().AddDate(1, 0, 0), nil, self)
	return o
}

func newECDSA(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

// signer issues the certificate of somebody; those of late and self are alice's too.
func (o *office) signer(t *testing.T, name string, key crypto.Signer, until time.Time, parent *x509.Certificate, by crypto.Signer) {
	t.Helper()
	mail := "alice@client.example"
	if name == "eve" {
		mail = "eve@client.example"
	}
	o.issue(t, name, x509.Certificate{
		Subject: pkix.Name{CommonName: "Alice Müller", Organization: []string{"Client"}}, EmailAddresses: []string{mail}, NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
	}, key, parent, by)
}

// issue makes a certificate, name.crt, with its key, name.key. Without parent it is self-signed.
func (o *office) issue(t *testing.T, name string, c x509.Certificate, key crypto.Signer, parent *x509.Certificate, by crypto.Signer) *x509.Certificate {
	t.Helper()
	o.serial++
	c.SerialNumber, c.NotBefore = big.NewInt(o.serial), time.Now().AddDate(-2, 0, 0)
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().AddDate(10, 0, 0)
	}
	if parent == nil {
		parent = &c
	}
	der, err := x509.CreateCertificate(rand.Reader, &c, parent, key.Public(), by)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	for file, block := range map[string]*pem.Block{name + ".crt": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		must(t, os.WriteFile(o.file(file), pem.EncodeToMemory(block), 0o644))
	}
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return cert
}

func (o *office) file(name string) string { return filepath.Join(o.dir, name) }

// sign returns the CMS object of an entity with openssl cms -sign.
func (o *office) sign(t *testing.T, who, entity string, options ...string) []byte {
	t.Helper()
	args := append([]string{"cms", "-sign", "-binary", "-outform", "DER", "-signer", o.file(who + ".crt"), "-inkey", o.file(who + ".key")}, options...)
	return runTool(t, []byte(entity), "openssl", args...)
}

// verify says whether openssl accepts the signature of a delivered message. Its older command knows no RSASSA-PSS.
func (o *office) verify(t *testing.T, message []byte, pss bool) bool {
	t.Helper()
	file := filepath.Join(t.TempDir(), "delivered.eml")
	must(t, os.WriteFile(file, message, 0o600))
	check := func(command string) bool {
		return exec.Command("openssl", command, "-verify", "-in", file, "-CAfile", o.file("root.crt"), "-out", os.DevNull).Run() == nil
	}
	good := check("cms")
	if !pss && check("smime") != good {
		t.Errorf("openssl cms -verify says %v, openssl smime -verify does not", good)
	}
	return good
}

const (
	smimeHead = "From: Alice <alice@client.example>\r\nTo: b@rcpt.example\r\nSubject: offer\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\n" +
		"Message-ID: <7@client.example>\r\nMIME-Version: 1.0\r\n"
	smimeText = "Content-Type: text/plain; charset=utf-8\r\n\r\nDear Bob,\r\n\r\nplease pay 100 EUR.\r\n-- \r\nAlice\r\n"
	smimeHTML = "Content-Type: text/html; charset=utf-8\r\n\r\n<html><body><p onclick=\"x()\">hi</p><script>x()</script></body></html>\r\n"
)

// detached is a message with a multipart/signed.
func detached(entity string, p7s []byte) string {
	return smimeHead + "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; micalg=sha-256; boundary=\"=_b1\"\r\n\r\n" +
		"--=_b1\r\n" + entity + "\r\n--=_b1\r\nContent-Type: application/pkcs7-signature; name=smime.p7s\r\n" +
		"Content-Transfer-Encoding: base64\r\n\r\n" + wrapped(p7s) + "--=_b1--\r\n"
}

// enclosed is a message with the content inside of the CMS object.
func enclosed(der []byte) string {
	return smimeHead + "Content-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\r\n" +
		"Content-Transfer-Encoding: base64\r\n\r\n" + wrapped(der)
}

// wrapped is base64 in lines of 76.
func wrapped(der []byte) string {
	var b strings.Builder
	for line := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString(der)), 76) {
		b.Write(line)
		b.WriteString("\r\n")
	}
	return b.String()
}

// A secureMail is a message and what recipients are to be told about it.
type secureMail struct {
	name     string
	message  string
	params   string // of MAIL FROM
	result   string // in Authentication-Results
	state    string // in the log
	trust    string
	en, de   string // in the summary
	verifies bool   // in openssl, after delivery
}

// mails are signed mails that are as they should be, and as they should not.
func (o *office) mails(t *testing.T) []secureMail {
	t.Helper()
	good := o.sign(t, "alice", smimeText)
	eightBit := strings.NewReplacer("charset=utf-8\r\n", "charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n", "Dear Bob", "Grüße, Bob").Replace(smimeText)
	long := smimeText + strings.Repeat(strings.Repeat("z", 76)+"\r\n", 20<<20/78)
	valid := func(name, message string) secureMail {
		return secureMail{name, message, "", "pass", "verified", "verified", "Signature valid: Alice Müller, Client, alice@client.example.", "Signatur gültig: Alice Müller, Client, alice@client.example.", true}
	}
	eight := valid("8-bit", detached(eightBit, o.sign(t, "alice", eightBit)))
	eight.params = "BODY=8BITMIME"
	date := time.Now().AddDate(0, 0, -7).UTC().Format(time.DateOnly)
	return []secureMail{
		valid("detached", detached(smimeText, good)),
		valid("opaque", enclosed(o.sign(t, "alice", smimeText, "-nodetach"))),
		valid("RSASSA-PSS", detached(smimeText, o.sign(t, "alice", smimeText, "-keyopt", "rsa_padding_mode:pss"))),
		valid("HTML", detached(smimeHTML, o.sign(t, "alice", smimeHTML))),
		valid("20 MB", detached(long, o.sign(t, "alice", long))),
		eight,
		{"altered", detached(strings.Replace(smimeText, "100", "900", 1), good), "", "fail", "altered", "authenticated", "altered on the way or forged", "unterwegs verändert oder gefälscht", false},
		{"by another", detached(smimeText, o.sign(t, "eve", smimeText)), "", "policy", "wrong-sender", "authenticated", "Warning: signed by eve@client.example", "Warnung: unterzeichnet von eve@client.example", true},
		{"expired", detached(smimeText, o.sign(t, "late", smimeText)), "", "policy", "untrusted", "authenticated", "had expired on " + date, "war seit " + date + " abgelaufen", false},
		{"self-signed", detached(smimeText, o.sign(t, "self", smimeText)), "", "policy", "untrusted", "authenticated", "vouches only for himself", "bürgt nur für sich selbst", false},
	}
}

// smimeConfig trusts the root of the office, edits active HTML, and writes the certificates of signers.
const smimeConfig = "headers: {language: %s}\nlisten: {metrics: %q}\nrules: {dirs: [shipped, %q]}\n" +
	"verify: {smime: {public_roots: false, roots: [%q], cache: \"\", harvest: %q}}\n"

// cleanHTML is a rule that makes every HTML safe.
const cleanHTML = `format: 1
rules:
  - {id: clean-html, title: HTML is made safe, severity: low, mode: enforce, when: html.present, then: {strip_active_html: active}}
`

// TestSignedMail sends signed mails through both MTAs: the results in the header, in words, in the log and in the metrics; and
// what was delivered still verifies.
func TestSignedMail(t *testing.T) {
	o := newOffice(t)
	l, assay := newLane(t, setup{}), program(t, false)
	resolver := dnstest.New(t, smimeZone, dnstest.Options{}).Addr()
	mails, dir := o.mails(t), ruleDir(t, map[string]string{"10.yaml": cleanHTML})
	for _, language := range []string{"en", "de"} {
		metrics, harvest := freeAddress(t), t.TempDir()
		config := l.config(t, fmt.Sprintf(smimeConfig, language, metrics, dir, o.file("root.crt"), harvest), resolver)
		d, err := mtatest.StartDaemon(assay, config, "")
		must(t, err)
		var delivered [][]byte
		t.Run(language, func(t *testing.T) {
			l.each(t, func(t *testing.T, m mtatest.MTA) {
				for _, mail := range mails {
					t.Run(mail.name, func(t *testing.T) {
						delivered = append(delivered, o.through(t, l, m, d, mail, language))
					})
				}
				unsigned(t, l, m)
			})
			checkReaders(t, delivered)
			checkFigures(t, d, metrics, mails, len(l.mtas()))
			if files, err := filepath.Glob(filepath.Join(harvest, "*")); err != nil || len(files) != 1 {
				t.Errorf("certificates of verified signers: %v, %v", files, err)
			}
		})
		if t.Failed() {
			t.Logf("log of assay:\n%.8000s", d.Log())
		}
		must(t, d.Close())
	}
}

// through sends a mail and checks what is delivered.
func (o *office) through(t *testing.T, l *lane, m mtatest.MTA, d *mtatest.Daemon, mail secureMail, language string) []byte {
	t.Helper()
	env := between("alice@client.example", "b@rcpt.example")
	env.Params = mail.params
	logged := len(d.Log())
	data := l.delivered(t, send(t, connect(t, m, "127.0.2.25"), env, mail.message, 250))
	_, sent := fields([]byte(mail.message))
	header, body := fields(data)
	if body != sent {
		t.Errorf("the body was changed: %d octets instead of %d", len(body), len(sent))
	}
	results := named(header, "Authentication-Results")
	for i, f := range results {
		results[i] = unfolded(f)
	}
	if len(results) != 2 || strings.Contains(results[0], "smime=") == strings.Contains(results[1], "smime=") ||
		!strings.Contains(strings.Join(results, ""), "smime="+mail.result+" ") || !strings.Contains(strings.Join(results, ""), "dmarc=pass") {
		t.Errorf("results: %s", results)
	}
	words := mail.en
	if language == "de" {
		words = mail.de
	}
	if summary := oneText(t, header, "X-Assay-Summary"); !strings.Contains(summary, words) {
		t.Errorf("summary: %s, want %s", summary, words)
	}
	if short := oneText(t, header, "X-Assay-Result"); !strings.Contains(short, "smime="+mail.result+";") || !strings.Contains(short, "trust="+mail.trust+";") {
		t.Errorf("result: %s", short)
	}
	// The line is written when the MTA has the answer, which may be after the mail was delivered.
	said := func() bool { return strings.Contains(d.Log()[logged:], " smime="+mail.state+" ") }
	for deadline := time.Now().Add(20 * time.Second); !said(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("log: %s", d.Log()[logged:])
			break
		}
	}
	if got := o.verify(t, data, mail.name == "RSASSA-PSS"); got != mail.verifies {
		t.Errorf("openssl accepts what was delivered: %v", got)
	}
	return data
}

// oneText returns the decoded value of the one field with a name.
func oneText(t *testing.T, header []string, name string) string {
	t.Helper()
	found := named(header, name)
	if len(found) != 1 {
		t.Fatalf("%d fields %s", len(found), name)
	}
	text, err := new(mime.WordDecoder).DecodeHeader(unfolded(found[0]))
	must(t, err)
	return text
}

// unfolded is a field on one line.
func unfolded(field string) string {
	return strings.NewReplacer("\r\n ", " ", "\r\n\t", " ").Replace(field)
}

// unsigned checks that the rule about HTML works where nothing is signed.
func unsigned(t *testing.T, l *lane, m mtatest.MTA) {
	t.Helper()
	data := l.delivered(t, send(t, connect(t, m, "127.0.2.25"), between("alice@client.example", "b@rcpt.example"), smimeHead+smimeHTML, 250))
	if header, body := fields(data); strings.Contains(body, "<script") || len(named(header, "Authentication-Results")) != 1 {
		t.Errorf("unsigned HTML was not made safe: %.300s", body)
	}
}

// authresScript reads fields with python3-authres and prints method=result for each clause.
const authresScript = `
import json, sys, authres
out = []
for field in json.load(sys.stdin):
    h = authres.AuthenticationResultsHeader.parse(field)
    out.append(" ".join("%s=%s" % (r.method, r.result) for r in h.results))
json.dump(out, sys.stdout)
`

// checkReaders reads the fields as other programs do: each has the method that it is about, and nothing is made up.
func checkReaders(t *testing.T, delivered [][]byte) {
	t.Helper()
	var all []string
	for _, data := range delivered {
		header, _ := fields(data)
		for _, f := range named(header, "Authentication-Results") {
			all = append(all, unfolded(f))
		}
	}
	in, err := json.Marshal(all)
	must(t, err)
	var peers []string
	must(t, json.Unmarshal(runTool(t, in, "/usr/bin/python3", "-c", authresScript), &peers))
	for i, field := range all {
		_, value, _ := strings.Cut(field, ":")
		_, results, err := authres.Parse(value)
		if err != nil {
			t.Errorf("%s: %v", field, err)
			continue
		}
		if about := strings.Contains(field, "smime="); about && (len(results) != 1 || !strings.HasPrefix(peers[i], "smime=") || strings.Contains(peers[i], " ")) {
			t.Errorf("%s is read as %d results, and as %s", field, len(results), peers[i])
		} else if !about && (len(results) < 4 || !strings.Contains(peers[i], "dmarc=pass")) {
			t.Errorf("%s is read as %d results, and as %s", field, len(results), peers[i])
		}
	}
}

// checkFigures checks the counters.
func checkFigures(t *testing.T, d *mtatest.Daemon, metrics string, mails []secureMail, mtas int) {
	t.Helper()
	text, err := d.Metrics(metrics)
	must(t, err)
	want := map[string]int{}
	for _, mail := range mails {
		want[mail.state] += mtas
	}
	for state, n := range want {
		if line := fmt.Sprintf("assay_smime_results_total{reason=%q} %d\n", state, n); !strings.Contains(text, line) {
			t.Errorf("no %s in\n%s", line, lines(text, "smime"))
		}
	}
	if bytes.Contains([]byte(d.Log()), []byte("level=ERROR")) {
		t.Error("there are errors in the log")
	}
}
