package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-milter"
)

// writeRecipient writes a new key and its certificate into one file.
func writeRecipient(t *testing.T, file string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "Bob"}, EmailAddresses: []string{"bob@example.org"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &c, &c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// encryptFor encrypts a text for the certificate in a file with openssl(1), as a body in base64.
func encryptFor(t *testing.T, file, entity string) string {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("NOT RUN: no openssl(1), install the package openssl")
	}
	cmd := exec.Command("openssl", "cms", "-encrypt", "-binary", "-aes-256-gcm", "-outform", "DER", file)
	cmd.Stdin = strings.NewReader(entity)
	der, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for line := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString(der)), 76) {
		fmt.Fprintf(&b, "%s\r\n", line)
	}
	return b.String()
}

// sendEncrypted sends a message that is encrypted as a whole and returns the fields that are inserted.
func sendEncrypted(t *testing.T, session *milter.ClientSession, id, body string) map[string]string {
	t.Helper()
	must := func(a *milter.Action, err error) { t.Helper(); proceed(t, a, err) }
	if err := session.Macros(milter.CodeMail, "i", id); err != nil {
		t.Fatal(err)
	}
	must(session.Mail("alice@good.example", nil))
	must(session.Rcpt("bob@example.org", nil))
	for _, f := range [][2]string{{"From", "alice@good.example"}, {"MIME-Version", "1.0"}, {"Content-Transfer-Encoding", "base64"},
		{"Content-Type", "application/pkcs7-mime; smime-type=authEnveloped-data; name=smime.p7m"}} {
		must(session.HeaderField(f[0], " "+f[1]))
	}
	must(session.HeaderEnd())
	must(session.BodyChunk([]byte(body)))
	fields, refusal := finish(t, session)
	if refusal != "" {
		t.Fatal(refusal)
	}
	return fields
}

// TestReloadKeys opens mail with the keys that the files hold at start and after each reload. Files that cannot be used change
// nothing, and keep the daemon from starting.
func TestReloadKeys(t *testing.T) {
	const entity = "Content-Type: text/plain\r\n\r\nthe content that nobody may log\r\n"
	file := filepath.Join(t.TempDir(), "bob.pem")
	writeRecipient(t, file, 1)
	first := encryptFor(t, file, entity)
	s := serve(t, fmt.Sprintf("scan: {smime: {keys: [%q]}}\n", file))
	session := s.dial(t)
	opened := func(id, body string, want bool) {
		t.Helper()
		fields := sendEncrypted(t, session, id, body)
		if got := strings.Contains(fields["X-Assay-Result"], "opened=authenticated"); got != want {
			t.Errorf("%s: %q, %q", id, fields["X-Assay-Result"], fields["X-Assay-Summary"])
		}
	}
	opened("4A", first, true)
	s.log.await(t, `4A: .* smime=encrypted opened=authenticated `)

	writeRecipient(t, file, 2)
	second := encryptFor(t, file, entity)
	opened("4B", second, false)
	if code, out := s.ctl(t, "ctl", "reload"); code != exitDone {
		t.Fatalf("%d %s", code, out)
	}
	opened("4C", second, true)
	opened("4D", first, false)

	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if code, out := s.ctl(t, "ctl", "reload"); code != exitFailed || !strings.Contains(out, "scan.smime.keys: "+file+": the file with a private key is open to everybody") {
		t.Errorf("%d %s", code, out)
	}
	opened("4E", second, true)
	if text := s.log.String(); strings.Contains(text, "nobody may log") {
		t.Error("the content is in the log")
	}
	for _, command := range []string{"serve", "config check"} {
		code, out := s.ctl(t, strings.Fields(command)...)
		if !strings.Contains(out, "scan.smime.keys: "+file+": the file with a private key is open to everybody") || (code == exitFailed) != (command == "serve") {
			t.Errorf("%s: %d %s", command, code, out)
		}
	}
	if page, _ := s.get(t, "/metrics"); !strings.Contains(page, "assay_smime_opened_total 3\n") {
		t.Errorf("the counter is not 3")
	}
}
