package zip

import (
	"archive/zip"
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"assay/scan/container"
)

// ordinary returns an archive of about a megabyte, half of it text.
func ordinary(b *testing.B) []byte {
	b.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for i := range 20 {
		f, err := w.Create(string(rune('a'+i)) + ".txt")
		if err != nil {
			b.Fatal(err)
		}
		text := make([]byte, 100<<10)
		for j := range text {
			text[j] = "etaoin shrdlu\n"[rng.IntN(14)]
		}
		_, _ = f.Write(text)
	}
	_ = w.Close()
	return out.Bytes()
}

func BenchmarkRead(b *testing.B) {
	content := ordinary(b)
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		f := file("a.zip", content)
		if !(Reader{}).Reads(f) {
			b.Fatal("not recognized")
		}
		Reader{}.Read(f, func(container.Member) bool { return true })
	}
}

// BenchmarkGo unpacks the same archive once, as archive/zip does: what reading costs at least.
func BenchmarkGo(b *testing.B) {
	content := ordinary(b)
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		z, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
		if err != nil {
			b.Fatal(err)
		}
		for _, f := range z.File {
			r, err := f.Open()
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, r); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkReads asks about what is no archive, as every attachment is asked about.
func BenchmarkReads(b *testing.B) {
	content := make([]byte, 10<<20)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(content)
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		if (Reader{}).Reads(file("a.png", content)) {
			b.Fatal("recognized")
		}
	}
}

func BenchmarkInflate64(b *testing.B) {
	archive, err := os.ReadFile("testdata/deflate64-far.zip")
	if err != nil {
		b.Fatal(err)
	}
	h, _ := parseLocal(archive, 0)
	b.SetBytes(h.size)
	b.ReportAllocs()
	for b.Loop() {
		n, err := io.Copy(io.Discard, newInflate64(bytes.NewReader(archive[h.end:])))
		if n != h.size || err != nil {
			b.Fatal(n, err)
		}
	}
}
