package config

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// pkcs8 returns a private key as PEM.
func pkcs8(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// pkcs1 returns an RSA key as PEM.
func pkcs1(key *rsa.PrivateKey) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}

// rsaKey makes a key.
func rsaKey(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestSealKey: keys of the usual forms are read, and the others are refused in words that help.
func TestSealKey(t *testing.T) {
	big, small := rsaKey(t, 2048), rsaKey(t, 1024)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(big.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	damaged := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}))
	encrypted := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"DEK-Info": "AES-256-CBC,00"}, Bytes: []byte("x")}))
	for _, test := range []struct {
		name, text string
		mode       os.FileMode
		want       string // "" if the key is taken
	}{
		{"PKCS #1", pkcs1(big), 0o600, ""},
		{"PKCS #8", pkcs8(t, big), 0o640, ""},
		{"Ed25519", pkcs8(t, ed), 0o400, ""},
		{"public key first", public + pkcs8(t, ed), 0o600, ""},
		{"text around it", "key of mail\n" + pkcs1(big) + "\n", 0o600, ""},
		{"readable by everybody", pkcs1(big), 0o644, "FILE is open to everybody (mode 0644): chmod 0600 or 0640"},
		{"writable by everybody", pkcs1(big), 0o602, "FILE is open to everybody (mode 0602): chmod 0600 or 0640"},
		{"RSA-1024", pkcs1(small), 0o600, "arc: RSA key of 1024 bits, not 2048 to 4096"},
		{"ECDSA", pkcs8(t, ec), 0o600, "arc: *ecdsa.PublicKey is neither an RSA nor an Ed25519 key"},
		{"public key", public, 0o600, `FILE: there is no private key in PEM (RSA PRIVATE KEY or PRIVATE KEY), but a "PUBLIC KEY"`},
		{"encrypted", encrypted, 0o600, "FILE: the private key is encrypted, and nobody can be asked for the password"},
		{"damaged", damaged, 0o600, "FILE: the private key is damaged: "},
		{"empty", "", 0o600, "FILE: there is no private key in PEM (RSA PRIVATE KEY or PRIVATE KEY)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "arc.pem")
			if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(file, test.mode); err != nil {
				t.Fatal(err)
			}
			text := fmt.Sprintf("format: 1\nverify: {arc: {seal: {domain: a.example, selector: s, key_file: %s}}}\n"+decided, file)
			loaded, err := Parse("t", []byte(text), nil)
			if err != nil {
				t.Fatal(err)
			}
			s, err := loaded.Config.Verify.ARC.Seal.Sealer()
			warnings := loaded.System()
			if test.want == "" {
				if err != nil || s == nil || len(warnings) > 0 {
					t.Errorf("%v, %v", err, warnings)
				}
				return
			}
			if err == nil || s != nil || !strings.HasPrefix(strings.ReplaceAll(err.Error(), file, "FILE"), test.want) {
				t.Errorf("%v", err)
			}
			if len(warnings) != 1 || warnings[0].Line != 2 || warnings[0].Message != "verify.arc.seal.key_file: "+err.Error() {
				t.Errorf("warnings %v", warnings)
			}
		})
	}
	for _, path := range []string{"/no/such/file", "/dev/null", t.TempDir()} {
		if s, err := (Seal{Domain: "a.example", Selector: "s", KeyFile: path}).Sealer(); err == nil || s != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if s, err := (Seal{}).Sealer(); s != nil || err != nil {
		t.Errorf("sealing is not off by default: %v, %v", s, err)
	}
}
