package sealed

import (
	"encoding/base64"
	"strings"
	"testing"

	"assay/scan"
)

func TestOther(t *testing.T) {
	ageHeader := "age-encryption.org/v1\n-> X25519 abc\nkey\n-> scrypt abc 18\nkey\n-> X25519 def\nkey\n--- mac\n" + string(noise(1, 50))
	kdbx4 := "\x03\xd9\xa2\x9a\x67\xfb\x4b\xb5\x00\x00\x04\x00" + "\x02\x10\x00\x00\x00\xd6\x03\x8a\x2b\x8b\x6f\x4c\xb5\xa5\x24\x33\x9a\x31\xdb\xb5\x9a" + string(noise(2, 300))
	kdbx3 := "\x03\xd9\xa2\x9a\x67\xfb\x4b\xb5\x01\x00\x03\x00" + "\x02\x10\x00\x31\xc1\xf2\xe6\xbf\x71\x43\x50\xbe\x58\x05\x21\x6a\xfc\x5a\xff" + string(noise(2, 300))
	pst := func(crypt byte) string {
		b := make([]byte, 600)
		copy(b, "!BDN")
		b[10], b[513] = 23, crypt
		return string(b)
	}
	token := "gAAAAABl" + strings.Repeat("Zm9v", 40)[:111]
	for _, c := range []struct {
		name, content string
		state         scan.State
		method        string
	}{
		{"age", ageHeader, scan.Encrypted, "age, X25519, scrypt"},
		{"age, armored", "-----BEGIN AGE ENCRYPTED FILE-----\n" + base64.StdEncoding.EncodeToString([]byte(ageHeader)) + "\n-----END AGE ENCRYPTED FILE-----\n", scan.Encrypted, "age, X25519, scrypt"},
		{"age, armored in a text", "see:\r\n-----BEGIN AGE ENCRYPTED FILE-----\r\n" + strings.ReplaceAll(wrap([]byte(ageHeader)), "\n", "\r\n") + "-----END AGE ENCRYPTED FILE-----\r\n", scan.Encrypted, "age, X25519, scrypt"},
		{"age, damaged", "-----BEGIN AGE ENCRYPTED FILE-----\nAAAA\n-----END AGE ENCRYPTED FILE-----\n", scan.Encrypted, "age, damaged"},
		{"age, quoted", "> -----BEGIN AGE ENCRYPTED FILE-----\n> YWdl\n", "", ""},
		{"KeePass 1", "\x03\xd9\xa2\x9a\x65\xfb\x4b\xb5" + string(noise(1, 120)), scan.Encrypted, "KeePass 1 database"},
		{"KDBX 4", kdbx4, scan.Encrypted, "KeePass database, KDBX 4, ChaCha20"},
		{"KDBX 3", kdbx3, scan.Encrypted, "KeePass database, KDBX 3, AES-256"},
		{"openssl, split lines", "U2FsdGVk\nX19wYXNzd29yZHBhc3M=\n", scan.Encrypted, "openssl enc, password, base64"},
		{"openssl, a word", "U2FsdGVkX1", "", ""},
		{"AES Crypt 2", "AES\x02\x00\x00\x1bCREATED_BY" + string(noise(3, 99)), scan.Encrypted, "AES Crypt"},
		{"AES Crypt 3", "AES\x03\x00" + string(noise(3, 99)), scan.Encrypted, "AES Crypt"},
		{"AES as a word", "AES is a cipher", "", ""},
		{"mcrypt", "\x00m\x03@rijndael-128\x00 \x00cbc\x00mcrypt-sha1\x00" + string(noise(5, 99)), scan.Encrypted, "mcrypt, password"},
		{"AxCrypt", "\xc0\xb9\x07\x2e\x4f\x93\xf1\x46\xa0\x15\x79\x2c\xa1\xd9\xe8\x21" + string(noise(4, 99)), scan.Encrypted, "AxCrypt"},
		{"scrypt", "scrypt\x00\x11" + string(noise(4, 99)), scan.Encrypted, "scrypt, password"},
		{"Ansible Vault", "$ANSIBLE_VAULT;1.1;AES256\n33383938\n", scan.Encrypted, "Ansible Vault, AES256"},
		{"PuTTY", "PuTTY-User-Key-File-2: ssh-rsa\r\nEncryption: aes256-cbc\r\nComment: x\r\n", scan.Encrypted, "PuTTY private key, aes256-cbc"},
		{"PuTTY without passphrase", "PuTTY-User-Key-File-2: ssh-rsa\r\nEncryption: none\r\nComment: x\r\n", "", ""},
		{"Fernet", token, scan.Encrypted, "Fernet token"},
		{"rights management", "\x76\xe8\x04\x60\xc4\x11\xe3\x86" + string(noise(5, 300)), scan.Encrypted, "rights-managed message (rpmsg)"},
		{"pfile", ".pfile\x03\x00\x00\x00\x00\x00\x00\x00" + string(noise(5, 300)), scan.Encrypted, "rights-managed file (pfile)"},
		{"Outlook", pst(1), scan.Uninspectable, "Outlook data file"},
		{"Outlook, protected", pst(0x10), scan.Encrypted, "Outlook data file, Windows Information Protection"},
		{"a key in a text", "Hello\n" + string(testdata(t, "key-legacy.pem")), scan.Encrypted, "encrypted private key, AES-256-CBC"},
		{"certificate and key", string(testdata(t, "certificate.pem")) + string(testdata(t, "key-pkcs8.pem")), scan.Encrypted, "encrypted private key, PBES2 AES-256"},
	} {
		t.Run(c.name, func(t *testing.T) {
			by := "other"
			if c.state == "" {
				by = ""
			}
			read(t, "", []byte(c.content)).want(t, by, c.state, c.method, nil)
		})
	}
}

// TestClass: rights management is about documents, everything else is of other programs.
func TestClass(t *testing.T) {
	if c := read(t, "", []byte("\x76\xe8\x04\x60\xc4\x11\xe3\x86.......")).verdict.Class; c != scan.ClassDocument {
		t.Error(c)
	}
	for _, name := range []string{"openssl.enc", "ssh-locked", "key.jks", "key-pkcs8.der"} {
		if c := read(t, name, testdata(t, name)).verdict.Class; c != scan.ClassOther {
			t.Errorf("%s: %q", name, c)
		}
	}
	for name, class := range map[string]string{"modern.p12": scan.ClassSMIME, "enveloped.p7m": scan.ClassSMIME, "pk1.gpg": scan.ClassOpenPGP} {
		if c := read(t, name, testdata(t, name)).verdict.Class; c != class {
			t.Errorf("%s: %q", name, c)
		}
	}
}

// TestMethodsAreClean: what a file says about itself is shown short and in printable ASCII.
func TestMethodsAreClean(t *testing.T) {
	for _, content := range []string{
		"PuTTY-User-Key-File-2: ssh-rsa\nEncryption: a\x1b[31m\u202e" + strings.Repeat("x", 5000) + "\n",
		"$ANSIBLE_VAULT;\x1b\u202e;" + strings.Repeat("x", 5000) + "\n",
		"age-encryption.org/v1\n-> \x00\xff" + strings.Repeat("x", 5000) + " y\n---",
		"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: \x1b" + strings.Repeat("y", 500) + "\n\nAAAA\n",
	} {
		m := read(t, "", []byte(content)).verdict.Method
		if m == "" || len(m) > 200 || strings.IndexFunc(m, func(r rune) bool { return r < ' ' || r > '~' }) >= 0 {
			t.Errorf("%q", m)
		}
	}
}
