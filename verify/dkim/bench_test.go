//go:build unix

package dkim

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"assay/verify/authres"
	"assay/verify/message"
)

// A load is one message of the benchmark.
type load struct {
	name    string
	size    int
	body    func(size int) []byte
	form    Canonicalization
	signers []func() signer
	target  float64 // how many times the bare cryptography it may cost
}

var loads = []load{
	{"10KB/relaxed/rsa", 10 << 10, prose, Relaxed, []func() signer{rsaSigner}, 1.5},
	{"10KB/relaxed/ed25519", 10 << 10, prose, Relaxed, []func() signer{edSigner}, 1.5},
	{"10KB/simple/rsa", 10 << 10, prose, Simple, []func() signer{rsaSigner}, 1.5},
	{"5MB/relaxed/rsa", 5 << 20, prose, Relaxed, []func() signer{rsaSigner}, 2},
	{"5MB/relaxed/untidy", 5 << 20, untidy, Relaxed, []func() signer{rsaSigner}, 0},
	{"5MB/relaxed/base64", 5 << 20, base64Lines, Relaxed, []func() signer{rsaSigner}, 2},
	{"5MB/simple/rsa", 5 << 20, prose, Simple, []func() signer{rsaSigner}, 2},
	{"5MB/relaxed/5rsa", 5 << 20, prose, Relaxed,
		[]func() signer{rsaSigner, rsaSigner, rsaSigner, rsaSigner, rsaSigner}, 2.2},
}

// words returns lines of random words. One in doubles gaps is two spaces, one in trails lines ends in a space.
func words(size, doubles, trails int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for column := 0; b.Len() < size; {
		n := 1 + r.IntN(10)
		for range n {
			b.WriteByte(byte('a' + r.IntN(26)))
		}
		column += n + 1
		switch {
		case column > 70 && r.IntN(trails) == 0:
			b.WriteString(" \r\n")
			column = 0
		case column > 70 && r.IntN(10) == 0:
			b.WriteString(".\r\n\r\n")
			column = 0
		case column > 70:
			b.WriteString("\r\n")
			column = 0
		case r.IntN(doubles) == 0:
			b.WriteString("  ")
		default:
			b.WriteByte(' ')
		}
	}
	return b.Bytes()
}

// prose is a text as people write it: two spaces or a trailing one now and then.
func prose(size int) []byte { return words(size, 100, 30) }

// untidy is a text in which every second gap and line has white space to remove.
func untidy(size int) []byte { return words(size, 2, 2) }

// base64Lines is an attachment.
func base64Lines(size int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 0, size)
	for len(b) < size {
		for range 76 {
			b = append(b, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[r.IntN(64)])
		}
		b = append(b, "\r\n"...)
	}
	return b
}

// benchHeader is a header of ordinary size.
var benchHeader = strings.Repeat("Received: from mail-lj1-f171.example.net (mail-lj1-f171.example.net [192.0.2.171])\r\n"+
	"\tby mx.example.org (Postfix) with ESMTPS id 4SV8xk2Y5Cz9sJm\r\n\tfor <bob@example.org>; Tue, 14 Nov 2023 22:13:20 +0000 (UTC)\r\n", 4) +
	probeHeader + "MIME-Version: 1.0\r\nMessage-ID: <20231114221320.4711@example.com>\r\nContent-Type: text/plain; charset=utf-8\r\n" +
	strings.Repeat("X-Something: which nobody signs, but every message has in abundance\r\n", 10)

// make returns the message, and a function that does nothing but its cryptography.
func (l load) make(b testing.TB) (*message.Message, records, func()) {
	body := l.body(l.size)
	text := benchHeader
	zone := records{}
	for i, s := range l.signers {
		selector := fmt.Sprint("s", i)
		algorithm := "rsa-sha256"
		if _, ok := s().key.(ed25519.PrivateKey); ok {
			algorithm = "ed25519-sha256"
		}
		field := fmt.Sprintf("DKIM-Signature: v=1; a=%s; c=relaxed/%s; d=example.com; s=%s; t=1700000000;\r\n"+
			"\th=From:To:Subject:Date:Message-ID:MIME-Version:Content-Type; bh={bh};\r\n\tb={b}", algorithm, l.form, selector)
		text = s().sign(b, mail{benchHeader, string(body), field, -1}) + text
		zone[selector+"._domainkey.example.com"] = s().record
	}
	text += "\r\n" + string(body)
	m := read(b, text, at)
	for _, v := range Verify(context.Background(), zone, m, Options{}) {
		if v.Result != authres.Pass {
			b.Fatalf("%s: %+v", l.name, v)
		}
	}
	return m, zone, bare(b, body, l.signers)
}

// bare returns a function that hashes the body once and verifies one signature for each signer.
func bare(b testing.TB, body []byte, signers []func() signer) func() {
	digest := sha256.Sum256(body)
	var checks []func() bool
	for _, s := range signers {
		switch key := s().key.(type) {
		case *rsa.PrivateKey:
			sig, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
			if err != nil {
				b.Fatal(err)
			}
			checks = append(checks, func() bool { return rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], sig) == nil })
		case ed25519.PrivateKey:
			sig := ed25519.Sign(key, digest[:])
			checks = append(checks, func() bool { return ed25519.Verify(key.Public().(ed25519.PublicKey), digest[:], sig) })
		}
	}
	return func() {
		if sha256.Sum256(body) != digest {
			b.Fatal("bare hash")
		}
		for _, ok := range checks {
			if !ok() {
				b.Fatal("bare signature")
			}
		}
	}
}

// stream verifies a message as it comes from an MTA: the header, and the body in pieces.
func stream(zone records, h message.Header, body []byte, opt Options) []Verification {
	b := NewBodies()
	run := Start(context.Background(), zone, h, at, opt, b)
	for chunk := range slices.Chunk(body, 65535) {
		b.Write(chunk)
	}
	return run.Finish()
}

// measure returns the processor times of n verifications and of n times the bare cryptography, garbage collection
// included.
func measure(n int, verify, bare func()) (time.Duration, time.Duration) {
	start := cpuTime()
	for range n {
		verify()
	}
	middle := cpuTime()
	for range n {
		bare()
	}
	return middle - start, cpuTime() - middle
}

// BenchmarkVerify measures the verification of complete messages, and in the same run the cryptography they cannot do
// without: the metric x-bare is the quotient of the processor times. Long bodies are read from a file.
func BenchmarkVerify(b *testing.B) {
	benchmark(b, func(m *message.Message, _ []byte, zone records, opt Options) {
		Verify(context.Background(), zone, m, opt)
	})
}

// BenchmarkStream is BenchmarkVerify with messages that come in pieces.
func BenchmarkStream(b *testing.B) {
	benchmark(b, func(m *message.Message, body []byte, zone records, opt Options) {
		stream(zone, m.Header, body, opt)
	})
}

// benchmark measures one way to verify all loads.
func benchmark(b *testing.B, verify func(*message.Message, []byte, records, Options)) {
	for _, l := range loads {
		b.Run(l.name, func(b *testing.B) {
			m, zone, bare := l.make(b)
			body, err := io.ReadAll(m.Body())
			if err != nil {
				b.Fatal(err)
			}
			opt := Options{Keys: NewKeyCache(0)}
			repeat := max(1, (1<<20)/l.size)
			var used, crypto time.Duration
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				u, c := measure(repeat, func() { verify(m, body, zone, opt) }, bare)
				used, crypto, n = used+u, crypto+c, n+repeat
			}
			b.ReportMetric(float64(used.Nanoseconds())/float64(n), "cpu-ns/verify")
			b.ReportMetric(float64(crypto.Nanoseconds())/float64(n), "cpu-ns/bare")
			b.ReportMetric(float64(used)/float64(crypto), "x-bare")
		})
	}
}

// TestSpeed guards the figures that BenchmarkVerify measures, with some room for a busy machine.
func TestSpeed(t *testing.T) {
	if raceDetector || testing.Short() {
		t.Skip("NOT RUN: figures mean nothing under the race detector, and take a while")
	}
	const room = 1.5
	for _, l := range loads {
		m, zone, bare := l.make(t)
		opt := Options{Keys: NewKeyCache(0)}
		best := math.Inf(1)
		for range 10 {
			used, crypto := measure(max(1, (1<<20)/l.size), func() { Verify(context.Background(), zone, m, opt) }, bare)
			best = min(best, float64(used)/float64(crypto))
		}
		t.Logf("%-22s %.2f times the bare cryptography", l.name, best)
		if l.target > 0 && best > l.target*room {
			t.Errorf("%s costs %.2f times the bare cryptography, target %.1f", l.name, best, l.target)
		}
	}
}

// BenchmarkAllocations shows that memory does not depend on the size of the body.
func BenchmarkAllocations(b *testing.B) {
	for _, size := range []int{100 << 10, 10 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			m, zone, _ := load{"", size, prose, Relaxed, []func() signer{rsaSigner}, 0}.make(b)
			b.ReportAllocs()
			for b.Loop() {
				Verify(context.Background(), zone, m, Options{})
			}
		})
	}
}
