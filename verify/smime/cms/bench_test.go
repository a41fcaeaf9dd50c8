package cms

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"testing"
)

// benchText is what an average mail has: 30 KB.
var benchText = bytes.Repeat([]byte("All work and no play makes Jack a dull boy.\r\n"), 30_000/45)

// BenchmarkNormalize reads the usual forms of a signature.
func BenchmarkNormalize(b *testing.B) {
	base := recipe{id: identityOf(b, "rsa"), digest: "sha256", scheme: oidRSA, content: benchText}
	for name, change := range map[string]func(*recipe){
		"detached":           func(r *recipe) { r.detached = true },
		"opaque 30 KB":       func(*recipe) {},
		"streamed 30 KB":     func(r *recipe) { r.chunk = 1000 },
		"streamed 3 MB":      func(r *recipe) { r.chunk, r.content = 4096, make([]byte, 3_000_000) },
		"streamed 3 MB by 1": func(r *recipe) { r.chunk, r.content = 20, make([]byte, 3_000_000) },
	} {
		r := base
		change(&r)
		in := r.build(b)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				if _, err := Normalize(in, Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkVerify compares everything that is done for a mail of 30 KB with a detached signature and two certificates
// with the cryptography in it: one digest and two verifications, since the second implementation verifies as well.
func BenchmarkVerify(b *testing.B) {
	for _, name := range []string{"rsa", "p256", "ed25519"} {
		scheme := map[string][]int{"rsa": oidRSA, "p256": oidECKey, "ed25519": oidEd25519}[name]
		digest := map[string]string{"rsa": "sha256", "p256": "sha256", "ed25519": "sha512"}[name]
		r := recipe{id: identityOf(b, name), digest: digest, scheme: scheme, content: benchText, detached: true}
		r.certs = [][]byte{r.id.cert.Raw, identityOf(b, "rsa2").cert.Raw}
		in := r.build(b)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				o, err := Parse(in, Limits{})
				if err != nil {
					b.Fatal(err)
				}
				content := o.Signed.NewContent()
				content.Write(benchText)
				if got := o.Signed.VerifySigner(0, content, nil); got.Integrity != Intact {
					b.Fatal(got)
				}
			}
		})
	}
}

// BenchmarkBare is the cryptography of BenchmarkVerify/rsa.
func BenchmarkBare(b *testing.B) {
	id := identityOf(b, "rsa")
	r := recipe{id: id, digest: "sha256", scheme: oidRSA}
	signature := r.sign(b, testText)
	sum := sha256.Sum256(testText)
	key := id.cert.PublicKey.(*rsa.PublicKey)
	b.ReportAllocs()
	for b.Loop() {
		sha256.Sum256(benchText)
		for range 2 {
			if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkSteps shows what BenchmarkVerify/rsa is made of.
func BenchmarkSteps(b *testing.B) {
	r := recipe{id: identityOf(b, "rsa"), digest: "sha256", scheme: oidRSA, content: benchText, detached: true}
	o, err := Parse(r.build(b), Limits{})
	if err != nil {
		b.Fatal(err)
	}
	content := o.Signed.NewContent()
	content.Write(benchText)
	c := check{sd: o.Signed, signer: &o.Signed.Signers[0], content: content}
	if f := c.run(); f.integrity != Intact {
		b.Fatal(f)
	}
	v, _ := c.verifier()
	form := c.signedForms()[0]
	steps := map[string]func(){
		"digest":         func() { sha256.Sum256(benchText) },
		"certificate":    func() { _, err = x509.ParseCertificate(r.id.cert.Raw) },
		"signature":      func() { v.check(r.id.cert, form) },
		"second opinion": func() { err = secondOpinion(v, r.id.cert, form) },
	}
	for name, step := range steps {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				step()
			}
		})
	}
}
