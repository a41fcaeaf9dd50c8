package pki

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// HarvestName returns the file name under which the certificate of a correspondent is kept: its first mailbox in lower
// case, with everything but letters, digits, ".", "_", "+" and "-" written as "=XX", and the first 16 digits of the
// fingerprint, as in "alice@example.com-0123456789abcdef.pem". It begins with neither "." nor "-" and is at most 200
// octets long, so it is safe in file systems, and as the value of an LDIF line or an LDAP attribute.
func HarvestName(c *x509.Certificate) string {
	address := "unknown"
	if m := Mailboxes(c, true); len(m) > 0 {
		address = strings.ToLower(m[0].Local) + "@" + m[0].Domain
	}
	var b strings.Builder
	for i := range len(address) {
		if s := nameOctet(address[i], i == 0); b.Len()+len(s) <= 170 {
			b.WriteString(s)
		} else {
			break
		}
	}
	return b.String() + "-" + fingerprint(c)[:16] + ".pem"
}

func nameOctet(c byte, first bool) string {
	switch {
	case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '@' || c == '_':
		return string(rune(c))
	case !first && strings.IndexByte(".+-", c) >= 0:
		return string(rune(c))
	}
	return fmt.Sprintf("=%02X", c)
}

// Harvest writes a certificate into a directory as PEM, unless it is there already. Readers never see half a file. Call
// it for certificates of messages that were verified in full only.
func Harvest(dir string, c *x509.Certificate) error {
	name := filepath.Join(dir, HarvestName(c))
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, text) {
		return nil
	}
	f, err := os.CreateTemp(dir, ".harvest-*")
	if err != nil {
		return fmt.Errorf("pki: harvest: %w", err)
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		if gone := os.Remove(f.Name()); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
		return fmt.Errorf("pki: harvest: %w", err)
	}
	return nil
}
