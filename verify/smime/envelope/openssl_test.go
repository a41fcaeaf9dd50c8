package envelope

import (
	"bytes"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"assay/verify/smime/cms"
)

// TestOpenSSL opens what openssl(1) has encrypted: every way to encrypt a key with every cipher, as DER and as a stream.
func TestOpenSSL(t *testing.T) {
	l := newLab(t)
	l.recipients()
	all := l.keys("rsa", "p256", "p384", "p521")
	ciphers := []string{"aes-128-cbc", "aes-192-cbc", "aes-256-cbc", "des3", "aes-128-gcm", "aes-192-gcm", "aes-256-gcm"}
	ways := []struct {
		name string
		who  string
		args []string
		want string
	}{
		{"v1.5", "rsa", nil, "rsa"},
		{"oaep", "rsa", []string{"-keyopt", "rsa_padding_mode:oaep"}, "rsa-oaep"},
		{"oaep sha256", "rsa", []string{"-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256"}, "rsa-oaep"},
		{"oaep sha512 mgf sha1", "rsa", []string{"-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha512", "-keyopt", "rsa_mgf1_md:sha1"}, "rsa-oaep"},
		{"oaep label", "rsa", []string{"-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha384", "-keyopt", "rsa_oaep_label:00ff10"}, "rsa-oaep"},
		{"p256", "p256", nil, "ecdh-sha1"},
		{"p256 sha256", "p256", []string{"-keyopt", "ecdh_kdf_md:sha256"}, "ecdh-sha256"},
		{"p384 sha384", "p384", []string{"-keyopt", "ecdh_kdf_md:sha384"}, "ecdh-sha384"},
		{"p521 sha512", "p521", []string{"-keyopt", "ecdh_kdf_md:sha512"}, "ecdh-sha512"},
		{"p256 cofactor", "p256", []string{"-keyopt", "ecdh_kdf_md:sha224", "-keyopt", "ecdh_cofactor_mode:1"}, "ecdh-cofactor-sha224"},
	}
	for _, w := range ways {
		for _, c := range ciphers {
			if c == "des3" && strings.HasPrefix(w.name, "p") {
				continue // OpenSSL wraps with 3DES then, which is refused
			}
			for _, form := range [][]string{nil, {"-stream"}, {"-keyid"}} {
				args := slices.Concat([]string{"-" + c}, form, []string{"-recip", w.who + ".crt"}, w.args)
				ber := l.encrypt(args...)
				for _, k := range []*Keys{all, l.keys(w.who)} {
					got, err := open(k, ber)
					if err != nil {
						t.Errorf("%s %s %v: %v", w.name, c, form, err)
						continue
					}
					name := strings.Replace(c, "des3", "3des-cbc", 1)
					auth := strings.HasSuffix(c, "gcm")
					if string(got.Content) != text || got.Algorithm != name || got.KeyAlgorithm != w.want || got.Authenticated != auth || got.Legacy != (c == "des3") {
						t.Errorf("%s %s %v: %q %+v", w.name, c, form, got.Content, *got)
					}
				}
			}
		}
	}
}

// TestOthers does not open what is for others, and says so.
func TestOthers(t *testing.T) {
	l := newLab(t)
	l.recipients()
	for _, test := range []struct {
		name string
		keys []string
		args []string
		want error
		text string
	}{
		{"another key", []string{"p256"}, []string{"-aes-256-cbc", "-recip", "rsa.crt"}, ErrNoKey, ""},
		{"another key, key agreement", []string{"rsa"}, []string{"-aes-256-gcm", "-recip", "p256.crt"}, ErrNoKey, ""},
		{"no key at all", nil, []string{"-aes-256-gcm", "-recip", "p256.crt"}, ErrNoKey, ""},
		{"password", []string{"rsa"}, []string{"-aes-256-cbc", "-pwri_password", "secret"}, ErrUnsupported, "a password"},
		{"shared key", []string{"rsa"}, []string{"-aes-256-cbc", "-secretkey", strings.Repeat("00", 16), "-secretkeyid", "01"}, ErrUnsupported, "agreed upon"},
		{"3des wrap", []string{"p256"}, []string{"-des3", "-recip", "p256.crt"}, ErrUnsupported, "3des-wrap"},
	} {
		k := &Keys{}
		if test.keys != nil {
			k = l.keys(test.keys...)
		}
		got, err := open(k, l.encrypt(test.args...))
		if got != nil || !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v, want %v with %q", test.name, err, test.want, test.text)
		}
	}
}

// TestSeveral opens with any of several keys a message for several recipients, one of them with a password.
func TestSeveral(t *testing.T) {
	l := newLab(t)
	l.recipients()
	ber := l.encrypt("-aes-256-cbc", "-stream", "-pwri_password", "secret", "-recip", "rsa.crt", "-recip", "p256.crt", "-recip", "p384.crt")
	for _, names := range [][]string{{"rsa"}, {"p256"}, {"p384"}, {"p521", "p384"}, {"rsa", "p256", "p384", "p521"}} {
		got, err := open(l.keys(names...), ber)
		if err != nil || string(got.Content) != text {
			t.Errorf("with %v: %v", names, err)
		}
	}
	if _, err := open(l.keys("p521"), ber); !errors.Is(err, ErrUnsupported) {
		t.Errorf("with a key that is not among them: %v", err)
	}
}

// TestSize opens a content of 10 MB, and takes no more memory than a small multiple of it. The race detector has slices.Concat
// allocate once more.
func TestSize(t *testing.T) {
	if testing.Short() {
		t.Skip("NOT RUN: 10 MB with every cipher (-short)")
	}
	l := newLab(t)
	l.recipients()
	long := append([]byte(text), bytes.Repeat([]byte("0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab\r\n"), 10<<20/64)...)
	l.write("long", long)
	k := l.keys("rsa")
	for _, args := range [][]string{{"-aes-256-cbc"}, {"-aes-256-gcm"}, {"-aes-256-cbc", "-stream"}, {"-des3"}} {
		o, err := cms.Parse(l.encryptFile("long", append(args, "-recip", "rsa.crt")...), cms.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		begun := time.Now()
		got, err := k.Open(o)
		elapsed := time.Since(begun)
		runtime.ReadMemStats(&after)
		if err != nil || !bytes.Equal(got.Content, long) {
			t.Fatalf("%v: %v", args, err)
		}
		n := int(after.TotalAlloc - before.TotalAlloc)
		t.Logf("%v: %v, %d octets allocated", args, elapsed, n)
		if n > 3*len(long)+1<<20 {
			t.Errorf("%v: %d octets were allocated for %d", args, n, len(long))
		}
	}
}
