package cms

import (
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"assay/verify/vectors"
)

// read returns the octets of a file, which may be PEM or base64.
func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if block, _ := pem.Decode(data); block != nil {
		return block.Bytes
	}
	if der, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(data))); err == nil {
		return der
	}
	return data
}

// outcome sums up an object in one word: its kind, or for signed-data the worst integrity of its signers, or the cause
// for which there is no object. Algorithms and flags of the last signer follow.
func outcome(data, text []byte) string {
	o, err := Parse(data, Limits{})
	if err != nil {
		return strings.TrimSpace(strings.SplitN(err.Error(), ":", 3)[1])
	}
	if o.Kind != Signed {
		return strings.TrimSpace(string(o.Kind) + " " + o.Detail)
	}
	content := o.Signed.Embedded()
	if text != nil || content == nil {
		content = o.Signed.NewContent()
		content.Write(text)
	}
	worst, words := "", ""
	for i := range o.Signed.Signers {
		r := o.Signed.VerifySigner(i, content, nil)
		if worst == "" || r.Integrity != Intact {
			worst = string(r.Integrity)
		}
		words = strings.Join(append(append([]string{"", r.Algorithm}, r.Weak...), r.Flags...), " ")
	}
	return worst + words
}

// TestGenerated goes through objects that OpenSSL 3.0 and a tool for attacks made over one text.
func TestGenerated(t *testing.T) {
	dir := vectors.Path(t, "smime/generated")
	text := read(t, filepath.Join(dir, "content.txt"))
	// By the name in front of ".d.der" (detached), ".o.der" (opaque) and so on. All others are intact.
	special := map[string]string{
		"ATK-attrconfusion": "malformed rsa-sha256 no-signed-attributes",
		"ATK-chunkappend":   "broken rsa-sha256",
		// Over content.txt itself it is no attack: the content inside is the same text.
		"ATK-econtent-confusion": "intact rsa-sha256 embedded-content",
		"ATK-nosigners":          "certs-only 2 certificates, no signer",
		"ATK-relabel":            "malformed rsa-sha256 content-type-not-data",
		"DOS-nest-indef-100k":    "too large",
		"DOS-overrun-k16":        "not well-formed",
		"bp256-sha256":           "unsupported ecdsa-sha256",
		"dsa-sha256":             "unsupported dsa-sha256",
		"rsa-md5":                "unsupported rsa-md5",
		"nocerts":                "no-certificate rsa-sha256",
		"nocertsatall":           "no-certificate rsa-sha256",

		"certscrl":        "certs-only 1 certificate, no signer",
		"certsonly":       "certs-only 2 certificates, no signer",
		"data":            "data",
		"digested":        "digested sha1",
		"env-3des":        "enveloped 3des-cbc for 1 recipient (rsa)",
		"env-aes128":      "enveloped aes-128-cbc for 1 recipient (rsa)",
		"env-aes256":      "enveloped aes-256-cbc for 1 recipient (rsa)",
		"env-ecdh":        "enveloped aes-256-cbc for 1 recipient (ecdh-sha1)",
		"env-gcm":         "auth-enveloped aes-256-gcm for 1 recipient (rsa)",
		"env-gcm128":      "auth-enveloped aes-128-gcm for 1 recipient (rsa)",
		"env-mixed":       "enveloped aes-256-cbc for 2 recipients (rsa, ecdh-sha1)",
		"env-multi":       "enveloped aes-256-cbc for 2 recipients (rsa)",
		"env-oaep":        "enveloped aes-256-cbc for 1 recipient (rsa-oaep)",
		"env-oaep-sha256": "enveloped aes-256-cbc for 1 recipient (rsa-oaep)",
		"env-pw":          "enveloped aes-256-cbc for 1 recipient (password)",
		"env-ski":         "enveloped aes-256-cbc for 1 recipient (rsa)",
		"env-stream":      "enveloped aes-256-cbc for 1 recipient (rsa)",
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.*"))
	if err != nil || len(files) < 100 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, path := range files {
		name := filepath.Base(path)
		if ext := filepath.Ext(name); ext != ".der" && ext != ".bin" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			var detached []byte
			if strings.Contains(name, ".d.") {
				detached = text
			}
			got := outcome(read(t, path), detached)
			stem, _, _ := strings.Cut(name, ".")
			want, known := special[stem]
			if known && got != want || !known && !strings.HasPrefix(got, "intact ") {
				t.Errorf("%s, want %s", got, want)
			}
			if detached == nil || !strings.HasPrefix(got, "intact ") {
				return
			}
			if got := outcome(read(t, path), []byte("another text")); !strings.HasPrefix(got, "broken ") {
				t.Errorf("with another text: %s", got)
			}
		})
	}
}

// TestForeign goes through objects of other projects.
func TestForeign(t *testing.T) {
	const (
		sigs = "bouncycastle/crypto/test/data/cms/sigs/"
		rfc  = "bouncycastle/crypto/test/data/rfc4134/"
	)
	tests := []struct{ file, text, want string }{
		{"openssl/bad_signtime_attr.cms", "", "malformed rsa-sha256"},
		{"openssl/ct_multiple_attr.cms", "", "malformed rsa-sha256"},
		{"openssl/no_ct_attr.cms", "", "malformed rsa-sha256"},
		{"openssl/pkcs7-md4.pem", "", "unsupported rsa-md4"},
		{"openssl/authenveloped_attrs.pem", "", "auth-enveloped aes-128-gcm for 1 recipient (aes-128-wrap)"},
		{"openssl/authenticated_attrs.pem", "", "authenticated hmac-sha256"},
		{sigs + "PSSSignDataSHA1.sig", sigs + "PSSSignData.data", "intact rsa-pss-sha1 sha1"},
		{sigs + "PSSSignDataSHA256.sig", sigs + "PSSSignData.data", "intact rsa-pss-sha256"},
		{sigs + "PSSSignDataSHA256Enc.sig", "", "intact rsa-pss-sha256"},
		{sigs + "PSSSignDataSHA512Enc.sig", "", "intact rsa-pss-sha512"},
		{sigs + "PSSSignDataSHA512Enc.sig", sigs + "PSSSignData.data", "intact rsa-pss-sha512 embedded-content"},
		// The digest inside of the signature has no NULL, which OpenSSL does not accept either.
		{sigs + "rawsha256nonull.p7m", "", "broken rsa-sha256 no-signed-attributes"},
		// PKCS #7 version 1.5: the content is not in an OCTET STRING.
		{sigs + "Pkcs7SignedContent.p7b", "", "octets behind the end"},
		{rfc + "3.1.bin", "", "data"},
		{rfc + "4.1.bin", "", "unsupported dsa-sha1 sha1 no-signed-attributes"},
		{rfc + "4.2.bin", "", "intact rsa-sha1 sha1 no-signed-attributes rsa-1024"},
		{rfc + "4.3.bin", "", "unsupported dsa-sha1 sha1 no-signed-attributes"},
		{rfc + "4.4.bin", "", "unsupported dsa-sha1 sha1"},
		{rfc + "4.5.bin", "", "intact rsa-sha1 sha1 no-signed-attributes rsa-1024"},
		{rfc + "4.11.bin", "", "certs-only 2 certificates, no signer"},
		{rfc + "5.1.bin", "", "enveloped 3des-cbc for 1 recipient (rsa)"},
		{rfc + "5.2.bin", "", "enveloped rc2-cbc for 2 recipients (rsa, rc2-wrap)"},
		{rfc + "6.0.bin", "", "digested sha1"},
		{rfc + "7.1.bin", "", "encrypted-data 3des-cbc"},
		{rfc + "7.2.bin", "", "encrypted-data 3des-cbc"},
		{"gpgsm/plain-1.cms.asc", "", "enveloped aes-128-cbc for 1 recipient (rsa)"},
		{"gpgsm/plain-large.cms.asc", "", "enveloped aes-128-cbc for 1 recipient (rsa)"},
	}
	root := vectors.Path(t, "smime")
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			var text []byte
			if tt.text != "" {
				text = read(t, filepath.Join(root, tt.text))
			}
			if got := outcome(read(t, filepath.Join(root, tt.file)), text); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}
