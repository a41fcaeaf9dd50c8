package envelope

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestLoad reads keys in every form, in one file and in several.
func TestLoad(t *testing.T) {
	l := newLab(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	l.must(err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	l.must(err)
	l.recipient("bob", rsaKey)
	l.recipient("carol", ecKey)
	l.write("bob1.key", pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)}))
	sec1, err := x509.MarshalECPrivateKey(ecKey)
	l.must(err)
	parameters := pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 5, 0x2b, 0x81, 4, 0, 0x22}})
	l.write("carol1.key", append(parameters, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1})...))
	l.write("all.pem", []byte("bob and his authority\n"+l.read("bob.crt")+l.read("bob.key")+l.read("carol.crt")+l.read("carol1.key")))
	l.run("genpkey", "-algorithm", "x25519", "-out", "dave.key")
	l.run("pkey", "-in", "dave.key", "-pubout", "-out", "dave.pub")
	l.run("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "other.key", "-subj", "/CN=dave", "-out", "dave.csr")
	l.run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-subj", "/CN=ca", "-out", "ca.crt")
	l.run("x509", "-req", "-in", "dave.csr", "-force_pubkey", "dave.pub", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out", "dave.crt")
	for _, test := range []struct {
		files string
		want  int
	}{
		{"", 0}, {"bob.key bob.crt", 1}, {"bob.crt bob1.key", 1}, {"carol.crt carol1.key", 1}, {"all.pem", 2},
		{"bob.key bob1.key bob.crt bob.crt", 1}, {"dave.key dave.crt ca.crt", 1}, {"bob.key carol.key carol.crt bob.crt", 2},
	} {
		var files []string
		for _, f := range strings.Fields(test.files) {
			files = append(files, l.path(f))
		}
		k, err := Load(files)
		if err != nil || k.Len() != test.want {
			t.Errorf("%s: %d recipients, %v", test.files, k.Len(), err)
		}
	}
	l.must(os.Mkdir(l.path("dir"), 0o700))
	for _, name := range []string{"bob.key", "bob.crt", ".hidden.key", "notes.txt"} {
		l.write("dir/"+name, []byte(l.read("bob."+strings.TrimPrefix(name, "bob.")))) // the last two are empty
	}
	if k, err := Load([]string{l.path("dir")}); err != nil || k.Len() != 1 {
		t.Errorf("a directory: %d recipients, %v", k.Len(), err)
	}
}

// TestLoadRefuses names every file that is wrong, and shows nothing of it.
func TestLoadRefuses(t *testing.T) {
	l := newLab(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	l.must(err)
	l.recipient("bob", rsaKey)
	_, signing, err := ed25519.GenerateKey(rand.Reader)
	l.must(err)
	l.recipient("ed", signing)
	l.write("open.key", []byte(l.read("bob.key")))
	l.must(os.Chmod(l.path("open.key"), 0o644))
	l.run("pkey", "-in", "bob.key", "-aes256", "-passout", "pass:x", "-out", "locked.key")
	l.run("rsa", "-in", "bob.key", "-traditional", "-aes256", "-passout", "pass:x", "-out", "old.key")
	l.run("ecparam", "-name", "secp256k1", "-genkey", "-noout", "-out", "k1.key")
	l.run("genrsa", "-out", "short.key", "512")
	l.write("broken.key", []byte("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"))
	l.write("broken.crt", []byte("-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n"))
	l.write("request.pem", []byte("-----BEGIN CERTIFICATE REQUEST-----\nc2VjcmV0\n-----END CERTIFICATE REQUEST-----\n"))
	l.write("empty.pem", nil)
	l.must(os.Mkdir(l.path("nothing"), 0o700))
	for _, test := range []struct{ files, file, want string }{
		{"missing.key", "missing.key", "no such file"},
		{"bob.key", "bob.key", "no certificate for the private key"},
		{"bob.crt", "bob.crt", "no private key for the certificate with the serial number 3E9"},
		{"open.key bob.crt", "open.key", "open to everybody (mode 0644): chmod 0600 or 0640"},
		{"locked.key bob.crt", "locked.key", "encrypted, and nobody can be asked"},
		{"old.key bob.crt", "old.key", "encrypted, and nobody can be asked"},
		{"ed.key ed.crt", "ed.key", "signs and opens nothing"},
		{"k1.key", "k1.key", "damaged or of an unknown kind"},
		{"short.key", "short.key", ""},
		{"broken.key", "broken.key", "damaged or of an unknown kind"},
		{"broken.crt", "broken.crt", "damaged or of an unknown kind"},
		{"request.pem", "request.pem", `neither a private key nor a certificate in PEM, but a "CERTIFICATE REQUEST"`},
		{"empty.pem", "empty.pem", "neither a private key nor a certificate"},
		{"nothing", "nothing", "holds no file"},
		{"/dev/null", "/dev/null", "not a file"},
	} {
		var files []string
		for _, f := range strings.Fields(test.files) {
			if !strings.HasPrefix(f, "/") {
				f = l.path(f)
			}
			files = append(files, f)
		}
		k, err := Load(files)
		if k != nil || err == nil || !strings.Contains(err.Error(), test.file) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.files, err, test.want)
			continue
		}
		if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "c2Vj") {
			t.Errorf("%s: the error shows what is in the file: %v", test.files, err)
		}
	}
}

// read returns a file, "" if there is none.
func (l *lab) read(name string) string {
	data, _ := os.ReadFile(l.path(name))
	return string(data)
}

// run runs openssl(1).
func (l *lab) run(args ...string) {
	l.t.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.Dir = l.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		l.t.Fatalf("openssl %q: %v\n%s", args, err, out)
	}
}
