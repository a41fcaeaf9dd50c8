package cms

import (
	"bytes"
	"crypto"
	"hash"
)

// A Content is what a signature is about, as far as verification needs it: one digest for every algorithm the signers
// use, computed in one pass. It is not safe for concurrent use.
type Content struct {
	sums     []contentSum
	size     int64
	head     []byte // the first octets, at most headOctets
	octets   []byte // all of it, when a signer has no signed attributes
	keep     bool
	limit    int    // octets that are kept
	embedded []byte // eContent that the rest has to be equal to
	compare  bool   // there is such an eContent
	differs  bool   // it is not equal
}

// headOctets are enough for the headers of a SET, a SEQUENCE and an OBJECT IDENTIFIER.
const headOctets = 32

type contentSum struct {
	hash  crypto.Hash
	state hash.Hash
	sum   []byte
}

// DigestAlgorithms returns the digests that the signers need and this package computes, without repetition.
func (sd *SignedData) DigestAlgorithms() []crypto.Hash {
	var hashes []crypto.Hash
	for i := range sd.Signers {
		d, ok := findDigest(sd.Signers[i].DigestAlgorithm.OID)
		if ok && !contains(hashes, d.hash) {
			hashes = append(hashes, d.hash)
		}
	}
	return hashes
}

func contains(hashes []crypto.Hash, h crypto.Hash) bool {
	for _, known := range hashes {
		if known == h {
			return true
		}
	}
	return false
}

// NewContent returns an empty Content to which the octets are to be written that a detached signature is about, in the
// form in which they were signed: the first part of a multipart/signed, header included (RFC 1847 Section 2.1). If sd
// carries an eContent all the same, it must be equal, else every signer is Broken.
func (sd *SignedData) NewContent() *Content {
	c := &Content{limit: sd.limits.withDefaults().Direct, embedded: sd.Content, compare: !sd.Detached}
	for _, h := range sd.DigestAlgorithms() {
		c.sums = append(c.sums, contentSum{hash: h, state: h.New()})
	}
	for i := range sd.Signers {
		c.keep = c.keep || !sd.Signers[i].HasAttributes
	}
	return c
}

// Embedded returns the Content of an opaque signature, which is the eContent. It is nil if sd is Detached.
func (sd *SignedData) Embedded() *Content {
	if sd.Detached {
		return nil
	}
	c := &Content{size: int64(len(sd.Content)), octets: sd.Content, limit: sd.limits.withDefaults().Direct}
	c.head = sd.Content[:min(headOctets, len(sd.Content))]
	for _, h := range sd.DigestAlgorithms() {
		state := h.New()
		state.Write(sd.Content)
		c.sums = append(c.sums, contentSum{hash: h, state: state})
	}
	return c
}

// Write adds octets. It never fails.
func (c *Content) Write(p []byte) (int, error) {
	for i := range c.sums {
		c.sums[i].state.Write(p)
		c.sums[i].sum = nil
	}
	if n := headOctets - len(c.head); n > 0 {
		c.head = append(c.head, p[:min(n, len(p))]...)
	}
	if c.keep && c.size+int64(len(p)) <= int64(c.limit) {
		c.octets = append(c.octets, p...)
	}
	if c.compare && !c.differs {
		n := min(len(p), len(c.embedded))
		c.differs = n < len(p) || !bytes.Equal(c.embedded[:n], p)
		c.embedded = c.embedded[n:]
	}
	c.size += int64(len(p))
	return len(p), nil
}

// Size returns the number of octets.
func (c *Content) Size() int64 { return c.size }

// sum returns the digest of the content, nil if the algorithm was not asked for.
func (c *Content) sum(h crypto.Hash) []byte {
	for i := range c.sums {
		if s := &c.sums[i]; s.hash == h {
			if s.sum == nil {
				s.sum = s.state.Sum(nil)
			}
			return s.sum
		}
	}
	return nil
}

// equalsEmbedded reports whether an eContent, if there is one, is the content.
func (c *Content) equalsEmbedded() bool {
	return !c.compare || !c.differs && len(c.embedded) == 0
}

// startsLikeAttributes reports whether the content begins as a SET OF Attribute does. Signed without signed attributes,
// it would be the signed attributes of another signature, in which somebody now wants to see a text.
func (c *Content) startsLikeAttributes() bool {
	rest := c.head
	for _, tag := range []byte{tagSet, tagSequence} {
		if len(rest) < 2 || rest[0] != tag {
			return false
		}
		size := 2
		if rest[1] > 0x80 {
			size += int(rest[1] & 0x7f)
		}
		rest = rest[min(size, len(rest)):]
	}
	return len(rest) > 0 && rest[0] == tagOID
}
