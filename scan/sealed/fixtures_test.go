package sealed

import (
	"path/filepath"
	"testing"

	"assay/scan"
)

var (
	plainText = []byte("hello plain text\n")
	entity    = []byte("Content-Type: text/plain\r\n\r\nhello plain text\r\n")
)

// fixtures are the files of testdata, made by testdata/make.sh, without passwords.
var fixtures = []struct {
	name, by string
	state    scan.State
	method   string
	content  []byte // of the member that is yielded
}{
	{"sym-AES.gpg", "openpgp", scan.Encrypted, "OpenPGP, password, AES-128", nil},
	{"sym-AES256.gpg", "openpgp", scan.Encrypted, "OpenPGP, password, AES-256", nil},
	{"sym-CAMELLIA256.gpg", "openpgp", scan.Encrypted, "OpenPGP, password, Camellia-256", nil},
	{"sym-IDEA.gpg", "openpgp", scan.Encrypted, "OpenPGP, password, IDEA", nil},
	{"sym-sed.gpg", "openpgp", scan.Encrypted, "OpenPGP, password, CAST5, no integrity protection", nil},
	{"sym-partial.gpg", "openpgp", scan.Encrypted, "OpenPGP, password, AES-256", nil},
	{"sym.asc", "openpgp", scan.Encrypted, "OpenPGP, password, AES-256", nil},
	{"pk1.gpg", "openpgp", scan.Encrypted, "OpenPGP, public key", nil},
	{"pk2.asc", "openpgp", scan.Encrypted, "OpenPGP, public key, 2 recipients", nil},
	{"pk-hidden.gpg", "openpgp", scan.Encrypted, "OpenPGP, public key", nil},
	{"pk-password.gpg", "openpgp", scan.Encrypted, "OpenPGP, public key and password, AES-256", nil},
	{"pk-signed.gpg", "openpgp", scan.Encrypted, "OpenPGP, public key", nil},
	{"lit-zip.gpg", "openpgp", scan.Inspected, "", plainText},
	{"lit-zlib.gpg", "openpgp", scan.Inspected, "", plainText},
	{"lit-bzip2.gpg", "openpgp", scan.Inspected, "", plainText},
	{"lit-uncompressed.gpg", "openpgp", scan.Inspected, "", plainText},
	{"signed.gpg", "openpgp", scan.Inspected, "", plainText},
	{"signed.asc", "openpgp", scan.Inspected, "", plainText},
	{"clear.asc", "openpgp", scan.Inspected, "", nil},
	{"detached.sig", "openpgp", scan.Inspected, "", nil},
	{"detached.asc", "openpgp", scan.Inspected, "", nil},
	{"public.gpg", "openpgp", scan.Inspected, "", nil},
	{"public.asc", "openpgp", scan.Inspected, "", nil},
	{"secret.asc", "openpgp", scan.Inspected, "", nil},
	{"hello.txt", "", "", "", nil},

	{"enveloped.p7m", "cms", scan.Encrypted, "CMS EnvelopedData, AES-256-CBC, 1 recipient (RSA)", nil},
	{"enveloped-ber.p7m", "cms", scan.Encrypted, "CMS EnvelopedData, AES-256-CBC, 1 recipient (RSA)", nil},
	{"enveloped.pem", "cms", scan.Encrypted, "CMS EnvelopedData, AES-128-CBC, 2 recipients (RSA, ECDH-SHA1)", nil},
	{"enveloped-3des.p7m", "cms", scan.Encrypted, "CMS EnvelopedData, 3DES-CBC, 2 recipients (RSA)", nil},
	{"authenveloped.p7m", "cms", scan.Encrypted, "CMS AuthEnvelopedData, AES-256-GCM, 1 recipient (RSA-OAEP)", nil},
	{"enveloped-password.p7m", "cms", scan.Encrypted, "CMS EnvelopedData, AES-256-CBC, 1 recipient (password)", nil},
	{"encrypteddata.p7m", "cms", scan.Encrypted, "CMS EncryptedData, AES-256-CBC", nil},
	{"data.p7m", "cms", scan.Inspected, "", entity},
	{"digested.p7m", "cms", scan.Inspected, "", entity},
	{"signed.p7m", "cms", scan.Inspected, "", entity},
	{"signed-ber.p7m", "cms", scan.Inspected, "", entity},
	{"detached.p7s", "cms", scan.Inspected, "", nil},
	{"certs-only.p7c", "cms", scan.Inspected, "", nil},
	{"certs-only.pem", "cms", scan.Inspected, "", nil},

	{"modern.p12", "pkcs12", scan.Encrypted, "PKCS #12, PBES2 AES-256", nil},
	{"legacy.p12", "pkcs12", scan.Encrypted, "PKCS #12, RC2-40", nil},
	{"key-only.p12", "pkcs12", scan.Encrypted, "PKCS #12, PBES2 AES-256", nil},
	{"open.p12", "pkcs12", scan.Inspected, "", nil},

	{"key-pkcs8.pem", "other", scan.Encrypted, "encrypted private key, PBES2 AES-256", nil},
	{"key-pkcs8.der", "other", scan.Encrypted, "encrypted private key, PBES2 AES-256", nil},
	{"key-legacy.pem", "other", scan.Encrypted, "encrypted private key, AES-256-CBC", nil},
	{"key-open.pem", "", "", "", nil},
	{"key-open.der", "", "", "", nil},
	{"certificate.pem", "", "", "", nil},
	{"openssl.enc", "other", scan.Encrypted, "openssl enc, password", nil},
	{"openssl.b64", "other", scan.Encrypted, "openssl enc, password, base64", nil},
	{"ssh-locked", "other", scan.Encrypted, "OpenSSH private key, aes256-ctr", nil},
	{"ssh-open", "", "", "", nil},
	{"key.jks", "other", scan.Encrypted, "Java key store", nil},
	{"certificates.jks", "other", scan.Inspected, "", nil},
}

// TestFixtures: every file is read under its own name and under none.
func TestFixtures(t *testing.T) {
	for _, f := range fixtures {
		t.Run(f.name, func(t *testing.T) {
			content := testdata(t, f.name)
			read(t, f.name, content).want(t, f.by, f.state, f.method, f.content)
			read(t, "", content).want(t, f.by, f.state, f.method, f.content)
		})
	}
}

// TestFixturesAll: no file of testdata is forgotten.
func TestFixturesAll(t *testing.T) {
	files, err := filepath.Glob("testdata/*")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"make.sh": true, "fuzz": true, "clear-dash.asc": true}
	for _, f := range fixtures {
		known[f.name] = true
	}
	for _, o := range opened {
		known[o] = true
	}
	for _, f := range files {
		if !known[filepath.Base(f)] {
			t.Errorf("%s is in no test", f)
		}
	}
}

// opened are files under the password "secret" whose algorithms are carried out.
var opened = []string{
	"sym-AES.gpg", "sym-AES192.gpg", "sym-AES256.gpg", "sym-3DES.gpg", "sym-CAST5.gpg", "sym-BLOWFISH.gpg", "sym-TWOFISH.gpg",
	"sym-s2k0.gpg", "sym-s2k1.gpg", "sym-sha256.gpg", "sym-max.gpg", "sym-sed.gpg", "sym-partial.gpg", "sym.asc", "pk-password.gpg",
}

// TestPasswords: the right password among wrong ones opens, and the verdict keeps how it was encrypted.
func TestPasswords(t *testing.T) {
	for _, name := range opened {
		t.Run(name, func(t *testing.T) {
			content := testdata(t, name)
			r := read(t, name, content, "wrong", "secret", "never")
			if r.verdict.State != scan.Inspected || r.verdict.Class != scan.ClassOpenPGP || !r.has(scan.OpenedPassword) {
				t.Errorf("%+v", r.verdict)
			}
			if len(r.members) != 1 || string(r.members[0].Content) != string(plainText) {
				t.Errorf("members %+v", r.members)
			}
			if r := read(t, name, content, "wrong", "Secret", ""); r.verdict.State != scan.Encrypted || r.has(scan.OpenedPassword) || len(r.members) > 0 {
				t.Errorf("opened with a wrong password: %+v", r)
			}
		})
	}
}
