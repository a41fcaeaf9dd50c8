package sealed

import (
	"bytes"
	"testing"
	"time"

	"assay/scan"
	"assay/scan/attach"
)

// TestHostileOpenPGP: chains of tiny chunks, packets without number, armor without end cost time that grows with their length
// alone, and what was not read to the end is not called inspected.
func TestHostileOpenPGP(t *testing.T) {
	chunks := append([]byte{0xc0 | tagLiteral, 0xe3, 'b', 0, 0, 0, 0, 0, 'x', 'y'}, bytes.Repeat([]byte{0xe0, 'z'}, 2<<20)...)
	keys := bytes.Repeat(pubkeyMessage()[:56], 50_000)
	empty := append(literalOf("", "x"), bytes.Repeat([]byte{0xc0 | tagPadding, 0}, 1<<20)...)
	for _, c := range []struct {
		name    string
		content []byte
		state   scan.State
	}{
		{"chunks of one octet", append(chunks, 0), scan.Inspected},
		{"session keys", keys, scan.Encrypted},
		{"empty packets", empty, scan.Inspected},
		{"beginnings of armor", bytes.Repeat([]byte("-----BEGIN PGP MESSAGE-----\n"), 200_000), scan.Inspected},
		{"a message behind many blocks", append(bytes.Repeat([]byte("-----BEGIN CERTIFICATE-----\n"), 50_000), armored("PGP MESSAGE", pubkeyMessage())...), scan.Encrypted},
		{"header fields", append([]byte("-----BEGIN PGP MESSAGE-----\n"), bytes.Repeat([]byte("a: b\n"), 500_000)...), scan.Inspected},
		{"literals", bytes.Repeat(literalOf("a", "b"), 20_000), scan.Uninspectable},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := time.Now()
			r := read(t, "", c.content)
			if r.verdict.State != c.state {
				t.Errorf("%q %s %q", r.by, r.verdict.State, r.verdict.Method)
			}
			if took := time.Since(start); took > 30*time.Second {
				t.Errorf("%s", took)
			}
		})
	}
}

// TestTypes: what nothing else tells the type of is named.
func TestTypes(t *testing.T) {
	for name, want := range map[string]string{
		"pk1.gpg": "application/pgp-encrypted", "sym-AES.gpg": "application/pgp-encrypted", "public.gpg": "application/pgp-keys",
		"detached.sig": "application/pgp-signature", "signed.p7m": "application/pkcs7-mime", "enveloped.pem": "",
		"certificates.jks": "application/x-java-keystore",
	} {
		if got := read(t, name, testdata(t, name)).verdict.Type; got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := attach.Sniff(noise(9, 3000)); got != attach.Unknown {
		t.Errorf("noise is %q", got)
	}
}
