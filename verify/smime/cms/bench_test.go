package cms

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"testing"
	"time"
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

// BenchmarkVerify does everything that is done for a mail of 30 KB with a detached signature and two certificates.
func BenchmarkVerify(b *testing.B) {
	for name, r := range map[string]recipe{
		"rsa":     {id: identityOf(b, "rsa"), digest: "sha256", scheme: oidRSA},
		"p256":    {id: identityOf(b, "p256"), digest: "sha256", scheme: oidECKey},
		"ed25519": {id: identityOf(b, "ed25519"), digest: "sha512", scheme: oidEd25519},
	} {
		run := verification(b, r)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				run()
			}
		})
	}
}

// BenchmarkOverhead does by turns what BenchmarkVerify does for RSA and the cryptography that is in it: one digest and
// two verifications, since the second implementation verifies as well. It reports the processor time of the former as
// a multiple of the latter.
func BenchmarkOverhead(b *testing.B) {
	r := recipe{id: identityOf(b, "rsa"), digest: "sha256", scheme: oidRSA}
	run := verification(b, r)
	signature := r.sign(b, testText)
	sum := sha256.Sum256(testText)
	key := r.id.cert.PublicKey.(*rsa.PublicKey)
	bare := func() {
		sha256.Sum256(benchText)
		for range 2 {
			if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature); err != nil {
				b.Fatal(err)
			}
		}
	}
	const batch = 50
	var whole, part time.Duration
	for b.Loop() {
		whole += timeOf(b, batch, run)
		part += timeOf(b, batch, bare)
	}
	b.ReportMetric(float64(whole)/float64(part), "times-bare")
	b.ReportMetric(float64(whole.Microseconds())/float64(b.N*batch), "us/mail")
	b.ReportMetric(float64(part.Microseconds())/float64(b.N*batch), "us/bare")
}

// timeOf returns the processor time that n runs take.
func timeOf(b *testing.B, n int, run func()) time.Duration {
	start := cpuTime(b)
	for range n {
		run()
	}
	return cpuTime(b) - start
}

// verification returns a function that parses and verifies a mail made by r.
func verification(b *testing.B, r recipe) func() {
	r.content, r.detached = benchText, true
	r.certs = [][]byte{r.id.cert.Raw, identityOf(b, "rsa2").cert.Raw}
	in := r.build(b)
	return func() {
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
