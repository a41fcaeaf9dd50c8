package smime

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"assay/verify/message"
)

// cost measures the processor time and the memory of a call.
func cost(t testing.TB, f func()) (took time.Duration, allocated uint64) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := cpuTime(t)
	f()
	took = cpuTime(t) - start
	runtime.ReadMemStats(&after)
	return took, after.TotalAlloc - before.TotalAlloc
}

func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// longText is a part of 30 KB.
func longText() string {
	return "Content-Type: text/plain\r\n\r\n" + strings.Repeat("A line of an ordinary mail that somebody has signed and sent on its way.\r\n", 400)
}

// BenchmarkVerify verifies a mail of 30 KB with an RSA-2048 signature whose path is known.
func BenchmarkVerify(b *testing.B) {
	l := newLab(b)
	text := longText()
	o := l.options()
	o.Explain = false
	benchmark(b, NewVerifier(o), detached(aliceHead, text, l.sign("alice", text)), l.at, Verified)
}

// BenchmarkBare is the cryptography of BenchmarkVerify: the digest of the text, the signature, once more for the second
// implementation, and the two signatures of the path.
func BenchmarkBare(b *testing.B) {
	l := newLab(b)
	text := []byte(longText())
	key := l.keys["alice"].(*rsa.PrivateKey)
	sum := sha256.Sum256(text)
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		sum := sha256.Sum256(text)
		for range 2 {
			if err := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, sum[:], signature); err != nil {
				b.Fatal(err)
			}
		}
		if err := l.certs["alice"].CheckSignatureFrom(l.middle); err != nil {
			b.Fatal(err)
		}
		if err := l.middle.CheckSignatureFrom(l.root); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpaque verifies the same text inside of its signature.
func BenchmarkOpaque(b *testing.B) {
	l := newLab(b)
	o := l.options()
	o.Explain = false
	benchmark(b, NewVerifier(o), opaque(aliceHead, l.signOpaque("alice", longText())), l.at, Verified)
}

// BenchmarkUnsigned is what all other mail pays.
func BenchmarkUnsigned(b *testing.B) {
	raw := aliceHead + "Content-Type: multipart/mixed; boundary=m\r\n\r\n" + strings.Repeat("--m\r\n"+longText()+"\r\n", 10) + "--m--\r\n"
	benchmark(b, NewVerifier(Options{}), []byte(raw), time.Time{}, Unsigned)
}

func benchmark(b *testing.B, v *Verifier, raw []byte, at time.Time, want State) {
	b.Helper()
	m, err := message.Read(bytes.NewReader(raw), message.Envelope{ReceivedAt: at}, message.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	author := m.Header.Author()
	b.ReportAllocs()
	for b.Loop() {
		if got := v.Verify(context.Background(), m, author); got.State != want {
			b.Fatal(got.State, got.Reason)
		}
	}
}
