package dkim

import (
	"bytes"
	"crypto/sha256"
	"math/rand/v2"
	"testing"
)

// TestBodyRandom compares random bodies, made of what canonicalization is about and cut into random chunks, with the
// reference.
func TestBodyRandom(t *testing.T) {
	tokens := []string{"a", "b", " ", "\t", "\r\n", "\r\n", "x y", "\r\n\r\n", "\r", "\n", "abcdefghij klmnop", "\f", "!", "\xff", " \r\n"}
	r := rand.New(rand.NewPCG(5, 6))
	rounds := 20000
	if testing.Short() {
		rounds = 2000
	}
	for range rounds {
		var body []byte
		for range r.IntN(40) {
			body = append(body, tokens[r.IntN(len(tokens))]...)
		}
		b := NewBodies()
		simple, relaxed := b.Digest(Simple, -1), b.Digest(Relaxed, -1)
		for rest := body; len(rest) > 0; {
			n := 1 + r.IntN(len(rest))
			b.Write(bytes.Clone(rest[:n]))
			rest = rest[n:]
		}
		for d, c := range map[*Digest]Canonicalization{simple: Simple, relaxed: Relaxed} {
			want := referenceBody(body, c)
			if sum, octets, err := d.Sum(); sum != sha256.Sum256(want) || octets != int64(len(want)) || err != nil {
				t.Fatalf("%s: %q: %d octets, want %q", c, body, octets, want)
			}
		}
	}
}

// TestBodyBlocks puts every octet of interest at every place around the borders of blocks.
func TestBodyBlocks(t *testing.T) {
	for _, middle := range []string{"\r\n", " \r\n", "  ", "\t", "\r", "\n", " \n", "\r\r\n", " \t \r\n \r\n", "\r\n\r\n\r\n"} {
		for size := relaxBlock - 24; size < relaxBlock+4; size++ {
			body := append(append(bytes.Repeat([]byte("x"), size), middle...), "end of the body\r\n"...)
			b := NewBodies()
			simple, relaxed := b.Digest(Simple, -1), b.Digest(Relaxed, int64(size+1))
			b.Write(body)
			want := referenceBody(body, Relaxed)[:size+1]
			if sum, _, err := relaxed.Sum(); sum != sha256.Sum256(want) || err != nil {
				t.Errorf("relaxed, %d octets and %q", size, middle)
			}
			if sum, _, err := simple.Sum(); sum != sha256.Sum256(referenceBody(body, Simple)) || err != nil {
				t.Errorf("simple, %d octets and %q", size, middle)
			}
		}
	}
}
