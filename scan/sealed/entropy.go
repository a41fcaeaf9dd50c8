package sealed

import (
	"fmt"
	"math"

	"assay/scan"
	"assay/scan/attach"
	"assay/scan/container"
)

// Reads implements container.Reader. Known formats, and those of the other Readers here, are not asked for their entropy:
// compressed pictures look like random numbers too.
func (Entropy) Reads(f *container.File) bool {
	if f.Type != attach.Unknown && f.Type != "" || !looksRandom(f.Content) {
		return false
	}
	for _, other := range []container.Reader{OpenPGP{}, CMS{}, PKCS12{}, Other{}} {
		if other.Reads(f) {
			return false
		}
	}
	return attach.Sniff(f.Content[:min(len(f.Content), attach.Window)]) == attach.Unknown
}

// Read implements container.Reader. Nothing is yielded.
func (Entropy) Read(f *container.File, _ func(container.Member) bool) container.Verdict {
	h, _ := measure(f.Content)
	return container.Verdict{
		State:  scan.Uninspectable,
		Method: "looks like encrypted or random data",
		Signs:  []container.Sign{{Trait: scan.HighEntropy, Detail: fmt.Sprintf("%.2f bits per octet", h)}},
	}
}

const (
	// leastOctets are too few to tell: random numbers of that many look like much else.
	leastOctets = 256
	// manyOctets are enough for the entropy alone to tell.
	manyOctets = 16 << 10
	// highEntropy is what hardly anything exceeds but random numbers and good compression, in bits per octet.
	highEntropy = 7.9
	// uniform is the chi-square statistic of 255 degrees of freedom that random numbers exceed once in some ten million times:
	// the mean and six standard deviations.
	uniform = 255 + 6*22.6
	// sampled bounds the octets that are counted.
	sampled = 1 << 20
)

// looksRandom reports whether the octets of a content are as evenly spread as random numbers are.
func looksRandom(content []byte) bool {
	if len(content) < leastOctets {
		return false
	}
	h, chi := measure(content)
	return chi < uniform || len(content) >= manyOctets && h > highEntropy
}

// measure returns the entropy of a content in bits per octet, and how far its octets are from being evenly spread.
func measure(content []byte) (entropy, chi float64) {
	content = content[:min(len(content), sampled)]
	var counts [256]int
	for _, c := range content {
		counts[c]++
	}
	n := float64(len(content))
	expected := n / 256
	for _, count := range counts {
		d := float64(count) - expected
		chi += d * d / expected
		if count > 0 {
			p := float64(count) / n
			entropy -= p * math.Log2(p)
		}
	}
	return entropy, chi
}
