package cms

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// An authority makes keys, certificates and objects with openssl(1).
type authority struct {
	t   testing.TB
	dir string
}

// newAuthority makes a folder with a root and the certificates of several signers.
func newAuthority(t testing.TB) authority {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("NOT RUN: no openssl(1), install the package openssl")
	}
	a := authority{t, t.TempDir()}
	a.write("text", testText)
	a.write("other", []byte("Content-Type: text/plain\r\n\r\nPay 1000000 EUR to Eve.\r\n"))
	a.write("ext", []byte("basicConstraints=CA:FALSE\nsubjectKeyIdentifier=hash\nkeyUsage=digitalSignature\n"+
		"extendedKeyUsage=emailProtection\nsubjectAltName=email:alice@example.com\n"))
	a.run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "root.key", "-out", "root.crt", "-subj", "/CN=Root", "-days", "30")
	return a
}

func (a authority) path(name string) string { return filepath.Join(a.dir, name) }

func (a authority) write(name string, data []byte) {
	a.t.Helper()
	if err := os.WriteFile(a.path(name), data, 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// run runs openssl(1), which has to succeed.
func (a authority) run(args ...string) {
	a.t.Helper()
	if out, err := a.command(args...).CombinedOutput(); err != nil {
		a.t.Fatalf("openssl %q: %v\n%s", args, err, out)
	}
}

func (a authority) command(args ...string) *exec.Cmd {
	cmd := exec.Command("openssl", args...)
	cmd.Dir = a.dir
	return cmd
}

// signer makes a key and a certificate for it.
func (a authority) signer(name string, key ...string) {
	a.t.Helper()
	a.run(slices.Concat(key, []string{"-out", name + ".key"})...)
	a.run("req", "-new", "-key", name+".key", "-out", name+".csr", "-subj", "/CN="+name+"/O=Example")
	a.run("x509", "-req", "-in", name+".csr", "-CA", "root.crt", "-CAkey", "root.key", "-CAcreateserial",
		"-out", name+".crt", "-days", "30", "-extfile", "ext")
}

// A verdict of openssl(1).
type opensslVerdict int

const (
	opensslAccepts  opensslVerdict = 0
	opensslNotRead  opensslVerdict = 2 // the object is not understood
	opensslVerifies opensslVerdict = 4 // it is, and does not verify
)

// verify asks openssl(1) about an object, and text if it is detached.
func (a authority) verify(name string, object []byte, text string) opensslVerdict {
	a.t.Helper()
	a.write(name, object)
	args := []string{"cms", "-verify", "-noverify", "-binary", "-inform", "DER", "-in", name, "-out", name + ".out"}
	if text != "" {
		args = append(args, "-content", text)
	}
	err := a.command(args...).Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		a.t.Fatal(err)
	}
	if exit == nil {
		return opensslAccepts
	}
	return opensslVerdict(exit.ExitCode())
}

// A sample is one object made by openssl(1).
type sample struct {
	name        string
	object      []byte
	detached    bool
	unsupported bool // this package is to say so
}

// newRSA are the arguments that make an RSA key.
var newRSA = []string{"genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"}

// signerKinds are the keys of the matrix, with the digests OpenSSL 3.0 signs with, and options of cms.
var signerKinds = []struct {
	name        string
	key         []string
	digests     []string
	options     []string
	unsupported bool
}{
	{"rsa", newRSA,
		[]string{"sha1", "sha224", "sha256", "sha384", "sha512", "sha3-224", "sha3-256", "sha3-384", "sha3-512"}, nil, false},
	{"pss", newRSA, []string{"sha256", "sha384", "sha512"},
		[]string{"-keyopt", "rsa_padding_mode:pss"}, false},
	{"salt", newRSA, []string{"sha256"},
		[]string{"-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:20"}, false},
	{"p256", []string{"ecparam", "-name", "prime256v1", "-genkey", "-noout"}, []string{"sha1", "sha224", "sha256", "sha384"}, nil, false},
	{"p384", []string{"ecparam", "-name", "secp384r1", "-genkey", "-noout"}, []string{"sha384"}, nil, false},
	{"p521", []string{"ecparam", "-name", "secp521r1", "-genkey", "-noout"}, []string{"sha512"}, nil, false},
	{"psskey", []string{"genpkey", "-algorithm", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048"}, []string{"sha256"},
		[]string{"-keyopt", "rsa_padding_mode:pss"}, false},
	{"pssonly", []string{"genpkey", "-algorithm", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048", "-pkeyopt",
		"rsa_pss_keygen_md:sha384", "-pkeyopt", "rsa_pss_keygen_mgf1_md:sha384", "-pkeyopt", "rsa_pss_keygen_saltlen:40"},
		[]string{"sha384"}, []string{"-keyopt", "rsa_padding_mode:pss"}, false},
	{"md5", newRSA, []string{"md5"}, nil, true},
	{"mask", newRSA, []string{"sha256"},
		[]string{"-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_mgf1_md:sha1"}, true},
	{"brainpool", []string{"ecparam", "-name", "brainpoolP256r1", "-genkey", "-noout"}, []string{"sha256"}, nil, true},
	{"secp256k1", []string{"ecparam", "-name", "secp256k1", "-genkey", "-noout"}, []string{"sha256"}, nil, true},
	{"p224", []string{"ecparam", "-name", "secp224r1", "-genkey", "-noout"}, []string{"sha256"}, nil, true},
}

// signForms are the forms of the matrix, as options of cms.
var signForms = []struct {
	name    string
	options []string
}{
	{"detached", nil},
	{"opaque", []string{"-nodetach"}},
	{"stream", []string{"-nodetach", "-stream"}},
	{"stream detached", []string{"-stream"}},
	{"keyid", []string{"-keyid"}},
	{"keyid opaque", []string{"-keyid", "-nodetach"}},
	{"noattr", []string{"-noattr"}},
	{"noattr opaque", []string{"-noattr", "-nodetach"}},
	{"nosmimecap", []string{"-nosmimecap"}},
	{"cades", []string{"-cades", "-nodetach"}},
	{"extra", []string{"-certfile", "root.crt"}},
	{"other type", []string{"-nodetach", "-econtent_type", "1.2.3.4.5"}},
}

// samples makes the matrix.
func (a authority) samples() []sample {
	var all []sample
	for _, kind := range signerKinds {
		a.signer(kind.name, kind.key...)
		for i, digest := range kind.digests {
			for j, form := range signForms {
				if kind.unsupported && j > 3 || i > 0 && j > 3 {
					continue // the forms do not depend on the digest
				}
				if kind.options != nil && slices.Contains(form.options, "-stream") {
					continue // OpenSSL 3.0 cannot
				}
				args := []string{"cms", "-sign", "-binary", "-in", "text", "-signer", kind.name + ".crt",
					"-inkey", kind.name + ".key", "-md", digest, "-outform", "DER", "-out", "object"}
				a.run(slices.Concat(args, kind.options, form.options)...)
				object, err := os.ReadFile(a.path("object"))
				if err != nil {
					a.t.Fatal(err)
				}
				all = append(all, sample{
					name: kind.name + " " + digest + " " + form.name, object: object,
					detached: !slices.Contains(form.options, "-nodetach"), unsupported: kind.unsupported,
				})
			}
		}
	}
	return all
}

// ours returns the verdict of this package: the first integrity of all signers that is not Intact.
func ours(object, text []byte) SignerResult {
	o, err := Parse(object, Limits{})
	switch {
	case err != nil:
		return SignerResult{Integrity: Malformed, Reason: err.Error()}
	case o.Signed == nil || len(o.Signed.Signers) == 0:
		return SignerResult{Integrity: Malformed, Reason: "no signer"}
	}
	content := o.Signed.Embedded()
	if text != nil {
		content = o.Signed.NewContent()
		content.Write(text)
	}
	var r SignerResult
	for i := range o.Signed.Signers {
		if r = o.Signed.VerifySigner(i, content, nil); r.Integrity != Intact {
			break
		}
	}
	return r
}

// TestOpenSSL compares verdicts with openssl(1) over algorithms, forms and damage: nothing that it refuses is intact, and
// everything honest that it accepts is intact or is said to be unsupported.
func TestOpenSSL(t *testing.T) {
	if testing.Short() {
		t.Skip("NOT RUN: runs openssl(1) a thousand times (-short)")
	}
	a := newAuthority(t)
	samples := a.samples()
	other, err := os.ReadFile(a.path("other"))
	if err != nil {
		t.Fatal(err)
	}
	total, refused := 0, 0
	random := rand.New(rand.NewPCG(1, 2))
	for i, s := range samples {
		var text []byte
		name := ""
		if s.detached {
			text, name = testText, "text"
		}
		want := Intact
		if s.unsupported {
			want = Unsupported
		}
		file := fmt.Sprintf("object-%d", i)
		theirs, got := a.verify(file, s.object, name), ours(s.object, text)
		if total++; theirs != opensslAccepts || got.Integrity != want {
			t.Errorf("%s: openssl says %d, we say %v", s.name, theirs, got)
		}
		if s.detached {
			theirs, got := a.verify(file, s.object, "other"), ours(s.object, other)
			if total++; theirs != opensslVerifies || got.Integrity != Broken && !s.unsupported || got.Integrity == Intact {
				t.Errorf("%s with another text: openssl says %d, we say %v", s.name, theirs, got)
			}
		}
		for d, damaged := range damage(random, s.object) {
			theirs, got := a.verify(file, damaged, name), ours(damaged, text)
			if total++; theirs == opensslVerifies {
				refused++
				if got.Integrity == Intact {
					t.Errorf("%s with damage %d: openssl refuses, we say %v", s.name, d, got)
				}
			}
		}
	}
	t.Logf("%d objects, %d of them verified, %d refused after damage", total, len(samples), refused)
	if total < 300 || refused < 100 {
		t.Errorf("only %d objects, %d refused", total, refused)
	}
}

// damage returns changed copies of an object: in the signature at its end, in the content, and anywhere.
func damage(random *rand.Rand, object []byte) [][]byte {
	flip := func(i int) []byte {
		damaged := slices.Clone(object)
		damaged[i] ^= 1 << random.IntN(8)
		return damaged
	}
	all := [][]byte{flip(bytes.LastIndexFunc(object, func(r rune) bool { return r != 0 }))}
	if i := bytes.Index(object, []byte("Bob")); i >= 0 {
		all = append(all, flip(i))
	}
	return append(all, flip(random.IntN(len(object))))
}

// TestOpenSSLSigners compares verdicts about objects with two signers, without certificates, and with damage to one of
// the signers only.
func TestOpenSSLSigners(t *testing.T) {
	if testing.Short() {
		t.Skip("NOT RUN: runs openssl(1) (-short)")
	}
	a := newAuthority(t)
	a.signer("alice", newRSA...)
	a.signer("bob", "ecparam", "-name", "prime256v1", "-genkey", "-noout")
	a.run("cms", "-sign", "-binary", "-in", "text", "-signer", "alice.crt", "-inkey", "alice.key", "-signer", "bob.crt",
		"-inkey", "bob.key", "-outform", "DER", "-out", "two")
	two, err := os.ReadFile(a.path("two"))
	if err != nil {
		t.Fatal(err)
	}
	o, err := Parse(two, Limits{})
	if err != nil || len(o.Signed.Signers) != 2 {
		t.Fatal(err)
	}
	if got := ours(two, testText); got.Integrity != Intact || a.verify("object", two, "text") != opensslAccepts {
		t.Errorf("two signers: %v", got)
	}
	for i := range o.Signed.Signers {
		at := bytes.Index(two, o.Signed.Signers[i].Signature)
		damaged := slices.Clone(two)
		damaged[at+20] ^= 1
		if got := ours(damaged, testText); got.Integrity != Broken || a.verify("object", damaged, "text") != opensslVerifies {
			t.Errorf("signer %d broken: %v", i, got)
		}
	}
	// OpenSSL 3.0 signs with PKCS #1 v1.5 although the key is for RSASSA-PSS only, and refuses what it has made.
	a.signer("carol", "genpkey", "-algorithm", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048")
	a.run("cms", "-sign", "-binary", "-in", "text", "-signer", "carol.crt", "-inkey", "carol.key", "-outform", "DER", "-out", "old")
	old, err := os.ReadFile(a.path("old"))
	if err != nil {
		t.Fatal(err)
	}
	if got := ours(old, testText); got.Integrity != Malformed || a.verify("object", old, "text") != opensslVerifies {
		t.Errorf("another padding than the key is for: %v", got)
	}
	a.run("cms", "-sign", "-binary", "-in", "text", "-signer", "alice.crt", "-inkey", "alice.key", "-nocerts",
		"-outform", "DER", "-out", "none")
	none, err := os.ReadFile(a.path("none"))
	if err != nil {
		t.Fatal(err)
	}
	if got := ours(none, testText); got.Integrity != NoCertificate {
		t.Errorf("without certificates: %v", got)
	}
}

// TestOpenSSLCrafted gives the objects of this package's tests to openssl(1): it must not refuse what is intact here,
// except for algorithms that it does not know.
func TestOpenSSLCrafted(t *testing.T) {
	if testing.Short() {
		t.Skip("NOT RUN: runs openssl(1) (-short)")
	}
	a := newAuthority(t)
	for name, r := range honest(t) {
		unknown := strings.HasPrefix(name, "ed25519") || strings.HasPrefix(name, "ecdsa-") && strings.Contains(name, "sha3-") ||
			strings.Contains(name, "sha512-2")
		for _, plain := range []bool{false, true} {
			r := r
			r.plain = plain
			object := r.build(t)
			theirs, got := a.verify("object", object, ""), ours(object, nil)
			if got.Integrity != Intact || theirs != opensslAccepts && !unknown {
				t.Errorf("%s: openssl says %d, we say %v", name, theirs, got)
			}
		}
	}
}
