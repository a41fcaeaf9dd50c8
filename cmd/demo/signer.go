package main

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// dkimsign is the command of Debian's package python3-dkim. The mails of honest senders are signed by another
// implementation than the one that verifies them.
const dkimsign = "/usr/bin/dkimsign"

// A signer signs with a key made for this run.
type signer struct {
	file   string // of the private key
	public string // p= of the key record
}

// newSigner makes the key in a directory.
func newSigner(dir string) (*signer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	s := &signer{file: filepath.Join(dir, "dkim.key"), public: base64.StdEncoding.EncodeToString(public)}
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	return s, os.WriteFile(s.file, text, 0o600)
}

// publish puts the public key where {{key}} stands in a quoted string of a zone, of which 255 octets are the most.
func (s *signer) publish(zone string) string {
	return strings.ReplaceAll(zone, "{{key}}", s.public[:200]+`" "`+s.public[200:])
}

// sign returns the message with a signature of the domain on top.
func (s *signer) sign(domain string, message []byte) ([]byte, error) {
	cmd := exec.Command("/usr/bin/python3", dkimsign, "demo", domain, s.file)
	cmd.Stdin = bytes.NewReader(message)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", dkimsign, err, stderr.Bytes())
	}
	return out, nil
}
