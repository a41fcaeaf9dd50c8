package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDecryptionKeys reads keys with their certificates, and names each file that is wrong in a warning of its own.
func TestDecryptionKeys(t *testing.T) {
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "Bob"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &c, &x509.Certificate{Subject: pkix.Name{CommonName: "CA"}}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	crt := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	for name, text := range map[string]string{"bob.pem": crt + pkcs8(t, key), "bare.key": pkcs8(t, key), "open.pem": crt + pkcs8(t, key), "junk.pem": "junk"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "open.pem"), 0o604); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		keys []string
		want []string
	}{
		{nil, nil},
		{[]string{"bob.pem"}, nil},
		{[]string{"bob.pem", "bare.key"}, nil},
		{[]string{"bare.key"}, []string{"bare.key: there is no certificate"}},
		{[]string{"open.pem", "junk.pem"}, []string{"open.pem: the file with a private key is open to everybody (mode 0604)", "junk.pem: there is neither"}},
	} {
		paths := make([]string, len(test.keys))
		for i, name := range test.keys {
			paths[i] = filepath.Join(dir, name)
		}
		text := fmt.Sprintf("format: 1\nscan: {smime: {keys: [%s]}}\nverify: {dkim: {min_bits: 1024}}\n", strings.Join(paths, ", "))
		loaded, err := Parse("t", []byte(text), nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, w := range loaded.System() {
			if strings.HasPrefix(w.Message, "scan.smime.keys") {
				got = append(got, w.Message)
			}
		}
		k, err := loaded.Config.Scan.Decryption.Recipients()
		if len(got) < len(test.want) || (err == nil) != (test.want == nil) || test.want == nil && (len(got) > 0 || k.Len() > 1) {
			t.Errorf("%v: warnings %q, %v", test.keys, got, err)
			continue
		}
		for i, want := range test.want {
			if !strings.Contains(got[i], want) {
				t.Errorf("%v: %q, want %q", test.keys, got[i], want)
			}
		}
	}
}

// TestDecryptionNeedsKeys refuses to deliver what cannot be opened.
func TestDecryptionNeedsKeys(t *testing.T) {
	_, err := Parse("t", []byte("format: 1\nscan: {smime: {deliver: opened}}\n"), nil)
	if err == nil || !strings.Contains(err.Error(), "scan.smime.deliver: opened has an effect only with scan.smime.keys") {
		t.Error(err)
	}
}
