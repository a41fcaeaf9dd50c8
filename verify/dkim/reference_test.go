package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// The canonical forms by the letter of RFC 6376 Section 3.4, slow and on the whole text at once, to compare with.

var (
	lineEnd     = regexp.MustCompile(`\r?\n`)
	value       = regexp.MustCompile(`\s*\{b\}\s*`)
	signedNames = regexp.MustCompile(`[\s;]h=`)
	spaces      = regexp.MustCompile(`[ \t]+`)
)

// referenceBody is Sections 3.4.3 and 3.4.4.
func referenceBody(body []byte, c Canonicalization) []byte {
	lines := lineEnd.Split(string(body), -1)
	if c == Relaxed {
		for i, line := range lines {
			lines[i] = strings.TrimSuffix(spaces.ReplaceAllString(line, " "), " ")
		}
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	if len(lines) == 0 {
		if c == Relaxed {
			return nil
		}
		return []byte("\r\n")
	}
	return []byte(strings.Join(lines, "\r\n") + "\r\n")
}

// referenceField is Sections 3.4.1 and 3.4.2.
func referenceField(field string, c Canonicalization) string {
	if c == Simple {
		return field
	}
	name, value, _ := strings.Cut(field, ":")
	value = spaces.ReplaceAllString(lineEnd.ReplaceAllString(value, ""), " ")
	return string(lowerInto(nil, strings.TrimRight(name, " \t"))) + ":" + strings.Trim(value, " ") + "\r\n"
}

// A signer signs test messages, whatever it is told to write into the signature.
type signer struct {
	key    crypto.Signer
	record string // its key record
}

// The keys of the tests.
var (
	rsaSigner = sync.OnceValue(func() signer {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		return signer{key, "v=DKIM1; k=rsa; p=" + publicRSA(&key.PublicKey)}
	})
	edSigner = sync.OnceValue(func() signer {
		public, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			panic(err)
		}
		return signer{key, "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public)}
	})
)

// publicRSA returns the p= of a key.
func publicRSA(key *rsa.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

// bodyHash returns bh= of a body.
func bodyHash(body string, c Canonicalization, length int) string {
	canonical := referenceBody([]byte(body), c)
	if length >= 0 {
		canonical = canonical[:min(length, len(canonical))]
	}
	sum := sha256.Sum256(canonical)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// A mail is what is signed in a test.
type mail struct {
	header string // with CRLF
	body   string
	field  string // the signature field with "{bh}", and "{b}" where the signature goes, without final CRLF
	length int    // l= for {bh}, -1 for none
}

// sign returns the signature field. The canonicalization is that of c=, as far as the field says it in plain words.
func (s signer) sign(t testing.TB, m mail) string {
	t.Helper()
	lower := strings.ToLower(m.field)
	headerForm := Canonicalization(strings.Contains(lower, "c=relaxed"))
	bodyForm := Canonicalization(strings.Contains(lower, "/relaxed"))
	field := strings.ReplaceAll(m.field, "{bh}", bodyHash(m.body, bodyForm, m.length))
	names := lower[signedNames.FindStringIndex(lower)[1]:]
	names, _, _ = strings.Cut(names, ";")
	var input strings.Builder
	left := header(m.header)
	for name := range strings.SplitSeq(names, ":") {
		for i := len(left) - 1; i >= 0; i-- {
			if strings.EqualFold(left[i].Name, strings.TrimSpace(name)) {
				input.WriteString(referenceField(string(left[i].Raw), headerForm))
				left = slices.Delete(left, i, i+1)
				break
			}
		}
	}
	own := referenceField(value.ReplaceAllString(field, "")+"\r\n", headerForm)
	input.WriteString(strings.TrimSuffix(own, "\r\n"))
	digest := sha256.Sum256([]byte(input.String()))
	var opts crypto.SignerOpts = crypto.SHA256
	if _, ok := s.key.(ed25519.PrivateKey); ok {
		opts = crypto.Hash(0)
	}
	sig, err := s.key.Sign(rand.Reader, digest[:], opts)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(field, "{b}", base64.StdEncoding.EncodeToString(sig), 1) + "\r\n"
}
