package pki

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"math/big"
	"runtime"
	"testing"
	"time"
)

// largeCRL returns a CRL with random serial numbers of 16 octets.
func largeCRL(t testing.TB, by *authority, entries int) []byte {
	t.Helper()
	one := tlv(0x30, tlv(2, make([]byte, 16)), utcTime(now.AddDate(0, -1, 0)))
	list := make([]byte, 0, entries*len(one))
	serials := make([]byte, entries*16)
	if _, err := rand.Read(serials); err != nil {
		t.Fatal(err)
	}
	for i := range entries {
		at := len(list)
		list = append(list, one...)
		copy(list[at+4:], serials[i*16:][:16])
		list[at+4] = list[at+4]&0x7f | 0x40
	}
	tbs := long(0x30, []byte{2, 1, 1}, ecdsaSHA256, by.RawSubject, utcTime(now.Add(-time.Hour)), utcTime(now.Add(time.Hour)), long(0x30, list))
	digest := sha256.Sum256(tbs)
	sig, err := by.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return long(0x30, tbs, ecdsaSHA256, tlv(3, []byte{0}, sig))
}

// long returns one element with four octets of length.
func long(tag byte, content ...[]byte) []byte {
	n := 0
	for _, c := range content {
		n += len(c)
	}
	out := append(make([]byte, 0, n+6), tag, 0x84, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	if n < 1<<24 {
		out = append(out[:1], 0x83, byte(n>>16), byte(n>>8), byte(n))
	}
	for _, c := range content {
		out = append(out, c...)
	}
	return out
}

// TestCRLLarge bounds the memory that is left of a list of a million entries: 16 octets each.
func TestCRLLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: a list of 36 MB")
	}
	f := revocable(t)
	der := largeCRL(t, f.middle, 1_000_000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	l, err := scanCRL(der, f.middle.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if len(l.entries) != 1_000_000 {
		t.Errorf("%d entries", len(l.entries))
	}
	if held, made := after.HeapAlloc-before.HeapAlloc, after.TotalAlloc-before.TotalAlloc; held > 20<<20 || made > 40<<20 {
		t.Errorf("holds %d MB, allocated %d MB", held>>20, made>>20)
	}
	runtime.KeepAlive(der)
	if _, _, ok := l.lookup(big.NewInt(1)); ok {
		t.Error("found what is not there")
	}
}

func BenchmarkCRL1M(b *testing.B) {
	f := revocable(b)
	der := largeCRL(b, f.middle, 1_000_000)
	b.SetBytes(int64(len(der)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := scanCRL(der, f.middle.Certificate); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPathCached is what a chain costs that was seen before; BenchmarkPath one that was not.
func BenchmarkPathCached(b *testing.B) {
	f := newFamily(b, ca("M"), ee("a@example.com"))
	s, err := NewStore(true, nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	s.AddAnchor(&Anchor{Certificate: f.root.Certificate, Public: true})
	v := New(s, Options{})
	b.ReportAllocs()
	for b.Loop() {
		if r := v.Path(context.Background(), f.query()); r.Trust != Public {
			b.Fatal(r.Reason)
		}
	}
}

func BenchmarkPath(b *testing.B) {
	f := newFamily(b, ca("M"), ee("a@example.com"))
	s, err := NewStore(true, nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	s.AddAnchor(&Anchor{Certificate: f.root.Certificate, Public: true})
	v := New(s, Options{})
	b.ReportAllocs()
	for b.Loop() {
		if r := v.search(f.query()).best; r.Trust != Public {
			b.Fatal(r.Reason)
		}
	}
}

// BenchmarkPathHostile is the most a message can cost: a full pool of certificates that all could be the issuer.
func BenchmarkPathHostile(b *testing.B) {
	same := issue(b, nil, ca("Same"), nil)
	q := Query{Leaf: issue(b, same, ee("a@example.com"), nil).Certificate, At: now}
	for range maxPool {
		q.Pool = append(q.Pool, issue(b, same, ca("Same"), same.key).Certificate)
	}
	v := New(&Store{}, Options{})
	b.ReportAllocs()
	for b.Loop() {
		v.search(q)
	}
}

// BenchmarkStore is what loading the shipped bundle costs.
func BenchmarkStore(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := NewStore(true, nil, nil); err != nil {
			b.Fatal(err)
		}
	}
}
