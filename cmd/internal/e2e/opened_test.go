package e2e

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"os"
	"strings"
	"testing"

	"assay/cmd/internal/mtatest"
	"assay/verify/dns/dnstest"
)

// openedConfig has the key of a recipient.
const openedConfig = "verify: {smime: {public_roots: false, roots: [%q], cache: \"\"}}\nscan: {smime: {keys: [%q, %q], deliver: %s}}\n"

// encrypt returns a message that is encrypted as a whole with openssl cms -encrypt.
func (o *office) encrypt(t *testing.T, who, entity string, options ...string) string {
	t.Helper()
	args := append(append([]string{"cms", "-encrypt", "-binary", "-outform", "DER"}, options...), o.file(who+".crt"))
	return smimeHead + "Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\r\n" +
		"Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=smime.p7m\r\n\r\n" + wrapped(runTool(t, []byte(entity), "openssl", args...))
}

// TestEncryptedMail sends encrypted mails through both MTAs. Delivered is the original, octet for octet, or what was inside, which
// then verifies like any signed mail; and nothing of it is in the log.
func TestEncryptedMail(t *testing.T) {
	o := newOffice(t)
	o.issue(t, "bob", x509.Certificate{Subject: pkix.Name{CommonName: "Bob"}, EmailAddresses: []string{"b@rcpt.example"}}, newECDSA(t), o.root, o.key)
	must(t, os.Chmod(o.file("bob.key"), 0o600))
	l, assay := newLane(t, setup{}), program(t, false)
	resolver := dnstest.New(t, smimeZone, dnstest.Options{}).Addr()
	entity := strings.TrimPrefix(detached(smimeText, o.sign(t, "alice", smimeText)), smimeHead)
	opaque := strings.TrimPrefix(enclosed(o.sign(t, "alice", smimeText, "-nodetach")), smimeHead)
	long := smimeText + strings.Repeat(strings.Repeat("z", 76)+"\r\n", 5<<20/78)
	mails := []struct {
		name, entity, message string
		opened                bool // delivered opened, if the configuration says so
		result, words         string
		signed                bool
	}{
		{"CBC, signed", entity, o.encrypt(t, "bob", entity, "-aes-256-cbc"), true, "opened=authenticated;", "opened here. Signature valid: Alice", true},
		{"GCM, signed, opaque", opaque, o.encrypt(t, "bob", opaque, "-aes-256-gcm"), true, "opened=authenticated;", "opened here. Signature valid: Alice", true},
		{"GCM, not signed", smimeText, o.encrypt(t, "bob", smimeText, "-aes-128-gcm"), true, "opened=authenticated;", "Nobody has signed it.", false},
		{"GCM, 5 MB", long, o.encrypt(t, "bob", long, "-aes-128-gcm", "-stream"), true, "opened=authenticated;", "Nobody has signed it.", false},
		{"CBC, not signed", smimeText, o.encrypt(t, "bob", smimeText, "-aes-256-cbc"), false, "opened=unauthenticated;", "it may have been changed", false},
		{"for somebody else", entity, o.encrypt(t, "alice", entity, "-aes-256-cbc"), false, "smime=none;", "Content encrypted, it was not checked.", false},
	}
	for _, deliver := range []string{"original", "opened"} {
		config := l.config(t, fmt.Sprintf(openedConfig, o.file("root.crt"), o.file("bob.key"), o.file("bob.crt"), deliver), resolver)
		d, err := mtatest.StartDaemon(assay, config, "")
		must(t, err)
		t.Run(deliver, func(t *testing.T) {
			l.each(t, func(t *testing.T, m mtatest.MTA) {
				for _, mail := range mails {
					t.Run(mail.name, func(t *testing.T) {
						data := l.delivered(t, send(t, connect(t, m, "127.0.2.25"), between("alice@client.example", "b@rcpt.example"), mail.message, 250))
						header, body := fields(data)
						want := mail.message
						opened := mail.opened && deliver == "opened"
						if opened {
							want = smimeHead + mail.entity
						}
						sentHeader, sentBody := fields([]byte(want))
						if body != sentBody {
							t.Errorf("the body is not what it should be: %d octets instead of %d", len(body), len(sentBody))
						}
						for _, name := range []string{"Content-Type", "Content-Transfer-Encoding", "Content-Disposition", "MIME-Version", "Subject", "From"} {
							got, want := named(header, name), named(sentHeader, name)
							if strings.Join(strings.Fields(strings.Join(got, "|")), " ") != strings.Join(strings.Fields(strings.Join(want, "|")), " ") {
								t.Errorf("%s: %q, want %q", name, got, want)
							}
						}
						result := oneText(t, header, "X-Assay-Result")
						if !strings.Contains(result, mail.result) || strings.Contains(result, "changed=decrypted; original=") != opened {
							t.Errorf("result: %s", result)
						}
						if summary := oneText(t, header, "X-Assay-Summary"); !strings.Contains(summary, mail.words) {
							t.Errorf("summary: %s", summary)
						}
						if opened && mail.signed && !o.verify(t, data, false) {
							t.Error("openssl does not accept what was delivered")
						}
					})
				}
			})
		})
		if log := d.Log(); strings.Contains(log, "Dear Bob") || strings.Contains(log, "100 EUR") || strings.Contains(log, "level=ERROR") {
			t.Errorf("log of assay:\n%.8000s", log)
		}
		must(t, d.Close())
	}
}
