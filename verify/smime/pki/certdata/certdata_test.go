package certdata

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"assay/verify/smime/pki"
	"assay/verify/vectors"
)

// root makes a self-signed certificate.
func root(t testing.TB, name string, serial int64) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: name}, SerialNumber: big.NewInt(serial), IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// octal writes octets as certdata.txt does.
func octal(b []byte) string {
	var s strings.Builder
	s.WriteString("MULTILINE_OCTAL\n")
	for i, c := range b {
		fmt.Fprintf(&s, "\\%03o", c)
		if i%16 == 15 {
			s.WriteByte('\n')
		}
	}
	s.WriteString("\nEND\n")
	return s.String()
}

// serialOf returns the serial number with tag and length; those of the tests have one octet.
func serialOf(c *x509.Certificate) []byte { return []byte{2, 1, byte(c.SerialNumber.Int64())} }

func certificate(c *x509.Certificate, label, distrust string) string {
	return "\n# Certificate\nCKA_CLASS CK_OBJECT_CLASS CKO_CERTIFICATE\nCKA_TOKEN CK_BBOOL CK_TRUE\nCKA_LABEL UTF8 \"" + label + "\"\n" +
		"CKA_ISSUER " + octal(c.RawIssuer) + "CKA_SERIAL_NUMBER " + octal(serialOf(c)) + "CKA_VALUE " + octal(c.Raw) + distrust
}

func trust(c *x509.Certificate, server, mail string) string {
	return "\n# Trust\nCKA_CLASS CK_OBJECT_CLASS CKO_NSS_TRUST\nCKA_LABEL UTF8 \"x\"\nCKA_ISSUER " + octal(c.RawIssuer) +
		"CKA_SERIAL_NUMBER " + octal(serialOf(c)) + "CKA_TRUST_SERVER_AUTH CK_TRUST " + server + "\nCKA_TRUST_EMAIL_PROTECTION CK_TRUST " + mail + "\n"
}

const (
	delegator = "CKT_NSS_TRUSTED_DELEGATOR"
	must      = "CKT_NSS_MUST_VERIFY_TRUST"
	head      = "# comment\nCVS_ID \"x\"\nBEGINDATA\nCKA_CLASS CK_OBJECT_CLASS CKO_NSS_BUILTIN_ROOT_LIST\nCKA_LABEL UTF8 \"Roots\"\n"
)

func TestParse(t *testing.T) {
	both, mail, server, distrusted := root(t, "Both", 1), root(t, "Mail", 2), root(t, "Server", 3), root(t, "Distrusted", 4)
	text := head +
		certificate(both, `Both \xc3\xa4`, "CKA_NSS_EMAIL_DISTRUST_AFTER CK_BBOOL CK_FALSE\n") + trust(both, delegator, delegator) +
		certificate(server, "Server", "") + trust(server, delegator, must) +
		trust(mail, must, delegator) + certificate(mail, "Mail", "CKA_NSS_EMAIL_DISTRUST_AFTER "+octal([]byte("240630000000Z"))) +
		trust(distrusted, "CKT_NSS_NOT_TRUSTED", "CKT_NSS_NOT_TRUSTED")
	anchors, err := Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(anchors) != 2 || !anchors[0].Certificate.Equal(both) || !anchors[1].Certificate.Equal(mail) {
		t.Fatalf("%v", anchors)
	}
	if anchors[0].Label != "Both ä" || !anchors[0].Public || !anchors[0].DistrustAfter.IsZero() {
		t.Errorf("%+v", anchors[0])
	}
	if want := time.Date(2024, 6, 30, 0, 0, 0, 0, time.UTC); !anchors[1].DistrustAfter.Equal(want) {
		t.Errorf("distrusted after %s", anchors[1].DistrustAfter)
	}
}

func TestParseErrors(t *testing.T) {
	c := root(t, "Root", 1)
	other := root(t, "Other", 1)
	good := certificate(c, "Root", "") + trust(c, must, delegator)
	for name, text := range map[string]string{
		"empty":                   "",
		"no BEGINDATA":            good,
		"nothing trusted":         head + certificate(c, "Root", "") + trust(c, delegator, must),
		"trust, no certificate":   head + good + trust(other, must, delegator),
		"attribute before object": "BEGINDATA\nCKA_LABEL UTF8 \"x\"\n",
		"attribute twice":         head + strings.Replace(good, "CKA_TOKEN", "CKA_LABEL UTF8 \"x\"\nCKA_TOKEN", 1),
		"no END":                  strings.TrimSuffix(head+good+"CKA_X MULTILINE_OCTAL\n\\060\n", "END\n"),
		"not octal":               head + good + "CKA_X MULTILINE_OCTAL\n\\08x\nEND\n",
		"octet too large":         head + good + "CKA_X MULTILINE_OCTAL\n\\777\nEND\n",
		"half an octet":           head + good + "CKA_X MULTILINE_OCTAL\n\\06\nEND\n",
		"label without quotes":    head + good + "CKA_X UTF8 x\n",
		"no type":                 head + good + "CKA_X\n",
		"other issuer":            head + strings.ReplaceAll(good, octal(c.RawIssuer), octal(other.RawIssuer)),
		"certificate is none":     head + strings.Replace(good, octal(c.Raw), octal([]byte("x")), 1),
		"date is none":            head + certificate(c, "Root", "CKA_NSS_EMAIL_DISTRUST_AFTER "+octal([]byte("x"))) + trust(c, must, delegator),
		"line too long":           head + good + "# " + strings.Repeat("x", maxLine+1) + "\n",
	} {
		if anchors, err := Parse(strings.NewReader(text)); err == nil {
			t.Errorf("%s: %d roots and no error", name, len(anchors))
		}
	}
	if _, err := Parse(strings.NewReader(head + good + "CKA_X\n")); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("line %d", strings.Count(head+good, "\n")+1)) {
		t.Errorf("the line is not named: %v", err)
	}
}

// TestMozilla reads the whole list of Mozilla, and proves that the shipped bundle is what it holds.
func TestMozilla(t *testing.T) {
	f, err := os.Open(vectors.Path(t, "smime/mozilla-roots/certdata.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	anchors, err := Parse(f)
	if err != nil {
		t.Fatal(err)
	}
	if len(anchors) != 105 {
		t.Errorf("%d roots, want 105", len(anchors))
	}
	shipped, err := pki.ShippedBundle()
	if err != nil {
		t.Fatal(err)
	}
	var want, got bytes.Buffer
	made := shipped
	made.Anchors = anchors
	if _, err := made.WriteTo(&want); err != nil {
		t.Fatal(err)
	}
	if _, err := shipped.WriteTo(&got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Error("the shipped bundle is not what the list holds")
	}
	limited := 0
	for _, a := range anchors {
		if !a.DistrustAfter.IsZero() {
			limited++
			if a.Label != "GLOBALTRUST 2020" {
				t.Errorf("%s is distrusted after %s", a.Label, a.DistrustAfter)
			}
		}
	}
	if limited != 1 {
		t.Errorf("%d roots with a date of distrust, want 1", limited)
	}
}

func FuzzParse(f *testing.F) {
	c := root(f, "Root", 1)
	f.Add([]byte(head + certificate(c, "Root", "") + trust(c, must, delegator)))
	f.Add([]byte("BEGINDATA\nCKA_CLASS CK_OBJECT_CLASS CKO_CERTIFICATE\nCKA_VALUE MULTILINE_OCTAL\n\\060\nEND\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		anchors, err := Parse(bytes.NewReader(text))
		if (err == nil) != (len(anchors) > 0) {
			t.Errorf("%d roots, error %v", len(anchors), err)
		}
		for _, a := range anchors {
			if a.Certificate == nil || !a.Public {
				t.Errorf("%+v", a)
			}
		}
	})
}
