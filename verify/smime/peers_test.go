package smime

import (
	"crypto/elliptic"
	"errors"
	"os/exec"
	"strings"
	"testing"
)

// openssl asks openssl(1) about a whole message.
func (l *lab) openssl(raw []byte) bool {
	l.t.Helper()
	l.write("message", raw)
	err := l.command("cms", "-verify", "-in", "message", "-CAfile", "root.crt", "-purpose", "smimesign", "-out", "verified").Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		l.t.Fatal(err)
	}
	return err == nil
}

// A damage is something that happens to a message on its way.
type damage struct {
	name   string
	honest bool // nothing that was signed is touched
	apply  func(s string) string
}

func damages() []damage {
	replace := func(old, new string) func(string) string {
		return func(s string) string { return strings.Replace(s, old, new, 1) }
	}
	return []damage{
		{"none", true, func(s string) string { return s }},
		{"received", true, func(s string) string { return "Received: from a by b\r\n" + s }},
		{"subject", true, replace("Subject: test", "Subject: [list] test")},
		{"text", false, replace("100 EUR", "900 EUR")},
		{"part header", false, replace("charset=utf-8", "charset=latin1")},
		{"blank at the end of a line", false, replace("-- \r\n", "--\r\n")},
		{"line added", false, replace("Alice\r\n", "Alice\r\n\r\nSent by a gateway.\r\n")},
		{"line lost", false, replace("Dear Bob,\r\n", "")},
		{"signature", false, flipBase64},
		{"no end", false, func(s string) string { return s[:len(s)*2/3] }},
	}
}

// flipBase64 changes a digit in the second last line of base64.
func flipBase64(s string) string {
	lines := strings.Split(s, "\r\n")
	n := 0
	for i := len(lines) - 1; i >= 0; i-- {
		if len(lines[i]) != 76 || strings.ContainsAny(lines[i], " -:") {
			continue
		}
		if n++; n == 2 {
			c := byte('A')
			if lines[i][40] == 'A' {
				c = 'B'
			}
			lines[i] = lines[i][:40] + string(c) + lines[i][41:]
			break
		}
	}
	return strings.Join(lines, "\r\n")
}

// TestOpenSSL compares whole messages with openssl cms -verify: what that refuses never passes, and what is honest and
// accepted there passes here.
func TestOpenSSL(t *testing.T) {
	if testing.Short() {
		t.Skip("runs openssl(1) some hundred times (-short)")
	}
	l := newLab(t)
	l.signer("p384", newEC(t, elliptic.P384()), "alice@example.com")
	l.signer("ed", newEd25519(t), "alice@example.com")
	l.write("text", []byte(text))
	smime := func(args ...string) []byte {
		l.run(append([]string{"cms", "-sign", "-in", "text", "-certfile", "middle.crt", "-signer", "alice.crt", "-inkey", "alice.key", "-crlfeol", "-out", "mail"}, args...)...)
		return append([]byte("From: alice@example.com\r\nSubject: test\r\n"), crlf(l.read("mail"))...)
	}
	l.run("smime", "-sign", "-in", "text", "-certfile", "middle.crt", "-signer", "alice.crt", "-inkey", "alice.key", "-out", "old")
	forms := []struct {
		name string
		raw  []byte
		own  bool // this package knows more than openssl 3.0 does
	}{
		{"rsa", detached(aliceHead, text, l.sign("alice", text)), false},
		{"rsa opaque", opaque(aliceHead, l.signOpaque("alice", text)), false},
		{"ecdsa", detached(aliceHead, text, l.sign("p384", text, "-md", "sha384")), false},
		{"ecdsa opaque", opaque(aliceHead, l.signOpaque("p384", text)), false},
		{"pss", detached(aliceHead, text, l.sign("alice", text, "-keyopt", "rsa_padding_mode:pss")), false},
		{"sha3", detached(aliceHead, text, l.sign("alice", text, "-md", "sha3-384")), false},
		{"key identifier", detached(aliceHead, text, l.sign("alice", text, "-keyid")), false},
		{"streamed", opaque(aliceHead, l.signOpaque("alice", text, "-stream")), false},
		{"two signers", detached(aliceHead, text, l.two("alice", "p384")), false},
		{"own MIME", smime("-binary"), false},
		{"own MIME opaque", smime("-nodetach"), false},
		{"pkcs7", append([]byte("From: alice@example.com\r\nSubject: test\r\n"), crlf(l.read("old"))...), false},
	}
	compared, refused := 0, 0
	for _, f := range forms {
		for _, d := range damages() {
			raw := []byte(d.apply(string(f.raw)))
			peer, got := l.openssl(raw), l.verify(raw)
			checkSound(t, f.name+", "+d.name, got)
			compared++
			if !peer {
				refused++
			}
			changed := string(raw) != string(f.raw)
			switch {
			case !peer && got.State == Verified:
				t.Errorf("%s, %s: openssl refuses it, here it is verified", f.name, d.name)
			case peer && d.honest && got.State != Verified:
				t.Errorf("%s, %s: %s %q, openssl accepts it", f.name, d.name, got.State, got.Reason)
			case !d.honest && changed && got.State == Verified:
				t.Errorf("%s, %s: damaged and verified", f.name, d.name)
			case d.name == "none" && !peer:
				t.Errorf("%s: openssl refuses what it made", f.name)
			}
		}
	}
	t.Logf("%d messages, %d of them refused by openssl", compared, refused)
	if compared < 100 || refused < 40 {
		t.Errorf("%d compared, %d refused", compared, refused)
	}
}
