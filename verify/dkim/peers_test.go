package dkim

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"assay/verify/authres"
)

// Programs of other implementations that sign the messages of a folder, each NAME to NAME.signed: dkimpy (Debian's
// python3-dkim) and Mail::DKIM (Debian's libmail-dkim-perl). Arguments: folder, file of the private key.
const (
	dkimpyProgram = `
import dkim, glob, sys
key = open(sys.argv[2], 'rb').read()
forms = [b'simple', b'relaxed']
for n, name in enumerate(sorted(glob.glob(sys.argv[1] + '/*.eml'))):
    text = open(name, 'rb').read()
    canon = (forms[n & 1], forms[n >> 1 & 1])
    sig = dkim.sign(text, b'sel', b'example.com', key, canonicalize=canon)
    open(name + '.signed', 'wb').write(sig + text)
`
	mailDKIMProgram = `
use strict; use Mail::DKIM::Signer;
my @forms = qw(simple relaxed); my $n = 0;
for my $name (sort glob("$ARGV[0]/*.eml")) {
    my $signer = Mail::DKIM::Signer->new(Algorithm => 'rsa-sha256', Domain => 'example.com', Selector => 'sel',
        Method => $forms[$n & 1] . '/' . $forms[$n >> 1 & 1], KeyFile => $ARGV[1]);
    $n++;
    open my $in, '<:raw', $name or die; local $/; my $text = <$in>;
    $signer->PRINT($text); $signer->CLOSE;
    open my $out, '>:raw', "$name.signed" or die;
    print $out $signer->signature->as_string, "\r\n", $text;
}
`
)

// TestPeersSign verifies what other implementations sign, over random bodies and header shapes.
func TestPeersSign(t *testing.T) {
	for _, peer := range []struct {
		name, command string
		probe, run    []string
	}{
		{"dkimpy", "/usr/bin/python3", []string{"-c", "import dkim"}, []string{"-c", dkimpyProgram}},
		{"Mail::DKIM", "/usr/bin/perl", []string{"-MMail::DKIM::Signer", "-e1"}, []string{"-e", mailDKIMProgram}},
	} {
		t.Run(peer.name, func(t *testing.T) {
			if err := exec.Command(peer.command, peer.probe...).Run(); err != nil {
				t.Skipf("NOT RUN: %s is not installed: %v", peer.name, err)
			}
			dir := t.TempDir()
			keyFile := filepath.Join(dir, "key.pem")
			der := x509.MarshalPKCS1PrivateKey(rsaSigner().key.(*rsa.PrivateKey))
			key := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: der})
			if err := os.WriteFile(keyFile, key, 0o600); err != nil {
				t.Fatal(err)
			}
			const messages = 60
			for i := range messages {
				text := randomMessage(rand.New(rand.NewPCG(uint64(i), 7)))
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%03d.eml", i)), text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if out, err := exec.Command(peer.command, append(peer.run, dir, keyFile)...).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for i := range messages {
				text := readFile(t, dir, fmt.Sprintf("%03d.eml.signed", i))
				head, body, _ := strings.Cut(text, "\r\n\r\n")
				vs := verifyParts(t, anyKey{}, header(head+"\r\n"), []byte(body), 7, Options{Explain: true})
				if len(vs) != 1 || vs[0].Result != authres.Pass {
					t.Errorf("%q\n%+v", text, vs)
				}
			}
		})
	}
}

// randomMessage makes a message with CRLF throughout, of shapes on which canonicalization depends.
func randomMessage(r *rand.Rand) []byte {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	var b bytes.Buffer
	for _, name := range []string{"From", "To", "Subject", "Date", "Message-ID", "X-Other", "Received"} {
		b.WriteString(name + ":" + pick("", " ", "\t ", "\r\n\t"))
		for range 1 + r.IntN(6) {
			b.WriteString(pick("a", "bc@example.com", "  d", "\te f", "\r\n g", "\r\n\t  h", "=?utf-8?q?i?=", ";", "\"j  k\""))
		}
		b.WriteString(pick("x", "x ", "x\t") + "\r\n")
	}
	b.WriteString("\r\n")
	for range r.IntN(30) {
		b.WriteString(pick("a", "word ", " ", "\t", "  ", "\r\n", "\r\n", "\r\n\r\n", "a line of some length with  gaps", ".", "\xe4\xff", " \r\n"))
	}
	b.WriteString(pick("end\r\n", "\r\n", " \r\n\r\n\r\n")) // SMTP knows no other end
	return b.Bytes()
}
